//! What a node believes of others: their votes about the addresses on its lists, weighed by the rules of §8.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use sm2tp_federation::belief::{self, Agreement, BeliefLimits, Vote};
use sm2tp_federation::keys::NodeKey;
use sm2tp_federation::record::{Class, Record};
use sm2tp_federation::standing::{self, Months, OwnWord, Place, dead_since, month, own_word};
use sm2tp_federation::tags::Tag;
use sm2tp_rules::Evidence;
use sm2tp_rules::suppress::Federated;

use super::log::Sealed;

/// What one node thinks.
#[derive(Default)]
pub(super) struct Judge {
    /// The last word of each origin about each address that is on a list of the node, and about its domain.
    votes: BTreeMap<u32, Vec<Mark>>,
    /// Addresses and domains that the node writes to, by tag.
    interest: HashMap<Tag, u32>,
    pub places: HashMap<NodeKey, Place>,
    pub introduced: BTreeMap<NodeKey, NodeKey>,
    known_since: BTreeMap<NodeKey, u64>,
    judged: BTreeMap<NodeKey, Judged>,
    /// Nodes of whom those that say too little to be judged are not believed.
    together: BTreeSet<NodeKey>,
    /// Provider and hour in which it erred.
    pub frozen: HashSet<(u8, u32)>,
}

#[derive(Debug, Clone, Copy)]
struct Mark {
    origin: NodeKey,
    sequence: u64,
    record: Record,
    /// When it came (unix seconds), and in which month.
    heard_at: u64,
    month: u32,
}

#[derive(Debug, Clone, Default)]
struct Judged {
    months: Months,
    /// Months in which it is not believed.
    doubted: BTreeSet<u32>,
}

/// Own evidence by the number of an address or a domain.
pub(super) type Ledger = BTreeMap<u32, Evidence>;

impl Judge {
    pub(super) fn new(interest: HashMap<Tag, u32>) -> Self {
        Self { interest, ..Self::default() }
    }

    /// Takes a verified segment in that came through `by`: compares it with what the node saw, then believes it.
    pub(super) fn hear(&mut self, sealed: &Sealed, by: NodeKey, own: &Ledger, limits: &BeliefLimits, now: u64) {
        let header = sealed.header.header();
        let origin = header.origin();
        self.known_since.entry(origin).or_insert(header.sealed_at());
        self.introduced.entry(origin).or_insert(by);
        let (mut tally, mut seen, month) = (Months::default(), BTreeSet::new(), month(now));
        for (sequence, record) in &sealed.events {
            let Some(address) = record.tag().and_then(|tag| self.interest.get(&tag)) else { continue };
            let is_frozen = self.is_frozen(record);
            let marks = self.votes.entry(*address).or_default();
            if !is_frozen && seen.insert(*address) {
                let is_news = marks.iter().all(|mark| mark.origin == origin) && !knew(own.get(address), now);
                tally.add(month, word(record, own.get(address), now), is_news);
            }
            let mark = Mark { origin, sequence: *sequence, record: *record, heard_at: now, month };
            match marks.iter_mut().find(|known| known.origin == origin) {
                Some(known) => *known = mark,
                None => marks.push(mark),
            }
        }
        let judged = self.judged.entry(origin).or_default();
        judged.months.extend(&tally);
        judged.doubted = judged.months.doubted(limits);
        if !tally.is_empty() {
            self.judge_together(limits);
        }
    }

    /// Compares everything again.
    pub(super) fn judge(&mut self, own: &Ledger, limits: &BeliefLimits, now: u64) {
        let mut tallies: BTreeMap<NodeKey, Months> = BTreeMap::new();
        for (address, marks) in &self.votes {
            let first = marks.iter().map(|mark| mark.heard_at).min().unwrap_or(0);
            for mark in marks.iter().filter(|mark| !self.is_frozen(&mark.record)) {
                let age_s = now.saturating_sub(u64::from(mark.record.hour) * 3600);
                if limits.counts_for_s(mark.record.class).is_some_and(|life_s| age_s <= life_s) {
                    let is_news = mark.heard_at == first && !knew(own.get(address), mark.heard_at);
                    let word = word(&mark.record, own.get(address), now);
                    tallies.entry(mark.origin).or_default().add(mark.month, word, is_news);
                }
            }
        }
        for (origin, judged) in &mut self.judged {
            judged.months = tallies.remove(origin).unwrap_or_default();
            judged.doubted = judged.months.doubted(limits);
        }
        self.judge_together(limits);
    }

