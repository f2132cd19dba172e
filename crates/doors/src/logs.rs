//! Follows the log of another mail server: each result in it becomes a happening of the ledger, as if the relay had told it.
//!
//! The log is the feed that survives our downtime: the mail server writes, and we catch up. How far a file was read is kept
//! with the events, in one transaction, so that no line counts twice.

mod file;
mod reading;
mod watching;

use std::path::PathBuf;
use std::time::Duration;

use sm2tp_proto::log::{Clock, Mails, Outcome};
use sm2tp_rules::Stream;
use sm2tp_rules::classify::Rulebook;
use sm2tp_store::LedgerError;
use sm2tp_store::ledger::SendLog;
use sm2tp_store::told::Told;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use self::file::{Following, Piece};
use self::reading::Reading;
use self::watching::Noted;
pub use self::watching::{Asked, Members};
use crate::{House, now};

/// A log.
#[derive(Debug, Clone)]
pub struct Log {
    pub writer: Writer,
    pub path: PathBuf,
    /// The host to which the mail server gives all mail, if it does: its yes is no proof that an address exists.
    pub smarthost: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    Postfix,
    Exim,
}

/// What all logs share.
#[derive(Clone)]
pub struct Settings {
    pub send_log: SendLog,
    /// Stream of logins that this node does not know.
    pub stream: Stream,
    pub members: Members,
    /// Seconds east of Greenwich of the machine, for times without a zone.
    pub offset_s: i64,
}

/// Follows one log until the node stops.
pub async fn follow(log: Log, house: House, rulebook: Rulebook, settings: Settings, mut stop: watch::Receiver<bool>) {
    let mut tick = interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut follower = Follower {
        following: Following::new(log.path.clone()),
        mails: Mails::new(MAILS_MAX),
        log,
        house,
        rulebook,
        settings,
    };
    let mut troubled = false;
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = crate::stopped(&mut stop) => return,
        }
        loop {
            let read = follower.piece().await;
            match read {
                Ok(More::Yes) if !*stop.borrow() => troubled = false,
                Ok(_) => {
                    troubled = false;
                    break;
                }
                Err(error) => {
                    if !std::mem::replace(&mut troubled, true) {
                        let path = follower.log.path.display();
                        tracing::error!(%path, %error, "a log cannot be read; it is tried again");
                    }
                    break;
                }
            }
        }
    }
}

/// Whether there is more to read at once.
enum More {
    Yes,
    No,
}

#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

struct Follower {
    log: Log,
    house: House,
    rulebook: Rulebook,
    settings: Settings,
    following: Following,
    mails: Mails,
}

impl Follower {
    /// Reads the next lines and gives what they tell to the ledger.
    async fn piece(&mut self) -> Result<More, Trouble> {
        let ledger = self.house.ledger.clone();
        if let Some(source) = self.following.unplaced()? {
            let read = ledger.read_to(&source).await?;
            self.following.place(read);
        }
        let Some(Piece { octets, at, kept, source }) = self.following.read()? else { return Ok(More::No) };
        let clock = Clock { latest: now(), offset_s: self.settings.offset_s };
        let rules = self.rulebook.rules();
        let reading = Reading {
            log: &self.log,
            accounts: &self.house.accounts,
            rules: &rules,
            stream: self.settings.stream,
            returns: self.house.returns.as_ref(),
        };
        let mut batch: Vec<(u64, Told)> = Vec::new();
        let mut noted: Vec<Noted> = Vec::new();
        let mut end = at;
        for line in octets.split_inclusive(|octet| *octet == b'\n') {
            end += line.len() as u64;
            let line = String::from_utf8_lossy(line);
            let each = |outcome: Outcome<'_>| {
                let Some(told) = reading.told(&outcome) else { return };
                // What the ledger has was counted with its sender, too.
                noted.extend(self.settings.members.noted(&outcome, &told).filter(|_| kept < end));
                batch.push((end, told));
            };
            match self.log.writer {
                Writer::Postfix => self.mails.postfix(line.trim_end(), &clock, each),
                Writer::Exim => self.mails.exim(line.trim_end(), &clock, each),
            }
        }
        if !batch.is_empty() {
            let (book, publisher) = (self.house.book.clone(), self.house.federation.publisher.clone());
            let key = book.current_key();
            let tagger = move |address: &sm2tp_proto::Address| book.tag(address);
            let absorbed =
                ledger.absorb(&source, batch, self.settings.send_log, tagger, move |sql, told, event| match &key {
                    Some(key) => publisher.enqueue(sql, told, event, key),
                    None => Ok(()),
                });
            absorbed.await?;
        }
        let (now, senders) = (now(), &self.house.senders);
        noted.into_iter().for_each(|noted| noted.count(senders, now));
        self.following.taken(end);
        Ok(More::Yes)
    }
}

/// How soon a bounce in the log is known to every door.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Mails under way at a time, some 300 octets each.
const MAILS_MAX: usize = 200_000;
