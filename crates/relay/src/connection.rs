//! One connection to a recipient's server: the shell around `proto`'s client session. It reads, writes and waits with
//! a limit; what is said and what it means is decided elsewhere.

mod patience;

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use sm2tp_proto::Reply;
use sm2tp_proto::smtp::client::{
    ClientSession, Do, GiveUp, Hello, Login, Plan, Protocol, ReplyBuffer, Results, Spoken, StartTls,
};
use sm2tp_proto::smtp::dot_stuff;
use sm2tp_rules::LocalFailure;
use sm2tp_rules::tls::Level;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{timeout, timeout_at};
use tokio_rustls::TlsConnector;

pub use self::patience::Patience;
use self::patience::{DOT_ANSWERS, Stretch};
use crate::route::Speaks;
use crate::settle::Hop;
use crate::tls::TlsTrouble;

/// One address of a host, and how it is to be met.
pub struct Target<'a> {
    /// The host as the DNS or a person names it.
    pub host: &'a str,
    /// The name that is asked for in the handshake, mostly the same.
    pub tls_name: &'a str,
    pub address: SocketAddr,
    pub level: Level,
    pub speaks: Speaks,
    pub login: Option<Login>,
    pub tls: Arc<ClientConfig>,
    /// The local address to send from; none: the system chooses.
    pub source: Option<IpAddr>,
    /// Our name in EHLO.
    pub hello: &'a str,
}

/// A server that is ready for a transaction.
pub struct Connection {
    wire: Wire,
    session: ClientSession,
    /// The host as the DNS names it: what rules and the send log call MX.
    pub host: String,
    pub level: Level,
    speaks: Speaks,
    /// Transactions so far.
    mails: u32,
}

/// The octets: in clear or in TLS.
struct Wire {
    stream: Box<dyn Stream>,
    replies: ReplyBuffer,
    read: Vec<u8>,
    answer_timeout: Duration,
    from: Option<IpAddr>,
    stretch: Stretch,
}

/// A message as it leaves: the content as it was taken, and the fields that are written before it.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    /// Whole fields, each with its line end; ASCII, and no line begins with a dot.
    pub fields: &'a [u8],
    pub content: &'a [u8],
}

/// Why there is no connection, or none any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// What failed on our side of the wire, with the host it was about.
    Local { failure: LocalFailure, host: String },
    /// No TLS, where it was wanted; with the local address of the connection.
    Tls { why: TlsTrouble, host: String, from: Option<IpAddr> },
    /// The server closed its door before any mail was spoken of.
    Refused { spoken: Spoken, reply: Reply, host: String },
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// What sending one message came to.
pub struct Sent {
    /// None: it cannot be used again.
    pub open: Option<Connection>,
    pub results: Results,
    /// What happened where a result says that the connection was lost.
    pub lost: LocalFailure,
}

/// How far a body went.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Body {
    Written,
    /// The server spoke before it had everything.
    Interrupted,
}

/// What the words of the server mean while it is written to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Heard {
    /// It has had enough.
    Stops,
    /// Answers to what was written before.
    IsKept,
}

impl Sent {
    fn lost(session: ClientSession, lost: LocalFailure) -> Self {
        let nobody = Results { recipients: Vec::new(), reusable: false };
        Self { open: None, results: session.lost().unwrap_or(nobody), lost }
    }
}

impl Outgoing<'_> {
    /// As SIZE counts them (RFC 1870 §6.1): before dots are stuffed.
    #[must_use]
    pub fn octets(&self) -> u64 {
        (self.fields.len() + self.content.len()) as u64
    }
}

impl Connection {
    /// Connects to one address of a host and greets it.
    ///
    /// # Errors
    /// [`Trouble`]: another host of the site may do better.
    pub async fn open(target: &Target<'_>, patience: Patience) -> Result<Self, Trouble> {
        let local = |failure| Trouble::Local { failure, host: target.host.to_owned() };
        let stream = timeout(patience.connect, connect(target.address, target.source))
            .await
            .map_err(|_| local(LocalFailure::ConnectTimeout))?
            .map_err(|error| match error.kind() {
                io::ErrorKind::AddrNotAvailable => local(LocalFailure::NoExit),
                _ => local(LocalFailure::ConnectRefused),
            })?;
        let from = stream.local_addr().ok().map(|local| local.ip());
        Self::greet(Box::new(stream), from, target, patience.answer).await
    }

