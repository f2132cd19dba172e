//! An alert as a call of a program, signed as Standard Webhooks (standardwebhooks.com) say: `webhook-id`,
//! `webhook-timestamp`, and `webhook-signature` with an HMAC-SHA-256 over both and the body.

use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use reqwest::StatusCode;
use sha2::Sha256;
use sm2tp_store::alerts::Refused;
use thiserror::Error;

use crate::outgoing::{self, NoAnswer};
use crate::reason;

/// The key that a receiver shares with us.
#[derive(Clone)]
pub struct Secret(Vec<u8>);

/// Why a secret cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SecretError {
    #[error("it is not base64, with or without whsec_ before it")]
    NotBase64,
    #[error("it has {octets} octets; 24 to 64 are allowed")]
    Length { octets: usize },
}

impl Secret {
    /// `whsec_` and the key in base64, as receivers show it.
    ///
    /// # Errors
    /// [`SecretError`].
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let text = text.trim();
        let text = text.strip_prefix("whsec_").unwrap_or(text);
        let octets = STANDARD_NO_PAD.decode(text.trim_end_matches('=')).map_err(|_| SecretError::NotBase64)?;
        match octets.len() {
            24..=64 => Ok(Self(octets)),
            octets => Err(SecretError::Length { octets }),
        }
    }

    /// Octets that this node made itself.
    pub(crate) fn of(octets: Vec<u8>) -> Self {
        Self(octets)
    }

    /// The value of `webhook-signature`.
    fn sign(&self, id: &str, timestamp: u64, body: &str) -> String {
        // HMAC takes keys of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return String::new() };
        mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Why a webhook took nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum NotTaken {
    #[error("it answered {0}")]
    Status(StatusCode),
    #[error("it answered {0}, which sends us elsewhere: that is not followed")]
    Elsewhere(StatusCode),
    #[error(transparent)]
    NoAnswer(#[from] NoAnswer),
    #[error("{0}")]
    Client(String),
    #[error("it waited too long")]
    Late,
    #[error("not in [alerts] webhook any more")]
    Unnamed,
}

/// Posts a message once. The same message has the same id at each try, so that a receiver can tell a second one.
pub(super) async fn call(url: &str, secret: &Secret, message: u64, body: &str, now: u64) -> Result<(), Refused> {
    let http = client().as_ref().map_err(|why| refused(&NotTaken::Client(why.clone())))?;
    post(http, url, secret, &format!("alert-{message}"), body, now).await
}

/// Posts once with this client. The same `id` is the same event at each try.
pub(crate) async fn post(
    http: &reqwest::Client,
    url: &str,
    secret: &Secret,
    id: &str,
    body: &str,
    now: u64,
) -> Result<(), Refused> {
    let request = http
        .post(url)
        .header("content-type", "application/json")
        .header("webhook-id", id)
        .header("webhook-timestamp", now)
        .header("webhook-signature", secret.sign(id, now, body))
        .body(body.to_owned());
    let answer = request.send().await.map_err(|error| refused(&NotTaken::NoAnswer(error.into())))?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    Err(refused(&if status.is_redirection() { NotTaken::Elsewhere(status) } else { NotTaken::Status(status) }))
}

/// "The receiver wants no more", as the Standard Webhooks have it, is 410.
pub(super) fn refused(why: &NotTaken) -> Refused {
    let for_good = matches!(why, NotTaken::Status(StatusCode::GONE) | NotTaken::Unnamed);
    Refused { why: reason::phrase(why), for_good }
}

/// One for all, made when it is first used. The answer is not read: its status says it all.
fn client() -> &'static Result<reqwest::Client, String> {
    static CLIENT: OnceLock<Result<reqwest::Client, String>> = OnceLock::new();
    CLIENT.get_or_init(|| {
        let http = outgoing::client().connect_timeout(CONNECT_MAX).timeout(ANSWER_MAX).build();
        http.map_err(|error| outgoing::chain(&error))
    })
}

const CONNECT_MAX: Duration = Duration::from_secs(10);
/// Standard Webhooks recommend 15 to 30 seconds.
const ANSWER_MAX: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_one_of_the_standard() {
        // The example of the Standard Webhooks' own libraries.
        let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_is_base64_and_long_enough() {
        let whole = STANDARD.encode([7; 32]);
        assert!(Secret::parse(&format!("whsec_{whole}\n")).is_ok() && Secret::parse(&whole).is_ok());
        assert_eq!(Secret::parse("whsec_?").unwrap_err(), SecretError::NotBase64);
        assert_eq!(Secret::parse(&STANDARD.encode([7; 23])).unwrap_err(), SecretError::Length { octets: 23 });
        assert_eq!(format!("{:?}", Secret::parse(&whole).unwrap()), "Secret(…)");
    }
}
