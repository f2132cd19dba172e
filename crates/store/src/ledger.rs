//! The ledger: what happened, appended; and the views of it that every door asks.
//!
//! One thread owns the writing connection, another the reading one. The relay's happenings arrive through the spool's
//! outbox in batches ([`Ledger::absorb`]); each batch is one transaction together with how far that outbox was read.

pub mod addresses;
mod breaker;
pub(crate) mod canary;
pub mod counted;
mod domains;
pub(crate) mod erased;
mod event;
pub mod figures;
mod imported;
mod listed;
pub mod machines;
mod opening;
mod packed;
mod progress;
mod refused;
mod replay;
mod schema;
pub mod sends;
pub mod tail;
pub(crate) mod unknown;
mod verify;
mod views;
mod withdrawn;
mod worth;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use sm2tp_federation::tags::{KeyId, Tag};
use sm2tp_proto::Address;
use sm2tp_rules::classify::Classifier;
use sm2tp_rules::stream;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

pub(crate) use self::breaker::Bounced;
use self::breaker::Watching;
pub use self::breaker::{Breakers, Tripped, Verdict};
use self::canary::Canaries;
use self::counted::Counted;
pub use self::erased::{Kept, Whom};
pub use self::event::{Event, Subject};
pub(crate) use self::event::{domain, hour, kind};
use self::machines::Pictures;
pub use self::machines::{Area, News, Said};
pub use self::progress::Progress;
pub use self::refused::{RefusedExit, refused_exits};
use self::replay::Replaying;
pub use self::replay::{Change, Replay, Replayed};
#[cfg(feature = "postgres")]
pub(crate) use self::schema::{Table, prepare_shared, tables};
use self::tail::Tail;
pub use self::unknown::{UnknownReply, unknown_replies};
pub use self::verify::{Verified, verify};
pub use self::views::Views;
use self::withdrawn::Withdrawn;
use crate::refused::Refused;
use crate::sql::{self, Sql, SqlError, Value};
use crate::told::{Answer, Told, What};
use crate::webhooks::Hooks;
use crate::{now, returns};

/// A handle on the ledger; clones share it.
#[derive(Clone, Debug)]
pub struct Ledger {
    writer: mpsc::Sender<Job>,
    reader: mpsc::Sender<Job>,
    pictures: Pictures,
    watching: Arc<Mutex<Watching>>,
    progress: Progress,
    counted: Counted,
    tail: Tail,
}

type Job = Box<dyn FnOnce(&mut dyn Sql) + Send>;

/// Why the ledger did not do it. Nothing is lost: what the relay told stays in its outbox (I8).
#[derive(Debug, Error)]
pub enum LedgerError {
    #[error(transparent)]
    Sql(#[from] SqlError),
    #[error("the ledger is closed")]
    Closed,
    #[error("the ledger's thread cannot be started: {0}")]
    Thread(#[from] std::io::Error),
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Something of this machine, which who asked cannot put right.
    #[error("{0}")]
    Failed(String),
}

impl LedgerError {
    /// Whether it is the database that is missing: what was asked can be asked again.
    #[must_use]
    pub fn is_away(&self) -> bool {
        matches!(self, Self::Sql(error) if error.is_away())
    }
}

/// Whether the pair of sender and recipient is kept in clear for a while (R4, R11).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendLog {
    Keep,
    Off,
    /// It is not, and nobody is told: what is read happened long ago.
    Past,
}

/// Computes the tag under which an address is kept now; none for an address that has no normal form.
pub type Tagger<'a> = &'a dyn Fn(&Address) -> Option<(KeyId, Tag)>;

impl Ledger {
    #[must_use]
    pub fn views(&self) -> &Views {
        &self.pictures.views
    }

    /// How far the views were made again, while they are.
    #[must_use]
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// What happened since the start.
    #[must_use]
    pub fn counted(&self) -> &Counted {
        &self.counted
    }

    /// What happens, for whoever looks.
    #[must_use]
    pub fn tail(&self) -> &Tail {
        &self.tail
    }

