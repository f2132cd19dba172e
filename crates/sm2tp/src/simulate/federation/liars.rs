//! Nodes that call living addresses dead.

use std::collections::BTreeSet;

use sm2tp_federation::record::{Class, Record, Source, Witness};
use sm2tp_federation::tags::Tag;
use sm2tp_rules::Stream;

use super::super::dice::Dice;
use super::people::{List, People};

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
}

/// What is still to be told by a liar.
pub(super) struct Liar {
    pub node: usize,
    claims: Vec<Tag>,
}

impl Lie {
    pub(super) fn liars(self) -> usize {
        if self == Self::Colluders { 2 } else { 1 }
    }

    /// The last nodes lie, to `victim` if that is what they are after.
    pub(super) fn strike(self, people: &People, victim: usize, at: u64, dice: &mut Dice) -> Vec<Liar> {
        let nodes = people.lists.len();
        let claims = match self {
            Self::Mass | Self::Colluders => (0..MILLION).map(|_| any(people, dice)).collect(),
            Self::Targeted => targets(people, victim, at, dice),
            Self::Dilution => people.mailboxes.iter().map(|mailbox| mailbox.tag).collect(),
        };
        (0..self.liars()).map(|n| Liar { node: nodes - 1 - n, claims: Vec::clone(&claims) }).collect()
    }
}

impl Liar {
    /// As much as no quota refuses: a thousand at a time, twice a day.
    pub(super) fn tell(&mut self, now: u64) -> Option<Vec<Record>> {
        if !(now / 3600).is_multiple_of(12) || self.claims.is_empty() {
            return None;
        }
        let rest = self.claims.len().saturating_sub(AT_ONCE);
        let source = Source::new(Witness::SmtpReply, Some(Stream::Bulk));
        let claim =
            |tag| Record { smtp_code: 550, enhanced: (5, 1, 1), ..Record::about(Class::HARD, source, tag, now) };
        Some(self.claims.drain(rest..).map(claim).collect())
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

const MILLION: usize = 1_000_000;
const TARGETS: usize = 300;
const AT_ONCE: usize = 1000;
