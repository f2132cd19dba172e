//! Connections that the SMTP door turned away before any mail was spoken of: counted, and said in the log once a minute.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

/// The counts of one node since its start; clones share them.
#[derive(Debug, Clone, Default)]
pub struct TurnedAway(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    door_full: AtomicU64,
    client_full: AtomicU64,
    client_fast: AtomicU64,
    said: Mutex<Option<Instant>>,
}

/// Why a connection was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The door has as many connections as it takes.
    DoorFull,
    /// The client has as many as it may.
    ClientFull,
    /// The client connects too often.
    ClientFast,
}

/// How many, by reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Turned {
    pub door_full: u64,
    pub client_full: u64,
    pub client_fast: u64,
}

impl TurnedAway {
    /// Counts one. An event of the ledger for each would let a stranger write to the disk as fast as he can connect.
    pub fn count(&self, reason: Reason, client: IpAddr) {
        let counter = match reason {
            Reason::DoorFull => &self.0.door_full,
            Reason::ClientFull => &self.0.client_full,
            Reason::ClientFast => &self.0.client_fast,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let mut said = self.0.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_none_or(|said| SAY_AGAIN <= said.elapsed()) {
            *said = Some(Instant::now());
            let Turned { door_full, client_full, client_fast } = self.so_far();
            tracing::warn!(
                %client, why = reason.as_str(), door_full, client_full, client_fast,
                "an SMTP client was turned away; the counts are since the start, more is said in a minute"
            );
        }
    }

    #[must_use]
    pub fn so_far(&self) -> Turned {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Turned {
            door_full: read(&self.0.door_full),
            client_full: read(&self.0.client_full),
            client_fast: read(&self.0.client_fast),
        }
    }
}

impl Reason {
    /// In the words of a log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DoorFull => "connections_max is reached",
            Self::ClientFull => "it has connections_per_client_max connections",
            Self::ClientFast => "it connects more often than connection_rate_per_client_max",
        }
    }
}

/// A line for each would fill the disk.
const SAY_AGAIN: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_counted_apart_and_clones_count_together() {
        let turned = TurnedAway::default();
        let client = "192.0.2.1".parse().unwrap();
        turned.clone().count(Reason::ClientFast, client);
        turned.count(Reason::ClientFast, client);
        turned.count(Reason::DoorFull, client);
        assert_eq!(turned.so_far(), Turned { door_full: 1, client_full: 0, client_fast: 2 });
    }
}
