//! Senders that are suddenly unusual: slowed, blocked, looked at and released by a person.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::client::Client;
use crate::node::Node;
use crate::sink::Sink;
use crate::wait::{Folder, wait_until};

fn node_and_sink(watch: &str) -> (Node, Sink) {
    node_to(Sink::start(), watch)
}

fn node_to(sink: Sink, watch: &str) -> (Node, Sink) {
    let node = Node::start(&format!(
        "hostname = \"relay.example.org\"\n[http]\nlisten = [\"127.0.0.1:0\"]\n[smtp]\nlisten = [\"127.0.0.1:0\"]\n[relay]\nsmarthost = \"{}\"\n{watch}",
        sink.address
    ));
    node.add_login("anna", "correct horse", "good.test", "personal");
    (node, sink)
}

fn logged_in(node: &Node) -> Client {
    let mut client = Client::greet(node.smtp()).unwrap();
    client.say(&format!("AUTH PLAIN {}", STANDARD.encode("\0anna\0correct horse")), "235").unwrap();
    client
}

/// Writes to strangers, one mail each, until one is refused. Answers with how many were taken, and with the refusal.
fn blast(node: &Node, strangers: std::ops::Range<usize>) -> (usize, String) {
    let mut client = logged_in(node);
    for (sent, n) in strangers.clone().enumerate() {
        if let Err(refusal) = client.mail("anna@good.test", &[&format!("r{n}@example.test")], "Subject: x\r\n") {
            return (sent, refusal.to_string());
        }
    }
    (strangers.len(), String::new())
}

#[test]
fn a_login_that_blasts_is_slowed_and_blocked_and_a_person_releases_it() {
    let (mut node, sink) = node_and_sink("[watch]\nmode = \"enforce\"\n");
    let (taken, refusal) = blast(&node, 0..300);
    // Slow comes at three quarters of a number for a newcomer, blocked at the whole of it (decision 0043).
    assert!((53..=120).contains(&taken), "{taken}");
    assert!(refusal.contains("450 4.7.1 mail of this sender is stopped"), "{refusal}");
    let all_held = |node: &Node| node.queue().iter().all(|it| it["lane"] == "held");
    wait_until("what waits is held", Duration::from_secs(30), || all_held(&node) && !node.queue().is_empty());
    let (left, held) = (sink.mails().len(), node.queue().len());
    assert!(left < 60 && left + held == taken, "{left} left, {held} are held, {taken} were taken");
    let shown = node.ask(&["sender", "show", "anna"]);
    assert_eq!((&shown["evidence"]["level"], &shown["held"]), (&"blocked".into(), &held.into()));
    let why = shown["evidence"]["english"].to_string();
    assert!(why.contains("to whom this sender never wrote before"), "{why}");
    assert!(node.run(&["sender", "show", "anna"]).stdout.contains("sm2tp sender release anna"));
    let waiting = node.get("/api/v1/status");
    assert!(waiting.contains("1: sm2tp sender list") && !waiting.contains("anna@"), "{waiting}");
    wait_until("an administrator would be told", Duration::from_secs(60), || {
        node.ask(&["alerts", "list"]).to_string().contains("sender-blocked")
    });

    // It stays so over a restart, also for who is connected.
    node.terminate(Duration::from_secs(20));
    node.serve();
    assert_eq!(node.ask(&["sender", "list"])["senders"][0]["level"], "blocked");
    assert_eq!(blast(&node, 0..1).0, 0);
    // The cause is removed: new mail goes, and what was held waits for whoever knows whose it is.
    let released = node.ask(&["sender", "release", "anna", "--note", "new password"]);
    assert_eq!((&released["level"], &released["held"]), (&"normal".into(), &held.into()));
    assert_eq!(blast(&node, 0..3).0, 3);
    // All of it was in order: it goes, too, and as many again are usual now.
    node.ask(&["sender", "release", "anna", "--normal"]);
    node.wait_for_empty_queue();
    assert_eq!(sink.mails().len(), taken + 3);
    let changes = node.ask(&["sender", "show", "anna"])["evidence"]["changes"].to_string();
    assert!(changes.contains("new password"), "{changes}");
    // By hand, and back.
    node.ask(&["sender", "block", "anna"]);
    assert_eq!(blast(&node, 0..1).0, 0);
    node.ask(&["sender", "release", "anna", "--waiting", "drop"]);
    assert_eq!(blast(&node, 0..1).0, 1);
    assert_eq!(node.run(&["sender", "show", "nobody"]).exit, 65);
}

