//! Programs of organisations that are told what became of their mail: which there are, what waits for them, and what they did
//! not take.
//!
//! An event is written in the transaction that counts what happened, so that none is lost, and names its recipient in clear until
//! it is taken or given up: whoever handed in the mail asked for that (R11).

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use sm2tp_proto::date::rfc3339;
use sm2tp_rules::alerts::again_s;
use thiserror::Error;

use crate::ledger::{Ledger, LedgerError};
use crate::phrase::Phrase;
use crate::sql::{self, Row, Sql, SqlError, Value};
use crate::told::{Answer, Told, What};

/// Which organisations have webhooks; the ledger asks at each happening. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Hooks(Arc<RwLock<HashMap<String, Vec<Hook>>>>);

#[derive(Debug, Clone)]
struct Hook {
    id: String,
    events: Vec<String>,
}

/// The webhooks of a node. Clones share them.
#[derive(Debug, Clone)]
pub struct Webhooks(Ledger);

/// A webhook as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Webhook {
    pub id: String,
    pub org: String,
    pub url: String,
    /// Of [`EVENTS`].
    pub events: Vec<String>,
    pub made_at: u64,
    /// What waits for it, and what it did not take.
    pub waiting: u64,
    pub dead: u64,
    /// Events that were left out because too many waited.
    pub lost: u64,
    /// It said that it wants no more (410).
    pub gone: bool,
}

/// An event that is due at a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    pub id: u64,
    pub webhook: String,
    /// When it happened (unix seconds).
    pub at: u64,
    pub url: String,
    pub secret: Vec<u8>,
    pub body: String,
    /// Tries before this one, which failed.
    pub failed: u32,
}

/// An event that was given up.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Dead {
    pub id: u64,
    pub at: u64,
    pub tries: u64,
    pub why: Option<String>,
    /// The same by key and values, where it is known ([`Phrase`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Json>,
    pub event: Json,
}

/// What came of a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tried {
    Taken,
    Refused(Phrase),
    /// It wants no more, ever.
    Gone(Phrase),
}

/// A webhook that somebody wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    pub org: String,
    pub url: String,
    /// Of [`EVENTS`]; none: all of them.
    #[serde(default)]
    pub events: Vec<String>,
}

/// Why a webhook is not made or found.
#[derive(Debug, Error)]
pub enum WebhookError {
    #[error("an event is one of {}, and not {name:?}", EVENTS.join(", "))]
    Event { name: String },
    #[error("{url:?} cannot be called: {why}")]
    Url { url: String, why: UrlFault },
    #[error("an organisation has {HOOKS_MAX} webhooks at most")]
    TooMany,
    #[error("there is no webhook {0:?}")]
    Unknown(String),
    #[error("no random bytes: {0}")]
    Random(String),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// What is wrong with the URL of a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum UrlFault {
    #[error("it is no URL")]
    NoUrl,
    #[error("it is too long")]
    TooLong,
    #[error("it does not begin with https://")]
    NotHttps,
    #[error("it holds a login")]
    HoldsLogin,
    #[error("that address is not of the public Internet")]
    Private,
    #[error("that is this machine")]
    ThisMachine,
}

impl Hooks {
    /// Reads which there are.
    pub(crate) fn load(&self, sql: &mut dyn Sql) -> Result<(), SqlError> {
        let mut known = HashMap::<String, Vec<Hook>>::new();
        sql.rows("SELECT id, org, events FROM webhook WHERE gone = 0 ORDER BY id", &[], &mut |row| {
            let events = row.text(2)?.split(' ').map(str::to_owned).collect();
            known.entry(row.text(1)?.to_owned()).or_default().push(Hook { id: row.text(0)?.to_owned(), events });
            Ok(())
        })?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = known;
        Ok(())
    }

