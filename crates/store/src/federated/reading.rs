//! Segments on their way into the tag index: as they are kept, and again where the index does not hold them.

use std::path::Path;

use sm2tp_federation::header::Header;
use sm2tp_federation::keys::NodeKey;
use sm2tp_federation::segment::{self, Opened};

use super::index::upkeep::Reading;
use super::index::{Manifest, Rows};
use super::{Federated, FederatedError, header};
use crate::ledger::Ledger;
use crate::sql::{self, Row, SqlError};

impl Federated {
    /// A segment got its row: its events are compared with what this node knows, and then looked up. The caller holds what
    /// [`super::index::upkeep::Upkeep::coming`] gave it.
    pub(super) fn took(&self, header: &Header, opened: &Opened, row: u64, now: u64) {
        self.upkeep.note(row, header.as_bytes());
        self.note_taken(row);
        if let Opened::Readable(verified) = opened {
            self.judge_segment(verified, now);
        }
        {
            let mut index = self.write_index();
            index.note_arrival(row, now);
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
        let query = "SELECT header, n FROM segment WHERE parked IS NULL ORDER BY n DESC LIMIT 1";
        let found = self.ledger.read(move |sql| Ok(sql::first(sql, query, &[], numbered)?));
        let Some((header, newest)) = found.await? else {
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

    /// How many events of each origin are kept, from where on, and when what came.
    pub(super) async fn count_kept(&self) -> Result<(), FederatedError> {
        let query = "SELECT header, n, received_at FROM segment WHERE parked IS NULL ORDER BY n";
        let read = |row: &Row| Ok((header(row)?, row.uint(1)?, row.uint(2)?));
        let segments = self.ledger.read(move |sql| Ok(sql::all(sql, query, &[], read)?)).await?;
        let mut index = self.write_index();
        for (header, row, received_at) in &segments {
            index.note_arrival(*row, *received_at);
            index.count(header);
        }
        Ok(())
    }

    /// The same of one origin, of which segments were forgotten.
    pub(super) async fn count_again(&self, origin: NodeKey) -> Result<(), FederatedError> {
        let query = "SELECT header FROM segment WHERE parked IS NULL AND origin = $1";
        let headers = self.ledger.read(move |sql| Ok(sql::all(sql, query, &[origin.0[..].into()], header)?)).await?;
        self.write_index().count_again(&origin, &headers);
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
                "SELECT header, n FROM segment WHERE $1 <= n AND n <= $2 AND parked IS NULL ORDER BY n LIMIT $3";
            let values = [after.map_or(0, |after| after + 1).into(), last.into(), PAGE.into()];
            let page = self.ledger.read(move |sql| Ok(sql::all(sql, query, &values, numbered)?)).await?;
            let Some((_, row)) = page.last() else { break };
            after = Some(*row);
            for (header, row) in page {
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

/// A header with its local number.
fn numbered(row: &Row) -> Result<(Header, u64), SqlError> {
    Ok((header(row)?, row.uint(1)?))
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

    use super::super::index::{FRESH_MAX, Index};
    use super::super::testing::{NOW, open_alone, peer_key, tag, told};
    use super::*;
    use crate::testing::TempDir;

    const SEGMENTS: u32 = 1 + FRESH_MAX as u32 / 4096;

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
        let (of_peer, all) = (segments.join(hex::encode(peer_key().0)), (0..SEGMENTS).collect::<Vec<_>>());
        let federated = open_alone(dir.path()).await;
        told(&federated, &[(NOW, 4096); SEGMENTS as usize]).await;
        until(|| federated.look(|index| index.size().runs) == 1).await;
        assert_eq!(known(&federated), all);
        let size = federated.look(Index::size);
        assert_eq!((size.tags, size.events), (u64::from(SEGMENTS) * 4096, u64::from(SEGMENTS) * 4096));
        drop(federated);

        // What a run holds is not read again at a start.
        fs::rename(&of_peer, &hidden).unwrap();
        assert_eq!(known(&open_alone(dir.path()).await), all[..all.len() - 1]);
        fs::rename(&hidden, &of_peer).unwrap();

        let federated = open_alone(dir.path()).await;
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
        let federated = open_alone(dir.path()).await;
        assert_eq!(known(&federated), all);
        until(|| federated.look(|index| index.size().runs) == 1).await;
        // An older copy of the database: its next segments get numbers that the index thinks it knows.
        let older = "DELETE FROM segment WHERE n >= 60";
        federated.ledger.write(move |sql| Ok(sql.execute(older, &[])?)).await.unwrap();
        drop(federated);
        assert_eq!(known(&open_alone(dir.path()).await), all[..59]);
    }
}
