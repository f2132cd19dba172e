//! What the word of other nodes was good for (R27): what became of canaries, mail that it would have held and that was let
//! through to measure it; and which addresses nobody here had to find dead.
//!
//! A canary is noted with its mail and its tag, and with no sender (R11), until a server has answered; what was taken may
//! still come back, and is noted until no report can come any more.

use sm2tp_federation::tags::{KeyId, Tag};
use sm2tp_proto::Domain;
use sm2tp_rules::returned::BOUNCE_DAYS_MAX;
use sm2tp_rules::{Cause, Stream};

use super::event::{DAY_S, Event, Subject, hour};
use super::{Ledger, LedgerError, keep};
use crate::sql::{self, Sql, SqlError};
use crate::told::{Told, What};

impl Event {
    /// An address to which a mail did not go because other nodes call it dead. By the day: its time must not lead to the
    /// sender whose stopped mail is counted beside it (R11).
    #[must_use]
    pub fn spared((key_id, tag): (KeyId, Tag), domain: &Domain, now: u64) -> Self {
        Self {
            recipient: Some((key_id, tag)),
            domain: Some(domain.to_string()),
            ..Self::new(now / DAY_S * DAY_S, Subject::Recipient, SPARED)
        }
    }

    /// A canary at a door of another mail server, counted for its sender.
    #[must_use]
    pub fn let_through(org: &str, login: Option<&str>, stream: Stream, now: u64) -> Self {
        Self {
            stream: Some(stream.to_string()),
            org: Some(org.to_owned()),
            login: login.map(str::to_owned),
            ..Self::new(hour(now), Subject::Sender, "canary")
        }
    }

    /// Notes the address; answers whether it is the first time.
    pub(super) fn spare(&self, sql: &mut dyn Sql) -> Result<bool, SqlError> {
        let Some((_, tag)) = self.recipient else { return Ok(false) };
        let note = "INSERT INTO spared (tag, at) VALUES ($1, $2) ON CONFLICT (tag) DO NOTHING";
        Ok(sql.execute(note, &[tag.0[..].into(), self.at.into()])? != 0)
    }
}

/// The canaries that a batch of happenings meets.
pub(super) struct Canaries {
    /// Whether any waits for its answer: most nodes have none, and then no happening is looked up.
    wait: bool,
}

impl Canaries {
    pub(super) fn read(sql: &mut dyn Sql) -> Result<Self, SqlError> {
        let one = sql::first(sql, "SELECT mail FROM canary WHERE taken = 0 LIMIT 1", &[], |row| row.uint(0))?;
        Ok(Self { wait: one.is_some() })
    }

    /// Notes a canary, or answers with the event that tells what became of one.
    pub(super) fn follow(&mut self, sql: &mut dyn Sql, told: &Told, tag: Tag) -> Result<Option<Event>, SqlError> {
        if told.what == What::Canary {
            self.wait = true;
            note(sql, told.mail, tag, told.at)?;
            return Ok(None);
        }
        // A report of ours to the same address proves nothing.
        let Some(end) = end(&told.what).filter(|_| self.wait && !told.report) else { return Ok(None) };
        let ended = match end {
            ALIVE => "UPDATE canary SET taken = 1 WHERE mail = $1 AND tag = $2 AND taken = 0",
            _ => "DELETE FROM canary WHERE mail = $1 AND tag = $2 AND taken = 0",
        };
        let found = sql.execute(ended, &[told.mail.into(), tag.0[..].into()])?;
        Ok((found != 0).then(|| Event {
            stream: Some(told.stream.to_string()),
            org: Some(told.org.clone()),
            login: told.login.clone(),
            ..Event::new(hour(told.at), Subject::Sender, end)
        }))
    }
}

impl Ledger {
    /// Notes canaries that another mail server delivers: the address is looked for in its log, which knows no numbers of ours.
    /// Each with its sender's event ([`Event::let_through`]); one that waits for its answer already is not counted again.
    ///
    /// # Errors
    /// [`LedgerError`]: none of them was noted.
    pub async fn let_through(&self, canaries: Vec<(Event, Tag)>) -> Result<(), LedgerError> {
        self.write(move |sql| {
            for (event, tag) in &canaries {
                if note(sql, BESIDE, *tag, event.at)? {
                    keep(sql, event)?;
                }
            }
            Ok(())
        })
        .await
    }
}

/// Notes that a canary waits for its answer; false where it does already.
fn note(sql: &mut dyn Sql, mail: u64, tag: Tag, at: u64) -> Result<bool, SqlError> {
    let note = "INSERT INTO canary (mail, tag, at, taken) VALUES ($1, $2, $3, 0) ON CONFLICT (mail, tag) \
                DO UPDATE SET taken = 0, at = excluded.at WHERE canary.taken = 1";
    Ok(sql.execute(note, &[mail.into(), tag.0[..].into(), at.into()])? != 0)
}