    /// Puts a happening into the queue of each webhook that wants it. `now` in unix seconds.
    pub(crate) fn enqueue(&self, sql: &mut dyn Sql, told: &Told, now: u64) -> Result<(), SqlError> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let Some(hooks) = known.get(&told.org) else { return Ok(()) };
        let Some((name, event)) = event(told) else { return Ok(()) };
        for hook in hooks.iter().filter(|hook| hook.events.iter().any(|wanted| wanted == name)) {
            let room = "UPDATE webhook SET waiting = waiting + 1 WHERE id = $1 AND waiting < $2";
            if sql.execute(room, &[hook.id.as_str().into(), WAITING_MAX.into()])? == 0 {
                sql.execute("UPDATE webhook SET lost = lost + 1 WHERE id = $1", &[hook.id.as_str().into()])?;
                continue;
            }
            let insert = "INSERT INTO webhook_event (webhook, at, event, state, tries, next_at, until) \
                VALUES ($1, $2, $3, 'waiting', 0, $4, $5)";
            let until = now.saturating_add(WAIT_S);
            let values = [hook.id.as_str().into(), told.at.into(), event.to_string().into(), now.into(), until.into()];
            sql.execute(insert, &values)?;
        }
        Ok(())
    }
}

impl Webhooks {
    #[must_use]
    pub fn new(ledger: Ledger) -> Self {
        Self(ledger)
    }

    /// Makes a webhook whose URL was looked at. Answers with it and its secret, to be shown once.
    ///
    /// # Errors
    /// [`WebhookError`]: there is none.
    pub async fn make(&self, wanted: Wanted, now: u64) -> Result<(Webhook, String), WebhookError> {
        if let Some(wrong) = wanted.events.iter().find(|event| !EVENTS.contains(&&***event)) {
            return Err(WebhookError::Event { name: wrong.clone() });
        }
        let mut random = [0; 40];
        getrandom::fill(&mut random).map_err(|error| WebhookError::Random(error.to_string()))?;
        let (name, secret) = random.split_at(8);
        let id: String = name.iter().map(|octet| format!("{octet:02x}")).collect();
        let events = match &wanted.events[..] {
            [] => EVENTS.iter().map(|event| (*event).to_owned()).collect(),
            _ => wanted.events,
        };
        let shown = Webhook {
            id,
            org: wanted.org,
            url: wanted.url,
            events,
            made_at: now,
            waiting: 0,
            dead: 0,
            lost: 0,
            gone: false,
        };
        let (kept, key) = (shown.clone(), secret.to_vec());
        let room = self.0.change_hooks(move |sql| {
            let query = "SELECT COUNT(*) FROM webhook WHERE org = $1";
            let count = sql::first(sql, query, &[kept.org.as_str().into()], |row| row.uint(0))?.unwrap_or(0);
            if HOOKS_MAX <= count {
                return Ok(false);
            }
            let insert = "INSERT INTO webhook (id, org, url, events, secret, made_at, waiting, lost, gone) \
                VALUES ($1, $2, $3, $4, $5, $6, 0, 0, 0)";
            let events = kept.events.join(" ");
            let values =
                [kept.id.into(), kept.org.into(), kept.url.into(), events.into(), Value::Blob(key), now.into()];
            sql.execute(insert, &values)?;
            Ok(true)
        });
        if !room.await? {
            return Err(WebhookError::TooMany);
        }
        Ok((shown, format!("whsec_{}", STANDARD.encode(secret))))
    }

    /// Those of an organisation, or all.
    ///
    /// # Errors
    /// [`LedgerError`] where the ledger cannot be read.
    pub async fn list(&self, org: Option<String>) -> Result<Vec<Webhook>, LedgerError> {
        let query = "SELECT id, org, url, events, made_at, waiting, lost, gone, (SELECT COUNT(*) FROM webhook_event \
            WHERE webhook = webhook.id AND state = 'dead') FROM webhook WHERE org = $1 OR $1 IS NULL ORDER BY org, id";
        let org = org.map_or(Value::Null, Value::Text);
        self.0.read(move |sql| Ok(sql::all(sql, query, &[org], webhook)?)).await
    }

    /// The organisation of a webhook.
    ///
    /// # Errors
    /// [`LedgerError`] where the ledger cannot be read.
    pub async fn org_of(&self, id: &str) -> Result<Option<String>, LedgerError> {
        let id = id.to_owned();
        let query = "SELECT org FROM webhook WHERE id = $1";
        self.0.read(move |sql| Ok(sql::first(sql, query, &[id.into()], |row| Ok(row.text(0)?.to_owned()))?)).await
    }

