//! Peers and the origins behind them, as a person sees them: who they are, how they are doing, how far they are believed.

use serde_json::{Value, json};
use sm2tp_federation::belief::Agreement;
use sm2tp_federation::keys::NodeKey;
use sm2tp_store::federated::{Judgement, Peer, Standing, Waiting};

use super::{Problem, share};
use crate::{House, identity, now, peering};

/// All peers, and the origins that came through them.
pub(super) async fn list(house: &House) -> Result<Value, Problem> {
    let store = &house.federation.store;
    let peers = store.peers().await?;
    let mut behind: Vec<(NodeKey, Standing, Judgement, u64)> = store.look(|index| {
        // Peers have what this node said, and hand it back to one that was made of a copy: it is nobody behind them.
        let own = house.federation.publisher.own;
        let introduced =
            index.origins().filter(|(origin, standing, _)| standing.introducer.is_some() && *origin != own);
        introduced.map(|(origin, standing, judgement)| (origin, standing, judgement, index.kept(&origin))).collect()
    });
    // Those of whom a person should know first.
    behind.sort_by_key(|(origin, _, judgement, kept)| {
        let waits = store.look(|index| index.parked().contains_key(origin) || index.contradicts_itself(origin));
        (judgement.quarantined_since.is_none() && !waits, std::cmp::Reverse(*kept), *origin)
    });
    let all = behind.len();
    behind.truncate(ORIGINS_MAX);
    let mut origins = Vec::with_capacity(behind.len());
    for (origin, standing, judgement, kept) in behind {
        let name = store.name(origin).await?;
        origins.push(json!({
            "node": origin,
            "name": name,
            "fingerprint": origin.fingerprint(),
            "introducer": standing.introducer,
            "hop": standing.hop,
            "known_since": standing.known_since,
            "events_in": kept,
            "agreement": agreement(house, &judgement),
            "quarantined_since": judgement.quarantined_since,
            "contradicts_itself": store.look(|index| index.contradicts_itself(&origin)),
            "parked": store.look(|index| index.parked().get(&origin).map(waiting_of)),
        }));
    }
    let mut list = Vec::with_capacity(peers.len());
    for known in peers {
        list.push(peer(known, house).await?);
    }
    Ok(json!({
        "fingerprint": own_fingerprint(house),
        "peers": list,
        "origins": origins,
        "origins_known": all,
        "tag_key_lapses_at": identity::lapses(&house.federation, now()).map(|lapses| lapses.at),
    }))
}

pub(super) async fn invite(
    house: &House,
    url: &str,
    note: Option<String>,
    weight: f64,
    read: bool,
) -> Result<Value, Problem> {
    peer(peering::invite(house, url, note, share(weight)?, read).await?, house).await
}

pub(super) async fn accept(house: &House, who: &str, weight: f64, read: bool) -> Result<Value, Problem> {
    peer(peering::accept(house, who, share(weight)?, read).await?, house).await
}

/// A peer as a person sees it: both fingerprints, to be compared by voice (`FEDERATION.md` §7).
pub(super) async fn peer(peer: Peer, house: &House) -> Result<Value, Problem> {
    let (store, own) = (&house.federation.store, house.federation.publisher.own);
    let told = store.told_until(own, peer.read_to.unwrap_or(0)).await?;
    let contradicts = store.look(|index| index.contradicts_itself(&peer.node));
    let parked = store.look(|index| index.parked().get(&peer.node).cloned());
    let (kept, judgement, behind) = store.look(|index| {
        let behind = index.origins();
        let behind = behind.filter(|(origin, standing, _)| standing.introducer == Some(peer.node) && *origin != own);
        let behind = behind.fold((0_u64, 0_u64), |sum, (origin, ..)| (sum.0 + 1, sum.1 + index.kept(&origin)));
        (index.kept(&peer.node), index.judgement(&peer.node), behind)
    });
    let backfill = store.backfill(&peer).map(|(here, there)| json!({ "here": here, "there": there }));
    let mut value = serde_json::to_value(&peer).map_err(|error| Problem::Failed(error.to_string()))?;
    if let Value::Object(fields) = &mut value {
        fields.insert("fingerprint".into(), peer.node.fingerprint().into());
        fields.insert("own_fingerprint".into(), own_fingerprint(house).into());
        fields.insert("events_in".into(), kept.into());
        fields.insert("events_out".into(), told.into());
        fields.insert("origins_behind".into(), behind.0.into());
        fields.insert("events_behind".into(), behind.1.into());
        fields.insert("agreement".into(), agreement(house, &judgement));
        fields.insert("quarantined_since".into(), judgement.quarantined_since.into());
        fields.insert("contradicts_itself".into(), contradicts.into());
        fields.insert("parked".into(), parked.map_or(Value::Null, |waiting| waiting_of(&waiting)));
        fields.insert("backfill".into(), backfill.into());
        fields.insert("lag_s".into(), peer.caught_up_at.map(|at| now().saturating_sub(at)).into());
        // Who holds the name of a request may ask after it.
        fields.remove("request_id");
    }
    Ok(value)
}

/// An origin of which a person thought again; a peer in full.
pub(super) async fn trusted(house: &House, (origin, segments): (NodeKey, u64)) -> Result<Value, Problem> {
    let store = &house.federation.store;
    let known = store.peers().await?.into_iter().find(|peer| peer.node == origin);
    let mut value = match known {
        Some(known) => peer(known, house).await?,
        None => json!({
            "node": origin,
            "name": store.name(origin).await?,
            "fingerprint": origin.fingerprint(),
        }),
    };
    value["segments_let_in"] = segments.into();
    Ok(value)
}

/// How the dead addresses of an origin agree with what this node saw itself.
pub(super) fn agreement(house: &House, judgement: &Judgement) -> Value {
    let (tally, limits) = (judgement.tally(), house.federation.store.belief());
    let found = judgement.agreement(limits);
    json!({
        "contradicted": tally.contradicted,
        "agreed": tally.agreed,
        "foretold": tally.foretold,
        "months_doubted": judgement.months_doubted(),
        "factor": found.factor(),
        "word": match found {
            Agreement::Unknown => "unknown",
            Agreement::Share(_) => "agrees",
            Agreement::Quarantine => "quarantine",
        },
    })
}

/// What waits for a person because it is more than usual.
fn waiting_of(waiting: &Waiting) -> Value {
    json!({
        "segments": waiting.segments,
        "events": waiting.events,
        "why": waiting.why,
        "let_in": waiting.is_let_in(),
    })
}

pub(super) fn own_fingerprint(house: &House) -> String {
    house.federation.keys().node_key().fingerprint()
}

/// Origins that are listed; the others are counted.
const ORIGINS_MAX: usize = 200;
