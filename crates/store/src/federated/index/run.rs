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
    filter: Filter,
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
        let begins = below(&self.fences, key);
        let mut at = begins.saturating_sub(1);
        let mut block = [0; BLOCK_OCTETS];
        while at < begins || self.fences.get(at) == Some(&key) {
            let Some(entries) = self.read(at, &mut block) else {
                self.note_damage();
                return;
            };
            // What cannot be read although its checksum is right was written by nobody.
            let _ = entries.about(tag, &mut each);
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
    /// Writes beside `path`; nothing is there before [`Writer::finish`]. `tags_max`: no more different tags will come.
    pub(super) fn new(path: &Path, tags_max: u64) -> Result<Self, RunError> {
        let beside = path.with_extension("new");
        let file = OpenOptions::new().create(true).read(true).write(true).truncate(true).mode(0o600).open(&beside);
        let out = BufWriter::with_capacity(WRITE_OCTETS, file.map_err(io_at(&beside))?);
        let (path, fences, block, filter) = (path.to_owned(), Vec::new(), Block::new(), Filter::new(tags_max));
        Ok(Self { path, beside, out, block, fences, filter, last: None, marks: 0, tags: 0 })
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
            self.filter.add(&entry.tag);
        }
        Ok(())
    }

    /// Writes filter and trailer, syncs, and gives the run its name. What was written is read once before anything relies on
    /// it.
    pub(super) fn finish(mut self, rows: Rows) -> Result<Run, RunError> {
        if !self.block.is_empty() {
            self.end_block()?;
        }
        let beside = self.beside.clone();
        let file = self.out.into_inner().map_err(|error| io_at(&beside)(error.into_error()))?;
        let run = Run {
            path: self.path,
            rows,
            marks: self.marks,
            tags: self.tags,
            file,
            fences: self.fences,
            filter: self.filter,
            damaged: AtomicBool::new(false),
        };
        let mut block = [0; BLOCK_OCTETS];
        if (0..run.fences.len()).any(|at| run.read(at, &mut block).is_none()) {
            return Err(RunError::Damaged { path: beside });
        }
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
        octets[..8].copy_from_slice(MAGIC);
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
        if !body.starts_with(MAGIC) || crc32fast::hash(body) != u32::from_be_bytes(*sum) {
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

/// How many of the fences are below a key. Tags are keyed hashes, so that their value says nearly where they stand, and the
/// search begins there; where a stranger invented tags that lie together, it takes twice the steps of one from the middle.
fn below(fences: &[u128], key: u128) -> usize {
    let guess = (((key >> 64) * fences.len() as u128) >> 64) as usize;
    let (mut low, mut high, mut step) = (guess, guess, FENCES_NEAR);
    if fences.get(guess).is_some_and(|fence| *fence < key) {
        while fences.get(low + step).is_some_and(|fence| *fence < key) {
            (low, step) = (low + step, step * 2);
        }
        high = (low + step).min(fences.len());
    } else {
        while high.checked_sub(step).and_then(|at| fences.get(at)).is_some_and(|fence| key <= *fence) {
            (high, step) = (high - step, step * 2);
        }
        low = high.saturating_sub(step);
    }
    low + fences[low..high].partition_point(|fence| *fence < key)
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
const MAGIC: &[u8; 8] = b"SM2TTAG\x02";
const TRAILER_OCTETS: usize = 64;
const FENCE_OCTETS: usize = 16;
/// Of a million tags in order most stand within so many places of where their value says.
const FENCES_NEAR: usize = 64;
/// What is given to the disk at once.
const WRITE_OCTETS: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use sm2tp_federation::record::Class;

    use super::*;
    use crate::testing::TempDir;

    fn entry(tag: u128, origin: u32) -> Entry {
        let mark =
            Mark { sequence: 9, origin, epoch: 0, hour: 5, class: Class::HARD, ttl_weeks: 0, provider: 0, row: 1 };
        Entry { tag: Tag(tag.to_be_bytes()), mark }
    }

    fn write(path: &Path, entries: &[Entry]) -> Run {
        let mut writer = Writer::new(path, entries.len() as u64).unwrap();
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
    fn fences_are_found_whether_tags_are_spread_or_lie_together() {
        let spread = (0..1000_u128).map(|n| n * (u128::MAX / 1000)).collect::<Vec<_>>();
        let together = |at: u128| (0..1000).map(|n| at + n / 3 * 2).collect::<Vec<_>>();
        for fences in [Vec::new(), vec![7], spread, together(0), together(u128::MAX / 2), together(u128::MAX - 5000)] {
            let around = fences.iter().flat_map(|fence| [fence.saturating_sub(1), *fence, fence.saturating_add(1)]);
            for key in around.chain([0, u128::MAX / 3, u128::MAX]) {
                assert_eq!(below(&fences, key), fences.partition_point(|fence| *fence < key), "{key}");
            }
        }
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
