//! The command `sm2tp`.

mod again;
mod alerts;
mod ask;
mod backup;
mod bench;
mod beside;
mod classify;
mod cli;
mod companies;
mod config;
mod database;
mod demo;
mod directory;
mod dkim;
mod doctor;
#[cfg(test)]
#[path = "../../../fuzz/src/drive.rs"]
mod drive;
mod erase;
mod evidence;
mod exim;
mod key;
mod lists;
mod log;
mod logins;
mod manual;
mod open;
mod opensmtpd;
mod outward;
mod pages;
mod password;
mod postfix;
mod progress;
mod report;
mod rules;
mod salvage;
mod sender;
mod serve;
mod service;
#[cfg(test)]
#[path = "../../../fuzz/src/settings.rs"]
mod settings;
mod setup;
mod show;
mod simulate;
mod stats;
mod sts;
mod tail;
mod take;
mod words;

use std::io::Write;
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::ExitCode;
use std::thread::available_parallelism;

use clap::Parser;
use serde::Serialize;
use serde_json::json;

use crate::cli::{Cli, Command};

/// Why the command failed, as sysexits(3) numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exit {
    Usage = 64,
    Input = 65,
    Unavailable = 69,
    Temporary = 75,
    NoPermission = 77,
    Configuration = 78,
}

/// A failure with its exit code and a sentence for a person.
#[derive(Debug)]
struct Failure {
    exit: u8,
    message: String,
}

