//! What is known about an address, why, and how to change it.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sm2tp_federation::belief::{self, Vote};
use sm2tp_federation::tags::{KeyId, Tag};
use sm2tp_proto::Address;
use sm2tp_rules::suppress::{self, Decision, Level, Why};
use sm2tp_rules::{Evidence, Stream};
use sm2tp_store::Bounce;
use sm2tp_store::accounts::LOCAL;
use sm2tp_store::ledger::Event;
use sm2tp_store::sql::{self, Row, SqlError};

use super::{Problem, address, queue};
use crate::smtp::Onward;
use crate::{House, now};

/// Every stream's decision, all evidence behind it, and the way out (R25).
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
    let streams: Vec<Stream> = stream.map_or_else(|| Stream::ALL.to_vec(), |stream| vec![stream]);
    let decisions: Vec<Value> = streams
        .into_iter()
        // The chance of a canary is left out: the answer is what most mail gets.
        .map(|stream| decision(stream, &suppress::decide(&facts, stream, &limits, now, 1.0)))
        .collect();
    let (tags, _) = house.book.tags(&address);
    let last = last_reply(house, &tags).await?;
    let names = names(house).await?;
    let votes = house.book.votes(&address, now);
    let (waiting, more) = queue::waiting(house, &address).await?;
    Ok(json!({
        "address": text,
        "org": org,
        "tags": tags.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "decisions": decisions,
        "own": own(&facts.own, last),
        "listed": facts.node.suppressed,
        "listed_by_org": facts.org.suppressed,
        "allowed": facts.node.allowed,
        "allowed_by_org": facts.org.allowed,
        "opted_out": facts.opted_out,
        "hosted_here": facts.hosted,
        "waiting": waiting,
        "waiting_more": more,
        "federated": {
            "score": facts.federated.score,
            "sources": facts.federated.sources,
            "held_from": limits.held_score,
            "suppressed_from": limits.suppressed_score,
            "votes": votes.iter().map(|known| vote(known, &names, house, now)).collect::<Vec<_>>(),
        },
        "release": if facts.opted_out {
            format!("sm2tp suppress remove {text} --org {org}")
        } else {
            format!("sm2tp suppress remove {text}")
        },
    }))
}

/// What a person says of an address.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    pub address: String,
    pub note: Option<String>,
    /// For mail of this organisation only.
    pub org: Option<String>,
    /// For this kind of mail only.
    pub stream: Option<Stream>,
}

/// Puts an address on the list, by hand; what waits for it goes back to its senders.
pub(super) async fn suppress(house: &House, onward: &Onward, entry: Entry) -> Result<Value, Problem> {
    let (address, tag) = entry.checked(house)?;
    let now = now();
    // Whoever lists an address that is on the allow list means it: the allow list would beat it.
    let mut events = vec![entry.event("suppress", &address, tag, now)];
    events.extend(tags(house, &address).into_iter().map(|tag| entry.event("unallow", &address, tag, now)));
    house.ledger.append(events).await?;
    // After the list, so that nothing slips in between.
    let why = Why::Listed(if entry.org.is_some() { Level::Org } else { Level::Node });
    let those = (entry.org.as_deref(), entry.stream);
    let back = queue::give_back(house, onward, &address, those, &why).await?;
    let Entry { address, org, stream, .. } = entry;
    let tag = tag.1.to_string();
    Ok(json!({
        "address": address, "org": org, "stream": stream, "tag": tag, "suppressed": true, "given_back": back,
    }))
}

/// Puts an address on the allow list, which beats the evidence, and off the other.
pub(super) async fn allow(house: &House, entry: Entry) -> Result<Value, Problem> {
    let (address, tag) = entry.checked(house)?;
    let now = now();
    let mut events = vec![entry.event("allow", &address, tag, now)];
    events.extend(tags(house, &address).into_iter().map(|tag| entry.event("unsuppress", &address, tag, now)));
    house.ledger.append(events).await?;
    let Entry { address, org, stream, .. } = entry;
    Ok(json!({ "address": address, "org": org, "stream": stream, "tag": tag.1.to_string(), "allowed": true }))
}

/// Lets an address be written to again: off the list, own evidence lifted, and, where other nodes still speak against
/// it, onto the allow list.
///
/// With an org: a complaint about it, an opt-out of its mail and a place on its own list are lifted, and nothing else.
pub(super) async fn release(house: &House, entry: Entry) -> Result<Value, Problem> {
    let (address, _) = entry.checked(house)?;
    let now = now();
    let facts = house.book.recipient(&address, entry.org.as_deref().unwrap_or(LOCAL), now);
    let whole = entry.org.is_none() && entry.stream.is_none();
    let lists = if entry.org.is_some() { facts.org } else { facts.node };
    let federated = house.book.limits.held_score <= facts.federated.score && !facts.node.allowed.contains(Stream::Bulk);
    let kinds: Vec<&str> = [
        ("unsuppress", !lists.suppressed.is_empty()),
        ("unoptout", entry.org.is_some() && facts.opted_out),
        ("released", whole && (facts.own.hard_at != 0 || facts.own.soft_days != 0)),
        ("allow", whole && federated),
    ]
    .into_iter()
    .filter_map(|(kind, held)| held.then_some(kind))
    .collect();
    let tags = tags(house, &address);
    // Under every tag that the address may have been recorded under.
    let events = kinds.iter().flat_map(|kind| tags.iter().map(|tag| entry.event(kind, &address, *tag, now)));
    house.ledger.append(events.collect()).await?;
    Ok(json!({ "address": entry.address, "org": entry.org, "stream": entry.stream, "lifted": kinds }))
}

