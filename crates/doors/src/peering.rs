//! Peerings as two people make and end them (`FEDERATION.md` §7): one invites, the other accepts, either ends.

use serde::{Deserialize, Serialize};
use serde_json::json;
use sm2tp_federation::descriptor::{self, DESCRIPTOR_OCTETS_MAX, DescriptorError, SignedDescriptor};
use sm2tp_federation::keys::NodeKey;
use sm2tp_store::federated::{FederatedError, Peer, PeerState};
use thiserror::Error;

use crate::House;
use crate::follow::{Api, Client, FetchError};

/// Why a peering was not made or ended.
#[derive(Debug, Error)]
pub enum PeeringError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Store(#[from] FederatedError),
    #[error("what {host} says of itself is no descriptor: {source}")]
    Descriptor {
        host: String,
        #[source]
        source: DescriptorError,
    },
    #[error("you typed {typed}, but that node says that it is reached at {says}: ask its administrator which is right")]
    Elsewhere { typed: String, says: String },
    #[error("that is this node itself")]
    Own,
    #[error("{name} ({fingerprint}) is a peer already: sm2tp peer trust changes how far it counts")]
    Already { name: String, fingerprint: String },
    #[error("{name} has not asked; its administrator accepts your invitation")]
    NotAsked { name: String },
    #[error("{name} is no peer yet: accept it first, or wait for its answer")]
    NotAccepted { name: String },
    #[error("there is no peer {0:?}: give its host, its name, its fingerprint or its key")]
    Unknown(String),
    #[error("{who:?} can be {}: give the fingerprint", candidates.join(" or "))]
    Ambiguous { who: String, candidates: Vec<String> },
    #[error("a weight is a number from 0 to 1, not {0}")]
    Weight(f64),
}

impl PeeringError {
    /// sysexits: 65 where the person who asked can put it right, 69 where the other node cannot be asked, 75 where our
    /// own disk failed.
    #[must_use]
    pub fn exit(&self) -> u8 {
        match self {
            Self::Fetch(FetchError::Url { .. } | FetchError::Private { .. })
            | Self::Elsewhere { .. }
            | Self::Own
            | Self::Already { .. }
            | Self::NotAsked { .. }
            | Self::NotAccepted { .. }
            | Self::Unknown(_)
            | Self::Ambiguous { .. }
            | Self::Weight(_) => 65,
            Self::Fetch(_) | Self::Descriptor { .. } => 69,
            Self::Store(_) => 75,
        }
    }
}

/// Asks the node at `url` for a peering: its descriptor is fetched, and must name the server that was typed. The peer
/// is [`PeerState::Invited`] until its administrator answers; where that one asked first, this is the answer.
///
/// # Errors
/// [`PeeringError`]: nothing was kept.
pub async fn invite(
    house: &House,
    url: &str,
    note: Option<String>,
    weight: f64,
    read: bool,
) -> Result<Peer, PeeringError> {
    check_weight(weight)?;
    let client = Client::new(house)?;
    let typed = discover(&client, Api::typed(url)?).await?;
    let signed = fetch_descriptor(&client, &typed).await?;
    let described = signed.descriptor();
    let api = Api::parse(&described.api)?;
    if !api.same_server(&typed) {
        return Err(PeeringError::Elsewhere { typed: typed.as_str().to_owned(), says: api.as_str().to_owned() });
    }
    let node = described.node;
    if node == house.federation.publisher.own {
        return Err(PeeringError::Own);
    }
    let store = &house.federation.store;
    let known = store.peers().await?.into_iter().find(|peer| peer.node == node);
    match known.as_ref().map(|peer| peer.state) {
        Some(PeerState::Accepted) => {
            return Err(PeeringError::Already { name: described.name.clone(), fingerprint: node.fingerprint() });
        }
        Some(PeerState::Asking) => return accept(house, &node.to_string(), weight, read).await,
        Some(PeerState::Invited) | None => {}
    }
    let name = described.name.clone();
    store.take_descriptor(signed, None, crate::now()).await?;
    let note = note.map(|note| plain(&note));
    let body = json!({ "descriptor": house.federation.own().text(), "note": note.clone().unwrap_or_default() });
    let answer = client.post(&api, "/peerings", body.to_string().into_bytes()).await?.json(&api)?;
    let id = answer["id"].as_str().filter(|id| is_id(id)).ok_or_else(|| api.meaning("no name of a request"))?;
    let peer = Peer {
        read,
        weight,
        note,
        cursor: known.and_then(|peer| peer.cursor),
        request_id: Some(id.to_owned()),
        ..Peer::new(node, api.as_str(), name, PeerState::Invited, crate::now())
    };
    store.put_peer(peer.clone()).await?;
    Ok(peer)
}

