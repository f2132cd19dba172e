//! The rules in use: one set that everybody reads, and that may be exchanged while they do.

use std::sync::{Arc, PoisonError, RwLock};

use super::Classifier;

/// A shared place for the rules in use. Readers take the set of that moment and keep it for one answer; an exchange waits
/// for nobody. What is wrong with a newer file is kept beside the set, for people who ask.
#[derive(Debug, Clone)]
pub struct Rulebook(Arc<RwLock<Held>>);

#[derive(Debug)]
struct Held {
    rules: Arc<Classifier>,
    trouble: Option<Arc<str>>,
}

impl Rulebook {
    #[must_use]
    pub fn new(rules: Classifier) -> Self {
        Self(Arc::new(RwLock::new(Held { rules: Arc::new(rules), trouble: None })))
    }

    /// The rules of this moment.
    #[must_use]
    pub fn rules(&self) -> Arc<Classifier> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner).rules)
    }

    /// New rules from now on.
    pub fn exchange(&self, rules: Classifier) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Held { rules: Arc::new(rules), trouble: None };
    }

    /// A newer file cannot be used: the rules stay, and whoever looks is told why.
    pub fn keep(&self, trouble: &str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).trouble = Some(Arc::from(trouble));
    }

    /// Why the newest file is not in use; none where it is.
    #[must_use]
    pub fn trouble(&self) -> Option<Arc<str>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).trouble.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classify::{Said, Source};

    #[test]
    fn an_exchange_is_seen_by_all_and_a_broken_file_changes_nothing() {
        let book = Rulebook::new(Classifier::shipped());
        let other = book.clone();
        let said = Said::of_text("550 no room for you");
        let before = other.rules();
        book.keep("own.toml:3: broken");
        assert_eq!(other.rules().version(), before.version());
        assert_eq!(other.trouble().as_deref(), Some("own.toml:3: broken"));
        let own = "version = 1\n[[rule]]\nname = \"room\"\nsays = \"policy\"\nany = [\"no room for you\"]\nexample = \"no room for you\"";
        book.exchange(Classifier::load(&[Source { file: "own.toml", text: own }]).unwrap());
        assert_eq!(&*other.rules().classify(&said).rule, "room");
        assert_ne!(other.rules().version(), before.version());
        assert_eq!(other.trouble(), None);
    }
}
