//! The one writer of a spool: takes what waits, writes it as a group, syncs once, answers all (I4).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout_at;

use super::bodies::{self, Bodies, BodyAt, End};
use super::entry::{Changed, Entry, Envelope, Kept, Step};
use super::mail::{Change, NewMail, Queued};
use super::rows::Mark;
use super::unfolded::{self, Unfolded};
use super::{Behind, SpoolError, rows};

/// What can be asked of the writer.
pub(super) enum Job {
    Accept(Box<NewMail>, oneshot::Sender<Result<Queued, SpoolError>>),
    /// Answers with the reports that were queued.
    Record(Arc<[Change]>, oneshot::Sender<Result<Vec<Queued>, SpoolError>>),
    OutboxTaken(u64, oneshot::Sender<Result<(), SpoolError>>),
    /// A mail whose rows are behind, and where its content lies.
    Find(u64, oneshot::Sender<Result<(Queued, BodyAt), SpoolError>>),
    /// Brings the rows up to what was promised.
    Fold(oneshot::Sender<Result<(), SpoolError>>),
    /// Outbox entries that nobody can read.
    SetAside(Vec<u64>, oneshot::Sender<Result<(), SpoolError>>),
}

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

/// The jobs of the next group.
struct Waiting {
    jobs: Vec<Job>,
    octets: usize,
}

impl Waiting {
    /// Takes what is there, up to what one group may hold.
    fn take(&mut self, jobs: &mut mpsc::Receiver<Job>) {
        while self.jobs.len() < GROUP_JOBS_MAX && self.octets < GROUP_OCTETS_MAX {
            let Ok(job) = jobs.try_recv() else { return };
            self.push(job);
        }
    }

    /// A few results alone can wait a moment: where mail flows, the next one is about to come, and one sync serves both.
    /// A client that waits for its 250 never waits for this.
    fn may_wait(&self) -> bool {
        self.jobs.len() < LINGER_BELOW
            && self.jobs.iter().all(|job| matches!(job, Job::Record(..) | Job::OutboxTaken(..)))
    }

