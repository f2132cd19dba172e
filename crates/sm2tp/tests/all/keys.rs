//! Keys of nodes as their administrators change them, while the nodes go on telling each other.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::federation::{holds, learns, node, two_nodes};
use crate::node::Node;
use crate::peers::peer;
use crate::wait::wait_until;

const LONG: Duration = Duration::from_secs(30);

/// What a node says of itself to everybody.
fn described(node: &Node) -> Value {
    let answer = node.get("/fed/v1/node");
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    let envelope: Value = serde_json::from_str(body).unwrap();
    let payload = STANDARD.decode(envelope["payload"].as_str().unwrap()).unwrap();
    serde_json::from_slice(&payload).unwrap()
}

fn states(shown: &Value, list: &str) -> Vec<String> {
    shown[list].as_array().unwrap().iter().map(|key| key["state"].as_str().unwrap().to_owned()).collect()
}

/// `speaker` finds out that an address is dead, and `hearer` hears it.
#[track_caller]
fn tells(speaker: &Node, hearer: &Node, address: &str) {
    learns(speaker, address);
    wait_until(&format!("{address} is heard of"), LONG, || holds(hearer, address));
}

/// As the person does who has the node key on another machine.
fn signed_elsewhere(node: &Node, key: &str) {
    let payload = node.run(&["key", "export"]);
    assert_eq!(payload.exit, 0, "{}", payload.stderr);
    let signed = node.run_with(&["key", "sign", "--node-key", key, "-"], &payload.stdout);
    assert_eq!(signed.exit, 0, "{}", signed.stderr);
    let taken = node.run_with(&["key", "import", "-"], &signed.stdout);
    assert_eq!(taken.exit, 0, "{}", taken.stderr);
    assert_eq!(node.ask(&["key", "show"])["waits_for_signature"], false);
}

#[test]
fn nodes_go_on_telling_each_other_when_a_log_key_changes_and_who_joins_later_reads_both() {
    let (a, b, sink) = two_nodes();
    tells(&a, &b, "gone1@d.test");
    let shown = a.ask(&["key", "rotate", "--wait", "24"]);
    assert_eq!(states(&shown, "log_keys"), ["signs", "next"]);
    let twice = a.run(&["key", "rotate"]);
    assert_eq!(twice.exit, 65, "{}", twice.stderr);
    tells(&a, &b, "gone2@d.test");
    let shown = b.ask(&["key", "rotate", "--now"]);
    assert_eq!(states(&shown, "log_keys"), ["old", "signs"]);
    tells(&b, &a, "gone3@d.test");
    tells(&a, &b, "gone4@d.test");
    let c = node("c", &sink, "1h");
    peer(&c, &b);
    wait_until("C has heard of both", LONG, || holds(&c, "gone3@d.test"));
    tells(&b, &c, "gone5@d.test");
    let log = [a.log(), b.log(), c.log()].concat();
    assert!(!log.contains("damaged or forged") && !log.contains("ERROR"), "{log}");
}

#[test]
fn a_member_founds_the_federation_anew_and_others_join_it() {
    let (mut a, b, _sink) = two_nodes();
    tells(&b, &a, "gone1@d.test");
    let shown = b.ask(&["key", "found"]);
    let id = shown["tag_keys"][0]["key_id"].as_str().unwrap().to_owned();
    assert_eq!(shown["tag_keys"][0]["state"], "published under");
    let unknown = a.run(&["key", "join", "0000000000000000"]);
    assert_eq!(unknown.exit, 65, "{}", unknown.stderr);
    // It asks for keys once a day, and at a start.
    a.kill();
    a.serve();
    let has = |state: &str| {
        let shown = a.ask(&["key", "show"]);
        let keys = shown["tag_keys"].as_array().unwrap();
        keys.iter().any(|key| key["key_id"] == id.as_str() && key["state"] == state)
    };
    wait_until("the key of the new federation is known", LONG, || has("looked up"));
    tells(&b, &a, "gone2@d.test");
    a.ask(&["key", "join", &id]);
    assert!(has("published under"));
    tells(&a, &b, "gone3@d.test");
    assert!(holds(&a, "gone1@d.test"), "what was told under the old key goes on counting");
}

#[test]
fn a_log_key_that_was_stolen_signs_nothing_more() {
    let (a, b, _sink) = two_nodes();
    tells(&a, &b, "gone1@d.test");
    let stolen = fs::read(a.data().join("keys/log.key")).unwrap();
    let shown = a.ask(&["key", "revoke"]);
    assert_eq!(states(&shown, "log_keys"), ["gone", "signs"]);
    assert_eq!(shown["log_keys"][0]["revoked_after"], "0.0");
    assert_ne!(fs::read(a.data().join("keys/log.key")).unwrap(), stolen);
    assert!(!a.data().join("keys/log-old.key").exists());
    assert_eq!(described(&a)["revoked"][0]["key"], shown["log_keys"][0]["key"]);
    tells(&a, &b, "gone2@d.test");
    tells(&b, &a, "gone3@d.test");
    let late = a.run(&["key", "revoke", "--after", "7.7"]);
    assert_eq!(late.exit, 65, "{}", late.stderr);
    // The thief had it for a while: what was signed behind the first segment is lost, and told again in a new epoch.
    a.ask(&["key", "revoke", "--after", "0.0"]);
    tells(&a, &b, "gone4@d.test");
}

