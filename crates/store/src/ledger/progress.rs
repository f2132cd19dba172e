//! How far the views were made again: for who waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    done: AtomicU64,
    /// 0: nothing is being made.
    total: AtomicU64,
}

/// One making; it ends with this value.
pub(super) struct Making(Progress);

impl Progress {
    /// Events that were read, and how many there are; none while nothing is being made.
    #[must_use]
    pub fn now(&self) -> Option<(u64, u64)> {
        let total = self.0.total.load(Ordering::Relaxed);
        (total != 0).then(|| (self.0.done.load(Ordering::Relaxed), total))
    }

    pub(super) fn begin(&self, total: u64) -> Making {
        self.0.done.store(0, Ordering::Relaxed);
        self.0.total.store(total, Ordering::Relaxed);
        Making(self.clone())
    }
}

impl Making {
    pub(super) fn at(&self, done: u64) {
        self.0.0.done.store(done, Ordering::Relaxed);
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        self.0.0.total.store(0, Ordering::Relaxed);
    }
}
