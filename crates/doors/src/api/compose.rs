//! A mail from its parts: what a program says in JSON becomes a message of RFC 5322, and nothing that it says becomes a
//! field that it did not name.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mail_builder::MessageBuilder;
use mail_builder::headers::address::Address as Mailbox;
use mail_builder::headers::date::Date;
use mail_builder::headers::text::Text;
use serde::Deserialize;
use sm2tp_proto::Address;
use sm2tp_rules::Stream;

use super::schema::Wrong;

/// A mail as a program gives it.
#[derive(Debug, Deserialize)]
pub(crate) struct Parts {
    from: String,
    #[serde(default)]
    to: Vec<String>,
    cc: Option<Vec<String>>,
    bcc: Option<Vec<String>>,
    reply_to: Option<String>,
    subject: Option<String>,
    text: Option<String>,
    html: Option<String>,
    headers: Option<Vec<NamedValue>>,
    attachments: Option<Vec<Attachment>>,
    mail_from: Option<String>,
    pub stream: Option<Stream>,
    pub org: Option<String>,
}

#[derive(Debug, Deserialize)]
struct NamedValue {
    name: String,
    value: String,
}

#[derive(Debug, Deserialize)]
struct Attachment {
    name: String,
    r#type: Option<String>,
    content: String,
    content_id: Option<String>,
}

/// A message with its envelope.
#[derive(Debug)]
pub(crate) struct Composed {
    pub sender: Address,
    /// As they were written, each once, in their order.
    pub recipients: Vec<(String, Address)>,
    pub content: Vec<u8>,
}

/// Somebody with a name, or without.
struct Named {
    name: Option<String>,
    written: String,
    address: Address,
}

impl Parts {
    /// `id` is the local part of its Message-ID.
    ///
    /// # Errors
    /// What is [`Wrong`] with it.
    pub(crate) fn compose(self, hostname: &str, id: &str, now: u64) -> Result<Composed, Wrong> {
        let from = named(&self.from, "/from")?;
        let (to, cc, bcc) =
            (all(&self.to, "/to")?, some(self.cc.as_deref(), "/cc")?, some(self.bcc.as_deref(), "/bcc")?);
        let reply_to = self.reply_to.as_deref().map(|text| named(text, "/reply_to")).transpose()?;
        let sender = match &self.mail_from {
            Some(text) => named(text, "/mail_from")?.address,
            None => from.address.clone(),
        };
        if self.text.is_none() && self.html.is_none() && self.attachments.as_ref().is_none_or(Vec::is_empty) {
            return Err(wrong("/text", "is missing, and so are html and attachments"));
        }
        let mut mail = MessageBuilder::new()
            .date(Date::new(i64::try_from(now).unwrap_or(i64::MAX)))
            .message_id(format!("{id}@{hostname}"))
            .from(from.mailbox());
        if !to.is_empty() {
            mail = mail.to(Mailbox::new_list(to.iter().map(Named::mailbox).collect()));
        }
        if !cc.is_empty() {
            mail = mail.cc(Mailbox::new_list(cc.iter().map(Named::mailbox).collect()));
        }
        if let Some(reply_to) = &reply_to {
            mail = mail.reply_to(reply_to.mailbox());
        }
        if let Some(subject) = self.subject {
            mail = mail.subject(plain(subject, "/subject")?);
        }
        for (n, field) in self.headers.into_iter().flatten().enumerate() {
            let at = format!("/headers/{n}");
            let value = plain(field.value, &format!("{at}/value"))?;
            mail = mail.header(field_name(field.name, &format!("{at}/name"))?, Text::new(value));
        }
        if let Some(text) = self.text {
            mail = mail.text_body(text);
        }
        if let Some(html) = self.html {
            mail = mail.html_body(html);
        }
        for (n, attachment) in self.attachments.into_iter().flatten().enumerate() {
            mail = attachment.put(mail, &format!("/attachments/{n}"))?;
        }
        let content = mail.write_to_vec().map_err(|_| wrong("", "cannot be put together"))?;
        let recipients = together([to, cc, bcc]);
        if recipients.is_empty() {
            return Err(wrong("/to", "names nobody, and neither do cc and bcc"));
        }
        Ok(Composed { sender, recipients, content })
    }
}

impl Named {
    fn mailbox(&self) -> Mailbox<'_> {
        Mailbox::new_address(self.name.as_deref(), bare(&self.written))
    }
}

impl Attachment {
    fn put<'a>(self, mail: MessageBuilder<'a>, at: &str) -> Result<MessageBuilder<'a>, Wrong> {
        let octets = STANDARD.decode(&self.content).map_err(|_| wrong(&format!("{at}/content"), "is no base64"))?;
        let kind = self.r#type.unwrap_or_else(|| "application/octet-stream".to_owned());
        let is_token =
            |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "!#$&-^_.+".contains(c));
        if kind.split_once('/').is_none_or(|(one, other)| !is_token(one) || !is_token(other)) {
            return Err(wrong(&format!("{at}/type"), "is no media type"));
        }
        let name = plain(self.name, &format!("{at}/name"))?;
        match self.content_id {
            None => Ok(mail.attachment(kind, name, octets)),
            Some(id) if is_token(&id.replace('@', "-")) => Ok(mail.inline(kind, id, octets)),
            Some(_) => Err(wrong(&format!("{at}/content_id"), "has other characters than letters, digits and .-_@")),
        }
    }
}

fn all(texts: &[String], at: &str) -> Result<Vec<Named>, Wrong> {
    texts.iter().enumerate().map(|(n, text)| named(text, &format!("{at}/{n}"))).collect()
}

fn some(texts: Option<&[String]>, at: &str) -> Result<Vec<Named>, Wrong> {
    texts.map_or_else(|| Ok(Vec::new()), |texts| all(texts, at))
}

