//! Erasure of one address (decision 0041): what the ledger and the tables beside it hold of it is found, and removed.
//!
//! The only place where events go (I3): those about the recipient itself, which nothing counts but the views of that
//! recipient. What was counted for senders, domains and exits stays, because no line of it leads to a person.

use std::collections::BTreeSet;

use sm2tp_federation::record::{RECORD_OCTETS, Record};
use sm2tp_federation::tags::{KeyId, Tag};
use sm2tp_proto::Address;

use super::event::{Event, Subject, hour};
use super::{Ledger, LedgerError, ask, keep};
use crate::sql::{self, Sql, SqlError, Value};
use crate::told::mask;
use crate::webhooks;

/// Whom it is about: an address under every tag that it may have been recorded under.
#[derive(Debug, Clone)]
pub struct Whom {
    pub address: Address,
    pub tags: Vec<(KeyId, Tag)>,
}

/// What is kept of an address, in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Kept {
    /// Lines of the ledger about the recipient.
    pub events: u64,
    /// Lines of the send log that name it, as recipient or as sender.
    pub send_log: u64,
    /// Answers in the send log about others that name it.
    pub answers: u64,
    /// Organisations whose mail the person does not want, by opting out or by a complaint. `""` stands for none of them.
    pub opted_out: Vec<String>,
    /// Places on lists that people keep, allow lists among them.
    pub lists: u64,
    /// Canaries, questions about mail, mail that may have arrived twice, what programs of organisations are to be told.
    pub others: u64,
    /// Lines that say that a person decided about it.
    pub decided: u64,
    /// What was to be told to other nodes and is not yet.
    pub unsent: u64,
}

/// How far was looked: numbers of lines.
#[derive(Debug, Clone, Copy, Default)]
struct Past {
    event: u64,
    line: u64,
}

/// Where it stands.
#[derive(Debug, Default)]
struct Found {
    kept: Kept,
    past: Past,
    events: Vec<u64>,
    lines: Vec<u64>,
    /// Lines about others, with their words as they may stay.
    answers: Vec<(u64, String)>,
    /// The address as it was written there.
    names: BTreeSet<String>,
}

impl Whom {
    /// All by which it may stand in a file.
    #[must_use]
    pub fn octets(&self) -> Vec<Vec<u8>> {
        let name = self.address.clear().to_owned();
        let lower = name.to_ascii_lowercase();
        let tags = self.tags.iter().flat_map(|(_, tag)| [tag.0.to_vec(), hex(tag).into_bytes()]);
        [name.into_bytes(), lower.into_bytes()].into_iter().chain(tags).collect()
    }

    fn is(&self, text: &str) -> bool {
        Address::parse(text).is_ok_and(|address| address.is_same_in_any_case(&self.address))
    }
}

impl Ledger {
    /// What is kept of an address.
    ///
    /// # Errors
    /// [`LedgerError`] where it cannot be read.
    pub async fn kept_of(&self, whom: Whom) -> Result<Kept, LedgerError> {
        self.read(move |sql| Ok(find(sql, &whom, Past::default())?.kept)).await
    }

