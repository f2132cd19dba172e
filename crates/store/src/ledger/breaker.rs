//! Providers that say "no such user" in bulk: their refusals are set aside until a person decides, or for two days.
//!
//! Set aside means: an event `hard-parked` withdraws each `hard` of the window (see `withdrawn`), the view goes back to
//! what it was, and nothing is told to peers. While it lasts, the relay keeps such mail in its queue. Decision 0024.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use serde::Serialize;
use sm2tp_federation::tags::{KeyId, Tag};
use sm2tp_rules::Evidence;
use sm2tp_rules::breaker::{self, Answers, Limits};

use super::event::{self, Event, Subject};
use super::machines::Pictures;
use super::{LedgerError, Views, addresses, keep};
use crate::sql::{self, Row, Sql, SqlError};
use crate::told::Told;

/// Which providers are not believed at the moment. Clones share it; asked by the relay for each refusal.
#[derive(Debug, Clone, Default)]
pub struct Breakers(Arc<RwLock<HashMap<String, Tripped>>>);

/// One provider that is not believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tripped {
    pub provider: String,
    /// Unix seconds.
    pub since: u64,
    pub until: u64,
    /// Refusals that were set aside.
    pub parked: u64,
}

/// What a person makes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The provider erred: what was set aside is forgotten.
    Forget,
    /// It was right: what was set aside counts.
    Believe,
}

/// What the ledger's thread saw of each provider within its window.
#[derive(Debug, Default)]
pub(super) struct Watching {
    providers: HashMap<String, Window>,
    limits: Limits,
}

/// A bounce that came as a report.
#[derive(Debug, Clone)]
pub(crate) struct Bounced {
    pub provider: Option<String>,
    /// Unix seconds.
    pub at: u64,
    /// When the address took mail before the mail that bounced; 0: never, or it was refused since. That the server took
    /// this one, and gave up on it, is no sign of life.
    pub taken_at: u64,
}

#[derive(Debug, Default)]
struct Window {
    since: u64,
    answers: Answers,
    refused: Vec<Refused>,
}

/// A refusal, and what was known of the address before it.
#[derive(Debug, Clone)]
struct Refused {
    event: Event,
    before: Evidence,
}

impl Breakers {
    /// Whether refusals of this provider are not believed. `now` in unix seconds.
    #[must_use]
    pub fn is_tripped(&self, provider: &str, now: u64) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(provider).is_some_and(|found| now < found.until)
    }

    /// All of them, by name.
    #[must_use]
    pub fn list(&self, now: u64) -> Vec<Tripped> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut list: Vec<Tripped> = known.values().filter(|found| now < found.until).cloned().collect();
        list.sort_unstable_by(|a, b| a.provider.cmp(&b.provider));
        list
    }

    /// Reads them from their table.
    pub(super) fn load(&self, sql: &mut dyn Sql) -> Result<(), SqlError> {
        let read = |row: &Row| {
            let provider = row.text(0)?.to_owned();
            Ok(Tripped { provider, since: row.uint(1)?, until: row.uint(2)?, parked: row.uint(3)? })
        };
        let found = sql::all(sql, "SELECT provider, since, until, parked FROM breaker", &[], read)?;
        let found = found.into_iter().map(|tripped| (tripped.provider.clone(), tripped)).collect();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = found;
        Ok(())
    }
}

