//! Mails that report on mails: bounces (RFC 3464, RFC 6533 and those without fields), complaints (RFC 5965), automatic
//! replies (RFC 3834), receipts (RFC 8098). Octets in, what they claim out.
//!
//! Whatever is read here is a claim: anybody can write such a mail. Whom it may concern is decided by the token that it
//! came with, never by the addresses in it.

mod auto;
mod feedback;
mod fields;
mod html;
mod lines;
mod list;
mod mime;
mod prose;
mod returned;
mod spot;
mod status;
mod words;

use std::borrow::Cow;
use std::net::IpAddr;

use thiserror::Error;

pub use self::returned::Returned;
use crate::{Address, Domain, Enhanced};
use fields::{Fields, one_line};
use mime::{Mail, Part};

/// What a mail reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub kind: Kind,
    /// Whom it is about, at most [`RECIPIENTS_MAX`]. Only those with [`Action::Failed`] bounced.
    pub recipients: Vec<Recipient>,
    /// What a report says that names nobody: with a token it is known whom it is about.
    pub unnamed: Option<Unnamed>,
    /// Addresses that the report itself was sent to, the surest first: `Delivered-To`, `X-Original-To`, `Envelope-To`,
    /// `To`. Where the return path carried a token, it stands in one of their local parts.
    pub sent_to: Vec<Address>,
    /// `Original-Envelope-Id`: what `ENVID` said when the mail was handed over (RFC 3461 §4.4).
    pub envelope_id: Option<String>,
    /// `Original-Mail-From` of a complaint: the return path of the mail that it is about.
    pub mail_from: Option<Address>,
    /// The program or host that reports, as it names itself.
    pub reporter: Option<String>,
    /// When the mail arrived there; as it stands.
    pub arrival_date: Option<String>,
    /// What is there of the mail that it is about.
    pub returned: Returned,
    pub feedback: Option<Feedback>,
    /// True where a limit ([`MAIL_OCTETS_MAX`], [`PARTS_MAX`], [`DEPTH_MAX`], [`RECIPIENTS_MAX`]) hid some of it.
    pub is_cut: bool,
}

/// What kind of report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// About the delivery of a mail: it failed, is late, or arrived.
    Dsn,
    /// Somebody complained, or wants no more of it (RFC 5965).
    Arf,
    /// Somebody is away (RFC 3834).
    AutoReply,
    /// Somebody's machine wants a proof that we are people.
    Challenge,
    /// Somebody's program says that the mail was displayed, or deleted (RFC 8098).
    Receipt,
    /// A mail like any other.
    Other,
}

/// One recipient of the mail that the report is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// `Final-Recipient`, where that is an address: for whom it was when it failed.
    pub address: Address,
    /// `Original-Recipient`: whom the sender wrote to, before aliases and forwarding. To be compared with who was sent to.
    pub original: Option<Address>,
    /// None in complaints.
    pub action: Option<Action>,
    pub status: Option<Enhanced>,
    /// The words of the server or of the reporter: one line, printable, at most [`DIAGNOSTIC_OCTETS_MAX`].
    pub diagnostic: Option<String>,
    /// The server that said so.
    pub remote_mta: Option<String>,
}

/// What a report says about a recipient whom it does not name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unnamed {
    pub action: Action,
    pub status: Option<Enhanced>,
    pub diagnostic: String,
}

/// What happened to a mail for a recipient (RFC 3464 §2.3.3). Only `Failed` is a bounce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    Failed,
    Delayed,
    Delivered,
    Relayed,
    Expanded,
}

/// The fields of a complaint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feedback {
    /// `abuse`, `fraud`, `not-spam`, `auth-failure`, …, in lower case; `opt-out` where somebody only leaves a list.
    pub kind: String,
    /// Where the mail came from: which of our exits.
    pub source_ip: Option<IpAddr>,
    pub user_agent: Option<String>,
    /// `Auth-Failure` (RFC 6591 §3.2.2): `dmarc`, `dkim`, `spf`, …
    pub auth_failure: Option<String>,
    /// True where recipients are hashes or placeholders (RFC 6590): only a token tells who complained.
    pub is_redacted: bool,
}

/// Why octets are no mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ReportError {
    #[error("it is empty")]
    Empty,
    #[error("it has no header: the first lines are no fields")]
    NoHeader,
}

impl Report {
    /// Reads a mail, with CRLF, LF or CR as line ends. Time and memory are bounded by [`MAIL_OCTETS_MAX`].
    ///
    /// # Errors
    /// [`ReportError`] where the octets are no mail at all; any mail is a report of some [`Kind`].
    pub fn read(octets: &[u8]) -> Result<Self, ReportError> {
        let plain = mime::with_plain_line_ends(octets);
        let mut report = Self::read_inside(&plain, 0)?;
        report.is_cut |= MAIL_OCTETS_MAX < octets.len();
        Ok(report)
    }

