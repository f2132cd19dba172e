//! Incidents and the messages about them: kept, so that a restart says nothing twice and forgets no webhook.

use std::collections::BTreeMap;
use std::path::Path;

use rustix::fs::statvfs;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sm2tp_rules::alerts::{Finding, Incident, Part, Step, Turn, again_s};

use crate::ledger::{Ledger, LedgerError};
use crate::phrase::Phrase;
use crate::sql::{self, Row, Sql, SqlError};

/// Incidents and messages, beside the ledger. Clones share it.
#[derive(Debug, Clone)]
pub struct Alerts(Ledger);

/// A message about incidents, or a test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    pub id: u64,
    /// Unix seconds.
    pub at: u64,
    pub parts: Vec<Part>,
}

/// A message that a webhook has not taken yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    pub message: Message,
    pub url: String,
    /// Tries before this one, which failed.
    pub failed: u32,
}

/// What a webhook answered, where it did not take the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub why: Phrase,
    /// It says that it will never take any (410), or nobody asks for it any more.
    pub for_good: bool,
}

/// A message and a webhook, as a person sees them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Posted {
    pub message: u64,
    pub url: String,
    /// `waiting`, `taken` or `dead`: given up.
    pub state: String,
    pub tries: u64,
    /// Unix seconds of the next try, or of the last one where there is no other.
    pub at: u64,
    pub why: Option<String>,
    /// The same by key and values, where it is known ([`Phrase`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<serde_json::Value>,
}

/// How full a disk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    pub free_octets: u64,
    pub size_octets: u64,
}

impl Space {
    /// What this process may still write there. None where the file system does not count.
    ///
    /// # Errors
    /// Where it cannot be asked.
    pub fn of(dir: &Path) -> std::io::Result<Option<Self>> {
        let told = statvfs(dir)?;
        let octets = |blocks: u64| blocks.saturating_mul(told.f_frsize);
        let space = Self { free_octets: octets(told.f_bavail), size_octets: octets(told.f_blocks) };
        Ok((0 < told.f_blocks).then_some(space))
    }

    /// Long before the spool takes no more mail, and not on a small disk that is always nearly full.
    #[must_use]
    pub fn is_low(self) -> bool {
        self.free_octets < FREE_MIN.min(self.size_octets / 10)
    }
}

impl Alerts {
    #[must_use]
    pub fn new(ledger: Ledger) -> Self {
        Self(ledger)
    }

    /// All incidents that are remembered, by their keys. One that a newer version wrote and this one cannot read is left out.
    ///
    /// # Errors
    /// [`LedgerError`] where the ledger cannot be read.
    pub async fn incidents(&self) -> Result<BTreeMap<String, Incident>, LedgerError> {
        let query = "SELECT key, incident FROM incident";
        let read = |row: &Row| Ok((row.text(0)?.to_owned(), json(row.text(1)?)));
        let found = self.0.read(move |sql| Ok(sql::all(sql, query, &[], read)?)).await?;
        Ok(found.into_iter().filter_map(|(key, incident)| Some((key, incident?))).collect())
    }

    /// When messages about incidents were made since `since` (unix seconds, all).
    ///
    /// # Errors
    /// [`LedgerError`] where the ledger cannot be read.
    pub async fn sent_since(&self, since: u64) -> Result<Vec<u64>, LedgerError> {
        let query = "SELECT at FROM alert WHERE $1 < at AND test = 0";
        self.0.read(move |sql| Ok(sql::all(sql, query, &[since.into()], |row| row.uint(0))?)).await
    }

    /// Keeps what a look led to: incidents, and messages that mail and `urls` are to get. One transaction.
    ///
    /// # Errors
    /// [`LedgerError`]: nothing was kept.
    pub async fn keep(&self, step: Step, urls: Vec<String>, now: u64) -> Result<(), LedgerError> {
        if step == Step::default() {
            return Ok(());
        }
        self.0
            .write(move |sql| {
                for (key, incident) in &step.changed {
                    let upsert = "INSERT INTO incident (key, incident) VALUES ($1, $2) \
                        ON CONFLICT (key) DO UPDATE SET incident = excluded.incident";
                    sql.execute(upsert, &[key.as_str().into(), text(incident)?.into()])?;
                }
                for key in &step.forgotten {
                    sql.execute("DELETE FROM incident WHERE key = $1", &[key.as_str().into()])?;
                }
                step.messages.iter().try_for_each(|parts| insert(sql, parts, &urls, now).map(drop))?;
                Ok(())
            })
            .await
    }

