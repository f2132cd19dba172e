//! A copy of all that a node keeps, made while it goes on, and a node made of such a copy (decision 0060).
//!
//! The order makes it consistent: first the queue, then the ledger, so that nothing which left the outbox is missing there; then the
//! segments that the ledger names, which never change; last the keys. The queue is copied as a power cut would leave it: its
//! rows at one moment, and at least the files that belong to them.

mod list;
mod restore;

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use sha2::{Digest, Sha256};
use thiserror::Error;

pub use self::list::{Entry, Manifest};
pub use self::restore::{Restored, restore};
use crate::keys::{Keys, KeysError};
use crate::ledger;
use crate::spool::{SpoolError, bodies};
use crate::sql::SqlError;
#[cfg(feature = "postgres")]
use crate::sql::postgres::Shared;
#[cfg(feature = "postgres")]
use crate::transfer::{self, TransferError};

/// Why there is no copy, or no node of it.
#[derive(Debug, Error)]
pub enum BackupError {
    #[error("{}: {source}", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{}: {source}", path.display())]
    Database {
        path: PathBuf,
        #[source]
        source: rusqlite::Error,
    },
    #[error("{} is not empty; nothing there was changed", path.display())]
    NotEmpty { path: PathBuf },
    #[error("{}: nothing that a node keeps is there", path.display())]
    NoNode { path: PathBuf },
    #[error("the queue changes faster than it can be copied; try again")]
    Restless,
    #[error("{}: no whole copy ({why})", path.display())]
    NoCopy { path: PathBuf, why: String },
    #[error("the copy has format {found}, this version knows {known}: restore it with the version that made it")]
    Newer { found: u32, known: u32 },
    #[error("{}: damaged since the copy was made; nothing was restored", path.display())]
    Damaged { path: PathBuf },
    #[error(transparent)]
    Keys(#[from] KeysError),
    #[error(transparent)]
    Spool(#[from] SpoolError),
    #[error(transparent)]
    Sql(#[from] SqlError),
    #[cfg(feature = "postgres")]
    #[error(transparent)]
    Transfer(#[from] TransferError),
}

/// Where the ledger of a node is.
pub enum Source {
    /// In the data directory.
    File,
    /// In a database that several machines share.
    #[cfg(feature = "postgres")]
    Shared(Shared),
}

/// Copies the data directory of a node, running or not, into an empty folder. `now` in unix seconds.
///
/// # Errors
/// [`BackupError`]; what was copied has no list then, and cannot be restored by mistake.
pub fn backup(data_dir: &Path, from: &Source, target: &Path, now: u64) -> Result<Manifest, BackupError> {
    if matches!(from, Source::File) && !ledger::path(data_dir).exists() {
        return Err(BackupError::NoNode { path: data_dir.to_owned() });
    }
    make_empty(target)?;
    let mut copy = Copy { from: data_dir.to_owned(), to: target.to_owned(), entries: Vec::new() };
    if data_dir.join(QUEUE).exists() {
        copy.queue()?;
    }
    if data_dir.join(REPORTS).exists() {
        copy.database(REPORTS)?;
    }
    match from {
        Source::File => copy.database(LEDGER)?,
        #[cfg(feature = "postgres")]
        Source::Shared(shared) => copy.shared(shared)?,
    }
    for folder in FOLDERS {
        copy.folder(Path::new(folder))?;
    }
    for file in FILES.iter().filter(|file| data_dir.join(file).is_file()) {
        copy.file(Path::new(file))?;
    }
    let node = Keys::open(&data_dir.join("keys"), now)?.node_key();
    let manifest = Manifest::new(node, now, copy.entries);
    manifest.write(target)?;
    Ok(manifest)
}

/// Copies one database as it is now, whatever is written to it meanwhile, to a file that is not there yet.
///
/// # Errors
/// [`BackupError`] where one of them cannot be read or written.
pub fn copy_database(from: &Path, to: &Path) -> Result<(), BackupError> {
    copy_rows(&pinned(from)?, to)
}

/// What was copied so far.
struct Copy {
    from: PathBuf,
    to: PathBuf,
    entries: Vec<Entry>,
}

impl Copy {
    /// The rows, and the files that belong to them. Files are held open from before the rows are copied: what the spool removes
    /// meanwhile can still be read.
    fn queue(&mut self) -> Result<(), BackupError> {
        let bodies = self.from.join(BODIES);
        for _ in 0..TRIES_MAX {
            let mut open = Open::default();
            open.look(&bodies)?;
            let rows = pinned(&self.from.join(QUEUE))?;
            open.look(&bodies)?;
            let missing = named(&rows, &self.from.join(QUEUE))?.into_iter().any(|number| !open.has(number));
            if missing {
                continue;
            }
            self.rows(&rows, QUEUE)?;
            for (name, file) in open.files {
                self.write(&Path::new(BODIES).join(name), file)?;
            }
            return Ok(());
        }
        Err(BackupError::Restless)
    }

    fn database(&mut self, name: &str) -> Result<(), BackupError> {
        let rows = pinned(&self.from.join(name))?;
        self.rows(&rows, name)
    }

    /// Copies a database as this connection sees it.
    fn rows(&mut self, rows: &Connection, name: &str) -> Result<(), BackupError> {
        let path = self.to.join(name);
        copy_rows(rows, &path)?;
        let (octets, sha256) = digest(&path)?;
        self.entries.push(Entry::new(PathBuf::from(name), octets, sha256));
        Ok(())
    }

    /// What several machines share becomes a ledger file: a node of one machine can be made of the copy.
    #[cfg(feature = "postgres")]
    fn shared(&mut self, shared: &Shared) -> Result<(), BackupError> {
        let path = self.to.join(LEDGER);
        drop(create(&path)?);
        transfer::to_file(shared, &path)?;
        let (octets, sha256) = digest(&path)?;
        self.entries.push(Entry::new(PathBuf::from(LEDGER), octets, sha256));
        Ok(())
    }

    /// A folder with all that is in it; what goes away meanwhile was not needed.
    fn folder(&mut self, folder: &Path) -> Result<(), BackupError> {
        let path = self.from.join(folder);
        let read = match fs::read_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            read => read.map_err(at(&path))?,
        };
        let mut names: Vec<_> = read.flatten().map(|entry| entry.file_name()).collect();
        names.sort();
        for name in names {
            let (path, inner) = (path.join(&name), folder.join(&name));
            // Made again of the segments by the next start.
            if inner == Path::new(TAG_INDEX) {
                continue;
            }
            if path.is_dir() {
                self.folder(&inner)?
            } else if path.is_file() {
                self.file(&inner)?
            }
        }
        Ok(())
    }

    fn file(&mut self, file: &Path) -> Result<(), BackupError> {
        let path = self.from.join(file);
        match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            opened => self.write(file, opened.map_err(at(&path))?),
        }
    }

    fn write(&mut self, file: &Path, from: File) -> Result<(), BackupError> {
        let path = self.to.join(file);
        let (octets, sha256) = copied(from, &path)?;
        self.entries.push(Entry::new(file.to_owned(), octets, sha256));
        Ok(())
    }
}

/// Files of the spool, held open.
#[derive(Default)]
struct Open {
    files: BTreeMap<PathBuf, File>,
}

impl Open {
    fn look(&mut self, dir: &Path) -> Result<(), BackupError> {
        for entry in fs::read_dir(dir).map_err(at(dir))?.flatten() {
            let name = PathBuf::from(entry.file_name());
            if self.files.contains_key(&name) {
                continue;
            }
            match File::open(entry.path()) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                opened => _ = self.files.insert(name, opened.map_err(at(&entry.path()))?),
            }
        }
        Ok(())
    }

    fn has(&self, number: u64) -> bool {
        self.files.contains_key(&bodies::segment_path(Path::new(""), number))
    }
}

/// A connection that sees the database as it is now, whatever is written to it from here on.
fn pinned(path: &Path) -> Result<Connection, BackupError> {
    let database = |source| BackupError::Database { path: path.to_owned(), source };
    let connection = Connection::open(path).map_err(database)?;
    // A read takes the view; BEGIN alone does not.
    connection
        .execute_batch(
            "PRAGMA busy_timeout = 10000; PRAGMA query_only = ON; BEGIN; SELECT COUNT(*) FROM sqlite_schema;",
        )
        .map_err(database)?;
    Ok(connection)
}

/// Copies a database as this connection sees it.
fn copy_rows(rows: &Connection, path: &Path) -> Result<(), BackupError> {
    let database = |source| BackupError::Database { path: path.to_owned(), source };
    make_parent(path)?;
    drop(create(path)?);
    let mut copy = Connection::open(path).map_err(database)?;
    let done = Backup::new(rows, &mut copy).and_then(|backup| backup.step(-1)).map_err(database)?;
    // All pages at once: the view of the source is held, and its writer does not wait for readers.
    if done != StepResult::Done {
        return Err(BackupError::Restless);
    }
    // One file, without a log beside it.
    copy.pragma_update(None, "journal_mode", "DELETE").map_err(database)
}

/// The files in which the rows say that contents lie.
fn named(rows: &Connection, path: &Path) -> Result<Vec<u64>, BackupError> {
    let database = |source| BackupError::Database { path: path.to_owned(), source };
    let mut query = rows.prepare("SELECT DISTINCT segment FROM mail").map_err(database)?;
    let found = query.query_map([], |row| row.get(0)).map_err(database)?;
    found.collect::<Result<_, _>>().map_err(database)
}

/// Copies a file, for its owner alone; answers with its length and digest.
fn copied(from: impl Read, to: &Path) -> Result<(u64, String), BackupError> {
    make_parent(to)?;
    let mut file = create(to)?;
    let found = poured(from, &mut file).map_err(at(to))?;
    file.sync_all().map_err(at(to))?;
    Ok(found)
}

fn digest(path: &Path) -> Result<(u64, String), BackupError> {
    File::open(path).and_then(|file| poured(file, &mut io::sink())).map_err(at(path))
}

/// Writes all that is read; answers with its length and digest.
fn poured(mut from: impl Read, to: &mut impl Write) -> io::Result<(u64, String)> {
    let (mut octets, mut digest, mut piece) = (0, Sha256::new(), vec![0; PIECE]);
    loop {
        let read = from.read(&mut piece)?;
        if read == 0 {
            return Ok((octets, hex::encode(digest.finalize())));
        }
        digest.update(&piece[..read]);
        to.write_all(&piece[..read])?;
        octets += read as u64;
    }
}

fn create(path: &Path) -> Result<File, BackupError> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(at(path))
}

