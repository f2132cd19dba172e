//! The message after DATA (RFC 5321 §4.5.2): where it ends, without its dot-stuffing; and the same for sending.

use memchr::{memchr_iter, memchr3_iter};
use thiserror::Error;

use super::refusal::Refusal;
use crate::Enhanced;

/// Reads message content up to the line that holds a single dot, whatever is wrong with it before.
///
/// Only CRLF ends a line. A CR or LF alone is no line end and spoils the whole message: programs that take it for one
/// would see another end of the message than we do (SMTP smuggling). So does NUL, which no mail may hold (RFC 2045
/// §2.7 and §2.8) and which cuts the text for many programs. Lines may be longer than the 1000 octets of RFC 5321
/// §4.5.3.1.6, because real programs send them and refusing would punish their users; the message size bounds them.
#[derive(Debug)]
pub struct DataReader {
    keeper: Keeper,
    at: At,
}

/// The content so far, up to its limit; nothing once it is spoiled.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Keeper {
    octets_max: u64,
    /// What comes behind these is counted and forgotten.
    kept_max: u64,
    octets: u64,
    content: Vec<u8>,
    fault: Option<DataError>,
}

/// Where in a line the reader stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    LineStart,
    /// A dot was the first octet of the line. It was taken off: either it was stuffed or the message ends.
    Dot,
    DotCr,
    Inside,
    Cr,
    End,
}

/// What one call of [`DataReader::push`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataProgress {
    /// How many of the offered octets belong to the message and its end. What follows is the next command.
    pub consumed: usize,
    pub done: bool,
}

/// Why a message that was read to its end is not taken. The first fault counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DataError {
    #[error("the message holds a bare CR or LF (RFC 5321 §2.3.8)")]
    BareCrOrLf,
    #[error("the message holds a NUL (RFC 2045 §2.8)")]
    Nul,
    #[error("the message has more than {octets_max} octets")]
    TooLarge { octets_max: u64 },
}

impl DataReader {
    /// `octets_max`: of the message without stuffing and without its end, as SIZE counts (RFC 1870 §5).
    #[must_use]
    pub fn new(octets_max: u64) -> Self {
        Self { keeper: Keeper::new(octets_max), at: At::LineStart }
    }

    /// Of the message only the first octets are wanted; the rest is read, checked like it, and forgotten.
    pub fn keep_at_most(&mut self, octets: u64) {
        self.keeper.keep_at_most(octets);
    }

    /// Takes octets up to the end of the message. Holds at most `octets_max`, and nothing once there is a fault.
    pub fn push(&mut self, bytes: &[u8]) -> DataProgress {
        let mut rest = bytes;
        self.keeper.make_room(bytes.len());
        while let [first, tail @ ..] = rest {
            if self.at == At::End {
                break;
            }
            let is_plain = match self.at {
                At::Inside => true,
                At::LineStart => *first != b'.',
                At::Dot => !matches!(first, b'\r' | b'\n' | 0),
                At::DotCr | At::Cr | At::End => false,
            };
            if is_plain {
                let run = plain(rest);
                if 0 < run {
                    self.keeper.keep(&rest[..run]);
                    self.at = At::Inside;
                    rest = &rest[run..];
                    continue;
                }
            }
            self.octet(*first);
            rest = tail;
        }
        DataProgress { consumed: bytes.len() - rest.len(), done: self.at == At::End }
    }

    /// The message with CRLF line ends and without stuffed dots.
    ///
    /// # Errors
    /// [`DataError`]: what spoiled it.
    pub fn into_message(self) -> Result<Vec<u8>, DataError> {
        self.keeper.into_message()
    }

    /// How many octets are held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.keeper.held()
    }

    /// One octet that decides something: at the start of a line, behind a CR, or a CR, LF or NUL.
    fn octet(&mut self, byte: u8) {
        self.at = match (self.at, byte) {
            (At::DotCr, b'\n') => At::End,
            (At::Cr, b'\n') => {
                self.keeper.keep(b"\r\n");
                At::LineStart
            }
            (At::Dot, b'\r') => At::DotCr,
            (At::LineStart, b'.') => At::Dot,
            (At::Cr | At::DotCr, _) => {
                self.keeper.spoil(DataError::BareCrOrLf);
                if byte == b'\r' { At::Cr } else { At::Inside }
            }
            (_, b'\r') => At::Cr,
            (_, b'\n') => {
                self.keeper.spoil(DataError::BareCrOrLf);
                At::Inside
            }
            (_, 0) => {
                self.keeper.spoil(DataError::Nul);
                At::Inside
            }
            _ => {
                self.keeper.keep(&[byte]);
                At::Inside
            }
        };
    }
}

