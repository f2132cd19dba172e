//! The words of `sm2tp stats`.

use clap::Args;
use sm2tp_doors::control::Request;

#[derive(Debug, Args)]
pub struct Stats {
    /// Of this organisation; without it, of the whole node.
    #[arg(long, value_name = "NAME")]
    pub org: Option<String>,
    /// So many days back, today among them; 30 by default.
    #[arg(long, value_name = "N")]
    pub days: Option<u64>,
    /// What is counted of one address instead.
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["org", "days", "evidence"])]
    pub address: Option<String>,
    /// What suppression and the federation were worth instead: sends avoided, what they would have done to the bounce rate, how
    /// right other nodes are (docs/evidence.md). English or French, as LANG says.
    #[arg(long)]
    pub evidence: bool,
}

impl From<Stats> for Request {
    fn from(Stats { org, days, address, evidence }: Stats) -> Self {
        match address {
            Some(address) => Self::StatsOf { address },
            None if evidence => Self::Evidence { org, days },
            None => Self::Stats { org, days },
        }
    }
}
