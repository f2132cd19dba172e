//! What a node mails, what it learns from that, and what of it leaves the node: with the rules of a node.

use std::collections::{BTreeMap, HashMap, HashSet};

use sm2tp_federation::belief::{self, BeliefLimits};
use sm2tp_federation::header::COUNT_MAX;
use sm2tp_federation::publish::{self, Pending, Publish, SealRules};
use sm2tp_federation::record::{Class, Record, Source, Witness};
use sm2tp_proto::Enhanced;
use sm2tp_rules::breaker::{self, Answers};
use sm2tp_rules::evidence::{Happening, Hard};
use sm2tp_rules::suppress::{self, Decision, Recipient, Why};
use sm2tp_rules::{Evidence, Stream, Strength};

use super::super::dice::Dice;
use super::judge::{Judge, Ledger};
use super::people::{Mailbox, People};

/// One node as a sender.
#[derive(Default)]
pub(super) struct Sender {
    pub own: Ledger,
    /// Dead addresses that it would know without any federation, and since when.
    lone: BTreeMap<u32, u64>,
    /// Events before their time, and those that wait for a segment.
    waiting: Vec<Waiting>,
    open: Vec<(u64, Record)>,
    said: BTreeMap<u32, u64>,
    held: Vec<(u32, u64)>,
    hours: BTreeMap<u8, BTreeMap<u64, Hour>>,
    pub fared: Fared,
}

/// How mail fared, in recipients.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Fared {
    /// Dead ones that a lone node would have written to, and those that this one did write to.
    pub lone_hits: u64,
    pub hits: u64,
    /// Living ones that its own evidence would not have stopped.
    pub valid: u64,
    /// Of those: held, let go again, given back after [`HELD_MAX_S`], and refused, all by the word of others.
    pub held: u64,
    pub released: u64,
    pub returned: u64,
    pub refused: u64,
    /// The longest time in seconds that one was held and then went.
    pub held_s_max: u64,
}

/// When and how a provider calls living people unknown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outage {
    pub provider: u8,
    pub from: u64,
    pub until: u64,
    /// Of its answers.
    pub share: f64,
}

/// The world around one mailing.
pub(super) struct Round<'a> {
    pub people: &'a People,
    pub limits: &'a BeliefLimits,
    pub outage: Option<Outage>,
    pub now: u64,
    /// Figures count from here on.
    pub count_from: u64,
}

struct Waiting {
    /// Of an address or a domain.
    number: u32,
    at: u64,
    due: u64,
    record: Record,
}

#[derive(Debug, Clone, Copy, Default)]
struct Hour {
    hard: u32,
    samples: u32,
}

struct Answer {
    address: u32,
    provider: u8,
    said: Said,
}

/// What was heard of one recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Taken,
    Refused,
    /// By the DNS.
    NoDomain,
}

impl Round<'_> {
    fn mailbox(&self, address: u32) -> &Mailbox {
        &self.people.mailboxes[address as usize]
    }

    fn errs(&self, provider: u8, dice: &mut Dice) -> bool {
        let outage = self.outage.filter(|outage| outage.provider == provider);
        outage.is_some_and(|outage| (outage.from..outage.until).contains(&self.now) && dice.happens(outage.share))
    }
}

impl Sender {
    /// One that mailed its lists all along, and that told others what it learned: the year before the first day is played
    /// at once.
    pub(super) fn new(people: &People, node: usize, start: u64) -> Self {
        let mut sender = Self::default();
        // The last list is brought later, by people whom this node does not know.
        let known = people.lists[node].split_last().map_or(&[][..], |(_, known)| known);
        for list in known {
            let last_at = list.next_at.saturating_sub(list.every_s).min(start);
            for address in &list.members {
                let mailbox = &people.mailboxes[*address as usize];
                if !mailbox.is_dead(last_at) {
                    sender.saw(*address, mailbox, Said::Taken, last_at);
                    continue;
                }
                // Found at the mailing after the death.
                let found_at = last_at - (last_at - mailbox.ended_at()) / list.every_s * list.every_s;
                let said = if mailbox.has_no_domain(found_at) { Said::NoDomain } else { Said::Refused };
                let (number, record) = sender.saw(*address, mailbox, said, found_at).record(people, *address, found_at);
                sender.lone.insert(*address, found_at);
                if sender.said.insert(number, found_at).is_none() {
                    sender.open.push((start, record));
                }
            }
        }
        sender
    }

