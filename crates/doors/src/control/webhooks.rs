//! What a person does with the webhooks of organisations.

use serde_json::{Value, json};
use sm2tp_store::webhooks::{Wanted, WebhookError, Webhooks};

use super::{Problem, addresses};
use crate::api::usable;
use crate::{House, now};

/// Makes one. Its secret is in the answer, and nowhere else that people see.
pub(super) async fn new(house: &House, wanted: Wanted) -> Result<Value, Problem> {
    addresses::known(house, &wanted.org)?;
    usable(&wanted.url, &house.private_webhooks)?;
    let (webhook, secret) = hooks(house).make(wanted, now()).await?;
    Ok(json!({ "secret": secret, "webhook": webhook }))
}

pub(super) async fn list(house: &House, org: Option<String>) -> Result<Value, Problem> {
    Ok(json!(hooks(house).list(org).await?))
}

pub(super) async fn remove(house: &House, id: &str) -> Result<Value, Problem> {
    hooks(house).remove(id).await?;
    Ok(json!({ "removed": id }))
}

/// What a webhook did not take.
pub(super) async fn dead(house: &House, id: &str, before: Option<u64>, limit: usize) -> Result<Value, Problem> {
    is_known(house, id).await?;
    Ok(json!(hooks(house).dead(id, before, limit).await?))
}

pub(super) async fn redeliver(house: &House, id: &str, event: Option<u64>) -> Result<Value, Problem> {
    is_known(house, id).await?;
    Ok(json!({ "webhook": id, "redelivered": hooks(house).redeliver(id, event, now()).await? }))
}

async fn is_known(house: &House, id: &str) -> Result<(), Problem> {
    match hooks(house).org_of(id).await? {
        Some(_) => Ok(()),
        None => Err(WebhookError::Unknown(id.to_owned()).into()),
    }
}

pub(super) fn hooks(house: &House) -> Webhooks {
    Webhooks::new(house.ledger.clone())
}
