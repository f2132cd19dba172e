//! What suppression was worth: counted by a node whose mail was stopped, and whose canaries were answered.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::client::{Client, send};
use crate::node::{Node, SM2TP, said};
use crate::peers::{federation, peer};
use crate::sink::Sink;
use crate::wait::{free_address, wait_until};

const LONG: Duration = Duration::from_secs(30);

/// Its local clients send newsletters; all that would be held is let through.
fn node(name: &str, sink: &Sink) -> Node {
    let http = free_address();
    Node::start(&format!(
        "hostname = \"relay-{name}.example.org\"\n[http]\nlisten = [\"{http}\"]\n\
         [smtp]\nlisten = [\"127.0.0.1:0\"]\ntrusted_networks = [\"127.0.0.1\"]\nstream = \"bulk\"\n\
         [relay]\nroutes = {{ \"d.test\" = \"{}\" }}\n{}",
        sink.address,
        federation(http).replace("canary_share = 0.0", "canary_share = 1.0")
    ))
}

fn evidence(node: &Node) -> Value {
    node.ask(&["stats", "--evidence"])
}

#[test]
fn canaries_tell_how_right_other_nodes_are_and_stops_what_they_saved() {
    // A is told that all are dead; one of them comes back to life before B writes there.
    let sink = Sink::with(|to| to.starts_with("gone").then(|| "550 5.1.1 No such user here".to_owned()));
    let dying = Sink::with(|_| Some("550 5.1.1 No such user here".to_owned()));
    let (a, b) = (node("a", &dying), node("b", &sink));
    peer(&a, &b);
    for address in ["gone@d.test", "back@d.test", "away@d.test"] {
        send(a.smtp(), "anna@s.test", &[address], "hello");
        wait_until("B has heard of it", LONG, || b.decision(address, "bulk")["decision"] == "hold");
    }
    send(b.smtp(), "anna@s.test", &["gone@d.test"], "newsletter");
    send(b.smtp(), "anna@s.test", &["back@d.test"], "newsletter");
    wait_until("both canaries are answered", LONG, || {
        let canaries = &evidence(&b)["counts"]["canaries"];
        (canaries["sent"].as_u64(), canaries["dead"].as_u64(), canaries["alive"].as_u64())
            == (Some(2), Some(1), Some(1))
    });
    // B knows the first by itself now. From now on it refuses what one other node says, each time that it is asked.
    b.ask(&["org", "suppression", "local", "--doubtful", "refuse", "--canary-share", "0"]);
    let mut client = Client::greet(b.smtp()).unwrap();
    client.say("MAIL FROM:<anna@s.test>", "250").unwrap();
    for address in ["gone@d.test", "away@d.test", "away@d.test", "away@d.test"] {
        client.say(&format!("RCPT TO:<{address}>"), "550").unwrap();
    }
    wait_until("the stops are counted", LONG, || {
        let counts = &evidence(&b)["counts"];
        (counts["own"].as_u64(), counts["federated"].as_u64()) == (Some(1), Some(3))
    });

    let told = evidence(&b);
    let (counts, worth) = (&told["counts"], &told["worth"]);
    assert_eq!(
        (counts["decided"].as_u64(), counts["dead"].as_u64(), counts["spared"].as_u64()),
        (Some(2), Some(1), Some(1))
    );
    assert_eq!((worth["avoided"].as_u64(), worth["precision"]["likely"].as_f64()), (Some(4), Some(0.5)), "{told}");
    // Of two mails one bounced. With the four that were stopped: 1 + 1 + half of 3 in 6. Without A: 1 + half of 1 in 3.
    for (key, want) in [("bounce_rate_without", 3.5 / 6.0), ("bounce_rate_alone", 0.5)] {
        let share = &worth[key];
        let of = |part: &str| share[part].as_f64().unwrap();
        assert!((of("likely") - want).abs() < 1e-9 && of("low") < want && want < of("high"), "{key}: {told}");
    }
    assert_eq!(worth["bounce_rate"].as_f64(), Some(0.5));
    let french = said(
        Command::new(SM2TP).args(["stats", "--evidence", "--config"]).arg(&b.config).env("LC_ALL", "fr_FR.UTF-8"),
        "",
    );
    assert!(
        french.stdout.contains("envois évités") && french.stdout.contains("50,00\u{a0}% des cas"),
        "{}",
        french.stdout
    );
    let count = b.ask(&["ledger", "rebuild"]);
    assert_eq!(&evidence(&b)["counts"], counts, "after a rebuild of {count}");
}
