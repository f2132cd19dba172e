//! Mail that waits: why, until when; what became of one message; and what a person does about it.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde_json::Value;
use sm2tp_rules::access::Area;
use sm2tp_rules::stream::why;
use sm2tp_rules::{LocalFailure, StreamBy};

use super::asks::{list, number, ours, reply, rows, text};
use super::exits::{self, Site};
use super::form::{Fields, Sent, encoded};
use super::frame::{Frame, Screen, show};
use super::trouble;
use super::visitor::Visitor;
use crate::control::{Request, Those, Which};
use crate::http::Door;
use crate::reason::Piece;

#[derive(Template)]
#[template(path = "web/queue.html")]
struct Page {
    f: Frame,
    those: Shown,
    orgs: Vec<String>,
    lanes: Vec<(&'static str, String)>,
    rows: Vec<Row>,
    /// Where the next page begins; empty on the last one.
    next: String,
    /// What waits, added up; empty on a page that shows a part of it.
    domains: Vec<Sum>,
    sums_of_orgs: Vec<Sum>,
    sites: Vec<Site>,
    sees_sites: bool,
    may_change: bool,
    may_release: bool,
}

#[derive(Template)]
#[template(path = "web/found.html")]
struct Found {
    f: Frame,
    message_id: String,
    rows: Vec<FoundMail>,
}

/// A mail that was found by its Message-ID.
struct FoundMail {
    mail: u64,
    at: u64,
    org: String,
    from: String,
}

/// Recipients that wait for one domain, or of one organisation.
struct Sum {
    name: String,
    path: String,
    normal: String,
    slow: String,
    held: String,
    oldest: String,
    next: String,
    note: Piece,
}

#[derive(Template)]
#[template(path = "web/mail.html")]
struct One {
    f: Frame,
    mail: u64,
    facts: Vec<(String, String)>,
    rows: Vec<Row>,
    header: String,
    log: Vec<Line>,
    may_change: bool,
    may_release: bool,
}

#[derive(Template)]
#[template(path = "web/queue-sure.html")]
struct Sure {
    f: Frame,
    what: &'static str,
    question: String,
    fields: Vec<(&'static str, String)>,
    back: String,
}

/// What is looked for.
#[derive(Default)]
struct Shown {
    domain: String,
    org: String,
    lane: String,
}

struct Row {
    mail: u64,
    recipient: String,
    from: String,
    org: String,
    stream: String,
    lane: String,
    attempts: String,
    /// When it is tried again; a dash for what waits for a person.
    next: String,
    note: Piece,
    since: String,
}

/// One thing that happened to a message.
struct Line {
    at: u64,
    word: String,
    recipient: String,
    server: String,
    /// Where in the dialogue it was said.
    stage: String,
    reply: Piece,
    rule: String,
    exit: String,
}

/// `GET /queue?domain=&org=&lane=&after=`
pub(super) async fn page(State(shared): Door, visitor: Visitor, query: Fields) -> Result<Response, Response> {
    let f = visitor.frame(&shared, Screen::Queue).after(&query);
    let after = query.text("after").parse().unwrap_or(0);
    let request = Request::QueueList { those: those(&query), after, after_index: None, limit: ROWS_MAX };
    let value = visitor.ask_for(&shared, Screen::Queue, request).await?;
    let rows: Vec<Row> = rows(&value).iter().map(|entry| row(entry, &f)).collect();
    let shown = Shown::of(&query);
    let is_whole = after == 0 && shown.is_all();
    let sums = match is_whole {
        true => visitor.ask_for(&shared, Screen::Queue, Request::QueueSums { org: None }).await?,
        false => Value::Null,
    };
    // Connections are the whole node's business.
    let sees_sites = is_whole && visitor.person.role.org().is_none();
    let sites = if sees_sites { exits::sites(&shared, &visitor, Screen::Queue).await? } else { Vec::new() };
    let last = rows.last().filter(|_| ROWS_MAX <= rows.len());
    let next = last.map(|last| format!("/queue?{}&after={}", shown.query(), last.mail)).unwrap_or_default();
    let page = Page {
        those: shown,
        orgs: visitor.orgs(&shared),
        lanes: LANES.iter().map(|lane| (*lane, f.w(&format!("lane-{lane}")))).collect(),
        rows,
        next,
        domains: list(&sums, "domains").iter().map(|row| sum(row, "domain", &f)).collect(),
        sums_of_orgs: list(&sums, "orgs").iter().map(|row| sum(row, "org", &f)).collect(),
        sites,
        sees_sites,
        may_change: visitor.may_change(Area::Queue),
        may_release: visitor.may_change(Area::Senders),
        f,
    };
    Ok(show(StatusCode::OK, visitor.lang, &page))
}

/// `GET /queue/find?id=`: a mail by its Message-ID. One that is alone is shown at once.
pub(super) async fn find(State(shared): Door, visitor: Visitor, query: Fields) -> Result<Response, Response> {
    let message_id = query.text("id").to_owned();
    let request = Request::QueueFind { message_id: message_id.clone(), org: None };
    let value = visitor.ask_for(&shared, Screen::Queue, request).await?;
    let found = |row: &Value| FoundMail {
        mail: number(row, "mail"),
        at: number(row, "accepted_at"),
        org: text(row, "org").to_owned(),
        from: text(row, "mail_from").to_owned(),
    };
    let rows: Vec<FoundMail> = rows(&value).iter().map(found).collect();
    if let [FoundMail { mail, at, .. }] = &rows[..] {
        return Ok(Redirect::to(&format!("/queue/{mail}?since={at}")).into_response());
    }
    let f = visitor.frame(&shared, Screen::Queue);
    Ok(show(StatusCode::OK, visitor.lang, &Found { f, message_id, rows }))
}

/// `GET /queue/{mail}?since=`: what is left to do, and what was tried. Of a message that is not in the queue any more the
/// send log still tells, from `since` on.
pub(super) async fn one(
    State(shared): Door,
    visitor: Visitor,
    Path(mail): Path<u64>,
    query: Fields,
) -> Result<Response, Response> {
    let f = visitor.frame(&shared, Screen::Queue).after(&query);
    let value = match visitor.ask(&shared, Request::QueueShow { mail }).await {
        Ok(value) => value,
        Err(problem) if problem.exit() == 65 && query.given("since").is_some() => Value::Null,
        Err(problem) => return Err(trouble::problem(f, &problem)),
    };
    let since = value["received_at"].as_u64().or_else(|| query.text("since").parse().ok()).unwrap_or(0);
    let request = Request::QueueLog { mail, since, org: None };
    let log = visitor.ask_for(&shared, Screen::Queue, request).await?;
    let page = One {
        mail,
        facts: facts(&value, &f),
        rows: list(&value, "recipients").iter().map(|entry| row(entry, &f)).collect(),
        header: text(&value, "header").to_owned(),
        log: rows(&log).iter().map(|entry| line(entry, &f)).collect(),
        may_change: visitor.may_change(Area::Queue) && !value.is_null(),
        may_release: visitor.may_change(Area::Senders) && !value.is_null(),
        f,
    };
    Ok(show(StatusCode::OK, visitor.lang, &page))
}

/// `GET /queue/sure?what=&mail=&domain=&org=&lane=`: asks before something is done to many, or for good.
pub(super) async fn sure(State(shared): Door, visitor: Visitor, query: Fields) -> Result<Response, Response> {
    let f = visitor.frame(&shared, Screen::Queue);
    let Some(what) = WHATS.into_iter().find(|what| query.text("what") == *what) else {
        return Err(trouble::nothing(f));
    };
    let shown = Shown::of(&query);
    let (count, back) = match query.text("mail").parse::<u64>() {
        Ok(mail) => {
            let value = visitor.ask_for(&shared, Screen::Queue, Request::QueueShow { mail }).await?;
            (list(&value, "recipients").len(), format!("/queue/{mail}"))
        }
        Err(_) => {
            let request = Request::QueueList { those: those(&query), after: 0, after_index: None, limit: COUNTED_MAX };
            let value = visitor.ask_for(&shared, Screen::Queue, request).await?;
            (rows(&value).len(), format!("/queue?{}", shown.query()))
        }
    };
    let many = if COUNTED_MAX <= count { "sure-many" } else { "sure-count" };
    let question = format!("{} {}", f.w(&format!("sure-{what}")), f.lang.count(many, count as u64));
    let fields = ["mail", "domain", "org", "lane"].map(|name| (name, query.text(name).to_owned()));
    let fields = fields.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    Ok(show(StatusCode::OK, visitor.lang, &Sure { f, what, question, fields, back }))
}

/// `POST /queue`
pub(super) async fn act(State(shared): Door, sent: Sent) -> Result<Response, Response> {
    let fields = &sent.fields;
    let mail = fields.text("mail").parse::<u64>().ok();
    let which = mail.map_or_else(|| Which::Those(those(fields)), Which::Mail);
    let (request, done) = match fields.text("what") {
        "retry" => (Request::QueueRetry { which }, "queue-retry"),
        "hold" => (Request::QueueHold { which }, "queue-hold"),
        "release" => (Request::QueueRelease { which }, "queue-release"),
        "drop" => (Request::QueueDrop { which }, "queue-drop"),
        _ => return Err(trouble::nothing(sent.visitor.frame(&shared, Screen::Queue))),
    };
    // A dropped message has no page any more.
    let to = match mail.filter(|_| done != "queue-drop") {
        Some(mail) => format!("/queue/{mail}"),
        None => format!("/queue?{}", Shown::of(fields).query()),
    };
    sent.visitor.act(&shared, Screen::Queue, request, (&to, done)).await
}

impl Sure {
    fn is_drop(&self) -> bool {
        self.what == "drop"
    }

