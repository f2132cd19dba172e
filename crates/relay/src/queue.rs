//! The queue as a value: what is due when, whose turn it is at which site. Deterministic; time is an argument.
//!
//! Two levels: a scheduled queue for each (org, stream, domain), where mail waits; and for each site the order in which
//! those queues take turns when a connection asks. Mail stays in its scheduled queue until the moment it is sent, so
//! no site can hold more than its connections carry, and one org's newsletter never stands before another's letter.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use sm2tp_proto::Domain;
use sm2tp_rules::Stream;
use sm2tp_rules::pace::Pace;
use sm2tp_store::spool::{Lane, Mail, Queued, Recipient};

use crate::body::Body;
use crate::route::SiteKey;

/// Recipients of one mail at one domain that are served together.
#[derive(Debug, Clone)]
pub struct Job {
    pub mail: Arc<Mail>,
    pub domain: Domain,
    pub recipients: Vec<Recipient>,
    /// The content, until the first attempt; later attempts read it from the spool.
    pub content: Option<Arc<Body>>,
}

/// Name of a scheduled queue.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct QueueKey {
    org: Arc<str>,
    stream: Stream,
    slow: bool,
    domain: Domain,
}

/// What the shell has to do.
#[derive(Debug)]
pub enum Todo {
    /// Find out which site serves this domain, then call [`Queue::located`] or [`Queue::unlocated`].
    Locate(Domain),
    /// Open one more connection to this site.
    Connect(SiteKey),
    /// Waited for a person long enough: give it back to its sender.
    GiveBack(Job),
}

/// All mail that this node has taken on.
pub struct Queue {
    connections_max: usize,
    per_site_max: usize,
    open: usize,
    /// By due time; the second number keeps entries of one second apart and in order.
    waiting: BTreeMap<(u64, u64), Waiting>,
    serial: u64,
    due: HashMap<QueueKey, VecDeque<Job>>,
    /// Domains whose site is being looked up.
    locating: HashMap<Domain, Vec<QueueKey>>,
    sites: HashMap<SiteKey, Turns>,
    /// When each org may send its next mail of the slow lane.
    slow_next: HashMap<Arc<str>, u64>,
}

#[derive(Debug)]
enum Waiting {
    Mail(Job),
    Site(SiteKey),
}

/// The order of one site. Classes are strict: letters before newsletters, the slow lane last; inside a class the orgs
/// take turns, and inside an org its domains.
#[derive(Debug)]
struct Turns {
    classes: [VecDeque<(Arc<str>, VecDeque<QueueKey>)>; 3],
    connections: usize,
    pace: Pace,
    /// When a paused site is looked at again; one entry in the waiting list is enough.
    wakes_at: u64,
}

impl Queue {
    /// `connections_max` bounds all open connections, `per_site_max` those to one site.
    #[must_use]
    pub fn new(connections_max: usize, per_site_max: usize) -> Self {
        Self {
            connections_max: connections_max.max(1),
            per_site_max,
            open: 0,
            waiting: BTreeMap::new(),
            serial: 0,
            due: HashMap::new(),
            locating: HashMap::new(),
            sites: HashMap::new(),
            slow_next: HashMap::new(),
        }
    }

    /// Takes over a mail: recipients of one domain that are due together become one job.
    pub fn add(&mut self, queued: Queued, content: Option<Arc<Body>>, now: u64) -> Vec<Todo> {
        let mut jobs = BTreeMap::<(u64, Lane, Domain), Vec<Recipient>>::new();
        for recipient in queued.recipients {
            let key = (recipient.next_at.max(now), recipient.lane, recipient.address.domain().clone());
            jobs.entry(key).or_default().push(recipient);
        }
        for ((due, _, domain), mut recipients) in jobs {
            while !recipients.is_empty() {
                let rest = recipients.split_off(recipients.len().min(RECIPIENTS_PER_JOB));
                let job = Job {
                    mail: queued.mail.clone(),
                    domain: domain.clone(),
                    recipients: std::mem::replace(&mut recipients, rest),
                    content: content.clone(),
                };
                self.wait(due, Waiting::Mail(job));
            }
        }
        self.tick(now)
    }

