//! What a person does with the queue.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sm2tp_proto::{Address, Domain};
use sm2tp_rules::Stream;
use sm2tp_rules::suppress::{self, Decision, Why};
use sm2tp_store::senders::SenderId;
use sm2tp_store::spool::{Change, Filter, Lane, Listed, Mail, Queued, Recipient};
use sm2tp_store::sql;
use sm2tp_store::told::What;
use sm2tp_store::{Bounce, Told};
use tokio::sync::oneshot;

use super::{Problem, Refusal};
use crate::smtp::Onward;
use crate::{House, now};

/// The recipients that a person means: those that fit all that is given; nothing given means all.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Those {
    pub domain: Option<String>,
    pub org: Option<String>,
    pub lane: Option<String>,
}

/// One mail, or many.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Which {
    Mail(u64),
    Those(Those),
}

/// Behind a mail, or behind a recipient of it.
pub(super) async fn list(
    house: &House,
    those: Those,
    (mail, index): (u64, Option<u32>),
    limit: usize,
) -> Result<Value, Problem> {
    let filter =
        Filter { after: (mail, index.unwrap_or(u32::MAX)), limit: limit.clamp(1, LIST_MAX), ..those.filter()? };
    let page = house.spool.list(filter).await?;
    Ok(Value::Array(page.iter().map(listed).collect()))
}

/// One mail: envelope, what is left to do, and the header of its content.
pub(super) async fn show(house: &House, mail: u64) -> Result<Value, Problem> {
    let queued = house.spool.queued(mail).await?;
    let content = house.spool.content(mail).await;
    let header = content.as_deref().map_or_else(|error| error.to_string(), header);
    let Queued { mail, recipients } = queued;
    let known_by = known_by(house, &mail).await?;
    Ok(json!({
        "mail": mail.id,
        "org": &*mail.org,
        "login": mail.login.as_deref(),
        "stream": mail.stream,
        "stream_known_by": known_by,
        "mail_from": mail.mail_from.as_ref().map(Address::clear),
        "message_id": mail.message_id,
        "received_at": mail.received_at,
        "octets": mail.octets,
        "recipients": recipients.iter().map(recipient).collect::<Vec<_>>(),
        "header": header,
    }))
}

/// What became of a mail, as long as the send log has it: each attempt with its answer, the first one first.
pub(super) async fn log(house: &House, mail: u64, since: u64, org: Option<String>) -> Result<Value, Problem> {
    let org = org.map_or(sql::Value::Null, sql::Value::Text);
    let mail = mail.saturating_add(house.ledger.mail_base());
    let values = [since.into(), mail.into(), org, LIFE_MAX.into()];
    let found = house.ledger.read(move |sql| {
        Ok(sql::all(sql, LIFE, &values, |row| {
            let text = |column| row.text_or_null(column).map(|text| text.map(str::to_owned));
            Ok(json!({
                "at": row.uint(0)?,
                "kind": text(1)?,
                "recipient": text(2)?,
                "mx": text(3)?,
                "stage": text(4)?,
                "code": row.uint_or_null(5)?,
                "enhanced": text(6)?,
                "text": text(7)?,
                "cause": text(8)?,
                "rule": text(9)?,
                "exit": text(10)?,
            }))
        })?)
    });
    Ok(Value::Array(found.await?))
}

/// Mails with a Message-ID that this node took, the latest first.
pub(super) async fn find(house: &House, message_id: &str, org: Option<String>) -> Result<Value, Problem> {
    let bare = message_id.trim().trim_start_matches('<').trim_end_matches('>').to_owned();
    if bare.is_empty() {
        return Err(Problem::Input(Refusal::MessageId));
    }
    let org = org.map_or(sql::Value::Null, sql::Value::Text);
    let values = [format!("<{bare}>").into(), bare.into(), org, FOUND_MAX.into()];
    let found = house.ledger.read(move |sql| {
        Ok(sql::all(sql, FIND, &values, |row| {
            Ok(json!({
                "mail": row.uint(0)?,
                "accepted_at": row.uint(1)?,
                "org": row.text(2)?,
                "mail_from": row.text_or_null(3)?,
                "message_id": row.text_or_null(4)?,
            }))
        })?)
    });
    Ok(Value::Array(found.await?))
}

