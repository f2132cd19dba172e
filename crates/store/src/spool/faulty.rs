//! A disk in memory that fails when it is told to, fills up, and at a power cut forgets what was not synced.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::disk::{Disk, DiskFile};

/// SplitMix64: the same choices for the same seed, everywhere.
#[derive(Debug)]
pub(super) struct Dice(pub u64);

impl Dice {
    pub(super) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.roll() % end.max(1) as u64).unwrap()
    }

    /// True once in `times`.
    pub(super) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

/// What goes wrong at the next operation that it can happen to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// A write stops in the middle, with this error of the system; cutting the file back fails as well.
    ShortWrite(i32),
    /// Nothing is written.
    Write(i32),
    Read(i32),
    Create(i32),
    /// A sync of a file or a directory fails: the pages are gone, and the next sync would succeed (`fsync` of Linux).
    Sync,
    Remove(i32),
    /// The power fails before a write, in the middle of it, or before a sync.
    PowerCut,
}

#[derive(Debug, Default)]
struct Stored {
    /// What a reader sees.
    now: Vec<u8>,
    /// What is on stable storage.
    synced: Vec<u8>,
    is_named: bool,
}

#[derive(Debug)]
struct State {
    files: BTreeMap<PathBuf, Stored>,
    /// Removed, but the directory was not synced since.
    removed: BTreeMap<PathBuf, Stored>,
    fault: Option<Fault>,
    /// Octets that all files may have together.
    room: usize,
    is_off: bool,
    sync_failed: bool,
    written_after_failed_sync: bool,
    removals: usize,
    dice: Dice,
}

/// The disk; clones are the same one.
#[derive(Debug, Clone)]
pub(super) struct FaultyDisk(Arc<Mutex<State>>);

#[derive(Debug)]
struct FaultyFile {
    disk: FaultyDisk,
    path: PathBuf,
}

