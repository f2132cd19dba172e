//! What the runs of the tag index are, and which segments are in none of them yet. Written anew whenever a run is written,
//! beside and then renamed, so that it names whole runs only.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sm2tp_federation::keys::NodeKey;

use super::run::{Rows, RunError, io_at};
use crate::keys;

/// The runs, and what they do not say of themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::federated) struct Manifest {
    v: u32,
    /// The name of the next file.
    pub next: u64,
    pub runs: Vec<RunLine>,
    /// Origins by the numbers that stand in the runs.
    pub origins: Vec<NodeKey>,
    /// Local numbers of segments that may be in no run.
    pub owed: Vec<Rows>,
    /// The segment with the highest local number that is in a run. Another one in its place, or none: the database was
    /// restored, its numbers mean other segments now.
    pub(in crate::federated) newest: Option<Newest>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::federated) struct RunLine {
    pub file: String,
    pub rows: Rows,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::federated) struct Newest {
    pub row: u64,
    /// CRC-32 of its header.
    pub header: u32,
}

impl Manifest {
    /// Of an index with nothing in it: all segments are owed.
    pub(in crate::federated) fn empty() -> Self {
        let owed = vec![Rows { first: 0, last: u64::MAX }];
        Self { v: VERSION, next: 1, runs: Vec::new(), origins: Vec::new(), owed, newest: None }
    }

    /// None where there is none; one that is damaged or of another version counts as none, and is said.
    pub(in crate::federated) fn read(dir: &Path) -> Result<Option<Self>, RunError> {
        let path = dir.join(NAME);
        let octets = match fs::read(&path) {
            Ok(octets) => octets,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_at(&path)(error)),
        };
        let read = Self::decode(&octets);
        match &read {
            Some(read) if read.v == VERSION => {}
            Some(read) => tracing::info!(version = read.v, "the tag index is of another version; it is made again"),
            None => {
                tracing::error!(path = %path.display(), "the list of the tag index is damaged; the index is made again");
            }
        }
        Ok(read.filter(|read| read.v == VERSION))
    }

    pub(super) fn write(&self, dir: &Path) -> Result<(), RunError> {
        let path = dir.join(NAME);
        let json = serde_json::to_string(self).map_err(|error| io_at(&path)(error.into()))?;
        let text = format!("{:08x}\n{json}", crc32fast::hash(json.as_bytes()));
        keys::write_secret(&path, text.as_bytes()).map_err(io_at(&path))
    }

    fn decode(octets: &[u8]) -> Option<Self> {
        let (sum, json) = std::str::from_utf8(octets).ok()?.split_once('\n')?;
        if u32::from_str_radix(sum, 16) != Ok(crc32fast::hash(json.as_bytes())) {
            return None;
        }
        let read: Self = serde_json::from_str(json).ok()?;
        // A name of a file and nothing else.
        let is_plain = |line: &RunLine| !line.file.contains('/') && line.file.ends_with(".run");
        read.runs.iter().all(is_plain).then_some(read)
    }
}

/// Of the whole index (I9).
const VERSION: u32 = 2;
const NAME: &str = "manifest";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TempDir;

    #[test]
    fn a_manifest_is_read_as_it_was_written_and_not_at_all_when_damaged() {
        let dir = TempDir::quick();
        assert_eq!(Manifest::read(dir.path()).unwrap(), None);
        let mut manifest = Manifest::empty();
        manifest.runs.push(RunLine { file: "1.run".into(), rows: Rows { first: 1, last: 9 } });
        manifest.origins.push(NodeKey([7; 32]));
        manifest.newest = Some(Newest { row: 9, header: 5 });
        manifest.write(dir.path()).unwrap();
        assert_eq!(Manifest::read(dir.path()).unwrap(), Some(manifest.clone()));
        let path = dir.path().join(NAME);
        let text = fs::read_to_string(&path).unwrap();
        for damaged in ["", &text[1..], &text.replace("\"last\":9", "\"last\":8")] {
            fs::write(&path, damaged).unwrap();
            assert_eq!(Manifest::read(dir.path()).unwrap(), None);
        }
        Manifest { v: VERSION + 1, ..manifest }.write(dir.path()).unwrap();
        assert_eq!(Manifest::read(dir.path()).unwrap(), None, "a newer one is made again by the older program");
    }
}
