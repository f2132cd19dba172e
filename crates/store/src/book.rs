//! All that is known about addresses, behind one question: own evidence, lists, and the federation's word.

use std::sync::{Arc, PoisonError, RwLock};

use sm2tp_federation::belief::{self, BeliefLimits, Vote};
use sm2tp_federation::record::Class;
use sm2tp_federation::sealed::TagKeyGrant;
use sm2tp_federation::tags::{KeyId, Tag, TagKey};
use sm2tp_proto::{Address, Domain};
use sm2tp_rules::suppress::{self, About, Recipient};

use crate::accounts::Accounts;
use crate::federated::{Federated, Index};
use crate::ledger::Views;

/// What the relay asks of the bounce service (I10). In process it is the [`Book`]; over the local socket another.
pub trait Bounce: Send + Sync {
    /// What is known of an address when `org` wants to write to it. Answers from memory. `now` in unix seconds.
    fn recipient(&self, address: &Address, org: &str, now: u64) -> Recipient;

    /// The numbers of the decisions about mail of `org`.
    fn limits(&self, org: &str) -> suppress::Limits;
}

/// The book of addresses of a node; clones share it.
#[derive(Clone)]
pub struct Book {
    pub views: Views,
    pub federated: Federated,
    pub accounts: Accounts,
    /// Those of the node; an organisation may have some of its own.
    pub limits: suppress::Limits,
    pub belief: BeliefLimits,
    keys: Arc<RwLock<Vec<TagKey>>>,
}

impl Book {
    #[must_use]
    pub fn new(
        views: Views,
        federated: Federated,
        accounts: Accounts,
        limits: suppress::Limits,
        grants: &[TagKeyGrant],
    ) -> Self {
        let mut belief = federated.belief().clone();
        belief.soft.half_life_s = limits.soft_half_life_s.max(1) as f64;
        let book = Self { views, federated, accounts, limits, belief, keys: Arc::default() };
        book.set_keys(grants);
        book
    }

    /// The tag keys have changed: the first is the one to record and publish under.
    pub fn set_keys(&self, grants: &[TagKeyGrant]) {
        let keys: Vec<TagKey> = grants.iter().map(|grant| grant.key.clone()).collect();
        self.views.set_keys(keys.clone());
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
    }

    /// The key to record and publish under.
    #[must_use]
    pub fn current_key(&self) -> Option<TagKey> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).first().cloned()
    }

    /// The tag under which an address is recorded now.
    #[must_use]
    pub fn tag(&self, address: &Address) -> Option<(KeyId, Tag)> {
        let key = self.current_key()?;
        key.tag_address(address).ok().map(|tag| (key.key_id(), tag))
    }

    /// Whether tags under this key can be made here.
    #[must_use]
    pub fn has_key(&self, id: KeyId) -> bool {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).iter().any(|key| key.key_id() == id)
    }

    /// The tags under which an address may be recorded, with their keys.
    #[must_use]
    pub fn all_tags(&self, address: &Address) -> Vec<(KeyId, Tag)> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.iter().filter_map(|key| Some((key.key_id(), key.tag_address(address).ok()?))).collect()
    }

    /// The tags under which a domain may be published, with their keys.
    #[must_use]
    pub fn all_domain_tags(&self, domain: &Domain) -> Vec<(KeyId, Tag)> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.iter().filter_map(|key| Some((key.key_id(), key.tag_domain(domain).ok()?))).collect()
    }

    /// The address under every live key, and its domain likewise.
    #[must_use]
    pub fn tags(&self, address: &Address) -> (Vec<Tag>, Vec<Tag>) {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let addresses = keys.iter().filter_map(|key| key.tag_address(address).ok()).collect();
        let domains = keys.iter().filter_map(|key| key.tag_domain(address.domain()).ok()).collect();
        (addresses, domains)
    }

    /// What others say of a subject, by the tag of which they say the worst.
    fn federated(&self, tags: &[Tag], about: About, delivered_at: u64, now: u64) -> suppress::Federated {
        let of_tag = |index: &Index, tag: &Tag| {
            belief::facts(&votes(index, tag, about, now, &self.belief), delivered_at, now, &self.belief)
        };
        let worst = self.federated.look(|index| {
            let all = tags.iter().map(|tag| of_tag(index, tag));
            all.max_by(|a, b| a.score.total_cmp(&b.score))
        });
        worst.unwrap_or_default()
    }

    /// What other nodes said of an address and of its domain, event by event, for those who ask why.
    #[must_use]
    pub fn votes(&self, address: &Address, now: u64) -> Vec<Vote> {
        let (addresses, domains) = self.tags(address);
        self.federated.look(|index| {
            let of = |tags: &[Tag], about| -> Vec<Vote> {
                tags.iter().flat_map(|tag| votes(index, tag, about, now, &self.belief)).collect()
            };
            [of(&addresses, About::Address), of(&domains, About::Domain)].concat()
        })
    }
}

impl Bounce for Book {
    fn recipient(&self, address: &Address, org: &str, now: u64) -> Recipient {
        let (addresses, domains) = self.tags(address);
        let known = self.views.recipient(&addresses, org);
        let own_domain = self.views.domain(address.domain().as_str());
        Recipient {
            own_domain,
            federated: self.federated(&addresses, About::Address, known.own.delivered_at, now),
            federated_domain: self.federated(&domains, About::Domain, own_domain.delivered_at, now),
            hosted: self.accounts.hosts(address.domain()),
            ..known
        }
    }

    fn limits(&self, org: &str) -> suppress::Limits {
        self.accounts.suppression(org, &self.limits)
    }
}

/// The words about a tag that fit its subject: whoever calls an address a dead domain, or a domain a dead address, says nothing.
fn votes(index: &Index, tag: &Tag, about: About, now: u64, limits: &BeliefLimits) -> Vec<Vote> {
    let mut votes = index.votes(tag, now, limits);
    votes.retain(|vote| !vote.class.is_against() || (vote.class == Class::DOMAIN_DEAD) == (about == About::Domain));
    votes
}
