//! What a node thinks of an origin: how far away it is, by whom it was introduced, and how its words agree with what the
//! node saw itself (`FEDERATION.md` §7, §8.4, §8.5).

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use sm2tp_rules::Evidence;

use crate::belief::{Agreement, BeliefLimits, HOP_MAX, Switch, agreement};
use crate::keys::NodeKey;
use crate::record::Class;

/// Tags that one origin speaks against and of which this node knows something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// It delivered to them.
    pub contradicted: u32,
    /// It knows them dead.
    pub agreed: u32,
    /// Of those the ones that nobody had called dead before, this node included: who repeats proves nothing.
    pub foretold: u32,
    /// It delivered to them, longer ago than counts, and nobody had called them dead before. They say how much of what the
    /// origin tells concerns this node.
    pub open: u32,
}

/// The same by the month in which the origin's words came here ([`month`]): one that turns is not shielded by its past.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Months(BTreeMap<u32, Tally>);

/// What this node saw itself of a tag that another speaks against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnWord {
    /// A delivery that contradicts it, and no refusal since.
    Alive,
    /// It has the same to say.
    Dead,
    /// A delivery that proves nothing, and no refusal since.
    Open,
    Unsure,
}

/// Where an origin stands as seen from this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The direct peer behind which it stands; none for a direct peer itself.
    pub introducer: Option<NodeKey>,
    /// The only node that names it, of those near enough to count; none where several do, or for a direct peer. All whom one
    /// node alone names it may have invented, whichever peers they came through.
    pub named_by: Option<NodeKey>,
    /// 1 for a direct peer; more than [`HOP_MAX`] is too far to count.
    pub hop: u8,
}

/// What the node's own evidence of a tag answers to a `class` that another holds against it, of the hour `hour` (hours
/// since 1970). `own` is that of the address; for DOMAIN_DEAD that of the domain, where a refusal is what the DNS said.
///
/// Deliveries of [`ALIVE_S`] contradict a HARD or a DOMAIN_DEAD; a death counts for as long as it is remembered, since what
/// is dead is not tried again. A SOFT is of a day and not for ever: only a delivery of that day contradicts it.
#[must_use]
pub fn own_word(class: Class, hour: u32, own: &Evidence, now: u64) -> OwnWord {
    if !class.is_against() {
        return OwnWord::Unsure;
    }
    if own.hard_at != 0 {
        return if own.hard_strong { OwnWord::Dead } else { OwnWord::Unsure };
    }
    let contradicts = match class {
        Class::SOFT if own.soft_days != 0 => return OwnWord::Dead,
        Class::SOFT => own.delivered_at.abs_diff(u64::from(hour) * 3600) <= SOFT_NEAR_S,
        _ => now <= own.delivered_at.saturating_add(ALIVE_S),
    };
    match own.delivered_at {
        0 => OwnWord::Unsure,
        _ if contradicts => OwnWord::Alive,
        _ => OwnWord::Open,
    }
}

/// Since when this node knows dead what `own` is about, in unix seconds; none: it does not. Of a full mailbox the first of the
/// days that are remembered.
#[must_use]
pub fn dead_since(own: &Evidence) -> Option<u64> {
    match (own.hard_at, own.soft_days.checked_ilog2()) {
        (0, days) => Some(own.soft_at.saturating_sub(u64::from(days?) * DAY_S)),
        (_, _) => Some(own.hard_first_at),
    }
}

/// The month in which something came, by this node's own clock: what an origin dates itself it can date as it likes.
#[must_use]
pub fn month(received_at: u64) -> u32 {
    u32::try_from(received_at / MONTH_S).unwrap_or(u32::MAX)
}

/// Those who stand behind nodes in quarantine together: `small` are the tallies of origins that say too little to be judged each
/// by itself, with who answers for each ([`Place::answers`]). Otherwise a liar with many names is never judged.
#[must_use]
pub fn together(small: impl Iterator<Item = (NodeKey, Tally)>, limits: &BeliefLimits) -> BTreeSet<NodeKey> {
    let mut sums: BTreeMap<NodeKey, Tally> = BTreeMap::new();
    for (by, tally) in small {
        let sum = sums.entry(by).or_default();
        *sum = sum.plus(tally);
    }
    sums.retain(|_, sum| sum.agreement(limits) == Agreement::Quarantine);
    sums.into_keys().collect()
}

