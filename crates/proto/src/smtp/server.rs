//! The server side of one SMTP connection as a value: a line goes in, the step that the shell must do comes out.
//!
//! Nothing here reads, writes or decides who may send what to whom: the shell is asked ([`Ask`]) and answers.

mod auth;
mod bdat;
mod front;
mod mail;
mod scram;

use std::borrow::Cow;

use self::auth::Exchange;
pub use self::auth::LOGINS_FAILED_MAX;
pub use self::front::XclientOffer;
pub use self::mail::REFUSED_FACTOR_MAX;
use self::mail::Transaction;
pub use self::scram::{ScramMaterial, ScramOffer};
use super::bdat::{ChunkReader, Chunks};
use super::client::Protocol;
use super::command::{Command, CommandError, MailParams};
use super::line::{CRLF_OCTETS, LineError};
use super::params::{Form, RcptOptions};
use super::refusal::{Refusal, plain_reply, reply};
use super::xclient::{Proto, Told, Xclient};
use super::{Secret, data::DataError};
use crate::scram::ClientFirst;
use crate::{Address, Enhanced};

/// What this door offers on this connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offers {
    pub hostname: String,
    /// Largest message, as SIZE counts (RFC 1870).
    pub octets_max: u64,
    /// Recipients of one message. RFC 5321 §4.5.3.1.8 asks for at least 100.
    pub recipients_max: usize,
    /// Messages on one connection (RFC 9422); none where it does not matter.
    pub mails_max: Option<u32>,
    pub tls: Tls,
    pub auth: AuthOffer,
    pub scram: ScramOffer,
    pub xclient: XclientOffer,
    /// The client is on this machine: a password in clear does not leave it, so `OnlyTls` is offered without TLS.
    pub loopback: bool,
}

/// How TLS stands on the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// No certificate: STARTTLS is not offered.
    Absent,
    Offered,
    On,
}

/// Whether logins are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthOffer {
    No,
    OnlyTls,
    Yes,
}

/// What the shell must do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Write it, then read the next line.
    Reply(Vec<u8>),
    /// Decide, then call [`Session::answer`].
    Ask(Ask),
    /// Write it, THROW AWAY all octets read so far (command injection, RFC 3207 §6), shake hands, then call
    /// [`Session::tls_started`] and go on with a new `LineBuffer`.
    StartTls(Vec<u8>),
    /// Write it, read the message with a `DataReader`, then call [`Session::data`].
    ReadData(Vec<u8>),
    /// Read the octets of a chunk with this, then call [`Session::chunk`]. There are some.
    ReadChunk(ChunkReader),
    /// Write it and close the connection.
    Close(Vec<u8>),
}

/// What the session cannot know.
#[derive(Debug, PartialEq, Eq)]
pub enum Ask {
    /// Is this the password of this login? A 5xx counts as a wrong password, a 4xx does not.
    Login { login: String, password: Secret },
    /// The SCRAM keys of this login, for [`Answer::Scram`]; of an unknown one pretended ones, so that nobody learns which
    /// logins there are.
    ScramKeys { login: String },
    /// This login has proved that it knows its password.
    Proved { login: String },
    /// Somebody tried and does not know it: to be counted, logged and refused, as a wrong password.
    Disproved { login: String },
    /// All that this front has said of its client so far; yes, if it may say it.
    Front { told: Box<Xclient> },
    /// May this client send from here? `None` is the null path of bounces.
    Sender { path: Option<Address>, params: MailParams },
    /// May it send to this recipient?
    Recipient { path: Address, options: RcptOptions },
    /// Take the message; yes only when it is on stable storage (I4).
    Message { envelope: Envelope, content: Vec<u8> },
}

/// From whom to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    pub sender: Option<Address>,
    /// At least one, none twice.
    pub recipients: Vec<Address>,
    pub params: MailParams,
}

