//! The one writer of a spool: takes what waits, writes it as a group, syncs once, answers all (I4).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::oneshot;

use super::bodies::{self, Bodies, BodyAt, End};
use super::entry::{Changed, Entry, Envelope, Kept, Step};
use super::mail::{Change, NewMail, Queued};
use super::rows::Mark;
use super::unfolded::{self, Unfolded};
use super::{Behind, SpoolError, rows};
use crate::overwritten::overwrite;

/// What can be asked of the writer.
pub(super) enum Job {
    Promise(Promise),
    Question(Question),
}

/// What is written, and answered after the sync.
pub(super) enum Promise {
    Accept(Box<NewMail>, To<Queued>),
    /// Answers with the reports that were queued.
    Record(Arc<[Change]>, To<Vec<Queued>>),
    OutboxTaken(u64, To<()>),
}

/// What is asked of the rows, and of what is not in them.
pub(super) enum Question {
    /// A mail whose rows are behind, and where its content lies.
    Find(u64, To<(Queued, BodyAt)>),
    /// Brings the rows up to what was promised.
    Fold(To<()>),
    /// Outbox entries that nobody can read.
    SetAside(Vec<u64>, To<()>),
    /// Octets that the rows do not hold any more, and that no file is to hold.
    Overwrite(Vec<Vec<u8>>, To<()>),
}

/// The way of an answer. The asker may have hung up; its mail is safe all the same, and it will ask again.
pub(super) type To<T> = oneshot::Sender<Result<T, SpoolError>>;

pub(super) struct Writer {
    connection: Connection,
    bodies: Bodies,
    /// What the rows do not know yet.
    unfolded: Unfolded,
    /// Of this, what others must know.
    behind: Arc<Mutex<Behind>>,
    folded_at: Instant,
    /// Where the files ended then.
    folded_to: End,
    next: Numbers,
    /// Octets that must stay free on the disk after new mail is taken.
    free_min: u64,
    /// Set by the first failed sync: from then on nothing is promised any more.
    stopped: bool,
    /// The last group could not be written; said once, not for each mail that a full disk refuses.
    in_trouble: bool,
    /// Groups until compaction is tried again after it failed.
    rest: u32,
    /// The rows could not be brought up the last time.
    fold_failed: bool,
    /// How long the last group took to be written and synced; none before the first.
    took: Option<Duration>,
}

/// The next numbers: of mails, and of what the ledger is told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbers {
    pub mail: u64,
    pub told: u64,
}

/// A job as it was written: its own numbers, and the mails that it puts into the queue.
struct Planned {
    told: u64,
    kept: Vec<Kept>,
}

/// The answer to a promise, when all of its group is done.
enum Answer {
    Accepted(To<Queued>, Queued),
    Recorded(To<Vec<Queued>>, Vec<Queued>),
    Taken(To<()>),
}

impl Writer {
    pub(super) fn new(
        connection: Connection,
        bodies: Bodies,
        (unfolded, next): (Unfolded, Numbers),
        behind: Arc<Mutex<Behind>>,
        free_min: u64,
    ) -> Self {
        Self {
            connection,
            bodies,
            unfolded,
            behind,
            folded_at: Instant::now(),
            folded_to: End::default(),
            next,
            free_min,
            stopped: false,
            in_trouble: false,
            rest: 0,
            fold_failed: false,
            took: None,
        }
    }

    /// Whether a caller may wait for a group on its own thread: where the disk is slow, others on that thread would wait, too.
    pub(super) fn is_quick(&self) -> bool {
        self.took.is_some_and(|took| took < QUICK)
    }

    /// Nothing comes for a while: content that nobody needs any more does not stay until its file is full.
    pub(super) fn idle(&mut self) {
        if !self.stopped && self.bodies.retire() {
            self.fold_and_say();
        }
        self.tidy();
    }

    /// Does these jobs, answers each, and tidies up.
    pub(super) fn serve(&mut self, jobs: Vec<Job>) {
        self.lead(jobs);
        self.tidy();
    }

