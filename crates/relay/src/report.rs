//! Reports to senders: what was not delivered, why, and in whose words (RFC 3464, RFC 6522).

use mail_builder::MessageBuilder;
use mail_builder::headers::date::Date;
use mail_builder::headers::message_id::MessageId;
use mail_builder::headers::raw::Raw;
use mail_builder::mime::MimePart;
use sm2tp_proto::Address;
use sm2tp_proto::smtp::{MailOptions, Notify, RcptOptions};
use sm2tp_rules::Stream;
use sm2tp_store::spool::{Lane, Mail, NewMail, NewRecipient};

/// Language of the part that people read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    English,
    French,
}

/// Who reports.
#[derive(Debug, Clone)]
pub struct Reporter {
    pub hostname: String,
    pub language: Language,
}

/// One recipient that did not get the mail.
#[derive(Debug, Clone)]
pub struct Failure {
    pub address: Address,
    /// Enhanced status code, `5.1.1`; RFC 3464 §2.3.4 wants one.
    pub status: String,
    /// What the server said, as it said it; or our own words.
    pub diagnostic: String,
    /// The server that said it.
    pub mx: Option<String>,
    pub kind: Kind,
}

/// Why there is a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Refused,
    Expired,
    /// Not sent: what is known about the address speaks against it.
    Stopped,
}

impl Reporter {
    /// The report about `failures`, ready for the spool; none for mail with the null return path, which nobody waits
    /// for (RFC 5321 §4.5.5).
    #[must_use]
    pub fn report(&self, mail: &Mail, header: &str, failures: &[Failure], now: u64) -> Option<NewMail> {
        let to = mail.mail_from.clone()?;
        let content = self.compose(mail, &to, header, failures, now);
        let recipient = NewRecipient {
            address: to,
            lane: Lane::Normal,
            note: None,
            canary: false,
            options: RcptOptions { notify: Some(Notify::NEVER), orcpt: None },
        };
        Some(NewMail {
            org: mail.org.clone(),
            login: None,
            stream: Stream::Transactional,
            mail_from: None,
            message_id: Some(self.message_id(mail, now)),
            received_at: now,
            recipients: vec![recipient],
            held_until: 0,
            content: content.into(),
            is_report: true,
            options: MailOptions::default(),
        })
    }

    fn compose(&self, mail: &Mail, to: &Address, header: &str, failures: &[Failure], now: u64) -> Vec<u8> {
        let words = self.words();
        let from = format!("MAILER-DAEMON@{}", self.hostname);
        let parts = vec![
            MimePart::new("text/plain; charset=utf-8", self.explain(failures)),
            MimePart::new("message/delivery-status", self.status(mail, failures, now)).transfer_encoding("7bit"),
            MimePart::new("text/rfc822-headers", header.to_owned()).transfer_encoding("8bit"),
        ];
        MessageBuilder::new()
            .message_id(MessageId::new(self.message_id(mail, now)))
            .date(Date::new(i64::try_from(now).unwrap_or(i64::MAX)))
            .from((words.from, from.as_str()))
            .to(to.clear())
            .subject(words.subject)
            // RFC 3834 §5: no robot answers to a robot.
            .header("Auto-Submitted", Raw::new("auto-replied"))
            .body(MimePart::new("multipart/report; report-type=delivery-status", parts))
            .write_to_vec()
            .unwrap_or_default()
    }

    /// The part for people: each recipient, what happened in one sentence, and the server's own words.
    fn explain(&self, failures: &[Failure]) -> String {
        let words = self.words();
        let mut text = format!("{}\r\n", words.intro);
        for failure in failures {
            let sentence = match failure.kind {
                Kind::Refused => words.refused,
                Kind::Expired => words.expired,
                Kind::Stopped => words.stopped,
            };
            text.push_str(&format!("\r\n  {}\r\n    {sentence}\r\n", failure.address.clear()));
            if let Some(mx) = &failure.mx {
                text.push_str(&format!("    {} {mx}\r\n", words.server));
            }
            text.push_str(&format!("    {}\r\n", bounded(&failure.diagnostic, EXPLAIN_CHARS_MAX)));
        }
        text.push_str(&format!("\r\n{}\r\n", words.outro));
        text
    }

    /// The part for machines, RFC 3464 §2.
    fn status(&self, mail: &Mail, failures: &[Failure], now: u64) -> String {
        let arrived = Date::new(i64::try_from(mail.received_at).unwrap_or(i64::MAX)).to_rfc822();
        let last = Date::new(i64::try_from(now).unwrap_or(i64::MAX)).to_rfc822();
        let mut text = format!("Reporting-MTA: dns; {}\r\nArrival-Date: {arrived}\r\n", self.hostname);
        for failure in failures {
            text.push_str(&format!(
                "\r\nFinal-Recipient: rfc822; {}\r\nAction: failed\r\nStatus: {}\r\n",
                failure.address.clear(),
                failure.status
            ));
            if let Some(mx) = &failure.mx {
                text.push_str(&format!("Remote-MTA: dns; {mx}\r\n"));
            }
            let kind = if failure.mx.is_some() { "smtp" } else { "X-SM2TP" };
            let diagnostic = bounded(&failure.diagnostic, DIAGNOSTIC_CHARS_MAX);
            text.push_str(&format!("Diagnostic-Code: {kind}; {}\r\nLast-Attempt-Date: {last}\r\n", ascii(&diagnostic)));
        }
        text
    }

