//! One run of the tag index: a file of events sorted by tag, written once. Its filter and the first tag of each block are
//! in memory; a look-up reads one block.
//!
//! The file: blocks of 4096 octets; the first tag of each; the lines of the filter; a trailer of [`TRAILER_OCTETS`]. Numbers
//! are big-endian. A run is made of segments and can be made of them again: what is damaged is thrown away.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use sm2tp_federation::tags::Tag;
use thiserror::Error;

use super::filter::{Filter, LINE_OCTETS};
use super::mark::{BLOCK_OCTETS, Block, Entries, Entry, Mark};

/// Why a run cannot be written or read.
#[derive(Debug, Error)]
pub enum RunError {
    #[error("{path}: {source}")]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{path} is damaged")]
    Damaged { path: PathBuf },
    /// The node ends.
    #[error("the tag index is closed")]
    Closed,
}

/// The local numbers of the segments whose events are in a run, from the lowest to the highest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(in crate::federated) struct Rows {
    pub first: u64,
    pub last: u64,
}

/// An open run.
#[derive(Debug)]
pub(super) struct Run {
    pub path: PathBuf,
    pub rows: Rows,
    pub marks: u64,
    pub tags: u64,
    file: File,
    /// First tags of the blocks.
    fences: Vec<u128>,
    filter: Filter,
    damaged: AtomicBool,
}

/// A run that is being written, block by block.
pub(super) struct Writer {
    path: PathBuf,
    beside: PathBuf,
    out: BufWriter<File>,
    block: Block,
    fences: Vec<u128>,
    last: Option<Tag>,
    marks: u64,
    tags: u64,
}

/// All entries of a run, in its order.
pub(super) struct Scan<'a> {
    run: &'a Run,
    /// The next block to read.
    next: usize,
    entries: std::vec::IntoIter<Entry>,
}

impl Rows {
    pub(super) fn of(row: u64) -> Self {
        Self { first: row, last: row }
    }

    pub(super) fn with(self, other: Self) -> Self {
        Self { first: self.first.min(other.first), last: self.last.max(other.last) }
    }
}

impl Run {
    /// Opens a run; its blocks are looked at when they are needed.
    pub(super) fn open(path: &Path) -> Result<Self, RunError> {
        let file = File::open(path).map_err(io_at(path))?;
        let length = file.metadata().map_err(io_at(path))?.len();
        let damaged = || RunError::Damaged { path: path.to_owned() };
        let at = length.checked_sub(TRAILER_OCTETS as u64).ok_or_else(damaged)?;
        let mut trailer = [0; TRAILER_OCTETS];
        file.read_exact_at(&mut trailer, at).map_err(io_at(path))?;
        let trailer =
            Trailer::decode(&trailer).filter(|found| found.file_octets() == Some(length)).ok_or_else(damaged)?;
        let mut side = vec![0; (at - trailer.blocks * BLOCK_OCTETS as u64) as usize];
        file.read_exact_at(&mut side, trailer.blocks * BLOCK_OCTETS as u64).map_err(io_at(path))?;
        if crc32fast::hash(&side) != trailer.side_crc {
            return Err(damaged());
        }
        let (fences, filter) = side.split_at(trailer.blocks as usize * FENCE_OCTETS);
        let fences = fences.as_chunks::<FENCE_OCTETS>().0.iter().map(|fence| u128::from_be_bytes(*fence)).collect();
        let filter = Filter::decode(filter).ok_or_else(damaged)?;
        let (rows, marks, tags) = (trailer.rows, trailer.marks, trailer.tags);
        Ok(Self { path: path.to_owned(), rows, marks, tags, file, fences, filter, damaged: AtomicBool::new(false) })
    }

