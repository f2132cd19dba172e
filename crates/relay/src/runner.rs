//! The owner of the queue: one task that hears what happened and says who does what next.

mod locating;
mod rereading;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use sm2tp_proto::Domain;
use sm2tp_rules::LocalFailure;
use sm2tp_rules::sites::SiteState;
use sm2tp_store::spool::{Queued, Spool, Stub};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use self::locating::Locating;
use self::rereading::Rereading;
use crate::body::Body;
use crate::clock::Clock;
use crate::queue::{Queue, Ticket, Todo};
use crate::route::{Site, SiteKey};
use crate::worker::{Shared, Worker};
use crate::{now, settle, worker};

/// What the runner hears.
pub(crate) enum News {
    /// A mail to deliver, with its content if that is still in memory.
    Mail(Queued, Option<Arc<Body>>),
    /// What the spool held at start, up to this mail.
    Stored {
        last: u64,
        stubs: Vec<Stub>,
    },
    Located(Domain, Result<Site, LocalFailure>),
    /// A connection has nothing to do. `may_wait`: it is open and worth keeping for a moment.
    Next {
        site: SiteKey,
        may_wait: bool,
        to: oneshot::Sender<Ticket>,
    },
    /// An attempt is recorded. `left`: what is still to be done of that mail.
    Settled {
        site: SiteKey,
        mail: u64,
        left: Option<Queued>,
        taken: bool,
        slowed: bool,
    },
    /// No connection could be made for a job of this mail; the job is recorded, and `left` of it is still to be done.
    Unreachable {
        site: SiteKey,
        mail: u64,
        left: Option<Queued>,
        why: Failed,
    },
    /// Jobs that were out of the queue are recorded without any connection: for each its mail, and what is left of it.
    Recorded(Vec<(u64, Option<Queued>)>),
    /// Held mail went back to its senders.
    GivenBack(Vec<u64>),
    /// A person changed these mails: the spool knows better than we do.
    Changed(Vec<u64>),
    /// What the spool has of mails that were changed.
    Reread(Vec<Stub>),
    /// A person paused an exit, or lets mail leave by it again.
    Exits,
    /// A person looks at the sites.
    Sites(oneshot::Sender<Vec<SiteState>>),
    Stop(oneshot::Sender<()>),
}

/// Why jobs failed before any mail was spoken of.
#[derive(Debug, Clone)]
pub(crate) struct Failed {
    pub mx: Option<String>,
    /// At a smart host.
    pub relays: bool,
    pub heard: settle::Heard,
}

pub(crate) struct Runner {
    queue: Queue,
    shared: Arc<Shared>,
    heard: mpsc::Receiver<News>,
    /// Open connections without work.
    idle: HashMap<SiteKey, Vec<oneshot::Sender<Ticket>>>,
    /// How many jobs of a mail are out on connections or being recorded.
    out: HashMap<u64, usize>,
    /// Mails to be read again from the spool when their jobs are back.
    changed: HashSet<u64>,
    /// Up to which mail the spool of the start is loaded.
    loaded: u64,
    locating: Locating,
    rereading: Rereading,
    workers: JoinSet<()>,
    clock: Clock,
}

/// Hands the runner what the spool holds, page by page, oldest first.
pub(crate) async fn load(spool: Spool, to_runner: mpsc::Sender<News>) {
    let mut after = 0;
    loop {
        match spool.stubs(after, spool.last_at_start(), PAGE_MAILS).await {
            Ok(Some((last, stubs))) => {
                after = last;
                if to_runner.send(News::Stored { last, stubs }).await.is_err() {
                    return;
                }
            }
            Ok(None) => {
                // The mails above the last one that is left are gone: nothing that is said of them has to wait.
                let _ = to_runner.send(News::Stored { last: u64::MAX, stubs: Vec::new() }).await;
                return;
            }
            Err(error) => {
                tracing::error!(%error, "the queue cannot be read; it will be tried again");
                sleep(LOAD_AGAIN).await;
            }
        }
    }
}

impl Runner {
    pub(crate) fn new(queue: Queue, shared: Arc<Shared>, heard: mpsc::Receiver<News>) -> Self {
        Self {
            queue,
            shared,
            heard,
            idle: HashMap::new(),
            out: HashMap::new(),
            changed: HashSet::new(),
            loaded: 0,
            locating: Locating::default(),
            rereading: Rereading::default(),
            workers: JoinSet::new(),
            clock: Clock::new(now(), std::time::Instant::now()),
        }
    }

