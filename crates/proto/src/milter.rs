//! The milter protocol, version 6, as Sendmail made it and Postfix speaks it (libmilter/docs, mfdef.h): a mail server tells
//! what its client says, and asks what to do.
//!
//! A [`Session`] is one connection: frames in, [`Event`]s out, an [`Answer`] for each, frames back. It knows which frames
//! want an answer, because mail servers agree at the start on what they will not wait for. Values of header fields are texts;
//! octets that are no UTF-8 are replaced.

mod frame;
mod session;

use std::net::IpAddr;

use thiserror::Error;

pub use self::frame::{FRAME_OCTETS_MAX, FrameReader};
pub use self::session::{Session, Wants};
use crate::policy::Party;
use crate::{Address, Enhanced};

/// What happened at the mail server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A client connected. None: over no network, or the mail server does not say.
    Connected(Option<IpAddr>),
    /// MAIL FROM: what was said of a mail before is over.
    Mail(Began),
    /// RCPT TO. `path` is what the mail server calls it ([`Change::Leave`]); none where it calls it otherwise than it is parsed
    /// here, and would not find it.
    Recipient { to: Party, path: Option<String> },
    /// One field of the header, in its order. The value has no line ends.
    Field { name: String, value: String },
    /// So many octets more of the body.
    Body(usize),
    /// The mail is whole; `queue_id` where the mail server says it.
    End { queue_id: Option<String> },
    /// The mail will not come.
    Aborted,
    /// Nothing to know, but perhaps to be answered.
    Nothing,
    /// The mail server goes.
    Quit,
}

/// How a mail begins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Began {
    pub sender: Party,
    /// What the client said with SIZE=.
    pub octets: Option<u64>,
    /// With which the client logged in.
    pub login: Option<String>,
    /// Of the client, where the mail server says it with each mail.
    pub client: Option<IpAddr>,
    /// What the mail server calls the port that it came in on (`milter_macro_daemon_name`).
    pub port: Option<String>,
}

/// What the mail server is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Go on.
    Continue,
    /// Go on, and say no more of this mail.
    Accept,
    /// Said to the client: about this recipient, or at the end about the mail. 4xx or 5xx.
    Refuse { code: u16, enhanced: Enhanced, text: String },
    /// At the end alone: change the mail, and take it.
    Change(Vec<Change>),
    /// At the end alone: take it and throw it away, because its sender is told of all its recipients by us.
    Discard,
}

/// A change of a mail that is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Another return path.
    From(Address),
    /// A field on top of those that the client sent.
    Insert { name: &'static str, value: String },
    /// The `index`-th field of this name goes, counted from 1.
    Remove { name: &'static str, index: u32 },
    /// It waits in the quarantine of the mail server, whatever its recipients.
    Quarantine(String),
    /// It does not go to this recipient, by the `path` that was told ([`Event::Recipient`]).
    Leave(String),
}

/// Octets that no mail server sends, or not now. Nothing that follows can be trusted: the connection is closed, and the mail
/// server does what its configuration says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum MilterError {
    #[error("a frame of {0} octets; {FRAME_OCTETS_MAX} are the limit")]
    TooLong(u32),
    #[error("a frame without a command")]
    Empty,
    #[error("the command {} is not known", .0.escape_ascii())]
    Unknown(u8),
    #[error("the command {} is cut off", .0.escape_ascii())]
    Short(u8),
    #[error("the command {} came out of its turn", .0.escape_ascii())]
    OutOfTurn(u8),
    #[error("version {0} of the protocol; 2 is the oldest that is spoken here")]
    Version(u32),
}