    async fn greet(
        stream: Box<dyn Stream>,
        from: Option<IpAddr>,
        target: &Target<'_>,
        answer_timeout: Duration,
    ) -> Result<Self, Trouble> {
        let local = |failure| Trouble::Local { failure, host: target.host.to_owned() };
        let mut wire = Wire::new(stream, from, answer_timeout, Stretch::opening(answer_timeout));
        let mut session = match target.speaks {
            Speaks::Smtps => {
                wire = wire.start_tls(target).await?;
                ClientSession::open_encrypted(hello(target))
            }
            Speaks::Smtp | Speaks::Lmtp => ClientSession::open(hello(target)),
        };
        let mut next = Do::Continue;
        loop {
            match next {
                Do::Ready => {
                    let (host, level, speaks) = (target.host.to_owned(), target.level, target.speaks);
                    return Ok(Self { wire, session, host, level, speaks, mails: 0 });
                }
                Do::GiveUp(why) => return Err(trouble(why, target.host, from)),
                Do::StartTls => {
                    wire = wire.start_tls(target).await?;
                    (session, next) = session.tls_started();
                    continue;
                }
                // A server that speaks and hangs up leaves its words behind, though our write fails.
                Do::Send(bytes) => drop(wire.write(&bytes).await),
                _ => {}
            }
            (session, next) = session.reply(wire.reply(1).await.map_err(local)?);
        }
    }

    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.session.is_tls()
    }

    /// The local address.
    #[must_use]
    pub fn from(&self) -> Option<IpAddr> {
        self.wire.from
    }

    /// Whether the next server takes the duty to encrypt over (RFC 8689 §4.2).
    #[must_use]
    pub fn keeps_tls(&self) -> bool {
        Level::Certificate <= self.level && self.session.is_tls() && self.session.capabilities().require_tls
    }

    /// Who tells the sender of a delivery, where that was asked for.
    #[must_use]
    pub fn hop(&self) -> Hop {
        match self.speaks {
            _ if self.session.capabilities().dsn => Hop::Dsn,
            Speaks::Lmtp => Hop::Last,
            Speaks::Smtp | Speaks::Smtps => Hop::Plain,
        }
    }

    /// How many recipients the server takes in one transaction.
    #[must_use]
    pub fn recipients_max(&self) -> usize {
        self.session.capabilities().recipients_max.unwrap_or(usize::MAX)
    }

    /// The server takes no further mail on this connection (RFC 9422 §4.1).
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.session.capabilities().mails_max.is_some_and(|max| max <= self.mails)
    }

    /// Sends one message.
    pub async fn send(self, plan: Plan<'_>, content: Outgoing<'_>) -> Sent {
        let Self { mut wire, session, host, level, speaks, mails } = self;
        if wire.has_more().await {
            // Words that nobody asked for: from here on each reply would be taken for another one's.
            return Sent::lost(session.begin(plan).0, LocalFailure::ConnectionLost);
        }
        wire.stretch = Stretch::commands(wire.answer_timeout, plan.recipients.len());
        let (mut session, mut next) = session.begin(plan);
        let mut interrupted = false;
        loop {
            let wrote = match next {
                Do::Finished(mut results) => {
                    results.reusable &= !interrupted && wire.read.is_empty();
                    let open = results.reusable.then_some(Self {
                        wire,
                        session,
                        host,
                        level,
                        speaks,
                        mails: mails.saturating_add(1),
                    });
                    return Sent { open, results, lost: LocalFailure::ConnectionLost };
                }
                Do::Send(bytes) => wire.write(&bytes).await,
                Do::SendBody => wire.write_body(content).await.map(|body| interrupted = body == Body::Interrupted),
                Do::SendAtOnce(commands) => wire.write_at_once(&commands, content).await,
                _ => Ok(()),
            };
            interrupted |= wrote.is_err();
            let answers = if session.spoken() == Some(Spoken::Eod) { DOT_ANSWERS } else { 1 };
            // Where writing failed, the server may have said why before it hung up.
            let replied = if wrote.is_ok() { wire.reply(answers).await } else { wire.last_words().await };
            let lost = wrote.err().or(replied.as_ref().err().copied()).unwrap_or(LocalFailure::ConnectionLost);
            // It cannot have taken what it does not have: only a refusal is believed then.
            let Some(reply) = replied.ok().filter(|reply| !interrupted || 400 <= reply.code) else {
                return Sent::lost(session, lost);
            };
            (session, next) = session.reply(reply);
            if interrupted && !matches!(next, Do::Finished(_)) {
                return Sent::lost(session, lost);
            }
        }
    }

    /// Says QUIT and does not wait for the answer: nothing depends on it.
    pub async fn quit(mut self) {
        let bytes = self.session.quit();
        let _ = timeout(QUIT_TIMEOUT, async {
            self.wire.stream.write_all(&bytes).await?;
            self.wire.stream.shutdown().await
        })
        .await;
    }
}

