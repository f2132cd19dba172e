//! May this address be written to? Own evidence first, then what the federation says (`DESIGN.md` §6).

use std::fmt;

use sm2tp_proto::Enhanced;

use crate::evidence::{DAY_S, Evidence};
use crate::outcome::Stream;

/// All that is known about one recipient when somebody asks. Filled by the store from memory; no look-up waits.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Recipient {
    pub own: Evidence,
    pub federated: Federated,
    /// On the allow list: beats everything.
    pub allowed: bool,
    /// Put on the list by a person.
    pub listed: bool,
    /// Complained about, or opted out of, mail of this org.
    pub opted_out: bool,
    /// In a domain that this node's own orgs host: other nodes have no say about it.
    pub hosted: bool,
}

/// What other nodes say of the address, already weighed (`FEDERATION.md` §8.5–8.6).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Federated {
    /// Sum of weight × decay of the votes.
    pub score: f64,
    /// How many of them are independent of each other.
    pub sources: u32,
    /// Unix seconds of the newest vote; 0 = no vote.
    pub newest_at: u64,
    /// Independent sources that are newer than the node's own last delivery.
    pub sources_after_delivery: u32,
}

/// The numbers of §6; every one is configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Seconds until a person's mail may try a refused address again.
    pub personal_retry_after_s: u64,
    /// Seconds until a refusal is forgotten: recycled spam traps reject for 6 to 12 months first.
    pub hard_expiry_s: u64,
    /// Seconds until an address that its provider switched off is tried again.
    pub inactive_recheck_s: u64,
    /// An ambiguous refusal counts from the second one at least this many seconds after the first.
    pub ambiguous_spread_s: u64,
    /// Soft failures that stop bulk mail: so many, within the window, over at least the spread (seconds).
    pub soft_max: u16,
    pub soft_window_s: u64,
    pub soft_spread_s: u64,
    /// A delivery younger than this (seconds) beats what others say.
    pub delivery_fresh_s: u64,
    /// Federated score from which bulk mail is held, and from which it is refused. Not 1.0 for the first: an event is a
    /// day old when it is published, so that one full witness never reaches it (decision 0004).
    pub held_score: f64,
    pub suppressed_score: f64,
    pub suppressed_sources_min: u32,
    /// Share of the held, 0 to 1, that is let through at random to measure what the federation is worth (R27).
    pub canary_share: f64,
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
    Listed,
    OptedOut,
    /// A server refused the address: its own, or the smart host.
    Hard {
        at: u64,
        code: u16,
        enhanced: Option<Enhanced>,
    },
    /// No server refused it: the DNS says that there is none to ask.
    NoMailDomain {
        at: u64,
    },
    Soft {
        count: u16,
        first_at: u64,
        last_at: u64,
    },
    Federated {
        score: f64,
        sources: u32,
    },
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            personal_retry_after_s: DAY_S,
            hard_expiry_s: 400 * DAY_S,
            inactive_recheck_s: 90 * DAY_S,
            ambiguous_spread_s: DAY_S,
            soft_max: 5,
            soft_window_s: 30 * DAY_S,
            soft_spread_s: 10 * DAY_S,
            delivery_fresh_s: 30 * DAY_S,
            held_score: 0.75,
            suppressed_score: 1.5,
            suppressed_sources_min: 2,
            canary_share: 0.02,
        }
    }
}

/// Decides for one recipient. `chance` is a random number in `[0, 1)`; it only matters for canaries.
#[must_use]
pub fn decide(recipient: &Recipient, stream: Stream, limits: &Limits, now: u64, chance: f64) -> Decision {
    if recipient.allowed {
        return Decision::Send;
    }
    if recipient.listed {
        return Decision::Refuse(Why::Listed, None);
    }
    if recipient.opted_out && stream == Stream::Bulk {
        return Decision::Refuse(Why::OptedOut, None);
    }
    if let Some(refusal) = own(&recipient.own, stream, limits, now) {
        return refusal;
    }
    if stream != Stream::Bulk || recipient.hosted || recipient.own_delivery_counts(limits, now) {
        return Decision::Send;
    }
    federated(&recipient.federated, limits, chance)
}

impl Recipient {
    /// A fresh own delivery beats the federation, unless two independent origins say otherwise since then.
    fn own_delivery_counts(&self, limits: &Limits, now: u64) -> bool {
        let fresh = self.own.delivered_at != 0 && now < self.own.delivered_at.saturating_add(limits.delivery_fresh_s);
        fresh && self.federated.sources_after_delivery < 2
    }
}

fn own(evidence: &Evidence, stream: Stream, limits: &Limits, now: u64) -> Option<Decision> {
    if is_hard(evidence, limits, now) {
        let why = match (evidence.hard_at, evidence.hard_code) {
            // A server always says a code; what is known about an address without one is known from the DNS.
            (at, 0) => Why::NoMailDomain { at },
            (at, code) => Why::Hard { at, code, enhanced: evidence.hard_enhanced },
        };
        let expiry = evidence.hard_at.saturating_add(hard_life_s(evidence, limits));
        return by_stream(why, stream, evidence.hard_at, expiry, limits, now);
    }
    let window_end = evidence.soft_at.saturating_add(limits.soft_window_s);
    let spread = evidence.soft_at.saturating_sub(evidence.soft_first_at);
    if limits.soft_max <= evidence.soft_count && limits.soft_spread_s <= spread && now < window_end {
        let why = Why::Soft { count: evidence.soft_count, first_at: evidence.soft_first_at, last_at: evidence.soft_at };
        return by_stream(why, stream, evidence.soft_at, window_end, limits, now);
    }
    None
}

