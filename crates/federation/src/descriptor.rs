//! The node descriptor: who a node is, signed by its node key over the bytes as they travel (`FEDERATION.md` §2).

use ed25519_dalek::{Signer, SigningKey};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::bytes::{base64, from_base64};
use crate::keys::{LogKey, NodeKey};

/// What a node says of itself. Fields that this software does not know are skipped: the signed bytes are kept beside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descriptor {
    pub node: NodeKey,
    /// The highest wins; at most 2⁵³ − 1, so that every JSON reader has it exactly.
    pub seq: u64,
    pub name: String,
    /// Where the paths of §6 begin: `https://host/fed/v1`.
    pub api: String,
    /// An address or a page for people.
    pub contact: String,
    /// All keys whose segments are still kept somewhere, not only the one in use.
    pub log_keys: Vec<LogKeyTerm>,
    #[serde(default)]
    pub revoked: Vec<Revocation>,
    /// The nodes whose segments this one serves.
    #[serde(default)]
    pub peers: Vec<NodeKey>,
    /// Level 2: absent where the node relays for nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smtp: Option<SmtpExit>,
    pub versions: Vec<u8>,
    pub tag_schemes: Vec<u8>,
    pub retention_days: u16,
    /// True in the descriptor that closes a node for ever; it is printed at installation with `seq` 2⁵³ − 1.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retired: bool,
}

/// A log key and its time, unix seconds, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogKeyTerm {
    pub key: LogKey,
    pub not_before: u64,
    pub not_after: u64,
}

/// A log key that was lost or stolen, and the last segment that it signed rightly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    pub key: LogKey,
    pub after_epoch: u32,
    pub after_segno: u32,
}

/// Where a node takes mail from peers (§9).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SmtpExit {
    pub host: String,
    pub port: u16,
    /// SHA-256 of the `SubjectPublicKeyInfo` of the TLS key, hex.
    #[serde(with = "crate::bytes::hex_array")]
    pub spki: [u8; 32],
}

/// A descriptor whose signature is good, with the text to hand on. Only [`sign`] and [`parse`] make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedDescriptor {
    descriptor: Descriptor,
    payload: Vec<u8>,
    text: String,
}

/// Which of two descriptors of one node counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Newer {
    /// The incoming one replaces the known one.
    Take,
    /// The same payload.
    Same,
    /// The known one has a higher `seq`.
    Old,
    /// The node key signed two payloads with one `seq`: freeze the origin, keep both.
    Equivocation,
}

/// Why a text is no descriptor, or none that we would sign.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DescriptorError {
    #[error("{octets} octets; {DESCRIPTOR_OCTETS_MAX} are the limit")]
    TooLong { octets: usize },
    #[error("it is not the JSON of a descriptor: {0}")]
    Json(String),
    #[error("payload or sig is not standard base64 of the right length")]
    Base64,
    #[error("the signature is not that of node key {0}")]
    Signature(NodeKey),
    #[error("the signing key is not that of node {0}")]
    OtherKey(NodeKey),
    #[error("seq {0} is above 2^53 - 1")]
    Seq(u64),
    #[error("{field} has {octets} octets; {TEXT_OCTETS_MAX} are the limit, without control characters")]
    Text { field: &'static str, octets: usize },
    #[error("api is no https:// or http:// address: {0:?}")]
    Api(String),
}

/// Why an origin does not vouch for a log key at one time and place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyRefusal {
    #[error("log key {0} is not in the descriptor")]
    Unknown(LogKey),
    #[error("log key {key} is not valid at {at}")]
    NotThen { key: LogKey, at: u64 },
    #[error("log key {key} is revoked after {after_epoch}.{after_segno}")]
    Revoked { key: LogKey, after_epoch: u32, after_segno: u32 },
    #[error("the node is retired")]
    Retired,
}

#[derive(Serialize, Deserialize)]
struct Envelope {
    payload: String,
    sig: String,
}

