//! Answers of the send log read again with the rules of today: what would be understood differently, and, if a person
//! wants it, recorded so.
//!
//! Events are never changed (I3). A refusal about an address that is none any more is withdrawn by another event, one that
//! is one now is added with its old time, and counters get a correcting event for each cause that loses and wins; then the
//! views are made again. Only the send log itself, which is kept beside the ledger, is written over. Decision 0023.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use sm2tp_federation::tags::{KeyId, Tag};
use sm2tp_proto::{Address, Enhanced};
use sm2tp_rules::classify::{Classifier, Said};
use sm2tp_rules::evidence::{Says, says};
use sm2tp_rules::{Cause, Fate, Outcome, Stage, Strength};

use super::event::{self, Event, Subject};
use super::{LedgerError, keep};
use crate::sql::{self, Row, Sql, SqlError};
use crate::told::mask;

/// Whether a replay only looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Replay {
    Show,
    Apply,
}

/// What a replay found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// Answers that were read again.
    pub read: u64,
    /// Answers of versions that did not note enough to compare; they are left alone.
    pub too_old: u64,
    /// Answers that are understood differently.
    pub changed: u64,
    /// Addresses' refusals: withdrawn, and added.
    pub hard_withdrawn: u64,
    pub hard_added: u64,
    pub soft_withdrawn: u64,
    pub soft_added: u64,
    /// By old and new cause, the most frequent first.
    pub changes: Vec<Change>,
    /// Changes beyond the first [`CHANGES_MAX`] kinds.
    pub more: u64,
}

/// Answers that change in the same way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// `cause` or `cause/sub`.
    pub from: String,
    pub to: String,
    pub count: u64,
    /// The rule that decides now, for the first of them.
    pub rule: String,
    /// The first few answers, without their recipients.
    pub examples: Vec<String>,
}

/// What is needed of the one who keeps the tag keys: every tag that an address may have been recorded under, the one of
/// today first.
pub type Tags<'a> = &'a dyn Fn(&Address) -> Vec<(KeyId, Tag)>;

/// One answer as the send log keeps it.
struct Logged {
    id: u64,
    at: u64,
    org: String,
    login: Option<String>,
    stream: String,
    /// Of the sender's address.
    domain: Option<String>,
    exit: Option<String>,
    recipient: Option<Address>,
    kind: String,
    mx: Option<String>,
    stage: Option<Stage>,
    code: Option<u16>,
    enhanced: Option<Enhanced>,
    text: String,
    provider: Option<String>,
    expired: bool,
    /// It came as a report: the server had given up. Whether for how it came it is weaker than its words.
    returned: Option<bool>,
    was: Was,
}

/// What it meant when it came.
struct Was {
    cause: Cause,
    sub: Option<String>,
    fate: Fate,
    strength: Strength,
}

/// The work of one replay, page after page.
pub(super) struct Replaying<'a> {
    pub rules: &'a Classifier,
    pub tags: Tags<'a>,
    pub mode: Replay,
    found: Replayed,
    kinds: HashMap<(String, String), Change>,
    after: u64,
}

impl<'a> Replaying<'a> {
    pub(super) fn new(rules: &'a Classifier, tags: Tags<'a>, mode: Replay) -> Self {
        Self { rules, tags, mode, found: Replayed::default(), kinds: HashMap::new(), after: 0 }
    }

