//! The keys of return tokens and of links: made by themselves, changed every three months, kept for as long
//! as anything that they made may come back.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use sm2tp_proto::token::{KEYS_MAX, Term, TokenKey, TokenKeys, day};
use zeroize::Zeroizing;

use crate::keys::{KeysError, at, random, read_secret, write_secret};

/// The keys of one node, in a file that only its owner reads.
pub(super) struct ReturnKeys {
    path: PathBuf,
    /// The newest first.
    made: Vec<Made>,
    chain: Chain,
}

/// Where a new key comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chain {
    /// Chance: who learns a key knows no other one.
    Random,
    /// The one before: all machines of one node make the same ones.
    Shared,
}

struct Made {
    number: u8,
    /// Unix seconds.
    at: u64,
    secret: Zeroizing<[u8; 32]>,
}

impl ReturnKeys {
    /// Reads the keys in `dir`, or makes the first one. `now` in unix seconds.
    pub(super) fn open(dir: &Path, now: u64, chain: Chain) -> Result<Self, KeysError> {
        let path = dir.join("returns");
        let malformed = || KeysError::Malformed { path: path.clone() };
        let text = Zeroizing::new(read_secret(&path)?.unwrap_or_default());
        let made: Option<Vec<Made>> = text.lines().map(Made::parse).collect();
        let mut keys = Self { made: made.ok_or_else(malformed)?, path, chain };
        keys.rotate(now)?;
        Ok(keys)
    }

    /// Makes a new key where the newest is old enough; answers whether it did. A number is used again after
    /// [`KEYS_MAX`] times [`ROTATE_S`], four years, when nothing that the old key made is valid any more.
    pub(super) fn rotate(&mut self, now: u64) -> Result<bool, KeysError> {
        let mut is_new = false;
        while let Some(next) = self.next(now)? {
            self.made.insert(0, next);
            self.made.truncate(KEYS_MAX - 1);
            is_new = true;
        }
        if !is_new {
            return Ok(false);
        }
        let lines: String = self.made.iter().map(Made::line).collect();
        write_secret(&self.path, Zeroizing::new(lines).as_bytes()).map_err(at(&self.path))?;
        Ok(true)
    }

    /// The key after the newest, where its time has come.
    fn next(&self, now: u64) -> Result<Option<Made>, KeysError> {
        let Some(newest) = self.made.first() else {
            return Ok(Some(Made { number: 0, at: now, secret: Zeroizing::new(random()?) }));
        };
        let due = newest.at.saturating_add(ROTATE_S);
        if now < due {
            return Ok(None);
        }
        let number = (newest.number + 1) % u8::try_from(KEYS_MAX).unwrap_or(u8::MAX);
        Ok(Some(match self.chain {
            Chain::Random => Made { number, at: now, secret: Zeroizing::new(random()?) },
            Chain::Shared => {
                let next = Sha256::new().chain_update(CHAINED).chain_update(newest.secret.as_ref());
                Made { number, at: due, secret: Zeroizing::new(next.finalize().into()) }
            }
        }))
    }

    pub(super) fn tokens(&self) -> TokenKeys {
        let mut last_day = u16::MAX;
        let terms = self.made.iter().map(|made| {
            let term = Term { number: made.number, key: TokenKey::new(*made.secret), last_day };
            // A delivery that began with the key before may end a little after the new one was made.
            last_day = day(made.at).saturating_add(1);
            term
        });
        TokenKeys::new(terms.collect())
    }

    /// What links of a kind are sealed with, with the number of its key; the newest where none is named. `label` keeps a
    /// link of one kind from being one of another.
    pub(super) fn link(&self, label: &str, number: Option<u8>) -> Option<(u8, Zeroizing<[u8; 32]>)> {
        let made = self.made.iter().find(|made| number.is_none_or(|number| made.number == number))?;
        let key = Sha256::new().chain_update(label.as_bytes()).chain_update(made.secret.as_ref());
        Some((made.number, Zeroizing::new(key.finalize().into())))
    }
}

