//! The start of a spool: what its files say beyond the queue's rows is done again.

use std::io;
use std::path::Path;

use rusqlite::Connection;

use super::bodies::{self, BodyAt, End, Place};
use super::disk::Disk;
use super::entry::{Entry, Step};
use super::record::{self, Found, Salt};
use super::rows::{self, Mark};
use super::unfolded::Unfolded;
use super::untaken::Untaken;
use super::{Behind, SpoolError};

/// What a spool begins with.
pub(super) struct Start {
    /// How far the rows were.
    pub mark: Mark,
    /// The number of the next file.
    pub segment: u64,
    /// What they did not say.
    pub unfolded: Unfolded,
    /// The next numbers, of mails and of what the ledger is told.
    pub mail: u64,
    pub told: u64,
}

/// Reads the files from the mark on. Damage in the middle takes what it hit, and is reported; what lies behind it is served.
///
/// # Errors
/// [`SpoolError`] where a file or the rows cannot be read, or where a newer version wrote them.
pub(super) fn replay(connection: &Connection, place: &Place, salt: Salt) -> Result<Start, SpoolError> {
    let mut files = files(&*place.disk, &place.dir)?;
    let mark = match rows::mark(connection)? {
        Some(mark) => mark,
        None => {
            let last = files.last().copied().unwrap_or(0);
            let (mail, told) = (rows::used(connection, "mail")? + 1, rows::used(connection, "outbox")? + 1);
            let mark = Mark { end: End { segment: last.saturating_add(1), ..End::default() }, mail, told };
            // Before the first mail: the next start must not take its file for one of before.
            rows::remember(connection, mark)?;
            mark
        }
    };
    let segment = files.last().map_or(1, |last| last.saturating_add(1)).max(mark.end.segment);
    files.retain(|number| mark.end.segment <= *number);
    if !files.is_empty() {
        place.disk.sync_dir(&place.dir).map_err(SpoolError::Sync)?;
    }
    let mut start = Start { mark, segment, unfolded: Unfolded::new(mark.mail), mail: mark.mail, told: mark.told };
    for number in files {
        let path = bodies::segment_path(&place.dir, number);
        // A node that was killed may have written what no sync has confirmed; rows that name it would be durable before it.
        place.disk.sync(&path).map_err(SpoolError::Sync)?;
        let octets = place.disk.read(&path, 0, usize::MAX)?;
        let from = if number == mark.end.segment { mark.end } else { End { segment: number, ..End::default() } };
        start.file(connection, place, &octets, from, salt)?;
    }
    Ok(start)
}

impl Start {
    /// What a reader must know before the rows are up. What came and went meanwhile holds no file.
    pub(super) fn behind(&mut self) -> Behind {
        let mut untaken = Untaken::new(self.mark.told);
        untaken.push(self.unfolded.told());
        untaken.take(self.unfolded.taken());
        drop(self.unfolded.released());
        Behind { untaken, mails: self.unfolded.touched() }
    }

    /// How far the rows are when they know all of it.
    pub(super) fn end(&self) -> Mark {
        Mark { end: End { segment: self.segment, ..End::default() }, mail: self.mail, told: self.told }
    }

    fn file(
        &mut self,
        connection: &Connection,
        place: &Place,
        octets: &[u8],
        End { segment, offset, group }: End,
        salt: Salt,
    ) -> Result<(), SpoolError> {
        let scanned = record::scan(octets, salt, usize::try_from(offset).unwrap_or(usize::MAX), group);
        for damaged in scanned.damaged {
            let name = format!("damaged-{segment}-{}", damaged.start);
            tracing::error!(
                segment,
                from = damaged.start,
                to = damaged.end,
                "a spool file is damaged: what it said there is lost but for the octets, which are set aside as {name}"
            );
            // The copy is a help: where it cannot be made, the octets are still in their file.
            if let Err(error) = bodies::copy_aside(place, &name, &octets[damaged]) {
                tracing::error!(%error, name, "the damaged octets could not be copied");
            }
        }
        if scanned.is_torn {
            // Its numbers may have been used, and be known to the ledger.
            self.told += NUMBERS_PASSED;
        }
        let last = scanned.entries.last().map_or(0, |found| found.group);
        for Found { group, text, .. } in scanned.entries {
            let entry = Entry::read(text)?;
            let kept = entry.kept(segment);
            let whole = kept.iter().all(|(mail, at)| record::holds_body(octets, *mail, at.offset, at.len));
            // The power went in the middle of a group: nobody was answered, and the client will send again.
            if group == last && !whole {
                let mails: Vec<u64> = kept.iter().map(|(mail, _)| *mail).collect();
                tracing::warn!(
                    segment,
                    ?mails,
                    "what was being written when the node ended is not whole, and left out"
                );
                self.pass(&entry);
                continue;
            }
            self.apply(connection, entry, kept.into_iter())?;
        }
        Ok(())
    }

