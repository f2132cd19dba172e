//! Opens connections to the hosts of a site, best first: which of their addresses, from which exit, with how much TLS.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sm2tp_proto::Domain;
use sm2tp_proto::smtp::client::{Login, Passwords};
use sm2tp_rules::LocalFailure;
use sm2tp_rules::tls::{Asked, Configured, Dane, Decision, Facts, Level, Origin, Sts, Why, decide};
use tokio::time::Instant;

use crate::connection::{Connection, Patience, Target, Trouble};
use crate::dane::Tlsa;
use crate::dns::{Addresses, Dns};
use crate::exits::{Exit, Exits, Source};
use crate::route::{FoundBy, MxHost, NextHop, Own, Site, Speaks};
use crate::sts::Policies;
use crate::tally::{Failure, Kind, Policy};
use crate::tls::{TlsClient, TlsTrouble, TlsUse};
use crate::tls_report::Counting;
use crate::{now, random};

/// What all connections are opened with.
pub(crate) struct Opener {
    pub dns: Dns,
    pub tls: TlsClient,
    pub tls_use: TlsUse,
    pub patience: Patience,
    pub exits: Exits,
    pub broken: Broken,
    pub policies: Policies,
    pub counting: Counting,
    pub own: Own,
}

/// For whom a connection is opened.
#[derive(Clone, Copy)]
pub(crate) struct Wish<'a> {
    pub domain: &'a Domain,
    pub asked: Asked,
    /// The exits that may be used, best first.
    pub exits: &'a [&'a Exit],
}

/// Hosts whose handshake failed and that took mail in clear: for a while nobody tries again with each mail.
#[derive(Default)]
pub(crate) struct Broken(Mutex<HashMap<String, u64>>);

/// A host, as its addresses and keys are known now.
struct Host<'a> {
    mx: &'a MxHost,
    addresses: Addresses,
    dane: Dane,
    records: Vec<Tlsa>,
    /// The name under which the records stand, and which the handshake asks for.
    tls_name: String,
}

/// The addresses of a site that were tried for one connection.
struct Tries {
    count: usize,
    began: Instant,
}

impl Opener {
    /// Tries the hosts of the site. The connection knows the exit that it left through.
    ///
    /// # Errors
    /// The trouble that tells a person most.
    pub(crate) async fn open(&self, site: &Site, wish: Wish<'_>) -> Result<(Connection, Arc<str>), Trouble> {
        let mut worst: Option<Trouble> = None;
        let mut tries = Tries { count: 0, began: Instant::now() };
        for mx in in_order(&site.hosts) {
            if tries.are_enough() {
                break;
            }
            let host = match self.look_up(site, mx).await {
                Ok(host) => host,
                Err(failure) => {
                    worst = Some(worse(worst, Trouble::Local { failure, host: mx.name.clone() }));
                    continue;
                }
            };
            match self.open_host(site, &host, wish, &mut tries).await {
                Ok(opened) => return Ok(opened),
                Err(trouble) => worst = Some(worse(worst, trouble)),
            }
        }
        let host = site.hosts.first().map(|host| host.name.clone()).unwrap_or_default();
        Err(worst.unwrap_or(Trouble::Local { failure: LocalFailure::NoMailHost, host }))
    }