impl Watching {
    /// Hears of what was just taken of a batch; `events` are those about recipients, `views` do not have them yet. Answers
    /// with the providers that err, and with those that said more while they are not believed.
    pub(super) fn hear<'a>(
        &mut self,
        fresh: impl Iterator<Item = &'a Told>,
        events: &[Event],
        (views, breakers): (&Views, &Breakers),
    ) -> Vec<String> {
        for told in fresh {
            let Some(provider) = told.answer().and_then(|answer| answer.provider.as_deref()) else { continue };
            if let Some(window) = self.window(provider, told.at) {
                window.answers.all = window.answers.all.saturating_add(1);
            }
        }
        let mut erring = Vec::new();
        for event in events.iter().filter(|event| event.kind == "hard") {
            let before = before(event, views);
            self.refused(event, before, before.delivered_at, breakers, &mut erring);
        }
        erring
    }

    /// Hears of a bounce that came as a report and was just counted.
    pub(super) fn hear_report(
        &mut self,
        bounce: &Bounced,
        events: &[Event],
        (views, breakers): (&Views, &Breakers),
    ) -> Vec<String> {
        if let Some(window) = bounce.provider.as_deref().and_then(|provider| self.window(provider, bounce.at)) {
            window.answers.all = window.answers.all.saturating_add(1);
        }
        let mut erring = Vec::new();
        for event in events.iter().filter(|event| event.kind == "hard") {
            self.refused(event, before(event, views), bounce.taken_at, breakers, &mut erring);
        }
        erring
    }

    /// One refusal more. `before` is what was known of the address, `taken_at` when it took mail last.
    fn refused(
        &mut self,
        event: &Event,
        before: Evidence,
        taken_at: u64,
        breakers: &Breakers,
        erring: &mut Vec<String>,
    ) {
        let Some(provider) = event.provider.as_deref() else { return };
        let limits = self.limits.clone();
        let Some(window) = self.window(provider, event.at) else { return };
        let known = taken_at != 0 && event.at < taken_at.saturating_add(limits.known_s);
        window.answers.refused = window.answers.refused.saturating_add(1);
        window.answers.known = window.answers.known.saturating_add(u32::from(known));
        if window.refused.len() < PARKED_MAX {
            window.refused.push(Refused { event: event.clone(), before });
        }
        let errs = breaker::trips(&window.answers, &limits) || breakers.is_tripped(provider, event.at);
        if errs && !erring.iter().any(|found| found == provider) {
            erring.push(provider.to_owned());
        }
    }

    /// Sets aside what a provider refused in this window.
    pub(super) fn trip(
        &mut self,
        connection: &mut dyn Sql,
        provider: &str,
        pictures: &Pictures,
    ) -> Result<(), LedgerError> {
        let Some(window) = self.providers.remove(provider) else { return Ok(()) };
        let at = window.refused.iter().map(|refused| refused.event.at).max().unwrap_or(window.since);
        let again = pictures.breakers.is_tripped(provider, at);
        let tripped = Event {
            provider: Some(provider.to_owned()),
            count: window.refused.len() as u64,
            note: (!again).then(|| at.saturating_add(self.limits.hold_s).to_string()),
            ..Event::new(at, Subject::Site, if again { "breaker-more" } else { "breaker-tripped" })
        };
        let restored = pictures.transaction::<_, LedgerError>(connection, |sql| {
            keep(sql, &tripped)?;
            Ok(park(sql, &window.refused)?)
        })?;
        pictures.views.restore(&restored);
        pictures.breakers.load(connection)?;
        if again {
            return Ok(());
        }
        tracing::error!(
            provider,
            refused = window.answers.refused,
            of = window.answers.all,
            took_mail_lately = window.answers.known,
            "a provider says \"no such user\" in bulk and is not believed; see sm2tp breaker list"
        );
        Ok(())
    }

    fn window(&mut self, provider: &str, at: u64) -> Option<&mut Window> {
        // Providers are those of the rule files: a few dozen.
        if PROVIDERS_MAX <= self.providers.len() && !self.providers.contains_key(provider) {
            return None;
        }
        let window = self.providers.entry(provider.to_owned()).or_default();
        if window.since.saturating_add(self.limits.window_s) <= at || at < window.since {
            *window = Window { since: at, ..Window::default() };
        }
        Some(window)
    }
}

fn before(event: &Event, views: &Views) -> Evidence {
    event.recipient.and_then(|(_, tag)| views.evidence(&tag)).unwrap_or_default()
}

/// Ends it for one provider. Answers with the refusals that count from now on.
pub(super) fn decide(sql: &mut dyn Sql, provider: &str, verdict: Verdict, now: u64) -> Result<Vec<Event>, LedgerError> {
    let known = "SELECT 1 FROM breaker WHERE provider = $1";
    if sql::first(sql, known, &[provider.into()], |row| row.int(0))?.is_none() {
        return Err(crate::Refused::Believed { provider: provider.to_owned() }.into());
    }
    let kind = if verdict == Verdict::Believe { "breaker-believed" } else { "breaker-forgotten" };
    let decided = Event { provider: Some(provider.to_owned()), ..Event::new(now, Subject::Site, kind) };
    let parked = if verdict == Verdict::Believe { parked(sql, provider)? } else { Vec::new() };
    keep(sql, &decided)?;
    let mut counted = Vec::new();
    for event in parked {
        let tag = event.recipient.map_or([0; 16], |(_, tag)| tag.0);
        let delivered = "SELECT delivered_at FROM recipient WHERE tag = $1";
        let delivered = sql::first(sql, delivered, &[tag[..].into()], |row| row.uint(0))?.unwrap_or(0);
        if delivered <= event.at {
            let event = Event { kind: "hard".to_owned(), ..event };
            keep(sql, &event)?;
            counted.push(event);
        }
    }
    Ok(counted)
}

