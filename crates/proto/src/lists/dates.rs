//! Dates as lists of other programs write them: numbers, ISO 8601, mail, logs, spreadsheets.

use crate::date::day;

/// A text that stands where a date is expected, and is none that we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unclear;

/// Unix seconds; none where the text says that there is no date. A time without a zone is taken as UTC: what hangs on it
/// are days and months.
///
/// Where day and month may be either (`03/04/2025`), the earlier of the two holds: evidence that is too old expires too early,
/// which costs one bounce, and evidence that is too young would stop a person for longer.
pub(super) fn date(text: &str) -> Result<Option<u64>, Unclear> {
    let text = text.trim().trim_matches(['"', '\'']).trim();
    if text.is_empty() || NONE.iter().any(|none| text.eq_ignore_ascii_case(none)) {
        return Ok(None);
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if text.len() <= NUMBER_DIGITS_MAX && [whole, fraction].iter().all(|part| part.bytes().all(|o| o.is_ascii_digit()))
    {
        return number(whole).map(Some).ok_or(Unclear);
    }
    let words = Words::of(text).ok_or(Unclear)?;
    words.date().map(Some).ok_or(Unclear)
}

/// Seconds, thousandths or millionths since 1970.
fn number(digits: &str) -> Option<u64> {
    let whole: u64 = digits.parse().ok()?;
    let seconds = match whole {
        0..NUMBER_SECONDS_END => whole,
        NUMBER_SECONDS_END..NUMBER_MILLIS_END => whole / 1000,
        _ => whole / 1_000_000,
    };
    // Smaller ones are something else: a code, a number of a list.
    (NUMBER_MIN <= seconds).then_some(seconds)
}

/// The pieces of a date: numbers, names, signs between them.
#[derive(Debug, Default)]
struct Words<'a> {
    /// Runs of digits with what stood before each of them.
    numbers: Vec<(u8, &'a str)>,
    month: Option<u64>,
    /// How many numbers came before the name of the month.
    month_after: usize,
    afternoon: Option<bool>,
    zone_s: Option<i64>,
}

impl<'a> Words<'a> {
    fn of(text: &'a str) -> Option<Self> {
        let mut words = Self::default();
        let (mut rest, mut before) = (text.get(..text.len().min(TEXT_OCTETS_MAX))?, b' ');
        while let Some(first) = rest.chars().next() {
            let is_same = |c: char| match first {
                '0'..='9' => c.is_ascii_digit(),
                _ if first.is_alphabetic() => c.is_alphabetic(),
                _ => false,
            };
            let end = rest.find(|c| !is_same(c)).unwrap_or(rest.len()).max(first.len_utf8());
            let (word, after) = rest.split_at(end);
            if first.is_ascii_digit() {
                words.number(before, word)?;
            } else if first.is_alphabetic() {
                words.name(word)?;
            }
            before = if first.is_ascii() { word.as_bytes()[0] } else { b' ' };
            rest = after;
        }
        Some(words)
    }

    fn number(&mut self, before: u8, digits: &'a str) -> Option<()> {
        let time_is_over = 6 <= self.numbers.len() || self.numbers.iter().any(|(sign, _)| *sign == b':');
        match before {
            // A fraction of a second, or the process of a log line.
            b'.' if time_is_over => {}
            b'(' => {}
            b'+' | b'-' if time_is_over && digits.len() == 4 => {
                self.zone(before, digits[..2].parse().ok()?, digits[2..].parse().ok()?);
            }
            b'+' | b'-' if time_is_over => self.zone(before, digits.parse().ok()?, 0),
            // The minutes of a zone that is written `+02:00`.
            b':' if self.zone_s.is_some() => {
                let minutes_s = 60 * digits.parse::<i64>().ok().filter(|minutes| *minutes < 60)?;
                self.zone_s = self.zone_s.map(|hours_s| hours_s + if hours_s < 0 { -minutes_s } else { minutes_s });
            }
            _ => self.numbers.push((before, digits)),
        }
        (self.numbers.len() <= 6).then_some(())
    }

    fn zone(&mut self, sign: u8, hours: i64, minutes: i64) {
        let seconds = hours * 3600 + minutes * 60;
        self.zone_s = Some(if sign == b'-' { -seconds } else { seconds });
    }

    fn name(&mut self, word: &str) -> Option<()> {
        let lower = word.to_lowercase();
        let month =
            MONTHS.iter().position(|(en, fr)| lower.starts_with(en) || (!fr.is_empty() && lower.starts_with(fr)));
        match lower.as_str() {
            "am" | "pm" => self.afternoon = Some(lower == "pm"),
            "t" | "z" | "utc" | "gmt" | "at" | "à" => {}
            word if DAYS.iter().any(|day| word.starts_with(day)) => {}
            _ => {
                self.month = Some(month? as u64 + 1);
                self.month_after = self.numbers.len();
            }
        }
        Some(())
    }

    fn date(&self) -> Option<u64> {
        let values: Vec<u64> = self.numbers.iter().map(|(_, digits)| digits.parse().ok()).collect::<Option<_>>()?;
        // `Dec 08 08:44:20 2020`: the year is last.
        let (parts, clock) = match self.month {
            Some(month)
                if self.month_after == 0 && self.numbers.get(1).is_some_and(|(sign, _)| *sign != b':') && {
                    self.numbers.get(2).is_some_and(|(sign, _)| *sign == b':')
                } =>
            {
                let year = *values.last().filter(|_| 4 < values.len())?;
                ([year, month, values[0]], values[1..values.len() - 1].to_vec())
            }
            Some(month) => ([*values.get(1)?, month, *values.first()?], values.get(2..)?.to_vec()),
            None => (self.numbers_only(&values)?, values.get(3..)?.to_vec()),
        };
        let [year, month, of_month] = parts;
        let days = day(full_year(year)?, month, of_month)?;
        let hour = self.hour(clock.first().copied().unwrap_or(0))?;
        let (minute, second) = (clock.get(1).copied().unwrap_or(0), clock.get(2).copied().unwrap_or(0));
        // A leap second is the next one.
        (minute < 60 && second <= 60).then_some(())?;
        let seconds = i64::try_from(days * 86_400 + hour * 3600 + minute * 60 + second).ok()?;
        u64::try_from(seconds - self.zone_s.unwrap_or(0)).ok()
    }

    /// `2025-12-31`, `31/12/2025`, `12/31/2025`, `31.12.2025`.
    fn numbers_only(&self, values: &[u64]) -> Option<[u64; 3]> {
        let [first, second, third] = *values.get(..3)? else { return None };
        if 31 < first {
            return Some([first, second, third]);
        }
        let year = third;
        let is_day_first = self.numbers[1].0 == b'.';
        let day_month = day(full_year(year)?, second, first).map(|days| (days, [year, second, first]));
        let month_day = day(full_year(year)?, first, second).map(|days| (days, [year, first, second]));
        match (day_month, month_day) {
            (Some((_, day_month)), _) if is_day_first => Some(day_month),
            (Some(day_month), Some(month_day)) => Some(day_month.min(month_day).1),
            (day_month, month_day) => day_month.or(month_day).map(|(_, parts)| parts),
        }
    }

    fn hour(&self, hour: u64) -> Option<u64> {
        let hour = match (self.afternoon, hour) {
            (Some(false), 12) => 0,
            (Some(true), 1..=11) => hour + 12,
            _ => hour,
        };
        (hour < 24).then_some(hour)
    }
}

fn full_year(year: u64) -> Option<u64> {
    match year {
        0..=69 => Some(2000 + year),
        1970..=9999 => Some(year),
        _ => None,
    }
}

/// How tools say that there is no date.
const NONE: [&str; 8] = ["-", "null", "none", "n/a", "never", "0", "0000-00-00", "0000-00-00 00:00:00"];
/// English and French, as they begin.
const MONTHS: [(&str, &str); 12] = [
    ("jan", ""),
    ("feb", "fév"),
    ("mar", ""),
    ("apr", "avr"),
    ("may", "mai"),
    ("jun", "juin"),
    ("jul", "juil"),
    ("aug", "aoû"),
    ("sep", ""),
    ("oct", ""),
    ("nov", ""),
    ("dec", "déc"),
];
const DAYS: [&str; 14] =
    ["mon", "tue", "wed", "thu", "fri", "sat", "sun", "lun", "mard", "mer", "jeu", "ven", "sam", "dim"];
/// No date is longer; what is longer is a text in the wrong column.
const TEXT_OCTETS_MAX: usize = 64;
/// Millionths of a second since 1970 have 16 digits, and a fraction.
const NUMBER_DIGITS_MAX: usize = 20;
/// 1985: nobody kept bounces before.
const NUMBER_MIN: u64 = 473_385_600;
/// Up to here a number counts seconds, up to the next one thousandths of them.
const NUMBER_SECONDS_END: u64 = 100_000_000_000;
const NUMBER_MILLIS_END: u64 = 100_000_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: Option<u64>) {
        assert_eq!(date(text).ok().flatten(), want, "{text:?}");
    }

    #[test]
    fn dates_are_read_as_providers_write_them() {
        check("1443651125", Some(1_443_651_125));
        check("1443651125000", Some(1_443_651_125));
        check("1443651125.25", Some(1_443_651_125));
        check("2020-02-05T18:25:45Z", Some(1_580_927_145));
        check("2020-02-05T18:25:45.123456+00:00", Some(1_580_927_145));
        check("2020-02-05T13:25:45-05:00", Some(1_580_927_145));
        check("2020-02-05 18:25:45", Some(1_580_927_145));
        check("2020-02-05 18:25:45 UTC", Some(1_580_927_145));
        check("2020-02-05 19:25:45 +0100", Some(1_580_927_145));
        check("2020-02-05", Some(1_580_860_800));
        check("2017-05-01T12:30:00.000Z", Some(1_493_641_800));
        check("Wed, 05 Feb 2020 18:25:45 GMT", Some(1_580_927_145));
        check("Wed, 5 Feb 2020 19:25:45 +0100", Some(1_580_927_145));
        check("Feb 05 18:25:45 2020 (27)", Some(1_580_927_145));
        check("5 février 2020 18:25", Some(1_580_927_100));
        check("Feb 5, 2020 6:25:45 PM", Some(1_580_927_145));
        check("2/5/2020", Some(1_580_860_800));
        check("31/12/2019 23:59", Some(1_577_836_740));
        check("12/31/2019 11:59:00 PM", Some(1_577_836_740));
        check("12/31/2019 12:05 am", Some(1_577_750_700));
        check("05.02.2020", Some(1_580_860_800));
        check("29/02/2024", Some(1_709_164_800));
    }

    #[test]
    fn an_unclear_order_is_read_as_the_earlier_day() {
        check("03/04/2025", Some(1_741_046_400));
        check("04/03/2025", Some(1_741_046_400));
        check("04.03.2025", Some(1_741_046_400));
        check("03.04.2025", Some(1_743_638_400));
    }

    #[test]
    fn what_is_no_date_is_said_or_absent() {
        for none in ["", " ", "-", "null", "0000-00-00 00:00:00"] {
            assert_eq!(date(none), Ok(None), "{none:?}");
        }
        for unclear in [
            "yesterday",
            "550",
            "2025-13-01",
            "2025-02-30",
            "1/2",
            "99:99",
            "2020-02-05T25:00",
            "é".repeat(99).as_str(),
        ] {
            assert_eq!(date(unclear), Err(Unclear), "{unclear:?}");
        }
    }
}
