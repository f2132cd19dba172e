//! So many in such a time: the generic cell rate algorithm (GCRA, ITU-T I.371) as a value of eight octets.
//!
//! A limit of 500 an hour lets 500 pass at once after an hour's pause, and one every 7.2 seconds from then on. In any hour
//! at most twice the number passes; over a day it is the number that was written.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A number of things in a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rate {
    count: u32,
    per: Per,
}

/// A text that is no rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a rate is a number and a time: 20/min, 500/h or 2000/d")]
pub struct RateError;

/// The times that people reckon in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Per {
    Minute,
    Hour,
    Day,
}

/// What a limit remembers of those that it let pass: when, in unix microseconds, all of them would have come had they
/// come one by one. The default remembers nobody.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gcra {
    due_us: u64,
}

impl Rate {
    /// `count` is at least 1: a limit of nothing would wait for ever.
    #[must_use]
    pub const fn new(count: u32, per: Per) -> Self {
        Self { count: if count == 0 { 1 } else { count }, per }
    }

    /// Lets one pass at `now_us` (unix microseconds) and answers with what to remember.
    ///
    /// # Errors
    /// The seconds to wait, at least 1; nothing is remembered of who was refused.
    pub fn take(self, state: Gcra, now_us: u64) -> Result<Gcra, u64> {
        let per_us = self.per.us();
        // A clock that was set back must not shut the door for longer than one time.
        let due_us = state.due_us.clamp(now_us, now_us.saturating_add(per_us)).saturating_add(self.step_us());
        let over_us = (due_us - now_us).saturating_sub(per_us);
        if over_us == 0 { Ok(Gcra { due_us }) } else { Err(over_us.div_ceil(1_000_000)) }
    }

    /// Takes back that one passed.
    #[must_use]
    pub fn give_back(self, state: Gcra) -> Gcra {
        Gcra { due_us: state.due_us.saturating_sub(self.step_us()) }
    }

    fn step_us(self) -> u64 {
        (self.per.us() / u64::from(self.count)).max(1)
    }

    /// For a sentence: `500 {things} an hour`.
    #[must_use]
    pub fn of(self, things: &str) -> String {
        let per = match self.per {
            Per::Minute => "a minute",
            Per::Hour => "an hour",
            Per::Day => "a day",
        };
        format!("{} {things} {per}", self.count)
    }
}

impl Gcra {
    /// Nothing is left to remember: whoever comes now is treated as if for the first time.
    #[must_use]
    pub fn is_over(self, now_us: u64) -> bool {
        self.due_us <= now_us
    }

    /// What was used since `before`, as time; less than nothing where something was given back. In microseconds, as `now_us`.
    #[must_use]
    pub fn used_since(self, before: Self, now_us: u64) -> i64 {
        self.due_us.max(now_us).cast_signed().saturating_sub(before.due_us.max(now_us).cast_signed())
    }

    /// With what passed on another machine ([`Gcra::used_since`]).
    #[must_use]
    pub fn used_elsewhere(self, used_us: i64, now_us: u64) -> Self {
        Self { due_us: self.due_us.max(now_us).saturating_add_signed(used_us) }
    }
}

impl Per {
    const fn us(self) -> u64 {
        match self {
            Self::Minute => 60_000_000,
            Self::Hour => 3_600_000_000,
            Self::Day => 86_400_000_000,
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per = match self.per {
            Per::Minute => "min",
            Per::Hour => "h",
            Per::Day => "d",
        };
        write!(f, "{}/{per}", self.count)
    }
}

impl FromStr for Rate {
    type Err = RateError;

    /// `500/h`, `20/min`, `2000/d`.
    fn from_str(text: &str) -> Result<Self, RateError> {
        let read = || {
            let (count, per) = text.split_once('/')?;
            let per = match per {
                "min" => Per::Minute,
                "h" => Per::Hour,
                "d" => Per::Day,
                _ => return None,
            };
            let digits = !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit());
            let count = count.parse().ok().filter(|count| digits && (1..=COUNT_MAX).contains(count))?;
            Some(Self { count, per })
        };
        read().ok_or(RateError)
    }
}

impl TryFrom<String> for Rate {
    type Error = RateError;

    fn try_from(text: String) -> Result<Self, RateError> {
        text.parse()
    }
}

