//! One connection's life: takes jobs, sends them, and records what became of them. The next mail is sent while a success
//! is still being recorded, but never a third.

mod single;

use std::sync::Arc;
use std::time::Duration;

use sm2tp_proto::smtp::client::{Plan, Rcpt, RecipientResult, Spoken};
use sm2tp_proto::smtp::params::Form;
use sm2tp_rules::LocalFailure;
use sm2tp_rules::classify::Rulebook;
use sm2tp_rules::retry::Schedule;
use sm2tp_rules::tls::Asked;
use sm2tp_store::SpoolError;
use sm2tp_store::spool::{Change, Lane, Queued, Recipient, Spool};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::behaviour::Seen;
use crate::body::Body;
use crate::connection::{Connection, Outgoing, Sent, Trouble};
use crate::marking::Marking;
use crate::opening::{Opener, Wish};
use crate::queue::{Job, Ticket};
use crate::report::Reporter;
use crate::route::{Routes, Site};
use crate::runner::{Failed, News};
use crate::settle::{self, At, Heard, Hop, Rules, Settled};
use crate::sign::Signer;
use crate::{now, random};

/// What all workers use.
pub(crate) struct Shared {
    pub spool: Spool,
    pub rulebook: Rulebook,
    pub seen: Seen,
    pub schedule: Schedule,
    pub reporter: Reporter,
    pub routes: Routes,
    pub opener: Opener,
    pub signer: Signer,
    pub marking: Marking,
    pub to_runner: mpsc::Sender<News>,
}

pub(crate) struct Worker {
    shared: Arc<Shared>,
    site: Arc<Site>,
}

/// A connection at hand, and the exit that it left through.
struct Open {
    connection: Connection,
    exit: Arc<str>,
}

