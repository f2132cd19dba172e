//! The mails of a log that are under way, at most so many, each found by its queue id.
//!
//! A mail takes a slot when it comes and gives it back when it goes; what a slot holds in memory is kept for the next one, so
//! that a log of any length is read without asking for memory again and again.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::Origin;
use crate::Enhanced;

/// Mails by the names of their machine and instance, and their queue id.
#[derive(Debug)]
pub(super) struct UnderWay {
    by_name: HashTable<u32>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// The ends of a chain in the order in which mails came.
    oldest: u32,
    newest: u32,
    slots_max: usize,
}

/// Where a mail is named: the host of the log, the instance of the mail server, and the queue id there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name<'a> {
    pub host: &'a str,
    pub instance: &'a str,
    pub queue_id: &'a str,
}

/// What is known of a mail.
#[derive(Debug, Default)]
pub(super) struct Mail {
    text: String,
    sender: Option<Part>,
    login: Option<Part>,
    message_id: Option<Part>,
    pub origin: Origin,
    /// None where the log did not say.
    pub octets: Option<u64>,
    /// Of whom something was told.
    pub recipients: u32,
    /// Recipients whose last result was "later", for the day on which it expires.
    pub waiting: Vec<Waiting>,
}

#[derive(Debug)]
pub(super) struct Waiting {
    pub recipient: Box<str>,
    pub host: Option<Box<str>>,
    pub text: Box<str>,
    pub enhanced: Option<Enhanced>,
}

#[derive(Debug)]
struct Slot {
    hash: u64,
    name: String,
    older: u32,
    newer: u32,
    mail: Mail,
}

/// A piece of a mail's text.
#[derive(Debug, Clone, Copy)]
struct Part {
    at: u32,
    len: u32,
}

impl UnderWay {
    pub(super) fn new(slots_max: usize) -> Self {
        let slots_max = slots_max.clamp(1, SLOTS_MAX);
        let (by_name, slots, free) = (HashTable::new(), Vec::new(), Vec::new());
        Self { by_name, slots, free, oldest: NONE, newest: NONE, slots_max }
    }

    pub(super) fn find(&self, name: Name<'_>) -> Option<&Mail> {
        let at = self.by_name.find(name.hash(), |at| name.is(&self.slots[*at as usize].name))?;
        Some(&self.slots[*at as usize].mail)
    }

    /// The mail of this name; a new one where a log begins in the middle of its life. Where there are too many, the one that
    /// came first is forgotten.
    pub(super) fn mail(&mut self, name: Name<'_>) -> &mut Mail {
        let hash = name.hash();
        let found = self.by_name.find(hash, |at| name.is(&self.slots[*at as usize].name)).copied();
        let at = found.unwrap_or_else(|| self.add(hash, name));
        &mut self.slots[at as usize].mail
    }

    pub(super) fn remove(&mut self, name: Name<'_>) {
        let slots = &self.slots;
        if let Ok(found) = self.by_name.find_entry(name.hash(), |at| name.is(&slots[*at as usize].name)) {
            let (at, _) = found.remove();
            self.release(at);
        }
    }

    fn add(&mut self, hash: u64, name: Name<'_>) -> u32 {
        if self.free.is_empty() && self.slots_max <= self.slots.len() {
            let oldest = self.oldest;
            let of = self.slots[oldest as usize].hash;
            if let Ok(found) = self.by_name.find_entry(of, |at| *at == oldest) {
                found.remove();
            }
            self.release(oldest);
        }
        let at = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            u32::try_from(self.slots.len() - 1).expect("there are at most SLOTS_MAX of them")
        });
        let slot = &mut self.slots[at as usize];
        slot.hash = hash;
        name.write(&mut slot.name);
        (slot.older, slot.newer) = (self.newest, NONE);
        match self.newest {
            NONE => self.oldest = at,
            newest => self.slots[newest as usize].newer = at,
        }
        self.newest = at;
        let slots = &self.slots;
        self.by_name.insert_unique(hash, at, |at| slots[*at as usize].hash);
        at
    }

    /// Takes a slot out of the chain, empties it and keeps it for the next mail.
    fn release(&mut self, at: u32) {
        let slot = &mut self.slots[at as usize];
        let (older, newer) = (slot.older, slot.newer);
        slot.mail.clear();
        match older {
            NONE => self.oldest = newer,
            older => self.slots[older as usize].newer = newer,
        }
        match newer {
            NONE => self.newest = older,
            newer => self.slots[newer as usize].older = older,
        }
        self.free.push(at);
    }
}

