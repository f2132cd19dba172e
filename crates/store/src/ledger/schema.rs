//! Table: the ledger's tables and their versions.

use rusqlite::Connection;

use crate::sql::SqlError;

/// Makes the tables of a new file, or brings an older one up.
///
/// Answers whether the views must be made again: an older format had not all of them.
///
/// # Errors
/// [`SqlError::Newer`] where the file was written by a newer version.
pub(super) fn prepare(connection: &Connection) -> Result<bool, SqlError> {
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if FORMAT < found {
        return Err(SqlError::Newer { found, known: FORMAT });
    }
    // One transaction: a crash in the middle leaves the old format, which opens again.
    let transaction = connection.unchecked_transaction()?;
    // First what an older file has; a new one gets all columns at once.
    let steps = if found == 0 { &[] } else { MIGRATIONS.get(usize::try_from(found - 1).unwrap_or(0)..).unwrap_or(&[]) };
    for step in steps {
        transaction.execute_batch(step)?;
    }
    for tables in [EVENTS, VIEWS, KEPT, PERSONS, ALERTS, WATCH, AUDIT, TOKENS, WEBHOOKS, FEDERATION] {
        transaction.execute_batch(tables)?;
    }
    transaction.pragma_update(None, "user_version", FORMAT)?;
    transaction.commit()?;
    Ok((1..VIEWS_SINCE).contains(&found))
}

/// The tables of every view: what is rebuilt from the events (I3).
pub(super) const VIEW_TABLES: [&str; 7] =
    ["breaker", "recipient", "listed", "counter", "figure", "figure_names", "spared"];

/// 2: logins have keys for SCRAM; there are allowances. 3: the send log names the exit.
/// 4: when a peer last answered. 5: who gave an answer. 6: the send log tells how an answer was understood, and by which
/// rules. 7: returns, and what orgs want of them. 8: reports are read again too; what strangers bring is a tally.
/// 9: the days of soft failures, and how orgs have suppression.
/// 10: incidents, and messages about them.
/// 11: who was asked for a confirmation. 12: events name the exit; more is counted.
/// 13: which list evidence was imported from. 14: the memories of senders.
/// 15: what became of canaries, and whom other nodes spared us.
/// 16: how origins agree with this node, hours of outages, segments whose bodies were not taken, how far peers are.
/// 17: one table of addresses instead of two.
/// 18: who changed what.
/// 19: persons who use the pages, and their sessions.
/// 20: tokens of programs, and requests that are done once.
/// 21: records that their origins asked to erase.
/// 22: webhooks of organisations.
const FORMAT: i64 = 22;

/// The format that has all views of today.
const VIEWS_SINCE: i64 = 17;

