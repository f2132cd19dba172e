//! Which runs become one, and how: several sorted files are read at once, a block of each in memory.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
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
    while let Some(Reverse(Next { entry, number })) = heap.pop() {
        take(&mut scans, number, &mut heap)?;
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
