//! Which addresses other nodes may have: none behind this machine, unless the administrator says so. Whoever names a server
//! must not make this node ask the printer, the router or the metadata of a cloud.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use thiserror::Error;

use super::fetch::Api;
use crate::smtp::Networks;

/// Asks the system for addresses and keeps those that everybody can reach, and those that were named.
#[derive(Clone)]
pub(crate) struct Guard {
    named: Networks,
    own: Own,
}

/// Why a name leads nowhere.
#[derive(Debug, Error)]
pub(crate) enum Unresolved {
    #[error("{0}")]
    System(io::Error),
    #[error("it has no public address; [federation] private_peers would allow others")]
    NoPublicAddress,
}

/// Whether `localhost` may be asked, because a person of this machine typed it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Own {
    Yes,
    No,
}

impl Guard {
    pub(crate) fn new(named: Networks) -> Self {
        Self { named, own: Own::Yes }
    }

    /// For what others than the node's administrators may name.
    pub(crate) fn strict(named: Networks) -> Self {
        Self { named, own: Own::No }
    }

    pub(crate) fn allows(&self, ip: IpAddr) -> bool {
        is_public(ip) || (self.named)(ip)
    }

    /// Whether that server may be asked; a name is looked at when it is resolved.
    pub(crate) fn reaches(&self, api: &Api) -> bool {
        api.is_loopback() || api.ip().is_none_or(|ip| self.allows(ip))
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await.map_err(Unresolved::System)?;
            // A person typed this name: it is this machine and nothing else.
            let own = guard.own == Own::Yes && name.as_str() == "localhost";
            let allowed: Vec<SocketAddr> =
                found.filter(|at| guard.allows(at.ip()) || own && at.ip().is_loopback()).collect();
            if allowed.is_empty() {
                return Err(Unresolved::NoPublicAddress.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// Whether an address is of the public Internet (the registries of special addresses, RFC 6890 and RFC 8190).
#[must_use]
pub fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = matches!(
        (a, b, c),
        (0 | 10 | 127, ..)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (192, 168, _)
            | (198, 18..=19, _)
            | (198, 51, 100)
            | (203, 0, 113)
            | (224..=255, ..)
    );
    !special
}

/// Of 2000::/3 what is not set apart; addresses of IPv4 in other clothes are looked at as such.
fn is_public_v6(ip: Ipv6Addr) -> bool {
    let parts = ip.segments();
    let inner = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match parts {
        // NAT64 (RFC 6052) and 6to4 (RFC 3056).
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => inner(high, low),
        [0x2002, high, low, ..] => inner(high, low),
        // Teredo, benchmarks, ORCHID, documentation.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => false,
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn what_lies_behind_this_machine_is_not_public() {
        #[track_caller]
        fn check(ip: &str, want: bool) {
            assert_eq!(is_public(ip.parse().unwrap()), want, "{ip}");
        }
        for ip in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::1",
            "2001::1",
            "2001:db8::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "ff02::1",
        ] {
            check(ip, false);
        }
        for ip in
            ["9.9.9.9", "100.128.0.1", "172.32.0.1", "193.0.0.1", "2a01:e0a::1", "2606:4700::1111", "64:ff9b::808:808"]
        {
            check(ip, true);
        }
    }

    #[test]
    fn what_the_administrator_named_is_allowed() {
        let guard = Guard::new(Arc::new(|ip| ip == IpAddr::from([10, 0, 0, 1])));
        assert!(guard.allows([10, 0, 0, 1].into()) && !guard.allows([10, 0, 0, 2].into()));
        assert!(!Guard::new(Arc::new(|_| false)).allows([10, 0, 0, 1].into()));
    }
}
