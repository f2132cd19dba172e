//! One secret DKIM key: made, read from PEM, written as PEM, and what it can do: sign, and say its public half.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

/// What a key signs with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// `rsa-sha256`, RFC 6376 §3.3.1: understood everywhere.
    Rsa,
    /// `ed25519-sha256`, RFC 8463: short and fast, and not understood everywhere yet.
    Ed25519,
}

/// A secret key that was checked when it was read.
pub(super) enum Secret {
    Rsa(RsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// Why a text is no key that we sign with. No variant holds anything of the text.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SecretError {
    #[error("it holds no private key in PEM form (-----BEGIN PRIVATE KEY----- or -----BEGIN RSA PRIVATE KEY-----)")]
    NoPem,
    #[error("it holds more than one private key")]
    Several,
    #[error("its key is encrypted; take off the passphrase first: openssl pkey -in FILE -out NEW")]
    Encrypted,
    #[error("its key is neither RSA nor Ed25519; DKIM knows no other")]
    Foreign,
    #[error("its RSA key has fewer than {RSA_BITS_MIN} bits, which receivers distrust (RFC 8301 §3.2)")]
    Small,
    #[error("its RSA key has {bits} bits, and receivers need not understand more than {RSA_BITS_MAX} (RFC 8301 §3.2)")]
    Large { bits: usize },
    #[error("its key is damaged ({0})")]
    Damaged(String),
    #[error("no key can be made or used: the cryptographic library refuses")]
    Library,
}

impl Algorithm {
    pub const ALL: [Self; 2] = [Self::Rsa, Self::Ed25519];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rsa => "rsa",
            Self::Ed25519 => "ed25519",
        }
    }
}

impl Secret {
    pub(super) fn generate(algorithm: Algorithm) -> Result<Self, SecretError> {
        match algorithm {
            Algorithm::Rsa => RsaKeyPair::generate(KeySize::Rsa2048).map(Self::Rsa),
            Algorithm::Ed25519 => Ed25519KeyPair::generate().map(Self::Ed25519),
        }
        .map_err(|_| SecretError::Library)
    }

    /// Reads PKCS#8 or, for RSA, PKCS#1, as `openssl genrsa`, `opendkim-genkey` and rspamd write them.
    pub(super) fn from_pem(text: &str) -> Result<Self, SecretError> {
        if text.contains("ENCRYPTED") {
            return Err(SecretError::Encrypted);
        }
        let mut found = PrivateKeyDer::pem_slice_iter(text.as_bytes());
        let der = match found.next() {
            None => return Err(SecretError::NoPem),
            Some(Err(error)) => return Err(SecretError::Damaged(error.to_string())),
            Some(Ok(der)) => der,
        };
        if found.next().is_some() {
            return Err(SecretError::Several);
        }
        let rsa = match &der {
            PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
            PrivateKeyDer::Pkcs8(der) => match Ed25519KeyPair::from_pkcs8(der.secret_pkcs8_der()) {
                Ok(key) => return Ok(Self::Ed25519(key)),
                Err(_) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
            },
            _ => return Err(SecretError::Foreign),
        };
        let key = rsa.map_err(|error| match error.to_string().as_str() {
            "WrongAlgorithm" => SecretError::Foreign,
            "TooSmall" => SecretError::Small,
            other => SecretError::Damaged(other.to_owned()),
        })?;
        let bits = key.public_modulus_len() * 8;
        match bits {
            ..RSA_BITS_MIN => Err(SecretError::Small),
            RSA_BITS_MIN..=RSA_BITS_MAX => Ok(Self::Rsa(key)),
            _ => Err(SecretError::Large { bits }),
        }
    }

    /// The key, if it can sign: one whose numbers do not belong together reads like any other. Not done at each start,
    /// where it would take a third of a millisecond for each of thousands.
    pub(super) fn tried(self) -> Result<Self, SecretError> {
        let useless = |_| SecretError::Damaged("it makes no valid signature".to_owned());
        self.sign(b"a trial").map_err(useless)?;
        Ok(self)
    }

