//! Tokens of programs: made once, shown once, kept as hashes. Whose a token is is answered from memory.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sm2tp_rules::access::{NoRole, Rights, Role};
use sm2tp_rules::rate::{Per, Rate};
use sm2tp_rules::{UnknownWord, access};
use subtle::ConstantTimeEq;
use thiserror::Error;

use crate::ledger::{Ledger, LedgerError};
use crate::sql::{self, Row, Sql, SqlError, Value};

/// The tokens of a node. Clones share them.
#[derive(Debug, Clone)]
pub struct Tokens {
    ledger: Ledger,
    known: Arc<RwLock<HashMap<String, Arc<Token>>>>,
}

/// A token without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub id: String,
    /// What program has it, for people.
    pub name: String,
    pub rights: Rights,
    /// Whose mail it hands in; none: mail of its organisation, of no login.
    pub login: Option<String>,
    /// Requests in a time.
    pub rate: Rate,
    /// Unix seconds.
    pub made_at: u64,
    pub made_by: String,
    /// Unix seconds; none: it does not end by itself.
    pub expires_at: Option<u64>,
    hash: [u8; 32],
}

/// A token that somebody wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    pub name: String,
    /// `owner`, `operator`, `org-administrator` or `read-only`.
    pub role: String,
    pub org: Option<String>,
    /// `all`, or words like `queue:read mail:write`.
    pub scopes: String,
    pub login: Option<String>,
    pub rate: Option<Rate>,
    /// Unix seconds.
    pub expires_at: Option<u64>,
}

/// A token as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shown {
    pub id: String,
    pub name: String,
    pub role: &'static str,
    pub org: Option<String>,
    pub scopes: String,
    pub login: Option<String>,
    pub rate: Rate,
    pub made_at: u64,
    pub made_by: String,
    pub expires_at: Option<u64>,
}

/// Why a token is not made.
#[derive(Debug, Error)]
pub enum TokenError {
    #[error(transparent)]
    Role(#[from] NoRole),
    #[error("a scope is all, or an area and read or write, as queue:read: {0}")]
    Scope(#[from] UnknownWord),
    #[error("the name of a token has 1 to {NAME_OCTETS_MAX} printable characters")]
    Name,
    #[error("it would be over already")]
    Over,
    #[error("there are {TOKENS_MAX} tokens already; revoke some")]
    TooMany,
    #[error("there is no token {0:?}")]
    Unknown(String),
    #[error("no random bytes: {0}")]
    Random(String),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl Wanted {
    /// What the token would be allowed.
    ///
    /// # Errors
    /// [`TokenError`] where role, organisation and scopes do not go together.
    pub fn rights(&self) -> Result<Rights, TokenError> {
        let scopes = self.scopes.parse::<access::Scopes>()?;
        Ok(Rights { role: Role::new(&self.role, self.org.as_deref())?, scopes })
    }
}

impl Tokens {
    /// Reads the tokens of the ledger file.
    ///
    /// # Errors
    /// [`LedgerError`] where it cannot be read.
    pub async fn load(ledger: Ledger) -> Result<Self, LedgerError> {
        let tokens = Self { ledger, known: Arc::default() };
        tokens.reload().await?;
        Ok(tokens)
    }

    /// The token with this secret, if it is not over. `now` in unix seconds.
    #[must_use]
    pub fn find(&self, secret: &str, now: u64) -> Option<Arc<Token>> {
        let (id, _) = secret.strip_prefix(PREFIX)?.split_once('_')?;
        let token = self.known.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()?;
        let right = bool::from(token.hash[..].ct_eq(&hash(secret)[..]));
        (right && token.expires_at.is_none_or(|end| now < end)).then_some(token)
    }

    /// Whether a token that was found is still one. `now` in unix seconds.
    #[must_use]
    pub fn holds(&self, token: &Token, now: u64) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.contains_key(&token.id) && token.expires_at.is_none_or(|end| now < end)
    }

    /// All tokens, by their names.
    #[must_use]
    pub fn list(&self) -> Vec<Shown> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<Shown> = known.values().map(|token| token.shown()).collect();
        all.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        all
    }

    /// The organisation that a token is bound to; none where it is bound to none, or does not exist.
    #[must_use]
    pub fn org_of(&self, id: &str) -> Option<String> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(id).and_then(|token| token.rights.role.org().map(str::to_owned))
    }

