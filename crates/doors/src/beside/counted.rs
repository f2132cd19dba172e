//! What a mail server asks twice counts once; and whose turn it is where a mail server has no slow lane of its own.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use sm2tp_rules::admit::{self, Refusal};
use sm2tp_rules::rate::Gcra;
use sm2tp_store::senders::SenderId;

use crate::detoured::Pair;

/// The mails about which a mail server asks.
#[derive(Default)]
pub(super) struct Counted(Mutex<Mails>);

#[derive(Default)]
struct Mails {
    seen: HashMap<Box<str>, Known>,
    /// Oldest first.
    order: VecDeque<Box<str>>,
}

#[derive(Default)]
struct Known {
    /// It counts among the mails of its sender.
    begun: bool,
    recipients: HashSet<Pair>,
}

/// When slow senders may write again.
#[derive(Default)]
pub(super) struct Turns(Mutex<HashMap<SenderId, Gcra>>);

/// Whether a question about a recipient is the first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    First,
    /// It counted already.
    Again,
    /// The first one here; it counted with its sender and against limits when the mail came in.
    Detoured,
}

impl Counted {
    /// Whether this recipient of the mail was asked about already, and how many others were and are taken. A mail without a
    /// name is asked about by a server that asks once (Exim).
    pub(super) fn heard(&self, mail: &str, recipient: Pair) -> (Heard, usize) {
        if mail.is_empty() {
            return (Heard::First, 0);
        }
        let mut mails = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let recipients = &mut mails.known(mail).recipients;
        let before = recipients.len();
        // Beyond that each question counts: too much rather than too little.
        match RECIPIENTS_MAX <= before || recipients.insert(recipient) {
            true => (Heard::First, before),
            false => (Heard::Again, before - 1),
        }
    }

    /// This one was refused: who names it again in the same mail is asked about anew.
    pub(super) fn refused(&self, mail: &str, recipient: Pair) {
        let mut mails = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = mails.seen.get_mut(mail) {
            known.recipients.remove(&recipient);
        }
    }

    /// The recipients of the mail that were taken; none of one without a name.
    pub(super) fn recipients(&self, mail: &str) -> Vec<Pair> {
        let mails = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        mails.seen.get(mail).map(|known| known.recipients.iter().copied().collect()).unwrap_or_default()
    }

    /// Whether this mail counts among those of its sender. One that may not begin does not, and each of its recipients is asked
    /// about as if it were the first; one without a name is never counted.
    pub(super) fn has_begun(&self, mail: &str) -> bool {
        let mails = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        mail.is_empty() || mails.seen.get(mail).is_some_and(|known| known.begun)
    }

    pub(super) fn begun(&self, mail: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).known(mail).begun = true;
    }
}

impl Mails {
    /// The mail of this name, which may be a new one.
    fn known(&mut self, mail: &str) -> &mut Known {
        if !self.seen.contains_key(mail) {
            while MAILS_MAX <= self.order.len() {
                let oldest = self.order.pop_front();
                oldest.and_then(|oldest| self.seen.remove(&oldest));
            }
            self.order.push_back(mail.into());
        }
        self.seen.entry(mail.into()).or_default()
    }
}

impl Turns {
    /// Lets a recipient of this slow sender pass in its turn.
    pub(super) fn take(&self, id: &SenderId, now_us: u64) -> Result<(), Refusal> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if SLOW_MAX <= turns.len() {
            turns.retain(|_, last| !last.is_over(now_us));
        }
        let is_full = SLOW_MAX <= turns.len();
        match turns.entry(id.clone()) {
            // So many slow senders at once were invented.
            Entry::Vacant(_) if is_full => Err(Refusal::Slow { wait_s: 60 }),
            entry => {
                let last = entry.or_default();
                *last = admit::turn(*last, now_us)?;
                Ok(())
            }
        }
    }
}

/// Postfix speaks about one mail with each of its processes, of which it has a hundred unless it is told otherwise.
const MAILS_MAX: usize = 2000;
/// As many as Postfix takes for a mail (`smtpd_recipient_limit` is 1000) and some: 80 kB for each such mail.
const RECIPIENTS_MAX: usize = 5000;
/// Slow senders that are remembered for their minute.
const SLOW_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use sm2tp_proto::Address;

    use super::*;

    #[test]
    fn a_recipient_that_is_asked_about_twice_counts_once() {
        let counted = Counted::default();
        #[track_caller]
        fn check(counted: &Counted, mail: &str, recipient: &str, want: Heard) {
            assert_eq!(counted.heard(mail, pair(recipient)).0, want, "{mail} {recipient}");
        }
        fn pair(recipient: &str) -> Pair {
            Pair::new(None, &Address::parse(recipient).unwrap())
        }
        check(&counted, "1.2", "a@x.example", Heard::First);
        check(&counted, "1.2", "b@x.example", Heard::First);
        check(&counted, "1.2", "a@x.example", Heard::Again);
        let third = pair("c@x.example");
        assert_eq!(counted.heard("1.2", third), (Heard::First, 2));
        assert_eq!(counted.heard("1.2", third), (Heard::Again, 2), "it is none of those before it");
        assert_eq!(counted.recipients("1.2").len(), 3);
        counted.refused("1.2", pair("b@x.example"));
        check(&counted, "1.2", "b@x.example", Heard::First);
        check(&counted, "1.3", "a@x.example", Heard::First);
        // Who has no names for mails.
        check(&counted, "", "a@x.example", Heard::First);
        check(&counted, "", "a@x.example", Heard::First);
        assert!(!counted.has_begun("1.3") && !counted.has_begun("1.4") && counted.has_begun(""));
        counted.begun("1.3");
        assert!(counted.has_begun("1.3") && !counted.has_begun("1.2"));
        (0..2 * MAILS_MAX).for_each(|n| check(&counted, &format!("9.{n}"), "a@x.example", Heard::First));
        assert_eq!(counted.0.lock().unwrap().seen.len(), MAILS_MAX);
        check(&counted, "1.2", "a@x.example", Heard::First);
    }

    #[test]
    fn a_slow_sender_writes_to_one_a_minute_and_another_has_its_own() {
        let turns = Turns::default();
        let id = |name: &str| SenderId { org: "local".into(), name: name.into() };
        let take = |name: &str, now_s: u64| turns.take(&id(name), now_s * 1_000_000).is_ok();
        assert!(take("anna", 1000) && take("bob", 1000));
        assert!(!take("anna", 1030) && take("anna", 1060));
        (0..2 * SLOW_MAX).for_each(|n| _ = take(&n.to_string(), 1060));
        assert!(turns.0.lock().unwrap().len() <= SLOW_MAX);
        assert!(!take("new", 1070) && take("new", 1200));
    }
}
