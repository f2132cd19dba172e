//! How many domains are looked up at once: after an outage a hundred thousand of them are due together.

use std::collections::VecDeque;

use sm2tp_proto::Domain;

/// The domains whose site is being found, and those that wait until it may be.
#[derive(Debug, Default)]
pub(super) struct Locating {
    under_way: usize,
    waiting: VecDeque<Domain>,
}

impl Locating {
    /// Gives the domain back where it may be looked up at once; else it waits.
    pub(super) fn begin(&mut self, domain: Domain) -> Option<Domain> {
        if LOOKUPS_MAX <= self.under_way {
            self.waiting.push_back(domain);
            return None;
        }
        self.under_way += 1;
        Some(domain)
    }

    /// One was found, or not. Answers with the next one to look up.
    pub(super) fn ended(&mut self) -> Option<Domain> {
        let next = self.waiting.pop_front();
        if next.is_none() {
            self.under_way = self.under_way.saturating_sub(1);
        }
        next
    }
}

/// Each takes up to four sockets while nobody answers, of the files that all doors share, and a resolver lets fall what is too
/// much at once: the mail would be deferred for want of an answer.
const LOOKUPS_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_are_looked_up_at_once_and_the_others_in_their_order() {
        let mut locating = Locating::default();
        let domain = |n: usize| Domain::parse(&format!("d{n}.test")).unwrap();
        let begun = (0..LOOKUPS_MAX + 2).filter_map(|n| locating.begin(domain(n))).count();
        assert_eq!(begun, LOOKUPS_MAX);
        assert_eq!([locating.ended(), locating.ended()], [Some(domain(LOOKUPS_MAX)), Some(domain(LOOKUPS_MAX + 1))]);
        assert_eq!(locating.ended(), None);
        assert_eq!(locating.begin(domain(0)), Some(domain(0)), "the place of the one that ended");
        assert_eq!(locating.begin(domain(1)), None);
    }
}
