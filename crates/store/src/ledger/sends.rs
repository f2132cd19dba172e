//! Questions about the counts: what was sent within some days, by whom, where, through which exit.

use std::collections::BTreeMap;

use sm2tp_rules::score::Sends;

use super::figures::Of;
use crate::sql::{self, Row, Sql, SqlError, Value};

/// What happened to the mail of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub name: String,
    /// Of a sender's domain its organisation, of an exit the provider; empty elsewhere.
    pub part: String,
    pub sends: Sends,
}

/// By what mail is told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum By {
    Org,
    Login,
    Provider,
    /// With the beginning of a day (unix seconds) as its part.
    ProviderDay,
    /// Unix seconds of its beginning as name.
    Day,
    Hour,
}

/// What happened since then (unix seconds), of one organisation or of all. Rows come in the order of their names.
///
/// # Errors
/// [`SqlError`] where it cannot be read.
pub fn by(sql: &mut dyn Sql, by: By, org: Option<&str>, since: u64) -> Result<Vec<Named>, SqlError> {
    between(sql, by, org, (since, u64::MAX))
}

/// The same from a time on until another, which is not in it (unix seconds).
///
/// # Errors
/// [`SqlError`] where it cannot be read.
pub fn between(
    sql: &mut dyn Sql,
    by: By,
    org: Option<&str>,
    (since, until): (u64, u64),
) -> Result<Vec<Named>, SqlError> {
    let (name, part) = match by {
        By::Org => ("org", "''"),
        By::Login => ("login", "''"),
        By::Provider => ("provider", "''"),
        By::ProviderDay => ("provider", "CAST(hour / 24 * 86400 AS TEXT)"),
        By::Day => ("hour / 24 * 24", "''"),
        By::Hour => ("hour", "''"),
    };
    let query = format!(
        "SELECT {name}, {part}, kind, cause, SUM(count) FROM counter WHERE $1 <= hour AND hour < $4 AND ($2 = '' OR org = $2) \
         GROUP BY 1, 2, 3, 4 ORDER BY 1, 2 LIMIT $3"
    );
    let values = [(since / HOUR_S).into(), org.unwrap_or("").into(), ROWS_MAX.into(), (until / HOUR_S).into()];
    collect(sql, &query, &values, by)
}

/// What happened since then, of the names of one kind to which most did: `len_max` of them at most. `part` narrows it.
///
/// # Errors
/// [`SqlError`] where it cannot be read.
pub fn of(sql: &mut dyn Sql, of: Of, part: Option<&str>, since: u64, len_max: u64) -> Result<Vec<Named>, SqlError> {
    let query = "SELECT name, part, kind, cause, SUM(count) FROM figure WHERE subject = $1 AND $2 <= hour \
                 AND ($3 = '' OR part = $3) AND name IN (SELECT name FROM figure WHERE subject = $1 AND $2 <= hour \
                 AND ($3 = '' OR part = $3) GROUP BY name ORDER BY SUM(count) DESC, name LIMIT $4) \
                 GROUP BY name, part, kind, cause ORDER BY name, part";
    let values = [of.as_str().into(), (since / HOUR_S).into(), part.unwrap_or("").into(), len_max.into()];
    let mut found = collect(sql, query, &values, By::Org)?;
    found.sort_by_key(|named| std::cmp::Reverse(named.sends.ended()));
    Ok(found)
}

/// Why mail was given up since then (unix seconds), of one organisation or of all: each cause with its number, the most
/// frequent first.
///
/// # Errors
/// [`SqlError`] where it cannot be read.
pub fn causes(sql: &mut dyn Sql, org: Option<&str>, since: u64) -> Result<Vec<(String, u64)>, SqlError> {
    let query = "SELECT cause, SUM(count) AS sum FROM counter WHERE $1 <= hour AND ($2 = '' OR org = $2) \
                 AND kind IN ('bounced', 'returned') GROUP BY cause HAVING 0 < SUM(count) ORDER BY sum DESC, cause";
    let values = [(since / HOUR_S).into(), org.unwrap_or("").into()];
    sql::all(sql, query, &values, |row| Ok((row.text(0)?.to_owned(), row.uint(1)?)))
}

/// The same names without their parts. Rows come in the order of their names.
#[must_use]
pub fn whole(named: &[Named]) -> Vec<Named> {
    together(&named.iter().map(|row| Named { part: String::new(), ..row.clone() }).collect::<Vec<_>>(), &[])
}

/// All of them together.
#[must_use]
pub fn sum(named: &[Named]) -> Sends {
    named.iter().fold(Sends::default(), |sum, Named { sends, .. }| plus(sum, *sends))
}

/// Both lists as one: what has the same name is added up.
#[must_use]
pub fn together(one: &[Named], other: &[Named]) -> Vec<Named> {
    let mut found: BTreeMap<(&str, &str), Sends> = BTreeMap::new();
    for Named { name, part, sends } in one.iter().chain(other) {
        let sum = found.entry((name, part)).or_default();
        *sum = plus(*sum, *sends);
    }
    let named =
        |((name, part), sends): ((&str, &str), Sends)| Named { name: name.to_owned(), part: part.to_owned(), sends };
    found.into_iter().map(named).collect()
}

fn plus(one: Sends, other: Sends) -> Sends {
    let add = u64::saturating_add;
    Sends {
        accepted: add(one.accepted, other.accepted),
        delivered: add(one.delivered, other.delivered),
        failed: add(one.failed, other.failed),
        bounced: add(one.bounced, other.bounced),
        spam: add(one.spam, other.spam),
        returned: add(one.returned, other.returned),
        complained: add(one.complained, other.complained),
        stopped: add(one.stopped, other.stopped),
    }
}

fn collect(sql: &mut dyn Sql, query: &str, values: &[Value], by: By) -> Result<Vec<Named>, SqlError> {
    let mut found: Vec<Named> = Vec::new();
    sql.rows(query, values, &mut |row| {
        let (name, part) = (name(row, by)?, row.text(1)?);
        // A correction may leave less than nothing behind where its hour is gone.
        let count = u64::try_from(row.int(4)?).unwrap_or(0);
        if found.last().is_none_or(|last| last.name != name || last.part != part) {
            found.push(Named { name, part: part.to_owned(), sends: Sends::default() });
        }
        if let Some(last) = found.last_mut() {
            last.sends.add(row.text(2)?, row.text(3)?, count);
        }
        Ok(())
    })?;
    Ok(found)
}

fn name(row: &Row, by: By) -> Result<String, SqlError> {
    match by {
        By::Day | By::Hour => Ok((row.uint(0)? * HOUR_S).to_string()),
        _ => Ok(row.text(0)?.to_owned()),
    }
}

const HOUR_S: u64 = 3600;
/// Rows of one answer: a kind and a cause of a name each. Nobody reads the names beyond it.
const ROWS_MAX: u64 = 200_000;
