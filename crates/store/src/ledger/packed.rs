//! What a node keeps in memory of millions of addresses: sorted shards instead of a hash table, and evidence in 32 octets.
//!
//! A hash table doubles when it is full, and is half empty then. Tags are keyed hashes, so their first bits spread them
//! evenly over shards; each is a sorted list that grows by a sixteenth.

use sm2tp_federation::tags::Tag;
use sm2tp_proto::Enhanced;
use sm2tp_proto::lists::Format;
use sm2tp_rules::Evidence;
use sm2tp_rules::imported::Imported;

/// A map from tags, or from tags and something small, to something small.
#[derive(Debug)]
pub(super) struct Packed<K, V> {
    shards: Box<[Vec<(K, V)>]>,
    len: usize,
}

/// What begins with a tag.
pub(super) trait Tagged: Copy + Ord {
    fn tag(&self) -> &Tag;
}

/// [`Evidence`] as it is kept in memory. Times beyond 2106 become 2106: only a wrong clock says such.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Small {
    delivered_at: u32,
    hard_first_at: u32,
    hard_at: u32,
    soft_at: u32,
    soft_days: [u32; 2],
    /// The enhanced code: subject and detail of ten bits each, class of four, and that there is one; whether it was strong, and
    /// inactive; whose list it is from, counted from 1.
    said: u32,
    code: u16,
    imported_day: u16,
}

impl<K: Tagged, V: Copy> Packed<K, V> {
    pub(super) fn get(&self, key: &K) -> Option<V> {
        let shard = self.shards.get(place(key.tag()))?;
        shard.binary_search_by(|(known, _)| known.cmp(key)).ok().map(|at| shard[at].1)
    }

    /// Puts a value in the place of the one that `change` is given; none takes it out.
    pub(super) fn change(&mut self, key: K, change: impl FnOnce(Option<V>) -> Option<V>) {
        let Some(shard) = self.shards.get_mut(place(key.tag())) else { return };
        match shard.binary_search_by(|(known, _)| known.cmp(&key)) {
            Ok(at) => match change(Some(shard[at].1)) {
                Some(value) => shard[at].1 = value,
                None => {
                    shard.remove(at);
                    self.len -= 1;
                }
            },
            Err(at) => {
                if let Some(value) = change(None) {
                    if shard.len() == shard.capacity() {
                        shard.reserve_exact((shard.len() / GROWTH).max(GROWTH_MIN));
                    }
                    shard.insert(at, (key, value));
                    self.len += 1;
                }
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn parts(&self) -> usize {
        self.shards.len()
    }

    /// The entries of one part, in their order.
    pub(super) fn part(&self, number: usize) -> &[(K, V)] {
        self.shards.get(number).map_or(&[], Vec::as_slice)
    }

    /// Octets that it takes, with what its lists have in reserve.
    #[cfg(test)]
    fn octets(&self) -> usize {
        let lists = self.shards.iter().map(|shard| shard.capacity() * size_of::<(K, V)>()).sum::<usize>();
        lists + self.shards.len() * size_of::<Vec<(K, V)>>()
    }
}

impl<K, V> Default for Packed<K, V> {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| Vec::new()).collect(), len: 0 }
    }
}

impl Tagged for Tag {
    fn tag(&self) -> &Tag {
        self
    }
}

impl Tagged for (Tag, u32) {
    fn tag(&self) -> &Tag {
        &self.0
    }
}

impl From<Evidence> for Small {
    fn from(evidence: Evidence) -> Self {
        let at = |at: u64| u32::try_from(at).unwrap_or(u32::MAX);
        let part = |part: u16| u32::from(part.min(PART_MASK as u16));
        let enhanced = evidence.hard_enhanced.map_or(0, |Enhanced(class, subject, detail)| {
            1 << 24 | u32::from(class & 0xf) << 20 | part(subject) << 10 | part(detail)
        });
        let imported = evidence.hard_imported.map_or(0, |imported| number(imported.from));
        let flags = u32::from(evidence.hard_strong) << STRONG | u32::from(evidence.hard_inactive) << INACTIVE;
        let days = evidence.soft_days;
        Self {
            delivered_at: at(evidence.delivered_at),
            hard_first_at: at(evidence.hard_first_at),
            hard_at: at(evidence.hard_at),
            soft_at: at(evidence.soft_at),
            soft_days: [(days >> 32) as u32, days as u32],
            said: enhanced | flags | imported << IMPORTED,
            code: evidence.hard_code,
            imported_day: evidence.hard_imported.map_or(0, |imported| imported.day),
        }
    }
}

impl From<Small> for Evidence {
    fn from(small: Small) -> Self {
        let part = |shift: u32| (small.said >> shift & PART_MASK) as u16;
        let is_set = |bit: u32| small.said >> bit & 1 != 0;
        let from = (small.said >> IMPORTED).checked_sub(1).and_then(|place| Format::ALL.get(place as usize));
        let enhanced = Enhanced((small.said >> 20 & 0xf) as u8, part(10), part(0));
        Self {
            delivered_at: small.delivered_at.into(),
            hard_first_at: small.hard_first_at.into(),
            hard_at: small.hard_at.into(),
            hard_strong: is_set(STRONG),
            hard_inactive: is_set(INACTIVE),
            hard_code: small.code,
            hard_enhanced: is_set(24).then_some(enhanced),
            hard_imported: from.map(|from| Imported { from: *from, day: small.imported_day }),
            soft_days: u64::from(small.soft_days[0]) << 32 | u64::from(small.soft_days[1]),
            soft_at: small.soft_at.into(),
        }
    }
}

