//! A message in chunks (RFC 3030): counted octets instead of a line with a dot, and the same rules for what is in them.

use memchr::memchr3;

use super::data::{DataError, DataProgress, Keeper};

/// Whether a chunk is the last one of its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Last {
    No,
    Yes,
}

/// The chunks of one message put together.
///
/// The rules are those of [`super::data::DataReader`]: only CRLF ends a line, a bare CR or LF and NUL spoil the message,
/// so that BDAT is no way around them. A dot alone in a line is content here, and is stuffed when it goes on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chunks {
    keeper: Keeper,
    /// The last octet was a CR: it may end one chunk while its LF begins the next.
    after_cr: bool,
}

/// Reads the octets of one chunk; made by the session, and given back to it when it is done.
#[derive(Debug, PartialEq, Eq)]
pub struct ChunkReader {
    octets: u64,
    left: u64,
    pub(super) last: Last,
    /// None: there is no message that these octets belong to. They are counted and forgotten, because the client has
    /// sent them already (RFC 3030 §2).
    pub(super) chunks: Option<Chunks>,
}

/// A message that came whole, under the same rules.
///
/// # Errors
/// [`DataError`]: why it is not taken. `octets_max` is of the message.
pub fn whole(content: &[u8], octets_max: u64) -> Result<Vec<u8>, DataError> {
    let mut chunks = Chunks::new(octets_max);
    chunks.push(content);
    chunks.into_message()
}

impl ChunkReader {
    pub(super) fn new(octets: u64, last: Last, chunks: Option<Chunks>) -> Self {
        Self { octets, left: octets, last, chunks }
    }

    /// Of the message only the first octets are wanted; the rest is read, checked like it, and forgotten.
    pub fn keep_at_most(&mut self, octets: u64) {
        if let Some(chunks) = &mut self.chunks {
            chunks.keeper.keep_at_most(octets);
        }
    }

    /// Takes octets up to the end of the chunk. Holds at most the largest message, and nothing once there is a fault.
    pub fn push(&mut self, bytes: &[u8]) -> DataProgress {
        let consumed = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
        if let Some(chunks) = &mut self.chunks {
            chunks.push(&bytes[..consumed]);
        }
        self.left -= consumed as u64;
        DataProgress { consumed, done: self.left == 0 }
    }

    /// How many octets the chunk has.
    pub(super) fn octets(&self) -> u64 {
        self.octets
    }

    /// How many octets are held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.chunks.as_ref().map_or(0, Chunks::held)
    }
}

impl Chunks {
    pub(super) fn new(octets_max: u64) -> Self {
        Self { keeper: Keeper::new(octets_max), after_cr: false }
    }

    pub(super) fn held(&self) -> usize {
        self.keeper.held()
    }

    pub(super) fn fault(&self) -> Option<DataError> {
        self.keeper.fault()
    }

    /// The whole message. Its last line gets an end where it has none: it may go on by DATA, where it has to have one.
    pub(super) fn into_message(mut self) -> Result<Vec<u8>, DataError> {
        if self.after_cr {
            self.keeper.spoil(DataError::BareCrOrLf);
        }
        if !self.keeper.content().is_empty() && !self.keeper.content().ends_with(b"\r\n") {
            self.keeper.keep(b"\r\n");
        }
        self.keeper.into_message()
    }

    fn push(&mut self, mut rest: &[u8]) {
        while let [first, tail @ ..] = rest {
            if std::mem::take(&mut self.after_cr) {
                if *first == b'\n' {
                    self.keeper.keep(b"\r\n");
                    rest = tail;
                    continue;
                }
                self.keeper.spoil(DataError::BareCrOrLf);
            }
            let run = memchr3(b'\r', b'\n', 0, rest).unwrap_or(rest.len());
            self.keeper.keep(&rest[..run]);
            match rest.get(run) {
                Some(b'\r') => self.after_cr = true,
                Some(b'\n') => self.keeper.spoil(DataError::BareCrOrLf),
                Some(_) => self.keeper.spoil(DataError::Nul),
                None => return,
            }
            rest = &rest[run + 1..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(chunks: &[&[u8]], octets_max: u64) -> Result<String, DataError> {
        let mut message = Chunks::new(octets_max);
        for chunk in chunks {
            let mut reader = ChunkReader::new(chunk.len() as u64, Last::No, Some(message));
            let wire = [chunk, &b"NOOP\r\n"[..]].concat();
            // Octet by octet, so that nothing depends on how they are cut.
            let mut at = 0;
            while reader.left != 0 {
                at += reader.push(&wire[at..=at]).consumed;
            }
            assert_eq!(reader.push(&wire[at..]), DataProgress { consumed: 0, done: true });
            message = reader.chunks.unwrap();
        }
        message.into_message().map(|content| String::from_utf8(content).unwrap())
    }

    #[track_caller]
    fn check(chunks: &[&str], want: Result<&str, DataError>) {
        let chunks: Vec<&[u8]> = chunks.iter().map(|chunk| chunk.as_bytes()).collect();
        let whole = chunks.concat();
        assert_eq!(read(&chunks, 100), want.map(str::to_owned), "{}", whole.escape_ascii());
        assert_eq!(read(&[&whole], 100), want.map(str::to_owned), "{}", whole.escape_ascii());
    }

    #[test]
    fn chunks_are_put_together_wherever_they_are_cut() {
        check(&["Subject: x\r", "\n\r\n", "", "hel", "lo\r\n"], Ok("Subject: x\r\n\r\nhello\r\n"));
        check(&["no end"], Ok("no end\r\n"));
        check(&[], Ok(""));
        check(&[".\r\n..\r\n\r\n.\r\nx\r\n"], Ok(".\r\n..\r\n\r\n.\r\nx\r\n"));
    }

    #[test]
    fn chunks_are_no_way_around_the_rules_of_data() {
        for bad in ["a\nb", "a\rb", "a\r", "\n", "\r", "a\r\r\n", "\r\n\n", "\r\n.\r\r\n", "\n.\r\n", "\r\n.\n"] {
            check(&[bad], Err(DataError::BareCrOrLf));
        }
        check(&["a\r", "b"], Err(DataError::BareCrOrLf));
        check(&["a\r", "\r\n"], Err(DataError::BareCrOrLf));
        check(&["a\0"], Err(DataError::Nul));
    }

    #[test]
    fn what_is_too_large_is_counted_and_not_held() {
        let too_large = Err(DataError::TooLarge { octets_max: 100 });
        let fits = "a".repeat(98);
        check(&[&fits, "\r\n"], Ok(&format!("{fits}\r\n")));
        check(&[&fits, "\r\n", "b"], too_large);
        check(&[&fits, "b"], too_large);
        let mut reader = ChunkReader::new(u64::MAX, Last::Yes, Some(Chunks::new(1000)));
        for _ in 0..1000 {
            assert!(!reader.push(fits.as_bytes()).done);
            assert!(reader.held() <= 1000);
        }
        assert_eq!(reader.held(), 0);
    }
}
