//! The federation: peers with their fingerprints, how they are doing, what they say that is not believed, and what a person
//! decides about them.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;
use sm2tp_rules::access::Area;

use super::asks::{list, number, text};
use super::form::{Fields, Sent, encoded};
use super::frame::{Frame, Screen, show};
use super::map::{self, Map};
use super::trouble;
use super::visitor::Visitor;
use crate::control::Request;
use crate::http::{Door, said};
use crate::peering::Trusting;
use crate::reason::{self, Piece};

#[derive(Template)]
#[template(path = "web/federation.html")]
struct Page {
    f: Frame,
    fingerprint: String,
    peers: Vec<Peer>,
    origins: Vec<Origin>,
    origins_known: String,
    /// When the key of the tags ends, where no next one is known.
    tag_key_lapses: Option<String>,
    map: Map,
    may_change: bool,
}

#[derive(Template)]
#[template(path = "web/peer.html")]
struct One {
    f: Frame,
    own_fingerprint: String,
    peer: Peer,
    facts: Vec<(String, String)>,
    may_change: bool,
}

struct Peer {
    name: String,
    fingerprint: String,
    url: String,
    state: String,
    state_word: String,
    reads: bool,
    /// From 0 to 1, as a form wants it.
    weight: String,
    shown_weight: String,
    answered: String,
    lag: String,
    events: (String, String),
    agreement: String,
    trouble: Vec<Piece>,
    note: String,
    /// Events that wait for a person.
    parked: u64,
    contradicts: bool,
    path: String,
}

/// A node behind a peer.
struct Origin {
    name: String,
    fingerprint: String,
    events: String,
    agreement: String,
    is_bad: bool,
}

/// `GET /federation`
pub(super) async fn page(State(shared): Door, visitor: Visitor, query: Fields) -> Result<Response, Response> {
    let value = visitor.ask_for(&shared, Screen::Federation, Request::PeerList).await?;
    let f = visitor.frame(&shared, Screen::Federation).after(&query);
    let page = Page {
        fingerprint: text(&value, "fingerprint").to_owned(),
        peers: list(&value, "peers").iter().map(|row| peer(row, &f)).collect(),
        origins: list(&value, "origins").iter().map(|row| origin(row, &f)).collect(),
        map: map::map(&value, &f),
        origins_known: f.number(&number(&value, "origins_known")),
        tag_key_lapses: value["tag_key_lapses_at"].as_u64().map(|at| f.time(&at)),
        may_change: visitor.may_change(Area::Peers),
        f,
    };
    Ok(show(StatusCode::OK, visitor.lang, &page))
}

/// `GET /federation/peer?who=`, by its fingerprint.
pub(super) async fn one(State(shared): Door, visitor: Visitor, query: Fields) -> Result<Response, Response> {
    let request = Request::PeerShow { who: query.text("who").to_owned() };
    let value = visitor.ask_for(&shared, Screen::Federation, request).await?;
    let f = visitor.frame(&shared, Screen::Federation).after(&query);
    let page = One {
        own_fingerprint: text(&value, "own_fingerprint").to_owned(),
        peer: peer(&value, &f),
        facts: facts(&value, &f),
        may_change: visitor.may_change(Area::Peers),
        f,
    };
    Ok(show(StatusCode::OK, visitor.lang, &page))
}