/// From each format to the next, beginning with the first.
const MIGRATIONS: [&str; 21] = [
    "ALTER TABLE login ADD COLUMN scram TEXT;",
    "ALTER TABLE send_log ADD COLUMN exit TEXT;",
    // A try without trouble was answered; of the others it is not known.
    "ALTER TABLE peer ADD COLUMN answered_at INTEGER;
     UPDATE peer SET answered_at = polled_at WHERE trouble IS NULL;",
    "ALTER TABLE event ADD COLUMN said_by TEXT;
     ALTER TABLE recipient ADD COLUMN said_by TEXT;",
    "ALTER TABLE send_log ADD COLUMN sub TEXT; ALTER TABLE send_log ADD COLUMN fate TEXT;
     ALTER TABLE send_log ADD COLUMN strength TEXT; ALTER TABLE send_log ADD COLUMN expired INTEGER;
     ALTER TABLE send_log ADD COLUMN provider TEXT; ALTER TABLE send_log ADD COLUMN rules TEXT;",
    // Two tables, which are made below.
    "",
    "ALTER TABLE send_log ADD COLUMN weakened INTEGER;",
    // What is not known is put together from what there was (`event::evidence`).
    "ALTER TABLE recipient ADD COLUMN soft_days INTEGER NOT NULL DEFAULT 0;",
    // Four tables, which are made below.
    "",
    // A table, which is made below.
    "",
    // Another view takes its place.
    "ALTER TABLE event ADD COLUMN exit TEXT; DROP TABLE IF EXISTS domain_counter;",
    "ALTER TABLE recipient ADD COLUMN hard_imported TEXT;",
    // A table, which is made below.
    "",
    // Two tables, which are made below.
    "",
    "ALTER TABLE segment ADD COLUMN parked TEXT; ALTER TABLE peer ADD COLUMN caught_up_at INTEGER;
     ALTER TABLE peer ADD COLUMN read_at INTEGER; ALTER TABLE peer ADD COLUMN read_to INTEGER;",
    // Another view takes its place.
    "ALTER TABLE recipient ADD COLUMN delivered INTEGER NOT NULL DEFAULT 0;
     ALTER TABLE recipient ADD COLUMN hard INTEGER NOT NULL DEFAULT 0;
     ALTER TABLE recipient ADD COLUMN soft INTEGER NOT NULL DEFAULT 0;
     ALTER TABLE recipient ADD COLUMN refused INTEGER NOT NULL DEFAULT 0;
     ALTER TABLE recipient ADD COLUMN complained INTEGER NOT NULL DEFAULT 0;
     DROP TABLE IF EXISTS recipient_figure;",
    // A table, which is made below.
    "",
    // Two tables, which are made below.
    "",
    // Two tables, which are made below.
    "",
    // A table, which is made below.
    "",
    // Two tables, which are made below.
    "",
];

/// The ledger itself: appended, never changed (I3). An event about a recipient holds no sender, one about a sender no
/// recipient (R11); the times of sender and site events are cut to the hour so that they do not pair up by time. What
/// strangers can bring about as often as they like is no line but a number in `tally` (decision 0032).
const EVENTS: &str = "
CREATE TABLE IF NOT EXISTS event (
    id INTEGER PRIMARY KEY, at INTEGER NOT NULL, subject TEXT NOT NULL, kind TEXT NOT NULL, cause TEXT, sub TEXT,
    stream TEXT, count INTEGER NOT NULL, key_id BLOB, tag BLOB, domain TEXT, org TEXT, login TEXT, provider TEXT,
    code INTEGER, enhanced TEXT, strength TEXT, rule TEXT, note TEXT, said_by TEXT, exit TEXT);
