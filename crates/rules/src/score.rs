//! How well an organisation's mail arrives, or a node's: shares of what was sent, and the light that they give.
//!
//! A function of counts: it knows no clock and stops nobody by itself.

use serde::{Deserialize, Serialize};

/// What happened to mail within some days, by recipient.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sends {
    /// 250 was said for so many recipients.
    pub accepted: u64,
    /// The recipient's server took it.
    pub delivered: u64,
    /// Given up: refused, or not delivered in its time.
    pub failed: u64,
    /// Of those, and of what came back later: about the address. A server said that it does not exist.
    pub bounced: u64,
    /// Of those: about the content, as spam or worse.
    pub spam: u64,
    /// Came back as a report after the server's yes, for whatever reason.
    pub returned: u64,
    pub complained: u64,
    /// Not sent, because the address is suppressed.
    pub stopped: u64,
}

/// Where the lights change; shares from 0 to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Nobody is judged by fewer mails: one mistake would be a share.
    pub sends_min: u64,
    /// Nor by fewer cases of a kind.
    pub bounces_min: u64,
    pub complaints_min: u64,
    pub stopped_min: u64,
    /// The goal of the house, in real bounces.
    pub bounces_goal: f64,
    pub bounces_amber: f64,
    pub bounces_slow: f64,
    pub bounces_stop: f64,
    pub complaints_amber: f64,
    pub complaints_slow: f64,
    /// A list of which so much is suppressed was bought, or is very old.
    pub stopped_slow: f64,
}

/// From good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Light {
    /// Too few mails to say anything.
    Unjudged,
    Green,
    /// Above the goal, and no reason to worry.
    Fair,
    Amber,
    /// One mail at a time.
    Slow,
    Stop,
}

/// A share of mail, and how it was reckoned.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Share {
    pub count: u64,
    pub of: u64,
    /// `count / of`, from 0 to 1; 0 of nothing.
    pub share: f64,
    pub light: Light,
}

/// The score: three shares, and the worst light of them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Score {
    pub light: Light,
    /// Real bounces (of an address that does not exist), of all mail that came to an end. What the list stopped is in
    /// neither number: a list that is good hides nothing.
    pub bounces: Share,
    /// Of mail that was delivered.
    pub complaints: Share,
    /// Stopped by suppression, of all that was to be sent.
    pub stopped: Share,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sends_min: 100,
            bounces_min: 3,
            complaints_min: 2,
            stopped_min: 10,
            bounces_goal: 0.004,
            bounces_amber: 0.02,
            bounces_slow: 0.05,
            bounces_stop: 0.10,
            complaints_amber: 0.001,
            complaints_slow: 0.003,
            stopped_slow: 0.05,
        }
    }
}

impl Light {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unjudged => "unjudged",
            Self::Green => "green",
            Self::Fair => "fair",
            Self::Amber => "amber",
            Self::Slow => "slow",
            Self::Stop => "stop",
        }
    }
}

impl Sends {
    /// Adds what happened so often: `kind` and `cause` as the ledger counts them. What is no word of theirs changes nothing.
    pub fn add(&mut self, kind: &str, cause: &str, count: u64) {
        match kind {
            "accepted" => self.accepted = self.accepted.saturating_add(count),
            "delivered" => self.delivered = self.delivered.saturating_add(count),
            "bounced" => self.failed = self.failed.saturating_add(count),
            "returned" => self.returned = self.returned.saturating_add(count),
            "complained" => self.complained = self.complained.saturating_add(count),
            "stopped" | "stopped-reported" if is_suppression(cause) => {
                self.stopped = self.stopped.saturating_add(count);
            }
            _ => {}
        }
        match (kind, cause) {
            ("bounced" | "returned", "address") => self.bounced = self.bounced.saturating_add(count),
            ("bounced" | "returned", "content") => self.spam = self.spam.saturating_add(count),
            _ => {}
        }
    }

    /// Mails that came to an end: a server took them, or they were given up.
    #[must_use]
    pub fn ended(&self) -> u64 {
        self.delivered.saturating_add(self.failed)
    }
}

/// The score of what happened.
#[must_use]
pub fn score(sends: &Sends, limits: &Limits) -> Score {
    let ended = sends.ended();
    let bounces = share(sends.bounced, ended, limits.sends_min, limits.bounces_min, |share| match share {
        share if share < limits.bounces_goal => Light::Green,
        share if share < limits.bounces_amber => Light::Fair,
        share if share < limits.bounces_slow => Light::Amber,
        share if share < limits.bounces_stop => Light::Slow,
        _ => Light::Stop,
    });
    let complaints =
        share(sends.complained, sends.delivered, limits.sends_min, limits.complaints_min, |share| match share {
            share if share < limits.complaints_amber => Light::Green,
            share if share < limits.complaints_slow => Light::Amber,
            _ => Light::Slow,
        });
    // What was accepted and stopped later is in both.
    let wanted = ended.max(sends.accepted).saturating_add(sends.stopped);
    let stopped = share(sends.stopped, wanted, limits.sends_min, limits.stopped_min, |share| {
        if share <= limits.stopped_slow { Light::Green } else { Light::Slow }
    });
    Score { light: bounces.light.max(complaints.light).max(stopped.light), bounces, complaints, stopped }
}

