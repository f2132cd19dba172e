//! Replies that no rule knew, a rule of the administrator's for them, and what it changes about the past.

use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::client::send;
use crate::node::Node;
use crate::sink::Sink;
use crate::wait::wait_until;

const OWN: &str = r#"
version = 1
[[rule]]
name = "elephants"
says = "address.no-user"
any = ["elephants are"]
example = "550 elephants are asleep"
"#;

#[test]
fn an_unknown_reply_is_listed_taught_and_read_again() {
    let sink = Sink::with(|to| Some(format!("550 Elephants are asleep, {to} \u{1b}[31m [q7x9]")));
    let node = Node::start(&format!(
        "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\ntrusted_networks = [\"127.0.0.1\"]\n\
         [http]\nlisten = [\"127.0.0.1:0\"]\n[relay]\nport = {}\nroutes = {{ \"example.test\" = \"{}\" }}\n",
        sink.address.port(),
        sink.address
    ));
    assert!(node.run(&["classify", "--unknown"]).stdout.starts_with("Every reply so far was known to a rule."));
    send(node.smtp(), "", &["dupont@example.test"], "one");
    send(node.smtp(), "", &["martin@example.test"], "two");
    let long = Duration::from_secs(20);
    wait_until("both were refused and counted", long, || {
        node.ask(&["classify", "--unknown"])["replies"][0]["count"] == 2
    });

    let unknown = node.ask(&["classify", "--unknown"]);
    let reply = &unknown["replies"][0];
    assert_eq!((&reply["code"], &reply["stage"], &reply["several"]), (&550.into(), &"rcpt".into(), &true.into()));
    let shape = reply["shape"].as_str().unwrap();
    assert!(shape.starts_with("elephants are asleep"), "{shape}");
    assert!(!shape.contains("dupont") && !shape.contains("martin") && !shape.contains('\u{1b}'), "{shape}");

    let own = node.config.with_file_name("replies.toml");
    fs::write(&own, OWN).unwrap();
    node.hang_up();
    wait_until("the rules are read", long, || node.log().contains("the rules for replies were read again"));
    let decision = |address: &str| node.decision(address, "bulk")["decision"].as_str().unwrap().to_owned();
    let shown = node.ask(&["classify", "--replay"]);
    assert_eq!((&shown["changed"], &shown["hard_added"], &shown["applied"]), (&2.into(), &2.into(), &false.into()));
    assert_eq!(shown["changes"][0]["to"], "address/no-user");
    assert_eq!(decision("dupont@example.test"), "send");
    let told = node.run(&["classify", "--replay"]).stdout;
    assert!(told.contains("2 x  unknown -> address/no-user, by rule elephants"), "{told}");
    assert!(told.contains("Nothing was changed.") && !told.contains("dupont") && !told.contains('\u{1b}'), "{told}");

    assert_eq!(node.ask(&["classify", "--replay", "--apply"])["applied"], true);
    assert_ne!(decision("dupont@example.test"), "send");
    assert_eq!(node.ask(&["classify", "--replay"])["changed"], 0);

    fs::write(&own, "version = 1\n[[rule]]\nname = \"half\"\n").unwrap();
    node.hang_up();
    wait_until("the broken file is noticed", long, || node.log().contains("cannot be used; those in use stay"));
    let page = node.get("/api/v1/status");
    let status: Value = serde_json::from_str(page.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!(status["waiting"][0]["kind"], "rules", "{status}");
    assert!(node.get("/").contains("replies.toml:2: "), "the page says where");
    assert_eq!(node.run(&["check"]).exit, 78);
}
