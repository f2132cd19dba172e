//! `sm2tp demo` without a person: nothing is lost, with and without a node that is killed in the middle.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::node::{SM2TP, said};

/// The keys that others read (issue 2).
const KEYS: [&str; 9] = [
    "accepted",
    "delivered",
    "bounced",
    "deferred",
    "stopped",
    "lost",
    "events_published",
    "events_received",
    "stopped_by_federation",
];

#[track_caller]
fn demonstrate(options: &[&str]) -> Value {
    let began = Instant::now();
    let said = said(Command::new(SM2TP).args(["demo", "--once", "--json"]).args(options), "");
    println!("{options:?} took {:?}: {}", began.elapsed(), said.stdout);
    assert_eq!(said.exit, 0, "{}{}", said.stdout, said.stderr);
    assert_eq!(said.stdout.trim().lines().count(), 1, "one object and nothing else: {}", said.stdout);
    let told: Value = serde_json::from_str(&said.stdout).unwrap();
    for key in KEYS {
        assert!(told[key].is_u64(), "{key} is missing: {told}");
    }
    assert_eq!(told["lost"], 0, "{told}");
    for key in KEYS.iter().filter(|key| **key != "lost") {
        assert_ne!(told[*key], 0, "nothing was {key}: {told}");
    }
    // The machine runs other tests beside it; alone it is asked to take less than 45 s.
    assert!(began.elapsed() < Duration::from_secs(120), "{:?}", began.elapsed());
    told
}

/// One after the other: each is two nodes and a small Internet.
#[test]
fn the_demonstration_loses_nothing_even_when_a_node_is_killed() {
    demonstrate(&[]);
    let told = demonstrate(&["--kill"]);
    assert_eq!(told["lost"], 0);
}
