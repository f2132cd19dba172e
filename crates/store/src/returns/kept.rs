//! What a token stands for, kept so that only the token opens it: the table pairs nobody with anybody (R11).
//!
//! A row is ten random octets that leave with the mail and are not kept. The table knows a hash of them, to find the entry
//! by, and the entry, sealed under another hash of them. Who has the whole data directory, keys included, cannot say who
//! wrote to whom; who gets a report back can, for that one recipient.

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sm2tp_federation::tags::{KeyId, Tag};
use sm2tp_proto::token::{Row, Token};
use sm2tp_rules::{Evidence, Stream};

use crate::accounts::ReturnPath;
use crate::sql::{self, Sql, SqlError, Value};
use crate::told::{Told, What};

/// One recipient of one mail that was taken by a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    pub org: String,
    pub login: Option<String>,
    pub stream: Stream,
    /// The sender's own return path, to which the report is passed on.
    pub mail_from: Option<String>,
    pub recipient: (KeyId, Tag),
    pub domain: String,
    pub provider: Option<String>,
    /// Number of the mail in the spool.
    pub mail: u64,
    /// Its line in the send log, where one is kept.
    pub line: Option<u64>,
    /// When the address took mail before this one (unix seconds); 0: never, or it was refused since.
    pub taken_at: u64,
    /// What the attempts of one mail to one recipient share, where more than one server may have it.
    pub delivery: Option<Row>,
    /// Whose return path it left with. With the sender's own, the sender gets what comes back without us.
    pub path: ReturnPath,
}

/// The stored form (I9): fields are added, never renamed; `v` says which set.
#[derive(Serialize, Deserialize)]
struct Stored {
    v: u8,
    org: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    login: Option<String>,
    stream: Stream,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    key: String,
    tag: String,
    domain: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    provider: Option<String>,
    mail: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    /// From version 2 on, as the next.
    #[serde(default)]
    taken_at: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    delivery: Option<String>,
    /// From version 3 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<ReturnPath>,
}

/// What was counted for a token already, or for another of the same mail to the same recipient; each counts once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    pub bounced: bool,
    pub complained: bool,
    /// How many reports were passed on to the sender.
    pub passed_on: u32,
}

/// Keeps what the token of a happening stands for, if a report about it may come. Runs inside the transaction that keeps
/// the happening; offered twice, it is kept once. `before` is what was known of the address.
pub(crate) fn keep(
    sql: &mut dyn Sql,
    told: &Told,
    (recipient, domain): ((KeyId, Tag), &str),
    line: Option<u64>,
    before: &Evidence,
) -> Result<(), SqlError> {
    let token = told.token.as_deref().and_then(|text| Token::unchecked(text).ok());
    if token.is_none() && matches!(told.what, What::Delivered { .. } | What::Deferred { .. }) {
        return Ok(());
    }
    let delivery = delivery(sql, told, recipient.1, token.as_ref())?;
    let Some(token) = token else { return Ok(()) };
    if matches!(told.what, What::Bounced { .. }) {
        // It is counted now; what another mail server reports about it, to the same return path, is no second one.
        sql.execute("UPDATE returned SET bounced = 1 WHERE name = $1", &[name(&token.row)[..].into()])?;
        return Ok(());
    }
    let sent = Sent {
        org: told.org.clone(),
        login: told.login.clone(),
        stream: told.stream,
        mail_from: told.mail_from.clone(),
        recipient,
        domain: domain.to_owned(),
        provider: told.answer().and_then(|answer| answer.provider.clone()),
        mail: told.mail,
        line,
        taken_at: if before.hard_at == 0 { before.delivered_at } else { 0 },
        delivery,
        path: ReturnPath::Node,
    };
    // What another mail server sent was kept ahead, and has no number here; now its answer is known, too.
    let ahead = if told.mail == 0 { entry(sql, &token.row)? } else { None };
    let sent = match ahead.map(|(entry, _)| open(&token.row, entry)).transpose()? {
        Some(ahead) => Sent { line: sent.line, provider: sent.provider, ..ahead },
        None => sent,
    };
    put(sql, &token, &sent)
}

