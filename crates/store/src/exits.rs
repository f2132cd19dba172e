//! Ways out that a person paused: `exits.json` in the data directory. Machines that are one node have ways out of their own, so
//! this is not in the ledger.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::keys::write_secret;

/// A way out that takes no mail until a person says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pause {
    pub exit: String,
    /// Unix seconds.
    pub since: u64,
    /// Why, for those who look later.
    pub note: String,
}

/// All that are paused; clones share them.
#[derive(Debug, Clone)]
pub struct Paused(Arc<Inner>);

/// The file cannot be used.
#[derive(Debug, Error)]
pub enum PausedError {
    #[error("{path}: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error("{path}: {why}")]
    Content { path: PathBuf, why: String },
    #[error("more than {PAUSED_MAX} ways out are paused")]
    TooMany,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    /// Asked for each mail that is sent.
    now: RwLock<Arc<[Pause]>>,
    /// One change at a time, from memory to the disk.
    changing: Mutex<()>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    v: u32,
    paused: Vec<Pause>,
}

impl Paused {
    /// What the file of a data directory says; none is paused where there is no file.
    ///
    /// # Errors
    /// [`PausedError`] where it cannot be read: mail shall not leave by a way that a person may have shut.
    pub fn open(data_dir: &Path) -> Result<Self, PausedError> {
        let path = data_dir.join(NAME);
        let wrong = |why: String| PausedError::Content { path: path.clone(), why };
        let paused = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(source) => return Err(PausedError::File { path, source }),
            Ok(text) => {
                let file: File = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
                if file.v != VERSION {
                    return Err(wrong(format!("its version is {}, this program knows {VERSION}", file.v)));
                }
                file.paused
            }
        };
        Ok(Self(Arc::new(Inner { path, now: RwLock::new(paused.into()), changing: Mutex::default() })))
    }

    /// All of them, by name.
    #[must_use]
    pub fn list(&self) -> Arc<[Pause]> {
        self.0.now.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Pauses a way out; one that is paused already stays so since then, with the new note.
    ///
    /// # Errors
    /// [`PausedError`]; nothing is changed then.
    pub fn pause(&self, exit: &str, note: &str, now: u64) -> Result<Pause, PausedError> {
        let _one = self.0.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = self.list().to_vec();
        let since = all.iter().find(|pause| pause.exit == exit).map_or(now, |pause| pause.since);
        all.retain(|pause| pause.exit != exit);
        if PAUSED_MAX <= all.len() {
            return Err(PausedError::TooMany);
        }
        let pause = Pause { exit: exit.to_owned(), since, note: note.to_owned() };
        all.push(pause.clone());
        all.sort_by(|one, other| one.exit.cmp(&other.exit));
        self.keep(all)?;
        Ok(pause)
    }

    /// Lets mail leave by it again. Answers with what there was; none: it was not paused.
    ///
    /// # Errors
    /// [`PausedError`]; nothing is changed then.
    pub fn resume(&self, exit: &str) -> Result<Option<Pause>, PausedError> {
        let _one = self.0.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = self.list().to_vec();
        let Some(place) = all.iter().position(|pause| pause.exit == exit) else { return Ok(None) };
        let pause = all.remove(place);
        self.keep(all)?;
        Ok(Some(pause))
    }

    /// On the disk first: what a node forgets at its next start was not done.
    fn keep(&self, paused: Vec<Pause>) -> Result<(), PausedError> {
        let path = &self.0.path;
        let file = File { v: VERSION, paused };
        let text = serde_json::to_string_pretty(&file);
        let text = text.map_err(|error| PausedError::Content { path: path.clone(), why: error.to_string() })?;
        write_secret(path, text.as_bytes()).map_err(|source| PausedError::File { path: path.clone(), source })?;
        *self.0.now.write().unwrap_or_else(PoisonError::into_inner) = file.paused.into();
        Ok(())
    }
}

/// The file, in the data directory.
pub(crate) const NAME: &str = "exits.json";
const VERSION: u32 = 1;
/// More than a node has ways out.
const PAUSED_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TempDir;

    #[test]
    fn a_pause_outlives_the_process_and_ends_when_a_person_says_so() {
        let dir = TempDir::new();
        let paused = Paused::open(dir.path()).unwrap();
        paused.pause("b", "listed", 100).unwrap();
        paused.pause("a", "", 150).unwrap();
        // Paused again: since the first time.
        paused.pause("b", "still listed", 200).unwrap();
        let again = Paused::open(dir.path()).unwrap();
        let list: Vec<_> =
            again.list().iter().map(|pause| (pause.exit.clone(), pause.since, pause.note.clone())).collect();
        assert_eq!(list, [("a".into(), 150, String::new()), ("b".into(), 100, "still listed".into())]);
        assert_eq!(again.resume("b").unwrap().map(|pause| pause.since), Some(100));
        assert_eq!(again.resume("b").unwrap(), None);
        assert_eq!(Paused::open(dir.path()).unwrap().list().len(), 1);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_not_taken_for_none() {
        let dir = TempDir::new();
        let paused = Paused::open(dir.path()).unwrap();
        paused.pause("a", "", 1).unwrap();
        let path = dir.path().join(NAME);
        for broken in ["", "{", r#"{"v":2,"paused":[]}"#, r#"{"v":1}"#] {
            fs::write(&path, broken).unwrap();
            assert!(Paused::open(dir.path()).is_err(), "{broken:?}");
        }
    }

    #[test]
    fn there_is_a_limit() {
        let dir = TempDir::new();
        let paused = Paused::open(dir.path()).unwrap();
        (0..PAUSED_MAX).for_each(|n| drop(paused.pause(&format!("exit-{n}"), "", 1).unwrap()));
        assert!(matches!(paused.pause("one-more", "", 1), Err(PausedError::TooMany)));
        paused.pause("exit-7", "again", 2).unwrap();
        assert_eq!(paused.list().len(), PAUSED_MAX);
    }
}
