//! The little SQL that the ledger needs, the same for SQLite and PostgreSQL: `$1` placeholders, upserts, RETURNING.

#[cfg(feature = "postgres")]
pub mod postgres;

use std::path::Path;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql};
use thiserror::Error;

use crate::overwritten;

/// A database connection with one owner. Where a value may be null, its first place is beside a column, which says what it is.
///  The ledger's writer thread holds one, its reader thread another.
pub trait Sql: Send {
    /// Runs one statement; answers with the number of rows it changed.
    ///
    /// # Errors
    /// [`SqlError`] in the database's own words.
    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<usize, SqlError>;

    /// Runs a query and gives each row to `each`.
    ///
    /// # Errors
    /// [`SqlError`] of the database, or the first one of `each`.
    fn rows(
        &mut self,
        sql: &str,
        values: &[Value],
        each: &mut dyn FnMut(&Row) -> Result<(), SqlError>,
    ) -> Result<(), SqlError>;

    /// Runs several statements without values.
    ///
    /// # Errors
    /// [`SqlError`] in the database's own words.
    fn batch(&mut self, sql: &str) -> Result<(), SqlError>;

    /// From here on all or nothing is done, and nobody else writes.
    ///
    /// # Errors
    /// [`SqlError`] in the database's own words.
    fn begin(&mut self) -> Result<(), SqlError> {
        self.execute("BEGIN", &[]).map(drop)
    }

    /// What was done since [`Sql::begin`] holds.
    ///
    /// # Errors
    /// [`SqlError`]: nothing of it holds; where the database went away in this moment, that is not known.
    fn commit(&mut self) -> Result<(), SqlError> {
        self.execute("COMMIT", &[]).map(drop)
    }

    /// Nothing that was done since [`Sql::begin`] holds. A connection that cannot do even this says so at the next begin.
    fn rollback(&mut self) {
        let _ = self.execute("ROLLBACK", &[]);
    }

    /// What was removed goes from the octets of the database, too.
    ///
    /// # Errors
    /// [`SqlError`] where that is not sure.
    fn overwrite(&mut self, gone: &[Vec<u8>]) -> Result<(), SqlError>;

    /// Whether this connection is the one of its node that does what one machine does for all of them.
    ///
    /// # Errors
    /// [`SqlError`] in the database's own words.
    fn leads(&mut self) -> Result<bool, SqlError> {
        Ok(true)
    }
}

/// One column value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Int(i64),
    Real(f64),
    Text(String),
    Blob(Vec<u8>),
}

/// One row of a result.
#[derive(Debug, Clone, PartialEq)]
pub struct Row(Vec<Value>);

/// Why the database did not do it.
#[derive(Debug, Error)]
pub enum SqlError {
    #[error("the database refused: {0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error("column {column} holds {found:?}, which is not what was stored there")]
    Column { column: usize, found: Value },
    #[error("a stored value cannot be read: {0}")]
    Stored(String),
    #[error("the ledger has format {found}, this version knows {known}: install the version that wrote it")]
    Newer { found: i64, known: i64 },
    #[error("the database refused: {0}")]
    Refused(String),
    #[error("the database does not answer: {0}")]
    Away(String),
}

impl SqlError {
    /// Whether it is the database that is missing, and not something wrong with what was asked of it.
    #[must_use]
    pub fn is_away(&self) -> bool {
        matches!(self, Self::Away(_))
    }
}

/// Opens an SQLite file: WAL so that readers do not stop the writer, FULL because a segment that a peer has pulled must
/// not be forgotten by a power cut: the next one would fork our log. Tags lie all over their trees, so that a batch changes
/// many pages a little: they are copied into the file once for 16 MiB of log, and not once for each batch or two.
///
/// # Errors
/// [`SqlError`] where the file cannot be opened.
pub fn open_sqlite(path: &Path) -> Result<Connection, SqlError> {
    let connection = Connection::open(path)?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 10000; \
         PRAGMA cache_size = -32000; PRAGMA foreign_keys = ON; PRAGMA secure_delete = FAST; \
         PRAGMA wal_autocheckpoint = 4000;",
    )?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(connection)
}

/// Runs `work` between BEGIN and COMMIT; an error takes everything back.
///
/// # Errors
/// The error of `work`, or of the commit.
pub fn transaction<T, E: From<SqlError>>(
    sql: &mut dyn Sql,
    work: impl FnOnce(&mut dyn Sql) -> Result<T, E>,
) -> Result<T, E> {
    sql.begin()?;
    match work(sql) {
        Ok(value) => {
            sql.commit()?;
            Ok(value)
        }
        Err(error) => {
            // The first error is the one that matters.
            sql.rollback();
            Err(error)
        }
    }
}

/// The first row, as `read` understands it.
///
/// # Errors
/// [`SqlError`] of the database or of `read`.
pub fn first<T>(
    sql: &mut dyn Sql,
    query: &str,
    values: &[Value],
    read: impl Fn(&Row) -> Result<T, SqlError>,
) -> Result<Option<T>, SqlError> {
    let mut found = None;
    sql.rows(query, values, &mut |row| {
        if found.is_none() {
            found = Some(read(row)?);
        }
        Ok(())
    })?;
    Ok(found)
}

