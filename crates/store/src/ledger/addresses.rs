//! What is known of each address: the fold of what was said of it, and how often what happened. One row of `recipient` each,
//! because tags lie all over their tree: a second table would cost as many pages again for each batch.

use std::collections::BTreeMap;

use sm2tp_federation::tags::{KeyId, Tag};
use sm2tp_proto::Enhanced;
use sm2tp_rules::Evidence;
use sm2tp_rules::evidence::SOFT_DAYS_MAX;

use super::event::{DAY_S, Event, Speaker, Subject};
use crate::sql::{self, Row, Sql, SqlError, Value};

/// What is known of one address, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct RecipientFigures {
    pub delivered: u64,
    /// Refusals about the address, and about its mailbox.
    pub hard: u64,
    pub soft: u64,
    /// Mail that was refused although nothing is wrong with the address.
    pub refused: u64,
    pub complained: u64,
}

/// What some events change of one address.
struct Change<'a> {
    key_id: KeyId,
    domain: Option<&'a str>,
    counts: [i64; COUNTS],
    /// In their order.
    said: Vec<&'a Event>,
}

/// Puts events about recipients into the table; others are left out. The rows are written in the order of their tree.
pub(super) fn put<'a>(sql: &mut dyn Sql, events: impl IntoIterator<Item = &'a Event>) -> Result<(), SqlError> {
    let mut changes = BTreeMap::<[u8; 16], Change<'_>>::new();
    for event in events {
        let (column, says) = (column(event), event.happening().is_some());
        let Some((key_id, tag)) = event.recipient.filter(|_| says || column.is_some()) else { continue };
        let domain = event.domain.as_deref();
        let change = changes.entry(tag.0).or_insert(Change { key_id, domain, counts: [0; COUNTS], said: Vec::new() });
        if let Some(column) = column {
            change.counts[column] += 1;
        }
        if says {
            (change.key_id, change.domain) = (key_id, domain);
            change.said.push(event);
        }
    }
    for (tag, change) in changes {
        match change.said.last() {
            Some(last) => fold(sql, &tag, &change, last)?,
            None => sql.execute(ADD, &change.counted(&tag)).map(drop)?,
        }
    }
    Ok(())
}

/// Takes back what an event counted that is not believed any more; what it said is put back by [`put_back`].
pub(super) fn uncount(sql: &mut dyn Sql, event: &Event) -> Result<(), SqlError> {
    let (Some(column), Some((_, tag))) = (column(event), event.recipient) else { return Ok(()) };
    let mut values: Vec<Value> = [0; COUNTS].map(Value::Int).to_vec();
    values[column] = Value::Int(1);
    values.push(tag.0[..].into());
    sql.execute(TAKE, &values)?;
    Ok(())
}

/// What was counted of one address under any of its tags.
///
/// # Errors
/// [`SqlError`] where it cannot be read.
pub fn of_recipient(sql: &mut dyn Sql, tags: &[Tag]) -> Result<RecipientFigures, SqlError> {
    let query = "SELECT delivered, hard, soft, refused, complained FROM recipient WHERE tag = $1";
    let mut sum = RecipientFigures::default();
    for tag in tags {
        let read = |row: &Row| {
            let of = |column| row.int(column).map(|count| u64::try_from(count).unwrap_or(0));
            Ok([of(0)?, of(1)?, of(2)?, of(3)?, of(4)?])
        };
        let Some(found) = sql::first(sql, query, &[tag.0[..].into()], read)? else { continue };
        let [delivered, hard, soft, refused, complained] = found;
        sum.delivered += delivered;
        sum.hard += hard;
        sum.soft += soft;
        sum.refused += refused;
        sum.complained += complained;
    }
    Ok(sum)
}

/// Writes the fold of one address as it was before what was withdrawn; the words of that time are not kept.
pub(super) fn put_back(sql: &mut dyn Sql, tag: Tag, evidence: &Evidence) -> Result<(), SqlError> {
    let mut values = vec![Value::from(&tag.0[..])];
    values.extend(columns(evidence));
    sql.execute(PUT_BACK, &values)?;
    if evidence.is_empty() {
        sql.execute(FORGET, &[tag.0[..].into()])?;
    }
    Ok(())
}