    fn judge_together(&mut self, limits: &BeliefLimits) {
        let small = self.judged.iter().filter(|(_, judged)| judged.agreement(limits) == Agreement::Unknown);
        let small =
            small.filter_map(|(origin, judged)| Some((self.places.get(origin)?.answers()?, judged.months.whole())));
        self.together = standing::together(small, limits);
    }

    /// What the rules of suppression are told of an address or a domain.
    pub(super) fn federated(&self, number: u32, own: &Evidence, limits: &BeliefLimits, now: u64) -> Federated {
        belief::facts(&self.votes(number, limits, now), own.delivered_at, now, limits)
    }

    /// Origins that are not believed.
    pub(super) fn quarantined<'a>(&'a self, limits: &'a BeliefLimits) -> impl Iterator<Item = NodeKey> + 'a {
        let is_doomed = |judged: &Judged| judged.agreement(limits) == Agreement::Quarantine;
        self.judged.iter().filter(move |(_, judged)| is_doomed(judged)).map(|(origin, _)| *origin)
    }

    /// Origins of which a month at least is doubted.
    pub(super) fn doubted(&self) -> impl Iterator<Item = NodeKey> + '_ {
        self.judged.iter().filter(|(_, judged)| !judged.doubted.is_empty()).map(|(origin, _)| *origin)
    }

    fn votes(&self, address: u32, limits: &BeliefLimits, now: u64) -> Vec<Vote> {
        let marks = self.votes.get(&address).map_or(&[][..], Vec::as_slice);
        marks.iter().filter_map(|mark| self.vote(mark, limits, now)).collect()
    }

    fn vote(&self, mark: &Mark, limits: &BeliefLimits, now: u64) -> Option<Vote> {
        let place = self.places.get(&mark.origin)?;
        let judged = self.judged.get(&mark.origin);
        Some(Vote {
            origin: mark.origin,
            introducer: place.introducer,
            named_by: place.named_by,
            hop: place.hop,
            class: mark.record.class,
            hour: mark.record.hour,
            ttl_weeks: mark.record.ttl_weeks,
            provider_frozen: self.is_frozen(&mark.record),
            fresh: now < mark.heard_at + limits.settle_s,
            epoch: 0,
            sequence: mark.sequence,
            weight_set: 1.0,
            doubted: judged.is_some_and(|judged| judged.doubted.contains(&mark.month)),
            agreement: match judged.map_or(Agreement::Unknown, |judged| judged.agreement(limits)) {
                Agreement::Unknown if place.answers().is_some_and(|by| self.together.contains(&by)) => 0.0,
                found => found.factor(),
            },
            origin_age_s: now.saturating_sub(self.known_since.get(&mark.origin).copied().unwrap_or(now)),
        })
    }

    fn is_frozen(&self, record: &Record) -> bool {
        record.class == Class::HARD && self.frozen.contains(&(record.provider, record.hour))
    }
}

/// Whether the node knew it dead itself when another said so.
fn knew(own: Option<&Evidence>, heard_at: u64) -> bool {
    own.and_then(dead_since).is_some_and(|since| since <= heard_at)
}

impl Judged {
    fn agreement(&self, limits: &BeliefLimits) -> Agreement {
        self.months.whole().agreement(limits)
    }
}

/// What the node saw itself of what a record holds against somebody.
fn word(record: &Record, own: Option<&Evidence>, now: u64) -> OwnWord {
    own.map_or(OwnWord::Unsure, |own| own_word(record.class, record.hour, own, now))
}
