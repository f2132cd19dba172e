//! Asks other nodes over HTTP: signed, one host, no redirects, and never more octets than were agreed.

use std::io::Read;
use std::net::IpAddr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::read::GzDecoder;
use reqwest::{Method, Url};
use sm2tp_federation::request::{self, RequestError, RequestParts, SignatureTerm};
use sm2tp_store::keys::{self, KeysError, LogSigner};
use thiserror::Error;

use super::guard::Guard;
use crate::House;
use crate::outgoing::{self, Met, NoAnswer};
use crate::peering::plain;

/// Where the paths of a node begin: `https://host/fed/v1`, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Api(Url);

/// Asks with the log key of this node. Clones share connections.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    guard: Guard,
    log_key: LogSigner,
}

/// What came back with a status that means yes, with 410, or with 304.
#[derive(Debug)]
pub(crate) struct Answer {
    pub gone: bool,
    /// It is what we had (304), and not sent again.
    pub same: bool,
    /// Its `ETag`.
    pub tag: Option<String>,
    /// `SM2TP-Cursor`.
    pub cursor: Option<String>,
    pub body: Vec<u8>,
}

/// Why another node was not asked, or its answer not used.
#[derive(Debug, Error)]
pub enum FetchError {
    #[error("{text:?}: {why}")]
    Url { text: String, why: ApiFault },
    #[error("{host} cannot be reached: {why}")]
    Unreachable { host: String, why: NoAnswer },
    #[error("{host} is an address behind this machine; [federation] private_peers would allow it")]
    Private { host: String },
    #[error("{host} answered with {status}, which sends us elsewhere: that is not followed")]
    Redirect { host: String, status: u16 },
    #[error("{host} does not accept our signature (401): it has not accepted this node, or a clock is wrong")]
    Stranger { host: String },
    #[error("{host} asks us to come later (429)")]
    Busy { host: String },
    #[error("{host} answered {path} with status {status}{}", says.as_ref().map_or_else(String::new, |says| format!(": {says}")))]
    Status {
        host: String,
        path: String,
        status: u16,
        /// Why, in its own words, where it gives a reason.
        says: Option<String>,
    },
    #[error("{host} answered {path} with more than {octets_max} octets")]
    TooLong { host: String, path: String, octets_max: usize },
    #[error("the answer of {host} is not what was asked for: {why}")]
    Meaning { host: String, why: String },
    #[error("no HTTP client can be made: {0}")]
    Client(String),
    #[error(transparent)]
    Keys(#[from] KeysError),
    #[error("our request cannot be signed: {0}")]
    Sign(#[from] RequestError),
}

/// What is wrong with the address of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ApiFault {
    #[error("it is no address of a server, as https://relay.example.org is one")]
    NoServer,
    #[error("it begins with neither https:// nor http://")]
    Scheme,
    #[error("http:// is for this machine alone; between machines the federation speaks https")]
    Plain,
    #[error("it has more than a server and a path")]
    More,
    #[error("it does not end in /fed/v1")]
    Path,
}

impl Api {
    /// # Errors
    /// [`FetchError::Url`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, FetchError> {
        let wrong = |why| FetchError::Url { text: text.chars().take(200).collect(), why };
        let url = Url::parse(text.trim_end_matches('/')).map_err(|_| wrong(ApiFault::NoServer))?;
        let plain = match url.scheme() {
            "https" => false,
            "http" => true,
            _ => return Err(wrong(ApiFault::Scheme)),
        };
        if plain && !is_loopback(&url) {
            return Err(wrong(ApiFault::Plain));
        }
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
            return Err(wrong(ApiFault::More));
        }
        if !url.path().ends_with("/fed/v1") {
            return Err(wrong(ApiFault::Path));
        }
        Ok(Self(url))
    }

    /// The server that a person typed: with or without `https://`, with or without `/fed/v1`.
    ///
    /// # Errors
    /// [`FetchError::Url`].
    pub(crate) fn typed(text: &str) -> Result<Self, FetchError> {
        let text = text.trim();
        let (scheme, rest) = text.split_once("://").unwrap_or(("https", text));
        let rest = rest.trim_end_matches('/');
        // What the person typed is what the person is told about.
        let wrong = |why| FetchError::Url { text: text.chars().take(200).collect(), why };
        if rest.is_empty() {
            return Err(wrong(ApiFault::NoServer));
        }
        let path = if rest.contains('/') { "" } else { "/fed/v1" };
        Self::parse(&format!("{scheme}://{rest}{path}")).map_err(|error| match error {
            FetchError::Url { why, .. } => wrong(why),
            other => other,
        })
    }

    /// Scheme, host and port: what must not change between what a person typed and what the node says.
    pub(crate) fn same_server(&self, other: &Self) -> bool {
        self.0.origin() == other.0.origin()
    }

    pub(crate) fn is_loopback(&self) -> bool {
        is_loopback(&self.0)
    }

    /// The address, where it is no name.
    pub(crate) fn ip(&self) -> Option<IpAddr> {
        ip(&self.0)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Host and, where it is not the default, port: `@authority` of the signature.
    #[must_use]
    pub fn authority(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        self.0.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// What stands before `/fed/v1`; a proxy takes it away before a request arrives.
    pub(crate) fn prefix(&self) -> &str {
        self.0.path().strip_suffix("/fed/v1").unwrap_or_default()
    }

    fn join(&self, path_and_query: &str) -> Result<Url, FetchError> {
        let text = format!("{}{path_and_query}", self.0);
        Url::parse(&text).map_err(|_| FetchError::Url { text, why: ApiFault::NoServer })
    }

    /// The document that names the `/fed/v1` of a server.
    fn well_known(&self) -> Url {
        let mut url = self.0.clone();
        url.set_path("/.well-known/sm2tp");
        url
    }

    pub(crate) fn meaning(&self, why: impl ToString) -> FetchError {
        FetchError::Meaning { host: self.authority(), why: why.to_string() }
    }
}

impl Client {
    /// # Errors
    /// [`FetchError::Client`] where this machine has no certificates of authorities.
    pub(crate) fn new(house: &House) -> Result<Self, FetchError> {
        let (guard, log_key) = (house.federation.guard(), house.federation.keys().signer());
        let http = outgoing::nameless().dns_resolver(guard.clone());
        let http = http.connect_timeout(CONNECT_MAX).read_timeout(SILENCE_MAX).timeout(ANSWER_MAX);
        let http = http.pool_idle_timeout(kept(house.federation.poll)).tcp_keepalive(KEEPALIVE);
        let http = http.http2_keep_alive_interval(PING_AFTER).http2_keep_alive_timeout(PONG_MAX).build();
        let http = http.map_err(|error| FetchError::Client(outgoing::chain(&error)))?;
        Ok(Self { http, guard, log_key })
    }

    /// A public document.
    pub(crate) async fn open(&self, api: &Api, path: &str, octets_max: usize) -> Result<Answer, FetchError> {
        self.send(api, self.http.get(api.join(path)?), path, octets_max).await
    }

    /// A public document, where it is another one than that with the tag `known`: the first question of a contact. It goes over
    /// the connection of the last one, which the other side or a firewall between may have forgotten without a word: where
    /// nothing is heard soon, it is asked once more, on a new one.
    pub(crate) async fn open_other(
        &self,
        api: &Api,
        path: &str,
        known: Option<&str>,
        octets_max: usize,
    ) -> Result<Answer, FetchError> {
        let mut asked = self.http.get(api.join(path)?);
        if let Some(known) = known {
            asked = asked.header("if-none-match", known);
        }
        let Some(again) = asked.try_clone() else { return self.send(api, asked, path, octets_max).await };
        match self.send(api, asked.timeout(FORGOTTEN_AFTER), path, octets_max).await {
            Err(FetchError::Unreachable { why, .. }) if why.met == Met::Yes => {
                tracing::debug!(host = %api.authority(), %why, "asked again on a new connection");
                self.send(api, again, path, octets_max).await
            }
            answer => answer,
        }
    }

    pub(crate) async fn well_known(&self, api: &Api) -> Result<Answer, FetchError> {
        self.send(api, self.http.get(api.well_known()), "/.well-known/sm2tp", SMALL_MAX).await
    }

    /// A document for accepted peers.
    pub(crate) async fn get(&self, api: &Api, path: &str, octets_max: usize) -> Result<Answer, FetchError> {
        self.signed(api, Method::GET, path, Vec::new(), octets_max).await
    }

    pub(crate) async fn post(&self, api: &Api, path: &str, body: Vec<u8>) -> Result<Answer, FetchError> {
        self.signed(api, Method::POST, path, body, SMALL_MAX).await
    }

    async fn signed(
        &self,
        api: &Api,
        method: Method,
        path: &str,
        body: Vec<u8>,
        octets_max: usize,
    ) -> Result<Answer, FetchError> {
        let url = api.join(path)?;
        let (created, nonce) = (crate::now(), URL_SAFE_NO_PAD.encode(&keys::random()?[..NONCE_OCTETS]));
        let parts = RequestParts {
            method: method.as_str(),
            authority: &api.authority(),
            path: url.path(),
            query: url.query().unwrap_or_default(),
            body: &body,
        };
        let term = SignatureTerm { created, expires: created + SIGNATURE_LIFE_S, nonce: &nonce };
        let signed = request::sign(&self.log_key.key(), &parts, &term)?;
        let mut asked = self
            .http
            .request(method, url)
            .header("signature-input", signed.signature_input)
            .header("signature", signed.signature);
        if let Some(digest) = signed.content_digest {
            asked = asked.header("content-digest", digest).header("content-type", "application/json").body(body);
        }
        self.send(api, asked, path, octets_max).await
    }

    async fn send(
        &self,
        api: &Api,
        asked: reqwest::RequestBuilder,
        path: &str,
        octets_max: usize,
    ) -> Result<Answer, FetchError> {
        let host = api.authority();
        if !self.guard.reaches(api) {
            return Err(FetchError::Private { host });
        }
        let unreachable = |error: reqwest::Error| FetchError::Unreachable { host: host.clone(), why: error.into() };
        let mut answer = asked.header("accept-encoding", "gzip").send().await.map_err(unreachable)?;
        let path = path.split('?').next().unwrap_or_default().to_owned();
        match answer.status().as_u16() {
            200..=299 | 304 | 410 => {}
            401 => return Err(FetchError::Stranger { host }),
            429 => return Err(FetchError::Busy { host }),
            status @ 300..=399 => return Err(FetchError::Redirect { host, status }),
            status => return Err(FetchError::Status { host, path, status, says: says(&mut answer).await }),
        }
        let (gone, same) = (answer.status().as_u16() == 410, answer.status().as_u16() == 304);
        let packed = answer.headers().get("content-encoding").is_some_and(|coding| coding == "gzip");
        let field = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (cursor, tag) = (field("sm2tp-cursor"), field("etag").filter(|tag| tag.len() <= TAG_MAX));
        let mut body = Vec::new();
        // The announced length may be a lie or absent: what counts is what arrives.
        while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
            if octets_max < body.len() + chunk.len() {
                return Err(FetchError::TooLong { host, path, octets_max });
            }
            body.extend_from_slice(&chunk);
        }
        if packed {
            body = unpack(&body, octets_max).ok_or(FetchError::TooLong { host, path, octets_max })?;
        }
        Ok(Answer { gone, same, tag, cursor, body })
    }
}