impl Made {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let number = words.next()?.parse().ok().filter(|number| usize::from(*number) < KEYS_MAX)?;
        let at = words.next()?.parse().ok()?;
        let secret = hex::decode(words.next()?).ok()?.try_into().ok()?;
        words.next().is_none().then_some(Self { number, at, secret: Zeroizing::new(secret) })
    }

    fn line(&self) -> String {
        format!("{} {} {}\n", self.number, self.at, hex::encode(self.secret.as_ref()))
    }
}

const CHAINED: &[u8] = b"SM2TP next key of return tokens v1";
/// A key is changed as often as this, in seconds: 90 days.
const ROTATE_S: u64 = 90 * 86_400;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use sm2tp_proto::token::{Row, Token};

    use super::*;
    use crate::testing::TempDir;

    const DAY: u64 = 86_400;
    const NOW: u64 = 20_000 * DAY;

    #[test]
    fn a_key_is_made_once_changed_after_three_months_and_the_old_one_still_reads() {
        let dir = TempDir::new();
        let open = |now| ReturnKeys::open(dir.path(), now, Chain::Random).unwrap();
        let old = open(NOW).tokens().make(Row([1; 10]), day(NOW)).unwrap();
        let again = open(NOW + 89 * DAY);
        assert_eq!(again.made.len(), 1);
        let mut kept = again;
        assert!(kept.rotate(NOW + 90 * DAY).unwrap());
        assert!(!kept.rotate(NOW + 91 * DAY).unwrap());
        let reread = open(NOW + 92 * DAY);
        assert_eq!(reread.made.iter().map(|made| made.number).collect::<Vec<_>>(), [1, 0]);
        assert!(Token::open(&old, &reread.tokens(), day(NOW + 30 * DAY), 35).is_ok());
        // What the old key signs for a day after its time was signed by a thief.
        let late = kept.made[1].secret.clone();
        let thief = TokenKeys::new(vec![Term { number: 0, key: TokenKey::new(*late), last_day: u16::MAX }]);
        let forged = thief.make(Row([2; 10]), day(NOW + 95 * DAY)).unwrap();
        assert!(Token::open(&forged, &reread.tokens(), day(NOW + 95 * DAY), 35).is_err());
        assert_ne!(reread.link("a", None).unwrap(), reread.link("a", Some(0)).unwrap());
        assert_ne!(reread.link("a", None).unwrap(), reread.link("b", None).unwrap());
        assert!(reread.link("a", Some(9)).is_none());
    }

    #[test]
    fn only_their_owner_may_read_them_and_a_damaged_file_is_not_made_anew() {
        let dir = TempDir::new();
        ReturnKeys::open(dir.path(), NOW, Chain::Random).unwrap();
        let path = dir.path().join("returns");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(ReturnKeys::open(dir.path(), NOW, Chain::Random), Err(KeysError::Open { mode: 0o640, .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        for damaged in ["0 1 ff\n", "16 1 \n", "0 1\n"] {
            fs::write(&path, damaged).unwrap();
            assert!(
                matches!(ReturnKeys::open(dir.path(), NOW, Chain::Random), Err(KeysError::Malformed { .. })),
                "{damaged}"
            );
        }
    }

    #[test]
    fn sixteen_changes_later_no_number_stands_twice() {
        let dir = TempDir::new();
        let mut keys = ReturnKeys::open(dir.path(), NOW, Chain::Random).unwrap();
        for step in 1..40 {
            assert!(keys.rotate(NOW + step * ROTATE_S).unwrap());
            let mut numbers: Vec<u8> = keys.made.iter().map(|made| made.number).collect();
            numbers.sort_unstable();
            numbers.dedup();
            assert_eq!(numbers.len(), keys.made.len());
        }
    }
}
