//! A filter over the tags of one run: most tags that are asked for are in none, and no block is read for them.

use sm2tp_federation::tags::Tag;

/// A Bloom filter in lines of one cache line each, so that a question costs one access to memory.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Filter {
    lines: Vec<[u64; LINE_WORDS]>,
}

impl Filter {
    /// For so many different tags.
    pub(super) fn new(tags: u64) -> Self {
        let lines = (tags * BITS_PER_TAG).div_ceil(LINE_OCTETS as u64 * 8).max(1);
        Self { lines: vec![[0; LINE_WORDS]; usize::try_from(lines).unwrap_or(usize::MAX)] }
    }

    pub(super) fn add(&mut self, tag: &Tag) {
        let (line, mut bits) = self.place(tag);
        let line = &mut self.lines[line];
        for _ in 0..BITS_SET {
            line[(bits >> 6) as usize & 7] |= 1 << (bits & 63);
            bits >>= 9;
        }
    }

    /// False: the tag was not added. True: it was, or it is one of a hundred for which this is wrong.
    pub(super) fn may_have(&self, tag: &Tag) -> bool {
        let (line, mut bits) = self.place(tag);
        let line = &self.lines[line];
        (0..BITS_SET).all(|_| {
            let is_set = line[(bits >> 6) as usize & 7] >> (bits & 63) & 1 == 1;
            bits >>= 9;
            is_set
        })
    }

    pub(super) fn lines(&self) -> usize {
        self.lines.len()
    }

    pub(super) fn octets(&self) -> usize {
        self.lines.len() * LINE_OCTETS
    }

    /// As it lies in the file.
    pub(super) fn encode(&self) -> impl Iterator<Item = [u8; LINE_OCTETS]> + '_ {
        self.lines.iter().map(|line| {
            let mut octets = [0; LINE_OCTETS];
            octets.chunks_exact_mut(8).zip(line).for_each(|(out, word)| out.copy_from_slice(&word.to_be_bytes()));
            octets
        })
    }

    /// None where these are no lines.
    pub(super) fn decode(octets: &[u8]) -> Option<Self> {
        if octets.is_empty() || !octets.len().is_multiple_of(LINE_OCTETS) {
            return None;
        }
        let lines = octets.chunks_exact(LINE_OCTETS).map(|line| {
            let mut words = [0; LINE_WORDS];
            let read = line.as_chunks::<8>().0;
            words.iter_mut().zip(read).for_each(|(word, octets)| *word = u64::from_be_bytes(*octets));
            words
        });
        Some(Self { lines: lines.collect() })
    }

    /// A tag is a keyed hash, so that its own octets choose line and bits. Who invents tags instead can fill a few lines:
    /// then those few tags cost a block each, as without a filter.
    fn place(&self, tag: &Tag) -> (usize, u64) {
        let tag = u128::from_be_bytes(tag.0);
        let line = ((tag >> 64) * self.lines.len() as u128) >> 64;
        (line as usize, tag as u64)
    }
}

/// Octets of a line.
pub(super) const LINE_OCTETS: usize = 64;
const LINE_WORDS: usize = LINE_OCTETS / 8;
/// With seven bits set for each tag, one of a hundred that are not there passes. 100 million tags take 125 MB.
const BITS_PER_TAG: u64 = 10;
const BITS_SET: u32 = 7;

#[cfg(test)]
mod tests {
    use super::*;

    /// Tags as HMAC makes them.
    fn tag(n: u64) -> Tag {
        use sha2::{Digest, Sha256};
        let mut octets = [0; 16];
        octets.copy_from_slice(&Sha256::digest(n.to_be_bytes())[..16]);
        Tag(octets)
    }

    #[test]
    fn what_was_added_is_found_and_one_of_a_hundred_others_passes() {
        let mut filter = Filter::new(20_000);
        (0..20_000).for_each(|n| filter.add(&tag(n)));
        assert!((0..20_000).all(|n| filter.may_have(&tag(n))));
        let wrong = (20_000..120_000).filter(|n| filter.may_have(&tag(*n))).count();
        assert!((500..1500).contains(&wrong), "{wrong} of 100 000");
        assert!(filter.octets() <= 20_000 * 10 / 8 + LINE_OCTETS);
    }

    #[test]
    fn a_filter_is_read_as_it_was_written() {
        let mut filter = Filter::new(1000);
        (0..1000).for_each(|n| filter.add(&tag(n)));
        let octets: Vec<u8> = filter.encode().flatten().collect();
        assert_eq!(Filter::decode(&octets), Some(filter));
        assert_eq!(Filter::decode(&octets[1..]), None);
        assert_eq!(Filter::decode(&[]), None);
    }

    #[test]
    fn an_empty_filter_has_nothing() {
        assert!(!Filter::new(0).may_have(&tag(1)));
        assert!(!Filter::new(0).may_have(&Tag([255; 16])));
    }
}
