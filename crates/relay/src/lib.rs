//! The relay: takes what the spool keeps to the recipients' servers, and reports what could not be delivered.
//!
//! [`runner`] owns the queue ([`queue`], a pure value); [`worker`] is one connection's life around [`connection`];
//! [`settle`] decides what follows from an answer; [`report`] writes to the sender. [`marking`] gives each recipient a
//! return path of its own, where an org wants that.

mod behaviour;
mod body;
mod clock;
mod connection;
mod dane;
mod dns;
mod exits;
mod lookups;
mod marking;
mod opening;
mod queue;
mod reach;
mod report;
mod route;
mod runner;
mod settle;
mod sign;
mod sts;
mod tally;
#[cfg(test)]
mod testing;
mod tls;
mod tls_report;
mod worker;

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sm2tp_rules::classify::Rulebook;
use sm2tp_rules::retry::Schedule;
use sm2tp_rules::sites::{SiteBook, SiteState};
use sm2tp_store::accounts::Accounts;
use sm2tp_store::dkim::DkimKeys;
use sm2tp_store::exits::Paused;
use sm2tp_store::ledger::Breakers;
use sm2tp_store::now;
use sm2tp_store::spool::{Queued, Spool};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use crate::behaviour::Seen;
use crate::body::Budget;
use crate::connection::Patience;
use crate::dns::Dns;
pub use crate::dns::{IpUse, Resolvers, Trust};
pub use crate::exits::Exit;
use crate::exits::Exits;
pub use crate::lookups::{LookUpError, Lookups};
use crate::marking::Marking;
pub use crate::marking::Returning;
use crate::opening::{Broken, Opener};
use crate::queue::Queue;
pub use crate::reach::Reach;
pub use crate::report::{Language, Reporter};
use crate::route::Routes;
pub use crate::route::{Credentials, NextHop, Own, Speaks};
use crate::runner::{News, Runner};
use crate::sign::Signer;
pub use crate::sign::{Sealing, Signing};
use crate::sts::Policies;
use crate::tls::TlsClient;
pub use crate::tls::{TlsUse, trusting};
pub use crate::tls_report::TlsReports;
use crate::tls_report::{Counting, Courier};
use crate::worker::Shared;

/// All that the relay is told once, at start.
#[derive(Debug, Clone)]
pub struct Settings {
    pub hostname: String,
    pub language: Language,
    pub smarthost: Option<NextHop>,
    pub routes: HashMap<String, NextHop>,
    pub port: u16,
    pub resolvers: Resolvers,
    /// At least one.
    pub exits: Vec<Exit>,
    pub own: Own,
    pub tls: TlsUse,
    /// Authorities besides those of the system, as a file in PEM.
    pub tls_roots: Option<PathBuf>,
    /// Where MTA-STS policies are kept.
    pub policies: Option<PathBuf>,
    pub tls_reports: TlsReports,
    /// Web servers that domains may name.
    pub reach: Reach,
    /// Where the counts for TLS reports are kept.
    pub tls_counts: Option<PathBuf>,
    pub connections_max: usize,
    /// How fast each site is met.
    pub sites: SiteBook,
    pub schedule: Schedule,
    /// Seconds in the queue after which a sender is told of the delay; none: never.
    pub delay_notice_s: Option<u64>,
    pub connect_timeout: Duration,
    pub answer_timeout: Duration,
    /// Octets of contents that wait in memory for their first attempt.
    pub memory_max: usize,
    pub signing: Signing,
}

/// What the relay works with and does not own.
#[derive(Clone)]
pub struct Tools {
    pub spool: Spool,
    pub rulebook: Rulebook,
    /// Providers that are not believed when they say "no such user".
    pub breakers: Breakers,
    pub accounts: Accounts,
    pub dkim: DkimKeys,
    /// Exits that take no mail for now.
    pub paused: Paused,
    /// None: all mail leaves with the return path of its sender.
    pub returning: Option<Returning>,
}

/// A handle on the running relay; clones share it.
#[derive(Clone)]
pub struct Relay {
    to_runner: mpsc::Sender<News>,
    budget: Budget,
}

/// Why the relay cannot start.
#[derive(Debug, Error)]
pub enum StartError {
    #[error("the resolver cannot be set up: {0}")]
    Dns(String),
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    #[error("{}: {why}", path.display())]
    Roots { path: PathBuf, why: String },
    #[error("no thread can be started for signatures: {0}")]
    Threads(std::io::Error),
}