/// The beginning of a reason in plain text. Pages that web servers make of an error are none.
async fn says(answer: &mut reqwest::Response) -> Option<String> {
    let kind = answer.headers().get("content-type")?.to_str().ok()?;
    if !kind.starts_with("text/plain") || answer.headers().contains_key("content-encoding") {
        return None;
    }
    let chunk = answer.chunk().await.ok()??;
    let text = plain(&String::from_utf8_lossy(&chunk[..chunk.len().min(REASON_MAX)]));
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// How long a connection without questions is kept: until the next contact, which is up to a fifth later than `poll`. Whoever asks
/// more seldom than that makes a new one, and the other side keeps nothing for it.
fn kept(poll: Duration) -> Duration {
    let longest = poll.mul_f64(1.5);
    if longest <= KEPT_MAX { longest.max(KEPT_MIN) } else { KEPT_MIN }
}

/// What was packed, where it is no more than was agreed: a few kilobytes can become gigabytes. What is broken is cut there,
/// and seen by whoever reads it.
fn unpack(packed: &[u8], octets_max: usize) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    let most = u64::try_from(octets_max).unwrap_or(u64::MAX).saturating_add(1);
    let _ = GzDecoder::new(packed).take(most).read_to_end(&mut body);
    (body.len() <= octets_max).then_some(body)
}

