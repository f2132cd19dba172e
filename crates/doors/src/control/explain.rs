//! Why an address is written to or not: every decision with its numbers, all that is known, and every way out (R25).
//!
//! Nothing is hidden, and nobody is shown: tags, what servers said, which nodes. The clear address stands in the answer
//! because the asker typed it, and no sender does (R11).

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sm2tp_federation::belief::{self, Agreement, HOP_MAX, Independence, Switch, Vote};
use sm2tp_federation::keys::NodeKey;
use sm2tp_federation::record::Class;
use sm2tp_federation::standing::{OwnWord, own_word};
use sm2tp_federation::tags::Tag;
use sm2tp_proto::Address;
use sm2tp_rules::suppress::{self, About, Decision, Level, Limits, Recipient, Why};
use sm2tp_rules::{Evidence, Stream};
use sm2tp_store::Bounce;
use sm2tp_store::accounts::LOCAL;
use sm2tp_store::sql::{self, Row, SqlError};

use super::addresses::known;
use super::orgs::limits_in_force;
use super::{Problem, address, peers, queue};
use crate::{House, now};

/// Every stream's decision, all evidence behind it, and the ways out.
pub(super) async fn explain(
    house: &House,
    text: &str,
    org: Option<String>,
    stream: Option<Stream>,
) -> Result<Value, Problem> {
    let (address, now) = (address(text)?, now());
    let org = org.unwrap_or_else(|| LOCAL.to_owned());
    known(house, &org)?;
    let limits = house.book.limits(&org);
    let facts = house.book.recipient(&address, &org, now);
    let asked = Asked { text, org: &org, facts: &facts, limits: &limits, now };
    let streams: Vec<Stream> = stream.map_or_else(|| Stream::ALL.to_vec(), |stream| vec![stream]);
    let decisions: Vec<Value> = streams.into_iter().map(|stream| asked.decision(stream)).collect();
    let (tags, domain_tags) = house.book.tags(&address);
    let last = last_reply(house, &tags).await?;
    let votes = house.book.votes(&address, now);
    let names = names(house, &votes).await?;
    let (waiting, more) = queue::waiting(house, &address).await?;
    Ok(json!({
        "address": text,
        "org": org,
        "tags": tags.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "domain_tags": domain_tags.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "decisions": decisions,
        "own": own(&facts.own, &limits, last),
        "listed": facts.node.suppressed,
        "listed_by_org": facts.org.suppressed,
        "allowed": facts.node.allowed,
        "allowed_by_org": facts.org.allowed,
        "opted_out": facts.opted_out,
        "lists": lists(house, &tags).await?,
        "log": log(house, &address).await?,
        "hosted_here": facts.hosted,
        "delivery_counts": facts.own_delivery_counts(&limits, now),
        "waiting": waiting,
        "waiting_more": more,
        "domain_delivery_counts": facts.own_domain_counts(&limits, now),
        "federated": {
            "score": facts.said().1.score,
            "sources": facts.said().1.sources,
            "settled_score": facts.said().1.settled_score,
            "settled_sources": facts.said().1.settled_sources,
            "newer_than_delivery": facts.federated.sources_after_delivery,
            "domain": asked.domain(),
            "held_from": limits.held_score,
            "suppressed_from": limits.suppressed_score,
            "suppressed_sources": limits.suppressed_sources_min,
            "votes": votes.iter().map(|known| asked.vote(known, &names, house)).collect::<Vec<_>>(),
        },
        "belief": rules_of_belief(house, &limits),
        "limits": limits_in_force(house, &org),
        "release": asked.release(),
    }))
}

/// What is asked, and what is known.
struct Asked<'a> {
    text: &'a str,
    org: &'a str,
    facts: &'a Recipient,
    limits: &'a Limits,
    now: u64,
}

