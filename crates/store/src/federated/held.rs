//! Segments that a peer was seen to hold since it asked us last: its feed named them, so that ours need not.

use std::collections::{HashMap, HashSet};
use std::sync::{MutexGuard, PoisonError};

use sm2tp_federation::feed::FeedEntry;
use sm2tp_federation::header::Header;
use sm2tp_federation::keys::NodeKey;

use super::Federated;

/// By peer; each segment by the beginning of its header's hash.
pub(super) type Held = HashMap<NodeKey, HashSet<[u8; 8]>>;

impl Federated {
    /// A peer named a segment that is kept here.
    pub fn note_held_by(&self, peer: NodeKey, header: &Header) {
        let mut held = self.held();
        let of_peer = held.entry(peer).or_default();
        if of_peer.len() < HELD_MAX {
            of_peer.insert(mark(header));
        }
    }

    /// Of a page of our feed, what the asker was not seen to hold. Where the answer is lost it is told the rest the next time:
    /// that costs some octets.
    #[must_use]
    pub fn untold(&self, asker: NodeKey, mut entries: Vec<FeedEntry>) -> Vec<FeedEntry> {
        if let Some(held) = self.held().get_mut(&asker) {
            entries.retain(|entry| !held.remove(&mark(&entry.header)));
        }
        entries
    }

    /// The asker has read our feed to its end.
    pub fn forget_held_by(&self, asker: NodeKey) {
        self.held().remove(&asker);
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn mark(header: &Header) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = header.hash();
    [a, b, c, d, e, f, g, h]
}

/// Of one peer, a quarter of an hour of a very large federation at its busiest: 1 MB. What is beyond is told.
const HELD_MAX: usize = 65_536;

#[cfg(test)]
mod tests {
    use sm2tp_federation::chain::Head;

    use super::super::testing::{NOW, befriend, open, seal};
    use super::*;
    use crate::testing::TempDir;

    #[tokio::test]
    async fn a_peer_is_not_told_what_its_own_feed_named_and_is_told_it_when_it_begins_again() {
        let (dir, peer, other) = (TempDir::quick(), NodeKey([7; 32]), NodeKey([8; 32]));
        let federated = open(dir.path()).await;
        befriend(&federated).await;
        let first = seal(None, NOW, 1);
        let second = seal(Some(&Head::of(first.header.header())), NOW, 1);
        for segment in [&first, &second] {
            federated.keep(&segment.header, &segment.body, None, NOW).await.unwrap();
        }
        federated.note_held_by(peer, first.header.header());
        let told = async |asker| {
            let entries = federated.feed(0, 10, asker).await.unwrap();
            federated.untold(asker, entries).iter().map(|entry| entry.number).collect::<Vec<u64>>()
        };
        assert_eq!(told(other).await, [1, 2]);
        assert_eq!(told(peer).await, [2]);
        assert_eq!(told(peer).await, [1, 2], "a new disk, an old cursor: all of it");
        federated.note_held_by(peer, first.header.header());
        federated.forget_held_by(peer);
        assert_eq!(told(peer).await, [1, 2]);
    }
}
