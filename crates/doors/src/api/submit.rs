//! Mail that a program hands in: as parts, or as it is. It goes through the SMTP door's desk, and yes is said when it is on
//! stable storage (I4, I5).

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use sm2tp_proto::Address;
use sm2tp_proto::smtp::Refusal;
use sm2tp_rules::Stream;
use sm2tp_rules::access::{Action, Area};
use sm2tp_store::accounts::Account;
use sm2tp_store::idempotency::{Begun, Idempotency, Key};
use sm2tp_store::keys;
use sm2tp_store::tokens::Token;
use sm2tp_store::told::mask;

use super::Shared;
use super::compose::Parts;
use super::operation::Given;
use super::problem::Problem;
use super::schema::Wrong;
use crate::now;
use crate::smtp::{Door, HandedIn, NotTaken};

/// Who hands in, from where.
pub(super) struct From {
    pub token: Arc<Token>,
    pub client: IpAddr,
    pub headers: HeaderMap,
}

/// A message with its envelope.
struct Mail {
    account: Account,
    sender: Option<Address>,
    /// As they were written.
    recipients: Vec<(String, Address)>,
    content: Vec<u8>,
    stream: Option<Stream>,
}

impl From {
    /// The key that the request may have, so that it is done once.
    fn key(&self) -> Result<Option<&str>, Problem> {
        let mut keys = self.headers.get_all("idempotency-key").iter();
        let Some(key) = keys.next() else { return Ok(None) };
        let text = key.to_str().ok().map(str::trim).filter(|key| (1..=KEY_OCTETS_MAX).contains(&key.len()));
        match (text, keys.next()) {
            (Some(text), None) => Ok(Some(text)),
            _ => Err(Problem::bad(format!("Idempotency-Key is one text of 1 to {KEY_OCTETS_MAX} characters"))),
        }
    }
}

/// Hands in what was said in parts.
pub(super) async fn parts(shared: &Shared, from: From, given: Given) -> Result<Response, Problem> {
    let given = Value::Object(given);
    let key = from.key()?.map(|key| Key::new(&from.token.id, key, &[given.to_string().as_bytes()]));
    let parts: Parts = serde_json::from_value(given).map_err(|error| Problem::unfit(error.to_string()))?;
    let account = account(shared, &from.token, parts.org.as_deref(), parts.stream)?;
    let random = keys::random().map_err(|error| Problem::ours(&error))?;
    let stream = parts.stream;
    let composed = parts.compose(&shared.house.hostname, &hex::encode(&random[..16]), now())?;
    let (sender, recipients) = (Some(composed.sender), composed.recipients);
    let mail = Mail { account, sender, recipients, content: composed.content, stream };
    once(shared, from.client, key, mail).await
}

/// Hands in a message as it is; its envelope stands in fields of the request, which no proxy logs.
pub(super) async fn raw(shared: &Shared, from: From, content: Vec<u8>) -> Result<Response, Problem> {
    let texts = |name: &str| -> Vec<String> {
        let values = from.headers.get_all(name).iter().filter_map(|value| std::str::from_utf8(value.as_bytes()).ok());
        values
            .flat_map(|value| value.split(','))
            .map(|text| text.trim().to_owned())
            .filter(|text| !text.is_empty())
            .collect()
    };
    let wrong = |name: &str, why: String| Problem::from(Wrong { pointer: format!("/{name}"), why });
    let parsed = |name: &str, text: &str| {
        let bare = text.strip_prefix('<').and_then(|text| text.strip_suffix('>')).unwrap_or(text);
        Address::parse(bare).map_err(|error| wrong(name, format!("is no address: {error}")))
    };
    let senders = texts("mail-from");
    let sender = match &senders[..] {
        [null] if null == "<>" => None,
        [text] => Some(parsed("mail-from", text)?),
        _ => return Err(wrong("mail-from", "is there once: one address, or <>".to_owned())),
    };
    let mut recipients: Vec<(String, Address)> = Vec::new();
    for text in texts("rcpt-to") {
        let address = parsed("rcpt-to", &text)?;
        if recipients.iter().all(|(_, known)| *known != address) {
            recipients.push((text, address));
        }
    }
    if recipients.is_empty() {
        return Err(wrong("rcpt-to", "names nobody".to_owned()));
    }
    let stream = texts("mail-stream").first().map(|word| word.parse::<Stream>()).transpose();
    let stream = stream.map_err(|error| wrong("mail-stream", error.to_string()))?;
    let account = account(shared, &from.token, texts("mail-org").first().map(String::as_str), stream)?;
    let envelope = format!("{senders:?} {:?} {stream:?}", texts("rcpt-to"));
    let key = from.key()?.map(|key| Key::new(&from.token.id, key, &[envelope.as_bytes(), &content]));
    once(shared, from.client, key, Mail { account, sender, recipients, content, stream }).await
}

/// Whose mail it is: that of the token's login or organisation; a token of the whole node names one.
fn account(shared: &Shared, token: &Token, org: Option<&str>, stream: Option<Stream>) -> Result<Account, Problem> {
    let accounts = &shared.house.accounts;
    let gone =
        || Problem::new(StatusCode::FORBIDDEN, "forbidden", "The organisation or the login of this token is gone.");
    let bound = token.rights.role.org();
    let Some(org) = org.or(bound) else {
        return Err(Wrong {
            pointer: "/org".to_owned(),
            why: "is missing: this token is of no organisation".to_owned(),
        }
        .into());
    };
    token.rights.may(Some(org), Action::change(Area::Mail))?;
    match &token.login {
        Some(login) => accounts.account(login).filter(|account| *account.org == *org).ok_or_else(gone),
        None if org == sm2tp_store::accounts::LOCAL => Ok(accounts.local(stream.unwrap_or(Stream::Personal))),
        None => accounts.of_org(org).ok_or_else(gone),
    }
}

