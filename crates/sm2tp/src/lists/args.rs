//! The words of `sm2tp suppress import` and `export`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use sm2tp_proto::lists::{Format, Reason};

/// `sm2tp suppress import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The list; `-` for standard input.
    pub file: PathBuf,
    /// Whose list it is: plain, ses, sendgrid, mailgun, postmark, brevo, sympa, mailman, sm2tp, csv, json. `auto` looks at it.
    #[arg(long, default_value = "auto", value_parser = list_format)]
    pub format: ListFormat,
    /// Complaints and unsubscriptions are about mail of this organisation; without it they are left out.
    #[arg(long, value_name = "NAME")]
    pub org: Option<String>,
    /// Why the addresses are on it, where the list does not say so itself.
    #[arg(long)]
    pub reason: Option<ListReason>,
    /// Say what would become of it, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Write every entry that is left out to this file, with the reason.
    #[arg(long, value_name = "FILE")]
    pub rejects: Option<PathBuf>,
}

/// Whose list it is; none: what it looks like.
#[derive(Debug, Clone, Copy)]
pub struct ListFormat(pub Option<Format>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ListReason {
    Bounce,
    Complaint,
    Unsubscribe,
    /// By hand.
    Listed,
}

impl From<ListReason> for Reason {
    fn from(reason: ListReason) -> Self {
        match reason {
            ListReason::Bounce => Self::Bounce,
            ListReason::Complaint => Self::Complaint,
            ListReason::Unsubscribe => Self::Unsubscribe,
            ListReason::Listed => Self::Listed,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    Csv,
    Json,
}

fn list_format(word: &str) -> Result<ListFormat, String> {
    if word == "auto" {
        return Ok(ListFormat(None));
    }
    let words = Format::ALL.map(Format::as_str).join(", ");
    word.parse().map(|format| ListFormat(Some(format))).map_err(|_| format!("a list is one of auto, {words}"))
}
