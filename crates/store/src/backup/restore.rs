//! A node made of a copy. What the lost one did since the copy is not known: numbers that it may have given out are passed over, and
//! its log goes on in a new epoch.

use std::fs::{self, File};
use std::path::Path;

use rusqlite::{Connection, OptionalExtension};

use super::list::Manifest;
use super::{BackupError, LEDGER, QUEUE, REPORTS, at, copied, make_empty};
use crate::keys::Keys;
use crate::spool;

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    pub manifest: Manifest,
    /// In which the node's log goes on.
    pub epoch: u32,
}

/// Makes a data directory of a copy. `now` in unix seconds.
///
/// # Errors
/// [`BackupError`]: the directory is not empty, or the copy is not whole; then nothing is left of what was begun.
pub fn restore(copy: &Path, data_dir: &Path, now: u64) -> Result<Restored, BackupError> {
    let manifest = Manifest::read(copy)?;
    make_empty(data_dir)?;
    let restored = fill(copy, data_dir, &manifest).and_then(|()| renumber(data_dir, now));
    match restored {
        Ok(epoch) => Ok(Restored { manifest, epoch }),
        Err(error) => {
            // It was empty; half a node must not be started.
            for entry in fs::read_dir(data_dir).into_iter().flatten().flatten() {
                let path = entry.path();
                let _ = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            }
            Err(error)
        }
    }
}

fn fill(copy: &Path, data_dir: &Path, manifest: &Manifest) -> Result<(), BackupError> {
    for entry in &manifest.entries {
        let from = copy.join(&entry.path);
        let file = File::open(&from).map_err(at(&from))?;
        if copied(file, &data_dir.join(&entry.path))? != (entry.octets, entry.sha256.clone()) {
            return Err(BackupError::Damaged { path: from });
        }
    }
    Ok(())
}

/// Answers with the epoch.
fn renumber(data_dir: &Path, now: u64) -> Result<u32, BackupError> {
    let queue = data_dir.join(QUEUE);
    if queue.exists() {
        spool::pass_over(&queue, PASSED_OVER)?;
    }
    let reports = data_dir.join(REPORTS);
    if reports.exists() {
        let work = |source| BackupError::Database { path: reports.clone(), source };
        let connection = Connection::open(&reports).map_err(work)?;
        let passed = "UPDATE sqlite_sequence SET seq = seq + ?1 WHERE name = 'report'";
        connection.execute(passed, [PASSED_OVER]).map_err(work)?;
    }
    let own = Keys::open(&data_dir.join("keys"), now)?.node_key();
    let ledger = data_dir.join(LEDGER);
    epoch(&ledger, &own.0).map_err(|source| BackupError::Database { path: ledger, source })
}

/// One above all in which this node may have sealed, as far as the copy knows; peers that know more say so at the start
/// (`FEDERATION.md` §5). Readers of the feed begin anew: its numbers mean other headers from here on.
fn epoch(ledger: &Path, own: &[u8]) -> rusqlite::Result<u32> {
    let mut connection = Connection::open(ledger)?;
    let transaction = connection.transaction()?;
    let sealed: Option<u32> =
        transaction.query_row("SELECT MAX(epoch) FROM segment WHERE origin = ?1", [own], |row| row.get(0))?;
    let kept: Option<String> =
        transaction.query_row("SELECT value FROM setting WHERE key = 'epoch'", [], |row| row.get(0)).optional()?;
    let kept = kept.and_then(|epoch| epoch.parse().ok()).unwrap_or(0);
    let next = sealed.unwrap_or(0).max(kept).saturating_add(1);
    transaction.execute(
        "INSERT INTO setting (key, value) VALUES ('epoch', ?1) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        [next.to_string()],
    )?;
    transaction.execute("DELETE FROM setting WHERE key = 'feed'", [])?;
    transaction.commit()?;
    Ok(next)
}

/// More than a node gives out between a copy and its end: a thousand mails a second for eleven days.
const PASSED_OVER: u64 = 1_000_000_000;
