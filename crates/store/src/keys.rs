//! The keys of a node: files that only their owner reads.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use sha2::{Digest, Sha256};
use sm2tp_federation::keys::{LogKey, NodeKey};
use sm2tp_federation::score::{self, PublicScore, ScoreError, SignedScore};
use sm2tp_federation::sealed::{SealedError, TagKeyGrant};
use sm2tp_federation::tags::TagKey;
use thiserror::Error;

/// What a node signs with and computes tags with.
pub struct Keys {
    dir: PathBuf,
    /// The identity.
    pub node: SigningKey,
    /// Signs segments and requests; opens what is sealed to this node.
    pub log: SigningKey,
    /// Tag keys, the one that is published under first.
    pub tags: Vec<TagKeyGrant>,
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
}

impl Keys {
    /// Reads the keys in `dir`, or makes them when there are none. `now` in unix seconds.
    ///
    /// # Errors
    /// [`KeysError`]; nothing is made anew where something unreadable lies.
    pub fn open(dir: &Path, now: u64) -> Result<Self, KeysError> {
        fs::create_dir_all(dir).map_err(at(dir))?;
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(at(dir))?;
        let node = signing_key(&dir.join("node.key"))?;
        let log = signing_key(&dir.join("log.key"))?;
        let mut keys = Self { dir: dir.to_owned(), node, log, tags: Vec::new() };
        keys.tags = keys.read_tags()?;
        if keys.tags.is_empty() {
            let federation = signing_key(&dir.join("federation.key"))?;
            let key = TagKey::new(random()?);
            let grant = TagKeyGrant::sign(key, now, now + TAG_KEY_LIFE_S, &federation)
                .map_err(|source| KeysError::Sealed { path: dir.to_owned(), source })?;
            keys.add_tags(vec![grant], false)?;
        }
        Ok(keys)
    }

    #[must_use]
    pub fn node_key(&self) -> NodeKey {
        NodeKey::of(&self.node)
    }

    /// The score of this node, signed.
    ///
    /// # Errors
    /// [`ScoreError`] where it is another node's.
    pub fn sign_score(&self, score: &PublicScore) -> Result<SignedScore, ScoreError> {
        score::sign(score, &self.node)
    }

    #[must_use]
    pub fn log_key(&self) -> LogKey {
        LogKey::of(&self.log)
    }

    /// The secret behind the SCRAM keys of logins that do not exist: the same after a restart, another on each node.
    #[must_use]
    pub fn scram_secret(&self) -> [u8; 32] {
        Sha256::new()
            .chain_update(b"SM2TP pretended SCRAM keys v1")
            .chain_update(self.node.to_bytes())
            .finalize()
            .into()
    }

    /// The secret of what the sender watch remembers of recipients: nobody can ask a copy of it for an address.
    #[must_use]
    pub fn watch_secret(&self) -> [u8; 32] {
        Sha256::new()
            .chain_update(b"SM2TP recipients of senders v1")
            .chain_update(self.node.to_bytes())
            .finalize()
            .into()
    }

    /// Keeps tag keys of a federation. `join`: publish under them from now on; the old ones stay for look-ups, because
    /// what was recorded under them still counts. Answers with whether anything was new.
    ///
    /// # Errors
    /// [`KeysError`] where they cannot be written.
    pub fn add_tags(&mut self, grants: Vec<TagKeyGrant>, join: bool) -> Result<bool, KeysError> {
        let mut fresh: Vec<_> =
            grants.into_iter().filter(|grant| self.tags.iter().all(|known| known.key != grant.key)).collect();
        if fresh.is_empty() {
            return Ok(false);
        }
        if join {
            fresh.append(&mut self.tags);
            self.tags = fresh;
        } else {
            self.tags.append(&mut fresh);
        }
        self.tags.truncate(TAG_KEYS_MAX);
        self.write_tags()?;
        Ok(true)
    }

    /// Each grant is kept sealed to our own log key: one format, and no key in clear on the disk beside the log key.
    fn write_tags(&self) -> Result<(), KeysError> {
        let path = self.dir.join("tags");
        let mut text = String::new();
        for grant in &self.tags {
            let sealed = grant.seal(&self.log_key(), &random()?).map_err(|source| sealed(&path, source))?;
            text.push_str(&hex::encode(sealed));
            text.push('\n');
        }
        write_secret(&path, text.as_bytes()).map_err(at(&path))
    }

    fn read_tags(&self) -> Result<Vec<TagKeyGrant>, KeysError> {
        let path = self.dir.join("tags");
        let Some(text) = read_secret(&path)? else { return Ok(Vec::new()) };
        let line = |line: &str| {
            let octets = hex::decode(line).map_err(|_| KeysError::Malformed { path: path.clone() })?;
            TagKeyGrant::open(&octets, &self.log).map_err(|source| sealed(&path, source))
        };
        text.lines().map(line).collect()
    }
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
    write_secret(path, hex::encode(bytes).as_bytes()).map_err(at(path))?;
    Ok(bytes)
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
    path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}

pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> KeysError + use<> {
    let path = path.to_owned();
    move |source| KeysError::Io { path, source }
}

fn sealed(path: &Path, source: SealedError) -> KeysError {
    KeysError::Sealed { path: path.to_owned(), source }
}

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
    fn a_damaged_key_is_not_made_anew() {
        let dir = TempDir::new();
        Keys::open(dir.path(), 1000).unwrap();
        fs::write(dir.path().join("node.key"), "not hex").unwrap();
        assert!(matches!(Keys::open(dir.path(), 1000), Err(KeysError::Malformed { .. })));
    }
}
