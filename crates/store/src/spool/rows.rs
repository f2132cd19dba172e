//! The queue's rows in SQLite: which mail waits for whom, and what the ledger has not heard yet.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};
use sm2tp_proto::smtp::{MailOptions, RcptOptions};
use sm2tp_proto::{Address, Domain};

use super::bodies::{BodyAt, End, Removal};
use super::mail::{Lane, Mail, Queued, Recipient, SlowSender, Stub};
use super::{Filter, Listed, Spool, SpoolError};
use crate::told::Told;

/// Opens the database file, makes the tables, and refuses a format from the future.
pub(super) fn open(path: &Path) -> Result<Connection, SpoolError> {
    let connection = Connection::open(path)?;
    // FULL: a commit waits for the disk, so that a mark is never ahead of it. WAL: readers do not stop the writer.
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000; \
         PRAGMA cache_size = -16000; PRAGMA secure_delete = FAST;",
    )?;
    connection.set_prepared_statement_cache_capacity(64);
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if FORMAT < version {
        return Err(SpoolError::Newer { found: version, known: FORMAT });
    }
    migrate(&connection, version)?;
    Ok(connection)
}

/// Brings the tables to [`FORMAT`] in one transaction: a crash in the middle leaves the old format, which opens again.
fn migrate(connection: &Connection, version: i64) -> Result<(), SpoolError> {
    let transaction = connection.unchecked_transaction()?;
    match version {
        0 => transaction.execute_batch(SCHEMA)?,
        1 => transaction.execute_batch(FROM_1_TO_2)?,
        2 => {}
        _ => return Ok(()),
    }
    transaction.pragma_update(None, "user_version", FORMAT)?;
    transaction.commit()?;
    Ok(())
}

impl Spool {
    /// The name of the spool in `dir`, whether a node works in it or not.
    ///
    /// # Errors
    /// [`SpoolError`] where there is none.
    pub fn name_of(dir: &Path) -> Result<String, SpoolError> {
        let reader = open_reader(&dir.join("queue.sqlite"))?;
        Ok(reader.query_row("SELECT value FROM meta WHERE key = 'name'", [], |row| row.get(0))?)
    }
}

/// Opens it for reading beside the writer.
pub(super) fn open_reader(path: &Path) -> Result<Connection, SpoolError> {
    let connection = Connection::open(path)?;
    connection.execute_batch("PRAGMA busy_timeout = 5000; PRAGMA query_only = ON;")?;
    Ok(connection)
}

/// The name of this spool, made once: with it the ledger knows which outbox it has read how far.
pub(super) fn name(connection: &Connection, fresh: &str) -> Result<String, SpoolError> {
    connection.execute("INSERT OR IGNORE INTO meta (key, value) VALUES ('name', ?1)", [fresh])?;
    Ok(connection.query_row("SELECT value FROM meta WHERE key = 'name'", [], |row| row.get(0))?)
}

/// How far the rows are: what the spool files say from there on is not in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub end: End,
    /// Above every mail number that was ever used, so that a report about an old mail never meets a new one.
    pub mail: u64,
    /// Above every number that the outbox ever gave, so that the ledger never skips what it has not.
    pub told: u64,
}

/// None: the rows are of a time when they were all there was to know.
pub(super) fn mark(connection: &Connection) -> Result<Option<Mark>, SpoolError> {
    let text: Option<String> =
        connection.query_row("SELECT value FROM meta WHERE key = 'mark'", [], |row| row.get(0)).optional()?;
    let Some(text) = text else { return Ok(None) };
    let numbers: Vec<u64> = text.split(' ').filter_map(|number| number.parse().ok()).collect();
    match numbers[..] {
        [segment, offset, group, mail, told] => Ok(Some(Mark { end: End { segment, offset, group }, mail, told })),
        _ => Err(SpoolError::Stored(format!("the mark of the rows is {text:?}"))),
    }
}

