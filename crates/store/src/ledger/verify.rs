//! Whether a ledger is what it should be: no page is damaged, and the views are what the events say (I3).

use std::path::Path;

use rusqlite::Connection;

use super::{LedgerError, Progress, rebuild, schema};
use crate::sql::{self, SqlError};

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verified {
    /// Lines of the ledger that were read.
    pub events: u64,
    /// Sentences of SQLite about pages that are damaged; empty: none is.
    pub damage: Vec<String>,
    /// Views whose rows are not what the events say, with how many.
    pub differing: Vec<(String, u64)>,
}

/// Reads a copy of a ledger, whose views are made again for it: the node itself is not disturbed.
///
/// # Errors
/// [`LedgerError`] where the copy cannot be read or written, or has a newer format.
pub fn verify(copy: &Path) -> Result<Verified, LedgerError> {
    let mut connection = sql::open_sqlite(copy)?;
    // Views of an older format are made by the next start.
    let are_due = schema::prepare(&connection)?;
    let damage = damage(&connection)?;
    if !damage.is_empty() {
        return Ok(Verified { damage, ..Verified::default() });
    }
    for table in schema::VIEW_TABLES {
        let kept = format!("CREATE TEMP TABLE kept_{table} AS SELECT * FROM main.{table}");
        connection.execute_batch(&kept).map_err(SqlError::from)?;
    }
    let progress = Progress::default();
    let events = sql::transaction::<_, LedgerError>(&mut connection, |sql| Ok(rebuild(sql, &progress)?))?;
    let mut differing = Vec::new();
    for table in schema::VIEW_TABLES.into_iter().filter(|_| !are_due) {
        let rows =
            only(&connection, &format!("kept_{table}"), table)? + only(&connection, table, &format!("kept_{table}"))?;
        if 0 < rows {
            differing.push((table.to_owned(), rows));
        }
    }
    Ok(Verified { events, damage, differing })
}

/// How many rows one has and the other has not.
fn only(connection: &Connection, one: &str, other: &str) -> Result<u64, LedgerError> {
    let query = format!("SELECT COUNT(*) FROM (SELECT * FROM {one} EXCEPT SELECT * FROM {other})");
    Ok(connection.query_row(&query, [], |row| row.get(0)).map_err(SqlError::from)?)
}

fn damage(connection: &Connection) -> Result<Vec<String>, LedgerError> {
    let mut query = connection.prepare("PRAGMA integrity_check(20)").map_err(SqlError::from)?;
    let said = query.query_map([], |row| row.get::<_, String>(0)).map_err(SqlError::from)?;
    let said = said.collect::<Result<Vec<_>, _>>().map_err(SqlError::from)?;
    Ok(said.into_iter().filter(|line| line != "ok").collect())
}