    /// When [`Queue::tick`] has something to do next; none while nothing waits.
    #[must_use]
    pub fn next_at(&self) -> Option<u64> {
        self.waiting.keys().next().map(|(at, _)| *at)
    }

    /// Moves on what has become due.
    pub fn tick(&mut self, now: u64) -> Vec<Todo> {
        let mut todo = Vec::new();
        while let Some(entry) = self.waiting.first_entry().filter(|entry| entry.key().0 <= now) {
            match entry.remove() {
                Waiting::Site(site) => todo.extend(self.connect(&site, now)),
                Waiting::Mail(job) => todo.extend(self.become_due(job, now)),
            }
        }
        todo
    }

    fn become_due(&mut self, job: Job, now: u64) -> Option<Todo> {
        match job.lane() {
            Lane::Held => return Some(Todo::GiveBack(job)),
            Lane::Slow => {
                let next = self.slow_next.get(&job.mail.org).copied().unwrap_or(0);
                if now < next {
                    self.wait(next, Waiting::Mail(job));
                    return None;
                }
                self.slow_next.insert(job.mail.org.clone(), now + SLOW_LANE_S);
            }
            Lane::Normal => {}
        }
        let key = QueueKey {
            org: job.mail.org.clone(),
            stream: job.mail.stream,
            slow: job.lane() == Lane::Slow,
            domain: job.domain.clone(),
        };
        let queue = self.due.entry(key.clone()).or_default();
        queue.push_back(job);
        if queue.len() != 1 {
            return None; // The queue is known to its site, or its site is being looked up.
        }
        let asked = self.locating.entry(key.domain.clone()).or_default();
        asked.push(key.clone());
        (asked.len() == 1).then_some(Todo::Locate(key.domain))
    }

    /// The site of a domain is known.
    pub fn located(&mut self, domain: &Domain, site: &SiteKey, now: u64) -> Vec<Todo> {
        let per_site_max = self.per_site_max;
        let turns = self.sites.entry(site.clone()).or_insert_with(|| Turns::new(per_site_max));
        for key in self.locating.remove(domain).unwrap_or_default() {
            turns.add(key);
        }
        self.connect(site, now)
    }

    /// The domain has no site now: all its due jobs come back, to be recorded as failed.
    pub fn unlocated(&mut self, domain: &Domain) -> Vec<Job> {
        let keys = self.locating.remove(domain).unwrap_or_default();
        keys.iter().filter_map(|key| self.due.remove(key)).flatten().collect()
    }

    /// The next job of a connection that has nothing to do; none closes it.
    pub fn next(&mut self, site: &SiteKey, now: u64) -> Option<Job> {
        let turns = self.sites.get_mut(site)?;
        if turns.pace.limit(now) < turns.connections {
            return None;
        }
        while let Some(key) = turns.take() {
            let Some(queue) = self.due.get_mut(&key) else { continue };
            let job = queue.pop_front();
            if queue.is_empty() {
                self.due.remove(&key);
            } else {
                turns.add(key);
            }
            if job.is_some() {
                return job;
            }
        }
        None
    }

    /// A job that could not be handed over goes back to the front of its queue.
    pub fn put_back(&mut self, job: Job, now: u64) -> Vec<Todo> {
        self.wait(now, Waiting::Mail(job));
        self.tick(now)
    }

    /// A mail was taken by the site.
    pub fn succeeded(&mut self, site: &SiteKey) {
        if let Some(turns) = self.sites.get_mut(site) {
            turns.pace.succeeded();
        }
    }

    /// The site said that it gets too much.
    pub fn slowed(&mut self, site: &SiteKey) {
        if let Some(turns) = self.sites.get_mut(site) {
            turns.pace.slowed();
        }
    }

