//! Copies of a node under load: each is whole, and a node made of it has all that was accepted and not yet delivered.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::client::try_send;
use crate::node::{Node, Said, sm2tp};
use crate::sink::Sink;
use crate::wait::{Folder, files, wait_for, wait_until};

const LONG: Duration = Duration::from_secs(60);

/// Sends until told to stop; what was answered 250 is in the list, with when.
fn load(
    node: &Node,
    name: &'static str,
    stop: &Arc<AtomicBool>,
    taken: &Arc<Mutex<Vec<(String, Instant)>>>,
) -> thread::JoinHandle<()> {
    let (smtp, stop, taken) = (node.smtp(), stop.clone(), taken.clone());
    thread::spawn(move || {
        for number in 0.. {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            // Every third one waits: nobody takes mail for that domain.
            let domain = if number % 3 == 0 { "waits.test" } else { "taken.test" };
            let to = format!("{name}{number}@{domain}");
            if try_send(smtp, "anna@asso.test", &[&to], &to).is_ok() {
                taken.lock().unwrap().push((to, Instant::now()));
            }
        }
    })
}

fn config(sink: &Sink) -> String {
    format!(
        "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\ntrusted_networks = [\"127.0.0.1\"]\n\
         [relay]\nroutes = {{ \"taken.test\" = \"{}\", \"waits.test\" = \"127.0.0.1:9\" }}\n[watch]\nmode = \"off\"\n",
        sink.address
    )
}

/// A node made of a copy, not running.
fn restored(copy: &Path, text: &str) -> (Node, Said) {
    let node = Node::prepare(text);
    let said = sm2tp(&["restore", &copy.display().to_string()], &node.config);
    (node, said)
}

