//! SCRAM-SHA-256 (RFC 5802, RFC 7677), the server's side as a value: messages go in, messages and a verdict come out.
//!
//! Salt, nonce and the secret behind pretended keys are arguments (I1). No channel binding: SCRAM-SHA-256-PLUS is not
//! offered, so `p=` is refused, and `y` (a client that could bind and was not offered it) is as good as `n`.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroize;

/// What is kept of a password (RFC 5802 §3). Whoever has it can try passwords at home, much faster than against
/// Argon2id, and can play the server to a client; he cannot log in with it.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    salt: Vec<u8>,
    iterations: u32,
    stored_key: [u8; 32],
    server_key: [u8; 32],
}

/// The first message of a client, read and found sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientFirst {
    login: String,
    gs2_header: String,
    nonce: String,
    bare: String,
}

/// After the challenge: what the client's proof must fit.
#[derive(Debug, PartialEq, Eq)]
pub struct Challenge {
    login: String,
    keys: Keys,
    nonce: String,
    /// base64 of the header of the first message: no channel binding follows it.
    binding: String,
    /// All of the message that is signed but the client's last words.
    signed: String,
}

/// Why a message was not followed. None of them says whether the login exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ScramError {
    #[error("This is no SCRAM message (RFC 5802 section 7)")]
    Malformed,
    #[error("Channel binding is not offered")]
    ChannelBinding,
    #[error("Nobody may act for another login")]
    ActsForAnother,
    #[error("A mandatory extension is not known here")]
    Extension,
    /// SASLprep (RFC 4013) has no form of it: control characters, unassigned characters, mixed writing directions.
    #[error("The login or password has characters that SASLprep forbids")]
    Characters,
    /// Wrong proof, another nonce or another header than at the beginning.
    #[error("Login or password wrong")]
    Wrong,
}

impl Keys {
    /// The keys of a password, prepared by SASLprep as clients do it.
    ///
    /// # Errors
    /// [`ScramError::Characters`].
    pub fn derive(password: &str, salt: &[u8], iterations: u32) -> Result<Self, ScramError> {
        let prepared = stringprep::saslprep(password).map_err(|_| ScramError::Characters)?;
        let mut salted: [u8; 32] = pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(prepared.as_bytes(), salt, iterations);
        let mut client_key = hmac(&salted, b"Client Key");
        let keys = Self {
            salt: salt.to_vec(),
            iterations,
            stored_key: Sha256::digest(client_key).into(),
            server_key: hmac(&salted, b"Server Key"),
        };
        salted.zeroize();
        client_key.zeroize();
        Ok(keys)
    }

    /// Whether they are those of this password, for a client that says it in clear.
    #[must_use]
    pub fn fits(&self, password: &str) -> bool {
        let found = Self::derive(password, &self.salt, self.iterations);
        found.is_ok_and(|found| found.stored_key.ct_eq(&self.stored_key).into())
    }

    /// Keys that no password has, for a login that is unknown or has none: always the same ones while `secret` is, so that
    /// asking twice does not tell it from a login with keys.
    #[must_use]
    pub fn pretended(login: &str, secret: &[u8; 32], iterations: u32) -> Self {
        let of = |what: &str| hmac(secret, format!("SM2TP SCRAM {what} of {login}").as_bytes());
        Self {
            salt: of("salt")[..SALT_OCTETS].to_vec(),
            iterations,
            stored_key: of("stored key"),
            server_key: of("server key"),
        }
    }
}

/// As RFC 5803 and PostgreSQL write it: `SCRAM-SHA-256$iterations:salt$stored key:server key`.
impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [salt, stored, server] =
            [&self.salt[..], &self.stored_key, &self.server_key].map(|part| STANDARD.encode(part));
        write!(f, "{MECHANISM}${}:{salt}${stored}:{server}", self.iterations)
    }
}

impl FromStr for Keys {
    type Err = ScramError;

    fn from_str(text: &str) -> Result<Self, ScramError> {
        let read = || {
            let [mechanism, salting, keys] = text.split('$').collect::<Vec<_>>().try_into().ok()?;
            let ((iterations, salt), (stored, server)) = (salting.split_once(':')?, keys.split_once(':')?);
            let octets = |text: &str| STANDARD.decode(text).ok();
            let iterations =
                iterations.parse().ok().filter(|count| (ITERATIONS_MIN..=ITERATIONS_MAX).contains(count))?;
            let salt = octets(salt).filter(|salt| !salt.is_empty())?;
            let (stored_key, server_key) = (octets(stored)?.try_into().ok()?, octets(server)?.try_into().ok()?);
            (mechanism == MECHANISM).then_some(Self { salt, iterations, stored_key, server_key })
        };
        read().ok_or(ScramError::Malformed)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(…)")
    }
}

