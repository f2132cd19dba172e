//! The first run: the first account, an organisation, a key, the DNS, and a test mail to oneself with what became of it.
//!
//! As long as nobody has an account, whoever reaches this machine's pages could make himself its owner: a code that only the
//! user of the node can read lets in the one who may.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::{Request as Asked, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde_json::{Value, json};
use sm2tp_proto::{Address, Enhanced};
use sm2tp_rules::Stream;
use sm2tp_rules::access::{self, Action, Area, Role};
use sm2tp_store::audit::Entry;
use sm2tp_store::{LedgerError, keys};
use subtle::ConstantTimeEq;

use super::asks::{list, reply, rows, text};
use super::form::{self, Fields, Sent, encoded};
use super::frame::{Frame, Screen, show};
use super::trouble;
use super::visitor::{self, Visitor};
use crate::api::Parts;
use crate::control::{self, By, Problem, Request};
use crate::http::{Door, Refusal, Shared};
use crate::reason::{self, Piece, Reason};
use crate::smtp::{HandedIn, NotTaken};

/// What lets in the first person: a word in a file that the user of the node alone can read.
#[derive(Clone, PartialEq, Eq)]
pub struct FirstRun {
    code: Arc<str>,
    file: Arc<Path>,
}

#[derive(Template)]
#[template(path = "web/first.html")]
struct First {
    f: Frame,
    file: String,
    name: String,
    trouble: String,
    why: Vec<Piece>,
}

#[derive(Template)]
#[template(path = "web/start.html")]
struct Steps {
    f: Frame,
    orgs: Vec<String>,
    /// A sender domain of each organisation that has one, with whether a key signs for it.
    domains: Vec<Domain>,
    takes_mail: bool,
    may_org: bool,
    may_key: bool,
    test: Option<Test>,
}

struct Domain {
    name: String,
    has_key: bool,
    check: String,
}

/// What became of a test mail.
struct Test {
    mail: u64,
    since: u64,
    /// Class and words of the outcome; without a class it is not known yet.
    class: &'static str,
    word: String,
    server: String,
    reply: Piece,
    cause: String,
}

impl FirstRun {
    /// `code` is in `file`.
    #[must_use]
    pub fn new(code: &str, file: PathBuf) -> Self {
        Self { code: code.into(), file: file.into() }
    }

    /// In a time that does not tell how much is right.
    fn is(&self, code: &str) -> bool {
        self.code.as_bytes().ct_eq(code.as_bytes()).into()
    }
}

/// `GET /setup`: for who has no account yet, the first one; for who is logged in, what comes next.
pub(super) async fn page(State(shared): Door, request: Asked) -> Result<Response, Refusal> {
    let (parts, _) = request.into_parts();
    visitor::way(&shared, &parts)?;
    if !shared.house.persons.is_empty() {
        return Ok(Redirect::to("/setup/next").into_response());
    }
    let lang = visitor::lang(&parts.headers, &shared);
    Ok(first(&shared, Frame::of_nobody(&shared, lang), StatusCode::OK, "", ("", Vec::new())))
}

/// `POST /setup`: makes the first account, an owner, and logs it in.
pub(super) async fn begin(State(shared): Door, request: Asked) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let (way, lang) = (visitor::way(&shared, &parts)?, visitor::lang(&parts.headers, &shared));
    let fields = form::read(Asked::from_parts(parts, body)).await?;
    let persons = &shared.house.persons;
    let again = |key: &str, why: Vec<Piece>| {
        first(
            &shared,
            Frame::of_nobody(&shared, lang),
            StatusCode::UNPROCESSABLE_ENTITY,
            fields.text("name"),
            (key, why),
        )
    };
    let Some(first_run) = shared.first_run.as_ref().filter(|_| persons.is_empty()) else {
        return Ok(Redirect::to("/login").into_response());
    };
    if !first_run.is(fields.text("code")) {
        tracing::warn!("a wrong code for the first account");
        return Ok(again("setup-wrong-code", Vec::new()));
    }
    if fields.whole("password") != fields.whole("again") {
        return Ok(again("trouble-twice", Vec::new()));
    }
    let now = crate::now();
    let added = match persons.add(fields.text("name"), Role::Owner, fields.whole("password"), now).await {
        Ok(added) => added,
        Err(LedgerError::Refused(refused)) => {
            return Ok(again("trouble-refused", reason::said(&refused, lang)));
        }
        Err(error) => return Err(Refusal::Trouble(error.to_string())),
    };
    // It has done what it was for; one that stays opens nothing any more.
    if let Err(error) = std::fs::remove_file(&first_run.file) {
        tracing::warn!(%error, file = %first_run.file.display(), "the code of the first account could not be removed");
    }
    tracing::info!(name = %added.name, "the first account was made on the pages");
    let about = Reason::new("about-person").text("name", &added.name).word("role", "role-owner".to_owned());
    noted(&shared, &added.name, "account-add", Some(about), None).await;
    let session = persons.begin(&added.name, now).await.map_err(|error| Refusal::Trouble(error.to_string()))?;
    let cookie = [(header::SET_COOKIE, way.set_session(&session))];
    Ok((cookie, Redirect::to("/setup/next?done=first-account")).into_response())
}

