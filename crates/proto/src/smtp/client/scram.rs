//! The client's part of SCRAM-SHA-256 (RFC 5802, RFC 7677), without channel binding; `crate::scram` is the server's.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::Login;

/// Where the exchange stands.
pub(super) enum Scram {
    First {
        password: Zeroizing<String>,
        nonce: String,
        bare: String,
    },
    /// The proof is out; the server owes this signature.
    Proof {
        signature: [u8; 32],
    },
    /// The server has shown that it knows the password too.
    Proven,
}

/// The next state, and what to say.
pub(super) struct Answered {
    pub(super) scram: Scram,
    pub(super) words: String,
}

impl Scram {
    pub(super) fn begin(login: &Login) -> (Self, String) {
        // RFC 5802 §5.1: a comma and an equals sign separate fields.
        let user = login.user.replace('=', "=3D").replace(',', "=2C");
        let bare = format!("n={user},r={}", login.nonce);
        let first = format!("n,,{bare}");
        (Self::First { password: login.password.clone(), nonce: login.nonce.clone(), bare }, first)
    }

    /// Answers a challenge; none where it is not one that an honest server makes.
    pub(super) fn answer(self, challenge: &str) -> Option<Answered> {
        match self {
            Self::First { password, nonce, bare } => prove(&password, &nonce, &bare, challenge),
            Self::Proof { signature } => {
                let shown = STANDARD.decode(challenge.strip_prefix("v=")?.split(',').next()?).ok()?;
                (shown == signature).then(|| Answered { scram: Self::Proven, words: String::new() })
            }
            Self::Proven => None,
        }
    }

    pub(super) fn is_proven(&self) -> bool {
        matches!(self, Self::Proven)
    }
}

impl fmt::Debug for Scram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scram")
    }
}

fn prove(password: &str, nonce: &str, bare: &str, challenge: &str) -> Option<Answered> {
    let mut fields = challenge.split(',');
    let whole_nonce = fields.next()?.strip_prefix("r=")?;
    let salt = STANDARD.decode(fields.next()?.strip_prefix("s=")?).ok()?;
    let rounds: u32 = fields.next()?.strip_prefix("i=")?.parse().ok()?;
    // RFC 5802 §9: a server that adds nothing to the nonce could replay an old conversation.
    let fresh = whole_nonce.len() > nonce.len() && whole_nonce.starts_with(nonce);
    if !fresh || !(ROUNDS_MIN..=ROUNDS_MAX).contains(&rounds) {
        return None;
    }
    let password = Zeroizing::new(stringprep::saslprep(password).ok()?.into_owned());
    let salted: [u8; 32] = pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password.as_bytes(), &salt, rounds);
    let salted = Zeroizing::new(salted);
    let client_key = sign(&*salted, b"Client Key")?;
    let without_proof = format!("c=biws,r={whole_nonce}");
    let all = format!("{bare},{challenge},{without_proof}");
    let client_signature = sign(&Sha256::digest(client_key), all.as_bytes())?;
    let mut proof = client_key;
    proof.iter_mut().zip(client_signature).for_each(|(byte, mask)| *byte ^= mask);
    let signature = sign(&sign(&*salted, b"Server Key")?, all.as_bytes())?;
    Some(Answered { scram: Scram::Proof { signature }, words: format!("{without_proof},p={}", STANDARD.encode(proof)) })
}

fn sign(key: &[u8], message: &[u8]) -> Option<[u8; 32]> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(message);
    Some(mac.finalize().into_bytes().into())
}

/// RFC 7677 §4: fewer make a stolen list of passwords cheap to guess.
const ROUNDS_MIN: u32 = 4096;
/// A tenth of a second here; a server that asks for more would keep our processor busy.
const ROUNDS_MAX: u32 = 200_000;
