//! BDAT (RFC 3030): a message in counted chunks, inside the same transaction as DATA.

use super::mail::no_content_yet;
use super::{Session, State, Step};
use crate::Enhanced;
use crate::smtp::bdat::{ChunkReader, Chunks, Last};
use crate::smtp::refusal::reply;

impl Session {
    /// The octets follow whatever we think of it, so they are always read: a client that pipelines has sent them
    /// (RFC 3030 §2), and whoever takes them for commands lets a stranger's message speak for the client.
    pub(super) fn bdat(&mut self, octets: u64, last: Last) -> Step {
        let (before, chunks, refusal) = match self.take_state() {
            State::Chunked(greeting, transaction, chunks) => (State::Mail(greeting, transaction), Some(chunks), None),
            State::Mail(greeting, transaction) if !transaction.envelope.recipients.is_empty() => {
                (State::Mail(greeting, transaction), Some(Chunks::new(self.offers.octets_max)), None)
            }
            state => {
                let refusal = no_content_yet(&state);
                (state, None, Some(refusal))
            }
        };
        self.state = State::Chunk(Box::new(before), refusal);
        let reader = ChunkReader::new(octets, last, chunks);
        if octets == 0 { self.chunk_read(reader, octets) } else { Step::ReadChunk(reader) }
    }

    /// Takes back the reader of the last [`Step::ReadChunk`], when it said that it is done.
    #[must_use]
    pub fn chunk(mut self, reader: ChunkReader) -> (Self, Step) {
        let octets = reader.octets();
        let step = self.chunk_read(reader, octets);
        (self, step)
    }

    /// How many octets of a message the session holds between two chunks.
    #[must_use]
    pub fn held(&self) -> usize {
        if let State::Chunked(_, _, chunks) = &self.state { chunks.held() } else { 0 }
    }

    fn chunk_read(&mut self, reader: ChunkReader, octets: u64) -> Step {
        let State::Chunk(before, refusal) = self.take_state() else { return self.misused() };
        if let Some(refusal) = refusal {
            self.state = *before;
            return self.idle(refusal.to_reply());
        }
        let last = reader.last;
        let (State::Mail(greeting, transaction), Some(chunks)) = (*before, reader.chunks) else {
            return self.misused();
        };
        match chunks.fault() {
            // RFC 3030 §2: after a chunk that failed the transaction is over; chunks behind it find none.
            Some(fault) => {
                let replies = if last == Last::Yes { self.replies(&transaction) } else { 1 };
                self.state = State::Greeted(greeting);
                self.idle(fault.refusal().to_reply().repeat(replies))
            }
            None if last == Last::Yes => self.content(greeting, transaction, chunks.into_message()),
            None => {
                self.state = State::Chunked(greeting, transaction, chunks);
                let taken = reply(250, Enhanced(2, 0, 0), &format!("{octets} octets received"));
                if octets < CHUNK_OCTETS_MIN { self.idle(taken) } else { Step::Reply(taken) }
            }
        }
    }
}

/// Chunks smaller than this count as commands that bring no message further: a reply for each octet would be dear,
/// and no program sends so little at once.
const CHUNK_OCTETS_MIN: u64 = 512;
