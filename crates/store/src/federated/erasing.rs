//! Erasure in segments (decision 0041): a record is taken out of its body, and its leaf hash keeps the root provable.
//!
//! Of its own log a node takes out what it was asked to, and says so with an ERASE for each, which every holder follows. Of
//! the logs of others it takes out its own copy alone: only an origin can ask for more.
//!
//! The table `erasure` names what was asked and is not done to the end: the segment is not here yet, or runs of the tag index
//! may still hold the record. So a crash in the middle leaves nothing behind.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use sm2tp_federation::header::{Header, Position, SignedHeader};
use sm2tp_federation::keys::NodeKey;
use sm2tp_federation::record::{EraseTarget, Record};
use sm2tp_federation::segment::{self, Opened};
use sm2tp_federation::tags::{KeyId, Tag};

use super::index::Index;
use super::{Federated, FederatedError, Publisher, header};
use crate::ledger::erased::{Kept, Whom};
use crate::sql::{self, Row, Sql, SqlError, Value};

/// What is kept of an address, everywhere on this node but in its queue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Everything {
    pub ledger: Kept,
    /// Whether it is gone from the octets of the files, too; true where nothing was erased.
    pub is_overwritten: bool,
    /// Records of this node's own log.
    pub told: u64,
    /// Records of others, by their origins.
    pub heard: BTreeMap<NodeKey, u64>,
}

/// Records of one segment.
#[derive(Debug, Clone)]
struct Places {
    header: Header,
    indexes: Vec<u16>,
}

impl Publisher {
    /// What is kept of an address.
    ///
    /// # Errors
    /// [`FederatedError`] where something cannot be read.
    pub async fn kept_of(&self, whom: Whom) -> Result<Everything, FederatedError> {
        let places = self.federated.about(&whom.tags).await?;
        let ledger = self.federated.ledger.kept_of(whom).await?;
        Ok(everything((ledger, true), &places, self.own))
    }

    /// Removes all that is kept of an address, and asks other nodes to remove what this one told them. Again, it goes on
    /// where it was interrupted.
    ///
    /// # Errors
    /// [`FederatedError`]: some of it may be left.
    pub async fn erase(&self, whom: Whom, now: u64) -> Result<Everything, FederatedError> {
        // Nothing is sealed between the look and the removal.
        let _log = self.federated.own_log.lock().await;
        let places = self.federated.about(&whom.tags).await?;
        let (own, foreign): (Vec<_>, Vec<_>) =
            places.iter().cloned().partition(|places| places.header.origin() == self.own);
        let asked: Vec<Record> =
            own.iter().flat_map(Places::targets).map(|target| Record::erase(target, now)).collect();
        let key_id = whom.tags.first().map(|(key_id, _)| *key_id);
        let ledger = self.federated.ledger.erase(whom, now, move |sql| {
            for places in foreign {
                places.targets().try_for_each(|target| put(sql, places.header.origin(), target))?;
            }
            let Some(key_id) = key_id else { return Ok(()) };
            asked.iter().try_for_each(|record| put_pending(sql, key_id, record, now))
        });
        let ledger = ledger.await?;
        self.federated.take_out(&places).await?;
        self.federated.sweep_erased().await?;
        Ok(everything(ledger, &places, self.own))
    }
}

impl Federated {
    /// The records about any of these tags, by reading all segments: the index knows the newest of each origin alone.
    async fn about(&self, tags: &[(KeyId, Tag)]) -> Result<Vec<Places>, FederatedError> {
        let headers = self.ledger.read(|sql| Ok(sql::all(sql, BODIES, &[], header)?)).await?;
        let (federated, tags) = (self.clone(), tags.iter().map(|(_, tag)| *tag).collect::<Vec<_>>());
        let looked = tokio::task::spawn_blocking(move || {
            let mut found = Vec::new();
            for header in headers {
                let read = federated.read_body(&header).and_then(|body| Ok(segment::tags(&header, &body)?));
                let read = read.inspect_err(|error| tracing::warn!(%error, "a kept segment cannot be looked through"));
                let places = (0u16..).zip(read.unwrap_or_default());
                let about = places.filter(|(_, tag)| tag.is_some_and(|tag| tags.contains(&tag)));
                let indexes: Vec<u16> = about.map(|(at, _)| at).collect();
                if !indexes.is_empty() {
                    found.push(Places { header, indexes });
                }
            }
            found
        });
        looked.await.map_err(|error| FederatedError::Refused(error.to_string()))
    }

