//! Logins that a directory knows (LDAP, RFC 4511): a person is found by a search or by the form of its name, and its password is
//! right if the directory lets it in with it.
//!
//! The node keeps no password: a salted hash of the last one that was right stays in memory, so that a mail client that logs in
//! for each message asks the directory rarely, and people can send while it is down.

mod memory;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ldap3::{
    Ldap, LdapConnAsync, LdapConnSettings, LdapError, Scope, SearchEntry, SearchOptions, dn_escape, ldap_escape,
};
use rustls::ClientConfig;
use sm2tp_proto::Address;
use sm2tp_proto::smtp::Secret;
use sm2tp_rules::Stream;
use sm2tp_store::accounts::{Account, Accounts};
use sm2tp_store::keys;
use thiserror::Error;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use self::memory::Memory;

/// What the configuration says of the directory.
pub struct Settings {
    /// Tried in this order: `ldap://host:port` or `ldaps://host:port`.
    pub servers: Vec<String>,
    /// On `ldap://`: TLS before anything is said (RFC 4511 §4.14).
    pub starttls: bool,
    pub tls: Arc<ClientConfig>,
    pub find: Find,
    /// The attribute that names a person's organisation; without it, or without a value, `org`.
    pub org_attribute: Option<String>,
    pub org: Option<String>,
    /// The attribute with the addresses that a person may send with, and no others.
    pub address_attribute: Option<String>,
    /// Of the mail of these logins; none: that of their organisation.
    pub stream: Option<Stream>,
    /// How long a password that was right is taken while no server answers.
    pub keep: Duration,
}

/// How a login becomes a name in the directory; `{login}` stands for it.
pub enum Find {
    /// A search below `base`, as `bind` or anonymously, that finds one entry.
    Search { bind: Option<(String, Secret)>, base: String, filter: String },
    /// The name has always this form.
    Name(String),
}

/// What the directory says of a person.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Person {
    /// None: that of the configuration.
    pub org: Option<String>,
    /// None: the directory does not say.
    pub addresses: Option<Vec<Address>>,
}

/// No server answered, and nothing is remembered that would do.
#[derive(Debug, Error)]
#[error("the directory of logins does not answer: {0}")]
pub struct Unavailable(String);

/// The directory; clones share connections and memory.
#[derive(Clone)]
pub struct Directory(Arc<Inner>);

struct Inner {
    settings: Settings,
    /// Connections that nobody uses.
    idle: Mutex<Vec<Ldap>>,
    places: Semaphore,
    memory: Mutex<Memory>,
    /// Said in the log when it begins and when it ends.
    down: AtomicBool,
}

impl Directory {
    /// Asks nobody yet: a node starts while its directory is down.
    ///
    /// # Errors
    /// Where the system has no random octets.
    pub fn new(settings: Settings) -> io::Result<Self> {
        let salt = keys::random().map_err(io::Error::other)?;
        Ok(Self(Arc::new(Inner {
            settings,
            idle: Mutex::default(),
            places: Semaphore::new(CONNECTIONS_MAX),
            memory: Mutex::new(Memory::new(salt)),
            down: AtomicBool::new(false),
        })))
    }

    /// The account of a person that was let in; none where this node has no such organisation, or the person no address.
    #[must_use]
    pub fn account(&self, accounts: &Accounts, login: &str, person: &Person) -> Option<Account> {
        let settings = &self.0.settings;
        let org = person.org.as_ref().or(settings.org.as_ref())?;
        let account = accounts.from_directory(login, org, settings.stream, person.addresses.clone());
        if account.is_none() {
            tracing::warn!(
                login = %login.escape_debug(),
                org = %org.escape_debug(),
                "the directory lets this login in, but this node has no such organisation, or the person no address"
            );
        }
        account
    }

