//! Sends that a door refused, on their way to the ledger: counted, never waited for.

use std::future::Future;
use std::time::Duration;

use sm2tp_federation::tags::Tag;
use sm2tp_proto::Address;
use sm2tp_rules::Stream;
use sm2tp_rules::admit::Refusal;
use sm2tp_rules::suppress::Why;
use sm2tp_store::accounts::Account;
use sm2tp_store::ledger::Event;
use sm2tp_store::{Book, Ledger, LedgerError};
use tokio::sync::mpsc;

/// Where doors leave what they stopped; clones share it.
#[derive(Clone)]
pub struct Stops(mpsc::Sender<Counted>);

enum Counted {
    Stop(Event),
    Canary(Event, Tag),
}

impl Stops {
    /// Starts the task that carries them to the ledger.
    #[must_use]
    pub fn start(ledger: Ledger) -> Self {
        let (to, stopped) = mpsc::channel(WAITING_MAX);
        tokio::spawn(carry(ledger, stopped));
        Self(to)
    }

    /// Counts a refusal. When the ledger is so far behind that nothing fits any more, the count is lost and said in the
    /// log: the client has its answer all the same (I8).
    pub fn refused(&self, account: &Account, stream: Stream, refusal: &Refusal, now: u64) {
        let why = refusal.as_str();
        self.count(Counted::Stop(Event::stopped(&account.org, account.login.as_deref(), stream, why, now)), why);
    }

    /// Notes an address that other nodes alone call dead: they spared this node the mail that would have told it (R27).
    pub fn spared(&self, book: &Book, recipient: &Address, refusal: &Refusal, now: u64) {
        let Refusal::Suppressed { why: why @ Why::Federated { .. }, .. } = refusal else { return };
        if let Some(tag) = book.tag(recipient) {
            self.count(Counted::Stop(Event::spared(tag, recipient.domain(), now)), why.as_str());
        }
    }

    /// Counts a mail that another server takes although other nodes call its recipient dead, to measure them.
    pub fn let_through(&self, account: &Account, stream: Stream, tag: Tag, now: u64) {
        let event = Event::let_through(&account.org, account.login.as_deref(), stream, now);
        self.count(Counted::Canary(event, tag), "canary");
    }

    fn count(&self, counted: Counted, why: &str) {
        if self.0.try_send(counted).is_err() {
            tracing::warn!(why, "a stopped send could not be counted: the ledger is behind");
        }
    }
}

async fn carry(ledger: Ledger, mut waiting: mpsc::Receiver<Counted>) {
    let mut batch = Vec::new();
    while waiting.recv_many(&mut batch, BATCH_MAX).await != 0 {
        let (mut stops, mut canaries) = (Vec::new(), Vec::new());
        for counted in batch.drain(..) {
            match counted {
                Counted::Stop(event) => stops.push(event),
                Counted::Canary(event, tag) => canaries.push((event, tag)),
            }
        }
        if !stops.is_empty() {
            until_kept(|| ledger.append(stops.clone())).await;
        }
        if !canaries.is_empty() {
            until_kept(|| ledger.let_through(canaries.clone())).await;
        }
    }
}

async fn until_kept<F: Future<Output = Result<(), LedgerError>>>(keep: impl Fn() -> F) {
    while let Err(error) = keep().await {
        tracing::warn!(%error, "stopped sends could not be counted yet");
        tokio::time::sleep(AGAIN).await;
    }
}

/// Events that wait for the ledger: some seconds of a hard-pressed door, a few MB.
const WAITING_MAX: usize = 10_000;
const BATCH_MAX: usize = 1000;
const AGAIN: Duration = Duration::from_secs(1);
