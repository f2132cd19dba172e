//! Tokens of programs, as a person sees them.

use serde_json::Value;

use super::{all, line, plain, time, word};

/// The secret of a new one alone on its line.
pub(super) fn made(out: &mut String, value: &Value) {
    line(out, &word(value, "secret"));
    line(out, "");
    line(
        out,
        "Keep it where only its program reads it: it is shown once, and kept nowhere here. It goes into the header",
    );
    line(out, "Authorization: Bearer … of each request to /api/v1 (docs/api.md).");
    one(out, &value["token"]);
}

pub(super) fn list(out: &mut String, value: &Value) {
    let tokens = all(value);
    if tokens.is_empty() {
        line(out, "There are no tokens: sm2tp token new makes one.");
    }
    tokens.iter().for_each(|token| one(out, token));
}

fn one(out: &mut String, token: &Value) {
    let of = token["org"].as_str().map_or_else(String::new, |org| format!(" of {org}"));
    let login = token["login"].as_str().map_or_else(String::new, |login| format!(", mail of {login}"));
    let until =
        token["expires_at"].as_u64().map_or_else(|| "without end".to_owned(), |at| format!("until {}", time(at)));
    let head = format!("{}  {}: {}{of}{login}", word(token, "id"), word(token, "name"), word(token, "role"));
    line(out, &plain(&head));
    let made = time(token["made_at"].as_u64().unwrap_or_default());
    line(out, &format!("  may {}; {}, {until}, made {made}", word(token, "scopes"), word(token, "rate")));
}
