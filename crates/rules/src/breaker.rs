//! When "no such user" is not believed: a provider that says it in bulk about addresses that took mail lately.
//!
//! Providers err: Gmail answered 550 5.1.1 for valid accounts for six hours in December 2020. A bought list looks
//! different: none of its addresses ever took our mail.

/// Answers of one provider within one window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Answers {
    /// All of them, also "taken".
    pub all: u32,
    /// Those that condemn an address.
    pub refused: u32,
    /// Refused addresses that took mail within [`Limits::known_s`].
    pub known: u32,
}

/// The thresholds.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    pub window_s: u64,
    pub refused_min: u32,
    /// Of all answers.
    pub share_min: f64,
    pub known_min: u32,
    /// Of the refused ones.
    pub known_share_min: f64,
    pub known_s: u64,
    /// So long nothing is believed where no person decides; then what was set aside is forgotten.
    pub hold_s: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            window_s: 1800,
            refused_min: 20,
            share_min: 0.3,
            known_min: 5,
            known_share_min: 0.25,
            known_s: 90 * 86_400,
            hold_s: 48 * 3600,
        }
    }
}

/// Whether the provider errs, as far as anybody can tell from its answers.
#[must_use]
pub fn trips(answers: &Answers, limits: &Limits) -> bool {
    let share = |part: u32, whole: u32| f64::from(part) / f64::from(whole.max(1));
    limits.refused_min <= answers.refused
        && limits.share_min <= share(answers.refused, answers.all)
        && limits.known_min <= answers.known
        && limits.known_share_min <= share(answers.known, answers.refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(all: u32, refused: u32, known: u32, want: bool) {
        assert_eq!(
            trips(&Answers { all, refused, known }, &Limits::default()),
            want,
            "{refused} of {all}, {known} known"
        );
    }

    #[test]
    fn many_refusals_of_addresses_that_lived_are_an_error_of_the_provider() {
        check(60, 20, 5, true);
        check(20, 20, 20, true);
        check(1000, 400, 100, true);
    }

    #[test]
    fn a_bad_list_or_a_few_refusals_are_none() {
        check(60, 20, 0, false);
        check(60, 19, 19, false);
        check(100, 29, 29, false);
        check(1000, 400, 99, false);
        check(0, 0, 0, false);
    }
}
