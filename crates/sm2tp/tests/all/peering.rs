//! What two people read while they make a peering, and what each reads who mistypes.

use std::net::{SocketAddr, TcpListener};

use crate::node::Node;
use crate::peers::federation;
use crate::wait::free_address;

/// A node that says that it is reached there.
fn node_at(url: &str, http: SocketAddr) -> Node {
    Node::start(&format!(
        "hostname = \"relay.example.org\"\n[http]\nlisten = [\"{http}\"]\n[smtp]\nlisten = [\"127.0.0.1:0\"]\n[relay]\n\
         [federation]\nurl = \"{url}\"\n"
    ))
}

#[test]
fn who_cannot_be_invited_is_said_in_a_sentence_and_nothing_is_kept() {
    let http = free_address();
    let node = Node::start(&format!(
        "hostname = \"relay.example.org\"\n[http]\nlisten = [\"{http}\"]\n[smtp]\nlisten = [\"127.0.0.1:0\"]\n[relay]\n{}",
        federation(http)
    ));
    let check = |url: &str, exit: i32, want: &str| {
        let said = node.run(&["peer", "invite", url]);
        assert_eq!(said.exit, exit, "{url}: {said:?}");
        assert!(said.stderr.contains(want), "{url}: {said:?}");
        // The words of a library stand behind ours, never alone.
        assert!(!said.stderr.contains("client error"), "{url}: {said:?}");
    };
    check(&format!("http://{http}"), 65, "that is this node itself");
    check(&format!("localhost:{}", http.port()), 69, "no encrypted connection was made with what answers there");
    check(&format!("http://{}", node.smtp()), 69, "no answer that can be read");
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    check(&format!("http://{nobody}"), 69, "cannot be reached: nobody listens there");
    for nothing in ["", "https://", "https:///", "a b"] {
        check(nothing, 65, &format!("{nothing:?}: it is no address of a server"));
    }
    check("http://10.0.0.1", 65, "\"http://10.0.0.1\": http:// is for this machine alone");
    check("https://10.0.0.1", 65, "is an address behind this machine");
    check(&format!("http://localhost:{}", http.port()), 65, "ask its administrator which is right");
    assert_eq!(node.ask(&["peer", "list"])["peers"].as_array().unwrap().len(), 0);
    assert_eq!(node.run(&["peer", "accept", "--yes", "nobody.example"]).exit, 65);
}

#[test]
fn who_is_asked_reads_who_asks_and_who_is_turned_away_reads_why() {
    let (at_a, at_b) = (free_address(), free_address());
    let (a, b) = (node_at(&format!("http://{at_a}/fed/v1"), at_a), node_at(&format!("http://{at_b}/fed/v1"), at_b));
    let url = format!("http://{at_b}");
    let invited = a.run(&["peer", "invite", &url, "--note", "Anna of the Saturday meeting"]);
    assert!(invited.stdout.contains("Compare both fingerprints with the other administrator now"), "{invited:?}");
    let asking = b.run(&["peer", "list"]).stdout;
    assert!(asking.contains("state: asking") && asking.contains("note: Anna of the Saturday meeting"), "{asking}");
    let fingerprint = a.ask(&["peer", "list"])["fingerprint"].as_str().unwrap().to_owned();
    assert!(asking.contains(&fingerprint) && invited.stdout.contains(&fingerprint));
    // Nobody at a terminal said that they were compared.
    let said = b.run(&["peer", "accept", &fingerprint]);
    assert!(said.exit == 64 && said.stderr.contains("nothing was changed"), "{said:?}");
    let said = b.run(&["peer", "accept", &fingerprint, "--yes", "--weight", "0.5"]);
    assert!(said.stdout.contains("From now on it counts with weight 0.5."), "{said:?}");
    // Said twice it changes nothing: the weight would be the default again.
    let said = b.run(&["peer", "accept", &fingerprint, "--yes"]);
    assert!(said.exit != 0 && said.stderr.contains("is a peer already: sm2tp peer trust"), "{said:?}");
    let said = b.run(&["peer", "trust", &fingerprint, "--read", "off"]);
    assert!(said.stdout.contains("read: false, weight: 0.5"), "{said:?}");

    // Its own configuration says that it lives where nobody may look.
    let hidden = node_at("https://10.0.0.1/fed/v1", free_address());
    let said = hidden.run(&["peer", "invite", &url]);
    assert_eq!(said.exit, 69, "{said:?}");
    assert!(said.stderr.contains("status 400: api of the descriptor is no public address"), "{said:?}");
    assert!(!b.run(&["peer", "list"]).stdout.contains("10.0.0.1"));
}
