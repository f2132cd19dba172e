//! The score of this node for everybody, where its administrator wants that: a page, and JSON signed with the node key.

use std::sync::Arc;

use askama::Template;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{Html, IntoResponse, Response};
use sm2tp_federation::score::{PublicScore, SignedScore};
use sm2tp_rules::score::{Light, Share};
use sm2tp_store::LedgerError;
use sm2tp_store::ledger::sends::{self, By};
use tokio::sync::Mutex;

use super::refusal::Refusal;
use super::said;
use super::unsubscribe::language;
use super::words::Lang;
use super::{Door, Shared};
use crate::control::stats::{DAYS, judged, since};
use crate::{House, now};

/// Whether there is a score page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scores {
    Off,
    Public,
}

/// What was said last: strangers ask as often as they like, and the ledger is asked now and then.
#[derive(Default)]
pub(super) struct Said(Mutex<Option<Arc<Saying>>>);

struct Saying {
    score: PublicScore,
    signed: SignedScore,
}

#[derive(Template)]
#[template(path = "score.html")]
struct Page<'a> {
    lang: Lang,
    score: &'a PublicScore,
    fingerprint: String,
}

/// A line of the page.
struct Row {
    word: &'static str,
    share: Share,
}

/// `GET /score`
pub(super) async fn page(State(shared): Door, headers: HeaderMap) -> Result<Response, Refusal> {
    let (said, lang) = (said(&shared).await?, language(&headers, shared.lang));
    let page = Page { lang, score: &said.score, fingerprint: said.score.node.fingerprint() };
    let html = page.render().map_err(|error| Refusal::Trouble(error.to_string()))?;
    let fields =
        [(header::CONTENT_LANGUAGE, lang.tag()), (header::VARY, "accept-language"), (header::CACHE_CONTROL, CACHE)];
    Ok((fields, Html(html)).into_response())
}

/// `GET /score.json`
pub(super) async fn json(State(shared): Door) -> Result<Response, Refusal> {
    let said = said(&shared).await?;
    Ok(([(header::CACHE_CONTROL, CACHE)], Json(said.signed.clone())).into_response())
}

async fn said(shared: &Shared) -> Result<Arc<Saying>, Refusal> {
    if shared.scores == Scores::Off {
        return Err(Refusal::Absent("no such page"));
    }
    let mut last = shared.said.0.lock().await;
    if let Some(said) = last.as_ref().filter(|said| now() < said.score.at.saturating_add(FRESH_S)) {
        return Ok(said.clone());
    }
    let fresh = Arc::new(say(&shared.house).await?);
    *last = Some(fresh.clone());
    Ok(fresh)
}

async fn say(house: &House) -> Result<Saying, Refusal> {
    let since = since(DAYS);
    let found = house.ledger.read(move |sql| Ok::<_, LedgerError>(sends::sum(&sends::by(sql, By::Org, None, since)?)));
    let sends = found.await.map_err(|error| Refusal::Trouble(error.to_string()))?;
    let keys = house.federation.keys();
    let (hostname, node) = (house.hostname.to_string(), keys.node_key());
    let score = PublicScore { v: 1, hostname, node, at: now(), since, sends, score: judged(&sends) };
    let signed = keys.sign_score(&score).map_err(|error| Refusal::Trouble(error.to_string()))?;
    let signed = signed.ok_or(Refusal::Absent("the key that signs the score is not on this machine"))?;
    Ok(Saying { score, signed })
}

impl Page<'_> {
    fn w(&self, key: &str) -> String {
        self.lang.word(key)
    }

    fn light(&self, light: &Light) -> String {
        self.lang.word(&format!("score-{}", light.as_str()))
    }

    fn rows(&self) -> [Row; 3] {
        let score = &self.score.score;
        [("score-bounces", score.bounces), ("score-complaints", score.complaints), ("score-stopped", score.stopped)]
            .map(|(word, share)| Row { word, share })
    }

    /// A share in percent, as all pages write it.
    fn percent(&self, share: &Share) -> String {
        said::percent(share.count, share.of, self.lang)
    }
}

/// Seconds until it is reckoned again; the page may be kept as long by those between.
const FRESH_S: u64 = 600;
const CACHE: &str = "public, max-age=600";
