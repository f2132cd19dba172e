//! The words of `sm2tp suppress`.

use clap::{Args, Subcommand};
use sm2tp_doors::control;
use sm2tp_rules::Stream;

use super::stream;
use crate::lists::{ExportFormat, ImportArgs};

#[derive(Debug, Subcommand)]
pub enum Suppress {
    /// List what is suppressed. Addresses are kept as tags, so their domain is shown.
    List {
        /// What stands on the lists of this organisation, and nothing else.
        #[arg(long, value_name = "NAME")]
        org: Option<String>,
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Do not write to this address any more; mail that waits for it goes back to its senders.
    Add(Entry),
    /// Write to this address whatever servers and other nodes say of it. For an organisation: neither against the node's
    /// own list, nor against the recipient who complained or left.
    Allow(Entry),
    /// Write to this address again: off the list, own evidence lifted, other nodes' word overruled. For an organisation: off
    /// its list, a complaint about it or an opt-out lifted, and nothing else.
    Remove(Entry),
    /// Ask its owner with one mail whether mail of an organisation is wanted again; the button behind its link lifts evidence
    /// and opt-out. Once a week at most.
    Confirm {
        address: String,
        /// For mail of this organisation; without it, of the trusted networks.
        #[arg(long, value_name = "NAME")]
        org: Option<String>,
    },
    /// Take a list of another program: who bounced, complained, or does not want mail (docs/suppression-lists.md).
    Import(ImportArgs),
    /// Write what is suppressed to standard output. Addresses are kept as tags, so this is for this node, or one with
    /// the same tag key.
    Export {
        /// What this organisation does not write to, and nothing else.
        #[arg(long, value_name = "NAME")]
        org: Option<String>,
        #[arg(long, default_value = "csv")]
        format: ExportFormat,
        /// Write the files of [exports] now instead: lists for mail servers and other tools (docs/beside.md).
        #[arg(long, conflicts_with_all = ["org", "format"])]
        files: bool,
    },
}

/// An address, and for which mail it is meant.
#[derive(Debug, Args)]
pub struct Entry {
    pub address: String,
    /// For mail of this organisation only.
    #[arg(long, value_name = "NAME")]
    pub org: Option<String>,
    /// For this kind of mail only: personal, transactional, bulk, forwarded.
    #[arg(long, value_parser = stream)]
    pub stream: Option<Stream>,
    #[arg(long)]
    pub note: Option<String>,
}

impl From<Entry> for control::Entry {
    fn from(Entry { address, org, stream, note }: Entry) -> Self {
        Self { address, org, stream, note }
    }
}
