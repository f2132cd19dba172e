//! Counts of what happened: by recipient's and sender's domain, by exit and provider, for each hour and later
//! for each day. Views of the events, beside `counter`, which counts by organisation, login and provider.
//!
//! A line never names a sender and a recipient (R11). What is counted together is written together: a newsletter is a
//! handful of lines, whatever its length.

use std::collections::HashMap;

use super::event::{Event, Subject};
use crate::sql::{self, Sql, SqlError, Value};

/// What a figure is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Of {
    /// The domain of recipients.
    Domain,
    /// The domain of a sender's address; `part` is the organisation.
    SenderDomain,
    /// A way out; `part` is the provider that was written to.
    Exit,
}

/// One line of what happened, to be added up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Line {
    of: Of,
    name: String,
    part: String,
    hour: u64,
    kind: String,
    cause: String,
}

impl Of {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Domain => "domain",
            Self::SenderDomain => "sender-domain",
            Self::Exit => "exit",
        }
    }

    /// Names of one day (of one organisation, for its domains); those beyond it are counted together, without a name.
    fn names_max(self) -> u64 {
        match self {
            // Who writes to more on one day guesses.
            Self::Domain => 50_000,
            // An organisation has a few; who shows another one with each mail shall not fill the disk.
            Self::SenderDomain => 100,
            // They stand in the configuration.
            Self::Exit => 1000,
        }
    }
}

/// Adds up what events say.
pub(super) fn count<'a>(sql: &mut dyn Sql, events: impl IntoIterator<Item = &'a Event>) -> Result<(), SqlError> {
    let (mut lines, mut order) = (HashMap::<Line, i64>::new(), Vec::new());
    for event in events {
        for (line, count) in of_event(event) {
            *lines.entry(line.clone()).or_insert_with(|| {
                order.push(line);
                0
            }) += count;
        }
    }
    // In the order of the events: which names are beyond the limit must be the same when the views are made again.
    for line in order {
        let count = lines.get(&line).copied().unwrap_or_default();
        add(sql, &line, count)?;
    }
    Ok(())
}

/// Makes days of hours that are older than [`HOURS_KEPT_DAYS`], and forgets days older than [`DAYS_KEPT`]; the events stay.
pub(super) fn roll_up(sql: &mut dyn Sql, now: u64) -> Result<(), SqlError> {
    let today = now / DAY_S;
    let (hours, days) = (today.saturating_sub(HOURS_KEPT_DAYS) * 24, today.saturating_sub(DAYS_KEPT) * 24);
    sql.execute(
        // A clock that was set back unmakes no days.
        "INSERT INTO rolled (id, hours, days) VALUES (1, $1, $2) ON CONFLICT (id) DO UPDATE SET \
         hours = excluded.hours, days = excluded.days WHERE rolled.hours < excluded.hours",
        &[hours.into(), days.into()],
    )?;
    roll_up_again(sql)
}

/// As far as it was done before: for views that were made again.
pub(super) fn roll_up_again(sql: &mut dyn Sql) -> Result<(), SqlError> {
    let done = sql::first(sql, "SELECT hours, days FROM rolled", &[], |row| Ok((row.uint(0)?, row.uint(1)?)))?;
    let Some((hours, days)) = done else { return Ok(()) };
    for (table, columns) in
        [("counter", "org, login, stream, provider, kind, cause"), ("figure", "subject, name, part, kind, cause")]
    {
        let sum = format!(
            "INSERT INTO {table} (hour, {columns}, count) SELECT hour / 24 * 24, {columns}, SUM(count) FROM {table} \
             WHERE hour < $1 AND hour % 24 <> 0 GROUP BY hour / 24, {columns} \
             ON CONFLICT (hour, {columns}) DO UPDATE SET count = {table}.count + excluded.count"
        );
        sql.execute(&sum, &[hours.into()])?;
        sql.execute(&format!("DELETE FROM {table} WHERE hour < $1 AND hour % 24 <> 0"), &[hours.into()])?;
        sql.execute(&format!("DELETE FROM {table} WHERE hour < $1"), &[days.into()])?;
    }
    // Names of a day that is over are not counted any more.
    sql.execute("DELETE FROM figure_names WHERE day < $1", &[(hours / 24).into()])?;
    Ok(())
}

