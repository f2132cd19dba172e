//! Keeps the tag index on the disk beside all other work: writes what is new as a run, makes one run of several, throws
//! away what is damaged, and knows which segments are in no run yet.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use sm2tp_federation::keys::NodeKey;
use tokio::sync::Notify;
use tokio::task::spawn_blocking;

use super::Index;
use super::gone::Place;
use super::manifest::{Manifest, Newest, RunLine};
use super::merge;
use super::run::{Rows, Run, RunError, Writer, io_at};

/// The keeper of the index in one directory. When it goes, work under way ends.
pub(in crate::federated) struct Upkeep(Arc<Shared>);

/// A segment that is about to be kept: what is written meanwhile does not claim to hold it.
pub(in crate::federated) struct Coming {
    owed: Arc<Mutex<Owed>>,
    id: u64,
}

/// Segments that are being read again.
pub(in crate::federated) struct Reading {
    owed: Arc<Mutex<Owed>>,
    id: u64,
    pub rows: Rows,
}

struct Shared {
    dir: PathBuf,
    index: Arc<RwLock<Index>>,
    /// Events in memory that make a run.
    fresh_max: usize,
    manifest: Mutex<Manifest>,
    owed: Arc<Mutex<Owed>>,
    is_writing: AtomicBool,
    is_merging: AtomicBool,
    /// The last run could not be written.
    has_failed: AtomicBool,
    is_closed: AtomicBool,
    /// Somebody may have waited for room.
    done: Notify,
}

/// Which segments are in no run.
#[derive(Default)]
struct Owed {
    next_id: u64,
    /// The highest local number of a segment that is kept.
    newest: Option<Newest>,
    /// What comes, by the highest local number that there was: its own is above it.
    coming: BTreeMap<u64, u64>,
    /// What is read again, and what was since the last run.
    reading: Vec<Again>,
}

struct Again {
    id: u64,
    rows: Rows,
    is_read: bool,
}

/// What the next manifest is to say of segments, as of the moment in which the run was cut off from what comes after it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    /// Segments from this local number on are not in the run.
    open: u64,
    newest: Option<Newest>,
}

impl Upkeep {
    /// Opens the runs that `manifest` names. Answers with the segments whose events are to be read again.
    pub(in crate::federated) fn open(
        dir: &Path,
        mut manifest: Manifest,
        index: Arc<RwLock<Index>>,
        fresh_max: usize,
    ) -> Result<(Self, Vec<Rows>), RunError> {
        {
            let mut index = index.write().unwrap_or_else(PoisonError::into_inner);
            index.set_origins(std::mem::take(&mut manifest.origins));
            let runs = std::mem::take(&mut manifest.runs);
            for line in runs {
                match Run::open(&dir.join(&line.file)) {
                    Ok(run) => {
                        index.tags.add_run(Arc::new(run));
                        manifest.runs.push(line);
                    }
                    Err(error) => {
                        tracing::error!(%error, "a file of the tag index cannot be used; it is made again from the segments");
                        manifest.owed.push(line.rows);
                    }
                }
            }
        }
        sweep(dir, &manifest)?;
        let owed = manifest.owed.clone();
        let shared = Shared {
            dir: dir.to_owned(),
            index,
            fresh_max,
            owed: Arc::new(Mutex::new(Owed { newest: manifest.newest, ..Owed::default() })),
            manifest: Mutex::new(manifest),
            is_writing: AtomicBool::new(false),
            is_merging: AtomicBool::new(false),
            has_failed: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            done: Notify::new(),
        };
        Ok((Self(Arc::new(shared)), owed))
    }

    /// To be held while a segment gets its row and its events get into the index.
    pub(in crate::federated) fn coming(&self) -> Coming {
        let mut owed = self.0.owed();
        let id = owed.id();
        let above = owed.newest.map_or(0, |newest| newest.row);
        owed.coming.insert(id, above);
        Coming { owed: Arc::clone(&self.0.owed), id }
    }

    /// To be held while the segments with these local numbers are read again.
    pub(in crate::federated) fn reading(&self, rows: Rows) -> Reading {
        let mut owed = self.0.owed();
        let id = owed.id();
        owed.reading.push(Again { id, rows, is_read: false });
        Reading { owed: Arc::clone(&self.0.owed), id, rows }
    }

    /// Whether segments are being read again: the index does not know all that it will.
    pub(in crate::federated) fn is_reading(&self) -> bool {
        self.0.owed().reading.iter().any(|again| !again.is_read)
    }

    /// A segment has this row; `header` are its octets.
    pub(in crate::federated) fn note(&self, row: u64, header: &[u8]) {
        let mut owed = self.0.owed();
        if owed.newest.is_none_or(|newest| newest.row < row) {
            owed.newest = Some(Newest { row, header: crc32fast::hash(header) });
        }
    }

