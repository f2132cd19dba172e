//! What the DNS says about a domain and its hosts, with the failures told apart (RFC 5321 §5, RFC 7505).
//!
//! DNSSEC is not validated here: a validating resolver on this machine does that, and its AD bit is believed only where
//! the administrator says that it is one (RFC 7672 §2.1.1).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hickory_resolver::caching_client::CachingClient;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{NetError, RetryDnsHandle};
use hickory_resolver::proto::op::{DnsRequestOptions, Query};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::{NameServerPool, PoolContext, Resolver, TlsConfig, TokioResolver};
use sm2tp_proto::Domain;
use sm2tp_rules::LocalFailure;

use crate::dane::Tlsa;

/// The resolver of the relay. It caches by the records' time to live; clones share the cache.
#[derive(Clone)]
pub struct Dns {
    resolver: TokioResolver,
    /// Asks the validating resolver for signed answers; none where there is no such resolver.
    signed: Option<Signed>,
    pub ip: IpUse,
}

type Signed = CachingClient<RetryDnsHandle<NameServerPool<TokioRuntimeProvider>>>;

/// Which addresses of a host are used, and in which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IpUse {
    /// Many small senders have no reverse DNS for IPv6, and the big receivers refuse IPv6 without it.
    #[default]
    V4First,
    V6First,
    V4Only,
    V6Only,
}

/// The resolvers to ask.
#[derive(Debug, Clone, Default)]
pub struct Resolvers {
    /// Empty: those of the system.
    pub servers: Vec<SocketAddr>,
    pub trust: Trust,
    pub ip: IpUse,
}

/// What an AD bit of the resolver is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Trust {
    #[default]
    Nothing,
    /// It validates, and nobody sits between it and us.
    Validates,
}

/// The hosts of a domain, best first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailHosts {
    /// Preference and name.
    pub hosts: Vec<(u16, String)>,
    /// DNSSEC vouches for them.
    pub secure: bool,
}

/// The addresses of a host, in the order in which they are tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    pub found: Vec<IpAddr>,
    pub secure: bool,
    /// Where aliases led, if the host is one: RFC 5321 §5.1 forbids it, and it happens.
    pub alias_of: Option<String>,
}

struct Found {
    records: Vec<Record>,
    secure: bool,
}

/// Why there are no records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// NXDOMAIN.
    Name,
    /// The name is there, with other records.
    Records,
    /// SERVFAIL, a forged answer, or nobody answered.
    Failure,
}

impl Dns {
    /// # Errors
    /// Where the system's configuration cannot be read.
    pub fn new(resolvers: &Resolvers) -> Result<Self, NetError> {
        let servers: Vec<_> = resolvers.servers.iter().map(name_server).collect();
        let mut builder = if servers.is_empty() {
            TokioResolver::builder_tokio()?
        } else {
            let config = ResolverConfig::from_parts(None, Vec::new(), servers.clone());
            Resolver::builder_with_config(config, TokioRuntimeProvider::default())
        };
        builder.options_mut().edns0 = true;
        builder.options_mut().cache_size = CACHED_ANSWERS_MAX;
        let resolver = builder.build()?;
        let signed = match resolvers.trust {
            Trust::Nothing => None,
            Trust::Validates => {
                let options = resolver.options().clone();
                let attempts = options.attempts;
                let context = Arc::new(PoolContext::new(options, TlsConfig::new()?));
                let pool = NameServerPool::from_config(servers, context, TokioRuntimeProvider::default());
                Some(CachingClient::new(CACHED_ANSWERS_MAX, RetryDnsHandle::new(pool, attempts), true))
            }
        };
        Ok(Self { resolver, signed, ip: resolvers.ip })
    }

    /// For a library that wants to hold one.
    #[must_use]
    pub fn resolver(&self) -> TokioResolver {
        self.resolver.clone()
    }

    /// Whether there can be secure answers at all.
    #[must_use]
    pub fn validates(&self) -> bool {
        self.signed.is_some()
    }

