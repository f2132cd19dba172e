//! What suppression was worth: counted by a node whose mail was stopped, and whose canaries were answered.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::client::{Client, send};
use crate::node::{Node, SM2TP, said};
use crate::peers::{federation, peer};
use crate::programs::run;
use crate::sink::Sink;
use crate::wait::{Folder, free_address, wait_until};

const LONG: Duration = Duration::from_secs(30);

/// Its local clients send newsletters; all that would be held is let through.
fn node(name: &str, sink: &Sink) -> Node {
    let http = free_address();
    Node::start(&format!(
        "hostname = \"relay-{name}.example.org\"\n[http]\nlisten = [\"{http}\"]\n\
         [smtp]\nlisten = [\"127.0.0.1:0\"]\ntrusted_networks = [\"127.0.0.1\"]\nstream = \"bulk\"\n\
         [relay]\nroutes = {{ \"d.test\" = \"{}\" }}\n{}",
        sink.address,
        federation(http).replace("canary_share = 0.0", "canary_share = 1.0")
    ))
}

fn evidence(node: &Node) -> Value {
    node.ask(&["stats", "--evidence"])
}

#[test]
fn canaries_tell_how_right_other_nodes_are_and_stops_what_they_saved() {
    // A is told that all are dead; one of them comes back to life before B writes there.
    let sink = Sink::with(|to| to.starts_with("gone").then(|| "550 5.1.1 No such user here".to_owned()));
    let dying = Sink::with(|_| Some("550 5.1.1 No such user here".to_owned()));
    let (a, b) = (node("a", &dying), node("b", &sink));
    peer(&a, &b);
    for address in ["gone@d.test", "back@d.test", "away@d.test"] {
        send(a.smtp(), "anna@s.test", &[address], "hello");
        wait_until("B has heard of it", LONG, || b.decision(address, "bulk")["decision"] == "hold");
    }
    send(b.smtp(), "anna@s.test", &["gone@d.test"], "newsletter");
    send(b.smtp(), "anna@s.test", &["back@d.test"], "newsletter");
    wait_until("both canaries are answered", LONG, || {
        let canaries = &evidence(&b)["counts"]["canaries"];
        (canaries["sent"].as_u64(), canaries["dead"].as_u64(), canaries["alive"].as_u64())
            == (Some(2), Some(1), Some(1))
    });
    // B knows the first by itself now. From now on it refuses what one other node says, each time that it is asked.
    b.ask(&["org", "suppression", "local", "--doubtful", "refuse", "--canary-share", "0"]);
    let mut client = Client::greet(b.smtp()).unwrap();
    client.say("MAIL FROM:<anna@s.test>", "250").unwrap();
    for address in ["gone@d.test", "away@d.test", "away@d.test", "away@d.test"] {
        client.say(&format!("RCPT TO:<{address}>"), "550").unwrap();
    }
    wait_until("the stops are counted", LONG, || {
        let counts = &evidence(&b)["counts"];
        (counts["own"].as_u64(), counts["federated"].as_u64()) == (Some(1), Some(3))
    });

    let told = evidence(&b);
    let (counts, worth) = (&told["counts"], &told["worth"]);
    assert_eq!(
        (counts["decided"].as_u64(), counts["dead"].as_u64(), counts["spared"].as_u64()),
        (Some(2), Some(1), Some(1))
    );
    assert_eq!((worth["avoided"].as_u64(), worth["precision"]["likely"].as_f64()), (Some(4), Some(0.5)), "{told}");
    // Of two mails one bounced. With the four that were stopped: 1 + 1 + half of 3 in 6. Without A: 1 + half of 1 in 3.
    for (key, want) in [("bounce_rate_without", 3.5 / 6.0), ("bounce_rate_alone", 0.5)] {
        let share = &worth[key];
        let of = |part: &str| share[part].as_f64().unwrap();
        assert!((of("likely") - want).abs() < 1e-9 && of("low") < want && want < of("high"), "{key}: {told}");
    }
    assert_eq!(worth["bounce_rate"].as_f64(), Some(0.5));
    let french = said(
        Command::new(SM2TP).args(["stats", "--evidence", "--config"]).arg(&b.config).env("LC_ALL", "fr_FR.UTF-8"),
        "",
    );
    assert!(
        french.stdout.contains("envois évités") && french.stdout.contains("50,00\u{a0}% des cas"),
        "{}",
        french.stdout
    );
    let count = b.ask(&["ledger", "rebuild"]);
    assert_eq!(&evidence(&b)["counts"], counts, "after a rebuild of {count}");
}

#[test]
fn canaries_of_a_mail_server_beside_the_node_are_answered_by_its_log() {
    let dying = Sink::with(|_| Some("550 5.1.1 No such user here".to_owned()));
    let (folder, http, door) = (Folder::new("log"), free_address(), free_address());
    let log = folder.join("mail.log");
    std::fs::write(&log, "").unwrap();
    let a = node("a", &dying);
    let beside = Node::start(&format!(
        "hostname = \"mail.example.org\"\n[http]\nlisten = [\"{http}\"]\n[policy]\nlisten = [\"{door}\"]\nstream = \"bulk\"\n\
         [logs]\nfollow = [{{ format = \"postfix\", path = \"{}\" }}]\n{}",
        log.display(),
        federation(http).replace("canary_share = 0.0", "canary_share = 1.0")
    ));
    peer(&a, &beside);
    send(a.smtp(), "anna@s.test", &["gone@d.test"], "hello");
    wait_until("the word has come", LONG, || beside.decision("gone@d.test", "bulk")["decision"] == "hold");

    let ask = || {
        let request = "request=smtpd_access_policy\nprotocol_state=RCPT\nclient_address=127.0.0.1\nsender=news@s.test\n\
                       recipient=gone@d.test\nrecipient_count=0\ninstance=1.2.3\n\n";
        let mut connection = TcpStream::connect(door).unwrap();
        connection.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        BufReader::new(connection).read_line(&mut answer).unwrap();
        answer.trim().to_owned()
    };
    // A mail server asks twice about some mails; the mail is one.
    assert_eq!((ask().as_str(), ask().as_str()), ("action=DUNNO", "action=DUNNO"));
    let canaries = |key: &str| evidence(&beside)["counts"]["canaries"][key].as_u64().unwrap();
    wait_until("it is counted", LONG, || canaries("sent") == 1);
    let time = run("date", &["-u", "+%Y-%m-%dT%H:%M:%S+00:00"], "");
    let line = format!(
        "{} vm postfix/smtp[1]: 4jX8763w1: to=<gone@d.test>, relay=mx.d.test[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=5.1.1, \
         status=bounced (host mx.d.test[192.0.2.1] said: 550 5.1.1 User unknown (in reply to RCPT TO command))\n",
        time.trim()
    );
    std::fs::write(&log, line).unwrap();
    wait_until("the log answers", LONG, || canaries("dead") == 1);
    assert_eq!((canaries("sent"), canaries("alive"), canaries("unclear")), (1, 0, 0));

    // "Take and report" is a refusal here: nobody takes the mail.
    beside.ask(&["suppress", "remove", "gone@d.test"]);
    beside.ask(&["suppress", "add", "gone@d.test"]);
    beside.ask(&["org", "suppression", "local", "--stopped", "report"]);
    assert!(ask().starts_with("action=550 5.7.1 not sent: an administrator put this address"), "{}", ask());
}
