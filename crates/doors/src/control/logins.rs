//! Logins of organisations, with passwords that are given or that another program has hashed.

use serde_json::{Value, json};
use sm2tp_rules::Stream;

use super::Problem;
use crate::{House, now};

pub(super) async fn add(
    house: &House,
    org: &str,
    login: &str,
    password: &str,
    stream: Option<Stream>,
) -> Result<Value, Problem> {
    house.accounts.put_login(org, login, password, stream, now()).await?;
    Ok(json!({ "org": org, "login": login, "stream": stream }))
}

pub(super) async fn take_over(
    house: &House,
    org: &str,
    login: &str,
    hash: &str,
    stream: Option<Stream>,
) -> Result<Value, Problem> {
    house.accounts.put_hashed_login(org, login, hash, stream, now()).await?;
    Ok(json!({ "org": org, "login": login, "stream": stream }))
}

pub(super) async fn remove(house: &House, login: &str) -> Result<Value, Problem> {
    house.accounts.remove_login(login).await?;
    house.tokens.forget_login(login).await?;
    Ok(json!({ "removed": login }))
}
