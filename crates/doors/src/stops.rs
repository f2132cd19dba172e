//! Sends that a door refused, on their way to the ledger: counted, never waited for.

use std::time::Duration;

use sm2tp_proto::Address;
use sm2tp_rules::Stream;
use sm2tp_rules::admit::Refusal;
use sm2tp_rules::suppress::Why;
use sm2tp_store::accounts::Account;
use sm2tp_store::ledger::Event;
use sm2tp_store::{Book, Ledger};
use tokio::sync::mpsc;

/// Where doors leave what they stopped; clones share it.
#[derive(Clone)]
pub struct Stops(mpsc::Sender<Event>);

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
        self.count(Event::stopped(&account.org, account.login.as_deref(), stream, why, now), why);
    }

    /// Notes an address that other nodes alone call dead: they spared this node the mail that would have told it (R27).
    pub fn spared(&self, book: &Book, recipient: &Address, refusal: &Refusal, now: u64) {
        let Refusal::Suppressed { why: why @ Why::Federated { .. }, .. } = refusal else { return };
        if let Some(tag) = book.tag(recipient) {
            self.count(Event::spared(tag, recipient.domain(), now), why.as_str());
        }
    }

    fn count(&self, event: Event, why: &str) {
        if self.0.try_send(event).is_err() {
            tracing::warn!(why, "a stopped send could not be counted: the ledger is behind");
        }
    }
}

async fn carry(ledger: Ledger, mut stopped: mpsc::Receiver<Event>) {
    let mut batch = Vec::new();
    while stopped.recv_many(&mut batch, BATCH_MAX).await != 0 {
        while let Err(error) = ledger.append(batch.clone()).await {
            tracing::warn!(%error, "stopped sends could not be counted yet");
            tokio::time::sleep(AGAIN).await;
        }
        batch.clear();
    }
}

/// Events that wait for the ledger: some seconds of a hard-pressed door, a few MB.
const WAITING_MAX: usize = 10_000;
const BATCH_MAX: usize = 1000;
const AGAIN: Duration = Duration::from_secs(1);
