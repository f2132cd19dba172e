//! Segments: sealed by their origin, checked by every reader, redacted where an event had to go (`FEDERATION.md` §5).

use ed25519_dalek::SigningKey;
use thiserror::Error;

use crate::Hash;
use crate::bytes::{array, u16_at};
use crate::descriptor::Descriptor;
use crate::header::{COUNT_MAX, HEADER_OCTETS, Header, HeaderError, MAGIC, RelayOnly, Sealing, SignedHeader};
use crate::merkle;
use crate::record::{Class, RECORD_OCTETS, Record};
use crate::tags::Tag;

/// A sealed segment with the body as it travels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    pub header: SignedHeader,
    pub body: Vec<u8>,
}

/// A body that was checked against its signed header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    Readable(Box<Verified>),
    /// Stored and relayed; its records mean nothing to this software.
    RelayOnly(RelayOnly),
}

/// The events of a segment whose key, signature, root and hours are good. Only this module makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    header: SignedHeader,
    entries: Vec<Entry>,
}

/// One place of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    Record(Record),
    /// Taken out after an ERASE or by local law: its leaf hash keeps the root provable.
    Redacted(Hash),
}

/// A header with its unchecked body inside a longer answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part<'a> {
    pub header: Header,
    pub body: &'a [u8],
    pub rest: &'a [u8],
}

/// Why records cannot be sealed: every reader would refuse the segment.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SealError {
    #[error("a segment holds 1 to {COUNT_MAX} events, not {count}")]
    Count { count: usize },
    #[error("the sequence numbers are used up")]
    Sequence,
    #[error(transparent)]
    Hour(#[from] HourError),
}

/// Why a body does not belong to its header, or may not be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SegmentError {
    #[error(transparent)]
    Header(#[from] HeaderError),
    #[error("the body has {octets} octets, its header and redactions ask for {want}")]
    Length { octets: usize, want: usize },
    #[error("redacted record {index} is out of order or not below the count {count}")]
    Redaction { index: u16, count: u32 },
    #[error("the Merkle root of the body is not that of the header")]
    Root,
    #[error(transparent)]
    Hour(#[from] HourError),
}

/// An event whose hour cannot be. Judged against `sealed_at`, not against the reader's clock: every node must come to
/// the same answer, now and in a year.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HourError {
    #[error("event {index} is {age_s} s older than its segment; {EVENT_AGE_MAX_S} s are the limit")]
    Old { index: usize, age_s: u64 },
    #[error("event {index} is {ahead_s} s younger than its segment")]
    Future { index: usize, ahead_s: u64 },
}

/// Seals 1 to [`COUNT_MAX`] records. The signed bytes must be on stable storage before anyone sees them.
///
/// # Errors
/// [`SealError`]: no reader would take the segment.
pub fn seal(sealing: &Sealing, log_key: &SigningKey, records: &[Record]) -> Result<Segment, SealError> {
    let too_many = || SealError::Count { count: records.len() };
    let count = u32::try_from(records.len()).ok().filter(|n| (1..=COUNT_MAX).contains(n)).ok_or_else(too_many)?;
    sealing.first_sequence.checked_add(u64::from(count)).ok_or(SealError::Sequence)?;
    check_hours(sealing.sealed_at, records.iter().enumerate())?;
    let encoded: Vec<[u8; RECORD_OCTETS]> = records.iter().map(Record::encode).collect();
    let root = merkle::root(encoded.iter().map(|record| &record[..]));
    let mut body = vec![0, 0];
    body.extend(encoded.iter().flatten());
    Ok(Segment { header: SignedHeader::sign(sealing, log_key, count, &root), body })
}

/// Checks a whole segment: key, signature, framing, root and hours.
///
/// # Errors
/// [`SegmentError`]: nothing of it is stored, and whoever sent it is asked no more for this one.
pub fn verify(header: &Header, origin: &Descriptor, body: &[u8]) -> Result<Opened, SegmentError> {
    open(&header.verify(origin)?, body)
}

/// Checks a body against its signed header.
///
/// # Errors
/// [`SegmentError`], as [`verify`].
pub fn open(signed: &SignedHeader, body: &[u8]) -> Result<Opened, SegmentError> {
    let header = signed.header();
    let places = split(header, body)?;
    if merkle::root_of_leaves(places.iter().map(Place::leaf).collect()) != header.root() {
        return Err(SegmentError::Root);
    }
    if let Err(why) = header.readable() {
        return Ok(Opened::RelayOnly(why));
    }
    let entries: Vec<Entry> = places.iter().map(Place::entry).collect();
    check_hours(header.sealed_at(), records(&entries))?;
    Ok(Opened::Readable(Box::new(Verified { header: *signed, entries })))
}