/// The sites that mail is for, as the relay sees them now; a node without one has none.
pub(super) async fn sites(onward: &Onward) -> Result<Value, Problem> {
    let (to, seen) = oneshot::channel();
    let asked = async {
        onward.looks.send(to).await.ok()?;
        seen.await.ok()
    };
    // The queue is never busy for so long with anything else.
    let seen = tokio::time::timeout(SITES_TIME, asked).await;
    Ok(json!(seen.unwrap_or_default().unwrap_or_default()))
}

/// What told the stream of a mail, as long as the send log has it.
async fn known_by(house: &House, mail: &Mail) -> Result<Option<String>, Problem> {
    let (id, at) = (mail.id.saturating_add(house.ledger.mail_base()), mail.received_at);
    let query = "SELECT text FROM send_log WHERE at = $1 AND mail = $2 AND kind = 'accepted'";
    let text = house
        .ledger
        .read(move |sql| Ok(sql::first(sql, query, &[at.into(), id.into()], |row| Ok(row.text(0)?.to_owned()))?));
    Ok(text.await?.and_then(|text| text.split_once(": ").map(|(_, why)| why.to_owned())))
}

pub(super) async fn retry(house: &House, onward: &Onward, which: Which) -> Result<Value, Problem> {
    let now = now();
    let soon = |mail: &Mail, it: &Recipient| (it.lane != Lane::Held).then(|| moved(mail, it, it.lane, now, None));
    change(house, onward, which, soon).await
}

pub(super) async fn hold(house: &House, onward: &Onward, which: Which) -> Result<Value, Problem> {
    let held = |mail: &Mail, it: &Recipient| Some(moved(mail, it, Lane::Held, FOREVER, Some("held: by a person")));
    change(house, onward, which, held).await
}

pub(super) async fn release(house: &House, onward: &Onward, which: Which) -> Result<Value, Problem> {
    let now = now();
    let free = |mail: &Mail, it: &Recipient| {
        (it.lane == Lane::Held).then(|| moved(mail, it, Lane::Normal, now, Some(RELEASED)))
    };
    change(house, onward, which, free).await
}

/// Gives back what waits for an address that is written to no more, by this org or in this stream; its senders hear why.
/// Reports about our own failures go on, as `admit` lets them.
pub(super) async fn give_back(
    house: &House,
    onward: &Onward,
    address: &Address,
    (org, stream): (Option<&str>, Option<Stream>),
    why: &Why,
) -> Result<usize, Problem> {
    let (now, note) = (now(), format!("{}: {why}", why.as_str()));
    let back = |mail: &Mail, it: &Recipient| {
        let meant = org.is_none_or(|org| *org == *mail.org) && stream.is_none_or(|stream| stream == mail.stream);
        let goes = meant && mail.mail_from.is_some() && is_same(house, address, &it.address);
        // What is held goes back when its time is over: now.
        goes.then(|| moved(mail, it, Lane::Held, now, Some(&note)))
    };
    change_those(house, onward, &of_domain(address), back).await
}

/// How many recipients with this address wait; and whether there may be more, behind as many as are looked at.
pub(super) async fn waiting(house: &House, address: &Address) -> Result<(usize, bool), Problem> {
    let (filter, mut after, mut count, mut seen) = (of_domain(address).filter()?, (0, 0), 0, 0);
    while seen < LOOKED_AT_MAX {
        let page = house.spool.list(Filter { after, limit: CHANGED_AT_ONCE, ..filter.clone() }).await?;
        let Some(last) = page.last() else { return Ok((count, false)) };
        after = (last.mail.id, last.recipient.index);
        seen += page.len();
        count += page.iter().filter(|entry| is_same(house, address, &entry.recipient.address)).count();
    }
    Ok((count, true))
}

