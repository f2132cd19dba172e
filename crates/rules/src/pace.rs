//! How fast one site is met: fewer connections, then longer gaps when it says "too fast"; more after a run of
//! successes, up to its limits (R20). Additive increase, multiplicative decrease.

use crate::sites::SiteLimits;

/// The pace of one site. Times are unix seconds unless they say otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    limit: usize,
    limit_max: usize,
    successes: u32,
    paused_until: u64,
    troubles: u32,
    /// Time between two mails that the site allows, in milliseconds.
    gap_min_ms: u64,
    /// And the one that is kept now.
    gap_ms: u64,
    /// When the next mail may go, in unix milliseconds.
    next_ms: u64,
    slowed_at: u64,
}

impl Pace {
    /// A site that was never met: it starts at what is allowed.
    #[must_use]
    pub fn new(limits: &SiteLimits) -> Self {
        let limit_max = limits.connections_max.max(1);
        let gap_min_ms = limits.mails_per_minute_max.map_or(0, |mails| 60_000 / u64::from(mails.get()));
        Self {
            limit: limit_max,
            limit_max,
            successes: 0,
            paused_until: 0,
            troubles: 0,
            gap_min_ms,
            gap_ms: gap_min_ms,
            next_ms: 0,
            slowed_at: 0,
        }
    }

    /// Connections that may be open at `now`.
    #[must_use]
    pub fn limit(&self, now: u64) -> usize {
        if self.is_paused(now) { 0 } else { self.limit }
    }

    /// When a site that may not be met now may be met again: after a pause, or when the next mail may go.
    #[must_use]
    pub fn paused_until(&self, now: u64) -> Option<u64> {
        let next = if self.is_held_back(now) { self.next_ms.div_ceil(1000) } else { 0 };
        let pause = if self.is_paused(now) { self.paused_until } else { 0 };
        Some(pause.max(next)).filter(|until| now < *until)
    }

    /// Asks to send one mail now; yes counts it. A second holds several mails where the gap is shorter than that.
    pub fn may_send(&mut self, now: u64) -> bool {
        if self.is_paused(now) || self.is_held_back(now) {
            return false;
        }
        if 0 < self.gap_ms {
            // What was not used is not saved up beyond one second: a site sees no burst after a quiet hour.
            self.next_ms = self.next_ms.max(now.saturating_mul(1000)) + self.gap_ms;
        }
        true
    }

    /// A mail was taken. Every [`SUCCESSES_PER_STEP`] of them make the gap shorter, and then allow one more connection.
    pub fn succeeded(&mut self) {
        self.troubles = 0;
        self.successes += 1;
        if self.successes < SUCCESSES_PER_STEP {
            return;
        }
        self.successes = 0;
        if self.gap_min_ms < self.gap_ms {
            self.gap_ms = self.gap_ms.saturating_sub(GAP_STEP_MS).max(self.gap_min_ms);
        } else {
            self.limit = (self.limit + 1).min(self.limit_max);
        }
    }

    /// The site said that it gets too much: half the connections, and with one left, twice the time between mails.
    ///
    /// Mails that were under way together hear it together; within [`SLOWED_ONCE_S`] that is one complaint.
    pub fn slowed(&mut self, now: u64) {
        self.successes = 0;
        if (self.slowed_at..self.slowed_at.saturating_add(SLOWED_ONCE_S)).contains(&now) && self.slowed_at != 0 {
            return;
        }
        self.slowed_at = now;
        if 1 < self.limit {
            self.limit /= 2;
            return;
        }
        self.gap_ms = (self.gap_ms * 2).clamp(GAP_FIRST_MS, GAP_MAX_MS).max(self.gap_min_ms);
        self.next_ms = now.saturating_mul(1000) + self.gap_ms;
    }

    /// The site could not be reached, or closed the door before any mail was spoken of: a pause that doubles from
    /// [`PAUSE_FIRST_S`] to [`PAUSE_MAX_S`] while nothing else is heard.
    pub fn unreachable(&mut self, now: u64) {
        let pause = (PAUSE_FIRST_S << self.troubles.min(16)).min(PAUSE_MAX_S);
        self.troubles += 1;
        self.successes = 0;
        self.limit = (self.limit / 2).max(1);
        self.paused_until = now.saturating_add(pause);
    }

