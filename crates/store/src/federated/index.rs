//! Tags of foreign segments by look-up, in memory; made from the files, never stored.

use std::collections::{HashMap, HashSet};

use sm2tp_federation::belief::{self, BeliefLimits, Believed, Vote};
use sm2tp_federation::header::Header;
use sm2tp_federation::keys::NodeKey;
use sm2tp_federation::record::{Class, Record};
use sm2tp_federation::segment::Verified;
use sm2tp_federation::standing::{OwnWord, Tally};
use sm2tp_federation::tags::Tag;

use super::judging::Judgement;
use super::parked::Waiting;

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
    judged: HashMap<NodeKey, Judgement>,
    /// Those that signed two segments for one place (§8.10).
    contradicting: HashSet<NodeKey>,
    /// Provider codes and hours in which they erred (§8.3).
    frozen: HashSet<(u8, u32)>,
    marks: HashMap<Tag, Vec<Mark>>,
    count: usize,
    /// Events that are kept of each origin, readable or not.
    kept: HashMap<NodeKey, u64>,
    parked: HashMap<NodeKey, Waiting>,
}

#[derive(Debug, Clone, Copy)]
struct Mark {
    sequence: u64,
    origin: u32,
    epoch: u32,
    hour: u32,
    class: Class,
    ttl_weeks: u8,
    provider: u8,
}

impl Index {
    #[must_use]
    pub fn new(own: NodeKey) -> Self {
        Self {
            own,
            origins: Vec::new(),
            numbers: HashMap::new(),
            standings: HashMap::new(),
            judged: HashMap::new(),
            contradicting: HashSet::new(),
            frozen: HashSet::new(),
            marks: HashMap::new(),
            count: 0,
            kept: HashMap::new(),
            parked: HashMap::new(),
        }
    }

    pub(super) fn own(&self) -> NodeKey {
        self.own
    }

    /// Counts a segment that is kept.
    pub(super) fn count(&mut self, header: &Header) {
        *self.kept.entry(header.origin()).or_default() += u64::from(header.count());
    }

    /// Events that are kept of all origins.
    #[must_use]
    pub fn kept_of_all(&self) -> u64 {
        self.kept.values().sum()
    }

    /// Events that are kept of an origin.
    #[must_use]
    pub fn kept(&self, origin: &NodeKey) -> u64 {
        self.kept.get(origin).copied().unwrap_or(0)
    }

    /// Of which origins segments are parked, and how many.
    #[must_use]
    pub fn parked(&self) -> &HashMap<NodeKey, Waiting> {
        &self.parked
    }

    pub(super) fn parked_mut(&mut self) -> &mut HashMap<NodeKey, Waiting> {
        &mut self.parked
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
        let Record { hour, class, ttl_weeks, provider, .. } = *record;
        let mark = Mark { sequence, origin, epoch, hour, class, ttl_weeks, provider };
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

    pub(super) fn set_frozen(&mut self, frozen: HashSet<(u8, u32)>) {
        self.frozen = frozen;
    }

    pub(super) fn judged_mut(&mut self) -> &mut HashMap<NodeKey, Judgement> {
        &mut self.judged
    }

    pub(super) fn is_frozen(&self, record: &Record) -> bool {
        self.frozen.contains(&(record.provider, record.hour))
    }

    /// Adds what this node knows of a tag to the tally of each origin that calls it dead today. What an outage of a
    /// provider made them say is not held against them.
    pub(super) fn tally(&self, tag: &Tag, word: OwnWord, now_hour: u32, tallies: &mut HashMap<NodeKey, Tally>) {
        for mark in self.marks.get(tag).map_or(&[][..], Vec::as_slice) {
            let alive = now_hour.saturating_sub(mark.hour) <= HARD_HOURS;
            let counts = mark.class == Class::HARD && alive && !self.frozen.contains(&(mark.provider, mark.hour));
            if let Some(origin) = self.origins.get(mark.origin as usize).filter(|_| counts) {
                tallies.entry(*origin).or_default().add(word);
            }
        }
    }

    /// Whether an origin signed two segments for one place, and no person thought again.
    #[must_use]
    pub fn contradicts_itself(&self, origin: &NodeKey) -> bool {
        self.contradicting.contains(origin)
    }

    /// All of them.
    #[must_use]
    pub fn contradicting(&self) -> &HashSet<NodeKey> {
        &self.contradicting
    }

    pub(super) fn contradicting_mut(&mut self) -> &mut HashSet<NodeKey> {
        &mut self.contradicting
    }

    /// What is thought of an origin; none for one that nobody vouches for.
    #[must_use]
    pub fn standing(&self, origin: &NodeKey) -> Option<Standing> {
        self.standings.get(origin).copied()
    }

    /// All that is thought of origins, and how they agree with this node.
    pub fn origins(&self) -> impl Iterator<Item = (NodeKey, Standing, Judgement)> + '_ {
        self.standings.iter().map(|(origin, standing)| (*origin, *standing, self.judgement(origin)))
    }

    #[must_use]
    pub fn judgement(&self, origin: &NodeKey) -> Judgement {
        self.judged.get(origin).copied().unwrap_or_default()
    }

    /// What is believed of a tag.
    #[must_use]
    pub fn believed(&self, tag: &Tag, now: u64, limits: &BeliefLimits) -> Believed {
        belief::score(&self.votes(tag, now, limits), now, limits)
    }

    /// What is believed of a tag by those who spoke after `since` (unix seconds).
    #[must_use]
    pub fn believed_since(&self, tag: &Tag, since: u64, now: u64, limits: &BeliefLimits) -> Believed {
        let mut votes = self.votes(tag, now, limits);
        votes.retain(|vote| since < u64::from(vote.hour) * 3600);
        belief::score(&votes, now, limits)
    }

    /// The events about a tag, for those who ask why.
    #[must_use]
    pub fn votes(&self, tag: &Tag, now: u64, limits: &BeliefLimits) -> Vec<Vote> {
        let marks = self.marks.get(tag).map_or(&[][..], Vec::as_slice);
        marks.iter().filter_map(|mark| self.vote(mark, now, limits)).collect()
    }

    /// Tags that are known, and the events behind them.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        (self.marks.len(), self.count)
    }

    fn vote(&self, mark: &Mark, now: u64, limits: &BeliefLimits) -> Option<Vote> {
        let origin = *self.origins.get(mark.origin as usize)?;
        let standing = self.standings.get(&origin)?;
        Some(Vote {
            origin,
            introducer: standing.introducer,
            hop: standing.hop,
            class: mark.class,
            hour: mark.hour,
            ttl_weeks: mark.ttl_weeks,
            provider_frozen: self.frozen.contains(&(mark.provider, mark.hour)),
            epoch: mark.epoch,
            sequence: mark.sequence,
            weight_set: standing.weight,
            agreement: match self.contradicts_itself(&origin) {
                true => 0.0,
                false => self.judgement(&origin).agreement(limits).factor(),
            },
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

/// `belief::BeliefLimits`: a HARD is dropped at 400 days.
const HARD_HOURS: u32 = 400 * 24;
/// Beyond this the index takes no more tags: about 2 GB. The files are kept, and the on-disk index will read them.
const MARKS_MAX: usize = 20_000_000;
