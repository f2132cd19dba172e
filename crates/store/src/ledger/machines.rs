//! Several machines that are one node (decision 0075): what each keeps in memory follows what the others write into the database
//! that they share.
//!
//! Ids are committed in their order, because one machine writes at a time. So a machine knows by the last id that it saw what
//! others have added since, and reads it before it writes anything itself.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sm2tp_federation::tags::Tag;
use sm2tp_rules::Evidence;

use super::event::{self, Event};
use super::listed::Listing;
use super::{Breakers, Ledger, LedgerError, Views, addresses, ask};
use crate::sql::{self, Sql, SqlError, Value};
use crate::webhooks::Hooks;

/// What machines keep in memory of the database, by what it is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Area {
    Accounts,
    Persons,
    Tokens,
    Federation,
    Settings,
    Webhooks,
    /// All addresses: the views were made again.
    Views,
}

/// What the other machines did since they were asked last.
#[derive(Debug, Default)]
pub struct News {
    /// What must be read again.
    pub areas: BTreeSet<Area>,
    /// In their order.
    pub said: Vec<Said>,
}

/// What one machine tells the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Who shall hear it.
    pub kind: String,
    /// With a version, as all that is kept.
    pub body: String,
}

/// What is kept in memory beside the tables, and follows them.
#[derive(Debug, Clone, Default)]
pub(super) struct Pictures {
    pub(super) views: Views,
    pub(super) breakers: Breakers,
    pub(super) hooks: Hooks,
    machines: Option<Arc<Machines>>,
}

/// This machine among those of its node.
#[derive(Debug)]
pub(super) struct Machines {
    name: String,
    number: AtomicU64,
    leads: AtomicBool,
    /// Unix seconds since when the database does not answer; 0: it does.
    away_since: AtomicU64,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    event: u64,
    said: u64,
    /// The sum of what the other machines changed, by area.
    areas: HashMap<&'static str, u64>,
}

/// A machine of a node, as the others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// What it calls itself.
    pub host: String,
    /// Unix seconds.
    pub seen_at: u64,
}

