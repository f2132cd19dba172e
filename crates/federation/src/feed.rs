//! What a node serves to its peers: headers in the order of their arrival, cursors, and heads (`FEDERATION.md` §6).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::Hash;
use crate::bytes::{base64url, from_base64url_any, u64_at};
use crate::header::{HEADER_OCTETS, Header, HeaderError, Position};
use crate::keys::NodeKey;

/// Names one life of a node's feed. A restored database gets a new one: its local numbers mean other headers now.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FeedId([u8; 16]);

/// How far a reader is in a feed. For the reader an opaque text: `<feed-uuid>:<n>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cursor {
    pub feed: FeedId,
    /// The local number of the last header that was read; 0 before the first.
    pub after: u64,
}

/// A header with its local number at the node that serves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedEntry {
    pub number: u64,
    pub header: Header,
}

/// An entry as it arrived. A header that cannot be read is no reason to stop: the peer may be newer than we, or an origin
/// mad, and a cursor that never passes it would cut us off from everybody behind that peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedLine {
    pub number: u64,
    pub header: Result<Header, HeaderError>,
}

/// The answer of `GET /heads`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Heads {
    pub heads: Vec<HeadLine>,
}

/// How far a node is in the log of one origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadLine {
    pub origin: NodeKey,
    pub epoch: u32,
    pub segno: u32,
    /// The sequence number of the last event of that segment.
    pub last_sequence: u64,
    /// SHA-256 of the newest header, hex.
    #[serde(with = "crate::bytes::hex_array")]
    pub hash: Hash,
    pub oldest_epoch: u32,
    pub oldest_segno: u32,
}

/// The body of a 410: the cursor is of a feed that is no more; begin again in this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadCursor {
    pub feed: FeedId,
}

/// Why an answer is no feed. Nothing of it is used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FeedError {
    #[error("{octets} octets; {FEED_OCTETS_MAX} are the limit of a feed answer")]
    TooLong { octets: usize },
    #[error("{octets} octets are not a whole number of entries of {ENTRY_OCTETS}")]
    Length { octets: usize },
    #[error("local number {number} does not follow {before}")]
    Order { number: u64, before: u64 },
    #[error("it is not the JSON of heads: {0}")]
    Json(String),
}

/// A text that is no cursor.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a cursor is <feed-uuid>:<number>, not {0:?}")]
pub struct CursorError(pub String);

/// Names a segment to somebody who has it or will: the beginning of its header's hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mark([u8; 4]);

impl Mark {
    #[must_use]
    pub fn of(header: &Header) -> Self {
        let [a, b, c, d, ..] = header.hash();
        Self([a, b, c, d])
    }
}

/// The value of `has` in a question for a feed: what the asker got elsewhere and need not be told. Marks beyond
/// [`MARKS_MAX`] are left out, and told.
#[must_use]
pub fn write_marks(marks: &[Mark]) -> String {
    let octets: Vec<u8> = marks.iter().take(MARKS_MAX).flat_map(|mark| mark.0).collect();
    base64url(&octets)
}

/// Reads `has`. None where it is no base64url of whole marks, or of more than [`MARKS_MAX`].
#[must_use]
pub fn read_marks(text: &str) -> Option<Vec<Mark>> {
    let octets = (text.len() <= MARKS_MAX * 6).then(|| from_base64url_any(text)).flatten()?;
    let (marks, rest) = octets.as_chunks::<4>();
    (rest.is_empty() && marks.len() <= MARKS_MAX).then(|| marks.iter().copied().map(Mark).collect())
}

impl FeedId {
    /// A UUID of version 4 from 16 random bytes.
    #[must_use]
    pub fn from_random(mut bytes: [u8; 16]) -> Self {
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Self(bytes)
    }
}

/// Writes a feed answer: for each entry u64 local number and the 240-byte header. Entries beyond [`FEED_ENTRIES_MAX`]
/// are left out; the reader comes again with its cursor.
#[must_use]
pub fn encode(entries: &[FeedEntry]) -> Vec<u8> {
    let entries = &entries[..entries.len().min(FEED_ENTRIES_MAX)];
    let mut out = Vec::with_capacity(entries.len() * ENTRY_OCTETS);
    for entry in entries {
        out.extend(entry.number.to_be_bytes());
        out.extend(entry.header.as_bytes());
    }
    out
}

