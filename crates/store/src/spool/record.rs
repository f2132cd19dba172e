//! The frames in a spool file: a body before its mail's number and checksum, and entries that say what was promised.
//! How a file is read after a crash: what is whole is found again, wherever damage lies before it.

use std::ops::Range;

use sha2::{Digest, Sha256};

/// Opens the frame of every entry of a spool: no mail can hold it, so that nothing inside a mail is taken for an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Salt([u8; 8]);

/// An entry as it was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found<'a> {
    /// Groups of a file are numbered upwards, those that failed as well.
    pub group: u64,
    /// Where its frame begins.
    pub at: usize,
    pub text: &'a [u8],
}

/// What a file holds from some place on.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Scanned<'a> {
    pub entries: Vec<Found<'a>>,
    /// Octets that are no frame and have entries behind them: they were whole once, but for those of the last group.
    pub damaged: Vec<Range<usize>>,
    /// Something was being written behind the last frame.
    pub is_torn: bool,
}

impl Salt {
    /// Of the spool with this name, which nobody outside knows.
    pub(super) fn of(name: &str) -> Self {
        let digest = Sha256::digest(format!("sm2tp spool {name}"));
        let mut salt = [0; 8];
        salt.copy_from_slice(&digest[..8]);
        Self(salt)
    }

    /// That of a file; none where the file holds no entries.
    pub(super) fn of_file(octets: &[u8]) -> Option<Self> {
        Some(Self(octets.strip_prefix(MAGIC_2)?.get(..8)?.try_into().ok()?))
    }

    fn frame(self) -> [u8; 12] {
        let mut frame = [0; 12];
        frame[..4].copy_from_slice(ENTRY);
        frame[4..].copy_from_slice(&self.0);
        frame
    }
}

/// Magic, version of the file format (I9), and the spool's salt.
pub(super) fn file_header(salt: Salt) -> [u8; FILE_HEADER] {
    let mut header = [0; FILE_HEADER];
    header[..8].copy_from_slice(MAGIC_2);
    header[8..].copy_from_slice(&salt.0);
    header
}

/// `"SM2R"`, CRC-32 of what follows, u64 mail, u32 length; big-endian. The body is behind it.
pub(super) fn body_header(mail: u64, body: &[u8]) -> [u8; BODY_HEADER] {
    let mut header = [0; BODY_HEADER];
    header[..4].copy_from_slice(BODY);
    header[8..16].copy_from_slice(&mail.to_be_bytes());
    header[16..].copy_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes());
    let crc = checksum(&header[8..], body);
    header[4..8].copy_from_slice(&crc.to_be_bytes());
    header
}

pub(super) fn write_body(out: &mut Vec<u8>, mail: u64, body: &[u8]) {
    out.extend_from_slice(&body_header(mail, body));
    out.extend_from_slice(body);
}

/// `"SM2E"`, salt, CRC-32 of what follows, u64 group, u32 length; big-endian. The text is behind it.
pub(super) fn write_entry(out: &mut Vec<u8>, salt: Salt, group: u64, text: &[u8]) {
    let mut numbers = [0; 12];
    numbers[..8].copy_from_slice(&group.to_be_bytes());
    numbers[8..].copy_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(&salt.frame());
    out.extend_from_slice(&checksum(&numbers, text).to_be_bytes());
    out.extend_from_slice(&numbers);
    out.extend_from_slice(text);
}

/// Whether the body of this mail lies whole at this place.
pub(super) fn holds_body(octets: &[u8], mail: u64, offset: u64, len: u32) -> bool {
    let start = usize::try_from(offset).unwrap_or(usize::MAX);
    let body = start.checked_add(BODY_HEADER).and_then(|from| octets.get(from..from.checked_add(len as usize)?));
    body.is_some_and(|body| octets[start..start + BODY_HEADER] == body_header(mail, body))
}

/// Reads a file from `from`, where group `first_group` begins, to its end.
pub(super) fn scan(octets: &[u8], salt: Salt, from: usize, first_group: u64) -> Scanned<'_> {
    let (mut at, mut scanned) = (from.max(FILE_HEADER), Scanned::default());
    let mut last_group = first_group;
    while at < octets.len() {
        if let Some((_, body)) = body_at(&octets[at..]) {
            at += BODY_HEADER + body.len();
            continue;
        }
        let found = entry_at(octets, salt, at).map(|entry| (at, entry)).or_else(|| next_entry(octets, salt, at));
        // Behind the last entry: what was being written when the power went, or room that was never used.
        let Some((start, (entry, len))) = found else {
            scanned.is_torn = octets[at..].iter().any(|octet| *octet != 0);
            break;
        };
        if entry.group < last_group {
            // Left from a group that failed and was written over by a shorter one.
            break;
        }
        if at < start {
            scanned.damaged.push(at..start);
        }
        last_group = entry.group;
        scanned.entries.push(entry);
        at = start + len;
    }
    scanned
}

