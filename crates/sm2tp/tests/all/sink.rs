//! A recipient's mail server on loopback that keeps what it gets, and answers as its test wants.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::wait::wait_for;

/// A message as it was taken.
#[derive(Debug, Clone)]
pub struct Mail {
    /// Without angle brackets; empty for the null path.
    pub from: String,
    pub to: Vec<String>,
    /// With CRLF, without the dots of SMTP.
    pub content: Vec<u8>,
    /// MAIL and RCPT as they were said.
    pub commands: Vec<String>,
    /// DATA or BDAT.
    pub said_at_the_end: &'static str,
    /// Which connection of this sink it came on, from 0.
    pub connection: usize,
}

/// The server; it ends with the test process.
#[derive(Clone)]
pub struct Sink {
    pub address: SocketAddr,
    mails: Arc<Mutex<Vec<Mail>>>,
    asked: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
}

/// What the server says to a recipient; none: it takes it.
type Opinion = dyn Fn(&str) -> Option<String> + Send + Sync;
/// What it says to a whole message; none: it takes it.
type Judge = dyn Fn(&Mail) -> Option<String> + Send + Sync;

impl Sink {
    /// Takes everything.
    pub fn start() -> Self {
        Self::with(|_| None)
    }

    /// Asks `opinion` about each recipient.
    pub fn with(opinion: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self::offering(OFFERS, opinion)
    }

    /// Offers these after PIPELINING.
    pub fn offering(
        offers: &'static [&'static str],
        opinion: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        Self::serving(offers, opinion, |_| None)
    }

    /// Takes every recipient, and asks `judge` about each message when it has it.
    pub fn judging(judge: impl Fn(&Mail) -> Option<String> + Send + Sync + 'static) -> Self {
        Self::serving(OFFERS, |_| None, judge)
    }

    fn serving(
        offers: &'static [&'static str],
        opinion: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
        judge: impl Fn(&Mail) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let sink = Self { address, mails: Arc::default(), asked: Arc::default(), open: Arc::default() };
        let (mails, asked, open) = (sink.mails.clone(), sink.asked.clone(), sink.open.clone());
        let opinion: Arc<Opinion> = Arc::new(move |to| {
            asked.fetch_add(1, Ordering::Relaxed);
            opinion(to)
        });
        let judge: Arc<Judge> = Arc::new(judge);
        thread::spawn(move || {
            for (connection, stream) in listener.incoming().flatten().enumerate() {
                let (mails, opinion, judge, open) = (mails.clone(), opinion.clone(), judge.clone(), open.clone());
                open.fetch_add(1, Ordering::Relaxed);
                thread::spawn(move || {
                    // A client that breaks off is that client's trouble.
                    let service = Service { mails: &mails, opinion: &*opinion, judge: &*judge, offers, connection };
                    drop(serve(&stream, &service));
                    open.fetch_sub(1, Ordering::Relaxed);
                });
            }
        });
        sink
    }

    /// Serves one connection that came in elsewhere, taking everything.
    pub fn talk(&self, stream: &TcpStream) {
        // A client that breaks off is that client's trouble.
        drop(serve(stream, &self.plain()));
    }

    /// As [`Sink::talk`], after the banner.
    pub fn go_on(&self, stream: &TcpStream) {
        drop(converse(stream, &self.plain()));
    }

    fn plain(&self) -> Service<'_> {
        Service { mails: &self.mails, opinion: &|_| None, judge: &|_| None, offers: OFFERS, connection: 0 }
    }

    /// How many recipients were named to it.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// How many connections it has.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// All that was taken so far.
    pub fn mails(&self) -> Vec<Mail> {
        self.mails.lock().unwrap().clone()
    }

    /// Waits for a mail to this recipient.
    #[track_caller]
    pub fn mail_to(&self, recipient: &str) -> Mail {
        wait_for(&format!("a mail for {recipient}"), Duration::from_secs(20), || {
            self.mails().into_iter().find(|mail| mail.to.iter().any(|to| to == recipient))
        })
    }

    /// Forgets what was taken, and answers with it.
    pub fn take(&self) -> Vec<Mail> {
        std::mem::take(&mut *self.mails.lock().unwrap())
    }
}

