//! Values with units and words from a list: durations, sizes, enumerations.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use sm2tp_rules::rate::Rate;

use super::keys::did_you_mean;

pub(super) const MINUTE: u64 = 60;
pub(super) const HOUR: u64 = 60 * MINUTE;
pub(super) const DAY: u64 = 24 * HOUR;

/// Ten years: long enough for any option, and short enough that a time plus a duration never overflows.
pub(super) const DURATION_MAX: Duration = Duration::from_secs(3650 * DAY);

pub(super) const KIB: u64 = 1024;
pub(super) const MIB: u64 = 1024 * KIB;
pub(super) const GIB: u64 = 1024 * MIB;

const DURATION_UNITS: [(&str, u64); 4] = [("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", 1)];

const SIZE_UNITS: [(&str, u64); 7] =
    [("GiB", GIB), ("GB", 1_000_000_000), ("MiB", MIB), ("MB", 1_000_000), ("KiB", KIB), ("kB", 1000), ("B", 1)];

/// Why a text is not the value it should be. Whoever knows the place in the file makes a `ConfigError` of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    /// What is wrong, naming the value.
    pub(super) what: String,
    /// What would be right.
    pub(super) allowed: String,
}

impl Wrong {
    pub(super) fn new(what: impl Into<String>, allowed: impl Into<String>) -> Self {
        Self { what: what.into(), allowed: allowed.into() }
    }
}

/// A value as it is quoted in a message, cut where nobody would read on.
pub(super) fn quoted(value: &str) -> String {
    const QUOTED_MAX: usize = 80;
    match value.char_indices().nth(QUOTED_MAX) {
        Some((cut, _)) => format!("`{}…`", &value[..cut]),
        None => format!("`{value}`"),
    }
}

/// Reads a duration such as `30s`, `400d` or `1h30m` that lies in `range`.
pub(super) fn duration(range: RangeInclusive<Duration>) -> impl Fn(&str) -> Result<Duration, Wrong> {
    move |text| {
        let duration = any_duration(text)?;
        if range.contains(&duration) {
            return Ok(duration);
        }
        let allowed = format!("{} to {}", show_duration(*range.start()), show_duration(*range.end()));
        Err(Wrong::new(format!("{} is out of range", quoted(text)), allowed))
    }
}

fn any_duration(text: &str) -> Result<Duration, Wrong> {
    const ALLOWED: &str = "whole numbers with the units d (days), h (hours), m (minutes), s (seconds), largest first";
    let wrong = |what: &str| Wrong::new(format!("{} {what}", quoted(text)), ALLOWED);
    let mut rest = text;
    let mut seconds: u64 = 0;
    let mut smaller_than = u64::MAX;
    while !rest.is_empty() || text.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, after) = rest.split_at(digits);
        if number.is_empty() {
            return Err(wrong("is not a duration"));
        }
        if after.is_empty() {
            return Err(wrong("has no unit"));
        }
        let unit = DURATION_UNITS.iter().find(|(unit, size)| after.starts_with(unit) && *size < smaller_than);
        let Some((unit, size)) = unit else { return Err(wrong("is not a duration")) };
        let part = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*size));
        // What overflows becomes the largest number, which every range refuses.
        seconds = part.and_then(|part| seconds.checked_add(part)).unwrap_or(u64::MAX);
        smaller_than = *size;
        rest = &after[unit.len()..];
    }
    Ok(Duration::from_secs(seconds))
}

/// Reads a size in octets such as `25 MiB` or `10MB` that lies in `range`.
pub(super) fn size(range: RangeInclusive<u64>) -> impl Fn(&str) -> Result<u64, Wrong> {
    move |text| {
        let size = any_size(text)?;
        if range.contains(&size) {
            return Ok(size);
        }
        let allowed = format!("{} to {}", show_size(*range.start()), show_size(*range.end()));
        Err(Wrong::new(format!("{} is out of range", quoted(text)), allowed))
    }
}

fn any_size(text: &str) -> Result<u64, Wrong> {
    const ALLOWED: &str = "a whole number with one of the units B, kB, KiB, MB, MiB, GB, GiB";
    let wrong = |what: &str| Wrong::new(format!("{} {what}", quoted(text)), ALLOWED);
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let number = &text[..text.len() - unit.len()];
    let unit = unit.trim_start_matches(' ');
    if number.is_empty() {
        return Err(wrong("is not a size"));
    }
    if unit.is_empty() {
        return Err(wrong("has no unit"));
    }
    let known = SIZE_UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit));
    let Some((_, octets)) = known else { return Err(wrong("is not a size")) };
    Ok(number.parse::<u64>().ok().and_then(|number| number.checked_mul(*octets)).unwrap_or(u64::MAX))
}

/// Reads so many in such a time.
pub(super) fn rate(text: &str) -> Result<Rate, Wrong> {
    text.parse().map_err(|_| {
        let allowed = "a whole number and a time, 20/min, 500/h or 2000/d";
        Wrong::new(format!("{} is not a rate", quoted(text)), allowed)
    })
}