/// Whether a mail that came back was a canary that had counted as alive; asked once for each.
pub(crate) fn came_back(sql: &mut dyn Sql, mail: u64, tag: Tag) -> Result<bool, SqlError> {
    let taken = "DELETE FROM canary WHERE mail = $1 AND tag = $2 AND taken = 1";
    Ok(sql.execute(taken, &[mail.into(), tag.0[..].into()])? != 0)
}

/// Forgets mail whose answer can come no more: a queue keeps mail for days, a report is believed for some more.
pub(super) fn forget(sql: &mut dyn Sql, now: u64) -> Result<(), SqlError> {
    let before = now.saturating_sub(WAIT_S_MAX);
    sql.execute("DELETE FROM canary WHERE at < $1", &[before.into()])?;
    Ok(())
}

/// What a happening says of the canary that it ends; none where it goes on.
fn end(what: &What) -> Option<&'static str> {
    match what {
        // The yes of a smart host proves nothing about the address.
        What::Delivered { answer } if answer.relayed => Some(UNCLEAR),
        What::Delivered { .. } => Some(ALIVE),
        What::Bounced { answer, .. } => match answer.verdict.as_ref().map(|verdict| verdict.cause) {
            Some(Cause::Address) => Some(DEAD),
            _ => Some(UNCLEAR),
        },
        What::Stopped { .. } | What::Dropped => Some(UNCLEAR),
        _ => None,
    }
}

/// The kinds of the events.
pub(super) const SPARED: &str = "spared";
pub(super) const DEAD: &str = "canary-dead";
pub(super) const ALIVE: &str = "canary-alive";
pub(super) const UNCLEAR: &str = "canary-unclear";
/// It had counted as alive, and came back as dead.
pub(crate) const BACK: &str = "canary-back";

/// Instead of the number of a mail, where another server keeps it: logs are told under it.
const BESIDE: u64 = 0;

/// Twice what a report may take, so that a long stay in the queue comes on top.
const WAIT_S_MAX: u64 = 2 * BOUNCE_DAYS_MAX as u64 * DAY_S;

#[cfg(test)]
mod tests {
    use sm2tp_federation::tags::KeyId;
    use sm2tp_proto::Address;
    use sm2tp_rules::{Fate, Scope, Strength};

    use super::super::SendLog;
    use super::*;
    use crate::testing::TempDir;
    use crate::told::{Answer, Verdict};

    fn told(mail: u64, what: What) -> Told {
        Told {
            v: Told::VERSION,
            at: 1_800_000_123,
            org: "asso".into(),
            login: None,
            stream: Stream::Bulk,
            mail,
            message_id: None,
            mail_from: None,
            recipient: Some(format!("r{mail}@x.example")),
            token: None,
            report: false,
            what,
        }
    }

    fn bounced(cause: Cause) -> What {
        let verdict = Verdict {
            cause,
            sub: None,
            fate: Fate::Final,
            scope: Scope::Recipient,
            strength: Strength::Strong,
            rule: "test".into(),
            rules: None,
        };
        What::Bounced { answer: Answer { verdict: Some(verdict), ..Answer::default() }, expired: false }
    }

    fn tagger(address: &Address) -> Option<(KeyId, Tag)> {
        let mut tag = [0; 16];
        address.clear().bytes().take(16).zip(&mut tag).for_each(|(octet, to)| *to = octet);
        Some((KeyId([1; 8]), Tag(tag)))
    }

    async fn absorb(ledger: &Ledger, first: u64, batch: Vec<Told>) {
        let batch = batch.into_iter().zip(first..).map(|(told, number)| (number, told)).collect();
        ledger.absorb("spool", batch, SendLog::Off, tagger, |_, _, _| Ok(())).await.unwrap();
    }

    async fn counted(ledger: &Ledger) -> Vec<(String, u64)> {
        let query = "SELECT kind, SUM(count) FROM counter WHERE kind LIKE 'canary%' GROUP BY kind ORDER BY kind";
        let read = |row: &sql::Row| Ok((row.text(0)?.to_owned(), row.uint(1)?));
        ledger.read(move |sql| Ok(sql::all(sql, query, &[], read)?)).await.unwrap()
    }

