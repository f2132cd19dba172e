//! `sm2tp report`: mails that report on mails, what they claim about whom, and what that means.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};
use sm2tp_proto::Address;
use sm2tp_proto::report::{Action, Kind, MAIL_OCTETS_MAX, Recipient, Report};
use sm2tp_proto::token::{self, Token};
use sm2tp_rules::outcome::Fate;
use sm2tp_rules::{Classifier, Outcome, Said};

use crate::{Exit, Failure};

/// Reads each file; one answer for each, in order, so that a program can pair them by number. What cannot be read is said
/// on standard error and answered as no report.
pub fn run(classifier: &Classifier, files: &[PathBuf], as_json: bool) -> Result<ExitCode, Failure> {
    let mut output = BufWriter::new(io::stdout().lock());
    let mut faults = Vec::new();
    for file in files {
        let name = shown(&file.to_string_lossy());
        let read = content(file).map_err(|error| error.to_string());
        let report = read.and_then(|octets| Report::read(&octets).map_err(|error| format!("no mail: {error}")));
        let report = report.map_err(|fault| faults.push(format!("{name}: {fault}"))).ok();
        let text = match (as_json, &report) {
            (true, report) => in_json(report.as_ref(), classifier).to_string(),
            (false, Some(report)) => in_words(&name, report, classifier),
            (false, None) => continue,
        };
        // Whoever reads us may have had enough: then there is nobody left to tell.
        if writeln!(output, "{text}").is_err() {
            return Ok(ExitCode::SUCCESS);
        }
    }
    let _ = output.flush();
    if faults.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    // Said apart, with --json too: standard output has an answer for each file and no other.
    eprintln!("{}", faults.join("\n"));
    Ok(ExitCode::from(Exit::Input as u8))
}

/// What a report means for one recipient; none where it is no bounce and no delay.
pub fn outcome(report: &Report, recipient: &Recipient, classifier: &Classifier) -> Option<Outcome> {
    matches!(recipient.action, Some(Action::Failed | Action::Delayed))
        .then(|| classifier.classify(&Said::reported(recipient, report.reporter.as_deref())))
}

/// The file, as far as it is looked at: CRLF may double it, and one octet more tells that there was more.
fn content(file: &Path) -> io::Result<Vec<u8>> {
    let octets_max = 2 * MAIL_OCTETS_MAX as u64 + 1;
    let mut octets = Vec::new();
    if file == Path::new("-") {
        io::stdin().lock().take(octets_max).read_to_end(&mut octets)?;
    } else {
        File::open(file)?.take(octets_max).read_to_end(&mut octets)?;
    }
    Ok(octets)
}

/// The object of `DESIGN.md` §7.
fn in_json(report: Option<&Report>, classifier: &Classifier) -> Value {
    let recipients: Vec<Value> = report.map_or_else(Vec::new, |report| {
        report.recipients.iter().map(|recipient| recipient_in_json(report, recipient, classifier)).collect()
    });
    let feedback = report.and_then(|report| report.feedback.as_ref());
    json!({
        "kind": report.map_or(Kind::Other, |report| report.kind).as_str(),
        "recipients": recipients,
        "token": report.and_then(token),
        "feedback_type": feedback.map(|feedback| &feedback.kind),
        "source_ip": feedback.and_then(|feedback| feedback.source_ip),
        "message_id": report.and_then(|report| report.returned.message_id()),
    })
}

fn recipient_in_json(report: &Report, recipient: &Recipient, classifier: &Classifier) -> Value {
    let outcome = outcome(report, recipient, classifier);
    json!({
        "address": recipient.address.clear(),
        "action": recipient.action.map(Action::as_str),
        "status": recipient.status.map(|status| status.to_string()),
        "diagnostic": recipient.diagnostic,
        "cause": outcome.as_ref().map(|outcome| outcome.cause),
        "message": outcome.as_ref().map(|outcome| fate(recipient, outcome)),
    })
}

