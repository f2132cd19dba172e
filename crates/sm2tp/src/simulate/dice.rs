//! Numbers that look random and come again with the same seed (SplitMix64; Steele, Lea and Flood, 2014).

/// A source of numbers.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    /// The sources of two places of one run have nothing in common.
    pub(crate) fn new(seed: u64, place: u64) -> Self {
        Self(mix(seed ^ mix(place.wrapping_add(GAMMA))))
    }

    /// The number at this place of one endless row, without those before it.
    pub(crate) fn at(place: u64) -> u64 {
        mix(place.wrapping_add(1).wrapping_mul(GAMMA))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GAMMA);
        mix(self.0)
    }

    /// In `[0, 1)`.
    pub(crate) fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) fn happens(&mut self, probability: f64) -> bool {
        self.share() < probability
    }

    /// Between the two, the second excluded; the first where there is nothing between them.
    pub(crate) fn within(&mut self, from: u64, to: u64) -> u64 {
        from + self.next() % to.saturating_sub(from).max(1)
    }

    pub(crate) fn between(&mut self, from: f64, to: f64) -> f64 {
        from + (to - from) * self.share()
    }

    /// How often something happens that happens so often on average (Knuth's method, in parts for large numbers).
    pub(crate) fn times(&mut self, mean: f64) -> u64 {
        let (mut count, mut rest) = (0, mean.clamp(0.0, TIMES_MAX));
        while 0.0 < rest {
            let part = rest.min(20.0);
            rest -= part;
            let (end, mut product) = ((-part).exp(), self.share());
            while end < product {
                count += 1;
                product *= self.share();
            }
        }
        count
    }

    pub(crate) fn one_of<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        let at = self.within(0, all.len() as u64) as usize;
        all.get(at)
    }
}

fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;
/// Mails of a day; nobody here sends more.
const TIMES_MAX: f64 = 1e6;
