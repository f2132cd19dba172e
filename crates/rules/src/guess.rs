//! Guessing passwords: how many wrong ones a client may try before it must wait.
//!
//! A client is an address, or where people share one (a webmail, an office behind one router) an address with a login
//! whose password it got right lately: a stranger in the same house cannot shut that one out. What a login may get wrong from
//! one address is counted apart, so that a telephone with an old password stops itself alone.

use crate::rate::{Gcra, Per, Rate};

/// How many wrong passwords.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From one address, whatever the logins.
    pub client: Rate,
    /// From the address of a trusted network or a declared front, behind which are many people.
    pub shared: Rate,
    /// For one login from one address.
    pub login: Rate,
    /// How long a login that was right is known at an address, in seconds.
    pub known_s: u64,
}

/// Whose address it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Client,
    Shared,
}

/// What is remembered of a login at an address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pair {
    pub wrong: Gcra,
    /// Unix seconds; 0: never.
    pub right_at: u64,
}

/// A try that may be made: counted as wrong until it turns out right, so that a hundred at once count as a hundred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charge {
    pub client: Gcra,
    pub pair: Pair,
}

impl Default for Limits {
    /// A person who mistypes gets by; a program gets a few hundred tries a day where it needs a hundred thousand an hour.
    fn default() -> Self {
        Self {
            client: Rate::new(40, Per::Hour),
            shared: Rate::new(400, Per::Hour),
            login: Rate::new(20, Per::Hour),
            known_s: 30 * 86_400,
        }
    }
}

impl Limits {
    /// May this password be tried? `client` and `pair` are what is remembered; `now_us` in unix microseconds.
    ///
    /// # Errors
    /// The seconds to wait.
    pub fn charge(&self, kind: Kind, client: Gcra, pair: Pair, now_us: u64) -> Result<Charge, u64> {
        let wrong = self.login.take(pair.wrong, now_us)?;
        let client = match self.is_known(pair, now_us) {
            true => client,
            false => self.rate(kind).take(client, now_us)?,
        };
        Ok(Charge { client, pair: Pair { wrong, ..pair } })
    }

    /// The password was right: the charge is taken back. `client` and `pair` are what is remembered now.
    #[must_use]
    pub fn right(&self, kind: Kind, client: Gcra, pair: Pair, now_us: u64) -> Charge {
        let client = match self.is_known(pair, now_us) {
            true => client,
            false => self.rate(kind).give_back(client),
        };
        Charge { client, pair: Pair { wrong: self.login.give_back(pair.wrong), right_at: now_us / 1_000_000 } }
    }

    /// Nothing is left to remember.
    #[must_use]
    pub fn is_over(&self, pair: Pair, now_us: u64) -> bool {
        pair.wrong.is_over(now_us) && !self.is_known(pair, now_us)
    }

    fn is_known(&self, pair: Pair, now_us: u64) -> bool {
        pair.right_at != 0 && now_us / 1_000_000 < pair.right_at.saturating_add(self.known_s)
    }

    fn rate(&self, kind: Kind) -> Rate {
        match kind {
            Kind::Client => self.client,
            Kind::Shared => self.shared,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_US: u64 = 3_600_000_000;
    const T0: u64 = 1_800_000_000_000_000;

    /// One address with its logins.
    struct Address {
        kind: Kind,
        client: Gcra,
        pairs: std::collections::HashMap<String, Pair>,
    }

    impl Address {
        fn new(kind: Kind) -> Self {
            Self { kind, client: Gcra::default(), pairs: Default::default() }
        }

        fn tries(&mut self, login: &str, is_right: bool, now_us: u64) -> bool {
            let limits = Limits::default();
            let pair = self.pairs.entry(login.to_owned()).or_default();
            let Ok(mut charge) = limits.charge(self.kind, self.client, *pair, now_us) else { return false };
            if is_right {
                charge = limits.right(self.kind, charge.client, charge.pair, now_us);
            }
            (self.client, *pair) = (charge.client, charge.pair);
            true
        }
    }

    #[test]
    fn a_hundred_thousand_guesses_an_hour_are_eighty() {
        let mut address = Address::new(Kind::Client);
        let logins = |n: u64| format!("login{}", n % 1000);
        let tried = (0..100_000).filter(|n| address.tries(&logins(*n), false, T0 + n * HOUR_US / 100_000)).count();
        assert_eq!(tried, 79);
        let mut address = Address::new(Kind::Client);
        let tried = (0..100_000).filter(|n| address.tries("anna", false, T0 + n * HOUR_US / 100_000)).count();
        assert_eq!(tried, 39);
    }

    #[test]
    fn right_passwords_cost_nothing() {
        for kind in [Kind::Client, Kind::Shared] {
            let mut address = Address::new(kind);
            assert!((0..10_000).all(|n| address.tries(&format!("login{n}"), true, T0)));
        }
    }

    #[test]
    fn a_stranger_behind_the_same_address_shuts_nobody_out_who_was_right_lately() {
        for kind in [Kind::Client, Kind::Shared] {
            let mut address = Address::new(kind);
            assert!(address.tries("anna", true, T0));
            let tried = (0..10_000).filter(|n| address.tries(&format!("guess{n}"), false, T0)).count();
            assert_eq!(tried, if kind == Kind::Shared { 400 } else { 40 });
            assert!(!address.tries("bob", true, T0), "nobody knows bob there");
            assert!(address.tries("anna", true, T0) && address.tries("anna", false, T0));
            // Whoever guesses at her login from there does stop her there, for a while.
            while address.tries("anna", false, T0) {}
            assert!(!address.tries("anna", true, T0));
            assert!(address.tries("anna", true, T0 + HOUR_US / 20));
        }
    }

    #[test]
    fn what_is_over_need_not_be_remembered() {
        let (limits, pair) = (Limits::default(), Pair::default());
        assert!(limits.is_over(pair, T0));
        let charge = limits.charge(Kind::Client, Gcra::default(), pair, T0).unwrap();
        assert!(!limits.is_over(charge.pair, T0) && limits.is_over(charge.pair, T0 + HOUR_US));
        let right = limits.right(Kind::Client, charge.client, charge.pair, T0);
        assert!(right.client.is_over(T0));
        assert!(!limits.is_over(right.pair, T0 + HOUR_US));
    }
}
