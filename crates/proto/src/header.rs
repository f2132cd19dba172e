//! The header of a message: its fields as they stand, and the domains of the addresses in one (RFC 5322 §2.2, §3.4).
//!
//! Strict: what could be read in two ways is not read. Whoever needs to know who wrote must not guess.

use crate::Domain;

/// One field, as it stands in the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    pub name: &'a str,
    /// What follows the colon, folded as it is, with the line end.
    pub value: &'a [u8],
}

/// The fields of a header, in order; none where a line is no field, or the header does not end with a line end.
#[must_use]
pub fn fields(message: &[u8]) -> Option<Vec<Field<'_>>> {
    let mut fields = Vec::with_capacity(FIELDS_USUAL);
    let mut rest = message;
    while !rest.is_empty() && !rest.starts_with(b"\r\n") {
        let end = field_end(rest)?;
        let (field, after) = rest.split_at(end);
        let colon = field.iter().position(|octet| *octet == b':')?;
        let name = std::str::from_utf8(&field[..colon]).ok()?;
        if name.is_empty() || !name.bytes().all(|octet| octet.is_ascii_graphic()) {
            return None;
        }
        fields.push(Field { name, value: &field[colon + 1..] });
        rest = after;
    }
    Some(fields)
}

/// Where the field that begins here ends: after the first line end that no white space follows.
fn field_end(rest: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let end = from + rest[from..].windows(2).position(|two| two == b"\r\n")? + 2;
        if !matches!(rest.get(end), Some(b' ' | b'\t')) {
            return Some(end);
        }
        from = end;
    }
}

/// The domains of all addresses in the value of `From`, `Sender` or such a field, each once; none where the value
/// cannot be read for sure. Whatever stands before an `@` outside of quotes and comments counts as an address, so that
/// `a@x.example <b@y.example>` has two domains.
#[must_use]
pub fn domains(value: &[u8]) -> Option<Vec<Domain>> {
    // Names in old encodings are as good as any: what is no UTF-8 in a domain makes it none.
    let text = without_quotes(&String::from_utf8_lossy(value))?;
    let mut found = Vec::new();
    for after in text.split('@').skip(1) {
        let end = after.find(['>', ',', ';', '<', ':', ' ', '\t', '\r', '\n']).unwrap_or(after.len());
        let domain = Domain::parse(&after[..end]).ok().filter(|domain| !domain.as_str().contains('\u{fffd}'))?;
        if !found.contains(&domain) {
            found.push(domain);
        }
        if DOMAINS_MAX < found.len() {
            return None;
        }
    }
    Some(found)
}

/// The text without quoted strings and comments (RFC 5322 §3.2.2, §3.2.4), white space around `@` and dots as
/// obsolete syntax allows it (§4.4) taken out; none where a quote or bracket is left open.
fn without_quotes(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let (mut depth, mut quoted) = (0_u32, false);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' if quoted || 0 < depth => drop(chars.next()?),
            '"' if depth == 0 => quoted = !quoted,
            _ if quoted => {}
            '(' => depth += 1,
            ')' => depth = depth.checked_sub(1)?,
            _ if 0 < depth => {}
            ' ' | '\t' | '\r' | '\n' if out.ends_with(['@', '.']) => {}
            '@' | '.' => {
                out.truncate(out.trim_end().len());
                out.push(c);
            }
            _ => out.push(c),
        }
    }
    (!quoted && depth == 0).then_some(out)
}

/// More than one is unusual, more than a few is a trick.
const DOMAINS_MAX: usize = 16;
/// Mail from a program of its author has some ten fields, mail that was forwarded thirty.
const FIELDS_USUAL: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_cut_as_they_stand() {
        let message = b"From: a@x.example\r\nSubject:  long\r\n\tand folded\r\n \r\nX:\r\n\r\nBody: no\r\n";
        let fields = fields(message).unwrap();
        let found: Vec<_> = fields.iter().map(|f| (f.name, std::str::from_utf8(f.value).unwrap())).collect();
        let want = [("From", " a@x.example\r\n"), ("Subject", "  long\r\n\tand folded\r\n \r\n"), ("X", "\r\n")];
        assert_eq!(found, want);
        assert_eq!(super::fields(b"\r\nbody"), Some(Vec::new()));
        assert_eq!(super::fields(b"").map(|fields| fields.len()), Some(0));
    }

    #[test]
    fn a_header_that_is_none_is_not_read() {
        for message in [
            &b"From: a@x.example"[..],
            b"From : a@x.example\r\n\r\n",
            b"From a@x.example Mon 12:00:00\r\n\r\n",
            b"no colon\r\n\r\n",
            b" begins folded: x\r\n\r\n",
            b": no name\r\n\r\n",
            b"Fr\xc3\xb6m: x\r\n\r\n",
        ] {
            assert_eq!(fields(message), None, "{}", String::from_utf8_lossy(message));
        }
    }

    #[test]
    fn the_domains_of_addresses_are_found_however_they_are_written() {
        #[track_caller]
        fn check(value: &str, want: Option<&[&str]>) {
            let got = domains(value.as_bytes());
            let got = got.as_ref().map(|domains| domains.iter().map(Domain::as_str).collect::<Vec<_>>());
            assert_eq!(got.as_deref(), want, "{value}");
        }
        check(" a@x.example\r\n", Some(&["x.example"]));
        check(" Anna <a@X.example>\r\n", Some(&["x.example"]));
        check(" \"Anna, b@y.example\" <a@x.example>", Some(&["x.example"]));
        check(" Anna (b@y.example (c@z.example)) <a@x.example>", Some(&["x.example"]));
        check(" \"a \\\" b@y.example\" <a@x.example>", Some(&["x.example"]));
        check(" \"a@y\"@x.example", Some(&["x.example"]));
        check(" =?utf-8?q?Anna?=\r\n <a@x.example>", Some(&["x.example"]));
        check(" a@x.example, B <b@x.example>", Some(&["x.example"]));
        check(" a@x.example, b@y.example", Some(&["x.example", "y.example"]));
        check(" b@y.example <a@x.example>", Some(&["y.example", "x.example"]));
        check(" Team: a@x.example, b@y.example;", Some(&["x.example", "y.example"]));
        check(" <@r.example:a@x.example>", Some(&["r.example", "x.example"]));
        check(" a @ x . example", Some(&["x.example"]));
        check(" a@x.example(home)", Some(&["x.example"]));
        check(" undisclosed:;", Some(&[]));
        check("", Some(&[]));
        check(" a@[192.0.2.1]", None);
        check(" a@", None);
        check(" a@x.example> <b@y.example", Some(&["x.example", "y.example"]));
        assert_eq!(domains(b" Ren\xe9 <r@x.example>"), domains(b" r@x.example"));
        assert_eq!(domains(b" r@caf\xe9.example"), None);
        check(" \"open <a@x.example>", None);
        check(" a@x.example (open", None);
        check(" a@x.example)", None);
        check(&format!(" {}", (0..20).map(|n| format!("a@{n}.example, ")).collect::<String>()), None);
    }
}
