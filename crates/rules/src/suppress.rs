//! May this address be written to? Own evidence first, then what the federation says (`DESIGN.md` §6).

mod settings;

use std::fmt;

use sm2tp_proto::Enhanced;

pub use self::settings::{Contradiction, Doubtful, Limits, OfOrg, Stopped};
use crate::evidence::Evidence;
use crate::imported::Imported;
use crate::outcome::{Stream, Streams};

/// All that is known about one recipient when an organisation asks. Filled by the store from memory; no look-up waits.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Recipient {
    pub own: Evidence,
    /// Of its domain: the last delivery there, and what the DNS said since.
    pub own_domain: Evidence,
    pub federated: Federated,
    /// What other nodes say of its domain.
    pub federated_domain: Federated,
    /// What the node's people decided by hand.
    pub node: Lists,
    /// What the organisation's people decided by hand, for its own mail.
    pub org: Lists,
    /// Complained about, or opted out of, mail of this org.
    pub opted_out: bool,
    /// In a domain that this node's own orgs host: other nodes have no say about it.
    pub hosted: bool,
}

/// The lists of one level, and the streams for which the address is on them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lists {
    pub allowed: Streams,
    pub suppressed: Streams,
}

/// What other nodes speak of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum About {
    #[default]
    Address,
    Domain,
}

/// Whose list it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Node,
    Org,
}

/// What other nodes say of the address, already weighed (`FEDERATION.md` §8.5–8.6).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Federated {
    /// Sum of weight × decay of the votes.
    pub score: f64,
    /// How many of them are independent of each other.
    pub sources: u32,
    /// The same of the votes that have been here long enough to refuse mail.
    pub settled_score: f64,
    pub settled_sources: u32,
    /// Unix seconds of the newest vote; 0 = no vote.
    pub newest_at: u64,
    /// Independent sources that are newer than the node's own last delivery, and have been here long enough.
    pub sources_after_delivery: u32,
}

/// The answer, always with its reason.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    Send,
    /// Would be held, but is let through to measure (R27).
    Canary(Why),
    /// Taken, and waits for a person.
    Hold(Why),
    /// Not taken; `until` (unix seconds) says when the same question gets another answer, if time alone changes it.
    Refuse(Why, Option<u64>),
}

/// The rule that decided, with its numbers. Times are unix seconds.
#[derive(Debug, Clone, PartialEq)]
pub enum Why {
    Listed(Level),
    OptedOut,
    /// A server refused the address: its own, or the smart host.
    Hard {
        at: u64,
        code: u16,
        enhanced: Option<Enhanced>,
    },
    /// A list of another program says that mail to it came back.
    Imported {
        at: u64,
        code: u16,
        enhanced: Option<Enhanced>,
        imported: Imported,
    },
    /// No server refused it: the DNS says that there is none to ask.
    NoMailDomain {
        at: u64,
    },
    /// The mailbox could not take mail so often, over so many seconds.
    Soft {
        count: u16,
        spread_s: u64,
        last_at: u64,
    },
    Federated {
        about: About,
        score: f64,
        sources: u32,
    },
}

/// Decides for one recipient. `chance` is a random number in `[0, 1)`; it only matters for canaries.
///
/// People of the node come first, then the person who complained, then people of the org, then what servers said. An
/// org may overrule evidence for its own mail, but neither a decision of the node nor a recipient's no.
#[must_use]
pub fn decide(recipient: &Recipient, stream: Stream, limits: &Limits, now: u64, chance: f64) -> Decision {
    if recipient.node.allowed.contains(stream) {
        return Decision::Send;
    }
    if recipient.node.suppressed.contains(stream) {
        return Decision::Refuse(Why::Listed(Level::Node), None);
    }
    if recipient.opted_out && limits.complaint.contains(stream) {
        return Decision::Refuse(Why::OptedOut, None);
    }
    if recipient.org.allowed.contains(stream) {
        return Decision::Send;
    }
    if recipient.org.suppressed.contains(stream) {
        return Decision::Refuse(Why::Listed(Level::Org), None);
    }
    if let Some(refusal) = own(&recipient.own, stream, limits, now) {
        return refusal;
    }
    if !limits.federated.contains(stream) || recipient.hosted {
        return Decision::Send;
    }
    federated(recipient.word(limits, now), limits, chance)
}

