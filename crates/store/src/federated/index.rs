//! Tags of foreign segments by look-up, with what is thought of their origins. Made from the segments: [`upkeep`] writes
//! the tags to runs on the disk, which can be made again (decision 0049).

mod arrivals;
mod filter;
mod fresh;
mod gone;
mod manifest;
mod mark;
mod merge;
mod run;
mod tags;
pub(super) mod upkeep;

use std::collections::{BTreeSet, HashMap, HashSet};

use sm2tp_federation::belief::{self, Agreement, BeliefLimits, Believed, Vote};
use sm2tp_federation::header::Header;
use sm2tp_federation::keys::NodeKey;
use sm2tp_federation::record::{Class, Record};
use sm2tp_federation::segment::Verified;
use sm2tp_federation::standing::{self, Months, OwnWord, month};
use sm2tp_federation::tags::Tag;

use self::arrivals::{Arrivals, hour};
pub(super) use self::manifest::Manifest;
use self::mark::Mark;
pub(super) use self::run::Rows;
pub use self::run::RunError;
use self::tags::Tags;
use super::judging::Judgement;
use super::parked::Waiting;

/// What a node thinks of one origin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standing {
    /// The direct peer through which it became known; none for a direct peer.
    pub introducer: Option<NodeKey>,
    /// The only node that names it, where one alone does.
    pub named_by: Option<NodeKey>,
    pub hop: u8,
    /// Set by the administrator for a direct peer.
    pub weight: f64,
    /// Unix seconds.
    pub known_since: u64,
}

impl Standing {
    /// Who may have invented it, as [`standing::Place::answers`].
    fn answers(&self) -> Option<NodeKey> {
        let Self { introducer, named_by, hop, .. } = *self;
        standing::Place { introducer, named_by, hop }.answers()
    }
}

/// What the index takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Size {
    /// Different tags; one that is in several runs is counted in each.
    pub tags: u64,
    pub events: u64,
    pub runs: usize,
    /// Octets in memory for what is on the disk: filters, and the first tag of each block.
    pub filter_octets: usize,
    pub disk_octets: u64,
}

/// A place in the log of an origin: epoch and sequence number.
type Place = (u32, u64);

