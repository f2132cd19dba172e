//! Lines of mail logs: where a line's head ends, and what it says of which mail. `postfix` and `exim` read texts, `mails`
//! puts them together to outcomes, `aside` reads what is no result.
//!
//! Bytes are scanned, not matched: what stands in a log was partly written by strangers, and Postfix 3.11 put a field between
//! two others that every pattern of the time knew as neighbours.

pub mod aside;
pub mod exim;
pub mod mails;
pub mod postfix;
mod stamp;
mod under_way;

pub use self::aside::{Aside, Severity};
pub use self::mails::{Heard, Mails, Outcome, Seen, Status, Writer};
use std::net::IpAddr;

pub use self::stamp::{Clock, Stamp};
use serde::{Deserialize, Serialize};

use crate::Enhanced;

/// What a line says of one mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said<'a> {
    Came(Came<'a>),
    MessageId(&'a str),
    /// The sender is empty: a report. With the size in octets, where it is told.
    Queued {
        sender: &'a str,
        octets: Option<u64>,
    },
    Attempt(Attempt<'a>),
    /// It was too old, and is given back for all whose last result was "later".
    Expired,
    /// It is in the queue no more.
    Gone,
}

/// How a mail came into the queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Came<'a> {
    pub sender: Option<&'a str>,
    pub login: Option<&'a str>,
    pub message_id: Option<&'a str>,
    pub octets: Option<u64>,
    /// The queue id that it had before a filter on the same machine.
    pub before: Option<&'a str>,
    /// The queue id that it had until somebody put it back at the start of the queue (`postsuper -r`). That one is gone.
    pub renamed: Option<&'a str>,
    pub origin: Origin,
}

/// Who brought a mail.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Origin {
    #[default]
    Unknown,
    /// A program of the machine itself.
    Here,
    Client(IpAddr),
}

/// What became of one recipient in one try.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attempt<'a> {
    pub recipient: &'a str,
    /// The address that it was before an alias.
    pub original: Option<&'a str>,
    /// The sender, where the line repeats it.
    pub sender: Option<&'a str>,
    /// Whom it was handed to: a host, or a transport of the machine itself.
    pub host: Option<&'a str>,
    pub reach: Reach,
    pub status: Status,
    pub enhanced: Option<Enhanced>,
    /// Who said what: [`crate::delivery`] reads it.
    pub text: &'a str,
}

/// How far a try came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// No host was reached.
    #[default]
    Nobody,
    /// A host, over the network.
    Server,
    /// A mailbox or a program of the machine itself.
    Here,
}

/// A line of syslog without its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    pub stamp: Stamp,
    /// `vm`; empty where a log has none.
    pub host: &'a str,
    /// `postfix/smtp`, `exim`: what stands before `[pid]:`.
    pub program: &'a str,
    pub text: &'a str,
}

impl<'a> Line<'a> {
    /// Reads the heads that rsyslog and postlogd write: `Nov 21 23:15:08 host prog[1]: `, the same with a date of RFC 3339, and
    /// RFC 5424. None for other lines.
    #[must_use]
    pub fn read(line: &'a str) -> Option<Self> {
        if let Some(rest) = line.strip_prefix('<') {
            return Self::of_rfc5424(rest);
        }
        let (stamp, rest) = Stamp::read(line)?;
        let rest = rest.strip_prefix(' ')?;
        let (host, rest) = rest.split_at(near(rest, |octet| octet == b' ')?);
        let rest = &rest[1..];
        // `postfix/smtp[4631]: `, `exim: `. A program has no spaces in its name.
        let (program, rest) = rest.split_at(near(rest, |octet| matches!(octet, b' ' | b':' | b'['))?);
        let rest = match rest.strip_prefix('[') {
            Some(rest) => &rest[near(rest, |octet| octet == b']')? + 1..],
            None => rest,
        };
        Some(Self { stamp, host, program, text: rest.strip_prefix(": ")? })
    }

    /// `22>1 2026-… host postfix 4631 - -  text`: without the name of the daemon.
    fn of_rfc5424(rest: &'a str) -> Option<Self> {
        let (priority, rest) = rest.split_once(">1 ")?;
        priority.parse::<u16>().ok()?;
        let (stamp, rest) = Stamp::read(rest)?;
        let mut fields = rest.strip_prefix(' ')?.splitn(6, ' ');
        let (host, program) = (fields.next()?, fields.next()?);
        let (_pid, _message, data) = (fields.next()?, fields.next()?, fields.next()?);
        // Structured data, which no mail server writes.
        if data != "-" {
            return None;
        }
        Some(Self { stamp, host, program, text: fields.next()?.trim_start() })
    }

