//! The queue as a value: what is due when, whose turn it is at which site. Deterministic; time is an argument.
//!
//! Two levels: a scheduled queue for each (org, stream, lane, domain, posture), and in the slow lane for each sender, where mail
//! waits; and for each site the order in which those queues take turns when a connection asks. Mail stays in its
//! scheduled queue until the moment it is sent, so no site can hold more than its connections carry, and one org's
//! newsletter never stands before another's letter.
//!
//! A waiting mail is a line of some fifty octets that says where to find it in the spool; only mail that has just come
//! in is held whole, and not more than [`FRESH_MAX`] of it.

mod entry;
mod scheduled;
mod shut;
mod slow;
mod turns;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use sm2tp_proto::Domain;
use sm2tp_rules::Stream;
use sm2tp_rules::sites::SiteState;
use sm2tp_store::spool::{Lane, Mail, Queued, Recipient, SlowSender, Stub};

use self::entry::{Entry, Fresh, Indexes};
pub use self::entry::{Job, Ticket};
use self::scheduled::{Place, QueueId, QueueKey, Scheduled, ScheduledQueues};
pub use self::shut::Shut;
use self::slow::SlowLane;
use self::turns::Turns;
use crate::body::Body;
use crate::route::{Site, SiteKey};

/// What the shell has to do.
#[derive(Debug)]
pub enum Todo {
    /// Find out which site serves this domain, then call [`Queue::located`] or [`Queue::unlocated`].
    Locate(Domain),
    /// Open one more connection to this site.
    Connect(Arc<Site>),
    /// These waited for a person long enough: give them back to their senders, then call [`Queue::given_back`].
    GiveBack(Vec<Ticket>),
}

/// All mail that this node has taken on.
pub struct Queue {
    connections_max: usize,
    open: usize,
    /// By due time; the second number keeps entries of one second apart and in order.
    waiting: BTreeMap<(u64, u64), Waiting>,
    serial: u64,
    /// How many entries hold their mail whole.
    fresh: usize,
    queues: ScheduledQueues,
    /// Domains whose site is being looked up.
    locating: HashMap<Domain, Vec<QueueId>>,
    sites: HashMap<SiteKey, Turns>,
    /// With so many of them it is time to forget some.
    sites_max: usize,
    /// Sites that could not open a connection because too many were open.
    starved: VecDeque<SiteKey>,
    slow_lane: SlowLane,
    overdue: Overdue,
    /// Mails that were changed: their entries up to this serial are void.
    withdrawn: HashMap<u64, u64>,
    /// Domains that have been at their site for long.
    moved: Vec<Domain>,
    shut: Shut,
}

#[derive(Debug)]
enum Waiting {
    Mail(Entry),
    Site(SiteKey),
}

/// Held mail whose time is over. A newsletter of a million that was held is all due in one second.
#[derive(Debug, Default)]
struct Overdue {
    entries: VecDeque<Entry>,
    /// Some are being given back.
    under_way: bool,
}

/// What entries of one mail share.
struct Head<'a> {
    mail: u64,
    octets: u32,
    org: &'a Arc<str>,
    stream: Stream,
    tls_waived: bool,
}

impl<'a> Head<'a> {
    fn of(mail: &'a Mail) -> Self {
        let tls_waived = mail.options.tls_waived;
        Self { mail: mail.id, octets: mail.octets, org: &mail.org, stream: mail.stream, tls_waived }
    }
}

/// Where a recipient waits: what recipients that are served together have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Together {
    at: u64,
    lane: Lane,
    slow: Option<SlowSender>,
    domain: Domain,
}

impl Queue {
    /// `connections_max` bounds all open connections.
    #[must_use]
    pub fn new(connections_max: usize) -> Self {
        Self {
            connections_max: connections_max.max(1),
            open: 0,
            waiting: BTreeMap::new(),
            serial: 0,
            fresh: 0,
            queues: ScheduledQueues::default(),
            locating: HashMap::new(),
            sites: HashMap::new(),
            sites_max: SITES_KEPT,
            starved: VecDeque::new(),
            slow_lane: SlowLane::default(),
            overdue: Overdue::default(),
            withdrawn: HashMap::new(),
            moved: Vec::new(),
            shut: Shut::default(),
        }
    }

