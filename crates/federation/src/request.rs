//! HTTP message signatures (RFC 9421) in exactly the profile of `FEDERATION.md` §6, and `Content-Digest` (RFC 9530).
//!
//! Not a library for RFC 9421: one order of components, one set of parameters, no white space that the RFC's own
//! serialisation does not write. Replays are the caller's matter: it keeps each nonce until `expires`.

use ed25519_dalek::{Signer, SigningKey};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use thiserror::Error;

use crate::bytes::{base64, from_base64};
use crate::keys::LogKey;

/// What is signed of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestParts<'a> {
    /// `GET`, `POST`: case counts.
    pub method: &'a str,
    /// Host and, where it is not the default, port. The verifier takes it from its own configuration, not from the
    /// request: a proxy may have changed that.
    pub authority: &'a str,
    /// As on the wire, percent-encoded, from the first `/`.
    pub path: &'a str,
    /// Without the `?`; empty where there is none.
    pub query: &'a str,
    /// Empty where there is none; then no digest is covered.
    pub body: &'a [u8],
}

/// The three headers of a request as they were received, each at most once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SignatureHeaders<'a> {
    pub signature_input: &'a str,
    pub signature: &'a str,
    pub content_digest: Option<&'a str>,
}

/// The values of the headers that a signer adds: `Signature-Input`, `Signature`, `Content-Digest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedRequest {
    pub signature_input: String,
    pub signature: String,
    pub content_digest: Option<String>,
}

/// The times and the nonce of one signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignatureTerm<'a> {
    /// Unix seconds.
    pub created: u64,
    /// Unix seconds, at most [`LIFE_MAX_S`] after `created`.
    pub expires: u64,
    /// 8 to 128 characters, letters, digits, `-`, `_`, `+`, `/`, `=`, `.`.
    pub nonce: &'a str,
}

/// A request whose signature is good: only [`verify`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authentic<P> {
    peer: P,
    key: LogKey,
    nonce: String,
    expires: u64,
}

/// Why a request is not from whom it says. To the other side all but the clock are a bare 401.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RequestError {
    #[error("Signature-Input does not follow the profile: {0}")]
    Input(&'static str),
    #[error("Signature is not one base64 value of 64 octets under the same label")]
    Signature,
    #[error("expires - created is {life_s} s; 1 to {LIFE_MAX_S} are allowed")]
    Life { life_s: i128 },
    #[error("created {ahead_s} s ahead of our clock; {SKEW_MAX_S} s are the limit")]
    Future { ahead_s: u64 },
    #[error("expired {late_s} s ago by our clock")]
    Expired { late_s: u64 },
    #[error("the nonce has {octets} octets; {NONCE_OCTETS_MIN} to {NONCE_OCTETS_MAX} plain characters are allowed")]
    Nonce { octets: usize },
    #[error("a body without Content-Digest, or a Content-Digest without a body")]
    DigestMissing,
    #[error("Content-Digest is not the sha-256 of the body")]
    Digest,
    #[error("log key {0} is not that of an accepted peer")]
    UnknownKey(LogKey),
    #[error("the signature is not that of log key {0} over this request")]
    Forged(LogKey),
    #[error("method, authority, path or query hold white space or control characters")]
    Parts,
}

/// Signs a request.
///
/// # Errors
/// [`RequestError`] where no verifier would take it: life, nonce or parts.
pub fn sign(
    log_key: &SigningKey,
    parts: &RequestParts<'_>,
    term: &SignatureTerm<'_>,
) -> Result<SignedRequest, RequestError> {
    check_parts(parts)?;
    check_life(term.created, term.expires)?;
    check_nonce(term.nonce)?;
    let content_digest = (!parts.body.is_empty()).then(|| digest(parts.body));
    let components = if content_digest.is_some() { COVERED_WITH_BODY } else { COVERED };
    let params = format!(
        r#"{components};created={};expires={};nonce="{}";alg="ed25519";keyid="{}";tag="{TAG}""#,
        term.created,
        term.expires,
        term.nonce,
        LogKey::of(log_key),
    );
    let base = signature_base(parts, content_digest.as_deref(), &params);
    let signature = format!("{LABEL}=:{}:", base64(&log_key.sign(base.as_bytes()).to_bytes()));
    Ok(SignedRequest { signature_input: format!("{LABEL}={params}"), signature, content_digest })
}

