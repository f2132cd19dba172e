//! Forms with files as browsers send them: `multipart/form-data` (RFC 7578), octets in, fields and files out.
//!
//! In time that grows with the octets alone, whatever they are; a part that is broken is left out.

use memchr::memmem::{self, Finder};

/// One part of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<'a> {
    /// The name of its field.
    pub name: String,
    /// The name of the file that was chosen; empty where none was. None: it is no field for files.
    pub file: Option<String>,
    pub content: &'a [u8],
}

/// What stands between the parts, from the field `Content-Type` of the request; none where that is no such form.
#[must_use]
pub fn boundary(content_type: &str) -> Option<&str> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let named = parameters.split(';').find_map(|parameter| parameter.trim().strip_prefix("boundary="))?;
    let named = named.trim_matches('"');
    let is_fine = (1..=BOUNDARY_OCTETS_MAX).contains(&named.len()) && named.bytes().all(|b| (b' '..=b'~').contains(&b));
    is_fine.then_some(named)
}

/// The parts of a form, in order, `parts_max` at most: what comes behind is not looked at.
#[must_use]
pub fn parts<'a>(body: &'a [u8], boundary: &str, parts_max: usize) -> Vec<Part<'a>> {
    let between = format!("\r\n--{boundary}");
    let finder = Finder::new(&between);
    // The first one has no line before it.
    let first = body.strip_prefix(&between.as_bytes()[2..]);
    let mut rest = first.and_then(|rest| rest.strip_prefix(b"\r\n")).unwrap_or_default();
    let mut found = Vec::new();
    for _ in 0..parts_max {
        let Some(end) = end_of(rest, &finder) else { break };
        found.extend(part(&rest[..end]));
        let behind = &rest[end + between.len()..];
        // Two dashes end the form.
        let Some(next) = behind.strip_prefix(b"\r\n") else { break };
        rest = next;
    }
    found
}

/// Where the content of a part ends. What only begins as the boundary does is content.
fn end_of(rest: &[u8], finder: &Finder<'_>) -> Option<usize> {
    let length = finder.needle().len();
    finder.find_iter(rest).find(|at| {
        let behind = &rest[at + length..];
        behind.starts_with(b"\r\n") || behind.starts_with(b"--")
    })
}

/// Head and content of a part.
fn part(octets: &[u8]) -> Option<Part<'_>> {
    // What has so long a head is none of a browser, and is not searched to its end.
    let head_end = memmem::find(&octets[..octets.len().min(HEAD_OCTETS_MAX)], b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&octets[..head_end]);
    let line = head.lines().find(|line| is_disposition(line))?;
    let (name, file) = (parameter(line, "name")?, parameter(line, "filename"));
    Some(Part { name, file, content: &octets[head_end + 4..] })
}

fn is_disposition(line: &str) -> bool {
    line.split_once(':').is_some_and(|(name, _)| name.eq_ignore_ascii_case("content-disposition"))
}

/// A parameter of the line. Browsers write each in quotes, and a quote in it as %22 (WHATWG HTML, multipart form data): so the
/// next quote ends it, and nothing inside of one is taken for another.
fn parameter(line: &str, wanted: &str) -> Option<String> {
    let (_, mut rest) = line.split_once(';')?;
    loop {
        let (name, value) = rest.split_once("=\"")?;
        let (value, behind) = value.split_once('"')?;
        if name.trim() == wanted {
            return Some(value.to_owned());
        }
        rest = behind.trim_start().strip_prefix(';')?;
    }
}

/// RFC 2046 §5.1.1.
const BOUNDARY_OCTETS_MAX: usize = 70;
/// The head of a part names a field and a file.
const HEAD_OCTETS_MAX: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 50;

    #[track_caller]
    fn check(body: &str, want: &[(&str, Option<&str>, &str)]) {
        let got = parts(body.as_bytes(), "x", MAX);
        let got: Vec<_> = got
            .iter()
            .map(|part| (&*part.name, part.file.as_deref(), std::str::from_utf8(part.content).unwrap()))
            .collect();
        assert_eq!(got, want, "{body:?}");
    }

    #[test]
    fn fields_and_a_file_are_read() {
        check(
            "--x\r\nContent-Disposition: form-data; name=\"form\"\r\n\r\nabc\r\n--x\r\n\
             content-disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\nContent-Type: text/csv\r\n\r\na@x.example\r\n--y\r\n\
             \r\n--x\r\nContent-Disposition: form-data; name=\"what\"\r\n\r\n\r\n--x--\r\n",
            &[("form", None, "abc"), ("file", Some("a.csv"), "a@x.example\r\n--y\r\n"), ("what", None, "")],
        );
        check(
            "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"\"\r\n\r\n\r\n--x--\r\n",
            &[("file", Some(""), "")],
        );
    }

    #[test]
    fn a_line_that_begins_as_the_boundary_does_is_content() {
        check(
            "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--xy\r\n2\r\n--x--",
            &[("a", None, "1\r\n--xy\r\n2")],
        );
    }

    #[test]
    fn what_is_broken_is_left_out() {
        for body in ["", "--x", "--x--", "x", "--x\r\n\r\n", "--x\r\nContent-Disposition: form-data\r\n\r\na\r\n--x--"]
        {
            check(body, &[]);
        }
        check(
            "--x\r\nContent-Disposition: form-data; name=\"a; filename=\"b\"\r\n\r\n1\r\n--x--",
            &[("a; filename=", None, "1")],
        );
        check("--x\r\nContent-Disposition: form-data; name=\"a\r\n\r\n1\r\n--x--", &[]);
        let long =
            format!("--x\r\nX: {}\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--x--", "y".repeat(9000));
        check(&long, &[]);
    }

    #[test]
    fn many_parts_and_near_boundaries_cost_no_more_than_their_octets() {
        let one = "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n";
        assert_eq!(parts(format!("{}--x--", one.repeat(60)).as_bytes(), "x", MAX).len(), MAX);
        let near = format!("--{0}\r\n{1}", "a".repeat(70), format!("\r\n--{}", "a".repeat(69)).repeat(100_000));
        assert_eq!(parts(near.as_bytes(), &"a".repeat(70), MAX), []);
    }

    #[test]
    fn the_boundary_stands_in_the_kind() {
        assert_eq!(boundary("multipart/form-data; boundary=----a"), Some("----a"));
        assert_eq!(boundary("Multipart/Form-Data; charset=x; boundary=\"a b\""), Some("a b"));
        let long = format!("multipart/form-data; boundary={}", "a".repeat(71));
        for none in ["multipart/form-data", "multipart/form-data; boundary=", "text/plain; boundary=x", &long] {
            assert_eq!(boundary(none), None, "{none}");
        }
    }
}
