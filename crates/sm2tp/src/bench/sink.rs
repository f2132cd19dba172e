//! The sink: takes every mail and counts it, as cheaply as it can.

use std::collections::HashSet;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the sink offers beside PIPELINING, as servers of recipients do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Offer {
    /// DATA and no more.
    Data,
    /// CHUNKING too (RFC 3030): Postfix since 3.4, Exim, Google, Microsoft.
    Chunking,
}

/// What has arrived.
pub(super) struct Sink {
    offer: Offer,
    received: AtomicUsize,
    seen: Mutex<HashSet<u64>>,
    duplicates: AtomicUsize,
}

impl Sink {
    pub(super) fn new(mails: usize, offer: Offer) -> Self {
        let seen = Mutex::new(HashSet::with_capacity(mails));
        Self { offer, received: AtomicUsize::new(0), seen, duplicates: AtomicUsize::new(0) }
    }

    /// Different mails that have arrived.
    pub(super) fn received(&self) -> usize {
        self.received.load(Ordering::Relaxed)
    }

    pub(super) fn duplicates(&self) -> usize {
        self.duplicates.load(Ordering::Relaxed)
    }

    pub(super) async fn serve(self: Arc<Self>, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            let sink = self.clone();
            // A relay may hang up at any time; what it wants delivered it brings again.
            tokio::spawn(async move { drop(sink.talk(stream).await) });
        }
    }

    async fn talk(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        stream.write_all(b"220 sink ESMTP\r\n").await?;
        let mut read = Vec::with_capacity(64 * 1024);
        let mut comes = Comes::Command;
        let mut out = Vec::new();
        // Up to there no end was found.
        let mut searched = 0;
        loop {
            if stream.read_buf(&mut read).await? == 0 {
                return Ok(());
            }
            let mut used = 0;
            while let Some(end) = comes.end(&read[used..], searched) {
                searched = 0;
                let piece = &read[used..used + end];
                used += end;
                if comes == Comes::Command {
                    let Some(next) = self.answer(piece, &mut out) else {
                        return stream.write_all(b"221 bye\r\n").await;
                    };
                    comes = next;
                } else {
                    self.take(piece);
                    comes = Comes::Command;
                    out.extend_from_slice(b"250 2.0.0 taken\r\n");
                }
            }
            read.drain(..used);
            searched = read.len();
            stream.write_all(&out).await?;
            out.clear();
        }
    }

    /// Answers a command, and says what comes after it; none: it was QUIT.
    fn answer(&self, line: &[u8], out: &mut Vec<u8>) -> Option<Comes> {
        let verb = line.get(..4).map(<[u8]>::to_ascii_uppercase).unwrap_or_default();
        match &verb[..] {
            b"EHLO" => {
                out.extend_from_slice(b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n");
                if self.offer == Offer::Chunking {
                    out.extend_from_slice(b"250-CHUNKING\r\n");
                }
                out.extend_from_slice(b"250 SIZE 0\r\n");
            }
            b"DATA" => {
                out.extend_from_slice(b"354 go on\r\n");
                return Some(Comes::Data);
            }
            b"BDAT" => return Some(Comes::Chunk { octets: octets_of(line) }),
            b"QUIT" => return None,
            _ => out.extend_from_slice(b"250 2.0.0 ok\r\n"),
        }
        Some(Comes::Command)
    }

    fn take(&self, mail: &[u8]) {
        let number = mark(mail);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = number.is_none_or(|number| seen.insert(number));
        drop(seen);
        let counter = if fresh { &self.received } else { &self.duplicates };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// What the client sends next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Comes {
    Command,
    Data,
    /// The only one of its mail.
    Chunk {
        octets: usize,
    },
}

impl Comes {
    /// Where it ends, if it is all there; not in the first `searched` octets.
    fn end(self, bytes: &[u8], searched: usize) -> Option<usize> {
        match self {
            Self::Command => end_of_line(bytes),
            Self::Data => end_of_data(bytes, searched),
            Self::Chunk { octets } => (octets <= bytes.len()).then_some(octets),
        }
    }
}

/// Of `BDAT 1000 LAST`.
fn octets_of(line: &[u8]) -> usize {
    let words = std::str::from_utf8(line).unwrap_or_default();
    words.split_ascii_whitespace().nth(1).and_then(|octets| octets.parse().ok()).unwrap_or_default()
}

fn end_of_line(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| *byte == b'\n').map(|at| at + 1)
}

/// Only a line with a dot alone ends a mail. It is not in the first `searched` octets.
fn end_of_data(bytes: &[u8], searched: usize) -> Option<usize> {
    let end = b"\r\n.\r\n";
    let from = searched.saturating_sub(end.len());
    memchr::memmem::find(&bytes[from..], end).map(|at| from + at + end.len())
}

/// The number that the load generator put into the header.
fn mark(mail: &[u8]) -> Option<u64> {
    let name = b"\nX-Bench: ";
    let head = &mail[..mail.len().min(4096)];
    let at = memchr::memmem::find(head, name)? + name.len();
    let digits: String =
        head[at..].iter().take_while(|byte| byte.is_ascii_digit()).map(|byte| char::from(*byte)).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_is_counted_once_and_its_copies_apart() {
        let sink = Sink::new(2, Offer::Data);
        for number in [1, 2, 1] {
            sink.take(format!("Received: x\r\nX-Bench: {number}\r\n\r\nhello\r\n.\r\n").as_bytes());
        }
        assert_eq!((sink.received(), sink.duplicates()), (2, 1));
    }

    #[test]
    fn the_end_is_found_wherever_it_lies() {
        assert_eq!(end_of_data(b"a\r\n.\r\n", 0), Some(6));
        assert_eq!(end_of_data(b"a\r\n.\r\nMAIL", 0), Some(6));
        assert_eq!(end_of_data(b"a\r\n.", 0), None);
        assert_eq!(end_of_data(b"a\r\n.\r\n", 4), Some(6));
    }
}
