//! Whose turn it is at one site: letters before newsletters, the slow lane last; inside a class deficit round robin
//! between orgs, and inside an org its domains in turn (Shreedhar and Varghese, 1996).

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use sm2tp_rules::Stream;
use sm2tp_rules::pace::Pace;
use sm2tp_store::spool::Lane;

use super::entry::Entry;
use super::scheduled::{Place, QueueId, QueueKey, ScheduledQueues};
use crate::route::Site;

/// One site: the queues that have a turn there, its connections and its pace.
#[derive(Debug)]
pub(super) struct Turns {
    pub site: Arc<Site>,
    pub connections: usize,
    pub pace: Pace,
    /// When a paused site is looked at again; one entry in the waiting list is enough.
    pub wakes_at: u64,
    classes: [Class; 3],
    /// Entries of all its queues.
    ready: usize,
}

/// When each org may send its next mail of the slow lane.
pub(super) type SlowNext = HashMap<Arc<str>, u64>;

#[derive(Debug, Default)]
struct Class {
    order: VecDeque<Arc<str>>,
    orgs: HashMap<Arc<str>, OrgTurn>,
}

#[derive(Debug, Default)]
struct OrgTurn {
    queues: VecDeque<QueueId>,
    /// What the org may still send in this round, in octets.
    deficit: u64,
}

impl Turns {
    pub(super) fn new(site: Arc<Site>) -> Self {
        let pace = Pace::new(&site.limits);
        Self { site, connections: 0, pace, wakes_at: 0, classes: Default::default(), ready: 0 }
    }

    /// Gives a queue with due entries a turn.
    pub(super) fn add(&mut self, id: QueueId, key: &QueueKey, entries: usize) {
        self.ready += entries;
        let class = &mut self.classes[class_of(key)];
        let turn = class.orgs.entry(key.org.clone()).or_insert_with(|| {
            class.order.push_back(key.org.clone());
            OrgTurn::default()
        });
        turn.queues.push_back(id);
    }

    /// A queue that has a turn has one entry more.
    pub(super) fn grew(&mut self) {
        self.ready += 1;
    }

    /// How many entries wait here.
    pub(super) fn ready(&self) -> usize {
        self.ready
    }

    pub(super) fn is_idle(&self) -> bool {
        self.ready == 0
    }

    /// Whether something may go at `now`; the slow lane may have to wait.
    pub(super) fn may_go(&self, slow_next: &SlowNext, now: u64) -> bool {
        let [letters, bulk, slow] = &self.classes;
        !letters.order.is_empty()
            || !bulk.order.is_empty()
            || slow.order.iter().any(|org| may_slow(slow_next, org, now))
    }

    /// When the slow lane may go on, where nothing else waits.
    pub(super) fn slow_at(&self, slow_next: &SlowNext) -> Option<u64> {
        self.classes[SLOW].order.iter().filter_map(|org| slow_next.get(org)).min().copied()
    }

    /// Takes the entry whose turn it is. Queues that become empty lose their turn and stand nowhere.
    pub(super) fn take(&mut self, queues: &mut ScheduledQueues, slow_next: &mut SlowNext, now: u64) -> Option<Entry> {
        let number = self.classes.iter().position(|class| !class.order.is_empty())?;
        let class = &mut self.classes[number];
        if number == SLOW {
            let first = class.order.iter().position(|org| may_slow(slow_next, org, now))?;
            class.order.rotate_left(first);
            slow_next.insert(class.order.front()?.clone(), now.saturating_add(SLOW_LANE_S));
        }
        let (entry, splits) = class.take(queues, self.site.limits.recipients_max)?;
        self.ready = self.ready.saturating_sub(1) + splits;
        Some(entry)
    }

    /// Takes a queue's turn away: it has moved to another site.
    pub(super) fn remove(&mut self, id: QueueId, key: &QueueKey, entries: usize) {
        let class = &mut self.classes[class_of(key)];
        let Some(turn) = class.orgs.get_mut(&key.org) else { return };
        let before = turn.queues.len();
        turn.queues.retain(|queue| *queue != id);
        if turn.queues.len() < before {
            self.ready = self.ready.saturating_sub(entries);
        }
        if turn.queues.is_empty() {
            class.orgs.remove(&key.org);
            class.order.retain(|org| *org != key.org);
        }
    }

    /// Forgets all turns; the queues themselves are reset by their owner.
    pub(super) fn clear(&mut self) {
        self.classes = Default::default();
        self.ready = 0;
    }

    /// Takes everything out.
    pub(super) fn drain(&mut self, queues: &mut ScheduledQueues) -> Vec<Entry> {
        let mut entries = Vec::with_capacity(self.ready);
        for class in std::mem::take(&mut self.classes) {
            for id in class.orgs.into_values().flat_map(|turn| turn.queues) {
                if let Some(queue) = queues.find_mut(id) {
                    queue.place = Place::Nowhere;
                    entries.extend(queue.due.drain(..));
                }
            }
        }
        self.ready = 0;
        entries
    }
}

impl Class {
    /// Deficit round robin: each org gets [`QUANTUM`] octets a round, so that one that sends large mails does not get
    /// more of the site than one that sends small ones.
    fn take(&mut self, queues: &mut ScheduledQueues, recipients_max: usize) -> Option<(Entry, usize)> {
        loop {
            let org = self.order.front()?.clone();
            let turn = self.orgs.get_mut(&org)?;
            let id = *turn.queues.front()?;
            let queue = queues.find_mut(id)?;
            let cost = cost(queue.due.front()?);
            if turn.deficit < cost {
                turn.deficit += QUANTUM;
                if turn.deficit < cost {
                    self.order.rotate_left(1);
                    continue;
                }
            }
            turn.deficit -= cost;
            let mut entry = queue.due.pop_front()?;
            let rest = entry.split(recipients_max);
            let splits = usize::from(rest.is_some());
            rest.into_iter().for_each(|rest| queue.due.push_front(rest));
            turn.queues.pop_front();
            if queue.due.is_empty() {
                queue.place = Place::Nowhere;
            } else {
                turn.queues.push_back(id);
            }
            if turn.queues.is_empty() {
                // What is left of its round is lost: credit is not saved up for later (Shreedhar and Varghese §3).
                self.orgs.remove(&org);
                self.order.pop_front();
            } else if turn.deficit < QUANTUM {
                self.order.rotate_left(1);
            }
            return Some((entry, splits));
        }
    }
}

fn class_of(key: &QueueKey) -> usize {
    match (key.lane, key.stream) {
        (Lane::Slow | Lane::Held, _) => SLOW,
        (Lane::Normal, Stream::Bulk) => 1,
        (Lane::Normal, _) => 0,
    }
}

/// A small mail costs a round like any other: what it costs the site is a transaction, not its octets.
fn cost(entry: &Entry) -> u64 {
    u64::from(entry.octets).clamp(QUANTUM, COST_MAX)
}

/// A clock that was put back must not stop the slow lane for longer than its own wait.
fn may_slow(slow_next: &SlowNext, org: &Arc<str>, now: u64) -> bool {
    slow_next.get(org).is_none_or(|next| *next <= now || now.saturating_add(SLOW_LANE_S) < *next)
}

const SLOW: usize = 2;
/// The slow lane: one mail a minute for each org (DESIGN §1).
const SLOW_LANE_S: u64 = 60;
/// Octets that an org may send in one round.
const QUANTUM: u64 = 64 * 1024;
/// A mail costs at most so many rounds, so that the search for the next one is short.
const COST_MAX: u64 = 64 * QUANTUM;
