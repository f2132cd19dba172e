//! The numbers and choices of suppression (`DESIGN.md` §6): what holds for a node, and what an organisation has of its own.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::evidence::DAY_S;
use crate::outcome::{Stream, Streams};

/// What holds for one question. Times in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Streams that are stopped until a refusal expires; mail of the others may try again after
    /// `personal_retry_after_s`, because people know things that lists do not.
    pub strict: Streams,
    pub personal_retry_after_s: u64,
    /// Until a refusal is forgotten: recycled spam traps reject for 6 to 12 months first.
    pub hard_expiry_s: u64,
    /// Until an address that its provider switched off is tried again.
    pub inactive_recheck_s: u64,
    /// An ambiguous refusal counts from the second one at least this long after the first.
    pub ambiguous_spread_s: u64,
    /// Soft failures that stop mail: so many, within the window, over at least the spread.
    pub soft_max: u16,
    pub soft_window_s: u64,
    pub soft_spread_s: u64,
    /// Soft failures lose half of their weight in this time: what was stopped goes again when less than one is left.
    pub soft_half_life_s: u64,
    /// Streams that a complaint or an opt-out stops.
    pub complaint: Streams,
    /// Streams for which the word of other nodes counts; none: it is not used.
    pub federated: Streams,
    /// A delivery younger than this beats what others say, ...
    pub delivery_fresh_s: u64,
    /// ... unless so many independent sources said it after the delivery.
    pub newer_sources_min: u32,
    /// Federated score from which mail is held, and from which it is refused. Not 1.0 for the first: an event is a day
    /// old when it is published, so that one full witness never reaches it (decision 0004).
    pub held_score: f64,
    pub suppressed_score: f64,
    pub suppressed_sources_min: u32,
    /// What becomes of mail between the two scores.
    pub doubtful: Doubtful,
    /// Share of it, 0 to 1, that is let through at random to measure what the federation is worth (R27).
    pub canary_share: f64,
    /// What the sender of a stopped mail gets.
    pub stopped: Stopped,
}

/// What becomes of mail to an address that only one source calls dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Doubtful {
    /// It waits for a person.
    Hold,
    Refuse,
    Send,
}

/// How a sender learns that a mail was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stopped {
    /// 550 at RCPT.
    Refuse,
    /// Taken, and given back with a report: for programs that cannot cope with a refusal.
    Report,
}

/// What an organisation has of its own; what is none is as the node has it. A stored format (I9): fields are added,
/// never renamed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OfOrg {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strict: Option<Streams>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub personal_retry_after_s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hard_expiry_s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inactive_recheck_s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ambiguous_spread_s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub soft_max: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub soft_window_s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub soft_spread_s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub soft_half_life_s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub complaint: Option<Streams>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub federated: Option<Streams>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery_fresh_s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newer_sources_min: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_score: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suppressed_score: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suppressed_sources_min: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub doubtful: Option<Doubtful>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary_share: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<Stopped>,
}

/// Two numbers that cannot hold together.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
pub enum Contradiction {
    /// In seconds.
    #[error(
        "soft failures cannot spread over more days than are looked at: a spread of {spread_s} s, a window of {window_s} s"
    )]
    SpreadBeyondWindow { spread_s: u64, window_s: u64 },
    #[error("mail would be refused before it is held: held from a score of {held}, refused from {suppressed}")]
    RefusedBeforeHeld { held: f64, suppressed: f64 },
}

impl Limits {
    /// # Errors
    /// The first [`Contradiction`] in it.
    pub fn check(&self) -> Result<(), Contradiction> {
        if self.soft_window_s < self.soft_spread_s {
            let (spread_s, window_s) = (self.soft_spread_s, self.soft_window_s);
            return Err(Contradiction::SpreadBeyondWindow { spread_s, window_s });
        }
        if self.suppressed_score < self.held_score {
            let (held, suppressed) = (self.held_score, self.suppressed_score);
            return Err(Contradiction::RefusedBeforeHeld { held, suppressed });
        }
        Ok(())
    }
}

impl OfOrg {
    /// What holds for mail of the organisation on a node with `node`.
    #[must_use]
    pub fn over(&self, node: &Limits) -> Limits {
        Limits {
            strict: self.strict.unwrap_or(node.strict),
            personal_retry_after_s: self.personal_retry_after_s.unwrap_or(node.personal_retry_after_s),
            hard_expiry_s: self.hard_expiry_s.unwrap_or(node.hard_expiry_s),
            inactive_recheck_s: self.inactive_recheck_s.unwrap_or(node.inactive_recheck_s),
            ambiguous_spread_s: self.ambiguous_spread_s.unwrap_or(node.ambiguous_spread_s),
            soft_max: self.soft_max.unwrap_or(node.soft_max),
            soft_window_s: self.soft_window_s.unwrap_or(node.soft_window_s),
            soft_spread_s: self.soft_spread_s.unwrap_or(node.soft_spread_s),
            soft_half_life_s: self.soft_half_life_s.unwrap_or(node.soft_half_life_s),
            complaint: self.complaint.unwrap_or(node.complaint),
            federated: self.federated.unwrap_or(node.federated),
            delivery_fresh_s: self.delivery_fresh_s.unwrap_or(node.delivery_fresh_s),
            newer_sources_min: self.newer_sources_min.unwrap_or(node.newer_sources_min),
            held_score: self.held_score.unwrap_or(node.held_score),
            suppressed_score: self.suppressed_score.unwrap_or(node.suppressed_score),
            suppressed_sources_min: self.suppressed_sources_min.unwrap_or(node.suppressed_sources_min),
            doubtful: self.doubtful.unwrap_or(node.doubtful),
            canary_share: self.canary_share.unwrap_or(node.canary_share),
            stopped: self.stopped.unwrap_or(node.stopped),
        }
    }

