//! Takes what can be read of a damaged queue database into a new one. The damaged files are kept with all their octets.
//!
//! No row is believed that is not whole, and nothing is sent again that is known to be done: what may be done
//! already waits for a person, in the lane `held`, or as a file where nobody can say any more to whom it goes.

mod contents;
mod found;
mod list;
mod pages;
mod promised;
mod sweep;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rusqlite::{Connection, OpenFlags, params};
use serde::{Deserialize, Serialize};

use self::contents::Contents;
use self::list::List;
use self::pages::Pages;
use self::sweep::{Swept, sweep};
use super::bodies::Place;
use super::disk::RealDisk;
use super::record::Salt;
use super::{SpoolError, replay, rows, writer};

/// What became of a damaged queue.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Salvaged {
    /// The folder with the damaged files, contents without an envelope, and a list of all that a person has to look at.
    pub kept_in: PathBuf,
    /// In the new queue.
    pub mails: u64,
    pub recipients: u64,
    /// Happenings that the ledger has not taken yet.
    pub happenings: u64,
    /// Recipients of those that wait for a person: they may have been served already, or their content is gone.
    pub held: u64,
    /// Contents of which nobody can say any more to whom they go, or whether they are done.
    pub loose: u64,
    /// Pages of the database that could not be read.
    pub pages: u64,
    /// Rows that were no rows, or stood there twice.
    pub rows: u64,
}

/// Whether a salvage was begun in this spool and not ended: then its queue database may be neither the old nor the new one.
#[must_use]
pub(super) fn is_unfinished(dir: &Path) -> bool {
    dir.join(UNFINISHED).exists()
}

/// Makes a new queue database of the spool in `dir` from what can be read of the old one. Nobody else may use the spool
/// meanwhile. None: the old one is whole, and nothing was changed.
///
/// `fresh_name` is used where the name of the spool cannot be read any more; it must be unlike that of any other spool.
///
/// # Errors
/// [`SpoolError`]: the old files are where they were, or the next call goes on from where this one came to.
pub fn salvage(dir: &Path, fresh_name: &str) -> Result<Option<Salvaged>, SpoolError> {
    let database = dir.join(DATABASE);
    if is_unfinished(dir) {
        let told = fs::read(dir.join(UNFINISHED))?;
        let salvaged = serde_json::from_slice(&told).map_err(|error| SpoolError::Stored(error.to_string()))?;
        replace(dir)?;
        return Ok(Some(salvaged));
    }
    if is_whole(&database)? {
        return Ok(None);
    }
    let kept_in = keep(dir)?;
    let fresh = dir.join(FRESH);
    forget(&fresh)?;
    let mut list = List::create(&kept_in)?;
    let mut salvaged = write(&fresh, &kept_in, dir, fresh_name, &mut list)?;
    list.close()?;
    salvaged.kept_in = kept_in;
    File::open(&fresh)?.sync_all()?;
    // From here on there is a way forward alone, and it is written down.
    let told = serde_json::to_vec(&salvaged).map_err(|error| SpoolError::Stored(error.to_string()))?;
    write_durably(&dir.join(UNFINISHED), &told)?;
    replace(dir)?;
    Ok(Some(salvaged))
}

