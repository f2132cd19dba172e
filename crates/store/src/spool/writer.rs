//! The one writer of a spool: takes what waits, writes it as a group, syncs once, answers all (I4).

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::bodies::{self, Bodies, BodyAt};
use super::mail::{Change, NewMail, Notice, Queued};
use super::{SpoolError, rows};

/// What can be asked of the writer.
pub(super) enum Job {
    Accept(Box<NewMail>, oneshot::Sender<Result<Queued, SpoolError>>),
    /// Answers with the reports that were queued.
    Record(Arc<[Change]>, oneshot::Sender<Result<Vec<Queued>, SpoolError>>),
    OutboxTaken(u64, oneshot::Sender<Result<(), SpoolError>>),
    /// Outbox entries that nobody can read.
    SetAside(Vec<u64>, oneshot::Sender<Result<(), SpoolError>>),
}

pub(super) struct Writer {
    connection: Connection,
    bodies: Bodies,
    next_id: u64,
    /// Octets that must stay free on the disk after new mail is taken.
    free_min: u64,
    /// Set by the first failed sync: from then on nothing is promised any more.
    stopped: bool,
    /// The last group could not be written; said once, not for each mail that a full disk refuses.
    in_trouble: bool,
    /// Groups until compaction is tried again after it failed.
    rest: u32,
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
            self.octets += octets(&job);
            self.jobs.push(job);
        }
    }

    /// A few results alone can wait a moment: where mail flows, the next one is about to come, and one sync serves both.
    /// A client that waits for its 250 never waits for this.
    fn may_wait(&self) -> bool {
        self.jobs.len() < LINGER_BELOW && !self.jobs.iter().any(Job::is_accept)
    }
}

/// What one group has done so far, so that it can be taken back or completed.
#[derive(Default)]
struct Group {
    written: Vec<BodyAt>,
    released: Vec<BodyAt>,
}

impl Writer {
    pub(super) fn new(connection: Connection, bodies: Bodies, next_id: u64, free_min: u64) -> Self {
        Self { connection, bodies, next_id, free_min, stopped: false, in_trouble: false, rest: 0 }
    }

