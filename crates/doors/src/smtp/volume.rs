//! How much each sender has sent lately, to know a bulk sender that nobody declared: in memory, bounded.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use sm2tp_rules::rate::Rate;
use sm2tp_rules::stream::Volume;
use sm2tp_store::accounts::Account;

/// Of all senders.
pub(super) struct Volumes {
    limit: Rate,
    /// Message-IDs are remembered as hashes.
    hashes: RandomState,
    seen: Mutex<HashMap<Sender, Volume>>,
}

type Sender = (Arc<str>, Option<Arc<str>>);

impl Volumes {
    /// `limit`: recipients of a sender that is no bulk sender.
    pub(super) fn new(limit: Rate) -> Self {
        Self { limit, hashes: RandomState::new(), seen: Mutex::default() }
    }

    /// One more mail; answers whether its sender is a bulk sender by what it sends.
    pub(super) fn is_much(&self, account: &Account, recipients: usize, message_id: Option<&str>, now_us: u64) -> bool {
        let sender = (account.org.clone(), account.login.clone());
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if SENDERS_MAX <= seen.len() && !seen.contains_key(&sender) {
            seen.retain(|_, volume| !volume.is_over(now_us));
            if SENDERS_MAX <= seen.len() {
                // Whoever comes then is taken for what its organisation is.
                return false;
            }
        }
        let known = seen.entry(sender).or_default();
        // Without one no two are the same.
        let message = message_id.map_or(now_us, |id| self.hashes.hash_one(id));
        let (next, is_much) = known.after(recipients, message, self.limit, now_us);
        *known = next;
        is_much
    }
}

/// Senders are logins that people added; of more than these, some megabytes, those that are silent are forgotten.
const SENDERS_MAX: usize = 50_000;
