//! The words for peers.

use clap::{Args, Subcommand};
use sm2tp_doors::control::Request;
use sm2tp_doors::peering::Trusting;

use super::OnOff;

#[derive(Debug, Subcommand)]
pub enum Peer {
    /// List peers with fingerprints and how they are doing.
    List,
    /// Show one peer, or one that asks.
    Show {
        /// Its host name, name or fingerprint.
        who: String,
    },
    /// Ask the administrator of another node for a peering.
    Invite {
        /// https://relay.example.org
        url: String,
        /// A word to the other administrator.
        #[arg(long)]
        note: Option<String>,
        /// How much its own events count, 0 to 1.
        #[arg(long, default_value_t = 1.0)]
        weight: f64,
        /// Do not pull from it.
        #[arg(long)]
        no_read: bool,
    },
    /// Accept the request of another node. It is shown first, with both fingerprints to compare by voice, and then asked.
    Accept {
        /// Its host name, name or fingerprint.
        who: String,
        /// Do not ask: both fingerprints were compared.
        #[arg(long)]
        yes: bool,
        #[arg(long, default_value_t = 1.0)]
        weight: f64,
        #[arg(long)]
        no_read: bool,
    },
    /// Change what a peer may, or let an origin go on that was stopped.
    Trust(Trust),
    /// End a peering.
    Remove { who: String },
}

#[derive(Debug, Args)]
pub struct Trust {
    /// Its host name, name or fingerprint; of an origin behind a peer the fingerprint.
    who: String,
    /// How much its own events count, 0 to 1.
    #[arg(long, required_unless_present_any = ["read", "take_parked", "forgive"])]
    weight: Option<f64>,
    /// Whether to pull from it.
    #[arg(long, value_name = "on|off")]
    read: Option<OnOff>,
    /// Fetch what waits because it is more than usual.
    #[arg(long, conflicts_with_all = ["weight", "read", "forgive"])]
    take_parked: bool,
    /// It signed two segments for one place; its administrator began a new epoch: take that.
    #[arg(long, conflicts_with_all = ["weight", "read"])]
    forgive: bool,
}

impl Peer {
    /// What the node is asked.
    pub fn request(self) -> Request {
        match self {
            Self::List => Request::PeerList,
            Self::Invite { url, note, weight, no_read } => Request::PeerInvite { url, note, weight, read: !no_read },
            Self::Show { who } => Request::PeerShow { who },
            Self::Accept { who, weight, no_read, yes: _ } => Request::PeerAccept { who, weight, read: !no_read },
            Self::Trust(Trust { who, weight, read, take_parked, forgive }) => {
                let trust = match (take_parked, forgive) {
                    (true, _) => Trusting::TakeParked,
                    (_, true) => Trusting::Forgive,
                    (false, false) => Trusting::Weigh { weight, read: read.map(|read| read == OnOff::On) },
                };
                Request::PeerTrust { who, trust }
            }
            Self::Remove { who } => Request::PeerRemove { who },
        }
    }
}