/// Of a format, from 1.
fn number(format: Format) -> u32 {
    let place = Format::ALL.iter().position(|known| *known == format);
    place.map_or(0, |place| place as u32 + 1)
}

/// By the first bits.
fn place(tag: &Tag) -> usize {
    usize::from(u16::from_be_bytes([tag.0[0], tag.0[1]]) >> (16 - SHARD_BITS))
}

/// 400 kB of empty lists; at ten million addresses a list has 600 entries, of which an insertion moves half.
const SHARD_BITS: u32 = 14;
const SHARDS: usize = 1 << SHARD_BITS;
/// A list grows by a sixteenth of its length, and by four at least.
const GROWTH: usize = 16;
const GROWTH_MIN: usize = 4;
/// Bits of [`Small::said`] above the enhanced code; five are left for the list.
const STRONG: u32 = 25;
const INACTIVE: u32 = 26;
const IMPORTED: u32 = 27;
/// RFC 3463 §2: a part has three digits.
const PART_MASK: u32 = 0x3ff;

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(n: u64) -> Tag {
        // The finaliser of splitmix64: spread like a keyed hash.
        let mix = |n: u64| {
            let n = (n ^ n >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let n = (n ^ n >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            n ^ n >> 31
        };
        let mut octets = [0; 16];
        octets[..8].copy_from_slice(&mix(n.wrapping_add(0x9e37_79b9_7f4a_7c15)).to_be_bytes());
        octets[8..].copy_from_slice(&n.to_be_bytes());
        Tag(octets)
    }

    #[test]
    fn what_was_put_in_is_found_until_it_is_taken_out() {
        let mut map = Packed::<Tag, u32>::default();
        for n in 0..100_000 {
            map.change(tag(n), |before| before.is_none().then_some(n as u32));
        }
        assert_eq!(map.len(), 100_000);
        for n in (0..100_000).step_by(2) {
            map.change(tag(n), |before| before.filter(|known| known % 4 != 0).map(|known| known + 1));
        }
        assert_eq!(map.len(), 75_000);
        for n in 0..100_010 {
            let want = match (n % 4, n < 100_000) {
                (_, false) | (0, _) => None,
                (2, _) => Some(n as u32 + 1),
                _ => Some(n as u32),
            };
            assert_eq!(map.get(&tag(n)), want);
        }
        map.change(tag(200_000), |_| None);
        assert_eq!(map.len(), 75_000);
    }

    #[test]
    fn one_tag_has_an_entry_for_each_org() {
        let mut map = Packed::<(Tag, u32), u16>::default();
        for org in [7, 0, 3] {
            map.change((tag(1), org), |_| Some(org as u16));
        }
        assert_eq!((map.get(&(tag(1), 0)), map.get(&(tag(1), 3)), map.get(&(tag(1), 4))), (Some(0), Some(3), None));
    }

    #[test]
    fn an_address_takes_less_than_64_octets_however_many_there_are() {
        assert_eq!(size_of::<(Tag, Small)>(), 48);
        let mut map = Packed::<Tag, Small>::default();
        for n in 0..1_500_000 {
            map.change(tag(n), |_| Some(Small::from(Evidence::default())));
            // Shards grow at their own times, so that the reserve of all together is steady; a few addresses in many
            // shards are not what counts.
            if 200_000 < n && n % 50_000 == 0 {
                let octets = map.octets() / map.len();
                assert!(octets < 64, "{octets} octets for each of {n}");
            }
        }
    }

    #[test]
    fn evidence_is_the_same_when_it_is_unpacked() {
        let evidence = Evidence {
            delivered_at: 1_800_000_000,
            hard_first_at: 1_700_000_001,
            hard_at: 1_700_000_002,
            hard_strong: true,
            hard_inactive: true,
            hard_code: 550,
            hard_enhanced: Some(Enhanced(5, 999, 1)),
            hard_imported: None,
            soft_days: u64::MAX - 2,
            soft_at: 1_700_000_003,
        };
        let codes = [None, Some(Enhanced(0, 0, 0)), Some(Enhanced(4, 2, 2)), Some(Enhanced(5, 1, 10))];
        for hard_enhanced in codes {
            for (hard_strong, hard_inactive) in [(false, true), (true, false)] {
                let evidence = Evidence { hard_strong, hard_inactive, hard_enhanced, ..evidence };
                assert_eq!(Evidence::from(Small::from(evidence)), evidence);
            }
        }
        for from in Format::ALL {
            let evidence = Evidence { hard_imported: Some(Imported { from, day: 20_783 }), ..evidence };
            assert_eq!(Evidence::from(Small::from(evidence)), evidence);
        }
        assert_eq!(Evidence::from(Small::from(evidence)), evidence);
        assert_eq!(Evidence::from(Small::from(Evidence::default())), Evidence::default());
        let ahead = Evidence { hard_at: u64::MAX, ..evidence };
        assert_eq!(Evidence::from(Small::from(ahead)).hard_at, u64::from(u32::MAX));
    }
}
