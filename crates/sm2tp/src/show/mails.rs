//! The queue added up, the sites that it is for, and what became of a mail, as a person sees them.

use serde_json::Value;

use super::{all, items, line, plain, time, word};

pub(super) fn sums(out: &mut String, value: &Value) {
    if items(value, "domains").is_empty() {
        line(out, "Nothing waits.");
    }
    for (key, head) in [("domains", "for the domain"), ("orgs", "of the organisation")] {
        let rows = items(value, key);
        if rows.is_empty() {
            continue;
        }
        line(out, &format!("{head:<40}{:>9}{:>9}{:>9}  since", "normal", "slow", "held"));
        for row in rows {
            let (name, since) = (word(row, "name"), time(row["oldest_at"].as_u64().unwrap_or_default()));
            // A value of JSON is printed without regard to a width.
            let [normal, slow, held] = ["normal", "slow", "held"].map(|lane| row[lane].as_u64().unwrap_or_default());
            line(out, &format!("{name:<40}{normal:>9}{slow:>9}{held:>9}  {since}"));
            if row["note"].is_string() {
                line(out, &format!("    {}", in_a_line(&word(row, "note"))));
            }
        }
        line(out, "");
    }
}

pub(super) fn sites(out: &mut String, value: &Value) {
    let sites = all(value);
    if sites.is_empty() {
        line(out, "No mail waits for a server, and no connection is open.");
    }
    for site in sites {
        let hosts: Vec<String> = items(site, "hosts").iter().filter_map(Value::as_str).map(plain).collect();
        let by = site["exit"].as_str().map(|exit| format!(" by {}", plain(exit))).unwrap_or_default();
        line(out, &format!("{}{by}", hosts.join(", ")));
        let (open, most) = (&site["connections"], &site["connections_max"]);
        line(out, &format!("  {} recipients wait; {open} of {most} connections", site["waiting"]));
        if site["is_shut"] == true {
            line(out, "  its exit is paused: sm2tp exit list");
        }
        if let Some(until) = site["paused_until"].as_u64() {
            line(out, &format!("  left alone until {}", time(until)));
        }
    }
}

pub(super) fn found(out: &mut String, value: &Value) {
    let mails = all(value);
    if mails.is_empty() {
        line(out, "The send log has no mail with this Message-ID.");
    }
    for mail in mails {
        let (number, at) = (&mail["mail"], time(mail["accepted_at"].as_u64().unwrap_or_default()));
        line(out, &format!("{number}  accepted {at}  {} ({})", word(mail, "mail_from"), word(mail, "org")));
        line(out, &format!("  what became of it: sm2tp queue log {number}"));
    }
}

pub(super) fn life(out: &mut String, value: &Value) {
    let lines = all(value);
    if lines.is_empty() {
        line(out, "The send log has nothing about this mail; --days looks further back.");
    }
    for happening in lines {
        let at = time(happening["at"].as_u64().unwrap_or_default());
        let (kind, recipient) = (word(happening, "kind"), word(happening, "recipient"));
        line(out, format!("{at}  {kind:<10} {recipient}").trim_end());
        let said: Vec<String> = ["mx", "code", "enhanced", "text"]
            .iter()
            .map(|key| in_a_line(&word(happening, key)))
            .filter(|part| !part.is_empty())
            .collect();
        if !said.is_empty() {
            line(out, &format!("    {}", said.join(" ")));
        }
        if happening["rule"].is_string() {
            let exit = happening["exit"].as_str().map(|exit| format!(", by {}", plain(exit))).unwrap_or_default();
            line(out, &format!("    {}, by rule {}{exit}", word(happening, "cause"), word(happening, "rule")));
        }
    }
}

fn in_a_line(text: &str) -> String {
    text.replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_the_queue_stand_below_their_words() {
        let row = |name: &str| serde_json::json!({ "name": name, "normal": 1, "slow": 0, "held": 12, "oldest_at": 951_782_400, "note": "busy\nnow" });
        let mut out = String::new();
        sums(&mut out, &serde_json::json!({ "domains": [row("x.example")], "orgs": [] }));
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(lines[0].find("slow").map(|at| at + 4), lines[1].find(" 0 ").map(|at| at + 2), "{out}");
        assert!(lines[1].ends_with("        1        0       12  2000-02-29 00:00:00 UTC"), "{out}");
        assert_eq!(lines[2], "    busy now");
    }
}
