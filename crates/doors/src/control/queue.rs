//! What a person does with the queue.

use serde_json::{Value, json};
use sm2tp_proto::Address;
use sm2tp_store::Told;
use sm2tp_store::spool::{Change, Filter, Lane, Listed, Queued, Recipient};
use sm2tp_store::told::What;

use super::Problem;
use crate::smtp::Onward;
use crate::{House, now};

pub(super) async fn list(
    house: &House,
    domain: Option<String>,
    org: Option<String>,
    lane: Option<String>,
    after: u64,
    limit: usize,
) -> Result<Value, Problem> {
    let lane = lane.map(|word| word.parse::<Lane>()).transpose();
    let lane = lane.map_err(|_| Problem::Input("a lane is normal, slow or held".into()))?;
    let domain = domain.map(|domain| domain.to_ascii_lowercase());
    let filter = Filter { domain, org, lane, after, limit: limit.clamp(1, LIST_MAX) };
    let page = house.spool.list(filter).await?;
    Ok(Value::Array(page.iter().map(listed).collect()))
}

/// One mail: envelope, what is left to do, and the header of its content.
pub(super) async fn show(house: &House, mail: u64) -> Result<Value, Problem> {
    let queued = house.spool.queued(mail).await?;
    let content = house.spool.content(mail).await;
    let header = content.as_deref().map_or_else(|error| error.to_string(), header);
    let Queued { mail, recipients } = queued;
    Ok(json!({
        "mail": mail.id,
        "org": &*mail.org,
        "login": mail.login.as_deref(),
        "stream": mail.stream,
        "mail_from": mail.mail_from.as_ref().map(Address::clear),
        "message_id": mail.message_id,
        "received_at": mail.received_at,
        "octets": mail.octets,
        "recipients": recipients.iter().map(recipient).collect::<Vec<_>>(),
        "header": header,
    }))
}

pub(super) async fn retry(house: &House, onward: &Onward, mail: u64) -> Result<Value, Problem> {
    change(house, onward, mail, |_, lane| (lane != Lane::Held).then_some((lane, now(), None))).await
}

pub(super) async fn hold(house: &House, onward: &Onward, mail: u64) -> Result<Value, Problem> {
    change(house, onward, mail, |_, _| Some((Lane::Held, FOREVER, Some("held: by a person")))).await
}

pub(super) async fn release(house: &House, onward: &Onward, mail: u64) -> Result<Value, Problem> {
    change(house, onward, mail, |_, lane| (lane == Lane::Held).then_some((Lane::Normal, now(), None))).await
}

/// Removes a mail without delivering it. No report is sent: the person who drops it knows why.
pub(super) async fn drop(house: &House, onward: &Onward, mail: u64) -> Result<Value, Problem> {
    let Queued { mail, recipients } = house.spool.queued(mail).await?;
    let told = |recipient: &Recipient| Told {
        v: Told::VERSION,
        at: now(),
        org: mail.org.to_string(),
        login: mail.login.as_deref().map(str::to_owned),
        stream: mail.stream,
        mail: mail.id,
        message_id: mail.message_id.clone(),
        mail_from: mail.mail_from.as_ref().map(Address::clear),
        recipient: Some(recipient.address.clear()),
        report: mail.is_report,
        what: What::Dropped,
    };
    let changes = recipients
        .iter()
        .map(|recipient| Change::Done { mail: mail.id, index: recipient.index, told: told(recipient), report: None })
        .collect();
    house.spool.record(changes).await?;
    changed(onward, mail.id).await;
    Ok(json!({ "mail": mail.id, "changed": recipients.len() }))
}

/// Moves those recipients of a mail for which `to` names a lane and a time.
async fn change(
    house: &House,
    onward: &Onward,
    mail: u64,
    to: impl Fn(&Recipient, Lane) -> Option<(Lane, u64, Option<&'static str>)>,
) -> Result<Value, Problem> {
    let queued = house.spool.queued(mail).await?;
    let changes: Vec<Change> = queued
        .recipients
        .iter()
        .filter_map(|recipient| {
            let (lane, next_at, note) = to(recipient, recipient.lane)?;
            Some(Change::Move { mail, index: recipient.index, lane, next_at, note: note.map(str::to_owned) })
        })
        .collect();
    let count = changes.len();
    house.spool.record(changes).await?;
    changed(onward, mail).await;
    Ok(json!({ "mail": mail, "changed": count }))
}

/// A relay that does not run reads the spool when it starts.
async fn changed(onward: &Onward, mail: u64) {
    let _ = onward.changed.send(mail).await;
}

fn listed(entry: &Listed) -> Value {
    let mut value = recipient(&entry.recipient);
    if let Value::Object(fields) = &mut value {
        fields.insert("mail".into(), entry.mail.into());
        fields.insert("org".into(), entry.org.clone().into());
        fields.insert("stream".into(), entry.stream.clone().into());
        fields.insert("mail_from".into(), entry.mail_from.clone().into());
        fields.insert("received_at".into(), entry.received_at.into());
        fields.insert("octets".into(), entry.octets.into());
    }
    value
}

fn recipient(recipient: &Recipient) -> Value {
    json!({
        "recipient": recipient.address.clear(),
        "lane": recipient.lane.as_str(),
        "attempts": recipient.attempts,
        "next_at": recipient.next_at,
        "note": recipient.note,
    })
}

fn header(content: &[u8]) -> String {
    let end = content.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(content.len());
    let text = String::from_utf8_lossy(&content[..end.min(HEADER_OCTETS_MAX)]).into_owned();
    text.chars().filter(|c| *c == '\n' || !c.is_control()).collect()
}

/// Entries of one page; the next page begins after the last mail of this one.
const LIST_MAX: usize = 10_000;
const HEADER_OCTETS_MAX: usize = 64 * 1024;
/// Until a person decides; fits every column and clock.
const FOREVER: u64 = 253_402_300_799;