    /// Makes a token. Answers with it and its secret, which is kept nowhere.
    ///
    /// # Errors
    /// [`TokenError`]: there is none.
    pub async fn make(&self, wanted: &Wanted, by: &str, now: u64) -> Result<(Shown, String), TokenError> {
        let rights = wanted.rights()?;
        let printable = |c: char| !c.is_control();
        if wanted.name.is_empty() || NAME_OCTETS_MAX < wanted.name.len() || !wanted.name.chars().all(printable) {
            return Err(TokenError::Name);
        }
        if wanted.expires_at.is_some_and(|end| end <= now) {
            return Err(TokenError::Over);
        }
        let mut random = [0; 40];
        getrandom::fill(&mut random).map_err(|error| TokenError::Random(error.to_string()))?;
        let (name, secret) = random.split_at(8);
        let id = hex::encode(name);
        let secret = format!("{PREFIX}{id}_{}", URL_SAFE_NO_PAD.encode(secret));
        let token = Token {
            id,
            name: wanted.name.clone(),
            rights,
            login: wanted.login.clone(),
            rate: wanted.rate.unwrap_or(RATE),
            made_at: now,
            made_by: by.to_owned(),
            expires_at: wanted.expires_at,
            hash: hash(&secret),
        };
        let kept = token.clone();
        let room = self.ledger.write(move |sql| Ok(kept.insert(sql, now)?)).await?;
        if !room {
            return Err(TokenError::TooMany);
        }
        self.reload().await?;
        Ok((token.shown(), secret))
    }

    /// Ends a token, at once.
    ///
    /// # Errors
    /// [`TokenError::Unknown`] where there is none of that name or number.
    pub async fn revoke(&self, id: &str) -> Result<(), TokenError> {
        let key = id.to_owned();
        let gone = self.ledger.write(move |sql| Ok(sql.execute("DELETE FROM token WHERE id = $1", &[key.into()])?));
        if gone.await? == 0 {
            return Err(TokenError::Unknown(id.to_owned()));
        }
        Ok(self.reload().await?)
    }

    /// Ends the tokens of an organisation that is removed: another one of its name shall not get them.
    ///
    /// # Errors
    /// [`LedgerError`]: they are as they were.
    pub async fn forget_org(&self, org: &str) -> Result<(), LedgerError> {
        let org = org.to_owned();
        self.ledger.write(move |sql| Ok(sql.execute("DELETE FROM token WHERE org = $1", &[org.into()])?)).await?;
        self.reload().await
    }

    /// Ends the tokens that hand in mail of a login that is removed.
    ///
    /// # Errors
    /// [`LedgerError`]: they are as they were.
    pub async fn forget_login(&self, login: &str) -> Result<(), LedgerError> {
        let login = login.to_owned();
        self.ledger.write(move |sql| Ok(sql.execute("DELETE FROM token WHERE login = $1", &[login.into()])?)).await?;
        self.reload().await
    }

    /// Reads them again: another machine of this node has changed them.
    ///
    /// # Errors
    /// [`LedgerError`] where they cannot be read; those of before hold.
    pub async fn reload(&self) -> Result<(), LedgerError> {
        let query = "SELECT id, name, role, org, scopes, login, rate, made_at, made_by, expires_at, hash FROM token";
        let all = self.ledger.read(move |sql| Ok(sql::all(sql, query, &[], read)?)).await?;
        let known = all.into_iter().map(|token| (token.id.clone(), Arc::new(token))).collect();
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
        Ok(())
    }
}

impl Token {
    /// As people see it.
    #[must_use]
    pub fn shown(&self) -> Shown {
        Shown {
            id: self.id.clone(),
            name: self.name.clone(),
            role: self.rights.role.as_str(),
            org: self.rights.role.org().map(str::to_owned),
            scopes: self.rights.scopes.to_string(),
            login: self.login.clone(),
            rate: self.rate,
            made_at: self.made_at,
            made_by: self.made_by.clone(),
            expires_at: self.expires_at,
        }
    }

    /// Answers whether there was room for it. Those that are over make some.
    fn insert(&self, sql: &mut dyn Sql, now: u64) -> Result<bool, SqlError> {
        sql.execute("DELETE FROM token WHERE expires_at < $1", &[now.saturating_sub(OVER_S).into()])?;
        let count = sql::first(sql, "SELECT COUNT(*) FROM token", &[], |row| row.uint(0))?.unwrap_or(0);
        if TOKENS_MAX <= count {
            return Ok(false);
        }
        let insert = "INSERT INTO token (id, name, role, org, scopes, login, rate, made_at, made_by, expires_at, hash) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
        let values: [Value; 11] = [
            self.id.as_str().into(),
            self.name.as_str().into(),
            self.rights.role.as_str().into(),
            self.rights.role.org().into(),
            self.rights.scopes.to_string().into(),
            self.login.as_deref().into(),
            self.rate.to_string().into(),
            self.made_at.into(),
            self.made_by.as_str().into(),
            self.expires_at.into(),
            self.hash[..].into(),
        ];
        sql.execute(insert, &values).map(|_| true)
    }
}

