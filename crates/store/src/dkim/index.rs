//! The index beside the keys: `index.json`, version 1.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::secret::Algorithm;
use super::{DkimError, Key};
use crate::keys::{at, read_secret, write_secret};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Index {
    v: u32,
    pub(super) keys: Vec<Entry>,
    /// By domain: the last number of a selector that this node chose.
    pub(super) last: HashMap<String, u64>,
}

/// One key without its secret.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    pub(super) domain: String,
    pub(super) selector: String,
    pub(super) algorithm: Algorithm,
    pub(super) since: u64,
    pub(super) until: Option<u64>,
}

impl Index {
    pub(super) fn new(keys: Vec<Entry>, last: HashMap<String, u64>) -> Self {
        Self { v: VERSION, keys, last }
    }

    pub(super) fn read(dir: &Path) -> Result<Self, DkimError> {
        let path = path(dir);
        let Some(text) = read_secret(&path)? else { return Ok(Self::new(Vec::new(), HashMap::new())) };
        let wrong = |why: String| DkimError::Index { path: path.clone(), why };
        let index: Self = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        if index.v != VERSION {
            return Err(wrong(format!("its version is {}, this program knows {VERSION}", index.v)));
        }
        Ok(index)
    }

    pub(super) fn write(&self, dir: &Path) -> Result<(), DkimError> {
        let path = path(dir);
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| DkimError::Index { path: path.clone(), why: error.to_string() })?;
        Ok(write_secret(&path, text.as_bytes()).map_err(at(&path))?)
    }
}

impl Entry {
    pub(super) fn of(key: &Key) -> Self {
        Self {
            domain: key.domain.to_string(),
            selector: key.selector.clone(),
            algorithm: key.algorithm(),
            since: key.since,
            until: key.until,
        }
    }
}

pub(super) fn path(dir: &Path) -> PathBuf {
    dir.join("index.json")
}

const VERSION: u32 = 1;
