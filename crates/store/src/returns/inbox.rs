//! Reports that were taken and are not counted yet: on stable storage before their sender is told so (I4), in the order in
//! which they came, each with a number that is never used twice.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension, params};

use crate::spool::SpoolError;

/// A handle on the waiting reports; clones share it.
#[derive(Clone)]
pub struct Inbox {
    shared: Arc<Mutex<Shared>>,
    name: Arc<str>,
}

struct Shared {
    connection: Connection,
    waiting: Waiting,
}

/// How much waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waiting {
    pub reports: u64,
    pub octets: u64,
}

/// A report as it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrived {
    /// Unix seconds.
    pub at: u64,
    /// The token to whose address it came; none where it came to an address for all.
    pub token: Option<String>,
    pub content: Vec<u8>,
}

/// How far a mailbox file was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    pub path: PathBuf,
    /// Of the file: another file under the same name is read from its beginning.
    pub inode: u64,
    pub offset: u64,
}

impl Inbox {
    /// Opens or makes the file in `dir`. `fresh_name` is used once, when it is made; the ledger remembers by it how far it
    /// has counted.
    ///
    /// # Errors
    /// [`SpoolError`] where the disk or the format does not allow it.
    pub fn open(dir: &Path, fresh_name: &str) -> Result<Self, SpoolError> {
        std::fs::create_dir_all(dir)?;
        let connection = Connection::open(dir.join("reports.sqlite"))?;
        // FULL: a commit waits for the disk. Reports name people, so what is removed is overwritten.
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000; PRAGMA secure_delete = ON;",
        )?;
        let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if FORMAT < found {
            return Err(SpoolError::Newer { found, known: FORMAT });
        }
        connection.execute_batch(SCHEMA)?;
        connection.pragma_update(None, "user_version", FORMAT)?;
        connection.execute("INSERT OR IGNORE INTO meta (key, value) VALUES ('name', ?1)", [fresh_name])?;
        let name: String = connection.query_row("SELECT value FROM meta WHERE key = 'name'", [], |row| row.get(0))?;
        let waiting = connection.query_row("SELECT COUNT(*), TOTAL(LENGTH(content)) FROM report", [], |row| {
            Ok(Waiting { reports: row.get(0)?, octets: row.get::<_, f64>(1)? as u64 })
        })?;
        let shared = Arc::new(Mutex::new(Shared { connection, waiting }));
        Ok(Self { shared, name: format!("reports:{name}").into() })
    }

    /// Unlike that of any other inbox or spool.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Keeps reports, and how far the file that they came from was read, in one step. When this answers `Ok`, they are on
    /// stable storage.
    ///
    /// # Errors
    /// [`SpoolError`]: none of them was kept. [`SpoolError::Io`] of kind `QuotaExceeded` where too many wait.
    pub async fn keep(&self, reports: Vec<Arrived>, mark: Option<Mark>) -> Result<(), SpoolError> {
        self.ask(move |shared| {
            let octets: u64 = reports.iter().map(|report| report.content.len() as u64).sum();
            let after = Waiting {
                reports: shared.waiting.reports + reports.len() as u64,
                octets: shared.waiting.octets + octets,
            };
            if !reports.is_empty() && (REPORTS_MAX < after.reports || OCTETS_MAX < after.octets) {
                return Err(SpoolError::Io(io::ErrorKind::QuotaExceeded.into()));
            }
            let transaction = shared.connection.unchecked_transaction()?;
            for Arrived { at, token, content } in &reports {
                transaction
                    .prepare_cached("INSERT INTO report (at, token, content) VALUES (?1, ?2, ?3)")?
                    .execute(params![at, token, content])?;
            }
            if let Some(Mark { path, inode, offset }) = &mark {
                transaction.execute(
                    "INSERT INTO mark (path, inode, offset) VALUES (?1, ?2, ?3) \
                     ON CONFLICT (path) DO UPDATE SET inode = excluded.inode, offset = excluded.offset",
                    params![path.to_string_lossy(), inode, offset],
                )?;
            }
            transaction.commit()?;
            shared.waiting = after;
            Ok(())
        })
        .await
    }

    /// The oldest reports with their numbers, `limit` of them at most.
    ///
    /// # Errors
    /// [`SpoolError`] where they cannot be read.
    pub async fn oldest(&self, limit: usize) -> Result<Vec<(u64, Arrived)>, SpoolError> {
        self.ask(move |shared| {
            let query = "SELECT n, at, token, content FROM report ORDER BY n LIMIT ?1";
            let mut statement = shared.connection.prepare_cached(query)?;
            let reports = statement.query_map([limit], |row| {
                Ok((row.get(0)?, Arrived { at: row.get(1)?, token: row.get(2)?, content: row.get(3)? }))
            })?;
            Ok(reports.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// The ledger has counted this one.
    ///
    /// # Errors
    /// [`SpoolError`]: it stays and will be offered again; the ledger skips what it has.
    pub async fn remove(&self, number: u64) -> Result<(), SpoolError> {
        self.ask(move |shared| {
            let query = "DELETE FROM report WHERE n = ?1 RETURNING LENGTH(content)";
            let gone: Option<u64> =
                shared.connection.prepare_cached(query)?.query_row([number], |row| row.get(0)).optional()?;
            if let Some(octets) = gone {
                shared.waiting.reports = shared.waiting.reports.saturating_sub(1);
                shared.waiting.octets = shared.waiting.octets.saturating_sub(octets);
            }
            Ok(())
        })
        .await
    }

    /// How far this file was read; none where it never was.
    ///
    /// # Errors
    /// [`SpoolError`] where that cannot be read.
    pub async fn mark(&self, path: PathBuf) -> Result<Option<Mark>, SpoolError> {
        self.ask(move |shared| {
            let query = "SELECT inode, offset FROM mark WHERE path = ?1";
            let text = path.to_string_lossy().into_owned();
            let found = shared.connection.query_row(query, [text], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
            Ok(found.map(|(inode, offset)| Mark { path, inode, offset }))
        })
        .await
    }

    /// There is no such file any more.
    ///
    /// # Errors
    /// [`SpoolError`]: what is remembered of it stays, and does no harm.
    pub async fn forget(&self, path: PathBuf) -> Result<(), SpoolError> {
        self.ask(move |shared| {
            let text = path.to_string_lossy().into_owned();
            shared.connection.execute("DELETE FROM mark WHERE path = ?1", [text])?;
            Ok(())
        })
        .await
    }

    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Shared) -> Result<T, SpoolError> + Send + 'static,
    ) -> Result<T, SpoolError> {
        let shared = self.shared.clone();
        let done =
            tokio::task::spawn_blocking(move || work(&mut shared.lock().unwrap_or_else(PoisonError::into_inner)));
        done.await.map_err(|_| SpoolError::Closed)?
    }
}

const FORMAT: i64 = 1;
/// `mark` says how far mailbox files of others were read. Numbers are never used twice, so that what was counted is known
/// by its number.
const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS report (
    n INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, token TEXT, content BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS mark (path TEXT PRIMARY KEY, inode INTEGER NOT NULL, offset INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
";
/// Reports that wait; beyond it, who brings more is told to come later. They are counted within a second, so this is a
/// ledger that stands still, or an attack.
const REPORTS_MAX: u64 = 20_000;
const OCTETS_MAX: u64 = 256 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TempDir;

    fn arrived(octets: usize) -> Arrived {
        Arrived { at: 5, token: Some("t".into()), content: vec![b'x'; octets] }
    }

    #[tokio::test]
    async fn what_was_taken_is_there_after_a_crash_in_its_order_and_no_number_comes_twice() {
        let dir = TempDir::new();
        let inbox = Inbox::open(dir.path(), "first").unwrap();
        let mark = Mark { path: "/var/mail/returns".into(), inode: 7, offset: 12 };
        inbox.keep(vec![arrived(1), arrived(2)], Some(mark.clone())).await.unwrap();
        inbox.remove(1).await.unwrap();
        inbox.remove(1).await.unwrap();
        drop(inbox);
        let inbox = Inbox::open(dir.path(), "second").unwrap();
        assert_eq!(inbox.name(), "reports:first");
        assert_eq!(inbox.mark(mark.path.clone()).await.unwrap(), Some(mark));
        inbox.remove(2).await.unwrap();
        inbox.keep(vec![arrived(3)], None).await.unwrap();
        assert_eq!(inbox.oldest(10).await.unwrap(), [(3, arrived(3))]);
        assert_eq!(inbox.shared.lock().unwrap().waiting, Waiting { reports: 1, octets: 3 });
    }

    #[tokio::test]
    async fn beyond_its_limit_nothing_is_taken_and_nothing_is_lost() {
        let dir = TempDir::quick();
        let inbox = Inbox::open(dir.path(), "n").unwrap();
        inbox.shared.lock().unwrap().waiting = Waiting { reports: REPORTS_MAX - 1, octets: 0 };
        assert!(inbox.keep(vec![arrived(1), arrived(1)], None).await.is_err_and(|error| error.is_full()));
        inbox.keep(vec![arrived(1)], None).await.unwrap();
        assert!(inbox.keep(vec![arrived(1)], None).await.is_err());
        assert_eq!(inbox.oldest(10).await.unwrap().len(), 1);
    }
}
