//! Days of the Gregorian calendar as numbers, counted from 1970-01-01 (day 0) by eras of 400 years that begin in March.

/// Year, month (1–12) and day of the month (1–31) of a day.
#[must_use]
pub fn date(day: u64) -> (u64, u64, u64) {
    let shifted = day + BEFORE_1970;
    let (era, day_of_era) = (shifted / ERA_DAYS, shifted % ERA_DAYS);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

/// The day of a date; none where there is no such date, or it lies before 1970.
#[must_use]
pub fn day(year: u64, month: u64, day: u64) -> Option<u64> {
    let is_leap = (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400);
    let last = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u64::from(is_leap),
        _ => return None,
    };
    ((1..=last).contains(&day) && (1970..=YEAR_MAX).contains(&year)).then_some(())?;
    let year = year - u64::from(month <= 2);
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * ERA_DAYS + day_of_era).checked_sub(BEFORE_1970)
}

/// A day as `2026-11-25` (ISO 8601).
#[must_use]
pub fn iso(day: u64) -> String {
    let (year, month, day) = date(day);
    format!("{year:04}-{month:02}-{day:02}")
}

/// A time (unix seconds) as `2026-11-22T04:05:06Z` (RFC 3339).
#[must_use]
pub fn rfc3339(at: u64) -> String {
    let second = at % 86_400;
    format!("{}T{:02}:{:02}:{:02}Z", iso(at / 86_400), second / 3600, second / 60 % 60, second % 60)
}

/// Days from 0000-03-01 to 1970-01-01.
const BEFORE_1970: u64 = 719_468;
/// Days of 400 years.
const ERA_DAYS: u64 = 146_097;
/// Later dates are no dates.
const YEAR_MAX: u64 = 9999;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_dates_are_each_other() {
        assert_eq!((date(0), day(1970, 1, 1)), ((1970, 1, 1), Some(0)));
        for (day, want) in [(11_016, "2000-02-29"), (16_891, "2016-03-31"), (20_783, "2026-11-26")] {
            assert_eq!(iso(day), want);
        }
        for number in (0..200_000).step_by(37) {
            let (year, month, of_month) = date(number);
            assert_eq!(day(year, month, of_month), Some(number));
        }
        assert_eq!(day(2000, 2, 29), Some(11_016));
        for (year, month, of_month) in
            [(2100, 2, 29), (2026, 13, 1), (2026, 4, 31), (2026, 1, 0), (1969, 12, 31), (10_000, 1, 1)]
        {
            assert_eq!(day(year, month, of_month), None);
        }
    }
}
