//! How the pages are shown: what the configuration says of them, and what they show of it.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use sm2tp_doors::http::{Lang, Pages, Scores};
use sm2tp_doors::web::{AskSts, FirstRun, Listings, Names, PublicUrl, Sts, Wanted};
use sm2tp_relay::{Lookups, Reach};
use sm2tp_store::{Persons, keys};

use crate::Failure;
use crate::config::{self, Config};
use crate::doctor::{exits, lists};
use crate::open::unusable;
use crate::{beside, outward, sts};

/// Of this configuration.
pub fn of(config: &Config, first_run: Option<FirstRun>) -> Pages {
    let scores = match config.http.as_ref().map(|http| http.public_score) {
        Some(config::Switch::On) => Scores::Public,
        _ => Scores::Off,
    };
    Pages {
        lang: match config.language {
            config::Language::En => Lang::En,
            config::Language::Fr => Lang::Fr,
        },
        scores,
        public: config.http.as_ref().and_then(|http| PublicUrl::new(http.public_url.as_deref()?)),
        names: names(config),
        sts: ask_sts(config),
        exits: exits::known(config),
        listings: listings(config),
        first_run,
    }
}

fn names(config: &Config) -> Names {
    let resolvers = Arc::new(outward::resolvers(config));
    Arc::new(move |wanted, name| {
        let resolvers = resolvers.clone();
        Box::pin(async move {
            let dns = Lookups::new(&resolvers).map_err(|error| error.to_string())?;
            match wanted {
                Wanted::Texts => dns.texts(&name).await.map_err(|error| error.to_string()),
                Wanted::Addresses => Ok(dns.addresses(&name).await.iter().map(ToString::to_string).collect()),
                Wanted::Hosts => {
                    let address = name.parse().map_err(|_| format!("{name} is no address"))?;
                    dns.names(address).await.map_err(|error| error.to_string())
                }
                // A domain that takes no mail has no servers.
                Wanted::MailHosts => Ok(dns.mail_hosts(&name).await.unwrap_or_default()),
            }
        })
    })
}

/// Whose domain it is decides where the name of its web server leads, and who looks at the page need not be who runs this
/// machine: what is not public is not asked, but where the configuration lets webhooks go, or the relay for policies.
fn ask_sts(config: &Config) -> AskSts {
    let resolvers = Arc::new(outward::resolvers(config));
    let roots = config.relay.as_ref().and_then(|relay| relay.tls_roots.clone());
    let webhooks = beside::networks(config.http.as_ref().map_or(&[], |http| &http.private_webhooks));
    let policies = outward::reach(config);
    let reach = Reach::public_and(move |ip| policies.allows(ip) || webhooks(ip));
    Arc::new(move |domain| {
        let (resolvers, roots, reach) = (resolvers.clone(), roots.clone(), reach.clone());
        Box::pin(async move {
            let Ok(dns) = Lookups::new(&resolvers) else { return Sts::Silent };
            sts::look(&dns, &domain, roots.as_deref(), reach).await
        })
    })
}

fn listings(config: &Config) -> Listings {
    let (resolvers, ways) = (Arc::new(outward::resolvers(config)), Arc::new(exits::ways(config)));
    Arc::new(move || {
        let (resolvers, ways) = (resolvers.clone(), ways.clone());
        Box::pin(async move {
            let dns = Lookups::new(&resolvers).map_err(|error| error.to_string())?;
            Ok(lists::usual(&dns, &ways).await)
        })
    })
}

/// The word that lets in the first person, in a file that the user of the node alone can read; none where there are persons, or
/// no pages.
pub fn first_run(config: &Config, persons: &Persons) -> Result<Option<FirstRun>, Failure> {
    let file = config.data_dir.join("first-run-code");
    let http = config.http.as_ref().and_then(|http| http.listen.first());
    let (true, Some(listen)) = (persons.is_empty(), http) else {
        // One that stayed behind opens nothing.
        let _ = fs::remove_file(&file);
        return Ok(None);
    };
    let code = kept(&file).map_or_else(|| write(&file), Ok).map_err(|error| unusable(&file, &error))?;
    tracing::info!(file = %file.display(), "nobody has an account for the pages yet: open http://{listen}/setup, with the code in this file");
    Ok(Some(FirstRun::new(&code, file)))
}

/// The one of an earlier start: who has just read it shall not have to read another.
fn kept(file: &Path) -> Option<String> {
    let closed = fs::metadata(file).ok()?.mode() & 0o077 == 0;
    let code = fs::read_to_string(file).ok().filter(|_| closed)?;
    Some(code.trim().to_owned()).filter(|code| code.len() == CODE_LEN)
}

fn write(file: &Path) -> io::Result<String> {
    let random = keys::random().map_err(io::Error::other)?;
    // Ten octets: nobody guesses them, and they can be typed.
    let groups: Vec<String> =
        random[..10].chunks(2).map(|two| two.iter().map(|octet| format!("{octet:02x}")).collect()).collect();
    let code = groups.join("-");
    let _ = fs::remove_file(file);
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    writeln!(out, "{code}")?;
    Ok(code)
}

/// Five groups of four digits, and what stands between them.
const CODE_LEN: usize = 24;
