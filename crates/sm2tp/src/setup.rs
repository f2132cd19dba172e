//! `sm2tp setup`: five questions, then a node that can be started. It writes the configuration and runs the commands that a
//! person could type, showing each; what is there already it leaves as it is.

mod answers;
mod commands;
mod configuration;
mod trial;
mod words;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};
use sm2tp_rules::proposed;

use self::answers::Answers;
use self::commands::Commands;
use self::configuration::Written;
use crate::config::Config;
use crate::doctor::exits;
use crate::words::{Words, of_terminal};
use crate::{Exit, Failure, say, serve};

/// The answers on the command line; what is missing is asked, with `--yes` taken as proposed.
#[derive(Debug, clap::Args)]
pub struct Setup {
    /// Ask nothing: what is not given is as it would be proposed. --domain and --admin must be given.
    #[arg(long)]
    pub yes: bool,
    /// The full name of this machine, which other servers see and check.
    #[arg(long, value_name = "NAME")]
    pub hostname: Option<String>,
    /// The domain that people write from.
    #[arg(long, value_name = "DOMAIN")]
    pub domain: Option<String>,
    /// The organisation that it belongs to.
    #[arg(long, value_name = "NAME")]
    pub org: Option<String>,
    /// The first login; its password is made and shown once.
    #[arg(long, value_name = "LOGIN")]
    pub login: Option<String>,
    /// Who is told by mail of what goes wrong.
    #[arg(long, value_name = "ADDRESS")]
    pub admin: Option<String>,
    /// Where waiting mail, the ledger and keys are kept, if not in /var/lib/sm2tp.
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Do not try the node with a mail that stays on this machine.
    #[arg(long)]
    pub no_trial: bool,
}

/// Asks, writes, makes, tries, and says what is left to do.
pub fn run(asked: Setup, config_file: &Path, as_json: bool) -> Result<ExitCode, Failure> {
    let words = Words { lang: of_terminal(), table: words::WORDS };
    let tell = |text: &str| {
        if !as_json {
            say(text);
        }
    };
    let (no_trial, data_dir) = (asked.no_trial, asked.data_dir.clone());
    let answers = Answers::of(asked, words)?;
    let written = configuration::write(config_file, &answers, data_dir.as_deref(), words.lang)?;
    let key = if matches!(written, Written::New) { "written" } else { "kept" };
    tell(&words.fill(key, &[("file", &config_file.display().to_string())]));
    let config = serve::load(config_file)?;
    let commands = Commands::new(&config, config_file)?;
    let made = make(&answers, &config, &commands, words, &tell)?;
    let tried = if no_trial || config.smtp.is_none() || config.relay.is_none() {
        None
    } else {
        let tried = trial::run(&config, config_file, &answers, &commands)?;
        tell(&words.fill("tried", &[("signed", words.say(if tried { "signed" } else { "unsigned" }))]));
        Some(tried)
    };
    let records = records(&answers, &config, &made.records);
    if as_json {
        let told = json!({
            "config": config_file, "written": matches!(written, Written::New), "hostname": config.hostname,
            "domain": answers.domain, "org": answers.org, "login": answers.login, "password": made.password,
            "person": answers.admin, "person_password": made.person,
            "records": records, "tried": tried.is_some(), "signed": tried,
        });
        say(&told.to_string());
    } else {
        say(&next(&answers, &records, &made, words));
    }
    Ok(ExitCode::SUCCESS)
}

/// What was made in the node.
struct Made {
    /// Of the login, where it is new.
    password: Option<String>,
    /// Of the first person who may use the pages, where there was none.
    person: Option<String>,
    /// Of DKIM, as `sm2tp dkim record` has them.
    records: Vec<Value>,
}

