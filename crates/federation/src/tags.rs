//! Addresses as keyed hashes: what may be said about an address without saying the address (`FEDERATION.md` §3).

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use sha2::{Digest, Sha256};
use sm2tp_proto::{Address, Domain, DomainError};
use subtle::ConstantTimeEq;
use thiserror::Error;
use unicode_normalization::UnicodeNormalization;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::bytes::array;

/// The key of a federation, shared by its members. Who has it can test addresses; so it never shows itself.
#[derive(Clone)]
pub struct TagKey([u8; 32]);

/// Names a [`TagKey`] in segment headers without telling anything about it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(pub [u8; 8]);

/// An address or a dead domain under one tag key. 16 bytes: an accidental collision among 100 million has odds of 10⁻²³.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(pub [u8; 16]);

/// An address in the one spelling that every node computes; holds the clear text, so `Debug` hides the local part.
#[derive(Clone, PartialEq, Eq)]
pub struct Normalised {
    text: String,
    at: usize,
}

/// Why an address has no tag: it is neither published nor looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NormaliseError {
    #[error("there is no @ in it")]
    NoAt,
    #[error("the part before the @ is empty")]
    EmptyLocal,
    #[error("it holds control characters")]
    Control,
    #[error("it has {octets} octets; {ADDRESS_OCTETS_MAX} are the limit (RFC 5321 §4.5.3.1.3)")]
    TooLong { octets: usize },
    #[error("it is a source route (@relay:user@domain, RFC 5321 §3.6.1)")]
    SourceRoute,
    #[error("the domain has no A-label form (UTS 46, non-transitional)")]
    Idna,
    #[error(transparent)]
    Domain(#[from] DomainError),
}

impl TagKey {
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// The bytes, for the two places that need them: the settings store and a sealed grant.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// First 8 bytes of SHA-256(`"sm2tp-keyid\0"` || K).
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        KeyId(array(&Sha256::new().chain_update(KEY_ID_CONTEXT).chain_update(self.0).finalize(), 0))
    }

    #[must_use]
    pub fn tag(&self, address: &Normalised) -> Tag {
        self.tag_bytes(address.text.as_bytes())
    }

    /// The tag of a parsed address.
    ///
    /// # Errors
    /// [`NormaliseError`]: the address has no tag, so nothing is known of it in the federation.
    pub fn tag_address(&self, address: &Address) -> Result<Tag, NormaliseError> {
        Ok(self.tag(&normalise(&address.clear())?))
    }

    /// The tag under which an event about an address may be published; none for return paths and one-time tokens.
    ///
    /// # Errors
    /// [`NormaliseError`], as [`TagKey::tag_address`].
    pub fn tag_to_publish(&self, address: &Address) -> Result<Option<Tag>, NormaliseError> {
        let normalised = normalise(&address.clear())?;
        Ok(is_publishable(&normalised).then(|| self.tag(&normalised)))
    }

    /// The tag of a dead domain: the subject is `@example.org`, which no address can be (an empty local part is refused).
    ///
    /// # Errors
    /// [`NormaliseError`] where a domain with non-ASCII characters has no A-label form.
    pub fn tag_domain(&self, domain: &Domain) -> Result<Tag, NormaliseError> {
        Ok(self.tag_bytes(format!("@{}", normalise_domain(domain.as_str())?).as_bytes()))
    }

    fn tag_bytes(&self, subject: &[u8]) -> Tag {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(TAG_CONTEXT);
        mac.update(subject);
        Tag(array(&mac.finalize().into_bytes(), 0))
    }
}

impl Drop for TagKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl ZeroizeOnDrop for TagKey {}

impl PartialEq for TagKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for TagKey {}

impl fmt::Debug for TagKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TagKey({})", self.key_id())
    }
}

/// Puts an address into the spelling that is hashed (`FEDERATION.md` §3, steps 1 to 4).
///
/// Trimmed are space, tab, CR and LF: Unicode white space differs between languages. Quoted pairs inside a quoted local
/// part are left as they are, and such a part keeps its quotes.
///
/// # Errors
/// [`NormaliseError`] for what is neither published nor looked up.
pub fn normalise(text: &str) -> Result<Normalised, NormaliseError> {
    let text = text.trim_matches([' ', '\t', '\r', '\n']);
    check_length(text.len())?;
    if text.chars().any(char::is_control) {
        return Err(NormaliseError::Control);
    }
    let at = text.rfind('@').ok_or(NormaliseError::NoAt)?;
    let (local, domain) = (&text[..at], &text[at + 1..]);
    if local.is_empty() {
        return Err(NormaliseError::EmptyLocal);
    }
    if local.starts_with('@') {
        return Err(NormaliseError::SourceRoute);
    }
    let mut text: String = unquote(local).nfc().map(|c| c.to_ascii_lowercase()).collect();
    let at = text.len();
    text.push('@');
    text.push_str(&normalise_domain(domain)?);
    check_length(text.len())?;
    Ok(Normalised { text, at })
}