    /// Removes a webhook with what waits for it.
    ///
    /// # Errors
    /// [`WebhookError::Unknown`] where there is none of that number.
    pub async fn remove(&self, id: &str) -> Result<(), WebhookError> {
        let key = id.to_owned();
        let gone = self.0.change_hooks(move |sql| {
            sql.execute("DELETE FROM webhook_event WHERE webhook = $1", &[key.as_str().into()])?;
            Ok(sql.execute("DELETE FROM webhook WHERE id = $1", &[key.into()])?)
        });
        if gone.await? == 0 { Err(WebhookError::Unknown(id.to_owned())) } else { Ok(()) }
    }

    /// Removes those of an organisation that is removed.
    ///
    /// # Errors
    /// [`LedgerError`]: they are as they were.
    pub async fn forget_org(&self, org: &str) -> Result<(), LedgerError> {
        let org = org.to_owned();
        self.0
            .change_hooks(move |sql| {
                let events = "DELETE FROM webhook_event WHERE webhook IN (SELECT id FROM webhook WHERE org = $1)";
                sql.execute(events, &[org.as_str().into()])?;
                sql.execute("DELETE FROM webhook WHERE org = $1", &[org.into()])?;
                Ok(())
            })
            .await
    }

    /// The webhooks for which something is due at `now` (unix seconds).
    ///
    /// # Errors
    /// [`LedgerError`] where the ledger cannot be read.
    pub async fn with_due(&self, now: u64) -> Result<Vec<String>, LedgerError> {
        let query = "SELECT id FROM webhook WHERE 0 < waiting AND gone = 0 AND EXISTS (SELECT 1 FROM webhook_event e \
            WHERE e.webhook = webhook.id AND e.state = 'waiting' AND e.next_at <= $1) ORDER BY id";
        self.0.read(move |sql| Ok(sql::all(sql, query, &[now.into()], |row| Ok(row.text(0)?.to_owned()))?)).await
    }

    /// What is due at one webhook, the oldest first; [`DUE_MAX`] at most.
    ///
    /// # Errors
    /// [`LedgerError`] where the ledger cannot be read.
    pub async fn due(&self, webhook: &str, now: u64) -> Result<Vec<Due>, LedgerError> {
        let query = "SELECT e.id, e.webhook, e.at, w.url, w.secret, e.event, e.tries FROM webhook_event e \
            JOIN webhook w ON w.id = e.webhook \
            WHERE e.webhook = $1 AND e.state = 'waiting' AND e.next_at <= $2 AND w.gone = 0 \
            ORDER BY e.next_at, e.id LIMIT $3";
        let read = |row: &Row| {
            Ok(Due {
                id: row.uint(0)?,
                webhook: row.text(1)?.to_owned(),
                at: row.uint(2)?,
                url: row.text(3)?.to_owned(),
                secret: row.blob(4)?.to_vec(),
                body: row.text(5)?.to_owned(),
                failed: u32::try_from(row.uint(6)?).unwrap_or(u32::MAX),
            })
        };
        let values = [webhook.into(), now.into(), DUE_MAX.into()];
        self.0.read(move |sql| Ok(sql::all(sql, query, &values, read)?)).await
    }

    /// What came of tries. What is taken is forgotten; what is refused is tried again as Standard Webhooks have it, and given up
    /// then.
    ///
    /// # Errors
    /// [`LedgerError`]: they may be called once more, with the same id.
    pub async fn tried(&self, tries: Vec<(Due, Tried)>, now: u64) -> Result<(), LedgerError> {
        let any_gone = tries.iter().any(|(_, tried)| matches!(tried, Tried::Gone(_)));
        let settle =
            move |sql: &mut dyn Sql| tries.into_iter().try_for_each(|(due, tried)| settle(sql, &due, tried, now));
        match any_gone {
            true => self.0.change_hooks(move |sql| Ok(settle(sql)?)).await,
            false => self.0.write(move |sql| Ok(settle(sql)?)).await,
        }
    }

