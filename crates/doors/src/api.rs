//! What programs read and do over HTTP: `/api/v1` for tokens, and metrics.
//!
//! Nothing is decided here: an operation is a control request of the command line, asked with the rights of the token.

mod compose;
mod deliver;
mod exposition;
mod given;
mod logs;
mod metrics;
mod openapi;
mod operation;
mod operations;
mod paging;
mod problem;
mod schema;
mod submit;
mod tail;

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, any, get, on};
use serde_json::{Value, json};
use sm2tp_rules::access::{Action, Scopes, Why};
use sm2tp_rules::rate::Gcra;
use sm2tp_store::tokens::Token;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

pub(crate) use self::compose::Parts;
pub use self::deliver::run as call_webhooks;
pub(crate) use self::deliver::usable;
pub use self::metrics::FAMILIES;
use self::operation::{Body, Method, Operation, Work};
use self::operations::OPERATIONS;
use self::problem::Problem;
pub(crate) use self::tail::Lines;
use crate::control::{self, Asker, By};
use crate::http::{Client, named_by_itself, passed_on};
use crate::smtp::{self, Networks, Onward};
use crate::{House, now, now_us};

/// What all requests share.
pub(crate) struct Shared {
    house: House,
    onward: Onward,
    /// Who may read `/metrics`.
    metrics_from: Networks,
    /// What was said last.
    said: tokio::sync::Mutex<Option<metrics::Said>>,
    /// What each token has used of its rate.
    used: Mutex<HashMap<String, Gcra>>,
    /// Where mail is handed in; none: this node takes none.
    mail: Option<smtp::Door>,
    /// The memory for mail and logs that come in here, in KiB.
    room: Semaphore,
    /// Places for those who look at the live tail.
    tails: Arc<Semaphore>,
}

type Door = State<Arc<Shared>>;

impl Shared {
    pub(crate) fn new(house: House, onward: Onward, metrics_from: Networks, mail: Option<smtp::Door>) -> Self {
        let (said, used, room) = (tokio::sync::Mutex::default(), Mutex::default(), Semaphore::new(ROOM_KIB));
        let tails = Arc::new(Semaphore::new(tail::TAILS_MAX));
        Self { house, onward, metrics_from, said, used, mail, room, tails }
    }

    /// Octets of a body that holds a mail: base64 makes a third more of it.
    fn mail_octets_max(&self) -> usize {
        let octets = self.mail.as_ref().map_or(0, smtp::Door::octets_max);
        usize::try_from(octets / 3 * 4).unwrap_or(usize::MAX).saturating_add(MAIL_HEAD_OCTETS).min(MAIL_OCTETS_MAX)
    }

    /// Room for a large body. A mail takes it three times: its body, its parts, and the message that is made of them.
    async fn room(&self, headers: &HeaderMap, body: Body) -> Result<Option<SemaphorePermit<'_>>, Problem> {
        let (octets_max, times) = match body {
            Body::Mail(_) | Body::Message => (self.mail_octets_max(), 3),
            Body::Lines(octets_max) => (octets_max, 1),
            Body::Nothing | Body::Json(..) => return Ok(None),
        };
        let Some(length) = given::announced(headers, octets_max)? else {
            let detail = "Say with Content-Length how long the body is.";
            return Err(Problem::new(StatusCode::LENGTH_REQUIRED, "length-required", detail));
        };
        let kib = u32::try_from((length / 1024 + 1).saturating_mul(times).min(ROOM_KIB)).unwrap_or(u32::MAX);
        match timeout(ROOM_WAIT, self.room.acquire_many(kib)).await {
            Ok(Ok(permit)) => Ok(Some(permit)),
            _ => Err(Problem::too_many("Too much comes in at once.", ROOM_WAIT.as_secs())),
        }
    }

    /// Whose request it is. Of two tokens nobody knows which is meant.
    fn token(&self, headers: &HeaderMap) -> Result<Arc<Token>, Problem> {
        let mut given = headers.get_all(header::AUTHORIZATION).iter();
        let one = given.next().filter(|_| given.next().is_none()).and_then(|value| value.to_str().ok());
        let secret =
            one.and_then(|value| value.split_once(' ')).filter(|(kind, _)| kind.eq_ignore_ascii_case("bearer"));
        let Some((_, secret)) = secret else {
            return Err(Problem::unauthorized(
                "A token is needed: Authorization: Bearer sm2tp_…; sm2tp token new makes one.",
            ));
        };
        let token = self.house.tokens.find(secret.trim(), now());
        token.ok_or_else(|| Problem::unauthorized("This token is not known here, or it is over."))
    }

    /// Counts a request of a token.
    fn take(&self, token: &Token) -> Result<(), Problem> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if USED_MAX <= used.len() && !used.contains_key(&token.id) {
            // Tokens that are gone: nobody makes so many at once.
            used.clear();
        }
        let state = used.entry(token.id.clone()).or_default();
        let taken = token.rate.take(*state, now_us());
        *state = taken.map_err(|wait_s| {
            Problem::too_many(format!("This token may make {}.", token.rate.of("requests")), wait_s)
        })?;
        Ok(())
    }
}

