//! Incidents and tests as text for people.

use serde_json::Value;

use super::{items, line, time, word};

pub(super) fn list(out: &mut String, value: &Value) {
    let incidents = items(value, "incidents");
    if incidents.is_empty() {
        line(out, "Nothing is wrong, as far as this node knows.");
    }
    for incident in incidents {
        let at = |key: &str| incident[key].as_u64().map(time);
        let since = at("opened_at").unwrap_or_default();
        let until = at("closed_at").map_or_else(|| "open".to_owned(), |until| format!("over at {until}"));
        line(out, &format!("{}: since {since}, {until}", word(incident, "title")));
        let told = at("told_at").map_or_else(|| "not yet".to_owned(), |at| format!("at {at}"));
        line(out, &format!("  told {told}"));
    }
    let not_taken = items(value, "not_taken");
    if !not_taken.is_empty() {
        line(out, "Not taken by webhooks:");
    }
    for posted in not_taken {
        let at = time(posted["at"].as_u64().unwrap_or(0));
        let state = if posted["state"] == "dead" { "given up at" } else { "next try at" };
        let (message, url, tries) = (&posted["message"], word(posted, "url"), &posted["tries"]);
        line(out, &format!("  alert-{message} to {url}: {tries} tries, {state} {at} ({})", word(posted, "why")));
    }
    if items(value, "mail_domains").is_empty() && items(value, "webhooks").is_empty() {
        line(out, "Nobody is told: [alerts] in the configuration has neither mail nor webhook.");
    }
}

pub(super) fn tried(out: &mut String, value: &Value) {
    for tried in value.as_array().into_iter().flatten() {
        let ok = if tried["ok"] == true { "" } else { "FAILED: " };
        line(out, &format!("{}: {ok}{}", word(tried, "target"), word(tried, "said")));
    }
}
