//! The list of a copy: what is in it, so that damage is seen before it is restored.

use std::fs;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use sm2tp_federation::keys::NodeKey;

use super::{BackupError, at};
use crate::keys;

/// What a copy is of, and its files. It is written last: a copy without it is not whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    v: u32,
    /// Whose copy it is.
    pub node: NodeKey,
    /// Unix seconds.
    pub made_at: u64,
    pub entries: Vec<Entry>,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Below the folder of the copy.
    pub path: PathBuf,
    pub octets: u64,
    /// In hexadecimal digits.
    pub sha256: String,
}

impl Entry {
    pub(super) fn new(path: PathBuf, octets: u64, sha256: String) -> Self {
        Self { path, octets, sha256 }
    }
}

impl Manifest {
    pub(super) fn new(node: NodeKey, made_at: u64, entries: Vec<Entry>) -> Self {
        Self { v: FORMAT, node, made_at, entries }
    }

    /// Octets of all files.
    #[must_use]
    pub fn octets(&self) -> u64 {
        self.entries.iter().map(|entry| entry.octets).sum()
    }

    pub(super) fn write(&self, dir: &Path) -> Result<(), BackupError> {
        let path = dir.join(NAME);
        let text = serde_json::to_vec(self).map_err(|error| at(&path)(error.into()))?;
        keys::write_secret(&path, &text).map_err(at(&path))
    }

    pub(super) fn read(dir: &Path) -> Result<Self, BackupError> {
        let path = dir.join(NAME);
        let no_copy = |why: String| BackupError::NoCopy { path: path.clone(), why };
        let text = fs::read(&path).map_err(|error| no_copy(error.to_string()))?;
        // A newer format may have other fields.
        let any: serde_json::Value = serde_json::from_slice(&text).map_err(|error| no_copy(error.to_string()))?;
        let found = any["v"].as_u64().and_then(|v| u32::try_from(v).ok()).unwrap_or(0);
        if FORMAT < found {
            return Err(BackupError::Newer { found, known: FORMAT });
        }
        let read: Self = serde_json::from_value(any).map_err(|error| no_copy(error.to_string()))?;
        match read.entries.iter().find(|entry| !is_within(&entry.path)) {
            Some(entry) => Err(no_copy(format!("{} leads out of it", entry.path.display()))),
            None => Ok(read),
        }
    }
}

/// Whether a path stays below where it begins.
fn is_within(path: &Path) -> bool {
    path.components().next().is_some() && path.components().all(|part| matches!(part, Component::Normal(_)))
}

const FORMAT: u32 = 1;
const NAME: &str = "copy.json";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TempDir;

    #[test]
    fn paths_that_lead_elsewhere_are_refused() {
        for (path, within) in [
            ("ledger.sqlite", true),
            ("spool/bodies/1.seg", true),
            ("../x", false),
            ("/etc/passwd", false),
            ("", false),
        ] {
            assert_eq!(is_within(Path::new(path)), within, "{path}");
        }
    }

    #[test]
    fn a_newer_list_is_refused_by_its_number() {
        let dir = TempDir::new();
        fs::write(dir.path().join(NAME), r#"{"v":2,"other":true}"#).unwrap();
        assert!(matches!(Manifest::read(dir.path()), Err(BackupError::Newer { found: 2, known: 1 })));
        fs::write(dir.path().join(NAME), "{").unwrap();
        assert!(matches!(Manifest::read(dir.path()), Err(BackupError::NoCopy { .. })));
    }
}