    /// The hosts of a domain. A domain without MX is its own host (RFC 5321 §5.1).
    ///
    /// # Errors
    /// [`LocalFailure::NoSuchDomain`] and [`LocalFailure::NullMx`] are final, [`LocalFailure::DnsFailure`] is not.
    pub async fn mail_hosts(&self, domain: &Domain) -> Result<MailHosts, LocalFailure> {
        // As the DNS has it: the name of a host is asked for in handshakes, too.
        let domain = domain.to_ascii().ok_or(LocalFailure::NoSuchDomain)?;
        let name = absolute(domain.as_str()).ok_or(LocalFailure::NoSuchDomain)?;
        // Without MX the host is the domain itself: whoever signs its addresses signs that there is no MX, too.
        let implicit = || MailHosts { hosts: vec![(0, domain.to_string())], secure: self.validates() };
        let found = match self.look_up(name, RecordType::MX).await {
            Ok(found) => found,
            Err(Missing::Name) => return Err(LocalFailure::NoSuchDomain),
            Err(Missing::Records) => return Ok(implicit()),
            Err(Missing::Failure) => return Err(LocalFailure::DnsFailure),
        };
        let mut hosts: Vec<(u16, String)> = found
            .records
            .iter()
            .filter_map(|record| match &record.data {
                RData::MX(mx) => Some((mx.preference, mx.exchange.to_ascii().to_ascii_lowercase())),
                _ => None,
            })
            .collect();
        // RFC 7505 §3: a domain that takes no mail has no other MX. One that has both errs in one of them, and to try what
        // may be a server does less harm than to call its addresses dead.
        let named = hosts.len();
        hosts.retain(|(_, host)| host != ".");
        if hosts.is_empty() && 0 < named {
            return Err(LocalFailure::NullMx);
        }
        hosts.iter_mut().for_each(|(_, host)| host.truncate(host.trim_end_matches('.').len()));
        hosts.sort();
        hosts.dedup();
        hosts.truncate(HOSTS_MAX);
        if hosts.is_empty() {
            return Ok(implicit());
        }
        Ok(MailHosts { hosts, secure: found.secure })
    }

    /// The addresses of a host.
    ///
    /// # Errors
    /// [`LocalFailure::NoMailHost`] where there is none, [`LocalFailure::DnsFailure`] where nobody answers.
    pub async fn addresses(&self, host: &str) -> Result<Addresses, LocalFailure> {
        if let Ok(address) = host.trim_start_matches('[').trim_end_matches(']').parse() {
            return Ok(Addresses { found: vec![address], secure: false, alias_of: None });
        }
        // A name that no host has says nothing about the domain, which may have other hosts.
        let name = absolute(host).ok_or(LocalFailure::NoMailHost)?;
        let asks = |family| self.ip.uses(family);
        let look_up = async |family, wanted: bool| match wanted {
            true => self.look_up(name.clone(), family).await,
            false => Err(Missing::Records),
        };
        let (v4, v6) = tokio::join!(
            look_up(RecordType::A, asks(RecordType::A)),
            look_up(RecordType::AAAA, asks(RecordType::AAAA))
        );
        let failed = [&v4, &v6].into_iter().any(|found| matches!(found, Err(Missing::Failure)));
        let answers: Vec<Found> = [v4, v6].into_iter().filter_map(Result::ok).collect();
        let mut found: Vec<IpAddr> = answers.iter().flat_map(|answer| answer.records.iter()).filter_map(ip).collect();
        found.sort_by_key(|address| address.is_ipv6() == (self.ip != IpUse::V6First));
        found.truncate(ADDRESSES_MAX);
        if found.is_empty() {
            return Err(if failed { LocalFailure::DnsFailure } else { LocalFailure::NoMailHost });
        }
        let secure = !failed && answers.iter().all(|answer| answer.secure);
        Ok(Addresses { found, secure, alias_of: answers.iter().find_map(|answer| target(&answer.records)) })
    }

