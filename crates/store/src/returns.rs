//! Mail that comes back: tokens, what they stand for, reports that wait, and what is counted of them.

mod inbox;
mod kept;
mod keys;
mod links;
mod settle;

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use sm2tp_proto::token::{Row, Token, TokenError, TokenKeys, day};
use sm2tp_rules::returned::{BOUNCE_DAYS_MAX, COMPLAINT_DAYS_MAX};

pub use self::inbox::{Arrived, Inbox, Line, Mark, Waiting};
pub(crate) use self::kept::keep;
pub use self::kept::{Counted, Sent};
use self::keys::{Chain, ReturnKeys};
pub use self::links::{Confirmation, Link};
pub use self::settle::{Failed, Found, Offered, Settled};
use crate::keys::{KeysError, random};
use crate::ledger::{self, Ledger, LedgerError};
use crate::sql;

/// A handle on all of it; clones share it.
#[derive(Clone)]
pub struct Returns {
    keys: Arc<RwLock<Known>>,
    ledger: Ledger,
}

struct Known {
    keys: ReturnKeys,
    tokens: TokenKeys,
}

impl Returns {
    /// Reads the keys in `dir`, or makes them. `now` in unix seconds.
    ///
    /// # Errors
    /// [`KeysError`]; nothing is made anew where something unreadable lies.
    pub fn open(dir: &Path, ledger: Ledger, now: u64) -> Result<Self, KeysError> {
        let chain = if ledger.is_shared() { Chain::Shared } else { Chain::Random };
        let keys = ReturnKeys::open(dir, now, chain)?;
        let tokens = keys.tokens();
        Ok(Self { keys: Arc::new(RwLock::new(Known { keys, tokens })), ledger })
    }

    /// A fresh token of today; none where the machine has no random bytes, and then mail goes without.
    #[must_use]
    pub fn token(&self, now: u64) -> Option<String> {
        let mut row = Row([0; 10]);
        row.0.copy_from_slice(&random().ok()?[..10]);
        self.known(|known| known.tokens.make(row, day(now)))
    }

    /// Keeps what tokens stand for that mail of another mail server leaves with, before anybody knows what becomes of it.
    ///
    /// # Errors
    /// [`LedgerError`]: none of them was kept; offer them again.
    pub async fn keep_ahead(&self, sent: Vec<(Token, Sent)>) -> Result<(), LedgerError> {
        self.ledger
            .write(move |sql| Ok(sent.iter().try_for_each(|(token, sent)| kept::put_ahead(sql, token, sent))?))
            .await
    }

    /// Reads a token and checks that it is one of ours and not older than `days_max`.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn check(&self, text: &str, now: u64, days_max: u16) -> Result<Token, TokenError> {
        self.known(|known| Token::open(text, &known.tokens, day(now), days_max))
    }

    /// Makes the key of the next three months when it is time.
    ///
    /// # Errors
    /// [`KeysError`]: the old key goes on, and it will be tried again.
    pub fn rotate(&self, now: u64) -> Result<(), KeysError> {
        let mut known = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        if known.keys.rotate(now)? {
            known.tokens = known.keys.tokens();
        }
        Ok(())
    }

    /// Forgets what tokens stood for that nobody can come back with any more; answers with their number.
    ///
    /// # Errors
    /// [`LedgerError`]: it will be tried again.
    pub async fn prune(&self, now: u64) -> Result<usize, LedgerError> {
        let before = day(now).saturating_sub(COMPLAINT_DAYS_MAX);
        // No mail waits so long: its end was told without its recipient.
        let waited = day(now).saturating_sub(BOUNCE_DAYS_MAX);
        self.ledger
            .write(move |sql| {
                sql.execute("DELETE FROM redelivery WHERE day < $1", &[u32::from(waited).into()])?;
                Ok(sql.execute("DELETE FROM returned WHERE day < $1", &[u32::from(before).into()])?)
            })
            .await
    }

    /// Who complained about mail of an organisation since then (unix seconds), in clear, as far as the send log has it.
    ///
    /// # Errors
    /// [`LedgerError`] where the ledger does not answer.
    pub async fn complained(&self, org: &str, since: u64) -> Result<Vec<String>, LedgerError> {
        let query = "SELECT DISTINCT recipient FROM send_log WHERE $1 <= at AND org = $2 AND kind = 'complained' \
                     AND recipient IS NOT NULL ORDER BY recipient LIMIT $3";
        let values = [since.into(), org.into(), NAMED_MAX.into()];
        self.ledger.read(move |sql| Ok(sql::all(sql, query, &values, |row| Ok(row.text(0)?.to_owned()))?)).await
    }

    /// This address wants no more bulk mail of this organisation: what a link asks for. Twice is once.
    ///
    /// # Errors
    /// [`LedgerError`]: nothing of it was kept.
    pub async fn opt_out(&self, link: Link, now: u64) -> Result<(), LedgerError> {
        let known = self.ledger.views().recipient(&[link.recipient.1], &link.org).opted_out;
        if known {
            return Ok(());
        }
        self.ledger
            .settle(move |sql| {
                // Two clicks at once both came by the look above.
                let query = "SELECT 1 FROM listed WHERE tag = $1 AND list = 'optout' AND org = $2";
                let values = [link.recipient.1.0[..].into(), link.org.as_str().into()];
                if sql::first(sql, query, &values, |_| Ok(()))?.is_some() {
                    return Ok((Vec::new(), ()));
                }
                let events = settle::opted_out(&link, now);
                events.iter().try_for_each(|event| ledger::keep(sql, event))?;
                settle::remember(sql, &link.org, "optouts")?;
                Ok((events, ()))
            })
            .await
    }

    /// The last part of the URL with which this address leaves the list of this org.
    #[must_use]
    pub fn link(&self, link: &Link) -> Option<String> {
        let mut nonce = [0; 12];
        nonce.copy_from_slice(&random().ok()?[..12]);
        self.known(|known| links::seal(&known.keys, link, nonce))
    }

    /// The last part of the URL with which a person says that mail is wanted again.
    #[must_use]
    pub fn confirmation_link(&self, confirmation: &Confirmation) -> Option<String> {
        let mut nonce = [0; 12];
        nonce.copy_from_slice(&random().ok()?[..12]);
        self.known(|known| links::seal_confirmation(&known.keys, confirmation, nonce))
    }

    /// What such a part says, if we made it; its time may be over.
    #[must_use]
    pub fn open_confirmation(&self, text: &str) -> Option<Confirmation> {
        self.known(|known| links::open_confirmation(&known.keys, text))
    }

    /// What such a part says, if we made it.
    #[must_use]
    pub fn open_link(&self, text: &str) -> Option<Link> {
        self.known(|known| links::open(&known.keys, text))
    }

    fn known<T>(&self, ask: impl FnOnce(&Known) -> T) -> T {
        ask(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Addresses in one notice: more than anybody takes off a list by hand.
const NAMED_MAX: u64 = 100;
