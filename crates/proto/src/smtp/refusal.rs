//! What a server says: replies as octets, and refusals as values until then.

use std::iter;

use crate::Enhanced;

/// A command or message that is not taken: reply code (4xx or 5xx), enhanced code and the words for the other side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub code: u16,
    pub enhanced: Enhanced,
    /// Several lines are separated by `\n`. What is not printable ASCII is replaced when it is sent.
    pub text: String,
}

impl Refusal {
    #[must_use]
    pub fn new(code: u16, enhanced: Enhanced, text: impl Into<String>) -> Self {
        Self { code, enhanced, text: text.into() }
    }

    /// The reply as it goes over the wire. A code that is no refusal becomes 451: a mistake on our side must never
    /// look like a yes (I4).
    #[must_use]
    pub fn to_reply(&self) -> Vec<u8> {
        if (400..600).contains(&self.code) {
            reply(self.code, self.enhanced, &self.text)
        } else {
            reply(451, Enhanced(4, 3, 0), &self.text)
        }
    }
}

/// A reply with an enhanced code on each line (RFC 2034 §4).
pub(super) fn reply(code: u16, enhanced: Enhanced, text: &str) -> Vec<u8> {
    lines_of(code, &format!("{enhanced} "), pieces(text))
}

/// A reply without enhanced code: the banner, the answer to EHLO and 3yz have none (RFC 2034 §4).
pub(super) fn plain_reply(code: u16, lines: &[String]) -> Vec<u8> {
    lines_of(code, "", lines.iter().flat_map(|line| pieces(line)))
}

/// Nothing but printable ASCII is written, so that no text can end its line early.
fn lines_of<'a>(code: u16, enhanced: &str, texts: impl Iterator<Item = &'a str>) -> Vec<u8> {
    let (code, mut texts) = (code.to_string(), texts.peekable());
    let mut out = String::with_capacity(REPLY_OCTETS_USUAL);
    while let Some(text) = texts.next() {
        out.push_str(&code);
        out.push(if texts.peek().is_some() { '-' } else { ' ' });
        out.push_str(enhanced);
        out.extend(text.chars().map(|c| if matches!(c, ' '..='~') { c } else { '?' }));
        out.push_str("\r\n");
    }
    out.into_bytes()
}

/// The lines of a text, and of a long line pieces that fit into a reply line: each character becomes one octet there.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').flat_map(|line| {
        let mut rest = Some(line);
        iter::from_fn(move || {
            let line = rest.take()?;
            let Some((end, _)) = line.char_indices().nth(TEXT_OCTETS_MAX) else { return Some(line) };
            let (piece, after) = line.split_at(end);
            rest = Some(after);
            Some(piece)
        })
    })
}

/// RFC 5321 §4.5.3.1.5: a reply line has at most 512 octets with code and CRLF; the rest is for the codes.
const TEXT_OCTETS_MAX: usize = 480;
/// Most replies have one short line.
const REPLY_OCTETS_USUAL: usize = 96;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: &str) {
        let refusal = Refusal::new(550, Enhanced(5, 1, 1), text);
        assert_eq!(String::from_utf8(refusal.to_reply()).unwrap(), want);
    }

    #[test]
    fn no_text_leaves_its_reply() {
        check("no", "550 5.1.1 no\r\n");
        check("one\ntwo", "550-5.1.1 one\r\n550 5.1.1 two\r\n");
        check("a\r250 é\0", "550 5.1.1 a?250 ??\r\n");
        check("", "550 5.1.1 \r\n");
        let long = "x".repeat(1000);
        for line in String::from_utf8(Refusal::new(550, Enhanced(5, 123, 123), long).to_reply()).unwrap().lines() {
            assert!(line.len() <= 510);
        }
    }

    #[test]
    fn a_refusal_never_says_yes() {
        assert!(Refusal::new(250, Enhanced(2, 0, 0), "oops").to_reply().starts_with(b"451 4.3.0 "));
    }
}
