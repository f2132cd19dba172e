//! Suppression lists of other programs and providers: octets in, entries out, whatever the encoding and the separator.
//!
//! `docs/suppression-lists.md` says which lists, and where their formats are described. Nothing here decides whether an
//! entry is believed.

mod columns;
mod dates;
mod entry;
mod octets;
mod records;

use std::fmt;
use std::str::FromStr;

use memchr::memmem;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use self::columns::Role;
use self::entry::Fields;
use self::octets::Octets;
use self::records::{Lines, Objects, Record};
use crate::{AddressError, Enhanced};

/// Whose list it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// An address a line.
    Plain,
    Ses,
    SendGrid,
    Mailgun,
    Postmark,
    Brevo,
    Sympa,
    Mailman,
    /// What this program exports.
    #[serde(rename = "sm2tp")]
    Own,
    /// Columns with names, of nobody that we know.
    Csv,
    Json,
}

/// Why an address stands on a list, in the list's view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Mail came back for good.
    Bounce,
    /// The list has the words or the code of a server, and no word of its own.
    Answer,
    /// A full mailbox, or one that was off for a while.
    Soft,
    Complaint,
    Unsubscribe,
    /// A person put it there.
    Listed,
    /// The message was refused, not the address.
    Blocked,
    /// The list does not say.
    Unsaid,
}

/// Whom an entry is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// An address that parses ([`crate::Address`]), as the list has it.
    Address(String),
    /// Of our own export: tag and key in hexadecimal digits.
    Tag { tag: String, key_id: String, domain: String },
}

/// One entry of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Of the line that it begins in, or of the object in JSON; from 1.
    pub number: u64,
    pub who: Who,
    pub reason: Reason,
    /// Unix seconds; none where the list has no date.
    pub at: Option<u64>,
    pub code: Option<u16>,
    pub enhanced: Option<Enhanced>,
    /// The words of a server, at most 1 000 characters of them. May name the address.
    pub text: Option<String>,
    /// Of our own export: whose it is.
    pub org: Option<String>,
    /// Of our own export: the kind of mail that it is about.
    pub stream: Option<String>,
    /// Of our own export: an ambiguous refusal.
    pub is_weak: bool,
    /// Bounces over several days that a list manager counted, without saying why they came.
    pub is_repeated: bool,
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    Entry(Entry),
    Refused { number: u64, fault: Fault },
}

/// Why a record is no entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum Fault {
    #[error("longer than 16 KiB: no entry of a list is")]
    TooLong,
    #[error("a quote opens a field and does not close it")]
    OpenQuote,
    #[error("octets of zero in it: this is no text")]
    Nul,
    #[error("broken JSON; nothing behind it can be read")]
    Json,
    #[error("the file ends in the middle of it")]
    Cut,
    #[error("no address in it")]
    NoAddress,
    #[error("no address that mail goes to: {0}")]
    Address(AddressError),
    #[error("a date that is not understood")]
    Date,
    #[error("a tag, a key or a domain that this program does not write")]
    Tag,
    #[error("the list says that this address is still written to")]
    NotStopped,
    #[error("what happened stops nobody (sent, delivered, opened …), or is a word that is not known")]
    Event,
}

/// Reads a list piece by piece; holds one record and [`HEAD_OCTETS`] of it at most.
#[derive(Debug)]
pub struct Reader {
    octets: Octets,
    /// What was asked for; none: look at the list.
    wish: Option<Format>,
    format: Option<Format>,
    shape: Shape,
    /// Octets that are read next.
    piece: Vec<u8>,
}

/// How the list is laid out.
#[derive(Debug)]
enum Shape {
    /// Too little of it was seen.
    Unknown(Vec<u8>),
    Rows {
        lines: Lines,
        separator: Option<u8>,
        columns: Columns,
    },
    Objects(Objects),
    /// Sympa's dump: `email jeanne@example.org`, one value a line, an empty line between members.
    Paragraphs {
        lines: Lines,
        member: Vec<String>,
        begun_at: u64,
    },
    /// Mailman's log of bounces.
    Log(Lines),
}

