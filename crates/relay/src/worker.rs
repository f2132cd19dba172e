//! One connection's life: takes jobs, sends them, records what became of them before it takes the next.

use std::net::SocketAddr;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use sm2tp_proto::Address;
use sm2tp_proto::smtp::client::{RecipientResult, Spoken};
use sm2tp_rules::LocalFailure;
use sm2tp_rules::classify::Classifier;
use sm2tp_rules::retry::Schedule;
use sm2tp_store::spool::{Change, Queued, Recipient, Spool, SpoolError};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

use crate::body::Body;
use crate::connection::{Connection, Manners, Trouble};
use crate::queue::Job;
use crate::report::Reporter;
use crate::route::{Routes, Site};
use crate::runner::{Failed, News};
use crate::settle::{self, Rules, Settled};
use crate::{now, random};

/// What all workers use.
pub(crate) struct Shared {
    pub spool: Spool,
    pub classifier: RwLock<Arc<Classifier>>,
    pub schedule: Schedule,
    pub reporter: Reporter,
    pub routes: Routes,
    pub manners: Manners,
    pub to_runner: mpsc::Sender<News>,
}

pub(crate) struct Worker {
    shared: Arc<Shared>,
    site: Arc<Site>,
}

/// An attempt at a job: by whom it was heard, and what.
struct Attempt {
    connection: Option<Connection>,
    mx: String,
    results: Vec<RecipientResult>,
}

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>, site: Arc<Site>) -> Self {
        Self { shared, site }
    }

    pub(crate) async fn run(self) {
        let mut connection = None;
        while let Some(job) = self.next(connection.is_some()).await {
            let content = match self.shared.content(&job).await {
                Ok(content) => content,
                Err(settled) => {
                    self.settled(&job, settled).await;
                    continue;
                }
            };
            match self.attempt(connection, &job, &content).await {
                Ok(attempt) => {
                    let heard: Vec<_> = attempt.results.into_iter().map(settle::heard).collect();
                    let header = crate::report::header_of(&content);
                    let settled = self
                        .shared
                        .rules(self.site.relays, |rules| rules.settle(&job, Some(&attempt.mx), &heard, &header));
                    connection = attempt.connection;
                    self.shared.record(&settled.changes).await;
                    self.settled(&job, settled).await;
                }
                Err(trouble) => return self.unreachable(&job, &content, trouble).await,
            }
        }
        if let Some(connection) = connection {
            connection.quit().await;
        }
    }

    /// Asks for work. An open connection waits a moment for it: the next mail for this site may be on its way.
    async fn next(&self, open: bool) -> Option<Job> {
        let (to, job) = oneshot::channel();
        self.shared.say(News::Next { site: self.site.key.clone(), may_wait: open, to }).await;
        timeout(IDLE, job).await.ok()?.ok()
    }

    /// Sends one job, on the connection at hand or a new one. A server may close an idle connection at any time; that
    /// says nothing about the mail, so such an attempt is made again at once on a new one.
    async fn attempt(&self, connection: Option<Connection>, job: &Job, content: &[u8]) -> Result<Attempt, Trouble> {
        if let Some(connection) = connection {
            let attempt = send(connection, job, content).await;
            let stale = |result: &RecipientResult| match result {
                RecipientResult::Lost { spoken } => *spoken == Spoken::Mail,
                // What a server says before it hangs up on an idle client is no answer to this mail.
                RecipientResult::Refused { spoken, reply } => *spoken == Spoken::Mail && reply.code == 421,
                _ => false,
            };
            if !attempt.results.iter().all(stale) {
                return Ok(attempt);
            }
        }
        Ok(send(self.open().await?, job, content).await)
    }

    /// Tries the hosts of the site, best first.
    async fn open(&self) -> Result<Connection, Trouble> {
        let mut worst = None;
        let mut tries = 0;
        for host in &self.site.hosts {
            let addresses = match self.shared.routes.dns.addresses(host).await {
                Ok(addresses) => addresses,
                Err(failure) => {
                    worst = Some(Trouble::Local { failure, host: host.clone() });
                    continue;
                }
            };
            for address in addresses {
                if TRIES_MAX <= tries {
                    break;
                }
                tries += 1;
                let address = SocketAddr::new(address, self.site.port);
                match Connection::open(host, address, &self.shared.manners).await {
                    Ok(connection) => return Ok(connection),
                    // What a server says is worth more to a person than that another one was not there.
                    Err(trouble @ Trouble::Refused { .. }) => worst = Some(trouble),
                    Err(trouble) => worst = worst.filter(|w| matches!(w, Trouble::Refused { .. })).or(Some(trouble)),
                }
            }
        }
        let host = self.site.hosts.first().cloned().unwrap_or_default();
        Err(worst.unwrap_or(Trouble::Local { failure: LocalFailure::NoMailHost, host }))
    }

    async fn settled(&self, job: &Job, settled: Settled) {
        let (site, mail) = (self.site.key.clone(), job.mail.id);
        let (taken, slowed) = (settled.taken, settled.slowed);
        self.shared.say(News::Settled { site, mail, left: left(job, settled), taken, slowed }).await;
    }

    /// No connection: the job is recorded with what was heard; the runner fails the rest of the site.
    async fn unreachable(&self, job: &Job, content: &Body, trouble: Trouble) {
        let header = crate::report::header_of(content);
        let (mx, heard) = match trouble {
            Trouble::Local { failure, host } => (host, settle::Heard::Local(failure)),
            Trouble::Refused { spoken, reply, host } => (host, settle::Heard::Refused(settle::stage(spoken), reply)),
        };
        let why = Failed { mx: Some(mx), heard };
        let settled = self.shared.settle_failed(job, &why, &header);
        self.shared.record(&settled.changes).await;
        if let Some(left) = left(job, settled) {
            self.shared.say(News::Mail(left, None)).await;
        }
        self.shared.say(News::Unreachable { site: self.site.key.clone(), mail: job.mail.id, why }).await;
    }
}