/// Its routes, to be merged with the others of the door.
pub(crate) fn routes(shared: Arc<Shared>) -> Router {
    let mut paths = BTreeMap::<String, MethodRouter<Arc<Shared>>>::new();
    for operation in OPERATIONS {
        let handler = move |State(shared): Door, request: Request| async move {
            serve(&shared, operation, request).await.unwrap_or_else(IntoResponse::into_response)
        };
        let methods = paths.remove(operation.path).unwrap_or_default();
        paths.insert(operation.path.to_owned(), methods.on(filter(operation.method), handler));
    }
    let mut router = Router::new()
        .route("/metrics", get(read_metrics))
        .route("/api/v1/openapi.json", on(MethodFilter::GET, document).fallback(wrong_method))
        .route("/api/v1/{*rest}", any(async || Problem::not_found()));
    for (path, methods) in paths {
        router = router.route(&format!("/api/v1{path}"), methods.fallback(wrong_method));
    }
    router.with_state(shared)
}

async fn serve(shared: &Arc<Shared>, operation: &'static Operation, request: Request) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let token = shared.token(&parts.headers)?;
    shared.take(&token)?;
    // Before a body is read: whoever may not do it shall not fill the memory for it.
    if let Some(action) = operation.scope.and_then(|scope| scope.parse::<Action>().ok())
        && let Scopes::Of(actions) = &token.rights.scopes
        && !actions.contains(&action)
    {
        return Err(Why::Scope(action).into());
    }
    let _room = shared.room(&parts.headers, operation.body).await?;
    let (mut given, message) = given::read(operation, &mut parts, body, shared.mail_octets_max()).await?;
    match operation.work {
        Work::Own => Ok(answered(operation, &json!(token.shown()))),
        Work::Mail => {
            let client = parts.extensions.get::<Client>().map_or(IpAddr::from([127, 0, 0, 1]), |client| client.0.ip());
            let from = submit::From { token, client, headers: parts.headers };
            match operation.body {
                Body::Message => submit::raw(shared, from, message).await,
                _ => submit::parts(shared, from, given).await,
            }
        }
        Work::Log => Ok(answered(operation, &logs::import(shared, &token, &given, &message).await?)),
        Work::Tail => tail::tail(shared, token, &parts.headers, &given).await,
        Work::Ask(request, shape) => {
            let paging = paging::begin(operation, &mut given)?;
            let mut asked = shape(given).map_err(Problem::bad)?;
            asked.insert("do".to_owned(), request.into());
            let asked =
                serde_json::from_value(Value::Object(asked)).map_err(|error| Problem::unfit(error.to_string()))?;
            let (house, onward) = (shared.house.clone(), shared.onward.clone());
            let value = control::answer_to(house, onward, asker(&token), asked).await?;
            Ok(answered(operation, &paging.cut(value)))
        }
    }
}

/// A token as the one who asks.
fn asker(token: &Token) -> Asker {
    Asker { by: By::Token, name: format!("{} ({})", token.name, token.id).into(), rights: token.rights.clone() }
}

fn answered(operation: &Operation, value: &Value) -> Response {
    (operation.success(), [(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

async fn wrong_method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "This path knows other methods; see Allow.")
}

/// `GET /api/v1/openapi.json`
async fn document() -> Response {
    let fields = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "max-age=300")];
    (fields, openapi::text()).into_response()
}

fn filter(method: Method) -> MethodFilter {
    match method {
        Method::Get => MethodFilter::GET,
        Method::Post => MethodFilter::POST,
        Method::Put => MethodFilter::PUT,
        Method::Patch => MethodFilter::PATCH,
        Method::Delete => MethodFilter::DELETE,
    }
}

/// `GET /metrics`
async fn read_metrics(
    State(shared): Door,
    Extension(Client(client)): Extension<Client>,
    headers: HeaderMap,
) -> Response {
    if !may_read(&shared, client, &headers) {
        let why = "Metrics are for the networks of metrics_from in [http], asked directly and not through a proxy.\n";
        return (StatusCode::FORBIDDEN, why).into_response();
    }
    match metrics::said(&shared.house, &shared.said).await {
        Ok(text) => ([("content-type", exposition::CONTENT_TYPE)], text.to_string()).into_response(),
        Err(why) => {
            tracing::error!(%why, "the metrics could not be read");
            (StatusCode::SERVICE_UNAVAILABLE, "not now\n").into_response()
        }
    }
}

/// A proxy speaks for everybody, and a page of another site that made its name point to this machine would send that name.
fn may_read(shared: &Shared, client: SocketAddr, headers: &HeaderMap) -> bool {
    let ip: IpAddr = client.ip().to_canonical();
    (shared.metrics_from)(ip) && !passed_on(headers) && (!ip.is_loopback() || named_by_itself(headers))
}

/// More than there can be tokens; 80 octets each.
const USED_MAX: usize = 2000;
/// Bodies with mail or logs, with what is made of them, are in memory at once up to this.
const ROOM_KIB: usize = 48 * 1024;
/// How long a mail waits for its room.
const ROOM_WAIT: Duration = Duration::from_secs(10);
/// Subject, names and fields beside the content.
const MAIL_HEAD_OCTETS: usize = 256 * 1024;
/// What three times fits into the room; larger mail comes by SMTP.
const MAIL_OCTETS_MAX: usize = 16 * 1024 * 1024;
