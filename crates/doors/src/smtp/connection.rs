//! One client's connection: the shell around `proto`'s server session. It reads, writes, waits and bounds memory; what
//! is answered is decided by the session and the desk.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use sm2tp_proto::smtp::line::LineBuffer;
use sm2tp_proto::smtp::server::{AuthOffer, Offers, Session, Step, Tls, XclientOffer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::client::{Client, Place};
use super::deadline::Deadlines;
use super::desk::Desk;
use super::reading::{Reading, Share};
use super::{Entry, Shared};

/// One connection before and after STARTTLS.
pub(super) struct Connection {
    shared: Arc<Shared>,
    client: Client,
    /// Given back when the connection ends.
    _place: Place,
    closed: watch::Receiver<bool>,
}

/// Why the loop of one stream ended.
enum End {
    Closed,
    /// STARTTLS was answered; what was read before it is thrown away with the dialogue.
    Handshake(Box<Session>),
}

/// The dialogue on one stream.
struct Dialogue<S> {
    stream: S,
    session: Option<Session>,
    desk: Desk,
    lines: LineBuffer,
    data: Option<Reading>,
    share: Share,
    out: Vec<u8>,
    deadlines: Deadlines,
}

/// What one step asks of the loop.
enum After {
    Read,
    Close,
    Handshake,
}

impl Connection {
    pub(super) fn new(shared: Arc<Shared>, client: Client, place: Place, closed: watch::Receiver<bool>) -> Self {
        Self { shared, client, _place: place, closed }
    }

    pub(super) async fn run(mut self, mut stream: TcpStream, entry: Entry) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let acceptor = self.shared.settings.tls.clone();
        let desk = Desk::new(self.shared.clone(), self.client);
        match (entry, acceptor) {
            (Entry::Tls, Some(acceptor)) => {
                let stream = self.shake_hands(&acceptor, stream).await?;
                let (session, banner) = Session::open(self.offers(Tls::On));
                self.talk(Dialogue::new(stream, session, desk, banner)).await?;
            }
            // Nobody configures this; a conversation in clear is not what this port promises.
            (Entry::Tls, None) => {}
            (Entry::Lmtp, _) => {
                // Nobody logs in here, and nobody speaks for others: what is taken is a report or nothing.
                let (auth, xclient) = (AuthOffer::No, XclientOffer::No);
                let (session, banner) = Session::open_lmtp(Offers { auth, xclient, ..self.offers(Tls::Absent) });
                let desk = Desk::for_reports(self.shared.clone(), self.client);
                self.talk(Dialogue::new(&mut stream, session, desk, banner)).await?;
            }
            (Entry::Clear(port), acceptor) => {
                let desk = desk.at_port(port);
                let tls = if acceptor.is_some() { Tls::Offered } else { Tls::Absent };
                let (session, banner) = Session::open(self.offers(tls));
                let end = self.talk(Dialogue::new(&mut stream, session, desk, banner)).await?;
                if let (End::Handshake(session), Some(acceptor)) = (end, acceptor) {
                    let stream = self.shake_hands(&acceptor, stream).await?;
                    // A desk of its own: who logged in before is forgotten with all else (RFC 3207 §4.2).
                    let desk = Desk::new(self.shared.clone(), self.client).at_port(port);
                    self.talk(Dialogue::new(stream, session.tls_started(), desk, Vec::new())).await?;
                }
            }
        }
        Ok(())
    }

    fn offers(&self, tls: Tls) -> Offers {
        let settings = &self.shared.settings;
        Offers {
            hostname: settings.hostname.clone(),
            octets_max: settings.octets_max,
            recipients_max: settings.recipients_max,
            mails_max: settings.mails_max,
            tls,
            auth: AuthOffer::OnlyTls,
            scram: settings.scram,
            xclient: match self.client.may_speak_for_others(settings) {
                true => XclientOffer::Yes,
                false => XclientOffer::No,
            },
            loopback: self.client.is_local(),
        }
    }

    async fn shake_hands(&self, acceptor: &TlsAcceptor, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let patience = HANDSHAKE.min(self.shared.settings.command_timeout);
        timeout(patience, acceptor.accept(stream)).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }

    /// Talks until the client or the session ends it, or the node stops between two messages.
    async fn talk<S: AsyncRead + AsyncWrite + Unpin>(&mut self, mut dialogue: Dialogue<S>) -> io::Result<End> {
        let mut buffer = vec![0; READ_OCTETS];
        let patience = self.shared.settings.command_timeout;
        loop {
            dialogue.flush(patience).await?;
            let until = dialogue.deadlines.until(dialogue.desk.standing());
            let read = tokio::select! {
                read = timeout_at(until, dialogue.stream.read(&mut buffer)) => read,
                () = crate::stopped(&mut self.closed), if dialogue.data.is_none() => {
                    return dialogue.say_goodbye("4.3.2", "The service is stopping", &self.shared).await;
                }
            };
            let count = match read {
                Ok(Ok(0)) => return Ok(End::Closed),
                Ok(count) => count?,
                Err(_) => return dialogue.say_goodbye("4.4.2", "Timeout waiting for you", &self.shared).await,
            };
            let mut bytes = &buffer[..count];
            while !bytes.is_empty() {
                let (used, after) = dialogue.take(bytes, &self.shared).await;
                bytes = &bytes[used..];
                match after {
                    After::Read => {}
                    After::Close => {
                        dialogue.flush(patience).await?;
                        return dialogue.stream.shutdown().await.map(|()| End::Closed);
                    }
                    After::Handshake => {
                        dialogue.flush(patience).await?;
                        let session = dialogue.session.take();
                        return Ok(session.map_or(End::Closed, |session| End::Handshake(Box::new(session))));
                    }
                }
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Dialogue<S> {
    fn new(stream: S, session: Session, desk: Desk, banner: Vec<u8>) -> Self {
        let deadlines = Deadlines::new(desk.patience(), Instant::now());
        Self {
            stream,
            session: Some(session),
            desk,
            lines: LineBuffer::new(),
            data: None,
            share: Share::default(),
            out: banner,
            deadlines,
        }
    }

    /// Consumes some octets: a line, or a piece of a message. Answers with how many.
    async fn take(&mut self, bytes: &[u8], shared: &Shared) -> (usize, After) {
        let Some(mut reading) = self.data.take() else {
            let progress = self.lines.push(bytes);
            if progress.line.is_some() {
                self.deadlines.progressed(Instant::now());
            }
            let after = match progress.line {
                Some(Ok(line)) => self.step(|session| session.line(&line), shared).await,
                Some(Err(error)) => self.step(|session| session.bad_line(error), shared).await,
                None => After::Read,
            };
            return (progress.consumed, after);
        };
        let (progress, worth) = reading.push(bytes);
        let now = Instant::now();
        self.deadlines.received(progress.consumed, now);
        if worth {
            self.deadlines.progressed(now);
        }
        if progress.done {
            return (progress.consumed, self.step(|session| reading.end(session), shared).await);
        }
        if !self.share.grow(reading.held(), self.desk.standing(), &shared.memory) {
            let refusal = b"421 4.3.1 No memory for this message now, try again later\r\n";
            self.out.extend_from_slice(refusal);
            return (progress.consumed, After::Close);
        }
        self.data = Some(reading);
        (progress.consumed, After::Read)
    }

    /// One call of the session, and the answers to what it asks.
    async fn step(&mut self, call: impl FnOnce(Session) -> (Session, Step), shared: &Shared) -> After {
        let Some(session) = self.session.take() else { return After::Close };
        let (mut session, mut step) = call(session);
        while let Step::Ask(ask) = step {
            let answer = self.desk.answer(ask, &session).await;
            (session, step) = session.answer(answer);
        }
        let reads = matches!(step, Step::ReadData(_) | Step::ReadChunk(_));
        if !reads && session.held() == 0 {
            self.share.release();
            self.deadlines.message_ended();
        }
        self.session = Some(session);
        match step {
            Step::Reply(reply) => {
                self.out.extend_from_slice(&reply);
                After::Read
            }
            Step::ReadData(reply) => {
                self.read(Reading::data(shared.settings.octets_max, self.desk.standing()), &reply, shared)
            }
            Step::ReadChunk(reader) => self.read(Reading::chunk(reader, self.desk.standing()), b"", shared),
            Step::StartTls(reply) => {
                self.out.extend_from_slice(&reply);
                After::Handshake
            }
            Step::Close(reply) => {
                self.out.extend_from_slice(&reply);
                After::Close
            }
            Step::Ask(_) => After::Close, // Answered above.
        }
    }

    fn read(&mut self, reading: Reading, reply: &[u8], shared: &Shared) -> After {
        if !self.share.grow(reading.held(), self.desk.standing(), &shared.memory) {
            self.out.extend_from_slice(b"421 4.3.1 No memory for messages now, try again later\r\n");
            return After::Close;
        }
        self.out.extend_from_slice(reply);
        self.data = Some(reading);
        After::Read
    }

    /// Writes what is to be said. A client that does not read its answers is not waited for longer than one that does
    /// not speak.
    async fn flush(&mut self, patience: Duration) -> io::Result<()> {
        if self.out.is_empty() {
            return Ok(());
        }
        let out = std::mem::take(&mut self.out);
        let written = timeout(patience, async {
            self.stream.write_all(&out).await?;
            self.stream.flush().await
        });
        written.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }

    async fn say_goodbye(mut self, enhanced: &str, why: &str, shared: &Shared) -> io::Result<End> {
        self.out.extend_from_slice(format!("421 {enhanced} {} {why}\r\n", shared.settings.hostname).as_bytes());
        self.flush(GOODBYE).await?;
        self.stream.shutdown().await?;
        Ok(End::Closed)
    }
}

const READ_OCTETS: usize = 16 * 1024;
/// A handshake is some 10 kB and two round trips; who takes longer holds a seat for nothing.
const HANDSHAKE: Duration = Duration::from_secs(60);
const GOODBYE: Duration = Duration::from_secs(5);