impl Descriptor {
    /// True where the key may sign at `at` (unix seconds): HTTP requests, and segments sealed then.
    #[must_use]
    pub fn log_key_valid(&self, key: &LogKey, at: u64) -> bool {
        let terms = self.log_keys.iter().filter(|term| term.key == *key);
        !self.retired && terms.into_iter().any(|term| (term.not_before..=term.not_after).contains(&at))
    }

    /// True where the key was revoked at any place: it signs no requests any more.
    #[must_use]
    pub fn is_revoked(&self, key: &LogKey) -> bool {
        self.revoked.iter().any(|revocation| revocation.key == *key)
    }

    /// Whether a segment sealed at `at` in this place may be signed by this key.
    ///
    /// # Errors
    /// [`KeyRefusal`] says what the origin does not vouch for.
    pub fn vouches(&self, key: &LogKey, at: u64, epoch: u32, segno: u32) -> Result<(), KeyRefusal> {
        if self.retired {
            return Err(KeyRefusal::Retired);
        }
        if self.log_keys.iter().all(|term| term.key != *key) {
            return Err(KeyRefusal::Unknown(*key));
        }
        let beyond = |r: &&Revocation| r.key == *key && (r.after_epoch, r.after_segno) < (epoch, segno);
        if let Some(Revocation { key, after_epoch, after_segno }) = self.revoked.iter().find(beyond) {
            return Err(KeyRefusal::Revoked { key: *key, after_epoch: *after_epoch, after_segno: *after_segno });
        }
        if self.log_key_valid(key, at) { Ok(()) } else { Err(KeyRefusal::NotThen { key: *key, at }) }
    }

    /// The key that signs segments and requests at `at`: of several that are valid the one that began last.
    #[must_use]
    pub fn log_key_at(&self, at: u64) -> Option<LogKey> {
        let valid = |term: &&LogKeyTerm| self.log_key_valid(&term.key, at) && !self.is_revoked(&term.key);
        self.log_keys.iter().filter(valid).max_by_key(|term| term.not_before).map(|term| term.key)
    }

    fn check(&self) -> Result<(), DescriptorError> {
        if SEQ_MAX < self.seq {
            return Err(DescriptorError::Seq(self.seq));
        }
        for (field, text) in [("name", &self.name), ("contact", &self.contact), ("api", &self.api)] {
            if TEXT_OCTETS_MAX < text.len() || text.chars().any(char::is_control) {
                return Err(DescriptorError::Text { field, octets: text.len() });
            }
        }
        let scheme = self.api.starts_with("https://") || self.api.starts_with("http://");
        if !scheme || self.api.contains(char::is_whitespace) {
            return Err(DescriptorError::Api(self.api.clone()));
        }
        Ok(())
    }
}

/// Signs a descriptor with the node key.
///
/// # Errors
/// [`DescriptorError`]: no reader would take it.
pub fn sign(descriptor: Descriptor, node_key: &SigningKey) -> Result<SignedDescriptor, DescriptorError> {
    descriptor.check()?;
    if NodeKey::of(node_key) != descriptor.node {
        return Err(DescriptorError::OtherKey(descriptor.node));
    }
    let payload = serde_json::to_vec(&descriptor).map_err(|error| DescriptorError::Json(error.to_string()))?;
    let sig = base64(&node_key.sign(&signed_bytes(&payload)).to_bytes());
    let envelope = Envelope { payload: base64(&payload), sig };
    let text = serde_json::to_string(&envelope).map_err(|error| DescriptorError::Json(error.to_string()))?;
    check_length(text.len())?;
    Ok(SignedDescriptor { descriptor, payload, text })
}

