//! Replies of SMTP servers (RFC 5321 §4.2): read line by line, kept as they were said.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What a server answered to one command: code, enhanced status code if it gave one, and its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub code: u16,
    /// The first enhanced status code (RFC 3463) at the start of a line.
    pub enhanced: Option<Enhanced>,
    /// The words of all lines, joined by `\n`, without reply code; the enhanced code stays where it was.
    /// Control characters are replaced by spaces, octets that are no UTF-8 by U+FFFD.
    pub text: String,
}

/// An enhanced mail system status code, RFC 3463: `class.subject.detail`, each part at most 999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Enhanced(pub u8, pub u16, pub u16);

/// Puts the lines of one reply together.
#[derive(Debug, Default)]
pub struct ReplyReader {
    code: Option<u16>,
    text: String,
    lines: usize,
}

/// A line that is no SMTP reply; the connection is of no more use.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReplyError {
    #[error("the line does not begin with three digits from 200 to 599: {0:?}")]
    NoCode(String),
    #[error("the code changed inside one reply from {0} to {1}")]
    CodeChanged(u16, u16),
    #[error("the reply has more than {REPLY_LINES_MAX} lines or {REPLY_OCTETS_MAX} octets")]
    TooLong,
}

impl Reply {
    #[must_use]
    pub fn is_positive(&self) -> bool {
        self.code < 400
    }

    #[must_use]
    pub fn is_transient(&self) -> bool {
        (400..500).contains(&self.code)
    }

    /// Reads a whole reply as it stands in logs and reports: `550 5.1.1 No such user`, lines with `\n` or CRLF.
    ///
    /// # Errors
    /// [`ReplyError`] where a line is no reply line; a text without any final line is taken as it is.
    pub fn parse(text: &str) -> Result<Self, ReplyError> {
        let mut reader = ReplyReader::default();
        for line in text.lines() {
            if let Some(reply) = reader.line(line.as_bytes())? {
                return Ok(reply);
            }
        }
        reader.finish()
    }

    /// Code and enhanced code of what [`Reply::parse`] reads, without keeping its words; none where that fails.
    #[must_use]
    pub fn codes(text: &str) -> Option<(u16, Option<Enhanced>)> {
        let (mut first, mut enhanced, mut octets) = (None, None, 0);
        for (at, line) in text.lines().enumerate() {
            let (code, last, words) = split(line)?;
            if *first.get_or_insert(code) != code || REPLY_LINES_MAX <= at || REPLY_OCTETS_MAX < octets + words.len() {
                return None;
            }
            octets += words.len() + usize::from(0 < at);
            enhanced = enhanced.or_else(|| Enhanced::at_start(words));
            if last {
                break;
            }
        }
        first.map(|code| (code, enhanced))
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.text.replace('\n', " "))
    }
}

impl ReplyReader {
    /// Takes one line without its line end; answers with the reply when it was the last one.
    ///
    /// # Errors
    /// [`ReplyError`]: nothing that follows on this connection can be trusted.
    pub fn line(&mut self, line: &[u8]) -> Result<Option<Reply>, ReplyError> {
        let line = String::from_utf8_lossy(line);
        let (code, last, words) = split(&line).ok_or_else(|| ReplyError::NoCode(printable(&line)))?;
        if let Some(first) = self.code.filter(|first| *first != code) {
            return Err(ReplyError::CodeChanged(first, code));
        }
        self.code = Some(code);
        self.lines += 1;
        if REPLY_LINES_MAX < self.lines || REPLY_OCTETS_MAX < self.text.len() + words.len() {
            return Err(ReplyError::TooLong);
        }
        if 1 < self.lines {
            self.text.push('\n');
        }
        self.text.push_str(&printable(words));
        if last { std::mem::take(self).finish().map(Some) } else { Ok(None) }
    }

    /// True between two lines of one reply.
    #[must_use]
    pub fn is_inside(&self) -> bool {
        self.code.is_some()
    }

    fn finish(self) -> Result<Reply, ReplyError> {
        let code = self.code.ok_or_else(|| ReplyError::NoCode(String::new()))?;
        let enhanced = self.text.lines().find_map(Enhanced::at_start);
        Ok(Reply { code, enhanced, text: self.text })
    }
}

impl Enhanced {
    /// Reads `5.1.1` at the start of a text; what follows must not be a further digit or dot.
    #[must_use]
    pub fn at_start(text: &str) -> Option<Self> {
        let (class, rest) = part(text.as_bytes())?;
        let (subject, rest) = part(rest.strip_prefix(b".")?)?;
        let (detail, rest) = part(rest.strip_prefix(b".")?)?;
        // It may end a sentence.
        let behind = rest.iter().find(|octet| **octet != b'.');
        let goes_on = rest.first() == Some(&b'.') && behind.is_some_and(u8::is_ascii_digit);
        match class {
            2 | 4 | 5 if !goes_on => Some(Self(class as u8, subject, detail)),
            _ => None,
        }
    }
}