/// The tag at each place, as an erasure looks for it; none where the record carries none, was taken out, or is of a version
/// that this software cannot read.
///
/// # Errors
/// [`SegmentError`] where the body is not of this header.
pub fn tags(header: &Header, body: &[u8]) -> Result<Vec<Option<Tag>>, SegmentError> {
    let places = split(header, body)?;
    if header.readable().is_err() {
        return Ok(vec![None; places.len()]);
    }
    let tag = |place: &Place<'_>| match place.entry() {
        Entry::Record(record) => record.tag(),
        Entry::Redacted(_) => None,
    };
    Ok(places.iter().map(tag).collect())
}

/// The same body with these records replaced by their leaf hashes; root and signature stay valid.
///
/// # Errors
/// [`SegmentError`] where the body is not of this header or an index is not below its count.
pub fn redact(header: &Header, body: &[u8], indexes: &[u16]) -> Result<Vec<u8>, SegmentError> {
    let count = header.count();
    let mut places = split(header, body)?;
    for &index in indexes {
        let place = places.get_mut(usize::from(index)).ok_or(SegmentError::Redaction { index, count })?;
        *place = Place::Leaf(place.leaf());
    }
    let redacted: Vec<u16> =
        (0u16..).zip(&places).filter(|(_, place)| matches!(place, Place::Leaf(_))).map(|(i, _)| i).collect();
    let mut out = Vec::with_capacity(body.len() + 2 * indexes.len());
    // Fits: a segment has at most 4 096 places.
    out.extend((redacted.len() as u16).to_be_bytes());
    out.extend(redacted.iter().flat_map(|index| index.to_be_bytes()));
    for place in &places {
        match place {
            Place::Record(record) => out.extend(*record),
            Place::Leaf(leaf) => out.extend(leaf),
        }
    }
    Ok(out)
}

/// Cuts the next segment off a bulk answer, which is segments one after the other; none at its end.
///
/// # Errors
/// [`SegmentError`] where the answer is cut short or its framing is broken; nothing after it can be found.
pub fn next_part(bytes: &[u8]) -> Result<Option<Part<'_>>, SegmentError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let (head, after) = bytes.split_at_checked(HEADER_OCTETS).ok_or(HeaderError::Length { octets: bytes.len() })?;
    let header = Header::parse(head)?;
    let want = body_octets(&header, after)?;
    let (body, rest) = after.split_at_checked(want).ok_or(SegmentError::Length { octets: after.len(), want })?;
    Ok(Some(Part { header, body, rest }))
}

/// The body in an answer that is a whole segment or, where the asker has the header, its body alone; none where the answer begins with
/// another header. A body cannot begin like a header: that would be more redactions than a segment has records.
#[must_use]
pub fn body_behind<'a>(header: &Header, answer: &'a [u8]) -> Option<&'a [u8]> {
    if answer.starts_with(MAGIC) { answer.strip_prefix(header.as_bytes()) } else { Some(answer) }
}

impl Segment {
    /// Header and body, as `GET /log/{origin}/{epoch}/{segno}` answers.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        [self.header.header().as_bytes(), &self.body[..]].concat()
    }
}

impl Verified {
    #[must_use]
    pub fn header(&self) -> &Header {
        self.header.header()
    }

    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The events that are left, each with its sequence number in the epoch.
    pub fn events(&self) -> impl Iterator<Item = (u64, &Record)> {
        (self.header().first_sequence()..).zip(&self.entries).filter_map(|(sequence, entry)| match entry {
            Entry::Record(record) => Some((sequence, record)),
            Entry::Redacted(_) => None,
        })
    }
}

/// A place of a body of any version.
enum Place<'a> {
    Record(&'a [u8]),
    Leaf(Hash),
}

impl Place<'_> {
    fn leaf(&self) -> Hash {
        match self {
            Self::Record(record) => merkle::leaf(record),
            Self::Leaf(leaf) => *leaf,
        }
    }

    /// Only for version 1, whose records have 32 bytes by [`Header::parse`].
    fn entry(&self) -> Entry {
        match self {
            Self::Record(record) => Entry::Record(Record::decode(&array(record, 0))),
            Self::Leaf(leaf) => Entry::Redacted(*leaf),
        }
    }
}

