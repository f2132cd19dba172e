//! Where a domain may lead the relay over HTTP: its owner chooses the name of the web server and what that name means, so
//! nothing behind this machine is asked unless the administrator says so.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, redirect};
use rustls::ClientConfig;
use sm2tp_rules::public::is_public;

/// Which web servers are asked; clones share it.
#[derive(Clone)]
pub struct Reach(Arc<dyn Fn(IpAddr) -> bool + Send + Sync>);

impl Reach {
    /// Those of the public Internet, and those that were `named`.
    pub fn public_and(named: impl Fn(IpAddr) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(named))
    }

    #[must_use]
    pub fn allows(&self, address: IpAddr) -> bool {
        is_public(address) || (self.0)(address)
    }

    /// What asks `host` at those of the addresses `found` that may be asked; none where none may. It connects to them, and not
    /// to what the name means a moment later, and goes nowhere else from there.
    ///
    /// # Errors
    /// [`reqwest::Error`] where TLS cannot be set up.
    pub(crate) fn client(
        &self,
        (host, port): (&str, u16),
        found: &[IpAddr],
        tls: &ClientConfig,
        timeout: Duration,
    ) -> Result<Option<Client>, reqwest::Error> {
        let addresses = self.of(found, port);
        if addresses.is_empty() {
            return Ok(None);
        }
        let client = Client::builder()
            .tls_backend_preconfigured(tls.clone())
            .resolve_to_addrs(host, &addresses)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .timeout(timeout);
        client.build().map(Some)
    }

    /// Those that may be asked, with this port.
    fn of(&self, found: &[IpAddr], port: u16) -> Vec<SocketAddr> {
        let allowed = found.iter().filter(|address| self.allows(**address));
        allowed.map(|address| SocketAddr::new(*address, port)).collect()
    }
}

impl fmt::Debug for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reach(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_name_that_leads_everywhere_the_public_addresses_are_left_and_what_was_named() {
        let found = ["192.0.2.1", "9.9.9.9", "10.0.0.1", "10.0.0.2", "::1", "2002:7f00:1::1", "2a01:e0a::1"];
        let found: Vec<IpAddr> = found.iter().map(|address| address.parse().unwrap()).collect();
        let reach = Reach::public_and(|address| address == IpAddr::from([10, 0, 0, 2]));
        let left = reach.of(&found, 443).iter().map(SocketAddr::to_string).collect::<Vec<_>>();
        assert_eq!(left, ["9.9.9.9:443", "10.0.0.2:443", "[2a01:e0a::1]:443"]);
    }
}
