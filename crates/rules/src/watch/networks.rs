//! From where a sender writes: whose network it is where a table knows that ([`crate::places`]), else a prefix of the client's
//! address.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::places::Place;

/// A neighbourhood of addresses: the first 16 bits of IPv4, the first 32 of IPv6. A provider of internet access has some
/// of the first kind and one or two of the second, so who moves about at home stays in few, and a stranger elsewhere in
/// the world is in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Network {
    V4(u16),
    V6(u32),
}

/// From where one mail comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Whence {
    pub network: Network,
    pub place: Option<Place>,
}

/// A network from which a sender wrote: a company's where that is known, with the neighbourhood in which the sender was last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub network: Network,
    pub place: Option<Place>,
    /// Unix seconds.
    pub first: u64,
    pub last: u64,
}

/// The networks of one sender.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Networks(pub Vec<Seen>);

impl Network {
    #[must_use]
    pub fn of(client: IpAddr) -> Self {
        match client.to_canonical() {
            IpAddr::V4(address) => Self::V4((address.to_bits() >> 16) as u16),
            IpAddr::V6(address) => Self::V6((address.to_bits() >> 96) as u32),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::V4(prefix) => write!(f, "{}/16", Ipv4Addr::from_bits(u32::from(prefix) << 16)),
            Self::V6(prefix) => write!(f, "{}/32", Ipv6Addr::from_bits(u128::from(prefix) << 96)),
        }
    }
}

impl Networks {
    /// Remembers that mail came from there, and says whether the network is strange: first seen less than `settled_s` ago.
    pub(super) fn meet(&mut self, from: Whence, settled_s: u64, now: u64) -> bool {
        if let Some(seen) = self.same(from) {
            (seen.network, seen.place) = (from.network, from.place.or(seen.place));
            seen.last = seen.last.max(now);
            // A date in the future is of a clock that was wrong.
            seen.first = seen.first.min(now);
            return is_strange(seen, settled_s, now);
        }
        if NETWORKS_MAX <= self.0.len() {
            self.make_room(settled_s, now);
        }
        let Whence { network, place } = from;
        self.0.push(Seen { network, place, first: now, last: now });
        true
    }

    /// The one that was met before. Who was known by a neighbourhood keeps it when a table comes, and when it goes again.
    fn same(&mut self, from: Whence) -> Option<&mut Seen> {
        let is_company = |seen: &Seen| from.place.is_some_and(|place| seen.place.is_some_and(|of| of.asn == place.asn));
        let at = self.0.iter().position(is_company).or_else(|| {
            let both = |seen: &Seen| from.place.is_some() && seen.place.is_some();
            self.0.iter().position(|seen| seen.network == from.network && !both(seen))
        });
        at.map(|at| &mut self.0[at])
    }

    /// How many were seen for the first time within a day.
    pub(super) fn strange_today(&self, now: u64) -> u32 {
        self.0.iter().filter(|seen| now.saturating_sub(seen.first) < DAY_S).count() as u32
    }

    /// A person said that they are all in order.
    pub(super) fn settle(&mut self) {
        self.0.iter_mut().for_each(|seen| seen.first = 0);
    }

    /// Strange ones go first: a stolen login that is used from everywhere must not push the owner's own out.
    fn make_room(&mut self, settled_s: u64, now: u64) {
        let order = |seen: &Seen| (!is_strange(seen, settled_s, now), seen.last);
        let oldest = self.0.iter().enumerate().min_by_key(|(_, seen)| order(seen)).map(|(at, _)| at);
        if let Some(at) = oldest {
            self.0.swap_remove(at);
        }
    }
}

pub(super) fn is_strange(seen: &Seen, settled_s: u64, now: u64) -> bool {
    now.saturating_sub(seen.first) < settled_s
}

const DAY_S: u64 = 86_400;
/// A person has a handful; a botnet that uses a login has thousands, and sixteen of them are reason enough.
pub(super) const NETWORKS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::places::Country;

    const SETTLED_S: u64 = 3 * DAY_S;

    #[test]
    fn a_network_is_a_neighbourhood_of_addresses() {
        #[track_caller]
        fn check(client: &str, want: &str) {
            assert_eq!(Network::of(client.parse().unwrap()).to_string(), want);
        }
        check("192.0.2.9", "192.0.0.0/16");
        check("::ffff:192.0.2.9", "192.0.0.0/16");
        check("2001:db8:1::9", "2001:db8::/32");
    }

    #[test]
    fn a_network_is_strange_for_some_days_and_thousands_do_not_push_the_own_one_out() {
        let mut networks = Networks::default();
        let from = |network| Whence { network, place: None };
        let own = from(Network::V4(1));
        assert!(networks.meet(own, SETTLED_S, 1000));
        let now = 1000 + SETTLED_S;
        assert!(!networks.meet(own, SETTLED_S, now));
        for n in 0..5000 {
            assert!(networks.meet(from(Network::V6(n)), SETTLED_S, now + 1 + u64::from(n)));
        }
        assert_eq!(networks.0.len(), NETWORKS_MAX);
        assert_eq!(networks.strange_today(now + 5001), NETWORKS_MAX as u32 - 1);
        assert!(!networks.meet(own, SETTLED_S, now + 6000));
        networks.settle();
        assert!(networks.0.iter().all(|seen| !is_strange(seen, SETTLED_S, now + 6000)));
    }
    #[test]
    fn with_a_table_a_network_is_a_company_and_nobody_becomes_strange_when_it_comes_or_goes() {
        let place = |asn| Some(Place { asn, country: Country::parse("FR") });
        let from = |prefix, place| Whence { network: Network::V4(prefix), place };
        let mut networks = Networks::default();
        assert!(networks.meet(from(1, None), SETTLED_S, 0));
        let mut now = SETTLED_S;
        let mut is_strange = |from| {
            now += 1;
            networks.meet(from, SETTLED_S, now)
        };
        // The table comes: the same neighbourhood, now with a name; then another neighbourhood of the same company.
        assert!(!is_strange(from(1, place(64500))));
        assert!(!is_strange(from(2, place(64500))));
        // A neighbourhood may belong to two.
        assert!(is_strange(from(2, place(64501))));
        // The table goes: the neighbourhood in which it was last is known still.
        assert!(!is_strange(from(2, None)));
        assert!(is_strange(from(3, None)));
        assert_eq!(networks.0.len(), 3);
    }
}
