//! What is known about addresses, in memory: every door asks here and waits for nothing.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use sm2tp_federation::tags::{KeyId, Tag, TagKey};
use sm2tp_rules::suppress::{Lists, Recipient};
use sm2tp_rules::{Evidence, Streams};

use super::addresses;
use super::domains::{DomainTags, Domains};
use super::event::Event;
use super::listed::{List, Listing, OPTED_OUT};
use super::packed::{Packed, Small};
use crate::sql::{Sql, SqlError};

/// A shared picture of the ledger's recipient views. Written by the ledger's thread after each commit; a reader holds
/// the lock for one look-up and never across an await.
#[derive(Debug, Clone, Default)]
pub struct Views(Arc<RwLock<Known>>);

#[derive(Debug, Default)]
struct Known {
    evidence: Packed<Tag, Small>,
    domains: Domains,
    /// [`List::bits`] by tag and number of the org; 0 is the node itself.
    lists: Packed<(Tag, u32), u16>,
    /// Orgs that ever had a list, by name.
    orgs: HashMap<Box<str>, u32>,
}

impl Views {
    /// What this node knows of an address by itself. `tags` are the address under each live tag key: an event that was
    /// written under last year's key still counts.
    #[must_use]
    pub fn recipient(&self, tags: &[Tag], org: &str) -> Recipient {
        let known = self.read();
        let found = tags.iter().filter_map(|tag| known.evidence.get(tag)).map(Evidence::from);
        let bits = |org: u32| tags.iter().filter_map(|tag| known.lists.get(&(*tag, org))).fold(0, |all, one| all | one);
        let of_org = known.orgs.get(org).map_or(0, |org| bits(*org));
        Recipient {
            own: found.max_by_key(latest_at).unwrap_or_default(),
            node: lists(bits(NODE)),
            org: lists(of_org),
            opted_out: of_org & OPTED_OUT != 0,
            ..Recipient::default()
        }
    }

    /// The evidence under one tag, for those who already have the tag.
    #[must_use]
    pub fn evidence(&self, tag: &Tag) -> Option<Evidence> {
        self.read().evidence.get(tag).map(Evidence::from)
    }

    /// What this node saw of a domain, by its name: the last delivery there, and what the DNS said since.
    #[must_use]
    pub fn domain(&self, name: &str) -> Evidence {
        self.read().domains.of(name)
    }

    /// The same by one of its tags; none where no such domain is known.
    #[must_use]
    pub fn domain_tagged(&self, tag: &Tag) -> Option<Evidence> {
        self.read().domains.tagged(tag)
    }

    /// Under which keys others may speak of domains. Their tags are made while doors go on asking.
    pub fn set_keys(&self, keys: Vec<TagKey>) {
        let names = {
            let known = self.read();
            if known.domains.has_keys(&keys) {
                return;
            }
            known.domains.names()
        };
        let tags = DomainTags::of(&names, &keys);
        self.write().domains.set_keys(keys, tags);
    }

    /// In how many parts all addresses can be read.
    #[must_use]
    pub fn parts(&self) -> usize {
        self.read().evidence.parts()
    }

    /// Shows the addresses of one part; the lock is held for it alone.
    pub fn part(&self, number: usize, mut show: impl FnMut(&Tag, Evidence)) {
        self.read().evidence.part(number).iter().for_each(|(tag, small)| show(tag, (*small).into()));
    }

    /// Shows the domains of one part, under each of their tags.
    pub fn domain_part(&self, number: usize, show: impl FnMut((&Tag, Evidence))) {
        self.read().domains.part(number).for_each(show);
    }

