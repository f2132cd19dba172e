//! Ways out: how well each provider takes what leaves by them, who refuses them and where to ask for removal, which sites are
//! left alone for now, and on request what block lists say.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;
use sm2tp_rules::access::Area;
use sm2tp_rules::classify::Said;

use super::asks::{list, number, rows, text};
use super::form::{Fields, Sent};
use super::frame::{Frame, Screen, show};
use super::overview::{light, provider_name, rank_of};
use super::visitor::Visitor;
use crate::control::Request;
use crate::http::{Door, Shared, said};

/// Asks block lists about the addresses that mail leaves from: the doors know no resolver.
pub type Listings = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<Vec<Listing>, String>> + Send>> + Send + Sync>;

/// What a block list says of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    pub address: IpAddr,
    /// Its name in the DNS.
    pub zone: String,
    pub says: Says,
    /// Its own words, where it has some.
    pub text: String,
}

/// Whether an address is on a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    Listed,
    Fine,
    /// The list does not want to be asked from here, or the resolver makes answers up.
    Nothing,
}

#[derive(Template)]
#[template(path = "web/exits.html")]
struct Page {
    f: Frame,
    exits: Vec<Exit>,
    sites: Vec<Site>,
    sees_sites: bool,
    /// Whether who looks may pause them.
    may_change: bool,
    listings: Option<Result<Vec<Row>, String>>,
}

struct Exit {
    name: String,
    addresses: String,
    hello: String,
    is_configured: bool,
    paused: Option<Paused>,
    light: (String, String),
    came: u64,
    providers: Vec<Provider>,
    refused: Vec<Refused>,
}

/// That a person paused it: since when, and why.
struct Paused {
    since: u64,
    note: String,
}

struct Provider {
    name: String,
    came: String,
    delivered: String,
    share: String,
    light: (String, String),
    /// It refuses this exit at the moment.
    is_refusing: bool,
}

struct Refused {
    provider: String,
    since: u64,
    last_at: u64,
    count: u64,
    text: String,
    link: String,
}

/// A site that mail waits for.
pub(super) struct Site {
    pub hosts: String,
    pub exit: String,
    /// A person paused its way out.
    pub is_shut: bool,
    pub waiting: String,
    pub connections: String,
    /// Empty: it is not left alone.
    pub paused: String,
}

