//! The spool's files, append-only: bodies, and entries that say what was promised of them ([`super::record`]).

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::SpoolError;
use super::disk::{Disk, DiskFile};
use super::record::{self, Salt};

/// Where one body lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BodyAt {
    pub segment: u64,
    /// Octets from the start of the file to the start of the record.
    pub offset: u64,
    /// Octets of the body itself.
    pub len: u32,
}

/// The end of what was written: where the next group begins, and its number. An entry behind it with a lower number is left from a
/// group that failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct End {
    pub segment: u64,
    /// Octets from the start of the file.
    pub offset: u64,
    pub group: u64,
}

/// The body files of one spool: a disk and the directory on it. Readers need no more than this.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub disk: Arc<dyn Disk>,
    pub dir: PathBuf,
}

/// The files of one spool. Only its writer thread holds this; readers use [`read`].
#[derive(Debug)]
pub(super) struct Bodies {
    place: Place,
    salt: Salt,
    segment_octets_max: u64,
    /// The file that grows; none before the first mail, and after a full one.
    active: Option<Active>,
    next_number: u64,
    usage: BTreeMap<u64, Usage>,
    /// Files with a damaged record: copying the others out of them would not free them.
    damaged: BTreeSet<u64>,
    /// The queue's rows know what the files below this one say.
    folded_below: u64,
    removal: Removal,
}

/// Which files may be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Removal {
    /// Those that no mail needs.
    Empty,
    /// None: some row does not say where its body lies, so it could be in any.
    Never,
}

#[derive(Debug)]
struct Active {
    number: u64,
    file: Box<dyn DiskFile>,
    /// Octets that are known to be in the file; what lies behind them was never promised and is written over.
    len: u64,
    /// Octets that the disk keeps for the file: a sync is twice as fast where the file does not grow (measured, ext4).
    reserved: u64,
    /// Up to there its octets were written, if only as zeros: a sync is faster once more, and takes half of the CPU, where it need
    /// not note of any block that something stands in it now.
    zeroed: u64,
    /// Each group that is begun has a number, whether it was written or failed.
    group: u64,
    /// Frames of the group that is being written.
    pending: Vec<u8>,
    name: Name,
}

/// Whether the name of a file in its directory would survive a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    Fresh,
    Durable,
}

#[derive(Debug, Default, Clone, Copy)]
struct Usage {
    live: u64,
    live_octets: u64,
    octets: u64,
}

