//! The ways out: what the rest of the Internet thinks of the addresses that mail leaves from.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

use sm2tp_relay::Lookups;

use super::{Finding, Level};
use crate::config::Config;

const PART: &str = "exit";

/// An address that mail leaves from, and the name that is said there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    pub exit: String,
    /// None: the system chooses, and it could not be found out which.
    pub address: Option<IpAddr>,
    pub hello: String,
}

/// All addresses of all exits; none where a smart host is what others see.
pub fn ways(config: &Config) -> Vec<Way> {
    let Some(relay) = config.relay.as_ref().filter(|relay| relay.smarthost.is_none()) else { return Vec::new() };
    let of_exit = |exit: &crate::config::Exit| {
        let hello = exit.hello.clone().unwrap_or_else(|| config.hostname.clone());
        let addresses = if exit.addresses.is_empty() { chosen() } else { exit.addresses.clone() };
        let way = |address| Way { exit: exit.name.clone(), address, hello: hello.clone() };
        if addresses.is_empty() { vec![way(None)] } else { addresses.into_iter().map(|it| way(Some(it))).collect() }
    };
    relay.exits.iter().flat_map(of_exit).collect()
}

/// The addresses that other servers will see: those of the configuration, or those that the system would choose.
pub fn known(config: &Config) -> Vec<IpAddr> {
    let relay = config.relay.as_ref();
    let mut named: Vec<IpAddr> =
        relay.into_iter().flat_map(|relay| relay.exits.iter().flat_map(|exit| exit.addresses.clone())).collect();
    named.dedup();
    if named.is_empty() { chosen() } else { named }
}

/// The public addresses from which the system would reach the Internet. Nothing is sent to find out.
pub fn chosen() -> Vec<IpAddr> {
    [(IpAddr::from(Ipv4Addr::UNSPECIFIED), IpAddr::from(OUTSIDE_4)), (Ipv6Addr::UNSPECIFIED.into(), OUTSIDE_6.into())]
        .into_iter()
        .filter_map(|(own, outside)| {
            let socket = UdpSocket::bind((own, 0)).ok()?;
            socket.connect((outside, 9)).ok()?;
            Some(socket.local_addr().ok()?.ip()).filter(|address| is_public(*address))
        })
        .collect()
}

/// Whether the rest of the Internet could know a machine by it; a private one is behind a translation of addresses.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let is_shared = a == 100 && (64..128).contains(&b);
            !(v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_unspecified() || is_shared)
        }
        // Global unicast: RFC 4291 §2.4 with what the registries give out.
        IpAddr::V6(v6) => v6.segments()[0] & 0xe000 == 0x2000,
    }
}

pub async fn all(config: &Config, dns: &Lookups, ways: &[Way]) -> Vec<Finding> {
    if config.relay.as_ref().is_some_and(|relay| relay.smarthost.is_some()) {
        return vec![Finding::new(PART, Level::Note, "smarthost", &config.hostname)];
    }
    let mut found = Vec::new();
    for way in ways {
        let Some(address) = way.address else {
            found.push(Finding::new(PART, Level::Note, "exit-unknown", &way.exit));
            continue;
        };
        found.push(reverse(dns, way, address).await);
    }
    let mut said: Vec<&str> = ways.iter().map(|way| way.hello.as_str()).collect();
    said.sort_unstable();
    said.dedup();
    for hello in said {
        let addresses = dns.addresses(hello).await;
        let own = ways.iter().filter(|way| way.hello == hello).filter_map(|way| way.address);
        let missing: Vec<String> = own.filter(|own| !addresses.contains(own)).map(|own| own.to_string()).collect();
        found.push(match (addresses.is_empty(), missing.is_empty()) {
            (true, _) => Finding::new(PART, Level::Fault, "hello-absent", hello),
            (false, true) => Finding::new(PART, Level::Fine, "hello-fine", hello),
            (false, false) => {
                Finding::new(PART, Level::Warning, "hello-other", hello).with("addresses", missing.join(", "))
            }
        });
    }
    found
}

/// The name of an address, which must lead back to it, and should be the one that is said.
async fn reverse(dns: &Lookups, way: &Way, address: IpAddr) -> Finding {
    let finding = |level, key| Finding::new(PART, level, key, address.to_string()).with("hello", &way.hello);
    let names = match dns.names(address).await {
        Err(_) => return finding(Level::Note, "reverse-unknown"),
        Ok(names) if names.is_empty() => return finding(Level::Fault, "reverse-absent"),
        Ok(names) => names,
    };
    let mut confirmed = Vec::new();
    for name in names.iter().take(NAMES_MAX) {
        if dns.addresses(name).await.contains(&address) {
            confirmed.push(name.as_str());
        }
    }
    let said = |finding: Finding, names: &[&str]| finding.with("names", names.join(", "));
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    if confirmed.is_empty() {
        said(finding(Level::Fault, "reverse-unconfirmed"), &all)
    } else if confirmed.iter().any(|name| name.eq_ignore_ascii_case(&way.hello)) {
        said(finding(Level::Fine, "reverse-fine"), &confirmed)
    } else {
        said(finding(Level::Warning, "reverse-other"), &confirmed)
    }
}

/// Names of one address that are looked up again; receivers stop there too.
const NAMES_MAX: usize = 10;
/// Networks for documentation (RFC 5737, RFC 3849): the way there is the way to anywhere.
const OUTSIDE_4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const OUTSIDE_6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_nobodys_name() {
        for (text, public) in [
            ("192.0.2.1", true),
            ("10.1.2.3", false),
            ("172.20.0.1", false),
            ("100.64.0.1", false),
            ("127.0.0.1", false),
            ("2001:db8::1", true),
            ("fd00::1", false),
            ("fe80::1", false),
            ("::1", false),
        ] {
            assert_eq!(is_public(text.parse().unwrap()), public, "{text}");
        }
    }
}
