//! One connection to a recipient server: real SMTP over TCP, with the manners and words of its provider.

use std::time::Duration;

use sm2tp_proto::smtp::Refusal;
use sm2tp_proto::smtp::data::DataReader;
use sm2tp_proto::smtp::line::LineBuffer;
use sm2tp_proto::smtp::server::{
    Answer, Ask, AuthOffer, Envelope, Offers, ScramOffer, Session, Step, Tls, XclientOffer,
};
use sm2tp_proto::{Address, Enhanced, Reply};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::internet::{Host, World};
use super::people::Mailbox;
use super::providers::{self, GREYLISTED, Manner};
use super::report;

/// A connection between two reads.
struct Open<'a> {
    session: Session,
    lines: LineBuffer,
    data: Option<DataReader>,
    closed: bool,
    out: Vec<u8>,
    host: Host,
    world: &'a World,
}

/// Serves one client until it leaves.
///
/// # Errors
/// Those of the socket, and silence.
pub async fn converse(mut stream: TcpStream, host: Host, world: &World) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let offers = Offers {
        hostname: host.name.to_owned(),
        octets_max: OCTETS_MAX,
        recipients_max: 100,
        mails_max: None,
        tls: Tls::Absent,
        auth: AuthOffer::No,
        scram: ScramOffer::No,
        xclient: XclientOffer::No,
        loopback: false,
    };
    let (session, out) = Session::open(offers);
    let mut open = Open { session, lines: LineBuffer::new(), data: None, closed: false, out, host, world };
    let mut buffer = vec![0; 16 * 1024];
    loop {
        stream.write_all(&std::mem::take(&mut open.out)).await?;
        if open.closed {
            return stream.shutdown().await;
        }
        let count = timeout(SILENCE_MAX, stream.read(&mut buffer)).await??;
        if count == 0 {
            return Ok(());
        }
        open = open.read(&buffer[..count]).await;
    }
}

impl Open<'_> {
    async fn read(mut self, mut bytes: &[u8]) -> Self {
        while !bytes.is_empty() && !self.closed {
            let consumed;
            (self, consumed) = match self.data.take() {
                Some(reader) => self.read_data(reader, bytes).await,
                None => self.read_line(bytes).await,
            };
            bytes = &bytes[consumed..];
        }
        self
    }

    async fn read_line(mut self, bytes: &[u8]) -> (Self, usize) {
        let progress = self.lines.push(bytes);
        let Some(line) = progress.line else { return (self, progress.consumed) };
        let step = |session: Session| match line {
            Ok(line) => session.line(&line),
            Err(error) => session.bad_line(error),
        };
        (self.step(step).await, progress.consumed)
    }

    async fn read_data(mut self, mut reader: DataReader, bytes: &[u8]) -> (Self, usize) {
        let progress = reader.push(bytes);
        if progress.done {
            return (self.step(|session| session.data(reader.into_message())).await, progress.consumed);
        }
        self.data = Some(reader);
        (self, progress.consumed)
    }

    async fn step(mut self, call: impl FnOnce(Session) -> (Session, Step)) -> Self {
        let (mut session, mut step) = call(self.session);
        let mut words = None;
        while let Step::Ask(ask) = step {
            words = self.host.refusal(&ask, self.world).await;
            (session, step) = session.answer(words.as_deref().map_or(Answer::Yes, refused));
        }
        self.session = session;
        if matches!(step, Step::ReadData(_)) {
            self.data = Some(DataReader::new(OCTETS_MAX));
        }
        // The relay never sends chunks; whoever does so here is not answered.
        self.closed = matches!(step, Step::Close(_) | Step::ReadChunk(_));
        let (Step::Reply(reply) | Step::ReadData(reply) | Step::Close(reply) | Step::StartTls(reply)) = step else {
            return self;
        };
        // The session knows what a refusal means, but not the words of this provider, to the letter.
        self.out.extend(words.map_or(reply, |words| format!("{words}\r\n").into_bytes()));
        self
    }
}

impl Host {
    /// What the server says against it; none: it says yes, and has it.
    async fn refusal(&self, ask: &Ask, world: &World) -> Option<String> {
        match ask {
            Ask::Login { .. }
            | Ask::ScramKeys { .. }
            | Ask::Proved { .. }
            | Ask::Disproved { .. }
            | Ask::Front { .. } => Some("502 5.5.1 no logins here".to_owned()),
            Ask::Sender { .. } => None,
            Ask::Recipient { path, .. } => self.recipient(path, world),
            Ask::Message { envelope, content } => self.message(envelope, content, world).await,
        }
    }

    fn recipient(&self, path: &Address, world: &World) -> Option<String> {
        let (recipient, provider) = (path.clear(), providers::of(path.domain().as_str()));
        let Some(provider) = provider.filter(|provider| provider.hosts.contains(&self.name)) else {
            return Some(format!("554 5.7.1 <{recipient}>: Relay access denied"));
        };
        match world.directory.mailbox(&recipient) {
            // A greylist stands before the look into the directory, which costs more.
            _ if self.manner == Manner::Greylisting && world.greylists(&recipient) => Some(GREYLISTED.to(&recipient)),
            None => Some(provider.unknown.to(&recipient)),
            Some(Mailbox::Full) => Some(provider.overquota.to(&recipient)),
            Some(Mailbox::Open) => None,
        }
    }

    async fn message(&self, envelope: &Envelope, content: &[u8], world: &World) -> Option<String> {
        let content = String::from_utf8_lossy(content);
        let first = envelope.recipients.first()?;
        if report::subject(&content).is_some_and(|subject| subject.contains(SPAM_SUBJECT)) {
            return Some(providers::of(first.domain().as_str())?.spam.to(&first.clear()));
        }
        if self.manner == Manner::Slow {
            // Not the same for every message, and the same in every run.
            let more = u64::try_from(content.len()).unwrap_or(0) % 7 * 50;
            sleep(SLOW + Duration::from_millis(more)).await;
        }
        let mut received = world.received();
        if self.manner == Manner::Home && envelope.sender.is_none() {
            received.reports += 1;
            received.reported.extend(report::failed(&content));
        } else if let Some(id) = report::demo_id(&content) {
            for recipient in &envelope.recipients {
                *received.copies.entry((id.to_owned(), recipient.clear())).or_default() += 1;
            }
        }
        None
    }
}

/// A refusal with the code of the words; the words themselves go over the wire as they are.
fn refused(words: &str) -> Answer {
    let (code, enhanced) = Reply::parse(words).map_or((451, None), |reply| (reply.code, reply.enhanced));
    Answer::No(Refusal::new(code, enhanced.unwrap_or(Enhanced(5, 0, 0)), words))
}

/// Filters everywhere refuse mails with this in their subject.
pub const SPAM_SUBJECT: &str = "GAGNEZ UN BON D'ACHAT";
const OCTETS_MAX: u64 = 25 * 1024 * 1024;
const SILENCE_MAX: Duration = Duration::from_secs(120);
const SLOW: Duration = Duration::from_millis(200);
