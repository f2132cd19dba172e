//! What an entry of a spool file says, in its stored form (I9): a mail that was accepted, what became of recipients, or how far the
//! ledger has read. With the files alone, everything that was promised since the rows were written can be told again.

use bytes::Bytes;
use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use sm2tp_proto::Address;
use sm2tp_proto::smtp::{MailOptions, RcptOptions};
use sm2tp_rules::{Stream, StreamBy};

use super::bodies::BodyAt;
use super::mail::{Change, Lane, NewMail, NewRecipient, Notice};
use crate::told::Told;

/// One step of the spool, done wholly or not at all.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Entry<'a> {
    v: u8,
    /// The number of the first happening that it tells the ledger; the others follow.
    pub told: u64,
    pub step: Step<'a>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Step<'a> {
    Mail(Envelope<'a>),
    Changes(Vec<Changed<'a>>),
    /// The ledger has all entries of the outbox up to this one.
    Taken(u64),
}

/// A mail without its content, and where in the same file that lies.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Envelope<'a> {
    id: u64,
    offset: u64,
    octets: u32,
    org: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    login: Option<Cow<'a, str>>,
    stream: Stream,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mail_from: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    message_id: Option<Cow<'a, str>>,
    received_at: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    held_until: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_report: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stream_by: Option<StreamBy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    options: Option<String>,
    recipients: Vec<To<'a>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct To<'a> {
    address: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lane: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    note: Option<Cow<'a, str>>,
    /// A version that does not know it holds the mail first, and gives it back then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    stopped: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    canary: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    options: Option<String>,
}

/// What became of a recipient.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Changed<'a> {
    Done {
        mail: u64,
        index: u32,
        told: Cow<'a, Told>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        report: Option<Envelope<'a>>,
    },
    Deferred {
        mail: u64,
        index: u32,
        attempts: u32,
        next_at: u64,
        note: Cow<'a, str>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        told: Option<Cow<'a, Told>>,
        /// That the sender was told, and with which mail if this one carries it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        noticed: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        notice: Option<Envelope<'a>>,
    },
    Moved {
        mail: u64,
        index: u32,
        lane: Cow<'a, str>,
        next_at: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<Cow<'a, str>>,
    },
}

/// A mail with its number and the place of its content.
pub(super) type Kept = (u64, BodyAt);

/// Why an entry with a good checksum says nothing to this version.
#[derive(Debug, thiserror::Error)]
#[error("an entry of a spool file cannot be understood: {0}")]
pub(super) struct Unreadable(String);

impl<'a> Entry<'a> {
    pub(super) fn new(told: u64, step: Step<'a>) -> Self {
        Self { v: VERSION, told, step }
    }

    /// As it is written.
    ///
    /// # Errors
    /// None that is known: all of it is text and numbers.
    pub(super) fn text(&self) -> Result<Vec<u8>, Unreadable> {
        serde_json::to_vec(self).map_err(|error| Unreadable(error.to_string()))
    }

    /// # Errors
    /// [`Unreadable`] where a newer version wrote it, or a fault of ours.
    pub(super) fn read(text: &'a [u8]) -> Result<Self, Unreadable> {
        let entry: Self = serde_json::from_slice(text).map_err(|error| Unreadable(error.to_string()))?;
        if entry.v == VERSION { Ok(entry) } else { Err(Unreadable(format!("version {}", entry.v))) }
    }

    /// The mails that it puts into the queue, with the places of their contents in file `segment`.
    pub(super) fn kept(&self, segment: u64) -> Vec<Kept> {
        let envelopes: Vec<&Envelope<'_>> = match &self.step {
            Step::Mail(envelope) => vec![envelope],
            Step::Changes(changes) => changes.iter().filter_map(Changed::carried).collect(),
            Step::Taken(_) => Vec::new(),
        };
        let place = |envelope: &Envelope<'_>| BodyAt { segment, offset: envelope.offset, len: envelope.octets };
        envelopes.into_iter().map(|envelope| (envelope.id, place(envelope))).collect()
    }
}

