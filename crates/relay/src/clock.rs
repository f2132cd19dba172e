//! Notices when the machine's clock was set. What the queue holds are waits; a clock that is put back by a day must not
//! make them a day longer, and one that is put forward must not send all that waits at once.

use std::time::Instant;

/// The last look at both clocks: the one of the world, which people and programs set, and the one that only runs on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    /// Unix seconds.
    wall: u64,
    running: Instant,
}

impl Clock {
    pub(crate) fn new(wall: u64, running: Instant) -> Self {
        Self { wall, running }
    }

    /// Seconds by which the clock was set since the last look, negative when it was put back; none when it ran on.
    /// A machine that slept looks like one whose clock was put forward, and is treated as such.
    pub(crate) fn set(&mut self, wall: u64, running: Instant) -> Option<i64> {
        let expected = self.wall.saturating_add(running.saturating_duration_since(self.running).as_secs());
        let by = wall.checked_signed_diff(expected)?;
        *self = Self { wall, running };
        (SET_MIN_S <= by.unsigned_abs()).then_some(by)
    }
}

/// Less than this is the work of a time daemon, or of the seconds that both clocks round.
const SET_MIN_S: u64 = 60;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_clock_that_is_set_is_noticed_once() {
        let start = Instant::now();
        let after = |s| start + Duration::from_secs(s);
        let mut clock = Clock::new(1_000_000, start);
        assert_eq!(clock.set(1_000_010, after(10)), None);
        assert_eq!(clock.set(1_000_025, after(20)), None, "a time daemon");
        assert_eq!(clock.set(913_635, after(30)), Some(-86_400));
        assert_eq!(clock.set(913_645, after(40)), None);
        assert_eq!(clock.set(1_000_055, after(50)), Some(86_400));
        assert_eq!(clock.set(1_000_056, after(51)), None);
    }
}
