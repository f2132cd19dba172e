//! One event about a tag as the index keeps it, and the blocks of a run in which such events are written.

use sm2tp_federation::record::{Class, Record};
use sm2tp_federation::tags::Tag;

/// What the index keeps of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub sequence: u64,
    /// The index's own number of the origin.
    pub origin: u32,
    pub epoch: u32,
    pub hour: u32,
    pub class: Class,
    pub ttl_weeks: u8,
    pub provider: u8,
    /// The local number of its segment: who said it before whom, and when ([`super::arrivals`]).
    pub row: u64,
}

/// A mark with the tag that it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub tag: Tag,
    pub mark: Mark,
}

/// A block that is being filled.
#[derive(Debug)]
pub(super) struct Block {
    octets: Vec<u8>,
    count: u16,
    last: Tag,
}

/// The entries of a block whose checksum is good.
pub(super) struct Entries<'a> {
    rest: &'a [u8],
    left: u16,
    last: Tag,
}

impl Mark {
    pub(super) fn of(origin: u32, (epoch, sequence): (u32, u64), row: u64, record: &Record) -> Self {
        let Record { hour, class, ttl_weeks, provider, .. } = *record;
        Self { sequence, origin, epoch, hour, class, ttl_weeks, provider, row }
    }

    /// Its place in the log of its origin: of two marks of one origin about one tag, the later one is its vote (§8.5).
    pub(super) fn place(&self) -> (u32, u64) {
        (self.epoch, self.sequence)
    }
}

impl Entry {
    /// The order of a run. Of one origin about one tag the newest comes first.
    pub(super) fn order(&self) -> (u128, u32, std::cmp::Reverse<(u32, u64)>) {
        (u128::from_be_bytes(self.tag.0), self.mark.origin, std::cmp::Reverse(self.mark.place()))
    }
}

impl Block {
    pub(super) fn new() -> Self {
        let mut octets = Vec::with_capacity(BLOCK_OCTETS);
        octets.resize(BLOCK_HEAD, 0);
        Self { octets, count: 0, last: Tag([0; 16]) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether any entry fits.
    pub(super) fn has_room(&self) -> bool {
        self.octets.len() + ENTRY_MAX <= BLOCK_OCTETS
    }

    /// Adds an entry that is not before the last one, where there is room.
    pub(super) fn push(&mut self, entry: &Entry) {
        // Neighbours in a large run begin alike, and events about one tag share all of it.
        let same = |(a, b): &(&u8, &u8)| a == b;
        let shared = match self.count {
            0 => 0,
            _ => entry.tag.0.iter().zip(&self.last.0).take_while(same).count(),
        };
        let Mark { sequence, origin, epoch, hour, class, ttl_weeks, provider, row } = entry.mark;
        self.octets.push(shared as u8);
        self.octets.extend(&entry.tag.0[shared..]);
        for number in [u64::from(origin), u64::from(epoch), sequence, u64::from(hour), row] {
            put_number(&mut self.octets, number);
        }
        self.octets.extend([class.0, ttl_weeks, provider]);
        (self.count, self.last) = (self.count + 1, entry.tag);
    }

    /// The block as it lies in the file; it is empty afterwards.
    pub(super) fn take(&mut self) -> Vec<u8> {
        let Self { mut octets, count, .. } = std::mem::replace(self, Self::new());
        octets[4..BLOCK_HEAD].copy_from_slice(&count.to_be_bytes());
        octets.resize(BLOCK_OCTETS, 0);
        let sum = crc32fast::hash(&octets[4..]);
        octets[..4].copy_from_slice(&sum.to_be_bytes());
        octets
    }
}

impl<'a> Entries<'a> {
    /// None where the block is damaged.
    pub(super) fn of(block: &'a [u8]) -> Option<Self> {
        let (sum, rest) = block.split_first_chunk::<4>()?;
        if block.len() != BLOCK_OCTETS || crc32fast::hash(rest) != u32::from_be_bytes(*sum) {
            return None;
        }
        let (count, rest) = rest.split_first_chunk::<2>()?;
        Some(Self { rest, left: u16::from_be_bytes(*count), last: Tag([0; 16]) })
    }

    /// Gives all marks about one tag to `each`. Of other entries nothing is read but where they begin to differ: that says
    /// whether they are before the tag or behind it.
    pub(super) fn about(mut self, tag: &Tag, mut each: impl FnMut(Mark)) -> Option<()> {
        // Octets that the last entry before the tag begins with as the tag does.
        let mut common = 0;
        for _ in 0..self.left {
            let (shared, own) = self.head()?;
            if shared < common {
                break;
            }
            if common < shared {
                self.rest = behind_numbers(self.rest)?;
                continue;
            }
            let wanted = &tag.0[common..];
            let same = own.iter().zip(wanted).take_while(|(a, b)| a == b).count();
            common += same;
            match (own.get(same), wanted.get(same)) {
                (Some(own), Some(wanted)) if wanted < own => break,
                (Some(_), Some(_)) => self.rest = behind_numbers(self.rest)?,
                _ => each(self.mark()?),
            }
        }
        Some(())
    }

    /// How many octets the next tag shares with the one before it, and the others.
    fn head(&mut self) -> Option<(usize, &'a [u8])> {
        let (shared, rest) = self.rest.split_first()?;
        let (own, rest) = rest.split_at_checked(16_usize.checked_sub(usize::from(*shared))?)?;
        self.rest = rest;
        Some((usize::from(*shared), own))
    }

    fn entry(&mut self) -> Option<Entry> {
        let (shared, own) = self.head()?;
        self.last.0[shared..].copy_from_slice(own);
        Some(Entry { tag: self.last, mark: self.mark()? })
    }

    fn mark(&mut self) -> Option<Mark> {
        let mut number = || take_number(&mut self.rest);
        let (origin, epoch, sequence, hour, row) = (number()?, number()?, number()?, number()?, number()?);
        let ([class, ttl_weeks, provider], rest) = self.rest.split_first_chunk::<3>()?;
        self.rest = rest;
        let small = |number: u64| u32::try_from(number).ok();
        Some(Mark {
            sequence,
            origin: small(origin)?,
            epoch: small(epoch)?,
            hour: small(hour)?,
            class: Class(*class),
            ttl_weeks: *ttl_weeks,
            provider: *provider,
            row,
        })
    }
}

impl Iterator for Entries<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        self.left = self.left.checked_sub(1)?;
        self.entry()
    }
}