    /// A connection ended.
    pub fn closed(&mut self, site: &SiteKey, now: u64) -> Vec<Todo> {
        self.open = self.open.saturating_sub(1);
        if let Some(turns) = self.sites.get_mut(site) {
            turns.connections = turns.connections.saturating_sub(1);
            if turns.is_idle() && turns.pace == Pace::new(self.per_site_max) {
                self.sites.remove(site);
            }
        }
        let mut todo = self.connect(site, now);
        if todo.is_empty() {
            todo.extend(self.connect_anyone(now));
        }
        todo
    }

    /// No connection could be made. All that is due there comes back, to be recorded as failed at once: trying each
    /// mail against a dead site would keep the queue busy for hours.
    pub fn unreachable(&mut self, site: &SiteKey, now: u64) -> Vec<Job> {
        let Some(turns) = self.sites.get_mut(site) else { return Vec::new() };
        turns.pace.unreachable(now);
        let keys: Vec<QueueKey> = std::iter::from_fn(|| turns.take()).collect();
        keys.iter().filter_map(|key| self.due.remove(key)).flatten().collect()
    }

    /// Takes every job of a mail out, wherever it waits; jobs on a connection are not here any more.
    pub fn withdraw(&mut self, mail: u64) {
        self.waiting.retain(|_, waiting| !matches!(waiting, Waiting::Mail(job) if job.mail.id == mail));
        self.due.values_mut().for_each(|queue| queue.retain(|job| job.mail.id != mail));
    }

    /// Connections that are open to a site, or being opened.
    #[must_use]
    pub fn connections(&self, site: &SiteKey) -> usize {
        self.sites.get(site).map_or(0, |turns| turns.connections)
    }

    fn wait(&mut self, at: u64, what: Waiting) {
        self.serial += 1;
        self.waiting.insert((at, self.serial), what);
    }

    /// Opens connections to a site while it has more queues than connections.
    fn connect(&mut self, site: &SiteKey, now: u64) -> Vec<Todo> {
        let Some(turns) = self.sites.get_mut(site) else { return Vec::new() };
        if turns.is_idle() {
            return Vec::new();
        }
        if let Some(until) = turns.pace.paused_until(now) {
            if turns.wakes_at != until {
                turns.wakes_at = until;
                self.wait(until, Waiting::Site(site.clone()));
            }
            return Vec::new();
        }
        let wanted: usize = turns.keys().filter_map(|key| self.due.get(key)).map(VecDeque::len).sum();
        let goal = turns.pace.limit(now).min(wanted.max(1));
        let mut todo = Vec::new();
        while turns.connections < goal && self.open < self.connections_max {
            turns.connections += 1;
            self.open += 1;
            todo.push(Todo::Connect(site.clone()));
        }
        todo
    }

    /// A connection has become free for a site that waited for one.
    fn connect_anyone(&mut self, now: u64) -> Vec<Todo> {
        if self.open + 1 < self.connections_max {
            return Vec::new(); // Nobody had to wait.
        }
        let starved = self.sites.iter().find(|(_, turns)| turns.connections == 0 && !turns.is_idle());
        match starved.map(|(site, _)| site.clone()) {
            Some(site) => self.connect(&site, now),
            None => Vec::new(),
        }
    }
}

impl Job {
    #[must_use]
    pub fn lane(&self) -> Lane {
        self.recipients.first().map_or(Lane::Normal, |recipient| recipient.lane)
    }
}

impl Turns {
    fn new(limit_max: usize) -> Self {
        Self { classes: Default::default(), connections: 0, pace: Pace::new(limit_max), wakes_at: 0 }
    }

    fn add(&mut self, key: QueueKey) {
        let class = match (key.slow, key.stream) {
            (true, _) => 2,
            (false, Stream::Bulk) => 1,
            (false, _) => 0,
        };
        match self.classes[class].iter_mut().find(|(org, _)| *org == key.org) {
            Some((_, keys)) if keys.contains(&key) => {}
            Some((_, keys)) => keys.push_back(key),
            None => self.classes[class].push_back((key.org.clone(), VecDeque::from([key]))),
        }
    }

