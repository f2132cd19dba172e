//! What the spool's files promised, looked through for mails whose rows are lost: their envelopes, and who was served.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use rusqlite::{Connection, params};

use super::list::List;
use super::sweep::Swept;
use super::{HELD_UNTIL, HELD_WHY};
use crate::spool::bodies::{self, End};
use crate::spool::disk::RealDisk;
use crate::spool::entry::{Changed, Entry, Kept, Step};
use crate::spool::mail::{Lane, NewMail, Recipient};
use crate::spool::record::{self, Salt};
use crate::spool::replay::{self, NUMBERS_PASSED};
use crate::spool::rows::Mark;
use crate::spool::{SpoolError, rows};

/// One file with entries, as it is gone through.
struct File {
    segment: u64,
    octets: Vec<u8>,
}

/// The salt of the spool's files, which outlives its name; none where no file holds entries.
pub(super) fn salt(dir: &Path) -> Result<Option<Salt>, SpoolError> {
    for segment in segments(dir)? {
        let found = file(dir, segment).and_then(|file| Salt::of_file(&file.octets));
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// How far the rows were, where they do not say so themselves: they know all that the ledger was told up to a number.
///
/// # Errors
/// Where the folder cannot be read.
pub(super) fn mark(dir: &Path, salt: Salt, swept: &Swept) -> Result<Mark, SpoolError> {
    let segments = segments(dir)?;
    let next = segments.last().map_or(1, |last| last + 1);
    let mut highest = swept.highest;
    for segment in &segments {
        let Some(File { segment, octets }) = file(dir, *segment) else { continue };
        for found in record::scan(&octets, salt, 0, 0).entries {
            let Ok(entry) = Entry::read(found.text) else { continue };
            let first = entry.kept(segment).first().map(|(mail, _)| *mail);
            if swept.told.is_some_and(|told| told < entry.told) {
                let end = End { segment, offset: found.at as u64, group: found.group };
                let mail = first.unwrap_or(highest.mail + 1);
                return Ok(Mark { end, mail, told: entry.told });
            }
            highest.mail = highest.mail.max(first.unwrap_or(0));
            highest.outbox = highest.outbox.max(entry.told);
        }
    }
    // Nobody knows, or there is nothing: the rows are all that is sent by itself.
    let end = End { segment: next, ..End::default() };
    Ok(Mark { end, mail: highest.mail + NUMBERS_PASSED, told: highest.outbox + NUMBERS_PASSED })
}

/// Puts back the rows of mails in the gaps whose envelope is still in a file, without the recipients that are known to be served.
/// These recipients are held: that they were served may have been said in a file that is gone. Where a recipient's own row is
/// there, it waits for certain, and the mail goes as if nothing had happened.
///
/// # Errors
/// Where the new queue or the list cannot be written.
pub(super) fn restore(
    dir: &Path,
    salt: Salt,
    mark: Mark,
    swept: &mut Swept,
    connection: &Connection,
    list: &mut List,
) -> Result<(), SpoolError> {
    let mut served = BTreeSet::new();
    let segments = segments(dir)?;
    let is_lost = |swept: &Swept, mail: u64| mail < mark.mail && swept.gaps.contains(mail);
    for segment in &segments {
        let Some(file) = file(dir, *segment) else { continue };
        file.each(salt, |entry| {
            if let Step::Changes(changes) = entry.step {
                served.extend(changes.iter().filter_map(|change| match change {
                    Changed::Done { mail, index, .. } if is_lost(swept, *mail) => Some((*mail, *index)),
                    _ => None,
                }));
            }
            Ok(())
        })?;
    }
    for segment in &segments {
        let Some(file) = file(dir, *segment) else { continue };
        file.each(salt, |entry| {
            for (kept, mail) in mails(entry, *segment)? {
                if is_lost(swept, kept.0) {
                    let missing = put_back(connection, kept, &mail, &served)?;
                    missing
                        .iter()
                        .try_for_each(|to| list.say(kept.0, &format!("recipient {to} was put back and is held")))?;
                    swept.put_back.extend(missing.into_iter().map(|index| (kept.0, index)));
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

impl File {
    fn each(&self, salt: Salt, mut each: impl FnMut(Entry<'_>) -> Result<(), SpoolError>) -> Result<(), SpoolError> {
        for found in record::scan(&self.octets, salt, 0, 0).entries {
            // What this version cannot read stays in its file.
            if let Ok(entry) = Entry::read(found.text) {
                each(entry)?;
            }
        }
        Ok(())
    }
}

/// Adds what is missing of a mail; answers with the recipients that were.
fn put_back(
    connection: &Connection,
    (id, body): Kept,
    mail: &NewMail,
    served: &BTreeSet<(u64, u32)>,
) -> Result<Vec<u32>, SpoolError> {
    let recipient = |(index, to): (u32, &crate::spool::NewRecipient)| Recipient {
        index,
        address: to.address.clone(),
        lane: Lane::Held,
        attempts: 0,
        next_at: HELD_UNTIL.into(),
        note: Some(HELD_WHY.to_owned()),
        options: to.options.clone(),
        delay_told: false,
    };
    let mut missing = Vec::new();
    for recipient in (0..).zip(&mail.recipients).map(recipient) {
        if !served.contains(&(id, recipient.index)) && !rows::is_there(connection, id, recipient.index)? {
            missing.push(recipient);
        }
    }
    let is_there = |question: &str| connection.prepare_cached(question)?.exists(params![id]);
    let waits = !missing.is_empty() || is_there("SELECT 1 FROM rcpt WHERE mail = ?1")?;
    if !waits || missing.is_empty() && is_there("SELECT 1 FROM mail WHERE id = ?1")? {
        return Ok(Vec::new());
    }
    // Written anew from the envelope; where its content was moved since, that is found with the other contents.
    connection.prepare_cached("DELETE FROM mail WHERE id = ?1")?.execute(params![id])?;
    rows::insert(connection, &mail.kept(id, body.len), body, missing.iter())?;
    Ok(missing.into_iter().map(|recipient| recipient.index).collect())
}

/// The mails that an entry puts into the queue.
fn mails(entry: Entry<'_>, segment: u64) -> Result<Vec<(Kept, NewMail)>, SpoolError> {
    let mut kept = entry.kept(segment).into_iter();
    let mut mails = Vec::new();
    match entry.step {
        Step::Mail(envelope) => mails.extend(kept.next().zip(Some(envelope.mail()?))),
        Step::Changes(changes) => {
            for change in changes {
                let change = change.change()?;
                mails.extend(change.carried().and_then(|mail| Some((kept.next()?, mail.clone()))));
            }
        }
        Step::Taken(_) => {}
    }
    Ok(mails)
}

fn file(dir: &Path, segment: u64) -> Option<File> {
    // A file that the medium does not give takes its mails with it, and no others.
    Some(File { segment, octets: fs::read(bodies::segment_path(dir, segment)).ok()? })
}

/// The files of a spool by number.
pub(super) fn segments(dir: &Path) -> io::Result<Vec<u64>> {
    match replay::files(&RealDisk, dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        files => files,
    }
}
