//! All events by tag: the newest in memory, the others in runs on the disk.

use std::sync::Arc;

use sm2tp_federation::tags::Tag;

use super::fresh::Fresh;
use super::gone::{Gone, Place};
use super::mark::Mark;
use super::run::Run;
use super::upkeep::Cut;

/// Events by tag. It makes no difference in which part an event is, nor in which order they came: of one origin about one
/// tag the newest in the order of its log counts.
#[derive(Debug, Default)]
pub(super) struct Tags {
    fresh: Fresh,
    /// What is being written as a run; nothing is added to it.
    writing: Option<(Arc<Fresh>, Cut)>,
    runs: Vec<Arc<Run>>,
    /// What stands in one of these and is not to be found.
    gone: Gone,
}

impl Tags {
    pub(super) fn add(&mut self, tag: Tag, mark: Mark) {
        // It may be read again from a copy that was read before the event went.
        if !self.gone.is_gone(&mark) {
            self.fresh.add(tag, mark);
        }
    }

    /// The event in this place is not to be found any more; its tag, where that is known.
    pub(super) fn erase(&mut self, place: Place, tag: Option<Tag>) {
        if let Some(tag) = &tag {
            self.fresh.forget(tag, place);
        }
        self.gone.add(place, tag);
    }

    pub(super) fn gone(&self) -> &Gone {
        &self.gone
    }

    pub(super) fn gone_mut(&mut self) -> &mut Gone {
        &mut self.gone
    }

    /// Whether a run is being written.
    pub(super) fn is_writing(&self) -> bool {
        self.writing.is_some()
    }

    /// Events of the segment with this local number were added.
    pub(super) fn note(&mut self, row: u64) {
        self.fresh.note(row);
    }

    /// The last word of each origin about a tag.
    pub(super) fn marks(&self, tag: &Tag) -> Vec<Mark> {
        let mut marks = Vec::new();
        self.fresh.find(tag, |mark| marks.push(mark));
        if let Some((writing, _)) = &self.writing {
            writing.find(tag, |mark| marks.push(mark));
        }
        for run in &self.runs {
            run.find(tag, |mark| marks.push(mark));
        }
        if !self.gone.is_empty() {
            marks.retain(|mark| !self.gone.is_gone(mark));
        }
        if 1 < marks.len() {
            marks.sort_unstable_by_key(|mark| (mark.origin, std::cmp::Reverse(mark.place())));
            marks.dedup_by_key(|mark| mark.origin);
        }
        marks
    }

    /// Events in memory that no run holds and nobody writes.
    pub(super) fn fresh_len(&self) -> usize {
        self.fresh.len()
    }

    pub(super) fn runs(&self) -> &[Arc<Run>] {
        &self.runs
    }

    /// What is to be written as a run: what could not be written the last time, or what is new, cut off now.
    pub(super) fn begin(&mut self, cut: impl FnOnce() -> Cut) -> (Arc<Fresh>, Cut) {
        let fresh = &mut self.fresh;
        let (writing, cut) = self.writing.get_or_insert_with(|| {
            let next = fresh.as_large();
            (Arc::new(std::mem::replace(fresh, next)), cut())
        });
        (Arc::clone(writing), *cut)
    }

    /// What was being written is a run now.
    pub(super) fn wrote(&mut self, run: Arc<Run>) {
        self.writing = None;
        self.runs.push(run);
    }

    pub(super) fn add_run(&mut self, run: Arc<Run>) {
        self.runs.push(run);
    }

    /// Puts one run in the place of others, or none.
    pub(super) fn replace(&mut self, old: &[Arc<Run>], new: Option<Arc<Run>>) {
        self.runs.retain(|run| !old.iter().any(|gone| Arc::ptr_eq(gone, run)));
        self.runs.extend(new);
    }

    /// Different tags, each counted once in every run that has it; and events.
    pub(super) fn size(&self) -> (u64, u64) {
        let fresh = [Some(&self.fresh), self.writing.as_ref().map(|(writing, _)| &**writing)];
        let fresh = fresh.into_iter().flatten().map(|fresh| (fresh.tags() as u64, fresh.len() as u64));
        let runs = self.runs.iter().map(|run| (run.tags, run.marks));
        fresh.chain(runs).fold((0, 0), |sum, part| (sum.0 + part.0, sum.1 + part.1))
    }
}
