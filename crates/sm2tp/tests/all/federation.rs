//! Two peered nodes whose processes die, whose files rot, and whose door strangers knock at.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use crate::client::{exchange, send};
use crate::node::Node;
use crate::peers::{federation, peer};
use crate::sink::Sink;
use crate::wait::{files, free_address, wait_for, wait_until};

const LONG: Duration = Duration::from_secs(30);

/// Its local clients send newsletters; what is held for a person is held for `hold_max`.
pub fn node(name: &str, sink: &Sink, hold_max: &str) -> Node {
    let http = free_address();
    Node::start(&format!(
        "hostname = \"relay-{name}.example.org\"\n[http]\nlisten = [\"{http}\"]\n\
         [smtp]\nlisten = [\"127.0.0.1:0\"]\ntrusted_networks = [\"127.0.0.1\"]\nstream = \"bulk\"\n\
         [suppression]\nhold_max = \"{hold_max}\"\n[relay]\nroutes = {{ \"d.test\" = \"{}\", \"s.test\" = \"{}\" }}\n{}",
        sink.address,
        sink.address,
        federation(http)
    ))
}

/// Two peered nodes; at `d.test` everybody whose name begins with "gone" is unknown.
fn two_nodes_with(hold_max: &str) -> (Node, Node, Sink) {
    let sink = Sink::with(|to| to.starts_with("gone").then(|| "550 5.1.1 No such user here".to_owned()));
    let (a, b) = (node("a", &sink, "1h"), node("b", &sink, hold_max));
    peer(&a, &b);
    (a, b, sink)
}

pub fn two_nodes() -> (Node, Node, Sink) {
    two_nodes_with("1h")
}

/// The node finds out for itself that an address is dead.
#[track_caller]
pub fn learns(node: &Node, address: &str) {
    send(node.smtp(), "anna@s.test", &[address], "hello");
    wait_until("the node knows", LONG, || node.decision(address, "bulk")["rule"] == "own-hard");
}

pub fn holds(node: &Node, address: &str) -> bool {
    node.decision(address, "bulk")["decision"] == "hold"
}

#[test]
fn what_was_learned_survives_the_death_of_either_node() {
    let (mut a, mut b, _sink) = two_nodes();
    learns(&a, "gone1@d.test");
    wait_until("B has heard the first", LONG, || holds(&b, "gone1@d.test"));
    a.kill();
    a.serve();
    learns(&a, "gone2@d.test");
    wait_until("B has heard the second", LONG, || holds(&b, "gone2@d.test"));
    b.kill();
    learns(&a, "gone3@d.test");
    b.serve();
    assert!(holds(&b, "gone1@d.test") && holds(&b, "gone2@d.test"), "B knows it from its own files");
    wait_until("B has heard the third", LONG, || holds(&b, "gone3@d.test"));
    assert!(a.decision("gone1@d.test", "bulk")["rule"] == "own-hard", "A knows it from its own ledger");
    let peers = b.ask(&["peer", "list"]);
    assert!(peers["peers"][0]["trouble"].is_null(), "{peers}");
}

#[test]
fn a_node_that_is_killed_while_it_publishes_goes_on_with_one_chain() {
    let (mut a, b, _sink) = two_nodes();
    for round in 0..6 {
        let address = format!("gone{round}@d.test");
        learns(&a, &address);
        // Anywhere between hold-down, sealing and the answer to B's question.
        std::thread::park_timeout(Duration::from_millis(350 * round));
        a.kill();
        a.serve();
    }
    for round in 0..6 {
        let address = format!("gone{round}@d.test");
        wait_until(&format!("B has heard of {address}"), LONG, || holds(&b, &address));
    }
    let log = b.log();
    assert!(!log.contains("equivocation") && !log.contains("fork") && !log.contains("ERROR"), "{log}");
}

#[test]
fn a_segment_with_a_flipped_bit_is_not_believed_and_the_nodes_go_on() {
    let (a, mut b, sink) = two_nodes();
    b.kill();
    let before = files(&a.data().join("segments"));
    learns(&a, "gone1@d.test");
    let segment = wait_for("A seals a segment", LONG, || {
        // Beside it lies what is being written, for a moment.
        let sealed = |path: &PathBuf| !before.contains(path) && path.extension().is_some_and(|kind| kind == "seg");
        files(&a.data().join("segments")).into_iter().find(sealed)
    });
    let mut octets = fs::read(&segment).unwrap();
    let last = octets.len() - 5;
    octets[last] ^= 0x10;
    fs::write(&segment, &octets).unwrap();
    b.serve();
    let peers = wait_for("B complains", LONG, || {
        Some(b.ask(&["peer", "list"])).filter(|peers| peers["peers"][0]["trouble"].is_string())
    });
    assert!(!holds(&b, "gone1@d.test"), "{peers}");
    // The copy is put back from a backup, before B has tried in vain so often that it rests for an hour: B gets it.
    octets[last] ^= 0x10;
    fs::write(&segment, &octets).unwrap();
    for node in [&a, &b] {
        send(node.smtp(), "anna@s.test", &["alive@d.test"], "still there");
    }
    wait_until("both deliver", LONG, || {
        sink.mails().iter().filter(|mail| mail.text().contains("Subject: still there")).count() == 2
    });
    wait_until("B has heard it now", LONG, || holds(&b, "gone1@d.test"));
}