/// A report of a delay says that its server still tries, whatever it was told.
fn fate(recipient: &Recipient, outcome: &Outcome) -> Fate {
    if recipient.action == Some(Action::Delayed) { Fate::Later } else { outcome.fate }
}

/// A few lines for a person.
fn in_words(name: &str, report: &Report, classifier: &Classifier) -> String {
    let mut lines = vec![format!("{name}: {}", title(report))];
    for recipient in &report.recipients {
        let action = recipient.action.map_or("complained", Action::as_str);
        let status = recipient.status.map(|status| format!(" {status}")).unwrap_or_default();
        let cause = outcome(report, recipient, classifier).map(|outcome| {
            let sub = outcome.sub.as_deref().map(|sub| format!("/{sub}")).unwrap_or_default();
            format!("  {}{sub} message={} rule={}", outcome.cause, fate(recipient, &outcome), outcome.rule)
        });
        lines.push(format!("  {} {action}{status}{}", recipient.address.clear(), cause.unwrap_or_default()));
        lines.extend(recipient.diagnostic.as_ref().map(|words| format!("    {words}")));
    }
    if let Some(unnamed) = &report.unnamed
        && report.recipients.is_empty()
    {
        lines.push(format!("  names nobody: {}", unnamed.diagnostic));
    }
    let feedback = report.feedback.as_ref();
    let facts = [
        ("token", token(report)),
        ("envelope", report.envelope_id.clone()),
        ("message", report.returned.message_id()),
        ("source", feedback.and_then(|feedback| feedback.source_ip).map(|ip| ip.to_string())),
        ("reporter", report.reporter.clone().or_else(|| feedback?.user_agent.clone())),
        ("arrived", report.arrival_date.clone()),
    ];
    lines.extend(facts.into_iter().filter_map(|(what, value)| Some(format!("  {what} {}", value?))));
    if report.is_cut {
        lines.push("  it is longer than what was read of it".to_owned());
    }
    shown_lines(&lines)
}

fn title(report: &Report) -> String {
    match (report.kind, &report.feedback) {
        (Kind::Dsn, _) if report.recipients.iter().any(|r| r.action == Some(Action::Failed)) => "bounce".to_owned(),
        (Kind::Dsn, _) if report.recipients.is_empty() => "report on a delivery".to_owned(),
        (Kind::Dsn, _) => "report on a delivery, no bounce".to_owned(),
        (Kind::Arf, Some(feedback)) if feedback.is_redacted => {
            format!("complaint ({}), recipient hidden", feedback.kind)
        }
        (Kind::Arf, Some(feedback)) => format!("complaint ({})", feedback.kind),
        (Kind::Arf, None) => "complaint".to_owned(),
        (Kind::AutoReply, _) => "automatic reply".to_owned(),
        (Kind::Challenge, _) => "question whether the sender is a person".to_owned(),
        (Kind::Receipt, _) => "receipt of a mail program".to_owned(),
        (Kind::Other, _) => "no report".to_owned(),
    }
}

/// What looks like a token of a return path: where the report was sent, in its fields, in our field of the returned mail.
fn token(report: &Report) -> Option<String> {
    let local = |address: &Address| address.clear().rsplit_once('@').map(|(local, _)| local.to_owned());
    let mut places: Vec<String> = report.sent_to.iter().filter_map(local).collect();
    places.extend(report.envelope_id.clone());
    places.extend(report.mail_from.as_ref().and_then(local));
    places.extend(report.returned.field(token::FIELD));
    places.iter().find_map(|text| {
        let text = text.rsplit('+').next().unwrap_or(text).trim().to_ascii_lowercase();
        Token::unchecked(&text).is_ok().then_some(text)
    })
}

/// A name of a file may hold commands for the terminal.
fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn shown_lines(lines: &[String]) -> String {
    lines.iter().map(|line| shown(line)).collect::<Vec<_>>().join("\n")
}
