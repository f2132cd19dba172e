//! Octets of a file as UTF-8 or something near it: marks of byte order, UTF-16, Latin-1.

use std::borrow::Cow;

/// Turns UTF-16 into UTF-8 as it comes, and lets everything else through; takes the byte order mark away.
#[derive(Debug, Default)]
pub(super) struct Octets {
    begun: Option<Encoding>,
    /// What is not enough for a decision, or for a character.
    rest: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    /// UTF-8, ASCII or Latin-1: lines can be told apart, and each is read for itself ([`text`]).
    Narrow,
    LittleEndian,
    BigEndian,
}

impl Octets {
    /// Appends to `out` what the octets mean.
    pub(super) fn push(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        match self.begun {
            Some(Encoding::Narrow) => out.extend_from_slice(octets),
            Some(_) => {
                self.rest.extend_from_slice(octets);
                self.wide(out);
            }
            None => {
                self.rest.extend_from_slice(octets);
                if MARK_OCTETS_MAX <= self.rest.len() {
                    self.begin(out);
                }
            }
        }
    }

    /// The file is over.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        if self.begun.is_none() {
            self.begin(out);
        }
        // Half a character at the end of a file that was cut.
        if !self.rest.is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
            self.rest.clear();
        }
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        let (encoding, mark) = match self.rest[..] {
            [0xef, 0xbb, 0xbf, ..] => (Encoding::Narrow, 3),
            [0xff, 0xfe, ..] => (Encoding::LittleEndian, 2),
            [0xfe, 0xff, ..] => (Encoding::BigEndian, 2),
            // Without a mark, the first character is of ASCII in all that we know, and every second octet nothing.
            [first, 0, second, 0, ..] if first != 0 && second != 0 => (Encoding::LittleEndian, 0),
            [0, first, 0, second, ..] if first != 0 && second != 0 => (Encoding::BigEndian, 0),
            _ => (Encoding::Narrow, 0),
        };
        self.begun = Some(encoding);
        self.rest.drain(..mark);
        if encoding == Encoding::Narrow {
            out.append(&mut self.rest);
        } else {
            self.wide(out);
        }
    }

    fn wide(&mut self, out: &mut Vec<u8>) {
        let unit = |pair: &[u8]| match self.begun {
            Some(Encoding::BigEndian) => u16::from_be_bytes([pair[0], pair[1]]),
            _ => u16::from_le_bytes([pair[0], pair[1]]),
        };
        let mut units: Vec<u16> = self.rest.chunks_exact(2).map(unit).collect();
        let mut taken = units.len() * 2;
        // The first half of a pair waits for the second.
        if units.last().is_some_and(|unit| (0xd800..0xdc00).contains(unit)) {
            units.pop();
            taken -= 2;
        }
        for character in char::decode_utf16(units) {
            let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
        self.rest.drain(..taken);
    }
}

/// A piece of a file as text: UTF-8 where it is, and otherwise Latin-1 as Windows writes it, in which every octet is
/// something.
pub(super) fn text(octets: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(octets) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(octets.iter().map(|octet| windows(*octet)).collect()),
    }
}

fn windows(octet: u8) -> char {
    match octet {
        0x80..=0x9f => WINDOWS[usize::from(octet - 0x80)],
        _ => char::from(octet),
    }
}

/// As many as tell every mark, and UTF-16 without one.
const MARK_OCTETS_MAX: usize = 4;

/// Windows-1252 where it is not Latin-1.
const WINDOWS: [char; 32] = [
    '€', '\u{fffd}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{fffd}', 'Ž', '\u{fffd}', '\u{fffd}',
    '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{fffd}', 'ž', 'Ÿ',
];

#[cfg(test)]
mod tests {
    use super::*;

    fn read(octets: &[u8], chunk: usize) -> String {
        let (mut reader, mut out) = (Octets::default(), Vec::new());
        octets.chunks(chunk).for_each(|octets| reader.push(octets, &mut out));
        reader.finish(&mut out);
        text(&out).into_owned()
    }

    #[track_caller]
    fn check(octets: &[u8], want: &str) {
        for chunk in [1, 3, octets.len().max(1)] {
            assert_eq!(read(octets, chunk), want, "in pieces of {chunk}");
        }
    }

    #[test]
    fn every_encoding_of_a_spreadsheet_is_read() {
        let text = "é,€ 😀@x\r\n";
        let wide: Vec<u16> = text.encode_utf16().collect();
        let little: Vec<u8> = wide.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let big: Vec<u8> = wide.iter().flat_map(|unit| unit.to_be_bytes()).collect();
        check(text.as_bytes(), text);
        check(&[b"\xef\xbb\xbf", text.as_bytes()].concat(), text);
        check(&[b"\xff\xfe", &little[..]].concat(), text);
        check(&[b"\xfe\xff", &big[..]].concat(), text);
        check(b"h\xe9l\xe8ne;\x80", "hélène;€");
        check(b"a\0@\0b\0", "a@b");
        check(b"\0a\0@\0b", "a@b");
        check(b"", "");
        check(b"a", "a");
        check(b"\xff\xfea\0b", "a\u{fffd}");
        check(b"\xff\xfe\0\xd8a\0", "\u{fffd}a");
    }
}
