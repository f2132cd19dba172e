//! The one writer of a spool: takes what waits, writes it as a group, syncs once, answers all (I4).

use std::path::PathBuf;

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::bodies::{self, Bodies, BodyAt};
use super::mail::{Change, NewMail, Notice, Queued};
use super::{SpoolError, rows};

/// What can be asked of the writer.
pub(super) enum Job {
    Accept(Box<NewMail>, oneshot::Sender<Result<Queued, SpoolError>>),
    /// Answers with the reports that were queued.
    Record(Vec<Change>, oneshot::Sender<Result<Vec<Queued>, SpoolError>>),
    OutboxTaken(u64, oneshot::Sender<Result<(), SpoolError>>),
}

pub(super) struct Writer {
    connection: Connection,
    bodies: Bodies,
    dir: PathBuf,
    next_id: u64,
    /// Set by the first failed sync: from then on nothing is promised any more.
    stopped: bool,
}

/// What one group has done so far, so that it can be taken back or completed.
#[derive(Default)]
struct Group {
    written: Vec<BodyAt>,
    released: Vec<BodyAt>,
}

impl Writer {
    pub(super) fn new(connection: Connection, bodies: Bodies, dir: PathBuf, next_id: u64) -> Self {
        Self { connection, bodies, dir, next_id, stopped: false }
    }

    /// Runs until all senders are gone.
    pub(super) fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        while let Some(first) = jobs.blocking_recv() {
            let mut group = vec![first];
            let mut octets = octets(&group[0]);
            while group.len() < GROUP_JOBS_MAX && octets < GROUP_OCTETS_MAX {
                let Ok(job) = jobs.try_recv() else { break };
                octets += self::octets(&job);
                group.push(job);
            }
            self.group(group);
            self.tidy();
        }
    }

    fn group(&mut self, jobs: Vec<Job>) {
        if self.stopped {
            jobs.into_iter().for_each(|job| job.fail(&SpoolError::Stopped));
            return;
        }
        let mut group = Group::default();
        match self.write(&jobs, &mut group) {
            Ok(results) => {
                group.released.iter().for_each(|body| self.bodies.release(*body));
                jobs.into_iter().zip(results).for_each(|(job, result)| job.answer(result));
            }
            Err(error) => {
                tracing::error!(%error, jobs = jobs.len(), "the spool could not write; nothing of this group was accepted");
                self.stopped |= matches!(error, SpoolError::Sync(_));
                self.bodies.abandon(&group.written);
                self.each_alone(jobs, &error);
            }
        }
    }

    /// One job that cannot be written must not fail its neighbours: after a failed group each job is tried by itself.
    fn each_alone(&mut self, jobs: Vec<Job>, error: &SpoolError) {
        if self.stopped || jobs.len() == 1 || error.is_storage() {
            jobs.into_iter().for_each(|job| job.fail(error));
            return;
        }
        jobs.into_iter().for_each(|job| self.group(vec![job]));
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
                    for change in changes {
                        let report = apply(&transaction, change, &mut group.released)?;
                        reports.extend(report.map(|mail| keep(mail, group)).transpose()?);
                    }
                    Done::Recorded(reports)
                }
                Job::OutboxTaken(up_to, _) => {
                    rows::outbox_taken(&transaction, *up_to)?;
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
        let result = self.bodies.roll().and_then(|()| match self.bodies.worth_compacting() {
            Some(segment) => self.compact(segment),
            None => Ok(()),
        });
        if let Err(error) = result {
            tracing::warn!(%error, "the spool could not be tidied; it will be tried again");
            self.stopped |= matches!(error, SpoolError::Sync(_));
        }
    }

    /// Copies the mails that are left in a file to the active one; the old file goes at the next sweep.
    fn compact(&mut self, segment: u64) -> Result<(), SpoolError> {
        let mails = rows::in_segment(&self.connection, segment)?;
        let mut moved = Vec::new();
        for (mail, from) in mails {
            match bodies::read(&self.dir, mail, from) {
                Ok(body) => moved.push((mail, from, self.bodies.append(mail, &body)?)),
                // Damage keeps the file: its octets are all that a person has to look at.
                Err(SpoolError::Damaged { .. }) => {}
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
        self.bodies.sweep();
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
    /// The asker may have hung up; its mail is safe all the same, and it will ask again.
    fn answer(self, done: Done) {
        let _ = match (self, done) {
            (Self::Accept(_, to), Done::Accepted(queued)) => to.send(Ok(queued)).is_ok(),
            (Self::Record(_, to), Done::Recorded(reports)) => to.send(Ok(reports)).is_ok(),
            (Self::OutboxTaken(_, to), Done::Taken) => to.send(Ok(())).is_ok(),
            _ => unreachable!("each job is answered with its own kind of result"),
        };
    }

    fn fail(self, error: &SpoolError) {
        let _ = match self {
            Self::Accept(_, to) => to.send(Err(error.again())).is_ok(),
            Self::Record(_, to) => to.send(Err(error.again())).is_ok(),
            Self::OutboxTaken(_, to) => to.send(Err(error.again())).is_ok(),
        };
    }
}

fn octets(job: &Job) -> usize {
    match job {
        Job::Accept(mail, _) => mail.content.len(),
        Job::Record(..) | Job::OutboxTaken(..) => 0,
    }
}

/// A group holds at most so many jobs: the first of them waits for the last.
const GROUP_JOBS_MAX: usize = 1024;
/// And so many octets of bodies, which are copied once before they are written.
const GROUP_OCTETS_MAX: usize = 32 * 1024 * 1024;
