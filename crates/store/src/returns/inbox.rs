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
    /// It went on to the sender already, in a turn in which the ledger could not count it.
    pub passed_on: bool,
}

/// Where a report waits. Each line has its own order, and is counted by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    Main,
    /// For those whose mail the ledger does not know yet: others need not wait for them.
    Aside,
}

/// How far a mailbox file was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    pub path: PathBuf,
    /// Of the file: another file under the same name is read from its beginning.
    pub inode: u64,
    pub offset: u64,
    /// A digest of the octets before that place: a file that was emptied and filled again has others. Empty where it is not
    /// known.
    pub before: Vec<u8>,
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
        if found == 1 {
            connection.execute_batch(FROM_1)?;
        }
        connection.execute_batch(SCHEMA)?;
        connection.pragma_update(None, "user_version", FORMAT)?;
        connection.execute("INSERT OR IGNORE INTO meta (key, value) VALUES ('name', ?1)", [fresh_name])?;
        let name: String = connection.query_row("SELECT value FROM meta WHERE key = 'name'", [], |row| row.get(0))?;
        let waiting = connection.query_row("SELECT COUNT(*), TOTAL(LENGTH(content)) FROM report", [], |row| {
            Ok(Waiting { reports: row.get(0)?, octets: row.get::<_, f64>(1)? as u64 })
        })?;
        let shared = Shared { connection, waiting };
        shared.tidy();
        Ok(Self { shared: Arc::new(Mutex::new(shared)), name: name.into() })
    }

    /// Of one of its lines: unlike that of any other inbox or spool.
    #[must_use]
    pub fn name(&self, line: Line) -> String {
        match line {
            Line::Main => format!("reports:{}", self.name),
            Line::Aside => format!("reports-aside:{}", self.name),
        }
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
            for Arrived { at, token, content, passed_on } in &reports {
                transaction
                    .prepare_cached("INSERT INTO report (at, token, content, passed_on) VALUES (?1, ?2, ?3, ?4)")?
                    .execute(params![at, token, content, passed_on])?;
            }
            if let Some(Mark { path, inode, offset, before }) = &mark {
                transaction.execute(
                    "INSERT INTO mark (path, inode, offset, before) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (path) \
                     DO UPDATE SET inode = excluded.inode, offset = excluded.offset, before = excluded.before",
                    params![path.to_string_lossy(), inode, offset, before],
                )?;
            }
            transaction.commit()?;
            shared.waiting = after;
            Ok(())
        })
        .await
    }

    /// The oldest reports of a line with their numbers, `limit` of them at most.
    ///
    /// # Errors
    /// [`SpoolError`] where they cannot be read.
    pub async fn oldest(&self, line: Line, limit: usize) -> Result<Vec<(u64, Arrived)>, SpoolError> {
        self.ask(move |shared| {
            let query = "SELECT n, at, token, content, passed_on FROM report WHERE aside = ?1 ORDER BY n LIMIT ?2";
            let mut statement = shared.connection.prepare_cached(query)?;
            let reports = statement.query_map(params![line == Line::Aside, limit], |row| {
                let (at, token, content, passed_on) = (row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?);
                Ok((row.get(0)?, Arrived { at, token, content, passed_on }))
            })?;
            Ok(reports.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// This one waits apart from now on, under a number of its own.
    ///
    /// # Errors
    /// [`SpoolError`]: it stays where it is.
    pub async fn set_aside(&self, number: u64) -> Result<(), SpoolError> {
        self.ask(move |shared| {
            let transaction = shared.connection.unchecked_transaction()?;
            transaction.execute(
                "INSERT INTO report (at, token, content, passed_on, aside) \
                 SELECT at, token, content, passed_on, 1 FROM report WHERE n = ?1",
                [number],
            )?;
            transaction.execute("DELETE FROM report WHERE n = ?1", [number])?;
            Ok(transaction.commit()?)
        })
        .await
    }

    /// This one went on to its sender, and could not be counted: nobody shall get it twice for that.
    ///
    /// # Errors
    /// [`SpoolError`]: a restart forgets it.
    pub async fn passed_on(&self, number: u64) -> Result<(), SpoolError> {
        self.ask(move |shared| {
            shared.connection.execute("UPDATE report SET passed_on = 1 WHERE n = ?1", [number])?;
            Ok(())
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
                shared.tidy();
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
            let query = "SELECT inode, offset, before FROM mark WHERE path = ?1";
            let text = path.to_string_lossy().into_owned();
            let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
            let found = shared.connection.query_row(query, [text], read).optional()?;
            Ok(found.map(|(inode, offset, before)| Mark { path, inode, offset, before }))
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

impl Shared {
    /// What was removed is overwritten in the file, and stands in its log until that is emptied: reports name people.
    fn tidy(&self) {
        if self.waiting.reports != 0 {
            return;
        }
        // A reader elsewhere can be in the way; the next report that goes tries again.
        let emptied = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        if let Err(error) = emptied {
            tracing::debug!(%error, "the log of the waiting reports could not be emptied");
        }
    }
}

/// 2: reports that wait apart or went on already; what stands before the place in a mailbox file.
const FORMAT: i64 = 2;
const FROM_1: &str = "
ALTER TABLE report ADD COLUMN passed_on INTEGER NOT NULL DEFAULT 0;
ALTER TABLE report ADD COLUMN aside INTEGER NOT NULL DEFAULT 0;
ALTER TABLE mark ADD COLUMN before BLOB NOT NULL DEFAULT x'';
";
/// `mark` says how far mailbox files of others were read. Numbers are never used twice, so that what was counted is known
/// by its number.
const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS report (
    n INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, token TEXT, content BLOB NOT NULL,
    passed_on INTEGER NOT NULL DEFAULT 0, aside INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS mark (
    path TEXT PRIMARY KEY, inode INTEGER NOT NULL, offset INTEGER NOT NULL, before BLOB NOT NULL DEFAULT x'');
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
        Arrived { at: 5, token: Some("t".into()), content: vec![b'x'; octets], passed_on: false }
    }

    #[tokio::test]
    async fn what_was_taken_is_there_after_a_crash_in_its_order_and_no_number_comes_twice() {
        let dir = TempDir::new();
        let inbox = Inbox::open(dir.path(), "first").unwrap();
        let mark = Mark { path: "/var/mail/returns".into(), inode: 7, offset: 12, before: vec![1, 2] };
        inbox.keep(vec![arrived(1), arrived(2)], Some(mark.clone())).await.unwrap();
        inbox.remove(1).await.unwrap();
        inbox.remove(1).await.unwrap();
        drop(inbox);
        let inbox = Inbox::open(dir.path(), "second").unwrap();
        assert_eq!(inbox.name(Line::Main), "reports:first");
        assert_eq!(inbox.mark(mark.path.clone()).await.unwrap(), Some(mark));
        inbox.remove(2).await.unwrap();
        inbox.keep(vec![arrived(3)], None).await.unwrap();
        assert_eq!(inbox.oldest(Line::Main, 10).await.unwrap(), [(3, arrived(3))]);
        assert_eq!(inbox.shared.lock().unwrap().waiting, Waiting { reports: 1, octets: 3 });
    }

    #[tokio::test]
    async fn who_waits_apart_keeps_nobody_waiting_and_nothing_is_lost_on_the_way() {
        let dir = TempDir::quick();
        let inbox = Inbox::open(dir.path(), "n").unwrap();
        inbox.keep(vec![arrived(1), arrived(2)], None).await.unwrap();
        inbox.passed_on(1).await.unwrap();
        inbox.set_aside(1).await.unwrap();
        inbox.set_aside(1).await.unwrap();
        drop(inbox);
        let inbox = Inbox::open(dir.path(), "n").unwrap();
        assert_eq!(inbox.oldest(Line::Main, 10).await.unwrap(), [(2, arrived(2))]);
        let aside = Arrived { passed_on: true, ..arrived(1) };
        assert_eq!(inbox.oldest(Line::Aside, 10).await.unwrap(), [(3, aside)]);
        assert_ne!(inbox.name(Line::Main), inbox.name(Line::Aside));
        assert_eq!(inbox.shared.lock().unwrap().waiting, Waiting { reports: 2, octets: 3 });
    }

    #[tokio::test]
    async fn nobody_is_named_in_the_files_when_nothing_waits_any_more() {
        let dir = TempDir::quick();
        let inbox = Inbox::open(dir.path(), "n").unwrap();
        let names = |wanted: bool| {
            let found = std::fs::read_dir(dir.path()).unwrap().any(|file| {
                let octets = std::fs::read(file.unwrap().path()).unwrap();
                octets.windows(11).any(|window| window == b"jean.dupont")
            });
            assert_eq!(found, wanted);
        };
        let report = |n: usize| Arrived { content: b"jean.dupont@x.example ".repeat(n), ..arrived(0) };
        inbox.keep(vec![report(1), report(2000)], None).await.unwrap();
        inbox.keep(vec![report(3)], None).await.unwrap();
        inbox.set_aside(3).await.unwrap();
        for number in [1, 2] {
            inbox.remove(number).await.unwrap();
        }
        names(true);
        inbox.remove(4).await.unwrap();
        names(false);
    }

    #[test]
    fn an_inbox_of_format_1_is_brought_up() {
        let dir = TempDir::quick();
        let connection = Connection::open(dir.path().join("reports.sqlite")).unwrap();
        let before = SCHEMA
            .replace(",\n    passed_on INTEGER NOT NULL DEFAULT 0, aside INTEGER NOT NULL DEFAULT 0", "")
            .replace(", before BLOB NOT NULL DEFAULT x''", "");
        assert!(!before.contains("aside") && !before.contains("before"));
        connection.execute_batch(&before).unwrap();
        connection.execute_batch("INSERT INTO report (at, content) VALUES (5, 'x'); PRAGMA user_version = 1;").unwrap();
        drop(connection);
        for _ in 0..2 {
            let inbox = Inbox::open(dir.path(), "n").unwrap();
            assert_eq!(inbox.shared.lock().unwrap().waiting, Waiting { reports: 1, octets: 1 });
        }
    }

    #[tokio::test]
    async fn beyond_its_limit_nothing_is_taken_and_nothing_is_lost() {
        let dir = TempDir::quick();
        let inbox = Inbox::open(dir.path(), "n").unwrap();
        inbox.shared.lock().unwrap().waiting = Waiting { reports: REPORTS_MAX - 1, octets: 0 };
        assert!(inbox.keep(vec![arrived(1), arrived(1)], None).await.is_err_and(|error| error.is_full()));
        inbox.keep(vec![arrived(1)], None).await.unwrap();
        assert!(inbox.keep(vec![arrived(1)], None).await.is_err());
        assert_eq!(inbox.oldest(Line::Main, 10).await.unwrap().len(), 1);
    }
}