/// Whether the reason of a stop is that the address is suppressed, in the words of [`crate::suppress::Why`]: a wrong sender
/// or a limit says nothing about a list.
#[must_use]
pub fn is_suppression(why: &str) -> bool {
    SUPPRESSIONS.contains(&why)
}

/// Fewer cases than `count_min` leave the light green: somebody will always mistype an address.
fn share(count: u64, of: u64, of_min: u64, count_min: u64, light: impl Fn(f64) -> Light) -> Share {
    #[expect(clippy::cast_precision_loss, reason = "counts of mails, far below 2^52")]
    let share = if of == 0 { 0.0 } else { count as f64 / of as f64 };
    let light = match (of < of_min, count < count_min) {
        (true, _) => Light::Unjudged,
        (false, true) => Light::Green,
        (false, false) => light(share),
    };
    Share { count, of, share, light }
}

const SUPPRESSIONS: [&str; 7] =
    ["listed", "listed-by-org", "opted-out", "own-hard", "own-soft", "imported", "federated"];

#[cfg(test)]
mod tests {
    use super::*;

    fn of(delivered: u64, bounced: u64, complained: u64, stopped: u64) -> Score {
        let failed = bounced;
        let accepted = delivered + failed;
        let sends = Sends { accepted, delivered, failed, bounced, complained, stopped, ..Sends::default() };
        score(&sends, &Limits::default())
    }

    #[track_caller]
    fn check(delivered: u64, bounced: u64, complained: u64, stopped: u64, want: Light) {
        let score = of(delivered, bounced, complained, stopped);
        assert_eq!(score.light, want, "{score:?}");
    }

    #[test]
    fn the_light_follows_the_share_of_real_bounces() {
        for (bounced, want) in [
            (0, Light::Green),
            (39, Light::Green),
            (40, Light::Fair),
            (199, Light::Fair),
            (200, Light::Amber),
            (499, Light::Amber),
            (500, Light::Slow),
            (999, Light::Slow),
            (1000, Light::Stop),
        ] {
            check(10_000 - bounced, bounced, 0, 0, want);
        }
        assert_eq!(of(9_960, 40, 0, 0).bounces, Share { count: 40, of: 10_000, share: 0.004, light: Light::Fair });
    }

    #[test]
    fn complaints_and_a_bought_list_are_seen_too_and_the_worst_decides() {
        check(10_000, 0, 9, 0, Light::Green);
        check(10_000, 0, 10, 0, Light::Amber);
        check(10_000, 0, 30, 0, Light::Slow);
        check(9_500, 0, 0, 500, Light::Green);
        check(9_490, 0, 0, 510, Light::Slow);
        check(9_000, 1_000, 10, 510, Light::Stop);
    }

    #[test]
    fn nobody_is_judged_by_a_handful_of_mails_or_a_single_mistake() {
        check(0, 0, 0, 0, Light::Unjudged);
        check(50, 40, 3, 0, Light::Unjudged);
        check(98, 2, 1, 9, Light::Green);
        check(97, 3, 0, 0, Light::Amber);
    }

    #[test]
    fn every_reason_of_suppression_is_known_here() {
        use crate::suppress::{Level, Why};
        for why in [Why::Listed(Level::Node), Why::Listed(Level::Org), Why::OptedOut] {
            assert!(is_suppression(why.as_str()), "{why:?}");
        }
        assert!(["own-hard", "own-soft", "imported", "federated"].into_iter().all(is_suppression));
    }

    #[test]
    fn what_the_ledger_counts_is_added_where_it_belongs() {
        let mut sends = Sends::default();
        for (kind, cause, count) in [
            ("accepted", "", 10),
            ("delivered", "", 7),
            ("bounced", "address", 1),
            ("bounced", "content", 2),
            ("returned", "address", 1),
            ("returned", "mailbox", 1),
            ("complained", "complaint", 1),
            ("stopped", "own-hard", 3),
            ("stopped-reported", "listed", 1),
            ("stopped", "sender-domain", 50),
            ("report-bounced", "address", 50),
            ("deferred", "address", 50),
        ] {
            sends.add(kind, cause, count);
        }
        let want = Sends {
            accepted: 10,
            delivered: 7,
            failed: 3,
            bounced: 2,
            spam: 2,
            returned: 2,
            complained: 1,
            stopped: 4,
        };
        assert_eq!(sends, want);
    }
}
