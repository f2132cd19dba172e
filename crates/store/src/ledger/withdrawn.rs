//! Refusals that are not believed any more: events are never changed (I3), so another event says so.
//!
//! `hard-withdrawn`, `soft-withdrawn`, `refused-withdrawn` (rules that improved) and `hard-parked` (a provider that erred in
//! bulk) are about an earlier `hard`, `soft` or `refused` of the same tag and time. What is folded is what nothing later withdraws.

use std::collections::HashMap;

use sm2tp_federation::tags::Tag;

use super::event::Event;
use crate::sql::{Sql, SqlError};

/// All withdrawals of a ledger, for one fold of it.
#[derive(Debug, Default)]
pub(super) struct Withdrawn(HashMap<(Tag, u64, &'static str), u64>);

impl Withdrawn {
    /// Reads them. They are as many as refusals were withdrawn, ever: few beside the events.
    pub(super) fn read(sql: &mut dyn Sql) -> Result<Self, SqlError> {
        let mut found = Self::default();
        let query = "SELECT id, at, tag, kind FROM event \
            WHERE kind IN ('hard-withdrawn', 'soft-withdrawn', 'refused-withdrawn', 'hard-parked')";
        sql.rows(query, &[], &mut |row| {
            let kind = KINDS.into_iter().find(|kind| row.text(3).is_ok_and(|found| found.starts_with(kind)));
            let Some(kind) = kind else { return Ok(()) };
            let last = found.0.entry((Tag(row.octets(2)?), row.uint(1)?, kind)).or_default();
            *last = row.uint(0)?.max(*last);
            Ok(())
        })?;
        Ok(found)
    }

    /// Whether a later event withdraws the one with number `id`.
    pub(super) fn covers(&self, id: u64, event: &Event) -> bool {
        let Some(kind) = KINDS.into_iter().find(|kind| event.kind == *kind) else { return false };
        event.recipient.is_some_and(|(_, tag)| self.0.get(&(tag, event.at, kind)).is_some_and(|last| id < *last))
    }
}

const KINDS: [&str; 3] = ["hard", "soft", "refused"];