/// All machines of a node, asked beside the node: for who looks whether all is well.
///
/// # Errors
/// [`SqlError`] where the database does not answer.
#[cfg(feature = "postgres")]
pub fn all(shared: &crate::sql::postgres::Shared) -> Result<Vec<Machine>, SqlError> {
    use crate::sql::postgres::{Access, Postgres};
    let query = "SELECT host, seen_at FROM machine WHERE 0 < seen_at ORDER BY number";
    let read = |row: &sql::Row| Ok(Machine { host: row.text(0)?.to_owned(), seen_at: row.uint(1)? });
    std::thread::scope(|scope| {
        // A thread of its own: a connection waits for its answers, which no task may.
        let asking = scope.spawn(|| sql::all(&mut Postgres::open(shared, Access::Read)?, query, &[], read));
        asking.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

impl Area {
    pub const ALL: [Self; 7] =
        [Self::Accounts, Self::Persons, Self::Tokens, Self::Federation, Self::Settings, Self::Webhooks, Self::Views];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accounts => "accounts",
            Self::Persons => "persons",
            Self::Tokens => "tokens",
            Self::Federation => "federation",
            Self::Settings => "settings",
            Self::Webhooks => "webhooks",
            Self::Views => "views",
        }
    }

    /// What a statement changes of it. What is read where it is needed is none.
    #[must_use]
    pub fn of(sql: &str) -> Option<Self> {
        let rest = ["INSERT INTO ", "UPDATE ", "DELETE FROM "].iter().find_map(|word| sql.strip_prefix(word))?;
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        match &rest[..end] {
            "org" | "login" | "allowance" | "org_returns" | "org_suppression" => Some(Self::Accounts),
            "person" | "session" => Some(Self::Persons),
            "token" => Some(Self::Tokens),
            // Each contact with a peer writes into its row; only whom a person trusts how far is kept in memory.
            "peer" if sql.contains("polled_at = $4") || sql.contains("SET read_at") => None,
            "peer" | "segment" | "node" | "judged" | "frozen_hour" => Some(Self::Federation),
            "setting" => Some(Self::Settings),
            // What waits for each is read where it is needed; which there are, and which want no more, is kept in memory.
            "webhook" if sql.starts_with("UPDATE") && !sql.contains("gone") => None,
            "webhook" => Some(Self::Webhooks),
            "recipient" if sql == "DELETE FROM recipient" => Some(Self::Views),
            // Somebody was erased.
            "event" if sql.starts_with("DELETE") => Some(Self::Views),
            _ => None,
        }
    }
}

impl Machines {
    #[cfg(feature = "postgres")]
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            number: AtomicU64::new(1),
            leads: AtomicBool::new(false),
            away_since: AtomicU64::new(0),
            seen: Mutex::default(),
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pictures {
    #[cfg(feature = "postgres")]
    pub(super) fn shared(machines: Machines) -> Self {
        Self { machines: Some(Arc::new(machines)), ..Self::default() }
    }

    /// What a source of happenings is called in the ledger: each machine has its own logs. A spool has a name that no other has.
    pub(super) fn source(&self, source: &str) -> String {
        match &self.machines {
            Some(machines) if machines.name != source => format!("{}/{source}", machines.name),
            _ => source.to_owned(),
        }
    }

    /// Reads everything.
    pub(super) fn load(&self, sql: &mut dyn Sql) -> Result<(), SqlError> {
        self.views.load(sql)?;
        self.breakers.load(sql)?;
        self.hooks.load(sql)
    }

    /// This machine among the others, and from where on it follows them. Runs inside a transaction.
    #[cfg(feature = "postgres")]
    pub(super) fn begin(&self, sql: &mut dyn Sql) -> Result<(), SqlError> {
        let Some(machines) = &self.machines else { return Ok(()) };
        let known = "INSERT INTO machine (name, host, seen_at) VALUES ($1, '', 0) ON CONFLICT (name) DO NOTHING";
        let name = [machines.name.as_str().into()];
        if sql::first(sql, NUMBER, &name, |row| row.uint(0))?.is_none() {
            sql.execute(known, &name)?;
        }
        let number = sql::first(sql, NUMBER, &name, |row| row.uint(0))?.unwrap_or(1);
        machines.number.store(number, Ordering::Relaxed);
        let areas = changed(sql, &machines.name)?;
        let said = sql::first(sql, "SELECT COALESCE(MAX(id), 0) FROM said", &[], |row| row.uint(0))?.unwrap_or(0);
        *machines.seen() = Seen { event: newest(sql)?, said, areas };
        Ok(())
    }

    /// Runs `work` as one transaction that begins with what other machines wrote before it.
    pub(super) fn transaction<T, E: From<SqlError>>(
        &self,
        sql: &mut dyn Sql,
        work: impl FnOnce(&mut dyn Sql) -> Result<T, E>,
    ) -> Result<T, E> {
        let Some(machines) = &self.machines else { return sql::transaction(sql, work) };
        let (value, newest) = sql::transaction(sql, |sql| {
            self.catch_up(sql, machines)?;
            let value = work(sql)?;
            Ok::<_, E>((value, newest(sql)?))
        })?;
        machines.seen().event = newest;
        Ok(value)
    }

    /// Follows the events of other machines.
    fn catch_up(&self, sql: &mut dyn Sql, machines: &Machines) -> Result<(), SqlError> {
        let (before, newest) = (machines.seen().event, newest(sql)?);
        if newest <= before {
            return Ok(());
        }
        let between = [Value::from(before), newest.into()];
        let mut evidence: BTreeMap<[u8; 16], Evidence> = BTreeMap::new();
        sql.rows(TAGS, &between, &mut |row| {
            evidence.insert(row.octets(0)?, Evidence::default());
            Ok(())
        })?;
        let columns = addresses::EVIDENCE_COLUMNS;
        let query = format!("SELECT {columns}, tag, domain, rule FROM recipient WHERE tag IN ({TAGS})");
        sql.rows(&query, &between, &mut |row| {
            let known = addresses::evidence(row)?;
            let (domain, rule) = addresses::domain_and_rule(row)?;
            self.views.catch_up_domain(domain, &known, rule);
            evidence.insert(row.octets(addresses::EVIDENCE_WIDTH)?, known);
            Ok(())
        })?;
        let (mut listings, mut breakers) = (Vec::new(), false);
        let query = format!("SELECT {} FROM event WHERE {OTHERS} ORDER BY id", event::COLUMNS);
        sql.rows(&query, &between, &mut |row| {
            let event = Event::read(row)?;
            breakers |= event.kind.starts_with("breaker-");
            if Listing::of(&event).is_some() {
                listings.push(event);
            }
            Ok(())
        })?;
        let evidence: Vec<(Tag, Evidence)> = evidence.into_iter().map(|(tag, evidence)| (Tag(tag), evidence)).collect();
        self.views.catch_up(&evidence, &listings);
        if breakers {
            self.breakers.load(sql)?;
        }
        machines.seen().event = newest;
        Ok(())
    }

    fn news(&self, sql: &mut dyn Sql, machines: &Machines) -> Result<News, SqlError> {
        self.catch_up(sql, machines)?;
        let now = changed(sql, &machines.name)?;
        let last = machines.seen().said;
        let mut said = Vec::new();
        let mut newest = last;
        sql.rows(SAID, &[last.into(), machines.name.as_str().into(), SAID_AT_ONCE.into()], &mut |row| {
            newest = row.uint(0)?;
            said.push(Said { kind: row.text(1)?.to_owned(), body: row.text(2)?.to_owned() });
            Ok(())
        })?;
        let leads = sql.leads()?;
        if machines.leads.swap(leads, Ordering::Relaxed) != leads {
            tracing::info!(leads, "whether this machine does what one does for all");
        }
        let mut seen = machines.seen();
        let is_new = |area: &Area| now.get(area.as_str()) != seen.areas.get(area.as_str());
        let areas: BTreeSet<Area> = Area::ALL.into_iter().filter(is_new).collect();
        seen.areas = now;
        seen.said = newest;
        drop(seen);
        if areas.contains(&Area::Views) {
            self.load(sql)?;
        } else if areas.contains(&Area::Webhooks) {
            self.hooks.load(sql)?;
        }
        Ok(News { areas, said })
    }
}

impl Ledger {
    /// Whether other machines share this ledger.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.pictures.machines.is_some()
    }

    /// Whether this machine is the one that does what is done once for all of them: publishing, reading peers, looking for trouble.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.pictures.machines.as_ref().is_none_or(|machines| machines.leads.load(Ordering::Relaxed))
    }

    /// Since when the database does not answer (unix seconds); none while it does.
    #[must_use]
    pub fn away_since(&self) -> Option<u64> {
        let machines = self.pictures.machines.as_ref()?;
        Some(machines.away_since.load(Ordering::Relaxed)).filter(|since| *since != 0)
    }

    /// What is added to the numbers of this machine's mails, so that no other has them.
    #[must_use]
    pub fn mail_base(&self) -> u64 {
        let number = self.pictures.machines.as_ref().map_or(1, |machines| machines.number.load(Ordering::Relaxed));
        number.saturating_sub(1) << MAILS_BITS
    }

    /// What the other machines did since this was asked last; the views have followed. `now` in unix seconds.
    ///
    /// # Errors
    /// [`LedgerError`]: ask again.
    pub async fn news(&self, now: u64) -> Result<News, LedgerError> {
        let Some(machines) = self.pictures.machines.clone() else { return Ok(News::default()) };
        let (pictures, asked) = (self.pictures.clone(), machines.clone());
        let found = ask(&self.writer, move |sql| Ok(pictures.news(sql, &asked)?)).await;
        match &found {
            Ok(_) => machines.away_since.store(0, Ordering::Relaxed),
            Err(_) => {
                machines.leads.store(false, Ordering::Relaxed);
                let _ = machines.away_since.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
            }
        }
        found
    }

    /// Tells the other machines something. `now` in unix seconds.
    ///
    /// # Errors
    /// [`LedgerError`]: nothing was told.
    pub async fn say(&self, said: Vec<Said>, now: u64) -> Result<(), LedgerError> {
        let Some(machines) = self.pictures.machines.clone() else { return Ok(()) };
        self.write(move |sql| {
            for Said { kind, body } in &said {
                let insert = "INSERT INTO said (machine, at, kind, body) VALUES ($1, $2, $3, $4)";
                let values = [machines.name.as_str().into(), now.into(), kind.as_str().into(), body.as_str().into()];
                sql.execute(insert, &values)?;
            }
            Ok(())
        })
        .await
    }

    /// Notes that this machine lives, as `host`; and forgets what machines told each other long ago. `now` in unix seconds.
    ///
    /// # Errors
    /// [`LedgerError`]: it is noted later.
    pub async fn live(&self, host: &str, now: u64) -> Result<(), LedgerError> {
        let Some(machines) = self.pictures.machines.clone() else { return Ok(()) };
        let host = host.to_owned();
        self.write(move |sql| {
            let lives = "UPDATE machine SET host = $2, seen_at = $3 WHERE name = $1";
            sql.execute(lives, &[machines.name.as_str().into(), host.as_str().into(), now.into()])?;
            sql.execute("DELETE FROM said WHERE at < $1", &[now.saturating_sub(SAID_S).into()])?;
            Ok(())
        })
        .await
    }
}

