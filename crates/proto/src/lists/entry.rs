//! One record of a list: whom it is about, why, and since when.

use serde_json::Value;

use super::columns::{self, Role};
use super::dates;
use super::{Entry, Fault, Format, Line, Reason, Who};
use crate::{Address, Domain, Enhanced};

/// What a record says, column by column.
#[derive(Debug, Default)]
pub(super) struct Fields<'a> {
    address: Option<&'a str>,
    reason: Option<Reason>,
    code: Option<u16>,
    enhanced: Option<Enhanced>,
    text: Option<&'a str>,
    date: Option<&'a str>,
    origin: Option<&'a str>,
    blocked: Option<bool>,
    bounces: Option<&'a str>,
    score: Option<f64>,
    tag: [Option<&'a str>; 3],
    org: Option<&'a str>,
    stream: Option<&'a str>,
    is_weak: bool,
    is_inactive: bool,
    has_ip: bool,
    has_tags: bool,
    /// What happened stops nobody.
    is_no_failure: bool,
}

impl<'a> Fields<'a> {
    /// Takes one value. The first of a kind holds.
    pub(super) fn take(&mut self, role: Role, value: &'a str) {
        match role {
            Role::Ip => self.has_ip = true,
            Role::Tags => self.has_tags = true,
            _ if value.is_empty() => {}
            // Mailman's REST names a page of the member `address`.
            Role::Address if value.contains("://") => {}
            Role::Address => _ = self.address.get_or_insert(value),
            Role::Reason | Role::Status | Role::Text => self.said(value),
            Role::Event => match columns::event(value) {
                Some(reason) => _ = self.reason.get_or_insert(reason),
                None => self.is_no_failure = true,
            },
            Role::Date => _ = self.date.get_or_insert(value),
            Role::Origin => _ = self.origin.get_or_insert(value),
            Role::Blocked => self.blocked = self.blocked.or_else(|| yes(value)),
            Role::Bounces => _ = self.bounces.get_or_insert(value),
            Role::Score => self.score = self.score.or_else(|| value.parse().ok()),
            Role::Tag => self.tag[0] = Some(value),
            Role::KeyId => self.tag[1] = Some(value),
            Role::Domain => self.tag[2] = Some(value),
            Role::Org => self.org = Some(value),
            Role::Stream => self.stream = Some(value),
            Role::Strength => (self.is_weak, self.is_inactive) = (value == "weak", value == "inactive"),
            Role::Ignored => {}
        }
    }

    /// A field of a record without names: what it is shows by itself.
    pub(super) fn guess(&mut self, value: &'a str) {
        if self.address.is_none() && value.contains('@') {
            self.address = Some(value);
        } else if let Some(reason) = columns::reason(value) {
            self.reason.get_or_insert(reason);
        } else if self.date.is_none() && matches!(dates::date(value), Ok(Some(_))) {
            self.date = Some(value);
        } else if self.text.is_none() && value.starts_with(['4', '5']) {
            self.said(value);
        }
    }

    /// A word for a reason, a code, or the words of a server: providers put all of them into columns of the same name.
    fn said(&mut self, value: &'a str) {
        if let Some(reason) = columns::reason(value) {
            self.reason.get_or_insert(reason);
            return;
        }
        if columns::is_no_failure(value) {
            self.is_no_failure = true;
            return;
        }
        let code = value.get(..3).and_then(|digits| digits.parse().ok()).filter(|code| (400..600).contains(code));
        let code = code.filter(|_| !value[3..].starts_with(|c: char| c.is_ascii_digit() || c == '.'));
        self.code = self.code.or(code);
        let words = code.map_or(value, |_| value[3..].trim_start_matches([' ', '-']));
        self.enhanced = self.enhanced.or_else(|| Enhanced::at_start(words));
        let is_code = value.len() < 12 && value.bytes().all(|octet| octet.is_ascii_digit() || octet == b'.');
        if !is_code {
            self.text.get_or_insert(value);
        }
    }

    /// The record as a line of the list.
    pub(super) fn line(self, number: u64, format: Format) -> Line {
        match self.entry(number, format) {
            Ok(entry) => Line::Entry(entry),
            Err(fault) => Line::Refused { number, fault },
        }
    }

    fn entry(mut self, number: u64, format: Format) -> Result<Entry, Fault> {
        let who = self.who()?;
        let mut at = dates::date(self.date.unwrap_or("")).map_err(|_| Fault::Date)?;
        if let Some(bounces) = self.bounces.take() {
            let mut words = bounces.split_ascii_whitespace();
            at = dates::date(words.nth(1).unwrap_or("")).map_err(|_| Fault::Date)?;
            self.enhanced = words.nth(1).and_then(Enhanced::at_start);
            let is_soft = self.enhanced.is_some_and(|Enhanced(class, subject, _)| class == 4 || subject == 2);
            self.reason = Some(if is_soft { Reason::Soft } else { Reason::Bounce });
        }
        let reason = self.reason(format)?;
        let text = self.text.map(cut);
        let is_repeated =
            self.text.is_none() && self.enhanced.is_none() && matches!(format, Format::Sympa | Format::Mailman);
        Ok(Entry {
            number,
            who,
            reason,
            at,
            code: self.code,
            enhanced: self.enhanced,
            text,
            org: self.org.map(str::to_owned),
            stream: self.stream.map(str::to_owned),
            is_weak: self.is_weak,
            is_repeated: (is_repeated || self.is_inactive) && reason == Reason::Bounce,
        })
    }

