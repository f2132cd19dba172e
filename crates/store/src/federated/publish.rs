//! What leaves this node: hard evidence waits for its hold-down, then for a segment, then it is signed and served.

use sm2tp_federation::belief::Switch;
use sm2tp_federation::chain::Head;
use sm2tp_federation::header::{Position, Sealing};
use sm2tp_federation::keys::NodeKey;
use sm2tp_federation::publish::{self, Pending, Publish, Said, SealRules, Seen};
use sm2tp_federation::record::{Class, RECORD_OCTETS, Record, RetractReason, Source, Witness};
use sm2tp_federation::segment;
use sm2tp_federation::tags::{KeyId, Tag, TagKey};
use sm2tp_proto::Address;
use sm2tp_rules::classify::Rulebook;
use sm2tp_rules::{Fate, Outcome, Stage};

use super::{Federated, FederatedError};
use crate::keys::LogSigner;
use crate::ledger::{self, Event, LedgerError, Views};
use crate::sql::{self, Row, Sql, SqlError};
use crate::told::{Answer, Told};

/// The way out for events of this node.
#[derive(Clone)]
pub struct Publisher {
    pub federated: Federated,
    pub views: Views,
    pub own: NodeKey,
    pub log_key: LogSigner,
    pub classifier: Rulebook,
    /// Seconds that a hard event waits for a delivery that proves it wrong.
    pub hold_down_s: u64,
    pub rules: SealRules,
}

/// What one round did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tick {
    pub due: usize,
    pub cancelled: usize,
    pub sealed: usize,
}

/// A tag key whose time is over, and since when (unix seconds): nothing more is told under it, but what is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    pub key_id: KeyId,
    pub at: u64,
}

impl Publisher {
    /// Puts an event about a recipient on its way, if it is one to share (`FEDERATION.md` §4). Runs inside the
    /// transaction that keeps the event.
    ///
    /// # Errors
    /// [`SqlError`] where it cannot be kept.
    pub fn enqueue(&self, sql: &mut dyn Sql, told: &Told, event: &Event, key: &TagKey) -> Result<(), SqlError> {
        if event.kind == "delivered" {
            return self.delivered(sql, told, event, key);
        }
        let Some((answer, outcome)) = told.answer().and_then(|answer| Some((answer, outcome(answer)?))) else {
            return Ok(());
        };
        let Some((class, tag)) = publish::class(&outcome).and_then(|class| Some((class, subject(class, told, key)?)))
        else {
            return Ok(());
        };
        let provider =
            answer.mx.as_deref().and_then(|mx| self.classifier.rules().provider(mx).map(|p| p.code)).unwrap_or(0);
        // `FEDERATION.md` §4: others weigh what a server said to us and what it wrote later.
        let witness = if answer.stage == Some(Stage::Dsn) { Witness::Dsn } else { Witness::SmtpReply };
        let source = Source::new(witness, Some(told.stream));
        let record = publish::record(class, &outcome, tag, &Seen { source, at: event.at, count: 1, provider });
        let hold_down_s = publish::hold_down_s(class).min(self.hold_down_s);
        put(sql, (key.key_id(), tag), &record, (event.at, event.at.saturating_add(hold_down_s)))
    }

    /// A delivery takes back what was told of the address as dead, and of its domain: others need not send a mail each to
    /// find out. What still waits for its hold-down is dropped.
    fn delivered(&self, sql: &mut dyn Sql, told: &Told, event: &Event, key: &TagKey) -> Result<(), SqlError> {
        let Some(address) = told.recipient.as_deref().and_then(|text| Address::parse(text).ok()) else {
            return Ok(());
        };
        let domain = key.tag_domain(address.domain()).ok().map(|tag| (key.key_id(), tag));
        // Before this delivery. Most addresses have nothing against them, and then there is nothing to look for.
        let is_held_against =
            |tag: &Tag| self.views.evidence(tag).is_some_and(|known| known.hard_at | known.soft_at != 0);
        let own = event.recipient.filter(|(_, tag)| is_held_against(tag));
        let source = Source::new(Witness::SmtpReply, Some(told.stream));
        for told in domain.into_iter().chain(own) {
            if sql::first(sql, SAID_OR_WAITS, &[told.1.0[..].into()], |_| Ok(()))?.is_some() {
                retract(sql, &[told], RetractReason::Delivered, source, event.at)?;
            }
        }
        self.contradict(sql, &address, key, source, event.at)
    }