    /// `depth` is how many mails this one lies in.
    fn read_inside(plain: &[u8], depth: usize) -> Result<Self, ReportError> {
        let mail = Mail::open(plain, depth);
        if mail.header.iter().next().is_none() {
            let is_empty = plain.trim_ascii().is_empty();
            return Err(if is_empty { ReportError::Empty } else { ReportError::NoHeader });
        }
        let envelope = Envelope::of(&mail.header);
        let mut report = Self::blank(&mail, &envelope);
        if feedback::read(&mail, &envelope, &mut report) {
            return Ok(report);
        }
        if auto::is_receipt(&mail) {
            report.kind = Kind::Receipt;
            return Ok(report);
        }
        let has_status = status::read(&mail, &envelope, &mut report);
        if !has_status && let Some(kind) = auto::kind(&mail, &envelope) {
            report.kind = kind;
            return Ok(report);
        }
        let is_guess = !has_status && status::read_prose(&mail, &envelope, &mut report);
        if is_guess || report.recipients.is_empty() {
            report.look_inside(&mail, &envelope, depth);
        }
        Ok(report)
    }

    fn blank(mail: &Mail<'_>, envelope: &Envelope) -> Self {
        Self {
            kind: Kind::Other,
            recipients: Vec::new(),
            unnamed: None,
            sent_to: envelope.sent_to.clone(),
            envelope_id: None,
            mail_from: None,
            reporter: None,
            arrival_date: None,
            returned: Returned::of(mail),
            feedback: None,
            is_cut: mail.is_cut,
        }
    }

    /// A report that somebody forwarded as an attachment. Where nothing is found there either, the only recipient of the
    /// returned mail is whom a report must be about.
    fn look_inside(&mut self, mail: &Mail<'_>, envelope: &Envelope, depth: usize) {
        for part in mail.parts.iter().filter(|part| part.is_message()) {
            if DEPTH_MAX <= depth {
                self.is_cut = true;
                break;
            }
            let inner = Self::read_inside(&part.octets(), depth + 1);
            let found = |inner: &Self| matches!(inner.kind, Kind::Dsn | Kind::Arf) && !inner.recipients.is_empty();
            if let Ok(inner) = inner.map_err(drop).and_then(|inner| if found(&inner) { Ok(inner) } else { Err(()) }) {
                let sent_to = std::mem::take(&mut self.sent_to);
                *self = Self { sent_to, is_cut: inner.is_cut || self.is_cut, ..inner };
                return;
            }
        }
        if self.recipients.is_empty()
            && envelope.may_guess
            && let Some(unnamed) = &self.unnamed
            && let Some(address) = self.returned.only_recipient()
        {
            self.recipients.push(Recipient {
                address,
                original: None,
                action: Some(unnamed.action),
                status: unnamed.status,
                diagnostic: Some(unnamed.diagnostic.clone()).filter(|words| !words.is_empty()),
                remote_mta: None,
            });
        }
    }
}

impl Kind {
    /// The word of `sm2tp report` (`DESIGN.md` §7): `dsn`, `arf`, `autoreply` or `other`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dsn => "dsn",
            Self::Arf => "arf",
            Self::AutoReply | Self::Challenge => "autoreply",
            Self::Receipt | Self::Other => "other",
        }
    }
}

impl Action {
    /// The word of RFC 3464 §2.3.3.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Delayed => "delayed",
            Self::Delivered => "delivered",
            Self::Relayed => "relayed",
            Self::Expanded => "expanded",
        }
    }

    /// Programs write `failed`, `Failed (bounced)`, `failure`, `expired`.
    fn read(value: &str) -> Option<Self> {
        let word: String = value.chars().take_while(char::is_ascii_alphabetic).collect::<String>().to_ascii_lowercase();
        match word.as_str() {
            "failed" | "fail" | "failure" | "expired" | "bounced" | "rejected" | "undeliverable" => Some(Self::Failed),
            "delayed" | "delay" | "deferred" | "transient" => Some(Self::Delayed),
            "delivered" | "deliverable" | "success" => Some(Self::Delivered),
            "relayed" | "relay" => Some(Self::Relayed),
            "expanded" => Some(Self::Expanded),
            _ => None,
        }
    }
}

