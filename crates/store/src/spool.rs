//! The spool: what was answered 250 is here, on stable storage, until it is delivered, reported or dropped by a person.
//!
//! What is promised lies in append-only files ([`bodies`]): mails, and what became of them ([`entry`]). One writer syncs once
//! for all who wait ([`writer`], [`line`]). Rows in SQLite ([`rows`]) are a view of the files for everything that waits
//! longer than a moment; they are brought up now and then ([`unfolded`]), and after a crash ([`replay`]). The outbox carries
//! every happening to the ledger.

pub(crate) mod bodies;
mod disk;
mod entry;
#[cfg(test)]
mod faulty;
mod line;
mod looks;
mod mail;
mod record;
mod replay;
mod rows;
mod salvage;
#[cfg(test)]
mod simulation;
mod unfolded;
mod untaken;
mod writer;

use std::collections::BTreeSet;
use std::io;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rusqlite::Connection;
use thiserror::Error;
use tokio::sync::oneshot;

pub use self::bodies::BodyAt;
use self::bodies::{Bodies, Place, SEGMENT_OCTETS_MAX};
use self::disk::{Disk, RealDisk};
use self::line::Line;
pub use self::looks::{Depth, Filter, Listed};
pub use self::mail::{
    Change, Lane, Mail, NewMail, NewRecipient, Notice, Queued, Recipient, SlowSender, Stub, Sum, Sums,
};
use self::record::Salt;
use self::replay::Start;
use self::rows::OutboxPage;
pub use self::salvage::{Salvaged, salvage};
use self::unfolded::Unfolded;
use self::untaken::{Page, Untaken};
use self::writer::{Job, Numbers, Promise, Question, To, Writer};
use crate::told::Told;

/// A handle on the spool; clones share it.
#[derive(Clone, Debug)]
pub struct Spool {
    line: Arc<Askers>,
    reader: Arc<Mutex<Connection>>,
    /// For what people look at: a sum over a million rows takes a second, for which no delivery waits.
    looker: Arc<Mutex<Connection>>,
    behind: Arc<Mutex<Behind>>,
    bodies: Place,
    name: Arc<str>,
    last_at_start: u64,
}

/// The line before the writer, which closes when nobody can ask any more.
struct Askers(Arc<Line>);

/// What a reader must know of what is not in the rows.
#[derive(Debug)]
struct Behind {
    untaken: Untaken,
    /// Mails whose rows are not as they should be.
    mails: BTreeSet<u64>,
}