    /// Starts what is to be done, if nobody does it.
    pub(in crate::federated) fn tend(&self) {
        if self.0.is_due() && !self.0.is_writing.swap(true, Ordering::AcqRel) {
            let shared = Arc::clone(&self.0);
            spawn_blocking(move || shared.write_all());
        }
    }

    /// Whether runs are being written or put together.
    pub(in crate::federated) fn is_busy(&self) -> bool {
        self.0.is_writing.load(Ordering::Acquire) || self.0.is_merging.load(Ordering::Acquire)
    }

    /// Waits until the index can take more: so its memory is bounded.
    ///
    /// # Errors
    /// [`RunError`] where nothing can be written, for a full disk.
    pub(in crate::federated) async fn room(&self) -> Result<(), RunError> {
        loop {
            let done = self.0.done.notified();
            if self.0.has_room() {
                return Ok(());
            }
            if self.0.has_failed.load(Ordering::Relaxed) && !self.0.is_writing.load(Ordering::Acquire) {
                // Once more, for the next one who comes.
                self.tend();
                let source = std::io::Error::other("the last run could not be written");
                return Err(RunError::Io { path: self.0.dir.clone(), source });
            }
            self.tend();
            done.await;
        }
    }

    /// Takes what was erased out of the runs, one after the other and never beside another merge. Answers with the places,
    /// by origin, that are in no run any more.
    pub(in crate::federated) async fn sweep(&self) -> Result<Vec<(NodeKey, u32, u64)>, RunError> {
        loop {
            let done = self.0.done.notified();
            if !self.0.is_merging.swap(true, Ordering::AcqRel) {
                break;
            }
            done.await;
        }
        let shared = Arc::clone(&self.0);
        let swept = spawn_blocking(move || {
            let swept = shared.sweep();
            shared.is_merging.store(false, Ordering::Release);
            shared.done.notify_waiters();
            swept
        });
        let swept = swept.await.map_err(|_| RunError::Closed)??;
        Ok(self.0.write().forget_gone(&swept))
    }

    /// Takes damaged runs out. Answers with the segments that are to be read again for them.
    pub(in crate::federated) fn mend(&self) -> Result<Vec<Reading>, RunError> {
        let damaged: Vec<_> = self.0.read().tags.runs().iter().filter(|run| run.is_damaged()).cloned().collect();
        if damaged.is_empty() {
            return Ok(Vec::new());
        }
        let reading = damaged.iter().map(|run| self.reading(run.rows)).collect();
        let is_damaged = |line: &RunLine| damaged.iter().any(|run| run.path.ends_with(&line.file));
        self.0.rewrite(|manifest| {
            manifest.owed.extend(damaged.iter().map(|run| run.rows));
            manifest.runs.retain(|line| !is_damaged(line));
        })?;
        self.0.write().tags.replace(&damaged, None);
        damaged.iter().for_each(|run| forget(&run.path));
        Ok(reading)
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.0.is_closed.store(true, Ordering::Relaxed);
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        self.owed.lock().unwrap_or_else(PoisonError::into_inner).coming.remove(&self.id);
    }
}

impl Reading {
    /// All of them are in the index; the next run holds them.
    pub(in crate::federated) fn done(self) {
        let mut owed = self.owed.lock().unwrap_or_else(PoisonError::into_inner);
        owed.reading.iter_mut().filter(|again| again.id == self.id).for_each(|again| again.is_read = true);
    }
}

impl Owed {
    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// A run is cut off now. What was read again by now is in it or in an older one.
    fn cut(&mut self) -> Cut {
        self.reading.retain(|again| !again.is_read);
        let newest = self.newest.map_or(0, |newest| newest.row);
        let open = self.coming.values().copied().min().unwrap_or(newest).min(newest).saturating_add(1);
        Cut { open, newest: self.newest }
    }
}

impl Shared {
    fn is_due(&self) -> bool {
        self.fresh_max <= self.read().tags.fresh_len()
    }

    fn has_room(&self) -> bool {
        let index = self.read();
        index.tags.fresh_len() < 2 * self.fresh_max && index.tags.runs().len() < RUNS_MAX
    }

    /// Writes runs while there is enough for one; what cannot be written stays in memory for the next time.
    fn write_all(self: &Arc<Self>) {
        let mut written = Ok(());
        while written.is_ok() && self.is_due() && !self.is_closed.load(Ordering::Relaxed) {
            written = self.write_run();
            if let Err(error) = &written
                && !self.has_failed.load(Ordering::Relaxed)
            {
                tracing::error!(%error, "the tag index cannot be written; it stays in memory");
            }
            self.has_failed.store(written.is_err(), Ordering::Relaxed);
            self.done.notify_waiters();
            if written.is_ok() && !self.is_merging.swap(true, Ordering::AcqRel) {
                let shared = Arc::clone(self);
                spawn_blocking(move || shared.merge_all());
            }
        }
        self.is_writing.store(false, Ordering::Release);
        self.done.notify_waiters();
    }