/// An attempt at a job: by whom it was heard, and what.
struct Attempt {
    open: Option<Open>,
    mx: String,
    exit: Option<Arc<str>>,
    hop: Hop,
    /// One for each recipient that was tried: the first ones of the job.
    heard: Vec<Heard>,
}

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>, site: Arc<Site>) -> Self {
        Self { shared, site }
    }

    pub(crate) async fn run(self) {
        let (mut open, mut sent): (Option<Open>, _) = (None, 0);
        let mut recording = Recording::default();
        while let Some(ticket) = self.next(open.is_some()).await {
            let mail = ticket.mail;
            let Some(job) = self.shared.job(ticket).await else {
                self.shared.say(News::Recorded(vec![(mail, None)])).await;
                continue;
            };
            let content = match self.shared.content(&job).await {
                Ok(content) => content,
                Err(settled) => {
                    self.settled(&job, settled).await;
                    continue;
                }
            };
            if let Some(marks) = self.shared.marking.marks(&job.mail, &content) {
                match self.one_by_one(open.take(), &job, &content, &marks, &mut sent).await {
                    Ok(next) => open = next,
                    Err(single::Over) => return,
                }
                continue;
            }
            let Ok(fields) = self.shared.signer.sign(&job.mail, &content).await else {
                let settled = self.cannot_sign(&job).await;
                self.settled(&job, settled).await;
                continue;
            };
            match self.attempt(open, &job, Outgoing { fields: &fields, content: &content }).await {
                Ok(attempt) => {
                    let at = At { mx: Some(&attempt.mx), exit: attempt.exit.as_deref(), hop: attempt.hop };
                    let settled = self.shared.rules(self.site.relays, |rules| {
                        let mut settled = rules.settle(&job, at, &attempt.heard);
                        rules.report(&job, &mut settled, &content);
                        // The server takes only so many at a time; the others are due as they were.
                        settled.deferred.extend(job.recipients.iter().skip(attempt.heard.len()).cloned());
                        settled
                    });
                    open = attempt.open;
                    let is_plain = settled.taken && !settled.slowed && settled.deferred.is_empty();
                    recording.done().await;
                    let record = record(self.shared.clone(), self.site.clone(), job, settled);
                    // Trouble is told before the next mail is asked for: it may have to wait.
                    if is_plain { recording.begin(record) } else { record.await }
                }
                Err(trouble) => {
                    recording.done().await;
                    return self.unreachable(&job, trouble, Vec::new()).await;
                }
            }
            sent = if open.is_some() { sent + 1 } else { 0 };
            if self.site.limits.mails_per_connection_max <= sent {
                sent = 0;
                hang_up(open.take()).await;
            }
        }
        hang_up(open).await;
        recording.done().await;
    }

    /// Asks for work. An open connection waits a moment for it: the next mail for this site may be on its way.
    async fn next(&self, open: bool) -> Option<Ticket> {
        let (to, mut ticket) = oneshot::channel();
        self.shared.say(News::Next { site: self.site.key.clone(), may_wait: open, to }).await;
        if let Ok(ticket) = timeout(IDLE, &mut ticket).await {
            return ticket.ok();
        }
        // A job that was handed over in this very moment would be nobody's.
        ticket.close();
        ticket.try_recv().ok()
    }

    /// Sends one job, on the connection at hand or a new one. A server may close an idle connection at any time; that
    /// says nothing about the mail, so such an attempt is made again at once on a new one.
    async fn attempt(&self, open: Option<Open>, job: &Job, content: Outgoing<'_>) -> Result<Attempt, Trouble> {
        let exits = self.shared.opener.exits.order(&job.mail.org, job.mail.stream);
        if let Some(open) = open {
            // A connection made for others may not do for this mail: another exit, less TLS than it asks for, or as
            // many mails as the server takes.
            let fits = exits.iter().any(|exit| exit.name == open.exit)
                && !open.connection.is_spent()
                && (!job.mail.options.require_tls || open.connection.keeps_tls());
            if fits {
                let (attempt, stale) = send(open, job, content).await;
                if !stale {
                    return Ok(attempt);
                }
            } else {
                open.connection.quit().await;
            }
        }
        let asked = match &job.mail.options {
            options if options.require_tls => Asked::Required,
            options if options.tls_waived => Asked::Waived,
            _ => Asked::Nothing,
        };
        let wish = Wish { domain: &job.domain, asked, exits: &exits };
        let trouble = match self.open(wish).await {
            Ok(open) => return Ok(send(open, job, content).await.0),
            Err(trouble) => trouble,
        };
        match trouble {
            // The wish of this mail says nothing about the others that wait for the site.
            Trouble::Local { failure: LocalFailure::RequireTls, host } => {
                let heard = vec![Heard::Local(LocalFailure::RequireTls); job.recipients.len()];
                Ok(Attempt { open: None, mx: host, exit: None, hop: Hop::Plain, heard })
            }
            trouble => Err(trouble),
        }
    }

    async fn open(&self, wish: Wish<'_>) -> Result<Open, Trouble> {
        let (connection, exit) = self.shared.opener.open(&self.site, wish).await?;
        Ok(Open { connection, exit })
    }

    async fn settled(&self, job: &Job, settled: Settled) {
        record(self.shared.clone(), self.site.clone(), job.clone(), settled).await;
    }

    /// Our own failure, and no word to any server: the mail waits, and the connection takes the next one.
    async fn cannot_sign(&self, job: &Job) -> Settled {
        let why = Failed { mx: None, relays: self.site.relays, heard: Heard::Local(LocalFailure::Unsigned) };
        self.shared.settle_failed(job, &why).await
    }

    /// No connection: the job is recorded with what was heard; the runner fails the rest of the site. `deferred` are
    /// recipients of the same mail that were served before.
    async fn unreachable(&self, job: &Job, trouble: Trouble, deferred: Vec<Recipient>) {
        let (mx, heard) = match trouble {
            Trouble::Local { failure, host } => (host, settle::Heard::Local(failure)),
            Trouble::Tls { host, .. } => (host, settle::Heard::Local(LocalFailure::TlsFailure)),
            Trouble::Refused { spoken, reply, host } => (host, settle::Heard::Refused(settle::stage(spoken), reply)),
        };
        let why = Failed { mx: Some(mx), relays: self.site.relays, heard };
        let settled = self.shared.settle_failed(job, &why).await;
        let deferred = [deferred, settled.deferred].concat();
        let (site, mail, left) = (self.site.key.clone(), job.mail.id, left(job, deferred));
        self.shared.record(settled.changes).await;
        self.shared.say(News::Unreachable { site, mail, left, why }).await;
    }
}