/// `GET /setup/next?mail=&since=`: what is left to do, and what became of a test mail.
pub(super) async fn next(State(shared): Door, visitor: Visitor, query: Fields) -> Result<Response, Response> {
    let orgs = visitor.ask_for(&shared, Screen::Start, Request::OrgList).await?;
    let keys = match visitor.sees(Area::Dkim) {
        true => visitor.ask_for(&shared, Screen::Start, Request::DkimList { domain: None }).await?,
        false => Value::Null,
    };
    let f = visitor.frame(&shared, Screen::Start).after(&query);
    let test = match (query.text("mail").parse(), query.text("since").parse()) {
        (Ok(mail), Ok(since)) => Some(became(&shared, &visitor, mail, since, &f).await?),
        _ => None,
    };
    // Organisations may share one.
    let domains: BTreeSet<&str> =
        rows(&orgs).iter().flat_map(|org| list(org, "domains")).filter_map(Value::as_str).collect();
    let domain = |name: &str| Domain {
        has_key: rows(&keys).iter().any(|key| text(key, "domain") == name),
        check: format!("/dns?check={}", encoded(name)),
        name: name.to_owned(),
    };
    let page = Steps {
        orgs: rows(&orgs).iter().map(|org| text(org, "name").to_owned()).collect(),
        domains: domains.into_iter().take(DOMAINS_MAX).map(domain).collect(),
        takes_mail: shared.mail.is_some(),
        may_org: visitor.may_change(Area::Orgs),
        may_key: visitor.may_change(Area::Dkim),
        test,
        f,
    };
    Ok(show(StatusCode::OK, visitor.lang, &page))
}

/// `POST /setup/next`: an organisation, a key, or a test mail.
pub(super) async fn act(State(shared): Door, sent: Sent) -> Result<Response, Response> {
    let fields = &sent.fields;
    let (request, done) = match fields.text("what") {
        "org" => {
            let domains = Some(vec![fields.text("domain").to_owned()]);
            let (name, stream) = (fields.text("name").to_owned(), Some(Stream::Personal));
            (Request::OrgAdd { name, domains, stream }, "org")
        }
        "key" => {
            let domain = fields.text("domain").to_owned();
            (Request::DkimNew { domain, selector: None, algorithm: None, pem: None }, "key")
        }
        "test" => return test(&shared, &sent).await,
        _ => return Err(trouble::nothing(sent.visitor.frame(&shared, Screen::Start))),
    };
    sent.visitor.act(&shared, Screen::Start, request, ("/setup/next", done)).await
}

