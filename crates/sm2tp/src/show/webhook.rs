//! Webhooks of organisations, as a person sees them.

use serde_json::Value;

use super::{items, line, plain, time, word};

/// The secret of a new one alone on its line.
pub(super) fn made(out: &mut String, value: &Value) {
    line(out, &word(value, "secret"));
    line(out, "");
    line(
        out,
        "Give it to the program that is called: it checks the signature with it (standardwebhooks.com, docs/api.md).",
    );
    one(out, &value["webhook"]);
}

pub(super) fn list(out: &mut String, value: &Value) {
    let webhooks = value.as_array().map_or(&[][..], Vec::as_slice);
    if webhooks.is_empty() {
        line(out, "There are no webhooks: sm2tp webhook new makes one.");
    }
    webhooks.iter().for_each(|webhook| one(out, webhook));
}

fn one(out: &mut String, webhook: &Value) {
    let head = format!("{}  {} ({})", word(webhook, "id"), word(webhook, "url"), word(webhook, "org"));
    line(out, &plain(&head.replace('\n', " ")));
    let events: Vec<String> = items(webhook, "events").iter().filter_map(|event| event.as_str().map(plain)).collect();
    let (waiting, dead, lost) = (&webhook["waiting"], &webhook["dead"], &webhook["lost"]);
    line(out, &format!("  {}; {waiting} wait, {dead} not taken, {lost} left out", events.join(", ")));
    if webhook["gone"] == true {
        line(out, "  it said that it wants no more (410); sm2tp webhook redeliver asks it again");
    }
}

pub(super) fn dead(out: &mut String, value: &Value) {
    let events = value.as_array().map_or(&[][..], Vec::as_slice);
    if events.is_empty() {
        line(out, "It took everything.");
    }
    for event in events {
        let at = time(event["at"].as_u64().unwrap_or_default());
        let kind = word(&event["event"], "type");
        let id = event["id"].as_u64().unwrap_or_default();
        let text = format!("{id:>6}  {at}  {kind}, {} tries: {}", event["tries"], word(event, "why"));
        line(out, &plain(&text.replace('\n', " ")));
    }
}
