//! The client side of one SMTP connection as a value: a reply goes in, what the shell must do comes out.
//!
//! Content of 8 bits goes as it is to a server that does not offer 8BITMIME: such servers pass it on in practice, and
//! to convert it would break the DKIM signature of its author.

mod capabilities;
mod login;
mod replies;
mod scram;
mod transaction;

pub use self::capabilities::Capabilities;
use self::login::{Exchange, Turn};
pub use self::login::{Login, Passwords};
pub use self::replies::{ReplyBuffer, ReplyProgress};
use self::transaction::Transaction;
use super::params::{Form, MailOptions, RcptOptions};
use crate::{Address, Reply};

/// How the client presents itself, fixed for the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Our name for EHLO: the host name that the reverse DNS of the exit gives.
    pub name: String,
    pub starttls: StartTls,
    pub protocol: Protocol,
    /// For a smart host that wants to know who we are.
    pub login: Option<Login>,
}

/// What is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Smtp,
    /// RFC 2033: LHLO, and after the final dot one reply for each recipient that was accepted.
    Lmtp,
}

/// What to do about STARTTLS. Whether a certificate is good is decided by the shell in the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartTls {
    /// Not even if offered: after a failed handshake, on a new connection.
    Never,
    IfOffered,
    /// Give up rather than send in clear (MTA-STS, DANE).
    Required,
}

/// One message for recipients of the same server.
#[derive(Debug, Clone, Copy)]
pub struct Plan<'a> {
    /// `None`: the null path of bounces.
    pub mail_from: Option<&'a Address>,
    pub recipients: &'a [Rcpt<'a>],
    /// Octets of the message with CRLF line ends, before dot-stuffing.
    pub octets: u64,
    /// The message holds octets above 127.
    pub eight_bit: bool,
    /// The header holds more than ASCII because the mail asked for SMTPUTF8; other mail goes as it is.
    pub header: Form,
    /// REQUIRETLS (RFC 8689): only a server that offers it may have the mail; whether the certificate is good is for the
    /// shell. SMTPUTF8 is asked of the server where addresses or header need it (RFC 6531 §3.4), whatever was said here.
    pub options: &'a MailOptions,
    /// The message ends with a line end and may go behind its commands where the server offers that (RFC 3030). Not where
    /// that was tried before: a server that offers what it cannot do gets the mail at the second attempt.
    pub may_chunk: bool,
}

/// One recipient of a [`Plan`].
#[derive(Debug, Clone, Copy)]
pub struct Rcpt<'a> {
    pub path: &'a Address,
    /// Passed on to servers that offer DSN.
    pub options: &'a RcptOptions,
}

/// What the shell must do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Do {
    /// Write it, then read a reply.
    Send(Vec<u8>),
    /// THROW AWAY all octets read so far (RFC 3207 §6), shake hands, then call [`ClientSession::tls_started`].
    StartTls,
    /// Write the message as `dot_stuff` gives it, then read a reply. A reply that comes before all was written ends
    /// the connection, whatever it says.
    SendBody,
    /// Write it and right behind it the message as it is, without dots (RFC 3030 §2), and read meanwhile; then read a
    /// reply.
    SendAtOnce(Vec<u8>),
    /// Read another reply.
    Continue,
    /// The server is ready: call [`ClientSession::begin`] or [`ClientSession::quit`].
    Ready,
    /// The transaction is over.
    Finished(Results),
    /// The connection is of no use. No recipient was spoken of.
    GiveUp(GiveUp),
}

/// What became of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Results {
    /// One for each recipient of the plan, in its order.
    pub recipients: Vec<RecipientResult>,
    /// The connection takes another [`ClientSession::begin`]. Otherwise close it, without QUIT.
    pub reusable: bool,
}

/// What became of one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecipientResult {
    /// The server took the message; its reply to the final dot.
    Delivered(Reply),
    /// A 4xx or 5xx, and in reply to what. A refusal of the whole transaction is told to each recipient in it.
    Refused { spoken: Spoken, reply: Reply },
    /// A reply that cannot be one in this place; nothing is known about the recipient. A failure of the server.
    Garbled { spoken: Spoken, reply: Reply },
    /// The connection ended while this was awaited. After `Eod`, and after [`Do::SendAtOnce`] wherever it ended, the
    /// message may have been taken.
    Lost { spoken: Spoken },
    /// Not spoken of: the server says that it cannot.
    Unsupported(Unsupported),
}

