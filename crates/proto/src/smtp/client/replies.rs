//! Bytes in, whole replies out, for the side that asks.

use crate::{Reply, ReplyError, ReplyReader};

/// Puts together what a server says. A bare LF ends a line here: servers that do so exist, and their replies are theirs.
#[derive(Debug, Default)]
pub struct ReplyBuffer {
    line: Vec<u8>,
    reader: ReplyReader,
}

/// What one call of [`ReplyBuffer::push`] did.
#[derive(Debug, PartialEq, Eq)]
pub struct ReplyProgress {
    /// How many of the offered octets are used up.
    pub consumed: usize,
    /// `None`: everything was consumed and more is needed.
    pub reply: Option<Reply>,
}

impl ReplyBuffer {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads up to the end of one reply.
    ///
    /// # Errors
    /// [`ReplyError`]: the connection is of no more use.
    pub fn push(&mut self, bytes: &[u8]) -> Result<ReplyProgress, ReplyError> {
        let mut consumed = 0;
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            consumed += piece.len();
            if REPLY_LINE_OCTETS_MAX < self.line.len() + piece.len() {
                return Err(ReplyError::TooLong);
            }
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                let reply = self.reader.line(&std::mem::take(&mut self.line))?;
                if reply.is_some() {
                    return Ok(ReplyProgress { consumed, reply });
                }
            }
        }
        Ok(ReplyProgress { consumed, reply: None })
    }

    /// True where part of a reply is held.
    #[must_use]
    pub fn is_inside(&self) -> bool {
        !self.line.is_empty() || self.reader.is_inside()
    }
}

/// RFC 5321 §4.5.3.1.5 says 512; servers that put a URL and a tracking number into one line exist. Bounds the memory
/// for a line that never ends.
const REPLY_LINE_OCTETS_MAX: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_come_out_one_by_one_however_they_are_cut() {
        let wire = b"250-mx.test\r\n250 PIPELINING\n250 ok\r\n35";
        for chunk in 1..=wire.len() {
            let (mut buffer, mut replies) = (ReplyBuffer::new(), Vec::new());
            for mut bytes in wire.chunks(chunk) {
                while !bytes.is_empty() {
                    let progress = buffer.push(bytes).unwrap();
                    bytes = &bytes[progress.consumed..];
                    replies.extend(progress.reply.map(|reply| reply.text));
                }
            }
            assert_eq!(replies, ["mx.test\nPIPELINING", "ok"]);
            assert!(buffer.is_inside());
        }
    }

    #[test]
    fn a_line_without_end_is_an_error() {
        let mut buffer = ReplyBuffer::new();
        let error = (0..100).find_map(|_| buffer.push(&[b'2'; 100]).err());
        assert_eq!(error, Some(ReplyError::TooLong));
        assert!(matches!(ReplyBuffer::new().push(b"hello\r\n"), Err(ReplyError::NoCode(_))));
    }
}