    /// Mails a list and learns from the answers.
    pub(super) fn mail(&mut self, members: &[u32], judge: &mut Judge, round: &Round<'_>, dice: &mut Dice) {
        let mut answers = Vec::new();
        for address in members {
            let mailbox = *round.mailbox(*address);
            let dead = mailbox.is_dead(round.now);
            let decision = self.decide(*address, judge, round, dice.share());
            self.count(*address, dead, &decision, round);
            match decision {
                Decision::Send | Decision::Canary(_) => {
                    let said = match dead {
                        false if round.errs(mailbox.provider, dice) => Said::Refused,
                        _ => answer(&mailbox, round.now),
                    };
                    answers.push(Answer { address: *address, provider: mailbox.provider, said });
                }
                Decision::Hold(_) => self.held.push((*address, round.now)),
                Decision::Refuse(..) => {}
            }
        }
        self.learn(&answers, judge, round);
    }

    /// Asks again about what is held; what nobody let go is given back.
    pub(super) fn ask_again(&mut self, judge: &mut Judge, round: &Round<'_>) {
        let held = std::mem::take(&mut self.held);
        let mut answers = Vec::new();
        for (address, since) in held {
            let waited_s = round.now - since;
            let (mailbox, counts) = (*round.mailbox(address), round.count_from <= since);
            let dead = mailbox.is_dead(round.now);
            match self.decide(address, judge, round, 1.0) {
                Decision::Send | Decision::Canary(_) => {
                    let said = answer(&mailbox, round.now);
                    answers.push(Answer { address, provider: mailbox.provider, said });
                    if counts && dead {
                        self.fared.hits += 1;
                    } else if counts {
                        self.fared.released += 1;
                        self.fared.held_s_max = self.fared.held_s_max.max(waited_s);
                    }
                }
                Decision::Hold(_) if waited_s < HELD_MAX_S => self.held.push((address, since)),
                Decision::Hold(_) | Decision::Refuse(..) => self.fared.returned += u64::from(counts && !dead),
            }
        }
        self.learn(&answers, judge, round);
    }

    /// Puts an event that somebody invented into the next segment.
    pub(super) fn invent(&mut self, records: Vec<Record>, now: u64) {
        self.open.extend(records.into_iter().map(|record| (now, record)));
    }

    /// What is to be sealed now, and since when the first of it waits.
    pub(super) fn publish(&mut self, judge: &Judge, rules: &SealRules, now: u64) -> Option<(u64, Vec<Record>)> {
        let (due, waiting) = std::mem::take(&mut self.waiting).into_iter().partition(|event| event.due <= now);
        self.waiting = waiting;
        let due: Vec<Waiting> = due;
        for mut event in due {
            let strange = judge.frozen.contains(&(event.record.provider, event.record.hour));
            let delivered_at = self.own.get(&event.number).map(|own| own.delivered_at).filter(|at| *at != 0);
            let pending = Pending { event_at: event.at, last_success_at: delivered_at, in_strange_hour: strange };
            let (class, last_at) = (event.record.class, self.said.get(&event.number).copied());
            let said = publish::Said { last_at, retracted_at: None };
            match publish::may_publish(&pending, now, publish::hold_down_s(class)) {
                Publish::Now if publish::repeats_until(class, &said, now).is_none() => {
                    self.said.insert(event.number, now);
                    self.open.push((now, event.record));
                }
                Publish::Now | Publish::Cancelled => {}
                Publish::Wait { until } => {
                    event.due = until;
                    self.waiting.push(event);
                }
            }
        }
        let oldest_at = self.open.first().map_or(now, |(at, _)| *at);
        let count = self.open.len().min(COUNT_MAX as usize);
        let seals = publish::should_seal(u32::try_from(count).unwrap_or(u32::MAX), oldest_at, now, rules);
        seals.then(|| (oldest_at, self.open.drain(..count).map(|(_, record)| record).collect()))
    }

    fn decide(&self, address: u32, judge: &Judge, round: &Round<'_>, chance: f64) -> Decision {
        let domain = round.mailbox(address).domain_number();
        let own = |number: u32| self.own.get(&number).copied().unwrap_or_default();
        let said = |number: u32, own: &Evidence| judge.federated(number, own, round.limits, round.now);
        let (own, own_domain) = (own(address), own(domain));
        let (federated, federated_domain) = (said(address, &own), said(domain, &own_domain));
        let recipient = Recipient { own, own_domain, federated, federated_domain, ..Recipient::default() };
        suppress::decide(&recipient, Stream::Bulk, &suppress::Limits::default(), round.now, chance)
    }

    fn count(&mut self, address: u32, dead: bool, decision: &Decision, round: &Round<'_>) {
        let counts = round.count_from <= round.now;
        let sent = matches!(decision, Decision::Send | Decision::Canary(_));
        if dead {
            let knows = self.lone.get(&address).is_some_and(|since| round.now < since + LONE_S);
            if !knows {
                self.lone.insert(address, round.now);
            }
            self.fared.lone_hits += u64::from(counts && !knows);
            self.fared.hits += u64::from(counts && sent);
            return;
        }
        let by_others = matches!(
            decision,
            Decision::Hold(_) | Decision::Canary(_) | Decision::Refuse(Why::Federated { .. }, _) | Decision::Send
        );
        self.fared.valid += u64::from(counts && by_others);
        self.fared.held += u64::from(counts && matches!(decision, Decision::Hold(_)));
        self.fared.refused += u64::from(counts && matches!(decision, Decision::Refuse(Why::Federated { .. }, _)));
    }

