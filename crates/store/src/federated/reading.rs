//! Segments on their way into the tag index: as they are kept, and again where the index does not hold them.

use std::collections::HashMap;
use std::path::Path;

use sm2tp_federation::header::Header;
use sm2tp_federation::keys::NodeKey;
use sm2tp_federation::segment::{self, Opened};

use super::index::upkeep::Reading;
use super::index::{Manifest, Rows};
use super::{Federated, FederatedError, header};
use crate::ledger::Ledger;
use crate::sql::{self, Row};

impl Federated {
    /// A segment got its row: its events are compared with what this node knows, and then looked up. The caller holds what
    /// [`super::index::upkeep::Upkeep::coming`] gave it.
    pub(super) fn took(&self, header: &Header, opened: &Opened, row: u64, now: u64) {
        self.upkeep.note(row, header.as_bytes());
        if let Opened::Readable(verified) = opened {
            self.judge_segment(verified, now);
        }
        {
            let mut index = self.write_index();
            index.count(header);
            if let Opened::Readable(verified) = opened {
                index.add(verified, row);
            }
        }
        self.upkeep.tend();
    }

    /// Looks after the index: what was found damaged is read again from the segments, beside all other work.
    ///
    /// # Errors
    /// [`FederatedError`] where the index cannot be written.
    pub(super) fn tend_index(&self) -> Result<(), FederatedError> {
        for reading in self.upkeep.mend()? {
            let federated = self.clone();
            tokio::spawn(async move { federated.read_beside(vec![reading]).await });
        }
        self.upkeep.tend();
        Ok(())
    }

    /// Reads into the index what it lacks. What is little is there before anybody asks.
    pub(super) async fn read_owed(&self, owed: Vec<Rows>) -> Result<(), FederatedError> {
        let query = "SELECT n, header FROM segment WHERE parked IS NULL ORDER BY n DESC LIMIT 1";
        let line = |row: &Row| Ok((row.uint(0)?, super::header_in(row, 1)?));
        let Some((newest, header)) = self.ledger.read(move |sql| Ok(sql::first(sql, query, &[], line)?)).await? else {
            return Ok(());
        };
        self.upkeep.note(newest, header.as_bytes());
        let reading: Vec<Reading> = owed
            .into_iter()
            .filter(|rows| rows.first <= newest)
            .map(|rows| self.upkeep.reading(Rows { last: rows.last.min(newest), ..rows }))
            .collect();
        let mut events = 0;
        for one in &reading {
            events += self.events_of(one.rows).await?;
        }
        if events <= AT_START_MAX {
            for one in reading {
                self.read_again(one).await?;
            }
        } else {
            tracing::warn!(events, "the tag index is made again; until then less is known of what other nodes say");
            let federated = self.clone();
            tokio::spawn(async move { federated.read_beside(reading).await });
        }
        Ok(())
    }

    /// How many events of each origin are kept.
    pub(super) async fn count_kept(&self) -> Result<(), FederatedError> {
        let read = self.ledger.read(|sql| {
            let mut kept: HashMap<NodeKey, u64> = HashMap::new();
            sql.rows("SELECT header FROM segment WHERE parked IS NULL", &[], &mut |row| {
                let header = header(row)?;
                *kept.entry(header.origin()).or_default() += u64::from(header.count());
                Ok(())
            })?;
            Ok(kept)
        });
        let kept = read.await?;
        self.write_index().set_kept(kept);
        Ok(())
    }

    async fn read_beside(&self, reading: Vec<Reading>) {
        for one in reading {
            let rows = one.rows;
            match self.read_again(one).await {
                Ok(()) => tracing::info!(first = rows.first, last = rows.last, "segments were read into the tag index"),
                Err(error) => tracing::error!(%error, "the tag index is not whole; it is read again at the next start"),
            }
        }
    }

    async fn read_again(&self, reading: Reading) -> Result<(), FederatedError> {
        let (mut after, last) = (reading.rows.first.checked_sub(1), reading.rows.last);
        loop {
            let query =
                "SELECT n, header FROM segment WHERE $1 <= n AND n <= $2 AND parked IS NULL ORDER BY n LIMIT $3";
            let values = [after.map_or(0, |after| after + 1).into(), last.into(), PAGE.into()];
            let line = |row: &Row| Ok((row.uint(0)?, super::header_in(row, 1)?));
            let page = self.ledger.read(move |sql| Ok(sql::all(sql, query, &values, line)?)).await?;
            let Some((row, _)) = page.last() else { break };
            after = Some(*row);
            for (row, header) in page {
                self.read_one(row, &header).await?;
                // A second of work in a row would stop all others on this thread.
                tokio::task::yield_now().await;
            }
            self.upkeep.tend();
        }
        reading.done();
        Ok(())
    }