/// The numbers of a spool without mark.
pub(super) fn used(connection: &Connection, table: &str) -> Result<u64, SpoolError> {
    let used: Option<i64> = connection
        .query_row("SELECT seq FROM sqlite_sequence WHERE name = ?1", [table], |row| row.get(0))
        .optional()?;
    Ok(used.unwrap_or(0).unsigned_abs())
}

pub(super) fn remember(connection: &Connection, mark: Mark) -> Result<(), SpoolError> {
    let Mark { end: End { segment, offset, group }, mail, told } = mark;
    connection
        .prepare_cached("INSERT OR REPLACE INTO meta (key, value) VALUES ('mark', ?1)")?
        .execute([format!("{segment} {offset} {group} {mail} {told}")])?;
    for (table, next) in [("mail", mail), ("outbox", told)] {
        remember_used(connection, table, next.saturating_sub(1))?;
    }
    Ok(())
}

/// Keeps the numbers a second time, for a salvage that has lost the mark: most of what used them never was a row.
pub(super) fn remember_used(connection: &Connection, table: &str, last: u64) -> Result<(), SpoolError> {
    let changed = connection
        .prepare_cached("UPDATE sqlite_sequence SET seq = max(seq, ?2) WHERE name = ?1")?
        .execute(params![table, last])?;
    if changed == 0 {
        connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?1, ?2)", params![table, last])?;
    }
    Ok(())
}

pub(super) fn insert<'a>(
    connection: &Connection,
    mail: &Mail,
    body: BodyAt,
    recipients: impl Iterator<Item = &'a Recipient>,
) -> Result<(), SpoolError> {
    connection.prepare_cached(INSERT_MAIL)?.execute(params![
        mail.id,
        &*mail.org,
        mail.login.as_deref(),
        mail.stream.as_str(),
        mail.mail_from.as_ref().map(Address::clear),
        mail.message_id,
        mail.received_at,
        body.segment,
        body.offset,
        body.len,
        mail.is_report,
        mail.options.stored(),
    ])?;
    let mut statement = connection.prepare_cached(INSERT_RCPT)?;
    for recipient in recipients {
        statement.execute(params![
            mail.id,
            recipient.index,
            recipient.address.clear(),
            recipient.address.domain().as_str(),
            recipient.lane.as_str(),
            recipient.attempts,
            recipient.next_at,
            recipient.note,
            recipient.options.stored(),
            recipient.delay_told,
        ])?;
    }
    Ok(())
}

/// Whether this recipient still waits; whatever else its row says.
pub(super) fn is_there(connection: &Connection, mail: u64, index: u32) -> Result<bool, SpoolError> {
    let found = connection
        .prepare_cached("SELECT 1 FROM rcpt WHERE mail = ?1 AND idx = ?2")?
        .query_row(params![mail, index], |_| Ok(()))
        .optional()?;
    Ok(found.is_some())
}

pub(super) fn tell(connection: &Connection, number: u64, told: &Told) -> Result<(), SpoolError> {
    let json = serde_json::to_string(told).map_err(|error| SpoolError::Stored(error.to_string()))?;
    connection.prepare_cached("INSERT INTO outbox (id, told) VALUES (?1, ?2)")?.execute(params![number, json])?;
    Ok(())
}

/// Removes a recipient; answers with the place of the body when it was the mail's last one, `None` while others are
/// left, and an error of its own when the row is not there (done twice).
pub(super) fn done(connection: &Connection, mail: u64, index: u32) -> Result<Option<BodyAt>, SpoolError> {
    let gone =
        connection.prepare_cached("DELETE FROM rcpt WHERE mail = ?1 AND idx = ?2")?.execute(params![mail, index])?;
    if gone == 0 {
        return Err(SpoolError::NotQueued { mail });
    }
    let left = connection
        .prepare_cached("SELECT 1 FROM rcpt WHERE mail = ?1 LIMIT 1")?
        .query_row([mail], |_| Ok(()))
        .optional()?;
    if left.is_some() {
        return Ok(None);
    }
    let at = match body_at(connection, mail) {
        // A damaged row must be possible to drop; its file goes at the next start.
        Err(error) if error.is_damage() => None,
        at => at?,
    };
    connection.prepare_cached("DELETE FROM mail WHERE id = ?1")?.execute([mail])?;
    Ok(at)
}

