//! Senders and what the watch makes of them: how each stands, by which evidence, and what a person decides.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;
use sm2tp_rules::access::Area;

use super::asks::{list, number, text};
use super::form::{Fields, Sent, encoded};
use super::frame::{Frame, Screen, show};
use super::trouble;
use super::visitor::Visitor;
use crate::control::{Deciding, ItsMail, Only, Request, Was, Who};
use crate::http::{Door, Lang, said};

#[derive(Template)]
#[template(path = "web/senders.html")]
struct Page {
    f: Frame,
    /// The watch only looks: its blocks hold nothing back.
    mode: String,
    senders: Vec<Row>,
    all: bool,
}

#[derive(Template)]
#[template(path = "web/sender.html")]
struct One {
    f: Frame,
    sender: String,
    org: String,
    row: Row,
    facts: Vec<(String, String)>,
    org_sentences: Vec<String>,
    counts: Vec<Count>,
    networks: Vec<Network>,
    changes: Vec<Change>,
    may_change: bool,
}

struct Row {
    sender: String,
    org: String,
    level: String,
    level_word: String,
    by: String,
    last: u64,
    sentences: Vec<String>,
    path: String,
}

struct Count {
    word: String,
    recent: [String; 3],
    usual: String,
}

struct Network {
    network: String,
    /// Whose it is, where a table knows that.
    whose: String,
    last: u64,
    is_strange: bool,
}

struct Change {
    at: u64,
    word: String,
    by: String,
    note: String,
}

/// `GET /senders?all=1`
pub(super) async fn page(State(shared): Door, visitor: Visitor, query: Fields) -> Result<Response, Response> {
    let all = query.given("all").is_some();
    let only = if all { Only::Everybody } else { Only::Unusual };
    let value = visitor.ask_for(&shared, Screen::Senders, Request::SenderList { only }).await?;
    let f = visitor.frame(&shared, Screen::Senders).after(&query);
    let senders = list(&value, "senders").iter().take(SENDERS_MAX).map(|sender| row(sender, &f)).collect();
    let mode = f.w(&format!("watch-{}", text(&value, "mode")));
    Ok(show(StatusCode::OK, visitor.lang, &Page { mode, senders, all, f }))
}

/// `GET /senders/show?sender=&org=`
pub(super) async fn one(State(shared): Door, visitor: Visitor, query: Fields) -> Result<Response, Response> {
    let who = Who { sender: query.text("sender").to_owned(), org: query.given("org") };
    let value = visitor.ask_for(&shared, Screen::Senders, Request::SenderShow { who }).await?;
    let f = visitor.frame(&shared, Screen::Senders).after(&query);
    let evidence = &value["evidence"];
    let mut shown = evidence.clone();
    shown["sender"] = value["sender"].clone();
    shown["org"] = value["org"].clone();
    let whole = &value["org_evidence"];
    let page = One {
        sender: text(&value, "sender").to_owned(),
        org: text(&value, "org").to_owned(),
        row: row(&shown, &f),
        facts: facts(&value, &f),
        org_sentences: if whole["level"] == "normal" { Vec::new() } else { sentences(whole, &f) },
        counts: list(evidence, "counts").iter().map(|tally| count(tally, &f)).collect(),
        networks: list(evidence, "networks").iter().map(network).collect(),
        changes: list(evidence, "changes").iter().map(|entry| change(entry, &f)).collect(),
        may_change: visitor.may_change(Area::Senders),
        f,
    };
    Ok(show(StatusCode::OK, visitor.lang, &page))
}