/// Reads and verifies a descriptor. Whether this is the node one wanted to hear of, is for the caller to see.
///
/// # Errors
/// [`DescriptorError`] names what is wrong with its value.
pub fn parse(text: &str) -> Result<SignedDescriptor, DescriptorError> {
    check_length(text.len())?;
    let json = |error: serde_json::Error| DescriptorError::Json(error.to_string());
    let envelope: Envelope = serde_json::from_str(text).map_err(json)?;
    let payload = from_base64(&envelope.payload).ok_or(DescriptorError::Base64)?;
    let sig = from_base64(&envelope.sig).and_then(|sig| sig.try_into().ok()).ok_or(DescriptorError::Base64)?;
    let descriptor: Descriptor = serde_json::from_slice(&payload).map_err(json)?;
    if !descriptor.node.signed(&signed_bytes(&payload), &sig) {
        return Err(DescriptorError::Signature(descriptor.node));
    }
    descriptor.check()?;
    Ok(SignedDescriptor { descriptor, payload, text: text.to_owned() })
}

impl SignedDescriptor {
    #[must_use]
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// The JSON text as it was received, to be stored and handed on unchanged.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What to do with `incoming`, given this one of the same node. One of another node is [`Newer::Old`].
    #[must_use]
    pub fn compare(&self, incoming: &Self) -> Newer {
        if incoming.descriptor.node != self.descriptor.node {
            return Newer::Old;
        }
        match incoming.descriptor.seq.cmp(&self.descriptor.seq) {
            std::cmp::Ordering::Greater => Newer::Take,
            std::cmp::Ordering::Less => Newer::Old,
            std::cmp::Ordering::Equal if incoming.payload == self.payload => Newer::Same,
            std::cmp::Ordering::Equal => Newer::Equivocation,
        }
    }
}

fn signed_bytes(payload: &[u8]) -> Vec<u8> {
    [SIGNATURE_CONTEXT, payload].concat()
}

fn check_length(octets: usize) -> Result<(), DescriptorError> {
    if DESCRIPTOR_OCTETS_MAX < octets { Err(DescriptorError::TooLong { octets }) } else { Ok(()) }
}

