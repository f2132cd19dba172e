//! DKIM keys: who signs for which domain, from when until when. Files that only their owner reads, and an index.
//!
//! `keys/dkim/` holds one PKCS#8 PEM file for each key, named as its record in the DNS, and `index.json` with the times.
//! Both are read strictly: what is open to others, damaged or not listed is an error, never skipped, because mail that
//! leaves without its signature is refused by others and nobody here would notice.

mod index;
mod record;
mod secret;

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use sm2tp_proto::Domain;
use thiserror::Error;

pub use self::record::{Published, Record};
pub use self::secret::{Algorithm, SecretError};

use self::index::{Entry, Index};
use self::secret::Secret;
use crate::keys::{KeysError, at, read_secret, write_secret};

/// A key with its place in the DNS and its times.
pub struct Key {
    /// In ASCII form (RFC 6376 §3.5).
    pub domain: Domain,
    pub selector: String,
    /// Unix seconds: signs from then on.
    pub since: u64,
    /// Unix seconds: signs until then; none while nothing is to follow it.
    pub until: Option<u64>,
    secret: Arc<Secret>,
}

/// Where a key is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Its record shall be published; it begins to sign at `since`.
    Waiting,
    Signing,
    /// Signs no more; what it signed is still being verified, so the record stays.
    Retired,
    /// Nothing that it signed is valid any more: record and key may go.
    Over,
}

/// What a new key is made from.
#[derive(Debug, Clone)]
pub enum Source<'a> {
    Random(&'a [Algorithm]),
    /// The text of a PEM file.
    Pem(&'a str),
}

/// The keys of a node; clones share them.
#[derive(Clone)]
pub struct DkimKeys(Arc<Inner>);

struct Inner {
    dir: PathBuf,
    /// Held while files change; readers do not wait for it.
    edit: Mutex<()>,
    ring: RwLock<Ring>,
}

#[derive(Default)]
struct Ring {
    by_domain: HashMap<String, Vec<Arc<Key>>>,
    /// The last number of a selector that we chose, by domain: a name is never used for two keys.
    last: HashMap<String, u64>,
    version: u64,
}

/// Why keys cannot be read, made or changed.
#[derive(Debug, Error)]
pub enum DkimError {
    #[error(transparent)]
    File(#[from] KeysError),
    #[error("{path}: {source}")]
    Secret {
        path: PathBuf,
        #[source]
        source: SecretError,
    },
    #[error("{path} is no index of DKIM keys: {why}")]
    Index { path: PathBuf, why: String },
    #[error(
        "{path} is not in the index beside it: import it with `sm2tp dkim new DOMAIN --from-file`, or move it away"
    )]
    Stray { path: PathBuf },
    #[error("the key file: {0}")]
    Unusable(#[from] SecretError),
    #[error("{0:?} is no domain to sign for: a name with a dot, in letters that the DNS knows")]
    Domain(String),
    #[error("{0:?} is no selector: letters, digits and hyphens, with dots between them, at most {SELECTOR_OCTETS_MAX}")]
    Selector(String),
    #[error(
        "{domain} has a key for {algorithm} already, with the selector {selector}; `sm2tp dkim rotate {domain}` replaces it"
    )]
    Exists { domain: Domain, selector: String, algorithm: &'static str },
    #[error("the selector {selector} of {domain} was used before; a name is never used for two keys")]
    Used { domain: Domain, selector: String },
    #[error("{0} has no key; `sm2tp dkim new {0}` makes one")]
    NoKey(Domain),
    #[error("{domain} has no key with the selector {selector}; see `sm2tp dkim list`")]
    NoSelector { domain: Domain, selector: String },
    #[error(
        "a rotation of {domain} is under way: its new keys sign from {since} (unix time); --now lets them sign at once"
    )]
    Rotating { domain: Domain, since: u64 },
    #[error("this node has {KEYS_MAX} DKIM keys, which is the limit; remove old ones with `sm2tp dkim remove`")]
    Full,
}

impl DkimKeys {
    /// Reads the keys in `dir`, which is made where it is missing.
    ///
    /// # Errors
    /// [`DkimError`] with the file that is wrong.
    pub fn open(dir: &Path) -> Result<Self, DkimError> {
        fs::create_dir_all(dir).map_err(at(dir))?;
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(at(dir))?;
        Self::read(dir)
    }