    /// A message that a person asked for, to see whether it arrives; who asks for it sends it, and nobody tries again.
    ///
    /// # Errors
    /// [`LedgerError`]: there is none.
    pub async fn test(&self, now: u64) -> Result<Message, LedgerError> {
        let parts = vec![Part { turn: Turn::Opened, opened_at: now, finding: Finding::Test }];
        let id = self.0.write({
            let parts = parts.clone();
            move |sql| Ok(insert(sql, &parts, &[], now)?)
        });
        Ok(Message { id: id.await?, at: now, parts })
    }

    /// Messages that were not put into the queue yet.
    ///
    /// # Errors
    /// [`LedgerError`] where the ledger cannot be read.
    pub async fn unmailed(&self) -> Result<Vec<Message>, LedgerError> {
        let query = "SELECT id, at, parts FROM alert WHERE mailed = 0 ORDER BY id LIMIT 100";
        self.0.read(move |sql| Ok(sql::all(sql, query, &[], message)?.into_iter().flatten().collect())).await
    }

    /// # Errors
    /// [`LedgerError`]: it may be mailed once more.
    pub async fn mailed(&self, id: u64) -> Result<(), LedgerError> {
        let update = "UPDATE alert SET mailed = 1 WHERE id = $1";
        self.0.write(move |sql| Ok(sql.execute(update, &[id.into()]).map(drop)?)).await
    }

    /// Messages whose time at a webhook has come, the oldest first.
    ///
    /// # Errors
    /// [`LedgerError`] where the ledger cannot be read.
    pub async fn due(&self, now: u64) -> Result<Vec<Due>, LedgerError> {
        let query = "SELECT a.id, a.at, a.parts, w.url, w.tries FROM alert_webhook w JOIN alert a ON a.id = w.alert \
            WHERE w.state = 'waiting' AND w.at <= $1 ORDER BY a.id LIMIT 100";
        let read = |row: &Row| {
            let (url, failed) = (row.text(3)?.to_owned(), u32::try_from(row.uint(4)?).unwrap_or(u32::MAX));
            Ok(message(row)?.map(|message| Due { message, url, failed }))
        };
        self.0.read(move |sql| Ok(sql::all(sql, query, &[now.into()], read)?.into_iter().flatten().collect())).await
    }

    /// A webhook took a message, or did not; then it is tried again, or given up.
    ///
    /// # Errors
    /// [`LedgerError`]: it may get the message once more.
    pub async fn posted(&self, due: &Due, result: Result<(), Refused>, now: u64) -> Result<(), LedgerError> {
        let tries = due.failed.saturating_add(1);
        let (state, at, why) = match result {
            Ok(()) => ("taken", now, None),
            Err(refused) => {
                let again = again_s(tries).filter(|_| !refused.for_good);
                let state = if again.is_some() { "waiting" } else { "dead" };
                (state, now.saturating_add(again.unwrap_or(0)), Some(refused.why.kept()))
            }
        };
        let (id, url) = (due.message.id, due.url.clone());
        let update = "UPDATE alert_webhook SET state = $3, tries = $4, at = $5, why = $6 WHERE alert = $1 AND url = $2";
        self.0
            .write(move |sql| {
                let values = [id.into(), url.into(), state.into(), tries.into(), at.into(), why.into()];
                Ok(sql.execute(update, &values).map(drop)?)
            })
            .await
    }

    /// What webhooks have not taken: what waits, and what was given up; the latest first.
    ///
    /// # Errors
    /// [`LedgerError`] where the ledger cannot be read.
    pub async fn not_taken(&self) -> Result<Vec<Posted>, LedgerError> {
        let query = "SELECT alert, url, state, tries, at, why FROM alert_webhook WHERE state <> 'taken' \
            ORDER BY alert DESC LIMIT 100";
        let read = |row: &Row| {
            let (why, reason) = Phrase::read_apart(row.text_or_null(5)?);
            Ok(Posted {
                message: row.uint(0)?,
                url: row.text(1)?.to_owned(),
                state: row.text(2)?.to_owned(),
                tries: row.uint(3)?,
                at: row.uint(4)?,
                why,
                reason,
            })
        };
        self.0.read(move |sql| Ok(sql::all(sql, query, &[], read)?)).await
    }

    /// Forgets messages from before `before` (unix seconds), taken or not.
    ///
    /// # Errors
    /// [`LedgerError`]: it will be tried again.
    pub async fn prune(&self, before: u64) -> Result<(), LedgerError> {
        self.0
            .write(move |sql| {
                let older = "DELETE FROM alert_webhook WHERE alert IN (SELECT id FROM alert WHERE at < $1)";
                sql.execute(older, &[before.into()])?;
                sql.execute("DELETE FROM alert WHERE at < $1", &[before.into()])?;
                Ok(())
            })
            .await
    }
}

