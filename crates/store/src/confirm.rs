//! Confirmations: a person says that mail is wanted again. How often somebody may be asked, and what the answer changes.

use sm2tp_federation::record::{RetractReason, Source, Witness};
use sm2tp_federation::tags::{KeyId, Tag};
use sm2tp_proto::date;

use crate::federated::publish;
use crate::ledger::{self, Event, Ledger, LedgerError, Subject};
use crate::returns::{Confirmation, Returns};
use crate::sql::{self, Sql, SqlError, Value};

/// A handle on it; clones share it.
#[derive(Clone)]
pub struct Confirmations {
    returns: Returns,
    ledger: Ledger,
}

/// Why nobody is asked now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooOften {
    #[error("this person was asked lately, and is not asked again before {}", date::rfc3339(*.until))]
    Address { until: u64 },
    #[error(
        "this person was asked {ASKED_MAX} times within half a year and has not answered; only the administrator can release it"
    )]
    Silent,
    #[error("this organisation has asked {ORG_MAX} people within a day, which is as many as it may")]
    Org,
}

impl Confirmations {
    #[must_use]
    pub fn new(returns: Returns, ledger: Ledger) -> Self {
        Self { returns, ledger }
    }

    /// Notes that a person is asked for mail of `org`, if that may be: one mail a week to an address whoever asks for it,
    /// [`ASKED_MAX`] in half a year, [`ORG_MAX`] a day for an organisation. `org` is empty where nobody is named.
    ///
    /// # Errors
    /// [`LedgerError`] where it cannot be noted; then nobody is asked.
    pub async fn may_ask(&self, tag: Tag, org: &str, now: u64) -> Result<Result<(), TooOften>, LedgerError> {
        let org = org.to_owned();
        self.ledger
            .write(move |sql| {
                let may = may_ask(sql, tag, &org, now)?;
                if may.is_ok() {
                    sql.execute("DELETE FROM confirmation WHERE at < $1", &[now.saturating_sub(MEMORY_S).into()])?;
                    sql.execute(
                        "INSERT INTO confirmation (tag, at, org) VALUES ($1, $2, $3) ON CONFLICT (tag, at) DO NOTHING",
                        &[tag.0[..].into(), now.into(), org.into()],
                    )?;
                }
                Ok(may)
            })
            .await
    }

    /// The last part of the URL.
    #[must_use]
    pub fn link(&self, confirmation: &Confirmation) -> Option<String> {
        self.returns.confirmation_link(confirmation)
    }

    /// What such a part says, if we made it and its time is not over.
    #[must_use]
    pub fn open(&self, text: &str, now: u64) -> Option<Confirmation> {
        self.returns.open_confirmation(text).filter(|confirmation| now <= confirmation.until)
    }

    /// The person pressed the button: the address lives, and mail of this organisation is wanted. It counts as a delivery
    /// that was answered, lifts a complaint or opt-out, and takes back what this node told others. Lists that people keep
    /// by hand stay. Twice is once.
    ///
    /// # Errors
    /// [`LedgerError`]: nothing of it was kept.
    pub async fn confirmed(&self, confirmation: Confirmation, now: u64) -> Result<(), LedgerError> {
        self.ledger
            .settle(move |sql| {
                let mut events = Vec::new();
                for (key_id, tag) in &confirmation.tags {
                    let about = |kind: &str, org: Option<String>| Event {
                        recipient: Some((*key_id, *tag)),
                        domain: Some(confirmation.domain.clone()),
                        org,
                        ..Event::new(now, Subject::Recipient, kind)
                    };
                    events.push(about("confirmed", None));
                    events.extend(confirmation.org.clone().map(|org| about("unoptout", Some(org))));
                }
                events.iter().try_for_each(|event| ledger::keep(sql, event))?;
                let told: Vec<(KeyId, Tag)> =
                    confirmation.tags.iter().chain(&confirmation.domain_tags).copied().collect();
                let by_hand = Source::new(Witness::ByHand, None);
                publish::retract(sql, &told, RetractReason::Revalidated, by_hand, now)?;
                // Whoever answers may be asked again when the address dies again.
                for (_, tag) in &confirmation.tags {
                    let keep_one_week = now.saturating_sub(AGAIN_S);
                    let values = [Value::from(&tag.0[..]), keep_one_week.into()];
                    sql.execute("DELETE FROM confirmation WHERE tag = $1 AND at < $2", &values)?;
                }
                Ok((events, ()))
            })
            .await
    }
}

fn may_ask(sql: &mut dyn Sql, tag: Tag, org: &str, now: u64) -> Result<Result<(), TooOften>, SqlError> {
    // A clock that was ahead must not keep a person from being asked for ever: what is later than now counts as now.
    let query = "SELECT COUNT(*), MAX(at) FROM confirmation WHERE tag = $1 AND $2 <= at";
    let values = [tag.0[..].into(), now.saturating_sub(MEMORY_S).into()];
    let (count, last) =
        sql::first(sql, query, &values, |row| Ok((row.uint(0)?, row.uint(1).unwrap_or(0))))?.unwrap_or((0, 0));
    let until = last.min(now).saturating_add(AGAIN_S);
    if count != 0 && now < until {
        return Ok(Err(TooOften::Address { until }));
    }
    if ASKED_MAX <= count {
        return Ok(Err(TooOften::Silent));
    }
    let query = "SELECT COUNT(*) FROM confirmation WHERE org = $1 AND $2 <= at";
    let asked = sql::first(sql, query, &[org.into(), now.saturating_sub(DAY_S).into()], |row| row.uint(0))?;
    Ok(if ORG_MAX <= asked.unwrap_or(0) { Err(TooOften::Org) } else { Ok(()) })
}

