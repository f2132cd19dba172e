//! `sm2tp doctor`: looks at the machine, the DNS and what stands around the node, and says of each finding what it means and
//! what to do. It asks and looks; it changes nothing.

mod around;
mod domains;
pub mod exits;
pub mod lists;
mod machine;
pub mod spf;
mod words;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;
use serde_json::json;
use sm2tp_relay::Lookups;

use crate::config::Config;
use crate::words::{Words, of_terminal};
use crate::{Exit, Failure, outward, say};

/// What is looked at.
#[derive(Debug, clap::Args)]
pub struct Doctor {
    /// A domain to whose mail servers a connection is tried, to see whether port 25 is open.
    #[arg(long, value_name = "DOMAIN", default_value = "gmail.com")]
    pub probe: String,
    /// Do not try a connection to mail servers elsewhere.
    #[arg(long)]
    pub no_probe: bool,
    /// Ask the usual blocklists about the addresses of the exits. Their operators see who asks.
    #[arg(long)]
    pub blocklists: bool,
    /// Ask this blocklist instead; repeat it for several.
    #[arg(long, value_name = "ZONE")]
    pub blocklist: Vec<String>,
    /// Where Postfix has its configuration.
    #[arg(long, value_name = "DIR", default_value = "/etc/postfix")]
    pub postfix: PathBuf,
    /// The configuration that Exim reads, if not the one that it names itself.
    #[arg(long, value_name = "FILE")]
    pub exim: Option<PathBuf>,
    /// Show what is as it should be, too.
    #[arg(long)]
    pub all: bool,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    Fine,
    /// Worth knowing.
    Note,
    /// Mail may be refused, or will be one day.
    Warning,
    /// Mail is refused or does not leave.
    Fault,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// `dns`, `exit`, `machine`, …: which part of the page.
    part: &'static str,
    level: Level,
    /// Its sentence in the table of words; with `!` behind, what to do.
    key: &'static str,
    /// What it is about: a domain, an address, a file.
    about: String,
    /// What else stands in the sentence.
    values: Vec<(&'static str, String)>,
}

impl Finding {
    fn new(part: &'static str, level: Level, key: &'static str, about: impl Into<String>) -> Self {
        Self { part, level, key, about: about.into(), values: Vec::new() }
    }

    fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.values.push((name, value.to_string()));
        self
    }

    /// The sentence, and what to do; empty where nothing is to be done.
    fn said(&self, words: Words) -> (String, String) {
        let mut values: Vec<(&str, &str)> = self.values.iter().map(|(name, value)| (*name, value.as_str())).collect();
        values.push(("about", &self.about));
        (words.fill(self.key, &values), words.fill(&format!("{}!", self.key), &values))
    }
}

/// Looks at everything, says it, and ends with 65 where something is a fault.
pub async fn run(config: &Config, config_file: &Path, asked: &Doctor, as_json: bool) -> Result<ExitCode, Failure> {
    let words = Words { lang: of_terminal(), table: words::WORDS };
    let dns = Lookups::new(&outward::resolvers(config))
        .map_err(|error| Failure::new(Exit::Temporary, format!("the resolver: {error}")))?;
    let mut found = machine::all(config, config_file);
    found.extend(around::database(config));
    let node = around::node(config, &mut found).await;
    let ways = exits::ways(config);
    found.extend(exits::all(config, &dns, &ways).await);
    found.extend(domains::all(config, &dns, &node, &ways).await);
    if !asked.no_probe {
        found.extend(around::port_25(config, &dns, &asked.probe, &ways).await);
    }
    if asked.blocklists || !asked.blocklist.is_empty() {
        found.extend(lists::all(&dns, &ways, &asked.blocklist).await);
    }
    found.extend(around::mail_server(config, asked));
    found.extend(around::peers(&node));
    let worst = found.iter().map(|it| it.level).max().unwrap_or(Level::Fine);
    if as_json {
        let list: Vec<_> = found.iter().map(|finding| shown(finding, words)).collect();
        say(&json!({ "ok": worst < Level::Fault, "worst": worst, "findings": list }).to_string());
    } else {
        say(text(&found, words, asked.all).trim_end());
    }
    Ok(if worst < Level::Fault { ExitCode::SUCCESS } else { ExitCode::from(Exit::Input as u8) })
}

fn shown(finding: &Finding, words: Words) -> serde_json::Value {
    let (says, todo) = finding.said(words);
    let values: serde_json::Map<_, _> =
        finding.values.iter().map(|(name, value)| ((*name).to_owned(), value.as_str().into())).collect();
    json!({
        "part": finding.part, "level": finding.level, "check": finding.key, "about": finding.about,
        "says": says, "do": todo, "values": values,
    })
}

/// For a person: by part, the worst first; what is fine is counted, unless all is asked for.
fn text(found: &[Finding], words: Words, all: bool) -> String {
    let mut out = String::new();
    for part in PARTS {
        let mut of_part: Vec<&Finding> = found.iter().filter(|it| it.part == part).collect();
        of_part.sort_by_key(|finding| std::cmp::Reverse(finding.level));
        let shown: Vec<&&Finding> = of_part.iter().filter(|it| all || it.level != Level::Fine).collect();
        if shown.is_empty() {
            continue;
        }
        out += &format!("{}\n", words.say(part));
        for finding in shown {
            let (says, todo) = finding.said(words);
            out += &format!("  {:<9} {says}\n", words.say(level(finding.level)));
            if !todo.is_empty() {
                out += &format!("  {:<9} -> {todo}\n", "");
            }
        }
        out.push('\n');
    }
    let count = |level| found.iter().filter(|it| it.level == level).count().to_string();
    let counts = [
        ("faults", count(Level::Fault)),
        ("warnings", count(Level::Warning)),
        ("notes", count(Level::Note)),
        ("fine", count(Level::Fine)),
    ];
    out + &words.fill_with("sum", &counts)
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Fine => "fine",
        Level::Note => "note",
        Level::Warning => "warning",
        Level::Fault => "fault",
    }
}

/// In the order in which a person reads them.
const PARTS: [&str; 6] = ["machine", "node", "exit", "domain", "beside", "peers"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Language;

    #[test]
    fn the_worst_comes_first_and_what_is_fine_is_counted() {
        let found = [
            Finding::new("machine", Level::Fine, "disk-fine", "/var/lib/sm2tp").with("free", "9 GiB"),
            Finding::new("machine", Level::Note, "clock-unknown", "clock"),
            Finding::new("machine", Level::Fault, "disk-low", "/var/lib/sm2tp").with("free", "1 MiB"),
        ];
        let words = Words { lang: Language::En, table: words::WORDS };
        let said = text(&found, words, false);
        let (fault, note) = (said.find("fault").unwrap(), said.find("note").unwrap());
        assert!(fault < note && !said.contains("9 GiB"), "{said}");
        assert!(said.contains("-> ") && said.ends_with("Faults: 1, warnings: 0, notes: 1, in order: 1."), "{said}");
        assert!(text(&found, words, true).contains("9 GiB"));
    }
}
