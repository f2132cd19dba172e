//! One operation of the interface: where it is, what it takes, what the node is asked for it, and what comes back.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::schema::{Field, Schema};
use crate::control::stats;

/// An operation. The table of all of them makes the routes and the OpenAPI document.
#[derive(Clone, Copy)]
pub(super) struct Operation {
    pub method: Method,
    /// Behind `/api/v1`; parameters stand in braces.
    pub path: &'static str,
    /// Its name in the document and in programs that are made of it.
    pub id: &'static str,
    /// What a token must be allowed; none: nothing but to be one.
    pub scope: Option<&'static str>,
    pub summary: &'static str,
    /// The parameters of the path, in its order.
    pub path_fields: &'static [Field],
    pub query: &'static [Field],
    /// Fields of the request's head that are read.
    pub headers: &'static [Field],
    pub body: Body,
    pub work: Work,
    pub answer: Answer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

/// What a request carries.
#[derive(Clone, Copy)]
pub(super) enum Body {
    Nothing,
    /// A JSON object with these fields, of so many octets at most.
    Json(&'static [Field], usize),
    /// The same, as large as a message may be.
    Mail(&'static [Field]),
    /// A message of RFC 5322.
    Message,
    /// Lines of a log, of so many octets at most.
    Lines(usize),
}

/// What is done.
#[derive(Clone, Copy)]
pub(super) enum Work {
    /// A control request of this name, made of what was given: path, query and body together.
    Ask(&'static str, Shape),
    /// Who the token is.
    Own,
    /// Mail is handed in, in parts or as it is.
    Mail,
    /// What happens, for as long as the client looks.
    Tail,
    /// Results of an old log are counted.
    Log,
}

/// Makes the fields of a control request.
pub(super) type Shape = fn(Given) -> Result<Given, &'static str>;
/// What was given, checked.
pub(super) type Given = Map<String, Value>;

/// What comes back.
#[derive(Clone, Copy)]
pub(super) enum Answer {
    /// As the command line prints it with `--json`.
    One(Schema),
    /// Server-Sent Events.
    Events,
    /// A page: `items` and `next`, the cursor of the next page or null. `of`: the field of the answer that is the list; none:
    /// the answer is it. `after` says what a cursor stands for.
    Page { of: Option<&'static str>, item: Schema, after: After },
}

/// Where the next page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// Behind the entry that has these values in these fields; the list is whole, and is put in their order.
    Fields(&'static [&'static str]),
    /// The node cuts pages itself: behind this mail and recipient.
    Recipient,
    /// Behind the line with this number, towards older ones.
    Line,
    /// Where the answer says.
    Told,
}

const fn operation(method: Method, path: &'static str, id: &'static str, summary: &'static str) -> Operation {
    Operation {
        method,
        path,
        id,
        scope: None,
        summary,
        path_fields: &[],
        query: &[],
        headers: &[],
        body: Body::Nothing,
        work: Work::Own,
        answer: Answer::One(Schema::Map),
    }
}

pub(super) const fn get(path: &'static str, id: &'static str, summary: &'static str) -> Operation {
    operation(Method::Get, path, id, summary)
}

pub(super) const fn post(path: &'static str, id: &'static str, summary: &'static str) -> Operation {
    operation(Method::Post, path, id, summary)
}

pub(super) const fn put(path: &'static str, id: &'static str, summary: &'static str) -> Operation {
    operation(Method::Put, path, id, summary)
}

pub(super) const fn patch(path: &'static str, id: &'static str, summary: &'static str) -> Operation {
    operation(Method::Patch, path, id, summary)
}

pub(super) const fn delete(path: &'static str, id: &'static str, summary: &'static str) -> Operation {
    operation(Method::Delete, path, id, summary)
}

impl Operation {
    pub(super) const fn scope(self, scope: &'static str) -> Self {
        Self { scope: Some(scope), ..self }
    }

    pub(super) const fn at(self, path_fields: &'static [Field]) -> Self {
        Self { path_fields, ..self }
    }

    pub(super) const fn query(self, query: &'static [Field]) -> Self {
        Self { query, ..self }
    }

    pub(super) const fn takes(self, fields: &'static [Field]) -> Self {
        Self { body: Body::Json(fields, BODY_OCTETS_MAX), ..self }
    }

    pub(super) const fn takes_much(self, fields: &'static [Field]) -> Self {
        Self { body: Body::Json(fields, LONG_BODY_OCTETS_MAX), ..self }
    }

    /// A mail in these parts.
    pub(super) const fn takes_mail(self, fields: &'static [Field], headers: &'static [Field]) -> Self {
        Self { body: Body::Mail(fields), headers, work: Work::Mail, ..self }
    }

    /// A message as it is.
    pub(super) const fn takes_message(self, headers: &'static [Field]) -> Self {
        Self { body: Body::Message, headers, work: Work::Mail, ..self }
    }

    /// Lines of a log.
    pub(super) const fn takes_log(self) -> Self {
        Self { body: Body::Lines(LOG_OCTETS_MAX), work: Work::Log, ..self }
    }

    /// What happens, as events.
    pub(super) const fn tails(self, headers: &'static [Field]) -> Self {
        Self { headers, work: Work::Tail, answer: Answer::Events, ..self }
    }

    pub(super) const fn asks(self, request: &'static str, shape: Shape) -> Self {
        Self { work: Work::Ask(request, shape), ..self }
    }

    pub(super) const fn one(self, schema: Schema) -> Self {
        Self { answer: Answer::One(schema), ..self }
    }

    pub(super) const fn page(self, of: Option<&'static str>, item: Schema, after: After) -> Self {
        Self { answer: Answer::Page { of, item, after }, ..self }
    }
}

impl Operation {
    /// The status of a yes.
    pub(super) fn success(&self) -> StatusCode {
        match self.work {
            Work::Mail => StatusCode::ACCEPTED,
            Work::Ask("token-new" | "webhook-new", _) => StatusCode::CREATED,
            _ => StatusCode::OK,
        }
    }
}

impl Method {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Post => "post",
            Self::Put => "put",
            Self::Patch => "patch",
            Self::Delete => "delete",
        }
    }
}

/// As it was given.
pub(super) fn same(given: Given) -> Result<Given, &'static str> {
    Ok(given)
}

