//! What a node believes of a tag, from the votes of origins (`FEDERATION.md` §8.3 to §8.6). The decision is in `rules`.

use std::collections::{BTreeMap, BTreeSet};

use sm2tp_rules::suppress::Federated;

use crate::keys::NodeKey;
use crate::record::Class;

/// One event of one origin about one tag, with what the node thinks of that origin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Vote {
    pub origin: NodeKey,
    /// The direct peer through which the origin became known; none for a direct peer itself.
    pub introducer: Option<NodeKey>,
    /// The only node that names it ([`crate::standing::Place::named_by`]).
    pub named_by: Option<NodeKey>,
    /// 1 for a direct peer; beyond [`HOP_MAX`] nothing counts.
    pub hop: u8,
    pub class: Class,
    pub hour: u32,
    /// Weeks from the record; 0 is the default of the class.
    pub ttl_weeks: u8,
    /// The provider refused nearly everybody in that hour (§8.3): a HARD of it weighs nothing. Where the origin says it
    /// again later, that is its newer vote.
    pub provider_frozen: bool,
    /// It came in a month in which much of what its origin said was wrong ([`crate::standing::Months::doubted`]): what it
    /// calls dead or full weighs nothing, what the origin said before and later does.
    pub doubted: bool,
    /// It came here less than [`BeliefLimits::settle_s`] ago, by this node's own clock: it counts, but refuses nothing and overrules no
    /// delivery yet.
    pub fresh: bool,
    /// The place in the log of the origin, which says what a RETRACT voids: hours of one log may go backwards.
    pub epoch: u32,
    pub sequence: u64,
    /// 0 to 1, set by the administrator at acceptance of a direct peer. A person vouched, so there is no ramp of age.
    pub weight_set: f64,
    /// 0 to 1: [`Agreement::factor`].
    pub agreement: f64,
    /// Seconds since the first segment of an origin that was learned through others.
    pub origin_age_s: u64,
}

/// What is believed of one tag.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Believed {
    /// Σ weight × 2^(−age/half-life) of HARD, DOMAIN_DEAD and SOFT.
    pub score: f64,
    /// Witnesses that stand behind the score, one for each direct peer or introducer.
    pub sources_independent: u32,
    /// The hour of the newest event that counts.
    pub newest_hour: Option<u32>,
    /// Independent witnesses whose last word is that they delivered (CONTRADICT). The score does not contain them.
    pub contradicting: u32,
    pub contradicted_hour: Option<u32>,
}

/// How long the events of a class count.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decay {
    pub half_life_s: f64,
    pub drop_s: u64,
}

/// The numbers of §8.
#[derive(Debug, Clone, PartialEq)]
pub struct BeliefLimits {
    pub hard: Decay,
    pub domain_dead: Decay,
    pub soft: Decay,
    /// What a fresh SOFT weighs beside a HARD, once for each witness: a full mailbox is emptied again, so that one or two
    /// witnesses hold no mail.
    pub soft_weight: f64,
    /// The weight of a direct peer, and of origins two and three hops away.
    pub hop_weights: [f64; HOP_MAX as usize],
    /// After this time an origin learned through others has its full weight.
    pub ramp_s: u64,
    /// Contradicted tags below which nobody is quarantined.
    pub contradicted_min: u32,
    /// The share of contradicted tags above which an origin is quarantined.
    pub contradicted_share_max: f64,
    /// Of what an origin said in one month: contradicted tags below which the month is not doubted, the share of them
    /// above which it is, and how many times more than is usual must have concerned this node.
    pub month_contradicted_min: u32,
    pub month_contradicted_share_max: f64,
    pub month_usual_times: f64,
    /// So long a word must have been here before mail is refused, or an own delivery overruled, because of it. That is the time
    /// in which liars are found out.
    pub settle_s: u64,
    pub freeze_samples_min: u32,
    pub freeze_share_min: f64,
    pub freeze_factor: f64,
    pub agreement: Switch,
    pub months: Switch,
    pub provider_freeze: Switch,
    pub independence: Independence,
}

/// Whether a rule is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    On,
    Off,
}

/// Who counts as a witness of its own (§8.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Independence {
    /// All origins that came through one direct peer are one witness: inventing origins brings nothing.
    Introducer,
    /// Each origin is one: for a federation in which everybody knows everybody.
    Origin,
}

