//! Contents that wait in memory for their first attempt, within a budget; the others are read from the spool.

use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A content in memory; its share of the budget is free again when the last holder lets go.
#[derive(Debug)]
pub struct Body {
    octets: Bytes,
    _share: Option<OwnedSemaphorePermit>,
}

/// How many octets of contents may wait in memory.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Semaphore>);

impl Budget {
    #[must_use]
    pub fn new(octets_max: usize) -> Self {
        Self(Arc::new(Semaphore::new((octets_max / UNIT).min(Semaphore::MAX_PERMITS))))
    }

    /// Keeps a content if the budget allows it; otherwise it is read from the spool when its turn comes (I7).
    #[must_use]
    pub fn keep(&self, octets: Bytes) -> Option<Arc<Body>> {
        let units = u32::try_from(octets.len() / UNIT + 1).ok()?;
        let share = self.0.clone().try_acquire_many_owned(units).ok()?;
        Some(Arc::new(Body { octets, _share: Some(share) }))
    }
}

impl Body {
    /// A content that was just read for one attempt.
    #[must_use]
    pub fn read(octets: Vec<u8>) -> Arc<Self> {
        Arc::new(Self { octets: octets.into(), _share: None })
    }
}

impl Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.octets
    }
}

/// The budget is counted in pieces of this many octets, so that a semaphore can count gigabytes.
const UNIT: usize = 1024;
