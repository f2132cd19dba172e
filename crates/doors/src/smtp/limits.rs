//! What the door remembers of those who connect, who bring reports and who guess passwords: in memory, bounded, gone with a
//! restart.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use sm2tp_rules::guess::{self, Kind, Pair};
use sm2tp_rules::rate::{Gcra, Per, Rate};

use super::client::network;
use crate::now_us;

/// How often each client network connected lately.
pub(super) struct Knocks {
    rate: Rate,
    seen: Mutex<HashMap<IpAddr, Gcra>>,
}

impl Knocks {
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, seen: Mutex::default() }
    }

    /// Counts a connection that may be.
    ///
    /// # Errors
    /// The seconds to wait.
    pub(super) fn take(&self, client: IpAddr) -> Result<(), u64> {
        let (client, now_us) = (network(client), now_us());
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let next = self.rate.take(seen.get(&client).copied().unwrap_or_default(), now_us)?;
        if !seen.contains_key(&client) {
            make_room(&mut seen, KNOCKS_MAX, |state| state.is_over(now_us));
        }
        seen.insert(client, next);
        Ok(())
    }
}

/// Who guessed passwords.
pub(crate) struct Guard {
    limits: guess::Limits,
    /// Logins are remembered as a hash with a key of this process, so that long ones take no more room.
    hash: RandomState,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    clients: HashMap<IpAddr, Gcra>,
    pairs: HashMap<(IpAddr, u64), Pair>,
}

impl Guard {
    pub(crate) fn new(limits: guess::Limits) -> Self {
        Self { limits, hash: RandomState::new(), seen: Mutex::default() }
    }

    /// Before a password is tried: may it be?
    ///
    /// # Errors
    /// The seconds to wait.
    pub(crate) fn may_try(&self, client: IpAddr, kind: Kind, login: &str) -> Result<(), u64> {
        let (client, now_us) = (network(client), now_us());
        let key = (client, self.hash.hash_one(login));
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let state = seen.clients.get(&client).copied().unwrap_or_default();
        let pair = seen.pairs.get(&key).copied().unwrap_or_default();
        let charge = self.limits.charge(kind, state, pair, now_us)?;
        make_room(&mut seen.clients, CLIENTS_MAX, |state| state.is_over(now_us));
        make_room(&mut seen.pairs, PAIRS_MAX, |pair| self.limits.is_over(*pair, now_us));
        seen.clients.insert(client, charge.client);
        seen.pairs.insert(key, charge.pair);
        Ok(())
    }

    /// The password was right.
    pub(crate) fn right(&self, client: IpAddr, kind: Kind, login: &str) {
        let (client, now_us) = (network(client), now_us());
        let key = (client, self.hash.hash_one(login));
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let state = seen.clients.get(&client).copied().unwrap_or_default();
        let pair = seen.pairs.get(&key).copied().unwrap_or_default();
        let charge = self.limits.right(kind, state, pair, now_us);
        seen.clients.insert(client, charge.client);
        seen.pairs.insert(key, charge.pair);
    }
}

/// Who brought reports.
#[derive(Default)]
pub(super) struct Reports(Mutex<HashMap<IpAddr, Gcra>>);

impl Reports {
    /// Before a report is taken, or the address that it came to is looked at: one more from this client? A server in front
    /// brings those of all others.
    ///
    /// # Errors
    /// The seconds to wait.
    pub(super) fn may_bring(&self, client: IpAddr, kind: Kind) -> Result<(), u64> {
        let rate = if kind == Kind::Shared { FRONT_REPORTS_MAX } else { REPORTS_MAX };
        let (client, now_us) = (network(client), now_us());
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let state = seen.get(&client).copied().unwrap_or_default();
        let after = rate.take(state, now_us)?;
        make_room(&mut seen, CLIENTS_MAX, |state| state.is_over(now_us));
        seen.insert(client, after);
        Ok(())
    }
}

