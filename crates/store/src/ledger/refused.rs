//! Exits that a provider refuses for what they are (listed, no reverse name, bad reputation), until it takes mail from them.
//!
//! Kept beside the ledger, like the send log: nothing is decided by it, a person is told.

use serde::Serialize;
use sm2tp_proto::Address;
use sm2tp_rules::Cause;

use crate::sql::{self, Row, Sql, SqlError};
use crate::told::{Answer, Told, What, mask};

/// One exit at one provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefusedExit {
    /// Empty where the node has one way out that has no name.
    pub exit: String,
    /// Who refuses: a provider that is known, or a host.
    pub provider: String,
    /// Unix seconds.
    pub since: u64,
    pub last_at: u64,
    /// Refusals without a yes in between.
    pub count: u64,
    /// The last one, with nobody in it.
    pub text: String,
    /// `listed`, `rdns`, ...
    pub sub: Option<String>,
}

/// All that are refused, the latest first.
///
/// # Errors
/// [`SqlError`] of the database.
pub fn refused_exits(sql: &mut dyn Sql) -> Result<Vec<RefusedExit>, SqlError> {
    let query = "SELECT exit, provider, since, last_at, count, text, sub FROM refused_exit ORDER BY last_at DESC";
    let read = |row: &Row| {
        Ok(RefusedExit {
            exit: row.text(0)?.to_owned(),
            provider: row.text(1)?.to_owned(),
            since: row.uint(2)?,
            last_at: row.uint(3)?,
            count: row.uint(4)?,
            text: row.text(5)?.to_owned(),
            sub: row.text_or_null(6)?.map(str::to_owned),
        })
    };
    sql::all(sql, query, &[], read)
}

/// Whether any exit is refused now; mostly none is, and then nobody needs to look at each delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Any {
    Some,
    None,
}

/// # Errors
/// [`SqlError`] of the database.
pub(super) fn any(sql: &mut dyn Sql) -> Result<Any, SqlError> {
    let one = sql::first(sql, "SELECT count FROM refused_exit LIMIT 1", &[], |row| row.uint(0))?;
    Ok(if one.is_some() { Any::Some } else { Any::None })
}

/// Hears of an entry, and of whether there are any before and after it. Answers of a smart host are about its own ways out.
pub(super) fn note(sql: &mut dyn Sql, any: &mut Any, told: &Told, recipient: Option<&Address>) -> Result<(), SqlError> {
    let Some(answer) = told.answer().filter(|answer| !answer.relayed) else { return Ok(()) };
    let Some(provider) = answer.provider.as_deref().or(answer.mx.as_deref()) else { return Ok(()) };
    let exit = answer.exit.as_deref().unwrap_or_default();
    let verdict = answer.verdict.as_ref().filter(|verdict| verdict.cause == Cause::Ip);
    match (&told.what, verdict) {
        (What::Delivered { .. }, _) if *any == Any::None => Ok(()),
        (What::Delivered { .. }, _) => {
            let taken = "DELETE FROM refused_exit WHERE exit = $1 AND provider = $2";
            sql.execute(taken, &[exit.into(), provider.into()]).map(drop)
        }
        (What::Bounced { expired: false, .. } | What::Deferred { .. }, Some(verdict)) => {
            let text = recipient.map_or_else(String::new, |recipient| shown(answer, recipient));
            let sub = verdict.sub.as_deref();
            *any = Any::Some;
            refused(sql, (exit, provider), told.at, &text, sub)
        }
        _ => Ok(()),
    }
}

fn refused(
    sql: &mut dyn Sql,
    (exit, provider): (&str, &str),
    at: u64,
    text: &str,
    sub: Option<&str>,
) -> Result<(), SqlError> {
    let values = [exit.into(), provider.into(), at.into(), text.into(), sub.into()];
    let again = "UPDATE refused_exit SET last_at = $3, count = count + 1, text = $4, sub = $5 \
        WHERE exit = $1 AND provider = $2";
    if sql.execute(again, &values)? != 0 {
        return Ok(());
    }
    let count = sql::first(sql, "SELECT COUNT(*) FROM refused_exit", &[], |row| row.uint(0))?.unwrap_or(0);
    if REFUSED_MAX <= count {
        let oldest = "DELETE FROM refused_exit WHERE (exit, provider) IN \
            (SELECT exit, provider FROM refused_exit ORDER BY last_at LIMIT 1)";
        sql.execute(oldest, &[])?;
    }
    let insert = "INSERT INTO refused_exit (exit, provider, since, last_at, count, text, sub) \
        VALUES ($1, $2, $3, $3, 1, $4, $5)";
    sql.execute(insert, &values).map(drop)
}

fn shown(answer: &Answer, recipient: &Address) -> String {
    let text = mask(&answer.text, recipient);
    text[..text.floor_char_boundary(TEXT_OCTETS_MAX)].to_owned()
}

/// Whoever mails ten thousand servers that all refuse has one trouble, not ten thousand.
const REFUSED_MAX: u64 = 500;
/// Enough for the sentence and its link.
const TEXT_OCTETS_MAX: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::SendLog;
    use crate::testing::{TempDir, deferred};
    use crate::told::Verdict;

    fn refusal(provider: &str, text: &str) -> Told {
        let mut told = deferred("jean.dupont@x.example", text, "ip-dnsbl");
        let What::Deferred { answer } = &mut told.what else { panic!("{told:?}") };
        answer.provider = Some(provider.to_owned());
        answer.exit = Some("b".to_owned());
        if let Some(Verdict { cause, sub, .. }) = &mut answer.verdict {
            (*cause, *sub) = (Cause::Ip, Some("listed".to_owned()));
        }
        told
    }

    fn taken(provider: &str) -> Told {
        let answer = Answer { provider: Some(provider.to_owned()), exit: Some("b".to_owned()), ..Answer::default() };
        Told { what: What::Delivered { answer }, ..refusal(provider, "") }
    }

    #[tokio::test]
    async fn an_exit_is_refused_until_mail_is_taken_from_it() {
        let dir = TempDir::new();
        let ledger = crate::testing::ledger(dir.path());
        let text = "550 <jean.dupont@x.example> 192.0.2.1 is listed, see https://lists.example/?ip=192.0.2.1";
        let mut batch =
            vec![(1, refusal("orange", text)), (2, refusal("orange", text)), (3, refusal("free", "421 no"))];
        batch.push((4, taken("free")));
        for n in 5..5 + REFUSED_MAX {
            batch.push((n, refusal(&format!("mx{n}"), "no")));
        }
        ledger.absorb("spool", batch, SendLog::Off, |_| None, |_, _, _| Ok(())).await.unwrap();
        let found = ledger.read(|sql| Ok(refused_exits(sql)?)).await.unwrap();
        assert_eq!(found.len() as u64, REFUSED_MAX);
        assert!(found.iter().all(|refused| refused.exit == "b" && refused.provider != "free"));
        assert!(found.iter().all(|refused| !refused.text.contains("jean")), "{found:?}");
    }
}
