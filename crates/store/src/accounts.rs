//! Orgs and their logins: who may send, under which names (R3).

mod bcrypt;
pub(crate) mod hash;
mod imported;
mod limits;
mod returns;
mod shacrypt;
mod suppression;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sm2tp_proto::{Address, Domain, scram};
use sm2tp_rules::suppress::OfOrg;
use sm2tp_rules::{Stream, StreamBy, stream};
use subtle::ConstantTimeEq;

use crate::ledger::{Ledger, LedgerError};
use crate::sql::{Sql, SqlError};
use crate::{Refused, dkim};
use limits::Kind;
pub use limits::{Limits, LimitsChange};
pub use returns::{ReturnPath, Unsubscribe, Untold, Wishes, WishesChange};

/// An organisation that may send through this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Org {
    pub name: String,
    /// Sender domains it may use; empty: any.
    pub domains: Vec<String>,
    /// Stream of its logins that name none.
    pub stream: Stream,
    pub logins: Vec<LoginInfo>,
    pub limits: Limits,
}

/// A login as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginInfo {
    pub login: String,
    pub stream: Stream,
    /// SCRAM can be used. Logins from before there was any, and those whose password it has no form for, cannot.
    pub scram: bool,
    pub limits: Limits,
}

/// Who sends, once a login or a network is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub org: Arc<str>,
    pub login: Option<Arc<str>>,
    /// Sender domains and, besides them, addresses that it may use; any where there are neither.
    pub domains: Arc<[Domain]>,
    pub addresses: Arc<[Address]>,
    /// The stream of its mail, as far as the sender tells it.
    pub kind: stream::Kind,
}

/// The accounts of a node, in memory, followed by the ledger's file.
#[derive(Clone)]
pub struct Accounts {
    ledger: Ledger,
    known: Arc<RwLock<Known>>,
    checking: hash::Checking,
    verified: Arc<Mutex<Verified>>,
    /// The hash of no password: an unknown login costs as much time as a wrong password.
    dummy: Arc<str>,
    scram: Scram,
}

/// Whether SCRAM keys are kept beside the Argon2id hashes (`docs/decisions/0008-scram.md`).
#[derive(Clone, Copy)]
pub enum Scram {
    /// `pretend` is the secret behind the keys of logins that do not exist.
    Keep {
        pretend: [u8; 32],
    },
    Off,
}

#[derive(Default)]
struct Known {
    orgs: HashMap<String, Org>,
    logins: HashMap<String, Login>,
    limits: limits::Table,
    wishes: HashMap<String, Wishes>,
    suppression: HashMap<String, OfOrg>,
    /// Which orgs list a domain, by its name in the DNS.
    listed: HashMap<String, Vec<String>>,
}

#[derive(Clone)]
struct Login {
    account: Account,
    hash: Arc<str>,
    scram: Option<Arc<scram::Keys>>,
}

/// What became of a login that another program had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    Fresh,
    /// There is one of that name, which stays as it is.
    There,
    /// Why it cannot be kept.
    Refused(String),
}

/// A login as it is kept.
struct Fresh {
    login: String,
    hash: String,
    scram: Option<String>,
}

/// Passwords that were right lately, as salted hashes: a mail client logs in for every message.
struct Verified {
    salt: [u8; 32],
    until: HashMap<[u8; 32], u64>,
}

impl Accounts {
    /// Reads the accounts of the ledger file. With [`Scram::Off`], SCRAM keys that were kept are removed.
    ///
    /// # Errors
    /// [`LedgerError`] where it cannot be read.
    pub async fn load(ledger: Ledger, scram: Scram) -> Result<Self, LedgerError> {
        let mut salt = [0; 32];
        getrandom::fill(&mut salt).map_err(|error| LedgerError::Failed(format!("no random bytes: {error}")))?;
        let accounts = Self {
            ledger,
            known: Arc::default(),
            checking: hash::Checking::default(),
            verified: Arc::new(Mutex::new(Verified { salt, until: HashMap::new() })),
            dummy: hash("no password at all")?.into(),
            scram,
        };
        if matches!(scram, Scram::Off) {
            let forget = "UPDATE login SET scram = NULL WHERE scram IS NOT NULL";
            accounts.ledger.write(move |sql| Ok(sql.execute(forget, &[])?)).await?;
        }
        accounts.reload().await?;
        Ok(accounts)
    }

