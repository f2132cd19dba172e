//! Hashes of passwords: Argon2id, checked in memory that is used again, and those that came from other programs.
//!
//! Each check fills 19 MiB. Given back to the allocator after each of them, on whichever thread it ran, they stayed with that
//! thread's part of the heap: a minute of guessing made a node of 40 MB one of 800.

use std::sync::{Arc, Mutex, PoisonError};

use argon2::{Algorithm, Argon2, Block, Params, PasswordHash, PasswordHasher, Version};
use sm2tp_proto::scram;
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;
use yescrypt::PasswordVerifier as _;

use super::bcrypt::Bcrypt;
use super::shacrypt::ShaCrypt;

/// Checks passwords beside all other work, a few at once. Clones share them.
#[derive(Clone)]
pub(crate) struct Checking {
    /// Argon2id takes 19 MiB and tens of milliseconds each: more at once would be a way to exhaust us.
    free: Arc<Semaphore>,
    checker: Arc<Checker>,
}

/// Memory for as many checks as ran at once.
#[derive(Default)]
struct Checker(Mutex<Vec<Vec<Block>>>);

impl Default for Checking {
    fn default() -> Self {
        Self { free: Arc::new(Semaphore::new(CHECKS_AT_ONCE)), checker: Arc::default() }
    }
}

impl Checking {
    /// Whether this is the password; no for a hash that cannot be read.
    pub(crate) async fn is_right(&self, hash: Arc<str>, password: &str) -> bool {
        // The semaphore is never closed.
        let Ok(_permit) = self.free.acquire().await else { return false };
        let (checker, password) = (Arc::clone(&self.checker), password.to_owned());
        tokio::task::spawn_blocking(move || checker.is_right(&hash, &password)).await.unwrap_or(false)
    }
}

impl Checker {
    /// Whether this is the password; no for a hash that cannot be read.
    fn is_right(&self, hash: &str, password: &str) -> bool {
        if let Some(right) = elsewhere(hash, password) {
            return right;
        }
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        let right = check(hash, password, &mut memory).unwrap_or(false);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(memory);
        right
    }
}

/// What another program has hashed; none for our own kind.
fn elsewhere(hash: &str, password: &str) -> Option<bool> {
    if let Ok(keys) = hash.parse::<scram::Keys>() {
        return Some(keys.fits(password));
    }
    if let Some(hash) = Bcrypt::parse(hash) {
        return Some(hash.is_right(password));
    }
    if hash.starts_with(YESCRYPT) {
        return Some(yescrypt::Yescrypt::default().verify_password(password.as_bytes(), hash).is_ok());
    }
    ShaCrypt::parse(hash).map(|hash| hash.is_right(password))
}

fn check(hash: &str, password: &str, memory: &mut Vec<Block>) -> Option<bool> {
    let hash = PasswordHash::new(hash).ok()?;
    let (salt, wanted) = (hash.salt.as_ref()?, hash.hash.as_ref()?);
    let algorithm = Algorithm::try_from(hash.algorithm.as_str()).ok()?;
    let version = hash.version.map_or(Ok(Version::default()), Version::try_from).ok()?;
    let params = Params::try_from(&hash).ok()?;
    if memory.len() < params.block_count() {
        memory.resize(params.block_count(), Block::new());
    }
    let mut found = vec![0; wanted.len()];
    let argon2 = Argon2::new(algorithm, version, params);
    argon2.hash_password_into_with_memory(password.as_bytes(), salt.as_ref(), &mut found, memory).ok()?;
    Some(found.ct_eq(wanted.as_ref()).into())
}

/// The hash of a new password.
///
/// # Errors
/// In the words of the library.
pub(crate) fn hash(password: &str) -> Result<String, String> {
    let hash = Argon2::default().hash_password(password.as_bytes());
    hash.map(|hash| hash.to_string()).map_err(|error| error.to_string())
}

/// How hashes of yescrypt begin, which are those of a new Debian.
pub(super) const YESCRYPT: &str = "$y$";
const CHECKS_AT_ONCE: usize = 2;

#[cfg(test)]
mod tests {
    use argon2::PasswordVerifier;

    use super::*;

    #[test]
    fn the_check_agrees_with_that_of_the_library() {
        let (checker, made) = (Checker::default(), hash("correct horse").unwrap());
        for _ in 0..2 {
            for password in ["correct horse", "wrong horse", ""] {
                let theirs = Argon2::default().verify_password(password.as_bytes(), made.as_str()).is_ok();
                assert_eq!(checker.is_right(&made, password), theirs, "{password}");
            }
        }
        assert_eq!(checker.0.lock().unwrap().len(), 1);
        // Of libxcrypt, as perl's crypt gives them.
        for theirs in [
            "$2y$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2",
            "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$zwtVrjrUCmXcyLTs6oxLTQlzifSUkF8RHJ./tK5KU79",
        ] {
            assert!(checker.is_right(theirs, "correct horse") && !checker.is_right(theirs, "wrong horse"), "{theirs}");
        }
        let keys = scram::Keys::derive("correct horse", b"sixteen octets!!", 4096).unwrap().to_string();
        assert!(checker.is_right(&keys, "correct horse") && !checker.is_right(&keys, "wrong horse"));
        for bad in ["", "$argon2id$", &made[..made.len() - 10], "$2b$10$abcdefghijklmnopqrstuv", "$y$j9T$x"] {
            assert!(!checker.is_right(bad, "correct horse"), "{bad}");
        }
    }
}
