//! Who asks: the signature of a request, its nonce, and how often a peer may come; and who is on this machine.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, header};
use sm2tp_federation::keys::{LogKey, NodeKey};
use sm2tp_federation::request::{self, Authentic, RequestError, RequestParts, SignatureHeaders};
use sm2tp_store::federated::Peer;
use tokio::time::timeout;

use super::refusal::Refusal;
use super::{Client, Shared};
use crate::follow::Api;

/// What is remembered of requests.
pub(super) struct Gate {
    authority: Vec<String>,
    nonces: Mutex<Nonces>,
    counts: Mutex<Counts>,
}

/// A request with its whole body.
pub(crate) struct Asked {
    method: String,
    path: String,
    query: String,
    headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Gate {
    pub(super) fn new(authority: Vec<String>) -> Self {
        Self { authority, nonces: Mutex::default(), counts: Mutex::default() }
    }

    /// Checks a signature. `accepted` says what is known of a log key.
    pub(super) fn verify<P>(
        &self,
        asked: &Asked,
        prefix: &str,
        now: u64,
        accepted: impl Fn(&LogKey) -> Option<P>,
    ) -> Result<Authentic<P>, RequestError> {
        let once = |name: &str| {
            let mut values = asked.headers.get_all(name).iter();
            let value = values.next().and_then(|value| value.to_str().ok());
            value.filter(|_| values.next().is_none())
        };
        let headers = SignatureHeaders {
            signature_input: once("signature-input").unwrap_or_default(),
            signature: once("signature").unwrap_or_default(),
            content_digest: once("content-digest"),
        };
        // A proxy takes the prefix away; what was signed has it. As the authority it comes from configuration.
        let path = format!("{prefix}{}", asked.path);
        let mut last = RequestError::Parts;
        for authority in &self.authority {
            let (method, query) = (&asked.method[..], &asked.query[..]);
            let parts = RequestParts { method, authority, path: &path, query, body: &asked.body };
            match request::verify(&parts, &headers, now, &accepted) {
                Err(error @ RequestError::Forged(_)) => last = error,
                other => return other,
            }
        }
        Err(last)
    }

    /// Remembers the nonce of a request, and counts it for its peer or, without one, for all strangers together.
    pub(super) fn pass<P>(&self, by: Option<NodeKey>, request: &Authentic<P>, now: u64) -> Result<(), Refusal> {
        held(&self.counts).take(by, now)?;
        held(&self.nonces).take(request.key(), request.nonce(), request.expires(), now)
    }
}

impl Asked {
    /// Reads the request, within a number of octets and seconds.
    pub(crate) async fn read(request: Request, octets_max: usize) -> Result<Self, Refusal> {
        let (parts, body) = request.into_parts();
        Ok(Self {
            method: parts.method.to_string(),
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            headers: parts.headers,
            body: read_body(body, octets_max).await?,
        })
    }

    pub(super) fn header(&self, name: header::HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The value of a parameter of the query, as it stands there: nothing of ours needs percent signs.
    pub(super) fn param(&self, name: &str) -> Option<&str> {
        self.query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }

    /// The same, as a number.
    pub(super) fn number(&self, name: &str, default: usize) -> Result<usize, Refusal> {
        let value = self.param(name).map(str::parse).transpose();
        value.map(|value| value.unwrap_or(default)).map_err(|_| Refusal::Bad("a parameter is no number"))
    }
}

impl Shared {
    /// The accepted peer that signed this request.
    pub(super) async fn peer(&self, request: Request, octets_max: usize) -> Result<(Peer, LogKey, Asked), Refusal> {
        let asked = Asked::read(request, octets_max).await?;
        let (now, prefix) = (crate::now(), self.prefix());
        // First without anybody: the cheap checks, and whose key it would be.
        let key = match self.gate.verify(&asked, &prefix, now, |_| None::<()>) {
            Err(RequestError::UnknownKey(key)) => key,
            Err(error) => return Err(error.into()),
            Ok(_) => return Err(RequestError::Parts.into()),
        };
        let peer = self.house.federation.store.accepted_by_log_key(&key, now).await?;
        let request = self.gate.verify(&asked, &prefix, now, |_| peer.clone())?;
        self.gate.pass(Some(request.peer().node), &request, now)?;
        Ok((request.into_peer(), key, asked))
    }

