//! How long a server is waited for: for each step what RFC 5321 §4.5.3.2 asks for, and for all steps together an end.
//!
//! A server that uses the whole of its time for every step, or takes a message octet by octet, would hold a connection and a
//! mail for days. So the steps of a stretch have a time together, after which no new step begins; a step that
//! began in time has all of its own, so that no total takes from a server what the RFC promises it.

use std::time::Duration;

use sm2tp_rules::LocalFailure;
use tokio::time::Instant;

/// How long this node waits.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    pub connect: Duration,
    /// For each reply and each piece of a message; twice that for the reply to the final dot. RFC 5321 §4.5.3.2 gives five
    /// minutes to most, ten to the final dot.
    pub answer: Duration,
}

/// The time of one stretch of the conversation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch {
    answer: Duration,
    /// No step begins from here on.
    ends: Instant,
}

impl Stretch {
    /// From the greeting to where a mail may be spoken of.
    pub(super) fn opening(answer: Duration) -> Self {
        Self::new(answer, answer * OPENING_ANSWERS)
    }

    /// From MAIL to the word that the message may come.
    pub(super) fn commands(answer: Duration, recipients: usize) -> Self {
        let recipients = u32::try_from(recipients).unwrap_or(u32::MAX);
        Self::new(answer, answer * COMMANDS_ANSWERS + (answer / RECIPIENTS_AN_ANSWER).saturating_mul(recipients))
    }

    /// The message.
    pub(super) fn content(answer: Duration, octets: u64) -> Self {
        Self::new(answer, answer * CONTENT_ANSWERS + Duration::from_secs(octets / RATE_MIN))
    }

    /// The same with a message behind its commands, and the answer to it.
    pub(super) fn with_content(self, octets: u64) -> Self {
        let more = self.answer * (CONTENT_ANSWERS + END_ANSWERS) + Duration::from_secs(octets / RATE_MIN);
        Self { ends: self.ends.checked_add(more).unwrap_or(self.ends), ..self }
    }

    /// What is said to the final dot: in LMTP a reply for each recipient.
    pub(super) fn end(answer: Duration) -> Self {
        Self::new(answer, answer * END_ANSWERS)
    }

    fn new(answer: Duration, total: Duration) -> Self {
        let now = Instant::now();
        // What no clock can count is far enough.
        Self { answer, ends: now.checked_add(total).unwrap_or(now + answer) }
    }

    /// Until when the next step must be done.
    ///
    /// # Errors
    /// The stretch is over.
    pub(super) fn step(self) -> Result<Instant, LocalFailure> {
        self.step_of(1)
    }

    /// The same for a step that is given several times as long.
    pub(super) fn step_of(self, answers: u32) -> Result<Instant, LocalFailure> {
        let now = Instant::now();
        if now < self.ends { Ok(now + self.answer * answers) } else { Err(LocalFailure::TooSlow) }
    }
}

/// RFC 5321 §4.5.3.2.6: ten minutes where the others have five.
pub(super) const DOT_ANSWERS: u32 = 2;
/// Banner, EHLO, STARTTLS and the handshake each at their limit, and EHLO again still begins in time.
const OPENING_ANSWERS: u32 = 4;
/// MAIL and RCPT at their limit, and DATA still begins in time.
const COMMANDS_ANSWERS: u32 = 2;
/// Five seconds each: as long as servers make strangers wait for each recipient.
const RECIPIENTS_AN_ANSWER: u32 = 60;
/// However small a message is.
const CONTENT_ANSWERS: u32 = 2;
/// Octets a second beside that: an ISDN line. 25 MiB have fifty minutes.
const RATE_MIN: u64 = 8 * 1024;
/// Three recipients of LMTP at their limit; all others have answered meanwhile, or the server is not well.
const END_ANSWERS: u32 = 6;
