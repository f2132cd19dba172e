//! What peers pull: who we are, whom we know, the feed, and the tag keys.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sm2tp_federation::feed::{self, Cursor, FeedEntry};
use sm2tp_federation::keys::{LogKey, NodeKey};
use sm2tp_store::keys;
use tokio::time::{Instant, interval};

use super::refusal::Refusal;
use super::{Door, Shared, logs};

/// `GET /.well-known/sm2tp`
pub(super) async fn well_known(State(shared): Door) -> Json<Value> {
    let own = shared.house.federation.own();
    Json(json!({ "api": own.descriptor().api, "node": own.descriptor().node }))
}

/// `GET /fed/v1/node`. Peers ask with each poll, and it hardly ever changes.
pub(super) async fn node(State(shared): Door, headers: HeaderMap) -> Response {
    let own = shared.house.federation.own();
    // There is one text for each number (`FEDERATION.md` §2).
    let tag = format!("\"{}\"", own.descriptor().seq);
    let known = headers.get(header::IF_NONE_MATCH).and_then(|known| known.to_str().ok());
    let same = logs::has(known, &tag);
    let fields = [(header::ETAG, tag), (header::CACHE_CONTROL, "no-cache".to_owned())];
    if same {
        return (StatusCode::NOT_MODIFIED, fields).into_response();
    }
    (fields, [(header::CONTENT_TYPE, "application/json")], own.text().to_owned()).into_response()
}

/// `GET /fed/v1/nodes?after=`: descriptors as the texts that were signed, by node key; the cursor is the last of them.
pub(super) async fn nodes(State(shared): Door, request: Request) -> Result<Json<Value>, Refusal> {
    let (_, _, asked) = shared.peer(request, 0).await?;
    let after: Option<NodeKey> = match asked.param("after") {
        Some(text) => Some(text.parse().map_err(|_| Refusal::Bad("after is not the cursor of a page of nodes"))?),
        None => None,
    };
    let known = shared.house.federation.store.descriptors_after(after, NODES_PAGE).await?;
    let (mut octets, mut texts, mut last) = (0, Vec::new(), after);
    for (node, text) in known {
        octets += text.len();
        if NODES_OCTETS_MAX < octets {
            break;
        }
        texts.push(text);
        last = Some(node);
    }
    Ok(Json(json!({ "nodes": texts, "cursor": last.map(|node| node.to_string()) })))
}

/// `GET /fed/v1/feed?after=CURSOR&limit=[&wait=][&has=]`
pub(super) async fn feed(State(shared): Door, request: Request) -> Result<Response, Refusal> {
    let (peer, _, asked) = shared.peer(request, 0).await?;
    let limit = asked.number("limit", FEED_PAGE)?.clamp(1, FEED_PAGE);
    let wait = Duration::from_secs(asked.number("wait", 0)?.min(WAIT_MAX_S) as u64);
    let after = position(&shared, asked.param("after")).await?;
    if peer.read_to != Some(after) || peer.read_at.is_none_or(|at| at.saturating_add(NOTED_S) <= crate::now()) {
        shared.house.federation.store.note_read(peer.node, after, crate::now()).await?;
    }
    if let Some(text) = asked.param("has") {
        let marks = feed::read_marks(text)
            .ok_or(Refusal::Bad("has is base64url of 4 octets for each of 500 segments at most"))?;
        shared.house.federation.store.note_said(peer.node, marks);
    }
    let until = Instant::now() + wait;
    // Without a free place the answer comes at once, as from a node that does not wait.
    let waiting = shared.waiting.try_acquire();
    let mut look = interval(LOOK_EVERY);
    let (newest, entries) = loop {
        look.tick().await;
        // The newest first: what arrives between the two questions is read again, not passed over.
        let newest = shared.house.federation.store.newest().await?;
        let entries = shared.house.federation.store.feed(after, limit, peer.node).await?;
        if !entries.is_empty() || waiting.is_err() || until <= Instant::now() {
            break (newest, entries);
        }
    };
    let cursor = Cursor { feed: shared.feed, after: reached(&entries, limit, newest.max(after)) };
    let is_end = entries.len() < limit;
    let entries = shared.house.federation.store.untold(peer.node, entries);
    if is_end {
        shared.house.federation.store.forget_held_by(peer.node);
    }
    // Octets of no other kind need no media type (RFC 9110 §8.3), and this goes out with each poll.
    Ok(([("sm2tp-cursor", cursor.to_string())], Body::from(feed::encode(&entries))).into_response())
}

/// `GET /fed/v1/tagkeys`
pub(super) async fn tag_keys(State(shared): Door, request: Request) -> Result<Json<Value>, Refusal> {
    let (peer, key, _) = shared.peer(request, 0).await?;
    Ok(Json(json!({ "tagkeys": sealed_tag_keys(&shared, peer.node, key).await? })))
}

/// Our tag keys, each sealed to the newest log key of a peer; `key` is the one that it signed with.
pub(super) async fn sealed_tag_keys(shared: &Arc<Shared>, node: NodeKey, key: LogKey) -> Result<Vec<String>, Refusal> {
    let known = shared.house.federation.store.descriptor(node).await?;
    let current = known.and_then(|known| known.descriptor().log_key_at(crate::now())).unwrap_or(key);
    let grants = shared.house.federation.keys().tags.clone();
    let seal = |grant: &sm2tp_federation::sealed::TagKeyGrant| {
        let ephemeral = keys::random().map_err(|error| Refusal::Trouble(error.to_string()))?;
        let sealed = grant.seal(&current, &ephemeral).map_err(|error| Refusal::Trouble(error.to_string()))?;
        Ok(STANDARD.encode(sealed))
    };
    grants.iter().map(seal).collect()
}

/// The local number of a cursor. One beyond all that is here was given out before a restore.
async fn position(shared: &Shared, cursor: Option<&str>) -> Result<u64, Refusal> {
    let Some(text) = cursor else { return Ok(0) };
    let cursor: Option<Cursor> = text.parse().ok().filter(|cursor: &Cursor| cursor.feed == shared.feed);
    let newest = shared.house.federation.store.newest().await?;
    cursor.map(|cursor| cursor.after).filter(|after| *after <= newest).ok_or(Refusal::DeadCursor(shared.feed))
}

/// Where the reader stands after this page.
fn reached(entries: &[FeedEntry], limit: usize, newest: u64) -> u64 {
    let last = entries.last().map_or(0, |entry| entry.number);
    if entries.len() < limit { last.max(newest) } else { last }
}

/// Headers of one answer: 248 kB.
const FEED_PAGE: usize = 1000;
const _: () = assert!(FEED_PAGE <= feed::FEED_ENTRIES_MAX);
/// A proxy closes silent connections after 30 s or more.
const WAIT_MAX_S: usize = 25;
/// A long poll looks so often.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// That a peer reads is noted so often, where nothing else about it changes.
const NOTED_S: u64 = 60;
/// Descriptors of one page, and their octets: a reader takes 8 MB.
const NODES_PAGE: usize = 500;
const NODES_OCTETS_MAX: usize = 4_000_000;
