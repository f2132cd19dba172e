//! Reports on deliveries: the fields of RFC 3464, wherever they stand, and what the text adds to them.

use std::borrow::Cow;

use super::fields::{Fields, one_line};
use super::lines::Lines;
use super::mime::Mail;
use super::prose::{self, Facts, Found, Reading};
use super::returned::Returned;
use super::spot::named;
use super::{Action, Envelope, Kind, RECIPIENTS_MAX, Recipient, Report, Unnamed, kept, push_bounded, text_of, untyped};
use crate::{Address, Enhanced};

/// The fields about one recipient, as they stand.
#[derive(Debug, Default)]
struct Block {
    number: usize,
    last: Option<String>,
    original: Option<String>,
    actual: Option<String>,
    action: Option<String>,
    status: Option<String>,
    diagnostic: Option<String>,
    remote_mta: Option<String>,
}

/// Reads the status parts; false where there is none, in any form.
pub(super) fn read(mail: &Mail<'_>, envelope: &Envelope, report: &mut Report) -> bool {
    let mut blocks = Vec::new();
    for part in mail.parts.iter().filter(|part| is_status(&part.media)) {
        read_fields(&Fields::in_text(part.text()), report, &mut blocks);
    }
    let mut text = None;
    if !blocks.iter().any(Block::is_named) {
        // Gateways flatten reports into text, fields and all.
        let flat = text.insert(without_quotation(text_of(mail)));
        if let Some(start) = start_of_fields(flat) {
            let (fields, after) = fields_in(flat, start);
            read_fields(&Fields::in_text(Cow::Borrowed(fields)), report, &mut blocks);
            if report.returned.is_empty() {
                report.returned = Returned::of_text(after);
            }
        }
    }
    if !blocks.iter().any(Block::is_named) {
        return false;
    }
    report.kind = Kind::Dsn;
    settle(blocks, mail, envelope, report, text);
    true
}

/// Reads a report without fields; true where it was guessed whom it is about.
pub(super) fn read_prose(mail: &Mail<'_>, envelope: &Envelope, report: &mut Report) -> bool {
    let text = text_of(mail);
    let lines = Lines::of(&text);
    let facts = facts(envelope);
    let Reading { mut found, is_guess } = prose::recipients(&lines, &facts);
    let named = header_recipients(mail);
    if found.is_empty() || (is_guess && !named.is_empty()) {
        found = named.into_iter().map(|address| about(&lines, address, Action::Failed)).collect();
    }
    if let Some(at) = lines.returned_at.filter(|_| report.returned.is_empty()) {
        report.returned = Returned::of_text(&text[at..]);
    }
    if found.is_empty() && !envelope.may_guess {
        return false;
    }
    report.kind = Kind::Dsn;
    if found.is_empty() {
        report.unnamed = Some(unnamed(&lines, envelope));
    }
    report.is_cut |= RECIPIENTS_MAX <= found.len();
    report.recipients = found.into_iter().map(Recipient::from).collect();
    is_guess
}

/// What there is in the fields, completed from the text where they say too little.
fn settle(blocks: Vec<Block>, mail: &Mail<'_>, envelope: &Envelope, report: &mut Report, text: Option<String>) {
    report.is_cut |= RECIPIENTS_MAX < blocks.len();
    let mut nameless = Vec::new();
    for block in blocks.into_iter().take(RECIPIENTS_MAX) {
        match block.address() {
            Some(address) => add(report, block.recipient(address)),
            None => nameless.push(block),
        }
    }
    let says_all =
        report.recipients.iter().all(|recipient| recipient.diagnostic.is_some() && recipient.action.is_some());
    if says_all && nameless.is_empty() {
        return;
    }
    let text = text.unwrap_or_else(|| text_of(mail));
    let lines = Lines::of(&text);
    let found = prose::recipients(&lines, &facts(envelope)).found;
    for block in nameless {
        // A path or a pipe is no address: the text names the one whose it is.
        let others: Vec<_> =
            found.iter().filter(|found| !report.recipients.iter().any(|r| r.is(&found.address))).collect();
        if let [only] = others[..] {
            let recipient = block.recipient(only.address.clone());
            add(report, recipient);
        }
    }
    for recipient in &mut report.recipients {
        complete(recipient, &found, &lines);
    }
}

fn add(report: &mut Report, recipient: Recipient) {
    if !report.recipients.iter().any(|known| known.is(&recipient.address)) {
        report.recipients.push(recipient);
    }
}

