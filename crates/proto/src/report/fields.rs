//! Fields as reports have them: lenient, because programs of thirty years wrote them.

use std::borrow::Cow;
use std::ops::Range;

/// The fields of a header or of a status part.
pub(super) struct Fields<'a> {
    text: Cow<'a, str>,
    index: Vec<Place>,
}

/// One field; its value as it stands, folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field<'t> {
    pub name: &'t str,
    pub raw: &'t str,
    /// The number of its block, from 0; empty lines divide blocks (RFC 3464 §2.1).
    pub block: usize,
}

/// Where a field stands.
struct Place {
    name: Range<usize>,
    value: Range<usize>,
    block: usize,
}

impl<'a> Fields<'a> {
    /// The fields of these octets; at most [`FIELDS_OCTETS_MAX`] of them are looked at.
    pub(super) fn of(octets: &'a [u8]) -> Self {
        Self::in_text(String::from_utf8_lossy(&octets[..octets.len().min(FIELDS_OCTETS_MAX)]))
    }

    pub(super) fn in_text(text: Cow<'a, str>) -> Self {
        let index = index(&text);
        Self { text, index }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Field<'_>> {
        self.index.iter().map(|place| Field {
            name: &self.text[place.name.clone()],
            raw: &self.text[place.value.clone()],
            block: place.block,
        })
    }

    /// The first field of this name, folded as it stands.
    pub(super) fn raw(&self, name: &str) -> Option<&str> {
        self.iter().find(|field| field.is(name)).map(|field| field.raw)
    }

    /// The value of the first field of this name, in one line; none where it is empty.
    pub(super) fn first(&self, name: &str) -> Option<String> {
        self.raw(name).map(one_line).filter(|value| !value.is_empty())
    }

    /// The values of all fields of this name.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = String> {
        self.iter().filter(move |field| field.is(name)).map(|field| one_line(field.raw))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.raw(name).is_some()
    }
}

impl Field<'_> {
    pub(super) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

/// In one line, without control characters, runs of blanks as one.
pub(super) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line
}

/// A line that is no field belongs to the field before it: many programs forget to fold the words of a server.
fn index(text: &str) -> Vec<Place> {
    let mut found: Vec<Place> = Vec::new();
    let (mut start, mut block, mut is_inside) = (0, 0, false);
    for line in text.split_inclusive('\n') {
        let end = start + line.len();
        if line.trim().is_empty() {
            block += usize::from(is_inside);
            is_inside = false;
        } else if let Some(name) = name_of(line) {
            let colon = line.find(':').unwrap_or(name.len());
            found.push(Place { name: start..start + name.len(), value: start + colon + 1..end, block });
            is_inside = true;
        } else if let Some(last) = found.last_mut().filter(|_| is_inside) {
            last.value.end = end;
        }
        start = end;
    }
    found
}

/// The name of the field that begins in this line.
fn name_of(line: &str) -> Option<&str> {
    let colon = line.bytes().take(NAME_OCTETS_MAX).position(|octet| octet == b':')?;
    let name = line[..colon].trim_end();
    let is_name =
        !name.is_empty() && name.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet));
    is_name.then_some(name)
}

/// A header of a mail that went through many hands has some 20 kB; what is beyond this is no report's.
const FIELDS_OCTETS_MAX: usize = 128 * 1024;
/// The longest registered names have some 40 octets.
const NAME_OCTETS_MAX: usize = 78;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_however_they_are_folded_or_not() {
        let fields =
            Fields::of(b"A: one\n two\nDiagnostic-Code: smtp; 550 no\nwords of a server: more\nB :\t x\x1b[2J\n");
        let found: Vec<_> = fields.iter().map(|field| (field.name, one_line(field.raw))).collect();
        let want = [("A", "one two"), ("Diagnostic-Code", "smtp; 550 no words of a server: more"), ("B", "x [2J")];
        assert_eq!(found, want.map(|(name, value)| (name, value.to_owned())));
        assert_eq!(fields.first("a").as_deref(), Some("one two"));
        assert!(!fields.has("c"));
    }

    #[test]
    fn empty_lines_divide_blocks_even_with_blanks_in_them() {
        let blocks = |text: &str| -> Vec<(String, usize)> {
            Fields::of(text.as_bytes()).iter().map(|field| (field.name.to_owned(), field.block)).collect()
        };
        let want = |names: &[(&str, usize)]| -> Vec<(String, usize)> {
            names.iter().map(|(name, block)| ((*name).to_owned(), *block)).collect()
        };
        assert_eq!(blocks("A: 1\nB: 2\n \t\nC: 3"), want(&[("A", 0), ("B", 0), ("C", 1)]));
        assert_eq!(blocks("\n\nA: 1\n\n\nlost words\nC: 3\n\n"), want(&[("A", 0), ("C", 1)]));
        assert!(blocks("\n \n").is_empty());
    }
}