    /// Gives all marks about a tag to `each`. Of a run that turns out to be damaged nothing more is asked.
    pub(super) fn find(&self, tag: &Tag, mut each: impl FnMut(Mark)) {
        if self.is_damaged() || !self.filter.may_have(tag) {
            return;
        }
        let key = u128::from_be_bytes(tag.0);
        // Events about the tag may begin in the block before the first one that begins with it.
        let begins = self.fences.partition_point(|fence| *fence < key);
        let mut at = begins.saturating_sub(1);
        let mut block = [0; BLOCK_OCTETS];
        while at < begins || self.fences.get(at) == Some(&key) {
            let Some(entries) = self.read(at, &mut block) else {
                self.note_damage();
                return;
            };
            entries
                .skip_while(|entry| entry.tag < *tag)
                .take_while(|entry| entry.tag == *tag)
                .for_each(|e| each(e.mark));
            at += 1;
        }
    }

    /// All entries.
    pub(super) fn scan(&self) -> Scan<'_> {
        Scan { run: self, next: 0, entries: Vec::new().into_iter() }
    }

    pub(super) fn is_damaged(&self) -> bool {
        self.damaged.load(Ordering::Relaxed)
    }

    /// Octets in memory.
    pub(super) fn memory(&self) -> usize {
        self.filter.octets() + self.fences.len() * FENCE_OCTETS
    }

    /// Octets on the disk.
    pub(super) fn octets(&self) -> u64 {
        (self.fences.len() * (BLOCK_OCTETS + FENCE_OCTETS) + self.filter.octets() + TRAILER_OCTETS) as u64
    }

    fn read<'a>(&self, at: usize, block: &'a mut [u8; BLOCK_OCTETS]) -> Option<Entries<'a>> {
        self.file.read_exact_at(block, (at * BLOCK_OCTETS) as u64).ok()?;
        Entries::of(block)
    }

    fn note_damage(&self) {
        if !self.damaged.swap(true, Ordering::Relaxed) {
            tracing::error!(path = %self.path.display(), "a file of the tag index is damaged; it is made again from the segments");
        }
    }
}

impl Iterator for Scan<'_> {
    type Item = Result<Entry, RunError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.entries.next() {
                return Some(Ok(entry));
            }
            if self.run.fences.len() <= self.next {
                return None;
            }
            let mut block = [0; BLOCK_OCTETS];
            let Some(entries) = self.run.read(self.next, &mut block) else {
                self.run.note_damage();
                return Some(Err(RunError::Damaged { path: self.run.path.clone() }));
            };
            self.entries = entries.collect::<Vec<_>>().into_iter();
            self.next += 1;
        }
    }
}

impl Writer {
    /// Writes beside `path`; nothing is there before [`Writer::finish`].
    pub(super) fn new(path: &Path) -> Result<Self, RunError> {
        let beside = path.with_extension("new");
        let file = OpenOptions::new().create(true).read(true).write(true).truncate(true).mode(0o600).open(&beside);
        let out = BufWriter::with_capacity(WRITE_OCTETS, file.map_err(io_at(&beside))?);
        let (path, fences, block) = (path.to_owned(), Vec::new(), Block::new());
        Ok(Self { path, beside, out, block, fences, last: None, marks: 0, tags: 0 })
    }

    /// Adds an entry that is not before the last one.
    pub(super) fn push(&mut self, entry: &Entry) -> Result<(), RunError> {
        if !self.block.has_room() {
            self.end_block()?;
        }
        if self.block.is_empty() {
            self.fences.push(u128::from_be_bytes(entry.tag.0));
        }
        self.block.push(entry);
        self.marks += 1;
        if self.last != Some(entry.tag) {
            (self.tags, self.last) = (self.tags + 1, Some(entry.tag));
        }
        Ok(())
    }