/// What the shell decided about an [`Ask`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Yes,
    /// Yes with these words, such as the queue name of the message.
    YesSaying(String),
    /// To [`Ask::ScramKeys`] alone.
    Scram(Box<ScramMaterial>),
    /// With code 421 the connection closes.
    No(Refusal),
}

/// One connection, from the banner to its end.
#[derive(Debug)]
pub struct Session {
    offers: Offers,
    tally: Tally,
    state: State,
    /// What a front said with XCLIENT.
    front: Option<Box<Xclient>>,
    protocol: Protocol,
}

/// What the client said about itself and proved.
#[derive(Debug, Clone)]
struct Greeting {
    helo: String,
    esmtp: bool,
    login: Option<String>,
}

#[derive(Debug)]
enum State {
    Fresh,
    Greeted(Greeting),
    Login(Greeting, Exchange),
    LoginAsked(Greeting, String),
    ScramAsked(Greeting, Box<ClientFirst>),
    SenderAsked(Greeting, Transaction),
    Mail(Greeting, Transaction),
    RecipientAsked(Greeting, Transaction, Address),
    Content(Greeting, Transaction),
    /// Between two chunks of a message.
    Chunked(Greeting, Transaction, Chunks),
    /// The octets of a chunk are being read: what was before, and why they are not wanted.
    Chunk(Box<State>, Option<Refusal>),
    /// With the number of replies that the protocol wants.
    MessageAsked(Greeting, usize),
    /// What was known before, if XCLIENT is refused.
    FrontAsked(Option<Greeting>, Box<Xclient>),
    Handshake,
    Closed,
}

/// What bounds a client that never comes to the point.
#[derive(Debug, Default)]
struct Tally {
    bad: u32,
    idle: u32,
    logins_failed: u32,
    mails: u32,
}

impl Session {
    /// A new connection and the banner to write.
    #[must_use]
    pub fn open(offers: Offers) -> (Self, Vec<u8>) {
        let banner = plain_reply(220, &[format!("{} ESMTP SM2TP", offers.hostname)]);
        (Self::fresh(offers, Protocol::Smtp), banner)
    }

    /// As [`Self::open`], for LMTP (RFC 2033). The protocol wants a reply for each RCPT that was accepted (§4.2); they are all
    /// the same, so the shell accepts one recipient for each message.
    #[must_use]
    pub fn open_lmtp(offers: Offers) -> (Self, Vec<u8>) {
        let banner = plain_reply(220, &[format!("{} LMTP SM2TP", offers.hostname)]);
        (Self::fresh(offers, Protocol::Lmtp), banner)
    }

    fn fresh(offers: Offers, protocol: Protocol) -> Self {
        Self { offers, tally: Tally::default(), state: State::Fresh, front: None, protocol }
    }

    /// Takes one line without its CRLF.
    #[must_use]
    pub fn line(mut self, line: &[u8]) -> (Self, Step) {
        let step = match self.take_state() {
            State::Login(greeting, exchange) => self.exchange(greeting, exchange, line),
            State::LoginAsked(..)
            | State::ScramAsked(..)
            | State::SenderAsked(..)
            | State::RecipientAsked(..)
            | State::Content(..)
            | State::Chunk(..)
            | State::MessageAsked(..)
            | State::FrontAsked(..)
            | State::Handshake
            | State::Closed => self.misused(),
            state => {
                self.state = state;
                self.command(line)
            }
        };
        (self, step)
    }

    /// Takes what came instead of a line. A login exchange ends with it.
    #[must_use]
    pub fn bad_line(mut self, error: LineError) -> (Self, Step) {
        if matches!(self.state, State::Login(..)) {
            self.break_off();
        }
        let step = self.bad(&error.refusal());
        (self, step)
    }