    /// `postfix` and `out` of `postfix-out/smtp`, `postfix/submission/smtpd`: all but the daemon. Two instances have queue ids
    /// of their own.
    #[must_use]
    pub fn instance(&self) -> &'a str {
        memchr::memchr(b'/', self.program.as_bytes()).map_or(self.program, |at| &self.program[..at])
    }
}

/// What is between `<` and the `>` that ends it, and the rest behind that. A quoted local part can hold anything (RFC 5321
/// §4.1.2), and does where somebody hopes to write fields of his own into the log.
pub(crate) fn path(text: &str) -> Option<(&str, &str)> {
    let inside = text.strip_prefix('<')?;
    let from = match inside.strip_prefix('"') {
        Some(quoted) => quote_end(quoted)? + 1,
        None => 0,
    };
    let at = from + memchr::memchr(b'>', &inside.as_bytes()[from..])?;
    Some((&inside[..at], &inside[at + 1..]))
}

/// Where the quote is that ends what began before `text`; a backslash takes the next one its meaning.
pub(crate) fn quote_end(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|octet| {
        let ends = octet == b'"' && !escaped;
        escaped = octet == b'\\' && !escaped;
        ends
    })
}

/// What is before the next space, and what is behind it.
pub(crate) fn word(text: &str) -> Option<(&str, &str)> {
    at_octet(text, b' ')
}

/// What is before the next such octet of ASCII, and what is behind it. Several times as fast as `split_once` on the long lines
/// of a log.
pub(crate) fn at_octet(text: &str, octet: u8) -> Option<(&str, &str)> {
    let at = memchr::memchr(octet, text.as_bytes())?;
    Some((&text[..at], &text[at + 1..]))
}

/// Where the first octet of ASCII is that fits. For words of some letters, where a search by sixteen octets takes longer to
/// begin than to end.
fn near(text: &str, fits: impl Fn(u8) -> bool) -> Option<usize> {
    text.bytes().position(fits)
}

/// Where the next `, ` is.
pub(crate) fn comma(text: &str) -> Option<usize> {
    before_space(text, b',')
}

/// Where the next such octet is that has a space behind it. Searching for one octet and looking at the next is several times as
/// fast as searching for two.
pub(crate) fn before_space(text: &str, octet: u8) -> Option<usize> {
    let octets = text.as_bytes();
    memchr::memchr_iter(octet, octets).find(|at| octets.get(at + 1) == Some(&b' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, want: Option<(&str, &str, &str)>) {
        assert_eq!(Line::read(line).map(|line| (line.host, line.program, line.text)), want, "{line}");
    }

    #[test]
    fn heads_are_taken_off_in_each_form_and_other_lines_have_none() {
        let want = Some(("relay", "postfix/smtp", "4jX876: to=<a@b.test>, x"));
        check("Nov 21 23:15:08 relay postfix/smtp[22904]: 4jX876: to=<a@b.test>, x", want);
        check("Nov  1 23:15:08 relay postfix/smtp[22904]: 4jX876: to=<a@b.test>, x", want);
        check("2026-11-21T23:49:06.582466+00:00 relay postfix/smtp[4631]: 4jX876: to=<a@b.test>, x", want);
        let want = Some(("vm", "postfix", "4jX876: removed"));
        check("<22>1 2026-11-21T23:49:06.584756+00:00 vm postfix 4465 - -  4jX876: removed", want);
        for line in [
            "",
            "x",
            "Nov 21",
            "Nov 21 23:15:08 relay",
            "Nov 21 23:15:08 relay no colon here",
            "<22>1 ",
            "<x>1 a b c d e f",
        ] {
            check(line, None);
        }
    }

    #[test]
    fn paths_end_where_their_quotes_say() {
        assert_eq!(path("<a@b.test>, x"), Some(("a@b.test", ", x")));
        assert_eq!(path("<>, x"), Some(("", ", x")));
        assert_eq!(
            path(r#"<"a b, relay=evil> status=sent (x"@b.test>, y"#),
            Some((r#""a b, relay=evil> status=sent (x"@b.test"#, ", y"))
        );
        assert_eq!(path(r#"<"a\">b"@c.test>"#), Some((r#""a\">b"@c.test"#, "")));
        assert_eq!(path("<a@b.test"), None);
        assert_eq!(path("a@b.test>"), None);
    }
}