    /// The account of clients in trusted networks. It has no domains; any sender address, unless some were named.
    #[must_use]
    pub fn local(&self, stream: Stream) -> Account {
        let limits = limits_of(&self.known.read().unwrap_or_else(PoisonError::into_inner).limits, Kind::Org, LOCAL);
        let addresses = limits.addresses.iter().filter_map(|text| Address::parse(text).ok()).collect();
        let kind = stream::Kind { stream, by: StreamBy::Network };
        Account { org: LOCAL.into(), login: None, domains: Arc::from([]), addresses, kind }
    }

    /// The account of a login, if the password is right. `now` in unix seconds.
    pub async fn verify(&self, login: &str, password: &str, now: u64) -> Option<Account> {
        let found = self.known.read().unwrap_or_else(PoisonError::into_inner).logins.get(login).cloned();
        let (account, hash) = match found {
            Some(login) => (Some(login.account), login.hash),
            None => (None, self.dummy.clone()),
        };
        let fingerprint = self.fingerprint(login, &hash, password);
        if account.is_some() && self.is_fresh(&fingerprint, now) {
            return account;
        }
        let right = self.checking.is_right(hash, password).await;
        let account = account.filter(|_| right)?;
        let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        if VERIFIED_MAX <= verified.until.len() {
            verified.until.retain(|_, until| now < *until);
        }
        if verified.until.len() < VERIFIED_MAX {
            verified.until.insert(fingerprint, now + VERIFIED_S);
        }
        Some(account)
    }

    /// The SCRAM keys of a login. Where there are none, pretended ones that no password has.
    #[must_use]
    pub fn scram_keys(&self, login: &str) -> scram::Keys {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let (found, pretend) = match self.scram {
            Scram::Keep { pretend } => (known.logins.get(login).and_then(|login| login.scram.clone()), pretend),
            Scram::Off => (None, [0; 32]),
        };
        // Made in any case, so that both answers take the same time.
        let pretended = scram::Keys::pretended(login, &pretend, SCRAM_ITERATIONS);
        found.map_or(pretended, |keys| keys.as_ref().clone())
    }

