//! `sm2tp doctor` before real parts: mail servers beside, certificates, policies of receivers, peers.

use std::time::Duration;

use serde_json::Value;

use crate::browser::{Kind, USUAL};
use crate::mta::Postfix;
use crate::names::Names;
use crate::node::Node;
use crate::outward::{Web, roots};
use crate::pages::{PASSWORD, at, logged_in};
use crate::peers::{federation, peer};
use crate::programs::Certificate;
use crate::wait::{Folder, free_address, wait_until};

const LONG: Duration = Duration::from_secs(30);

/// What it finds in one part.
fn found(node: &Node, part: &str, more: &[&str]) -> Vec<Value> {
    let said = node.run(&[&["doctor", "--json", "--no-probe"][..], more].concat());
    let told: Value =
        serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {}{}", said.stdout, said.stderr));
    told["findings"].as_array().unwrap().iter().filter(|it| it["part"] == part).cloned().collect()
}

#[track_caller]
fn check(found: &[Value], check: &str, level: &str, words: &str) {
    let one = found.iter().find(|it| it["check"] == check).unwrap_or_else(|| panic!("{check}: {found:#?}"));
    let says = format!("{} {}", one["says"].as_str().unwrap(), one["do"].as_str().unwrap());
    assert!(one["level"] == level && says.contains(words), "{one:#?}");
}

#[test]
fn a_mail_server_that_does_not_ask_the_node_is_found_out() {
    let names = Names::serve("relay.example.org A 192.0.2.5\n");
    let (policy, folder) = (free_address(), Folder::new("exim"));
    let node = Node::start(&format!(
        "hostname = \"relay.example.org\"\n[policy]\nlisten = [\"{policy}\"]\n[relay]\n{}",
        names.config()
    ));
    let postfix = Postfix::start("relay.example.org", "");
    let dir = postfix.dir().display().to_string();
    let exim = |text: &str| folder.write("exim.conf", text).display().to_string();
    let without = exim(&format!("primary_hostname = relay.example.org\n# SM2TP_POLICY = inet:{policy}\n"));
    let before = found(&node, "beside", &["--postfix", &dir, "--exim", &without]);
    check(&before, "postfix-missing", "warning", "sm2tp postfix config");
    check(&before, "exim-missing", "warning", &format!("inet:{policy}"));

    node.ask(&["postfix", "config", "--dir", &dir, "--apply"]);
    let printed = node.ask(&["exim", "config"]);
    let with = exim(printed["files"][0]["text"].as_str().unwrap());
    let after = found(&node, "beside", &["--postfix", &dir, "--exim", &with]);
    check(&after, "postfix-fine", "fine", "Postfix says what it must say");
    check(&after, "exim-fine", "fine", "Exim asks this node");

    let nowhere = folder.join("nowhere").display().to_string();
    let unknown = found(&node, "beside", &["--postfix", &nowhere, "--exim", &nowhere]);
    check(&unknown, "exim-unknown", "note", "Run it as root");
}

#[test]
fn certificates_that_end_or_are_of_somebody_else_are_found() {
    let names = Names::serve("");
    for (name, days, want, level) in [
        ("relay.example.org", -40..-5, "certificate-over", "fault"),
        ("relay.example.org", 5..40, "certificate-early", "fault"),
        ("relay.example.org", -85..5, "certificate-soon", "warning"),
        ("relay.example.org", -5..85, "certificate-fine", "fine"),
        ("mail.example.org", -5..85, "certificate-other", "warning"),
    ] {
        let certificate = Certificate::living(name, days.clone());
        let node = Node::prepare(&format!(
            "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\n{}\n[relay]\n{}",
            certificate.config(),
            names.config()
        ));
        let found = found(&node, "machine", &[]);
        check(&found, want, level, &certificate.certificate.display().to_string());
    }
}