    /// Does these jobs and answers each. What can wait is left for [`Writer::serve`].
    pub(super) fn lead(&mut self, jobs: Vec<Job>) {
        let (mut promises, mut questions) = (Vec::with_capacity(jobs.len()), Vec::new());
        for job in jobs {
            match job {
                Job::Promise(promise) => promises.push(promise),
                Job::Question(question) => questions.push(question),
            }
        }
        let promises = self.turn_away(promises);
        if !promises.is_empty() {
            self.promise(promises);
        }
        questions.into_iter().for_each(|question| self.answer(question));
        if !self.stopped {
            self.bodies.roll();
        }
    }

    /// Refuses new mail while the disk is nearly full: what is left is for results and reports, without which nothing
    /// could leave the queue and make room. And while the rows are far behind, because a start would take as long.
    fn turn_away(&self, jobs: Vec<Promise>) -> Vec<Promise> {
        let behind = SpoolError::Behind { steps: self.unfolded.count() };
        if self.stopped {
            return refuse(jobs, |_| true, &SpoolError::Stopped);
        }
        if RESULTS_UNFOLDED_MAX < self.unfolded.count() {
            return refuse(jobs, |_| true, &behind);
        }
        if !jobs.iter().any(Promise::is_accept) {
            return jobs;
        }
        let place = self.bodies.place();
        let free = place.disk.free(&place.dir).unwrap_or(u64::MAX);
        if free < self.free_min {
            refuse(jobs, Promise::is_accept, &SpoolError::Full { free, min: self.free_min })
        } else if UNFOLDED_MAX < self.unfolded.count() {
            refuse(jobs, Promise::is_accept, &behind)
        } else {
            jobs
        }
    }

    fn answer(&mut self, question: Question) {
        // A spool that is stopped knows nothing for sure.
        let open = if self.stopped { Err(SpoolError::Stopped) } else { Ok(()) };
        match question {
            Question::Find(mail, to) => {
                drop(to.send(open.and_then(|()| self.unfolded.find(&self.connection, mail))));
            }
            Question::Fold(to) => drop(to.send(open.and_then(|()| self.fold(&[])))),
            Question::SetAside(ids, to) => drop(to.send(open.and_then(|()| self.fold(&ids)))),
            Question::Overwrite(gone, to) => drop(to.send(open.and_then(|()| self.overwrite(&gone)))),
        }
    }

    /// Writes jobs as one group and answers them.
    fn promise(&mut self, jobs: Vec<Promise>) {
        let (mut written, began) = (Vec::new(), Instant::now());
        match self.write(&jobs, &mut written) {
            Ok(planned) => {
                self.took = Some(began.elapsed());
                let answers = jobs.into_iter().zip(planned).map(|(job, planned)| self.follow(job, planned));
                let answers: Vec<Answer> = answers.collect();
                self.show();
                answers.into_iter().for_each(Answer::send);
                if std::mem::take(&mut self.in_trouble) {
                    tracing::info!("the spool writes again");
                }
            }
            Err(error) => {
                self.stopped |= matches!(error, SpoolError::Sync(_));
                if self.stopped || !std::mem::replace(&mut self.in_trouble, true) {
                    tracing::error!(%error, jobs = jobs.len(), "the spool could not write; nothing of this group was accepted");
                }
                self.bodies.abandon(&written);
                self.after_failure(jobs, &error);
            }
        }
    }

    /// One job that cannot be written must not fail its neighbours: after a failed group each job is tried by itself.
    /// Where the disk is the trouble, new mail is refused and results alone are tried: they take little, and free some.
    fn after_failure(&mut self, jobs: Vec<Promise>, error: &SpoolError) {
        if self.stopped || jobs.len() == 1 {
            refuse(jobs, |_| true, error);
        } else if !error.is_storage() {
            jobs.into_iter().for_each(|job| self.promise(vec![job]));
        } else {
            let count = jobs.len();
            let others = refuse(jobs, Promise::is_accept, error);
            if others.len() == count {
                refuse(others, |_| true, error);
            } else if !others.is_empty() {
                self.promise(others);
            }
        }
    }

