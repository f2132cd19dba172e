//! The persons who use the pages, as text.

use serde_json::Value;

use super::{all, line, time, word};

/// A line each.
pub(super) fn list(out: &mut String, value: &Value) {
    let persons = all(value);
    if persons.is_empty() {
        line(out, "nobody: sm2tp account add NAME --role owner");
    }
    for person in persons {
        let mut text = format!("{}: {}", word(person, "name"), word(person, "role"));
        if let Some(org) = person["org"].as_str() {
            text.push_str(&format!(" of {org}"));
        }
        if person["second_factor"] == true {
            text.push_str(", with a second factor");
        }
        match person["last_login_at"].as_u64() {
            Some(at) => text.push_str(&format!(", last login {}", time(at))),
            None => text.push_str(", never logged in"),
        }
        line(out, &text);
    }
}
