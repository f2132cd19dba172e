//! Reports to senders: what was not delivered, is late or was passed on, why, and in whose words (RFC 3464, RFC 6522).

pub(crate) mod failures;
mod status;
mod words;

use mail_builder::MessageBuilder;
use mail_builder::headers::date::Date;
use mail_builder::headers::message_id::MessageId;
use mail_builder::headers::raw::Raw;
use mail_builder::mime::MimePart;
use sm2tp_proto::Address;
use sm2tp_proto::smtp::{MailOptions, Orcpt, Ret};
use sm2tp_rules::{LocalFailure, Stream};
use sm2tp_store::spool::{Mail, NewMail, NewRecipient, Recipient};

use self::words::Words;

/// Language of the part that people read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    English,
    French,
}

/// Who reports.
#[derive(Debug, Clone)]
pub struct Reporter {
    pub hostname: String,
    pub language: Language,
    /// Seconds in the queue after which the sender is told of the delay; none: never.
    pub delay_notice_s: Option<u64>,
}

/// What became of one recipient.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Position in the envelope: it makes the report unlike others about the same mail.
    pub index: u32,
    pub address: Address,
    pub orcpt: Option<Box<Orcpt>>,
    /// Enhanced status code, `5.1.1`; RFC 3464 §2.3.4 wants one.
    pub status: String,
    pub said: Said,
    pub kind: Kind,
}

/// Who said what about a recipient. Nothing is put into the mouth of a server that did not say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// The reply, as one line.
    Server { whose: Whose, mx: Option<String>, text: String },
    /// We found it; with the host that has to do with it, if one has.
    Failed { failure: LocalFailure, mx: Option<String> },
    /// It waited for a person who did not come, or was stopped by one; with the note that stood in the queue.
    Held { by: Holder, note: String },
}

/// Whose server it is that spoke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    Recipient,
    SmartHost,
}

/// Who held a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    Person,
    /// The rules, for what other nodes say.
    Federation,
    /// The rules, at once: several nodes say it.
    Others,
    /// A person who put the address on the list, before the mail or while it waited.
    Listed,
    /// The same, of the organisation.
    Org,
    /// The recipient, who complained or left.
    Recipient,
    /// What servers said of earlier mail.
    Evidence,
    Unknown,
}

/// Why there is a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Refused,
    Expired,
    /// Not sent: what is known about the address speaks against it.
    Stopped,
    /// Still in the queue; tried until this unix second.
    Late {
        until: u64,
    },
    /// Taken by a server that sends no reports about deliveries (RFC 3461 §5.2.2).
    Relayed,
    /// Taken by the last server on the way.
    Delivered,
}

/// What a report is about: one word for all its recipients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    Failure,
    Delay,
    Success,
}

impl Entry {
    pub fn new(recipient: &Recipient, kind: Kind, status: String, said: Said) -> Self {
        Self {
            index: recipient.index,
            address: recipient.address.clone(),
            orcpt: recipient.options.orcpt.clone(),
            status,
            said,
            kind,
        }
    }
}

impl Said {
    pub(super) fn mx(&self) -> Option<&str> {
        match self {
            Self::Server { mx, .. } | Self::Failed { mx, .. } => mx.as_deref(),
            Self::Held { .. } => None,
        }
    }
}

impl Kind {
    pub(super) fn about(self) -> About {
        match self {
            Self::Refused | Self::Expired | Self::Stopped => About::Failure,
            Self::Late { .. } => About::Delay,
            Self::Relayed | Self::Delivered => About::Success,
        }
    }
}

impl Reporter {
    /// The report about `entries`, which are all of one kind, ready for the spool. None for mail with the null return
    /// path, which nobody waits for (RFC 5321 §4.5.5), and where there is nothing to tell.
    #[must_use]
    pub fn report(&self, mail: &Mail, content: &[u8], entries: &[Entry], now: u64) -> Option<NewMail> {
        let (to, first) = (mail.mail_from.clone()?, entries.first()?);
        let message_id = format!("report.{}.{}.{now}@{}", mail.id, first.index, self.hostname);
        let report = self.compose(mail, &to, content, entries, &message_id, now);
        // RFC 8689 §5: the report holds what the mail said, and is protected like it.
        let require_tls = mail.options.require_tls;
        let options = MailOptions { utf8: to.needs_utf8(), require_tls, ..MailOptions::default() };
        let recipient = NewRecipient::of_report(to);
        Some(NewMail {
            org: mail.org.clone(),
            login: None,
            stream: Stream::Transactional,
            mail_from: None,
            message_id: Some(message_id),
            received_at: now,
            recipients: vec![recipient],
            held_until: 0,
            content: report.into(),
            is_report: true,
            stream_by: None,
            options,
        })
    }

