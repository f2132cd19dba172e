//! How mail leaves: servers that take it on, and exits.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use toml::Spanned;

use super::Stream;
use super::error::ConfigError;
use super::keys::{EXIT, HOP};
use super::net::{self, HostPort};
use super::reader::Section;
use super::sections::STREAMS;
use super::values::{Wrong, path, quoted, title, word};

/// A server that takes mail on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextHop {
    /// Where it is.
    pub server: HostPort,
    /// What it speaks.
    pub speaks: Speaks,
    /// Who we are to it.
    pub login: Option<Login>,
}

/// What a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    /// SMTP, with STARTTLS where it is offered.
    Smtp,
    /// SMTP in TLS from the first octet.
    Smtps,
    /// LMTP.
    Lmtp,
}

/// A name and the file of its password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The name.
    pub user: String,
    /// Readable by its owner alone; its first line is the password.
    pub password_file: PathBuf,
}

/// One way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// As it is called in logs and answers.
    pub name: String,
    /// Local addresses, the first of each family is used; empty: the system chooses.
    pub addresses: Vec<IpAddr>,
    /// Said in EHLO; by default the host name.
    pub hello: Option<String>,
    /// Its share of the mail beside the other exits.
    pub weight: u32,
    /// For these organisations alone; empty: for all.
    pub orgs: Vec<String>,
    /// For these kinds of mail alone; empty: for all.
    pub streams: Vec<Stream>,
}

/// Which addresses of recipients' servers are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IpUse {
    /// IPv4, then IPv6.
    V4First,
    /// IPv6, then IPv4.
    V6First,
    /// IPv4 alone.
    V4Only,
    /// IPv6 alone.
    V6Only,
}

pub(super) const IP_USES: &[(&str, IpUse)] =
    &[("4-first", IpUse::V4First), ("6-first", IpUse::V6First), ("4-only", IpUse::V4Only), ("6-only", IpUse::V6Only)];

/// Reads where a server is, and what it speaks if that is not SMTP.
pub(super) fn hop(text: &str) -> Result<NextHop, Wrong> {
    let kinds = [("smtp://", Speaks::Smtp), ("smtps://", Speaks::Smtps), ("lmtp://", Speaks::Lmtp)];
    let kind = kinds.iter().find_map(|(scheme, speaks)| Some((text.strip_prefix(scheme)?, *speaks)));
    let (place, speaks) = match kind {
        None if text.contains("://") => {
            let what = format!("{} begins with a word that is not known", quoted(text));
            return Err(Wrong::new(what, "smtp://, smtps:// or lmtp://, then name or address, a colon and a port"));
        }
        None => (text, Speaks::Smtp),
        Some(kind) => kind,
    };
    Ok(NextHop { server: net::host_port(place)?, speaks, login: None })
}

/// Reads a server of which more is said.
pub(super) fn hop_with_login(section: &Section<'_>) -> Result<NextHop, ConfigError> {
    let hop = section.text("to", hop)?.ok_or_else(|| section.missing("to"))?;
    let lonely = |present, absent| {
        let wrong = Wrong::new(format!("missing beside `{present}`"), "both or none of them");
        section.wrong(section.place(present), absent, &wrong)
    };
    let login = match (section.text("login", title)?, section.text("password_file", path)?) {
        (Some(user), Some(password_file)) => Some(Login { user, password_file }),
        (None, None) => None,
        (Some(_), None) => return Err(lonely("login", "password_file")),
        (None, Some(_)) => return Err(lonely("password_file", "login")),
    };
    Ok(NextHop { login, ..hop })
}

pub(super) fn routes(section: &Section<'_>) -> Result<BTreeMap<String, NextHop>, ConfigError> {
    let mut routes = BTreeMap::new();
    for (domain, server) in section.pairs("routes", (HOP.name, "to"), net::domain, hop, hop_with_login)? {
        let place = domain.span();
        if routes.insert(domain.get_ref().clone(), server).is_some() {
            let wrong = Wrong::new(format!("`{}` stands here twice", domain.get_ref()), "each domain once");
            return Err(section.wrong(place, "routes", &wrong));
        }
    }
    Ok(routes)
}

/// The exits of the file. `source` is one of them, called `default`; without both, the system chooses.
pub(super) fn exits(section: &Section<'_>) -> Result<Vec<Exit>, ConfigError> {
    let source = section.list("source", net::source)?;
    let tables = section.tables("exits", EXIT.name)?.unwrap_or_default();
    let mut exits = Vec::new();
    if source.is_some() || tables.is_empty() {
        let addresses = source.unwrap_or_default().into_iter().map(Spanned::into_inner).collect();
        let (name, hello) = ("default".to_owned(), None);
        exits.push(Exit { name, addresses, hello, weight: 1, orgs: Vec::new(), streams: Vec::new() });
    }
    for table in &tables {
        let exit = exit(table)?;
        if exits.iter().any(|other| other.name == exit.name) {
            let wrong = Wrong::new(format!("{} stands here twice", quoted(&exit.name)), "each name once");
            return Err(table.wrong(table.place("name"), "name", &wrong));
        }
        exits.push(exit);
    }
    if exits.iter().all(|exit| !exit.orgs.is_empty() || !exit.streams.is_empty()) {
        let wrong = Wrong::new("each exit is for some mail only", "at least one exit without orgs and streams");
        return Err(section.wrong(section.place("exits"), "exits", &wrong));
    }
    Ok(exits)
}

fn exit(section: &Section<'_>) -> Result<Exit, ConfigError> {
    let addresses = section.list("addresses", net::source)?.ok_or_else(|| section.missing("addresses"))?;
    Ok(Exit {
        name: section.text("name", title)?.ok_or_else(|| section.missing("name"))?,
        addresses: plain(Some(addresses)),
        hello: section.text("hello", net::hostname)?,
        weight: section.whole("weight", 1..=1000)?.unwrap_or(1),
        orgs: plain(section.list("orgs", title)?),
        streams: plain(section.list("streams", word(STREAMS))?),
    })
}

/// What is in a list, without its places.
pub(super) fn plain<T>(list: Option<Vec<Spanned<T>>>) -> Vec<T> {
    list.into_iter().flatten().map(Spanned::into_inner).collect()
}