fn make(
    answers: &Answers,
    config: &Config,
    commands: &Commands,
    words: Words,
    tell: &impl Fn(&str),
) -> Result<Made, Failure> {
    let Answers { domain, org, login, .. } = answers;
    let run = |args: &[&str], input: &str| {
        tell(&format!("# sm2tp {}", args.join(" ")));
        commands.run(args, input)
    };
    let known = commands.run(&["org", "list"], "")?;
    let known: Vec<&Value> = known.as_array().into_iter().flatten().collect();
    if !known.iter().any(|it| it["name"] == org.as_str()) {
        run(&["org", "add", org, "--domain", domain], "")?;
    }
    let has_login = |it: &&Value| it["logins"].as_array().into_iter().flatten().any(|it| it["login"] == login.as_str());
    let password = match known.iter().any(has_login) {
        true => None,
        // Without TLS at the door nobody could log in with it: then the trusted networks send.
        false => {
            let password = commands::password()?;
            run(&["org", "login", login, "--org", org], &password)?;
            Some(password)
        }
    };
    let person = person(answers, commands, &run)?;
    let keys = commands.run(&["dkim", "list"], "")?;
    for domain in [domain.as_str(), config.hostname.as_str()] {
        if !keys.as_array().into_iter().flatten().any(|key| key["domain"] == domain) {
            run(&["dkim", "new", domain], "")?;
        }
    }
    let mut records = Vec::new();
    for domain in [domain.as_str(), config.hostname.as_str()] {
        let found = commands.run(&["dkim", "record", domain], "")?;
        records.extend(found.as_array().cloned().unwrap_or_default());
    }
    tell(words.say("made"));
    Ok(Made { password, person, records })
}

/// The first person who may use the pages, and may do everything there. Answers with the password.
fn person(
    answers: &Answers,
    commands: &Commands,
    run: &impl Fn(&[&str], &str) -> Result<Value, Failure>,
) -> Result<Option<String>, Failure> {
    let known = commands.run(&["account", "list"], "")?;
    if known.as_array().is_some_and(|known| !known.is_empty()) {
        return Ok(None);
    }
    let password = commands::password()?;
    run(&["account", "add", &answers.admin, "--role", "owner"], &password)?;
    Ok(Some(password))
}

/// The records to publish, each with name, type and value.
fn records(answers: &Answers, config: &Config, dkim: &[Value]) -> Vec<Value> {
    let addresses = exits::known(config);
    let record = |name: String, kind: &str, value: String| json!({ "name": name, "type": kind, "value": value });
    let mut records = Vec::new();
    for address in &addresses {
        let kind = if address.is_ipv4() { "A" } else { "AAAA" };
        records.push(record(config.hostname.clone(), kind, address.to_string()));
        records.push(record(address.to_string(), "PTR", config.hostname.clone()));
    }
    for (name, domain) in [(proposed::Name::Domain, &answers.domain), (proposed::Name::Own, &config.hostname)] {
        records.push(record(domain.clone(), "TXT", proposed::spf(name, &config.hostname, &addresses)));
    }
    let policy = proposed::dmarc(&answers.domain, Some(&answers.admin));
    records.push(record(format!("_dmarc.{}", answers.domain), "TXT", policy));
    records.extend(dkim.iter().map(|key| json!({ "name": key["name"], "type": "TXT", "value": key["value"] })));
    records
}

/// What a person does now.
fn next(answers: &Answers, records: &[Value], made: &Made, words: Words) -> String {
    let mut out = format!("\n{}\n\n", words.say("records"));
    let word = |record: &Value, name: &str| record[name].as_str().unwrap_or_default().to_owned();
    for record in records {
        out += &format!("  {}  {}\n      {}\n", word(record, "name"), word(record, "type"), word(record, "value"));
    }
    if !records.iter().any(|record| record["type"] == "PTR") {
        out += &format!("\n{}\n", words.say("no-address"));
    }
    let shown = [("password", &answers.login, &made.password), ("person", &answers.admin, &made.person)];
    for (key, name, password) in shown {
        if let Some(password) = password {
            let values = [("login", name.as_str()), ("password", password)];
            out += &format!("\n{}\n", words.fill(key, &values));
        }
    }
    out + "\n" + words.say("next")
}

/// Where an answer is wrong.
fn wrong(message: impl Into<String>) -> Failure {
    Failure::new(Exit::Input, message)
}
