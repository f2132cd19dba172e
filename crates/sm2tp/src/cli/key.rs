//! The words for the keys of the node.

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum Key {
    /// Show the node key, log keys and tag keys, with their times.
    Show,
    /// Make a new log key. It signs after a wait, so that peers know it by then; the old one stays good for 30 days.
    Rotate {
        /// Hours until it signs.
        #[arg(long, value_name = "HOURS", default_value_t = 24)]
        wait: u64,
        /// Let it sign at once: peers take nothing of this node until they asked it again.
        #[arg(long, conflicts_with = "wait")]
        now: bool,
    },
    /// The log key was lost or stolen: a new one signs at once, and the old one is good for nothing any more.
    Revoke {
        /// The last segment that it signed rightly, as EPOCH.NUMBER; otherwise the last one that there is.
        #[arg(long, value_name = "E.S", value_parser = place)]
        after: Option<(u32, u32)>,
    },
    /// Make a new tag key for the federation, as every year or when a peering has ended.
    Tag {
        /// Hours until it is published under; peers ask for keys once a day.
        #[arg(long, value_name = "HOURS", default_value_t = 14 * 24)]
        wait: u64,
        /// Publish under it at once.
        #[arg(long, conflicts_with = "wait")]
        now: bool,
    },
    /// Found the federation anew, because the node that founded it does not come back: this one makes its tag keys from now on. The
    /// other members join it with `key join`.
    Found,
    /// Publish under a tag key of a peer, and so join its federation. `key show` lists those that are known for look-ups.
    Join {
        #[arg(value_name = "KEY_ID")]
        key_id: String,
    },
    /// Take the node key away from this machine. The node writes it to a file; carry that to a safe place.
    Offline {
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Bring the node key back from a file.
    Online {
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Print what the node key is to sign.
    Export {
        /// Instead, the last descriptor of this node: signed, and put away, it closes the node for ever when it is imported.
        #[arg(long)]
        retired: bool,
    },
    /// Sign what was exported, on the machine where the node key is. Asks no node and needs no configuration.
    Sign {
        /// The file that `key offline` wrote.
        #[arg(long, value_name = "FILE")]
        node_key: PathBuf,
        /// What `key export` printed; `-` for standard input.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Take what was signed: of this node, or a newer descriptor of another node that is known here.
    Import {
        /// `-` for standard input.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

/// `3.17` to epoch and number.
fn place(text: &str) -> Result<(u32, u32), String> {
    let numbers = text.split_once('.').and_then(|(epoch, number)| Some((epoch.parse().ok()?, number.parse().ok()?)));
    numbers.ok_or_else(|| "epoch and number of a segment, as 0.17".to_owned())
}
