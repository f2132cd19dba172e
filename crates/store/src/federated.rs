//! What other nodes said and what this one tells them: segments as immutable files, and the tags in them by look-up.
//!
//! The files are the truth; the tag index is made from them, on the disk as they come. Rows in the ledger's file name the
//! files and give each a local number for the feed.

mod contradict;
mod erasing;
mod held;
mod history;
mod index;
mod judging;
mod machines;
mod parked;
mod peers;
mod proofs;
mod prune;
pub(crate) mod publish;
mod reading;
mod settings;
mod standings;
#[cfg(test)]
mod testing;
mod verify;

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use sm2tp_federation::belief::BeliefLimits;
use sm2tp_federation::chain::Head;
use sm2tp_federation::descriptor::{self, SignedDescriptor};
use sm2tp_federation::feed::{FeedEntry, HeadLine};
use sm2tp_federation::header::{HEADER_OCTETS, Header, Position, SignedHeader};
use sm2tp_federation::keys::NodeKey;
use sm2tp_federation::segment::{self, SegmentError};
use thiserror::Error;

pub use self::erasing::Everything;
pub use self::history::{History, segment_octets};
use self::index::FRESH_MAX;
use self::index::upkeep::Upkeep;
pub use self::index::{Index, RunError, Size, Standing};
pub use self::judging::{Judgement, Turned};
use self::machines::Followed;
pub use self::parked::Waiting;
pub use self::peers::{Contact, Peer, PeerState};
pub use self::publish::{Ended, Publisher, Tick};
pub use self::verify::verify_segments;
use crate::ledger::{Ledger, LedgerError};
use crate::sql::{self, Row, Sql, SqlError};

/// The federated part of the store; clones share it.
#[derive(Clone)]
pub struct Federated {
    ledger: Ledger,
    dir: PathBuf,
    index: Arc<RwLock<Index>>,
    upkeep: Arc<Upkeep>,
    belief: Arc<BeliefLimits>,
    /// Whom each node names as its peers.
    links: Arc<Mutex<HashMap<NodeKey, Vec<NodeKey>>>>,
    /// Of peers that were never read to the end: events of each origin that they have.
    there: Arc<Mutex<HashMap<NodeKey, Events>>>,
    /// Held while this node seals a segment, and while it looks for what it has told to erase it.
    own_log: Arc<tokio::sync::Mutex<()>>,
    /// When the index was last written anew because others erased; unix seconds.
    swept_at: Arc<AtomicU64>,
    held: Arc<Mutex<held::Held>>,
    /// Of a node of several machines: which segments are in the index here.
    followed: Arc<Mutex<Followed>>,
}

/// How many events of each origin.
type Events = Vec<(NodeKey, u64)>;