struct Row {
    address: String,
    zone: String,
    /// Class and word.
    says: (&'static str, String),
    text: String,
    link: String,
}

/// `GET /exits?lists=1`
pub(super) async fn page(State(shared): Door, visitor: Visitor, query: Fields) -> Result<Response, Response> {
    let value = visitor.ask_for(&shared, Screen::Exits, Request::ExitList).await?;
    let sees_sites = visitor.sees(Area::Queue);
    let f = visitor.frame(&shared, Screen::Exits).after(&query);
    let sites = if sees_sites { sites(&shared, &visitor, Screen::Exits).await? } else { Vec::new() };
    let listings = match query.given("lists") {
        Some(_) => {
            Some((shared.listings)().await.map(|found| found.iter().map(|row| listing(row, &shared, &f)).collect()))
        }
        None => None,
    };
    let exits = list(&value, "exits").iter().map(|row| exit(row, &shared, &f)).collect();
    let may_change = visitor.may_change(Area::Queue) && visitor.person.role.org().is_none();
    Ok(show(StatusCode::OK, visitor.lang, &Page { exits, sites, sees_sites, may_change, listings, f }))
}

/// `POST /exits`: pauses one, or lets mail leave by it again.
pub(super) async fn change(State(shared): Door, Sent { visitor, fields }: Sent) -> Result<Response, Response> {
    let exit = fields.text("exit").to_owned();
    let (request, done) = match fields.text("what") {
        "resume" => (Request::ExitResume { exit }, "exit-resumed"),
        _ => (Request::ExitPause { exit, note: fields.text("note").to_owned() }, "exit-paused"),
    };
    visitor.act(&shared, Screen::Exits, request, ("/exits", done)).await
}

/// The sites that mail waits for, as the relay sees them.
pub(super) async fn sites(shared: &Shared, visitor: &Visitor, here: Screen) -> Result<Vec<Site>, Response> {
    let value = visitor.ask_for(shared, here, Request::SiteList).await?;
    let f = visitor.frame(shared, here);
    let site = |row: &Value| Site {
        hosts: list(row, "hosts").iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
        exit: text(row, "exit").to_owned(),
        is_shut: row["is_shut"] == true,
        waiting: f.number(&number(row, "waiting")),
        connections: f.lang.say(
            "count-of",
            &[("count", &f.number(&number(row, "connections"))), ("of", &f.number(&number(row, "connections_max")))],
        ),
        paused: row["paused_until"].as_u64().map(|at| f.time(&at)).unwrap_or_default(),
    };
    Ok(rows(&value).iter().map(site).collect())
}

fn exit(row: &Value, shared: &Shared, f: &Frame) -> Exit {
    let configured = &row["configured"];
    let refused: Vec<Refused> = list(row, "refused").iter().map(|refused| self::refused(refused, shared)).collect();
    let mut providers: Vec<&Value> = list(row, "providers").iter().collect();
    providers
        .sort_by_key(|row| (rank_of(text(row, "provider")), std::cmp::Reverse(number(&row["sends"], "delivered"))));
    let provider = |row: &&Value| {
        let (delivered, failed) = (number(&row["sends"], "delivered"), number(&row["sends"], "failed"));
        let name = Some(text(row, "provider")).filter(|name| !name.is_empty());
        let name = name.map_or_else(|| f.w("other-providers"), |id| provider_name(shared, id));
        Provider {
            came: f.number(&(delivered + failed)),
            delivered: f.number(&delivered),
            share: said::percent(delivered, delivered + failed, f.lang),
            light: light(&row["score"], f),
            is_refusing: refused.iter().any(|refused| refused.provider == name),
            name,
        }
    };
    Exit {
        name: text(row, "exit").to_owned(),
        addresses: list(configured, "addresses").iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
        hello: text(configured, "hello").to_owned(),
        is_configured: configured.is_object(),
        paused: Some(&row["paused"])
            .filter(|pause| pause.is_object())
            .map(|pause| Paused { since: number(pause, "since"), note: text(pause, "note").to_owned() }),
        light: light(&row["score"], f),
        came: number(&row["sends"], "delivered") + number(&row["sends"], "failed"),
        providers: providers.iter().take(PROVIDERS_MAX).map(provider).collect(),
        refused,
    }
}

fn refused(row: &Value, shared: &Shared) -> Refused {
    Refused {
        provider: provider_name(shared, text(row, "provider")),
        since: number(row, "since"),
        last_at: number(row, "last_at"),
        count: number(row, "count"),
        text: text(row, "text").to_owned(),
        link: web_link(text(row, "link")),
    }
}

fn listing(row: &Listing, shared: &Shared, f: &Frame) -> Row {
    let rules = shared.house.federation.publisher.classifier.rules();
    let link = rules.classify(&Said::of_text(&row.text)).link.map(|link| link.to_string());
    Row {
        address: row.address.to_string(),
        zone: row.zone.clone(),
        says: match row.says {
            Says::Listed => ("light-slow", f.w("list-listed")),
            Says::Fine => ("light-green", f.w("list-fine")),
            Says::Nothing => ("", f.w("list-refuses")),
        },
        link: web_link(link.as_deref().unwrap_or_default()),
        text: row.text.clone(),
    }
}

/// Links stand in the words of strangers: one that is none of the web is no link.
fn web_link(link: &str) -> String {
    let is_fine = link.starts_with("https://") || link.starts_with("http://");
    if is_fine { link.to_owned() } else { String::new() }
}

/// A screen full; all others are on the page of figures.
const PROVIDERS_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_of_a_stranger_leads_to_the_web_or_nowhere() {
        assert_eq!(
            web_link("https://www.spamhaus.org/query/ip/192.0.2.1"),
            "https://www.spamhaus.org/query/ip/192.0.2.1"
        );
        for none in ["javascript:alert(1)", "data:text/html,x", "//x.example", "", "ftp://x.example"] {
            assert_eq!(web_link(none), "", "{none}");
        }
    }
}
