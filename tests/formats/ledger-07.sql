CREATE TABLE allowance (
    kind TEXT NOT NULL, name TEXT NOT NULL, addresses TEXT NOT NULL, own_addresses_only INTEGER NOT NULL,
    message_size INTEGER, recipients INTEGER, rate_mails TEXT, rate_recipients TEXT, connections INTEGER,
    PRIMARY KEY (kind, name)) WITHOUT ROWID;
CREATE TABLE breaker (
    provider TEXT PRIMARY KEY, since INTEGER NOT NULL, until INTEGER NOT NULL, parked INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE counter (
    hour INTEGER NOT NULL, org TEXT NOT NULL, login TEXT NOT NULL, stream TEXT NOT NULL, provider TEXT NOT NULL,
    kind TEXT NOT NULL, cause TEXT NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (hour, org, login, stream, provider, kind, cause)) WITHOUT ROWID;
CREATE TABLE domain_counter (
    day INTEGER NOT NULL, domain TEXT NOT NULL, kind TEXT NOT NULL, cause TEXT NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (day, domain, kind, cause)) WITHOUT ROWID;
CREATE TABLE event (
    id INTEGER PRIMARY KEY, at INTEGER NOT NULL, subject TEXT NOT NULL, kind TEXT NOT NULL, cause TEXT, sub TEXT,
    stream TEXT, count INTEGER NOT NULL, key_id BLOB, tag BLOB, domain TEXT, org TEXT, login TEXT, provider TEXT,
    code INTEGER, enhanced TEXT, strength TEXT, rule TEXT, note TEXT, said_by TEXT);
INSERT INTO "event" VALUES(1,1780000000,'recipient','hard',NULL,NULL,NULL,1,X'0000000000000000',X'000102030405060708090A0B0C0D0E0F','dest.test',NULL,NULL,NULL,550,NULL,'strong',NULL,NULL,NULL);
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
CREATE TABLE peer (
    node BLOB PRIMARY KEY, url TEXT NOT NULL, name TEXT NOT NULL, state TEXT NOT NULL, read INTEGER NOT NULL,
    weight REAL NOT NULL, note TEXT, added_at INTEGER NOT NULL, cursor TEXT, polled_at INTEGER, trouble TEXT,
    request_id TEXT, answered_at INTEGER) WITHOUT ROWID;
CREATE TABLE pending (
    id INTEGER PRIMARY KEY, key_id BLOB NOT NULL, at INTEGER NOT NULL, record BLOB NOT NULL);
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
    soft_first_at INTEGER NOT NULL, soft_at INTEGER NOT NULL, reply TEXT, rule TEXT, said_by TEXT) WITHOUT ROWID;
CREATE TABLE returned (
    name BLOB PRIMARY KEY, day INTEGER NOT NULL, entry BLOB NOT NULL, bounced INTEGER NOT NULL,
    complained INTEGER NOT NULL, passed_on INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE segment (
    n INTEGER PRIMARY KEY, origin BLOB NOT NULL, epoch INTEGER NOT NULL, segno INTEGER NOT NULL, header BLOB NOT NULL,
    introducer BLOB, received_at INTEGER NOT NULL, UNIQUE (origin, epoch, segno));
CREATE TABLE send_log (
    id INTEGER PRIMARY KEY, at INTEGER NOT NULL, org TEXT NOT NULL, login TEXT, stream TEXT NOT NULL,
    mail INTEGER NOT NULL, message_id TEXT, mail_from TEXT, recipient TEXT, kind TEXT NOT NULL, mx TEXT, stage TEXT,
    code INTEGER, enhanced TEXT, text TEXT, cause TEXT, rule TEXT, exit TEXT, sub TEXT, fate TEXT, strength TEXT,
    expired INTEGER, provider TEXT, rules TEXT);
INSERT INTO "send_log" VALUES(1,1780000000,'asso',NULL,'bulk',7,NULL,NULL,'gone@dest.test','bounced',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE setting (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE unknown_reply (
    shape TEXT PRIMARY KEY, count INTEGER NOT NULL, first_at INTEGER NOT NULL, last_at INTEGER NOT NULL, code INTEGER,
    enhanced TEXT, stage TEXT, provider TEXT, several INTEGER NOT NULL, tag TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX send_log_at ON send_log (at);
CREATE INDEX send_log_recipient ON send_log (recipient);
CREATE INDEX returned_day ON returned (day);
CREATE INDEX publish_due ON publish (due);
PRAGMA user_version = 7;
