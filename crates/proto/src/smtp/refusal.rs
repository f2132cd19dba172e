//! What a server says: replies as octets, and refusals as values until then.

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
    let lines: Vec<String> = pieces(text).map(|line| format!("{enhanced} {line}")).collect();
    lines_of(code, &lines)
}

/// A reply without enhanced code: the banner, the answer to EHLO and 3yz have none (RFC 2034 §4).
pub(super) fn plain_reply(code: u16, lines: &[String]) -> Vec<u8> {
    let lines: Vec<String> = lines.iter().flat_map(|line| pieces(line)).collect();
    lines_of(code, &lines)
}

fn lines_of(code: u16, lines: &[String]) -> Vec<u8> {
    let mut out = String::new();
    for (index, line) in lines.iter().enumerate() {
        let mark = if index + 1 == lines.len() { ' ' } else { '-' };
        out.push_str(&format!("{code}{mark}{line}\r\n"));
    }
    out.into_bytes()
}

/// Lines that fit into a reply line: nothing but printable ASCII, so that no text can end the line early.
fn pieces(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split('\n').flat_map(|line| {
        let clean: Vec<char> = line.chars().map(|c| if matches!(c, ' '..='~') { c } else { '?' }).collect();
        match clean.is_empty() {
            true => vec![String::new()],
            false => clean.chunks(TEXT_OCTETS_MAX).map(|chunk| chunk.iter().collect()).collect(),
        }
    })
}

/// RFC 5321 §4.5.3.1.5: a reply line has at most 512 octets with code and CRLF; the rest is for the codes.
const TEXT_OCTETS_MAX: usize = 480;

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