    /// Reads one page again, and records it where it should. Answers with false after the last.
    pub(super) fn page(&mut self, sql: &mut dyn Sql) -> Result<bool, LedgerError> {
        let page = sql::all(sql, PAGE, &[self.after.into(), PAGE_ROWS.into()], |row| Ok((row.uint(0)?, logged(row)?)))?;
        let Some((last, _)) = page.last() else { return Ok(false) };
        self.after = *last;
        let mut recounts = Vec::new();
        for (_, logged) in page {
            let Some(logged) = logged else {
                self.found.too_old += 1;
                continue;
            };
            self.found.read += 1;
            let now = logged.understood(self.rules);
            if logged.was.is(&now) {
                continue;
            }
            self.note(&logged, &now);
            let events = self.about_recipient(sql, &logged, &now)?;
            if self.mode == Replay::Apply {
                events.iter().try_for_each(|event| self.record(sql, event))?;
                if logged.was.cause != now.cause {
                    recounts.extend(logged.recounts(now.cause));
                }
                rewrite(sql, logged.id, &now, self.rules.version())?;
            }
        }
        Event::together(recounts).iter().try_for_each(|event| keep(sql, event))?;
        Ok(true)
    }

    pub(super) fn finish(mut self) -> Replayed {
        let mut changes: Vec<Change> = self.kinds.into_values().collect();
        changes.sort_unstable_by(|a, b| b.count.cmp(&a.count).then_with(|| (&a.from, &a.to).cmp(&(&b.from, &b.to))));
        self.found.changes = changes;
        self.found
    }

    fn note(&mut self, logged: &Logged, now: &Outcome) {
        self.found.changed += 1;
        let key = (word(logged.was.cause, logged.was.sub.as_deref()), word(now.cause, now.sub.as_deref()));
        if CHANGES_MAX <= self.kinds.len() && !self.kinds.contains_key(&key) {
            self.found.more += 1;
            return;
        }
        let (from, to) = key.clone();
        let new = || Change { from, to, count: 0, rule: now.rule.to_string(), examples: Vec::new() };
        let change = self.kinds.entry(key).or_insert_with(new);
        change.count += 1;
        if change.examples.len() < EXAMPLES_MAX {
            change.examples.push(logged.example());
        }
    }

    /// What changes about the address: a withdrawal under every tag that it may have been recorded under, and the refusal
    /// that it is now, unless a delivery since then has answered the question.
    fn about_recipient(&mut self, sql: &mut dyn Sql, logged: &Logged, now: &Outcome) -> Result<Vec<Event>, SqlError> {
        let final_one = logged.kind.ends_with("bounced") || logged.returned.is_some();
        let Some(address) = logged.recipient.as_ref().filter(|_| final_one) else {
            return Ok(Vec::new());
        };
        let given_up = logged.expired || logged.returned.is_some();
        let (before, after) = (says(logged.was.cause, logged.was.fate, given_up), says(now.cause, now.fate, given_up));
        let same_hard = logged.was.strength == now.strength && logged.was.sub.as_deref() == now.sub.as_deref();
        if before == after && (before != Some(Says::Hard) || same_hard) {
            return Ok(Vec::new());
        }
        let tags = (self.tags)(address);
        let mut events = Vec::new();
        let withdrawn = format!("{}-withdrawn", event::kind(before));
        events.extend(tags.iter().map(|tag| logged.event(&withdrawn, *tag, address, now)));
        if let Some(said) = before {
            *self.counter(said, Step::Withdrawn) += 1;
        }
        let Some(tag) = tags.first() else { return Ok(events) };
        if let Some(said) = after {
            let delivered = "SELECT delivered_at FROM recipient WHERE tag = $1";
            let delivered = sql::first(sql, delivered, &[tag.1.0[..].into()], |row| row.uint(0))?.unwrap_or(0);
            if logged.at < delivered {
                return Ok(events);
            }
            *self.counter(said, Step::Added) += 1;
        }
        events.push(logged.event(event::kind(after), *tag, address, now));
        Ok(events)
    }

    /// What still waits to be told to peers is not told.
    fn record(&self, sql: &mut dyn Sql, event: &Event) -> Result<(), SqlError> {
        event.insert(sql)?;
        if let Some((_, tag)) = event.recipient.filter(|_| event.kind == "hard-withdrawn") {
            sql.execute("DELETE FROM publish WHERE tag = $1 AND at = $2", &[tag.0[..].into(), event.at.into()])?;
        }
        Ok(())
    }