/// How many octets are kept as they are: up to a line that begins with a dot, or ends where nobody sees what begins behind it,
/// and up to whatever is no line end. So that a mail is copied in a few pieces, and not by its lines.
fn plain(bytes: &[u8]) -> usize {
    let mut line = 0;
    for at in memchr3_iter(b'\r', b'\n', 0, bytes) {
        // The LF of the last line's end.
        if at < line {
            continue;
        }
        match bytes[at..] {
            [b'\r', b'\n', next, ..] if next != b'.' => line = at + 2,
            _ => return at,
        }
    }
    bytes.len()
}

impl Keeper {
    pub(super) fn new(octets_max: u64) -> Self {
        Self { octets_max, kept_max: octets_max, octets: 0, content: Vec::new(), fault: None }
    }

    pub(super) fn keep_at_most(&mut self, octets: u64) {
        self.kept_max = octets;
    }

    /// Memory for what is about to be kept, taken once and not by the line.
    fn make_room(&mut self, octets: usize) {
        if self.fault.is_none() {
            let room = self.kept_max.min(self.octets_max).saturating_sub(self.content.len() as u64);
            self.content.reserve(usize::try_from(room).unwrap_or(usize::MAX).min(octets));
        }
    }

    pub(super) fn held(&self) -> usize {
        self.content.len()
    }

    pub(super) fn content(&self) -> &[u8] {
        &self.content
    }

    pub(super) fn fault(&self) -> Option<DataError> {
        self.fault
    }

    pub(super) fn into_message(self) -> Result<Vec<u8>, DataError> {
        self.fault.map_or(Ok(self.content), Err)
    }

    pub(super) fn keep(&mut self, bytes: &[u8]) {
        if self.fault.is_some() {
            return;
        }
        self.octets = self.octets.saturating_add(bytes.len() as u64);
        if self.octets_max < self.octets {
            self.spoil(DataError::TooLarge { octets_max: self.octets_max });
        } else {
            let room = self.kept_max.saturating_sub(self.content.len() as u64);
            let kept = usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len());
            self.content.extend_from_slice(&bytes[..kept]);
        }
    }

    pub(super) fn spoil(&mut self, fault: DataError) {
        self.fault.get_or_insert(fault);
        self.content = Vec::new();
    }
}

impl DataError {
    /// What the other side is told.
    #[must_use]
    pub fn refusal(self) -> Refusal {
        match self {
            Self::BareCrOrLf => {
                Refusal::new(550, Enhanced(5, 6, 0), "Message with a bare CR or LF refused (RFC 5321 2.3.8)")
            }
            Self::Nul => Refusal::new(550, Enhanced(5, 6, 0), "Message with a NUL refused (RFC 2045 2.8)"),
            Self::TooLarge { octets_max } => {
                Refusal::new(552, Enhanced(5, 3, 4), format!("Message larger than {octets_max} octets"))
            }
        }
    }
}

/// Writes a message as it goes over the wire: dots stuffed, the last line ended, and the line with the single dot.
///
/// `message` has CRLF line ends, as [`DataReader`] gives it; a bare CR or LF stays what it is and starts no line.
pub fn dot_stuff(message: &[u8], out: &mut Vec<u8>) {
    out.reserve(message.len() + message.len() / 64 + b"\r\n.\r\n".len());
    if message.first() == Some(&b'.') {
        out.push(b'.');
    }
    let mut from = 0;
    for dot in memchr_iter(b'.', message) {
        if message[..dot].ends_with(b"\r\n") {
            out.extend_from_slice(&message[from..dot]);
            out.push(b'.');
            from = dot;
        }
    }
    out.extend_from_slice(&message[from..]);
    if !message.is_empty() && !message.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b".\r\n");
}

/// How many Received fields the header has; a relay that counts too many is in a loop (RFC 5321 §6.3).
#[must_use]
pub fn count_received(message: &[u8]) -> usize {
    message
        .split_inclusive(|byte| *byte == b'\n')
        .take_while(|line| !matches!(*line, b"\r\n" | b"\n"))
        .filter(|line| line.get(..RECEIVED.len()).is_some_and(|name| name.eq_ignore_ascii_case(RECEIVED)))
        .count()
}

const RECEIVED: &[u8] = b"Received:";

