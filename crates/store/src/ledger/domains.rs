//! What this node saw of recipient domains, in memory: when one took mail last, and when the DNS last said that it takes none.
//!
//! Others speak of domains by their tags; so each is known by its name, because tag keys change, and by its tags.

use std::collections::HashMap;

use sm2tp_federation::tags::{Tag, TagKey};
use sm2tp_proto::Domain;
use sm2tp_rules::Evidence;

use super::packed::Packed;

/// All domains that this node wrote to.
#[derive(Debug, Default)]
pub(super) struct Domains {
    numbers: HashMap<Box<str>, u32>,
    seen: Vec<Seen>,
    /// Live tag keys, under each of which others may speak of a domain.
    keys: Vec<TagKey>,
    tags: Packed<Tag, u32>,
}

/// Unix seconds; 0: never. Times beyond 2106 become 2106.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Seen {
    delivered_at: u32,
    dead_at: u32,
}

/// The tags of domains, and of how many.
pub(super) struct DomainTags(Packed<Tag, u32>, usize);

impl DomainTags {
    pub(super) fn of(names: &[(Box<str>, u32)], keys: &[TagKey]) -> Self {
        let mut tags = Packed::default();
        names.iter().for_each(|(name, number)| put(&mut tags, keys, name, *number));
        Self(tags, names.len())
    }
}

impl Domains {
    /// Whether these are the tag keys that are known.
    pub(super) fn has_keys(&self, keys: &[TagKey]) -> bool {
        self.keys == keys
    }

    /// The names of all, for whoever makes their tags beside all other work.
    pub(super) fn names(&self) -> Vec<(Box<str>, u32)> {
        self.numbers.iter().map(|(name, number)| (name.clone(), *number)).collect()
    }

    /// Takes other tag keys, with the tags that were made of [`Domains::names`] under them.
    pub(super) fn set_keys(&mut self, keys: Vec<TagKey>, tags: DomainTags) {
        (self.keys, self.tags) = (keys, tags.0);
        // What was noted meanwhile has higher numbers.
        if tags.1 < self.seen.len() {
            let fresh = self.names().into_iter().filter(|(_, number)| tags.1 <= *number as usize);
            fresh.for_each(|(name, number)| self.tag(&name, number));
        }
    }

    /// Takes what is known of an address for its domain; `rule` is the one that understood the last answer about it.
    pub(super) fn note(&mut self, domain: &str, address: &Evidence, rule: Option<&str>) {
        let is_dead = address.hard_strong && says_no_domain(address.hard_code, rule);
        let dead_at = if is_dead { address.hard_at } else { 0 };
        if domain.is_empty() || (address.delivered_at, dead_at) == (0, 0) {
            return;
        }
        let Some(seen) = self.number(domain).and_then(|number| self.seen.get_mut(number as usize)) else { return };
        let small = |at: u64| u32::try_from(at).unwrap_or(u32::MAX);
        // Events of several sources, and rows of a table, come in any order.
        seen.delivered_at = seen.delivered_at.max(small(address.delivered_at));
        seen.dead_at = seen.dead_at.max(small(dead_at));
    }

    /// What is known of a domain.
    pub(super) fn of(&self, domain: &str) -> Evidence {
        let number = self.numbers.get(domain);
        number.and_then(|number| self.seen.get(*number as usize)).map_or_else(Evidence::default, |seen| (*seen).into())
    }

    /// The domain behind a tag, if this node knows one.
    pub(super) fn tagged(&self, tag: &Tag) -> Option<Evidence> {
        self.tags.get(tag).and_then(|number| self.seen.get(number as usize)).map(|seen| (*seen).into())
    }

    /// Those of one part of all tags, of as many parts as there are of addresses.
    pub(super) fn part(&self, number: usize) -> impl Iterator<Item = (&Tag, Evidence)> {
        let part = self.tags.part(number).iter();
        part.filter_map(|(tag, number)| Some((tag, (*self.seen.get(*number as usize)?).into())))
    }

    /// Those of before, for a picture that is read anew.
    pub(super) fn keys(&self) -> Vec<TagKey> {
        self.keys.clone()
    }

    fn number(&mut self, domain: &str) -> Option<u32> {
        if let Some(number) = self.numbers.get(domain) {
            return Some(*number);
        }
        let number = u32::try_from(self.seen.len()).ok().filter(|_| self.seen.len() < DOMAINS_MAX)?;
        self.seen.push(Seen::default());
        self.numbers.insert(domain.into(), number);
        self.tag(domain, number);
        Some(number)
    }

    fn tag(&mut self, domain: &str, number: u32) {
        put(&mut self.tags, &self.keys, domain, number);
    }
}