impl Bodies {
    /// Opens the directory with the bodies that queue rows still name. Writing starts in a new file, so that the
    /// torn tail of the last one needs no repair: what it promised was read before ([`super::replay`]).
    ///
    /// No file is made before the first mail comes: a node must start on a full disk, or it would never empty it.
    /// `named`: what the queue needs. `folded_below`: only files below this one may go.
    pub(super) fn open(
        place: Place,
        salt: Salt,
        segment_octets_max: u64,
        named: &[BodyAt],
        (folded_below, removal): (u64, Removal),
    ) -> Result<Self, SpoolError> {
        place.disk.make_dir(&place.dir)?;
        let mut usage = BTreeMap::<u64, Usage>::new();
        for (path, octets) in place.disk.list(&place.dir)? {
            if let Some(number) = segment_number(&path) {
                usage.entry(number).or_default().octets = octets;
            }
        }
        for body in named {
            let segment = usage.entry(body.segment).or_default();
            segment.live += 1;
            segment.live_octets += record_octets(body.len);
        }
        let next_number = usage.keys().next_back().map_or(1, |last| last.saturating_add(1)).max(folded_below);
        let (damaged, active) = (BTreeSet::new(), None);
        let mut bodies =
            Self { place, salt, segment_octets_max, active, next_number, usage, damaged, folded_below, removal };
        bodies.sweep();
        Ok(bodies)
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Adds a body to the group that is being written. It is not durable before [`Bodies::sync`].
    pub(super) fn append(&mut self, mail: u64, body: &[u8]) -> Result<BodyAt, SpoolError> {
        let len = u32::try_from(body.len()).map_err(|_| SpoolError::TooLarge)?;
        let active = self.active()?;
        let at = BodyAt { segment: active.number, offset: active.len + active.pending.len() as u64, len };
        record::write_body(&mut active.pending, mail, body);
        let usage = self.usage.entry(at.segment).or_default();
        usage.live += 1;
        usage.live_octets += record_octets(len);
        Ok(at)
    }

    /// Adds an entry to the group that is being written, behind the bodies that it names.
    pub(super) fn append_entry(&mut self, text: &[u8]) -> Result<(), SpoolError> {
        if u32::try_from(text.len()).is_err() {
            return Err(SpoolError::TooLarge);
        }
        let salt = self.salt;
        let active = self.active()?;
        record::write_entry(&mut active.pending, salt, active.group, text);
        Ok(())
    }

    pub(super) fn end(&self) -> End {
        match &self.active {
            Some(active) => End { segment: active.number, offset: active.len, group: active.group },
            None => End { segment: self.next_number, ..End::default() },
        }
    }

    /// The rows know all that the files below this one say.
    pub(super) fn folded(&mut self, segment: u64) {
        self.folded_below = segment;
    }

    fn active(&mut self) -> Result<&mut Active, SpoolError> {
        match &mut self.active {
            Some(active) => Ok(active),
            none => {
                let number = self.next_number;
                // A number whose file could not be made is not used again: something may lie under its name.
                self.next_number += 1;
                Ok(none.insert(Active::create(&self.place, self.salt, number)?))
            }
        }
    }

    /// Writes the group and waits until it is on stable storage (I4).
    ///
    /// A failed write may be tried again by the next group, at the same place; a failed sync may not: the kernel may
    /// have dropped the pages and call the next sync a success.
    pub(super) fn sync(&mut self) -> Result<(), SpoolError> {
        let Some(active) = &mut self.active else { return Ok(()) };
        active.sync(&self.place, self.segment_octets_max / RESERVED_AT_ONCE)?;
        self.usage.entry(active.number).or_default().octets = active.len;
        Ok(())
    }

    /// Forgets the group after an error: what it wrote is nobody's.
    pub(super) fn abandon(&mut self, group: &[BodyAt]) {
        let salt = self.salt;
        if let Some(active) = &mut self.active {
            active.forget(salt);
        }
        group.iter().for_each(|body| self.release(*body));
    }

    /// A mail is done. The file goes when its last mail is.
    pub(super) fn release(&mut self, body: BodyAt) {
        if let Some(usage) = self.usage.get_mut(&body.segment) {
            usage.live = usage.live.saturating_sub(1);
            usage.live_octets = usage.live_octets.saturating_sub(record_octets(body.len));
        }
    }

    /// Closes the active file when it is full; the next mail begins a new one.
    pub(super) fn roll(&mut self) {
        if let Some(mut full) = self.active.take_if(|active| self.segment_octets_max <= active.len) {
            // Room that was kept for nothing; where it cannot be given back, it goes with the file.
            let _ = full.file.set_len(full.len);
        }
    }

    /// Closes the active file if no mail needs it, so that it can go; answers whether it did.
    pub(super) fn retire(&mut self) -> bool {
        let idle =
            |active: &Active| 0 < active.len && self.usage.get(&active.number).is_none_or(|usage| usage.live == 0);
        let retires = self.active.as_ref().is_some_and(idle);
        if retires {
            self.active = None;
        }
        retires
    }

    /// A closed file that is kept by a few old mails only: its mails are worth copying so that the disk is freed.
    pub(super) fn worth_compacting(&self) -> Option<u64> {
        let thin = |usage: &Usage| usage.live != 0 && usage.live_octets.saturating_mul(4) < usage.octets;
        let closed = self.usage.iter().filter(|(number, _)| !self.is_active(**number));
        closed.filter(|(number, usage)| thin(usage) && !self.damaged.contains(number)).map(|(number, _)| *number).next()
    }

    /// A record of this file is damaged. The file stays as long as its mail does.
    pub(super) fn damaged(&mut self, segment: u64) {
        self.damaged.insert(segment);
    }

    /// Removes closed files that hold no mail any more, and nothing that the rows do not know.
    pub(super) fn sweep(&mut self) {
        if self.removal == Removal::Never {
            return;
        }
        let closed = self.usage.range(..self.folded_below).filter(|(number, _)| !self.is_active(**number));
        let empty: Vec<u64> = closed.filter(|(_, usage)| usage.live == 0).map(|(number, _)| *number).collect();
        for number in empty {
            match self.place.disk.remove(&segment_path(&self.place.dir, number)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(segment = number, %error, "an empty spool file could not be removed");
                }
                _ => {
                    self.usage.remove(&number);
                    self.damaged.remove(&number);
                }
            }
        }
    }

    fn is_active(&self, number: u64) -> bool {
        self.active.as_ref().is_some_and(|active| active.number == number)
    }
}

