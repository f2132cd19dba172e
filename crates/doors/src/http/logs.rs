//! The logs of all origins as they are kept here: one segment, many, heads, and proofs against one.

use std::io::Write;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::Compression;
use flate2::write::GzEncoder;
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

/// `GET /fed/v1/log/{origin}/{epoch}/{segno}[?body=1]`: who was told its header in a feed asks for the body alone. No cache may keep it: a
/// record that is erased here would stay there.
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
    let mut octets = shared.house.federation.store.segment(node(&origin)?, at).await?;
    if asked.param("body") == Some("1") {
        octets.drain(..HEADER_OCTETS.min(octets.len()));
    }
    Ok(packed(&asked, tagged(&asked, None, UNCACHED, &octets), octets).await)
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
    let head = ([(header::CONTENT_TYPE, "application/octet-stream")]).into_response();
    Ok(packed(&asked, head, out).await)
}

/// `GET /fed/v1/heads`
pub(super) async fn heads(State(shared): Door, request: Request) -> Result<Response, Refusal> {
    let (_, _, asked) = shared.peer(request, 0).await?;
    let heads = Heads { heads: shared.house.federation.store.heads().await? };
    let json = serde_json::to_vec(&heads).map_err(|error| Refusal::Trouble(error.to_string()))?;
    Ok(packed(&asked, tagged(&asked, Some("application/json"), "private, no-cache", &json), json).await)
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
    freeze(store, &proof).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "origin": origin }))))
}

fn node(text: &str) -> Result<NodeKey, Refusal> {
    text.parse().map_err(|_| Refusal::Bad("an origin is 43 characters of base64url"))
}

fn position(text: &str) -> Option<Position> {
    let (epoch, segno) = text.split_once('.')?;
    Some(Position { epoch: epoch.parse().ok()?, segno: segno.parse().ok()? })
}

/// The head of an answer with a strong ETag, or 304 where the asker has it. Octets of no other kind need no media type (RFC 9110 §8.3).
fn tagged(asked: &Asked, media: Option<&'static str>, cache: &'static str, octets: &[u8]) -> Response {
    // Other octets go over the wire where they are packed.
    let form = if takes_gzip(asked) { "-gzip" } else { "" };
    // Half of a hash is enough to tell bodies of one segment apart, and this goes out with each.
    let tag = format!("\"{}{form}\"", URL_SAFE_NO_PAD.encode(&Sha256::digest(octets)[..16]));
    let same = has(asked.header(header::IF_NONE_MATCH), &tag);
    let headers = [(header::ETAG, tag), (header::CACHE_CONTROL, cache.to_owned())];
    if same {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    let mut answer = headers.into_response();
    if let Some(media) = media {
        answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    }
    answer
}

/// Whether whoever sent this `If-None-Match` has what the tag is of (RFC 9110 §13.1.2).
pub(super) fn has(known: Option<&str>, tag: &str) -> bool {
    known.is_some_and(|known| known.split(',').any(|known| known.trim() == tag))
}

/// The answer with its body, packed where the asker takes that: tags are random, the rest of an event is not.
async fn packed(asked: &Asked, mut answer: Response, octets: Vec<u8>) -> Response {
    if answer.status() != StatusCode::OK {
        return answer;
    }
    // It tells caches apart what one address was answered with (RFC 9110 §12.5.5).
    if answer.headers().get(header::CACHE_CONTROL).is_none_or(|cache| cache != UNCACHED) {
        answer.headers_mut().insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    }
    let body = if takes_gzip(asked) {
        answer.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        let packing = tokio::task::spawn_blocking(move || {
            let mut gzip = GzEncoder::new(Vec::with_capacity(octets.len()), Compression::fast());
            gzip.write_all(&octets).and_then(|()| gzip.finish())
        });
        match packing.await {
            Ok(Ok(packed)) => packed,
            _ => return Refusal::Trouble("an answer cannot be packed".to_owned()).into_response(),
        }
    } else {
        octets
    };
    *answer.body_mut() = body.into();
    answer
}

fn takes_gzip(asked: &Asked) -> bool {
    let codings = asked.header(header::ACCEPT_ENCODING).unwrap_or_default();
    // Whoever takes it a little less than something else takes it; only a weight of nothing refuses.
    let gzip = |coding: &str| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().strip_prefix("q=").map(str::parse::<f32>);
        name.trim() == "gzip" && !matches!(weight, Some(Ok(0.0)))
    };
    codings.split(',').any(gzip)
}

/// Nobody keeps the answer for another question.
pub(super) const UNCACHED: &str = "no-store";
/// Headers looked at for one bulk answer; the smallest segment has 274 octets.
const BULK_SEGMENTS_MAX: usize = 4096;
/// A proof has 480 octets.
const PROOF_MAX: usize = 4096;