    /// What a webhook did not take, the latest first, with numbers below `before`.
    ///
    /// # Errors
    /// [`LedgerError`] where the ledger cannot be read.
    pub async fn dead(&self, id: &str, before: Option<u64>, limit: usize) -> Result<Vec<Dead>, LedgerError> {
        let query = "SELECT id, at, tries, why, event FROM webhook_event WHERE webhook = $1 AND state = 'dead' AND id < $2 \
            ORDER BY id DESC LIMIT $3";
        let before = before.map_or(i64::MAX, |before| i64::try_from(before).unwrap_or(i64::MAX));
        let values = [id.into(), Value::Int(before), (limit.clamp(1, LIST_MAX) as u64).into()];
        let read = |row: &Row| {
            let event = serde_json::from_str(row.text(4)?).map_err(|error| SqlError::Stored(error.to_string()))?;
            let (why, reason) = Phrase::read_apart(row.text_or_null(3)?);
            Ok(Dead { id: row.uint(0)?, at: row.uint(1)?, tries: row.uint(2)?, why, reason, event })
        };
        self.0.read(move |sql| Ok(sql::all(sql, query, &values, read)?)).await
    }

    /// Lets what a webhook did not take be tried again: one event, or all, as many as have room. A webhook that wanted no more
    /// is asked again. Answers with how many.
    ///
    /// # Errors
    /// [`LedgerError`]: nothing has changed.
    pub async fn redeliver(&self, id: &str, event: Option<u64>, now: u64) -> Result<usize, LedgerError> {
        let id = id.to_owned();
        self.0
            .change_hooks(move |sql| {
                let again = "UPDATE webhook_event SET state = 'waiting', tries = 0, next_at = $2, until = $3, why = NULL \
                    WHERE id IN (SELECT id FROM webhook_event WHERE webhook = $1 AND state = 'dead' \
                    AND (id = $4 OR $4 IS NULL) ORDER BY id \
                    LIMIT (SELECT CASE WHEN waiting < $5 THEN $5 - waiting ELSE 0 END FROM webhook WHERE id = $1))";
                let event = event.map_or(Value::Null, Value::from);
                let until = now.saturating_add(WAIT_S);
                let values = [id.as_str().into(), now.into(), until.into(), event, WAITING_MAX.into()];
                let count = sql.execute(again, &values)?;
                let counted = "UPDATE webhook SET waiting = waiting + $2, gone = 0 WHERE id = $1";
                sql.execute(counted, &[id.into(), (count as u64).into()])?;
                Ok(count)
            })
            .await
    }

    /// Gives up what waited for too long, which is what never had its turn at a program that was not there, and forgets what
    /// was given up a week ago. `late`: what is said of what waited for too long.
    ///
    /// # Errors
    /// [`LedgerError`]: it will be tried again.
    pub async fn prune(&self, now: u64, late: Phrase) -> Result<(), LedgerError> {
        self.0.write(move |sql| Ok(prune(sql, now, late)?)).await
    }
}

/// Events that name an address, by their numbers, each with its webhook where it still waits. `is`: whether a name is its;
/// `in_words`: whether a text names it.
pub(crate) fn naming(
    sql: &mut dyn Sql,
    domain: &str,
    is: impl Fn(&str) -> bool,
    in_words: impl Fn(&str) -> bool,
) -> Result<Vec<(u64, Option<String>)>, SqlError> {
    let query = "SELECT id, webhook, state, event FROM webhook_event WHERE LOWER(event) LIKE $1 \
        OR LENGTH(event) <> OCTET_LENGTH(event)";
    let values = [format!("%{domain}%").into()];
    let mut found = Vec::new();
    sql.rows(query, &values, &mut |row| {
        let event: Json = serde_json::from_str(row.text(3)?).map_err(|error| SqlError::Stored(error.to_string()))?;
        let named = ["recipient", "from"].iter().filter_map(|key| event["data"][key].as_str()).any(&is);
        if named || in_words(row.text(3)?) {
            found
                .push((row.uint(0)?, (row.text(2)? == "waiting").then(|| row.text(1).map(str::to_owned)).transpose()?));
        }
        Ok(())
    })?;
    Ok(found)
}

/// Removes events that were found by [`naming`].
pub(crate) fn erase(sql: &mut dyn Sql, found: &[(u64, Option<String>)]) -> Result<(), SqlError> {
    for (id, waits_for) in found {
        let gone = sql.execute("DELETE FROM webhook_event WHERE id = $1", &[(*id).into()])?;
        if let Some(webhook) = waits_for.as_deref().filter(|_| gone != 0) {
            let less = "UPDATE webhook SET waiting = waiting - 1 WHERE id = $1 AND 0 < waiting";
            sql.execute(less, &[webhook.into()])?;
        }
    }
    Ok(())
}