/// Waits for a report of this node about this address.
#[track_caller]
fn report(sink: &Sink, node: &str, about: &str) -> String {
    wait_for(&format!("a report of {node} about {about}"), LONG, || {
        let (by, about) = (format!("Reporting-MTA: dns; {node}\r\n"), format!("Final-Recipient: rfc822; {about}\r\n"));
        let reports = sink.mails().into_iter().filter(|mail| mail.envelope() == "<> anna@s.test");
        reports.map(|mail| mail.text()).find(|text| text.contains(&by) && text.contains(&about))
    })
}

#[test]
fn held_mail_goes_by_itself_when_the_other_node_takes_back_what_it_said() {
    let (a, b, _sink) = two_nodes();
    for address in ["gone1@d.test", "gone2@d.test"] {
        learns(&a, address);
        wait_until("B has heard it", LONG, || holds(&b, address));
    }
    send(b.smtp(), "anna@s.test", &["gone1@d.test"], "newsletter");
    send(b.smtp(), "anna@s.test", &["gone2@d.test"], "newsletter");
    wait_until("both wait", LONG, || b.queue().iter().filter(|it| it["lane"] == "held").count() == 2);
    a.ask(&["suppress", "remove", "gone1@d.test"]);
    wait_until("B has tried it", LONG, || b.decision("gone1@d.test", "bulk")["rule"] == "own-hard");
    let held = b.queue();
    assert_eq!((held.len(), held[0]["recipient"].as_str()), (1, Some("gone2@d.test")), "{held:?}");
}

#[test]
fn held_mail_goes_when_a_person_says_so() {
    let (a, b, sink) = two_nodes();
    learns(&a, "gone1@d.test");
    wait_until("B has heard it", LONG, || holds(&b, "gone1@d.test"));
    send(b.smtp(), "anna@s.test", &["gone1@d.test", "alive@d.test"], "newsletter");
    sink.mail_to("alive@d.test");
    let queue = wait_for("one waits", LONG, || Some(b.queue()).filter(|queue| queue.len() == 1));
    assert_eq!((queue[0]["recipient"].as_str(), queue[0]["lane"].as_str()), (Some("gone1@d.test"), Some("held")));
    b.ask(&["queue", "release", &queue[0]["mail"].to_string()]);
    // Its server says itself what A had said; the sender is told in the server's words.
    assert!(report(&sink, "relay-b.example.org", "gone1@d.test").contains("550 5.1.1 No such user here"));
    wait_until("B knows it itself", LONG, || b.decision("gone1@d.test", "bulk")["rule"] == "own-hard");
}

#[test]
fn held_mail_returns_to_its_sender_when_nobody_decides() {
    let (a, b, sink) = two_nodes_with("2s");
    learns(&a, "gone1@d.test");
    wait_until("B has heard it", LONG, || holds(&b, "gone1@d.test"));
    let asked = sink.asked();
    send(b.smtp(), "anna@s.test", &["gone1@d.test"], "newsletter");
    let report = report(&sink, "relay-b.example.org", "gone1@d.test");
    assert!(report.contains("Action: failed") && report.contains("1 other mail hoster"), "{report}");
    b.wait_for_empty_queue();
    assert_eq!(sink.asked(), asked + 1, "the server was asked about the report's recipient only");
}

#[test]
fn a_peering_that_is_ended_is_ended() {
    let (a, b, _sink) = two_nodes();
    learns(&a, "gone1@d.test");
    wait_until("B has heard the first", LONG, || holds(&b, "gone1@d.test"));
    b.ask(&["peer", "remove", "relay-a.example.org"]);
    assert_eq!(b.ask(&["peer", "list"])["peers"].as_array().unwrap().len(), 0);
    wait_until("what A said counts no more", LONG, || !holds(&b, "gone1@d.test"));
    assert!(!b.get("/api/v1/status").contains("relay-a.example.org"));
}

#[test]
fn strangers_get_nothing_and_break_nothing() {
    let (a, b, _sink) = two_nodes();
    let door = a.http();
    for path in ["feed", "heads", "tagkeys", "nodes", "log/x/0/0"] {
        let answer = a.get(&format!("/fed/v1/{path}"));
        assert!(answer.starts_with("HTTP/1.1 4"), "{path}: {answer}");
        assert!(!answer.contains("relay-b"), "{path}: {answer}");
    }
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(200_000));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X-Header: 1\r\n".repeat(20_000));
    let body = format!("POST /fed/v1/peerings HTTP/1.1\r\nHost: {door}\r\nContent-Length: 99999999\r\n\r\n{{");
    let rubbish = format!(
        "POST /fed/v1/peerings HTTP/1.1\r\nHost: {door}\r\nContent-Length: 9\r\nConnection: close\r\n\r\nnot json!"
    );
    for request in ["\0\0\0\r\n\r\n", "EHLO a.example\r\n\r\n", &long, &many, &body, &rubbish] {
        let answer = exchange(door, request.as_bytes());
        assert!(!answer.contains("200 OK"), "{answer}");
    }
    assert!(a.get("/healthz").starts_with("HTTP/1.1 200"));
    learns(&a, "gone1@d.test");
    wait_until("B hears A all the same", LONG, || holds(&b, "gone1@d.test"));
    let log = a.log();
    assert!(!log.contains("panicked"), "{log}");
}