    async fn look_up<'a>(&self, site: &Site, mx: &'a MxHost) -> Result<Host<'a>, LocalFailure> {
        let mut addresses = self.dns.addresses(&mx.name).await.map_err(|failure| match site.found {
            // A person named this host: a mistake there says nothing about the recipients, and can be mended.
            FoundBy::Person(_) => LocalFailure::DnsFailure,
            FoundBy::Dns | FoundBy::Dnssec => failure,
        })?;
        if site.hop().is_none() {
            // Asked now, and not only when the site was found: the DNS may have said something else a moment ago.
            addresses.found.retain(|address| !self.own.forbids(*address, site.port));
            if addresses.found.is_empty() {
                return Err(LocalFailure::Loop);
            }
        }
        let mut host = Host { mx, tls_name: mx.name.clone(), addresses, dane: Dane::Absent, records: Vec::new() };
        if site.found != FoundBy::Dnssec || !host.addresses.secure {
            return Ok(host);
        }
        // RFC 7672 §2.2.2: where the host is an alias, the records of its true name go first.
        for name in host.addresses.alias_of.clone().iter().chain([&mx.name]) {
            match self.dns.tlsa(name, site.port).await {
                Err(_) => {
                    host.dane = Dane::Failed;
                    return Ok(host);
                }
                Ok(records) if records.is_empty() => {}
                Ok(records) => {
                    host.dane = if records.iter().any(Tlsa::is_usable) { Dane::Usable } else { Dane::Unusable };
                    host.records = records;
                    host.tls_name.clone_from(name);
                    break;
                }
            }
        }
        Ok(host)
    }

    async fn open_host(
        &self,
        site: &Site,
        host: &Host<'_>,
        wish: Wish<'_>,
        tries: &mut Tries,
    ) -> Result<(Connection, Arc<str>), Trouble> {
        let name = &host.mx.name;
        let local = |failure| Trouble::Local { failure, host: name.clone() };
        let mut worst: Option<Trouble> = None;
        for address in &host.addresses.found {
            if tries.are_enough() {
                break;
            }
            tries.count += 1;
            let facts = Facts {
                configured: self.configured(site, *address),
                dane: host.dane,
                sts: host.mx.sts,
                asked: wish.asked,
                origin: if site.found == FoundBy::Dns { Origin::Dns } else { Origin::Proven },
                lately_broken: self.broken.has(name),
            };
            let (level, why) = match decide(&facts) {
                Decision::Use { level, why } => (level, why),
                Decision::Refuse(why) => {
                    tracing::info!(host = name, domain = %wish.domain, ?why, "the host may not have this mail");
                    self.failed(host, wish, refusal(why), (None, *address));
                    return Err(local(failure(why, wish.asked)));
                }
            };
            self.rehearse(site, host, *address, level, wish).await;
            match self.through_exits(site, host, *address, level, wish).await {
                Ok(opened) => {
                    self.succeeded(host, wish, &opened.0, *address);
                    return Ok(opened);
                }
                Err(Trouble::Tls { why: trouble, from, .. }) => {
                    self.failed(host, wish, trouble.as_str(), (from, *address));
                    tracing::info!(host = name, domain = %wish.domain, why = trouble.as_str(), ?level, "no TLS as it must be");
                    worst = Some(worse(worst, local(failure(why, wish.asked))));
                }
                Err(trouble) => worst = Some(worse(worst, trouble)),
            }
        }
        Err(worst.unwrap_or(local(LocalFailure::NoMailHost)))
    }

    /// RFC 8461 §5: under a policy in mode `testing` failures are reported and change nothing. So the door is tried as if
    /// the policy were enforced, where somebody counts.
    async fn rehearse(&self, site: &Site, host: &Host<'_>, address: IpAddr, level: Level, wish: Wish<'_>) {
        let Sts::Testing { covered } = host.mx.sts else { return };
        if !self.counting.is_on() || level != Level::IfOffered {
            return;
        }
        if !covered {
            return self.failed(host, wish, TlsTrouble::Handshake.as_str(), (None, address));
        }
        match self.through_exits(site, host, address, Level::Certificate, wish).await {
            Ok((connection, _)) => connection.quit().await,
            Err(Trouble::Tls { why, from, .. }) => self.failed(host, wish, why.as_str(), (from, address)),
            Err(_) => {}
        }
    }

    fn succeeded(&self, host: &Host<'_>, wish: Wish<'_>, connection: &Connection, address: IpAddr) {
        if let Some(failure) = self.policies.take_failure(wish.domain.as_str()) {
            self.count(host, wish, Some(Failure { kind: failure.to_owned(), host: None, ip: None, from: None }));
        }
        let trouble = match connection.level {
            _ if connection.is_encrypted() => return self.count(host, wish, None),
            // Nobody asked for TLS.
            Level::Clear if self.tls_use == TlsUse::Off => return,
            // A handshake failed, just now or lately: the server does offer TLS.
            Level::Clear => TlsTrouble::Handshake,
            _ => TlsTrouble::NotOffered,
        };
        self.failed(host, wish, trouble.as_str(), (connection.from(), address));
    }

    /// `ends`: our address, where there was a connection, and that of the host.
    fn failed(&self, host: &Host<'_>, wish: Wish<'_>, kind: &str, ends: (Option<IpAddr>, IpAddr)) {
        let (from, name) = (ends.0, host.mx.name.clone());
        let failure = Failure { kind: kind.to_owned(), host: Some(name), ip: Some(ends.1), from };
        self.count(host, wish, Some(failure));
    }

    fn count(&self, host: &Host<'_>, wish: Wish<'_>, failure: Option<Failure>) {
        let policy = || match (host.dane, host.mx.sts) {
            (Dane::Absent, Sts::Absent) => Policy { kind: Kind::None, text: Vec::new(), hosts: Vec::new() },
            (Dane::Absent, _) => {
                let policy = self.policies.held(wish.domain.as_str());
                let text = policy.iter().flat_map(|policy| policy.lines()).collect();
                Policy { kind: Kind::Sts, text, hosts: policy.map(|policy| policy.mx.clone()).unwrap_or_default() }
            }
            _ => {
                let text = host.records.iter().map(Tlsa::to_string).collect();
                Policy { kind: Kind::Tlsa, text, hosts: vec![host.mx.name.clone()] }
            }
        };
        self.counting.count(wish.domain.as_str(), policy, failure);
    }

    /// One address, from the first exit that the system lets us send from.
    async fn through_exits(
        &self,
        site: &Site,
        host: &Host<'_>,
        address: IpAddr,
        level: Level,
        wish: Wish<'_>,
    ) -> Result<(Connection, Arc<str>), Trouble> {
        let shut = Trouble::Local { failure: LocalFailure::NoExit, host: host.mx.name.clone() };
        for exit in wish.exits {
            let source = match exit.source(address) {
                Source::Nowhere => continue,
                Source::System => None,
                Source::From(source) => Some(source),
            };
            match self.greet(site, host, address, level, (exit, source)).await {
                Err(trouble) if trouble == shut => self.exits.is_shut(exit, source),
                Err(trouble) => return Err(trouble),
                Ok(connection) => {
                    self.exits.is_open(exit);
                    return Ok((connection, exit.name.clone()));
                }
            }
        }
        Err(shut)
    }

    /// One address from one exit; in clear on a new connection where TLS fails and nobody asked for it (RFC 7435).
    async fn greet(
        &self,
        site: &Site,
        host: &Host<'_>,
        address: IpAddr,
        level: Level,
        (exit, source): (&Exit, Option<IpAddr>),
    ) -> Result<Connection, Trouble> {
        let hop = site.hop();
        let mut target = Target {
            host: &host.mx.name,
            tls_name: &host.tls_name,
            address: SocketAddr::new(address, site.port),
            level,
            speaks: hop.map_or(Speaks::Smtp, |hop| hop.speaks),
            login: hop.and_then(|hop| self.login(hop, address)),
            tls: self.tls.any.clone(),
            source,
            hello: &exit.hello,
        };
        match level {
            Level::Certificate => target.tls = self.tls.certified.clone(),
            Level::Dane => {
                let names = [host.tls_name.as_str(), host.mx.name.as_str()];
                let failed = |_| Trouble::Tls { why: TlsTrouble::Handshake, host: host.mx.name.clone(), from: None };
                target.tls = self.tls.dane(host.records.clone(), &names).map_err(failed)?;
            }
            Level::Clear | Level::IfOffered | Level::Encrypted => {}
        }
        match Connection::open(&target, self.patience).await {
            Err(Trouble::Tls { .. }) if level == Level::IfOffered && target.speaks != Speaks::Smtps => {
                target.level = Level::Clear;
                let connection = Connection::open(&target, self.patience).await?;
                self.broken.remember(&host.mx.name);
                Ok(connection)
            }
            other => other,
        }
    }

    /// The administrator's word about TLS. A password goes only to the server whose name was written down, or to this
    /// very machine.
    fn configured(&self, site: &Site, address: IpAddr) -> Configured {
        match site.hop() {
            Some(hop) if hop.login.is_some() && !address.is_loopback() => Configured::Verified,
            Some(hop) if hop.speaks == Speaks::Smtps && self.tls_use == TlsUse::Off => Configured::Opportunistic,
            _ => self.tls_use.into(),
        }
    }

    fn login(&self, hop: &NextHop, address: IpAddr) -> Option<Login> {
        let login = hop.login.as_ref()?;
        Some(Login {
            user: login.user.clone(),
            password: login.password.clone(),
            nonce: self.tls.nonce()?,
            passwords: if address.is_loopback() { Passwords::EvenInClear } else { Passwords::InTls },
        })
    }
}

