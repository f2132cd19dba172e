//! All that is known about addresses, behind one question: own evidence, lists, and the federation's word.

use std::sync::{Arc, PoisonError, RwLock};

use sm2tp_federation::belief::BeliefLimits;
use sm2tp_federation::sealed::TagKeyGrant;
use sm2tp_federation::tags::{KeyId, Tag, TagKey};
use sm2tp_proto::{Address, Domain};
use sm2tp_rules::suppress::{self, Recipient};

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
        let keys = Arc::new(RwLock::new(grants.iter().map(|grant| grant.key.clone()).collect()));
        let mut belief = federated.belief().clone();
        belief.soft.half_life_s = limits.soft_half_life_s.max(1) as f64;
        Self { views, federated, accounts, limits, belief, keys }
    }

    /// The tag keys have changed: the first is the one to record and publish under.
    pub fn set_keys(&self, grants: &[TagKeyGrant]) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) =
            grants.iter().map(|grant| grant.key.clone()).collect();
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

    fn federated(&self, tags: &[Tag], delivered_at: u64, now: u64) -> suppress::Federated {
        self.federated.look(|index| {
            let best = tags.iter().map(|tag| (tag, index.believed(tag, now, &self.belief)));
            let best = best.max_by(|(_, a), (_, b)| a.score.total_cmp(&b.score));
            best.map_or_else(suppress::Federated::default, |(tag, believed)| {
                let after = index.believed_since(tag, delivered_at, now, &self.belief);
                believed.facts(&after)
            })
        })
    }

    /// What other nodes said of an address, event by event, for those who ask why.
    #[must_use]
    pub fn votes(&self, address: &Address, now: u64) -> Vec<sm2tp_federation::belief::Vote> {
        let (addresses, domains) = self.tags(address);
        let all = addresses.iter().chain(&domains);
        self.federated.look(|index: &Index| all.flat_map(|tag| index.votes(tag, now, &self.belief)).collect())
    }
}

impl Bounce for Book {
    fn recipient(&self, address: &Address, org: &str, now: u64) -> Recipient {
        let (addresses, domains) = self.tags(address);
        let known = self.views.recipient(&addresses, org);
        let tags: Vec<Tag> = addresses.into_iter().chain(domains).collect();
        Recipient {
            federated: self.federated(&tags, known.own.delivered_at, now),
            hosted: self.accounts.hosts(address.domain()),
            ..known
        }
    }

    fn limits(&self, org: &str) -> suppress::Limits {
        self.accounts.suppression(org, &self.limits)
    }
}
