//! Replies of servers: those that no rule knew, and what better rules would make of the others.

use serde_json::{Value, json};
use sm2tp_store::ledger::{Replay, Verdict, unknown_replies};

use super::Problem;
use crate::{House, now};

/// The shapes of unknown replies, as they may be sent to the project: with the versions, and nobody in them.
pub(super) async fn unknown(house: &House) -> Result<Value, Problem> {
    let replies = house.ledger.read(|sql| Ok(unknown_replies(sql)?)).await?;
    let rules = house.federation.publisher.classifier.rules();
    Ok(json!({ "version": env!("CARGO_PKG_VERSION"), "rules": &**rules.version(), "replies": replies }))
}

/// Reads the send log again with the rules of now.
pub(super) async fn replay(house: &House, mode: Replay) -> Result<Value, Problem> {
    let rules = house.federation.publisher.classifier.rules();
    let version = rules.version().to_string();
    let book = house.book.clone();
    let replayed = house.ledger.replay(rules, mode, move |address| book.all_tags(address)).await?;
    let mut value = serde_json::to_value(&replayed).map_err(|error| Problem::Failed(error.to_string()))?;
    value["rules"] = version.into();
    value["applied"] = (mode == Replay::Apply).into();
    Ok(value)
}

/// What a person says about a provider that is not believed.
pub(super) async fn breaker_decide(house: &House, provider: String, verdict: Verdict) -> Result<Value, Problem> {
    let counted = house.ledger.decide(provider.clone(), verdict, now()).await?;
    Ok(json!({ "provider": provider, "verdict": verdict, "counted": counted }))
}