fn of_domain(address: &Address) -> Those {
    Those { domain: Some(address.domain().to_string()), ..Those::default() }
}

/// The same mailbox, however its address is written.
fn is_same(house: &House, one: &Address, other: &Address) -> bool {
    one == other || house.book.tag(one).is_some_and(|tag| house.book.tag(other) == Some(tag))
}

/// Lets mail go that was held because of what other nodes said and would be sent today. Answers with how many recipients.
pub(crate) async fn let_go(house: &House, onward: &Onward) -> Result<usize, Problem> {
    let now = now();
    let is_sent = |mail: &Mail, it: &Recipient| {
        let (facts, limits) = (house.book.recipient(&it.address, &mail.org, now), house.book.limits(&mail.org));
        // Who was no canary then is none now.
        suppress::decide(&facts, mail.stream, &limits, now, 1.0) == Decision::Send
    };
    let goes = |mail: &Mail, it: &Recipient| {
        // What is due was refused, and goes back to its sender.
        (now < it.next_at && is_sent(mail, it)).then(|| moved(mail, it, Lane::Normal, now, Some(LET_GO)))
    };
    // Not the mail that people or the sender watch hold: of that there may be a million, and this is asked with each poll.
    let by_others = Filter { lane: Some(Lane::Held), note: Some(FEDERATED.to_owned()), ..Filter::default() };
    change_listed(house, onward, by_others, goes).await
}

/// What becomes of the mail of a sender that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// Held, until a person decides.
    Hold,
    Slow,
    /// What was slow goes on as usual; what is held stays so.
    NoLongerSlow,
    /// What was held with its sender goes on, and what was slow as well.
    Send,
    /// What was held with its sender is removed.
    Drop,
}

/// Moves what waits of a sender. Answers with how many recipients.
pub(crate) async fn of_sender(
    house: &House,
    onward: &Onward,
    id: &SenderId,
    waiting: Waiting,
) -> Result<usize, Problem> {
    let now = now();
    let to = |mail: &Mail, it: &Recipient| {
        let is_its = is_of(mail, id);
        let (is_held, is_slow) = (is_held_with_sender(it), it.lane == Lane::Slow);
        match waiting {
            _ if !is_its => None,
            Waiting::Hold if it.lane != Lane::Held => Some(moved(mail, it, Lane::Held, FOREVER, Some(SENDER_BLOCKED))),
            Waiting::Slow if it.lane == Lane::Normal => {
                Some(moved(mail, it, Lane::Slow, it.next_at, it.note.as_deref()))
            }
            Waiting::Send if is_held => Some(moved(mail, it, Lane::Normal, now, Some(RELEASED))),
            Waiting::Send | Waiting::NoLongerSlow if is_slow => {
                Some(moved(mail, it, Lane::Normal, it.next_at, it.note.as_deref()))
            }
            Waiting::Drop if is_held => Some(dropped(mail, it)),
            _ => None,
        }
    };
    change_those(house, onward, &Those { org: Some(id.org.to_string()), ..Those::default() }, to).await
}

/// How many recipients are held with their sender.
pub(super) async fn held_with_sender(house: &House, id: &SenderId) -> Result<usize, Problem> {
    let held = Those { org: Some(id.org.to_string()), lane: Some("held".to_owned()), ..Those::default() };
    let (filter, mut after, mut count, mut seen) = (held.filter()?, (0, 0), 0, 0);
    while seen < LOOKED_AT_MAX {
        let page = house.spool.list(Filter { after, limit: CHANGED_AT_ONCE, ..filter.clone() }).await?;
        let Some(last) = page.last() else { break };
        after = (last.mail.id, last.recipient.index);
        seen += page.len();
        count += page.iter().filter(|entry| is_of(&entry.mail, id) && is_held_with_sender(&entry.recipient)).count();
    }
    Ok(count)
}

