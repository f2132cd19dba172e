//! The fields of HTTP around what nodes ask each other, written out as a node and its library write them: the signature is the real one.
//! Beside them what TLS adds, and what a web server that ends it. `tests/all/octets.rs` holds them to what two nodes send through a
//! proxy that counts.

use ed25519_dalek::SigningKey;
use serde::Serialize;
use sm2tp_federation::request::{self, RequestParts, SignatureTerm};

/// Octets of requests and answers, fields and line ends; without path, host, and digits of a length, which are added for each.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Fields {
    asked_node: u64,
    asked: u64,
    same: u64,
    feed: u64,
    segment: u64,
    /// What TLS puts around each question and around each answer, which are a record each.
    record: u64,
    /// A connection that is opened again with a ticket, and closed.
    handshake: u64,
    /// What a web server before a node adds to each answer.
    front: u64,
}

impl Fields {
    pub(super) fn new() -> Self {
        let octets = |text: &str| text.len() as u64;
        let rest = "accept: */*\r\naccept-encoding: gzip\r\nhost: \r\n\r\n";
        let parts = RequestParts { method: "GET", authority: HOST, path: "/", query: "", body: &[] };
        let nonce = "n".repeat(NONCE_OCTETS);
        let term = SignatureTerm { created: super::START, expires: super::START + 60, nonce: &nonce };
        let signed =
            request::sign(&SigningKey::from_bytes(&[1; 32]), &parts, &term).expect("a request as nodes sign it");
        let signature = format!("signature-input: {}\r\nsignature: {}\r\n", signed.signature_input, signed.signature);
        let date = "date: Thu, 01 Jan 2026 00:00:00 GMT\r\n\r\n";
        Self {
            asked_node: octets("GET  HTTP/1.1\r\nif-none-match: \"10\"\r\n") + octets(rest),
            asked: octets("GET  HTTP/1.1\r\n") + octets(&signature) + octets(rest),
            same: octets("HTTP/1.1 304 Not Modified\r\netag: \"10\"\r\ncache-control: no-cache\r\n") + octets(date),
            feed: octets("HTTP/1.1 200 OK\r\nsm2tp-cursor: \r\ncache-control: no-store\r\ncontent-length: \r\n")
                + octets(date),
            segment: octets(
                "HTTP/1.1 200 OK\r\netag: \"0123456789012345678901-gzip\"\r\ncache-control: no-store\r\ncontent-encoding: gzip\r\ncontent-length: \r\n",
            ) + octets(date),
            record: RECORD,
            handshake: HANDSHAKE,
            front: octets("server: nginx/1.22.1\r\nconnection: keep-alive\r\n"),
        }
    }

    /// What lies around so many questions and their answers, beside their fields.
    pub(super) fn around(&self, questions: u64) -> u64 {
        questions * (2 * self.record + self.front)
    }

    /// What a connection costs that is opened again where this one is too old: a web server keeps none for ever.
    pub(super) fn opening(&self, opened_at: &mut u64, now: u64) -> u64 {
        if now < *opened_at + KEPT_S {
            return 0;
        }
        *opened_at = now;
        self.handshake
    }

    /// A question for a feed, its answer of so many octets, and before it whether the descriptor is another one, which it is not.
    pub(super) fn poll(&self, marks: usize, octets: u64) -> u64 {
        let node = self.asked_node + self.same + (NODE.len() + HOST.len()) as u64;
        let has = if marks == 0 { 0 } else { "&has=".len() + (marks * 4 * 4).div_ceil(3) };
        node + self.asked + self.feed + (FEED.len() + has + HOST.len() + CURSOR.len()) as u64 + digits(octets)
    }

    /// A question for a segment and what stands around it.
    pub(super) fn fetch(&self, segno: u32, octets: u64) -> u64 {
        self.asked
            + self.segment
            + (LOG.len() + "?body=1".len() + HOST.len()) as u64
            + digits(u64::from(segno))
            + digits(octets)
    }
}

fn digits(number: u64) -> u64 {
    u64::from(number.checked_ilog10().unwrap_or(0) + 1)
}

/// A name of usual length.
const HOST: &str = "relay.example.org";
const NODE: &str = "/fed/v1/node";
const CURSOR: &str = "01234567-0123-0123-0123-012345678901:123456";
const FEED: &str = "/fed/v1/feed?after=01234567-0123-0123-0123-012345678901:123456&limit=1000";
/// Without the number of the segment.
const LOG: &str = "/fed/v1/log/0123456789012345678901234567890123456789012/0/";
/// TLS 1.3 (RFC 8446 §5.2): a head of five octets, one for the kind, sixteen for the seal.
const RECORD: u64 = 22;
/// As two nodes need with nginx 1.22 between; with haproxy 2.6 it is 47 less. A whole one, with the certificates of a public authority, is 3.4 kB.
const HANDSHAKE: u64 = 1243;
/// nginx keeps a connection for an hour at most, however much is asked over it (`keepalive_time`).
const KEPT_S: u64 = 3600;
/// Nine random octets in base64url.
const NONCE_OCTETS: usize = 12;