    pub(crate) async fn run(mut self) {
        // What was paused before the start stays so.
        let todo = self.exits_changed();
        self.act(todo);
        loop {
            let wake = self.queue.next_at().map_or(FAR, |at| Duration::from_secs(at.saturating_sub(now())).min(FAR));
            tokio::select! {
                heard = self.heard.recv() => match heard {
                    Some(News::Stop(done)) => {
                        self.stop().await;
                        // Whoever asked may have given up waiting.
                        let _ = done.send(());
                        return;
                    }
                    Some(heard) => self.hear(heard),
                    None => return,
                },
                () = sleep_until(Instant::now() + wake) => {
                    self.look_at_clock();
                    let todo = self.queue.tick(now());
                    self.act(todo);
                }
                Some(_) = self.workers.join_next() => {}
            }
        }
    }

    fn look_at_clock(&mut self) {
        if let Some(by) = self.clock.set(now(), std::time::Instant::now()) {
            tracing::warn!(seconds = by, "the clock was set; what waits in the queue waits as long as before");
            self.queue.shift(by);
        }
    }

    fn hear(&mut self, heard: News) {
        self.look_at_clock();
        let todo = match heard {
            // A person was faster than the door that took it.
            News::Mail(queued, _) if self.queue.is_withdrawn(queued.mail.id) => self.changed(vec![queued.mail.id]),
            News::Mail(queued, content) => self.queue.add(queued, content, now()),
            News::Stored { last, stubs } => self.stored(last, &stubs),
            News::Located(domain, found) => self.located(&domain, found),
            News::Next { site, may_wait, to } => self.next(site, may_wait, to),
            News::Settled { site, mail, left, taken, slowed } => {
                if taken {
                    self.queue.succeeded(&site);
                }
                if slowed {
                    self.queue.slowed(&site, now());
                }
                self.back(mail, left)
            }
            News::Recorded(done) => {
                let mut todo = Vec::new();
                for (mail, left) in done {
                    todo.extend(self.back(mail, left));
                }
                todo
            }
            News::GivenBack(mails) => {
                let mut todo = Vec::new();
                for mail in mails {
                    todo.extend(self.back(mail, None));
                }
                todo.extend(self.queue.given_back());
                todo
            }
            News::Unreachable { site, mail, left, why } => self.unreachable(&site, mail, left, why),
            News::Changed(mails) => self.changed(mails),
            News::Reread(mut stubs) => {
                self.rereading.ended(&mut stubs);
                self.read_changed();
                self.queue.add_stubs(&stubs, now())
            }
            News::Exits => self.exits_changed(),
            News::Sites(to) => {
                // Whoever asked may have gone.
                let _ = to.send(self.queue.sites(now()));
                Vec::new()
            }
            News::Stop(_) => Vec::new(),
        };
        self.act(todo);
    }

    fn exits_changed(&mut self) -> Vec<Todo> {
        let exits = &self.shared.opener.exits;
        self.queue.exits_changed(exits.shut(), |site, org, stream| exits.site(site, org, stream), now())
    }

    fn unreachable(&mut self, site: &SiteKey, mail: u64, left: Option<Queued>, why: Failed) -> Vec<Todo> {
        // While other connections to the site work, the door is not shut: it only has enough of them.
        if self.queue.connections(site) < 2 {
            let tickets = self.queue.unreachable(site, now());
            self.record_failed(tickets, why);
        } else {
            self.queue.slowed(site, now());
        }
        let mut todo = self.back(mail, left);
        todo.extend(self.queue.closed(site, now()));
        todo
    }