    /// The account of a login that has proved by other means that it is the one it says.
    #[must_use]
    pub fn account(&self, login: &str) -> Option<Account> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.logins.get(login).map(|login| login.account.clone())
    }

    /// The account of a login that a directory let in, in the organisation `org`; none where there is no such organisation.
    /// `addresses`: those that it may send with, where the directory says so; then its organisation's domains are not its own.
    #[must_use]
    pub fn from_directory(
        &self,
        login: &str,
        org: &str,
        stream: Option<Stream>,
        addresses: Option<Vec<Address>>,
    ) -> Option<Account> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let org = known.orgs.get(org)?;
        let (domains, addresses) = match addresses {
            // An account with neither may use any.
            Some(addresses) if addresses.is_empty() => return None,
            Some(addresses) => (Arc::from([]), addresses.into()),
            None => senders(org, &limits_of(&known.limits, Kind::Login, login)),
        };
        Some(account_of(org, Some(login), (domains, addresses), stream))
    }

    /// The account of an organisation itself, for its programs that have no login.
    #[must_use]
    pub fn of_org(&self, name: &str) -> Option<Account> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let org = known.orgs.get(name)?;
        Some(account_of(org, None, senders(org, &Limits::default()), None))
    }

    /// The account of a login that another mail server let in: of this node, or of the organisation `local` where only that
    /// server knows it. `stream` is for the latter.
    #[must_use]
    pub fn let_in(&self, login: &str, stream: Stream) -> Account {
        self.account(login).unwrap_or_else(|| Account { login: Some(login.into()), ..self.local(stream) })
    }

    /// All orgs, by name.
    #[must_use]
    pub fn orgs(&self) -> Vec<Org> {
        let mut orgs: Vec<_> =
            self.known.read().unwrap_or_else(PoisonError::into_inner).orgs.values().cloned().collect();
        orgs.sort_by(|a, b| a.name.cmp(&b.name));
        orgs
    }

    /// Whether there is this organisation; `local` is always there.
    #[must_use]
    pub fn has_org(&self, name: &str) -> bool {
        name == LOCAL || self.known.read().unwrap_or_else(PoisonError::into_inner).orgs.contains_key(name)
    }

    /// The domains that the node's orgs host: other nodes have no say about them.
    #[must_use]
    pub fn hosts(&self, domain: &Domain) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.orgs.values().any(|org| org.domains.iter().any(|own| own == domain.as_str()))
    }

    /// Whether this org may use its own sender domains only. An org that is gone since its mail was taken has none.
    #[must_use]
    pub fn has_domains(&self, org: &str) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if org == LOCAL { false } else { known.orgs.get(org).is_none_or(|org| !org.domains.is_empty()) }
    }

    /// Whether orgs list this domain, by its name in the DNS; and if so, whether `org` is one of them.
    #[must_use]
    pub fn lists(&self, domain: &str, org: &str) -> Option<bool> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.listed.get(domain).map(|orgs| orgs.iter().any(|name| name == org))
    }

    /// Adds an org, or gives it other domains and another stream.
    ///
    /// # Errors
    /// [`LedgerError`] where it cannot be kept.
    pub async fn put_org(&self, name: &str, domains: Vec<Domain>, stream: Stream, now: u64) -> Result<(), LedgerError> {
        let name = name.to_owned();
        if name.is_empty() || name == LOCAL || NAME_OCTETS_MAX < name.len() || name.chars().any(char::is_control) {
            return Err(Refused::OrgName { name, octets_max: NAME_OCTETS_MAX, taken: LOCAL }.into());
        }
        let domains = domains.iter().map(Domain::as_str).collect::<Vec<_>>().join(" ");
        self.ledger
            .write(move |sql| {
                sql.execute(
                    "INSERT INTO org (name, domains, stream, added_at) VALUES ($1, $2, $3, $4) \
                     ON CONFLICT (name) DO UPDATE SET domains = excluded.domains, stream = excluded.stream",
                    &[name.into(), domains.into(), stream.as_str().into(), now.into()],
                )?;
                Ok(())
            })
            .await?;
        self.reload().await
    }

    /// Removes an org with its logins. Mail that it has queued is delivered all the same: it was accepted.
    ///
    /// # Errors
    /// [`LedgerError::Refused`] where there is none of that name.
    pub async fn remove_org(&self, name: &str) -> Result<(), LedgerError> {
        const FORGET: &str = "DELETE FROM allowance WHERE kind = 'org' AND name = $1 \
                              OR kind = 'login' AND name IN (SELECT login FROM login WHERE org = $1)";
        const BESIDE: &str = "DELETE FROM org_returns WHERE org = $1";
        const SUPPRESSION: &str = "DELETE FROM org_suppression WHERE org = $1";
        self.remove(&[FORGET, BESIDE, SUPPRESSION, "DELETE FROM org WHERE name = $1"], name, |org| Refused::NoOrg {
            org,
        })
        .await
    }

    /// Adds a login to an org, or gives it another password and stream.
    ///
    /// # Errors
    /// [`LedgerError::Refused`] where the org is unknown or the login unusable.
    pub async fn put_login(
        &self,
        org: &str,
        login: &str,
        password: &str,
        stream: Option<Stream>,
        now: u64,
    ) -> Result<(), LedgerError> {
        self.known_org(org)?;
        usable(login)?;
        if password.len() < PASSWORD_OCTETS_MIN {
            return Err(Refused::LoginPassword { characters_min: PASSWORD_OCTETS_MIN }.into());
        }
        let (plain, keeps) = (password.to_owned(), self.scram);
        let made = tokio::task::spawn_blocking(move || Ok::<_, LedgerError>((hash(&plain)?, scram_of(&plain, keeps)?)));
        let (hash, scram) = made.await.map_err(|_| LedgerError::Closed)??;
        self.keep_logins(org, vec![Fresh { login: login.to_owned(), hash, scram }], (stream, now)).await
    }

    /// Adds logins with passwords that another program has hashed: `{SCHEME}hash`, as Dovecot writes it. All of them are
    /// kept, or none. Answers of each what became of it.
    ///
    /// # Errors
    /// [`LedgerError::Refused`] where the org is unknown.
    pub async fn put_hashed_logins(
        &self,
        org: &str,
        logins: &[(String, String)],
        stream: Option<Stream>,
        now: u64,
    ) -> Result<Vec<Taken>, LedgerError> {
        self.known_org(org)?;
        let (mut fresh, mut answers, mut seen) = (Vec::new(), Vec::with_capacity(logins.len()), HashSet::new());
        for (login, hash) in logins {
            answers.push(if self.account(login).is_some() || !seen.insert(login) {
                Taken::There
            } else {
                match usable(login).map_err(|refused| refused.to_string()).and_then(|()| imported::read(hash)) {
                    Ok(read) => {
                        let scram = read.scram.filter(|_| matches!(self.scram, Scram::Keep { .. }));
                        fresh.push(Fresh { login: login.clone(), hash: read.hash, scram });
                        Taken::Fresh
                    }
                    Err(why) => Taken::Refused(format!("{login}: {why}")),
                }
            });
        }
        if !fresh.is_empty() {
            self.keep_logins(org, fresh, (stream, now)).await?;
        }
        Ok(answers)
    }

    fn known_org(&self, org: &str) -> Result<(), LedgerError> {
        match self.known.read().unwrap_or_else(PoisonError::into_inner).orgs.contains_key(org) {
            true => Ok(()),
            false => Err(Refused::NoOrg { org: org.to_owned() }.into()),
        }
    }

    async fn keep_logins(
        &self,
        org: &str,
        logins: Vec<Fresh>,
        (stream, now): (Option<Stream>, u64),
    ) -> Result<(), LedgerError> {
        let org = org.to_owned();
        let keep = "INSERT INTO login (login, org, hash, stream, added_at, scram) VALUES ($1, $2, $3, $4, $5, $6) \
             ON CONFLICT (login) DO UPDATE SET org = excluded.org, hash = excluded.hash, \
             stream = excluded.stream, scram = excluded.scram";
        let write = self.ledger.write(move |sql| {
            for Fresh { login, hash, scram } in logins {
                let stream = stream.map(Stream::as_str).into();
                sql.execute(keep, &[login.into(), org.as_str().into(), hash.into(), stream, now.into(), scram.into()])?;
            }
            Ok(())
        });
        write.await?;
        self.reload().await
    }

    /// Removes a login.
    ///
    /// # Errors
    /// [`LedgerError::Refused`] where there is none of that name.
    pub async fn remove_login(&self, login: &str) -> Result<(), LedgerError> {
        const FORGET: &str = "DELETE FROM allowance WHERE kind = 'login' AND name = $1";
        self.remove(&[FORGET, "DELETE FROM login WHERE login = $1"], login, |login| Refused::NoLogin { login }).await
    }

    /// Some statements; the last one says whether there was anything.
    async fn remove(
        &self,
        statements: &'static [&'static str],
        name: &str,
        missing: fn(String) -> Refused,
    ) -> Result<(), LedgerError> {
        let key = name.to_owned();
        let gone = self
            .ledger
            .write(move |sql| {
                let mut gone = 0;
                for statement in statements {
                    gone = sql.execute(statement, &[key.as_str().into()])?;
                }
                Ok(gone)
            })
            .await?;
        if gone == 0 {
            return Err(missing(name.to_owned()).into());
        }
        self.reload().await
    }

    /// Reads them again: another machine of this node has changed them.
    ///
    /// # Errors
    /// [`LedgerError`] where they cannot be read; those of before hold.
    pub async fn reload(&self) -> Result<(), LedgerError> {
        let fresh = self.ledger.read(|sql| Ok(read(sql)?)).await?;
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// The hash is part of it: a changed password is not fresh.
    fn fingerprint(&self, login: &str, hash: &str, password: &str) -> [u8; 32] {
        let verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        let mut digest = Sha256::new();
        for part in [&verified.salt[..], login.as_bytes(), hash.as_bytes(), password.as_bytes()] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        digest.finalize().into()
    }

    fn is_fresh(&self, fingerprint: &[u8; 32], now: u64) -> bool {
        let verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        verified.until.iter().any(|(known, until)| now < *until && bool::from(known[..].ct_eq(&fingerprint[..])))
    }
}

