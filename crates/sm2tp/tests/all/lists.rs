//! Lists of other programs, given to a node that runs and to one that does not, interrupted, repeated, and exported again.

use std::fmt::Write as _;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::client::Client;
use crate::node::{Node, SM2TP};
use crate::wait::wait_until;

const LONG: Duration = Duration::from_secs(60);
const CONFIG: &str = "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\n[relay]\n";

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

/// A node with an organisation that sends newsletters.
fn node() -> Node {
    let node = Node::start(CONFIG);
    node.add_login("news", "correct horse", "senders.test", "bulk");
    node
}

/// What a sender of newsletters hears at RCPT.
fn answer(node: &Node, to: &str) -> String {
    let mut client = Client::greet(node.smtp()).unwrap();
    client.say(&format!("AUTH PLAIN {}", STANDARD.encode("\0news\0correct horse")), "235").unwrap();
    client.say("MAIL FROM:<list@senders.test>", "250").unwrap();
    client.say(&format!("RCPT TO:<{to}>"), "").unwrap()
}

fn import(node: &Node, list: &str, args: &[&str]) -> Value {
    node.ask_with(&[&["suppress", "import", "-"], args].concat(), list)
}

/// Refused addresses, one a line, as Amazon has them.
fn gone(count: usize) -> String {
    (0..count).fold(String::new(), |mut list, number| {
        writeln!(list, "gone{number}@x.example,BOUNCE").unwrap();
        list
    })
}

fn counts(report: &Value) -> [u64; 3] {
    ["read", "taken", "known"].map(|key| report[key].as_u64().unwrap())
}

#[test]
fn an_imported_bounce_stops_the_next_newsletter_and_says_from_where() {
    let node = node();
    let list = format!(
        "status,reason,email,created\n5.1.1,550 5.1.1 No such user here,gone@x.example,{0}\n\
         5.7.1,550 5.7.1 Message refused as spam,valid@x.example,{0}\n5.1.1,550 5.1.1 No such user,old@x.example,1443651125\n\
         ,,nobody,{0}\n",
        now() - 3600
    );
    let tried = import(&node, &list, &["--dry-run"]);
    assert_eq!((counts(&tried), tried["dry_run"].as_bool()), ([4, 1, 0], Some(true)), "{tried}");
    assert!(answer(&node, "gone@x.example").starts_with("250"));

    let rejects = node.folder.join("rejects.csv");
    let report = import(&node, &list, &["--rejects", rejects.to_str().unwrap()]);
    assert_eq!((counts(&report), report["format"].as_str()), ([4, 1, 0], Some("sendgrid")), "{report}");
    let left: Vec<&str> =
        report["left_out"].as_array().unwrap().iter().map(|left| left["why"].as_str().unwrap()).collect();
    assert!(left.iter().any(|why| why.contains("message was refused")), "{report}");
    assert!(left.iter().any(|why| why.contains("expired")), "{report}");
    let rejects = std::fs::read_to_string(rejects).unwrap();
    assert_eq!(rejects.lines().count(), 4, "{rejects}");
    assert!(rejects.contains("\n3,valid@x.example,"), "{rejects}");

    let refused = answer(&node, "gone@x.example");
    assert!(refused.starts_with("550 5.1.1") && refused.contains("imported from sendgrid on 20"), "{refused}");
    assert!(answer(&node, "valid@x.example").starts_with("250"));
    assert_eq!(node.decision("gone@x.example", "bulk")["rule"], "imported");
    assert_eq!(counts(&import(&node, &list, &[])), [4, 0, 1]);
}

#[test]
fn a_complaint_is_imported_for_one_organisation_alone() {
    let node = node();
    let list = "a@x.example,COMPLAINT\n";
    let said = node.run_with(&["suppress", "import", "-"], list);
    assert!(
        said.exit == 65 && said.stdout.contains("import it with --org (number 1)"),
        "{}{}",
        said.stdout,
        said.stderr
    );
    assert_eq!(counts(&import(&node, list, &["--org", "org-news"])), [1, 1, 0]);
    assert_eq!(counts(&import(&node, list, &["--org", "org-news"])), [1, 0, 1]);
    assert!(answer(&node, "a@x.example").starts_with("550 5.7.1"));
    // Mail of the trusted networks is of another organisation.
    assert_eq!(node.decision("a@x.example", "bulk")["decision"], "send");
    let missing = node.run_with(&["suppress", "import", "-", "--org", "nobody"], list);
    assert_eq!(missing.exit, 65, "{}", missing.stderr);
    assert!(missing.stderr.contains("there is no organisation \"nobody\""), "{}", missing.stderr);
}