/// Hands in a mail as a program would, and goes to where its life is told.
async fn test(shared: &Arc<Shared>, sent: &Sent) -> Result<Response, Response> {
    let (visitor, fields) = (&sent.visitor, &sent.fields);
    let frame = || visitor.frame(shared, Screen::Start);
    let unfit = |problem: Problem| trouble::problem(frame(), &problem);
    let input = |refusal: control::Refusal| unfit(Problem::Input(refusal));
    let failed = |why: String| unfit(Problem::Failed(why));
    let address =
        |text: &str| Address::parse(text).map_err(|source| control::Refusal::Address { text: text.to_owned(), source });
    let Some(door) = shared.mail.clone() else { return Err(trouble::unfit(frame(), "test-no-door")) };
    let (from, to) = (fields.text("from"), fields.text("to"));
    let sender = address(from).map_err(input)?;
    address(to).map_err(input)?;
    let orgs = shared.house.accounts.orgs();
    let hosts = |domains: &[String]| domains.iter().any(|domain| *domain == *sender.domain().as_str());
    let org = orgs.iter().find(|org| hosts(&org.domains)).map(|org| org.name.clone());
    let Some(org) = org else { return Err(trouble::unfit(frame(), "test-no-org")) };
    let (role, action) = (&visitor.person.role, Action::change(Area::Mail));
    access::may(role, Some(&org), action).map_err(|why| unfit(Problem::Forbidden(why)))?;
    let Some(account) = shared.house.accounts.of_org(&org) else { return Err(trouble::nothing(frame())) };
    let f = frame();
    let words = json!({
        "from": from, "to": [to],
        "subject": f.s("test-subject", "host", &shared.house.hostname),
        "text": f.s("test-text", "host", &shared.house.hostname),
    });
    let random = keys::random().map_err(|error| failed(error.to_string()))?;
    let parts: Parts = serde_json::from_value(words).map_err(|error| failed(error.to_string()))?;
    let now = crate::now();
    let composed = parts.compose(&shared.house.hostname, &hex::encode(&random[..16]), now);
    let composed = composed.map_err(|wrong| failed(wrong.why))?;
    let handed = HandedIn {
        account,
        client: visitor.client,
        sender: Some(composed.sender),
        recipients: composed.recipients.into_iter().map(|(_, address)| address).collect(),
        content: composed.content,
        stream: Some(Stream::Personal),
    };
    // In a task of its own: who hangs up must not keep the relay from hearing of a mail that was taken.
    let taken = tokio::spawn(async move { door.hand_in(handed).await }).await;
    let taken = taken.map_err(|error| failed(error.to_string()))?;
    match taken {
        Ok(taken) => {
            noted(shared, &visitor.person.name, "test-mail", Some(control::mail_of(taken.mail)), Some(org)).await;
            Ok(Redirect::to(&format!("/setup/next?mail={}&since={now}#test", taken.mail)).into_response())
        }
        Err(NotTaken::Mail(refusal)) => {
            let said = format!("{} {}", refusal.code, refusal.text);
            Err(input(control::Refusal::Mail { enhanced: refusal.enhanced, said }))
        }
        Err(NotTaken::Recipients(refusals)) => {
            let enhanced = refusals.first().map_or(Enhanced(4, 3, 0), |refusal| refusal.enhanced);
            let said = refusals.iter().map(|refusal| format!("{} {}", refusal.code, refusal.text));
            Err(input(control::Refusal::Mail { enhanced, said: said.collect::<Vec<_>>().join("; ") }))
        }
    }
}

/// Waits a little for the recipient's server, so that most hear its answer at once.
async fn became(shared: &Shared, visitor: &Visitor, mail: u64, since: u64, f: &Frame) -> Result<Test, Response> {
    let mut log = Value::Null;
    for look in 0..LOOKS {
        if look != 0 {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let request = Request::QueueLog { mail, since, org: None };
        log = visitor.ask_for(shared, Screen::Start, request).await?;
        if outcome(&log).is_some() {
            break;
        }
    }
    let found = outcome(&log);
    let row = found.unwrap_or(&Value::Null);
    let (class, key) = match text(row, "kind") {
        "delivered" => ("light-green", "test-delivered"),
        "deferred" => ("light-amber", "test-deferred"),
        "" => ("", "test-under-way"),
        _ => ("light-slow", "test-failed"),
    };
    Ok(Test {
        mail,
        since,
        class,
        word: f.w(key),
        server: text(row, "mx").to_owned(),
        reply: reply(row, f.lang),
        cause: f.lang.find(&format!("cause-{}", text(row, "cause"))).unwrap_or_default(),
    })
}

/// The last thing that a server said, or that was decided.
fn outcome(log: &Value) -> Option<&Value> {
    rows(log).iter().rev().find(|row| !matches!(text(row, "kind"), "accepted" | "report"))
}

fn first(shared: &Shared, f: Frame, status: StatusCode, name: &str, (key, why): (&str, Vec<Piece>)) -> Response {
    let file = shared.first_run.as_ref().map(|first_run| first_run.file.display().to_string());
    let lang = f.lang;
    let f = Frame { here: Screen::Start, ..f };
    let trouble = if key.is_empty() { String::new() } else { f.w(key) };
    let page = First { file: file.unwrap_or_default(), name: name.to_owned(), trouble, why, f };
    show(status, lang, &page)
}

async fn noted(shared: &Shared, by: &str, what: &str, about: Option<Reason>, org: Option<String>) {
    let (about, reason) = reason::words(about);
    let entry = Entry {
        at: crate::now(),
        by_kind: By::Person.as_str().to_owned(),
        by: by.to_owned(),
        what: what.to_owned(),
        org,
        about,
        reason,
    };
    control::keep(&shared.house, entry).await;
}

impl Test {
    fn is_known(&self) -> bool {
        !self.class.is_empty()
    }
}

const DOMAINS_MAX: usize = 20;
/// Eight seconds in all: a page that takes longer is taken for a broken one.
const LOOKS: u32 = 20;
const LOOK_EVERY: Duration = Duration::from_millis(400);