impl Answer {
    pub(crate) fn text(&self, api: &Api) -> Result<&str, FetchError> {
        std::str::from_utf8(&self.body).map_err(|_| api.meaning("it is no UTF-8"))
    }

    pub(crate) fn json(&self, api: &Api) -> Result<serde_json::Value, FetchError> {
        serde_json::from_slice(&self.body).map_err(|error| api.meaning(error))
    }
}

/// 127.0.0.0/8, `::1` and `localhost`; a name that merely resolves there does not count.
fn is_loopback(url: &Url) -> bool {
    url.host_str() == Some("localhost") || ip(url).is_some_and(|ip| ip.is_loopback())
}

/// The address in a URL, where it is no name; one of IPv6 stands in brackets.
fn ip(url: &Url) -> Option<IpAddr> {
    let host = url.host_str()?;
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).parse().ok()
}

/// A server that is there answers a connection at once.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// The first question of a contact, with a connection if it needs one, before it is asked again. Longer than `CONNECT_MAX`: a
/// server that is away is away the second time.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(12);
/// HTTP/2 asks several things over one connection, so that an answer that is late does not end it: a PING finds out before the question
/// is asked again. Only while there is one.
const PING_AFTER: Duration = Duration::from_secs(5);
const PONG_MAX: Duration = Duration::from_secs(5);
/// A connection without questions: one for each peer, which costs both sides a file descriptor.
const KEPT_MAX: Duration = Duration::from_secs(1800);
/// Between questions of one contact, and for peers that are asked seldom.
const KEPT_MIN: Duration = Duration::from_secs(90);
/// A sign of life on a connection without questions: firewalls and routers forget what was silent for four minutes, some for less.
const KEEPALIVE: Duration = Duration::from_secs(100);
/// Between two pieces of an answer.
const SILENCE_MAX: Duration = Duration::from_secs(20);
/// A whole answer: 8 MB over 1 Mbit/s take 64 s.
const ANSWER_MAX: Duration = Duration::from_secs(120);
/// Half of what the protocol allows: a request is signed when it is sent.
const SIGNATURE_LIFE_S: u64 = 60;
/// A nonce is told apart from others of the same key within two minutes.
const NONCE_OCTETS: usize = 9;
/// Octets of an `ETag` that is sent back: it is kept of each peer.
const TAG_MAX: usize = 200;
/// Octets of a reason that is shown to a person.
const REASON_MAX: usize = 200;
/// Octets of answers that are one short document.
pub(crate) const SMALL_MAX: usize = 64 * 1024;
/// Octets of one segment: 131 kB at most in version 1, with room for later ones.
pub(crate) const SEGMENT_MAX: usize = 200_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: Option<&str>) {
        assert_eq!(Api::typed(text).ok().as_ref().map(Api::as_str), want, "{text}");
    }

    #[test]
    fn a_person_types_a_server_and_http_stays_on_this_machine() {
        check("relay.example.org", Some("https://relay.example.org/fed/v1"));
        check(" https://relay.example.org/ ", Some("https://relay.example.org/fed/v1"));
        check("https://relay.example.org:8443/fed/v1", Some("https://relay.example.org:8443/fed/v1"));
        check("http://127.0.0.1:80/fed/v1", Some("http://127.0.0.1/fed/v1"));
        check("http://localhost:8025", Some("http://localhost:8025/fed/v1"));
        check("http://[::1]:8025", Some("http://[::1]:8025/fed/v1"));
        for text in [
            "http://relay.example.org",
            "http://10.0.0.1/fed/v1",
            "http://169.254.169.254/fed/v1",
            "http://localhost.example.org/fed/v1",
            "http://localhost@relay.example.org/fed/v1",
            "https://user:secret@relay.example.org/fed/v1",
            "https://relay.example.org/admin",
            "https://relay.example.org/fed/v1?x=1",
            "ftp://relay.example.org/fed/v1",
            "https://",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn a_connection_is_kept_until_the_next_question_where_that_is_soon() {
        let minutes = |n: u64| Duration::from_secs(60 * n);
        assert!(minutes(5).mul_f64(1.2) < kept(minutes(5)));
        assert_eq!(kept(Duration::from_secs(1)), KEPT_MIN);
        assert_eq!(kept(minutes(20)), KEPT_MAX);
        assert_eq!(kept(minutes(24 * 60)), KEPT_MIN);
    }

    #[test]
    fn the_authority_is_what_the_other_side_configured() {
        assert_eq!(Api::typed("https://Relay.example.org:443").unwrap().authority(), "relay.example.org");
        assert_eq!(Api::typed("http://127.0.0.1:8025").unwrap().authority(), "127.0.0.1:8025");
        assert_eq!(Api::parse("https://a.example/mail/fed/v1").unwrap().prefix(), "/mail");
    }
}