impl Relay {
    /// Starts the relay on what the spool holds, which is read in the background: new mail need not wait for old.
    ///
    /// # Errors
    /// [`StartError`]: the machine's resolver configuration is unreadable, say.
    pub fn start(settings: Settings, tools: Tools) -> Result<Self, StartError> {
        let dns = Dns::new(&settings.resolvers).map_err(|error| StartError::Dns(error.to_string()))?;
        let tls = TlsClient::new(settings.tls_roots.as_deref())?;
        let policies = Policies::open(settings.policies, tls.certified.clone(), settings.reach.clone());
        let counting = Counting::new(settings.tls_reports, settings.tls_counts.as_ref());
        let (to_runner, heard) = mpsc::channel(NEWS_MAX);
        let courier = Courier {
            dns: dns.clone(),
            tls: tls.certified.clone(),
            reach: settings.reach,
            hostname: settings.hostname.clone(),
            spool: tools.spool.clone(),
            to_runner: to_runner.clone(),
        };
        let (hostname, signing) = (settings.hostname.clone(), settings.signing);
        let signer = Signer::start(tools.dkim, tools.accounts.clone(), hostname, signing, dns.clone());
        let signer = signer.map_err(StartError::Threads)?;
        let shared = Arc::new(Shared {
            marking: Marking::new(tools.returning, tools.accounts),
            signer,
            spool: tools.spool,
            rulebook: tools.rulebook,
            seen: Seen::new(tools.breakers),
            schedule: settings.schedule,
            reporter: Reporter {
                hostname: settings.hostname,
                language: settings.language,
                delay_notice_s: settings.delay_notice_s,
            },
            routes: Routes {
                smarthost: settings.smarthost.map(Arc::new),
                routes: settings.routes.into_iter().map(|(domain, hop)| (domain, Arc::new(hop))).collect(),
                port: settings.port,
                tls: settings.tls,
                dns: dns.clone(),
                policies: policies.clone(),
                own: settings.own.clone(),
                sites: settings.sites,
            },
            opener: Opener {
                dns,
                tls,
                tls_use: settings.tls,
                patience: Patience { connect: settings.connect_timeout, answer: settings.answer_timeout },
                exits: Exits::new(settings.exits, tools.paused),
                broken: Broken::default(),
                policies,
                counting: counting.clone(),
                own: settings.own,
            },
            to_runner: to_runner.clone(),
        });
        tokio::spawn(counting.run(courier, settings.tls_counts));
        tokio::spawn(runner::load(shared.spool.clone(), to_runner.clone()));
        tokio::spawn(Runner::new(Queue::new(settings.connections_max), shared, heard).run());
        Ok(Self { to_runner, budget: Budget::new(settings.memory_max) })
    }

    /// A mail that the spool has just taken. Waits while the relay has more than it can hear of at once.
    pub async fn queued(&self, queued: Queued, content: Bytes) {
        // When the relay has stopped, the mail is in the spool and the next start finds it.
        let _ = self.to_runner.send(News::Mail(queued, self.budget.keep(content))).await;
    }

    /// A person changed these mails in the spool.
    pub async fn changed(&self, mails: Vec<u64>) {
        let _ = self.to_runner.send(News::Changed(mails)).await;
    }

    /// A person paused an exit, or lets mail leave by it again.
    pub async fn exits_changed(&self) {
        let _ = self.to_runner.send(News::Exits).await;
    }

    /// Answers with the sites that mail is for, once the queue has a moment.
    pub async fn sites(&self, to: oneshot::Sender<Vec<SiteState>>) {
        let _ = self.to_runner.send(News::Sites(to)).await;
    }

    /// Takes no new mail, lets attempts that are under way end, and stops.
    pub async fn stop(&self) {
        let (done, stopped) = oneshot::channel();
        if self.to_runner.send(News::Stop(done)).await.is_ok() {
            let _ = stopped.await;
        }
    }
}

/// A number in `[0, 1)` to spread attempts; good enough for that, and for nothing secret.
fn random() -> f64 {
    let bits = u32::try_from(RandomState::new().build_hasher().finish() >> 32).unwrap_or(0);
    f64::from(bits) / (f64::from(u32::MAX) + 1.0)
}

/// Messages to the runner; beyond it workers and doors wait.
const NEWS_MAX: usize = 4096;