impl ClientFirst {
    /// Reads `n,,n=login,r=nonce` (RFC 5802 §7).
    ///
    /// # Errors
    /// [`ScramError`].
    pub fn parse(message: &str) -> Result<Self, ScramError> {
        if MESSAGE_OCTETS_MAX < message.len() {
            return Err(ScramError::Malformed);
        }
        let mut parts = message.splitn(3, ',');
        let (flag, act_as) = (parts.next().unwrap_or_default(), parts.next().ok_or(ScramError::Malformed)?);
        let bare = parts.next().ok_or(ScramError::Malformed)?;
        match flag {
            "n" | "y" => {}
            _ if flag.starts_with("p=") => return Err(ScramError::ChannelBinding),
            _ => return Err(ScramError::Malformed),
        }
        let mut attributes = bare.split(',');
        let login = match attributes.next() {
            Some(first) if first.starts_with("m=") => return Err(ScramError::Extension),
            first => name(first.and_then(|first| first.strip_prefix("n=")).ok_or(ScramError::Malformed)?)?,
        };
        if !act_as.is_empty() && name(act_as.strip_prefix("a=").ok_or(ScramError::Malformed)?)? != login {
            return Err(ScramError::ActsForAnother);
        }
        let nonce = attributes.next().and_then(|part| part.strip_prefix("r=")).filter(|nonce| is_nonce(nonce));
        let nonce = nonce.ok_or(ScramError::Malformed)?.to_owned();
        if !attributes.all(is_attribute) {
            return Err(ScramError::Malformed);
        }
        Ok(Self { login, gs2_header: format!("{flag},{act_as},"), nonce, bare: bare.to_owned() })
    }

    /// Who wants to log in.
    #[must_use]
    pub fn login(&self) -> &str {
        &self.login
    }

    /// The challenge for this client and the message that carries it. `fresh` are random octets.
    #[must_use]
    pub fn challenge(self, keys: Keys, fresh: &[u8; 18]) -> (Challenge, String) {
        let nonce = format!("{}{}", self.nonce, STANDARD.encode(fresh));
        let message = format!("r={nonce},s={},i={}", STANDARD.encode(&keys.salt), keys.iterations);
        let challenge = Challenge {
            login: self.login,
            keys,
            nonce,
            binding: STANDARD.encode(&self.gs2_header),
            signed: format!("{},{message}", self.bare),
        };
        (challenge, message)
    }
}

impl Challenge {
    /// Who wants to log in.
    #[must_use]
    pub fn login(&self) -> &str {
        &self.login
    }

    /// Checks the proof; answers with the message by which the server proves that it knew the password too.
    ///
    /// # Errors
    /// [`ScramError::Wrong`], or what is wrong with the message itself.
    pub fn verify(&self, message: &str) -> Result<String, ScramError> {
        if MESSAGE_OCTETS_MAX < message.len() {
            return Err(ScramError::Malformed);
        }
        let (unproved, proof) = message.rsplit_once(",p=").ok_or(ScramError::Malformed)?;
        let mut attributes = unproved.split(',');
        let mut expect =
            |key: &str| attributes.next().and_then(|part| part.strip_prefix(key)).ok_or(ScramError::Malformed);
        let (binding, nonce) = (expect("c=")?, expect("r=")?);
        if !attributes.all(is_attribute) {
            return Err(ScramError::Malformed);
        }
        let proof: [u8; 32] =
            STANDARD.decode(proof).ok().and_then(|octets| octets.try_into().ok()).ok_or(ScramError::Malformed)?;
        let signed = format!("{},{unproved}", self.signed);
        let mut client_key = hmac(&self.keys.stored_key, signed.as_bytes());
        client_key.iter_mut().zip(proof).for_each(|(octet, proof)| *octet ^= proof);
        let right = Sha256::digest(client_key)[..].ct_eq(&self.keys.stored_key[..]);
        client_key.zeroize();
        if bool::from(right) && binding == self.binding && nonce == self.nonce {
            Ok(format!("v={}", STANDARD.encode(hmac(&self.keys.server_key, signed.as_bytes()))))
        } else {
            Err(ScramError::Wrong)
        }
    }
}

