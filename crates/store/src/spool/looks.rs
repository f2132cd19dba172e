//! What people look at: pages of the queue, how much waits, sums. Asked on a connection of its own, so that a long look holds up
//! nothing that is to be delivered.

use std::sync::Arc;

use rusqlite::{Connection, Row, params};

use super::mail::{Lane, Mail, Recipient, Sum, Sums};
use super::writer::Question;
use super::{Spool, SpoolError, on, rows};

/// Which part of the queue to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub domain: Option<String>,
    pub org: Option<String>,
    pub lane: Option<Lane>,
    /// How the note of the recipient begins.
    pub note: Option<String>,
    /// The recipient after which the page begins: its mail, and its index there. A mail with more recipients than a page
    /// holds is cut between two of them.
    pub after: (u64, u32),
    pub limit: usize,
}

/// One waiting recipient with its mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub mail: Arc<Mail>,
    pub recipient: Recipient,
}

/// Recipients that wait, by lane, and the age of the oldest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depth {
    pub normal: u64,
    pub slow: u64,
    pub held: u64,
    /// Unix seconds of the oldest mail; 0 = none.
    pub oldest_at: u64,
    /// Happenings that the ledger has not taken yet.
    pub outbox: u64,
}

impl Spool {
    /// A page of the queue.
    ///
    /// # Errors
    /// [`SpoolError`] where the queue database cannot be read.
    pub async fn list(&self, filter: Filter) -> Result<Vec<Listed>, SpoolError> {
        stale(self.catch_up(0..=u64::MAX).await)?;
        self.look(move |connection| rows::list(connection, &filter)).await
    }

    /// How many recipients wait, by lane.
    ///
    /// # Errors
    /// [`SpoolError`] where the queue database cannot be read.
    pub async fn depth(&self) -> Result<Depth, SpoolError> {
        stale(self.ask(Question::Fold).await)?;
        self.look(depth).await
    }

    /// What waits, added up by recipient domain and by organisation: of one organisation, or of all.
    ///
    /// # Errors
    /// [`SpoolError`] where the queue database cannot be read.
    pub async fn sums(&self, org: Option<String>) -> Result<Sums, SpoolError> {
        stale(self.ask(Question::Fold).await)?;
        self.look(move |connection| sums(connection, org.as_deref())).await
    }

    async fn look<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, SpoolError> + Send + 'static,
    ) -> Result<T, SpoolError> {
        on(self.looker.clone(), question).await
    }
}

/// What a person looks at may be behind where the disk is full: it is worth more than an error.
fn stale(caught_up: Result<(), SpoolError>) -> Result<(), SpoolError> {
    caught_up.or_else(|error| if error.is_storage() { Ok(()) } else { Err(error) })
}

fn depth(connection: &Connection) -> Result<Depth, SpoolError> {
    let mut depth = Depth::default();
    let mut statement = connection.prepare_cached("SELECT lane, COUNT(*) FROM rcpt GROUP BY lane")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let Some(lane) = row.get_ref(0)?.as_str().ok().and_then(|lane| lane.parse().ok()) else { continue };
        *match lane {
            Lane::Normal => &mut depth.normal,
            Lane::Slow => &mut depth.slow,
            Lane::Held => &mut depth.held,
        } = row.get(1)?;
    }
    let oldest: Option<u64> = connection.query_row("SELECT MIN(received_at) FROM mail", [], |row| row.get(0))?;
    depth.oldest_at = oldest.unwrap_or(0);
    depth.outbox = connection.query_row("SELECT COUNT(*) FROM outbox", [], |row| row.get(0))?;
    Ok(depth)
}

/// What waits by domain and by organisation: [`SUMS_MAX`] of each.
fn sums(connection: &Connection, org: Option<&str>) -> Result<Sums, SpoolError> {
    Ok(Sums { domains: summed(connection, "r.domain", org)?, orgs: summed(connection, "m.org", org)? })
}

fn summed(connection: &Connection, by: &str, org: Option<&str>) -> Result<Vec<Sum>, SpoolError> {
    let query = format!(
        "SELECT {by}, SUM(r.lane = 'normal'), SUM(r.lane = 'slow'), SUM(r.lane = 'held'), MIN(m.received_at), \
                MIN(CASE WHEN r.lane <> 'held' THEN r.next_at END) \
         FROM rcpt r JOIN mail m ON m.id = r.mail WHERE ?1 IS NULL OR m.org = ?1 \
         GROUP BY {by} ORDER BY COUNT(*) DESC, {by} LIMIT ?2"
    );
    let mut statement = connection.prepare_cached(&query)?;
    let row = |row: &Row<'_>| {
        let [normal, slow, held] = [row.get(1)?, row.get(2)?, row.get(3)?];
        let (oldest_at, next_at) = (row.get(4)?, row.get(5)?);
        Ok(Sum { name: row.get(0)?, normal, slow, held, oldest_at, next_at, note: None })
    };
    let mut found: Vec<Sum> = statement.query_map(params![org, SUMS_MAX], row)?.collect::<Result<_, _>>()?;
    let why = format!(
        "SELECT {by}, r.note FROM rcpt r JOIN mail m ON m.id = r.mail \
         WHERE (?1 IS NULL OR m.org = ?1) AND r.note IS NOT NULL GROUP BY {by}, r.note ORDER BY COUNT(*), r.note DESC"
    );
    let mut why = connection.prepare_cached(&why)?;
    let mut rows = why.query(params![org])?;
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        // The most frequent one comes last.
        if let Some(sum) = found.iter_mut().find(|sum| sum.name == name) {
            sum.note = row.get(1)?;
        }
    }
    Ok(found)
}

/// Domains or organisations that a person reads of.
const SUMS_MAX: u64 = 20;

#[cfg(test)]
mod tests {
    use super::super::Spool;
    use super::super::tests::mail;
    use crate::testing::TempDir;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_look_that_takes_long_holds_up_no_delivery() {
        let dir = TempDir::new();
        let spool = Spool::open(dir.path(), "one").unwrap();
        let id = spool.accept(mail(&["a@x.example"], b"body")).await.unwrap().mail.id;
        assert_eq!(spool.depth().await.unwrap().normal, 1);
        let looker = spool.looker.clone();
        // As if somebody looked on and on.
        let looking = looker.lock().unwrap();
        let delivered = std::thread::scope(|scope| {
            let asked = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                runtime.block_on(async {
                    let content = spool.content(id).await.unwrap();
                    (content, spool.queued(id).await.unwrap().recipients.len(), spool.stubs(0, id, 10).await.unwrap())
                })
            });
            asked.join().unwrap()
        });
        drop(looking);
        assert_eq!((&delivered.0[..], delivered.1), (&b"body"[..], 1));
        assert!(delivered.2.is_some());
    }
}