/// Keeps what a token stands for; what was kept ahead of the delivery gives way to what is known after it.
fn put(sql: &mut dyn Sql, token: &Token, sent: &Sent) -> Result<(), SqlError> {
    insert(sql, "ON CONFLICT (name) DO UPDATE SET entry = excluded.entry", token, sent)
}

/// Keeps what a token stands for before anybody knows what becomes of its mail.
pub(super) fn put_ahead(sql: &mut dyn Sql, token: &Token, sent: &Sent) -> Result<(), SqlError> {
    insert(sql, "ON CONFLICT (name) DO NOTHING", token, sent)
}

fn insert(sql: &mut dyn Sql, known: &str, token: &Token, sent: &Sent) -> Result<(), SqlError> {
    sql.execute(
        &format!(
            "INSERT INTO returned (name, day, entry, bounced, complained, passed_on) VALUES ($1, $2, $3, 0, 0, 0) {known}"
        ),
        &[name(&token.row)[..].into(), u32::from(token.day).into(), seal(&token.row, sent)?[..].into()],
    )?;
    Ok(())
}

/// What a token stands for, and what was counted for it; none where nothing is kept (any more).
pub(crate) fn find(sql: &mut dyn Sql, row: &Row) -> Result<Option<(Sent, Counted)>, SqlError> {
    let Some((entry, counted)) = entry(sql, row)? else { return Ok(None) };
    match open(row, entry) {
        Ok(sent) => {
            let shared = sent.delivery.map(|delivery| self::entry(sql, &delivery)).transpose()?.flatten();
            Ok(Some((sent, shared.map_or(counted, |(_, counted)| counted))))
        }
        // An entry that does not open is one that nobody reads again: its report counts as one of nobody.
        Err(error) => {
            tracing::error!(%error, "what a return token stands for cannot be read");
            Ok(None)
        }
    }
}

/// Remembers what has been counted now for a token, and for those that share its delivery.
pub(crate) fn count(sql: &mut dyn Sql, row: &Row, sent: &Sent, counted: Counted) -> Result<(), SqlError> {
    let set = "UPDATE returned SET bounced = $2, complained = $3, passed_on = $4 WHERE name = $1";
    let Counted { bounced, complained, passed_on } = counted;
    let row = sent.delivery.as_ref().unwrap_or(row);
    sql.execute(set, &[name(row)[..].into(), bounced.into(), complained.into(), passed_on.into()])?;
    Ok(())
}

fn entry(sql: &mut dyn Sql, row: &Row) -> Result<Option<(Vec<u8>, Counted)>, SqlError> {
    let query = "SELECT entry, bounced, complained, passed_on FROM returned WHERE name = $1";
    sql::first(sql, query, &[name(row)[..].into()], |found| {
        let passed_on = u32::try_from(found.uint(3)?).unwrap_or(u32::MAX);
        let counted = Counted { bounced: found.int(1)? != 0, complained: found.int(2)? != 0, passed_on };
        Ok((found.blob(0)?.to_vec(), counted))
    })
}

/// What the attempts of one mail to one recipient share, where a server may have the mail although it is sent again: one
/// bounce counts for all of them. Which mail that is stands in clear as long as the mail is in the queue, and no longer.
fn delivery(sql: &mut dyn Sql, told: &Told, tag: Tag, token: Option<&Token>) -> Result<Option<Row>, SqlError> {
    let at = [Value::from(told.mail), tag.0[..].into()];
    let known = sql::first(sql, "SELECT delivery FROM redelivery WHERE mail = $1 AND tag = $2", &at, |row| {
        Ok(Row(row.octets(0)?))
    })?;
    let goes_on = matches!(told.what, What::Deferred { .. });
    if let Some(delivery) = known.filter(|_| !goes_on) {
        sql.execute("DELETE FROM redelivery WHERE mail = $1 AND tag = $2", &at)?;
        if matches!(told.what, What::Bounced { .. }) {
            // The sender has been told, and the bounce is counted: what the first server reports is no second one.
            sql.execute("UPDATE returned SET bounced = 1 WHERE name = $1", &[name(&delivery)[..].into()])?;
        }
    }
    let Some(token) = token.filter(|_| goes_on && known.is_none()) else { return Ok(known) };
    // Other octets than those of the token, which leave with the mail.
    let fresh: [u8; 32] =
        Sha256::new().chain_update(b"SM2TP delivery v1\0").chain_update(token.row.0).finalize().into();
    let mut delivery = Row([0; 10]);
    delivery.0.copy_from_slice(&fresh[..10]);
    let day = Value::from(u32::from(token.day));
    sql.execute(
        "INSERT INTO redelivery (mail, tag, delivery, day) VALUES ($1, $2, $3, $4)",
        &[told.mail.into(), tag.0[..].into(), delivery.0[..].into(), day.clone()],
    )?;
    sql.execute(
        "INSERT INTO returned (name, day, entry, bounced, complained, passed_on) VALUES ($1, $2, $3, 0, 0, 0) \
         ON CONFLICT (name) DO NOTHING",
        &[name(&delivery)[..].into(), day, Value::Blob(Vec::new())],
    )?;
    Ok(Some(delivery))
}