/// Writes the new database, whole and closed.
fn write(fresh: &Path, kept_in: &Path, dir: &Path, fresh_name: &str, list: &mut List) -> Result<Salvaged, SpoolError> {
    let (pages, bodies) = (Pages::open(&kept_in.join(DATABASE))?, dir.join("bodies"));
    let mut connection = rows::open(fresh)?;
    let transaction = connection.transaction()?;
    let mut swept = sweep(&pages, &transaction, list)?;
    rows::name(&transaction, fresh_name)?;
    let salt = promised::salt(&bodies)?;
    let fresh_from = match salt {
        Some(salt) => promise(&bodies, salt, &mut swept, &transaction, list)?,
        // Of a version that knew of rows alone.
        None => {
            never_again(&transaction, swept.highest)?;
            u64::MAX
        }
    };
    let torn = torn(&transaction, list)?;
    let is_lost = |mail| mail < fresh_from && (swept.gaps.contains(mail) || torn.contains(&mail));
    let contents = Contents::read(&bodies, &transaction, is_lost, list)?;
    swept.held.extend(contents.missing);
    transaction.commit()?;
    if let Some(salt) = salt {
        catch_up(&mut connection, bodies, salt)?;
    }
    // After what was promised was done again, which may have moved them.
    let transaction = connection.transaction()?;
    hold(&transaction, &swept)?;
    transaction.commit()?;
    let count = |question: &str| connection.query_row(question, [], |row| row.get::<_, u64>(0));
    let salvaged = Salvaged {
        kept_in: PathBuf::new(),
        mails: count("SELECT COUNT(*) FROM mail")?,
        recipients: count("SELECT COUNT(*) FROM rcpt")?,
        happenings: count("SELECT COUNT(*) FROM outbox")?,
        held: connection.query_row(HELD, [HELD_UNTIL], |row| row.get(0))?,
        loose: contents.loose,
        pages: swept.pages,
        rows: swept.rows,
    };
    connection.close().map_err(|(_, error)| error)?;
    Ok(salvaged)
}

/// Puts back what the files promised and the rows lost; answers with the number from which on mails have no rows yet.
fn promise(
    bodies: &Path,
    salt: Salt,
    swept: &mut Swept,
    connection: &Connection,
    list: &mut List,
) -> Result<u64, SpoolError> {
    let known = rows::mark(connection).ok().flatten();
    let mark = match known {
        Some(mark) => mark,
        None => {
            if swept.told.is_none() {
                // Nobody knows what the rows said: all that is not in them is looked at by a person.
                swept.gaps.add(0, u64::MAX);
            }
            let mark = promised::mark(bodies, salt, swept)?;
            rows::remember(connection, mark)?;
            mark
        }
    };
    promised::restore(bodies, salt, mark, swept, connection, list)?;
    Ok(mark.mail)
}

/// Does again what the files say beyond the rows, as a start does it; but with the salt of the files, whose name may be lost.
fn catch_up(connection: &mut Connection, bodies: PathBuf, salt: Salt) -> Result<(), SpoolError> {
    let place = Place { disk: Arc::new(RealDisk), dir: bodies };
    let mut start = replay::replay(connection, &place, salt)?;
    let behind = Mutex::new(start.behind());
    writer::fold(connection, &start.unfolded, &behind, start.end(), &[]).map(drop)
}

/// Keeps what is not sure until a person lets it go.
fn hold(connection: &Connection, swept: &Swept) -> Result<(), SpoolError> {
    let mut statement = connection.prepare(
        "UPDATE rcpt SET lane = 'held', next_at = ?3, note = ?4 WHERE mail = ?1 AND (?2 IS NULL OR idx = ?2)",
    )?;
    let mails = swept.held.iter().map(|mail| (*mail, None));
    for (mail, index) in mails.chain(swept.put_back.iter().map(|(mail, index)| (*mail, Some(*index)))) {
        statement.execute(params![mail, index, HELD_UNTIL, HELD_WHY])?;
    }
    Ok(())
}

