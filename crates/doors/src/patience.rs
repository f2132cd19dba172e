//! When a door cannot take a connection, mostly for want of files: it waits a moment, and says so once a minute.

use std::io;
use std::time::{Duration, Instant};

/// The patience of one door.
pub(crate) struct Patience {
    door: &'static str,
    said: Option<Instant>,
}

impl Patience {
    pub(crate) fn new(door: &'static str) -> Self {
        Self { door, said: None }
    }

    /// EMFILE and the like: waiting lets connections end, trying again at once would only burn what is left. A line in
    /// the log for each try would fill the disk as well.
    pub(crate) async fn wait(&mut self, error: &io::Error) {
        if self.said.is_none_or(|said| SAY_AGAIN <= said.elapsed()) {
            self.said = Some(Instant::now());
            tracing::warn!(%error, door = self.door, "a connection could not be accepted; trying again");
        }
        tokio::time::sleep(ACCEPT_AGAIN).await;
    }
}

const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
const SAY_AGAIN: Duration = Duration::from_secs(60);