/// What fields leave out may stand in the text.
fn complete(recipient: &mut Recipient, found: &[Found], lines: &Lines) {
    let found = found.iter().find(|found| recipient.is(&found.address));
    if recipient.diagnostic.is_none() {
        let said = prose::said_about(lines, &recipient.address);
        let words = said.or_else(|| found.map(|found| found.diagnostic.clone())).or_else(|| prose::first_reply(lines));
        let words = words.unwrap_or_else(|| prose::words_below(lines, &recipient.address));
        recipient.diagnostic = Some(words).filter(|words| !words.is_empty());
    }
    if recipient.action.is_none() {
        let of_status = recipient.status.and_then(|status| (status.0 == 2).then_some(Action::Delivered));
        recipient.action = of_status.or(found.map(|found| found.action)).or(Some(Action::Failed));
    }
}

/// `message/delivery-status` and its international sister; some gateways made up their own.
fn is_status(media: &str) -> bool {
    matches!(
        media,
        "message/delivery-status"
            | "message/global-delivery-status"
            | "message/xdelivery-status"
            | "message/x-delivery-status"
            | "text/delivery-status"
            | "application/delivery-status"
    )
}

/// The text without the `> ` of somebody who forwarded the fields of a report.
fn without_quotation(text: String) -> String {
    if !text.contains("\n>") {
        return text;
    }
    text.lines().map(|line| line.trim_start_matches(['>', ' ', '\t'])).collect::<Vec<_>>().join("\n")
}

/// Where fields of a report stand in a text.
fn start_of_fields(text: &str) -> Option<usize> {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let name = line.trim_start().split(':').next().unwrap_or("").trim_end();
        let is_field = STARTS.iter().any(|field| name.eq_ignore_ascii_case(field));
        if is_field && line.contains(':') {
            return Some(start);
        }
        start += line.len();
    }
    None
}

/// The fields, without those of the returned mail that may follow, and what follows.
fn fields_in(text: &str, start: usize) -> (&str, &str) {
    let rest = &text[start..];
    let mut end = 0;
    for line in rest.split_inclusive('\n') {
        let is_returned = ["received:", "return-path:", "--", "from:", "message-id:"]
            .iter()
            .any(|name| line.get(..name.len()).is_some_and(|at| at.eq_ignore_ascii_case(name)));
        if is_returned {
            break;
        }
        end += line.len();
    }
    rest.split_at(end)
}

fn read_fields(fields: &Fields<'_>, report: &mut Report, blocks: &mut Vec<Block>) {
    let mut current = Block::default();
    for field in fields.iter() {
        if RECIPIENTS_MAX < blocks.len() {
            break;
        }
        let Some(place) = current.place(field.name) else {
            read_message_field(field.name, field.raw, report);
            continue;
        };
        // A new block about a recipient, or the same field again without an empty line between.
        let is_full = place.is_some();
        let is_other = field.block != current.number && current.is_named();
        if is_full || is_other {
            current.end(blocks);
            current = Block { number: field.block, ..Block::default() };
        }
        current.number = field.block;
        if let Some(place) = current.place(field.name) {
            *place = Some(field.raw.to_owned());
        }
    }
    current.end(blocks);
}

fn read_message_field(name: &str, raw: &str, report: &mut Report) {
    let place = match name.to_ascii_lowercase().as_str() {
        "original-envelope-id" => &mut report.envelope_id,
        "reporting-mta" => &mut report.reporter,
        "arrival-date" => &mut report.arrival_date,
        _ => return,
    };
    if place.is_none() {
        *place = kept(&untyped(raw));
    }
}

impl Block {
    /// Where the value of this field goes; none where it says nothing about a recipient.
    fn place(&mut self, name: &str) -> Option<&mut Option<String>> {
        Some(match name.to_ascii_lowercase().as_str() {
            "final-recipient" => &mut self.last,
            "original-recipient" => &mut self.original,
            "x-actual-recipient" => &mut self.actual,
            "action" => &mut self.action,
            "status" => &mut self.status,
            "diagnostic-code" => &mut self.diagnostic,
            "remote-mta" => &mut self.remote_mta,
            _ => return None,
        })
    }

    fn is_named(&self) -> bool {
        self.last.is_some() || self.original.is_some()
    }

    /// What names nobody belongs to the recipient before: an empty line too many.
    fn end(self, blocks: &mut Vec<Self>) {
        if self.is_named() {
            blocks.push(self);
        } else if let Some(last) = blocks.last_mut() {
            last.action = last.action.take().or(self.action);
            last.status = last.status.take().or(self.status);
            last.diagnostic = last.diagnostic.take().or(self.diagnostic);
            last.remote_mta = last.remote_mta.take().or(self.remote_mta);
        }
    }

