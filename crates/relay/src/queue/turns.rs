//! Whose turn it is at one site: letters before newsletters, the slow lane last; inside a class deficit round robin
//! between orgs, and inside an org its domains in turn (Shreedhar and Varghese, 1996). In the slow lane senders take turns.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use sm2tp_rules::Stream;
use sm2tp_rules::pace::Pace;
use sm2tp_rules::sites::SiteState;
use sm2tp_store::spool::Lane;

use super::entry::Entry;
use super::scheduled::{Place, QueueId, QueueKey, ScheduledQueues};
use super::shut::Shut;
use super::slow::{Party, SlowLane};
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

#[derive(Debug, Default)]
struct Class {
    order: VecDeque<Party>,
    parties: HashMap<Party, Turn>,
}

#[derive(Debug, Default)]
struct Turn {
    queues: VecDeque<QueueId>,
    /// What the party may still send in this round, in octets.
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
        let (class, party) = (&mut self.classes[class_of(key)], Party::of(key));
        let turn = class.parties.entry(party.clone()).or_insert_with(|| {
            class.order.push_back(party);
            Turn::default()
        });
        turn.queues.push_back(id);
    }

    /// A queue that has a turn has one entry more.
    pub(super) fn grew(&mut self) {
        self.ready += 1;
    }

    pub(super) fn is_idle(&self) -> bool {
        self.ready == 0
    }

    /// What a person sees of it.
    pub(super) fn seen(&self, now: u64, shut: &Shut) -> SiteState {
        SiteState {
            hosts: self.site.hosts.iter().take(HOSTS_SHOWN_MAX).map(|host| host.name.clone()).collect(),
            exit: self.site.exit.as_deref().map(str::to_owned),
            is_shut: shut.holds(&self.site),
            waiting: self.ready,
            connections: self.connections,
            connections_max: self.pace.limit(now),
            paused_until: self.pace.paused_until(now),
        }
    }

    /// How many entries may go at `now`, at most: of the slow lane not more than one of each sender whose minute is over.
    pub(super) fn ready(&self, slow_lane: &SlowLane, now: u64) -> usize {
        let [letters, bulk, slow] = &self.classes;
        match letters.order.is_empty() && bulk.order.is_empty() {
            true => slow.order.iter().filter(|party| slow_lane.may_go(party, now)).count(),
            false => self.ready,
        }
    }

    /// When the slow lane may go on, where nothing else waits.
    pub(super) fn slow_at(&self, slow_lane: &SlowLane) -> Option<u64> {
        self.classes[SLOW].order.iter().filter_map(|party| slow_lane.at(party)).min()
    }

    /// Takes the entry whose turn it is. Queues that become empty lose their turn and stand nowhere.
    pub(super) fn take(&mut self, queues: &mut ScheduledQueues, slow_lane: &mut SlowLane, now: u64) -> Option<Entry> {
        let number = self.classes.iter().position(|class| !class.order.is_empty())?;
        let class = &mut self.classes[number];
        let (entry, splits) = if number == SLOW {
            let first = class.order.iter().position(|party| slow_lane.may_go(party, now))?;
            class.order.rotate_left(first);
            slow_lane.went(class.order.front()?, now);
            class.serve(queues, 1)?
        } else {
            class.take(queues, self.site.limits.recipients_max)?
        };
        self.ready = self.ready.saturating_sub(1) + splits;
        Some(entry)
    }

    /// Takes a queue's turn away: it has moved to another site.
    pub(super) fn remove(&mut self, id: QueueId, key: &QueueKey, entries: usize) {
        let (class, party) = (&mut self.classes[class_of(key)], Party::of(key));
        let Some(turn) = class.parties.get_mut(&party) else { return };
        let before = turn.queues.len();
        turn.queues.retain(|queue| *queue != id);
        if turn.queues.len() < before {
            self.ready = self.ready.saturating_sub(entries);
        }
        if turn.queues.is_empty() {
            class.parties.remove(&party);
            class.order.retain(|other| *other != party);
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
            for id in class.parties.into_values().flat_map(|turn| turn.queues) {
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
            let turn = self.parties.get_mut(self.order.front()?)?;
            let cost = cost(queues.find(*turn.queues.front()?)?.due.front()?);
            if turn.deficit < cost {
                turn.deficit += QUANTUM;
                if turn.deficit < cost {
                    self.order.rotate_left(1);
                    continue;
                }
            }
            turn.deficit -= cost;
            return self.serve(queues, recipients_max);
        }
    }

    /// Takes the first entry of the party in front, with so many recipients, and moves the turns on. Answers with how
    /// many entries were made of what it left.
    fn serve(&mut self, queues: &mut ScheduledQueues, recipients_max: usize) -> Option<(Entry, usize)> {
        let party = self.order.front()?;
        let turn = self.parties.get_mut(party)?;
        let id = turn.queues.pop_front()?;
        let queue = queues.find_mut(id)?;
        let mut entry = queue.due.pop_front()?;
        let rest = entry.split(recipients_max);
        let splits = usize::from(rest.is_some());
        rest.into_iter().for_each(|rest| queue.due.push_front(rest));
        if queue.due.is_empty() {
            queue.place = Place::Nowhere;
        } else {
            turn.queues.push_back(id);
        }
        if turn.queues.is_empty() {
            // What is left of its round is lost: credit is not saved up for later (Shreedhar and Varghese §3).
            self.parties.remove(party);
            self.order.pop_front();
        } else if turn.deficit < QUANTUM {
            self.order.rotate_left(1);
        }
        Some((entry, splits))
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

const SLOW: usize = 2;
/// Octets that an org may send in one round.
const QUANTUM: u64 = 64 * 1024;
/// A mail costs at most so many rounds, so that the search for the next one is short.
const COST_MAX: u64 = 64 * QUANTUM;
/// Hosts of a site that a person reads of.
const HOSTS_SHOWN_MAX: usize = 3;
