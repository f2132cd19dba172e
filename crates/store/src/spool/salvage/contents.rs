//! The contents of mails in the spool's files, looked for by what stands before each: they tell whose they are without the queue.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use rusqlite::{Connection, params};

use super::list::List;
use super::promised::segments;
use crate::spool::{SpoolError, bodies, record};

/// What the files gave.
pub(super) struct Contents {
    /// Mails of the queue whose content is nowhere.
    pub missing: BTreeSet<u64>,
    /// Contents without an envelope that were put into files.
    pub loose: u64,
}

/// A content as it lies in a file.
#[derive(Debug, PartialEq, Eq)]
struct Frame<'a> {
    mail: u64,
    offset: usize,
    content: &'a [u8],
}

impl Contents {
    /// Compares all contents with the queue: rows that name another place are put right, and contents of mails that
    /// `may_be_lost` are put into files.
    ///
    /// # Errors
    /// Where the list, a file of it, or the new queue cannot be written.
    pub(super) fn read(
        dir: &Path,
        connection: &Connection,
        may_be_lost: impl Fn(u64) -> bool,
        list: &mut List,
    ) -> Result<Self, SpoolError> {
        let mut wanted = wanted(connection)?;
        let (mut elsewhere, mut written) = (BTreeMap::new(), BTreeSet::new());
        for segment in segments(dir)? {
            // A file that the medium does not give takes its mails with it, and no others.
            let Ok(octets) = fs::read(bodies::segment_path(dir, segment)) else { continue };
            for frame in frames(&octets) {
                let place = (segment, frame.offset as u64, frame.content.len() as u64);
                match wanted.get(&frame.mail) {
                    Some(named) if *named == place => drop(wanted.remove(&frame.mail)),
                    Some((_, _, octets)) if *octets == place.2 => drop(elsewhere.insert(frame.mail, place)),
                    _ if is_queued(connection, frame.mail)? => {}
                    // A mail that was moved lies in two files for a while.
                    _ if may_be_lost(frame.mail) && written.insert(frame.mail) => {
                        list.content(frame.mail, frame.content)?
                    }
                    _ => {}
                }
            }
        }
        for (mail, (segment, offset, _)) in elsewhere {
            if wanted.remove(&mail).is_some() {
                connection
                    .prepare_cached("UPDATE mail SET segment = ?2, offset = ?3 WHERE id = ?1")?
                    .execute(params![mail, segment, offset])?;
            }
        }
        let missing: BTreeSet<u64> = wanted.into_keys().collect();
        missing.iter().try_for_each(|mail| list.say(*mail, "its content is damaged or gone; it is held"))?;
        Ok(Self { missing, loose: written.len() as u64 })
    }
}

/// Where the rows say that contents are: file, offset, octets.
fn wanted(connection: &Connection) -> Result<BTreeMap<u64, (u64, u64, u64)>, SpoolError> {
    let mut statement = connection.prepare("SELECT id, segment, offset, octets FROM mail")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?, row.get(3)?))))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn is_queued(connection: &Connection, mail: u64) -> Result<bool, SpoolError> {
    Ok(connection.prepare_cached("SELECT 1 FROM mail WHERE id = ?1")?.exists([mail])?)
}

/// Every whole content of a file, wherever damage lies between them.
fn frames(octets: &[u8]) -> Vec<Frame<'_>> {
    let (mut at, mut frames) = (0, Vec::new());
    while let Some(found) = octets.get(at..).and_then(|rest| memchr::memmem::find(rest, record::BODY)) {
        at += found;
        match record::body_at(&octets[at..]) {
            Some((mail, content)) => {
                frames.push(Frame { mail, offset: at, content });
                at += record::BODY_HEADER + content.len();
            }
            None => at += 1,
        }
    }
    frames
}
