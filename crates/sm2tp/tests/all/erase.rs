//! `sm2tp erase`: afterwards no file of the node names the address, nor one of a node that was told of it.

use std::fs;
use std::time::Duration;

use crate::client::send;
use crate::node::Node;
use crate::peers::{federation, peer};
use crate::sink::Sink;
use crate::wait::{files, free_address, wait_until};

const LONG: Duration = Duration::from_secs(30);
const NAME: &str = "gone-quillfeather";

fn node(name: &str, sink: &Sink) -> Node {
    let http = free_address();
    let to = sink.address;
    Node::start(&format!(
        "hostname = \"relay-{name}.example.org\"\n[http]\nlisten = [\"{http}\"]\n\
         [smtp]\nlisten = [\"127.0.0.1:0\"]\ntrusted_networks = [\"127.0.0.1\"]\nstream = \"bulk\"\n\
         [relay]\nroutes = {{ \"a.test\" = \"{to}\", \"s.test\" = \"{to}\" }}\n{}",
        federation(http)
    ))
}

/// Files of a node in which the address stands: its local part as text, or its tag as octets or as digits.
fn traces(node: &Node, tag: &[u8]) -> Vec<String> {
    let digits: String = tag.iter().map(|octet| format!("{octet:02x}")).collect();
    let holds = |octets: &[u8], what: &[u8]| octets.windows(what.len()).any(|part| part.eq_ignore_ascii_case(what));
    let mut found = Vec::new();
    for path in files(&node.data()) {
        let octets = fs::read(&path).unwrap_or_default();
        let tagged = octets.windows(tag.len()).any(|part| part == tag) || holds(&octets, digits.as_bytes());
        if tagged || holds(&octets, NAME.as_bytes()) {
            found.push(path.strip_prefix(node.data()).unwrap().display().to_string());
        }
    }
    found
}

fn votes(node: &Node, address: &str) -> usize {
    node.ask(&["explain", address])["federated"]["votes"].as_array().unwrap().len()
}

#[test]
fn no_file_names_an_address_that_was_erased_and_peers_forget_what_they_were_told() {
    let sink = Sink::with(|to| to.contains("gone").then(|| format!("550 5.1.1 <{to}>: {to} is no user here")));
    let (a, b) = (node("a", &sink), node("b", &sink));
    peer(&a, &b);
    let (gone, other) = (format!("{NAME}@a.test"), "gone-other@a.test");
    send(a.smtp(), "anna@s.test", &[&gone, other, "kept@a.test"], "first");
    wait_until("B has heard of both", LONG, || votes(&b, &gone) == 1 && votes(&b, other) == 1);
    a.ask(&["suppress", "add", &gone, "--org", "local", "--note", "by telephone"]);
    let tag = a.ask(&["suppress", "add", &gone])["tag"].as_str().unwrap().to_owned();
    let tag: Vec<u8> = (0..tag.len()).step_by(2).map(|at| u8::from_str_radix(&tag[at..at + 2], 16).unwrap()).collect();
    a.wait_for_empty_queue();
    for trace in ["ledger.sqlite", "segments"] {
        assert!(traces(&a, &tag).iter().any(|path| path.contains(trace)), "{trace}: {:?}", traces(&a, &tag));
    }
    assert!(traces(&b, &tag).iter().all(|path| path.contains("segments")) && !traces(&b, &tag).is_empty());

    // A look changes nothing.
    let shown = a.ask(&["erase", &gone.to_uppercase()]);
    let kept = &shown["kept"];
    assert_eq!((&shown["erased"], &shown["told"], &kept["lists"]), (&false.into(), &1.into(), &2.into()), "{shown}");
    assert!(kept["events"].as_u64() >= Some(3) && kept["send_log"].as_u64() >= Some(1), "{shown}");
    assert_eq!(a.ask(&["erase", &gone])["kept"], *kept);
    assert!(a.run(&["erase", &gone]).stdout.contains("records that other nodes were told"));

    let counted = a.ask(&["stats"]);
    let erased = a.ask(&["erase", &gone, "--yes"]);
    assert_eq!((&erased["erased"], &erased["kept"]), (&true.into(), kept), "{erased}");
    let nothing = a.ask(&["erase", &gone]);
    assert_eq!((&nothing["kept"]["events"], &nothing["told"]), (&0.into(), &0.into()), "{nothing}");
    assert_eq!(a.decision(&gone, "bulk")["decision"], "send");
    assert_eq!(a.decision(other, "bulk")["rule"], "own-hard", "the others stay known");
    wait_until("nothing of A names it", LONG, || traces(&a, &tag).is_empty());
    wait_until("B has followed", LONG, || votes(&b, &gone) == 0);
    wait_until("nothing of B names it", LONG, || traces(&b, &tag).is_empty());
    assert_eq!(votes(&b, other), 1);

    // What was counted of others is as it was, and is so when the views are made again.
    assert_eq!(a.ask(&["stats"]), counted);
    a.ask(&["ledger", "rebuild"]);
    assert_eq!(a.ask(&["stats"]), counted);
    assert_eq!(a.decision(&gone, "bulk")["decision"], "send");
    assert_eq!(a.decision(other, "bulk")["rule"], "own-hard");
}