/// Verifies a request. `accepted` answers with what the caller knows of a log key, or none: a stranger.
///
/// The cheap checks come first; a stranger costs no signature.
///
/// # Errors
/// [`RequestError`] names what is wrong with its value.
pub fn verify<P>(
    parts: &RequestParts<'_>,
    headers: &SignatureHeaders<'_>,
    now: u64,
    accepted: impl FnOnce(&LogKey) -> Option<P>,
) -> Result<Authentic<P>, RequestError> {
    check_parts(parts)?;
    let input = parse_input(headers.signature_input)?;
    let signature = parse_signature(headers.signature, input.label).ok_or(RequestError::Signature)?;
    check_life(input.created, input.expires)?;
    check_nonce(input.nonce)?;
    let (ahead_s, late_s) = (input.created.saturating_sub(now), now.saturating_sub(input.expires));
    if SKEW_MAX_S < ahead_s {
        return Err(RequestError::Future { ahead_s });
    }
    if 0 < late_s {
        return Err(RequestError::Expired { late_s });
    }
    check_digest(parts.body, headers.content_digest, input.covers_body)?;
    let peer = accepted(&input.key).ok_or(RequestError::UnknownKey(input.key))?;
    let base = signature_base(parts, headers.content_digest, input.params);
    if !input.key.signed(base.as_bytes(), &signature) {
        return Err(RequestError::Forged(input.key));
    }
    Ok(Authentic { peer, key: input.key, nonce: input.nonce.to_owned(), expires: input.expires })
}

/// The value of `Content-Digest` for a body (RFC 9530).
#[must_use]
pub fn digest(body: &[u8]) -> String {
    format!("sha-256=:{}:", base64(&Sha256::digest(body)))
}

impl<P> Authentic<P> {
    #[must_use]
    pub fn peer(&self) -> &P {
        &self.peer
    }

    #[must_use]
    pub fn into_peer(self) -> P {
        self.peer
    }

    #[must_use]
    pub fn key(&self) -> LogKey {
        self.key
    }

    /// To be remembered with the key until [`Authentic::expires`]; the second request with it is a replay.
    #[must_use]
    pub fn nonce(&self) -> &str {
        &self.nonce
    }

    /// Unix seconds.
    #[must_use]
    pub fn expires(&self) -> u64 {
        self.expires
    }
}

/// `Signature-Input`, taken apart; `params` is the text that is signed.
struct Input<'a> {
    label: &'a str,
    params: &'a str,
    covers_body: bool,
    created: u64,
    expires: u64,
    nonce: &'a str,
    key: LogKey,
}

fn parse_input(text: &str) -> Result<Input<'_>, RequestError> {
    let wrong = |what| move || RequestError::Input(what);
    if INPUT_OCTETS_MAX < text.len() {
        return Err(RequestError::Input("too long"));
    }
    let (label, params) = text.split_once('=').ok_or_else(wrong("no label"))?;
    let is_key_char = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-.*".contains(c);
    if !label.starts_with(|c: char| c.is_ascii_lowercase() || c == '*') || !label.chars().all(is_key_char) {
        return Err(RequestError::Input("label"));
    }
    let (covers_body, rest) = match (params.strip_prefix(COVERED_WITH_BODY), params.strip_prefix(COVERED)) {
        (Some(rest), _) => (true, rest),
        (None, Some(rest)) => (false, rest),
        (None, None) => return Err(RequestError::Input("covered components")),
    };
    let mut found: [Option<&str>; 6] = [None; 6];
    for param in rest.strip_prefix(';').ok_or_else(wrong("parameters"))?.split(';') {
        let (name, value) = param.split_once('=').ok_or_else(wrong("parameter without value"))?;
        let slot = PARAMETERS.iter().position(|known| *known == name).ok_or_else(wrong("unknown parameter"))?;
        if found[slot].replace(value).is_some() {
            return Err(RequestError::Input("parameter given twice"));
        }
    }
    let [Some(created), Some(expires), Some(nonce), Some(alg), Some(keyid), Some(tag)] = found else {
        return Err(RequestError::Input("created, expires, nonce, alg, keyid and tag are all needed"));
    };
    if quoted(alg) != Some("ed25519") || quoted(tag) != Some(TAG) {
        return Err(RequestError::Input("alg or tag"));
    }
    Ok(Input {
        label,
        params,
        covers_body,
        created: integer(created).ok_or_else(wrong("created"))?,
        expires: integer(expires).ok_or_else(wrong("expires"))?,
        nonce: quoted(nonce).ok_or_else(wrong("nonce"))?,
        key: quoted(keyid).and_then(|key| key.parse().ok()).ok_or_else(wrong("keyid"))?,
    })
}

