//! What answers in a log mean, remembered: servers say the same to each recipient but for the address, and a log holds the same
//! answer thousands of times.

use std::sync::Arc;

use hashbrown::HashMap;
use sm2tp_proto::delivery::What;
use sm2tp_proto::log::{Outcome, Status};
use sm2tp_rules::{Cause, Classifier};

/// The classifier, and what it said lately.
pub(super) struct Meanings<'c> {
    classifier: &'c Classifier,
    known: HashMap<String, Meaning>,
    key: String,
}

#[derive(Debug, Clone)]
pub(super) struct Meaning {
    pub cause: Cause,
    pub rule: Arc<str>,
    /// Who runs the server, by the name that people know.
    pub provider: Option<Arc<str>>,
}

impl<'c> Meanings<'c> {
    pub(super) fn new(classifier: &'c Classifier) -> Self {
        Self { classifier, known: HashMap::new(), key: String::new() }
    }

    /// None for what was delivered, and for what is no new answer.
    pub(super) fn of(&mut self, outcome: &Outcome<'_>) -> Option<Meaning> {
        if outcome.status == Status::Sent {
            return None;
        }
        let What::Reply { to, text } = &outcome.delivery.what else { return self.asked(outcome) };
        if TEXT_OCTETS_MAX < text.len() {
            return self.asked(outcome);
        }
        self.key.clear();
        // The command, as one letter.
        self.key.push(char::from(b'a' + *to as u8));
        for host in [outcome.host, outcome.delivery.host] {
            self.key.push_str(host.unwrap_or_default());
            self.key.push(' ');
        }
        push_without(&mut self.key, text, outcome.recipient);
        if let Some(meaning) = self.known.get(self.key.as_str()) {
            return Some(meaning.clone());
        }
        let meaning = self.asked(outcome)?;
        // Texts with a number of their own fill it with what never comes again.
        if KNOWN_MAX <= self.known.len() {
            self.known.clear();
        }
        self.known.insert(self.key.clone(), meaning.clone());
        Some(meaning)
    }

    fn asked(&self, outcome: &Outcome<'_>) -> Option<Meaning> {
        let meaning = self.classifier.delivery(&outcome.delivery)?;
        let provider = outcome.host.and_then(|host| self.classifier.provider(host));
        let provider = provider.map(|provider| Arc::clone(&provider.name));
        Some(Meaning { cause: meaning.cause, rule: meaning.rule, provider })
    }
}

/// Puts the text behind `key`, with `@` for the recipient where it stands in angle brackets or between spaces. The classifier
/// does the same with each address before it looks for words (`classify::plain`), so texts that differ in this alone mean the
/// same. An address of other than the usual characters stays as it is.
fn push_without(key: &mut String, text: &str, recipient: &str) {
    let usual = |octet: u8| octet.is_ascii_alphanumeric() || b".@-_+=".contains(&octet);
    let local = recipient.split_once('@').filter(|(_, domain)| !domain.contains('@') && recipient.bytes().all(usual));
    let mut from = 0;
    if let Some((local, _)) = local {
        let octets = text.as_bytes();
        for at in memchr::memchr_iter(b'@', octets).filter_map(|at| at.checked_sub(local.len())) {
            let end = at + recipient.len();
            let around = (at.checked_sub(1).map(|before| octets[before]), octets.get(end).copied());
            let stands_alone = matches!(around, (Some(b'<'), Some(b'>')) | (Some(b' '), Some(b' ') | None));
            if stands_alone && octets[at..].starts_with(recipient.as_bytes()) {
                key.push_str(&text[from..at]);
                key.push('@');
                from = end;
            }
        }
    }
    key.push_str(&text[from..]);
}

/// Longer ones are rare; asking costs microseconds.
const TEXT_OCTETS_MAX: usize = 1000;
/// Some megabytes. Real logs have some hundred sentences.
const KNOWN_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use sm2tp_proto::log::{Clock, Mails, Writer};

    /// What the log of one result means: asked anew, and as it is remembered after the other lines.
    #[track_caller]
    fn check(lines: &[String]) {
        let classifier = Classifier::shipped();
        let (mut meanings, mut mails) = (Meanings::new(&classifier), Mails::new(9));
        let clock = Clock { latest: 0, offset_s: 0 };
        let mut seen = 0;
        for line in lines.iter().chain(lines) {
            mails.line(Writer::Postfix, line, &clock, |outcome| {
                seen += 1;
                let want = meanings.asked(&outcome).map(|meaning| (meaning.cause, meaning.rule));
                let got = meanings.of(&outcome).map(|meaning| (meaning.cause, meaning.rule));
                assert_eq!(got, want, "{line}");
            });
        }
        assert_eq!(seen, lines.len() * 2);
    }

    #[test]
    fn a_remembered_answer_is_the_one_that_the_classifier_gives() {
        let line = |recipient: &str, text: &str| {
            format!(
                "2026-11-21T23:49:06Z vm postfix/smtp[1]: 4jX876abc: to=<{recipient}>, relay=mx.dest.test[192.0.2.1]:25, \
                 delay=1, delays=0/0/0/1, dsn=5.0.0, status=bounced (host mx.dest.test[192.0.2.1] said: {text} (in reply to \
                 RCPT TO command))"
            )
        };
        let mut lines = Vec::new();
        for recipient in ["a@dest.test", "550-5.1.1@dest.test", "spam.blocked@dest.test", "\"full mailbox\"@dest.test"]
        {
            for text in [
                "550 5.1.1 <R>: Recipient address rejected: User unknown",
                "550 <R>: no",
                "550 R: no",
                "<R>: 550 5.1.1 User unknown",
                "554 5.7.1 <R><R>: Message blocked as spam",
                "452 4.2.2 <R> Mailbox full",
                "452-4.2.2 The inbox of R is full 452 4.2.2 https://help.test/?p=R R",
                "550 5.1.1 R",
                "R",
                "550 5.1.1 unknown or blocked: R, R. R",
            ] {
                lines.push(line(recipient, &text.replace('R', recipient)));
            }
        }
        check(&lines);
    }

    #[test]
    fn only_the_recipient_is_taken_out() {
        let check = |text: &str, recipient: &str, want: &str| {
            let mut key = String::new();
            push_without(&mut key, text, recipient);
            assert_eq!(key, want);
        };
        check("550 <a@b>: no <a@b>", "a@b", "550 <@>: no <@>");
        check("550 <a@b.test>: no", "a@b", "550 <a@b.test>: no");
        check("550 a@b: <<a@b>", "a@b", "550 a@b: <<@>");
        check("550 a@b is no a@b", "a@b", "550 @ is no @");
        check("550 aa@b a@bb a@b. a@b@b", "a@b", "550 aa@b a@bb a@b. a@b@b");
        check("550 <é@b> <", "é@b", "550 <é@b> <");
        check("550 <a@b@c> a@b@c", "a@b@c", "550 <a@b@c> a@b@c");
    }
}