/// What the message needs and the server does not offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsupported {
    /// RFC 1870: its limit is lower than the message.
    Size { octets_max: u64 },
    /// RFC 6531: an address is not ASCII and has no other form, or the header is not.
    SmtpUtf8,
    /// RFC 8689: the message must travel encrypted all the way.
    RequireTls,
}

/// Why there is nothing to be done on this connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GiveUp {
    /// A 4xx or 5xx before any transaction.
    Refused { spoken: Spoken, reply: Reply },
    /// A reply that cannot be one in this place.
    Garbled { spoken: Spoken, reply: Reply },
    /// TLS is required and not offered, or refused with this reply.
    NoStartTls { reply: Option<Reply> },
    /// The server said something while nothing was asked; mostly 421 before it closes an idle connection.
    Unasked { reply: Reply },
    /// Our login was not taken; without a reply: the server offers no way to log in that may be used here.
    NoLogin { reply: Option<Reply> },
}

/// What the server's words are an answer to. It also gives the timeout of RFC 5321 §4.5.3.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Spoken {
    Connect,
    Ehlo,
    StartTls,
    Mail,
    Rcpt,
    Data,
    /// The final dot, or the one chunk.
    Eod,
}

/// One connection to a server, from its banner on.
#[derive(Debug)]
pub struct ClientSession {
    hello: Hello,
    tls: bool,
    capabilities: Capabilities,
    state: State,
}

#[derive(Debug)]
enum State {
    Banner,
    Ehlo,
    Helo,
    StartTls,
    Handshake,
    Login(Exchange),
    Ready { reset: bool },
    Transaction(Transaction),
    Closed,
}

impl ClientSession {
    /// A new connection: read the banner and give it to [`Self::reply`].
    #[must_use]
    pub fn open(hello: Hello) -> Self {
        Self { hello, tls: false, capabilities: Capabilities::default(), state: State::Banner }
    }

    /// A new connection that began with a handshake (RFC 8314 §3): its banner already came encrypted.
    #[must_use]
    pub fn open_encrypted(hello: Hello) -> Self {
        Self { tls: true, ..Self::open(hello) }
    }

    /// Takes one whole reply.
    #[must_use]
    pub fn reply(mut self, reply: Reply) -> (Self, Do) {
        let step = match std::mem::replace(&mut self.state, State::Closed) {
            State::Banner if reply.code == 220 => self.send(State::Ehlo),
            State::Banner => give_up(Spoken::Connect, reply),
            State::Ehlo if reply.code == 250 => {
                self.capabilities = Capabilities::parse(&reply);
                self.secure()
            }
            // RFC 5321 §3.2: a server that does not know EHLO answers 5xx to it.
            State::Ehlo if 500 <= reply.code && self.hello.protocol == Protocol::Smtp => self.send(State::Helo),
            State::Helo if reply.code == 250 => {
                self.capabilities = Capabilities::default();
                self.secure()
            }
            State::Ehlo | State::Helo => give_up(Spoken::Ehlo, reply),
            State::StartTls if reply.code == 220 => {
                self.state = State::Handshake;
                Do::StartTls
            }
            State::StartTls if reply.code == 421 => give_up(Spoken::StartTls, reply),
            State::StartTls if self.hello.starttls == StartTls::Required => {
                Do::GiveUp(GiveUp::NoStartTls { reply: Some(reply) })
            }
            State::StartTls => self.log_in(),
            State::Login(exchange) => match exchange.turn(reply) {
                Turn::Send(exchange, bytes) => {
                    self.state = State::Login(exchange);
                    Do::Send(bytes)
                }
                Turn::Done => self.ready(),
                Turn::Refused(reply) => Do::GiveUp(GiveUp::NoLogin { reply: Some(reply) }),
            },
            State::Transaction(transaction) => self.transaction(transaction, reply),
            State::Handshake | State::Ready { .. } | State::Closed => Do::GiveUp(GiveUp::Unasked { reply }),
        };
        (self, step)
    }

    /// The handshake is done: what the server said before counts no more (RFC 3207 §4.2).
    #[must_use]
    pub fn tls_started(mut self) -> (Self, Do) {
        self.tls = true;
        self.capabilities = Capabilities::default();
        let step = self.send(State::Ehlo);
        (self, step)
    }

