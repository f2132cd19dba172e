//! Storage expires by whole segments, from the old end of each log (`FEDERATION.md` §7): what no event of counts any more is
//! neither kept nor served.

use std::collections::HashSet;
use std::fs;
use std::io;

use sm2tp_federation::header::{Header, Position};
use sm2tp_federation::keys::NodeKey;
use sm2tp_federation::segment::EVENT_AGE_MAX_S;

use super::{Federated, FederatedError, at, header};
use crate::sql::{self, Sql, SqlError};

impl Federated {
    /// Forgets segments that were sealed before all that counts, some of them; answers with how many. The newest of each log
    /// stays, so that the log goes on, and the one with the highest local number, so that no number is given out twice. `now`
    /// in unix seconds.
    ///
    /// # Errors
    /// [`FederatedError`] where they cannot be forgotten; they are the next time.
    pub async fn prune(&self, now: u64) -> Result<usize, FederatedError> {
        let before = now.saturating_sub(EVENT_AGE_MAX_S);
        let origins = self.look(|index| index.origins_kept());
        // Looked for beside the writer, who has mail to count: most of the time there is nothing.
        let old = self.ledger.read(move |sql| Ok(old(sql, origins, before)?)).await?;
        if old.is_empty() {
            return Ok(0);
        }
        let gone: Vec<Header> = self.ledger.write(move |sql| Ok(forget(sql, old)?)).await?;
        for header in &gone {
            let path = self.path(header);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&path)(error)),
                _ => {}
            }
        }
        if !gone.is_empty() {
            for origin in gone.iter().map(Header::origin).collect::<HashSet<_>>() {
                self.count_again(origin).await?;
            }
            tracing::info!(segments = gone.len(), "segments of which nothing counts any more were forgotten");
        }
        Ok(gone.len())
    }
}

/// What there is to forget, log by log and each from its old end.
fn old(sql: &mut dyn Sql, origins: Vec<NodeKey>, before: u64) -> Result<Vec<Header>, SqlError> {
    let mut found = Vec::new();
    for origin in origins {
        // Nearly all logs begin with a segment that is young enough.
        if old_of(sql, origin, before, 1)?.is_empty() {
            continue;
        }
        found.append(&mut old_of(sql, origin, before, PRUNED_MAX - found.len())?);
        if PRUNED_MAX <= found.len() {
            break;
        }
    }
    Ok(found)
}

/// The first segments of a log that were sealed before `before`, so many at most, without its newest.
fn old_of(sql: &mut dyn Sql, origin: NodeKey, before: u64, max: usize) -> Result<Vec<Header>, SqlError> {
    let query = "SELECT header FROM segment WHERE origin = $1 ORDER BY epoch, segno LIMIT $2";
    let mut headers = sql::all(sql, query, &[origin.0[..].into(), (max as u64 + 1).into()], header)?;
    headers.pop();
    let young = headers.iter().position(|header| before <= header.sealed_at()).unwrap_or(headers.len());
    headers.truncate(young);
    Ok(headers)
}

/// Takes the rows away; answers with those that are gone.
fn forget(sql: &mut dyn Sql, old: Vec<Header>) -> Result<Vec<Header>, SqlError> {
    let delete = "DELETE FROM segment WHERE origin = $1 AND epoch = $2 AND segno = $3 \
        AND n < (SELECT MAX(n) FROM segment)";
    let (mut gone, mut stays) = (Vec::new(), None);
    for header in old {
        let (origin, Position { epoch, segno }) = (header.origin(), header.position());
        // What lies behind one that stays does so too: a log has no holes.
        if stays == Some(origin) {
            continue;
        }
        match sql.execute(delete, &[origin.0[..].into(), epoch.into(), segno.into()])? {
            0 => stays = Some(origin),
            _ => gone.push(header),
        }
    }
    Ok(gone)
}

/// Segments that one transaction forgets.
const PRUNED_MAX: usize = 500;

#[cfg(test)]
mod tests {
    use super::super::testing::{NOW, open, seal, told};
    use crate::testing::TempDir;

    #[tokio::test]
    async fn old_segments_go_from_the_old_end_and_the_newest_of_a_log_stays() {
        let dir = TempDir::quick();
        let federated = open(dir.path()).await;
        let day = 86_400;
        // Sealed 500, 450, 100 and 420 days ago: what lies behind a young one stays, the log has no holes.
        let ages = [500, 450, 100, 420, 10].map(|days| NOW - days * day);
        let origin = told(&federated, &ages.map(|sealed_at| (sealed_at, 3))).await;
        assert_eq!(federated.look(|index| index.kept(&origin)), 15);
        assert_eq!(federated.prune(NOW).await.unwrap(), 2);
        assert_eq!(federated.prune(NOW).await.unwrap(), 0);
        let oldest = &federated.heads().await.unwrap()[0];
        assert_eq!((oldest.oldest_epoch, oldest.oldest_segno, oldest.segno), (0, 2, 4));
        assert_eq!(federated.look(|index| index.kept(&origin)), 9);
        // Merging runs leaves out what lies before.
        assert_eq!(federated.look(|index| index.oldest_by_number()), [(0, 7)]);
        assert_eq!(federated.prune(NOW + 2000 * day).await.unwrap(), 2);
        let head = federated.head(origin).await.unwrap().unwrap();
        assert_eq!(head.position.segno, 4);
        // The log goes on.
        let next = seal(Some(&head), NOW, 1);
        federated.keep(&next.header, &next.body, None, NOW).await.unwrap();
        let files = std::fs::read_dir(dir.path().join("segments").join(hex::encode(origin.0))).unwrap().count();
        assert_eq!(files, 2);
        drop(federated);
        assert_eq!(open(dir.path()).await.look(|index| index.kept(&origin)), 4);
    }
}
