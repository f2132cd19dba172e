//! The load generator: sessions that send one mail after the other, as fast as each is answered 250.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// What is sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    pub sessions: usize,
    pub mails: usize,
    /// Of each mail.
    pub octets: usize,
    pub client: Client,
}

/// How a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Client {
    /// One command, one answer: web sites and mailing programs.
    Lockstep,
    /// MAIL, RCPT and DATA at once (RFC 2920): mail servers.
    Pipelining,
}

/// Sends mails over connections; done when the last is answered 250.
///
/// # Errors
/// Where a connection fails, or a mail is refused: a benchmark that loses mail measures nothing.
pub(super) async fn send(to: SocketAddr, load: Load) -> io::Result<()> {
    let next = Arc::new(AtomicUsize::new(0));
    let text = Arc::new(text(load.octets));
    let opening = Arc::new(Semaphore::new(OPENING_MAX));
    let mut running = JoinSet::new();
    for _ in 0..load.sessions.clamp(1, load.mails.max(1)) {
        running.spawn(session(to, opening.clone(), next.clone(), load, text.clone()));
    }
    while let Some(ended) = running.join_next().await {
        ended.map_err(io::Error::other)??;
    }
    Ok(())
}

async fn session(
    to: SocketAddr,
    opening: Arc<Semaphore>,
    next: Arc<AtomicUsize>,
    load: Load,
    text: Arc<String>,
) -> io::Result<()> {
    let permit = opening.acquire().await.map_err(io::Error::other)?;
    let stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    expect(&mut stream, '2').await?;
    drop(permit);
    stream.write_all(b"EHLO bench.example\r\n").await?;
    expect(&mut stream, '2').await?;
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if load.mails <= number {
            stream.write_all(b"QUIT\r\n").await?;
            return Ok(());
        }
        let commands =
            ["MAIL FROM:<news@bench.example>\r\n", &format!("RCPT TO:<r{number}@bench.test>\r\n"), "DATA\r\n"];
        if load.client == Client::Pipelining {
            stream.write_all(commands.concat().as_bytes()).await?;
        }
        for (command, want) in commands.iter().zip(['2', '2', '3']) {
            if load.client == Client::Lockstep {
                stream.write_all(command.as_bytes()).await?;
            }
            expect(&mut stream, want).await?;
        }
        let mut mail = format!("Message-ID: <{number}@bench.example>\r\nX-Bench: {number}\r\n");
        mail.push_str(&text);
        stream.write_all(mail.as_bytes()).await?;
        expect(&mut stream, '2').await?;
    }
}

/// Reads one reply; its first digit must be the wanted one.
pub(super) async fn expect(stream: &mut BufReader<TcpStream>, want: char) -> io::Result<()> {
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if line.as_bytes().get(3) != Some(&b'-') {
            break;
        }
    }
    if line.starts_with(want) { Ok(()) } else { Err(io::Error::other(format!("it said {}", line.trim_end()))) }
}

/// Header and body up to about so many octets, with the final dot.
fn text(octets: usize) -> String {
    let mut text =
        "Date: Sun, 22 Nov 2026 03:00:00 +0000\r\nFrom: news@bench.example\r\nSubject: bench\r\n\r\n".to_owned();
    let line = "The quick brown fox jumps over the lazy dog, and does so again on the next line.\r\n";
    while text.len() + line.len() <= octets {
        text.push_str(line);
    }
    text.push_str(".\r\n");
    text
}

/// Connections that wait for their greeting at the same time. A relay may keep as few as five unaccepted connections
/// (OpenSMTPD listens with a backlog of 5); the kernel forgets a connection above that without telling the client, which
/// then waits in vain.
const OPENING_MAX: usize = 4;