/// Reads a feed answer. `after` is the number of the cursor that was asked with: local numbers only grow.
///
/// # Errors
/// [`FeedError`] where the framing is broken; nothing of the answer is used.
pub fn decode(bytes: &[u8], after: u64) -> Result<Vec<FeedLine>, FeedError> {
    let octets = bytes.len();
    if FEED_OCTETS_MAX < octets {
        return Err(FeedError::TooLong { octets });
    }
    if !octets.is_multiple_of(ENTRY_OCTETS) {
        return Err(FeedError::Length { octets });
    }
    let mut before = after;
    let mut entries = Vec::with_capacity(octets / ENTRY_OCTETS);
    for entry in bytes.chunks_exact(ENTRY_OCTETS) {
        let number = u64_at(entry, 0);
        if number <= before {
            return Err(FeedError::Order { number, before });
        }
        before = number;
        entries.push(FeedLine { number, header: Header::parse(&entry[8..]) });
    }
    Ok(entries)
}

impl Heads {
    /// Reads `GET /heads`. The reader of the connection bounds the length (8 MB).
    ///
    /// # Errors
    /// [`FeedError::Json`].
    pub fn parse(text: &str) -> Result<Self, FeedError> {
        serde_json::from_str(text).map_err(|error| FeedError::Json(error.to_string()))
    }
}

impl HeadLine {
    /// The line for a log whose newest header is `head`.
    #[must_use]
    pub fn new(head: &Header, oldest: Position) -> Self {
        let Position { epoch, segno } = head.position();
        Self {
            origin: head.origin(),
            epoch,
            segno,
            last_sequence: head.next_sequence() - 1,
            hash: head.hash(),
            oldest_epoch: oldest.epoch,
            oldest_segno: oldest.segno,
        }
    }

    #[must_use]
    pub fn position(&self) -> Position {
        Position { epoch: self.epoch, segno: self.segno }
    }

    #[must_use]
    pub fn oldest(&self) -> Position {
        Position { epoch: self.oldest_epoch, segno: self.oldest_segno }
    }
}

impl fmt::Display for FeedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = hex::encode(self.0);
        write!(f, "{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }
}

impl fmt::Debug for FeedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FeedId({self})")
    }
}

impl FromStr for FeedId {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let mut bytes = [0; 16];
        let decoded = hex::decode_to_slice(text.replace('-', ""), &mut bytes);
        let id = Self(bytes);
        // One spelling only: lower case, hyphens in their places.
        if decoded.is_ok() && id.to_string() == text { Ok(id) } else { Err(CursorError(text.to_owned())) }
    }
}

impl Serialize for FeedId {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FeedId {
    fn deserialize<D: serde::Deserializer<'de>>(text: D) -> Result<Self, D::Error> {
        String::deserialize(text)?.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.feed, self.after)
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let error = || CursorError(text.chars().take(80).collect());
        let (feed, after) = text.split_once(':').ok_or_else(error)?;
        let cursor = Self { feed: feed.parse().map_err(|_| error())?, after: after.parse().map_err(|_| error())? };
        if cursor.to_string() == text { Ok(cursor) } else { Err(error()) }
    }
}

/// §6: a feed answer has at most 1 MB.
pub const FEED_OCTETS_MAX: usize = 1_000_000;
/// The entries that fit into an answer.
pub const FEED_ENTRIES_MAX: usize = FEED_OCTETS_MAX / ENTRY_OCTETS;
/// What one question says that its asker has: 2 700 characters, well below what proxies take for an address.
pub const MARKS_MAX: usize = 500;
/// §6: a bulk answer or `/heads` after decompression.
pub const BULK_OCTETS_MAX: usize = 8_000_000;
const ENTRY_OCTETS: usize = 8 + HEADER_OCTETS;

/// Days between two comparisons of all heads with one peer. Of ten thousand logs they are a megabyte: with several peers one or
/// another is asked each day nevertheless.
#[must_use]
pub fn heads_days(logs: usize) -> u64 {
    if logs < LOGS_MANY { 1 } else { 7 }
}