fn make_parent(path: &Path) -> Result<(), BackupError> {
    let Some(parent) = path.parent() else { return Ok(()) };
    fs::create_dir_all(parent).map_err(at(parent))?;
    fs::set_permissions(parent, Permissions::from_mode(0o700)).map_err(at(parent))
}

/// An empty folder, made where there is none.
fn make_empty(dir: &Path) -> Result<(), BackupError> {
    match fs::read_dir(dir) {
        Ok(mut entries) => match entries.next() {
            Some(_) => Err(BackupError::NotEmpty { path: dir.to_owned() }),
            None => Ok(()),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(dir).map_err(at(dir))?;
            fs::set_permissions(dir, Permissions::from_mode(0o700)).map_err(at(dir))
        }
        Err(error) => Err(at(dir)(error)),
    }
}

fn at(path: &Path) -> impl Fn(io::Error) -> BackupError {
    let path = path.to_owned();
    move |source| BackupError::File { path: path.clone(), source }
}

const QUEUE: &str = "spool/queue.sqlite";
const BODIES: &str = "spool/bodies";
const REPORTS: &str = "spool/reports.sqlite";
const LEDGER: &str = "ledger.sqlite";
/// In this order: keys may be made for what came before, and are never missing then.
const FOLDERS: [&str; 4] = ["segments", "mta-sts", "acme", "keys"];
const TAG_INDEX: &str = "segments/index";
const FILES: [&str; 2] = ["tls-counts.json", crate::exits::NAME];
/// A file goes away within the milliseconds between two looks; that it happens so often is no chance.
const TRIES_MAX: usize = 20;
const PIECE: usize = 1024 * 1024;