fn parse_signature(text: &str, label: &str) -> Option<[u8; 64]> {
    let value = text.strip_prefix(label)?.strip_prefix("=:")?.strip_suffix(':')?;
    // 64 octets are 88 characters: anything longer is not decoded at all.
    if value.len() != 88 { None } else { from_base64(value)?.try_into().ok() }
}

/// RFC 9421 §2.5.
fn signature_base(parts: &RequestParts<'_>, content_digest: Option<&str>, params: &str) -> String {
    let digest = content_digest.map(|digest| format!("\"content-digest\": {digest}\n")).unwrap_or_default();
    format!(
        "\"@method\": {}\n\"@authority\": {}\n\"@path\": {}\n\"@query\": ?{}\n{digest}\"@signature-params\": {params}",
        parts.method,
        authority(parts.authority),
        if parts.path.is_empty() { "/" } else { parts.path },
        parts.query,
    )
}

/// RFC 9421 §2.2.3: lower case, without the default port of https.
fn authority(text: &str) -> String {
    let text = text.to_ascii_lowercase();
    text.strip_suffix(":443").map(str::to_owned).unwrap_or(text)
}

/// A line end in a part would let a signature over one request pass for another.
fn check_parts(parts: &RequestParts<'_>) -> Result<(), RequestError> {
    let texts = [parts.method, parts.authority, parts.path, parts.query];
    let plain = texts.iter().all(|text| text.bytes().all(|byte| byte.is_ascii_graphic()));
    if plain { Ok(()) } else { Err(RequestError::Parts) }
}

fn check_life(created: u64, expires: u64) -> Result<(), RequestError> {
    let life_s = i128::from(expires) - i128::from(created);
    if (1..=i128::from(LIFE_MAX_S)).contains(&life_s) { Ok(()) } else { Err(RequestError::Life { life_s }) }
}

fn check_nonce(nonce: &str) -> Result<(), RequestError> {
    let octets = nonce.len();
    let plain = nonce.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_+/=.".contains(&b));
    let fits = (NONCE_OCTETS_MIN..=NONCE_OCTETS_MAX).contains(&octets);
    if plain && fits { Ok(()) } else { Err(RequestError::Nonce { octets }) }
}

fn check_digest(body: &[u8], header: Option<&str>, covered: bool) -> Result<(), RequestError> {
    match (body.is_empty(), header, covered) {
        (true, None, false) => Ok(()),
        (false, Some(header), true) => {
            let same = bool::from(header.as_bytes().ct_eq(digest(body).as_bytes()));
            if same { Ok(()) } else { Err(RequestError::Digest) }
        }
        _ => Err(RequestError::DigestMissing),
    }
}

/// An sf-string without escapes; the profile needs none.
fn quoted(value: &str) -> Option<&str> {
    let content = value.strip_prefix('"')?.strip_suffix('"')?;
    content.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'"' && b != b'\\').then_some(content)
}