    /// Takes the key whose turn it is out; the caller adds it again while its queue has more.
    fn take(&mut self) -> Option<QueueKey> {
        let class = self.classes.iter_mut().find(|class| !class.is_empty())?;
        let (org, mut keys) = class.pop_front()?;
        let key = keys.pop_front();
        if !keys.is_empty() {
            class.push_back((org, keys));
        }
        key
    }

    fn keys(&self) -> impl Iterator<Item = &QueueKey> {
        self.classes.iter().flatten().flat_map(|(_, keys)| keys)
    }

    fn is_idle(&self) -> bool {
        self.classes.iter().all(VecDeque::is_empty)
    }
}

/// RFC 5321 §4.5.3.1.8: every server takes 100 recipients in one transaction.
const RECIPIENTS_PER_JOB: usize = 100;
/// The slow lane: one mail a minute for each org (DESIGN §1).
const SLOW_LANE_S: u64 = 60;

#[cfg(test)]
mod tests {
    use sm2tp_proto::Address;

    use super::*;
    use crate::route::{FoundBy, MxHost, Site};

    fn mail(id: u64, org: &str, stream: Stream, recipients: &[&str]) -> Queued {
        let mail = Mail {
            id,
            org: org.into(),
            login: None,
            stream,
            mail_from: None,
            message_id: None,
            received_at: 0,
            octets: 1,
            is_report: false,
            options: Default::default(),
        };
        let recipient = |(index, text): (u32, &&str)| Recipient {
            index,
            address: Address::parse(text).unwrap(),
            lane: Lane::Normal,
            attempts: 0,
            next_at: 0,
            note: None,
            options: Default::default(),
            delay_told: false,
        };
        Queued { mail: Arc::new(mail), recipients: (0..).zip(recipients).map(recipient).collect() }
    }

    fn site() -> SiteKey {
        site_of("mx.example")
    }

    fn site_of(host: &str) -> SiteKey {
        let host = MxHost { name: host.into(), rank: 10, sts: sm2tp_rules::tls::Sts::Absent };
        Site::found(vec![host], 25, FoundBy::Dns).key
    }

    /// Answers every question of the queue with the one site; gives the number of connections it wants.
    fn locate(queue: &mut Queue, todo: Vec<Todo>) -> usize {
        let mut connects = 0;
        for todo in todo {
            match todo {
                Todo::Locate(domain) => {
                    let more = queue.located(&domain, &site(), 0);
                    connects += locate(queue, more);
                }
                Todo::Connect(_) => connects += 1,
                Todo::GiveBack(job) => panic!("{job:?}"),
            }
        }
        connects
    }

    fn add(queue: &mut Queue, queued: Queued) -> usize {
        let todo = queue.add(queued, None, 0);
        locate(queue, todo)
    }

    fn order(queue: &mut Queue) -> Vec<u64> {
        std::iter::from_fn(|| queue.next(&site(), 0)).map(|job| job.mail.id).collect()
    }

    #[test]
    fn recipients_of_one_domain_are_one_job_of_at_most_a_hundred() {
        let mut queue = Queue::new(10, 4);
        let many: Vec<String> = (0..150).map(|n| format!("u{n}@x.example")).collect();
        let mut all: Vec<&str> = many.iter().map(String::as_str).collect();
        all.push("a@y.example");
        add(&mut queue, mail(1, "a", Stream::Bulk, &all));
        let sizes: Vec<_> = std::iter::from_fn(|| queue.next(&site(), 0)).map(|job| job.recipients.len()).collect();
        assert_eq!(sizes.iter().sum::<usize>(), 151);
        assert_eq!(sizes.len(), 3);
    }

    #[test]
    fn a_letter_overtakes_every_newsletter_and_orgs_take_turns() {
        let mut queue = Queue::new(10, 4);
        (1..=4).for_each(|id| _ = add(&mut queue, mail(id, "big", Stream::Bulk, &["a@x.example"])));
        (11..=12).for_each(|id| _ = add(&mut queue, mail(id, "small", Stream::Bulk, &["b@x.example"])));
        add(&mut queue, mail(21, "big", Stream::Personal, &["c@x.example"]));
        assert_eq!(order(&mut queue), [21, 1, 11, 2, 12, 3, 4]);
    }