    /// Runs `work`, which changes webhooks, as one transaction; from then on happenings wait for those that there are.
    pub(crate) async fn change_hooks<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn Sql) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let pictures = self.pictures.clone();
        ask(&self.writer, move |connection| {
            let value = pictures.transaction(connection, work)?;
            pictures.hooks.load(connection)?;
            Ok(value)
        })
        .await
    }

    /// Which organisations have webhooks.
    pub(crate) fn hooks(&self) -> &Hooks {
        &self.pictures.hooks
    }

    /// The providers that are not believed at the moment.
    #[must_use]
    pub fn breakers(&self) -> &Breakers {
        &self.pictures.breakers
    }

    /// A person decides about a provider that is not believed. Answers with the number of refusals that count now.
    ///
    /// # Errors
    /// [`LedgerError`] where it is believed, or nothing can be written.
    pub async fn decide(&self, provider: String, verdict: Verdict, now: u64) -> Result<usize, LedgerError> {
        let pictures = self.pictures.clone();
        ask(&self.writer, move |connection| {
            let events = pictures.transaction(connection, |sql| breaker::decide(sql, &provider, verdict, now))?;
            pictures.views.follow(&events);
            pictures.breakers.load(connection)?;
            Ok(events.len())
        })
        .await
    }

    /// Runs `work` as one transaction on the writing connection.
    ///
    /// # Errors
    /// The error of `work` or of the commit; then nothing of it was kept.
    pub async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn Sql) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let pictures = self.pictures.clone();
        ask(&self.writer, move |connection| pictures.transaction(connection, work)).await
    }

    /// Runs `question` on the reading connection, which sees every commit.
    ///
    /// # Errors
    /// The error of `question`.
    pub async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut dyn Sql) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        ask(&self.reader, move |connection| question(connection)).await
    }

    /// The number of the last entry that was taken from this source; 0: none was.
    ///
    /// # Errors
    /// [`LedgerError`] where it cannot be read.
    pub async fn read_to(&self, source: &str) -> Result<u64, LedgerError> {
        let source = self.pictures.source(source);
        self.read(move |sql| {
            let last = "SELECT last FROM read_to WHERE source = $1";
            Ok(sql::first(sql, last, &[source.as_str().into()], |row| row.uint(0))?.unwrap_or(0))
        })
        .await
    }

    /// Takes a batch of an outbox: events, counters, views and send log in one transaction. What was taken before is
    /// skipped, so a batch may be offered again after a crash. Answers with the events about recipients, for those who
    /// publish them.
    ///
    /// # Errors
    /// [`LedgerError`]: nothing was taken; offer the batch again.
    pub async fn absorb(
        &self,
        source: &str,
        batch: Vec<(u64, Told)>,
        send_log: SendLog,
        tagger: impl Fn(&Address) -> Option<(KeyId, Tag)> + Send + 'static,
        publish: impl FnMut(&mut dyn Sql, &Told, &Event) -> Result<(), SqlError> + Send + 'static,
    ) -> Result<(), LedgerError> {
        let (source, pictures, counted) = (self.pictures.source(source), self.pictures.clone(), self.counted.clone());
        let (watching, tail) = (self.watching.clone(), self.tail.clone());
        ask(&self.writer, move |connection| {
            let views = &pictures.views;
            let Absorbed { recipients: events, others, read } = pictures.transaction(connection, |sql| {
                absorb(sql, (&source, &batch), send_log, (views, &pictures.hooks), &tagger, publish)
            })?;
            counted.add(&others);
            let fresh = batch.iter().filter(|(number, _)| read < *number).map(|(_, told)| told);
            if send_log != SendLog::Past {
                tail.hear(fresh.clone(), now());
            }
            let mut watching = watching.lock().unwrap_or_else(PoisonError::into_inner);
            let erring = watching.hear(fresh, &events, (views, &pictures.breakers));
            views.follow(&events);
            erring.iter().try_for_each(|provider| watching.trip(connection, provider, &pictures))
        })
        .await
    }

    /// Appends events that no relay told: a person's decisions, and stops at a door.
    ///
    /// # Errors
    /// [`LedgerError`]: none of them was kept.
    pub async fn append(&self, events: Vec<Event>) -> Result<(), LedgerError> {
        let (pictures, counted) = (self.pictures.clone(), self.counted.clone());
        ask(&self.writer, move |connection| {
            let (recipients, others): (Vec<_>, Vec<_>) =
                events.into_iter().partition(|event| event.subject == Subject::Recipient);
            // Whoever is refused a thousand times in a second is one line.
            let others = Event::together(others);
            pictures.transaction::<_, SqlError>(connection, |sql| {
                recipients.iter().chain(&others).try_for_each(|event| put(sql, event))?;
                add_up(sql, recipients.iter().chain(&others))
            })?;
            counted.add(&others);
            pictures.views.follow(&recipients);
            Ok::<_, LedgerError>(())
        })
        .await
    }

    /// Runs `work` as one transaction that keeps events itself and answers with them, so that the views follow.
    ///
    /// # Errors
    /// The error of `work` or of the commit; then nothing of it was kept.
    pub(crate) async fn settle<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn Sql) -> Result<(Vec<Event>, T), LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        self.settle_report(move |sql| work(sql).map(|(events, answer)| (events, None, answer))).await
    }

    /// As [`Self::settle`], for what a report says: a provider that errs in bulk in its reports is not believed either.
    ///
    /// # Errors
    /// The error of `work` or of the commit; then nothing of it was kept.
    pub(crate) async fn settle_report<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn Sql) -> Result<(Vec<Event>, Option<Bounced>, T), LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let (pictures, watching) = (self.pictures.clone(), self.watching.clone());
        let counted = self.counted.clone();
        ask(&self.writer, move |connection| {
            let (views, breakers) = (&pictures.views, &pictures.breakers);
            let (events, bounced, answer) = pictures.transaction(connection, work)?;
            counted.add(&events);
            let mut watching = watching.lock().unwrap_or_else(PoisonError::into_inner);
            let erring = bounced.map(|bounced| watching.hear_report(&bounced, &events, (views, breakers)));
            views.follow(&events);
            let erring = erring.unwrap_or_default();
            erring.iter().try_for_each(|provider| watching.trip(connection, provider, &pictures))?;
            Ok(answer)
        })
        .await
    }

    /// Removes what the send log holds from before `before` (unix seconds); answers with the number of entries.
    ///
    /// # Errors
    /// [`LedgerError`]: it will be tried again.
    pub async fn prune_send_log(&self, before: u64) -> Result<usize, LedgerError> {
        self.write(move |sql| Ok(sql.execute("DELETE FROM send_log WHERE at < $1", &[before.into()])?)).await
    }

    /// Makes days of the hours that are old enough, and forgets days that are too old. `now` in unix seconds.
    ///
    /// # Errors
    /// [`LedgerError`]: it will be tried again.
    pub async fn roll_up(&self, now: u64) -> Result<(), LedgerError> {
        self.write(move |sql| {
            canary::forget(sql, now)?;
            Ok(figures::roll_up(sql, now)?)
        })
        .await
    }

    /// Reads the answers of the send log again with `rules`, and with [`Replay::Apply`] records what they mean now.
    /// `tags` answers with the tags that an address may have been recorded under, the one of today first.
    ///
    /// # Errors
    /// [`LedgerError`]: pages before it were recorded; the views are made again at the next replay or rebuild.
    pub async fn replay(
        &self,
        rules: Arc<Classifier>,
        mode: Replay,
        tags: impl Fn(&Address) -> Vec<(KeyId, Tag)> + Send + 'static,
    ) -> Result<Replayed, LedgerError> {
        let connection = if mode == Replay::Apply { &self.writer } else { &self.reader };
        let pictures = self.pictures.clone();
        let replayed = ask(connection, move |connection| {
            let mut replaying = Replaying::new(&rules, &tags, mode);
            match mode {
                Replay::Show => while replaying.page(connection)? {},
                Replay::Apply => while pictures.transaction(connection, |sql| replaying.page(sql))? {},
            }
            Ok::<_, LedgerError>(replaying.finish())
        })
        .await?;
        if mode == Replay::Apply && replayed.changed != 0 {
            self.rebuild().await?;
        }
        Ok(replayed)
    }

    /// Empties the views and makes them again from the events (I3). Answers with the number of events read.
    ///
    /// # Errors
    /// [`LedgerError`]: the views are as they were.
    pub async fn rebuild(&self) -> Result<u64, LedgerError> {
        let (pictures, progress) = (self.pictures.clone(), self.progress.clone());
        ask(&self.writer, move |connection| {
            let count = pictures.transaction::<_, LedgerError>(connection, |sql| Ok(rebuild(sql, &progress)?))?;
            pictures.views.load(connection)?;
            Ok(count)
        })
        .await
    }
}