    fn message_id(&self, mail: &Mail, now: u64) -> String {
        format!("report.{}.{now}@{}", mail.id, self.hostname)
    }

    fn words(&self) -> &'static Words {
        match self.language {
            Language::English => &ENGLISH,
            Language::French => &FRENCH,
        }
    }
}

/// The header of a message, up to the empty line, cut at [`HEADER_OCTETS_MAX`] between two lines.
#[must_use]
pub fn header_of(content: &[u8]) -> String {
    let end = content.windows(4).position(|four| four == b"\r\n\r\n").map_or(content.len(), |at| at + 2);
    let mut header = String::from_utf8_lossy(&content[..end.min(HEADER_OCTETS_MAX)]).into_owned();
    if HEADER_OCTETS_MAX < end {
        header.truncate(header.rfind("\r\n").map_or(0, |at| at + 2));
    }
    header
}

struct Words {
    from: &'static str,
    subject: &'static str,
    intro: &'static str,
    refused: &'static str,
    expired: &'static str,
    stopped: &'static str,
    server: &'static str,
    outro: &'static str,
}

const ENGLISH: Words = Words {
    from: "Mail delivery",
    subject: "Your message could not be delivered",
    intro: "Your message could not be delivered to the following recipients.",
    refused: "The recipient's mail server refused it and said:",
    expired: "It could not be delivered in time; the last trouble was:",
    stopped: "It was not sent:",
    server: "Server:",
    outro: "The header of your message is attached. Nobody reads answers to this report; please ask your postmaster.",
};

const FRENCH: Words = Words {
    from: "Distribution du courrier",
    subject: "Votre message n'a pas pu être distribué",
    intro: "Votre message n'a pas pu être distribué aux destinataires suivants.",
    refused: "Le serveur du destinataire l'a refusé en disant :",
    expired: "Il n'a pas pu être distribué à temps ; dernier incident :",
    stopped: "Il n'a pas été envoyé :",
    server: "Serveur :",
    outro: "L'en-tête de votre message est joint. Personne ne lit les réponses à ce rapport : \
        adressez-vous à votre postmaster.",
};

/// One line, without what could forge another field or frighten a terminal.
fn bounded(text: &str, chars_max: usize) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(chars_max).collect()
}

/// RFC 3464 §2: fields are US-ASCII.
fn ascii(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect()
}

/// RFC 5322 §2.1.1: a line has at most 998 octets.
const DIAGNOSTIC_CHARS_MAX: usize = 900;
const EXPLAIN_CHARS_MAX: usize = 2000;
const HEADER_OCTETS_MAX: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn report(language: Language) -> String {
        let mail = Mail {
            id: 7,
            org: "asso".into(),
            login: None,
            stream: Stream::Personal,
            mail_from: Some(Address::parse("anna@asso.example").unwrap()),
            message_id: None,
            received_at: 1_800_000_000,
            octets: 10,
            is_report: false,
            options: MailOptions::default(),
        };
        let failure = Failure {
            address: Address::parse("jean@x.example").unwrap(),
            status: "5.1.1".into(),
            diagnostic: "550 5.1.1 unknown\r\nX-Evil: 1 été".into(),
            mx: Some("mx.x.example".into()),
            kind: Kind::Refused,
        };
        let reporter = Reporter { hostname: "relay.example.org".into(), language };
        let header = header_of(b"Subject: hello\r\nFrom: a@b\r\n\r\nsecret body");
        let mail = reporter.report(&mail, &header, &[failure], 1_800_000_100).unwrap();
        assert_eq!(mail.mail_from, None);
        String::from_utf8(mail.content.to_vec()).unwrap()
    }

    #[test]
    fn a_report_says_who_why_and_what_without_the_body() {
        let text = report(Language::English);
        for want in [
            "Content-Type: multipart/report; report-type=delivery-status",
            "Content-Type: message/delivery-status",
            "Final-Recipient: rfc822; jean@x.example",
            "Action: failed",
            "Status: 5.1.1",
            "Remote-MTA: dns; mx.x.example",
            "Diagnostic-Code: smtp; 550 5.1.1 unknown  X-Evil: 1 ?t?",
            "Auto-Submitted: auto-replied",
            "Subject: hello",
            "Message-ID: <report.7.1800000100@relay.example.org>",
        ] {
            assert!(text.contains(want), "{want} is not in\n{text}");
        }
        assert!(!text.contains("secret body"));
        assert!(!text.contains("\r\nX-Evil"));
    }

    #[test]
    fn the_part_for_people_speaks_french_where_wanted() {
        let text = report(Language::French);
        assert!(text.contains("distribu"), "{text}");
    }
}