    fn counter(&mut self, said: Says, step: Step) -> &mut u64 {
        match (said, step) {
            (Says::Hard, Step::Withdrawn) => &mut self.found.hard_withdrawn,
            (Says::Hard, Step::Added) => &mut self.found.hard_added,
            (Says::Soft, Step::Withdrawn) => &mut self.found.soft_withdrawn,
            (Says::Soft, Step::Added) => &mut self.found.soft_added,
        }
    }
}

#[derive(Clone, Copy)]
enum Step {
    Withdrawn,
    Added,
}

impl Logged {
    fn said(&self) -> Said<'_> {
        Said { stage: self.stage, mx: self.mx.as_deref(), code: self.code, enhanced: self.enhanced, text: &self.text }
    }

    /// What the rules of now make of it, with what was made of it for how it came.
    fn understood(&self, rules: &Classifier) -> Outcome {
        let mut now = rules.classify(&self.said());
        if let Some(weakened) = self.returned {
            now.fate = Fate::Final;
            now.strength = if weakened { Strength::Weak } else { now.strength };
        }
        now
    }

    fn event(&self, kind: &str, tag: (KeyId, Tag), address: &Address, now: &Outcome) -> Event {
        Event {
            cause: Some(now.cause.to_string()),
            sub: now.sub.as_deref().map(str::to_owned),
            stream: Some(self.stream.clone()),
            recipient: Some(tag),
            domain: Some(address.domain().to_string()),
            provider: self.provider.clone(),
            code: self.code,
            enhanced: self.enhanced.map(|enhanced| enhanced.to_string()),
            strength: Some(now.strength),
            rule: Some(now.rule.to_string()),
            // A report may name whom the address led to, and nobody knows here who that was.
            note: self.returned.is_none().then(|| mask(&self.text, address)),
            ..Event::new(self.at, Subject::Recipient, kind)
        }
    }

    /// One answer fewer for the old cause and one more for the new, for its sender and for its domain.
    fn recounts(&self, cause: Cause) -> Vec<Event> {
        let event = |subject| Event {
            cause: Some(cause.to_string()),
            sub: Some(self.kind.clone()),
            provider: self.provider.clone(),
            note: Some(self.was.cause.to_string()),
            ..Event::new(super::event::hour(self.at), subject, "recounted")
        };
        let sender = Event {
            stream: Some(self.stream.clone()),
            domain: self.domain.clone(),
            org: Some(self.org.clone()),
            login: self.login.clone(),
            ..event(Subject::Sender)
        };
        let site = self.recipient.as_ref().map(|address| Event {
            domain: Some(address.domain().to_string()),
            exit: self.exit.clone(),
            ..event(Subject::Site)
        });
        [sender].into_iter().chain(site).collect()
    }

    fn example(&self) -> String {
        let text = self.recipient.as_ref().map_or_else(|| self.text.clone(), |address| mask(&self.text, address));
        let line: String = format!("{}{text}", self.code.map_or_else(String::new, |code| format!("{code} ")))
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        line[..line.floor_char_boundary(EXAMPLE_OCTETS_MAX)].to_owned()
    }
}

impl Was {
    fn is(&self, now: &Outcome) -> bool {
        (self.cause, self.sub.as_deref(), self.fate, self.strength)
            == (now.cause, now.sub.as_deref(), now.fate, now.strength)
    }
}

fn word(cause: Cause, sub: Option<&str>) -> String {
    sub.map_or_else(|| cause.to_string(), |sub| format!("{cause}/{sub}"))
}

fn rewrite(sql: &mut dyn Sql, id: u64, now: &Outcome, version: &str) -> Result<(), SqlError> {
    sql.execute(
        "UPDATE send_log SET cause = $2, sub = $3, fate = $4, strength = $5, rule = $6, rules = $7 WHERE id = $1",
        &[
            id.into(),
            now.cause.as_str().into(),
            now.sub.as_deref().into(),
            now.fate.as_str().into(),
            now.strength.as_str().into(),
            (&*now.rule).into(),
            version.into(),
        ],
    )?;
    Ok(())
}

