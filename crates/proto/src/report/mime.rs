//! The parts of a mail as a flat list, within limits. The one module that knows mail-parser.
//!
//! mail-parser itself follows messages inside of messages as deep as they go and takes them apart recursively: 1 MiB
//! holds 30 000 of them, more than a stack does. So parts are cut out here, and mail-parser reads what is difficult in
//! each of them alone: parameters of `Content-Type`, encoded words, transfer encodings, character sets.

use std::borrow::Cow;
use std::sync::LazyLock;

use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::charsets::map::charset_decoder;
use mail_parser::decoders::quoted_printable::quoted_printable_decode;
use mail_parser::{HeaderName, MessageParser, MimeHeaders};
use memchr::{memchr, memmem};

use super::fields::Fields;
use super::{DEPTH_MAX, MAIL_OCTETS_MAX, PARTS_MAX};

/// A mail and what it consists of; messages inside of it stay closed.
pub(super) struct Mail<'a> {
    pub header: Fields<'a>,
    /// `delivery-status`, `feedback-report`, …: what a `multipart/report` says that it is.
    pub report_type: Option<String>,
    pub parts: Vec<Part<'a>>,
    /// True where there was more than [`PARTS_MAX`] or [`DEPTH_MAX`] let in.
    pub is_cut: bool,
}

/// A part that holds no further parts.
pub(super) struct Part<'a> {
    /// `text/plain`, in lower case.
    pub media: String,
    body: &'a [u8],
    encoding: Encoding,
    charset: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Plain,
    Base64,
    QuotedPrintable,
}

/// What the header of a part says of its body.
struct Content {
    media: String,
    encoding: Encoding,
    charset: Option<String>,
    boundary: Option<String>,
    report_type: Option<String>,
}

/// The octets with `\n` alone as line end, at most [`MAIL_OCTETS_MAX`] of them: CRLF, LF and CR are all taken for one, and
/// so is the CR CR LF of gateways that converted twice.
pub(super) fn with_plain_line_ends(octets: &[u8]) -> Cow<'_, [u8]> {
    if memchr(b'\r', &octets[..octets.len().min(MAIL_OCTETS_MAX)]).is_none() {
        return Cow::Borrowed(&octets[..octets.len().min(MAIL_OCTETS_MAX)]);
    }
    let mut plain = Vec::with_capacity(octets.len().min(MAIL_OCTETS_MAX));
    let mut rest = octets;
    while let Some(at) = memchr(b'\r', rest).filter(|at| plain.len() + at < MAIL_OCTETS_MAX) {
        plain.extend_from_slice(&rest[..at]);
        plain.push(b'\n');
        let end = match &rest[at..] {
            [b'\r', b'\r', b'\n', ..] => 3,
            [b'\r', b'\n', ..] => 2,
            _ => 1,
        };
        rest = &rest[at + end..];
    }
    plain.extend_from_slice(&rest[..rest.len().min(MAIL_OCTETS_MAX - plain.len())]);
    Cow::Owned(plain)
}

impl<'a> Mail<'a> {
    /// `depth` is how deep in others this mail lies.
    pub(super) fn open(octets: &'a [u8], depth: usize) -> Self {
        let (header, body) = split_header(without_envelope_line(octets));
        let header = Fields::of(header);
        let content = Content::of(&header);
        let mut mail = Self { header, report_type: content.report_type.clone(), parts: Vec::new(), is_cut: false };
        mail.take(content, body, depth);
        mail
    }

    fn take(&mut self, content: Content, body: &'a [u8], depth: usize) {
        if PARTS_MAX <= self.parts.len() || DEPTH_MAX < depth {
            self.is_cut = true;
            return;
        }
        let boundary = content.boundary.as_deref().filter(|boundary| !boundary.is_empty());
        if let Some(boundary) = boundary.filter(|_| content.media.starts_with("multipart/")) {
            let before = self.parts.len();
            let digest = content.media == "multipart/digest";
            for piece in pieces(body, boundary) {
                if PARTS_MAX <= self.parts.len() {
                    self.is_cut = true;
                    return;
                }
                let (header, body) = split_header(piece);
                let mut content = Content::of(&Fields::of(header));
                if digest && content.media == UNSAID {
                    "message/rfc822".clone_into(&mut content.media);
                }
                self.take(content, body, depth + 1);
            }
            if before < self.parts.len() || self.is_cut {
                return;
            }
        }
        // A multipart without any part is what a careless program made of a text.
        let is_torn = content.media == UNSAID || content.media.starts_with("multipart/");
        let media = if is_torn { "text/plain".to_owned() } else { content.media };
        self.parts.push(Part { media, body, encoding: content.encoding, charset: content.charset });
    }
}

impl<'a> Part<'a> {
    /// The body in clear: transfer encoding and character set undone, where they are what they say.
    pub(super) fn text(&self) -> Cow<'a, str> {
        let octets = self.octets();
        let decoder = self.charset.as_deref().and_then(|charset| charset_decoder(charset.as_bytes()));
        match decoder {
            Some(decode) if std::str::from_utf8(&octets).is_err() || octets.contains(&0x1b) => {
                Cow::Owned(decode(&octets))
            }
            _ => match octets {
                Cow::Borrowed(octets) => String::from_utf8_lossy(octets),
                Cow::Owned(octets) => Cow::Owned(String::from_utf8_lossy(&octets).into_owned()),
            },
        }
    }

    /// The body with its transfer encoding undone; as it is where that encoding is broken.
    pub(super) fn octets(&self) -> Cow<'a, [u8]> {
        let decoded = match self.encoding {
            Encoding::Plain => None,
            Encoding::Base64 => base64_decode(self.body),
            Encoding::QuotedPrintable => quoted_printable_decode(self.body),
        };
        match decoded {
            Some(octets) if octets.contains(&b'\r') => Cow::Owned(with_plain_line_ends(&octets).into_owned()),
            Some(octets) => Cow::Owned(octets),
            None => Cow::Borrowed(self.body),
        }
    }

    pub(super) fn is_message(&self) -> bool {
        matches!(self.media.as_str(), "message/rfc822" | "message/global")
    }
}