    /// Takes records out of the files, and out of what the index answers; answers with the first that cannot be, after all
    /// others.
    async fn take_out(&self, places: &[Places]) -> Result<(), FederatedError> {
        let (federated, at) = (self.clone(), places);
        let places = places.to_vec();
        let done = tokio::task::spawn_blocking(move || {
            let tried: Vec<_> = places.iter().map(|one| federated.take_out_of(one)).collect();
            tried.into_iter().collect::<Result<(), _>>()
        });
        done.await.map_err(|error| FederatedError::Refused(error.to_string()))??;
        self.share_redacted(at.iter().map(|places| &places.header)).await
    }

    /// On each machine of a node: what a segment asks to erase of its own log, whoever of them was told.
    pub(super) async fn take_out_asked(
        &self,
        origin: NodeKey,
        targets: Vec<EraseTarget>,
    ) -> Result<(), FederatedError> {
        if targets.is_empty() {
            return Ok(());
        }
        let headers = self.ledger.read(move |sql| Ok(headers(sql, &[origin.0[..].into()])?)).await?;
        self.take_out(&locate(targets, &headers).0).await
    }

    fn take_out_of(&self, Places { header, indexes }: &Places) -> Result<(), FederatedError> {
        let body = self.read_body(header)?;
        let tags = segment::tags(header, &body)?;
        let redacted = segment::redact(header, &body, indexes)?;
        if redacted != body {
            self.write_file(header, &redacted)?;
        }
        let mut index = self.write_index();
        // What this node said itself is not in the index.
        if header.origin() == index.own() {
            return Ok(());
        }
        for at in indexes {
            let tag = tags.get(usize::from(*at)).copied().flatten();
            let place = (header.position().epoch, header.first_sequence() + u64::from(*at));
            index.erase(header.origin(), place, tag);
        }
        Ok(())
    }

    /// Keeps a body, unless it is here already: what was taken out of a good copy does not come back with another one.
    pub(super) fn write_body(&self, signed: &SignedHeader, body: &[u8]) -> Result<(), FederatedError> {
        let header = signed.header();
        let is_here = self.read_body(header).is_ok_and(|known| segment::open(signed, &known).is_ok());
        if is_here { Ok(()) } else { self.write_file(header, body) }
    }

    /// Writes the files of the tag index anew that hold what was erased.
    async fn sweep_erased(&self) -> Result<(), FederatedError> {
        if !self.look(Index::has_erased) {
            return Ok(());
        }
        let swept = self.upkeep.sweep().await?;
        let write = self.ledger.write(move |sql| {
            swept
                .into_iter()
                .try_for_each(|(origin, epoch, sequence)| Ok(strike_off(sql, origin, EraseTarget { epoch, sequence })?))
        });
        Ok(write.await?)
    }

    /// The same for what other nodes asked, beside all other work and at most once a day: nobody shall be able to have this
    /// node write its whole index anew as often as he likes. `now` in unix seconds.
    pub(super) fn sweep_in_time(&self, now: u64) {
        let before = self.swept_at.load(Ordering::Relaxed);
        if now < before.saturating_add(SWEEP_EVERY_S) || !self.look(Index::has_erased) {
            return;
        }
        self.swept_at.store(now, Ordering::Relaxed);
        let federated = self.clone();
        tokio::spawn(async move {
            if let Err(error) = federated.sweep_erased().await {
                tracing::error!(%error, "what was erased is still in files of the tag index; it is tried again tomorrow");
            }
        });
    }