/// Reads the fold of one address from a row that starts with [`EVIDENCE_COLUMNS`].
pub(super) fn evidence(row: &Row) -> Result<Evidence, SqlError> {
    let small = |column: usize| row.uint(column).map(|value| u16::try_from(value).unwrap_or(u16::MAX));
    Ok(Evidence {
        delivered_at: row.uint(0)?,
        hard_first_at: row.uint(1)?,
        hard_at: row.uint(2)?,
        hard_strong: row.int(3)? != 0,
        hard_inactive: row.int(4)? != 0,
        hard_code: small(5)?,
        hard_enhanced: row.text_or_null(6)?.and_then(Enhanced::at_start),
        soft_days: match (row.int(10)?, row.uint(7)?) {
            // Of an older version, which kept how many, the first and the last: as many days, spread evenly.
            (0, 1..) => spread(row.uint(7)?, row.uint(9)?.saturating_sub(row.uint(8)?) / DAY_S),
            (days, _) => days.cast_unsigned(),
        },
        soft_at: row.uint(9)?,
        hard_imported: row.text_or_null(11)?.and_then(|imported| imported.parse().ok()),
    })
}

/// The domain of the address and the rule that understood the last answer, behind [`EVIDENCE_COLUMNS`] and its tag.
pub(super) fn domain_and_rule(row: &Row) -> Result<(&str, Option<&str>), SqlError> {
    Ok((row.text(EVIDENCE_WIDTH + 1)?, row.text_or_null(EVIDENCE_WIDTH + 2)?))
}

impl Change<'_> {
    /// The values of [`ADD`], which begin those of [`FOLD`].
    fn counted(&self, tag: &[u8; 16]) -> Vec<Value> {
        let mut values = Vec::with_capacity(FOLD_VALUES);
        values.extend([tag[..].into(), self.key_id.0[..].into(), self.domain.unwrap_or("").into()]);
        values.extend(self.counts.map(Value::Int));
        values
    }
}

fn fold(sql: &mut dyn Sql, tag: &[u8; 16], change: &Change<'_>, last: &Event) -> Result<(), SqlError> {
    let before = sql::first(sql, EVIDENCE, &[tag[..].into()], evidence)?.unwrap_or_default();
    let said = change.said.iter().filter_map(|event| Some((event.happening()?, event.at)));
    let after = said.fold(before, |evidence, (happening, at)| evidence.after(happening, at));
    let mut values = change.counted(tag);
    values.extend(columns(&after));
    values.extend([last.note.as_deref().into(), last.rule.as_deref().into(), last.said_by.map(Speaker::as_str).into()]);
    sql.execute(FOLD, &values)?;
    Ok(())
}

/// The values of [`EVIDENCE_COLUMNS`].
fn columns(evidence: &Evidence) -> [Value; EVIDENCE_WIDTH] {
    [
        evidence.delivered_at.into(),
        evidence.hard_first_at.into(),
        evidence.hard_at.into(),
        evidence.hard_strong.into(),
        evidence.hard_inactive.into(),
        u32::from(evidence.hard_code).into(),
        evidence.hard_enhanced.map(|enhanced| enhanced.to_string()).into(),
        evidence.soft_days.count_ones().into(),
        soft_first_at(evidence).into(),
        evidence.soft_at.into(),
        Value::Int(evidence.soft_days.cast_signed()),
        evidence.hard_imported.map(|imported| imported.to_string()).into(),
    ]
}

/// In which column an event about a recipient is counted.
fn column(event: &Event) -> Option<usize> {
    if event.subject != Subject::Recipient {
        return None;
    }
    match event.kind.as_str() {
        "delivered" => Some(0),
        "hard" => Some(1),
        "soft" => Some(2),
        "refused" => Some(3),
        "optout" if event.cause.as_deref() == Some("complaint") => Some(4),
        _ => None,
    }
}

/// `count` days, the last of them and the one `days` before it among them, as in [`Evidence::soft_days`].
fn spread(count: u64, days: u64) -> u64 {
    let (count, days) = (count.clamp(1, SOFT_DAYS_MAX), days.min(SOFT_DAYS_MAX));
    (0..count).map(|n| 1 << (days * n / (count - 1).max(1))).fold(0, |all, day: u64| all | day)
}

/// The day of the first soft failure that is remembered, for who looks into the table.
fn soft_first_at(evidence: &Evidence) -> u64 {
    let days = evidence.soft_days.checked_ilog2().unwrap_or(0);
    evidence.soft_at.saturating_sub(u64::from(days) * DAY_S)
}

