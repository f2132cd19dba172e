//! Takes fields out of the header that are not for everybody: Bcc, whose people were to stay hidden (RFC 5322 §3.6.3,
//! RFC 6409 §8), and what a sender says to this node alone.

use sm2tp_rules::stream;

/// The message without its Bcc and Resent-Bcc fields, in whatever case and however folded; only the header is looked
/// at. A field that a DKIM signature of the message covers (`h=` names it) stays: its author has signed that everybody
/// may read it, and taking it out would make the signature false.
pub(super) fn without_bcc(content: Vec<u8>) -> Vec<u8> {
    without(content, is_bcc)
}

/// The message without the field that names its stream, likewise.
pub(super) fn without_stream(content: Vec<u8>) -> Vec<u8> {
    without(content, |name| name.eq_ignore_ascii_case(stream::FIELD.as_bytes()))
}

/// What the header says of the stream. Only its beginning is looked at: nobody writes so many fields.
pub(super) fn looks(content: &[u8]) -> stream::Looks {
    let mut looks = stream::Looks::default();
    for field in fields(content).take(FIELDS_MAX) {
        let Some(value) = field.octets.get(field.name.len()..) else { continue };
        let value = String::from_utf8_lossy(&value[..value.len().min(VALUE_OCTETS_MAX)]);
        let value = value.split_once(':').map_or("", |(_, value)| value).replace(['\r', '\n'], "");
        looks.note(&String::from_utf8_lossy(field.name), &value);
    }
    looks
}

fn without(content: Vec<u8>, is_doomed: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let doomed: Vec<Field<'_>> = fields(&content).filter(|field| is_doomed(field.name)).collect();
    if doomed.is_empty() {
        return content;
    }
    let signed: Vec<String> = fields(&content).filter(|field| is_signature(field.name)).flat_map(signed_by).collect();
    let doomed = doomed.into_iter().filter(|field| !signed.iter().any(|name| field.is(name)));
    let mut out = Vec::with_capacity(content.len());
    let mut from = 0;
    for field in doomed {
        out.extend_from_slice(&content[from..field.start]);
        from = field.start + field.octets.len();
    }
    out.extend_from_slice(&content[from..]);
    out
}

/// One field with the lines that continue it.
struct Field<'a> {
    start: usize,
    octets: &'a [u8],
    name: &'a [u8],
}

impl Field<'_> {
    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

/// The fields of the header, up to the empty line.
fn fields(content: &[u8]) -> impl Iterator<Item = Field<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at;
        let end = |from: usize| content[from..].iter().position(|octet| *octet == b'\n').map(|lf| from + lf + 1);
        if matches!(content.get(start..)?, [] | [b'\r', b'\n', ..]) {
            return None;
        }
        at = end(start).unwrap_or(content.len());
        while matches!(content.get(at), Some(b' ' | b'\t')) {
            at = end(at).unwrap_or(content.len());
        }
        let octets = &content[start..at];
        // RFC 5322 §4.5: old programs write a space before the colon.
        let name = octets.split(|octet| *octet == b':').next().unwrap_or_default().trim_ascii_end();
        Some(Field { start, octets, name })
    })
}

fn is_bcc(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"bcc") || name.eq_ignore_ascii_case(b"resent-bcc")
}

fn is_signature(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"dkim-signature") || name.eq_ignore_ascii_case(b"arc-message-signature")
}

/// The names in `h=` (RFC 6376 §3.5).
fn signed_by(field: Field<'_>) -> Vec<String> {
    let value = String::from_utf8_lossy(field.octets);
    let value = value.split_once(':').map_or("", |(_, value)| value);
    let tags = value.split(';').filter_map(|tag| tag.split_once('='));
    let names = tags.filter(|(tag, _)| tag.trim() == "h").flat_map(|(_, names)| names.split(':'));
    names.map(|name| name.trim().to_owned()).collect()
}

const FIELDS_MAX: usize = 1000;
/// A word or two is looked for.
const VALUE_OCTETS_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(content: &str, want: &str) {
        assert_eq!(String::from_utf8(without_bcc(content.as_bytes().to_vec())).unwrap(), want);
    }

    #[test]
    fn bcc_goes_in_each_of_its_forms_and_nothing_else_does() {
        check("Bcc: a@b.test\r\nTo: c@d.test\r\n\r\nhi\r\n", "To: c@d.test\r\n\r\nhi\r\n");
        check("To: c@d.test\r\nBCC :a@b.test,\r\n\tx@y.test,\r\n \r\n z@y.test\r\n\r\n", "To: c@d.test\r\n\r\n");
        check("bcc:\r\nresent-BCC: a@b.test\r\nSubject: x\r\n\r\n", "Subject: x\r\n\r\n");
        check("Bcc: a@b.test", "");
        for same in
            ["", "\r\nBcc: in the body\r\n", "Subject: Bcc: x\r\n Bcc: folded\r\nX-Bcc: y\r\nBccs: z\r\n\r\nBcc: w\r\n"]
        {
            check(same, same);
        }
        check("Subject: x\r\nno field\r\nBcc: a\r\n\r\n", "Subject: x\r\nno field\r\n\r\n");
    }

    #[test]
    fn the_own_field_is_read_and_taken_out() {
        let content = b"Subject: x\r\nsm2tp-stream :\r\n bulk\r\nPrecedence: list\r\n\r\nSM2TP-Stream: personal\r\n";
        let looks = looks(content);
        assert_eq!(looks.field, Some(sm2tp_rules::Stream::Bulk));
        assert_eq!(looks.sign.map(|sign| sign.by), Some(sm2tp_rules::StreamBy::Precedence));
        let left = String::from_utf8(without_stream(content.to_vec())).unwrap();
        assert_eq!(left, "Subject: x\r\nPrecedence: list\r\n\r\nSM2TP-Stream: personal\r\n");
        for odd in [&b""[..], b"\r\n", b":", b"SM2TP-Stream", b"SM2TP-Stream:", b"\xff\xfe: \xff\r\n", b" folded\r\n"] {
            assert_eq!(super::looks(odd), stream::Looks::default());
        }
    }

    #[test]
    fn what_a_signature_covers_stays() {
        let signed = "DKIM-Signature: v=1; a=ed25519-sha256; h=From:\r\n\t BCC : To; b=x\r\n";
        let with = |rest: &str| format!("{signed}{rest}\r\n");
        check(&with("Bcc: a@b.test\r\n"), &with("Bcc: a@b.test\r\n"));
        check(&with("Bcc: a@b.test\r\nResent-Bcc: c@d.test\r\n"), &with("Bcc: a@b.test\r\n"));
        let other = "DKIM-Signature: v=1; h=From:To; b=bcc\r\n";
        check(&format!("{other}Bcc: a@b.test\r\n\r\n"), &format!("{other}\r\n"));
    }
}
