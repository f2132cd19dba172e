//! Sealed boxes of libsodium, and the hand-over of tag keys to a peer (`FEDERATION.md` §2, §6, §7).
//!
//! Built from X25519, `HSalsa20`, `XSalsa20` and Poly1305, since the one crate that does it all has no stable release
//! for these versions of its parts. Tested against boxes that libsodium made.

use blake2::Blake2b;
use blake2::digest::consts::U24;
use blake2::digest::{Digest, KeyInit};
use curve25519_dalek::MontgomeryPoint;
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use poly1305::Poly1305;
use salsa20::cipher::consts::U10;
use salsa20::cipher::{KeyIvInit, StreamCipher};
use salsa20::{XSalsa20, hsalsa};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

use crate::bytes::{array, base64, from_base64};
use crate::keys::{FederationKey, LogKey};
use crate::tags::{KeyId, TagKey};

/// A tag key as the federation key signed it; a peer hands it on sealed to another peer's log key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagKeyGrant {
    pub key: TagKey,
    /// Unix seconds: when nodes begin to publish under this key.
    pub not_before: u64,
    /// Unix seconds: after it nobody publishes under it; look-ups go on while its events live.
    pub not_after: u64,
    pub federation: FederationKey,
    signature: [u8; 64],
}

/// Why something sealed cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SealedError {
    #[error("log key {0} is no usable public key")]
    Recipient(LogKey),
    #[error("{octets} octets are no sealed box of a grant; 48 to {GRANT_OCTETS_MAX} are possible")]
    Length { octets: usize },
    #[error("it was not sealed to this key, or was changed")]
    Box,
    #[error("it is not the JSON of a tag key: {0}")]
    Json(String),
    #[error("the key id {found} is not that of the key in the box, {want}")]
    KeyId { found: String, want: KeyId },
    #[error("not_before {not_before} is not before not_after {not_after}")]
    Term { not_before: u64, not_after: u64 },
    #[error("the signature is not that of federation key {0}")]
    Signature(FederationKey),
}

/// The JSON inside the box.
#[derive(Serialize, Deserialize)]
struct GrantText {
    key_id: String,
    key: String,
    not_before: u64,
    not_after: u64,
    federation: FederationKey,
    sig: String,
}

/// Seals bytes to the owner of an Ed25519 log key: libsodium `crypto_box_seal` to its X25519 form.
///
/// `ephemeral` are 32 random bytes that are used once; the same bytes twice would show that two boxes are alike.
///
/// # Errors
/// [`SealedError::Recipient`] where the key is no point of the curve or of small order.
pub fn seal(plain: &[u8], recipient: &LogKey, ephemeral: &[u8; 32]) -> Result<Vec<u8>, SealedError> {
    let key = VerifyingKey::from_bytes(&recipient.0).map_err(|_| SealedError::Recipient(*recipient))?;
    let theirs = key.to_montgomery();
    let ours = MontgomeryPoint::mul_base_clamped(*ephemeral);
    let shared = agree(&theirs, *ephemeral).ok_or(SealedError::Recipient(*recipient))?;
    let mut text = plain.to_vec();
    let tag = cipher(&shared, &nonce(&ours, &theirs), &mut text, Direction::Seal);
    Ok([&ours.0[..], &tag, &text].concat())
}

/// Opens what [`seal`] or libsodium sealed to this log key.
///
/// # Errors
/// [`SealedError::Length`] or [`SealedError::Box`].
pub fn open(sealed: &[u8], log_key: &SigningKey) -> Result<Zeroizing<Vec<u8>>, SealedError> {
    let octets = sealed.len();
    if octets < BOX_OCTETS {
        return Err(SealedError::Length { octets });
    }
    let theirs = MontgomeryPoint(array(sealed, 0));
    let ours = log_key.verifying_key().to_montgomery();
    let shared = agree(&theirs, log_key.to_scalar_bytes()).ok_or(SealedError::Box)?;
    let mut text = Zeroizing::new(sealed[BOX_OCTETS..].to_vec());
    let tag = cipher(&shared, &nonce(&theirs, &ours), &mut text, Direction::Open);
    if bool::from(tag.ct_eq(&sealed[32..BOX_OCTETS])) { Ok(text) } else { Err(SealedError::Box) }
}

