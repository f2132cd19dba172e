//! The owner of the queue: one task that hears what happened and says who does what next.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use sm2tp_proto::Domain;
use sm2tp_rules::LocalFailure;
use sm2tp_store::spool::Queued;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use crate::body::Body;
use crate::queue::{Job, Queue, Todo};
use crate::route::{Site, SiteKey};
use crate::worker::{Shared, Worker};
use crate::{now, settle, worker};

/// What the runner hears.
pub(crate) enum News {
    /// A mail to deliver, with its content if that is still in memory.
    Mail(Queued, Option<Arc<Body>>),
    Located(Domain, Result<Site, LocalFailure>),
    /// A connection has nothing to do. `may_wait`: it is open and worth keeping for a moment.
    Next {
        site: SiteKey,
        may_wait: bool,
        to: oneshot::Sender<Job>,
    },
    /// An attempt is recorded. `left`: what is still to be done of that mail.
    Settled {
        site: SiteKey,
        mail: u64,
        left: Option<Queued>,
        taken: bool,
        slowed: bool,
    },
    /// No connection could be made for a job of this mail; the job is recorded.
    Unreachable {
        site: SiteKey,
        mail: u64,
        why: Failed,
    },
    /// Jobs that were out of the queue are recorded without any connection.
    Recorded {
        mail: u64,
        left: Option<Queued>,
    },
    /// A person changed this mail: the spool knows better than we do.
    Changed(u64),
    Stop(oneshot::Sender<()>),
}

/// Why jobs failed before any mail was spoken of.
#[derive(Debug, Clone)]
pub(crate) struct Failed {
    pub mx: Option<String>,
    pub heard: settle::Heard,
}

pub(crate) struct Runner {
    queue: Queue,
    shared: Arc<Shared>,
    heard: mpsc::Receiver<News>,
    sites: HashMap<SiteKey, Arc<Site>>,
    /// Open connections without work.
    idle: HashMap<SiteKey, Vec<oneshot::Sender<Job>>>,
    /// How many jobs of a mail are out on connections or being recorded.
    out: HashMap<u64, usize>,
    /// Mails to be read again from the spool when their jobs are back.
    changed: HashSet<u64>,
    workers: JoinSet<()>,
}

impl Runner {
    pub(crate) fn new(queue: Queue, shared: Arc<Shared>, heard: mpsc::Receiver<News>) -> Self {
        Self {
            queue,
            shared,
            heard,
            sites: HashMap::new(),
            idle: HashMap::new(),
            out: HashMap::new(),
            changed: HashSet::new(),
            workers: JoinSet::new(),
        }
    }

    pub(crate) async fn run(mut self) {
        loop {
            let wake = self.queue.next_at().map_or(FAR, |at| Duration::from_secs(at.saturating_sub(now())));
            tokio::select! {
                heard = self.heard.recv() => match heard {
                    Some(News::Stop(done)) => {
                        self.stop().await;
                        // Whoever asked may have given up waiting.
                        let _ = done.send(());
                        return;
                    }
                    Some(heard) => self.hear(heard).await,
                    None => return,
                },
                () = sleep_until(Instant::now() + wake) => {
                    let todo = self.queue.tick(now());
                    self.act(todo);
                }
                Some(_) = self.workers.join_next() => {}
            }
        }
    }

    async fn hear(&mut self, heard: News) {
        let todo = match heard {
            News::Mail(queued, content) => self.queue.add(queued, content, now()),
            News::Located(domain, Ok(site)) => {
                self.sites.insert(site.key.clone(), Arc::new(site.clone()));
                self.queue.located(&domain, &site.key, now())
            }
            News::Located(domain, Err(failure)) => {
                let jobs = self.queue.unlocated(&domain);
                self.record_failed(jobs, Failed { mx: None, heard: settle::Heard::Local(failure) });
                Vec::new()
            }
            News::Next { site, may_wait, to } => self.next(site, may_wait, to),
            News::Settled { site, mail, left, taken, slowed } => {
                if taken {
                    self.queue.succeeded(&site);
                }
                if slowed {
                    self.queue.slowed(&site);
                }
                self.back(mail, left).await
            }
            News::Recorded { mail, left } => self.back(mail, left).await,
            News::Unreachable { site, mail, why } => {
                // While other connections to the site work, the door is not shut: it only has enough of them.
                if self.queue.connections(&site) < 2 {
                    let jobs = self.queue.unreachable(&site, now());
                    self.record_failed(jobs, why);
                } else {
                    self.queue.slowed(&site);
                }
                let mut todo = self.back(mail, None).await;
                todo.extend(self.queue.closed(&site, now()));
                todo
            }
            News::Changed(mail) if self.out.contains_key(&mail) => {
                self.changed.insert(mail);
                Vec::new()
            }
            News::Changed(mail) => self.reread(mail).await,
            News::Stop(_) => Vec::new(),
        };
        self.act(todo);
    }

