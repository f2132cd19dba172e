//! Who was written to stays in the queue and the send log (I2, R11): everywhere else a recipient is a tag.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use crate::client::{Client, send};
use crate::node::Node;
use crate::peers::{federation, peer};
use crate::programs::run;
use crate::sink::Sink;
use crate::wait::{files, free_address, wait_until};

/// Local parts that stand nowhere else. The servers name them in their replies, as real ones do.
const NAMES: [&str; 6] =
    ["taken-ypsilanti", "gone-quillfeather", "later-zebulon", "listed-xanthippe", "tagged+wobbegong", "sender-kumquat"];

const LONG: Duration = Duration::from_secs(30);

/// Every table of an SQLite file in one text, but the send log; octets as hexadecimal digits and as text.
const DUMP: &str = r#"
import sqlite3, sys
base = sqlite3.connect(sys.argv[1])
base.text_factory = lambda octets: octets.decode("utf-8", "replace")
for (name,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
    if (name == "send_log") == (sys.argv[2] == "log"):
        # The watch names senders, which it may; of recipients it must know nothing.
        columns = "org, memory" if name == "sender_watch" else "*"
        for row in base.execute('SELECT %s FROM "%s"' % (columns, name)):
            print(name, *[v.decode("latin-1") if isinstance(v, bytes) else v for v in row], sep="|")
"#;

fn node(name: &str, sink: &Sink) -> Node {
    let http = free_address();
    let routes = ["a.test", "b.test", "senders.test"].map(|domain| format!("\"{domain}\" = \"{}\"", sink.address));
    Node::start(&format!(
        "hostname = \"relay-{name}.example.org\"\n[http]\nlisten = [\"{http}\"]\n\
         [smtp]\nlisten = [\"127.0.0.1:0\"]\ntrusted_networks = [\"127.0.0.1\"]\n\
         [relay]\nroutes = {{ {} }}\nretry_first = \"1h\"\n[returns]\ndomain = \"returns.test\"\n{}",
        routes.join(", "),
        federation(http)
    ))
}

/// Asserts that no name is in `text`; `place` is where it stands.
#[track_caller]
fn names_nobody(place: &str, text: &str) {
    let lower = text.to_ascii_lowercase();
    for name in NAMES {
        if let Some(at) = lower.find(name) {
            let around =
                String::from_utf8_lossy(&lower.as_bytes()[at.saturating_sub(200)..(at + 100).min(lower.len())]);
            panic!("{place} names {name}: …{around}…");
        }
    }
}

/// Looks through everything that a node keeps, but its spool and its send log.
#[track_caller]
fn check_files(node: &Node) {
    let spool = node.data().join("spool");
    let mut seen = BTreeMap::<String, usize>::new();
    for path in files(&node.data()).into_iter().filter(|path| !path.starts_with(&spool)) {
        let octets = fs::read(&path).unwrap_or_default();
        if octets.starts_with(b"SQLite format 3\0") {
            names_nobody(&path.display().to_string(), &tables(&path, "all"));
        } else if !is_beside_a_database(&path) {
            names_nobody(&path.display().to_string(), &String::from_utf8_lossy(&octets));
        }
        let kind = path.strip_prefix(node.data()).unwrap().components().next().unwrap();
        *seen.entry(kind.as_os_str().to_string_lossy().into_owned()).or_default() += 1;
    }
    assert!(seen.contains_key("keys") && seen.contains_key("segments"), "{seen:?}");
}

fn tables(path: &Path, which: &str) -> String {
    run("python3", &["-c", DUMP, &path.display().to_string(), which], "")
}

/// The journal of a database holds pieces of all its tables; they are read through the database.
fn is_beside_a_database(path: &Path) -> bool {
    let name = path.to_string_lossy();
    name.ends_with("-wal") || name.ends_with("-shm")
}

#[test]
fn recipients_are_named_in_the_queue_and_the_send_log_only() {
    let sink = Sink::with(|to| {
        let local = to.split('@').next().unwrap_or_default();
        match local.split('-').next() {
            Some("gone") => Some(format!("550 5.1.1 <{to}>: {local}: no such user here ({to})")),
            Some("later") => Some(format!("451 4.2.0 {local} is busy, {to} may try later")),
            _ => None,
        }
    });
    let (a, b) = (node("a", &sink), node("b", &sink));
    peer(&a, &b);
    let address = |name: &str| format!("{name}@a.test");
    let recipients: Vec<String> = NAMES[..5].iter().map(|name| address(name)).collect();
    a.ask(&["org", "returns", "local", "--return-path", "node"]);
    a.ask(&["suppress", "add", &recipients[3], "--note", "she asked by phone"]);
    let from = "sender-kumquat@senders.test";
    let mut client = Client::greet(a.smtp()).unwrap();
    client.say(&format!("MAIL FROM:<{from}>"), "250").unwrap();
    for (to, answer) in recipients.iter().zip(["250", "250", "250", "550", "250"]) {
        client.say(&format!("RCPT TO:<{to}>"), answer).unwrap();
    }
    client.say("DATA", "354").unwrap();
    client.say(&format!("From: {from}\r\nTo: {}\r\nSubject: x\r\n\r\nx\r\n.", recipients.join(", ")), "250").unwrap();
    sink.mail_to(from);
    wait_until("A has told of the dead address, and B has heard it", LONG, || {
        b.decision(&recipients[1], "bulk")["decision"] == "hold"
    });
    // Those who ask again are refused, and what they asked for is nobody's business either.
    let mut client = Client::greet(a.smtp()).unwrap();
    client.say(&format!("MAIL FROM:<{from}>"), "250").unwrap();
    client.say(&format!("RCPT TO:<{}>", recipients[1]), "550").unwrap();
    drop(client);
    send(b.smtp(), from, &[&recipients[0]], "to the living one");
    wait_until("one waits", LONG, || a.queue().len() == 1 && b.queue().is_empty());
    // A report about the one who was written to comes back, and is counted.
    let path = sink.mail_to(&recipients[0]).from;
    let report = format!(
        "From: MAILER-DAEMON@a.test\r\nTo: {path}\r\nSubject: Undelivered\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=x\r\n\r\n--x\r\n\r\nSorry.\r\n\
         --x\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; a.test\r\n\r\nFinal-Recipient: rfc822; {to}\r\n\
         Action: failed\r\nStatus: 5.7.1\r\nDiagnostic-Code: smtp; 550 5.7.1 <{to}> spam message rejected\r\n\r\n--x--",
        to = recipients[0]
    );
    Client::greet(a.smtp()).unwrap().mail("", &[&path], &report).unwrap();
    wait_until("it is counted", LONG, || a.get("/api/v1/status").contains("\"returned\""));
    // What the search looks for is there where it may be.
    assert!(a.queue()[0].to_string().contains("later-zebulon"));
    assert!(tables(&a.data().join("ledger.sqlite"), "log").contains("gone-quillfeather"), "the send log has it");

    for node in [&a, &b] {
        for path in ["/", "/api/v1/status", "/.well-known/sm2tp", "/healthz", "/readyz", "/nowhere"] {
            names_nobody(path, &node.get(path));
        }
        for path in ["node", "nodes", "feed", "heads", "tagkeys", "peerings"] {
            names_nobody(path, &node.get(&format!("/fed/v1/{path}")));
        }
        assert!(node.get("/api/v1/status").starts_with("HTTP/1.1 200"));
        names_nobody("the log", &node.log());
        check_files(node);
    }
    names_nobody("suppress list", &a.ask(&["suppress", "list"]).to_string());
}

#[test]
fn what_is_rebuilt_from_the_ledger_is_what_was_there() {
    let sink = Sink::with(|to| to.starts_with("gone").then(|| "550 5.1.1 No such user".to_owned()));
    let a = node("a", &sink);
    send(a.smtp(), "sender-kumquat@senders.test", &["gone-quillfeather@a.test", "taken-ypsilanti@a.test"], "x");
    wait_until("A knows", LONG, || a.decision("gone-quillfeather@a.test", "bulk")["decision"] == "refuse");
    a.wait_for_empty_queue();
    let before = (a.ask(&["suppress", "list"]), a.ask(&["explain", "taken-ypsilanti@a.test"]));
    assert!(a.ask(&["ledger", "rebuild"])["events"].as_u64().unwrap() > 3);
    assert_eq!((a.ask(&["suppress", "list"]), a.ask(&["explain", "taken-ypsilanti@a.test"])), before);
}

#[test]
fn nobody_else_on_the_machine_reads_what_a_node_keeps() {
    let sink = Sink::start();
    let mut node = node("modes", &sink);
    send(node.smtp(), "anna@senders.test", &["bob@a.test"], "hello");
    sink.mail_to("bob@a.test");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&node.data()), 0o700);
    for file in files(&node.data()) {
        assert_eq!(mode(&file) & 0o077, 0, "{}", file.display());
    }
    // A directory that was open before is closed at the next start; the group is the administrator's choice.
    node.kill();
    fs::set_permissions(node.data(), Permissions::from_mode(0o755)).unwrap();
    node.serve();
    assert_eq!(mode(&node.data()), 0o750);
}
