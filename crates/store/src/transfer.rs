//! A ledger moved from one database to another, table by table, and compared row by row.

use std::fs;
use std::path::Path;

use rusqlite::Connection;
use sha2::{Digest, Sha256};
use sm2tp_federation::header::{HEADER_OCTETS, Header};
use thiserror::Error;

use crate::federated::segment_path;
use crate::ledger::{Ledger, LedgerError, Table, tables};
use crate::sql::postgres::{Access, Postgres, Shared};
use crate::sql::{self, Row, Sql, SqlError, Value};

/// How far a transfer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step<'a> {
    /// `copied` or `compared`.
    pub what: &'static str,
    pub table: &'a str,
    pub done: u64,
    pub rows: u64,
}

/// What was moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moved {
    pub tables: u64,
    pub rows: u64,
    pub segments: u64,
}

/// Why nothing was moved.
#[derive(Debug, Error)]
pub enum TransferError {
    #[error(transparent)]
    Sql(#[from] SqlError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("there is a node in that database already: its table {table} has rows")]
    NotEmpty { table: String },
    #[error("{table} is not the same there: {here} rows here, {there} there")]
    Differs { table: String, here: u64, there: u64 },
}

/// Copies the ledger file of a node that does not run into a database that has no node yet, with the segments in `dir`, and compares
/// all rows. One transaction: what is not the same is not there.
///
/// # Errors
/// [`TransferError`]; the file is as it was, and the database has no node.
pub fn to_shared(
    file: &Path,
    dir: &Path,
    shared: &Shared,
    mut show: impl FnMut(&Step<'_>) + Send,
) -> Result<Moved, TransferError> {
    std::thread::scope(|scope| {
        // A thread of its own: a connection waits for its answers, which no task may.
        let moving = scope.spawn(|| {
            // With all views of today.
            drop(Ledger::open(file)?);
            let mut from = sql::open_sqlite(file)?;
            let tables = tables(&from)?;
            let mut to = Postgres::open(shared, Access::Write)?;
            sql::transaction(&mut to, |to| move_all(&mut from, to, (&tables, dir, shared.machine()), &mut show))
        });
        moving.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Copies all that is in the database, as it is at one moment, into a new ledger file, as that of this machine alone.
///
/// # Errors
/// [`TransferError`] where one of them cannot be read or written.
pub fn to_file(shared: &Shared, file: &Path) -> Result<(), TransferError> {
    std::thread::scope(|scope| {
        let moving = scope.spawn(|| {
            let mut to = sql::open_sqlite(file)?;
            let tables = tables(&to)?;
            let mut from = Postgres::open(shared, Access::Read)?;
            sql::transaction::<_, TransferError>(&mut from, |from| {
                sql::transaction::<_, SqlError>(&mut to, |to| {
                    for table in &tables {
                        copy(from, to, table, &mut |_: &Step<'_>| ())?;
                    }
                    to.execute(OWN_SOURCES, &[shared.machine().into()])
                })?;
                Ok(())
            })?;
            // One file, without a log beside it.
            to.pragma_update(None, "journal_mode", "DELETE").map_err(SqlError::from)?;
            Ok(())
        });
        moving.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn move_all(
    from: &mut Connection,
    to: &mut dyn Sql,
    (tables, dir, machine): (&[Table], &Path, &str),
    show: &mut impl FnMut(&Step<'_>),
) -> Result<Moved, TransferError> {
    crate::ledger::prepare_shared(to)?;
    for table in tables {
        let any = format!("SELECT 1 FROM {} LIMIT 1", table.name);
        if sql::first(to, &any, &[], |_| Ok(()))?.is_some() {
            return Err(TransferError::NotEmpty { table: table.name.clone() });
        }
    }
    let mut moved = Moved { tables: tables.len() as u64, ..Moved::default() };
    for table in tables {
        let here = copy(from, to, table, show)?;
        let there = digest(to, table, here.rows, show)?;
        if here != there {
            return Err(TransferError::Differs { table: table.name.clone(), here: here.rows, there: there.rows });
        }
        moved.rows += here.rows;
    }
    moved.segments = bodies(from, to, dir)?;
    // The first machine has the numbers that its mails have; its logs are its own.
    to.execute("INSERT INTO machine (number, name, host, seen_at) VALUES (1, $1, '', 0)", &[machine.into()])?;
    to.execute("UPDATE read_to SET source = $1 || '/' || source WHERE source <> $1", &[machine.into()])?;
    for table in tables.iter().map(|table| table.name.as_str()).chain(["machine"]) {
        go_on(to, table)?;
    }
    Ok(moved)
}

/// Rows and what is in them.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    rows: u64,
    sha256: [u8; 32],
}

fn copy(
    from: &mut dyn Sql,
    to: &mut dyn Sql,
    table: &Table,
    show: &mut impl FnMut(&Step<'_>),
) -> Result<Found, SqlError> {
    let rows = count(from, table)?;
    let (mut done, mut digest, mut waiting) = (0, Sha256::new(), Vec::new());
    from.rows(&select(table), &[], &mut |row| {
        let values: Vec<Value> = row.values().iter().cloned().map(without_zeros).collect();
        values.iter().for_each(|value| add(&mut digest, value));
        waiting.push(values);
        done += 1;
        if ROWS_AT_ONCE <= waiting.len() {
            insert(to, table, &waiting)?;
            waiting.clear();
            show(&Step { what: "copied", table: &table.name, done, rows });
        }
        Ok(())
    })?;
    if !waiting.is_empty() {
        insert(to, table, &waiting)?;
    }
    show(&Step { what: "copied", table: &table.name, done, rows: done });
    Ok(Found { rows: done, sha256: digest.finalize().into() })
}

fn insert(to: &mut dyn Sql, table: &Table, rows: &[Vec<Value>]) -> Result<(), SqlError> {
    let width = table.columns.len();
    let places = |row: usize| {
        let places: Vec<String> = (1..=width).map(|column| format!("${}", row * width + column)).collect();
        format!("({})", places.join(", "))
    };
    let places: Vec<String> = (0..rows.len()).map(places).collect();
    let insert = format!("INSERT INTO {} ({}) VALUES {}", table.name, table.columns.join(", "), places.join(", "));
    to.execute(&insert, &rows.concat()).map(drop)
}

fn digest(sql: &mut dyn Sql, table: &Table, rows: u64, show: &mut impl FnMut(&Step<'_>)) -> Result<Found, SqlError> {
    let (mut done, mut digest) = (0, Sha256::new());
    sql.rows(&select(table), &[], &mut |row| {
        row.values().iter().for_each(|value| add(&mut digest, value));
        done += 1;
        if done % SHOWN_EVERY == 0 {
            show(&Step { what: "compared", table: &table.name, done, rows });
        }
        Ok(())
    })?;
    show(&Step { what: "compared", table: &table.name, done, rows });
    Ok(Found { rows: done, sha256: digest.finalize().into() })
}

/// In the order of the key, which is the same in both.
fn select(table: &Table) -> String {
    format!("SELECT {} FROM {} ORDER BY {}", table.columns.join(", "), table.name, table.key.join(", "))
}

fn count(sql: &mut dyn Sql, table: &Table) -> Result<u64, SqlError> {
    let count = format!("SELECT COUNT(*) FROM {}", table.name);
    Ok(sql::first(sql, &count, &[], |row| row.uint(0))?.unwrap_or(0))
}

/// As PostgreSQL keeps texts.
fn without_zeros(value: Value) -> Value {
    match value {
        Value::Text(text) if text.contains('\0') => Value::Text(text.replace('\0', "\u{fffd}")),
        value => value,
    }
}

/// With its kind and length, so that no two rows look like one.
fn add(digest: &mut Sha256, value: &Value) {
    let (kind, octets): (u8, &[u8]) = match value {
        Value::Null => (0, &[]),
        Value::Int(value) => (1, &value.to_be_bytes()),
        Value::Real(value) => (2, &value.to_bits().to_be_bytes()),
        Value::Text(value) => (3, value.as_bytes()),
        Value::Blob(value) => (4, value),
    };
    digest.update([kind]);
    digest.update((octets.len() as u64).to_be_bytes());
    digest.update(octets);
}

/// What the other machines serve. A file that is missing was said by `ledger verify`.
fn bodies(from: &mut Connection, to: &mut dyn Sql, dir: &Path) -> Result<u64, SqlError> {
    let query = "SELECT header, n FROM segment WHERE parked IS NULL ORDER BY n";
    let read = |row: &Row| {
        let header = Header::parse(row.blob(0)?).map_err(|error| SqlError::Stored(error.to_string()))?;
        Ok((header, row.uint(1)?))
    };
    let mut count = 0;
    for (header, n) in sql::all(from, query, &[], read)? {
        let Ok(octets) = fs::read(segment_path(dir, &header)) else { continue };
        let Some(body) = octets.get(HEADER_OCTETS..) else { continue };
        to.execute("INSERT INTO segment_body (n, body) VALUES ($1, $2)", &[n.into(), body.into()])?;
        count += 1;
    }
    Ok(count)
}

/// New rows get numbers behind those that were copied.
fn go_on(to: &mut dyn Sql, table: &str) -> Result<(), SqlError> {
    let column = "SELECT column_name::text FROM information_schema.columns WHERE table_schema = current_schema() \
        AND table_name = $1 AND is_identity = 'YES'";
    let Some(column) = sql::first(to, column, &[table.into()], |row| row.text(0).map(str::to_owned))? else {
        return Ok(());
    };
    let go_on = format!(
        "SELECT setval(pg_get_serial_sequence('{table}', '{column}'), COALESCE((SELECT MAX({column}) FROM {table}), 0) + 1, false)"
    );
    sql::first(to, &go_on, &[], |_| Ok(())).map(drop)
}

/// Each machine has logs of its own; here they are those of the only one.
const OWN_SOURCES: &str = "UPDATE read_to SET source = SUBSTR(source, LENGTH($1) + 2) \
    WHERE SUBSTR(source, 1, LENGTH($1) + 1) = $1 || '/'";
/// Rows of one statement: some thousand values, of which PostgreSQL takes 65 535.
const ROWS_AT_ONCE: usize = 100;
const SHOWN_EVERY: u64 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::{Accounts, Scram};
    use crate::ledger::{self, Event, Subject};
    use crate::testing::{TempDir, cluster};

    /// All rows of all tables in words.
    fn rows(file: &Path) -> Vec<String> {
        let mut connection = sql::open_sqlite(file).unwrap();
        let mut all = Vec::new();
        for table in tables(&connection).unwrap() {
            let found = sql::all(&mut connection, &select(&table), &[], |row| Ok(format!("{row:?}"))).unwrap();
            all.extend(found.into_iter().map(|row| format!("{} {row}", table.name)));
        }
        all
    }

    #[tokio::test]
    async fn a_ledger_goes_into_a_shared_database_once_and_comes_back_as_it_was() {
        let (dir, back) = (TempDir::quick(), TempDir::quick());
        let file = ledger::path(dir.path());
        let ledger = Ledger::open(&file).unwrap();
        let accounts = Accounts::load(ledger.clone(), Scram::Off).await.unwrap();
        accounts.put_org("asso", Vec::new(), sm2tp_rules::Stream::Bulk, 5).await.unwrap();
        let event = |n: u64| Event {
            org: Some("asso".into()),
            note: Some(format!("{n} '\\")),
            ..Event::new(1_800_000_000 + n, Subject::Sender, "stopped")
        };
        ledger.append((0..250).map(event).collect()).await.unwrap();
        let sources = "INSERT INTO read_to (source, last) VALUES ('log x', 7), ('one', 9)";
        ledger.write(move |sql| Ok(sql.execute(sources, &[])?)).await.unwrap();
        drop((accounts, ledger));
        let before = rows(&file);

        let shared = cluster::shared(dir.path(), "one");
        let mut steps = Vec::new();
        let moved = to_shared(&file, dir.path(), &shared, |step| steps.push((step.what, step.done))).unwrap();
        assert_eq!((moved.rows, moved.segments), (before.len() as u64, 0));
        assert!(steps.contains(&("copied", 250)) && steps.contains(&("compared", 250)), "{steps:?}");
        assert_eq!(rows(&file), before);
        let again = to_shared(&file, dir.path(), &shared, |_| ()).unwrap_err();
        assert!(matches!(again, TransferError::NotEmpty { .. }), "{again}");

        let copy = back.path().join("ledger.sqlite");
        to_file(&shared, &copy).unwrap();
        assert_eq!(rows(&copy), before);
        // The moved one goes on behind what it has, and its logs are where they were read to.
        let ledger = Ledger::open_shared(&shared).unwrap();
        ledger.append(vec![event(300)]).await.unwrap();
        let newest = "SELECT MAX(id) FROM event";
        let newest = ledger.read(move |sql| Ok(sql::first(sql, newest, &[], |row| row.uint(0))?)).await.unwrap();
        assert_eq!((newest, ledger.mail_base()), (Some(251), 0));
        assert_eq!((ledger.read_to("log x").await.unwrap(), ledger.read_to("one").await.unwrap()), (7, 9));
    }
}
