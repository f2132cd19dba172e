//! Own events on their way out, and the question before the first segment after a start: is our log as others know it?

use sm2tp_federation::chain::{self, Head, RESTART_WAIT_S, Restart, Step, Told};
use sm2tp_federation::feed::{BULK_OCTETS_MAX, Heads};
use sm2tp_federation::header::{HEADER_OCTETS, Header, Position};
use sm2tp_federation::segment;
use sm2tp_store::federated::{FederatedError, Peer, PeerState};

use super::fetch::{Api, Client, SEGMENT_MAX};
use super::poll::FollowError;
use crate::{House, identity};

/// The sealing side of a node that runs.
pub(super) struct Own {
    started_at: u64,
    /// None until it is sure that sealing forks nothing.
    epoch: Option<u32>,
    /// The last thing that went wrong, to be said once.
    said: Option<String>,
}

impl Own {
    pub(super) fn new(started_at: u64) -> Self {
        Self { started_at, epoch: None, said: None }
    }

    pub(super) fn is_settled(&self) -> bool {
        self.epoch.is_some()
    }

    /// Asks the peers about our own log (`FEDERATION.md` §5); settled when it is safe to seal.
    pub(super) async fn settle(&mut self, house: &House, client: &Client) {
        match self.try_settle(house, client).await {
            Ok(epoch) => self.epoch = epoch,
            Err(error) => self.say(&error.to_string()),
        }
    }

    /// Names the peers of now, and uses the keys whose time has come.
    pub(super) async fn look_after(&mut self, house: &House) {
        if let Err(error) = identity::look_after(house).await {
            self.say(&error.to_string());
        }
    }

    /// Moves own events towards a segment, and seals it when its time has come.
    pub(super) async fn publish(&mut self, house: &House) {
        let (publisher, now) = (&house.federation.publisher, crate::now());
        let moved = publisher.collect(identity::ended(&house.federation, now), now).await.map(|_| ());
        // What others would refuse is not signed.
        let is_known = house.federation.own().descriptor().log_key_at(now) == Some(publisher.log_key.public());
        let sealed = match self.epoch {
            Some(epoch) if is_known => self.seal(house, epoch).await,
            Some(_) => Err(FederatedError::Refused("the descriptor of this node does not name its log key".into())),
            None => Ok(0),
        };
        match moved.and(sealed) {
            Ok(0) => self.said = None,
            Ok(events) => tracing::info!(events, "own events were published"),
            Err(error) => self.say(&error.to_string()),
        }
    }

    async fn seal(&self, house: &House, epoch: u32) -> Result<usize, FederatedError> {
        let publisher = &house.federation.publisher;
        // A person may have begun a new one.
        let epoch = house.federation.store.epoch().await?.max(epoch);
        publisher.seal(crate::now(), epoch).await
    }

    async fn try_settle(&mut self, house: &House, client: &Client) -> Result<Option<u32>, FollowError> {
        let store = &house.federation.store;
        let own = house.federation.publisher.own;
        let head = store.head(own).await?;
        let kept = store.epoch().await?;
        let epoch = head.map_or(kept, |head| head.position.epoch.max(kept));
        let peers = store.peers().await?;
        let peers: Vec<Peer> = peers.into_iter().filter(|p| p.state == PeerState::Accepted && p.read).collect();
        if peers.is_empty() {
            return Ok(Some(epoch));
        }
        let (mut told, mut ahead) = (Vec::new(), None);
        for peer in peers.iter().take(ASKED_MAX) {
            match self.ask(house, client, peer).await {
                Ok(answer) => {
                    let at = |told: &Told| told.theirs.map(|theirs| theirs.header().position());
                    if ahead.is_none_or(|(_, most)| most < at(&answer)) {
                        ahead = Some((peer, at(&answer)));
                    }
                    told.push(answer);
                }
                Err(error) => tracing::debug!(peer = %peer.node, %error, "a peer does not say how it knows our log"),
            }
        }
        let (now, wait_s) = (crate::now(), house.federation.head_wait.as_secs());
        // The constant of the specification stands in `restart`; what is configured stands in its place.
        let started_at = self.started_at.saturating_add(wait_s).saturating_sub(RESTART_WAIT_S);
        match chain::restart(head.as_ref(), &told, started_at, now) {
            Restart::Wait { .. } => Ok(None),
            Restart::Seal => Ok(Some(epoch)),
            Restart::RaiseEpoch { to } => self.raise(house, to).await.map(Some),
            Restart::Import { from } => {
                let (Some((peer, Some(newest))), late) = (ahead, self.started_at.saturating_add(wait_s) <= now) else {
                    return Ok(None);
                };
                match import(house, client, peer, from).await {
                    // Looked at again: there may be more.
                    Ok(()) => Ok(None),
                    // §5: what nobody gives back is lost, and the log goes on beside it.
                    Err(error) if late => {
                        tracing::error!(%error, "own segments that a peer knows cannot be fetched back");
                        self.raise(house, newest.epoch.max(epoch).saturating_add(1)).await.map(Some)
                    }
                    Err(error) => Err(error),
                }
            }
        }
    }

