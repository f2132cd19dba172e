//! Complaints: the fields of RFC 5965 wherever they stand, and those who complain without them.

use std::borrow::Cow;
use std::net::IpAddr;

use super::fields::Fields;
use super::mime::Mail;
use super::spot::named;
use super::{Envelope, Feedback, Kind, RECIPIENTS_MAX, Recipient, Report, kept, text_of, untyped};
use crate::Address;

/// Reads a complaint; false where it is none.
pub(super) fn read(mail: &Mail<'_>, envelope: &Envelope, report: &mut Report) -> bool {
    let part = mail.parts.iter().find(|part| part.media == "message/feedback-report");
    if let Some(part) = part {
        read_fields(&Fields::in_text(part.text()), report);
    } else if mail.report_type.as_deref() == Some("feedback-report") || is_complaint_as_text(mail) {
        // The part was called text, or lost its type on the way.
        let text = text_of(mail);
        read_fields(&Fields::in_text(Cow::Borrowed(&text)), report);
    } else if !read_without_fields(mail, envelope, report) {
        return false;
    }
    report.kind = Kind::Arf;
    if report.recipients.is_empty() {
        add_all(report, recipients_of_returned(report));
    }
    if report.mail_from.is_none() {
        report.mail_from = report.returned.field("return-path").as_deref().and_then(named);
    }
    true
}

fn read_fields(fields: &Fields<'_>, report: &mut Report) {
    let kind = fields.first("feedback-type").map(|kind| kind.to_ascii_lowercase());
    let mut redacted = fields.has("redacted-address");
    for name in ["original-rcpt-to", "original-recipient", "removal-recipient", "x-original-rcpt-to"] {
        let values: Vec<String> = fields.all(name).take(RECIPIENTS_MAX + 1).collect();
        redacted |= values.iter().any(|value| is_placeholder(value));
        add_all(report, values.iter().filter_map(|value| named(value)).collect());
    }
    let agent = fields.first("user-agent");
    report.envelope_id = fields.first("original-envelope-id").and_then(|id| kept(&id));
    report.mail_from = fields.first("original-mail-from").as_deref().and_then(named);
    report.reporter = fields.first("reporting-mta").and_then(|mta| kept(&untyped(&mta)));
    report.arrival_date =
        fields.first("arrival-date").or_else(|| fields.first("received-date")).and_then(|date| kept(&date));
    report.feedback = Some(Feedback {
        kind: kind.and_then(|kind| kept(&kind)).unwrap_or_else(|| "abuse".to_owned()),
        source_ip: fields.first("source-ip").as_deref().and_then(address_in),
        user_agent: agent.and_then(|agent| kept(&agent)),
        auth_failure: fields.first("auth-failure").and_then(|kind| kept(&kind.to_ascii_lowercase())),
        is_redacted: redacted,
    });
}

/// Hotmail's old programme sends the mail as an attachment, its recipient in a field of it; Apple sends who wants no more
/// mail as the author of an empty one.
fn read_without_fields(mail: &Mail<'_>, envelope: &Envelope, report: &mut Report) -> bool {
    if mail.header.has("x-apple-unsubscribe") {
        add_all(report, envelope.from.clone().into_iter().collect());
        report.feedback = Some(plain("opt-out", None));
        return true;
    }
    let is_jmrp = report.returned.field("x-hmxmroriginalrecipient").is_some()
        || envelope.subject.starts_with("complaint about message from");
    if is_jmrp {
        let address = envelope.subject.rsplit(' ').next().and_then(address_in);
        let agent = mail.header.first("x-mailer").and_then(|name| kept(&name));
        report.feedback = Some(Feedback { user_agent: agent, ..plain("abuse", address) });
    }
    is_jmrp
}

fn plain(kind: &str, source_ip: Option<IpAddr>) -> Feedback {
    Feedback { kind: kind.to_owned(), source_ip, user_agent: None, auth_failure: None, is_redacted: false }
}

/// Whom the mail was for that is complained about.
fn recipients_of_returned(report: &Report) -> Vec<Address> {
    for name in ["x-hmxmroriginalrecipient", "x-original-to", "delivered-to", "x-rcpt-to", "to"] {
        let found = report.returned.addresses(name);
        if !found.is_empty() {
            return found;
        }
    }
    Vec::new()
}

fn add_all(report: &mut Report, addresses: Vec<Address>) {
    for address in addresses {
        if RECIPIENTS_MAX <= report.recipients.len() {
            report.is_cut = true;
            return;
        }
        if !report.recipients.iter().any(|known| known.address.is_same(&address)) {
            let (original, diagnostic, remote_mta) = (None, None, None);
            report.recipients.push(Recipient { address, original, action: None, status: None, diagnostic, remote_mta });
        }
    }
}

/// A text that begins with the fields of a complaint.
fn is_complaint_as_text(mail: &Mail<'_>) -> bool {
    mail.parts.iter().filter(|part| part.media.starts_with("text/")).any(|part| {
        let text = part.text();
        let start = text.trim_start();
        start.get(..14).is_some_and(|name| name.eq_ignore_ascii_case("feedback-type:"))
    })
}

/// Comcast and Rackspace send a hash instead of the recipient, AOL the word `redacted` (RFC 6590).
fn is_placeholder(value: &str) -> bool {
    let local = value.split('@').next().unwrap_or("").rsplit(['<', ' ', ';']).next().unwrap_or("");
    ["redacted", "hashed", "undisclosed", "unknown"].iter().any(|word| local.eq_ignore_ascii_case(word))
        || (HASH_OCTETS_MIN <= local.len() && local.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// `192.0.2.1`, `[192.0.2.1]`, `IPv6:2001:db8::1`.
fn address_in(value: &str) -> Option<IpAddr> {
    let value = value.trim().trim_matches(['[', ']', '(', ')', ',']);
    let value = value.split(' ').next().unwrap_or(value);
    value.strip_prefix("IPv6:").unwrap_or(value).parse().ok()
}

/// MD5 in hexadecimal; mailboxes of so many digits are rare.
const HASH_OCTETS_MIN: usize = 32;