/// Sends so many mails as this login, all to one address.
fn write(node: &Node, login: &str, to: &str, mails: usize) {
    let mut client = Client::greet(node.smtp()).unwrap();
    client.say(&format!("AUTH PLAIN {}", STANDARD.encode(format!("\0{login}\0correct horse"))), "235").unwrap();
    for _ in 0..mails {
        client.mail(&format!("{login}@good.test"), &[to], "Subject: x\r\n").unwrap();
    }
}

#[test]
fn a_slow_sender_slows_nobody_else_of_its_organisation_also_after_a_restart() {
    let (mut node, sink) = node_and_sink("[watch]\nmode = \"enforce\"\n");
    for login in ["bob", "claire"] {
        node.ask_with(&["org", "login", login, "--org", "org-anna", "--stream", "personal"], "correct horse");
    }
    node.ask(&["sender", "slow", "anna"]);
    node.ask(&["sender", "slow", "bob"]);
    let came = |to: &str| sink.mails().iter().filter(|mail| mail.to.contains(&to.to_owned())).count();
    let soon = Duration::from_secs(15);
    write(&node, "anna", "a@example.test", 4);
    wait_until("one of anna's mails left", soon, || came("a@example.test") == 1);
    // Anna's minute has just begun; bob has his own, and claire has none.
    write(&node, "bob", "b@example.test", 2);
    write(&node, "claire", "c@example.test", 3);
    wait_until("bob's and claire's mail left", soon, || came("b@example.test") == 1 && came("c@example.test") == 3);
    assert_eq!((came("a@example.test"), came("b@example.test")), (1, 1));

    node.terminate(Duration::from_secs(20));
    node.serve();
    wait_until("each goes on where it was", soon, || came("a@example.test") == 2 && came("b@example.test") == 2);
    node.ask(&["sender", "release", "anna"]);
    wait_until("who is released is not slow any more", soon, || came("a@example.test") == 4);
}

#[test]
fn an_announced_campaign_passes_and_an_observing_node_lets_everything_pass() {
    let (node, sink) = node_and_sink("[watch]\nmode = \"enforce\"\n");
    let told = node.ask(&["sender", "announce", "anna", "150", "--until", "2h", "--note", "the party"]);
    assert_eq!((&told["org"], &told["recipients"]), (&"org-anna".into(), &150.into()));
    assert_eq!(blast(&node, 0..130), (130, String::new()));
    node.wait_for_empty_queue();
    assert_eq!(sink.mails().len(), 130);
    assert_eq!(node.ask(&["sender", "list"])["senders"].as_array().map(Vec::len), Some(0));
    assert_eq!(node.run(&["sender", "announce", "anna", "150", "--until", "1999-01-01"]).exit, 65);

    let (node, sink) = node_and_sink("[watch]\nmode = \"observe\"\n");
    assert_eq!(blast(&node, 0..130), (130, String::new()));
    node.wait_for_empty_queue();
    assert_eq!(sink.mails().len(), 130);
    let listed = node.ask(&["sender", "list"]);
    assert_eq!((&listed["mode"], &listed["senders"][0]["level"]), (&"observe".into(), &"blocked".into()));
    // What a person decides holds here, too.
    node.ask(&["sender", "block", "anna"]);
    assert_eq!(blast(&node, 0..1).0, 0);
}

