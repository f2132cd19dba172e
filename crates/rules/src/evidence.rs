//! What this node itself saw of one address, folded event by event; the view can be rebuilt from the ledger (I3).

use serde::{Deserialize, Serialize};
use sm2tp_proto::Enhanced;

use crate::imported::Imported;
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
    /// This node did not hear it itself.
    pub imported: Option<Imported>,
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
    /// Where the last refusal is known from, if not from a server that this node spoke to.
    pub hard_imported: Option<Imported>,
    /// Days with a soft failure: bit n is the day n days before that of the last one. At most one counts in 24 hours.
    pub soft_days: u64,
    pub soft_at: u64,
}

impl Evidence {
    /// The evidence after one more happening.
    ///
    /// Times that run backwards a little (another machine, a slow report) never shorten a block: the later time is
    /// kept. Where the time that was kept is more than a day after the one of now, a clock was wrong then, and the one
    /// of now is taken: an hour in the year 2099 must not block an address until 2100.
    #[must_use]
    pub fn after(self, happening: Happening, at: u64) -> Self {
        match happening {
            Happening::Delivered => Self { delivered_at: later(self.delivered_at, at), ..Self::default() },
            Happening::Released => Self { delivered_at: self.delivered_at, ..Self::default() },
            Happening::Hard(hard) => self.after_hard(hard, at),
            Happening::Soft => self.after_soft(at),
        }
    }

    fn after_hard(self, hard: Hard, at: u64) -> Self {
        Self {
            hard_first_at: if self.hard_at == 0 { at } else { self.hard_first_at.min(at) },
            hard_at: later(self.hard_at, at),
            hard_strong: self.hard_strong || hard.strength == Strength::Strong,
            hard_inactive: hard.inactive,
            hard_code: hard.code,
            hard_enhanced: hard.enhanced,
            hard_imported: hard.imported,
            ..self
        }
    }

    fn after_soft(self, at: u64) -> Self {
        if self.soft_days == 0 || is_ahead(self.soft_at, at) {
            return Self { soft_days: 1, soft_at: at, ..self };
        }
        if at < self.soft_at.saturating_add(DAY_S) {
            return self;
        }
        // By the calendar: a shift by whole days since the last would lose up to a day each time.
        let days = u32::try_from(at / DAY_S - self.soft_at / DAY_S).unwrap_or(u32::MAX);
        Self { soft_days: self.soft_days.checked_shl(days).unwrap_or(0) | 1, soft_at: at, ..self }
    }

    /// The soft failures of the `window_s` seconds up to the last one: how many, and how many seconds lie between the
    /// first and the last. Not more than [`SOFT_DAYS_MAX`] days are remembered.
    #[must_use]
    pub fn soft(&self, window_s: u64) -> (u16, u64) {
        let days = (window_s / DAY_S).min(SOFT_DAYS_MAX);
        let within = self.soft_days & (u64::MAX >> (SOFT_DAYS_MAX - days));
        let count = u16::try_from(within.count_ones()).unwrap_or(u16::MAX);
        (count, within.checked_ilog2().map_or(0, |first| u64::from(first) * DAY_S))
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

/// The later of two times, unless the one that was kept comes from a clock that was ahead.
fn later(kept: u64, at: u64) -> u64 {
    if is_ahead(kept, at) { at } else { kept.max(at) }
}

fn is_ahead(kept: u64, at: u64) -> bool {
    at.saturating_add(DAY_S) < kept
}

/// Soft failures are remembered for so many days before the last one.
pub const SOFT_DAYS_MAX: u64 = 63;

pub(crate) const DAY_S: u64 = 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    fn hard(strength: Strength) -> Happening {
        Happening::Hard(Hard {
            strength,
            inactive: false,
            code: 550,
            enhanced: Some(Enhanced(5, 1, 1)),
            imported: None,
        })
    }

    #[test]
    fn a_delivery_clears_what_was_held_against_the_address() {
        let evidence = Evidence::default().after(hard(Strength::Strong), 100).after(Happening::Soft, 200);
        assert_eq!((evidence.hard_at, evidence.soft_days), (100, 1));
        let evidence = evidence.after(Happening::Delivered, 300);
        assert_eq!(evidence, Evidence { delivered_at: 300, ..Evidence::default() });
    }

    #[test]
    fn soft_failures_count_once_a_day_and_within_the_window_only() {
        #[track_caller]
        fn check(hours: &[u64], window_days: u64, want: (u16, u64)) {
            let soft = |e: Evidence, hour: &u64| e.after(Happening::Soft, 20_000 * DAY_S + hour * 3600);
            let (count, spread_s) = hours.iter().fold(Evidence::default(), soft).soft(window_days * DAY_S);
            assert_eq!((count, spread_s / DAY_S), want, "{hours:?}");
        }
        check(&[], 30, (0, 0));
        check(&[0], 30, (1, 0));
        check(&[0, 1, 24, 25, 72], 30, (3, 3));
        check(&[23, 24, 25], 30, (1, 0));
        // Every 47 hours: nothing is lost on the way.
        check(&[0, 47, 94, 141, 188, 235], 30, (6, 9));
        // One in a hundred days, for years, is never five within thirty.
        check(&[0, 2400, 4800, 7200, 9600, 12_000], 30, (1, 0));
        check(&[0, 240, 480, 720, 960], 30, (4, 30));
        check(&[0, 240, 480, 720, 960], 63, (5, 40));
        check(&[0, 240], 0, (1, 0));
        check(&[0, 240], 10_000, (2, 10));
    }

    #[test]
    fn a_clock_that_jumps_back_does_not_shorten_a_block() {
        let evidence = Evidence::default().after(hard(Strength::Strong), 1000).after(hard(Strength::Weak), 10);
        assert_eq!((evidence.hard_first_at, evidence.hard_at, evidence.hard_strong), (10, 1000, true));
    }

    #[test]
    fn a_clock_that_was_far_ahead_is_forgotten_with_the_next_happening() {
        const NOW: u64 = 1_800_000_000;
        let ahead = NOW + 10_000 * DAY_S;
        let evidence = Evidence::default().after(hard(Strength::Strong), ahead).after(hard(Strength::Strong), NOW);
        assert_eq!((evidence.hard_first_at, evidence.hard_at), (NOW, NOW));
        let evidence = Evidence::default().after(Happening::Soft, ahead).after(Happening::Soft, NOW);
        assert_eq!((evidence.soft_days, evidence.soft_at), (1, NOW));
        let evidence = Evidence::default().after(Happening::Delivered, ahead).after(Happening::Delivered, NOW);
        assert_eq!(evidence.delivered_at, NOW);
        // The last second that there is, and the first.
        let evidence = Evidence::default().after(Happening::Soft, u64::MAX).after(hard(Strength::Weak), u64::MAX);
        assert_eq!((evidence.soft_at, evidence.after(Happening::Soft, 0).soft_at), (u64::MAX, 0));
    }
}
