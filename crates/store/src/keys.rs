//! The keys of a node: files that only their owner reads.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use ed25519_dalek::SigningKey;
use sha2::{Digest, Sha256};
use sm2tp_federation::keys::{FederationKey, LogKey, NodeKey};
use sm2tp_federation::score::{self, PublicScore, ScoreError, SignedScore};
use sm2tp_federation::sealed::{SealedError, TagKeyGrant};
use sm2tp_federation::tags::TagKey;
use thiserror::Error;

/// What a node signs with and computes tags with.
pub struct Keys {
    dir: PathBuf,
    public: NodeKey,
    /// The identity; none where its secret half is kept elsewhere.
    pub node: Option<SigningKey>,
    /// Signs segments and requests; opens what is sealed to this node.
    log: LogSigner,
    /// The one that will sign, from a time on that the descriptor says.
    next_log: Option<SigningKey>,
    /// The one before: opens what was sealed to it by those who do not know the new one yet.
    old_log: Option<SigningKey>,
    derived: Derived,
    /// Tag keys, the one that is published under first.
    pub tags: Vec<TagKeyGrant>,
}

/// The log key that is in use, for all that sign: it may be another one tomorrow.
#[derive(Clone)]
pub struct LogSigner(Arc<RwLock<SigningKey>>);

/// What becomes of a log key that signs no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OldLog {
    /// Others may seal to it for a while.
    Keep,
    /// It was lost or stolen.
    Forget,
}

/// Secrets that were made of the node key, and stay what they were where that one is taken away.
#[derive(Clone, Copy)]
struct Derived {
    scram: [u8; 32],
    watch: [u8; 32],
}

/// Why the keys cannot be used.
#[derive(Debug, Error)]
pub enum KeysError {
    #[error("{path}: {source}")]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{path} can be read by others (mode {mode:o}); a secret key has mode 600: chmod 600 {path}")]
    Open { path: PathBuf, mode: u32 },
    #[error("{path} does not hold 64 hexadecimal digits")]
    Malformed { path: PathBuf },
    #[error("{path}: {source}")]
    Sealed {
        path: PathBuf,
        #[source]
        source: SealedError,
    },
    #[error("no random bytes: {0}")]
    Random(getrandom::Error),
    #[error("a new log key is under way already: see sm2tp key show")]
    UnderWay,
    #[error("the node key is not here: it was taken away with sm2tp key offline")]
    Elsewhere,
    #[error("the node key is here")]
    Here,
    #[error("{path} is not the key of this node")]
    OtherNode { path: PathBuf },
    #[error("{path} is there already")]
    Exists { path: PathBuf },
    #[error("the tag key is of another federation, whose founder changes it")]
    OtherFederation,
    #[error("no tag key {key_id} that is of its time is known here: sm2tp key show lists them")]
    NoSuchTag { key_id: String },
}

impl Keys {
    /// Reads the keys in `dir`, or makes them when there are none. `now` in unix seconds.
    ///
    /// # Errors
    /// [`KeysError`]; nothing is made anew where something unreadable lies.
    pub fn open(dir: &Path, now: u64) -> Result<Self, KeysError> {
        fs::create_dir_all(dir).map_err(at(dir))?;
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(at(dir))?;
        let (public, node) = identity(dir)?;
        let derived = Derived::open(dir, node.as_ref())?;
        let log = LogSigner::new(signing_key(&dir.join(LOG))?);
        let (next_log, old_log) = (old_key(&dir.join(NEXT_LOG))?, old_key(&dir.join(OLD_LOG))?);
        let mut keys = Self { dir: dir.to_owned(), public, node, log, next_log, old_log, derived, tags: Vec::new() };
        keys.tags = keys.read_tags()?;
        if keys.tags.is_empty() {
            let federation = signing_key(&dir.join(FEDERATION))?;
            keys.add_tags(vec![new_grant(dir, now, &federation)?], false)?;
        }
        Ok(keys)
    }