impl fmt::Display for Enhanced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// A number below 1 000, and the rest. Read by hand, because a log has one in each line.
fn part(octets: &[u8]) -> Option<(u16, &[u8])> {
    let mut number = 0_u16;
    let mut digits = 0;
    while let Some(octet) = octets.get(digits).filter(|octet| octet.is_ascii_digit()) {
        number = number * 10 + u16::from(octet - b'0');
        if 999 < number {
            return None;
        }
        digits += 1;
    }
    (0 < digits).then(|| (number, &octets[digits..]))
}

/// `(code, is it the last line, words)`. Some servers say `250` alone, without the space that the RFC wants.
fn split(line: &str) -> Option<(u16, bool, &str)> {
    let line = line.trim_end_matches(['\r', '\n']);
    let digits = line.get(..3).filter(|d| d.bytes().all(|b| b.is_ascii_digit()))?;
    let code = digits.parse().ok().filter(|code| (200..600).contains(code))?;
    match line.as_bytes().get(3) {
        None => Some((code, true, "")),
        Some(b'-') => Some((code, false, &line[4..])),
        Some(b' ') => Some((code, true, &line[4..])),
        Some(_) => None,
    }
}

fn printable(text: &str) -> String {
    match text.contains(char::is_control) {
        true => text.replace(char::is_control, " "),
        false => text.to_owned(),
    }
}

/// Real replies have one to eight lines; more is an attack on our memory or a server gone mad.
const REPLY_LINES_MAX: usize = 100;
/// The text goes into the queue, the send log and the report to the sender.
const REPLY_OCTETS_MAX: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_of_several_lines_becomes_one_text_with_its_enhanced_code() {
        let mut reader = ReplyReader::default();
        assert_eq!(reader.line(b"550-5.1.1 The account does").unwrap(), None);
        assert!(reader.is_inside());
        let reply = reader.line("550 5.1.1 not exist \u{1b}[2J été".as_bytes()).unwrap().unwrap();
        assert_eq!(reply.code, 550);
        assert_eq!(reply.enhanced, Some(Enhanced(5, 1, 1)));
        assert_eq!(reply.text, "5.1.1 The account does\n5.1.1 not exist  [2J été");
        assert!(!reader.is_inside());
    }

    #[test]
    fn lines_that_are_no_reply_are_told_apart() {
        let one = |line: &[u8]| ReplyReader::default().line(line);
        assert_eq!(one(b"250").unwrap().unwrap().code, 250);
        assert!(matches!(one(b"hello"), Err(ReplyError::NoCode(_))));
        assert!(matches!(one(b"999 no"), Err(ReplyError::NoCode(_))));
        assert!(matches!(one(b"25\xff ok"), Err(ReplyError::NoCode(_))));
        let mut reader = ReplyReader::default();
        reader.line(b"250-a").unwrap();
        assert_eq!(reader.line(b"550 b"), Err(ReplyError::CodeChanged(250, 550)));
    }

    #[test]
    fn codes_alone_are_those_of_the_whole_reply() {
        let long = format!("250 {}", "x".repeat(REPLY_OCTETS_MAX + 1));
        let many = "250-x\n".repeat(REPLY_LINES_MAX + 1);
        for text in [
            "250 2.0.0 Ok",
            "250",
            "550-first\n550 5.1.1 no",
            "550-5.1.1 first\r\n550-5.7.1 second",
            "250-a\n550 b",
            "250 a\n550 b",
            "hello",
            "",
            "999 x",
            "2505 x",
            "451 \u{1}4.7.1 x",
            "452 4.7.1\u{1}x",
            &long,
            &many,
        ] {
            let want = Reply::parse(text).ok().map(|reply| (reply.code, reply.enhanced));
            assert_eq!(Reply::codes(text), want, "{text:.40}");
        }
    }

    #[test]
    fn a_reply_without_end_is_cut() {
        let mut reader = ReplyReader::default();
        let error = (0..=REPLY_LINES_MAX).find_map(|_| reader.line(b"250-again").err());
        assert_eq!(error, Some(ReplyError::TooLong));
    }

    #[test]
    fn enhanced_codes_are_read_only_where_they_are_whole() {
        assert_eq!(Enhanced::at_start("5.7.26 no"), Some(Enhanced(5, 7, 26)));
        assert_eq!(Enhanced::at_start("5.7.1: no"), Some(Enhanced(5, 7, 1)));
        for none in ["", "3.1.1 x", "5.1 x", "5.1.1000 x", "5.1.1.2 x", "192.0.2.1"] {
            assert_eq!(Enhanced::at_start(none), None, "{none}");
        }
    }
}
