//! What stands around every page: its title, the way to the other pages, who is logged in, and the words of its language.

use std::sync::Arc;

use askama::Template;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use sm2tp_rules::access::{self, Action, Area, Role};
use sm2tp_store::persons::Person;

use super::form::{Fields, TOKEN};
use super::tables;
use super::visitor::Visitor;
use crate::http::{Lang, Refusal, Shared, said};

/// The pages, in the order of the menu.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Screen {
    Overview,
    Figures,
    Tail,
    Queue,
    Senders,
    Orgs,
    Suppression,
    Exits,
    Federation,
    Dns,
    Alerts,
    Audit,
    Settings,
    Programs,
    Accounts,
    /// One's own.
    Account,
    /// The first run.
    Start,
    Login,
}

/// What all templates are given.
pub(super) struct Frame {
    pub lang: Lang,
    pub hostname: Arc<str>,
    pub here: Screen,
    /// Nobody: the page of the login.
    pub person: Option<Person>,
    pub form_token: String,
    /// What was just done, by its word.
    pub done: String,
    pub now: u64,
}

/// One line of the menu.
pub(super) struct Place {
    pub path: &'static str,
    pub word: String,
    pub is_here: bool,
}

impl Screen {
    const MENU: [Self; 15] = [
        Self::Overview,
        Self::Figures,
        Self::Tail,
        Self::Queue,
        Self::Senders,
        Self::Orgs,
        Self::Suppression,
        Self::Exits,
        Self::Federation,
        Self::Dns,
        Self::Alerts,
        Self::Audit,
        Self::Settings,
        Self::Programs,
        Self::Accounts,
    ];

    fn path(self) -> &'static str {
        match self {
            Self::Overview => "/",
            Self::Queue => "/queue",
            Self::Senders => "/senders",
            Self::Orgs => "/orgs",
            Self::Suppression => "/suppression",
            Self::Settings => "/settings",
            Self::Audit => "/audit",
            Self::Alerts => "/alerts",
            Self::Dns => "/dns",
            Self::Federation => "/federation",
            Self::Figures => "/figures",
            Self::Accounts => "/accounts",
            Self::Account => "/account",
            Self::Tail => "/tail",
            Self::Exits => "/exits",
            Self::Programs => "/programs",
            Self::Start => "/setup",
            Self::Login => "/login",
        }
    }

    /// The key of its name.
    fn key(self) -> &'static str {
        match self {
            Self::Overview => "screen-overview",
            Self::Queue => "screen-queue",
            Self::Senders => "screen-senders",
            Self::Orgs => "screen-orgs",
            Self::Suppression => "screen-suppression",
            Self::Settings => "screen-settings",
            Self::Audit => "screen-audit",
            Self::Alerts => "screen-alerts",
            Self::Dns => "screen-dns",
            Self::Federation => "screen-federation",
            Self::Figures => "screen-figures",
            Self::Accounts => "screen-accounts",
            Self::Account => "screen-account",
            Self::Tail => "screen-tail",
            Self::Exits => "screen-exits",
            Self::Programs => "screen-programs",
            Self::Start => "screen-start",
            Self::Login => "screen-login",
        }
    }

    /// What it shows; none: what everybody may see who is logged in.
    fn area(self) -> Option<Area> {
        match self {
            Self::Queue => Some(Area::Queue),
            Self::Senders => Some(Area::Senders),
            Self::Orgs => Some(Area::Orgs),
            Self::Suppression => Some(Area::Suppression),
            Self::Settings => Some(Area::Settings),
            Self::Audit => Some(Area::Audit),
            Self::Alerts => Some(Area::Alerts),
            Self::Dns => Some(Area::Dkim),
            Self::Federation => Some(Area::Peers),
            Self::Figures => Some(Area::Stats),
            Self::Accounts => Some(Area::Persons),
            Self::Tail => Some(Area::Tail),
            Self::Exits => Some(Area::Alerts),
            Self::Programs => Some(Area::Webhooks),
            Self::Overview | Self::Account | Self::Start | Self::Login => None,
        }
    }
}

impl Visitor {
    pub(super) fn frame(&self, shared: &Shared, here: Screen) -> Frame {
        Frame {
            lang: self.lang,
            hostname: shared.house.hostname.clone(),
            here,
            person: Some(self.person.clone()),
            form_token: self.form_token.clone(),
            done: String::new(),
            now: crate::now(),
        }
    }

