//! An SQLite file page by page, for a queue that SQLite itself does not read any more
//! (<https://sqlite.org/fileformat2.html>, cited by section below).
//!
//! Every page is looked at by itself, and nothing is followed from above: a damaged page takes its own rows with it and no
//! others. Pages on the list of free ones are left out, because they hold rows that are gone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// A database file, with what its log adds to it.
#[derive(Debug)]
pub(super) struct Pages {
    file: File,
    size: usize,
    /// Octets of a page that hold content.
    usable: usize,
    count: u32,
    /// Pages of which the log has a newer state.
    log: BTreeMap<u32, Vec<u8>>,
    free: BTreeSet<u32>,
    /// The list of free pages could be read to its end. Where not, some rows may be of a page that was given back.
    pub free_known: bool,
}

/// What a page is.
#[derive(Debug, PartialEq)]
pub(super) enum Page {
    /// It holds rows; `damaged`: and something that is none.
    Rows { rows: Vec<Row>, damaged: bool },
    /// It says where the rows of a table are: pages, and the highest number on each but the last one.
    Inner { children: Vec<(u32, Option<i64>)> },
    /// It is given back.
    Free,
    /// Nothing that has a form. A rest of a long row, or damage: [`Pages::is_rest`] is asked when all rows are read.
    Formless,
}

/// One row as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    /// Of tables that have one.
    pub rowid: Option<i64>,
    pub fields: Vec<Field>,
    /// Pages to which the row goes on.
    pub rests: Vec<u32>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Field {
    Null,
    Int(i64),
    Text(String),
    /// Octets, numbers with a point, and text that is none: nothing that the queue stores.
    Other,
}

/// Kinds of pages with rows (§1.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    TableLeaf,
    IndexLeaf,
    IndexInner,
}