/// Does it, or says what was said the first time.
async fn once(shared: &Shared, client: IpAddr, key: Option<Key>, mail: Mail) -> Result<Response, Problem> {
    let Some(door) = &shared.mail else {
        let detail = "This node takes no mail: its configuration has no [smtp].";
        return Err(Problem::new(StatusCode::NOT_FOUND, "not-found", detail));
    };
    let door = door.clone();
    // In a task of its own, as below: who hangs up must not keep the relay from hearing of a mail that was taken.
    let Some(key) = key else {
        let task = tokio::spawn(async move { hand_in(&door, client, mail).await });
        return Ok(said(task.await.map_err(|error| Problem::ours(&error))??, None));
    };
    let kept = Idempotency::new(shared.house.ledger.clone());
    match kept.begin(key.clone(), now()).await.map_err(|error| Problem::ours(&error))? {
        Begun::First => {}
        Begun::Done(answer) => {
            let answer = serde_json::from_str(&answer).map_err(|error| Problem::ours(&error))?;
            return Ok(said(named(&mail.recipients, answer), Some("true")));
        }
        Begun::Unknown => {
            let detail =
                "A request with this key was begun, and what came of it is not known: look whether its mail arrived.";
            return Err(Problem::new(StatusCode::CONFLICT, "unknown-outcome", detail));
        }
        Begun::OfAnother => {
            let detail = "This key was used for another request.";
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "key-reused", detail));
        }
    }
    // Nor leave a mail behind whose key knows nothing of it.
    let task = tokio::spawn(async move {
        let recipients = mail.recipients.clone();
        let done = hand_in(&door, client, mail).await;
        let answer = done.as_ref().ok().map(|value| masked(&recipients, value));
        (done, kept.end(key, answer).await)
    });
    let (done, ended) = task.await.map_err(|error| Problem::ours(&error))?;
    if let Err(error) = ended {
        tracing::error!(%error, "what became of a request could not be kept; its key does nothing any more");
    }
    Ok(said(done?, Some("false")))
}

async fn hand_in(door: &Door, client: IpAddr, mail: Mail) -> Result<Value, Problem> {
    let Mail { account, sender, recipients: named, content, stream } = mail;
    let recipients = named.iter().map(|(_, address)| address.clone()).collect();
    let handed = HandedIn { account, client, sender, recipients, content, stream };
    match door.hand_in(handed).await {
        Ok(taken) => {
            let answers = named.iter().zip(&taken.recipients);
            let answers: Vec<Value> = answers.map(|((text, _), answer)| told(text, answer.as_ref().err())).collect();
            Ok(json!({ "mail": taken.mail, "recipients": answers }))
        }
        Err(NotTaken::Mail(refusal)) => Err(refused(&refusal)),
        Err(NotTaken::Recipients(refusals)) => {
            let answers: Vec<Value> =
                named.iter().zip(&refusals).map(|((text, _), refusal)| told(text, Some(refusal))).collect();
            let later = refusals.iter().find(|refusal| refusal.code < 500);
            let whole = later.or(refusals.first()).map_or_else(Problem::not_found, refused);
            Err(Problem {
                detail: "No recipient was taken.".to_owned(),
                more: Some(Box::new(("recipients", answers.into()))),
                ..whole
            })
        }
    }
}

/// What was said to one recipient.
fn told(recipient: &str, refusal: Option<&Refusal>) -> Value {
    match refusal {
        None => json!({ "recipient": recipient, "status": "queued" }),
        Some(refusal) => json!({
            "recipient": recipient,
            "status": if refusal.code < 500 { "later" } else { "refused" },
            "code": refusal.code,
            "enhanced": refusal.enhanced.to_string(),
            "text": refusal.text,
        }),
    }
}

/// A refusal in the words of HTTP.
fn refused(refusal: &Refusal) -> Problem {
    let enhanced = refusal.enhanced.to_string();
    let detail = format!("{} {enhanced} {}", refusal.code, refusal.text);
    match refusal.code {
        552 => Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail),
        code if 500 <= code => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "refused", detail),
        _ if enhanced.starts_with("4.7.") => Problem::too_many(detail, AGAIN_S),
        _ => Problem { after_s: Some(AGAIN_S), ..Problem::new(StatusCode::SERVICE_UNAVAILABLE, "later", detail) },
    }
}

/// The answer as it may be kept: who it was about stands in the request, which comes again.
fn masked(named: &[(String, Address)], answer: &Value) -> String {
    let mut answer = answer.clone();
    for (told, (_, address)) in answer["recipients"].as_array_mut().into_iter().flatten().zip(named) {
        told["recipient"] = Value::Null;
        if let Some(text) = told["text"].as_str() {
            told["text"] = mask(text, address).into();
        }
    }
    answer.to_string()
}

fn named(named: &[(String, Address)], mut answer: Value) -> Value {
    for (told, (text, _)) in answer["recipients"].as_array_mut().into_iter().flatten().zip(named) {
        told["recipient"] = text.as_str().into();
    }
    answer
}

/// 202: it is on stable storage, and not delivered yet. `replayed` where the request had a key.
fn said(answer: Value, replayed: Option<&'static str>) -> Response {
    let mut response =
        (StatusCode::ACCEPTED, [("content-type", "application/json")], answer.to_string()).into_response();
    if let Some(replayed) = replayed {
        response.headers_mut().insert("idempotent-replayed", axum::http::HeaderValue::from_static(replayed));
    }
    response
}

const KEY_OCTETS_MAX: usize = 255;
/// What a refusal for now asks for.
const AGAIN_S: u64 = 60;
