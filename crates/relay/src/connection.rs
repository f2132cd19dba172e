//! One connection to a recipient's server: the shell around `proto`'s client session. It reads, writes and waits with
//! a limit; what is said and what it means is decided elsewhere.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use sm2tp_proto::smtp::client::{ClientSession, Do, GiveUp, Hello, Plan, ReplyBuffer, Results, Spoken, StartTls};
use sm2tp_proto::smtp::dot_stuff;
use sm2tp_proto::{Address, Reply};
use sm2tp_rules::LocalFailure;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::tls::TlsUse;

/// How this node presents itself and how long it waits.
#[derive(Clone)]
pub struct Manners {
    /// Our name in EHLO.
    pub hostname: String,
    /// Local addresses to send from, the first of each family; empty: what the system chooses.
    pub source: Vec<IpAddr>,
    pub tls: TlsUse,
    pub tls_config: Arc<ClientConfig>,
    pub connect_timeout: Duration,
    /// For each reply. RFC 5321 §4.5.3.2 gives five minutes to most, ten to the final dot.
    pub answer_timeout: Duration,
}

/// A server that is ready for a transaction.
pub struct Connection {
    wire: Wire,
    session: ClientSession,
    /// The host as the DNS names it: what rules and the send log call MX.
    pub host: String,
}

/// The octets: in clear or in TLS.
struct Wire {
    stream: Box<dyn Stream>,
    replies: ReplyBuffer,
    read: Vec<u8>,
    answer_timeout: Duration,
}

/// Why there is no connection, or none any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// What failed on our side of the wire, with the host it was about.
    Local { failure: LocalFailure, host: String },
    /// The server closed its door before any mail was spoken of.
    Refused { spoken: Spoken, reply: Reply, host: String },
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Connection {
    /// Connects to one address of a host and greets it.
    ///
    /// # Errors
    /// [`Trouble`]: another host of the site may do better.
    pub async fn open(host: &str, address: SocketAddr, manners: &Manners) -> Result<Self, Trouble> {
        let first = match manners.tls {
            TlsUse::Off => StartTls::Never,
            TlsUse::Opportunistic => StartTls::IfOffered,
            TlsUse::Required => StartTls::Required,
        };
        match Self::greet(host, address, manners, first).await {
            // RFC 7435: a server whose TLS is broken still gets its mail, on a new connection in clear.
            Err(Trouble::Local { failure: LocalFailure::TlsFailure, .. }) if first == StartTls::IfOffered => {
                Self::greet(host, address, manners, StartTls::Never).await
            }
            other => other,
        }
    }

    async fn greet(host: &str, address: SocketAddr, manners: &Manners, starttls: StartTls) -> Result<Self, Trouble> {
        let local = |failure| Trouble::Local { failure, host: host.to_owned() };
        let stream = timeout(manners.connect_timeout, connect(address, &manners.source))
            .await
            .map_err(|_| local(LocalFailure::ConnectTimeout))?
            .map_err(|_| local(LocalFailure::ConnectRefused))?;
        let mut wire = Wire::new(Box::new(stream), manners.answer_timeout);
        let mut session = ClientSession::open(Hello { name: manners.hostname.clone(), starttls });
        let mut next = Do::Continue;
        loop {
            match next {
                Do::Ready => return Ok(Self { wire, session, host: host.to_owned() }),
                Do::GiveUp(why) => return Err(trouble(why, host)),
                Do::StartTls => {
                    wire = wire.start_tls(host, manners).await.map_err(local)?;
                    (session, next) = session.tls_started();
                    continue;
                }
                Do::Send(bytes) => wire.write(&bytes).await.map_err(local)?,
                _ => {}
            }
            (session, next) = session.reply(wire.reply().await.map_err(local)?);
        }
    }

    /// Sends one message. `None` in place of the connection: it cannot be used again.
    pub async fn send(self, from: Option<&Address>, to: &[&Address], content: &[u8]) -> (Option<Self>, Results) {
        let plan =
            Plan { mail_from: from, recipients: to, octets: content.len() as u64, eight_bit: !content.is_ascii() };
        let Self { mut wire, session, host } = self;
        let (mut session, mut next) = session.begin(plan);
        loop {
            let wrote = match next {
                Do::Finished(results) => {
                    return (results.reusable.then_some(Self { wire, session, host }), results);
                }
                Do::Send(bytes) => wire.write(&bytes).await,
                Do::SendBody => wire.write_body(content).await,
                _ => Ok(()),
            };
            let replied = match wrote {
                Ok(()) => wire.reply().await,
                Err(failure) => Err(failure),
            };
            let Ok(reply) = replied else {
                return (None, session.lost().unwrap_or(Results { recipients: Vec::new(), reusable: false }));
            };
            (session, next) = session.reply(reply);
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
    fn new(stream: Box<dyn Stream>, answer_timeout: Duration) -> Self {
        Self { stream, replies: ReplyBuffer::new(), read: Vec::new(), answer_timeout }
    }

    async fn reply(&mut self) -> Result<Reply, LocalFailure> {
        timeout(self.answer_timeout, self.read_reply()).await.map_err(|_| LocalFailure::Timeout)?
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

    async fn write(&mut self, bytes: &[u8]) -> Result<(), LocalFailure> {
        let written = timeout(self.answer_timeout, async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        });
        written.await.map_err(|_| LocalFailure::Timeout)?.map_err(|_| LocalFailure::ConnectionLost)
    }

    async fn write_body(&mut self, content: &[u8]) -> Result<(), LocalFailure> {
        let mut stuffed = Vec::with_capacity(content.len() + content.len() / 64 + 16);
        dot_stuff(content, &mut stuffed);
        self.write(&stuffed).await
    }

    /// Whatever was sent before the handshake was not said under TLS (RFC 3207 §6): the new wire starts empty.
    async fn start_tls(self, host: &str, manners: &Manners) -> Result<Self, LocalFailure> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| LocalFailure::TlsFailure)?;
        let handshake = TlsConnector::from(manners.tls_config.clone()).connect(name, self.stream);
        let stream = timeout(self.answer_timeout, handshake).await.map_err(|_| LocalFailure::Timeout)?;
        Ok(Self::new(Box::new(stream.map_err(|_| LocalFailure::TlsFailure)?), self.answer_timeout))
    }
}

async fn connect(address: SocketAddr, source: &[IpAddr]) -> std::io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(source) = source.iter().find(|source| source.is_ipv4() == address.is_ipv4()) {
        socket.bind(SocketAddr::new(*source, 0))?;
    }
    let stream = socket.connect(address).await?;
    // Commands are small and wait for replies: without this, each would wait for the one before to be acknowledged.
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn trouble(why: GiveUp, host: &str) -> Trouble {
    let host = host.to_owned();
    match why {
        GiveUp::Refused { spoken, reply } => Trouble::Refused { spoken, reply, host },
        GiveUp::Garbled { .. } => Trouble::Local { failure: LocalFailure::BadReply, host },
        GiveUp::NoStartTls { .. } => Trouble::Local { failure: LocalFailure::TlsFailure, host },
        GiveUp::Unasked { reply } => Trouble::Refused { spoken: Spoken::Connect, reply, host },
    }
}

const QUIT_TIMEOUT: Duration = Duration::from_secs(5);
