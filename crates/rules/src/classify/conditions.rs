//! What must be true beside the words: reply codes, enhanced codes, and the stage that says who is accused.

use sm2tp_proto::Enhanced;

use crate::outcome::{Cause, Fate, Scope, Stage, Strength};

/// One entry of `code = [...]`: a range of reply codes, or of enhanced codes with open parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CodeRange {
    Reply { first: u16, last: u16 },
    Enhanced { class: Option<u8>, subject: Option<u16>, first: u16, last: u16 },
}

impl CodeRange {
    /// Reads `550`, `550-554`, `5xx`, `5.1.1`, `x.2.2`, `5.7.606-649`, `5.4.x`.
    pub(super) fn parse(word: &str) -> Option<Self> {
        let mut parts = word.split('.');
        match (parts.next()?, parts.next(), parts.next(), parts.next()) {
            (reply, None, None, None) => {
                if let Some(class) = reply.strip_suffix("xx") {
                    let first = class.parse::<u16>().ok()?.checked_mul(100)?;
                    return Some(Self::Reply { first, last: first.checked_add(99)? });
                }
                range(reply).map(|(first, last)| Self::Reply { first, last })
            }
            (class, Some(subject), Some(detail), None) => {
                let class = open(class)?;
                let subject = open(subject)?;
                let (first, last) = if detail == "x" { (0, u16::MAX) } else { range(detail)? };
                Some(Self::Enhanced { class, subject, first, last })
            }
            _ => None,
        }
    }

    pub(super) fn holds(self, code: Option<u16>, enhanced: Option<Enhanced>) -> bool {
        match self {
            Self::Reply { first, last } => code.is_some_and(|code| (first..=last).contains(&code)),
            Self::Enhanced { class, subject, first, last } => enhanced.is_some_and(|found| {
                class.is_none_or(|class| class == found.0)
                    && subject.is_none_or(|subject| subject == found.1)
                    && (first..=last).contains(&found.2)
            }),
        }
    }
}

/// A refusal before RCPT cannot be about the recipient, and nothing before DATA has seen the content.
pub(super) fn possible_at(cause: Cause, stage: Option<Stage>) -> bool {
    match stage {
        Some(Stage::Connect | Stage::Ehlo | Stage::StartTls) => {
            !matches!(cause, Cause::Address | Cause::Mailbox | Cause::Content)
        }
        Some(Stage::Mail) => !matches!(cause, Cause::Address | Cause::Mailbox | Cause::Content),
        Some(Stage::Rcpt | Stage::Data | Stage::Eod | Stage::Dsn) | None => true,
    }
}

/// Where the rule says nothing: what the cause means for the message (`DESIGN.md` §5).
pub(super) fn usual_fate(cause: Cause, temporary: bool) -> Fate {
    match cause {
        Cause::Address | Cause::Policy | Cause::Unknown if temporary => Fate::Later,
        Cause::Auth if temporary => Fate::Hold,
        Cause::Address | Cause::Content | Cause::Auth | Cause::Policy | Cause::Unknown => Fate::Final,
        Cause::Ip => Fate::Elsewhere,
        Cause::Rate => Fate::Slow,
        Cause::Mailbox | Cause::Network => Fate::Later,
    }
}

/// Where the rule says nothing: whom the cause is about.
pub(super) fn usual_scope(cause: Cause, sub: Option<&str>) -> Scope {
    match cause {
        Cause::Address if sub == Some("no-domain") => Scope::Domain,
        Cause::Address | Cause::Mailbox | Cause::Unknown => Scope::Recipient,
        Cause::Content | Cause::Policy => Scope::Message,
        Cause::Ip => Scope::Exit,
        Cause::Auth => Scope::Sender,
        Cause::Rate | Cause::Network => Scope::Provider,
    }
}

/// An address is condemned by one answer only where the answer is permanent and came for this recipient: a 4xx takes
/// nothing back tomorrow, and "user unknown" after DATA is often a filter that hides behind the words.
pub(super) fn sure(cause: Cause, strength: Strength, stage: Option<Stage>, said: (bool, Option<Enhanced>)) -> Strength {
    let (temporary, enhanced) = said;
    let late = matches!(stage, Some(Stage::Data | Stage::Eod)) && enhanced.is_none_or(|e| (e.0, e.1) != (5, 1));
    if cause == Cause::Address && (temporary || late) { Strength::Weak } else { strength }
}

fn open<T: std::str::FromStr>(part: &str) -> Option<Option<T>> {
    if part == "x" { Some(None) } else { part.parse().ok().map(Some) }
}

fn range(word: &str) -> Option<(u16, u16)> {
    let (first, last) = word.split_once('-').unwrap_or((word, word));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(word: &str, code: u16, enhanced: Enhanced, want: bool) {
        assert_eq!(CodeRange::parse(word).unwrap().holds(Some(code), Some(enhanced)), want, "{word}");
    }

    #[test]
    fn code_ranges_hold_for_what_they_name() {
        check("550", 550, Enhanced(5, 1, 1), true);
        check("550-554", 555, Enhanced(5, 1, 1), false);
        check("5xx", 421, Enhanced(4, 0, 0), false);
        check("x.2.2", 452, Enhanced(4, 2, 2), true);
        check("5.7.606-649", 550, Enhanced(5, 7, 649), true);
        check("5.7.606-649", 550, Enhanced(5, 7, 650), false);
        check("4.7.x", 550, Enhanced(5, 7, 1), false);
    }

    #[test]
    fn code_ranges_that_mean_nothing_are_refused() {
        for word in ["", "abc", "5.1", "5.1.1.1", "554-550", "99999", "700xx", "5.1.-"] {
            assert_eq!(CodeRange::parse(word), None, "{word}");
        }
    }
}
