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

    /// `Nov 21 23:15:08`, `Nov  1 23:15:08`.
    fn undated(text: &str) -> Option<(Self, &str)> {
        let octets = text.as_bytes().get(..7)?;
        let month = month(&octets[..3])?;
        let tens = if octets[4] == b' ' { b'0' } else { octets[4] };
        let day = two(tens, octets[5])?;
        let apart = octets[3] == b' ' && octets[6] == b' ';
        let (second_of_day, rest) = clock(text.get(7..)?)?;
        let stamp = Self { year: None, month, day, second_of_day, offset_s: None };
        (apart && stamp.is_day()).then_some((stamp, rest))
    }

    /// `2026-11-21T23:49:06.582466+01:00`, `2026-11-22 00:13:10.123 +0100`.
    fn dated(text: &str) -> Option<(Self, &str)> {
        let octets = text.as_bytes().get(..11)?;
        let apart = octets[4] == b'-' && octets[7] == b'-' && matches!(octets[10], b'T' | b' ');
        let (century, of_century) = (two(octets[0], octets[1])?, two(octets[2], octets[3])?);
        let (month, day) = (two(octets[5], octets[6])?, two(octets[8], octets[9])?);
        let (second_of_day, rest) = clock(text.get(11..)?)?;
        // Parts of a second say nothing that is needed here.
        let rest = match rest.strip_prefix('.') {
            Some(rest) => &rest[rest.bytes().take_while(u8::is_ascii_digit).count()..],
            None => rest,
        };
        let (offset_s, rest) = zone(rest);
        let year = Some(u64::from(century) * 100 + u64::from(of_century));
        let stamp = Self { year, month, day, second_of_day, offset_s };
        (apart && stamp.is_day()).then_some((stamp, rest))
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
    let pair = |at: usize| two(octets[at], octets[at + 1]).map(u32::from);
    let (hour, minute, second) = (pair(0)?, pair(3)?, pair(6)?);
    let fine = octets[2] == b':' && octets[5] == b':' && hour < 24 && minute < 60 && second < 61;
    fine.then(|| (hour * 3600 + minute * 60 + second.min(59), rest))
}

/// `Jan` as 1.
fn month(name: &[u8]) -> Option<u8> {
    Some(match name {
        b"Jan" => 1,
        b"Feb" => 2,
        b"Mar" => 3,
        b"Apr" => 4,
        b"May" => 5,
        b"Jun" => 6,
        b"Jul" => 7,
        b"Aug" => 8,
        b"Sep" => 9,
        b"Oct" => 10,
        b"Nov" => 11,
        b"Dec" => 12,
        _ => return None,
    })
}

/// A number of two digits.
fn two(tens: u8, ones: u8) -> Option<u8> {
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| (tens - b'0') * 10 + (ones - b'0'))
}

/// `Z`, `+01:00`, or Exim's ` +0100`; nothing where none stands there.
fn zone(text: &str) -> (Option<i64>, &str) {
    if let Some(rest) = text.strip_prefix('Z') {
        return (Some(0), rest);
    }
    let signed = text.strip_prefix(' ').unwrap_or(text);
    let octets = signed.as_bytes();
    let sign = match octets.first() {
        Some(b'+') => 1,
        Some(b'-') => -1,
        _ => return (None, text),
    };
    let colon = usize::from(octets.get(3) == Some(&b':'));
    let pair = |at: usize| two(*octets.get(at)?, *octets.get(at + 1)?).map(i64::from);
    match (pair(1), pair(3 + colon), signed.get(5 + colon..)) {
        (Some(hours), Some(minutes), Some(rest)) => (Some(sign * (hours * 3600 + minutes * 60)), rest),
        _ => (None, text),
    }
}

const DAY_S: u64 = 86_400;

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
