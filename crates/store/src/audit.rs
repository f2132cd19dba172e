//! Who changed what, and when: kept beside the ledger, for a bounded time and number.
//!
//! It names who did something and what it was about, and no recipient: those stand in it as tags, as everywhere (R11).

use serde::{Deserialize, Serialize};

use crate::ledger::{Ledger, LedgerError};
use crate::phrase::Phrase;
use crate::sql::{self, Row, SqlError, Value};

/// The list of what people and programs changed. Clones share it.
#[derive(Debug, Clone)]
pub struct Audit(Ledger);

/// One line: somebody changed something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Unix seconds.
    pub at: u64,
    /// `command-line`, `person` or `token`.
    pub by_kind: String,
    /// The name of the person or of the token; on the command line the user of the machine, where that is known.
    pub by: String,
    /// What was asked, in the words of the control requests: `queue-hold`, `suppress-add`.
    pub what: String,
    /// The organisation that it is about; none: the whole node.
    pub org: Option<String>,
    /// What it is about, in a few words without a recipient's address.
    pub about: String,
    /// The same by key and values, where it is known ([`Phrase`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<serde_json::Value>,
}

/// A line with its number, by which pages are cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kept {
    pub id: u64,
    #[serde(flatten)]
    pub entry: Entry,
}

impl Audit {
    #[must_use]
    pub fn new(ledger: Ledger) -> Self {
        Self(ledger)
    }

    /// Keeps a line, and forgets the oldest beyond [`KEPT_MAX`] and those from before [`KEPT_S`].
    ///
    /// # Errors
    /// [`LedgerError`]: it was not kept.
    pub async fn keep(&self, entry: Entry) -> Result<(), LedgerError> {
        self.0
            .write(move |sql| {
                let oldest = entry.at.saturating_sub(KEPT_S);
                let insert = "INSERT INTO audit (at, by_kind, by_name, what, org, about) \
                    VALUES ($1, $2, $3, $4, $5, $6) RETURNING id";
                let values: [Value; 6] = [
                    entry.at.into(),
                    entry.by_kind.into(),
                    cut(entry.by).into(),
                    entry.what.into(),
                    entry.org.map_or(Value::Null, Value::Text),
                    Phrase { text: cut(entry.about), reason: entry.reason }.kept().into(),
                ];
                let id = sql::first(sql, insert, &values, |row| row.uint(0))?.unwrap_or(0);
                let forget = "DELETE FROM audit WHERE id <= $1 OR at < $2";
                sql.execute(forget, &[id.saturating_sub(KEPT_MAX).into(), oldest.into()])?;
                Ok(())
            })
            .await
    }

    /// Lines of one organisation or of all, the latest first, with numbers below `before` (none: from the end).
    ///
    /// # Errors
    /// [`LedgerError`] where the ledger cannot be read.
    pub async fn list(&self, org: Option<String>, before: Option<u64>, limit: usize) -> Result<Vec<Kept>, LedgerError> {
        let query = "SELECT id, at, by_kind, by_name, what, org, about FROM audit \
            WHERE id < $1 AND (org = $2 OR $2 IS NULL) ORDER BY id DESC LIMIT $3";
        let before = before.map_or(i64::MAX, |before| i64::try_from(before).unwrap_or(i64::MAX));
        let limit = limit.clamp(1, LIST_MAX) as u64;
        let values = [Value::Int(before), org.map_or(Value::Null, Value::Text), limit.into()];
        self.0.read(move |sql| Ok(sql::all(sql, query, &values, kept)?)).await
    }
}

fn kept(row: &Row) -> Result<Kept, SqlError> {
    let text = |column| row.text(column).map(str::to_owned);
    let Phrase { text: about, reason } = Phrase::read(row.text(6)?);
    let entry = Entry {
        at: row.uint(1)?,
        by_kind: text(2)?,
        by: text(3)?,
        what: text(4)?,
        org: row.text_or_null(5)?.map(str::to_owned),
        about,
        reason,
    };
    Ok(Kept { id: row.uint(0)?, entry })
}

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(TEXT_OCTETS_MAX));
    text
}

/// 400 days: what was changed a year ago is still asked for, and then somebody's name may go.
pub const KEPT_S: u64 = 400 * 86_400;
/// Some 30 MB. A program that changes something each minute fills it in two months.
pub const KEPT_MAX: u64 = 100_000;
/// Lines of one page.
pub const LIST_MAX: usize = 1000;
const TEXT_OCTETS_MAX: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    use crate::testing::TempDir;

    fn entry(at: u64, org: Option<&str>, about: &str) -> Entry {
        Entry {
            at,
            by_kind: "person".into(),
            by: "anna".into(),
            what: "queue-hold".into(),
            org: org.map(str::to_owned),
            about: about.into(),
            reason: None,
        }
    }

    #[tokio::test]
    async fn lines_come_back_latest_first_by_page_and_by_organisation() {
        let dir = TempDir::new();
        let audit = Audit::new(crate::testing::ledger(dir.path()));
        for (n, org) in [None, Some("a"), Some("b"), Some("a")].into_iter().enumerate() {
            audit.keep(entry(1_800_000_000 + n as u64, org, &format!("mail {n}"))).await.unwrap();
        }
        let about = |kept: &[Kept]| kept.iter().map(|kept| kept.entry.about.clone()).collect::<Vec<_>>();
        let page = audit.list(None, None, 3).await.unwrap();
        assert_eq!(about(&page), ["mail 3", "mail 2", "mail 1"]);
        assert_eq!(about(&audit.list(None, Some(page[2].id), 3).await.unwrap()), ["mail 0"]);
        assert_eq!(about(&audit.list(Some("a".into()), None, 9).await.unwrap()), ["mail 3", "mail 1"]);
        assert_eq!(page[0].entry, entry(1_800_000_003, Some("a"), "mail 3"));
    }

    #[tokio::test]
    async fn lines_go_after_their_time_and_long_words_are_cut() {
        let dir = TempDir::new();
        let audit = Audit::new(crate::testing::ledger(dir.path()));
        audit.keep(entry(1_000_000, None, "old")).await.unwrap();
        audit.keep(entry(1_000_000 + KEPT_S + 1, None, &"é".repeat(600))).await.unwrap();
        let kept = audit.list(None, None, 9).await.unwrap();
        assert_eq!(kept.len(), 1);
        assert_eq!(kept[0].entry.about, "é".repeat(250));
    }

    #[tokio::test]
    async fn the_oldest_line_goes_when_there_are_too_many() {
        let dir = TempDir::new();
        // Numbers of rows are given out otherwise by PostgreSQL.
        let ledger = Ledger::open(&crate::ledger::path(dir.path())).unwrap();
        let audit = Audit::new(ledger.clone());
        for about in ["first", "second"] {
            audit.keep(entry(5, None, about)).await.unwrap();
        }
        // As if many lines had been written since.
        let many = "UPDATE audit SET id = id + $1 WHERE id = 2";
        ledger.write(move |sql| Ok(sql.execute(many, &[(KEPT_MAX - 2).into()])?)).await.unwrap();
        audit.keep(entry(6, None, "third")).await.unwrap();
        let kept = audit.list(None, None, 9).await.unwrap();
        assert_eq!(kept.iter().map(|kept| &kept.entry.about[..]).collect::<Vec<_>>(), ["third", "second"]);
    }
}