/// RFC 5321 §6.3: more Received lines than this are a loop.
pub const RECEIVED_MAX: usize = 30;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(wire: &[u8], octets_max: u64) -> Option<(usize, Result<Vec<u8>, DataError>)> {
        let mut reader = DataReader::new(octets_max);
        let progress = reader.push(wire);
        progress.done.then(|| (progress.consumed, reader.into_message()))
    }

    #[track_caller]
    fn check(wire: &[u8], want: Result<&[u8], DataError>) {
        let (consumed, got) = read(&[wire, b"QUIT\r\n"].concat(), 100).expect("no end was seen");
        assert_eq!((consumed, got.as_deref().map_err(|e| *e)), (wire.len(), want), "{:?}", wire.escape_ascii());
    }

    #[test]
    fn dots_are_unstuffed_on_each_line() {
        check(b"a\r\n.\r\n", Ok(b"a\r\n"));
        check(b".\r\n", Ok(b""));
        check(b"\r\n.\r\n", Ok(b"\r\n"));
        check(b"..\r\n.\r\n", Ok(b".\r\n"));
        check(b"..x\r\n.y\r\nz.\r\n.\r\n", Ok(b".x\r\ny\r\nz.\r\n"));
    }

    #[test]
    fn of_a_message_whose_beginning_is_wanted_no_more_is_held() {
        let mut reader = DataReader::new(10);
        reader.keep_at_most(4);
        assert!(reader.push(b"abc\r\nde\r\n.\r\n").done && reader.held() == 4);
        assert_eq!(reader.into_message(), Ok(b"abc\r".to_vec()));
        for (wire, want) in [
            (&b"abcdefghi\r\n.\r\n"[..], DataError::TooLarge { octets_max: 10 }),
            (b"abcdef\n\r\n.\r\n", DataError::BareCrOrLf),
        ] {
            let mut reader = DataReader::new(10);
            reader.keep_at_most(4);
            assert!(reader.push(wire).done);
            assert_eq!(reader.into_message(), Err(want));
        }
    }

    #[test]
    fn nothing_but_crlf_dot_crlf_ends_a_message() {
        for inside in ["\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r\n.\r\r\n", "\r\n.\r\r\r\n", "\r.\r\n", "\r\n.\r"] {
            let wire = format!("a{inside}MAIL FROM:<x@y.test>");
            assert_eq!(read(wire.as_bytes(), 100), None, "{inside:?}");
            check(format!("{wire}\r\n.\r\n").as_bytes(), Err(DataError::BareCrOrLf));
        }
        for inside in ["\r\n.\0\r\n", "\r\n\0.\r\n", "\r\n.\0.\r\n"] {
            assert_eq!(read(format!("a{inside}b").as_bytes(), 100), None, "{inside:?}");
            check(format!("a{inside}b\r\n.\r\n").as_bytes(), Err(DataError::Nul));
        }
        check(b"a\r\r\n.\r\n", Err(DataError::BareCrOrLf));
        check(b"\n.\r\n\r\n.\r\n", Err(DataError::BareCrOrLf));
        check(b".\n\r\n.\r\n", Err(DataError::BareCrOrLf));
        check(b".\r.\r\n.\r\n", Err(DataError::BareCrOrLf));
    }

    #[test]
    fn what_is_too_large_is_read_to_its_end_and_not_held() {
        let line = [b'a'; 98];
        check(&[&line[..], b"\r\n.\r\n"].concat(), Ok(&[&line[..], b"\r\n"].concat()));
        check(&[&line[..], b"b\r\n.\r\n"].concat(), Err(DataError::TooLarge { octets_max: 100 }));
        let mut reader = DataReader::new(1000);
        for _ in 0..1000 {
            assert!(!reader.push(&line).done);
            assert!(reader.held() <= 1000);
        }
        assert_eq!(reader.held(), 0);
        assert!(reader.push(b"\r\n.\r\n").done);
    }

    #[test]
    fn a_message_is_the_same_in_one_piece_and_octet_by_octet() {
        let octets = [b'a', b'.', b'\r', b'\n', 0];
        for number in 0..5_usize.pow(7) {
            let digit = |place| octets[number / 5_usize.pow(place) % 5];
            let wire: Vec<u8> = (0..7).map(digit).chain(*b"\r\n.\r\n").collect();
            let mut slow = DataReader::new(100);
            let count = wire.iter().take_while(|octet| !slow.push(&[**octet]).done).count() + 1;
            assert_eq!(read(&wire, 100), Some((count, slow.into_message())), "{:?}", wire.escape_ascii());
        }
    }

    #[test]
    fn stuffing_and_unstuffing_give_the_message_back() {
        for message in ["", "\r\n", ".", ".\r\n", "..a\r\n.b\r\n.\r\n", "a", "a\r\n.\r\nb", "\r\n..", "a..b\r\nc."] {
            let mut wire = Vec::new();
            dot_stuff(message.as_bytes(), &mut wire);
            let mut want = message.to_owned();
            if !message.is_empty() && !message.ends_with("\r\n") {
                want.push_str("\r\n");
            }
            assert_eq!(read(&wire, 100), Some((wire.len(), Ok(want.into_bytes()))), "{message:?}");
        }
    }

    #[test]
    fn received_fields_are_counted_in_the_header_alone() {
        let message = b"Received: a\r\n by b\r\nRECEIVED: c\r\nX-Received: d\r\n\r\nReceived: e\r\n";
        assert_eq!(count_received(message), 2);
        assert_eq!(count_received(b""), 0);
    }
}
