//! Requests that must not be done twice: a program that did not hear the answer asks again with the same key, and gets the
//! answer of the first time.
//!
//! What is kept names nobody: hashes of key and request, and of the answer what a server would say, without addresses.

use sha2::{Digest, Sha256};

use crate::ledger::{Ledger, LedgerError};
use crate::sql::{self, Value};

/// The requests of the last day. Clones share them.
#[derive(Debug, Clone)]
pub struct Idempotency(Ledger);

/// What is known of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// Nothing: this is the first request with it, and it is noted now.
    First,
    /// Another request is, or was, under way with it, and what came of it is not known.
    Unknown,
    /// It was done; this was answered.
    Done(String),
    /// It belongs to a request that asked for something else.
    OfAnother,
}

/// Whose key it is, which, and for what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    token: String,
    key: [u8; 32],
    request: [u8; 32],
}

impl Key {
    /// `request` is all that the request asks for.
    #[must_use]
    pub fn new(token: &str, key: &str, request: &[&[u8]]) -> Self {
        let mut digest = Sha256::new();
        for part in request {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        Self { token: token.to_owned(), key: Sha256::digest(key.as_bytes()).into(), request: digest.finalize().into() }
    }
}

impl Idempotency {
    #[must_use]
    pub fn new(ledger: Ledger) -> Self {
        Self(ledger)
    }

    /// Notes that a request begins, unless its key is known. What is older than [`KEPT_S`] is forgotten, and of a token the
    /// oldest beyond [`KEYS_MAX`].
    ///
    /// # Errors
    /// [`LedgerError`]: nothing was noted, and the request must not be done.
    pub async fn begin(&self, key: Key, now: u64) -> Result<Begun, LedgerError> {
        self.0
            .write(move |sql| {
                sql.execute("DELETE FROM idempotency WHERE at < $1", &[now.saturating_sub(KEPT_S).into()])?;
                let query = "SELECT request, answer FROM idempotency WHERE token = $1 AND key = $2";
                let place: [Value; 2] = [key.token.as_str().into(), key.key[..].into()];
                let known = sql::first(sql, query, &place, |row| {
                    Ok((row.octets::<32>(0)?, row.text_or_null(1)?.map(str::to_owned)))
                })?;
                if let Some((request, answer)) = known {
                    return Ok(match answer {
                        _ if request != key.request => Begun::OfAnother,
                        Some(answer) => Begun::Done(answer),
                        None => Begun::Unknown,
                    });
                }
                let forget = "DELETE FROM idempotency WHERE token = $1 AND at < (SELECT at FROM idempotency \
                    WHERE token = $1 ORDER BY at DESC LIMIT 1 OFFSET $2)";
                sql.execute(forget, &[key.token.as_str().into(), KEYS_MAX.into()])?;
                let insert = "INSERT INTO idempotency (token, key, request, at) VALUES ($1, $2, $3, $4)";
                sql.execute(insert, &[key.token.into(), key.key[..].into(), key.request[..].into(), now.into()])?;
                Ok(Begun::First)
            })
            .await
    }

    /// Keeps what was answered; none: nothing was done, and the request may come again as the first one.
    ///
    /// # Errors
    /// [`LedgerError`]: the key stays [`Begun::Unknown`], which lets nothing be done twice.
    pub async fn end(&self, key: Key, answer: Option<String>) -> Result<(), LedgerError> {
        self.0
            .write(move |sql| {
                let place: [Value; 2] = [key.token.into(), key.key[..].into()];
                match answer {
                    None => sql.execute("DELETE FROM idempotency WHERE token = $1 AND key = $2", &place)?,
                    Some(answer) => {
                        let [token, key] = place;
                        let update = "UPDATE idempotency SET answer = $3 WHERE token = $1 AND key = $2";
                        sql.execute(update, &[token, key, answer.into()])?
                    }
                };
                Ok(())
            })
            .await
    }
}

/// Whoever asks again after a day asks for something new.
pub const KEPT_S: u64 = 86_400;
/// Of one token; some 200 octets each.
const KEYS_MAX: u64 = 20_000;

#[cfg(test)]
mod tests {
    use super::*;

    use crate::testing::TempDir;

    #[tokio::test]
    async fn a_key_is_done_once_and_answers_the_same_for_a_day() {
        let dir = TempDir::new();
        let keys = Idempotency::new(crate::testing::ledger(dir.path()));
        let key = |token: &str, request: &str| Key::new(token, "order 7", &[request.as_bytes()]);
        assert_eq!(keys.begin(key("a", "x"), 100).await.unwrap(), Begun::First);
        assert_eq!(keys.begin(key("a", "x"), 101).await.unwrap(), Begun::Unknown);
        assert_eq!(keys.begin(key("b", "x"), 101).await.unwrap(), Begun::First);
        keys.end(key("a", "x"), Some("17".into())).await.unwrap();
        assert_eq!(keys.begin(key("a", "x"), 102).await.unwrap(), Begun::Done("17".into()));
        assert_eq!(keys.begin(key("a", "y"), 102).await.unwrap(), Begun::OfAnother);
        keys.end(key("b", "x"), None).await.unwrap();
        assert_eq!(keys.begin(key("b", "x"), 103).await.unwrap(), Begun::First);
        assert_eq!(keys.begin(key("a", "y"), 101 + KEPT_S).await.unwrap(), Begun::First);
    }
}