/// All of it under one name.
fn under(name: &str, given: Given) -> Given {
    Map::from_iter([(name.to_owned(), Value::Object(given))])
}

pub(super) fn entry(given: Given) -> Result<Given, &'static str> {
    Ok(under("entry", given))
}

pub(super) fn import(given: Given) -> Result<Given, &'static str> {
    Ok(under("import", given))
}

/// As it was wanted; null is no list.
pub(super) fn webhook(mut given: Given) -> Result<Given, &'static str> {
    given.retain(|_, value| !value.is_null());
    Ok(under("wanted", given))
}

pub(super) fn token(given: Given) -> Result<Given, &'static str> {
    Ok(under("wanted", given))
}

pub(super) fn providers(mut given: Given) -> Result<Given, &'static str> {
    let days = given.remove("days").filter(|days| !days.is_null()).unwrap_or_else(|| stats::DAYS.into());
    given.insert("days".to_owned(), days);
    Ok(given)
}

/// Logins with the place of each in the list, by which refused ones are named.
pub(super) fn hashed(mut given: Given) -> Result<Given, &'static str> {
    let logins = given.get_mut("logins").and_then(Value::as_array_mut);
    for (place, login) in logins.into_iter().flatten().enumerate() {
        if let Some(fields) = login.as_object_mut() {
            fields.insert("line".to_owned(), (place + 1).into());
        }
    }
    Ok(given)
}

pub(super) fn key_show(_: Given) -> Result<Given, &'static str> {
    Ok(Map::from_iter([("wanted".to_owned(), json!({ "key": "show" }))]))
}

pub(super) fn key_rotate(given: Given) -> Result<Given, &'static str> {
    Ok(key("rotate", &given))
}

pub(super) fn key_tag(given: Given) -> Result<Given, &'static str> {
    Ok(key("tag", &given))
}

fn key(which: &str, given: &Given) -> Given {
    let wait_s = given.get("wait_s").and_then(Value::as_u64).unwrap_or(TWO_DAYS_S);
    Map::from_iter([("wanted".to_owned(), json!({ "key": which, "wait_s": wait_s }))])
}