impl TagKeyGrant {
    /// Signs a tag key for a federation.
    ///
    /// # Errors
    /// [`SealedError::Term`].
    pub fn sign(key: TagKey, not_before: u64, not_after: u64, federation: &SigningKey) -> Result<Self, SealedError> {
        check_term(not_before, not_after)?;
        let signature = federation.sign(&signed_bytes(&key, not_before, not_after)).to_bytes();
        Ok(Self { key, not_before, not_after, federation: FederationKey::of(federation), signature })
    }

    /// Seals the grant to a peer. `ephemeral` as in [`seal`].
    ///
    /// # Errors
    /// [`SealedError::Recipient`].
    pub fn seal(&self, peer: &LogKey, ephemeral: &[u8; 32]) -> Result<Vec<u8>, SealedError> {
        let mut text = GrantText {
            key_id: self.key.key_id().to_string(),
            key: base64(self.key.expose()),
            not_before: self.not_before,
            not_after: self.not_after,
            federation: self.federation,
            sig: base64(&self.signature),
        };
        let json = serde_json::to_vec(&text).map(Zeroizing::new);
        text.key.zeroize();
        seal(&json.map_err(|error| SealedError::Json(error.to_string()))?, peer, ephemeral)
    }

    /// Opens a grant that was sealed to us. Whether `federation` is the one we joined, is for the caller to see.
    ///
    /// # Errors
    /// [`SealedError`] names what is wrong.
    pub fn open(sealed: &[u8], log_key: &SigningKey) -> Result<Self, SealedError> {
        if GRANT_OCTETS_MAX < sealed.len() {
            return Err(SealedError::Length { octets: sealed.len() });
        }
        let json = open(sealed, log_key)?;
        let mut text: GrantText =
            serde_json::from_slice(&json).map_err(|error| SealedError::Json(error.to_string()))?;
        let key = from_base64(&text.key).map(Zeroizing::new);
        text.key.zeroize();
        let key = key.and_then(|key| <[u8; 32]>::try_from(&key[..]).ok()).map(TagKey::new);
        let key = key.ok_or_else(|| SealedError::Json("key is not base64 of 32 bytes".into()))?;
        if key.key_id().to_string() != text.key_id {
            return Err(SealedError::KeyId { found: text.key_id, want: key.key_id() });
        }
        check_term(text.not_before, text.not_after)?;
        let signature = from_base64(&text.sig).and_then(|sig| sig.try_into().ok());
        let signature = signature.ok_or(SealedError::Signature(text.federation))?;
        if !text.federation.signed(&signed_bytes(&key, text.not_before, text.not_after), &signature) {
            return Err(SealedError::Signature(text.federation));
        }
        let GrantText { not_before, not_after, federation, .. } = text;
        Ok(Self { key, not_before, not_after, federation, signature })
    }

    /// When the key after this one begins, where its founder is to make it now (unix seconds); none while that is early.
    ///
    /// It is made six weeks before, because members ask for keys once a day and some are away for a holiday, and so that there is
    /// time to ask for it where its founder makes none ([`Self::lapses`]). Where the founder was away itself and the year is over,
    /// it begins as soon as all can have heard of it.
    #[must_use]
    pub fn next_begins(&self, now: u64) -> Option<u64> {
        let is_due = self.not_after <= now.saturating_add(NEXT_NOTICE_S);
        is_due.then(|| self.not_after.max(now.saturating_add(NEXT_HEARD_S)))
    }

    /// Whether people are to be told that this key ends and none comes after it, among all `known` ones: from three weeks before
    /// its end on, when the next one is three weeks late. `now` in unix seconds.
    #[must_use]
    pub fn lapses(&self, known: &[Self], now: u64) -> bool {
        let follows = |next: &Self| next.federation == self.federation && self.not_after < next.not_after;
        self.not_after <= now.saturating_add(LAPSE_NOTICE_S) && !known.iter().any(follows)
    }

    /// True where a node may publish under this key at `now` (unix seconds).
    #[must_use]
    pub fn publishes_at(&self, now: u64) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }
}

/// The order of the two steps of encrypt-then-MAC.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Seal,
    Open,
}

