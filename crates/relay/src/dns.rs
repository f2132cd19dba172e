//! Where the mail of a domain goes: MX records and addresses, with the failures told apart (RFC 5321 §5, RFC 7505).

use std::net::{IpAddr, SocketAddr};

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RData};
use hickory_resolver::{Resolver, TokioResolver};
use sm2tp_proto::Domain;
use sm2tp_rules::LocalFailure;

/// The resolver of the relay. It caches by the records' time to live; clones share the cache.
#[derive(Clone)]
pub struct Dns(TokioResolver);

impl Dns {
    /// The system's resolver, or the given servers instead.
    ///
    /// # Errors
    /// Where the system's configuration cannot be read.
    pub fn new(servers: &[SocketAddr]) -> Result<Self, NetError> {
        let mut builder = if servers.is_empty() {
            TokioResolver::builder_tokio()?
        } else {
            let config = ResolverConfig::from_parts(None, Vec::new(), servers.iter().map(name_server).collect());
            Resolver::builder_with_config(config, TokioRuntimeProvider::default())
        };
        builder.options_mut().edns0 = true;
        builder.options_mut().cache_size = CACHED_ANSWERS_MAX;
        Ok(Self(builder.build()?))
    }

    /// The hosts of a domain, best first. A domain without MX is its own host (RFC 5321 §5.1).
    ///
    /// # Errors
    /// [`LocalFailure::NoSuchDomain`] and [`LocalFailure::NullMx`] are final, [`LocalFailure::DnsFailure`] is not.
    pub async fn mail_hosts(&self, domain: &Domain) -> Result<Vec<String>, LocalFailure> {
        let name = absolute(domain.as_str())?;
        let lookup = match self.0.mx_lookup(name).await {
            Ok(lookup) => lookup,
            Err(error) if error.is_nx_domain() => return Err(LocalFailure::NoSuchDomain),
            Err(error) if error.is_no_records_found() => return Ok(vec![domain.to_string()]),
            Err(_) => return Err(LocalFailure::DnsFailure),
        };
        let mut hosts: Vec<(u16, String)> = lookup
            .answers()
            .iter()
            .filter_map(|record| match &record.data {
                RData::MX(mx) => Some((mx.preference, mx.exchange.to_ascii().to_ascii_lowercase())),
                _ => None,
            })
            .collect();
        hosts.sort();
        hosts.truncate(HOSTS_MAX);
        if hosts.iter().any(|(_, host)| host == ".") {
            return Err(LocalFailure::NullMx);
        }
        if hosts.is_empty() {
            return Ok(vec![domain.to_string()]);
        }
        Ok(hosts.into_iter().map(|(_, host)| host.trim_end_matches('.').to_owned()).collect())
    }

    /// The addresses of a host, IPv4 first: many small senders have no reverse DNS for IPv6, and the big receivers
    /// refuse IPv6 without it.
    ///
    /// # Errors
    /// [`LocalFailure::NoMailHost`] where there is none, [`LocalFailure::DnsFailure`] where nobody answers.
    pub async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, LocalFailure> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        match self.0.lookup_ip(absolute(host)?).await {
            Ok(lookup) => {
                let mut found: Vec<IpAddr> = lookup.iter().collect();
                found.sort_by_key(IpAddr::is_ipv6);
                found.truncate(ADDRESSES_MAX);
                if found.is_empty() { Err(LocalFailure::NoMailHost) } else { Ok(found) }
            }
            Err(error) if error.is_no_records_found() => Err(LocalFailure::NoMailHost),
            Err(_) => Err(LocalFailure::DnsFailure),
        }
    }
}

fn name_server(server: &SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = server.port();
        connection
    });
    NameServerConfig::new(server.ip(), true, connections.into())
}

/// A name with its final dot: the search list of the machine has no say about where mail goes.
fn absolute(name: &str) -> Result<Name, LocalFailure> {
    let mut name = Name::from_utf8(name).map_err(|_| LocalFailure::NoSuchDomain)?;
    name.set_fqdn(true);
    Ok(name)
}

/// RFC 5321 §5.1 lets a client bound the number of hosts that it tries.
const HOSTS_MAX: usize = 10;
const ADDRESSES_MAX: usize = 10;
/// Answers of the resolver that are remembered; each is some hundred octets.
const CACHED_ANSWERS_MAX: u64 = 50_000;
