//! Public keys as they stand in documents and paths, and the fingerprint that two people compare by voice (§2).

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signature, SigningKey, VerifyingKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::bytes::{base64url, from_base64url};

/// Declares a 32-byte public key with its text form: base64url without padding, 43 characters.
macro_rules! public_key {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// The public half of a key that signs.
            #[must_use]
            pub fn of(key: &SigningKey) -> Self {
                Self(key.verifying_key().to_bytes())
            }

            /// Strict Ed25519 verification (`FEDERATION.md`, head): small-order keys and non-canonical signatures fail,
            /// so that all nodes agree on every crafted key.
            #[must_use]
            pub fn signed(&self, message: &[u8], signature: &[u8; 64]) -> bool {
                VerifyingKey::from_bytes(&self.0)
                    .is_ok_and(|key| key.verify_strict(message, &Signature::from_bytes(signature)).is_ok())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&base64url(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = KeyError;

            fn from_str(text: &str) -> Result<Self, KeyError> {
                from_base64url(text).map(Self).ok_or(KeyError { octets: text.len() })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
                out.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(text: D) -> Result<Self, D::Error> {
                String::deserialize(text)?.parse().map_err(de::Error::custom)
            }
        }
    };
}

public_key! {
    /// The identity of a node, and so of an origin. Rarely signs; may be kept offline.
    NodeKey
}

public_key! {
    /// Signs segments and HTTP requests of a node; as X25519 it receives sealed keys.
    LogKey
}

public_key! {
    /// Signs the tag keys of a whole federation, whoever hands them on.
    FederationKey
}

/// A text that is no public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a public key is 43 characters of base64url without padding (32 bytes); this text has {octets} octets")]
pub struct KeyError {
    pub octets: usize,
}

impl NodeKey {
    /// What people compare: the first 16 bytes of SHA-256 of the key, as 8 groups of 4 hex digits.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let groups: Vec<String> = Sha256::digest(self.0)[..16].chunks(2).map(hex::encode).collect();
        groups.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_back_from_its_text_and_nothing_else_does() {
        let key = NodeKey::of(&SigningKey::from_bytes(&[7; 32]));
        assert_eq!(key.to_string().len(), 43);
        assert_eq!(key.to_string().parse(), Ok(key));
        assert_eq!(format!("{key}=").parse::<NodeKey>(), Err(KeyError { octets: 44 }));
        assert_eq!("".parse::<NodeKey>(), Err(KeyError { octets: 0 }));
        assert_eq!(format!("{key:?}"), format!("NodeKey({key})"));
    }

    #[test]
    fn a_fingerprint_has_eight_groups_of_four_hex_digits() {
        let text = NodeKey([0; 32]).fingerprint();
        // sha256 of 32 zero bytes: 66687aadf862bd776c8fc18b8e9f8e20…
        assert_eq!(text, "6668 7aad f862 bd77 6c8f c18b 8e9f 8e20");
    }

    #[test]
    fn a_key_of_small_order_verifies_nothing() {
        // The identity point with R = identity and s = 0: plain verification accepts it for every message.
        let mut identity = [0; 32];
        identity[0] = 1;
        let mut signature = [0; 64];
        signature[0] = 1;
        assert!(!LogKey(identity).signed(b"anything", &signature));
    }
}
