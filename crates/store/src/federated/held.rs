//! Segments that a peer holds without our help, so that our feed need not name them: its own feed named them since it asked us last, or
//! it said so when it asked.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{MutexGuard, PoisonError};

use sm2tp_federation::feed::{FeedEntry, MARKS_MAX, Mark};
use sm2tp_federation::header::Header;
use sm2tp_federation::keys::NodeKey;

use super::{Federated, FederatedError};

/// By peer.
pub(super) type Held = HashMap<NodeKey, Holds>;

/// What one peer holds.
#[derive(Default)]
pub(super) struct Holds {
    /// What its feed named since it asked; each segment by the beginning of its header's hash.
    named: HashSet<[u8; 8]>,
    /// What it said that it has, the newest question first: it may come here only later.
    said: VecDeque<HashSet<Mark>>,
}

impl Federated {
    /// A peer named a segment that is kept here.
    pub fn note_held_by(&self, peer: NodeKey, header: &Header) {
        let mut held = self.held();
        let of_peer = held.entry(peer).or_default();
        if of_peer.named.len() < HELD_MAX {
            of_peer.named.insert(mark(header));
        }
    }

    /// A peer says what it has, when it asks for our feed.
    pub fn note_said(&self, peer: NodeKey, marks: Vec<Mark>) {
        let mut held = self.held();
        let said = &mut held.entry(peer).or_default().said;
        said.truncate(QUESTIONS_KEPT - 1);
        said.push_front(marks.into_iter().collect());
    }

    /// What came here after the local number `after` by others than this peer, and not from ourselves; without what its own feed named.
    ///
    /// # Errors
    /// [`FederatedError`] where the ledger cannot be read.
    pub async fn marks_for(&self, peer: NodeKey, own: NodeKey, after: u64) -> Result<Vec<Mark>, FederatedError> {
        let mut entries = self.feed(after, MARKS_MAX, peer).await?;
        entries.retain(|entry| entry.header.origin() != own);
        if let Some(holds) = self.held().get(&peer) {
            entries.retain(|entry| !holds.named.contains(&mark(&entry.header)));
        }
        Ok(entries.iter().map(|entry| Mark::of(&entry.header)).collect())
    }

    /// Of a page of our feed, what the asker was not seen to hold. Where the answer is lost it is told the rest the next time:
    /// that costs some octets.
    #[must_use]
    pub fn untold(&self, asker: NodeKey, mut entries: Vec<FeedEntry>) -> Vec<FeedEntry> {
        if let Some(holds) = self.held().get_mut(&asker) {
            entries.retain(|entry| !holds.forget(&entry.header));
        }
        entries
    }

    /// The asker has read our feed to its end.
    pub fn forget_held_by(&self, asker: NodeKey) {
        if let Some(holds) = self.held().get_mut(&asker) {
            holds.named = HashSet::new();
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Holds {
    /// Whether it holds a segment; once.
    fn forget(&mut self, header: &Header) -> bool {
        let said = Mark::of(header);
        // Out of all of them: what stayed would be left out once more.
        let times_said = self.said.iter_mut().filter_map(|marks| marks.take(&said)).count();
        self.named.remove(&mark(header)) || 0 < times_said
    }
}

fn mark(header: &Header) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = header.hash();
    [a, b, c, d, e, f, g, h]
}

/// Of one peer, a quarter of an hour of a very large federation at its busiest: 1 MB. What is beyond is told.
const HELD_MAX: usize = 65_536;
/// Questions of a quarter of an hour, in which a segment comes to all peers of a node: 6 kB for each of them.
const QUESTIONS_KEPT: usize = 3;

#[cfg(test)]
mod tests {
    use sm2tp_federation::chain::Head;

    use super::super::testing::{NOW, befriend, open, seal};
    use super::*;
    use crate::testing::TempDir;

    #[tokio::test]
    async fn a_peer_is_not_told_what_it_says_it_has_even_where_that_comes_here_later() {
        let (peer, other, own) = (NodeKey([7; 32]), NodeKey([8; 32]), NodeKey([9; 32]));
        let dirs = [TempDir::quick(), TempDir::quick()];
        let (there, here) = (open(dirs[0].path()).await, open(dirs[1].path()).await);
        befriend(&there).await;
        befriend(&here).await;
        let first = seal(None, NOW, 1);
        let second = seal(Some(&Head::of(first.header.header())), NOW, 1);
        for segment in [&first, &second] {
            there.keep(&segment.header, &segment.body, Some(other), NOW).await.unwrap();
        }
        let marks = there.marks_for(NodeKey([6; 32]), own, 0).await.unwrap();
        assert_eq!(marks.len(), 2);
        assert!(there.marks_for(other, own, 0).await.unwrap().is_empty(), "it brought them itself");
        assert_eq!(there.marks_for(own, first.header.header().origin(), 0).await.unwrap(), [], "own ones");
        assert_eq!(there.marks_for(peer, own, 1).await.unwrap(), marks[1..]);
        there.note_held_by(peer, second.header.header());
        assert_eq!(there.marks_for(peer, own, 1).await.unwrap(), [], "it knows that we know");

        here.note_said(peer, marks);
        (0..QUESTIONS_KEPT - 1).for_each(|_| here.note_said(peer, Vec::new()));
        let told = async |asker| {
            let entries = here.feed(0, 10, asker).await.unwrap();
            let told = here.untold(asker, entries).iter().map(|entry| entry.number).collect::<Vec<u64>>();
            here.forget_held_by(asker);
            told
        };
        assert_eq!(told(peer).await, [0; 0], "nothing is here");
        for segment in [&first, &second] {
            here.keep(&segment.header, &segment.body, None, NOW).await.unwrap();
        }
        assert_eq!(told(other).await, [1, 2]);
        assert_eq!(told(peer).await, [0; 0]);
        assert_eq!(told(peer).await, [1, 2], "a new disk, an old cursor: all of it");
    }

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