    /// Each job's bodies and then its entry, one sync for all. What follows from them cannot fail.
    fn write(&mut self, jobs: &[Promise], written: &mut Vec<BodyAt>) -> Result<Vec<Planned>, SpoolError> {
        let planned = jobs.iter().map(|job| self.plan(job, written)).collect::<Result<Vec<_>, _>>()?;
        self.bodies.sync()?;
        Ok(planned)
    }

    /// Shows readers what was done.
    fn show(&mut self) {
        self.unfolded.released().into_iter().for_each(|body| self.bodies.release(body));
        let mut behind = self.behind.lock().unwrap_or_else(PoisonError::into_inner);
        behind.untaken.push(self.unfolded.told());
        behind.untaken.take(self.unfolded.taken());
        behind.mails.extend(self.unfolded.touched());
    }

    /// Adds a job to the group. Its numbers are used up, whether the group can be written or not.
    fn plan(&mut self, job: &Promise, written: &mut Vec<BodyAt>) -> Result<Planned, SpoolError> {
        let mut planned = Planned { told: self.next.told, kept: Vec::new() };
        let mut keep = |mail: &NewMail, writer: &mut Self| -> Result<Kept, SpoolError> {
            let id = writer.next.mail;
            writer.next.mail += 1;
            let kept = (id, writer.bodies.append(id, &mail.content)?);
            written.push(kept.1);
            planned.kept.push(kept);
            Ok(kept)
        };
        let step = match job {
            Promise::Accept(mail, _) => {
                self.next.told += unfolded::told_of(mail);
                Step::Mail(Envelope::new(mail, keep(mail, self)?))
            }
            Promise::Record(changes, _) => {
                let mut stored = Vec::with_capacity(changes.len());
                for change in &**changes {
                    self.next.told += unfolded::told_max(change);
                    self.unfolded.look_up(&self.connection, change)?;
                    let carried = change.carried().map(|mail| keep(mail, self)).transpose()?;
                    stored.push(Changed::new(change, carried));
                }
                Step::Changes(stored)
            }
            Promise::OutboxTaken(up_to, _) => Step::Taken(*up_to),
        };
        let text = Entry::new(planned.told, step).text()?;
        self.bodies.append_entry(&text)?;
        Ok(planned)
    }

    /// Does what was written.
    fn follow(&mut self, job: Promise, planned: Planned) -> Answer {
        let (mut told, mut kept) = (planned.told, planned.kept.into_iter());
        match job {
            Promise::Accept(mail, to) => {
                let kept = kept.next().expect("a mail was planned with its place");
                Answer::Accepted(to, self.unfolded.keep(&mail, kept, &mut told))
            }
            Promise::Record(changes, to) => {
                let change = |change: &Change| {
                    let carried = change.carried().and_then(|_| kept.next());
                    self.unfolded.change(change, carried, &mut told)
                };
                Answer::Recorded(to, changes.iter().filter_map(change).collect())
            }
            Promise::OutboxTaken(up_to, to) => {
                self.unfolded.take(up_to);
                Answer::Taken(to)
            }
        }
    }

    /// Brings the rows up to what was promised, in one transaction with how far that is.
    pub(super) fn fold(&mut self, aside: &[u64]) -> Result<(), SpoolError> {
        let end = self.bodies.end();
        if self.folded_to == end && self.unfolded.count() == 0 && aside.is_empty() {
            return Ok(());
        }
        let mark = Mark { end, mail: self.next.mail, told: self.next.told };
        let folded = fold(&mut self.connection, &self.unfolded, &self.behind, mark, aside);
        self.stopped |= matches!(folded, Err(SpoolError::Sync(_)));
        // Now, and not when it began: one that takes long is not due again at once.
        self.folded_at = Instant::now();
        for body in folded? {
            self.bodies.release(body);
        }
        self.unfolded = Unfolded::new(self.next.mail);
        self.folded_to = end;
        self.bodies.folded(end.segment);
        self.behind.lock().unwrap_or_else(PoisonError::into_inner).folded(self.next.told);
        Ok(())
    }