impl Recipient {
    /// A fresh own delivery beats the federation, unless enough independent origins say otherwise since then.
    #[must_use]
    pub fn own_delivery_counts(&self, limits: &Limits, now: u64) -> bool {
        is_fresh(self.own.delivered_at, limits, now) && self.federated.sources_after_delivery < limits.newer_sources_min
    }

    /// A fresh own delivery to anybody in the domain, and no word of the DNS since, beats what others say of the domain,
    /// however many they are: one word would stop the mail to all of it, and this node finds out by itself with one mail.
    #[must_use]
    pub fn own_domain_counts(&self, limits: &Limits, now: u64) -> bool {
        let delivered_at = self.own_domain.delivered_at.max(self.own.delivered_at);
        self.own_domain.hard_at <= delivered_at && is_fresh(delivered_at, limits, now)
    }

    /// The worse of what others say of the address and of its domain, whatever this node delivered.
    #[must_use]
    pub fn said(&self) -> (About, &Federated) {
        worse(&self.federated, &self.federated_domain)
    }

    /// The same without what this node's own deliveries outweigh; none where that is all.
    fn word(&self, limits: &Limits, now: u64) -> Option<(About, &Federated)> {
        match (self.own_delivery_counts(limits, now), self.own_domain_counts(limits, now)) {
            (true, true) => None,
            (true, false) => Some((About::Domain, &self.federated_domain)),
            (false, true) => Some((About::Address, &self.federated)),
            (false, false) => Some(self.said()),
        }
    }
}

fn worse<'a>(address: &'a Federated, domain: &'a Federated) -> (About, &'a Federated) {
    if address.score < domain.score { (About::Domain, domain) } else { (About::Address, address) }
}

/// One that is dated in the future is not: its clock was wrong, and nobody knows how fresh it is.
fn is_fresh(delivered_at: u64, limits: &Limits, now: u64) -> bool {
    delivered_at != 0
        && delivered_at <= now.saturating_add(CLOCK_SLACK_S)
        && now < delivered_at.saturating_add(limits.delivery_fresh_s)
}

/// A refusal that is dated in the future counts as one of now: it stands, but not for longer than any other.
fn own(evidence: &Evidence, stream: Stream, limits: &Limits, now: u64) -> Option<Decision> {
    let (at, enhanced) = (evidence.hard_at.min(now), evidence.hard_enhanced);
    if is_hard(evidence, limits) {
        let why = match (evidence.hard_imported, evidence.hard_code) {
            (Some(imported), code) => Why::Imported { at, code, enhanced, imported },
            // A server always says a code; what is known about an address without one is known from the DNS.
            (None, 0) => Why::NoMailDomain { at },
            (None, code) => Why::Hard { at, code, enhanced },
        };
        let expiry = at.saturating_add(hard_life_s(evidence, limits));
        if let Some(refusal) = by_stream(why, stream, at, expiry, limits, now) {
            return Some(refusal);
        }
    }
    let (count, spread_s) = evidence.soft(limits.soft_window_s);
    if limits.soft_max.max(1) <= count && limits.soft_spread_s <= spread_s {
        let last_at = evidence.soft_at.min(now);
        let why = Why::Soft { count, spread_s, last_at };
        let expiry = last_at.saturating_add(soft_life_s(count, limits));
        return by_stream(why, stream, last_at, expiry, limits, now);
    }
    None
}

/// Strict streams wait for the expiry; others may try again sooner.
fn by_stream(why: Why, stream: Stream, last_at: u64, expiry: u64, limits: &Limits, now: u64) -> Option<Decision> {
    let until = match limits.strict.contains(stream) {
        true => expiry,
        false => expiry.min(last_at.saturating_add(limits.personal_retry_after_s)),
    };
    (now < until).then_some(Decision::Refuse(why, Some(until)))
}

