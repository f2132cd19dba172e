//! All nodes in virtual time: who polls whom when, who is down, and what each tick of an hour brings.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};

use sm2tp_federation::belief::BeliefLimits;
use sm2tp_federation::keys::NodeKey;
use sm2tp_federation::publish::SealRules;
use sm2tp_federation::quota::QuotaLimits;
use sm2tp_federation::record::{Class, Record, Source};
use sm2tp_federation::standing;
use sm2tp_federation::tags::Tag;

use super::super::dice::Dice;
use super::judge::Judge;
use super::liars::Liar;
use super::log::Logs;
use super::people::People;
use super::reader::{self, Judges, Reader, Traffic};
use super::sender::{Outage, Round, Sender};
use super::{FederationArgs, START};

/// A federation.
pub(super) struct World {
    pub people: People,
    pub logs: Logs,
    pub readers: Vec<Reader>,
    /// Nodes beyond these only hand on.
    pub judges: Vec<Judge>,
    pub senders: Vec<Sender>,
    pub peers: Vec<Vec<usize>>,
    /// The present origin of each node, by its number in `logs`.
    pub identity: Vec<usize>,
    pub liars: Vec<Liar>,
    pub trouble: Trouble,
    node_of: HashMap<NodeKey, usize>,
    polls: BinaryHeap<Reverse<(u64, u32, u32)>>,
    down_until: Vec<u64>,
    dice: Dice,
    pub belief: BeliefLimits,
    quotas: QuotaLimits,
    seal: SealRules,
    /// Events that each node invents a day, in the place of mail.
    events_day: f64,
}

/// What goes wrong. Times in unix seconds.
#[derive(Debug, Clone, Default)]
pub(super) struct Trouble {
    pub outage: Option<Outage>,
    /// One half cannot reach the other.
    pub partition: Option<(u64, u64)>,
    /// Share of the nodes that go down for a day, each day.
    pub churn: f64,
    /// Nodes that lose their node key, and when.
    pub key_loss: Option<(usize, u64)>,
    /// When liars begin.
    pub lies_from: u64,
    pub count_from: u64,
}

impl World {
    pub(super) fn new(args: &FederationArgs, people: People, peers: Vec<Vec<usize>>, trouble: Trouble) -> Self {
        let mut logs = Logs::default();
        let judging = args.judging();
        let identity: Vec<usize> = (0..args.nodes as usize).map(|node| logs.join(&format!("n{node}"), START)).collect();
        let judge = |node: usize| {
            let members = people.lists.get(node).into_iter().flatten().flat_map(|list| &list.members);
            let interest = members.flat_map(|n| {
                let mailbox = &people.mailboxes[*n as usize];
                let domain = &people.domains[mailbox.domain as usize];
                [(mailbox.tag, *n), (domain.tag, mailbox.domain_number())]
            });
            Judge::new(interest.collect())
        };
        let judges = (0..judging).map(judge).collect();
        let is_judge = |node: usize| if node < judging { Judges::Yes } else { Judges::No };
        let readers = peers.iter().enumerate().map(|(node, peers)| Reader::new(peers, is_judge(node))).collect();
        let senders = (0..args.nodes as usize)
            .map(|node| if node < people.lists.len() { Sender::new(&people, node, START) } else { Sender::default() })
            .collect();
        let mut world = Self {
            node_of: (0..).zip(&logs.origins).map(|(node, origin)| (origin.key, node)).collect(),
            people,
            logs,
            readers,
            judges,
            senders,
            peers,
            identity,
            liars: Vec::new(),
            trouble,
            polls: BinaryHeap::new(),
            down_until: vec![0; args.nodes as usize],
            dice: Dice::new(args.seed, 2),
            belief: BeliefLimits::default(),
            quotas: QuotaLimits::default(),
            seal: args.seal_after.map_or_else(SealRules::default, |hours| SealRules::after(hours * 3600)),
            events_day: if args.mails() { 0.0 } else { args.events },
        };
        world.first_polls();
        world
    }

