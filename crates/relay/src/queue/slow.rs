//! The slow lane: one recipient a minute for each sender (DESIGN §1), so that who is slow slows nobody else.

use std::collections::HashMap;
use std::sync::Arc;

use sm2tp_store::spool::SlowSender;

use super::scheduled::QueueKey;

/// Who takes turns: an org, and in the slow lane each of its senders.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Party {
    org: Arc<str>,
    sender: Option<SlowSender>,
}

/// When each sender may send its next mail of the slow lane, at whatever site.
#[derive(Debug, Default)]
pub(super) struct SlowLane {
    next: HashMap<Party, u64>,
    /// How many are remembered when those whose time is over are forgotten.
    sweep_at: usize,
}

impl Party {
    pub(super) fn of(key: &QueueKey) -> Self {
        Self { org: key.org.clone(), sender: key.slow }
    }

    /// Senders without a login share a second limit: as many may be invented as there are addresses.
    fn together(&self) -> Option<Self> {
        let is_shared = !matches!(self.sender, Some(SlowSender::Login(_)));
        is_shared.then(|| Self { org: self.org.clone(), sender: None })
    }
}

impl SlowLane {
    pub(super) fn may_go(&self, party: &Party, now: u64) -> bool {
        self.is_over(party, EACH_S, now) && party.together().is_none_or(|all| self.is_over(&all, TOGETHER_S, now))
    }

    /// When the party may go on, if it may not now.
    pub(super) fn at(&self, party: &Party) -> Option<u64> {
        let together = party.together().and_then(|all| self.next.get(&all));
        self.next.get(party).max(together).copied()
    }

    pub(super) fn went(&mut self, party: &Party, now: u64) {
        if self.sweep_at <= self.next.len() {
            self.next.retain(|_, next| now < *next && *next <= now.saturating_add(EACH_S));
            self.sweep_at = (self.next.len() * 2).max(SWEEP_MIN);
        }
        if let Some(all) = party.together() {
            self.next.insert(all, now.saturating_add(TOGETHER_S));
        }
        self.next.insert(party.clone(), now.saturating_add(EACH_S));
    }

    /// A clock that was put back must not stop the slow lane for longer than its own wait.
    fn is_over(&self, party: &Party, wait_s: u64, now: u64) -> bool {
        self.next.get(party).is_none_or(|next| *next <= now || now.saturating_add(wait_s) < *next)
    }
}

/// One recipient a minute.
const EACH_S: u64 = 60;
/// Ten a minute of all senders of an org that have no login.
const TOGETHER_S: u64 = 6;
/// Senders that are remembered before the first look for those whose minute is over: 100 kB.
const SWEEP_MIN: usize = 1000;
