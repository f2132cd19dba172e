//! The sender watch beside another mail server: what its log and its questions tell of senders, and what follows.

use std::io::Write;
use std::time::Duration;

use crate::node::Node;
use crate::programs::run;
use crate::wait::{Folder, wait_until};

const LONG: Duration = Duration::from_secs(30);

/// Lines as Postfix writes them of a mail that came from `client` and was delivered; `n` tells mails apart.
fn postfix_lines(client: &str, from: &str, n: usize) -> String {
    let time = run("date", &["-u", "+%Y-%m-%dT%H:%M:%S+00:00"], "");
    let line = |daemon: &str, text: &str| format!("{} vm postfix/{daemon}[1]: 4jX8763w{n:04}: {text}\n", time.trim());
    [
        line("smtpd", &format!("client={client}")),
        line("qmgr", &format!("from=<{from}>, size=300, nrcpt=1 (queue active)")),
        line(
            "smtp",
            &format!(
                "to=<r{n}@dest.test>, relay=mx.dest.test[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, \
                 status=sent (250 2.0.0 Ok: queued as 1)"
            ),
        ),
    ]
    .concat()
}

#[test]
fn a_log_tells_of_the_blast_of_a_login_and_counts_no_stranger() {
    let folder = Folder::new("log");
    let path = folder.join("mail.log");
    let append = |lines: std::ops::Range<usize>, client: &str, from: &str| {
        let text: String = lines.map(|n| postfix_lines(client, from, n)).collect();
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(&path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    };
    append(0..1, "x[192.0.2.7], sasl_method=PLAIN, sasl_username=anna", "anna@asso.test");
    let mut node = Node::start(&format!(
        "hostname = \"relay.example.org\"\n[watch]\nmode = \"enforce\"\n[logs]\nfollow = [{{ format = \"postfix\", path = \"{}\" }}]\n",
        path.display()
    ));
    let asked = |node: &Node, sender: &str| {
        let listed = node.ask(&["sender", "list", "--all"]);
        let shown = listed["senders"].as_array().unwrap().iter().any(|it| it["sender"] == sender);
        if !shown {
            return None;
        }
        let counts = node.ask(&["sender", "show", sender, "--org", "local"])["evidence"]["counts"].clone();
        let of =
            |what: &str| counts.as_array().unwrap().iter().find(|it| it["what"] == what).unwrap()["recent"][2].clone();
        Some((of("asked").as_u64().unwrap(), of("delivered").as_u64().unwrap()))
    };
    wait_until("the first mail is counted", LONG, || asked(&node, "anna") == Some((1, 1)));
    // What strangers bring is none of ours, though it leaves for another server.
    append(1..100, "mx.elsewhere.test[198.51.100.1]", "spam@elsewhere.test");
    append(100..130, "x[192.0.2.7], sasl_method=PLAIN, sasl_username=anna", "anna@asso.test");
    wait_until("the rest is counted", LONG, || asked(&node, "anna") == Some((31, 31)));
    assert_eq!(asked(&node, "spam@elsewhere.test"), None);

    // The end of a log is read once more after a start, and counts once.
    node.terminate(Duration::from_secs(20));
    append(130..230, "x[192.0.2.7], sasl_method=PLAIN, sasl_username=anna", "anna@asso.test");
    node.serve();
    let delivered = || asked(&node, "anna").map(|(_, delivered)| delivered);
    wait_until("what was written meanwhile is counted", LONG, || delivered() == Some(131));
    let shown = node.ask(&["sender", "show", "anna"]);
    let turned_away = shown["evidence"]["turned_away"].as_u64().unwrap();
    assert_eq!(asked(&node, "anna").unwrap().0 + turned_away, 131, "{shown}");
    assert_eq!(shown["evidence"]["level"], "blocked", "{shown}");
    assert_eq!(shown["evidence"]["networks"][0]["network"], "192.0.0.0/16", "{shown}");
    assert!(shown["evidence"]["english"].to_string().contains("to whom this sender never wrote before"), "{shown}");
}