    fn reason(&self, format: Format) -> Result<Reason, Fault> {
        if self.is_no_failure && self.reason.is_none() {
            return Err(Fault::Event);
        }
        if self.blocked == Some(false) && self.reason.is_none() {
            return Err(Fault::NotStopped);
        }
        if let Some(reason) = self.reason {
            let by_recipient =
                reason == Reason::Listed && self.origin.is_some_and(|origin| origin.eq_ignore_ascii_case("recipient"));
            return Ok(if by_recipient { Reason::Unsubscribe } else { reason });
        }
        if self.score.is_some_and(|score| score < SCORE_STOPS) {
            return Err(Fault::NotStopped);
        }
        Ok(match format {
            _ if self.score.is_some() => Reason::Bounce,
            _ if self.text.is_some() || self.code.is_some() || self.enhanced.is_some() => Reason::Answer,
            _ if self.has_ip => Reason::Complaint,
            _ if self.has_tags || self.blocked == Some(true) => Reason::Unsubscribe,
            // Of its lists, this is the one with an address and a date alone.
            Format::Mailgun => Reason::Complaint,
            Format::Sympa | Format::Mailman => Reason::Bounce,
            _ => Reason::Unsaid,
        })
    }

    fn who(&self) -> Result<Who, Fault> {
        if let [Some(tag), Some(key_id), Some(domain)] = self.tag {
            let digits = |text: &str, len| text.len() == len && text.bytes().all(|octet| octet.is_ascii_hexdigit());
            let whole = digits(tag, 32) && digits(key_id, 16) && Domain::parse(domain).is_ok();
            let who = Who::Tag { tag: tag.to_owned(), key_id: key_id.to_owned(), domain: domain.to_owned() };
            return if whole { Ok(who) } else { Err(Fault::Tag) };
        }
        let address = bare(self.address.ok_or(Fault::NoAddress)?);
        if address.starts_with('@') || !address.contains('@') {
            return Err(Fault::NoAddress);
        }
        Address::parse(address).map_err(Fault::Address)?;
        Ok(Who::Address(address.to_owned()))
    }
}

/// The values of an object under their names, those of objects inside of it under both names together (`reason.code`).
/// None where it is no object.
pub(super) fn values(object: &[u8]) -> Option<Vec<(String, String)>> {
    let Ok(Value::Object(object)) = serde_json::from_slice(object) else { return None };
    let mut values = Vec::new();
    for (key, value) in object {
        match value {
            Value::Object(inner) => {
                values.extend(
                    inner.into_iter().filter_map(|(name, value)| Some((format!("{key}{name}"), scalar(value)?))),
                );
            }
            value => values.extend(scalar(value).map(|value| (key, value))),
        }
    }
    Some(values)
}

/// Lists say that there is something, and no more.
fn scalar(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(yes) => Some(yes.to_string()),
        Value::Array(_) => Some(String::new()),
        Value::Null | Value::Object(_) => None,
    }
}

/// The address of `Jeanne <jeanne@example.org>`, `mailto:jeanne@example.org`, or of a line that goes on after it.
fn bare(text: &str) -> &str {
    let text = text.trim();
    if let Some((_, rest)) = text.rsplit_once('<') {
        return rest.split('>').next().unwrap_or(rest).trim();
    }
    let text = text.strip_prefix("mailto:").unwrap_or(text);
    if text.starts_with('"') {
        text
    } else {
        text.split_ascii_whitespace().next().unwrap_or("").trim_end_matches([',', ';'])
    }
}

fn yes(word: &str) -> Option<bool> {
    match columns::plain(word).as_str() {
        "1" | "true" | "yes" | "y" | "oui" | "vrai" => Some(true),
        "0" | "false" | "no" | "n" | "non" | "faux" => Some(false),
        _ => None,
    }
}

/// The first line of a reply, as far as anybody reads it.
fn cut(text: &str) -> String {
    text.split(['\r', '\n']).collect::<Vec<_>>().join(" ").chars().take(TEXT_CHARS_MAX).collect()
}

/// Replies of servers are shorter; a rule needs no more of them.
const TEXT_CHARS_MAX: usize = 1000;
/// Mailman stops writing to a member at this score, unless its list was told otherwise.
const SCORE_STOPS: f64 = 5.0;
