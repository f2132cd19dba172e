//! The persons who use the pages.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sm2tp_rules::access::Role;
use sm2tp_store::persons::Person;

use super::{Problem, Refusal};
use crate::{House, now};

/// What somebody decides about a person.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum AccountChange {
    /// `org`: of the role `org-administrator` alone.
    Add {
        name: String,
        role: String,
        org: Option<String>,
        password: String,
    },
    /// All its sessions end.
    Password {
        name: String,
        password: String,
    },
    Role {
        name: String,
        role: String,
        org: Option<String>,
    },
    /// For who has lost the telephone.
    FactorOff {
        name: String,
    },
    /// Ends its sessions.
    Logout {
        name: String,
    },
    Remove {
        name: String,
    },
}

impl AccountChange {
    /// Its name in the audit log.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Add { .. } => "account-add",
            Self::Password { .. } => "account-password",
            Self::Role { .. } => "account-role",
            Self::FactorOff { .. } => "account-factor-off",
            Self::Logout { .. } => "account-logout",
            Self::Remove { .. } => "account-remove",
        }
    }
}

pub(super) fn list(house: &House) -> Value {
    house.persons.list().iter().map(shown).collect()
}

pub(super) async fn change(house: &House, change: AccountChange) -> Result<Value, Problem> {
    let persons = &house.persons;
    match change {
        AccountChange::Add { name, role, org, password } => {
            let role = place(house, &role, org.as_deref())?;
            Ok(shown(&persons.add(&name, role, &password, now()).await?))
        }
        AccountChange::Password { name, password } => {
            persons.set_password(&name, &password).await?;
            Ok(shown(&persons.person(&name)?))
        }
        AccountChange::Role { name, role, org } => {
            let role = place(house, &role, org.as_deref())?;
            Ok(shown(&persons.set_role(&name, role).await?))
        }
        AccountChange::FactorOff { name } => {
            persons.drop_factor(&name).await?;
            Ok(shown(&persons.person(&name)?))
        }
        AccountChange::Logout { name } => {
            let person = persons.person(&name)?;
            persons.end_all(&name).await?;
            Ok(shown(&person))
        }
        AccountChange::Remove { name } => {
            persons.remove(&name).await?;
            Ok(json!({ "removed": name }))
        }
    }
}

/// A role, of an organisation that there is where it is bound to one.
fn place(house: &House, role: &str, org: Option<&str>) -> Result<Role, Problem> {
    let role = Role::new(role, org).map_err(|error| Problem::Input(error.into()))?;
    match role.org().filter(|org| !house.accounts.has_org(org)) {
        Some(org) => Err(Problem::NotFound(Refusal::NoOrg { org: org.to_owned() })),
        None => Ok(role),
    }
}

fn shown(person: &Person) -> Value {
    json!({
        "name": person.name,
        "role": person.role.as_str(),
        "org": person.role.org(),
        "second_factor": person.second_factor,
        "added_at": person.added_at,
        "last_login_at": person.last_login_at,
    })
}