fn recipients(node: &Node) -> BTreeSet<String> {
    node.queue().iter().map(|it| it["recipient"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn copies_under_load_have_all_that_was_accepted() {
    let (sink, folder) = (Sink::start(), Folder::new("backup"));
    let text = config(&sink);
    let node = Node::start(&text);
    let (stop, taken) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
    let senders: Vec<_> = ["a", "b", "c", "d"].into_iter().map(|name| load(&node, name, &stop, &taken)).collect();
    wait_until("mail flows", LONG, || 100 < taken.lock().unwrap().len());
    let mut copies = Vec::new();
    for number in 0..3 {
        let target = folder.join(&number.to_string());
        let known = taken.lock().unwrap().len();
        let began = Instant::now();
        let told = node.ask(&["backup", &target.display().to_string()]);
        assert!(0 < told["octets"].as_u64().unwrap());
        copies.push((target, began));
        wait_until("more mail comes", LONG, || known + 50 < taken.lock().unwrap().len());
    }
    stop.store(true, Ordering::Relaxed);
    senders.into_iter().for_each(|sender| sender.join().unwrap());
    let all = taken.lock().unwrap().clone();
    let stays: BTreeSet<&str> =
        all.iter().map(|(to, _)| to.as_str()).filter(|to| to.ends_with("@waits.test")).collect();
    for (copy, began) in &copies {
        let (mut other, said) = restored(copy, &text.replace(&sink.address.to_string(), "127.0.0.1:9"));
        assert_eq!(said.exit, 0, "{}{}", said.stdout, said.stderr);
        other.serve();
        let waiting = recipients(&other);
        for (to, at) in all.iter().filter(|(to, at)| at < began && stays.contains(to.as_str())) {
            assert!(waiting.contains(to), "{to}, taken {:?} before the copy, is not in it", *began - *at);
        }
        let sent: BTreeSet<&str> = all.iter().map(|(to, _)| to.as_str()).collect();
        // What the copy has and nobody was told of: its 250 was on the way.
        let unknown: Vec<_> = waiting.iter().filter(|to| !sent.contains(to.as_str())).collect();
        assert!(unknown.len() <= 4, "{unknown:?}");
        // Every content can be read, and a delivery goes to the ledger although its numbers were given out before.
        let first = other.queue()[0]["mail"].as_u64().unwrap().to_string();
        assert_eq!(other.ask(&["queue", "show", &first])["recipients"].as_array().unwrap().len(), 1);
        try_send(other.smtp(), "anna@asso.test", &["new@waits.test"], "new").unwrap();
        let new =
            other.queue().iter().find(|it| it["recipient"] == "new@waits.test").unwrap()["mail"].as_u64().unwrap();
        assert!(1_000_000_000 < new, "{new}: numbers of the lost node are passed over");
    }
    // The node went on, and its ledger counted all.
    node.ask(&["queue", "list", "--limit", "1"]);
    wait_for("what can leave has left", LONG, || {
        recipients(&node).iter().all(|to| to.ends_with("@waits.test")).then_some(())
    });
}

#[test]
fn a_restored_node_is_the_same_in_a_new_epoch() {
    let (sink, folder) = (Sink::start(), Folder::new("backup"));
    let text = config(&sink);
    let mut node = Node::start(&text);
    node.ask(&["dkim", "new", "asso.test"]);
    node.add_login("anna", "a password", "asso.test", "personal");
    node.ask(&["suppress", "add", "dead@taken.test", "--note", "by hand"]);
    let own = node.ask(&["peer", "list"])["fingerprint"].clone();
    let copy = folder.join("copy");
    let path = copy.display().to_string();
    node.ask(&["backup", &path]);
    let mode = |path: &Path| {
        use std::os::unix::fs::PermissionsExt;
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    };
    assert!(files(&copy).iter().filter(|it| !it.starts_with(copy.join("config"))).all(|it| mode(it) == 0o600));
    let (status, _) = node.terminate(LONG);
    assert!(status.success());

    let (mut other, said) = restored(&copy, &text);
    assert!(said.stdout.contains("epoch 1"), "{}{}", said.stdout, said.stderr);
    let again = sm2tp(&["restore", &path], &other.config);
    assert_eq!((again.exit, again.stderr.contains("is not empty")), (65, true), "{}", again.stderr);
    other.serve();
    assert_eq!(other.ask(&["peer", "list"])["fingerprint"], own);
    assert_eq!(other.ask(&["dkim", "list"]).as_array().unwrap().len(), 2);
    assert_eq!(other.decision("dead@taken.test", "personal")["decision"], "refuse");
    assert!(other.ask(&["org", "list"]).to_string().contains("\"anna\""));
    // A copy of the copy begins where that one ended.
    other.ask(&["backup", &folder.join("second").display().to_string()]);
    let (_, said) = restored(&folder.join("second"), &text);
    assert!(said.stdout.contains("epoch 2"), "{}{}", said.stdout, said.stderr);
}

#[test]
fn a_ledger_is_verified_while_its_node_runs() {
    let sink = Sink::with(|to| to.starts_with("dead").then(|| "550 5.1.1 No such user".to_owned()));
    let node = Node::start(&config(&sink));
    for number in 0..20 {
        let name = if number % 4 == 0 { "dead" } else { "anna" };
        try_send(node.smtp(), "anna@asso.test", &[&format!("{name}{number}@taken.test")], "x").unwrap();
    }
    node.ask(&["suppress", "add", "listed@taken.test", "--note", "by hand"]);
    node.wait_for_empty_queue();
    wait_until("the ledger knows them", LONG, || node.decision("dead16@taken.test", "bulk")["decision"] == "refuse");
    let told = node.ask(&["ledger", "verify"]);
    assert_eq!((&told["ok"], &told["differing"]), (&true.into(), &Value::Array(Vec::new())), "{told}");
    assert!(20 < told["events"].as_u64().unwrap(), "{told}");
    assert!(
        fs::read_dir(node.data()).unwrap().flatten().all(|it| !it.file_name().to_string_lossy().starts_with("verify"))
    );

    let ledger = node.data().join("ledger.sqlite");
    let sql = "UPDATE counter SET count = count + 1 WHERE kind = 'delivered'";
    let script = format!("import sqlite3\ndb = sqlite3.connect({ledger:?})\ndb.execute({sql:?})\ndb.commit()\n");
    assert_eq!(crate::node::said(std::process::Command::new("python3").args(["-c", &script]), "").exit, 0);
    let said = node.run(&["ledger", "verify"]);
    assert_eq!((said.exit, said.stdout.contains("counter: ")), (65, true), "{}", said.stdout);
    node.ask(&["ledger", "rebuild"]);
    assert_eq!(node.ask(&["ledger", "verify"])["ok"], true);
}

#[test]
fn a_copy_that_is_not_whole_makes_no_node() {
    let (sink, folder) = (Sink::start(), Folder::new("backup"));
    let text = config(&sink);
    let node = Node::start(&text);
    let copy = folder.join("copy");
    let path = copy.display().to_string();
    node.ask(&["backup", &path]);
    assert_eq!(node.run(&["backup", &path]).exit, 65, "a folder with something in it");
    let none = sm2tp(&["backup", &folder.join("none").display().to_string()], &Node::prepare(&text).config);
    assert_eq!(none.exit, 69, "{}", none.stderr);

    let ledger = copy.join("ledger.sqlite");
    let mut octets = fs::read(&ledger).unwrap();
    octets[5000] ^= 1;
    fs::write(&ledger, octets).unwrap();
    let (other, said) = restored(&copy, &text);
    assert_eq!((said.exit, said.stderr.contains("damaged since the copy was made")), (65, true), "{}", said.stderr);
    assert!(files(&other.data()).is_empty(), "nothing is left of what was begun");
    fs::remove_file(copy.join("copy.json")).unwrap();
    let (_, said) = restored(&copy, &text);
    assert_eq!((said.exit, said.stderr.contains("no whole copy")), (65, true), "{}", said.stderr);
    let value: Value = serde_json::from_str(&sm2tp(&["restore", &path, "--json"], &other.config).stdout).unwrap();
    assert_eq!(value["exit"], 65);
}