impl FaultyDisk {
    pub(super) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            files: BTreeMap::new(),
            removed: BTreeMap::new(),
            fault: None,
            room: ROOM,
            is_off: false,
            sync_failed: false,
            written_after_failed_sync: false,
            removals: 0,
            dice: Dice(seed),
        })))
    }

    pub(super) fn arm(&self, fault: Option<Fault>) {
        self.state().fault = fault;
    }

    /// Leaves so many octets free.
    pub(super) fn leave_free(&self, octets: usize) {
        let mut state = self.state();
        state.room = state.used() + octets;
    }

    pub(super) fn empty_a_bit(&self) {
        self.state().room = ROOM;
    }

    pub(super) fn free_octets(&self) -> usize {
        let state = self.state();
        state.room.saturating_sub(state.used())
    }

    pub(super) fn is_off(&self) -> bool {
        self.state().is_off
    }

    pub(super) fn sync_failed(&self) -> bool {
        self.state().sync_failed
    }

    /// Something was written although a sync had failed: what the spool must never do.
    pub(super) fn written_after_failed_sync(&self) -> bool {
        self.state().written_after_failed_sync
    }

    pub(super) fn removals(&self) -> usize {
        self.state().removals
    }

    /// The machine starts again: what was not synced is absent, partial or garbage; names may be lost or come back.
    pub(super) fn restart(&self) {
        let mut state = self.state();
        let State { files, removed, dice, .. } = &mut *state;
        for (path, file) in std::mem::take(removed) {
            if dice.once_in(2) {
                files.entry(path).or_insert(file);
            }
        }
        files.retain(|_, file| file.is_named || dice.once_in(2));
        for file in files.values_mut() {
            let kept = file.synced.len() + dice.below(file.now.len().saturating_sub(file.synced.len()) + 1);
            let mut now = file.now.clone();
            now.resize(kept.max(file.synced.len()), 0);
            now[..file.synced.len()].copy_from_slice(&file.synced);
            if dice.once_in(2) {
                now[file.synced.len()..].iter_mut().for_each(|octet| *octet = u8::try_from(dice.below(256)).unwrap());
            }
            file.synced.clone_from(&now);
            file.now = now;
            file.is_named = true;
        }
        state.fault = None;
        state.is_off = false;
        state.sync_failed = false;
    }

    /// Changes octets behind everybody's back; answers with what is there now.
    pub(super) fn damage(&self, path: &Path, at: usize, change: impl Fn(&mut u8)) {
        let mut state = self.state();
        let file = state.files.get_mut(path).unwrap();
        change(&mut file.now[at]);
        file.synced.clone_from(&file.now);
    }

    pub(super) fn octets(&self, path: &Path) -> Option<Vec<u8>> {
        self.state().files.get(path).map(|file| file.now.clone())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl State {
    fn used(&self) -> usize {
        self.files.values().map(|file| file.now.len()).sum()
    }

    /// The fault that is armed, if it is one of these; an error when the power is off.
    fn strikes(&mut self, is_mine: impl Fn(Fault) -> bool) -> io::Result<Option<Fault>> {
        if self.is_off {
            return Err(io::Error::other("the power is off"));
        }
        let mine = self.fault.filter(|fault| is_mine(*fault));
        if mine.is_some() {
            self.fault = None;
        }
        if mine == Some(Fault::PowerCut) && self.dice.once_in(3) {
            self.is_off = true;
            return Err(io::Error::other("the power went off"));
        }
        Ok(mine)
    }

    fn may_change(&mut self) {
        self.written_after_failed_sync |= self.sync_failed;
    }
}

impl Disk for FaultyDisk {
    fn make_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<(PathBuf, u64)>> {
        let state = self.state();
        let inside = state.files.iter().filter(|(path, _)| path.parent() == Some(dir));
        Ok(inside.map(|(path, file)| (path.clone(), file.now.len() as u64)).collect())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        match state.strikes(|fault| matches!(fault, Fault::Create(_) | Fault::PowerCut))? {
            Some(Fault::Create(code)) => return Err(io::Error::from_raw_os_error(code)),
            Some(_) => state.is_off = true,
            None => {}
        }
        state.may_change();
        if state.files.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if state.room <= state.used() {
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        state.files.insert(path.to_owned(), Stored::default());
        drop(state);
        Ok(Box::new(FaultyFile { disk: self.clone(), path: path.to_owned() }))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        match state.strikes(|fault| matches!(fault, Fault::Sync | Fault::PowerCut))? {
            Some(Fault::Sync) => {
                state.sync_failed = true;
                return Err(io::Error::from_raw_os_error(EIO));
            }
            Some(_) => {
                state.is_off = true;
                return Err(io::Error::other("the power went off"));
            }
            None => {}
        }
        state.removed.clear();
        for (_, file) in state.files.iter_mut().filter(|(path, _)| path.parent() == Some(dir)) {
            file.is_named = true;
        }
        Ok(())
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let file = state.files.get_mut(path).ok_or(io::ErrorKind::NotFound)?;
        file.synced.clone_from(&file.now);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        if let Some(Fault::Remove(code)) = state.strikes(|fault| matches!(fault, Fault::Remove(_)))? {
            return Err(io::Error::from_raw_os_error(code));
        }
        let file = state.files.remove(path).ok_or(io::ErrorKind::NotFound)?;
        state.removed.insert(path.to_owned(), file);
        state.removals += 1;
        Ok(())
    }

    fn read(&self, path: &Path, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut state = self.state();
        if let Some(Fault::Read(code)) = state.strikes(|fault| matches!(fault, Fault::Read(_)))? {
            return Err(io::Error::from_raw_os_error(code));
        }
        let file = state.files.get(path).ok_or(io::ErrorKind::NotFound)?;
        let rest = usize::try_from(offset).ok().and_then(|offset| file.now.get(offset..)).unwrap_or_default();
        Ok(rest[..len.min(rest.len())].to_vec())
    }

    fn free(&self, _: &Path) -> io::Result<u64> {
        let state = self.state();
        Ok(state.room.saturating_sub(state.used()) as u64)
    }
}

impl DiskFile for FaultyFile {
    fn write(&mut self, octets: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        let hit = state.strikes(|fault| matches!(fault, Fault::ShortWrite(_) | Fault::Write(_) | Fault::PowerCut))?;
        if let Some(Fault::Write(code)) = hit {
            return Err(io::Error::from_raw_os_error(code));
        }
        state.may_change();
        let offset = usize::try_from(offset).unwrap();
        let (used, room) = (state.used(), state.room);
        let here = state.files[&self.path].now.len();
        let fits = (room + here).saturating_sub(used + offset).min(octets.len());
        let written = if hit.is_some() { state.dice.below(octets.len()) } else { fits };
        let file = state.files.get_mut(&self.path).unwrap();
        file.now.resize(here.max(offset + written), 0);
        file.now[offset..offset + written].copy_from_slice(&octets[..written]);
        match hit {
            Some(Fault::ShortWrite(code)) => {
                state.fault = Some(Fault::Write(code)); // for set_len, which comes next
                Err(io::Error::from_raw_os_error(code))
            }
            Some(_) => {
                state.is_off = true;
                Err(io::Error::other("the power went off"))
            }
            None if written < octets.len() => Err(io::Error::from_raw_os_error(ENOSPC)),
            None => Ok(()),
        }
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        if let Some(Fault::Write(code)) = state.strikes(|fault| matches!(fault, Fault::Write(_)))? {
            return Err(io::Error::from_raw_os_error(code));
        }
        let len = usize::try_from(len).unwrap();
        state.files.get_mut(&self.path).unwrap().now.resize(len, 0);
        Ok(())
    }

    fn reserve(&mut self, len: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        let (used, room, len) = (state.used(), state.room, usize::try_from(len).unwrap());
        let file = state.files.get_mut(&self.path).unwrap();
        if room < used + len.saturating_sub(file.now.len()) {
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        file.now.resize(len.max(file.now.len()), 0);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.state();
        match state.strikes(|fault| matches!(fault, Fault::Sync | Fault::PowerCut))? {
            Some(Fault::Sync) => {
                state.sync_failed = true;
                return Err(io::Error::from_raw_os_error(EIO));
            }
            Some(_) => {
                state.is_off = true;
                return Err(io::Error::other("the power went off"));
            }
            None => {}
        }
        state.may_change();
        let file = state.files.get_mut(&self.path).unwrap();
        file.synced.clone_from(&file.now);
        Ok(())
    }
}

pub(super) const EIO: i32 = 5;
pub(super) const EMFILE: i32 = 24;
pub(super) const ENOSPC: i32 = 28;
/// More than a run writes.
const ROOM: usize = 64 * 1024 * 1024;
