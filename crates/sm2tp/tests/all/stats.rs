//! What a node counts, and the score that it makes of it.

use std::time::Duration;

use serde_json::Value;

use crate::client::{exchange, send};
use crate::node::Node;
use crate::programs::run;
use crate::sink::Sink;
use crate::wait::wait_until;

fn node(sink: &Sink) -> Node {
    Node::start(&format!(
        "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\ntrusted_networks = [\"127.0.0.1\"]\n\
         [http]\nlisten = [\"127.0.0.1:0\"]\n[relay]\nroutes = {{ \"example.test\" = \"{0}\", \"other.test\" = \"{0}\", \
         \"senders.test\" = \"{0}\" }}\n",
        sink.address
    ))
}

/// Verifies it with another library than ours (libsodium).
const VERIFY: &str = r#"
import base64, json, sys
from nacl.signing import VerifyKey
signed = json.loads(sys.stdin.read())
payload = base64.b64decode(signed["payload"])
said = json.loads(payload)
key = base64.urlsafe_b64decode(said["node"] + "=")
VerifyKey(key).verify(b"sm2tp-score-v1\n" + payload, base64.b64decode(signed["sig"]))
print(said["hostname"], said["v"], said["sends"]["accepted"], said["score"]["light"])
"#;

#[test]
fn a_score_is_shown_to_everybody_only_where_the_administrator_wants_it() {
    let sink = Sink::start();
    let hidden = node(&sink);
    for path in ["/score", "/score.json"] {
        assert!(hidden.get(path).starts_with("HTTP/1.1 404"), "{path}");
    }
    let shown =
        Node::start("hostname = \"relay.example.org\"\n[http]\nlisten = [\"127.0.0.1:0\"]\npublic_score = \"on\"\n");
    let page = shown.get("/score");
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("Too few mails to judge"), "{page}");
    assert!(page.to_ascii_lowercase().contains("cache-control: public, max-age=600"), "{page}");
    let french =
        exchange(shown.http(), b"GET /score HTTP/1.1\r\nHost: x\r\nAccept-Language: fr\r\nConnection: close\r\n\r\n");
    assert!(french.contains("Adresses inexistantes") && french.contains("moins de 0,4\u{a0}%"), "{french}");
    let answer = shown.get("/score.json");
    let json = answer.split_once("\r\n\r\n").unwrap().1;
    assert_eq!(run("/usr/bin/python3", &["-c", VERIFY], json), "relay.example.org 1 0 unjudged\n");
}

fn row<'a>(value: &'a Value, key: &str, name: &str) -> &'a Value {
    let rows = value[key].as_array().unwrap();
    rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("no {name} in {key}: {value}"))
}

#[test]
fn a_newsletter_gives_counts_a_light_and_the_same_after_a_rebuild() {
    let sink = Sink::with(|to| to.starts_with("gone").then(|| "550 5.1.1 No such user".to_owned()));
    let node = node(&sink);
    let name = |n: usize| if n < 5 { format!("gone{n}@example.test") } else { format!("user{n}@example.test") };
    let many: Vec<String> = (0..99).map(name).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    send(node.smtp(), "news@senders.test", &many, "one");
    send(node.smtp(), "news@senders.test", &["a@other.test", "b@other.test"], "two");
    let stats = || node.ask(&["stats"]);
    // The report to the sender is no mail of anybody's: it is not in the figures, and comes before they are compared.
    sink.mail_to("news@senders.test");
    node.wait_for_empty_queue();
    wait_until("all is counted", Duration::from_secs(30), || {
        let sends = &stats()["sends"];
        (&sends["delivered"], &sends["failed"]) == (&96.into(), &5.into())
    });
    let value = stats();
    assert_eq!((&value["sends"]["bounced"], &value["sends"]["accepted"]), (&5.into(), &101.into()), "{value}");
    assert_eq!((&value["score"]["light"], &value["score"]["bounces"]["of"]), (&"amber".into(), &101.into()), "{value}");
    assert_eq!(row(&value, "domains", "other.test")["sends"]["delivered"], 2);
    assert_eq!(row(&value, "domains", "example.test")["sends"]["bounced"], 5);
    assert_eq!(row(&value, "orgs", "local")["score"]["light"], "amber");
    let senders = row(&value, "sender_domains", "senders.test");
    assert_eq!((&senders["org"], &senders["sends"]["delivered"]), (&"local".into(), &96.into()));
    assert!(!value["exits"].as_array().unwrap().is_empty(), "{value}");
    let told = node.run(&["stats"]).stdout;
    assert!(told.contains("real bounces    4.95 %  5 of 101 mails that came to an end"), "{told}");

    // One organisation: who writes to which domain is not counted.
    let own = node.ask(&["stats", "--org", "local", "--days", "1"]);
    assert_eq!((&own["sends"], own["domains"].is_null()), (&value["sends"], true), "{own}");
    assert_eq!(node.run(&["stats", "--org", "nobody"]).exit, 65);
    assert_eq!(node.run(&["stats", "--days", "0"]).exit, 65);
    let gone = node.ask(&["stats", "--address", "gone1@example.test"]);
    assert_eq!((&gone["figures"]["hard"], &gone["figures"]["delivered"]), (&1.into(), &0.into()));

    assert!(node.ask(&["ledger", "rebuild"])["events"].as_u64().unwrap() > 100);
    let again = stats();
    for key in ["sends", "score", "orgs", "providers", "exits", "domains", "sender_domains", "series"] {
        assert_eq!(again[key], value[key], "{key}");
    }
    // A mail that is stopped is counted apart.
    assert!(send_fails(&node, "gone1@example.test"));
    wait_until("the stop is counted", Duration::from_secs(30), || stats()["sends"]["stopped"] == 1);
    assert_eq!(stats()["score"]["bounces"], value["score"]["bounces"]);
}

fn send_fails(node: &Node, to: &str) -> bool {
    let mut client = crate::client::Client::greet(node.smtp()).unwrap();
    client.say("MAIL FROM:<news@senders.test>", "250").unwrap();
    client.say(&format!("RCPT TO:<{to}>"), "550").is_ok()
}
