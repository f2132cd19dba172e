//! A message, or a chunk of one, that is being read; and its share of the memory for messages.

use std::sync::Arc;

use sm2tp_proto::smtp::bdat::ChunkReader;
use sm2tp_proto::smtp::data::{DataProgress, DataReader};
use sm2tp_proto::smtp::server::{Session, Step};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::deadline::Standing;
use crate::returns::REPORT_OCTETS_MAX;

/// What reads the octets that are no command lines.
pub(super) struct Reading {
    reader: Reader,
    /// Octets since the client was last found to make progress.
    fresh: usize,
}

enum Reader {
    Data(DataReader),
    Chunk(ChunkReader),
}

/// The memory for messages, in KiB.
pub(crate) struct Memory {
    all: Arc<Semaphore>,
    /// What those may have of it who have not logged in, so that they never keep members from sending.
    strangers: Arc<Semaphore>,
}

/// What a connection has of the memory for messages: from its 354 or first chunk to the answer about the message.
#[derive(Default)]
pub(super) struct Share {
    all: Option<OwnedSemaphorePermit>,
    of_strangers: Option<OwnedSemaphorePermit>,
}

impl Reading {
    /// A stranger brings a report or nothing, and of a report no more than its beginning is read; one octet more shows that
    /// it is longer.
    pub(super) fn data(octets_max: u64, standing: Standing) -> Self {
        let mut reader = DataReader::new(octets_max);
        if standing == Standing::Stranger {
            reader.keep_at_most(REPORT_OCTETS_MAX as u64 + 1);
        }
        Self { reader: Reader::Data(reader), fresh: 0 }
    }

    pub(super) fn chunk(mut reader: ChunkReader, standing: Standing) -> Self {
        if standing == Standing::Stranger {
            reader.keep_at_most(REPORT_OCTETS_MAX as u64 + 1);
        }
        Self { reader: Reader::Chunk(reader), fresh: 0 }
    }

    /// Takes octets; answers also whether the client has sent enough of late to be waited for.
    pub(super) fn push(&mut self, bytes: &[u8]) -> (DataProgress, bool) {
        let progress = match &mut self.reader {
            Reader::Data(reader) => reader.push(bytes),
            Reader::Chunk(reader) => reader.push(bytes),
        };
        self.fresh += progress.consumed;
        let worth = progress.done || PIECE_OCTETS <= self.fresh;
        if worth {
            self.fresh = 0;
        }
        (progress, worth)
    }

    pub(super) fn held(&self) -> usize {
        match &self.reader {
            Reader::Data(reader) => reader.held(),
            Reader::Chunk(reader) => reader.held(),
        }
    }

    /// Gives what was read to the session.
    pub(super) fn end(self, session: Session) -> (Session, Step) {
        match self.reader {
            Reader::Data(reader) => session.data(reader.into_message()),
            Reader::Chunk(reader) => session.chunk(reader),
        }
    }
}

impl Memory {
    pub(super) fn new(octets: u64) -> Self {
        let kib = usize::try_from(octets / 1024).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        let strangers = (kib / STRANGERS_PART).max(STRANGERS_KIB_MIN);
        Self { all: Arc::new(Semaphore::new(kib)), strangers: Arc::new(Semaphore::new(strangers)) }
    }
}

impl Share {
    /// Makes the share as large as what is held, and one piece at least; false where there is not so much.
    pub(super) fn grow(&mut self, held: usize, standing: Standing, memory: &Memory) -> bool {
        while self.all.as_ref().is_none_or(|share| share.num_permits() * 1024 < held) {
            let is_there = match standing {
                Standing::Stranger => take(&mut self.of_strangers, &memory.strangers),
                Standing::Member => true,
            };
            if !is_there || !take(&mut self.all, &memory.all) {
                return false;
            }
        }
        true
    }

    pub(super) fn release(&mut self) {
        *self = Self::default();
    }
}

/// One more piece.
fn take(share: &mut Option<OwnedSemaphorePermit>, of: &Arc<Semaphore>) -> bool {
    let Ok(more) = of.clone().try_acquire_many_owned(SHARE_KIB) else { return false };
    match share {
        Some(share) => share.merge(more),
        None => *share = Some(more),
    }
    true
}

/// A client that sends less of a message than this within the timeout of a command is sent away.
const PIECE_OCTETS: usize = 1024;
/// The memory for messages is given out in pieces of this many KiB.
const SHARE_KIB: u32 = 256;
/// Strangers have one such part of the memory: at the default 32 MiB, some twenty of the longest reports at once.
const STRANGERS_PART: usize = 8;
/// Less would not hold one report of [`REPORT_OCTETS_MAX`].
const STRANGERS_KIB_MIN: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_together_have_a_small_part_of_the_memory_and_give_it_back() {
        let memory = Memory::new(64 * 1024 * 1024);
        let held = |standing| {
            let shares = std::iter::repeat_with(Share::default).map(|mut share| {
                let is_there = share.grow(1024 * 1024, standing, &memory);
                (share, is_there)
            });
            shares.take_while(|(_, is_there)| *is_there).take(1000).map(|(share, _)| share).collect::<Vec<_>>()
        };
        let strangers = held(Standing::Stranger);
        assert_eq!(strangers.len(), 8);
        assert_eq!(held(Standing::Member).len(), 56, "what strangers have is part of the whole");
        drop(strangers);
        assert_eq!(held(Standing::Stranger).len(), 8);
    }
}
