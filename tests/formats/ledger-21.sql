CREATE TABLE alert (
    id INTEGER PRIMARY KEY, at INTEGER NOT NULL, parts TEXT NOT NULL, mailed INTEGER NOT NULL, test INTEGER NOT NULL);
CREATE TABLE alert_webhook (
    alert INTEGER NOT NULL, url TEXT NOT NULL, state TEXT NOT NULL, tries INTEGER NOT NULL, at INTEGER NOT NULL,
    why TEXT, PRIMARY KEY (alert, url)) WITHOUT ROWID;
CREATE TABLE allowance (
    kind TEXT NOT NULL, name TEXT NOT NULL, addresses TEXT NOT NULL, own_addresses_only INTEGER NOT NULL,
    message_size INTEGER, recipients INTEGER, rate_mails TEXT, rate_recipients TEXT, connections INTEGER,
    PRIMARY KEY (kind, name)) WITHOUT ROWID;
CREATE TABLE audit (
    id INTEGER PRIMARY KEY, at INTEGER NOT NULL, by_kind TEXT NOT NULL, by_name TEXT NOT NULL, what TEXT NOT NULL,
    org TEXT, about TEXT NOT NULL);
CREATE TABLE breaker (
    provider TEXT PRIMARY KEY, since INTEGER NOT NULL, until INTEGER NOT NULL, parked INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE canary (
    mail INTEGER NOT NULL, tag BLOB NOT NULL, at INTEGER NOT NULL, taken INTEGER NOT NULL,
    PRIMARY KEY (mail, tag)) WITHOUT ROWID;
CREATE TABLE confirmation (
    tag BLOB NOT NULL, at INTEGER NOT NULL, org TEXT NOT NULL, PRIMARY KEY (tag, at)) WITHOUT ROWID;
CREATE TABLE counter (
    hour INTEGER NOT NULL, org TEXT NOT NULL, login TEXT NOT NULL, stream TEXT NOT NULL, provider TEXT NOT NULL,
    kind TEXT NOT NULL, cause TEXT NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (hour, org, login, stream, provider, kind, cause)) WITHOUT ROWID;
CREATE TABLE erasure ( origin BLOB NOT NULL, epoch INTEGER NOT NULL, sequence INTEGER NOT NULL, PRIMARY KEY (origin, epoch, sequence)) WITHOUT ROWID;
CREATE TABLE event (
    id INTEGER PRIMARY KEY, at INTEGER NOT NULL, subject TEXT NOT NULL, kind TEXT NOT NULL, cause TEXT, sub TEXT,
    stream TEXT, count INTEGER NOT NULL, key_id BLOB, tag BLOB, domain TEXT, org TEXT, login TEXT, provider TEXT,
    code INTEGER, enhanced TEXT, strength TEXT, rule TEXT, note TEXT, said_by TEXT, exit TEXT);
INSERT INTO "event" VALUES(1,1780000000,'recipient','hard',NULL,NULL,NULL,1,X'0000000000000000',X'000102030405060708090A0B0C0D0E0F','dest.test',NULL,NULL,NULL,550,NULL,'strong',NULL,NULL,NULL,NULL);
CREATE TABLE figure (
    subject TEXT NOT NULL, name TEXT NOT NULL, hour INTEGER NOT NULL, part TEXT NOT NULL, kind TEXT NOT NULL,
    cause TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (subject, name, hour, part, kind, cause)) WITHOUT ROWID;
CREATE TABLE figure_names (
    day INTEGER NOT NULL, subject TEXT NOT NULL, part TEXT NOT NULL, names INTEGER NOT NULL,
    PRIMARY KEY (day, subject, part)) WITHOUT ROWID;
CREATE TABLE frozen_hour (
    provider INTEGER NOT NULL, hour INTEGER NOT NULL, PRIMARY KEY (provider, hour)) WITHOUT ROWID;
CREATE TABLE idempotency (
    token TEXT NOT NULL, key BLOB NOT NULL, request BLOB NOT NULL, at INTEGER NOT NULL, answer TEXT,
    PRIMARY KEY (token, key)) WITHOUT ROWID;
CREATE TABLE incident (key TEXT PRIMARY KEY, incident TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE judged (
    origin BLOB PRIMARY KEY, contradicted INTEGER NOT NULL DEFAULT 0, agreed INTEGER NOT NULL DEFAULT 0,
    quarantined_since INTEGER, proof BLOB, epoch_min INTEGER) WITHOUT ROWID;
CREATE TABLE listed (
    tag BLOB NOT NULL, list TEXT NOT NULL, org TEXT NOT NULL, key_id BLOB NOT NULL, domain TEXT NOT NULL,
    at INTEGER NOT NULL, note TEXT, PRIMARY KEY (tag, list, org)) WITHOUT ROWID;
CREATE TABLE login (
    login TEXT PRIMARY KEY, org TEXT NOT NULL REFERENCES org (name) ON DELETE CASCADE, hash TEXT NOT NULL,
    stream TEXT, added_at INTEGER NOT NULL, scram TEXT);
INSERT INTO "login" VALUES('anna','asso','$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',NULL,1780000000,NULL);
CREATE TABLE node (
    node BLOB PRIMARY KEY, seq INTEGER NOT NULL, descriptor TEXT NOT NULL, known_since INTEGER NOT NULL,
    introducer BLOB) WITHOUT ROWID;
CREATE TABLE org (
    name TEXT PRIMARY KEY, domains TEXT NOT NULL, stream TEXT NOT NULL, added_at INTEGER NOT NULL);
INSERT INTO "org" VALUES('asso','asso.test','bulk',1780000000);
CREATE TABLE org_returns (
    org TEXT PRIMARY KEY, return_path TEXT NOT NULL, unsubscribe TEXT NOT NULL, contact TEXT,
    noticed_at INTEGER NOT NULL, complaints INTEGER NOT NULL, optouts INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE org_suppression (org TEXT PRIMARY KEY, settings TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE peer (
    node BLOB PRIMARY KEY, url TEXT NOT NULL, name TEXT NOT NULL, state TEXT NOT NULL, read INTEGER NOT NULL,
    weight REAL NOT NULL, note TEXT, added_at INTEGER NOT NULL, cursor TEXT, polled_at INTEGER, trouble TEXT,
    request_id TEXT, answered_at INTEGER, caught_up_at INTEGER, read_at INTEGER, read_to INTEGER) WITHOUT ROWID;
CREATE TABLE pending (
    id INTEGER PRIMARY KEY, key_id BLOB NOT NULL, at INTEGER NOT NULL, record BLOB NOT NULL);
CREATE TABLE person (
    name TEXT PRIMARY KEY, role TEXT NOT NULL, org TEXT, hash TEXT NOT NULL, factor TEXT, factor_step INTEGER NOT NULL,
    added_at INTEGER NOT NULL, last_login_at INTEGER) WITHOUT ROWID;
CREATE TABLE publish (
    id INTEGER PRIMARY KEY, key_id BLOB NOT NULL, tag BLOB NOT NULL, class INTEGER NOT NULL, at INTEGER NOT NULL,
    due INTEGER NOT NULL, record BLOB NOT NULL);
CREATE TABLE published (
    tag BLOB NOT NULL, class INTEGER NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (tag, class)) WITHOUT ROWID;
CREATE TABLE read_to (source TEXT PRIMARY KEY, last INTEGER NOT NULL);
CREATE TABLE recipient (
    tag BLOB PRIMARY KEY, key_id BLOB NOT NULL, domain TEXT NOT NULL, delivered_at INTEGER NOT NULL,
    hard_first_at INTEGER NOT NULL, hard_at INTEGER NOT NULL, hard_strong INTEGER NOT NULL,
    hard_inactive INTEGER NOT NULL, hard_code INTEGER NOT NULL, hard_enhanced TEXT, soft_count INTEGER NOT NULL,
    soft_first_at INTEGER NOT NULL, soft_at INTEGER NOT NULL, reply TEXT, rule TEXT, said_by TEXT,
    soft_days INTEGER NOT NULL DEFAULT 0, hard_imported TEXT, delivered INTEGER NOT NULL DEFAULT 0,
    hard INTEGER NOT NULL DEFAULT 0, soft INTEGER NOT NULL DEFAULT 0, refused INTEGER NOT NULL DEFAULT 0,
    complained INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE redelivery (
    mail INTEGER NOT NULL, tag BLOB NOT NULL, delivery BLOB NOT NULL, day INTEGER NOT NULL,
    PRIMARY KEY (mail, tag)) WITHOUT ROWID;
CREATE TABLE refused_exit (
    exit TEXT NOT NULL, provider TEXT NOT NULL, since INTEGER NOT NULL, last_at INTEGER NOT NULL,
    count INTEGER NOT NULL, text TEXT NOT NULL, sub TEXT, PRIMARY KEY (exit, provider)) WITHOUT ROWID;
CREATE TABLE returned (
    name BLOB PRIMARY KEY, day INTEGER NOT NULL, entry BLOB NOT NULL, bounced INTEGER NOT NULL,
    complained INTEGER NOT NULL, passed_on INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE rolled (id INTEGER PRIMARY KEY, hours INTEGER NOT NULL, days INTEGER NOT NULL);
CREATE TABLE segment (
    n INTEGER PRIMARY KEY, origin BLOB NOT NULL, epoch INTEGER NOT NULL, segno INTEGER NOT NULL, header BLOB NOT NULL,
    introducer BLOB, received_at INTEGER NOT NULL, parked TEXT, UNIQUE (origin, epoch, segno));
CREATE TABLE send_log (
    id INTEGER PRIMARY KEY, at INTEGER NOT NULL, org TEXT NOT NULL, login TEXT, stream TEXT NOT NULL,
    mail INTEGER NOT NULL, message_id TEXT, mail_from TEXT, recipient TEXT, kind TEXT NOT NULL, mx TEXT, stage TEXT,
    code INTEGER, enhanced TEXT, text TEXT, cause TEXT, rule TEXT, exit TEXT, sub TEXT, fate TEXT, strength TEXT,
    expired INTEGER, provider TEXT, rules TEXT, weakened INTEGER);
INSERT INTO "send_log" VALUES(1,1780000000,'asso',NULL,'bulk',7,NULL,NULL,'gone@dest.test','bounced',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE sender_watch (
    org TEXT NOT NULL, sender TEXT NOT NULL, memory BLOB NOT NULL, PRIMARY KEY (org, sender)) WITHOUT ROWID;
CREATE TABLE session (
    name BLOB PRIMARY KEY, person TEXT NOT NULL, began_at INTEGER NOT NULL, seen_at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE setting (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE spared (tag BLOB PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE tally (
    day INTEGER NOT NULL, org TEXT NOT NULL, login TEXT NOT NULL, stream TEXT NOT NULL, kind TEXT NOT NULL,
    cause TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (day, org, login, stream, kind, cause)) WITHOUT ROWID;
CREATE TABLE token (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, role TEXT NOT NULL, org TEXT, scopes TEXT NOT NULL, login TEXT,
    rate TEXT NOT NULL, made_at INTEGER NOT NULL, made_by TEXT NOT NULL, expires_at INTEGER, hash BLOB NOT NULL)
    WITHOUT ROWID;
CREATE TABLE unknown_reply (
    shape TEXT PRIMARY KEY, count INTEGER NOT NULL, first_at INTEGER NOT NULL, last_at INTEGER NOT NULL, code INTEGER,
    enhanced TEXT, stage TEXT, provider TEXT, several INTEGER NOT NULL, tag TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX send_log_at ON send_log (at);
CREATE INDEX send_log_recipient ON send_log (recipient);
CREATE INDEX returned_day ON returned (day);
CREATE INDEX canary_waiting ON canary (mail) WHERE taken = 0;
CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_org ON audit (org, id);
CREATE INDEX idempotency_at ON idempotency (at);
CREATE INDEX idempotency_token ON idempotency (token, at);
CREATE INDEX publish_due ON publish (due);
CREATE INDEX publish_tag ON publish (tag);
PRAGMA user_version = 21;
