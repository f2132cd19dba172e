//! The part of a report for machines: fields of RFC 3464 §2, in UTF-8 where an address needs it (RFC 6533).

use std::net::IpAddr;

use mail_builder::mime::MimePart;
use sm2tp_proto::smtp::params::Form;
use sm2tp_store::spool::Mail;

use super::{Entry, Kind, Language, Said, bounded, date, failures};

pub(super) fn part<'a>(hostname: &str, mail: &Mail, entries: &[Entry], now: u64) -> MimePart<'a> {
    let form = if entries.iter().all(is_ascii) { Form::Ascii } else { Form::Utf8 };
    let text = fields(hostname, mail, entries, form, now);
    match form {
        Form::Ascii => MimePart::new("message/delivery-status", text.into_bytes()).transfer_encoding("7bit"),
        Form::Utf8 => MimePart::new("message/global-delivery-status", text.into_bytes()).transfer_encoding("8bit"),
    }
}

fn is_ascii(entry: &Entry) -> bool {
    !entry.address.needs_utf8() && entry.orcpt.as_ref().is_none_or(|orcpt| orcpt.clear(Form::Utf8).is_ascii())
}

fn fields(hostname: &str, mail: &Mail, entries: &[Entry], form: Form, now: u64) -> String {
    let mut text = String::new();
    // RFC 3464 §2.2.1: decoded, as the sender meant it.
    if let Some(envid) = &mail.options.envid {
        text.push_str(&format!("Original-Envelope-Id: {envid}\r\n"));
    }
    text.push_str(&format!("Reporting-MTA: dns; {hostname}\r\n"));
    text.push_str(&format!("Arrival-Date: {}\r\n", date(mail.received_at).to_rfc822()));
    for entry in entries {
        text.push_str("\r\n");
        recipient(entry, form, now, &mut text);
    }
    text
}

fn recipient(entry: &Entry, form: Form, now: u64, text: &mut String) {
    if let Some(orcpt) = &entry.orcpt {
        text.push_str(&format!("Original-Recipient: {}; {}\r\n", orcpt.kind(), orcpt.clear(form)));
    }
    let kind = if entry.address.needs_utf8() { "utf-8" } else { "rfc822" };
    text.push_str(&format!("Final-Recipient: {kind}; {}\r\n", entry.address.clear()));
    text.push_str(&format!("Action: {}\r\nStatus: {}\r\n", action(entry.kind), entry.status));
    if let Some(mx) = entry.said.mx() {
        text.push_str(&format!("Remote-MTA: dns; {}\r\n", mta_name(mx)));
    }
    // RFC 3464 §2.3.6: `smtp` stands before what a server said; programs that read reports go by it.
    let (kind, diagnostic) = match &entry.said {
        Said::Server { text, .. } => ("smtp", text.as_str()),
        Said::Failed { failure, .. } => ("X-SM2TP", failures::words(*failure, Language::English)),
        Said::Held { note, .. } => ("X-SM2TP", note.as_str()),
    };
    let mut diagnostic = bounded(diagnostic, DIAGNOSTIC_CHARS_MAX);
    if form == Form::Ascii {
        diagnostic = ascii(&diagnostic);
    }
    text.push_str(&format!("Diagnostic-Code: {kind}; {diagnostic}\r\n"));
    text.push_str(&format!("Last-Attempt-Date: {}\r\n", date(now).to_rfc822()));
    if let Kind::Late { until } = entry.kind {
        text.push_str(&format!("Will-Retry-Until: {}\r\n", date(until).to_rfc822()));
    }
}

/// RFC 3464 §2.1.2: a name of the type `dns` is a host name or an address in brackets (RFC 5321 §4.1.3).
fn mta_name(mx: &str) -> String {
    match mx.parse() {
        Ok(IpAddr::V4(address)) => format!("[{address}]"),
        Ok(IpAddr::V6(address)) => format!("[IPv6:{address}]"),
        Err(_) => mx.to_owned(),
    }
}

/// RFC 3464 §2.3.3.
fn action(kind: Kind) -> &'static str {
    match kind {
        Kind::Refused | Kind::Expired | Kind::Stopped => "failed",
        Kind::Late { .. } => "delayed",
        Kind::Relayed => "relayed",
        Kind::Delivered => "delivered",
    }
}

/// RFC 3464 §2: fields are US-ASCII.
fn ascii(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect()
}

/// RFC 5322 §2.1.1: a line has at most 998 octets; four of them may make one character.
const DIAGNOSTIC_CHARS_MAX: usize = 240;
