//! One line of the ledger, how it is made from what the relay told, and what it changes in the views.

use std::collections::HashMap;

use sm2tp_federation::tags::{KeyId, Tag};
use sm2tp_proto::{Address, Enhanced};
use sm2tp_rules::evidence::{Hard, Says, says};
use sm2tp_rules::{Happening, Stream, Strength};

use super::canary::SPARED;
use super::listed::Listing;
use crate::sql::{Row, Sql, SqlError, Value};
use crate::told::{Answer, Told, What, mask};

/// Whom an event is about. One event never names two of them (R11).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    Recipient,
    Sender,
    Site,
}

/// A line of the ledger; absent fields do not apply.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Event {
    /// Unix seconds; cut to the hour unless the subject is a recipient.
    pub at: u64,
    pub subject: Subject,
    pub kind: String,
    /// The cause, or the reason why something was stopped.
    pub cause: Option<String>,
    pub sub: Option<String>,
    pub stream: Option<String>,
    pub count: u64,
    pub recipient: Option<(KeyId, Tag)>,
    pub domain: Option<String>,
    pub org: Option<String>,
    pub login: Option<String>,
    pub provider: Option<String>,
    pub code: Option<u16>,
    pub enhanced: Option<String>,
    pub strength: Option<Strength>,
    pub rule: Option<String>,
    /// A masked reply, or a person's note.
    pub note: Option<String>,
    /// Of a site: the way out that its mail took.
    pub exit: Option<String>,
    /// Whose words the reply is; none where no server spoke, or an older version wrote the event.
    pub said_by: Option<Speaker>,
}

/// Who answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Speaker {
    /// The recipient's server.
    Server,
    /// The smart host, for the recipient's server or for itself.
    SmartHost,
}

impl Event {
    pub(crate) fn new(at: u64, subject: Subject, kind: &str) -> Self {
        Self {
            at,
            subject,
            kind: kind.to_owned(),
            cause: None,
            sub: None,
            stream: None,
            count: 1,
            recipient: None,
            domain: None,
            org: None,
            login: None,
            provider: None,
            code: None,
            enhanced: None,
            strength: None,
            rule: None,
            note: None,
            exit: None,
            said_by: None,
        }
    }

    /// A send that a door refused, counted for its sender.
    #[must_use]
    pub fn stopped(org: &str, login: Option<&str>, stream: Stream, why: &str, now: u64) -> Self {
        Self {
            cause: Some(why.to_owned()),
            stream: Some(stream.to_string()),
            org: Some(org.to_owned()),
            login: login.map(str::to_owned),
            ..Self::new(hour(now), Subject::Sender, "stopped")
        }
    }

    /// What a person decided about an address: `suppress`, `unsuppress`, `allow`, `unallow`, `released`.
    #[must_use]
    pub fn decided(kind: &str, address: &Address, tag: (KeyId, Tag), note: Option<&str>, now: u64) -> Self {
        Self {
            recipient: Some(tag),
            domain: Some(address.domain().to_string()),
            note: note.map(|note| mask(note, address)),
            ..Self::new(now, Subject::Recipient, kind)
        }
    }

    /// The events of one happening: about the sender, about the site, and about the recipient where it says something.
    pub(super) fn from_told(told: &Told, address: Option<&Address>, tag: Option<(KeyId, Tag)>) -> Vec<Self> {
        let mut events = vec![Self::about_sender(told)];
        if let Some((answer, address)) = told.answer().zip(address) {
            events.push(Self::about_site(told, answer, address));
            if let Some(tag) = tag {
                events.extend(Self::about_recipient(told, answer, address, tag));
            }
        }
        events
    }

    fn about_sender(told: &Told) -> Self {
        let cause = match &told.what {
            What::Stopped { why, .. } => Some(why.clone()),
            _ => told.answer().and_then(|answer| answer.verdict.as_ref()).map(|v| v.cause.to_string()),
        };
        Self {
            cause,
            stream: Some(told.stream.to_string()),
            count: if let What::Accepted { recipients, .. } = told.what { recipients } else { 1 },
            domain: told.mail_from.as_deref().and_then(domain),
            org: Some(told.org.clone()),
            login: told.login.clone(),
            provider: told.answer().and_then(|answer| answer.provider.clone()),
            ..Self::new(hour(told.at), Subject::Sender, told.kind())
        }
    }

