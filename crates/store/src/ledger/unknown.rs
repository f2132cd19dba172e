//! Replies that no rule knew, counted by their shape: for the administrator, and for whoever writes the next rules.
//!
//! Kept beside the ledger, like the send log: nothing is decided by it. It names nobody (`sm2tp_rules::classify::shape`),
//! and a shape that came for one recipient only is told apart, because a name that is no part of an address may stand
//! in it.

use serde::Serialize;
use sm2tp_federation::tags::Tag;
use sm2tp_rules::classify::{NO_RULE, shape};

use crate::sql::{self, Row, Sql, SqlError};
use crate::told::{Answer, Told};

/// A shape, and how often it was met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnknownReply {
    pub shape: String,
    pub count: u64,
    /// Unix seconds.
    pub first_at: u64,
    pub last_at: u64,
    pub code: Option<u64>,
    pub enhanced: Option<String>,
    pub stage: Option<String>,
    /// Who said it last, where that is one of the providers that are known.
    pub provider: Option<String>,
    /// More than one recipient got it: nothing in it is about one person.
    pub several: bool,
}

/// Counts the answer of an entry, if no rule knew it.
pub(super) fn count(sql: &mut dyn Sql, told: &Told, tag: Option<Tag>) -> Result<(), SqlError> {
    let Some(answer) = told.answer() else { return Ok(()) };
    let private = [&told.recipient, &told.mail_from, &told.login];
    let private: Vec<&str> = private.into_iter().flatten().map(String::as_str).collect();
    count_answer(sql, answer, &private, tag, told.at)
}

/// Counts an answer, if no rule knew it. `private` is what it may name; `tag` whom it is about; `at` in unix seconds.
pub(crate) fn count_answer(
    sql: &mut dyn Sql,
    answer: &Answer,
    private: &[&str],
    tag: Option<Tag>,
    at: u64,
) -> Result<(), SqlError> {
    if answer.verdict.as_ref().is_none_or(|verdict| verdict.rule != NO_RULE) {
        return Ok(());
    }
    let recipient: String =
        tag.map_or_else(String::new, |tag| tag.0.iter().map(|octet| format!("{octet:02x}")).collect());
    let shape = shape(&answer.text, private);
    let changed = sql.execute(
        "UPDATE unknown_reply SET count = count + 1, last_at = $2, provider = $3, \
         several = CASE WHEN tag = $4 THEN several ELSE 1 END WHERE shape = $1",
        &[shape.as_str().into(), at.into(), answer.provider.as_deref().into(), recipient.as_str().into()],
    )?;
    if changed != 0 {
        return Ok(());
    }
    make_room(sql)?;
    sql.execute(
        "INSERT INTO unknown_reply (shape, count, first_at, last_at, code, enhanced, stage, provider, several, tag) \
         VALUES ($1, 1, $2, $2, $3, $4, $5, $6, 0, $7)",
        &[
            shape.into(),
            at.into(),
            answer.code.map(u32::from).into(),
            answer.enhanced.map(|enhanced| enhanced.to_string()).into(),
            answer.stage.map(sm2tp_rules::Stage::as_str).into(),
            answer.provider.as_deref().into(),
            recipient.as_str().into(),
        ],
    )?;
    Ok(())
}

/// The shapes, the most frequent first.
///
/// # Errors
/// [`SqlError`] where they cannot be read.
pub fn unknown_replies(sql: &mut dyn Sql) -> Result<Vec<UnknownReply>, SqlError> {
    let query = "SELECT shape, count, first_at, last_at, code, enhanced, stage, provider, several FROM unknown_reply \
        ORDER BY count DESC, last_at DESC, shape LIMIT $1";
    sql::all(sql, query, &[SHAPES_MAX.into()], read)
}

fn read(row: &Row) -> Result<UnknownReply, SqlError> {
    let owned = |column| row.text_or_null(column).map(|text| text.map(str::to_owned));
    Ok(UnknownReply {
        shape: row.text(0)?.to_owned(),
        count: row.uint(1)?,
        first_at: row.uint(2)?,
        last_at: row.uint(3)?,
        code: row.uint_or_null(4)?,
        enhanced: owned(5)?,
        stage: owned(6)?,
        provider: owned(7)?,
        several: row.int(8)? != 0,
    })
}

/// Beyond [`SHAPES_MAX`] the one goes that was met least and longest ago: what is frequent stays.
fn make_room(sql: &mut dyn Sql) -> Result<(), SqlError> {
    let count = sql::first(sql, "SELECT COUNT(*) FROM unknown_reply", &[], |row| row.uint(0))?.unwrap_or(0);
    if SHAPES_MAX <= count {
        let least = "DELETE FROM unknown_reply WHERE shape = \
            (SELECT shape FROM unknown_reply ORDER BY count, last_at LIMIT 1)";
        sql.execute(least, &[])?;
    }
    Ok(())
}

/// Whoever sends a hundred thousand different words shall not fill the disk; a person reads a few dozen.
const SHAPES_MAX: u64 = 1000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::SendLog;
    use crate::testing::{TempDir, deferred};

    #[tokio::test]
    async fn unknown_replies_are_counted_without_anybody_in_them_and_are_bounded() {
        let dir = TempDir::new();
        let ledger = crate::testing::ledger(dir.path());
        let tagger = |address: &sm2tp_proto::Address| {
            let mut tag = [0; 16];
            tag[0] = u8::try_from(address.clear().len()).unwrap();
            Some((sm2tp_federation::tags::KeyId([1; 8]), Tag(tag)))
        };
        let mut batch = vec![
            (1, deferred("jean.dupont@x.example", "Dupont's post box is purple", NO_RULE)),
            (2, deferred("anna@y.example", "Anna's post box is purple", NO_RULE)),
            (3, deferred("anna@y.example", "go to room 17", NO_RULE)),
            (4, deferred("anna@y.example", "greylisted", "greylist")),
        ];
        for n in 0..SHAPES_MAX + 10 {
            let word: String = n.to_string().bytes().map(|digit| char::from(digit - b'0' + b'a')).collect();
            batch.push((5 + n, deferred("anna@y.example", &format!("{word} is a word"), NO_RULE)));
        }
        ledger.absorb("spool", batch, SendLog::Off, tagger, |_, _, _| Ok(())).await.unwrap();
        let found = ledger.read(|sql| Ok(unknown_replies(sql)?)).await.unwrap();
        assert_eq!(found.len() as u64, SHAPES_MAX);
        assert_eq!(
            (found[0].shape.as_str(), found[0].count, found[0].several),
            ("<private> post box is purple", 2, true)
        );
        assert!(found.iter().skip(1).all(|reply| !reply.several && !reply.shape.contains("dupont")));
        assert!(!found.iter().any(|reply| reply.shape.contains("greylisted")));
    }
}
