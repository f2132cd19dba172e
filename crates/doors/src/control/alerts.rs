//! Incidents that are open or over, what webhooks did not take, and a test.

use serde_json::{Value, json};

use super::{Problem, Refusal};
use crate::House;
use crate::alerts::{AlertError, Language, finding_title, test as send_test};
use crate::smtp::Onward;

/// All that is remembered, what is open first.
pub(super) async fn list(house: &House) -> Result<Value, Problem> {
    let mut incidents: Vec<_> = house.alerts.store.incidents().await?.into_iter().collect();
    incidents.sort_by_key(|(_, incident)| (incident.closed_at.is_some(), std::cmp::Reverse(incident.opened_at)));
    let shown = incidents.into_iter().map(|(key, incident)| {
        json!({
            "key": key,
            "title": finding_title(&incident.finding, incident.opened_at, Language::English),
            "opened_at": incident.opened_at,
            "closed_at": incident.closed_at,
            "told_at": incident.told.map(|(_, at)| at),
            "finding": incident.finding,
        })
    });
    let targets = &house.alerts.targets;
    let mail: Vec<&str> = targets.mail.iter().map(|address| address.domain().as_str()).collect();
    let webhooks: Vec<&str> = targets.webhooks.iter().map(|webhook| webhook.url.as_str()).collect();
    Ok(json!({
        "incidents": shown.collect::<Vec<_>>(),
        "not_taken": house.alerts.store.not_taken().await?,
        "mail_domains": mail,
        "webhooks": webhooks,
    }))
}

/// Sends one that says that it is a test.
pub(super) async fn test(house: &House, onward: &Onward) -> Result<Value, Problem> {
    let targets = &house.alerts.targets;
    if targets.mail.is_empty() && targets.webhooks.is_empty() {
        return Err(Problem::NotFound(Refusal::NobodyToTell));
    }
    let tried = send_test(house, onward).await.map_err(|error| match error {
        AlertError::Ledger(error) => Problem::Ledger(error),
        AlertError::Spool(error) => Problem::Spool(error),
        AlertError::Federated(error) => Problem::Failed(error.to_string()),
    })?;
    Ok(json!(tried))
}
