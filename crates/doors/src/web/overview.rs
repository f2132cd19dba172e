//! The first page: what waits for a person, what left today, how well it arrives.

use std::sync::Arc;

use askama::Template;
use axum::extract::{FromRequestParts, Request as Asked, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use sm2tp_rules::access::Area;
use sm2tp_rules::alerts::Finding;
use sm2tp_store::federated::PeerState;
use sm2tp_store::spool::Depth;

use super::asks::{list, number, text};
use super::figures;
use super::form::{Fields, encoded};
use super::frame::{Frame, Screen, show};
use super::visitor::Visitor;
use crate::alerts::finding_title;
use crate::control::{Request, stats};
use crate::http::{Door, Lang, Refusal, Shared, open_page, said, waiting};

#[derive(Template)]
#[template(path = "web/overview.html")]
struct Page {
    f: Frame,
    waiting: Vec<Waits>,
    today: Vec<(String, String)>,
    /// Class and words of the light over the last weeks.
    light: (String, String),
    share: String,
    providers: Vec<Provider>,
    causes: Vec<(String, String)>,
    /// Of the whole node; empty for who sees one organisation.
    queue: Vec<(String, String)>,
    fingerprint: String,
}

/// Something that waits for a person.
struct Waits {
    word: String,
    /// In the words of the program.
    detail: String,
    lang: &'static str,
    /// Where it is decided; empty where no page does.
    path: String,
    since: String,
}

struct Provider {
    name: String,
    accepted: String,
    delivered: String,
    failed: String,
    share: String,
    light: String,
    light_word: String,
    /// Of the last weeks: the share that was delivered, and its line, day by day; empty with less than two days.
    weeks_share: String,
    line: String,
}

/// `GET /`: the overview, or on a node where nobody has an account, its state for who sits at the machine.
pub(super) async fn page(State(shared): Door, request: Asked) -> Result<Response, Refusal> {
    if shared.house.persons.is_empty() {
        return open_page(&shared, request.extensions().get().copied(), request.headers()).await;
    }
    let (mut parts, _) = request.into_parts();
    let visitor = match Visitor::from_request_parts(&mut parts, &shared).await {
        Ok(visitor) => visitor,
        Err(to_the_login) => return Ok(to_the_login),
    };
    let query = Fields::read(parts.uri.query().unwrap_or_default());
    Ok(overview(&shared, &visitor, &query).await.unwrap_or_else(|problem| problem))
}

async fn overview(shared: &Arc<Shared>, visitor: &Visitor, query: &Fields) -> Result<Response, Response> {
    let org = visitor.person.role.org().map(str::to_owned);
    let found = visitor.ask_for(shared, Screen::Overview, Request::Overview { org: org.clone() }).await?;
    let (today, weeks) = (&found["today"], &found["weeks"]);
    let f = visitor.frame(shared, Screen::Overview).after(query);
    let (lang, sends, score) = (visitor.lang, &today["sends"], &weeks["score"]);
    let line = |key: &str, count: u64| (f.w(key), said::number(count, lang));
    let whole = org.is_none();
    let (queue, waiting) = match whole {
        true => {
            let depth = shared.house.spool.depth().await;
            let depth = depth.map_err(|error| Refusal::Trouble(error.to_string()).into_response())?;
            let queue = if visitor.sees(Area::Queue) { queue(&depth, &f) } else { Vec::new() };
            (queue, waits(shared, visitor, depth.held).await.map_err(IntoResponse::into_response)?)
        }
        false => (Vec::new(), Vec::new()),
    };
    let page = Page {
        waiting,
        today: ["accepted", "delivered", "failed", "stopped", "complained"]
            .map(|kind| line(&format!("sends-{kind}"), number(sends, kind)))
            .into(),
        light: light(score, &f),
        share: said::percent(number(&score["bounces"], "count"), number(&score["bounces"], "of"), lang),
        providers: providers(today, weeks, shared, &f),
        causes: list(today, "causes")
            .iter()
            .map(|cause| line(&format!("cause-{}", text(cause, "cause")), number(cause, "count")))
            .collect(),
        queue,
        fingerprint: if whole { shared.house.federation.publisher.own.fingerprint() } else { String::new() },
        f,
    };
    Ok(show(StatusCode::OK, lang, &page))
}

fn queue(depth: &Depth, f: &Frame) -> Vec<(String, String)> {
    let line = |key: &str, count: u64| (f.w(key), f.number(&count));
    let mut lines = vec![
        line("lane-normal", depth.normal),
        line("lane-slow", depth.slow),
        line("lane-held", depth.held),
        line("outbox", depth.outbox),
    ];
    if depth.oldest_at != 0 {
        lines.push((f.w("oldest"), f.ago(&depth.oldest_at)));
    }
    lines
}

/// Decisions first, then what is wrong and was not among them.
async fn waits(shared: &Shared, visitor: &Visitor, held: u64) -> Result<Vec<Waits>, Refusal> {
    let (house, lang, now) = (&shared.house, visitor.lang, crate::now());
    let is_new = house.accounts.orgs().is_empty() && visitor.may_change(Area::Orgs);
    let start = is_new.then(|| Waits {
        word: lang.word("start-first"),
        detail: String::new(),
        lang: "",
        path: "/setup/next".to_owned(),
        since: String::new(),
    });
    let mut found: Vec<Waits> = waiting(house)
        .into_iter()
        .map(|waiting| Waits {
            word: lang.word(&format!("waiting-{}", waiting.kind)),
            // The page behind the link says it better than the name of a command.
            detail: if waiting.kind == "rules" { waiting.detail } else { String::new() },
            lang: "en",
            path: match waiting.kind {
                "sender" => "/senders".to_owned(),
                "breaker" => "/alerts".to_owned(),
                "exit" => "/exits".to_owned(),
                _ => String::new(),
            },
            since: waiting.since.map(|at| said::ago(at, now, lang)).unwrap_or_default(),
        })
        .collect();
    found.splice(0..0, start);
    let asking = house.federation.store.peers().await?.into_iter().filter(|peer| peer.state == PeerState::Asking);
    found.extend(asking.map(|peer| Waits {
        word: lang.word("waiting-peer"),
        detail: format!("{} ({})", peer.name, peer.node.fingerprint()),
        lang: "mul",
        path: format!("/federation/peer?who={}", encoded(&peer.node.fingerprint())),
        since: said::ago(peer.added_at, now, lang),
    }));
    if held != 0 {
        found.push(Waits {
            word: lang.count("waiting-held", held),
            detail: String::new(),
            lang: "",
            path: "/queue?lane=held".to_owned(),
            since: String::new(),
        });
    }
    let incidents = house.alerts.store.incidents().await.map_err(|error| Refusal::Trouble(error.to_string()))?;
    let open = incidents.into_iter().filter(|(_, incident)| incident.closed_at.is_none());
    // These three are above already, with what there is to decide.
    let others = open.filter(|(key, _)| !["rules", "breaker", "sender"].iter().any(|kind| key.starts_with(kind)));
    found.extend(others.map(|(_, incident)| Waits {
        word: title(incident.finding, incident.opened_at, shared, lang),
        detail: String::new(),
        lang: "",
        path: "/alerts".to_owned(),
        since: said::ago(incident.opened_at, now, lang),
    }));
    Ok(found)
}

/// Those that people ask for come first, in this order, whether or not mail went there; the others as much as they were sent to.
fn providers(today: &Value, weeks: &Value, shared: &Shared, f: &Frame) -> Vec<Provider> {
    let of = |list: &'static str, id: &str| found_in(weeks, list, id);
    let mut others: Vec<&Value> = list(today, "providers").iter().filter(|row| rank(row) == NAMED.len()).collect();
    others.retain(|row| !text(row, "name").is_empty());
    others.sort_by_key(|row| std::cmp::Reverse(number(&row["sends"], "accepted")));
    let times = figures::times(stats::since(stats::DAYS), f.now, figures::DAY_S);
    // Of a single day there is no line to be seen.
    let curve = |row: &Value| figures::curve(row, &times);
    let provider = |id: &str| {
        let row = found_in(today, "providers", id).unwrap_or(&Value::Null);
        let over = of("providers", id);
        let sends = over.map_or(&Value::Null, |week| &week["sends"]);
        let ended = number(sends, "delivered") + number(sends, "failed");
        let (light, light_word) = light(over.map_or(&Value::Null, |week| &week["score"]), f);
        let (delivered, failed) = (number(&row["sends"], "delivered"), number(&row["sends"], "failed"));
        Provider {
            name: provider_name(shared, id),
            accepted: f.number(&(delivered + failed)),
            delivered: f.number(&delivered),
            failed: f.number(&failed),
            share: said::percent(delivered, delivered + failed, f.lang),
            light,
            light_word,
            weeks_share: said::percent(number(sends, "delivered"), ended, f.lang),
            line: of("by_day", id).filter(|row| 1 < list(row, "points").len()).map_or_else(String::new, curve),
        }
    };
    NAMED.into_iter().chain(others.iter().map(|row| text(row, "name"))).take(PROVIDERS_MAX).map(provider).collect()
}

fn found_in<'a>(value: &'a Value, of: &str, id: &str) -> Option<&'a Value> {
    list(value, of).iter().find(|row| text(row, "name") == id)
}

