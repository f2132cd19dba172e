//! A message, or a chunk of one, that is being read; and its share of the memory for messages.

use std::sync::Arc;

use sm2tp_proto::smtp::bdat::ChunkReader;
use sm2tp_proto::smtp::data::{DataProgress, DataReader};
use sm2tp_proto::smtp::server::{Session, Step};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

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

/// What a connection has of the memory for messages: from its 354 or first chunk to the answer about the message.
#[derive(Default)]
pub(super) struct Share(Option<OwnedSemaphorePermit>);

impl Reading {
    pub(super) fn data(octets_max: u64) -> Self {
        Self { reader: Reader::Data(DataReader::new(octets_max)), fresh: 0 }
    }

    pub(super) fn chunk(reader: ChunkReader) -> Self {
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

impl Share {
    /// Makes the share as large as what is held, and one piece at least; false where there is not so much.
    pub(super) fn grow(&mut self, held: usize, memory: &Arc<Semaphore>) -> bool {
        while self.0.as_ref().is_none_or(|share| share.num_permits() * 1024 < held) {
            let Ok(more) = memory.clone().try_acquire_many_owned(SHARE_KIB) else { return false };
            match &mut self.0 {
                Some(share) => share.merge(more),
                None => self.0 = Some(more),
            }
        }
        true
    }

    pub(super) fn release(&mut self) {
        self.0 = None;
    }
}

/// A client that sends less of a message than this within the timeout of a command is sent away.
const PIECE_OCTETS: usize = 1024;
/// The memory for messages is given out in pieces of this many KiB.
const SHARE_KIB: u32 = 256;
