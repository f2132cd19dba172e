//! What the counters say of the worth of suppression (R27).

use sm2tp_rules::worth::Counts;

use super::canary::{ALIVE, BACK, DEAD, UNCLEAR};
use super::{Ledger, LedgerError};
use crate::sql::{self, Row};

impl Ledger {
    /// What was counted since then (unix seconds), of one organisation or of all; canaries always of all, because they
    /// measure other nodes, not senders.
    ///
    /// # Errors
    /// [`LedgerError`] where the ledger does not answer.
    pub async fn worth(&self, since: u64, org: Option<String>) -> Result<Counts, LedgerError> {
        self.read(move |sql| {
            let mut counts = Counts::default();
            let wanted = |of: &str| org.as_deref().is_none_or(|org| org == of);
            sql.rows(QUERY, &[(since / HOUR_S).into()], &mut |row| {
                let (of, kind, cause) = (row.text(0)?, row.text(1)?, row.text(2)?);
                // A recount may have taken more from one hour than was in it.
                let count = u64::try_from(row.int(3)?).unwrap_or(0);
                if let Some(to) = canaries(&mut counts, kind) {
                    *to += count;
                } else if wanted(of) {
                    add(&mut counts, kind, cause, count);
                }
                if kind == BACK {
                    counts.canaries.alive = counts.canaries.alive.saturating_sub(count);
                }
                Ok(())
            })?;
            if org.is_none() {
                let spared = "SELECT COUNT(*) FROM spared WHERE $1 <= at";
                counts.spared = sql::first(sql, spared, &[since.into()], |row: &Row| row.uint(0))?;
            }
            Ok(counts)
        })
        .await
    }
}

fn canaries<'a>(counts: &'a mut Counts, kind: &str) -> Option<&'a mut u64> {
    match kind {
        "canary" => Some(&mut counts.canaries.sent),
        DEAD | BACK => Some(&mut counts.canaries.dead),
        ALIVE => Some(&mut counts.canaries.alive),
        UNCLEAR => Some(&mut counts.canaries.unclear),
        _ => None,
    }
}

fn add(counts: &mut Counts, kind: &str, cause: &str, count: u64) {
    let to = match (kind, cause) {
        ("delivered", _) => &mut counts.decided,
        ("bounced", _) => {
            counts.dead += if cause == "address" { count } else { 0 };
            &mut counts.decided
        }
        // The server had said yes: it is among the delivered already.
        ("returned", "address") => &mut counts.dead,
        ("stopped" | "stopped-reported", why) => match why {
            "own-hard" => &mut counts.own,
            "own-soft" => &mut counts.full,
            "imported" => &mut counts.imported,
            "federated" => &mut counts.federated,
            "listed" | "listed-by-org" => &mut counts.listed,
            "opted-out" => &mut counts.opted_out,
            _ => return,
        },
        _ => return,
    };
    *to += count;
}

/// What counted as alive comes before what came back of it.
const QUERY: &str =
    "SELECT org, kind, cause, SUM(count) FROM counter WHERE $1 <= hour GROUP BY kind, org, cause ORDER BY kind";
const HOUR_S: u64 = 3600;

#[cfg(test)]
mod tests {
    use sm2tp_rules::Stream;
    use sm2tp_rules::worth::Canaries;

    use super::super::{Event, Subject};
    use super::*;
    use crate::testing::TempDir;

    #[tokio::test]
    async fn counters_are_added_up_by_what_they_say_of_suppression() {
        let dir = TempDir::new();
        let ledger = crate::testing::ledger(dir.path());
        let stopped = |org: &str, why: &str, at| Event::stopped(org, None, Stream::Bulk, why, at);
        let sender = |kind: &str, cause: Option<&str>, count| Event {
            count,
            org: Some("asso".into()),
            cause: cause.map(str::to_owned),
            ..Event::new(7200, Subject::Sender, kind)
        };
        let events = vec![
            stopped("asso", "own-hard", 7200),
            stopped("asso", "own-soft", 7200),
            stopped("asso", "imported", 7200),
            stopped("asso", "federated", 7200),
            stopped("other", "federated", 7200),
            stopped("asso", "listed", 3600),
            stopped("asso", "listed-by-org", 7200),
            stopped("asso", "opted-out", 7200),
            stopped("asso", "sender-domain", 7200),
            sender("delivered", None, 90),
            sender("bounced", Some("address"), 2),
            sender("bounced", Some("content"), 8),
            sender("returned", Some("address"), 1),
            sender("returned", Some("mailbox"), 1),
            sender("canary", None, 6),
            sender("canary-dead", None, 2),
            sender("canary-alive", None, 3),
            sender("canary-back", None, 1),
        ];
        ledger.append(events).await.unwrap();
        // One came back after a yes: it is dead, and not alive.
        let canaries = Canaries { sent: 6, dead: 3, alive: 2, unclear: 0 };
        let all = Counts {
            decided: 100,
            dead: 3,
            own: 1,
            full: 1,
            imported: 1,
            federated: 2,
            spared: Some(0),
            listed: 2,
            opted_out: 1,
            canaries,
        };
        assert_eq!(ledger.worth(0, None).await.unwrap(), all);
        assert_eq!(ledger.worth(7200, None).await.unwrap(), Counts { listed: 1, ..all });
        let asso = Counts { federated: 1, spared: None, ..all };
        assert_eq!(ledger.worth(0, Some("asso".into())).await.unwrap(), asso);
        let nobody = Counts { canaries, ..Counts::default() };
        assert_eq!(ledger.worth(0, Some("nobody".into())).await.unwrap(), nobody);
    }
}