/// What a batch brought.
struct Absorbed {
    /// Events about recipients.
    recipients: Vec<Event>,
    /// Events about senders and sites.
    others: Vec<Event>,
    /// The number up to which the source had been taken before.
    read: u64,
}

fn absorb(
    sql: &mut dyn Sql,
    (source, batch): (&str, &[(u64, Told)]),
    send_log: SendLog,
    (views, hooks): (&Views, &Hooks),
    tagger: Tagger<'_>,
    mut publish: impl FnMut(&mut dyn Sql, &Told, &Event) -> Result<(), SqlError>,
) -> Result<Absorbed, LedgerError> {
    let read = sql::first(sql, "SELECT last FROM read_to WHERE source = $1", &[source.into()], |row| row.uint(0))?;
    let (read, now) = (read.unwrap_or(0), now());
    let (mut recipients, mut others) = (Vec::new(), Vec::new());
    let mut any_refused = refused::any(sql)?;
    let mut canaries = Canaries::read(sql)?;
    for (_, told) in batch.iter().filter(|(number, _)| read < *number) {
        let address = told.recipient.as_deref().and_then(|text| Address::parse(text).ok());
        let tag = address.as_ref().and_then(tagger);
        for event in Event::from_told(told, address.as_ref(), tag) {
            if event.subject == Subject::Recipient {
                put(sql, &event)?;
                // Others hear what is known of the address only.
                if event.kind != "refused" {
                    publish(sql, told, &event)?;
                }
                recipients.push(event);
            } else {
                others.push(event);
            }
        }
        if send_log == SendLog::Keep {
            log(sql, told)?;
        }
        if send_log != SendLog::Past {
            hooks.enqueue(sql, told, now)?;
        }
        unknown::count(sql, told, tag.map(|(_, tag)| tag))?;
        refused::note(sql, &mut any_refused, told, address.as_ref())?;
        if let Some((address, tag)) = address.as_ref().zip(tag) {
            let line = if send_log == SendLog::Keep && told.token.is_some() { last_line(sql)? } else { None };
            let before = views.evidence(&tag.1).unwrap_or_default();
            returns::keep(sql, told, (tag, address.domain().as_str()), line, &before)?;
            others.extend(canaries.follow(sql, told, tag.1)?);
            if matches!(told.what, What::Stopped { federated: true, .. }) {
                put(sql, &Event::spared(tag, address.domain(), told.at))?;
            }
        }
    }
    let others = Event::together(others);
    others.iter().try_for_each(|event| put(sql, event))?;
    add_up(sql, recipients.iter().chain(&others))?;
    if let Some((last, _)) = batch.last() {
        sql.execute(
            "INSERT INTO read_to (source, last) VALUES ($1, $2) ON CONFLICT (source) DO UPDATE SET last = excluded.last",
            &[source.into(), (*last).max(read).into()],
        )?;
    }
    Ok(Absorbed { recipients, others, read })
}