    /// Whom it is about: the final recipient where that is an address of the net, else the original.
    fn address(&self) -> Option<Address> {
        let all = [&self.last, &self.original, &self.actual];
        let usable = |value: &str| {
            let text = untyped(value);
            !text.starts_with(['@', '|', '/'])
        };
        let of_net = |address: &Address| address.domain().as_str().contains('.');
        let values = || all.iter().filter_map(|value| value.as_deref());
        values().filter(|value| usable(value)).filter_map(named).find(of_net).or_else(|| values().find_map(named))
    }

    fn recipient(self, address: Address) -> Recipient {
        let mut diagnostic = String::new();
        push_bounded(&mut diagnostic, &untyped(self.diagnostic.as_deref().unwrap_or("")));
        // x.0.0 says nothing; the words may.
        let said = enhanced(&diagnostic);
        let status = match self.status.as_deref().and_then(enhanced) {
            Some(Enhanced(class, 0, 0)) => said.filter(|said| said.0 == class).or(Some(Enhanced(class, 0, 0))),
            Some(status) => Some(status),
            None => said,
        };
        if diagnostic.is_empty() {
            // `Status: 4.0.0 (example.net: host name lookup failure)`
            let comment = |value: &str| Some(value.split_once('(')?.1.trim_end().trim_end_matches(')').to_owned());
            push_bounded(&mut diagnostic, &self.status.as_deref().and_then(comment).unwrap_or_default());
        }
        let remote = self.remote_mta.as_deref().map(one_line);
        Recipient {
            original: self.original.as_deref().and_then(named),
            address,
            action: self.action.as_deref().map(str::trim).and_then(Action::read),
            status,
            diagnostic: Some(diagnostic).filter(|words| !words.is_empty()),
            remote_mta: remote.and_then(|value| kept(untyped(&value).split(' ').next().unwrap_or(""))),
        }
    }
}

impl Recipient {
    fn is(&self, address: &Address) -> bool {
        self.address.is_same(address)
    }
}

impl From<Found> for Recipient {
    fn from(found: Found) -> Self {
        Self {
            address: found.address,
            original: None,
            action: Some(found.action),
            status: enhanced(&found.diagnostic),
            remote_mta: host_in(&found.diagnostic),
            diagnostic: Some(found.diagnostic).filter(|words| !words.is_empty()),
        }
    }
}

fn facts(envelope: &Envelope) -> Facts<'_> {
    Facts {
        own: &envelope.sent_to,
        is_report: envelope.is_report,
        is_from_nobody: envelope.is_from_nobody,
        may_guess: envelope.may_guess,
        is_delay: envelope.is_delay,
        domain: envelope.domain(),
    }
}

/// Exim, Gmail and mail.ru name recipients in the header.
fn header_recipients(mail: &Mail<'_>) -> Vec<Address> {
    let values: Vec<String> = mail.header.all("x-failed-recipients").collect();
    let spots = values.iter().flat_map(|value| super::spot::spots(value));
    spots.take(RECIPIENTS_MAX).map(|spot| spot.address).collect()
}

fn about(lines: &Lines, address: Address, action: Action) -> Found {
    let mut diagnostic = String::new();
    let said = prose::said_about(lines, &address).or_else(|| prose::first_reply(lines));
    push_bounded(&mut diagnostic, &said.unwrap_or_else(|| lines.flat.clone()));
    Found { address, action, diagnostic }
}

/// What a report says that names nobody.
fn unnamed(lines: &Lines, envelope: &Envelope) -> Unnamed {
    let mut diagnostic = String::new();
    push_bounded(&mut diagnostic, &prose::first_reply(lines).unwrap_or_else(|| lines.flat.clone()));
    let action = prose::usual(lines, &facts(envelope));
    Unnamed { action, status: enhanced(&diagnostic), diagnostic }
}

/// The first enhanced code in a text: `5.1.1`, `(#5.1.1)`, `550 5.1.1 no`.
fn enhanced(text: &str) -> Option<Enhanced> {
    let mut words = text.split(|c: char| c.is_whitespace() || "()[]<>#:;,\"=-".contains(c));
    words.find_map(|word| Enhanced::at_start(word).filter(|code| code.0 != 2 || text.len() < 12))
}

/// `host mx.example.org [192.0.2.1]: 550 …`, `host mx.example.org[192.0.2.1] said: …`: Exim's and Postfix's words.
fn host_in(words: &str) -> Option<String> {
    let after = &words[words.find("host ")? + "host ".len()..];
    let name = &after[..after.find(|c: char| !(c.is_ascii_alphanumeric() || ".-".contains(c)))?];
    let is_host = name.contains('.') && after[name.len()..].trim_start().starts_with('[');
    is_host.then(|| name.to_owned())
}

/// Fields that only reports have.
const STARTS: &[&str] = &["final-recipient", "original-recipient", "reporting-mta"];
