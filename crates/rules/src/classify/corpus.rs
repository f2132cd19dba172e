//! The labelled replies of `corpus/` against the shipped rules: how often right, and how dangerous.

use serde_json::Value;

use super::{Classifier, Said};
use crate::outcome::{Cause, Stage, Strength};

/// Counts in the words of the project's goal.
#[derive(Debug, Default)]
struct Score {
    texts: u32,
    right: u32,
    unknown: u32,
    valid: u32,
    wrongly_suppressed: u32,
    bad: u32,
    found: u32,
    ip_called_address: u32,
}

impl Score {
    fn count(&mut self, row: &Value, outcome: &crate::Outcome) -> bool {
        let want: Vec<&str> = row["want"].as_array().unwrap().iter().map(|w| w.as_str().unwrap()).collect();
        let right = want.contains(&outcome.cause.as_str());
        let address = outcome.cause == Cause::Address;
        let sure = address && outcome.strength == Strength::Strong && outcome.code.is_some_and(|code| 500 <= code);
        self.texts += 1;
        self.right += u32::from(right);
        self.unknown += u32::from(outcome.cause == Cause::Unknown);
        if !want.contains(&"address") {
            self.valid += 1;
            self.wrongly_suppressed += u32::from(sure);
        }
        if want == ["address"] {
            self.bad += 1;
            self.found += u32::from(address);
        }
        if want.contains(&"ip") {
            self.ip_called_address += u32::from(address);
        }
        right
    }

    /// The goals of the project for replies that the rules were written with.
    fn assert_goal(&self) {
        let share = |part: u32, whole: u32| f64::from(part) / f64::from(whole);
        println!("{self:?}");
        assert!(0.97 <= share(self.right, self.texts), "{self:?}");
        assert!(share(self.wrongly_suppressed, self.valid) <= 0.005, "{self:?}");
        assert!(0.96 <= share(self.found, self.bad), "{self:?}");
        assert!(share(self.unknown, self.texts) <= 0.02, "{self:?}");
        assert_eq!(self.ip_called_address, 0, "{self:?}");
    }
}

fn rows(file: &str) -> Vec<Value> {
    let path = format!("{}/../../corpus/{file}", env!("CARGO_MANIFEST_DIR"));
    // A test may read files; the crate may not (I1).
    #[allow(clippy::disallowed_methods)]
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn stage(row: &Value) -> Option<Stage> {
    match row["stage"].as_str() {
        Some("helo") => Some(Stage::Ehlo),
        other => other.and_then(|word| word.parse().ok()),
    }
}

/// With and without the circumstances: most texts in logs of others come without them.
#[track_caller]
fn check(file: &str, circumstances: bool) {
    let classifier = Classifier::shipped();
    let mut score = Score::default();
    for row in rows(file) {
        let text = row["text"].as_str().unwrap();
        let mut said = Said::of_text(text);
        if circumstances {
            said = Said { stage: stage(&row), mx: row["mx"].as_str(), ..said };
        }
        let outcome = classifier.classify(&said);
        if !score.count(&row, &outcome) {
            println!("{} not {} by {}: {text:.200}", outcome.cause, row["want"], outcome.rule);
        }
    }
    score.assert_goal();
}

#[test]
fn labelled_replies_are_classified_with_what_is_known_about_them() {
    check("replies.jsonl", true);
}

#[test]
fn labelled_replies_are_classified_by_their_text_alone() {
    check("replies.jsonl", false);
}

#[test]
fn the_wordings_of_programs_are_classified() {
    check("programs.jsonl", true);
}

#[test]
fn the_replies_of_known_servers_are_classified() {
    check("servers.jsonl", true);
}
