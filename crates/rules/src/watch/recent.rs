//! What a sender did lately: counts in two rings of slots, ten minutes to a day.

use super::{Count, Window};

/// What is counted in one slot of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts(pub [u32; Count::ALL.len()]);

/// The last day: the last hour by five minutes, the rest by hours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recent {
    /// Number of the five minutes that the newest slot is for, from 1970 on.
    pub now: u64,
    pub minutes: [Counts; MINUTES],
    pub hours: [Counts; HOURS],
}

impl Counts {
    pub(super) fn of(&self, what: Count) -> u32 {
        self.0[what as usize]
    }

    fn add(&mut self, what: Count, by: u32) {
        let place = &mut self.0[what as usize];
        *place = place.saturating_add(by);
    }
}

impl Recent {
    pub(super) fn new(now_s: u64) -> Self {
        Self { now: now_s / SLOT_S, minutes: [Counts::default(); MINUTES], hours: [Counts::default(); HOURS] }
    }

    /// Forgets what has become too old. A clock that was set back takes what was seen along: it lies as far back as before.
    pub(super) fn advance(&mut self, now_s: u64) {
        let now = now_s / SLOT_S;
        if now < self.now {
            self.shift_back(now);
            return;
        }
        for slot in (self.now + 1..=now).rev().take(MINUTES) {
            self.minutes[place(slot, MINUTES)] = Counts::default();
        }
        let (hour_before, hour) = (self.now / SLOTS_AN_HOUR, now / SLOTS_AN_HOUR);
        for slot in (hour_before + 1..=hour).rev().take(HOURS) {
            self.hours[place(slot, HOURS)] = Counts::default();
        }
        self.now = now;
    }

    /// Counts something that happened in the slot of `at_s`; what is older than a ring holds is not in its windows.
    pub(super) fn add(&mut self, at_s: u64, what: Count, by: u32) {
        let at = (at_s / SLOT_S).min(self.now);
        if self.now - at < MINUTES as u64 {
            self.minutes[place(at, MINUTES)].add(what, by);
        }
        if self.now / SLOTS_AN_HOUR - at / SLOTS_AN_HOUR < HOURS as u64 {
            self.hours[place(at / SLOTS_AN_HOUR, HOURS)].add(what, by);
        }
    }

    /// How often in the window that ends now.
    pub(super) fn sum(&self, what: Count, window: Window) -> u32 {
        let sum = |slots: &[Counts]| slots.iter().fold(0_u32, |sum, slot| sum.saturating_add(slot.of(what)));
        match window {
            Window::Minutes => {
                let slot = |at: u64| self.minutes[place(at, MINUTES)].of(what);
                slot(self.now).saturating_add(slot(self.now.saturating_sub(1)))
            }
            Window::Hour => sum(&self.minutes),
            // A week is counted elsewhere; of it the rings hold the last day.
            Window::Day | Window::Week => sum(&self.hours),
        }
    }

    fn shift_back(&mut self, now: u64) {
        let by = self.now - now;
        let hours = self.now / SLOTS_AN_HOUR - now / SLOTS_AN_HOUR;
        self.minutes.rotate_left((by % MINUTES as u64) as usize);
        self.hours.rotate_left((hours % HOURS as u64) as usize);
        self.now = now;
    }
}

fn place(slot: u64, len: usize) -> usize {
    (slot % len as u64) as usize
}

/// Seconds of a slot of the last hour.
const SLOT_S: u64 = 300;
const SLOTS_AN_HOUR: u64 = 3600 / SLOT_S;
const MINUTES: usize = SLOTS_AN_HOUR as usize;
const HOURS: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    const T0: u64 = 1_800_000_000;

    #[test]
    fn a_window_holds_what_happened_in_it_and_no_more() {
        let mut recent = Recent::new(T0);
        recent.add(T0, Count::Asked, 3);
        #[track_caller]
        fn check(recent: &mut Recent, after_s: u64, want: [u32; 3]) {
            recent.advance(T0 + after_s);
            let found = [Window::Minutes, Window::Hour, Window::Day].map(|window| recent.sum(Count::Asked, window));
            assert_eq!(found, want, "{after_s} s later");
        }
        check(&mut recent, 0, [3, 3, 3]);
        check(&mut recent, 299, [3, 3, 3]);
        check(&mut recent, 900, [0, 3, 3]);
        check(&mut recent, 3600, [0, 0, 3]);
        check(&mut recent, 86_400, [0, 0, 0]);
        check(&mut recent, 86_400 * 400, [0, 0, 0]);
    }

    #[test]
    fn what_happened_earlier_is_counted_where_it_belongs_and_the_future_now() {
        let mut recent = Recent::new(T0);
        recent.add(T0 - 7200, Count::Unknown, 1);
        recent.add(T0 - 90_000, Count::Unknown, 1);
        recent.add(u64::MAX, Count::Unknown, 1);
        recent.add(0, Count::Unknown, 1);
        assert_eq!(recent.sum(Count::Unknown, Window::Hour), 1);
        assert_eq!(recent.sum(Count::Unknown, Window::Day), 2);
    }

    #[test]
    fn a_clock_that_is_set_back_keeps_what_was_seen_as_old_as_it_was() {
        for back_s in [300, 4000, 86_400, 900_000] {
            let mut recent = Recent::new(T0);
            recent.add(T0 - 7200, Count::New, 5);
            recent.add(T0, Count::New, 2);
            recent.advance(T0 - back_s);
            assert_eq!([Window::Minutes, Window::Day].map(|window| recent.sum(Count::New, window)), [2, 7], "{back_s}");
            recent.advance(T0 - back_s + 3600);
            assert_eq!([Window::Hour, Window::Day].map(|window| recent.sum(Count::New, window)), [0, 7], "{back_s}");
        }
    }
}
