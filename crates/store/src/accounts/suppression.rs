//! How an organisation has suppression, where it differs from the node.

use std::collections::HashMap;
use std::sync::PoisonError;

use sm2tp_rules::suppress::{Limits, OfOrg};

use super::{Accounts, LOCAL};
use crate::Refused;
use crate::ledger::LedgerError;
use crate::sql::{Sql, SqlError};

impl Accounts {
    /// The numbers for mail of an organisation on a node with `node`. One that is gone has those of the node.
    #[must_use]
    pub fn suppression(&self, org: &str, node: &Limits) -> Limits {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.suppression.get(org).map_or(*node, |own| own.over(node))
    }

    /// What an organisation has of its own.
    ///
    /// # Errors
    /// [`LedgerError::Refused`] where there is no such organisation.
    pub fn own_suppression(&self, org: &str) -> Result<OfOrg, LedgerError> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if org != LOCAL && !known.orgs.contains_key(org) {
            return Err(Refused::NoOrg { org: org.to_owned() }.into());
        }
        Ok(known.suppression.get(org).cloned().unwrap_or_default())
    }

    /// Puts `settings` in the place of what it has of its own. They hold from the next question on.
    ///
    /// # Errors
    /// [`LedgerError::Refused`] where there is no such organisation.
    pub async fn put_suppression(&self, org: &str, settings: OfOrg) -> Result<(), LedgerError> {
        self.own_suppression(org)?;
        let text = serde_json::to_string(&settings).map_err(|error| LedgerError::Failed(error.to_string()))?;
        let org = org.to_owned();
        self.ledger
            .write(move |sql| {
                sql.execute(
                    "INSERT INTO org_suppression (org, settings) VALUES ($1, $2) \
                     ON CONFLICT (org) DO UPDATE SET settings = excluded.settings",
                    &[org.into(), text.into()],
                )?;
                Ok(())
            })
            .await?;
        self.reload().await
    }
}

pub(super) fn read(sql: &mut dyn Sql) -> Result<HashMap<String, OfOrg>, SqlError> {
    let mut found = HashMap::new();
    sql.rows("SELECT org, settings FROM org_suppression", &[], &mut |row| {
        let settings = serde_json::from_str(row.text(1)?).map_err(|error| SqlError::Stored(error.to_string()))?;
        found.insert(row.text(0)?.to_owned(), settings);
        Ok(())
    })?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use sm2tp_rules::Stream;
    use sm2tp_rules::suppress::Stopped;

    use super::*;
    use crate::accounts::Scram;

    use crate::testing::TempDir;

    #[tokio::test]
    async fn settings_of_an_org_are_kept_and_go_with_it() {
        let dir = TempDir::quick();
        let ledger = crate::testing::ledger(dir.path());
        let accounts = Accounts::load(ledger.clone(), Scram::Off).await.unwrap();
        let node = Limits::default();
        let own = OfOrg { stopped: Some(Stopped::Report), ..OfOrg::default() };
        assert!(accounts.put_suppression("asso", own.clone()).await.is_err());
        accounts.put_org("asso", Vec::new(), Stream::Bulk, 1).await.unwrap();
        for org in ["asso", LOCAL] {
            accounts.put_suppression(org, own.clone()).await.unwrap();
        }
        let again = Accounts::load(ledger, Scram::Off).await.unwrap();
        assert_eq!(again.own_suppression("asso").unwrap(), own);
        assert_eq!(again.suppression("asso", &node), Limits { stopped: Stopped::Report, ..node });
        again.remove_org("asso").await.unwrap();
        assert_eq!(again.suppression("asso", &node), node);
        again.put_org("asso", Vec::new(), Stream::Bulk, 2).await.unwrap();
        assert_eq!(again.own_suppression("asso").unwrap(), OfOrg::default());
    }
}
