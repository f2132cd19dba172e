//! Organisations that send: how their mail arrives, their domains, limits, logins and signing keys.

use std::str::FromStr;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;
use sm2tp_rules::Stream;
use sm2tp_rules::access::Area;
use sm2tp_rules::allowance::{AllowanceChange, Change};
use sm2tp_store::accounts::LimitsChange;

use super::asks::{list, number, rows, text};
use super::form::{Fields, Sent, encoded};
use super::frame::{Frame, Screen, show};
use super::overview::light;
use super::trouble;
use super::visitor::Visitor;
use crate::control::Request;
use crate::http::{Door, said};

#[derive(Template)]
#[template(path = "web/orgs.html")]
struct Page {
    f: Frame,
    orgs: Vec<Row>,
    streams: Vec<(&'static str, String)>,
    may_change: bool,
}

#[derive(Template)]
#[template(path = "web/org.html")]
struct One {
    f: Frame,
    org: Row,
    limits: Vec<String>,
    logins: Vec<Login>,
    /// What stands in the form, of the organisation and then of each login.
    set: Vec<Set>,
    shares: Vec<(String, String, String)>,
    streams: Vec<(&'static str, String)>,
    may_change: bool,
    may_login: bool,
}

struct Row {
    name: String,
    path: String,
    stream: String,
    domains: Vec<String>,
    logins: usize,
    light: String,
    light_word: String,
    bounces: String,
}

struct Login {
    login: String,
    stream: String,
    scram: bool,
    limits: Vec<String>,
}

/// Limits as a form has them: empty where there is none.
struct Set {
    /// Empty: of the organisation.
    login: String,
    addresses: String,
    own_addresses_only: bool,
    /// Field, word, value and type of input.
    fields: Vec<(&'static str, String, String, &'static str)>,
}

/// `GET /orgs`
pub(super) async fn page(State(shared): Door, visitor: Visitor, query: Fields) -> Result<Response, Response> {
    let value = visitor.ask_for(&shared, Screen::Orgs, Request::OrgList).await?;
    let f = visitor.frame(&shared, Screen::Orgs).after(&query);
    let orgs = rows(&value).iter().map(|org| row(org, &f)).collect();
    let (streams, may_change) = (streams(&f), visitor.may_change(Area::Orgs));
    Ok(show(StatusCode::OK, visitor.lang, &Page { f, orgs, streams, may_change }))
}

/// `GET /orgs/show?name=`
pub(super) async fn one(State(shared): Door, visitor: Visitor, query: Fields) -> Result<Response, Response> {
    let value = visitor.ask_for(&shared, Screen::Orgs, Request::OrgList).await?;
    let f = visitor.frame(&shared, Screen::Orgs).after(&query);
    let wanted = query.text("name");
    let Some(org) = rows(&value).iter().find(|org| org["name"] == wanted) else {
        return Err(trouble::nothing(f));
    };
    let shares = ["bounces", "complaints", "stopped"].into_iter().filter(|_| org["score"].is_object()).map(|kind| {
        let share = &org["score"][kind];
        let (count, of) = (number(share, "count"), number(share, "of"));
        let numbers = f.lang.say("count-of", &[("count", &f.number(&count)), ("of", &f.number(&of))]);
        (f.w(&format!("score-{kind}")), said::percent(count, of, f.lang), numbers)
    });
    let login = |login: &Value| Login {
        login: text(login, "login").to_owned(),
        stream: f.w(&format!("stream-{}", text(login, "stream"))),
        scram: login["scram"] == true,
        limits: limits(&login["limits"], &f),
    };
    let of_logins = list(org, "logins").iter().map(|login| set(text(login, "login"), &login["limits"], &f));
    let page = One {
        set: [set("", &org["limits"], &f)].into_iter().chain(of_logins).collect(),
        org: row(org, &f),
        limits: limits(&org["limits"], &f),
        logins: list(org, "logins").iter().map(login).collect(),
        shares: shares.collect(),
        streams: streams(&f),
        may_change: visitor.may_change(Area::Orgs),
        may_login: visitor.may_change(Area::Logins),
        f,
    };
    Ok(show(StatusCode::OK, visitor.lang, &page))
}

/// `POST /orgs`: adds one, changes its domains or logins, removes it.
pub(super) async fn change(State(shared): Door, sent: Sent) -> Result<Response, Response> {
    let fields = &sent.fields;
    let name = fields.text("name").to_owned();
    let back = format!("/orgs/show?name={}", encoded(&name));
    let stream = fields.text("stream").parse::<Stream>().ok();
    let (request, to, done) = match fields.text("what") {
        "add" => {
            let domains = Some(split(fields.text("domains")));
            (Request::OrgAdd { name, domains, stream }, &back[..], "org")
        }
        "login" => {
            let (login, password) = (fields.text("login").to_owned(), fields.whole("password").to_owned());
            (Request::OrgLogin { org: name, login, password, stream }, &back[..], "login")
        }
        "logout" => (Request::OrgLogout { login: fields.text("login").to_owned() }, &back[..], "login-removed"),
        "limits" => match limits_change(fields) {
            Some(change) => {
                let login = fields.given("login");
                (Request::OrgLimits { name, login, change }, &back[..], "limits")
            }
            None => return Err(trouble::unfit(sent.visitor.frame(&shared, Screen::Orgs), "trouble-limit")),
        },
        "remove" => (Request::OrgRemove { name }, "/orgs", "org-removed"),
        _ => return Err(trouble::nothing(sent.visitor.frame(&shared, Screen::Orgs))),
    };
    sent.visitor.act(&shared, Screen::Orgs, request, (to, done)).await
}

fn row(org: &Value, f: &Frame) -> Row {
    let (name, bounces) = (text(org, "name"), &org["score"]["bounces"]);
    let (light, light_word) = light(&org["score"], f);
    Row {
        name: name.to_owned(),
        path: format!("/orgs/show?name={}", encoded(name)),
        stream: f.w(&format!("stream-{}", text(org, "stream"))),
        domains: list(org, "domains").iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        logins: list(org, "logins").len(),
        light,
        light_word,
        bounces: said::percent(number(bounces, "count"), number(bounces, "of"), f.lang),
    }
}

/// From a form, which names every limit; none where a field is no number or no rate.
fn limits_change(fields: &Fields) -> Option<LimitsChange> {
    fn one<T: FromStr>(fields: &Fields, name: &str) -> Option<Option<Change<T>>> {
        let text = fields.text(name);
        if text.is_empty() {
            return Some(Some(Change::None));
        }
        Some(Some(Change::To(text.parse().ok()?)))
    }
    let allowance = AllowanceChange {
        message_size: one(fields, "message_size")?,
        recipients: one(fields, "recipients")?,
        rate_mails: one(fields, "rate_mails")?,
        rate_recipients: one(fields, "rate_recipients")?,
        connections: one(fields, "connections")?,
    };
    let addresses = Some(split(fields.text("addresses")));
    // The box stands in the form of a login only, and one that is not ticked is not sent.
    let own_addresses_only = fields.given("login").map(|_| fields.text("own_addresses_only") == "yes");
    Some(LimitsChange { addresses, own_addresses_only, allowance })
}

fn set(login: &str, limits: &Value, f: &Frame) -> Set {
    let addresses: Vec<&str> = list(limits, "addresses").iter().filter_map(Value::as_str).collect();
    let field = |(name, kind): (&'static str, &'static str)| {
        let value = &limits[name];
        let value = value.as_str().map_or_else(|| value.as_u64().map(|n| n.to_string()), |text| Some(text.to_owned()));
        (name, f.w(&format!("set-{}", name.replace('_', "-"))), value.unwrap_or_default(), kind)
    };
    Set {
        login: login.to_owned(),
        addresses: addresses.join(" "),
        own_addresses_only: limits["own_addresses_only"] == true,
        fields: LIMITS.into_iter().map(field).collect(),
    }
}

fn split(text: &str) -> Vec<String> {
    text.split([' ', ',', '\r', '\n']).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Whatever is limited.
fn limits(limits: &Value, f: &Frame) -> Vec<String> {
    let addresses: Vec<&str> = list(limits, "addresses").iter().filter_map(Value::as_str).collect();
    let mut found = Vec::new();
    if !addresses.is_empty() {
        let key = if limits["own_addresses_only"] == true { "limit-only-as" } else { "limit-also-as" };
        found.push(f.s(key, "addresses", &addresses.join(", ")));
    }
    for key in ["message_size", "recipients", "connections"] {
        if let Some(number) = limits[key].as_u64() {
            found.push(f.s(&format!("limit-{}", key.replace('_', "-")), "n", &f.number(&number)));
        }
    }
    for key in ["rate_mails", "rate_recipients"] {
        if let Some(rate) = limits[key].as_str() {
            found.push(f.s(&format!("limit-{}", key.replace('_', "-")), "rate", rate));
        }
    }
    found
}

fn streams(f: &Frame) -> Vec<(&'static str, String)> {
    Stream::ALL.iter().map(|stream| (stream.as_str(), f.w(&format!("stream-{stream}")))).collect()
}

/// The fields of the form, with what browsers may ask for in them.
const LIMITS: [(&str, &str); 5] = [
    ("message_size", "number"),
    ("recipients", "number"),
    ("connections", "number"),
    ("rate_mails", "text"),
    ("rate_recipients", "text"),
];
