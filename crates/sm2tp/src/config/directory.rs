//! `[ldap]`: logins that a directory knows.

use std::path::PathBuf;
use std::time::Duration;

use super::error::ConfigError;
use super::outward::Login;
use super::reader::Section;
use super::sections::{STREAMS, SWITCH};
use super::values::{DAY, HOUR, Wrong, duration, path, quoted, title, word};
use super::{Stream, Switch, net};

/// `[ldap]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ldap {
    /// Tried in this order.
    pub servers: Vec<String>,
    pub starttls: Switch,
    /// Of an authority that the system does not know; PEM.
    pub root: Option<PathBuf>,
    pub find: Find,
    /// Of people of whom the directory says none.
    pub org: Option<String>,
    pub org_attribute: Option<String>,
    /// Of the addresses that a person may send with; `None`: those of the organisation.
    pub address_attribute: Option<String>,
    /// `None`: that of the organisation.
    pub stream: Option<Stream>,
    /// How long a password that was right is taken while no server answers.
    pub keep: Duration,
}

/// How a login becomes a name in the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Find {
    Search { bind: Option<Login>, base: String, filter: String },
    Name(String),
}

/// One of `servers`.
struct Server {
    url: String,
    /// What is said in clear leaves the machine.
    is_overheard: bool,
}

pub(super) fn ldap(section: &Section<'_>) -> Result<Ldap, ConfigError> {
    let servers = section.list("servers", server)?.ok_or_else(|| section.missing("servers"))?;
    let starttls = section.text("starttls", word(SWITCH))?.unwrap_or(Switch::On);
    if servers.is_empty() {
        let wrong = Wrong::new("the list is empty", "at least one server; remove the section to ask none");
        return Err(section.wrong(section.place("servers"), "servers", &wrong));
    }
    for server in &servers {
        if starttls == Switch::Off && server.get_ref().is_overheard {
            let what = format!("{} would send passwords in clear over the network", quoted(&server.get_ref().url));
            let wrong = Wrong::new(what, "ldaps://, or starttls = \"on\"; without TLS on this machine alone");
            return Err(section.wrong(server.span(), "servers", &wrong));
        }
    }
    let (org, org_attribute) = (section.text("org", title)?, section.text("org_attribute", attribute)?);
    if org.is_none() && org_attribute.is_none() {
        return Err(section.missing("org"));
    }
    Ok(Ldap {
        servers: servers.into_iter().map(|server| server.into_inner().url).collect(),
        starttls,
        root: section.text("root", path)?,
        find: find(section)?,
        org,
        org_attribute,
        address_attribute: section.text("address_attribute", attribute)?,
        stream: section.text("stream", word(STREAMS))?,
        keep: section
            .text("keep", duration(Duration::ZERO..=Duration::from_secs(30 * DAY)))?
            .unwrap_or(Duration::from_secs(12 * HOUR)),
    })
}

/// Either a search, or a name that every person has.
fn find(section: &Section<'_>) -> Result<Find, ConfigError> {
    let (base, name) = (section.text("base", title)?, section.text("name", with_login)?);
    let bind = match (section.text("bind", title)?, section.text("password_file", path)?) {
        (Some(user), Some(password_file)) => Some(Login { user, password_file }),
        (None, None) => None,
        (Some(_), None) => return Err(section.missing("password_file")),
        (None, Some(_)) => return Err(section.missing("bind")),
    };
    match (base, name) {
        (Some(base), None) => {
            let filter = section.text("filter", with_login)?.unwrap_or_else(|| format!("(uid={LOGIN})"));
            Ok(Find::Search { bind, base, filter })
        }
        (None, Some(name)) => match ["bind", "filter"].into_iter().find(|key| section.has(key)) {
            Some(key) => {
                let wrong = Wrong::new(format!("`{key}` is for a search, and `name` makes none"), "`base` or `name`");
                Err(section.wrong(section.place(key), key, &wrong))
            }
            None => Ok(Find::Name(name)),
        },
        (None, None) => Err(section.missing("base")),
        (Some(_), Some(_)) => {
            let wrong = Wrong::new("stands beside `base`", "`base` to search below it, or the `name` that people have");
            Err(section.wrong(section.place("name"), "name", &wrong))
        }
    }
}

fn server(text: &str) -> Result<Server, Wrong> {
    const ALLOWED: &str = "ldap:// or ldaps://, the name of a server, and a port if it is not the usual one";
    let wrong = |what: &str| Wrong::new(format!("{} {what}", quoted(text)), ALLOWED);
    let (in_clear, authority) = match (text.strip_prefix("ldap://"), text.strip_prefix("ldaps://")) {
        (Some(authority), _) => (true, authority),
        (None, Some(authority)) => (false, authority),
        (None, None) => return Err(wrong("is no address of a directory")),
    };
    let host = net::url_host(authority).ok_or_else(|| wrong("names no server, or more than one"))?;
    Ok(Server { url: text.to_owned(), is_overheard: in_clear && !net::is_loopback(&host) })
}

/// The name of an attribute (RFC 4512 §1.4).
fn attribute(text: &str) -> Result<String, Wrong> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    match !text.is_empty() && text.len() <= 100 && text.chars().all(fits) {
        true => Ok(text.to_owned()),
        false => {
            let what = format!("{} is no name of an attribute", quoted(text));
            Err(Wrong::new(what, "letters, digits, hyphens, as in mail or departmentNumber"))
        }
    }
}

/// A text in which the login has its place.
fn with_login(text: &str) -> Result<String, Wrong> {
    let text = title(text)?;
    match text.contains(LOGIN) {
        true => Ok(text),
        false => {
            Err(Wrong::new(format!("{} has no {LOGIN} in it", quoted(&text)), "a text with {login} where it belongs"))
        }
    }
}

/// What stands for the login.
const LOGIN: &str = "{login}";