impl Wire {
    fn new(stream: Box<dyn Stream>, from: Option<IpAddr>, answer_timeout: Duration, stretch: Stretch) -> Self {
        Self { stream, replies: ReplyBuffer::new(), read: Vec::new(), answer_timeout, from, stretch }
    }

    /// The next reply, which has so many times the usual time.
    async fn reply(&mut self, answers: u32) -> Result<Reply, LocalFailure> {
        let until = self.stretch.step_of(answers)?;
        timeout_at(until, self.read_reply()).await.map_err(|_| LocalFailure::Timeout)?
    }

    /// What was said before the connection broke.
    async fn last_words(&mut self) -> Result<Reply, LocalFailure> {
        timeout(LAST_WORDS_TIMEOUT, self.read_reply()).await.map_err(|_| LocalFailure::ConnectionLost)?
    }

    async fn read_reply(&mut self) -> Result<Reply, LocalFailure> {
        loop {
            if !self.read.is_empty() {
                let progress = self.replies.push(&self.read).map_err(|_| LocalFailure::BadReply)?;
                self.read.drain(..progress.consumed);
                if let Some(reply) = progress.reply {
                    return Ok(reply);
                }
            }
            let mut chunk = [0; 4096];
            let count = self.stream.read(&mut chunk).await.map_err(|_| LocalFailure::ConnectionLost)?;
            if count == 0 {
                return Err(LocalFailure::ConnectionLost);
            }
            self.read.extend_from_slice(&chunk[..count]);
        }
    }

    /// Whether something was said between two transactions, as far as it has arrived.
    async fn has_more(&mut self) -> bool {
        poll_fn(|context| {
            // An end or an error is found by the next reading.
            let _ = self.poll_more(context);
            Poll::Ready(!self.read.is_empty())
        })
        .await
    }