/// Records what became of a job, and tells the queue.
async fn record(shared: Arc<Shared>, site: Arc<Site>, job: Job, settled: Settled) {
    let (taken, slowed) = (settled.taken, settled.slowed);
    let left = left(&job, settled.deferred);
    shared.record(settled.changes).await;
    shared.say(News::Settled { site: site.key.clone(), mail: job.mail.id, left, taken, slowed }).await;
}

/// The one result of a connection that is on its way to the disk. A power cut at this moment sends one mail more again
/// for each connection; nobody waits for the disk between two mails.
#[derive(Default)]
struct Recording(Option<JoinHandle<()>>);

impl Recording {
    fn begin(&mut self, record: impl Future<Output = ()> + Send + 'static) {
        self.0 = Some(tokio::spawn(record));
    }

    async fn done(&mut self) {
        if let Some(recording) = self.0.take() {
            // It ends without a result only when the node stops.
            let _ = recording.await;
        }
    }
}

async fn hang_up(open: Option<Open>) {
    if let Some(open) = open {
        open.connection.quit().await;
    }
}

/// Records jobs that failed before there was a connection, many in one step: a site that is down may have thousands.
pub(crate) async fn record_failed(shared: Arc<Shared>, tickets: Vec<Ticket>, why: Failed) {
    let mut tickets = tickets.into_iter().peekable();
    while tickets.peek().is_some() {
        let (mut changes, mut done) = (Vec::new(), Vec::new());
        for ticket in tickets.by_ref().take(RECORDED_AT_ONCE) {
            let mail = ticket.mail;
            let Some(job) = shared.job(ticket).await else {
                done.push((mail, None));
                continue;
            };
            let settled = shared.settle_failed(&job, &why).await;
            done.push((mail, left(&job, settled.deferred)));
            changes.extend(settled.changes);
        }
        shared.record(changes).await;
        shared.say(News::Recorded(done)).await;
    }
}

/// Returns mail that waited for a person long enough, all of it in one step of the disk.
pub(crate) async fn give_back(shared: Arc<Shared>, tickets: Vec<Ticket>) {
    let (mut changes, mut mails) = (Vec::new(), Vec::new());
    for ticket in tickets {
        mails.push(ticket.mail);
        if let Some(mut job) = shared.job(ticket).await {
            // A person may have freed it a moment ago.
            job.recipients.retain(|recipient| recipient.lane == Lane::Held && recipient.next_at <= now());
            changes.extend(shared.reported(&job, shared.rules(false, |rules| rules.give_back(&job))).await.changes);
        }
    }
    shared.record(changes).await;
    shared.say(News::GivenBack(mails)).await;
}

impl Shared {
    /// The runner may have stopped; then what was recorded is in the spool, and the next start finds it.
    pub(crate) async fn say(&self, heard: News) {
        let _ = self.to_runner.send(heard).await;
    }