/// Why the spool did not do it. Whatever it is, the mail was not accepted (I4).
#[derive(Debug, Error)]
pub enum SpoolError {
    #[error("the disk refused: {0}")]
    Io(#[from] io::Error),
    /// The state of the disk is unknown; the spool stops until a person restarts the node.
    #[error("the disk failed to make data durable, the spool is stopped until the node is restarted: {0}")]
    Sync(#[source] io::Error),
    #[error("the disk has only {free} octets left; no mail is taken until it has {min}")]
    Full { free: u64, min: u64 },
    #[error("the queue database is {steps} steps behind and cannot be written; no mail is taken until it can")]
    Behind { steps: usize },
    #[error("the spool is stopped after a failed sync; restart the node when the disk is healthy")]
    Stopped,
    #[error("the queue database {is}: {0}", is = if is_corrupt(&*.0) { SALVAGE } else { "refused" })]
    Rows(#[from] rusqlite::Error),
    #[error("a salvage of the queue was cut off: run `sm2tp queue salvage` again")]
    Unfinished,
    #[error("the body of mail {mail} in file {segment} at {offset} is damaged")]
    Damaged { mail: u64, segment: u64, offset: u64 },
    #[error("mail {mail} is not in the queue")]
    NotQueued { mail: u64 },
    #[error("a message of more than 4 GiB")]
    TooLarge,
    #[error("the spool has format {found}, this version knows {known}: install the version that wrote it")]
    Newer { found: i64, known: i64 },
    #[error("a stored entry cannot be written: {0}")]
    Stored(String),
    #[error("the spool is closed")]
    Closed,
}

impl Spool {
    /// Opens or makes the spool in `dir` and starts its writer. What is queued is read in pages ([`Spool::stubs`]), so that
    /// a node with a million mails listens at once.
    ///
    /// `fresh_name` is used once, when the spool is made; it must be unlike that of any other spool (random).
    ///
    /// # Errors
    /// [`SpoolError`] where the disk or the format does not allow it.
    pub fn open(dir: &Path, fresh_name: &str) -> Result<Self, SpoolError> {
        RealDisk.make_dir(dir)?;
        if salvage::is_unfinished(dir) {
            return Err(SpoolError::Unfinished);
        }
        let place = Place { disk: Arc::new(RealDisk), dir: dir.join("bodies") };
        let database = dir.join("queue.sqlite");
        Self::start(Opened::open(&database, place, fresh_name, SEGMENT_OCTETS_MAX, FREE_OCTETS_MIN)?)
    }

    fn start(opened: Opened) -> Result<Self, SpoolError> {
        let [reader, looker] = [opened.reader, opened.looker].map(|connection| Arc::new(Mutex::new(connection)));
        let line = Arc::new(Line::new(opened.writer));
        let thread = line.clone();
        thread::Builder::new().name("spool".into()).spawn(move || thread.serve())?;
        Ok(Self {
            line: Arc::new(Askers(line)),
            reader,
            looker,
            behind: opened.behind,
            bodies: opened.bodies,
            name: opened.name.into(),
            last_at_start: opened.last,
        })
    }

    /// Unlike that of any other spool; the ledger remembers by it how far it has read this outbox.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The highest number that any mail had when the spool was opened: what is queued up to it was there before.
    #[must_use]
    pub fn last_at_start(&self) -> u64 {
        self.last_at_start
    }

    /// Recipients that wait, in brief: those of the mails behind `after` and up to `up_to`, of at most `mails_max` mails,
    /// in the order of their numbers, with the number of the last of these mails. None: there are no more.
    ///
    /// # Errors
    /// [`SpoolError`] where the queue database cannot be read.
    pub async fn stubs(
        &self,
        after: u64,
        up_to: u64,
        mails_max: usize,
    ) -> Result<Option<(u64, Vec<Stub>)>, SpoolError> {
        let mails = after.saturating_add(1)..=up_to;
        match self.catch_up(mails.clone()).await {
            // Delivery makes the room that the rows need.
            Err(error) if error.is_storage() => self.stubs_beside(mails, mails_max).await,
            caught_up => {
                caught_up?;
                self.read(move |connection| rows::stubs(connection, after, up_to, mails_max)).await
            }
        }
    }

    /// Keeps a mail. When this answers `Ok`, the mail is on stable storage and 250 may be said (I4).
    ///
    /// # Errors
    /// Whatever [`SpoolError`]: the mail was not kept, say 4xx.
    pub async fn accept(&self, mail: NewMail) -> Result<Queued, SpoolError> {
        self.ask(|to| Promise::Accept(Box::new(mail), to)).await
    }

    /// [`Spool::accept`] for a caller that knows that nobody else is served at the moment: where the disk is quick, the mail is
    /// written on this thread, which blocks for less than a millisecond, and no other is woken.
    ///
    /// # Errors
    /// Whatever [`SpoolError`]: the mail was not kept, say 4xx.
    pub async fn accept_alone(&self, mail: NewMail) -> Result<Queued, SpoolError> {
        let (to, answer) = oneshot::channel();
        self.line.0.lead(Promise::Accept(Box::new(mail), to).into()).await?;
        answer.await.map_err(|_| SpoolError::Closed)?
    }

    /// Records what became of recipients; answers with the reports that this put into the queue.
    ///
    /// # Errors
    /// [`SpoolError`]: nothing of it is recorded. The caller must not deliver these recipients again before it has
    /// been able to record, or it would send twice.
    pub async fn record(&self, changes: impl Into<Arc<[Change]>>) -> Result<Vec<Queued>, SpoolError> {
        let changes = changes.into();
        self.ask(|to| Promise::Record(changes, to)).await
    }

    /// The ledger has all outbox entries up to this one.
    ///
    /// # Errors
    /// [`SpoolError`]: they stay and will be offered again; the ledger skips what it has.
    pub async fn outbox_taken(&self, up_to: u64) -> Result<(), SpoolError> {
        self.ask(|to| Promise::OutboxTaken(up_to, to)).await
    }

    /// The content of a mail, as it was accepted.
    ///
    /// # Errors
    /// [`SpoolError::Damaged`] when the octets are not those that were written; a copy is set aside for a person.
    pub async fn content(&self, mail: u64) -> Result<Vec<u8>, SpoolError> {
        let mut last = SpoolError::NotQueued { mail };
        // The writer may move the body between the look-up and the reading: then the second look finds it.
        for _ in 0..2 {
            let at = if self.is_behind(mail..=mail) {
                self.ask(|to| Question::Find(mail, to)).await?.1
            } else {
                let at = self.read(move |connection| rows::body_at(connection, mail)).await?;
                at.ok_or(SpoolError::NotQueued { mail })?
            };
            let bodies = self.bodies.clone();
            let content = tokio::task::spawn_blocking(move || read(&bodies, mail, at)).await;
            match content.map_err(|_| SpoolError::Closed)? {
                Err(SpoolError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                    last = SpoolError::Damaged { mail, segment: at.segment, offset: at.offset };
                }
                other => return other,
            }
        }
        Err(last)
    }

    /// One mail of the queue, with the recipients that are left.
    ///
    /// # Errors
    /// [`SpoolError::NotQueued`] when it is not there (any more).
    pub async fn queued(&self, mail: u64) -> Result<Queued, SpoolError> {
        // A full disk must not keep from delivery what it keeps from the rows.
        if self.is_behind(mail..=mail) {
            return Ok(self.ask(|to| Question::Find(mail, to)).await?.0);
        }
        self.read(move |connection| rows::load(connection, Some(mail))?.pop().ok_or(SpoolError::NotQueued { mail }))
            .await
    }

    /// The oldest entries that the ledger has not taken, with their numbers. Those that nobody can read are set aside.
    ///
    /// # Errors
    /// [`SpoolError`] where the queue database cannot be read.
    pub async fn outbox(&self, limit: usize) -> Result<Vec<(u64, Told)>, SpoolError> {
        let (above, below) = match self.behind().untaken.page(limit) {
            Page::Memory(entries) => return Ok(entries),
            Page::Rows { above, below } => (above, below),
        };
        let page = self.read(move |connection| rows::outbox(connection, above, below, limit)).await?;
        let OutboxPage { entries, unreadable } = page;
        let set_aside = !unreadable.is_empty();
        if set_aside {
            tracing::error!(entries = ?unreadable, "outbox entries cannot be read; they are set aside, the others go on");
            self.ask(|to| Question::SetAside(unreadable, to)).await?;
        }
        if !entries.is_empty() || set_aside {
            return Ok(entries);
        }
        let mut behind = self.behind();
        behind.untaken.no_rows_below(below);
        Ok(if let Page::Memory(entries) = behind.untaken.page(limit) { entries } else { Vec::new() })
    }

    /// Takes octets that were in the queue out of its files: the database, and the file of bodies that nobody needs any more.
    ///
    /// # Errors
    /// [`SpoolError`]: they may stand there still.
    pub async fn overwrite(&self, gone: Vec<Vec<u8>>) -> Result<(), SpoolError> {
        self.ask(|to| Question::Overwrite(gone, to)).await
    }

    /// Whether the writer and the queue database answer. A disk that is full is an answer: no restart makes room.
    ///
    /// # Errors
    /// [`SpoolError`] where they do not, or where the spool is stopped.
    pub async fn answers(&self) -> Result<(), SpoolError> {
        let folded = self.ask(Question::Fold).await;
        if matches!(folded, Err(SpoolError::Stopped | SpoolError::Closed)) {
            return folded;
        }
        self.read(|connection| Ok(connection.query_row("SELECT 1", [], |_| Ok(()))?)).await
    }

    /// [`Spool::stubs`] without bringing up the rows: those that are behind are asked for one by one.
    async fn stubs_beside(
        &self,
        mails: RangeInclusive<u64>,
        mails_max: usize,
    ) -> Result<Option<(u64, Vec<Stub>)>, SpoolError> {
        let (after, up_to) = (mails.start().saturating_sub(1), *mails.end());
        let rows = self.read(move |connection| rows::stubs(connection, after, up_to, mails_max)).await?;
        if mails.is_empty() {
            return Ok(None);
        }
        let behind: Vec<u64> = self.behind().mails.range(mails).take(mails_max).copied().collect();
        let ends = [rows.as_ref().map(|(last, _)| *last), behind.last().copied().filter(|_| behind.len() == mails_max)];
        let Some(last) = ends.into_iter().flatten().min().or_else(|| behind.last().copied()) else { return Ok(None) };
        let (_, mut stubs) = rows.unwrap_or_default();
        stubs.retain(|stub| stub.mail <= last && behind.binary_search(&stub.mail).is_err());
        for mail in behind.into_iter().filter(|mail| *mail <= last) {
            match self.ask(|to| Question::Find(mail, to)).await {
                Ok((queued, _)) => stubs.extend(queued.stubs()),
                Err(SpoolError::NotQueued { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        stubs.sort_by_key(|stub| (stub.mail, stub.index));
        Ok(Some((last, stubs)))
    }

    /// Brings the rows up where they are behind for one of these mails.
    async fn catch_up(&self, mails: RangeInclusive<u64>) -> Result<(), SpoolError> {
        if self.is_behind(mails) { self.ask(Question::Fold).await } else { Ok(()) }
    }

    fn is_behind(&self, mails: RangeInclusive<u64>) -> bool {
        // A set has no answer to a range that ends before it begins.
        !mails.is_empty() && self.behind().mails.range(mails).next().is_some()
    }

    fn behind(&self) -> std::sync::MutexGuard<'_, Behind> {
        self.behind.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask<T, J: Into<Job>>(&self, job: impl FnOnce(To<T>) -> J) -> Result<T, SpoolError> {
        let (to, answer) = oneshot::channel();
        self.line.0.join(job(to).into()).await?;
        answer.await.map_err(|_| SpoolError::Closed)?
    }

    async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, SpoolError> + Send + 'static,
    ) -> Result<T, SpoolError> {
        on(self.reader.clone(), question).await
    }
}

/// Asks on a thread that may wait for the disk.
async fn on<T: Send + 'static>(
    connection: Arc<Mutex<Connection>>,
    question: impl FnOnce(&Connection) -> Result<T, SpoolError> + Send + 'static,
) -> Result<T, SpoolError> {
    let asked = tokio::task::spawn_blocking(move || {
        let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
        question(&connection)
    });
    asked.await.map_err(|_| SpoolError::Closed)?
}

impl std::fmt::Debug for Askers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Askers").finish_non_exhaustive()
    }
}

impl Drop for Askers {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Raises the next numbers of mails and of what the ledger is told, in the queue of a spool that does not run: they may have been
/// given out by one of which this is a copy.
///
/// # Errors
/// [`SpoolError`] where the rows cannot be read or written.
pub fn pass_over(database: &Path, numbers: u64) -> Result<(), SpoolError> {
    let connection = rows::open(database)?;
    if let Some(mut mark) = rows::mark(&connection)? {
        (mark.mail, mark.told) = (mark.mail.saturating_add(numbers), mark.told.saturating_add(numbers));
        rows::remember(&connection, mark)?;
    }
    Ok(())
}

/// Reads a body; a damaged one is copied aside.
fn read(bodies: &Place, mail: u64, at: BodyAt) -> Result<Vec<u8>, SpoolError> {
    let body = bodies::read(bodies, mail, at);
    if let Err(SpoolError::Damaged { .. }) = &body {
        // The copy is a help; where it cannot be made, the octets are still in their file.
        match bodies::set_aside(bodies, mail, at) {
            Ok(file) => tracing::error!(mail, file = %file.display(), "a damaged body was set aside"),
            Err(why) => tracing::error!(mail, error = %why, "a damaged body could not be set aside"),
        }
    }
    body
}

/// All that opening a spool gives, before its writer has a thread.
struct Opened {
    writer: Writer,
    reader: Connection,
    looker: Connection,
    behind: Arc<Mutex<Behind>>,
    bodies: Place,
    name: String,
    /// The highest number that any mail had.
    last: u64,
}

impl Opened {
    fn open(
        database: &Path,
        bodies: Place,
        fresh_name: &str,
        segment_octets_max: u64,
        free_min: u64,
    ) -> Result<Self, SpoolError> {
        let mut connection = rows::open(database)?;
        let name = rows::name(&connection, fresh_name)?;
        let salt = Salt::of(&name);
        bodies.disk.make_dir(&bodies.dir)?;
        let mut start = replay::replay(&connection, &bodies, salt)?;
        let (behind, now) = (Arc::new(Mutex::new(start.behind())), start.end());
        let Start { mark, segment, mut unfolded, mail, told } = start;
        let mut folded_below = mark.end.segment;
        match writer::fold(&mut connection, &unfolded, &behind, now, &[]) {
            Ok(_) => {
                (unfolded, folded_below) = (Unfolded::new(mail), segment);
                behind.lock().unwrap_or_else(PoisonError::into_inner).folded(told);
            }
            // A disk that is full for it may have room later; until then all of it is in the files, and in memory.
            Err(error) => tracing::error!(%error, "the queue database cannot be brought up; it will be tried again"),
        }
        let (mut named, removal) = rows::bodies(&connection)?;
        named.extend(unfolded.bodies());
        let files = Bodies::open(bodies.clone(), salt, segment_octets_max, &named, (folded_below, removal))?;
        let writer = Writer::new(connection, files, (unfolded, Numbers { mail, told }), behind.clone(), free_min);
        let (reader, looker) = (rows::open_reader(database)?, rows::open_reader(database)?);
        Ok(Self { writer, reader, looker, behind, bodies, name, last: mail.saturating_sub(1) })
    }
}

impl Behind {
    /// The rows are up, with all that was told below this number.
    fn folded(&mut self, told: u64) {
        self.untaken.folded(told);
        self.mails.clear();
    }
}

impl From<entry::Unreadable> for SpoolError {
    fn from(error: entry::Unreadable) -> Self {
        Self::Stored(error.to_string())
    }
}

impl SpoolError {
    /// True where the disk is the trouble: trying the next job would only wear it out.
    #[must_use]
    pub fn is_storage(&self) -> bool {
        match self {
            Self::Io(_) | Self::Sync(_) | Self::Full { .. } | Self::Behind { .. } | Self::Stopped => true,
            Self::Rows(error) => matches!(
                error.sqlite_error_code(),
                Some(rusqlite::ErrorCode::DiskFull | rusqlite::ErrorCode::SystemIoFailure)
            ),
            _ => false,
        }
    }

    /// True where the disk has no room: RFC 3463 §3.4 has a code of its own for it, X.3.1.
    #[must_use]
    pub fn is_full(&self) -> bool {
        match self {
            Self::Full { .. } => true,
            Self::Io(error) => {
                matches!(
                    error.kind(),
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
                )
            }
            Self::Rows(error) => error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull),
            _ => false,
        }
    }

    /// True where the queue database is damaged: it does not get better by waiting.
    #[must_use]
    pub fn is_corrupt(&self) -> bool {
        match self {
            Self::Rows(error) => is_corrupt(error),
            Self::Unfinished => true,
            _ => false,
        }
    }

    /// True where the mail itself is hurt and a person has to look; anything else may pass by itself.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Damaged { .. } => true,
            Self::Rows(error) => matches!(
                error,
                rusqlite::Error::FromSqlConversionFailure(..)
                    | rusqlite::Error::InvalidColumnType(..)
                    | rusqlite::Error::IntegralValueOutOfRange(..)
                    | rusqlite::Error::Utf8Error(..)
            ),
            // What the medium cannot read, it will not read tomorrow; too many open files or no memory pass.
            Self::Io(error) => error.raw_os_error() == Some(EIO),
            _ => false,
        }
    }

    /// The same error for each job of a group; sources cannot be cloned, their words can.
    fn again(&self) -> Self {
        match self {
            Self::Io(error) => Self::Io(io::Error::new(error.kind(), error.to_string())),
            Self::Sync(error) => Self::Sync(io::Error::new(error.kind(), error.to_string())),
            Self::Full { free, min } => Self::Full { free: *free, min: *min },
            Self::Rows(rusqlite::Error::SqliteFailure(code, words)) => {
                Self::Rows(rusqlite::Error::SqliteFailure(*code, words.clone()))
            }
            Self::Behind { steps } => Self::Behind { steps: *steps },
            Self::Stopped => Self::Stopped,
            Self::TooLarge => Self::TooLarge,
            Self::Damaged { mail, segment, offset } => {
                Self::Damaged { mail: *mail, segment: *segment, offset: *offset }
            }
            Self::NotQueued { mail } => Self::NotQueued { mail: *mail },
            other => Self::Stored(other.to_string()),
        }
    }
}

/// SQLite does not understand its own file any more.
fn is_corrupt(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase))
}

