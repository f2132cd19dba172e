//! The time that a server asks us to wait, read from its words.

use super::plain::words;

/// "try again in 300 seconds", "greylisted for 5 minutes", "come back in 00:05:00", "wait one hour", "réessayez dans
/// 4 heures": seconds, from 1 to one day. A number without a unit, or far from a word that asks for patience, is none.
pub(super) fn wait_s(plain: &str) -> Option<u32> {
    let mut patience = 0_u32;
    let mut words = words(plain).peekable();
    while let Some(word) = words.next() {
        let word = word.trim_matches(is_punctuation);
        if asks_for_patience(word) {
            patience = WORDS_BETWEEN_MAX;
            continue;
        }
        patience = patience.saturating_sub(1);
        if 0 < patience {
            let unit = words.peek().map_or("", |next| next.trim_matches(is_punctuation));
            if let Some(s) = clock(word).or_else(|| amount(word, unit)) {
                return Some(s.clamp(1, WAIT_S_MAX));
            }
        }
    }
    None
}

/// The words that the automaton looks for, each at the start of a word: a text with none of them names no time.
pub(super) fn patience_signs() -> impl Iterator<Item = String> {
    ASKS_FOR_PATIENCE.iter().map(|start| format!("|{start}"))
}

/// Asked of every word: the first octet alone says no to most.
fn asks_for_patience(word: &str) -> bool {
    let Some(first) = word.bytes().next() else { return false };
    ASKS_FOR_PATIENCE.iter().any(|start| start.as_bytes()[0] == first && word.starts_with(start))
}

fn is_punctuation(c: char) -> bool {
    matches!(c, '.' | ',' | ';' | '!' | '(' | ')' | '[' | ']' | '"' | '\'')
}

/// `300 seconds`, `300s`, `one hour`.
fn amount(word: &str, next: &str) -> Option<u32> {
    if let Some((_, count)) = NUMBERS.iter().find(|(name, _)| *name == word) {
        return unit_s(next).map(|s| s.saturating_mul(*count));
    }
    // Of "5-10 minutes" the longer counts.
    let word = word.rsplit_once('-').filter(|(first, _)| !first.is_empty()).map_or(word, |(_, last)| last);
    let digits = word.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 {
        return None;
    }
    let unit = if digits == word.len() { next } else { &word[digits..] };
    // More digits than fit are more than the bound, too.
    unit_s(unit).map(|s| s.saturating_mul(word[..digits].parse().unwrap_or(u32::MAX)))
}

fn unit_s(unit: &str) -> Option<u32> {
    match unit {
        "s" | "sec" | "secs" | "second" | "seconds" | "second(s" | "seconde" | "secondes" | "seconde(s" | "sekunde"
        | "sekunden" | "segundo" | "segundos" | "secondo" | "secondi" | "seconden" | "sekund" | "секунд" => {
            Some(1)
        }
        "m" | "mn" | "min" | "mins" | "minute" | "minutes" | "minute(s" | "minuten" | "minuto" | "minutos"
        | "minuti" | "minuut" | "minut" | "minuty" | "минут" | "минуты" => Some(60),
        "h" | "hr" | "hrs" | "hour" | "hours" | "hour(s" | "heure" | "heures" | "heure(s" | "stunde" | "stunden"
        | "hora" | "horas" | "ora" | "ore" | "uur" | "godzina" | "godzin" | "godziny" | "час" | "часа" | "часов" => {
            Some(3600)
        }
        "day" | "days" | "day(s" | "jour" | "jours" | "tag" | "tage" | "tagen" | "dia" | "dias" | "giorno"
        | "giorni" | "dag" | "dagen" | "week" | "weeks" | "month" | "months" | "year" | "years" | "semaine"
        | "semaines" | "mois" | "an" | "ans" => Some(86_400),
        _ => None,
    }
}

/// `00:05:00` and `04:59`, as milter-greylist and postgrey say it.
fn clock(word: &str) -> Option<u32> {
    let mut s = 0_u32;
    let mut parts = 0;
    for part in word.split(':') {
        let number = part.parse::<u32>().ok().filter(|n| part.len() == 2 && *n < 60)?;
        s = s * 60 + number;
        parts += 1;
    }
    (2..=3).contains(&parts).then_some(s)
}

/// A server that names a longer time does not mean this message; the queue has limits of its own.
const WAIT_S_MAX: u32 = 86_400;
/// "retry" and the time stand in the same sentence.
const WORDS_BETWEEN_MAX: u32 = 9;
/// Numbers that servers write out, with articles.
const NUMBERS: [(&str, u32); 25] = [
    ("one", 1),
    ("an", 1),
    ("a", 1),
    ("two", 2),
    ("three", 3),
    ("four", 4),
    ("five", 5),
    ("ten", 10),
    ("fifteen", 15),
    ("thirty", 30),
    ("sixty", 60),
    ("une", 1),
    ("un", 1),
    ("deux", 2),
    ("trois", 3),
    ("quatre", 4),
    ("cinq", 5),
    ("dix", 10),
    ("quinze", 15),
    ("trente", 30),
    ("eine", 1),
    ("einer", 1),
    ("una", 1),
    ("uma", 1),
    ("een", 1),
];
const ASKS_FOR_PATIENCE: [&str; 32] = [
    "try",
    "retry",
    "again",
    "wait",
    "greylist",
    "graylist",
    "back",
    "resend",
    "reessay",
    "patient",
    "attend",
    "delay",
    "later",
    "lift",
    "expire",
    "unblock",
    "penalty",
    "defer",
    "blocked",
    "banned",
    "throttled",
    "essay",
    "bloqu",
    "versuch",
    "wart",
    "inten",
    "esper",
    "riprov",
    "probeer",
    "sprobuj",
    "повтор",
    "попробуй",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: Option<u32>) {
        assert_eq!(wait_s(text), want, "{text}");
    }

    #[test]
    fn times_to_wait_are_read_with_their_unit() {
        check("please try again in 300 seconds", Some(300));
        check("greylisted for 5 minutes, see http://example.net/", Some(300));
        check("greylisting in action, please come back in 00:04:59", Some(299));
        check("you must wait one hour", Some(3600));
        check("retry after 120s.", Some(120));
        check("veuillez reessayer dans 10 minutes", Some(600));
        check("reessayez apres 4 heures", Some(14_400));
        check("attendez deux heures", Some(7200));
        check("the block will be lifted in 4 hours", Some(14_400));
        check("temporarily blocked. penalty: 30 seconds x 0 retries", Some(30));
        check("please retry in 5-10 minutes", Some(600));
        check("try again in 15 minute(s)", Some(900));
        check("bitte versuchen sie es in einer stunde wieder", Some(3600));
        check("intentelo de nuevo en 20 minutos", Some(1200));
    }

    #[test]
    fn times_are_bounded_and_other_numbers_are_left_alone() {
        check("try again in 0 seconds", Some(1));
        check("wait 4294967295 hours", Some(86_400));
        check("wait 99999999999 hours", Some(86_400));
        check("blocked for 10 years", Some(86_400));
        check("unable to deliver in 840 minutes", None);
        check("try again later", None);
        check("too many mails, 300 per hour", None);
    }
}