impl Mail {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.content).into_owned()
    }

    /// `sender recipient…`; `<>` for the null path.
    pub fn envelope(&self) -> String {
        let from = if self.from.is_empty() { "<>" } else { &self.from };
        [&[from.to_owned()][..], &self.to].concat().join(" ")
    }
}

/// What one connection is served with.
struct Service<'a> {
    mails: &'a Mutex<Vec<Mail>>,
    opinion: &'a Opinion,
    judge: &'a Judge,
    offers: &'a [&'a str],
    connection: usize,
}

fn serve(mut stream: &TcpStream, service: &Service<'_>) -> io::Result<()> {
    stream.write_all(b"220 sink.example ESMTP\r\n")?;
    converse(stream, service)
}

fn converse(stream: &TcpStream, service: &Service<'_>) -> io::Result<()> {
    let Service { mails, opinion, judge, offers, connection } = *service;
    stream.set_nodelay(true)?;
    let (mut reader, mut writer) = (BufReader::new(stream), stream);
    let mut mail = None;
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let command = String::from_utf8_lossy(&line).trim_end().to_owned();
        let verb = command.get(..4).unwrap_or(&command).to_ascii_uppercase();
        let reply = match (verb.as_str(), &mut mail) {
            ("EHLO", _) => {
                let offers: String = offers.iter().map(|offer| format!("250-{offer}\r\n")).collect();
                format!("250-sink.example\r\n{offers}250 PIPELINING")
            }
            ("MAIL", _) => {
                let (from, commands) = (path(&command), vec![command]);
                let (to, content) = (Vec::new(), Vec::new());
                mail = Some(Mail { from, to, content, commands, said_at_the_end: "DATA", connection });
                "250 2.1.0 Ok".to_owned()
            }
            ("RCPT", Some(mail)) => opinion(&path(&command)).unwrap_or_else(|| {
                mail.to.push(path(&command));
                mail.commands.push(command.clone());
                "250 2.1.5 Ok".to_owned()
            }),
            ("BDAT", _) if !offers.contains(&"CHUNKING") => "502 5.5.2 what".to_owned(),
            ("DATA" | "BDAT", Some(open)) if !open.to.is_empty() => {
                if verb == "DATA" {
                    writer.write_all(b"354 go on\r\n")?;
                    open.content = content(&mut reader)?;
                } else {
                    open.said_at_the_end = "BDAT";
                    open.content = chunk(&mut reader, &command)?;
                }
                let refused = judge(open);
                // Kept before it is answered: a sender that dies in between sends it again.
                mails.lock().unwrap().extend(mail.take().filter(|_| refused.is_none()));
                refused.unwrap_or_else(|| "250 2.0.0 Ok, kept".to_owned())
            }
            ("BDAT", _) => {
                drop(chunk(&mut reader, &command)?);
                "503 5.5.1 No valid recipients".to_owned()
            }
            ("DATA", _) => "554 5.5.1 No valid recipients".to_owned(),
            ("RSET", _) => {
                mail = None;
                "250 2.0.0 Ok".to_owned()
            }
            ("QUIT", _) => return writer.write_all(b"221 2.0.0 Bye\r\n"),
            _ => "250 2.0.0 Ok".to_owned(),
        };
        writer.write_all(format!("{reply}\r\n").as_bytes())?;
    }
}

fn content(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    loop {
        let begin = content.len();
        if reader.read_until(b'\n', &mut content)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if content[begin..] == *b".\r\n" {
            content.truncate(begin);
            return Ok(content);
        }
        if content[begin] == b'.' {
            content.remove(begin);
        }
    }
}

/// The one chunk of a message.
fn chunk(reader: &mut impl BufRead, command: &str) -> io::Result<Vec<u8>> {
    let octets = command.strip_suffix(" LAST").and_then(|start| start.get(5..)?.parse().ok());
    let mut chunk = vec![0; octets.ok_or(io::ErrorKind::InvalidData)?];
    reader.read_exact(&mut chunk)?;
    Ok(chunk)
}

const OFFERS: &[&str] = &["SMTPUTF8", "8BITMIME"];

/// What stands between the outer angle brackets.
fn path(command: &str) -> String {
    let rest = command.split_once('<').map_or("", |(_, rest)| rest);
    let path = rest.strip_suffix('>').or_else(|| rest.rsplit_once("> ").map(|(path, _)| path));
    path.unwrap_or_default().to_owned()
}