/// `POST /federation`
pub(super) async fn change(State(shared): Door, sent: Sent) -> Result<Response, Response> {
    let (fields, screen) = (&sent.fields, Screen::Federation);
    let who = fields.text("who").to_owned();
    let back = format!("/federation/peer?who={}", encoded(&who));
    let weight = fields.text("weight").replace(',', ".").parse::<f64>().ok();
    let reads = fields.text("read") == "yes";
    let (request, to, done) = match fields.text("what") {
        "invite" => {
            let (url, note) = (fields.text("url").to_owned(), fields.given("note"));
            (
                Request::PeerInvite { url, note, weight: weight.unwrap_or(1.0), read: true },
                "/federation",
                "peer-invited",
            )
        }
        // Two people have compared both fingerprints by voice (`FEDERATION.md` §7): the box says so.
        "accept" if fields.text("compared") != "yes" => {
            let frame = sent.visitor.frame(&shared, screen);
            return Err(trouble::unfit(frame, "trouble-compare"));
        }
        "accept" => {
            (Request::PeerAccept { who, weight: weight.unwrap_or(1.0), read: true }, &back[..], "peer-accepted")
        }
        "weigh" => {
            let trust = Trusting::Weigh { weight, read: Some(reads) };
            (Request::PeerTrust { who, trust }, &back[..], "peer-weighed")
        }
        "take" => (Request::PeerTrust { who, trust: Trusting::TakeParked }, "/federation", "peer-taken"),
        "forgive" => (Request::PeerTrust { who, trust: Trusting::Forgive }, "/federation", "peer-forgiven"),
        "remove" => (Request::PeerRemove { who }, "/federation", "peer-removed"),
        _ => return Err(trouble::nothing(sent.visitor.frame(&shared, screen))),
    };
    sent.visitor.act(&shared, screen, request, (to, done)).await
}

fn peer(row: &Value, f: &Frame) -> Peer {
    let (fingerprint, state) = (text(row, "fingerprint"), text(row, "state"));
    let weight = format!("{:.2}", row["weight"].as_f64().unwrap_or(0.0));
    Peer {
        name: text(row, "name").to_owned(),
        fingerprint: fingerprint.to_owned(),
        url: text(row, "url").to_owned(),
        state: state.to_owned(),
        state_word: f.w(&format!("peer-{state}")),
        reads: row["read"] == true,
        shown_weight: said::decimal(&weight, f.lang),
        weight,
        answered: row["answered_at"].as_u64().map_or_else(|| f.w("never"), |at| f.ago(&at)),
        lag: row["lag_s"].as_u64().map(|lag_s| f.ago(&f.now.saturating_sub(lag_s))).unwrap_or_default(),
        events: (f.number(&number(row, "events_in")), f.number(&number(row, "events_out"))),
        agreement: agreement(row, f),
        trouble: reason::kept(text(row, "trouble"), row.get("reason"), f.lang),
        note: text(row, "note").to_owned(),
        parked: if row["parked"]["let_in"] == true { 0 } else { number(&row["parked"], "events") },
        contradicts: row["contradicts_itself"] == true,
        path: format!("/federation/peer?who={}", encoded(fingerprint)),
    }
}

fn origin(row: &Value, f: &Frame) -> Origin {
    Origin {
        name: text(row, "name").to_owned(),
        fingerprint: text(row, "fingerprint").to_owned(),
        events: f.number(&number(row, "events_in")),
        agreement: agreement(row, f),
        is_bad: row["quarantined_since"].is_u64() || row["contradicts_itself"] == true || row["parked"].is_object(),
    }
}

fn agreement(row: &Value, f: &Frame) -> String {
    let agreement = &row["agreement"];
    let word = f.w(&format!("agreement-{}", text(agreement, "word")));
    let (agreed, contradicted) = (number(agreement, "agreed"), number(agreement, "contradicted"));
    if agreed + contradicted == 0 {
        return word;
    }
    let (agreed, contradicted) = (f.number(&agreed), f.number(&contradicted));
    let counts = f.lang.say("agreement-counts", &[("agreed", &agreed), ("contradicted", &contradicted)]);
    format!("{word} ({counts})")
}

fn facts(row: &Value, f: &Frame) -> Vec<(String, String)> {
    let at = |key: &str| row[key].as_u64().map_or_else(|| f.w("never"), |at| f.time(&at));
    let mut facts = vec![
        (f.w("peer-since"), at("added_at")),
        (f.w("peer-answered"), at("answered_at")),
        (f.w("peer-caught-up"), at("caught_up_at")),
        (f.w("peer-read-us"), at("read_at")),
        (f.w("events-in"), f.number(&number(row, "events_in"))),
        (f.w("events-out"), f.number(&number(row, "events_out"))),
        (f.w("origins-behind"), f.number(&number(row, "origins_behind"))),
        (f.w("events-behind"), f.number(&number(row, "events_behind"))),
        (f.w("agreement"), agreement(row, f)),
    ];
    if let Some(at) = row["quarantined_since"].as_u64() {
        facts.push((f.w("quarantined-since"), f.time(&at)));
    }
    facts
}
