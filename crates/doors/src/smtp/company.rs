//! How many clients are in the middle of a mail: where there is one, nobody else is kept by what is done for it at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts for the whole door.
#[derive(Default)]
pub(super) struct Company(Arc<AtomicUsize>);

/// A client is in the middle of a mail: from MAIL to the answer about the message. After a RSET it counts until its next
/// MAIL, which keeps others from being taken for alone, and nothing else.
pub(super) struct Busy(Arc<AtomicUsize>);

impl Company {
    pub(super) fn join(&self) -> Busy {
        self.0.fetch_add(1, Ordering::Relaxed);
        Busy(self.0.clone())
    }
}

impl Busy {
    /// Whether nobody else is in the middle of a mail.
    pub(super) fn is_alone(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 1
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_the_only_one_is_alone_and_again_when_the_others_have_gone() {
        let company = Company::default();
        let first = company.join();
        assert!(first.is_alone());
        let second = company.join();
        assert!(!first.is_alone() && !second.is_alone());
        drop(first);
        assert!(second.is_alone());
    }
}