/// libsodium `crypto_box_beforenm`: none where the other key is of small order, for then everyone knows the secret.
fn agree(theirs: &MontgomeryPoint, ours: [u8; 32]) -> Option<Zeroizing<[u8; 32]>> {
    let shared = Zeroizing::new(theirs.mul_clamped(ours).0);
    if bool::from(shared.ct_eq(&[0; 32])) {
        return None;
    }
    Some(Zeroizing::new(hsalsa::<U10>(&(*shared).into(), &[0; 16].into()).into()))
}

/// `BLAKE2b-192(epk || pk)`.
fn nonce(ephemeral: &MontgomeryPoint, recipient: &MontgomeryPoint) -> [u8; 24] {
    Blake2b::<U24>::new().chain_update(ephemeral.0).chain_update(recipient.0).finalize().into()
}

/// `crypto_secretbox`: the first 32 bytes of the key stream are the Poly1305 key. Answers with the tag of the cipher text.
fn cipher(key: &[u8; 32], nonce: &[u8; 24], text: &mut [u8], direction: Direction) -> [u8; 16] {
    let mut stream = XSalsa20::new(key.into(), nonce.into());
    let mut mac_key = Zeroizing::new([0; 32]);
    stream.apply_keystream(&mut *mac_key);
    let mac = Poly1305::new((&*mac_key).into());
    match direction {
        Direction::Seal => {
            stream.apply_keystream(text);
            mac.compute_unpadded(text).into()
        }
        Direction::Open => {
            let tag = mac.compute_unpadded(text).into();
            stream.apply_keystream(text);
            tag
        }
    }
}

fn check_term(not_before: u64, not_after: u64) -> Result<(), SealedError> {
    if not_before < not_after { Ok(()) } else { Err(SealedError::Term { not_before, not_after }) }
}

fn signed_bytes(key: &TagKey, not_before: u64, not_after: u64) -> Zeroizing<Vec<u8>> {
    let (from, until) = (not_before.to_be_bytes(), not_after.to_be_bytes());
    Zeroizing::new([SIGNATURE_CONTEXT, key.expose(), &from, &until].concat())
}

