//! Why an address is written to or not, as text: every decision, its numbers, what is known, and the ways out.

use serde_json::Value;

use super::{items, line, plain, time, word};

pub(super) fn explain(out: &mut String, value: &Value) {
    let address = word(value, "address");
    for decision in items(value, "decisions") {
        let sentence = match word(decision, "decision").as_str() {
            "send" => "is written to".to_owned(),
            "hold" => format!("is held for a person: {}", word(decision, "why")),
            _ => format!("is not written to: {}", word(decision, "why")),
        };
        let until = decision["until"].as_u64().map(|at| format!(" (until {})", time(at))).unwrap_or_default();
        line(out, &format!("{:<14} {address} {sentence}{until}", word(decision, "stream")));
    }
    numbers(out, value);
    own(out, value);
    on_lists(out, value);
    lists(out, value);
    votes(out, &value["federated"]);
    belief(out, value);
    log(out, value);
    match value["waiting"].as_u64().unwrap_or(0) {
        0 => {}
        count => {
            let least = if value["waiting_more"] == true { "at least " } else { "" };
            let domain = address.rsplit_once('@').map_or("", |(_, domain)| domain);
            line(out, &format!("In the queue for it: {least}{count} (sm2tp queue list --domain {domain})"));
        }
    }
    ways_out(out, value);
    if items(value, "decisions").iter().any(|decision| decision["decision"] != "send") {
        line(out, &format!("To write to it again: {}", word(value, "release")));
    }
}

fn own(out: &mut String, value: &Value) {
    let own = &value["own"];
    if own.is_object() {
        line(out, "What this node saw itself:");
        for (label, key) in [("delivered", "delivered_at"), ("first refused", "hard_first_at"), ("refused", "hard_at")]
        {
            if let Some(at) = own[key].as_u64() {
                line(out, &format!("  {label} {}", time(at)));
            }
        }
        if own["reply"].is_string() {
            let who = match own["said_by"].as_str() {
                Some("smarthost") => "the smart host said",
                Some(_) => "the mail server said",
                // Without a code no server spoke: this node found it. With one, an older version did not note who.
                None if own["code"].is_null() => "this node found",
                None => "a mail server said",
            };
            line(out, &format!("  {who}: {}", word(own, "reply").replace('\n', " ")));
            line(out, &format!("  understood by rule {}", word(own, "rule")));
        }
        if own["soft_count"].as_u64().is_some_and(|count| count != 0) {
            let (all, counted) = (&own["soft_count"], &own["soft_within_window"]);
            line(out, &format!("  the mailbox could not take mail on {all} day(s), {counted} within the window"));
        }
        if value["delivery_counts"] == true {
            line(out, "  its last delivery is fresh: what other nodes say does not count");
        }
    } else {
        // What a smart host takes does not show that the address exists.
        line(out, "No server of this address has told this node anything about it yet.");
    }
}

fn on_lists(out: &mut String, value: &Value) {
    for (key, sentence) in [
        ("opted_out", "Its owner complained about or opted out of mail of this organisation."),
        ("hosted_here", "Its domain belongs to an organisation of this node: what others say does not count."),
    ] {
        if value[key] == true {
            line(out, sentence);
        }
    }
    for (key, sentence) in [
        ("listed", "An administrator put it on the suppression list"),
        ("allowed", "An administrator put it on the allow list, which beats everything"),
        ("listed_by_org", "The organisation put it on its own suppression list"),
        (
            "allowed_by_org",
            "The organisation put it on its own allow list, which beats what servers and other nodes say",
        ),
    ] {
        match value[key].as_str().unwrap_or("none") {
            "none" => {}
            ALL_STREAMS => line(out, &format!("{sentence}.")),
            some => line(out, &format!("{sentence}, for {} mail.", some.replace(' ', ", "))),
        }
    }
}

fn votes(out: &mut String, federated: &Value) {
    let votes = items(federated, "votes");
    if votes.is_empty() {
        return line(out, "No other node has said anything about it.");
    }
    line(
        out,
        &format!(
            "Other nodes say (score {:.2}; held from {}, suppressed from {} with two independent sources):",
            federated["score"].as_f64().unwrap_or(0.0),
            federated["held_from"],
            federated["suppressed_from"]
        ),
    );
    for vote in votes {
        let class = match vote["class"].as_u64() {
            Some(1) => "dead address",
            Some(2) => "mailbox full",
            Some(5) => "dead domain",
            Some(6) => "taken back",
            Some(8) => "delivered",
            _ => "other",
        };
        let who = vote["name"].as_str().map_or_else(|| word(vote, "fingerprint"), str::to_owned);
        let weight = vote["weight"].as_f64().unwrap_or(0.0);
        let score = vote["score"].as_f64().unwrap_or(0.0);
        let at = time(vote["at"].as_u64().unwrap_or(0));
        line(out, &format!("  {who}: {class}, {at} (weight {weight:.2}, counts {score:.2} today)"));
        if let Some(behind) = vote["introducer_name"].as_str() {
            let behind = plain(behind);
            line(out, &format!("    known through {behind}, {} hops away: one witness together with it", vote["hop"]));
        }
        let (against, with) = (&vote["agreement"]["contradicted"], &vote["agreement"]["agreed"]);
        if (against, with) != (&0.into(), &0.into()) {
            let sentence =
                format!("of its dead addresses this node delivered lately to {against}, and knows {with} dead");
            line(out, &format!("    {sentence}"));
        }
        if let Some(why) = vote["left_out"].as_str() {
            line(out, &format!("    does not count: {}", left_out(why)));
        }
    }
}