pub(super) fn deferred(
    connection: &Connection,
    mail: u64,
    index: u32,
    attempts: u32,
    next_at: u64,
    note: &str,
) -> Result<(), SpoolError> {
    connection
        .prepare_cached("UPDATE rcpt SET attempts = ?3, next_at = ?4, note = ?5 WHERE mail = ?1 AND idx = ?2")?
        .execute(params![mail, index, attempts, next_at, note])?;
    Ok(())
}

/// Remembers that the sender was told of the delay.
pub(super) fn delay_told(connection: &Connection, mail: u64, index: u32) -> Result<(), SpoolError> {
    connection
        .prepare_cached("UPDATE rcpt SET delay_told = 1 WHERE mail = ?1 AND idx = ?2")?
        .execute(params![mail, index])?;
    Ok(())
}

pub(super) fn moved(
    connection: &Connection,
    mail: u64,
    index: u32,
    lane: Lane,
    next_at: u64,
    note: Option<&str>,
) -> Result<(), SpoolError> {
    connection
        .prepare_cached(
            "UPDATE rcpt SET lane = ?3, next_at = ?4, note = COALESCE(?5, note) WHERE mail = ?1 AND idx = ?2",
        )?
        .execute(params![mail, index, lane.as_str(), next_at, note])?;
    Ok(())
}

pub(super) fn body_at(connection: &Connection, mail: u64) -> Result<Option<BodyAt>, SpoolError> {
    Ok(connection
        .prepare_cached("SELECT segment, offset, octets FROM mail WHERE id = ?1")?
        .query_row([mail], place)
        .optional()?)
}

/// Where every queued body lies; and whether files may be removed, which needs all rows to be readable.
pub(super) fn bodies(connection: &Connection) -> Result<(Vec<BodyAt>, Removal), SpoolError> {
    let mut statement = connection.prepare("SELECT segment, offset, octets, id FROM mail")?;
    let (mut bodies, mut removal) = (Vec::new(), Removal::Empty);
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        match place(row) {
            Ok(at) => bodies.push(at),
            Err(error) => {
                left_aside("mail", row, 3, &error);
                removal = Removal::Never;
            }
        }
    }
    Ok((bodies, removal))
}

/// The recipients of the mails behind `after` and up to `up_to`, in brief, of at most `mails_max` mails, and the last of
/// these mails; none where there are no more. One bad row must not keep the others from being served; it stays where
/// it is for a person to look at.
pub(super) fn stubs(
    connection: &Connection,
    after: u64,
    up_to: u64,
    mails_max: usize,
) -> Result<Option<(u64, Vec<Stub>)>, SpoolError> {
    let last: Option<u64> = connection
        .prepare_cached("SELECT MAX(id) FROM (SELECT id FROM mail WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT ?3)")?
        .query_row(params![after, up_to, mails_max], |row| row.get(0))?;
    let Some(last) = last else { return Ok(None) };
    let mut statement = connection.prepare_cached(
        "SELECT r.mail, r.idx, m.org, m.stream, r.domain, r.lane, r.next_at, m.octets, \
         CASE r.lane WHEN 'slow' THEN m.login END, CASE r.lane WHEN 'slow' THEN m.mail_from END, m.options FROM rcpt r \
         JOIN mail m ON m.id = r.mail WHERE r.mail > ?1 AND r.mail <= ?2 ORDER BY r.mail, r.idx",
    )?;
    let mut rows = statement.query([after, last])?;
    let mut stubs = Vec::new();
    let mut org: Arc<str> = Arc::from("");
    while let Some(row) = rows.next()? {
        match stub(row, &org) {
            Ok(stub) => {
                org = stub.org.clone();
                stubs.push(stub);
            }
            Err(error) => tracing::error!(%error, "a queue row cannot be read and is left aside"),
        }
    }
    Ok(Some((last, stubs)))
}

