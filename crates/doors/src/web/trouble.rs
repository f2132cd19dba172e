//! What was asked for and not done, and why, as a page.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use sm2tp_store::SpoolError;

use super::frame::{Frame, show};
use crate::control::Problem;

#[derive(Template)]
#[template(path = "web/trouble.html")]
struct Page<'a> {
    f: Frame,
    /// In the language of the page.
    word: String,
    /// In the words of the program, which are English.
    detail: &'a str,
}

/// A page that says why not: the key of its words, and what the program says about it.
pub(super) fn page(status: StatusCode, f: Frame, key: &str, detail: &str) -> Response {
    let (lang, word) = (f.lang, f.w(key));
    show(status, lang, &Page { f, word, detail })
}

/// There is no such thing, or nothing that is done so.
pub(super) fn nothing(f: Frame) -> Response {
    page(StatusCode::NOT_FOUND, f, "trouble-nothing", "")
}

/// What was sent does not do: a person can put it right.
pub(super) fn unfit(f: Frame, key: &str) -> Response {
    page(StatusCode::UNPROCESSABLE_ENTITY, f, key, "")
}

/// What a request was answered with where it was not done.
pub(super) fn problem(f: Frame, problem: &Problem) -> Response {
    let status = match problem {
        Problem::NotFound(_) | Problem::Spool(SpoolError::NotQueued { .. }) => StatusCode::NOT_FOUND,
        Problem::Forbidden(_) => StatusCode::FORBIDDEN,
        // What a person can put right is told apart from what may work later (sysexits).
        other if other.exit() == 65 => StatusCode::UNPROCESSABLE_ENTITY,
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
    page(status, f, key, &problem.to_string())
}