impl Content {
    fn of(header: &Fields<'_>) -> Self {
        let encoding = header.first("content-transfer-encoding").map_or(Encoding::Plain, |value| {
            let value = value.trim();
            if value.eq_ignore_ascii_case("base64") {
                Encoding::Base64
            } else if value.eq_ignore_ascii_case("quoted-printable") {
                Encoding::QuotedPrintable
            } else {
                Encoding::Plain
            }
        });
        let unsaid = Self { media: UNSAID.to_owned(), encoding, charset: None, boundary: None, report_type: None };
        let Some(value) = header.raw("content-type") else { return unsaid };
        let field = format!("Content-Type:{}\n\n", cut(value, VALUE_OCTETS_MAX).trim_end());
        let Some(message) = CONTENT_TYPE.parse_headers(field.as_bytes()) else { return unsaid };
        let Some(content_type) = message.content_type() else { return unsaid };
        let attribute = |name| content_type.attribute(name).map(str::to_owned);
        let media = format!("{}/{}", content_type.ctype(), content_type.subtype().unwrap_or("")).to_ascii_lowercase();
        Self {
            // `Content-Type: text` is older than MIME.
            media: if media == "text/" { "text/plain".to_owned() } else { media },
            encoding,
            charset: attribute("charset"),
            boundary: attribute("boundary"),
            report_type: attribute("report-type").map(|kind| kind.to_ascii_lowercase()),
        }
    }
}

/// The value of `Subject`, `From` or such a field with its encoded words (RFC 2047) undone, in one line.
pub(super) fn words(value: &str) -> Cow<'_, str> {
    if !value.contains("=?") {
        return Cow::Borrowed(value);
    }
    let field = format!("Subject:{}\n\n", cut(value, VALUE_OCTETS_MAX).trim_end());
    let message = SUBJECT.parse_headers(field.as_bytes());
    message.as_ref().and_then(|message| message.subject()).map_or(Cow::Borrowed(value), |text| Cow::Owned(text.into()))
}

/// At most so many octets of it, whole characters.
pub(super) fn cut(text: &str, octets_max: usize) -> &str {
    &text[..text.floor_char_boundary(octets_max)]
}

/// A mail from an mbox begins with `From `, one from a careless program with an empty line or a byte order mark.
fn without_envelope_line(octets: &[u8]) -> &[u8] {
    let octets = octets.strip_prefix(b"\xef\xbb\xbf").unwrap_or(octets);
    let start = octets.iter().position(|octet| !octet.is_ascii_whitespace()).unwrap_or(octets.len());
    let octets = &octets[start..];
    if octets.starts_with(b"From ") || octets.starts_with(b">From ") {
        return memchr(b'\n', octets).map_or(&[], |end| &octets[end + 1..]);
    }
    octets
}

/// Header and body. A part may begin with an empty line, and then has no header.
pub(super) fn split_header(octets: &[u8]) -> (&[u8], &[u8]) {
    let mut at = 0;
    while let Some(end) = memchr(b'\n', &octets[at..]) {
        if octets[at..at + end].trim_ascii().is_empty() {
            return (&octets[..at], &octets[at + end + 1..]);
        }
        at += end + 1;
    }
    (octets, &[])
}

/// What stands between the lines `--boundary`, until the line `--boundary--` or the end.
fn pieces<'a>(body: &'a [u8], boundary: &str) -> impl Iterator<Item = &'a [u8]> {
    let dashes = [b"--", boundary.as_bytes()].concat();
    let finder = memmem::Finder::new(&dashes).into_owned();
    let mut rest = next_delimiter(body, &finder).map(|(_, after, is_last)| (&body[after..], is_last));
    std::iter::from_fn(move || {
        let (octets, _) = rest.filter(|(_, is_last)| !is_last)?;
        let next = next_delimiter(octets, &finder);
        rest = next.map(|(_, after, is_last)| (&octets[after..], is_last));
        Some(next.map_or(octets, |(start, ..)| &octets[..start]))
    })
}

/// Where the next delimiter line begins, where the line after it does, and whether it is the last one.
fn next_delimiter(octets: &[u8], finder: &memmem::Finder<'_>) -> Option<(usize, usize, bool)> {
    let mut from = 0;
    loop {
        let start = from + finder.find(&octets[from..])?;
        let after = start + finder.needle().len();
        from = after;
        if start != 0 && octets[start - 1] != b'\n' {
            continue;
        }
        let end = memchr(b'\n', &octets[after..]).map_or(octets.len(), |end| after + end);
        let tail = octets[after..end].trim_ascii();
        let is_last = tail == b"--";
        if is_last || tail.is_empty() {
            return Some((start, (end + 1).min(octets.len()), is_last));
        }
    }
}

/// What a part is that does not say: text, or a message in a digest (RFC 2046 §5.1.5).
const UNSAID: &str = "";
/// Longer ones are no boundary or character set but an attempt to keep us busy.
const VALUE_OCTETS_MAX: usize = 4096;

static CONTENT_TYPE: LazyLock<MessageParser> =
    LazyLock::new(|| MessageParser::new().header_content_type(HeaderName::ContentType).default_header_ignore());
static SUBJECT: LazyLock<MessageParser> =
    LazyLock::new(|| MessageParser::new().header_text(HeaderName::Subject).default_header_ignore());
