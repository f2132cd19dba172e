//! One click ends a newsletter (RFC 8058): mail programs POST to the link in the header, people see a page with a button.
//!
//! GET changes nothing, because scanners and previews follow every link. The link is sealed (`store::returns`): it names
//! nobody to who only has it, and a forged one is none.

use std::sync::{Mutex, PoisonError};

use askama::Template;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use sm2tp_rules::rate::{Gcra, Per, Rate};
use sm2tp_store::accounts::LOCAL;
use sm2tp_store::returns::Link;

use super::gate::Asked;
use super::refusal::Refusal;
use super::words::Lang;
use super::{Door, Shared};

/// How many clicks were answered lately.
#[derive(Default)]
pub(super) struct Clicks(Mutex<Gcra>);

#[derive(Template)]
#[template(path = "unsubscribe.html")]
struct Page<'a> {
    lang: Lang,
    hostname: &'a str,
    org: &'a str,
    state: PageState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PageState {
    Asks,
    Done,
    /// The link is none of ours, or its key is gone.
    Unknown,
}

/// `GET /unsubscribe/{link}`
pub(super) async fn page(
    State(shared): Door,
    Path(text): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let lang = language(&headers, shared.lang);
    let link = shared.house.returns.as_ref().and_then(|back| back.returns.open_link(&text));
    match link {
        Some(link) => show(StatusCode::OK, lang, &shared.house.hostname, named(&link, &shared), PageState::Asks),
        None => show(StatusCode::NOT_FOUND, lang, &shared.house.hostname, "", PageState::Unknown),
    }
}

/// `POST /unsubscribe/{link}`, from the button or from a mail program; what says so is the same (RFC 8058 §3.1).
pub(super) async fn click(
    State(shared): Door,
    Path(text): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let lang = language(request.headers(), shared.lang);
    let asked = Asked::read(request, BODY_OCTETS_MAX).await?;
    let found = shared.house.returns.as_ref().and_then(|back| Some((back, back.returns.open_link(&text)?)));
    let Some((back, link)) = found else {
        return show(StatusCode::NOT_FOUND, lang, &shared.house.hostname, "", PageState::Unknown);
    };
    // Only those with a link of ours count: others must not keep readers from leaving.
    shared.clicks.take()?;
    if !says_one_click(&asked.body) {
        return Err(Refusal::Bad("List-Unsubscribe=One-Click is wanted (RFC 8058)"));
    }
    let kept = back.returns.opt_out(link.clone(), crate::now()).await;
    kept.map_err(|error| Refusal::Trouble(error.to_string()))?;
    show(StatusCode::OK, lang, &shared.house.hostname, named(&link, &shared), PageState::Done)
}

/// Whom a reader knows: the name of the trusted networks is ours alone.
fn named<'a>(link: &'a Link, shared: &'a Shared) -> &'a str {
    if link.org == LOCAL { &shared.house.hostname } else { &link.org }
}

impl Clicks {
    /// For all clients together: behind a proxy they look like one.
    pub(super) fn take(&self) -> Result<(), Refusal> {
        let now_us = crate::now_us();
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = CLICKS_MAX.take(*state, now_us);
        *state = taken.map_err(|after_s| Refusal::TooMany { what: "too many clicks", after_s })?;
        Ok(())
    }
}

impl Page<'_> {
    fn w(&self, key: &str) -> String {
        self.lang.say(key, &[("org", self.org)])
    }
}

fn show(status: StatusCode, lang: Lang, hostname: &str, org: &str, state: PageState) -> Result<Response, Refusal> {
    let html = Page { lang, hostname, org, state }.render().map_err(|error| Refusal::Trouble(error.to_string()))?;
    let fields = [(header::CONTENT_LANGUAGE, lang.tag()), (header::VARY, "accept-language")];
    Ok((status, fields, Html(html)).into_response())
}

pub(crate) fn language(headers: &HeaderMap, otherwise: Lang) -> Lang {
    let accept = headers.get(header::ACCEPT_LANGUAGE).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    Lang::of(accept, otherwise)
}

/// As a form, in either of the encodings of forms.
fn says_one_click(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    let urlencoded = text.split('&').any(|pair| pair.trim().eq_ignore_ascii_case("List-Unsubscribe=One-Click"));
    let multipart = text.contains("name=\"List-Unsubscribe\"") && text.lines().any(|line| line.trim() == "One-Click");
    urlencoded || multipart
}

/// The words of a form with one field, in either encoding.
const BODY_OCTETS_MAX: usize = 4096;
/// A newsletter of 100 000 that makes one in ten leave within an hour stays far below.
const CLICKS_MAX: Rate = Rate::new(3000, Per::Minute);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clicks_with_a_link_of_ours_have_a_limit_for_all_together() {
        let clicks = Clicks::default();
        let taken = (0..4000).filter(|_| clicks.take().is_ok()).count();
        assert!((3000..3200).contains(&taken), "{taken}");
        assert!(matches!(clicks.take(), Err(Refusal::TooMany { after_s: 1..=60, .. })));
    }

    #[test]
    fn the_words_of_one_click_are_read_in_both_encodings_of_forms() {
        #[track_caller]
        fn check(body: &str, want: bool) {
            assert_eq!(says_one_click(body.as_bytes()), want, "{body}");
        }
        check("List-Unsubscribe=One-Click", true);
        check("a=b&List-Unsubscribe=One-Click\r\n", true);
        let multipart =
            "--x\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--x--\r\n";
        check(multipart, true);
        check("", false);
        check("List-Unsubscribe=Two-Clicks", false);
        check("x=List-Unsubscribe=One-Click", false);
    }
}