/// The one peer that `who` means, or the node that asks to be one.
///
/// # Errors
/// [`PeeringError`] where there is none, or several.
pub async fn show(house: &House, who: &str) -> Result<Peer, PeeringError> {
    find(house, who).await
}

/// Accepts a node that asked. What an accepted peer may is changed by [`trust`]: said twice, this would set it to the defaults.
///
/// # Errors
/// [`PeeringError`]: nothing has changed.
pub async fn accept(house: &House, who: &str, weight: f64, read: bool) -> Result<Peer, PeeringError> {
    check_weight(weight)?;
    let mut peer = find(house, who).await?;
    match peer.state {
        PeerState::Invited => return Err(PeeringError::NotAsked { name: peer.name }),
        PeerState::Asking => peer.added_at = crate::now(),
        PeerState::Accepted => {
            return Err(PeeringError::Already { name: plain(&peer.name), fingerprint: peer.node.fingerprint() });
        }
    }
    (peer.state, peer.weight, peer.read, peer.trouble) = (PeerState::Accepted, weight, read, None);
    house.federation.store.put_peer(peer.clone()).await?;
    Ok(peer)
}

/// What a person thinks of a peer, or of an origin behind one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Trusting {
    /// How much its events count, and whether to pull from it; what is none stays.
    Weigh { weight: Option<f64>, read: Option<bool> },
    /// What waits beyond its quota may come in.
    TakeParked,
    /// It signed two segments for one place: it goes on from its next epoch.
    Forgive,
}

/// Changes what is thought of a peer or an origin. Answers with whom that is, and the segments that were let in.
///
/// # Errors
/// [`PeeringError`]: nothing has changed.
pub async fn trust(house: &House, who: &str, trust: Trusting) -> Result<(NodeKey, u64), PeeringError> {
    let store = &house.federation.store;
    match trust {
        Trusting::Weigh { weight, read } => {
            weight.map_or(Ok(()), check_weight)?;
            let mut peer = find(house, who).await?;
            if peer.state != PeerState::Accepted {
                return Err(PeeringError::NotAccepted { name: plain(&peer.name) });
            }
            (peer.weight, peer.read) = (weight.unwrap_or(peer.weight), read.unwrap_or(peer.read));
            let node = peer.node;
            store.put_peer(peer).await?;
            Ok((node, 0))
        }
        Trusting::TakeParked => {
            let origin = origin(house, who).await?;
            Ok((origin, store.release(origin).await?))
        }
        Trusting::Forgive => {
            let origin = origin(house, who).await?;
            store.thaw(origin).await?;
            Ok((origin, 0))
        }
    }
}

/// Ends a peering, or refuses a request. What the peer told is kept and counts no more. It still has the tag keys: they
/// are to be changed (`FEDERATION.md` §7).
///
/// # Errors
/// [`PeeringError`]: nothing has changed.
pub async fn remove(house: &House, who: &str) -> Result<Peer, PeeringError> {
    let peer = find(house, who).await?;
    house.federation.store.remove_peer(peer.node).await?;
    Ok(peer)
}

/// A peer, or an origin behind one by its fingerprint or key.
async fn origin(house: &House, who: &str) -> Result<NodeKey, PeeringError> {
    match find(house, who).await {
        Ok(peer) => return Ok(peer.node),
        Err(PeeringError::Unknown(_)) => {}
        Err(error) => return Err(error),
    }
    let found = house.federation.store.look(|index| {
        let mut known = index.origins().map(|(origin, ..)| origin).chain(index.parked().keys().copied());
        known.find(|origin| is_node(*origin, who.trim()))
    });
    found.ok_or_else(|| PeeringError::Unknown(who.to_owned()))
}

