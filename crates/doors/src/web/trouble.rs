//! What was asked for and not done, and why, as a page.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use sm2tp_store::SpoolError;

use super::frame::{Frame, show};
use crate::control::Problem;
use crate::reason::{self, Piece};

#[derive(Template)]
#[template(path = "web/trouble.html")]
struct Page {
    f: Frame,
    word: String,
    /// Why, in the language of the page but for what the machine said.
    why: Vec<Piece>,
}

/// A page that says why not: the key of its words, and the reason.
pub(super) fn page(status: StatusCode, f: Frame, key: &str, why: Vec<Piece>) -> Response {
    let (lang, word) = (f.lang, f.w(key));
    show(status, lang, &Page { f, word, why })
}

/// There is no such thing, or nothing that is done so.
pub(super) fn nothing(f: Frame) -> Response {
    page(StatusCode::NOT_FOUND, f, "trouble-nothing", Vec::new())
}

/// The form is not of this session.
pub(super) fn not_ours(f: Frame) -> Response {
    page(StatusCode::FORBIDDEN, f, "trouble-form", Vec::new())
}

/// What was sent does not do: a person can put it right.
pub(super) fn unfit(f: Frame, key: &str) -> Response {
    page(StatusCode::UNPROCESSABLE_ENTITY, f, key, Vec::new())
}

/// What a request was answered with where it was not done.
pub(super) fn problem(f: Frame, problem: &Problem) -> Response {
    let status = match problem {
        Problem::NotFound(_) | Problem::Spool(SpoolError::NotQueued { .. }) => StatusCode::NOT_FOUND,
        Problem::Forbidden(_) => StatusCode::FORBIDDEN,
        // What a person can put right is told apart from what may work later (sysexits).
        other if other.exit() == 65 => StatusCode::UNPROCESSABLE_ENTITY,
        // Another node does not answer, or not as it should: that is no trouble of this one.
        other if other.exit() == 69 => StatusCode::BAD_GATEWAY,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    if status == StatusCode::SERVICE_UNAVAILABLE {
        tracing::error!(why = %problem, "what a page asked for could not be done");
    }
    let key = match status {
        StatusCode::SERVICE_UNAVAILABLE => "trouble-later",
        StatusCode::FORBIDDEN => "trouble-forbidden",
        _ => "trouble-refused",
    };
    let why = reason::said(problem, f.lang);
    page(status, f, key, why)
}
