//! Codes and dialogue stage out of a reply text as it stands in logs and reports.

use sm2tp_proto::Enhanced;

use super::plain::{code_at_start, enhanced_word, head, separates, words};
use crate::outcome::Stage;

/// Reply code and enhanced code of a bare text: at its start, behind "host X said:" or "refused to talk to me:",
/// inside a `220-` banner, or where a code and an enhanced code stand side by side.
pub(super) fn codes(text: &str) -> (Option<u16>, Option<Enhanced>) {
    let text = head(text);
    let code = reply_code(text);
    let class = code.map(|code| code / 100);
    (code, enhanced(text, class))
}

/// The first enhanced code of the text; where the reply code is known, of the same class.
pub(super) fn enhanced(text: &str, class: Option<u16>) -> Option<Enhanced> {
    let text = head(text);
    let bytes = text.as_bytes();
    let fits = |found: &Enhanced| class.is_none_or(|class| class == u16::from(found.0));
    let dots = bytes.iter().enumerate().filter(|(_, b)| **b == b'.').map(|(at, _)| at);
    // Most texts have none: only words with `2.`, `4.` or `5.` after a border are worth a look.
    let mut may_be = dots.filter(|dot| {
        let class = dot.checked_sub(1).map(|at| bytes[at]);
        let before = dot.checked_sub(2).map(|at| bytes[at]);
        matches!(class, Some(b'2' | b'4' | b'5')) && !before.is_some_and(|b| b.is_ascii_alphanumeric() || b == b'.')
    });
    may_be.find_map(|dot| {
        let word = word_around(text, dot);
        let word = code_at_start(word).map_or(word, |(_, rest)| rest);
        enhanced_word(word).filter(fits)
    })
}

fn word_around(text: &str, at: usize) -> &str {
    let start = text.bytes().take(at).rposition(separates).map_or(0, |before| before + 1);
    words(&text[start..]).next().unwrap_or_default()
}

/// What mail servers write about the stage beside the reply that they report; asked when the caller knows none.
pub(super) const STAGE_SIGNS: &[(&str, Stage)] = &[
    ("refused to talk to me", Stage::Connect),
    ("remote mail server after initial connection", Stage::Connect),
    ("in reply to ehlo", Stage::Ehlo),
    ("in reply to helo", Stage::Ehlo),
    ("remote mail server after ehlo", Stage::Ehlo),
    ("remote mail server after helo", Stage::Ehlo),
    ("in reply to starttls", Stage::StartTls),
    ("in reply to mail from", Stage::Mail),
    ("remote mail server after mail from", Stage::Mail),
    ("remote mail server after pipelined mail from", Stage::Mail),
    ("in reply to rcpt to", Stage::Rcpt),
    ("remote mail server after rcpt to", Stage::Rcpt),
    ("remote mail server after pipelined rcpt to", Stage::Rcpt),
    ("[rcpt_to]", Stage::Rcpt),
    ("in reply to data command", Stage::Data),
    ("remote mail server after data", Stage::Data),
    ("in reply to end of data", Stage::Eod),
    ("remote mail server after end of data", Stage::Eod),
];

/// A greeting that refuses is a refusal at connect, whatever it says.
pub(super) fn is_banner(text: &str) -> bool {
    head(text).trim_start().starts_with("220")
}

fn reply_code(text: &str) -> Option<u16> {
    let bytes = text.as_bytes();
    let first = bytes.iter().position(|b| !separates(*b))?;
    let banner = bytes[first..].starts_with(b"220");
    // A word that can be a code begins with 4 or 5 and two digits more; nothing else is looked at.
    let may_be = |at: &usize| {
        matches!(bytes[*at], b'4' | b'5')
            && (*at == first || separates(bytes[*at - 1]))
            && bytes.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_digit))
    };
    (first..bytes.len()).filter(may_be).find_map(|at| {
        let mut words = words(&text[at..]);
        let (code, rest) = code_at_start(words.next()?).filter(|(code, _)| is_refusal(*code))?;
        // What stands before a number says whether it can be a reply code: nothing, a banner, "said:". Elsewhere an
        // enhanced code of the same class must stand beside it.
        let led = banner || bytes[first..at].iter().rfind(|b| !separates(**b)).is_none_or(|b| *b == b':');
        let beside = if rest.is_empty() { words.next().unwrap_or_default() } else { rest };
        (led || enhanced_word(beside).is_some_and(|found| u16::from(found.0) == code / 100)).then_some(code)
    })
}

fn is_refusal(code: u16) -> bool {
    (400..600).contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, code: Option<u16>, enhanced: Option<Enhanced>) {
        assert_eq!(codes(text), (code, enhanced), "{text}");
    }

    #[test]
    fn codes_are_found_where_servers_and_logs_put_them() {
        check("550-5.1.1 The account", Some(550), Some(Enhanced(5, 1, 1)));
        check("550 no such user (#5.1.1)", Some(550), Some(Enhanced(5, 1, 1)));
        check(
            "host mx[192.0.2.1] said: 452 4.2.2 full (in reply to RCPT TO command)",
            Some(452),
            Some(Enhanced(4, 2, 2)),
        );
        check("host mx[192.0.2.1] refused to talk to me: 421 go away", Some(421), None);
        check("220-laposte 421 4.2.1 Service refuse", Some(421), Some(Enhanced(4, 2, 1)));
        check("5.2.2 Mailbox full", None, Some(Enhanced(5, 2, 2)));
        check("Mail from x not allowed - 5.7.1 [BL23]", None, Some(Enhanced(5, 7, 1)));
    }

    #[test]
    fn numbers_that_are_no_codes_stay_numbers() {
        check("could not deliver for 500 seconds", None, None);
        check("451 try later [#4.16.1] 5.1.1.1", Some(451), None);
        check("", None, None);
        check("55é", None, None);
    }
}