    fn rules<T>(&self, relayed: bool, work: impl FnOnce(Rules<'_>) -> T) -> T {
        let classifier = self.rulebook.rules();
        work(Rules {
            classifier: &classifier,
            seen: &self.seen,
            schedule: &self.schedule,
            reporter: &self.reporter,
            now: now(),
            jitter: random(),
            relayed,
        })
    }

    async fn settle_failed(&self, job: &Job, why: &Failed) -> Settled {
        let heard = vec![why.heard.clone(); job.recipients.len()];
        let at = At { mx: why.mx.as_deref(), ..At::default() };
        self.reported(job, self.rules(why.relays, |rules| rules.settle(job, at, &heard))).await
    }

    /// With its reports. The content is read only where there is one to write: a site that is down has many jobs.
    async fn reported(&self, job: &Job, mut settled: Settled) -> Settled {
        if settled.has_reports() {
            let content = self.content(job).await.ok();
            let octets = content.as_deref().map_or(&[][..], |body| &body[..]);
            self.rules(false, |rules| rules.report(job, &mut settled, octets));
        }
        settled
    }

    /// What a ticket is for; none where nothing of it is left to do.
    async fn job(&self, ticket: Ticket) -> Option<Job> {
        let ticket = match ticket.job() {
            Ok(job) => return Some(job),
            Err(ticket) => ticket,
        };
        let mut wait = AGAIN;
        loop {
            match self.spool.queued(ticket.mail).await {
                Ok(queued) => return Some(ticket.with(queued)).filter(|job| !job.recipients.is_empty()),
                Err(SpoolError::NotQueued { .. }) => return None,
                Err(error) => {
                    tracing::error!(%error, mail = ticket.mail, "a queued mail cannot be read; delivery waits");
                    sleep(wait).await;
                    wait = (wait * 2).min(AGAIN_MAX);
                }
            }
        }
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

    async fn hold(&self, job: &Job, error: &SpoolError) {
        let changes = job
            .recipients
            .iter()
            .map(|recipient| Change::Move {
                mail: job.mail.id,
                index: recipient.index,
                lane: Lane::Held,
                next_at: u64::from(u32::MAX),
                note: Some(error.to_string()),
            })
            .collect();
        self.record(changes).await;
    }

    /// Records, and does not go on before it could: mail that was delivered and is not recorded as such would be sent
    /// again, so a node that cannot record stops delivering.
    async fn record(&self, changes: Vec<Change>) {
        if changes.is_empty() {
            return;
        }
        let changes: Arc<[Change]> = changes.into();
        let mut wait = AGAIN;
        loop {
            match self.spool.record(changes.clone()).await {
                Ok(reports) => {
                    for report in reports {
                        self.say(News::Mail(report, None)).await;
                    }
                    return;
                }
                Err(error) => {
                    tracing::error!(%error, "results cannot be recorded; delivery waits");
                    sleep(wait).await;
                    wait = (wait * 2).min(AGAIN_MAX);
                }
            }
        }
    }
}

/// The second is true where the connection was dead before anything of this mail was heard.
async fn send(open: Open, job: &Job, content: Outgoing<'_>) -> (Attempt, bool) {
    let Open { connection, exit } = open;
    let mx = connection.host.clone();
    let hop = connection.hop();
    // RFC 9422 §4.2: a server that takes fewer recipients gets the others in further transactions.
    let tried = job.recipients.iter().take(connection.recipients_max());
    let recipients: Vec<Rcpt<'_>> =
        tried.clone().map(|recipient| Rcpt { path: &recipient.address, options: &recipient.options }).collect();
    let utf8 = job.mail.options.utf8 && !crate::report::header_of(content.content).is_ascii();
    let plan = Plan {
        mail_from: job.mail.mail_from.as_ref(),
        recipients: &recipients,
        octets: content.octets(),
        eight_bit: !content.content.is_ascii(),
        header: if utf8 { Form::Utf8 } else { Form::Ascii },
        options: &job.mail.options,
        may_chunk: content.content.ends_with(b"\r\n") && tried.clone().all(|recipient| recipient.attempts == 0),
    };
    let Sent { open: connection, results, lost } = connection.send(plan, content).await;
    let mut results = results.recipients;
    // A result is owed for each recipient, whatever the session says.
    results.resize(recipients.len(), RecipientResult::Lost { spoken: Spoken::Mail });
    let stale = |result: &RecipientResult| match result {
        RecipientResult::Lost { spoken } => *spoken == Spoken::Mail,
        // What a server says before it hangs up on an idle client is no answer to this mail.
        RecipientResult::Refused { spoken, reply } => *spoken == Spoken::Mail && reply.code == 421,
        _ => false,
    };
    let stale = results.iter().all(stale);
    let heard = results.into_iter().map(|result| settle::heard(result, lost)).collect();
    let open = connection.map(|connection| Open { connection, exit: exit.clone() });
    (Attempt { open, mx, exit: Some(exit), hop, heard }, stale)
}

/// What is still to be done of a job's mail.
fn left(job: &Job, deferred: Vec<Recipient>) -> Option<Queued> {
    (!deferred.is_empty()).then(|| Queued { mail: job.mail.clone(), recipients: deferred })
}

/// How long an open connection waits for its next mail.
const IDLE: Duration = Duration::from_secs(2);
/// How long a mail waits whose content could not be read for want of files or memory.
const READ_AGAIN_S: u64 = 60;
/// Waits before the spool is asked again.
const AGAIN: Duration = Duration::from_millis(200);
const AGAIN_MAX: Duration = Duration::from_secs(10);
/// Failed jobs that are recorded in one step.
const RECORDED_AT_ONCE: usize = 200;