    /// The key of the word for a field.
    fn field(&self, name: &str) -> &'static str {
        match name {
            "mail" => "mail",
            "domain" => "recipient-domain",
            "lane" => "lane",
            _ => "org",
        }
    }
}

fn those(fields: &Fields) -> Those {
    Those { domain: fields.given("domain"), org: fields.given("org"), lane: fields.given("lane") }
}

impl Shown {
    fn of(fields: &Fields) -> Self {
        let text = |name: &str| fields.text(name).to_owned();
        Self { domain: text("domain"), org: text("org"), lane: text("lane") }
    }

    /// Nothing narrows it.
    fn is_all(&self) -> bool {
        self.domain.is_empty() && self.org.is_empty() && self.lane.is_empty()
    }

    fn query(&self) -> String {
        let Self { domain, org, lane } = self;
        format!("domain={}&org={}&lane={}", encoded(domain), encoded(org), encoded(lane))
    }
}

fn row(entry: &Value, f: &Frame) -> Row {
    let is_held = entry["lane"] == "held";
    Row {
        mail: number(entry, "mail"),
        recipient: text(entry, "recipient").to_owned(),
        from: text(entry, "mail_from").to_owned(),
        org: text(entry, "org").to_owned(),
        stream: f.lang.find(&format!("stream-{}", text(entry, "stream"))).unwrap_or_default(),
        lane: f.w(&format!("lane-{}", text(entry, "lane"))),
        attempts: f.number(&number(entry, "attempts")),
        next: if is_held { "–".to_owned() } else { f.time(&number(entry, "next_at")) },
        note: note(text(entry, "note"), f),
        since: entry["received_at"].as_u64().map(|at| f.ago(&at)).unwrap_or_default(),
    }
}

fn sum(row: &Value, field: &str, f: &Frame) -> Sum {
    let name = text(row, "name");
    let count = |key: &str| f.number(&number(row, key));
    Sum {
        name: name.to_owned(),
        path: format!("/queue?{field}={}", encoded(name)),
        normal: count("normal"),
        slow: count("slow"),
        held: count("held"),
        oldest: f.ago(&number(row, "oldest_at")),
        next: row["next_at"].as_u64().map_or_else(|| "–".to_owned(), |at| f.time(&at)),
        note: note(text(row, "note"), f),
    }
}

/// Notes of ours in the language of the page; those of servers as they said them.
fn note(note: &str, f: &Frame) -> Piece {
    if let Some(failure) = LocalFailure::noted(note) {
        return ours(failure, f.lang);
    }
    // Before the colon stands why the rules stop it; a server's answer begins with its code.
    let words = match note.split_once(": ") {
        Some(("sender-blocked", _)) => Some(f.w("note-sender-blocked")),
        Some(("held", "by a person")) => Some(f.w("note-held")),
        Some(("released", "by a person")) => Some(f.w("note-released")),
        Some(("released", _)) => Some(f.w("note-let-go")),
        // How many say so is what a person wants to know before anything else.
        Some(("federated", said)) => said.split(' ').next().and_then(|nodes| nodes.parse().ok()).map(|nodes| {
            let key = if said.contains("the domain") { "note-federated-domain" } else { "note-federated" };
            f.lang.count(key, nodes)
        }),
        Some((why, _)) => f.lang.find(&format!("stop-{}", why.trim_end_matches("-by-org"))),
        None => None,
    };
    match words {
        Some(text) => Piece { text, lang: "" },
        None => Piece { text: note.to_owned(), lang: "mul" },
    }
}

fn facts(value: &Value, f: &Frame) -> Vec<(String, String)> {
    if value.is_null() {
        return Vec::new();
    }
    let mut facts = vec![
        (f.w("org"), text(value, "org").to_owned()),
        (f.w("stream"), f.w(&format!("stream-{}", text(value, "stream")))),
        (f.w("mail-from"), Some(text(value, "mail_from")).filter(|from| !from.is_empty()).unwrap_or("<>").to_owned()),
        (f.w("received-at"), f.time(&number(value, "received_at"))),
        (f.w("octets"), f.number(&number(value, "octets"))),
    ];
    for (key, name) in [("login", "login"), ("message-id", "message_id")] {
        if let Some(text) = value[name].as_str() {
            facts.push((f.w(key), text.to_owned()));
        }
    }
    if let Some(text) = value["stream_known_by"].as_str() {
        facts.push((f.w("stream-known-by"), known_by(text, f)));
    }
    facts
}

/// What told the kind of a mail: the send log has it in the words of the rules.
fn known_by(text: &str, f: &Frame) -> String {
    let by = StreamBy::ALL.iter().find(|by| text.ends_with(why(**by)));
    by.map_or_else(|| text.to_owned(), |by| f.w(&format!("known-by-{}", by.as_str())))
}

fn line(entry: &Value, f: &Frame) -> Line {
    let kind = text(entry, "kind");
    let reply = match kind {
        "accepted" => Piece { text: known_by(text(entry, "text"), f), lang: "" },
        _ => reply(entry, f.lang),
    };
    Line {
        at: number(entry, "at"),
        word: f.lang.find(&format!("kind-{kind}")).unwrap_or_else(|| kind.to_owned()),
        recipient: text(entry, "recipient").to_owned(),
        server: text(entry, "mx").to_owned(),
        stage: entry["stage"].as_str().map(|stage| f.w(&format!("stage-{stage}"))).unwrap_or_default(),
        reply,
        rule: text(entry, "rule").to_owned(),
        exit: text(entry, "exit").to_owned(),
    }
}

/// What can be done with mail that waits.
const WHATS: [&str; 4] = ["retry", "hold", "release", "drop"];
const LANES: [&str; 3] = ["normal", "slow", "held"];
/// Recipients of one page.
const ROWS_MAX: usize = 50;
/// Recipients that are counted before somebody is asked.
const COUNTED_MAX: usize = 10_000;