    /// Moves what is due towards a segment. `ended`: the key that is recorded under, where its time is over; what was seen since
    /// then is dropped, because none of its tags would ever be published under another key. `now` in unix seconds.
    ///
    /// # Errors
    /// [`FederatedError`]: nothing moved; it will be tried again.
    pub async fn collect(&self, ended: Option<Ended>, now: u64) -> Result<Tick, FederatedError> {
        let (views, hold_down_s) = (self.views.clone(), self.hold_down_s);
        let freeze = self.federated.belief().provider_freeze;
        let tick = self.federated.ledger.write(move |sql| {
            let late = ended.map_or(Ok(0), |ended| drop_late(sql, ended))?;
            let tick = collect(sql, &views, (hold_down_s, freeze), now)?;
            Ok(Tick { cancelled: tick.cancelled + late, ..tick })
        });
        Ok(tick.await?)
    }

    /// Seals the open segment if its time has come; answers with the number of events in it.
    ///
    /// # Errors
    /// [`FederatedError`]: nothing was published.
    pub async fn seal(&self, now: u64, epoch: u32) -> Result<usize, FederatedError> {
        let _log = self.federated.own_log.lock().await;
        let waiting = self.federated.ledger.read(|sql| Ok(oldest(sql)?)).await?;
        let Some((key_id, count, oldest_at)) = waiting else { return Ok(0) };
        let rules = self.rules.among(self.federated.look(|index| index.logs()));
        if !publish::should_seal(u32::try_from(count).unwrap_or(u32::MAX), oldest_at, now, &rules) {
            return Ok(0);
        }
        let records = self.federated.ledger.read(move |sql| Ok(pending(sql, key_id)?)).await?;
        let Some((last, _)) = records.last() else { return Ok(0) };
        let last = *last;
        let head = self.federated.head(self.own).await?;
        let sealing = next(self.own, head, epoch, key_id, now);
        let list: Vec<Record> = records.iter().map(|(_, record)| *record).collect();
        let sealed = segment::seal(&sealing, &self.log_key.key(), &list)
            .map_err(|error| FederatedError::Refused(format!("events cannot be sealed: {error}")))?;
        self.federated.keep(&sealed.header, &sealed.body, None, now).await?;
        let gone = "DELETE FROM pending WHERE key_id = $1 AND id <= $2";
        self.federated.ledger.write(move |sql| Ok(sql.execute(gone, &[key_id.0[..].into(), last.into()])?)).await?;
        Ok(list.len())
    }

    /// Keeps what a person decided by hand, and takes back what this node told others about these tags. Answers whether it
    /// had told anything.
    ///
    /// # Errors
    /// [`LedgerError`]: nothing of it was kept.
    pub async fn released(&self, events: Vec<Event>, told: Vec<(KeyId, Tag)>, now: u64) -> Result<bool, LedgerError> {
        let kept = self.federated.ledger.settle(move |sql| {
            events.iter().try_for_each(|event| ledger::keep(sql, event))?;
            let taken_back = retract(sql, &told, RetractReason::Mistake, Source::new(Witness::ByHand, None), now)?;
            Ok((events, taken_back))
        });
        Ok(kept.await? != 0)
    }

    /// Events that wait for their hold-down or for a segment.
    ///
    /// # Errors
    /// [`FederatedError`] where the ledger cannot be read.
    pub async fn waiting(&self) -> Result<u64, FederatedError> {
        let query = "SELECT (SELECT COUNT(*) FROM publish) + (SELECT COUNT(*) FROM pending)";
        let found = self.federated.ledger.read(move |sql| Ok(sql::first(sql, query, &[], |row| row.uint(0))?)).await?;
        Ok(found.unwrap_or(0))
    }
}

/// Takes back what this node told others about these tags, because a person or a delivery says otherwise; nothing where it
/// told nothing. What waits to be told is dropped. Answers with the number of tags of which something was told. Runs inside
/// the transaction that keeps the event.
pub(crate) fn retract(
    sql: &mut dyn Sql,
    tags: &[(KeyId, Tag)],
    reason: RetractReason,
    source: Source,
    now: u64,
) -> Result<usize, SqlError> {
    let mut taken_back = 0;
    for (key_id, tag) in tags {
        let values = [tag.0[..].into(), u32::from(Class::RETRACT.0).into()];
        sql.execute("DELETE FROM publish WHERE tag = $1 AND class <> $2", &values)?;
        if sql::first(sql, TOLD, &values, |_| Ok(()))?.is_none() {
            continue;
        }
        let record = Record::retract(*tag, reason, source, now);
        put(sql, (*key_id, *tag), &record, (now, now))?;
        taken_back += 1;
    }
    Ok(taken_back)
}

