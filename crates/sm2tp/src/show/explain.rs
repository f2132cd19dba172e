//! Why an address is written to or not, as text: every decision, its numbers, what is known, and the ways out.

mod sentences;

use serde_json::Value;
use sm2tp_proto::date;
use sm2tp_rules::imported::Imported;

use self::sentences::SENTENCES;
use super::{items, line, plain, time, word};
use crate::config::{Language, show_duration};
use crate::words::Words;

pub(super) fn explain(out: &mut String, value: &Value, lang: Language) {
    let words = Words { lang, table: SENTENCES };
    let address = word(value, "address");
    for decision in items(value, "decisions") {
        let made = match word(decision, "decision").as_str() {
            "send" => "send",
            "hold" => "hold",
            _ => "refuse",
        };
        let sentence = words.fill(made, &[("why", &why(&words, decision))]);
        let until = decision["until"].as_u64().map(|at| words.fill("until", &[("at", &time(at))])).unwrap_or_default();
        line(out, &format!("{:<14} {address} {sentence}{until}", word(decision, "stream")));
    }
    numbers(out, &words, value);
    own(out, &words, value);
    on_lists(out, &words, value);
    lists(out, &words, value);
    let settle_s = value["belief"]["settle_after_s"].as_u64().unwrap_or(0);
    votes(out, &words, &value["federated"], &(settle_s / 3600).to_string());
    belief(out, &words, value);
    log(out, &words, value);
    waiting(out, &words, value, &address);
    ways_out(out, &words, value);
    if items(value, "decisions").iter().any(|decision| decision["decision"] != "send") {
        line(out, &words.fill("release", &[("command", &word(value, "release"))]));
    }
}

/// The reason in the language of the terminal; the node says it in English.
fn why(words: &Words, decision: &Value) -> String {
    if words.lang == Language::En {
        return word(decision, "why");
    }
    let numbers = &decision["numbers"];
    let code = [word(numbers, "code"), word(numbers, "enhanced")].join(" ");
    match word(decision, "rule").as_str() {
        "own-hard" if numbers["found_at"].is_u64() => words.say("why-no-domain").to_owned(),
        "own-hard" => words.fill("why-own-hard", &[("code", code.trim())]),
        "imported" => imported(words, &word(numbers, "imported"), code.trim()),
        "own-soft" => words.fill("why-own-soft", &[("days", &word(numbers, "days"))]),
        "federated" => {
            let score = words.number(numbers["score"].as_f64().unwrap_or(0.0));
            words.fill("why-federated", &[("sources", &word(numbers, "sources")), ("score", &score)])
        }
        "listed" => words.say("why-listed").to_owned(),
        "listed-by-org" => words.say("why-listed-by-org").to_owned(),
        "opted-out" => words.say("why-opted-out").to_owned(),
        _ => word(decision, "why"),
    }
}

fn imported(words: &Words, list: &str, code: &str) -> String {
    let (from, on) = list.strip_prefix("imported from ").and_then(|list| list.split_once(" on ")).unwrap_or((list, ""));
    // Many lists say no more than that mail came back.
    let code = if code.is_empty() || code == "0" { String::new() } else { words.fill("with-code", &[("code", code)]) };
    words.fill("why-imported", &[("from", from), ("on", on), ("code", &code)])
}

/// What the rules saw, once for each rule: streams mostly share one.
fn numbers(out: &mut String, words: &Words, value: &Value) {
    let mut said = Vec::new();
    for decision in items(value, "decisions") {
        let (rule, numbers) = (word(decision, "rule"), &decision["numbers"]);
        if !numbers.is_object() || said.contains(&(rule.clone(), numbers)) {
            continue;
        }
        let seen = seen(words, &rule, numbers);
        line(out, &format!("  {}", words.fill("by-rule", &[("rule", &rule), ("numbers", &seen)])));
        said.push((rule, numbers));
    }
}

