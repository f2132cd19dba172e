//! How the logs of origins lie here: what to serve in bulk, and how much is kept of whom.

use std::collections::BTreeMap;

use sm2tp_federation::header::{HEADER_OCTETS, Header, Position};
use sm2tp_federation::keys::NodeKey;

use super::{Federated, FederatedError, header};
use crate::sql;

/// What is kept of one origin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// Events by day of `sealed_at` (UTC, days since 1970).
    pub days: BTreeMap<u64, u64>,
    /// Headers and bodies.
    pub octets: u64,
}

impl Federated {
    /// Headers of an origin in the order of its log, from a place on.
    ///
    /// # Errors
    /// [`FederatedError`] where the ledger cannot be read.
    pub async fn headers_from(
        &self,
        origin: NodeKey,
        from: Position,
        limit: usize,
    ) -> Result<Vec<Header>, FederatedError> {
        let query = "SELECT header FROM segment WHERE origin = $1 AND (epoch > $2 OR (epoch = $2 AND segno >= $3)) \
            AND parked IS NULL ORDER BY epoch, segno LIMIT $4";
        let values = [origin.0[..].into(), from.epoch.into(), from.segno.into(), (limit as u64).into()];
        Ok(self.ledger.read(move |sql| Ok(sql::all(sql, query, &values, header)?)).await?)
    }

    /// What is kept of an origin, for its quota.
    ///
    /// # Errors
    /// [`FederatedError`] where the ledger cannot be read.
    pub async fn history(&self, origin: NodeKey) -> Result<History, FederatedError> {
        let query = "SELECT header FROM segment WHERE origin = $1 AND parked IS NULL";
        let read = self.ledger.read(move |sql| {
            let mut history = History::default();
            sql.rows(query, &[origin.0[..].into()], &mut |row| {
                history.add(&header(row)?);
                Ok(())
            })?;
            Ok(history)
        });
        Ok(read.await?)
    }

    /// Octets of all origins that one direct peer introduced.
    ///
    /// # Errors
    /// [`FederatedError`] where the ledger cannot be read.
    pub async fn introduced_octets(&self, introducer: NodeKey) -> Result<u64, FederatedError> {
        let query = "SELECT header FROM segment WHERE introducer = $1 AND parked IS NULL";
        let read = self.ledger.read(move |sql| {
            let mut octets = 0;
            sql.rows(query, &[introducer.0[..].into()], &mut |row| {
                octets += segment_octets(&header(row)?);
                Ok(())
            })?;
            Ok(octets)
        });
        Ok(read.await?)
    }
}

impl History {
    pub fn add(&mut self, header: &Header) {
        *self.days.entry(header.sealed_at() / DAY_S).or_default() += u64::from(header.count());
        self.octets += segment_octets(header);
    }

    /// Events a day of the 30 days before `day`; a day without events counts as one.
    #[must_use]
    pub fn median(&self, day: u64) -> u64 {
        let mut days: Vec<u64> =
            (day.saturating_sub(MEDIAN_DAYS)..day).map(|day| self.days.get(&day).copied().unwrap_or(0)).collect();
        days.sort_unstable();
        days.get(days.len() / 2).copied().unwrap_or(0)
    }
}

/// Header and body without redactions, known before the body is fetched.
#[must_use]
pub fn segment_octets(header: &Header) -> u64 {
    (HEADER_OCTETS + 2 + header.count() as usize * header.record_octets()) as u64
}

const DAY_S: u64 = 86_400;
const MEDIAN_DAYS: u64 = 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_counts_silent_days() {
        let mut history = History::default();
        assert_eq!(history.median(100), 0);
        history.days.extend((85..100).map(|day| (day, 40)));
        assert_eq!(history.median(100), 40);
        history.days.remove(&99);
        assert_eq!(history.median(100), 0);
    }
}