/// What was set aside when it tripped last.
fn parked(sql: &mut dyn Sql, provider: &str) -> Result<Vec<Event>, SqlError> {
    let query = format!(
        "SELECT {} FROM event WHERE kind = 'hard-parked' AND provider = $1 AND id > \
         (SELECT MAX(id) FROM event WHERE kind = 'breaker-tripped' AND provider = $1) ORDER BY id",
        event::COLUMNS
    );
    sql::all(sql, &query, &[provider.into()], Event::read)
}

/// Withdraws refusals. Answers with what is known of each address again; one about which something else happened since
/// is left to the next rebuild.
fn park(sql: &mut dyn Sql, refused: &[Refused]) -> Result<Vec<(Tag, Evidence)>, SqlError> {
    let mut tags: HashMap<Tag, (KeyId, Evidence, Evidence)> = HashMap::new();
    for Refused { event, before } in refused {
        let Some((key_id, tag)) = event.recipient else { continue };
        Event { kind: "hard-parked".to_owned(), ..event.clone() }.insert(sql)?;
        addresses::uncount(sql, event)?;
        sql.execute("DELETE FROM publish WHERE tag = $1 AND at = $2", &[tag.0[..].into(), event.at.into()])?;
        let (_, _, expected) = tags.entry(tag).or_insert((key_id, *before, *before));
        if let Some(happening) = event.happening() {
            *expected = expected.after(happening, event.at);
        }
    }
    let mut restored = Vec::new();
    for (tag, (_, before, expected)) in tags {
        let query = format!("SELECT {} FROM recipient WHERE tag = $1", addresses::EVIDENCE_COLUMNS);
        let found = sql::first(sql, &query, &[tag.0[..].into()], addresses::evidence)?.unwrap_or_default();
        if found == expected {
            addresses::put_back(sql, tag, &before)?;
            restored.push((tag, before));
        }
    }
    Ok(restored)
}

