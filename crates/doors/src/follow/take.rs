//! What becomes of one header of a feed: known, fetched and kept, its gap filled, or refused.

use std::collections::HashSet;

use sm2tp_federation::chain::{self, Known, Proof, Step};
use sm2tp_federation::descriptor;
use sm2tp_federation::feed::BULK_OCTETS_MAX;
use sm2tp_federation::header::{Header, HeaderError, Position, SignedHeader};
use sm2tp_federation::keys::{LogKey, NodeKey};
use sm2tp_federation::quota::{Parked, Quota};
use sm2tp_federation::segment;
use sm2tp_store::federated::{Federated, FederatedError};

use super::fetch::{FetchError, SEGMENT_MAX};
use super::poll::{FollowError, Poll};

/// Whether the log of an origin goes on.
enum Kept {
    Yes,
    /// Beyond the quota.
    Parked,
}

impl Poll<'_> {
    /// Takes one header. `Ok` where nothing more can be done about it now.
    pub(super) async fn take(&mut self, header: Header) -> Result<(), FollowError> {
        let origin = header.origin();
        if origin == self.house.federation.publisher.own || self.memory.passes_over(origin, crate::now()) {
            return Ok(());
        }
        let Some(signed) = self.verified(header).await? else { return Ok(()) };
        match self.step(&signed).await? {
            Step::Gap { .. } => self.fill(&signed).await,
            Step::Next => self.next(&signed).await,
            step => self.other(&signed, step).await,
        }
    }

    /// Takes what is next in a log: within its quota, which the header tells before its body is asked for.
    async fn next(&mut self, signed: &SignedHeader) -> Result<(), FollowError> {
        let header = signed.header();
        let (origin, introducer) = (header.origin(), self.introducer(header));
        let store = &self.house.federation.store;
        if let Quota::Park(parked) = self.quotas.quota(store, header, introducer).await? {
            return self.park(signed, parked).await;
        }
        // One by one, a new node would ask thousands of times. What follows in the page is known then; what a bulk
        // answer did not bring is asked for by its name.
        let ahead = self.ahead.get(&origin).map_or(&[][..], Vec::as_slice);
        let from = ahead.iter().position(|known| known == header).unwrap_or(ahead.len());
        if BULK_MIN <= ahead.len() - from {
            let octets = self.quotas.run(store, &ahead[from..], introducer).await?;
            self.ahead.remove(&origin);
            let octets_max = usize::try_from(octets).unwrap_or(usize::MAX).min(BULK_OCTETS_MAX);
            if !matches!(self.bulk(origin, header.position(), octets_max).await, Err(_) | Ok(Some(0))) {
                return Ok(());
            }
        }
        let body = self.fetch(signed).await?;
        self.keep(signed, &body).await.map(|_| ())
    }

    /// Keeps the header alone, or nothing of an origin of which too much waits already.
    async fn park(&mut self, signed: &SignedHeader, parked: Parked) -> Result<(), FollowError> {
        let header = signed.header();
        let (origin, at, now) = (header.origin(), header.position(), crate::now());
        let store = &self.house.federation.store;
        let first = store.look(|index| !index.parked().contains_key(&origin));
        if !store.park(signed, self.introducer(header), parked, now).await? {
            self.memory.park(origin, now);
        } else if first {
            tracing::error!(%origin, %at, "segments of this origin wait for a person and are not fetched: {parked}");
        }
        Ok(())
    }

    /// Fetches bodies that a person let in, as far as this peer has them.
    pub(super) async fn released(&mut self) -> Result<(), FollowError> {
        for header in self.house.federation.store.released().await? {
            let Some(signed) = self.verified(header).await? else { continue };
            match self.fetch(&signed).await {
                Ok(body) => self.house.federation.store.unpark(&signed, &body, crate::now()).await?,
                // Another peer may have it.
                Err(FollowError::Fetch(FetchError::Status { status: 404, .. })) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn introducer(&self, header: &Header) -> Option<NodeKey> {
        (header.origin() != self.peer.node).then_some(self.peer.node)
    }

    /// The header, if its origin vouches for it. A descriptor that we do not have yet is a reason to wait.
    async fn verified(&mut self, header: Header) -> Result<Option<SignedHeader>, FollowError> {
        let origin = header.origin();
        if !self.descriptors.contains_key(&origin) {
            if DESCRIPTORS_MAX <= self.descriptors.len() {
                self.descriptors.clear();
            }
            let known = self.house.federation.store.descriptor(origin).await?;
            self.descriptors.insert(origin, known.ok_or(FollowError::NoDescriptor(origin))?);
        }
        let known = self.descriptors.get(&origin).map(|known| header.verify(known.descriptor()));
        match known {
            Some(Ok(signed)) => Ok(Some(signed)),
            Some(Err(error @ HeaderError::Key(descriptor::KeyRefusal::Unknown(_)))) => {
                // Its newest descriptor may be on the way to us.
                self.descriptors.remove(&origin);
                let (at, source) = (header.position(), error.into());
                Err(FollowError::Segment { origin, at, source })
            }
            Some(Err(error)) => {
                self.say(&format!("segment {} of node {origin}: {error}", header.position()));
                Ok(None)
            }
            None => Err(FollowError::NoDescriptor(origin)),
        }
    }

    async fn step(&mut self, signed: &SignedHeader) -> Result<Step, FollowError> {
        let store = &self.house.federation.store;
        let (origin, at) = (signed.header().origin(), signed.header().position());
        let same_place = store.header_at(origin, at).await?;
        let line = self.heads.as_ref().and_then(|heads| heads.heads.iter().find(|line| line.origin == origin));
        let known = Known {
            head: store.head(origin).await?,
            same_place: same_place.as_ref(),
            oldest: line.map(|line| line.oldest()),
            epoch_min: store.epoch_min(origin).await?,
        };
        Ok(chain::step(signed, &known, crate::now()))
    }

    /// What needs no body.
    async fn other(&mut self, signed: &SignedHeader, step: Step) -> Result<(), FollowError> {
        let (origin, at) = (signed.header().origin(), signed.header().position());
        match step {
            Step::Equivocation(proof) => Ok(freeze(&self.house.federation.store, &proof).await?),
            Step::Refused(why) => {
                let error = FollowError::Refused { origin, at, why };
                self.say(&error.to_string());
                self.sticks(origin, at, &error);
                Ok(())
            }
            Step::Known => {
                self.house.federation.store.note_held_by(self.peer.node, signed.header());
                Ok(())
            }
            Step::Next | Step::Gap { .. } => Ok(()),
        }
    }

    /// The body of a segment of which this is the header. It is not asked for with the header once more; a peer that knows nothing of that
    /// sends both.
    async fn fetch(&mut self, signed: &SignedHeader) -> Result<Vec<u8>, FollowError> {
        let header = signed.header();
        let (origin, at) = (header.origin(), header.position());
        let path = format!("/log/{origin}/{}/{}", at.epoch, at.segno);
        let octets = self.get_wishing(&path, "?body=1", SEGMENT_MAX).await?.body;
        let body = segment::body_behind(header, &octets).ok_or(FollowError::OtherSegment { origin, at })?;
        Ok(body.to_vec())
    }

    /// Keeps what is next in a log, within the quota of its origin.
    async fn keep(&mut self, signed: &SignedHeader, body: &[u8]) -> Result<Kept, FollowError> {
        let store = &self.house.federation.store;
        let header = signed.header();
        let (origin, at, now) = (header.origin(), header.position(), crate::now());
        let introducer = self.introducer(header);
        if let Quota::Park(parked) = self.quotas.quota(store, header, introducer).await? {
            self.park(signed, parked).await?;
            return Ok(Kept::Parked);
        }
        store.keep(signed, body, introducer, now).await.map_err(|error| match error {
            FederatedError::Segment(source) => FollowError::Segment { origin, at, source },
            error => error.into(),
        })?;
        self.quotas.took(header, introducer);
        self.memory.succeeded(origin);
        Ok(Kept::Yes)
    }

    /// Fetches what lies between our head and a header, in bulk.
    async fn fill(&mut self, target: &SignedHeader) -> Result<(), FollowError> {
        let (origin, at) = (target.header().origin(), target.header().position());
        // Where the peer's copy begins, for it may be pruned.
        self.heads().await?;
        for _ in 0..BULKS_MAX {
            let from = match self.step(target).await? {
                Step::Gap { from } => from,
                Step::Next => {
                    let body = self.fetch(target).await?;
                    return self.keep(target, &body).await.map(|_| ());
                }
                step => return self.other(target, step).await,
            };
            match self.bulk(origin, from, BULK_OCTETS_MAX).await? {
                Some(0) => break,
                Some(_) => {}
                None => return Ok(()),
            }
        }
        // Or there is more than one contact should take: the cursor stays, the next contact goes on.
        Err(FollowError::Gap { origin, at })
    }

    /// One bulk answer; how many segments of it were new, or none where the quota is used up.
    async fn bulk(&mut self, origin: NodeKey, from: Position, octets_max: usize) -> Result<Option<u64>, FollowError> {
        let path = format!("/log/{origin}?from={from}&max_bytes={octets_max}");
        let answer = self.client.get(&self.api, &path, BULK_OCTETS_MAX).await?;
        let mut rest = &answer.body[..];
        let mut kept = 0;
        let broken = |source| FollowError::Segment { origin, at: from, source };
        while let Some(part) = segment::next_part(rest).map_err(broken)? {
            rest = part.rest;
            if part.header.origin() != origin {
                return Err(FollowError::OtherSegment { origin, at: from });
            }
            let Some(signed) = self.verified(part.header).await? else { return Ok(Some(kept)) };
            match self.step(&signed).await? {
                Step::Next => match self.keep(&signed, part.body).await? {
                    Kept::Yes => kept += 1,
                    Kept::Parked => return Ok(None),
                },
                Step::Known => {}
                Step::Gap { .. } => return Ok(Some(kept)),
                step => {
                    self.other(&signed, step).await?;
                    return Ok(Some(kept));
                }
            }
        }
        Ok(Some(kept))
    }

    /// Learns who the origins of a page are, where we do not know them or not the key that signed.
    pub(super) async fn learn(&mut self, headers: &[Header]) -> Result<(), FollowError> {
        let own = self.house.federation.publisher.own;
        let mut wanted = HashSet::new();
        let foreign = headers.iter().filter(|header| header.origin() != own && header.origin() != self.peer.node);
        let signers: HashSet<(NodeKey, LogKey)> = foreign.map(|header| (header.origin(), header.log_key())).collect();
        for (origin, log_key) in signers {
            let known = self.house.federation.store.descriptor(origin).await?;
            let names = known.is_some_and(|known| known.descriptor().log_keys.iter().any(|term| term.key == log_key));
            if !names {
                wanted.insert(origin);
            }
        }
        let mut after = String::new();
        for _ in 0..if wanted.is_empty() { 0 } else { NODE_PAGES_MAX } {
            let path = format!("/nodes{after}");
            let answer = self.client.get(&self.api, &path, BULK_OCTETS_MAX).await?.json(&self.api)?;
            let nodes = answer["nodes"].as_array().map_or(&[][..], Vec::as_slice);
            for node in nodes {
                self.learn_one(node, &wanted).await?;
            }
            match answer["cursor"].as_str().filter(|_| !nodes.is_empty()) {
                Some(cursor) if is_plain(cursor) => after = format!("?after={cursor}"),
                _ => break,
            }
        }
        Ok(())
    }

    async fn learn_one(&mut self, node: &serde_json::Value, wanted: &HashSet<NodeKey>) -> Result<(), FollowError> {
        let store = &self.house.federation.store;
        // As text, as it was signed and stored; as an object where a peer writes it so.
        let text = node.as_str().map_or_else(|| node.to_string(), str::to_owned);
        let Ok(signed) = descriptor::parse(&text) else { return Ok(()) };
        let origin = signed.descriptor().node;
        if !wanted.contains(&origin) {
            return Ok(());
        }
        if NODES_MAX <= store.nodes().await? && store.descriptor(origin).await?.is_none() {
            self.say(&format!("node {origin} is not learned: {NODES_MAX} nodes are known"));
            return Ok(());
        }
        match store.take_descriptor(signed, Some(self.peer.node), crate::now()).await {
            Err(FederatedError::Refused(why)) => self.say(&why),
            taken => _ = taken?,
        }
        Ok(())
    }
}

/// Keeps the proof that an origin signed two segments for one place, and takes nothing more of it (§8.10).
pub(crate) async fn freeze(store: &Federated, proof: &Proof) -> Result<(), FederatedError> {
    let (origin, at) = (proof.headers()[0].origin(), proof.headers()[0].position());
    if store.freeze(proof).await? {
        tracing::error!(%origin, %at, "this node signed two different segments for one place; nothing more is taken of it");
    }
    Ok(())
}

/// A cursor of another node goes into our next question: nothing that could make it another question.
fn is_plain(cursor: &str) -> bool {
    cursor.len() <= 200 && cursor.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b))
}

/// Entries of one origin in a page from which on its segments are fetched in bulk.
const BULK_MIN: usize = 8;
/// Bulk answers of one gap: 400 MB.
const BULKS_MAX: usize = 50;
/// Pages of descriptors that are read to learn who an origin is.
const NODE_PAGES_MAX: usize = 20;
/// Descriptors at hand in one contact; each has up to 64 KiB.
const DESCRIPTORS_MAX: usize = 100;
/// Nodes that are remembered; inventing one costs a peer nothing.
const NODES_MAX: u64 = 20_000;
