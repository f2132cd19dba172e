//! `sm2tp stats` for people: the score with its shares, and a table for each way to look at the mail.

use std::fmt::Write;

use serde_json::Value;

use crate::show::time;

/// The answer of the node in words.
pub fn text(value: &Value) -> String {
    let mut out = String::new();
    let whose = value["org"].as_str().unwrap_or("the whole node");
    let since = time(value["since"].as_u64().unwrap_or(0));
    line(&mut out, &format!("{} days of {whose}, since {since}", value["days"]));
    line(&mut out, "");
    score(&mut out, &value["score"]);
    for (key, title, part) in TABLES {
        table(&mut out, title, value[key].as_array().map_or(&[][..], Vec::as_slice), part);
    }
    days(&mut out, value["series"].as_array().map_or(&[][..], Vec::as_slice));
    out
}

/// What is counted of one address.
pub fn of_address(value: &Value) -> String {
    let of = |key: &str| value["figures"][key].as_u64().unwrap_or(0);
    format!(
        "{}\n  delivered            {:>8}\n  no such address      {:>8}\n  mailbox full or off  {:>8}\n  \
         refused, though valid{:>8}\n  complained           {:>8}\n",
        value["address"].as_str().unwrap_or_default(),
        of("delivered"),
        of("hard"),
        of("soft"),
        of("refused"),
        of("complained")
    )
}

/// The score of an organisation among others; none where it has sent nothing.
pub fn in_a_line(score: &Value) -> Option<String> {
    let light = score["light"].as_str()?;
    let bounces = &score["bounces"];
    Some(format!("{light}: {} real bounces, {} complaints", percent(bounces), percent(&score["complaints"])))
}

fn score(out: &mut String, score: &Value) {
    let light = score["light"].as_str().unwrap_or_default();
    let meaning = MEANINGS.iter().find(|(word, _)| *word == light).map_or("", |(_, meaning)| meaning);
    line(out, &format!("{light}: {meaning}"));
    for (key, name, of, limits) in SHARES {
        let share = &score[key];
        let light = share["light"].as_str().unwrap_or_default();
        line(out, &format!("  {name:<13} {:>8}  {} of {} {of}", percent(share), share["count"], share["of"]));
        line(out, &format!("  {:<13} {light:>8}  ({limits})", ""));
    }
}

fn table(out: &mut String, title: &str, rows: &[Value], part: &str) {
    if rows.is_empty() {
        return;
    }
    line(out, "");
    line(out, &format!("{title:<32}{:>10}{:>9}{:>9}{:>9}{:>9}", "delivered", "failed", "bounced", "spam", "complain"));
    for row in rows.iter().take(ROWS_MAX) {
        let mut name = row["name"].as_str().filter(|name| !name.is_empty()).unwrap_or("(others)").to_owned();
        if let Some(of) = row[part].as_str().filter(|of| !of.is_empty()) {
            let _ = write!(name, " ({of})");
        }
        counts(out, &plain(&name), &row["sends"]);
    }
    if ROWS_MAX < rows.len() {
        line(out, &format!("and {} more; --json has them", rows.len() - ROWS_MAX));
    }
}

/// The last days or hours, the latest last.
fn days(out: &mut String, series: &[Value]) {
    if series.is_empty() {
        return;
    }
    line(out, "");
    line(
        out,
        &format!("{:<32}{:>10}{:>9}{:>9}{:>9}{:>9}", "when", "delivered", "failed", "bounced", "spam", "complain"),
    );
    for point in &series[series.len().saturating_sub(ROWS_MAX)..] {
        counts(out, &time(point["at"].as_u64().unwrap_or(0)), &point["sends"]);
    }
}

fn counts(out: &mut String, name: &str, sends: &Value) {
    let of = |key: &str| sends[key].as_u64().unwrap_or(0);
    let (delivered, failed, bounced) = (of("delivered"), of("failed"), of("bounced"));
    line(out, &format!("{name:<32}{delivered:>10}{failed:>9}{bounced:>9}{:>9}{:>9}", of("spam"), of("complained")));
}

fn percent(share: &Value) -> String {
    format!("{:.2} %", share["share"].as_f64().unwrap_or(0.0) * 100.0)
}

/// A name that the DNS or an administrator gave may hold anything.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn line(out: &mut String, text: &str) {
    out.push_str(text.trim_end());
    out.push('\n');
}

/// Key, title, and key of what stands in brackets.
const TABLES: [(&str, &str, &str); 6] = [
    ("orgs", "organisation", ""),
    ("logins", "login", ""),
    ("providers", "provider of the recipients", ""),
    ("exits", "exit", "provider"),
    ("sender_domains", "domain of the sender", "org"),
    ("domains", "domain of the recipients", ""),
];

/// Key, name, of what, and where the lights change.
const SHARES: [(&str, &str, &str, &str); 3] = [
    (
        "bounces",
        "real bounces",
        "mails that came to an end",
        "goal under 0.4 %, amber from 2, slow from 5, stop from 10",
    ),
    ("complaints", "complaints", "delivered", "amber from 0.1 %, slow from 0.3"),
    ("stopped", "stopped", "that were to be sent: the address is suppressed", "slow above 5 %: such a list was bought"),
];

const MEANINGS: [(&str, &str); 6] = [
    ("unjudged", "too few mails to say anything"),
    ("green", "as it should be"),
    ("fair", "above the goal, and no reason to worry"),
    ("amber", "look at the lists: providers begin to notice"),
    ("slow", "such mail should leave one at a time until the list is clean"),
    ("stop", "such mail should not leave"),
];

/// Rows of a table that fit on a screen.
const ROWS_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_score_is_shown_with_its_shares_and_what_they_are_of() {
        let share = |count: u64, of: u64, light: &str| json!({ "count": count, "of": of, "share": count as f64 / of as f64, "light": light });
        let score = json!({
            "light": "amber", "bounces": share(3, 100, "amber"), "complaints": share(0, 97, "unjudged"),
            "stopped": share(1, 101, "green"),
        });
        let sends = json!({ "delivered": 97, "failed": 3, "bounced": 3, "spam": 0, "complained": 0 });
        let value = json!({
            "org": null, "days": 30, "since": 1_795_320_000_u64, "score": score, "sends": sends,
            "exits": [{ "name": "main", "provider": "google", "sends": sends }],
            "domains": [{ "name": "", "sends": sends }], "series": [{ "at": 1_795_320_000_u64, "sends": sends }],
        });
        let text = text(&value);
        for want in [
            "amber: look at the lists",
            "real bounces    3.00 %  3 of 100 mails that came to an end",
            "main (google)                           97        3        3        0        0",
            "(others)  ",
            "2026-11-22 ",
        ] {
            assert!(text.contains(want), "{want:?} in\n{text}");
        }
        assert_eq!(in_a_line(&score).as_deref(), Some("amber: 3.00 % real bounces, 0.00 % complaints"));
        assert_eq!(in_a_line(&Value::Null), None);
    }
}