    /// Takes the decision about the last [`Step::Ask`].
    #[must_use]
    pub fn answer(mut self, answer: Answer) -> (Self, Step) {
        let step = match (self.take_state(), answer) {
            (_, Answer::No(refusal)) if refusal.code == 421 => Step::Close(refusal.to_reply()),
            (State::LoginAsked(greeting, login), answer) => self.login_answered(greeting, login, answer),
            (State::ScramAsked(greeting, first), answer) => self.scram_answered(greeting, *first, answer),
            (_, Answer::Scram(_)) => self.misused(),
            (State::SenderAsked(greeting, transaction), answer) => self.sender_answered(greeting, transaction, answer),
            (State::RecipientAsked(greeting, transaction, path), answer) => {
                self.recipient_answered(greeting, transaction, path, answer)
            }
            (State::FrontAsked(before, told), answer) => self.front_answered(before, told, answer),
            (State::MessageAsked(greeting, replies), answer) => self.message_answered(greeting, replies, answer),
            _ => self.misused(),
        };
        (self, step)
    }

    /// Takes what the `DataReader` of the last [`Step::ReadData`] read.
    #[must_use]
    pub fn data(mut self, content: Result<Vec<u8>, DataError>) -> (Self, Step) {
        let step = match self.take_state() {
            State::Content(greeting, transaction) => self.content(greeting, transaction, content),
            _ => self.misused(),
        };
        (self, step)
    }

    /// The handshake is done: all that the client said before is forgotten (RFC 3207 §4.2).
    #[must_use]
    pub fn tls_started(mut self) -> Self {
        self.offers.tls = Tls::On;
        self.state = State::Fresh;
        self.front = None;
        self
    }

    /// The name that the client gave with EHLO or HELO, to us or to its front.
    #[must_use]
    pub fn helo(&self) -> Option<&str> {
        match self.front.as_ref().map(|told| &told.helo) {
            Some(Told::Is(helo)) => Some(helo),
            Some(Told::Unknown) => Some("unknown"),
            Some(Told::Silent) | None => self.greeting().map(|greeting| greeting.helo.as_str()),
        }
    }

    /// The login whose password was right, here or at a front that vouches for it.
    #[must_use]
    pub fn login(&self) -> Option<&str> {
        let own = self.greeting().and_then(|greeting| greeting.login.as_deref());
        own.or_else(|| self.front.as_ref()?.login.value().map(String::as_str))
    }