fn read(sql: &mut dyn Sql) -> Result<Known, SqlError> {
    let (limits, wishes, suppression) = (limits::read(sql)?, returns::read(sql)?, suppression::read(sql)?);
    let mut known = Known { limits, wishes, suppression, ..Known::default() };
    let stored = |error: sm2tp_rules::UnknownWord| SqlError::Stored(error.to_string());
    sql.rows("SELECT name, domains, stream FROM org", &[], &mut |row| {
        let name = row.text(0)?.to_owned();
        let domains: Vec<String> = row.text(1)?.split_whitespace().map(str::to_owned).collect();
        for domain in domains.iter().filter_map(|domain| dkim::ascii(&Domain::parse(domain).ok()?)) {
            known.listed.entry(domain.to_string()).or_default().push(name.clone());
        }
        let stream = row.text(2)?.parse().map_err(stored)?;
        let limits = limits_of(&known.limits, Kind::Org, &name);
        known.orgs.insert(name.clone(), Org { limits, name, domains, stream, logins: Vec::new() });
        Ok(())
    })?;
    sql.rows("SELECT login, org, hash, stream, scram FROM login ORDER BY login", &[], &mut |row| {
        let login = row.text(0)?.to_owned();
        let Some(org) = known.orgs.get_mut(row.text(1)?) else { return Ok(()) };
        let own = row.text_or_null(3)?.map(str::parse).transpose().map_err(stored)?;
        let limits = limits_of(&known.limits, Kind::Login, &login);
        let account = account_of(org, Some(&login), senders(org, &limits), own);
        let keys = row.text_or_null(4)?.map(str::parse::<scram::Keys>).transpose();
        let keys = keys.map_err(|error| SqlError::Stored(format!("SCRAM keys of {login:?}: {error}")))?;
        let stream = account.kind.stream;
        org.logins.push(LoginInfo { login: login.clone(), stream, scram: keys.is_some(), limits });
        known.logins.insert(login, Login { account, hash: row.text(2)?.into(), scram: keys.map(Arc::new) });
        Ok(())
    })?;
    Ok(known)
}

