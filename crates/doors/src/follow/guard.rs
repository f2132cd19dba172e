//! Which addresses other nodes may have: none behind this machine, unless the administrator says so. Whoever names a server
//! must not make this node ask the printer, the router or the metadata of a cloud.

use std::io;
use std::net::{IpAddr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use sm2tp_rules::public::is_public;
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn what_the_administrator_named_is_allowed() {
        let guard = Guard::new(Arc::new(|ip| ip == IpAddr::from([10, 0, 0, 1])));
        assert!(guard.allows([10, 0, 0, 1].into()) && !guard.allows([10, 0, 0, 2].into()));
        assert!(!Guard::new(Arc::new(|_| false)).allows([10, 0, 0, 1].into()));
    }
}