#[derive(Debug)]
enum Columns {
    Unknown,
    Named(Vec<Role>),
    /// The first row was an entry.
    Nameless,
}

impl Reader {
    /// A reader of the list that `wish` names, or of whatever it finds.
    #[must_use]
    pub fn new(wish: Option<Format>) -> Self {
        let shape = Shape::Unknown(Vec::new());
        Self { octets: Octets::default(), wish, format: wish, shape, piece: Vec::new() }
    }

    /// Whose list it is: what was asked for, or what was found once something was read.
    #[must_use]
    pub fn format(&self) -> Option<Format> {
        self.format
    }

    /// Reads on, and appends to `found` what is whole.
    pub fn push(&mut self, octets: &[u8], found: &mut Vec<Line>) {
        let mut piece = std::mem::take(&mut self.piece);
        self.octets.push(octets, &mut piece);
        self.read(&piece, found);
        piece.clear();
        self.piece = piece;
    }

    /// The list is over.
    pub fn finish(&mut self, found: &mut Vec<Line>) {
        let mut piece = Vec::new();
        self.octets.finish(&mut piece);
        self.read(&piece, found);
        self.begin(found);
        let mut format = self.format.unwrap_or(Format::Plain);
        match &mut self.shape {
            Shape::Unknown(_) => {}
            Shape::Rows { lines, separator, columns } => {
                lines.finish(&mut |number, record| row(&mut format, *separator, columns, number, record, found));
            }
            Shape::Objects(objects) => objects.finish(&mut |number, record| object(&mut format, number, record, found)),
            Shape::Paragraphs { lines, member, begun_at } => {
                lines.finish(&mut |number, record| paragraph(member, begun_at, number, record, found));
                paragraph(member, begun_at, 0, Ok(b""), found);
            }
            Shape::Log(lines) => lines.finish(&mut |number, record| logged(number, record, found)),
        }
        self.format = Some(format);
    }

    fn read(&mut self, piece: &[u8], found: &mut Vec<Line>) {
        let mut format = self.format.unwrap_or(Format::Plain);
        match &mut self.shape {
            Shape::Unknown(head) => {
                head.extend_from_slice(piece);
                if HEAD_OCTETS <= head.len() {
                    self.begin(found);
                }
                return;
            }
            Shape::Rows { lines, separator, columns } => {
                lines.push(piece, &mut |number, record| row(&mut format, *separator, columns, number, record, found));
            }
            Shape::Objects(objects) => {
                objects.push(piece, &mut |number, record| object(&mut format, number, record, found))
            }
            Shape::Paragraphs { lines, member, begun_at } => {
                lines.push(piece, &mut |number, record| paragraph(member, begun_at, number, record, found));
            }
            Shape::Log(lines) => lines.push(piece, &mut |number, record| logged(number, record, found)),
        }
        self.format = Some(format);
    }

    /// Looks at the head of the list and begins to read it.
    fn begin(&mut self, found: &mut Vec<Line>) {
        let Shape::Unknown(head) = &mut self.shape else { return };
        let head = std::mem::take(head);
        // As much of it however it came, so that the same list is always read in the same way.
        let (shape, format) = shape(&head[..head.len().min(HEAD_OCTETS)], self.wish);
        self.shape = shape;
        self.format = self.wish.or(Some(format));
        self.read(&head, found);
    }
}