/// Refusals of one window that can be set aside; beyond it they stay, and a replay or a delivery corrects them.
const PARKED_MAX: usize = 5000;
const PROVIDERS_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use sm2tp_proto::Address;
    use sm2tp_rules::{Cause, Fate, Scope, Strength};

    use super::*;
    use crate::ledger::{Ledger, SendLog};
    use crate::testing::{TempDir, deferred};
    use crate::told::{Answer, What};

    fn tagger(address: &Address) -> Option<(KeyId, Tag)> {
        let mut tag = [0; 16];
        address.clear().bytes().take(16).enumerate().for_each(|(at, octet)| tag[at] = octet ^ 0xff);
        Some((KeyId([1; 8]), Tag(tag)))
    }

    fn tag(n: u64) -> Tag {
        tagger(&Address::parse(&format!("{n}@x.example")).unwrap()).unwrap().1
    }

    fn taken(at: u64, n: u64) -> Told {
        let answer = Answer { provider: Some("google".into()), ..Answer::default() };
        Told { at, what: What::Delivered { answer }, ..deferred(&format!("{n}@x.example"), "", "old") }
    }

    fn refused(at: u64, n: u64) -> Told {
        let verdict = crate::told::Verdict {
            cause: Cause::Address,
            sub: None,
            fate: Fate::Final,
            scope: Scope::Recipient,
            strength: Strength::Strong,
            rule: "google-p-nosuchuser".into(),
            rules: None,
        };
        let answer = Answer {
            provider: Some("google".into()),
            code: Some(550),
            text: "5.1.1 no such user".into(),
            verdict: Some(verdict),
            ..Answer::default()
        };
        Told { at, what: What::Bounced { answer, expired: false }, ..deferred(&format!("{n}@x.example"), "", "old") }
    }

    async fn absorb(ledger: &Ledger, first: u64, entries: Vec<Told>) {
        let batch = entries.into_iter().zip(first..).map(|(told, number)| (number, told)).collect();
        ledger.absorb("spool", batch, SendLog::Off, tagger, |_, _, _| Ok(())).await.unwrap();
    }

    fn hard(ledger: &Ledger, n: u64) -> bool {
        ledger.views().evidence(&tag(n)).is_some_and(|evidence| evidence.hard_at != 0)
    }

    /// Forty addresses took mail; an hour later twenty-five of them are gone, says their provider.
    async fn outage(dir: &TempDir) -> Ledger {
        let ledger = crate::testing::ledger(dir.path());
        absorb(&ledger, 1, (0..40).map(|n| taken(1_000_000, n)).collect()).await;
        absorb(&ledger, 41, (0..15).map(|n| refused(1_010_000, n)).collect()).await;
        assert!(hard(&ledger, 0) && ledger.breakers().list(1_010_000).is_empty(), "a few may be gone");
        absorb(&ledger, 56, (15..25).map(|n| refused(1_010_100, n)).collect()).await;
        ledger
    }

    #[tokio::test]
    async fn a_provider_that_errs_in_bulk_is_not_believed_until_a_person_says_so() {
        let dir = TempDir::new();
        let ledger = outage(&dir).await;
        assert!(
            ledger.breakers().is_tripped("google", 1_010_200) && !ledger.breakers().is_tripped("orange", 1_010_200)
        );
        assert_eq!(ledger.breakers().list(1_010_200)[0].parked, 25);
        assert!((0..25).all(|n| !hard(&ledger, n)), "not even the first ones");
        absorb(&ledger, 66, vec![refused(1_010_300, 30)]).await;
        assert!(!hard(&ledger, 30) && ledger.breakers().list(1_010_300)[0].parked == 26);

        let before: Vec<_> = (0..40).map(|n| ledger.views().evidence(&tag(n))).collect();
        ledger.rebuild().await.unwrap();
        assert_eq!((0..40).map(|n| ledger.views().evidence(&tag(n))).collect::<Vec<_>>(), before);
        drop(ledger);
        let ledger = crate::testing::ledger(dir.path());
        assert_eq!(ledger.breakers().list(1_010_300)[0].parked, 26);

        absorb(&ledger, 67, vec![taken(1_020_000, 3)]).await;
        assert_eq!(ledger.decide("google".into(), Verdict::Believe, 1_030_000).await.unwrap(), 25);
        assert!(hard(&ledger, 0) && hard(&ledger, 30) && !hard(&ledger, 3), "one took mail since");
        assert!(!ledger.breakers().is_tripped("google", 1_030_000));
        ledger.rebuild().await.unwrap();
        assert!(hard(&ledger, 0) && hard(&ledger, 30) && !hard(&ledger, 3));
        assert!(ledger.decide("google".into(), Verdict::Believe, 1_030_000).await.is_err());
    }

    #[tokio::test]
    async fn what_is_forgotten_or_left_alone_never_counts() {
        let dir = TempDir::new();
        let ledger = outage(&dir).await;
        assert!(!ledger.breakers().is_tripped("google", 1_010_100 + 49 * 3600), "by itself after two days");
        assert_eq!(ledger.decide("google".into(), Verdict::Forget, 1_011_000).await.unwrap(), 0);
        ledger.rebuild().await.unwrap();
        assert!((0..25).all(|n| !hard(&ledger, n)) && ledger.breakers().list(1_011_000).is_empty());
    }

    #[tokio::test]
    async fn what_is_offered_again_is_not_counted_again() {
        let dir = TempDir::new();
        let ledger = crate::testing::ledger(dir.path());
        absorb(&ledger, 1, (0..40).map(|n| taken(1_000_000, n)).collect()).await;
        // A log that is read again from an earlier place: so many answers would hide the few that are new.
        absorb(&ledger, 41, (30..40).map(|n| taken(1_010_000, n)).collect()).await;
        for _ in 0..100 {
            absorb(&ledger, 41, (30..40).map(|n| taken(1_010_000, n)).collect()).await;
        }
        absorb(&ledger, 51, (0..25).map(|n| refused(1_010_100, n)).collect()).await;
        assert!(ledger.breakers().is_tripped("google", 1_010_200));
    }

    #[tokio::test]
    async fn a_bad_list_trips_nothing() {
        let dir = TempDir::new();
        let ledger = crate::testing::ledger(dir.path());
        absorb(&ledger, 1, (0..50).map(|n| refused(1_000_000, n)).collect()).await;
        assert!(ledger.breakers().list(1_000_000).is_empty() && (0..50).all(|n| hard(&ledger, n)));
    }
}