/// Explicit refusals count at once, ambiguous ones at the second on another day.
fn is_hard(evidence: &Evidence, limits: &Limits) -> bool {
    let spread_s = evidence.hard_at.saturating_sub(evidence.hard_first_at);
    evidence.hard_at != 0 && (evidence.hard_strong || limits.ambiguous_spread_s <= spread_s)
}

fn hard_life_s(evidence: &Evidence, limits: &Limits) -> u64 {
    if evidence.hard_inactive { limits.inactive_recheck_s } else { limits.hard_expiry_s }
}

/// Until less than one of `count` failures is left, each half-life taking half of them; one half-life at least.
fn soft_life_s(count: u16, limits: &Limits) -> u64 {
    (limits.soft_half_life_s as f64 * f64::from(count).log2().max(1.0)) as u64
}

fn federated(word: Option<(About, &Federated)>, limits: &Limits, chance: f64) -> Decision {
    let Some((about, federated)) = word else { return Decision::Send };
    let why = Why::Federated { about, score: federated.score, sources: federated.sources };
    let refuses = limits.suppressed_score <= federated.settled_score
        && limits.suppressed_sources_min <= federated.settled_sources;
    if refuses {
        Decision::Refuse(why, None)
    } else if federated.score < limits.held_score {
        Decision::Send
    } else if chance < limits.canary_share {
        Decision::Canary(why)
    } else {
        match limits.doubtful {
            Doubtful::Hold => Decision::Hold(why),
            Doubtful::Refuse => Decision::Refuse(why, None),
            Doubtful::Send => Decision::Send,
        }
    }
}

impl Why {
    /// One word for counters and JSON.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Listed(Level::Node) => "listed",
            Self::Listed(Level::Org) => "listed-by-org",
            Self::OptedOut => "opted-out",
            Self::Hard { .. } | Self::NoMailDomain { .. } => "own-hard",
            Self::Imported { .. } => "imported",
            Self::Soft { .. } => "own-soft",
            Self::Federated { .. } => "federated",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listed(Level::Node) => f.write_str("an administrator put this address on the suppression list"),
            Self::Listed(Level::Org) => f.write_str("your organisation put this address on its suppression list"),
            Self::OptedOut => f.write_str("the recipient complained about or opted out of mail of this sender"),
            Self::Hard { code, enhanced, .. } => {
                write!(f, "earlier mail to this address was refused with {code}")?;
                enhanced.map_or(Ok(()), |enhanced| write!(f, " {enhanced}"))
            }
            Self::Imported { code, enhanced, imported, .. } => {
                write!(f, "{imported}: mail to this address came back")?;
                if *code != 0 {
                    write!(f, " with {code}")?;
                }
                enhanced.map_or(Ok(()), |enhanced| write!(f, " {enhanced}"))
            }
            Self::NoMailDomain { .. } => f.write_str("its domain does not exist or takes no mail, as the DNS says"),
            Self::Soft { count, .. } => write!(f, "the mailbox could not take mail on {count} days"),
            Self::Federated { about: About::Address, score, sources } => {
                write!(f, "{sources} other mail hoster(s) report this address as dead (score {score:.2})")
            }
            Self::Federated { about: About::Domain, score, sources } => {
                write!(f, "{sources} other mail hoster(s) report the domain of this address as dead (score {score:.2})")
            }
        }
    }
}

/// Machines of one node, and mail servers that report, differ by so much in their time.
const CLOCK_SLACK_S: u64 = 3600;

#[cfg(test)]
mod tests {
    use sm2tp_proto::lists::Format;

    use super::*;
    use crate::evidence::{DAY_S, Happening, Hard};
    use crate::outcome::Strength;

    const NOW: u64 = 1_800_000_000;

    fn with(own: Evidence) -> Recipient {
        Recipient { own, ..Recipient::default() }
    }

