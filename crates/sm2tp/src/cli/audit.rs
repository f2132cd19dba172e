//! The words of `sm2tp audit`.

use clap::Subcommand;
use sm2tp_doors::control::Request;

#[derive(Debug, Subcommand)]
pub enum Audit {
    /// List what people and programs changed, the latest first. Recipients stand in it as tags.
    List {
        /// What is about this organisation, and nothing else.
        #[arg(long, value_name = "NAME")]
        org: Option<String>,
        /// Only lines with a number below this one: the next page.
        #[arg(long, value_name = "N")]
        before: Option<u64>,
        /// At most so many lines, 1000 at most.
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
}

impl From<Audit> for Request {
    fn from(Audit::List { org, before, limit }: Audit) -> Self {
        Self::AuditList { org, before, limit }
    }
}
