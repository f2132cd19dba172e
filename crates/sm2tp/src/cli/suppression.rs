//! The words of `sm2tp org suppression`: the numbers of `[suppression]` that an organisation has of its own.

use clap::Args;
use sm2tp_doors::control::Request;
use sm2tp_rules::Streams;
use sm2tp_rules::suppress::{Doubtful, OfOrg, Stopped};

use super::{share, streams, word};
use crate::config::SCORES;

/// `sm2tp org suppression`. The words are those of [suppression] in the configuration, and of `--json`.
#[derive(Debug, Args)]
pub struct Suppression {
    pub name: String,
    /// What the sender of stopped mail gets: an immediate 550 (`refuse`), or a report after a 250 (`report`), for programs
    /// that cannot cope with the first.
    #[arg(long, value_name = "refuse|report", value_parser = word::<Stopped>)]
    pub stopped: Option<Stopped>,
    /// What becomes of mail to an address that only one other node calls dead.
    #[arg(long, value_name = "hold|refuse|send", value_parser = word::<Doubtful>)]
    pub doubtful: Option<Doubtful>,
    /// Streams for which the word of other nodes counts, such as `bulk,transactional`; `none`: it is not used.
    #[arg(long, value_name = "STREAMS", value_parser = streams)]
    pub federated: Option<Streams>,
    /// Streams that do not try a dead address again before the refusal expires.
    #[arg(long, value_name = "STREAMS", value_parser = streams)]
    pub strict: Option<Streams>,
    /// Streams that a complaint or an opt-out stops.
    #[arg(long, value_name = "STREAMS", value_parser = streams)]
    pub complaint: Option<Streams>,
    /// When the other streams may try a dead address again.
    #[arg(long, value_name = "TIME", value_parser = crate::config::duration_s)]
    pub personal_retry_after: Option<u64>,
    /// How long "no such address" is believed.
    #[arg(long, value_name = "TIME", value_parser = crate::config::duration_s)]
    pub hard_expiry: Option<u64>,
    /// When an address that its provider has switched off is tried again.
    #[arg(long, value_name = "TIME", value_parser = crate::config::duration_s)]
    pub inactive_recheck: Option<u64>,
    /// From which time after the first one a second ambiguous refusal counts.
    #[arg(long, value_name = "TIME", value_parser = crate::config::duration_s)]
    pub ambiguous_spread: Option<u64>,
    /// Temporary failures that stop mail.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=63))]
    pub soft_limit: Option<u16>,
    /// Of so much time; at most 63 days are remembered.
    #[arg(long, value_name = "TIME", value_parser = crate::config::duration_s)]
    pub soft_window: Option<u64>,
    /// And with at least this time between the first and the last of them.
    #[arg(long, value_name = "TIME", value_parser = crate::config::duration_s)]
    pub soft_spread: Option<u64>,
    /// In which time half of them is forgotten.
    #[arg(long, value_name = "TIME", value_parser = crate::config::duration_s)]
    pub soft_half_life: Option<u64>,
    /// How long a delivery counts for more than what other nodes say.
    #[arg(long, value_name = "TIME", value_parser = crate::config::duration_s)]
    pub delivery_fresh: Option<u64>,
    /// So many independent nodes that say it after the delivery count for more all the same.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub newer_sources: Option<u32>,
    /// Score of what other nodes say from which mail is doubtful.
    #[arg(long, value_name = "SCORE", value_parser = score)]
    pub held_score: Option<f64>,
    /// Score from which it is stopped, ...
    #[arg(long, value_name = "SCORE", value_parser = score)]
    pub suppressed_score: Option<f64>,
    /// ... if so many independent nodes say it.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub suppressed_sources: Option<u32>,
    /// Share of doubtful mail that is let through to measure others, 0 to 1.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub canary_share: Option<f64>,
    /// Forget what it has of its own first.
    #[arg(long)]
    pub reset: bool,
}

impl From<Suppression> for Request {
    fn from(asked: Suppression) -> Self {
        let change = OfOrg {
            strict: asked.strict,
            personal_retry_after_s: asked.personal_retry_after,
            hard_expiry_s: asked.hard_expiry,
            inactive_recheck_s: asked.inactive_recheck,
            ambiguous_spread_s: asked.ambiguous_spread,
            soft_max: asked.soft_limit,
            soft_window_s: asked.soft_window,
            soft_spread_s: asked.soft_spread,
            soft_half_life_s: asked.soft_half_life,
            complaint: asked.complaint,
            federated: asked.federated,
            delivery_fresh_s: asked.delivery_fresh,
            newer_sources_min: asked.newer_sources,
            held_score: asked.held_score,
            suppressed_score: asked.suppressed_score,
            suppressed_sources_min: asked.suppressed_sources,
            doubtful: asked.doubtful,
            canary_share: asked.canary_share,
            stopped: asked.stopped,
        };
        Self::OrgSuppression { name: asked.name, change: Box::new(change), reset: asked.reset }
    }
}

fn score(text: &str) -> Result<f64, String> {
    let score = text.parse::<f64>().ok().filter(|score| SCORES.contains(score));
    score.ok_or_else(|| format!("a score is from {} to {}", SCORES.start(), SCORES.end()))
}