fn seen(words: &Words, rule: &str, numbers: &Value) -> String {
    let length = |key: &str| show_duration(numbers[key].as_u64().unwrap_or(0));
    let at = |key: &str| time(numbers[key].as_u64().unwrap_or(0));
    let score = |key: &str| words.number(numbers[key].as_f64().unwrap_or(0.0));
    match rule {
        "opted-out" => words.fill("opted-out", &[("streams", &streams(&word(numbers, "streams_of_complaints")))]),
        "own-soft" => {
            let values = [
                ("days", word(numbers, "days")),
                ("from", word(numbers, "from_days")),
                ("spread", length("spread_s")),
                ("least", length("from_spread_s")),
                ("within", length("within_s")),
                ("at", at("last_at")),
                ("half", length("half_life_s")),
            ];
            words.fill_with("own-soft", &values)
        }
        "federated" => {
            let values = [
                ("score", score("score")),
                ("sources", word(numbers, "sources")),
                ("held", score("held_from")),
                ("refused", score("suppressed_from")),
                ("least", word(numbers, "suppressed_sources")),
            ];
            words.fill_with("federated", &values)
        }
        _ => {
            let (sentence, key) =
                if numbers["found_at"].is_u64() { ("found", "found_at") } else { ("refused", "refused_at") };
            let mut all = vec![words.fill(sentence, &[("at", &at(key)), ("life", &length("expires_after_s"))])];
            if numbers["inactive"] == true {
                all.push(words.say("inactive").to_owned());
            }
            if numbers["tried_again_after_s"].is_u64() {
                all.push(words.fill("again", &[("time", &length("tried_again_after_s"))]));
            }
            all.join(", ")
        }
    }
}

fn own(out: &mut String, words: &Words, value: &Value) {
    let own = &value["own"];
    if !own.is_object() {
        // What a smart host takes does not show that the address exists.
        return line(out, words.say("nothing-own"));
    }
    line(out, words.say("own"));
    let mut say = |key: &str, values: &[(&str, &str)]| line(out, &format!("  {}", words.fill(key, values)));
    for key in ["delivered_at", "hard_first_at", "hard_at"] {
        if let Some(at) = own[key].as_u64() {
            say(key, &[("at", &time(at))]);
        }
    }
    let imported = own["rule"].as_str().and_then(|rule| rule.parse::<Imported>().ok());
    if let Some(Imported { from, day }) = imported {
        say("imported", &[("list", from.as_str()), ("day", &date::iso(day.into()))]);
        if own["reply"].is_string() {
            say("list-said", &[("reply", &word(own, "reply").replace('\n', " "))]);
        }
    } else if own["reply"].is_string() {
        let who = match own["said_by"].as_str() {
            Some("smarthost") => "smarthost",
            Some(_) => "server",
            // Without a code no server spoke: this node found it. With one, an older version did not note who.
            None if own["code"].is_null() => "nobody",
            None => "somebody",
        };
        say(who, &[("reply", &word(own, "reply").replace('\n', " "))]);
        say("understood", &[("rule", &word(own, "rule"))]);
    }
    if own["soft_count"].as_u64().is_some_and(|count| count != 0) {
        say("soft", &[("all", &word(own, "soft_count")), ("counted", &word(own, "soft_within_window"))]);
    }
    if value["delivery_counts"] == true {
        say("fresh", &[]);
    }
}

fn on_lists(out: &mut String, words: &Words, value: &Value) {
    for key in ["opted_out", "hosted_here"] {
        if value[key] == true {
            line(out, words.say(key));
        }
    }
    for key in ["listed", "allowed", "listed_by_org", "allowed_by_org"] {
        let sentence = words.say(key);
        match value[key].as_str().unwrap_or("none") {
            "none" => {}
            ALL_STREAMS => line(out, &format!("{sentence}.")),
            some => line(out, &words.fill("for-streams", &[("sentence", sentence), ("streams", &streams(some))])),
        }
    }
}

/// Entries of lists, with their notes.
fn lists(out: &mut String, words: &Words, value: &Value) {
    for entry in items(value, "lists") {
        let whose = entry["org"].as_str().map_or_else(|| words.say("node").to_owned(), plain);
        let stream = entry["stream"].as_str().map(|stream| words.fill("entry-stream", &[("stream", stream)]));
        let note = entry["note"].as_str().map(|note| words.fill("note", &[("note", &plain(note))]));
        let values = [
            ("list", word(entry, "list")),
            ("whose", whose),
            ("stream", stream.unwrap_or_default()),
            ("at", time(entry["at"].as_u64().unwrap_or(0))),
            ("note", note.unwrap_or_default()),
        ];
        let sentence = words.fill_with("entry", &values);
        line(out, &format!("  {sentence}"));
    }
}

