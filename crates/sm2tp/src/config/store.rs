//! `[store]`: where accounts, ledger and counters are, when several machines share them.

use std::path::PathBuf;

use super::error::ConfigError;
use super::reader::Section;
use super::values::{Wrong, path, quoted};

/// `[store]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// `postgres://…`
    pub database: String,
    /// Of the user that the address names.
    pub password_file: Option<PathBuf>,
    /// Who signs its certificate (PEM), besides the authorities of the system.
    pub ca_file: Option<PathBuf>,
}

/// Reads `[store]`.
pub(super) fn store(section: &Section<'_>) -> Result<Store, ConfigError> {
    let database = section.text("database", address)?.ok_or_else(|| section.missing("database"))?;
    let (password_file, ca_file) = (section.text("password_file", path)?, section.text("ca_file", path)?);
    Ok(Store { database, password_file, ca_file })
}

fn address(text: &str) -> Result<String, Wrong> {
    const ALLOWED: &str =
        "postgres://user@host/database; for a Unix socket postgres://user@/database?host=/var/run/postgresql";
    let rest = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://"));
    let Some(rest) = rest else {
        return Err(Wrong::new(format!("{} is no address of a database", quoted(text)), ALLOWED));
    };
    let user = rest.split(['/', '?']).next().unwrap_or_default().rsplit_once('@').map_or("", |(user, _)| user);
    if user.contains(':') {
        let what = "there is a password in the address, where everybody can read it who may read this file";
        return Err(Wrong::new(what, "the address without it, and `password_file` beside it"));
    }
    Ok(text.to_owned())
}