    /// How many addresses are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.read().evidence.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads the whole picture from the tables, at start and after a rebuild.
    pub(super) fn load(&self, sql: &mut dyn Sql) -> Result<(), SqlError> {
        let mut fresh = Known::default();
        let keys = self.read().domains.keys();
        let no_tags = DomainTags::of(&[], &keys);
        fresh.domains.set_keys(keys, no_tags);
        // In their order, so that each is put at the end of its list.
        let query = format!("SELECT {}, tag, domain, rule FROM recipient ORDER BY tag", addresses::EVIDENCE_COLUMNS);
        sql.rows(&query, &[], &mut |row| {
            let (tag, evidence) = (Tag(row.octets(addresses::EVIDENCE_WIDTH)?), addresses::evidence(row)?);
            let (domain, rule) = addresses::domain_and_rule(row)?;
            fresh.domains.note(domain, &evidence, rule);
            // Of some it is only known how often mail was refused or complained about.
            fresh.evidence.change(tag, |_| (!evidence.is_empty()).then(|| evidence.into()));
            Ok(())
        })?;
        sql.rows("SELECT tag, list, org FROM listed ORDER BY tag", &[], &mut |row| {
            if let Some(list) = List::parse(row.text(1)?) {
                fresh.list(Tag(row.octets(0)?), Listing::On(list), row.text(2)?);
            }
            Ok(())
        })?;
        *self.write() = fresh;
        Ok(())
    }

    /// Follows events that the tables already have.
    pub(super) fn follow(&self, events: &[Event]) {
        let mut known = self.write();
        for event in events {
            let Some((_, tag)) = event.recipient else { continue };
            if let Some(happening) = event.happening() {
                let mut after = Evidence::default();
                known.evidence.change(tag, |before| {
                    after = before.map_or_else(Evidence::default, Evidence::from).after(happening, event.at);
                    Some(after.into())
                });
                known.domains.note(event.domain.as_deref().unwrap_or(""), &after, event.rule.as_deref());
            }
            if let Some(listing) = Listing::of(event) {
                known.list(tag, listing, event.org.as_deref().unwrap_or(""));
            }
        }
    }

    /// Follows what other machines wrote of an address in a domain, as far as it says something of that.
    pub(super) fn catch_up_domain(&self, domain: &str, evidence: &Evidence, rule: Option<&str>) {
        self.write().domains.note(domain, evidence, rule);
    }

    /// Follows what other machines wrote: what is known of the addresses now, and what was listed.
    pub(super) fn catch_up(&self, evidence: &[(Tag, Evidence)], listings: &[Event]) {
        self.restore(evidence);
        let mut known = self.write();
        for event in listings {
            if let (Some((_, tag)), Some(listing)) = (event.recipient, Listing::of(event)) {
                known.list(tag, listing, event.org.as_deref().unwrap_or(""));
            }
        }
    }

    /// Puts evidence in the place of what is known: what it was before something that is not believed any more.
    pub fn restore(&self, evidence: &[(Tag, Evidence)]) {
        let mut known = self.write();
        for (tag, evidence) in evidence {
            known.evidence.change(*tag, |_| (!evidence.is_empty()).then(|| (*evidence).into()));
        }
    }

    /// Forgets what is known under these tags, and the lists they are on.
    pub(super) fn forget(&self, tags: &[(KeyId, Tag)]) {
        let mut known = self.write();
        let orgs: Vec<u32> = known.orgs.values().copied().chain([NODE]).collect();
        for (_, tag) in tags {
            known.evidence.change(*tag, |_| None);
            orgs.iter().for_each(|org| known.lists.change((*tag, *org), |_| None));
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn list(&mut self, tag: Tag, listing: Listing, org: &str) {
        let org = self.number(org);
        self.lists.change((tag, org), |bits| {
            let bits = bits.unwrap_or(0);
            let bits = match listing {
                Listing::On(list) => bits | list.bits(),
                Listing::Off(list) => bits & !list.bits(),
            };
            (bits != 0).then_some(bits)
        });
    }

    fn number(&mut self, org: &str) -> u32 {
        if org.is_empty() {
            return NODE;
        }
        // Orgs are added by people: there are never so many.
        let next = u32::try_from(self.orgs.len() + 1).unwrap_or(u32::MAX);
        match self.orgs.get(org) {
            Some(number) => *number,
            None => *self.orgs.entry(org.into()).or_insert(next),
        }
    }
}

fn lists(bits: u16) -> Lists {
    let streams = |shift: u16| Streams::from_bits((bits >> shift & 0xf) as u8);
    Lists { suppressed: streams(0), allowed: streams(4) }
}

fn latest_at(evidence: &Evidence) -> u64 {
    evidence.delivered_at.max(evidence.hard_at).max(evidence.soft_at)
}

/// The node's own lists among those of orgs.
const NODE: u32 = 0;