    /// Takes octets out of the files, as far as no mail that waits needs them.
    fn overwrite(&mut self, gone: &[Vec<u8>]) -> Result<(), SpoolError> {
        self.bodies.retire();
        self.fold(&[])?;
        overwrite(&self.connection, gone)?;
        Ok(())
    }

    /// Folds when it is time. What cannot be written to the rows is in the files; it is tried again.
    fn fold_in_time(&mut self) {
        let due = FOLD_COUNT <= self.unfolded.count() || FOLD_EVERY <= self.folded_at.elapsed();
        // After a failure, the time decides: a database that is in trouble is not asked for each mail.
        if !due || self.unfolded.count() == 0 || self.fold_failed && self.folded_at.elapsed() < FOLD_EVERY {
            return;
        }
        self.fold_and_say();
    }

    fn fold_and_say(&mut self) {
        let folded = self.fold(&[]);
        if let (Err(error), false) = (&folded, self.fold_failed) {
            tracing::error!(%error, "the queue database cannot be written; mail is safe in the spool files meanwhile");
        }
        self.fold_failed = folded.is_err();
    }

    /// Between two groups: close full files, free files that few old mails keep.
    fn tidy(&mut self) {
        if self.stopped {
            return;
        }
        self.fold_in_time();
        self.bodies.sweep();
        self.rest = self.rest.saturating_sub(1);
        if 0 < self.rest {
            return;
        }
        let Some(segment) = self.bodies.worth_compacting() else { return };
        let mut copied = Vec::new();
        match self.compact(segment, &mut copied) {
            Ok(()) => self.bodies.sweep(),
            Err(error) => {
                self.bodies.abandon(&copied);
                tracing::warn!(%error, segment, "a spool file could not be compacted; it will be tried again");
                self.stopped |= matches!(error, SpoolError::Sync(_));
                self.rest = COMPACT_AGAIN_AFTER;
            }
        }
    }

    /// Copies the mails that are left in a file to the active one; the old file goes at the next sweep. The rows must know
    /// all of them, or what follows the copies would name places that are gone.
    fn compact(&mut self, segment: u64, copied: &mut Vec<BodyAt>) -> Result<(), SpoolError> {
        self.fold(&[])?;
        let mails = rows::in_segment(&self.connection, segment)?;
        let mut moved = Vec::new();
        let mut damaged = false;
        for (mail, from) in mails {
            match bodies::read(self.bodies.place(), mail, from) {
                Ok(body) => {
                    let to = self.bodies.append(mail, &body)?;
                    copied.push(to);
                    moved.push((mail, from, to));
                }
                // Damage keeps the file: its octets are all that a person has to look at.
                Err(error) if error.is_damage() => damaged = true,
                Err(error) => return Err(error),
            }
        }
        self.bodies.sync()?;
        let transaction = self.connection.transaction()?;
        for (mail, _, to) in &moved {
            rows::relocated(&transaction, *mail, *to)?;
        }
        transaction.commit().map_err(commit_error)?;
        moved.iter().for_each(|(_, from, _)| self.bodies.release(*from));
        if damaged || moved.is_empty() {
            self.bodies.damaged(segment);
        }
        Ok(())
    }
}

