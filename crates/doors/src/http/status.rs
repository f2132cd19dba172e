//! How the node is, for programs on this machine and for the page: counts, queue, federation; nothing about single people.

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use serde::Serialize;
use sm2tp_federation::keys::NodeKey;
use sm2tp_store::federated::{Peer, PeerState};
use sm2tp_store::sql;

use super::gate::local;
use super::refusal::Refusal;
use super::{Client, Door};
use crate::House;
use crate::turned_away::Turned;

/// `GET /api/v1/status`; fields are added, never renamed.
#[derive(Debug, Serialize)]
pub(super) struct Status {
    pub hostname: String,
    /// What a person must decide or repair.
    pub waiting: Vec<Waiting>,
    pub queue: Queue,
    /// Happenings that the ledger has not taken yet.
    pub outbox: u64,
    pub counters: Vec<Counter>,
    pub known_addresses: usize,
    /// Connections that the SMTP door did not take, since the start.
    pub turned_away: Turned,
    pub federation: FederationStatus,
}

/// One thing that waits for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Waiting {
    /// `rules`: a file of rules for replies that cannot be used; `breaker`: a provider that is not believed;
    /// `sender`: senders that the watch has blocked, or would block.
    pub kind: &'static str,
    /// Unix seconds; null where it is not known.
    pub since: Option<u64>,
    /// What it is about, in the words of the program.
    pub detail: String,
}

/// Recipients that wait, by lane.
#[derive(Debug, Serialize)]
pub(super) struct Queue {
    pub normal: u64,
    pub slow: u64,
    pub held: u64,
    /// Unix seconds of the oldest mail; null without one.
    pub oldest_at: Option<u64>,
}

/// A sum over all hours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Counter {
    pub kind: String,
    pub cause: String,
    pub stream: String,
    pub org: String,
    pub count: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct FederationStatus {
    pub node: NodeKey,
    pub fingerprint: String,
    pub published: u64,
    pub received: u64,
    pub pending: u64,
    pub peers: Vec<PeerStatus>,
}

#[derive(Debug, Serialize)]
pub(super) struct PeerStatus {
    pub name: String,
    pub node: NodeKey,
    pub fingerprint: String,
    pub url: String,
    pub state: PeerState,
    pub read: bool,
    pub weight: f64,
    /// The last try, whatever came of it.
    pub polled_at: Option<u64>,
    /// The last try that it answered.
    pub answered_at: Option<u64>,
    pub trouble: Option<String>,
    /// The same by key and values (docs/api.md).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<serde_json::Value>,
}

/// `GET /api/v1/status`
pub(super) async fn status(
    State(shared): Door,
    Extension(client): Extension<Client>,
    headers: HeaderMap,
) -> Result<Json<Status>, Refusal> {
    local(client, &headers)?;
    Ok(Json(gather(&shared.house).await?))
}

pub(super) async fn gather(house: &House) -> Result<Status, Refusal> {
    let trouble = |error: &dyn std::error::Error| Refusal::Trouble(error.to_string());
    let depth = house.spool.depth().await.map_err(|error| trouble(&error))?;
    let counters = house.ledger.read(|sql| Ok(sql::all(sql, COUNTERS, &[], counter)?)).await;
    let (store, publisher) = (&house.federation.store, &house.federation.publisher);
    let own = publisher.own;
    let (published, received) = store.counts(own);
    Ok(Status {
        hostname: house.hostname.to_string(),
        waiting: waiting(house),
        queue: Queue {
            normal: depth.normal,
            slow: depth.slow,
            held: depth.held,
            oldest_at: (depth.oldest_at != 0).then_some(depth.oldest_at),
        },
        outbox: depth.outbox,
        counters: counters.map_err(|error| trouble(&error))?,
        known_addresses: house.ledger.views().len(),
        turned_away: house.turned_away.so_far(),
        federation: FederationStatus {
            node: own,
            fingerprint: own.fingerprint(),
            published,
            received,
            pending: publisher.waiting().await?,
            peers: store.peers().await?.into_iter().map(PeerStatus::from).collect(),
        },
    })
}

pub(crate) fn waiting(house: &House) -> Vec<Waiting> {
    let rules = house.federation.publisher.classifier.trouble();
    let rules = rules.map(|trouble| Waiting { kind: "rules", since: None, detail: trouble.to_string() });
    let breakers = house.ledger.breakers().list(crate::now()).into_iter().map(|tripped| Waiting {
        kind: "breaker",
        since: Some(tripped.since),
        detail: format!("{}: {} refusals set aside; sm2tp breaker list", tripped.provider, tripped.parked),
    });
    // Nobody is named on a page that may be shown to others.
    let blocked = house.senders.blocked();
    let senders = (blocked != 0).then(|| Waiting {
        kind: "sender",
        since: None,
        detail: format!("{blocked}: sm2tp sender list"),
    });
    let paused = house.paused.list();
    let exits = paused.iter().filter(|pause| house.exits.iter().any(|exit| exit.name == pause.exit));
    let exits = exits.map(|pause| Waiting {
        kind: "exit",
        since: Some(pause.since),
        detail: format!("{}: sm2tp exit resume {}", pause.exit, pause.exit),
    });
    rules.into_iter().chain(breakers).chain(senders).chain(exits).collect()
}

impl Status {
    /// The sum of one kind, for one cause or all.
    pub(super) fn sum(&self, kind: &str, cause: Option<&str>) -> u64 {
        let matching = self.counters.iter().filter(|c| c.kind == kind && cause.is_none_or(|cause| c.cause == cause));
        matching.map(|counter| counter.count).sum()
    }
}

impl From<Peer> for PeerStatus {
    fn from(peer: Peer) -> Self {
        Self {
            fingerprint: peer.node.fingerprint(),
            name: peer.name,
            node: peer.node,
            url: peer.url,
            state: peer.state,
            read: peer.read,
            weight: peer.weight,
            polled_at: peer.polled_at,
            answered_at: peer.answered_at,
            trouble: peer.trouble,
            reason: peer.reason,
        }
    }
}

fn counter(row: &sql::Row) -> Result<Counter, sql::SqlError> {
    let text = |column| row.text(column).map(str::to_owned);
    Ok(Counter { kind: text(0)?, cause: text(1)?, stream: text(2)?, org: text(3)?, count: row.uint(4)? })
}

const COUNTERS: &str = "SELECT kind, cause, stream, org, SUM(count) FROM counter GROUP BY kind, cause, stream, org \
    ORDER BY kind, cause, stream, org";