    #[must_use]
    pub fn node_key(&self) -> NodeKey {
        self.public
    }

    /// The score of this node, signed; none where the node key is elsewhere.
    ///
    /// # Errors
    /// [`ScoreError`] where it is another node's.
    pub fn sign_score(&self, score: &PublicScore) -> Result<Option<SignedScore>, ScoreError> {
        self.node.as_ref().map(|node| score::sign(score, node)).transpose()
    }

    /// What signs segments and requests, now and after the next change.
    #[must_use]
    pub fn signer(&self) -> LogSigner {
        self.log.clone()
    }

    #[must_use]
    pub fn log_key(&self) -> LogKey {
        self.log.public()
    }

    /// The log key that waits for its time.
    #[must_use]
    pub fn next_log_key(&self) -> Option<LogKey> {
        self.next_log.as_ref().map(LogKey::of)
    }

    /// The log key before, while it is kept.
    #[must_use]
    pub fn old_log_key(&self) -> Option<LogKey> {
        self.old_log.as_ref().map(LogKey::of)
    }

    /// The secret behind the SCRAM keys of logins that do not exist: the same after a restart, another on each node.
    #[must_use]
    pub fn scram_secret(&self) -> [u8; 32] {
        self.derived.scram
    }

    /// The secret of what the sender watch remembers of recipients: nobody can ask a copy of it for an address.
    #[must_use]
    pub fn watch_secret(&self) -> [u8; 32] {
        self.derived.watch
    }

    /// Makes the log key that will sign next. It signs nothing before [`Keys::turn_log`].
    ///
    /// # Errors
    /// [`KeysError::UnderWay`] where there is one; [`KeysError`] where it cannot be written.
    pub fn prepare_log(&mut self) -> Result<LogKey, KeysError> {
        if self.next_log.is_some() {
            return Err(KeysError::UnderWay);
        }
        let next = signing_key(&self.dir.join(NEXT_LOG))?;
        Ok(LogKey::of(self.next_log.insert(next)))
    }

    /// The log key that was made signs from now on. Whatever of it is done when the power fails, the next start finds keys that
    /// open what is sealed.
    ///
    /// # Errors
    /// [`KeysError`]: the old one signs on.
    pub fn turn_log(&mut self, old: OldLog) -> Result<(), KeysError> {
        let Some(next) = self.next_log.clone() else { return Ok(()) };
        let before = self.log.key();
        self.write_tags(&LogKey::of(&next))?;
        if old == OldLog::Keep {
            write_hex(&self.dir.join(OLD_LOG), &before.to_bytes())?;
        }
        let path = self.dir.join(LOG);
        fs::rename(self.dir.join(NEXT_LOG), &path).and_then(|()| sync(&self.dir)).map_err(at(&path))?;
        self.next_log = None;
        self.old_log = (old == OldLog::Keep).then_some(before);
        self.log.set(next);
        Ok(())
    }

    /// The log key before is of no use any more.
    ///
    /// # Errors
    /// [`KeysError`] where its file cannot be removed.
    pub fn forget_old_log(&mut self) -> Result<(), KeysError> {
        self.old_log = None;
        remove(&self.dir.join(OLD_LOG))
    }

    /// Takes the node key away: into `file`, which must not be there. What was made of it stays.
    ///
    /// # Errors
    /// [`KeysError`]: it is still here.
    pub fn take_away(&mut self, file: &Path) -> Result<(), KeysError> {
        let node = self.node.clone().ok_or(KeysError::Elsewhere)?;
        if file.exists() {
            return Err(KeysError::Exists { path: file.to_owned() });
        }
        self.derived.write(&self.dir)?;
        write_hex(&self.dir.join(PUBLIC), &self.public.0)?;
        write_hex(file, &node.to_bytes())?;
        remove(&self.dir.join(NODE))?;
        self.node = None;
        Ok(())
    }