CREATE TABLE IF NOT EXISTS tally (
    day INTEGER NOT NULL, org TEXT NOT NULL, login TEXT NOT NULL, stream TEXT NOT NULL, kind TEXT NOT NULL,
    cause TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (day, org, login, stream, kind, cause)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS read_to (source TEXT PRIMARY KEY, last INTEGER NOT NULL);
";

/// Views: whatever stands here can be rebuilt from `event`.
const VIEWS: &str = "
CREATE TABLE IF NOT EXISTS recipient (
    tag BLOB PRIMARY KEY, key_id BLOB NOT NULL, domain TEXT NOT NULL, delivered_at INTEGER NOT NULL,
    hard_first_at INTEGER NOT NULL, hard_at INTEGER NOT NULL, hard_strong INTEGER NOT NULL,
    hard_inactive INTEGER NOT NULL, hard_code INTEGER NOT NULL, hard_enhanced TEXT, soft_count INTEGER NOT NULL,
    soft_first_at INTEGER NOT NULL, soft_at INTEGER NOT NULL, reply TEXT, rule TEXT, said_by TEXT,
    soft_days INTEGER NOT NULL DEFAULT 0, hard_imported TEXT, delivered INTEGER NOT NULL DEFAULT 0,
    hard INTEGER NOT NULL DEFAULT 0, soft INTEGER NOT NULL DEFAULT 0, refused INTEGER NOT NULL DEFAULT 0,
    complained INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS listed (
    tag BLOB NOT NULL, list TEXT NOT NULL, org TEXT NOT NULL, key_id BLOB NOT NULL, domain TEXT NOT NULL,
    at INTEGER NOT NULL, note TEXT, PRIMARY KEY (tag, list, org)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counter (
    hour INTEGER NOT NULL, org TEXT NOT NULL, login TEXT NOT NULL, stream TEXT NOT NULL, provider TEXT NOT NULL,
    kind TEXT NOT NULL, cause TEXT NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (hour, org, login, stream, provider, kind, cause)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS breaker (
    provider TEXT PRIMARY KEY, since INTEGER NOT NULL, until INTEGER NOT NULL, parked INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS figure (
    subject TEXT NOT NULL, name TEXT NOT NULL, hour INTEGER NOT NULL, part TEXT NOT NULL, kind TEXT NOT NULL,
    cause TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (subject, name, hour, part, kind, cause)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS figure_names (
    day INTEGER NOT NULL, subject TEXT NOT NULL, part TEXT NOT NULL, names INTEGER NOT NULL,
    PRIMARY KEY (day, subject, part)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS spared (tag BLOB PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
";

/// What is kept beside the ledger: the send log (the only place besides the queue with pairs in clear; goes with its
/// retention), replies that no rule knew (shapes, nobody in them), orgs and logins. `returned` holds what return tokens
/// stand for, sealed so that nobody without the token reads it (`docs/decisions/0027-return-tokens.md`); `redelivery` is of
/// mail that is still in the queue although a server may have it.
const KEPT: &str = "
CREATE TABLE IF NOT EXISTS send_log (
    id INTEGER PRIMARY KEY, at INTEGER NOT NULL, org TEXT NOT NULL, login TEXT, stream TEXT NOT NULL,
    mail INTEGER NOT NULL, message_id TEXT, mail_from TEXT, recipient TEXT, kind TEXT NOT NULL, mx TEXT, stage TEXT,
    code INTEGER, enhanced TEXT, text TEXT, cause TEXT, rule TEXT, exit TEXT, sub TEXT, fate TEXT, strength TEXT,
    expired INTEGER, provider TEXT, rules TEXT, weakened INTEGER);
CREATE INDEX IF NOT EXISTS send_log_at ON send_log (at);
CREATE INDEX IF NOT EXISTS send_log_recipient ON send_log (recipient);
CREATE INDEX IF NOT EXISTS send_log_accepted ON send_log (message_id) WHERE kind = 'accepted';
CREATE TABLE IF NOT EXISTS rolled (id INTEGER PRIMARY KEY, hours INTEGER NOT NULL, days INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS unknown_reply (
    shape TEXT PRIMARY KEY, count INTEGER NOT NULL, first_at INTEGER NOT NULL, last_at INTEGER NOT NULL, code INTEGER,
    enhanced TEXT, stage TEXT, provider TEXT, several INTEGER NOT NULL, tag TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS org (
    name TEXT PRIMARY KEY, domains TEXT NOT NULL, stream TEXT NOT NULL, added_at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS login (
    login TEXT PRIMARY KEY, org TEXT NOT NULL REFERENCES org (name) ON DELETE CASCADE, hash TEXT NOT NULL,
    stream TEXT, added_at INTEGER NOT NULL, scram TEXT);
CREATE TABLE IF NOT EXISTS allowance (
    kind TEXT NOT NULL, name TEXT NOT NULL, addresses TEXT NOT NULL, own_addresses_only INTEGER NOT NULL,
    message_size INTEGER, recipients INTEGER, rate_mails TEXT, rate_recipients TEXT, connections INTEGER,
    PRIMARY KEY (kind, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS org_returns (
    org TEXT PRIMARY KEY, return_path TEXT NOT NULL, unsubscribe TEXT NOT NULL, contact TEXT,
    noticed_at INTEGER NOT NULL, complaints INTEGER NOT NULL, optouts INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS org_suppression (org TEXT PRIMARY KEY, settings TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS confirmation (
    tag BLOB NOT NULL, at INTEGER NOT NULL, org TEXT NOT NULL, PRIMARY KEY (tag, at)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS returned (
    name BLOB PRIMARY KEY, day INTEGER NOT NULL, entry BLOB NOT NULL, bounced INTEGER NOT NULL,
    complained INTEGER NOT NULL, passed_on INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS returned_day ON returned (day);
CREATE TABLE IF NOT EXISTS canary (
    mail INTEGER NOT NULL, tag BLOB NOT NULL, at INTEGER NOT NULL, taken INTEGER NOT NULL,
    PRIMARY KEY (mail, tag)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS canary_waiting ON canary (mail) WHERE taken = 0;
CREATE TABLE IF NOT EXISTS redelivery (
    mail INTEGER NOT NULL, tag BLOB NOT NULL, delivery BLOB NOT NULL, day INTEGER NOT NULL,
    PRIMARY KEY (mail, tag)) WITHOUT ROWID;
";

/// Who uses the pages. `hash` is Argon2id's, `factor` a secret in base32 and `factor_step` the last half minute of which a code
/// was taken; the name of a session is the hash of what the browser has.
const PERSONS: &str = "
CREATE TABLE IF NOT EXISTS person (
    name TEXT PRIMARY KEY, role TEXT NOT NULL, org TEXT, hash TEXT NOT NULL, factor TEXT, factor_step INTEGER NOT NULL,
    added_at INTEGER NOT NULL, last_login_at INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS session (
    name BLOB PRIMARY KEY, person TEXT NOT NULL, began_at INTEGER NOT NULL, seen_at INTEGER NOT NULL) WITHOUT ROWID;
";

/// What a person is told of what goes wrong, and by which webhook (decision 0034); `incident` and `parts` are JSON.
/// `refused_exit` is what providers say of our ways out.
const ALERTS: &str = "
CREATE TABLE IF NOT EXISTS incident (key TEXT PRIMARY KEY, incident TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS alert (
    id INTEGER PRIMARY KEY, at INTEGER NOT NULL, parts TEXT NOT NULL, mailed INTEGER NOT NULL, test INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS alert_webhook (
    alert INTEGER NOT NULL, url TEXT NOT NULL, state TEXT NOT NULL, tries INTEGER NOT NULL, at INTEGER NOT NULL,
    why TEXT, PRIMARY KEY (alert, url)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS refused_exit (
    exit TEXT NOT NULL, provider TEXT NOT NULL, since INTEGER NOT NULL, last_at INTEGER NOT NULL,
    count INTEGER NOT NULL, text TEXT NOT NULL, sub TEXT, PRIMARY KEY (exit, provider)) WITHOUT ROWID;
";

/// What the sender watch remembers: of each sender, and under an empty name of all senders of an organisation together.
/// No view: only counts and filters are kept of what they were learned from.
const WATCH: &str = "
CREATE TABLE IF NOT EXISTS sender_watch (
    org TEXT NOT NULL, sender TEXT NOT NULL, memory BLOB NOT NULL, PRIMARY KEY (org, sender)) WITHOUT ROWID;
";

/// What people and programs changed (`crate::audit`).
const AUDIT: &str = "
CREATE TABLE IF NOT EXISTS audit (
    id INTEGER PRIMARY KEY, at INTEGER NOT NULL, by_kind TEXT NOT NULL, by_name TEXT NOT NULL, what TEXT NOT NULL,
    org TEXT, about TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS audit_at ON audit (at);
CREATE INDEX IF NOT EXISTS audit_org ON audit (org, id);
";

/// Programs that come over HTTP (`crate::tokens`, `crate::idempotency`): hashes of secrets, keys and requests.
const TOKENS: &str = "
CREATE TABLE IF NOT EXISTS token (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, role TEXT NOT NULL, org TEXT, scopes TEXT NOT NULL, login TEXT,
    rate TEXT NOT NULL, made_at INTEGER NOT NULL, made_by TEXT NOT NULL, expires_at INTEGER, hash BLOB NOT NULL)
    WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS idempotency (
    token TEXT NOT NULL, key BLOB NOT NULL, request BLOB NOT NULL, at INTEGER NOT NULL, answer TEXT,
    PRIMARY KEY (token, key)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS idempotency_at ON idempotency (at);
CREATE INDEX IF NOT EXISTS idempotency_token ON idempotency (token, at);
";

/// Programs of organisations that are told what became of their mail (`crate::webhooks`). Events name their recipient in clear
/// until they are taken, or a week after they were given up; `until` is the end of the state that they are in.
const WEBHOOKS: &str = "
CREATE TABLE IF NOT EXISTS webhook (
    id TEXT PRIMARY KEY, org TEXT NOT NULL, url TEXT NOT NULL, events TEXT NOT NULL, secret BLOB NOT NULL,
    made_at INTEGER NOT NULL, waiting INTEGER NOT NULL, lost INTEGER NOT NULL, gone INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS webhook_event (
    id INTEGER PRIMARY KEY AUTOINCREMENT, webhook TEXT NOT NULL, at INTEGER NOT NULL, event TEXT NOT NULL,
    state TEXT NOT NULL, tries INTEGER NOT NULL, next_at INTEGER NOT NULL, until INTEGER NOT NULL, why TEXT);
CREATE INDEX IF NOT EXISTS webhook_event_due ON webhook_event (webhook, state, next_at);
CREATE INDEX IF NOT EXISTS webhook_event_listed ON webhook_event (webhook, state, id);
CREATE INDEX IF NOT EXISTS webhook_event_until ON webhook_event (until);
";

/// What goes to and comes from other nodes. `publish` holds what waits for its hold-down, `pending` what waits for a
/// segment; `segment` names the files, and `erasure` what has to go from them and from the index.
const FEDERATION: &str = "
CREATE TABLE IF NOT EXISTS publish (
    id INTEGER PRIMARY KEY, key_id BLOB NOT NULL, tag BLOB NOT NULL, class INTEGER NOT NULL, at INTEGER NOT NULL,
    due INTEGER NOT NULL, record BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS publish_due ON publish (due);
CREATE INDEX IF NOT EXISTS publish_tag ON publish (tag);
CREATE TABLE IF NOT EXISTS published (
    tag BLOB NOT NULL, class INTEGER NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (tag, class)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pending (
    id INTEGER PRIMARY KEY, key_id BLOB NOT NULL, at INTEGER NOT NULL, record BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS segment (
    n INTEGER PRIMARY KEY, origin BLOB NOT NULL, epoch INTEGER NOT NULL, segno INTEGER NOT NULL, header BLOB NOT NULL,
    introducer BLOB, received_at INTEGER NOT NULL, parked TEXT, UNIQUE (origin, epoch, segno));
CREATE TABLE IF NOT EXISTS node (
    node BLOB PRIMARY KEY, seq INTEGER NOT NULL, descriptor TEXT NOT NULL, known_since INTEGER NOT NULL,
    introducer BLOB) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS peer (
    node BLOB PRIMARY KEY, url TEXT NOT NULL, name TEXT NOT NULL, state TEXT NOT NULL, read INTEGER NOT NULL,
    weight REAL NOT NULL, note TEXT, added_at INTEGER NOT NULL, cursor TEXT, polled_at INTEGER, trouble TEXT,
    request_id TEXT, answered_at INTEGER, caught_up_at INTEGER, read_at INTEGER, read_to INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS judged (
    origin BLOB PRIMARY KEY, contradicted INTEGER NOT NULL DEFAULT 0, agreed INTEGER NOT NULL DEFAULT 0,
    quarantined_since INTEGER, proof BLOB, epoch_min INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS frozen_hour (
    provider INTEGER NOT NULL, hour INTEGER NOT NULL, PRIMARY KEY (provider, hour)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS erasure (
    origin BLOB NOT NULL, epoch INTEGER NOT NULL, sequence INTEGER NOT NULL,
    PRIMARY KEY (origin, epoch, sequence)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS setting (key TEXT PRIMARY KEY, value TEXT NOT NULL);
";

#[cfg(test)]
mod tests {
    use super::*;

    /// The views as they were in format 16, when addresses had two tables.
    fn views_before() -> String {
        let (before, rest) = VIEWS.split_once(", delivered INTEGER").unwrap();
        let (_, rest) = rest.split_once("complained INTEGER NOT NULL DEFAULT 0").unwrap();
        format!("{before}{rest}")
    }

    #[test]
    fn a_ledger_of_format_20_learns_what_is_to_be_erased() {
        let connection = Connection::open_in_memory().unwrap();
        prepare(&connection).unwrap();
        connection.execute_batch("DROP TABLE erasure; PRAGMA user_version = 20;").unwrap();
        for _ in 0..2 {
            assert!(!prepare(&connection).unwrap());
            connection.prepare("SELECT origin, epoch, sequence FROM erasure").unwrap();
        }
    }

    #[test]
    fn a_ledger_of_format_17_learns_who_changed_what_and_what_tokens_and_webhooks_are() {
        let connection = Connection::open_in_memory().unwrap();
        prepare(&connection).unwrap();
        let older = "DROP TABLE audit; DROP TABLE token; DROP TABLE idempotency; DROP TABLE webhook; \
            DROP TABLE webhook_event; \
            INSERT INTO setting (key, value) VALUES ('feed', 'x'); PRAGMA user_version = 17;";
        connection.execute_batch(older).unwrap();
        for _ in 0..2 {
            assert!(!prepare(&connection).unwrap());
            let of = |query: &str| connection.query_row(query, [], |row| row.get::<_, i64>(0)).unwrap();
            assert_eq!(
                (
                    of("SELECT COUNT(*) FROM audit, token, idempotency, webhook, webhook_event"),
                    of("SELECT COUNT(*) FROM setting")
                ),
                (0, 1)
            );
        }
    }

    /// As it was in format 15.
    fn federation_before() -> String {
        let before = FEDERATION.replace(", parked TEXT", "");
        before.replace(", caught_up_at INTEGER, read_at INTEGER, read_to INTEGER", "")
    }

    #[test]
    fn a_ledger_of_format_15_learns_how_origins_agree_and_keeps_its_peers() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(&(views_before() + &federation_before())).unwrap();
        let insert = "INSERT INTO peer (node, url, name, state, read, weight, added_at) VALUES \
            (x'01', '', 'B', 'accepted', 1, 1.0, 5); DROP TABLE judged; DROP TABLE frozen_hour; PRAGMA user_version = 15;";
        connection.execute_batch(insert).unwrap();
        for _ in 0..2 {
            prepare(&connection).unwrap();
            let of = |query: &str| connection.query_row(query, [], |row| row.get::<_, Option<i64>>(0)).unwrap();
            assert_eq!(of("SELECT read_to FROM peer WHERE name = 'B'"), None);
            assert_eq!(of("SELECT COUNT(*) FROM judged, frozen_hour"), Some(0));
            assert_eq!(of("SELECT COUNT(parked) FROM segment"), Some(0));
        }
    }

    #[test]
    fn a_ledger_of_format_7_learns_how_reports_were_weakened_which_exit_was_taken_and_keeps_its_lines() {
        let connection = Connection::open_in_memory().unwrap();
        let before = EVENTS.replace(", exit TEXT", "");
        let (before, _) = before.split_once("CREATE TABLE IF NOT EXISTS tally").unwrap();
        connection.execute_batch(before).unwrap();
        let views = views_before().replace(",\n    soft_days INTEGER NOT NULL DEFAULT 0, hard_imported TEXT", "");
        for tables in [&views, &federation_before(), &KEPT.replace(", weakened INTEGER", "")] {
            connection.execute_batch(tables).unwrap();
        }
        let insert = "INSERT INTO send_log (at, org, stream, mail, kind) VALUES (5, 'asso', 'bulk', 1, 'returned'); \
            DROP TABLE redelivery; PRAGMA user_version = 7;";
        connection.execute_batch(insert).unwrap();
        for _ in 0..2 {
            prepare(&connection).unwrap();
            let of = |query: &str| connection.query_row(query, [], |row| row.get::<_, Option<i64>>(0)).unwrap();
            assert_eq!(of("SELECT weakened FROM send_log"), None);
            assert_eq!(of("SELECT COUNT(exit) FROM event"), Some(0));
            assert_eq!(of("SELECT COUNT(hard_imported) FROM recipient"), Some(0));
            assert_eq!(of("SELECT COUNT(*) FROM tally, redelivery, sender_watch, canary, spared"), Some(0));
        }
    }

    #[test]
    fn a_ledger_of_format_9_learns_what_an_incident_is() {
        let connection = Connection::open_in_memory().unwrap();
        let views = views_before().replace(", hard_imported TEXT", "");
        for tables in [&EVENTS.replace(", exit TEXT", ""), &views, KEPT, &federation_before()] {
            connection.execute_batch(tables).unwrap();
        }
        connection.execute_batch("PRAGMA user_version = 9;").unwrap();
        for _ in 0..2 {
            prepare(&connection).unwrap();
            for table in ["incident", "alert", "alert_webhook", "refused_exit"] {
                connection.prepare(&format!("SELECT * FROM {table}")).unwrap();
            }
        }
    }

    #[test]
    fn a_ledger_of_format_3_learns_when_peers_answered_and_who_speaks() {
        let connection = Connection::open_in_memory().unwrap();
        for tables in [EVENTS, &views_before(), &federation_before()] {
            let before = tables.replace(", answered_at INTEGER", "").replace(", said_by TEXT", "");
            let before = before.replace(",\n    soft_days INTEGER NOT NULL DEFAULT 0", "");
            let before = before.replace(", exit TEXT", "").replace(", hard_imported TEXT", "");
            connection.execute_batch(&before).unwrap();
        }
        let (columns, rest) = KEPT.split_once(", sub TEXT").unwrap();
        let (_, rest) = rest.split_once("weakened INTEGER").unwrap();
        connection.execute_batch(&format!("{columns}{rest}")).unwrap();
        let insert = "INSERT INTO peer (node, url, name, state, read, weight, added_at, polled_at, trouble) VALUES \
            (x'01', '', '', 'accepted', 1, 1.0, 5, 70, NULL), (x'02', '', '', 'accepted', 1, 1.0, 5, 80, 'away'), \
            (x'03', '', '', 'invited', 1, 1.0, 5, NULL, NULL); PRAGMA user_version = 3;";
        connection.execute_batch(insert).unwrap();
        for _ in 0..2 {
            prepare(&connection).unwrap();
            let mut query = connection.prepare("SELECT answered_at FROM peer ORDER BY node").unwrap();
            let answered: Result<Vec<Option<i64>>, _> = query.query_map([], |row| row.get(0)).unwrap().collect();
            assert_eq!(answered.unwrap(), [Some(70), None, None]);
            for table in ["event", "recipient"] {
                connection.prepare(&format!("SELECT said_by FROM {table}")).unwrap();
            }
            connection.prepare("SELECT soft_days FROM recipient").unwrap();
            connection.prepare("SELECT hard_imported FROM recipient").unwrap();
        }
    }
}
