//! The signature itself: the only module that knows the library (mail-auth 0.13.3) and its corners.
//!
//! The body is always canonicalized simply: with relaxed bodies this version signs wrongly what ends in lines of white
//! space alone. We send the content octet by octet, so nothing is lost by it.

use std::borrow::Cow;
use std::sync::Arc;

use mail_auth::common::crypto::{
    Algorithm as SignatureAlgorithm, CryptoError, HashAlgorithm, HashOutput, Sha256, SigningKey,
};
use mail_auth::common::headers::{HeaderWriter, Writable};
use mail_auth::dkim::{Canonicalization, DkimSigner};
use sm2tp_proto::header::Field;
use sm2tp_store::dkim::{Algorithm, Key, SIGNATURE_LIFE_S};

use super::canonical::SimpleBody;
use super::{Fields, SignError};

/// The names for `h=`, in the order of [`ALWAYS`] and [`IF_THERE`]; none for a header that nobody can have meant. Each
/// name stands once more than there are fields, so that none can be added on the way (RFC 6376 §8.15).
pub(super) fn names(fields: &[Field<'_>]) -> Option<Vec<&'static str>> {
    let count = |name: &str| fields.iter().filter(|field| field.name.eq_ignore_ascii_case(name)).count();
    let mut names = Vec::new();
    let mut signed = 0;
    for (name, is_always) in ALWAYS.iter().map(|name| (*name, true)).chain(IF_THERE.iter().map(|name| (*name, false))) {
        match count(name) {
            0 if is_always => names.push(name),
            0 => {}
            // The library takes every field of a name that it is told; told twice, it adds one that is not there.
            found => {
                signed += found;
                names.extend([name, name]);
            }
        }
    }
    (signed <= FIELDS_SIGNED_MAX).then_some(names)
}

/// Signs a message with each of the keys, RSA first: what shows only one signature shows the first. `header` is a message
/// of which only the header counts, `content` one of which only the body does; mostly the same.
pub(super) fn sign(keys: &[Arc<Key>], names: &[&str], header: &[u8], content: &[u8]) -> Result<Fields, SignError> {
    let body_hash = HashAlgorithm::Sha256.hash(SimpleBody::of(content));
    let mut keys: Vec<&Key> = keys.iter().map(|key| &**key).collect();
    keys.sort_by_key(|key| key.algorithm());
    let mut fields = Vec::new();
    for key in keys {
        let signer = DkimSigner::from_key(Pen { key, body_hash: &body_hash })
            .domain(key.domain.as_str())
            .selector(key.selector.as_str())
            .headers(names.iter().copied())
            .header_canonicalization(header_canonicalization(header))
            .body_canonicalization(Canonicalization::Simple)
            .expiration(SIGNATURE_LIFE_S);
        let signature = signer.sign(header).map_err(|error| SignError::Key {
            selector: key.selector.clone(),
            domain: key.domain.clone(),
            why: error.to_string(),
        })?;
        fields.extend_from_slice(unfolded_end(&signature.to_header()).as_bytes());
    }
    Ok(fields.into())
}

/// The library breaks the line behind the signature where it is just full. White space there is not signed (RFC 6376 §3.5, `b=`),
/// but not all who verify know that (dkimpy); and what fills a line once does so for each mail of a domain.
fn unfolded_end(header: &str) -> Cow<'_, str> {
    header.strip_suffix("\r\n\t;\r\n").map_or(header.into(), |whole| format!("{whole};\r\n").into())
}

/// The library takes a form feed for white space, which RFC 6376 §3.4.2 does not.
fn header_canonicalization(content: &[u8]) -> Canonicalization {
    let end = content.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(content.len());
    if content[..end].contains(&b'\x0c') { Canonicalization::Simple } else { Canonicalization::Relaxed }
}

/// A key as the library wants it. Secret keys stay where they are.
struct Pen<'a> {
    key: &'a Key,
    /// The same for all signatures of a message.
    body_hash: &'a HashOutput,
}

impl SigningKey for Pen<'_> {
    type Hasher = Sha256;

    fn sign(&self, input: impl Writable) -> mail_auth::Result<Vec<u8>> {
        let mut octets = Vec::new();
        input.write(&mut octets);
        let signed = self.key.sign(&octets);
        signed.map_err(|error| mail_auth::Error::Crypto(CryptoError::Library(error.to_string())))
    }

    /// Called for the body alone, whose hash is known.
    fn hash(&self, _body: impl Writable) -> HashOutput {
        self.body_hash.clone()
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        match self.key.algorithm() {
            Algorithm::Rsa => SignatureAlgorithm::RsaSha256,
            Algorithm::Ed25519 => SignatureAlgorithm::Ed25519Sha256,
        }
    }
}

/// Signed whether they are there or not: what a reader sees, and what decides how the body is read (RFC 6376 §5.4.1).
const ALWAYS: &[&str] = &[
    "From",
    "To",
    "Cc",
    "Subject",
    "Date",
    "Message-ID",
    "Reply-To",
    "In-Reply-To",
    "References",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
];

/// Signed where they are. Where they are not, a mailing list that changes nothing else may add its own without making
/// the signature worthless.
const IF_THERE: &[&str] = &[
    "Sender",
    "Content-Disposition",
    "Content-ID",
    "Content-Language",
    "List-Id",
    "List-Help",
    "List-Unsubscribe",
    // RFC 8058 §4: must be signed, or nobody offers the one click.
    "List-Unsubscribe-Post",
    "List-Subscribe",
    "List-Post",
    "List-Owner",
    "List-Archive",
    "Feedback-ID",
    // RFC 9477 §3.1.2: must be signed.
    "CFBL-Address",
    "CFBL-Feedback-ID",
    // Our own: what it says of a report must be what we wrote.
    sm2tp_proto::token::FIELD,
    "Auto-Submitted",
    "Precedence",
    "Resent-From",
    "Resent-To",
    "Resent-Cc",
    "Resent-Date",
    "Resent-Message-ID",
];

/// Fields that one signature names. Honest mail has one of each; `h=` must not grow with what somebody sends.
const FIELDS_SIGNED_MAX: usize = 100;

#[cfg(test)]
mod tests;