#[test]
fn what_is_exported_is_known_when_it_is_imported_and_comes_back_after_a_release() {
    let mut node = node();
    import(&node, &gone(2500), &[]);
    import(&node, "b@x.example,COMPLAINT\n", &["--org", "org-news"]);
    node.ask(&["suppress", "add", "hand@x.example", "--note", "=cmd|' /C calc'!A0"]);
    let csv = node.run(&["suppress", "export"]).stdout;
    assert_eq!(csv.lines().count(), 1 + 2500 + 2, "{}", csv.lines().take(3).collect::<Vec<_>>().join("\n"));
    assert!(csv.contains(",\"'=cmd|") && !csv.contains("gone1") && !csv.contains("hand@"), "{csv}");
    assert_eq!(node.run(&["suppress", "export", "--org", "org-news"]).stdout.lines().count(), 2);
    let json: Value = serde_json::from_str(&node.run(&["suppress", "export", "--format", "json"]).stdout).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 2502);

    for list in [csv.clone(), json.to_string()] {
        let report = import(&node, &list, &[]);
        assert_eq!((counts(&report), report["format"].as_str()), ([2502, 0, 2502], Some("sm2tp")), "{report}");
    }
    node.ask(&["suppress", "remove", "gone7@x.example"]);
    assert_eq!(counts(&import(&node, &csv, &[])), [2502, 1, 2501]);
    // Without a node the directory is opened once, and it is the same list.
    node.terminate(LONG);
    assert_eq!(counts(&import(&node, &csv, &[])), [2502, 0, 2502]);
    // Of another node, under another key, it says nothing.
    let other = Node::start(CONFIG);
    let foreign = other.run_with(&["--json", "suppress", "import", "-"], &csv);
    let report: Value = serde_json::from_str(&foreign.stdout).unwrap();
    assert_eq!((foreign.exit, counts(&report)), (65, [2502, 0, 0]), "{report}");
}

#[test]
fn an_import_that_is_interrupted_says_what_it_took_and_can_be_repeated() {
    let node = node();
    let mut importing = Command::new(SM2TP)
        .args(["--config", node.config.to_str().unwrap(), "--json", "suppress", "import", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut list = importing.stdin.take().unwrap();
    let lines = gone(5000);
    list.write_all(lines.as_bytes()).unwrap();
    wait_until("some are taken", LONG, || node.decision("gone1@x.example", "bulk")["decision"] == "refuse");
    let pid = rustix::process::Pid::from_child(&importing);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    // The list is not over: it ends all the same.
    let output = importing.wait_with_output().unwrap();
    drop(list);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), report["interrupted"].as_bool()), (Some(75), Some(true)), "{report}");
    let taken = report["taken"].as_u64().unwrap();
    assert!((1..=5000).contains(&taken), "{report}");
    assert_eq!(counts(&import(&node, &lines, &[])), [5000, 5000 - taken, taken]);
}

#[test]
fn what_is_no_list_is_refused_with_a_sentence() {
    let node = node();
    let check = |args: &[&str], input: &str, exit: i32, want: &str| {
        let said = node.run_with(&[&["suppress", "import"], args].concat(), input);
        assert_eq!(said.exit, exit, "{args:?}: {}{}", said.stdout, said.stderr);
        assert!(format!("{}{}", said.stdout, said.stderr).contains(want), "{}{}", said.stdout, said.stderr);
    };
    check(&["/nowhere/list.csv"], "", 75, "/nowhere/list.csv");
    check(&["-", "--format", "hotmail"], "", 64, "a list is one of auto, plain, ses");
    check(&["-"], "email,created\na@x.example,1443651125\n", 65, "import it with --reason");
    check(&["-"], "nothing here\nis an address\n", 65, "no address in it (number 1, 2)");
    check(&["-"], "", 0, "0 entries read");
}
