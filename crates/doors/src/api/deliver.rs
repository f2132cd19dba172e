//! Calls the webhooks of organisations: signed as Standard Webhooks say, one after the other at each, and never a machine that
//! is not of the public Internet.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::time::Duration;

use reqwest::Url;
use sm2tp_store::LedgerError;
use sm2tp_store::webhooks::{Due, Tried, UrlFault, WebhookError, Webhooks};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::alerts::Secret;
use crate::alerts::webhook::{NotTaken, post};
use crate::follow::Guard;
use crate::smtp::Networks;
use crate::{House, now, outgoing, reason};

/// Whether a URL may be called: https, a public address or a name, nothing of a login in it. What the name means is looked at
/// again at each call.
///
/// # Errors
/// [`WebhookError::Url`] says what is wrong with it.
pub(crate) fn usable(url: &str, private: &Networks) -> Result<(), WebhookError> {
    let wrong = |why| WebhookError::Url { url: url.chars().take(200).collect(), why };
    let parsed = Url::parse(url).map_err(|_| wrong(UrlFault::NoUrl))?;
    let ip = parsed.host_str().and_then(|host| host.trim_matches(['[', ']']).parse::<IpAddr>().ok());
    let guard = Guard::strict(private.clone());
    match parsed.scheme() {
        _ if URL_OCTETS_MAX < url.len() => Err(wrong(UrlFault::TooLong)),
        "https" => Ok(()),
        "http" if ip.is_some_and(|ip| (private)(ip)) => Ok(()),
        _ => Err(wrong(UrlFault::NotHttps)),
    }?;
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(wrong(UrlFault::HoldsLogin));
    }
    match ip {
        Some(ip) if !guard.allows(ip) => Err(wrong(UrlFault::Private)),
        None if parsed.host_str().is_none_or(|host| host.eq_ignore_ascii_case("localhost")) => {
            Err(wrong(UrlFault::ThisMachine))
        }
        _ => Ok(()),
    }
}