pub(crate) fn keep(sql: &mut dyn Sql, event: &Event) -> Result<(), SqlError> {
    put(sql, event)?;
    add_up(sql, [event])
}

/// The views that are written once for many events.
fn add_up<'a>(sql: &mut dyn Sql, events: impl IntoIterator<Item = &'a Event, IntoIter: Clone>) -> Result<(), SqlError> {
    let events = events.into_iter();
    addresses::put(sql, events.clone())?;
    figures::count(sql, events)
}

/// Keeps an event that is counted with others.
fn put(sql: &mut dyn Sql, event: &Event) -> Result<(), SqlError> {
    if event.kind == canary::SPARED && !event.spare(sql)? {
        return Ok(());
    }
    event.insert(sql)?;
    event.apply(sql)
}

/// As [`keep`], for events that strangers can bring about as often as they like.
pub(crate) fn tally(sql: &mut dyn Sql, event: &Event) -> Result<(), SqlError> {
    event.tally(sql)
}

fn rebuild(sql: &mut dyn Sql, progress: &Progress) -> Result<u64, SqlError> {
    let total = sql::first(sql, "SELECT COUNT(*) FROM event", &[], |row| row.uint(0))?.unwrap_or(0);
    let progress = progress.begin(total);
    for table in schema::VIEW_TABLES {
        sql.execute(&format!("DELETE FROM {table}"), &[])?;
    }
    sql::all(sql, event::TALLY, &[], Event::of_tally)?.iter().try_for_each(|event| event.apply(sql))?;
    let withdrawn = Withdrawn::read(sql)?;
    let (mut after, mut count) = (0, 0);
    loop {
        let query = format!("SELECT {}, id FROM event WHERE id > $1 ORDER BY id LIMIT $2", event::COLUMNS);
        let page = sql::all(sql, &query, &[Value::from(after), REBUILD_PAGE.into()], |row| {
            Ok((row.uint(20)?, Event::read(row)?))
        })?;
        let Some((last, _)) = page.last() else { break };
        after = *last;
        count += page.len() as u64;
        let believed = || page.iter().filter(|(id, event)| !withdrawn.covers(*id, event)).map(|(_, event)| event);
        believed().try_for_each(|event| event.apply(sql))?;
        add_up(sql, believed())?;
        progress.at(count);
    }
    figures::roll_up_again(sql)?;
    Ok(count)
}

