//! The words of the command line.

mod account;
mod audit;
mod beside;
mod erase;
mod exit;
mod key;
mod migrate;
mod peer;
mod stats;
mod suppress;
mod suppression;
mod token;
mod webhook;

use std::fmt::Display;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use clap::{ArgGroup, Args, CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use serde::de::DeserializeOwned;
use sm2tp_doors::control;
use sm2tp_rules::allowance::Change;
use sm2tp_rules::rate::Rate;
use sm2tp_rules::{Stream, Streams};

pub use self::account::Account;
pub use self::audit::Audit;
pub use self::beside::{Exim, Log, Opensmtpd, Postfix};
pub use self::erase::Erase;
pub use self::exit::WayOut;
pub use self::key::Key;
pub use self::migrate::Migrate;
pub use self::peer::Peer;
pub use self::stats::Stats;
pub use self::suppress::Suppress;
pub use self::suppression::Suppression;
pub use self::token::Token;
pub use self::webhook::{Tail, Webhook};
use crate::bench::{
    AbsorbArgs, AdmitArgs, ClassifyArgs, FederationArgs, LogArgs, PolicyArgs, QueueArgs, RelayArgs, ReportArgs,
};
use crate::doctor::Doctor;
use crate::sender::Sender;
use crate::setup::Setup;
use crate::simulate::Simulate;

/// Outgoing mail relay and federated bounce service.
#[derive(Debug, Parser)]
#[command(name = "sm2tp", version, about, disable_help_subcommand = true)]
pub struct Cli {
    /// Configuration file.
    #[arg(long, global = true, value_name = "FILE", default_value = "/etc/sm2tp/sm2tp.toml")]
    pub config: PathBuf,
    /// Print JSON instead of text.
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the node.
    Serve,
    /// Check the configuration and what it names.
    Check,
    /// Ask five questions and make a node of the answers: configuration, first organisation and login, keys, DNS records.
    Setup(Setup),
    /// Look at machine, DNS and all around the node; say what is wrong and what to do.
    Doctor(Doctor),
    /// Copy all that the node keeps into an empty folder, while it runs (docs/backup.md).
    Backup {
        #[arg(value_name = "DIR")]
        target: PathBuf,
    },
    /// Make the data directory of a copy; only where there is none.
    Restore {
        #[arg(value_name = "DIR")]
        copy: PathBuf,
    },
    /// Move the ledger into a PostgreSQL database that several machines share; the node does not run meanwhile.
    Migrate(Migrate),
    /// Two federated nodes and a small Internet on this machine: see what SM2TP does.
    Demo {
        /// End when the day's mail is done, instead of waiting for Ctrl-C.
        #[arg(long)]
        once: bool,
        /// Kill node A in the middle of its newsletter and start it again.
        #[arg(long)]
        kill: bool,
    },
    /// Why an address is written to or not.
    Explain {
        address: String,
        /// For mail of this organisation.
        #[arg(long)]
        org: Option<String>,
        /// For this kind of mail only: personal, transactional, bulk, forwarded.
        #[arg(long, value_parser = stream)]
        stream: Option<Stream>,
    },
    /// Classify replies from standard input: plain texts, or JSON lines {"text","mx","stage"}.
    Classify(Classify),
    /// Read reports on mails (bounces, complaints) from files: whom they are about, and why.
    Report {
        /// Hand them to the node, which counts those that carry a token of its own; without a file, standard input.
        #[arg(long)]
        take: bool,
        /// The address that they came to, as the mail server knows it: ${recipient} in Postfix.
        #[arg(long, value_name = "ADDRESS", requires = "take")]
        recipient: Option<String>,
        /// A mail each; `-` for standard input.
        #[arg(required_unless_present = "take", value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// The tag of an address under a key.
    Tag {
        address: String,
        /// 64 hexadecimal digits.
        #[arg(long, value_name = "K")]
        key_hex: String,
    },
    /// The mail that waits.
    #[command(subcommand)]
    Queue(Queue),
    /// Addresses that are not written to.
    #[command(subcommand)]
    Suppress(Suppress),
    /// Show what is kept of an address, and remove it when a person asked for that.
    Erase(Erase),
    /// Ways out of this machine: how mail is taken that leaves by them, and pauses.
    #[command(subcommand)]
    Exit(WayOut),
    /// Those who send, and what the watch makes of them.
    #[command(subcommand)]
    Sender(Sender),
    /// Organisations that may send, and their logins.
    #[command(subcommand)]
    Org(Org),
    /// Persons who use the pages.
    #[command(subcommand)]
    Account(Account),
    /// Other nodes with which keys were exchanged.
    #[command(subcommand)]
    Peer(Peer),
    /// Keys by which other nodes know this one (docs/node-keys.md).
    #[command(subcommand)]
    Key(Key),
    /// Keys that sign mail for its domain (DKIM).
    #[command(subcommand)]
    Dkim(Dkim),
    /// What goes wrong, and who is told of it.
    #[command(subcommand)]
    Alerts(Alerts),
    /// Providers that say "no such user" in bulk and are not believed.
    #[command(subcommand)]
    Breaker(Breaker),
    /// What became of the mail of the last days, and the score that it gives (docs/scores.md).
    Stats(Stats),
    /// The list of all that happened.
    #[command(subcommand)]
    Ledger(Ledger),
    /// Who changed what.
    #[command(subcommand)]
    Audit(Audit),
    /// Tokens of programs that come over HTTP (docs/api.md).
    #[command(subcommand)]
    Token(Token),
    /// Programs that are told what becomes of mail.
    #[command(subcommand)]
    Webhook(Webhook),
    /// What happens, as it happens.
    Tail(Tail),
    /// Postfix on this machine: what it must say to ask this node.
    #[command(subcommand)]
    Postfix(Postfix),
    /// Exim on this machine: what it must say to ask this node.
    #[command(subcommand)]
    Exim(Exim),
    /// OpenSMTPD on this machine: its filter, and what it must say to start it.
    #[command(subcommand)]
    Opensmtpd(Opensmtpd),
    /// Logs of other mail servers.
    #[command(subcommand)]
    Log(Log),
    /// Measure how fast this machine relays.
    #[command(subcommand)]
    Bench(Bench),
    /// Try rules on traffic that is invented.
    #[command(subcommand)]
    Simulate(Simulate),
    /// Completion for a shell.
    Completion { shell: Shell },
    /// A manual page, as man(7) reads it; the package has them.
    #[command(hide = true)]
    Manual { page: crate::manual::Page },
}

/// Without an option, standard input is read.
#[derive(Debug, Clone, clap::Args)]
pub struct Classify {
    /// List the replies to this node that no rule knew, by their shape.
    #[arg(long, conflicts_with = "replay")]
    pub unknown: bool,
    /// Read the answers in the send log again, and show what the rules of today would change.
    #[arg(long)]
    pub replay: bool,
    /// Record what --replay shows.
    #[arg(long, requires = "replay")]
    pub apply: bool,
}

#[derive(Debug, Subcommand)]
pub enum Queue {
    /// List recipients that wait.
    List {
        #[command(flatten)]
        those: Those,
        /// Only mails with a number above this one: the next page.
        #[arg(long, default_value_t = 0)]
        after: u64,
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Show one mail with its recipients and header.
    Show { mail: u64 },
    /// What waits, added up by recipient domain and by organisation.
    Sums {
        #[arg(long, value_name = "NAME")]
        org: Option<String>,
    },
    /// The servers that mail waits for, with connections and pauses.
    Sites,
    /// Mails with a Message-ID, as long as the send log has them.
    Find { message_id: String },
    /// What became of a mail: each attempt with its answer, as long as the send log has it.
    Log {
        mail: u64,
        /// So many days back.
        #[arg(long, value_name = "N", default_value_t = 30)]
        days: u64,
    },
    /// Try mail again now.
    Retry(Which),
    /// Keep mail until a person releases it.
    Hold(Which),
    /// Let held mail go.
    Release(Which),
    /// Remove mail without delivering it; no report is sent.
    Drop(Which),
    /// Make a new queue of what can be read of a damaged one, while no node runs (docs/salvage.md).
    Salvage,
}

/// Recipients by what they have in common.
#[derive(Debug, Clone, clap::Args)]
pub struct Those {
    /// Only this recipient domain.
    #[arg(long)]
    domain: Option<String>,
    /// Only mail of this organisation.
    #[arg(long)]
    org: Option<String>,
    /// normal, slow or held.
    #[arg(long)]
    lane: Option<String>,
}

/// One mail by its number, or all that fit.
#[derive(Debug, Clone, clap::Args)]
#[command(group = ArgGroup::new("what").args(["mail"]).args(OTHER_WAYS).required(true).multiple(true))]
pub struct Which {
    /// The number of one mail.
    #[arg(conflicts_with_all = OTHER_WAYS)]
    mail: Option<u64>,
    #[command(flatten)]
    those: Those,
    /// The whole queue.
    #[arg(long, conflicts_with_all = ["domain", "org", "lane"])]
    all: bool,
}

impl From<Those> for control::Those {
    fn from(Those { domain, org, lane }: Those) -> Self {
        Self { domain, org, lane }
    }
}

impl From<Which> for control::Which {
    fn from(which: Which) -> Self {
        which.mail.map_or_else(|| Self::Those(which.those.into()), Self::Mail)
    }
}

#[derive(Debug, Subcommand)]
pub enum Org {
    /// List organisations with their domains, limits and logins.
    List,
    /// Add an organisation, or change its domains or stream; what is not given stays as it is.
    Add {
        name: String,
        /// A sender domain that it may use; given again, all of them are named anew.
        #[arg(long = "domain", value_name = "DOMAIN")]
        domains: Vec<String>,
        /// It may use every sender domain, as a new organisation without --domain may.
        #[arg(long, conflicts_with = "domains")]
        any_domain: bool,
        /// Stream of its logins that name none; personal for a new organisation.
        #[arg(long, value_parser = stream)]
        stream: Option<Stream>,
    },
    /// Remove an organisation with its logins.
    Remove { name: String },
    /// Add a login, or change its password and stream. At a terminal the password is asked for.
    Login {
        login: String,
        #[arg(long)]
        org: String,
        /// personal, transactional, bulk or forwarded; by default that of its organisation.
        #[arg(long, value_parser = stream)]
        stream: Option<Stream>,
        /// A file whose first line is the password; without it, that of standard input.
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Take over logins with hashed passwords of Dovecot or another program: lines like login:{SHA512-CRYPT}$6$…
    Import {
        org: String,
        /// By default standard input.
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        /// Their stream; by default that of the organisation.
        #[arg(long, value_parser = stream)]
        stream: Option<Stream>,
    },
    /// Remove a login.
    Logout { login: String },
    /// Show or change what an organisation, or one of its logins, may do. A limit that is not named stays as it is;
    /// `none` takes it away. `local` is the organisation of the trusted networks.
    Limits(Limits),
    /// Show or change what becomes of mail of an organisation that comes back. What is not named stays as it is.
    Returns(Returns),
    /// Show or change when mail of an organisation is stopped, and what its senders get then. What it never named is as
    /// [suppression] has it for the node.
    Suppression(Box<Suppression>),
}

/// `sm2tp org returns`. The words are those of docs/returns.md and of `--json`.
#[derive(Debug, Args)]
pub struct Returns {
    pub name: String,
    /// The return path of its mail: its own (`sender`), or one of this node, by which bounces are counted and passed on
    /// to the sender (`node`).
    #[arg(long, value_name = "sender|node")]
    pub return_path: Option<ReturnPath>,
    /// Whether its bulk mail gets a link that unsubscribes with one click.
    #[arg(long, value_name = "on|off")]
    pub unsubscribe: Option<OnOff>,
    /// Who is told of complaints, once a day at most; `none`: nobody.
    #[arg(long, value_name = "ADDRESS")]
    pub contact: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReturnPath {
    Sender,
    Node,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnOff {
    On,
    Off,
}

/// `sm2tp org limits`. The words are those of the page on limits and of `org list --json`.
#[derive(Debug, Args)]
pub struct Limits {
    pub name: String,
    /// The limits of this login, which hold beside those of its organisation.
    #[arg(long)]
    pub login: Option<String>,
    /// Largest message: 10MiB, 500KiB.
    #[arg(long, value_name = "SIZE", value_parser = change_size)]
    pub message_size: Option<Change<u64>>,
    /// Recipients of one mail.
    #[arg(long, value_name = "NUMBER", value_parser = change::<u32>)]
    pub recipients: Option<Change<u32>>,
    /// Mails in a time: 500/h, 20/min, 2000/d. After a pause they may all come at once.
    #[arg(long, value_name = "RATE", value_parser = change::<Rate>)]
    pub rate_mails: Option<Change<Rate>>,
    /// Recipients of all mails together in a time.
    #[arg(long, value_name = "RATE", value_parser = change::<Rate>)]
    pub rate_recipients: Option<Change<Rate>>,
    /// Connections at a time.
    #[arg(long, value_name = "NUMBER", value_parser = change::<u32>)]
    pub connections: Option<Change<u32>>,
    /// A sender address that may be used besides the organisation's domains; repeat it for several. They replace the old
    /// ones; `none` takes all away.
    #[arg(long = "address", value_name = "ADDRESS")]
    pub addresses: Vec<String>,
    /// Of a login: whether it may use its own addresses only, and not the organisation's domains.
    #[arg(long, value_name = "yes|no")]
    pub own_addresses_only: Option<YesNo>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum YesNo {
    Yes,
    No,
}

fn stream(word: &str) -> Result<Stream, String> {
    let words = Stream::ALL.iter().map(|stream| stream.as_str()).collect::<Vec<_>>().join(", ");
    word.parse().map_err(|_| format!("a stream is one of {words}"))
}

fn streams(text: &str) -> Result<Streams, String> {
    let words = Stream::ALL.iter().map(|stream| stream.as_str()).collect::<Vec<_>>().join(", ");
    text.parse().map_err(|_| format!("streams are {words}, several apart by commas, or none"))
}

/// One of the words that a setting has in JSON.
fn word<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(text.into()).map_err(|error| error.to_string())
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "a share is from 0 to 1".to_owned())
}

fn change<T: FromStr<Err: Display>>(text: &str) -> Result<Change<T>, String> {
    match text {
        "none" => Ok(Change::None),
        text => text.parse().map(Change::To).map_err(|error: T::Err| error.to_string()),
    }
}

fn change_size(text: &str) -> Result<Change<u64>, String> {
    match text {
        "none" => Ok(Change::None),
        text => crate::config::size(text).map(Change::To),
    }
}

#[derive(Debug, Subcommand)]
pub enum Dkim {
    /// Make keys for a domain, or take over one that there is. They sign at once; publish their records.
    New {
        domain: String,
        /// Its name in the DNS, before ._domainkey; by default sm2tp1-rsa and sm2tp1-ed25519, counting up.
        #[arg(long, value_name = "S")]
        selector: Option<String>,
        #[arg(long, default_value = "both")]
        algorithm: Algorithms,
        /// A private key in PEM (PKCS#8 or PKCS#1, RSA or Ed25519) instead of a new one.
        #[arg(long, value_name = "PEM", conflicts_with = "algorithm")]
        from_file: Option<PathBuf>,
    },
    /// List keys, what they do, and which records may go.
    List {
        /// Of this domain only.
        domain: Option<String>,
    },
    /// The DNS records to publish, as lines of a zone file and as plain values.
    Record { domain: String },
    /// Make new keys that replace those of a domain after a wait, so that their records can be published first.
    Rotate {
        domain: String,
        #[arg(long, value_name = "S")]
        selector: Option<String>,
        /// Hours until the new keys sign and the old ones stop.
        #[arg(long, value_name = "HOURS", default_value_t = 48)]
        wait: u64,
        /// Let the new keys sign at once, also those of a rotation that waits.
        #[arg(long, conflicts_with = "wait")]
        now: bool,
    },
    /// Remove a key with its file. What it signed is not valid any more once its record is gone.
    Remove {
        domain: String,
        selector: String,
        /// Also one that signs now.
        #[arg(long)]
        now: bool,
    },
    /// Ask the DNS whether the records of a domain are published, and are ours.
    Check { domain: String },
}

/// Which keys to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Algorithms {
    Rsa,
    Ed25519,
    Both,
}

#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Send mail through a relay into a sink: accept rate, end-to-end rate, CPU, memory.
    Relay(RelayArgs),
    /// Start a node with a million mails in its queue: time, memory, and what a mail costs then.
    Queue(QueueArgs),
    /// Read and classify reports on one core.
    Report(ReportArgs),
    /// Ask the question of every door, of a node that knows millions of addresses.
    Admit(AdmitArgs),
    /// Classify replies on one core.
    Classify(ClassifyArgs),
    /// Give the ledger outcomes to count, and make its views again.
    Absorb(AbsorbArgs),
    /// Take segments of other nodes, and look their tags up.
    Federation(FederationArgs),
    /// Read invented logs, of which every result is known, on one core.
    Log(LogArgs),
    /// Ask a policy service, or name recipients to a mail server that asks one.
    Policy(PolicyArgs),
}

#[derive(Debug, Subcommand)]
pub enum Alerts {
    /// What is wrong now, what was, and what webhooks did not take.
    List,
    /// Send a test to everybody who would be told.
    Test,
}

#[derive(Debug, Subcommand)]
pub enum Breaker {
    /// List them, with how many refusals were set aside.
    List,
    /// The provider erred: forget what was set aside, and believe it from now on.
    Forget { provider: String },
    /// The provider was right: what was set aside counts.
    Believe { provider: String },
}

#[derive(Debug, Subcommand)]
pub enum Ledger {
    /// Make every table of counters and addresses again from the list of events.
    Rebuild,
    /// Compare every table with the list of events, and the segments of other nodes with their signatures; nothing is changed.
    Verify,
}

/// How mails are named without a number.
const OTHER_WAYS: [&str; 4] = ["domain", "org", "lane", "all"];

/// Writes the completion script of a shell to standard output.
pub fn completion(shell: Shell) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "sm2tp", &mut script);
    crate::say(String::from_utf8_lossy(&script).trim_end());
    ExitCode::SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_fit_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn mail_is_named_by_its_number_or_by_what_it_has_in_common() {
        let fits = |words: &str| Cli::try_parse_from(format!("sm2tp queue {words}").split(' ')).is_ok();
        for good in ["retry 7", "drop --all", "hold --domain x.example --org a", "release --lane held"] {
            assert!(fits(good), "{good}");
        }
        for bad in ["retry", "drop", "drop 7 --all", "hold 7 --domain x.example", "drop --all --org a", "show"] {
            assert!(!fits(bad), "{bad}");
        }
    }
}
