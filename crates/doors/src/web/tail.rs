//! What happens, as it happens: the last lines, and with a script those that come.

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::asks::{list, number, reply, text};
use super::form::Fields;
use super::frame::{Frame, Screen, rendered, show_live};
use super::visitor::Visitor;
use crate::control::Request;
use crate::http::Door;
use crate::reason::Piece;

#[derive(Template)]
#[template(path = "web/tail.html")]
struct Page {
    f: Frame,
    org: String,
    orgs: Vec<String>,
    /// The latest first.
    lines: Vec<Line>,
    next: u64,
}

/// The head, which gives the cells their labels, and the rows.
#[derive(Template)]
#[template(source = "<table>{% include \"web/tail-head.html\" %}{% include \"web/tail-rows.html\" %}", ext = "html")]
struct Rows {
    f: Frame,
    lines: Vec<Line>,
}

struct Line {
    at: u64,
    /// From when on the send log is searched for its mail.
    since: u64,
    /// Class and word of what happened.
    class: &'static str,
    word: String,
    org: String,
    stream: String,
    mail: u64,
    domain: String,
    server: String,
    reply: Piece,
    cause: String,
}

/// `GET /tail?org=`
pub(super) async fn page(State(shared): Door, visitor: Visitor, query: Fields) -> Result<Response, Response> {
    let org = query.given("org");
    let request = Request::TailLast { org: org.clone(), limit: SHOWN_MAX };
    let found = visitor.ask_for(&shared, Screen::Tail, request).await?;
    let f = visitor.frame(&shared, Screen::Tail);
    let page = Page {
        org: org.unwrap_or_default(),
        orgs: visitor.orgs(&shared),
        lines: lines(&found, &f),
        next: number(&found, "next"),
        f,
    };
    Ok(show_live(visitor.lang, &page))
}

/// `GET /tail/lines?after=&org=`: what came since, as rows of the table. Headers tell where to go on, and what went by.
pub(super) async fn rows(State(shared): Door, visitor: Visitor, query: Fields) -> Result<Response, Response> {
    let request = Request::Tail { after: query.text("after").parse().ok(), org: query.given("org") };
    let found = visitor.ask_for(&shared, Screen::Tail, request).await?;
    let f = visitor.frame(&shared, Screen::Tail);
    let html = rendered(&Rows { lines: lines(&found, &f), f }).map_err(IntoResponse::into_response)?;
    let html = html.split_once("</thead>").map(|(_, rows)| rows.to_owned()).unwrap_or_default();
    let fields = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (NEXT, number(&found, "next").into()),
        (SKIPPED, number(&found, "skipped").into()),
    ];
    Ok((StatusCode::OK, fields, html).into_response())
}

/// `GET /tail.js`
pub(super) async fn script() -> Response {
    let fields =
        [(header::CONTENT_TYPE, "text/javascript; charset=utf-8"), (header::CACHE_CONTROL, "private, max-age=600")];
    (fields, include_str!("../../templates/web/tail.js")).into_response()
}

fn lines(found: &Value, f: &Frame) -> Vec<Line> {
    list(found, "lines").iter().rev().map(|row| line(row, f)).collect()
}

fn line(row: &Value, f: &Frame) -> Line {
    let kind = text(row, "kind");
    let stopped = f.lang.find(&format!("stop-{}", text(row, "text"))).filter(|_| kind.starts_with("stopped"));
    let stopped = stopped.map(|text| Piece { text, lang: "" });
    let reply = stopped.unwrap_or_else(|| reply(row, f.lang));
    Line {
        at: number(row, "at"),
        since: number(row, "at").saturating_sub(QUEUED_MAX_S),
        class: match kind {
            "delivered" => "light-green",
            "deferred" | "stopped" | "stopped-reported" => "light-amber",
            "bounced" | "returned" | "complained" => "light-slow",
            _ => "",
        },
        word: f.lang.find(&format!("kind-{kind}")).unwrap_or_else(|| kind.to_owned()),
        org: text(row, "org").to_owned(),
        stream: f.lang.find(&format!("stream-{}", text(row, "stream"))).unwrap_or_default(),
        mail: number(row, "mail"),
        domain: text(row, "domain").to_owned(),
        server: text(row, "mx").to_owned(),
        reply,
        cause: f.lang.find(&format!("cause-{}", text(row, "cause"))).unwrap_or_default(),
    }
}

/// A mail is in the queue for some days at most.
const QUEUED_MAX_S: u64 = 7 * 86_400;
/// A screen full and some more.
const SHOWN_MAX: usize = 200;
const NEXT: HeaderName = HeaderName::from_static("sm2tp-next");
const SKIPPED: HeaderName = HeaderName::from_static("sm2tp-skipped");
