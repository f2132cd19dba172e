//! Follows the log of another mail server: each result in it becomes a happening of the ledger, as if the relay had told it.
//!
//! The log is the feed that survives our downtime: the mail server writes, and we catch up. How far a file was read is kept
//! with the events, in one transaction, so that no line counts twice.

mod file;
pub(crate) mod journal;
mod old;
mod reading;
mod wake;
mod watching;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use sm2tp_proto::log::Writer;
use sm2tp_proto::log::{Clock, Mails, Outcome};
use sm2tp_rules::Stream;
use sm2tp_rules::classify::{Classifier, Rulebook};
use sm2tp_store::LedgerError;
use sm2tp_store::ledger::SendLog;
use sm2tp_store::told::Told;
use tokio::sync::watch;
use tokio::time::sleep;

pub use self::file::source;
use self::file::{Following, Piece};
use self::journal::{Entry, Journal};
pub use self::old::{OldCounts, OldLines};
pub(crate) use self::reading::Reading;
use self::wake::Wake;
use self::watching::Noted;
pub use self::watching::{Asked, Members};
use crate::{House, now};

/// A log.
#[derive(Debug, Clone)]
pub struct Log {
    pub writer: Writer,
    pub place: Place,
    /// The host to which the mail server gives all mail, if it does: its yes is no proof that an address exists.
    pub smarthost: Option<String>,
}

/// Where a log is.
#[derive(Debug, Clone)]
pub enum Place {
    File(PathBuf),
    /// The journal of systemd: that of the system, or one in this folder.
    Journal(Option<PathBuf>),
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
pub async fn follow(log: Log, house: House, rulebook: Rulebook, settings: Settings, stop: watch::Receiver<bool>) {
    let place = log.place.clone();
    let follower = Follower { log, house, rulebook, settings, mails: Mails::new(MAILS_MAX), troubled: false };
    match place {
        Place::File(path) => follower.follow_file(&path, stop).await,
        Place::Journal(folder) => follower.follow_journal(folder.as_deref(), stop).await,
    }
}

/// What lines tell.
#[derive(Default)]
struct Batch {
    /// What ends here or before, the ledger has already.
    kept: u64,
    told: Vec<(u64, Told)>,
    noted: Vec<Noted>,
}

/// Gives the ledger what was told, as the relay would, and what peers may hear of it to the publisher.
pub(crate) async fn absorb(
    house: &House,
    source: &str,
    batch: Vec<(u64, Told)>,
    send_log: SendLog,
) -> Result<(), LedgerError> {
    let (book, publisher) = (house.book.clone(), house.federation.publisher.clone());
    let key = book.current_key();
    let tagger = move |address: &sm2tp_proto::Address| book.tag(address);
    let absorbed = house.ledger.absorb(source, batch, send_log, tagger, move |sql, told, event| match &key {
        Some(key) => publisher.enqueue(sql, told, event, key),
        None => Ok(()),
    });
    absorbed.await
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
    #[error("journalctl has ended")]
    JournalEnded,
}

struct Follower {
    log: Log,
    house: House,
    rulebook: Rulebook,
    settings: Settings,
    mails: Mails,
    /// The last trouble was said already.
    troubled: bool,
}

impl Follower {
    async fn follow_file(mut self, path: &Path, mut stop: watch::Receiver<bool>) {
        let (mut following, mut wake, mut looks) = (Following::new(path.to_owned()), Wake::on(path), 0);
        loop {
            // A file that was renamed is looked at once more before it is left, so soon after a change there are more looks.
            let wait = if wake.is_watching() && LOOKS_AFTER <= looks { LOOK_SELDOM } else { LOOK_EVERY };
            loop {
                match self.piece(&mut following).await {
                    Ok(More::Yes) if !*stop.borrow() => looks = 0,
                    Ok(_) => {
                        self.troubled = false;
                        break;
                    }
                    Err(error) => {
                        self.say(&error);
                        break;
                    }
                }
            }
            looks += 1;
            tokio::select! {
                () = sleep(wait) => {}
                () = wake.written() => looks = 0,
                () = crate::stopped(&mut stop) => return,
            }
        }
    }

    /// Reads the next lines and gives what they tell to the ledger.
    async fn piece(&mut self, following: &mut Following) -> Result<More, Trouble> {
        if let Some(source) = following.unplaced()? {
            following.place(self.house.ledger.read_to(&source).await?);
        }
        let Some(Piece { octets, at, kept, source }) = following.read()? else { return Ok(More::No) };
        let (rules, mut batch, mut end) = (self.rulebook.rules(), Batch { kept, ..Batch::default() }, at);
        for line in octets.split_inclusive(|octet| *octet == b'\n') {
            end += line.len() as u64;
            self.hear(&rules, end, String::from_utf8_lossy(line).trim_end(), &mut batch);
        }
        self.tell(&source, batch).await?;
        following.taken(end);
        Ok(More::Yes)
    }