    fn about_site(told: &Told, answer: &Answer, address: &Address) -> Self {
        Self {
            cause: answer.verdict.as_ref().map(|verdict| verdict.cause.to_string()),
            domain: Some(address.domain().to_string()),
            provider: answer.provider.clone(),
            exit: answer.exit.clone(),
            ..Self::new(hour(told.at), Subject::Site, told.kind())
        }
    }

    fn about_recipient(told: &Told, answer: &Answer, address: &Address, tag: (KeyId, Tag)) -> Option<Self> {
        let kind = match &told.what {
            What::Delivered { .. } if !answer.relayed => "delivered",
            What::Bounced { expired, .. } => bounced(answer, *expired)?,
            _ => return None,
        };
        let verdict = answer.verdict.as_ref();
        Some(Self {
            cause: verdict.map(|verdict| verdict.cause.to_string()),
            sub: verdict.and_then(|verdict| verdict.sub.clone()),
            stream: Some(told.stream.to_string()),
            recipient: Some(tag),
            domain: Some(address.domain().to_string()),
            provider: answer.provider.clone(),
            code: answer.code,
            enhanced: answer.enhanced.map(|enhanced| enhanced.to_string()),
            strength: verdict.map(|verdict| verdict.strength),
            rule: verdict.map(|verdict| verdict.rule.clone()),
            said_by: answer.code.map(|_| if answer.relayed { Speaker::SmartHost } else { Speaker::Server }),
            // A delivery needs no words; a refusal is shown to the next person who writes there.
            note: (kind != "delivered").then(|| mask(&answer.text, address)),
            ..Self::new(told.at, Subject::Recipient, kind)
        })
    }

    /// One line for those that say the same, with their counts added up: a newsletter is a handful of lines about its
    /// sender and its sites. In the order of their first.
    pub(super) fn together(events: Vec<Self>) -> Vec<Self> {
        let mut counts = HashMap::<Self, (usize, u64)>::with_capacity(events.len());
        for event in events {
            let (next, count) = (counts.len(), event.count);
            counts.entry(Self { count: 0, ..event }).or_insert((next, 0)).1 += count;
        }
        let mut together: Vec<(usize, Self)> =
            counts.into_iter().map(|(event, (place, count))| (place, Self { count, ..event })).collect();
        together.sort_unstable_by_key(|(place, _)| *place);
        together.into_iter().map(|(_, event)| event).collect()
    }

    pub(super) fn insert(&self, sql: &mut dyn Sql) -> Result<(), SqlError> {
        let (key_id, tag) = self
            .recipient
            .map_or((Value::Null, Value::Null), |(key_id, tag)| (Value::from(&key_id.0[..]), Value::from(&tag.0[..])));
        sql.execute(
            INSERT,
            &[
                self.at.into(),
                self.subject.as_str().into(),
                self.kind.as_str().into(),
                self.cause.as_deref().into(),
                self.sub.as_deref().into(),
                self.stream.as_deref().into(),
                self.count.into(),
                key_id,
                tag,
                self.domain.as_deref().into(),
                self.org.as_deref().into(),
                self.login.as_deref().into(),
                self.provider.as_deref().into(),
                self.code.map(u32::from).into(),
                self.enhanced.as_deref().into(),
                self.strength.map(Strength::as_str).into(),
                self.rule.as_deref().into(),
                self.note.as_deref().into(),
                self.said_by.map(Speaker::as_str).into(),
                self.exit.as_deref().into(),
            ],
        )?;
        Ok(())
    }

    /// Counts the event of a sender by the day instead of appending it: for what strangers can bring about as often as they
    /// like, so that they cannot make the ledger grow.
    pub(super) fn tally(&self, sql: &mut dyn Sql) -> Result<(), SqlError> {
        let word = |text: &Option<String>| Value::from(text.as_deref().unwrap_or(""));
        sql.execute(
            "INSERT INTO tally (day, org, login, stream, kind, cause, count) VALUES ($1, $2, $3, $4, $5, $6, $7) \
             ON CONFLICT (day, org, login, stream, kind, cause) DO UPDATE SET count = tally.count + excluded.count",
            &[
                (self.at / DAY_S).into(),
                word(&self.org),
                word(&self.login),
                word(&self.stream),
                self.kind.as_str().into(),
                word(&self.cause),
                self.count.into(),
            ],
        )?;
        Self { at: self.at / DAY_S * DAY_S, ..self.clone() }.apply(sql)
    }

