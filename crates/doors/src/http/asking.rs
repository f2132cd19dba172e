//! Requests for peering: a stranger asks, our administrator answers in their own time, the stranger looks again.

use axum::Json;
use axum::extract::{Path, Request, State};
use serde::Deserialize;
use serde_json::{Value, json};
use sm2tp_federation::descriptor::{self, Descriptor, SignedDescriptor};
use sm2tp_federation::keys::{LogKey, NodeKey};
use sm2tp_store::federated::{FederatedError, Peer, PeerState};
use sm2tp_store::keys;

use super::gate::Asked;
use super::refusal::Refusal;
use super::{Door, Shared, fed};
use crate::follow::Api;
use crate::peering::plain;

/// The body of `POST /fed/v1/peerings`.
#[derive(Deserialize)]
struct Wish {
    descriptor: String,
    #[serde(default)]
    note: Option<String>,
}

/// `POST /fed/v1/peerings`: signed by a log key of the descriptor that it carries, so that nobody asks in the name of
/// another.
pub(super) async fn ask(State(shared): Door, request: Request) -> Result<Json<Value>, Refusal> {
    let asked = Asked::read(request, BODY_MAX).await?;
    let wish: Wish = serde_json::from_slice(&asked.body).map_err(|_| Refusal::Bad("{descriptor, note} is wanted"))?;
    let signed = descriptor::parse(&wish.descriptor).map_err(|_| Refusal::Bad("it is no signed descriptor"))?;
    let now = crate::now();
    let request = shared.gate.verify(&asked, &shared.prefix(), now, |key| signs(signed.descriptor(), key, now))?;
    shared.gate.pass(None, &request, now)?;
    if signed.descriptor().node == shared.house.federation.publisher.own {
        return Err(Refusal::Bad("this is the node that you are"));
    }
    let api = reachable(&shared, signed.descriptor())?;
    let note = wish.note.map(|note| plain(&note)).filter(|note| !note.is_empty());
    let _one_at_a_time = shared.asking.lock().await;
    let peer = asking(&shared, &signed, &api, note, now).await?;
    match shared.house.federation.store.take_descriptor(signed, None, now).await {
        Err(FederatedError::Refused(why)) => return Err(Refusal::Conflict(why)),
        taken => _ = taken?,
    }
    let id = peer.request_id.clone();
    shared.house.federation.store.put_peer(peer).await?;
    Ok(Json(json!({ "id": id })))
}

/// `GET /fed/v1/peerings/{id}`, signed by the asker.
pub(super) async fn answer(
    State(shared): Door,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<Value>, Refusal> {
    let asked = Asked::read(request, 0).await?;
    let store = &shared.house.federation.store;
    let now = crate::now();
    let named = |peer: &Peer| peer.state != PeerState::Invited && peer.request_id.as_ref() == Some(&id);
    let peer = store.peers().await?.into_iter().find(named);
    let known = match &peer {
        Some(peer) => store.descriptor(peer.node).await?,
        None => None,
    };
    // Without such a request the same 401 as with a wrong signature: which names exist is nobody's business.
    let check = |key: &LogKey| known.as_ref().and_then(|known| signs(known.descriptor(), key, now));
    let request = shared.gate.verify(&asked, &shared.prefix(), now, check)?;
    let Some(peer) = peer else { return Err(Refusal::Absent("there is no such request")) };
    shared.gate.pass(Some(peer.node), &request, now)?;
    if peer.state != PeerState::Accepted {
        return Ok(Json(json!({ "state": "pending" })));
    }
    let tag_keys = fed::sealed_tag_keys(&shared, peer.node, request.key()).await?;
    Ok(Json(json!({ "state": "accepted", "tagkeys": tag_keys })))
}

/// What becomes of the peer that asks.
async fn asking(
    shared: &Shared,
    signed: &SignedDescriptor,
    api: &Api,
    note: Option<String>,
    now: u64,
) -> Result<Peer, Refusal> {
    let random = keys::random().map_err(|error| Refusal::Trouble(error.to_string()))?;
    let fresh = || Some(hex::encode(&random[..16]));
    let peers = shared.house.federation.store.peers().await?;
    let open = asking_since(&peers);
    let described = signed.descriptor();
    if let Some(mut peer) = peers.into_iter().find(|peer| peer.node == described.node) {
        match peer.state {
            // Our administrator asked it too: both have chosen.
            PeerState::Invited => {
                tracing::info!(name = %peer.name, node = %peer.node, "the peering is accepted: each side invited the other");
                (peer.state, peer.request_id) = (PeerState::Accepted, fresh());
            }
            PeerState::Asking => {
                (peer.note, peer.name, peer.url) = (note, described.name.clone(), api.as_str().to_owned());
            }
            PeerState::Accepted => {}
        }
        peer.request_id = peer.request_id.or_else(fresh);
        return Ok(peer);
    }
    if OPEN_MAX <= open.len() {
        // Anybody can ask a hundred times: who asks after them must not be shut out for ever.
        match open.first().filter(|(since, _)| since.saturating_add(GIVES_WAY_S) <= now) {
            Some((_, forgotten)) => shared.house.federation.store.remove_peer(*forgotten).await?,
            None => return Err(Refusal::TooMany { what: "too many requests for peering are open", after_s: 86_400 }),
        }
    }
    tracing::info!(name = %described.name, node = %described.node, "a node asks for a peering: sm2tp peer list");
    Ok(Peer {
        note,
        request_id: fresh(),
        ..Peer::new(described.node, api.as_str(), described.name.clone(), PeerState::Asking, now)
    })
}

/// Who waits for our administrator, the longest first.
fn asking_since(peers: &[Peer]) -> Vec<(u64, NodeKey)> {
    let asking = peers.iter().filter(|peer| peer.state == PeerState::Asking);
    let mut open: Vec<_> = asking.map(|peer| (peer.added_at, peer.node)).collect();
    open.sort_unstable();
    open
}

/// Where we would pull from. A stranger must not make us ask our own machine; between nodes on one machine it is right.
fn reachable(shared: &Shared, described: &Descriptor) -> Result<Api, Refusal> {
    let api =
        Api::parse(&described.api).map_err(|_| Refusal::Bad("api of the descriptor is no https address of /fed/v1"))?;
    let own = Api::parse(&shared.house.federation.own().descriptor().api);
    if api.is_loopback() && !own.is_ok_and(|own| own.is_loopback()) {
        return Err(Refusal::Bad("api of the descriptor is an address of this machine"));
    }
    if !shared.house.federation.guard().reaches(&api) {
        return Err(Refusal::Bad("api of the descriptor is no public address"));
    }
    Ok(api)
}

fn signs(described: &Descriptor, key: &LogKey, now: u64) -> Option<()> {
    (described.log_key_valid(key, now) && !described.is_revoked(key)).then_some(())
}

/// A descriptor (64 KiB) and a note.
const BODY_MAX: usize = 80 * 1024;
/// Requests that wait for our administrator. More is no list that a person reads.
const OPEN_MAX: usize = 100;
/// Where so many wait, one gives way to the next that has waited a week: two people who telephoned did not leave it so long.
const GIVES_WAY_S: u64 = 7 * 86_400;