/// None where the row is of a version that did not note how the answer was understood.
fn logged(row: &Row) -> Result<Option<Logged>, SqlError> {
    let owned = |column| row.text_or_null(column).map(|text| text.map(str::to_owned));
    let read = |error: sm2tp_rules::UnknownWord| SqlError::Stored(error.to_string());
    let (Some(fate), Some(cause), Some(strength)) =
        (row.text_or_null(13)?, row.text_or_null(11)?, row.text_or_null(14)?)
    else {
        return Ok(None);
    };
    let (kind, weakened) = (row.text(6)?, row.uint_or_null(18)?);
    if kind == "returned" && weakened.is_none() {
        return Ok(None);
    }
    let was = Was {
        cause: cause.parse().map_err(read)?,
        sub: owned(12)?,
        fate: fate.parse().map_err(read)?,
        strength: strength.parse().map_err(read)?,
    };
    Ok(Some(Logged {
        id: row.uint(0)?,
        at: row.uint(1)?,
        org: row.text(2)?.to_owned(),
        login: owned(3)?,
        stream: row.text(4)?.to_owned(),
        domain: row.text_or_null(19)?.and_then(event::domain),
        exit: owned(20)?,
        recipient: row.text_or_null(5)?.and_then(|text| Address::parse(text).ok()),
        kind: kind.to_owned(),
        mx: owned(7)?,
        stage: row.text_or_null(8)?.map(str::parse).transpose().map_err(read)?,
        code: row.uint_or_null(9)?.and_then(|code| u16::try_from(code).ok()),
        enhanced: row.text_or_null(10)?.and_then(Enhanced::at_start),
        text: owned(15)?.unwrap_or_default(),
        provider: owned(16)?,
        expired: row.uint_or_null(17)? == Some(1),
        returned: weakened.map(|weakened| weakened != 0),
        was,
    }))
}

/// What a server said and what was made of its words: our own failures have no code and are typed, and circumstances cannot
/// be read again. Reports were read whether they name a code or not.
const PAGE: &str = "SELECT id, at, org, login, stream, recipient, kind, mx, stage, code, enhanced, cause, sub, fate, \
    strength, text, provider, expired, weakened, mail_from, exit FROM send_log \
    WHERE $1 < id AND (code IS NOT NULL OR kind = 'returned') AND cause IS NOT NULL \
    AND rule NOT LIKE 'behaviour-%' \
    AND kind IN ('bounced', 'deferred', 'report-bounced', 'report-deferred', 'returned') ORDER BY id LIMIT $2";