    #[test]
    fn few_mails_open_few_connections_and_many_no_more_than_allowed() {
        let mut queue = Queue::new(10, 3);
        assert_eq!(add(&mut queue, mail(1, "a", Stream::Personal, &["a@x.example"])), 1);
        let more: usize = (2..20).map(|id| add(&mut queue, mail(id, "a", Stream::Personal, &["a@y.example"]))).sum();
        assert!(more <= 2);
        let opened = queue.connect(&site(), 0).len();
        assert_eq!(1 + more + opened, 3);
        assert_eq!(queue.connections(&site()), 3);
    }

    #[test]
    fn all_connections_together_are_bounded_and_a_free_one_serves_who_waits() {
        let mut queue = Queue::new(1, 4);
        assert_eq!(add(&mut queue, mail(1, "a", Stream::Personal, &["a@x.example"])), 1);
        let other = site_of("other.example");
        let todo = queue.add(mail(2, "a", Stream::Personal, &["a@y.example"]), None, 0);
        assert!(matches!(todo[..], [Todo::Locate(_)]));
        assert!(queue.located(&Domain::parse("y.example").unwrap(), &other, 0).is_empty());
        assert_eq!(queue.next(&site(), 0).map(|job| job.mail.id), Some(1));
        assert!(matches!(&queue.closed(&site(), 0)[..], [Todo::Connect(site)] if *site == other));
    }

    #[test]
    fn a_dead_site_gives_everything_back_and_is_asked_again_after_a_pause() {
        let mut queue = Queue::new(10, 4);
        (1..=3).for_each(|id| _ = add(&mut queue, mail(id, "a", Stream::Personal, &["a@x.example"])));
        let first = queue.next(&site(), 0).unwrap();
        assert_eq!(queue.unreachable(&site(), 0).len(), 2);
        assert!(queue.closed(&site(), 0).is_empty());
        assert_eq!(add(&mut queue, Queued { mail: first.mail, recipients: first.recipients }), 0);
        assert_eq!(queue.next_at(), Some(1));
        let todo = queue.tick(1);
        assert_eq!(todo.len(), 1, "{todo:?}");
    }

    #[test]
    fn mail_without_a_site_comes_back_whole() {
        let mut queue = Queue::new(10, 4);
        queue.add(mail(1, "a", Stream::Personal, &["a@x.example"]), None, 0);
        queue.add(mail(2, "b", Stream::Bulk, &["b@x.example"]), None, 0);
        let mut ids: Vec<_> =
            queue.unlocated(&Domain::parse("x.example").unwrap()).iter().map(|job| job.mail.id).collect();
        ids.sort_unstable();
        assert_eq!(ids, [1, 2]);
    }

    #[test]
    fn held_mail_is_given_back_when_its_time_is_over_and_slow_mail_goes_one_a_minute() {
        let mut queue = Queue::new(10, 4);
        let lane = |id, lane, next_at| {
            let mut queued = mail(id, "a", Stream::Bulk, &["a@x.example"]);
            queued.recipients[0].lane = lane;
            queued.recipients[0].next_at = next_at;
            queued
        };
        assert!(queue.add(lane(1, Lane::Held, 50), None, 0).is_empty());
        assert!(matches!(&queue.tick(50)[..], [Todo::GiveBack(job)] if job.mail.id == 1));
        queue.add(lane(2, Lane::Slow, 100), None, 100);
        queue.add(lane(3, Lane::Slow, 100), None, 100);
        assert_eq!(queue.next_at(), Some(160));
    }

    #[test]
    fn a_withdrawn_mail_is_sent_by_nobody() {
        let mut queue = Queue::new(10, 4);
        add(&mut queue, mail(1, "a", Stream::Personal, &["a@x.example"]));
        add(&mut queue, mail(2, "a", Stream::Personal, &["a@x.example"]));
        queue.withdraw(1);
        assert_eq!(order(&mut queue), [2]);
    }
}