    /// PKCS#8 in PEM.
    pub(super) fn to_pem(&self) -> Result<Zeroizing<String>, SecretError> {
        let der: Pkcs8V1Der<'_> = match self {
            Self::Rsa(key) => key.as_der(),
            Self::Ed25519(key) => key.as_der(),
        }
        .map_err(|_| SecretError::Library)?;
        let encoded = Zeroizing::new(STANDARD.encode(der.as_ref()));
        let mut text = Zeroizing::new(String::with_capacity(encoded.len() + encoded.len() / 32 + 64));
        text.push_str("-----BEGIN PRIVATE KEY-----\n");
        let mut rest = encoded.as_str();
        while !rest.is_empty() {
            let (line, after) = rest.split_at(rest.len().min(PEM_LINE));
            text.push_str(line);
            text.push('\n');
            rest = after;
        }
        text.push_str("-----END PRIVATE KEY-----\n");
        Ok(text)
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        match self {
            Self::Rsa(_) => Algorithm::Rsa,
            Self::Ed25519(_) => Algorithm::Ed25519,
        }
    }

    pub(super) fn bits(&self) -> usize {
        match self {
            Self::Rsa(key) => key.public_modulus_len() * 8,
            Self::Ed25519(_) => 256,
        }
    }

    /// The tag `p=` of the DNS record. RFC 6376 §3.6.1 and everybody's practice for RSA: SubjectPublicKeyInfo;
    /// RFC 8463 §4 for Ed25519: the 32 octets alone.
    pub(super) fn public(&self) -> Result<String, SecretError> {
        match self {
            Self::Rsa(key) => {
                let der: PublicKeyX509Der<'_> = key.public_key().as_der().map_err(|_| SecretError::Library)?;
                Ok(STANDARD.encode(der.as_ref()))
            }
            Self::Ed25519(key) => Ok(STANDARD.encode(key.public_key().as_ref())),
        }
    }

    /// The signature of these octets: RSASSA-PKCS1-v1_5 with SHA-256 (RFC 6376 §3.3.1), or Ed25519 of their SHA-256
    /// (RFC 8463 §3).
    pub(super) fn sign(&self, octets: &[u8]) -> Result<Vec<u8>, SecretError> {
        match self {
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), octets, &mut signature)
                    .map_err(|_| SecretError::Library)?;
                Ok(signature)
            }
            Self::Ed25519(key) => {
                let signature = key.try_sign(&Sha256::digest(octets)).map_err(|_| SecretError::Library)?;
                Ok(signature.as_ref().to_vec())
            }
        }
    }
}

/// RFC 8301 §3.2: signers use at least 2048 bits.
const RSA_BITS_MIN: usize = 2048;
/// Beyond it, verifiers need not understand (RFC 8301 §3.2), and the record does not fit into a UDP answer.
const RSA_BITS_MAX: usize = 4096;
/// RFC 7468 §2.
const PEM_LINE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_file() {
        for algorithm in Algorithm::ALL {
            let made = Secret::generate(algorithm).unwrap();
            let read = Secret::from_pem(&made.to_pem().unwrap()).unwrap();
            assert_eq!((read.algorithm(), read.bits()), (algorithm, made.bits()));
            assert_eq!(read.public().unwrap(), made.public().unwrap());
            assert_eq!(read.sign(b"a").unwrap(), made.sign(b"a").unwrap());
        }
    }

    #[test]
    fn what_is_no_usable_key_is_named() {
        #[track_caller]
        fn check(text: &str, want: &SecretError) {
            assert_eq!(Secret::from_pem(text).err().as_ref(), Some(want));
        }
        let pem = Secret::generate(Algorithm::Ed25519).unwrap().to_pem().unwrap();
        check("", &SecretError::NoPem);
        check("v=DKIM1; p=abc", &SecretError::NoPem);
        check(&format!("{}{}", *pem, *pem), &SecretError::Several);
        check(
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
            &SecretError::Encrypted,
        );
        check("-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n", &SecretError::Foreign);
        let damaged = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        assert!(matches!(Secret::from_pem(damaged), Err(SecretError::Damaged(_))));
        assert!(matches!(Secret::from_pem(&pem.replace("MC", "M*")), Err(SecretError::Damaged(_))));
    }
}