/// How a list that begins like this is laid out, and whose it is as far as that tells.
fn shape(head: &[u8], wish: Option<Format>) -> (Shape, Format) {
    let line_end =
        if memchr::memchr(b'\n', head).is_none() && memchr::memchr(b'\r', head).is_some() { b'\r' } else { b'\n' };
    let whole = || Lines::new(None, line_end);
    let begins = |line: &[u8], word: &[u8]| line.starts_with(word) && memchr::memchr(b'@', line).is_some();
    if matches!(head.trim_ascii_start().first(), Some(b'{' | b'[')) && wish != Some(Format::Plain) {
        return (Shape::Objects(Objects::default()), Format::Json);
    }
    if head.split(|octet| *octet == line_end).any(|line| begins(line, b"email ")) {
        return (Shape::Paragraphs { lines: whole(), member: Vec::new(), begun_at: 1 }, Format::Sympa);
    }
    if memmem::find(head, b" bounce score").is_some() || memmem::find(head, PROBE).is_some() {
        return (Shape::Log(whole()), Format::Mailman);
    }
    let separator = if wish == Some(Format::Plain) { None } else { separator(head, line_end) };
    let format = if separator.is_some() { Format::Csv } else { Format::Plain };
    let lines = Lines::new(separator, line_end);
    (Shape::Rows { lines, separator, columns: Columns::Unknown }, format)
}

/// What stands between the fields of the first lines: the sign that comes most often outside of quotes.
fn separator(head: &[u8], line_end: u8) -> Option<u8> {
    let is_said = |line: &&[u8]| !line.trim_ascii().is_empty() && !line.starts_with(b"#");
    let first = head.split(|octet| *octet == line_end).find(is_said)?;
    if let [b's', b'e', b'p', b'=', separator, ..] = first {
        return Some(*separator);
    }
    let (mut counts, mut is_quoted) = ([0_usize; SEPARATORS.len()], false);
    for octet in first {
        is_quoted ^= *octet == b'"';
        let sign = SEPARATORS.iter().position(|sign| sign == octet && !is_quoted);
        sign.into_iter().for_each(|sign| counts[sign] += 1);
    }
    let (sign, count) = counts.iter().enumerate().max_by_key(|(sign, count)| (**count, SEPARATORS.len() - sign))?;
    (*count != 0).then_some(SEPARATORS[sign])
}

fn row(
    format: &mut Format,
    separator: Option<u8>,
    columns: &mut Columns,
    number: u64,
    record: Record<'_>,
    found: &mut Vec<Line>,
) {
    let record = match record {
        Ok(record) => octets::text(record),
        Err(fault) => return found.push(Line::Refused { number, fault }),
    };
    if record.trim().is_empty()
        || record.starts_with('#')
        || (matches!(columns, Columns::Unknown) && record.starts_with("sep="))
    {
        return;
    }
    let values = records::fields(&record, separator);
    if matches!(columns, Columns::Unknown) {
        let roles: Vec<Role> = values.iter().map(|name| columns::role(name)).collect();
        let is_header = roles.iter().any(|role| matches!(role, Role::Address | Role::Tag)) && !record.contains('@');
        *columns = if is_header { Columns::Named(roles) } else { Columns::Nameless };
        if is_header {
            if matches!(format, Format::Csv | Format::Plain) {
                *format = columns::format(&values).unwrap_or(*format);
            }
            return;
        }
        // The one list with reasons and without names that a provider describes.
        if *format == Format::Csv && values.len() == 2 && SES_WORDS.contains(&values[1].as_str()) {
            *format = Format::Ses;
        }
    }
    let mut fields = Fields::default();
    match columns {
        Columns::Named(roles) => roles.iter().zip(&values).for_each(|(role, value)| fields.take(*role, value)),
        _ if separator.is_none() => fields.take(Role::Address, &values[0]),
        _ => values.iter().for_each(|value| fields.guess(value)),
    }
    found.push(fields.line(number, *format));
}