fn newest(sql: &mut dyn Sql) -> Result<u64, SqlError> {
    Ok(sql::first(sql, "SELECT COALESCE(MAX(id), 0) FROM event", &[], |row| row.uint(0))?.unwrap_or(0))
}

fn changed(sql: &mut dyn Sql, machine: &str) -> Result<HashMap<&'static str, u64>, SqlError> {
    let query = "SELECT area, SUM(version) FROM changed WHERE machine <> $1 GROUP BY area";
    let mut found = HashMap::new();
    sql.rows(query, &[machine.into()], &mut |row| {
        let area = row.text(0)?;
        if let Some(area) = Area::ALL.into_iter().find(|known| known.as_str() == area) {
            found.insert(area.as_str(), row.uint(1)?);
        }
        Ok(())
    })?;
    Ok(found)
}

#[cfg(feature = "postgres")]
const NUMBER: &str = "SELECT number FROM machine WHERE name = $1";
/// After the last that was seen; those that are none of an address need not be read, but for the breakers.
const OTHERS: &str = "$1 < id AND id <= $2 AND (tag IS NOT NULL OR subject = 'site')";
const TAGS: &str = "SELECT DISTINCT tag FROM event WHERE $1 < id AND id <= $2 AND tag IS NOT NULL";
const SAID: &str = "SELECT id, kind, body FROM said WHERE $1 < id AND machine <> $2 ORDER BY id LIMIT $3";
/// What is read at once of what others say; the rest comes at the next look.
const SAID_AT_ONCE: u64 = 500;
/// How long what was said can be heard, in seconds: a machine that is away for longer reads everything at its start.
const SAID_S: u64 = 600;
/// A machine has numbers for a million million mails.
const MAILS_BITS: u32 = 40;