/// `last_org` is shared where the next row has the same one: most have.
fn stub(row: &Row<'_>, last_org: &Arc<str>) -> rusqlite::Result<Stub> {
    let org: String = row.get(2)?;
    let lane = row.get::<_, String>(5)?.parse().map_err(|error| unreadable(5, error))?;
    Ok(Stub {
        mail: row.get(0)?,
        index: row.get(1)?,
        org: if **last_org == *org { last_org.clone() } else { org.into() },
        stream: row.get::<_, String>(3)?.parse().map_err(|error| unreadable(3, error))?,
        domain: Domain::parse(&row.get::<_, String>(4)?).map_err(|error| unreadable(4, error))?,
        lane,
        next_at: row.get(6)?,
        octets: row.get(7)?,
        slow: (lane == Lane::Slow).then(|| slow_sender(row)).transpose()?,
        tls_waived: options(row, 10)?.tls_waived,
    })
}

fn slow_sender(row: &Row<'_>) -> rusqlite::Result<SlowSender> {
    let (login, mail_from): (Option<String>, Option<String>) = (row.get(8)?, row.get(9)?);
    let mail_from = mail_from.map(|text| Address::parse(&text)).transpose().map_err(|error| unreadable(9, error))?;
    Ok(SlowSender::of(login.as_deref(), mail_from.as_ref()))
}

/// The mails whose bodies lie in one file.
pub(super) fn in_segment(connection: &Connection, segment: u64) -> Result<Vec<(u64, BodyAt)>, SpoolError> {
    let mut statement = connection.prepare_cached("SELECT segment, offset, octets, id FROM mail WHERE segment = ?1")?;
    let rows = statement.query_map([segment], |row| Ok((row.get(3)?, place(row)?)))?;
    // A row that cannot be read keeps its file, because nothing releases its body.
    Ok(rows.filter_map(Result::ok).collect())
}

pub(super) fn relocated(connection: &Connection, mail: u64, to: BodyAt) -> Result<(), SpoolError> {
    connection
        .prepare_cached("UPDATE mail SET segment = ?2, offset = ?3 WHERE id = ?1")?
        .execute(params![mail, to.segment, to.offset])?;
    Ok(())
}

/// One mail of the queue; or all of it, which is for small queues.
pub(super) fn load(connection: &Connection, only: Option<u64>) -> Result<Vec<Queued>, SpoolError> {
    let mut mails = BTreeMap::new();
    let mut statement = connection.prepare_cached(
        "SELECT id, org, login, stream, mail_from, message_id, received_at, octets, is_report, options FROM mail \
         WHERE ?1 IS NULL OR id = ?1",
    )?;
    let mut rows = statement.query([only])?;
    while let Some(row) = rows.next()? {
        match mail(row) {
            Ok(mail) => {
                mails.insert(mail.id, Queued { mail: Arc::new(mail), recipients: Vec::new() });
            }
            Err(error) => left_aside("mail", row, 0, &error),
        }
    }
    let mut statement = connection.prepare_cached(
        "SELECT mail, idx, address, lane, attempts, next_at, note, options, delay_told FROM rcpt WHERE ?1 IS NULL OR mail = ?1 \
         ORDER BY mail, idx",
    )?;
    let mut rows = statement.query([only])?;
    while let Some(row) = rows.next()? {
        match row.get::<_, u64>(0).and_then(|mail| Ok((mail, recipient(row)?))) {
            Ok((mail, recipient)) => {
                if let Some(queued) = mails.get_mut(&mail) {
                    queued.recipients.push(recipient);
                }
            }
            Err(error) => left_aside("recipient", row, 0, &error),
        }
    }
    Ok(mails.into_values().collect())
}

/// The oldest entries that the ledger has not taken.
#[derive(Default)]
pub(super) struct OutboxPage {
    /// With their numbers.
    pub entries: Vec<(u64, Told)>,
    /// The numbers of those that nobody can read.
    pub unreadable: Vec<u64>,
}