    /// Brings the node key back from `file`, which is left alone.
    ///
    /// # Errors
    /// [`KeysError`] where it is another one, or cannot be kept.
    pub fn bring_back(&mut self, file: &Path) -> Result<(), KeysError> {
        if self.node.is_some() {
            return Err(KeysError::Here);
        }
        let node = old_key(file)?.filter(|node| NodeKey::of(node) == self.public);
        let node = node.ok_or_else(|| KeysError::OtherNode { path: file.to_owned() })?;
        write_hex(&self.dir.join(NODE), &node.to_bytes())?;
        self.node = Some(node);
        Ok(())
    }

    /// Makes a tag key of the federation that this node founded; it is published under from `not_before` on (unix seconds).
    ///
    /// # Errors
    /// [`KeysError::OtherFederation`] where another node founded it; [`KeysError`] where it cannot be kept.
    pub fn new_tag(&mut self, not_before: u64) -> Result<TagKeyGrant, KeysError> {
        let federation = old_key(&self.dir.join(FEDERATION))?.ok_or(KeysError::OtherFederation)?;
        if self.tags.first().is_none_or(|grant| grant.federation != FederationKey::of(&federation)) {
            return Err(KeysError::OtherFederation);
        }
        let grant = new_grant(&self.dir, not_before, &federation)?;
        self.tags.push(grant.clone());
        self.drop_oldest_tags();
        self.write_tags(&self.log_key())?;
        Ok(grant)
    }

    /// Makes the tag key of the next year when its time has come, where this node founded the federation. Answers with it. `now`
    /// in unix seconds.
    ///
    /// # Errors
    /// [`KeysError`] where it cannot be kept: it is made the next time.
    pub fn renew_tags(&mut self, now: u64) -> Result<Option<TagKeyGrant>, KeysError> {
        let Some(current) = self.tags.first() else { return Ok(None) };
        let newest = self.tags.iter().filter(|grant| grant.federation == current.federation);
        let Some(begins) = newest.max_by_key(|grant| grant.not_before).and_then(|newest| newest.next_begins(now))
        else {
            return Ok(None);
        };
        match self.new_tag(begins) {
            Err(KeysError::OtherFederation) => Ok(None),
            made => made.map(Some),
        }
    }

    /// Publishes under a newer tag key of the same federation when its time has come. Answers with whether it has. `now` in
    /// unix seconds.
    ///
    /// # Errors
    /// [`KeysError`] where it cannot be written.
    pub fn turn_tags(&mut self, now: u64) -> Result<bool, KeysError> {
        let Some(current) = self.tags.first() else { return Ok(false) };
        let (federation, since) = (current.federation, current.not_before);
        let newer = |grant: &&TagKeyGrant| {
            grant.federation == federation && since < grant.not_before && grant.publishes_at(now)
        };
        let Some(next) = self.tags.iter().filter(newer).max_by_key(|grant| grant.not_before).cloned() else {
            return Ok(false);
        };
        self.tags.retain(|grant| grant.key != next.key);
        self.tags.insert(0, next);
        self.write_tags(&self.log_key())?;
        Ok(true)
    }

    /// Founds a federation of this node's own: its new tag key is published under from `now` on (unix seconds), and others take it
    /// with [`Self::join`]. The keys before stay for look-ups.
    ///
    /// # Errors
    /// [`KeysError`] where it cannot be kept.
    pub fn found(&mut self, now: u64) -> Result<TagKeyGrant, KeysError> {
        let federation = signing_key(&self.dir.join(FEDERATION))?;
        let grant = new_grant(&self.dir, now, &federation)?;
        self.tags.insert(0, grant.clone());
        self.drop_oldest_tags();
        self.write_tags(&self.log_key())?;
        Ok(grant)
    }

