//! The HTTP doors: a status page, JSON for programs on this machine, and what peers pull (`FEDERATION.md` §6).
//!
//! No TLS here: a reverse proxy terminates it and passes on `/fed/v1` and `/.well-known/sm2tp`, and
//! `/unsubscribe` and `/confirm` where mail has such links, `/score` where everybody may see it. `/` and the pages for
//! persons (`web`) are shown under the public address of the pages, where there is one, and on this machine.
//! `/api/v1/status` is for this machine alone; a proxy that passed it on would make every visitor look like it.

mod asking;
pub(crate) mod body;
mod confirm;
mod fed;
mod gate;
mod logs;
mod page;
mod refusal;
pub(crate) mod said;
mod score;
mod status;
mod unsubscribe;
pub(crate) mod words;

use std::convert::Infallible;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use sm2tp_federation::feed::FeedId;
use sm2tp_store::keys;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

pub(crate) use self::confirm::decoded;
use self::gate::Gate;
pub(crate) use self::gate::{Asked, local, named_by_itself, passed_on};
pub(crate) use self::page::open_page;
pub(crate) use self::refusal::Refusal;
pub use self::score::Scores;
pub(crate) use self::status::waiting;
pub(crate) use self::unsubscribe::language;
pub use self::words::{Lang, cause_in_words};
use crate::acme::Challenges;
use crate::patience::Patience;
use crate::smtp::{self, Networks, Onward};
use crate::web::{self, AskSts, FirstRun, Listings, Logins, Names, PublicUrl};
use crate::{House, api};

/// How pages are shown.
#[derive(Clone)]
pub struct Pages {
    /// Where a browser asks for no language that they have.
    pub lang: Lang,
    /// Whether there is a score page.
    pub scores: Scores,
    /// Where browsers reach the pages of persons; none: on this machine alone.
    pub public: Option<PublicUrl>,
    /// What the DNS says.
    pub names: Names,
    /// How MTA-STS of a domain is.
    pub sts: AskSts,
    /// The addresses that mail leaves from, as far as they are known.
    pub exits: Vec<IpAddr>,
    /// What block lists say of the ways out.
    pub listings: Listings,
    /// What lets in the first person; none: there are some.
    pub first_run: Option<FirstRun>,
}

/// What programs may do here.
#[derive(Clone)]
pub struct Programs {
    /// Who may read `/metrics`.
    pub metrics_from: Networks,
    /// Where they hand in mail; none: they cannot.
    pub mail: Option<smtp::Door>,
}

/// What all requests share.
pub(crate) struct Shared {
    pub house: House,
    pub onward: Onward,
    challenges: Challenges,
    /// Of pages for a browser that asks for none that we speak.
    pub lang: Lang,
    pub public: Option<PublicUrl>,
    pub names: Names,
    pub sts: AskSts,
    pub exits: Vec<IpAddr>,
    pub listings: Listings,
    pub first_run: Option<FirstRun>,
    /// Where mail is handed in; none: the node takes none.
    pub mail: Option<smtp::Door>,
    pub logins: Logins,
    gate: Gate,
    feed: FeedId,
    /// Counting open requests for peering and keeping one more is one step.
    asking: Mutex<()>,
    /// Long polls under way.
    waiting: Semaphore,
    clicks: unsubscribe::Clicks,
    scores: Scores,
    said: score::Said,
}

pub(crate) type Door = State<Arc<Shared>>;

/// From where a request came.
#[derive(Clone, Copy)]
pub(crate) struct Client(pub SocketAddr);

/// Serves until `stop`, then lets running requests end. `authority`: the `host[:port]` values under which this node's
/// `/fed/v1` is configured; signatures are checked against them and never against what a request says.
///
/// # Errors
/// [`std::io::Error`] where the ledger cannot be asked at the start.
pub async fn serve(
    listener: TcpListener,
    (house, onward): (House, Onward),
    authority: Vec<String>,
    challenges: Challenges,
    (Pages { lang, scores, public, names, sts, exits, listings, first_run }, Programs { metrics_from, mail }): (
        Pages,
        Programs,
    ),
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let feed = feed_id(&house).await?;
    warm(&house);
    let api = Arc::new(api::Shared::new(house.clone(), onward.clone(), metrics_from, mail.clone()));
    let shared = Arc::new(Shared {
        house,
        onward,
        challenges,
        lang,
        public,
        names,
        sts,
        exits,
        listings,
        first_run,
        mail,
        logins: Logins::default(),
        gate: Gate::new(authority),
        feed,
        asking: Mutex::new(()),
        waiting: Semaphore::new(WAITING_MAX),
        clicks: unsubscribe::Clicks::default(),
        scores,
        said: score::Said::default(),
    });
    let router = router(shared).merge(api::routes(api));
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let (closing, closed) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut patience = Patience::new("HTTP");
    tokio::pin!(stop);
    loop {
        let next = async {
            // Beyond the limit the others wait in the kernel's queue.
            let place = places.clone().acquire_owned().await;
            (place, listener.accept().await)
        };
        tokio::select! {
            () = &mut stop => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            (place, accepted) = next => match accepted {
                Ok((stream, client)) => {
                    let served = connection(stream, client, router.clone(), closed.clone());
                    connections.spawn(async move {
                        served.await;
                        drop(place);
                    });
                }
                Err(error) => patience.wait(&error).await,
            },
        }
    }
    drop(listener);
    let _ = closing.send(true);
    let all = async { while connections.join_next().await.is_some() {} };
    let _ = timeout(CLOSING_MAX, all).await;
    Ok(())
}