impl Pages {
    /// Opens the file at `path`, with the log beside it.
    ///
    /// # Errors
    /// Where a file cannot be read at all.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let mut header = [0; HEADER];
        let read = file.read_at(&mut header, 0)?;
        let known = HEADER == read && header.starts_with(MAGIC);
        let size = if known { page_size(u32::from(u16_at(&header, 16))) } else { None };
        let log_path = path.with_file_name(format!("{}-wal", path.file_name().unwrap_or_default().to_string_lossy()));
        let (log, log_size) = match fs::read(log_path) {
            Ok(octets) => read_log(&octets),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (BTreeMap::new(), None),
            Err(error) => return Err(error),
        };
        let size = size.or(log_size).unwrap_or(SIZE_USUAL);
        let reserved = if known { usize::from(header[20]) } else { 0 };
        let pages = file.metadata()?.len() / size as u64;
        let last = log.keys().next_back().copied().unwrap_or(0);
        let count = u32::try_from(pages).unwrap_or(u32::MAX).max(last);
        let usable = size - reserved.min(size / 2);
        let mut pages = Self { file, size, usable, count, log, free: BTreeSet::new(), free_known: false };
        // Behind the last page of the last transaction there may be others that were cut off.
        let first = pages.octets(1).filter(|octets| octets.starts_with(MAGIC));
        if let Some(told) = first.and_then(|octets| u32_at(&octets, 28)).filter(|told| 0 < *told) {
            pages.count = pages.count.min(told);
        }
        pages.read_free();
        Ok(pages)
    }

    /// Numbers of all pages; the first is 1.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u32> + use<> {
        1..=self.count
    }

    /// Reads one page.
    pub(super) fn page(&self, number: u32) -> Page {
        if self.free.contains(&number) {
            return Page::Free;
        }
        let Some(octets) = self.octets(number) else { return Page::Formless };
        let at = if number == 1 { HEADER } else { 0 };
        let kind = match octets[at] {
            13 => Kind::TableLeaf,
            10 => Kind::IndexLeaf,
            2 => Kind::IndexInner,
            5 => return self.inner(&octets, at).map_or(Page::Formless, |children| Page::Inner { children }),
            _ => return Page::Formless,
        };
        let Some(cells) = self.cells(&octets, at, if kind == Kind::IndexInner { 12 } else { 8 }) else {
            return Page::Formless;
        };
        let count = cells.len();
        let rows: Vec<Row> = cells.into_iter().filter_map(|cell| self.row(&octets, cell, kind)).collect();
        Page::Rows { damaged: rows.len() < count, rows }
    }

    /// The pages below one of an index, whose rows lie in it and below it, each with the first number of the row behind it.
    pub(super) fn below_index(&self, number: u32) -> Vec<(u32, Option<i64>)> {
        let Some(octets) = self.octets(number) else { return Vec::new() };
        let at = if number == 1 { HEADER } else { 0 };
        if octets[at] != 2 {
            return Vec::new();
        }
        let behind = |cell| match self.row(&octets, cell, Kind::IndexInner)?.fields.first()? {
            Field::Int(number) => Some(*number),
            _ => None,
        };
        let cells = self.cells(&octets, at, 12).unwrap_or_default().into_iter();
        let below = cells.filter_map(|cell| Some((u32_at(&octets, cell)?, behind(cell))));
        below.chain(u32_at(&octets, at + 8).map(|last| (last, None))).collect()
    }

    fn octets(&self, number: u32) -> Option<Vec<u8>> {
        if let Some(newer) = self.log.get(&number) {
            return Some(newer.clone());
        }
        let mut octets = vec![0; self.size];
        // A medium that cannot read gives no page; the others are asked all the same.
        self.file.read_exact_at(&mut octets, u64::from(number.checked_sub(1)?) * self.size as u64).ok()?;
        Some(octets)
    }

    /// §1.5: a chain of pages, each with a list of others.
    fn read_free(&mut self) {
        let Some(first) = self.octets(1).filter(|octets| octets.starts_with(MAGIC)) else { return };
        let (mut trunk, wanted) = (u32_at(&first, 32).unwrap_or(0), u32_at(&first, 36).unwrap_or(0));
        while trunk != 0 && self.free.insert(trunk) {
            let Some(octets) = self.octets(trunk) else { return };
            let (next, len) = (u32_at(&octets, 0).unwrap_or(0), u32_at(&octets, 4).unwrap_or(0) as usize);
            if self.usable / 4 < len + 2 || self.count < next {
                return;
            }
            self.free.extend((0..len).filter_map(|n| u32_at(&octets, 8 + 4 * n)));
            trunk = next;
        }
        self.free_known = u32::try_from(self.free.len()).is_ok_and(|found| found == wanted);
    }

    /// Where the cells of a page begin (§1.6); none where its header is not that of a page.
    fn cells(&self, octets: &[u8], at: usize, header: usize) -> Option<Vec<usize>> {
        let count = usize::from(u16_at(octets, at + 3));
        let content = match usize::from(u16_at(octets, at + 5)) {
            0 => 65_536,
            content => content,
        };
        let first = at + header + 2 * count;
        if self.usable < first || self.usable < content || content < first {
            return None;
        }
        Some((0..count).map(|n| usize::from(u16_at(octets, at + header + 2 * n))).collect())
    }

    fn inner(&self, octets: &[u8], at: usize) -> Option<Vec<(u32, Option<i64>)>> {
        let last = (u32_at(octets, at + 8)?, None);
        let child = |cell: usize| Some((u32_at(octets, cell)?, Some(varint(octets, cell + 4)?.0)));
        let children: Option<Vec<_>> = self.cells(octets, at, 12)?.into_iter().map(child).collect();
        let children: Vec<_> = children?.into_iter().chain([last]).collect();
        children.iter().all(|(page, _)| (2..=self.count).contains(page)).then_some(children)
    }

    fn row(&self, octets: &[u8], cell: usize, kind: Kind) -> Option<Row> {
        let mut at = if kind == Kind::IndexInner { cell + 4 } else { cell };
        let (len, used) = varint(octets, at)?;
        at += used;
        let mut rowid = None;
        if kind == Kind::TableLeaf {
            let (id, used) = varint(octets, at)?;
            (rowid, at) = (Some(id), at + used);
        }
        let (payload, rests) = self.payload(octets, at, usize::try_from(len).ok()?, kind)?;
        Some(Row { rowid, fields: record(&payload)?, rests })
    }

    /// The octets of a row, with those that lie on further pages (§1.6, §1.8).
    fn payload(&self, octets: &[u8], at: usize, len: usize, kind: Kind) -> Option<(Vec<u8>, Vec<u32>)> {
        if ROW_OCTETS_MAX < len {
            return None;
        }
        let least = (self.usable - 12) * 32 / 255 - 23;
        let most = if kind == Kind::TableLeaf { self.usable - 35 } else { (self.usable - 12) * 64 / 255 - 23 };
        if len <= most {
            return Some((octets.get(at..at + len)?.to_vec(), Vec::new()));
        }
        let kept = least + (len - least) % (self.usable - 4);
        let kept = if kept <= most { kept } else { least };
        let mut payload = octets.get(at..at + kept)?.to_vec();
        let (mut next, mut rests) = (u32_at(octets, at + kept)?, Vec::new());
        while payload.len() < len {
            if next < 2 || self.free.contains(&next) || rests.contains(&next) {
                return None;
            }
            rests.push(next);
            let page = self.octets(next)?;
            let wanted = (len - payload.len()).min(self.usable - 4);
            payload.extend_from_slice(page.get(4..4 + wanted)?);
            next = u32_at(&page, 0)?;
        }
        Some((payload, rests))
    }
}