/// Those with numbers above `above` and below `below`.
pub(super) fn outbox(connection: &Connection, above: u64, below: u64, limit: usize) -> Result<OutboxPage, SpoolError> {
    let mut statement =
        connection.prepare_cached("SELECT id, told FROM outbox WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT ?3")?;
    let mut page = OutboxPage::default();
    let below = i64::try_from(below).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![above, below, limit])?;
    while let Some(row) = rows.next()? {
        let id = row.get(0)?;
        let text = row.get_ref(1)?.as_str().ok();
        match text.and_then(|text| serde_json::from_str(text).ok()) {
            Some(told) => page.entries.push((id, told)),
            None => page.unreadable.push(id),
        }
    }
    Ok(page)
}

/// Takes entries that nobody can read out of the way of the others; their octets stay for a person to look at.
pub(super) fn set_outbox_aside(connection: &Connection, ids: &[u64]) -> Result<(), SpoolError> {
    // Made when it is needed first: most spools never have it, and no format number depends on it.
    connection.execute_batch("CREATE TABLE IF NOT EXISTS aside (outbox INTEGER NOT NULL, octets BLOB)")?;
    for id in ids {
        connection.execute("INSERT INTO aside (outbox, octets) SELECT id, told FROM outbox WHERE id = ?1", [id])?;
        connection.execute("DELETE FROM outbox WHERE id = ?1", [id])?;
    }
    Ok(())
}

pub(super) fn outbox_taken(connection: &Connection, up_to: u64) -> Result<(), SpoolError> {
    connection.prepare_cached("DELETE FROM outbox WHERE id <= ?1")?.execute([up_to])?;
    Ok(())
}

/// A page of the queue, by mail and index.
pub(super) fn list(connection: &Connection, filter: &Filter) -> Result<Vec<Listed>, SpoolError> {
    let mut statement = connection.prepare_cached(
        "SELECT r.mail, r.idx, r.address, r.lane, r.attempts, r.next_at, r.note, r.options, r.delay_told, \
                m.id, m.org, m.login, m.stream, m.mail_from, m.message_id, m.received_at, m.octets, m.is_report, m.options \
         FROM rcpt r JOIN mail m ON m.id = r.mail \
         WHERE (r.mail, r.idx) > (?1, ?2) AND (?3 IS NULL OR r.domain = ?3) AND (?4 IS NULL OR m.org = ?4) \
           AND (?5 IS NULL OR r.lane = ?5) AND (?6 IS NULL OR substr(r.note, 1, length(?6)) = ?6) \
         ORDER BY r.mail, r.idx LIMIT ?7",
    )?;
    let (lane, (mail, index)) = (filter.lane.map(Lane::as_str), filter.after);
    let mut rows = statement.query(params![mail, index, filter.domain, filter.org, lane, filter.note, filter.limit])?;
    let mut page: Vec<Listed> = Vec::new();
    while let Some(row) = rows.next()? {
        match listed(row, page.last()) {
            Ok(entry) => page.push(entry),
            Err(error) => left_aside("recipient", row, 0, &error),
        }
    }
    Ok(page)
}

fn place(row: &Row<'_>) -> rusqlite::Result<BodyAt> {
    Ok(BodyAt { segment: row.get(0)?, offset: row.get(1)?, len: row.get(2)? })
}

fn mail(row: &Row<'_>) -> rusqlite::Result<Mail> {
    mail_at(row, 0)
}

/// A mail whose columns begin at `at`.
fn mail_at(row: &Row<'_>, at: usize) -> rusqlite::Result<Mail> {
    let mail_from = row.get::<_, Option<String>>(at + 4)?.map(|text| Address::parse(&text)).transpose();
    Ok(Mail {
        id: row.get(at)?,
        org: row.get::<_, String>(at + 1)?.into(),
        login: row.get::<_, Option<String>>(at + 2)?.map(Into::into),
        stream: row.get::<_, String>(at + 3)?.parse().map_err(|error| unreadable(at + 3, error))?,
        mail_from: mail_from.map_err(|error| unreadable(at + 4, error))?,
        message_id: row.get(at + 5)?,
        received_at: row.get(at + 6)?,
        octets: row.get(at + 7)?,
        is_report: row.get(at + 8)?,
        options: options(row, at + 9)?,
    })
}

