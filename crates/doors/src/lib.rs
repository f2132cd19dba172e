//! Everything that listens or follows: SMTP, HTTP, the control socket, the feeds of peers. Each door turns what it hears
//! into facts, asks the rules, answers.

pub mod acme;
pub mod alerts;
pub mod api;
pub mod beside;
pub mod confirm;
pub mod control;
mod detoured;
pub mod directory;
#[cfg(test)]
#[path = "../../../fuzz/src/drive.rs"]
mod drive;
pub mod exports;
#[cfg(test)]
#[path = "../../../fuzz/src/feeds.rs"]
mod feeds;
pub mod follow;
pub mod held;
pub mod http;
pub mod identity;
pub mod lists;
pub mod logs;
pub mod machines;
mod meters;
mod outgoing;
mod patience;
pub mod peering;
mod reason;
pub mod returns;
pub mod senders;
pub mod smtp;
pub mod stops;
pub mod tls;
pub mod turned_away;
pub mod web;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use sm2tp_federation::descriptor::SignedDescriptor;
use sm2tp_federation::quota::QuotaLimits;
use sm2tp_store::accounts::Accounts;
use sm2tp_store::dkim::DkimKeys;
use sm2tp_store::exits::Paused;
use sm2tp_store::federated::{Federated, Publisher};
use sm2tp_store::keys::Keys;
use sm2tp_store::tokens::Tokens;
use sm2tp_store::{Book, Ledger, Persons, Senders, Spool};
use tokio::sync::watch;

pub use sm2tp_store::now;

pub use self::detoured::Detoured;
pub use self::meters::Meters;
use self::turned_away::TurnedAway;

/// What the doors of one node share.
#[derive(Clone)]
pub struct House {
    pub hostname: Arc<str>,
    pub spool: Spool,
    pub ledger: Ledger,
    pub accounts: Accounts,
    /// Who uses the pages.
    pub persons: Persons,
    pub book: Book,
    pub dkim: DkimKeys,
    pub senders: Senders,
    /// What programs show to be let in.
    pub tokens: Tokens,
    /// Networks in which webhooks may be although they are not of the public Internet.
    pub private_webhooks: smtp::Networks,
    /// Counts of the days before today.
    pub days: control::Days,
    /// The ways out of the relay.
    pub exits: Arc<[control::Exit]>,
    /// Those that a person paused.
    pub paused: Paused,
    /// The configuration, to be shown.
    pub settings: Arc<[web::Setting]>,
    pub federation: Federation,
    pub turned_away: TurnedAway,
    pub meters: Arc<Meters>,
    /// Mail that a mail server beside us sends here by another way, counted already.
    pub detoured: Arc<Detoured>,
    /// Mail that comes back; none: none does.
    pub returns: Option<returns::Back>,
    /// Who is told of what goes wrong.
    pub alerts: alerts::Alerting,
    /// Recipients that are asked whether they want mail again; none: there is no page for it.
    pub confirm: Option<confirm::Confirm>,
    /// Lists as files; none: none are written.
    pub exports: Option<exports::Exports>,
}

/// Which of the things that a node keeps answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answers {
    pub queue: bool,
    pub ledger: bool,
}

impl Answers {
    #[must_use]
    pub fn all(self) -> bool {
        self.queue && self.ledger
    }
}

impl House {
    /// Asks the queue and the ledger, those who write them too. A ledger that makes its views again writes nothing else for
    /// minutes, which is no fault: then it is only read.
    pub async fn answers(&self) -> Answers {
        let ledger = async {
            match self.ledger.progress().now() {
                // A database beside this machine may be away or hang: mail goes on (I8), and it is no fault of this process.
                _ if self.ledger.is_shared() => true,
                Some(_) => self.federation.store.newest().await.is_ok(),
                None => self.ledger.write(|_| Ok(())).await.is_ok(),
            }
        };
        let (queue, ledger) = tokio::join!(self.spool.answers(), ledger);
        Answers { queue: queue.is_ok(), ledger }
    }
}

/// The federated side of a node.
#[derive(Clone)]
pub struct Federation {
    pub store: Federated,
    pub publisher: Publisher,
    pub keys: Arc<Mutex<Keys>>,
    /// What this node says of itself.
    pub descriptor: Arc<RwLock<SignedDescriptor>>,
    /// One change of it at a time: two with one number would be a node that contradicts itself.
    pub changing: Arc<tokio::sync::Mutex<()>>,
    /// How much is taken of an origin.
    pub quotas: QuotaLimits,
    /// Networks in which peers may be although they are not of the public Internet.
    pub private_peers: smtp::Networks,
    pub poll: Duration,
    /// How long to wait for a peer that knows our own head before the first segment after a start.
    pub head_wait: Duration,
}

impl Federation {
    /// The keys of this node. Never held across an await.
    pub fn keys(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which addresses peers may have.
    pub(crate) fn guard(&self) -> follow::Guard {
        follow::Guard::new(self.private_peers.clone())
    }

    /// What this node says of itself now.
    #[must_use]
    pub fn own(&self) -> SignedDescriptor {
        self.descriptor.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Unix microseconds.
fn now_us() -> u64 {
    let elapsed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    elapsed.map_or(0, |elapsed| u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX))
}

/// Done when the node stops. The guard that `wait_for` answers with must not live in a task that moves between threads.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, which is the same.
    drop(stop.wait_for(|stopped| *stopped).await);
}

/// A number in `[0, 1)` for the canaries; nothing secret depends on it.
fn random() -> f64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let bits = u32::try_from(RandomState::new().build_hasher().finish() >> 32).unwrap_or(0);
    f64::from(bits) / (f64::from(u32::MAX) + 1.0)
}