/// Keeps a map below its size: what is over goes, and where that is not enough, any eighth. Somebody who comes from
/// as many addresses as that could be stopped by no memory.
fn make_room<K: Eq + Hash + Clone, V>(map: &mut HashMap<K, V>, len_max: usize, is_over: impl Fn(&V) -> bool) {
    if map.len() < len_max {
        return;
    }
    map.retain(|_, value| !is_over(value));
    if len_max <= map.len() {
        let gone: Vec<K> = map.keys().take(len_max / 8).cloned().collect();
        gone.iter().for_each(|key| drop(map.remove(key)));
    }
}

/// Of one client, forged ones too. A large provider that gives back a newsletter of 100 000 takes some minutes longer.
const REPORTS_MAX: Rate = Rate::new(2000, Per::Minute);
/// Of a server in front, whose own limits hold for those behind it: as many as the ledger counts without falling behind.
const FRONT_REPORTS_MAX: Rate = Rate::new(20_000, Per::Minute);
/// Networks that connected lately; 40 octets each. Where there are more at once, some are forgotten and may begin anew.
const KNOCKS_MAX: usize = 100_000;
/// Addresses from which passwords were tried lately; 60 octets each.
const CLIENTS_MAX: usize = 100_000;
/// Logins that were tried there; 80 octets each.
const PAIRS_MAX: usize = 200_000;

#[cfg(test)]
mod tests {
    use sm2tp_rules::rate::Per;

    use super::*;

    #[test]
    fn a_network_that_connects_too_often_must_wait_and_others_need_not() {
        let knocks = Knocks::new(Rate::new(3, Per::Hour));
        let take = |client: &str| knocks.take(client.parse().unwrap());
        for (one, same, other) in
            [("2001:db8::1", "2001:db8::ffff:2:3:4", "2001:db8:0:1::1"), ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2")]
        {
            assert_eq!([take(one), take(same), take(one)], [Ok(()); 3]);
            assert!(take(same).is_err_and(|wait_s| (1190..=1200).contains(&wait_s)), "{one}");
            assert_eq!(take(other), Ok(()));
        }
    }

    #[test]
    fn a_million_networks_that_connect_take_bounded_memory() {
        let knocks = Knocks::new(Rate::new(600, Per::Minute));
        for n in 0..300_000_u32 {
            assert_eq!(knocks.take(IpAddr::V4(n.into())), Ok(()));
        }
        assert!(knocks.seen.lock().unwrap().len() <= KNOCKS_MAX);
    }

    #[test]
    fn a_client_brings_so_many_reports_a_minute_and_others_are_not_kept_from_theirs() {
        let reports = Reports::default();
        let from = |text: &str| text.parse::<IpAddr>().unwrap();
        let bring = |client: &str, kind| reports.may_bring(from(client), kind).is_ok();
        let taken = (0..3000).filter(|_| bring("2001:db8::1", Kind::Client)).count();
        assert!((2000..2100).contains(&taken), "{taken}");
        assert!(!bring("2001:db8::2", Kind::Client), "the same /64");
        assert!(bring("192.0.2.1", Kind::Client));
        let taken = (0..30_000).filter(|_| bring("127.0.0.1", Kind::Shared)).count();
        assert!((20_000..21_000).contains(&taken), "a front: {taken}");
    }

    #[test]
    fn a_client_that_guesses_must_wait_and_others_need_not() {
        let guard = Guard::new(guess::Limits::default());
        let (one, other) = ("2001:db8::1".parse().unwrap(), "2001:db8::1:2:3:4".parse().unwrap());
        let elsewhere = "192.0.2.1".parse().unwrap();
        let tried = (0..1000).filter(|n| guard.may_try(one, Kind::Client, &format!("login{n}")).is_ok()).count();
        assert_eq!(tried, 40);
        assert!(guard.may_try(other, Kind::Client, "x").is_err(), "the same household");
        assert!(guard.may_try(elsewhere, Kind::Client, "x").is_ok());
        guard.right(elsewhere, Kind::Client, "x");
    }

    #[test]
    fn a_million_addresses_take_bounded_memory() {
        let guard = Guard::new(guess::Limits::default());
        for n in 0..300_000_u32 {
            let _ = guard.may_try(IpAddr::V4(n.into()), Kind::Client, &n.to_string());
        }
        let seen = guard.seen.lock().unwrap();
        assert!(seen.clients.len() <= CLIENTS_MAX && seen.pairs.len() <= PAIRS_MAX);
    }
}
