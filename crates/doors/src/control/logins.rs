//! Logins of organisations, with passwords that are given or that another program has hashed.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sm2tp_rules::Stream;
use sm2tp_store::accounts::Taken;

use super::{Problem, Refusal};
use crate::{House, now};

/// A line of another program's list.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HashedLogin {
    /// Its number there.
    pub line: usize,
    pub login: String,
    pub hash: String,
}

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

/// Takes over what can be checked here. Answers with how many were taken and how many there were, and of the others why not,
/// each with its line.
pub(super) async fn take_over(
    house: &House,
    org: &str,
    logins: Vec<HashedLogin>,
    stream: Option<Stream>,
) -> Result<Value, Problem> {
    if IMPORT_LOGINS_MAX < logins.len() {
        return Err(Problem::Input(Refusal::ManyLogins { max: IMPORT_LOGINS_MAX }));
    }
    let lines: Vec<usize> = logins.iter().map(|login| login.line).collect();
    let logins: Vec<_> = logins.into_iter().map(|login| (login.login, login.hash)).collect();
    let answers = house.accounts.put_hashed_logins(org, &logins, stream, now()).await?;
    let (mut taken, mut kept, mut refused) = (0_u64, 0_u64, Vec::new());
    for (line, answer) in lines.into_iter().zip(answers) {
        match answer {
            Taken::Fresh => taken += 1,
            Taken::There => kept += 1,
            Taken::Refused(why) => refused.push(json!({ "line": line, "why": why })),
        }
    }
    Ok(json!({ "org": org, "taken": taken, "kept": kept, "refused": refused }))
}

pub(super) async fn remove(house: &House, login: &str) -> Result<Value, Problem> {
    house.accounts.remove_login(login).await?;
    house.tokens.forget_login(login).await?;
    Ok(json!({ "removed": login }))
}

/// A request of them has its place in two megabytes, whatever their hashes are.
pub const IMPORT_LOGINS_MAX: usize = 2000;
