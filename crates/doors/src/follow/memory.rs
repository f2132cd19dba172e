//! What is remembered of a peer between two contacts: origins of which it gave something that could not be taken.

use std::collections::{BTreeMap, HashMap, HashSet};

use sm2tp_federation::header::Position;
use sm2tp_federation::keys::NodeKey;
use sm2tp_store::Phrase;
use sm2tp_store::federated::Peer;

/// What is remembered of a peer between two contacts; gone with a restart, which is one more try for everything.
#[derive(Default)]
pub(super) struct Memory {
    setbacks: HashMap<NodeKey, Setback>,
    /// Logs that cannot go on with what this peer gave: the place, and why.
    stuck: BTreeMap<NodeKey, (Position, Phrase)>,
    /// Origins of which this peer was told that they contradict themselves.
    pub proofs_told: HashSet<NodeKey>,
    /// The `ETag` of its descriptor that was taken last.
    pub descriptor_tag: Option<String>,
    /// It refuses questions with a parameter that it does not know.
    pub is_strict: bool,
    /// The local number of the newest segment here when it was last asked.
    pub newest_told: Option<u64>,
    /// Unix seconds when its tag keys were last asked for.
    pub keys_at: u64,
    /// Unix seconds when all logs were last compared.
    pub heads_at: u64,
    /// The next time so many days later, ...
    pub heads_days: u64,
    /// ... or when an origin was let go on since: its newest was passed over.
    pub thaws: u64,
    /// In the contact under way its feed was read to the end, and nothing was left.
    pub caught_up: bool,
    /// In the contact under way it has answered as the node that we know.
    pub answered: bool,
}

/// An origin of which this peer gave something that could not be taken.
struct Setback {
    polls: u8,
    /// Unix seconds.
    retry_at: u64,
}

impl Memory {
    /// True where an origin failed so often that it is passed over for a while.
    pub(super) fn passes_over(&self, origin: NodeKey, now: u64) -> bool {
        self.setbacks.get(&origin).is_some_and(|setback| SETBACKS_MAX <= setback.polls && now < setback.retry_at)
    }

    pub(super) fn succeeded(&mut self, origin: NodeKey) {
        self.setbacks.remove(&origin);
    }

    /// A log cannot go on at this place. It is the peer's trouble until it does: passed over, it would seem to be mended.
    pub(super) fn stick(&mut self, origin: NodeKey, at: Position, why: Phrase) {
        if self.stuck.len() < STUCK_MAX || self.stuck.contains_key(&origin) {
            self.stuck.insert(origin, (at, why));
        }
    }

    pub(super) fn stuck(&self) -> Vec<(NodeKey, Position)> {
        self.stuck.iter().map(|(origin, (at, _))| (*origin, *at)).collect()
    }

    pub(super) fn goes_on(&mut self, origin: NodeKey) {
        self.stuck.remove(&origin);
    }

    /// Always the same one of several, so that it is said once.
    pub(super) fn trouble(&self) -> Option<Phrase> {
        self.stuck.values().next().map(|(_, why)| why.clone())
    }

    /// Beyond its quota: not asked for again today.
    pub(super) fn park(&mut self, origin: NodeKey, now: u64) {
        if self.setbacks.len() < ORIGINS_MAX {
            self.setbacks.insert(origin, Setback { polls: SETBACKS_MAX, retry_at: now + PARKED_S });
        }
    }

    /// What could not be taken in one contact with `peer`.
    pub(super) fn note(&mut self, held: &[NodeKey], peer: &Peer, now: u64) {
        for origin in held {
            if ORIGINS_MAX <= self.setbacks.len() && !self.setbacks.contains_key(origin) {
                self.setbacks.retain(|_, setback| now < setback.retry_at);
                if ORIGINS_MAX <= self.setbacks.len() {
                    // Who serves a thousand broken origins stops its own feed alone.
                    continue;
                }
            }
            let setback = self.setbacks.entry(*origin).or_insert(Setback { polls: 0, retry_at: 0 });
            setback.polls = setback.polls.saturating_add(1).min(SETBACKS_MAX);
            if setback.polls == SETBACKS_MAX {
                setback.retry_at = now + RETRY_S;
                let (polls, from) = (setback.polls, peer.node);
                tracing::error!(%origin, peer = %from, polls, "segments of this origin could not be taken and are passed over for an hour");
            }
        }
    }
}

/// Contacts in which an origin may fail before the feed goes on without it.
const SETBACKS_MAX: u8 = 5;
/// After that it is tried once an hour.
const RETRY_S: u64 = 3600;
/// Logs that cannot go on and are remembered of one peer; one is enough to tell a person.
const STUCK_MAX: usize = 20;
/// The quota is by day.
const PARKED_S: u64 = 86_400;
/// Origins with setbacks that are remembered of one peer.
const ORIGINS_MAX: usize = 1000;