#[test]
fn a_node_that_nobody_set_up_takes_a_newsletter_on_its_first_day_and_stops_a_list_of_the_dead() {
    let unknown = |to: &str| to.starts_with("gone").then(|| "550 5.1.1 User unknown".to_owned());
    let (node, sink) = node_to(Sink::with(unknown), "");
    assert_eq!(blast(&node, 0..150), (150, String::new()));
    node.wait_for_empty_queue();
    assert_eq!(sink.mails().len(), 150);
    let shown = node.ask(&["sender", "show", "anna"]);
    assert_eq!((&shown["mode"], &shown["evidence"]["level"]), (&"learn".into(), &"normal".into()));
    assert!(node.run(&["sender", "show", "anna"]).stdout.contains("learned from until 20"));

    node.add_login("bob", "correct horse", "list.test", "bulk");
    let mut bob = Client::greet(node.smtp()).unwrap();
    bob.say(&format!("AUTH PLAIN {}", STANDARD.encode("\0bob\0correct horse")), "235").unwrap();
    let mut unknown = (0..30).map(|n| format!("gone{n}@example.test"));
    let mut refused =
        unknown.find_map(|to| bob.mail("bob@list.test", &[&to], "Subject: x\r\n").err()).map(|it| it.to_string());
    if refused.is_none() {
        let is_slow = || node.ask(&["sender", "list"])["senders"][0]["sender"] == "bob";
        wait_until("bob is slow", Duration::from_secs(30), is_slow);
        // Those who are known to be gone are stopped at the door, and count there.
        let begun = bob.say("MAIL FROM:<bob@list.test>", "250").map_err(|it| it.to_string());
        refused = begun
            .err()
            .or_else(|| (0..100).find_map(|n| bob.say(&format!("RCPT TO:<gone{}@example.test>", n % 10), "450").ok()));
    }
    assert!(refused.is_some_and(|it| it.contains("450 4.7.1 mail of this sender is stopped")));
}

#[test]
fn a_table_says_whose_network_a_sender_writes_from_and_is_read_again() {
    let folder = Folder::new("companies");
    let table = |name: &str| format!("127.0.0.0\t127.255.255.255\t64500\tFR\t{name}\n");
    let file = folder.write("table.tsv", &table("EXAMPLE Telecom"));
    let (mut node, _sink) = node_and_sink(&format!("[watch]\ncompanies = {:?}\n", file.display().to_string()));
    assert_eq!(blast(&node, 0..1).0, 1);
    let networks = |node: &Node| node.ask(&["sender", "show", "anna"])["evidence"]["networks"].clone();
    assert_eq!(networks(&node)[0]["whose"], "AS64500 EXAMPLE Telecom, FR");
    assert!(node.run(&["sender", "show", "anna"]).stdout.contains("AS64500 EXAMPLE Telecom, FR\n"));

    std::fs::write(&file, table("Another Name")).unwrap();
    node.hang_up();
    wait_until("the table is read again", Duration::from_secs(20), || {
        networks(&node)[0]["whose"] == "AS64500 Another Name, FR"
    });
    // One that cannot be used: the node goes on with the other one, and would not start.
    std::fs::write(&file, "127.0.0.0,127.255.255.255,64500,FR,X\n").unwrap();
    node.hang_up();
    wait_until("it is said", Duration::from_secs(20), || node.log().contains("the one in use stays"));
    assert_eq!(networks(&node)[0]["whose"], "AS64500 Another Name, FR");
    let checked = node.run(&["check"]);
    assert!(checked.exit == 78 && checked.stderr.contains("table.tsv: line 1 is none of a table"), "{checked:?}");
    std::fs::write(&file, table("Another Name")).unwrap();
    // What is known of a sender is kept with it.
    node.terminate(Duration::from_secs(20));
    node.serve();
    let networks = networks(&node);
    assert_eq!((networks.as_array().map(Vec::len), &networks[0]["asn"]), (Some(1), &64500.into()));
}
