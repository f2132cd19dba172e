//! How long a client is waited for: between two commands, for one message, and until it says who it is.

use std::time::Duration;

use tokio::time::Instant;

/// The clock of one conversation.
pub(super) struct Deadlines {
    patience: Duration,
    opened: Instant,
    /// When the next command, or the next piece of a message, must be there. Not from the last octet: who sends one now
    /// and then would keep its seat for weeks.
    due: Instant,
    message: Option<Message>,
}

/// A message that comes in.
struct Message {
    began: Instant,
    octets: u64,
}

/// Whether the client may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It has not logged in and is in no trusted network.
    Stranger,
    Member,
}

impl Deadlines {
    pub(super) fn new(patience: Duration, now: Instant) -> Self {
        Self { patience, opened: now, due: now + patience, message: None }
    }

    /// A whole command came, or a piece of a message that is worth waiting for.
    pub(super) fn progressed(&mut self, now: Instant) {
        self.due = now + self.patience;
    }

    /// Octets of a message came.
    pub(super) fn received(&mut self, octets: usize, now: Instant) {
        let message = self.message.get_or_insert(Message { began: now, octets: 0 });
        message.octets = message.octets.saturating_add(octets as u64);
    }

    /// It is whole, or given up.
    pub(super) fn message_ended(&mut self) {
        self.message = None;
    }

    /// Until when there must be something.
    pub(super) fn until(&self, standing: Standing) -> Instant {
        let message = self.message.as_ref();
        let message = message.map(|message| message.began + MESSAGE + Duration::from_secs(message.octets / RATE_MIN));
        let login = (standing == Standing::Stranger).then(|| self.opened + LOGIN);
        [message, login].into_iter().flatten().fold(self.due, Instant::min)
    }
}

/// Programs log in at once; a person who types has time for it. Without this a stranger could hold a place for days with
/// a NOOP now and then.
const LOGIN: Duration = Duration::from_secs(5 * 60);
/// For a message, however small.
const MESSAGE: Duration = Duration::from_secs(10 * 60);
/// Octets a second from then on: slower than any line, and 25 MiB have seven hours. At the thousand octets in five minutes
/// that are progress they would hold memory for three months.
const RATE_MIN: u64 = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_member_has_its_patience_after_each_command() {
        let now = Instant::now();
        let mut deadlines = Deadlines::new(s(300), now);
        assert_eq!(deadlines.until(Standing::Member), now + s(300));
        deadlines.progressed(now + s(299));
        assert_eq!(deadlines.until(Standing::Member), now + s(599));
    }

    #[test]
    fn a_stranger_has_five_minutes_in_all() {
        let now = Instant::now();
        let mut deadlines = Deadlines::new(s(300), now);
        deadlines.progressed(now + s(200));
        assert_eq!(deadlines.until(Standing::Stranger), now + s(300));
        let quick = Deadlines::new(s(10), now);
        assert_eq!(quick.until(Standing::Stranger), now + s(10));
    }

    #[test]
    fn a_message_that_trickles_in_ends_and_a_slow_one_does_not() {
        let now = Instant::now();
        let mut deadlines = Deadlines::new(s(300), now);
        for minute in 0..4 {
            deadlines.received(1024, now + s(300 * minute));
            deadlines.progressed(now + s(300 * minute));
        }
        assert_eq!(deadlines.until(Standing::Member), now + s(604), "1 KiB every five minutes");
        deadlines.message_ended();
        assert_eq!(deadlines.until(Standing::Member), now + s(1200));
        // 2 kB a second.
        for second in 0..10_000 {
            deadlines.received(2048, now + s(second));
            deadlines.progressed(now + s(second));
        }
        assert_eq!(deadlines.until(Standing::Member), now + s(9999 + 300));
    }
}
