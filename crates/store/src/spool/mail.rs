//! The queue's nouns: a mail, its recipients, and what can become of them.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use sm2tp_proto::smtp::{MailOptions, Notify, RcptOptions};
use sm2tp_proto::{Address, Domain};
use sm2tp_rules::outcome::UnknownWord;
use sm2tp_rules::{Stream, StreamBy};

use crate::told::Told;

/// A mail that was answered 250 and is on stable storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// Number in this machine's spool; grows, never used twice.
    pub id: u64,
    pub org: Arc<str>,
    pub login: Option<Arc<str>>,
    pub stream: Stream,
    /// None is the null return path: nobody gets a report.
    pub mail_from: Option<Address>,
    pub message_id: Option<String>,
    /// Unix seconds.
    pub received_at: u64,
    /// Octets of header and body.
    pub octets: u32,
    /// A report of ours about another mail.
    pub is_report: bool,
    pub options: MailOptions,
}

/// One recipient that is still to be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// Position in the envelope, from 0.
    pub index: u32,
    pub address: Address,
    pub lane: Lane,
    /// Failed attempts so far.
    pub attempts: u32,
    /// Unix seconds; not before.
    pub next_at: u64,
    /// The last answer, or why it is held.
    pub note: Option<String>,
    pub options: RcptOptions,
    /// The sender was told that it is late; once is enough.
    pub delay_told: bool,
}

/// A mail with the recipients that are left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queued {
    pub mail: Arc<Mail>,
    pub recipients: Vec<Recipient>,
}

/// What waits, added up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Sums {
    /// By recipient domain, those first for which most waits.
    pub domains: Vec<Sum>,
    pub orgs: Vec<Sum>,
}

/// Recipients that wait for one domain, or of one organisation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sum {
    pub name: String,
    pub normal: u64,
    pub slow: u64,
    pub held: u64,
    /// When the first of them came (unix seconds).
    pub oldest_at: u64,
    /// When the next of them is tried (unix seconds); none where all are held.
    pub next_at: Option<u64>,
    /// Why most of those wait that were tried, or are held; none where all wait for their first try.
    pub note: Option<String>,
}

impl Queued {
    /// Its recipients in brief.
    pub fn stubs(&self) -> impl Iterator<Item = Stub> + '_ {
        self.recipients.iter().map(|recipient| Stub {
            mail: self.mail.id,
            index: recipient.index,
            org: self.mail.org.clone(),
            stream: self.mail.stream,
            domain: recipient.address.domain().clone(),
            lane: recipient.lane,
            next_at: recipient.next_at,
            octets: self.mail.octets,
            slow: self.mail.slow_sender(recipient.lane),
            tls_waived: self.mail.options.tls_waived,
        })
    }
}

impl Mail {
    /// Whose turn it takes in this lane, where a lane is shared by sender.
    #[must_use]
    pub fn slow_sender(&self, lane: Lane) -> Option<SlowSender> {
        (lane == Lane::Slow).then(|| SlowSender::of(self.login.as_deref(), self.mail_from.as_ref()))
    }
}

impl SlowSender {
    pub(super) fn of(login: Option<&str>, mail_from: Option<&Address>) -> Self {
        let mut hasher = DefaultHasher::new();
        match login {
            Some(login) => {
                login.hash(&mut hasher);
                Self::Login(hasher.finish())
            }
            None => {
                mail_from.hash(&mut hasher);
                Self::Address(hasher.finish() as u8)
            }
        }
    }
}

/// One waiting recipient in brief: what a queue must know to find its turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stub {
    pub mail: u64,
    pub index: u32,
    pub org: Arc<str>,
    pub stream: Stream,
    pub domain: Domain,
    pub lane: Lane,
    /// Unix seconds; not before.
    pub next_at: u64,
    pub octets: u32,
    /// In the slow lane.
    pub slow: Option<SlowSender>,
    /// As in [`MailOptions`].
    pub tls_waived: bool,
}

/// Who has a place of its own in the slow lane of its organisation, in few octets. It is the same as long as the process
/// lives, and is kept nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SlowSender {
    /// A hash of the login.
    Login(u64),
    /// Without a login anybody may write as any address: however many are invented, they share 256 places.
    Address(u8),
}