fn prune(sql: &mut dyn Sql, now: u64, said: Phrase) -> Result<(), SqlError> {
    let query = "DELETE FROM webhook_event WHERE until < $1 AND state = 'dead'";
    sql.execute(query, &[now.into()])?;
    let late = "UPDATE webhook SET waiting = waiting - (SELECT COUNT(*) FROM webhook_event e \
        WHERE e.webhook = webhook.id AND e.state = 'waiting' AND e.until < $1) \
        WHERE id IN (SELECT DISTINCT webhook FROM webhook_event WHERE until < $1)";
    sql.execute(late, &[now.into()])?;
    let dead = "UPDATE webhook_event SET state = 'dead', until = $2, why = COALESCE(why, $3) WHERE until < $1";
    sql.execute(dead, &[now.into(), now.saturating_add(DEAD_S).into(), said.kept().into()])?;
    Ok(())
}

fn settle(sql: &mut dyn Sql, due: &Due, tried: Tried, now: u64) -> Result<(), SqlError> {
    let less = "UPDATE webhook SET waiting = waiting - 1 WHERE id = $1 AND 0 < waiting";
    let (why, gone) = match tried {
        Tried::Taken => {
            // A redelivered or pruned event may have another state by now.
            let taken = "DELETE FROM webhook_event WHERE id = $1 AND state = 'waiting'";
            if sql.execute(taken, &[due.id.into()])? != 0 {
                sql.execute(less, &[due.webhook.as_str().into()])?;
            }
            return Ok(());
        }
        Tried::Refused(why) => (why.kept(), false),
        Tried::Gone(why) => (why.kept(), true),
    };
    let tries = due.failed.saturating_add(1);
    let again = again_s(tries).filter(|_| !gone);
    let found = match again {
        Some(again) => {
            let later =
                "UPDATE webhook_event SET tries = $2, next_at = $3, why = $4 WHERE id = $1 AND state = 'waiting'";
            sql.execute(later, &[due.id.into(), tries.into(), now.saturating_add(again).into(), why.into()])?;
            0
        }
        None => {
            let dead = "UPDATE webhook_event SET state = 'dead', tries = $2, until = $3, why = $4 \
                WHERE id = $1 AND state = 'waiting'";
            sql.execute(dead, &[due.id.into(), tries.into(), now.saturating_add(DEAD_S).into(), why.into()])?
        }
    };
    if found != 0 {
        sql.execute(less, &[due.webhook.as_str().into()])?;
    }
    if gone {
        sql.execute("UPDATE webhook SET gone = 1 WHERE id = $1", &[due.webhook.as_str().into()])?;
    }
    Ok(())
}

fn webhook(row: &Row) -> Result<Webhook, SqlError> {
    Ok(Webhook {
        id: row.text(0)?.to_owned(),
        org: row.text(1)?.to_owned(),
        url: row.text(2)?.to_owned(),
        events: row.text(3)?.split(' ').map(str::to_owned).collect(),
        made_at: row.uint(4)?,
        waiting: row.uint(5)?,
        lost: row.uint(6)?,
        gone: row.uint(7)? != 0,
        dead: row.uint(8)?,
    })
}

/// The event of a happening, with its name. Reports of the node itself are nobody's events.
fn event(told: &Told) -> Option<(&'static str, Json)> {
    if told.report {
        return None;
    }
    let (name, part, detail) = match &told.what {
        What::Delivered { answer } => ("delivered", "delivery", answered(answer)),
        What::Deferred { answer } => ("deferred", "deferral", answered(answer)),
        What::Bounced { answer, expired } => {
            ("bounced", "bounce", with(answered(answer), &[("type", kind(answer, *expired)), ("late", false.into())]))
        }
        What::Returned { answer, weakened } => {
            let sure = if *weakened { "undetermined".into() } else { kind(answer, false) };
            ("bounced", "bounce", with(answered(answer), &[("type", sure), ("late", true.into())]))
        }
        What::Stopped { why, federated, .. } => {
            ("suppressed", "suppression", json!({ "reason": why, "federated": federated }))
        }
        What::Complained { answer } => ("complained", "complaint", json!({ "feedback_type": answer.text })),
        _ => return None,
    };
    let mut data = json!({
        "mail": told.mail,
        "message_id": told.message_id,
        "org": told.org,
        "login": told.login,
        "stream": told.stream,
        "from": told.mail_from,
        "recipient": told.recipient,
    });
    data[part] = detail;
    Some((name, json!({ "type": format!("mail.{name}"), "timestamp": rfc3339(told.at), "data": data })))
}