fn left_out(why: &str) -> &'static str {
    match why {
        "provider-freeze" => "the provider said \"no such user\" to nearly everybody in that hour",
        "quarantine" => "what this node says contradicts our own deliveries too often",
        "contradicts-itself" => "that node signed two different segments for one place",
        "too-far" => "it is more than three hops away",
        "expired" => "it is too long ago",
        _ => "nobody gave that node a weight",
    }
}

/// Which rules hold about the words of others, where there are any.
fn belief(out: &mut String, value: &Value) {
    let rules = &value["belief"];
    if items(&value["federated"], "votes").is_empty() || !rules.is_object() {
        return;
    }
    let word = |key| word(rules, key);
    line(
        out,
        &format!(
            "  rules: agreement {}, provider freeze {}, witnesses by {}, quota {}, canaries {}",
            word("agreement"),
            word("provider_freeze"),
            word("witness"),
            word("quota"),
            rules["canary_share"],
        ),
    );
}

/// What the rules saw, once for each rule: streams mostly share one.
fn numbers(out: &mut String, value: &Value) {
    let mut said = Vec::new();
    for decision in items(value, "decisions") {
        let (rule, numbers) = (word(decision, "rule"), &decision["numbers"]);
        if rule.is_empty() || said.contains(&(rule.clone(), numbers)) {
            continue;
        }
        let found = numbers.as_object().into_iter().flatten().filter(|(_, field)| !field.is_null());
        let found: Vec<String> = found
            .map(|(key, field)| match (key.strip_suffix("_s"), field.as_u64()) {
                (Some(name), Some(seconds)) => {
                    format!("{} {}", name.replace('_', " "), crate::config::show_duration(seconds))
                }
                _ if key.ends_with("_at") => {
                    format!("{} {}", key.replace('_', " "), time(field.as_u64().unwrap_or(0)))
                }
                _ => format!("{} {}", key.replace('_', " "), plain(field.as_str().unwrap_or(&field.to_string()))),
            })
            .collect();
        if !found.is_empty() {
            line(out, &format!("  by rule {rule}: {}", found.join(", ")));
        }
        said.push((rule, numbers));
    }
}

/// Entries of lists, with their notes.
fn lists(out: &mut String, value: &Value) {
    for entry in items(value, "lists") {
        let whose = entry["org"].as_str().map_or_else(|| "the node".to_owned(), plain);
        let stream = entry["stream"].as_str().map(|stream| format!(", {stream} mail")).unwrap_or_default();
        let note = entry["note"].as_str().map(|note| format!(": {}", plain(note))).unwrap_or_default();
        let (list, at) = (word(entry, "list"), time(entry["at"].as_u64().unwrap_or(0)));
        line(out, &format!("  list {list} of {whose}{stream}, {at}{note}"));
    }
}

fn log(out: &mut String, value: &Value) {
    let entries = items(value, "log");
    if !entries.is_empty() {
        line(out, "In the send log, the newest first:");
    }
    for entry in entries.iter().take(LOG_SHOWN) {
        let at = time(entry["at"].as_u64().unwrap_or(0));
        let said = word(entry, "text").replace('\n', " ");
        line(out, &format!("  {at} {} ({}): {said}", word(entry, "kind"), word(entry, "org")));
    }
}

/// What would change it, apart from the command that the last line names.
fn ways_out(out: &mut String, value: &Value) {
    let mut said = Vec::new();
    for way in items(value, "decisions").iter().flat_map(|decision| items(decision, "ways_out")) {
        let sentence = match word(way, "by").as_str() {
            "delivery" => "a delivery to it, such as of a personal mail".to_owned(),
            "org" => format!("the organisation knows better: {}", word(way, "command")),
            "recipient" => format!("its owner says so, asked by one mail: {}", word(way, "command")),
            _ => continue,
        };
        if !said.contains(&sentence) {
            said.push(sentence);
        }
    }
    if !said.is_empty() {
        line(out, "What would change it besides time:");
    }
    said.iter().for_each(|sentence| line(out, &format!("  {sentence}")));
}

/// As the API names all of them.
const ALL_STREAMS: &str = "personal transactional bulk forwarded";
/// The rest is in `--json`.
const LOG_SHOWN: usize = 5;