    /// Reads the keys in `dir` and changes nothing.
    ///
    /// # Errors
    /// [`DkimError`] with the file that is wrong.
    pub fn read(dir: &Path) -> Result<Self, DkimError> {
        let index = Index::read(dir)?;
        let mut ring = Ring { last: index.last, ..Ring::default() };
        for entry in &index.keys {
            ring.add(Arc::new(read_key(dir, entry)?));
        }
        for entry in fs::read_dir(dir).map_err(at(dir))? {
            let path = entry.map_err(at(dir))?.path();
            let is_key = path.extension().is_some_and(|extension| extension == "pem");
            if is_key && ring.all().all(|key| dir.join(key.file()) != path) {
                return Err(DkimError::Stray { path });
            }
        }
        Ok(Self(Arc::new(Inner { dir: dir.to_owned(), edit: Mutex::new(()), ring: RwLock::new(ring) })))
    }

    /// All keys, by domain, age and algorithm.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Key>> {
        let mut keys: Vec<_> = self.ring(|ring| ring.all().cloned().collect());
        let place = |key: &Key| (key.domain.clone(), key.since, key.algorithm(), key.selector.clone());
        keys.sort_by_cached_key(|key| place(key));
        keys
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ring(|ring| ring.by_domain.is_empty())
    }

    /// The keys that sign for this very domain now, at most one for each algorithm.
    #[must_use]
    pub fn signing(&self, domain: &str, now: u64) -> Vec<Arc<Key>> {
        let is_signing = |key: &&Arc<Key>| key.state(now) == State::Signing;
        self.ring(|ring| ring.of(domain).iter().filter(is_signing).cloned().collect())
    }

    /// Changes whenever a key does: what was signed under another version is not kept.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.ring(|ring| ring.version)
    }

    /// Adds keys for a domain that has none of their kind. They sign from `now` on. `selector`: for several algorithms
    /// it is followed by a hyphen and the algorithm; none: `sm2tpN-ALGORITHM`, counting up for the domain.
    ///
    /// Slow: RSA keys are searched for. Not for an async task.
    ///
    /// # Errors
    /// [`DkimError`]; nothing was kept then.
    pub fn create(
        &self,
        domain: &Domain,
        selector: Option<&str>,
        source: &Source<'_>,
        now: u64,
    ) -> Result<Vec<Arc<Key>>, DkimError> {
        let domain = signing_domain(domain)?;
        let _editing = self.0.edit.lock().unwrap_or_else(PoisonError::into_inner);
        let secrets = match source {
            Source::Pem(text) => vec![Secret::from_pem(text)?.tried()?],
            Source::Random(algorithms) => {
                self.none_of(&domain, algorithms, now)?;
                algorithms.iter().map(|algorithm| Secret::generate(*algorithm)).collect::<Result<_, _>>()?
            }
        };
        self.none_of(&domain, &secrets.iter().map(Secret::algorithm).collect::<Vec<_>>(), now)?;
        self.add(&domain, selector, secrets, now, &[])
    }

    /// Makes new keys for the algorithms that sign for this domain. They sign from `begin` on, the old ones until then.
    /// Where a rotation waits already, `begin == now` ends its wait.
    ///
    /// # Errors
    /// [`DkimError`]; nothing was changed then.
    pub fn rotate(
        &self,
        domain: &Domain,
        selector: Option<&str>,
        now: u64,
        begin: u64,
    ) -> Result<Vec<Arc<Key>>, DkimError> {
        let domain = signing_domain(domain)?;
        let _editing = self.0.edit.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.ring(|ring| ring.of(domain.as_str()).to_vec());
        let in_state = |state| known.iter().filter(move |key| key.state(now) == state).cloned().collect::<Vec<_>>();
        let (signing, waiting) = (in_state(State::Signing), in_state(State::Waiting));
        if let Some(since) = waiting.iter().map(|key| key.since).max() {
            if now < begin {
                return Err(DkimError::Rotating { domain, since });
            }
            let begun: Vec<_> = waiting.iter().map(|key| key.with(begin, key.until)).collect();
            let ended = signing.iter().map(|key| key.with(key.since, Some(begin)));
            let keys = self.changed(&begun.iter().cloned().chain(ended).collect::<Vec<_>>());
            self.keep(keys, self.ring(|ring| ring.last.clone()))?;
            return Ok(begun);
        }
        if signing.is_empty() {
            return Err(DkimError::NoKey(domain));
        }
        let secrets =
            signing.iter().map(|key| Secret::generate(key.algorithm())).collect::<Result<Vec<_>, SecretError>>()?;
        let ended: Vec<_> = signing.iter().map(|key| key.with(key.since, Some(begin))).collect();
        self.add(&domain, selector, secrets, begin, &ended)
    }

    /// Removes a key with its file.
    ///
    /// # Errors
    /// [`DkimError::NoSelector`], or where the files cannot be changed.
    pub fn remove(&self, domain: &Domain, selector: &str) -> Result<(), DkimError> {
        let domain = signing_domain(domain)?;
        let _editing = self.0.edit.lock().unwrap_or_else(PoisonError::into_inner);
        let mut keys = self.all();
        let is_it = |key: &Arc<Key>| key.domain == domain && key.selector == selector;
        let Some(at_place) = keys.iter().position(is_it) else {
            return Err(DkimError::NoSelector { domain, selector: selector.to_owned() });
        };
        let gone = keys.remove(at_place);
        // The index first: an index without the key and a key without the index are told apart by a person.
        self.keep(keys, self.ring(|ring| ring.last.clone()))?;
        let path = self.0.dir.join(gone.file());
        fs::remove_file(&path).map_err(at(&path))?;
        Ok(())
    }

    fn ring<T>(&self, look: impl FnOnce(&Ring) -> T) -> T {
        look(&self.0.ring.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn none_of(&self, domain: &Domain, algorithms: &[Algorithm], now: u64) -> Result<(), DkimError> {
        let known = self.ring(|ring| ring.of(domain.as_str()).to_vec());
        let is_live = |key: &&Arc<Key>| matches!(key.state(now), State::Signing | State::Waiting);
        match known.iter().filter(is_live).find(|key| algorithms.contains(&key.algorithm())) {
            None => Ok(()),
            Some(key) => Err(DkimError::Exists {
                domain: domain.clone(),
                selector: key.selector.clone(),
                algorithm: key.algorithm().as_str(),
            }),
        }
    }

    /// Writes new keys, then the index that names them together with the `changed` ones, then uses them.
    fn add(
        &self,
        domain: &Domain,
        selector: Option<&str>,
        secrets: Vec<Secret>,
        since: u64,
        changed: &[Arc<Key>],
    ) -> Result<Vec<Arc<Key>>, DkimError> {
        let mut last = self.ring(|ring| ring.last.clone());
        let number = last.get(domain.as_str()).copied().unwrap_or(0) + 1;
        let several = 1 < secrets.len();
        let mut made = Vec::new();
        for secret in secrets {
            let word = secret.algorithm().as_str();
            let selector = match selector {
                Some(selector) if several => format!("{selector}-{word}"),
                Some(selector) => selector.to_owned(),
                None => format!("sm2tp{number}-{word}"),
            };
            let key = Key {
                domain: domain.clone(),
                selector: checked(&selector, domain)?,
                since,
                until: None,
                secret: Arc::new(secret),
            };
            if self.ring(|ring| ring.of(domain.as_str()).iter().any(|known| known.selector == key.selector)) {
                return Err(DkimError::Used { domain: domain.clone(), selector: key.selector });
            }
            made.push(Arc::new(key));
        }
        if selector.is_none() {
            last.insert(domain.to_string(), number);
        }
        let mut keys = self.changed(changed);
        if KEYS_MAX < keys.len() + made.len() {
            return Err(DkimError::Full);
        }
        for key in &made {
            let path = self.0.dir.join(key.file());
            write_secret(&path, key.secret.to_pem()?.as_bytes()).map_err(at(&path))?;
        }
        keys.extend(made.iter().cloned());
        let kept = self.keep(keys, last);
        if kept.is_err() {
            // Best effort: what is not in the index would keep the node from starting.
            made.iter().for_each(|key| drop(fs::remove_file(self.0.dir.join(key.file()))));
        }
        kept.map(|()| made)
    }

    /// All keys, those in `with` with the times that they have there.
    fn changed(&self, with: &[Arc<Key>]) -> Vec<Arc<Key>> {
        let mut keys = self.all();
        for key in &mut keys {
            if let Some(other) = with.iter().find(|other| other.name() == key.name()) {
                *key = other.clone();
            }
        }
        keys
    }

    /// Writes the index, then lets everybody use what it says.
    fn keep(&self, keys: Vec<Arc<Key>>, last: HashMap<String, u64>) -> Result<(), DkimError> {
        Index::new(keys.iter().map(|key| Entry::of(key)).collect(), last.clone()).write(&self.0.dir)?;
        let mut ring = Ring { last, ..Ring::default() };
        keys.into_iter().for_each(|key| ring.add(key));
        let mut current = self.0.ring.write().unwrap_or_else(PoisonError::into_inner);
        ring.version = current.version + 1;
        *current = ring;
        Ok(())
    }
}

impl Ring {
    fn add(&mut self, key: Arc<Key>) {
        self.by_domain.entry(key.domain.to_string()).or_default().push(key);
    }

    fn of(&self, domain: &str) -> &[Arc<Key>] {
        self.by_domain.get(domain).map_or(&[], Vec::as_slice)
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Key>> {
        self.by_domain.values().flatten()
    }
}

impl Key {
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.secret.algorithm()
    }

    #[must_use]
    pub fn bits(&self) -> usize {
        self.secret.bits()
    }

    #[must_use]
    pub fn state(&self, now: u64) -> State {
        match self.until {
            _ if now < self.since => State::Waiting,
            Some(_) if self.record_until().is_some_and(|gone| gone <= now) => State::Over,
            Some(until) if until <= now => State::Retired,
            _ => State::Signing,
        }
    }

    /// Unix seconds until which the record has to be in the DNS; none while the key signs without an end.
    #[must_use]
    pub fn record_until(&self) -> Option<u64> {
        self.until.map(|until| until.saturating_add(SIGNATURE_LIFE_S))
    }

    /// What has to be in the DNS.
    ///
    /// # Errors
    /// Where the cryptographic library cannot say the public key.
    pub fn record(&self) -> Result<Record, SecretError> {
        Ok(Record::new(self.name(), self.algorithm(), &self.secret.public()?))
    }

    /// Signs octets as DKIM wants it; see [`Algorithm`].
    ///
    /// # Errors
    /// Where the cryptographic library fails.
    pub fn sign(&self, octets: &[u8]) -> Result<Vec<u8>, SecretError> {
        self.secret.sign(octets)
    }

    fn name(&self) -> String {
        name(&self.selector, &self.domain)
    }

    fn file(&self) -> String {
        format!("{}.pem", self.name())
    }

    /// The same key with other times.
    fn with(&self, since: u64, until: Option<u64>) -> Arc<Self> {
        let (domain, selector, secret) = (self.domain.clone(), self.selector.clone(), self.secret.clone());
        Arc::new(Self { domain, selector, since, until, secret })
    }
}

impl State {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Signing => "signing",
            Self::Retired => "retired",
            Self::Over => "over",
        }
    }
}

