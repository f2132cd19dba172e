//! Says at once when a log was written to, where the system can tell (inotify).
//!
//! It is a hint and no more: network file systems do not tell, and what happened while nobody watched is not told either. So
//! the follower looks again by itself, too.

use std::ffi::{OsStr, OsString};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use tokio::io::unix::AsyncFd;
use tokio::time::sleep;

/// Watches the folder of one log: a log that is renamed and begun anew keeps its folder.
pub(super) struct Wake {
    watch: Option<AsyncFd<OwnedFd>>,
    name: OsString,
}

impl Wake {
    /// Where the system does not tell, it never wakes anybody.
    pub(super) fn on(path: &Path) -> Self {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let watch = || -> std::io::Result<AsyncFd<OwnedFd>> {
            let watch = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
            let what = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR;
            inotify::add_watch(&watch, folder, what)?;
            register(watch)
        };
        let watch = watch().inspect_err(|error| {
            tracing::warn!(folder = %folder.display(), %error, "the system does not tell when this folder changes");
        });
        Self { watch: watch.ok(), name: path.file_name().unwrap_or_default().to_owned() }
    }

    pub(super) fn is_watching(&self) -> bool {
        self.watch.is_some()
    }

    /// Waits until the log was written to, and a moment more, so that lines which come together are read together.
    pub(super) async fn written(&mut self) {
        loop {
            let Some(watch) = &self.watch else { return std::future::pending().await };
            let Ok(mut ready) = watch.readable().await else { return self.watch = None };
            match is_told(watch.get_ref(), &self.name) {
                Told::OfLog => return sleep(TOGETHER).await,
                Told::OfOthers => ready.clear_ready(),
                // The folder is gone, or too much happened: the follower looks by itself from now on.
                Told::NoMore => {
                    drop(ready);
                    self.watch = None;
                }
            }
        }
    }
}

#[expect(
    deprecated,
    reason = "its successor wants a promise with `unsafe` that the descriptor is owned; here its type says so"
)]
fn register(watch: OwnedFd) -> std::io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::new(watch)
}

enum Told {
    OfLog,
    OfOthers,
    NoMore,
}

/// Reads all that was told.
fn is_told(watch: &OwnedFd, name: &OsStr) -> Told {
    let mut room = [MaybeUninit::uninit(); ROOM_OCTETS];
    let (mut reader, mut told) = (inotify::Reader::new(watch, &mut room), Told::OfOthers);
    loop {
        match reader.next() {
            Ok(event) if event.events().contains(ReadFlags::IGNORED) => return Told::NoMore,
            Ok(event) if event.events().contains(ReadFlags::QUEUE_OVERFLOW) => told = Told::OfLog,
            Ok(event) => {
                if event.file_name().is_some_and(|file| file.to_bytes() == name.as_encoded_bytes()) {
                    told = Told::OfLog;
                }
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => return told,
            Err(_) => return Told::NoMore,
        }
    }
}

/// Lines of one mail come within this time.
const TOGETHER: Duration = Duration::from_millis(50);
/// Some hundred events at a time.
const ROOM_OCTETS: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    #[tokio::test]
    async fn a_log_that_is_written_to_wakes_and_its_neighbours_do_not() {
        let folder = std::env::temp_dir().join(format!("sm2tp-wake-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("mail.log");
        let mut wake = Wake::on(&path);
        assert!(wake.is_watching());
        std::fs::write(folder.join("other.log"), "x\n").unwrap();
        assert!(timeout(Duration::from_millis(200), wake.written()).await.is_err());
        for _ in 0..2 {
            std::fs::write(&path, "x\n").unwrap();
            timeout(Duration::from_secs(20), wake.written()).await.unwrap();
        }
        std::fs::remove_dir_all(&folder).unwrap();
        // It looks by itself then, and does not turn in a circle.
        assert!(
            timeout(Duration::from_millis(500), async {
                loop {
                    wake.written().await;
                }
            })
            .await
            .is_err()
        );
        assert!(!wake.is_watching());
        assert!(!Wake::on(&path).is_watching(), "there is no folder");
    }
}