/// Adds up beforehand what the first page shows of the last weeks.
fn warm(house: &House) {
    let (days, ledger) = (house.days.clone(), house.ledger.clone());
    tokio::spawn(async move {
        if let Err(error) = days.warm(&ledger).await {
            tracing::warn!(%error, "counts of the last weeks could not be read yet");
        }
    });
}

fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .merge(web::routes())
        .route("/style.css", get(page::style))
        .route("/unsubscribe/style.css", get(page::style))
        .route("/score", get(score::page))
        .route("/score.json", get(score::json))
        .route("/score/style.css", get(page::style))
        .route("/unsubscribe/{link}", get(unsubscribe::page).post(unsubscribe::click))
        .route("/confirm", get(confirm::form).post(confirm::ask))
        .route("/confirm/style.css", get(page::style))
        .route("/confirm/{link}", get(confirm::page).post(confirm::click))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/api/v1/status", get(status::status))
        .route("/.well-known/acme-challenge/{token}", get(challenge))
        .route("/.well-known/sm2tp", get(fed::well_known))
        .route("/fed/v1/node", get(fed::node))
        .route("/fed/v1/peerings", post(asking::ask))
        .route("/fed/v1/peerings/{id}", get(asking::answer))
        .route("/fed/v1/nodes", get(fed::nodes))
        .route("/fed/v1/feed", get(fed::feed))
        .route("/fed/v1/log/{origin}", get(logs::bulk))
        .route("/fed/v1/log/{origin}/{epoch}/{segno}", get(logs::segment))
        .route("/fed/v1/heads", get(logs::heads))
        .route("/fed/v1/proofs", post(logs::proof))
        .route("/fed/v1/tagkeys", get(fed::tag_keys))
        .with_state(shared)
}

/// RFC 8555 §8.3: the authority looks whether we are who we say.
async fn challenge(State(shared): Door, Path(token): Path<String>) -> Response {
    match shared.challenges.answer(&token) {
        Some(answer) => answer.into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// One connection: its headers, its silence and its life are bounded.
async fn connection(stream: TcpStream, client: SocketAddr, router: Router, mut closed: watch::Receiver<bool>) {
    let routes = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(Client(client));
        let for_nodes = request.uri().path().starts_with("/fed/v1/");
        let answer = routes.call(request);
        async move {
            let mut response: Response = match answer.await {
                Ok(response) => response,
                Err(never) => match never {},
            };
            if !for_nodes {
                headers(&mut response);
            }
            unkept(&mut response);
            Ok::<_, Infallible>(response)
        }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_MAX)
        .max_buf_size(HEADER_OCTETS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    tokio::select! {
        ended = &mut serving => return note(ended),
        _ = closed.wait_for(|closed| *closed) => {}
        () = tokio::time::sleep(CONNECTION_MAX) => {}
    }
    serving.as_mut().graceful_shutdown();
    if let Ok(ended) = timeout(LAST_REQUEST_MAX, serving).await {
        note(ended);
    }
}

/// Clients that go away are no news.
fn note(ended: Result<(), hyper::Error>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "an HTTP connection broke off");
    }
}

/// On every answer that a browser may show, refusals and "not found" too. Nodes have no use for them: ten thousand segments a day would
/// carry two megabytes of them.
fn headers(response: &mut Response) {
    let always = [
        (
            "content-security-policy",
            "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        ),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
    ];
    let headers = response.headers_mut();
    for (name, value) in always {
        // Pages for persons say more.
        headers.entry(name).or_insert(axum::http::HeaderValue::from_static(value));
    }
}

/// No proxy hands an answer to somebody else.
fn unkept(response: &mut Response) {
    let no_store = axum::http::HeaderValue::from_static("no-store");
    response.headers_mut().entry("cache-control").or_insert(no_store);
}

/// Ready where the queue and the ledger answer.
async fn readyz(State(shared): Door) -> Response {
    let answers = shared.house.answers().await;
    let word = |fine: bool| if fine { "ok" } else { "does not answer" };
    let text = format!("queue: {}\nledger: {}\n", word(answers.queue), word(answers.ledger));
    let status = if answers.all() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, text).into_response()
}

/// The name of this life of the feed, made at its first use. A restore forgets the setting `feed`: local numbers mean
/// other headers then.
async fn feed_id(house: &House) -> std::io::Result<FeedId> {
    let random = keys::random().map_err(std::io::Error::other)?;
    let mut sixteen = [0; 16];
    sixteen.copy_from_slice(&random[..16]);
    let fresh = FeedId::from_random(sixteen).to_string();
    let kept = house.federation.store.setting_or("feed", &fresh).await.map_err(std::io::Error::other)?;
    kept.parse().map_err(std::io::Error::other)
}

/// Connections at once; each costs a file descriptor and some kilobytes.
const CONNECTIONS_MAX: usize = 512;
/// A whole request head, also the pause between two requests: what Slowloris stretches.
const HEADER_MAX: Duration = Duration::from_secs(15);
/// Octets of a request head; ours have about 800.
const HEADER_OCTETS_MAX: usize = 16 * 1024;
/// A client that reads one octet at a time keeps its place for so long, and then a last request.
const CONNECTION_MAX: Duration = Duration::from_secs(240);
const LAST_REQUEST_MAX: Duration = Duration::from_secs(60);
/// At the end of the node, running requests have so long.
const CLOSING_MAX: Duration = Duration::from_secs(5);
/// Long polls at once; more are answered without waiting.
const WAITING_MAX: usize = 64;