/// The lines that an event adds to; a correction takes from one and gives to another.
fn of_event(event: &Event) -> Vec<(Line, i64)> {
    let count = i64::try_from(event.count).unwrap_or(i64::MAX);
    let word = |text: &Option<String>| text.clone().unwrap_or_default();
    let changes = match event.kind.as_str() {
        "recounted" => {
            vec![(word(&event.sub), word(&event.note), -count), (word(&event.sub), word(&event.cause), count)]
        }
        kind if kind.starts_with("breaker-") => Vec::new(),
        kind => vec![(kind.to_owned(), word(&event.cause), count)],
    };
    let mut places = Vec::new();
    match event.subject {
        Subject::Sender => places.extend(event.domain.clone().map(|name| (Of::SenderDomain, name, word(&event.org)))),
        Subject::Site => {
            places.extend(event.domain.clone().map(|name| (Of::Domain, name, String::new())));
            places.extend(event.exit.clone().map(|name| (Of::Exit, name, word(&event.provider))));
        }
        Subject::Recipient => {}
    }
    let hour = event.at / HOUR_S;
    let line = |(of, name, part): &(Of, String, String), (kind, cause, count): &(String, String, i64)| {
        let (name, part, kind, cause) = (name.clone(), part.clone(), kind.clone(), cause.clone());
        (Line { of: *of, name, part, hour, kind, cause }, *count)
    };
    places.iter().flat_map(|place| changes.iter().map(move |change| line(place, change))).collect()
}

fn add(sql: &mut dyn Sql, line: &Line, count: i64) -> Result<(), SqlError> {
    let name = if is_known(sql, line)? { line.name.as_str() } else { "" };
    sql.execute(
        "INSERT INTO figure (subject, name, hour, part, kind, cause, count) VALUES ($1, $2, $3, $4, $5, $6, $7) \
         ON CONFLICT (subject, name, hour, part, kind, cause) DO UPDATE SET count = figure.count + excluded.count",
        &[
            line.of.as_str().into(),
            name.into(),
            line.hour.into(),
            line.part.as_str().into(),
            line.kind.as_str().into(),
            line.cause.as_str().into(),
            Value::Int(count),
        ],
    )?;
    Ok(())
}

/// Whether a name has lines of its own on that day: it has some, or there is room for one more.
fn is_known(sql: &mut dyn Sql, line: &Line) -> Result<bool, SqlError> {
    let day = line.hour / 24;
    let of = if line.of == Of::SenderDomain { line.part.as_str() } else { "" };
    let seen = "SELECT 1 FROM figure WHERE subject = $1 AND name = $2 AND $3 <= hour AND hour < $4 \
                AND ($5 = '' OR part = $5) LIMIT 1";
    let (subject, name) = (line.of.as_str().into(), line.name.as_str().into());
    let values = [subject, name, (day * 24).into(), (day * 24 + 24).into(), of.into()];
    if sql::first(sql, seen, &values, |_| Ok(()))?.is_some() {
        return Ok(true);
    }
    let changed = sql.execute(
        "INSERT INTO figure_names (day, subject, part, names) VALUES ($1, $2, $3, 1) ON CONFLICT (day, subject, part) \
         DO UPDATE SET names = figure_names.names + 1 WHERE figure_names.names < $4",
        &[day.into(), line.of.as_str().into(), of.into(), line.of.names_max().into()],
    )?;
    Ok(changed != 0)
}

const HOUR_S: u64 = 3600;
const DAY_S: u64 = 24 * HOUR_S;
/// Days of which every hour is told apart; a person who looks further back asks for days.
const HOURS_KEPT_DAYS: u64 = 35;
/// Days that are counted at all: two years and the one that is compared with the last.
const DAYS_KEPT: u64 = 800;

#[cfg(test)]
mod tests {
    use sm2tp_federation::tags::Tag;

    use super::*;
    use crate::ledger::addresses::{RecipientFigures, of_recipient};
    use crate::ledger::{Ledger, SendLog};
    use crate::testing::{TempDir, deferred};
    use crate::told::{Answer, Told, What};

    const AT: u64 = 1_800_000_000;

    fn tagger(address: &sm2tp_proto::Address) -> Option<(sm2tp_federation::tags::KeyId, Tag)> {
        let mut tag = [0; 16];
        address.clear().bytes().take(16).enumerate().for_each(|(at, octet)| tag[at] = octet ^ 0xff);
        Some((sm2tp_federation::tags::KeyId([1; 8]), Tag(tag)))
    }