    /// Takes over a mail that has just come in: recipients of one domain that are due together become one entry.
    pub fn add(&mut self, queued: Queued, content: Option<Arc<Body>>, now: u64) -> Vec<Todo> {
        let Queued { mail, recipients } = queued;
        let head = Head::of(&mail);
        let mut groups = BTreeMap::<Together, Vec<Recipient>>::new();
        for recipient in recipients {
            groups.entry(Together::of(&mail, &recipient)).or_default().push(recipient);
        }
        for (key, recipients) in groups {
            let who = Indexes::new(recipients.iter().map(|recipient| recipient.index).collect());
            let whole = self.fresh < FRESH_MAX && key.at <= now;
            let fresh = whole.then(|| Fresh { mail: mail.clone(), recipients, content: content.clone() });
            self.enter(&head, key, who, fresh);
        }
        self.tick(now)
    }

    /// Takes over a mail that lies in the spool and is read from there in its turn.
    pub fn add_stored(&mut self, queued: &Queued, now: u64) -> Vec<Todo> {
        let mail = &queued.mail;
        let head = Head::of(mail);
        let together = |recipient: &Recipient| (Together::of(mail, recipient), recipient.index);
        self.enter_all(&head, queued.recipients.iter().map(together));
        self.tick(now)
    }