impl Asked<'_> {
    /// The chance of a canary is left out: the answer is what most mail gets.
    fn decision(&self, stream: Stream) -> Value {
        let decision = suppress::decide(self.facts, stream, self.limits, self.now, 1.0);
        let (word, why, until) = match &decision {
            Decision::Send => ("send", None, None),
            Decision::Canary(why) => ("canary", Some(why), None),
            Decision::Hold(why) => ("hold", Some(why), None),
            Decision::Refuse(why, until) => ("refuse", Some(why), *until),
        };
        json!({
            "stream": stream,
            "decision": word,
            "rule": why.map(Why::as_str),
            "why": why.map(ToString::to_string),
            "until": until,
            "numbers": why.map(|why| self.numbers(why, stream)),
            "ways_out": why.map_or_else(Vec::new, |why| self.ways_out(why, until)),
        })
    }

    /// What the rule saw, beside the numbers that it goes by.
    fn numbers(&self, why: &Why, stream: Stream) -> Value {
        let limits = self.limits;
        let strict = limits.strict.contains(stream);
        match why {
            // The lists say for themselves which mail they are about.
            Why::Listed(_) => Value::Null,
            Why::OptedOut => json!({ "streams_of_complaints": limits.complaint }),
            Why::Hard { at, code, enhanced } => json!({
                "refused_at": at,
                "code": code,
                "enhanced": enhanced.map(|enhanced| enhanced.to_string()),
                "inactive": self.facts.own.hard_inactive,
                "expires_after_s": self.hard_life_s(),
                "tried_again_after_s": (!strict).then_some(limits.personal_retry_after_s),
            }),
            Why::Imported { at, code, enhanced, imported } => json!({
                "refused_at": at,
                "code": code,
                "enhanced": enhanced.map(|enhanced| enhanced.to_string()),
                "imported": imported.to_string(),
                "inactive": self.facts.own.hard_inactive,
                "expires_after_s": self.hard_life_s(),
                "tried_again_after_s": (!strict).then_some(limits.personal_retry_after_s),
            }),
            Why::NoMailDomain { at } => json!({
                "found_at": at,
                "expires_after_s": self.hard_life_s(),
                "tried_again_after_s": (!strict).then_some(limits.personal_retry_after_s),
            }),
            Why::Soft { count, spread_s, last_at } => json!({
                "days": count,
                "from_days": limits.soft_max,
                "spread_s": spread_s,
                "from_spread_s": limits.soft_spread_s,
                "within_s": limits.soft_window_s,
                "last_at": last_at,
                "half_life_s": limits.soft_half_life_s,
            }),
            Why::Federated { about, score, sources } => json!({
                "about": if *about == About::Domain { "domain" } else { "address" },
                "score": score,
                "sources": sources,
                "held_from": limits.held_score,
                "suppressed_from": limits.suppressed_score,
                "suppressed_sources": limits.suppressed_sources_min,
            }),
        }
    }

    fn hard_life_s(&self) -> u64 {
        if self.facts.own.hard_inactive { self.limits.inactive_recheck_s } else { self.limits.hard_expiry_s }
    }

    /// What would change the decision, and the command for it where there is one.
    fn ways_out(&self, why: &Why, until: Option<u64>) -> Vec<Value> {
        let (text, org) = (self.text, self.org);
        let mut ways: Vec<Value> = until.iter().map(|at| json!({ "by": "time", "at": at })).collect();
        let of_org = format!("--org {org}");
        let (remove, confirm) = match why {
            Why::Listed(Level::Node) => (format!("sm2tp suppress remove {text}"), false),
            Why::Listed(Level::Org) => (format!("sm2tp suppress remove {text} {of_org}"), false),
            Why::OptedOut => (format!("sm2tp suppress remove {text} {of_org}"), true),
            _ => (format!("sm2tp suppress remove {text}"), true),
        };
        ways.push(json!({ "by": "person", "command": remove }));
        if !matches!(why, Why::Listed(_) | Why::OptedOut) {
            ways.push(json!({ "by": "delivery" }));
            ways.push(json!({ "by": "org", "command": format!("sm2tp suppress allow {text} {of_org}") }));
        }
        if confirm {
            ways.push(json!({ "by": "recipient", "command": format!("sm2tp suppress confirm {text} {of_org}") }));
        }
        ways
    }

    /// The domain, as this node saw it and as others speak of it.
    fn domain(&self) -> Value {
        let (own, said) = (&self.facts.own_domain, &self.facts.federated_domain);
        let at = |at: u64| (at != 0).then_some(at);
        json!({
            "score": said.score,
            "sources": said.sources,
            "delivered_at": at(own.delivered_at.max(self.facts.own.delivered_at)),
            "dead_at": at(own.hard_at),
        })
    }

    /// The word of one node, how far it is believed, and what this node saw itself.
    fn vote(&self, vote: &Vote, names: &[(String, String)], house: &House) -> Value {
        let called = |node: &str| names.iter().find(|(known, _)| known == node).map(|(_, name)| name.clone());
        let store = &house.federation.store;
        let (judgement, standing) = store.look(|index| (index.judgement(&vote.origin), index.standing(&vote.origin)));
        let agreement = judgement.agreement(&house.book.belief);
        let (weight, score) = (
            belief::weight(vote, &house.book.belief),
            belief::score(std::slice::from_ref(vote), self.now, &house.book.belief).score,
        );
        json!({
            "origin": vote.origin.to_string(),
            "name": called(&vote.origin.to_string()),
            "fingerprint": vote.origin.fingerprint(),
            "introducer": vote.introducer.map(|node| node.to_string()),
            "introducer_name": vote.introducer.and_then(|node| called(&node.to_string())),
            "named_by": vote.named_by.map(|node| node.to_string()),
            "hop": vote.hop,
            "class": vote.class.0,
            "at": u64::from(vote.hour) * 3600,
            "known_since": standing.map(|standing| standing.known_since),
            "own_word": self.own_word(vote),
            "agreement": peers::agreement(house, &judgement),
            "weight": weight,
            "score": score,
            "fresh": vote.fresh && vote.class.is_against() && 0.0 < score,
            "left_out": match store.look(|index| (index.contradicts_itself(&vote.origin), index.fails_together(&vote.origin))) {
                (true, _) => Some("contradicts-itself"),
                (_, true) if vote.agreement <= 0.0 && agreement == Agreement::Unknown => Some("together"),
                _ => left_out(vote, weight, score).or_else(|| self.outweighed(vote)),
            },
        })
    }

    /// What this node saw itself of what is held against the address or its domain; none where it has nothing to say.
    fn own_word(&self, vote: &Vote) -> Option<&'static str> {
        let own = if vote.class == Class::DOMAIN_DEAD { &self.facts.own_domain } else { &self.facts.own };
        match own_word(vote.class, vote.hour, own, self.now) {
            OwnWord::Alive => Some("contradicts"),
            OwnWord::Dead => Some("agrees"),
            OwnWord::Open => Some("open"),
            OwnWord::Unsure => None,
        }
    }

    /// Where a fresh own delivery beats it.
    fn outweighed(&self, vote: &Vote) -> Option<&'static str> {
        let is_beaten = match vote.class {
            Class::DOMAIN_DEAD => self.facts.own_domain_counts(self.limits, self.now),
            class => class.is_against() && self.facts.own_delivery_counts(self.limits, self.now),
        };
        is_beaten.then_some("own-delivery")
    }

    fn release(&self) -> String {
        let (text, org) = (self.text, self.org);
        let by_org = self.facts.opted_out || !self.facts.org.suppressed.is_empty();
        if by_org && self.facts.node.suppressed.is_empty() {
            format!("sm2tp suppress remove {text} --org {org}")
        } else {
            format!("sm2tp suppress remove {text}")
        }
    }
}

