//! The newest events of the tag index, in memory until there are enough for a run.

use std::collections::HashMap;
use std::collections::hash_map;

use sm2tp_federation::tags::Tag;

use super::gone::Place;
use super::mark::{Entry, Mark};
use super::run::Rows;

/// Events by tag. Of one origin about one tag the newest is kept.
#[derive(Debug, Default)]
pub(super) struct Fresh {
    /// The last slot of each tag. Tags are what strangers choose, so that the hash is one with a secret.
    heads: HashMap<Tag, u32>,
    slots: Vec<Slot>,
    rows: Option<Rows>,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    mark: Mark,
    /// The slot before it about the same tag.
    before: Option<u32>,
}

impl Fresh {
    /// An empty one with room for as many: a node that catches up fills the next one as well. What is not touched takes no
    /// memory.
    pub(super) fn as_large(&self) -> Self {
        let (heads, slots) = (HashMap::with_capacity(self.heads.len()), Vec::with_capacity(self.slots.len()));
        Self { heads, slots, rows: None }
    }

    pub(super) fn add(&mut self, tag: Tag, mark: Mark) {
        // Fits: a run is written long before.
        let next = self.slots.len() as u32;
        let before = match self.heads.entry(tag) {
            hash_map::Entry::Vacant(place) => {
                place.insert(next);
                None
            }
            hash_map::Entry::Occupied(mut place) => {
                let (slots, mut at) = (&mut self.slots, Some(*place.get()));
                while let Some(slot) = at.and_then(|at| slots.get_mut(at as usize)) {
                    if slot.mark.origin == mark.origin {
                        if slot.mark.place() < mark.place() {
                            slot.mark = mark;
                        }
                        return;
                    }
                    at = slot.before;
                }
                Some(place.insert(next))
            }
        };
        self.slots.push(Slot { mark, before });
    }

    /// Forgets the event about a tag that stands in this place.
    pub(super) fn forget(&mut self, tag: &Tag, (origin, epoch, sequence): Place) {
        let (mut at, mut after) = (self.heads.get(tag).copied(), None);
        while let Some((here, slot)) = at.and_then(|at| Some((at, *self.slots.get(at as usize)?))) {
            if slot.mark.origin == origin && slot.mark.place() == (epoch, sequence) {
                // Its slot stays, without a way to it.
                match (after, slot.before) {
                    (Some(after), before) => self.slots[after as usize].before = before,
                    (None, Some(before)) => _ = self.heads.insert(*tag, before),
                    (None, None) => _ = self.heads.remove(tag),
                }
                return;
            }
            (after, at) = (Some(here), slot.before);
        }
    }

    /// Events of the segment with this local number are here.
    pub(super) fn note(&mut self, row: u64) {
        self.rows = Some(self.rows.map_or(Rows::of(row), |rows| rows.with(Rows::of(row))));
    }

    pub(super) fn find(&self, tag: &Tag, mut each: impl FnMut(Mark)) {
        let mut at = self.heads.get(tag).copied();
        while let Some(slot) = at.and_then(|at| self.slots.get(at as usize)) {
            each(slot.mark);
            at = slot.before;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn tags(&self) -> usize {
        self.heads.len()
    }

    /// The segments whose events are here.
    pub(super) fn rows(&self) -> Option<Rows> {
        self.rows
    }

    /// In the order of a run.
    pub(super) fn sorted(&self) -> Vec<Entry> {
        let mut all = Vec::with_capacity(self.slots.len());
        for (tag, head) in &self.heads {
            let mut at = Some(*head);
            while let Some(slot) = at.and_then(|at| self.slots.get(at as usize)) {
                all.push(Entry { tag: *tag, mark: slot.mark });
                at = slot.before;
            }
        }
        all.sort_unstable_by_key(Entry::order);
        all
    }
}
