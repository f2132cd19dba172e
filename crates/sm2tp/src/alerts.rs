//! From `[alerts]` to who is told: addresses, and programs with the secrets read from their files.

use std::path::Path;

use sm2tp_doors::alerts::{Alerting, Language, Secret, Targets, Webhook};
use sm2tp_proto::Address;
use sm2tp_store::Ledger;
use sm2tp_store::alerts::Alerts;

use crate::config::{self, Config};
use crate::{Exit, Failure, outward};

/// What the doors need.
pub fn alerting(config: &Config, config_file: &Path, ledger: &Ledger) -> Result<Alerting, Failure> {
    let language = match config.alerts.language.unwrap_or(config.language) {
        config::Language::En => Language::English,
        config::Language::Fr => Language::French,
    };
    Ok(Alerting::new(Alerts::new(ledger.clone()), targets(config, config_file)?, language))
}

/// Addresses, and programs with their secrets.
pub fn targets(config: &Config, config_file: &Path) -> Result<Targets, Failure> {
    let mail = config.alerts.mail.iter().map(|text| {
        let refused = |error| Failure::new(Exit::Configuration, format!("[alerts] mail: {text}: {error}"));
        Address::parse(text).map_err(refused)
    });
    let webhooks = config.alerts.webhooks.iter().map(|webhook| {
        let secret = secret(&webhook.secret_file).map_err(|why| {
            let message = format!("`secret_file` in [alerts]: {}: {why}", webhook.secret_file.display());
            let help = "a file with the secret of the receiver in its first line (whsec_…), which the user of the node \
                        owns and nobody else may read";
            let blamed = config::blame(config_file, &["alerts", "webhook"], &message, help);
            Failure::new(Exit::Configuration, blamed.to_string())
        })?;
        Ok(Webhook { url: webhook.url.clone(), secret })
    });
    Ok(Targets { mail: mail.collect::<Result<_, _>>()?, webhooks: webhooks.collect::<Result<_, Failure>>()? })
}

fn secret(path: &Path) -> Result<Secret, String> {
    Secret::parse(&outward::secret_line(path)?).map_err(|error| error.to_string())
}