    /// The TLSA records of a port of a host that DNSSEC vouches for; empty where there are none.
    ///
    /// # Errors
    /// [`Missing::Failure`]: whether there are any is not known.
    pub async fn tlsa(&self, host: &str, port: u16) -> Result<Vec<Tlsa>, Missing> {
        let name = absolute(&format!("_{port}._tcp.{host}")).ok_or(Missing::Name)?;
        match self.look_up(name, RecordType::TLSA).await {
            Ok(found) if found.secure => Ok(found.records.iter().filter_map(tlsa).take(TLSA_MAX).collect()),
            Ok(_) | Err(Missing::Name | Missing::Records) => Ok(Vec::new()),
            Err(Missing::Failure) => Err(Missing::Failure),
        }
    }

    /// The TXT records of a name, each as one text.
    ///
    /// # Errors
    /// [`Missing`]; a name without TXT records has none, which is no error.
    pub async fn texts(&self, name: &str) -> Result<Vec<String>, Missing> {
        let name = absolute(name).ok_or(Missing::Name)?;
        match self.look_up(name, RecordType::TXT).await {
            Ok(found) => Ok(found.records.iter().filter_map(text).take(TEXTS_MAX).collect()),
            Err(Missing::Failure) => Err(Missing::Failure),
            Err(Missing::Name | Missing::Records) => Ok(Vec::new()),
        }
    }

    /// The names that the reverse DNS gives an address.
    ///
    /// # Errors
    /// [`Missing`] where there are none, or nobody answers.
    pub async fn names(&self, address: IpAddr) -> Result<Vec<String>, Missing> {
        let found = self.look_up(Name::from(address), RecordType::PTR).await?;
        let names = found.records.iter().filter_map(|record| match &record.data {
            RData::PTR(name) => Some(name.0.to_ascii().trim_end_matches('.').to_ascii_lowercase()),
            _ => None,
        });
        Ok(names.take(HOSTS_MAX).collect())
    }

    /// The answer to one question, aliases followed.
    async fn look_up(&self, name: Name, kind: RecordType) -> Result<Found, Missing> {
        let answer = match &self.signed {
            None => self.resolver.lookup(name, kind).await,
            Some(signed) => {
                let mut options = DnsRequestOptions::default();
                options.edns_set_dnssec_ok = true;
                signed.lookup(Query::query(name, kind), options).await
            }
        };
        match answer {
            Ok(lookup) => {
                let secure = self.signed.is_some() && lookup.message().metadata.authentic_data;
                Ok(Found { records: lookup.answers().to_vec(), secure })
            }
            Err(error) if error.is_nx_domain() => Err(Missing::Name),
            Err(error) if error.is_no_records_found() => Err(Missing::Records),
            Err(_) => Err(Missing::Failure),
        }
    }
}

impl IpUse {
    fn uses(self, family: RecordType) -> bool {
        match self {
            Self::V4First | Self::V6First => true,
            Self::V4Only => family == RecordType::A,
            Self::V6Only => family == RecordType::AAAA,
        }
    }
}

fn ip(record: &Record) -> Option<IpAddr> {
    match &record.data {
        RData::A(address) => Some(address.0.into()),
        RData::AAAA(address) => Some(address.0.into()),
        _ => None,
    }
}

/// The name at the end of a chain of aliases.
fn target(records: &[Record]) -> Option<String> {
    let alias = records.iter().any(|record| matches!(record.data, RData::CNAME(_)));
    let end = records.iter().find(|record| ip(record).is_some())?;
    alias.then(|| end.name.to_ascii().trim_end_matches('.').to_ascii_lowercase())
}

fn tlsa(record: &Record) -> Option<Tlsa> {
    let RData::TLSA(tlsa) = &record.data else { return None };
    Some(Tlsa {
        usage: tlsa.cert_usage.into(),
        selector: tlsa.selector.into(),
        matching: tlsa.matching.into(),
        data: tlsa.cert_data.clone(),
    })
}

fn text(record: &Record) -> Option<String> {
    let RData::TXT(text) = &record.data else { return None };
    String::from_utf8(text.txt_data.concat()).ok()
}

fn name_server(server: &SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = server.port();
        connection
    });
    NameServerConfig::new(server.ip(), true, connections.into())
}

/// A name with its final dot: the search list of the machine has no say about where mail goes. Only what needs it goes
/// through IDNA, which refuses underscores: mail domains and mail hosts with one exist and resolve.
fn absolute(name: &str) -> Option<Name> {
    let name = if name.is_ascii() { Name::from_ascii(name) } else { Name::from_utf8(name) };
    let mut name = name.ok()?;
    name.set_fqdn(true);
    Some(name)
}

