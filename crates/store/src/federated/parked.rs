//! Segments beyond a quota (`FEDERATION.md` §8.2): their headers are kept, so that the log goes on; their bodies are not
//! fetched until a person says so.

use sm2tp_federation::header::{Header, SignedHeader};
use sm2tp_federation::keys::NodeKey;
use sm2tp_federation::quota::Parked;
use sm2tp_federation::segment;

use super::{Federated, FederatedError, erasing, header, machines};
use crate::sql::{self, Row, Sql, Value};

/// What waits of one origin.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Waiting {
    pub segments: u64,
    pub events: u64,
    /// The bound that the last of them passed.
    pub why: String,
    /// Of the segments, those that a person let in; they are fetched. What comes later beyond a quota waits for its own yes.
    pub released: u64,
}

impl Waiting {
    /// All of it was let in.
    #[must_use]
    pub fn is_let_in(&self) -> bool {
        self.segments <= self.released
    }
}

impl Federated {
    /// Keeps the header of a segment that was checked to be the next one of its origin, and not its body. Answers with
    /// false where too many wait already: then not even the header is kept.
    ///
    /// # Errors
    /// [`FederatedError`]: it is not kept.
    pub async fn park(
        &self,
        signed: &SignedHeader,
        introducer: Option<NodeKey>,
        why: Parked,
        now: u64,
    ) -> Result<bool, FederatedError> {
        let header = *signed.header();
        let waiting = self.look(|index| index.parked().get(&header.origin()).map_or(0, |waiting| waiting.segments));
        if PARKED_MAX <= waiting {
            return Ok(false);
        }
        let why = why.to_string();
        let note = why.clone();
        let fresh = self.ledger.write(move |sql| Ok(insert(sql, &header, introducer, now, Some(&note))?)).await?;
        if fresh.is_some() {
            let mut index = self.write_index();
            let waiting = index.parked_mut().entry(header.origin()).or_default();
            waiting.segments += 1;
            waiting.events += u64::from(header.count());
            waiting.why = why;
        }
        Ok(true)
    }

    /// A person lets in what waits of an origin. Answers with the number of its segments.
    ///
    /// # Errors
    /// [`FederatedError`]: nothing has changed.
    pub async fn release(&self, origin: NodeKey) -> Result<u64, FederatedError> {
        let update = "UPDATE segment SET parked = $2 WHERE origin = $1 AND parked IS NOT NULL";
        let values = [origin.0[..].into(), RELEASED.into()];
        let count = self.ledger.write(move |sql| Ok(sql.execute(update, &values)?)).await?;
        if let Some(waiting) = self.write_index().parked_mut().get_mut(&origin) {
            waiting.released = waiting.segments;
        }
        Ok(count as u64)
    }

    /// Headers whose bodies a person wants, some of them.
    ///
    /// # Errors
    /// [`FederatedError`] where the ledger cannot be read.
    pub async fn released(&self) -> Result<Vec<Header>, FederatedError> {
        if !self.look(|index| index.parked().values().any(|waiting| waiting.released != 0)) {
            return Ok(Vec::new());
        }
        let query = "SELECT header FROM segment WHERE parked = $1 ORDER BY origin, epoch, segno LIMIT $2";
        let values = [RELEASED.into(), FETCHED_MAX.into()];
        Ok(self.ledger.read(move |sql| Ok(sql::all(sql, query, &values, header)?)).await?)
    }

    /// Keeps the body of a header that was parked. It gets a new local number: whoever reads our feed is past the old one.
    ///
    /// # Errors
    /// [`FederatedError`]: it stays parked.
    pub async fn unpark(&self, signed: &SignedHeader, body: &[u8], now: u64) -> Result<(), FederatedError> {
        let opened = segment::open(signed, body)?;
        let header = *signed.header();
        self.upkeep.room().await?;
        let _coming = self.upkeep.coming();
        self.write_body(signed, body)?;
        let (at, asked) = (header.position(), erasing::asked(&opened));
        let for_others = self.for_others(body);
        let done = self.ledger.write(move |sql| {
            erasing::note(sql, header.origin(), &asked)?;
            let values = [header.origin().0[..].into(), at.epoch.into(), at.segno.into()];
            let found = "SELECT introducer, parked FROM segment WHERE origin = $1 AND epoch = $2 AND segno = $3 \
                AND parked IS NOT NULL";
            let read = |row: &Row| Ok((row.octets(0).ok().map(NodeKey), row.text(1)? == RELEASED));
            let Some((introducer, released)) = sql::first(sql, found, &values, read)? else { return Ok(None) };
            sql.execute("DELETE FROM segment WHERE origin = $1 AND epoch = $2 AND segno = $3", &values)?;
            let fresh = insert(sql, &header, introducer, now, None)?;
            machines::keep_body(sql, fresh, for_others)?;
            Ok(fresh.map(|row| (row, released)))
        });
        let Some((row, released)) = done.await? else { return Ok(()) };
        self.took(&header, &opened, row, now);
        self.is_let_in(&header, released);
        // What it asks to erase, and what was asked of it while it waited.
        self.follow_erasures(header.origin()).await;
        Ok(())
    }

    fn is_let_in(&self, header: &Header, released: bool) {
        let mut index = self.write_index();
        let parked = index.parked_mut();
        if let Some(waiting) = parked.get_mut(&header.origin()) {
            waiting.segments = waiting.segments.saturating_sub(1);
            waiting.events = waiting.events.saturating_sub(u64::from(header.count()));
            waiting.released = waiting.released.saturating_sub(u64::from(released));
        }
        parked.retain(|_, waiting| waiting.segments != 0);
    }

    pub(super) async fn load_parked(&self) -> Result<(), FederatedError> {
        let query = "SELECT header, parked FROM segment WHERE parked IS NOT NULL ORDER BY n";
        let read = self
            .ledger
            .read(move |sql| Ok(sql::all(sql, query, &[], |row| Ok((header(row)?, row.text(1)?.to_owned())))?));
        let found = read.await?;
        let mut index = self.write_index();
        index.parked_mut().clear();
        for (header, why) in found {
            let waiting = index.parked_mut().entry(header.origin()).or_default();
            waiting.segments += 1;
            waiting.events += u64::from(header.count());
            match why == RELEASED {
                true => waiting.released += 1,
                false => waiting.why = why,
            }
        }
        Ok(())
    }
}

/// Answers with the local number of the segment; none where its place was taken.
pub(super) fn insert(
    sql: &mut dyn Sql,
    header: &Header,
    introducer: Option<NodeKey>,
    now: u64,
    parked: Option<&str>,
) -> Result<Option<u64>, sql::SqlError> {
    let at = header.position();
    let insert = "INSERT INTO segment (origin, epoch, segno, header, introducer, received_at, parked) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (origin, epoch, segno) DO NOTHING RETURNING n";
    let values = [
        header.origin().0[..].into(),
        at.epoch.into(),
        at.segno.into(),
        header.as_bytes()[..].into(),
        introducer.map_or(Value::Null, |node| node.0[..].into()),
        now.into(),
        parked.into(),
    ];
    sql::first(sql, insert, &values, |row| row.uint(0))
}

/// Headers of one origin that are kept without their bodies: 16 million events, 1 MB.
const PARKED_MAX: u64 = 4096;
/// Bodies that one contact fetches of what was let in.
const FETCHED_MAX: u64 = 256;
/// In the place of the reason.
const RELEASED: &str = "released";