/// Puts an event on its way. `at` and `due` in unix seconds.
pub(super) fn put(
    sql: &mut dyn Sql,
    (key_id, tag): (KeyId, Tag),
    record: &Record,
    (at, due): (u64, u64),
) -> Result<(), SqlError> {
    let values = [
        key_id.0[..].into(),
        tag.0[..].into(),
        u32::from(record.class.0).into(),
        at.into(),
        due.into(),
        record.encode()[..].into(),
    ];
    let insert = "INSERT INTO publish (key_id, tag, class, at, due, record) VALUES ($1, $2, $3, $4, $5, $6)";
    sql.execute(insert, &values)?;
    Ok(())
}

/// The classifier's word as the rules speak it.
fn outcome(answer: &Answer) -> Option<Outcome> {
    let verdict = answer.verdict.as_ref()?;
    Some(Outcome {
        cause: verdict.cause,
        sub: verdict.sub.as_deref().map(Into::into),
        // Only what was given up comes here.
        fate: Fate::Final,
        scope: verdict.scope,
        strength: verdict.strength,
        rule: verdict.rule.as_str().into(),
        provider: answer.provider.as_deref().map(Into::into),
        code: answer.code,
        enhanced: answer.enhanced,
        retry_after_s: None,
        link: None,
    })
}

/// The tag that is published: none for addresses that look like bounce tokens (§3.5).
fn subject(class: Class, told: &Told, key: &TagKey) -> Option<Tag> {
    let address = Address::parse(told.recipient.as_deref()?).ok()?;
    if class == Class::DOMAIN_DEAD {
        return key.tag_domain(address.domain()).ok();
    }
    key.tag_to_publish(&address).ok()?
}

/// `FEDERATION.md` §3: after its end a tag key is for look-ups. What is wrong must not stand for that.
fn drop_late(sql: &mut dyn Sql, ended: Ended) -> Result<usize, SqlError> {
    let values = [ended.key_id.0[..].into(), ended.at.into(), u32::from(Class::RETRACT.0).into()];
    sql.execute("DELETE FROM publish WHERE key_id = $1 AND $2 < at AND class <> $3", &values)
}

fn collect(sql: &mut dyn Sql, views: &Views, (hold_down_s, freeze): (u64, Switch), now: u64) -> Result<Tick, SqlError> {
    let due = sql::all(sql, DUE, &[now.into(), COLLECT_MAX.into()], waiting)?;
    let mut tick = Tick { due: due.len(), ..Tick::default() };
    for event in &due {
        let hold_down_s = publish::hold_down_s(event.class).min(hold_down_s);
        let delivered_at = views.evidence(&event.tag).map(|known| known.delivered_at).filter(|at| *at != 0);
        // A delivery proves a death wrong, and what is taken back or contradicted right.
        let is_death = event.class != Class::RETRACT && event.class != Class::CONTRADICT;
        let last_success_at = delivered_at.filter(|_| is_death);
        let in_strange_hour = freeze == Switch::On && strange(sql, event)?;
        let state = Pending { event_at: event.at, last_success_at, in_strange_hour };
        match publish::may_publish(&state, now, hold_down_s) {
            Publish::Now => match repeats(sql, event, now)? {
                None => add(sql, event, now)?,
                // What is wrong must not stand because it was taken back once today: it only waits.
                Some(until) if event.class == Class::RETRACT => {
                    sql.execute(LATER, &[event.id.into(), until.into()])?;
                    continue;
                }
                Some(_) => tick.cancelled += 1,
            },
            Publish::Cancelled => tick.cancelled += 1,
            Publish::Wait { until } => {
                sql.execute(LATER, &[event.id.into(), until.into()])?;
                continue;
            }
        }
        sql.execute("DELETE FROM publish WHERE id = $1", &[event.id.into()])?;
    }
    Ok(tick)
}

/// Whether the provider erred in the hour of the event (`FEDERATION.md` §8.3).
fn strange(sql: &mut dyn Sql, event: &Waiting) -> Result<bool, SqlError> {
    let record = Record::decode(&event.record);
    let values = [u32::from(record.provider).into(), record.hour.into()];
    let query = "SELECT 1 FROM frozen_hour WHERE provider = $1 AND hour = $2";
    Ok(event.class == Class::HARD && sql::first(sql, query, &values, |_| Ok(()))?.is_some())
}