    /// Gives a connection its next job, keeps it for a moment, or lets it go.
    fn next(&mut self, site: SiteKey, may_wait: bool, to: oneshot::Sender<Job>) -> Vec<Todo> {
        if let Some(job) = self.queue.next(&site, now()) {
            return self.hand(job, to);
        }
        let todo = self.queue.closed(&site, now());
        if may_wait {
            let waiting = self.idle.entry(site).or_default();
            waiting.retain(|waiting| !waiting.is_closed());
            waiting.push(to);
        }
        todo
    }

    /// Hands a job over; a connection that left in this very moment gives it back.
    fn hand(&mut self, job: Job, to: oneshot::Sender<Job>) -> Vec<Todo> {
        let mail = job.mail.id;
        match to.send(job) {
            Ok(()) => {
                *self.out.entry(mail).or_default() += 1;
                Vec::new()
            }
            Err(job) => self.queue.put_back(job, now()),
        }
    }

    /// A mail's job is back: what is left of it waits again, unless a person changed it meanwhile.
    async fn back(&mut self, mail: u64, left: Option<Queued>) -> Vec<Todo> {
        if let Some(count) = self.out.get_mut(&mail) {
            *count -= 1;
            if *count == 0 {
                self.out.remove(&mail);
            }
        }
        if self.changed.contains(&mail) {
            if self.out.contains_key(&mail) {
                return Vec::new();
            }
            self.changed.remove(&mail);
            return self.reread(mail).await;
        }
        left.map(|left| self.queue.add(left, None, now())).unwrap_or_default()
    }

    async fn reread(&mut self, mail: u64) -> Vec<Todo> {
        self.queue.withdraw(mail);
        match self.shared.spool.queued(mail).await {
            Ok(queued) => self.queue.add(queued, None, now()),
            Err(_) => Vec::new(), // It is gone: dropped, or done.
        }
    }

    fn act(&mut self, todo: Vec<Todo>) {
        for todo in todo {
            match todo {
                Todo::Locate(domain) => self.locate(domain),
                Todo::Connect(site) => self.connect(site),
                Todo::GiveBack(job) => {
                    *self.out.entry(job.mail.id).or_default() += 1;
                    self.workers.spawn(worker::give_back(self.shared.clone(), job));
                }
            }
        }
    }

    fn locate(&mut self, domain: Domain) {
        let shared = self.shared.clone();
        self.workers.spawn(async move {
            let site = shared.routes.site(&domain).await;
            shared.say(News::Located(domain, site)).await;
        });
    }

    /// An idle connection takes the place of a new one.
    fn connect(&mut self, site: SiteKey) {
        while let Some(waiting) = self.idle.get_mut(&site).and_then(Vec::pop) {
            if waiting.is_closed() {
                continue;
            }
            let Some(job) = self.queue.next(&site, now()) else {
                let todo = self.queue.closed(&site, now());
                return self.act(todo);
            };
            let mail = job.mail.id;
            match waiting.send(job) {
                Ok(()) => {
                    *self.out.entry(mail).or_default() += 1;
                    return;
                }
                Err(job) => {
                    let todo = self.queue.put_back(job, now());
                    self.act(todo);
                }
            }
        }
        if let Some(known) = self.sites.get(&site) {
            self.workers.spawn(Worker::new(self.shared.clone(), known.clone()).run());
        }
    }

    /// Records jobs as failed without a connection, in the background.
    fn record_failed(&mut self, jobs: Vec<Job>, why: Failed) {
        for job in &jobs {
            *self.out.entry(job.mail.id).or_default() += 1;
        }
        if !jobs.is_empty() {
            self.workers.spawn(worker::record_failed(self.shared.clone(), jobs, why));
        }
    }

    /// No new jobs; attempts that are under way may end.
    async fn stop(&mut self) {
        self.idle.clear();
        self.heard.close();
        let drained = timeout(DRAIN, async {
            loop {
                tokio::select! {
                    heard = self.heard.recv() => drop(heard),
                    ended = self.workers.join_next() => if ended.is_none() { return },
                }
            }
        });
        if drained.await.is_err() {
            tracing::warn!("some attempts did not end in time; they will be made again after the next start");
        }
    }
}

/// How long attempts under way may take when the node stops. What is cut off is delivered again.
const DRAIN: Duration = Duration::from_secs(20);
const FAR: Duration = Duration::from_secs(3600);
