//! Which site serves a domain: a route of the administrator, the smart host, or the domain's MX set.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;

use sm2tp_proto::{Domain, mta_sts};
use sm2tp_rules::LocalFailure;
use sm2tp_rules::sites::{SiteBook, SiteLimits};
use sm2tp_rules::tls::Sts;
use zeroize::Zeroizing;

use crate::dns::{Dns, MailHosts};
use crate::sts::Policies;
use crate::tls::TlsUse;

/// A server that a person named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextHop {
    /// A name or an address.
    pub host: String,
    pub port: u16,
    pub speaks: Speaks,
    pub login: Option<Credentials>,
}

/// What a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    Smtp,
    /// SMTP in TLS from the first octet (RFC 8314 §3.3).
    Smtps,
    /// RFC 2033.
    Lmtp,
}

/// Who we are to a server that a person named.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub user: String,
    pub password: Zeroizing<String>,
}

/// The hosts that serve a domain, best first, and how they are met. Two domains with the same hosts and the same
/// duties are one site: they share its connections and its limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    pub key: SiteKey,
    /// The same, whichever exit mail leaves by.
    pub base: SiteKey,
    /// The exit by which it is met; none where there is only one.
    pub exit: Option<Arc<str>>,
    pub hosts: Vec<MxHost>,
    pub port: u16,
    /// A smart host: it takes the mail on, and what becomes of it there is not known here.
    pub relays: bool,
    pub found: FoundBy,
    pub limits: SiteLimits,
}

/// One host of a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MxHost {
    pub name: String,
    /// The preference of its MX record; hosts of one rank take turns.
    pub rank: u16,
    /// What the MTA-STS policy of the domain says of it.
    pub sts: Sts,
}

/// How the names of the hosts were learned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoundBy {
    Dns,
    /// DNSSEC vouches for them.
    Dnssec,
    /// A person wrote them down.
    Person(Arc<NextHop>),
}

/// Name of a site: its hosts, port, and what TLS must be there. Without the last, a domain that enforces MTA-STS and
/// one with the same hosts that does not would meet the hosts as the first of them to come.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SiteKey(Arc<str>);

/// Finds the site of a domain.
pub struct Routes {
    pub smarthost: Option<Arc<NextHop>>,
    pub routes: HashMap<String, Arc<NextHop>>,
    /// Port of recipient servers found by DNS.
    pub port: u16,
    pub tls: TlsUse,
    pub dns: Dns,
    pub policies: Policies,
    pub own: Own,
    /// How fast each site is met.
    pub sites: SiteBook,
}

/// Where this node itself takes mail on the port of recipients' servers: mail for there would come back.
#[derive(Debug, Clone, Default)]
pub struct Own {
    pub names: Vec<String>,
    /// The addresses that it listens on at that port; an unspecified one stands for all of the machine.
    pub listens: Vec<IpAddr>,
}

impl Routes {
    /// The site that serves `domain` now.
    ///
    /// # Errors
    /// What the DNS says against it; never for domains with a route.
    pub async fn site(&self, domain: &Domain) -> Result<Site, LocalFailure> {
        let site = self.find(domain).await?;
        let limits = site.hosts.first().map_or_else(SiteLimits::default, |host| self.sites.limits(&host.name));
        Ok(Site { limits, ..site })
    }

    async fn find(&self, domain: &Domain) -> Result<Site, LocalFailure> {
        if let Some(route) = self.routes.get(domain.as_str()) {
            return Ok(Site::named(route));
        }
        if let Some(host) = &self.smarthost {
            return Ok(Site { relays: true, ..Site::named(host) });
        }
        let mut found = self.dns.mail_hosts(domain).await?;
        self.leave_out_own(&mut found).await?;
        let policy = if self.tls == TlsUse::Off { None } else { self.policies.of(domain, &self.dns).await };
        let hosts = found.hosts.into_iter().map(|(rank, name)| {
            let sts = policy.as_deref().map_or(Sts::Absent, |policy| applied(policy, &name));
            MxHost { name, rank, sts }
        });
        let by = if found.secure && self.tls != TlsUse::Off { FoundBy::Dnssec } else { FoundBy::Dns };
        Ok(Site::found(hosts.collect(), self.port, by))
    }

    /// RFC 5321 §5.1: where this node is one of the hosts, only those before it are tried.
    async fn leave_out_own(&self, found: &mut MailHosts) -> Result<(), LocalFailure> {
        if self.own.listens.is_empty() {
            return Ok(());
        }
        let mut best_own = None;
        for (rank, host) in &found.hosts {
            if self.own.names.iter().any(|name| name == host) || self.is_own_address(host).await {
                best_own = Some(*rank);
                break;
            }
        }
        if let Some(best_own) = best_own {
            found.hosts.retain(|(rank, _)| *rank < best_own);
        }
        if found.hosts.is_empty() { Err(LocalFailure::Loop) } else { Ok(()) }
    }

