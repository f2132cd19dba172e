//! What a report changes: one transaction of the ledger for each, together with the number of the report, so that none is
//! counted twice and none is forgotten.

use sm2tp_federation::tags::{KeyId, Tag};
use sm2tp_proto::Address;
use sm2tp_proto::token::{Token, day};
use sm2tp_rules::evidence::says;
use sm2tp_rules::outcome::Fate;
use sm2tp_rules::returned::{self, Before, Counts, Kind, Names};
use sm2tp_rules::{Cause, Stream, Strength};

use super::kept::{self, Counted, Sent};
use super::{Link, Returns};
use crate::ledger::{self, Bounced, Event, LedgerError, Subject, canary};
use crate::sql::{self, Sql, SqlError};
use crate::told::{Answer, Told, What, mask};
use crate::webhooks::Hooks;

/// A report that was read and classified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub kind: Kind,
    /// One word for what it is, for the statistics: `failed`, `delayed`, `complaint`, `autoreply`, …
    pub word: String,
    /// Of a failure: what it says of each recipient that it names.
    pub failed: Vec<Failed>,
    /// Of the mail that it is about.
    pub message_id: Option<String>,
    /// What a complaint calls itself: `abuse`, `fraud`, …
    pub feedback: Option<String>,
}

/// A report in its turn.
#[derive(Debug, Clone)]
pub struct Offered {
    /// The inbox that it waits in, and its number there.
    pub source: String,
    pub number: u64,
    /// Of ours, checked.
    pub token: Option<Token>,
    pub found: Found,
    /// How many times it has just gone on to the sender.
    pub passed_on: u32,
    /// Unix seconds.
    pub now: u64,
}

/// What a report says of one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// The address that was written to, or the one that it led to, as the report names it.
    pub recipient: Option<Address>,
    /// Where that is the one that was written to: the one that it led to, whom the text may name.
    pub led_to: Option<Address>,
    /// With the verdict of the classifier.
    pub answer: Answer,
}

/// What became of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// It was counted before: this is the second time that it is offered.
    Before,
    Attributed(Counts),
    /// No token of ours, or one of which nothing is known (any more): it counts in the statistics only.
    Unattributed,
}

/// What is written about one report.
struct Decision {
    counts: Counts,
    events: Vec<Event>,
    /// Of the bounce or the complaint, for the send log and those who publish.
    answer: Option<Answer>,
    /// Of a bounce: weaker than its words, for how it came.
    weakened: bool,
    /// Whom the words of a bounce may name beside the recipient.
    named: Vec<Address>,
}

impl Returns {
    /// What a token stands for, and what was counted for it; none where nothing is known of it.
    ///
    /// # Errors
    /// [`LedgerError`] where the ledger does not answer.
    pub async fn sent(&self, token: &Token) -> Result<Option<(Sent, Counted)>, LedgerError> {
        let row = token.row;
        self.ledger.read(move |sql| Ok(kept::find(sql, &row)?)).await
    }

    /// The number of the last report that was counted.
    ///
    /// # Errors
    /// [`LedgerError`] where the ledger does not answer.
    pub async fn counted_to(&self, source: &str) -> Result<u64, LedgerError> {
        let source = source.to_owned();
        self.ledger.read(move |sql| Ok(counted_to(sql, &source)?)).await
    }

    /// Counts a report: once for each number of a source. `tags` gives the tags under which an address may be kept;
    /// `publish` takes what others shall hear of.
    ///
    /// # Errors
    /// [`LedgerError`]: nothing of it was counted; offer it again.
    pub async fn settle(
        &self,
        offered: Offered,
        tags: impl Fn(&Address) -> Vec<(KeyId, Tag)> + Send + 'static,
        publish: impl FnOnce(&mut dyn Sql, &Told, &Event) -> Result<(), SqlError> + Send + 'static,
    ) -> Result<Settled, LedgerError> {
        let Offered { source, number, token, found, passed_on, now } = offered;
        let hooks = self.ledger.hooks().clone();
        let (settled, told) = self
            .ledger
            .settle_report(move |sql| {
                if number <= counted_to(sql, &source)? {
                    return Ok((Vec::new(), None, (Settled::Before, None)));
                }
                let known =
                    token.map(|token| Ok::<_, SqlError>(kept::find(sql, &token.row)?.map(|known| (token, known))));
                let (events, bounced, settled) = match known.transpose()?.flatten() {
                    Some((token, (sent, counted))) => {
                        let decision = decide(&sent, counted, &found, day(now).saturating_sub(token.day), now, &tags);
                        let counted = after(counted, decision.counts, passed_on);
                        kept::count(sql, &token.row, &sent, counted)?;
                        let told = write(sql, (&sent, &hooks), &decision, &found, now, publish)?;
                        let bounced = decision.bounced(&sent, now);
                        (decision.events, bounced, (Settled::Attributed(decision.counts), told))
                    }
                    None => {
                        ledger::tally(sql, &unattributed(&found, now))?;
                        note(sql, &found, now)?;
                        (Vec::new(), None, (Settled::Unattributed, None))
                    }
                };
                sql.execute(
                    "INSERT INTO read_to (source, last) VALUES ($1, $2) \
                     ON CONFLICT (source) DO UPDATE SET last = excluded.last",
                    &[source.as_str().into(), number.into()],
                )?;
                Ok((events, bounced, settled))
            })
            .await?;
        self.ledger.tail().hear(told.iter(), now);
        Ok(settled)
    }
}

