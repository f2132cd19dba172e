//! What rows say, told by their form alone: which table a page is of, nobody says any more.

use std::collections::BTreeSet;
use std::ops::Range;
use std::str::FromStr;

use rusqlite::{Connection, Statement, params};
use sm2tp_proto::Address;
use sm2tp_proto::smtp::{MailOptions, RcptOptions};
use sm2tp_rules::Stream;

use super::pages::{Field, Row};
use crate::spool::mail::Lane;

/// A row of the queue.
#[derive(Debug, PartialEq)]
pub(super) enum Found<'a> {
    Mail(u64, &'a [Field]),
    Recipient(u64, &'a [Field]),
    Outbox(u64, &'a str),
    /// What is known of the whole spool.
    Meta(&'a str, &'a str),
    /// The highest number that a table ever used.
    Used(&'a str, u64),
    /// One of SQLite's own, or of a table that only lies there for a person to look at.
    Foreign,
}

/// What a page is about, by its first row that says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    Mails,
    Recipients,
    Other,
}

impl Found<'_> {
    pub(super) fn of(row: &Row) -> Found<'_> {
        let id = row.rowid.and_then(|id| u64::try_from(id).ok());
        match (id, &row.fields[..]) {
            (Some(id), fields @ [Field::Null, Field::Text(_), ..]) if (11..=12).contains(&fields.len()) => {
                Found::Mail(id, fields)
            }
            (None, fields @ [Field::Int(mail), Field::Int(_), Field::Text(_), Field::Text(_), ..])
                if (8..=10).contains(&fields.len()) =>
            {
                u64::try_from(*mail).map_or(Found::Foreign, |mail| Found::Recipient(mail, fields))
            }
            (Some(id), [Field::Null, Field::Text(told)]) => Found::Outbox(id, told),
            (Some(_), [Field::Text(key), Field::Text(value)]) => Found::Meta(key, value),
            (Some(_), [Field::Text(table), Field::Int(used)]) => Found::Used(table, used.unsigned_abs()),
            _ => Found::Foreign,
        }
    }

    pub(super) fn about(&self) -> About {
        match self {
            Self::Mail(..) => About::Mails,
            Self::Recipient(..) => About::Recipients,
            _ => About::Other,
        }
    }
}

/// Why a row is not taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It has the form of a row and says what none would say.
    Nonsense,
    /// Another one with the same number was found before.
    Twice,
}

/// Writes a row into the new database, as it was.
pub(super) fn put(connection: &Connection, found: &Found<'_>) -> rusqlite::Result<Result<(), Refusal>> {
    let made = match found {
        Found::Mail(_, fields) if !is_mail(fields) => return Ok(Err(Refusal::Nonsense)),
        Found::Recipient(_, fields) if !is_recipient(fields) => return Ok(Err(Refusal::Nonsense)),
        Found::Mail(id, fields) => {
            let mut statement = connection.prepare_cached(
                "INSERT OR IGNORE INTO mail (id, org, login, stream, mail_from, message_id, received_at, segment, offset, \
                 octets, is_report, options) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            )?;
            // The first one is the number, which the page keeps apart.
            statement.raw_bind_parameter(1, id)?;
            bind(&mut statement, fields, 1..12)?;
            statement.raw_execute()?
        }
        Found::Recipient(_, fields) => {
            let mut statement = connection.prepare_cached(
                "INSERT OR IGNORE INTO rcpt (mail, idx, address, domain, lane, attempts, next_at, note, options, \
                 delay_told) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, COALESCE(?10, 0))",
            )?;
            bind(&mut statement, fields, 0..10)?;
            statement.raw_execute()?
        }
        Found::Outbox(id, told) => connection
            .prepare_cached("INSERT OR IGNORE INTO outbox (id, told) VALUES (?1, ?2)")?
            .execute(params![id, told])?,
        Found::Meta(key, value) => connection
            .prepare_cached("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)")?
            .execute(params![key, value])?,
        Found::Used(..) | Found::Foreign => return Ok(Ok(())),
    };
    Ok(if made == 0 { Err(Refusal::Twice) } else { Ok(()) })
}

/// Binds these fields, in order; columns that were added later may not be there yet.
fn bind(statement: &mut Statement<'_>, fields: &[Field], columns: Range<usize>) -> rusqlite::Result<()> {
    columns.into_iter().try_for_each(|at| statement.raw_bind_parameter(at + 1, fields.get(at)))
}

fn is_mail(fields: &[Field]) -> bool {
    let options = read_or_none(fields.get(11), |text| MailOptions::from_stored(text).is_ok());
    let login = matches!(fields[2], Field::Null | Field::Text(_));
    let message_id = matches!(fields[5], Field::Null | Field::Text(_));
    let numbers = [6, 7, 8, 9, 10].iter().all(|at| matches!(fields[*at], Field::Int(number) if 0 <= number));
    let octets = matches!(fields[9], Field::Int(octets) if u32::try_from(octets).is_ok());
    let mail_from = read_or_none(Some(&fields[4]), |text| text.is_none_or(|text| Address::parse(text).is_ok()));
    login && message_id && numbers && octets && mail_from && options && parses::<Stream>(&fields[3])
}

/// The domain stands beside the address: where only one of them was hurt, they differ.
fn is_recipient(fields: &[Field]) -> bool {
    let (Field::Text(address), Field::Text(domain)) = (&fields[2], &fields[3]) else { return false };
    let same = Address::parse(address).is_ok_and(|address| address.domain().as_str() == domain);
    let index = matches!(fields[1], Field::Int(index) if u32::try_from(index).is_ok());
    let attempts = matches!(fields[5], Field::Int(attempts) if u32::try_from(attempts).is_ok());
    let next_at = matches!(fields[6], Field::Int(at) if 0 <= at);
    let note = matches!(fields[7], Field::Null | Field::Text(_));
    let options = read_or_none(fields.get(8), |text| RcptOptions::from_stored(text).is_ok());
    same && index && attempts && next_at && note && options && parses::<Lane>(&fields[4])
}

fn parses<T: FromStr>(field: &Field) -> bool {
    matches!(field, Field::Text(word) if word.parse::<T>().is_ok())
}

/// A text, NULL, or a column that was added later and is not there yet.
fn read_or_none(field: Option<&Field>, is_fine: impl Fn(Option<&str>) -> bool) -> bool {
    match field {
        None | Some(Field::Null) => is_fine(None),
        Some(Field::Text(text)) => is_fine(Some(text)),
        Some(_) => false,
    }
}

/// Numbers of mails of which a row may be missing.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Gaps(BTreeSet<(u64, u64)>);

impl Gaps {
    /// From `first` to `last`, both of them.
    pub(super) fn add(&mut self, first: u64, last: u64) {
        self.0.insert((first, last));
    }

    pub(super) fn contains(&self, mail: u64) -> bool {
        self.0.iter().take_while(|(first, _)| *first <= mail).any(|(_, last)| mail <= *last)
    }
}

impl rusqlite::ToSql for Field {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        use rusqlite::types::{ToSqlOutput, ValueRef};
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Int(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Null | Self::Other => ValueRef::Null,
        }))
    }
}
