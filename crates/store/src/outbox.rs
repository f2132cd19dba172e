//! Carries what the relay told from the spool to the ledger: in order, once, and as late as it has to be.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::book::Book;
use crate::federated::Publisher;
use crate::ledger::{Ledger, LedgerError, SendLog};
use crate::senders::{self, Senders};
use crate::spool::Spool;

/// The way from one spool to the ledger.
#[derive(Clone)]
pub struct Outbox {
    pub spool: Spool,
    pub ledger: Ledger,
    pub book: Book,
    pub publisher: Publisher,
    pub senders: Senders,
    /// Seconds that the send log keeps an entry; 0 keeps none.
    pub send_log_s: u64,
}

impl Outbox {
    /// Carries until `stop` turns true, and then what is left, for as long as it may.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut tick = interval(LOOK_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut trouble = false;
        let mut ending = Ending::default();
        let mut prune = interval(PRUNE_EVERY);
        loop {
            let carried = self.carry().await;
            trouble &= carried.is_err();
            let stops = *stop.borrow();
            let is_over = stops && ending.is_over(Instant::now());
            match carried {
                Ok(0) if stops => return,
                Ok(_) if is_over => {
                    tracing::info!("some happenings wait in the spool; the ledger takes them after the next start");
                    return;
                }
                Ok(count) if count == self.batch_max() || stops => {}
                // A ledger that took each happening by itself would sync as often as the spool.
                Ok(_) => {
                    tokio::select! {
                        _ = tick.tick() => {}
                        _ = prune.tick() => self.prune().await,
                        _ = stop.changed() => {}
                    }
                }
                // Nothing is lost: the entries stay in the outbox, and mail goes on (I8).
                Err(error) => {
                    if !std::mem::replace(&mut trouble, true) {
                        tracing::error!(%error, "the ledger cannot be written; happenings wait in the spool");
                    }
                    if stops {
                        return;
                    }
                    sleep(AGAIN).await;
                }
            }
        }
    }

    async fn prune(&self) {
        let now = crate::now();
        if let Err(error) = self.ledger.prune_send_log(now.saturating_sub(self.send_log_s)).await {
            tracing::warn!(%error, "the send log could not be pruned; it will be tried again");
        }
        if let Err(error) = self.ledger.roll_up(now).await {
            tracing::warn!(%error, "hours could not be added up to days; it will be tried again");
        }
    }

    fn batch_max(&self) -> usize {
        if self.ledger.is_shared() { SHARED_BATCH_MAX } else { BATCH_MAX }
    }

    /// Carries one batch; answers with how many entries it had.
    async fn carry(&self) -> Result<usize, LedgerError> {
        let batch = self.spool.outbox(self.batch_max()).await;
        let mut batch = batch.map_err(|error| LedgerError::Failed(error.to_string()))?;
        // Numbers of mails that no other machine of this node has.
        let base = self.ledger.mail_base();
        batch.iter_mut().for_each(|(_, told)| told.mail = told.mail.saturating_add(base));
        let Some((last, _)) = batch.last() else { return Ok(0) };
        let (last, count) = (*last, batch.len());
        let (book, publisher) = (self.book.clone(), self.publisher.clone());
        let (key, heard) = (book.current_key(), senders::heard(&batch));
        self.ledger
            .absorb(
                self.spool.name(),
                batch,
                if self.send_log_s == 0 { SendLog::Off } else { SendLog::Keep },
                move |address| book.tag(address),
                move |sql, told, event| match &key {
                    Some(key) => publisher.enqueue(sql, told, event, key),
                    None => Ok(()),
                },
            )
            .await?;
        self.senders.learn(&heard, crate::now());
        self.spool.outbox_taken(last).await.map_err(|error| LedgerError::Failed(error.to_string()))?;
        Ok(count)
    }
}

/// Since when it ends.
#[derive(Default)]
struct Ending(Option<Instant>);

impl Ending {
    /// Whether it has ended for long enough.
    fn is_over(&mut self, now: Instant) -> bool {
        EMPTYING_MAX <= now.saturating_duration_since(*self.0.get_or_insert(now))
    }
}

/// How long it goes on after it was told to stop: with what doors and the relay take to end, less than the 90 s after which
/// systemd kills. What is left then is as safe in the spool as it was, and is carried after the next start.
const EMPTYING_MAX: Duration = Duration::from_secs(20);
/// Entries of one transaction of the ledger.
const BATCH_MAX: usize = 1000;
/// Where each statement is a question over a network, and other machines wait for the end of the transaction.
const SHARED_BATCH_MAX: usize = 200;
/// How soon a bounce is known to every door.
const LOOK_EVERY: Duration = Duration::from_millis(100);
const AGAIN: Duration = Duration::from_secs(1);
const PRUNE_EVERY: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_stops_carries_on_for_so_long_and_no_longer() {
        let (mut ending, began) = (Ending::default(), Instant::now());
        assert!(!ending.is_over(began), "the time runs from the first look on");
        assert!(!ending.is_over(began + EMPTYING_MAX - Duration::from_millis(1)));
        assert!(ending.is_over(began + EMPTYING_MAX));
    }
}
