//! What people decide about addresses, and what stands on their lists.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sm2tp_federation::tags::{KeyId, Tag};
use sm2tp_proto::Address;
use sm2tp_rules::Stream;
use sm2tp_rules::suppress::{Level, Recipient, Why};
use sm2tp_store::Bounce;
use sm2tp_store::accounts::LOCAL;
use sm2tp_store::ledger::Event;
use sm2tp_store::sql::{self, Row, SqlError};

use super::{Problem, Refusal, address, queue};
use crate::confirm::Asker;
use crate::smtp::Onward;
use crate::{House, now};

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

/// Lets an address be written to again: off the list, own evidence lifted and taken back where others were told of it, and,
/// where other nodes still speak against it, onto the allow list.
///
/// With an org: a complaint about it, an opt-out of its mail and a place on its own list are lifted, and nothing else.
pub(super) async fn release(house: &House, entry: Entry) -> Result<Value, Problem> {
    let (address, _) = entry.checked(house)?;
    let now = now();
    let facts = house.book.recipient(&address, entry.org.as_deref().unwrap_or(LOCAL), now);
    let whole = entry.org.is_none() && entry.stream.is_none();
    let lists = if entry.org.is_some() { facts.org } else { facts.node };
    let federated = house.book.limits.held_score <= facts.said().1.score && !facts.node.allowed.contains(Stream::Bulk);
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
    let told = if whole { told(house, &address, &facts) } else { Vec::new() };
    let taken_back = house.federation.publisher.released(events.collect(), told, now).await?;
    let Entry { address, org, stream, .. } = entry;
    Ok(json!({ "address": address, "org": org, "stream": stream, "lifted": kinds, "taken_back": taken_back }))
}

/// The tags under which others may have been told that the address is dead. Its domain only where that is what is known of
/// it: of an address that lives in a dead domain, the domain lives.
fn told(house: &House, address: &Address, facts: &Recipient) -> Vec<(KeyId, Tag)> {
    let mut told = tags(house, address);
    let own = &facts.own;
    if own.hard_at != 0 && own.hard_code == 0 && own.hard_imported.is_none() {
        told.extend(house.book.all_domain_tags(address.domain()));
    }
    told
}

/// Asks the recipient whether mail is wanted again.
pub(super) async fn confirm(house: &House, onward: &Onward, text: &str, org: Option<String>) -> Result<Value, Problem> {
    let address = address(text)?;
    let org = org.unwrap_or_else(|| LOCAL.to_owned());
    known(house, &org)?;
    let Some(confirm) = &house.confirm else {
        return Err(Problem::Input(Refusal::NoConfirmPage));
    };
    confirm.ask(house, onward, &address, (Some(&org), Asker::Member), now()).await?;
    Ok(json!({ "address": text, "org": org, "asked": true }))
}

impl Entry {
    /// The address with its tag; an org must be known.
    fn checked(&self, house: &House) -> Result<(Address, (KeyId, Tag)), Problem> {
        let address = address(&self.address)?;
        if let Some(org) = &self.org {
            known(house, org)?;
        }
        let nothing = || Problem::Input(Refusal::NoNormalForm { text: self.address.clone() });
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

pub(super) fn known(house: &House, org: &str) -> Result<(), Problem> {
    if house.accounts.has_org(org) {
        return Ok(());
    }
    Err(Problem::Input(Refusal::NoOrg { org: org.to_owned() }))
}

/// What stands on the lists, newest first. Addresses are kept as tags only, so their domain is all that can be shown.
/// What bounced is no organisation's own.
pub(super) async fn list(house: &House, org: Option<String>, limit: usize) -> Result<Value, Problem> {
    let limit = limit.clamp(1, LIST_MAX) as u64;
    let rows = house.ledger.read(move |sql| {
        let by_hand = sql::all(sql, LISTED, &[limit.into(), org.as_deref().into()], listed)?;
        let by_evidence = match org {
            None => sql::all(sql, BOUNCED, &[limit.into()], bounced)?,
            Some(_) => Vec::new(),
        };
        Ok(by_hand.into_iter().chain(by_evidence).collect::<Vec<Value>>())
    });
    Ok(Value::Array(rows.await?))
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

const LISTED: &str = "SELECT list, tag, domain, at, org, note FROM listed WHERE org = $2 OR $2 IS NULL \
    ORDER BY at DESC LIMIT $1";
const BOUNCED: &str =
    "SELECT tag, domain, hard_at, hard_strong, reply FROM recipient WHERE hard_at <> 0 ORDER BY hard_at DESC LIMIT $1";
const LIST_MAX: usize = 100_000;
