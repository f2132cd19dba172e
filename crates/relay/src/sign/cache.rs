//! What was signed a moment ago: the jobs of one mail are for many sites and have the same content.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::OnceCell;

use super::Fields;

/// Signed fields, by mail; the oldest leave first.
#[derive(Default)]
pub(super) struct Cache(Mutex<VecDeque<Signed>>);

struct Signed {
    mail: u64,
    /// Of the keys.
    version: u64,
    at: Instant,
    /// Jobs of one mail come at the same moment: the second one waits for what the first one makes.
    fields: Arc<OnceCell<Fields>>,
}

impl Cache {
    /// The place for what this mail is signed with.
    pub(super) fn cell(&self, mail: u64, version: u64) -> Arc<OnceCell<Fields>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while kept.front().is_some_and(|signed| KEPT <= signed.at.elapsed()) {
            kept.pop_front();
        }
        if let Some(signed) = kept.iter().rev().find(|signed| (signed.mail, signed.version) == (mail, version)) {
            return signed.fields.clone();
        }
        if KEPT_MAX <= kept.len() {
            kept.pop_front();
        }
        let fields = Arc::new(OnceCell::new());
        kept.push_back(Signed { mail, version, at: Instant::now(), fields: fields.clone() });
        fields
    }
}

/// Longer, and a key that begins or ends to sign, or an org that lost a domain, would be noticed late.
const KEPT: Duration = Duration::from_secs(60);
/// Each is one or two kilobytes. More mails than these are rarely at several sites in one minute.
const KEPT_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_jobs_of_a_mail_share_what_was_signed_and_others_do_not() {
        let cache = Cache::default();
        let fill = |mail, version, text: &'static str| {
            let cell = cache.cell(mail, version);
            async move { cell.get_or_init(|| async { Fields::from(text.as_bytes()) }).await.clone() }
        };
        assert_eq!(&*fill(1, 1, "a").await, b"a");
        assert_eq!(&*fill(1, 1, "b").await, b"a");
        assert_eq!(&*fill(2, 1, "c").await, b"c");
        assert_eq!(&*fill(1, 2, "d").await, b"d", "the keys have changed");
        for mail in 10..10 + KEPT_MAX as u64 {
            fill(mail, 1, "x").await;
        }
        assert_eq!(cache.0.lock().unwrap().len(), KEPT_MAX);
        assert_eq!(&*fill(1, 1, "e").await, b"e", "the oldest have left");
    }
}
