//! Programs: the tokens with which they come, and the webhooks by which they are told. A secret is shown once, on the answer to
//! the form that made it.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;
use sm2tp_rules::access::Area;
use sm2tp_store::webhooks::EVENTS;

use super::asks::{list, number, rows, text};
use super::form::{Fields, Sent, encoded};
use super::frame::{Frame, Screen, show};
use super::trouble;
use super::visitor::Visitor;
use crate::control::Request;
use crate::http::{Door, Shared};
use crate::reason::{self, Piece};

#[derive(Template)]
#[template(path = "web/programs.html")]
struct Page {
    f: Frame,
    tokens: Vec<Token>,
    hooks: Vec<Hook>,
    roles: Vec<(&'static str, String)>,
    presets: Vec<(&'static str, String)>,
    orgs: Vec<String>,
    /// Name and word of each event.
    events: Vec<(&'static str, String)>,
    sees_tokens: bool,
    may_token: bool,
    may_hook: bool,
}

#[derive(Template)]
#[template(path = "web/secret.html")]
struct Made {
    f: Frame,
    title: String,
    secret: String,
    help: String,
}

#[derive(Template)]
#[template(path = "web/dead.html")]
struct Dead {
    f: Frame,
    hook: String,
    events: Vec<Event>,
    next: String,
    may_change: bool,
}

struct Token {
    id: String,
    name: String,
    role: String,
    org: String,
    scopes: String,
    login: String,
    rate: String,
    made_by: String,
    made_at: u64,
    expires_at: Option<u64>,
}

struct Hook {
    id: String,
    org: String,
    url: String,
    events: String,
    waiting: String,
    dead: u64,
    lost: u64,
    gone: bool,
}

/// What a webhook did not take.
struct Event {
    id: u64,
    at: u64,
    word: String,
    recipient: String,
    tries: String,
    why: Vec<Piece>,
}

/// `GET /programs`
pub(super) async fn page(State(shared): Door, visitor: Visitor, query: Fields) -> Result<Response, Response> {
    let sees_tokens = visitor.sees(Area::Tokens);
    let tokens = match sees_tokens {
        true => visitor.ask_for(&shared, Screen::Programs, Request::TokenList).await?,
        false => Value::Null,
    };
    let hooks = visitor.ask_for(&shared, Screen::Programs, Request::WebhookList { org: None }).await?;
    let f = visitor.frame(&shared, Screen::Programs).after(&query);
    let bound = visitor.person.role.org().is_some();
    let role = |role: &'static str| (role, f.w(&format!("role-{role}")));
    let page = Page {
        tokens: rows(&tokens).iter().map(|row| token(row, &f)).collect(),
        hooks: rows(&hooks).iter().map(|row| hook(row, &f)).collect(),
        roles: if bound { vec![role(ROLES[0])] } else { ROLES.map(role).into() },
        presets: PRESETS.map(|(scopes, key)| (scopes, f.w(key))).into(),
        orgs: visitor.orgs(&shared),
        events: EVENTS.iter().map(|event| (*event, f.w(&format!("event-{event}")))).collect(),
        sees_tokens,
        may_token: visitor.may_change(Area::Tokens),
        may_hook: visitor.may_change(Area::Webhooks),
        f,
    };
    Ok(show(StatusCode::OK, visitor.lang, &page))
}

/// `POST /programs`
pub(super) async fn change(State(shared): Door, sent: Sent) -> Result<Response, Response> {
    let id = sent.fields.text("id").to_owned();
    let (request, done) = match sent.fields.text("what") {
        "token" => return new_token(&shared, &sent).await,
        "webhook" => return new_hook(&shared, &sent).await,
        "revoke" => (Request::TokenRevoke { id }, "token-revoked"),
        "remove" => (Request::WebhookRemove { id }, "webhook-removed"),
        "redeliver" => {
            let event = sent.fields.text("event").parse().ok();
            (Request::WebhookRedeliver { id, event }, "webhook-redelivered")
        }
        _ => return Err(trouble::nothing(sent.visitor.frame(&shared, Screen::Programs))),
    };
    sent.visitor.act(&shared, Screen::Programs, request, ("/programs", done)).await
}

/// `GET /programs/dead?id=&before=`
pub(super) async fn dead(State(shared): Door, visitor: Visitor, query: Fields) -> Result<Response, Response> {
    let (id, before) = (query.text("id").to_owned(), query.text("before").parse().ok());
    let request = Request::WebhookDead { id: id.clone(), before, limit: DEAD_MAX };
    let value = visitor.ask_for(&shared, Screen::Programs, request).await?;
    let f = visitor.frame(&shared, Screen::Programs).after(&query);
    let event = |row: &Value| Event {
        id: number(row, "id"),
        at: number(row, "at"),
        word: f.w(&format!("event-{}", text(&row["event"], "type").trim_start_matches("mail."))),
        recipient: text(&row["event"]["data"], "recipient").to_owned(),
        tries: f.number(&number(row, "tries")),
        why: reason::kept(text(row, "why"), row.get("reason"), f.lang),
    };
    let events: Vec<Event> = rows(&value).iter().map(event).collect();
    let last = events.last().filter(|_| events.len() == DEAD_MAX);
    let next = last.map(|last| format!("/programs/dead?id={}&before={}", encoded(&id), last.id)).unwrap_or_default();
    let page = Dead { events, next, may_change: visitor.may_change(Area::Webhooks), hook: id, f };
    Ok(show(StatusCode::OK, visitor.lang, &page))
}

async fn new_token(shared: &Shared, sent: &Sent) -> Result<Response, Response> {
    let fields = &sent.fields;
    // What was typed is meant before what was chosen.
    let scopes = fields.given("own-scopes").unwrap_or_else(|| fields.text("scopes").to_owned());
    let days = fields.text("days").parse::<u64>().ok();
    let role = fields.text("role");
    let wanted = sm2tp_store::tokens::Wanted {
        name: fields.text("name").to_owned(),
        role: role.to_owned(),
        // The field stands in the form for all roles, and only one has an organisation.
        org: fields.given("org").filter(|_| role == ROLES[0]),
        scopes,
        login: fields.given("login"),
        rate: None,
        expires_at: days.map(|days| crate::now().saturating_add(days.saturating_mul(DAY_S))),
    };
    let made = sent.visitor.ask_for(shared, Screen::Programs, Request::TokenNew { wanted }).await?;
    let title = text(&made["token"], "name").to_owned();
    Ok(secret(shared, &sent.visitor, title, &made, "token-made"))
}

async fn new_hook(shared: &Shared, sent: &Sent) -> Result<Response, Response> {
    let fields = &sent.fields;
    let events = EVENTS.iter().filter(|event| fields.text(&format!("event-{event}")) == "yes");
    let wanted = sm2tp_store::webhooks::Wanted {
        org: fields.text("org").to_owned(),
        url: fields.text("url").to_owned(),
        events: events.map(|event| (*event).to_owned()).collect(),
    };
    let made = sent.visitor.ask_for(shared, Screen::Programs, Request::WebhookNew { wanted }).await?;
    let title = text(&made["webhook"], "url").to_owned();
    Ok(secret(shared, &sent.visitor, title, &made, "webhook-made"))
}

fn secret(shared: &Shared, visitor: &Visitor, title: String, made: &Value, key: &str) -> Response {
    let f = visitor.frame(shared, Screen::Programs);
    let page = Made { title, secret: text(made, "secret").to_owned(), help: f.w(key), f };
    show(StatusCode::CREATED, visitor.lang, &page)
}

fn token(row: &Value, f: &Frame) -> Token {
    Token {
        id: text(row, "id").to_owned(),
        name: text(row, "name").to_owned(),
        role: f.w(&format!("role-{}", text(row, "role"))),
        org: text(row, "org").to_owned(),
        scopes: text(row, "scopes").to_owned(),
        login: text(row, "login").to_owned(),
        rate: text(row, "rate").to_owned(),
        made_by: text(row, "made_by").to_owned(),
        made_at: number(row, "made_at"),
        expires_at: row["expires_at"].as_u64(),
    }
}

fn hook(row: &Value, f: &Frame) -> Hook {
    let events = list(row, "events").iter().filter_map(Value::as_str).map(|event| f.w(&format!("event-{event}")));
    Hook {
        id: text(row, "id").to_owned(),
        org: text(row, "org").to_owned(),
        url: text(row, "url").to_owned(),
        events: events.collect::<Vec<_>>().join(", "),
        waiting: f.number(&number(row, "waiting")),
        dead: number(row, "dead"),
        lost: number(row, "lost"),
        gone: row["gone"] == true,
    }
}

/// From who may do least to who may do most: what a program needs is mostly the first.
const ROLES: [&str; 4] = ["org-administrator", "read-only", "operator", "owner"];
/// What programs mostly do, and the key of its words.
const PRESETS: [(&str, &str); 4] = [
    ("mail:write", "scopes-mail"),
    ("mail:write queue:read suppression:read tail:read", "scopes-follow"),
    ("stats:read queue:read alerts:read", "scopes-watch"),
    ("all", "scopes-all"),
];
const DAY_S: u64 = 86_400;
const DEAD_MAX: usize = 50;
