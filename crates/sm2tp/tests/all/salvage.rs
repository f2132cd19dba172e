//! A queue database that a disk has damaged: the node says so and does not start, and what can be read is delivered.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::client::Client;
use crate::node::{Node, sm2tp};
use crate::programs::run;
use crate::sink::Sink;
use crate::wait::wait_until;

const LONG: Duration = Duration::from_secs(60);
const MAILS: usize = 2000;
/// So many are delivered before the damage.
const DONE: usize = 200;

/// The number in `r17@example.test`.
fn number(to: &str) -> usize {
    to.trim_start_matches('r').split('@').next().and_then(|number| number.parse().ok()).unwrap()
}

/// How often each mail arrived.
fn arrived(sink: &Sink) -> BTreeMap<usize, usize> {
    let mut arrived = BTreeMap::new();
    for mail in sink.mails() {
        *arrived.entry(number(&mail.to[0])).or_default() += 1;
    }
    arrived
}

#[test]
fn pages_of_a_queue_of_kilomails_are_lost_and_what_can_be_read_is_delivered_once() {
    let open = Arc::new(AtomicBool::new(false));
    let is_open = open.clone();
    let later = move |to: &str| DONE <= number(to) && !is_open.load(Ordering::Relaxed);
    let sink = Sink::with(move |to| later(to).then(|| "451 4.3.2 Later".to_owned()));
    let mut node = Node::start(&format!(
        "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\ntrusted_networks = [\"127.0.0.1\"]\n\
         [relay]\nsmarthost = \"{}\"\nretry_first = \"1h\"\n",
        sink.address
    ));
    let mut client = Client::greet(node.smtp()).unwrap();
    for n in 0..MAILS {
        let content = format!("Subject: number {n}\r\n\r\n{}", "a line of a mail\r\n".repeat(10));
        client.mail("anna@good.test", &[&format!("r{n}@example.test")], content.trim_end()).unwrap();
    }
    wait_until("the first ones are delivered", LONG, || arrived(&sink).len() == DONE);
    let said = node.run(&["queue", "salvage"]);
    assert!(said.exit == 75 && said.stderr.contains("another sm2tp"), "{said:?}");
    assert!(node.terminate(LONG).0.success());

    let said = node.run(&["queue", "salvage"]);
    assert_eq!((said.exit, said.stdout.trim()), (0, "The queue database is whole; nothing was changed."));
    let database = node.data().join("spool/queue.sqlite");
    // What is in the log of the database would cover the damage.
    let checkpoint = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('PRAGMA wal_checkpoint(TRUNCATE)')";
    run("python3", &["-c", checkpoint, &database.display().to_string()], "");
    let mut octets = fs::read(&database).unwrap();
    let pages = octets.len() / 4096;
    assert!(60 < pages, "{pages}");
    // The first one, and every tenth: of all tables, and of what hangs them together.
    for page in (0..pages).step_by(10) {
        octets[page * 4096..(page + 1) * 4096].fill(0x5a);
    }
    fs::write(&database, &octets).unwrap();

    let said = sm2tp(&["serve"], &node.config);
    assert_eq!(said.exit, 65, "{said:?}");
    assert!(said.stderr.contains("is damaged; stop the node and run `sm2tp queue salvage`"), "{said:?}");
    assert_eq!(node.run(&["queue", "list"]).exit, 65);
    let told = node.ask(&["queue", "salvage"])["salvaged"].clone();
    let kept_in = std::path::PathBuf::from(told["kept_in"].as_str().unwrap());
    assert_eq!(fs::read(kept_in.join("queue.sqlite")).unwrap(), octets, "the damaged octets are kept");
    assert!(told["pages"].as_u64().is_some_and(|lost| 5 <= lost), "{told}");

    open.store(true, Ordering::Relaxed);
    node.serve();
    node.ask(&["queue", "retry", "--all"]);
    let waits = |node: &Node| node.queue().iter().filter(|entry| entry["lane"] != "held").count();
    wait_until("all but the held ones are delivered", LONG, || waits(&node) == 0);
    let first = arrived(&sink);
    assert!(first.values().all(|times| *times == 1), "{told}: sent twice");
    assert!(MAILS * 3 / 4 < first.len(), "{told}: only {} by themselves", first.len());
    if node.queue().iter().any(|entry| entry["lane"] == "held") {
        node.ask(&["queue", "release", "--lane", "held"]);
    }
    node.wait_for_empty_queue();
    let all = arrived(&sink);
    let list = fs::read_to_string(kept_in.join("list.txt")).unwrap();
    for n in (0..MAILS).filter(|n| !all.contains_key(n)) {
        // Its content, with what a person recognises it by.
        assert!(list.contains(&format!("Subject: number {n}\n")), "{told}: mail {n} is nowhere");
    }
}
