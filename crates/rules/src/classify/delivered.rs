//! What a mail server's own sentence about a delivery means.

use sm2tp_proto::delivery::{Asked, Delivery, Failure, What};

use super::{Classifier, Said, local};
use crate::outcome::{LocalFailure, Outcome, Stage};

impl Classifier {
    /// None where it is no new answer: told again, or about a mailbox of the machine itself.
    #[must_use]
    pub fn delivery(&self, delivery: &Delivery<'_>) -> Option<Outcome> {
        match &delivery.what {
            What::Reply { to, text } => {
                Some(self.classify(&Said { stage: stage(*to), mx: delivery.host, ..Said::of_text(text) }))
            }
            What::Failure(what) => Some(local(failure(*what))),
            What::Again | What::Other => None,
        }
    }
}

/// The stage of the rules for a command; none for logins, which only smart hosts ask for.
fn stage(asked: Asked) -> Option<Stage> {
    Some(match asked {
        Asked::Connect => Stage::Connect,
        Asked::Ehlo => Stage::Ehlo,
        Asked::StartTls => Stage::StartTls,
        Asked::Mail => Stage::Mail,
        Asked::Rcpt => Stage::Rcpt,
        Asked::Data => Stage::Data,
        Asked::EndOfData => Stage::Eod,
        Asked::Auth => return None,
    })
}

fn failure(failure: Failure) -> LocalFailure {
    match failure {
        Failure::NoSuchDomain => LocalFailure::NoSuchDomain,
        Failure::NullMx => LocalFailure::NullMx,
        Failure::NoMailHost => LocalFailure::NoMailHost,
        Failure::Dns => LocalFailure::DnsFailure,
        Failure::ConnectRefused => LocalFailure::ConnectRefused,
        Failure::ConnectTimeout => LocalFailure::ConnectTimeout,
        Failure::Timeout => LocalFailure::Timeout,
        Failure::ConnectionLost => LocalFailure::ConnectionLost,
        Failure::Tls => LocalFailure::TlsFailure,
        Failure::Unsupported => LocalFailure::Unsupported,
        Failure::Loop => LocalFailure::Loop,
        Failure::Expired => LocalFailure::Expired,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Cause;

    #[track_caller]
    fn check(text: &str, want: Option<Cause>) {
        let outcome = Classifier::shipped().delivery(&Delivery::by_postfix(text));
        assert_eq!(outcome.map(|outcome| outcome.cause), want, "{text}");
    }

    #[test]
    fn a_sentence_means_what_its_server_said_where_it_said_it() {
        let said = |text: &str, command: &str| {
            format!("host mx.dest.test[192.0.2.1] said: {text} (in reply to {command} command)")
        };
        check(&said("550 5.1.1 User unknown", "RCPT TO"), Some(Cause::Address));
        let blocked = "host mx.dest.test[192.0.2.1] refused to talk to me: 554 5.7.1 blocked using zen.spamhaus.org";
        check(blocked, Some(Cause::Ip));
        check("connect to mx.dest.test[192.0.2.1]:25: Connection refused", Some(Cause::Network));
        check("delivery temporarily suspended: connect to mx.dest.test[192.0.2.1]:25: Connection refused", None);
        check("delivered to mailbox", None);
    }
}
