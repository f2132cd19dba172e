//! The local API: programs of this machine ask "may I?" before they send, and say "this happened" afterwards. JSON, a line for
//! each call and a line for each answer, over a Unix socket; `docs/local.md` has the shapes.
//!
//! Who may open the socket is believed: it says who it is by a login. The answers are those of every door (I5).

pub(crate) mod call;

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use serde::Serialize;
use sm2tp_proto::delivery::{Asked, Delivery, What};
use sm2tp_proto::log::{Origin, Outcome, Reach};
use sm2tp_proto::policy::{Action, Party, Request, Stage};
use sm2tp_proto::{Address, Reply};
use sm2tp_rules::classify::Rulebook;
use sm2tp_rules::outcome::Fate;
use sm2tp_rules::{Cause, Stream};
use sm2tp_store::LedgerError;
use sm2tp_store::ledger::SendLog;
use sm2tp_store::told::Told;
use tokio::sync::{mpsc, oneshot};

use self::call::{Asking, Call, Calls, Happened, MayI, TooLong};
use super::desk::{Held, Members};
use super::policy::{self, Door, Trace};
use super::{Conversation, Listener, Next};
use crate::logs::{self, Reading};
use crate::stops::Stops;
use crate::{House, now};

/// How the API is set up.
#[derive(Clone)]
pub struct Settings {
    /// Stream of logins that this node does not know, and of calls without one.
    pub stream: Stream,
    pub send_log: SendLog,
}

/// The API: all its listeners together. Clones share it.
#[derive(Clone)]
pub struct Local(Arc<Shared>);

struct Shared {
    house: House,
    rulebook: Rulebook,
    stream: Stream,
    door: Door,
    happenings: mpsc::Sender<(Told, Kept)>,
}

/// Says that a happening is on the disk, or why not.
type Kept = oneshot::Sender<Result<(), Arc<LedgerError>>>;

impl Local {
    /// The API, and the task that keeps what happened.
    pub fn new(
        house: House,
        rulebook: Rulebook,
        settings: &Settings,
        stops: Stops,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let all = policy::Settings {
            members: Members { trusted: Arc::new(|_| true), stream: settings.stream },
            held: Held::Later,
            trace: Trace::Off,
            detours: Vec::new(),
        };
        let (happenings, heard) = mpsc::channel(HAPPENINGS_WAITING_MAX);
        let keeping = keep(house.clone(), settings.send_log, heard);
        let door = Door::new(house.clone(), all, stops);
        (Self(Arc::new(Shared { house, rulebook, stream: settings.stream, door, happenings })), keeping)
    }

    /// Serves one listener until `stop` is done.
    pub async fn serve(self, listener: Listener, stop: impl Future<Output = ()> + Send) {
        let begin = || Talking { calls: Calls::default(), shared: self.0.clone() };
        super::serve(listener, "local", begin, stop).await;
    }
}

struct Talking {
    calls: Calls,
    shared: Arc<Shared>,
}

impl Conversation for Talking {
    type Error = TooLong;

    fn feed(&mut self, octets: &[u8]) {
        self.calls.feed(octets);
    }

    async fn answer(&mut self) -> Result<Next, TooLong> {
        let Some(call) = self.calls.next_call()? else { return Ok(Next::More) };
        let answer = match call {
            Ok(Call::MayI(asked)) => self.shared.may_i(&asked).await,
            Ok(Call::Happened(happened)) => self.shared.happened(&happened).await,
            Err(error) => Answer::Error { message: format!("the call is not understood: {error}") },
        };
        let text = serde_json::to_string(&answer).unwrap_or_else(|_| r#"{"answer":"error"}"#.to_owned());
        Ok(Next::Say((text + "\n").into_bytes()))
    }
}

#[derive(Debug, Serialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
enum Answer {
    Yes,
    No {
        code: u16,
        enhanced: String,
        text: String,
    },
    Later {
        code: u16,
        enhanced: String,
        text: String,
    },
    /// It is on the disk; with what it means, unless it was a yes.
    Counted {
        cause: Option<Cause>,
        fate: Option<Fate>,
        rule: Option<String>,
    },
    Error {
        message: String,
    },
}

impl Shared {
    async fn may_i(&self, asked: &MayI) -> Answer {
        let Ok(recipient) = Address::parse(&asked.recipient) else { return not_an_address(&asked.recipient) };
        let sender = match Address::parse(&asked.sender) {
            _ if asked.sender.is_empty() => Party::Nobody,
            Ok(sender) => Party::Is(sender),
            Err(_) => return not_an_address(&asked.sender),
        };
        let request = Request {
            stage: Stage::Rcpt,
            sender,
            recipient: Party::Is(recipient),
            client: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            login: asked.login.clone(),
            context: asked.stream.map(|stream| stream.to_string()).unwrap_or_default(),
            ..Request::default()
        };
        match self.door.ask(request).await {
            Action::Refuse { code, enhanced, text } => {
                let enhanced = enhanced.to_string();
                match code {
                    ..500 => Answer::Later { code, enhanced, text },
                    _ => Answer::No { code, enhanced, text },
                }
            }
            // What a mail server would do with the whole mail says nothing about this recipient.
            _ => Answer::Yes,
        }
    }