/// Finds for each node how many hops away it is, and through which direct peer. `links` are the `peers` of descriptors;
/// `introduced` says through whom a node became known, which is kept where that peer still leads there: otherwise a
/// newcomer could take over the origins of another by naming them.
///
/// Where the introducer names no peers at all (the field is optional) it is believed to know the node itself.
#[must_use]
pub fn places(
    direct: &BTreeSet<NodeKey>,
    links: &HashMap<NodeKey, Vec<NodeKey>>,
    introduced: &BTreeMap<NodeKey, NodeKey>,
) -> HashMap<NodeKey, Place> {
    let reached: BTreeMap<NodeKey, HashMap<NodeKey, u8>> =
        direct.iter().map(|peer| (*peer, within(*peer, links))).collect();
    let mut places: HashMap<NodeKey, Place> = HashMap::new();
    let behind = |introducer: &NodeKey, hop| Place { introducer: Some(*introducer), named_by: None, hop };
    // The shortest way; of several the one through the smallest key, so that every run says the same.
    for (peer, found) in &reached {
        for (node, hop) in found.iter().filter(|(node, _)| !direct.contains(node)) {
            let place = behind(peer, *hop);
            let known = places.entry(*node).or_insert(place);
            if place.hop < known.hop {
                *known = place;
            }
        }
    }
    for (node, introducer) in introduced.iter().filter(|(node, by)| direct.contains(by) && !direct.contains(node)) {
        let by_it = reached.get(introducer).and_then(|found| found.get(node)).copied();
        let names_nobody = links.get(introducer).is_none_or(Vec::is_empty);
        match (by_it, names_nobody) {
            (Some(hop), _) => _ = places.insert(*node, behind(introducer, hop)),
            (None, true) => _ = places.insert(*node, behind(introducer, 2)),
            (None, false) => _ = places.entry(*node).or_insert(behind(introducer, HOP_MAX + 1)),
        }
    }
    for (node, by) in named_by_one(direct, &reached, links) {
        if let Some(place) = places.get_mut(&node) {
            place.named_by = Some(by);
        }
    }
    places.extend(direct.iter().map(|peer| (*peer, Place { introducer: None, named_by: None, hop: 1 })));
    places
}

/// Nodes behind the direct peers that one node alone names, with that one.
fn named_by_one(
    direct: &BTreeSet<NodeKey>,
    reached: &BTreeMap<NodeKey, HashMap<NodeKey, u8>>,
    links: &HashMap<NodeKey, Vec<NodeKey>>,
) -> Vec<(NodeKey, NodeKey)> {
    let near: HashSet<NodeKey> =
        reached.values().flatten().filter(|(_, hop)| **hop < HOP_MAX).map(|(node, _)| *node).collect();
    let mut named: HashMap<NodeKey, Option<NodeKey>> = HashMap::new();
    for by in near {
        for node in links.get(&by).into_iter().flatten().filter(|node| !direct.contains(node)) {
            named.entry(*node).and_modify(|only| *only = only.filter(|only| *only == by)).or_insert(Some(by));
        }
    }
    named.into_iter().filter_map(|(node, by)| Some((node, by?))).collect()
}

impl Place {
    /// Who may have invented it: the only one that names it, or the peer through which it came. None for a direct peer.
    #[must_use]
    pub fn answers(&self) -> Option<NodeKey> {
        self.named_by.or(self.introducer)
    }
}

impl Tally {
    /// `is_news`: nobody had called it dead before, this node included.
    pub fn add(&mut self, word: OwnWord, is_news: bool) {
        let news = u32::from(is_news);
        match word {
            OwnWord::Alive => self.contradicted = self.contradicted.saturating_add(1),
            OwnWord::Dead => {
                self.agreed = self.agreed.saturating_add(1);
                self.foretold = self.foretold.saturating_add(news);
            }
            OwnWord::Open => self.open = self.open.saturating_add(news),
            OwnWord::Unsure => {}
        }
    }

    /// With another one, such as that of a new segment.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            contradicted: self.contradicted.saturating_add(other.contradicted),
            agreed: self.agreed.saturating_add(other.agreed),
            foretold: self.foretold.saturating_add(other.foretold),
            open: self.open.saturating_add(other.open),
        }
    }

    #[must_use]
    pub fn agreement(self, limits: &BeliefLimits) -> Agreement {
        agreement(self.contradicted, self.agreed, limits)
    }

    /// Addresses of which this node knows anything.
    fn known(self) -> u64 {
        u64::from(self.contradicted) + u64::from(self.foretold) + u64::from(self.open)
    }
}