/// Logs from which on what is said of each of them costs more than what is in them: lines of heads, headers of small segments.
pub const LOGS_MANY: usize = 2000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::tests::segment;

    #[test]
    fn marks_are_read_as_they_were_written_and_no_more_of_them_than_agreed() {
        let marks = |count: u32| (0..count).map(|n| Mark(n.to_be_bytes())).collect::<Vec<Mark>>();
        for count in [0, 1, 2, 3, 500] {
            assert_eq!(read_marks(&write_marks(&marks(count))), Some(marks(count)));
        }
        assert_eq!(read_marks(&write_marks(&marks(501))), Some(marks(500)));
        assert_eq!(write_marks(&marks(2)), "AAAAAAAAAAE");
        for wrong in ["AAA", "AAAAAAAA", "AAAAAA==", "AA AAA", &"AAAA".repeat(501), &"A".repeat(1 << 20)] {
            assert_eq!(read_marks(wrong), None, "{}", wrong.len());
        }
    }

    #[track_caller]
    fn check_cursor(text: &str, want: Option<u64>) {
        assert_eq!(text.parse::<Cursor>().ok().map(|cursor| cursor.after), want, "{text:?}");
    }

    #[test]
    fn a_feed_reads_back_with_growing_numbers_only() {
        let header = *segment(3).header.header();
        let entries = [FeedEntry { number: 5, header }, FeedEntry { number: 9, header }];
        let bytes = encode(&entries);
        assert_eq!(bytes.len(), 2 * 248);
        let lines = entries.map(|FeedEntry { number, header }| FeedLine { number, header: Ok(header) });
        assert_eq!(decode(&bytes, 4).as_deref(), Ok(&lines[..]));
        assert_eq!(decode(&bytes, 5), Err(FeedError::Order { number: 5, before: 5 }));
        assert_eq!(decode(&bytes[1..], 0), Err(FeedError::Length { octets: 495 }));
        assert_eq!(decode(&[], 0), Ok(vec![]));
        assert_eq!(decode(&[0; 1_000_001], 0), Err(FeedError::TooLong { octets: 1_000_001 }));
        let zeros = [[0u8; 7].as_slice(), &[1], &[0; 240]].concat();
        assert_eq!(decode(&zeros, 0), Ok(vec![FeedLine { number: 1, header: Err(HeaderError::Magic) }]));
    }

    #[test]
    fn a_long_feed_is_cut_at_its_limit() {
        let header = *segment(1).header.header();
        let entries: Vec<_> = (1..5000).map(|number| FeedEntry { number, header }).collect();
        let bytes = encode(&entries);
        assert!(bytes.len() <= FEED_OCTETS_MAX);
        assert_eq!(decode(&bytes, 0).unwrap().len(), FEED_ENTRIES_MAX);
    }

    #[test]
    fn a_cursor_has_one_spelling() {
        let feed = FeedId::from_random([0xab; 16]);
        let cursor = Cursor { feed, after: 42 };
        assert_eq!(cursor.to_string(), "abababab-abab-4bab-abab-abababababab:42");
        check_cursor(&cursor.to_string(), Some(42));
        check_cursor("ABABABAB-abab-4bab-abab-abababababab:42", None);
        check_cursor("abababababab4bababababababababab:42", None);
        check_cursor("abababab-abab-4bab-abab-abababababab:042", None);
        check_cursor("abababab-abab-4bab-abab-abababababab:+42", None);
        check_cursor("abababab-abab-4bab-abab-abababababab:18446744073709551616", None);
        check_cursor("abababab-abab-4bab-abab-abababababab", None);
        check_cursor("é", None);
    }

    #[test]
    fn heads_read_back() {
        let header = *segment(3).header.header();
        let heads = Heads { heads: vec![HeadLine::new(&header, Position { epoch: 0, segno: 0 })] };
        let text = serde_json::to_string(&heads).unwrap();
        assert_eq!(Heads::parse(&text), Ok(heads));
        assert!(text.contains(r#""last_sequence":2"#), "{text}");
    }

    #[test]
    fn of_many_logs_the_heads_of_a_peer_are_compared_once_a_week() {
        assert_eq!([0, 1999, 2000, 10_000].map(heads_days), [1, 1, 7, 7]);
    }
}