    /// Publishes under a tag key that is known for look-ups, of whatever federation: that is the one which this node joins. `now`
    /// in unix seconds.
    ///
    /// # Errors
    /// [`KeysError::NoSuchTag`] where it is unknown or not of its time; [`KeysError`] where it cannot be kept.
    pub fn join(&mut self, key_id: &str, now: u64) -> Result<(), KeysError> {
        let is_it = |grant: &TagKeyGrant| grant.key.key_id().to_string() == key_id && grant.publishes_at(now);
        let place = self.tags.iter().position(is_it).ok_or(KeysError::NoSuchTag { key_id: key_id.to_owned() })?;
        self.tags[..=place].rotate_right(1);
        self.write_tags(&self.log_key())
    }

    /// Opens a tag key that was sealed to one of our log keys.
    ///
    /// # Errors
    /// [`SealedError`] where it was sealed to none of them.
    pub fn open_grant(&self, octets: &[u8]) -> Result<TagKeyGrant, SealedError> {
        let opened = TagKeyGrant::open(octets, &self.log.key());
        self.next_log.iter().chain(&self.old_log).fold(opened, |opened, key| match opened {
            Err(SealedError::Box) => TagKeyGrant::open(octets, key),
            opened => opened,
        })
    }

    /// Keeps tag keys of a federation. `join`: publish under them from now on; the old ones stay for look-ups, because
    /// what was recorded under them still counts. Answers with whether anything was new.
    ///
    /// # Errors
    /// [`KeysError`] where they cannot be written.
    pub fn add_tags(&mut self, grants: Vec<TagKeyGrant>, join: bool) -> Result<bool, KeysError> {
        let mut fresh: Vec<_> =
            grants.into_iter().filter(|grant| self.tags.iter().all(|known| known.key != grant.key)).collect();
        let before = self.tags.clone();
        if join {
            fresh.append(&mut self.tags);
            self.tags = fresh;
        } else {
            self.tags.append(&mut fresh);
        }
        self.drop_oldest_tags();
        if self.tags == before {
            return Ok(false);
        }
        self.write_tags(&self.log_key())?;
        Ok(true)
    }

    /// The tag keys as they are kept: sealed to our own log key, for other machines of this node, which have it too.
    ///
    /// # Errors
    /// [`KeysError`] where they cannot be read.
    pub fn sealed_tags(&self) -> Result<String, KeysError> {
        let path = self.dir.join("tags");
        let text = read_secret(&path)?.ok_or(KeysError::Malformed { path })?;
        Ok(text.to_string())
    }

    /// Whether these are the tag keys of this machine, in their order.
    ///
    /// # Errors
    /// [`KeysError`] where they cannot be opened with our log key.
    pub fn has_tags(&self, sealed: &str) -> Result<bool, KeysError> {
        let grants = self.opened_tags(sealed)?;
        Ok(grants.len() == self.tags.len() && grants.iter().zip(&self.tags).all(|(one, other)| one.key == other.key))
    }

    /// Takes the tag keys that another machine of this node has.
    ///
    /// # Errors
    /// [`KeysError`] where they cannot be opened with our log key, or not be written.
    pub fn follow_tags(&mut self, sealed: &str) -> Result<(), KeysError> {
        self.tags = self.opened_tags(sealed)?;
        self.write_tags(&self.log_key())
    }

    /// Behind the one in use those of its federation, the newest first, then others: a peer with keys of its own pushes none of
    /// ours out, and ours of long ago make room for that of next year.
    fn drop_oldest_tags(&mut self) {
        let Some((current, others)) = self.tags.split_first_mut() else { return };
        others.sort_by_key(|grant| match grant.federation == current.federation {
            true => (false, std::cmp::Reverse(grant.not_before)),
            false => (true, std::cmp::Reverse(0)),
        });
        self.tags.truncate(TAG_KEYS_MAX);
    }

    fn opened_tags(&self, sealed: &str) -> Result<Vec<TagKeyGrant>, KeysError> {
        let path = || self.dir.join("tags");
        let line = |line: &str| {
            let octets = hex::decode(line).map_err(|_| KeysError::Malformed { path: path() })?;
            self.open_grant(&octets).map_err(|source| self::sealed(&path(), source))
        };
        sealed.lines().map(line).collect()
    }

