//! `sm2tp dkim`: keys that sign, their records, and whether the DNS has them.

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};
use sm2tp_doors::control::{Removal, Request};
use sm2tp_relay::Lookups;
use sm2tp_store::dkim::{Algorithm, Published, Record};

use crate::cli::{Algorithms, Dkim};
use crate::config::Config;
use crate::show::time;
use crate::{Exit, Failure, ask, outward, say};

/// Does what was asked, and prints what came of it.
pub async fn run(config: &Config, config_file: &Path, command: Dkim, as_json: bool) -> Result<ExitCode, Failure> {
    let request = request(&command)?;
    let answer = ask::ask(config, config_file, &request).await?;
    let (value, exit) = match &command {
        Dkim::Record { .. } => (records(&answer), ExitCode::SUCCESS),
        Dkim::Check { .. } => check(config, &answer).await?,
        _ => (answer, ExitCode::SUCCESS),
    };
    if as_json {
        say(&value.to_string());
    } else {
        say(text(&command, &value).trim_end());
    }
    Ok(exit)
}

fn request(command: &Dkim) -> Result<Request, Failure> {
    Ok(match command {
        Dkim::New { domain, selector, algorithm, from_file } => Request::DkimNew {
            domain: domain.clone(),
            selector: selector.clone(),
            algorithm: match algorithm {
                Algorithms::Rsa => Some(Algorithm::Rsa),
                Algorithms::Ed25519 => Some(Algorithm::Ed25519),
                Algorithms::Both => None,
            },
            pem: from_file.as_deref().map(read).transpose()?,
        },
        Dkim::List { domain } => Request::DkimList { domain: domain.clone() },
        Dkim::Record { domain } | Dkim::Check { domain } => Request::DkimList { domain: Some(domain.clone()) },
        Dkim::Rotate { domain, selector, wait, now } => Request::DkimRotate {
            domain: domain.clone(),
            selector: selector.clone(),
            wait_s: if *now { 0 } else { wait.saturating_mul(3600) },
        },
        Dkim::Remove { domain, selector, now } => Request::DkimRemove {
            domain: domain.clone(),
            selector: selector.clone(),
            which: if *now { Removal::Any } else { Removal::Unused },
        },
    })
}

/// The node may run as another user, who cannot read the file: it is read here.
fn read(path: &Path) -> Result<String, Failure> {
    let wrong = |what: String| Failure::new(Exit::Input, format!("{}: {what}", path.display()));
    let size = std::fs::metadata(path).map_err(|error| wrong(error.to_string()))?.len();
    if PEM_OCTETS_MAX < size {
        return Err(wrong("this is too long for a key".to_owned()));
    }
    std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))
}

/// The records that have to be in the DNS.
fn records(keys: &Value) -> Value {
    let wanted = items(keys).iter().filter(|key| key["state"] != "over");
    wanted
        .map(|key| {
            let mut record = key["record"].clone();
            for name in ["selector", "algorithm", "state"] {
                record[name] = key[name].clone();
            }
            record
        })
        .collect()
}

/// Compares each record with what the DNS answers.
async fn check(config: &Config, keys: &Value) -> Result<(Value, ExitCode), Failure> {
    let dns = Lookups::new(&outward::resolvers(config))
        .map_err(|error| Failure::new(Exit::Unavailable, error.to_string()))?;
    let mut found = Vec::new();
    let mut all_equal = true;
    for record in items(&records(keys)) {
        let ours = Record { name: word(record, "name"), value: word(record, "value") };
        let texts = dns.texts(&ours.name).await;
        let texts = texts.map_err(|error| Failure::new(Exit::Unavailable, format!("{}: {error}", ours.name)))?;
        let published = ours.compare(&texts);
        all_equal &= published == Published::Equal;
        found.push(json!({ "name": ours.name, "state": record["state"], "dns": published.as_str(), "found": texts }));
    }
    let exit = if all_equal { ExitCode::SUCCESS } else { ExitCode::from(Exit::Input as u8) };
    Ok((Value::Array(found), exit))
}

fn text(command: &Dkim, value: &Value) -> String {
    let mut out = String::new();
    match command {
        Dkim::List { .. } => list(&mut out, value),
        Dkim::Record { .. } => items(value).iter().for_each(|record| publish(&mut out, record)),
        Dkim::Check { .. } => {
            for record in items(value) {
                line(
                    &mut out,
                    &format!("{}: {} ({} here)", word(record, "name"), word(record, "dns"), word(record, "state")),
                );
            }
        }
        Dkim::New { .. } | Dkim::Rotate { .. } => {
            for key in items(value) {
                let (selector, state) = (word(key, "selector"), word(key, "state"));
                let since = key["since"].as_u64().map_or(String::new(), time);
                let when =
                    if state == "waiting" { format!("signs from {since} on") } else { "signs from now on".into() };
                line(&mut out, &format!("{selector}: {when}. Publish this record:"));
                publish(&mut out, &key["record"]);
            }
            if let Some(domain) = items(value).first().map(|key| word(key, "domain")) {
                line(&mut out, &format!("Then see whether it is there: sm2tp dkim check {domain}"));
            }
        }
        Dkim::Remove { domain, selector, .. } => {
            let then = value["record_until"].as_u64().map_or_else(
                || "Its record may go from the DNS.".to_owned(),
                |until| format!("Keep its record in the DNS until {}: mail that it signed is on its way.", time(until)),
            );
            line(&mut out, &format!("{selector}: removed. {then}"));
            if value["signing"] == 0 {
                line(&mut out, &format!("{domain} has no key any more that signs: its mail leaves unsigned."));
            }
        }
    }
    out
}

fn list(out: &mut String, value: &Value) {
    if items(value).is_empty() {
        return line(out, "There are no DKIM keys; `sm2tp dkim new DOMAIN` makes some.");
    }
    line(out, &format!("{:<28} {:<22} {:<8} {:<10} {}", "DOMAIN", "SELECTOR", "KIND", "STATE", ""));
    for key in items(value) {
        let at = |name: &str| key[name].as_u64().map_or(String::new(), time);
        let note = match (word(key, "state").as_str(), key["until"].is_null()) {
            ("waiting", _) => format!("signs from {} on; publish its record before", at("since")),
            ("signing", true) => format!("since {}", at("since")),
            ("signing", false) => format!("until {}", at("until")),
            ("retired", _) => format!("signs no more; keep its record until {}", at("record_until")),
            _ => "its record may go; then `sm2tp dkim remove`".to_owned(),
        };
        let (domain, selector) = (word(key, "domain"), word(key, "selector"));
        let kind = if key["algorithm"] == "rsa" { format!("rsa{}", key["bits"]) } else { word(key, "algorithm") };
        line(out, &format!("{domain:<28} {selector:<22} {kind:<8} {:<10} {note}", word(key, "state")));
    }
}

/// A record in the two ways in which it is copied.
fn publish(out: &mut String, record: &Value) {
    line(out, &format!("\n  in a zone file:\n{}", word(record, "zone")));
    line(
        out,
        &format!(
            "\n  in a form:\n  name   {}\n  type   TXT\n  value  {}\n",
            word(record, "name"),
            word(record, "value")
        ),
    );
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn word(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}

fn line(out: &mut String, text: &str) {
    let _ = writeln!(out, "{text}");
}

/// A key of 4096 bits takes 3.3 kB.
const PEM_OCTETS_MAX: u64 = 64 * 1024;
