//! Nodes that call living addresses dead.

use std::collections::BTreeSet;

use sm2tp_federation::record::{Class, Record, Source, Witness};
use sm2tp_federation::tags::Tag;
use sm2tp_rules::Stream;

use super::super::dice::Dice;
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
}

/// What is still to be told by a liar.
pub(super) struct Liar {
    pub node: usize,
    class: Class,
    claims: Vec<Tag>,
    /// What was said all is said again a day later.
    again: bool,
}

impl Lie {
    pub(super) fn liars(self) -> usize {
        if matches!(self, Self::Colluders | Self::DomainColluders | Self::Full) { 2 } else { 1 }
    }

    /// The last nodes lie, to `victim` if that is what they are after.
    pub(super) fn strike(self, people: &People, victim: usize, at: u64, dice: &mut Dice) -> Vec<Liar> {
        let nodes = people.lists.len();
        let claims = match self {
            Self::Mass | Self::Colluders => (0..MILLION).map(|_| any(people, dice)).collect(),
            Self::Targeted | Self::Full => targets(people, victim, at, dice),
            Self::Dilution => people.mailboxes.iter().map(|mailbox| mailbox.tag).collect(),
            Self::Domains | Self::DomainColluders => domains(people, victim, at),
            Self::DomainMass => people.domains.iter().map(|domain| domain.tag).collect(),
        };
        let class = match self {
            Self::Domains | Self::DomainColluders | Self::DomainMass => Class::DOMAIN_DEAD,
            Self::Full => Class::SOFT,
            Self::Mass | Self::Targeted | Self::Colluders | Self::Dilution => Class::HARD,
        };
        let again = class != Class::HARD;
        let liar = |n: usize| Liar { node: nodes - 1 - n, class, claims: Vec::clone(&claims), again };
        (0..self.liars()).map(liar).collect()
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
        let source = Source::new(Witness::SmtpReply, Some(Stream::Bulk));
        let class = self.class;
        let claim = |tag| match class {
            Class::HARD => Record { smtp_code: 550, enhanced: (5, 1, 1), ..Record::about(class, source, tag, now) },
            class => Record::about(class, source, tag, now),
        };
        let told = self.claims.split_off(rest);
        if self.again {
            self.claims = [&told[..], &self.claims].concat();
        }
        Some(told.into_iter().map(claim).collect())
    }
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