impl From<Rate> for String {
    fn from(rate: Rate) -> Self {
        rate.to_string()
    }
}

/// More in a minute is a slip of the finger, and no node takes it.
const COUNT_MAX: u32 = 10_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000;
    const T0: u64 = 1_800_000_000 * S;

    fn rate(text: &str) -> Rate {
        text.parse().unwrap()
    }

    /// How many of `tries`, one each `step_us`, pass.
    fn passed(rate: Rate, state: &mut Gcra, from_us: u64, tries: u32, step_us: u64) -> u32 {
        let mut count = 0;
        for n in 0..tries {
            if let Ok(next) = rate.take(*state, from_us + u64::from(n) * step_us) {
                *state = next;
                count += 1;
            }
        }
        count
    }

    #[test]
    fn what_passes_on_two_machines_is_one_count() {
        let limit = rate("10/h");
        let (mut here, mut there) = (Gcra::default(), Gcra::default());
        for n in 0..5 {
            for (one, other) in [(0, 1), (1, 0)] {
                let states = [&mut here, &mut there];
                let before = *states[one];
                let after = limit.take(before, T0 + n).unwrap();
                let used_us = after.used_since(before, T0 + n);
                let others = states[other].used_elsewhere(used_us, T0 + n);
                let [first, second] = states;
                (*first, *second) = if one == 0 { (after, others) } else { (others, after) };
            }
        }
        assert_eq!(here, there);
        assert!(limit.take(here, T0 + 5).is_err());
        let back = limit.give_back(here).used_since(here, T0 + 5);
        assert!(limit.take(there.used_elsewhere(back, T0 + 5), T0 + 5).is_ok());
    }

    #[test]
    fn a_whole_count_passes_at_once_and_then_one_by_one() {
        let (limit, mut state) = (rate("500/h"), Gcra::default());
        assert_eq!(passed(limit, &mut state, T0, 10_000, 0), 500);
        assert_eq!(limit.take(state, T0), Err(8));
        assert_eq!(limit.take(state, T0 + 7 * S), Err(1));
        assert!(limit.take(state, T0 + 7_200_000).is_ok());
        // Ten tries a second for an hour: the refused ones cost nothing.
        assert_eq!(passed(limit, &mut state, T0, 36_000, S / 10), 499);
        assert_eq!(passed(limit, &mut state, T0 + 2 * 3600 * S, 10_000, 0), 500);
    }

    #[test]
    fn any_day_has_at_most_the_number_and_one_burst() {
        let (limit, mut state) = (rate("10/h"), Gcra::default());
        assert_eq!(passed(limit, &mut state, T0, 86_400, S), 10 + 239);
    }

    #[test]
    fn what_is_given_back_may_be_taken_again() {
        let (limit, mut state) = (rate("1/d"), Gcra::default());
        for _ in 0..3 {
            state = limit.take(state, T0).unwrap();
            assert_eq!(limit.take(state, T0), Err(86_400));
            state = limit.give_back(state);
        }
        assert!(state.is_over(T0) && !limit.take(state, T0).unwrap().is_over(T0));
    }

    #[test]
    fn a_clock_that_jumps_shuts_nobody_out_for_longer_than_one_time() {
        let (limit, mut state) = (rate("2/min"), Gcra::default());
        assert_eq!(passed(limit, &mut state, T0, 5, 0), 2);
        let back = T0 - 86_400 * S;
        assert_eq!(limit.take(state, back), Err(30));
        assert!(limit.take(state, T0 + 86_400 * S).is_ok());
        assert!(limit.take(Gcra { due_us: u64::MAX }, 0).is_err());
    }

    #[test]
    fn rates_are_written_as_people_do() {
        for text in ["500/h", "20/min", "2000/d", "10000000/min"] {
            assert_eq!(rate(text).to_string(), text);
            assert_eq!(serde_json::from_str::<Rate>(&format!("{text:?}")).unwrap(), rate(text));
        }
        for bad in ["", "500", "500/", "/h", "0/h", "-1/h", "+1/h", "1.5/h", "500/hour", "5/s", "10000001/d", "5 /h"] {
            assert!(bad.parse::<Rate>().is_err(), "{bad}");
        }
        assert_eq!(rate("500/h").of("mails"), "500 mails an hour");
    }
}