/// The account of an organisation or of a login in it. `own` is the stream of the login, where it has one.
fn account_of(
    org: &Org,
    login: Option<&str>,
    (domains, addresses): (Arc<[Domain]>, Arc<[Address]>),
    own: Option<Stream>,
) -> Account {
    let by = if own.is_some() { StreamBy::Login } else { StreamBy::Org };
    let kind = stream::Kind { stream: own.unwrap_or(org.stream), by };
    Account { org: org.name.as_str().into(), login: login.map(Into::into), domains, addresses, kind }
}

/// The domains and the addresses that a login may use: those of its organisation and its own, or its own alone.
fn senders(org: &Org, login: &Limits) -> (Arc<[Domain]>, Arc<[Address]>) {
    let addresses = |limits: &Limits| -> Vec<Address> {
        limits.addresses.iter().filter_map(|text| Address::parse(text).ok()).collect()
    };
    if login.own_addresses_only {
        return (Arc::from([]), addresses(login).into());
    }
    // An organisation that may use any must not be kept to the few that a login is given besides.
    if org.domains.is_empty() && org.limits.addresses.is_empty() {
        return (Arc::from([]), Arc::from([]));
    }
    let domains = org.domains.iter().filter_map(|domain| Domain::parse(domain).ok()).collect();
    (domains, [addresses(&org.limits), addresses(login)].concat().into())
}

fn limits_of(table: &limits::Table, kind: Kind, name: &str) -> Limits {
    table.get(&(kind, name.to_owned())).map_or_else(Limits::default, |limits| limits.as_ref().clone())
}

fn usable(login: &str) -> Result<(), Refused> {
    let fits = !login.is_empty() && login.len() <= NAME_OCTETS_MAX && !login.chars().any(char::is_control);
    if fits { Ok(()) } else { Err(Refused::LoginName { octets_max: NAME_OCTETS_MAX }) }
}

fn hash(password: &str) -> Result<String, LedgerError> {
    hash::hash(password).map_err(|error| LedgerError::Failed(format!("the password: {error}")))
}

/// The SCRAM keys of a new password as text; none where they are not kept, or where the password has no form there.
fn scram_of(password: &str, keeps: Scram) -> Result<Option<String>, LedgerError> {
    let Scram::Keep { .. } = keeps else { return Ok(None) };
    let mut salt = [0; scram::SALT_OCTETS];
    getrandom::fill(&mut salt).map_err(|error| LedgerError::Failed(format!("no random bytes: {error}")))?;
    Ok(scram::Keys::derive(password, &salt, SCRAM_ITERATIONS).ok().map(|keys| keys.to_string()))
}

