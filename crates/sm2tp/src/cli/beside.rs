//! The words for mail servers beside the node: Postfix, Exim, their logs.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Subcommand;

use crate::config::{LogFormat, Place};

#[derive(Debug, Subcommand)]
pub enum Log {
    /// Read logs as they are: what was delivered and refused, when, from and to whom, who is blocked where, which senders look
    /// wrong; English or French, as LANG says. With --json, a line for each result.
    Scan {
        #[arg(long, value_name = "postfix|exim", value_parser = log_format)]
        format: LogFormat,
        /// One file of HTML that needs nothing else, for a browser.
        #[arg(long)]
        page: bool,
        /// Oldest first; compressed files are unpacked, `-` is standard input.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Count what logs from before the node say, compressed ones too, as if it had followed them. What was counted once, by
    /// this or by the follower, is not counted again; peers are told nothing.
    Import {
        #[arg(long, value_name = "postfix|exim", value_parser = log_format)]
        format: LogFormat,
        /// The log that the files were once, as [logs] names it; not needed where that follows one file of this format.
        #[arg(long, value_name = "PATH")]
        log: Option<PathBuf>,
        /// Oldest first; compressed files are unpacked.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub enum Postfix {
    /// Print the commands that make Postfix ask this node, and why; nothing is changed without --apply.
    Config {
        /// The folder of main.cf and master.cf.
        #[arg(long, value_name = "DIR", default_value = "/etc/postfix")]
        dir: PathBuf,
        /// Keep a copy of both files, run the commands, and let Postfix check the result.
        #[arg(long)]
        apply: bool,
        /// Take back what --apply did.
        #[arg(long, conflicts_with = "apply")]
        undo: bool,
    },
    /// Print a Postfix instance of its own that relays and asks this node, beside the one that is there; made with --apply.
    Relay {
        /// The folder of its main.cf and master.cf; its last part is its name.
        #[arg(long, value_name = "DIR", default_value = "/etc/postfix-relay")]
        dir: PathBuf,
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:2525")]
        listen: SocketAddr,
        /// Its queue; by default /var/spool and its name.
        #[arg(long, value_name = "DIR")]
        queue: Option<PathBuf>,
        /// What else it keeps; by default /var/lib and its name.
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
        /// Make the folders and both files, and let Postfix check them; files that are there stay.
        #[arg(long)]
        apply: bool,
        /// Take away what --apply made: when it is stopped, and has no mail.
        #[arg(long, conflicts_with = "apply")]
        undo: bool,
    },
}

#[derive(Debug, Subcommand)]
pub enum Exim {
    /// Print the files that make Exim ask this node, and where they go.
    Config,
}

#[derive(Debug, Subcommand)]
pub enum Opensmtpd {
    /// Print the lines of smtpd.conf that make OpenSMTPD ask this node.
    Config,
    /// The filter that OpenSMTPD starts. It asks the policy service about each recipient, passes everything while that is down,
    /// and never ends before OpenSMTPD does, which would end with it.
    Filter {
        /// Where the policy service is, as in [policy] listen; without it, the configuration is read.
        #[arg(long, value_name = "PLACE", value_parser = crate::config::place)]
        socket: Option<Place>,
        /// What the listener is for: personal, transactional, bulk or forwarded mail.
        #[arg(long, value_name = "STREAM", default_value = "")]
        context: String,
    },
}

fn log_format(word: &str) -> Result<LogFormat, String> {
    match word {
        "postfix" => Ok(LogFormat::Postfix),
        "exim" => Ok(LogFormat::Exim),
        _ => Err("postfix or exim".to_owned()),
    }
}
