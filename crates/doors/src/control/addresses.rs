//! What is known about an address, why, and how to change it.

use serde_json::{Value, json};
use sm2tp_federation::belief::{self, Vote};
use sm2tp_federation::tags::{KeyId, Tag};
use sm2tp_proto::Address;
use sm2tp_rules::suppress::{self, Decision, Why};
use sm2tp_rules::{Evidence, Stream};
use sm2tp_store::Bounce;
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
    let org = org.unwrap_or_else(|| sm2tp_store::accounts::LOCAL.to_owned());
    if org != sm2tp_store::accounts::LOCAL && !house.accounts.orgs().iter().any(|known| known.name == org) {
        return Err(Problem::Input(format!("there is no organisation {org:?}: see sm2tp org list")));
    }
    let facts = house.book.recipient(&address, &org, now);
    let streams: Vec<Stream> = stream.map_or_else(|| Stream::ALL.to_vec(), |stream| vec![stream]);
    let decisions: Vec<Value> = streams
        .into_iter()
        // The chance of a canary is left out: the answer is what most mail gets.
        .map(|stream| decision(stream, &suppress::decide(&facts, stream, house.book.limits(), now, 1.0)))
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
        "listed": facts.listed,
        "allowed": facts.allowed,
        "opted_out": facts.opted_out,
        "hosted_here": facts.hosted,
        "waiting": waiting,
        "waiting_more": more,
        "federated": {
            "score": facts.federated.score,
            "sources": facts.federated.sources,
            "held_from": house.book.limits().held_score,
            "suppressed_from": house.book.limits().suppressed_score,
            "votes": votes.iter().map(|known| vote(known, &names, house, now)).collect::<Vec<_>>(),
        },
        "release": if facts.opted_out {
            format!("sm2tp suppress remove {text} --org {org}")
        } else {
            format!("sm2tp suppress remove {text}")
        },
    }))
}

/// Puts an address on the list, by hand; what waits for it goes back to its senders.
pub(super) async fn suppress(
    house: &House,
    onward: &Onward,
    text: &str,
    note: Option<String>,
) -> Result<Value, Problem> {
    let address = address(text)?;
    let Some(tag) = house.book.tag(&address) else {
        return Err(Problem::Input(format!("{text:?} has no normal form, so it cannot be listed")));
    };
    let now = now();
    // Whoever lists an address that is on the allow list means it: the allow list would beat it.
    let mut events = vec![Event::decided("suppress", &address, tag, note.as_deref(), now)];
    events.extend(tags(house, &address).into_iter().map(|tag| Event::decided("unallow", &address, tag, None, now)));
    house.ledger.append(events).await?;
    // After the list, so that nothing slips in between.
    let back = queue::give_back(house, onward, &address, &Why::Listed).await?;
    Ok(json!({ "address": text, "tag": tag.1.to_string(), "suppressed": true, "given_back": back }))
}

/// Lets an address be written to again: off the list, own evidence lifted, and, where other nodes still speak against
/// it, onto the allow list.
///
/// With an org: a complaint about it, or an opt-out of its mail, is lifted, and nothing else. The person asked for it again.
pub(super) async fn release(
    house: &House,
    text: &str,
    note: Option<String>,
    org: Option<String>,
) -> Result<Value, Problem> {
    let (address, now) = (address(text)?, now());
    let facts = house.book.recipient(&address, org.as_deref().unwrap_or(sm2tp_store::accounts::LOCAL), now);
    let tags = tags(house, &address);
    if tags.is_empty() {
        return Err(Problem::Input(format!("{text:?} has no normal form, so nothing is known about it")));
    }
    let mut kinds = Vec::new();
    if org.is_some() {
        kinds.extend(facts.opted_out.then_some("unoptout"));
        return lift(
            house,
            text,
            &kinds,
            |kind, tag| Event { org: org.clone(), ..Event::decided(kind, &address, tag, note.as_deref(), now) },
            &tags,
        )
        .await;
    }
    if facts.listed {
        kinds.push("unsuppress");
    }
    if facts.own.hard_at != 0 || facts.own.soft_count != 0 {
        kinds.push("released");
    }
    if house.book.limits().held_score <= facts.federated.score && !facts.allowed {
        kinds.push("allow");
    }
    lift(house, text, &kinds, |kind, tag| Event::decided(kind, &address, tag, note.as_deref(), now), &tags).await
}

/// Under every tag that the address may have been recorded under.
async fn lift(
    house: &House,
    text: &str,
    kinds: &[&str],
    event: impl Fn(&str, (KeyId, Tag)) -> Event,
    tags: &[(KeyId, Tag)],
) -> Result<Value, Problem> {
    let events = kinds.iter().flat_map(|kind| tags.iter().map(|tag| event(kind, *tag)).collect::<Vec<_>>());
    house.ledger.append(events.collect()).await?;
    Ok(json!({ "address": text, "lifted": kinds }))
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
        "soft_count": evidence.soft_count,
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