impl Name<'_> {
    /// Queue ids are made by the mail server, so nobody outside can choose those that collide.
    fn hash(self) -> u64 {
        let mut hasher = FixedState::with_seed(0).build_hasher();
        for part in [self.host, self.instance, self.queue_id] {
            hasher.write(part.as_bytes());
        }
        hasher.finish()
    }

    fn is(self, name: &str) -> bool {
        // The queue id first: the others are nearly always the same.
        let Some(before) = name.strip_suffix(self.queue_id).and_then(|before| before.strip_suffix(' ')) else {
            return false;
        };
        before.len() == self.host.len() + 1 + self.instance.len()
            && before.starts_with(self.host)
            && before.ends_with(self.instance)
    }

    fn write(self, into: &mut String) {
        into.clear();
        for part in [self.host, " ", self.instance, " ", self.queue_id] {
            into.push_str(part);
        }
    }
}

impl Mail {
    pub(super) fn sender(&self) -> Option<&str> {
        self.part(self.sender)
    }

    pub(super) fn login(&self) -> Option<&str> {
        self.part(self.login)
    }

    pub(super) fn message_id(&self) -> Option<&str> {
        self.part(self.message_id)
    }

    pub(super) fn set_sender(&mut self, sender: &str) {
        // Postfix says it again at each try.
        if self.sender() != Some(sender) {
            self.sender = self.keep(sender);
        }
    }

    pub(super) fn set_login(&mut self, login: &str) {
        self.login = self.keep(login);
    }

    pub(super) fn set_message_id(&mut self, id: &str) {
        if self.message_id() != Some(id) {
            self.message_id = self.keep(id);
        }
    }

    /// Forgets everything, but keeps a little memory for what comes next.
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.text.shrink_to(TEXT_KEPT_OCTETS);
        *self = Self { text: std::mem::take(&mut self.text), ..Self::default() };
    }

    fn part(&self, part: Option<Part>) -> Option<&str> {
        part.map(|part| &self.text[part.at as usize..][..part.len as usize])
    }

    /// None where a mail has said too much of itself already: no mail server writes so, and memory has an end.
    fn keep(&mut self, piece: &str) -> Option<Part> {
        if TEXT_OCTETS_MAX < self.text.len() + piece.len() {
            return None;
        }
        let part = Part { at: self.text.len() as u32, len: piece.len() as u32 };
        self.text.push_str(piece);
        Some(part)
    }
}

impl Default for Slot {
    fn default() -> Self {
        Self { hash: 0, name: String::new(), older: NONE, newer: NONE, mail: Mail::default() }
    }
}

const NONE: u32 = u32::MAX;
/// Numbers of slots are of 32 bits.
const SLOTS_MAX: usize = 1 << 31;
/// What one mail may say of itself; an address has 320 octets at most, a Message-ID a line.
const TEXT_OCTETS_MAX: usize = 16 * 1024;
/// Most mails need less.
const TEXT_KEPT_OCTETS: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn name(queue_id: &str) -> Name<'_> {
        Name { host: "vm", instance: "postfix", queue_id }
    }

    fn known(mails: &UnderWay, ids: &[&str]) -> Vec<bool> {
        ids.iter().map(|id| mails.find(name(id)).is_some()).collect()
    }

    #[test]
    fn the_mail_that_came_first_makes_room() {
        let mut mails = UnderWay::new(3);
        for id in ["A1", "B2", "C3"] {
            mails.mail(name(id)).set_sender(id);
        }
        assert_eq!(mails.mail(name("A1")).sender(), Some("A1"));
        mails.remove(name("B2"));
        mails.mail(name("D4")).set_sender("d");
        assert_eq!(known(&mails, &["A1", "B2", "C3", "D4"]), [true, false, true, true]);
        mails.mail(name("E5"));
        assert_eq!(known(&mails, &["A1", "C3", "D4", "E5"]), [false, true, true, true]);
        assert_eq!(mails.find(name("E5")).unwrap().sender(), None, "nothing of the one before is left");
        for id in ["C3", "D4", "E5", "E5"] {
            mails.remove(name(id));
        }
        assert_eq!((mails.oldest, mails.newest, mails.slots.len()), (NONE, NONE, 3));
    }

    #[test]
    fn a_name_is_whole() {
        let mut mails = UnderWay::new(9);
        mails.mail(Name { host: "a", instance: "b", queue_id: "C" });
        for (host, instance, queue_id) in
            [("a", "b", "D"), ("", "b", "C"), ("a", "", "C"), ("ab", "", "C"), ("a", "b", "")]
        {
            assert!(mails.find(Name { host, instance, queue_id }).is_none());
        }
    }

    #[test]
    fn what_a_mail_says_of_itself_has_an_end() {
        let mut mail = Mail::default();
        for turn in 0..2000 {
            mail.set_sender(&format!("{turn}@org.test"));
        }
        assert!(mail.text.len() <= TEXT_OCTETS_MAX);
        mail.clear();
        assert!(mail.text.capacity() <= TEXT_KEPT_OCTETS, "{}", mail.text.capacity());
    }
}
