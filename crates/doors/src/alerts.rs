//! Tells the administrator what goes wrong: looks, lets the rules decide what is said, and sends it by mail and webhook.

mod look;
mod mail;
pub(crate) mod webhook;
pub(crate) mod words;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use sm2tp_proto::Address;
use sm2tp_rules::Stream;
use sm2tp_rules::alerts::{self, Finding, Limits, Part, Turn};
use sm2tp_store::alerts::{Alerts, Due, Message, Refused};
use sm2tp_store::spool::{NewMail, NewRecipient};
use sm2tp_store::{LedgerError, Phrase, SpoolError};
use thiserror::Error;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use self::webhook::NotTaken;
pub use self::webhook::{Secret, SecretError};
use crate::smtp::Onward;
use crate::tls::Certificates;
use crate::{House, now};

/// The language of alerts.
pub use crate::returns::Language;

/// Who is told, and how.
#[derive(Debug, Clone, Default)]
pub struct Targets {
    pub mail: Vec<Address>,
    pub webhooks: Vec<Webhook>,
}

/// A program that is told.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// `https://…`; `http://` on this machine alone.
    pub url: String,
    pub secret: Secret,
}

/// What all that concerns alerts share.
#[derive(Clone)]
pub struct Alerting {
    pub store: Alerts,
    pub targets: Arc<Targets>,
    pub language: Language,
    /// There is something to send.
    wake: Arc<Notify>,
}

/// What is looked at beside the house.
pub struct Watched {
    pub data_dir: PathBuf,
    /// Of the SMTP door, if it has one.
    pub certificates: Option<Arc<Certificates>>,
}

/// What became of a test at one target.
#[derive(Debug, Serialize)]
pub(crate) struct Tried {
    pub target: String,
    pub ok: bool,
    pub said: String,
    /// The same by key and values, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<serde_json::Value>,
}