    /// True where nothing is to be remembered about this site.
    #[must_use]
    pub fn is_untroubled(&self) -> bool {
        self.limit == self.limit_max && self.gap_ms == self.gap_min_ms && self.troubles == 0 && self.next_ms == 0
    }

    /// A clock that was put back must not make a pause longer than the longest one.
    fn is_paused(&self, now: u64) -> bool {
        now < self.paused_until && self.paused_until <= now.saturating_add(PAUSE_MAX_S)
    }

    /// Nor a gap.
    fn is_held_back(&self, now: u64) -> bool {
        let (now_ms, horizon) = (now.saturating_mul(1000), GAP_MAX_MS.max(self.gap_min_ms) + 1000);
        now_ms + 1000 <= self.next_ms && self.next_ms <= now_ms + horizon
    }
}

const SUCCESSES_PER_STEP: u32 = 20;
/// Short enough that a restart of the other side costs nobody a quarter of an hour.
const PAUSE_FIRST_S: u64 = 1;
/// Long enough that a dead site costs us little, short enough that its return is noticed.
const PAUSE_MAX_S: u64 = 300;
/// As long as a connection takes to be opened and to be told off again.
const SLOWED_ONCE_S: u64 = 10;
/// The first gap after a complaint with one connection left, the longest, and how much shorter each step makes it.
const GAP_FIRST_MS: u64 = 1000;
const GAP_MAX_MS: u64 = 60_000;
const GAP_STEP_MS: u64 = 2000;

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn limits(connections_max: usize) -> SiteLimits {
        SiteLimits { connections_max, ..SiteLimits::default() }
    }

    /// How many mails may go at one second.
    fn sent(pace: &mut Pace, now: u64) -> usize {
        (0..1000).take_while(|_| pace.may_send(now)).count()
    }

    #[test]
    fn a_site_that_complains_is_halved_and_climbs_back() {
        let mut pace = Pace::new(&limits(4));
        assert_eq!((pace.limit(10), sent(&mut pace, 10)), (4, 1000));
        pace.slowed(10);
        pace.slowed(10);
        pace.slowed(19);
        assert_eq!(pace.limit(19), 2, "one complaint, heard on three connections");
        pace.slowed(20);
        assert_eq!((pace.limit(20), sent(&mut pace, 20)), (1, 1000));
        pace.slowed(30);
        assert_eq!((pace.limit(30), pace.paused_until(30), sent(&mut pace, 30)), (1, Some(31), 0));
        pace.slowed(40);
        assert_eq!((pace.paused_until(40), sent(&mut pace, 42), sent(&mut pace, 43)), (Some(42), 1, 0));
        assert!(!pace.is_untroubled());
        (0..SUCCESSES_PER_STEP * 10).for_each(|_| pace.succeeded());
        assert_eq!((pace.limit(100), sent(&mut pace, 100)), (4, 1000));
    }

    #[test]
    fn the_gap_has_an_end_in_both_directions() {
        let mut pace = Pace::new(&limits(1));
        (1..=10).for_each(|n| pace.slowed(n * 100));
        assert_eq!(pace.paused_until(1000), Some(1060));
        // The clock was put back: nobody waits until it is there again.
        assert_eq!(pace.paused_until(900), None);
        assert!(pace.may_send(10));
    }

    #[test]
    fn mails_per_minute_are_kept_and_not_saved_up() {
        let mut pace = Pace::new(&SiteLimits { mails_per_minute_max: NonZeroU32::new(30), ..limits(4) });
        let sent_in_a_minute: usize = (1000..1060).map(|now| sent(&mut pace, now)).sum();
        assert_eq!(sent_in_a_minute, 30);
        assert_eq!(sent(&mut pace, 9000), 1);
        let mut fast = Pace::new(&SiteLimits { mails_per_minute_max: NonZeroU32::new(600), ..limits(4) });
        assert_eq!((sent(&mut fast, 50), sent(&mut fast, 51)), (10, 10));
    }

    #[test]
    fn an_unreachable_site_is_paused_longer_each_time() {
        let mut pace = Pace::new(&limits(4));
        pace.unreachable(100);
        assert_eq!((pace.limit(100), pace.paused_until(100)), (0, Some(101)));
        assert_eq!(pace.limit(101), 2);
        (0..40).for_each(|_| pace.unreachable(200));
        assert_eq!(pace.paused_until(200), Some(500));
        pace.succeeded();
        pace.unreachable(600);
        assert_eq!(pace.paused_until(600), Some(601));
    }
}