/// The columns that [`evidence`] expects.
pub(super) const EVIDENCE_COLUMNS: &str = "delivered_at, hard_first_at, hard_at, hard_strong, hard_inactive, \
    hard_code, hard_enhanced, soft_count, soft_first_at, soft_at, soft_days, hard_imported";

/// How many they are.
pub(super) const EVIDENCE_WIDTH: usize = 12;

const EVIDENCE: &str = "SELECT delivered_at, hard_first_at, hard_at, hard_strong, hard_inactive, hard_code, \
    hard_enhanced, soft_count, soft_first_at, soft_at, soft_days, hard_imported FROM recipient WHERE tag = $1";

/// Of an address of which nothing is said; a new row knows nothing else.
const ADD: &str = "INSERT INTO recipient (tag, key_id, domain, delivered, hard, soft, refused, complained, \
    delivered_at, hard_first_at, hard_at, hard_strong, hard_inactive, hard_code, soft_count, soft_first_at, soft_at) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, 0, 0, 0, 0, 0, 0, 0, 0) ON CONFLICT (tag) DO UPDATE SET \
    delivered = recipient.delivered + excluded.delivered, hard = recipient.hard + excluded.hard, \
    soft = recipient.soft + excluded.soft, refused = recipient.refused + excluded.refused, \
    complained = recipient.complained + excluded.complained";

const FOLD: &str = "INSERT INTO recipient (tag, key_id, domain, delivered, hard, soft, refused, complained, \
    delivered_at, hard_first_at, hard_at, hard_strong, hard_inactive, hard_code, hard_enhanced, soft_count, \
    soft_first_at, soft_at, soft_days, hard_imported, reply, rule, said_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, \
    $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23) ON CONFLICT (tag) DO UPDATE SET \
    delivered = recipient.delivered + excluded.delivered, hard = recipient.hard + excluded.hard, \
    soft = recipient.soft + excluded.soft, refused = recipient.refused + excluded.refused, \
    complained = recipient.complained + excluded.complained, delivered_at = excluded.delivered_at, \
    hard_first_at = excluded.hard_first_at, hard_at = excluded.hard_at, hard_strong = excluded.hard_strong, \
    hard_inactive = excluded.hard_inactive, hard_code = excluded.hard_code, hard_enhanced = excluded.hard_enhanced, \
    soft_count = excluded.soft_count, soft_first_at = excluded.soft_first_at, soft_at = excluded.soft_at, \
    soft_days = excluded.soft_days, hard_imported = excluded.hard_imported, reply = excluded.reply, \
    rule = excluded.rule, said_by = excluded.said_by";
const FOLD_VALUES: usize = 23;

const TAKE: &str = "UPDATE recipient SET delivered = delivered - $1, hard = hard - $2, soft = soft - $3, \
    refused = refused - $4, complained = complained - $5 WHERE tag = $6";

const PUT_BACK: &str = "UPDATE recipient SET delivered_at = $2, hard_first_at = $3, hard_at = $4, hard_strong = $5, \
    hard_inactive = $6, hard_code = $7, hard_enhanced = $8, soft_count = $9, soft_first_at = $10, soft_at = $11, \
    soft_days = $12, hard_imported = $13, reply = NULL, rule = NULL WHERE tag = $1";

const FORGET: &str = "DELETE FROM recipient WHERE tag = $1 AND delivered = 0 AND hard = 0 AND soft = 0 \
    AND refused = 0 AND complained = 0";

/// Of [`RecipientFigures`].
const COUNTS: usize = 5;

#[cfg(test)]
mod tests {
    use sm2tp_rules::Strength;

    use super::*;
    use crate::ledger::{Ledger, path};
    use crate::testing::TempDir;

    const AT: u64 = 1_800_000_000;

    fn event(kind: &str, tag: u8, at: u64) -> Event {
        Event {
            recipient: Some((KeyId([1; 8]), Tag([tag; 16]))),
            domain: Some("x.example".into()),
            code: Some(550),
            strength: Some(Strength::Strong),
            note: Some(format!("{kind} {at}")),
            rule: Some("test".into()),
            said_by: Some(Speaker::Server),
            ..Event::new(at, Subject::Recipient, kind)
        }
    }

    async fn rows(ledger: &Ledger) -> Vec<String> {
        let query = "SELECT * FROM recipient ORDER BY tag";
        ledger.read(move |sql| Ok(sql::all(sql, query, &[], |row| Ok(format!("{row:?}")))?)).await.unwrap()
    }