    /// Each grant is kept sealed to our own log key: one format, and no key in clear on the disk beside the log key.
    fn write_tags(&self, log_key: &LogKey) -> Result<(), KeysError> {
        let path = self.dir.join("tags");
        let mut text = String::new();
        for grant in &self.tags {
            let sealed = grant.seal(log_key, &random()?).map_err(|source| sealed(&path, source))?;
            text.push_str(&hex::encode(sealed));
            text.push('\n');
        }
        write_secret(&path, text.as_bytes()).map_err(at(&path))
    }

    fn read_tags(&self) -> Result<Vec<TagKeyGrant>, KeysError> {
        let path = self.dir.join("tags");
        let Some(text) = read_secret(&path)? else { return Ok(Vec::new()) };
        self.opened_tags(&text)
    }
}

impl LogSigner {
    #[must_use]
    pub fn new(key: SigningKey) -> Self {
        Self(Arc::new(RwLock::new(key)))
    }

    /// The key that signs now.
    #[must_use]
    pub fn key(&self) -> SigningKey {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The public half of it.
    #[must_use]
    pub fn public(&self) -> LogKey {
        LogKey::of(&self.key())
    }

    fn set(&self, key: SigningKey) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = key;
    }
}

impl Derived {
    /// As they were kept when the node key was taken away, or of the node key.
    fn open(dir: &Path, node: Option<&SigningKey>) -> Result<Self, KeysError> {
        let path = dir.join(DERIVED);
        if let Some(text) = read_secret(&path)? {
            let octets = hex::decode(text.trim()).ok().and_then(|octets| <[u8; 64]>::try_from(octets).ok());
            let octets = octets.ok_or(KeysError::Malformed { path })?;
            let (mut scram, mut watch) = ([0; 32], [0; 32]);
            scram.copy_from_slice(&octets[..32]);
            watch.copy_from_slice(&octets[32..]);
            return Ok(Self { scram, watch });
        }
        let node = node.ok_or(KeysError::Malformed { path })?;
        let of = |what: &[u8]| Sha256::new().chain_update(what).chain_update(node.to_bytes()).finalize().into();
        Ok(Self { scram: of(b"SM2TP pretended SCRAM keys v1"), watch: of(b"SM2TP recipients of senders v1") })
    }

    fn write(&self, dir: &Path) -> Result<(), KeysError> {
        write_hex(&dir.join(DERIVED), &[self.scram, self.watch].concat())
    }
}

/// The node key, with its secret half where that is here.
fn identity(dir: &Path) -> Result<(NodeKey, Option<SigningKey>), KeysError> {
    let (secret, public) = (dir.join(NODE), dir.join(PUBLIC));
    if !secret.exists()
        && let Some(text) = read_secret(&public)?
    {
        let octets = hex::decode(text.trim()).ok().and_then(|octets| octets.try_into().ok());
        return Ok((NodeKey(octets.ok_or(KeysError::Malformed { path: public })?), None));
    }
    let node = signing_key(&secret)?;
    Ok((NodeKey::of(&node), Some(node)))
}

/// A new tag key of the federation, for a year from `not_before` on (unix seconds).
fn new_grant(dir: &Path, not_before: u64, federation: &SigningKey) -> Result<TagKeyGrant, KeysError> {
    let key = TagKey::new(random()?);
    TagKeyGrant::sign(key, not_before, not_before.saturating_add(TAG_KEY_LIFE_S), federation)
        .map_err(|source| sealed(dir, source))
}

/// A key that may be there; none is made.
fn old_key(path: &Path) -> Result<Option<SigningKey>, KeysError> {
    if path.exists() { signing_key(path).map(Some) } else { Ok(None) }
}