/// The send log (R4): the pair in clear, for as long as its retention says.
pub(crate) fn log(sql: &mut dyn Sql, told: &Told) -> Result<(), SqlError> {
    let words = || match told.what {
        What::Accepted { by: Some(by), .. } => format!("accepted as {}", stream::Kind { stream: told.stream, by }),
        _ => told.kind().to_owned(),
    };
    let answer = told.answer().cloned().unwrap_or_else(|| Answer { text: words(), ..Answer::default() });
    let verdict = answer.verdict.as_ref();
    let weakened = if let What::Returned { weakened, .. } = told.what { Some(weakened) } else { None };
    sql.execute(
        "INSERT INTO send_log (at, org, login, stream, mail, message_id, mail_from, recipient, kind, mx, stage, code, \
         enhanced, text, cause, rule, exit, sub, fate, strength, expired, provider, rules, weakened) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, \
         $24)",
        &[
            told.at.into(),
            told.org.as_str().into(),
            told.login.as_deref().into(),
            told.stream.as_str().into(),
            told.mail.into(),
            told.message_id.as_deref().into(),
            told.mail_from.as_deref().into(),
            told.recipient.as_deref().into(),
            told.kind().into(),
            answer.mx.as_deref().into(),
            answer.stage.map(sm2tp_rules::Stage::as_str).into(),
            answer.code.map(u32::from).into(),
            answer.enhanced.map(|enhanced| enhanced.to_string()).into(),
            answer.text.as_str().into(),
            verdict.map(|verdict| verdict.cause.as_str()).into(),
            verdict.map(|verdict| verdict.rule.as_str()).into(),
            answer.exit.as_deref().into(),
            verdict.and_then(|verdict| verdict.sub.as_deref()).into(),
            verdict.map(|verdict| verdict.fate.as_str()).into(),
            verdict.map(|verdict| verdict.strength.as_str()).into(),
            matches!(told.what, What::Bounced { expired: true, .. }).into(),
            answer.provider.as_deref().into(),
            verdict.and_then(|verdict| verdict.rules.as_deref()).into(),
            weakened.into(),
        ],
    )?;
    Ok(())
}