    fn compose(
        &self,
        mail: &Mail,
        to: &Address,
        content: &[u8],
        entries: &[Entry],
        message_id: &str,
        now: u64,
    ) -> Vec<u8> {
        let about = entries.first().map_or(About::Failure, |entry| entry.kind.about());
        let words = Words::of(self.language, about);
        let from = format!("MAILER-DAEMON@{}", self.hostname);
        let header = header_of(content);
        let returned = Returned::choose(mail, content, &header, about);
        let parts = vec![
            MimePart::new("text/plain", words.explain(&header, mail.received_at, entries, &returned)),
            status::part(&self.hostname, mail, entries, now),
            returned.part(),
        ];
        let mut message = MessageBuilder::new()
            .message_id(MessageId::new(message_id))
            .date(date(now))
            .from((words.from(), from.as_str()))
            .to(to.clear())
            .subject(words.subject())
            // RFC 3834 §5: no robot answers to a robot.
            .header("Auto-Submitted", Raw::new("auto-replied"));
        if let Some(id) = mail.message_id.as_deref().filter(|id| is_plain_id(id)) {
            // RFC 3834 §3.1.5: mail programs show the report beside what it is about.
            message = message.in_reply_to(MessageId::new(id)).references(MessageId::new(id));
        }
        message
            .body(MimePart::new("multipart/report; report-type=delivery-status", parts))
            .write_to_vec()
            .unwrap_or_default()
    }
}

/// What the report attaches of the mail.
enum Returned<'a> {
    /// The whole of it, and whether its header holds more than ASCII by right (RFC 6532).
    Whole {
        content: &'a [u8],
        global: bool,
    },
    Header {
        header: &'a str,
        global: bool,
    },
}

impl<'a> Returned<'a> {
    /// The header, unless the sender asked for the whole mail (RET=FULL), something failed (RFC 3461 §4.3), and it is
    /// small enough.
    fn choose(mail: &Mail, content: &'a [u8], header: &'a str, about: About) -> Self {
        let global = mail.options.utf8 && !header.is_ascii();
        let whole = about == About::Failure && mail.options.ret == Some(Ret::Full);
        if whole && !content.is_empty() && content.len() <= RETURNED_OCTETS_MAX {
            return Self::Whole { content, global };
        }
        Self::Header { header, global }
    }

    /// RFC 6522 §4, RFC 6533 §6.
    fn part(self) -> MimePart<'a> {
        match self {
            Self::Whole { content, global } => {
                let kind = if global { "message/global" } else { "message/rfc822" };
                let encoding = if content.is_ascii() { "7bit" } else { "8bit" };
                MimePart::new(kind, content).transfer_encoding(encoding)
            }
            Self::Header { header, global } => {
                let kind = if global { "message/global-headers" } else { "text/rfc822-headers" };
                MimePart::new(kind, header.as_bytes()).transfer_encoding("8bit")
            }
        }
    }
}

/// Whether a Message-ID can be written into another header as it is.
fn is_plain_id(id: &str) -> bool {
    id.contains('@') && id.bytes().all(|octet| octet.is_ascii_graphic() && !b"<>()\"\\".contains(&octet))
}

fn date(at: u64) -> Date {
    Date::new(i64::try_from(at).unwrap_or(i64::MAX))
}

/// One line, without what could forge another field or frighten a terminal.
fn bounded(text: &str, chars_max: usize) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(chars_max).collect()
}

/// The header of a message, up to the empty line, cut at [`HEADER_OCTETS_MAX`] between two lines.
#[must_use]
pub fn header_of(content: &[u8]) -> String {
    let end = content.windows(4).position(|four| four == b"\r\n\r\n").map_or(content.len(), |at| at + 2);
    let mut header = String::from_utf8_lossy(&content[..end.min(HEADER_OCTETS_MAX)]).into_owned();
    if HEADER_OCTETS_MAX < end {
        header.truncate(header.rfind("\r\n").map_or(0, |at| at + 2));
    }
    header
}

const HEADER_OCTETS_MAX: usize = 16 * 1024;
/// A larger mail is not sent back whole, whatever RET says: mailboxes are full of reports that nobody can open, and
/// a report goes to an address that anybody may have written into MAIL.
const RETURNED_OCTETS_MAX: usize = 256 * 1024;

#[cfg(test)]
mod tests;