fn object(format: &mut Format, number: u64, record: Record<'_>, found: &mut Vec<Line>) {
    let values = record.and_then(|record| entry::values(octets::text(record).as_bytes()).ok_or(Fault::Json));
    let values = match values {
        Ok(values) => values,
        Err(fault) => return found.push(Line::Refused { number, fault }),
    };
    if *format == Format::Json {
        let names: Vec<String> = values.iter().map(|(name, _)| name.clone()).collect();
        *format = columns::format(&names).unwrap_or(*format);
    }
    let mut fields = Fields::default();
    values.iter().for_each(|(name, value)| fields.take(columns::role(name), value));
    found.push(fields.line(number, *format));
}

/// A line of a member: kept until the empty line behind it.
fn paragraph(member: &mut Vec<String>, begun_at: &mut u64, number: u64, record: Record<'_>, found: &mut Vec<Line>) {
    let line = match record {
        Ok(record) => octets::text(record),
        Err(fault) => return found.push(Line::Refused { number, fault }),
    };
    if !line.trim().is_empty() {
        if member.is_empty() {
            *begun_at = number;
        }
        if member.len() < MEMBER_LINES_MAX {
            member.push(line.into_owned());
        }
        return;
    }
    if member.is_empty() {
        return;
    }
    let value = |name: &str| {
        member
            .iter()
            .find_map(|line| line.split_once(' ').filter(|(known, _)| *known == name))
            .map(|(_, value)| value.trim())
    };
    let mut fields = Fields::default();
    // Its other values are of the subscription: `date` is when that began.
    fields.take(Role::Address, value("email").unwrap_or(""));
    let fault = value("bounce").is_none().then_some(Fault::NotStopped);
    fields.take(Role::Bounces, value("bounce").unwrap_or(""));
    found.push(match fault {
        Some(fault) => Line::Refused { number: *begun_at, fault },
        None => fields.line(*begun_at, Format::Sympa),
    });
    member.clear();
}

/// `Dec 08 08:44:20 2020 (27) list: jeanne@example.org disabling due to bounce score 5.0 >= 5.0`. Other lines of the log tell
/// how it came to that, and are passed over.
fn logged(number: u64, record: Record<'_>, found: &mut Vec<Line>) {
    let line = match record {
        Ok(record) => octets::text(record),
        Err(fault) => return found.push(Line::Refused { number, fault }),
    };
    let Some((before, _)) = line.split_once(" disabling due to ") else { return };
    let mut fields = Fields::default();
    fields.take(Role::Address, before.rsplit(' ').next().unwrap_or(""));
    fields.take(Role::Date, before.split(" (").next().unwrap_or(""));
    found.push(fields.line(number, Format::Mailman));
}

impl Format {
    /// All of them, as a person names them.
    pub const ALL: [Self; 11] = [
        Self::Plain,
        Self::Ses,
        Self::SendGrid,
        Self::Mailgun,
        Self::Postmark,
        Self::Brevo,
        Self::Sympa,
        Self::Mailman,
        Self::Own,
        Self::Csv,
        Self::Json,
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Ses => "ses",
            Self::SendGrid => "sendgrid",
            Self::Mailgun => "mailgun",
            Self::Postmark => "postmark",
            Self::Brevo => "brevo",
            Self::Sympa => "sympa",
            Self::Mailman => "mailman",
            Self::Own => "sm2tp",
            Self::Csv => "csv",
            Self::Json => "json",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("no list has this name")]
pub struct UnknownFormat;

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|format| format.as_str() == word).ok_or(UnknownFormat)
    }
}

/// What is looked at before it is decided what the list is.
pub const HEAD_OCTETS: usize = 16 * 1024;

/// As likely as in this order where they come equally often.
const SEPARATORS: [u8; 4] = [b',', b';', b'\t', b'|'];
/// The whole second column of Amazon's lists.
const SES_WORDS: [&str; 2] = ["BOUNCE", "COMPLAINT"];
/// Mailman, where it asks before it stops.
const PROBE: &[u8] = b" disabling due to probe bounce received";
/// A member of a Sympa list has some twenty values.
const MEMBER_LINES_MAX: usize = 100;

#[cfg(test)]
mod tests;
