//! The relay: takes what the spool keeps to the recipients' servers, and reports what could not be delivered.
//!
//! [`runner`] owns the queue ([`queue`], a pure value); [`worker`] is one connection's life around [`connection`];
//! [`settle`] decides what follows from an answer; [`report`] writes to the sender.

mod body;
mod connection;
mod dns;
mod queue;
mod report;
mod route;
mod runner;
mod settle;
mod tls;
mod worker;

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, RwLock};
use std::time::{Duration, SystemTime};

use sm2tp_rules::classify::Classifier;
use sm2tp_rules::retry::Schedule;
use sm2tp_store::spool::{Queued, Spool};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use crate::body::Budget;
use crate::connection::Manners;
use crate::dns::Dns;
use crate::queue::Queue;
pub use crate::report::{Language, Reporter};
pub use crate::route::HostPort;
use crate::route::Routes;
use crate::runner::{News, Runner};
pub use crate::tls::TlsUse;
use crate::worker::Shared;

/// All that the relay is told once, at start.
#[derive(Debug, Clone)]
pub struct Settings {
    pub hostname: String,
    pub language: Language,
    pub smarthost: Option<HostPort>,
    pub routes: HashMap<String, HostPort>,
    pub port: u16,
    pub dns_servers: Vec<SocketAddr>,
    /// Local addresses to send from, the first of each family; empty: what the system chooses.
    pub source: Vec<IpAddr>,
    pub tls: TlsUse,
    pub connections_max: usize,
    pub connections_per_site_max: usize,
    pub schedule: Schedule,
    pub connect_timeout: Duration,
    pub answer_timeout: Duration,
    /// Octets of contents that wait in memory for their first attempt.
    pub memory_max: usize,
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
}

impl Relay {
    /// Starts the relay on what the spool holds.
    ///
    /// # Errors
    /// [`StartError`] where the machine's resolver configuration is unreadable.
    pub fn start(
        settings: Settings,
        spool: Spool,
        classifier: Arc<Classifier>,
        queued: Vec<Queued>,
    ) -> Result<Self, StartError> {
        let dns = Dns::new(&settings.dns_servers).map_err(|error| StartError::Dns(error.to_string()))?;
        let (to_runner, heard) = mpsc::channel(NEWS_MAX);
        let shared = Arc::new(Shared {
            spool,
            classifier: RwLock::new(classifier),
            schedule: settings.schedule,
            reporter: Reporter { hostname: settings.hostname.clone(), language: settings.language },
            routes: Routes { smarthost: settings.smarthost, routes: settings.routes, port: settings.port, dns },
            manners: Manners {
                hostname: settings.hostname,
                source: settings.source,
                tls: settings.tls,
                tls_config: tls::opportunistic()?,
                connect_timeout: settings.connect_timeout,
                answer_timeout: settings.answer_timeout,
            },
            to_runner: to_runner.clone(),
        });
        let queue = Queue::new(settings.connections_max, settings.connections_per_site_max);
        tokio::spawn(Runner::new(queue, shared, heard).run());
        let relay = Self { to_runner, budget: Budget::new(settings.memory_max) };
        let to_runner = relay.to_runner.clone();
        tokio::spawn(async move {
            for mail in queued {
                if to_runner.send(News::Mail(mail, None)).await.is_err() {
                    return;
                }
            }
        });
        Ok(relay)
    }

    /// A mail that the spool has just taken. Waits while the relay has more than it can hear of at once.
    pub async fn queued(&self, queued: Queued, content: Arc<[u8]>) {
        // When the relay has stopped, the mail is in the spool and the next start finds it.
        let _ = self.to_runner.send(News::Mail(queued, self.budget.keep(content))).await;
    }

    /// A person changed this mail in the spool.
    pub async fn changed(&self, mail: u64) {
        let _ = self.to_runner.send(News::Changed(mail)).await;
    }

    /// Takes no new mail, lets attempts that are under way end, and stops.
    pub async fn stop(&self) {
        let (done, stopped) = oneshot::channel();
        if self.to_runner.send(News::Stop(done)).await.is_ok() {
            let _ = stopped.await;
        }
    }
}

/// Unix seconds.
fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

/// A number in `[0, 1)` to spread attempts; good enough for that, and for nothing secret.
fn random() -> f64 {
    let bits = u32::try_from(RandomState::new().build_hasher().finish() >> 32).unwrap_or(0);
    f64::from(bits) / (f64::from(u32::MAX) + 1.0)
}

/// Messages to the runner; beyond it workers and doors wait.
const NEWS_MAX: usize = 4096;
