//! What is known about addresses, in memory: every door asks here and waits for nothing.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use sm2tp_federation::tags::Tag;
use sm2tp_rules::Evidence;
use sm2tp_rules::suppress::Recipient;

use super::event::{self, Event};
use crate::sql::{self, Row, Sql, SqlError};

/// A shared picture of the ledger's recipient views. Written by the ledger's thread after each commit; a reader holds
/// the lock for one look-up and never across an await.
#[derive(Debug, Clone, Default)]
pub struct Views(Arc<RwLock<Known>>);

#[derive(Debug, Default)]
struct Known {
    evidence: HashMap<Tag, Evidence>,
    suppressed: HashSet<Tag>,
    allowed: HashSet<Tag>,
    opted_out: HashMap<Tag, Vec<Box<str>>>,
}

impl Views {
    /// What this node knows of an address by itself. `tags` are the address under each live tag key: an event that was
    /// written under last year's key still counts.
    #[must_use]
    pub fn recipient(&self, tags: &[Tag], org: &str) -> Recipient {
        let known = self.read();
        let latest = tags.iter().filter_map(|tag| known.evidence.get(tag)).max_by_key(|e| latest_at(e));
        Recipient {
            own: latest.copied().unwrap_or_default(),
            allowed: tags.iter().any(|tag| known.allowed.contains(tag)),
            listed: tags.iter().any(|tag| known.suppressed.contains(tag)),
            opted_out: tags.iter().any(|tag| known.opted_out_of(tag, org)),
            ..Recipient::default()
        }
    }

    /// The evidence under one tag, for those who already have the tag.
    #[must_use]
    pub fn evidence(&self, tag: &Tag) -> Option<Evidence> {
        self.read().evidence.get(tag).copied()
    }

    /// How many addresses are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.read().evidence.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads the whole picture from the tables, at start and after a rebuild.
    pub(super) fn load(&self, sql: &mut dyn Sql) -> Result<(), SqlError> {
        let mut fresh = Known::default();
        let query = format!("SELECT {}, tag FROM recipient", event::EVIDENCE_COLUMNS);
        sql.rows(&query, &[], &mut |row| {
            fresh.evidence.insert(Tag(row.octets(10)?), event::evidence(row)?);
            Ok(())
        })?;
        for (tag, list, org) in sql::all(sql, "SELECT tag, list, org FROM listed", &[], listed)? {
            fresh.list(tag, &list, &org);
        }
        *self.write() = fresh;
        Ok(())
    }

    /// Follows events that the tables already have.
    pub(super) fn follow(&self, events: &[Event]) {
        let mut known = self.write();
        for event in events {
            let Some((_, tag)) = event.recipient else { continue };
            if let Some(happening) = event.happening() {
                let evidence = known.evidence.entry(tag).or_default();
                *evidence = evidence.after(happening, event.at);
            }
            let org = event.org.as_deref().unwrap_or("");
            match event.kind.strip_prefix("un") {
                Some(list) => known.unlist(tag, list, org),
                None => known.list(tag, &event.kind, org),
            }
        }
    }

    /// Puts evidence back to what it was before something that is not believed any more.
    pub(super) fn restore(&self, evidence: &[(Tag, Evidence)]) {
        let mut known = self.write();
        for (tag, evidence) in evidence {
            match evidence.is_empty() {
                true => known.evidence.remove(tag),
                false => known.evidence.insert(*tag, *evidence),
            };
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn list(&mut self, tag: Tag, list: &str, org: &str) {
        match list {
            "suppress" => _ = self.suppressed.insert(tag),
            "allow" => _ = self.allowed.insert(tag),
            "optout" if !self.opted_out_of(&tag, org) => self.opted_out.entry(tag).or_default().push(org.into()),
            _ => {}
        }
    }

    fn unlist(&mut self, tag: Tag, list: &str, org: &str) {
        match list {
            "suppress" => _ = self.suppressed.remove(&tag),
            "allow" => _ = self.allowed.remove(&tag),
            "optout" => {
                if let Some(orgs) = self.opted_out.get_mut(&tag) {
                    orgs.retain(|known| &**known != org);
                }
            }
            _ => {}
        }
    }

    fn opted_out_of(&self, tag: &Tag, org: &str) -> bool {
        self.opted_out.get(tag).is_some_and(|orgs| orgs.iter().any(|known| &**known == org))
    }
}

fn latest_at(evidence: &Evidence) -> u64 {
    evidence.delivered_at.max(evidence.hard_at).max(evidence.soft_at)
}

fn listed(row: &Row) -> Result<(Tag, String, String), SqlError> {
    Ok((Tag(row.octets(0)?), row.text(1)?.to_owned(), row.text(2)?.to_owned()))
}