/// The length that a body must have, from its number of redactions.
fn body_octets(header: &Header, body: &[u8]) -> Result<usize, SegmentError> {
    let count = header.count() as usize;
    if body.len() < 2 {
        return Err(SegmentError::Length { octets: body.len(), want: 2 + count * header.record_octets() });
    }
    let redacted = usize::from(u16_at(body, 0));
    if count < redacted {
        return Err(SegmentError::Redaction { index: u16_at(body, 0), count: header.count() });
    }
    Ok(2 + redacted * (2 + LEAF_OCTETS) + (count - redacted) * header.record_octets())
}

fn split<'a>(header: &Header, body: &'a [u8]) -> Result<Vec<Place<'a>>, SegmentError> {
    let want = body_octets(header, body)?;
    if body.len() != want {
        return Err(SegmentError::Length { octets: body.len(), want });
    }
    let (indexes, mut rest) = body[2..].split_at(2 * usize::from(u16_at(body, 0)));
    let mut redacted = indexes.chunks_exact(2).map(|two| u16_at(two, 0)).peekable();
    let mut places = Vec::with_capacity(header.count() as usize);
    for index in 0..header.count() {
        let is_redacted = redacted.next_if(|next| u32::from(*next) == index).is_some();
        let (entry, after) = rest
            .split_at_checked(if is_redacted { LEAF_OCTETS } else { header.record_octets() })
            .ok_or(SegmentError::Length { octets: body.len(), want })?;
        places.push(if is_redacted { Place::Leaf(array(entry, 0)) } else { Place::Record(entry) });
        rest = after;
    }
    // One form for one set of redactions: ascending, each once. What is left over was out of order or too large.
    match redacted.next() {
        Some(index) => Err(SegmentError::Redaction { index, count: header.count() }),
        None => Ok(places),
    }
}

fn records(entries: &[Entry]) -> impl Iterator<Item = (usize, &Record)> {
    entries.iter().enumerate().filter_map(|(index, entry)| match entry {
        Entry::Record(record) => Some((index, record)),
        Entry::Redacted(_) => None,
    })
}

/// §8.1. Unknown classes may use the hour for something else.
fn check_hours<'a>(sealed_at: u64, records: impl Iterator<Item = (usize, &'a Record)>) -> Result<(), HourError> {
    for (index, record) in records.filter(|(_, record)| Class::is_known(record.class)) {
        let at = u64::from(record.hour) * 3600;
        let (age_s, ahead_s) = (sealed_at.saturating_sub(at), at.saturating_sub(sealed_at));
        if EVENT_AGE_MAX_S < age_s {
            return Err(HourError::Old { index, age_s });
        }
        if 0 < ahead_s {
            return Err(HourError::Future { index, ahead_s });
        }
    }
    Ok(())
}