/// Mails with half of their rows: taken out of the new queue and named, for who looks at their contents.
fn torn(connection: &Connection, list: &mut List) -> Result<BTreeSet<u64>, SpoolError> {
    let mut torn = BTreeSet::new();
    let mut strays = connection
        .prepare("SELECT mail, address FROM rcpt WHERE mail NOT IN (SELECT id FROM mail) ORDER BY mail, idx")?;
    let mut rows = strays.query([])?;
    while let Some(row) = rows.next()? {
        let (mail, to): (u64, String) = (row.get(0)?, row.get(1)?);
        list.say(mail, &format!("was still to go to {to}; its sender and organisation are lost"))?;
        torn.insert(mail);
    }
    let mut alone = connection.prepare(
        "SELECT id, org, COALESCE(mail_from, ''), COALESCE(message_id, '') FROM mail WHERE id NOT IN (SELECT mail FROM rcpt)",
    )?;
    let mut rows = alone.query([])?;
    while let Some(row) = rows.next()? {
        let (mail, org, from, id): (u64, String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        list.say(mail, &format!("from <{from}> of {org}, Message-ID {id:?}; its recipients are lost"))?;
        torn.insert(mail);
    }
    connection.execute("DELETE FROM rcpt WHERE mail NOT IN (SELECT id FROM mail)", [])?;
    connection.execute("DELETE FROM mail WHERE id NOT IN (SELECT mail FROM rcpt)", [])?;
    Ok(torn)
}

/// Numbers that were used are not used again: a report about an old mail must never meet a new one, and the ledger skips
/// happenings below those that it has. For a queue of a version that keeps them with its tables.
fn never_again(connection: &Connection, highest: sweep::Highest) -> Result<(), SpoolError> {
    rows::remember_used(connection, "mail", highest.mail)?;
    rows::remember_used(connection, "outbox", highest.outbox)
}

/// SQLite finds nothing wrong with it.
fn is_whole(database: &Path) -> Result<bool, SpoolError> {
    fs::metadata(database)?;
    // For reading alone: closing it would write the log into a file that is damaged.
    let checked = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .and_then(|connection| connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0)));
    match checked {
        Ok(answer) => Ok(answer == "ok"),
        Err(error) if super::is_corrupt(&error) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// A folder of its own with the files as they are. They are not copied, and nobody writes to them from now on.
fn keep(dir: &Path) -> io::Result<PathBuf> {
    let free = |n: &u32| !dir.join(format!("damaged-{n}")).exists();
    let number =
        (1..KEPT_MAX).find(free).ok_or_else(|| io::Error::other("too many folders damaged-N: remove old ones"))?;
    let kept_in = dir.join(format!("damaged-{number}"));
    fs::create_dir(&kept_in)?;
    for name in [DATABASE.to_owned(), format!("{DATABASE}-wal")] {
        match fs::hard_link(dir.join(&name), kept_in.join(&name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            linked => linked?,
        }
    }
    File::open(&kept_in)?.sync_all()?;
    File::open(dir)?.sync_all()?;
    Ok(kept_in)
}

/// Puts the new database in the place of the old one. Each step may be done twice.
fn replace(dir: &Path) -> io::Result<()> {
    let database = dir.join(DATABASE);
    let fresh = dir.join(FRESH);
    if fresh.exists() {
        // The log of the old one would be written into the new one.
        for end in ["-wal", "-shm"] {
            remove(&with_end(&database, end))?;
        }
        File::open(dir)?.sync_all()?;
        fs::rename(&fresh, &database)?;
        File::open(dir)?.sync_all()?;
    }
    remove(&dir.join(UNFINISHED))?;
    File::open(dir)?.sync_all()
}

/// What a salvage that did not come to its end left behind.
fn forget(fresh: &Path) -> io::Result<()> {
    remove(fresh)?;
    ["-wal", "-shm"].iter().try_for_each(|end| remove(&with_end(fresh, end)))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

fn write_durably(path: &Path, octets: &[u8]) -> io::Result<()> {
    let beside = with_end(path, ".new");
    fs::write(&beside, octets)?;
    File::open(&beside)?.sync_all()?;
    fs::rename(&beside, path)?;
    path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}

const DATABASE: &str = "queue.sqlite";
const FRESH: &str = "queue.sqlite.fresh";
/// Present from when the new database is whole until it has taken the place of the old one.
const UNFINISHED: &str = "salvage-unfinished";
/// Folders of damaged files: each is as large as a queue, and somebody should have looked at the first ones.
const KEPT_MAX: u32 = 1000;
const HELD: &str = "SELECT COUNT(*) FROM rcpt WHERE lane = 'held' AND next_at = ?1";
/// Far in the future: only a person lets it go.
const HELD_UNTIL: u32 = u32::MAX;
const HELD_WHY: &str =
    "salvaged: it may have been delivered already, or part of it is lost; see the list beside the damaged files";

#[cfg(test)]
mod tests;