fn remove(path: &Path) -> Result<(), KeysError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(path)(error)),
        _ => path.parent().map_or(Ok(()), |dir| sync(dir).map_err(at(dir))),
    }
}

fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// 32 random bytes.
///
/// # Errors
/// [`KeysError::Random`] where the machine has none.
pub fn random() -> Result<[u8; 32], KeysError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(KeysError::Random)?;
    Ok(bytes)
}

fn signing_key(path: &Path) -> Result<SigningKey, KeysError> {
    Ok(SigningKey::from_bytes(&secret(path)?))
}

/// 32 secret bytes from a file of 64 hexadecimal digits; made when there is no such file.
fn secret(path: &Path) -> Result<[u8; 32], KeysError> {
    if let Some(text) = read_secret(path)? {
        let octets = hex::decode(text.trim()).ok().and_then(|octets| octets.try_into().ok());
        return octets.ok_or_else(|| KeysError::Malformed { path: path.to_owned() });
    }
    let bytes = random()?;
    write_hex(path, &bytes)?;
    Ok(bytes)
}

fn write_hex(path: &Path, octets: &[u8]) -> Result<(), KeysError> {
    write_secret(path, hex::encode(octets).as_bytes()).map_err(at(path))
}

pub(crate) fn read_secret(path: &Path) -> Result<Option<String>, KeysError> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(at(path)(error)),
    };
    let mode = file.metadata().map_err(at(path))?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeysError::Open { path: path.to_owned(), mode });
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(at(path))?;
    Ok(Some(text))
}

/// Writes beside and renames, so that a crash leaves the old key or the new one.
pub(crate) fn write_secret(path: &Path, octets: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(octets)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    path.parent().map_or(Ok(()), sync)
}

pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> KeysError + use<> {
    let path = path.to_owned();
    move |source| KeysError::Io { path, source }
}

fn sealed(path: &Path, source: SealedError) -> KeysError {
    KeysError::Sealed { path: path.to_owned(), source }
}

