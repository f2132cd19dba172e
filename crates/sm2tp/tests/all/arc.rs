//! ARC: what is passed on is sealed with what it proved when it came, and another program says that the chain holds.

use std::fs;
use std::net::UdpSocket;

use serde_json::{Value, json};

use crate::client::Client;
use crate::dkim::BROKEN_KEY;
use crate::names::Names;
use crate::node::Node;
use crate::outward::waits_with;
use crate::programs::{run, swaks};
use crate::sink::{Mail, Sink};

/// Signs as an author, seals as a list, or says of a chain whether it holds and how long it is.
const DKIMPY: &str = r#"
import sys, json, dkim
job = json.load(sys.stdin)
message = bytes.fromhex(job["message"])
txt = lambda name, timeout=5: job["records"].get(name.decode().rstrip("."), "").encode() or None
if job["do"] == "come":
    read = lambda domain: open(job["keys"] + "/s._domainkey." + domain + ".pem", "rb").read()
    message = dkim.sign(message, b"s", b"author.test", read("author.test"), canonicalize=(b"relaxed", b"relaxed")) + message
    found = b"Authentication-Results: list.test; dkim=pass header.d=author.test\r\n"
    lines = dkim.arc_sign(found + message, b"s", b"list.test", read("list.test"), srv_id=b"list.test")
    print((b"".join(lines) + message).hex())
else:
    cv, sets, why = dkim.arc_verify(message, dnsfunc=txt)
    signed = range((b"\n" + message).count(b"\nDKIM-Signature:"))
    print((cv or b"ended").decode(), len(sets), *[dkim.DKIM(message).verify(idx=i, dnsfunc=txt) for i in signed])
"#;

/// What others have published and signed with before a mail comes to us.
struct World {
    others: Node,
    records: Value,
    names: Names,
}

impl World {
    fn new() -> Self {
        // Not running: a folder with keys.
        let others = Node::prepare("hostname = \"others.test\"\n");
        let mut zone = String::new();
        let mut records = json!({});
        for domain in ["author.test", "list.test"] {
            others.ask(&["dkim", "new", domain, "--selector", "s", "--algorithm", "rsa"]);
            let record = others.ask(&["dkim", "record", domain])[0].clone();
            let (name, value) = (record["name"].as_str().unwrap(), record["value"].as_str().unwrap());
            zone.push_str(&format!("{name} TXT {value}\n"));
            records[name] = value.into();
        }
        Self { others, records, names: Names::serve(&zone) }
    }

    fn dkimpy(&self, what: &str, message: &[u8], records: &Value) -> String {
        let hex: String = message.iter().map(|octet| format!("{octet:02x}")).collect();
        let keys = self.others.data().join("keys/dkim").display().to_string();
        let job = json!({ "do": what, "message": hex, "records": records, "keys": keys });
        run("/usr/bin/python3", &["-c", DKIMPY], &job.to_string()).trim().to_owned()
    }

    /// A mail of an author who signs, through a list that seals.
    fn mail(&self, to: &str) -> String {
        let plain = format!("From: Anna <anna@author.test>\r\nTo: {to}\r\nSubject: s\r\n\r\nHello \t\r\n \r\n");
        let hex = self.dkimpy("come", plain.as_bytes(), &json!({}));
        let octets = (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap());
        String::from_utf8(octets.collect()).unwrap()
    }

    /// dkimpy's verdict with the records of everybody.
    fn verdict(&self, node: &Node, mail: &Mail) -> String {
        let mut records = self.records.clone();
        for record in node.ask(&["dkim", "record", "relay.node.test"]).as_array().unwrap() {
            records[record["name"].as_str().unwrap()] = record["value"].clone();
        }
        self.dkimpy("verify", &mail.content, &records)
    }
}

/// A node to which everybody on this machine hands what is to be passed on.
fn node(sink: &Sink, dkim: &str, dns: &str) -> Node {
    let node = Node::start(&format!(
        "hostname = \"relay.node.test\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\ntrusted_networks = [\"127.0.0.1\"]\n\
         stream = \"forwarded\"\n[relay]\nsmarthost = \"{}\"\n[dkim]\n{dkim}\n{dns}",
        sink.address
    ));
    node.ask(&["dkim", "new", "relay.node.test"]);
    node
}

fn hand_in(node: &Node, to: &str, message: &str) {
    let mut client = Client::greet(node.smtp()).unwrap();
    client.mail("srs0=x@relay.node.test", &[to], message.strip_suffix("\r\n").unwrap()).unwrap();
}

fn header(mail: &Mail) -> String {
    mail.text().split("\r\n\r\n").next().unwrap().replace("\r\n\t", " ")
}