/// Why an alert could not be made or sent now. It is tried again at the next look.
#[derive(Debug, Error)]
pub(crate) enum AlertError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Spool(#[from] SpoolError),
    #[error(transparent)]
    Federated(#[from] sm2tp_store::federated::FederatedError),
}

impl Alerting {
    #[must_use]
    pub fn new(store: Alerts, targets: Targets, language: Language) -> Self {
        Self { store, targets: Arc::new(targets), language, wake: Arc::default() }
    }

    fn urls(&self) -> Vec<String> {
        self.targets.webhooks.iter().map(|webhook| webhook.url.clone()).collect()
    }
}

/// What is wrong, in one line.
pub(crate) fn finding_title(finding: &Finding, opened_at: u64, language: Language) -> String {
    words::title(&Part { turn: Turn::Opened, opened_at, finding: finding.clone() }, language)
}

/// What it is, and what a person can do.
pub(crate) fn finding_advice(finding: &Finding, language: Language) -> (String, String) {
    words::advice(finding, language)
}

/// Looks and mails until the node stops.
pub async fn run(house: House, onward: Onward, watched: Watched, mut stop: watch::Receiver<bool>) {
    let mut troubled = false;
    loop {
        // Of several machines one tells.
        let round = async { if house.ledger.leads() { round(&house, &onward, &watched).await } else { Ok(()) } };
        match round.await {
            Ok(()) => troubled = false,
            Err(error) if !std::mem::replace(&mut troubled, true) => {
                tracing::error!(%error, "alerts cannot be made; it will be tried again");
            }
            Err(_) => {}
        }
        if timeout(LOOK_EVERY, crate::stopped(&mut stop)).await.is_ok() {
            return;
        }
    }
}

/// Calls webhooks until the node stops. Apart from looking: a receiver that hangs holds up nobody else.
pub async fn post(house: House, mut stop: watch::Receiver<bool>) {
    loop {
        let due = async { if house.ledger.leads() { due(&house).await } else { Ok(()) } };
        let waits = match due.await {
            Ok(()) => POST_EVERY,
            Err(error) => {
                tracing::warn!(%error, "webhooks cannot be called; it will be tried again");
                LOOK_EVERY
            }
        };
        tokio::select! {
            () = crate::stopped(&mut stop) => return,
            () = house.alerts.wake.notified() => {}
            () = tokio::time::sleep(waits) => {}
        }
    }
}

/// Sends a message that says that it is a test, to all targets, and waits for what webhooks answer.
pub(crate) async fn test(house: &House, onward: &Onward) -> Result<Vec<Tried>, AlertError> {
    let (alerting, now) = (&house.alerts, now());
    let message = alerting.store.test(now).await?;
    let mut tried = Vec::new();
    mail_out(house, onward, &message).await?;
    for address in &alerting.targets.mail {
        let said = "queued".to_owned();
        tried.push(Tried { target: format!("mail to somebody at {}", address.domain()), ok: true, said, reason: None });
    }
    for webhook in &alerting.targets.webhooks {
        let (ok, Phrase { text: said, reason }) = match call(house, webhook, &message).await {
            Ok(()) => (true, "taken".into()),
            Err(refused) => (false, refused.why),
        };
        tried.push(Tried { target: webhook.url.clone(), ok, said, reason });
    }
    Ok(tried)
}

async fn round(house: &House, onward: &Onward, watched: &Watched) -> Result<(), AlertError> {
    let (alerting, now) = (&house.alerts, now());
    let found = look::all(house, watched, now).await?;
    let known = alerting.store.incidents().await?;
    let sent = alerting.store.sent_since(now.saturating_sub(HOUR_S)).await?;
    let limits = Limits::default();
    let step = alerts::step(&known, &found, &sent, now, &limits);
    for part in step.messages.iter().flatten() {
        let text = words::title(part, Language::English);
        tracing::warn!(turn = ?part.turn, kind = part.finding.kind(), "{text}");
    }
    let is_new = !step.messages.is_empty();
    alerting.store.keep(step, alerting.urls(), now).await?;
    for message in alerting.store.unmailed().await? {
        mail_out(house, onward, &message).await?;
    }
    if is_new {
        alerting.wake.notify_one();
        alerting.store.prune(now.saturating_sub(limits.keep_s)).await?;
    }
    Ok(())
}

/// Puts a message into the queue as a mail of the node. It has no return path: what becomes of it is told to nobody, so
/// that an alert that cannot be delivered never brings about another one.
async fn mail_out(house: &House, onward: &Onward, message: &Message) -> Result<(), AlertError> {
    let alerting = &house.alerts;
    for to in &alerting.targets.mail {
        let content: Bytes = mail::mail(&house.hostname, to, message, alerting.language).into();
        let mail = NewMail {
            org: OWN_ORG.into(),
            login: None,
            stream: Stream::Transactional,
            mail_from: None,
            message_id: None,
            received_at: now(),
            recipients: vec![NewRecipient::of_report(to.clone())],
            held_until: 0,
            content: content.clone(),
            is_report: true,
            stream_by: None,
            options: sm2tp_proto::smtp::MailOptions { utf8: to.needs_utf8(), ..Default::default() },
        };
        let queued = house.spool.accept(mail).await?;
        // The relay may have stopped: the mail is in the spool, and the next start finds it.
        let _ = onward.mails.send((queued, content)).await;
    }
    Ok(alerting.store.mailed(message.id).await?)
}

/// Calls each webhook with what is due there, in order; after the first failure the rest waits for the next round.
async fn due(house: &House) -> Result<(), AlertError> {
    let alerting = &house.alerts;
    let mut calls = JoinSet::new();
    let due = alerting.store.due(now()).await?;
    for webhook in &alerting.targets.webhooks {
        let here: Vec<Due> = due.iter().filter(|due| due.url == webhook.url).cloned().collect();
        if here.is_empty() {
            continue;
        }
        let (house, webhook) = (house.clone(), webhook.clone());
        calls.spawn(async move {
            for due in here {
                let result = call(&house, &webhook, &due.message).await;
                if let Err(refused) = &result {
                    tracing::warn!(
                        url = webhook.url,
                        failed = due.failed + 1,
                        why = %refused.why,
                        "a webhook took no alert"
                    );
                }
                let went_well = result.is_ok();
                house.alerts.store.posted(&due, result, now()).await?;
                if !went_well {
                    break;
                }
            }
            Ok::<_, AlertError>(())
        });
    }
    // What the configuration does not name any more is not called any more.
    for due in due.iter().filter(|due| alerting.targets.webhooks.iter().all(|webhook| webhook.url != due.url)) {
        alerting.store.posted(due, Err(webhook::refused(&NotTaken::Unnamed)), now()).await?;
    }
    while let Some(called) = calls.join_next().await {
        called.unwrap_or(Ok(()))?;
    }
    Ok(())
}

async fn call(house: &House, webhook: &Webhook, message: &Message) -> Result<(), Refused> {
    let body = words::event(&house.hostname, message, house.alerts.language);
    webhook::call(&webhook.url, &webhook.secret, message.id, &body, now()).await
}

/// Mail of the node itself, in counters and in the queue.
const OWN_ORG: &str = "local";
const LOOK_EVERY: Duration = Duration::from_secs(15);
const POST_EVERY: Duration = Duration::from_secs(5);
const HOUR_S: u64 = 3600;
