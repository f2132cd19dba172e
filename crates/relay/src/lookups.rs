//! Questions to the DNS for who only looks, such as `sm2tp doctor`.

use std::net::IpAddr;
use std::path::Path;

use sm2tp_proto::Domain;
use sm2tp_proto::mta_sts::{FetchFailure, Policy};
use sm2tp_rules::LocalFailure;
use thiserror::Error;

use crate::dns::{Dns, Missing, Resolvers};
use crate::reach::Reach;
use crate::sts::Policies;
use crate::tls;

/// Why something cannot be looked up.
#[derive(Debug, Error)]
pub enum LookUpError {
    #[error("the resolver cannot be set up: {0}")]
    Resolver(String),
    #[error("the DNS does not answer")]
    NoAnswer,
}

/// A resolver; clones share what it remembers.
#[derive(Clone)]
pub struct Lookups(Dns);

impl Lookups {
    /// # Errors
    /// [`LookUpError::Resolver`] where the resolver cannot be set up.
    pub fn new(resolvers: &Resolvers) -> Result<Self, LookUpError> {
        Dns::new(resolvers).map(Self).map_err(|error| LookUpError::Resolver(error.to_string()))
    }

    /// The TXT records under a name, each with its strings put together; empty where there are none.
    ///
    /// # Errors
    /// [`LookUpError::NoAnswer`] where nobody answers for the name.
    pub async fn texts(&self, name: &str) -> Result<Vec<String>, LookUpError> {
        match self.0.texts(name).await {
            Ok(texts) => Ok(texts),
            Err(Missing::Name | Missing::Records) => Ok(Vec::new()),
            Err(Missing::Failure) => Err(LookUpError::NoAnswer),
        }
    }

    /// The addresses of a host; empty where there are none, or nobody answers.
    pub async fn addresses(&self, host: &str) -> Vec<IpAddr> {
        self.0.addresses(host).await.map_or_else(|_| Vec::new(), |found| found.found)
    }

    /// The hosts that take mail for a domain, best first.
    ///
    /// # Errors
    /// Why it takes none: it does not exist, says so, or nobody answers.
    pub async fn mail_hosts(&self, domain: &str) -> Result<Vec<String>, LocalFailure> {
        let domain = Domain::parse(domain).map_err(|_| LocalFailure::NoSuchDomain)?;
        Ok(self.0.mail_hosts(&domain).await?.hosts.into_iter().map(|(_, host)| host).collect())
    }

    /// The MTA-STS policy of a domain as its web server gives it now, at an address within `reach`. The authorities of
    /// the system are trusted, and those in the file `roots`.
    ///
    /// # Errors
    /// [`FetchFailure`]: who sends to the domain has none.
    pub async fn policy(&self, domain: &str, roots: Option<&Path>, reach: Reach) -> Result<Policy, FetchFailure> {
        let tls = tls::trusting(roots).map_err(|error| FetchFailure::Tls(error.to_string()))?;
        Policies::open(None, tls, reach).fetch(domain, &self.0).await
    }

    /// The names that the reverse DNS gives an address; empty where there are none.
    ///
    /// # Errors
    /// [`LookUpError::NoAnswer`] where nobody answers.
    pub async fn names(&self, address: IpAddr) -> Result<Vec<String>, LookUpError> {
        match self.0.names(address).await {
            Ok(names) => Ok(names),
            Err(Missing::Name | Missing::Records) => Ok(Vec::new()),
            Err(Missing::Failure) => Err(LookUpError::NoAnswer),
        }
    }
}