/// Why a segment could not be kept or served.
#[derive(Debug, Error)]
pub enum FederatedError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("{path}: {source}")]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Segment(#[from] SegmentError),
    #[error("the tag index: {0}")]
    Index(#[from] RunError),
    #[error("{0} is not known here")]
    Unknown(String),
    #[error("segment {epoch}.{segno} of {origin} is not kept here")]
    NotKept { origin: NodeKey, epoch: u32, segno: u32 },
    #[error("{0}")]
    Refused(String),
}

impl From<SqlError> for FederatedError {
    fn from(error: SqlError) -> Self {
        Self::Ledger(error.into())
    }
}

impl Federated {
    /// Opens the segments in `dir` and the tag index in a folder of it, and reads into the index what it does not hold yet;
    /// where that is much, beside all other work. A file that does not fit its row is said, and left out of the index.
    ///
    /// # Errors
    /// [`FederatedError`] where the directory or the ledger cannot be read.
    pub async fn open(ledger: Ledger, dir: &Path, own: NodeKey, belief: BeliefLimits) -> Result<Self, FederatedError> {
        let index_dir = dir.join("index");
        fs::create_dir_all(&index_dir).map_err(at(&index_dir))?;
        let manifest = reading::manifest(&ledger, &index_dir).await?;
        let index = Arc::new(RwLock::new(Index::new(own)));
        let (upkeep, owed) = Upkeep::open(&index_dir, manifest, Arc::clone(&index), FRESH_MAX)?;
        let federated = Self {
            ledger,
            dir: dir.to_owned(),
            index,
            upkeep: Arc::new(upkeep),
            belief: Arc::new(belief),
            links: Arc::default(),
            there: Arc::default(),
            own_log: Arc::default(),
            swept_at: Arc::default(),
            held: Arc::default(),
            followed: Arc::default(),
        };
        federated.fetch_missing().await?;
        federated.load_links().await?;
        federated.load_judgements().await?;
        federated.load_proofs().await?;
        federated.refresh_origins().await?;
        federated.count_kept().await?;
        federated.load_parked().await?;
        federated.follow_all_erasures().await?;
        federated.read_owed(owed).await?;
        Ok(federated)
    }

    /// Keeps a segment that was checked to be the next one of its origin. Idempotent.
    ///
    /// # Errors
    /// [`FederatedError`]: it is not kept.
    pub async fn keep(
        &self,
        signed: &SignedHeader,
        body: &[u8],
        introducer: Option<NodeKey>,
        now: u64,
    ) -> Result<u32, FederatedError> {
        let opened = segment::open(signed, body)?;
        let header = *signed.header();
        self.upkeep.room().await?;
        let coming = self.upkeep.coming();
        self.write_body(signed, body)?;
        let asked = erasing::asked(&opened);
        let erases = !asked.is_empty();
        let for_others = self.for_others(body);
        let fresh = self.ledger.write(move |sql| {
            erasing::note(sql, header.origin(), &asked)?;
            let fresh = parked::insert(sql, &header, introducer, now, None)?;
            machines::keep_body(sql, fresh, for_others)?;
            Ok(fresh)
        });
        if let Some(row) = fresh.await? {
            self.took(&header, &opened, row, now);
        }
        drop(coming);
        if erases {
            self.follow_erasures(header.origin()).await;
        }
        Ok(header.count())
    }

    /// The head of an origin's log as it is kept here.
    ///
    /// # Errors
    /// [`FederatedError`] where the ledger cannot be read.
    pub async fn head(&self, origin: NodeKey) -> Result<Option<Head>, FederatedError> {
        let newest = "SELECT header FROM segment WHERE origin = $1 ORDER BY epoch DESC, segno DESC LIMIT 1";
        let found = self.ledger.read(move |sql| Ok(sql::first(sql, newest, &[origin.0[..].into()], header)?)).await?;
        Ok(found.as_ref().map(Head::of))
    }

    /// The header kept at one place.
    ///
    /// # Errors
    /// [`FederatedError`] where the ledger cannot be read.
    pub async fn header_at(&self, origin: NodeKey, at: Position) -> Result<Option<Header>, FederatedError> {
        let query = "SELECT header FROM segment WHERE origin = $1 AND epoch = $2 AND segno = $3";
        let values = [origin.0[..].into(), at.epoch.into(), at.segno.into()];
        Ok(self.ledger.read(move |sql| Ok(sql::first(sql, query, &values, header)?)).await?)
    }

    /// A segment as it travels: header and body.
    ///
    /// # Errors
    /// [`FederatedError::NotKept`] where there is none.
    pub async fn segment(&self, origin: NodeKey, at: Position) -> Result<Vec<u8>, FederatedError> {
        let not_kept = FederatedError::NotKept { origin, epoch: at.epoch, segno: at.segno };
        let header = self.header_at(origin, at).await?.ok_or(not_kept)?;
        let body = self.read_body(&header)?;
        Ok([&header.as_bytes()[..], &body].concat())
    }

    /// Headers after a local number, without those of `asker` and those that it brought: it has them. To a node that
    /// thousands of others have for a peer, all of them would tell all again.
    ///
    /// # Errors
    /// [`FederatedError`] where the ledger cannot be read.
    pub async fn feed(&self, after: u64, limit: usize, asker: NodeKey) -> Result<Vec<FeedEntry>, FederatedError> {
        let query = "SELECT header, n FROM segment s WHERE n > $1 AND origin <> $2 AND parked IS NULL \
            AND (introducer IS NULL OR introducer <> $2) AND NOT EXISTS \
            (SELECT 1 FROM judged j WHERE j.origin = s.origin AND j.proof IS NOT NULL) ORDER BY n LIMIT $3";
        let values = [after.into(), asker.0[..].into(), (limit as u64).into()];
        let entry = |row: &Row| Ok(FeedEntry { number: row.uint(1)?, header: header(row)? });
        Ok(self.ledger.read(move |sql| Ok(sql::all(sql, query, &values, entry)?)).await?)
    }

    /// The newest local number: where a reader that has everything stands.
    ///
    /// # Errors
    /// [`FederatedError`] where the ledger cannot be read.
    pub async fn newest(&self) -> Result<u64, FederatedError> {
        let query = "SELECT COALESCE(MAX(n), 0) FROM segment";
        let found = self.ledger.read(move |sql| Ok(sql::first(sql, query, &[], |row| row.uint(0))?)).await?;
        Ok(found.unwrap_or(0))
    }

    /// How far every log is kept here.
    ///
    /// # Errors
    /// [`FederatedError`] where the ledger cannot be read.
    pub async fn heads(&self) -> Result<Vec<HeadLine>, FederatedError> {
        let newest = "SELECT header, origin FROM segment s WHERE s.parked IS NULL AND NOT EXISTS \
            (SELECT 1 FROM segment t WHERE t.origin = s.origin AND t.parked IS NULL AND \
            (t.epoch > s.epoch OR (t.epoch = s.epoch AND t.segno > s.segno)))";
        let oldest =
            "SELECT epoch, segno FROM segment WHERE origin = $1 AND parked IS NULL ORDER BY epoch, segno LIMIT 1";
        let lines = self.ledger.read(move |sql| {
            let headers = sql::all(sql, newest, &[], header)?;
            let mut lines = Vec::with_capacity(headers.len());
            for header in headers {
                let first = sql::first(sql, oldest, &[header.origin().0[..].into()], position)?;
                lines.push(HeadLine::new(&header, first.unwrap_or(header.position())));
            }
            Ok(lines)
        });
        Ok(lines.await?)
    }

    /// `(own events sealed, foreign events kept)`.
    #[must_use]
    pub fn counts(&self, own: NodeKey) -> (u64, u64) {
        self.look(|index| (index.kept(&own), index.kept_of_all() - index.kept(&own)))
    }

    /// The descriptor of a node, as far as it is known.
    ///
    /// # Errors
    /// [`FederatedError`] where the ledger cannot be read or holds no descriptor in that place.
    pub async fn descriptor(&self, node: NodeKey) -> Result<Option<SignedDescriptor>, FederatedError> {
        let query = "SELECT descriptor FROM node WHERE node = $1";
        let read = move |sql: &mut dyn Sql| {
            Ok(sql::first(sql, query, &[node.0[..].into()], |row| row.text(0).map(str::to_owned))?)
        };
        let Some(text) = self.ledger.read(read).await? else { return Ok(None) };
        let parsed = descriptor::parse(&text);
        parsed.map(Some).map_err(|error| FederatedError::Refused(format!("descriptor of {node}: {error}")))
    }

    /// What is known of tags, for one look-up.
    pub fn look<T>(&self, question: impl FnOnce(&Index) -> T) -> T {
        question(&self.read_index())
    }

    /// Whether the tag index is written or put together at the moment.
    #[must_use]
    pub fn is_index_busy(&self) -> bool {
        self.upkeep.is_busy()
    }

    /// Whether other machines of this node have all of it, too.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.ledger.is_shared()
    }

    /// The numbers by which others are believed.
    #[must_use]
    pub fn belief(&self) -> &BeliefLimits {
        &self.belief
    }

    fn read_index(&self) -> std::sync::RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_index(&self) -> std::sync::RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes beside, syncs, renames: what the row names is whole or is not there.
    fn write_file(&self, header: &Header, body: &[u8]) -> Result<(), FederatedError> {
        let path = self.path(header);
        let folder = path.parent().unwrap_or(&self.dir).to_owned();
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        let beside = path.with_extension("new");
        let write = || {
            let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&beside)?;
            file.write_all(header.as_bytes())?;
            file.write_all(body)?;
            file.sync_all()?;
            fs::rename(&beside, &path)?;
            File::open(&folder)?.sync_all()
        };
        write().map_err(at(&path))
    }

    fn read_body(&self, header: &Header) -> Result<Vec<u8>, FederatedError> {
        let path = self.path(header);
        let mut octets = fs::read(&path).map_err(at(&path))?;
        if octets.len() < HEADER_OCTETS || octets[..HEADER_OCTETS] != header.as_bytes()[..] {
            return Err(FederatedError::Refused(format!("{} is not the segment that its row names", path.display())));
        }
        octets.drain(..HEADER_OCTETS);
        Ok(octets)
    }

    fn path(&self, header: &Header) -> PathBuf {
        segment_path(&self.dir, header)
    }
}