    async fn read_one(&self, row: u64, header: &Header) -> Result<(), FederatedError> {
        self.upkeep.room().await?;
        let Some(origin) = self.descriptor(header.origin()).await? else { return Ok(()) };
        let read = self.read_body(header).and_then(|body| Ok(segment::verify(header, origin.descriptor(), &body)?));
        match read {
            Ok(Opened::Readable(verified)) => self.write_index().add(&verified, row),
            Ok(Opened::RelayOnly(_)) => {}
            Err(error) => {
                let (origin, position) = (header.origin(), header.position());
                tracing::error!(%origin, %position, %error, "a kept segment cannot be used; it is left out of the index");
            }
        }
        Ok(())
    }

    async fn events_of(&self, rows: Rows) -> Result<u64, FederatedError> {
        let query = "SELECT header FROM segment WHERE $1 <= n AND n <= $2 AND parked IS NULL";
        let values = [rows.first.into(), rows.last.into()];
        let read = self.ledger.read(move |sql| {
            let mut events = 0;
            sql.rows(query, &values, &mut |row| {
                events += u64::from(header(row)?.count());
                Ok(())
            })?;
            Ok(events)
        });
        Ok(read.await?)
    }
}

/// What the index says that it holds; an empty one where its numbers mean other segments now, as after a restore.
pub(super) async fn manifest(ledger: &Ledger, dir: &Path) -> Result<Manifest, FederatedError> {
    let Some(manifest) = Manifest::read(dir)? else { return Ok(Manifest::empty()) };
    let Some(newest) = manifest.newest else { return Ok(manifest) };
    let query = "SELECT header FROM segment WHERE n = $1";
    let found = ledger.read(move |sql| Ok(sql::first(sql, query, &[newest.row.into()], header)?)).await?;
    if found.is_some_and(|header| crc32fast::hash(header.as_bytes()) == newest.header) {
        return Ok(manifest);
    }
    tracing::warn!("the tag index is of another life of this database; it is made again");
    Ok(Manifest::empty())
}

