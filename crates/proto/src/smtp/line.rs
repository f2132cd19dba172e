//! Bytes in, whole command lines out: only CRLF ends a line, and no line makes us hold more than its limit.

use memchr::memchr;
use thiserror::Error;

use super::refusal::Refusal;
use crate::Enhanced;

/// Puts the pieces that a socket delivers together to lines; holds at most [`LINE_OCTETS_MAX`].
///
/// The caller keeps what it has read and offers it again from where [`LineProgress::consumed`] says, so that the
/// octets after DATA go to the `DataReader` and those after STARTTLS can be thrown away.
#[derive(Debug, Default)]
pub struct LineBuffer {
    held: Vec<u8>,
    after_cr: bool,
    /// The line was answered with an error already; the rest of it, up to its CRLF, is skipped.
    skipping: bool,
}

/// What one call of [`LineBuffer::push`] did.
#[derive(Debug, PartialEq, Eq)]
pub struct LineProgress {
    /// How many of the offered octets are used up.
    pub consumed: usize,
    /// A line without its CRLF, or what is wrong with it. `None`: everything was consumed and more is needed.
    pub line: Option<Result<Vec<u8>, LineError>>,
}

/// Why a line was not taken. It was skipped as a whole; the session goes on behind its CRLF.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum LineError {
    /// RFC 5321 §2.3.8. Two programs that see different lines in the same octets is what smuggling needs.
    #[error("a bare CR or LF in a command line (RFC 5321 §2.3.8)")]
    BareCrOrLf,
    #[error("a NUL in a command line")]
    Nul,
    #[error("line too long")]
    TooLong,
}

impl LineBuffer {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads up to the end of one line, or up to the octet that spoils it.
    ///
    /// An error is told at once and not at the end of the line: a person who types into `nc`, which sends LF alone,
    /// shall see it, and a line without end must not wait for one.
    pub fn push(&mut self, bytes: &[u8]) -> LineProgress {
        if !self.skipping {
            let end = memchr(b'\n', bytes).unwrap_or(bytes.len());
            self.held.reserve(end.min(LINE_OCTETS_MAX - self.held.len()));
        }
        for (index, &byte) in bytes.iter().enumerate() {
            if let Some(line) = self.octet(byte) {
                return LineProgress { consumed: index + 1, line: Some(line) };
            }
        }
        LineProgress { consumed: bytes.len(), line: None }
    }

    /// How many octets of an unfinished line are held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.len()
    }

    fn octet(&mut self, byte: u8) -> Option<Result<Vec<u8>, LineError>> {
        let after_cr = std::mem::replace(&mut self.after_cr, byte == b'\r');
        let fault = match byte {
            b'\n' if after_cr => return self.line_end(),
            b'\n' => LineError::BareCrOrLf,
            _ if after_cr => LineError::BareCrOrLf,
            0 => LineError::Nul,
            b'\r' => return None,
            _ if self.skipping => return None,
            _ if self.held.len() + CRLF_OCTETS < LINE_OCTETS_MAX => {
                self.held.push(byte);
                return None;
            }
            _ => LineError::TooLong,
        };
        self.held = Vec::new();
        (!std::mem::replace(&mut self.skipping, true)).then_some(Err(fault))
    }

    fn line_end(&mut self) -> Option<Result<Vec<u8>, LineError>> {
        let line = std::mem::take(&mut self.held);
        (!std::mem::take(&mut self.skipping)).then_some(Ok(line))
    }
}

impl LineError {
    /// What the other side is told.
    #[must_use]
    pub fn refusal(self) -> Refusal {
        match self {
            Self::BareCrOrLf => {
                Refusal::new(500, Enhanced(5, 5, 2), "Lines end with CRLF, bare CR or LF refused (RFC 5321 2.3.8)")
            }
            Self::Nul => Refusal::new(500, Enhanced(5, 5, 2), "NUL in a command"),
            Self::TooLong => Refusal::new(500, Enhanced(5, 5, 6), "Line too long"),
        }
    }
}

/// The line end counts in the limits of RFC 5321 §4.5.3.1.
pub(super) const CRLF_OCTETS: usize = 2;
/// RFC 4954 §4: lines of an AUTH exchange have at most 12 288 octets with their CRLF. Bounds the memory of a session
/// that sends a line without end; all other commands have the shorter `COMMAND_OCTETS_MAX` of the session.
pub const LINE_OCTETS_MAX: usize = 12_288;

#[cfg(test)]
mod tests {
    use super::*;

    fn all(chunks: &[&[u8]]) -> Vec<Result<String, LineError>> {
        let mut buffer = LineBuffer::new();
        let mut lines = Vec::new();
        for chunk in chunks {
            let mut rest = *chunk;
            while !rest.is_empty() {
                let progress = buffer.push(rest);
                rest = &rest[progress.consumed..];
                lines.extend(progress.line.map(|line| line.map(|line| String::from_utf8(line).unwrap())));
            }
        }
        lines
    }

    #[test]
    fn only_crlf_ends_a_line() {
        assert_eq!(all(&[b"NOOP\r\nQU", b"IT\r", b"\nRS"]), [Ok("NOOP".into()), Ok("QUIT".into())]);
        assert_eq!(all(&[b"\r\n"]), [Ok(String::new())]);
    }

    #[test]
    fn a_spoiled_line_is_told_once_and_skipped_to_its_crlf() {
        for bad in [&b"A\nRSET\rX\n\r\n"[..], b"\n\r\n", b"A\rB\r\n", b"A\r\r\n", b"A\r\r\r\n", b"\nA\0\r\n"] {
            let got = all(&[bad, b"NOOP\r\n"]);
            assert_eq!(got, [Err(LineError::BareCrOrLf), Ok("NOOP".into())], "{bad:?}");
        }
        assert_eq!(all(&[b"A\0B\r\nNOOP\r\n"]), [Err(LineError::Nul), Ok("NOOP".into())]);
    }

    #[test]
    fn a_line_without_end_holds_no_memory() {
        let fits = vec![b'a'; LINE_OCTETS_MAX - CRLF_OCTETS];
        assert_eq!(all(&[&fits, b"\r\n"]).len(), 1);
        let mut buffer = LineBuffer::new();
        assert_eq!(buffer.push(&fits).line, None);
        assert_eq!(buffer.push(b"a").line, Some(Err(LineError::TooLong)));
        for _ in 0..1000 {
            assert_eq!(buffer.push(&fits).line, None);
            assert_eq!(buffer.held(), 0);
        }
        assert_eq!(buffer.push(b"\r\nNOOP\r\n"), LineProgress { consumed: 8, line: Some(Ok(b"NOOP".to_vec())) });
    }
}