    /// Liars join, and with them the origins that they invent.
    pub(super) fn join(&mut self, mut liars: Vec<Liar>) {
        for liar in &mut liars {
            for (number, puppet) in liar.puppets.iter_mut().enumerate() {
                puppet.origin = self.logs.join(&format!("p{number}"), START);
                self.node_of.insert(self.logs.origins[puppet.origin].key, liar.node);
            }
        }
        self.liars = liars;
    }

    fn first_polls(&mut self) {
        for node in 0..self.readers.len() {
            for link in 0..self.readers[node].links.len() {
                let at = START + self.dice.within(0, POLL_S);
                self.polls.push(Reverse((at, node as u32, link as u32)));
            }
        }
    }

    /// Runs until a time, hour by hour; `daily` looks on.
    pub(super) fn run(&mut self, until: u64, mut daily: impl FnMut(&Self, u64)) {
        let mut now = START;
        while now < until {
            if now.is_multiple_of(86_400) {
                daily(self, now);
                self.day(now);
            }
            for node in 0..self.senders.len() {
                self.tick(node, now);
            }
            now += 3600;
            self.poll_until(now);
            self.prune();
        }
    }

    fn poll_until(&mut self, end: u64) {
        while let Some(Reverse((at, node, link))) = self.polls.peek().copied().filter(|Reverse((at, ..))| *at < end) {
            self.polls.pop();
            self.poll(node as usize, link as usize, at);
            let wait = self.dice.within(POLL_S * 4 / 5, POLL_S * 6 / 5);
            self.polls.push(Reverse((at + wait, node, link)));
        }
    }

    fn poll(&mut self, node: usize, link: usize, now: u64) {
        let peer = self.readers[node].links[link].peer;
        let is_cut = |trouble: &Trouble| {
            let half = self.readers.len() / 2;
            trouble.partition.is_some_and(|(from, until)| (from..until).contains(&now))
                && (node < half) != (peer < half)
        };
        if now < self.down_until[node] || now < self.down_until[peer] || is_cut(&self.trouble) {
            return;
        }
        let took = reader::pull(&mut self.readers, &mut self.logs, (node, link), &self.quotas, now);
        if let Some(liar) = self.liars.iter_mut().find(|liar| liar.node == node) {
            let heard = took.iter().flat_map(|segment| &self.logs.sealed[*segment as usize].events);
            liar.hear(heard.map(|(_, record)| *record));
        }
        if node < self.judges.len() {
            let by = self.logs.origins[self.identity[peer]].key;
            for segment in took {
                let sealed = &self.logs.sealed[segment as usize];
                self.judges[node].hear(sealed, by, &self.senders[node].own, &self.belief, now);
            }
        }
    }

    fn prune(&mut self) {
        for node in 0..self.readers.len() {
            let passed = self.peers[node].iter().map(|peer| self.readers[*peer].cursor_of(node)).min();
            self.readers[node].prune(passed.unwrap_or(u64::MAX));
        }
    }

    /// What an hour brings to one node.
    fn tick(&mut self, node: usize, now: u64) {
        if now < self.down_until[node] {
            return;
        }
        if node < self.people.lists.len() {
            self.mail(node, now);
        } else {
            self.invent(node, now);
        }
        if let Some(number) = self.liars.iter().position(|liar| liar.node == node) {
            self.lie(number, now);
        }
        let silent = Judge::default();
        let judge = self.judges.get(node).unwrap_or(&silent);
        let rules = self.seal.among(self.logs.origins.len());
        if let Some((since, records)) = self.senders[node].publish(judge, &rules, now) {
            self.seal(node, &records, since, now);
        }
    }

    /// What a liar and its puppets say beside what it finds out as everybody does.
    fn lie(&mut self, number: usize, now: u64) {
        let (liar, time_has_come) = (&mut self.liars[number], self.trouble.lies_from <= now);
        let node = liar.node;
        let said = if time_has_come { liar.tell(now) } else { liar.repeat(now) };
        let mut all: Vec<(usize, Vec<Record>)> =
            said.map(|records| (self.identity[node], records)).into_iter().collect();
        for puppet in &mut liar.puppets {
            let said = if time_has_come { puppet.lie(now) } else { puppet.greet(now) };
            all.extend(said.map(|records| (puppet.origin, records)));
        }
        for (origin, records) in all {
            let segment = self.logs.seal(origin, &records, now);
            self.readers[node].keep_own(&self.logs, segment);
        }
    }