    fn refused(strength: Strength, inactive: bool, at: u64) -> Evidence {
        let hard = Hard { strength, inactive, code: 550, enhanced: Some(Enhanced(5, 1, 1)), imported: None };
        Evidence::default().after(Happening::Hard(hard), at)
    }

    /// `want`: `send`, `canary`, `hold`, or `refuse` followed by the days until it ends.
    #[track_caller]
    fn check(recipient: &Recipient, stream: Stream, want: &str) {
        let got = match decide(recipient, stream, &Limits::default(), NOW, 0.5) {
            Decision::Send => "send".to_owned(),
            Decision::Canary(_) => "canary".to_owned(),
            Decision::Hold(_) => "hold".to_owned(),
            Decision::Refuse(_, None) => "refuse".to_owned(),
            Decision::Refuse(_, Some(until)) => format!("refuse {}", (until - NOW) / DAY_S),
        };
        assert_eq!(got, want, "{stream} {recipient:?}");
    }

    #[test]
    fn an_explicit_refusal_stops_bulk_for_400_days_and_people_for_one() {
        let fresh = with(refused(Strength::Strong, false, NOW - 3600));
        check(&fresh, Stream::Bulk, "refuse 399");
        check(&fresh, Stream::Personal, "refuse 0");
        let old = with(refused(Strength::Strong, false, NOW - 2 * DAY_S));
        check(&old, Stream::Personal, "send");
        check(&old, Stream::Transactional, "send");
        check(&old, Stream::Bulk, "refuse 398");
        check(&with(refused(Strength::Strong, false, NOW - 401 * DAY_S)), Stream::Bulk, "send");
    }

    #[test]
    fn no_server_is_said_to_have_refused_what_the_dns_knows() {
        let hard =
            |code, enhanced| Hard { strength: Strength::Strong, inactive: false, code, enhanced, imported: None };
        #[track_caller]
        fn check(hard: Hard, want: &str) {
            let recipient = with(Evidence::default().after(Happening::Hard(hard), NOW - 60));
            let decision = decide(&recipient, Stream::Bulk, &Limits::default(), NOW, 0.5);
            let Decision::Refuse(why, _) = decision else { panic!("{decision:?}") };
            assert_eq!((why.as_str(), why.to_string().as_str()), ("own-hard", want));
        }
        check(hard(550, Some(Enhanced(5, 1, 1))), "earlier mail to this address was refused with 550 5.1.1");
        check(hard(550, None), "earlier mail to this address was refused with 550");
        check(hard(0, None), "its domain does not exist or takes no mail, as the DNS says");
    }

    #[test]
    fn what_a_list_says_is_told_as_that_and_expires_by_its_own_date() {
        let imported = Some(Imported { from: Format::Mailgun, day: 20_783 });
        let hard = Hard {
            strength: Strength::Strong,
            inactive: false,
            code: 550,
            enhanced: Some(Enhanced(5, 1, 1)),
            imported,
        };
        let recipient = with(Evidence::default().after(Happening::Hard(hard), NOW - 300 * DAY_S));
        check(&recipient, Stream::Bulk, "refuse 100");
        check(&recipient, Stream::Personal, "send");
        let decision = decide(&recipient, Stream::Bulk, &Limits::default(), NOW, 0.5);
        let Decision::Refuse(why, _) = decision else { panic!("{decision:?}") };
        let said = "imported from mailgun on 2026-11-26: mail to this address came back with 550 5.1.1";
        assert_eq!((why.as_str(), why.to_string().as_str()), ("imported", said));
        // What this node hears itself is not from a list any more.
        let own = Hard { imported: None, ..hard };
        let after = recipient.own.after(Happening::Hard(own), NOW - 60);
        let Decision::Refuse(why, _) = decide(&with(after), Stream::Bulk, &Limits::default(), NOW, 0.5) else {
            panic!()
        };
        assert_eq!(why.as_str(), "own-hard");
    }

