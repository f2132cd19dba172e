//! What a node thinks of an origin: how far away it is, by whom it was introduced, and how its words agree with what the
//! node saw itself (`FEDERATION.md` §7, §8.4, §8.5).

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use sm2tp_rules::Evidence;

use crate::belief::{Agreement, BeliefLimits, HOP_MAX, agreement};
use crate::keys::NodeKey;

/// HARD tags of one origin that this node knows something about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// It delivered to them.
    pub contradicted: u32,
    /// It knows them dead.
    pub agreed: u32,
}

/// What this node saw itself of an address that another calls dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnWord {
    /// A delivery of the last days, and no refusal since.
    Alive,
    /// An explicit refusal, and no delivery since.
    Dead,
    Unsure,
}

/// Where an origin stands as seen from this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The direct peer behind which it stands; none for a direct peer itself.
    pub introducer: Option<NodeKey>,
    /// 1 for a direct peer; more than [`HOP_MAX`] is too far to count.
    pub hop: u8,
}

/// What the node's own evidence says to a HARD of somebody else. Deliveries count for [`ALIVE_S`]; a death counts for as
/// long as it is remembered, since dead addresses are not tried again.
#[must_use]
pub fn own_word(own: &Evidence, now: u64) -> OwnWord {
    if own.hard_at != 0 {
        return if own.hard_strong { OwnWord::Dead } else { OwnWord::Unsure };
    }
    let fresh = own.delivered_at != 0 && now <= own.delivered_at.saturating_add(ALIVE_S);
    if fresh { OwnWord::Alive } else { OwnWord::Unsure }
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
    // The shortest way; of several the one through the smallest key, so that every run says the same.
    for (peer, found) in &reached {
        for (node, hop) in found.iter().filter(|(node, _)| !direct.contains(node)) {
            let place = Place { introducer: Some(*peer), hop: *hop };
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
            (Some(hop), _) => _ = places.insert(*node, Place { introducer: Some(*introducer), hop }),
            (None, true) => _ = places.insert(*node, Place { introducer: Some(*introducer), hop: 2 }),
            (None, false) => {
                places.entry(*node).or_insert(Place { introducer: Some(*introducer), hop: HOP_MAX + 1 });
            }
        }
    }
    places.extend(direct.iter().map(|peer| (*peer, Place { introducer: None, hop: 1 })));
    places
}

impl Tally {
    pub fn add(&mut self, word: OwnWord) {
        match word {
            OwnWord::Alive => self.contradicted = self.contradicted.saturating_add(1),
            OwnWord::Dead => self.agreed = self.agreed.saturating_add(1),
            OwnWord::Unsure => {}
        }
    }

    /// With another one, such as that of a new segment.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            contradicted: self.contradicted.saturating_add(other.contradicted),
            agreed: self.agreed.saturating_add(other.agreed),
        }
    }

    #[must_use]
    pub fn agreement(self, limits: &BeliefLimits) -> Agreement {
        agreement(self.contradicted, self.agreed, limits)
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

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 2_000_000_000;
    const DAY: u64 = 86_400;

    #[test]
    fn what_this_node_saw_itself_is_compared() {
        #[track_caller]
        fn check(delivered_at: u64, hard_at: u64, hard_strong: bool, want: OwnWord) {
            let own = Evidence { delivered_at, hard_at, hard_first_at: hard_at, hard_strong, ..Evidence::default() };
            assert_eq!(own_word(&own, NOW), want);
        }
        check(0, 0, false, OwnWord::Unsure);
        check(NOW - 30 * DAY, 0, false, OwnWord::Alive);
        check(NOW - 31 * DAY, 0, false, OwnWord::Unsure);
        check(NOW - DAY, NOW - 60, true, OwnWord::Dead);
        check(NOW - DAY, NOW - 60, false, OwnWord::Unsure);
        check(0, NOW - 300 * DAY, true, OwnWord::Dead);
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