/// A `saslname`: commas and equal signs are written `=2C` and `=3D`; then SASLprep.
fn name(text: &str) -> Result<String, ScramError> {
    let mut plain = String::new();
    let mut pieces = text.split('=');
    plain.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let (sign, rest) = match piece.split_at_checked(2) {
            Some(("2C", rest)) => (',', rest),
            Some(("3D", rest)) => ('=', rest),
            _ => return Err(ScramError::Malformed),
        };
        plain.push(sign);
        plain.push_str(rest);
    }
    let prepared = stringprep::saslprep(&plain).map_err(|_| ScramError::Characters)?;
    let fine = (1..=NAME_OCTETS_MAX).contains(&prepared.len());
    if fine { Ok(prepared.into_owned()) } else { Err(ScramError::Malformed) }
}

/// Printable ASCII without the comma.
fn is_nonce(text: &str) -> bool {
    (1..=NONCE_OCTETS_MAX).contains(&text.len()) && text.bytes().all(|octet| octet.is_ascii_graphic() && octet != b',')
}

/// An extension: a letter, `=`, a value. Those that are not mandatory are to be passed over.
fn is_attribute(text: &str) -> bool {
    matches!(text.as_bytes(), [key, b'=', ..] if key.is_ascii_alphabetic() && *key != b'm')
}