    /// The same with what `change` names in its place.
    #[must_use]
    pub fn changed(self, change: Self) -> Self {
        Self {
            strict: change.strict.or(self.strict),
            personal_retry_after_s: change.personal_retry_after_s.or(self.personal_retry_after_s),
            hard_expiry_s: change.hard_expiry_s.or(self.hard_expiry_s),
            inactive_recheck_s: change.inactive_recheck_s.or(self.inactive_recheck_s),
            ambiguous_spread_s: change.ambiguous_spread_s.or(self.ambiguous_spread_s),
            soft_max: change.soft_max.or(self.soft_max),
            soft_window_s: change.soft_window_s.or(self.soft_window_s),
            soft_spread_s: change.soft_spread_s.or(self.soft_spread_s),
            soft_half_life_s: change.soft_half_life_s.or(self.soft_half_life_s),
            complaint: change.complaint.or(self.complaint),
            federated: change.federated.or(self.federated),
            delivery_fresh_s: change.delivery_fresh_s.or(self.delivery_fresh_s),
            newer_sources_min: change.newer_sources_min.or(self.newer_sources_min),
            held_score: change.held_score.or(self.held_score),
            suppressed_score: change.suppressed_score.or(self.suppressed_score),
            suppressed_sources_min: change.suppressed_sources_min.or(self.suppressed_sources_min),
            doubtful: change.doubtful.or(self.doubtful),
            canary_share: change.canary_share.or(self.canary_share),
            stopped: change.stopped.or(self.stopped),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            strict: Streams::one(Stream::Bulk),
            personal_retry_after_s: DAY_S,
            hard_expiry_s: 400 * DAY_S,
            inactive_recheck_s: 90 * DAY_S,
            ambiguous_spread_s: DAY_S,
            soft_max: 5,
            soft_window_s: 30 * DAY_S,
            soft_spread_s: 10 * DAY_S,
            soft_half_life_s: 14 * DAY_S,
            complaint: Streams::one(Stream::Bulk),
            federated: Streams::one(Stream::Bulk),
            delivery_fresh_s: 30 * DAY_S,
            newer_sources_min: 2,
            held_score: 0.75,
            suppressed_score: 1.5,
            suppressed_sources_min: 2,
            doubtful: Doubtful::Hold,
            canary_share: 0.02,
            stopped: Stopped::Refuse,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_org_does_not_name_is_as_the_node_has_it() {
        let node = Limits { soft_max: 9, ..Limits::default() };
        assert_eq!(OfOrg::default().over(&node), node);
        let own = OfOrg { stopped: Some(Stopped::Report), federated: Some(Streams::NONE), ..OfOrg::default() };
        let want = Limits { stopped: Stopped::Report, federated: Streams::NONE, ..node };
        assert_eq!(own.over(&node), want);
        let change = OfOrg { stopped: Some(Stopped::Refuse), soft_max: Some(3), ..OfOrg::default() };
        assert_eq!(own.changed(change).over(&node), Limits { soft_max: 3, stopped: Stopped::Refuse, ..want });
    }

    #[test]
    fn numbers_that_contradict_each_other_are_named() {
        let node = Limits::default();
        assert_eq!(node.check(), Ok(()));
        let own = OfOrg { soft_spread_s: Some(31 * DAY_S), ..OfOrg::default() };
        let (spread_s, window_s) = (31 * DAY_S, 30 * DAY_S);
        assert_eq!(own.over(&node).check(), Err(Contradiction::SpreadBeyondWindow { spread_s, window_s }));
        assert_eq!(OfOrg { soft_window_s: Some(40 * DAY_S), ..own }.over(&node).check(), Ok(()));
        let own = OfOrg { held_score: Some(2.0), ..OfOrg::default() };
        let wrong = Contradiction::RefusedBeforeHeld { held: 2.0, suppressed: 1.5 };
        assert_eq!(own.over(&node).check(), Err(wrong));
    }

    #[test]
    fn settings_of_an_org_are_kept_as_words() {
        let own = OfOrg { strict: Some(Streams::ALL), doubtful: Some(Doubtful::Send), ..OfOrg::default() };
        let text = serde_json::to_string(&own).unwrap();
        assert_eq!(text, r#"{"strict":"personal transactional bulk forwarded","doubtful":"send"}"#);
        assert_eq!(serde_json::from_str::<OfOrg>(&text).unwrap(), own);
    }
}
