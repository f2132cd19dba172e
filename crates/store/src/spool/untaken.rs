//! What the ledger has not taken: the newest in memory, so that it is read nowhere when the ledger keeps up; all of it in rows as
//! well once they were written.

use std::collections::VecDeque;

use crate::told::Told;

/// The outbox as its reader and its writer share it.
#[derive(Debug)]
pub(super) struct Untaken {
    memory: VecDeque<(u64, Told)>,
    /// Entries below this number are in rows, and nowhere else.
    memory_from: u64,
    /// Entries below this number are in rows.
    folded_to: u64,
    /// There may be rows below `memory_from`.
    rows_left: bool,
    taken: u64,
}

/// Where the next entries are.
pub(super) enum Page {
    Memory(Vec<(u64, Told)>),
    /// In rows, above and below these numbers.
    Rows {
        above: u64,
        below: u64,
    },
}

impl Untaken {
    /// All entries below `next` are in rows.
    pub(super) fn new(next: u64) -> Self {
        Self { memory: VecDeque::new(), memory_from: next, folded_to: next, rows_left: true, taken: 0 }
    }

    pub(super) fn push(&mut self, told: Vec<(u64, Told)>) {
        self.memory.extend(told);
    }

    pub(super) fn take(&mut self, up_to: u64) {
        self.taken = self.taken.max(up_to);
        let taken = self.memory.partition_point(|(number, _)| *number <= up_to);
        self.memory.drain(..taken);
    }

    pub(super) fn page(&self, limit: usize) -> Page {
        if self.rows_left {
            return Page::Rows { above: self.taken, below: self.memory_from };
        }
        Page::Memory(self.memory.iter().take(limit).cloned().collect())
    }

    /// The reader found no more rows below this number.
    pub(super) fn no_rows_below(&mut self, number: u64) {
        if self.memory_from <= number {
            self.rows_left = false;
        }
    }

    /// The entries that have no rows yet.
    pub(super) fn to_fold(&self) -> impl Iterator<Item = &(u64, Told)> {
        self.memory.range(self.memory.partition_point(|(number, _)| *number < self.folded_to)..)
    }

    /// All entries below `next` have rows. A ledger that is far behind reads them there.
    pub(super) fn folded(&mut self, next: u64) {
        self.folded_to = next;
        if MEMORY_MAX < self.memory.len() {
            self.memory = VecDeque::new();
            (self.memory_from, self.rows_left) = (next, true);
        }
    }
}

/// Some megabytes: what a ledger that keeps up leaves is a tenth of it.
const MEMORY_MAX: usize = 8192;

#[cfg(test)]
mod tests {
    use sm2tp_rules::Stream;

    use super::*;
    use crate::told::What;

    fn told(number: u64) -> (u64, Told) {
        let (org, stream) = ("local".to_owned(), Stream::Personal);
        let (login, message_id, mail_from, recipient) = (None, None, None, None);
        let (v, at, mail, report, what) = (Told::VERSION, 1, number, false, What::Dropped);
        let token = None;
        (number, Told { v, at, org, login, stream, mail, message_id, mail_from, recipient, token, report, what })
    }

    fn numbers(untaken: &Untaken) -> Vec<u64> {
        match untaken.page(3) {
            Page::Memory(entries) => entries.iter().map(|(number, _)| *number).collect(),
            Page::Rows { above, below } => panic!("rows from {above} to {below}"),
        }
    }

    #[test]
    fn rows_of_earlier_come_first_and_a_ledger_that_is_far_behind_reads_rows_again() {
        let mut untaken = Untaken::new(10);
        untaken.push((10..15).map(told).collect());
        assert!(matches!(untaken.page(3), Page::Rows { above: 0, below: 10 }));
        untaken.no_rows_below(10);
        assert_eq!(numbers(&untaken), [10, 11, 12]);
        untaken.take(11);
        assert_eq!(numbers(&untaken), [12, 13, 14]);
        assert_eq!(untaken.to_fold().count(), 3);
        untaken.folded(15);
        assert_eq!((untaken.to_fold().count(), numbers(&untaken)), (0, vec![12, 13, 14]));
        untaken.push((15..10_000).map(told).collect());
        assert_eq!(untaken.to_fold().count(), 9985);
        untaken.folded(10_000);
        assert!(matches!(untaken.page(3), Page::Rows { above: 11, below: 10_000 }));
    }
}
