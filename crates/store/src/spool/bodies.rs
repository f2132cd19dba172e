//! Message bodies in append-only files: length and checksum before each, so that damage is noticed where it is.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::SpoolError;

/// Where one body lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BodyAt {
    pub segment: u64,
    /// Octets from the start of the file to the start of the record.
    pub offset: u64,
    /// Octets of the body itself.
    pub len: u32,
}

/// The files of one spool. Only its writer thread holds this; readers use [`read`].
#[derive(Debug)]
pub(super) struct Bodies {
    dir: PathBuf,
    active: Active,
    usage: BTreeMap<u64, Usage>,
}

#[derive(Debug)]
struct Active {
    number: u64,
    file: File,
    /// Octets that are known to be in the file.
    len: u64,
    /// Records of the group that is being written.
    pending: Vec<u8>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Usage {
    live: u64,
    live_octets: u64,
    octets: u64,
}

impl Bodies {
    /// Opens the directory with the bodies that queue rows still name. Writing starts in a new file, so that the
    /// torn tail of the last one needs no repair: a record without a queue row was never answered 250.
    pub(super) fn open(dir: &Path, named: impl Iterator<Item = BodyAt>) -> Result<Self, SpoolError> {
        fs::create_dir_all(dir)?;
        let mut usage = BTreeMap::<u64, Usage>::new();
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            if let Some(number) = segment_number(&path) {
                usage.entry(number).or_default().octets = fs::metadata(&path)?.len();
            }
        }
        for body in named {
            let segment = usage.entry(body.segment).or_default();
            segment.live += 1;
            segment.live_octets += record_octets(body.len);
        }
        let number = usage.keys().next_back().map_or(1, |last| last + 1);
        let active = Active::create(dir, number)?;
        usage.insert(number, Usage { octets: active.len, ..Usage::default() });
        let mut bodies = Self { dir: dir.to_owned(), active, usage };
        bodies.sweep();
        Ok(bodies)
    }

    /// Adds a body to the group that is being written. It is not durable before [`Bodies::sync`].
    pub(super) fn append(&mut self, mail: u64, body: &[u8]) -> Result<BodyAt, SpoolError> {
        let len = u32::try_from(body.len()).map_err(|_| SpoolError::TooLarge)?;
        let offset = self.active.len + self.active.pending.len() as u64;
        let at = BodyAt { segment: self.active.number, offset, len };
        write_record(&mut self.active.pending, mail, body);
        let usage = self.usage.entry(at.segment).or_default();
        usage.live += 1;
        usage.live_octets += record_octets(len);
        Ok(at)
    }

    /// Writes the group and waits until it is on stable storage (I4).
    ///
    /// A failed write is undone and may be tried again by the next group; a failed sync may not: the kernel may have
    /// dropped the pages and call the next sync a success.
    pub(super) fn sync(&mut self) -> Result<(), SpoolError> {
        if self.active.pending.is_empty() {
            return Ok(());
        }
        let group = std::mem::take(&mut self.active.pending);
        if let Err(error) = self.active.file.write_all(&group) {
            self.active.file.set_len(self.active.len)?;
            self.active.file.seek(SeekFrom::Start(self.active.len))?;
            return Err(error.into());
        }
        self.active.file.sync_data().map_err(SpoolError::Sync)?;
        self.active.len += group.len() as u64;
        self.usage.entry(self.active.number).or_default().octets = self.active.len;
        Ok(())
    }

    /// Forgets the group after an error, so that its bytes never reach the file.
    pub(super) fn abandon(&mut self, group: &[BodyAt]) {
        self.active.pending.clear();
        group.iter().for_each(|body| self.release(*body));
    }

    /// A mail is done. The file goes when its last mail is.
    pub(super) fn release(&mut self, body: BodyAt) {
        if let Some(usage) = self.usage.get_mut(&body.segment) {
            usage.live = usage.live.saturating_sub(1);
            usage.live_octets = usage.live_octets.saturating_sub(record_octets(body.len));
        }
    }

    /// Starts a new file when the active one is full, and removes files that hold no mail any more.
    pub(super) fn roll(&mut self) -> Result<(), SpoolError> {
        if self.active.len < SEGMENT_OCTETS_MAX {
            return Ok(());
        }
        let number = self.active.number + 1;
        self.active = Active::create(&self.dir, number)?;
        self.usage.insert(number, Usage { octets: self.active.len, ..Usage::default() });
        self.sweep();
        Ok(())
    }

    /// A closed file that is kept by a few old mails only: its mails are worth copying so that the disk is freed.
    pub(super) fn worth_compacting(&self) -> Option<u64> {
        let thin = |usage: &Usage| usage.live != 0 && usage.live_octets * 4 < usage.octets;
        self.usage.iter().find(|(number, usage)| **number != self.active.number && thin(usage)).map(|(n, _)| *n)
    }

    pub(super) fn sweep(&mut self) {
        let empty: Vec<u64> = self
            .usage
            .iter()
            .filter(|(number, usage)| **number != self.active.number && usage.live == 0)
            .map(|(number, _)| *number)
            .collect();
        for number in empty {
            match fs::remove_file(segment_path(&self.dir, number)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(segment = number, %error, "an empty spool file could not be removed");
                }
                _ => {
                    self.usage.remove(&number);
                }
            }
        }
    }
}

