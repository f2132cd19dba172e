//! What an organisation wants of mail that comes back: where it goes, who is told, and whether one click ends a newsletter.

use std::collections::HashMap;
use std::sync::PoisonError;

use serde::{Deserialize, Serialize};
use sm2tp_proto::Address;

use super::Accounts;
use crate::Refused;
use crate::ledger::LedgerError;
use crate::sql::{self, Sql, SqlError};

/// The wishes of one organisation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wishes {
    pub return_path: ReturnPath,
    pub unsubscribe: Unsubscribe,
    /// Told of complaints, once a day at most.
    pub contact: Option<String>,
}

/// Whose address is the return path of what leaves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReturnPath {
    /// The sender's: reports go where they always went.
    #[default]
    Sender,
    /// One of this node, with a token: reports are counted here, and passed on to the sender.
    Node,
}

/// Whether bulk mail says where one click ends it (RFC 8058).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unsubscribe {
    #[default]
    Off,
    On,
}

/// A change of them; what is none stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WishesChange {
    pub return_path: Option<ReturnPath>,
    pub unsubscribe: Option<Unsubscribe>,
    /// An empty text takes the contact away.
    pub contact: Option<String>,
}

/// Complaints and opt-outs that an organisation has not been told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Untold {
    pub org: String,
    pub contact: Address,
    pub complaints: u64,
    pub optouts: u64,
    /// Unix seconds of the last notice; 0: never.
    pub told_at: u64,
}

impl Accounts {
    /// What an organisation wants; one that never said anything, or is gone, gets its reports as always.
    #[must_use]
    pub fn wishes(&self, org: &str) -> Wishes {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.wishes.get(org).cloned().unwrap_or_default()
    }

    /// Changes what an organisation wants, and answers with all of it. Mail that leaves from now on follows it.
    ///
    /// # Errors
    /// [`LedgerError::Refused`] with a sentence where there is no such organisation, or no such address.
    pub async fn change_wishes(&self, org: &str, change: WishesChange) -> Result<Wishes, LedgerError> {
        if !self.has_org(org) {
            return Err(Refused::NoOrg { org: org.to_owned() }.into());
        }
        let before = self.wishes(org);
        if change == WishesChange::default() {
            return Ok(before);
        }
        let contact = match change.contact.as_deref().map(str::trim) {
            None => before.contact,
            Some("") => None,
            Some(text) => {
                let refused = |source| Refused::Address { text: text.to_owned(), source };
                Address::parse(text).map_err(refused)?;
                Some(text.to_owned())
            }
        };
        let wishes = Wishes {
            return_path: change.return_path.unwrap_or(before.return_path),
            unsubscribe: change.unsubscribe.unwrap_or(before.unsubscribe),
            contact,
        };
        let (kept, org) = (wishes.clone(), org.to_owned());
        self.ledger
            .write(move |sql| {
                sql.execute(
                    "INSERT INTO org_returns (org, return_path, unsubscribe, contact, noticed_at, complaints, optouts) \
                     VALUES ($1, $2, $3, $4, 0, 0, 0) ON CONFLICT (org) DO UPDATE SET \
                     return_path = excluded.return_path, unsubscribe = excluded.unsubscribe, contact = excluded.contact",
                    &[
                        org.into(),
                        kept.return_path.as_str().into(),
                        kept.unsubscribe.as_str().into(),
                        kept.contact.as_deref().into(),
                    ],
                )?;
                Ok(())
            })
            .await?;
        self.reload().await?;
        Ok(wishes)
    }

    /// The organisations that are due to be told of complaints: those with a contact, told last before `before`.
    ///
    /// # Errors
    /// [`LedgerError`] where the ledger does not answer.
    pub async fn untold(&self, before: u64) -> Result<Vec<Untold>, LedgerError> {
        let query = "SELECT org, contact, complaints, optouts, noticed_at FROM org_returns \
                     WHERE contact IS NOT NULL AND noticed_at < $1 AND 0 < complaints + optouts ORDER BY org";
        self.ledger
            .read(move |sql| {
                let found = sql::all(sql, query, &[before.into()], |row| {
                    let contact = Address::parse(row.text(1)?).map_err(|error| SqlError::Stored(error.to_string()))?;
                    Ok(Untold {
                        org: row.text(0)?.to_owned(),
                        contact,
                        complaints: row.uint(2)?,
                        optouts: row.uint(3)?,
                        told_at: row.uint(4)?,
                    })
                });
                Ok(found?)
            })
            .await
    }

    /// An organisation was told of these; those that came meanwhile stay for the next time. `now` in unix seconds.
    ///
    /// # Errors
    /// [`LedgerError`]: it would be told again.
    pub async fn told(&self, untold: &Untold, now: u64) -> Result<(), LedgerError> {
        let Untold { org, complaints, optouts, .. } = untold.clone();
        let set = "UPDATE org_returns SET noticed_at = $2, complaints = complaints - $3, optouts = optouts - $4 \
                   WHERE org = $1";
        let values = [org.into(), now.into(), complaints.into(), optouts.into()];
        self.ledger.write(move |sql| Ok(sql.execute(set, &values)?)).await.map(drop)
    }
}

pub(super) fn read(sql: &mut dyn Sql) -> Result<HashMap<String, Wishes>, SqlError> {
    let mut wishes = HashMap::new();
    sql.rows("SELECT org, return_path, unsubscribe, contact FROM org_returns", &[], &mut |row| {
        let return_path = if row.text(1)? == ReturnPath::Node.as_str() { ReturnPath::Node } else { ReturnPath::Sender };
        let unsubscribe = if row.text(2)? == Unsubscribe::On.as_str() { Unsubscribe::On } else { Unsubscribe::Off };
        let contact = row.text_or_null(3)?.map(str::to_owned);
        wishes.insert(row.text(0)?.to_owned(), Wishes { return_path, unsubscribe, contact });
        Ok(())
    })?;
    Ok(wishes)
}

impl ReturnPath {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sender => "sender",
            Self::Node => "node",
        }
    }
}

impl Unsubscribe {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::On => "on",
        }
    }
}

#[cfg(test)]
mod tests {
    use sm2tp_rules::Stream;

    use super::*;
    use crate::accounts::Scram;

    use crate::testing::TempDir;

    #[tokio::test]
    async fn what_an_org_wants_is_kept_and_goes_with_it() {
        let dir = TempDir::quick();
        let ledger = crate::testing::ledger(dir.path());
        let accounts = Accounts::load(ledger.clone(), Scram::Off).await.unwrap();
        accounts.put_org("asso", Vec::new(), Stream::Bulk, 1).await.unwrap();
        assert_eq!(accounts.wishes("asso"), Wishes::default());
        let change = WishesChange { return_path: Some(ReturnPath::Node), ..WishesChange::default() };
        accounts.change_wishes("asso", change).await.unwrap();
        let contact = |text: &str| WishesChange { contact: Some(text.into()), ..WishesChange::default() };
        let wishes = accounts.change_wishes("asso", contact("list@asso.example")).await.unwrap();
        assert_eq!(wishes.return_path, ReturnPath::Node);
        assert_eq!(Accounts::load(ledger, Scram::Off).await.unwrap().wishes("asso"), wishes);
        assert!(accounts.change_wishes("asso", contact("nobody")).await.is_err());
        assert!(accounts.change_wishes("other", contact("")).await.is_err());
        assert_eq!(accounts.change_wishes("asso", contact("")).await.unwrap().contact, None);
        accounts.remove_org("asso").await.unwrap();
        assert_eq!(accounts.wishes("asso"), Wishes::default());
    }
}
