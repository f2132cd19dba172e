//! How much of an origin a node takes, decided from signed headers before a body is fetched (`FEDERATION.md` §8.2, §8.9).

use thiserror::Error;

use crate::belief::Switch;

/// The numbers of §8.2; all are configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct QuotaLimits {
    pub quota: Switch,
    pub soft_events_day: u64,
    pub soft_median_factor: u64,
    /// Whatever its median: a liar could grow it.
    pub hard_events_day: u64,
    /// What all segments together may take.
    pub disk_octets: u64,
    /// Percent of the disk budget for one origin.
    pub origin_disk_percent: u64,
    /// Percent of the disk budget for all origins that one direct peer introduced: inventing origins brings nothing.
    pub introducer_disk_percent: u64,
}

/// What is stored and expected of an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Events taken of the origin with `sealed_at` on the same day (UTC) as the new segment. Not the day of arrival: a
    /// new node fetches a year in an hour.
    pub events_day: u64,
    /// Median of the origin's events a day over the 30 days before that day.
    pub events_day_median: u64,
    pub origin_octets: u64,
    pub introducer_octets: u64,
}

/// What happens to a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quota {
    Take,
    /// The header is kept, the body is not fetched, the administrator is told.
    Park(Parked),
}

/// Which bound a segment would pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Parked {
    /// A person may let it in: a mailing on another scale does that once.
    #[error("{events} events of one day; {limit} are usual for this origin")]
    Unusual { events: u64, limit: u64 },
    #[error("{events} events of one day; {limit} are the limit for any origin")]
    Excessive { events: u64, limit: u64 },
    #[error("{octets} octets of this origin; {limit} are its share of the disk")]
    OriginDisk { octets: u64, limit: u64 },
    #[error("{octets} octets of origins of one peer; {limit} are their share of the disk")]
    IntroducerDisk { octets: u64, limit: u64 },
}

/// Decides about a segment of `count` events and `octets` (header and body). RETRACTs count as all others: a mass of
/// them does as much harm.
#[must_use]
pub fn quota(usage: &Usage, count: u32, octets: u64, limits: &QuotaLimits) -> Quota {
    if limits.quota == Switch::Off {
        return Quota::Take;
    }
    let events = usage.events_day.saturating_add(u64::from(count));
    let usual = limits.soft_events_day.max(usage.events_day_median.saturating_mul(limits.soft_median_factor));
    let share = |percent: u64| limits.disk_octets / 100 * percent.min(100);
    let origin = (usage.origin_octets.saturating_add(octets), share(limits.origin_disk_percent));
    let introducer = (usage.introducer_octets.saturating_add(octets), share(limits.introducer_disk_percent));
    if limits.hard_events_day < events {
        Quota::Park(Parked::Excessive { events, limit: limits.hard_events_day })
    } else if usual < events {
        Quota::Park(Parked::Unusual { events, limit: usual })
    } else if origin.1 < origin.0 {
        Quota::Park(Parked::OriginDisk { octets: origin.0, limit: origin.1 })
    } else if introducer.1 < introducer.0 {
        Quota::Park(Parked::IntroducerDisk { octets: introducer.0, limit: introducer.1 })
    } else {
        Quota::Take
    }
}

impl Default for QuotaLimits {
    fn default() -> Self {
        Self {
            quota: Switch::On,
            // 600 million events, years of a large federation.
            disk_octets: 20_000_000_000,
            soft_events_day: 2_000,
            soft_median_factor: 3,
            hard_events_day: 20_000,
            origin_disk_percent: 5,
            introducer_disk_percent: 50,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(change: impl FnOnce(&mut Usage), want: Quota) {
        let mut usage = Usage::default();
        change(&mut usage);
        let limits = QuotaLimits { disk_octets: 1_000_000, ..QuotaLimits::default() };
        assert_eq!(quota(&usage, 100, 3442, &limits), want);
        assert_eq!(quota(&usage, 100, 3442, &QuotaLimits { quota: Switch::Off, ..limits }), Quota::Take);
    }

    #[test]
    fn an_origin_has_its_usual_day_and_its_share_of_the_disk() {
        check(|_| (), Quota::Take);
        check(|u| u.events_day = 1900, Quota::Take);
        check(|u| u.events_day = 1901, Quota::Park(Parked::Unusual { events: 2001, limit: 2000 }));
        check(|u| (u.events_day, u.events_day_median) = (2900, 1000), Quota::Take);
        let excessive = Quota::Park(Parked::Excessive { events: 20_001, limit: 20_000 });
        check(|u| (u.events_day, u.events_day_median) = (19_901, 90_000), excessive);
        check(|u| u.origin_octets = 46_558, Quota::Take);
        check(|u| u.origin_octets = 46_559, Quota::Park(Parked::OriginDisk { octets: 50_001, limit: 50_000 }));
        let introducer = Quota::Park(Parked::IntroducerDisk { octets: 500_001, limit: 500_000 });
        check(|u| u.introducer_octets = 496_559, introducer);
        check(|u| u.events_day = u64::MAX, Quota::Park(Parked::Excessive { events: u64::MAX, limit: 20_000 }));
    }
}