    /// Follows the ERASEs of an origin, as far as the segments that they name are here. What fails stands in the table and is
    /// tried again at the next start: a damaged file must not keep a node from reading on, or from starting.
    pub(super) async fn follow_erasures(&self, origin: NodeKey) {
        if let Err(error) = self.try_to_follow(origin).await {
            tracing::error!(%origin, %error, "records that their origin asked to erase cannot be taken out");
        }
    }

    async fn try_to_follow(&self, origin: NodeKey) -> Result<(), FederatedError> {
        let (mut targets, headers) = self.ledger.read(move |sql| Ok(asked_of(sql, origin)?)).await?;
        targets.retain(|target| !self.look(|index| index.is_erased(&origin, (target.epoch, target.sequence))));
        let (found, done) = locate(targets, &headers);
        if !found.is_empty() {
            self.take_out(&found).await?;
            let records: usize = found.iter().map(|places| places.indexes.len()).sum();
            tracing::info!(%origin, records, "records that their origin asked to erase were taken out");
        }
        let own = self.look(Index::own);
        let done = if origin == own { found.iter().flat_map(Places::targets).chain(done).collect() } else { done };
        if done.is_empty() {
            return Ok(());
        }
        let write =
            self.ledger.write(move |sql| done.into_iter().try_for_each(|target| Ok(strike_off(sql, origin, target)?)));
        Ok(write.await?)
    }

    /// What was not done before the last stop.
    pub(super) async fn follow_all_erasures(&self) -> Result<(), FederatedError> {
        let query = "SELECT DISTINCT origin FROM erasure";
        let origins = self.ledger.read(move |sql| Ok(sql::all(sql, query, &[], |row| row.octets(0).map(NodeKey))?));
        for origin in origins.await? {
            self.follow_erasures(origin).await;
        }
        Ok(())
    }
}

impl Places {
    fn targets(&self) -> impl Iterator<Item = EraseTarget> {
        let (epoch, from) = (self.header.position().epoch, self.header.first_sequence());
        self.indexes.iter().map(move |at| EraseTarget { epoch, sequence: from + u64::from(*at) })
    }
}

/// What a segment asks to erase: what its origin said before.
pub(super) fn asked(opened: &Opened) -> Vec<EraseTarget> {
    let Opened::Readable(verified) = opened else { return Vec::new() };
    let epoch = verified.header().position().epoch;
    let events = verified.events().filter_map(|(sequence, record)| Some((sequence, record.erase_target()?)));
    let earlier = events.filter(|(sequence, target)| (target.epoch, target.sequence) < (epoch, *sequence));
    earlier.map(|(_, target)| target).collect()
}

/// Notes what an origin asks to erase, in the transaction that keeps its segment: it is done even where the node stops now.
pub(super) fn note(sql: &mut dyn Sql, origin: NodeKey, targets: &[EraseTarget]) -> Result<(), SqlError> {
    if targets.is_empty() {
        return Ok(());
    }
    let count = "SELECT COUNT(*) FROM erasure WHERE origin = $1";
    let count = sql::first(sql, count, &[origin.0[..].into()], |row| row.uint(0))?.unwrap_or(0);
    let room = ASKED_MAX.saturating_sub(count) as usize;
    targets.iter().take(room).try_for_each(|target| put(sql, origin, *target))
}