fn own(evidence: &Evidence, limits: &Limits, last: Last) -> Value {
    if evidence.is_empty() {
        return Value::Null;
    }
    let at = |at: u64| (at != 0).then_some(at);
    let (counted, spread_s) = evidence.soft(limits.soft_window_s);
    json!({
        "delivered_at": at(evidence.delivered_at),
        "hard_first_at": at(evidence.hard_first_at),
        "hard_at": at(evidence.hard_at),
        "hard_explicit": evidence.hard_strong,
        "hard_inactive": evidence.hard_inactive,
        "code": (evidence.hard_code != 0).then_some(evidence.hard_code),
        "enhanced": evidence.hard_enhanced.map(|enhanced| enhanced.to_string()),
        "soft_count": evidence.soft_days.count_ones(),
        "soft_within_window": counted,
        "soft_spread_s": spread_s,
        "soft_at": at(evidence.soft_at),
        "reply": last.reply,
        "rule": last.rule,
        "said_by": last.said_by,
    })
}

/// The last words about an address.
#[derive(Default)]
struct Last {
    reply: Option<String>,
    rule: Option<String>,
    /// `server`, `smarthost`; none where nobody spoke, or it was not yet kept.
    said_by: Option<String>,
}

/// The rule by which a word counts nothing, if one does.
fn left_out(vote: &Vote, weight: f64, score: f64) -> Option<&'static str> {
    let counted = vote.class.is_against();
    match () {
        () if vote.class == Class::HARD && vote.provider_frozen => Some("provider-freeze"),
        () if counted && vote.doubted && 0.0 < vote.agreement => Some("doubted-month"),
        () if vote.agreement <= 0.0 => Some("quarantine"),
        () if HOP_MAX < vote.hop => Some("too-far"),
        () if weight <= 0.0 => Some("no-weight"),
        () if counted && score <= 0.0 => Some("expired"),
        () => None,
    }
}