    /// Gives a connection its next job, keeps it for a moment, or lets it go.
    fn next(&mut self, site: SiteKey, may_wait: bool, to: oneshot::Sender<Ticket>) -> Vec<Todo> {
        if let Some(ticket) = self.queue.next(&site, now()) {
            let mut todo = self.hand(&site, ticket, to);
            todo.extend(self.queue.moved());
            return todo;
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
    fn hand(&mut self, site: &SiteKey, ticket: Ticket, to: oneshot::Sender<Ticket>) -> Vec<Todo> {
        let mail = ticket.mail;
        match to.send(ticket) {
            Ok(()) => {
                *self.out.entry(mail).or_default() += 1;
                Vec::new()
            }
            Err(ticket) => {
                let mut todo = self.queue.put_back(ticket, now());
                // It has its place no more: another one may be opened for the mail.
                todo.extend(self.queue.closed(site, now()));
                todo
            }
        }
    }

    /// A mail's job is back: what is left of it waits again, unless a person changed it meanwhile.
    fn back(&mut self, mail: u64, left: Option<Queued>) -> Vec<Todo> {
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
            self.reread(&[mail]);
            return Vec::new();
        }
        left.map(|left| self.queue.add_stored(&left, now())).unwrap_or_default()
    }

    /// A page of what the spool held at start. Mails of it that a person changed before they were here are read again.
    fn stored(&mut self, last: u64, stubs: &[Stub]) -> Vec<Todo> {
        self.loaded = last;
        let todo = self.queue.add_stubs(stubs, now());
        let changed: Vec<u64> =
            self.changed.iter().filter(|mail| **mail <= last && !self.out.contains_key(mail)).copied().collect();
        for mail in &changed {
            self.changed.remove(mail);
        }
        self.reread(&changed);
        todo
    }

    fn changed(&mut self, mut mails: Vec<u64>) -> Vec<Todo> {
        let (loaded, to_load) = (self.loaded, self.shared.spool.last_at_start());
        mails.retain(|mail| {
            let later = self.out.contains_key(mail) || loaded < *mail && *mail <= to_load;
            if later {
                self.changed.insert(*mail);
            }
            !later
        });
        self.reread(&mails);
        Vec::new()
    }

    /// Forgets what the queue has of these mails, and has read what the spool has.
    fn reread(&mut self, mails: &[u64]) {
        mails.iter().for_each(|mail| self.queue.withdraw(*mail));
        self.rereading.want(mails.iter().copied());
        self.read_changed();
    }

    fn read_changed(&mut self) {
        if let Some(mails) = self.rereading.begin() {
            let reading = rereading::read(self.shared.spool.clone(), mails, self.shared.to_runner.clone());
            self.workers.spawn(reading);
        }
    }

    fn act(&mut self, todo: Vec<Todo>) {
        for todo in todo {
            match todo {
                Todo::Locate(domain) => {
                    if let Some(domain) = self.locating.begin(domain) {
                        self.look_up(domain);
                    }
                }
                Todo::Connect(site) => self.connect(&site),
                Todo::GiveBack(tickets) => {
                    for ticket in &tickets {
                        *self.out.entry(ticket.mail).or_default() += 1;
                    }
                    self.workers.spawn(worker::give_back(self.shared.clone(), tickets));
                }
            }
        }
    }

    fn located(&mut self, domain: &Domain, found: Result<Site, LocalFailure>) -> Vec<Todo> {
        if let Some(next) = self.locating.ended() {
            self.look_up(next);
        }
        match found {
            Ok(site) => {
                let (site, exits) = (Arc::new(site), &self.shared.opener.exits);
                self.queue.located(domain, |org, stream| exits.site(&site, org, stream), now())
            }
            Err(failure) => {
                let tickets = self.queue.unlocated(domain);
                self.record_failed(tickets, Failed { mx: None, relays: false, heard: settle::Heard::Local(failure) });
                Vec::new()
            }
        }
    }

    fn look_up(&mut self, domain: Domain) {
        let shared = self.shared.clone();
        self.workers.spawn(async move {
            let site = shared.routes.site(&domain).await;
            shared.say(News::Located(domain, site)).await;
        });
    }

    /// An idle connection takes the place of a new one.
    fn connect(&mut self, site: &Arc<Site>) {
        while let Some(waiting) = self.idle.get_mut(&site.key).and_then(Vec::pop) {
            if waiting.is_closed() {
                continue;
            }
            let Some(ticket) = self.queue.next(&site.key, now()) else {
                let todo = self.queue.closed(&site.key, now());
                return self.act(todo);
            };
            let mail = ticket.mail;
            match waiting.send(ticket) {
                Ok(()) => {
                    *self.out.entry(mail).or_default() += 1;
                    return;
                }
                Err(ticket) => {
                    let todo = self.queue.put_back(ticket, now());
                    self.act(todo);
                }
            }
        }
        self.idle.remove(&site.key);
        self.workers.spawn(Worker::new(self.shared.clone(), site.clone()).run());
    }

    /// Records jobs as failed without a connection, in the background.
    fn record_failed(&mut self, tickets: Vec<Ticket>, why: Failed) {
        for ticket in &tickets {
            *self.out.entry(ticket.mail).or_default() += 1;
        }
        if !tickets.is_empty() {
            self.workers.spawn(worker::record_failed(self.shared.clone(), tickets, why));
        }
    }

    /// No new jobs; attempts that are under way may end.
    async fn stop(&mut self) {
        self.idle.clear();
        self.heard.close();
        let drained = timeout(DRAIN, async {
            loop {
                tokio::select! {
                    // Nothing comes any more once all is heard that was said before; that is no reason to ask again.
                    Some(_) = self.heard.recv() => {}
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
/// Mails of one page of the spool; each page is one answer of the reader and one step of the runner.
const PAGE_MAILS: usize = 500;
const LOAD_AGAIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
