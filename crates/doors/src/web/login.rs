//! Login and logout, and the language of the pages.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use sm2tp_rules::guess::Kind;

use super::form::{self, Fields, Sent, back};
use super::frame::{Frame, show};
use super::visitor::{self, Way};
use crate::http::{Client, Door, Lang, Refusal, Shared};

#[derive(Template)]
#[template(path = "web/login.html")]
struct Page {
    f: Frame,
    /// Where to go afterwards.
    next: String,
    name: String,
    /// What went wrong.
    trouble: String,
}

/// How a page was asked for, by whomever.
struct Asked {
    way: Way,
    lang: Lang,
    headers: HeaderMap,
}

/// `GET /login`
pub(super) async fn page(
    State(shared): Door,
    Extension(client): Extension<Client>,
    request: Request,
) -> Result<Response, Refusal> {
    let (asked, request) = asked(&shared, request)?;
    let query = Fields::read(request.uri().query().unwrap_or_default());
    let next = back(query.text("next")).to_owned();
    if visitor::known(&shared, &asked.headers, asked.way, client).await?.is_some() {
        return Ok(Redirect::to(&next).into_response());
    }
    if shared.house.persons.is_empty() {
        return Ok(Redirect::to("/").into_response());
    }
    let f = Frame::of_nobody(&shared, asked.lang).after(&query);
    Ok(show(StatusCode::OK, asked.lang, &Page { f, next, name: String::new(), trouble: String::new() }))
}

/// `POST /login`. Whatever was wrong is answered alike, and takes the same time.
pub(super) async fn login(
    State(shared): Door,
    Extension(client): Extension<Client>,
    request: Request,
) -> Result<Response, Refusal> {
    let (asked, request) = asked(&shared, request)?;
    let fields = form::read(request).await?;
    let (name, persons) = (fields.text("name"), &shared.house.persons);
    let guesser = visitor::guesser(client.0, &asked.headers, asked.way);
    let again = |status, trouble: String, wait_s: Option<u64>| {
        let page = Page {
            trouble,
            f: Frame::of_nobody(&shared, asked.lang),
            next: back(fields.text("next")).to_owned(),
            name: name.to_owned(),
        };
        let wait = wait_s.map(|wait_s| (header::RETRY_AFTER, wait_s.to_string()));
        (AppendHeaders(wait), show(status, asked.lang, &page)).into_response()
    };
    if let Err(wait_s) = shared.logins.0.may_try(guesser, Kind::Client, name) {
        tracing::warn!(client = %guesser, "too many wrong passwords for the pages");
        return Ok(again(
            StatusCode::TOO_MANY_REQUESTS,
            asked.lang.count("login-wait", wait_s.div_ceil(60)),
            Some(wait_s),
        ));
    }
    let trouble = |error: sm2tp_store::LedgerError| Refusal::Trouble(error.to_string());
    let now = crate::now();
    let found = persons.verify(name, fields.whole("password"), fields.text("code"), now).await.map_err(trouble)?;
    let Some(person) = found else {
        tracing::warn!(client = %guesser, "a wrong name, password or code for the pages");
        return Ok(again(StatusCode::UNAUTHORIZED, asked.lang.word("login-wrong"), None));
    };
    shared.logins.0.right(guesser, Kind::Client, name);
    // A number that was there before the login is not the one afterwards, whoever has put it there.
    if let Some(before) = visitor::known(&shared, &asked.headers, asked.way, client).await? {
        persons.end(&before.session).await.map_err(trouble)?;
    }
    let session = persons.begin(&person.name, now).await.map_err(trouble)?;
    tracing::info!(name = %person.name, client = %guesser, "logged in to the pages");
    let cookie = [(header::SET_COOKIE, asked.way.set_session(&session))];
    Ok((cookie, Redirect::to(back(fields.text("next")))).into_response())
}

/// `POST /logout`
pub(super) async fn logout(State(shared): Door, sent: Sent) -> Result<Response, Refusal> {
    let ended = shared.house.persons.end(&sent.visitor.session).await;
    ended.map_err(|error| Refusal::Trouble(error.to_string()))?;
    let cookie = [(header::SET_COOKIE, sent.visitor.way.forget_session())];
    Ok((cookie, Redirect::to("/login?done=logout")).into_response())
}

/// `POST /language`: changes what this browser is shown, and nothing here.
pub(super) async fn language(State(shared): Door, request: Request) -> Result<Response, Refusal> {
    let (asked, request) = asked(&shared, request)?;
    let fields = form::read(request).await?;
    let lang = Lang::from_tag(fields.text("language")).unwrap_or(asked.lang);
    let cookie = [(header::SET_COOKIE, asked.way.set_language(lang))];
    Ok((cookie, Redirect::to(back(fields.text("next")))).into_response())
}

/// A request by one of the ways that pages are reached.
fn asked(shared: &Arc<Shared>, request: Request) -> Result<(Asked, Request), Refusal> {
    let (parts, body) = request.into_parts();
    let way = visitor::way(shared, &parts)?;
    let (lang, headers) = (visitor::lang(&parts.headers, shared), parts.headers.clone());
    Ok((Asked { way, lang, headers }, Request::from_parts(parts, body)))
}