    #[must_use]
    pub fn is_esmtp(&self) -> bool {
        match self.front.as_ref().and_then(|told| told.proto.value()) {
            Some(proto) => *proto == Proto::Esmtp,
            None => self.greeting().is_some_and(|greeting| greeting.esmtp),
        }
    }

    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.offers.tls == Tls::On
    }

    fn command(&mut self, line: &[u8]) -> Step {
        let Some(line) = self.as_smtp(line) else {
            return self.bad(&Refusal::new(500, Enhanced(5, 5, 1), "This is LMTP, say LHLO"));
        };
        let line = &*line;
        let command = Command::parse(line);
        let may_be_long = matches!(command, Ok(Command::Auth { .. }) | Err(CommandError::Http));
        if COMMAND_OCTETS_MAX < line.len() + CRLF_OCTETS && !may_be_long {
            return self.bad(&LineError::TooLong.refusal());
        }
        let command = match command {
            Ok(command) => command,
            Err(error @ (CommandError::Http | CommandError::Chunk)) => return self.close(&error.refusal()),
            Err(error) => return self.unfit(error),
        };
        match command {
            Command::Ehlo(name) => self.greet(name, true),
            Command::Helo(name) => self.greet(name, false),
            Command::Mail { path, params } => self.mail(path, params),
            Command::Rcpt { form: Form::Utf8, .. } if !self.takes_utf8() => self.unfit(CommandError::Utf8Address),
            Command::Rcpt { path, options, .. } => self.rcpt(path, options),
            Command::Bdat { octets, last } => self.bdat(octets, last),
            Command::Auth { mechanism, initial } => self.auth(mechanism, initial),
            Command::Xclient(told) => self.xclient(*told),
            Command::StartTls => self.start_tls(),
            Command::Data => self.data_wanted(),
            Command::Rset => self.reset(),
            Command::Noop => self.idle(reply(250, Enhanced(2, 0, 0), "Ok")),
            Command::Help => {
                let text = HELP.replace("{}", &self.offers.hostname);
                self.idle(reply(214, Enhanced(2, 0, 0), &text))
            }
            Command::Verify => self.idle(reply(502, Enhanced(5, 5, 1), "VRFY and EXPN are not answered here")),
            Command::Quit => {
                self.state = State::Closed;
                Step::Close(reply(221, Enhanced(2, 0, 0), "Bye"))
            }
        }
    }

    /// RFC 2033 §4.1: LMTP greets with LHLO, which means what EHLO means in SMTP, and has neither EHLO nor HELO.
    fn as_smtp<'a>(&self, line: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        let verb = line.get(..4).filter(|_| self.protocol == Protocol::Lmtp).unwrap_or_default();
        match verb.to_ascii_uppercase().as_slice() {
            b"LHLO" => Some([b"EHLO", &line[4..]].concat().into()),
            b"EHLO" | b"HELO" => None,
            _ => Some(line.into()),
        }
    }

    /// A line that is no command. An address that nobody can send to says something about a list, not about the
    /// client, so it does not count towards the end of the connection.
    fn unfit(&mut self, error: CommandError) -> Step {
        let refusal = error.refusal();
        match error {
            CommandError::Recipient(_) | CommandError::NoDomain | CommandError::Utf8Address => {
                if let State::Mail(_, transaction) = &mut self.state {
                    transaction.refused += 1;
                }
                self.idle(refusal.to_reply())
            }
            _ => self.bad(&refusal),
        }
    }

    /// RFC 5321 §4.1.4: a second EHLO ends a transaction; the login stays.
    fn greet(&mut self, helo: String, esmtp: bool) -> Step {
        let login = self.login().map(str::to_owned);
        self.state = State::Greeted(Greeting { helo, esmtp, login });
        let mut lines = vec![self.offers.hostname.clone()];
        if esmtp {
            let always = ["PIPELINING", "8BITMIME", "SMTPUTF8", "DSN", "CHUNKING", "ENHANCEDSTATUSCODES"];
            lines.extend(always.map(String::from));
            lines.push(format!("SIZE {}", self.offers.octets_max));
            lines.push(self.offers.limits());
            if self.offers.tls == Tls::Offered {
                lines.push("STARTTLS".into());
            }
            if self.offers.tls == Tls::On {
                lines.push("REQUIRETLS".into());
            }
            if self.offers.xclient == XclientOffer::Yes {
                lines.push(super::xclient::OFFER.into());
            }
            if self.login_allowed() {
                let scram = if self.offers.scram == ScramOffer::Yes { " SCRAM-SHA-256" } else { "" };
                lines.push(format!("AUTH PLAIN LOGIN{scram}"));
            }
        }
        self.idle(plain_reply(250, &lines))
    }

    fn start_tls(&mut self) -> Step {
        match (self.offers.tls, &self.state) {
            (Tls::Absent, _) => self.bad(&Refusal::new(502, Enhanced(5, 5, 1), "STARTTLS is not offered")),
            (Tls::On, _) => self.bad(&Refusal::new(503, Enhanced(5, 5, 1), "TLS is on already")),
            (Tls::Offered, State::Greeted(_)) => {
                self.state = State::Handshake;
                Step::StartTls(reply(220, Enhanced(2, 0, 0), "Ready to start TLS"))
            }
            (Tls::Offered, State::Fresh) => self.bad(&ehlo_first()),
            (Tls::Offered, _) => self.bad(&Refusal::new(503, Enhanced(5, 5, 1), "Not inside a transaction")),
        }
    }

    fn reset(&mut self) -> Step {
        self.break_off();
        self.idle(reply(250, Enhanced(2, 0, 0), "Ok"))
    }

    /// Refuses what no working client sends. After too many of them the connection closes: it is a scanner, or a page
    /// that makes a browser speak to us.
    fn bad(&mut self, refusal: &Refusal) -> Step {
        self.tally.bad += 1;
        if BAD_COMMANDS_MAX < self.tally.bad {
            return self.close(&Refusal::new(421, Enhanced(4, 7, 0), "Too many errors"));
        }
        Step::Reply(refusal.to_reply())
    }

    /// Answers what brings no message further; that has an end too.
    fn idle(&mut self, reply: Vec<u8>) -> Step {
        self.tally.idle += 1;
        if IDLE_COMMANDS_MAX < self.tally.idle {
            return self.close(&Refusal::new(421, Enhanced(4, 7, 0), "Too many commands without a message"));
        }
        Step::Reply(reply)
    }

    fn close(&mut self, refusal: &Refusal) -> Step {
        self.state = State::Closed;
        Step::Close(refusal.to_reply())
    }

    /// The shell called what does not follow from the last step. Nothing that this connection says can be trusted.
    fn misused(&mut self) -> Step {
        self.close(&Refusal::new(421, Enhanced(4, 3, 0), "Internal error, try again later"))
    }

    fn take_state(&mut self) -> State {
        std::mem::replace(&mut self.state, State::Closed)
    }

    /// Forgets an open transaction or login exchange; who the client is stays known.
    fn break_off(&mut self) {
        self.state = match self.take_state() {
            State::Mail(greeting, _) | State::Chunked(greeting, ..) | State::Login(greeting, _) => {
                State::Greeted(greeting)
            }
            state => state,
        };
    }

    fn greeting(&self) -> Option<&Greeting> {
        let state = if let State::Chunk(before, _) = &self.state { before } else { &self.state };
        match state {
            State::Fresh | State::FrontAsked(..) | State::Handshake | State::Chunk(..) | State::Closed => None,
            State::Greeted(greeting)
            | State::Login(greeting, _)
            | State::LoginAsked(greeting, _)
            | State::ScramAsked(greeting, _)
            | State::SenderAsked(greeting, _)
            | State::Mail(greeting, _)
            | State::RecipientAsked(greeting, ..)
            | State::Content(greeting, _)
            | State::Chunked(greeting, ..)
            | State::MessageAsked(greeting, _) => Some(greeting),
        }
    }
}

