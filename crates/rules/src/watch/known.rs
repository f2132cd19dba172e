//! To whom a sender has written: Bloom filters, of which the oldest go, so that acquaintances fade and memory is bounded.
//!
//! A filter of `b` bits is full after `b/10` recipients; with six bits each, a recipient who is new is then taken for a
//! known one in about one case of a hundred (0.84 % for a full filter; Bloom, 1970), and in as many more as there are
//! filters: two for most senders, eight at most. A known one is taken for new only once its filter is gone.

/// The recipients of one sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    /// Oldest first; never empty. The last one is being filled.
    pub filters: Vec<Filter>,
    /// Unix seconds when the last filter began.
    pub since: u64,
}

/// One Bloom filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filter {
    /// A power of two of words.
    pub words: Vec<u64>,
    pub entries: u32,
}

impl Known {
    pub(super) fn new(now: u64) -> Self {
        Self { filters: vec![Filter::new(WORDS_MIN)], since: now }
    }

    /// Remembers a recipient, by its hash, and says whether it was known.
    pub(super) fn meet(&mut self, recipient: u64, now: u64) -> bool {
        let Some((young, old)) = self.filters.split_last_mut() else { return false };
        if young.has(recipient) {
            return true;
        }
        // Whoever is met again is young again.
        let is_known = old.iter().any(|filter| filter.has(recipient));
        if young.is_full() {
            self.turn(now);
        }
        if let Some(young) = self.filters.last_mut() {
            young.put(recipient);
        }
        is_known
    }

    /// About how many: those in several filters count several times.
    pub(super) fn len(&self) -> u32 {
        self.filters.iter().fold(0, |sum: u32, filter| sum.saturating_add(filter.entries))
    }

    /// A new filter. Who filled the last one fast gets a larger one and keeps the others while there is room; who took
    /// its time has met in the last one everybody whom it still writes to.
    fn turn(&mut self, now: u64) {
        let is_fast = now.saturating_sub(self.since) < FILLS_IN_S;
        let before = self.filters.last().map_or(WORDS_MIN, |filter| filter.words.len());
        let words = if is_fast { (before * 2).min(WORDS_MAX) } else { before };
        if !is_fast {
            self.filters.drain(..self.filters.len() - 1);
        }
        self.filters.push(Filter::new(words));
        while WORDS_IN_ALL_MAX < self.words() || FILTERS_MAX < self.filters.len() {
            self.filters.remove(0);
        }
        self.since = now;
    }

    fn words(&self) -> usize {
        self.filters.iter().map(|filter| filter.words.len()).sum()
    }
}

impl Filter {
    pub(super) fn new(words: usize) -> Self {
        Self { words: vec![0; words], entries: 0 }
    }

    fn is_full(&self) -> bool {
        self.words.len() * 64 <= self.entries as usize * BITS_AN_ENTRY
    }

    fn has(&self, hash: u64) -> bool {
        bits(hash, self.words.len()).all(|(word, bit)| self.words[word] & bit != 0)
    }

    fn put(&mut self, hash: u64) {
        for (word, bit) in bits(hash, self.words.len()) {
            self.words[word] |= bit;
        }
        self.entries = self.entries.saturating_add(1);
    }
}

/// Places of a hash, from its two halves (Kirsch and Mitzenmacher, 2006). `words` is a power of two.
fn bits(hash: u64, words: usize) -> impl Iterator<Item = (usize, u64)> {
    let (first, step) = (hash, hash.rotate_left(32) | 1);
    let mask = words as u64 * 64 - 1;
    (0..HASHES).map(move |n| {
        let at = first.wrapping_add(step.wrapping_mul(n)) & mask;
        ((at / 64) as usize, 1 << (at % 64))
    })
}

const HASHES: u64 = 6;
const BITS_AN_ENTRY: usize = 10;
/// 256 octets for 204 recipients: most people never need more.
const WORDS_MIN: usize = 32;
/// 32 KiB for 26 000 recipients.
pub(super) const WORDS_MAX: usize = 4096;
/// 80 KiB of all filters for 65 000 recipients. Who writes to more looks as if part of them were new; the limits follow
/// what is usual for that sender.
const WORDS_IN_ALL_MAX: usize = 2 * WORDS_MAX + WORDS_MAX / 2;
/// From 256 octets to 32 KiB.
pub(super) const FILTERS_MAX: usize = 8;
/// A filter should last two months, so that a monthly newsletter meets its readers again.
const FILLS_IN_S: u64 = 60 * 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(n: u64) -> u64 {
        let mixed = (n ^ (n >> 31)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) ^ (mixed >> 32)
    }

    #[test]
    fn few_new_recipients_are_taken_for_known_ones() {
        let mut known = Known::new(0);
        let mistaken = (0..20_000).filter(|n| known.meet(hash(*n), 0)).count();
        assert!(mistaken < 1000, "{mistaken}");
    }

    #[test]
    fn the_readers_of_a_monthly_newsletter_become_known() {
        let mut known = Known::new(0);
        for month in 0..24 {
            let met = (0..5000).filter(|n| known.meet(hash(*n), month * 30 * 86_400)).count();
            assert!(if month == 0 { met < 200 } else { met == 5000 }, "{month}: {met}");
        }
        assert!(known.words() < 3000, "{}", known.words());
    }

    #[test]
    fn a_million_recipients_take_bounded_memory() {
        let mut known = Known::new(0);
        (0..1_000_000).for_each(|n| _ = known.meet(hash(n), 0));
        assert!(known.words() <= WORDS_IN_ALL_MAX && known.filters.len() <= FILTERS_MAX);
        assert!(known.meet(hash(999_999), 0) && known.meet(hash(975_000), 0));
    }
}