/// How an origin agrees with what this node saw itself, over 30 days (§8.4).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Agreement {
    /// Too few tags in common to say.
    Unknown,
    /// The share of common tags on which both agree.
    Share(f64),
    /// Weight 0, events kept, the administrator told.
    Quarantine,
}

/// Adds up the votes about one tag. `now` in unix seconds; the order of the votes does not matter.
///
/// Events of frozen origins are left out by the caller.
#[must_use]
pub fn score(votes: &[Vote], now: u64, limits: &BeliefLimits) -> Believed {
    sum(last_words(votes), now, limits)
}

/// What the rules of suppression are told of a tag, to which, or to a domain of which, this node delivered last at
/// `delivered_at` (unix seconds; 0: never).
///
/// Only HARD that was said after that can overrule the delivery. A full mailbox takes mail again; and that a domain is dead
/// this node finds itself with its next mail, which no server is bothered with.
#[must_use]
pub fn facts(votes: &[Vote], delivered_at: u64, now: u64, limits: &BeliefLimits) -> Federated {
    let all = score(votes, now, limits);
    let settled = |vote: &&Vote| !vote.fresh;
    let later = |vote: &&Vote| vote.class == Class::HARD && delivered_at < u64::from(vote.hour) * 3600;
    let overruling = sum(last_words(votes).filter(settled).filter(later), now, limits);
    let settled = sum(last_words(votes).filter(settled), now, limits);
    Federated {
        score: all.score,
        sources: all.sources_independent,
        settled_score: settled.score,
        settled_sources: settled.sources_independent,
        newest_at: all.newest_hour.map_or(0, |hour| u64::from(hour) * 3600),
        sources_after_delivery: overruling.sources_independent,
    }
}

/// The newest word of each origin in the order of its log, by origin.
fn last_words(votes: &[Vote]) -> impl Iterator<Item = &Vote> {
    let mut newest: BTreeMap<NodeKey, &Vote> = BTreeMap::new();
    for vote in votes.iter().filter(|vote| counts(vote.class)) {
        let last = newest.entry(vote.origin).or_insert(vote);
        if (last.epoch, last.sequence) < (vote.epoch, vote.sequence) {
            *last = vote;
        }
    }
    newest.into_values()
}

/// In the order in which they come: the same votes give the same sum to the last bit on every node.
fn sum<'a>(votes: impl Iterator<Item = &'a Vote>, now: u64, limits: &BeliefLimits) -> Believed {
    let mut believed = Believed::default();
    let (mut sources, mut namers) = (BTreeSet::new(), BTreeSet::new());
    let (mut contradicting, mut soft) = (BTreeSet::new(), BTreeMap::new());
    for vote in votes {
        let (weight, age_s) = (weight(vote, limits), now.saturating_sub(u64::from(vote.hour) * 3600));
        let Some(decay) = limits.decay(vote.class).filter(|decay| age_s <= life_s(vote, decay)) else { continue };
        if weight <= 0.0 {
            continue;
        }
        let witness = match limits.independence {
            Independence::Introducer => vote.introducer.unwrap_or(vote.origin),
            Independence::Origin => vote.origin,
        };
        if vote.class == Class::CONTRADICT {
            contradicting.insert(witness);
            believed.contradicted_hour = believed.contradicted_hour.max(Some(vote.hour));
        } else {
            let score = weight * (-(age_s as f64) / decay.half_life_s).exp2();
            if vote.class == Class::SOFT {
                let most: &mut f64 = soft.entry(witness).or_default();
                *most = most.max(score);
            } else {
                believed.score += score;
            }
            sources.insert(witness);
            namers.insert(match limits.independence {
                Independence::Introducer => vote.named_by.unwrap_or(vote.origin),
                Independence::Origin => vote.origin,
            });
            believed.newest_hour = believed.newest_hour.max(Some(vote.hour));
        }
    }
    believed.score += soft.values().sum::<f64>();
    // Whom one node alone names it may have invented, and let in through several peers.
    believed.sources_independent = u32::try_from(sources.len().min(namers.len())).unwrap_or(u32::MAX);
    believed.contradicting = u32::try_from(contradicting.len()).unwrap_or(u32::MAX);
    believed
}