    /// Reads what is there. Ready: there was something, or an end.
    fn poll_more(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut chunk = [0; 4096];
        let mut buffer = ReadBuf::new(&mut chunk);
        let read = Pin::new(&mut self.stream).poll_read(context, &mut buffer);
        self.read.extend_from_slice(buffer.filled());
        read
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), LocalFailure> {
        let written = timeout_at(self.stretch.step()?, async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        });
        written.await.map_err(|_| LocalFailure::Timeout)?.map_err(|_| LocalFailure::ConnectionLost)
    }

    /// Writes the message, listening meanwhile: a server that has had enough says so, and reads no more.
    async fn write_body(&mut self, Outgoing { fields, content }: Outgoing<'_>) -> Result<Body, LocalFailure> {
        let mut stuffed = Vec::with_capacity(fields.len() + content.len() + content.len() / 64 + 16);
        stuffed.extend_from_slice(fields);
        dot_stuff(content, &mut stuffed);
        self.stretch = Stretch::content(self.answer_timeout, stuffed.len() as u64);
        let body = self.write_listening(&stuffed, Heard::Stops).await?;
        if body == Body::Written {
            self.stretch = Stretch::end(self.answer_timeout);
        }
        Ok(body)
    }

    /// Writes commands and message together. Replies to the commands come while the message is still written.
    async fn write_at_once(&mut self, commands: &[u8], content: Outgoing<'_>) -> Result<(), LocalFailure> {
        let all = [commands, content.fields, content.content].concat();
        self.stretch = self.stretch.with_content(content.octets());
        self.write_listening(&all, Heard::IsKept).await.map(drop)
    }

    async fn write_listening(&mut self, bytes: &[u8], heard: Heard) -> Result<Body, LocalFailure> {
        let mut rest = bytes;
        while !rest.is_empty() {
            if heard == Heard::Stops && !self.read.is_empty() {
                return Ok(Body::Interrupted);
            }
            let until = self.stretch.step()?;
            let wrote = timeout_at(until, poll_fn(|context| self.poll_write(context, rest)));
            let count = wrote.await.map_err(|_| LocalFailure::Timeout)?.map_err(|_| LocalFailure::ConnectionLost)?;
            rest = &rest[count..];
        }
        let flushed = timeout_at(self.stretch.step()?, self.stream.flush()).await;
        flushed.map_err(|_| LocalFailure::Timeout)?.map_err(|_| LocalFailure::ConnectionLost)?;
        Ok(Body::Written)
    }

    /// Writes some of it; 0 where the server spoke instead of reading.
    fn poll_write(&mut self, context: &mut Context<'_>, rest: &[u8]) -> Poll<io::Result<usize>> {
        if let Poll::Ready(wrote) = Pin::new(&mut self.stream).poll_write(context, rest) {
            return Poll::Ready(match wrote {
                Ok(0) => Err(io::ErrorKind::WriteZero.into()),
                wrote => wrote,
            });
        }
        let before = self.read.len();
        if READ_AHEAD_MAX <= before {
            return Poll::Pending;
        }
        match self.poll_more(context) {
            Poll::Ready(Ok(())) if self.read.len() == before => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            Poll::Ready(read) => Poll::Ready(read.map(|()| 0)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Whatever was sent before the handshake was not said under TLS (RFC 3207 §6): the new wire starts empty.
    async fn start_tls(self, target: &Target<'_>) -> Result<Self, Trouble> {
        let tls = |why| Trouble::Tls { why, host: target.host.to_owned(), from: self.from };
        let name = ServerName::try_from(target.tls_name.to_owned()).map_err(|_| tls(TlsTrouble::NameMismatch))?;
        let handshake = TlsConnector::from(target.tls.clone()).connect(name, self.stream);
        let local = |failure| Trouble::Local { failure, host: target.host.to_owned() };
        match timeout_at(self.stretch.step().map_err(local)?, handshake).await {
            Ok(Ok(stream)) => Ok(Self::new(Box::new(stream), self.from, self.answer_timeout, self.stretch)),
            Ok(Err(error)) => {
                tracing::info!(host = target.host, %error, "the TLS handshake failed");
                Err(tls(TlsTrouble::of(&error)))
            }
            // Something on the way swallows it, as firewalls do with what they do not know.
            Err(_) => Err(tls(TlsTrouble::Handshake)),
        }
    }
}

fn hello(target: &Target<'_>) -> Hello {
    Hello {
        name: target.hello.to_owned(),
        starttls: match target.level {
            Level::Clear => StartTls::Never,
            Level::IfOffered => StartTls::IfOffered,
            Level::Encrypted | Level::Certificate | Level::Dane => StartTls::Required,
        },
        protocol: match target.speaks {
            Speaks::Smtp | Speaks::Smtps => Protocol::Smtp,
            Speaks::Lmtp => Protocol::Lmtp,
        },
        login: target.login.clone(),
    }
}

async fn connect(address: SocketAddr, source: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(source) = source {
        socket.bind(SocketAddr::new(source, 0))?;
    }
    let stream = socket.connect(address).await?;
    // Commands are small and wait for replies: without this, each would wait for the one before to be acknowledged.
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn trouble(why: GiveUp, host: &str, from: Option<IpAddr>) -> Trouble {
    let host = host.to_owned();
    match why {
        GiveUp::Refused { spoken, reply } => Trouble::Refused { spoken, reply, host },
        GiveUp::Garbled { .. } => Trouble::Local { failure: LocalFailure::BadReply, host },
        GiveUp::NoStartTls { .. } => Trouble::Tls { why: TlsTrouble::NotOffered, host, from },
        GiveUp::NoLogin { reply } => {
            let said = reply.map(|reply| format!("{} {}", reply.code, reply.text));
            let said = said.unwrap_or_else(|| "it offers no login that may be used here (TLS?)".to_owned());
            tracing::error!(host, said, "the smart host does not take our login; its mail waits");
            Trouble::Local { failure: LocalFailure::LoginRefused, host }
        }
        GiveUp::Unasked { reply } => Trouble::Refused { spoken: Spoken::Connect, reply, host },
    }
}

/// Kept of what a server says while it is written to: a hundred answers of the length that RFC 5321 §4.5.3.1.5 allows. Beyond
/// that it is not read until it reads.
const READ_AHEAD_MAX: usize = 64 * 1024;
const QUIT_TIMEOUT: Duration = Duration::from_secs(5);
/// What a server said before it hung up is there already, or on its way.
const LAST_WORDS_TIMEOUT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