/// Mail is many small pieces that live for milliseconds, on several threads: glibc's allocator spends a tenth of the
/// time of a busy node on them.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    // Whatever this program writes (queue, ledger, keys) names people or is a secret: nobody else on the machine reads it.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Who reads JSON gets JSON, though the rest of the line was not understood.
            if error.use_stderr() && std::env::args_os().any(|word| word == "--json") {
                return told(&Failure::new(Exit::Usage, error.to_string().trim_end()));
            }
            // Help and version are answers, not errors. A closed pipe is nobody's trouble.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(Exit::Usage as u8) } else { ExitCode::SUCCESS };
        }
    };
    let json = cli.json;
    match run(cli) {
        Ok(code) => code,
        Err(failure) if json => told(&failure),
        Err(failure) => {
            eprintln!("{}", failure.message);
            ExitCode::from(failure.exit)
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode, Failure> {
    // One provider for all TLS of the process; a second call could only come from us.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let json = cli.json;
    match cli.command {
        Command::Classify(asked) if !asked.unknown && !asked.replay => {
            classify::run(&open::classifier(&cli.config)?, json)
        }
        Command::Report { take: false, files, .. } => report::run(&open::classifier(&cli.config)?, &files, json),
        Command::Tag { address, key_hex } => ask::tag(&address, &key_hex, json),
        Command::Completion { shell } => Ok(cli::completion(shell)),
        Command::Manual { page } => Ok(manual::run(page)),
        Command::Demo { once, kill } => block_on(demo::run(demo::Args { once, json, kill }))?
            .map_err(|error| Failure::new(Exit::Unavailable, format!("{error:#}"))),
        Command::Bench(asked) => benchmark(asked, &cli.config, json),
        Command::Simulate(asked) => simulated(&asked, json),
        Command::Key(command) => keys(command, &cli.config, json),
        Command::Dkim(command) => {
            let config = serve::load(&cli.config)?;
            block_on(dkim::run(&config, &cli.config, command, json))?
        }
        Command::Report { take: true, recipient, files } => {
            let config = serve::load(&cli.config)?;
            block_on(take::run(&config, &cli.config, recipient, files, json))?
        }
        Command::Queue(cli::Queue::Salvage) => salvage::run(&serve::load(&cli.config)?, json),
        Command::Postfix(asked) => postfix::command(&serve::load(&cli.config)?, asked, json),
        Command::Log(cli::Log::Scan { format, page, files }) => {
            log::scan(&open::classifier(&cli.config)?, format, &files, log::As::of(json, page))
        }
        Command::Log(cli::Log::Import { format, log, files }) => {
            let config = serve::load(&cli.config)?;
            block_on(log::import(&config, &cli.config, format, log.as_deref(), &files, json))?
        }
        Command::Org(cli::Org::Import { org, file, stream }) => {
            let config = serve::load(&cli.config)?;
            let asked = logins::Import { org: &org, stream, file: file.as_deref() };
            block_on(logins::import(&config, &cli.config, asked, json))?
        }
        Command::Opensmtpd(asked) => opensmtpd::run(asked, &cli.config, json),
        Command::Exim(cli::Exim::Config) => exim::run(&serve::load(&cli.config)?, json),
        Command::Suppress(cli::Suppress::Import(asked)) => {
            let config = serve::load(&cli.config)?;
            block_on(lists::import(&config, &cli.config, asked, json))?
        }
        Command::Suppress(cli::Suppress::Export { org, format, files: false }) => {
            let config = serve::load(&cli.config)?;
            let format = if json { lists::ExportFormat::Json } else { format };
            block_on(lists::export(&config, &cli.config, org, format))?
        }
        Command::Backup { target } => backup::backup(&serve::load(&cli.config)?, &cli.config, &target, json),
        Command::Restore { copy } => backup::restore(&serve::load(&cli.config)?, &copy, json),
        Command::Migrate(asked) => database::migrate(&serve::load(&cli.config)?, &asked, json),
        Command::Ledger(cli::Ledger::Verify) => backup::verify(&serve::load(&cli.config)?, json),
        Command::Setup(asked) => setup::run(asked, &cli.config, json),
        Command::Doctor(asked) => {
            let config = serve::load(&cli.config)?;
            block_on(doctor::run(&config, &cli.config, &asked, json))?
        }
        Command::Check => serve::check(&cli.config, json),
        Command::Tail(cli::Tail { org }) => block_on(tail::run(&serve::load(&cli.config)?, &cli.config, org, json))?,
        Command::Serve => {
            let config = serve::load(&cli.config)?;
            // Asked while there is one thread alone: later nobody may look at the zone.
            let offset_s = log::offset_s();
            block_on_most(serve::serve(config, &cli.config, offset_s))?
        }
        other => {
            let config = serve::load(&cli.config)?;
            block_on(ask::run(&config, &cli.config, other, json))?
        }
    }
}

fn simulated(asked: &simulate::Simulate, json: bool) -> Result<ExitCode, Failure> {
    match asked {
        simulate::Simulate::Senders(args) => simulate::senders(args, json),
        simulate::Simulate::Federation(args) => simulate::federation(args, json),
    }
}

fn keys(command: cli::Key, config: &Path, json: bool) -> Result<ExitCode, Failure> {
    if let cli::Key::Sign { node_key, file } = &command {
        return key::sign(node_key, file, json);
    }
    block_on(key::run(&serve::load(config)?, config, command, json))?
}

fn benchmark(asked: cli::Bench, config: &Path, json: bool) -> Result<ExitCode, Failure> {
    match asked {
        cli::Bench::Relay(args) => block_on_one(bench::relay(args, json))?,
        cli::Bench::Queue(args) => block_on(bench::queue(args, json))?,
        cli::Bench::Admit(args) => block_on(bench::admit(args, json))?,
        cli::Bench::Policy(args) => block_on(bench::policy(args, json))?,
        cli::Bench::Absorb(args) => block_on(bench::absorb(args, json))?,
        cli::Bench::Federation(args) => block_on(bench::federation(args, json))?,
        cli::Bench::Classify(args) => bench::classify(&open::classifier(config)?, &args, json),
        cli::Bench::Log(args) => bench::log(&open::classifier(config)?, &args, json),
        cli::Bench::Report(args) => bench::report(&open::classifier(config)?, &args, json),
    }
}

/// A failure for a program that reads standard output.
fn told(failure: &Failure) -> ExitCode {
    say(&json!({ "ok": false, "exit": failure.exit, "message": failure.message }).to_string());
    ExitCode::from(failure.exit)
}

/// Prints what was measured.
fn tell(figures: &impl Serialize, words: &str, as_json: bool) -> Result<ExitCode, Failure> {
    if as_json {
        let text = serde_json::to_string(figures);
        say(&text.map_err(|error| Failure::new(Exit::Unavailable, format!("the figures: {error}")))?);
    } else {
        say(words.trim_end());
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints a line. Whoever reads us may have had enough (`| head`): then there is nobody left to tell.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn block_on<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(no_threads)?.block_on(work))
}

/// With one core left to the threads that write spool and ledger. On a small machine tasks that move between as many threads as
/// cores cost more in waking them than the cores are worth.
fn block_on_most<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    let cores = available_parallelism().map_or(1, NonZeroUsize::get);
    let mut threads = tokio::runtime::Builder::new_multi_thread();
    Ok(threads.worker_threads((cores - 1).max(1)).enable_all().build().map_err(no_threads)?.block_on(work))
}

/// On this thread alone: a load generator should take as little as it can from what it measures.
fn block_on_one<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(no_threads)?.block_on(work))
}

fn no_threads(error: std::io::Error) -> Failure {
    Failure::new(Exit::Temporary, format!("no threads can be started: {error}"))
}

impl Failure {
    fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit: exit as u8, message: message.into() }
    }
}