    /// A row of [`TALLY`] as the event that it stands for.
    pub(super) fn of_tally(row: &Row) -> Result<Self, SqlError> {
        let word = |column| row.text(column).map(|text| Some(text.to_owned()).filter(|text| !text.is_empty()));
        Ok(Self {
            org: word(1)?,
            login: word(2)?,
            stream: word(3)?,
            cause: word(5)?,
            count: row.uint(6)?,
            ..Self::new(row.uint(0)? * DAY_S, Subject::Sender, row.text(4)?)
        })
    }

    pub(super) fn read(row: &Row) -> Result<Self, SqlError> {
        let owned = |column| row.text_or_null(column).map(|text| text.map(str::to_owned));
        let stored = |error: sm2tp_rules::UnknownWord| SqlError::Stored(error.to_string());
        let recipient = match row.octets(7) {
            Ok(key_id) => Some((KeyId(key_id), Tag(row.octets(8)?))),
            Err(_) => None,
        };
        Ok(Self {
            at: row.uint(0)?,
            subject: Subject::parse(row.text(1)?).ok_or_else(|| SqlError::Stored("subject".into()))?,
            kind: row.text(2)?.to_owned(),
            cause: owned(3)?,
            sub: owned(4)?,
            stream: owned(5)?,
            count: row.uint(6)?,
            recipient,
            domain: owned(9)?,
            org: owned(10)?,
            login: owned(11)?,
            provider: owned(12)?,
            code: row.uint(13).ok().and_then(|code| u16::try_from(code).ok()),
            enhanced: owned(14)?,
            strength: row.text_or_null(15)?.map(str::parse).transpose().map_err(stored)?,
            rule: owned(16)?,
            note: owned(17)?,
            said_by: row.text_or_null(18)?.and_then(Speaker::parse),
            exit: owned(19)?,
        })
    }

    /// Puts the event into every view it belongs to, but for those of `figures` and `addresses`.
    pub(super) fn apply(&self, sql: &mut dyn Sql) -> Result<(), SqlError> {
        match self.subject {
            Subject::Sender if self.kind == "recounted" => self.recount(sql),
            Subject::Site if self.kind.starts_with("breaker-") => self.believe_or_not(sql),
            Subject::Sender => self.count_for_sender(sql, self.count.into()),
            Subject::Site => Ok(()),
            Subject::Recipient if self.kind == SPARED => self.spare(sql).map(drop),
            Subject::Recipient => Listing::of(self).map_or(Ok(()), |listing| listing.apply(self, sql)),
        }
    }

    /// What the event is for the fold of one address; none for lists, which have a view of their own.
    pub(super) fn happening(&self) -> Option<Happening> {
        match self.kind.as_str() {
            // Whoever answered from there has got it.
            "delivered" | "confirmed" => Some(Happening::Delivered),
            "released" => Some(Happening::Released),
            "soft" => Some(Happening::Soft),
            "hard" => Some(Happening::Hard(Hard {
                strength: self.strength.unwrap_or(Strength::Weak),
                inactive: self.sub.as_deref() == Some("inactive"),
                code: self.code.unwrap_or(0),
                enhanced: self.enhanced.as_deref().and_then(Enhanced::at_start),
                imported: self.rule.as_deref().and_then(|rule| rule.parse().ok()),
            })),
            _ => None,
        }
    }