    /// Who this is, if the password is right. `now` in unix seconds.
    ///
    /// # Errors
    /// [`Unavailable`] where nobody can tell now.
    pub async fn verify(&self, login: &str, password: &str, now: u64) -> Result<Option<Person>, Unavailable> {
        // RFC 4513 §5.1.2: a name with an empty password is let in as nobody, by servers that allow it.
        if password.is_empty() || !is_plausible(login) || PASSWORD_OCTETS_MAX < password.len() {
            return Ok(None);
        }
        let remembered = self.memory().right(login, password);
        if let Some((person, asked_at)) = &remembered
            && now < asked_at.saturating_add(FRESH_S)
        {
            return Ok(Some(person.clone()));
        }
        match self.ask(login, password).await {
            Ok(Some(person)) => {
                self.memory().keep(login, password, person.clone(), now, self.0.settings.keep.as_secs());
                Ok(Some(person))
            }
            Ok(None) => {
                if remembered.is_some() {
                    self.memory().forget(login);
                }
                Ok(None)
            }
            Err(why) => match remembered {
                Some((person, asked_at)) if now < asked_at.saturating_add(self.0.settings.keep.as_secs()) => {
                    Ok(Some(person))
                }
                _ => Err(Unavailable(why)),
            },
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the servers, within a time that a mail client waits.
    async fn ask(&self, login: &str, password: &str) -> Result<Option<Person>, String> {
        let asked = timeout(ANSWER_MAX, async {
            let _place = self.0.places.acquire().await.map_err(|error| error.to_string())?;
            self.0.ask(login, password).await
        });
        let answer = asked.await.unwrap_or_else(|_| Err(format!("no answer within {} s", ANSWER_MAX.as_secs())));
        match &answer {
            Ok(_) if self.0.down.swap(false, Ordering::Relaxed) => {
                tracing::info!("the directory of logins answers again")
            }
            Err(why) if !self.0.down.swap(true, Ordering::Relaxed) => {
                tracing::warn!(%why, "the directory of logins does not answer; who was right lately is let in");
            }
            _ => {}
        }
        answer
    }
}

impl Inner {
    async fn ask(&self, login: &str, password: &str) -> Result<Option<Person>, String> {
        // A connection that lay there may have been closed by the server: that says nothing about the next one.
        while let Some(mut open) = self.pop() {
            if let Ok(found) = self.person(&mut open, login, password).await {
                self.push(open);
                return Ok(found);
            }
        }
        let mut trouble = String::new();
        for server in &self.settings.servers {
            match self.ask_at(server, login, password).await {
                Ok(found) => return Ok(found),
                Err(error) => trouble = format!("{server}: {error}"),
            }
        }
        Err(trouble)
    }

    async fn ask_at(&self, server: &str, login: &str, password: &str) -> Result<Option<Person>, LdapError> {
        let settings = LdapConnSettings::new()
            .set_conn_timeout(CONNECT_MAX)
            .set_starttls(self.settings.starttls && !server.starts_with("ldaps:"))
            .set_config(self.settings.tls.clone());
        let (connection, mut ldap) = LdapConnAsync::with_settings(settings, server).await?;
        tokio::spawn(async move {
            if let Err(error) = connection.drive().await {
                tracing::debug!(%error, "a connection to the directory broke off");
            }
        });
        let found = self.person(&mut ldap, login, password).await?;
        self.push(ldap);
        Ok(found)
    }

    /// Finds a person and tries its password. An error is one of the server or of the way there.
    async fn person(&self, ldap: &mut Ldap, login: &str, password: &str) -> Result<Option<Person>, LdapError> {
        let (name, found) = match &self.settings.find {
            Find::Name(form) => (form.replace(LOGIN, &dn_escape(login)), None),
            Find::Search { bind, base, filter } => {
                // Whoever was let in on this connection before must not be who searches.
                let (who, secret) = bind.as_ref().map_or(("", ""), |(who, secret)| (who.as_str(), secret.reveal()));
                ldap.with_timeout(STEP_MAX).simple_bind(who, secret).await?.success()?;
                let filter = filter.replace(LOGIN, &ldap_escape(login));
                let Some(entry) = self.search(ldap, base, Scope::Subtree, &filter).await? else { return Ok(None) };
                (entry.dn.clone(), Some(self.read(&entry)))
            }
        };
        let bound = ldap.with_timeout(STEP_MAX).simple_bind(&name, password).await?;
        if REFUSALS.contains(&bound.rc) {
            return Ok(None);
        }
        bound.success()?;
        match found {
            Some(person) => Ok(Some(person)),
            None if self.wants_attributes() => {
                // Read by the person itself, whose own entry it is.
                let entry = self.search(ldap, &name, Scope::Base, "(objectClass=*)").await?;
                Ok(entry.map(|entry| self.read(&entry)))
            }
            None => Ok(Some(Person::default())),
        }
    }

    /// The one entry that fits; none where there are none or several: nobody can say who that would be.
    async fn search(
        &self,
        ldap: &mut Ldap,
        base: &str,
        scope: Scope,
        filter: &str,
    ) -> Result<Option<SearchEntry>, LdapError> {
        let wanted = [&self.settings.org_attribute, &self.settings.address_attribute];
        let mut wanted: Vec<&str> = wanted.into_iter().flatten().map(String::as_str).collect();
        if wanted.is_empty() {
            // RFC 4511 §4.5.1.8: no attributes.
            wanted.push("1.1");
        }
        let limits = SearchOptions::new().sizelimit(2);
        let found = ldap.with_timeout(STEP_MAX).with_search_options(limits).search(base, scope, filter, wanted).await?;
        let entries = match found.1.rc {
            SUCCESS | SIZE_LIMIT_EXCEEDED => found.0,
            NO_SUCH_OBJECT => return Ok(None),
            _ => found.success()?.0,
        };
        let mut entries = entries.into_iter().filter(|entry| !entry.is_ref()).map(SearchEntry::construct);
        match (entries.next(), entries.next()) {
            (Some(entry), None) => Ok(Some(entry)),
            (None, _) => Ok(None),
            (Some(_), Some(_)) => {
                tracing::warn!("the directory has several entries for one login; nobody is let in with it");
                Ok(None)
            }
        }
    }

    fn wants_attributes(&self) -> bool {
        self.settings.org_attribute.is_some() || self.settings.address_attribute.is_some()
    }

    fn read(&self, entry: &SearchEntry) -> Person {
        let values = |name: &String| {
            // RFC 4512 §2.5: names of attributes are the same in capitals.
            entry.attrs.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map_or(&[][..], |(_, values)| values)
        };
        let addresses =
            |name| values(name).iter().take(ADDRESSES_MAX).filter_map(|text| Address::parse(text).ok()).collect();
        Person {
            org: self.settings.org_attribute.as_ref().and_then(|name| values(name).first().cloned()),
            addresses: self.settings.address_attribute.as_ref().map(addresses),
        }
    }

    fn pop(&self) -> Option<Ldap> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain_mut(|ldap| !ldap.is_closed());
        idle.pop()
    }

    fn push(&self, ldap: Ldap) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(ldap);
    }
}