    /// Two ledgers hear the same, one event by event and one at once.
    async fn check(events: Vec<Event>) {
        let (one, all) = (TempDir::quick(), TempDir::quick());
        let (one, all) = (crate::testing::ledger(one.path()), crate::testing::ledger(all.path()));
        for event in &events {
            one.append(vec![event.clone()]).await.unwrap();
        }
        all.append(events).await.unwrap();
        assert_eq!(rows(&one).await, rows(&all).await);
        let before = rows(&all).await;
        all.rebuild().await.unwrap();
        assert_eq!(rows(&all).await, before);
    }

    #[tokio::test]
    async fn events_of_a_batch_are_folded_as_if_they_came_one_by_one() {
        check(vec![event("hard", 1, AT), event("delivered", 1, AT + 1), event("hard", 1, AT + 2)]).await;
        check(vec![event("delivered", 2, AT), event("hard", 1, AT), event("soft", 2, AT + 5)]).await;
        // What says nothing of the address is counted, and leaves the words of before.
        check(vec![event("hard", 1, AT), event("refused", 1, AT + 1), event("refused", 3, AT)]).await;
        check(vec![event("refused", 1, AT), event("hard", 1, AT + 1), event("released", 1, AT + 2)]).await;
        let complaint = Event { cause: Some("complaint".into()), org: Some("asso".into()), ..event("optout", 1, AT) };
        check(vec![complaint, event("suppress", 2, AT), event("hard", 1, AT)]).await;
    }

    #[tokio::test]
    async fn who_only_had_mail_refused_is_counted_and_nothing_is_held_against_them() {
        let dir = TempDir::quick();
        let ledger = crate::testing::ledger(dir.path());
        ledger.append(vec![event("refused", 1, AT)]).await.unwrap();
        let figures = ledger.read(|sql| Ok(of_recipient(sql, &[Tag([1; 16])])?)).await.unwrap();
        assert_eq!(figures, RecipientFigures { refused: 1, ..RecipientFigures::default() });
        drop(ledger);
        let ledger = crate::testing::ledger(dir.path());
        assert!(ledger.views().is_empty(), "memory is for what says something");
    }

    #[tokio::test]
    async fn what_is_withdrawn_leaves_no_row_and_no_count() {
        let dir = TempDir::quick();
        let ledger = crate::testing::ledger(dir.path());
        let (first, second) = (event("delivered", 1, AT), event("hard", 1, AT + 1));
        ledger.append(vec![first, second.clone(), Event { at: AT, ..event("hard", 2, AT) }]).await.unwrap();
        let undo = move |sql: &mut dyn Sql| {
            uncount(sql, &second)?;
            put_back(sql, Tag([1; 16]), &Evidence { delivered_at: AT, ..Evidence::default() })?;
            uncount(sql, &event("hard", 2, AT))?;
            put_back(sql, Tag([2; 16]), &Evidence::default())?;
            Ok(of_recipient(sql, &[Tag([1; 16]), Tag([2; 16])])?)
        };
        let figures = ledger.write(undo).await.unwrap();
        assert_eq!(figures, RecipientFigures { delivered: 1, ..RecipientFigures::default() });
        assert_eq!(rows(&ledger).await.len(), 1);
    }

    #[tokio::test]
    async fn a_ledger_of_format_16_counts_its_addresses_again() {
        let dir = TempDir::quick();
        let ledger = Ledger::open(&path(dir.path())).unwrap();
        ledger.append(vec![event("hard", 1, AT), event("refused", 1, AT), event("delivered", 2, AT)]).await.unwrap();
        let before = rows(&ledger).await;
        drop(ledger);
        let connection = rusqlite::Connection::open(path(dir.path())).unwrap();
        for column in ["delivered", "hard", "soft", "refused", "complained"] {
            connection.execute_batch(&format!("ALTER TABLE recipient DROP COLUMN {column}")).unwrap();
        }
        let older = "CREATE TABLE recipient_figure (tag BLOB PRIMARY KEY) WITHOUT ROWID; PRAGMA user_version = 16;";
        connection.execute_batch(older).unwrap();
        drop(connection);
        for _ in 0..2 {
            assert_eq!(rows(&Ledger::open(&path(dir.path())).unwrap()).await, before);
        }
    }
}
