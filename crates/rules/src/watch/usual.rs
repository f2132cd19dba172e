//! What is usual for a sender: learned from ordinary days, fading over months.

use super::{Count, Window};
use crate::watch::recent::Recent;

/// The learned profile.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Usual {
    /// Number of the day that is being counted, from 1970 on.
    pub day: u64,
    /// Nothing was strange today so far.
    pub is_ordinary: bool,
    /// This hour is one of the day at which it never writes.
    pub is_odd: bool,
    /// The most of today in each window: all recipients, then new ones.
    pub today: [[u32; 3]; 2],
    /// The most of an ordinary day, fading.
    pub high: [[f64; 3]; 2],
    /// Today's counts, and the sum of those of ordinary days, fading.
    pub counts: [u32; Count::ALL.len()],
    pub sums: [f64; Count::ALL.len()],
    /// Of this week, ordinary or not: complaints and deliveries, fading.
    pub complained: f64,
    pub delivered: f64,
    /// Number of the hour that is being counted, and its recipients.
    pub hour: u64,
    pub in_hour: u32,
    /// Recipients in each hour of the week (Thursday 0 h first, UTC), on average, in sixteenths.
    pub week: [u16; WEEK],
    /// Days on which it wrote.
    pub active: u32,
}

/// Of what the most is learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Habit {
    All,
    New,
}

impl Usual {
    pub(super) fn new(now_s: u64) -> Self {
        Self {
            day: now_s / DAY_S,
            is_ordinary: true,
            is_odd: false,
            today: [[0; 3]; 2],
            high: [[0.0; 3]; 2],
            counts: [0; Count::ALL.len()],
            sums: [0.0; Count::ALL.len()],
            complained: 0.0,
            delivered: 0.0,
            hour: now_s / HOUR_S,
            in_hour: 0,
            week: [0; WEEK],
            active: 0,
        }
    }

    /// Learns from hours and days that are over. A clock that was set back begins the day and the hour that it shows.
    pub(super) fn advance(&mut self, now_s: u64) {
        let (hour, day) = (now_s / HOUR_S, now_s / DAY_S);
        if self.hour < hour {
            self.close_hours(hour);
        }
        if self.day < day {
            self.close_day(day - self.day);
        }
        if self.hour != hour {
            self.is_odd = self.is_odd_at(hour);
        }
        (self.hour, self.day) = (hour, day);
    }

    /// Counts something that belongs to today.
    pub(super) fn add(&mut self, what: Count) {
        let place = &mut self.counts[what as usize];
        *place = place.saturating_add(1);
        match what {
            Count::Asked => self.in_hour = self.in_hour.saturating_add(1),
            Count::Complained => self.complained += 1.0,
            Count::Delivered => self.delivered += 1.0,
            _ => {}
        }
    }

    /// Remembers the most of today.
    pub(super) fn peak(&mut self, recent: &Recent) {
        for (habit, count) in [(Habit::All, Count::Counted), (Habit::New, Count::New)] {
            for (place, window) in self.today[habit as usize].iter_mut().zip(Window::RECENT) {
                *place = (*place).max(recent.sum(count, *window));
            }
        }
    }

    /// A campaign that was announced: its readers are usual from now on, and its new ones are not.
    pub(super) fn announced(&mut self, recent: &Recent) {
        for (place, window) in self.today[Habit::All as usize].iter_mut().zip(Window::RECENT) {
            *place = (*place).max(recent.sum(Count::Asked, *window));
        }
    }

    /// Forgets so many days of new recipients faster than other habits: in the first weeks of an organisation those were new
    /// because nobody was known, and months later they would hide fifty stolen mailboxes.
    pub(super) fn forget_new(&mut self, days: u64) {
        let fades = FIRST_WEEKS_FADE.powi(i32::try_from(days.min(DAYS_BACK_MAX)).unwrap_or(i32::MAX));
        self.high[Habit::New as usize].iter_mut().for_each(|high| *high *= fades);
    }

    /// A person said that what is counted now was in order.
    pub(super) fn accept(&mut self) {
        self.learn();
        self.is_ordinary = true;
    }

    /// The most that was usual.
    pub(super) fn high(&self, habit: Habit, window: Window) -> f64 {
        self.high[habit as usize].get(window as usize).copied().unwrap_or_default()
    }

    /// The usual share in thousandths, where a little is taken for granted before much is known.
    pub(super) fn permille(&self, what: Count, of: Count) -> f64 {
        let (count, all) = (self.sums[what as usize], self.sums[of as usize]);
        1000.0 * (count + PRIOR_COUNT) / (all.max(count) + PRIOR_OF)
    }

    /// Recipients of a mail, on average.
    pub(super) fn recipients_a_mail(&self) -> f64 {
        (self.sums[Count::Asked as usize] + 1.0) / (self.sums[Count::Mails as usize] + 1.0)
    }

    /// This sender never writes at this time of day, an hour more or less.
    fn is_odd_at(&self, hour: u64) -> bool {
        let total: u64 = self.week.iter().map(|mean| u64::from(*mean)).sum();
        if total < KNOWS_ITS_HOURS * SIXTEENTHS {
            return false;
        }
        let hour = (hour % 24) as usize;
        let around = (0..WEEK).filter(|at| matches!((at % 24 + 24 - hour) % 24, 0 | 1 | 23));
        let around: u64 = around.map(|at| u64::from(self.week[at])).sum();
        around * ODD_ONE_IN < total
    }