/// Rows of one transaction: other writers wait for it.
const PAGE_ROWS: u64 = 1000;
/// Kinds of changes that are told apart; a person reads no more.
const CHANGES_MAX: usize = 200;
const EXAMPLES_MAX: usize = 3;
const EXAMPLE_OCTETS_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sm2tp_rules::Scope;

    use super::*;
    use crate::ledger::{Ledger, SendLog};
    use crate::testing::{TempDir, deferred};
    use crate::told::{Answer, Told, Verdict, What};

    fn tags(address: &Address) -> Vec<(KeyId, Tag)> {
        let mut tag = [0; 16];
        address.clear().bytes().take(16).enumerate().for_each(|(at, octet)| tag[at] = octet ^ 0xff);
        vec![(KeyId([1; 8]), Tag(tag))]
    }

    fn bounced(at: u64, recipient: &str, text: &str, cause: Cause) -> Told {
        let verdict = Verdict {
            cause,
            sub: None,
            fate: Fate::Final,
            scope: Scope::Recipient,
            strength: Strength::Strong,
            rule: "old".into(),
            rules: Some("0".into()),
        };
        let answer = Answer {
            stage: Some(Stage::Rcpt),
            code: Some(550),
            text: text.into(),
            verdict: Some(verdict),
            ..Answer::default()
        };
        Told { at, what: What::Bounced { answer, expired: false }, ..deferred(recipient, "", "old") }
    }

    async fn counters(ledger: &Ledger) -> Vec<(String, String, i64)> {
        let query = "SELECT kind, cause, count FROM counter WHERE count <> 0 ORDER BY kind, cause";
        let read = |row: &Row| Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned(), row.int(2)?));
        ledger.read(move |sql| Ok(sql::all(sql, query, &[], read)?)).await.unwrap()
    }

    async fn events(ledger: &Ledger) -> u64 {
        let query = "SELECT COUNT(*) FROM event";
        ledger.read(move |sql| Ok(sql::first(sql, query, &[], |row| row.uint(0))?.unwrap_or(0))).await.unwrap()
    }

    #[tokio::test]
    async fn better_rules_free_and_stop_addresses_only_when_a_person_wants_it() {
        let dir = TempDir::new();
        let ledger = crate::testing::ledger(dir.path());
        let delivered = What::Delivered { answer: Answer::default() };
        let batch = vec![
            (1, bounced(1000, "freed@x.example", "Sender verify failed: user unknown", Cause::Address)),
            (2, bounced(1000, "gone@x.example", "5.1.1 user unknown", Cause::Policy)),
            (3, bounced(1000, "back@x.example", "5.1.1 user unknown", Cause::Policy)),
            (4, Told { at: 2000, what: delivered, ..deferred("back@x.example", "", "old") }),
            (5, bounced(1000, "same@x.example", "over quota", Cause::Mailbox)),
            (6, deferred("later@x.example", "Greylisted for 300 seconds", "none")),
        ];
        let tagger = |address: &Address| tags(address).first().copied();
        ledger.absorb("spool", batch, SendLog::Keep, tagger, |_, _, _| Ok(())).await.unwrap();
        let hard = |ledger: &Ledger, recipient: &str| {
            let tag = tags(&Address::parse(recipient).unwrap())[0].1;
            ledger.views().evidence(&tag).is_some_and(|evidence| evidence.hard_at != 0)
        };
        let before = (counters(&ledger).await, events(&ledger).await);
        let rules = Arc::new(Classifier::shipped());

        let shown = ledger.replay(rules.clone(), Replay::Show, tags).await.unwrap();
        assert_eq!((shown.read, shown.changed), (5, 5));
        assert_eq!((shown.hard_withdrawn, shown.hard_added, shown.soft_withdrawn), (1, 1, 1));
        assert!(shown.changes.iter().any(|change| change.from == "address" && change.to == "auth/sender"));
        assert!(!format!("{shown:?}").contains("freed"), "{shown:?}");
        assert_eq!((counters(&ledger).await, events(&ledger).await), before);
        assert!(hard(&ledger, "freed@x.example") && !hard(&ledger, "gone@x.example"));

        let applied = ledger.replay(rules.clone(), Replay::Apply, tags).await.unwrap();
        assert_eq!(applied, shown);
        assert!(!hard(&ledger, "freed@x.example") && hard(&ledger, "gone@x.example"));
        assert!(!hard(&ledger, "back@x.example"), "a delivery has answered the question since");
        let after = counters(&ledger).await;
        let of = |cause: &str| after.iter().filter(|(_, found, _)| found == cause).map(|(_, _, n)| n).sum::<i64>();
        assert_eq!((of("address"), of("auth"), of("policy"), of("unknown"), of("rate")), (2, 1, 0, 0, 1), "{after:?}");

        let again = ledger.replay(rules, Replay::Apply, tags).await.unwrap();
        assert_eq!((again.read, again.changed), (5, 0));
        ledger.rebuild().await.unwrap();
        assert_eq!(counters(&ledger).await, after);
        assert!(!hard(&ledger, "freed@x.example") && hard(&ledger, "gone@x.example"));
    }
}