impl Entry {
    /// The address with its tag; an org must be known.
    fn checked(&self, house: &House) -> Result<(Address, (KeyId, Tag)), Problem> {
        let address = address(&self.address)?;
        if let Some(org) = &self.org {
            known(house, org)?;
        }
        let nothing = || Problem::Input(format!("{:?} has no normal form, so nothing is kept about it", self.address));
        let tag = house.book.tag(&address).ok_or_else(nothing)?;
        Ok((address, tag))
    }

    fn event(&self, kind: &str, address: &Address, tag: (KeyId, Tag), now: u64) -> Event {
        Event {
            org: self.org.clone(),
            stream: self.stream.map(|stream| stream.to_string()),
            ..Event::decided(kind, address, tag, self.note.as_deref(), now)
        }
    }
}

fn known(house: &House, org: &str) -> Result<(), Problem> {
    if org == LOCAL || house.accounts.orgs().iter().any(|known| known.name == org) {
        return Ok(());
    }
    Err(Problem::Input(format!("there is no organisation {org:?}: see sm2tp org list")))
}

/// What stands on the lists, newest first. Addresses are kept as tags only, so their domain is all that can be shown.
pub(super) async fn list(house: &House, limit: usize) -> Result<Value, Problem> {
    let limit = limit.clamp(1, LIST_MAX) as u64;
    let rows = house.ledger.read(move |sql| {
        let by_hand = sql::all(sql, LISTED, &[limit.into()], listed)?;
        let by_evidence = sql::all(sql, BOUNCED, &[limit.into()], bounced)?;
        Ok(by_hand.into_iter().chain(by_evidence).collect::<Vec<Value>>())
    });
    Ok(Value::Array(rows.await?))
}

fn decision(stream: Stream, decision: &Decision) -> Value {
    let (word, why, until) = match decision {
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
    })
}

fn own(evidence: &Evidence, last: Last) -> Value {
    if evidence.is_empty() {
        return Value::Null;
    }
    let at = |at: u64| (at != 0).then_some(at);
    json!({
        "delivered_at": at(evidence.delivered_at),
        "hard_first_at": at(evidence.hard_first_at),
        "hard_at": at(evidence.hard_at),
        "hard_explicit": evidence.hard_strong,
        "hard_inactive": evidence.hard_inactive,
        "code": (evidence.hard_code != 0).then_some(evidence.hard_code),
        "enhanced": evidence.hard_enhanced.map(|enhanced| enhanced.to_string()),
        "soft_count": evidence.soft_days.count_ones(),
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

fn vote(vote: &Vote, names: &[(String, String)], house: &House, now: u64) -> Value {
    let origin = vote.origin.to_string();
    let name = names.iter().find(|(node, _)| *node == origin).map(|(_, name)| name.clone());
    json!({
        "origin": origin,
        "name": name,
        "fingerprint": vote.origin.fingerprint(),
        "introducer": vote.introducer.map(|node| node.to_string()),
        "class": vote.class.0,
        "at": u64::from(vote.hour) * 3600,
        "weight": belief::weight(vote, &house.book.belief),
        "score": belief::score(std::slice::from_ref(vote), now, &house.book.belief).score,
    })
}

async fn names(house: &House) -> Result<Vec<(String, String)>, Problem> {
    let peers = house.federation.store.peers().await.map_err(|error| Problem::NotFound(error.to_string()))?;
    Ok(peers.into_iter().map(|peer| (peer.node.to_string(), peer.name)).collect())
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

/// The address under every live key: a decision must hold whatever key the evidence was written under.
fn tags(house: &House, address: &Address) -> Vec<(KeyId, Tag)> {
    house.book.all_tags(address)
}

fn listed(row: &Row) -> Result<Value, SqlError> {
    Ok(json!({
        "list": row.text(0)?,
        "tag": hex::encode(row.blob(1)?),
        "domain": row.text(2)?,
        "at": row.uint(3)?,
        "org": Some(row.text(4)?).filter(|org| !org.is_empty()),
        "note": row.text_or_null(5)?,
    }))
}

fn bounced(row: &Row) -> Result<Value, SqlError> {
    Ok(json!({
        "list": "own-hard",
        "tag": hex::encode(row.blob(0)?),
        "domain": row.text(1)?,
        "at": row.uint(2)?,
        "explicit": row.int(3)? != 0,
        "reply": row.text_or_null(4)?,
    }))
}

const REPLY: &str = "SELECT reply, rule, said_by FROM recipient WHERE tag = $1";
const LISTED: &str = "SELECT list, tag, domain, at, org, note FROM listed ORDER BY at DESC LIMIT $1";
const BOUNCED: &str =
    "SELECT tag, domain, hard_at, hard_strong, reply FROM recipient WHERE hard_at <> 0 ORDER BY hard_at DESC LIMIT $1";
const LIST_MAX: usize = 100_000;
