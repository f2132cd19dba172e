//! `[policy]`, `[socketmap]` and `[milter]`: where another mail server asks, and what it is told.

use super::error::ConfigError;
use super::keys::FILTER;
use super::outward::plain;
use super::reader::Section;
use super::sections::{Doors, STREAMS, SWITCH};
use super::values::{Wrong, quoted, title, word};
use super::{Network, Place, Returns, Stream, Switch, net};

/// `[policy]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// At least one; port 0 is a free port.
    pub listen: Vec<Place>,
    /// Clients of the mail server whose mail is this node's people's although they did not log in.
    pub trusted_networks: Vec<Network>,
    /// Stream of their mail, and of logins that this node does not know.
    pub stream: Stream,
    /// What becomes of mail that the relay would hold.
    pub held: Held,
    /// Whether mail to one recipient gets a field by which its reports are known.
    pub trace: Switch,
    /// Mail that goes another way than the mail server's own; the first that fits counts.
    pub filter: Vec<Filter>,
}

/// What becomes of mail that waits for a person elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// Its recipient is refused for now.
    Later,
    /// All of it waits in the mail server.
    Hold,
}

/// `[policy] filter`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// As the mail server names the way: `transport:nexthop`.
    pub to: String,
    /// For senders of this level alone; none: for all.
    pub senders: Option<Senders>,
    /// For these organisations alone; empty: for all.
    pub orgs: Vec<String>,
    /// For these kinds of mail alone; empty: for all.
    pub streams: Vec<Stream>,
}

/// How the sender watch sees a sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Senders {
    Normal,
    Slow,
}

/// `[socketmap]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Socketmap {
    /// At least one; port 0 is a free port.
    pub listen: Vec<Place>,
    /// What can be asked.
    pub tables: Vec<Table>,
}

/// A table that a mail server may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// What a "later" means.
    Dsn,
    /// Whether an address would be refused.
    Access,
    /// Where mail for a domain goes.
    Routes,
}

/// `[milter]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Milter {
    /// At least one; port 0 is a free port.
    pub listen: Vec<Place>,
    /// As in [`Policy`].
    pub trusted_networks: Vec<Network>,
    /// As in [`Policy`].
    pub stream: Stream,
    /// Whether it answers about recipients; off where the policy service does.
    pub decide: Switch,
    /// What becomes of mail that the relay would hold.
    pub held: Held,
}

pub(super) fn policy(
    section: &Section<'_>,
    doors: &mut Doors,
    returns: Option<&Returns>,
) -> Result<Policy, ConfigError> {
    let filters = section.tables("filter", FILTER.name)?.unwrap_or_default();
    let trace = section.text("trace", word(SWITCH))?.unwrap_or(Switch::Off);
    if trace == Switch::On && returns.is_none() {
        let wrong = Wrong::new("nothing here knows what comes back", "together with a section [returns]");
        return Err(section.wrong(section.place("trace"), "trace", &wrong));
    }
    Ok(Policy {
        listen: doors.places(section, 10040)?,
        trusted_networks: trusted(section)?,
        stream: section.text("stream", word(STREAMS))?.unwrap_or(Stream::Personal),
        held: section.text("held", word(HELD))?.unwrap_or(Held::Later),
        trace,
        filter: filters.iter().map(filter).collect::<Result<_, _>>()?,
    })
}

pub(super) fn socketmap(section: &Section<'_>, doors: &mut Doors) -> Result<Socketmap, ConfigError> {
    let tables = section.list("tables", word(TABLES))?;
    let tables = tables.map_or_else(|| vec![Table::Dsn], |tables| plain(Some(tables)));
    Ok(Socketmap { listen: doors.places(section, 10041)?, tables })
}

pub(super) fn milter(section: &Section<'_>, doors: &mut Doors, policy: Option<&Policy>) -> Result<Milter, ConfigError> {
    let unless_asked = if policy.is_some() { Switch::Off } else { Switch::On };
    Ok(Milter {
        listen: doors.places(section, 10042)?,
        trusted_networks: trusted(section)?,
        stream: section.text("stream", word(STREAMS))?.unwrap_or(Stream::Personal),
        decide: section.text("decide", word(SWITCH))?.unwrap_or(unless_asked),
        held: section.text("held", word(HELD))?.unwrap_or(Held::Later),
    })
}

fn trusted(section: &Section<'_>) -> Result<Vec<Network>, ConfigError> {
    let trusted = section.list("trusted_networks", net::trusted_network)?;
    Ok(trusted.map_or_else(net::loopback, |networks| plain(Some(networks))))
}

fn filter(section: &Section<'_>) -> Result<Filter, ConfigError> {
    Ok(Filter {
        to: section.text("to", way)?.ok_or_else(|| section.missing("to"))?,
        senders: section.text("senders", word(SENDERS))?,
        orgs: plain(section.list("orgs", title)?),
        streams: plain(section.list("streams", word(STREAMS))?),
    })
}

/// Reads a way of access(5): the name of a transport in master.cf, a colon, and where it goes.
fn way(text: &str) -> Result<String, Wrong> {
    const ALLOWED: &str = "the name of a transport in master.cf, a colon, and where it goes, such as smtp:[127.0.0.1]:2525, or slow: \
                           for each recipient's own server";
    let named = text.split_once(':').is_some_and(|(transport, hop)| {
        let is_name = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_');
        !transport.is_empty() && transport.bytes().all(is_name) && hop.bytes().all(|octet| octet.is_ascii_graphic())
    });
    match named && text.len() <= WAY_OCTETS_MAX {
        true => Ok(text.to_owned()),
        false => Err(Wrong::new(format!("{} is no way for mail", quoted(text)), ALLOWED)),
    }
}

const HELD: &[(&str, Held)] = &[("later", Held::Later), ("hold", Held::Hold)];
const TABLES: &[(&str, Table)] = &[("dsn", Table::Dsn), ("access", Table::Access), ("routes", Table::Routes)];
const SENDERS: &[(&str, Senders)] = &[("normal", Senders::Normal), ("slow", Senders::Slow)];
/// A transport, brackets, the longest name of a host (RFC 1035 §2.3.4) and a port fit.
const WAY_OCTETS_MAX: usize = 300;