/// §8.1: 400 days. An older bounce says nothing about today and is a cheap way to fill a peer's disk.
pub const EVENT_AGE_MAX_S: u64 = 400 * 86_400;
const LEAF_OCTETS: usize = 32;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::descriptor::tests::descriptor;
    use crate::header::Position;
    use crate::keys::NodeKey;
    use crate::record::Source;
    use crate::tags::KeyId;

    pub(crate) const SEALED_AT: u64 = 1_790_000_000;

    pub(crate) fn node_key() -> SigningKey {
        SigningKey::from_bytes(&[1; 32])
    }

    pub(crate) fn log_key() -> SigningKey {
        SigningKey::from_bytes(&[2; 32])
    }

    pub(crate) fn sealing() -> Sealing {
        Sealing {
            origin: NodeKey::of(&node_key()),
            position: Position { epoch: 0, segno: 0 },
            first_sequence: 0,
            prev: [0; 32],
            key_id: KeyId([9; 8]),
            sealed_at: SEALED_AT,
        }
    }

    pub(crate) fn some_records(n: u8) -> Vec<Record> {
        (0..n).map(|i| Record::about(Class::HARD, Source(1), Tag([i; 16]), SEALED_AT - 90_000)).collect()
    }

    pub(crate) fn segment(n: u8) -> Segment {
        seal(&sealing(), &log_key(), &some_records(n)).unwrap()
    }

    /// Signs a header of a form that `seal` never writes.
    fn resigned(header: &Header, change: impl FnOnce(&mut [u8; HEADER_OCTETS])) -> Result<Header, HeaderError> {
        use ed25519_dalek::Signer;
        let mut raw = *header.as_bytes();
        change(&mut raw);
        let message = [&b"sm2tp-segment-v1\n"[..], &raw[..176]].concat();
        raw[176..].copy_from_slice(&log_key().sign(&message).to_bytes());
        Header::parse(&raw)
    }

    #[track_caller]
    fn readable(header: &Header, body: &[u8]) -> Verified {
        match verify(header, &descriptor(), body) {
            Ok(Opened::Readable(verified)) => *verified,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_sealed_is_read_back() {
        for n in [1, 2, 3, 64, 200] {
            let segment = segment(n);
            let verified = readable(segment.header.header(), &segment.body);
            let events: Vec<Record> = verified.events().map(|(_, record)| *record).collect();
            assert_eq!(events, some_records(n));
        }
    }

    #[test]
    fn the_header_has_the_layout_of_section_5() {
        let segment = segment(3);
        let raw = segment.header.header().as_bytes();
        assert_eq!(&raw[..8], b"SM2S\x01\x20\x01\x00");
        assert_eq!(raw[8..40], NodeKey::of(&node_key()).0);
        assert_eq!(raw[88..96], [0, 0, 0, 3, 0, 0, 0, 0]);
        assert_eq!(raw[96..104], SEALED_AT.to_be_bytes());
        assert_eq!(raw[104..112], [9; 8]);
        assert_eq!(segment.body.len(), 2 + 3 * 32);
    }

    #[test]
    fn the_signature_of_a_fixed_segment_is_known_to_other_languages() {
        let segment = segment(3);
        assert_eq!(hex::encode(segment.header.header().hash()), FIXED_HASH);
    }

    #[test]
    fn a_changed_byte_anywhere_is_found() {
        let segment = segment(5);
        let whole = segment.encode();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            let result = Header::parse(&bytes[..HEADER_OCTETS])
                .map_err(SegmentError::Header)
                .and_then(|header| verify(&header, &descriptor(), &bytes[HEADER_OCTETS..]));
            assert!(result.is_err(), "byte {at}: {result:?}");
        }
    }

    #[test]
    fn a_redacted_record_is_gone_and_the_rest_verifies() {
        let segment = segment(5);
        let header = segment.header.header();
        let once = redact(header, &segment.body, &[3]).unwrap();
        let twice = redact(header, &once, &[0, 3]).unwrap();
        let left: Vec<u64> = readable(header, &twice).events().map(|(sequence, _)| sequence).collect();
        assert_eq!(left, [1, 2, 4]);
        assert_eq!(twice[..6], [0, 2, 0, 0, 0, 3]);
        assert_eq!(redact(header, &once, &[5]), Err(SegmentError::Redaction { index: 5, count: 5 }));
    }

    #[test]
    fn what_was_taken_out_has_no_tag_any_more() {
        let segment = segment(3);
        let header = segment.header.header();
        let tag = |n| Some(Tag([n; 16]));
        assert_eq!(tags(header, &segment.body), Ok(vec![tag(0), tag(1), tag(2)]));
        let without = redact(header, &segment.body, &[1]).unwrap();
        assert_eq!(tags(header, &without), Ok(vec![tag(0), None, tag(2)]));
        assert!(!without.windows(16).any(|octets| octets == [1; 16]));
    }

    #[test]
    fn redactions_have_one_form() {
        let segment = segment(5);
        let header = segment.header.header();
        let mut body = redact(header, &segment.body, &[1, 2]).unwrap();
        body[2..6].copy_from_slice(&[0, 2, 0, 1]);
        assert!(matches!(verify(header, &descriptor(), &body), Err(SegmentError::Redaction { .. })));
        body[2..6].copy_from_slice(&[0, 1, 0, 1]);
        assert!(matches!(verify(header, &descriptor(), &body), Err(SegmentError::Redaction { .. })));
        body[..2].copy_from_slice(&[0, 6]);
        assert_eq!(verify(header, &descriptor(), &body), Err(SegmentError::Redaction { index: 6, count: 5 }));
    }

    #[test]
    fn a_later_version_is_checked_and_relayed_but_not_read() {
        let segment = segment(5);
        let scheme = resigned(segment.header.header(), |raw| raw[6] = 2).unwrap();
        let want = Opened::RelayOnly(RelayOnly::TagScheme(2));
        assert_eq!(verify(&scheme, &descriptor(), &segment.body), Ok(want));
        let version = resigned(segment.header.header(), |raw| (raw[4], raw[7], raw[95]) = (2, 1, 1)).unwrap();
        let want = Opened::RelayOnly(RelayOnly::Version(2));
        assert_eq!(verify(&version, &descriptor(), &segment.body), Ok(want));
        let mut body = segment.body.clone();
        body[40] ^= 1;
        assert_eq!(verify(&version, &descriptor(), &body), Err(SegmentError::Root));
    }

    #[test]
    fn sizes_and_counts_that_cannot_be_are_refused() {
        let segment = segment(5);
        let header = segment.header.header();
        let form = HeaderError::Form { record_octets: 33, flags: 0, reserved: 0 };
        assert_eq!(resigned(header, |raw| raw[5] = 33), Err(form));
        assert_eq!(resigned(header, |raw| raw[91] = 0), Err(HeaderError::Count { count: 0 }));
        assert_eq!(resigned(header, |raw| raw[90] = 0x10), Err(HeaderError::Count { count: 4101 }));
        let sequence = HeaderError::Sequence { first: u64::MAX, count: 5 };
        assert_eq!(resigned(header, |raw| raw[80..88].fill(255)), Err(sequence));
        let short = SegmentError::Length { octets: 161, want: 162 };
        assert_eq!(verify(header, &descriptor(), &segment.body[..161]), Err(short));
        assert_eq!(seal(&sealing(), &log_key(), &[]), Err(SealError::Count { count: 0 }));
        let many = vec![some_records(1)[0]; 4097];
        assert_eq!(seal(&sealing(), &log_key(), &many), Err(SealError::Count { count: 4097 }));
        let full = seal(&sealing(), &log_key(), &many[1..]).unwrap();
        assert_eq!(readable(full.header.header(), &full.body).entries().len(), 4096);
    }

    #[test]
    fn events_older_than_400_days_or_from_the_future_spoil_a_segment() {
        let mut old = some_records(2);
        old[1].hour = crate::record::hour(SEALED_AT - EVENT_AGE_MAX_S) - 1;
        let error = seal(&sealing(), &log_key(), &old).unwrap_err();
        assert!(matches!(error, SealError::Hour(HourError::Old { index: 1, .. })), "{error}");
        old[1].hour = crate::record::hour(SEALED_AT) + 1;
        let error = seal(&sealing(), &log_key(), &old).unwrap_err();
        assert!(matches!(error, SealError::Hour(HourError::Future { index: 1, .. })), "{error}");
        old[1].class = Class(77);
        assert!(seal(&sealing(), &log_key(), &old).is_ok());
    }

    #[test]
    fn a_log_key_of_somebody_else_signs_nothing() {
        let forged = seal(&sealing(), &SigningKey::from_bytes(&[66; 32]), &some_records(1)).unwrap();
        let header = forged.header.header();
        header.check_signature().unwrap();
        let error = header.verify(&descriptor()).unwrap_err();
        assert!(matches!(error, HeaderError::Key(_)), "{error}");
    }

    #[test]
    fn a_bulk_answer_is_cut_into_its_segments() {
        let (one, two) = (segment(3), segment(4));
        let redacted = redact(two.header.header(), &two.body, &[0]).unwrap();
        let bulk = [&one.encode()[..], two.header.header().as_bytes(), &redacted].concat();
        let first = next_part(&bulk).unwrap().unwrap();
        let second = next_part(first.rest).unwrap().unwrap();
        assert_eq!((first.body, second.body), (&one.body[..], &redacted[..]));
        assert_eq!(next_part(second.rest), Ok(None));
        assert!(next_part(&bulk[..bulk.len() - 1]).and_then(|part| next_part(part.unwrap().rest)).is_err());
    }

    #[test]
    fn a_body_is_found_alone_and_behind_its_header_and_not_behind_another_one() {
        let (one, two) = (segment(3), segment(4));
        let header = one.header.header();
        assert_eq!(body_behind(header, &one.encode()), Some(&one.body[..]));
        assert_eq!(body_behind(header, &one.body), Some(&one.body[..]));
        assert_eq!(body_behind(header, &two.encode()), None);
        assert_eq!(body_behind(header, &one.encode()[..239]), None);
        assert!(COUNT_MAX < u32::from(u16_at(MAGIC, 0)), "no body says so many redactions");
    }

    /// SHA-256 of the header that Python with libsodium makes of node seed 01×32, log seed 02×32 and these three records.
    const FIXED_HASH: &str = "d89dd4019bc5963d89b3638fe606b7a34f32eeaf7fa40fd79e9434e1a06720c9";
}