/// What is only known as a sum, as of before all months.
impl From<Tally> for Months {
    fn from(past: Tally) -> Self {
        Self(BTreeMap::from([(0, past)]))
    }
}

impl Months {
    pub fn add(&mut self, month: u32, word: OwnWord, is_news: bool) {
        self.0.entry(month).or_default().add(word, is_news);
    }

    /// Adds what is counted in another one.
    pub fn extend(&mut self, other: &Self) {
        for (month, tally) in &other.0 {
            let sum = self.0.entry(*month).or_default();
            *sum = sum.plus(*tally);
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All months together.
    #[must_use]
    pub fn whole(&self) -> Tally {
        self.0.values().fold(Tally::default(), |sum, tally| sum.plus(*tally))
    }

    /// Months of which nothing weighs that the origin holds against anybody: much more than usual concerned this node, and most of it
    /// contradicts what it saw. The first month is left out, in which the past of the origin came; a twelfth of it is
    /// what was usual before.
    #[must_use]
    pub fn doubted(&self, limits: &BeliefLimits) -> BTreeSet<u32> {
        let mut months = self.0.iter();
        let Some((first, past)) = months.next().filter(|_| limits.months == Switch::On) else { return BTreeSet::new() };
        let (mut doubted, mut sum) = (BTreeSet::new(), 0);
        for (month, tally) in months {
            let between = f64::from((month - first).saturating_sub(1).max(1));
            let usual = (past.known() as f64 / 12.0).max(sum as f64 / between);
            let contradicted = f64::from(tally.contradicted);
            let is_wrong =
                limits.month_contradicted_share_max * f64::from(tally.contradicted + tally.foretold) < contradicted;
            let is_unusual = limits.month_usual_times * usual < tally.known() as f64;
            if limits.month_contradicted_min <= tally.contradicted && is_wrong && is_unusual {
                doubted.insert(*month);
            } else {
                sum += tally.known();
            }
        }
        doubted
    }
}

/// Who can be reached through a direct peer within [`HOP_MAX`] hops from us, and with how many.
fn within(peer: NodeKey, links: &HashMap<NodeKey, Vec<NodeKey>>) -> HashMap<NodeKey, u8> {
    let mut found = HashMap::from([(peer, 1)]);
    let mut next = VecDeque::from([(peer, 1)]);
    while let Some((node, hop)) = next.pop_front() {
        if HOP_MAX <= hop {
            break;
        }
        for named in links.get(&node).into_iter().flatten() {
            if let std::collections::hash_map::Entry::Vacant(place) = found.entry(*named) {
                place.insert(hop + 1);
                next.push_back((*named, hop + 1));
            }
        }
    }
    found
}

/// §8.4: deliveries of 30 days.
pub const ALIVE_S: u64 = 30 * 86_400;
/// `DESIGN.md` §5: mail is tried for a day before a mailbox is said to take nothing.
const SOFT_NEAR_S: u64 = DAY_S;
const MONTH_S: u64 = 30 * DAY_S;
const DAY_S: u64 = 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 2_000_000_000;
    const DAY: u64 = 86_400;

    #[track_caller]
    fn check_word(class: Class, own: Evidence, want: OwnWord) {
        assert_eq!(own_word(class, (NOW / 3600) as u32, &own, NOW), want, "{class:?} {own:?}");
    }

    fn delivered(at: u64) -> Evidence {
        Evidence { delivered_at: at, ..Evidence::default() }
    }

    fn refused(own: Evidence, at: u64, hard_strong: bool) -> Evidence {
        Evidence { hard_at: at, hard_first_at: at, hard_strong, ..own }
    }

    #[test]
    fn what_this_node_saw_itself_is_compared_with_deaths_of_addresses_and_of_domains() {
        for class in [Class::HARD, Class::DOMAIN_DEAD] {
            check_word(class, Evidence::default(), OwnWord::Unsure);
            check_word(class, delivered(NOW - 30 * DAY), OwnWord::Alive);
            check_word(class, delivered(NOW - 31 * DAY), OwnWord::Open);
            check_word(class, refused(delivered(NOW - DAY), NOW - 60, true), OwnWord::Dead);
            check_word(class, refused(delivered(NOW - DAY), NOW - 60, false), OwnWord::Unsure);
            check_word(class, refused(delivered(0), NOW - 300 * DAY, true), OwnWord::Dead);
        }
    }

    #[test]
    fn a_mailbox_that_is_said_to_be_full_is_compared_with_the_same_day() {
        check_word(Class::SOFT, Evidence::default(), OwnWord::Unsure);
        check_word(Class::SOFT, delivered(NOW - DAY / 2), OwnWord::Alive);
        check_word(Class::SOFT, delivered(NOW + DAY / 2), OwnWord::Alive);
        check_word(Class::SOFT, delivered(NOW - 2 * DAY), OwnWord::Open);
        check_word(Class::SOFT, delivered(NOW + 2 * DAY), OwnWord::Open);
        let full = Evidence { soft_days: 1, soft_at: NOW - 9 * DAY, ..delivered(NOW - 10 * DAY) };
        check_word(Class::SOFT, full, OwnWord::Dead);
        check_word(Class::SOFT, refused(delivered(0), NOW - DAY, true), OwnWord::Dead);
    }

    #[test]
    fn this_node_knows_a_death_since_the_first_refusal_and_a_full_mailbox_since_the_first_day() {
        assert_eq!(dead_since(&delivered(NOW)), None);
        let known = Evidence { hard_first_at: NOW - 9 * DAY, ..refused(delivered(NOW - 20 * DAY), NOW, true) };
        assert_eq!(dead_since(&known), Some(NOW - 9 * DAY));
        let full = Evidence { soft_days: 0b1001, soft_at: NOW, ..Evidence::default() };
        assert_eq!(dead_since(&full), Some(NOW - 3 * DAY));
    }

    #[test]
    fn what_is_held_against_nobody_is_not_compared() {
        for class in [Class::REFUSED, Class::COMPLAINT, Class::RETRACT, Class::CONTRADICT, Class(99)] {
            check_word(class, delivered(NOW - DAY), OwnWord::Unsure);
        }
    }

    /// `months`: contradicted, foretold and open ones of months in a row, each with a thousand that are repeated. `want`: the
    /// numbers of those that are doubted.
    #[track_caller]
    fn check_months(months: &[(u32, u32, u32)], want: &[u32]) {
        let tally = |(contradicted, foretold, open)| Tally { contradicted, agreed: foretold + 1000, foretold, open };
        let months = Months((600..).zip(months.iter().map(|counts| tally(*counts))).collect());
        let doubted: Vec<u32> = months.doubted(&BeliefLimits::default()).into_iter().map(|month| month - 600).collect();
        assert_eq!(doubted, want, "{months:?}");
        let off = BeliefLimits { months: Switch::Off, ..BeliefLimits::default() };
        assert!(months.doubted(&off).is_empty());
    }

    #[test]
    fn a_month_that_contradicts_this_node_and_concerns_it_unusually_is_doubted() {
        // 60 dead of a year, five in a month, then 28 lies.
        check_months(&[(0, 60, 0), (1, 4, 0), (20, 5, 8)], &[2]);
        check_months(&[(0, 60, 0), (20, 5, 8)], &[1]);
        check_months(&[(0, 60, 0), (20, 5, 8), (0, 5, 0), (20, 5, 8)], &[1, 3]);
        // Few, or mostly right, or no more than always.
        check_months(&[(0, 60, 0), (3, 0, 20)], &[]);
        check_months(&[(0, 60, 0), (12, 40, 0)], &[]);
        check_months(&[(0, 600, 0), (20, 2, 30), (30, 2, 30), (25, 3, 40)], &[]);
        // Nothing is known of what is usual in the first month.
        check_months(&[(20, 0, 0)], &[]);
        check_months(&[], &[]);
    }

    fn key(n: u8) -> NodeKey {
        NodeKey([n; 32])
    }

    /// `links`: each node with those it names. `want`: node, introducer (0: none), hop.
    #[track_caller]
    fn check(direct: &[u8], links: &[(u8, &[u8])], introduced: &[(u8, u8)], want: &[(u8, u8, u8)]) {
        let keys = |all: &[u8]| all.iter().map(|n| key(*n)).collect::<Vec<_>>();
        let links = links.iter().map(|(node, named)| (key(*node), keys(named))).collect();
        let introduced = introduced.iter().map(|(node, by)| (key(*node), key(*by))).collect();
        let found = places(&keys(direct).into_iter().collect(), &links, &introduced);
        let mut found: Vec<_> = found
            .into_iter()
            .map(|(node, place)| (node.0[0], place.introducer.map_or(0, |by| by.0[0]), place.hop))
            .collect();
        found.sort_unstable();
        assert_eq!(found, want);
    }

    #[test]
    fn whom_one_node_alone_names_is_known() {
        // 1 and 2 are peers; both name 3, which alone names 7 and 8; 9 is named by 3 and 4.
        let links: &[(u8, &[u8])] = &[(1, &[3]), (2, &[3, 4]), (3, &[7, 8, 9]), (4, &[9])];
        let keys = |all: &[u8]| all.iter().map(|n| key(*n)).collect::<Vec<_>>();
        let links = links.iter().map(|(node, named)| (key(*node), keys(named))).collect();
        // They came through different peers.
        let introduced = BTreeMap::from([(key(7), key(1)), (key(8), key(2))]);
        let found = places(&[key(1), key(2)].into(), &links, &introduced);
        let named_by = |n: u8| found[&key(n)].named_by.map(|by| by.0[0]);
        assert_eq!([1, 2, 3, 4, 7, 8, 9].map(named_by), [None, None, None, Some(2), Some(3), Some(3), None]);
        assert_eq!((found[&key(7)].introducer, found[&key(8)].introducer), (Some(key(1)), Some(key(2))));
        assert_eq!([1, 3, 7].map(|n| found[&key(n)].answers().map(|by| by.0[0])), [None, Some(1), Some(3)]);
    }

    #[test]
    fn those_who_say_too_little_to_be_judged_are_judged_together() {
        let tally = |contradicted, agreed| Tally { contradicted, agreed, ..Tally::default() };
        let small = |by: u8, each: Tally, count: usize| std::iter::repeat_n((key(by), each), count);
        let limits = BeliefLimits::default();
        let bad = |all: &mut dyn Iterator<Item = (NodeKey, Tally)>| {
            together(all, &limits).into_iter().map(|by| by.0[0]).collect::<Vec<_>>()
        };
        assert_eq!(bad(&mut small(3, tally(3, 1), 4)), [3]);
        assert!(bad(&mut small(3, tally(3, 1), 3)).is_empty(), "nine contradictions are no proof");
        assert!(bad(&mut small(3, tally(1, 4), 100)).is_empty(), "honest ones differ, too");
        assert_eq!(bad(&mut small(3, tally(3, 1), 4).chain(small(4, tally(0, 9), 9))), [3]);
        let off = BeliefLimits { agreement: Switch::Off, ..limits.clone() };
        assert!(together(small(3, tally(9, 0), 9), &off).is_empty());
    }

    #[test]
    fn hops_are_counted_along_what_nodes_say_of_each_other() {
        let chain: &[(u8, &[u8])] = &[(1, &[2]), (2, &[1, 3]), (3, &[2, 4]), (4, &[3, 5])];
        check(&[1], chain, &[], &[(1, 0, 1), (2, 1, 2), (3, 1, 3)]);
        check(&[1], chain, &[(4, 1)], &[(1, 0, 1), (2, 1, 2), (3, 1, 3), (4, 1, 4)]);
        check(&[1, 4], chain, &[], &[(1, 0, 1), (2, 1, 2), (3, 4, 2), (4, 0, 1), (5, 4, 2)]);
    }

    #[test]
    fn who_introduced_a_node_stays_its_introducer_while_it_leads_there() {
        let both: &[(u8, &[u8])] = &[(1, &[9]), (2, &[9])];
        check(&[1, 2], both, &[(9, 2)], &[(1, 0, 1), (2, 0, 1), (9, 2, 2)]);
        // It is no peer any more: the other one leads there.
        check(&[1], both, &[(9, 2)], &[(1, 0, 1), (9, 1, 2)]);
        check(&[], both, &[(9, 2)], &[]);
        // One that names nobody is believed to know it itself.
        check(&[1], &[], &[(9, 1)], &[(1, 0, 1), (9, 1, 2)]);
        check(&[1, 9], both, &[(9, 1)], &[(1, 0, 1), (9, 0, 1)]);
    }
}
