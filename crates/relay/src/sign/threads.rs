//! The threads that sign. A signature with the hash of its body takes some twenty microseconds of one core with Ed25519, and a
//! good part of a millisecond with RSA; the thread that talks to all servers and clients has other things to do (decision 0080).
//!
//! Not `spawn_blocking`: it wakes a thread for each piece of work, which costs more than an Ed25519 signature. Here a thread
//! that is awake goes on with what has come meanwhile.

use std::io;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, available_parallelism};

use tokio::sync::oneshot;

/// Ends its threads when it is dropped. What waits in line is one mail for each open connection at most.
pub(super) struct Threads(Sender<Work>);

type Work = Box<dyn FnOnce() + Send>;

impl Threads {
    /// As many as there are cores but for the one that tasks run on, and one at least.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub(super) fn start() -> io::Result<Self> {
        let (to, line) = mpsc::channel();
        let line = Arc::new(Mutex::new(line));
        let cores = available_parallelism().map_or(1, NonZeroUsize::get);
        for _ in 0..(cores - 1).max(1) {
            let line = line.clone();
            thread::Builder::new().name("signer".into()).spawn(move || serve(&line))?;
        }
        Ok(Self(to))
    }

    /// What this work gives; none where it panicked.
    pub(super) async fn done<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let (to, done) = oneshot::channel();
        // Who asked may have gone away meanwhile.
        self.0.send(Box::new(move || drop(to.send(work())))).ok()?;
        done.await.ok()
    }
}

fn serve(line: &Mutex<Receiver<Work>>) {
    loop {
        let next = line.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(work) = next else { return };
        // What makes the library fall over costs one mail an attempt, and not all others their thread.
        let _ = catch_unwind(AssertUnwindSafe(work));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_that_panics_takes_nothing_with_it() {
        let threads = Threads::start().unwrap();
        for number in 0..20 {
            assert_eq!(threads.done(|| -> u32 { panic!("on purpose") }).await, None);
            assert_eq!(threads.done(move || number + 1).await, Some(number + 1));
        }
    }

    #[tokio::test]
    async fn who_goes_away_leaves_the_others_their_turn() {
        let threads = Threads::start().unwrap();
        drop(threads.done(|| 1));
        let (first, second) = tokio::join!(threads.done(|| 2), threads.done(|| 3));
        assert_eq!((first, second), (Some(2), Some(3)));
    }
}
