//! How much organisations and logins have used of what they may, at all doors together: in memory, bounded, gone with a
//! restart.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use sm2tp_rules::admit::{self, Refusal};
use sm2tp_rules::allowance::{Holder, Used, Whose};
use sm2tp_store::accounts::{Account, Accounts};

use crate::now_us;

/// How much of their allowances organisations and logins have used.
#[derive(Default)]
pub struct Meters(Mutex<HashMap<(Whose, Arc<str>), Used>>);

impl Meters {
    /// Asks the rules with what is allowed to this account and what it used.
    pub(crate) fn ask(
        &self,
        accounts: &Accounts,
        account: &Account,
        ask: impl FnOnce(&mut [Holder<'_>]) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let allowances = accounts.allowances(account);
        if allowances.is_empty() {
            return ask(&mut []);
        }
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if USED_MAX <= used.len() {
            // Only those that have an allowance are in it, so this is after many were removed.
            let now_us = now_us();
            used.retain(|_, used| !used.is_over(now_us));
        }
        // Copied and put back: a map lends out one of its values at a time.
        let mut states: Vec<Used> = allowances
            .iter()
            .map(|(whose, name, _)| used.get(&(*whose, name.clone())).copied().unwrap_or_default())
            .collect();
        let mut holders: Vec<Holder<'_>> = allowances
            .iter()
            .zip(&mut states)
            .map(|((whose, _, limits), used)| Holder { whose: *whose, allowance: &limits.allowance, used })
            .collect();
        let answer = ask(&mut holders);
        for ((whose, name, _), state) in allowances.into_iter().zip(states) {
            used.insert((whose, name), state);
        }
        answer
    }

    /// A place among the connections of this account.
    pub(crate) fn seat(self: &Arc<Self>, accounts: &Accounts, account: &Account) -> Result<Seat, Refusal> {
        self.ask(accounts, account, admit::connection)?;
        let org = (Whose::Org, account.org.clone());
        let login = account.login.clone().map(|login| (Whose::Login, login));
        Ok(Seat { meters: self.clone(), of: std::iter::once(org).chain(login).collect() })
    }
}

/// The place of one connection among those of its organisation and login.
pub(crate) struct Seat {
    meters: Arc<Meters>,
    of: Vec<(Whose, Arc<str>)>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut used = self.meters.0.lock().unwrap_or_else(PoisonError::into_inner);
        for key in &self.of {
            if let Some(used) = used.get_mut(key) {
                // Saturating: an allowance that was given meanwhile has not counted this one.
                used.connections = used.connections.saturating_sub(1);
            }
        }
    }
}

/// Organisations and logins with allowances; 100 octets each.
const USED_MAX: usize = 100_000;
