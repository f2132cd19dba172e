//! The senders: SMTP clients that behave as a mail server does, and remember for what they got a 250.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::client::{Client, Trouble};
use super::report::DEMO_ID;

/// A login of one node.
#[derive(Debug, Clone)]
pub struct Login {
    pub submission: SocketAddr,
    pub name: &'static str,
    pub password: String,
    pub address: String,
}

/// A mail to be sent.
#[derive(Debug, Clone)]
pub struct Letter {
    pub id: String,
    pub to: Vec<String>,
    pub subject: String,
    pub tries: u32,
}

/// What the senders were told.
#[derive(Debug, Default)]
pub struct Tally {
    /// (mark, recipient) with a 250 for the whole mail.
    pub accepted: Vec<(String, String)>,
    /// (recipient, reply) that the node would not take.
    pub refused: Vec<(String, String)>,
    /// Mails sent again because the connection broke before the 250.
    pub resent: u64,
    /// Recipients for whom no node took the mail in time.
    pub given_up: u64,
}

/// The tally of all senders together.
#[derive(Debug, Clone, Default)]
pub struct SharedTally(Arc<Mutex<Tally>>);

impl SharedTally {
    pub fn read(&self) -> MutexGuard<'_, Tally> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Letter {
    /// The mail as it goes over the wire, without dot-stuffing.
    fn content(&self, from: &str) -> Vec<u8> {
        let to = if self.to.len() == 1 { self.to[0].as_str() } else { "undisclosed-recipients:;" };
        let mut text = format!(
            "From: <{from}>\r\nTo: {to}\r\nSubject: {}\r\nDate: Mon, 02 Nov 2026 09:00:00 +0100\r\n\
             Message-ID: <demo.{}@{}>\r\n{DEMO_ID}: {}\r\nMIME-Version: 1.0\r\n\
             Content-Type: text/plain; charset=utf-8\r\n\r\n",
            self.subject,
            self.id,
            from.split('@').nth(1).unwrap_or("demo.test"),
            self.id
        );
        // About what a short letter has; the first line tries the dots.
        text.push_str(".. Bonjour,\r\n.\r\n");
        for line in 0..12 + self.id.len() % 5 {
            text.push_str(&format!("{line}: le marché, la chorale et l'assemblée générale ont lieu comme prévu.\r\n"));
        }
        text.into_bytes()
    }
}

struct Work {
    letters: Mutex<VecDeque<(Instant, Letter)>>,
    login: Login,
    tally: SharedTally,
    deadline: Instant,
}

/// Sends all letters over some connections; ends when each has been answered, or at the deadline.
pub async fn send(login: &Login, letters: Vec<Letter>, tally: &SharedTally, deadline: Instant) {
    let now = Instant::now();
    let letters = Mutex::new(letters.into_iter().map(|letter| (now, letter)).collect());
    let work = Arc::new(Work { letters, login: login.clone(), tally: tally.clone(), deadline });
    let mut sessions = JoinSet::new();
    for _ in 0..SESSIONS {
        sessions.spawn(work.clone().session());
    }
    sessions.join_all().await;
    let left = std::mem::take(&mut *work.letters());
    tally.read().given_up += left.iter().map(|(_, letter)| letter.to.len() as u64).sum::<u64>();
}

impl Work {
    fn letters(&self) -> MutexGuard<'_, VecDeque<(Instant, Letter)>> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One connection after the other, until nothing is left to do.
    async fn session(self: Arc<Self>) {
        let mut client = None;
        while Instant::now() < self.deadline {
            let Some((at, letter)) = self.letters().pop_front() else { break };
            sleep_until(at.min(self.deadline)).await;
            client = match self.attempt(client.take(), &letter).await {
                Ok(client) => Some(client),
                Err(trouble) => {
                    self.tally.read().resent += u64::from(trouble == Trouble::Broken);
                    self.again(letter);
                    sleep(RECONNECT).await;
                    None
                }
            };
        }
        if let Some(client) = client {
            client.quit().await;
        }
    }

    async fn attempt(&self, client: Option<Client>, letter: &Letter) -> Result<Client, Trouble> {
        let login = &self.login;
        let mut client = match client {
            Some(client) => client,
            None => Client::open(login.submission, login.name, &login.password).await?,
        };
        let answers = client.send(&login.address, &letter.to, &letter.content(&login.address)).await?;
        let mut tally = self.tally.read();
        let mut later = Vec::new();
        for (recipient, reply) in letter.to.iter().zip(answers) {
            if reply.is_positive() {
                tally.accepted.push((letter.id.clone(), recipient.clone()));
            } else if reply.is_transient() {
                later.push(recipient.clone());
            } else {
                tally.refused.push((recipient.clone(), reply.to_string()));
            }
        }
        drop(tally);
        if !later.is_empty() {
            self.again(Letter { to: later, ..letter.clone() });
        }
        Ok(client)
    }

    fn again(&self, letter: Letter) {
        let wait = LATER * (letter.tries + 1).min(10);
        self.letters().push_back((Instant::now() + wait, Letter { tries: letter.tries + 1, ..letter }));
    }
}

/// Connections of one sender at a time.
const SESSIONS: usize = 8;
const RECONNECT: Duration = Duration::from_millis(100);
const LATER: Duration = Duration::from_millis(100);