const SALVAGE: &str = "is damaged; stop the node and run `sm2tp queue salvage`, which keeps what can be read";
/// Octets of disk that new mail leaves free: room for the log of the queue database and for reports, so that a full disk
/// stops accepting and not delivering.
const FREE_OCTETS_MIN: u64 = 32 * 1024 * 1024;
/// Linux, and every Unix: the medium could not read.
const EIO: i32 = 5;

#[cfg(test)]
mod tests {
    use sm2tp_proto::Address;
    use sm2tp_proto::smtp::{MailOptions, Notify, RcptOptions, Ret};
    use sm2tp_rules::Stream;

    use super::*;
    use crate::testing::TempDir;
    use crate::told::{Answer, What};

    impl Spool {
        /// The whole queue with all that is known of it.
        pub(in crate::spool) async fn whole_queue(&self) -> Result<Vec<Queued>, SpoolError> {
            self.catch_up(0..=u64::MAX).await?;
            self.read(|connection| rows::load(connection, None)).await
        }
    }

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    pub(super) fn mail(recipients: &[&str], content: &[u8]) -> NewMail {
        let recipient = |text: &&str| NewRecipient {
            address: address(text),
            lane: Lane::Normal,
            note: None,
            stopped: false,
            canary: false,
            options: RcptOptions::default(),
        };
        NewMail {
            org: "local".into(),
            login: None,
            stream: Stream::Personal,
            mail_from: Some(address("anna@asso.example")),
            message_id: Some("1@asso.example".into()),
            received_at: 1000,
            recipients: recipients.iter().map(recipient).collect(),
            content: content.to_vec().into(),
            held_until: 0,
            is_report: false,
            stream_by: None,
            options: MailOptions::default(),
        }
    }

