//! How much organisations and logins have used of what they may, at all doors together: in memory, bounded, gone with a
//! restart. Where several machines are one node, each hears from the others what passed there, some tenths of a second later.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use sm2tp_rules::admit::{self, Refusal};
use sm2tp_rules::allowance::{Holder, Used, Whose};
use sm2tp_store::accounts::{Account, Accounts};
use sm2tp_store::ledger::Said;

use crate::now_us;

/// How much of their allowances organisations and logins have used.
#[derive(Default)]
pub struct Meters {
    used: Mutex<HashMap<Key, Used>>,
    /// What the other machines of this node do not know yet; none: there are no others.
    untold: Option<Mutex<HashMap<Key, Passed>>>,
}

type Key = (Whose, Arc<str>);

/// What passed, as time that an allowance needs for it (microseconds).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Passed {
    mails_us: i64,
    recipients_us: i64,
}

impl Passed {
    fn add(&mut self, more: Self) {
        self.mails_us = self.mails_us.saturating_add(more.mails_us);
        self.recipients_us = self.recipients_us.saturating_add(more.recipients_us);
    }
}

/// As machines tell each other.
#[derive(Serialize, Deserialize)]
struct Told {
    v: u32,
    used: Vec<Line>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    org: Option<String>,
    login: Option<String>,
    mails_us: i64,
    recipients_us: i64,
}

impl Meters {
    /// Of a machine that is not the only one of its node.
    #[must_use]
    pub fn shared() -> Self {
        Self { untold: Some(Mutex::default()), ..Self::default() }
    }

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
        let (mut used, now_us) = (lock(&self.used), now_us());
        if USED_MAX <= used.len() {
            // Only those that have an allowance are in it, so this is after many were removed.
            used.retain(|_, used| !used.is_over(now_us));
        }
        // Copied and put back: a map lends out one of its values at a time.
        let before: Vec<Used> = allowances
            .iter()
            .map(|(whose, name, _)| used.get(&(*whose, name.clone())).copied().unwrap_or_default())
            .collect();
        let mut states = before.clone();
        let mut holders: Vec<Holder<'_>> = allowances
            .iter()
            .zip(&mut states)
            .map(|((whose, _, limits), used)| Holder { whose: *whose, allowance: &limits.allowance, used })
            .collect();
        let answer = ask(&mut holders);
        for (((whose, name, _), state), before) in allowances.into_iter().zip(states).zip(before) {
            self.note(&(whose, name.clone()), &state, &before, now_us);
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

    /// What passed here since the other machines were told last.
    pub(crate) fn untold(&self) -> Option<Said> {
        let passed = std::mem::take(&mut *lock(self.untold.as_ref()?));
        let line = |((whose, name), passed): ((Whose, Arc<str>), Passed)| {
            let name = Some(name.to_string());
            let (org, login) = if whose == Whose::Org { (name, None) } else { (None, name) };
            Line { org, login, mails_us: passed.mails_us, recipients_us: passed.recipients_us }
        };
        let used: Vec<Line> = passed.into_iter().map(line).collect();
        if used.is_empty() {
            return None;
        }
        let body = serde_json::to_string(&Told { v: VERSION, used }).ok()?;
        Some(Said { kind: KIND.to_owned(), body })
    }

    /// It could not be told; it is told with what comes.
    pub(crate) fn not_told(&self, said: &Said) {
        let Some(untold) = &self.untold else { return };
        let mut untold = lock(untold);
        for (key, passed) in heard(said) {
            untold.entry(key).or_default().add(passed);
        }
    }

    /// Hears what passed on another machine.
    pub(crate) fn hear_others(&self, said: &Said) {
        let (mut used, now_us) = (lock(&self.used), now_us());
        for (key, passed) in heard(said) {
            if USED_MAX <= used.len() && !used.contains_key(&key) {
                continue;
            }
            let state = used.entry(key).or_default();
            state.mails = state.mails.used_elsewhere(passed.mails_us, now_us);
            state.recipients = state.recipients.used_elsewhere(passed.recipients_us, now_us);
        }
    }

    fn note(&self, key: &Key, state: &Used, before: &Used, now_us: u64) {
        let Some(untold) = &self.untold else { return };
        let passed = Passed {
            mails_us: state.mails.used_since(before.mails, now_us),
            recipients_us: state.recipients.used_since(before.recipients, now_us),
        };
        if passed == Passed::default() {
            return;
        }
        let mut untold = lock(untold);
        if USED_MAX <= untold.len() && !untold.contains_key(key) {
            return;
        }
        untold.entry(key.clone()).or_default().add(passed);
    }
}

/// The place of one connection among those of its organisation and login.
pub(crate) struct Seat {
    meters: Arc<Meters>,
    of: Vec<(Whose, Arc<str>)>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut used = lock(&self.meters.used);
        for key in &self.of {
            if let Some(used) = used.get_mut(key) {
                // Saturating: an allowance that was given meanwhile has not counted this one.
                used.connections = used.connections.saturating_sub(1);
            }
        }
    }
}

fn heard(said: &Said) -> Vec<(Key, Passed)> {
    let Ok(Told { v: VERSION, used }) = serde_json::from_str(&said.body) else { return Vec::new() };
    let line = |Line { org, login, mails_us, recipients_us }: Line| {
        let key = match (org, login) {
            (Some(org), _) => (Whose::Org, Arc::from(org)),
            (None, Some(login)) => (Whose::Login, Arc::from(login)),
            (None, None) => return None,
        };
        Some((key, Passed { mails_us, recipients_us }))
    };
    used.into_iter().filter_map(line).collect()
}

fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

/// By which machines know what is told.
pub(crate) const KIND: &str = "meters";
const VERSION: u32 = 1;
/// Organisations and logins with allowances; 100 octets each.
const USED_MAX: usize = 100_000;