/// False for return paths and one-time tokens: they name a mail, not a mailbox (`FEDERATION.md` §3, step 5).
///
/// Wrong answers cost little in one direction only, so it is generous: any `=` (SRS, `prvs=`, BATV, VERP), a word of the
/// bounce trade followed by more (`list-bounces+x`, `return-123`), and a run of 20 hexadecimal digits or more.
#[must_use]
pub fn is_publishable(address: &Normalised) -> bool {
    let local = &address.text[..address.at];
    let srs =
        local.get(..4).is_some_and(|head| head == "srs0" || head == "srs1") && local[4..].starts_with(['=', '+', '-']);
    let mut words = local.split(['-', '+', '_', '.']).peekable();
    let mut bounce = false;
    while let Some(word) = words.next() {
        bounce |= words.peek().is_some() && BOUNCE_WORDS.contains(&word);
    }
    !(local.contains('=') || srs || bounce || has_long_hex(local))
}

impl Normalised {
    /// The domain as an A-label in lower case.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.text[self.at + 1..]
    }
}

impl fmt::Debug for Normalised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "…@{}", self.domain())
    }
}

/// Declares hex as the text of a byte array type.
macro_rules! shown_as_hex {
    ($($name:ident),+) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    )+};
}

shown_as_hex!(Tag, KeyId);

fn check_length(octets: usize) -> Result<(), NormaliseError> {
    if ADDRESS_OCTETS_MAX < octets { Err(NormaliseError::TooLong { octets }) } else { Ok(()) }
}

/// ASCII domains are only lowered: a node without IDNA must come to the same tag.
fn normalise_domain(domain: &str) -> Result<String, NormaliseError> {
    if domain.is_ascii() {
        return Ok(Domain::parse(domain)?.as_str().to_owned());
    }
    // The deny list keeps a full-width @ or space from becoming one in the hashed text.
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    let ascii = Uts46::new()
        .to_ascii(domain.as_bytes(), AsciiDenyList::URL, Hyphens::Allow, DnsLength::Verify)
        .map_err(|_| NormaliseError::Idna)?;
    Ok(Domain::parse(&ascii)?.as_str().to_owned())
}

/// The content of a quoted string where it needs no quotes, else the text as it is.
fn unquote(local: &str) -> &str {
    let content = local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    content.filter(|content| content.split('.').all(is_atom)).unwrap_or(local)
}

fn is_atom(atom: &str) -> bool {
    let is_atext = |c: char| c.is_ascii_alphanumeric() || ATEXT_MARKS.contains(c) || !c.is_ascii();
    !atom.is_empty() && atom.chars().all(is_atext)
}

fn has_long_hex(local: &str) -> bool {
    local
        .split(|c: char| !c.is_ascii_hexdigit())
        .any(|run| HEX_RUN_MIN <= run.len() && run.bytes().any(|b| b.is_ascii_digit()))
}