/// The pages of a log (§4): of each the last state that a transaction ended with.
fn read_log(octets: &[u8]) -> (BTreeMap<u32, Vec<u8>>, Option<usize>) {
    let mut pages = BTreeMap::new();
    let magic = u32_at(octets, 0).unwrap_or(0);
    let Some(size) = u32_at(octets, 8).and_then(page_size).filter(|_| magic & !1 == LOG_MAGIC) else {
        return (pages, None);
    };
    let is_big_endian = magic & 1 == 1;
    let (mut sum, mut open) = (checksum((0, 0), &octets[..24], is_big_endian), BTreeMap::new());
    let frames = octets.get(LOG_HEADER..).unwrap_or_default();
    for frame in frames.chunks_exact(FRAME_HEADER + size) {
        // Frames of an earlier round lie behind those of this one.
        if frame[8..16] != octets[16..24] {
            break;
        }
        sum = checksum(checksum(sum, &frame[..8], is_big_endian), &frame[FRAME_HEADER..], is_big_endian);
        if (u32_at(frame, 16), u32_at(frame, 20)) != (Some(sum.0), Some(sum.1)) {
            break;
        }
        open.insert(u32_at(frame, 0).unwrap_or(0), frame[FRAME_HEADER..].to_vec());
        if u32_at(frame, 4) != Some(0) {
            pages.append(&mut open);
        }
    }
    (pages, Some(size))
}

/// §4.2.
fn checksum(mut sum: (u32, u32), octets: &[u8], is_big_endian: bool) -> (u32, u32) {
    for pair in octets.chunks_exact(8) {
        let number = |at: usize| {
            let four = [pair[at], pair[at + 1], pair[at + 2], pair[at + 3]];
            if is_big_endian { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) }
        };
        sum.0 = sum.0.wrapping_add(number(0)).wrapping_add(sum.1);
        sum.1 = sum.1.wrapping_add(number(4)).wrapping_add(sum.0);
    }
    sum
}

/// The fields of a row (§2.1).
fn record(octets: &[u8]) -> Option<Vec<Field>> {
    let (header, mut at) = varint(octets, 0)?;
    let header = usize::try_from(header).ok()?;
    let (mut value, mut fields) = (header, Vec::new());
    while at < header {
        let (kind, used) = varint(octets, at)?;
        at += used;
        let len = match kind {
            0 | 8 | 9 => 0,
            1..=4 => usize::try_from(kind).ok()?,
            5 => 6,
            6 | 7 => 8,
            12.. => usize::try_from((kind - 12) / 2).ok()?,
            _ => return None,
        };
        let octets = octets.get(value..value.checked_add(len)?)?;
        value += len;
        fields.push(match kind {
            0 => Field::Null,
            8 | 9 => Field::Int(kind - 8),
            1..=6 => Field::Int(integer(octets)),
            13.. if kind % 2 == 1 => {
                std::str::from_utf8(octets).map_or(Field::Other, |text| Field::Text(text.to_owned()))
            }
            _ => Field::Other,
        });
    }
    (at == header && value == octets.len()).then_some(fields)
}

/// Big-endian, with its sign.
fn integer(octets: &[u8]) -> i64 {
    let sign = if octets.first().is_some_and(|first| first & 0x80 != 0) { -1 } else { 0 };
    octets.iter().fold(sign, |number, octet| number << 8 | i64::from(*octet))
}

/// A number of one to nine octets, and how many.
fn varint(octets: &[u8], at: usize) -> Option<(i64, usize)> {
    let mut number: i64 = 0;
    for used in 0..9 {
        let octet = *octets.get(at + used)?;
        if used == 8 {
            return Some((number << 8 | i64::from(octet), 9));
        }
        number = number << 7 | i64::from(octet & 0x7f);
        if octet & 0x80 == 0 {
            return Some((number, used + 1));
        }
    }
    None
}

fn page_size(stored: u32) -> Option<usize> {
    let size = if stored == 1 { 65_536 } else { stored };
    (size.is_power_of_two() && (512..=65_536).contains(&size)).then_some(size as usize)
}

fn u16_at(octets: &[u8], at: usize) -> u16 {
    octets.get(at..at + 2).map_or(0, |two| u16::from_be_bytes([two[0], two[1]]))
}

fn u32_at(octets: &[u8], at: usize) -> Option<u32> {
    octets.get(at..at + 4).map(|four| u32::from_be_bytes([four[0], four[1], four[2], four[3]]))
}

const MAGIC: &[u8] = b"SQLite format 3\0";
const HEADER: usize = 100;
/// SQLite's own choice, which we leave as it is.
const SIZE_USUAL: usize = 4096;
const LOG_MAGIC: u32 = 0x377f_0682;
const LOG_HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// A row of the queue is an envelope or a happening; what claims to be longer is damaged.
const ROW_OCTETS_MAX: usize = 16 * 1024 * 1024;