fn votes(out: &mut String, words: &Words, federated: &Value, settle_hours: &str) {
    let votes = items(federated, "votes");
    if votes.is_empty() {
        return line(out, words.say("nothing-federated"));
    }
    let number = |value: &Value| words.number(value.as_f64().unwrap_or(0.0));
    let values = [
        ("score", number(&federated["score"])),
        ("held", number(&federated["held_from"])),
        ("refused", number(&federated["suppressed_from"])),
        ("least", word(federated, "suppressed_sources")),
    ];
    line(out, &words.fill_with("others", &values));
    for said in votes {
        vote(out, words, said);
        if said["fresh"] == true {
            line(out, &format!("    {}", words.fill("came-lately", &[("hours", settle_hours)])));
        }
    }
}

/// The word of one node, who stands behind it, and how far it is believed.
fn vote(out: &mut String, words: &Words, vote: &Value) {
    let number = |value: &Value| words.number(value.as_f64().unwrap_or(0.0));
    let what = words.say(&format!("vote-{}", word(vote, "class")));
    let values = [
        ("who", vote["name"].as_str().map_or_else(|| word(vote, "fingerprint"), plain)),
        ("what", if what.is_empty() { words.say("vote-other") } else { what }.to_owned()),
        ("at", time(vote["at"].as_u64().unwrap_or(0))),
        ("weight", number(&vote["weight"])),
        ("score", number(&vote["score"])),
    ];
    let sentence = words.fill_with("vote", &values);
    line(out, &format!("  {sentence}"));
    let mut more = |key: &str, values: &[(&str, &str)]| line(out, &format!("    {}", words.fill(key, values)));
    if let Some(behind) = vote["introducer_name"].as_str() {
        more("behind", &[("who", &plain(behind)), ("hops", &word(vote, "hop"))]);
    }
    let (against, with) = (&vote["agreement"]["contradicted"], &vote["agreement"]["agreed"]);
    if (against, with) != (&0.into(), &0.into()) {
        more("agreement", &[("against", &against.to_string()), ("with", &with.to_string())]);
    }
    if let Some(own @ ("contradicts" | "agrees")) = vote["own_word"].as_str() {
        more(&format!("own-{own}"), &[]);
    }
    if let Some(why) = vote["left_out"].as_str() {
        let why = words.say(&format!("left-out-{why}"));
        more("left-out", &[("why", if why.is_empty() { words.say("left-out-no-weight") } else { why })]);
    }
}

/// Which rules hold about the words of others, where there are any.
fn belief(out: &mut String, words: &Words, value: &Value) {
    let rules = &value["belief"];
    if items(&value["federated"], "votes").is_empty() || !rules.is_object() {
        return;
    }
    let values = [
        ("agreement", word(rules, "agreement")),
        ("months", word(rules, "months")),
        ("freeze", word(rules, "provider_freeze")),
        ("witness", word(rules, "witness")),
        ("soft", word(rules, "soft_weight")),
        ("quota", word(rules, "quota")),
        ("canaries", word(rules, "canary_share")),
        ("wait", (rules["hold_down_s"].as_u64().unwrap_or(0) / 3600).to_string()),
    ];
    line(out, &format!("  {}", words.fill_with("belief", &values)));
}

fn log(out: &mut String, words: &Words, value: &Value) {
    let entries = items(value, "log");
    if !entries.is_empty() {
        line(out, words.say("log"));
    }
    for entry in entries.iter().take(LOG_SHOWN) {
        let at = time(entry["at"].as_u64().unwrap_or(0));
        let said = word(entry, "text").replace('\n', " ");
        line(out, &format!("  {at} {} ({}): {said}", word(entry, "kind"), word(entry, "org")));
    }
}

fn waiting(out: &mut String, words: &Words, value: &Value, address: &str) {
    let count = value["waiting"].as_u64().unwrap_or(0);
    if count == 0 {
        return;
    }
    let count = count.to_string();
    let count = if value["waiting_more"] == true { words.fill("at-least", &[("count", &count)]) } else { count };
    let domain = address.rsplit_once('@').map_or("", |(_, domain)| domain);
    line(out, &words.fill("waiting", &[("count", &count), ("domain", domain)]));
}