    fn learn(&mut self, answers: &[Answer], judge: &mut Judge, round: &Round<'_>) {
        let providers: HashSet<u8> = answers.iter().map(|answer| answer.provider).collect();
        let mut tripped = HashMap::new();
        for provider in providers {
            tripped.insert(provider, self.is_erring(provider, answers, judge, round));
        }
        for answer in answers {
            if answer.said == Said::Refused && tripped[&answer.provider] {
                continue;
            }
            self.saw(answer.address, round.mailbox(answer.address), answer.said, round.now);
            if answer.said != Said::Taken {
                let (number, record) = answer.said.record(round.people, answer.address, round.now);
                let due = round.now + publish::hold_down_s(record.class);
                self.waiting.push(Waiting { number, at: round.now, due, record });
            }
        }
    }

    /// Notes what was heard of an address, and through it of its domain; `at` may lie before what is known of that.
    fn saw(&mut self, address: u32, mailbox: &Mailbox, said: Said, at: u64) -> Said {
        let own = self.own.entry(address).or_default();
        *own = match said {
            Said::Taken => own.after(Happening::Delivered, at),
            Said::Refused | Said::NoDomain => own.after(Happening::Hard(HARD), at),
        };
        let domain = self.own.entry(mailbox.domain_number()).or_default();
        match said {
            Said::Taken if domain.hard_at <= at => *domain = domain.after(Happening::Delivered, at),
            Said::NoDomain if domain.delivered_at < at => *domain = domain.after(Happening::Hard(HARD), at),
            _ => {}
        }
        said
    }

    /// Counts the answers of a provider; whether nothing that it says now is to be believed.
    fn is_erring(&mut self, provider: u8, answers: &[Answer], judge: &mut Judge, round: &Round<'_>) -> bool {
        let mut counted = Answers::default();
        for answer in answers.iter().filter(|answer| answer.provider == provider) {
            let delivered_at = self.own.get(&answer.address).map_or(0, |own| own.delivered_at);
            let known = delivered_at != 0 && round.now < delivered_at + breaker::Limits::default().known_s;
            counted.all += 1;
            let refused = answer.said == Said::Refused;
            counted.refused += u32::from(refused);
            counted.known += u32::from(refused && known);
        }
        let now_hour = round.now / 3600;
        let hours = self.hours.entry(provider).or_default();
        let hour = hours.entry(now_hour).or_default();
        (hour.hard, hour.samples) = (hour.hard + counted.refused, hour.samples + counted.all);
        let hour = *hour;
        let week = hours.range(now_hour.saturating_sub(WEEK_H)..now_hour);
        let (hard, samples) = week.fold((0, 0), |sum, (_, one)| (sum.0 + one.hard, sum.1 + one.samples));
        let mean = f64::from(hard) / f64::from(samples.max(1));
        // 0 is any other: hosts that have nothing in common.
        if provider != 0 && belief::provider_freezes(hour.hard, hour.samples, mean, round.limits) {
            judge.frozen.insert((provider, u32::try_from(now_hour).unwrap_or(u32::MAX)));
        }
        provider != 0 && breaker::trips(&counted, &breaker::Limits::default())
    }
}

impl Said {
    /// What a node says of an address that does not take mail, and of which number.
    fn record(self, people: &People, address: u32, at: u64) -> (u32, Record) {
        let (mailbox, source) =
            (&people.mailboxes[address as usize], Source::new(Witness::SmtpReply, Some(Stream::Bulk)));
        if self == Self::NoDomain {
            let tag = people.domains[mailbox.domain as usize].tag;
            return (mailbox.domain_number(), Record::about(Class::DOMAIN_DEAD, source, tag, at));
        }
        let record = Record::about(Class::HARD, source, mailbox.tag, at);
        (address, Record { smtp_code: 550, enhanced: (5, 1, 1), provider: mailbox.provider, ..record })
    }
}

/// What a mailbox answers that nobody disturbs.
fn answer(mailbox: &Mailbox, now: u64) -> Said {
    match (mailbox.has_no_domain(now), mailbox.is_dead(now)) {
        (true, _) => Said::NoDomain,
        (false, true) => Said::Refused,
        (false, false) => Said::Taken,
    }
}

const HARD: Hard =
    Hard { strength: Strength::Strong, inactive: false, code: 550, enhanced: Some(Enhanced(5, 1, 1)), imported: None };
/// `[suppression] hold_max`.
pub(super) const HELD_MAX_S: u64 = 24 * 3600;
/// As a node forgets its own refusals.
const LONE_S: u64 = 400 * 86_400;
const WEEK_H: u64 = 7 * 24;
