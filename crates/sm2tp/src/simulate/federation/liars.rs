//! Nodes that call living addresses dead.

use std::collections::{BTreeSet, VecDeque};

use sm2tp_federation::record::{Class, Record, Source, Witness};
use sm2tp_federation::tags::Tag;
use sm2tp_rules::Stream;

use super::super::dice::Dice;
use super::START;
use super::people::{List, PROVIDERS, People};

/// What a liar is after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Lie {
    /// A million events about whomever.
    Mass,
    /// Three hundred recipients of one of its peers.
    Targeted,
    /// Two peers of one node, with the same million.
    Colluders,
    /// Everybody there is: among them, the dead are right.
    Dilution,
    /// Large providers and three hundred domains of one of its peers are called dead, again each day.
    Domains,
    /// Two peers of one node say the same of domains.
    DomainColluders,
    /// All domains there are.
    DomainMass,
    /// Two peers of one node call three hundred mailboxes of it full, again each day.
    Full,
    /// Two peers of one node first repeat for weeks what all others say, to be found right; then they call the same three
    /// hundred recipients of it dead.
    Parrots,
    /// A peer of one node invents four hundred origins. Each says something true, and when it has its full weight three lies
    /// about three hundred recipients of that node, so that each lie has four voices and no voice enough lies to be judged by.
    Sybils,
}

/// What is still to be told by a liar.
pub(super) struct Liar {
    pub node: usize,
    class: Class,
    claims: Vec<Tag>,
    /// What was said all is said again a day later.
    again: bool,
    /// What it heard and repeats until it lies; none where it lets others speak for themselves.
    heard: Option<Heard>,
    /// Origins that are nobody's, with what they are to say: one thing that is true, then lies.
    pub puppets: Vec<Puppet>,
}

/// The words of others.
#[derive(Default)]
struct Heard {
    waiting: VecDeque<Tag>,
    known: BTreeSet<Tag>,
}

/// An origin that a liar invented.
pub(super) struct Puppet {
    /// Its number among the origins.
    pub origin: usize,
    truth: Option<Tag>,
    lies: Vec<Tag>,
}

impl Lie {
    pub(super) fn liars(self) -> usize {
        let is_pair = matches!(self, Self::Colluders | Self::DomainColluders | Self::Full | Self::Parrots);
        if is_pair { 2 } else { 1 }
    }

    /// The last nodes lie, to `victim` if that is what they are after.
    /// The origins of puppets are still to be made.
    pub(super) fn strike(self, people: &People, victim: usize, at: u64, dice: &mut Dice) -> Vec<Liar> {
        let nodes = people.lists.len();
        let claims = match self {
            Self::Mass | Self::Colluders => (0..MILLION).map(|_| any(people, dice)).collect(),
            Self::Targeted | Self::Full | Self::Parrots | Self::Sybils => targets(people, victim, at, dice),
            Self::Dilution => people.mailboxes.iter().map(|mailbox| mailbox.tag).collect(),
            Self::Domains | Self::DomainColluders => domains(people, victim, at),
            Self::DomainMass => people.domains.iter().map(|domain| domain.tag).collect(),
        };
        let class = match self {
            Self::Domains | Self::DomainColluders | Self::DomainMass => Class::DOMAIN_DEAD,
            Self::Full => Class::SOFT,
            Self::Mass | Self::Targeted | Self::Colluders | Self::Dilution | Self::Parrots | Self::Sybils => {
                Class::HARD
            }
        };
        let again = class != Class::HARD;
        let liar = |n: usize| Liar {
            node: nodes - 1 - n,
            class,
            claims: Vec::clone(&claims),
            again,
            heard: (self == Self::Parrots).then(Heard::default),
            puppets: Vec::new(),
        };
        let mut liars: Vec<Liar> = (0..self.liars()).map(liar).collect();
        if let (Self::Sybils, Some(liar)) = (self, liars.first_mut()) {
            liar.puppets = puppets(people, &std::mem::take(&mut liar.claims), dice);
        }
        liars
    }
}

impl Liar {
    /// As much as no quota refuses: a thousand at a time, twice a day.
    pub(super) fn tell(&mut self, now: u64) -> Option<Vec<Record>> {
        if !(now / 3600).is_multiple_of(12) || self.claims.is_empty() {
            return None;
        }
        if self.again && !(now / 3600).is_multiple_of(24) {
            return None;
        }
        let rest = self.claims.len().saturating_sub(AT_ONCE);
        let told = self.claims.split_off(rest);
        if self.again {
            self.claims = [&told[..], &self.claims].concat();
        }
        Some(told.into_iter().map(|tag| claim(self.class, tag, now)).collect())
    }