    /// Whether this person may see what is of the whole node, or of the organisation that it is bound to.
    pub(super) fn sees(&self, area: Area) -> bool {
        sees(&self.person.role, area)
    }

    /// The same for changing it.
    pub(super) fn may_change(&self, area: Area) -> bool {
        let role = &self.person.role;
        access::may(role, role.org(), Action::change(area)).is_ok()
    }
}

impl Frame {
    /// For somebody who is not logged in.
    pub(super) fn of_nobody(shared: &Shared, lang: Lang) -> Self {
        Self {
            lang,
            hostname: shared.house.hostname.clone(),
            here: Screen::Login,
            person: None,
            form_token: String::new(),
            done: String::new(),
            now: crate::now(),
        }
    }

    /// With what the form before it did, which the address says: one of our words, or nothing.
    pub(super) fn after(mut self, query: &Fields) -> Self {
        let key = format!("done-{}", query.text("done"));
        self.done = self.lang.find(&key).unwrap_or_default();
        self
    }

    pub(super) fn w(&self, key: &str) -> String {
        self.lang.word(key)
    }

    /// With one value in it.
    pub(super) fn s(&self, key: &str, name: &str, value: &str) -> String {
        self.lang.say(key, &[(name, value)])
    }

    /// For a number of things.
    pub(super) fn n(&self, key: &str, count: &u64) -> String {
        self.lang.count(key, *count)
    }

    /// A word before its value.
    pub(super) fn label(&self, key: &str) -> String {
        self.w(key) + if self.lang == Lang::Fr { "\u{a0}:" } else { ":" }
    }

    pub(super) fn number(&self, count: &u64) -> String {
        said::number(*count, self.lang)
    }

    pub(super) fn ago(&self, at: &u64) -> String {
        said::ago(*at, self.now, self.lang)
    }

    pub(super) fn time(&self, at: &u64) -> String {
        said::time(*at, self.lang)
    }

    pub(super) fn title(&self) -> String {
        self.w(self.here.key())
    }

    /// The hidden field of every form.
    pub(super) fn token_name(&self) -> &'static str {
        TOKEN
    }

    pub(super) fn here_path(&self) -> &'static str {
        self.here.path()
    }

    /// The menu, as far as this person may see the pages.
    pub(super) fn menu(&self) -> Vec<Place> {
        let Some(person) = &self.person else { return Vec::new() };
        let sees = |screen: &Screen| screen.area().is_none_or(|area| sees(&person.role, area));
        let place =
            |screen: Screen| Place { path: screen.path(), word: self.w(screen.key()), is_here: screen == self.here };
        Screen::MENU.into_iter().filter(sees).map(place).collect()
    }

    /// The languages to choose from.
    pub(super) fn languages(&self) -> [(&'static str, &'static str, bool); 2] {
        [("en", "English", self.lang == Lang::En), ("fr", "Français", self.lang == Lang::Fr)]
    }
}

fn sees(role: &Role, area: Area) -> bool {
    access::may(role, role.org(), Action::see(area)).is_ok()
}

/// A page as an answer.
pub(super) fn show(status: StatusCode, lang: Lang, page: &impl Template) -> Response {
    match rendered(page) {
        Ok(html) => (status, fields(lang, POLICY), Html(html)).into_response(),
        Err(trouble) => trouble.into_response(),
    }
}

/// A page with a script of ours, which asks this node and nobody else.
pub(super) fn show_live(lang: Lang, page: &impl Template) -> Response {
    match rendered(page) {
        Ok(html) => (fields(lang, LIVE_POLICY), Html(html)).into_response(),
        Err(trouble) => trouble.into_response(),
    }
}

/// The text of a page, or of a part of one.
pub(super) fn rendered(page: &impl Template) -> Result<String, Refusal> {
    let html = page.render().map_err(|error| Refusal::Trouble(error.to_string()))?;
    Ok(tables::labelled(&html))
}

fn fields(lang: Lang, policy: &'static str) -> [(HeaderName, HeaderValue); 4] {
    let fixed = HeaderValue::from_static;
    [
        (header::CONTENT_LANGUAGE, fixed(lang.tag())),
        (header::VARY, fixed("accept-language, cookie")),
        (header::CONTENT_SECURITY_POLICY, fixed(policy)),
        // With no-referrer, browsers say `Origin: null` also for our own forms.
        (header::REFERRER_POLICY, fixed("same-origin")),
    ]
}

/// What a page may load, and where its forms may go: nothing but ours. No style and no script stands in a page itself.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
const LIVE_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; connect-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
