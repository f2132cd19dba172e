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
    /// What all slots of a ring hold together: every recipient asks for these sums a dozen times.
    hour: Total,
    day: Total,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Total([u64; Count::ALL.len()]);

impl Counts {
    pub(super) fn of(&self, what: Count) -> u32 {
        self.0[what as usize]
    }

    /// Answers with what there was room for.
    fn add(&mut self, what: Count, by: u32) -> u32 {
        let place = &mut self.0[what as usize];
        let before = *place;
        *place = place.saturating_add(by);
        *place - before
    }
}

impl Total {
    fn of(slots: &[Counts]) -> Self {
        let mut total = Self::default();
        slots.iter().for_each(|slot| total.add(slot));
        total
    }

    fn add(&mut self, slot: &Counts) {
        self.0.iter_mut().zip(&slot.0).for_each(|(sum, count)| *sum += u64::from(*count));
    }

    fn take(&mut self, slot: &Counts) {
        self.0.iter_mut().zip(&slot.0).for_each(|(sum, count)| *sum -= u64::from(*count));
    }

    fn count(&self, what: Count) -> u32 {
        u32::try_from(self.0[what as usize]).unwrap_or(u32::MAX)
    }
}

impl Recent {
    pub(super) fn new(now_s: u64) -> Self {
        Self::of(now_s / SLOT_S, [Counts::default(); MINUTES], [Counts::default(); HOURS])
    }

    /// With slots that were kept somewhere.
    pub(super) fn of(now: u64, minutes: [Counts; MINUTES], hours: [Counts; HOURS]) -> Self {
        Self { now, hour: Total::of(&minutes), day: Total::of(&hours), minutes, hours }
    }

    /// Forgets what has become too old. A clock that was set back takes what was seen along: it lies as far back as before.
    pub(super) fn advance(&mut self, now_s: u64) {
        let now = now_s / SLOT_S;
        if now < self.now {
            self.shift_back(now);
            return;
        }
        for slot in (self.now + 1..=now).rev().take(MINUTES) {
            self.hour.take(&std::mem::take(&mut self.minutes[place(slot, MINUTES)]));
        }
        let (hour_before, hour) = (self.now / SLOTS_AN_HOUR, now / SLOTS_AN_HOUR);
        for slot in (hour_before + 1..=hour).rev().take(HOURS) {
            self.day.take(&std::mem::take(&mut self.hours[place(slot, HOURS)]));
        }
        self.now = now;
    }

    /// Counts something that happened in the slot of `at_s`; what is older than a ring holds is not in its windows.
    pub(super) fn add(&mut self, at_s: u64, what: Count, by: u32) {
        let at = (at_s / SLOT_S).min(self.now);
        if self.now - at < MINUTES as u64 {
            self.hour.0[what as usize] += u64::from(self.minutes[place(at, MINUTES)].add(what, by));
        }
        if self.now / SLOTS_AN_HOUR - at / SLOTS_AN_HOUR < HOURS as u64 {
            self.day.0[what as usize] += u64::from(self.hours[place(at / SLOTS_AN_HOUR, HOURS)].add(what, by));
        }
    }

    /// How often in the window that ends now.
    pub(super) fn sum(&self, what: Count, window: Window) -> u32 {
        match window {
            Window::Minutes => {
                let slot = |at: u64| self.minutes[place(at, MINUTES)].of(what);
                slot(self.now).saturating_add(slot(self.now.saturating_sub(1)))
            }
            Window::Hour => self.hour.count(what),
            // A week is counted elsewhere; of it the rings hold the last day.
            Window::Day | Window::Week => self.day.count(what),
        }
    }

    /// The most of an hour within the last day.
    pub(super) fn busiest_hour(&self, what: Count) -> u32 {
        self.hours.iter().map(|hour| hour.of(what)).max().unwrap_or_default()
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
pub(super) const MINUTES: usize = SLOTS_AN_HOUR as usize;
pub(super) const HOURS: usize = 24;

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
