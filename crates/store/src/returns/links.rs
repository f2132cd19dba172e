//! Links to unsubscribe (RFC 8058) and to confirm: whom they are about stands in the link itself, sealed, so that nothing is
//! kept of it.

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sm2tp_federation::tags::{KeyId, Tag};

use super::keys::ReturnKeys;

/// Whom a link is about: this address shall get no more bulk mail of this org.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub org: String,
    pub recipient: (KeyId, Tag),
    /// Of the address.
    pub domain: String,
}

/// Whom a question is about that its recipient answers with a link: mail of this org is wanted again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmation {
    /// None: mail of the node, whoever writes it.
    pub org: Option<String>,
    /// The address under each live key, and its domain.
    pub tags: Vec<(KeyId, Tag)>,
    pub domain_tags: Vec<(KeyId, Tag)>,
    /// Of the address.
    pub domain: String,
    /// Unix seconds; later it is worth nothing.
    pub until: u64,
}

/// What a link is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Unsubscribe,
    Confirm,
}

/// The sealed forms (I9): fields are added, never renamed.
#[derive(Serialize, Deserialize)]
struct Sealed {
    org: String,
    key: String,
    tag: String,
    domain: String,
}

#[derive(Serialize, Deserialize)]
struct SealedConfirmation {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    org: Option<String>,
    /// Key and tag, in pairs.
    tags: Vec<(String, String)>,
    domain_tags: Vec<(String, String)>,
    domain: String,
    until: u64,
}

/// The last part of the URL. `nonce` is random: two links of one person differ, and nobody sees that they are one's.
pub(super) fn seal(keys: &ReturnKeys, link: &Link, nonce: [u8; NONCE_OCTETS]) -> Option<String> {
    let (key_id, tag) = link.recipient;
    let (org, domain) = (link.org.clone(), link.domain.clone());
    let sealed = Sealed { org, key: hex::encode(key_id.0), tag: hex::encode(tag.0), domain };
    seal_octets(keys, Purpose::Unsubscribe, serde_json::to_vec(&sealed).ok()?, nonce)
}

/// What the last part of a URL says, if we sealed it.
pub(super) fn open(keys: &ReturnKeys, text: &str) -> Option<Link> {
    let plain = open_octets(keys, Purpose::Unsubscribe, text)?;
    let Sealed { org, key, tag, domain } = serde_json::from_slice(&plain).ok()?;
    Some(Link { org, recipient: pair(&key, &tag)?, domain })
}

/// The same for a confirmation.
pub(super) fn seal_confirmation(
    keys: &ReturnKeys,
    confirmation: &Confirmation,
    nonce: [u8; NONCE_OCTETS],
) -> Option<String> {
    let Confirmation { org, tags, domain_tags, domain, until } = confirmation.clone();
    // Some keys more than there ever are at a time.
    let words = |tags: Vec<(KeyId, Tag)>| {
        tags.iter().take(TAGS_MAX).map(|(key, tag)| (hex::encode(key.0), hex::encode(tag.0))).collect()
    };
    let sealed = SealedConfirmation { org, tags: words(tags), domain_tags: words(domain_tags), domain, until };
    seal_octets(keys, Purpose::Confirm, serde_json::to_vec(&sealed).ok()?, nonce)
}

/// The same for a confirmation. Whether its time is over is for who asks.
pub(super) fn open_confirmation(keys: &ReturnKeys, text: &str) -> Option<Confirmation> {
    let plain = open_octets(keys, Purpose::Confirm, text)?;
    let SealedConfirmation { org, tags, domain_tags, domain, until } = serde_json::from_slice(&plain).ok()?;
    let pairs = |tags: Vec<(String, String)>| tags.iter().map(|(key, tag)| pair(key, tag)).collect::<Option<_>>();
    Some(Confirmation { org, tags: pairs(tags)?, domain_tags: pairs(domain_tags)?, domain, until })
}

fn seal_octets(keys: &ReturnKeys, purpose: Purpose, mut octets: Vec<u8>, nonce: [u8; NONCE_OCTETS]) -> Option<String> {
    let (number, key) = keys.link(purpose.label(), None)?;
    let key = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key.as_ref()).ok()?);
    let aad = Aad::from(purpose.context());
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut octets).ok()?;
    Some(URL_SAFE_NO_PAD.encode([&[VERSION << 4 | number][..], &nonce, &octets].concat()))
}