impl Offers {
    /// RFC 9422 §3.
    fn limits(&self) -> String {
        let mails = self.mails_max.map(|max| format!(" MAILMAX={max}")).unwrap_or_default();
        format!("LIMITS RCPTMAX={}{mails}", self.recipients_max)
    }
}

fn ehlo_first() -> Refusal {
    Refusal::new(503, Enhanced(5, 5, 1), "Send EHLO first")
}

/// `{}` is the name of this host.
const HELP: &str = "Commands: EHLO HELO STARTTLS AUTH MAIL RCPT DATA BDAT RSET NOOP HELP QUIT
MAIL FROM:<sender> may have SIZE= BODY= SMTPUTF8 RET= ENVID= REQUIRETLS (this one under TLS)
RCPT TO:<recipient> may have NOTIFY= ORCPT=
Each refusal says its reason. Who still wonders asks the postmaster of {}";
/// RFC 5321 §4.5.3.1.4 asks for 512 octets with CRLF and lets extensions add to it; addresses and parameters that we
/// offer stay far below. AUTH alone may be longer, see `LINE_OCTETS_MAX`.
pub const COMMAND_OCTETS_MAX: usize = 2048;
/// Lines that are no commands, commands out of order, broken logins: per connection. A working client has none.
pub const BAD_COMMANDS_MAX: u32 = 20;
/// NOOP, RSET, EHLO, recipients without a transaction and the like between two messages. A client that keeps
/// a connection warm with one NOOP a minute has 16 hours; a client that pipelines 1000 recipients behind a refused
/// MAIL is answered to the end.
pub const IDLE_COMMANDS_MAX: u32 = 1000;