impl Active {
    fn create(place: &Place, salt: Salt, number: u64) -> Result<Self, SpoolError> {
        let file = place.disk.create(&segment_path(&place.dir, number))?;
        let pending = record::file_header(salt).to_vec();
        Ok(Self { number, file, len: 0, reserved: 0, zeroed: 0, group: 0, pending, name: Name::Fresh })
    }

    fn sync(&mut self, place: &Place, reserve: u64) -> Result<(), SpoolError> {
        let start = if self.len == 0 { record::FILE_HEADER } else { 0 };
        if self.pending.len() <= start {
            return Ok(());
        }
        let end = self.len + self.pending.len() as u64;
        self.make_room(end, reserve);
        if let Err(error) = self.file.write(&self.pending, self.len) {
            // So that a full disk is not held by octets that nobody wants, and the next start does not find them.
            let _ = self.file.set_len(self.len);
            (self.reserved, self.zeroed) = (0, 0);
            return Err(error.into());
        }
        self.file.sync().map_err(SpoolError::Sync)?;
        if self.name == Name::Fresh {
            // The octets would be lost with it (fsync(2)).
            place.disk.sync_dir(&place.dir).map_err(SpoolError::Sync)?;
            self.name = Name::Durable;
        }
        self.len = end;
        self.group += 1;
        self.pending.clear();
        self.pending.shrink_to(PENDING_KEPT);
        Ok(())
    }

    /// It is for speed alone: a file system that cannot, or has no room, goes on without.
    fn make_room(&mut self, end: u64, reserve: u64) {
        if self.reserved < end && 0 < reserve {
            let wanted = end.next_multiple_of(reserve);
            if self.file.reserve(wanted).is_ok() {
                self.reserved = wanted;
            }
        }
        if self.zeroed < end && self.pending.len() <= ZEROED_FOR_MAX {
            // Not more than the file has, so that a few mails a day do not write megabytes.
            let wanted = self.reserved.min(end.saturating_mul(2));
            let mut room = (end..wanted).step_by(ZEROS.len());
            let written = room.try_for_each(|at| self.file.write(zeros(wanted - at), at));
            self.zeroed = if written.is_ok() { wanted } else { end };
        }
    }

    fn forget(&mut self, salt: Salt) {
        self.pending.clear();
        self.group += 1;
        if self.len == 0 {
            self.pending.extend_from_slice(&record::file_header(salt));
        }
    }
}

/// Reads one body and checks that it is the one that was written.
pub(super) fn read(place: &Place, mail: u64, at: BodyAt) -> Result<Vec<u8>, SpoolError> {
    let mut record =
        place.disk.read(&segment_path(&place.dir, at.segment), at.offset, record::BODY_HEADER + at.len as usize)?;
    let body = record.split_off(record::BODY_HEADER.min(record.len()));
    if body.len() == at.len as usize && record == record::body_header(mail, &body) {
        Ok(body)
    } else {
        Err(SpoolError::Damaged { mail, segment: at.segment, offset: at.offset })
    }
}

/// Copies the octets of a damaged record aside, for a person to look at; answers with the file. The first copy stays.
pub(super) fn set_aside(place: &Place, mail: u64, at: BodyAt) -> io::Result<PathBuf> {
    let len = record::BODY_HEADER + at.len as usize;
    let octets = place.disk.read(&segment_path(&place.dir, at.segment), at.offset, len)?;
    copy_aside(place, &format!("damaged-{mail}"), &octets)
}

/// Keeps octets in a file of their own; answers with the file. The first copy stays.
pub(super) fn copy_aside(place: &Place, name: &str, octets: &[u8]) -> io::Result<PathBuf> {
    let target = place.dir.join(name);
    match place.disk.create(&target) {
        Ok(mut file) => file.write(octets, 0).and_then(|()| file.sync()).inspect_err(|_| {
            // Half a copy would keep a whole one from being made later.
            let _ = place.disk.remove(&target);
        })?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    Ok(target)
}

fn zeros(octets: u64) -> &'static [u8] {
    &ZEROS[..usize::try_from(octets).unwrap_or(usize::MAX).min(ZEROS.len())]
}

fn record_octets(len: u32) -> u64 {
    record::BODY_HEADER as u64 + u64::from(len)
}

pub(crate) fn segment_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:010}.seg"))
}

pub(super) fn segment_number(path: &Path) -> Option<u64> {
    (path.extension()? == "seg").then_some(())?;
    path.file_stem()?.to_str()?.parse().ok()
}