/// RFC 5321 §5.1 lets a client bound the number of hosts that it tries.
const HOSTS_MAX: usize = 10;
const ADDRESSES_MAX: usize = 10;
/// A host that changes its keys has two sets; more would be compared with each certificate.
const TLSA_MAX: usize = 32;
const TEXTS_MAX: usize = 20;
/// Answers of the resolver that are remembered; each is some hundred octets.
const CACHED_ANSWERS_MAX: u64 = 50_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Zone;

    fn domain(text: &str) -> Domain {
        Domain::parse(text).unwrap()
    }

    #[track_caller]
    fn names(found: Result<MailHosts, LocalFailure>) -> Result<Vec<String>, LocalFailure> {
        found.map(|found| found.hosts.into_iter().map(|(rank, name)| format!("{rank} {name}")).collect())
    }

    #[tokio::test]
    async fn mail_hosts_come_in_order_and_failures_are_told_apart() {
        let mut zone = Zone::default()
            .mx("many.test", 20, "b.many.test")
            .mx("many.test", 10, "C.Many.test")
            .mx("many.test", 10, "a.many.test")
            .mx("many.test", 10, "a.many.test")
            .mx("null.test", 0, ".")
            .mx("both.test", 0, ".")
            .mx("both.test", 10, "mx.both.test")
            .ip("implicit.test", "192.0.2.1")
            .alias("alias.test", "middle.test")
            .alias("middle.test", "many.test")
            .alias("round.test", "about.test")
            .alias("about.test", "round.test")
            .alias("dangling.test", "gone.test")
            .failing("broken.test");
        for n in 0..30 {
            zone = zone.mx("thirty.test", n, &format!("mx{n}.thirty.test"));
        }
        let dns = zone.serve(Trust::Nothing, IpUse::V4First);
        let hosts = async |name: &str| names(dns.mail_hosts(&domain(name)).await);
        let many = vec!["10 a.many.test".to_owned(), "10 c.many.test".to_owned(), "20 b.many.test".to_owned()];
        assert_eq!(hosts("many.test").await, Ok(many.clone()));
        assert_eq!(hosts("alias.test").await, Ok(many), "the domain may be an alias");
        assert_eq!(hosts("implicit.test").await, Ok(vec!["0 implicit.test".to_owned()]));
        assert_eq!(hosts("null.test").await, Err(LocalFailure::NullMx));
        assert_eq!(hosts("both.test").await, Ok(vec!["10 mx.both.test".to_owned()]), "a null MX has to be alone");
        assert_eq!(hosts("nothing.test").await, Err(LocalFailure::NoSuchDomain));
        assert_eq!(hosts("dangling.test").await, Err(LocalFailure::NoSuchDomain));
        assert_eq!(hosts("broken.test").await, Err(LocalFailure::DnsFailure));
        assert_eq!(hosts("thirty.test").await.map(|hosts| hosts.len()), Ok(HOSTS_MAX));
        let round = hosts("round.test").await;
        assert!(
            !matches!(round, Err(LocalFailure::NoSuchDomain)),
            "aliases in a ring are a mistake that may pass: {round:?}"
        );
    }

    #[tokio::test]
    async fn names_with_an_underscore_and_names_beyond_ascii_are_found_and_no_bad_name_condemns_a_domain() {
        let dns = Zone::default()
            .mx("my_shop.test", 10, "mail_1.shop.test")
            .ip("mail_1.shop.test", "192.0.2.1")
            .ip("xn--mnchen-3ya.test", "192.0.2.2")
            .ip("xn--mnchen_a-65a.test", "192.0.2.3")
            .serve(Trust::Nothing, IpUse::V4First);
        for (name, host) in [
            ("my_shop.test", "10 mail_1.shop.test"),
            ("münchen.test", "0 xn--mnchen-3ya.test"),
            ("münchen_a.test", "0 xn--mnchen_a-65a.test"),
        ] {
            assert_eq!(names(dns.mail_hosts(&domain(name)).await), Ok(vec![host.to_owned()]), "{name}");
            let (_, host) = host.split_once(' ').unwrap();
            assert_eq!(dns.addresses(host).await.map(|addresses| addresses.found.len()), Ok(1), "{name}");
        }
        let too_long = format!("{}.test", "a".repeat(64));
        for bad in ["a b.test", "a..test", &too_long] {
            assert_eq!(dns.addresses(bad).await, Err(LocalFailure::NoMailHost), "{bad}");
        }
    }

    #[tokio::test]
    async fn addresses_come_in_the_order_that_was_asked_for() {
        let zone = || {
            Zone::default()
                .ip("both.test", "2001:db8::1")
                .ip("both.test", "192.0.2.1")
                .ip("six.test", "2001:db8::2")
                .alias("alias.test", "both.test")
                .mx("none.test", 10, "both.test")
                .failing("broken.test")
        };
        for (ip, want) in [
            (IpUse::V4First, &["192.0.2.1", "2001:db8::1"][..]),
            (IpUse::V6First, &["2001:db8::1", "192.0.2.1"]),
            (IpUse::V4Only, &["192.0.2.1"]),
            (IpUse::V6Only, &["2001:db8::1"]),
        ] {
            let dns = zone().serve(Trust::Nothing, ip);
            let found = dns.addresses("both.test").await.unwrap();
            let want: Vec<IpAddr> = want.iter().map(|address| address.parse().unwrap()).collect();
            assert_eq!((found.found, found.secure, found.alias_of), (want.clone(), false, None), "{ip:?}");
            let alias = dns.addresses("alias.test").await.unwrap();
            assert_eq!(alias.found, want, "an MX that is an alias is followed");
            assert_eq!(dns.addresses("none.test").await, Err(LocalFailure::NoMailHost));
            assert_eq!(dns.addresses("gone.test").await, Err(LocalFailure::NoMailHost));
            assert_eq!(dns.addresses("broken.test").await, Err(LocalFailure::DnsFailure));
            assert_eq!(dns.addresses("six.test").await.is_ok(), ip != IpUse::V4Only);
        }
        let literal = zone().serve(Trust::Nothing, IpUse::V4First).addresses("192.0.2.7").await.unwrap();
        assert_eq!(literal.found, ["192.0.2.7".parse::<IpAddr>().unwrap()]);
    }

    #[tokio::test]
    async fn only_a_resolver_that_is_trusted_makes_an_answer_secure() {
        let record = Tlsa { usage: 3, selector: 1, matching: 1, data: vec![7; 32] };
        let zone = || {
            Zone::default()
                .mx("a.test", 10, "mx.a.test")
                .ip("mx.a.test", "192.0.2.1")
                .alias("alias.a.test", "mx.a.test")
                .tlsa("_25._tcp.mx.a.test", &record)
                .tlsa("_25._tcp.open.test", &record)
                .failing("_25._tcp.broken.test")
                .secure(&["a.test", "mx.a.test", "alias.a.test", "_25._tcp.mx.a.test"])
        };
        for (trust, secure) in [(Trust::Validates, true), (Trust::Nothing, false)] {
            let dns = zone().serve(trust, IpUse::V4First);
            // The second answer comes from the cache.
            for _ in 0..2 {
                assert_eq!(dns.mail_hosts(&domain("a.test")).await.unwrap().secure, secure);
                assert_eq!(dns.addresses("mx.a.test").await.unwrap().secure, secure);
                let found = dns.tlsa("mx.a.test", 25).await.unwrap();
                assert_eq!(found, if secure { vec![record.clone()] } else { Vec::new() });
            }
            assert_eq!(dns.tlsa("open.test", 25).await, Ok(Vec::new()), "not signed");
            assert_eq!(dns.tlsa("gone.test", 25).await, Ok(Vec::new()));
            assert_eq!(dns.tlsa("broken.test", 25).await, Err(Missing::Failure));
        }
        let alias = zone().serve(Trust::Validates, IpUse::V4First).addresses("alias.a.test").await.unwrap();
        assert_eq!((alias.secure, alias.alias_of.as_deref()), (true, Some("mx.a.test")));
    }
}