    /// What stands before `/fed/v1` in the address that this node gives to others.
    pub(super) fn prefix(&self) -> String {
        let own = self.house.federation.own();
        Api::parse(&own.descriptor().api).map_or_else(|_| String::new(), |api| api.prefix().to_owned())
    }
}

/// A client on this machine that no proxy stands before, as far as one can see.
pub(crate) fn local(client: Client, headers: &HeaderMap) -> Result<(), Refusal> {
    if client.0.ip().to_canonical().is_loopback() && !passed_on(headers) && named_by_itself(headers) {
        return Ok(());
    }
    Err(Refusal::Forbidden(
        "This page is for the machine itself in this version: open it there, or through ssh -L 8025:127.0.0.1:8025 as http://127.0.0.1:8025/.",
    ))
}

/// A proxy says that it stands in between.
pub(crate) fn passed_on(headers: &HeaderMap) -> bool {
    ["forwarded", "x-forwarded-for", "x-real-ip", "via"].iter().any(|name| headers.contains_key(*name))
}

/// The machine is asked under its own name. A page of another site that made its name point here would send that name.
pub(crate) fn named_by_itself(headers: &HeaderMap) -> bool {
    is_loopback(headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default())
}

fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((inside, _)) => inside,
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

async fn read_body(body: Body, octets_max: usize) -> Result<Vec<u8>, Refusal> {
    timeout(BODY_MAX, super::body::read(body, octets_max)).await.ok().flatten().ok_or(Refusal::Body(octets_max))
}

/// Each nonce until its request expires; the second request with it is a replay.
#[derive(Default)]
struct Nonces {
    until: HashMap<(LogKey, String), u64>,
    swept_at: u64,
}

impl Nonces {
    fn take(&mut self, key: LogKey, nonce: &str, expires: u64, now: u64) -> Result<(), Refusal> {
        if self.swept_at.saturating_add(SWEEP_S) <= now {
            self.until.retain(|_, until| now <= *until);
            self.swept_at = now;
        }
        if self.until.contains_key(&(key, nonce.to_owned())) {
            return Err(Refusal::Replay(nonce.to_owned()));
        }
        if NONCES_MAX <= self.until.len() {
            return Err(Refusal::TooMany { what: "too many requests at once", after_s: SWEEP_S });
        }
        self.until.insert((key, nonce.to_owned()), expires);
        Ok(())
    }
}

/// Requests in the current minute; bounded by the number of peers.
#[derive(Default)]
struct Counts {
    minute: u64,
    counts: HashMap<Option<NodeKey>, u32>,
}

impl Counts {
    fn take(&mut self, by: Option<NodeKey>, now: u64) -> Result<(), Refusal> {
        if self.minute != now / 60 {
            self.minute = now / 60;
            self.counts.clear();
        }
        let count = self.counts.entry(by).or_default();
        let limit = if by.is_some() { REQUESTS_MAX } else { STRANGERS_MAX };
        if limit <= *count {
            return Err(Refusal::TooMany { what: "too many requests in this minute", after_s: 60 - now % 60 });
        }
        *count += 1;
        Ok(())
    }
}

fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A body arrives in this time or not at all.
const BODY_MAX: Duration = Duration::from_secs(20);
/// A nonce has up to 128 octets: 30 MB at most.
const NONCES_MAX: usize = 100_000;
/// Expired nonces are dropped so often.
const SWEEP_S: u64 = 10;
/// Requests of one peer in a minute: a backfill segment by segment is ten a second.
const REQUESTS_MAX: u32 = 600;
/// Requests for peering of all strangers in a minute.
const STRANGERS_MAX: u32 = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_used_once_and_forgotten_when_it_expires() {
        let (mut nonces, key) = (Nonces::default(), LogKey([1; 32]));
        nonces.take(key, "abcdefgh", 1060, 1000).unwrap();
        assert!(matches!(nonces.take(key, "abcdefgh", 1060, 1030), Err(Refusal::Replay(_))));
        nonces.take(LogKey([2; 32]), "abcdefgh", 1060, 1030).unwrap();
        nonces.take(key, "abcdefgh", 1200, 1100).unwrap();
        assert_eq!(nonces.until.len(), 1);
    }

    #[test]
    fn the_memory_of_nonces_is_bounded() {
        let (mut nonces, key) = (Nonces::default(), LogKey([1; 32]));
        for n in 0..NONCES_MAX {
            nonces.take(key, &n.to_string(), 1060, 1000).unwrap();
        }
        assert!(matches!(nonces.take(key, "one more", 1060, 1000), Err(Refusal::TooMany { .. })));
        nonces.take(key, "one more", 1160, 1100).unwrap();
    }

    #[test]
    fn a_peer_may_come_six_hundred_times_a_minute() {
        let (mut counts, peer) = (Counts::default(), Some(NodeKey([1; 32])));
        for _ in 0..REQUESTS_MAX {
            counts.take(peer, 1000).unwrap();
        }
        assert!(matches!(counts.take(peer, 1000), Err(Refusal::TooMany { after_s: 20, .. })));
        counts.take(Some(NodeKey([2; 32])), 1000).unwrap();
        counts.take(peer, 1020).unwrap();
    }

    #[test]
    fn a_host_is_this_machine_by_its_own_name_only() {
        for host in ["localhost", "localhost:8025", "127.0.0.1:8025", "127.3.2.1", "[::1]:8025"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["", "relay.example.org", "127.0.0.1.example.org", "[::2]:80", "localhost.example.org:1"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
