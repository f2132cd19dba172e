//! The second factor: six digits that a telephone shows for half a minute (RFC 6238), and the secret behind them.

use totp_rs::{Algorithm, Builder, Secret, Totp};

use crate::keys::{self, KeysError};

/// A secret with the last code that was taken.
#[derive(Clone)]
pub struct Factor {
    totp: Totp,
    /// Counts half minutes since 1970; a code of this one or an earlier one is not taken again (RFC 6238 §5.2).
    used: u64,
}

impl Factor {
    /// A new secret of 160 bits, as RFC 4226 §4 advises.
    ///
    /// # Errors
    /// [`KeysError::Random`] where the machine has no random bytes.
    pub fn random() -> Result<Self, KeysError> {
        let random = keys::random()?;
        let secret: Box<[u8]> = random[..SECRET_OCTETS].into();
        Ok(Self::new(Secret::new(secret)).expect("20 octets are long enough"))
    }

    /// From base32, as telephones take it.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        Self::new(Secret::try_from_base32(text).ok()?)
    }

    /// In base32.
    #[must_use]
    pub fn text(&self) -> String {
        self.totp.secret().to_base32()
    }

    /// The code at `now`, in unix seconds.
    #[must_use]
    pub fn code(&self, now: u64) -> String {
        self.totp.generate(now).to_string()
    }

    pub(super) fn used(self, step: u64) -> Self {
        Self { used: step, ..self }
    }

    /// Which half minute a code belongs to; none for a code of another time, and for one that was taken already. Clocks may
    /// be half a minute apart.
    pub(super) fn step_of(&self, code: &str, now: u64) -> Option<u64> {
        let digits: String = code.chars().filter(|c| !c.is_whitespace()).collect();
        self.totp.check(&digits, now).filter(|step| self.used < *step)
    }

    /// Marks a code as taken; no where another login took it first.
    pub(super) fn take(&mut self, step: u64) -> bool {
        let is_new = self.used < step;
        self.used = self.used.max(step);
        is_new
    }

    fn new(secret: Secret) -> Option<Self> {
        // What every telephone understands: many take no other algorithm, whatever they are told.
        let builder = Builder::new().with_algorithm(Algorithm::SHA1).with_digits(6).with_step_duration(30).with_skew(1);
        Some(Self { totp: builder.with_secret(secret).build().ok()?, used: 0 })
    }
}

const SECRET_OCTETS: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_rfc() {
        // RFC 6238 appendix B: the last six of its eight digits.
        let factor = Factor::new(Secret::new(b"12345678901234567890"[..].into())).unwrap();
        for (at, code) in
            [(59, "287082"), (1_111_111_109, "081804"), (1_234_567_890, "005924"), (20_000_000_000, "353130")]
        {
            assert_eq!(factor.code(at), code);
            assert_eq!(factor.step_of(code, at), Some(at / 30));
        }
    }

    #[test]
    fn clocks_may_be_half_a_minute_apart_and_no_more() {
        let factor = Factor::random().unwrap();
        let now = 1_800_000_000;
        for (at, taken) in [(now - 60, false), (now - 30, true), (now, true), (now + 30, true), (now + 60, false)] {
            assert_eq!(factor.step_of(&factor.code(at), now).is_some(), taken, "{at}");
        }
        let code = factor.code(now);
        assert!(factor.step_of(&format!("{} {}", &code[..3], &code[3..]), now).is_some(), "as telephones show it");
        for rubbish in ["", "12345", "1234567", "abcdef", "１２３４５６"] {
            assert_eq!(factor.step_of(rubbish, now), None, "{rubbish}");
        }
    }

    #[test]
    fn a_secret_survives_its_text_and_rubbish_is_none() {
        let factor = Factor::random().unwrap();
        assert_eq!(Factor::from_text(&factor.text()).unwrap().code(1), factor.code(1));
        for rubbish in ["", "A", "1", "AAAA", "not base32 at all"] {
            assert!(Factor::from_text(rubbish).is_none(), "{rubbish}");
        }
    }
}