#[test]
fn the_policy_that_is_announced_is_fetched_and_read() {
    let certificate = Certificate::new("mta-sts.asso.test");
    let (folder, web) = (Folder::new("roots"), Web::start(&certificate));
    let names = Names::serve(&format!(
        "asso.test MX 10 mx.asso.test\nmx.asso.test A 192.0.2.5\n_mta-sts.asso.test TXT v=STSv1; id=1\n\
         mta-sts.asso.test A {}\n",
        web.address
    ));
    let config = |trusted: &str| format!("hostname = \"relay.example.org\"\n[relay]\n{trusted}\n{}", names.config());
    let trusted = format!("tls_roots = \"{}\"", roots(&folder, &[&certificate]));
    let private = |networks: &str| {
        format!("{trusted}\n[http]\nlisten = [\"{}\"]\nprivate_webhooks = [{networks}]", free_address())
    };
    let node = Node::start(&config(&private("\"127.0.0.0/8\"")));
    node.ask(&["org", "add", "asso", "--domain", "asso.test"]);
    for (mode, mx, want, level, words) in [
        ("enforce", "mx.asso.test", "sts-fine", "fine", "MTA-STS is there"),
        ("enforce", "*.asso.test", "sts-fine", "fine", "MTA-STS is there"),
        ("testing", "mx.asso.test", "sts-testing", "note", "mode: enforce"),
        ("enforce", "old.asso.test", "sts-mx", "fault", "does not name mx.asso.test"),
        ("testing", "old.asso.test", "sts-mx", "warning", "does not name mx.asso.test"),
        ("nonsense", "mx.asso.test", "sts-fetch", "fault", "cannot be fetched"),
    ] {
        web.policy(mode, mx);
        check(&found(&node, "domain", &[]), want, level, words);
    }
    // The page of the DNS says it too, and asks nobody behind this machine whom the configuration does not name.
    node.ask_with(&["account", "add", "anna", "--role", "owner"], PASSWORD);
    let browser = logged_in(&node, Kind { lang: "fr", ..USUAL });
    let says = |words: &str| {
        browser.open(&at(&node, "/dns?check=asso.test"));
        assert!(browser.text("main").contains(words), "{}", browser.text("main"));
    };
    web.policy("enforce", "mx.asso.test");
    says("Elle est là, en vigueur, et nomme tous les serveurs.");
    web.policy("enforce", "old.asso.test");
    says("sans être dans la politique, donc n’en reçoivent pas de qui la suit");
    web.policy("nonsense", "mx.asso.test");
    says("La politique n’a pas de mode connu.");
    let careful = Node::start(&config(&private("\"192.0.2.0/24\"")));
    careful.ask(&["org", "add", "asso", "--domain", "asso.test"]);
    careful.ask_with(&["account", "add", "anna", "--role", "owner"], PASSWORD);
    let browser = logged_in(&careful, Kind { lang: "fr", ..USUAL });
    browser.open(&at(&careful, "/dns?check=asso.test"));
    assert!(browser.text("main").contains("n’est de l’Internet public"), "{}", browser.text("main"));
    // Of an authority that nobody knows.
    web.policy("enforce", "mx.asso.test");
    let stranger = Node::start(&config(""));
    stranger.ask(&["org", "add", "asso", "--domain", "asso.test"]);
    check(&found(&stranger, "domain", &[]), "sts-fetch", "fault", "certificate");
}

#[test]
fn a_peer_that_does_not_answer_is_named() {
    let names = Names::serve("");
    let node = |name: &str| {
        let http = free_address();
        Node::start(&format!(
            "hostname = \"relay-{name}.example.org\"\n[http]\nlisten = [\"{http}\"]\n[relay]\n{}{}",
            federation(http),
            names.config()
        ))
    };
    let (a, mut b) = (node("a"), node("b"));
    peer(&a, &b);
    wait_until("A has read B", LONG, || a.ask(&["peer", "list"])["peers"][0]["lag_s"].is_u64());
    check(&found(&a, "peers", &[]), "peer-fine", "fine", "relay-b.example.org");
    b.kill();
    wait_until("A has noticed", LONG, || a.ask(&["peer", "list"])["peers"][0]["trouble"].is_string());
    check(&found(&a, "peers", &[]), "peer-trouble", "warning", "relay-b.example.org");
}