    fn close_hours(&mut self, hour: u64) {
        let seen = u64::from(self.in_hour) * SIXTEENTHS;
        let hours = self.hour..hour.min(self.hour + HOURS_BACK_MAX);
        for (n, at) in hours.enumerate() {
            let here = if n == 0 && self.is_ordinary { seen } else { 0 };
            let mean = &mut self.week[(at % WEEK as u64) as usize];
            let next = (u64::from(*mean) * (WEEKS - 1) + here + WEEKS / 2) / WEEKS;
            *mean = u16::try_from(next).unwrap_or(u16::MAX);
        }
        self.in_hour = 0;
    }

    fn close_day(&mut self, days: u64) {
        if self.counts[Count::Asked as usize] != 0 {
            self.active = self.active.saturating_add(1);
        }
        if self.is_ordinary {
            self.learn();
        }
        let days = i32::try_from(days.min(DAYS_BACK_MAX)).unwrap_or(i32::MAX);
        self.high.iter_mut().flatten().for_each(|high| *high *= HIGH_FADES.powi(days));
        self.sums.iter_mut().for_each(|sum| *sum *= SUMS_FADE.powi(days));
        self.complained *= WEEK_FADES.powi(days);
        self.delivered *= WEEK_FADES.powi(days);
        self.today = [[0; 3]; 2];
        self.counts = [0; Count::ALL.len()];
        self.is_ordinary = true;
    }

    fn learn(&mut self) {
        for (high, today) in self.high.iter_mut().flatten().zip(self.today.iter().flatten()) {
            *high = high.max(f64::from(*today));
        }
        for (sum, count) in self.sums.iter_mut().zip(&mut self.counts) {
            *sum += f64::from(std::mem::take(count));
        }
    }
}

const HOUR_S: u64 = 3600;
const DAY_S: u64 = 86_400;
pub(super) const WEEK: usize = 168;
const SIXTEENTHS: u64 = 16;
/// An hour of the week is the mean of about eight weeks.
const WEEKS: u64 = 8;
/// Hours that are gone over after a pause; what is older has faded to nothing.
const HOURS_BACK_MAX: u64 = 24 * 7 * 26;
/// Days that fade one by one after a pause; then little is left.
const DAYS_BACK_MAX: u64 = 800;
/// Half after 90 days: a newsletter that comes four times a year is still usual.
const HIGH_FADES: f64 = 0.992_328;
/// Half after two days.
const FIRST_WEEKS_FADE: f64 = 0.7;
/// Half after 60 days.
const SUMS_FADE: f64 = 0.988_514;
/// Half after 7 days.
const WEEK_FADES: f64 = 0.905_724;
/// One case in a hundred, as if a hundred had been seen.
const PRIOR_COUNT: f64 = 1.0;
const PRIOR_OF: f64 = 100.0;
/// Recipients a week before a sender's hours say anything.
const KNOWS_ITS_HOURS: u64 = 20;
/// Less than this part of its mail goes out around such an hour.
const ODD_ONE_IN: u64 = 200;

#[cfg(test)]
mod tests {
    use super::*;

    /// A Thursday, 0 h.
    const T0: u64 = 1_799_971_200 - 1_799_971_200 % (7 * DAY_S);

    fn office(weeks: u64) -> Usual {
        let mut usual = Usual::new(T0);
        for hour in 0..weeks * 168 {
            usual.advance(T0 + hour * HOUR_S);
            if (8..18).contains(&(hour % 24)) {
                (0..3).for_each(|_| usual.add(Count::Asked));
            }
        }
        usual
    }

    #[test]
    fn the_night_is_odd_for_an_office_and_an_hour_before_work_is_not() {
        let usual = office(6);
        let odd: Vec<u64> = (0..24).filter(|hour| usual.is_odd_at(T0 / HOUR_S + hour)).collect();
        assert_eq!(odd, [0, 1, 2, 3, 4, 5, 6, 19, 20, 21, 22, 23]);
        assert!(!office(0).is_odd_at(T0 / HOUR_S + 3), "nothing is odd for who is not known");
    }

    #[test]
    fn strange_days_teach_nothing_and_a_person_may_say_that_they_were_in_order() {
        let mut usual = Usual::new(T0);
        usual.today[0] = [10, 20, 30];
        usual.advance(T0 + DAY_S);
        (usual.today[0], usual.is_ordinary) = ([900; 3], false);
        usual.advance(T0 + 2 * DAY_S);
        assert_eq!(usual.high[0].map(f64::round), [10.0, 20.0, 30.0]);
        (usual.today[0], usual.is_ordinary) = ([900; 3], false);
        usual.accept();
        assert_eq!(usual.high(Habit::All, Window::Day), 900.0);
        usual.advance(T0 + 92 * DAY_S);
        assert!((445.0..455.0).contains(&usual.high(Habit::All, Window::Day)));
    }

    #[test]
    fn clocks_that_jump_cost_a_day_of_learning_at_most() {
        let mut usual = office(6);
        let before = usual.clone();
        for days in [1, 2, 1, 0] {
            usual.advance(T0 + (6 * 7 + days) * DAY_S);
        }
        assert!(usual.sums[Count::Asked as usize] >= before.sums[Count::Asked as usize] * 0.95);
        usual.advance(u64::MAX);
        usual.advance(0);
        assert_eq!((usual.day, usual.hour), (0, 0));
    }
}
