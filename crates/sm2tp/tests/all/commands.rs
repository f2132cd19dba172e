//! The commands of an administrator, as the program is called, with and without a running node.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::client::send;
use crate::node::{Node, SM2TP, said};
use crate::programs::{need_root, program};
use crate::sink::Sink;
use crate::wait::{free_address, wait_until};

/// Runs a command that needs no configuration.
fn alone(args: &[&str], input: &str) -> crate::node::Said {
    said(Command::new(SM2TP).args(args), input)
}

#[test]
fn tags_are_those_of_the_protocol_page() {
    // FEDERATION.md §3, K = 32 octets of 0x42.
    let key = "42".repeat(32);
    let vectors = [
        ("Jean.Dupont@Example.ORG", "d34e52dc793598dd519e29618d1a7070"),
        ("\"jean.dupont\"@example.org", "d34e52dc793598dd519e29618d1a7070"),
        ("jean.dupont+news@example.org", "2848abaa988995a7ecd434d87e5d598c"),
        ("user@Exämple.fr.", "a7bcddc9e744023f7a65ccb593c4e5e5"),
        ("user@xn--exmple-cua.fr", "a7bcddc9e744023f7a65ccb593c4e5e5"),
        ("@example.org", "c956da9e016b5b81a28f8fdd7f6b5d12"),
    ];
    for (address, tag) in vectors {
        let said = alone(&["tag", address, "--key-hex", &key], "");
        assert_eq!((said.exit, said.stdout.trim()), (0, tag), "{address}: {}", said.stderr);
        let said = alone(&["tag", address, "--key-hex", &key, "--json"], "");
        let json: Value = serde_json::from_str(&said.stdout).unwrap();
        assert_eq!((json["tag"].as_str(), json["key_id"].as_str()), (Some(tag), Some("1b6156ef8bbf44aa")), "{address}");
    }
    for (address, key) in [("jean@example.org", "4242"), ("jean", &*key), ("", &*key)] {
        assert_eq!(alone(&["tag", address, "--key-hex", key], "").exit, 65, "{address} {key}");
    }
}