    fn tag(address: &str) -> Tag {
        tagger(&sm2tp_proto::Address::parse(address).unwrap()).unwrap().1
    }

    fn taken(at: u64, from: &str, to: &str) -> Told {
        let answer = Answer { exit: Some("main".into()), provider: Some("google".into()), ..Answer::default() };
        Told { at, mail_from: Some(from.into()), what: What::Delivered { answer }, ..deferred(to, "", "old") }
    }

    /// As [`deferred`], and given up.
    fn refused(at: u64, to: &str, cause: sm2tp_rules::Cause) -> Told {
        let told = deferred(to, "5.7.1 no", "old");
        let mut answer = told.answer().unwrap().clone();
        let verdict = answer.verdict.as_mut().unwrap();
        (verdict.cause, verdict.fate) = (cause, sm2tp_rules::Fate::Final);
        Told { at, what: What::Bounced { answer, expired: false }, ..told }
    }

    async fn absorb(ledger: &Ledger, first: u64, entries: Vec<Told>) {
        let batch = entries.into_iter().zip(first..).map(|(told, number)| (number, told)).collect();
        ledger.absorb("spool", batch, SendLog::Off, tagger, |_, _, _| Ok(())).await.unwrap();
    }

    async fn lines(ledger: &Ledger, query: &'static str) -> Vec<String> {
        let line = |row: &sql::Row| Ok(format!("{row:?}"));
        ledger.read(move |sql| Ok(sql::all(sql, query, &[], line)?)).await.unwrap()
    }

    /// Every view in words.
    async fn views(ledger: &Ledger) -> Vec<String> {
        let mut all = Vec::new();
        for query in [
            "SELECT * FROM figure ORDER BY subject, name, hour, part, kind, cause",
            "SELECT * FROM counter ORDER BY hour, org, login, stream, provider, kind, cause",
            "SELECT * FROM recipient ORDER BY tag",
            "SELECT * FROM figure_names ORDER BY day, subject, part",
        ] {
            all.extend(lines(ledger, query).await);
        }
        all
    }

    async fn sum(ledger: &Ledger, what: &'static str) -> u64 {
        let query = format!("SELECT COALESCE(SUM(count), 0) FROM {what}");
        ledger.read(move |sql| Ok(sql::first(sql, &query, &[], |row| row.uint(0))?.unwrap())).await.unwrap()
    }