fn name(row: &Row) -> [u8; 32] {
    Sha256::new().chain_update(b"SM2TP row name v1\0").chain_update(row.0).finalize().into()
}

/// A key seals one entry and no other, so the nonce need not differ.
fn cipher(row: &Row) -> Result<(LessSafeKey, Nonce), SqlError> {
    let key: [u8; 32] = Sha256::new().chain_update(b"SM2TP row key v1\0").chain_update(row.0).finalize().into();
    let key = UnboundKey::new(&CHACHA20_POLY1305, &key).map_err(|_| unsealed())?;
    Ok((LessSafeKey::new(key), Nonce::assume_unique_for_key([0; 12])))
}

fn seal(row: &Row, sent: &Sent) -> Result<Vec<u8>, SqlError> {
    let stored = Stored {
        v: VERSION,
        org: sent.org.clone(),
        login: sent.login.clone(),
        stream: sent.stream,
        from: sent.mail_from.clone(),
        key: hex::encode(sent.recipient.0.0),
        tag: hex::encode(sent.recipient.1.0),
        domain: sent.domain.clone(),
        provider: sent.provider.clone(),
        mail: sent.mail,
        line: sent.line,
        taken_at: sent.taken_at,
        delivery: sent.delivery.map(|delivery| hex::encode(delivery.0)),
        path: Some(sent.path),
    };
    let mut octets = serde_json::to_vec(&stored).map_err(|error| SqlError::Stored(error.to_string()))?;
    let (key, nonce) = cipher(row)?;
    key.seal_in_place_append_tag(nonce, Aad::empty(), &mut octets).map_err(|_| unsealed())?;
    Ok(octets)
}

fn open(row: &Row, mut octets: Vec<u8>) -> Result<Sent, SqlError> {
    let (key, nonce) = cipher(row)?;
    let plain = key.open_in_place(nonce, Aad::empty(), &mut octets).map_err(|_| unsealed())?;
    let stored: Stored = serde_json::from_slice(plain).map_err(|error| SqlError::Stored(error.to_string()))?;
    if VERSION < stored.v {
        return Err(SqlError::Stored(format!("an entry of version {}", stored.v)));
    }
    Ok(Sent {
        org: stored.org,
        login: stored.login,
        stream: stored.stream,
        mail_from: stored.from,
        recipient: (KeyId(octets_of(&stored.key)?), Tag(octets_of(&stored.tag)?)),
        domain: stored.domain,
        provider: stored.provider,
        mail: stored.mail,
        line: stored.line,
        taken_at: stored.taken_at,
        delivery: stored.delivery.as_deref().map(octets_of).transpose()?.map(Row),
        path: stored.path.unwrap_or(ReturnPath::Node),
    })
}

fn octets_of<const N: usize>(digits: &str) -> Result<[u8; N], SqlError> {
    let octets = hex::decode(digits).ok().and_then(|octets| octets.try_into().ok());
    octets.ok_or_else(|| SqlError::Stored("octets of another length".into()))
}

fn unsealed() -> SqlError {
    SqlError::Stored("an entry of the table of returns does not open".into())
}

/// 2: what several attempts share. 3: whose return path it is.
const VERSION: u8 = 3;