fn open_octets(keys: &ReturnKeys, purpose: Purpose, text: &str) -> Option<Vec<u8>> {
    if LINK_OCTETS_MAX < text.len() {
        return None;
    }
    let mut octets = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (first, rest) = octets.split_first_mut()?;
    let (nonce, sealed) = rest.split_at_mut_checked(NONCE_OCTETS)?;
    let (_, key) = keys.link(purpose.label(), Some(*first & 0x0f)).filter(|_| *first >> 4 == VERSION)?;
    let key = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key.as_ref()).ok()?);
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    key.open_in_place(nonce, Aad::from(purpose.context()), sealed).ok().map(|plain| plain.to_vec())
}

fn pair(key: &str, tag: &str) -> Option<(KeyId, Tag)> {
    let key_id = KeyId(hex::decode(key).ok()?.try_into().ok()?);
    Some((key_id, Tag(hex::decode(tag).ok()?.try_into().ok()?)))
}

impl Purpose {
    fn label(self) -> &'static str {
        match self {
            Self::Unsubscribe => "SM2TP unsubscribe links v1",
            Self::Confirm => "SM2TP confirmation links v1",
        }
    }

    fn context(self) -> &'static [u8] {
        match self {
            Self::Unsubscribe => b"SM2TP unsubscribe link v1",
            Self::Confirm => b"SM2TP confirmation link v1",
        }
    }
}

const VERSION: u8 = 1;
const NONCE_OCTETS: usize = 12;
/// Names of orgs and domains have 255 octets at most; with tags under a few keys, and a third more for base64.
const LINK_OCTETS_MAX: usize = 2400;
const TAGS_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::super::Chain;
    use super::*;
    use crate::testing::TempDir;

    #[test]
    fn a_link_says_what_was_sealed_and_nothing_to_who_only_has_it() {
        let (dir, other) = (TempDir::new(), TempDir::new());
        let keys = ReturnKeys::open(dir.path(), 1_800_000_000, Chain::Random).unwrap();
        let link = Link { org: "asso".into(), recipient: (KeyId([1; 8]), Tag([2; 16])), domain: "x.example".into() };
        let text = seal(&keys, &link, [5; 12]).unwrap();
        assert_eq!(open(&keys, &text), Some(link.clone()));
        assert_ne!(seal(&keys, &link, [6; 12]).unwrap(), text);
        assert!(text.len() <= 300, "{}", text.len());
        let plain = URL_SAFE_NO_PAD.decode(&text).unwrap();
        assert!(!plain.windows(4).any(|four| four == b"asso"));
        assert_eq!(open(&ReturnKeys::open(other.path(), 1_800_000_000, Chain::Random).unwrap(), &text), None);
        for place in 0..text.len() - 1 {
            let mut changed = text.clone().into_bytes();
            changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
            assert_eq!(open(&keys, &String::from_utf8(changed).unwrap()), None, "{place}");
        }
        for no_link in ["", "AA", "é", &"A".repeat(3000), &text[..20]] {
            assert_eq!(open(&keys, no_link), None, "{no_link}");
        }
    }

    #[test]
    fn a_link_of_an_older_key_still_works() {
        let dir = TempDir::new();
        let mut keys = ReturnKeys::open(dir.path(), 1_800_000_000, Chain::Random).unwrap();
        let link = Link { org: "asso".into(), recipient: (KeyId([1; 8]), Tag([2; 16])), domain: "x.example".into() };
        let text = seal(&keys, &link, [5; 12]).unwrap();
        assert!(keys.rotate(1_800_000_000 + 91 * 86_400).unwrap());
        assert_eq!(open(&keys, &text), Some(link));
    }

    #[test]
    fn a_confirmation_is_no_link_to_unsubscribe_and_none_of_it_can_be_changed() {
        let dir = TempDir::new();
        let keys = ReturnKeys::open(dir.path(), 1_800_000_000, Chain::Random).unwrap();
        let tags = |n: u8| vec![(KeyId([n; 8]), Tag([n; 16])); TAGS_MAX];
        let confirmation = Confirmation {
            org: Some("o".repeat(255)),
            tags: tags(1),
            domain_tags: tags(2),
            domain: "d".repeat(253),
            until: u64::MAX,
        };
        let text = seal_confirmation(&keys, &confirmation, [5; 12]).unwrap();
        assert!(text.len() <= LINK_OCTETS_MAX, "{}", text.len());
        assert_eq!(open_confirmation(&keys, &text), Some(confirmation));
        assert_eq!(open(&keys, &text), None);
        let link = Link { org: "asso".into(), recipient: (KeyId([1; 8]), Tag([2; 16])), domain: "x.example".into() };
        assert_eq!(open_confirmation(&keys, &seal(&keys, &link, [5; 12]).unwrap()), None);
        for place in (0..text.len() - 1).step_by(7) {
            let mut changed = text.clone().into_bytes();
            changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
            assert_eq!(open_confirmation(&keys, &String::from_utf8(changed).unwrap()), None, "{place}");
        }
    }
}
