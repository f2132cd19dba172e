//! What pages ask the node: the requests of the command line, as whoever is logged in.

use axum::response::{IntoResponse, Redirect, Response};
use serde_json::Value;
use sm2tp_rules::LocalFailure;
use sm2tp_rules::access::Rights;

use super::form::encoded;
use super::frame::Screen;
use super::trouble;
use super::visitor::Visitor;
use crate::control::{self, Asker, By, Problem, Request};
use crate::http::{Lang, Shared};
use crate::reason::Piece;

impl Visitor {
    /// What the node answers this person; where it was not done, the page says why.
    pub(super) async fn ask_for(&self, shared: &Shared, here: Screen, request: Request) -> Result<Value, Response> {
        self.ask(shared, request).await.map_err(|problem| trouble::problem(self.frame(shared, here), &problem))
    }

    /// What the node answers this person.
    pub(super) async fn ask(&self, shared: &Shared, request: Request) -> Result<Value, Problem> {
        let rights = Rights::of(self.person.role.clone());
        let asker = Asker { by: By::Person, name: self.person.name.as_str().into(), rights };
        control::answer_to(shared.house.clone(), shared.onward.clone(), asker, request).await
    }

    /// Does something, and goes to a page that says so. `done` is the end of a key of words.
    pub(super) async fn act(
        &self,
        shared: &Shared,
        here: Screen,
        request: Request,
        (to, done): (&str, &str),
    ) -> Result<Response, Response> {
        self.ask_for(shared, here, request).await?;
        Ok(after(to, done))
    }
}

/// To a page that says what was done.
pub(super) fn after(to: &str, done: &str) -> Response {
    let sign = if to.contains('?') { '&' } else { '?' };
    Redirect::to(&format!("{to}{sign}done={}", encoded(done))).into_response()
}

/// A text of an answer; empty where there is none.
pub(super) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// What a line of the send log has as an answer: what failed on our side in the language of the page, and otherwise what a
/// server said, with code, enhanced code and text, each once.
pub(super) fn reply(row: &Value, lang: Lang) -> Piece {
    if let Some(failure) = text(row, "rule").strip_prefix("local-").and_then(|word| word.parse().ok()) {
        return ours(failure, lang);
    }
    let code = row["code"].as_u64().map(|code| code.to_string()).unwrap_or_default();
    let (enhanced, text) = (text(row, "enhanced"), text(row, "text"));
    // Most servers' texts begin with it.
    let enhanced = if text.starts_with(enhanced) { "" } else { enhanced };
    let said = [&code, enhanced, text].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
    Piece { text: said, lang: "mul" }
}

/// What failed where no server spoke.
pub(super) fn ours(failure: LocalFailure, lang: Lang) -> Piece {
    let words = match lang {
        Lang::En => failure.english(),
        Lang::Fr => failure.french(),
    };
    Piece { text: words.to_owned(), lang: "" }
}

/// A number of an answer; 0 where there is none.
pub(super) fn number(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap_or_default()
}

/// The entries of an answer that is a list.
pub(super) fn rows(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The entries of a list in an answer.
pub(super) fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    rows(&value[key])
}