/// `POST /senders/decide`
pub(super) async fn decide(State(shared): Door, sent: Sent) -> Result<Response, Response> {
    let fields = &sent.fields;
    let who = Who { sender: fields.text("sender").to_owned(), org: fields.given("org") };
    let was = if fields.text("was") == "normal" { Was::Normal } else { Was::Mended };
    let waiting = match fields.text("waiting") {
        "send" => ItsMail::Send,
        "drop" => ItsMail::Drop,
        _ => ItsMail::Keep,
    };
    let (deciding, done) = match fields.text("what") {
        "release" => (Deciding::Release { was, waiting }, "sender-released"),
        "slow" => (Deciding::Slow, "sender-slow"),
        "block" => (Deciding::Block, "sender-blocked"),
        _ => return Err(trouble::nothing(sent.visitor.frame(&shared, Screen::Senders))),
    };
    let back = path(&who.sender, who.org.as_deref().unwrap_or_default());
    let request = Request::SenderDecide { who, deciding, note: fields.text("note").to_owned() };
    sent.visitor.act(&shared, Screen::Senders, request, (&back, done)).await
}

fn row(sender: &Value, f: &Frame) -> Row {
    let (name, org, level) = (text(sender, "sender"), text(sender, "org"), text(sender, "level"));
    Row {
        sender: name.to_owned(),
        org: org.to_owned(),
        level: match level {
            "blocked" => "light-stop",
            "slow" => "light-amber",
            _ => "light-green",
        }
        .to_owned(),
        level_word: f.w(&format!("level-{level}")),
        by: f.w(&format!("by-{}", text(sender, "by"))),
        last: number(sender, "last"),
        sentences: sentences(sender, f),
        path: path(name, org),
    }
}

fn path(sender: &str, org: &str) -> String {
    format!("/senders/show?sender={}&org={}", encoded(sender), encoded(org))
}

/// The evidence, which the rules say in both languages.
fn sentences(value: &Value, f: &Frame) -> Vec<String> {
    let key = if f.lang == Lang::Fr { "french" } else { "english" };
    list(value, key).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn facts(value: &Value, f: &Frame) -> Vec<(String, String)> {
    let shown = &value["evidence"];
    let mut facts = vec![
        (f.w("wrote-first"), f.time(&number(shown, "since"))),
        (f.w("wrote-last"), f.time(&number(shown, "last"))),
        (f.w("known-recipients"), f.number(&number(shown, "known_recipients"))),
        (f.w("held-with-it"), f.number(&number(value, "held"))),
        (f.w("turned-away"), f.number(&number(shown, "turned_away"))),
    ];
    if shown["newcomer"] == true {
        facts.push((f.w("newcomer"), f.w("yes")));
    }
    if let Some(until) = shown["learned_until"].as_u64() {
        facts.push((f.w("learned-until"), f.time(&until)));
    }
    if let Some(left) = shown["campaign"]["left"].as_u64() {
        let until = f.time(&number(&shown["campaign"], "until"));
        facts.push((f.w("campaign"), f.lang.say("campaign-left", &[("left", &f.number(&left)), ("until", &until)])));
    }
    facts
}

fn count(tally: &Value, f: &Frame) -> Count {
    let three = |key: &str| -> Option<[u64; 3]> {
        let list: Vec<u64> = list(tally, key).iter().filter_map(Value::as_u64).collect();
        list.try_into().ok()
    };
    let recent = three("recent").unwrap_or_default();
    let most = three("usual").map(|most| most.map(|most| f.number(&most)).join(", "));
    let share = tally["usual_share"].as_u64().map(|share| said::percent(share, 1000, f.lang));
    Count {
        word: f.w(&format!("count-{}", text(tally, "what"))),
        recent: recent.map(|count| f.number(&count)),
        usual: most.into_iter().chain(share).collect::<Vec<_>>().join(" · "),
    }
}

fn network(network: &Value) -> Network {
    Network {
        network: text(network, "network").to_owned(),
        whose: text(network, "whose").to_owned(),
        last: number(network, "last"),
        is_strange: network["strange"] == true,
    }
}

fn change(entry: &Value, f: &Frame) -> Change {
    Change {
        at: number(entry, "at"),
        word: f.w(&format!("level-{}", text(entry, "level"))),
        by: f.w(&format!("by-{}", text(entry, "by"))),
        note: text(entry, "note").to_owned(),
    }
}

/// Whoever has more looks for one by its name.
const SENDERS_MAX: usize = 500;