const DAY_S: u64 = 86_400;
/// A person is asked once a week at most, whoever wants to know it: more would be a nuisance that we send.
const AGAIN_S: u64 = 7 * DAY_S;
/// Who did not answer so many mails in half a year does not want to.
const ASKED_MAX: u64 = 4;
const MEMORY_S: u64 = 180 * DAY_S;
/// An organisation that wants more has a list, not a person: the federation's and servers' word is the better guess then.
const ORG_MAX: u64 = 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TempDir;

    const NOW: u64 = 1_800_000_000;

    fn open() -> (TempDir, Ledger, Confirmations) {
        let dir = TempDir::quick();
        let ledger = crate::testing::ledger(dir.path());
        let returns = Returns::open(dir.path(), ledger.clone(), NOW).unwrap();
        (dir, ledger.clone(), Confirmations::new(returns, ledger))
    }

    fn tag(n: u8) -> Tag {
        Tag([n; 16])
    }

    #[tokio::test]
    async fn nobody_is_asked_often_and_no_org_asks_many() {
        let (_dir, _, confirmations) = open();
        let ask =
            async |n: u8, org: &str, day: u64| confirmations.may_ask(tag(n), org, NOW + day * DAY_S).await.unwrap();
        assert_eq!(ask(1, "a", 0).await, Ok(()));
        assert_eq!(ask(1, "b", 1).await, Err(TooOften::Address { until: NOW + 7 * DAY_S }));
        for day in [7, 14, 21] {
            assert_eq!(ask(1, "a", day).await, Ok(()));
        }
        assert_eq!(ask(1, "a", 28).await, Err(TooOften::Silent));
        assert_eq!(ask(1, "a", 200).await, Ok(()));
        for n in 0..20 {
            assert_eq!(ask(100 + n, "c", 300).await, Ok(()));
        }
        assert_eq!(ask(99, "c", 300).await, Err(TooOften::Org));
        assert_eq!(ask(99, "a", 300).await, Ok(()));
        assert_eq!(ask(99, "c", 302).await, Err(TooOften::Address { until: NOW + 307 * DAY_S }));
        // The clock goes back by years: at most a week is waited.
        let back = confirmations.may_ask(tag(99), "a", NOW - 1000 * DAY_S).await.unwrap();
        assert_eq!(back, Err(TooOften::Address { until: NOW - 993 * DAY_S }));
    }

    #[tokio::test]
    async fn an_answer_lifts_evidence_and_opt_out_and_takes_back_what_others_were_told() {
        let (_dir, ledger, confirmations) = open();
        let (key, jean) = (KeyId([1; 8]), tag(1));
        let event = |kind: &str, org: Option<&str>| Event {
            recipient: Some((key, jean)),
            org: org.map(str::to_owned),
            code: Some(550),
            ..Event::new(NOW, Subject::Recipient, kind)
        };
        ledger.append(vec![event("hard", None), event("optout", Some("a")), event("optout", Some("b"))]).await.unwrap();
        ledger.append(vec![event("suppress", Some("a"))]).await.unwrap();
        ledger
            .write(move |sql| {
                let values = [jean.0[..].into(), NOW.into()];
                sql.execute("INSERT INTO published (tag, class, at) VALUES ($1, 1, $2)", &values)?;
                Ok(())
            })
            .await
            .unwrap();
        let confirmation = Confirmation {
            org: Some("a".into()),
            tags: vec![(key, jean)],
            domain_tags: vec![(key, tag(9))],
            domain: "x.example".into(),
            until: NOW + 100,
        };
        let text = confirmations.link(&confirmation).unwrap();
        assert_eq!(confirmations.open(&text, NOW + 101), None);
        assert_eq!(confirmations.open(&text, NOW + 100), Some(confirmation.clone()));
        for _ in 0..2 {
            confirmations.confirmed(confirmation.clone(), NOW + 50).await.unwrap();
        }
        let facts = |org| ledger.views().recipient(&[jean], org);
        assert_eq!((facts("a").own.hard_at, facts("a").own.delivered_at), (0, NOW + 50));
        assert!(!facts("a").opted_out && facts("b").opted_out && !facts("a").org.suppressed.is_empty());
        let before = facts("a");
        ledger.rebuild().await.unwrap();
        assert_eq!(facts("a"), before);
        let query = "SELECT class, tag FROM publish";
        let told = ledger.read(move |sql| Ok(sql::all(sql, query, &[], |row| Ok((row.uint(0)?, row.octets(1)?)))?));
        // Once, and nothing about a domain of which nothing was said.
        assert_eq!(told.await.unwrap(), [(6, jean.0)]);
    }
}
