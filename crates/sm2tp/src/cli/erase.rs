//! The words for erasing an address.

use clap::Args;
use sm2tp_doors::control::{Erasing, Request};

/// `sm2tp erase`.
#[derive(Debug, Args)]
pub struct Erase {
    pub address: String,
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
}

impl From<Erase> for Request {
    fn from(Erase { address, yes }: Erase) -> Self {
        let erasing = if yes { Erasing::Erase } else { Erasing::Look };
        Self::Erase { address, erasing }
    }
}