    /// Takes over what the spool holds; `stubs` in the order of their mails, all recipients of a mail together.
    pub fn add_stubs(&mut self, stubs: &[Stub], now: u64) -> Vec<Todo> {
        for stubs in stubs.chunk_by(|a, b| a.mail == b.mail) {
            let Some(first) = stubs.first() else { continue };
            let Stub { mail, octets, ref org, stream, tls_waived, .. } = *first;
            let head = Head { mail, octets, org, stream, tls_waived };
            self.enter_all(&head, stubs.iter().map(|stub| (Together::from(stub), stub.index)));
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
                Waiting::Mail(entry) => todo.extend(self.become_due(entry, now)),
            }
        }
        todo.extend(self.give_back());
        todo
    }

    /// What was given back is recorded; answers with what comes next.
    pub fn given_back(&mut self) -> Option<Todo> {
        self.overdue.under_way = false;
        self.give_back()
    }

    fn give_back(&mut self) -> Option<Todo> {
        while !self.overdue.under_way && !self.overdue.entries.is_empty() {
            let some = self.overdue.entries.len().min(GIVEN_BACK_AT_ONCE);
            let entries: Vec<Entry> = self.overdue.entries.drain(..some).collect();
            for entry in &entries {
                if let Some(queue) = self.queues.find_mut(entry.queue) {
                    queue.later = queue.later.saturating_sub(1);
                }
            }
            let tickets = self.tickets(entries);
            if !tickets.is_empty() {
                self.overdue.under_way = true;
                return Some(Todo::GiveBack(tickets));
            }
        }
        None
    }

    /// The site of a domain is known; `site_of` says which one it is for an org and a stream, whose exit may be another.
    pub fn located(&mut self, domain: &Domain, site_of: impl Fn(&str, Stream) -> Arc<Site>, now: u64) -> Vec<Todo> {
        self.forget_sites(now);
        let mut met = Vec::<SiteKey>::new();
        for id in self.locating.remove(domain).unwrap_or_default() {
            let Some(queue) = self.queues.find_mut(id) else { continue };
            let mut site = site_of(&queue.key.org, queue.key.stream);
            if queue.key.tls_waived {
                site = Arc::new(site.tls_waived());
            }
            if !met.contains(&site.key) {
                met.push(site.key.clone());
            }
            if let Place::At(before) = &queue.place {
                if *before == site.key {
                    continue;
                }
                if let Some(turns) = self.sites.get_mut(before) {
                    turns.remove(id, &queue.key, queue.due.len());
                }
            }
            queue.place = Place::Nowhere;
            if !queue.due.is_empty() {
                queue.place = Place::At(site.key.clone());
                queue.located_at = now;
                let turns = self.sites.entry(site.key.clone()).or_insert_with(|| Turns::new(site));
                turns.add(id, &queue.key, queue.due.len());
            }
            self.queues.tidy(id);
        }
        met.iter().flat_map(|site| self.connect(site, now)).collect()
    }

    /// The domain has no site now: all its due entries come back, to be recorded as failed. What has a site already,
    /// and was looked up again, keeps it.
    pub fn unlocated(&mut self, domain: &Domain) -> Vec<Ticket> {
        let mut entries = Vec::new();
        for id in self.locating.remove(domain).unwrap_or_default() {
            if let Some(queue) = self.queues.find_mut(id).filter(|queue| queue.place == Place::Locating) {
                queue.place = Place::Nowhere;
                entries.extend(queue.due.drain(..));
            }
        }
        self.tickets(entries)
    }

    /// The next ticket for a connection that has nothing to do; none closes it.
    pub fn next(&mut self, site: &SiteKey, now: u64) -> Option<Ticket> {
        let turns = self.sites.get_mut(site)?;
        let too_many = turns.pace.limit(now) < turns.connections || self.shut.holds(&turns.site);
        if too_many || turns.ready(&self.slow_lane, now) == 0 || !turns.pace.may_send(now) {
            return None;
        }
        loop {
            let entry = self.sites.get_mut(site)?.take(&mut self.queues, &mut self.slow_lane, now)?;
            let id = entry.queue;
            self.look_for_move(id, now);
            let ticket = self.ticket(entry);
            self.queues.tidy(id);
            if ticket.is_some() {
                return ticket;
            }
        }
    }

    /// Domains whose site is to be looked up again: mail has flowed there for so long that the DNS may have moved.
    pub fn moved(&mut self) -> Vec<Todo> {
        std::mem::take(&mut self.moved).into_iter().map(Todo::Locate).collect()
    }

    /// A ticket that could not be handed over waits again.
    pub fn put_back(&mut self, ticket: Ticket, now: u64) -> Vec<Todo> {
        let (entry, key) = ticket.into_parts();
        let queue = self.queues.id(key);
        self.wait(now, Entry { queue, ..entry });
        self.tick(now)
    }

    /// A mail was taken by the site.
    pub fn succeeded(&mut self, site: &SiteKey) {
        if let Some(turns) = self.sites.get_mut(site) {
            turns.pace.succeeded();
        }
    }

    /// The site said that it gets too much.
    pub fn slowed(&mut self, site: &SiteKey, now: u64) {
        if let Some(turns) = self.sites.get_mut(site) {
            turns.pace.slowed(now);
        }
    }

    /// A connection ended. Sites that waited for one come before the site that had it.
    pub fn closed(&mut self, site: &SiteKey, now: u64) -> Vec<Todo> {
        self.open = self.open.saturating_sub(1);
        if let Some(turns) = self.sites.get_mut(site) {
            turns.connections = turns.connections.saturating_sub(1);
            if turns.is_idle() && turns.connections == 0 && turns.pace.is_untroubled() {
                self.sites.remove(site);
            }
        }
        let mut todo = Vec::new();
        while self.open < self.connections_max {
            let Some(starved) = self.starved.pop_front() else { break };
            todo.extend(self.connect(&starved, now));
        }
        todo.extend(self.connect(site, now));
        todo
    }

    /// No connection could be made. All that is due there comes back, to be recorded as failed at once: trying each
    /// mail against a dead site would keep the queue busy for hours.
    pub fn unreachable(&mut self, site: &SiteKey, now: u64) -> Vec<Ticket> {
        let Some(turns) = self.sites.get_mut(site) else { return Vec::new() };
        turns.pace.unreachable(now);
        let entries = turns.drain(&mut self.queues);
        self.tickets(entries)
    }

    /// Makes all entries of a mail void, wherever they wait; what is on a connection is not here any more.
    pub fn withdraw(&mut self, mail: u64) {
        self.withdrawn.insert(mail, self.serial);
        if WITHDRAWN_MAX < self.withdrawn.len() {
            self.sweep();
        }
    }

    /// Whether a mail was changed lately.
    #[must_use]
    pub fn is_withdrawn(&self, mail: u64) -> bool {
        self.withdrawn.contains_key(&mail)
    }

    /// Connections that are open to a site, or being opened.
    #[must_use]
    pub fn connections(&self, site: &SiteKey) -> usize {
        self.sites.get(site).map_or(0, |turns| turns.connections)
    }

    fn enter_all(&mut self, head: &Head<'_>, recipients: impl Iterator<Item = (Together, u32)>) {
        let mut groups = BTreeMap::<Together, Vec<u32>>::new();
        for (key, index) in recipients {
            groups.entry(key).or_default().push(index);
        }
        for (key, indexes) in groups {
            self.enter(head, key, Indexes::new(indexes), None);
        }
    }

    fn enter(&mut self, head: &Head<'_>, together: Together, who: Indexes, fresh: Option<Fresh>) {
        let Together { at, lane, slow, domain } = together;
        let (org, stream, tls_waived) = (head.org.clone(), head.stream, head.tls_waived);
        let queue = self.queues.id(QueueKey { org, stream, lane, slow, domain, tls_waived });
        self.fresh += usize::from(fresh.is_some());
        self.serial += 1;
        let (serial, fresh) = (self.serial, fresh.map(Box::new));
        self.wait(at, Entry { mail: head.mail, serial, queue, octets: head.octets, who, fresh });
    }

    fn wait(&mut self, at: u64, entry: Entry) {
        if let Some(queue) = self.queues.find_mut(entry.queue) {
            queue.later += 1;
        }
        self.waiting.insert((at, entry.serial), Waiting::Mail(entry));
    }

    /// The clock was set: what waits goes on waiting for as long as it had to. Pauses and the slow lane bound themselves.
    pub fn shift(&mut self, by: i64) {
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        self.waiting = waiting.map(|((at, serial), what)| ((at.saturating_add_signed(by), serial), what)).collect();
    }

    fn become_due(&mut self, entry: Entry, now: u64) -> Vec<Todo> {
        let (id, is_void) = (entry.queue, self.is_void(&entry));
        let Some(queue) = self.queues.find_mut(id) else { return Vec::new() };
        if !is_void && queue.key.lane == Lane::Held {
            self.overdue.entries.push_back(entry);
            return Vec::new();
        }
        queue.later = queue.later.saturating_sub(1);
        if is_void {
            // No ticket comes of it, but what it held is counted off.
            self.tickets(vec![entry]);
            return Vec::new();
        }
        queue.due.push_back(entry);
        match &queue.place {
            Place::Locating => Vec::new(),
            Place::At(site) => {
                let site = site.clone();
                if let Some(turns) = self.sites.get_mut(&site) {
                    turns.grew();
                }
                self.connect(&site, now)
            }
            Place::Nowhere => {
                queue.place = Place::Locating;
                let domain = queue.key.domain.clone();
                let asked = self.locating.entry(domain.clone()).or_default();
                asked.push(id);
                if asked.len() == 1 { vec![Todo::Locate(domain)] } else { Vec::new() }
            }
        }
    }

    /// The sites with mail or connections, those first where most waits.
    pub fn sites(&self, now: u64) -> Vec<SiteState> {
        let mut found: Vec<SiteState> = self.sites.values().map(|turns| turns.seen(now, &self.shut)).collect();
        found.sort_by(|one, other| other.waiting.cmp(&one.waiting).then_with(|| one.hosts.cmp(&other.hosts)));
        found.truncate(SITES_SHOWN_MAX);
        found
    }

    /// Opens connections to a site while it has more mail than connections.
    fn connect(&mut self, site: &SiteKey, now: u64) -> Vec<Todo> {
        let Some(turns) = self.sites.get_mut(site) else { return Vec::new() };
        if turns.is_idle() || self.shut.holds(&turns.site) {
            return Vec::new();
        }
        let ready = turns.ready(&self.slow_lane, now);
        let slow = (ready == 0).then(|| turns.slow_at(&self.slow_lane)).flatten();
        if let Some(until) = turns.pace.paused_until(now).max(slow) {
            if turns.wakes_at != until {
                turns.wakes_at = until;
                self.serial += 1;
                self.waiting.insert((until, self.serial), Waiting::Site(site.clone()));
            }
            return Vec::new();
        }
        let goal = turns.pace.limit(now).min(ready);
        let mut todo = Vec::new();
        while turns.connections < goal {
            if self.connections_max <= self.open {
                if turns.connections == 0 && !self.starved.contains(site) {
                    self.starved.push_back(site.clone());
                }
                break;
            }
            turns.connections += 1;
            self.open += 1;
            todo.push(Todo::Connect(turns.site.clone()));
        }
        todo
    }

    /// What a site thinks of us is remembered while nothing waits for it, but not for ever: misspelt domains lead to a new dead
    /// one each. Those whose pause is over go first.
    fn forget_sites(&mut self, now: u64) {
        if self.sites.len() < self.sites_max {
            return;
        }
        let is_used = |turns: &Turns| !turns.is_idle() || turns.connections != 0;
        self.sites.retain(|_, turns| is_used(turns) || turns.pace.paused_until(now).is_some());
        if SITES_KEPT <= self.sites.len() {
            self.sites.retain(|_, turns| is_used(turns));
        }
        // Where more are in use, the next look waits until there are twice as many.
        self.sites_max = SITES_KEPT.max(self.sites.len() * 2);
    }

    /// Notes that a queue has been at its site for long; mail that flows without a pause would never see it move.
    fn look_for_move(&mut self, id: QueueId, now: u64) {
        let Some(queue) = self.queues.find_mut(id).filter(|queue| queue.place != Place::Nowhere) else { return };
        if now.saturating_sub(queue.located_at) < LOCATED_FOR_S {
            return;
        }
        queue.located_at = now;
        let domain = queue.key.domain.clone();
        let asked = self.locating.entry(domain.clone()).or_default();
        asked.push(id);
        if asked.len() == 1 {
            self.moved.push(domain);
        }
    }

    /// The ticket for an entry that leaves the queue; none where it is void.
    fn ticket(&mut self, entry: Entry) -> Option<Ticket> {
        self.fresh = self.fresh.saturating_sub(usize::from(entry.fresh.is_some()));
        let queue = self.queues.find(entry.queue).filter(|_| !self.is_void(&entry))?;
        Some(Ticket::new(entry, queue.key.clone()))
    }

    /// Tickets for entries that leave together; their queues go when nothing is left in them.
    fn tickets(&mut self, entries: Vec<Entry>) -> Vec<Ticket> {
        let ids: Vec<QueueId> = entries.iter().map(|entry| entry.queue).collect();
        let tickets = entries.into_iter().filter_map(|entry| self.ticket(entry)).collect();
        ids.into_iter().for_each(|id| self.queues.tidy(id));
        tickets
    }

    fn is_void(&self, entry: &Entry) -> bool {
        self.withdrawn.get(&entry.mail).is_some_and(|serial| entry.serial <= *serial)
    }

    /// Takes void entries out, so that what is remembered of changed mails does not grow for ever. Due entries look
    /// for their site again.
    fn sweep(&mut self) {
        for turns in self.sites.values_mut() {
            turns.clear();
        }
        let due = self.queues.iter_mut().flat_map(Scheduled::reset).chain(self.overdue.entries.drain(..));
        let due = due.map(|entry| (0, entry)).collect::<Vec<_>>();
        let (mails, sites): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.waiting).into_iter().partition(|(_, waiting)| matches!(waiting, Waiting::Mail(_)));
        self.waiting.extend(sites);
        let later = mails.into_iter().filter_map(|((at, _), waiting)| match waiting {
            Waiting::Mail(entry) => Some((at, entry)),
            Waiting::Site(_) => None,
        });
        let (void, kept): (Vec<_>, Vec<_>) = due.into_iter().chain(later).partition(|(_, entry)| self.is_void(entry));
        kept.into_iter().for_each(|(at, entry)| self.wait(at, entry));
        // No ticket comes of them, but what they held is counted off.
        self.tickets(void.into_iter().map(|(_, entry)| entry).collect());
        self.withdrawn.clear();
    }
}

