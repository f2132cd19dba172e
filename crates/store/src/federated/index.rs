//! Tags of foreign segments by look-up, in memory; made from the files, never stored.

use std::collections::HashMap;

use sm2tp_federation::belief::{self, BeliefLimits, Believed, Vote};
use sm2tp_federation::keys::NodeKey;
use sm2tp_federation::record::{Class, Record};
use sm2tp_federation::segment::Verified;
use sm2tp_federation::tags::Tag;

/// What a node thinks of one origin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standing {
    /// The direct peer through which it became known; none for a direct peer.
    pub introducer: Option<NodeKey>,
    pub hop: u8,
    /// Set by the administrator for a direct peer.
    pub weight: f64,
    /// Unix seconds.
    pub known_since: u64,
}

/// The index. One mark is 24 octets beside its share of the table.
#[derive(Debug)]
pub struct Index {
    own: NodeKey,
    origins: Vec<NodeKey>,
    numbers: HashMap<NodeKey, u32>,
    standings: HashMap<NodeKey, Standing>,
    marks: HashMap<Tag, Vec<Mark>>,
    count: usize,
}

#[derive(Debug, Clone, Copy)]
struct Mark {
    sequence: u64,
    origin: u32,
    epoch: u32,
    hour: u32,
    class: Class,
    ttl_weeks: u8,
}

impl Index {
    #[must_use]
    pub fn new(own: NodeKey) -> Self {
        Self {
            own,
            origins: Vec::new(),
            numbers: HashMap::new(),
            standings: HashMap::new(),
            marks: HashMap::new(),
            count: 0,
        }
    }

    /// Takes the events of a segment in. Own ones are left out: what this node saw itself stands in its own ledger.
    pub fn add(&mut self, segment: &Verified) {
        let header = segment.header();
        if header.origin() == self.own {
            return;
        }
        let origin = self.number(header.origin());
        for (sequence, record) in segment.events() {
            self.mark(origin, header.position().epoch, sequence, record);
        }
    }

    fn mark(&mut self, origin: u32, epoch: u32, sequence: u64, record: &Record) {
        let Some(tag) = record.tag() else { return };
        if MARKS_MAX <= self.count {
            return;
        }
        let marks = self.marks.entry(tag).or_default();
        let mark =
            Mark { sequence, origin, epoch, hour: record.hour, class: record.class, ttl_weeks: record.ttl_weeks };
        // One vote per origin per tag, and the newest in the order of its log is the one (§8.5): the others can go.
        match marks.iter_mut().find(|known| known.origin == origin) {
            Some(known) if (known.epoch, known.sequence) < (epoch, sequence) => *known = mark,
            Some(_) => {}
            None => {
                marks.push(mark);
                self.count += 1;
            }
        }
    }

    /// Whom the administrator trusts how far has changed.
    pub fn set_standings(&mut self, standings: HashMap<NodeKey, Standing>) {
        self.standings = standings;
    }

    /// What is believed of a tag.
    #[must_use]
    pub fn believed(&self, tag: &Tag, now: u64, limits: &BeliefLimits) -> Believed {
        belief::score(&self.votes(tag, now), now, limits)
    }

    /// What is believed of a tag by those who spoke after `since` (unix seconds).
    #[must_use]
    pub fn believed_since(&self, tag: &Tag, since: u64, now: u64, limits: &BeliefLimits) -> Believed {
        let mut votes = self.votes(tag, now);
        votes.retain(|vote| since < u64::from(vote.hour) * 3600);
        belief::score(&votes, now, limits)
    }

    /// The events about a tag, for those who ask why.
    #[must_use]
    pub fn votes(&self, tag: &Tag, now: u64) -> Vec<Vote> {
        let marks = self.marks.get(tag).map_or(&[][..], Vec::as_slice);
        marks.iter().filter_map(|mark| self.vote(mark, now)).collect()
    }

    /// Tags that are known, and the events behind them.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        (self.marks.len(), self.count)
    }

    fn vote(&self, mark: &Mark, now: u64) -> Option<Vote> {
        let origin = *self.origins.get(mark.origin as usize)?;
        let standing = self.standings.get(&origin)?;
        Some(Vote {
            origin,
            introducer: standing.introducer,
            hop: standing.hop,
            class: mark.class,
            hour: mark.hour,
            ttl_weeks: mark.ttl_weeks,
            epoch: mark.epoch,
            sequence: mark.sequence,
            weight_set: standing.weight,
            agreement: 1.0,
            origin_age_s: now.saturating_sub(standing.known_since),
        })
    }

    fn number(&mut self, origin: NodeKey) -> u32 {
        if let Some(number) = self.numbers.get(&origin) {
            return *number;
        }
        let number = u32::try_from(self.origins.len()).unwrap_or(u32::MAX);
        self.origins.push(origin);
        self.numbers.insert(origin, number);
        number
    }
}

/// Beyond this the index takes no more tags: about 2 GB. The files are kept, and the on-disk index will read them.
const MARKS_MAX: usize = 20_000_000;
