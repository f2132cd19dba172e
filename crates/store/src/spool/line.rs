//! The line before the writer: jobs that wait, and who writes them.
//!
//! Mostly a thread of its own does, so that nobody's mail waits for the disk of another. A caller who knows that nobody else is
//! served at the moment may write itself ([`Line::lead`]): then no thread is woken between a client's last octet and its
//! answer. Either way the writer has one owner at a time, who holds its lock.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::SpoolError;
use super::writer::{FOLD_EVERY, Job, Writer};

pub(super) struct Line {
    waiting: Mutex<Waiting>,
    /// Wakes the thread.
    bell: Condvar,
    writer: Mutex<Writer>,
    /// Places in the line that are free.
    places: Semaphore,
}

/// Held for a few instructions by whoever comes, so that it never keeps anybody.
#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    /// When the thread is to take what waits; none while nothing does.
    due: Option<Instant>,
    /// Something came since the thread last looked.
    came: bool,
    /// Until when the thread sleeps if nobody wakes it; none while it is awake, and looks by itself before it sleeps.
    asleep: Option<Instant>,
    /// Nobody will come any more.
    closed: bool,
}

/// What wakes the thread.
#[derive(PartialEq, Eq)]
enum Woken {
    ByJobs,
    /// Some time has passed, and jobs in it.
    ByTime,
    /// Some time has passed without any job.
    Idle,
}

impl Line {
    pub(super) fn new(writer: Writer) -> Self {
        Self {
            waiting: Mutex::default(),
            bell: Condvar::new(),
            writer: Mutex::new(writer),
            places: Semaphore::new(JOBS_MAX),
        }
    }

    /// Hands a job to the thread; waits while the line is full.
    ///
    /// # Errors
    /// [`SpoolError::Closed`] where the thread has ended.
    pub(super) async fn join(&self, job: Job) -> Result<(), SpoolError> {
        self.place().await?;
        let mut waiting = self.waiting();
        self.add(&mut waiting, job)?;
        self.ring(&mut waiting);
        Ok(())
    }

    /// Writes a job on this thread, with what waits; hands it over where the writer is busy, or the disk takes its time.
    ///
    /// # Errors
    /// [`SpoolError::Closed`] where the thread has ended.
    pub(super) async fn lead(&self, job: Job) -> Result<(), SpoolError> {
        self.place().await?;
        match self.writer.try_lock() {
            Ok(mut writer) if writer.is_quick() => {
                self.add(&mut self.waiting(), job)?;
                writer.lead(self.take());
            }
            _ => {
                let mut waiting = self.waiting();
                self.add(&mut waiting, job)?;
                self.ring(&mut waiting);
            }
        }
        Ok(())
    }

    /// The life of the thread: until the line is closed and empty.
    pub(super) fn serve(&self) {
        // However it ends: nobody waits for an answer that never comes.
        let _closing = Closing(self);
        while let Some(woken) = self.wait() {
            // A writer that has panicked is in no state that anything may be built on.
            let Ok(mut writer) = self.writer.lock() else { return };
            match woken {
                Woken::ByJobs | Woken::ByTime => writer.serve(self.take()),
                Woken::Idle => writer.idle(),
            }
        }
    }

    /// Nobody will come any more; what waits is still done.
    pub(super) fn close(&self) {
        self.waiting().closed = true;
        self.bell.notify_one();
    }

    async fn place(&self) -> Result<(), SpoolError> {
        // It is given back when the job is taken.
        self.places.acquire().await.map_err(|_| SpoolError::Closed)?.forget();
        Ok(())
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, waiting: &mut Waiting, job: Job) -> Result<(), SpoolError> {
        if waiting.closed {
            self.places.add_permits(1);
            return Err(SpoolError::Closed);
        }
        waiting.came = true;
        waiting.jobs.push_back(job);
        let now = Instant::now();
        let may_wait = waiting.jobs.len() < LINGER_BELOW && waiting.jobs.iter().all(Job::may_wait);
        let due = if may_wait { now + LINGER } else { now };
        waiting.due = Some(waiting.due.map_or(due, |before| before.min(due)));
        Ok(())
    }

    /// Wakes the thread if it would sleep too long.
    fn ring(&self, waiting: &mut Waiting) {
        if waiting.asleep.is_some_and(|until| waiting.due.is_some_and(|due| due < until)) {
            waiting.asleep = None;
            self.bell.notify_one();
        }
    }

    /// Takes what waits, up to what one group may hold.
    fn take(&self) -> Vec<Job> {
        let mut waiting = self.waiting();
        let (mut jobs, mut octets) = (Vec::with_capacity(waiting.jobs.len().min(GROUP_JOBS_MAX)), 0);
        while jobs.len() < GROUP_JOBS_MAX && octets < GROUP_OCTETS_MAX {
            let Some(job) = waiting.jobs.pop_front() else { break };
            octets += job.octets();
            jobs.push(job);
        }
        waiting.due = (!waiting.jobs.is_empty()).then(Instant::now);
        self.ring(&mut waiting);
        self.places.add_permits(jobs.len());
        jobs
    }

    /// Waits for something to do; none when there will be nothing any more.
    fn wait(&self) -> Option<Woken> {
        let until = Instant::now() + FOLD_EVERY;
        let mut waiting = self.waiting();
        let woken = loop {
            let now = Instant::now();
            if waiting.closed && waiting.jobs.is_empty() {
                return None;
            }
            if waiting.closed || waiting.due.is_some_and(|due| due <= now) {
                break Woken::ByJobs;
            }
            if until <= now {
                break if waiting.came { Woken::ByTime } else { Woken::Idle };
            }
            let next = waiting.due.map_or(until, |due| due.min(until));
            waiting.asleep = Some(next);
            (waiting, _) = self.bell.wait_timeout(waiting, next - now).unwrap_or_else(PoisonError::into_inner);
            waiting.asleep = None;
        };
        waiting.came = false;
        Some(woken)
    }
}

/// Turns away who waits and who comes when the thread ends.
struct Closing<'a>(&'a Line);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        let mut waiting = self.0.waiting();
        waiting.closed = true;
        waiting.jobs.clear();
        self.0.places.close();
    }
}

/// Jobs that wait for the writer; beyond it, sessions wait before they may hand over their mail.
const JOBS_MAX: usize = 4096;
/// A group holds at most so many jobs: the first of them waits for the last.
const GROUP_JOBS_MAX: usize = 1024;
/// And so many octets of bodies, which are copied once before they are written.
const GROUP_OCTETS_MAX: usize = 32 * 1024 * 1024;
/// So few results wait for company, and so long: where mail flows, the next one is about to come, and one sync serves both. A
/// client that waits for its 250 never waits for this.
const LINGER_BELOW: usize = 4;
const LINGER: Duration = Duration::from_millis(2);
