//! The scheduled queues: one for each (org, stream, lane, recipient domain, posture), and in the slow lane for each sender, there as
//! long as mail waits in it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use sm2tp_proto::Domain;
use sm2tp_rules::Stream;
use sm2tp_store::spool::{Lane, SlowSender};

use super::entry::Entry;
use crate::route::SiteKey;

/// Name of a scheduled queue.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct QueueKey {
    pub org: Arc<str>,
    pub stream: Stream,
    pub lane: Lane,
    /// In the slow lane, where each sender has its own.
    pub slow: Option<SlowSender>,
    pub domain: Domain,
    /// Mail that need not be encrypted goes where the others may not, so it must not wait behind them.
    pub tls_waived: bool,
}

/// Number of a scheduled queue: entries carry it instead of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct QueueId(u32);

#[derive(Debug)]
pub(super) struct Scheduled {
    pub key: QueueKey,
    /// What is due, in order.
    pub due: VecDeque<Entry>,
    /// Entries that wait for their time elsewhere.
    pub later: usize,
    pub place: Place,
    /// When its site was found; it may move.
    pub located_at: u64,
}

/// Where a queue stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// Nothing is due.
    Nowhere,
    /// Its site is being looked up.
    Locating,
    /// It has a turn at this site.
    At(SiteKey),
}

/// All of them, by number and by name.
#[derive(Debug, Default)]
pub(super) struct ScheduledQueues {
    queues: Vec<Option<Scheduled>>,
    free: Vec<QueueId>,
    by_key: HashMap<QueueKey, QueueId>,
}

impl Scheduled {
    /// As if nothing had ever waited here; answers with what is due.
    pub(super) fn reset(&mut self) -> VecDeque<Entry> {
        self.place = Place::Nowhere;
        self.later = 0;
        std::mem::take(&mut self.due)
    }
}

impl ScheduledQueues {
    /// The queue of this name, made where there is none.
    pub(super) fn id(&mut self, key: QueueKey) -> QueueId {
        if let Some(id) = self.by_key.get(&key) {
            return *id;
        }
        let fresh =
            Scheduled { key: key.clone(), due: VecDeque::new(), later: 0, place: Place::Nowhere, located_at: 0 };
        let id = self.free.pop().unwrap_or_else(|| {
            self.queues.push(None);
            QueueId(u32::try_from(self.queues.len() - 1).expect("fewer queues than mails, fewer mails than 2^32"))
        });
        self.queues[id.0 as usize] = Some(fresh);
        self.by_key.insert(key, id);
        id
    }

    pub(super) fn find(&self, id: QueueId) -> Option<&Scheduled> {
        self.queues.get(id.0 as usize)?.as_ref()
    }

    pub(super) fn find_mut(&mut self, id: QueueId) -> Option<&mut Scheduled> {
        self.queues.get_mut(id.0 as usize)?.as_mut()
    }

    /// Forgets a queue in which nothing waits any more.
    pub(super) fn tidy(&mut self, id: QueueId) {
        let is_empty = |queue: &Scheduled| queue.due.is_empty() && queue.later == 0 && queue.place == Place::Nowhere;
        if !self.find(id).is_some_and(is_empty) {
            return;
        }
        if let Some(gone) = self.queues[id.0 as usize].take() {
            self.by_key.remove(&gone.key);
            self.free.push(id);
        }
    }

    /// The numbers of all, in order.
    pub(super) fn ids(&self) -> Vec<QueueId> {
        let numbers = (0_u32..).zip(&self.queues);
        numbers.filter(|(_, queue)| queue.is_some()).map(|(number, _)| QueueId(number)).collect()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Scheduled> {
        self.queues.iter_mut().flatten()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }
}
