//! Times at the start of lines. Syslog's old form has neither year nor zone; who reads must know both.

use crate::date;

/// A time as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// None in syslog's old form (RFC 3164 §4.1.2).
    year: Option<u64>,
    month: u8,
    day: u8,
    second_of_day: u32,
    /// Seconds east of Greenwich; none where the machine's own time is meant.
    offset_s: Option<i64>,
}

/// What lines leave out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// Unix seconds at which the last line of the log was written, or now: no line is younger by more than a day.
    pub latest: u64,
    /// Seconds east of Greenwich of the machine that wrote the log.
    pub offset_s: i64,
}

impl Stamp {
    /// Reads `Nov 21 23:15:08`, `2026-11-21T23:49:06.582466+01:00`, or Exim's `2026-11-22 00:13:10.123 +0100`; answers with the
    /// rest behind it.
    #[must_use]
    pub fn read(text: &str) -> Option<(Self, &str)> {
        if text.as_bytes().first()?.is_ascii_digit() { Self::dated(text) } else { Self::undated(text) }
    }

    fn undated(text: &str) -> Option<(Self, &str)> {
        let (date, rest) = text.split_at_checked(7)?;
        let month = MONTHS.iter().position(|month| date.starts_with(month))?;
        let day = date.get(4..6)?.trim_start().parse().ok()?;
        let (second_of_day, rest) = clock(rest)?;
        let month = u8::try_from(month + 1).ok()?;
        let stamp = Self { year: None, month, day, second_of_day, offset_s: None };
        (date.as_bytes()[3] == b' ' && date.as_bytes()[6] == b' ' && stamp.is_day()).then_some((stamp, rest))
    }

    fn dated(text: &str) -> Option<(Self, &str)> {
        let (date, rest) = text.split_at_checked(10)?;
        let (year, rest_of_date) = date.split_once('-')?;
        let (month, day) = rest_of_date.split_once('-')?;
        let rest = rest.strip_prefix(['T', ' '])?;
        let (second_of_day, rest) = clock(rest)?;
        // Parts of a second say nothing that is needed here.
        let rest = match rest.strip_prefix('.') {
            Some(rest) => rest.trim_start_matches(|c: char| c.is_ascii_digit()),
            None => rest,
        };
        let (offset_s, rest) = zone(rest);
        let digits = |text: &str, len| text.len() == len && text.bytes().all(|octet| octet.is_ascii_digit());
        let stamp = Self {
            year: Some(year.parse().ok().filter(|_| digits(year, 4))?),
            month: month.parse().ok().filter(|_| digits(month, 2))?,
            day: day.parse().ok().filter(|_| digits(day, 2))?,
            second_of_day,
            offset_s,
        };
        stamp.is_day().then_some((stamp, rest))
    }

    fn is_day(&self) -> bool {
        (1..=12).contains(&self.month) && (1..=31).contains(&self.day)
    }

    /// Unix seconds. A line without a year is of the last year in which it is not in the future: a log that is read in January
    /// has lines of December.
    #[must_use]
    pub fn unix(&self, clock: &Clock) -> u64 {
        let offset_s = self.offset_s.unwrap_or(clock.offset_s);
        // A day that there is not, such as the 30th of February, is as old as can be.
        let in_year = |year: u64| {
            let day = date::day(year, u64::from(self.month), u64::from(self.day)).unwrap_or(0);
            (day * DAY_S + u64::from(self.second_of_day)).saturating_add_signed(-offset_s)
        };
        if let Some(year) = self.year {
            return in_year(year);
        }
        let (this, _, _) = date::date(clock.latest / DAY_S);
        let seconds = in_year(this);
        if clock.latest + DAY_S < seconds { in_year(this - 1) } else { seconds }
    }
}

/// `23:15:08`: seconds of the day; a leap second counts as the one before.
fn clock(text: &str) -> Option<(u32, &str)> {
    let (time, rest) = text.split_at_checked(8)?;
    let octets = time.as_bytes();
    let two = |at: usize| {
        let pair = [octets[at], octets[at + 1]];
        pair.iter().all(u8::is_ascii_digit).then(|| u32::from(pair[0] - b'0') * 10 + u32::from(pair[1] - b'0'))
    };
    let (hour, minute, second) = (two(0)?, two(3)?, two(6)?);
    let fine = octets[2] == b':' && octets[5] == b':' && hour < 24 && minute < 60 && second < 61;
    fine.then(|| (hour * 3600 + minute * 60 + second.min(59), rest))
}

/// `Z`, `+01:00`, or Exim's ` +0100`; nothing where none stands there.
fn zone(text: &str) -> (Option<i64>, &str) {
    if let Some(rest) = text.strip_prefix('Z') {
        return (Some(0), rest);
    }
    let signed = text.strip_prefix(' ').unwrap_or(text);
    let sign = match signed.as_bytes().first() {
        Some(b'+') => 1,
        Some(b'-') => -1,
        _ => return (None, text),
    };
    let digits: String = signed[1..].chars().take(5).filter(char::is_ascii_digit).collect();
    let len = if signed[1..].chars().nth(2) == Some(':') { 6 } else { 5 };
    match (digits.get(..4), signed.get(len..)) {
        (Some(digits), Some(rest)) => {
            let (hours, minutes) = digits.split_at(2);
            let seconds = hours.parse().unwrap_or(0) * 3600 + minutes.parse().unwrap_or(0) * 60;
            (Some(sign * seconds), rest)
        }
        _ => (None, text),
    }
}

const DAY_S: u64 = 86_400;
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-26 04:00:00 UTC.
    const NOW: u64 = 1_795_665_600;

    #[track_caller]
    fn check(text: &str, want: Option<(u64, &str)>) {
        let clock = Clock { latest: NOW, offset_s: 3600 };
        assert_eq!(Stamp::read(text).map(|(stamp, rest)| (stamp.unix(&clock), rest)), want, "{text}");
    }

    #[test]
    fn each_form_of_a_time_is_read() {
        check("2026-11-26T04:00:00Z x", Some((NOW, " x")));
        check("2026-11-26T05:00:00.123456+01:00 x", Some((NOW, " x")));
        check("2026-11-25T23:00:00.1-05:00 x", Some((NOW, " x")));
        check("2026-11-26 05:00:00 [22480] x", Some((NOW, " [22480] x")));
        check("2026-11-26 05:00:00.123 +0100 x", Some((NOW, " x")));
        check("Nov 26 05:00:00 x", Some((NOW, " x")));
        check("Nov  1 05:00:00 x", Some((NOW - 25 * 86_400, " x")));
        check("1970-01-01T00:00:00Z", Some((0, "")));
        check("2000-02-29T00:00:00Z", Some((951_782_400, "")));
    }

    #[test]
    fn a_line_without_a_year_is_of_the_past() {
        // A day ahead may be a wrong clock; a month ahead is last year.
        check("Nov 27 04:00:00 x", Some((NOW + 23 * 3600, " x")));
        check("Dec 24 05:00:00 x", Some((NOW + 28 * 86_400 - 365 * 86_400, " x")));
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "x",
            "Nov",
            "Nov 26",
            "Nov 26 25:00:00",
            "Nov 32 05:00:00",
            "Foo 26 05:00:00",
            "2026-13-01T00:00:00Z",
            "2026-11-26",
            "2026-11-26T",
            "2026-11-26T04:00",
            "20261126T040000Z",
            "2026-é1-26T04:00:00Z",
            "Nov é6 05:00:00",
        ] {
            check(text, None);
        }
    }
}