/// Ephemeral key and tag, before the cipher text.
const BOX_OCTETS: usize = 32 + 16;
/// A grant has about 330; more is no grant.
const GRANT_OCTETS_MAX: usize = 4096;
/// Longer than a holiday, and than the notice of a lapse by as much again.
const NEXT_NOTICE_S: u64 = 42 * 86_400;
/// Time for a telephone call, and for all members to take another key.
const LAPSE_NOTICE_S: u64 = 21 * 86_400;
/// Members ask once a day; one day more for those who were away.
const NEXT_HEARD_S: u64 = 2 * 86_400;
const SIGNATURE_CONTEXT: &[u8] = b"sm2tp-tagkey-v1\n";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::tests::log_key;

    fn recipient() -> LogKey {
        LogKey::of(&log_key())
    }

    fn grant() -> TagKeyGrant {
        TagKeyGrant::sign(TagKey::new([0x42; 32]), 100, 200, &SigningKey::from_bytes(&[5; 32])).unwrap()
    }

    #[test]
    fn what_libsodium_sealed_opens_here() {
        let sealed = hex::decode(LIBSODIUM_BOX).unwrap();
        assert_eq!(&open(&sealed, &log_key()).unwrap()[..], b"a tag key for a peer");
    }

    #[test]
    fn sealing_gives_the_bytes_of_libsodium_for_the_same_ephemeral_key() {
        let sealed = seal(b"a tag key for a peer", &recipient(), &[0x11; 32]).unwrap();
        assert_eq!(hex::encode(sealed), LIBSODIUM_BOX);
    }

    #[test]
    fn a_changed_or_foreign_box_stays_shut() {
        let sealed = seal(b"secret", &recipient(), &[7; 32]).unwrap();
        for at in 0..sealed.len() {
            // X25519 ignores the highest bit of a public key, but the nonce does not.
            let mut changed = sealed.clone();
            changed[at] ^= 0x80;
            assert_eq!(open(&changed, &log_key()), Err(SealedError::Box), "byte {at}");
        }
        assert_eq!(open(&sealed, &SigningKey::from_bytes(&[8; 32])), Err(SealedError::Box));
        assert_eq!(open(&sealed[..47], &log_key()), Err(SealedError::Length { octets: 47 }));
        assert_eq!(open(&[0; 60], &log_key()), Err(SealedError::Box));
    }

    #[test]
    fn a_key_of_small_order_receives_nothing() {
        let mut identity = [0; 32];
        identity[0] = 1;
        assert_eq!(seal(b"x", &LogKey(identity), &[7; 32]), Err(SealedError::Recipient(LogKey(identity))));
    }

    #[test]
    fn a_grant_travels_from_peer_to_peer_with_its_signature() {
        let first = TagKeyGrant::open(&grant().seal(&recipient(), &[7; 32]).unwrap(), &log_key()).unwrap();
        assert_eq!(first, grant());
        let other = SigningKey::from_bytes(&[8; 32]);
        let second = TagKeyGrant::open(&first.seal(&LogKey::of(&other), &[9; 32]).unwrap(), &other).unwrap();
        assert_eq!(second, grant());
        assert!(second.publishes_at(200) && !second.publishes_at(201));
    }

    #[test]
    fn the_next_key_is_made_six_weeks_before_a_year_ends_and_begins_where_it_ends() {
        const DAY: u64 = 86_400;
        let grant = TagKeyGrant::sign(TagKey::new([1; 32]), 0, 366 * DAY, &log_key()).unwrap();
        assert_eq!(grant.next_begins(323 * DAY), None);
        assert_eq!(grant.next_begins(324 * DAY), Some(366 * DAY));
        assert_eq!(grant.next_begins(363 * DAY), Some(366 * DAY));
        // The founder was away.
        assert_eq!(grant.next_begins(365 * DAY), Some(367 * DAY));
        assert_eq!(grant.next_begins(500 * DAY), Some(502 * DAY));
    }

    #[test]
    fn people_are_told_three_weeks_before_a_key_ends_that_has_no_next_one() {
        const DAY: u64 = 86_400;
        let federation = log_key();
        let signed = |n: u8, days: [u64; 2], by: &SigningKey| {
            TagKeyGrant::sign(TagKey::new([n; 32]), days[0] * DAY, days[1] * DAY, by).unwrap()
        };
        let current = signed(1, [0, 366], &federation);
        let old = signed(2, [0, 10], &federation);
        let of_others = signed(3, [300, 700], &SigningKey::from_bytes(&[9; 32]));
        let alone = [current.clone(), old.clone(), of_others];
        assert!(!current.lapses(&alone, 344 * DAY) && current.lapses(&alone, 345 * DAY));
        assert!(current.lapses(&alone, 900 * DAY));
        let followed = [current.clone(), old, signed(4, [366, 732], &federation)];
        assert!(!current.lapses(&followed, 365 * DAY));
    }

    #[test]
    fn a_grant_that_the_federation_did_not_sign_is_refused() {
        let forged = TagKeyGrant { not_after: 300, ..grant() };
        let sealed = forged.seal(&recipient(), &[7; 32]).unwrap();
        let want = Err(SealedError::Signature(grant().federation));
        assert_eq!(TagKeyGrant::open(&sealed, &log_key()), want);
        let backwards = TagKeyGrant::sign(TagKey::new([1; 32]), 5, 5, &log_key());
        assert_eq!(backwards, Err(SealedError::Term { not_before: 5, not_after: 5 }));
        let sealed = seal(b"{}", &recipient(), &[7; 32]).unwrap();
        assert!(matches!(TagKeyGrant::open(&sealed, &log_key()), Err(SealedError::Json(_))));
    }

    /// Made with libsodium 1.0.18: `crypto_box_easy` with the X25519 form of log seed 02×32, ephemeral secret 11×32 and
    /// the nonce of `crypto_box_seal`; opened again by its `crypto_box_seal_open`.
    const LIBSODIUM_BOX: &str = "7b4e909bbe7ffe44c465a220037d608ee35897d31ef972f07f74892cb0f73f13efabfe5e423b89ce94a3e78be43ad4cbcf06351816d6d85efb2410756a37af00adf6d408";
}
