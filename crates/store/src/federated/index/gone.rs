//! Events that were taken out of their segments and may still stand in runs: nobody is told of them any more, and runs are
//! written anew without them.

use std::collections::HashMap;

use sm2tp_federation::tags::Tag;

use super::mark::Mark;
use super::run::Run;

/// Places of events, each with its tag as far as that is known: after a restart it is not.
#[derive(Debug, Clone, Default)]
pub(super) struct Gone(HashMap<Place, Option<Tag>>);

/// The index's own number of the origin, epoch and sequence number.
pub(super) type Place = (u32, u32, u64);

impl Gone {
    pub(super) fn add(&mut self, place: Place, tag: Option<Tag>) {
        let known = self.0.entry(place).or_default();
        *known = known.or(tag);
    }

    pub(super) fn has(&self, place: Place) -> bool {
        self.0.contains_key(&place)
    }

    pub(super) fn is_gone(&self, mark: &Mark) -> bool {
        self.0.contains_key(&place(mark))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn places(&self) -> impl Iterator<Item = Place> + '_ {
        self.0.keys().copied()
    }

    pub(super) fn forget(&mut self, places: &[Place]) {
        places.iter().for_each(|place| _ = self.0.remove(place));
    }

    /// Whether any of them stands in a run, or may.
    pub(super) fn may_be_in(&self, run: &Run) -> bool {
        self.0.iter().any(|(gone, tag)| {
            let Some(tag) = tag else { return true };
            let mut found = false;
            run.find(tag, |mark| found |= place(&mark) == *gone);
            found
        })
    }
}

fn place(mark: &Mark) -> Place {
    (mark.origin, mark.epoch, mark.sequence)
}