/// Events that a start reads before it answers: about a second.
const AT_START_MAX: u64 = 1_000_000;
/// Headers in memory at once.
const PAGE: u64 = 256;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::FileExt;

    use ed25519_dalek::SigningKey;
    use sm2tp_federation::belief::BeliefLimits;
    use sm2tp_federation::descriptor::{self, Descriptor, LogKeyTerm};
    use sm2tp_federation::header::{Position, Sealing};
    use sm2tp_federation::keys::LogKey;
    use sm2tp_federation::record::{Class, Record, Source};
    use sm2tp_federation::tags::{KeyId, Tag};

    use super::super::index::{FRESH_MAX, Index};
    use super::super::{Peer, PeerState};
    use super::*;
    use crate::ledger;
    use crate::testing::TempDir;

    const NOW: u64 = 1_790_000_000;
    const SEGMENTS: u32 = 1 + FRESH_MAX as u32 / 4096;

    async fn open(dir: &Path) -> Federated {
        let ledger = Ledger::open(&ledger::path(dir)).unwrap();
        let own = NodeKey([9; 32]);
        Federated::open(ledger, &dir.join("segments"), own, BeliefLimits::default()).await.unwrap()
    }

    fn key(n: u8) -> SigningKey {
        SigningKey::from_bytes(&[n; 32])
    }

    /// A peer, and more segments of it than stay in memory. Each event is about a tag of its own.
    async fn told(federated: &Federated) {
        let node = NodeKey::of(&key(1));
        let log_keys = vec![LogKeyTerm { key: LogKey::of(&key(2)), not_before: 0, not_after: u64::MAX >> 12 }];
        let descriptor = Descriptor {
            node,
            seq: 1,
            name: "A".into(),
            api: "https://a.example/fed/v1".into(),
            contact: String::new(),
            log_keys,
            revoked: Vec::new(),
            peers: Vec::new(),
            smtp: None,
            versions: vec![1],
            tag_schemes: vec![1],
            retention_days: 400,
            retired: false,
        };
        federated.take_descriptor(descriptor::sign(descriptor, &key(1)).unwrap(), None, NOW).await.unwrap();
        federated.put_peer(peer(node)).await.unwrap();
        let (mut first_sequence, mut prev) = (1, [0; 32]);
        for segno in 0..SEGMENTS {
            let about = |n: u32| Record::about(Class::HARD, Source(1), tag(segno, n), NOW - 90_000);
            let records: Vec<Record> = (0..4096).map(about).collect();
            let position = Position { epoch: 0, segno };
            let key_id = KeyId([9; 8]);
            let sealing = Sealing { origin: node, position, first_sequence, prev, key_id, sealed_at: NOW };
            let sealed = segment::seal(&sealing, &key(2), &records).unwrap();
            federated.keep(&sealed.header, &sealed.body, None, NOW).await.unwrap();
            (first_sequence, prev) = (first_sequence + 4096, sealed.header.header().hash());
        }
    }

    fn peer(node: NodeKey) -> Peer {
        Peer {
            node,
            url: "https://a.example/fed/v1".into(),
            name: "A".into(),
            state: PeerState::Accepted,
            read: true,
            weight: 1.0,
            note: None,
            added_at: NOW,
            cursor: None,
            polled_at: None,
            answered_at: None,
            caught_up_at: None,
            read_at: None,
            read_to: None,
            trouble: None,
            request_id: None,
        }
    }

    fn tag(segno: u32, n: u32) -> Tag {
        Tag((u128::from(n) << 100 | u128::from(segno)).to_be_bytes())
    }

    /// Segments of which an event is known.
    fn known(federated: &Federated) -> Vec<u32> {
        let limits = federated.belief().clone();
        let knows = |segno: &u32| federated.look(|index| index.votes(&tag(*segno, 77), NOW, &limits).len() == 1);
        (0..SEGMENTS).filter(knows).collect()
    }

    /// Other work is done until this is so.
    async fn until(what: impl Fn() -> bool) {
        while !what() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn the_index_outlives_a_restart_and_is_made_again_where_it_is_lost_or_damaged() {
        let dir = TempDir::quick();
        let (segments, hidden) = (dir.path().join("segments"), dir.path().join("hidden"));
        let (of_peer, all) = (segments.join(hex::encode(NodeKey::of(&key(1)).0)), (0..SEGMENTS).collect::<Vec<_>>());
        let federated = open(dir.path()).await;
        told(&federated).await;
        until(|| federated.look(|index| index.size().runs) == 1).await;
        assert_eq!(known(&federated), all);
        let size = federated.look(Index::size);
        assert_eq!((size.tags, size.events), (u64::from(SEGMENTS) * 4096, u64::from(SEGMENTS) * 4096));
        drop(federated);

        // What a run holds is not read again at a start.
        fs::rename(&of_peer, &hidden).unwrap();
        assert_eq!(known(&open(dir.path()).await), all[..all.len() - 1]);
        fs::rename(&hidden, &of_peer).unwrap();

        let federated = open(dir.path()).await;
        let run = fs::read_dir(segments.join("index")).unwrap().map(|entry| entry.unwrap().path());
        let run = run.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "run")).unwrap();
        fs::OpenOptions::new().write(true).open(run).unwrap().write_all_at(&[1], 3 * 4096 + 99).unwrap();
        // One of these tags lies in the damaged block or it is found by the comparison with what this node knows.
        until(|| {
            (0..4096).for_each(|n| _ = federated.look(|index| index.votes(&tag(0, n), NOW, federated.belief()).len()));
            known(&federated) != all
        })
        .await;
        federated.judge(NOW).await.unwrap();
        until(|| known(&federated) == all).await;
        drop(federated);

        fs::remove_dir_all(segments.join("index")).unwrap();
        let federated = open(dir.path()).await;
        assert_eq!(known(&federated), all);
        until(|| federated.look(|index| index.size().runs) == 1).await;
        // An older copy of the database: its next segments get numbers that the index thinks it knows.
        let older = "DELETE FROM segment WHERE n >= 60";
        federated.ledger.write(move |sql| Ok(sql.execute(older, &[])?)).await.unwrap();
        drop(federated);
        assert_eq!(known(&open(dir.path()).await), all[..59]);
    }
}