/// The org of trusted networks.
pub const LOCAL: &str = "local";
const NAME_OCTETS_MAX: usize = 255;
const PASSWORD_OCTETS_MIN: usize = 8;
/// PBKDF2 rounds. Each client pays them at each login (some 50 ms on a telephone), and so does who tries stolen keys at home.
const SCRAM_ITERATIONS: u32 = 120_000;
/// How long a right password needs no second Argon2id.
const VERIFIED_S: u64 = 300;
/// Right passwords remembered; 40 octets each.
const VERIFIED_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TempDir;

    const KEEP: Scram = Scram::Keep { pretend: [3; 32] };

    #[tokio::test]
    async fn a_login_is_checked_and_carries_its_orgs_domains_and_stream() {
        let dir = TempDir::new();
        let ledger = crate::testing::ledger(dir.path());
        let accounts = Accounts::load(ledger.clone(), KEEP).await.unwrap();
        let domain = Domain::parse("asso.example").unwrap();
        accounts.put_org("asso", vec![domain.clone()], Stream::Personal, 1).await.unwrap();
        accounts.put_login("asso", "news", "correct horse", Some(Stream::Bulk), 1).await.unwrap();
        for accounts in [accounts.clone(), Accounts::load(ledger, KEEP).await.unwrap()] {
            let account = accounts.verify("news", "correct horse", 10).await.unwrap();
            assert_eq!(
                (&*account.org, account.kind.stream, &account.domains[..]),
                ("asso", Stream::Bulk, &[domain.clone()][..])
            );
            assert_eq!(accounts.verify("news", "correct horse", 11).await, Some(account));
            assert_eq!(accounts.verify("news", "wrong horse", 10).await, None);
            assert_eq!(accounts.verify("nobody", "correct horse", 10).await, None);
            assert!(accounts.hosts(&domain));
            assert!(accounts.has_domains("asso") && accounts.has_domains("gone") && !accounts.has_domains(LOCAL));
            assert_eq!(accounts.lists("asso.example", "asso"), Some(true));
            assert_eq!(accounts.lists("asso.example", LOCAL), Some(false));
            assert_eq!(accounts.lists("b.example", "asso"), None);
        }
        accounts.put_login("asso", "news", "another one", None, 1).await.unwrap();
        assert_eq!(accounts.verify("news", "correct horse", 12).await, None);
        assert_eq!(accounts.verify("news", "another one", 12).await.unwrap().kind.stream, Stream::Personal);
        accounts.remove_org("asso").await.unwrap();
        assert_eq!(accounts.verify("news", "another one", 13).await, None);
    }

    #[tokio::test]
    async fn who_a_directory_lets_in_has_an_org_of_this_node_and_never_all_addresses_by_mistake() {
        let dir = TempDir::new();
        let accounts = Accounts::load(crate::testing::ledger(dir.path()), KEEP).await.unwrap();
        let domain = Domain::parse("asso.example").unwrap();
        accounts.put_org("asso", vec![domain.clone()], Stream::Personal, 1).await.unwrap();
        let own = Address::parse("anna@asso.example").unwrap();
        let anna = |addresses| accounts.from_directory("anna", "asso", Some(Stream::Bulk), addresses);
        let plain = anna(None).unwrap();
        assert_eq!(
            (&plain.domains[..], &plain.addresses[..], plain.kind.stream),
            (&[domain][..], &[][..], Stream::Bulk)
        );
        let kept = anna(Some(vec![own.clone()])).unwrap();
        assert_eq!((&kept.domains[..], &kept.addresses[..]), (&[][..], &[own][..]));
        assert_eq!(anna(Some(Vec::new())), None);
        assert_eq!(accounts.from_directory("anna", "nobody", None, None), None);
    }

    #[tokio::test]
    async fn what_makes_no_sense_is_refused_with_a_sentence() {
        let dir = TempDir::new();
        let accounts = Accounts::load(crate::testing::ledger(dir.path()), KEEP).await.unwrap();
        for error in [
            accounts.put_org("local", Vec::new(), Stream::Personal, 1).await.unwrap_err(),
            accounts.put_org("", Vec::new(), Stream::Personal, 1).await.unwrap_err(),
            accounts.put_login("nobody", "a", "long enough", None, 1).await.unwrap_err(),
            accounts.remove_org("nobody").await.unwrap_err(),
        ] {
            assert!(matches!(error, LedgerError::Refused(_)), "{error}");
        }
    }

    #[tokio::test]
    async fn scram_keys_come_with_the_password_and_go_when_they_are_not_wanted() {
        let dir = TempDir::new();
        let ledger = crate::testing::ledger(dir.path());
        let accounts = Accounts::load(ledger.clone(), KEEP).await.unwrap();
        accounts.put_org("asso", Vec::new(), Stream::Personal, 1).await.unwrap();
        accounts.put_login("asso", "anna", "correct horse", None, 1).await.unwrap();
        // SASLprep has no form of a tabulator.
        accounts.put_login("asso", "bob", "correct\thorse", None, 1).await.unwrap();
        let has = |accounts: &Accounts| accounts.orgs()[0].logins.iter().map(|login| login.scram).collect::<Vec<_>>();
        assert_eq!(has(&accounts), [true, false]);
        let anna = accounts.scram_keys("anna");
        assert_ne!(anna, scram::Keys::pretended("anna", &[3; 32], SCRAM_ITERATIONS));
        for pretended in ["bob", "nobody"] {
            assert_eq!(accounts.scram_keys(pretended), scram::Keys::pretended(pretended, &[3; 32], SCRAM_ITERATIONS));
        }
        let again = Accounts::load(ledger.clone(), KEEP).await.unwrap();
        assert_eq!(again.scram_keys("anna"), anna);
        let off = Accounts::load(ledger.clone(), Scram::Off).await.unwrap();
        assert_eq!(has(&off), [false, false]);
        off.put_login("asso", "anna", "another one", None, 1).await.unwrap();
        assert_eq!(has(&Accounts::load(ledger, KEEP).await.unwrap()), [false, false]);
    }

    #[tokio::test]
    async fn a_ledger_without_scram_is_brought_up() {
        let dir = TempDir::new();
        let path = crate::ledger::path(dir.path());
        let old = crate::sql::open_sqlite(&path).unwrap();
        old.execute_batch(
            "CREATE TABLE org (name TEXT PRIMARY KEY, domains TEXT NOT NULL, stream TEXT NOT NULL, \
                 added_at INTEGER NOT NULL); \
             CREATE TABLE login (login TEXT PRIMARY KEY, org TEXT NOT NULL REFERENCES org (name) ON DELETE CASCADE, \
                 hash TEXT NOT NULL, stream TEXT, added_at INTEGER NOT NULL); \
             CREATE TABLE send_log (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, message_id TEXT, kind TEXT, recipient TEXT); \
             CREATE TABLE peer (node BLOB PRIMARY KEY, polled_at INTEGER, trouble TEXT) WITHOUT ROWID; \
             CREATE TABLE segment (n INTEGER PRIMARY KEY, origin BLOB, epoch INTEGER, segno INTEGER, header BLOB, \
                 introducer BLOB, received_at INTEGER, UNIQUE (origin, epoch, segno)); \
             CREATE TABLE event (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, subject TEXT NOT NULL, kind TEXT NOT NULL, \
                 cause TEXT, sub TEXT, stream TEXT, count INTEGER NOT NULL, key_id BLOB, tag BLOB, domain TEXT, org TEXT, \
                 login TEXT, provider TEXT, code INTEGER, enhanced TEXT, strength TEXT, rule TEXT, note TEXT); \
             CREATE TABLE recipient (tag BLOB PRIMARY KEY, key_id BLOB, domain TEXT, delivered_at INTEGER NOT NULL, hard_first_at INTEGER NOT NULL, \
                 hard_at INTEGER NOT NULL, hard_strong INTEGER NOT NULL, hard_inactive INTEGER NOT NULL, \
                 hard_code INTEGER NOT NULL, hard_enhanced TEXT, soft_count INTEGER NOT NULL, \
                 soft_first_at INTEGER NOT NULL, soft_at INTEGER NOT NULL, reply TEXT, rule TEXT) WITHOUT ROWID; \
             INSERT INTO org VALUES ('asso', '', 'personal', 1); PRAGMA user_version = 1;",
        )
        .unwrap();
        let values = ["anna".into(), hash("correct horse").unwrap()];
        old.execute("INSERT INTO login VALUES (?1, 'asso', ?2, NULL, 1)", values).unwrap();
        drop(old);
        for _ in 0..2 {
            let accounts = Accounts::load(Ledger::open(&path).unwrap(), KEEP).await.unwrap();
            assert!(accounts.verify("anna", "correct horse", 10).await.is_some());
            assert!(!accounts.orgs()[0].logins[0].scram);
        }
    }
}