impl Together {
    fn of(mail: &Mail, recipient: &Recipient) -> Self {
        let (at, lane, domain) = (recipient.next_at, recipient.lane, recipient.address.domain().clone());
        Self { at, lane, slow: mail.slow_sender(lane), domain }
    }
}

impl From<&Stub> for Together {
    fn from(stub: &Stub) -> Self {
        Self { at: stub.next_at, lane: stub.lane, slow: stub.slow, domain: stub.domain.clone() }
    }
}

/// Mails that are held whole until their first attempt; each costs about half a kilobyte besides its content. More are
/// read from the spool in their turn.
const FRESH_MAX: usize = 20_000;
/// Held mails that are given back in one step of the disk, with a report each; the others wait for its end.
const GIVEN_BACK_AT_ONCE: usize = 200;
/// Changed mails that are remembered before the queue is swept: 4 MB.
const WITHDRAWN_MAX: usize = 100_000;
/// After so many seconds of mail without a pause the site of a domain is looked up again. The DNS cache answers until
/// its time to live is over.
const LOCATED_FOR_S: u64 = 300;

#[cfg(test)]
mod tests;
/// Sites that are remembered though nothing waits for them: some kilobytes each at most.
const SITES_KEPT: usize = 10_000;
/// Sites that a person reads of.
const SITES_SHOWN_MAX: usize = 100;
