//! Tables that a mail server asks over a socket. `dsn` is the one that Postfix's `smtp_delivery_status_filter` wants: it
//! turns an answer that says "later" and means "never" into a rejection at once, by the rules of the relay. `access` and
//! `routes` say what the files of `crate::exports` say, of every address; they are off until somebody asks for them, because
//! one slow answer stalls a mail server that looks up its routes here.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use sm2tp_proto::Enhanced;
use sm2tp_proto::delivery::{Delivery, What};
use sm2tp_proto::socketmap::{Answer, Query, QueryReader, SocketmapError};
use sm2tp_rules::Stream;
use sm2tp_rules::classify::Rulebook;
use sm2tp_rules::outcome::{Cause, Fate, Outcome};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::{Conversation, Listener, Next};
use crate::House;
use crate::exports::{Route, refusal};

/// A table that can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    Dsn,
    /// Whether mail of the organisation `local` to an address would be refused, as access(5) has it.
    Access,
    /// Where mail for a domain goes, as transport(5) has it.
    Routes,
}

/// The tables of a node. Clones share them.
#[derive(Clone)]
pub struct Tables(Arc<Shared>);

struct Shared {
    tables: Vec<Table>,
    rulebook: Rulebook,
    house: House,
    stream: Stream,
    routes: HashMap<String, String>,
    /// Answers that are being found.
    deciding: Arc<Semaphore>,
}

impl Tables {
    /// `stream` is the kind of mail that `access` answers for; `routes` those of the relay.
    #[must_use]
    pub fn new(tables: Vec<Table>, rulebook: Rulebook, house: House, stream: Stream, routes: &[Route]) -> Self {
        let routes = routes.iter().filter_map(|route| Some((route.domain.clone(), route.postfix()?))).collect();
        let deciding = Arc::new(Semaphore::new(DECIDING_MAX));
        Self(Arc::new(Shared { tables, rulebook, house, stream, routes, deciding }))
    }

    /// Serves one listener until `stop` is done.
    pub async fn serve(self, listener: Listener, stop: impl Future<Output = ()> + Send) {
        super::serve(listener, "socketmap", || Asking { reader: QueryReader::default(), shared: self.0.clone() }, stop)
            .await;
    }
}

struct Asking {
    reader: QueryReader,
    shared: Arc<Shared>,
}

impl Conversation for Asking {
    type Error = SocketmapError;

    fn feed(&mut self, octets: &[u8]) {
        self.reader.feed(octets);
    }

    async fn answer(&mut self) -> Result<Next, SocketmapError> {
        let Some(query) = self.reader.next_query()? else { return Ok(Next::More) };
        let found = match Table::parse(&query.name).filter(|table| self.shared.tables.contains(table)) {
            // Within microseconds: whoever asks holds up a delivery meanwhile.
            Some(Table::Dsn) => status(&query.key, &self.shared.rulebook),
            Some(Table::Access) => access(&self.shared, query).await,
            Some(Table::Routes) => self.shared.routes.get(&domain_of(&query.key)).cloned(),
            // Not TEMP: a table that is not there must not stop mail.
            None => None,
        };
        Ok(Next::Say(found.map_or(Answer::NotFound, Answer::Found).to_string().into_bytes()))
    }
}

impl Table {
    fn parse(name: &str) -> Option<Self> {
        match name {
            "dsn" => Some(Self::Dsn),
            "access" => Some(Self::Access),
            "routes" => Some(Self::Routes),
            _ => None,
        }
    }
}

/// What would be said to the sender; none: nothing, or nothing in time.
async fn access(shared: &Arc<Shared>, query: Query) -> Option<String> {
    let permit = shared.deciding.clone().try_acquire_owned().ok()?;
    let asked = shared.clone();
    let deciding = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        refusal(&asked.house, asked.stream, &query.key)
    });
    timeout(ANSWER_MAX, deciding).await.ok().and_then(Result::ok).flatten()
}

/// Postfix asks with the whole address alone.
fn domain_of(key: &str) -> String {
    key.rsplit_once('@').map_or(key, |(_, domain)| domain).to_lowercase()
}

/// The status that takes the place of `4.x.x text`; none: Postfix keeps its own.
///
/// Only "later" becomes "never", and only where a rule knows the words: Postfix itself would go on for five days. What it
/// calls final stays so, and an address is never refused for good on a temporary answer (`DESIGN.md` §5).
fn status(key: &str, rulebook: &Rulebook) -> Option<String> {
    let (status, text) = key.split_once(' ')?;
    if Enhanced::at_start(status)?.0 != 4 {
        return None;
    }
    let delivery = Delivery::by_postfix(text);
    // A failure on our side of the wire is Postfix's own affair, and it knows more about it.
    if !matches!(delivery.what, What::Reply { .. }) {
        return None;
    }
    let outcome = rulebook.rules().delivery(&delivery)?;
    let never = outcome.fate == Fate::Final && outcome.cause != Cause::Address;
    never.then(|| {
        let meaning = if outcome.cause == Cause::Content { "message refused, the address is valid" } else { "refused" };
        format!("{} sm2tp: {meaning} ({}): {text}", final_status(&outcome), outcome.rule)
    })
}

/// 5.x.x, as RFC 3463 has it for the cause where the server named none.
fn final_status(outcome: &Outcome) -> Enhanced {
    match (outcome.enhanced, outcome.cause) {
        (Some(Enhanced(_, subject, detail)), _) if (subject, detail) != (0, 0) => Enhanced(5, subject, detail),
        (_, Cause::Content | Cause::Policy | Cause::Auth) => Enhanced(5, 7, 1),
        _ => Enhanced(5, 0, 0),
    }
}

/// Whoever asks holds up a delivery, or the whole mail server: then rather no answer.
const ANSWER_MAX: Duration = Duration::from_millis(20);
/// Each takes a thread.
const DECIDING_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use sm2tp_rules::Classifier;

    use super::*;

    #[track_caller]
    fn check(key: &str, want: Option<&str>) {
        let rulebook = Rulebook::new(Classifier::shipped());
        assert_eq!(status(key, &rulebook).as_deref(), want);
    }

    #[test]
    fn a_later_that_means_never_becomes_a_rejection_and_nothing_else_changes() {
        let laposte = "host smtp4.laposte.net[160.92.124.66] said: 421 Service refuse. Veuillez essayer plus tard. LPN007_510 \
                       (in reply to end of DATA command)";
        let refused = format!("5.7.1 sm2tp: message refused, the address is valid (laposte-lpn-510): {laposte}");
        check(&format!("4.0.0 {laposte}"), Some(&refused));
        check(&format!("5.0.0 {laposte}"), None);
        for key in [
            "2.0.0 250 2.0.0 Ok: queued as SINK272",
            "4.7.1 host mx.dest.test[192.0.2.1] said: 451 4.7.1 Greylisted, try again in 300 seconds (in reply to RCPT TO command)",
            "4.1.1 host mx.dest.test[192.0.2.1] said: 450 4.1.1 User unknown (in reply to RCPT TO command)",
            "4.4.1 connect to mx.dest.test[192.0.2.1]:25: Connection refused",
            "4.4.1 delivery temporarily suspended: connect to mx.dest.test[192.0.2.1]:25: Connection refused",
            "4.0.0",
            "",
        ] {
            check(key, None);
        }
    }
}