    async fn follow_journal(mut self, folder: Option<&Path>, mut stop: watch::Receiver<bool>) {
        loop {
            let error = tokio::select! {
                read = self.read_journal(folder) => read.err().unwrap_or(Trouble::JournalEnded),
                () = crate::stopped(&mut stop) => return,
            };
            self.say(&error);
            tokio::select! {
                () = sleep(JOURNAL_AGAIN) => {}
                () = crate::stopped(&mut stop) => return,
            }
        }
    }

    /// Until `journalctl` ends.
    async fn read_journal(&mut self, folder: Option<&Path>) -> Result<(), Trouble> {
        let asked = folder.map(Path::to_owned);
        let current = tokio::task::spawn_blocking(move || Journal::current(asked.as_deref()));
        let current = current.await.map_err(std::io::Error::other)??;
        let read = match &current {
            Some(of) => self.house.ledger.read_to(&self.journal(of)).await?,
            None => 0,
        };
        // Some of it once more, for who sent what is still under way; the ledger skips it.
        let after =
            current.as_deref().map(|of| (of, read.saturating_sub(AGAIN_ENTRIES))).filter(|(_, after)| 0 < *after);
        let mut journal = Journal::behind(folder, after)?;
        while let Some(entries) = journal.next().await {
            self.troubled = false;
            let rules = self.rulebook.rules();
            for of_one in entries.chunk_by(|a, b| a.of == b.of) {
                let source = self.journal(&of_one[0].of);
                let kept = match current.as_deref() == Some(&*of_one[0].of) {
                    true => read,
                    false => self.house.ledger.read_to(&source).await?,
                };
                let mut batch = Batch { kept, ..Batch::default() };
                for Entry { number, line, .. } in of_one {
                    self.hear(&rules, *number, line, &mut batch);
                }
                self.tell(&source, batch).await?;
            }
        }
        Ok(())
    }

    /// The name of a journal for the ledger. Two mail servers may write to the same one.
    fn journal(&self, of: &str) -> String {
        format!("journal {:?} {of}", self.log.writer)
    }

    /// Reads a line that ends at `end`.
    fn hear(&mut self, rules: &Classifier, end: u64, line: &str, batch: &mut Batch) {
        let clock = Clock { latest: now(), offset_s: self.settings.offset_s };
        let reading = Reading {
            smarthost: self.log.smarthost.as_deref(),
            accounts: &self.house.accounts,
            rules,
            stream: self.settings.stream,
            returns: self.house.returns.as_ref(),
        };
        let each = |outcome: Outcome<'_>| {
            // What the ledger has was counted with its sender, too; it is read for the mails that are under way.
            if end <= batch.kept {
                return;
            }
            let Some(told) = reading.told(&outcome) else { return };
            batch.noted.extend(self.settings.members.noted(&outcome, &told));
            batch.told.push((end, told));
        };
        self.mails.line(self.log.writer, line, &clock, each);
    }

    async fn tell(&self, source: &str, batch: Batch) -> Result<(), Trouble> {
        if batch.told.is_empty() {
            return Ok(());
        }
        absorb(&self.house, source, batch.told, self.settings.send_log).await?;
        let (now, senders) = (now(), &self.house.senders);
        batch.noted.into_iter().for_each(|noted| noted.count(senders, now));
        Ok(())
    }

    /// Once, until it works again.
    fn say(&mut self, error: &Trouble) {
        if !std::mem::replace(&mut self.troubled, true) {
            let log = match &self.log.place {
                Place::File(path) => path.display().to_string(),
                Place::Journal(_) => "the journal".to_owned(),
            };
            tracing::error!(%log, %error, "a log cannot be read; it is tried again");
        }
    }
}

/// How soon a bounce in the log is known to every door where the system does not tell that it was written.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Where it does: a file system may forget to.
const LOOK_SELDOM: Duration = Duration::from_secs(5);
/// Looks after a change before they become seldom.
const LOOKS_AFTER: u32 = 4;
/// How soon `journalctl` is started again.
const JOURNAL_AGAIN: Duration = Duration::from_secs(5);
/// Entries that are read once more after a start: a day of a small hoster.
const AGAIN_ENTRIES: u64 = 20_000;
/// Mails under way at a time, some 300 octets each.
const MAILS_MAX: usize = 200_000;