/// Reads one of a few words.
pub(super) fn word<T: Copy>(words: &[(&str, T)]) -> impl Fn(&str) -> Result<T, Wrong> {
    move |text| {
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Ok(*value);
        }
        let list = words.iter().map(|(word, _)| format!("\"{word}\"")).collect::<Vec<_>>().join(", ");
        let hint = did_you_mean(text, words.iter().map(|(word, _)| *word), "");
        let allowed = hint.map_or_else(|| list.clone(), |hint| format!("{list} ({hint})"));
        Err(Wrong::new(format!("{} is not one of the known words", quoted(text)), allowed))
    }
}

/// Reads a path from the root. A relative one would mean another file for a service than for a person in a shell.
pub(super) fn path(text: &str) -> Result<PathBuf, Wrong> {
    const ALLOWED: &str = "a path that starts with /";
    if !text.starts_with('/') {
        return Err(Wrong::new(format!("{} is not a path from the root", quoted(text)), ALLOWED));
    }
    if text.chars().any(char::is_control) {
        return Err(Wrong::new(format!("{} has a control character in it", quoted(text)), ALLOWED));
    }
    Ok(PathBuf::from(text))
}

/// Reads a name that people see.
pub(super) fn title(text: &str) -> Result<String, Wrong> {
    const TITLE_MAX: usize = 100;
    let text = text.trim();
    if text.is_empty() || TITLE_MAX < text.chars().count() || text.chars().any(char::is_control) {
        return Err(Wrong::new(
            format!("{} cannot be shown as a name", quoted(text)),
            "one line of 1 to 100 characters",
        ));
    }
    Ok(text.to_owned())
}

/// The largest single unit that says it exactly.
pub(super) fn show_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let unit = DURATION_UNITS.iter().find(|(_, size)| seconds != 0 && seconds.is_multiple_of(*size));
    unit.map_or_else(|| format!("{seconds}s"), |(unit, size)| format!("{}{unit}", seconds / size))
}

/// The largest binary unit that says it exactly.
pub(super) fn show_size(octets: u64) -> String {
    let binary = [("GiB", GIB), ("MiB", MIB), ("KiB", KIB)];
    let unit = binary.iter().find(|(_, size)| octets != 0 && octets.is_multiple_of(*size));
    unit.map_or_else(|| format!("{octets} B"), |(unit, size)| format!("{} {unit}", octets / size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let read = duration(Duration::ZERO..=DURATION_MAX);
        let ok = |text: &str, seconds: u64| assert_eq!(read(text), Ok(Duration::from_secs(seconds)), "{text}");
        ok("0s", 0);
        ok("30s", 30);
        ok("5m", 300);
        ok("4h", 4 * HOUR);
        ok("400d", 400 * DAY);
        ok("1h30m", 5400);
        ok("1d2h3m4s", DAY + 2 * HOUR + 184);
        ok("3650d", 3650 * DAY);
        let wrong = |text: &str, what: &str| {
            assert_eq!(read(text).unwrap_err().what, format!("{} {what}", quoted(text)), "{text}");
        };
        for text in ["", "m", "5 m", "-5m", "5x", "1m1h", "5m5m", "5minutes", "1.5h", "5M", "５m", "5m "] {
            wrong(text, "is not a duration");
        }
        wrong("300", "has no unit");
        wrong("1h30", "has no unit");
        for text in ["3651d", "99999999999999999999d", "18446744073709551615d", "18446744073709551615m1s"] {
            wrong(text, "is out of range");
        }
    }

    #[test]
    fn sizes() {
        let read = size(KIB..=GIB);
        let ok = |text: &str, octets: u64| assert_eq!(read(text), Ok(octets), "{text}");
        ok("25 MiB", 25 * MIB);
        ok("10MB", 10_000_000);
        ok("512 KiB", 512 * KIB);
        ok("2000 B", 2000);
        ok("2 kb", 2000);
        ok("1GiB", GIB);
        let wrong = |text: &str, what: &str| {
            assert_eq!(read(text).unwrap_err().what, format!("{} {what}", quoted(text)), "{text}");
        };
        for text in ["", "MiB", "-1 MiB", "1.5 MiB", "25 Mo", "25 M", "1 MiB ", "1 MiB 2 KiB"] {
            wrong(text, "is not a size");
        }
        wrong("26214400", "has no unit");
        for text in ["1023 B", "2 GiB", "99999999999999999999 GiB", "18446744073709551615 GiB"] {
            wrong(text, "is out of range");
        }
    }

    #[test]
    fn limits_are_shown_as_they_would_be_written() {
        assert_eq!(show_duration(Duration::ZERO), "0s");
        assert_eq!(show_duration(Duration::from_secs(DAY)), "1d");
        assert_eq!(show_duration(Duration::from_secs(90 * MINUTE)), "90m");
        assert_eq!(show_size(GIB), "1 GiB");
        assert_eq!(show_size(1000), "1000 B");
    }
}