    #[tokio::test]
    async fn what_happened_is_counted_for_each_domain_exit_and_address() {
        let dir = TempDir::quick();
        let ledger = crate::testing::ledger(dir.path());
        absorb(
            &ledger,
            1,
            vec![
                taken(AT, "a@asso.example", "jean@x.example"),
                taken(AT, "b@asso.example", "jean@x.example"),
                taken(AT, "a@other.example", "paul@y.example"),
                refused(AT + 9, "jean@x.example", sm2tp_rules::Cause::Content),
                refused(AT + 9, "paul@y.example", sm2tp_rules::Cause::Address),
            ],
        )
        .await;
        for (what, want) in [
            ("figure WHERE subject = 'domain' AND name = 'x.example' AND kind = 'delivered'", 2),
            (
                "figure WHERE subject = 'sender-domain' AND name = 'asso.example' AND part = 'asso' AND kind = 'delivered'",
                2,
            ),
            ("figure WHERE subject = 'sender-domain' AND name = 'other.example'", 1),
            ("figure WHERE subject = 'exit' AND name = 'main' AND part = 'google'", 3),
            ("figure WHERE subject = 'domain' AND kind = 'bounced' AND cause = 'content'", 1),
        ] {
            assert_eq!(sum(&ledger, what).await, want, "{what}");
        }
        let of = |address: &'static str| {
            let ledger = ledger.clone();
            async move { ledger.read(move |sql| Ok(of_recipient(sql, &[tag(address)])?)).await.unwrap() }
        };
        let jean = RecipientFigures { delivered: 2, refused: 1, ..RecipientFigures::default() };
        assert_eq!(of("jean@x.example").await, jean);
        let paul = RecipientFigures { delivered: 1, hard: 1, ..RecipientFigures::default() };
        assert_eq!(of("paul@y.example").await, paul);
        assert_eq!(ledger.views().evidence(&tag("jean@x.example")).unwrap().hard_at, 0, "refused, and valid");
        let before = views(&ledger).await;
        ledger.rebuild().await.unwrap();
        assert_eq!(views(&ledger).await, before);
        assert_eq!(ledger.progress().now(), None, "it is over");
    }

    #[tokio::test]
    async fn hours_become_days_and_old_days_go_and_a_rebuild_gives_the_same() {
        let dir = TempDir::quick();
        let ledger = crate::testing::ledger(dir.path());
        let (day, mut entries) = (86_400, Vec::new());
        for hour in 0..48 {
            entries.push(taken(AT + hour * 3600, "a@asso.example", "jean@x.example"));
        }
        absorb(&ledger, 1, entries).await;
        let of_hours = |name: &'static str| sum(&ledger, name);
        ledger.roll_up(AT + 10 * day).await.unwrap();
        assert_eq!(lines(&ledger, "SELECT hour FROM figure WHERE subject = 'domain'").await.len(), 48);
        ledger.roll_up(AT + 60 * day).await.unwrap();
        assert_eq!(lines(&ledger, "SELECT hour FROM figure WHERE subject = 'domain'").await.len(), 3, "AT is in a day");
        assert_eq!(lines(&ledger, "SELECT hour FROM counter").await.len(), 3);
        assert_eq!((of_hours("counter").await, of_hours("figure WHERE subject = 'exit'").await), (48, 48));
        let before = views(&ledger).await;
        ledger.rebuild().await.unwrap();
        assert_eq!(views(&ledger).await, before);
        // A clock that is set back, and one that is right again.
        ledger.roll_up(AT).await.unwrap();
        assert_eq!(views(&ledger).await, before);
        ledger.roll_up(AT + 900 * day).await.unwrap();
        assert_eq!(of_hours("counter").await + of_hours("figure").await, 0);
        ledger.rebuild().await.unwrap();
        assert_eq!(of_hours("counter").await + of_hours("figure").await, 0);
    }

    #[tokio::test]
    async fn a_sender_with_ten_thousand_domains_fills_no_disk() {
        let dir = TempDir::quick();
        let ledger = crate::testing::ledger(dir.path());
        for batch in 0..10 {
            let entries = (0..1000)
                .map(|n| taken(AT, &format!("a@s{}.example", batch * 1000 + n), &format!("jean{batch}@x.example")));
            absorb(&ledger, 1 + batch * 1000, entries.collect()).await;
        }
        let names = "SELECT DISTINCT name FROM figure WHERE subject = 'sender-domain'";
        assert_eq!(lines(&ledger, names).await.len() as u64, Of::SenderDomain.names_max() + 1);
        assert_eq!(sum(&ledger, "figure WHERE subject = 'sender-domain'").await, 10_000, "nothing is lost");
        assert_eq!(sum(&ledger, "counter WHERE kind = 'delivered'").await, 10_000);
        let before = views(&ledger).await;
        ledger.rebuild().await.unwrap();
        assert_eq!(views(&ledger).await, before);
    }

    #[tokio::test]
    async fn a_day_has_fifty_thousand_domains_of_recipients_and_one_line_for_the_others() {
        let dir = TempDir::quick();
        let ledger = crate::testing::ledger(dir.path());
        let max = Of::Domain.names_max();
        let site = |n: u64, at: u64| Event {
            domain: Some(format!("d{n}.example")),
            ..Event::new(at, Subject::Site, "delivered")
        };
        for first in (0..max + 500).step_by(5000) {
            let events = (first..(first + 5000).min(max + 500)).map(|n| site(n, AT));
            ledger.append(events.collect()).await.unwrap();
        }
        let names = "SELECT COUNT(DISTINCT name) FROM figure WHERE subject = 'domain' AND name <> ''";
        assert_eq!(lines(&ledger, names).await, [format!("Row([Int({max})])")]);
        assert_eq!(sum(&ledger, "figure WHERE subject = 'domain' AND name = ''").await, 500);
        // One that has a line already goes on having it, and the next day has room again.
        ledger.append(vec![site(7, AT), site(max + 1, AT), site(max + 2, AT + DAY_S)]).await.unwrap();
        for (name, want) in [("d7.example", 2), ("", 501), (&format!("d{}.example", max + 2), 1)] {
            let what = format!("figure WHERE subject = 'domain' AND name = '{name}'");
            assert_eq!(sum(&ledger, what.leak()).await, want, "{name}");
        }
        let before = views(&ledger).await;
        ledger.rebuild().await.unwrap();
        assert!(views(&ledger).await == before, "the same names have lines");
    }
}
