//! How many connections one site gets: halved when it says "too fast", one more after a run of successes (R20).

/// The pace of one site. Times are unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    limit: usize,
    limit_max: usize,
    successes: u32,
    paused_until: u64,
    troubles: u32,
}

impl Pace {
    /// A site that was never met: it starts at what the administrator allows.
    #[must_use]
    pub fn new(limit_max: usize) -> Self {
        let limit_max = limit_max.max(1);
        Self { limit: limit_max, limit_max, successes: 0, paused_until: 0, troubles: 0 }
    }

    /// Connections that may be open at `now`.
    #[must_use]
    pub fn limit(&self, now: u64) -> usize {
        if now < self.paused_until { 0 } else { self.limit }
    }

    /// When a paused site may be met again.
    #[must_use]
    pub fn paused_until(&self, now: u64) -> Option<u64> {
        (now < self.paused_until).then_some(self.paused_until)
    }

    /// A mail was taken. Every [`SUCCESSES_PER_STEP`] of them allow one more connection.
    pub fn succeeded(&mut self) {
        self.troubles = 0;
        self.successes += 1;
        if SUCCESSES_PER_STEP <= self.successes {
            self.successes = 0;
            self.limit = (self.limit + 1).min(self.limit_max);
        }
    }

    /// The site said that it gets too much.
    pub fn slowed(&mut self) {
        self.successes = 0;
        self.limit = (self.limit / 2).max(1);
    }

    /// The site could not be reached, or closed the door before any mail was spoken of: a pause that doubles from
    /// [`PAUSE_FIRST_S`] to [`PAUSE_MAX_S`] while nothing else is heard.
    pub fn unreachable(&mut self, now: u64) {
        let pause = (PAUSE_FIRST_S << self.troubles.min(16)).min(PAUSE_MAX_S);
        self.troubles += 1;
        self.slowed();
        self.paused_until = now.saturating_add(pause);
    }
}

const SUCCESSES_PER_STEP: u32 = 20;
/// Short enough that a restart of the other side costs nobody a quarter of an hour.
const PAUSE_FIRST_S: u64 = 1;
/// Long enough that a dead site costs us little, short enough that its return is noticed.
const PAUSE_MAX_S: u64 = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_that_complains_is_halved_and_climbs_back() {
        let mut pace = Pace::new(4);
        assert_eq!(pace.limit(0), 4);
        pace.slowed();
        pace.slowed();
        pace.slowed();
        assert_eq!(pace.limit(0), 1);
        (0..SUCCESSES_PER_STEP * 10).for_each(|_| pace.succeeded());
        assert_eq!(pace.limit(0), 4);
    }

    #[test]
    fn an_unreachable_site_is_paused_longer_each_time() {
        let mut pace = Pace::new(4);
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