impl<'a> Envelope<'a> {
    pub(super) fn new(mail: &'a NewMail, (id, at): Kept) -> Self {
        let recipients = mail.recipients.iter().map(|recipient| To {
            address: recipient.address.clear(),
            lane: (recipient.lane != Lane::Normal).then(|| recipient.lane.as_str().into()),
            note: recipient.note.as_deref().map(Cow::from),
            stopped: recipient.stopped,
            canary: recipient.canary,
            options: recipient.options.stored(),
        });
        Self {
            id,
            offset: at.offset,
            octets: at.len,
            org: Cow::from(&*mail.org),
            login: mail.login.as_deref().map(Cow::from),
            stream: mail.stream,
            mail_from: mail.mail_from.as_ref().map(Address::clear),
            message_id: mail.message_id.as_deref().map(Cow::from),
            received_at: mail.received_at,
            held_until: mail.held_until,
            is_report: mail.is_report,
            stream_by: mail.stream_by,
            options: mail.options.stored(),
            recipients: recipients.collect(),
        }
    }

    /// The mail again; its content stays where it is.
    ///
    /// # Errors
    /// [`Unreadable`] where a word of it is none.
    pub(super) fn mail(self) -> Result<NewMail, Unreadable> {
        let address = |text: &str| Address::parse(text).map_err(|error| Unreadable(error.to_string()));
        let recipient = |to: To<'_>| {
            Ok(NewRecipient {
                address: address(&to.address)?,
                lane: to.lane.map_or(Ok(Lane::Normal), |lane| lane.parse()).map_err(unreadable)?,
                note: to.note.map(Cow::into_owned),
                stopped: to.stopped,
                canary: to.canary,
                options: RcptOptions::from_stored(to.options.as_deref()).map_err(unreadable)?,
            })
        };
        Ok(NewMail {
            org: self.org.into(),
            login: self.login.map(Into::into),
            stream: self.stream,
            mail_from: self.mail_from.as_deref().map(address).transpose()?,
            message_id: self.message_id.map(Cow::into_owned),
            received_at: self.received_at,
            recipients: self.recipients.into_iter().map(recipient).collect::<Result<_, _>>()?,
            held_until: self.held_until,
            content: Bytes::new(),
            is_report: self.is_report,
            stream_by: self.stream_by,
            options: MailOptions::from_stored(self.options.as_deref()).map_err(unreadable)?,
        })
    }
}

impl<'a> Changed<'a> {
    /// `carried`: the mail that the change puts into the queue, where it carries one.
    pub(super) fn new(change: &'a Change, carried: Option<Kept>) -> Self {
        let envelope = |mail: &'a NewMail| carried.map(|kept| Envelope::new(mail, kept));
        match change {
            Change::Done { mail, index, told, report } => Self::Done {
                mail: *mail,
                index: *index,
                told: Cow::Borrowed(told),
                report: report.as_deref().and_then(envelope),
            },
            Change::Deferred { mail, index, attempts, next_at, note, told, notice } => Self::Deferred {
                mail: *mail,
                index: *index,
                attempts: *attempts,
                next_at: *next_at,
                note: Cow::from(note.as_str()),
                told: told.as_ref().map(Cow::Borrowed),
                noticed: !matches!(notice, Notice::None),
                notice: if let Notice::Carried(mail) = notice { envelope(mail) } else { None },
            },
            Change::Move { mail, index, lane, next_at, note } => Self::Moved {
                mail: *mail,
                index: *index,
                lane: lane.as_str().into(),
                next_at: *next_at,
                note: note.as_deref().map(Cow::from),
            },
        }
    }

    /// # Errors
    /// [`Unreadable`] where a word of it is none.
    pub(super) fn change(self) -> Result<Change, Unreadable> {
        Ok(match self {
            Self::Done { mail, index, told, report } => Change::Done {
                mail,
                index,
                told: told.into_owned(),
                report: report.map(Envelope::mail).transpose()?.map(Box::new),
            },
            Self::Deferred { mail, index, attempts, next_at, note, told, noticed, notice } => Change::Deferred {
                mail,
                index,
                attempts,
                next_at,
                note: note.into_owned(),
                told: told.map(Cow::into_owned),
                notice: match notice {
                    Some(notice) => Notice::Carried(Box::new(notice.mail()?)),
                    None if noticed => Notice::Shared,
                    None => Notice::None,
                },
            },
            Self::Moved { mail, index, lane, next_at, note } => Change::Move {
                mail,
                index,
                lane: lane.parse().map_err(unreadable)?,
                next_at,
                note: note.map(Cow::into_owned),
            },
        })
    }

    fn carried(&self) -> Option<&Envelope<'a>> {
        match self {
            Self::Done { report, .. } => report.as_ref(),
            Self::Deferred { notice, .. } => notice.as_ref(),
            Self::Moved { .. } => None,
        }
    }
}

fn unreadable(error: impl std::fmt::Display) -> Unreadable {
    Unreadable(error.to_string())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands in a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

const VERSION: u8 = 1;
