//! What happened since the start of the process, added up in memory: numbers that only grow, for whoever looks every few
//! seconds and makes curves of them. The views forget old days, and a sum of them may become smaller.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::event::{Event, Subject};

/// The sums; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Counted(Arc<Mutex<Sums>>);

/// How often each kind of thing happened to senders. Each map has [`KEYS_MAX`] keys at most: what does not fit is left out
/// and counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sums {
    /// By kind, cause and stream; empty words where there is none.
    pub kinds: BTreeMap<(String, String, String), u64>,
    /// By provider and kind; without those of which nobody knows the provider.
    pub providers: BTreeMap<(String, String), u64>,
    /// By organisation and kind.
    pub orgs: BTreeMap<(String, String), u64>,
    pub left_out: u64,
}

impl Counted {
    /// Counts what is about senders; the other events of a happening say the same again.
    pub(super) fn add<'a>(&self, events: impl IntoIterator<Item = &'a Event>) {
        let mut sums = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut left_out = 0;
        for event in events.into_iter().filter(|event| event.subject == Subject::Sender) {
            let word = |word: &Option<String>| word.clone().unwrap_or_default();
            let kind = (event.kind.clone(), word(&event.cause), word(&event.stream));
            left_out += put(&mut sums.kinds, kind, event.count);
            if let Some(provider) = &event.provider {
                left_out += put(&mut sums.providers, (provider.clone(), event.kind.clone()), event.count);
            }
            if let Some(org) = &event.org {
                left_out += put(&mut sums.orgs, (org.clone(), event.kind.clone()), event.count);
            }
        }
        sums.left_out += left_out;
    }

    #[must_use]
    pub fn so_far(&self) -> Sums {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Answers with what did not fit.
fn put<K: Ord>(sums: &mut BTreeMap<K, u64>, key: K, count: u64) -> u64 {
    if KEYS_MAX <= sums.len() && !sums.contains_key(&key) {
        return count;
    }
    *sums.entry(key).or_default() += count;
    0
}

/// Kinds, causes, streams and providers are words of our own, a few hundred together; organisations are made by people.
const KEYS_MAX: usize = 5000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senders_are_added_up_and_sites_are_not_counted_again() {
        let counted = Counted::default();
        let event = |subject, count| Event {
            count,
            org: Some("asso".into()),
            provider: Some("orange".into()),
            cause: Some("mailbox".into()),
            ..Event::new(5, subject, "deferred")
        };
        counted.add(&[event(Subject::Sender, 2), event(Subject::Site, 1), event(Subject::Sender, 3)]);
        let sums = counted.clone().so_far();
        assert_eq!(sums.kinds.into_values().collect::<Vec<_>>(), [5]);
        assert_eq!(sums.providers[&("orange".into(), "deferred".into())], 5);
        assert_eq!((sums.orgs[&("asso".into(), "deferred".into())], sums.left_out), (5, 0));
    }

    #[test]
    fn names_beyond_the_limit_are_left_out_and_counted() {
        let counted = Counted::default();
        let of = |n: usize| Event { org: Some(format!("org {n}")), ..Event::new(5, Subject::Sender, "accepted") };
        let events: Vec<Event> = (0..KEYS_MAX + 7).map(of).collect();
        counted.add(&events);
        counted.add(&events[..1]);
        let sums = counted.so_far();
        assert_eq!((sums.orgs.len(), sums.left_out), (KEYS_MAX, 7));
        assert_eq!(sums.orgs[&("org 0".into(), "accepted".into())], 2);
    }
}