    /// Starts a transaction on a server that is ready, the first one or a further one.
    #[must_use]
    pub fn begin(mut self, plan: Plan<'_>) -> (Self, Do) {
        let mut transaction = Transaction::new(plan, &self.capabilities, self.hello.protocol);
        let State::Ready { reset } = self.state else {
            self.state = State::Closed;
            return (self, Do::Finished(transaction.lost()));
        };
        let step = match transaction.start(reset) {
            Some(step) => {
                self.state = State::Transaction(transaction);
                step
            }
            None => Do::Finished(transaction.results(true)),
        };
        (self, step)
    }

    /// The connection broke or a timeout passed: what is known about each recipient of the open transaction.
    #[must_use]
    pub fn lost(self) -> Option<Results> {
        match self.state {
            State::Transaction(transaction) => Some(transaction.lost()),
            _ => None,
        }
    }

    /// The end of a connection that is ready: write it, and wait for nothing.
    #[must_use]
    pub fn quit(self) -> Vec<u8> {
        b"QUIT\r\n".to_vec()
    }

    /// What the next reply is an answer to; `None` where none is due.
    #[must_use]
    pub fn spoken(&self) -> Option<Spoken> {
        match &self.state {
            State::Banner => Some(Spoken::Connect),
            State::Ehlo | State::Helo | State::Login(_) => Some(Spoken::Ehlo),
            State::StartTls => Some(Spoken::StartTls),
            State::Transaction(transaction) => transaction.spoken(),
            State::Handshake | State::Ready { .. } | State::Closed => None,
        }
    }

    /// What the server offered in its last greeting.
    #[must_use]
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    fn send(&mut self, state: State) -> Do {
        let command = match state {
            State::Ehlo if self.hello.protocol == Protocol::Lmtp => format!("LHLO {}\r\n", self.hello.name),
            State::Ehlo => format!("EHLO {}\r\n", self.hello.name),
            State::Helo => format!("HELO {}\r\n", self.hello.name),
            _ => "STARTTLS\r\n".to_owned(),
        };
        self.state = state;
        Do::Send(command.into_bytes())
    }

    /// After a greeting: STARTTLS where it is wanted.
    fn secure(&mut self) -> Do {
        match self.hello.starttls {
            _ if self.tls => self.log_in(),
            StartTls::IfOffered | StartTls::Required if self.capabilities.starttls => self.send(State::StartTls),
            StartTls::Required => Do::GiveUp(GiveUp::NoStartTls { reply: None }),
            StartTls::Never | StartTls::IfOffered => self.log_in(),
        }
    }

    /// After the last greeting: the login, where there is one.
    fn log_in(&mut self) -> Do {
        let Some(login) = &self.hello.login else { return self.ready() };
        let may = self.tls || login.passwords == Passwords::EvenInClear;
        match Exchange::begin(login, &self.capabilities).filter(|_| may) {
            Some((exchange, bytes)) => {
                self.state = State::Login(exchange);
                Do::Send(bytes)
            }
            None => Do::GiveUp(GiveUp::NoLogin { reply: None }),
        }
    }

    fn ready(&mut self) -> Do {
        self.state = State::Ready { reset: false };
        Do::Ready
    }

    fn transaction(&mut self, mut transaction: Transaction, reply: Reply) -> Do {
        let step = transaction.reply(reply);
        match step {
            transaction::Next::Do(step) => {
                self.state = State::Transaction(transaction);
                step
            }
            transaction::Next::Over { reset } => {
                self.state = State::Ready { reset };
                Do::Finished(transaction.results(true))
            }
            transaction::Next::Dead => Do::Finished(transaction.results(false)),
        }
    }
}

impl Hello {
    /// SMTP without a login.
    #[must_use]
    pub fn new(name: impl Into<String>, starttls: StartTls) -> Self {
        Self { name: name.into(), starttls, protocol: Protocol::Smtp, login: None }
    }
}

impl RecipientResult {
    #[must_use]
    pub fn is_delivered(&self) -> bool {
        matches!(self, Self::Delivered(_))
    }
}

fn give_up(spoken: Spoken, reply: Reply) -> Do {
    Do::GiveUp(if reply.code < 400 { GiveUp::Garbled { spoken, reply } } else { GiveUp::Refused { spoken, reply } })
}