#[test]
fn what_is_passed_on_arrives_with_a_chain_that_another_program_believes() {
    let (world, sink) = (World::new(), Sink::start());
    let node = node(&sink, "", &world.names.config());
    let message = world.mail("bob@example.test");
    hand_in(&node, "bob@example.test", &message);
    let mail = sink.mail_to("bob@example.test");
    assert_eq!(world.verdict(&node, &mail), "pass 2 True", "{}", mail.text());
    let header = header(&mail);
    assert!(header.starts_with("ARC-Seal: i=2; a=rsa-sha256; cv=pass; d=relay.node.test; s=sm2tp1-rsa;"), "{header}");
    let results =
        "ARC-Authentication-Results: i=2; relay.node.test; arc=pass; dkim=pass header.d=author.test header.s=s";
    assert!(header.contains(results), "{header}");
    // Nothing but a trace is added below: Date and Message-ID are its author's business, who has signed that there are none.
    assert!(mail.text().ends_with(&message), "{}", mail.text());
    assert!(!header.contains("\r\nDate:") && !header.contains("\r\nMessage-ID:"), "{header}");

    // A list that changes what others have sealed ends their chain, and we say so.
    hand_in(&node, "carl@example.test", &message.replace("Hello", "[list] Hello"));
    let mail = sink.mail_to("carl@example.test");
    assert!(self::header(&mail).starts_with("ARC-Seal: i=2; a=rsa-sha256; cv=fail;"), "{}", mail.text());
    assert!(self::header(&mail).contains("; arc=fail; dkim=fail header.d=author.test"), "{}", mail.text());
}

#[test]
fn a_seal_stands_above_our_own_signature_and_covers_it() {
    let (world, sink) = (World::new(), Sink::start());
    let node = node(&sink, "default = \"relay.node.test\"\nsign = \"ed25519\"", &world.names.config());
    hand_in(&node, "bob@example.test", &world.mail("bob@example.test"));
    let mail = sink.mail_to("bob@example.test");
    assert_eq!(world.verdict(&node, &mail), "pass 2 True True", "{}", mail.text());
    let header = header(&mail);
    let at = |text: &str| header.find(text).unwrap_or_else(|| panic!("{text}: {header}"));
    assert!(at("ARC-Seal: i=2;") < at("DKIM-Signature: v=1; a=ed25519-sha256; "), "{header}");
    assert!(at("a=ed25519-sha256") < at("Received: ") && at("Received: ") < at("ARC-Seal: i=1;"), "{header}");
}

#[test]
fn only_mail_that_is_passed_on_is_sealed_and_not_where_nobody_wants_it() {
    let (world, sink) = (World::new(), Sink::start());
    let open = node(&sink, "sign = \"none\"", &world.names.config());
    open.add_login("bert", "correct horse", "b.test", "personal");
    open.add_login("fred", "correct horse", "f.test", "forwarded");
    let server = open.smtp().to_string();
    for (login, sealed) in [("bert", false), ("fred", true)] {
        let (from, to) = (format!("{login}@{}.test", &login[..1]), format!("{login}@example.test"));
        let who = ["--server", &server, "--from", &from, "--to", &to];
        swaks(&[&who[..], &["--auth", "PLAIN", "--auth-user", login, "--auth-password", "correct horse"]].concat());
        let mail = sink.mail_to(&to);
        assert_eq!(mail.text().starts_with("ARC-Seal: i=1; a=rsa-sha256; cv=none;"), sealed, "{}", mail.text());
        assert_eq!(world.verdict(&open, &mail), if sealed { "pass 1" } else { "none 0" });
    }
    for (dkim, to) in [("seal = \"off\"", "off@example.test"), ("seal = \"keyless.test\"", "keyless@example.test")] {
        let node = node(&sink, dkim, &world.names.config());
        hand_in(&node, to, &world.mail(to));
        assert_eq!(sink.mail_to(to).text().matches("ARC-Seal:").count(), 1, "{dkim}");
        let warned = node.log().contains("[dkim] seal has no RSA key");
        assert_eq!(warned, dkim.contains("keyless"), "{}", node.log());
    }
}

#[test]
fn a_dns_that_does_not_answer_costs_the_seal_and_not_the_mail() {
    let (world, sink) = (World::new(), Sink::start());
    // Nobody listens there any more.
    let nobody = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let node = node(&sink, "", &format!("[dns]\nservers = [\"{nobody}\"]\n"));
    let message = world.mail("bob@example.test");
    hand_in(&node, "bob@example.test", &message);
    let mail = sink.mail_to("bob@example.test");
    assert!(mail.text().starts_with("Received: ") && mail.text().ends_with(&message), "{}", mail.text());
    assert_eq!(world.verdict(&node, &mail), "pass 1 True", "the chain is as good as it was");
    node.wait_for_empty_queue();
}

#[test]
fn mail_that_cannot_be_sealed_waits_for_the_key_as_signatures_do() {
    let (world, sink) = (World::new(), Sink::start());
    let mut node = node(&sink, "sign = \"none\"", &world.names.config());
    let file = node.data().join("keys/dkim/sm2tp1-rsa._domainkey.relay.node.test.pem");
    let good = fs::read(&file).unwrap();
    node.kill();
    fs::write(&file, run("/usr/bin/python3", &["-c", BROKEN_KEY], "")).unwrap();
    node.serve();
    hand_in(&node, "bob@example.test", &world.mail("bob@example.test"));
    waits_with(&node, "bob@example.test", "could not be signed");
    assert!(sink.mails().is_empty());
    node.kill();
    fs::write(&file, &good).unwrap();
    node.serve();
    node.ask(&["queue", "retry", "--all"]);
    let mail = sink.mail_to("bob@example.test");
    assert_eq!(world.verdict(&node, &mail), "pass 2 True", "{}", mail.text());
}