#[cfg(feature = "postgres")]
#[cfg(test)]
mod tests {
    use sm2tp_federation::tags::KeyId;
    use sm2tp_proto::Address;

    use super::*;
    use crate::ledger::Subject;
    use crate::testing::{TempDir, cluster};

    const NOW: u64 = 1_800_000_000;

    fn open(dir: &TempDir, machine: &str) -> Ledger {
        Ledger::open_shared(&cluster::shared(dir.path(), machine)).unwrap()
    }

    fn tag(n: u8) -> (KeyId, Tag) {
        (KeyId([1; 8]), Tag([n; 16]))
    }

    fn event(kind: &str, n: u8) -> Event {
        Event { recipient: Some(tag(n)), domain: Some("x.example".into()), ..Event::new(NOW, Subject::Recipient, kind) }
    }

    #[test]
    fn a_statement_says_what_others_must_read_again() {
        let of = |sql| Area::of(sql).map(Area::as_str);
        assert_eq!(of("INSERT INTO org (name) VALUES ($1)"), Some("accounts"));
        assert_eq!(of("DELETE FROM token WHERE id = $1"), Some("tokens"));
        assert_eq!(of("UPDATE peer SET read_at = $2, read_to = $3 WHERE node = $1"), None);
        assert_eq!(of("UPDATE peer SET state = 'accepted' WHERE node = $1"), Some("federation"));
        assert_eq!(of("DELETE FROM recipient"), Some("views"));
        assert_eq!(of("DELETE FROM recipient WHERE tag = $1"), None);
        assert_eq!(of("UPDATE webhook SET waiting = waiting - 1 WHERE id = $1 AND 0 < waiting"), None);
        assert_eq!(of("UPDATE webhook SET gone = 1 WHERE id = $1"), Some("webhooks"));
        assert_eq!(of("UPDATE webhook SET waiting = waiting + $2, gone = 0 WHERE id = $1"), Some("webhooks"));
        assert_eq!(of("SELECT name FROM org"), None);
        assert_eq!(of("INSERT INTO organ (name) VALUES ($1)"), None);
    }