impl Tries {
    fn are_enough(&self) -> bool {
        TRIES_MAX <= self.count || TRIES_TIME <= self.began.elapsed()
    }
}

impl Site {
    fn hop(&self) -> Option<&NextHop> {
        match &self.found {
            FoundBy::Person(hop) => Some(hop),
            FoundBy::Dns | FoundBy::Dnssec => None,
        }
    }
}

impl Broken {
    fn has(&self, host: &str) -> bool {
        let hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.get(host).is_some_and(|until| now() < *until)
    }

    fn remember(&self, host: &str) {
        let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if BROKEN_MAX <= hosts.len() {
            hosts.retain(|_, until| now() < *until);
        }
        if hosts.len() < BROKEN_MAX {
            hosts.insert(host.to_owned(), now() + BROKEN_S);
        }
    }
}

/// Best first; hosts of one rank in a new order each time (RFC 5321 §5.1).
fn in_order(hosts: &[MxHost]) -> Vec<&MxHost> {
    let mut drawn: Vec<(u16, f64, &MxHost)> = hosts.iter().map(|host| (host.rank, random(), host)).collect();
    drawn.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    drawn.into_iter().map(|(_, _, host)| host).collect()
}

/// What a server said is worth more to a person than that another one was not there; and that one was not there is
/// worth another try, which a wish that cannot be granted is not.
fn worse(known: Option<Trouble>, new: Trouble) -> Trouble {
    let weight = |trouble: &Trouble| match trouble {
        Trouble::Refused { .. } => 3,
        Trouble::Local { failure: LocalFailure::RequireTls, .. } => 0,
        // Final, and true of a domain only where it is true of all its hosts.
        Trouble::Local { failure: LocalFailure::NoMailHost | LocalFailure::Loop, .. } => 0,
        Trouble::Local { failure: LocalFailure::StsFailure | LocalFailure::DaneFailure, .. } => 2,
        Trouble::Local { .. } | Trouble::Tls { .. } => 1,
    };
    match known {
        Some(known) if weight(&new) < weight(&known) => known,
        _ => new,
    }
}

