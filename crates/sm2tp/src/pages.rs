//! How the pages are shown: what the configuration says of them, and what they show of it.

use std::path::Path;
use std::sync::Arc;

use sm2tp_doors::http::{Lang, Pages, Scores};
use sm2tp_doors::web::{PublicUrl, Texts};
use sm2tp_relay::Lookups;

use crate::config::{self, Config};
use crate::doctor::exits;
use crate::outward;

/// Of this configuration, which was read from `file`.
pub fn of(config: &Config, file: &Path) -> Pages {
    let scores = match config.http.as_ref().map(|http| http.public_score) {
        Some(config::Switch::On) => Scores::Public,
        _ => Scores::Off,
    };
    // A file that went away since it was read is shown as if it said nothing.
    let text = std::fs::read_to_string(file).unwrap_or_default();
    Pages {
        lang: match config.language {
            config::Language::En => Lang::En,
            config::Language::Fr => Lang::Fr,
        },
        scores,
        public: config.http.as_ref().and_then(|http| PublicUrl::new(http.public_url.as_deref()?)),
        settings: config::settings(&text).into(),
        texts: texts(config),
        exits: exits::known(config),
    }
}

fn texts(config: &Config) -> Texts {
    let resolvers = Arc::new(outward::resolvers(config));
    Arc::new(move |name| {
        let resolvers = resolvers.clone();
        Box::pin(async move {
            let dns = Lookups::new(&resolvers).map_err(|error| error.to_string())?;
            dns.texts(&name).await.map_err(|error| error.to_string())
        })
    })
}