/// What an origin asked to erase and is not done to the end, and the segments of it that are kept, with what is parked of them.
type Asked = (Vec<EraseTarget>, Vec<(Header, IsHere)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum IsHere {
    Whole,
    /// Its body was not fetched.
    Header,
}

fn asked_of(sql: &mut dyn Sql, origin: NodeKey) -> Result<Asked, SqlError> {
    let origin = [origin.0[..].into()];
    let asked = "SELECT epoch, sequence FROM erasure WHERE origin = $1 ORDER BY epoch, sequence";
    let targets = sql::all(sql, asked, &origin, target)?;
    if targets.is_empty() {
        return Ok((targets, Vec::new()));
    }
    Ok((targets, headers(sql, &origin)?))
}

/// The segments of an origin, in the order of its log.
fn headers(sql: &mut dyn Sql, origin: &[Value]) -> Result<Vec<(Header, IsHere)>, SqlError> {
    let kept = "SELECT header, parked FROM segment WHERE origin = $1 ORDER BY epoch, segno";
    let segment = |row: &Row| {
        let is_here = if row.text_or_null(1)?.is_none() { IsHere::Whole } else { IsHere::Header };
        Ok((header(row)?, is_here))
    };
    sql::all(sql, kept, origin, segment)
}

/// Where they stand, and those of which nothing is kept any more. `headers` in the order of the log.
fn locate(targets: Vec<EraseTarget>, headers: &[(Header, IsHere)]) -> (Vec<Places>, Vec<EraseTarget>) {
    let mut found: BTreeMap<Position, Places> = BTreeMap::new();
    let mut forgotten = Vec::new();
    for target in targets {
        let before = headers.partition_point(|(header, _)| first(header) <= (target.epoch, target.sequence));
        let Some((header, is_here)) = before.checked_sub(1).and_then(|at| headers.get(at)) else {
            forgotten.push(target);
            continue;
        };
        let index = target.sequence - header.first_sequence().min(target.sequence);
        let is_in = header.position().epoch == target.epoch && index < u64::from(header.count());
        if is_in && *is_here == IsHere::Whole {
            let new = || Places { header: *header, indexes: Vec::new() };
            // Below the count, which is 4 096 at most.
            found.entry(header.position()).or_insert_with(new).indexes.push(index as u16);
        }
    }
    (found.into_values().collect(), forgotten)
}

fn put(sql: &mut dyn Sql, origin: NodeKey, EraseTarget { epoch, sequence }: EraseTarget) -> Result<(), SqlError> {
    let put = "INSERT INTO erasure (origin, epoch, sequence) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    sql.execute(put, &[origin.0[..].into(), epoch.into(), sequence.into()]).map(drop)
}

fn strike_off(
    sql: &mut dyn Sql,
    origin: NodeKey,
    EraseTarget { epoch, sequence }: EraseTarget,
) -> Result<(), SqlError> {
    let gone = "DELETE FROM erasure WHERE origin = $1 AND epoch = $2 AND sequence = $3";
    sql.execute(gone, &[origin.0[..].into(), epoch.into(), sequence.into()]).map(drop)
}

fn everything((ledger, is_overwritten): (Kept, bool), places: &[Places], own: NodeKey) -> Everything {
    let mut all = Everything { ledger, is_overwritten, ..Everything::default() };
    for Places { header, indexes } in places {
        let count = indexes.len() as u64;
        match header.origin() == own {
            true => all.told += count,
            false => *all.heard.entry(header.origin()).or_default() += count,
        }
    }
    all
}

fn put_pending(sql: &mut dyn Sql, key_id: KeyId, record: &Record, now: u64) -> Result<(), SqlError> {
    let put = "INSERT INTO pending (key_id, at, record) VALUES ($1, $2, $3)";
    sql.execute(put, &[key_id.0[..].into(), now.into(), record.encode()[..].into()]).map(drop)
}

fn first(header: &Header) -> (u32, u64) {
    (header.position().epoch, header.first_sequence())
}

fn target(row: &Row) -> Result<EraseTarget, SqlError> {
    Ok(EraseTarget { epoch: u32::try_from(row.uint(0)?).unwrap_or(u32::MAX), sequence: row.uint(1)? })
}

const BODIES: &str = "SELECT header FROM segment WHERE parked IS NULL ORDER BY n";
/// ERASEs of one origin whose records are not here: as many as it may tell in five days.
const ASKED_MAX: u64 = 100_000;
/// Between two times that files of the index are written anew because other nodes asked for it.
const SWEEP_EVERY_S: u64 = 86_400;
