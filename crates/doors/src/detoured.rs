//! Mail that a mail server beside us was told to send another way, and that comes to this node once more there: at the SMTP door, or
//! at a relay of that mail server which asks, too. It was counted when it came in, and counts once (decision 0088).

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sm2tp_proto::Address;

/// The recipients that are on their way. In memory, bounded, gone with a restart: then a mail counts twice.
#[derive(Default)]
pub struct Detoured(Mutex<Waiting>);

/// Counts, not sets: two mails of one sender to one recipient may be under way.
#[derive(Default)]
struct Waiting {
    pairs: HashMap<Pair, u32>,
    senders: HashMap<u64, u32>,
    /// Oldest first, with the second when it left; those that came are in it, too.
    order: VecDeque<(Pair, u64)>,
}

/// A sender and a recipient of its mail, as hashes: what is compared is nobody's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Pair {
    sender: u64,
    recipient: u64,
}

impl Pair {
    pub(crate) fn new(mail_from: Option<&Address>, recipient: &Address) -> Self {
        Self { sender: hash(&mail_from), recipient: hash(recipient) }
    }
}

impl Detoured {
    /// A mail goes another way to these.
    pub(crate) fn left(&self, pairs: impl IntoIterator<Item = Pair>, now: u64) {
        let mut waiting = self.lock();
        for pair in pairs {
            *waiting.pairs.entry(pair).or_default() += 1;
            *waiting.senders.entry(pair.sender).or_default() += 1;
            waiting.order.push_back((pair, now));
        }
        while waiting.order.front().is_some_and(|(_, at)| at + FORGOTTEN_S < now) || PAIRS_MAX < waiting.order.len() {
            let Some((pair, _)) = waiting.order.pop_front() else { break };
            waiting.take(pair);
        }
    }

    /// Whether a mail of this sender is on its way: one that begins is that one.
    pub(crate) fn is_from(&self, mail_from: Option<&Address>) -> bool {
        self.lock().senders.contains_key(&hash(&mail_from))
    }

    /// Whether this recipient was counted when the mail came in. One that is asked about again is another mail's.
    pub(crate) fn came(&self, pair: Pair) -> bool {
        self.lock().take(pair)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn take(&mut self, pair: Pair) -> bool {
        let is_there = less(&mut self.pairs, pair);
        if is_there {
            less(&mut self.senders, pair.sender);
        }
        is_there
    }
}

fn less<K: Hash + Eq>(counts: &mut HashMap<K, u32>, key: K) -> bool {
    let Some(count) = counts.get_mut(&key) else { return false };
    *count -= 1;
    if *count == 0 {
        counts.remove(&key);
    }
    true
}

fn hash(what: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

/// Recipients under way; beyond that the oldest are forgotten, and count twice. Some 80 octets each.
const PAIRS_MAX: usize = 100_000;
/// A mail server may wait for its next hop; after so long a mail of the same sender and recipient is another one.
const FORGOTTEN_S: u64 = 4 * 3600;

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    #[test]
    fn what_left_comes_once_and_what_is_old_or_too_much_is_forgotten() {
        let (detoured, anna) = (Detoured::default(), address("anna@good.test"));
        let pair = |to: &str| Pair::new(Some(&anna), &address(to));
        assert!(!detoured.is_from(Some(&anna)) && !detoured.came(pair("bob@x.test")));
        detoured.left([pair("bob@x.test"), pair("carl@x.test"), pair("bob@x.test")], 100);
        assert!(detoured.is_from(Some(&anna)) && !detoured.is_from(None) && !detoured.came(pair("dora@x.test")));
        assert!(
            detoured.came(pair("bob@x.test"))
                && detoured.came(pair("bob@x.test"))
                && !detoured.came(pair("bob@x.test"))
        );
        assert!(detoured.is_from(Some(&anna)), "carl is on the way");
        assert!(detoured.came(pair("carl@x.test")) && !detoured.is_from(Some(&anna)));

        detoured.left([pair("bob@x.test")], 100);
        detoured.left([], 101 + FORGOTTEN_S);
        assert!(!detoured.came(pair("bob@x.test")) && !detoured.is_from(Some(&anna)));
        detoured.left((0..PAIRS_MAX + 1).map(|n| pair(&format!("r{n}@x.test"))), 200 + FORGOTTEN_S);
        assert!(!detoured.came(pair("r0@x.test")) && detoured.came(pair("r1@x.test")));
        assert_eq!(detoured.lock().order.len(), PAIRS_MAX);
    }
}
