//! Headers and bodies in the forms that signatures are made over (RFC 6376 §3.4).
//!
//! Only these octets are white space: space and tab. Contents have no line end but CRLF; the door takes no other.

use mail_auth::common::headers::{Writable, Writer};

/// One field in the relaxed form, with its line end (RFC 6376 §3.4.2). `value` is what follows the colon.
pub(super) fn relaxed_field(name: &str, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name.trim_ascii_end().to_ascii_lowercase().as_bytes());
    out.push(b':');
    let begin = out.len();
    let unfolded = value.iter().copied().filter(|octet| !b"\r\n".contains(octet));
    without_runs(unfolded, out);
    if out.get(begin) == Some(&b' ') {
        out.remove(begin);
    }
    out.extend_from_slice(b"\r\n");
}

/// Where the body begins; at the end where there is none.
pub(super) fn body_start(content: &[u8]) -> usize {
    content.windows(4).position(|four| four == b"\r\n\r\n").map_or(content.len(), |at| at + 4)
}

/// A body as it is, without the empty lines at its end and with one line end (RFC 6376 §3.4.3). Written in one piece; the
/// library does it line by line, which takes longer than an Ed25519 signature.
pub(super) struct SimpleBody<'a>(&'a [u8]);

/// A body without white space that nobody sees (RFC 6376 §3.4.4). The library (mail-auth 0.13.3) gets those wrong that end
/// in lines of white space alone.
pub(super) struct RelaxedBody<'a>(&'a [u8]);

impl<'a> SimpleBody<'a> {
    pub(super) fn of(content: &'a [u8]) -> Self {
        let mut body = &content[body_start(content)..];
        while let Some(shorter) = body.strip_suffix(b"\r\n") {
            body = shorter;
        }
        Self(body)
    }
}

impl Writable for SimpleBody<'_> {
    fn write(self, writer: &mut impl Writer) {
        writer.write(self.0);
        writer.write(b"\r\n");
    }
}

impl<'a> RelaxedBody<'a> {
    pub(super) fn of(content: &'a [u8]) -> Self {
        Self(&content[body_start(content)..])
    }
}

impl Writable for RelaxedBody<'_> {
    fn write(self, writer: &mut impl Writer) {
        let (mut rest, mut line, mut empty_lines) = (self.0, Vec::new(), 0_usize);
        while !rest.is_empty() {
            let end = rest.windows(2).position(|two| two == b"\r\n").unwrap_or(rest.len());
            line.clear();
            without_runs(rest[..end].iter().copied(), &mut line);
            rest = rest.get(end + 2..).unwrap_or_default();
            if line.is_empty() {
                empty_lines += 1;
                continue;
            }
            // Only now is it known that they are not at the end.
            (0..std::mem::take(&mut empty_lines)).for_each(|_| writer.write(b"\r\n"));
            line.extend_from_slice(b"\r\n");
            writer.write(&line);
        }
    }
}

/// Each run of white space as one space, and none at the end.
fn without_runs(octets: impl Iterator<Item = u8>, out: &mut Vec<u8>) {
    let mut has_space = false;
    for octet in octets {
        if b" \t".contains(&octet) {
            has_space = true;
            continue;
        }
        if std::mem::take(&mut has_space) {
            out.push(b' ');
        }
        out.push(octet);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_rfc_come_out_as_it_says() {
        // RFC 6376 §3.4.5.
        let mut header = Vec::new();
        relaxed_field("A", b" X\r\n", &mut header);
        relaxed_field("B ", b" Y\t\r\n\tZ  \r\n", &mut header);
        assert_eq!(header, b"a:X\r\nb:Y Z\r\n");
        let content = b"A: X\r\n\r\n C \r\nD \t E\r\n\r\n\r\n";
        let (mut relaxed, mut simple) = (Vec::new(), Vec::new());
        RelaxedBody::of(content).write(&mut relaxed);
        SimpleBody::of(content).write(&mut simple);
        assert_eq!((&relaxed[..], &simple[..]), (&b" C\r\nD E\r\n"[..], &b" C \r\nD \t E\r\n"[..]));
    }

    #[test]
    fn bodies_end_as_they_should() {
        #[track_caller]
        fn check(body: &str, want: &str) {
            let mut relaxed = Vec::new();
            RelaxedBody::of(format!("A: b\r\n\r\n{body}").as_bytes()).write(&mut relaxed);
            assert_eq!(String::from_utf8(relaxed).unwrap(), want, "{body:?}");
        }
        check("", "");
        check(" \t", "");
        check("\r\n \r\n\r\n", "");
        check("a", "a\r\n");
        check("a\r\n \r\n\t\r\n", "a\r\n");
        check("\r\n a\r\n\r\n b \t", "\r\n a\r\n\r\n b\r\n");
    }
}