/// Bulk waits for the expiry; a person's mail may try again after a day, because people know things that lists do not.
fn by_stream(why: Why, stream: Stream, last_at: u64, expiry: u64, limits: &Limits, now: u64) -> Option<Decision> {
    let until = match stream {
        Stream::Bulk => expiry,
        _ => expiry.min(last_at.saturating_add(limits.personal_retry_after_s)),
    };
    (now < until).then_some(Decision::Refuse(why, Some(until)))
}

/// Explicit refusals count at once, ambiguous ones at the second on another day.
fn is_hard(evidence: &Evidence, limits: &Limits, now: u64) -> bool {
    let sure =
        evidence.hard_strong || limits.ambiguous_spread_s <= evidence.hard_at.saturating_sub(evidence.hard_first_at);
    evidence.hard_at != 0 && sure && now < evidence.hard_at.saturating_add(hard_life_s(evidence, limits))
}

fn hard_life_s(evidence: &Evidence, limits: &Limits) -> u64 {
    if evidence.hard_inactive { limits.inactive_recheck_s } else { limits.hard_expiry_s }
}

fn federated(federated: &Federated, limits: &Limits, chance: f64) -> Decision {
    let why = Why::Federated { score: federated.score, sources: federated.sources };
    if limits.suppressed_score <= federated.score && limits.suppressed_sources_min <= federated.sources {
        Decision::Refuse(why, None)
    } else if limits.held_score <= federated.score {
        if chance < limits.canary_share { Decision::Canary(why) } else { Decision::Hold(why) }
    } else {
        Decision::Send
    }
}

impl Why {
    /// One word for counters and JSON.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Listed => "listed",
            Self::OptedOut => "opted-out",
            Self::Hard { .. } | Self::NoMailDomain { .. } => "own-hard",
            Self::Soft { .. } => "own-soft",
            Self::Federated { .. } => "federated",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listed => f.write_str("an administrator put this address on the suppression list"),
            Self::OptedOut => f.write_str("the recipient complained about or opted out of mail of this sender"),
            Self::Hard { code, enhanced, .. } => {
                write!(f, "earlier mail to this address was refused with {code}")?;
                enhanced.map_or(Ok(()), |enhanced| write!(f, " {enhanced}"))
            }
            Self::NoMailDomain { .. } => f.write_str("its domain does not exist or takes no mail, as the DNS says"),
            Self::Soft { count, .. } => write!(f, "the mailbox could not take mail on {count} days"),
            Self::Federated { score, sources } => {
                write!(f, "{sources} other mail hoster(s) report this address as dead (score {score:.2})")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{Happening, Hard};
    use crate::outcome::Strength;

    const NOW: u64 = 1_800_000_000;

    fn with(own: Evidence) -> Recipient {
        Recipient { own, ..Recipient::default() }
    }

    fn refused(strength: Strength, inactive: bool, at: u64) -> Evidence {
        let hard = Hard { strength, inactive, code: 550, enhanced: Some(Enhanced(5, 1, 1)) };
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
        let hard = |code, enhanced| Hard { strength: Strength::Strong, inactive: false, code, enhanced };
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
    fn an_inactive_address_is_tried_again_after_90_days() {
        check(&with(refused(Strength::Strong, true, NOW - 89 * DAY_S)), Stream::Bulk, "refuse 1");
        check(&with(refused(Strength::Strong, true, NOW - 91 * DAY_S)), Stream::Bulk, "send");
    }

    #[test]
    fn an_ambiguous_refusal_needs_a_second_on_another_day() {
        let weak = Happening::Hard(Hard { strength: Strength::Weak, inactive: false, code: 550, enhanced: None });
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
        check(&soft(&[13, 10, 7, 4, 2]), Stream::Bulk, "refuse 28");
        check(&soft(&[13, 10, 7, 4, 2]), Stream::Personal, "send");
        check(&soft(&[13, 10, 7, 4]), Stream::Bulk, "send");
        check(&soft(&[6, 5, 4, 3, 2]), Stream::Bulk, "send");
        check(&soft(&[60, 55, 50, 45, 40]), Stream::Bulk, "send");
    }

    fn told(score: f64, sources: u32) -> Recipient {
        let federated = Federated { score, sources, newest_at: NOW - DAY_S, sources_after_delivery: sources };
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
    fn a_fresh_delivery_beats_one_source_but_not_two() {
        let delivered = Evidence { delivered_at: NOW - 5 * DAY_S, ..Evidence::default() };
        check(&Recipient { own: delivered, ..told(1.2, 1) }, Stream::Bulk, "send");
        check(&Recipient { own: delivered, ..told(2.0, 2) }, Stream::Bulk, "refuse");
        let stale = Evidence { delivered_at: NOW - 31 * DAY_S, ..Evidence::default() };
        check(&Recipient { own: stale, ..told(1.2, 1) }, Stream::Bulk, "hold");
    }

    #[test]
    fn the_allow_list_beats_everything_and_own_domains_the_federation() {
        let own = refused(Strength::Strong, false, NOW - 60);
        check(&Recipient { own, allowed: true, listed: true, ..told(9.0, 9) }, Stream::Bulk, "send");
        check(&Recipient { hosted: true, ..told(9.0, 9) }, Stream::Bulk, "send");
        check(&Recipient { hosted: true, own, ..told(9.0, 9) }, Stream::Bulk, "refuse 399");
    }

    #[test]
    fn a_complaint_stops_bulk_only_and_a_person_stops_all() {
        check(&Recipient { opted_out: true, ..Recipient::default() }, Stream::Bulk, "refuse");
        check(&Recipient { opted_out: true, ..Recipient::default() }, Stream::Personal, "send");
        check(&Recipient { listed: true, ..Recipient::default() }, Stream::Personal, "refuse");
    }
}
