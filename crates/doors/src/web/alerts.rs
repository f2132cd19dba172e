//! What is wrong and what was, who is told, and the providers that are not believed.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;
use sm2tp_rules::access::Area;
use sm2tp_rules::alerts::Finding;
use sm2tp_store::ledger::Verdict;

use super::asks::{list, number, rows, text};
use super::form::{Fields, Sent};
use super::frame::{Frame, Screen, show};
use super::overview::{title, with_names};
use super::trouble;
use super::visitor::Visitor;
use crate::alerts::finding_advice;
use crate::control::Request;
use crate::http::{Door, Lang, Shared};
use crate::reason::{self, Piece};

#[derive(Template)]
#[template(path = "web/alerts.html")]
struct Page {
    f: Frame,
    open: Vec<Incident>,
    over: Vec<Incident>,
    breakers: Vec<Breaker>,
    not_taken: Vec<NotTaken>,
    targets: Vec<String>,
    may_test: bool,
    may_decide: bool,
}

struct Incident {
    title: String,
    /// What it is, and what a person can do.
    more: String,
    todo: String,
    opened_at: u64,
    closed_at: u64,
}

struct Breaker {
    provider: String,
    since: u64,
    parked: u64,
}

/// A message that a webhook did not take.
struct NotTaken {
    url: String,
    tries: String,
    why: Vec<Piece>,
}

/// `GET /alerts`
pub(super) async fn page(State(shared): Door, visitor: Visitor, query: Fields) -> Result<Response, Response> {
    let value = visitor.ask_for(&shared, Screen::Alerts, Request::AlertsList).await?;
    let tripped = visitor.ask_for(&shared, Screen::Alerts, Request::BreakerList).await?;
    let f = visitor.frame(&shared, Screen::Alerts).after(&query);
    let all: Vec<Incident> = list(&value, "incidents").iter().map(|row| incident(row, &shared, f.lang)).collect();
    let (open, mut over): (Vec<_>, Vec<_>) = all.into_iter().partition(|incident| incident.closed_at == 0);
    over.truncate(OVER_MAX);
    let targets = ["mail_domains", "webhooks"].into_iter().flat_map(|key| list(&value, key));
    let page = Page {
        open,
        over,
        breakers: rows(&tripped).iter().map(breaker).collect(),
        not_taken: list(&value, "not_taken").iter().map(|row| not_taken(row, &f)).collect(),
        targets: targets.filter_map(Value::as_str).map(|target| without_query(target).to_owned()).collect(),
        may_test: visitor.may_change(Area::Alerts),
        may_decide: visitor.may_change(Area::Ledger),
        f,
    };
    Ok(show(StatusCode::OK, visitor.lang, &page))
}

/// `POST /alerts`: a test message, or a decision about a provider.
pub(super) async fn act(State(shared): Door, sent: Sent) -> Result<Response, Response> {
    let provider = sent.fields.text("provider").to_owned();
    let (request, done) = match sent.fields.text("what") {
        "test" => (Request::AlertsTest, "alert-test"),
        "believe" => (Request::BreakerDecide { provider, verdict: Verdict::Believe }, "breaker-believed"),
        "forget" => (Request::BreakerDecide { provider, verdict: Verdict::Forget }, "breaker-forgotten"),
        _ => return Err(trouble::nothing(sent.visitor.frame(&shared, Screen::Alerts))),
    };
    let answer = sent.visitor.ask_for(&shared, Screen::Alerts, request).await?;
    let failed = rows(&answer).iter().find(|tried| tried["ok"] == false);
    match failed {
        Some(tried) => {
            let frame = sent.visitor.frame(&shared, Screen::Alerts);
            let target = format!("{}: ", without_query(text(tried, "target")));
            let said = reason::kept(text(tried, "said"), tried.get("reason"), frame.lang);
            let why = [Piece { text: target, lang: "" }].into_iter().chain(said).collect();
            Err(trouble::page(StatusCode::BAD_GATEWAY, frame, "trouble-not-told", why))
        }
        None => Ok(super::asks::after("/alerts", done)),
    }
}

fn incident(row: &Value, shared: &Shared, lang: Lang) -> Incident {
    let finding: Option<Finding> = serde_json::from_value(row["finding"].clone()).ok();
    let (more, todo) = finding
        .as_ref()
        .map_or_else(Default::default, |finding| finding_advice(&with_names(finding.clone(), shared), lang.into()));
    let title = finding.map(|finding| title(finding, number(row, "opened_at"), shared, lang));
    Incident {
        more,
        todo,
        // A finding that this version does not know has at least the words it was told with.
        title: title.unwrap_or_else(|| text(row, "title").to_owned()),
        opened_at: number(row, "opened_at"),
        closed_at: number(row, "closed_at"),
    }
}

fn breaker(row: &Value) -> Breaker {
    Breaker { provider: text(row, "provider").to_owned(), since: number(row, "since"), parked: number(row, "parked") }
}

fn not_taken(row: &Value, f: &Frame) -> NotTaken {
    NotTaken {
        url: without_query(text(row, "url")).to_owned(),
        tries: f.number(&number(row, "tries")),
        why: reason::kept(text(row, "why"), row.get("reason"), f.lang),
    }
}

/// Some receivers put a key into the query of their address.
fn without_query(url: &str) -> &str {
    url.split('?').next().unwrap_or_default()
}

/// Those that are over: the last ones.
const OVER_MAX: usize = 50;
