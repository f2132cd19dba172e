//! Addresses that are not written to: why, who said so, since when, and every way out.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;
use sm2tp_rules::access::Area;

use super::asks::{list, number, reply, rows, text};
use super::form::{Fields, Sent, encoded};
use super::frame::{Frame, Screen, show};
use super::trouble;
use super::visitor::Visitor;
use crate::control::{Entry, Request};
use crate::http::{Door, Shared, said};
use crate::reason::Piece;

#[derive(Template)]
#[template(path = "web/suppression.html")]
struct Page {
    f: Frame,
    address: String,
    org: String,
    orgs: Vec<String>,
    found: Option<Found>,
    latest: Vec<Latest>,
    may_change: bool,
}

/// All that is known of one address.
struct Found {
    decisions: Vec<Decision>,
    own: Vec<(String, String)>,
    /// The last words of a server, in the server's language.
    reply: String,
    lists: Vec<Listed>,
    votes: Vec<Vote>,
    log: Vec<Logged>,
    is_stopped: bool,
    can_confirm: bool,
    waiting: u64,
}

struct Decision {
    stream: String,
    is_sent: bool,
    word: String,
    why: String,
    ways: Vec<String>,
}

struct Listed {
    word: String,
    org: String,
    at: u64,
    note: String,
}

struct Vote {
    name: String,
    fingerprint: String,
    said: String,
    at: u64,
    weight: String,
    left_out: String,
}

struct Logged {
    at: u64,
    org: String,
    word: String,
    mx: String,
    reply: Piece,
}

/// One of those that were stopped last. Addresses are kept as tags, so that their domain is shown.
struct Latest {
    at: u64,
    domain: String,
    word: String,
    org: String,
    note: String,
}

/// `GET /suppression?address=&org=`
pub(super) async fn page(State(shared): Door, visitor: Visitor, query: Fields) -> Result<Response, Response> {
    let f = visitor.frame(&shared, Screen::Suppression).after(&query);
    let own = visitor.person.role.org().map(str::to_owned);
    let org = query.given("org").or(own);
    let found = match query.given("address") {
        Some(address) => {
            let request = Request::Explain { address, org: org.clone(), stream: None };
            let value = visitor.ask_for(&shared, Screen::Suppression, request).await?;
            Some(found(&value, &f))
        }
        None => None,
    };
    let latest = match &found {
        Some(_) => Vec::new(),
        None => latest(&shared, &visitor, &f).await?,
    };
    let page = Page {
        address: query.text("address").to_owned(),
        org: org.unwrap_or_default(),
        orgs: visitor.orgs(&shared),
        found,
        latest,
        may_change: visitor.may_change(Area::Suppression),
        f,
    };
    Ok(show(StatusCode::OK, visitor.lang, &page))
}

/// `POST /suppression`: what a person decides about an address.
pub(super) async fn decide(State(shared): Door, sent: Sent) -> Result<Response, Response> {
    let fields = &sent.fields;
    let (address, org) = (fields.text("address").to_owned(), fields.given("org"));
    let back = format!("/suppression?address={}&org={}", encoded(&address), encoded(org.as_deref().unwrap_or("")));
    let entry = Entry { address: address.clone(), note: fields.given("note"), org: org.clone(), stream: None };
    let (request, done) = match fields.text("what") {
        "add" => (Request::SuppressAdd { entry }, "suppressed"),
        "allow" => (Request::SuppressAllow { entry }, "allowed"),
        "remove" => (Request::SuppressRemove { entry }, "released"),
        "confirm" => (Request::SuppressConfirm { address, org }, "asked"),
        _ => return Err(trouble::nothing(sent.visitor.frame(&shared, Screen::Suppression))),
    };
    sent.visitor.act(&shared, Screen::Suppression, request, (&back, done)).await
}

async fn latest(shared: &Arc<Shared>, visitor: &Visitor, f: &Frame) -> Result<Vec<Latest>, Response> {
    let request = Request::SuppressList { org: None, limit: LATEST_MAX };
    let value = visitor.ask_for(shared, Screen::Suppression, request).await?;
    let mut rows: Vec<&Value> = rows(&value).iter().collect();
    rows.sort_by_key(|row| std::cmp::Reverse(number(row, "at")));
    let row = |row: &&Value| Latest {
        at: number(row, "at"),
        domain: text(row, "domain").to_owned(),
        word: list_word(text(row, "list"), f),
        org: text(row, "org").to_owned(),
        note: Some(text(row, "note")).filter(|note| !note.is_empty()).unwrap_or(text(row, "reply")).to_owned(),
    };
    Ok(rows.iter().take(LATEST_MAX).map(row).collect())
}

fn found(value: &Value, f: &Frame) -> Found {
    let decisions: Vec<Decision> = list(value, "decisions").iter().map(|row| decision(row, f)).collect();
    let ways = |kind: &str| {
        let mut ways = list(value, "decisions").iter().flat_map(|row| list(row, "ways_out"));
        ways.any(|way| way["by"] == kind)
    };
    Found {
        is_stopped: decisions.iter().any(|decision| !decision.is_sent),
        can_confirm: ways("recipient"),
        decisions,
        own: own(&value["own"], f),
        reply: text(&value["own"], "reply").to_owned(),
        lists: list(value, "lists").iter().map(|row| listed(row, f)).collect(),
        votes: list(&value["federated"], "votes").iter().map(|row| vote(row, f)).collect(),
        log: list(value, "log").iter().map(|row| logged(row, f)).collect(),
        waiting: number(value, "waiting"),
    }
}