/// What a login may be, before a directory is troubled with it.
fn is_plausible(login: &str) -> bool {
    !login.is_empty() && login.len() <= LOGIN_OCTETS_MAX && !login.chars().any(char::is_control)
}

/// What stands for the login in names and filters.
pub const LOGIN: &str = "{login}";

/// RFC 4511 §4.1.9.
const SUCCESS: u32 = 0;
const SIZE_LIMIT_EXCEEDED: u32 = 4;
const NO_SUCH_OBJECT: u32 = 32;
/// What says that this person is not let in with this password: a constraint (a locked account), no such object, a name that is
/// none, inappropriate or invalid credentials, insufficient rights, unwilling to perform. All else is trouble.
const REFUSALS: [u32; 7] = [19, NO_SUCH_OBJECT, 34, 48, 49, 50, 53];
/// As of an org's logins.
const LOGIN_OCTETS_MAX: usize = 255;
const PASSWORD_OCTETS_MAX: usize = 1024;
/// Connections to the directory; who comes beyond them waits, within [`ANSWER_MAX`].
const CONNECTIONS_MAX: usize = 8;
const CONNECT_MAX: Duration = Duration::from_secs(3);
/// One question of a conversation.
const STEP_MAX: Duration = Duration::from_secs(5);
/// All of it: mail clients wait a minute or more for an answer to AUTH.
const ANSWER_MAX: Duration = Duration::from_secs(12);
/// How long a password that was right is not asked about again: who is taken out of the directory can send for so long.
const FRESH_S: u64 = 60;
/// Sender addresses of one person.
const ADDRESSES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use rustls::RootCertStore;

    use super::*;

    /// A directory that never answers.
    fn silent() -> Directory {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let tls = tls.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
        Directory::new(Settings {
            servers: vec!["ldap://127.0.0.1:1".to_owned()],
            starttls: false,
            tls: Arc::new(tls),
            find: Find::Name("uid={login},dc=example".to_owned()),
            org_attribute: None,
            org: Some("asso".to_owned()),
            address_attribute: None,
            stream: None,
            keep: Duration::from_secs(3600),
        })
        .unwrap()
    }

    #[tokio::test]
    async fn a_password_that_was_right_is_taken_for_a_time_while_nobody_answers() {
        let directory = silent();
        directory.memory().keep("anna", "correct horse", Person::default(), 1000, 3600);
        for now in [1000, 1000 + FRESH_S, 1000 + 3599] {
            assert_eq!(directory.verify("anna", "correct horse", now).await.unwrap(), Some(Person::default()), "{now}");
        }
        assert!(directory.verify("anna", "correct horse", 1000 + 3600).await.is_err());
        assert!(directory.verify("anna", "wrong horse", 1000).await.is_err());
    }

    #[tokio::test]
    async fn what_no_directory_should_be_asked_is_wrong_at_once() {
        let directory = silent();
        let long = "x".repeat(2000);
        for (login, password) in [("anna", ""), ("", "p"), ("an\0na", "p"), (&*long, "p"), ("anna", &*long)] {
            assert_eq!(directory.verify(login, password, 1000).await.unwrap(), None, "{login:?}");
        }
    }
}
