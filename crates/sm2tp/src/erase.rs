//! `sm2tp erase`: what is kept of an address, and the question whether it is to go.

use std::fmt::Write as _;

use serde_json::Value;
use sm2tp_doors::control::{Erasing, Request};

/// The request that removes what another one has shown; none where nothing is left to ask.
pub fn next(request: &Request, shown: &Value) -> Option<Request> {
    match request {
        Request::Erase { address, erasing: Erasing::Look } if !is_nothing(shown) => {
            Some(Request::Erase { address: address.clone(), erasing: Erasing::Erase })
        }
        _ => None,
    }
}

/// What is or was kept.
pub fn text(value: &Value) -> String {
    let (address, erased) = (value["address"].as_str().unwrap_or_default(), value["erased"] == true);
    if is_nothing(value) {
        return format!("{address}: nothing is kept of it\n{}{}", not_overwritten(value), waiting(value));
    }
    let mut out = format!("{address}: {}\n", if erased { "erased" } else { "this is kept of it" });
    for (key, what) in LINES {
        let count = count(value, key);
        if count != 0 {
            let _ = writeln!(out, "{count:>8}  {what}");
        }
    }
    for other in list(value, "heard") {
        let (records, origin) = (count(other, "records"), other["origin"].as_str().unwrap_or_default());
        let _ = writeln!(out, "{records:>8}  records of {origin}, in this node's copy of its log");
    }
    let left: Vec<&str> = list(&value["kept"], "opted_out").iter().filter_map(Value::as_str).collect();
    if !left.is_empty() {
        let _ = writeln!(out, "          opted out of mail of: {}", left.join(", "));
    }
    out + &consequences(value, &left) + not_overwritten(value) + &waiting(value)
}

fn consequences(value: &Value, left: &[&str]) -> String {
    let (mut out, erased) = (String::new(), value["erased"] == true);
    if erased && count(value, "told") != 0 {
        out.push_str("Peers are asked to erase what this node told them, with its next segment (seal_after).\n");
    }
    if !list(value, "heard").is_empty() {
        out.push_str(
            "What others said goes from this copy alone; its origin can erase it everywhere: ask its administrator.\n",
        );
    }
    if !left.is_empty() {
        out.push_str(match erased {
            true => "Nothing stops their mail to this address any more; who wants none wants sm2tp suppress add.\n",
            false => "Their mail goes to this address again afterwards: tell the person.\n",
        });
    }
    if let Some(org) = value["login_of"].as_str() {
        let _ = writeln!(out, "It is a login of {org}, which stays: sm2tp org logout removes it.");
    }
    out
}

fn not_overwritten(value: &Value) -> &'static str {
    match value["overwritten"] == false {
        true => {
            "It may stand in unused parts of files that could not be written anew (the log says why): say it once more later.\n"
        }
        false => "",
    }
}

fn waiting(value: &Value) -> String {
    match count(value, "waiting") {
        0 => String::new(),
        count => format!(
            "{count} mails to this address wait in the queue, and what becomes of them is kept again. Let them go first, or drop \
             them (sm2tp queue drop).\n"
        ),
    }
}

fn is_nothing(value: &Value) -> bool {
    let lists = [list(value, "heard"), list(&value["kept"], "opted_out")];
    LINES.iter().all(|(key, _)| count(value, key) == 0) && lists.iter().all(|list| list.is_empty())
}

/// It stands beside what is kept in the ledger, or in it.
fn count(value: &Value, key: &str) -> u64 {
    value["kept"].get(key).or(value.get(key)).and_then(Value::as_u64).unwrap_or_default()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

/// What is counted, and how it is called.
const LINES: &[(&str, &str)] = &[
    ("events", "lines about the recipient in the ledger, with all that follows from them"),
    ("send_log", "lines of the send log"),
    ("answers", "answers about others in the send log that name it"),
    ("lists", "places on lists that people keep"),
    ("decided", "lines about what people decided of it, which stay without its tag"),
    ("others", "questions, canaries and deliveries under way"),
    ("unsent", "records that wait to be told to other nodes"),
    ("told", "records that other nodes were told"),
];

/// What is asked.
pub const QUESTION: &str = "This cannot be taken back. Type yes to erase it: ";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn it_says_what_there_is_and_what_follows() {
        let kept = json!({ "events": 3, "send_log": 1, "answers": 0, "opted_out": ["asso"] });
        let heard = json!([{ "origin": "B", "records": 2 }]);
        let mut value = json!({ "address": "a@b.test", "erased": false, "overwritten": true, "kept": kept, "told": 1, "heard": heard });
        let shown = text(&value);
        for line in
            ["a@b.test: this is kept of it", "       2  records of B", "opted out of mail of: asso", "tell the person"]
        {
            assert!(shown.contains(line), "{shown}");
        }
        assert!(!shown.contains("Peers are asked") && !shown.contains("wait in the queue"), "{shown}");
        (value["erased"], value["overwritten"], value["waiting"]) = (true.into(), false.into(), 2.into());
        let shown = text(&value);
        for line in ["erased\n", "Peers are asked", "suppress add", "unused parts", "2 mails to this address wait"] {
            assert!(shown.contains(line), "{shown}");
        }
        let nothing =
            json!({ "address": "a@b.test", "kept": { "events": 0, "opted_out": [] }, "told": 0, "heard": [] });
        assert_eq!(text(&nothing), "a@b.test: nothing is kept of it\n");
        let look = Request::Erase { address: "a@b.test".into(), erasing: Erasing::Look };
        assert!(next(&look, &nothing).is_none() && next(&look, &value).is_some());
    }
}