    fn seal(&mut self, node: usize, records: &[Record], since: u64, now: u64) {
        let segment = self.logs.seal(self.identity[node], records, now);
        self.logs.sealed[segment as usize].since = since;
        self.readers[node].keep_own(&self.logs, segment);
    }

    fn mail(&mut self, node: usize, now: u64) {
        let Trouble { outage, count_from, .. } = self.trouble;
        let mut due = Vec::new();
        for list in self.people.lists[node].iter_mut().filter(|list| list.next_at <= now) {
            list.next_at += list.every_s;
            due.push(list.members.clone());
        }
        let round = Round { people: &self.people, limits: &self.belief, outage, now, count_from };
        let (sender, judge) = (&mut self.senders[node], &mut self.judges[node]);
        for members in due {
            sender.mail(&members, judge, &round, &mut self.dice);
        }
        sender.ask_again(judge, &round);
        if now / 3600 % JUDGE_H == node as u64 % JUDGE_H {
            judge.judge(&sender.own, &self.belief, now);
        }
    }

    /// Events about nobody, where only their way is looked at.
    fn invent(&mut self, node: usize, now: u64) {
        // Not all in one hour, or all would seal in one hour for ever.
        if now < START + node as u64 % 24 * 3600 {
            return;
        }
        let count = self.dice.times(self.events_day / 24.0);
        let mut record = || {
            let mut tag = [0; 16];
            tag[..8].copy_from_slice(&self.dice.next().to_be_bytes());
            tag[8..].copy_from_slice(&self.dice.next().to_be_bytes());
            Record::about(Class::HARD, Source(1), Tag(tag), now)
        };
        let records = (0..count).map(|_| record()).collect();
        self.senders[node].invent(records, now);
    }

    /// What happens once a day.
    fn day(&mut self, now: u64) {
        if now == self.trouble.count_from {
            self.readers.iter_mut().for_each(|reader| reader.traffic = Traffic::default());
        }
        for node in 0..self.readers.len() {
            if self.dice.happens(self.trouble.churn) {
                self.down_until[node] = now + 86_400;
            }
        }
        if let Some((count, at)) = self.trouble.key_loss.filter(|(_, at)| now / 86_400 == at / 86_400) {
            for node in (0..count.min(self.readers.len())).map(|n| n * self.readers.len() / count.max(1)) {
                let origin = self.logs.join(&format!("n{node}-again"), at);
                self.node_of.insert(self.logs.origins[origin].key, node);
                self.identity[node] = origin;
            }
        }
        let origins = self.logs.origins.len();
        self.readers.iter_mut().for_each(|reader| reader.compare_heads(origins, now / 86_400));
        let key = |node: &usize| self.logs.origins[self.identity[*node]].key;
        let mut links: HashMap<NodeKey, Vec<NodeKey>> =
            (0..self.peers.len()).map(|node| (key(&node), self.peers[node].iter().map(key).collect())).collect();
        // Whoever invents origins names them as its peers.
        for liar in &self.liars {
            let puppets = liar.puppets.iter().map(|puppet| self.logs.origins[puppet.origin].key);
            links.entry(key(&liar.node)).or_default().extend(puppets);
        }
        for node in 0..self.judges.len() {
            let direct: BTreeSet<NodeKey> = self.peers[node].iter().map(key).collect();
            self.judges[node].places = standing::places(&direct, &links, &self.judges[node].introduced);
        }
    }

    /// The node behind an origin.
    pub(super) fn node_of(&self, origin: NodeKey) -> Option<usize> {
        self.node_of.get(&origin).copied()
    }
}

/// §6: every 5 minutes, a fifth more or less.
const POLL_S: u64 = 300;
/// Everything is compared again so often.
const JUDGE_H: u64 = 6;
