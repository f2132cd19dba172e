//! Who changed what.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;

use super::asks::{number, rows, text};
use super::form::Fields;
use super::frame::{Frame, Screen, show};
use super::visitor::Visitor;
use crate::control::Request;
use crate::http::Door;
use crate::reason::{self, Piece};

#[derive(Template)]
#[template(path = "web/audit.html")]
struct Page {
    f: Frame,
    lines: Vec<Line>,
    /// The number before which the next page begins; 0 on the last one.
    before: u64,
}

struct Line {
    id: u64,
    at: u64,
    by: String,
    by_kind: String,
    what: String,
    /// The same in words; empty where an older or newer program wrote the line.
    words: String,
    org: String,
    about: Vec<Piece>,
}

/// `GET /audit?before=`
pub(super) async fn page(State(shared): Door, visitor: Visitor, query: Fields) -> Result<Response, Response> {
    let request = Request::AuditList { org: None, before: query.text("before").parse().ok(), limit: LINES_MAX };
    let value = visitor.ask_for(&shared, Screen::Audit, request).await?;
    let f = visitor.frame(&shared, Screen::Audit);
    let lines: Vec<Line> = rows(&value).iter().map(|row| line(row, &f)).collect();
    let before = lines.last().filter(|_| LINES_MAX <= lines.len()).map_or(0, |line| line.id);
    Ok(show(StatusCode::OK, visitor.lang, &Page { f, lines, before }))
}

fn line(row: &Value, f: &Frame) -> Line {
    Line {
        id: number(row, "id"),
        at: number(row, "at"),
        by: text(row, "by").to_owned(),
        by_kind: f.w(&format!("audit-{}", text(row, "by_kind"))),
        what: text(row, "what").to_owned(),
        words: f.lang.find(&format!("did-{}", text(row, "what"))).unwrap_or_default(),
        org: text(row, "org").to_owned(),
        about: reason::kept(text(row, "about"), row.get("reason"), f.lang),
    }
}

const LINES_MAX: usize = 100;