/// The place of a provider among those that people ask for.
pub(super) fn rank(row: &Value) -> usize {
    rank_of(text(row, "name"))
}

/// The same of its name in the rules.
pub(super) fn rank_of(provider: &str) -> usize {
    NAMED.iter().position(|id| *id == provider).unwrap_or(NAMED.len())
}

/// The name that people know; of one without rules the word of the counts.
pub(super) fn provider_name(shared: &Shared, id: &str) -> String {
    let rules = shared.house.federation.publisher.classifier.rules();
    let named = rules.providers().iter().find(|provider| *provider.id == *id);
    named.map_or_else(|| id.to_owned(), |provider| provider.name.to_string())
}

/// The title of what is wrong, with providers as people call them.
pub(super) fn title(finding: Finding, opened_at: u64, shared: &Shared, lang: Lang) -> String {
    finding_title(&with_names(finding, shared), opened_at, lang.into())
}

/// With providers as people call them.
pub(super) fn with_names(mut finding: Finding, shared: &Shared) -> Finding {
    if let Finding::ExitRefused { provider, .. } | Finding::BreakerTripped { provider, .. } = &mut finding {
        *provider = provider_name(shared, provider);
    }
    finding
}

/// Class and words of the light of a score.
pub(super) fn light(score: &Value, f: &Frame) -> (String, String) {
    let light = Some(text(score, "light")).filter(|light| !light.is_empty()).unwrap_or("unjudged");
    (format!("light-{light}"), f.w(&format!("score-{light}")))
}

/// By their names in the rules: who has most of the recipients of a French hoster.
const NAMED: [&str; 7] = ["google", "microsoft", "yahoo", "orange", "sfr", "free", "laposte"];
/// A screen full; all others are on the page of figures.
const PROVIDERS_MAX: usize = 15;
