//! What this node itself saw of one address, folded event by event; the view can be rebuilt from the ledger (I3).

use serde::{Deserialize, Serialize};
use sm2tp_proto::Enhanced;

use crate::outcome::{Cause, Fate, Strength};

/// One happening about an address, as the ledger keeps it. Times are unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happening {
    Delivered,
    /// A refusal that is about the address, with the code that said so.
    Hard(Hard),
    /// A final failure of a mailbox that exists (full, off for a while).
    Soft,
    /// A person, or the owner of the address, lifted whatever was held against it.
    Released,
}

/// A refusal about the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hard {
    pub strength: Strength,
    /// Disabled or archived by its provider: comes back more often than an address that never was.
    pub inactive: bool,
    pub code: u16,
    pub enhanced: Option<Enhanced>,
}

/// The fold of all happenings of one address. Small on purpose: a node keeps millions of them in memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Unix seconds of the last delivery; 0 = none seen.
    pub delivered_at: u64,
    /// Unix seconds of the first and last refusal since the last delivery or release; 0 = none.
    pub hard_first_at: u64,
    pub hard_at: u64,
    /// True once one refusal was explicit.
    pub hard_strong: bool,
    pub hard_inactive: bool,
    pub hard_code: u16,
    pub hard_enhanced: Option<Enhanced>,
    /// Soft failures counted, at most one a day, and the first and last of them.
    pub soft_count: u16,
    pub soft_first_at: u64,
    pub soft_at: u64,
}

impl Evidence {
    /// The evidence after one more happening. Times that run backwards (a clock that was set) never shorten a block:
    /// the later time is kept.
    #[must_use]
    pub fn after(self, happening: Happening, at: u64) -> Self {
        match happening {
            Happening::Delivered => Self { delivered_at: self.delivered_at.max(at), ..Self::default() },
            Happening::Released => Self { delivered_at: self.delivered_at, ..Self::default() },
            Happening::Hard(hard) => self.after_hard(hard, at),
            Happening::Soft if self.soft_count != 0 && at < self.soft_at.saturating_add(DAY_S) => self,
            Happening::Soft => Self {
                soft_count: self.soft_count.saturating_add(1),
                soft_first_at: if self.soft_count == 0 { at } else { self.soft_first_at },
                soft_at: self.soft_at.max(at),
                ..self
            },
        }
    }

    fn after_hard(self, hard: Hard, at: u64) -> Self {
        Self {
            hard_first_at: if self.hard_at == 0 { at } else { self.hard_first_at.min(at) },
            hard_at: self.hard_at.max(at),
            hard_strong: self.hard_strong || hard.strength == Strength::Strong,
            hard_inactive: hard.inactive,
            hard_code: hard.code,
            hard_enhanced: hard.enhanced,
            ..self
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What a final answer says about the address itself, if anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    Hard,
    Soft,
}

/// The first column of `DESIGN.md` §5: only `address` and `mailbox` say anything about the recipient.
///
/// A refusal that leaves the message in the queue says nothing hard: servers answer "no such user" while their
/// directory is away. A soft failure counts only when the message was given up.
#[must_use]
pub fn says(cause: Cause, fate: Fate, given_up: bool) -> Option<Says> {
    match cause {
        Cause::Address if fate == Fate::Final => Some(Says::Hard),
        Cause::Mailbox if fate == Fate::Final || given_up => Some(Says::Soft),
        _ => None,
    }
}

pub(crate) const DAY_S: u64 = 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    fn hard(strength: Strength) -> Happening {
        Happening::Hard(Hard { strength, inactive: false, code: 550, enhanced: Some(Enhanced(5, 1, 1)) })
    }

    #[test]
    fn a_delivery_clears_what_was_held_against_the_address() {
        let evidence = Evidence::default().after(hard(Strength::Strong), 100).after(Happening::Soft, 200);
        assert_eq!((evidence.hard_at, evidence.soft_count), (100, 1));
        let evidence = evidence.after(Happening::Delivered, 300);
        assert_eq!(evidence, Evidence { delivered_at: 300, ..Evidence::default() });
    }

    #[test]
    fn soft_failures_count_once_a_day() {
        let day = |n: u64| 1_000_000 + n * DAY_S;
        let evidence = [day(0), day(0) + 60, day(1), day(1) + 5, day(3)]
            .iter()
            .fold(Evidence::default(), |evidence, at| evidence.after(Happening::Soft, *at));
        assert_eq!((evidence.soft_count, evidence.soft_first_at, evidence.soft_at), (3, day(0), day(3)));
    }

    #[test]
    fn a_clock_that_jumps_back_does_not_shorten_a_block() {
        let evidence = Evidence::default().after(hard(Strength::Strong), 1000).after(hard(Strength::Weak), 10);
        assert_eq!((evidence.hard_first_at, evidence.hard_at, evidence.hard_strong), (10, 1000, true));
    }
}
