//! When segments came, by their local numbers: these rise with time, so that one row for each hour says it of all origins.

use std::collections::VecDeque;

/// The hours (since 1970) in which segments came, each with the lowest local number of it.
#[derive(Debug, Default)]
pub(super) struct Arrivals(VecDeque<(u32, u64)>);

impl Arrivals {
    /// Notes a segment, in the order in which they came. `at` in unix seconds. A clock that went back was ahead before, since what is
    /// sealed in the future is not taken: what it said then is forgotten.
    pub(super) fn note(&mut self, row: u64, at: u64) {
        let hour = hour(at);
        while self.0.pop_back_if(|(last, begins)| hour < *last && *begins < row).is_some() {}
        if self.0.back().is_none_or(|(last, begins)| *last < hour && *begins < row) {
            self.0.push_back((hour, row));
        }
        while HOURS_MAX < self.0.len() {
            self.0.pop_front();
        }
    }

    /// The hour in which a segment came; that of the oldest one that is remembered for those before it, 0 where none is.
    pub(super) fn hour(&self, row: u64) -> u32 {
        let behind = self.0.partition_point(|(_, begins)| *begins <= row);
        self.0.get(behind.saturating_sub(1)).map_or(0, |(hour, _)| *hour)
    }
}

/// Hours since 1970.
pub(super) fn hour(at: u64) -> u32 {
    u32::try_from(at / 3600).unwrap_or(u32::MAX)
}

/// No event counts for longer than 400 days.
const HOURS_MAX: usize = 400 * 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hour_of_a_segment_is_that_of_its_local_number_whatever_the_clock_did() {
        let mut arrivals = Arrivals::default();
        assert_eq!(arrivals.hour(7), 0);
        for (row, hour) in [(3, 100), (4, 100), (5, 900), (6, 901), (7, 102), (2, 99), (9, 103)] {
            arrivals.note(row, hour * 3600 + 59);
        }
        let found: Vec<u32> = (2..=10).map(|row| arrivals.hour(row)).collect();
        assert_eq!(found, [100, 100, 100, 100, 100, 102, 102, 103, 103]);
    }

    #[test]
    fn no_more_hours_are_remembered_than_an_event_counts() {
        let mut arrivals = Arrivals::default();
        (0..2 * HOURS_MAX as u64).for_each(|n| arrivals.note(n, (1000 + n) * 3600));
        assert_eq!(arrivals.0.len(), HOURS_MAX);
        assert_eq!(arrivals.hour(0), 1000 + HOURS_MAX as u32);
        assert_eq!(arrivals.hour(u64::MAX), 999 + 2 * HOURS_MAX as u32);
    }
}
