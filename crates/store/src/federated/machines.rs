//! Segments on several machines of one node (decision 0075): each keeps them as files and has an index of its own; what one of them
//! took, the others fetch from the database that they share.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::PathBuf;
use std::sync::{MutexGuard, PoisonError};

use sm2tp_federation::header::Header;
use sm2tp_federation::segment;

use super::{Federated, FederatedError, at, erasing, header, segment_path};
use crate::sql::{self, Row, Sql, SqlError};

/// Which segments this machine has read.
#[derive(Debug, Default)]
pub(super) struct Followed {
    /// All up to this local number.
    to: u64,
    /// Beyond it, those that it kept itself.
    taken: BTreeSet<u64>,
}

impl Federated {
    /// Follows what another machine of this node has changed: whom it knows, how they are judged, and segments that it kept.
    /// `now` in unix seconds.
    ///
    /// # Errors
    /// [`FederatedError`] where it cannot be read; the next call goes on there.
    pub async fn follow(&self, now: u64) -> Result<(), FederatedError> {
        self.load_links().await?;
        self.load_judgements().await?;
        self.load_proofs().await?;
        self.load_parked().await?;
        self.refresh_origins().await?;
        loop {
            let after = self.followed().to;
            let values = [after.into(), PAGE.into()];
            let page = self.ledger.read(move |sql| Ok(sql::all(sql, AFTER, &values, numbered)?)).await?;
            if page.is_empty() {
                return Ok(());
            }
            for (header, row) in page {
                let is_own = self.followed().taken.remove(&row);
                if !is_own {
                    self.take_over(&header, row, now).await?;
                }
                let mut followed = self.followed();
                followed.to = row;
                followed.taken.remove(&row);
            }
        }
    }

    /// What the others need of a body, where there are others.
    pub(super) fn for_others(&self, body: &[u8]) -> Option<Vec<u8>> {
        self.ledger.is_shared().then(|| body.to_vec())
    }

    pub(super) fn note_taken(&self, row: u64) {
        if self.ledger.is_shared() {
            self.followed().taken.insert(row);
        }
    }

    /// At a start: fetches the files that other machines kept meanwhile, and removes those that were forgotten. From here on
    /// [`Self::follow`] goes on.
    pub(super) async fn fetch_missing(&self) -> Result<(), FederatedError> {
        if !self.ledger.is_shared() {
            return Ok(());
        }
        let (mut after, mut known) = (0, HashSet::new());
        loop {
            let values = [after.into(), PAGE.into()];
            let page = self.ledger.read(move |sql| Ok(sql::all(sql, AFTER, &values, numbered)?)).await?;
            let Some((_, last)) = page.last() else { break };
            after = *last;
            for (header, row) in page {
                let path = segment_path(&self.dir, &header);
                if !path.exists() {
                    self.fetch(&header, row).await?;
                }
                known.insert(path);
            }
        }
        self.followed().to = after;
        self.forget_others(&known)
    }

    /// What was taken out of these segments goes from the database, too.
    pub(super) async fn share_redacted(&self, headers: impl Iterator<Item = &Header>) -> Result<(), FederatedError> {
        if !self.ledger.is_shared() {
            return Ok(());
        }
        for header in headers {
            let (body, at) = (self.read_body(header)?, header.position());
            let values = [header.origin().0[..].into(), at.epoch.into(), at.segno.into(), body[..].into()];
            self.ledger.write(move |sql| Ok(sql.execute(REDACT, &values)?)).await?;
        }
        Ok(())
    }

    async fn take_over(&self, header: &Header, row: u64, now: u64) -> Result<(), FederatedError> {
        let Some(body) = self.fetch(header, row).await? else { return Ok(()) };
        let Some(origin) = self.descriptor(header.origin()).await? else { return Ok(()) };
        self.upkeep.room().await?;
        let _coming = self.upkeep.coming();
        match segment::verify(header, origin.descriptor(), &body) {
            Ok(opened) => {
                self.took(header, &opened, row, now);
                self.take_out_asked(header.origin(), erasing::asked(&opened)).await?;
            }
            Err(error) => tracing::error!(origin = %header.origin(), position = %header.position(), %error,
                "a segment of another machine of this node cannot be used"),
        }
        Ok(())
    }

    /// Writes the file of a segment from the database; none where it was forgotten meanwhile.
    async fn fetch(&self, header: &Header, row: u64) -> Result<Option<Vec<u8>>, FederatedError> {
        let query = "SELECT body FROM segment_body WHERE n = $1";
        let read = |row: &Row| row.blob(0).map(<[u8]>::to_vec);
        let found = self.ledger.read(move |sql| Ok(sql::first(sql, query, &[row.into()], read)?)).await?;
        if let Some(body) = &found {
            self.write_file(header, body)?;
        }
        Ok(found)
    }

    fn forget_others(&self, known: &HashSet<PathBuf>) -> Result<(), FederatedError> {
        for folder in fs::read_dir(&self.dir).map_err(at(&self.dir))?.flatten().map(|entry| entry.path()) {
            let Ok(files) = fs::read_dir(&folder) else { continue };
            for path in files.flatten().map(|entry| entry.path()) {
                if path.extension().is_some_and(|extension| extension == "seg") && !known.contains(&path) {
                    fs::remove_file(&path).map_err(at(&path))?;
                }
            }
        }
        Ok(())
    }

    fn followed(&self) -> MutexGuard<'_, Followed> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// In the transaction that keeps the row.
pub(super) fn keep_body(sql: &mut dyn Sql, row: Option<u64>, body: Option<Vec<u8>>) -> Result<(), SqlError> {
    if let (Some(row), Some(body)) = (row, body) {
        sql.execute("INSERT INTO segment_body (n, body) VALUES ($1, $2)", &[row.into(), body[..].into()])?;
    }
    Ok(())
}

fn numbered(row: &Row) -> Result<(Header, u64), SqlError> {
    Ok((header(row)?, row.uint(1)?))
}

const REDACT: &str = "UPDATE segment_body SET body = $4 WHERE n = (SELECT n FROM segment WHERE origin = $1 AND epoch = $2 AND segno = $3)";
const AFTER: &str = "SELECT header, n FROM segment WHERE $1 < n AND parked IS NULL ORDER BY n LIMIT $2";
/// Headers in memory at once.
const PAGE: u64 = 256;