fn options(row: &Row<'_>, at: usize) -> rusqlite::Result<MailOptions> {
    let text = row.get_ref(at)?.as_str_or_null().map_err(|error| unreadable(at, error))?;
    MailOptions::from_stored(text).map_err(|error| unreadable(at, error))
}

/// Recipients of one mail share it.
fn listed(row: &Row<'_>, before: Option<&Listed>) -> rusqlite::Result<Listed> {
    let recipient = recipient(row)?;
    let id: u64 = row.get(0)?;
    let shared = before.map(|before| &before.mail).filter(|mail| mail.id == id);
    Ok(Listed { mail: shared.map_or_else(|| mail_at(row, 9).map(Arc::new), |mail| Ok(mail.clone()))?, recipient })
}

fn recipient(row: &Row<'_>) -> rusqlite::Result<Recipient> {
    Ok(Recipient {
        index: row.get(1)?,
        address: Address::parse(&row.get::<_, String>(2)?).map_err(|error| unreadable(2, error))?,
        lane: row.get::<_, String>(3)?.parse().map_err(|error| unreadable(3, error))?,
        attempts: row.get(4)?,
        next_at: row.get(5)?,
        note: row.get(6)?,
        options: RcptOptions::from_stored(row.get_ref(7)?.as_str_or_null().map_err(|error| unreadable(7, error))?)
            .map_err(|error| unreadable(7, error))?,
        delay_told: row.get(8)?,
    })
}

/// One bad row must not keep the others from being served; it stays where it is for a person to look at.
fn left_aside(what: &str, row: &Row<'_>, id_column: usize, error: &rusqlite::Error) {
    let mail: Option<i64> = row.get(id_column).ok();
    tracing::error!(mail, %error, "a {what} row of the queue cannot be read: it is left aside, the others are served");
}

fn unreadable(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
}

const INSERT_MAIL: &str = "INSERT INTO mail \
    (id, org, login, stream, mail_from, message_id, received_at, segment, offset, octets, is_report, options) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
const INSERT_RCPT: &str = "INSERT INTO rcpt \
    (mail, idx, address, domain, lane, attempts, next_at, note, options, delay_told) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";

/// Version of the tables below; a newer one is refused, an older one is migrated.
/// 3: the rows are behind the spool files, from the mark in `meta` on; a version that does not know of it would lose mail.
const FORMAT: i64 = 3;

/// `options` holds ESMTP parameters as they are written behind MAIL and RCPT, NULL where nothing was asked.
const FROM_1_TO_2: &str = "
ALTER TABLE mail ADD COLUMN options TEXT;
ALTER TABLE rcpt ADD COLUMN options TEXT;
ALTER TABLE rcpt ADD COLUMN delay_told INTEGER NOT NULL DEFAULT 0;
";

/// AUTOINCREMENT kept the highest number ever used, before there was a mark.
const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS mail (
    id INTEGER PRIMARY KEY AUTOINCREMENT, org TEXT NOT NULL, login TEXT, stream TEXT NOT NULL, mail_from TEXT,
    message_id TEXT, received_at INTEGER NOT NULL, segment INTEGER NOT NULL, offset INTEGER NOT NULL,
    octets INTEGER NOT NULL, is_report INTEGER NOT NULL, options TEXT);
CREATE TABLE IF NOT EXISTS rcpt (
    mail INTEGER NOT NULL, idx INTEGER NOT NULL, address TEXT NOT NULL, domain TEXT NOT NULL, lane TEXT NOT NULL,
    attempts INTEGER NOT NULL, next_at INTEGER NOT NULL, note TEXT, options TEXT,
    delay_told INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (mail, idx)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outbox (id INTEGER PRIMARY KEY AUTOINCREMENT, told TEXT NOT NULL);
";
