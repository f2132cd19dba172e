//! The administrator's rules for replies, read again when their file changes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sm2tp_doors::tls::Again;
use sm2tp_rules::classify::Rulebook;

use crate::again::{Look, Stamp, follow, stamp};
use crate::open;

/// Keeps the rules in use the same as the file beside the configuration.
pub struct Follower {
    config_file: PathBuf,
    rulebook: Rulebook,
    seen: Stamp,
}

impl Follower {
    /// For rules that were just read.
    pub fn new(config_file: &Path, rulebook: Rulebook) -> Self {
        Self { config_file: config_file.to_owned(), rulebook, seen: stamp(&open::own_rules(config_file)) }
    }

    /// Looks at the file for as long as the node runs.
    pub async fn run(mut self, again: Again, stop: impl Future<Output = ()> + Send) {
        follow("the rules for replies", LOOK_EVERY, move |why| self.look(why), again, stop).await;
    }

    /// Takes new rules, or keeps those in use and says once what is wrong with the new ones.
    fn look(&mut self, why: Look) {
        let found = stamp(&open::own_rules(&self.config_file));
        if std::mem::replace(&mut self.seen, found) == found && why == Look::Due {
            return;
        }
        match open::classifier(&self.config_file) {
            Ok(rules) if rules.version() == self.rulebook.rules().version() && self.rulebook.trouble().is_none() => {}
            Ok(rules) => {
                tracing::info!(version = %rules.version(), "the rules for replies were read again");
                self.rulebook.exchange(rules);
            }
            Err(failure) => {
                tracing::error!(error = %failure.message, "the new rules for replies cannot be used; those in use stay");
                self.rulebook.keep(&failure.message);
            }
        }
    }
}

/// A person who wrote a rule looks whether it works; SIGHUP is for those who cannot wait.
const LOOK_EVERY: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use sm2tp_rules::Classifier;
    use sm2tp_rules::classify::Said;

    use super::*;

    const OWN: &str = "version = 1\n[[rule]]\nname = \"mine\"\nsays = \"policy\"\nany = [\"user unknown\"]\nexample = \"user unknown\"";

    #[test]
    fn new_rules_are_taken_and_broken_ones_leave_the_old_in_place() {
        let dir = std::env::temp_dir().join(format!("sm2tp-rules-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let (config, own) = (dir.join("sm2tp.toml"), dir.join("replies.toml"));
        let rulebook = Rulebook::new(Classifier::shipped());
        let mut follower = Follower::new(&config, rulebook.clone());
        let rule = || rulebook.rules().classify(&Said::of_text("550 user unknown")).rule.to_string();
        assert_eq!(rule(), "no-user");
        std::fs::write(&own, OWN).unwrap();
        follower.look(Look::Due);
        assert_eq!(rule(), "mine");
        std::fs::write(&own, "version = 1\n[[rule]]\nname = \"broken\"").unwrap();
        follower.look(Look::Due);
        assert_eq!(rule(), "mine");
        let trouble = rulebook.trouble().unwrap();
        assert!(trouble.contains("replies.toml:2: ") && trouble.contains("missing field"), "{trouble}");
        std::fs::remove_file(&own).unwrap();
        follower.look(Look::Due);
        assert_eq!((rule().as_str(), rulebook.trouble()), ("no-user", None));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