fn hmac(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// As it stands after AUTH.
pub const MECHANISM: &str = "SCRAM-SHA-256";
/// Of a new salt.
pub const SALT_OCTETS: usize = 16;
/// RFC 7677 §4.
const ITERATIONS_MIN: u32 = 4096;
/// A client computes them at each login; more is a damaged file.
const ITERATIONS_MAX: u32 = 10_000_000;
/// Real messages have about 100; the nonce and the login have limits of their own.
const MESSAGE_OCTETS_MAX: usize = 2048;
const NONCE_OCTETS_MAX: usize = 512;
/// As of logins in general.
const NAME_OCTETS_MAX: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7677 §3.
    const SALT: &str = "W22ZaJ0SNY7soEsUEjb6gQ==";
    const FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    const LAST: &str =
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

    fn keys() -> Keys {
        Keys::derive("pencil", &STANDARD.decode(SALT).unwrap(), 4096).unwrap()
    }

    /// The challenge with the nonce of the RFC's example, which is not base64 of 18 octets.
    fn challenge(first: &str) -> Challenge {
        let nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0".to_owned();
        let (challenge, _) = ClientFirst::parse(first).unwrap().challenge(keys(), &[0; 18]);
        let bare = first.splitn(3, ',').nth(2).unwrap();
        Challenge { signed: format!("{bare},r={nonce},s={SALT},i=4096"), nonce, ..challenge }
    }

    #[test]
    fn the_example_of_rfc_7677_goes_as_written() {
        assert_eq!(challenge(FIRST).verify(LAST).unwrap(), "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
        let (_, message) = ClientFirst::parse(FIRST).unwrap().challenge(keys(), &[0; 18]);
        assert_eq!(message, format!("r=rOprNGfwEbeRWgbNEkqOAAAAAAAAAAAAAAAAAAAAAAAA,s={SALT},i=4096"));
    }

    #[test]
    fn anything_else_than_the_right_proof_is_wrong() {
        let bad_proof = LAST.replace("dHzb", "dHzc");
        let bad_nonce = LAST.replace("r=rOpr", "r=rOps");
        // The header of another first message: somebody took away the client's wish to bind.
        let bad_header = LAST.replace("c=biws", "c=eSws");
        for bad in [&bad_proof, &bad_nonce, &bad_header] {
            assert_eq!(challenge(FIRST).verify(bad), Err(ScramError::Wrong), "{bad}");
        }
        for broken in
            ["", "p=", "c=biws", &LAST[..LAST.len() - 1], &LAST[7..], &LAST.replace(",p=", ",m=x,p="), "c=biws,p=AA=="]
        {
            assert_eq!(challenge(FIRST).verify(broken), Err(ScramError::Malformed), "{broken}");
        }
    }

    #[test]
    fn first_messages_are_read_strictly() {
        #[track_caller]
        fn check(message: &str, want: Result<&str, ScramError>) {
            assert_eq!(ClientFirst::parse(message).map(|first| first.login), want.map(str::to_owned), "{message}");
        }
        check("y,,n=user,r=x", Ok("user"));
        check("n,a=user,n=user,r=x", Ok("user"));
        check("n,,n=a=2Cb=3Dc,r=x", Ok("a,b=c"));
        check("n,,n=jos\u{e9},r=x,e=1,t=2", Ok("josé"));
        // SASLprep maps this to an ordinary space, and the soft hyphen to nothing.
        check("n,,n=a\u{a0}b\u{ad},r=x", Ok("a b"));
        check("p=tls-exporter,,n=user,r=x", Err(ScramError::ChannelBinding));
        check("n,a=root,n=user,r=x", Err(ScramError::ActsForAnother));
        check("n,,m=x,n=user,r=x", Err(ScramError::Extension));
        check("n,,n=a\u{7},r=x", Err(ScramError::Characters));
        for bad in [
            "",
            "n",
            "n,",
            "n,,",
            "n,,n=user",
            "n,,n=,r=x",
            "n,,n=a=2cb,r=x",
            "n,,n=a=,r=x",
            "n,,n=user,r=",
            "n,user,n=user,r=x",
            "n,,r=x,n=user",
            "x,,n=user,r=x",
            "n,,n=user,r=\u{e9}",
            "n,,n=user,r=x,",
            "n,,n=user,r=x,m=1",
            "N,,n=user,r=x",
        ] {
            check(bad, Err(ScramError::Malformed));
        }
        check(&format!("n,,n=user,r={}", "x".repeat(NONCE_OCTETS_MAX + 1)), Err(ScramError::Malformed));
        check(&format!("n,,n={},r=x", "x".repeat(NAME_OCTETS_MAX + 1)), Err(ScramError::Malformed));
        check(&format!("n,,n=user,r=x,e={}", "x".repeat(MESSAGE_OCTETS_MAX)), Err(ScramError::Malformed));
    }

    #[test]
    fn twenty_thousand_damaged_messages_are_answered_and_none_is_believed() {
        let mut state = 0x5eed_0003_u64;
        let mut roll = |end: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).unwrap() % end
        };
        let (challenge, seeds) = (challenge(FIRST), [FIRST, LAST, "y,a=a=2C,n=a=3Db,r=x,e=1"]);
        for _ in 0..20_000 {
            let mut octets = seeds[roll(seeds.len())].as_bytes().to_vec();
            for _ in 0..=roll(3) {
                let (at, octet) = (roll(octets.len()), u8::try_from(roll(128)).unwrap());
                octets[at] = octet;
            }
            let text = String::from_utf8(octets).unwrap();
            let _ = ClientFirst::parse(&text);
            assert!(text == LAST || challenge.verify(&text).is_err(), "{text}");
        }
    }

    #[test]
    fn keys_are_kept_as_text_and_never_shown() {
        let text = keys().to_string();
        assert!(text.starts_with("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"), "{text}");
        assert_eq!(text.parse::<Keys>().unwrap(), keys());
        assert_eq!(format!("{:?}", keys()), "Keys(…)");
        for bad in ["", "SCRAM-SHA-1$4096:AA==$AA==:AA==", &text.replace("4096", "1"), &text[..text.len() - 4]] {
            assert!(bad.parse::<Keys>().is_err(), "{bad}");
        }
        assert!(Keys::derive("a\u{7}b", b"salt", 4096).is_err());
        // U+2168 is the Roman numeral nine (RFC 4013 §3).
        assert_eq!(Keys::derive("\u{2168}", b"salt", 4096), Keys::derive("IX", b"salt", 4096));
    }

    #[test]
    fn a_pretended_login_is_the_same_each_time_and_another_one_elsewhere() {
        let pretended = |login, secret| Keys::pretended(login, &[secret; 32], 4096);
        assert_eq!(pretended("a", 1), pretended("a", 1));
        assert_ne!(pretended("a", 1).salt, pretended("b", 1).salt);
        assert_ne!(pretended("a", 1).salt, pretended("a", 2).salt);
        assert_eq!(pretended("a", 1).salt.len(), SALT_OCTETS);
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// The client's side, for tests of what is built on this.
    pub(crate) fn client_last(first: &str, challenge: &str, password: &str) -> String {
        let part = |key: &str| challenge.split(',').find_map(|part| part.strip_prefix(key)).unwrap();
        let (salt, iterations) = (STANDARD.decode(part("s=")).unwrap(), part("i=").parse().unwrap());
        let mut pieces = first.splitn(3, ',');
        let (flag, act_as, bare) = (pieces.next().unwrap(), pieces.next().unwrap(), pieces.next().unwrap());
        let unproved = format!("c={},r={}", STANDARD.encode(format!("{flag},{act_as},")), part("r="));
        let signed = format!("{bare},{challenge},{unproved}");
        let salted = pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password.as_bytes(), &salt, iterations);
        let client_key = hmac(&salted, b"Client Key");
        let signature = hmac(&Sha256::digest(client_key).into(), signed.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(signature).map(|(a, b)| a ^ b).collect();
        format!("{unproved},p={}", STANDARD.encode(proof))
    }
}