    async fn happened(&self, happened: &Happened) -> Answer {
        if Address::parse(&happened.recipient).is_err() {
            return not_an_address(&happened.recipient);
        }
        let (code, enhanced) = match Reply::codes(&happened.text) {
            Some((code, enhanced)) => (code, enhanced),
            None => return Answer::Error { message: "`text` is a reply with its code: 550 5.1.1 no such user".into() },
        };
        let rules = self.rulebook.rules();
        let host = happened.mx.as_deref();
        let to = asked(happened.stage);
        let outcome = Outcome {
            at: happened.at.unwrap_or_else(now).min(now()),
            queue_id: "",
            sender: happened.sender.as_deref(),
            recipient: &happened.recipient,
            original: None,
            origin: Origin::Unknown,
            login: happened.login.as_deref(),
            message_id: happened.message_id.as_deref(),
            octets: None,
            host,
            reach: Reach::Server,
            status: happened.result,
            first: None,
            code: Some(code),
            enhanced,
            text: &happened.text,
            delivery: Delivery { host, what: What::Reply { to, text: happened.text.as_str().into() } },
        };
        let reading = Reading {
            smarthost: None,
            accounts: &self.house.accounts,
            rules: &rules,
            stream: self.stream,
            returns: None,
        };
        let Some(told) = reading.told(&outcome) else {
            return Answer::Error { message: "this says nothing about a recipient".into() };
        };
        let verdict = told.answer().and_then(|answer| answer.verdict.clone());
        let (kept, done) = oneshot::channel();
        if self.happenings.send((told, kept)).await.is_err() {
            return stopping();
        }
        match done.await {
            Ok(Ok(())) => Answer::Counted {
                cause: verdict.as_ref().map(|verdict| verdict.cause),
                fate: verdict.as_ref().map(|verdict| verdict.fate),
                rule: verdict.map(|verdict| verdict.rule),
            },
            Ok(Err(error)) => Answer::Error { message: error.to_string() },
            Err(_) => stopping(),
        }
    }
}

/// Keeps what happened, all that wait together in one transaction.
async fn keep(house: House, send_log: SendLog, mut heard: mpsc::Receiver<(Told, Kept)>) {
    let mut waiting = Vec::new();
    while heard.recv_many(&mut waiting, TOGETHER_MAX).await != 0 {
        let (told, kept): (Vec<_>, Vec<_>) = waiting.drain(..).unzip();
        let done = keep_all(&house, send_log, told).await.map_err(Arc::new);
        for one in kept {
            // Who asked may be gone.
            let _ = one.send(done.clone());
        }
    }
}

/// Numbers go on from those in the ledger: nobody else writes under this name.
async fn keep_all(house: &House, send_log: SendLog, told: Vec<Told>) -> Result<(), LedgerError> {
    let last = house.ledger.read_to(SOURCE).await?;
    let batch = (last + 1..).zip(told).collect();
    logs::absorb(house, SOURCE, batch, send_log).await
}

fn asked(stage: Option<Asking>) -> Asked {
    match stage {
        Some(Asking::Connect) => Asked::Connect,
        Some(Asking::Ehlo) => Asked::Ehlo,
        Some(Asking::Starttls) => Asked::StartTls,
        Some(Asking::Mail) => Asked::Mail,
        Some(Asking::Rcpt) => Asked::Rcpt,
        Some(Asking::Data) => Asked::Data,
        Some(Asking::Eod) | None => Asked::EndOfData,
    }
}

fn not_an_address(text: &str) -> Answer {
    Answer::Error { message: format!("{text:?} is no address") }
}

fn stopping() -> Answer {
    Answer::Error { message: "the node stops".into() }
}

const SOURCE: &str = "local";
/// Callers beyond wait.
const HAPPENINGS_WAITING_MAX: usize = 1000;
const TOGETHER_MAX: usize = 500;