fn counted_to(sql: &mut dyn Sql, source: &str) -> Result<u64, SqlError> {
    let query = "SELECT last FROM read_to WHERE source = $1";
    Ok(sql::first(sql, query, &[source.into()], |row| row.uint(0))?.unwrap_or(0))
}

/// What a report changes for the recipient that its token stands for. No other address is in reach here.
fn decide(
    sent: &Sent,
    counted: Counted,
    found: &Found,
    age_days: u16,
    now: u64,
    tags: &dyn Fn(&Address) -> Vec<(KeyId, Tag)>,
) -> Decision {
    let before = Before { bounced: counted.bounced, complained: counted.complained };
    let counts = returned::counts(found.kind, age_days, before);
    match counts {
        Counts::Bounce => bounce(sent, found, age_days, now, tags),
        Counts::Complaint => complaint(sent, found, now),
        Counts::Repeated | Counts::Late | Counts::Nothing => Decision::read(counts),
    }
}

impl Decision {
    /// Read, and no more.
    fn read(counts: Counts) -> Self {
        Self { counts, events: Vec::new(), answer: None, weakened: false, named: Vec::new() }
    }

    fn bounced(&self, sent: &Sent, now: u64) -> Option<Bounced> {
        let answer = self.answer.as_ref().filter(|_| self.counts == Counts::Bounce)?;
        Some(Bounced { provider: answer.provider.clone(), at: now, taken_at: sent.taken_at })
    }
}

fn bounce(
    sent: &Sent,
    found: &Found,
    age_days: u16,
    now: u64,
    tags: &dyn Fn(&Address) -> Vec<(KeyId, Tag)>,
) -> Decision {
    let is_this = |failed: &&Failed| {
        let named = failed.recipient.as_ref();
        named.is_some_and(|named| tags(named).contains(&sent.recipient))
    };
    let named = found.failed.iter().find(is_this);
    let Some(failed) = named.or(found.failed.first()) else {
        // It says that something failed, and in no words that anybody reads.
        return Decision::read(Counts::Nothing);
    };
    let names = match (named, &failed.recipient) {
        (Some(_), _) => Names::ThisRecipient,
        (None, Some(_)) => Names::Another,
        (None, None) => Names::Nobody,
    };
    let mut answer = failed.answer.clone();
    // The counters, the send log and the events must name the same one, so that rules that improve find them again.
    answer.provider = answer.provider.take().or(sent.provider.clone());
    let weakened = returned::strength(Strength::Strong, age_days, names) == Strength::Weak;
    if let Some(verdict) = &mut answer.verdict {
        verdict.strength = returned::strength(verdict.strength, age_days, names);
        // The server has given up; there is nothing left to try.
        verdict.fate = Fate::Final;
    }
    let verdict = answer.verdict.as_ref();
    let cause = verdict.map(|verdict| verdict.cause.to_string());
    let mut events = vec![
        Event { cause: cause.clone(), provider: answer.provider.clone(), ..about_sender(sent, "returned", now) },
        Event {
            cause: cause.clone(),
            domain: Some(sent.domain.clone()),
            provider: answer.provider.clone(),
            ..Event::new(ledger::hour(now), Subject::Site, "returned")
        },
    ];
    let kind = ledger::kind(verdict.and_then(|verdict| says(verdict.cause, verdict.fate, true)));
    events.push(Event {
        cause,
        sub: verdict.and_then(|verdict| verdict.sub.clone()),
        stream: Some(sent.stream.to_string()),
        recipient: Some(sent.recipient),
        domain: Some(sent.domain.clone()),
        provider: answer.provider.clone(),
        code: answer.code,
        enhanced: answer.enhanced.map(|enhanced| enhanced.to_string()),
        strength: verdict.map(|verdict| verdict.strength).or(Some(Strength::Weak)),
        rule: verdict.map(|verdict| verdict.rule.clone()),
        // Without an address to take out of it, nobody knows whom the text names.
        note: failed.recipient.as_ref().map(|address| masked(&answer.text, address, failed.led_to.as_ref())),
        ..Event::new(now, Subject::Recipient, kind)
    });
    let named = [&failed.recipient, &failed.led_to].into_iter().flatten().cloned().collect();
    Decision { counts: Counts::Bounce, events, answer: Some(answer), weakened, named }
}