fn put(tags: &mut Packed<Tag, u32>, keys: &[TagKey], domain: &str, number: u32) {
    let Ok(domain) = Domain::parse(domain) else { return };
    for tag in keys.iter().filter_map(|key| key.tag_domain(&domain).ok()) {
        tags.change(tag, |_| Some(number));
    }
}

impl From<Seen> for Evidence {
    /// As of an address: a delivery clears what was found before it.
    fn from(seen: Seen) -> Self {
        let dead_at = if seen.delivered_at < seen.dead_at { seen.dead_at.into() } else { 0 };
        Self {
            delivered_at: seen.delivered_at.into(),
            hard_first_at: dead_at,
            hard_at: dead_at,
            hard_strong: dead_at != 0,
            ..Self::default()
        }
    }
}

/// As `publish::class` reads an outcome: no server spoke, and the rule is one of those for what the DNS says.
fn says_no_domain(code: u16, rule: Option<&str>) -> bool {
    code == 0 && rule.is_some_and(|rule| NO_DOMAIN.contains(&rule))
}

/// Rules of `rules::classify`: what this node asked itself, and what another mail server on this machine found.
const NO_DOMAIN: [&str; 4] = ["local-no-such-domain", "local-null-mx", "no-domain", "null-mx"];
/// About 150 MB with three tag keys. What others say of a domain beyond them counts as if this node never wrote there.
const DOMAINS_MAX: usize = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    const AT: u64 = 1_800_000_000;

    fn delivered(at: u64) -> Evidence {
        Evidence { delivered_at: at, ..Evidence::default() }
    }

    fn refused(at: u64, hard_code: u16) -> Evidence {
        Evidence { hard_at: at, hard_first_at: at, hard_strong: true, hard_code, ..Evidence::default() }
    }

    #[test]
    fn a_domain_took_mail_when_one_of_its_addresses_did_and_is_dead_when_the_dns_says_so_later() {
        #[track_caller]
        fn check(seen: &[(Evidence, &str)], want: (u64, u64)) {
            let mut domains = Domains::default();
            for (address, rule) in seen {
                domains.note("d.example", address, Some(rule));
            }
            let known = domains.of("d.example");
            assert_eq!((known.delivered_at, known.hard_at), want, "{seen:?}");
        }
        let no_domain = "local-no-such-domain";
        check(&[], (0, 0));
        check(&[(delivered(AT), "ok"), (delivered(AT - 9), "ok")], (AT, 0));
        check(&[(delivered(AT), "ok"), (refused(AT + 9, 0), no_domain)], (AT, AT + 9));
        check(&[(refused(AT + 9, 0), no_domain), (delivered(AT + 99), "ok")], (AT + 99, 0));
        // A server spoke: there is one.
        check(&[(delivered(AT), "ok"), (refused(AT + 9, 550), "no-domain")], (AT, 0));
        check(&[(delivered(AT), "ok"), (refused(AT + 9, 0), "imported from ses on 2026-11-26")], (AT, 0));
    }

    fn turn(domains: &mut Domains, keys: &[TagKey]) {
        domains.set_keys(keys.to_vec(), DomainTags::of(&domains.names(), keys));
    }

    /// Tags of all domains.
    fn count(domains: &Domains) -> usize {
        (0..domains.tags.parts()).map(|part| domains.part(part).count()).sum()
    }

    #[test]
    fn a_domain_is_found_by_its_tag_under_each_live_key() {
        let keys = [TagKey::new([1; 32]), TagKey::new([2; 32]), TagKey::new([3; 32])];
        let domain = Domain::parse("d.example").unwrap();
        let tags: Vec<Tag> = keys.iter().map(|key| key.tag_domain(&domain).unwrap()).collect();
        let mut domains = Domains::default();
        domains.note("d.example", &delivered(AT), None);
        assert_eq!(domains.tagged(&tags[0]), None, "before the keys are known");
        turn(&mut domains, &keys[..2]);
        domains.note("e.example", &delivered(AT), None);
        domains.note("not a domain", &delivered(AT), None);
        let known = |domains: &Domains| tags.iter().map(|tag| domains.tagged(tag).is_some()).collect::<Vec<_>>();
        assert_eq!(known(&domains), [true, true, false]);
        assert_eq!(count(&domains), 4);
        let before = DomainTags::of(&domains.names(), &keys[1..]);
        domains.note("f.example", &delivered(AT), None);
        domains.set_keys(keys[1..].to_vec(), before);
        assert_eq!((known(&domains), count(&domains)), (vec![false, true, true], 6));
        domains.note("d.example", &delivered(AT + 5), None);
        assert_eq!(domains.tagged(&tags[2]), Some(delivered(AT + 5)));
    }
}
