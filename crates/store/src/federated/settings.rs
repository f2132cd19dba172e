//! What the federated side remembers by name: its epoch and its feed.

use super::{Federated, FederatedError};
use crate::sql::{self, Sql};

impl Federated {
    /// # Errors
    /// [`FederatedError`] where the ledger cannot be read.
    pub async fn setting(&self, key: &str) -> Result<Option<String>, FederatedError> {
        let values = [key.into()];
        let read = move |sql: &mut dyn Sql| Ok(sql::first(sql, SELECT, &values, |row| row.text(0).map(str::to_owned))?);
        Ok(self.ledger.read(read).await?)
    }

    /// # Errors
    /// [`FederatedError`] where it cannot be kept.
    pub async fn put_setting(&self, key: &str, value: &str) -> Result<(), FederatedError> {
        let values = [key.into(), value.into()];
        let put =
            "INSERT INTO setting (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
        self.ledger.write(move |sql| Ok(sql.execute(put, &values)?)).await?;
        Ok(())
    }

    /// The epoch in which this node seals.
    ///
    /// # Errors
    /// [`FederatedError`] where the ledger cannot be read.
    pub async fn epoch(&self) -> Result<u32, FederatedError> {
        Ok(self.setting(EPOCH).await?.and_then(|epoch| epoch.parse().ok()).unwrap_or(0))
    }

    /// The next own segment begins this epoch.
    ///
    /// # Errors
    /// [`FederatedError`] where it cannot be kept.
    pub async fn raise_epoch(&self, to: u32) -> Result<(), FederatedError> {
        self.put_setting(EPOCH, &to.to_string()).await
    }

    /// The value that was kept first; `fresh` is kept where there was none.
    ///
    /// # Errors
    /// [`FederatedError`] where it cannot be kept.
    pub async fn setting_or(&self, key: &str, fresh: &str) -> Result<String, FederatedError> {
        let (name, values) = ([key.into()], [key.into(), fresh.into()]);
        let put = "INSERT INTO setting (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING";
        let write = move |sql: &mut dyn Sql| {
            sql.execute(put, &values)?;
            Ok(sql::first(sql, SELECT, &name, |row| row.text(0).map(str::to_owned))?)
        };
        Ok(self.ledger.write(write).await?.unwrap_or_else(|| fresh.to_owned()))
    }
}

const SELECT: &str = "SELECT value FROM setting WHERE key = $1";
const EPOCH: &str = "epoch";