pub(super) fn key_export(given: Given) -> Result<Given, &'static str> {
    let retired = given.get("retired").is_some_and(|retired| *retired == true);
    Ok(Map::from_iter([("wanted".to_owned(), json!({ "key": "export", "retired": retired }))]))
}

pub(super) fn key_import(mut given: Given) -> Result<Given, &'static str> {
    let text = given.remove("descriptor").unwrap_or_default();
    Ok(Map::from_iter([("wanted".to_owned(), json!({ "key": "import", "text": text }))]))
}

pub(super) fn account_add(given: Given) -> Result<Given, &'static str> {
    Ok(account("add", given))
}

pub(super) fn account_role(given: Given) -> Result<Given, &'static str> {
    Ok(account("role", given))
}

pub(super) fn account_password(given: Given) -> Result<Given, &'static str> {
    Ok(account("password", given))
}

pub(super) fn account_factor_off(given: Given) -> Result<Given, &'static str> {
    Ok(account("factor-off", given))
}

pub(super) fn account_logout(given: Given) -> Result<Given, &'static str> {
    Ok(account("logout", given))
}

pub(super) fn account_remove(given: Given) -> Result<Given, &'static str> {
    Ok(account("remove", given))
}

fn account(what: &str, given: Given) -> Given {
    Map::from_iter([("change".to_owned(), json!({ what: given }))])
}

/// One mail by its number.
pub(super) fn mail(mut given: Given) -> Result<Given, &'static str> {
    let mail = given.remove("mail").unwrap_or_default();
    Ok(Map::from_iter([("which".to_owned(), json!({ "mail": mail }))]))
}

/// Mail by what it has in common. Whoever names nothing has to say that all is meant.
pub(super) fn those(mut given: Given) -> Result<Given, &'static str> {
    let all = given.remove("all").is_some_and(|all| all == true);
    given.retain(|_, value| !value.is_null());
    match (all, given.is_empty()) {
        (true, false) => Err("all is for the whole queue: without domain, org and lane"),
        (false, true) => Err("name domain, org or lane, or say all"),
        _ => Ok(Map::from_iter([("which".to_owned(), json!({ "those": given }))])),
    }
}

/// A way out with a note, if there is one.
pub(super) fn exit(mut given: Given) -> Result<Given, &'static str> {
    given.retain(|_, value| !value.is_null());
    Ok(given)
}

/// A page of the queue.
pub(super) fn queue(mut given: Given) -> Result<Given, &'static str> {
    let mut asked = Map::new();
    for key in ["after", "after_index", "limit"] {
        asked.extend(given.remove_entry(key));
    }
    asked.insert("those".to_owned(), Value::Object(given));
    Ok(asked)
}

/// Of the sender that the path names.
fn who(given: &mut Given) -> Value {
    json!({ "sender": given.remove("sender"), "org": given.remove("org") })
}

pub(super) fn sender(mut given: Given) -> Result<Given, &'static str> {
    let who = who(&mut given);
    given.insert("who".to_owned(), who);
    Ok(given)
}

pub(super) fn slow(given: Given) -> Result<Given, &'static str> {
    decided(given, json!("slow"))
}

pub(super) fn block(given: Given) -> Result<Given, &'static str> {
    decided(given, json!("block"))
}

pub(super) fn release(mut given: Given) -> Result<Given, &'static str> {
    let was = given.remove("was").unwrap_or_default();
    let waiting = given.remove("waiting").filter(|waiting| !waiting.is_null());
    // As the command line has it: what was normal goes on, and what was mended waits for another look.
    let waiting = waiting.unwrap_or_else(|| if was == "normal" { json!("send") } else { json!("keep") });
    decided(given, json!({ "release": { "was": was, "waiting": waiting } }))
}

fn decided(mut given: Given, deciding: Value) -> Result<Given, &'static str> {
    given.insert("deciding".to_owned(), deciding);
    noted(given)
}

pub(super) fn noted(mut given: Given) -> Result<Given, &'static str> {
    let note = given.remove("note").filter(|note| !note.is_null()).unwrap_or_else(|| "".into());
    given.insert("note".to_owned(), note);
    sender(given)
}