fn masked(text: &str, recipient: &Address, led_to: Option<&Address>) -> String {
    let text = mask(text, recipient);
    led_to.map_or_else(|| text.clone(), |led_to| mask(&text, led_to))
}

/// The pair of address and org is stopped. Nothing else is held against the address, and nobody else hears of it.
fn complaint(sent: &Sent, found: &Found, now: u64) -> Decision {
    let cause = Some("complaint".to_owned());
    let events = vec![
        Event {
            cause: cause.clone(),
            recipient: Some(sent.recipient),
            domain: Some(sent.domain.clone()),
            org: Some(sent.org.clone()),
            ..Event::new(now, Subject::Recipient, "optout")
        },
        Event { cause, provider: sent.provider.clone(), ..about_sender(sent, "complained", now) },
        Event { domain: Some(sent.domain.clone()), ..Event::new(ledger::hour(now), Subject::Site, "complained") },
    ];
    let text = found.feedback.clone().unwrap_or_else(|| "abuse".to_owned());
    let answer = Some(Answer { text, ..Answer::default() });
    Decision { events, answer, ..Decision::read(Counts::Complaint) }
}

/// What a link to unsubscribe changes: the same pair as a complaint, without its stain on the sender.
pub(super) fn opted_out(link: &Link, now: u64) -> Vec<Event> {
    let cause = Some("unsubscribed".to_owned());
    vec![
        Event {
            cause: cause.clone(),
            recipient: Some(link.recipient),
            domain: Some(link.domain.clone()),
            org: Some(link.org.clone()),
            ..Event::new(now, Subject::Recipient, "optout")
        },
        Event {
            cause,
            stream: Some(Stream::Bulk.to_string()),
            org: Some(link.org.clone()),
            ..Event::new(ledger::hour(now), Subject::Sender, "unsubscribed")
        },
    ]
}

fn about_sender(sent: &Sent, kind: &str, now: u64) -> Event {
    Event {
        stream: Some(sent.stream.to_string()),
        domain: sent.mail_from.as_deref().and_then(ledger::domain),
        org: Some(sent.org.clone()),
        login: sent.login.clone(),
        ..Event::new(ledger::hour(now), Subject::Sender, kind)
    }
}

/// Counted for the node, and for nobody on it: who can forge a report must not be able to spoil a sender's name, nor to
/// make the ledger grow.
fn unattributed(found: &Found, now: u64) -> Event {
    Event { cause: Some(found.word.clone()), ..Event::new(ledger::hour(now), Subject::Sender, "unattributed") }
}

fn after(counted: Counted, counts: Counts, passed_on: u32) -> Counted {
    Counted {
        bounced: counted.bounced || counts == Counts::Bounce,
        complained: counted.complained || counts == Counts::Complaint,
        passed_on: counted.passed_on.saturating_add(passed_on),
    }
}

/// Answers with what is told of it, where the send log still knows the mail.
fn write(
    sql: &mut dyn Sql,
    (sent, hooks): (&Sent, &Hooks),
    decision: &Decision,
    found: &Found,
    now: u64,
    publish: impl FnOnce(&mut dyn Sql, &Told, &Event) -> Result<(), SqlError>,
) -> Result<Option<Told>, LedgerError> {
    decision.events.iter().try_for_each(|event| ledger::keep(sql, event))?;
    let Some(answer) = decision.answer.clone() else {
        let read = Event { cause: Some(found.word.clone()), ..about_sender(sent, "report-read", now) };
        ledger::tally(sql, &read)?;
        return Ok(None);
    };
    let bounced = decision.counts == Counts::Bounce;
    if bounced {
        let is_dead = answer.verdict.as_ref().is_some_and(|verdict| verdict.cause == Cause::Address);
        if is_dead && canary::came_back(sql, sent.mail, sent.recipient.1)? {
            ledger::keep(sql, &about_sender(sent, canary::BACK, now))?;
        }
        unknown(sql, sent, decision, &answer, now)?;
    } else {
        remember(sql, &sent.org, "complaints")?;
    }
    let line = sent.line.map(|line| original(sql, line, sent.mail)).transpose()?.flatten();
    let Some(original) = line else { return Ok(None) };
    let weakened = decision.weakened;
    let what = if bounced { What::Returned { answer, weakened } } else { What::Complained { answer } };
    let told = Told {
        v: Told::VERSION,
        at: now,
        org: sent.org.clone(),
        login: sent.login.clone(),
        stream: sent.stream,
        mail: sent.mail,
        message_id: original.message_id,
        mail_from: original.mail_from,
        recipient: original.recipient,
        token: None,
        report: false,
        what,
    };
    ledger::log(sql, &told)?;
    hooks.enqueue(sql, &told, now)?;
    let about = decision.events.iter().find(|event| event.subject == Subject::Recipient);
    // Others hear what is known of the address only.
    if let Some(event) = about.filter(|event| bounced && event.kind != "refused") {
        publish(sql, &told, event)?;
    }
    Ok(Some(told))
}