/// Calls until the node stops. `private`: networks that may be called although they are not public.
pub async fn run(house: House, private: Networks, mut stop: watch::Receiver<bool>) {
    let http = outgoing::client().dns_resolver(Guard::strict(private.clone()));
    let http = match http.connect_timeout(CONNECT_MAX).timeout(ANSWER_MAX).build() {
        Ok(http) => http,
        Err(error) => return tracing::error!(error = outgoing::chain(&error), "no webhook can be called"),
    };
    let caller = Caller { hooks: Webhooks::new(house.ledger.clone()), http, private };
    let (mut turns, mut calls) = (Turns::default(), JoinSet::new());
    let mut pruning = tokio::time::interval(PRUNE_EVERY);
    loop {
        // One machine of a node calls for all of them.
        let started = if house.ledger.leads() { start(&caller, &mut turns, &mut calls).await } else { Ok(()) };
        if let Err(error) = started {
            tracing::warn!(%error, "webhooks cannot be called; it will be tried again");
        }
        tokio::select! {
            () = crate::stopped(&mut stop) => return,
            Some(ended) = calls.join_next() => match ended {
                Ok((webhook, had)) => turns.ended(webhook, had, Instant::now()),
                // It cannot panic; if it did, its webhook would wait for the next start of the node.
                Err(error) => tracing::error!(%error, "a call of a webhook broke off"),
            },
            _ = pruning.tick() => if let Err(error) = caller.hooks.prune(now(), reason::phrase(&NotTaken::Late)).await {
                tracing::warn!(%error, "old events could not be forgotten; it will be tried again");
            },
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

/// Gives a turn to each webhook for which something is due, as far as there is room.
async fn start(
    caller: &Caller,
    turns: &mut Turns,
    calls: &mut JoinSet<(String, Result<Had, LedgerError>)>,
) -> Result<(), LedgerError> {
    if AT_ONCE <= calls.len() {
        return Ok(());
    }
    for webhook in caller.hooks.with_due(now()).await? {
        if calls.len() < AT_ONCE && turns.begin(&webhook, Instant::now()) {
            let caller = caller.clone();
            calls.spawn(async move {
                let had = caller.turn(&webhook).await;
                (webhook, had)
            });
        }
    }
    Ok(())
}

#[derive(Clone)]
struct Caller {
    hooks: Webhooks,
    http: reqwest::Client,
    private: Networks,
}

/// What a webhook did in its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Had {
    TakenAll,
    Failed,
}

/// Which webhooks have their turn, and which must wait for it because they failed. Each event has its own times besides; this
/// is for a program that is not there: it is asked with one event, and not with all that wait.
#[derive(Default)]
struct Turns {
    running: HashSet<String>,
    /// How often in a row it failed, and until when it waits.
    failed: HashMap<String, (u32, Instant)>,
}

impl Turns {
    /// Whether this webhook has its turn now.
    fn begin(&mut self, webhook: &str, now: Instant) -> bool {
        let waits = self.failed.get(webhook).is_some_and(|(_, until)| now < *until);
        !waits && self.running.insert(webhook.to_owned())
    }

    fn ended(&mut self, webhook: String, had: Result<Had, LedgerError>, now: Instant) {
        self.running.remove(&webhook);
        match had {
            Ok(Had::TakenAll) => drop(self.failed.remove(&webhook)),
            Ok(Had::Failed) => {
                let count = self.failed.get(&webhook).map_or(0, |(count, _)| *count);
                let pause = PAUSE.saturating_mul(2_u32.saturating_pow(count)).min(PAUSE_MAX);
                self.failed.insert(webhook, (count.saturating_add(1), now + pause));
            }
            Err(error) => {
                tracing::warn!(%error, webhook, "what came of calls could not be written down; they come again");
                self.failed.insert(webhook, (0, now + PAUSE_MAX));
            }
        }
        // Those that were removed meanwhile, or have nothing to say any more.
        self.failed.retain(|_, (_, until)| now < *until + FORGET);
    }
}

impl Caller {
    /// Calls one webhook with what is due, one event after the other; after the first failure the rest of it waits.
    async fn turn(&self, webhook: &str) -> Result<Had, LedgerError> {
        let (mut tries, mut had) = (Vec::new(), Had::TakenAll);
        for due in self.hooks.due(webhook, now()).await? {
            let tried = self.call(&due).await;
            if let Tried::Refused(why) | Tried::Gone(why) = &tried {
                tracing::info!(webhook, failed = due.failed + 1, %why, "a webhook took no event");
                had = Had::Failed;
            }
            tries.push((due, tried));
            if had == Had::Failed {
                break;
            }
        }
        self.hooks.tried(tries, now()).await?;
        Ok(had)
    }

    async fn call(&self, due: &Due) -> Tried {
        if let Err(error) = usable(&due.url, &self.private) {
            return Tried::Refused(reason::phrase(&error));
        }
        // Numbers come again when a node is restored from a copy; together with the time they do not.
        let (secret, id) = (Secret::of(due.secret.clone()), format!("evt-{}-{}", due.id, due.at));
        match post(&self.http, &due.url, &secret, &id, &due.body, now()).await {
            Ok(()) => Tried::Taken,
            Err(refused) if refused.for_good => Tried::Gone(refused.why),
            Err(refused) => Tried::Refused(refused.why),
        }
    }
}

const URL_OCTETS_MAX: usize = 1000;
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// Standard Webhooks recommend 15 to 30 seconds.
const ANSWER_MAX: Duration = Duration::from_secs(20);
/// Webhooks that are called at once: one that hangs holds up only itself.
const AT_ONCE: usize = 16;
const LOOK_EVERY: Duration = Duration::from_secs(1);
const PRUNE_EVERY: Duration = Duration::from_secs(600);
/// After one failure, and at most: an event that is refused for what it is does not hold up the others for long, and a program
/// that comes back hears of it within minutes.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(300);
/// A webhook that has not failed for so long begins anew.
const FORGET: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_webhook_that_fails_waits_longer_each_time_and_holds_up_no_other() {
        let (mut turns, mut now) = (Turns::default(), Instant::now());
        for pause in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            assert!(turns.begin("a", now) && !turns.begin("a", now), "one turn at a time");
            turns.ended("a".to_owned(), Ok(Had::Failed), now);
            assert!(!turns.begin("a", now + Duration::from_secs(pause - 1)), "{pause}");
            assert!(turns.begin("b", now));
            turns.ended("b".to_owned(), Ok(Had::TakenAll), now);
            now += Duration::from_secs(pause);
        }
        assert!(turns.begin("a", now));
        turns.ended("a".to_owned(), Ok(Had::TakenAll), now);
        assert!(turns.begin("a", now), "it begins anew");
    }

    #[test]
    fn only_public_machines_are_called() {
        let nobody: Networks = Arc::new(|_| false);
        for fine in ["https://hooks.example.org/x", "https://8.8.8.8/", "https://hooks.example.org:8443/"] {
            assert!(usable(fine, &nobody).is_ok(), "{fine}");
        }
        for bad in [
            "http://hooks.example.org/",
            "https://127.0.0.1/",
            "https://localhost/",
            "https://10.0.0.1/",
            "https://169.254.169.254/latest/meta-data",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://anna:secret@hooks.example.org/",
            "file:///etc/passwd",
            "gopher://hooks.example.org/",
            "x",
        ] {
            assert!(usable(bad, &nobody).is_err(), "{bad}");
        }
        let loopback: Networks = Arc::new(|ip: IpAddr| ip.is_loopback());
        assert!(usable("http://127.0.0.1:9/", &loopback).is_ok() && usable("http://10.0.0.1/", &loopback).is_err());
    }
}