/// An sf-integer (at most 15 digits) in its canonical form.
fn integer(text: &str) -> Option<u64> {
    let canonical = text == "0" || !text.starts_with('0');
    let digits = text.len() <= 15 && text.bytes().all(|b| b.is_ascii_digit());
    if canonical && digits { text.parse().ok() } else { None }
}

/// §6: how long a captured request could be replayed elsewhere, and how long nonces are kept.
pub const LIFE_MAX_S: u64 = 120;
/// Clocks of small servers.
pub const SKEW_MAX_S: u64 = 60;
/// Fewer are guessed or met twice.
const NONCE_OCTETS_MIN: usize = 8;
/// Bounds what the replay memory keeps for one request.
const NONCE_OCTETS_MAX: usize = 128;
/// A signature input of the profile has about 320 octets.
const INPUT_OCTETS_MAX: usize = 1024;
const LABEL: &str = "sig1";
const TAG: &str = "sm2tp-v1";
const COVERED: &str = r#"("@method" "@authority" "@path" "@query")"#;
const COVERED_WITH_BODY: &str = r#"("@method" "@authority" "@path" "@query" "content-digest")"#;
const PARAMETERS: [&str; 6] = ["created", "expires", "nonce", "alg", "keyid", "tag"];

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::segment::tests::log_key;

    pub(crate) const NOW: u64 = 1_790_000_000;
    const TERM: SignatureTerm<'_> = SignatureTerm { created: NOW, expires: NOW + 60, nonce: "4f7a9c02e1" };
    pub(crate) const GET: RequestParts<'_> = RequestParts {
        method: "GET",
        authority: "relay.example.org",
        path: "/fed/v1/feed",
        query: "after=abc:1&limit=1000",
        body: b"",
    };
    const POST: RequestParts<'_> =
        RequestParts { method: "POST", path: "/fed/v1/proofs", query: "", body: b"{}", ..GET };

    pub(crate) fn signed(parts: &RequestParts<'_>) -> SignedRequest {
        sign(&log_key(), parts, &TERM).unwrap()
    }

    impl SignedRequest {
        pub(crate) fn headers(&self) -> SignatureHeaders<'_> {
            SignatureHeaders {
                signature_input: &self.signature_input,
                signature: &self.signature,
                content_digest: self.content_digest.as_deref(),
            }
        }
    }

    #[track_caller]
    fn check(parts: &RequestParts<'_>, request: &SignedRequest, now: u64, want: Result<(), RequestError>) {
        assert_eq!(verify(parts, &request.headers(), now, |_| Some(())).map(|_| ()), want);
    }

    /// The input with one text replaced, under the old signature.
    #[track_caller]
    fn check_input(from: &str, to: &str, want: RequestError) {
        let mut request = signed(&GET);
        assert!(request.signature_input.contains(from), "{from:?}");
        request.signature_input = request.signature_input.replacen(from, to, 1);
        check(&GET, &request, NOW, Err(want));
    }

    #[test]
    fn a_signed_request_is_authentic() {
        for parts in [GET, POST] {
            let request = signed(&parts);
            let authentic = verify(&parts, &request.headers(), NOW, |key| Some(*key)).unwrap();
            assert_eq!((*authentic.peer(), authentic.key()), (LogKey::of(&log_key()), LogKey::of(&log_key())));
            assert_eq!((authentic.nonce(), authentic.expires()), (TERM.nonce, TERM.expires));
        }
    }

    #[test]
    fn the_signature_base_is_that_of_the_rfc() {
        let base = signature_base(&RequestParts { authority: "Relay.example.org:443", ..POST }, Some("D"), "P");
        let want = "\"@method\": POST\n\"@authority\": relay.example.org\n\"@path\": /fed/v1/proofs\n\"@query\": ?\n\
                    \"content-digest\": D\n\"@signature-params\": P";
        assert_eq!(base, want);
        assert_eq!(digest(b"{\"hello\": \"world\"}"), "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:");
    }

    #[test]
    fn every_covered_part_counts() {
        let request = signed(&GET);
        let forged = Err(RequestError::Forged(LogKey::of(&log_key())));
        check(&RequestParts { method: "HEAD", ..GET }, &request, NOW, forged.clone());
        check(&RequestParts { authority: "other.example", ..GET }, &request, NOW, forged.clone());
        check(&RequestParts { path: "/fed/v1/heads", ..GET }, &request, NOW, forged.clone());
        check(&RequestParts { query: "after=abc:2", ..GET }, &request, NOW, forged);
        check(&RequestParts { body: b"x", ..GET }, &request, NOW, Err(RequestError::DigestMissing));
        check(&RequestParts { path: "/a\n", ..GET }, &request, NOW, Err(RequestError::Parts));
        check(&RequestParts { body: b"[]", ..POST }, &signed(&POST), NOW, Err(RequestError::Digest));
        check(&RequestParts { body: b"", ..POST }, &signed(&POST), NOW, Err(RequestError::DigestMissing));
    }

    #[test]
    fn a_request_lives_two_minutes_at_most() {
        let request = signed(&GET);
        check(&GET, &request, NOW - 60, Ok(()));
        check(&GET, &request, NOW - 61, Err(RequestError::Future { ahead_s: 61 }));
        check(&GET, &request, NOW + 60, Ok(()));
        check(&GET, &request, NOW + 61, Err(RequestError::Expired { late_s: 1 }));
        let long = SignatureTerm { expires: NOW + 121, ..TERM };
        assert_eq!(sign(&log_key(), &GET, &long), Err(RequestError::Life { life_s: 121 }));
        let none = SignatureTerm { expires: NOW, ..TERM };
        assert_eq!(sign(&log_key(), &GET, &none), Err(RequestError::Life { life_s: 0 }));
        let nonce = SignatureTerm { nonce: "short", ..TERM };
        assert_eq!(sign(&log_key(), &GET, &nonce), Err(RequestError::Nonce { octets: 5 }));
    }

    #[test]
    fn only_the_profile_is_read() {
        check_input("sig1=", "Sig1=", RequestError::Input("label"));
        check_input("sig1=", "sig2=", RequestError::Signature);
        check_input(" \"@query\")", ")", RequestError::Input("covered components"));
        check_input("(\"@method\" ", "(\"@method\"  ", RequestError::Input("covered components"));
        check_input(
            ";alg=\"ed25519\"",
            "",
            RequestError::Input("created, expires, nonce, alg, keyid and tag are all needed"),
        );
        check_input("ed25519", "hmac-sha256", RequestError::Input("alg or tag"));
        check_input("sm2tp-v1", "sm2tp-v2", RequestError::Input("alg or tag"));
        check_input("created=", "created=0", RequestError::Input("created"));
        check_input(";created", "; created", RequestError::Input("unknown parameter"));
        check_input(";alg", ";created=1;alg", RequestError::Input("parameter given twice"));
        check_input("keyid=\"", "keyid=\"A", RequestError::Input("keyid"));
        check_input("nonce=\"", "nonce=\"\\", RequestError::Input("nonce"));
        check_input("nonce=\"", "nonce=\"x", RequestError::Forged(LogKey::of(&log_key())));
    }

    #[test]
    fn the_order_of_parameters_is_free_since_it_is_signed() {
        let key = LogKey::of(&log_key());
        let params = format!(
            r#"{COVERED};tag="sm2tp-v1";keyid="{key}";alg="ed25519";nonce="12345678";expires={};created={NOW}"#,
            NOW + 1
        );
        let base = signature_base(&GET, None, &params);
        let signature = format!("x=:{}:", base64(&log_key().sign(base.as_bytes()).to_bytes()));
        let request = SignedRequest { signature_input: format!("x={params}"), signature, content_digest: None };
        check(&GET, &request, NOW, Ok(()));
    }

    #[test]
    fn a_stranger_is_told_so_before_any_signature_is_computed() {
        let mut request = signed(&GET);
        request.signature = format!("sig1=:{}:", base64(&[0; 64]));
        let error = verify(&GET, &request.headers(), NOW, |_| None::<()>).unwrap_err();
        assert_eq!(error, RequestError::UnknownKey(LogKey::of(&log_key())));
    }
}
