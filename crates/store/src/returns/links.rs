//! Links to unsubscribe (RFC 8058): who writes to whom stands in the link itself, sealed, so that nothing is kept of it.

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

/// The sealed form (I9): fields are added, never renamed.
#[derive(Serialize, Deserialize)]
struct Sealed {
    org: String,
    key: String,
    tag: String,
    domain: String,
}

/// The last part of the URL. `nonce` is random: two links of one person differ, and nobody sees that they are one's.
pub(super) fn seal(keys: &ReturnKeys, link: &Link, nonce: [u8; NONCE_OCTETS]) -> Option<String> {
    let (number, key) = keys.link(None)?;
    let (key_id, tag) = link.recipient;
    let (org, domain) = (link.org.clone(), link.domain.clone());
    let sealed = Sealed { org, key: hex::encode(key_id.0), tag: hex::encode(tag.0), domain };
    let mut octets = serde_json::to_vec(&sealed).ok()?;
    let key = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key.as_ref()).ok()?);
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(CONTEXT), &mut octets).ok()?;
    Some(URL_SAFE_NO_PAD.encode([&[VERSION << 4 | number][..], &nonce, &octets].concat()))
}

/// What the last part of a URL says, if we sealed it.
pub(super) fn open(keys: &ReturnKeys, text: &str) -> Option<Link> {
    if LINK_OCTETS_MAX < text.len() {
        return None;
    }
    let mut octets = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (first, rest) = octets.split_first_mut()?;
    let (nonce, sealed) = rest.split_at_mut_checked(NONCE_OCTETS)?;
    let (_, key) = keys.link(Some(*first & 0x0f)).filter(|_| *first >> 4 == VERSION)?;
    let key = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key.as_ref()).ok()?);
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let plain = key.open_in_place(nonce, Aad::from(CONTEXT), sealed).ok()?;
    let Sealed { org, key, tag, domain } = serde_json::from_slice(plain).ok()?;
    let key_id = KeyId(hex::decode(key).ok()?.try_into().ok()?);
    let tag = Tag(hex::decode(tag).ok()?.try_into().ok()?);
    Some(Link { org, recipient: (key_id, tag), domain })
}

const VERSION: u8 = 1;
const NONCE_OCTETS: usize = 12;
/// Names of orgs and domains have 255 octets at most; with the rest, and a third more for base64.
const LINK_OCTETS_MAX: usize = 1200;
const CONTEXT: &[u8] = b"SM2TP unsubscribe link v1";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TempDir;

    #[test]
    fn a_link_says_what_was_sealed_and_nothing_to_who_only_has_it() {
        let (dir, other) = (TempDir::new(), TempDir::new());
        let keys = ReturnKeys::open(dir.path(), 1_800_000_000).unwrap();
        let link = Link { org: "asso".into(), recipient: (KeyId([1; 8]), Tag([2; 16])), domain: "x.example".into() };
        let text = seal(&keys, &link, [5; 12]).unwrap();
        assert_eq!(open(&keys, &text), Some(link.clone()));
        assert_ne!(seal(&keys, &link, [6; 12]).unwrap(), text);
        assert!(text.len() <= 300, "{}", text.len());
        let plain = URL_SAFE_NO_PAD.decode(&text).unwrap();
        assert!(!plain.windows(4).any(|four| four == b"asso"));
        assert_eq!(open(&ReturnKeys::open(other.path(), 1_800_000_000).unwrap(), &text), None);
        for place in 0..text.len() - 1 {
            let mut changed = text.clone().into_bytes();
            changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
            assert_eq!(open(&keys, &String::from_utf8(changed).unwrap()), None, "{place}");
        }
        for no_link in ["", "AA", "é", &"A".repeat(2000), &text[..20]] {
            assert_eq!(open(&keys, no_link), None, "{no_link}");
        }
    }

    #[test]
    fn a_link_of_an_older_key_still_works() {
        let dir = TempDir::new();
        let mut keys = ReturnKeys::open(dir.path(), 1_800_000_000).unwrap();
        let link = Link { org: "asso".into(), recipient: (KeyId([1; 8]), Tag([2; 16])), domain: "x.example".into() };
        let text = seal(&keys, &link, [5; 12]).unwrap();
        assert!(keys.rotate(1_800_000_000 + 91 * 86_400).unwrap());
        assert_eq!(open(&keys, &text), Some(link));
    }
}
