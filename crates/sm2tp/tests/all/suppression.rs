//! Addresses that are not written to: by the node, by an organisation, by stream; and what the sender gets.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::client::Client;
use crate::node::Node;
use crate::sink::Sink;
use crate::wait::{wait_for, wait_until};

const PASSWORD: &str = "correct horse battery";

/// A node that delivers to `example.test`; `more` are further lines.
fn node(sink: &Sink, more: &str) -> Node {
    Node::start(&format!(
        "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\ntrusted_networks = [\"127.0.0.1\"]\n\
         listen_for = [{{ stream = \"bulk\", listen = [\"127.0.0.1:0\"] }}]\n\
         [relay]\nroutes = {{ \"example.test\" = \"{}\", \"good.test\" = \"{}\" }}\n{more}",
        sink.address, sink.address
    ))
}

/// A client that has logged in, or one of the trusted network.
fn client(node: &Node, login: Option<&str>) -> Client {
    let mut client = Client::greet(node.smtp()).unwrap();
    if let Some(login) = login {
        log_in(&mut client, login);
    }
    client
}

fn log_in(client: &mut Client, login: &str) {
    let plain = STANDARD.encode(format!("\0{login}\0{PASSWORD}"));
    client.say(&format!("AUTH PLAIN {plain}"), "235").unwrap();
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

#[test]
fn the_stream_is_told_by_login_port_header_and_volume_and_the_log_says_how() {
    // So that the mail waits and can be looked at.
    let sink = Sink::with(|to| to.starts_with("late").then(|| "451 4.3.0 Later".to_owned()));
    let node = node(&sink, "");
    node.ask(&["org", "add", "a", "--domain", "good.test"]);
    node.ask_with(&["org", "login", "anna", "--org", "a"], PASSWORD);
    node.ask_with(&["org", "login", "shop", "--org", "a", "--stream", "transactional"], PASSWORD);
    let shown = |login: Option<&str>, port: SocketAddr, header: &str| {
        let mut client = Client::greet(port).unwrap();
        if let Some(login) = login {
            log_in(&mut client, login);
        }
        let said = client.mail("x@good.test", &["late@example.test"], &format!("{header}Subject: x\r\n\r\n")).unwrap();
        let mail = said.trim().rsplit(' ').next().unwrap().to_owned();
        wait_for("the log says how", Duration::from_secs(20), || {
            let shown = node.ask(&["queue", "show", &mail]);
            let by = shown["stream_known_by"].as_str()?.to_owned();
            assert!(!shown["header"].as_str().unwrap().contains("SM2TP-Stream"), "{shown}");
            Some((shown["stream"].as_str().unwrap().to_owned(), by))
        })
    };
    let check = |login, port, header: &str, want: (&str, &str)| {
        let (stream, by) = shown(login, port, header);
        assert_eq!((stream.as_str(), by.as_str()), want, "{header}");
    };
    let (door, bulk) = (node.smtp(), node.smtp_for("bulk"));
    check(Some("anna"), door, "", ("personal", "its organisation sends such mail"));
    check(Some("anna"), bulk, "", ("bulk", "it came in on the port for such mail"));
    check(Some("shop"), bulk, "", ("transactional", "its login sends such mail"));
    check(None, door, "List-Unsubscribe: <mailto:x@good.test>\r\n", ("bulk", "it has a field List-Unsubscribe"));
    let says = "it has a field SM2TP-Stream that says so";
    check(Some("anna"), door, "SM2TP-Stream: transactional\r\nPrecedence: bulk\r\n", ("transactional", says));
    for n in 0..25 {
        client(&node, Some("anna")).mail("x@good.test", &["a@good.test"], "Message-ID: <1@good.test>\r\n\r\n").unwrap();
        if n == 24 {
            check(Some("anna"), door, "", ("bulk", "its sender has had many recipients within the last hour"));
        }
    }
}

#[test]
fn a_letter_that_turns_out_a_newsletter_is_decided_again() {
    let sink = Sink::with(dead);
    let node = node(&sink, "");
    // For letters a dead address may be tried again at once, for newsletters it may not.
    node.ask(&["org", "suppression", "local", "--personal-retry-after", "0s"]);
    let mut client = client(&node, None);
    client.mail("news@good.test", &["dead@example.test"], "Subject: first\r\n\r\n").unwrap();
    wait_until("the ledger knows", Duration::from_secs(20), || {
        node.decision("dead@example.test", "bulk")["rule"] == "own-hard"
    });
    node.wait_for_empty_queue();
    sink.take();
    let newsletter = "List-Unsubscribe: <mailto:x@good.test>\r\nSubject: second\r\n\r\n.";
    let begin = |client: &mut Client, to: &[&str]| {
        client.say("MAIL FROM:<news@good.test>", "250").unwrap();
        for to in to {
            client.say(&format!("RCPT TO:<{to}>"), "250").unwrap();
        }
        client.say("DATA", "354").unwrap();
    };
    // To nobody: the client has it still.
    begin(&mut client, &["dead@example.test"]);
    let refused = client.say(newsletter, "550 5.1.1").unwrap();
    assert!(refused.contains("was refused with 550 5.1.1"), "{refused}");
    // To some: they get it, and of the others the sender hears.
    begin(&mut client, &["dead@example.test", "anna@example.test"]);
    client.say(newsletter, "250").unwrap();
    let report = sink.mail_to("news@good.test").text();
    assert!(report.contains("dead@example.test") && !report.contains("anna@example.test"), "{report}");
    sink.mail_to("anna@example.test");
    node.wait_for_empty_queue();
    assert!(sink.mails().iter().all(|mail| mail.to != ["dead@example.test"]));
}

#[test]
fn an_org_that_is_removed_while_it_sends_keeps_what_was_taken_and_sends_no_more() {
    let sink = Sink::start();
    let node = node(&sink, "");
    node.ask(&["org", "add", "a", "--domain", "good.test"]);
    for login in ["a1", "a2"] {
        node.ask_with(&["org", "login", login, "--org", "a"], PASSWORD);
    }
    node.ask(&["suppress", "add", "jean@example.test", "--org", "a"]);
    let (mut first, mut second) = (client(&node, Some("a1")), client(&node, Some("a2")));
    first.mail("anna@good.test", &["bob@example.test"], "Subject: taken\r\n\r\n").unwrap();
    second.say("MAIL FROM:<anna@good.test>", "250").unwrap();
    node.ask(&["org", "remove", "a"]);
    // What had begun ends; the next mail does not begin, and a new login fails.
    second.say("RCPT TO:<carl@example.test>", "250").unwrap();
    second.say("DATA", "354").unwrap();
    second.say("Subject: begun\r\n\r\n.", "250").unwrap();
    for client in [&mut first, &mut second] {
        client.say("MAIL FROM:<anna@good.test>", "530").unwrap();
    }
    let plain = STANDARD.encode(format!("\0a1\0{PASSWORD}"));
    Client::greet(node.smtp()).unwrap().say(&format!("AUTH PLAIN {plain}"), "535").unwrap();
    for to in ["bob@example.test", "carl@example.test"] {
        sink.mail_to(to);
    }
    node.wait_for_empty_queue();
    // Its list is there again with an organisation of its name.
    assert_eq!(node.run(&["explain", "jean@example.test", "--org", "a"]).exit, 65);
    node.ask(&["org", "add", "a", "--domain", "good.test"]);
    let explained = node.ask(&["explain", "jean@example.test", "--org", "a", "--stream", "personal"]);
    assert_eq!(explained["decisions"][0]["rule"], "listed-by-org", "{explained}");
}