/// All rows, as `read` understands them.
///
/// # Errors
/// [`SqlError`] of the database or of `read`.
pub fn all<T>(
    sql: &mut dyn Sql,
    query: &str,
    values: &[Value],
    read: impl Fn(&Row) -> Result<T, SqlError>,
) -> Result<Vec<T>, SqlError> {
    let mut found = Vec::new();
    sql.rows(query, values, &mut |row| {
        found.push(read(row)?);
        Ok(())
    })?;
    Ok(found)
}

impl Sql for Connection {
    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<usize, SqlError> {
        let mut statement = self.prepare_cached(&sql.replace('$', "?"))?;
        Ok(statement.execute(rusqlite::params_from_iter(values))?)
    }

    fn rows(
        &mut self,
        sql: &str,
        values: &[Value],
        each: &mut dyn FnMut(&Row) -> Result<(), SqlError>,
    ) -> Result<(), SqlError> {
        let mut statement = self.prepare_cached(&sql.replace('$', "?"))?;
        let columns = statement.column_count();
        let mut rows = statement.query(rusqlite::params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            let read = (0..columns).map(|column| row.get_ref(column).map(Value::from)).collect::<Result<_, _>>()?;
            each(&Row(read))?;
        }
        Ok(())
    }

    fn batch(&mut self, sql: &str) -> Result<(), SqlError> {
        Ok(self.execute_batch(sql)?)
    }

    fn overwrite(&mut self, gone: &[Vec<u8>]) -> Result<(), SqlError> {
        Ok(overwritten::overwrite(self, gone)?)
    }
}

impl Row {
    /// All columns as they are, for who copies a table.
    #[must_use]
    pub fn values(&self) -> &[Value] {
        &self.0
    }

    /// # Errors
    /// [`SqlError::Column`] when it is no number.
    pub fn int(&self, column: usize) -> Result<i64, SqlError> {
        match self.0.get(column) {
            Some(Value::Int(value)) => Ok(*value),
            other => Err(wrong(column, other)),
        }
    }

    /// A number that is never negative: times, counts, numbers of mails.
    ///
    /// # Errors
    /// [`SqlError::Column`] when it is no such number.
    pub fn uint(&self, column: usize) -> Result<u64, SqlError> {
        u64::try_from(self.int(column)?).map_err(|_| wrong(column, self.0.get(column)))
    }

    /// # Errors
    /// [`SqlError::Column`] when it is no text.
    pub fn text(&self, column: usize) -> Result<&str, SqlError> {
        match self.0.get(column) {
            Some(Value::Text(value)) => Ok(value),
            other => Err(wrong(column, other)),
        }
    }

    /// # Errors
    /// [`SqlError::Column`] when it is neither text nor null.
    pub fn text_or_null(&self, column: usize) -> Result<Option<&str>, SqlError> {
        match self.0.get(column) {
            Some(Value::Null) => Ok(None),
            _ => self.text(column).map(Some),
        }
    }

    /// # Errors
    /// [`SqlError::Column`] when it is neither a number that is not negative nor null.
    pub fn uint_or_null(&self, column: usize) -> Result<Option<u64>, SqlError> {
        match self.0.get(column) {
            Some(Value::Null) => Ok(None),
            _ => self.uint(column).map(Some),
        }
    }

    /// # Errors
    /// [`SqlError::Column`] when it is no octets of just this length.
    pub fn octets<const N: usize>(&self, column: usize) -> Result<[u8; N], SqlError> {
        match self.0.get(column) {
            Some(Value::Blob(value)) => value.as_slice().try_into().map_err(|_| wrong(column, self.0.get(column))),
            other => Err(wrong(column, other)),
        }
    }

    /// # Errors
    /// [`SqlError::Column`] when it is no octets.
    pub fn blob(&self, column: usize) -> Result<&[u8], SqlError> {
        match self.0.get(column) {
            Some(Value::Blob(value)) => Ok(value),
            other => Err(wrong(column, other)),
        }
    }

    /// # Errors
    /// [`SqlError::Column`] when it is no number.
    pub fn real(&self, column: usize) -> Result<f64, SqlError> {
        match self.0.get(column) {
            Some(Value::Real(value)) => Ok(*value),
            #[expect(clippy::cast_precision_loss, reason = "weights and shares, far below 2^52")]
            Some(Value::Int(value)) => Ok(*value as f64),
            other => Err(wrong(column, other)),
        }
    }
}

fn wrong(column: usize, found: Option<&Value>) -> SqlError {
    SqlError::Column { column, found: found.cloned().unwrap_or(Value::Null) }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(value) => ValueRef::Integer(*value),
            Self::Real(value) => ValueRef::Real(*value),
            Self::Text(value) => ValueRef::Text(value.as_bytes()),
            Self::Blob(value) => ValueRef::Blob(value),
        }))
    }
}

impl From<ValueRef<'_>> for Value {
    fn from(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(value) => Self::Int(value),
            ValueRef::Real(value) => Self::Real(value),
            ValueRef::Text(value) => Self::Text(String::from_utf8_lossy(value).into_owned()),
            ValueRef::Blob(value) => Self::Blob(value.to_vec()),
        }
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Int(value.into())
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Int(value.into())
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<&[u8]> for Value {
    fn from(value: &[u8]) -> Self {
        Self::Blob(value.to_vec())
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}