/// A domain in the form that the DNS and `d=` have (RFC 6376 §3.5); none for what is no DNS name.
#[must_use]
pub fn ascii(domain: &Domain) -> Option<Domain> {
    if domain.as_str().is_ascii() {
        return Some(domain.clone());
    }
    idna::domain_to_ascii(domain.as_str()).ok().and_then(|text| Domain::parse(&text).ok())
}

/// Single labels are top-level domains and local names: nobody's mail is from there.
fn signing_domain(domain: &Domain) -> Result<Domain, DkimError> {
    let found = ascii(domain).filter(|domain| domain.as_str().contains('.'));
    found.ok_or_else(|| DkimError::Domain(domain.to_string()))
}

/// RFC 6376 §3.1: a selector is made of labels.
fn checked(selector: &str, domain: &Domain) -> Result<String, DkimError> {
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
    };
    let fits = name(selector, domain).len() <= NAME_OCTETS_MAX && selector.len() <= SELECTOR_OCTETS_MAX;
    if fits && selector.split('.').all(label) {
        return Ok(selector.to_ascii_lowercase());
    }
    Err(DkimError::Selector(selector.to_owned()))
}

fn name(selector: &str, domain: &Domain) -> String {
    format!("{selector}._domainkey.{domain}")
}

fn read_key(dir: &Path, entry: &Entry) -> Result<Key, DkimError> {
    let domain = Domain::parse(&entry.domain).map_err(|_| DkimError::Domain(entry.domain.clone()))?;
    let selector = checked(&entry.selector, &domain)?;
    let path = dir.join(format!("{}.pem", name(&selector, &domain)));
    let text = read_secret(&path)?.ok_or_else(|| at(&path)(std::io::ErrorKind::NotFound.into()))?;
    let text = zeroize::Zeroizing::new(text);
    let secret = Secret::from_pem(&text).map_err(|source| DkimError::Secret { path: path.clone(), source })?;
    if secret.algorithm() != entry.algorithm {
        let why = format!("{} is not a key for {}", path.display(), entry.algorithm.as_str());
        return Err(DkimError::Index { path: index::path(dir), why });
    }
    Ok(Key { domain, selector, since: entry.since, until: entry.until, secret: Arc::new(secret) })
}

/// How long a signature is valid (`x=`), in seconds, and so how long the record has to stay after the last one: two
/// weeks. Each attempt is signed anew, so this has to cover only what comes after us: the queue of a backup server
/// (5 days, RFC 5321 §4.5.4.1), a moderator's holiday. Without an end, a spammer who got one mail through us could send
/// its copies with our signature for years.
pub const SIGNATURE_LIFE_S: u64 = 14 * 86_400;
/// All keys are in memory, and the index is written as a whole.
const KEYS_MAX: usize = 20_000;
/// One label; more would only make the header longer.
const SELECTOR_OCTETS_MAX: usize = 63;
/// RFC 1035 §2.3.4 allows 253 octets; with its ending it must also fit into a file name of 255.
const NAME_OCTETS_MAX: usize = 250;

#[cfg(test)]
mod tests;