fn decision(row: &Value, f: &Frame) -> Decision {
    let is_sent = row["decision"] == "send";
    let word = match text(row, "decision") {
        "send" => f.w("decision-send"),
        "hold" => f.w("decision-hold"),
        _ => f.w("decision-refuse"),
    };
    Decision {
        stream: f.w(&format!("stream-{}", text(row, "stream"))),
        is_sent,
        word,
        why: if is_sent { String::new() } else { why(row, f) },
        ways: list(row, "ways_out").iter().map(|way| way_out(way, f)).collect(),
    }
}

/// The rule that decided, with its numbers, in the language of the page.
fn why(row: &Value, f: &Frame) -> String {
    let (rule, numbers) = (text(row, "rule"), &row["numbers"]);
    let code = [numbers["code"].to_string(), text(numbers, "enhanced").to_owned()].join(" ");
    let code = code.trim_start_matches("null").trim().to_owned();
    match rule {
        "own-hard" if numbers["found_at"].is_u64() => f.w("why-no-domain"),
        "own-hard" => f.lang.say("why-own-hard", &[("code", &code), ("at", &f.time(&number(numbers, "refused_at")))]),
        "imported" => f.s("why-imported", "from", text(numbers, "imported")),
        "own-soft" => f.lang.count("why-own-soft", number(numbers, "days")),
        "federated" => {
            let score = numbers["score"].as_f64().unwrap_or(0.0);
            let score = said::decimal(&format!("{score:.2}"), f.lang);
            let sources = said::number(number(numbers, "sources"), f.lang);
            let key = if text(numbers, "about") == "domain" { "why-federated-domain" } else { "why-federated" };
            f.lang.say(key, &[("score", &score), ("sources", &sources)])
        }
        "listed" | "listed-by-org" | "opted-out" => f.w(&format!("why-{rule}")),
        _ => text(row, "why").to_owned(),
    }
}

fn way_out(way: &Value, f: &Frame) -> String {
    match text(way, "by") {
        "time" => f.s("way-time", "at", &f.time(&number(way, "at"))),
        by => f.w(&format!("way-{by}")),
    }
}

/// What this node saw itself.
fn own(own: &Value, f: &Frame) -> Vec<(String, String)> {
    let mut lines: Vec<_> = ["delivered_at", "hard_first_at", "hard_at", "soft_at"]
        .into_iter()
        .filter_map(|key| {
            let at = own[key].as_u64()?;
            let word = f.w(match key {
                "delivered_at" => "own-delivered",
                "hard_first_at" => "own-hard-first",
                "hard_at" => "own-hard-last",
                _ => "own-soft-last",
            });
            Some((word, format!("{} ({})", f.time(&at), f.ago(&at))))
        })
        .collect();
    if let Some(count) = own["soft_within_window"].as_u64().filter(|count| *count != 0) {
        lines.push((f.w("own-soft-days"), f.number(&count)));
    }
    if let Some(rule) = own["rule"].as_str() {
        lines.push((f.w("by-rule"), rule.to_owned()));
    }
    lines
}

fn listed(row: &Value, f: &Frame) -> Listed {
    Listed {
        word: list_word(text(row, "list"), f),
        org: text(row, "org").to_owned(),
        at: number(row, "at"),
        note: text(row, "note").to_owned(),
    }
}

/// Lists of one stream have its name behind a stroke.
fn list_word(list: &str, f: &Frame) -> String {
    let (list, stream) = list.split_once('/').map_or((list, None), |(list, stream)| (list, Some(stream)));
    let word = f.lang.find(&format!("list-{list}")).unwrap_or_else(|| list.to_owned());
    match stream {
        Some(stream) => format!("{word} ({})", f.w(&format!("stream-{stream}"))),
        None => word,
    }
}

fn vote(row: &Value, f: &Frame) -> Vote {
    let name = Some(text(row, "name")).filter(|name| !name.is_empty());
    let class = row["class"].as_u64().map(|class| format!("class-{class}"));
    let weight = row["score"].as_f64().unwrap_or(0.0);
    Vote {
        name: name.map_or_else(|| f.w("vote-unknown"), str::to_owned),
        fingerprint: text(row, "fingerprint").to_owned(),
        said: class.and_then(|class| f.lang.find(&class)).unwrap_or_else(|| f.w("class-other")),
        at: number(row, "at"),
        weight: said::decimal(&format!("{weight:.2}"), f.lang),
        left_out: row["left_out"].as_str().map(|why| f.w(&format!("left-out-{why}"))).unwrap_or_default(),
    }
}

fn logged(row: &Value, f: &Frame) -> Logged {
    Logged {
        at: number(row, "at"),
        org: text(row, "org").to_owned(),
        word: f.lang.find(&format!("kind-{}", text(row, "kind"))).unwrap_or_else(|| text(row, "kind").to_owned()),
        mx: text(row, "mx").to_owned(),
        reply: reply(row, f.lang),
    }
}

impl Visitor {
    /// The organisations to choose from; one's own where there is only that.
    pub(super) fn orgs(&self, shared: &Shared) -> Vec<String> {
        let own = self.person.role.org();
        let all = shared.house.accounts.orgs().into_iter().map(|org| org.name);
        all.filter(|name| own.is_none_or(|own| own == name)).collect()
    }
}

/// A screen full.
const LATEST_MAX: usize = 30;
