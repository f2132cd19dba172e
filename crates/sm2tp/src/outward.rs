//! From the configuration of the way out to what the relay is told: servers with their passwords, exits, resolvers.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use sm2tp_doors::{House, now};
use sm2tp_proto::Domain;
use sm2tp_relay::{Credentials, Exit, IpUse, NextHop, Own, Reach, Resolvers, Sealing, Signing, Speaks, Trust};
use sm2tp_rules::Stream;
use sm2tp_rules::sign::Listed;
use sm2tp_store::dkim::Algorithm;
use zeroize::Zeroizing;

use crate::config::{self, Config};
use crate::{Exit as Sysexit, Failure};

/// The smart host, and the servers of the routes by domain, with the passwords of their logins read from their files.
pub fn hops(relay: &config::Relay, config_file: &Path) -> Result<(Option<NextHop>, HashMap<String, NextHop>), Failure> {
    let smarthost = relay.smarthost.as_ref().map(|to| hop(to, config_file, &["smarthost"])).transpose()?;
    let route = |(domain, to): (&String, _)| Ok((domain.clone(), hop(to, config_file, &["routes", domain])?));
    Ok((smarthost, relay.routes.iter().map(route).collect::<Result<_, _>>()?))
}

/// `names` lead to it in [relay].
fn hop(hop: &config::NextHop, config_file: &Path, names: &[&str]) -> Result<NextHop, Failure> {
    let host = match &hop.server.host {
        config::Host::Name(name) => name.clone(),
        config::Host::Ip(address) => address.to_string(),
    };
    let speaks = match hop.speaks {
        config::Speaks::Smtp => Speaks::Smtp,
        config::Speaks::Smtps => Speaks::Smtps,
        config::Speaks::Lmtp => Speaks::Lmtp,
    };
    let login = hop.login.as_ref().map(credentials).transpose().map_err(|why| {
        let names = [&["relay"], names, &["password_file"]].concat();
        let help =
            "a file with the password in its first line, which the user of the node owns and nobody else may read";
        Failure::new(Sysexit::Configuration, config::blame(config_file, &names, &why, help).to_string())
    })?;
    Ok(NextHop { host, port: hop.server.port, speaks, login })
}

fn credentials(login: &config::Login) -> Result<Credentials, String> {
    let wrong = |why| format!("`password_file` in [relay]: {}: {why}", login.password_file.display());
    Ok(Credentials { user: login.user.clone(), password: secret_line(&login.password_file).map_err(wrong)? })
}

/// The first line of a file that nobody else may read.
pub fn secret_line(path: &Path) -> Result<Zeroizing<String>, String> {
    let about = fs::metadata(path).map_err(|error| error.to_string())?;
    if about.mode() & 0o077 != 0 {
        return Err(format!("others may read it (mode {:04o}); chmod 600 it", about.mode() & 0o7777));
    }
    if SECRET_OCTETS_MAX < about.len() {
        return Err("it is too long for a secret".to_owned());
    }
    let text = Zeroizing::new(fs::read_to_string(path).map_err(|error| error.to_string())?);
    let first = text.lines().next().unwrap_or_default();
    if first.is_empty() {
        return Err("its first line is empty".to_owned());
    }
    Ok(Zeroizing::new(first.to_owned()))
}

/// How mail is signed.
pub fn signing(config: &Config, house: &House) -> Signing {
    let asked = &config.dkim;
    let default = asked.default.as_deref().and_then(|name| Domain::parse(name).ok());
    if let Some(domain) = &default
        && house.dkim.signing(domain.as_str(), now()).is_empty()
    {
        tracing::warn!(%domain, "[dkim] default has no key that signs; make one: sm2tp dkim new {domain}");
    }
    let sealing = sealing(&asked.seal);
    if let Sealing::By(domain) = &sealing
        && house.dkim.signing(domain.as_str(), now()).iter().all(|key| key.algorithm() != Algorithm::Rsa)
    {
        tracing::warn!(%domain, "[dkim] seal has no RSA key; make one: sm2tp dkim new {domain} --algorithm rsa");
    }
    Signing {
        sealing,
        algorithms: match asked.sign {
            config::DkimSign::Both => Algorithm::ALL.to_vec(),
            config::DkimSign::Rsa => vec![Algorithm::Rsa],
            config::DkimSign::Ed25519 => vec![Algorithm::Ed25519],
            config::DkimSign::None => Vec::new(),
        },
        default,
        listed: match asked.any_sender {
            config::AnySender::Unlisted => Listed::Kept,
            config::AnySender::All => Listed::Shared,
        },
    }
}

fn sealing(seal: &config::Seal) -> Sealing {
    match seal {
        config::Seal::ByUs => Sealing::ByUs,
        config::Seal::Off => Sealing::Off,
        // What the configuration takes for a domain is one.
        config::Seal::By(name) => Domain::parse(name).map_or(Sealing::Off, Sealing::By),
    }
}

pub fn exit(exit: &config::Exit, hostname: &str) -> Exit {
    Exit {
        name: exit.name.as_str().into(),
        addresses: exit.addresses.clone(),
        hello: exit.hello.clone().unwrap_or_else(|| hostname.to_owned()),
        weight: exit.weight,
        orgs: exit.orgs.clone(),
        streams: exit.streams.iter().map(|stream| stream_of(*stream)).collect(),
    }
}

pub fn resolvers(config: &Config) -> Resolvers {
    let ip = config.relay.as_ref().map_or(config::IpUse::V4First, |relay| relay.ip);
    Resolvers {
        servers: config.dns.servers.clone(),
        trust: match config.dns.validating {
            config::Switch::On => Trust::Validates,
            config::Switch::Off => Trust::Nothing,
        },
        ip: match ip {
            config::IpUse::V4First => IpUse::V4First,
            config::IpUse::V6First => IpUse::V6First,
            config::IpUse::V4Only => IpUse::V4Only,
            config::IpUse::V6Only => IpUse::V6Only,
        },
    }
}

/// Which web servers a domain may name for its policies, and for reports about TLS.
pub fn reach(config: &Config) -> Reach {
    let named = config.relay.as_ref().map_or_else(Vec::new, |relay| relay.private_web_servers.clone());
    Reach::public_and(move |ip| named.iter().any(|network| network.contains(ip)))
}

/// Where this node takes mail itself on the port of recipients' servers. On another port it is nobody's mail host.
pub fn own(config: &Config) -> Own {
    let (Some(smtp), Some(relay)) = (&config.smtp, &config.relay) else { return Own::default() };
    let doors =
        smtp.listen.iter().chain(&smtp.listen_slow).chain(smtp.listen_for.iter().flat_map(|(_, listen)| listen));
    let listens = doors.filter(|listen| listen.port() == relay.port).map(|listen| listen.ip()).collect();
    let hellos = relay.exits.iter().filter_map(|exit| exit.hello.clone());
    Own { names: hellos.chain([config.hostname.clone()]).collect(), listens }
}

pub fn stream_of(stream: config::Stream) -> Stream {
    match stream {
        config::Stream::Personal => Stream::Personal,
        config::Stream::Transactional => Stream::Transactional,
        config::Stream::Bulk => Stream::Bulk,
        config::Stream::Forwarded => Stream::Forwarded,
    }
}

/// No password is longer; a wrong path must not read a disk into memory.
const SECRET_OCTETS_MAX: u64 = 4096;
