//! The records that the DNS must have, to be copied, and on request whether it has them.

use std::pin::Pin;
use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;
use sm2tp_rules::proposed;
use sm2tp_store::dkim::{self, Published};

use super::asks::{list, rows, text};
use super::form::{Fields, encoded};
use super::frame::{Frame, Screen, show};
use super::visitor::Visitor;
use crate::control::Request;
use crate::http::{Door, Shared};

/// Asks the DNS for the texts under a name: the doors know no resolver.
pub type Texts = Arc<dyn Fn(String) -> Pin<Box<dyn Future<Output = Result<Vec<String>, String>> + Send>> + Send + Sync>;

#[derive(Template)]
#[template(path = "web/dns.html")]
struct Page {
    f: Frame,
    domains: Vec<Domain>,
    /// Of the machine; empty for who sees one organisation.
    own: Vec<Record>,
}

struct Domain {
    name: String,
    path: String,
    records: Vec<Record>,
    has_key: bool,
}

struct Record {
    /// What it is, in the language of the page.
    word: String,
    kind: &'static str,
    name: String,
    value: String,
    /// Class and words of what the DNS says; empty where it was not asked.
    found: Option<(&'static str, String)>,
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
        let mut domain = domain(name, &keys, &shared, &f);
        if name == wanted {
            for record in &mut domain.records {
                record.found = Some(found(record, &shared, &f).await);
            }
        }
        domains.push(domain);
    }
    let own = if visitor.person.role.org().is_none() { own(&shared, &f) } else { Vec::new() };
    Ok(show(StatusCode::OK, visitor.lang, &Page { f, domains, own }))
}

fn domain(name: &str, keys: &Value, shared: &Shared, f: &Frame) -> Domain {
    let host = &shared.house.hostname;
    let of_domain = rows(keys).iter().filter(|key| text(key, "domain") == name);
    let mut records: Vec<Record> = of_domain
        .map(|key| Record {
            word: f.s("dns-dkim", "state", &f.w(&format!("dkim-{}", text(key, "state")))),
            kind: "TXT",
            name: text(&key["record"], "name").to_owned(),
            value: text(&key["record"], "value").to_owned(),
            found: None,
        })
        .collect();
    let has_key = !records.is_empty();
    records.push(Record {
        word: f.w("dns-spf"),
        kind: "TXT",
        name: name.to_owned(),
        value: proposed::spf(proposed::Name::Domain, host, &shared.exits),
        found: None,
    });
    records.push(Record {
        word: f.w("dns-dmarc"),
        kind: "TXT",
        name: format!("_dmarc.{name}"),
        value: proposed::dmarc(name, None),
        found: None,
    });
    Domain { name: name.to_owned(), path: format!("/dns?check={}", encoded(name)), records, has_key }
}

/// What the machine itself needs; the addresses are known to who rents them.
fn own(shared: &Shared, f: &Frame) -> Vec<Record> {
    let host = shared.house.hostname.to_string();
    let mut records = vec![
        Record { word: f.w("dns-address"), kind: "A, AAAA", name: host.clone(), value: f.w("dns-exits"), found: None },
        Record { word: f.w("dns-reverse"), kind: "PTR", name: f.w("dns-exits"), value: host.clone(), found: None },
    ];
    if let Some(back) = &shared.house.returns {
        let domain = back.domain.to_string();
        records.push(Record {
            word: f.w("dns-returns"),
            kind: "MX",
            name: domain.clone(),
            value: format!("10 {host}"),
            found: None,
        });
        records.push(Record {
            word: f.w("dns-spf"),
            kind: "TXT",
            name: domain,
            value: proposed::spf(proposed::Name::Own, &host, &shared.exits),
            found: None,
        });
    }
    records
}

async fn found(record: &Record, shared: &Shared, f: &Frame) -> (&'static str, String) {
    match (shared.texts)(record.name.clone()).await {
        Ok(texts) => judged(record, &texts, f),
        Err(error) => ("light-amber", format!("{} {error}", f.label("dns-no-answer"))),
    }
}

/// A DKIM record must be ours; of the others it is enough that there is one, since it may say more than ours.
fn judged(record: &Record, texts: &[String], f: &Frame) -> (&'static str, String) {
    let begins = record.value.split([' ', ';']).next().unwrap_or_default();
    if begins == "v=DKIM1" {
        let key = dkim::Record { name: record.name.clone(), value: record.value.clone() };
        return match key.compare(texts) {
            Published::Equal => ("light-green", f.w("dns-equal")),
            Published::Missing => ("light-slow", f.w("dns-missing")),
            _ => ("light-slow", format!("{} {}", f.label("dns-other"), texts.join(" · "))),
        };
    }
    let plain = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
    match texts.iter().find(|text| text.starts_with(begins)) {
        Some(text) if plain(text) == plain(&record.value) => ("light-green", f.w("dns-equal")),
        Some(text) => ("light-fair", format!("{} {text}", f.label("dns-other"))),
        None => ("light-slow", f.w("dns-missing")),
    }
}

/// A page of a few hundred records is read by nobody; the command line has all.
const DOMAINS_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Lang;

    #[track_caller]
    fn check(value: &str, texts: &[&str], want: &str) {
        let f = Frame {
            lang: Lang::En,
            hostname: "relay.example.org".into(),
            here: Screen::Dns,
            person: None,
            form_token: String::new(),
            done: String::new(),
            now: 0,
        };
        let (word, name) = (String::new(), String::new());
        let record = Record { word, kind: "TXT", name, value: value.to_owned(), found: None };
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        assert_eq!(judged(&record, &texts, &f).0, want, "{texts:?}");
    }

    #[test]
    fn a_key_must_be_ours_and_may_be_written_otherwise() {
        let ours = "v=DKIM1; k=rsa; p=abc/def";
        for same in [ours, "v=DKIM1;k=rsa;p=abc/ def", "k=rsa; p=abc/def", "v=DKIM1; p=abc/def; k=rsa; s=email"] {
            check(ours, &[same], "light-green");
        }
        for other in [&["v=DKIM1; k=rsa; p=xyz"][..], &["v=DKIM1; p="], &[ours, ours], &[]] {
            check(ours, other, "light-slow");
        }
    }

    #[test]
    fn of_other_records_it_is_enough_that_there_is_one() {
        let ours = "v=spf1 a:relay.example.org ~all";
        check(ours, &["site=1", "v=spf1  a:relay.example.org ~all"], "light-green");
        check(ours, &["site=1", "v=spf1 mx -all"], "light-fair");
        check(ours, &["site=1"], "light-slow");
    }
}
