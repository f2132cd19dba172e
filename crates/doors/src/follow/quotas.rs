//! What is kept of whom, counted for one contact, so that the quota is asked without reading everything for each segment.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use sm2tp_federation::header::Header;
use sm2tp_federation::keys::NodeKey;
use sm2tp_federation::quota::{self, Quota, QuotaLimits, Usage};
use sm2tp_store::federated::{Federated, FederatedError, History, segment_octets};

/// Read once for each origin and introducer, then followed.
pub(super) struct Quotas {
    limits: QuotaLimits,
    origins: HashMap<NodeKey, History>,
    introduced: HashMap<NodeKey, u64>,
}

impl Quotas {
    pub(super) fn new(limits: QuotaLimits) -> Self {
        Self { limits, origins: HashMap::new(), introduced: HashMap::new() }
    }

    /// The octets of the first of `headers`, which follow each other, that are taken: known before any body is asked for.
    /// Of their origin this was asked before, so that it is counted once and not kept twice.
    pub(super) async fn run(
        &self,
        store: &Federated,
        headers: &[Header],
        introducer: Option<NodeKey>,
    ) -> Result<u64, FederatedError> {
        let (mut octets, mut counted) = (0, Self::new(self.limits.clone()));
        let known = headers.first().and_then(|first| self.origins.get_key_value(&first.origin()));
        counted.origins.extend(known.map(|(origin, history)| (*origin, history.clone())));
        counted.introduced.extend(introducer.and_then(|node| Some((node, *self.introduced.get(&node)?))));
        for header in headers {
            if counted.quota(store, header, introducer).await? != Quota::Take {
                break;
            }
            counted.took(header, introducer);
            octets += segment_octets(header);
        }
        Ok(octets)
    }

    /// Asks for one segment.
    pub(super) async fn quota(
        &mut self,
        store: &Federated,
        header: &Header,
        introducer: Option<NodeKey>,
    ) -> Result<Quota, FederatedError> {
        let origin = header.origin();
        if let Entry::Vacant(place) = self.origins.entry(origin) {
            place.insert(store.history(origin).await?);
        }
        if let Some(introducer) = introducer
            && let Entry::Vacant(place) = self.introduced.entry(introducer)
        {
            place.insert(store.introduced_octets(introducer).await?);
        }
        let day = header.sealed_at() / DAY_S;
        let history = self.origins.entry(origin).or_default();
        let usage = Usage {
            events_day: history.days.get(&day).copied().unwrap_or(0),
            events_day_median: history.median(day),
            origin_octets: history.octets,
            introducer_octets: introducer.and_then(|node| self.introduced.get(&node).copied()).unwrap_or(0),
        };
        Ok(quota::quota(&usage, header.count(), segment_octets(header), &self.limits))
    }

    /// A segment was kept.
    pub(super) fn took(&mut self, header: &Header, introducer: Option<NodeKey>) {
        self.origins.entry(header.origin()).or_default().add(header);
        if let Some(introducer) = introducer {
            *self.introduced.entry(introducer).or_default() += segment_octets(header);
        }
    }
}

const DAY_S: u64 = 86_400;