fn insert(sql: &mut dyn Sql, parts: &[Part], urls: &[String], now: u64) -> Result<u64, SqlError> {
    let is_test = parts.iter().all(|part| part.finding == Finding::Test);
    let statement = "INSERT INTO alert (at, parts, mailed, test) VALUES ($1, $2, $3, $3) RETURNING id";
    let values = [now.into(), text(&parts)?.into(), u32::from(is_test).into()];
    let id = sql::first(sql, statement, &values, |row| row.uint(0))?.unwrap_or(0);
    for url in urls {
        let statement = "INSERT INTO alert_webhook (alert, url, state, tries, at, why) \
            VALUES ($1, $2, 'waiting', 0, $3, NULL) ON CONFLICT (alert, url) DO NOTHING";
        sql.execute(statement, &[id.into(), url.as_str().into(), now.into()])?;
    }
    Ok(id)
}

/// None where a newer version wrote it.
fn message(row: &Row) -> Result<Option<Message>, SqlError> {
    let (id, at) = (row.uint(0)?, row.uint(1)?);
    Ok(json(row.text(2)?).map(|parts| Message { id, at, parts }))
}

fn json<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_str(text).ok()
}

fn text<T: Serialize>(value: &T) -> Result<String, SqlError> {
    serde_json::to_string(value).map_err(|error| SqlError::Stored(error.to_string()))
}

/// The spool takes no mail below 32 MiB; at a mail of 100 kB a second there are three hours left.
const FREE_MIN: u64 = 1024 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use sm2tp_rules::alerts::{self, Limits};

    use super::*;

    use crate::testing::TempDir;

    const URL: &str = "https://hooks.example.org/1";

    #[tokio::test]
    async fn incidents_and_messages_outlive_a_restart_and_webhooks_are_given_up_in_the_end() {
        let dir = TempDir::new();
        let found = [Finding::DiskLow { free_octets: 1, size_octets: 100 }];
        {
            let alerts = Alerts::new(crate::testing::ledger(dir.path()));
            let step = alerts::step(&BTreeMap::new(), &found, &[], 1000, &Limits::default());
            alerts.keep(step, vec![URL.to_owned()], 1000).await.unwrap();
        }
        let alerts = Alerts::new(crate::testing::ledger(dir.path()));
        let (known, sent) = (alerts.incidents().await.unwrap(), alerts.sent_since(0).await.unwrap());
        assert_eq!((known.len(), &sent[..]), (1, &[1000][..]));
        assert_eq!(alerts::step(&known, &found, &sent, 1010, &Limits::default()), Step::default());
        let unmailed = alerts.unmailed().await.unwrap();
        assert_eq!((unmailed.len(), &unmailed[0].parts[0].finding), (1, &found[0]));
        alerts.mailed(unmailed[0].id).await.unwrap();
        assert_eq!(alerts.unmailed().await.unwrap(), []);

        let (mut now, mut tries) = (1000, 0);
        while let Some(due) = alerts.due(now).await.unwrap().first() {
            alerts.posted(due, Err(Refused { why: "503".into(), for_good: false }), now).await.unwrap();
            tries += 1;
            now = alerts.not_taken().await.unwrap()[0].at.max(now + 1);
        }
        let left = alerts.not_taken().await.unwrap();
        assert_eq!((tries, left[0].state.as_str(), left[0].why.as_deref()), (10, "dead", Some("503")));
        alerts.prune(2000).await.unwrap();
        assert_eq!(alerts.not_taken().await.unwrap(), []);
    }

    #[tokio::test]
    async fn what_a_webhook_takes_or_refuses_for_good_is_not_sent_again() {
        let dir = TempDir::new();
        let alerts = Alerts::new(crate::testing::ledger(dir.path()));
        for (result, state) in [(Ok(()), None), (Err(Refused { why: "410".into(), for_good: true }), Some("dead"))] {
            alerts.prune(u64::MAX >> 1).await.unwrap();
            let step = alerts::step(&BTreeMap::new(), &[Finding::Test], &[], 50, &Limits::default());
            alerts.keep(step, vec![URL.to_owned()], 50).await.unwrap();
            let due = alerts.due(50).await.unwrap();
            alerts.posted(&due[0], result, 50).await.unwrap();
            assert_eq!(alerts.due(u64::MAX >> 1).await.unwrap(), []);
            let left = alerts.not_taken().await.unwrap();
            assert_eq!(left.first().map(|posted| posted.state.as_str()), state);
        }
        alerts.test(60).await.unwrap();
        assert_eq!(alerts.sent_since(0).await.unwrap(), Vec::<u64>::new(), "a test uses up no hour");
        assert_eq!(alerts.unmailed().await.unwrap(), [], "nor is it sent by anybody else");
    }

    #[test]
    fn a_disk_says_how_full_it_is() {
        let space = Space::of(Path::new("/")).unwrap().unwrap();
        assert!(0 < space.size_octets && space.free_octets <= space.size_octets);
    }
}