/// The whole body at the start, with the number of its mail.
pub(super) fn body_at(octets: &[u8]) -> Option<(u64, &[u8])> {
    let header: &[u8; BODY_HEADER] = octets.first_chunk()?;
    if !header.starts_with(BODY) {
        return None;
    }
    let mail = u64::from_be_bytes(header[8..16].try_into().ok()?);
    let len = u32::from_be_bytes(header[16..].try_into().ok()?) as usize;
    let body = octets.get(BODY_HEADER..BODY_HEADER.checked_add(len)?)?;
    (*header == body_header(mail, body)).then_some((mail, body))
}

/// The entry at this place, with the octets of its frame.
fn entry_at(octets: &[u8], salt: Salt, at: usize) -> Option<(Found<'_>, usize)> {
    let (header, rest) = octets.get(at..)?.split_first_chunk::<ENTRY_HEADER>()?;
    if header[..12] != salt.frame() {
        return None;
    }
    let len = u32::from_be_bytes(header[24..].try_into().ok()?) as usize;
    let text = rest.get(..len)?;
    let whole = header[12..16] == checksum(&header[16..], text).to_be_bytes();
    let group = u64::from_be_bytes(header[16..24].try_into().ok()?);
    whole.then_some((Found { group, at, text }, ENTRY_HEADER + len))
}

/// The next whole entry behind this place.
fn next_entry(octets: &[u8], salt: Salt, after: usize) -> Option<(usize, (Found<'_>, usize))> {
    let frame = salt.frame();
    let mut at = after + 1;
    loop {
        at += memchr::memmem::find(octets.get(at..)?, &frame)?;
        match entry_at(octets, salt, at) {
            Some(found) => return Some((at, found)),
            None => at += 1,
        }
    }
}

fn checksum(numbers: &[u8], octets: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(numbers);
    crc.update(octets);
    crc.finalize()
}

const MAGIC_2: &[u8] = b"SM2B\x02\0\0\0";
pub(super) const BODY: &[u8] = b"SM2R";
const ENTRY: &[u8] = b"SM2E";
pub(super) const FILE_HEADER: usize = 16;
pub(super) const BODY_HEADER: usize = 20;
const ENTRY_HEADER: usize = 28;

#[cfg(test)]
mod tests {
    use super::*;

    fn file(salt: Salt) -> (Vec<u8>, Vec<usize>) {
        let mut octets = file_header(salt).to_vec();
        let mut starts = Vec::new();
        for (group, text) in [(1, "one"), (1, "two"), (2, "three")] {
            write_body(&mut octets, group, text.as_bytes());
            starts.push(octets.len());
            write_entry(&mut octets, salt, group, text.as_bytes());
        }
        (octets, starts)
    }

    fn texts(octets: &[u8], salt: Salt) -> Vec<String> {
        let entries = scan(octets, salt, 0, 0).entries;
        entries.iter().map(|entry| String::from_utf8_lossy(entry.text).into_owned()).collect()
    }

    #[test]
    fn entries_are_found_again_whatever_lies_between_them() {
        let salt = Salt::of("a spool");
        let (octets, starts) = file(salt);
        assert_eq!(Salt::of_file(&octets), Some(salt));
        assert_eq!(texts(&octets, salt), ["one", "two", "three"]);
        assert!(scan(&octets, salt, 0, 0).damaged.is_empty());
        assert!(holds_body(&octets, 1, FILE_HEADER as u64, 3) && !holds_body(&octets, 2, FILE_HEADER as u64, 3));
        let with_room = [&octets[..], &[0; 100]].concat();
        assert_eq!(scan(&with_room, salt, 0, 0), scan(&octets, salt, 0, 0));
        for at in FILE_HEADER..octets.len() {
            let mut bent = octets.clone();
            bent[at] ^= 0x10;
            let left = texts(&bent, salt);
            assert!(2 <= left.len(), "octet {at} took {left:?}");
            let cut = texts(&octets[..at], salt);
            assert_eq!(cut.len(), starts.iter().zip([3, 3, 5]).filter(|(start, len)| *start + 28 + len <= at).count());
        }
    }

    #[test]
    fn a_mail_cannot_hold_an_entry_and_what_failed_is_not_believed_behind_what_did_not() {
        let (salt, other) = (Salt::of("a spool"), Salt::of("what somebody guessed"));
        let (mut octets, _) = file(salt);
        let mut forged = Vec::new();
        write_entry(&mut forged, other, 9, b"forged");
        write_body(&mut octets, 7, &forged);
        let body = octets.len() - forged.len() - 1;
        octets[body] ^= 1;
        write_entry(&mut octets, salt, 3, b"later");
        assert_eq!(texts(&octets, salt), ["one", "two", "three", "later"]);
        assert_eq!(scan(&octets, salt, 0, 0).damaged.len(), 1);
        let end = octets.len();
        write_entry(&mut octets, salt, 2, b"stale");
        assert_eq!(texts(&octets, salt).len(), 4);
        assert_eq!((scan(&octets, salt, end, 4).entries.len(), scan(&octets, salt, end, 2).entries.len()), (0, 1));
    }
}
