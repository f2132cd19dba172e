//! What a node says about itself: `GET /api/v1/status`, asked over loopback, and `sm2tp queue list --json`.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The part of the status that the demonstration counts.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Status {
    pub queue: Queue,
    /// Happenings that the ledger has not read yet.
    pub outbox: u64,
    pub counters: Vec<Counter>,
    pub federation: Federation,
}

/// Recipients that wait, by lane.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub struct Queue {
    pub normal: u64,
    pub slow: u64,
    pub held: u64,
}

/// A sum of the ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Counter {
    pub kind: String,
    pub cause: Option<String>,
    pub stream: Option<String>,
    pub count: u64,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Federation {
    pub published: u64,
    pub received: u64,
    /// Events that wait for their hold-down or their seal.
    pub pending: u64,
    pub peers: Vec<Peer>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Peer {
    /// `accepted` when both administrators have agreed.
    pub state: String,
}

/// One recipient in a node's queue.
#[derive(Debug, Clone, Deserialize)]
pub struct QueuedRow {
    pub recipient: String,
}

impl Queue {
    #[must_use]
    pub fn total(&self) -> u64 {
        self.normal + self.slow + self.held
    }
}

impl Federation {
    #[must_use]
    pub fn has_peer(&self) -> bool {
        self.peers.iter().any(|peer| peer.state == "accepted")
    }
}

impl Status {
    /// The sum of all counters that fit. Reports to senders are counted under kinds of their own, and where a node
    /// counts them with the rest, they are its only transactional mail.
    #[must_use]
    pub fn sum(&self, kind: &str, cause: Option<&str>) -> u64 {
        let fits = |counter: &&Counter| {
            counter.kind == kind
                && counter.stream.as_deref() != Some("transactional")
                && cause.is_none_or(|cause| counter.cause.as_deref() == Some(cause))
        };
        self.counters.iter().filter(fits).map(|counter| counter.count).sum()
    }

    /// Nothing waits: not for delivery, and not for the ledger.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.outbox == 0 && self.queue.total() == 0
    }
}

/// Asks a node. HTTP/1.0, so that the answer comes in one piece and the connection ends with it.
///
/// # Errors
/// Where the node does not answer with 200 and such an object.
pub async fn fetch(node: SocketAddr) -> anyhow::Result<Status> {
    let body = timeout(ANSWER_MAX, get(node, "/api/v1/status")).await.context("the node does not answer")??;
    serde_json::from_str(&body).context("the node's status cannot be read")
}

async fn get(node: SocketAddr, path: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(node).await?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {node}\r\nAccept: application/json\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(STATUS_OCTETS_MAX).read_to_end(&mut answer).await?;
    let answer = String::from_utf8(answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer has no end of its header")?;
    if head.split(' ').nth(1) != Some("200") {
        bail!("{path}: {}", head.lines().next().unwrap_or_default());
    }
    Ok(body.to_owned())
}

const ANSWER_MAX: Duration = Duration::from_secs(5);
const STATUS_OCTETS_MAX: u64 = 1024 * 1024;