/// The weight of a word, 0 to 1 (§8.5): hop × age × agreement of its origin; for a direct peer what the administrator set
/// stands in the place of the age. A SOFT weighs less. Nothing for a HARD of an hour in which its provider erred, and for
/// what is held against a tag in a month that is doubted.
#[must_use]
pub fn weight(vote: &Vote, limits: &BeliefLimits) -> f64 {
    if (vote.provider_frozen && vote.class == Class::HARD) || (vote.doubted && vote.class.is_against()) {
        return 0.0;
    }
    let hop = usize::from(vote.hop).checked_sub(1).and_then(|hop| limits.hop_weights.get(hop));
    let Some(hop) = hop.copied().map(share) else { return 0.0 };
    let standing = match vote.introducer {
        None => share(vote.weight_set),
        Some(_) => share(vote.origin_age_s as f64 / limits.ramp_s.max(1) as f64),
    };
    let class = if vote.class == Class::SOFT { share(limits.soft_weight) } else { 1.0 };
    hop * standing * share(vote.agreement) * class
}

/// Judges an origin by the tags that it speaks against: `contradicted` are those that this node delivered to, `agreed`
/// those that it knows dead. An origin cannot dilute it: only tags that this node knows count.
#[must_use]
pub fn agreement(contradicted: u32, agreed: u32, limits: &BeliefLimits) -> Agreement {
    let common = f64::from(contradicted) + f64::from(agreed);
    if limits.agreement == Switch::Off || common < f64::from(limits.contradicted_min.max(1)) {
        return Agreement::Unknown;
    }
    let wrong = f64::from(contradicted) / common;
    if limits.contradicted_min <= contradicted && limits.contradicted_share_max < wrong {
        return Agreement::Quarantine;
    }
    Agreement::Share(1.0 - wrong)
}

/// Whether the HARD events of one provider in one hour weigh nothing until re-confirmed (§8.3): it answers "no such
/// user" to everybody. `mean_share` is its share of HARD over the last 7 days.
#[must_use]
pub fn provider_freezes(hard: u32, samples: u32, mean_share: f64, limits: &BeliefLimits) -> bool {
    let bound = limits.freeze_share_min.max(limits.freeze_factor * share(mean_share));
    limits.provider_freeze == Switch::On
        && limits.freeze_samples_min.max(1) <= samples
        && bound < f64::from(hard) / f64::from(samples)
}

impl Agreement {
    /// What [`Vote::agreement`] is to be.
    #[must_use]
    pub fn factor(self) -> f64 {
        match self {
            Self::Unknown => 1.0,
            Self::Share(share) => share,
            Self::Quarantine => 0.0,
        }
    }
}

impl BeliefLimits {
    /// How long what is held against a tag counts at most, in seconds; none for classes that hold nothing against it.
    #[must_use]
    pub fn counts_for_s(&self, class: Class) -> Option<u64> {
        self.decay(class).filter(|_| class.is_against()).map(|decay| decay.drop_s)
    }

    /// None for classes that do not count. A CONTRADICT lives as long as the HARD that it answers.
    fn decay(&self, class: Class) -> Option<&Decay> {
        match class {
            Class::HARD | Class::CONTRADICT => Some(&self.hard),
            Class::DOMAIN_DEAD => Some(&self.domain_dead),
            Class::SOFT => Some(&self.soft),
            _ => None,
        }
    }
}

impl Default for BeliefLimits {
    fn default() -> Self {
        let decay = |half_life: u32, drop: u32| Decay {
            half_life_s: f64::from(half_life) * 86_400.0,
            drop_s: u64::from(drop) * 86_400,
        };
        Self {
            // Recycled spam traps refuse for 6 to 12 months first: an earlier end would send mail into them.
            hard: decay(180, 400),
            domain_dead: decay(30, 180),
            soft: decay(14, 60),
            // Three witnesses hold (0.75), five refuse (1.5). Of this node's own, five full days are needed to stop mail.
            soft_weight: 0.3,
            // A far origin alone is enough to hold (0.75) for six weeks. With less, what most nodes of a large federation
            // learn is lost on most others; against liars agreement and quotas help, distance does not (decision 0048).
            hop_weights: [1.0, 0.9, 0.9],
            ramp_s: 30 * 86_400,
            contradicted_min: 10,
            contradicted_share_max: 0.30,
            month_contradicted_min: 4,
            month_contradicted_share_max: 0.30,
            month_usual_times: 2.0,
            settle_s: 86_400,
            freeze_samples_min: 20,
            freeze_share_min: 0.10,
            freeze_factor: 5.0,
            agreement: Switch::On,
            months: Switch::On,
            provider_freeze: Switch::On,
            independence: Independence::Introducer,
        }
    }
}

