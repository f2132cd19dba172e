//! When a message that was not taken is tried again, and when it is given up.

use crate::outcome::{Fate, Outcome, Stream};

/// The waits, all in seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    pub first_s: u64,
    /// Each wait is twice the one before, up to this.
    pub max_s: u64,
    /// Life of a message in the queue: people wait for days, a newsletter is old after one.
    pub expire_personal_s: u64,
    pub expire_bulk_s: u64,
}

/// What follows from one failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Try again at this unix second.
    At(u64),
    /// The answer is final: report it.
    Final,
    /// The life of the message is over: report that.
    Expired,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { first_s: 300, max_s: 4 * 3600, expire_personal_s: 4 * 86_400, expire_bulk_s: 86_400 }
    }
}

impl Schedule {
    #[must_use]
    pub fn life_s(&self, stream: Stream) -> u64 {
        if stream == Stream::Bulk { self.expire_bulk_s } else { self.expire_personal_s }
    }

    /// Decides after attempt number `attempts` (the first is 1) of a message queued at `queued_at`.
    ///
    /// `jitter` in `[0, 1)` spreads the next try over a tenth of the wait, so that a site that comes back is not
    /// met by its whole queue at one second. A wait that the server named is honoured where it is longer.
    #[must_use]
    pub fn next(
        &self,
        outcome: &Outcome,
        stream: Stream,
        queued_at: u64,
        attempts: u32,
        now: u64,
        jitter: f64,
    ) -> Next {
        if outcome.fate == Fate::Final {
            return Next::Final;
        }
        let end = queued_at.saturating_add(self.life_s(stream));
        if end <= now {
            return Next::Expired;
        }
        let doublings = attempts.saturating_sub(1).min(20);
        let wait = self.first_s.saturating_mul(1 << doublings).min(self.max_s).max(1);
        let wait = wait.max(outcome.retry_after_s.map_or(0, u64::from));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let spread = (wait as f64 * 0.1 * jitter.clamp(0.0, 1.0)) as u64;
        // The last try falls on the end of its life, not after it.
        Next::At(now.saturating_add(wait + spread).min(end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{Cause, Scope, Strength};

    fn outcome(fate: Fate, retry_after_s: Option<u32>) -> Outcome {
        Outcome {
            cause: Cause::Rate,
            sub: None,
            fate,
            scope: Scope::Exit,
            strength: Strength::Strong,
            rule: "test".into(),
            provider: None,
            code: Some(450),
            enhanced: None,
            retry_after_s,
            link: None,
        }
    }

    #[track_caller]
    fn check(fate: Fate, hint: Option<u32>, stream: Stream, age: u64, attempts: u32, want: Next) {
        let queued = 1_000_000;
        let next = Schedule::default().next(&outcome(fate, hint), stream, queued, attempts, queued + age, 0.0);
        let relative = match next {
            Next::At(at) => Next::At(at - queued - age),
            other => other,
        };
        assert_eq!(relative, want);
    }

    #[test]
    fn waits_double_up_to_four_hours() {
        check(Fate::Later, None, Stream::Personal, 0, 1, Next::At(300));
        check(Fate::Later, None, Stream::Personal, 300, 2, Next::At(600));
        check(Fate::Later, None, Stream::Personal, 90_000, 9, Next::At(14_400));
        check(Fate::Slow, None, Stream::Personal, 90_000, u32::MAX, Next::At(14_400));
    }

    #[test]
    fn a_wait_that_the_server_named_is_honoured() {
        check(Fate::Later, Some(900), Stream::Personal, 0, 1, Next::At(900));
        check(Fate::Later, Some(10), Stream::Personal, 0, 1, Next::At(300));
    }

    #[test]
    fn the_last_try_falls_on_the_end_of_life_and_then_it_expires() {
        check(Fate::Later, None, Stream::Bulk, 86_000, 9, Next::At(400));
        check(Fate::Later, None, Stream::Bulk, 86_400, 10, Next::Expired);
        check(Fate::Final, None, Stream::Bulk, 0, 1, Next::Final);
    }
}
