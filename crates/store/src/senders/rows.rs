//! The memories of senders as rows of the ledger's file.

use super::{Mode, SenderId, whole_of};
use crate::sql::{self, Sql};

/// Organisation, sender and memory.
pub(super) type Kept = (String, String, Vec<u8>);

/// All of them.
pub(super) fn kept(sql: &mut dyn Sql) -> Result<Vec<Kept>, sql::SqlError> {
    sql::all(sql, "SELECT org, sender, memory FROM sender_watch WHERE org <> ''", &[], |row| {
        Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned(), row.blob(2)?.to_vec()))
    })
}

/// What the watch was allowed to do when it was started last; under no organisation.
pub(super) fn kept_mode(sql: &mut dyn Sql) -> Result<Option<String>, sql::SqlError> {
    let read = |row: &sql::Row| row.blob(0).map(|word| String::from_utf8_lossy(word).into_owned());
    sql::first(sql, "SELECT memory FROM sender_watch WHERE org = '' AND sender = ''", &[], read)
}

pub(super) fn keep_mode(sql: &mut dyn Sql, mode: Mode) -> Result<(), sql::SqlError> {
    keep(sql, &[(whole_of(""), Some(mode.as_str().as_bytes().to_vec()))])
}

/// None: it is not known any more.
pub(super) fn keep(sql: &mut dyn Sql, rows: &[(SenderId, Option<Vec<u8>>)]) -> Result<(), sql::SqlError> {
    for (id, bytes) in rows {
        let (org, name) = (&*id.org, &*id.name);
        match bytes {
            Some(bytes) => sql.execute(
                "INSERT INTO sender_watch (org, sender, memory) VALUES ($1, $2, $3) \
                 ON CONFLICT (org, sender) DO UPDATE SET memory = excluded.memory",
                &[org.into(), name.into(), bytes.as_slice().into()],
            )?,
            None => {
                sql.execute("DELETE FROM sender_watch WHERE org = $1 AND sender = $2", &[org.into(), name.into()])?
            }
        };
    }
    Ok(())
}