fn answered(answer: &Answer) -> Json {
    let verdict = answer.verdict.as_ref();
    json!({
        "code": answer.code,
        "enhanced": answer.enhanced.map(|enhanced| enhanced.to_string()),
        "text": answer.text,
        "mx": answer.mx,
        "provider": answer.provider,
        "cause": verdict.map(|verdict| verdict.cause),
    })
}

/// What other services call the type of a bounce: whether the address is dead, the mail was refused, or time ran out.
fn kind(answer: &Answer, expired: bool) -> Json {
    let cause = answer.verdict.as_ref().map(|verdict| verdict.cause);
    match cause {
        _ if expired => "expired".into(),
        Some(sm2tp_rules::Cause::Address) => "permanent".into(),
        Some(sm2tp_rules::Cause::Mailbox) => "transient".into(),
        Some(_) => "refused".into(),
        None => "undetermined".into(),
    }
}

fn with(mut value: Json, fields: &[(&str, Json)]) -> Json {
    for (name, field) in fields {
        value[*name] = field.clone();
    }
    value
}

/// What can be wanted.
pub const EVENTS: &[&str] = &["delivered", "deferred", "bounced", "complained", "suppressed"];
/// Of one organisation.
const HOOKS_MAX: u64 = 10;
/// Events that wait for one webhook: a newsletter. Beyond it they are left out, and counted.
const WAITING_MAX: u64 = 100_000;
/// Events of one webhook that are called before it is written down what came of them: so many come twice after a crash.
const DUE_MAX: u64 = 20;
const LIST_MAX: usize = 1000;
/// A little more than the tries of one event take: what has not had its turn by then does not get one.
const WAIT_S: u64 = 4 * 86_400;
/// What was given up is kept for a week: beside the send log it is the only place with the pair in clear.
const DEAD_S: u64 = 7 * 86_400;

#[cfg(test)]
mod tests {
    use sm2tp_federation::tags::{KeyId, Tag};

    use super::*;
    use crate::ledger::{SendLog, path};
    use crate::testing::{TempDir, deferred};

    fn wanted(events: &[&str]) -> Wanted {
        let events = events.iter().map(|event| (*event).to_owned()).collect();
        Wanted { org: "asso".into(), url: "https://hooks.asso.example/".into(), events }
    }

    /// What is due at all webhooks.
    async fn due_at(hooks: &Webhooks, now: u64) -> Vec<Due> {
        let mut found = Vec::new();
        for id in hooks.with_due(now).await.unwrap() {
            found.extend(hooks.due(&id, now).await.unwrap());
        }
        found
    }

    async fn happen(ledger: &Ledger, number: u64) {
        let told = deferred("jean@x.example", "busy", "busy");
        let tagger = |_: &sm2tp_proto::Address| Some((KeyId([1; 8]), Tag([2; 16])));
        ledger.absorb("spool", vec![(number, told)], SendLog::Off, tagger, |_, _, _| Ok(())).await.unwrap();
    }

