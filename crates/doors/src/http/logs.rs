//! The logs of all origins as they are kept here: one segment, many, heads, and proofs against one.

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sm2tp_federation::chain::Proof;
use sm2tp_federation::feed::{BULK_OCTETS_MAX, Heads};
use sm2tp_federation::header::{HEADER_OCTETS, Header, Position};
use sm2tp_federation::keys::NodeKey;
use sm2tp_store::federated::segment_octets;

use super::Door;
use super::gate::Asked;
use super::refusal::Refusal;
use crate::follow::freeze;

/// `GET /fed/v1/log/{origin}/{epoch}/{segno}`
pub(super) async fn segment(
    State(shared): Door,
    Path((origin, epoch, segno)): Path<(String, String, String)>,
    request: Request,
) -> Result<Response, Refusal> {
    let (_, _, asked) = shared.peer(request, 0).await?;
    let at = match (epoch.parse(), segno.parse()) {
        (Ok(epoch), Ok(segno)) => Position { epoch, segno },
        _ => return Err(Refusal::Bad("a place is two numbers")),
    };
    let octets = shared.house.federation.store.segment(node(&origin)?, at).await?;
    Ok(tagged(&asked, "application/octet-stream", "private, max-age=31536000, immutable", octets))
}

/// `GET /fed/v1/log/{origin}?from=E.S&max_bytes=`: at least one segment, however long it is.
pub(super) async fn bulk(
    State(shared): Door,
    Path(origin): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let (_, _, asked) = shared.peer(request, 0).await?;
    let origin = node(&origin)?;
    let from = asked.param("from").map_or(Some(Position { epoch: 0, segno: 0 }), position);
    let from = from.ok_or(Refusal::Bad("from is <epoch>.<segno>"))?;
    let octets_max = asked.number("max_bytes", BULK_OCTETS_MAX)?.min(BULK_OCTETS_MAX);
    let store = &shared.house.federation.store;
    let headers: Vec<Header> = store.headers_from(origin, from, BULK_SEGMENTS_MAX).await?;
    let mut out = Vec::new();
    for header in headers {
        let octets = usize::try_from(segment_octets(&header)).unwrap_or(usize::MAX);
        if !out.is_empty() && octets_max.saturating_sub(out.len()) < octets {
            break;
        }
        out.extend(store.segment(origin, header.position()).await?);
    }
    if out.is_empty() {
        return Err(Refusal::Absent("it is not kept here"));
    }
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], out).into_response())
}

/// `GET /fed/v1/heads`
pub(super) async fn heads(State(shared): Door, request: Request) -> Result<Response, Refusal> {
    let (_, _, asked) = shared.peer(request, 0).await?;
    let heads = Heads { heads: shared.house.federation.store.heads().await? };
    let json = serde_json::to_vec(&heads).map_err(|error| Refusal::Trouble(error.to_string()))?;
    Ok(tagged(&asked, "application/json", "private, no-cache", json))
}

/// `POST /fed/v1/proofs`: two headers that their origin should not both have signed.
pub(super) async fn proof(State(shared): Door, request: Request) -> Result<(StatusCode, Json<Value>), Refusal> {
    let (peer, _, asked) = shared.peer(request, PROOF_MAX).await?;
    let wrong = |_| Refusal::Bad("a proof is two headers of one origin");
    let header = Header::parse(asked.body.get(..HEADER_OCTETS).unwrap_or_default()).map_err(wrong)?;
    let store = &shared.house.federation.store;
    let origin = header.origin();
    let descriptor = store.descriptor(origin).await?.ok_or(Refusal::Absent("that origin is not known here"))?;
    let proof = Proof::verify(&asked.body, descriptor.descriptor())
        .map_err(|_| Refusal::Bad("the two headers prove nothing against their origin"))?;
    tracing::warn!(%origin, from = %peer.node, "a peer proves that an origin signed two segments for one place");
    freeze(store, origin, &proof).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "origin": origin }))))
}

fn node(text: &str) -> Result<NodeKey, Refusal> {
    text.parse().map_err(|_| Refusal::Bad("an origin is 43 characters of base64url"))
}

fn position(text: &str) -> Option<Position> {
    let (epoch, segno) = text.split_once('.')?;
    Some(Position { epoch: epoch.parse().ok()?, segno: segno.parse().ok()? })
}

/// An answer with a strong ETag, or 304 where the asker has it.
fn tagged(asked: &Asked, media: &'static str, cache: &'static str, octets: Vec<u8>) -> Response {
    let tag = format!("\"{}\"", hex::encode(Sha256::digest(&octets)));
    let known = asked.header(header::IF_NONE_MATCH);
    let same = known.is_some_and(|known| known.split(',').any(|known| known.trim() == tag));
    let headers = [(header::ETAG, tag), (header::CACHE_CONTROL, cache.to_owned())];
    if same {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, [(header::CONTENT_TYPE, media)], octets).into_response()
}

/// Headers looked at for one bulk answer; the smallest segment has 274 octets.
const BULK_SEGMENTS_MAX: usize = 4096;
/// A proof has 480 octets.
const PROOF_MAX: usize = 4096;