/// How a recipient is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lane {
    Normal,
    /// One recipient a minute for each sender.
    Slow,
    /// Waits for a person.
    Held,
}

/// What a door hands over for keeping.
#[derive(Debug, Clone)]
pub struct NewMail {
    pub org: Arc<str>,
    pub login: Option<Arc<str>>,
    pub stream: Stream,
    pub mail_from: Option<Address>,
    pub message_id: Option<String>,
    pub received_at: u64,
    pub recipients: Vec<NewRecipient>,
    /// Unix seconds until which recipients of the lane `held` wait for a person.
    pub held_until: u64,
    /// Header and body with CRLF line ends, without dot-stuffing. Shared: the relay sends the same octets.
    pub content: Bytes,
    /// A report of ours about another mail: counted apart from what people sent.
    pub is_report: bool,
    /// What told the stream, for the send log.
    pub stream_by: Option<StreamBy>,
    pub options: MailOptions,
}

impl NewMail {
    /// The mail as it is kept under a number, without its recipients.
    pub(super) fn kept(&self, id: u64, octets: u32) -> Mail {
        Mail {
            id,
            org: self.org.clone(),
            login: self.login.clone(),
            stream: self.stream,
            mail_from: self.mail_from.clone(),
            message_id: self.message_id.clone(),
            received_at: self.received_at,
            octets,
            is_report: self.is_report,
            options: self.options.clone(),
        }
    }
}

#[derive(Debug, Clone)]
pub struct NewRecipient {
    pub address: Address,
    pub lane: Lane,
    pub note: Option<String>,
    /// Not to be sent, in the lane `held`: it goes back to its sender at once, and `note` says why.
    pub stopped: bool,
    /// Let through to measure the federation (R27).
    pub canary: bool,
    pub options: RcptOptions,
}

impl NewRecipient {
    /// Who gets a report: nobody is told of what becomes of that (RFC 3461 §6.2).
    #[must_use]
    pub fn of_report(address: Address) -> Self {
        let options = RcptOptions { notify: Some(Notify::NEVER), orcpt: None };
        Self { address, lane: Lane::Normal, note: None, stopped: false, canary: false, options }
    }
}

/// A step in a recipient's life. `told` goes to the ledger, and is as safe as the step.
#[derive(Debug, Clone)]
pub enum Change {
    /// Served or given up; the row goes. The report to the sender, if any, is queued in the same transaction.
    Done { mail: u64, index: u32, told: Told, report: Option<Box<NewMail>> },
    Deferred {
        mail: u64,
        index: u32,
        attempts: u32,
        next_at: u64,
        note: String,
        told: Option<Told>,
        /// The notice to the sender that it is late, queued in the same transaction, and with it the memory that it
        /// was told.
        notice: Notice,
    },
    /// A person (or a rule) moved it.
    Move { mail: u64, index: u32, lane: Lane, next_at: u64, note: Option<String> },
}

/// What a deferral does about telling the sender.
#[derive(Debug, Clone)]
pub enum Notice {
    /// Nothing.
    None,
    /// This recipient is told of in a notice that another change of the same step carries.
    Shared,
    Carried(Box<NewMail>),
}

impl Change {
    /// The recipient that it is about: mail and index.
    #[must_use]
    pub fn about(&self) -> (u64, u32) {
        match self {
            Self::Done { mail, index, .. } | Self::Deferred { mail, index, .. } | Self::Move { mail, index, .. } => {
                (*mail, *index)
            }
        }
    }

    /// The mail to the sender that it puts into the queue.
    #[must_use]
    pub fn carried(&self) -> Option<&NewMail> {
        match self {
            Self::Done { report, .. } => report.as_deref(),
            Self::Deferred { notice: Notice::Carried(notice), .. } => Some(notice),
            Self::Deferred { .. } | Self::Move { .. } => None,
        }
    }
}

impl Lane {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Slow => "slow",
            Self::Held => "held",
        }
    }
}

impl std::str::FromStr for Lane {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        [Self::Normal, Self::Slow, Self::Held]
            .into_iter()
            .find(|lane| lane.as_str() == word)
            .ok_or_else(|| UnknownWord(word.to_owned()))
    }
}

impl std::fmt::Display for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}