/// `anna@asso.example`, or `Anna <anna@asso.example>`.
fn named(text: &str, at: &str) -> Result<Named, Wrong> {
    let text = plain(text.trim().to_owned(), at)?;
    let address = Address::parse(bare(&text)).map_err(|error| wrong(at, &format!("is no address: {error}")))?;
    let name =
        text.strip_suffix('>').and_then(|text| text.rsplit_once('<')).map(|(name, _)| name.trim().trim_matches('"'));
    let name = name.filter(|name| !name.is_empty()).map(str::to_owned);
    Ok(Named { name, written: text, address })
}

/// The address of what was written.
fn bare(text: &str) -> &str {
    text.strip_suffix('>').and_then(|text| text.rsplit_once('<')).map_or(text, |(_, address)| address)
}

/// A text that stays in its field.
fn plain(text: String, at: &str) -> Result<String, Wrong> {
    match text.chars().any(char::is_control) {
        true => Err(wrong(at, "holds a control character, such as a line break")),
        false => Ok(text),
    }
}

/// The name of a field that is the program's own business.
fn field_name(name: String, at: &str) -> Result<String, Wrong> {
    let printable = |c: char| c.is_ascii_graphic() && c != ':';
    if name.is_empty() || FIELD_OCTETS_MAX < name.len() || !name.chars().all(printable) {
        return Err(wrong(at, "is no name of a field"));
    }
    let lower = name.to_ascii_lowercase();
    let ours = OURS.contains(&&*lower) || OUR_BEGINNINGS.iter().any(|beginning| lower.starts_with(beginning));
    if ours { Err(wrong(at, "has a place of its own, or is not for senders")) } else { Ok(name) }
}

fn together(lists: [Vec<Named>; 3]) -> Vec<(String, Address)> {
    let mut recipients: Vec<(String, Address)> = Vec::new();
    for Named { written, address, .. } in lists.into_iter().flatten() {
        if recipients.iter().all(|(_, known)| *known != address) {
            recipients.push((bare(&written).to_owned(), address));
        }
    }
    recipients
}

fn wrong(pointer: &str, why: &str) -> Wrong {
    Wrong { pointer: pointer.to_owned(), why: why.to_owned() }
}

/// They have fields of their own, or say what only servers say.
const OURS: &[&str] = &[
    "from",
    "to",
    "cc",
    "bcc",
    "reply-to",
    "subject",
    "date",
    "message-id",
    "mime-version",
    "sender",
    "return-path",
    "received",
    "authentication-results",
    "dkim-signature",
    "domainkey-signature",
];
const OUR_BEGINNINGS: &[&str] = &["content-", "resent-", "arc-", "received-"];
const FIELD_OCTETS_MAX: usize = 76;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn composed(more: Value) -> Result<Composed, Wrong> {
        let mut mail = json!({ "from": "Anna <anna@asso.example>", "to": ["jean@x.example"], "text": "hello" });
        for (name, value) in more.as_object().unwrap() {
            mail[name] = value.clone();
        }
        serde_json::from_value::<Parts>(mail).unwrap().compose("relay.example.org", "1", 1_800_000_000)
    }

    #[test]
    fn a_mail_has_the_fields_that_were_named_and_nobody_of_bcc() {
        let mail = composed(json!({
            "cc": ["\"Marie M.\" <marie@x.example>"],
            "bcc": ["boss@asso.example", "jean@x.example"],
            "subject": "Été",
            "headers": [{ "name": "X-Shop", "value": "7" }],
            "attachments": [{ "name": "a.txt", "type": "text/plain", "content": "aGVsbG8=" }],
        }))
        .unwrap();
        let text = String::from_utf8(mail.content).unwrap();
        let header = text.split("\r\n\r\n").next().unwrap();
        for field in [
            "From: \"Anna\" <anna@asso.example>",
            "To: <jean@x.example>",
            "Cc: \"Marie M.\" <marie@x.example>",
            "X-Shop: 7",
            "Message-ID: <1@relay.example.org>",
        ] {
            assert!(header.contains(field), "{field}: {header}");
        }
        assert!(!text.contains("boss@"), "{text}");
        let recipients: Vec<&str> = mail.recipients.iter().map(|(written, _)| &**written).collect();
        assert_eq!(recipients, ["jean@x.example", "marie@x.example", "boss@asso.example"]);
    }

    #[track_caller]
    fn check(more: Value, pointer: &str) {
        assert_eq!(composed(more.clone()).unwrap_err().pointer, pointer, "{more}");
    }

    #[test]
    fn nothing_becomes_a_field_of_its_own() {
        check(json!({ "subject": "x\r\nBcc: all@x.example" }), "/subject");
        check(json!({ "from": "Anna\n <anna@asso.example>" }), "/from");
        check(json!({ "to": ["jean@x.example\r\nX: y"] }), "/to/0");
        check(json!({ "headers": [{ "name": "X-A", "value": "1\nX-B: 2" }] }), "/headers/0/value");
        for name in ["X A", "X:", "", "bcc", "Content-Type", "Received", "DKIM-Signature", "Resent-To"] {
            check(json!({ "headers": [{ "name": name, "value": "1" }] }), "/headers/0/name");
        }
        let attachment = |name: &str, kind: &str, content: &str| json!({ "attachments": [{ "name": name, "type": kind, "content": content }] });
        check(attachment("a\r\nX: y", "text/plain", ""), "/attachments/0/name");
        check(attachment("a", "text/plain; x=\"\r\n", ""), "/attachments/0/type");
        check(attachment("a", "text/plain", "?"), "/attachments/0/content");
        check(json!({ "to": [] }), "/to");
        check(json!({ "text": null }), "/text");
    }
}