/// Which rules hold about the words of others (`FEDERATION.md` §8), with their numbers.
fn rules_of_belief(house: &House, limits: &Limits) -> Value {
    let (belief, quotas) = (&house.book.belief, &house.federation.quotas);
    let word = |switch| if switch == Switch::On { "on" } else { "off" };
    json!({
        "agreement": word(belief.agreement),
        "contradicted_min": belief.contradicted_min,
        "contradicted_share": belief.contradicted_share_max,
        "months": word(belief.months),
        "month_contradicted_min": belief.month_contradicted_min,
        "month_contradicted_share": belief.month_contradicted_share_max,
        "month_usual_times": belief.month_usual_times,
        "settle_after_s": belief.settle_s,
        "provider_freeze": word(belief.provider_freeze),
        "freeze_samples": belief.freeze_samples_min,
        "freeze_share": belief.freeze_share_min,
        "freeze_times": belief.freeze_factor,
        "witness": if belief.independence == Independence::Introducer { "introducer" } else { "origin" },
        "soft_weight": belief.soft_weight,
        "hop_weights": belief.hop_weights,
        "hard_half_life_s": belief.hard.half_life_s,
        "domain_half_life_s": belief.domain_dead.half_life_s,
        "soft_half_life_s": belief.soft.half_life_s,
        "delivery_fresh_s": limits.delivery_fresh_s,
        "newer_sources": limits.newer_sources_min,
        "full_weight_after_s": belief.ramp_s,
        "quota": word(quotas.quota),
        "usual_events": quotas.soft_events_day,
        "most_events": quotas.hard_events_day,
        "canary_share": limits.canary_share,
        "hold_down_s": house.federation.publisher.hold_down_s,
    })
}

/// The names of those who spoke, and of those who introduced them.
async fn names(house: &House, votes: &[Vote]) -> Result<Vec<(String, String)>, Problem> {
    let nodes: BTreeSet<NodeKey> =
        votes.iter().flat_map(|vote| [Some(vote.origin), vote.introducer]).flatten().collect();
    let mut names = Vec::with_capacity(nodes.len());
    for node in nodes {
        let name = house.federation.store.name(node).await?;
        names.push((node.to_string(), name));
    }
    Ok(names)
}

/// The masked reply behind the newest evidence, and the rule that understood it.
async fn last_reply(house: &House, tags: &[Tag]) -> Result<Last, Problem> {
    let tags = tags.to_vec();
    let found = house.ledger.read(move |sql| {
        for tag in tags {
            let row = sql::first(sql, REPLY, &[tag.0[..].into()], |row| {
                let word = |column| row.text_or_null(column).map(|text| text.map(str::to_owned));
                Ok(Last { reply: word(0)?, rule: word(1)?, said_by: word(2)? })
            })?;
            if let Some(found) = row {
                return Ok(found);
            }
        }
        Ok(Last::default())
    });
    Ok(found.await?)
}