/// Until when this would say again what was said lately.
fn repeats(sql: &mut dyn Sql, event: &Waiting, now: u64) -> Result<Option<u64>, SqlError> {
    let query = "SELECT at FROM published WHERE tag = $1 AND class = $2";
    let last = |sql: &mut dyn Sql, class: Class| {
        sql::first(sql, query, &[event.tag.0[..].into(), u32::from(class.0).into()], |row| row.uint(0))
    };
    let said = Said { last_at: last(sql, event.class)?, retracted_at: last(sql, Class::RETRACT)? };
    Ok(publish::repeats_until(event.class, &said, now))
}

fn add(sql: &mut dyn Sql, event: &Waiting, now: u64) -> Result<(), SqlError> {
    sql.execute(
        "INSERT INTO pending (key_id, at, record) VALUES ($1, $2, $3)",
        &[event.key_id.0[..].into(), now.into(), event.record[..].into()],
    )?;
    sql.execute(
        "INSERT INTO published (tag, class, at) VALUES ($1, $2, $3) \
         ON CONFLICT (tag, class) DO UPDATE SET at = excluded.at",
        &[event.tag.0[..].into(), u32::from(event.class.0).into(), now.into()],
    )?;
    Ok(())
}

/// One row of `publish`.
struct Waiting {
    id: u64,
    key_id: KeyId,
    tag: Tag,
    class: Class,
    at: u64,
    record: [u8; RECORD_OCTETS],
}

fn waiting(row: &Row) -> Result<Waiting, SqlError> {
    Ok(Waiting {
        id: row.uint(0)?,
        key_id: KeyId(row.octets(1)?),
        tag: Tag(row.octets(2)?),
        class: Class(u8::try_from(row.uint(3)?).unwrap_or(0)),
        at: row.uint(4)?,
        record: row.octets(5)?,
    })
}

/// The key of the oldest pending event, how many wait under it, and since when: a segment has one key.
fn oldest(sql: &mut dyn Sql) -> Result<Option<(KeyId, u64, u64)>, SqlError> {
    let query = "SELECT key_id FROM pending ORDER BY id LIMIT 1";
    let Some(key_id) = sql::first(sql, query, &[], |row| row.octets(0).map(KeyId))? else { return Ok(None) };
    let query = "SELECT COUNT(*), MIN(at) FROM pending WHERE key_id = $1";
    let counted = sql::first(sql, query, &[key_id.0[..].into()], |row| Ok((row.uint(0)?, row.uint(1)?)))?;
    Ok(counted.map(|(count, at)| (key_id, count, at)))
}

fn pending(sql: &mut dyn Sql, key_id: KeyId) -> Result<Vec<(u64, Record)>, SqlError> {
    let query = "SELECT id, record FROM pending WHERE key_id = $1 ORDER BY id LIMIT 4096";
    sql::all(sql, query, &[key_id.0[..].into()], |row| Ok((row.uint(0)?, Record::decode(&row.octets(1)?))))
}

/// The place of the next own segment.
fn next(origin: NodeKey, head: Option<Head>, epoch: u32, key_id: KeyId, sealed_at: u64) -> Sealing {
    match head.filter(|head| head.position.epoch == epoch) {
        Some(head) => Sealing {
            origin,
            position: Position { epoch, segno: head.position.segno + 1 },
            first_sequence: head.next_sequence,
            prev: head.hash,
            key_id,
            sealed_at,
        },
        None => Sealing {
            origin,
            position: Position { epoch, segno: 0 },
            first_sequence: head.map_or(1, |head| head.next_sequence),
            prev: [0; 32],
            key_id,
            sealed_at,
        },
    }
}

/// Something was told against the tag, which is neither taken back nor about to be. That it lives (8) is not against it.
const TOLD: &str = "SELECT 1 FROM published WHERE tag = $1 AND class <> $2 AND class <> 8 \
    AND at > COALESCE((SELECT MAX(at) FROM published WHERE tag = $1 AND class = $2), -1) \
    AND NOT EXISTS (SELECT 1 FROM publish WHERE tag = $1 AND class = $2)";
/// Anything was told of the tag, or is about to be.
const SAID_OR_WAITS: &str =
    "SELECT 1 FROM published WHERE tag = $1 UNION ALL SELECT 1 FROM publish WHERE tag = $1 LIMIT 1";
const LATER: &str = "UPDATE publish SET due = $2 WHERE id = $1";
const DUE: &str = "SELECT id, key_id, tag, class, at, record FROM publish WHERE due <= $1 ORDER BY due, id LIMIT $2";
/// Events that one round moves; the rest waits for the next.
const COLLECT_MAX: u64 = 5000;