/// Writes what the rows do not know, in one transaction with how far that is; answers with the bodies that nobody waits for.
pub(super) fn fold(
    connection: &mut Connection,
    unfolded: &Unfolded,
    behind: &Mutex<Behind>,
    mark: Mark,
    aside: &[u64],
) -> Result<Vec<BodyAt>, SpoolError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let released = unfolded.fold(&transaction)?;
    rows::outbox_taken(&transaction, unfolded.taken())?;
    let told: Vec<_> = behind.lock().unwrap_or_else(PoisonError::into_inner).untaken.to_fold().cloned().collect();
    told.iter().try_for_each(|(number, told)| rows::tell(&transaction, *number, told))?;
    if !aside.is_empty() {
        rows::set_outbox_aside(&transaction, aside)?;
    }
    rows::remember(&transaction, mark)?;
    transaction.commit().map_err(commit_error)?;
    Ok(released)
}

/// A commit that failed on the disk leaves the state unknown, like a failed sync; a full disk does not.
fn commit_error(error: rusqlite::Error) -> SpoolError {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::SystemIoFailure | rusqlite::ErrorCode::DatabaseCorrupt) => {
            SpoolError::Sync(std::io::Error::other(error.to_string()))
        }
        _ => error.into(),
    }
}

/// Refuses some jobs, and gives the others back.
fn refuse(jobs: Vec<Promise>, which: impl Fn(&Promise) -> bool, error: &SpoolError) -> Vec<Promise> {
    let (refused, others): (Vec<_>, Vec<_>) = jobs.into_iter().partition(which);
    refused.into_iter().for_each(|job| job.fail(error));
    others
}

impl Job {
    /// A result can wait a moment for company.
    pub(super) fn may_wait(&self) -> bool {
        matches!(self, Self::Promise(Promise::Record(..) | Promise::OutboxTaken(..)))
    }

    /// Octets of bodies that it brings.
    pub(super) fn octets(&self) -> usize {
        match self {
            Self::Promise(Promise::Accept(mail, _)) => mail.content.len(),
            Self::Promise(Promise::Record(changes, _)) => {
                changes.iter().filter_map(Change::carried).map(|mail| mail.content.len()).sum()
            }
            Self::Promise(Promise::OutboxTaken(..)) | Self::Question(_) => 0,
        }
    }
}

impl From<Promise> for Job {
    fn from(promise: Promise) -> Self {
        Self::Promise(promise)
    }
}

impl From<Question> for Job {
    fn from(question: Question) -> Self {
        Self::Question(question)
    }
}

impl Promise {
    fn is_accept(&self) -> bool {
        matches!(self, Self::Accept(..))
    }

    fn fail(self, error: &SpoolError) {
        match self {
            Self::Accept(_, to) => drop(to.send(Err(error.again()))),
            Self::Record(_, to) => drop(to.send(Err(error.again()))),
            Self::OutboxTaken(_, to) => drop(to.send(Err(error.again()))),
        }
    }
}

impl Answer {
    fn send(self) {
        match self {
            Self::Accepted(to, queued) => drop(to.send(Ok(queued))),
            Self::Recorded(to, reports) => drop(to.send(Ok(reports))),
            Self::Taken(to) => drop(to.send(Ok(()))),
        }
    }
}

/// A caller writes on its own thread while groups take no longer than this: others on that thread wait as long. It is what a
/// signature with RSA takes.
const QUICK: Duration = Duration::from_millis(1);
/// So often, or after so many steps, the rows are brought up: rarely enough that most mail is delivered by then and never gets a
/// row, often enough that a start has little to repeat.
pub(super) const FOLD_EVERY: Duration = Duration::from_secs(1);
const FOLD_COUNT: usize = 8192;
/// Steps that the rows may be behind; beyond it no new mail is taken. They are in memory, some kilobytes each.
const UNFOLDED_MAX: usize = 65_536;
/// Beyond this no result is taken either, and delivery waits until the rows can be written.
const RESULTS_UNFOLDED_MAX: usize = 4 * UNFOLDED_MAX;
/// Groups between two tries to compact a file that could not be read or copied: often enough to free the disk soon, not
/// so often that a bad file is read again for each mail.
const COMPACT_AGAIN_AFTER: u32 = 1000;