/// Counts the words of a bounce that no rule knew. Of bounces only: a stranger could fill the list with words of his own.
fn unknown(sql: &mut dyn Sql, sent: &Sent, decision: &Decision, answer: &Answer, now: u64) -> Result<(), SqlError> {
    let named: Vec<String> = decision.named.iter().map(Address::clear).collect();
    let own = [&sent.mail_from, &sent.login].into_iter().flatten();
    let private: Vec<&str> = named.iter().chain(own).map(String::as_str).collect();
    ledger::unknown::count_answer(sql, answer, &private, Some(sent.recipient.1), now)
}

/// One more for the next notice to this org.
pub(super) fn remember(sql: &mut dyn Sql, org: &str, what: &str) -> Result<(), SqlError> {
    let (complaints, optouts) = if what == "complaints" { (1_u64, 0_u64) } else { (0, 1) };
    sql.execute(
        "INSERT INTO org_returns (org, return_path, unsubscribe, noticed_at, complaints, optouts) \
         VALUES ($1, 'sender', 'off', 0, $2, $3) ON CONFLICT (org) DO UPDATE SET \
         complaints = org_returns.complaints + excluded.complaints, optouts = org_returns.optouts + excluded.optouts",
        &[org.into(), complaints.into(), optouts.into()],
    )?;
    Ok(())
}

/// What the send log says of a mail, while it says anything.
struct Original {
    message_id: Option<String>,
    mail_from: Option<String>,
    recipient: Option<String>,
}

fn original(sql: &mut dyn Sql, line: u64, mail: u64) -> Result<Option<Original>, SqlError> {
    let query = "SELECT message_id, mail_from, recipient FROM send_log WHERE id = $1 AND mail = $2";
    sql::first(sql, query, &[line.into(), mail.into()], |row| {
        let owned = |column| row.text_or_null(column).map(|text| text.map(str::to_owned));
        Ok(Original { message_id: owned(0)?, mail_from: owned(1)?, recipient: owned(2)? })
    })
}

/// A report without a token that names a mail of the send log, and a recipient of that mail, is noted there, for who looks
/// for it; once, because anybody can send it again. It proves nothing, so it changes nothing.
fn note(sql: &mut dyn Sql, found: &Found, now: u64) -> Result<(), LedgerError> {
    let Some(message_id) = found.message_id.as_deref().filter(|_| found.kind == Kind::Failure) else { return Ok(()) };
    for failed in found.failed.iter().take(NOTED_MAX) {
        let Some(recipient) = failed.recipient.as_ref() else { continue };
        let query = "SELECT org, login, stream, mail, mail_from, recipient FROM send_log \
                     WHERE recipient = $1 AND message_id = $2 AND kind <> 'unproved' AND NOT EXISTS (SELECT 1 \
                     FROM send_log WHERE recipient = $1 AND message_id = $2 AND kind = 'unproved') LIMIT 1";
        let told = sql::first(sql, query, &[recipient.clear().into(), message_id.into()], |row| {
            let owned = |column| row.text_or_null(column).map(|text| text.map(str::to_owned));
            Ok(Told {
                v: Told::VERSION,
                at: now,
                org: row.text(0)?.to_owned(),
                login: owned(1)?,
                stream: row.text(2)?.parse().map_err(|_| SqlError::Stored("a stream".into()))?,
                mail: row.uint(3)?,
                message_id: Some(message_id.to_owned()),
                mail_from: owned(4)?,
                recipient: owned(5)?,
                token: None,
                report: false,
                what: What::Unproved { answer: failed.answer.clone() },
            })
        })?;
        if let Some(told) = told {
            ledger::log(sql, &told)?;
        }
    }
    Ok(())
}

/// Recipients of one report that are looked for in the send log.
const NOTED_MAX: usize = 10;

#[cfg(test)]
mod tests;