fn is_of(mail: &Mail, id: &SenderId) -> bool {
    SenderId::new(&mail.org, mail.login.as_deref(), mail.mail_from.as_ref()).is_some_and(|of| of == *id)
}

fn is_held_with_sender(recipient: &Recipient) -> bool {
    recipient.lane == Lane::Held && recipient.note.as_deref() == Some(SENDER_BLOCKED)
}

/// Removes mail without delivering it. No report is sent: the person who drops it knows why.
pub(super) async fn drop(house: &House, onward: &Onward, which: Which) -> Result<Value, Problem> {
    change(house, onward, which, |mail, it| Some(dropped(mail, it))).await
}

fn moved(mail: &Mail, recipient: &Recipient, lane: Lane, next_at: u64, note: Option<&str>) -> Change {
    Change::Move { mail: mail.id, index: recipient.index, lane, next_at, note: note.map(str::to_owned) }
}

fn dropped(mail: &Mail, recipient: &Recipient) -> Change {
    let told = Told {
        v: Told::VERSION,
        at: now(),
        org: mail.org.to_string(),
        login: mail.login.as_deref().map(str::to_owned),
        stream: mail.stream,
        mail: mail.id,
        message_id: mail.message_id.clone(),
        mail_from: mail.mail_from.as_ref().map(Address::clear),
        recipient: Some(recipient.address.clear()),
        token: None,
        report: mail.is_report,
        what: What::Dropped,
    };
    Change::Done { mail: mail.id, index: recipient.index, told, report: None }
}

/// Changes those recipients for which `to` names a change.
async fn change(
    house: &House,
    onward: &Onward,
    which: Which,
    to: impl Fn(&Mail, &Recipient) -> Option<Change> + Send,
) -> Result<Value, Problem> {
    match which {
        Which::Mail(mail) => {
            let Queued { mail, recipients } = house.spool.queued(mail).await?;
            let changes: Vec<_> = recipients.iter().filter_map(|recipient| to(&mail, recipient)).collect();
            let count = changes.len();
            record(house, onward, changes, vec![mail.id]).await?;
            Ok(json!({ "mail": mail.id, "changed": count }))
        }
        Which::Those(those) => Ok(json!({ "changed": change_those(house, onward, &those, to).await? })),
    }
}

/// Page by page: a person who stops half-way has changed half of it, and nothing twice.
async fn change_those(
    house: &House,
    onward: &Onward,
    those: &Those,
    to: impl Fn(&Mail, &Recipient) -> Option<Change> + Send,
) -> Result<usize, Problem> {
    change_listed(house, onward, those.filter()?, to).await
}

async fn change_listed(
    house: &House,
    onward: &Onward,
    filter: Filter,
    to: impl Fn(&Mail, &Recipient) -> Option<Change> + Send,
) -> Result<usize, Problem> {
    let (mut after, mut count) = ((0, 0), 0);
    loop {
        let page = house.spool.list(Filter { after, limit: CHANGED_AT_ONCE, ..filter.clone() }).await?;
        let Some(last) = page.last() else { return Ok(count) };
        after = (last.mail.id, last.recipient.index);
        let changes: Vec<_> = page.iter().filter_map(|entry| to(&entry.mail, &entry.recipient)).collect();
        let mut mails: Vec<u64> = page.iter().map(|entry| entry.mail.id).collect();
        mails.dedup();
        count += changes.len();
        record(house, onward, changes, mails).await?;
    }
}

/// The relay hears of it; one that does not run reads the spool when it starts.
async fn record(house: &House, onward: &Onward, changes: Vec<Change>, mails: Vec<u64>) -> Result<(), Problem> {
    if !changes.is_empty() {
        house.spool.record(changes).await?;
        let _ = onward.changed.send(mails).await;
    }
    Ok(())
}