/// Classes that can be the last word of an origin about a tag.
fn counts(class: Class) -> bool {
    class.has_tag()
}

/// A time to live shortens the life of an event and never prolongs it.
fn life_s(vote: &Vote, decay: &Decay) -> u64 {
    let weeks_s = u64::from(vote.ttl_weeks) * 7 * 86_400;
    if weeks_s == 0 { decay.drop_s } else { decay.drop_s.min(weeks_s) }
}

/// Into 0 to 1; what is no number is 0.
fn share(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0) }
}

/// §7: origins farther away are stored and weigh nothing.
pub const HOP_MAX: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;
    const NOW: u64 = 20_000 * DAY;

    fn origin(n: u8) -> NodeKey {
        NodeKey([n; 32])
    }

    /// A vote of a direct peer, `days` ago.
    fn direct(n: u8, class: Class, days: u64) -> Vote {
        Vote {
            origin: origin(n),
            introducer: None,
            named_by: None,
            hop: 1,
            class,
            hour: ((NOW - days * DAY) / 3600) as u32,
            ttl_weeks: 0,
            provider_frozen: false,
            doubted: false,
            fresh: false,
            epoch: 0,
            sequence: 1000 - days,
            weight_set: 1.0,
            agreement: 1.0,
            origin_age_s: 0,
        }
    }

    fn through(introducer: u8, vote: Vote) -> Vote {
        Vote { introducer: Some(origin(introducer)), hop: 2, origin_age_s: 30 * DAY, ..vote }
    }

    #[track_caller]
    fn check(votes: &[Vote], score_want: f64, sources: u32) {
        let believed = score(votes, NOW, &BeliefLimits::default());
        assert!((believed.score - score_want).abs() < 1e-9, "{believed:?}, wanted {score_want}");
        assert_eq!(believed.sources_independent, sources, "{believed:?}");
        let mut backwards = votes.to_vec();
        backwards.reverse();
        assert_eq!(score(&backwards, NOW, &BeliefLimits::default()), believed);
    }

    #[test]
    fn evidence_halves_and_is_dropped() {
        check(&[direct(1, Class::HARD, 0)], 1.0, 1);
        check(&[direct(1, Class::HARD, 180)], 0.5, 1);
        check(&[direct(1, Class::HARD, 360)], 0.25, 1);
        check(&[direct(1, Class::HARD, 401)], 0.0, 0);
        check(&[direct(1, Class::DOMAIN_DEAD, 30)], 0.5, 1);
        check(&[direct(1, Class::DOMAIN_DEAD, 181)], 0.0, 0);
        check(&[direct(1, Class::SOFT, 0)], 0.3, 1);
        check(&[direct(1, Class::SOFT, 28)], 0.075, 1);
        check(&[direct(1, Class::SOFT, 61)], 0.0, 0);
        check(&[Vote { ttl_weeks: 1, ..direct(1, Class::HARD, 8) }], 0.0, 0);
        check(&[Vote { ttl_weeks: 255, ..direct(1, Class::HARD, 401) }], 0.0, 0);
    }

    #[test]
    fn the_last_word_of_an_origin_is_its_only_vote() {
        check(&[direct(1, Class::HARD, 180), direct(1, Class::HARD, 0)], 1.0, 1);
        check(&[direct(1, Class::HARD, 0), direct(2, Class::HARD, 0)], 2.0, 2);
        check(&[direct(1, Class::HARD, 9), direct(1, Class::RETRACT, 3)], 0.0, 0);
        check(&[direct(1, Class::HARD, 9), direct(1, Class::RETRACT, 9), direct(1, Class::HARD, 0)], 1.0, 1);
        check(&[direct(1, Class::HARD, 0), direct(2, Class::RETRACT, 0)], 1.0, 1);
        check(&[direct(1, Class::HARD, 0), direct(1, Class(99), 0)], 1.0, 1);
        check(&[direct(1, Class::COMPLAINT, 0), direct(2, Class::ERASE, 0)], 0.0, 0);
    }

    #[test]
    fn a_log_and_not_its_hours_says_what_is_later() {
        let retract = Vote { sequence: 5, ..direct(1, Class::RETRACT, 0) };
        check(&[retract, Vote { sequence: 6, ..direct(1, Class::HARD, 180) }], 0.5, 1);
        check(&[retract, Vote { sequence: 4, ..direct(1, Class::HARD, 180) }], 0.0, 0);
        check(&[retract, Vote { epoch: 1, sequence: 0, ..direct(1, Class::HARD, 180) }], 0.5, 1);
    }

    #[test]
    fn those_who_came_through_one_peer_are_one_witness() {
        let hard = |n| direct(n, Class::HARD, 0);
        check(&[hard(1), through(1, hard(2)), through(1, hard(3))], 2.8, 1);
        check(&[through(1, hard(2)), through(4, hard(3))], 1.8, 2);
        check(&[hard(1), through(4, hard(3))], 1.9, 2);
    }

    #[test]
    fn those_whom_one_node_alone_names_are_one_witness_whichever_peers_they_came_through() {
        let invented = |n, by| Vote { named_by: Some(origin(9)), ..through(by, direct(n, Class::HARD, 0)) };
        check(&[invented(2, 1), invented(3, 4), invented(5, 6)], 2.7, 1);
        check(&[invented(2, 1), direct(4, Class::HARD, 0)], 1.9, 2);
        check(&[invented(2, 1), invented(3, 4), through(7, direct(8, Class::HARD, 0))], 2.7, 2);
    }

    #[test]
    fn weight_is_hop_and_standing_and_agreement() {
        let hard = direct(1, Class::HARD, 0);
        check(&[Vote { weight_set: 0.3, ..hard }], 0.3, 1);
        check(&[Vote { weight_set: 9.0, ..hard }], 1.0, 1);
        check(&[Vote { weight_set: f64::NAN, ..hard }], 0.0, 0);
        check(&[Vote { agreement: 0.7, ..hard }], 0.7, 1);
        check(&[Vote { hop: 3, ..through(2, hard) }], 0.9, 1);
        check(&[Vote { hop: 4, ..through(2, hard) }], 0.0, 0);
        check(&[Vote { hop: 0, ..hard }], 0.0, 0);
        check(&[Vote { origin_age_s: 15 * DAY, ..through(2, hard) }], 0.45, 1);
        check(&[Vote { origin_age_s: 0, ..through(2, hard) }], 0.0, 0);
    }

    #[test]
    fn a_hard_of_an_hour_in_which_its_provider_erred_weighs_nothing() {
        let frozen = |vote| Vote { provider_frozen: true, ..vote };
        check(&[frozen(direct(1, Class::HARD, 0))], 0.0, 0);
        check(&[frozen(direct(1, Class::DOMAIN_DEAD, 0))], 1.0, 1);
        // Said again after the outage: the newer vote is the one.
        check(&[frozen(direct(1, Class::HARD, 2)), direct(1, Class::HARD, 0)], 1.0, 1);
    }

    #[test]
    fn what_is_held_against_anybody_in_a_month_that_is_doubted_weighs_nothing() {
        let doubted = |vote| Vote { doubted: true, ..vote };
        for class in [Class::HARD, Class::SOFT, Class::DOMAIN_DEAD] {
            check(&[doubted(direct(1, class, 0)), direct(2, Class::HARD, 0)], 1.0, 1);
        }
        let contradict = doubted(direct(1, Class::CONTRADICT, 0));
        assert_eq!(score(&[contradict], NOW, &BeliefLimits::default()).contradicting, 1);
    }

    #[test]
    fn only_addresses_that_are_called_dead_after_a_delivery_can_overrule_it() {
        #[track_caller]
        fn check(votes: &[Vote], sources: u32, overruling: u32) {
            let facts = facts(votes, NOW - 5 * DAY, NOW, &BeliefLimits::default());
            assert_eq!((facts.sources, facts.sources_after_delivery), (sources, overruling), "{votes:?}");
        }
        check(&[direct(1, Class::HARD, 9), direct(2, Class::HARD, 1)], 2, 1);
        for class in [Class::SOFT, Class::DOMAIN_DEAD] {
            check(&[direct(1, class, 1), direct(2, class, 1)], 2, 0);
        }
        // What an origin took back it does not say any more.
        check(&[direct(1, Class::HARD, 3), direct(1, Class::RETRACT, 1), direct(2, Class::HARD, 1)], 1, 1);
    }

    #[test]
    fn what_came_lately_counts_and_neither_refuses_mail_nor_overrules_a_delivery() {
        let fresh = |n| Vote { fresh: true, ..direct(n, Class::HARD, 1) };
        let facts = |votes: &[Vote]| facts(votes, NOW - 5 * DAY, NOW, &BeliefLimits::default());
        let both = facts(&[fresh(1), fresh(2)]);
        assert!(1.9 < both.score && both.sources == 2, "{both:?}");
        assert_eq!((both.settled_score, both.settled_sources, both.sources_after_delivery), (0.0, 0, 0));
        let one = facts(&[direct(1, Class::HARD, 1), fresh(2)]);
        assert_eq!((one.sources, one.settled_sources, one.sources_after_delivery), (2, 1, 1));
        assert!(0.9 < one.settled_score && one.settled_score < 1.0, "{one:?}");
        // Who takes back what had settled has nothing settled any more.
        let back = facts(&[direct(1, Class::HARD, 3), Vote { fresh: true, ..direct(1, Class::RETRACT, 0) }]);
        assert_eq!((back.sources, back.settled_sources), (0, 0));
    }

    #[test]
    fn two_witnesses_who_call_a_mailbox_full_do_not_hold_mail_however_many_stand_behind_them() {
        let soft = |n| direct(n, Class::SOFT, 0);
        check(&[soft(1)], 0.3, 1);
        check(&[soft(1), soft(2)], 0.6, 2);
        check(&[soft(1), soft(2), soft(3)], 0.9, 3);
        let invented: Vec<Vote> = (10..60).map(|n| through(1 + n % 2, soft(n))).collect();
        check(&invented, 0.54, 2);
        check(&[soft(1), direct(2, Class::HARD, 0)], 1.3, 2);
        let as_hard = BeliefLimits { soft_weight: 1.0, ..BeliefLimits::default() };
        assert_eq!(score(&[soft(1)], NOW, &as_hard).score, 1.0);
    }

    #[test]
    fn each_rule_can_be_switched_off() {
        let off = BeliefLimits {
            agreement: Switch::Off,
            provider_freeze: Switch::Off,
            independence: Independence::Origin,
            ..BeliefLimits::default()
        };
        assert_eq!(agreement(1000, 0, &off), Agreement::Unknown);
        assert!(!provider_freezes(1000, 1000, 0.0, &off));
        let hard = |n| through(1, direct(n, Class::HARD, 0));
        assert_eq!(score(&[hard(2), hard(3)], NOW, &off).sources_independent, 2);
    }

    #[test]
    fn a_contradiction_is_told_and_not_subtracted() {
        let votes = [direct(1, Class::HARD, 0), direct(2, Class::CONTRADICT, 0)];
        check(&votes, 1.0, 1);
        let believed = score(&votes, NOW, &BeliefLimits::default());
        assert_eq!((believed.contradicting, believed.contradicted_hour), (1, believed.newest_hour));
    }

    #[test]
    fn an_origin_that_contradicts_our_deliveries_is_quarantined() {
        let check = |c, d, want| assert_eq!(agreement(c, d, &BeliefLimits::default()), want, "{c} {d}");
        check(0, 0, Agreement::Unknown);
        check(9, 0, Agreement::Unknown);
        check(10, 0, Agreement::Quarantine);
        check(3, 7, Agreement::Share(0.7));
        check(9, 1, Agreement::Share(1.0 - 0.9));
        check(30, 70, Agreement::Share(0.7));
        check(31, 69, Agreement::Quarantine);
        check(u32::MAX, u32::MAX, Agreement::Quarantine);
    }

    #[test]
    fn a_provider_that_refuses_everybody_is_frozen() {
        let check = |hard, samples, mean, want| {
            assert_eq!(
                provider_freezes(hard, samples, mean, &BeliefLimits::default()),
                want,
                "{hard}/{samples} {mean}"
            );
        };
        check(19, 19, 0.0, false);
        check(2, 20, 0.01, false);
        check(3, 20, 0.01, true);
        check(5, 20, 0.05, false);
        check(6, 20, 0.05, true);
        check(20, 20, 0.5, false);
        check(0, 0, f64::NAN, false);
    }
}