#[test]
fn a_node_whose_key_is_elsewhere_goes_on_and_what_it_is_to_sign_waits() {
    let (mut a, b, sink) = two_nodes();
    let file = a.folder.join("away.key");
    let key = file.display().to_string();
    let shown = a.ask(&["key", "offline", &key]);
    assert_eq!(shown["node_key"], "elsewhere");
    assert!(file.exists() && !a.data().join("keys/node.key").exists());
    a.kill();
    a.serve();
    tells(&a, &b, "gone1@d.test");
    let before = described(&a);
    let c = node("c", &sink, "1h");
    peer(&c, &a);
    wait_until("the new peer is to be signed", LONG, || a.ask(&["key", "show"])["waits_for_signature"] == true);
    assert_eq!(described(&a), before);
    let shown = a.ask(&["key", "rotate", "--now"]);
    assert_eq!(shown["log_keys"].as_array().unwrap().len(), 1, "nobody was told of the next key");
    tells(&a, &b, "gone2@d.test");
    signed_elsewhere(&a, &key);
    let said = described(&a);
    assert_eq!(said["peers"].as_array().unwrap().len(), 2);
    assert_eq!(states(&a.ask(&["key", "show"]), "log_keys"), ["old", "signs"]);
    tells(&a, &b, "gone3@d.test");
    let (other, nothing) = (b.data().join("keys/node.key"), a.run(&["key", "export"]));
    assert_eq!(nothing.exit, 65, "{}", nothing.stderr);
    let wrong = a.run(&["key", "online", &other.display().to_string()]);
    assert_eq!(wrong.exit, 65, "{}", wrong.stderr);
    assert_eq!(a.ask(&["key", "online", &key])["node_key"], "here");
}

#[test]
fn a_peer_is_named_to_others_when_it_is_accepted_and_no_more_when_it_is_removed() {
    let (a, b, _sink) = two_nodes();
    let (node, seq) = (b.ask(&["key", "show"])["node"].clone(), described(&a)["seq"].clone());
    wait_until("A names B", LONG, || described(&a)["peers"][0] == node);
    assert!(seq.as_u64() <= described(&a)["seq"].as_u64());
    a.ask(&["peer", "remove", "relay-b.example.org"]);
    wait_until("A does not name B", LONG, || described(&a)["peers"].as_array().is_some_and(Vec::is_empty));
}

#[test]
fn a_new_tag_key_is_used_by_all_and_what_was_said_under_the_old_one_still_counts() {
    let (a, mut b, _sink) = two_nodes();
    tells(&a, &b, "gone1@d.test");
    let refused = b.run(&["key", "tag", "--now"]);
    assert_eq!(refused.exit, 65, "B is a member and no founder: {}", refused.stderr);
    let shown = a.ask(&["key", "tag", "--now"]);
    assert_eq!(states(&shown, "tag_keys")[..2], ["published under", "looked up"]);
    // Keys are asked for once a day, and after a start.
    b.kill();
    b.serve();
    wait_until("B has the key", LONG, || {
        b.ask(&["key", "show"])["tag_keys"][0]["key_id"] == shown["tag_keys"][0]["key_id"]
    });
    tells(&a, &b, "gone2@d.test");
    tells(&b, &a, "gone3@d.test");
    assert!(holds(&b, "gone1@d.test"));
    assert_eq!(a.decision("gone1@d.test", "bulk")["rule"], "own-hard");
}

#[test]
fn a_descriptor_that_was_put_away_closes_a_node_whose_key_was_lost() {
    let (a, b, _sink) = two_nodes();
    let key: PathBuf = a.data().join("keys/node.key");
    let payload = a.run(&["key", "export", "--retired"]).stdout;
    let last = a.run_with(&["key", "sign", "--node-key", &key.display().to_string(), "-"], &payload).stdout;
    tells(&a, &b, "gone1@d.test");
    let taken = b.run_with(&["key", "import", "-"], &last);
    assert_eq!(taken.exit, 0, "{}", taken.stderr);
    wait_until("B answers A no more", LONG, || a.ask(&["peer", "list"])["peers"][0]["trouble"].is_string());
    let again = b.run_with(&["key", "import", "-"], &last);
    assert_eq!(again.exit, 65, "{}", again.stderr);
    let taken = a.run_with(&["key", "import", "-"], &last);
    assert_eq!(taken.exit, 0, "{}", taken.stderr);
    assert_eq!(a.ask(&["key", "show"])["retired"], true);
    assert_eq!(a.run(&["key", "rotate"]).exit, 65);
}
