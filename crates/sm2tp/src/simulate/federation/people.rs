//! The people whom nodes write to: who is on which list, where their mailbox is, and from when on there is none.

use sm2tp_federation::tags::{Tag, TagKey, normalise};

use super::super::dice::Dice;

/// A mailbox. Times in unix seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mailbox {
    pub tag: Tag,
    /// The provider's code on the wire; 0 any other.
    pub provider: u8,
    pub dead_from: u64,
    /// Some come back.
    pub dead_until: u64,
}

/// A list that a node mails now and then.
#[derive(Debug, Clone)]
pub(super) struct List {
    pub every_s: u64,
    pub next_at: u64,
    pub members: Vec<u32>,
}

/// Everybody, and the lists of each node.
pub(super) struct People {
    pub mailboxes: Vec<Mailbox>,
    pub lists: Vec<Vec<List>>,
}

/// How many there are, and how they fare.
#[derive(Debug, Clone, Copy)]
pub(super) struct Census {
    pub nodes: usize,
    /// Addresses on the lists of one node.
    pub addresses: usize,
    /// How many lists of all nodes together a person is on, in the mean.
    pub lists_each: f64,
    /// Share of dead mailboxes that come back within a month.
    pub returning: f64,
    pub start: u64,
    pub end: u64,
}

impl Mailbox {
    pub(super) fn is_dead(&self, now: u64) -> bool {
        self.dead_from <= now && now < self.dead_until
    }
}

impl People {
    pub(super) fn new(census: &Census, dice: &mut Dice) -> Self {
        let key = TagKey::new([7; 32]);
        let count = ((census.nodes * census.addresses) as f64 / census.lists_each.max(1.0)).ceil().max(10.0) as usize;
        let mailboxes = (0..count).map(|number| mailbox(number, &key, census, dice)).collect();
        let mut people = Self { mailboxes, lists: Vec::new() };
        people.lists = (0..census.nodes).map(|_| people.lists_of_one(census, dice)).collect();
        people
    }

    fn lists_of_one(&self, census: &Census, dice: &mut Dice) -> Vec<List> {
        let mut lists = Vec::new();
        for (share, every_days) in LISTS {
            let wanted = (census.addresses as f64 * share) as usize;
            let every_s = every_days * DAY_S;
            let members = self.members(wanted, dice);
            lists.push(List { every_s, next_at: hour(census.start + dice.within(0, every_s)), members });
        }
        // An organisation joins and brings what it collected over a year.
        let wanted = (census.addresses as f64 * BROUGHT) as usize;
        let joins_at = dice.within(census.start, census.end.max(census.start + 1));
        let members = self.members(wanted, dice);
        lists.push(List { every_s: 30 * DAY_S, next_at: hour(joins_at), members });
        lists
    }

    fn members(&self, wanted: usize, dice: &mut Dice) -> Vec<u32> {
        let (all, known) = (self.mailboxes.len() as u64, (self.mailboxes.len() as f64 * WELL_KNOWN).ceil() as u64);
        let mut members = std::collections::BTreeSet::new();
        // Twice as often as needed: some are drawn twice.
        for _ in 0..wanted * 2 {
            let among = if dice.happens(WELL_KNOWN_DRAWN) { known } else { all };
            let number = dice.within(0, among) as u32;
            if members.len() < wanted {
                members.insert(number);
            }
        }
        members.into_iter().collect()
    }
}

fn mailbox(number: usize, key: &TagKey, census: &Census, dice: &mut Dice) -> Mailbox {
    let mut at = dice.share();
    let found = PROVIDERS.iter().find(|(_, share)| {
        at -= share;
        at < 0.0
    });
    let provider = found.map_or(0, |(code, _)| *code);
    let subject = normalise(&format!("u{number}@p{provider}.test"));
    let tag = subject.map_or(Tag([0; 16]), |subject| key.tag(&subject));
    let lives_s = -(1.0 - dice.share()).ln() * LIFE_S;
    let dead_from = census.start - YEAR_S + lives_s.min(1e10) as u64;
    let returns = dice.happens(census.returning);
    let dead_until = if returns { dead_from + dice.within(3, 30) * DAY_S } else { u64::MAX };
    Mailbox { tag, provider, dead_from, dead_until }
}

/// Mail goes out on the hour.
fn hour(at: u64) -> u64 {
    at / 3600 * 3600
}

const DAY_S: u64 = 86_400;
const YEAR_S: u64 = 365 * DAY_S;
/// 2 % of addresses die in a month: 22 % in a year is what list owners report.
const LIFE_S: f64 = 50.0 * 30.4 * 86_400.0;
/// So many of all people are on many lists, and so many places on lists are theirs.
const WELL_KNOWN: f64 = 0.05;
const WELL_KNOWN_DRAWN: f64 = 0.3;
/// Share of a node's addresses and days between two mailings: newsletters, circulars, yearly calls.
const LISTS: [(f64, u64); 3] = [(0.3, 7), (0.4, 31), (0.3, 91)];
const BROUGHT: f64 = 0.1;
/// Codes of the appendix of docs/federation.md, with shares as an association of France sees them.
const PROVIDERS: [(u8, f64); 7] = [(1, 0.3), (2, 0.15), (5, 0.12), (7, 0.08), (6, 0.06), (3, 0.05), (8, 0.04)];