/// Whoever put it on a list, of the node or of any organisation, with the note.
async fn lists(house: &House, tags: &[Tag]) -> Result<Vec<Value>, Problem> {
    let tags = tags.to_vec();
    let found = house.ledger.read(move |sql| {
        let mut all = Vec::new();
        for tag in tags {
            all.extend(sql::all(sql, LISTS, &[tag.0[..].into()], listed)?);
        }
        Ok(all)
    });
    Ok(found.await?)
}

fn listed(row: &Row) -> Result<Value, SqlError> {
    let (list, stream) = row.text(0)?.split_once('/').map_or((row.text(0)?, None), |(list, of)| (list, Some(of)));
    let org = Some(row.text(1)?).filter(|org| !org.is_empty());
    Ok(json!({ "list": list, "stream": stream, "org": org, "at": row.uint(2)?, "note": row.text_or_null(3)? }))
}

/// The last lines of the send log about it, newest first; empty where none is kept.
async fn log(house: &House, address: &Address) -> Result<Vec<Value>, Problem> {
    let values = [address.clear().into(), LOG_MAX.into()];
    let found = house.ledger.read(move |sql| {
        Ok(sql::all(sql, LOG, &values, |row| {
            let text = |column| row.text_or_null(column).map(|text| text.map(str::to_owned));
            Ok(json!({
                "at": row.uint(0)?,
                "org": text(1)?,
                "stream": text(2)?,
                "kind": text(3)?,
                "mx": text(4)?,
                "stage": text(5)?,
                "code": row.uint(6).ok(),
                "enhanced": text(7)?,
                "text": text(8)?,
                "cause": text(9)?,
                "rule": text(10)?,
            }))
        })?)
    });
    Ok(found.await?)
}

const REPLY: &str = "SELECT reply, rule, said_by FROM recipient WHERE tag = $1 \
    AND (delivered_at <> 0 OR hard_at <> 0 OR soft_at <> 0)";
const LISTS: &str = "SELECT list, org, at, note FROM listed WHERE tag = $1 ORDER BY at DESC";
const LOG: &str = "SELECT at, org, stream, kind, mx, stage, code, enhanced, text, cause, rule FROM send_log \
    WHERE recipient = $1 ORDER BY id DESC LIMIT $2";
/// A screen full; the rest is in the send log.
const LOG_MAX: u64 = 20;

#[cfg(test)]
mod tests {
    use sm2tp_federation::keys::NodeKey;

    use super::*;

    /// The word of a direct peer that counts.
    fn told() -> Vote {
        Vote {
            origin: NodeKey([1; 32]),
            introducer: None,
            named_by: None,
            hop: 1,
            class: Class::HARD,
            hour: 500_000,
            ttl_weeks: 0,
            provider_frozen: false,
            doubted: false,
            fresh: false,
            epoch: 0,
            sequence: 1,
            weight_set: 1.0,
            agreement: 1.0,
            origin_age_s: 0,
        }
    }

    #[test]
    fn the_first_rule_that_leaves_a_word_out_is_named() {
        let retract = Vote { class: Class::RETRACT, doubted: true, ..told() };
        let cases = [
            (told(), 1.0, 0.9, None),
            (Vote { provider_frozen: true, ..told() }, 1.0, 0.0, Some("provider-freeze")),
            (Vote { doubted: true, ..told() }, 0.0, 0.0, Some("doubted-month")),
            (Vote { doubted: true, agreement: 0.0, ..told() }, 0.0, 0.0, Some("quarantine")),
            (Vote { hop: HOP_MAX + 1, ..told() }, 0.0, 0.0, Some("too-far")),
            (told(), 0.0, 0.0, Some("no-weight")),
            (told(), 1.0, 0.0, Some("expired")),
            (retract, 1.0, 0.0, None),
        ];
        for (vote, weight, score, want) in cases {
            assert_eq!(left_out(&vote, weight, score), want, "{vote:?}");
        }
    }
}
