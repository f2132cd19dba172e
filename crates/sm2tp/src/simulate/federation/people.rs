//! The people whom nodes write to: who is on which list, where their mailbox is, and from when on there is none.

use sm2tp_federation::tags::{Tag, TagKey, normalise};
use sm2tp_proto::Domain;

use super::super::dice::Dice;

/// A mailbox. Times in unix seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mailbox {
    pub tag: Tag,
    /// The provider's code on the wire; 0 any other.
    pub provider: u8,
    /// Its domain in [`People::domains`], and when that ends.
    pub domain: u32,
    pub no_domain_from: u64,
    pub dead_from: u64,
    /// Some come back.
    pub dead_until: u64,
}

/// A domain with mailboxes. Time in unix seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct MailDomain {
    pub tag: Tag,
    pub dead_from: u64,
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
    /// Those of the large providers first.
    pub domains: Vec<MailDomain>,
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
        self.has_no_domain(now) || (self.dead_from <= now && now < self.dead_until)
    }

    pub(super) fn has_no_domain(&self, now: u64) -> bool {
        self.no_domain_from <= now
    }

    /// When it ended, if it is dead.
    pub(super) fn ended_at(&self) -> u64 {
        self.dead_from.min(self.no_domain_from)
    }

    /// The number of its domain among those of addresses.
    pub(super) fn domain_number(&self) -> u32 {
        DOMAINS_FROM + self.domain
    }
}

impl People {
    /// `dice` for domains are others than those for everything else, so that the same people live whatever domains do.
    pub(super) fn new(census: &Census, dice: &mut Dice, of_domains: &mut Dice) -> Self {
        let key = TagKey::new([7; 32]);
        let count = ((census.nodes * census.addresses) as f64 / census.lists_each.max(1.0)).ceil().max(10.0) as usize;
        let small = (count as f64 * SMALL_DOMAINS_EACH).ceil() as usize;
        let domains: Vec<MailDomain> =
            (0..PROVIDERS.len() + small).map(|number| mail_domain(number, &key, census, of_domains)).collect();
        let mailboxes = (0..count).map(|number| mailbox(number, &key, census, &domains, (dice, of_domains))).collect();
        let mut people = Self { mailboxes, domains, lists: Vec::new() };
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

fn mail_domain(number: usize, key: &TagKey, census: &Census, dice: &mut Dice) -> MailDomain {
    let tag = Domain::parse(&domain_name(number)).ok().and_then(|name| key.tag_domain(&name).ok());
    let lives_s = -(1.0 - dice.share()).ln() * DOMAIN_LIFE_S;
    // No large provider ends.
    let ends_at = if number < PROVIDERS.len() { u64::MAX } else { census.start - YEAR_S + lives_s.min(1e10) as u64 };
    MailDomain { tag: tag.unwrap_or(Tag([0; 16])), dead_from: ends_at }
}

fn domain_name(number: usize) -> String {
    format!("d{number}.test")
}

fn mailbox(
    number: usize,
    key: &TagKey,
    census: &Census,
    domains: &[MailDomain],
    (dice, of_domains): (&mut Dice, &mut Dice),
) -> Mailbox {
    let mut at = dice.share();
    let found = PROVIDERS.iter().position(|(_, share)| {
        at -= share;
        at < 0.0
    });
    let provider = found.map_or(0, |place| PROVIDERS[place].0);
    let small = |dice: &mut Dice| dice.within(PROVIDERS.len() as u64, domains.len() as u64) as usize;
    let domain = found.unwrap_or_else(|| small(of_domains));
    let subject = normalise(&format!("u{number}@{}", domain_name(domain)));
    let tag = subject.map_or(Tag([0; 16]), |subject| key.tag(&subject));
    let lives_s = -(1.0 - dice.share()).ln() * LIFE_S;
    let dead_from = census.start - YEAR_S + lives_s.min(1e10) as u64;
    let returns = dice.happens(census.returning);
    let dead_until = if returns { dead_from + dice.within(3, 30) * DAY_S } else { u64::MAX };
    Mailbox { tag, provider, domain: domain as u32, no_domain_from: domains[domain].dead_from, dead_from, dead_until }
}

/// Mail goes out on the hour.
fn hour(at: u64) -> u64 {
    at / 3600 * 3600
}

const DAY_S: u64 = 86_400;
const YEAR_S: u64 = 365 * DAY_S;
/// 2 % of addresses die in a month: 22 % in a year is what list owners report.
const LIFE_S: f64 = 50.0 * 30.4 * 86_400.0;
/// 6 % of small domains end in a year.
const DOMAIN_LIFE_S: f64 = 200.0 * 30.4 * 86_400.0;
/// Small domains for each person: a fifth of all people, eight in each.
const SMALL_DOMAINS_EACH: f64 = 0.025;
/// Numbers of domains among those of addresses: there are never so many people.
const DOMAINS_FROM: u32 = 1 << 31;
/// So many of all people are on many lists, and so many places on lists are theirs.
const WELL_KNOWN: f64 = 0.05;
const WELL_KNOWN_DRAWN: f64 = 0.3;
/// Share of a node's addresses and days between two mailings: newsletters, circulars, yearly calls.
const LISTS: [(f64, u64); 3] = [(0.3, 7), (0.4, 31), (0.3, 91)];
const BROUGHT: f64 = 0.1;
/// Codes of the appendix of docs/federation.md, with shares as an association of France sees them.
pub(super) const PROVIDERS: [(u8, f64); 7] =
    [(1, 0.3), (2, 0.15), (5, 0.12), (7, 0.08), (6, 0.06), (3, 0.05), (8, 0.04)];