/// The number of the line that was written last.
fn last_line(sql: &mut dyn Sql) -> Result<Option<u64>, SqlError> {
    sql::first(sql, "SELECT MAX(id) FROM send_log", &[], |row| row.uint(0))
}

/// Starts a thread that opens a connection and runs what it is sent. Answers when it is open.
fn owner(
    name: &str,
    open: impl FnOnce() -> Result<Box<dyn Sql>, LedgerError> + Send + 'static,
) -> Result<mpsc::Sender<Job>, LedgerError> {
    let (jobs, mut waiting) = mpsc::channel::<Job>(JOBS_MAX);
    let (to, opened) = std::sync::mpsc::sync_channel(1);
    thread::Builder::new().name(name.into()).spawn(move || {
        let mut connection = match open() {
            Ok(connection) => connection,
            Err(error) => return drop(to.send(Err(error))),
        };
        drop(to.send(Ok(())));
        while let Some(job) = waiting.blocking_recv() {
            job(&mut *connection);
        }
    })?;
    opened.recv().map_err(|_| LedgerError::Closed)??;
    Ok(jobs)
}

async fn ask<T: Send + 'static>(
    owner: &mpsc::Sender<Job>,
    work: impl FnOnce(&mut dyn Sql) -> Result<T, LedgerError> + Send + 'static,
) -> Result<T, LedgerError> {
    let (to, answer) = oneshot::channel();
    // The asker may have gone; then the work is done all the same and nobody hears of it.
    let job: Job = Box::new(move |connection| drop(to.send(work(connection))));
    owner.send(job).await.map_err(|_| LedgerError::Closed)?;
    answer.await.map_err(|_| LedgerError::Closed)?
}

/// The path of the ledger inside a data directory.
#[must_use]
pub fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("ledger.sqlite")
}

/// Jobs that wait for a connection's thread; beyond it askers wait, and the relay keeps its outbox.
const JOBS_MAX: usize = 256;
/// Events that a rebuild holds in memory at once.
const REBUILD_PAGE: u64 = 10_000;

#[cfg(test)]
mod tests {
    use sm2tp_rules::suppress::Recipient;
    use sm2tp_rules::{Cause, Fate, Scope, Stream, Streams, Strength};

    use super::*;
    use crate::testing::TempDir;
    use crate::told::Verdict;

    fn tagger(address: &Address) -> Option<(KeyId, Tag)> {
        let mut tag = [0; 16];
        let clear = address.clear();
        let len = clear.len().min(16);
        tag[..len].copy_from_slice(&clear.as_bytes()[..len]);
        tag[0] ^= 0xff;
        Some((KeyId([1; 8]), Tag(tag)))
    }

    fn told(recipient: &str, what: What) -> Told {
        Told {
            v: Told::VERSION,
            at: 1_800_000_123,
            org: "asso".into(),
            login: Some("news".into()),
            stream: Stream::Bulk,
            mail: 1,
            message_id: Some("1@asso.example".into()),
            mail_from: Some("news@asso.example".into()),
            recipient: Some(recipient.into()),
            token: None,
            report: false,
            what,
        }
    }

    fn refused(recipient: &str) -> Told {
        let verdict = Verdict {
            cause: Cause::Address,
            sub: None,
            fate: Fate::Final,
            scope: Scope::Recipient,
            strength: Strength::Strong,
            rule: "test".into(),
            rules: None,
        };
        let answer = Answer {
            code: Some(550),
            text: format!("5.1.1 <{recipient}> unknown"),
            verdict: Some(verdict),
            ..Answer::default()
        };
        told(recipient, What::Bounced { answer, expired: false })
    }

