//! What a report says, in the words of those who count it.

use sm2tp_proto::Address;
use sm2tp_proto::report::{Action, Kind, Report};
use sm2tp_proto::token::Token;
use sm2tp_rules::returned::{self, By, Places};
use sm2tp_rules::{Classifier, Said, Stage};
use sm2tp_store::returns::{Failed, Found};
use sm2tp_store::told::{Answer, Verdict};

use super::{Back, local};

/// A report, and whose it is as far as it can prove that.
pub(super) struct Reading {
    pub found: Found,
    pub whose: Option<(By, Token)>,
}

impl Reading {
    /// No mail at all: the token alone says nothing.
    pub(super) fn unreadable() -> Self {
        let (kind, word) = (returned::Kind::Other, "unreadable".to_owned());
        Self { found: Found { kind, word, failed: Vec::new(), message_id: None, feedback: None }, whose: None }
    }
}

/// Reads a report that came to `token`, or to an address for everybody. `open` checks a token, and that it is fresh enough.
pub(super) fn read(
    content: &[u8],
    token: Option<&str>,
    back: &Back,
    classifier: &Classifier,
    open: impl Fn(&str) -> Option<Token>,
) -> Reading {
    let Ok(report) = Report::read(content) else { return Reading::unreadable() };
    // Where the envelope is gone, the servers on the way may have noted to whom it came.
    let noted: Vec<String> = report.sent_to.iter().filter(|to| back.is_ours(to)).map(local).collect();
    let mail_from = report.mail_from.as_ref().filter(|from| back.is_ours(from)).map(local);
    let header = report.returned.field(sm2tp_proto::token::FIELD);
    let rcpt = token.or_else(|| noted.iter().map(String::as_str).find(|local| open(local).is_some()));
    let envid = report.envelope_id.as_deref();
    let places = Places { rcpt, envid, mail_from: mail_from.as_deref(), header: header.as_deref() };
    let whose = returned::attribute(&places, open);
    Reading { found: found(&report, classifier), whose }
}

fn found(report: &Report, classifier: &Classifier) -> Found {
    let failed: Vec<Failed> = failures(report, classifier);
    let feedback = report.feedback.as_ref().map(|feedback| feedback.kind.clone());
    let kind = match (report.kind, feedback.as_deref()) {
        (Kind::Dsn, _) if !failed.is_empty() => returned::Kind::Failure,
        // RFC 6591: what a server found out is no person's complaint. RFC 6430: nor is the opposite of one.
        (Kind::Arf, Some("auth-failure" | "not-spam" | "virus" | "dmarc")) => returned::Kind::Other,
        (Kind::Arf, _) => returned::Kind::Complaint,
        _ => returned::Kind::Other,
    };
    let message_id = report.returned.message_id().map(|id| id.trim_matches(['<', '>']).to_owned());
    Found { kind, word: word(report, kind).to_owned(), failed, message_id, feedback }
}

/// Fixed words, so that nobody fills the counters with others.
fn word(report: &Report, kind: returned::Kind) -> &'static str {
    match (kind, report.kind) {
        (returned::Kind::Failure, _) => "failed",
        (returned::Kind::Complaint, _) => "complaint",
        (_, Kind::Dsn) => "no-failure",
        (_, Kind::Arf) => "feedback",
        (_, Kind::AutoReply) => "autoreply",
        (_, Kind::Challenge) => "challenge",
        (_, Kind::Receipt) => "receipt",
        (_, Kind::Other) => "other",
    }
}

/// What failed, with the classifier's word on each. A delay, a delivery, an expansion is no failure, whatever stands
/// beside it.
fn failures(report: &Report, classifier: &Classifier) -> Vec<Failed> {
    let named = report.recipients.iter().filter(|recipient| recipient.action == Some(Action::Failed));
    let named = named.map(|recipient| Failed {
        recipient: Some(recipient.original.clone().unwrap_or_else(|| recipient.address.clone())),
        led_to: recipient.original.is_some().then(|| recipient.address.clone()),
        answer: classified(&Said::reported(recipient, report.reporter.as_deref()), classifier),
    });
    let named: Vec<Failed> = named.collect();
    if !named.is_empty() || !report.recipients.is_empty() {
        return named;
    }
    let unnamed = report.unnamed.iter().filter(|unnamed| unnamed.action == Action::Failed);
    unnamed
        .map(|unnamed| Failed {
            recipient: None,
            led_to: None,
            answer: classified(&Said::of_unnamed(unnamed), classifier),
        })
        .collect()
}

fn classified(said: &Said<'_>, classifier: &Classifier) -> Answer {
    let outcome = classifier.classify(said);
    Answer {
        stage: Some(Stage::Dsn),
        mx: said.mx.map(str::to_owned),
        code: outcome.code,
        enhanced: outcome.enhanced,
        text: said.text.to_owned(),
        provider: outcome.provider.as_deref().map(str::to_owned),
        verdict: Some(Verdict { rules: Some(classifier.version().to_string()), ..Verdict::from(&outcome) }),
        ..Answer::default()
    }
}

/// Whether a mail is a report of a machine: what a person writes to a return path is to be refused, not swallowed.
pub(crate) fn is_from_a_machine(content: &[u8]) -> bool {
    Report::read(content).is_ok_and(|report| report.kind != Kind::Other)
}

/// The sender's own address, to which reports are passed on.
pub(super) fn sender(text: Option<&str>) -> Option<Address> {
    text.and_then(|text| Address::parse(text).ok())
}