    #[tokio::test]
    async fn what_happens_waits_for_the_webhook_of_its_org_until_it_is_taken() {
        let dir = TempDir::new();
        let ledger = Ledger::open(&path(dir.path())).unwrap();
        let hooks = Webhooks::new(ledger.clone());
        happen(&ledger, 1).await;
        hooks.make(wanted(&["delivered"]), 5).await.unwrap();
        let (made, secret) = hooks.make(wanted(&[]), 5).await.unwrap();
        assert!(secret.starts_with("whsec_") && made.events.len() == EVENTS.len());
        // The same number again: it was taken before.
        happen(&ledger, 1).await;
        happen(&ledger, 2).await;
        let due = due_at(&hooks, u64::MAX >> 1).await;
        assert_eq!(due.len(), 1);
        let event: Json = serde_json::from_str(&due[0].body).unwrap();
        assert_eq!((&event["type"], &event["data"]["recipient"]), (&json!("mail.deferred"), &json!("jean@x.example")));
        assert_eq!(event["data"]["deferral"]["code"], 450);
        hooks.tried(vec![(due[0].clone(), Tried::Taken)], 10).await.unwrap();
        assert!(due_at(&hooks, u64::MAX >> 1).await.is_empty());
        assert_eq!(hooks.list(Some("asso".into())).await.unwrap().iter().map(|hook| hook.waiting).sum::<u64>(), 0);
        assert!(hooks.list(Some("other".into())).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn what_is_refused_is_tried_again_given_up_and_can_be_delivered_again() {
        let dir = TempDir::new();
        let ledger = Ledger::open(&path(dir.path())).unwrap();
        let hooks = Webhooks::new(ledger.clone());
        let (made, _) = hooks.make(wanted(&[]), 5).await.unwrap();
        happen(&ledger, 1).await;
        let mut now = 1_800_000_200;
        let mut tries = 0;
        while let [due] = &due_at(&hooks, now).await[..] {
            tries += 1;
            hooks.tried(vec![(due.clone(), Tried::Refused("500".into()))], now).await.unwrap();
            assert!(due_at(&hooks, now).await.is_empty(), "not at once");
            now += 200_000;
        }
        let listed = hooks.list(None).await.unwrap();
        assert!(5 < tries && (listed[0].waiting, listed[0].dead) == (0, 1), "{tries} {listed:?}");
        let dead = hooks.dead(&made.id, None, 9).await.unwrap();
        assert_eq!((dead.len(), dead[0].why.as_deref()), (1, Some("500")));
        assert_eq!(hooks.redeliver(&made.id, Some(dead[0].id), now).await.unwrap(), 1);
        let due = due_at(&hooks, now).await;
        hooks.tried(vec![(due[0].clone(), Tried::Gone("410".into()))], now).await.unwrap();
        happen(&ledger, 2).await;
        assert!(due_at(&hooks, u64::MAX >> 1).await.is_empty(), "it wants no more");
        hooks.prune(now + DEAD_S + WAIT_S + 1, "late".into()).await.unwrap();
        assert!(hooks.dead(&made.id, None, 9).await.unwrap().is_empty());
        hooks.remove(&made.id).await.unwrap();
        assert!(matches!(hooks.remove(&made.id).await, Err(WebhookError::Unknown(_))));
    }

    #[tokio::test]
    async fn what_never_had_its_turn_is_given_up_and_then_forgotten() {
        let dir = TempDir::new();
        let ledger = Ledger::open(&path(dir.path())).unwrap();
        let hooks = Webhooks::new(ledger.clone());
        let (made, _) = hooks.make(wanted(&[]), 5).await.unwrap();
        let began = crate::now();
        happen(&ledger, 1).await;
        let taken = due_at(&hooks, u64::MAX >> 1).await.remove(0);
        hooks.prune(began + WAIT_S - 60, "late".into()).await.unwrap();
        assert_eq!(hooks.list(None).await.unwrap()[0].waiting, 1);
        let late = began + WAIT_S + 60;
        hooks.prune(late, "late".into()).await.unwrap();
        let listed = hooks.list(None).await.unwrap();
        assert_eq!((listed[0].waiting, listed[0].dead), (0, 1), "{listed:?}");
        assert_eq!(hooks.dead(&made.id, None, 9).await.unwrap()[0].why.as_deref(), Some("late"));
        // An answer that comes after all changes nothing of the count.
        hooks.tried(vec![(taken, Tried::Taken)], late).await.unwrap();
        assert_eq!((hooks.list(None).await.unwrap()[0].waiting, hooks.list(None).await.unwrap()[0].dead), (0, 1));
        hooks.prune(late + DEAD_S + 1, "late".into()).await.unwrap();
        assert_eq!(hooks.list(None).await.unwrap()[0].dead, 0);
    }
}