    /// Writes filter and trailer, syncs, and gives the run its name. The blocks are read again for the filter, which must
    /// know how many tags there are: so what is on the disk was read once before anything relies on it.
    pub(super) fn finish(mut self, rows: Rows) -> Result<Run, RunError> {
        if !self.block.is_empty() {
            self.end_block()?;
        }
        let beside = self.beside.clone();
        let file = self.out.into_inner().map_err(|error| io_at(&beside)(error.into_error()))?;
        let mut run = Run {
            path: self.path,
            rows,
            marks: self.marks,
            tags: self.tags,
            file,
            fences: self.fences,
            filter: Filter::new(0),
            damaged: AtomicBool::new(false),
        };
        let (mut filter, mut last) = (Filter::new(self.tags), None);
        for entry in run.scan() {
            let tag = entry?.tag;
            if last != Some(tag) {
                filter.add(&tag);
                last = Some(tag);
            }
        }
        run.filter = filter;
        run.write_side().and_then(|()| fs::rename(&beside, &run.path)).map_err(io_at(&beside))?;
        sync_folder(&run.path)?;
        Ok(run)
    }

    fn end_block(&mut self) -> Result<(), RunError> {
        let octets = self.block.take();
        self.out.write_all(&octets).map_err(io_at(&self.beside))
    }
}

impl Run {
    /// What lies behind the blocks.
    fn write_side(&self) -> io::Result<()> {
        let mut crc = crc32fast::Hasher::new();
        let mut out = BufWriter::with_capacity(WRITE_OCTETS, &self.file);
        for fence in &self.fences {
            crc.update(&fence.to_be_bytes());
            out.write_all(&fence.to_be_bytes())?;
        }
        for line in self.filter.encode() {
            crc.update(&line);
            out.write_all(&line)?;
        }
        let (blocks, lines) = (self.fences.len() as u64, self.filter.lines() as u64);
        let Self { rows, marks, tags, .. } = *self;
        let trailer = Trailer { blocks, lines, marks, tags, rows, side_crc: crc.finalize() };
        out.write_all(&trailer.encode())?;
        out.flush()?;
        drop(out);
        self.file.sync_all()
    }
}

/// The end of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Trailer {
    blocks: u64,
    lines: u64,
    marks: u64,
    tags: u64,
    rows: Rows,
    side_crc: u32,
}

impl Trailer {
    fn encode(&self) -> [u8; TRAILER_OCTETS] {
        let mut octets = [0; TRAILER_OCTETS];
        octets[..8].copy_from_slice(MAGIC_1);
        let numbers = [self.blocks, self.lines, self.marks, self.tags, self.rows.first, self.rows.last];
        octets[8..56]
            .chunks_exact_mut(8)
            .zip(numbers)
            .for_each(|(out, number)| out.copy_from_slice(&number.to_be_bytes()));
        octets[56..60].copy_from_slice(&self.side_crc.to_be_bytes());
        let sum = crc32fast::hash(&octets[..60]);
        octets[60..].copy_from_slice(&sum.to_be_bytes());
        octets
    }

    /// None for another format, and for damage.
    fn decode(octets: &[u8; TRAILER_OCTETS]) -> Option<Self> {
        let (body, sum) = octets.split_last_chunk::<4>()?;
        if !body.starts_with(MAGIC_1) || crc32fast::hash(body) != u32::from_be_bytes(*sum) {
            return None;
        }
        let mut numbers = body[8..56].as_chunks::<8>().0.iter().map(|octets| u64::from_be_bytes(*octets));
        let mut number = || numbers.next();
        let (blocks, lines, marks, tags) = (number()?, number()?, number()?, number()?);
        let rows = Rows { first: number()?, last: number()? };
        let side_crc = u32::from_be_bytes(*body.last_chunk::<4>()?);
        Some(Self { blocks, lines, marks, tags, rows, side_crc })
    }

    /// None where the numbers cannot be.
    fn file_octets(&self) -> Option<u64> {
        let blocks = self.blocks.checked_mul((BLOCK_OCTETS + FENCE_OCTETS) as u64)?;
        let lines = self.lines.checked_mul(LINE_OCTETS as u64)?;
        blocks.checked_add(lines)?.checked_add(TRAILER_OCTETS as u64)
    }
}

/// Makes the names in the folder of a file last.
fn sync_folder(path: &Path) -> Result<(), RunError> {
    let folder = path.parent().unwrap_or(path);
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io_at(folder))
}

