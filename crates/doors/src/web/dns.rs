//! The records that the DNS must have, to be copied, and on request whether it has them.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;

use super::asks::{list, rows, text};
use super::form::{Fields, encoded};
use super::frame::{Frame, Screen, show};
use super::incoming::{self, Found};
use super::records::{self, Record};
use super::visitor::Visitor;
use crate::control::Request;
use crate::http::{Door, Shared};

#[derive(Template)]
#[template(path = "web/dns.html")]
struct Page {
    f: Frame,
    domains: Vec<Domain>,
    /// Of the machine; empty for who sees one organisation.
    own: Vec<Record>,
    own_path: String,
}

struct Domain {
    name: String,
    path: String,
    /// Of who sends under its name.
    records: Vec<Record>,
    has_key: bool,
    /// Of its own mail servers: how others are to meet them.
    incoming: Vec<Record>,
    policy: String,
    /// How its MTA-STS is; none where it was not asked.
    now: Option<Found>,
    is_asked: bool,
}

/// `GET /dns?check=DOMAIN`
pub(super) async fn page(State(shared): Door, visitor: Visitor, query: Fields) -> Result<Response, Response> {
    let keys = visitor.ask_for(&shared, Screen::Dns, Request::DkimList { domain: None }).await?;
    let orgs = visitor.ask_for(&shared, Screen::Dns, Request::OrgList).await?;
    let f = visitor.frame(&shared, Screen::Dns);
    let hosted = rows(&orgs).iter().flat_map(|org| list(org, "domains"));
    let mut names: Vec<&str> = hosted.filter_map(Value::as_str).collect();
    names.extend(rows(&keys).iter().map(|key| text(key, "domain")));
    names.sort_unstable();
    names.dedup();
    let wanted = query.text("check");
    let mut domains = Vec::new();
    for name in names.into_iter().take(DOMAINS_MAX) {
        domains.push(domain(name, &keys, (&shared, &f), name == wanted).await);
    }
    let mut own = Vec::new();
    if visitor.person.role.org().is_none() {
        own = records::own(&shared, &f);
        if wanted == &*shared.house.hostname {
            records::look(&mut own, &shared, &f).await;
        }
    }
    let own_path = format!("/dns?check={}", encoded(&shared.house.hostname));
    Ok(show(StatusCode::OK, visitor.lang, &Page { f, domains, own, own_path }))
}

async fn domain(name: &str, keys: &Value, (shared, f): (&Shared, &Frame), is_asked: bool) -> Domain {
    let mut records = records::keys(name, keys, f);
    let has_key = !records.is_empty();
    records.extend(records::sender(name, shared, f));
    let (mut incoming, mut hosts, mut now) = (records::incoming(name, f), Vec::new(), None);
    if is_asked {
        let records = async {
            records::look(&mut records, shared, f).await;
            records::look(&mut incoming, shared, f).await;
            hosts = records::mail_hosts(name, shared).await;
        };
        now = Some(tokio::join!(records, incoming::look(name, shared, f)).1);
    }
    let policy = records::policy(&hosts, f);
    let path = format!("/dns?check={}", encoded(name));
    Domain { name: name.to_owned(), path, records, has_key, incoming, policy, now, is_asked }
}

/// A page of a few hundred records is read by nobody; the command line has all.
const DOMAINS_MAX: usize = 100;