#[test]
fn classify_answers_each_line_in_order() {
    let lines = [
        ("550 5.1.1 No such user", "address"),
        (r#"{"text":"550 5.1.1 No such user","stage":"connect"}"#, "ip"),
        (r#"{"text":"452 4.2.2 Mailbox full","mx":"mx.example.org","stage":"rcpt"}"#, "mailbox"),
        ("not a reply at all", "unknown"),
        ("550 5.1.1 No such user", "address"),
    ];
    // Many times over, so that a buffer between us would show.
    let input: String = lines.iter().map(|(line, _)| format!("{line}\n")).collect::<String>().repeat(200);
    let said = alone(&["classify", "--json"], &input);
    assert_eq!(said.exit, 0, "{}", said.stderr);
    let answers: Vec<Value> = said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let causes: Vec<&str> = answers.iter().map(|answer| answer["cause"].as_str().unwrap()).collect();
    let wanted: Vec<&str> = lines.iter().map(|(_, cause)| *cause).collect();
    assert_eq!(causes, wanted.repeat(200));
    let keys: Vec<&String> = answers[0].as_object().unwrap().keys().collect();
    let all = ["cause", "code", "enhanced", "message", "provider", "rule", "scope", "strength", "sub"];
    assert_eq!(keys, all);
    // A line for a line, whatever it is; a broken line of JSON is a mistake, said at the end.
    assert_eq!(alone(&["classify", "--json"], "\n \n550 no\n\n").stdout.lines().count(), 4);
    let broken = alone(&["classify"], "550 no\n{\"text\":\n550 no\n");
    assert_eq!((broken.exit, broken.stdout.lines().count()), (65, 3));
    assert!(broken.stderr.contains("line 2 is broken JSON"), "{}", broken.stderr);
    // In words, too: a line for a line.
    assert_eq!(alone(&["classify"], &input).stdout.lines().count(), lines.len() * 200);
}

#[test]
fn suppression_works_with_and_without_a_running_node() {
    let mut node = Node::prepare("hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\n[relay]\n");
    node.ask(&["org", "add", "asso"]);
    for round in 0..2 {
        let address = format!("jean{round}@example.test");
        assert_eq!(node.decision(&address, "personal")["decision"], "send");
        let added = node.ask(&["suppress", "add", &address, "--note", "he asked for it"]);
        assert_eq!(added["suppressed"], true, "{added}");
        assert_eq!(node.decision(&address, "personal")["rule"], "listed");
        let list = node.ask(&["suppress", "list"]);
        assert_eq!(list[0]["note"], "he asked for it", "{list}");
        assert_eq!(list[0]["tag"], added["tag"], "{list}");
        assert!(!list.to_string().contains(&address), "a list of tags, not of addresses");
        node.ask(&["suppress", "remove", &address]);
        assert_eq!(node.decision(&address, "personal")["decision"], "send");
        assert_eq!(node.ask(&["suppress", "list"]).as_array().unwrap().len(), 0);
        // In words for people.
        let said = node.run(&["explain", &address]);
        assert_eq!((said.exit, said.stderr.as_str()), (0, ""));
        assert!(said.stdout.contains(&address), "{}", said.stdout);
        if round == 0 {
            node.serve();
        }
    }
    assert_eq!(node.run(&["suppress", "add", "jean"]).exit, 65);
    let said = node.run(&["explain", "jean@example.org", "--org", "nosuch"]);
    assert!(said.exit == 65 && said.stderr.contains("no organisation \"nosuch\""), "{}", said.stderr);
    assert_eq!(node.run(&["explain", "jean"]).exit, 65);
}

#[test]
fn a_command_that_reads_makes_no_node() {
    let node = Node::prepare("hostname = \"relay.example.org\"\n");
    let readings: [&[&str]; 6] =
        [&["queue", "list"], &["suppress", "list"], &["org", "list"], &["peer", "list"], &["dkim", "list"], &["check"]];
    for words in readings {
        let said = node.run(words);
        if words != ["check"] {
            assert_eq!(said.exit, 69, "{words:?}");
            assert!(said.stderr.contains("no node was ever started here"), "{words:?}: {}", said.stderr);
        }
        assert!(!node.data().exists(), "{words:?}");
    }
}

#[test]
fn a_data_directory_that_cannot_be_used_is_said_before_a_start() {
    let node = Node::prepare("hostname = \"relay.example.org\"\n");
    std::fs::write(node.data(), "a file").unwrap();
    let said = node.run(&["check"]);
    assert_eq!(said.exit, 78, "{}", said.stderr);
    assert!(said.stderr.contains("is not a directory"), "{}", said.stderr);
    assert_eq!(node.run(&["serve"]).exit, 75);
}

#[test]
fn root_leaves_the_directory_of_another_user_alone() {
    need_root();
    let node = Node::prepare("hostname = \"relay.example.org\"\n[http]\nlisten = [\"127.0.0.1:0\"]\n");
    std::fs::create_dir(node.data()).unwrap();
    std::os::unix::fs::chown(node.data(), Some(65_534), None).unwrap();
    for words in [&["org", "add", "asso"][..], &["serve"]] {
        let said = node.run(words);
        assert_eq!((said.exit, said.stdout.as_str()), (77, ""), "{words:?}: {}", said.stderr);
        assert!(said.stderr.contains("belongs to the user with number 65534"), "{}", said.stderr);
    }
    assert_eq!(std::fs::read_dir(node.data()).unwrap().count(), 0);
}

/// Types at a terminal of its own: after each question an answer. Prints all that the terminal showed.
const TYPIST: &str = r#"
import os, pty, signal, sys
signal.alarm(60)
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
shown = b""
for line in sys.stdin.buffer.read().splitlines():
    question, answer = line.split(b"|")
    while question not in shown:
        shown += os.read(terminal, 1024)
    os.write(terminal, answer.replace(b"<enter>", b"\n").replace(b"<ctrl-c>", b"\x03"))
try:
    while more := os.read(terminal, 1024):
        shown += more
except OSError:
    pass
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
sys.stdout.buffer.write(shown)
sys.exit(status)
"#;

#[test]
fn a_password_is_asked_for_at_a_terminal_and_never_shown() {
    let node = Node::prepare("hostname = \"relay.example.org\"\n");
    node.ask(&["org", "add", "asso"]);
    let typed = |answers: &str| {
        let config = node.config.to_str().unwrap();
        let words = ["-c", TYPIST, SM2TP, "org", "login", "anna", "--org", "asso", "--config", config];
        said(Command::new(program("python3")).args(words), answers)
    };
    let good = typed("Password of anna: |top-secret<enter>\nagain: |top-secret<enter>\n");
    assert_eq!(good.exit, 0, "{good:?}");
    assert!(good.stdout.contains("login: \"anna\""), "{good:?}");
    for (answers, words) in [
        ("Password of anna: |top-secret<enter>\nagain: |top-sicret<enter>\n", "the two differ"),
        ("Password of anna: |top-sec<ctrl-c>\n", "given up"),
        ("Password of anna: |<enter>\nagain: |<enter>\n", "is empty"),
    ] {
        let bad = typed(answers);
        assert!(bad.exit == 65 && bad.stdout.contains(words), "{bad:?}");
        assert!(!bad.stdout.contains("top-s"), "{bad:?}");
    }
    assert!(!good.stdout.contains("top-s"), "{good:?}");
    assert_eq!(node.ask(&["org", "list"])[0]["logins"].as_array().unwrap().len(), 1);
}

#[test]
fn exits_say_who_can_put_it_right() {
    let mut node = Node::prepare("hostname = \"relay.example.org\"\n[http]\nlisten = [\"127.0.0.1:0\"]\n");
    node.serve();
    for (exit, words, why) in [
        (65, "peer remove nobody", "there is no peer"),
        (65, "peer invite ftp://x.example", "neither https:// nor http://"),
        (69, "peer invite http://127.0.0.1:1", "cannot be reached"),
        (65, "queue show 4711", "not in the queue"),
        (65, "queue list --domain x..example", "x..example"),
        (65, "org logout nobody", "nobody"),
        (64, "queue drop", "--domain"),
        (64, "explain a@b.example --stream bogus", "personal, transactional, bulk, forwarded"),
    ] {
        let said = node.run(&words.split(' ').collect::<Vec<_>>());
        assert_eq!(said.exit, exit, "{words}: {}", said.stderr);
        assert!(said.stderr.contains(why), "{words}: {}", said.stderr);
    }
}

#[test]
fn every_failure_is_told_as_json_to_who_asked_for_json() {
    let node = Node::prepare("hostname = \"relay.example.org\"\n");
    node.ask(&["org", "add", "asso"]);
    for (exit, words, why) in [
        (64, "queue drop", "required arguments"),
        (64, "nonsense", "unrecognized subcommand"),
        (65, "queue show 4711", "not in the queue"),
        (65, "org logout nobody", "nobody"),
        (65, "tag a@b.example --key-hex 12", "64 hexadecimal digits"),
        (65, "dkim new x..example", "x..example"),
        (65, "org login anna --org asso --password-file /nowhere", "/nowhere"),
    ] {
        let said = node.run(&words.split(' ').chain(["--json"]).collect::<Vec<_>>());
        let told: Value =
            serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{words}: {error}: {said:?}"));
        assert_eq!((said.exit, &told["ok"], &told["exit"]), (exit, &false.into(), &exit.into()), "{words}: {told}");
        assert!(told["message"].as_str().unwrap().contains(why), "{words}: {told}");
    }
}

#[test]
fn a_peer_is_shown_and_asked_for_before_it_is_trusted() {
    let http = || format!("[http]\nlisten = [\"{}\"]\n", free_address());
    let node = |name: &str| {
        let http = http();
        let url = http.split('"').nth(1).unwrap().to_owned();
        let federation =
            format!("[federation]\nname = \"CHATON {name}\"\nurl = \"http://{url}/fed/v1\"\npoll = \"1s\"\n");
        Node::start(&format!("hostname = \"{name}.example.org\"\n{http}{federation}"))
    };
    let (a, b) = (node("a"), node("b"));
    let invited = b.ask(&["peer", "invite", &format!("http://{}/fed/v1", a.http())]);
    let fingerprint = invited["own_fingerprint"].as_str().unwrap();
    let state = || a.ask(&["peer", "show", "CHATON b"])["state"].as_str().unwrap().to_owned();
    // A script must have been told.
    let said = a.run(&["peer", "accept", "CHATON b"]);
    assert_eq!((said.exit, said.stdout.as_str()), (64, ""), "{said:?}");
    for words in ["CHATON b (http://", fingerprint, "nothing was changed", "--yes"] {
        assert!(said.stderr.contains(words), "{words}: {said:?}");
    }
    assert_eq!(state(), "asking");
    let typed = |answer: &str| {
        let words = ["-c", TYPIST, SM2TP, "peer", "accept", "CHATON b", "--config", a.config.to_str().unwrap()];
        crate::node::said(
            Command::new(program("python3")).args(words),
            &format!("Type yes to trust it: |{answer}<enter>\n"),
        )
    };
    let no = typed("y");
    assert!(no.exit == 65 && no.stdout.contains("nothing was changed"), "{no:?}");
    assert_eq!(state(), "asking");
    let yes = typed("yes");
    assert!(yes.exit == 0 && yes.stdout.contains(fingerprint), "{yes:?}");
    assert_eq!(state(), "accepted");
    assert_eq!(a.ask(&["peer", "trust", "CHATON b", "--weight", "0.5"])["weight"], 0.5);
    // Who was invited answers for itself.
    let said = b.run(&["peer", "accept", "CHATON a"]);
    assert!(said.exit != 64, "{said:?}");
}

#[test]
fn a_configuration_that_is_wrong_is_told_as_json_too() {
    let node = Node::prepare("hostname = \"relay.example.org\"\n[smtp]\n");
    let said = node.run(&["check", "--json"]);
    let told: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!((said.exit, &told["ok"], &told["exit"]), (78, &false.into(), &78.into()), "{told}");
    assert!(told["message"].as_str().unwrap().contains("without [relay]"), "{told}");
}

#[test]
fn whoever_reads_may_have_had_enough() {
    for words in ["completion fish", "completion bash", "--help"] {
        let piped = format!("{SM2TP} {words} | head -1; echo ${{PIPESTATUS[0]}}");
        let said = said(Command::new("bash").args(["-c", &piped]), "");
        assert_eq!((said.stdout.lines().last(), said.stderr.as_str()), (Some("0"), ""), "{words}");
    }
}

#[test]
fn explain_says_whether_the_recipients_server_or_the_smart_host_refused() {
    let sink = Sink::with(|to| to.starts_with("gone").then(|| "550 5.1.1 No such user here".to_owned()));
    for (relay, who) in [
        ("smarthost = \"SINK\"", "the smart host said"),
        ("routes = { \"example.test\" = \"SINK\" }", "the mail server said"),
    ] {
        let relay = relay.replace("SINK", &sink.address.to_string());
        let node = Node::start(&format!(
            "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\ntrusted_networks = [\"127.0.0.1\"]\n\
             [relay]\n{relay}\n"
        ));
        send(node.smtp(), "anna@good.test", &["gone@example.test"], "who is it");
        wait_until("it is known", Duration::from_secs(20), || {
            !node.ask(&["explain", "gone@example.test"])["own"].is_null()
        });
        let said = node.run(&["explain", "gone@example.test"]).stdout;
        assert!(said.contains(&format!("  {who}: 5.1.1 No such user here")), "{relay}: {said}");
    }
}

/// A node with the mails `ids`, which their server has put off once.
fn with_mail_that_waits(ids: &[&str]) -> (Node, Sink, Arc<AtomicBool>) {
    let open = Arc::new(AtomicBool::new(false));
    let is_open = open.clone();
    let sink = Sink::with(move |_| (!is_open.load(Ordering::Relaxed)).then(|| "451 4.3.2 Later".to_owned()));
    let node = Node::start(&format!(
        "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\ntrusted_networks = [\"127.0.0.1\"]\n\
         [relay]\nsmarthost = \"{}\"\nretry_first = \"1h\"\n",
        sink.address
    ));
    for id in ids {
        send(node.smtp(), "anna@good.test", &[&format!("{id}@example.test")], id);
    }
    wait_until("all were tried once", Duration::from_secs(10), || {
        node.queue().iter().filter(|entry| entry["attempts"] == 1).count() == ids.len()
    });
    (node, sink, open)
}

/// The entry of a recipient in the queue.
fn entry(node: &Node, id: &str) -> Value {
    let name = format!("{id}@example.test");
    node.queue().into_iter().find(|entry| entry["recipient"] == *name).unwrap_or_else(|| panic!("{id} does not wait"))
}

fn number(node: &Node, id: &str) -> String {
    entry(node, id)["mail"].to_string()
}

fn is_there(sink: &Sink, id: &str) -> bool {
    sink.mails().iter().any(|mail| mail.to == [format!("{id}@example.test")])
}

#[test]
fn a_person_moves_mail_of_a_running_node() {
    let (node, sink, open) = with_mail_that_waits(&["held", "dropped", "retried"]);
    let shown = node.ask(&["queue", "show", &number(&node, "held")]);
    assert_eq!(shown["mail_from"], "anna@good.test", "{shown}");
    assert!(shown["header"].as_str().unwrap().contains("Subject: held"), "{shown}");
    assert!(entry(&node, "held")["note"].as_str().unwrap().contains("451 4.3.2 Later"));
    node.ask(&["queue", "hold", &number(&node, "held")]);
    assert_eq!(entry(&node, "held")["lane"], "held");
    assert_eq!(node.ask(&["queue", "list", "--lane", "held"]).as_array().unwrap().len(), 1);
    node.ask(&["queue", "drop", &number(&node, "dropped")]);
    open.store(true, Ordering::Relaxed);
    node.ask(&["queue", "retry", &number(&node, "retried")]);
    wait_until("the retried mail arrives", Duration::from_secs(10), || is_there(&sink, "retried"));
    assert!(!is_there(&sink, "held"), "held mail waits");
    node.ask(&["queue", "release", &number(&node, "held")]);
    node.wait_for_empty_queue();
    assert!(is_there(&sink, "held") && !is_there(&sink, "dropped"));
    assert_eq!(node.run(&["queue", "show", "4711"]).exit, 65);
    assert_eq!(node.run(&["queue", "list", "--lane", "fast"]).exit, 65);
}

#[test]
fn a_person_moves_mail_of_a_node_that_is_down() {
    let (mut node, sink, open) = with_mail_that_waits(&["held", "dropped", "retried"]);
    node.kill();
    node.ask(&["queue", "hold", &number(&node, "held")]);
    node.ask(&["queue", "drop", &number(&node, "dropped")]);
    node.ask(&["queue", "retry", &number(&node, "retried")]);
    assert_eq!(node.queue().len(), 2);
    open.store(true, Ordering::Relaxed);
    node.serve();
    wait_until("the retried mail arrives", Duration::from_secs(10), || is_there(&sink, "retried"));
    assert_eq!(entry(&node, "held")["lane"], "held");
    node.kill();
    node.ask(&["queue", "release", &number(&node, "held")]);
    let released = entry(&node, "held");
    assert_eq!((&released["lane"], &released["note"]), (&"normal".into(), &"released: by a person".into()));
    node.serve();
    node.wait_for_empty_queue();
    assert!(is_there(&sink, "held") && !is_there(&sink, "dropped"));
}

#[test]
fn mail_that_waits_for_an_address_goes_back_when_a_person_lists_it() {
    let (mut node, sink, open) = with_mail_that_waits(&["unwanted", "wanted", "late"]);
    let said = node.run(&["explain", "Unwanted@Example.Test"]);
    assert!(said.stdout.contains("In the queue for it: 1 (sm2tp queue list --domain"), "{}", said.stdout);
    assert!(!said.stdout.contains("To write to it again"), "nothing stops it: {}", said.stdout);
    open.store(true, Ordering::Relaxed);
    let said = node.run(&["suppress", "add", "Unwanted@example.test"]);
    assert!(said.stdout.contains("One mail that waited for it goes back to its sender."), "{}", said.stdout);
    let report = sink.mail_to("anna@good.test").text();
    assert!(report.contains("Status: 5.7.1\r\nDiagnostic-Code: X-SM2TP; an administrator put this"), "{report}");
    let said = node.run(&["explain", "unwanted@example.test"]);
    assert!(said.stdout.contains("To write to it again: ") && !said.stdout.contains("In the queue"), "{}", said.stdout);
    node.kill();
    assert_eq!(node.ask(&["suppress", "add", "late@example.test"])["given_back"], 1);
    node.serve();
    wait_until("the other goes back too", Duration::from_secs(10), || node.queue().len() == 1);
    assert_eq!(entry(&node, "wanted")["lane"], "normal");
    assert!(!is_there(&sink, "unwanted") && !is_there(&sink, "late"));
}

#[test]
fn an_organisation_keeps_what_is_not_given_again() {
    let node = Node::prepare("hostname = \"relay.example.org\"\n");
    let org = |words: &[&str]| {
        node.ask(&[&["org", "add", "asso"], words].concat());
        let org = node.ask(&["org", "list"])[0].clone();
        (org["domains"].to_string(), org["stream"].as_str().unwrap().to_owned())
    };
    let asso = r#"["asso.example"]"#.to_owned();
    assert_eq!(org(&["--domain", "asso.example"]), (asso.clone(), "personal".into()));
    assert_eq!(org(&["--stream", "bulk"]), (asso.clone(), "bulk".into()));
    assert_eq!(org(&[]), (asso, "bulk".into()));
    assert_eq!(org(&["--any-domain"]), ("[]".into(), "bulk".into()));
    let said = node.run(&["org", "add", "asso", "--any-domain", "--domain", "b.example"]);
    assert_eq!(said.exit, 64, "{}", said.stderr);
}
