//! Files that are read again when a person, or systemd's reload, hangs up (SIGHUP). No connection is dropped for it.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sm2tp_doors::tls::Again;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::service::Manager;
use crate::{Exit, Failure, serve};

/// Who is asked at each hang-up.
pub struct HangUps {
    signal: Signal,
    readers: Vec<mpsc::Sender<oneshot::Sender<()>>>,
    config_file: PathBuf,
    /// The configuration as the node was started with it; none where it cannot be read any more.
    started_with: Option<Vec<u8>>,
}

impl HangUps {
    /// Hears signals from the call on, so that a hang-up never ends the node.
    pub fn heard(config_file: &Path) -> Result<Self, Failure> {
        let signal = signal(SignalKind::hangup());
        Ok(Self {
            signal: signal.map_err(|error| Failure::new(Exit::Temporary, format!("signals: {error}")))?,
            readers: Vec::new(),
            config_file: config_file.to_owned(),
            started_with: std::fs::read(config_file).ok(),
        })
    }

    /// For one that reads files.
    pub fn reader(&mut self) -> Again {
        let (ask, asked) = mpsc::channel(1);
        self.readers.push(ask);
        asked
    }

    /// Asks all readers at each hang-up and tells the manager when they have read.
    pub async fn run(mut self, manager: Manager, stop: impl Future<Output = ()> + Send) {
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                Some(()) = self.signal.recv() => {}
                () = &mut stop => return,
            }
            manager.reloading();
            if timeout(READING_MAX, self.ask()).await.is_err() {
                tracing::error!("files that were to be read again have not been read for {READING_MAX:?}");
            }
            manager.ready(&self.status());
        }
    }

    async fn ask(&self) {
        for reader in &self.readers {
            let (done, read) = oneshot::channel();
            // One that has ended reads nothing.
            if reader.send(done).await.is_ok() {
                let _ = read.await;
            }
        }
    }

    /// What a person who changed something has to know: the configuration itself is read at a start alone.
    fn status(&self) -> String {
        let file = self.config_file.display();
        if self.started_with == std::fs::read(&self.config_file).ok() {
            return "files were read again".to_owned();
        }
        match serve::load(&self.config_file) {
            Ok(_) => {
                tracing::warn!(%file, "the configuration has changed; the node uses it after a restart");
                format!("{file} has changed: systemctl restart sm2tp")
            }
            Err(failure) => {
                tracing::error!(error = %failure.message, "the configuration has changed, and the node would not start with it");
                format!("{file} has changed, and the node would not start with it: sm2tp check")
            }
        }
    }
}

/// Why a file is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Some time has passed: it is read if it is another one.
    Due,
    /// Somebody asked: it is read.
    Asked,
}

/// What changes when a file is written, or another one put in its place; none where there is none.
pub type Stamp = Option<(u64, u64, i64, i64, u64)>;

/// Lets `look` look at a file for as long as the node runs.
pub async fn follow(
    what: &'static str,
    every: Duration,
    mut look: impl FnMut(Look) + Send + 'static,
    mut again: Again,
    stop: impl Future<Output = ()> + Send,
) {
    let mut stop = std::pin::pin!(stop);
    loop {
        let asker = tokio::select! {
            () = tokio::time::sleep(every) => None,
            Some(asker) = again.recv() => Some(asker),
            () = &mut stop => return,
        };
        let why = if asker.is_some() { Look::Asked } else { Look::Due };
        // A file system that hangs must not hang the doors.
        let looked = tokio::task::spawn_blocking(move || {
            look(why);
            look
        });
        match looked.await {
            Ok(back) => look = back,
            Err(_) => return tracing::error!("{what} are not followed any more"),
        }
        // Who asked may have waited long enough.
        asker.map(|asker| asker.send(()));
    }
}

pub fn stamp(path: &Path) -> Stamp {
    let found = std::fs::metadata(path).ok()?;
    Some((found.dev(), found.ino(), found.mtime(), found.mtime_nsec(), found.size()))
}

/// A file system that hangs must not make systemd wait for ever.
const READING_MAX: Duration = Duration::from_secs(10);