    async fn is_own_address(&self, host: &str) -> bool {
        let Ok(addresses) = self.dns.addresses(host).await else { return false };
        addresses.found.iter().any(|address| self.own.is(*address))
    }
}

impl Own {
    /// Whether mail for a domain must not be taken to this address. On the port of recipients' servers an address of the
    /// loopback network is no server of anybody but this machine: whoever publishes one would have mail of ours go to a mail
    /// server beside us, which trusts what comes from there (decision 0087). On another port the DNS is the administrator's.
    pub(crate) fn forbids(&self, address: IpAddr, port: u16) -> bool {
        let address = address.to_canonical();
        let is_here = match address {
            IpAddr::V4(v4) => v4.is_loopback() || v4.octets()[0] == 0,
            IpAddr::V6(v6) => v6.is_loopback() || v6.is_unspecified(),
        };
        is_here && port == SMTP_PORT || self.is(address)
    }

    fn is(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let all = |own: &IpAddr| own.is_unspecified() && (own.is_ipv6() || address.is_ipv4());
        self.listens.contains(&address) || (self.listens.iter().any(all) && is_local(address))
    }
}

/// Only an address of this machine can be sent from.
fn is_local(address: IpAddr) -> bool {
    UdpSocket::bind(SocketAddr::new(address, 0)).is_ok()
}

fn applied(policy: &mta_sts::Policy, host: &str) -> Sts {
    let covered = policy.covers(host);
    match policy.mode {
        mta_sts::Mode::Enforce => Sts::Enforce { covered },
        mta_sts::Mode::Testing => Sts::Testing { covered },
        mta_sts::Mode::None => Sts::Absent,
    }
}

impl Site {
    /// A site that a person named.
    #[must_use]
    pub fn named(hop: &Arc<NextHop>) -> Self {
        let host = MxHost { name: hop.host.clone(), rank: 0, sts: Sts::Absent };
        let site = Self::found(vec![host], hop.port, FoundBy::Person(hop.clone()));
        let user = hop.login.as_ref().map(|login| login.user.as_str()).unwrap_or_default();
        let key = match hop.speaks {
            Speaks::Smtp if hop.login.is_none() => return site,
            Speaks::Smtp => format!("{}+login={user}", site.key),
            Speaks::Smtps => format!("{}+smtps={user}", site.key),
            Speaks::Lmtp => format!("{}+lmtp={user}", site.key),
        };
        let key = SiteKey(key.into());
        Self { base: key.clone(), key, ..site }
    }

    /// The site as it is met from one of several exits, whichever it was met from before.
    #[must_use]
    pub fn leaving_by(&self, exit: &Arc<str>) -> Self {
        let key = SiteKey(format!("{}@{exit}", self.base).into());
        Self { key, exit: Some(exit.clone()), ..self.clone() }
    }

    /// The site as it is met with mail that need not be encrypted: what stops the others there does not stop this.
    #[must_use]
    pub fn tls_waived(&self) -> Self {
        Self { key: SiteKey(format!("{}+open", self.key).into()), ..self.clone() }
    }

    /// A site of hosts, best first.
    #[must_use]
    pub fn found(hosts: Vec<MxHost>, port: u16, found: FoundBy) -> Self {
        let mut key = String::new();
        let mut last = None;
        for host in &hosts {
            match last.replace(host.rank) {
                None => {}
                Some(rank) => key.push(if rank == host.rank { ',' } else { '>' }),
            }
            key.push_str(&host.name);
            key.push_str(match host.sts {
                Sts::Enforce { covered: false } => "!",
                _ => "",
            });
        }
        key.push_str(&format!(":{port}"));
        if hosts.iter().any(|host| matches!(host.sts, Sts::Enforce { .. })) {
            key.push_str("+sts");
        }
        if found == FoundBy::Dnssec {
            key.push_str("+dane");
        }
        let key = SiteKey(key.into());
        let (base, limits) = (key.clone(), SiteLimits::default());
        Self { key, base, exit: None, hosts, port, relays: false, found, limits }
    }
}