fn read(row: &Row) -> Result<Token, SqlError> {
    let text = |column| row.text(column).map(str::to_owned);
    let stored = |error: &dyn std::fmt::Display| SqlError::Stored(error.to_string());
    let role = Role::new(row.text(2)?, row.text_or_null(3)?).map_err(|error| stored(&error))?;
    let scopes = row.text(4)?.parse().map_err(|error: UnknownWord| stored(&error))?;
    Ok(Token {
        id: text(0)?,
        name: text(1)?,
        rights: Rights { role, scopes },
        login: row.text_or_null(5)?.map(str::to_owned),
        rate: row.text(6)?.parse().map_err(|error| stored(&error))?,
        made_at: row.uint(7)?,
        made_by: text(8)?,
        expires_at: row.uint_or_null(9)?,
        hash: row.octets(10)?,
    })
}

/// Fast is fine: a secret of 256 random bits cannot be guessed, however fast.
fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// Who finds one in a file knows what it is, and so do programs that look for secrets.
const PREFIX: &str = "sm2tp_";
/// Requests of a token that names no rate.
const RATE: Rate = Rate::new(6000, Per::Minute);
/// A node has a handful; all of them are in memory.
const TOKENS_MAX: u64 = 1000;
/// What is over is listed for so long still.
const OVER_S: u64 = 30 * 86_400;
const NAME_OCTETS_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use sm2tp_rules::access::Action;

    use super::*;
    use crate::ledger::path;
    use crate::testing::TempDir;

    fn wanted() -> Wanted {
        Wanted {
            name: "shop".into(),
            role: "org-administrator".into(),
            org: Some("asso".into()),
            scopes: "mail:write".into(),
            login: None,
            rate: None,
            expires_at: Some(200),
        }
    }

    #[tokio::test]
    async fn a_token_is_found_by_its_secret_until_it_is_over_or_revoked_and_kept_as_a_hash() {
        let dir = TempDir::new();
        let ledger = Ledger::open(&path(dir.path())).unwrap();
        let tokens = Tokens::load(ledger.clone()).await.unwrap();
        let (shown, secret) = tokens.make(&wanted(), "anna", 100).await.unwrap();
        let found = tokens.find(&secret, 199).unwrap();
        assert_eq!((found.shown(), found.rights.role.org()), (shown.clone(), Some("asso")));
        let write: Action = "mail:write".parse().unwrap();
        assert!(found.rights.may(Some("asso"), write).is_ok() && found.rights.may(Some("other"), write).is_err());
        assert!(tokens.find(&secret, 200).is_none());
        for wrong in [&secret[..secret.len() - 1], &secret.to_uppercase(), "", "sm2tp_", &secret[6..]] {
            assert!(tokens.find(wrong, 150).is_none(), "{wrong}");
        }
        let file = std::fs::read(path(dir.path())).unwrap();
        let log = std::fs::read(path(dir.path()).with_extension("sqlite-wal")).unwrap();
        let half = &secret.as_bytes()[secret.len() - 40..];
        assert!(![file, log].iter().any(|octets| octets.windows(40).any(|window| window == half)));
        let again = Tokens::load(ledger).await.unwrap();
        assert!(again.find(&secret, 150).is_some());
        again.revoke(&shown.id).await.unwrap();
        assert!(again.find(&secret, 150).is_none());
        assert!(matches!(again.revoke(&shown.id).await, Err(TokenError::Unknown(_))));
    }

    #[tokio::test]
    async fn the_tokens_of_an_org_or_a_login_go_with_it() {
        let dir = TempDir::new();
        let tokens = Tokens::load(crate::testing::ledger(dir.path())).await.unwrap();
        let (_, of_org) = tokens.make(&wanted(), "", 100).await.unwrap();
        let other = Wanted { org: Some("other".into()), login: Some("shop".into()), ..wanted() };
        let (_, of_login) = tokens.make(&other, "", 100).await.unwrap();
        tokens.forget_org("asso").await.unwrap();
        assert!(tokens.find(&of_org, 150).is_none() && tokens.find(&of_login, 150).is_some());
        tokens.forget_login("shop").await.unwrap();
        assert!(tokens.list().is_empty());
    }

    #[tokio::test]
    async fn what_makes_no_sense_is_not_made() {
        let dir = TempDir::new();
        let tokens = Tokens::load(crate::testing::ledger(dir.path())).await.unwrap();
        for wrong in [
            Wanted { role: "root".into(), ..wanted() },
            Wanted { org: None, ..wanted() },
            Wanted { scopes: String::new(), ..wanted() },
            Wanted { scopes: "queue:drop".into(), ..wanted() },
            Wanted { name: "a\nb".into(), ..wanted() },
            Wanted { expires_at: Some(100), ..wanted() },
        ] {
            assert!(tokens.make(&wrong, "", 100).await.is_err(), "{wrong:?}");
        }
    }
}
