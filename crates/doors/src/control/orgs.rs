//! What a person does with organisations and their logins.

use serde_json::{Value, json};
use sm2tp_proto::Domain;
use sm2tp_rules::Stream;
use sm2tp_rules::suppress::OfOrg;
use sm2tp_store::Bounce;
use sm2tp_store::accounts::LimitsChange;

use super::{Problem, Refusal, stats, webhooks};
use crate::{House, now};

pub(super) async fn remove(house: &House, name: &str) -> Result<Value, Problem> {
    house.accounts.remove_org(name).await?;
    house.tokens.forget_org(name).await?;
    webhooks::hooks(house).forget_org(name).await?;
    house.senders.forget(name);
    Ok(json!({ "removed": name }))
}

/// The organisations, each with its score of the last weeks where it has sent anything.
pub(super) async fn list(house: &House) -> Result<Value, Problem> {
    let lights = stats::lights(house).await?;
    let mut list = json!(house.accounts.orgs());
    for org in list.as_array_mut().into_iter().flatten() {
        let score = lights.iter().find(|(name, _)| org["name"] == name.as_str()).map(|(_, score)| score);
        org["score"] = json!(score);
    }
    Ok(list)
}

/// What is not given stays as it is: an org that loses its domains by a forgotten word could write as anybody.
pub(super) async fn add(
    house: &House,
    name: &str,
    domains: Option<Vec<String>>,
    stream: Option<Stream>,
) -> Result<Value, Problem> {
    let known = house.accounts.orgs().into_iter().find(|org| org.name == name);
    let (known_domains, known_stream) =
        known.map_or((Vec::new(), Stream::Personal), |known| (known.domains, known.stream));
    let (domains, stream) = (domains.unwrap_or(known_domains), stream.unwrap_or(known_stream));
    let parse = |text: &String| {
        Domain::parse(text).map_err(|source| Problem::Input(Refusal::Domain { text: text.clone(), source }))
    };
    let parsed: Vec<Domain> = domains.iter().map(parse).collect::<Result<_, _>>()?;
    house.accounts.put_org(name, parsed, stream, now()).await?;
    Ok(json!({ "org": name, "domains": domains, "stream": stream }))
}

/// Without a change, what holds.
pub(super) async fn limits(
    house: &House,
    org: &str,
    login: Option<&str>,
    change: LimitsChange,
) -> Result<Value, Problem> {
    let limits = match change == LimitsChange::default() {
        true => house.accounts.limits(org, login)?,
        false => house.accounts.change_limits(org, login, change).await?,
    };
    Ok(json!({ "org": org, "login": login, "limits": limits }))
}

/// Without a change, what holds; `reset` begins with what the node has.
pub(super) async fn suppression(house: &House, org: &str, change: OfOrg, reset: bool) -> Result<Value, Problem> {
    let known = house.accounts.own_suppression(org)?;
    let settings = if reset { OfOrg::default() } else { known.clone() }.changed(change);
    if settings != known {
        settings.over(&house.book.limits).check().map_err(|contradiction| Problem::Input(contradiction.into()))?;
        house.accounts.put_suppression(org, settings.clone()).await?;
    }
    Ok(json!({ "org": org, "own": settings, "limits": limits_in_force(house, org) }))
}

/// The numbers of suppression for mail of an org. Durations in seconds.
pub(super) fn limits_in_force(house: &House, org: &str) -> Value {
    let limits = house.book.limits(org);
    json!({
        "strict": limits.strict,
        "personal_retry_after_s": limits.personal_retry_after_s,
        "hard_expiry_s": limits.hard_expiry_s,
        "inactive_recheck_s": limits.inactive_recheck_s,
        "ambiguous_spread_s": limits.ambiguous_spread_s,
        "soft_limit": limits.soft_max,
        "soft_window_s": limits.soft_window_s,
        "soft_spread_s": limits.soft_spread_s,
        "soft_half_life_s": limits.soft_half_life_s,
        "complaint": limits.complaint,
        "federated": limits.federated,
        "delivery_fresh_s": limits.delivery_fresh_s,
        "newer_sources": limits.newer_sources_min,
        "held_score": limits.held_score,
        "suppressed_score": limits.suppressed_score,
        "suppressed_sources": limits.suppressed_sources_min,
        "doubtful": limits.doubtful,
        "canary_share": limits.canary_share,
        "stopped": limits.stopped,
    })
}
