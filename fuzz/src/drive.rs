//! How an ordinary test drives a fuzz target: its corpus as it is, and then seeded mutations of it.

use std::path::Path;

/// `SplitMix64`: enough for choices, and the same everywhere.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.roll() % end.max(1) as u64).expect("it is below a usize")
    }
}

/// Gives every file of `corpus/name` to `target`, and `rounds` mutations of them. A panic says which round.
pub fn drive(name: &str, rounds: u64, target: impl Fn(&[u8])) {
    let seeds = corpus(name);
    let signs: Vec<&[u8]> = SIGNS.chunks(1).collect();
    assert!(!seeds.is_empty(), "fuzz/corpus/{name} is empty");
    seeds.iter().for_each(|seed| target(seed));
    for round in 0..rounds {
        let mut dice = Dice(round);
        let mut bytes = seeds[dice.below(seeds.len())].clone();
        mutate(&mut dice, &mut bytes, &seeds, &signs);
        let round = Round { name, round, bytes: &bytes };
        target(&bytes);
        std::mem::forget(round);
    }
}

/// Says what was tried when the target panics.
struct Round<'a> {
    name: &'a str,
    round: u64,
    bytes: &'a [u8],
}

impl Drop for Round<'_> {
    fn drop(&mut self) {
        eprintln!("{}, round {}: {}", self.name, self.round, self.bytes.escape_ascii());
    }
}

/// Changes some octets, in one place or a few: by chance, to one of `words`, or to a piece of one of `others`.
pub fn mutate(dice: &mut Dice, bytes: &mut Vec<u8>, others: &[Vec<u8>], words: &[&[u8]]) {
    for _ in 0..=dice.below(6) {
        let at = dice.below(bytes.len() + 1);
        let end = (at + dice.below(20)).min(bytes.len());
        match dice.below(10) {
            0 | 1 => bytes.get_mut(at).into_iter().for_each(|byte| *byte ^= 1 << dice.below(8)),
            2 => drop(bytes.drain(at..end)),
            3 | 4 => drop(bytes.splice(at..at, words[dice.below(words.len())].iter().copied())),
            5 => drop(bytes.splice(at..end, words[dice.below(words.len())].iter().copied())),
            6 => {
                let copy = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, copy));
            }
            7 => {
                let other = &others[dice.below(others.len())];
                let from = dice.below(other.len());
                drop(bytes.splice(at.., other[from..].iter().copied()));
            }
            8 => {
                let many = if dice.below(50) == 0 { RUN_MAX } else { 30 };
                drop(bytes.splice(at..end, vec![b"9a"[dice.below(2)]; dice.below(many)]));
            }
            _ => bytes.truncate(at),
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "a test reads its files, in pure crates too")]
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a file of the corpus").path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("a file of the corpus")).collect()
}

/// What separates, quotes or counts in the forms that are read.
const SIGNS: &[u8] = b"\r\n\0. <>@\"\\=:;,-+{}[]()09azAZ\xff\xc3\xa9\x80";
/// Longer than any line that is allowed.
const RUN_MAX: usize = 16 * 1024;
