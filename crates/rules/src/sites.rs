//! How many connections and mails one site gets: data by the end of its MX host names, shipped and overridden.

use std::collections::HashMap;
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::Source;

/// What one site gets from one exit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SiteLimits {
    /// Connections at the same time.
    pub connections_max: usize,
    /// Mails on one connection before it is closed.
    pub mails_per_connection_max: u32,
    /// Recipients of one transaction.
    pub recipients_max: usize,
    /// None: as fast as the site answers.
    pub mails_per_minute_max: Option<NonZeroU32>,
}

/// What the queue knows of one site at a moment, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SiteState {
    /// Its hosts, the best first.
    pub hosts: Vec<String>,
    /// The way out by which it is met; none where there is only one.
    pub exit: Option<String>,
    /// A person paused that way out.
    pub is_shut: bool,
    /// Recipients that wait for a turn there.
    pub waiting: usize,
    /// Connections that are open, and as many as there may be now.
    pub connections: usize,
    pub connections_max: usize,
    /// Until when it is left alone (unix seconds).
    pub paused_until: Option<u64>,
}

/// The limits of all sites that somebody described.
#[derive(Debug, Clone)]
pub struct SiteBook {
    default: SiteLimits,
    /// End of the host name, in lower case without dots at its ends.
    by_suffix: HashMap<String, SiteLimits>,
}

/// A file of sites that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SitesError {
    #[error("{file}: {what}")]
    Syntax { file: String, what: String },
    #[error("{file}: version {found} is not known; this program reads `version = {VERSION}`")]
    Version { file: String, found: u32 },
    #[error("{file}: {what} must be at least 1, for example `connections = 2`")]
    Nothing { file: String, what: String },
    #[error("{file}: \"{suffix}\" is no end of a host name, for example [site.\"orange.fr\"]")]
    Suffix { file: String, suffix: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    #[serde(default)]
    default: Entry,
    #[serde(default)]
    site: HashMap<String, Entry>,
}

#[derive(Default, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    connections: Option<u32>,
    mails_per_connection: Option<u32>,
    recipients_per_mail: Option<u32>,
    mails_per_minute: Option<u32>,
}

impl Default for SiteLimits {
    fn default() -> Self {
        Self { connections_max: 4, mails_per_connection_max: 200, recipients_max: 100, mails_per_minute_max: None }
    }
}

impl SiteBook {
    /// The shipped file alone.
    ///
    /// # Panics
    /// Never: a test reads the shipped file.
    #[must_use]
    pub fn shipped() -> Self {
        Self::load(&[Self::shipped_source()]).expect("the shipped file is tested")
    }

    /// The shipped file, to stand behind an administrator's own.
    #[must_use]
    pub fn shipped_source() -> Source<'static> {
        Source { file: "sites.toml (shipped)", text: include_str!("../data/sites.toml") }
    }

    /// Compiles files; what stands in an earlier one goes before what stands in a later one.
    ///
    /// # Errors
    /// [`SitesError`] names the file and what is allowed.
    pub fn load(sources: &[Source<'_>]) -> Result<Self, SitesError> {
        let mut entries = Vec::new();
        for source in sources {
            entries.push(read(source)?);
        }
        let mut book = Self { default: SiteLimits::default(), by_suffix: HashMap::new() };
        for file in entries.iter().rev() {
            book.default = file.default.over(book.default);
        }
        for file in entries.iter().rev() {
            for (suffix, entry) in &file.site {
                let below = book.by_suffix.get(suffix).copied().unwrap_or(book.default);
                book.by_suffix.insert(suffix.clone(), entry.over(below));
            }
        }
        Ok(book)
    }

    /// The limits of the site that this MX host belongs to.
    #[must_use]
    pub fn limits(&self, host: &str) -> SiteLimits {
        let host = host.trim_matches('.').to_ascii_lowercase();
        let ends = std::iter::successors(Some(host.as_str()), |end| end.split_once('.').map(|(_, rest)| rest));
        ends.filter_map(|end| self.by_suffix.get(end)).next().copied().unwrap_or(self.default)
    }

    /// With other connections for sites that nobody described: `connections_per_site_max` of the configuration.
    #[must_use]
    pub fn with_default_connections(mut self, connections_max: usize) -> Self {
        self.default.connections_max = connections_max.max(1);
        self
    }
}