/// What the header of the report tells about it.
struct Envelope {
    subject: String,
    /// The address of `From`, and its domain.
    from: Option<Address>,
    sent_to: Vec<Address>,
    /// True where sender, subject or type say that this is a report on a delivery.
    is_report: bool,
    /// True where the return path, as the last server noted it, is empty.
    is_from_nobody: bool,
    /// True where more than the subject says so: shops write of deliveries, too.
    may_guess: bool,
    /// True where the subject speaks of a delay.
    is_delay: bool,
}

impl Envelope {
    fn of(header: &Fields<'_>) -> Self {
        let subject = header.raw("subject").map(|value| one_line(&mime::words(value))).unwrap_or_default();
        let author = header.raw("from").map(|value| one_line(&mime::words(value))).unwrap_or_default();
        let from = spot::spots(&author).last().map(|spot| spot.address);
        let lower = subject.to_lowercase();
        let is_from_nobody = header.first("return-path").is_some_and(|path| path == "<>");
        let is_from_daemon = auto::is_from_daemon(&author, from.as_ref())
            || header.has("x-failed-recipients")
            || header.raw("content-type").is_some_and(|value| value.contains("delivery-status"));
        let is_report = is_from_daemon || auto::speaks_of_failure(&lower);
        Self {
            is_delay: auto::speaks_of_delay(&lower),
            may_guess: is_report && (is_from_daemon || is_from_nobody),
            is_from_nobody,
            sent_to: sent_to(header),
            subject: lower,
            from,
            is_report,
        }
    }

    fn domain(&self) -> Option<&Domain> {
        self.from.as_ref().map(Address::domain)
    }
}

/// Where the mail was sent: what the last servers noted is surer than what its author wrote.
fn sent_to(header: &Fields<'_>) -> Vec<Address> {
    let mut found: Vec<Address> = Vec::new();
    for name in ["delivered-to", "x-original-to", "envelope-to", "x-envelope-to", "x-delivered-to", "to"] {
        for value in header.all(name).take(SENT_TO_MAX) {
            for spot in spot::spots(&value).take(SENT_TO_MAX) {
                if found.len() < SENT_TO_MAX && !found.contains(&spot.address) {
                    found.push(spot.address);
                }
            }
        }
    }
    found
}

/// The text that people read: all of the plain parts, or the pages where those say nothing.
fn text_of(mail: &Mail<'_>) -> String {
    let of = |media: &str| mail.parts.iter().filter(|part| part.media == media).map(Part::text).collect::<Vec<_>>();
    let plain = of("text/plain").join("\n\n");
    if plain.contains('@') {
        return plain;
    }
    let pages: Vec<_> = of("text/html").iter().map(|page| html::text_of(page)).collect();
    if pages.iter().any(|page| page.contains('@')) { pages.join("\n\n") } else { plain }
}

/// Words in one line, at most [`DIAGNOSTIC_OCTETS_MAX`] of them altogether.
fn push_bounded(text: &mut String, words: &str) {
    let room = DIAGNOSTIC_OCTETS_MAX.saturating_sub(text.len() + 1);
    let words = one_line(mime::cut(words, room));
    if !words.is_empty() && !text.is_empty() {
        text.push(' ');
    }
    text.push_str(&words);
}

/// A value that is kept: one line, bounded; none where nothing is in it.
fn kept(value: &str) -> Option<String> {
    let value = one_line(mime::cut(value, VALUE_OCTETS_MAX));
    (!value.is_empty()).then_some(value)
}

/// The value without its type: `dns; mx.example.org` is `mx.example.org`.
fn untyped(value: &str) -> Cow<'_, str> {
    match value.split_once(';') {
        Some((kind, rest)) if kind.trim().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') => rest.trim().into(),
        _ => value.trim().into(),
    }
}

/// Reports have some 5 kB and the mail that they return; what is beyond is that mail. One report shall not fill memory.
pub const MAIL_OCTETS_MAX: usize = 1024 * 1024;
/// A report has three parts, one that was forwarded some more. Each costs a look at its header.
pub const PARTS_MAX: usize = 50;
/// Parts inside of parts and mails inside of mails: each level is read again, and the stack is not endless.
pub const DEPTH_MAX: usize = 5;
/// RFC 5321 §4.5.3.1.8: servers take 100 recipients at a time, so that a report is about no more.
pub const RECIPIENTS_MAX: usize = 100;
/// The words of a server go into the send log and onto pages.
pub const DIAGNOSTIC_OCTETS_MAX: usize = 2048;
/// Names, dates, identifiers.
const VALUE_OCTETS_MAX: usize = 512;
/// A report is sent to one address; a list of more is none that a return path had.
const SENT_TO_MAX: usize = 8;