pub(super) fn io_at(path: &Path) -> impl FnOnce(io::Error) -> RunError + use<> {
    let path = path.to_owned();
    move |source| RunError::Io { path, source }
}

/// Name and version of the format (I9). Another one is made again from the segments.
const MAGIC_1: &[u8; 8] = b"SM2TTAG\x01";
const TRAILER_OCTETS: usize = 64;
const FENCE_OCTETS: usize = 16;
/// What is given to the disk at once.
const WRITE_OCTETS: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use sm2tp_federation::record::Class;

    use super::*;
    use crate::testing::TempDir;

    fn entry(tag: u128, origin: u32) -> Entry {
        let mark = Mark { sequence: 9, origin, epoch: 0, hour: 5, class: Class::HARD, ttl_weeks: 0, provider: 0 };
        Entry { tag: Tag(tag.to_be_bytes()), mark }
    }

    fn write(path: &Path, entries: &[Entry]) -> Run {
        let mut writer = Writer::new(path).unwrap();
        entries.iter().for_each(|entry| writer.push(entry).unwrap());
        writer.finish(Rows { first: 3, last: 8 }).unwrap()
    }

    fn found(run: &Run, tag: u128) -> Vec<u32> {
        let mut origins = Vec::new();
        run.find(&Tag(tag.to_be_bytes()), |mark| origins.push(mark.origin));
        origins
    }

    /// One tag of each thousand has a thousand events, which fill several blocks.
    fn many() -> Vec<Entry> {
        let origins = |n: u128| if n.is_multiple_of(1000) { 1000 } else { 1 };
        (0..3000_u128).flat_map(|n| (0..origins(n)).map(move |origin| entry(n << 100, origin))).collect()
    }

    #[test]
    fn a_run_is_found_again_tag_by_tag_and_as_a_whole() {
        let (dir, all) = (TempDir::quick(), many());
        let path = dir.path().join("1.run");
        drop(write(&path, &all));
        let run = Run::open(&path).unwrap();
        assert_eq!((run.rows, run.marks, run.tags), (Rows { first: 3, last: 8 }, all.len() as u64, 3000));
        assert_eq!(run.octets(), fs::metadata(&path).unwrap().len());
        assert_eq!(run.scan().map(Result::unwrap).collect::<Vec<_>>(), all);
        for n in 0..3000_u128 {
            let want = if n.is_multiple_of(1000) { (0..1000).collect() } else { vec![0] };
            assert_eq!(found(&run, n << 100), want, "{n}");
            assert_eq!(found(&run, (n << 100) + 1), [0; 0]);
        }
        assert!(!dir.path().join("1.new").exists());
    }

    #[test]
    fn a_run_with_damage_is_refused_or_found_out() {
        let (dir, all) = (TempDir::quick(), many());
        let path = dir.path().join("1.run");
        drop(write(&path, &all));
        let octets = fs::read(&path).unwrap();
        #[track_caller]
        fn check(path: &Path, octets: &[u8]) {
            fs::write(path, octets).unwrap();
            assert!(matches!(Run::open(path), Err(RunError::Damaged { .. })));
        }
        let flipped =
            |at: usize| octets.iter().enumerate().map(|(n, o)| if n == at { !o } else { *o }).collect::<Vec<_>>();
        check(&path, &[]);
        check(&path, &octets[..octets.len() - 1]);
        check(&path, &octets[1..]);
        check(&path, &flipped(octets.len() - 70));
        check(&path, &flipped(octets.len() - 30));
        // In a block it is found when the block is read; nothing of the run is believed from then on.
        fs::write(&path, flipped(100)).unwrap();
        let run = Run::open(&path).unwrap();
        assert_eq!(found(&run, 2999 << 100), [0]);
        assert_eq!(found(&run, 0), [0; 0]);
        assert!(run.is_damaged());
        assert_eq!(found(&run, 2999 << 100), [0; 0]);
        assert!(matches!(run.scan().next(), Some(Err(RunError::Damaged { .. }))));
    }
}