/// The index.
#[derive(Debug)]
pub struct Index {
    own: NodeKey,
    origins: Vec<NodeKey>,
    numbers: HashMap<NodeKey, u32>,
    standings: HashMap<NodeKey, Standing>,
    judged: HashMap<NodeKey, Judgement>,
    /// Nodes of whom those that say too little to be judged are not believed (§8.4).
    together: BTreeSet<NodeKey>,
    /// Those that signed two segments for one place (§8.10).
    contradicting: HashSet<NodeKey>,
    /// How often one of them was let go on.
    thaws: u64,
    /// Provider codes and hours in which they erred (§8.3).
    frozen: HashSet<(u8, u32)>,
    tags: Tags,
    /// Events that are kept of each origin, readable or not.
    kept: HashMap<NodeKey, u64>,
    /// The place in each log where what is kept begins: epoch and sequence number.
    oldest: HashMap<NodeKey, Place>,
    arrivals: Arrivals,
    parked: HashMap<NodeKey, Waiting>,
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
            together: BTreeSet::new(),
            contradicting: HashSet::new(),
            thaws: 0,
            frozen: HashSet::new(),
            tags: Tags::default(),
            kept: HashMap::new(),
            oldest: HashMap::new(),
            arrivals: Arrivals::default(),
            parked: HashMap::new(),
        }
    }

    pub(super) fn own(&self) -> NodeKey {
        self.own
    }

    /// Notes when the segment with this local number came, in the order in which they came. `at` in unix seconds.
    pub(super) fn note_arrival(&mut self, row: u64, at: u64) {
        self.arrivals.note(row, at);
    }

    /// Counts a segment that is kept.
    pub(super) fn count(&mut self, header: &Header) {
        *self.kept.entry(header.origin()).or_default() += u64::from(header.count());
        let place = (header.position().epoch, header.first_sequence());
        let oldest = self.oldest.entry(header.origin()).or_insert(place);
        *oldest = place.min(*oldest);
    }

    /// The month in which a mark came.
    fn month_of(&self, mark: &Mark) -> u32 {
        month(u64::from(self.arrivals.hour(mark.row)) * 3600)
    }

    /// Counts the segments that are kept of an origin anew.
    pub(super) fn count_again(&mut self, origin: &NodeKey, headers: &[Header]) {
        self.kept.remove(origin);
        self.oldest.remove(origin);
        headers.iter().for_each(|header| self.count(header));
    }

    /// Where what is kept begins in the logs of origins, by their numbers: what lies before it was forgotten.
    pub(super) fn oldest_by_number(&self) -> Vec<(u32, u64)> {
        self.origins.iter().map(|origin| self.oldest.get(origin).copied().unwrap_or_default()).collect()
    }

    /// Origins of which segments are kept, parked ones among them.
    pub(super) fn origins_kept(&self) -> Vec<NodeKey> {
        let parked = self.parked.keys().filter(|origin| !self.kept.contains_key(*origin));
        self.kept.keys().chain(parked).copied().collect()
    }

    /// Origins of which events are kept.
    #[must_use]
    pub fn logs(&self) -> usize {
        self.kept.len()
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

    /// Takes the events of a segment in; `row` is its local number. Own ones are left out: what this node saw itself stands
    /// in its own ledger.
    pub(super) fn add(&mut self, segment: &Verified, row: u64) {
        let header = segment.header();
        if header.origin() == self.own {
            return;
        }
        let (origin, epoch) = (self.number(header.origin()), header.position().epoch);
        for (sequence, record) in segment.events() {
            if let Some(tag) = record.tag() {
                self.tags.add(tag, Mark::of(origin, (epoch, sequence), row, record));
            }
        }
        self.tags.note(row);
    }

    /// An event was taken out of its segment, and is not to be found any more. Without its tag it may be in any run.
    pub(super) fn erase(&mut self, origin: NodeKey, (epoch, sequence): (u32, u64), tag: Option<Tag>) {
        let origin = self.number(origin);
        self.tags.erase((origin, epoch, sequence), tag);
    }

    /// Whether it was erased and may stand in a run.
    pub(super) fn is_erased(&self, origin: &NodeKey, (epoch, sequence): (u32, u64)) -> bool {
        self.numbers.get(origin).is_some_and(|origin| self.tags.gone().has((*origin, epoch, sequence)))
    }

    /// Whether anything was erased that may stand in a run.
    pub(super) fn has_erased(&self) -> bool {
        !self.tags.gone().is_empty()
    }

    /// What is in no run any more, by its origins.
    fn forget_gone(&mut self, places: &[(u32, u32, u64)]) -> Vec<(NodeKey, u32, u64)> {
        self.tags.gone_mut().forget(places);
        let named = |(origin, epoch, sequence): &(u32, u32, u64)| {
            Some((*self.origins.get(*origin as usize)?, *epoch, *sequence))
        };
        places.iter().filter_map(named).collect()
    }

    /// Origins in the order of their numbers.
    fn origins_by_number(&self) -> &[NodeKey] {
        &self.origins
    }

    /// As an index that lay on the disk numbered them.
    fn set_origins(&mut self, origins: Vec<NodeKey>) {
        self.numbers = (0..).zip(&origins).map(|(number, origin)| (*origin, number)).collect();
        self.origins = origins;
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

    pub(super) fn judged(&self) -> impl Iterator<Item = (&NodeKey, &Judgement)> {
        self.judged.iter()
    }

    /// Whether it is what a provider said to nearly everybody.
    pub(super) fn is_frozen(&self, record: &Record) -> bool {
        self.errs(record.class, record.provider, record.hour)
    }

    fn errs(&self, class: Class, provider: u8, hour: u32) -> bool {
        class == Class::HARD && self.frozen.contains(&(provider, hour))
    }

    /// Adds what this node knows of a tag to the tallies of each origin that speaks against it today; `own` answers to a class
    /// and an hour. `dead_since`: when this node itself found it dead, in unix seconds.
    pub(super) fn tally(
        &self,
        tag: &Tag,
        (own, dead_since): (impl Fn(Class, u32) -> OwnWord, Option<u64>),
        (now, limits): (u64, &BeliefLimits),
        tallies: &mut HashMap<NodeKey, Months>,
    ) {
        let against: Vec<Mark> = self.against(tag, now, limits).collect();
        let first = against.iter().map(|mark| mark.row).min();
        for mark in against {
            let Some(origin) = self.origins.get(mark.origin as usize) else { continue };
            let is_news =
                Some(mark.row) == first && dead_since.is_none_or(|at| self.arrivals.hour(mark.row) < hour(at));
            tallies.entry(*origin).or_default().add(self.month_of(&mark), own(mark.class, mark.hour), is_news);
        }
    }

    /// Whether no other origin speaks against a tag today.
    pub(super) fn is_news_of(&self, origin: &NodeKey, tag: &Tag, now: u64, limits: &BeliefLimits) -> bool {
        let own = self.numbers.get(origin);
        self.against(tag, now, limits).all(|mark| Some(&mark.origin) == own)
    }

    /// What speaks against a tag today, without what an outage of a provider made origins say.
    fn against(&self, tag: &Tag, now: u64, limits: &BeliefLimits) -> impl Iterator<Item = Mark> {
        self.tags.marks(tag).into_iter().filter(move |mark| {
            let age_s = now.saturating_sub(u64::from(mark.hour) * 3600);
            limits.counts_for_s(mark.class).is_some_and(|life_s| age_s <= life_s)
                && !self.errs(mark.class, mark.provider, mark.hour)
        })
    }

    /// Whether the last word of an origin that somebody vouches for is that the address is dead, and counts today.
    pub(super) fn is_called_dead(&self, tag: &Tag, now: u64) -> bool {
        let now_hour = u32::try_from(now / 3600).unwrap_or(u32::MAX);
        self.tags.marks(tag).iter().any(|mark| {
            let counts = mark.class == Class::HARD && now_hour.saturating_sub(mark.hour) <= HARD_HOURS;
            let origin = self.origins.get(mark.origin as usize).filter(|_| counts);
            origin.is_some_and(|origin| self.standings.contains_key(origin) && !self.contradicts_itself(origin))
        })
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

    /// How often a person thought again: what was passed over until then is to be looked for.
    #[must_use]
    pub fn thaws(&self) -> u64 {
        self.thaws
    }

    pub(super) fn freeze(&mut self, origin: NodeKey) {
        self.contradicting.insert(origin);
    }

    pub(super) fn thaw(&mut self, origin: &NodeKey) {
        self.thaws += u64::from(self.contradicting.remove(origin));
    }

    pub(super) fn set_contradicting(&mut self, frozen: HashSet<NodeKey>) {
        self.thaws += u64::from(!self.contradicting.is_subset(&frozen));
        self.contradicting = frozen;
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

    /// Whether an origin that says too little to be judged stands with others that together contradict this node.
    #[must_use]
    pub fn fails_together(&self, origin: &NodeKey) -> bool {
        self.standings.get(origin).and_then(Standing::answers).is_some_and(|by| self.together.contains(&by))
    }

    /// Judges those together that say too little to be judged each by itself.
    pub(super) fn judge_together(&mut self, limits: &BeliefLimits) {
        let small = self.judged.iter().filter(|(_, judged)| judged.agreement(limits) == Agreement::Unknown);
        let small = small.filter_map(|(origin, judged)| Some((self.standings.get(origin)?.answers()?, judged.tally())));
        self.together = standing::together(small, limits);
    }

    #[must_use]
    pub fn judgement(&self, origin: &NodeKey) -> Judgement {
        self.judged.get(origin).cloned().unwrap_or_default()
    }

    /// What is believed of a tag.
    #[must_use]
    pub fn believed(&self, tag: &Tag, now: u64, limits: &BeliefLimits) -> Believed {
        belief::score(&self.votes(tag, now, limits), now, limits)
    }

    /// The events about a tag, for those who ask why.
    #[must_use]
    pub fn votes(&self, tag: &Tag, now: u64, limits: &BeliefLimits) -> Vec<Vote> {
        self.tags.marks(tag).iter().filter_map(|mark| self.vote(mark, now, limits)).collect()
    }

    #[must_use]
    pub fn size(&self) -> Size {
        let (tags, events) = self.tags.size();
        let runs = self.tags.runs();
        Size {
            tags,
            events,
            runs: runs.len(),
            filter_octets: runs.iter().map(|run| run.memory()).sum(),
            disk_octets: runs.iter().map(|run| run.octets()).sum(),
        }
    }

    fn vote(&self, mark: &Mark, now: u64, limits: &BeliefLimits) -> Option<Vote> {
        let origin = *self.origins.get(mark.origin as usize)?;
        let standing = self.standings.get(&origin)?;
        let judged = self.judged.get(&origin);
        Some(Vote {
            origin,
            introducer: standing.introducer,
            named_by: standing.named_by,
            hop: standing.hop,
            class: mark.class,
            hour: mark.hour,
            ttl_weeks: mark.ttl_weeks,
            provider_frozen: self.frozen.contains(&(mark.provider, mark.hour)),
            doubted: judged.is_some_and(|judged| judged.doubts(|| self.month_of(mark))),
            fresh: hour(now.saturating_sub(limits.settle_s)) < self.arrivals.hour(mark.row),
            epoch: mark.epoch,
            sequence: mark.sequence,
            weight_set: standing.weight,
            agreement: match judged.map_or(Agreement::Unknown, |judged| judged.agreement(limits)) {
                _ if self.contradicts_itself(&origin) => 0.0,
                Agreement::Unknown if self.fails_together(&origin) => 0.0,
                found => found.factor(),
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
/// Events in memory that become a run: about 40 MB with what is being written beside them. A start reads as many again.
pub(super) const FRESH_MAX: usize = 1 << 18;
