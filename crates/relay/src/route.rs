//! Which site serves a domain: a route of the administrator, the smart host, or the domain's MX set.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use sm2tp_proto::Domain;
use sm2tp_rules::LocalFailure;

use crate::dns::Dns;

/// A host and port that a person named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// A name or an address.
    pub host: String,
    pub port: u16,
}

/// The hosts that serve a domain, best first, and how they are met. Two domains with the same hosts are one site: they
/// share its connections and its limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    pub key: SiteKey,
    pub hosts: Vec<String>,
    pub port: u16,
    /// A smart host: it takes the mail on, and what becomes of it there is not known here.
    pub relays: bool,
}

/// Name of a site: its hosts and port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SiteKey(Arc<str>);

/// Finds the site of a domain.
pub struct Routes {
    pub smarthost: Option<HostPort>,
    pub routes: HashMap<String, HostPort>,
    /// Port of recipient servers found by DNS.
    pub port: u16,
    pub dns: Dns,
}

impl Routes {
    /// The site that serves `domain` now.
    ///
    /// # Errors
    /// What the DNS says against it; never for domains with a route.
    pub async fn site(&self, domain: &Domain) -> Result<Site, LocalFailure> {
        if let Some(route) = self.routes.get(domain.as_str()) {
            return Ok(Site::new(vec![route.host.clone()], route.port));
        }
        if let Some(host) = &self.smarthost {
            return Ok(Site { relays: true, ..Site::new(vec![host.host.clone()], host.port) });
        }
        Ok(Site::new(self.dns.mail_hosts(domain).await?, self.port))
    }
}

impl Site {
    #[must_use]
    pub fn new(hosts: Vec<String>, port: u16) -> Self {
        Self { key: SiteKey(format!("{}:{port}", hosts.join(",")).into()), hosts, port, relays: false }
    }
}

impl fmt::Display for SiteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