    /// Removes all that is kept of an address, and notes that something was, without saying of whom. `also` is kept in the
    /// same transaction: what other nodes are asked to erase. Answers also whether it is gone from the octets of the file;
    /// where it is not, another time may do it.
    ///
    /// # Errors
    /// [`LedgerError`]: nothing was removed.
    pub(crate) async fn erase(
        &self,
        whom: Whom,
        now: u64,
        also: impl FnOnce(&mut dyn Sql) -> Result<(), SqlError> + Send + 'static,
    ) -> Result<(Kept, bool), LedgerError> {
        // The long look is beside the writer, who has mail to count; that looks again at what came meanwhile.
        let asked = whom.clone();
        let found = self.read(move |sql| Ok(find(sql, &asked, Past::default())?)).await?;
        let pictures = self.pictures.clone();
        ask(&self.writer, move |connection| {
            let kept = pictures.transaction::<_, LedgerError>(connection, |sql| {
                let fresh = find(sql, &whom, found.past)?;
                remove(sql, &whom, [&found, &fresh])?;
                also(sql)?;
                let kept = found.kept.with(&fresh.kept);
                if kept != Kept::default() {
                    keep(sql, &Event { count: kept.events, ..Event::new(hour(now), Subject::Recipient, ERASED) })?;
                }
                Ok(kept)
            })?;
            pictures.views.forget(&whom.tags);
            let mut gone = whom.octets();
            gone.extend(found.names.into_iter().map(String::into_bytes));
            let overwritten = connection.overwrite(&gone);
            if let Err(error) = &overwritten {
                tracing::warn!(%error, "the ledger cannot be written anew: what was erased may stand in unused parts of its file");
            }
            Ok((kept, overwritten.is_ok()))
        })
        .await
    }
}

impl Kept {
    /// What a second look found besides; what is not looked at line by line it has seen whole.
    fn with(&self, later: &Self) -> Self {
        Self {
            events: self.events + later.events,
            send_log: self.send_log + later.send_log,
            answers: self.answers + later.answers,
            ..later.clone()
        }
    }
}

fn find(sql: &mut dyn Sql, whom: &Whom, after: Past) -> Result<Found, SqlError> {
    let newest = "SELECT COALESCE((SELECT MAX(id) FROM event), 0), COALESCE((SELECT MAX(id) FROM send_log), 0)";
    let past = sql::first(sql, newest, &[], |row| Ok(Past { event: row.uint(0)?, line: row.uint(1)? }))?;
    let past = past.unwrap_or_default();
    let mut found = Found { past, ..Found::default() };
    for (_, tag) in &whom.tags {
        let query = "SELECT id FROM event WHERE $1 < id AND id <= $2 AND tag = $3";
        let values = [after.event.into(), past.event.into(), tag.0[..].into()];
        found.events.extend(sql::all(sql, query, &values, |row| row.uint(0))?);
    }
    // Names that are not written in ASCII may be the same domain in other letters.
    let domain = format!("%{}%", whom.address.domain());
    let named = "SELECT id, recipient, mail_from, text FROM send_log WHERE $1 < id AND id <= $2 AND (LOWER(recipient) LIKE $3 \
                 OR LOWER(mail_from) LIKE $3 OR LOWER(text) LIKE $3 OR LENGTH(recipient) <> OCTET_LENGTH(recipient) \
                 OR LENGTH(mail_from) <> OCTET_LENGTH(mail_from))";
    let values = [after.line.into(), past.line.into(), domain.into()];
    sql.rows(named, &values, &mut |row| {
        let id = row.uint(0)?;
        let names = [row.text_or_null(1)?, row.text_or_null(2)?].into_iter().flatten().filter(|name| whom.is(name));
        let mut is_named = false;
        for name in names {
            is_named = true;
            found.names.insert(name.to_owned());
        }
        if is_named {
            found.lines.push(id);
        } else if let Some(text) = row.text_or_null(3)? {
            let masked = mask(text, &whom.address);
            if masked != text {
                found.answers.push((id, masked));
            }
        }
        Ok(())
    })?;
    found.kept = kept_beside(sql, whom)?;
    found.kept.events = found.events.len() as u64;
    found.kept.send_log = found.lines.len() as u64;
    found.kept.answers = found.answers.len() as u64;
    Ok(found)
}