    /// A provider that is not believed any more, or again. `note` says until when at most.
    fn believe_or_not(&self, sql: &mut dyn Sql) -> Result<(), SqlError> {
        let provider = Value::from(self.provider.as_deref().unwrap_or(""));
        match self.kind.as_str() {
            "breaker-tripped" => {}
            "breaker-more" => {
                let more = "UPDATE breaker SET parked = parked + $2 WHERE provider = $1";
                sql.execute(more, &[provider, self.count.into()])?;
                return Ok(());
            }
            _ => {
                sql.execute("DELETE FROM breaker WHERE provider = $1", &[provider])?;
                return Ok(());
            }
        }
        let until = self.note.as_deref().and_then(|until| until.parse::<u64>().ok()).unwrap_or(self.at);
        sql.execute(
            "INSERT INTO breaker (provider, since, until, parked) VALUES ($1, $2, $3, $4) ON CONFLICT (provider) \
             DO UPDATE SET since = excluded.since, until = excluded.until, parked = excluded.parked",
            &[provider, self.at.into(), until.into(), self.count.into()],
        )?;
        Ok(())
    }

    /// Rules that improved: `sub` tells the kind that was counted, `note` its cause then, `cause` the one of now.
    fn recount(&self, sql: &mut dyn Sql) -> Result<(), SqlError> {
        let count = i64::try_from(self.count).unwrap_or(i64::MAX);
        let kind = self.sub.clone().unwrap_or_default();
        let lost = Self { cause: self.note.clone(), kind: kind.clone(), ..self.clone() };
        let won = Self { kind, ..self.clone() };
        for (event, count) in [(lost, -count), (won, count)] {
            event.count_for_sender(sql, Value::Int(count))?;
        }
        Ok(())
    }

    fn count_for_sender(&self, sql: &mut dyn Sql, count: Value) -> Result<(), SqlError> {
        let word = |text: &Option<String>| Value::from(text.as_deref().unwrap_or(""));
        sql.execute(
            "INSERT INTO counter (hour, org, login, stream, provider, kind, cause, count) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
             ON CONFLICT (hour, org, login, stream, provider, kind, cause) DO UPDATE SET count = counter.count + excluded.count",
            &[
                (self.at / HOUR_S).into(),
                word(&self.org),
                word(&self.login),
                word(&self.stream),
                word(&self.provider),
                self.kind.as_str().into(),
                word(&self.cause),
                count,
            ],
        )?;
        Ok(())
    }
}

impl Subject {
    fn as_str(self) -> &'static str {
        match self {
            Self::Recipient => "recipient",
            Self::Sender => "sender",
            Self::Site => "site",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Recipient, Self::Sender, Self::Site].into_iter().find(|subject| subject.as_str() == word)
    }
}

impl Speaker {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::SmartHost => "smarthost",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Server, Self::SmartHost].into_iter().find(|speaker| speaker.as_str() == word)
    }
}

/// What a mail that was given up is for its recipient; none where no server spoke of it.
fn bounced(answer: &Answer, expired: bool) -> Option<&'static str> {
    let verdict = answer.verdict.as_ref()?;
    let says = says(verdict.cause, verdict.fate, expired);
    (says.is_some() || answer.code.is_some()).then(|| kind(says))
}

/// The kind of an event about a recipient whose mail was given up. What says nothing about the address is counted too: the
/// mail did not arrive.
pub(crate) fn kind(says: Option<Says>) -> &'static str {
    match says {
        Some(Says::Hard) => "hard",
        Some(Says::Soft) => "soft",
        None => "refused",
    }
}

/// Of a sender's address as it was told; none of the null path.
pub(crate) fn domain(address: &str) -> Option<String> {
    Address::parse(address).ok().map(|address| address.domain().to_string())
}

/// The hour that a time is in, as its first second.
pub(crate) fn hour(at: u64) -> u64 {
    at / HOUR_S * HOUR_S
}

const HOUR_S: u64 = 3600;
pub(super) const DAY_S: u64 = 24 * HOUR_S;

const INSERT: &str = "INSERT INTO event (at, subject, kind, cause, sub, stream, count, key_id, tag, domain, org, login, \
    provider, code, enhanced, strength, rule, note, said_by, exit) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)";

/// The columns that [`Event::read`] expects.
pub(super) const COLUMNS: &str = "at, subject, kind, cause, sub, stream, count, key_id, tag, domain, org, login, \
    provider, code, enhanced, strength, rule, note, said_by, exit";

/// What [`Event::of_tally`] reads.
pub(super) const TALLY: &str = "SELECT day, org, login, stream, kind, cause, count FROM tally";