pub(super) fn senders(mut given: Given) -> Result<Given, &'static str> {
    let all = given.remove("all").is_some_and(|all| all == true);
    Ok(Map::from_iter([("only".to_owned(), if all { "everybody" } else { "unusual" }.into())]))
}

/// A change of limits: null takes one away, what is not there stays.
pub(super) fn limits(mut given: Given) -> Result<Given, &'static str> {
    let mut asked = Map::new();
    for key in ["name", "login"] {
        asked.extend(given.remove_entry(key));
    }
    for (name, value) in &mut given {
        let kept = matches!(&name[..], "addresses" | "own_addresses_only");
        *value = match value.take() {
            Value::Null if name == "addresses" => json!([]),
            Value::Null if kept => Value::Null,
            Value::Null => json!("none"),
            value if kept => value,
            value => json!({ "to": value }),
        };
    }
    asked.insert("change".to_owned(), Value::Object(given));
    Ok(asked)
}

/// A change of what an organisation wants of mail that comes back; an empty contact is none.
pub(super) fn returns(mut given: Given) -> Result<Given, &'static str> {
    let name = given.remove("name").unwrap_or_default();
    if given.get("contact").is_some_and(Value::is_null) {
        given.insert("contact".to_owned(), "".into());
    }
    Ok(Map::from_iter([("name".to_owned(), name), ("change".to_owned(), Value::Object(given))]))
}

/// Nothing is changed.
pub(super) fn unchanged(mut given: Given) -> Result<Given, &'static str> {
    given.insert("change".to_owned(), json!({}));
    Ok(given)
}

pub(super) fn rules(mut given: Given) -> Result<Given, &'static str> {
    let name = given.remove("name").unwrap_or_default();
    let reset = given.remove("reset").is_some_and(|reset| reset == true);
    given.retain(|_, value| !value.is_null());
    Ok(Map::from_iter([
        ("name".to_owned(), name),
        ("reset".to_owned(), reset.into()),
        ("change".to_owned(), Value::Object(given)),
    ]))
}

pub(super) fn rules_unchanged(mut given: Given) -> Result<Given, &'static str> {
    given.insert("reset".to_owned(), false.into());
    unchanged(given)
}

/// Full weight, and read, where nothing else is said.
pub(super) fn peer(mut given: Given) -> Result<Given, &'static str> {
    given.retain(|_, value| !value.is_null());
    given.entry("weight").or_insert_with(|| 1.0.into());
    given.entry("read").or_insert_with(|| true.into());
    Ok(given)
}

pub(super) fn trust(mut given: Given) -> Result<Given, &'static str> {
    let who = given.remove("who").unwrap_or_default();
    given.retain(|_, value| !value.is_null());
    let trust = match given.remove("take") {
        Some(take) if given.is_empty() => json!({ "what": take }),
        Some(_) => return Err("take-parked and forgive stand alone"),
        None if given.is_empty() => return Err("name weight, read or take"),
        None => json!({ "what": "weigh", "weight": given.remove("weight"), "read": given.remove("read") }),
    };
    Ok(Map::from_iter([("who".to_owned(), who), ("trust".to_owned(), trust)]))
}

pub(super) fn dkim_rotate(mut given: Given) -> Result<Given, &'static str> {
    given.retain(|_, value| !value.is_null());
    given.entry("wait_s").or_insert_with(|| TWO_DAYS_S.into());
    Ok(given)
}

pub(super) fn dkim_remove(mut given: Given) -> Result<Given, &'static str> {
    given.entry("which").or_insert_with(|| "unused".into());
    Ok(given)
}

/// A line of text or two.
pub(super) const BODY_OCTETS_MAX: usize = 64 * 1024;
/// A thousand entries of a list, or a report in base64.
pub(super) const LONG_BODY_OCTETS_MAX: usize = 2 * 1024 * 1024;
/// Some fifty thousand lines; who has more cuts it between lines, or imports it beside the node.
const LOG_OCTETS_MAX: usize = 8 * 1024 * 1024;
/// Records are published by then, as with the command line.
const TWO_DAYS_S: u64 = 172_800;
