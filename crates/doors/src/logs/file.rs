//! A log file that grows, is renamed or cut, and is found again after a start.
//!
//! A file is known by its first line, which no other log has: times go on. So it is the same file under another name, copied
//! or restored, and another one after it was cut and begun anew.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// One log, and how far it was read.
pub(super) struct Following {
    path: PathBuf,
    held: Option<Held>,
}

struct Held {
    file: File,
    inode: u64,
    source: String,
    /// Where the next line begins; none until somebody said how far the file was read before.
    at: Option<u64>,
    /// How far the ledger has it.
    kept: u64,
    /// It has another name now; what is left in it is read first.
    renamed: bool,
}

/// Whole lines.
pub(super) struct Piece {
    pub octets: Vec<u8>,
    /// Where they begin in their file.
    pub at: u64,
    /// Lines that end here or before were taken earlier.
    pub kept: u64,
    /// The name of the file for the ledger.
    pub source: String,
}

impl Following {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, held: None }
    }

    /// Opens the file where none is open. Answers with its name for the ledger, which knows how far it was read.
    pub(super) fn unplaced(&mut self) -> io::Result<Option<String>> {
        if self.held.is_none() {
            // What was written while nobody read may lie in the file before this one.
            let before = PathBuf::from(format!("{}.1", self.path.display()));
            self.held = match self.open(&before, true)? {
                Some(held) => Some(held),
                None => self.open(&self.path, false)?,
            };
        }
        Ok(self.held.as_ref().filter(|held| held.at.is_none()).map(|held| held.source.clone()))
    }

    /// The file was read up to here before, by the ledger's word. Some of it is read once more, for who sent what is still
    /// under way; the ledger skips it.
    pub(super) fn place(&mut self, read: u64) {
        let Some(held) = &mut self.held else { return };
        held.kept = read;
        // Of a file that was never read and has another name already, nothing is wanted: it is old.
        if held.renamed && read == 0 {
            held.at = held.file.metadata().ok().map(|data| data.len());
            return;
        }
        held.at = Some(read.saturating_sub(AGAIN_OCTETS));
        if 0 < read.saturating_sub(AGAIN_OCTETS) {
            // In the middle of a line, which is passed over.
            held.at = held.at.map(|at| at + rest_of_line(&held.file, at).unwrap_or(0));
        }
    }

    /// The next whole lines; none where there are none yet.
    pub(super) fn read(&mut self) -> io::Result<Option<Piece>> {
        let Some(held) = &mut self.held else { return Ok(None) };
        let Some(at) = held.at else { return Ok(None) };
        if held.file.metadata()?.len() < at {
            // It was cut in its place (copytruncate) and begins anew.
            self.held = None;
            return Ok(None);
        }
        let mut octets = Vec::new();
        held.file.seek(SeekFrom::Start(at))?;
        Read::by_ref(&mut held.file).take(PIECE_OCTETS).read_to_end(&mut octets)?;
        match octets.iter().rposition(|octet| *octet == b'\n') {
            Some(last) => octets.truncate(last + 1),
            // A line that is longer than a piece is no line of a log.
            None if octets.len() as u64 == PIECE_OCTETS => {}
            None => {
                self.turn()?;
                return Ok(None);
            }
        }
        Ok(Some(Piece { octets, at, kept: held.kept, source: held.source.clone() }))
    }

    /// What was read up to `at` is taken.
    pub(super) fn taken(&mut self, at: u64) {
        if let Some(held) = &mut self.held {
            held.at = Some(at);
        }
    }

    /// At the end of a file: has another one its name?
    fn turn(&mut self) -> io::Result<()> {
        let Some(held) = &mut self.held else { return Ok(()) };
        let inode = match std::fs::metadata(&self.path) {
            Ok(data) => data.ino(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        if inode == held.inode && !held.renamed {
            return Ok(());
        }
        // The mail server may have written to the old one until it was told: one look more before it is left.
        if held.renamed {
            self.held = self.open(&self.path, false)?;
        } else {
            held.renamed = true;
        }
        Ok(())
    }

    /// None where there is no such file, or no whole line in it yet.
    fn open(&self, path: &Path, renamed: bool) -> io::Result<Option<Held>> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound && renamed => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut first = Vec::new();
        Read::by_ref(&mut file).take(FIRST_LINE_OCTETS).read_to_end(&mut first)?;
        let Some(end) = first.iter().position(|octet| *octet == b'\n') else { return Ok(None) };
        let source = source(&self.path, &first[..end]);
        Ok(Some(Held { inode: file.metadata()?.ino(), file, source, at: None, kept: 0, renamed }))
    }
}

/// The name of a log file for the ledger: which log, and how it begins, without the end of that line.
#[must_use]
pub fn source(log: &Path, first_line: &[u8]) -> String {
    let mark = Sha256::digest(first_line);
    format!("log {} {}", log.display(), hex::encode(&mark[..8]))
}

/// How many octets there are up to the next line.
fn rest_of_line(file: &File, at: u64) -> io::Result<u64> {
    let (mut file, mut octets) = (file, Vec::new());
    file.seek(SeekFrom::Start(at.saturating_sub(1)))?;
    file.take(PIECE_OCTETS).read_to_end(&mut octets)?;
    // From the octet before: where that ends a line, this is the beginning of the next.
    Ok(octets.iter().position(|octet| *octet == b'\n').unwrap_or(0) as u64)
}

/// What is read and told at once: a thousand lines, some milliseconds of a thread on which others wait, too.
const PIECE_OCTETS: u64 = 128 * 1024;
/// Octets that are read once more after a start, so that what is under way has its sender: a day of a small hoster.
const AGAIN_OCTETS: u64 = 4 * 1024 * 1024;
const FIRST_LINE_OCTETS: u64 = 64 * 1024;