    fn write_run(&self) -> Result<(), RunError> {
        let (writing, cut) = {
            let mut index = self.write();
            let owed = Arc::clone(&self.owed);
            index.tags.begin(|| owed.lock().unwrap_or_else(PoisonError::into_inner).cut())
        };
        let mut writer = Writer::new(&self.next_path(), writing.tags() as u64)?;
        writing.sorted().iter().try_for_each(|entry| writer.push(entry))?;
        let run = Arc::new(writer.finish(writing.rows().unwrap_or(Rows::of(0)))?);
        self.rewrite(|manifest| {
            manifest.runs.push(line(&run));
            let again = self.owed().reading.iter().map(|again| again.rows).collect::<Vec<_>>();
            manifest.owed = again.into_iter().chain([Rows { first: cut.open, last: u64::MAX }]).collect();
            manifest.newest = cut.newest;
        })?;
        self.write().tags.wrote(run);
        Ok(())
    }

    /// Writes the runs anew that hold what is gone. Answers with what is in none afterwards; with nothing while a run is
    /// being written that may hold it.
    fn sweep(&self) -> Result<Vec<Place>, RunError> {
        let (gone, runs) = {
            let index = self.read();
            if index.tags.is_writing() {
                return Ok(Vec::new());
            }
            (index.tags.gone().clone(), index.tags.runs().to_vec())
        };
        for run in runs {
            // One that is damaged is made again from the segments.
            if run.is_damaged() {
                return Ok(Vec::new());
            }
            if gone.may_be_in(&run) {
                self.merge(&[run])?;
            }
        }
        Ok(gone.places().collect())
    }

    fn merge_all(&self) {
        loop {
            let Some(chosen) = merge::plan(self.read().tags.runs(), self.fresh_max) else { break };
            match self.merge(&chosen) {
                Ok(()) => self.done.notify_waiters(),
                Err(RunError::Closed) => break,
                Err(error) => {
                    tracing::error!(%error, "files of the tag index cannot be put together; look-ups take longer");
                    break;
                }
            }
        }
        self.is_merging.store(false, Ordering::Release);
        self.done.notify_waiters();
    }

    fn merge(&self, chosen: &[Arc<Run>]) -> Result<(), RunError> {
        let path = self.next_path();
        let (oldest, gone) = {
            let index = self.read();
            (index.oldest_by_number(), index.tags.gone().clone())
        };
        let tags_max = chosen.iter().map(|run| run.tags).sum();
        let merged = Writer::new(&path, tags_max)
            .and_then(|writer| merge::merge(chosen, writer, (&oldest, &gone), &self.is_closed));
        let run = Arc::new(merged.inspect_err(|_| forget(&path.with_extension("new")))?);
        let is_old = |line: &RunLine| chosen.iter().any(|run| run.path.ends_with(&line.file));
        self.rewrite(|manifest| {
            manifest.runs.retain(|line| !is_old(line));
            manifest.runs.push(line(&run));
        })?;
        self.write().tags.replace(chosen, Some(run));
        chosen.iter().for_each(|run| forget(&run.path));
        Ok(())
    }

    /// Changes the manifest, on the disk and then here.
    fn rewrite(&self, change: impl FnOnce(&mut Manifest)) -> Result<(), RunError> {
        let mut manifest = self.manifest.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = manifest.clone();
        change(&mut next);
        next.origins = self.read().origins_by_number().to_vec();
        next.write(&self.dir)?;
        next.origins.clear();
        *manifest = next;
        Ok(())
    }

    fn next_path(&self) -> PathBuf {
        let mut manifest = self.manifest.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.dir.join(format!("{:08}.run", manifest.next));
        manifest.next += 1;
        path
    }

    fn owed(&self) -> MutexGuard<'_, Owed> {
        self.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn line(run: &Run) -> RunLine {
    let file = run.path.file_name().map(|name| name.to_string_lossy().into_owned());
    RunLine { file: file.unwrap_or_default(), rows: run.rows }
}

/// Removes what the manifest does not name: what a crash left half written, and what was replaced.
fn sweep(dir: &Path, manifest: &Manifest) -> Result<(), RunError> {
    for entry in fs::read_dir(dir).map_err(io_at(dir))? {
        let path = entry.map_err(io_at(dir))?.path();
        let is_ours = path.extension().is_some_and(|extension| extension == "run" || extension == "new");
        if is_ours && !manifest.runs.iter().any(|line| path.ends_with(&line.file)) {
            forget(&path);
        }
    }
    Ok(())
}

/// A file that is of no use any more. What cannot be removed is removed at the next start.
fn forget(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "an old file of the tag index cannot be removed");
    }
}

/// Runs beyond which nothing is taken before some of them are one: a look-up asks the filter of each.
const RUNS_MAX: usize = 64;

#[cfg(test)]
mod tests;