/// A file is closed at this size, so that one old mail pins little disk.
pub(super) const SEGMENT_OCTETS_MAX: u64 = 64 * 1024 * 1024;
/// The room for a file is taken in so many steps: each costs a slow sync.
const RESERVED_AT_ONCE: u64 = 16;
/// Only for groups up to this size: what zeros cost grows with the group, what they save does not.
const ZEROED_FOR_MAX: usize = 128 * 1024;
/// They are written in pieces of this size.
static ZEROS: [u8; 256 * 1024] = [0; 256 * 1024];
/// Memory that is kept between two groups; what a huge one needed beyond it is given back.
const PENDING_KEPT: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::disk::RealDisk;
    use super::super::faulty::{ENOSPC, Fault, FaultyDisk};
    use super::*;
    use crate::testing::TempDir;

    fn place(dir: &TempDir) -> Place {
        Place { disk: Arc::new(RealDisk), dir: dir.path().to_owned() }
    }

    fn open(dir: &TempDir, named: &[BodyAt], folded_below: u64) -> Bodies {
        Bodies::open(place(dir), Salt::of("one"), SEGMENT_OCTETS_MAX, named, (folded_below, Removal::Empty)).unwrap()
    }

    #[test]
    fn bodies_read_back_and_damage_is_noticed() {
        let dir = TempDir::new();
        let (place, mut bodies) = (place(&dir), open(&dir, &[], 1));
        let one = bodies.append(1, b"first").unwrap();
        let two = bodies.append(2, b"second").unwrap();
        bodies.sync().unwrap();
        assert_eq!(read(&place, 1, one).unwrap(), b"first");
        assert_eq!(read(&place, 2, two).unwrap(), b"second");
        assert!(matches!(read(&place, 3, two), Err(SpoolError::Damaged { mail: 3, .. })));
        let path = segment_path(dir.path(), two.segment);
        let mut bytes = fs::read(&path).unwrap();
        let last = usize::try_from(two.offset).unwrap() + record::BODY_HEADER + two.len as usize - 1;
        bytes[last] ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert_eq!(read(&place, 1, one).unwrap(), b"first");
        assert!(matches!(read(&place, 2, two), Err(SpoolError::Damaged { .. })));
        fs::write(&path, &bytes[..last]).unwrap();
        assert!(matches!(read(&place, 2, two), Err(SpoolError::Damaged { .. })));
        // A row may be damaged, too: no length makes us take memory that is not needed.
        assert!(matches!(read(&place, 2, BodyAt { len: u32::MAX, ..two }), Err(SpoolError::Damaged { .. })));
    }

    #[test]
    fn a_group_that_failed_leaves_nothing_that_keeps_its_file() {
        let disk = FaultyDisk::new(1);
        let place = Place { disk: Arc::new(disk.clone()), dir: "/bodies".into() };
        let open = Bodies::open(place.clone(), Salt::of("one"), 20, &[], (1, Removal::Empty));
        let mut bodies = open.unwrap();
        bodies.folded(u64::MAX);
        disk.arm(Some(Fault::ShortWrite(ENOSPC)));
        let lost = bodies.append(1, b"a mail that does not fit").unwrap();
        assert!(matches!(bodies.sync(), Err(SpoolError::Io(error)) if error.kind() == io::ErrorKind::StorageFull));
        bodies.abandon(&[lost]);
        disk.arm(None);
        let kept = bodies.append(1, b"short").unwrap();
        assert_eq!(kept.offset, lost.offset, "the failed group is written over");
        bodies.sync().unwrap();
        assert_eq!(read(&place, 1, kept).unwrap(), b"short");
        bodies.release(kept);
        bodies.roll();
        bodies.sweep();
        assert_eq!(disk.list(Path::new("/bodies")).unwrap(), []);
    }

    #[test]
    fn files_without_mail_are_removed_at_the_next_start() {
        let dir = TempDir::new();
        let mut bodies = open(&dir, &[], 1);
        let kept = bodies.append(1, b"kept").unwrap();
        bodies.sync().unwrap();
        drop(bodies);
        let mut second = open(&dir, &[kept], 2);
        assert!(segment_path(dir.path(), kept.segment).exists());
        assert_eq!(second.append(2, b"new").unwrap().segment, kept.segment + 1);
        drop(second);
        open(&dir, &[], kept.segment);
        assert!(segment_path(dir.path(), kept.segment).exists(), "the rows may not know what it says");
        let mut last = open(&dir, &[], kept.segment + 1);
        assert!(!segment_path(dir.path(), kept.segment).exists());

        let now = last.append(3, b"soon delivered").unwrap();
        last.sync().unwrap();
        assert!(!last.retire(), "a mail needs it");
        last.release(now);
        assert!(last.retire());
        last.folded(last.end().segment);
        last.sweep();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