impl fmt::Display for SiteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Where servers of recipients listen (RFC 5321 §4.5.4.2).
const SMTP_PORT: u16 = 25;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::{IpUse, Trust};
    use crate::testing::Zone;
    use crate::tls::TlsClient;

    fn routes(zone: Zone, trust: Trust, own: Own) -> Routes {
        let tls = TlsClient::new(None).unwrap();
        Routes {
            smarthost: None,
            routes: HashMap::new(),
            port: 25,
            tls: TlsUse::Opportunistic,
            dns: zone.serve(trust, IpUse::V4First),
            policies: Policies::open(None, tls.certified, crate::reach::Reach::public_and(|_| true)),
            own,
            sites: SiteBook::shipped(),
        }
    }

    async fn site(routes: &Routes, domain: &str) -> Result<Site, LocalFailure> {
        routes.site(&Domain::parse(domain).unwrap()).await
    }

    fn hosts(site: &Site) -> Vec<&str> {
        site.hosts.iter().map(|host| host.name.as_str()).collect()
    }

    #[tokio::test]
    async fn of_hosts_that_are_ourselves_and_worse_ones_none_is_tried() {
        let zone = || {
            Zone::default()
                .mx("backup.test", 10, "mx.backup.test")
                .mx("backup.test", 20, "relay.example.org")
                .mx("backup.test", 20, "equal.backup.test")
                .mx("backup.test", 30, "worse.backup.test")
                .mx("ours.test", 10, "mx.ours.test")
                .mx("ours.test", 20, "other.ours.test")
                .ip("mx.ours.test", "127.0.0.1")
                .ip("mx.backup.test", "192.0.2.1")
        };
        let listening =
            |address: &str| Own { names: vec!["relay.example.org".into()], listens: vec![address.parse().unwrap()] };
        for address in ["127.0.0.1", "0.0.0.0", "::"] {
            let routes = routes(zone(), Trust::Nothing, listening(address));
            assert_eq!(hosts(&site(&routes, "backup.test").await.unwrap()), ["mx.backup.test"], "{address}");
            assert_eq!(site(&routes, "ours.test").await, Err(LocalFailure::Loop), "{address}");
        }
        // Another address of ours, or another port: another server's mail.
        let routes = routes(zone(), Trust::Nothing, listening("192.0.2.99"));
        assert_eq!(site(&routes, "ours.test").await.unwrap().hosts.len(), 2);
        let own = Own { names: vec!["relay.example.org".into()], listens: Vec::new() };
        let routes = self::routes(zone(), Trust::Nothing, own);
        assert_eq!(site(&routes, "backup.test").await.unwrap().hosts.len(), 4);
    }

    #[test]
    fn nobody_elses_server_is_in_the_loopback_network() {
        #[track_caller]
        fn check(address: &str, port: u16, want: bool) {
            assert_eq!(Own::default().forbids(address.parse().unwrap(), port), want, "{address}:{port}");
        }
        for address in ["127.0.0.1", "127.9.9.9", "0.0.0.0", "0.1.2.3", "::1", "::", "::ffff:127.0.0.1", "::ffff:0:0"] {
            check(address, 25, true);
            check(address, 2525, false);
        }
        for address in ["192.0.2.1", "10.0.0.1", "2001:db8::1", "::ffff:192.0.2.1"] {
            check(address, 25, false);
        }
        let own = Own { names: Vec::new(), listens: vec!["192.0.2.1".parse().unwrap()] };
        assert!(own.forbids("::ffff:192.0.2.1".parse().unwrap(), 25), "the same address in other words");
    }

    #[tokio::test]
    async fn domains_of_the_same_hosts_are_one_site_and_of_other_duties_another() {
        let zone = Zone::default()
            .mx("a.test", 10, "mx1.test")
            .mx("a.test", 10, "mx2.test")
            .mx("b.test", 5, "mx2.test")
            .mx("b.test", 5, "mx1.test")
            .mx("c.test", 5, "mx1.test")
            .mx("c.test", 7, "mx2.test")
            .mx("signed.test", 5, "mx1.test")
            .mx("signed.test", 5, "mx2.test")
            .secure(&["signed.test"]);
        let routes = routes(zone, Trust::Validates, Own::default());
        let key = async |domain: &str| site(&routes, domain).await.unwrap().key;
        assert_eq!(key("a.test").await, key("b.test").await);
        assert_ne!(key("a.test").await, key("c.test").await, "one host goes before the other");
        assert_eq!(key("signed.test").await.to_string(), "mx1.test,mx2.test:25+dane");
        let enforced = |covered| {
            let host = MxHost { name: "mx1.test".into(), rank: 5, sts: Sts::Enforce { covered } };
            let other = MxHost { name: "mx2.test".into(), rank: 5, sts: Sts::Enforce { covered: true } };
            Site::found(vec![host, other], 25, FoundBy::Dns).key.to_string()
        };
        assert_eq!(enforced(true), "mx1.test,mx2.test:25+sts");
        assert_eq!(enforced(false), "mx1.test!,mx2.test:25+sts");
    }

    #[test]
    fn servers_that_a_person_named_are_sites_of_their_own() {
        let hop = |speaks, login: Option<&str>| {
            let login = login.map(|user| Credentials { user: user.into(), password: String::new().into() });
            Site::named(&Arc::new(NextHop { host: "mx1.test".into(), port: 25, speaks, login })).key.to_string()
        };
        let keys =
            [hop(Speaks::Smtp, None), hop(Speaks::Smtp, Some("us")), hop(Speaks::Smtps, None), hop(Speaks::Lmtp, None)];
        assert_eq!(keys, ["mx1.test:25", "mx1.test:25+login=us", "mx1.test:25+smtps=", "mx1.test:25+lmtp="]);
    }
}
