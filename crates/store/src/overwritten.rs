//! What was removed from an SQLite file goes from its octets too: SQLite leaves them in its log, and in pages that it does not
//! use or has rearranged.

use std::fs::File;
use std::io::{self, Read};

use memchr::memmem;
use rusqlite::Connection;

/// Empties the log of a database, and writes the file anew where one of `needles` still stands in it. A row that is there may
/// have them as well: then the file is written anew for nothing.
///
/// # Errors
/// Where the file cannot be read or written; it is whole, and may hold what was removed.
pub(crate) fn overwrite(connection: &Connection, needles: &[Vec<u8>]) -> rusqlite::Result<()> {
    empty_log(connection)?;
    let holds = connection.path().map(|path| File::open(path).and_then(|file| holds(file, needles)));
    match holds {
        Some(Ok(false)) | None => return Ok(()),
        Some(Ok(true)) => {}
        Some(Err(error)) => tracing::warn!(%error, "a database cannot be looked through; it is written anew"),
    }
    connection.execute_batch("VACUUM")?;
    empty_log(connection)
}

/// Waits as long as the connection is patient for readers that are in the middle of a question.
fn empty_log(connection: &Connection) -> rusqlite::Result<()> {
    let busy: i64 = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if busy != 0 {
        tracing::warn!(
            "the log of a database could not be emptied: what was erased stands in it until it is written over"
        );
    }
    Ok(())
}

/// Whether one of `needles` stands in what is read.
fn holds(mut from: impl Read, needles: &[Vec<u8>]) -> io::Result<bool> {
    let finders: Vec<_> = needles.iter().filter(|needle| !needle.is_empty()).map(memmem::Finder::new).collect();
    let overlap = needles.iter().map(Vec::len).max().unwrap_or(0);
    let mut octets = vec![0; overlap + READ_OCTETS];
    let mut kept = 0;
    loop {
        let read = match from.read(&mut octets[kept..]) {
            Ok(0) => return Ok(false),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let filled = kept + read;
        if finders.iter().any(|finder| finder.find(&octets[..filled]).is_some()) {
            return Ok(true);
        }
        // What begins at the end of this part is found with the next one.
        let from = filled.saturating_sub(overlap);
        octets.copy_within(from..filled, 0);
        kept = filled - from;
    }
}

/// What is read at once.
const READ_OCTETS: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TempDir;

    #[test]
    fn a_needle_is_found_wherever_it_lies() {
        let needles = [b"gone@a.test".to_vec(), Vec::new()];
        for before in [0, 1, READ_OCTETS - 5, READ_OCTETS, READ_OCTETS + 7, 3 * READ_OCTETS - 1] {
            let mut octets = vec![b'g'; before];
            octets.extend(b"gone@a.test and more");
            assert!(holds(&octets[..], &needles).unwrap(), "{before}");
            assert!(!holds(&octets[..before + 10], &needles).unwrap(), "{before}");
        }
    }

    #[test]
    fn what_was_deleted_is_in_no_octet_of_the_file_and_its_log() {
        let dir = TempDir::quick();
        let path = dir.path().join("a.sqlite");
        let connection = Connection::open(&path).unwrap();
        connection
            .execute_batch("PRAGMA journal_mode = WAL; PRAGMA secure_delete = OFF; CREATE TABLE t (a TEXT);")
            .unwrap();
        for n in 0..2000 {
            let name = format!("person-{n}@example.org {}", "x".repeat(n % 300));
            connection.execute("INSERT INTO t VALUES (?1)", [name]).unwrap();
        }
        connection.execute("DELETE FROM t WHERE a LIKE 'person-1%'", []).unwrap();
        let needle = b"person-1234@".to_vec();
        let holds =
            |name: &str| holds(File::open(dir.path().join(name)).unwrap(), std::slice::from_ref(&needle)).unwrap();
        assert!(holds("a.sqlite-wal"));
        overwrite(&connection, std::slice::from_ref(&needle)).unwrap();
        assert!(!holds("a.sqlite") && !holds("a.sqlite-wal"));
        let left: i64 = connection.query_row("SELECT COUNT(*) FROM t", [], |row| row.get(0)).unwrap();
        assert_eq!(left, 2000 - 1111);
    }
}