    pub(super) fn delivered(mail: u64, index: u32, report: Option<NewMail>) -> Change {
        let told = Told {
            v: Told::VERSION,
            at: 1001,
            org: "local".into(),
            login: None,
            stream: Stream::Personal,
            mail,
            message_id: None,
            mail_from: None,
            recipient: None,
            token: None,
            report: false,
            what: What::Delivered { answer: Answer::default() },
        };
        Change::Done { mail, index, told, report: report.map(Box::new) }
    }

    #[tokio::test]
    async fn what_was_accepted_is_there_after_a_restart_and_goes_when_it_is_done() {
        let dir = TempDir::new();
        let spool = Spool::open(dir.path(), "one").unwrap();
        assert_eq!((spool.last_at_start(), spool.whole_queue().await.unwrap()), (0, Vec::new()));
        let first = spool.accept(mail(&["a@x.example", "b@x.example"], b"hello\r\n")).await.unwrap();
        let second = spool.accept(mail(&["c@y.example"], b"again\r\n")).await.unwrap();
        assert_eq!((first.mail.id, second.mail.id), (1, 2));
        drop(spool);

        let spool = Spool::open(dir.path(), "two").unwrap();
        let queued = spool.whole_queue().await.unwrap();
        assert_eq!(spool.name(), "one");
        assert_eq!(queued, [first, second]);
        assert_eq!(spool.content(1).await.unwrap(), b"hello\r\n");
        assert_eq!(spool.record(vec![delivered(1, 0, None)]).await.unwrap(), []);
        assert_eq!(spool.queued(1).await.unwrap().recipients.len(), 1);
        spool.record(vec![delivered(1, 1, None)]).await.unwrap();
        assert!(matches!(spool.queued(1).await, Err(SpoolError::NotQueued { mail: 1 })));
        assert!(matches!(spool.content(1).await, Err(SpoolError::NotQueued { .. })));
        drop(spool);

        let spool = Spool::open(dir.path(), "three").unwrap();
        assert_eq!(spool.last_at_start(), 2);
        let (last, stubs) = spool.stubs(0, 2, 10).await.unwrap().unwrap();
        assert_eq!((last, spool.stubs(2, 2, 10).await.unwrap()), (2, None));

        assert_eq!(
            stubs.iter().map(|stub| (stub.mail, stub.index, stub.domain.as_str())).collect::<Vec<_>>(),
            [(2, 0, "y.example")]
        );
        assert_eq!(spool.accept(mail(&["d@y.example"], b"new")).await.unwrap().mail.id, 3);
        assert_eq!(spool.stubs(2, 2, 10).await.unwrap(), None, "while the rows are behind, too");
    }