    /// Does again what an entry says.
    fn apply(
        &mut self,
        connection: &Connection,
        entry: Entry<'_>,
        mut kept: impl Iterator<Item = (u64, BodyAt)>,
    ) -> Result<(), SpoolError> {
        let mut told = entry.told;
        match entry.step {
            Step::Mail(envelope) => {
                let mail = envelope.mail()?;
                if let Some(kept) = kept.next() {
                    self.mail = self.mail.max(kept.0 + 1);
                    self.unfolded.keep(&mail, kept, &mut told);
                }
            }
            Step::Changes(changes) => {
                for change in changes {
                    let change = change.change()?;
                    let carried = change.carried().and_then(|_| kept.next());
                    self.mail = carried.map_or(self.mail, |(mail, _)| self.mail.max(mail + 1));
                    self.unfolded.look_up(connection, &change)?;
                    self.unfolded.change(&change, carried, &mut told);
                }
            }
            Step::Taken(up_to) => self.unfolded.take(up_to),
        }
        self.told = self.told.max(told);
        Ok(())
    }

    /// Leaves out what an entry says, but for the numbers that it used.
    fn pass(&mut self, entry: &Entry<'_>) {
        // More than any entry can have: a gap in the numbers harms nobody.
        self.told = self.told.max(entry.told + NUMBERS_PASSED);
        self.mail = entry.kept(0).into_iter().map(|(mail, _)| mail + 1).fold(self.mail, u64::max);
    }
}

/// The files of a spool by number.
pub(super) fn files(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<u64>> {
    let listed = disk.list(dir)?;
    let mut files: Vec<u64> = listed.iter().filter_map(|(path, _)| bodies::segment_number(path)).collect();
    files.sort_unstable();
    Ok(files)
}

/// More numbers than one entry uses, and than a spool gives between two folds of its rows: a gap harms nobody.
pub(super) const NUMBERS_PASSED: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use super::super::faulty::{Dice, FaultyDisk};
    use super::super::tests::{delivered, mail};
    use super::super::writer::Promise;
    use super::super::{Opened, rows};
    use super::*;
    use crate::testing::TempDir;

    /// A spool that was killed before any fold: nine mails, of which the first two are done.
    fn killed(folder: &TempDir, seed: u64) -> (FaultyDisk, Place, PathBuf) {
        let disk = FaultyDisk::new(seed);
        let place = Place { disk: Arc::new(disk.clone()), dir: "/bodies".into() };
        let database = folder.path().join("queue.sqlite");
        let mut opened = Opened::open(&database, place.clone(), "one", u64::MAX, 0).unwrap();
        for number in 1..=9 {
            let new = mail(&["a@x.example", "b@y.example"], format!("mail {number}").as_bytes());
            opened.writer.serve(vec![Promise::Accept(Box::new(new), tokio::sync::oneshot::channel().0).into()]);
        }
        for (number, index) in [(1, 0), (1, 1), (2, 0), (2, 1)] {
            let changes = [delivered(number, index, None)].into();
            opened.writer.serve(vec![Promise::Record(changes, tokio::sync::oneshot::channel().0).into()]);
        }
        (disk, place, database)
    }

    #[test]
    fn whatever_octet_is_hurt_before_a_start_takes_what_it_hit_and_nothing_else() {
        let mut lost = 0;
        for seed in 0..RUNS {
            let (folder, mut dice) = (TempDir::quick(), Dice(seed));
            let (disk, place, database) = killed(&folder, seed);
            let path = bodies::segment_path(&place.dir, 1);
            let len = disk.octets(&path).unwrap().len();
            let (at, flip) = (dice.below(len), u8::try_from(1 + dice.below(255)).unwrap());
            disk.damage(&path, at, |octet| *octet ^= flip);
            let opened = Opened::open(&database, place, "one", u64::MAX, 0).unwrap();
            let found: Vec<u64> =
                rows::load(&opened.reader, None).unwrap().iter().map(|queued| queued.mail.id).collect();
            // One hit takes one mail, or brings one back whose end was forgotten.
            let kept = (3..=9).filter(|number| found.contains(number)).count();
            assert!(6 <= kept && found.len() <= 8, "seed {seed}, octet {at}: {found:?}");
            assert!(found.iter().all(|number| (1..=9).contains(number)), "seed {seed}: {found:?}");
            lost += 7 - kept;
        }
        assert!(0 < lost, "no run has hit an entry");
    }

    const RUNS: u64 = 300;
}