const NODE: &str = "node.key";
/// Where the node key is elsewhere: its public half, and what was made of it.
const PUBLIC: &str = "node.pub";
const DERIVED: &str = "derived.key";
const LOG: &str = "log.key";
const NEXT_LOG: &str = "log-next.key";
const OLD_LOG: &str = "log-old.key";
const FEDERATION: &str = "federation.key";
/// A node that founds a federation makes its tag key for a year (`FEDERATION.md` §3).
const TAG_KEY_LIFE_S: u64 = 366 * 86_400;
/// Two or three live at once; a look-up computes one HMAC for each.
const TAG_KEYS_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TempDir;

    #[test]
    fn keys_are_made_once_and_only_their_owner_may_read_them() {
        let dir = TempDir::new();
        let first = Keys::open(dir.path(), 1000).unwrap();
        let again = Keys::open(dir.path(), 2000).unwrap();
        assert_eq!(first.node_key(), again.node_key());
        assert_eq!(first.log_key(), again.log_key());
        assert_eq!(first.tags, again.tags);
        for name in ["node.key", "log.key", "tags"] {
            let path = dir.path().join(name);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
        }
        fs::set_permissions(dir.path().join("log.key"), fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(Keys::open(dir.path(), 0), Err(KeysError::Open { mode: 0o644, .. })));
    }

    #[test]
    fn a_node_that_joins_publishes_under_the_new_key_and_looks_up_under_both() {
        let (a, b) = (TempDir::new(), TempDir::new());
        let mut joins = Keys::open(a.path(), 1000).unwrap();
        let founder = Keys::open(b.path(), 1000).unwrap();
        let own = joins.tags[0].clone();
        assert!(joins.add_tags(founder.tags.clone(), true).unwrap());
        assert!(!joins.add_tags(founder.tags.clone(), true).unwrap());
        let reread = Keys::open(a.path(), 2000).unwrap();
        assert_eq!(reread.tags, [founder.tags[0].clone(), own]);
    }

    #[test]
    fn a_new_log_key_signs_when_it_is_its_turn_and_the_old_one_still_opens() {
        let dir = TempDir::new();
        let mut keys = Keys::open(dir.path(), 1000).unwrap();
        let (signer, first, tags) = (keys.signer(), keys.log_key(), keys.tags.clone());
        let sealed = tags[0].seal(&first, &random().unwrap()).unwrap();
        let next = keys.prepare_log().unwrap();
        assert!(matches!(keys.prepare_log(), Err(KeysError::UnderWay)));
        let mut keys = Keys::open(dir.path(), 1000).unwrap();
        assert_eq!((keys.log_key(), keys.next_log_key()), (first, Some(next)));
        keys.turn_log(OldLog::Keep).unwrap();
        assert_eq!(signer.public(), first, "of another process");
        assert_eq!(keys.signer().public(), next);
        let mut keys = Keys::open(dir.path(), 1000).unwrap();
        assert_eq!((keys.log_key(), keys.next_log_key(), keys.old_log_key()), (next, None, Some(first)));
        assert_eq!(keys.tags, tags);
        assert_eq!(keys.open_grant(&sealed).unwrap(), tags[0]);
        keys.forget_old_log().unwrap();
        assert_eq!(keys.open_grant(&sealed), Err(SealedError::Box));
        let stolen = keys.log_key();
        let (signer, fresh) = (keys.signer(), keys.prepare_log().unwrap());
        keys.turn_log(OldLog::Forget).unwrap();
        assert_eq!((signer.public(), keys.old_log_key()), (fresh, None));
        assert_ne!(fresh, stolen);
        assert_eq!(Keys::open(dir.path(), 1000).unwrap().tags, tags);
    }

    #[test]
    fn a_node_whose_key_is_elsewhere_is_the_same_node() {
        let (dir, away) = (TempDir::new(), TempDir::new());
        let file = away.path().join("node.key");
        let mut keys = Keys::open(dir.path(), 1000).unwrap();
        let known = |keys: &Keys| (keys.node_key(), keys.scram_secret(), keys.watch_secret());
        let before = known(&keys);
        keys.take_away(&file).unwrap();
        assert!(matches!(keys.take_away(&file), Err(KeysError::Elsewhere)));
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let mut keys = Keys::open(dir.path(), 1000).unwrap();
        assert_eq!((known(&keys), keys.node.is_none()), (before, true));
        assert!(!dir.path().join("node.key").exists());
        let other = away.path().join("other.key");
        signing_key(&other).unwrap();
        assert!(matches!(keys.bring_back(&other), Err(KeysError::OtherNode { .. })));
        keys.bring_back(&file).unwrap();
        let keys = Keys::open(dir.path(), 1000).unwrap();
        assert_eq!((known(&keys), keys.node.is_some()), (before, true));
    }

    #[test]
    fn a_new_tag_key_is_looked_up_at_once_and_published_under_when_its_time_has_come() {
        let (dir, other) = (TempDir::new(), TempDir::new());
        let mut keys = Keys::open(dir.path(), 1000).unwrap();
        let old = keys.tags[0].clone();
        let new = keys.new_tag(5000).unwrap();
        assert_eq!(keys.tags, [old.clone(), new.clone()]);
        assert!(!keys.turn_tags(4999).unwrap());
        // Another node of the federation learns it before its time.
        let mut member = Keys::open(other.path(), 1000).unwrap();
        member.add_tags(vec![old.clone()], true).unwrap();
        member.add_tags(vec![new.clone()], false).unwrap();
        for keys in [&mut keys, &mut member] {
            assert_eq!(keys.tags[0], old);
            assert!(keys.turn_tags(5000).unwrap());
            assert!(!keys.turn_tags(5000).unwrap());
            assert_eq!(keys.tags[0], new);
        }
        assert!(matches!(member.new_tag(9000), Err(KeysError::OtherFederation)));
        assert_eq!(Keys::open(dir.path(), 6000).unwrap().tags, [new, old]);
    }

    #[test]
    fn a_federation_has_a_new_tag_key_each_year_and_all_members_publish_under_the_same() {
        const DAY: u64 = 86_400;
        let (dir, other) = (TempDir::new(), TempDir::new());
        let mut founder = Keys::open(dir.path(), 0).unwrap();
        let mut member = Keys::open(other.path(), 0).unwrap();
        member.add_tags(founder.tags.clone(), true).unwrap();
        let mut used = vec![(founder.tags[0].key.key_id(), 0)];
        for day in 1..4 * 366 {
            let now = day * DAY;
            // The founder is away around the end of the second year: then the third begins late.
            let is_away = (685..740).contains(&day);
            if !is_away {
                founder.renew_tags(now).unwrap();
                founder.turn_tags(now).unwrap();
                assert_eq!(founder.renew_tags(now).unwrap(), None, "one key a year");
            }
            assert_eq!(member.renew_tags(now).unwrap(), None, "it founded nothing that is in use");
            // As it asks each day, and turns when it is time.
            member.add_tags(founder.tags.clone(), false).unwrap();
            member.turn_tags(now).unwrap();
            let key = member.tags[0].key.key_id();
            assert!(is_away || founder.tags[0].key.key_id() == key, "day {day}");
            if used.last().is_some_and(|(last, _)| *last != key) {
                used.push((key, day));
            }
            // A HARD counts for 400 days: whatever was published under until then is looked up.
            let mut within = used.windows(2).filter(|pair| day < pair[1].1 + 400).map(|pair| pair[0].0);
            assert!(within.all(|id| founder.tags.iter().any(|grant| grant.key.key_id() == id)), "day {day}");
        }
        assert_eq!(used.iter().map(|(_, day)| *day).collect::<Vec<_>>(), [0, 366, 742, 1108]);
    }

    #[test]
    fn a_federation_whose_founder_is_gone_goes_on_under_a_key_of_one_of_its_members() {
        let (gone, one, other) = (TempDir::new(), TempDir::new(), TempDir::new());
        let lost = Keys::open(gone.path(), 0).unwrap().tags[0].clone();
        let mut members = [one.path(), other.path()].map(|dir| Keys::open(dir, 0).unwrap());
        for keys in &mut members {
            keys.add_tags(vec![lost.clone()], true).unwrap();
        }
        let now = lost.not_after + 1;
        let [founder, member] = &mut members;
        assert_eq!(founder.renew_tags(now).unwrap(), None, "it founded nothing that is in use");
        let new = founder.found(now).unwrap();
        assert!(new.publishes_at(now) && founder.tags[0] == new && founder.tags.contains(&lost));
        let id = new.key.key_id().to_string();
        assert!(matches!(member.join(&id, now), Err(KeysError::NoSuchTag { .. })));
        member.add_tags(vec![new.clone()], false).unwrap();
        assert_eq!(member.tags[0], lost, "nobody is taken over");
        member.join(&id, now).unwrap();
        assert!(matches!(member.join(&lost.key.key_id().to_string(), now), Err(KeysError::NoSuchTag { .. })));
        assert_eq!(Keys::open(other.path(), now).unwrap().tags[..2], [new.clone(), lost]);
        // From then on it has a new one each year.
        let next = founder.renew_tags(new.not_after - 1).unwrap().unwrap();
        member.add_tags(vec![next.clone()], false).unwrap();
        assert!(member.turn_tags(next.not_before).unwrap() && member.tags[0] == next);
    }

    #[test]
    fn a_damaged_key_is_not_made_anew() {
        let dir = TempDir::new();
        Keys::open(dir.path(), 1000).unwrap();
        fs::write(dir.path().join("node.key"), "not hex").unwrap();
        assert!(matches!(Keys::open(dir.path(), 1000), Err(KeysError::Malformed { .. })));
    }
}
