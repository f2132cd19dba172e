//! Mailboxes into which another server puts reports: a Maildir, whose files are moved to `cur` once they were taken, and an
//! mbox, of which is remembered how far it was read.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};
use sm2tp_store::SpoolError;
use sm2tp_store::returns::{Arrived, Mark};
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::interval;

use super::mbox::{self, End};
use super::{Back, REPORT_OCTETS_MAX, with_crlf};
use crate::now;

/// Which mailboxes to read.
#[derive(Debug, Clone, Default)]
pub struct Boxes {
    pub maildir: Option<PathBuf>,
    pub mbox: Option<PathBuf>,
}

/// Why a mailbox was not read now.
#[derive(Debug, Error)]
enum Trouble {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Inbox(#[from] SpoolError),
}

/// Reads the mailboxes every few seconds until the node stops.
pub async fn follow(back: Back, boxes: Boxes, mut stop: watch::Receiver<bool>) {
    let mut tick = interval(LOOK_EVERY);
    let mut troubled = [false; 2];
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = crate::stopped(&mut stop) => return,
        }
        if let Some(path) = &boxes.maildir {
            say(path, maildir(&back, path).await, &mut troubled[0]);
        }
        if let Some(path) = &boxes.mbox {
            say(path, mbox(&back, path).await, &mut troubled[1]);
        }
    }
}

/// Says what is wrong once, until it is right again.
fn say(path: &Path, read: Result<(), Trouble>, troubled: &mut bool) {
    let Err(error) = read else {
        *troubled = false;
        return;
    };
    if !std::mem::replace(troubled, true) {
        tracing::error!(path = %path.display(), %error, "a mailbox with reports cannot be read; it is tried again");
    }
}

/// Takes what is in `new`. A file that was taken and could not be moved, or whose move a crash forgot, is known by its mark.
async fn maildir(back: &Back, path: &Path) -> Result<(), Trouble> {
    let mut names: Vec<PathBuf> = fs::read_dir(path.join("new"))?
        .take(FILES_MAX)
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|file| file.is_file())
        .collect();
    names.sort();
    // One that cannot be read does not keep the others waiting.
    let mut trouble = Ok(());
    for file in names {
        match take(back, path, file).await {
            Err(error @ Trouble::Inbox(_)) => return Err(error),
            Err(error) => trouble = Err(error),
            Ok(()) => {}
        }
    }
    trouble
}

async fn take(back: &Back, path: &Path, file: PathBuf) -> Result<(), Trouble> {
    let inode = fs::metadata(&file)?.ino();
    let mark = Mark { path: file.clone(), inode, offset: 0, before: Vec::new() };
    if back.inbox.mark(file.clone()).await?.as_ref() != Some(&mark) {
        let mut content = Vec::new();
        File::open(&file)?.take(REPORT_OCTETS_MAX as u64).read_to_end(&mut content)?;
        let report = arrived(with_crlf(&content));
        back.inbox.keep(vec![report], Some(mark)).await?;
        back.wake.notify_one();
    }
    let Some(name) = file.file_name() else { return Ok(()) };
    let mut seen = name.to_owned();
    if !name.to_string_lossy().contains(":2,") {
        seen.push(":2,S");
    }
    fs::rename(&file, path.join("cur").join(seen))?;
    back.inbox.forget(file).await?;
    Ok(())
}

/// Takes what is whole behind the place that was read last.
async fn mbox(back: &Back, path: &Path) -> Result<(), Trouble> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        // Nothing has come yet, or a person took the mailbox away.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let meta = file.metadata()?;
    let known = back.inbox.mark(path.to_owned()).await?;
    let mut offset = match known {
        Some(mark) if is_same(&mut file, &meta, &mark)? => mark.offset,
        _ => 0,
    };
    while offset < meta.len() {
        file.seek(SeekFrom::Start(offset))?;
        let mut octets = Vec::new();
        (&mut file).take(READ_OCTETS_MAX as u64).read_to_end(&mut octets)?;
        let last = meta.len() <= offset + octets.len() as u64;
        let age = SystemTime::now().duration_since(meta.modified()?).unwrap_or_default();
        // Longer than what is read at once no report is: its beginning is taken, and the rest belongs to no mail.
        let end = if (last && STILL <= age) || (!last && mbox::split(&octets, End::Open).1 == 0) {
            End::Still
        } else {
            End::Open
        };
        let (mails, used) = mbox::split(&octets, end);
        if used == 0 {
            return Ok(());
        }
        offset += used as u64;
        let before = digest_before(&mut file, offset)?;
        let mark = Mark { path: path.to_owned(), inode: meta.ino(), offset, before };
        let reports = mails.into_iter().filter(|mail| !mail.is_empty()).map(arrived).collect();
        back.inbox.keep(reports, Some(mark)).await?;
        back.wake.notify_one();
    }
    Ok(())
}

/// Whether a mailbox is the one that was read, and only grew: not another one under its name, nor one that somebody emptied
/// or wrote anew.
fn is_same(file: &mut File, meta: &fs::Metadata, mark: &Mark) -> io::Result<bool> {
    if mark.inode != meta.ino() || meta.len() < mark.offset {
        return Ok(false);
    }
    Ok(mark.before.is_empty() || digest_before(file, mark.offset)? == mark.before)
}

/// Of the octets before a place: they name people, so a digest of them is kept.
fn digest_before(file: &mut File, offset: u64) -> io::Result<Vec<u8>> {
    let from = offset.saturating_sub(BEFORE_OCTETS_MAX);
    file.seek(SeekFrom::Start(from))?;
    let mut octets = Vec::new();
    file.take(offset - from).read_to_end(&mut octets)?;
    Ok(Sha256::digest(&octets).to_vec())
}

/// A report from a mailbox. The envelope is gone; to whom it came is read in its header, with the rest.
fn arrived(mut content: Vec<u8>) -> Arrived {
    content.truncate(REPORT_OCTETS_MAX);
    Arrived { at: now(), token: None, content, passed_on: false }
}

/// Octets before the place in a mailbox by which it is known again: one report has as many, with the time of its server.
const BEFORE_OCTETS_MAX: u64 = 4096;
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Who writes a mail into a file does not stop in its middle for so long.
const STILL: Duration = Duration::from_secs(30);
/// Files of one look; the others are for the next.
const FILES_MAX: usize = 1000;
/// Octets of an mbox that are read at once.
const READ_OCTETS_MAX: usize = 8 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_mailbox_that_was_emptied_and_filled_beyond_the_old_place_is_another() {
        let path = std::env::temp_dir().join(format!("sm2tp-mbox-{}", std::process::id()));
        let same = |mark: &Mark| {
            let mut file = File::open(&path).unwrap();
            let meta = file.metadata().unwrap();
            is_same(&mut file, &meta, mark).unwrap()
        };
        for octets in [10, 5000] {
            fs::write(&path, "a".repeat(octets)).unwrap();
            let mut file = File::open(&path).unwrap();
            let (inode, offset) = (file.metadata().unwrap().ino(), octets as u64);
            let before = digest_before(&mut file, offset).unwrap();
            let mark = Mark { path: path.clone(), inode, offset, before };
            assert!(same(&mark));
            fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"more").unwrap();
            assert!(same(&mark), "it grew");
            fs::write(&path, "b".repeat(octets + 20)).unwrap();
            assert!(!same(&mark) && same(&Mark { before: Vec::new(), ..mark.clone() }));
            fs::write(&path, "a".repeat(octets - 1)).unwrap();
            assert!(!same(&mark));
        }
        fs::remove_file(path).unwrap();
    }
}