    #[tokio::test]
    async fn a_bounce_and_its_report_are_one_step_and_a_row_is_done_once() {
        let dir = TempDir::new();
        let spool = Spool::open(dir.path(), "one").unwrap();
        spool.accept(mail(&["a@x.example"], b"hello")).await.unwrap();
        let mut report = mail(&["anna@asso.example"], b"sorry");
        report.mail_from = None;
        report.is_report = true;
        let reports = spool.record(vec![delivered(1, 0, Some(report.clone()))]).await.unwrap();
        assert_eq!(reports.len(), 1);
        assert_eq!(spool.content(reports[0].mail.id).await.unwrap(), b"sorry");
        assert_eq!(spool.record(vec![delivered(1, 0, Some(report))]).await.unwrap(), []);
        let kinds: Vec<_> = spool.outbox(10).await.unwrap().iter().map(|(_, told)| told.kind()).collect();
        assert_eq!(kinds, ["accepted", "delivered", "report"]);
        spool.outbox_taken(2).await.unwrap();
        assert_eq!(spool.outbox(10).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn pages_are_the_same_whether_the_rows_are_up_or_cannot_be() {
        let dir = TempDir::new();
        let spool = Spool::open(dir.path(), "one").unwrap();
        for _ in 0..5 {
            spool.accept(mail(&["a@x.example", "b@y.example"], b"hello")).await.unwrap();
        }
        spool.depth().await.unwrap();
        for _ in 0..5 {
            spool.accept(mail(&["c@x.example"], b"again")).await.unwrap();
        }
        spool.record(vec![delivered(2, 1, None), delivered(3, 0, None), delivered(3, 1, None)]).await.unwrap();
        let (mut after, mut found) = (0, Vec::new());
        while let Some((last, stubs)) = spool.stubs_beside(after + 1..=10, 3).await.unwrap() {
            assert!(after < last);
            after = last;
            found.extend(stubs);
        }
        let (_, wanted) = spool.stubs(0, 10, 100).await.unwrap().unwrap();
        assert_eq!(found, wanted);
        assert_eq!(found.len(), 5 * 2 - 3 + 5);
    }

    #[tokio::test]
    async fn many_sessions_share_a_commit_and_each_gets_its_own_number() {
        let dir = TempDir::new();
        let spool = Spool::open(dir.path(), "one").unwrap();
        let tasks: Vec<_> = (0..200)
            .map(|n| {
                let spool = spool.clone();
                tokio::spawn(async move { spool.accept(mail(&["a@x.example"], format!("{n}").as_bytes())).await })
            })
            .collect();
        let mut ids = Vec::new();
        for task in tasks {
            ids.push(task.await.unwrap().unwrap().mail.id);
        }
        ids.sort_unstable();
        assert_eq!(ids, (1..=200).collect::<Vec<_>>());
        assert_eq!(spool.depth().await.unwrap().normal, 200);
        let page = spool.list(Filter { limit: 3, after: (10, u32::MAX), ..Filter::default() }).await.unwrap();
        assert_eq!(page.iter().map(|l| l.mail.id).collect::<Vec<_>>(), [11, 12, 13]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn whoever_writes_a_mail_it_has_one_number_and_is_there_after_a_restart() {
        let dir = TempDir::new();
        let spool = Spool::open(dir.path(), "one").unwrap();
        // Alone, with nobody to wake: by the thread, because nobody knows yet how quick the disk is, and then here.
        for n in 1..=20 {
            assert_eq!(spool.accept_alone(mail(&["a@x.example"], b"alone")).await.unwrap().mail.id, n);
        }
        let tasks: Vec<_> = (0..200)
            .map(|n| {
                let spool = spool.clone();
                tokio::spawn(async move {
                    let new = mail(&["a@x.example"], b"in company");
                    let queued = if n % 3 == 0 { spool.accept(new).await } else { spool.accept_alone(new).await };
                    let id = queued.unwrap().mail.id;
                    assert_eq!(spool.record(vec![delivered(id - 20, 0, None)]).await.unwrap(), []);
                    id
                })
            })
            .collect();
        let mut ids = Vec::new();
        for task in tasks {
            ids.push(task.await.unwrap());
        }
        ids.sort_unstable();
        assert_eq!(ids, (21..=220).collect::<Vec<_>>());
        drop(spool);
        let queued = Spool::open(dir.path(), "one").unwrap().whole_queue().await.unwrap();
        let left: Vec<u64> = queued.iter().map(|queued| queued.mail.id).collect();
        assert_eq!(left, (201..=220).collect::<Vec<_>>());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn readers_find_every_mail_while_files_are_compacted_and_removed() {
        let dir = TempDir::new();
        let place = Place { disk: Arc::new(RealDisk), dir: dir.path().join("bodies") };
        let spool = Spool::start(Opened::open(&dir.path().join("queue.sqlite"), place, "one", 8 * 1024, 0).unwrap());
        let spool = spool.unwrap();
        let content = |id: u64| format!("{id} ").repeat(200).into_bytes();
        for id in 1..=200 {
            assert_eq!(spool.accept(mail(&["a@x.example"], &content(id))).await.unwrap().mail.id, id);
        }
        // Every tenth mail stays, so that each file becomes thin, is copied and goes.
        let (stays, files) = (|id: &u64| id.is_multiple_of(10), || std::fs::read_dir(dir.path().join("bodies")));
        let before = files().unwrap().count();
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let spool = spool.clone();
                tokio::spawn(async move {
                    for id in (0..10).flat_map(|_| (1..=200).filter(stays)) {
                        let found = spool.content(id).await;
                        assert!(found.as_ref().is_ok_and(|found| *found == content(id)), "mail {id}: {found:?}");
                    }
                })
            })
            .collect();
        for id in (1..=200).filter(|id| !stays(id)) {
            spool.record(vec![delivered(id, 0, None)]).await.unwrap();
        }
        for reader in readers {
            reader.await.unwrap();
        }
        // Files go when the rows know what they say, thin ones one at a time.
        for _ in 0..20 {
            spool.depth().await.unwrap();
        }
        let after = files().unwrap().count();
        assert!(after * 3 < before, "{before} files became {after}");
    }

    #[tokio::test]
    async fn a_damaged_body_is_set_aside_and_the_others_are_served() {
        let dir = TempDir::new();
        let spool = Spool::open(dir.path(), "one").unwrap();
        spool.accept(mail(&["a@x.example"], b"first body")).await.unwrap();
        spool.accept(mail(&["a@x.example"], b"second body")).await.unwrap();
        let file = dir.path().join("bodies/0000000001.seg");
        let bytes = std::fs::read(&file).unwrap();
        let at = bytes.windows(10).position(|w| w == b"first body").unwrap();
        let mut bent = bytes.clone();
        bent[at] ^= 1;
        std::fs::write(&file, bent).unwrap();
        assert!(matches!(spool.content(1).await, Err(SpoolError::Damaged { mail: 1, .. })));
        assert!(dir.path().join("bodies/damaged-1").exists());
        assert_eq!(spool.content(2).await.unwrap(), b"second body");
    }

    #[tokio::test]
    async fn what_was_asked_for_a_mail_is_there_after_a_restart() {
        let dir = TempDir::new();
        let spool = Spool::open(dir.path(), "one").unwrap();
        let mut asking = mail(&["a@x.example", "b@x.example"], b"hello\r\n");
        asking.options = MailOptions {
            utf8: true,
            require_tls: true,
            tls_waived: true,
            ret: Some(Ret::Full),
            envid: Some("my + 1".into()),
        };
        asking.recipients[1].options =
            RcptOptions::from_stored(Some("NOTIFY=NEVER ORCPT=utf-8;\\x{E9}@x.test")).unwrap();
        let kept = spool.accept(asking.clone()).await.unwrap();
        assert_eq!(kept.mail.options, asking.options);
        assert!(!kept.recipients[1].options.wants(Notify::FAILURE));
        drop(spool);
        let queued = Spool::open(dir.path(), "one").unwrap().whole_queue().await.unwrap();
        assert_eq!(queued, [kept]);
    }

    #[tokio::test]
    async fn that_the_sender_was_told_of_a_delay_is_recorded_with_the_deferral() {
        let dir = TempDir::new();
        let spool = Spool::open(dir.path(), "one").unwrap();
        spool.accept(mail(&["a@x.example", "b@x.example", "c@x.example"], b"hello")).await.unwrap();
        let mut report = mail(&["anna@asso.example"], b"it is late");
        report.is_report = true;
        let deferred = |index, notice| Change::Deferred {
            mail: 1,
            index,
            attempts: 1,
            next_at: 2000,
            note: "later".into(),
            told: None,
            notice,
        };
        let carried = || Notice::Carried(Box::new(report.clone()));
        let changes = vec![deferred(0, Notice::None), deferred(1, carried()), deferred(2, Notice::Shared)];
        assert_eq!(spool.record(changes).await.unwrap().len(), 1);
        assert_eq!(spool.record(vec![deferred(7, carried())]).await.unwrap(), [], "it was dropped meanwhile");
        drop(spool);
        let queued = Spool::open(dir.path(), "one").unwrap().whole_queue().await.unwrap();
        assert_eq!(queued[0].recipients.iter().map(|r| r.delay_told).collect::<Vec<_>>(), [false, true, true]);
        assert_eq!(queued.len(), 2);
    }

    /// The tables as format 1 made them, with one mail.
    const FORMAT_1: &str = "
        CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
        CREATE TABLE mail (
            id INTEGER PRIMARY KEY AUTOINCREMENT, org TEXT NOT NULL, login TEXT, stream TEXT NOT NULL, mail_from TEXT,
            message_id TEXT, received_at INTEGER NOT NULL, segment INTEGER NOT NULL, offset INTEGER NOT NULL,
            octets INTEGER NOT NULL, is_report INTEGER NOT NULL);
        CREATE TABLE rcpt (
            mail INTEGER NOT NULL, idx INTEGER NOT NULL, address TEXT NOT NULL, domain TEXT NOT NULL,
            lane TEXT NOT NULL, attempts INTEGER NOT NULL, next_at INTEGER NOT NULL, note TEXT,
            PRIMARY KEY (mail, idx)) WITHOUT ROWID;
        CREATE TABLE outbox (id INTEGER PRIMARY KEY AUTOINCREMENT, told TEXT NOT NULL);
        INSERT INTO meta VALUES ('name', 'old');
        INSERT INTO mail VALUES (41, 'local', NULL, 'personal', 'anna@asso.example', NULL, 1000, 1, 0, 5, 0);
        INSERT INTO rcpt VALUES (41, 0, 'a@x.example', 'x.example', 'normal', 3, 2000, '450 later');
        PRAGMA user_version = 1;";

    #[tokio::test]
    async fn a_spool_of_format_1_opens_and_keeps_its_mail() {
        let dir = TempDir::new();
        let old = Connection::open(dir.path().join("queue.sqlite")).unwrap();
        old.execute_batch(FORMAT_1).unwrap();
        drop(old);
        for name in ["new", "again"] {
            let spool = Spool::open(dir.path(), name).unwrap();
            let queued = spool.whole_queue().await.unwrap();
            assert_eq!((spool.name(), queued.len()), ("old", 1));
            let recipient = &queued[0].recipients[0];
            assert_eq!((recipient.attempts, recipient.delay_told), (3, false));
            assert_eq!(queued[0].mail.options, MailOptions::default());
            assert_eq!(recipient.options, RcptOptions::default());
        }
        let spool = Spool::open(dir.path(), "new").unwrap();
        assert_eq!(spool.accept(mail(&["b@x.example"], b"new")).await.unwrap().mail.id, 42);
        assert_eq!(spool.list(Filter { limit: 9, ..Filter::default() }).await.unwrap().len(), 2);
    }

    #[test]
    fn a_format_from_the_future_is_refused() {
        let dir = TempDir::new();
        drop(Spool::open(dir.path(), "one").unwrap());
        let connection = Connection::open(dir.path().join("queue.sqlite")).unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        assert!(matches!(Spool::open(dir.path(), "one"), Err(SpoolError::Newer { found: 99, .. })));
    }

    #[tokio::test]
    async fn what_waits_is_added_up_with_what_most_wait_for() {
        let dir = TempDir::new();
        let spool = Spool::open(dir.path(), "one").unwrap();
        let three = ["a@x.example", "b@x.example", "c@y.example"];
        let taken = spool.accept(mail(&three, b"Subject: a\r\n\r\n")).await.unwrap();
        let other = NewMail { org: "asso".into(), ..mail(&["d@x.example"], b"Subject: b\r\n\r\n") };
        spool.accept(other).await.unwrap();
        let moved = |index, lane, note: &str| Change::Move {
            mail: taken.mail.id,
            index,
            lane,
            next_at: 2000,
            note: Some(note.to_owned()),
        };
        let busy = "450 busy";
        spool
            .record(vec![moved(0, Lane::Normal, busy), moved(1, Lane::Held, busy), moved(2, Lane::Held, "held: why")])
            .await
            .unwrap();
        let sums = spool.sums(None).await.unwrap();
        let x = Sum {
            name: "x.example".into(),
            normal: 2,
            slow: 0,
            held: 1,
            oldest_at: 1000,
            next_at: sums.domains[0].next_at,
            note: Some(busy.to_owned()),
        };
        assert_eq!(sums.domains[0], x);
        assert_eq!(
            (&sums.domains[1].name[..], sums.domains[1].next_at),
            ("y.example", None),
            "what is held has no time"
        );
        let orgs: Vec<_> = sums.orgs.iter().map(|sum| (&sum.name[..], sum.normal, sum.held)).collect();
        assert_eq!(orgs, [("local", 1, 2), ("asso", 1, 0)]);
        let noted = |note: &str| Filter { note: Some(note.to_owned()), limit: 9, ..Filter::default() };
        for (note, want) in [("held: ", vec![2]), ("450", vec![0, 1]), ("50", vec![]), ("held: why not", vec![])] {
            let found = spool.list(noted(note)).await.unwrap();
            assert_eq!(found.iter().map(|found| found.recipient.index).collect::<Vec<_>>(), want, "{note}");
        }
        let own = spool.sums(Some("asso".into())).await.unwrap();
        assert_eq!((own.domains.len(), own.domains[0].normal, own.orgs.len()), (1, 1, 1));
        assert_eq!(own.domains[0].note, None, "its first try has not come yet");
    }
}