    #[test]
    fn an_inactive_address_is_tried_again_after_90_days() {
        check(&with(refused(Strength::Strong, true, NOW - 89 * DAY_S)), Stream::Bulk, "refuse 1");
        check(&with(refused(Strength::Strong, true, NOW - 91 * DAY_S)), Stream::Bulk, "send");
    }

    #[test]
    fn an_ambiguous_refusal_needs_a_second_on_another_day() {
        let weak = Happening::Hard(Hard {
            strength: Strength::Weak,
            inactive: false,
            code: 550,
            enhanced: None,
            imported: None,
        });
        let once = Evidence::default().after(weak, NOW - 2 * DAY_S);
        check(&with(once), Stream::Bulk, "send");
        check(&with(once.after(weak, NOW - 2 * DAY_S + 3600)), Stream::Bulk, "send");
        check(&with(once.after(weak, NOW - DAY_S / 2)), Stream::Bulk, "refuse 399");
    }

    #[test]
    fn soft_failures_need_number_and_spread() {
        let soft = |days: &[u64]| {
            with(days.iter().fold(Evidence::default(), |e, ago| e.after(Happening::Soft, NOW - ago * DAY_S)))
        };
        check(&soft(&[13, 10, 7, 4, 2]), Stream::Bulk, "refuse 30");
        check(&soft(&[20, 18, 16, 14, 12, 10, 8, 6, 4, 2]), Stream::Bulk, "refuse 44");
        check(&soft(&[95, 75, 55, 35, 2]), Stream::Bulk, "send");
        check(&soft(&[13, 10, 7, 4, 2]), Stream::Personal, "send");
        check(&soft(&[13, 10, 7, 4]), Stream::Bulk, "send");
        check(&soft(&[6, 5, 4, 3, 2]), Stream::Bulk, "send");
        check(&soft(&[60, 55, 50, 45, 40]), Stream::Bulk, "send");
    }

    fn told(score: f64, sources: u32) -> Recipient {
        let federated = Federated {
            score,
            sources,
            settled_score: score,
            settled_sources: sources,
            newest_at: NOW - DAY_S,
            sources_after_delivery: sources,
        };
        Recipient { federated, ..Recipient::default() }
    }

    #[test]
    fn one_source_holds_bulk_and_two_independent_suppress_it() {
        check(&told(0.7, 1), Stream::Bulk, "send");
        check(&told(0.996, 1), Stream::Bulk, "hold");
        check(&told(2.5, 1), Stream::Bulk, "hold");
        check(&told(1.5, 2), Stream::Bulk, "refuse");
        for stream in [Stream::Personal, Stream::Transactional, Stream::Forwarded] {
            check(&told(9.0, 9), stream, "send");
        }
        let canary = decide(&told(1.0, 1), Stream::Bulk, &Limits::default(), NOW, 0.019);
        assert!(matches!(canary, Decision::Canary(_)));
    }

    #[test]
    fn words_that_came_lately_hold_mail_however_many_they_are() {
        let mut all = told(9.0, 9);
        (all.federated.settled_score, all.federated.settled_sources) = (0.9, 1);
        check(&all, Stream::Bulk, "hold");
        (all.federated.settled_score, all.federated.settled_sources) = (1.6, 1);
        check(&all, Stream::Bulk, "hold");
        all.federated.settled_sources = 2;
        check(&all, Stream::Bulk, "refuse");
    }

    #[test]
    fn a_fresh_delivery_beats_one_source_but_not_two() {
        let delivered = Evidence { delivered_at: NOW - 5 * DAY_S, ..Evidence::default() };
        check(&Recipient { own: delivered, ..told(1.2, 1) }, Stream::Bulk, "send");
        check(&Recipient { own: delivered, ..told(2.0, 2) }, Stream::Bulk, "refuse");
        let stale = Evidence { delivered_at: NOW - 31 * DAY_S, ..Evidence::default() };
        check(&Recipient { own: stale, ..told(1.2, 1) }, Stream::Bulk, "hold");
    }