    fn push(&mut self, job: Job) {
        self.octets += octets(&job);
        self.jobs.push(job);
    }
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
        }
    }

    /// Runs until all senders are gone. What the rows do not know then is in the files, for the next start.
    pub(super) async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        loop {
            let first = match timeout_at((Instant::now() + FOLD_EVERY).into(), jobs.recv()).await {
                Ok(Some(first)) => first,
                Ok(None) => return,
                Err(_) => {
                    self.idle();
                    continue;
                }
            };
            let mut waiting = Waiting { octets: octets(&first), jobs: vec![first] };
            waiting.take(&mut jobs);
            let until = (Instant::now() + LINGER).into();
            while waiting.may_wait() {
                let Ok(Some(job)) = timeout_at(until, jobs.recv()).await else { break };
                waiting.push(job);
                waiting.take(&mut jobs);
            }
            self.serve(waiting.jobs);
        }
    }

    /// Nothing comes for a while: content that nobody needs any more does not stay until its file is full.
    fn idle(&mut self) {
        if !self.stopped && self.bodies.retire() {
            self.fold_and_say();
        }
        self.tidy();
    }

    /// Does these jobs, answers each, and tidies up.
    pub(super) fn serve(&mut self, jobs: Vec<Job>) {
        let jobs = self.turn_away(jobs);
        self.group(jobs);
        self.tidy();
    }

    /// Refuses new mail while the disk is nearly full: what is left is for results and reports, without which nothing
    /// could leave the queue and make room. And while the rows are far behind, because a start would take as long.
    fn turn_away(&self, mut jobs: Vec<Job>) -> Vec<Job> {
        if RESULTS_UNFOLDED_MAX < self.unfolded.count() {
            let error = SpoolError::Behind { steps: self.unfolded.count() };
            let (kept, refused): (Vec<_>, Vec<_>) = jobs.into_iter().partition(Job::is_about_rows);
            refused.into_iter().for_each(|job| job.fail(&error));
            jobs = kept;
        }
        if !jobs.iter().any(Job::is_accept) {
            return jobs;
        }
        let place = self.bodies.place();
        let free = place.disk.free(&place.dir).unwrap_or(u64::MAX);
        let error = if free < self.free_min {
            SpoolError::Full { free, min: self.free_min }
        } else if UNFOLDED_MAX < self.unfolded.count() {
            SpoolError::Behind { steps: self.unfolded.count() }
        } else {
            return jobs;
        };
        let (refused, others): (Vec<_>, Vec<_>) = jobs.into_iter().partition(Job::is_accept);
        refused.into_iter().for_each(|job| job.fail(&error));
        others
    }

    fn group(&mut self, jobs: Vec<Job>) {
        if self.stopped {
            jobs.into_iter().for_each(|job| job.fail(&SpoolError::Stopped));
            return;
        }
        let (about_rows, jobs): (Vec<_>, Vec<_>) = jobs.into_iter().partition(Job::is_about_rows);
        if !jobs.is_empty() {
            self.promise(jobs);
        }
        for job in about_rows {
            let done = match &job {
                Job::Find(mail, _) => {
                    self.unfolded.find(&self.connection, *mail).map(|(queued, at)| Done::Found(queued, at))
                }
                Job::SetAside(ids, _) => self.fold(ids).map(|()| Done::Taken),
                _ => self.fold(&[]).map(|()| Done::Taken),
            };
            match done {
                Ok(done) => job.answer(done),
                Err(error) => job.fail(&error),
            }
        }
    }

    /// Writes jobs as one group and answers them.
    fn promise(&mut self, jobs: Vec<Job>) {
        let mut written = Vec::new();
        match self.write(&jobs, &mut written) {
            Ok(results) => {
                jobs.into_iter().zip(results).for_each(|(job, result)| job.answer(result));
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
    fn after_failure(&mut self, jobs: Vec<Job>, error: &SpoolError) {
        if self.stopped || jobs.len() == 1 {
            jobs.into_iter().for_each(|job| job.fail(error));
        } else if !error.is_storage() {
            jobs.into_iter().for_each(|job| self.promise(vec![job]));
        } else {
            let (refused, others): (Vec<_>, Vec<_>) = jobs.into_iter().partition(Job::is_accept);
            if refused.is_empty() {
                others.into_iter().for_each(|job| job.fail(error));
            } else {
                refused.into_iter().for_each(|job| job.fail(error));
                if !others.is_empty() {
                    self.promise(others);
                }
            }
        }
    }

    /// Each job's bodies and then its entry, one sync for all, and only then what follows from them: nothing there can fail.
    fn write(&mut self, jobs: &[Job], written: &mut Vec<BodyAt>) -> Result<Vec<Done>, SpoolError> {
        let planned = jobs.iter().map(|job| self.plan(job, written)).collect::<Result<Vec<_>, _>>()?;
        self.bodies.sync()?;
        let results = jobs.iter().zip(planned).map(|(job, planned)| self.follow(job, planned)).collect();
        self.unfolded.released().into_iter().for_each(|body| self.bodies.release(body));
        let mut behind = self.behind.lock().unwrap_or_else(PoisonError::into_inner);
        behind.untaken.push(self.unfolded.told());
        behind.untaken.take(self.unfolded.taken());
        behind.mails.append(&mut self.unfolded.touched());
        Ok(results)
    }

    /// Adds a job to the group. Its numbers are used up, whether the group can be written or not.
    fn plan(&mut self, job: &Job, written: &mut Vec<BodyAt>) -> Result<Planned, SpoolError> {
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
            Job::Accept(mail, _) => {
                self.next.told += unfolded::told_of(mail);
                Step::Mail(Envelope::new(mail, keep(mail, self)?))
            }
            Job::Record(changes, _) => {
                let mut stored = Vec::with_capacity(changes.len());
                for change in &**changes {
                    self.next.told += unfolded::told_max(change);
                    self.unfolded.look_up(&self.connection, change)?;
                    let carried = change.carried().map(|mail| keep(mail, self)).transpose()?;
                    stored.push(Changed::new(change, carried));
                }
                Step::Changes(stored)
            }
            Job::OutboxTaken(up_to, _) => Step::Taken(*up_to),
            Job::Find(..) | Job::Fold(_) | Job::SetAside(..) => return Ok(planned),
        };
        let text = Entry::new(planned.told, step).text()?;
        self.bodies.append_entry(&text)?;
        Ok(planned)
    }

    /// Does what was written.
    fn follow(&mut self, job: &Job, planned: Planned) -> Done {
        let (mut told, mut kept) = (planned.told, planned.kept.into_iter());
        match job {
            Job::Accept(mail, _) => {
                let kept = kept.next().expect("a mail was planned with its place");
                Done::Accepted(self.unfolded.keep(mail, kept, &mut told))
            }
            Job::Record(changes, _) => {
                let change = |change: &Change| {
                    let carried = change.carried().and_then(|_| kept.next());
                    self.unfolded.change(change, carried, &mut told)
                };
                Done::Recorded(changes.iter().filter_map(change).collect())
            }
            Job::OutboxTaken(up_to, _) => {
                self.unfolded.take(*up_to);
                Done::Taken
            }
            Job::Find(..) | Job::Fold(_) | Job::SetAside(..) => Done::Taken,
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
        self.bodies.roll();
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

/// The result of one job inside a group.
enum Done {
    Accepted(Queued),
    Recorded(Vec<Queued>),
    Found(Queued, BodyAt),
    Taken,
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

impl Job {
    fn is_accept(&self) -> bool {
        matches!(self, Self::Accept(..))
    }

    fn is_about_rows(&self) -> bool {
        matches!(self, Self::Find(..) | Self::Fold(_) | Self::SetAside(..))
    }

    /// The asker may have hung up; its mail is safe all the same, and it will ask again.
    fn answer(self, done: Done) {
        let _ = match (self, done) {
            (Self::Accept(_, to), Done::Accepted(queued)) => to.send(Ok(queued)).is_ok(),
            (Self::Record(_, to), Done::Recorded(reports)) => to.send(Ok(reports)).is_ok(),
            (Self::Find(_, to), Done::Found(queued, at)) => to.send(Ok((queued, at))).is_ok(),
            (Self::OutboxTaken(_, to) | Self::SetAside(_, to) | Self::Fold(to), Done::Taken) => to.send(Ok(())).is_ok(),
            _ => unreachable!("each job is answered with its own kind of result"),
        };
    }

    fn fail(self, error: &SpoolError) {
        let _ = match self {
            Self::Accept(_, to) => to.send(Err(error.again())).is_ok(),
            Self::Record(_, to) => to.send(Err(error.again())).is_ok(),
            Self::Find(_, to) => to.send(Err(error.again())).is_ok(),
            Self::OutboxTaken(_, to) | Self::SetAside(_, to) | Self::Fold(to) => to.send(Err(error.again())).is_ok(),
        };
    }
}

fn octets(job: &Job) -> usize {
    match job {
        Job::Accept(mail, _) => mail.content.len(),
        Job::Record(changes, _) => changes.iter().filter_map(Change::carried).map(|mail| mail.content.len()).sum(),
        Job::OutboxTaken(..) | Job::SetAside(..) | Job::Find(..) | Job::Fold(_) => 0,
    }
}

/// A group holds at most so many jobs: the first of them waits for the last.
const GROUP_JOBS_MAX: usize = 1024;
/// And so many octets of bodies, which are copied once before they are written.
const GROUP_OCTETS_MAX: usize = 32 * 1024 * 1024;
/// So few results wait for company, and so long.
const LINGER_BELOW: usize = 4;
const LINGER: Duration = Duration::from_millis(2);
/// So often, or after so many steps, the rows are brought up: rarely enough that most mail is delivered by then and never gets a
/// row, often enough that a start has little to repeat.
const FOLD_EVERY: Duration = Duration::from_secs(1);
const FOLD_COUNT: usize = 8192;
/// Steps that the rows may be behind; beyond it no new mail is taken. They are in memory, some kilobytes each.
const UNFOLDED_MAX: usize = 65_536;
/// Beyond this no result is taken either, and delivery waits until the rows can be written.
const RESULTS_UNFOLDED_MAX: usize = 4 * UNFOLDED_MAX;
/// Groups between two tries to compact a file that could not be read or copied: often enough to free the disk soon, not
/// so often that a bad file is read again for each mail.
const COMPACT_AGAIN_AFTER: u32 = 1000;
