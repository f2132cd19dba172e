//! One SMTP connection of a sender: with a login, one mail after the other, every answer awaited.

use std::net::SocketAddr;
use std::time::Duration;

use sm2tp_proto::reply::{Reply, ReplyReader};
use sm2tp_proto::smtp::dot_stuff;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;
use tokio::time::timeout;

pub struct Client(BufStream<TcpStream>);

/// Why a connection is of no more use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// There was none, or it broke before any mail.
    NoConnection,
    /// It broke inside a mail: nobody knows whether it was taken.
    Broken,
}

impl Client {
    /// Connects and logs in.
    ///
    /// # Errors
    /// [`Trouble::NoConnection`], whatever the reason: a sender tries again.
    pub async fn open(submission: SocketAddr, login: &str, password: &str) -> Result<Self, Trouble> {
        let opened = async {
            let stream = timeout(ANSWER_MAX, TcpStream::connect(submission)).await.ok()?.ok()?;
            stream.set_nodelay(true).ok()?;
            let mut client = Self(BufStream::new(stream));
            let plain = base64(format!("\0{login}\0{password}").as_bytes());
            let ready = client.answer().await.ok()?.code == 220
                && client.ask("EHLO mail.asso.example").await.ok()?.is_positive()
                && client.ask(&format!("AUTH PLAIN {plain}")).await.ok()?.code == 235;
            ready.then_some(client)
        };
        opened.await.ok_or(Trouble::NoConnection)
    }

    /// Sends one mail; the answer for each recipient, in order.
    ///
    /// # Errors
    /// [`Trouble::Broken`]: the whole mail is to be sent again.
    pub async fn send(&mut self, from: &str, to: &[String], content: &[u8]) -> Result<Vec<Reply>, Trouble> {
        let mail = self.ask(&format!("MAIL FROM:<{from}> SIZE={} BODY=8BITMIME", content.len())).await?;
        if !mail.is_positive() {
            return Ok(vec![mail; to.len()]);
        }
        let mut answers = Vec::with_capacity(to.len());
        for recipient in to {
            answers.push(self.ask(&format!("RCPT TO:<{recipient}>")).await?);
        }
        if !answers.iter().any(Reply::is_positive) {
            self.ask("RSET").await?;
            return Ok(answers);
        }
        let mut end = self.ask("DATA").await?;
        if end.code == 354 {
            let mut stuffed = Vec::new();
            dot_stuff(content, &mut stuffed);
            self.write(&stuffed).await?;
            end = self.answer().await?;
        }
        for answer in answers.iter_mut().filter(|answer| answer.is_positive()) {
            *answer = end.clone();
        }
        Ok(answers)
    }

    pub async fn quit(mut self) {
        // A server that does not say goodbye has still taken the mail.
        let _ = self.ask("QUIT").await;
    }

    async fn ask(&mut self, command: &str) -> Result<Reply, Trouble> {
        self.write(format!("{command}\r\n").as_bytes()).await?;
        let reply = self.answer().await?;
        if reply.code == 421 { Err(Trouble::Broken) } else { Ok(reply) }
    }

    async fn write(&mut self, octets: &[u8]) -> Result<(), Trouble> {
        let written = async {
            self.0.write_all(octets).await?;
            self.0.flush().await
        };
        timeout(ANSWER_MAX, written).await.ok().and_then(Result::ok).ok_or(Trouble::Broken)
    }

    async fn answer(&mut self) -> Result<Reply, Trouble> {
        let mut reader = ReplyReader::default();
        loop {
            let mut line = Vec::new();
            let mut bounded = (&mut self.0).take(LINE_OCTETS_MAX);
            let read = timeout(ANSWER_MAX, bounded.read_until(b'\n', &mut line)).await;
            if !read.is_ok_and(|read| read.is_ok()) || !line.ends_with(b"\r\n") {
                return Err(Trouble::Broken);
            }
            if let Some(reply) = reader.line(&line[..line.len() - 2]).map_err(|_| Trouble::Broken)? {
                return Ok(reply);
            }
        }
    }
}

/// RFC 4648 §4.
fn base64(octets: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in octets.chunks(3) {
        let bits = three.iter().fold(0u32, |bits, octet| bits << 8 | u32::from(*octet)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= three.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

/// Longer than any answer of a node that works; a node that is killed breaks the connection at once.
const ANSWER_MAX: Duration = Duration::from_secs(30);
const LINE_OCTETS_MAX: u64 = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (octets, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")] {
            assert_eq!(base64(octets.as_bytes()), text);
        }
    }
}