/// Seven bits an octet, the lowest first; the highest bit says that there are more.
fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while 0x7f < number {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn take_number(from: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (octet, rest) = from.split_first()?;
        *from = rest;
        number |= u64::from(octet & 0x7f) << shift;
        if octet & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// What is left after the numbers of an entry and its [`TAIL_OCTETS`].
fn behind_numbers(from: &[u8]) -> Option<&[u8]> {
    let ends = from.iter().enumerate().filter(|(_, octet)| **octet & 0x80 == 0);
    let (last, _) = ends.take(NUMBERS).last()?;
    from.get(last + 1 + TAIL_OCTETS..)
}

/// Origin, epoch, sequence number, hour and row.
const NUMBERS: usize = 5;
/// Class, time to live, provider.
const TAIL_OCTETS: usize = 3;
/// What a disk reads at once, and a look-up of one tag with it.
pub(super) const BLOCK_OCTETS: usize = 4096;
/// Checksum and number of entries.
const BLOCK_HEAD: usize = 6;
/// Octets of the longest entry.
const ENTRY_MAX: usize = 1 + 16 + 5 + 5 + 10 + 5 + 10 + 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(tag: u128, origin: u32, sequence: u64) -> Entry {
        let (epoch, hour, class, row) = (origin, 490_000, Class::HARD, sequence / 10);
        let mark = Mark { sequence, origin, epoch, hour, class, ttl_weeks: 255, provider: 7, row };
        Entry { tag: Tag(tag.to_be_bytes()), mark }
    }

    #[test]
    fn a_block_gives_back_what_was_put_in() {
        let mut all: Vec<Entry> = (0..60_u128).map(|n| entry(n << 100, n as u32, 1 << n)).collect();
        all.extend([entry(u128::MAX, 0, 0), entry(u128::MAX, u32::MAX, u64::MAX)]);
        let mut block = Block::new();
        all.iter().for_each(|entry| block.push(entry));
        assert!(block.has_room());
        let octets = block.take();
        assert_eq!(octets.len(), BLOCK_OCTETS);
        assert_eq!(Entries::of(&octets).unwrap().collect::<Vec<_>>(), all);
        assert!(block.is_empty());
    }

    #[test]
    fn events_about_a_tag_are_found_among_others() {
        let tags = [3_u128 << 64, 3 << 64 | 1, 3 << 64 | 1, 3 << 64 | 1, (3 << 64) + 256, 4 << 64, u128::MAX];
        let all: Vec<Entry> = (0..).zip(tags).map(|(n, tag)| entry(tag, n, 1 << (9 * n))).collect();
        let mut block = Block::new();
        all.iter().for_each(|entry| block.push(entry));
        let octets = block.take();
        let others = [0, 2 << 64, (3 << 64) + 2, (3 << 64) + 255, (3 << 64) + 257, 5 << 64, u128::MAX - 1];
        for tag in tags.into_iter().chain(others) {
            let tag = Tag(tag.to_be_bytes());
            let mut found = Vec::new();
            Entries::of(&octets).unwrap().about(&tag, |mark| found.push(mark)).unwrap();
            let want: Vec<Mark> = all.iter().filter(|entry| entry.tag == tag).map(|entry| entry.mark).collect();
            assert_eq!(found, want, "{tag:?}");
        }
    }

    #[test]
    fn a_block_takes_what_fits_and_events_about_one_tag_are_short() {
        #[track_caller]
        fn check(tag: impl Fn(u128) -> u128, want: std::ops::Range<u128>) {
            let mut block = Block::new();
            let mut count = 0;
            while block.has_room() {
                block.push(&entry(tag(count), 3, 1_000_000));
                count += 1;
            }
            assert!(want.contains(&count), "{count}");
        }
        // As of 100 million: neighbours share the first three octets.
        check(|n| n << 97, 140..150);
        check(|_| 1, 265..280);
    }

    #[test]
    fn a_block_with_a_flipped_bit_is_not_read() {
        let mut block = Block::new();
        block.push(&entry(5, 1, 1));
        let octets = block.take();
        for at in [0, 3, 4, 5, 6, 20, 4095] {
            let mut damaged = octets.clone();
            damaged[at] ^= 16;
            assert!(Entries::of(&damaged).is_none(), "{at}");
        }
        assert!(Entries::of(&octets[1..]).is_none());
    }
}
