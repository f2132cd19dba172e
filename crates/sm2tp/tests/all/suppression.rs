//! Addresses that are not written to: by the node, by an organisation, by stream; and what the sender gets.

use std::collections::HashSet;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::client::Client;
use crate::node::Node;
use crate::sink::Sink;
use crate::wait::wait_until;

const PASSWORD: &str = "correct horse battery";

/// A node that delivers to `example.test`; `more` are further lines.
fn node(sink: &Sink, more: &str) -> Node {
    Node::start(&format!(
        "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\ntrusted_networks = [\"127.0.0.1\"]\n\
         [relay]\nroutes = {{ \"example.test\" = \"{}\", \"good.test\" = \"{}\" }}\n{more}",
        sink.address, sink.address
    ))
}

/// A client that has logged in, or one of the trusted network.
fn client(node: &Node, login: Option<&str>) -> Client {
    let mut client = Client::greet(node.smtp()).unwrap();
    if let Some(login) = login {
        let plain = STANDARD.encode(format!("\0{login}\0{PASSWORD}"));
        client.say(&format!("AUTH PLAIN {plain}"), "235").unwrap();
    }
    client
}

fn dead(to: &str) -> Option<String> {
    to.starts_with("dead").then(|| "550 5.1.1 No such user".to_owned())
}

#[test]
fn an_org_keeps_a_list_of_its_own_and_the_node_one_for_all() {
    let sink = Sink::start();
    let node = node(&sink, "");
    for org in ["a", "b"] {
        node.ask(&["org", "add", org, "--domain", "good.test"]);
        node.ask_with(&["org", "login", &format!("{org}1"), "--org", org, "--stream", "bulk"], PASSWORD);
    }
    node.ask(&["suppress", "add", "jean@example.test", "--org", "a", "--stream", "bulk"]);
    node.ask(&["suppress", "add", "paul@example.test"]);
    let decides = |address: &str, org: &str, stream: &str| {
        let explained = node.ask(&["explain", address, "--org", org, "--stream", stream]);
        explained["decisions"][0]["rule"].as_str().unwrap_or("send").to_owned()
    };
    assert_eq!(decides("jean@example.test", "a", "bulk"), "listed-by-org");
    assert_eq!(decides("jean@example.test", "a", "personal"), "send");
    assert_eq!(decides("jean@example.test", "b", "bulk"), "send");
    assert_eq!(decides("paul@example.test", "b", "personal"), "listed");
    // An org may not overrule the node; the node's allow list beats everything.
    node.ask(&["suppress", "allow", "paul@example.test", "--org", "b"]);
    assert_eq!(decides("paul@example.test", "b", "personal"), "listed");
    node.ask(&["suppress", "allow", "paul@example.test"]);
    assert_eq!(decides("paul@example.test", "b", "personal"), "send");
    assert_eq!(node.run(&["suppress", "add", "x@example.test", "--org", "nobody"]).exit, 65);

    let mut a = client(&node, Some("a1"));
    a.say("MAIL FROM:<news@good.test>", "250").unwrap();
    let refused = a.say("RCPT TO:<jean@example.test>", "550").unwrap();
    assert!(refused.contains("your organisation put this address on its suppression list"), "{refused}");
    client(&node, Some("b1")).mail("news@good.test", &["jean@example.test"], "Subject: x\r\n\r\n").unwrap();
    sink.mail_to("jean@example.test");
    node.ask(&["suppress", "remove", "jean@example.test", "--org", "a"]);
    a.say("RCPT TO:<jean@example.test>", "250").unwrap();
}

#[test]
fn what_is_stopped_is_refused_or_taken_and_reported_and_never_lost() {
    let sink = Sink::with(dead);
    let node = node(&sink, "[suppression]\nhold_max = \"7d\"\n");
    node.ask(&["org", "add", "list", "--domain", "good.test"]);
    node.ask_with(&["org", "login", "sympa", "--org", "list", "--stream", "bulk"], PASSWORD);
    let mut sympa = client(&node, Some("sympa"));
    sympa.mail("news@good.test", &["dead@example.test"], "Subject: first\r\n\r\n").unwrap();
    sink.mail_to("news@good.test");
    node.wait_for_empty_queue();
    sink.take();
    wait_until("the ledger knows", Duration::from_secs(20), || {
        node.decision("dead@example.test", "bulk")["rule"] == "own-hard"
    });
    sympa.say("MAIL FROM:<news@good.test>", "250").unwrap();
    let refused = sympa.say("RCPT TO:<dead@example.test>", "550 5.1.1").unwrap();
    assert!(refused.contains("was refused with 550 5.1.1"), "{refused}");
    sympa.say("RSET", "250").unwrap();

    let shown = node.ask(&["org", "suppression", "list", "--stopped", "report"]);
    assert_eq!((&shown["own"], &shown["limits"]["stopped"]), (&json!({ "stopped": "report" }), &json!("report")));
    sympa.mail("news@good.test", &["dead@example.test", "anna@example.test"], "Subject: second\r\n\r\n").unwrap();
    let report = sink.mail_to("news@good.test").text();
    for want in ["dead@example.test", "earlier mail to this address came back", "Action: failed"] {
        assert!(report.contains(want), "{want} is not in\n{report}");
    }
    assert!(!report.contains("anna@example.test"), "{report}");
    sink.mail_to("anna@example.test");
    node.wait_for_empty_queue();
    let sent: HashSet<String> = sink.mails().into_iter().flat_map(|mail| mail.to).collect();
    assert!(!sent.contains("dead@example.test"));
    // For people of the trusted network nothing has changed.
    let mut local = client(&node, None);
    local.say("MAIL FROM:<anna@good.test>", "250").unwrap();
    local.say("RCPT TO:<dead@example.test>", "550 5.1.1").unwrap();
    let reset = node.ask(&["org", "suppression", "list", "--reset"]);
    assert_eq!((&reset["own"], &reset["limits"]["stopped"]), (&json!({}), &json!("refuse")));
    assert!(node.run(&["org", "suppression", "list"]).stdout.contains("hard expiry            400d"));
}
