//! Three machines that are one node: three programs with queues of their own before one PostgreSQL.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::client::Client;
use crate::node::{Node, Said};
use crate::sink::Sink;
use crate::wait::{Folder, files, wait_until};

/// A PostgreSQL that goes with its test.
struct Postgres {
    folder: Folder,
    script: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Postgres {
    fn start() -> Self {
        Self::with(&[])
    }

    fn with(more: &[&str]) -> Self {
        let folder = Folder::new("postgres");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/postgres");
        let mut command = Command::new(script);
        command.arg(folder.join("pg")).args(more).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut script = command.spawn().unwrap();
        let (to, from) = (script.stdin.take(), BufReader::new(script.stdout.take().unwrap()));
        let mut postgres = Self { folder, script, to, from };
        postgres.hear("ready");
        postgres
    }

    /// Where a database of a test of this process is.
    fn url(&self) -> String {
        format!("postgres://postgres@/postgres?host={}", self.folder.join("pg").display())
    }

    fn say(&mut self, word: &str) {
        writeln!(self.to.as_mut().unwrap(), "{word}").unwrap();
        self.hear(word);
    }

    #[track_caller]
    fn hear(&mut self, word: &str) {
        let mut line = String::new();
        self.from.read_line(&mut line).unwrap();
        assert_eq!(line.trim(), word, "scripts/postgres says what is wrong");
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.to = None;
        let _ = self.script.wait();
    }
}

fn config(n: usize, sink: &Sink, watch: &str, rest: &str) -> String {
    format!(
        "hostname = \"m{n}.example.org\"\n{rest}\n[http]\nlisten = [\"127.0.0.1:0\"]\n[smtp]\nlisten = [\"127.0.0.1:0\"]\n\
         [watch]\nmode = \"{watch}\"\n[relay]\nroutes = {{ \"example.test\" = \"{}\" }}\n[federation]\n\
         url = \"https://relay.example.org/fed/v1\"\nhold_down = \"0s\"\nseal_after = \"1s\"\npoll = \"1s\"\n",
        sink.address
    )
}

/// A machine that begins with the keys of the first.
fn joined(n: usize, first: &Node, sink: &Sink, watch: &str, store: &str) -> Node {
    let mut node = Node::prepare(&config(n, sink, watch, store));
    std::fs::create_dir_all(node.data()).unwrap();
    let copied = Command::new("cp").arg("-a").arg(first.data().join("keys")).arg(node.data()).status();
    assert!(copied.unwrap().success());
    node.serve();
    node
}

/// Three machines: the first was a node of its own, with an organisation and two logins, and its ledger was moved.
fn three(postgres: &Postgres, sink: &Sink, watch: &str) -> [Node; 3] {
    let mut first = Node::start(&config(1, sink, watch, ""));
    first.add_login("anna", "correct horse", "good.test", "personal");
    first.ask_with(&["org", "login", "bob", "--org", "org-anna", "--stream", "personal"], "correct horse");
    send(&first, "bob", "before@example.test").unwrap();
    wait_until("it is counted", LONG, || delivered(&first) == 1);
    first.terminate(LONG);
    let moved = first.ask(&["migrate", "--to", &postgres.url()]);
    assert!(moved["tables"].as_u64() > Some(40) && moved["rows"].as_u64() > Some(10), "{moved}");
    let again = first.run(&["migrate", "--to", &postgres.url()]);
    assert!(again.exit == 75 && again.stderr.contains("there is a node in that database already"), "{}", again.stderr);
    let store = format!("[store]\ndatabase = {:?}\n", postgres.url());
    let text = std::fs::read_to_string(&first.config).unwrap();
    std::fs::write(&first.config, text.replacen("\n\n[http]", &format!("\n{store}\n[http]"), 1)).unwrap();
    first.serve();
    let second = joined(2, &first, sink, watch, &store);
    let third = joined(3, &first, sink, watch, &store);
    [first, second, third]
}

fn send(node: &Node, login: &str, to: &str) -> Result<(), String> {
    let mut client = Client::greet(node.smtp()).map_err(|error| error.to_string())?;
    let login_line = format!("AUTH PLAIN {}", STANDARD.encode(format!("\0{login}\0correct horse")));
    client.say(&login_line, "235").map_err(|error| error.to_string())?;
    client.mail(&format!("{login}@good.test"), &[to], "Subject: x\r\n").map(drop).map_err(|error| error.to_string())
}

/// Deliveries that the node has counted, as this machine tells.
fn delivered(node: &Node) -> u64 {
    node.ask(&["stats"])["sends"]["delivered"].as_u64().unwrap_or(0)
}

/// Waits until what was sent has left and is counted, as every machine tells; answers with how many mails that were.
fn settled(sink: &Sink, nodes: &[Node]) -> usize {
    nodes.iter().for_each(Node::wait_for_empty_queue);
    let count = sink.mails().len();
    for node in nodes {
        wait_until("all is counted", LONG, || delivered(node) == count as u64);
    }
    count
}

const LONG: Duration = Duration::from_secs(30);
/// A second, and what a machine takes on which other tests run.
const SOON: Duration = Duration::from_secs(10);

#[test]
fn what_one_machine_decides_holds_on_all() {
    let postgres = Postgres::start();
    let sink = Sink::start();
    let nodes = three(&postgres, &sink, "enforce");
    // A machine with other keys is none of them.
    let stranger = Node::prepare(&config(4, &sink, "enforce", &format!("[store]\ndatabase = {:?}\n", postgres.url())));
    let refused = stranger.run(&["serve"]);
    assert!(
        refused.exit == 78 && refused.stderr.contains("copy the folder keys"),
        "{} {}",
        refused.exit,
        refused.stderr
    );

    nodes[0].ask(&["sender", "block", "anna", "--note", "stolen"]);
    for node in &nodes {
        wait_until("the block holds", SOON, || send(node, "anna", "x@example.test").is_err());
    }
    nodes[2].ask(&["sender", "release", "anna", "--note", "mended"]);
    for node in &nodes {
        wait_until("the release holds", SOON, || send(node, "anna", "y@example.test").is_ok());
    }
    // Lists and logins likewise, and limits, which count for all machines together.
    nodes[1].ask(&["suppress", "add", "listed@example.test"]);
    nodes[2].ask_with(&["org", "login", "claire", "--org", "org-anna", "--stream", "personal"], "correct horse");
    nodes[0].ask(&["org", "limits", "org-anna", "--login", "bob", "--rate-mails", "3/h"]);
    for node in &nodes {
        wait_until("the list holds", SOON, || node.decision("listed@example.test", "bulk")["rule"] == "listed");
        wait_until("the login is known", SOON, || send(node, "claire", "z@example.test").is_ok());
    }
    nodes.iter().for_each(|node| send(node, "bob", "b@example.test").unwrap());
    wait_until("the limit is used up", SOON, || send(&nodes[0], "bob", "b@example.test").is_err());
    let (sent, counted) = (settled(&sink, &nodes), delivered(&nodes[2]));
    assert_eq!(sent as u64, counted);

    // Who writes to strangers through all three is one sender, and blocked on all.
    // Forty through each would be in order.
    let taken = (0..120).filter(|n| send(&nodes[n % 3], "anna", &format!("r{n}@example.test")).is_ok()).count();
    assert!(53 <= taken, "{taken}");
    for node in &nodes {
        wait_until("the watch's block holds", SOON, || send(node, "anna", "again@example.test").is_err());
        assert_eq!(node.ask(&["sender", "show", "anna"])["evidence"]["level"], "blocked");
    }
}

/// As on another machine: a name, and no clear text. The address keeps it on this one.
#[test]
fn a_database_on_another_machine_must_show_a_certificate_for_its_name() {
    let postgres = Postgres::with(&["tls"]);
    let folder = postgres.folder.join("pg");
    let port = std::fs::read_to_string(folder.join("port")).unwrap();
    let url = |name: &str, mode: &str| {
        format!("postgres://postgres@/postgres?host={name}&hostaddr=127.0.0.1&port={}&sslmode={mode}", port.trim())
    };
    let (ca, sink) = (folder.join("ca.pem").display().to_string(), Sink::start());
    let mut node = Node::start(&config(1, &sink, "observe", ""));
    node.add_login("anna", "correct horse", "good.test", "personal");
    node.terminate(LONG);
    let migrate = |url: &str, more: &[&str]| node.run(&[&["migrate", "--to", url], more].concat());
    let with_ca = ["--ca-file", ca.as_str()];
    #[track_caller]
    fn check(done: Said, exit: i32, why: &str) {
        assert!(done.exit == exit && done.stderr.contains(why), "{} {}", done.exit, done.stderr);
    }
    check(migrate(&url("db.example.org", "require"), &[]), 75, "UnknownIssuer");
    check(migrate(&url("other.example.org", "require"), &with_ca), 75, "not valid for name");
    check(migrate(&url("db.example.org", "disable"), &with_ca), 75, "no encryption");
    let far = "postgres://postgres@db.example.org/postgres?sslmode=disable";
    check(migrate(far, &with_ca), 78, "what goes to another is encrypted");
    check(migrate(&url("db.example.org", "require"), &with_ca), 0, "");

    let text = std::fs::read_to_string(&node.config).unwrap();
    let store = |more: &str| format!("[store]\ndatabase = {:?}\n{more}\n[http]", url("db.example.org", "require"));
    std::fs::write(&node.config, text.replacen("[http]", &store(""), 1)).unwrap();
    let refused = node.run(&["serve"]);
    assert!(refused.exit == 78 && refused.stderr.contains("UnknownIssuer"), "{} {}", refused.exit, refused.stderr);
    std::fs::write(&node.config, text.replacen("[http]", &store(&format!("ca_file = {ca:?}")), 1)).unwrap();
    node.serve();
    send(&node, "anna", "r@example.test").unwrap();
    wait_until("it is counted", LONG, || delivered(&node) == 1);
}

#[test]
fn a_database_that_is_away_stops_no_mail_and_what_happened_is_counted_afterwards() {
    let mut postgres = Postgres::start();
    let sink = Sink::with(|to| to.starts_with("dead").then(|| "550 5.1.1 no such user here".to_owned()));
    let mut nodes = three(&postgres, &sink, "observe");
    let before = settled(&sink, &nodes);

    postgres.say("stop");
    let began = Instant::now();
    let (mut sent, mut dead) = (0, Vec::new());
    while sent < 24 || began.elapsed() < away() {
        let node = &nodes[sent % 3];
        send(node, "bob", &format!("r{sent}@example.test")).unwrap();
        // A few hundred are enough to compare.
        if dead.len() < 300 {
            dead.push(format!("dead{sent}@example.test"));
            send(node, "bob", dead.last().unwrap()).unwrap();
        }
        sent += 1;
    }
    wait_until("mail leaves without the database", LONG, || sink.mails().len() == before + sent);
    for node in &nodes {
        assert!(node.get("/readyz").contains("200") && node.get("/healthz").contains("200"));
        assert!(
            node.get("/metrics")
                .lines()
                .any(|line| line.starts_with("sm2tp_database_away_seconds ") && !line.ends_with(" 0"))
        );
        assert_eq!(node.run(&["sender", "list"]).exit, 0, "what is asked from memory is answered");
        let refused = node.run(&["org", "add", "new"]);
        assert!(refused.exit != 0 && refused.stderr.contains("does not answer"), "{} {}", refused.exit, refused.stderr);
    }
    // A machine that is started meanwhile, as after a power cut, waits for it.
    let log = nodes[2].config.with_file_name("log");
    nodes[2].terminate(LONG);
    thread::scope(|scope| {
        let starting = scope.spawn(|| nodes[2].serve());
        let waits = || std::fs::read_to_string(&log).unwrap().contains("as soon as it does");
        wait_until("it says what it waits for", LONG, waits);
        postgres.say("start");
        starting.join().unwrap();
    });

    // Nothing is lost, nothing is counted twice, and all know it.
    nodes.iter().for_each(Node::wait_for_empty_queue);
    for node in &nodes {
        wait_until("all is counted", LONG, || delivered(node) == (before + sent) as u64);
        wait_until("all know it", LONG, || dead.iter().all(|to| node.decision(to, "bulk")["decision"] == "refuse"));
    }
    let bounced = |node: &Node| node.ask(&["stats"])["sends"].clone();
    assert!(nodes.iter().all(|node| bounced(node) == bounced(&nodes[0])));
    assert_eq!(sink.mails().len(), before + sent);
    // One of them signed what others may know, and each can serve it.
    let segments = |node: &Node| {
        let files = files(&node.data().join("segments")).into_iter();
        let of_log = files.filter(|path| path.extension().is_some_and(|extension| extension == "seg"));
        of_log
            .map(|path| (path.file_name().unwrap().to_owned(), std::fs::read(path).unwrap()))
            .collect::<BTreeMap<_, _>>()
    };
    wait_until("all have the segments", LONG, || {
        let all: Vec<_> = nodes.iter().map(segments).collect();
        !all[0].is_empty() && all.iter().all(|one| *one == all[0])
    });
    let verified = nodes[2].ask(&["ledger", "verify"]);
    assert_eq!((&verified["ok"], &verified["differing"]), (&true.into(), &Value::Array(Vec::new())), "{verified}");
}

/// For how many seconds the database is away at least; by hand `SM2TP_TEST_AWAY_S=300`.
fn away() -> Duration {
    let asked = std::env::var("SM2TP_TEST_AWAY_S").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(asked.unwrap_or(0))
}
