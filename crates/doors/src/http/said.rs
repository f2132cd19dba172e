//! Numbers, shares and times, as a reader of each language writes them.

use sm2tp_proto::date;

use super::words::Lang;

/// Groups of three digits, with the sign of the language.
pub(crate) fn number(count: u64, lang: Lang) -> String {
    let digits = count.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at != 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(if lang == Lang::Fr { '\u{202f}' } else { ',' });
        }
        out.push(digit);
    }
    out
}

/// Hundredths of a percent; a dash for a share of nothing.
pub(crate) fn percent(part: u64, whole: u64, lang: Lang) -> String {
    if whole == 0 {
        return "–".to_owned();
    }
    let per_myriad = u128::from(part) * 10_000 / u128::from(whole);
    let sign = if lang == Lang::Fr { "\u{a0}%" } else { "%" };
    decimal(&format!("{}.{:02}{sign}", per_myriad / 100, per_myriad % 100), lang)
}

/// A number with a point, with the sign of the language in its place.
pub(crate) fn decimal(text: &str, lang: Lang) -> String {
    if lang == Lang::Fr { text.replace('.', ",") } else { text.to_owned() }
}

/// How long ago, in the largest unit that fits.
pub(crate) fn ago(at: u64, now: u64, lang: Lang) -> String {
    let age_s = now.saturating_sub(at);
    let (count, unit) = match age_s {
        0..120 => (age_s, "ago-s"),
        120..7200 => (age_s / 60, "ago-m"),
        7200..172_800 => (age_s / 3600, "ago-h"),
        _ => (age_s / 86_400, "ago-d"),
    };
    lang.say(unit, &[("n", &count.to_string())])
}

/// A day.
pub(crate) fn day(at: u64, lang: Lang) -> String {
    let (year, month, day) = date::date(at / 86_400);
    match lang {
        Lang::En => date::iso(at / 86_400),
        Lang::Fr => format!("{day:02}/{month:02}/{year:04}"),
    }
}

/// A time to the minute, in UTC as the logs have it.
pub(crate) fn time(at: u64, lang: Lang) -> String {
    let second = at % 86_400;
    let (hour, minute) = (second / 3600, second / 60 % 60);
    match lang {
        Lang::En => format!("{} {hour:02}:{minute:02} UTC", day(at, lang)),
        Lang::Fr => format!("{} à {hour:02}\u{a0}h\u{a0}{minute:02} UTC", day(at, lang)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_language_writes_numbers_and_times_its_way() {
        let at = 1_764_158_640;
        assert_eq!(
            [number(1_234_567, Lang::En), number(1_234_567, Lang::Fr)],
            ["1,234,567", "1\u{202f}234\u{202f}567"]
        );
        assert_eq!([number(0, Lang::En), number(999, Lang::Fr)], ["0", "999"]);
        assert_eq!([percent(1, 3, Lang::En), percent(1, 3, Lang::Fr)], ["33.33%", "33,33\u{a0}%"]);
        assert_eq!(percent(0, 0, Lang::En), "–");
        assert_eq!(time(at, Lang::En), "2025-11-26 12:04 UTC");
        assert_eq!(time(at, Lang::Fr), "26/11/2025 à 12\u{a0}h\u{a0}04 UTC");
        assert_eq!([ago(at, at + 119, Lang::En), ago(at, at + 120, Lang::Fr)], ["119\u{a0}s ago", "il y a 2\u{a0}min"]);
        assert_eq!(
            [ago(at, at + 7200, Lang::En), ago(at, at + 172_800, Lang::Fr)],
            ["2\u{a0}h ago", "il y a 2\u{a0}jours"]
        );
        assert_eq!(ago(at + 10, at, Lang::En), "0\u{a0}s ago");
    }
}