    #[test]
    fn the_worse_word_of_address_and_domain_counts_and_says_which_it_is() {
        #[track_caller]
        fn check(address: (f64, u32), domain: (f64, u32), want: Option<About>) {
            let recipient =
                Recipient { federated_domain: told(domain.0, domain.1).federated, ..told(address.0, address.1) };
            let decision = decide(&recipient, Stream::Bulk, &Limits::default(), NOW, 0.5);
            let about = match decision {
                Decision::Hold(Why::Federated { about, .. }) | Decision::Refuse(Why::Federated { about, .. }, _) => {
                    Some(about)
                }
                _ => None,
            };
            assert_eq!(about, want, "{recipient:?}");
        }
        check((0.9, 1), (0.8, 1), Some(About::Address));
        check((0.8, 1), (0.9, 1), Some(About::Domain));
        check((0.5, 1), (1.8, 2), Some(About::Domain));
        check((0.5, 1), (0.6, 1), None);
    }

    #[test]
    fn a_fresh_delivery_to_a_domain_beats_all_who_call_it_dead_until_the_dns_says_so() {
        let others = Recipient { federated_domain: told(9.0, 9).federated, ..Recipient::default() };
        check(&others, Stream::Bulk, "refuse");
        let delivered = |days: u64| Evidence { delivered_at: NOW - days * DAY_S, ..Evidence::default() };
        check(&Recipient { own_domain: delivered(29), ..others.clone() }, Stream::Bulk, "send");
        check(&Recipient { own: delivered(29), ..others.clone() }, Stream::Bulk, "send");
        check(&Recipient { own_domain: delivered(31), ..others.clone() }, Stream::Bulk, "refuse");
        let dead = Evidence { hard_at: NOW - DAY_S, hard_first_at: NOW - DAY_S, hard_strong: true, ..delivered(5) };
        check(&Recipient { own_domain: dead, ..others.clone() }, Stream::Bulk, "refuse");
        // Of the address itself, others may know more.
        let both = Recipient { own_domain: delivered(1), federated: told(2.0, 2).federated, ..others };
        check(&both, Stream::Bulk, "refuse");
    }

    #[test]
    fn the_allow_list_beats_everything_and_own_domains_the_federation() {
        let own = refused(Strength::Strong, false, NOW - 60);
        let node = Lists { allowed: Streams::ALL, suppressed: Streams::ALL };
        let org = Lists { suppressed: Streams::ALL, ..Lists::default() };
        check(&Recipient { own, node, org, opted_out: true, ..told(9.0, 9) }, Stream::Bulk, "send");
        check(&Recipient { hosted: true, ..told(9.0, 9) }, Stream::Bulk, "send");
        check(&Recipient { hosted: true, own, ..told(9.0, 9) }, Stream::Bulk, "refuse 399");
    }

    #[test]
    fn a_complaint_stops_bulk_only_and_a_person_stops_all() {
        let listed = Lists { suppressed: Streams::ALL, ..Lists::default() };
        check(&Recipient { opted_out: true, ..Recipient::default() }, Stream::Bulk, "refuse");
        check(&Recipient { opted_out: true, ..Recipient::default() }, Stream::Personal, "send");
        check(&Recipient { node: listed, ..Recipient::default() }, Stream::Personal, "refuse");
        check(&Recipient { org: listed, ..Recipient::default() }, Stream::Personal, "refuse");
        let bulk = Lists { suppressed: Streams::one(Stream::Bulk), ..Lists::default() };
        check(&Recipient { org: bulk, ..Recipient::default() }, Stream::Personal, "send");
        check(&Recipient { node: bulk, ..Recipient::default() }, Stream::Bulk, "refuse");
    }

    #[test]
    fn an_org_overrules_evidence_but_neither_the_node_nor_a_recipient() {
        let own = refused(Strength::Strong, false, NOW - 60);
        let allowed = Lists { allowed: Streams::ALL, suppressed: Streams::ALL };
        check(&Recipient { own, org: allowed, ..told(9.0, 9) }, Stream::Bulk, "send");
        let listed = Lists { suppressed: Streams::ALL, ..Lists::default() };
        check(&Recipient { own, org: allowed, node: listed, ..told(9.0, 9) }, Stream::Bulk, "refuse");
        check(&Recipient { org: allowed, opted_out: true, ..Recipient::default() }, Stream::Bulk, "refuse");
    }