impl Entry {
    fn over(self, below: SiteLimits) -> SiteLimits {
        let count = |own: Option<u32>, below: usize| own.map_or(below, |own| own as usize);
        SiteLimits {
            connections_max: count(self.connections, below.connections_max),
            mails_per_connection_max: self.mails_per_connection.unwrap_or(below.mails_per_connection_max),
            recipients_max: count(self.recipients_per_mail, below.recipients_max),
            mails_per_minute_max: self.mails_per_minute.and_then(NonZeroU32::new).or(below.mails_per_minute_max),
        }
    }

    /// The name of a limit that lets nothing through.
    fn nothing(self) -> Option<&'static str> {
        let limits = [
            ("connections", self.connections),
            ("mails_per_connection", self.mails_per_connection),
            ("recipients_per_mail", self.recipients_per_mail),
            ("mails_per_minute", self.mails_per_minute),
        ];
        limits.into_iter().find(|(_, limit)| *limit == Some(0)).map(|(name, _)| name)
    }
}

fn read(source: &Source<'_>) -> Result<File, SitesError> {
    let file = source.file.to_owned();
    let mut read: File = toml::from_str(source.text)
        .map_err(|error| SitesError::Syntax { file: file.clone(), what: error.to_string().trim_end().to_owned() })?;
    if read.version != VERSION {
        return Err(SitesError::Version { file, found: read.version });
    }
    let named = read.site.iter().map(|(suffix, entry)| (format!("[site.\"{suffix}\"] "), entry));
    for (place, entry) in named.chain([("[default] ".to_owned(), &read.default)]) {
        if let Some(name) = entry.nothing() {
            return Err(SitesError::Nothing { file, what: format!("{place}{name}") });
        }
    }
    let mut site = HashMap::new();
    for (suffix, entry) in read.site {
        let plain = suffix.trim_matches('.').to_ascii_lowercase();
        let fine = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.' || c == '_';
        if plain.is_empty() || !plain.chars().all(fine) {
            return Err(SitesError::Suffix { file, suffix });
        }
        site.insert(plain, entry);
    }
    read.site = site;
    Ok(read)
}

const VERSION: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: &str) -> Result<SiteBook, SitesError> {
        SiteBook::load(&[Source { file: "own.toml", text }, SiteBook::shipped_source()])
    }

    #[test]
    fn the_longest_end_of_the_host_name_decides() {
        let book = SiteBook::shipped();
        assert_eq!(book.limits("smtp-in.orange.fr").connections_max, 2);
        assert_eq!(book.limits("SMTP-IN.Orange.FR.").mails_per_connection_max, 100);
        assert_eq!(book.limits("mx.notorange.fr"), SiteLimits::default());
        assert_eq!(book.limits("alt1.gmail-smtp-in.l.google.com").connections_max, 8);
        assert_eq!(book.limits("x-com.olc.protection.outlook.com").mails_per_connection_max, 50);
        assert_eq!(book.limits(""), SiteLimits::default());
    }

    #[test]
    fn an_own_file_goes_before_the_shipped_one_key_by_key() {
        let book = with(
            "version = 1\n[default]\nconnections = 9\n[site.\"orange.fr\"]\nmails_per_minute = 30\n\
             [site.\"slow.example\"]\nconnections = 1\n",
        )
        .unwrap();
        let orange = book.limits("smtp-in.orange.fr");
        assert_eq!((orange.connections_max, orange.mails_per_minute_max), (2, NonZeroU32::new(30)));
        assert_eq!(book.limits("mx.else.example").connections_max, 9);
        assert_eq!(book.limits("mx.slow.example").connections_max, 1);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let error = |text| with(text).unwrap_err().to_string();
        assert!(
            error("version = 1\n[site.\"a.b\"]\nconections = 1\n").contains("own.toml: TOML parse error at line 3")
        );
        assert!(error("version = 2\n").contains("version 2 is not known"));
        assert!(
            error("version = 1\n[default]\nconnections = 0\n").contains("[default] connections must be at least 1")
        );
        assert!(error("version = 1\n[site.\"*.fr\"]\n").contains("\"*.fr\" is no end of a host name"));
    }
}