/// What would change it, apart from the command that the last line names.
fn ways_out(out: &mut String, words: &Words, value: &Value) {
    let mut said = Vec::new();
    for way in items(value, "decisions").iter().flat_map(|decision| items(decision, "ways_out")) {
        let by = word(way, "by");
        if ["delivery", "org", "recipient"].contains(&by.as_str()) {
            let sentence = words.fill(&by, &[("command", &word(way, "command"))]);
            if !said.contains(&sentence) {
                said.push(sentence);
            }
        }
    }
    if !said.is_empty() {
        line(out, words.say("ways"));
    }
    said.iter().for_each(|sentence| line(out, &format!("  {sentence}")));
}

/// `bulk, transactional`: the words that commands take, in every language.
fn streams(set: &str) -> String {
    set.replace(' ', ", ")
}

/// As the API names all of them.
const ALL_STREAMS: &str = "personal transactional bulk forwarded";
/// The rest is in `--json`.
const LOG_SHOWN: usize = 5;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::words;

    #[test]
    fn both_languages_say_everything() {
        words::agree(SENTENCES);
    }

    #[track_caller]
    fn check(rule: &str, numbers: Value, why: &str, english: &str, french: &[&str]) {
        let decision = json!({ "stream": "bulk", "decision": "refuse", "rule": rule, "why": why, "numbers": numbers, "until": null });
        let value =
            json!({ "address": "jean@x.example", "decisions": [decision], "release": "sm2tp suppress remove x" });
        let (mut en, mut fr) = (String::new(), String::new());
        explain(&mut en, &value, Language::En);
        explain(&mut fr, &value, Language::Fr);
        assert!(en.contains(&format!("is not written to: {why}\n")) && en.contains(english), "{en}");
        for want in french {
            assert!(fr.contains(want), "{want} is not in\n{fr}");
        }
        assert!(!fr.contains('{') && fr.contains("Pour lui écrire de nouveau\u{a0}: sm2tp suppress remove x"), "{fr}");
    }

    #[test]
    fn a_rule_is_told_with_its_numbers_in_both_languages() {
        let hard = json!({
            "refused_at": 1_795_320_306, "code": 550, "enhanced": "5.1.1", "inactive": false, "expires_after_s": 34_560_000,
            "tried_again_after_s": 86_400,
        });
        check(
            "own-hard",
            hard.clone(),
            "earlier mail to this address was refused with 550 5.1.1",
            "by rule own-hard: refused 2026-11-22 04:05:06 UTC, believed for 400d, such mail may try again after 1d\n",
            &["ne reçoit rien\u{a0}: un message précédent à cette adresse a été refusé avec 550 5.1.1", "pendant 400d"],
        );
        let found = json!({ "found_at": 1_795_320_306, "expires_after_s": 34_560_000, "tried_again_after_s": null });
        check("own-hard", found, "no domain", "found 2026-11-22 04:05:06 UTC", &["d’après le DNS", "constaté le 2026"]);
        let list = "imported from ses on 2026-11-26";
        let imported = json!({ "refused_at": 5, "code": 0, "enhanced": null, "imported": list, "inactive": true, "expires_after_s": 60 });
        check(
            "imported",
            imported,
            "x",
            "switched off by its provider",
            &["importé de ses le 2026-11-26\u{a0}: le courrier à cette adresse est revenu\n", "désactivée"],
        );
        let out = json!({ "streams_of_complaints": "transactional bulk" });
        check(
            "opted-out",
            out,
            "x",
            "stops transactional, bulk mail of this",
            &["les messages transactional, bulk de"],
        );
        check("listed", Value::Null, "x", "\n", &["l’administrateur a mis cette adresse"]);
        let soft = json!({
            "days": 6, "from_days": 5, "spread_s": 950_400, "from_spread_s": 864_000, "within_s": 2_592_000, "last_at": 5,
            "half_life_s": 1_209_600,
        });
        check(
            "own-soft",
            soft,
            "x",
            "on 6 days (stops from 5) with 11d between",
            &["6 jours (bloque à partir de 5), 11d"],
        );
        let others = json!({
            "score": 1.2, "sources": 1, "held_from": 0.75, "suppressed_from": 1.5, "suppressed_sources": 2,
        });
        check(
            "federated",
            others,
            "x",
            "score 1.20 of 1 independent node(s); held from 0.75",
            &["score 1,20 de 1 nœud"],
        );
    }
}
