//! The persons who use the pages, for who may decide about them.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;
use sm2tp_rules::access::Area;

use super::asks::{number, rows, text};
use super::form::{Fields, Sent};
use super::frame::{Frame, Screen, show};
use super::trouble;
use super::visitor::Visitor;
use crate::control::{AccountChange, Request};
use crate::http::{Door, Shared};

#[derive(Template)]
#[template(path = "web/accounts.html")]
struct Page {
    f: Frame,
    persons: Vec<Row>,
    choice: Choice,
    may_change: bool,
}

#[derive(Template)]
#[template(path = "web/accounts-one.html")]
struct One {
    f: Frame,
    person: Row,
    choice: Choice,
}

/// The roles and organisations to choose from, with what is chosen.
struct Choice {
    roles: Vec<RoleChoice>,
    orgs: Vec<(String, bool)>,
}

struct RoleChoice {
    role: &'static str,
    word: String,
    help: String,
    is_chosen: bool,
}

struct Row {
    name: String,
    role: &'static str,
    role_word: String,
    org: String,
    second_factor: bool,
    last_login_at: u64,
}

/// `GET /accounts`
pub(super) async fn page(State(shared): Door, visitor: Visitor, query: Fields) -> Result<Response, Response> {
    let found = visitor.ask_for(&shared, Screen::Accounts, Request::AccountList).await?;
    let f = visitor.frame(&shared, Screen::Accounts).after(&query);
    let persons = rows(&found).iter().map(|person| row(person, &f)).collect();
    let (choice, may_change) = (choice(&shared, &f, "", ""), visitor.may_change(Area::Persons));
    Ok(show(StatusCode::OK, visitor.lang, &Page { f, persons, choice, may_change }))
}

/// `POST /accounts`: one more.
pub(super) async fn add(State(shared): Door, sent: Sent) -> Result<Response, Response> {
    let fields = &sent.fields;
    if fields.whole("password") != fields.whole("again") {
        let frame = sent.visitor.frame(&shared, Screen::Accounts);
        return Err(trouble::unfit(frame, "trouble-twice"));
    }
    let change = AccountChange::Add {
        name: fields.text("name").to_owned(),
        role: fields.text("role").to_owned(),
        org: fields.given("org"),
        password: fields.whole("password").to_owned(),
    };
    let request = Request::Account { change };
    sent.visitor.act(&shared, Screen::Accounts, request, ("/accounts", "account")).await
}

/// `GET /accounts/change?name=`: what can be changed about one.
pub(super) async fn one(State(shared): Door, visitor: Visitor, query: Fields) -> Result<Response, Response> {
    let found = visitor.ask_for(&shared, Screen::Accounts, Request::AccountList).await?;
    let f = visitor.frame(&shared, Screen::Accounts);
    let wanted = query.text("name");
    let Some(person) = rows(&found).iter().find(|person| person["name"] == wanted) else {
        return Err(trouble::nothing(f));
    };
    let person = row(person, &f);
    let choice = choice(&shared, &f, person.role, &person.org);
    Ok(show(StatusCode::OK, visitor.lang, &One { f, person, choice }))
}

/// `POST /accounts/change`
pub(super) async fn change(State(shared): Door, sent: Sent) -> Result<Response, Response> {
    let fields = &sent.fields;
    let name = fields.text("name").to_owned();
    let (change, done) = match fields.text("what") {
        "role" => {
            let (role, org) = (fields.text("role").to_owned(), fields.given("org"));
            (AccountChange::Role { name, role, org }, "account-role")
        }
        "password" if fields.whole("password") == fields.whole("again") => {
            (AccountChange::Password { name, password: fields.whole("password").to_owned() }, "account-password")
        }
        "password" => {
            let frame = sent.visitor.frame(&shared, Screen::Accounts);
            return Err(trouble::unfit(frame, "trouble-twice"));
        }
        "factor" => (AccountChange::FactorOff { name }, "factor-off"),
        "logout" => (AccountChange::Logout { name }, "account-logout"),
        "remove" => (AccountChange::Remove { name }, "account-removed"),
        _ => return Err(trouble::nothing(sent.visitor.frame(&shared, Screen::Accounts))),
    };
    sent.visitor.act(&shared, Screen::Accounts, Request::Account { change }, ("/accounts", done)).await
}

fn row(person: &Value, f: &Frame) -> Row {
    let role = ROLES.into_iter().find(|role| person["role"] == *role).unwrap_or_default();
    Row {
        name: text(person, "name").to_owned(),
        role,
        role_word: f.w(&format!("role-{role}")),
        org: text(person, "org").to_owned(),
        second_factor: person["second_factor"] == true,
        last_login_at: number(person, "last_login_at"),
    }
}

fn choice(shared: &Shared, f: &Frame, role: &str, org: &str) -> Choice {
    let of_role = |one: &'static str| RoleChoice {
        role: one,
        word: f.w(&format!("role-{one}")),
        help: f.w(&format!("role-{one}-help")),
        is_chosen: one == role,
    };
    let orgs = shared.house.accounts.orgs().into_iter();
    Choice {
        roles: ROLES.map(of_role).into(),
        orgs: orgs.map(|known| (known.name.clone(), known.name == org)).collect(),
    }
}

/// From who may do most to who may do least.
const ROLES: [&str; 4] = ["owner", "operator", "org-administrator", "read-only"];
