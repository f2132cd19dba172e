//! The public page of confirmations: a form that asks for one, and the page behind the link, with its button.
//!
//! The form says the same whatever is known of the address: the work is done after the answer. GET changes nothing,
//! because scanners and previews follow every link.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use sm2tp_proto::Address;
use sm2tp_store::accounts::LOCAL;

use super::gate::Asked;
use super::refusal::Refusal;
use super::unsubscribe::language;
use super::words::Lang;
use super::{Door, Shared};
use crate::confirm::Asker;

#[derive(Template)]
#[template(path = "confirm.html")]
struct Page<'a> {
    lang: Lang,
    hostname: &'a str,
    who: &'a str,
    state: PageState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PageState {
    /// The form.
    Form,
    /// What is no address.
    NoAddress,
    /// Somebody asked.
    Sent,
    /// The page behind the link.
    Asks,
    Done,
    /// The link is none of ours, or its time is over.
    Unknown,
}

/// `GET /confirm`
pub(super) async fn form(State(shared): Door, headers: HeaderMap) -> Result<Response, Refusal> {
    let lang = language(&headers, shared.lang);
    let state = if shared.house.confirm.is_some() { PageState::Form } else { PageState::Unknown };
    show(status(state), lang, &shared, "", state)
}

/// `POST /confirm`: the form.
pub(super) async fn ask(State(shared): Door, request: Request) -> Result<Response, Refusal> {
    let lang = language(request.headers(), shared.lang);
    let asked = Asked::read(request, BODY_OCTETS_MAX).await?;
    if shared.house.confirm.is_none() {
        return show(StatusCode::NOT_FOUND, lang, &shared, "", PageState::Unknown);
    }
    let body = String::from_utf8_lossy(&asked.body).into_owned();
    let field = |name: &str| body.split('&').find_map(|pair| decoded(pair.strip_prefix(name)?.strip_prefix('=')?));
    let address = field("address").and_then(|text| Address::parse(text.trim()).ok());
    let Some(address) = address else { return show(StatusCode::BAD_REQUEST, lang, &shared, "", PageState::NoAddress) };
    let org = field("org").map(|org| org.trim().to_owned()).filter(|org| is_known(&shared, org));
    shared.clicks.take()?;
    // After the answer, so that its time says nothing either.
    tokio::spawn(look(shared.clone(), address, org));
    show(StatusCode::OK, lang, &shared, "", PageState::Sent)
}

/// `GET /confirm/{link}`
pub(super) async fn page(
    State(shared): Door,
    Path(text): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let lang = language(&headers, shared.lang);
    let found = shared.house.confirm.as_ref().and_then(|confirm| confirm.confirmations.open(&text, crate::now()));
    let (state, org) = found.map_or((PageState::Unknown, None), |found| (PageState::Asks, found.org));
    show(status(state), lang, &shared, org.as_deref().unwrap_or(""), state)
}

/// `POST /confirm/{link}`: the button.
pub(super) async fn click(
    State(shared): Door,
    Path(text): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let lang = language(request.headers(), shared.lang);
    let asked = Asked::read(request, BODY_OCTETS_MAX).await?;
    let now = crate::now();
    let found =
        shared.house.confirm.as_ref().and_then(|confirm| Some((confirm, confirm.confirmations.open(&text, now)?)));
    let Some((confirm, confirmation)) = found else {
        return show(StatusCode::NOT_FOUND, lang, &shared, "", PageState::Unknown);
    };
    // Some scanners POST, too; they send no form of ours.
    if asked.body != BUTTON {
        return Err(Refusal::Bad("the button of the page is wanted"));
    }
    shared.clicks.take()?;
    let org = confirmation.org.clone();
    let kept = confirm.confirmations.confirmed(confirmation, now).await;
    kept.map_err(|error| Refusal::Trouble(error.to_string()))?;
    show(StatusCode::OK, lang, &shared, org.as_deref().unwrap_or(""), PageState::Done)
}

async fn look(shared: Arc<Shared>, address: Address, org: Option<String>) {
    let Some(confirm) = &shared.house.confirm else { return };
    let for_whom = (org.as_deref(), Asker::Stranger);
    if let Err(why) = confirm.ask(&shared.house, &shared.onward, &address, for_whom, crate::now()).await {
        tracing::debug!(%why, "somebody asked on the page for a confirmation, and none was sent");
    }
}

fn is_known(shared: &Shared, org: &str) -> bool {
    shared.house.accounts.orgs().iter().any(|known| known.name == org)
}

/// One value of a form (application/x-www-form-urlencoded); none where it is broken.
pub(crate) fn decoded(value: &str) -> Option<String> {
    let octets = value.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(octets.len()), 0);
    while let Some(octet) = octets.get(at) {
        at += 1;
        match octet {
            b'+' => out.push(b' '),
            b'%' => {
                let digit = |at: usize| octets.get(at).and_then(|octet| char::from(*octet).to_digit(16));
                out.push(u8::try_from(digit(at)? << 4 | digit(at + 1)?).ok()?);
                at += 2;
            }
            other => out.push(*other),
        }
    }
    String::from_utf8(out).ok()
}

impl Page<'_> {
    fn w(&self, key: &str) -> String {
        self.lang.say(key, &[("who", self.who)])
    }
}

fn status(state: PageState) -> StatusCode {
    if state == PageState::Unknown { StatusCode::NOT_FOUND } else { StatusCode::OK }
}

fn show(status: StatusCode, lang: Lang, shared: &Shared, org: &str, state: PageState) -> Result<Response, Refusal> {
    let hostname = &shared.house.hostname;
    // Whom a reader knows: the name of the trusted networks is ours alone.
    let who = if org.is_empty() || org == LOCAL { hostname } else { org };
    let html = Page { lang, hostname, who, state }.render().map_err(|error| Refusal::Trouble(error.to_string()))?;
    let fields = [(header::CONTENT_LANGUAGE, lang.tag()), (header::VARY, "accept-language")];
    Ok((status, fields, Html(html)).into_response())
}

/// An address, the name of an organisation, and percent signs.
const BODY_OCTETS_MAX: usize = 8192;
const BUTTON: &[u8] = b"confirm=yes";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_forms_are_decoded_and_broken_ones_are_none() {
        #[track_caller]
        fn check(value: &str, want: Option<&str>) {
            assert_eq!(decoded(value).as_deref(), want, "{value}");
        }
        check("jean%40x.example", Some("jean@x.example"));
        check("a+b%2Bc", Some("a b+c"));
        check("%C3%A9", Some("é"));
        for broken in ["%", "%4", "%4g", "%ff"] {
            check(broken, None);
        }
    }
}
