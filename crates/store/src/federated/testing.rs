//! A node that is told segments by a peer, for the tests of the store.

use std::path::Path;

use ed25519_dalek::SigningKey;
use sm2tp_federation::belief::BeliefLimits;
use sm2tp_federation::chain::Head;
use sm2tp_federation::descriptor::{self, Descriptor, LogKeyTerm};
use sm2tp_federation::header::{Position, Sealing};
use sm2tp_federation::keys::{LogKey, NodeKey};
use sm2tp_federation::record::{Class, Record, Source};
use sm2tp_federation::segment::{self, Segment};
use sm2tp_federation::tags::{KeyId, Tag};

use super::{Federated, Peer, PeerState};
use crate::ledger::{self, Ledger};

pub(super) const NOW: u64 = 1_790_000_000;
/// What the keys of the peer are made of.
const PEER: u8 = 1;

pub(super) async fn open(dir: &Path) -> Federated {
    let ledger = crate::testing::ledger(dir);
    let own = NodeKey([9; 32]);
    Federated::open(ledger, &dir.join("segments"), own, BeliefLimits::default()).await.unwrap()
}

/// As [`open`], where the test is of files that no other machine has.
pub(super) async fn open_alone(dir: &Path) -> Federated {
    let ledger = Ledger::open(&ledger::path(dir)).unwrap();
    Federated::open(ledger, &dir.join("segments"), NodeKey([9; 32]), BeliefLimits::default()).await.unwrap()
}

fn key(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n; 32])
}

pub(super) fn peer_key() -> NodeKey {
    NodeKey::of(&key(PEER))
}

/// Accepts the peer.
pub(super) async fn befriend(federated: &Federated) -> NodeKey {
    befriend_as(federated, PEER).await
}

/// Accepts a peer whose node key is made of `n`, and its log key of the number behind it.
pub(super) async fn befriend_as(federated: &Federated, n: u8) -> NodeKey {
    let node = NodeKey::of(&key(n));
    let log_keys = vec![LogKeyTerm { key: LogKey::of(&key(n + 1)), not_before: 0, not_after: u64::MAX >> 12 }];
    let descriptor = Descriptor {
        node,
        seq: 1,
        name: "A".into(),
        api: "https://a.example/fed/v1".into(),
        contact: String::new(),
        log_keys,
        revoked: Vec::new(),
        peers: Vec::new(),
        smtp: None,
        versions: vec![1],
        tag_schemes: vec![1],
        retention_days: 400,
        retired: false,
    };
    federated.take_descriptor(descriptor::sign(descriptor, &key(n)).unwrap(), None, NOW).await.unwrap();
    let peer =
        Peer { read: true, weight: 1.0, ..Peer::new(node, "https://a.example/fed/v1", "A", PeerState::Accepted, NOW) };
    federated.put_peer(peer).await.unwrap();
    node
}

/// The next segment of the peer: so many events, each about a tag of its own.
pub(super) fn seal(head: Option<&Head>, sealed_at: u64, count: u32) -> Segment {
    let segno = head.map_or(0, |head| head.position.segno + 1);
    let about = |n: u32| Record::about(Class::HARD, Source(1), tag(segno, n), sealed_at - 90_000);
    seal_records(head, sealed_at, &(0..count).map(about).collect::<Vec<_>>())
}

/// The next segment of the peer with these events.
pub(super) fn seal_records(head: Option<&Head>, sealed_at: u64, records: &[Record]) -> Segment {
    seal_as(PEER, head, sealed_at, records)
}

/// The next segment of the peer that [`befriend_as`] made of `n`.
pub(super) fn seal_as(n: u8, head: Option<&Head>, sealed_at: u64, records: &[Record]) -> Segment {
    let segno = head.map_or(0, |head| head.position.segno + 1);
    let sealing = Sealing {
        origin: NodeKey::of(&key(n)),
        position: Position { epoch: 0, segno },
        first_sequence: head.map_or(1, |head| head.next_sequence),
        prev: head.map_or([0; 32], |head| head.hash),
        key_id: KeyId([9; 8]),
        sealed_at,
    };
    segment::seal(&sealing, &key(n + 1), records).unwrap()
}

pub(super) fn tag(segno: u32, n: u32) -> Tag {
    Tag((u128::from(n) << 100 | u128::from(segno)).to_be_bytes())
}

/// A peer, and segments of it, each with its time and its number of events.
pub(super) async fn told(federated: &Federated, segments: &[(u64, u32)]) -> NodeKey {
    let (origin, mut head) = (befriend(federated).await, None);
    for (sealed_at, count) in segments {
        let sealed = seal(head.as_ref(), *sealed_at, *count);
        federated.keep(&sealed.header, &sealed.body, None, NOW).await.unwrap();
        head = Some(Head::of(sealed.header.header()));
    }
    origin
}