    /// What one peer holds of our log: the header itself, for a bare number could be a lie.
    async fn ask(&self, house: &House, client: &Client, peer: &Peer) -> Result<Told, FollowError> {
        let own = house.federation.publisher.own;
        let api = Api::parse(&peer.url)?;
        let answer = client.get(&api, "/heads", BULK_OCTETS_MAX).await?;
        let heads = Heads::parse(answer.text(&api)?)?;
        let Some(line) = heads.heads.iter().find(|line| line.origin == own) else {
            return Ok(Told { theirs: None, ours: None });
        };
        let at = line.position();
        let path = format!("/log/{own}/{}/{}", at.epoch, at.segno);
        let octets = client.get(&api, &path, SEGMENT_MAX).await?.body;
        let header = Header::parse(octets.get(..HEADER_OCTETS).unwrap_or_default());
        let theirs = header.and_then(|header| header.verify(house.federation.own().descriptor()));
        let theirs = theirs.map_err(|error| FollowError::Segment { origin: own, at, source: error.into() })?;
        let ours = house.federation.store.header_at(own, theirs.header().position()).await?;
        Ok(Told { theirs: Some(theirs), ours })
    }

    async fn raise(&self, house: &House, to: u32) -> Result<u32, FollowError> {
        tracing::warn!(epoch = to, "our log was restored or forked; it goes on in a new epoch");
        house.federation.store.raise_epoch(to).await?;
        Ok(to)
    }

    fn say(&mut self, trouble: &str) {
        if self.said.as_deref() != Some(trouble) {
            tracing::warn!(%trouble, "own events wait");
            self.said = Some(trouble.to_owned());
        }
    }
}

/// Fetches own segments back from a peer.
async fn import(house: &House, client: &Client, peer: &Peer, from: Position) -> Result<(), FollowError> {
    let store = &house.federation.store;
    let own = house.federation.publisher.own;
    let api = Api::parse(&peer.url)?;
    let path = format!("/log/{own}?from={from}&max_bytes={BULK_OCTETS_MAX}");
    let answer = client.get(&api, &path, BULK_OCTETS_MAX).await?;
    let descriptor = house.federation.own();
    let wrong = |source| FollowError::Segment { origin: own, at: from, source };
    let (mut rest, mut kept) = (&answer.body[..], 0_u64);
    while let Some(part) = segment::next_part(rest).map_err(wrong)? {
        rest = part.rest;
        let signed = part.header.verify(descriptor.descriptor()).map_err(|error| wrong(error.into()))?;
        let at = signed.header().position();
        let same_place = store.header_at(own, at).await?;
        let head: Option<Head> = store.head(own).await?;
        // What a peer has forgotten, it cannot give back: its copy is taken from where it begins.
        let known =
            chain::Known { head, same_place: same_place.as_ref(), oldest: (kept == 0).then_some(at), epoch_min: 0 };
        match chain::step(&signed, &known, crate::now()) {
            Step::Known => {}
            Step::Next => {
                store.keep(&signed, part.body, None, crate::now()).await.map_err(|error| match error {
                    FederatedError::Segment(source) => wrong(source),
                    error => error.into(),
                })?;
                kept += 1;
            }
            _ => break,
        }
    }
    if kept == 0 {
        return Err(FollowError::Gap { origin: own, at: from });
    }
    tracing::info!(segments = kept, peer = %peer.node, "own segments were fetched back after a restore");
    Ok(())
}

/// Peers that are asked about our own head before each first seal.
const ASKED_MAX: usize = 5;