/// Records jobs that failed before there was a connection.
pub(crate) async fn record_failed(shared: Arc<Shared>, jobs: Vec<Job>, why: Failed) {
    for job in jobs {
        let header = shared.header(&job).await;
        let settled = shared.settle_failed(&job, &why, &header);
        shared.record(&settled.changes).await;
        shared.say(News::Recorded { mail: job.mail.id, left: left(&job, settled) }).await;
    }
}

/// Returns mail that waited for a person long enough.
pub(crate) async fn give_back(shared: Arc<Shared>, job: Job) {
    let header = shared.header(&job).await;
    let settled = shared.rules(false, |rules| rules.give_back(&job, &header));
    shared.record(&settled.changes).await;
    shared.say(News::Recorded { mail: job.mail.id, left: None }).await;
}

impl Shared {
    /// The runner may have stopped; then what was recorded is in the spool, and the next start finds it.
    pub(crate) async fn say(&self, heard: News) {
        let _ = self.to_runner.send(heard).await;
    }

    fn rules<T>(&self, relayed: bool, work: impl FnOnce(Rules<'_>) -> T) -> T {
        let classifier = self.classifier.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        work(Rules {
            classifier: &classifier,
            schedule: &self.schedule,
            reporter: &self.reporter,
            now: now(),
            jitter: random(),
            relayed,
        })
    }

    fn settle_failed(&self, job: &Job, why: &Failed, header: &str) -> Settled {
        let heard = vec![why.heard.clone(); job.recipients.len()];
        self.rules(false, |rules| rules.settle(job, why.mx.as_deref(), &heard, header))
    }

    /// The content of a job; or what follows when it cannot be read: nothing where it is gone or held for a person,
    /// another try where the trouble is not the mail's (too many open files, no memory).
    async fn content(&self, job: &Job) -> Result<Arc<Body>, Settled> {
        if let Some(content) = &job.content {
            return Ok(content.clone());
        }
        match self.spool.content(job.mail.id).await {
            Ok(octets) => Ok(Body::read(octets)),
            Err(SpoolError::NotQueued { .. }) => Err(Settled::default()),
            Err(error) if error.is_damage() => {
                tracing::error!(mail = job.mail.id, %error, "a queued mail cannot be read; it is held for a person");
                self.hold(job, &error).await;
                Err(Settled::default())
            }
            Err(error) => {
                tracing::warn!(mail = job.mail.id, %error, "a queued mail cannot be read now; it is tried again");
                let next_at = now().saturating_add(READ_AGAIN_S);
                let deferred = job.recipients.iter().map(|recipient| Recipient { next_at, ..recipient.clone() });
                Err(Settled { deferred: deferred.collect(), ..Settled::default() })
            }
        }
    }

    /// The header, for a report; empty where it cannot be read.
    async fn header(&self, job: &Job) -> String {
        self.content(job).await.map(|content| crate::report::header_of(&content)).unwrap_or_default()
    }

    async fn hold(&self, job: &Job, error: &SpoolError) {
        let changes: Vec<_> = job
            .recipients
            .iter()
            .map(|recipient| Change::Move {
                mail: job.mail.id,
                index: recipient.index,
                lane: sm2tp_store::spool::Lane::Held,
                next_at: u64::from(u32::MAX),
                note: Some(error.to_string()),
            })
            .collect();
        self.record(&changes).await;
    }

    /// Records, and does not go on before it could: mail that was delivered and is not recorded as such would be sent
    /// again, so a node that cannot record stops delivering.
    async fn record(&self, changes: &[Change]) {
        let mut wait = RECORD_AGAIN;
        while let Err(error) = self.record_once(changes).await {
            tracing::error!(%error, "results cannot be recorded; delivery waits");
            sleep(wait).await;
            wait = (wait * 2).min(RECORD_AGAIN_MAX);
        }
    }

    async fn record_once(&self, changes: &[Change]) -> Result<(), SpoolError> {
        if changes.is_empty() {
            return Ok(());
        }
        for report in self.spool.record(changes.to_vec()).await? {
            self.say(News::Mail(report, None)).await;
        }
        Ok(())
    }
}

async fn send(connection: Connection, job: &Job, content: &[u8]) -> Attempt {
    let mx = connection.host.clone();
    let recipients: Vec<&Address> = job.recipients.iter().map(|recipient| &recipient.address).collect();
    let (connection, results) = connection.send(job.mail.mail_from.as_ref(), &recipients, content).await;
    let mut results = results.recipients;
    // A result is owed for each recipient, whatever the session says.
    results.resize(recipients.len(), RecipientResult::Lost { spoken: Spoken::Mail });
    Attempt { connection, mx, results }
}

/// What is still to be done of a job's mail.
fn left(job: &Job, settled: Settled) -> Option<Queued> {
    (!settled.deferred.is_empty()).then(|| Queued { mail: job.mail.clone(), recipients: settled.deferred })
}

/// How long an open connection waits for its next mail.
const IDLE: Duration = Duration::from_secs(2);
/// RFC 5321 §5.1 asks for at least two addresses; more than this costs a dead site too much time.
const TRIES_MAX: usize = 6;
/// How long a mail waits whose content could not be read for want of files or memory.
const READ_AGAIN_S: u64 = 60;
const RECORD_AGAIN: Duration = Duration::from_millis(200);
const RECORD_AGAIN_MAX: Duration = Duration::from_secs(10);