    async fn counters(ledger: &Ledger) -> Vec<(String, String, u64)> {
        ledger
            .read(|sql| {
                Ok(sql::all(sql, "SELECT kind, cause, count FROM counter ORDER BY kind, cause", &[], |row| {
                    Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned(), row.uint(2)?))
                })?)
            })
            .await
            .unwrap()
    }

    async fn absorb(ledger: &Ledger, batch: Vec<(u64, Told)>) {
        ledger.absorb("spool", batch, SendLog::Keep, tagger, |_, _, _| Ok(())).await.unwrap();
    }

    #[tokio::test]
    async fn a_batch_counts_once_and_the_views_can_be_rebuilt() {
        let dir = TempDir::new();
        let ledger = crate::testing::ledger(dir.path());
        let batch = vec![
            (1, told("jean@x.example", What::Accepted { recipients: 2, by: None })),
            (2, told("jean@x.example", What::Delivered { answer: Answer::default() })),
            (3, refused("paul@x.example")),
            (4, told("anna@x.example", What::Delivered { answer: Answer::default() })),
        ];
        absorb(&ledger, batch.clone()).await;
        absorb(&ledger, batch).await;
        let want = [("accepted", "", 2), ("bounced", "address", 1), ("delivered", "", 2)];
        let want: Vec<_> = want.iter().map(|(k, c, n)| (k.to_string(), c.to_string(), *n)).collect();
        assert_eq!(counters(&ledger).await, want);
        let paul = tagger(&Address::parse("paul@x.example").unwrap()).unwrap().1;
        let before = ledger.views().recipient(&[paul], "asso");
        assert!(before.own.hard_strong);

        // Three about addresses; two deliveries of one sender to one site are one line for each of them.
        assert_eq!(ledger.rebuild().await.unwrap(), 3 + 3 + 2);
        assert_eq!(counters(&ledger).await, want);
        assert_eq!(ledger.views().recipient(&[paul], "asso"), before);
        drop(ledger);
        let ledger = crate::testing::ledger(dir.path());
        assert_eq!(ledger.views().recipient(&[paul], "asso"), before);
    }

    #[tokio::test]
    async fn the_yes_of_a_smart_host_proves_nothing_about_the_address() {
        let dir = TempDir::new();
        let ledger = crate::testing::ledger(dir.path());
        let delivered = |relayed| What::Delivered { answer: Answer { relayed, ..Answer::default() } };
        let known = |recipient: &str| {
            let tag = tagger(&Address::parse(recipient).unwrap()).unwrap().1;
            ledger.views().evidence(&tag).is_some_and(|evidence| evidence.delivered_at != 0)
        };
        absorb(
            &ledger,
            vec![(1, told("jean@x.example", delivered(true))), (2, told("paul@x.example", delivered(false)))],
        )
        .await;
        assert_eq!((known("jean@x.example"), known("paul@x.example")), (false, true));
        assert_eq!(counters(&ledger).await, [("delivered".to_owned(), String::new(), 2)]);
    }

    #[tokio::test]
    async fn the_send_log_goes_with_its_time_or_is_never_kept() {
        let dir = TempDir::new();
        let ledger = crate::testing::ledger(dir.path());
        let count = |ledger: Ledger| async move {
            let query = "SELECT COUNT(*) FROM send_log";
            ledger.read(move |sql| Ok(sql::first(sql, query, &[], |row| row.uint(0))?)).await.unwrap()
        };
        let answer = Answer { exit: Some("main".into()), ..Answer::default() };
        absorb(&ledger, vec![(1, told("jean@x.example", What::Delivered { answer }))]).await;
        let exit = "SELECT exit FROM send_log";
        let exit = ledger.read(move |sql| Ok(sql::first(sql, exit, &[], |row| Ok(row.text(0)?.to_owned()))?)).await;
        assert_eq!(exit.unwrap().as_deref(), Some("main"));
        ledger
            .absorb("spool", vec![(2, refused("paul@x.example"))], SendLog::Off, tagger, |_, _, _| Ok(()))
            .await
            .unwrap();
        assert_eq!(count(ledger.clone()).await, Some(1));
        assert_eq!(ledger.prune_send_log(1_800_000_123).await.unwrap(), 0);
        assert_eq!(ledger.prune_send_log(1_800_000_124).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_person_can_list_and_release() {
        let dir = TempDir::new();
        let ledger = crate::testing::ledger(dir.path());
        let jean = tagger(&Address::parse("jean@x.example").unwrap()).unwrap();
        let event = |kind: &str, org: Option<&str>| Event {
            recipient: Some(jean),
            org: org.map(str::to_owned),
            ..Event::new(5, Subject::Recipient, kind)
        };
        let facts = |ledger: &Ledger| ledger.views().recipient(&[jean.1], "asso");
        ledger.append(vec![event("suppress", None), event("optout", Some("asso"))]).await.unwrap();
        assert!(facts(&ledger).node.suppressed == Streams::ALL && facts(&ledger).opted_out);
        assert!(!ledger.views().recipient(&[jean.1], "other").opted_out);
        ledger.append(vec![event("unsuppress", None), event("unoptout", Some("asso"))]).await.unwrap();
        assert_eq!(facts(&ledger), Recipient::default());
        ledger.rebuild().await.unwrap();
        assert_eq!(facts(&ledger), Recipient::default());
    }

    #[tokio::test]
    async fn lists_are_kept_for_node_and_org_and_by_stream() {
        let dir = TempDir::new();
        let ledger = crate::testing::ledger(dir.path());
        let jean = tagger(&Address::parse("jean@x.example").unwrap()).unwrap();
        let event = |kind: &str, org: Option<&str>, stream: Option<Stream>| Event {
            recipient: Some(jean),
            org: org.map(str::to_owned),
            stream: stream.map(|stream| stream.to_string()),
            ..Event::new(5, Subject::Recipient, kind)
        };
        // After each step the views must be what the tables give.
        let check = async |org: &str, node: &str, of_org: (&str, &str)| {
            let set = |text: &str| text.parse::<Streams>().unwrap();
            let want = (set(node), set(of_org.0), set(of_org.1));
            for _ in 0..2 {
                let found = ledger.views().recipient(&[jean.1], org);
                assert_eq!((found.node.suppressed, found.org.suppressed, found.org.allowed), want, "{org}");
                ledger.rebuild().await.unwrap();
            }
        };
        ledger.append(vec![event("suppress", Some("asso"), Some(Stream::Bulk))]).await.unwrap();
        check("asso", "none", ("bulk", "none")).await;
        check("other", "none", ("none", "none")).await;
        ledger.append(vec![event("suppress", None, None), event("allow", Some("asso"), None)]).await.unwrap();
        check("asso", "personal transactional bulk forwarded", ("bulk", "personal transactional bulk forwarded")).await;
        ledger.append(vec![event("unsuppress", None, Some(Stream::Personal))]).await.unwrap();
        ledger.append(vec![event("unsuppress", None, Some(Stream::Forwarded))]).await.unwrap();
        check("other", "transactional bulk", ("none", "none")).await;
        ledger.append(vec![event("unsuppress", None, None), event("unsuppress", Some("asso"), None)]).await.unwrap();
        check("asso", "none", ("none", "personal transactional bulk forwarded")).await;
    }

    /// I2 and R11: outside the send log, nothing that is stored names an address or pairs it with a sender.
    #[tokio::test]
    async fn no_clear_address_and_no_pair_stand_in_the_ledger() {
        let dir = TempDir::new();
        let ledger = Ledger::open(&path(dir.path())).unwrap();
        absorb(&ledger, vec![(1, refused("jean.dupont@x.example"))]).await;
        ledger.write(|sql| Ok(sql.execute("DELETE FROM send_log", &[])?)).await.unwrap();
        let pairs = ledger
            .read(|sql| {
                let query =
                    "SELECT COUNT(*) FROM event WHERE tag IS NOT NULL AND (org IS NOT NULL OR login IS NOT NULL)";
                Ok(sql::first(sql, query, &[], |row| row.uint(0))?)
            })
            .await
            .unwrap();
        assert_eq!(pairs, Some(0));
        ledger.write(|_| Ok(())).await.unwrap();
        drop(ledger);
        let connection = rusqlite::Connection::open(path(dir.path())).unwrap();
        connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE); VACUUM;").unwrap();
        drop(connection);
        let octets = std::fs::read(path(dir.path())).unwrap();
        assert!(!octets.windows(11).any(|w| w.eq_ignore_ascii_case(b"jean.dupont")));
    }
}
