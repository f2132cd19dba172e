//! One's own account: password, second factor, sessions.

use askama::Template;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use qrcodegen::{QrCode, QrCodeEcc};
use sm2tp_rules::guess::Kind;
use sm2tp_store::LedgerError;
use sm2tp_store::audit::Entry;
use sm2tp_store::persons::Factor;

use super::asks::after;
use super::form::{Fields, Sent, encoded};
use super::frame::{Frame, Screen, show};
use super::trouble;
use super::visitor::Visitor;
use crate::control::{self, By, Problem};
use crate::http::{Door, Shared};

#[derive(Template)]
#[template(path = "web/account.html")]
struct Page {
    f: Frame,
    role: String,
    org: String,
    second_factor: bool,
}

#[derive(Template)]
#[template(path = "web/factor.html")]
struct FactorPage {
    f: Frame,
    /// In groups of four, to be typed.
    secret: String,
    shown: String,
    /// What telephones open.
    uri: String,
    /// The same as a picture that telephones read; none where it does not fit into one.
    code: Option<Code>,
}

/// A QR code (ISO/IEC 18004).
struct Code {
    /// Of its sides, in modules, with the free space around it.
    side: i32,
    /// The `d` of its dark modules.
    path: String,
}

/// `GET /account`
pub(super) async fn page(State(shared): Door, visitor: Visitor, query: Fields) -> Response {
    let f = visitor.frame(&shared, Screen::Account).after(&query);
    let role = &visitor.person.role;
    let page = Page {
        role: f.w(&format!("role-{}", role.as_str())),
        org: role.org().unwrap_or_default().to_owned(),
        second_factor: visitor.person.second_factor,
        f,
    };
    show(StatusCode::OK, visitor.lang, &page)
}

/// `POST /account/password`: whoever sits at a screen that somebody left does not know the present one.
pub(super) async fn password(State(shared): Door, sent: Sent) -> Result<Response, Response> {
    let (name, fields, persons) = (&sent.visitor.person.name, &sent.fields, &shared.house.persons);
    if !proved(&shared, &sent).await? {
        return Err(wrong(&shared, &sent, "trouble-password"));
    }
    if fields.whole("new") != fields.whole("again") {
        return Err(wrong(&shared, &sent, "trouble-twice"));
    }
    persons.set_password(name, fields.whole("new")).await.map_err(|error| refused(&shared, &sent, error))?;
    noted(&shared, &sent, "own-password").await;
    let session = persons.begin(name, crate::now()).await.map_err(|error| refused(&shared, &sent, error))?;
    let cookie = [(header::SET_COOKIE, sent.visitor.way.set_session(&session))];
    Ok((cookie, Redirect::to("/account?done=password")).into_response())
}

/// `GET /account/factor`: a secret that nothing keeps until a code shows that the telephone has it.
pub(super) async fn factor(State(shared): Door, visitor: Visitor) -> Result<Response, Response> {
    let f = visitor.frame(&shared, Screen::Account);
    let made = Factor::random().map_err(|error| LedgerError::Failed(error.to_string()));
    let secret = made.map_err(|error| trouble::problem(visitor.frame(&shared, Screen::Account), &error.into()))?.text();
    let (host, name) = (encoded(&f.hostname), encoded(&visitor.person.name));
    let uri = format!("otpauth://totp/{host}:{name}?secret={secret}&issuer={host}");
    let letters: Vec<char> = secret.chars().collect();
    let shown = letters.chunks(4).map(String::from_iter).collect::<Vec<_>>().join(" ");
    let code = Code::of(&uri);
    Ok(show(StatusCode::OK, visitor.lang, &FactorPage { f, secret, shown, uri, code }))
}

/// `POST /account/factor`
pub(super) async fn set_factor(State(shared): Door, sent: Sent) -> Result<Response, Response> {
    if !proved(&shared, &sent).await? {
        return Err(wrong(&shared, &sent, "trouble-password"));
    }
    let (name, fields) = (&sent.visitor.person.name, &sent.fields);
    let set = shared.house.persons.set_factor(name, fields.text("secret"), fields.text("code"), crate::now()).await;
    match set {
        Ok(()) => {
            noted(&shared, &sent, "own-factor-on").await;
            Ok(after("/account", "factor"))
        }
        Err(LedgerError::Refused(_)) => Err(wrong(&shared, &sent, "trouble-code")),
        Err(error) => Err(refused(&shared, &sent, error)),
    }
}

/// `POST /account/factor/drop`
pub(super) async fn drop_factor(State(shared): Door, sent: Sent) -> Result<Response, Response> {
    if !proved(&shared, &sent).await? {
        return Err(wrong(&shared, &sent, "trouble-password"));
    }
    let dropped = shared.house.persons.drop_factor(&sent.visitor.person.name).await;
    dropped.map_err(|error| refused(&shared, &sent, error))?;
    noted(&shared, &sent, "own-factor-off").await;
    Ok(after("/account", "factor-off"))
}

/// `POST /account/sessions`: ends all, this one too.
pub(super) async fn end_sessions(State(shared): Door, sent: Sent) -> Result<Response, Response> {
    let ended = shared.house.persons.end_all(&sent.visitor.person.name).await;
    ended.map_err(|error| refused(&shared, &sent, error))?;
    Ok(after("/login", "logout"))
}

impl Code {
    fn of(text: &str) -> Option<Self> {
        let code = QrCode::encode_text(text, QrCodeEcc::Medium).ok()?;
        let mut path = String::new();
        for y in 0..code.size() {
            for x in (0..code.size()).filter(|x| code.get_module(*x, y)) {
                path.push_str(&format!("M{} {}h1v1h-1z", x + QUIET, y + QUIET));
            }
        }
        Some(Self { side: code.size() + 2 * QUIET, path })
    }
}

/// Whether the form has the present password of who sent it. Guesses are counted as those at the login.
async fn proved(shared: &Shared, sent: &Sent) -> Result<bool, Response> {
    let (name, client, logins) = (&sent.visitor.person.name, sent.visitor.client, &shared.logins.0);
    if logins.may_try(client, Kind::Client, name).is_err() {
        return Err(wrong(shared, sent, "trouble-guesses"));
    }
    let found = shared.house.persons.has_password(name, sent.fields.whole("password")).await;
    let is_right = found.map_err(|error| refused(shared, sent, error))?;
    if is_right {
        logins.right(client, Kind::Client, name);
    }
    Ok(is_right)
}

/// A line in the audit log about what somebody changed of the own account.
async fn noted(shared: &Shared, sent: &Sent, what: &str) {
    let person = &sent.visitor.person;
    let entry = Entry {
        at: crate::now(),
        by_kind: By::Person.as_str().to_owned(),
        by: person.name.clone(),
        what: what.to_owned(),
        org: person.role.org().map(str::to_owned),
        about: String::new(),
        reason: None,
    };
    control::keep(&shared.house, entry).await;
}

fn wrong(shared: &Shared, sent: &Sent, key: &str) -> Response {
    trouble::unfit(sent.visitor.frame(shared, Screen::Account), key)
}

fn refused(shared: &Shared, sent: &Sent, error: LedgerError) -> Response {
    trouble::problem(sent.visitor.frame(shared, Screen::Account), &Problem::from(error))
}

/// Modules of free space around a code (ISO/IEC 18004 §5.3.8).
const QUIET: i32 = 4;
