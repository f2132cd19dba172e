//! What the spool's body files ask of a disk, behind a seam: tests hand in one that fails, fills up and forgets.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A disk. Everything that the bodies of accepted mail need of it, and no more.
pub(super) trait Disk: Debug + Send + Sync {
    /// Makes a directory where it is missing; its name is on stable storage when this answers.
    fn make_dir(&self, dir: &Path) -> io::Result<()>;

    /// The files of a directory, with their lengths.
    fn list(&self, dir: &Path) -> io::Result<Vec<(PathBuf, u64)>>;

    /// Makes a file that is not there yet.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Waits until the names in a directory are on stable storage: `fsync` of a file does not say so of its name.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Waits until all of a file that somebody wrote before is on stable storage.
    fn sync(&self, path: &Path) -> io::Result<()>;

    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Up to `len` octets of a file from `offset`; fewer where the file ends before.
    fn read(&self, path: &Path, offset: u64, len: usize) -> io::Result<Vec<u8>>;

    /// Octets that may still be written to the disk of this directory; `u64::MAX` where the system cannot say.
    fn free(&self, dir: &Path) -> io::Result<u64>;
}

/// A file open for writing.
pub(super) trait DiskFile: Debug + Send {
    /// Writes all of it at this place, or answers with an error and leaves any part of it there.
    fn write(&mut self, octets: &[u8], offset: u64) -> io::Result<()>;

    fn set_len(&mut self, len: u64) -> io::Result<()>;

    /// Lets the file have so many octets, in one piece if it can; new ones are zeros.
    fn reserve(&mut self, len: u64) -> io::Result<()>;

    /// Waits until content and length are on stable storage.
    fn sync(&mut self) -> io::Result<()>;
}

/// The disk of this machine.
#[derive(Debug)]
pub(super) struct RealDisk;

impl Disk for RealDisk {
    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        if dir.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(dir)?;
        dir.parent().map_or(Ok(()), |parent| self.sync_dir(parent))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<(PathBuf, u64)>> {
        fs::read_dir(dir)?
            .map(|entry| {
                let entry = entry?;
                Ok((entry.path(), entry.metadata()?.len()))
            })
            .collect()
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_data()
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn read(&self, path: &Path, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let file = File::open(path)?;
        // A damaged row may name any length: memory is taken for what is there.
        let there = usize::try_from(file.metadata()?.len().saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut octets = vec![0; len.min(there)];
        file.read_exact_at(&mut octets, offset)?;
        Ok(octets)
    }

    fn free(&self, dir: &Path) -> io::Result<u64> {
        let told = rustix::fs::statvfs(dir)?;
        // A file system that counts no blocks at all does not know how many are free.
        Ok(if told.f_blocks == 0 { u64::MAX } else { told.f_bavail.saturating_mul(told.f_frsize) })
    }
}

impl DiskFile for File {
    fn write(&mut self, octets: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(octets, offset)
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        File::set_len(self, len)
    }

    fn reserve(&mut self, len: u64) -> io::Result<()> {
        Ok(rustix::fs::fallocate(&*self, rustix::fs::FallocateFlags::empty(), 0, len)?)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}
