//! `[alerts]`: who is told of what goes wrong.

use std::path::PathBuf;

use toml::Spanned;

use super::error::ConfigError;
use super::keys::WEBHOOK;
use super::reader::Section;
use super::sections::LANGUAGES;
use super::values::{Wrong, path, quoted, word};
use super::{Language, net};

/// `[alerts]`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Alerts {
    /// Addresses of people.
    pub mail: Vec<String>,
    /// Programs, each once.
    pub webhooks: Vec<Webhook>,
    /// `None`: that of the node.
    pub language: Option<Language>,
}

/// One entry of `webhook`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    pub url: String,
    pub secret_file: PathBuf,
}

pub(super) fn alerts(section: &Section<'_>) -> Result<Alerts, ConfigError> {
    let mail = section.list("mail", net::mail_address)?.unwrap_or_default();
    let mut webhooks: Vec<Webhook> = Vec::new();
    for table in section.tables("webhook", WEBHOOK.name)?.unwrap_or_default() {
        let webhook = Webhook {
            url: table.text("url", net::webhook_url)?.ok_or_else(|| table.missing("url"))?,
            secret_file: table.text("secret_file", path)?.ok_or_else(|| table.missing("secret_file"))?,
        };
        if webhooks.iter().any(|other| other.url == webhook.url) {
            let wrong = Wrong::new(format!("{} stands here twice", quoted(&webhook.url)), "each address once");
            return Err(table.wrong(table.place("url"), "url", &wrong));
        }
        webhooks.push(webhook);
    }
    Ok(Alerts {
        mail: mail.into_iter().map(Spanned::into_inner).collect(),
        webhooks,
        language: section.text("language", word(LANGUAGES))?,
    })
}
