//! Ways out, as a person sees them.

use serde_json::Value;

use super::{items, line, plain, time, word};
use crate::stats::in_a_line;

pub(super) fn list(out: &mut String, value: &Value) {
    let exits = items(value, "exits");
    if exits.is_empty() {
        line(out, "There are no ways out: this node relays no mail.");
    }
    exits.iter().for_each(|exit| one(out, exit));
}

fn one(out: &mut String, exit: &Value) {
    let configured = &exit["configured"];
    let addresses: Vec<String> = items(configured, "addresses").iter().filter_map(Value::as_str).map(plain).collect();
    let from =
        if addresses.is_empty() { "the address that the system chooses".to_owned() } else { addresses.join(", ") };
    let head = match configured.is_object() {
        true => format!("{}: {from}, says {}", word(exit, "exit"), word(configured, "hello")),
        false => format!("{}: not in the configuration any more", word(exit, "exit")),
    };
    line(out, &head);
    if exit["paused"].is_object() {
        pause(out, &exit["paused"]);
    }
    match in_a_line(&exit["score"]).filter(|_| exit["sends"]["delivered"] != 0 || exit["sends"]["failed"] != 0) {
        Some(score) => {
            let (delivered, failed) = (&exit["sends"]["delivered"], &exit["sends"]["failed"]);
            line(out, &format!("  {delivered} delivered, {failed} failed; {score}"));
        }
        None => line(out, "  nothing left by it lately"),
    }
    for refusal in items(exit, "refused") {
        let since = time(refusal["since"].as_u64().unwrap_or_default());
        line(out, &format!("  refused by {} since {since}, {} times:", word(refusal, "provider"), refusal["count"]));
        line(out, &format!("    {}", word(refusal, "text").replace('\n', " ")));
        if !refusal["link"].is_null() {
            line(out, &format!("    {}", word(refusal, "link")));
        }
    }
}

fn pause(out: &mut String, pause: &Value) {
    let note = word(pause, "note").replace('\n', " ");
    let note = if note.is_empty() { note } else { format!(": {note}") };
    line(out, &format!("  paused since {}{note}", time(pause["since"].as_u64().unwrap_or_default())));
}

pub(super) fn paused(out: &mut String, value: &Value) {
    let exit = word(value, "exit");
    line(out, &format!("No mail leaves by {exit} any more; what is on a connection goes on."));
    let open: Vec<String> = items(value, "open").iter().filter_map(Value::as_str).map(plain).collect();
    match open.is_empty() {
        true => line(out, "There is no other way out: all mail waits."),
        false => line(out, &format!("Mail that may use another takes it ({}); the rest waits.", open.join(", "))),
    }
    line(out, &format!("sm2tp exit resume {exit} ends that."));
}

pub(super) fn resumed(out: &mut String, value: &Value) {
    line(out, &format!("Mail leaves by {} again.", word(value, "exit")));
}