    #[test]
    fn each_setting_changes_its_decision_and_no_other() {
        #[track_caller]
        fn check(recipient: &Recipient, stream: Stream, limits: &Limits, want: bool) {
            let decision = decide(recipient, stream, limits, NOW, 0.5);
            assert_eq!(decision == Decision::Send, want, "{decision:?}");
        }
        let default = Limits::default();
        let old = with(refused(Strength::Strong, false, NOW - 2 * DAY_S));
        check(&old, Stream::Personal, &Limits { strict: Streams::ALL, ..default }, false);
        check(&old, Stream::Bulk, &Limits { strict: Streams::NONE, ..default }, true);
        check(&old, Stream::Bulk, &Limits { hard_expiry_s: DAY_S, ..default }, true);
        let left = Recipient { opted_out: true, ..Recipient::default() };
        check(&left, Stream::Transactional, &Limits { complaint: Streams::ALL, ..default }, false);
        check(&told(9.0, 9), Stream::Bulk, &Limits { federated: Streams::NONE, ..default }, true);
        check(&told(9.0, 9), Stream::Personal, &Limits { federated: Streams::ALL, ..default }, false);
        check(&told(1.0, 1), Stream::Bulk, &Limits { doubtful: Doubtful::Send, ..default }, true);
        let refusing = Limits { doubtful: Doubtful::Refuse, ..default };
        assert!(matches!(decide(&told(1.0, 1), Stream::Bulk, &refusing, NOW, 0.5), Decision::Refuse(_, None)));
        assert!(matches!(decide(&told(1.0, 1), Stream::Bulk, &refusing, NOW, 0.01), Decision::Canary(_)));
        let soft = with(Evidence::default().after(Happening::Soft, NOW - 60));
        check(&soft, Stream::Bulk, &Limits { soft_max: 1, soft_spread_s: 0, ..default }, false);
        check(&soft, Stream::Bulk, &Limits { soft_max: 0, soft_spread_s: 0, soft_half_life_s: 0, ..default }, true);
        check(&with(Evidence::default()), Stream::Bulk, &Limits { soft_max: 0, soft_spread_s: 0, ..default }, true);
    }

    #[test]
    fn evidence_from_the_future_neither_lasts_longer_nor_counts_as_fresh() {
        let ahead = NOW + 5000 * DAY_S;
        check(&with(refused(Strength::Strong, false, ahead)), Stream::Bulk, "refuse 400");
        check(&with(refused(Strength::Strong, false, ahead)), Stream::Personal, "refuse 1");
        let delivered = |delivered_at| Evidence { delivered_at, ..Evidence::default() };
        check(&Recipient { own: delivered(ahead), ..told(1.2, 1) }, Stream::Bulk, "hold");
        check(&Recipient { own: delivered(NOW + 60), ..told(1.2, 1) }, Stream::Bulk, "send");
        // The clock stands at its beginning, or at its end.
        let own = refused(Strength::Strong, false, NOW);
        for (now, want) in [(0, "refuse"), (u64::MAX, "send")] {
            let decision = decide(&with(own), Stream::Bulk, &Limits::default(), now, 0.5);
            assert_eq!(if decision == Decision::Send { "send" } else { "refuse" }, want);
        }
    }

    #[test]
    fn contradictions_are_decided_by_the_order_in_which_they_were_heard() {
        let hard = Hard { strength: Strength::Strong, inactive: false, code: 550, enhanced: None, imported: None };
        let second = Evidence::default().after(Happening::Hard(hard), NOW).after(Happening::Delivered, NOW);
        check(&with(second), Stream::Bulk, "send");
        check(&with(second.after(Happening::Hard(hard), NOW)), Stream::Bulk, "refuse 400");
    }
}