/// The `/fed/v1` of a server of which only the name was typed.
async fn discover(client: &Client, typed: Api) -> Result<Api, PeeringError> {
    let found = match client.well_known(&typed).await {
        Ok(answer) => answer.json(&typed)?,
        // Optional for other software; then the usual place it is.
        Err(FetchError::Status { status: 404, .. }) => return Ok(typed),
        Err(error) => return Err(error.into()),
    };
    let says = found["api"].as_str().ok_or_else(|| typed.meaning("/.well-known/sm2tp names no api"))?;
    let api = Api::parse(says)?;
    if api.same_server(&typed) {
        return Ok(api);
    }
    Err(PeeringError::Elsewhere { typed: typed.as_str().to_owned(), says: says.chars().take(200).collect() })
}

async fn fetch_descriptor(client: &Client, api: &Api) -> Result<SignedDescriptor, PeeringError> {
    let answer = client.open(api, "/node", DESCRIPTOR_OCTETS_MAX).await?;
    descriptor::parse(answer.text(api)?).map_err(|source| PeeringError::Descriptor { host: api.authority(), source })
}

/// The one peer that `who` means. Names and hosts are what peers say of themselves: where two say the same, neither is
/// chosen.
async fn find(house: &House, who: &str) -> Result<Peer, PeeringError> {
    let mut found: Vec<Peer> = house.federation.store.peers().await?;
    found.retain(|peer| is_called(peer, who.trim()));
    match (found.pop(), found.is_empty()) {
        (Some(peer), true) => Ok(peer),
        (Some(peer), false) => {
            let all = found.iter().chain([&peer]);
            let candidates = all.map(|peer| format!("{} ({})", plain(&peer.name), peer.node.fingerprint())).collect();
            Err(PeeringError::Ambiguous { who: who.to_owned(), candidates })
        }
        (None, _) => Err(PeeringError::Unknown(who.to_owned())),
    }
}

fn is_called(peer: &Peer, who: &str) -> bool {
    if is_node(peer.node, who) {
        return true;
    }
    let authority = Api::parse(&peer.url).map_or_else(|_| String::new(), |api| api.authority());
    let host = authority.rsplit_once(':').map_or(&authority[..], |(host, _)| host);
    let is_host = !host.is_empty() && (host.eq_ignore_ascii_case(who) || authority.eq_ignore_ascii_case(who));
    is_host || peer.name.to_lowercase() == who.to_lowercase()
}

/// By its key or its fingerprint.
fn is_node(node: NodeKey, who: &str) -> bool {
    let bare = |text: &str| text.replace([' ', ':', '-'], "").to_ascii_lowercase();
    who.parse::<NodeKey>().is_ok_and(|named| named == node) || bare(&node.fingerprint()) == bare(who)
}

fn check_weight(weight: f64) -> Result<(), PeeringError> {
    if (0.0..=1.0).contains(&weight) { Ok(()) } else { Err(PeeringError::Weight(weight)) }
}

/// A text of a stranger, for a table and a terminal.
pub(crate) fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(NOTE_MAX).collect()
}

/// Names of requests stand in paths.
fn is_id(id: &str) -> bool {
    (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// Characters of a note beside a request.
const NOTE_MAX: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_called_by_host_name_fingerprint_or_key() {
        let node = NodeKey([7; 32]);
        let peer = Peer::new(node, "https://relay.example.org:8443/fed/v1", "CHATON A", PeerState::Asking, 0);
        let fingerprint = node.fingerprint();
        let key = node.to_string();
        for who in [
            "relay.example.org",
            "Relay.example.org:8443",
            "chaton a",
            &fingerprint,
            &fingerprint.replace(' ', ":"),
            &key,
        ] {
            assert!(is_called(&peer, who), "{who}");
        }
        for who in ["", "example.org", "chaton", &fingerprint[..4], "relay.example.org:1"] {
            assert!(!is_called(&peer, who), "{who}");
        }
    }
}
