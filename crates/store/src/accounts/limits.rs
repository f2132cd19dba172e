//! What organisations and logins are allowed, kept beside them.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use serde::{Deserialize, Serialize};
use sm2tp_proto::Address;
use sm2tp_rules::allowance::{Allowance, AllowanceChange, Whose};

use super::{Account, Accounts, LOCAL};
use crate::Refused;
use crate::ledger::LedgerError;
use crate::sql::{Row, Sql, SqlError, Value};

/// What a person allowed an organisation or a login.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Sender addresses besides the organisation's domains, as they were typed.
    pub addresses: Vec<String>,
    /// Of a login: these addresses and no others of the organisation.
    pub own_addresses_only: bool,
    #[serde(flatten)]
    pub allowance: Allowance,
}

/// A change of them; what is none stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LimitsChange {
    /// The new list; an empty one takes all addresses away.
    pub addresses: Option<Vec<String>>,
    pub own_addresses_only: Option<bool>,
    #[serde(flatten)]
    pub allowance: AllowanceChange,
}

/// Limits by the one they are of.
pub(super) type Table = HashMap<(Kind, String), Arc<Limits>>;

/// Names of organisations and of logins are apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Org,
    Login,
}

impl Accounts {
    /// The allowances that hold for an account now, the organisation's first; those that limit nothing are left out.
    #[must_use]
    pub fn allowances(&self, account: &Account) -> Vec<(Whose, Arc<str>, Arc<Limits>)> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let of = |kind, whose, name: &Arc<str>| {
            let found = known.limits.get(&(kind, name.to_string()))?;
            (!found.allowance.is_empty()).then(|| (whose, name.clone(), found.clone()))
        };
        let login = account.login.as_ref().and_then(|login| of(Kind::Login, Whose::Login, login));
        of(Kind::Org, Whose::Org, &account.org).into_iter().chain(login).collect()
    }

    /// The limits of an organisation, or of a login of it.
    ///
    /// # Errors
    /// [`LedgerError::Refused`] where there is no such organisation or login.
    pub fn limits(&self, org: &str, login: Option<&str>) -> Result<Limits, LedgerError> {
        let key = self.holder(org, login)?;
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        Ok(known.limits.get(&key).map_or_else(Limits::default, |limits| limits.as_ref().clone()))
    }

    /// Changes the limits of an organisation, or of a login of it. They hold from the next command on.
    ///
    /// # Errors
    /// [`LedgerError::Refused`] with a sentence where the change makes no sense.
    pub async fn change_limits(
        &self,
        org: &str,
        login: Option<&str>,
        change: LimitsChange,
    ) -> Result<Limits, LedgerError> {
        let mut limits = self.limits(org, login)?;
        let (kind, name) = self.holder(org, login)?;
        if let Some(addresses) = change.addresses {
            limits.addresses = checked(addresses)?;
        }
        limits.own_addresses_only = change.own_addresses_only.unwrap_or(limits.own_addresses_only);
        limits.allowance = change.allowance.apply(limits.allowance);
        if limits.own_addresses_only && kind == Kind::Org {
            return Err(Refused::NotOfALogin.into());
        }
        if limits.own_addresses_only && limits.addresses.is_empty() {
            return Err(Refused::NoOwnAddresses.into());
        }
        let kept = limits.clone();
        self.ledger.write(move |sql| Ok(store(sql, kind, &name, &kept)?)).await?;
        self.reload().await?;
        Ok(limits)
    }

    fn holder(&self, org: &str, login: Option<&str>) -> Result<(Kind, String), LedgerError> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        match login {
            None if org == LOCAL || known.orgs.contains_key(org) => Ok((Kind::Org, org.to_owned())),
            None => Err(Refused::NoOrg { org: org.to_owned() }.into()),
            Some(login) => match known.logins.get(login) {
                Some(found) if *found.account.org == *org => Ok((Kind::Login, login.to_owned())),
                _ => Err(Refused::NoLoginOf { org: org.to_owned(), login: login.to_owned() }.into()),
            },
        }
    }
}

fn checked(addresses: Vec<String>) -> Result<Vec<String>, LedgerError> {
    if ADDRESSES_MAX < addresses.len() {
        return Err(Refused::ManyAddresses { max: ADDRESSES_MAX }.into());
    }
    let check = |text: String| match Address::parse(text.trim()) {
        Ok(_) => Ok(text.trim().to_owned()),
        Err(source) => Err(Refused::Address { text, source }.into()),
    };
    addresses.into_iter().map(check).collect()
}

pub(super) fn read(sql: &mut dyn Sql) -> Result<Table, SqlError> {
    let mut table = Table::new();
    let query = "SELECT kind, name, addresses, own_addresses_only, message_size, recipients, rate_mails, \
                 rate_recipients, connections FROM allowance";
    sql.rows(query, &[], &mut |row| {
        let kind = if row.text(0)? == "org" { Kind::Org } else { Kind::Login };
        let rate = |column| -> Result<_, SqlError> {
            let rate = row.text_or_null(column)?.map(str::parse).transpose();
            rate.map_err(|error: sm2tp_rules::rate::RateError| SqlError::Stored(error.to_string()))
        };
        let limits = Limits {
            addresses: row.text(2)?.lines().map(str::to_owned).collect(),
            own_addresses_only: row.int(3)? != 0,
            allowance: Allowance {
                message_size: number(row, 4)?,
                recipients: number(row, 5)?,
                rate_mails: rate(6)?,
                rate_recipients: rate(7)?,
                connections: number(row, 8)?,
            },
        };
        table.insert((kind, row.text(1)?.to_owned()), Arc::new(limits));
        Ok(())
    })?;
    Ok(table)
}

fn number<T: TryFrom<u64>>(row: &Row, column: usize) -> Result<Option<T>, SqlError> {
    let Some(found) = row.uint_or_null(column)? else { return Ok(None) };
    T::try_from(found).map(Some).map_err(|_| SqlError::Stored(format!("{found} is too large for a limit")))
}

fn store(sql: &mut dyn Sql, kind: Kind, name: &str, limits: &Limits) -> Result<(), SqlError> {
    let kind = match kind {
        Kind::Org => "org",
        Kind::Login => "login",
    };
    sql.execute("DELETE FROM allowance WHERE kind = $1 AND name = $2", &[kind.into(), name.into()])?;
    if *limits == Limits::default() {
        return Ok(());
    }
    let allowance = &limits.allowance;
    let rate = |rate: Option<sm2tp_rules::rate::Rate>| rate.map(|rate| rate.to_string());
    sql.execute(
        "INSERT INTO allowance (kind, name, addresses, own_addresses_only, message_size, recipients, rate_mails, \
         rate_recipients, connections) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        &[
            kind.into(),
            name.into(),
            limits.addresses.join("\n").into(),
            limits.own_addresses_only.into(),
            allowance.message_size.map_or(Value::Null, Value::from),
            allowance.recipients.map_or(Value::Null, Value::from),
            rate(allowance.rate_mails).into(),
            rate(allowance.rate_recipients).into(),
            allowance.connections.map_or(Value::Null, Value::from),
        ],
    )?;
    Ok(())
}

/// Addresses of one organisation or login; each MAIL looks through them.
const ADDRESSES_MAX: usize = 1000;
