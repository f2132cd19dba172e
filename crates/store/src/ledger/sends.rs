//! Questions about the counts: what was sent within some days, by whom, where, through which exit.

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    Org,
    Login,
    Provider,
    /// Unix seconds of its beginning as name.
    Day,
    Hour,
}

/// What happened since then (unix seconds), of one organisation or of all. Rows come in the order of their names.
///
/// # Errors
/// [`SqlError`] where it cannot be read.
pub fn by(sql: &mut dyn Sql, by: By, org: Option<&str>, since: u64) -> Result<Vec<Named>, SqlError> {
    let name = match by {
        By::Org => "org",
        By::Login => "login",
        By::Provider => "provider",
        By::Day => "hour / 24 * 24",
        By::Hour => "hour",
    };
    let query = format!(
        "SELECT {name}, '', kind, cause, SUM(count) FROM counter WHERE $1 <= hour AND ($2 = '' OR org = $2) \
         GROUP BY {name}, kind, cause ORDER BY {name} LIMIT $3"
    );
    let values = [(since / HOUR_S).into(), org.unwrap_or("").into(), ROWS_MAX.into()];
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

/// What happened to the mail of each provider on each day since then, of one organisation or of all. The part is the beginning
/// of the day (unix seconds); mail of no known provider is left out.
///
/// # Errors
/// [`SqlError`] where it cannot be read.
pub fn providers_by_day(sql: &mut dyn Sql, org: Option<&str>, since: u64) -> Result<Vec<Named>, SqlError> {
    let query = "SELECT provider, CAST(hour / 24 * 86400 AS TEXT), kind, cause, SUM(count) FROM counter \
                 WHERE $1 <= hour AND ($2 = '' OR org = $2) AND provider <> '' GROUP BY 1, 2, 3, 4 ORDER BY 1, 2 LIMIT $3";
    let values = [(since / HOUR_S).into(), org.unwrap_or("").into(), ROWS_MAX.into()];
    collect(sql, query, &values, By::Provider)
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

/// All of them together.
#[must_use]
pub fn sum(named: &[Named]) -> Sends {
    let add = u64::saturating_add;
    named.iter().fold(Sends::default(), |sum, Named { sends, .. }| Sends {
        accepted: add(sum.accepted, sends.accepted),
        delivered: add(sum.delivered, sends.delivered),
        failed: add(sum.failed, sends.failed),
        bounced: add(sum.bounced, sends.bounced),
        spam: add(sum.spam, sends.spam),
        returned: add(sum.returned, sends.returned),
        complained: add(sum.complained, sends.complained),
        stopped: add(sum.stopped, sends.stopped),
    })
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