    #[tokio::test]
    async fn what_one_machine_writes_the_others_know_and_hear() {
        let dir = TempDir::quick();
        let (one, other) = (open(&dir, "one"), open(&dir, "other"));
        assert_eq!((one.mail_base(), other.mail_base()), (0, 1 << MAILS_BITS));
        one.append(vec![event("delivered", 1), event("suppress", 2)]).await.unwrap();
        assert!(other.views().evidence(&tag(1).1).is_none());
        let news = other.news(NOW).await.unwrap();
        assert_eq!((news.areas.len(), news.said.len()), (0, 0));
        assert_eq!(other.views().evidence(&tag(1).1).unwrap().delivered_at, NOW);
        assert_eq!(other.views().recipient(&[tag(2).1], "asso"), one.views().recipient(&[tag(2).1], "asso"));
        // Before it writes itself, each has what the others wrote.
        other.append(vec![event("unsuppress", 2)]).await.unwrap();
        one.append(vec![event("delivered", 3)]).await.unwrap();
        assert!(one.views().recipient(&[tag(2).1], "asso").node.suppressed.is_empty());

        one.write(|sql| Ok(sql.execute("DELETE FROM org WHERE name = 'nobody'", &[])?)).await.unwrap();
        let said = Said { kind: "a".into(), body: "b".into() };
        one.say(vec![said.clone()], NOW).await.unwrap();
        let news = other.news(NOW).await.unwrap();
        assert_eq!((news.areas, news.said), ([Area::Accounts].into(), vec![said]));
        let news = (one.news(NOW).await.unwrap(), other.news(NOW).await.unwrap());
        assert!(news.0.areas.is_empty() && news.0.said.is_empty() && news.1.areas.is_empty() && news.1.said.is_empty());
        // Views that were made again on one are read again on the others.
        one.rebuild().await.unwrap();
        assert_eq!(other.news(NOW).await.unwrap().areas, [Area::Views].into());
        assert_eq!(other.views().len(), one.views().len());

        // Machines that began later know the same.
        let third = open(&dir, "third");
        assert_eq!(third.mail_base(), 2 << MAILS_BITS);
        assert_eq!(third.views().len(), other.views().len());
        // Whoever asked first leads, and when it is gone another one.
        assert_eq!((one.leads(), other.leads(), third.leads()), (false, true, false));
        drop(other);
        while !one.leads() {
            one.news(NOW).await.unwrap();
        }
    }

    #[tokio::test]
    async fn two_machines_that_count_at_the_same_time_lose_nothing() {
        let dir = TempDir::quick();
        let (one, other) = (open(&dir, "one"), open(&dir, "other"));
        let count = async |ledger: &Ledger| {
            for n in 0..40 {
                ledger.append(vec![event("delivered", n % 3), event("soft", 7)]).await.unwrap();
            }
        };
        tokio::join!(count(&one), count(&other));
        let query = "SELECT SUM(delivered), SUM(soft) FROM recipient";
        let found = one.read(move |sql| Ok(sql::first(sql, query, &[], |row| Ok((row.uint(0)?, row.uint(1)?)))?));
        assert_eq!(found.await.unwrap(), Some((80, 80)));
        let query = "SELECT COUNT(*) FROM event";
        let found = other.read(move |sql| Ok(sql::first(sql, query, &[], |row| row.uint(0))?));
        assert_eq!(found.await.unwrap(), Some(160));
        one.news(NOW).await.unwrap();
        other.news(NOW).await.unwrap();
        assert_eq!(one.views().evidence(&tag(7).1), other.views().evidence(&tag(7).1));
    }

    #[tokio::test]
    async fn a_newer_format_is_refused_with_a_sentence() {
        let dir = TempDir::quick();
        let ledger = open(&dir, "one");
        ledger.write(|sql| Ok(sql.execute("UPDATE format SET format = format + 1", &[])?)).await.unwrap();
        drop(ledger);
        let refused = Ledger::open_shared(&cluster::shared(dir.path(), "one")).unwrap_err().to_string();
        assert!(refused.contains("install the version that wrote it"), "{refused}");
    }

    #[tokio::test]
    async fn texts_are_kept_as_they_are_but_for_zeros_and_no_address_is_in_what_is_shared() {
        let dir = TempDir::quick();
        let ledger = open(&dir, "one");
        let jean = Address::parse("jean@x.example").unwrap();
        let note = "é\0\u{1f600}' -- $1";
        ledger.append(vec![Event::decided("suppress", &jean, tag(9), Some(note), NOW)]).await.unwrap();
        let query = "SELECT note FROM event";
        let found = ledger.read(move |sql| Ok(sql::first(sql, query, &[], |row| row.text(0).map(str::to_owned))?));
        assert_eq!(found.await.unwrap().as_deref(), Some("é\u{fffd}\u{1f600}' -- $1"));
    }
}
