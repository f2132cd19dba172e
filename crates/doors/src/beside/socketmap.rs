//! Tables that a mail server asks over a socket. `dsn` is the one that Postfix's `smtp_delivery_status_filter` wants: it
//! turns an answer that says "later" and means "never" into a rejection at once, by the rules of the relay.

use std::future::Future;

use sm2tp_proto::Enhanced;
use sm2tp_proto::delivery::{Delivery, What};
use sm2tp_proto::socketmap::{Answer, Query, QueryReader, SocketmapError};
use sm2tp_rules::classify::Rulebook;
use sm2tp_rules::outcome::{Cause, Fate, Outcome};

use super::{Conversation, Listener, Next};

/// Serves one listener until `stop` is done.
pub async fn serve(listener: Listener, rulebook: Rulebook, stop: impl Future<Output = ()> + Send) {
    super::serve(listener, "socketmap", || Asking { reader: QueryReader::default(), rulebook: rulebook.clone() }, stop)
        .await;
}

struct Asking {
    reader: QueryReader,
    rulebook: Rulebook,
}

impl Conversation for Asking {
    type Error = SocketmapError;

    fn feed(&mut self, octets: &[u8]) {
        self.reader.feed(octets);
    }

    async fn answer(&mut self) -> Result<Next, SocketmapError> {
        let query = self.reader.next_query()?;
        Ok(query.map_or(Next::More, |query| Next::Say(look_up(&query, &self.rulebook).to_string().into_bytes())))
    }
}

/// From memory, and within microseconds: whoever asks holds up a delivery meanwhile.
fn look_up(query: &Query, rulebook: &Rulebook) -> Answer {
    match query.name.as_str() {
        "dsn" => status(&query.key, rulebook).map_or(Answer::NotFound, Answer::Found),
        // Not TEMP: a table that is not there must not stop mail.
        _ => Answer::NotFound,
    }
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

#[cfg(test)]
mod tests {
    use sm2tp_rules::Classifier;

    use super::*;

    #[track_caller]
    fn check(name: &str, key: &str, want: Option<&str>) {
        let rulebook = Rulebook::new(Classifier::shipped());
        let answer = look_up(&Query { name: name.into(), key: key.into() }, &rulebook);
        assert_eq!(answer, want.map_or(Answer::NotFound, |want| Answer::Found(want.into())));
    }

    #[test]
    fn a_later_that_means_never_becomes_a_rejection_and_nothing_else_changes() {
        let laposte = "host smtp4.laposte.net[160.92.124.66] said: 421 Service refuse. Veuillez essayer plus tard. LPN007_510 \
                       (in reply to end of DATA command)";
        let refused = format!("5.7.1 sm2tp: message refused, the address is valid (laposte-lpn-510): {laposte}");
        check("dsn", &format!("4.0.0 {laposte}"), Some(&refused));
        check("dsn", &format!("5.0.0 {laposte}"), None);
        check("routes", &format!("4.0.0 {laposte}"), None);
        for key in [
            "2.0.0 250 2.0.0 Ok: queued as SINK272",
            "4.7.1 host mx.dest.test[192.0.2.1] said: 451 4.7.1 Greylisted, try again in 300 seconds (in reply to RCPT TO command)",
            "4.1.1 host mx.dest.test[192.0.2.1] said: 450 4.1.1 User unknown (in reply to RCPT TO command)",
            "4.4.1 connect to mx.dest.test[192.0.2.1]:25: Connection refused",
            "4.4.1 delivery temporarily suspended: connect to mx.dest.test[192.0.2.1]:25: Connection refused",
            "4.0.0",
            "",
        ] {
            check("dsn", key, None);
        }
    }
}
