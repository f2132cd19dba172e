//! One pass over a text: which rules its words allow, which they forbid, who speaks, and at which stage.

use super::book::{Book, Pattern, What};
use super::file::Take;
use crate::outcome::Stage;

/// What the words of one text say.
pub(super) struct Scan<'b> {
    book: &'b Book,
    allowed: Vec<u64>,
    vetoed: Vec<u64>,
    /// For each pattern of several parts, how far it has come.
    progress: Vec<Progress>,
    /// The provider that the text betrays.
    pub sign: Option<usize>,
    /// The stage that the text names.
    pub stage: Option<Stage>,
    /// Whether it asks to wait, perhaps for a time that it names.
    pub patience: bool,
}

#[derive(Clone, Copy, Default)]
struct Progress {
    next: u16,
    end: u16,
}

impl<'b> Scan<'b> {
    pub(super) fn new(book: &'b Book, plain: &str) -> Self {
        let words = book.rules.len().div_ceil(64);
        let mut scan = Self {
            book,
            allowed: vec![0; words],
            vetoed: vec![0; words],
            progress: vec![Progress::default(); book.slots],
            sign: None,
            stage: None,
            patience: false,
        };
        for rank in &book.always {
            set(&mut scan.allowed, *rank);
        }
        scan.read(plain);
        scan
    }

    /// Ranks of the rules whose words are there, the first first.
    pub(super) fn ranks(&self) -> impl Iterator<Item = usize> {
        let words = self.allowed.iter().zip(&self.vetoed).enumerate();
        words.flat_map(|(i, (allowed, vetoed))| {
            let mut left = allowed & !vetoed;
            std::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros() as usize)?;
                left &= left - 1;
                Some(i * 64 + bit)
            })
        })
    }

    fn read(&mut self, plain: &str) {
        let book = self.book;
        let bytes = plain.as_bytes();
        for found in book.automaton.find_overlapping_iter(plain) {
            let (start, end) = (found.start(), found.end());
            let left_edge = start == 0 || !bytes[start - 1].is_ascii_alphanumeric();
            let right_edge = !bytes.get(end).is_some_and(u8::is_ascii_alphanumeric);
            for used in &book.uses[found.pattern().as_usize()] {
                if (used.left_edge && !left_edge) || (used.right_edge && !right_edge) {
                    continue;
                }
                match used.what {
                    What::Part { pattern, index } => self.part(pattern, index, start, end),
                    What::Table(table) => self.code(table, &plain[end..]),
                    What::Sign(provider) => self.sign = self.sign.or(Some(provider)),
                    What::Stage(stage) => self.stage = self.stage.or(Some(stage)),
                    What::Patience => self.patience = true,
                }
            }
        }
    }

    /// Parts come in the order of their ends, so taking the earliest find of each is enough.
    fn part(&mut self, pattern: usize, index: usize, start: usize, end: usize) {
        let whole = &self.book.patterns[pattern];
        if whole.parts == 1 {
            return self.complete(whole);
        }
        let progress = &mut self.progress[whole.slot];
        let gap = start.checked_sub(usize::from(progress.end)).unwrap_or(usize::MAX);
        if usize::from(progress.next) == index && (index == 0 || gap <= GAP_OCTETS_MAX) {
            progress.next += 1;
            progress.end = u16::try_from(end).unwrap_or(u16::MAX);
        } else if index == 0 && progress.next == 1 {
            // Said again, closer to what follows.
            progress.end = u16::try_from(end).unwrap_or(u16::MAX);
        }
        if usize::from(progress.next) == whole.parts {
            self.complete(whole);
        }
    }

    fn complete(&mut self, pattern: &Pattern) {
        let bits = if pattern.vetoes { &mut self.vetoed } else { &mut self.allowed };
        set(bits, pattern.rule);
    }

    fn code(&mut self, table: usize, rest: &str) {
        let table = &self.book.tables[table];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let word = &rest[..end];
        let code = match table.take {
            Take::Whole => word,
            Take::LastNumber => {
                let digits = word.bytes().rev().take_while(u8::is_ascii_digit).count();
                &word[word.len() - digits..]
            }
        };
        for (keys, rank) in &table.codes {
            if keys.iter().any(|key| key.is(code)) {
                set(&mut self.allowed, *rank);
            }
        }
    }
}

fn set(bits: &mut [u64], bit: usize) {
    bits[bit / 64] |= 1 << (bit % 64);
}

/// Words of one rule stand in one sentence; further apart they mean different things.
const GAP_OCTETS_MAX: usize = 100;