    /// Runs until all senders are gone.
    pub(super) fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        while let Some(first) = jobs.blocking_recv() {
            let mut waiting = Waiting { octets: octets(&first), jobs: vec![first] };
            waiting.take(&mut jobs);
            for _ in 0..LINGERS_MAX {
                if !waiting.may_wait() {
                    break;
                }
                thread::sleep(LINGER);
                waiting.take(&mut jobs);
            }
            self.serve(waiting.jobs);
        }
    }

    /// Does these jobs, answers each, and tidies up.
    pub(super) fn serve(&mut self, jobs: Vec<Job>) {
        let jobs = self.turn_away(jobs);
        self.group(jobs);
        self.tidy();
    }

    /// Refuses new mail while the disk is nearly full: what is left is for results and reports, without which nothing
    /// could leave the queue and make room.
    fn turn_away(&self, jobs: Vec<Job>) -> Vec<Job> {
        if !jobs.iter().any(Job::is_accept) {
            return jobs;
        }
        let place = self.bodies.place();
        let free = place.disk.free(&place.dir).unwrap_or(u64::MAX);
        if self.free_min <= free {
            return jobs;
        }
        let (refused, others): (Vec<_>, Vec<_>) = jobs.into_iter().partition(Job::is_accept);
        let error = SpoolError::Full { free, min: self.free_min };
        refused.into_iter().for_each(|job| job.fail(&error));
        others
    }

    fn group(&mut self, jobs: Vec<Job>) {
        if self.stopped {
            jobs.into_iter().for_each(|job| job.fail(&SpoolError::Stopped));
            return;
        }
        if jobs.is_empty() {
            return;
        }
        let mut group = Group::default();
        match self.write(&jobs, &mut group) {
            Ok(results) => {
                group.released.iter().for_each(|body| self.bodies.release(*body));
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
                self.bodies.abandon(&group.written);
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
            jobs.into_iter().for_each(|job| self.group(vec![job]));
        } else {
            let (refused, others): (Vec<_>, Vec<_>) = jobs.into_iter().partition(Job::is_accept);
            if refused.is_empty() {
                others.into_iter().for_each(|job| job.fail(error));
            } else {
                refused.into_iter().for_each(|job| job.fail(error));
                self.group(others);
            }
        }
    }

    /// Bodies first and synced, then the rows that name them: a row never names a body that is not there.
    fn write(&mut self, jobs: &[Job], group: &mut Group) -> Result<Vec<Done>, SpoolError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut id = self.next_id;
        let mut results = Vec::with_capacity(jobs.len());
        for job in jobs {
            let mut keep = |mail: &NewMail, group: &mut Group| -> Result<Queued, SpoolError> {
                let body = self.bodies.append(id, &mail.content)?;
                group.written.push(body);
                let queued = rows::insert(&transaction, id, mail, body)?;
                id += 1;
                Ok(queued)
            };
            results.push(match job {
                Job::Accept(mail, _) => Done::Accepted(keep(mail, group)?),
                Job::Record(changes, _) => {
                    let mut reports = Vec::new();
                    for change in &**changes {
                        let report = apply(&transaction, change, &mut group.released)?;
                        reports.extend(report.map(|mail| keep(mail, group)).transpose()?);
                    }
                    Done::Recorded(reports)
                }
                Job::OutboxTaken(up_to, _) => {
                    rows::outbox_taken(&transaction, *up_to)?;
                    Done::Taken
                }
                Job::SetAside(ids, _) => {
                    rows::set_outbox_aside(&transaction, ids)?;
                    Done::Taken
                }
            });
        }
        self.bodies.sync()?;
        transaction.commit().map_err(commit_error)?;
        self.next_id = id;
        Ok(results)
    }

    /// Between two groups: close full files, free files that few old mails keep.
    fn tidy(&mut self) {
        if self.stopped {
            return;
        }
        self.bodies.roll();
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

    /// Copies the mails that are left in a file to the active one; the old file goes at the next sweep.
    fn compact(&mut self, segment: u64, copied: &mut Vec<BodyAt>) -> Result<(), SpoolError> {
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
                Err(SpoolError::Damaged { .. }) => damaged = true,
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
    Taken,
}

fn apply<'a>(
    transaction: &Connection,
    change: &'a Change,
    released: &mut Vec<BodyAt>,
) -> Result<Option<&'a NewMail>, SpoolError> {
    match change {
        Change::Done { mail, index, told, report } => {
            match rows::done(transaction, *mail, *index) {
                Ok(last) => released.extend(last),
                // It was done before (a person dropped it while it was being delivered): say so, but count it once.
                Err(SpoolError::NotQueued { .. }) => return Ok(None),
                Err(error) => return Err(error),
            }
            rows::tell(transaction, told)?;
            Ok(report.as_deref())
        }
        Change::Deferred { mail, index, attempts, next_at, note, told, notice } => {
            let stays = rows::deferred(transaction, *mail, *index, *attempts, *next_at, note)?;
            told.iter().try_for_each(|told| rows::tell(transaction, told))?;
            if !stays || matches!(notice, Notice::None) {
                return Ok(None);
            }
            rows::delay_told(transaction, *mail, *index)?;
            Ok(if let Notice::Carried(notice) = notice { Some(notice) } else { None })
        }
        Change::Move { mail, index, lane, next_at, note } => {
            rows::moved(transaction, *mail, *index, *lane, *next_at, note.as_deref())?;
            Ok(None)
        }
    }
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

    /// The asker may have hung up; its mail is safe all the same, and it will ask again.
    fn answer(self, done: Done) {
        let _ = match (self, done) {
            (Self::Accept(_, to), Done::Accepted(queued)) => to.send(Ok(queued)).is_ok(),
            (Self::Record(_, to), Done::Recorded(reports)) => to.send(Ok(reports)).is_ok(),
            (Self::OutboxTaken(_, to) | Self::SetAside(_, to), Done::Taken) => to.send(Ok(())).is_ok(),
            _ => unreachable!("each job is answered with its own kind of result"),
        };
    }

    fn fail(self, error: &SpoolError) {
        let _ = match self {
            Self::Accept(_, to) => to.send(Err(error.again())).is_ok(),
            Self::Record(_, to) => to.send(Err(error.again())).is_ok(),
            Self::OutboxTaken(_, to) | Self::SetAside(_, to) => to.send(Err(error.again())).is_ok(),
        };
    }
}

fn octets(job: &Job) -> usize {
    match job {
        Job::Accept(mail, _) => mail.content.len(),
        Job::Record(..) | Job::OutboxTaken(..) | Job::SetAside(..) => 0,
    }
}

/// A group holds at most so many jobs: the first of them waits for the last.
const GROUP_JOBS_MAX: usize = 1024;
/// And so many octets of bodies, which are copied once before they are written.
const GROUP_OCTETS_MAX: usize = 32 * 1024 * 1024;
/// So few results wait for company, so long at a time, so often.
const LINGER_BELOW: usize = 4;
const LINGER: Duration = Duration::from_micros(500);
const LINGERS_MAX: usize = 4;
/// Groups between two tries to compact a file that could not be read or copied: often enough to free the disk soon, not
/// so often that a bad file is read again for each mail.
const COMPACT_AGAIN_AFTER: u32 = 1000;
