//! What a person does with tokens of programs.

use serde_json::{Value, json};

use sm2tp_store::tokens::Wanted;

use super::access::Asker;
use super::{Problem, Refusal, addresses};
use crate::{House, now};

/// Makes one. Its secret is in the answer, and nowhere else.
pub(super) async fn new(house: &House, asker: &Asker, wanted: &Wanted) -> Result<Value, Problem> {
    let rights = wanted.rights()?;
    if let Some(org) = rights.role.org() {
        addresses::known(house, org)?;
    }
    if let Some(login) = &wanted.login {
        let account = house.accounts.account(login);
        let org = account.as_ref().map(|account| &*account.org);
        if org.is_none() || org != rights.role.org() {
            return Err(Problem::Input(Refusal::TokenLogin { login: login.clone() }));
        }
    }
    let (token, secret) = house.tokens.make(wanted, &asker.name, now()).await?;
    Ok(json!({ "secret": secret, "token": token }))
}

pub(super) async fn revoke(house: &House, id: &str) -> Result<Value, Problem> {
    house.tokens.revoke(id).await?;
    Ok(json!({ "revoked": id }))
}

/// Nobody gives more than he has, nor to somebody else's organisation.
pub(super) fn may_give(asker: &Asker, wanted: &Wanted) -> Result<(), Problem> {
    let rights = wanted.rights()?;
    Ok(asker.rights.cover(&rights)?)
}