/// Bounds what a stranger can make us parse; holds about 700 peers.
pub const DESCRIPTOR_OCTETS_MAX: usize = 64 * 1024;
/// The largest integer that JSON readers with doubles keep exactly; the `seq` of a `retired` descriptor.
pub const SEQ_MAX: u64 = (1 << 53) - 1;
/// These texts are shown to people, in a table.
const TEXT_OCTETS_MAX: usize = 300;
const SIGNATURE_CONTEXT: &[u8] = b"sm2tp-node-v1\n";

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::segment::tests::{SEALED_AT, log_key, node_key};

    pub(crate) fn descriptor() -> Descriptor {
        Descriptor {
            node: NodeKey::of(&node_key()),
            seq: 4,
            name: "Relais de l’Étang".into(),
            api: "https://relay.example.org/fed/v1".into(),
            contact: "postmaster@example.org".into(),
            log_keys: vec![LogKeyTerm {
                key: LogKey::of(&log_key()),
                not_before: SEALED_AT - 1_000_000,
                not_after: SEALED_AT + 1_000_000,
            }],
            revoked: vec![],
            peers: vec![],
            smtp: Some(SmtpExit { host: "mx.example.org".into(), port: 2526, spki: [3; 32] }),
            versions: vec![1],
            tag_schemes: vec![1],
            retention_days: 400,
            retired: false,
        }
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut Descriptor), want: Result<(), DescriptorError>) {
        let mut changed = descriptor();
        change(&mut changed);
        assert_eq!(sign(changed, &node_key()).map(|_| ()), want);
    }

    #[track_caller]
    fn check_vouch(change: impl FnOnce(&mut Descriptor), segno: u32, at: u64, want: Result<(), KeyRefusal>) {
        let mut changed = descriptor();
        change(&mut changed);
        assert_eq!(changed.vouches(&LogKey::of(&log_key()), at, 0, segno), want);
    }

    #[test]
    fn a_signed_descriptor_reads_back_and_keeps_its_text() {
        let signed = sign(descriptor(), &node_key()).unwrap();
        let read = parse(signed.text()).unwrap();
        assert_eq!(read, signed);
        assert_eq!(read.descriptor(), &descriptor());
    }

    #[test]
    fn a_field_that_we_do_not_know_is_kept_for_others() {
        let mut payload: serde_json::Value = serde_json::to_value(descriptor()).unwrap();
        payload["colour"] = "green".into();
        let payload = payload.to_string();
        let sig = node_key().sign(&signed_bytes(payload.as_bytes()));
        let text = format!(r#"{{"payload":"{}","sig":"{}"}}"#, base64(payload.as_bytes()), base64(&sig.to_bytes()));
        let read = parse(&text).unwrap();
        assert_eq!((read.descriptor(), read.text()), (&descriptor(), &text[..]));
    }

    #[test]
    fn what_is_not_signed_by_its_node_is_refused() {
        let signed = sign(descriptor(), &node_key()).unwrap();
        let other = sign(Descriptor { seq: 5, ..descriptor() }, &node_key()).unwrap();
        let mixed = Envelope {
            payload: base64(&signed.payload),
            sig: serde_json::from_str::<Envelope>(other.text()).unwrap().sig,
        };
        let error = parse(&serde_json::to_string(&mixed).unwrap()).unwrap_err();
        assert_eq!(error, DescriptorError::Signature(descriptor().node));
        let error = sign(descriptor(), &log_key()).unwrap_err();
        assert_eq!(error, DescriptorError::OtherKey(descriptor().node));
    }

    #[test]
    fn limits_name_their_field() {
        check(|d| d.seq = SEQ_MAX + 1, Err(DescriptorError::Seq(SEQ_MAX + 1)));
        check(|d| d.name = "a\nb".into(), Err(DescriptorError::Text { field: "name", octets: 3 }));
        check(|d| d.contact = "a".repeat(301), Err(DescriptorError::Text { field: "contact", octets: 301 }));
        check(|d| d.api = "ftp://x".into(), Err(DescriptorError::Api("ftp://x".into())));
        check(|d| d.peers = vec![NodeKey([1; 32]); 600], Ok(()));
        let error = parse(&" ".repeat(DESCRIPTOR_OCTETS_MAX + 1)).unwrap_err();
        assert_eq!(error, DescriptorError::TooLong { octets: DESCRIPTOR_OCTETS_MAX + 1 });
    }

    #[test]
    fn a_log_key_counts_in_its_time_and_until_it_is_revoked() {
        let key = LogKey::of(&log_key());
        check_vouch(|_| (), 0, SEALED_AT, Ok(()));
        let late = SEALED_AT + 1_000_001;
        check_vouch(|_| (), 0, late, Err(KeyRefusal::NotThen { key, at: late }));
        check_vouch(|d| d.log_keys.clear(), 0, SEALED_AT, Err(KeyRefusal::Unknown(key)));
        check_vouch(|d| d.retired = true, 0, SEALED_AT, Err(KeyRefusal::Retired));
        let revoke = |d: &mut Descriptor| d.revoked.push(Revocation { key, after_epoch: 0, after_segno: 7 });
        check_vouch(revoke, 7, SEALED_AT, Ok(()));
        check_vouch(revoke, 8, SEALED_AT, Err(KeyRefusal::Revoked { key, after_epoch: 0, after_segno: 7 }));
        let mut changed = descriptor();
        assert_eq!(changed.log_key_at(SEALED_AT), Some(key));
        revoke(&mut changed);
        assert_eq!(changed.log_key_at(SEALED_AT), None);
    }

    #[test]
    fn the_highest_seq_wins_and_two_payloads_with_one_seq_are_equivocation() {
        let known = sign(descriptor(), &node_key()).unwrap();
        let with = |seq, name: &str| sign(Descriptor { seq, name: name.into(), ..descriptor() }, &node_key()).unwrap();
        assert_eq!(known.compare(&with(5, "x")), Newer::Take);
        assert_eq!(known.compare(&with(3, "x")), Newer::Old);
        assert_eq!(known.compare(&known.clone()), Newer::Same);
        assert_eq!(known.compare(&with(4, "x")), Newer::Equivocation);
    }
}