    #[tokio::test]
    async fn every_canary_is_counted_once_by_what_became_of_it() {
        let dir = TempDir::new();
        let ledger = crate::testing::ledger(dir.path());
        let delivered = |relayed| What::Delivered { answer: Answer { relayed, ..Answer::default() } };
        absorb(&ledger, 1, (1..=6).map(|mail| told(mail, What::Canary)).collect()).await;
        let ends = [
            bounced(Cause::Address),
            delivered(false),
            bounced(Cause::Content),
            delivered(true),
            What::Dropped,
            What::Deferred { answer: Answer::default() },
        ];
        absorb(&ledger, 7, ends.into_iter().zip(1..).map(|(what, mail)| told(mail, what)).collect()).await;
        // Another mail to an address of a canary is none, and one that was answered is not answered again.
        let other = Told { recipient: Some("r6@x.example".into()), ..told(9, delivered(false)) };
        absorb(&ledger, 13, vec![other, told(1, delivered(false)), told(2, bounced(Cause::Address))]).await;
        let want = [("canary", 6), ("canary-alive", 1), ("canary-dead", 1), ("canary-unclear", 3)];
        let want: Vec<_> = want.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect();
        assert_eq!(counted(&ledger).await, want);
        ledger.rebuild().await.unwrap();
        assert_eq!(counted(&ledger).await, want);
        let waiting = "SELECT mail FROM canary WHERE taken = 0";
        let waiting = ledger.read(move |sql| Ok(sql::all(sql, waiting, &[], |row| row.uint(0))?)).await;
        assert_eq!(waiting.unwrap(), [6]);
        // What was taken may come back; once.
        let tag = tagger(&Address::parse("r2@x.example").unwrap()).unwrap().1;
        for want in [true, false] {
            assert_eq!(ledger.write(move |sql| Ok(came_back(sql, 2, tag)?)).await.unwrap(), want);
        }
        // Two months later nobody waits any more.
        let late = Told { at: 1_800_000_123 + WAIT_S_MAX + 1, ..told(20, What::Canary) };
        let now = late.at;
        absorb(&ledger, 20, vec![late]).await;
        ledger.roll_up(now).await.unwrap();
        let left = "SELECT mail FROM canary";
        let left = ledger.read(move |sql| Ok(sql::all(sql, left, &[], |row| row.uint(0))?)).await;
        assert_eq!(left.unwrap(), [20]);
    }

    #[tokio::test]
    async fn an_address_is_spared_once_however_often_it_is_written_to() {
        let dir = TempDir::new();
        let ledger = crate::testing::ledger(dir.path());
        let what = || What::Stopped { why: "federated".into(), federated: true, reported: true };
        absorb(&ledger, 1, vec![told(1, what()), Told { mail: 2, ..told(1, what()) }]).await;
        let address = Address::parse("r1@x.example").unwrap();
        let again = Event::spared(tagger(&address).unwrap(), address.domain(), 1_900_000_000);
        ledger.append(vec![again.clone(), again]).await.unwrap();
        let lines = || async {
            let query = "SELECT (SELECT COUNT(*) FROM event WHERE kind = 'spared'), COUNT(*), SUM(at) FROM spared";
            let read = |row: &sql::Row| Ok((row.uint(0)?, row.uint(1)?, row.uint(2)?));
            ledger.read(move |sql| Ok(sql::first(sql, query, &[], read)?)).await.unwrap().unwrap()
        };
        let day = 1_800_000_123 / DAY_S * DAY_S;
        assert_eq!(lines().await, (1, 1, day));
        ledger.rebuild().await.unwrap();
        assert_eq!(lines().await, (1, 1, day));
        assert_eq!(ledger.views().len(), 0, "nothing is held against it");
    }

    #[tokio::test]
    async fn a_canary_of_another_mail_server_is_answered_by_its_log() {
        let dir = TempDir::quick();
        let ledger = crate::testing::ledger(dir.path());
        let beside = |what| Told { recipient: Some("r1@x.example".into()), ..told(BESIDE, what) };
        let tag = tagger(&Address::parse("r1@x.example").unwrap()).unwrap().1;
        let asked = || (Event::let_through("asso", None, Stream::Bulk, 1_800_000_123), tag);
        // Mail servers ask twice.
        ledger.let_through(vec![asked(), asked()]).await.unwrap();
        let report = Told { report: true, ..beside(What::Delivered { answer: Answer::default() }) };
        absorb(&ledger, 1, vec![report, beside(What::Deferred { answer: Answer::default() })]).await;
        assert_eq!(counted(&ledger).await, [("canary".to_owned(), 1)]);
        absorb(&ledger, 3, vec![beside(What::Delivered { answer: Answer::default() })]).await;
        assert_eq!(counted(&ledger).await, [("canary".to_owned(), 1), ("canary-alive".to_owned(), 1)]);
        // Later it is one again.
        ledger.let_through(vec![asked()]).await.unwrap();
        absorb(&ledger, 4, vec![beside(bounced(Cause::Address))]).await;
        let want = [("canary", 2), ("canary-alive", 1), ("canary-dead", 1)];
        assert_eq!(counted(&ledger).await, want.map(|(kind, count)| (kind.to_owned(), count)));
    }
}