const TAG_CONTEXT: &[u8] = b"sm2tp-addr-v1\0";
const KEY_ID_CONTEXT: &[u8] = b"sm2tp-keyid\0";
/// RFC 5321 §4.5.3.1.3, without the angle brackets. Before and after normalisation: an A-label is longer than what it spells.
const ADDRESS_OCTETS_MAX: usize = 254;
/// RFC 5322 §3.2.3.
const ATEXT_MARKS: &str = "!#$%&'*+-/=?^_`{|}~";
const BOUNCE_WORDS: &[&str] = &["bounce", "bounces", "return", "returns", "verp", "fbl"];
/// A UUID without its last group has 20; no name has so many.
const HEX_RUN_MIN: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> TagKey {
        TagKey::new([0x42; 32])
    }

    #[track_caller]
    fn check_tag(address: &str, want: &str) {
        assert_eq!(key().tag(&normalise(address).unwrap()).to_string(), want, "{address:?}");
        if let Ok(parsed) = Address::parse(address) {
            assert_eq!(key().tag_address(&parsed).unwrap().to_string(), want, "{address:?} parsed");
        }
    }

    #[track_caller]
    fn check(address: &str, want: Result<&str, NormaliseError>) {
        assert_eq!(normalise(address).as_ref().map(|n| n.text.as_str()).map_err(|e| *e), want, "{address:?}");
    }

    #[track_caller]
    fn check_publishable(local: &str, want: bool) {
        assert_eq!(is_publishable(&normalise(&format!("{local}@example.org")).unwrap()), want, "{local:?}");
    }

    #[test]
    fn the_vectors_of_section_3_hold() {
        assert_eq!(key().key_id().to_string(), "1b6156ef8bbf44aa");
        check_tag("Jean.Dupont@Example.ORG", "d34e52dc793598dd519e29618d1a7070");
        check_tag("\"jean.dupont\"@example.org", "d34e52dc793598dd519e29618d1a7070");
        check_tag("jean.dupont+news@example.org", "2848abaa988995a7ecd434d87e5d598c");
        check_tag("user@Exämple.fr.", "a7bcddc9e744023f7a65ccb593c4e5e5");
        check_tag("user@xn--exmple-cua.fr", "a7bcddc9e744023f7a65ccb593c4e5e5");
        let dead = key().tag_domain(&Domain::parse("example.org").unwrap()).unwrap();
        assert_eq!(dead.to_string(), "c956da9e016b5b81a28f8fdd7f6b5d12");
    }

    #[test]
    fn one_mailbox_has_one_spelling_and_two_have_two() {
        check(" Jean@Example.org\r\n", Ok("jean@example.org"));
        check("\"jean dupont\"@example.org", Ok("\"jean dupont\"@example.org"));
        check("\"a@B\"@example.org", Ok("\"a@b\"@example.org"));
        check("jose\u{301}@example.org", Ok("jos\u{e9}@example.org"));
        check("JOS\u{c9}@example.org", Ok("jos\u{c9}@example.org"));
        check("stra\u{df}e@stra\u{df}e.de", Ok("stra\u{df}e@xn--strae-oqa.de"));
        check("j.e.a.n+x-y@example.org", Ok("j.e.a.n+x-y@example.org"));
        check("jean..dupont@example.org", Ok("jean..dupont@example.org"));
    }

    #[test]
    fn what_has_no_tag_says_why() {
        check("jean", Err(NormaliseError::NoAt));
        check("@example.org", Err(NormaliseError::EmptyLocal));
        check("@relay.example:jean@example.org", Err(NormaliseError::SourceRoute));
        check("jean@", Err(NormaliseError::Domain(DomainError::Empty)));
        check("jean@example..org", Err(NormaliseError::Domain(DomainError::BadLabel)));
        check("jean@[192.0.2.1]", Err(NormaliseError::Domain(DomainError::Literal)));
        check("je\0an@example.org", Err(NormaliseError::Control));
        check("jean@ex\u{e4}m\u{ff20}ple.org", Err(NormaliseError::Idna));
        check(&format!("{}@example.org", "a".repeat(250)), Err(NormaliseError::TooLong { octets: 262 }));
    }

    #[test]
    fn tokens_are_never_published_and_mailboxes_are() {
        for token in [
            "SRS0=HHH=TT=example.net=jean",
            "srs1+x",
            "prvs=1234abcdef=jean",
            "btv1==123==jean",
            "bounce+token",
            "list-bounces+jean=example.net",
            "liste-return-12-jean=example.net",
            "bounces+123-ab12",
            "returns+9f3k2",
            "0102018f3c5a7e9b0d1f-abcd",
            "bounce-mc.us1_123",
        ] {
            check_publishable(token, false);
        }
        for (local, want) in [("list-bounces+x", false), ("jean", true)] {
            let address = Address::parse(&format!("{local}@example.org")).unwrap();
            assert_eq!(key().tag_to_publish(&address).unwrap().is_some(), want, "{local}");
        }
        for mailbox in ["jean.dupont", "jean+news", "bounces", "list-bounces", "srs0", "deadbeef", "marc.return", "fee"]
        {
            check_publishable(mailbox, true);
        }
    }

    #[test]
    fn debug_shows_neither_key_nor_local_part() {
        assert_eq!(format!("{:?}", key()), "TagKey(1b6156ef8bbf44aa)");
        assert_eq!(format!("{:?}", normalise("jean@example.org").unwrap()), "…@example.org");
    }
}
