//! Which runs become one, and how: several sorted files are read at once, a block of each in memory.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::gone::Gone;
use super::mark::Entry;
use super::run::{Rows, Run, RunError, Scan, Writer};

/// The runs to make one of, if there are enough of a kind: runs of the same order of magnitude, the smallest first. So each
/// event is written once for each order, and few runs are asked for a tag.
pub(super) fn plan(runs: &[Arc<Run>], fresh_max: usize) -> Option<Vec<Arc<Run>>> {
    let order = |run: &Run| (run.marks / (fresh_max as u64).max(1)).max(1).ilog(MERGED_MIN as u64);
    let orders = runs.iter().map(|run| order(run)).max()?;
    (0..=orders).find_map(|wanted| {
        let of: Vec<_> = runs.iter().filter(|run| !run.is_damaged() && order(run) == wanted).cloned().collect();
        (MERGED_MIN <= of.len()).then(|| of.into_iter().take(MERGED_MAX).collect())
    })
}

/// Writes one run with all that is in `runs`, of each origin its newest word about a tag, without what lies before `oldest` in
/// the logs of origins, by their numbers, and without what is `gone`. Ends early when `closed` is set.
pub(super) fn merge(
    runs: &[Arc<Run>],
    mut writer: Writer,
    (oldest, gone): (&[(u32, u64)], &Gone),
    closed: &AtomicBool,
) -> Result<Run, RunError> {
    let rows = runs.iter().map(|run| run.rows).reduce(Rows::with).unwrap_or(Rows::of(0));
    let mut scans: Vec<Scan> = runs.iter().map(|run| run.scan()).collect();
    let mut heap = BinaryHeap::with_capacity(scans.len());
    for number in 0..scans.len() {
        take(&mut scans, number, &mut heap)?;
    }
    let (mut last, mut count) = (None, 0_u64);
    while let Some(mut first) = heap.peek_mut() {
        let Reverse(Next { entry, number }) = *first;
        // In its place the next one of the same run, which sinks to where it belongs.
        match scans.get_mut(number).and_then(Iterator::next) {
            Some(next) => first.0.entry = next?,
            None => _ = PeekMut::pop(first),
        }
        // Of one origin about one tag the newest comes first, and is its vote (§8.5).
        let whose = (entry.tag, entry.mark.origin);
        let begins = oldest.get(entry.mark.origin as usize).copied().unwrap_or_default();
        if !gone.is_gone(&entry.mark) {
            if last != Some(whose) && begins <= entry.mark.place() {
                writer.push(&entry)?;
            }
            last = Some(whose);
        }
        count += 1;
        if count.is_multiple_of(LOOKED_EVERY) && closed.load(Ordering::Relaxed) {
            return Err(RunError::Closed);
        }
    }
    writer.finish(rows)
}

/// The next entry of one of the runs.
#[derive(Clone, Copy)]
struct Next {
    entry: Entry,
    number: usize,
}

impl PartialEq for Next {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Next {}

impl PartialOrd for Next {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Next {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.entry.order().cmp(&other.entry.order())
    }
}

fn take(scans: &mut [Scan], number: usize, heap: &mut BinaryHeap<Reverse<Next>>) -> Result<(), RunError> {
    if let Some(entry) = scans.get_mut(number).and_then(Iterator::next) {
        heap.push(Reverse(Next { entry: entry?, number }));
    }
    Ok(())
}

/// Runs of one order of magnitude that become one of the next.
const MERGED_MIN: usize = 4;
/// Runs that become one at once: a block and its entries are in memory of each, 10 kB.
const MERGED_MAX: usize = 64;
/// Entries between two looks whether the node ends: some ten milliseconds.
const LOOKED_EVERY: u64 = 65_536;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use sm2tp_federation::record::Class;
    use sm2tp_federation::tags::Tag;

    use super::super::mark::Mark;
    use super::*;
    use crate::testing::TempDir;

    fn entry(tag: u8, origin: u32, sequence: u64) -> Entry {
        let mark = Mark { sequence, origin, epoch: 0, hour: 5, class: Class::HARD, ttl_weeks: 0, provider: 0, row: 1 };
        Entry { tag: Tag([tag; 16]), mark }
    }

    fn run(path: &Path, entries: &[Entry]) -> Arc<Run> {
        let mut writer = Writer::new(path, entries.len() as u64).unwrap();
        entries.iter().for_each(|entry| writer.push(entry).unwrap());
        Arc::new(writer.finish(Rows::of(1)).unwrap())
    }

    /// Two runs: the log of origin 0 begins at event 50 now, that of origin 1 was never pruned.
    #[test]
    fn what_was_pruned_leaves_the_index_when_runs_become_one_and_so_does_an_older_word() {
        let dir = TempDir::quick();
        let place = |name| dir.path().join(name);
        let old =
            run(&place("1.run"), &[entry(1, 0, 7), entry(2, 0, 49), entry(2, 1, 3), entry(3, 0, 50), entry(4, 1, 1)]);
        let new = run(&place("2.run"), &[entry(1, 0, 90), entry(4, 1, 8), entry(5, 0, 12)]);
        let writer = Writer::new(&place("3.run"), 8).unwrap();
        let merged =
            merge(&[old, new], writer, (&[(0, 50), (0, 0)], &Gone::default()), &AtomicBool::new(false)).unwrap();
        let left: Vec<Entry> = merged.scan().map(Result::unwrap).collect();
        assert_eq!(left, [entry(1, 0, 90), entry(2, 1, 3), entry(3, 0, 50), entry(4, 1, 8)]);
        assert_eq!((merged.marks, merged.tags), (4, 4));
        let mut found = Vec::new();
        (1..=5).for_each(|tag| merged.find(&Tag([tag; 16]), |mark| found.push((tag, mark.sequence))));
        assert_eq!(found, [(1, 90), (2, 3), (3, 50), (4, 8)]);
    }
}