impl Active {
    fn create(dir: &Path, number: u64) -> Result<Self, SpoolError> {
        let path = segment_path(dir, number);
        let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
        file.write_all(FILE_HEADER)?;
        file.sync_all()?;
        // The name itself must survive a power cut, not only the octets (fsync(2)).
        File::open(dir)?.sync_all()?;
        Ok(Self { number, file, len: FILE_HEADER.len() as u64, pending: Vec::new() })
    }
}

/// Reads one body and checks that it is the one that was written.
pub(super) fn read(dir: &Path, mail: u64, at: BodyAt) -> Result<Vec<u8>, SpoolError> {
    let damaged = || SpoolError::Damaged { mail, segment: at.segment, offset: at.offset };
    let file = File::open(segment_path(dir, at.segment))?;
    let mut record = vec![0; RECORD_HEADER + at.len as usize];
    file.read_exact_at(&mut record, at.offset).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => damaged(),
        _ => error.into(),
    })?;
    let body = record.split_off(RECORD_HEADER);
    if record == record_header(mail, &body) { Ok(body) } else { Err(damaged()) }
}

/// Copies the octets of a damaged record aside, for a person to look at; answers with the file.
pub(super) fn set_aside(dir: &Path, mail: u64, at: BodyAt) -> Result<PathBuf, SpoolError> {
    let target = dir.join(format!("damaged-{mail}"));
    let mut file = File::open(segment_path(dir, at.segment))?;
    file.seek(SeekFrom::Start(at.offset))?;
    let mut bytes = Vec::new();
    file.take(RECORD_HEADER as u64 + u64::from(at.len)).read_to_end(&mut bytes)?;
    OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&target)?.write_all(&bytes)?;
    Ok(target)
}

fn write_record(out: &mut Vec<u8>, mail: u64, body: &[u8]) {
    out.extend_from_slice(&record_header(mail, body));
    out.extend_from_slice(body);
}

/// `"SM2R"`, CRC-32 of what follows, u64 mail, u32 length; big-endian.
fn record_header(mail: u64, body: &[u8]) -> [u8; RECORD_HEADER] {
    let mut header = [0; RECORD_HEADER];
    header[..4].copy_from_slice(b"SM2R");
    header[8..16].copy_from_slice(&mail.to_be_bytes());
    header[16..20].copy_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes());
    let mut crc = crc32fast::Hasher::new();
    crc.update(&header[8..]);
    crc.update(body);
    header[4..8].copy_from_slice(&crc.finalize().to_be_bytes());
    header
}

fn record_octets(len: u32) -> u64 {
    RECORD_HEADER as u64 + u64::from(len)
}

fn segment_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:010}.seg"))
}

fn segment_number(path: &Path) -> Option<u64> {
    (path.extension()? == "seg").then_some(())?;
    path.file_stem()?.to_str()?.parse().ok()
}

/// Magic and version of the file format (I9).
const FILE_HEADER: &[u8] = b"SM2B\x01\0\0\0";
const RECORD_HEADER: usize = 20;
/// A file is closed at this size, so that one old mail pins little disk.
const SEGMENT_OCTETS_MAX: u64 = 64 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_read_back_and_damage_is_noticed() {
        let dir = crate::testing::TempDir::new();
        let mut bodies = Bodies::open(dir.path(), std::iter::empty()).unwrap();
        let one = bodies.append(1, b"first").unwrap();
        let two = bodies.append(2, b"second").unwrap();
        bodies.sync().unwrap();
        assert_eq!(read(dir.path(), 1, one).unwrap(), b"first");
        assert_eq!(read(dir.path(), 2, two).unwrap(), b"second");
        assert!(matches!(read(dir.path(), 3, two), Err(SpoolError::Damaged { mail: 3, .. })));
        let path = segment_path(dir.path(), two.segment);
        let mut bytes = fs::read(&path).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert_eq!(read(dir.path(), 1, one).unwrap(), b"first");
        assert!(matches!(read(dir.path(), 2, two), Err(SpoolError::Damaged { .. })));
        fs::write(&path, &bytes[..last]).unwrap();
        assert!(matches!(read(dir.path(), 2, two), Err(SpoolError::Damaged { .. })));
    }

    #[test]
    fn files_without_mail_are_removed_at_the_next_start() {
        let dir = crate::testing::TempDir::new();
        let mut bodies = Bodies::open(dir.path(), std::iter::empty()).unwrap();
        let kept = bodies.append(1, b"kept").unwrap();
        bodies.sync().unwrap();
        drop(bodies);
        let second = Bodies::open(dir.path(), std::iter::once(kept)).unwrap();
        assert!(segment_path(dir.path(), kept.segment).exists());
        assert_eq!(second.active.number, kept.segment + 1);
        drop(second);
        Bodies::open(dir.path(), std::iter::empty()).unwrap();
        assert!(!segment_path(dir.path(), kept.segment).exists());
    }
}