    /// Hears what another calls dead.
    pub(super) fn hear(&mut self, records: impl Iterator<Item = Record>) {
        let Some(heard) = &mut self.heard else { return };
        for tag in records.filter(|record| record.class == Class::HARD).filter_map(|record| record.tag()) {
            if heard.known.insert(tag) {
                heard.waiting.push_back(tag);
            }
        }
    }

    /// Says the same, with a voice of its own.
    pub(super) fn repeat(&mut self, now: u64) -> Option<Vec<Record>> {
        let heard = self.heard.as_mut().filter(|heard| (now / 3600).is_multiple_of(12) && !heard.waiting.is_empty())?;
        let count = heard.waiting.len().min(REPEATED_AT_ONCE);
        Some(heard.waiting.drain(..count).map(|tag| claim(Class::HARD, tag, now)).collect())
    }
}

impl Puppet {
    /// Its one true word at the beginning, `None` once that is said.
    pub(super) fn greet(&mut self, now: u64) -> Option<Vec<Record>> {
        self.truth.take().map(|tag| vec![claim(Class::HARD, tag, now)])
    }

    /// All its lies at once.
    pub(super) fn lie(&mut self, now: u64) -> Option<Vec<Record>> {
        let lies = std::mem::take(&mut self.lies);
        (!lies.is_empty()).then(|| lies.into_iter().map(|tag| claim(Class::HARD, tag, now)).collect())
    }
}

fn claim(class: Class, tag: Tag, now: u64) -> Record {
    let source = Source::new(Witness::SmtpReply, Some(Stream::Bulk));
    let record = Record::about(class, source, tag, now);
    if class == Class::HARD { Record { smtp_code: 550, enhanced: (5, 1, 1), ..record } } else { record }
}

/// Each lie has so many voices, each voice so many lies.
fn puppets(people: &People, lies: &[Tag], dice: &mut Dice) -> Vec<Puppet> {
    let dead: Vec<Tag> =
        people.mailboxes.iter().filter(|mailbox| mailbox.is_dead(START)).map(|mailbox| mailbox.tag).collect();
    let voices: Vec<Tag> = (0..VOICES).flat_map(|_| lies.iter().copied()).collect();
    let puppet = |lies: &[Tag]| Puppet { origin: 0, truth: dice.one_of(&dead).copied(), lies: lies.to_vec() };
    voices.chunks(LIES_EACH).map(puppet).collect()
}

fn any(people: &People, dice: &mut Dice) -> Tag {
    dice.one_of(&people.mailboxes).map_or(Tag([0; 16]), |mailbox| mailbox.tag)
}

/// Living people whom the victim writes to.
fn targets(people: &People, victim: usize, at: u64, dice: &mut Dice) -> Vec<Tag> {
    let members: Vec<u32> = people.lists[victim].iter().flat_map(|list: &List| list.members.clone()).collect();
    let mut chosen = BTreeSet::new();
    for _ in 0..TARGETS * 20 {
        let Some(number) = dice.one_of(&members) else { break };
        if chosen.len() < TARGETS && !people.mailboxes[*number as usize].is_dead(at) {
            chosen.insert(*number);
        }
    }
    chosen.into_iter().map(|number| people.mailboxes[number as usize].tag).collect()
}

/// The large ones, and others that live and that the victim writes to.
fn domains(people: &People, victim: usize, at: u64) -> Vec<Tag> {
    let members = people.lists[victim].iter().flat_map(|list: &List| &list.members);
    let known = members.map(|number| people.mailboxes[*number as usize].domain as usize);
    let chosen: BTreeSet<usize> = (0..PROVIDERS.len()).chain(known).collect();
    let living = chosen.into_iter().map(|number| &people.domains[number]).filter(|domain| at < domain.dead_from);
    living.take(TARGETS).map(|domain| domain.tag).collect()
}

const MILLION: usize = 1_000_000;
const TARGETS: usize = 300;
const AT_ONCE: usize = 1000;
/// Beside what it finds out itself, so that no quota stops what is to speak for it.
const REPEATED_AT_ONCE: usize = 600;
const VOICES: usize = 4;
/// A month is doubted from four contradictions on (`BeliefLimits::month_contradicted_min`).
const LIES_EACH: usize = 3;
