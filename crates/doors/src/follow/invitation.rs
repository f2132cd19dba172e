//! Peerings from the asking side: has the other administrator answered, and the tag keys that come with the answer.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sm2tp_federation::sealed::TagKeyGrant;
use sm2tp_store::federated::{Peer, PeerState};

use super::fetch::{Api, Client, SMALL_MAX};
use super::poll::FollowError;
use crate::House;

/// Asks after our request for peering, and joins where it was accepted.
pub(super) async fn ask_after(house: &House, client: &Client, peer: &Peer) -> Result<(), FollowError> {
    let Some(id) = peer.request_id.as_deref() else { return Ok(()) };
    let api = Api::parse(&peer.url)?;
    let answer = client.get(&api, &format!("/peerings/{id}"), SMALL_MAX).await?.json(&api)?;
    match answer["state"].as_str() {
        Some("pending") => Ok(()),
        Some("accepted") => {
            let grants = grants(house, &answer["tagkeys"])?;
            let peers = house.federation.store.peers().await?;
            let alone = !peers.iter().any(|other| other.node != peer.node && other.state == PeerState::Accepted);
            // The first federation is the one to publish in; a later one is listened to.
            take(house, grants, alone)?;
            if house.federation.store.note_accepted(peer.node).await? {
                tracing::info!(name = %peer.name, node = %peer.node, "the peering is accepted by both sides");
            }
            Ok(())
        }
        _ => Err(api.meaning("no state of a peering").into()),
    }
}

/// Takes the tag keys of an accepted peer. A newer key of the federation in which we publish is published under; any other is
/// for look-ups.
pub(super) async fn refresh_tag_keys(house: &House, client: &Client, api: &Api) -> Result<(), FollowError> {
    let answer = client.get(api, "/tagkeys", SMALL_MAX).await?.json(api)?;
    let now = crate::now();
    let current = house.federation.keys().tags.first().cloned();
    let (next, others): (Vec<_>, Vec<_>) = grants(house, &answer["tagkeys"])?.into_iter().partition(|grant| {
        let ours = current
            .as_ref()
            .is_some_and(|current| current.federation == grant.federation && current.not_before < grant.not_before);
        ours && grant.publishes_at(now)
    });
    take(house, others, false)?;
    take(house, next, true)
}

/// Opens what was sealed to us.
fn grants(house: &House, boxes: &Value) -> Result<Vec<TagKeyGrant>, FollowError> {
    let wrong = |why: &str| FollowError::TagKeys(why.to_owned());
    let boxes =
        boxes.as_array().filter(|boxes| boxes.len() <= GRANTS_MAX).ok_or_else(|| wrong("no list, or too long"))?;
    let keys = house.federation.keys();
    let grant = |sealed: &Value| {
        let octets = sealed.as_str().and_then(|text| STANDARD.decode(text).ok()).ok_or_else(|| wrong("no base64"))?;
        keys.open_grant(&octets).map_err(|error| FollowError::TagKeys(error.to_string()))
    };
    boxes.iter().map(grant).collect()
}

fn take(house: &House, grants: Vec<TagKeyGrant>, join: bool) -> Result<(), FollowError> {
    if grants.is_empty() {
        return Ok(());
    }
    let mut keys = house.federation.keys();
    let fresh = keys.add_tags(grants, join).map_err(|error| FollowError::TagKeys(error.to_string()))?;
    if fresh {
        house.book.set_keys(&keys.tags);
    }
    Ok(())
}

/// Two or three live at once.
const GRANTS_MAX: usize = 16;