pub(crate) fn segment_path(dir: &Path, header: &Header) -> PathBuf {
    let position = header.position();
    dir.join(hex::encode(header.origin().0)).join(format!("{:010}-{:010}.seg", position.epoch, position.segno))
}

fn header(row: &Row) -> Result<Header, SqlError> {
    Header::parse(row.blob(0)?).map_err(|error| SqlError::Stored(error.to_string()))
}

fn position(row: &Row) -> Result<Position, SqlError> {
    let small = |column| row.uint(column).map(|value| u32::try_from(value).unwrap_or(u32::MAX));
    Ok(Position { epoch: small(0)?, segno: small(1)? })
}

fn node_key(row: &Row, column: usize) -> Result<NodeKey, SqlError> {
    row.octets(column).map(NodeKey)
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> FederatedError + use<> {
    let path = path.to_owned();
    move |source| FederatedError::Io { path, source }
}

#[cfg(test)]
mod tests {
    use super::testing::{NOW, befriend, open, seal};
    use super::*;
    use crate::testing::TempDir;

    #[tokio::test]
    async fn a_feed_tells_nobody_what_he_brought_or_said_himself() {
        let (dir, brings, other) = (TempDir::quick(), NodeKey([7; 32]), NodeKey([8; 32]));
        let federated = open(dir.path()).await;
        let origin = befriend(&federated).await;
        let first = seal(None, NOW, 1);
        let second = seal(Some(&Head::of(first.header.header())), NOW, 1);
        for (segment, introducer) in [(&first, None), (&second, Some(brings))] {
            federated.keep(&segment.header, &segment.body, introducer, NOW).await.unwrap();
        }
        for (asker, after, want) in
            [(other, 0, vec![1, 2]), (brings, 0, vec![1]), (brings, 1, vec![]), (origin, 0, vec![])]
        {
            let told: Vec<u64> =
                federated.feed(after, 10, asker).await.unwrap().iter().map(|entry| entry.number).collect();
            assert_eq!(told, want, "{asker}");
        }
    }
}