/// Why a host was not even asked, as RFC 8460 §4.3 names it.
fn refusal(why: Why) -> &'static str {
    match why {
        Why::DaneFailed => "dnssec-invalid",
        _ => TlsTrouble::Handshake.as_str(),
    }
}

/// In the words of the rules.
fn failure(why: Why, asked: Asked) -> LocalFailure {
    match (why, asked) {
        (Why::Dane | Why::DaneUnusable, Asked::Required) => LocalFailure::RequireTls,
        (Why::RequireTls | Why::RequireTlsUnproven, _) => LocalFailure::RequireTls,
        (Why::Dane | Why::DaneUnusable | Why::DaneFailed, _) => LocalFailure::DaneFailure,
        (Why::Sts | Why::StsForeignHost, _) => LocalFailure::StsFailure,
        _ => LocalFailure::TlsFailure,
    }
}

/// RFC 5321 §5.1 asks for at least two addresses; more than this costs a dead site too much time.
const TRIES_MAX: usize = 6;
/// After so long no further address is tried: a site whose servers all drag their feet would hold its mail for hours.
const TRIES_TIME: Duration = Duration::from_secs(30 * 60);
/// How long a host with broken TLS is met in clear: some retries, and not longer than its repair should wait.
const BROKEN_S: u64 = 3600;
/// Hosts with broken TLS that are remembered; beyond it each mail tries again.
const BROKEN_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_without_an_address_does_not_hide_that_another_one_was_down() {
        let local = |failure| Trouble::Local { failure, host: "mx.test".into() };
        let down = local(LocalFailure::ConnectTimeout);
        let gone = local(LocalFailure::NoMailHost);
        assert_eq!(worse(Some(down.clone()), gone.clone()), down);
        assert_eq!(worse(Some(gone.clone()), down.clone()), down);
        assert_eq!(worse(None, gone.clone()), gone);
    }
}