/// What is found by its tag.
fn kept_beside(sql: &mut dyn Sql, whom: &Whom) -> Result<Kept, SqlError> {
    let mut kept = Kept::default();
    for (_, octets) in &whom.tags {
        let tag = [Value::from(&octets.0[..])];
        sql.rows("SELECT list, org FROM listed WHERE tag = $1", &tag, &mut |row| {
            match row.text(0)? == "optout" {
                true => kept.opted_out.push(row.text(1)?.to_owned()),
                false => kept.lists += 1,
            }
            Ok(())
        })?;
        let count = |sql: &mut dyn Sql, from: &str| {
            let query = format!("SELECT COUNT(*) FROM {from}");
            sql::first(sql, &query, &tag, |row| row.uint(0)).map(Option::unwrap_or_default)
        };
        for table in OTHERS {
            kept.others += count(sql, &format!("{table} WHERE tag = $1"))?;
        }
        kept.unsent += count(sql, "publish WHERE tag = $1")?;
        let named = "SELECT COUNT(*) FROM audit WHERE about LIKE $1";
        let like = [Value::from(format!("%{}%", hex(octets)))];
        kept.decided += sql::first(sql, named, &like, |row| row.uint(0))?.unwrap_or_default();
    }
    kept.unsent += pending(sql, whom)?.len() as u64;
    kept.others += told(sql, whom)?.len() as u64;
    Ok(kept)
}

/// Events that wait for webhooks, or were not taken by them.
fn told(sql: &mut dyn Sql, whom: &Whom) -> Result<Vec<(u64, Option<String>)>, SqlError> {
    let domain = whom.address.domain().to_string();
    webhooks::naming(sql, &domain, |name| whom.is(name), |text| mask(text, &whom.address) != text)
}

/// Events that wait for a segment, by their numbers.
fn pending(sql: &mut dyn Sql, whom: &Whom) -> Result<Vec<u64>, SqlError> {
    let mut found = Vec::new();
    sql.rows("SELECT id, record FROM pending", &[], &mut |row| {
        let tag = Record::decode(&row.octets::<RECORD_OCTETS>(1)?).tag();
        if whom.tags.iter().any(|(_, known)| Some(*known) == tag) {
            found.push(row.uint(0)?);
        }
        Ok(())
    })?;
    Ok(found)
}

fn remove(sql: &mut dyn Sql, whom: &Whom, found: [&Found; 2]) -> Result<(), SqlError> {
    for found in found {
        for id in &found.events {
            sql.execute("DELETE FROM event WHERE id = $1", &[(*id).into()])?;
        }
        for id in &found.lines {
            sql.execute("DELETE FROM send_log WHERE id = $1", &[(*id).into()])?;
        }
        for (id, text) in &found.answers {
            sql.execute("UPDATE send_log SET text = $2 WHERE id = $1", &[(*id).into(), text.as_str().into()])?;
        }
    }
    let told = told(sql, whom)?;
    webhooks::erase(sql, &told)?;
    for id in pending(sql, whom)? {
        sql.execute("DELETE FROM pending WHERE id = $1", &[id.into()])?;
    }
    for (_, tag) in &whom.tags {
        for table in OTHERS.iter().chain(VIEWS) {
            sql.execute(&format!("DELETE FROM {table} WHERE tag = $1"), &[tag.0[..].into()])?;
        }
        let (hex, like) = (hex(tag), format!("%{}%", hex(tag)));
        sql.execute("UPDATE unknown_reply SET tag = '' WHERE tag = $1", &[hex.as_str().into()])?;
        let audit = "UPDATE audit SET about = REPLACE(about, $1, '…') WHERE about LIKE $2";
        sql.execute(audit, &[hex.into(), like.into()])?;
    }
    Ok(())
}

fn hex(tag: &Tag) -> String {
    hex::encode(tag.0)
}

/// The kind of the event that says how many were removed, and not of whom.
pub(super) const ERASED: &str = "erased";
/// Tables with a tag that are no views, but for what goes to other nodes.
const OTHERS: &[&str] = &["canary", "redelivery", "confirmation"];
/// Views of the recipient, and what was or is to be told of it.
const VIEWS: &[&str] = &["recipient", "listed", "spared", "publish", "published"];