impl Those {
    fn filter(&self) -> Result<Filter, Problem> {
        let lane = self.lane.as_deref().map(str::parse::<Lane>).transpose();
        let lane = lane.map_err(|_| Problem::Input(Refusal::Lane))?;
        let domain = self.domain.as_deref().map(|text| {
            let parsed = Domain::parse(text.trim())
                .map_err(|source| Problem::Input(Refusal::Domain { text: text.to_owned(), source }));
            parsed.map(|domain| domain.as_str().to_owned())
        });
        let domain = domain.transpose()?;
        Ok(Filter { domain, org: self.org.clone(), lane, ..Filter::default() })
    }
}

fn listed(entry: &Listed) -> Value {
    let Listed { mail, recipient: it } = entry;
    let mut value = recipient(it);
    if let Value::Object(fields) = &mut value {
        fields.insert("mail".into(), mail.id.into());
        fields.insert("org".into(), (*mail.org).into());
        fields.insert("stream".into(), mail.stream.as_str().into());
        fields.insert("mail_from".into(), mail.mail_from.as_ref().map(Address::clear).into());
        fields.insert("received_at".into(), mail.received_at.into());
        fields.insert("octets".into(), mail.octets.into());
    }
    value
}

fn recipient(recipient: &Recipient) -> Value {
    json!({
        "recipient": recipient.address.clear(),
        "index": recipient.index,
        "lane": recipient.lane.as_str(),
        "attempts": recipient.attempts,
        "next_at": recipient.next_at,
        "note": recipient.note,
    })
}

fn header(content: &[u8]) -> String {
    let end = content.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(content.len());
    let text = String::from_utf8_lossy(&content[..end.min(HEADER_OCTETS_MAX)]).into_owned();
    // A tab begins a folded line.
    text.chars().filter(|c| matches!(c, '\n' | '\t') || !c.is_control()).collect()
}

const LIFE: &str = "SELECT at, kind, recipient, mx, stage, code, enhanced, text, cause, rule, exit FROM send_log \
    WHERE $1 <= at AND mail = $2 AND (org = $3 OR $3 IS NULL) ORDER BY id LIMIT $4";
/// As the index has it (`send_log_accepted`).
const FIND: &str = "SELECT mail, MIN(at), MIN(org), MIN(mail_from), MIN(message_id) FROM send_log \
    WHERE kind = 'accepted' AND message_id IN ($1, $2) AND (org = $3 OR $3 IS NULL) \
    GROUP BY mail ORDER BY MAX(id) DESC LIMIT $4";
/// Whoever repeats a Message-ID so often does not look for one mail.
const FOUND_MAX: u64 = 50;
const SITES_TIME: Duration = Duration::from_secs(2);
/// Lines about one mail: a newsletter with a thousand recipients in one envelope.
const LIFE_MAX: u64 = 2000;
/// Entries of one page; the next page begins after the last mail of this one.
const LIST_MAX: usize = 10_000;
/// Recipients that are changed in one step.
const CHANGED_AT_ONCE: usize = 1000;
/// Recipients of one domain among which those of one address are counted: a second's work.
const LOOKED_AT_MAX: usize = 100_000;
const HEADER_OCTETS_MAX: usize = 64 * 1024;
/// Why mail is held whose sender is blocked: `queue list` shows it, and `sender release` knows it by it.
const SENDER_BLOCKED: &str = "sender-blocked: its sender is blocked, see sm2tp sender show";
/// What is not held any more says so until its next try: why it was held is not true of it.
const RELEASED: &str = "released: by a person";
const LET_GO: &str = "released: other nodes do not doubt the address any more";
/// How the note of mail begins that is held because of other nodes: `Why::as_str`.
const FEDERATED: &str = "federated: ";
/// Until a person decides; fits every column and clock.
const FOREVER: u64 = 253_402_300_799;
