//! Mail that comes back: a real server that says yes and bounces later, forged reports, complaints, one click.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::client::{Client, get};
use crate::mta::Postfix;
use crate::node::{Node, said};
use crate::programs::{program, run, try_swaks};
use crate::sink::{Mail, Sink};
use crate::wait::{free_address, wait_for, wait_until};

const LONG: Duration = Duration::from_secs(30);

/// The word of a server that knows some people and some not.
fn refuses_gone(to: &str) -> Option<String> {
    to.starts_with("gone").then(|| format!("550 5.1.1 <{to}>: Recipient address rejected: User unknown"))
}

fn config(smtp: SocketAddr, to: SocketAddr, more: &str) -> String {
    format!(
        "hostname = \"relay.example.org\"\n[http]\nlisten = [\"127.0.0.1:0\"]\n[smtp]\nlisten = [\"{smtp}\"]\n\
         [relay]\nroutes = {{ \"recipients.test\" = \"{to}\", \"senders.test\" = \"{to}\" }}\n\
         [returns]\ndomain = \"returns.test\"\nunsubscribe_url = \"https://relay.example.org/unsubscribe\"\n{more}"
    )
}

/// A node with a sender of newsletters whose reports it counts.
fn node(config: &str) -> Node {
    let node = Node::start(config);
    node.add_login("news", "correct horse", "senders.test", "bulk");
    node.ask(&["org", "returns", "org-news", "--return-path", "node"]);
    node
}

/// A newsletter, sent with the login of its sender.
#[track_caller]
fn send(node: &Node, to: &[&str]) {
    let mut client = Client::greet(node.smtp()).unwrap();
    client.say(&format!("AUTH PLAIN {}", STANDARD.encode("\0news\0correct horse")), "235").unwrap();
    client.mail("list@senders.test", to, "From: <list@senders.test>\r\nSubject: The newsletter\r\n\r\nhello").unwrap();
}

/// A report that reaches a return path, from somebody who has not logged in.
fn report_to(node: &Node, to: &str, report: &str) -> std::io::Result<String> {
    let mut client = Client::greet(node.smtp())?;
    client.say("MAIL FROM:<>", "250")?;
    client.say(&format!("RCPT TO:<{to}>"), "250")?;
    client.say("DATA", "354")?;
    client.say(&format!("{report}\r\n."), "250")
}

fn dsn(recipient: &str) -> String {
    format!(
        "From: MAILER-DAEMON@mx.recipients.test\r\nTo: <x@returns.test>\r\nSubject: Undelivered\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=x\r\n\r\n\
         --x\r\n\r\nSorry.\r\n--x\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.recipients.test\r\n\r\n\
         Final-Recipient: rfc822; {recipient}\r\nAction: failed\r\nStatus: 5.1.1\r\n\
         Diagnostic-Code: smtp; 550 5.1.1 <{recipient}>: User unknown\r\n\r\n--x--\r\n"
    )
}

fn complaint(token: &str) -> String {
    format!(
        "From: feedback@provider.test\r\nTo: fbl@returns.test\r\nSubject: complaint\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=feedback-report; boundary=x\r\n\r\n\
         --x\r\n\r\nSomebody complained.\r\n--x\r\nContent-Type: message/feedback-report\r\n\r\n\
         Feedback-Type: abuse\r\nUser-Agent: Provider/1.0\r\nVersion: 1\r\nOriginal-Rcpt-To: <redacted@recipients.test>\r\n\r\n\
         --x\r\nContent-Type: text/rfc822-headers\r\n\r\nX-SM2TP-Ref: {token}\r\nSubject: The newsletter\r\n\r\n--x--\r\n"
    )
}

fn token_of(mail: &Mail) -> String {
    let text = mail.text();
    let line = text.lines().find_map(|line| line.strip_prefix("X-SM2TP-Ref: "));
    line.unwrap_or_else(|| panic!("no token in\n{text}")).trim().to_owned()
}

fn count(node: &Node, kind: &str) -> u64 {
    let answer = node.get("/api/v1/status");
    let json: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    let counters = json["counters"].as_array().unwrap();
    counters.iter().filter(|counter| counter["kind"] == kind).map(|counter| counter["count"].as_u64().unwrap()).sum()
}

#[track_caller]
fn wait_for_count(node: &Node, kind: &str, want: u64) {
    wait_until(&format!("{want} {kind}"), LONG, || count(node, kind) == want);
    assert_eq!(count(node, kind), want);
}

#[test]
fn what_bounces_after_the_yes_comes_back_is_counted_once_and_goes_on_to_the_sender() {
    let (sink, at_node) = (Sink::with(refuses_gone), free_address());
    let settings = "relay_domains = recipients.test\ntransport_maps = texthash:{dir}/transport\n\
        smtpd_recipient_restrictions = permit_mynetworks, reject_unauth_destination\n";
    let transport = format!(
        "recipients.test smtp:[127.0.0.1]:{}\nreturns.test smtp:[127.0.0.1]:{}\nsenders.test smtp:[127.0.0.1]:{}\n",
        sink.address.port(),
        at_node.port(),
        sink.address.port()
    );
    let mx = Postfix::with_files("mx.recipients.test", settings, &[("transport", &transport)]);
    let node = node(&config(at_node, mx.address, ""));
    send(&node, &["anna@recipients.test", "gone@recipients.test", "bob@recipients.test"]);

    let (anna, bob) = (sink.mail_to("anna@recipients.test"), sink.mail_to("bob@recipients.test"));
    for mail in [&anna, &bob] {
        assert_eq!(mail.from, format!("{}@returns.test", token_of(mail)), "{:?}", mail.commands);
        assert_eq!(mail.to.len(), 1);
    }
    assert_ne!(token_of(&anna), token_of(&bob));
    wait_for_count(&node, "returned", 1);
    let decision = node.decision("gone@recipients.test", "bulk");
    assert_eq!((decision["decision"].as_str(), decision["rule"].as_str()), (Some("refuse"), Some("own-hard")));
    assert_eq!(node.decision("anna@recipients.test", "bulk")["decision"], "send");
    // Other nodes will hear of it, and that a report said so.
    let (ledger, query) = (node.data().join("ledger.sqlite").display().to_string(), "SELECT record FROM publish");
    let witnesses =
        "import sqlite3, sys; print([r[1] & 15 for (r,) in sqlite3.connect(sys.argv[1]).execute(sys.argv[2])])";
    assert_eq!(run("python3", &["-c", witnesses, &ledger, query], ""), "[2]\n");
    // The report of Postfix, as it would have come without us.
    let report = sink.mail_to("list@senders.test");
    assert_eq!(report.from, "");
    let text = report.text();
    assert!(
        text.contains("Final-Recipient: rfc822; gone@recipients.test") && text.contains("mx.recipients.test"),
        "{text}"
    );
    // Read again, it says what it said: the send log keeps all that the rules were asked with.
    let replayed = node.ask(&["classify", "--replay"]);
    assert_eq!((&replayed["changed"], &replayed["too_old"]), (&0.into(), &0.into()), "{replayed}");
    assert!(replayed["read"].as_u64() >= Some(1), "{replayed}");
    // Whoever brings the same report again changes nothing.
    let returned = text.lines().find_map(|line| line.strip_prefix("X-SM2TP-Ref: ")).unwrap().trim().to_owned();
    report_to(&node, &format!("{returned}@returns.test"), &dsn("gone@recipients.test")).unwrap();
    wait_for_count(&node, "report-read", 1);
    assert_eq!(count(&node, "returned"), 1);
}

#[test]
fn forged_reports_are_refused_before_their_content_and_the_door_relays_for_nobody() {
    let sink = Sink::start();
    let node = node(&config(free_address(), sink.address, ""));
    send(&node, &["anna@recipients.test"]);
    let token = token_of(&sink.mail_to("anna@recipients.test"));
    let server = node.smtp().to_string();
    let forged = format!("{}a@returns.test", &token[..36]);
    let forged = if forged.starts_with(&token) { format!("{}b@returns.test", &token[..36]) } else { forged };
    for to in [forged.as_str(), "postmaster@returns.test", "anna@returns.test"] {
        let said = try_swaks(&["--server", &server, "--from", "<>", "--to", to, "--body", "x"]);
        assert!(said.stdout.contains("550 5.1.1 There is no such address here"), "{to}: {}", said.stdout);
        assert!(!said.stdout.contains("DATA"), "{to}: {}", said.stdout);
    }
    let mut client = Client::greet(node.smtp()).unwrap();
    client.say("MAIL FROM:<spam@bank.test>", "250").unwrap();
    client.say("RCPT TO:<anna@recipients.test>", "530 5.7.0").unwrap();
    client.say(&format!("RCPT TO:<{token}@RETURNS.test>"), "250").unwrap();
    client.say("RCPT TO:<anna@recipients.test>", "530 5.7.0").unwrap();
    client.say("RCPT TO:<fbl@returns.test>", "452 4.5.3").unwrap();
    client.say("DATA", "354").unwrap();
    // A person's answer to the return path is not swallowed.
    client.say("From: <spam@bank.test>\r\nSubject: Re: The newsletter\r\n\r\nthank you\r\n.", "550 5.7.1").unwrap();
    // A report that names another person than the token does.
    report_to(&node, &format!("{}@returns.test", token.to_uppercase()), &dsn("victim@recipients.test")).unwrap();
    report_to(&node, "returns@returns.test", &dsn("victim@recipients.test")).unwrap();
    wait_for_count(&node, "unattributed", 1);
    assert_eq!(node.decision("victim@recipients.test", "bulk")["decision"], "send");
    assert!(node.queue().is_empty() && sink.mails().iter().all(|mail| mail.to != ["spam@bank.test"]));
}

#[test]
fn of_a_long_report_the_beginning_counts_and_without_a_token_it_is_refused() {
    let sink = Sink::start();
    let node = node(&config(free_address(), sink.address, ""));
    send(&node, &["anna@recipients.test"]);
    let token = token_of(&sink.mail_to("anna@recipients.test"));
    let long = dsn("anna@recipients.test") + &"the whole mail\r\n".repeat(200_000);
    assert!(report_to(&node, "fbl@returns.test", &long).unwrap_err().to_string().contains("552 5.3.4"));
    report_to(&node, &format!("{token}@returns.test"), &long).unwrap();
    wait_for_count(&node, "returned", 1);
}

/// Holds the lock for writing until its input ends.
const LOCK: &str = r#"
import sqlite3, sys
ledger = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)
ledger.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
"#;

#[test]
fn a_report_that_goes_on_is_not_signed_and_goes_once_whatever_the_ledger_does() {
    let sink = Sink::start();
    let more = "[dkim]\ndefault = \"relay.example.org\"\nsign = \"ed25519\"\n";
    let node = node(&config(free_address(), sink.address, more));
    node.ask(&["dkim", "new", "relay.example.org"]);
    send(&node, &["anna@recipients.test"]);
    let token = token_of(&sink.mail_to("anna@recipients.test"));
    wait_for_count(&node, "delivered", 1);
    let ledger = node.data().join("ledger.sqlite");
    let mut python = Command::new(program("python3"));
    python.args(["-c", LOCK]).arg(&ledger).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut lock = python.spawn().unwrap();
    let mut said = String::new();
    BufReader::new(lock.stdout.take().unwrap()).read_line(&mut said).unwrap();
    // A stranger writes in our name.
    let report =
        dsn("anna@recipients.test").replace("MAILER-DAEMON@mx.recipients.test", "postmaster@relay.example.org");
    report_to(&node, &format!("{token}@returns.test"), &report).unwrap();
    let passed_on = sink.mail_to("list@senders.test").text();
    wait_until("trouble", LONG, || node.log().contains("reports cannot be counted"));
    drop(lock.stdin.take());
    lock.wait().unwrap();
    wait_for_count(&node, "returned", 1);
    node.wait_for_empty_queue();
    assert_eq!(sink.mails().iter().filter(|mail| mail.to == ["list@senders.test"]).count(), 1);
    assert!(passed_on.contains("From: postmaster@relay.example.org"), "{passed_on}");
    assert!(!passed_on.to_ascii_lowercase().contains("dkim-signature"), "{passed_on}");
    assert!(passed_on.starts_with("Received: from ") && passed_on.contains("([127.0.0.1])"), "{passed_on}");
}

#[test]
fn a_complaint_stops_the_newsletter_for_one_person_and_the_org_is_told() {
    let sink = Sink::start();
    let mut node = node(&config(free_address(), sink.address, ""));
    node.ask(&["org", "returns", "org-news", "--contact", "boss@senders.test"]);
    send(&node, &["anna@recipients.test", "bob@recipients.test"]);
    let token = token_of(&sink.mail_to("anna@recipients.test"));
    report_to(&node, "fbl@returns.test", &complaint(&token)).unwrap();
    wait_for_count(&node, "complained", 1);
    let decision = |address: &str, org: &str| {
        let explained = node.ask(&["explain", address, "--stream", "bulk", "--org", org]);
        explained["decisions"][0]["decision"].as_str().unwrap().to_owned()
    };
    assert_eq!(decision("anna@recipients.test", "org-news"), "refuse");
    assert_eq!(decision("anna@recipients.test", "local"), "send");
    assert_eq!(decision("bob@recipients.test", "org-news"), "send");
    // Without a token of ours, nobody's complaint.
    report_to(&node, "fbl@returns.test", &complaint("a")).unwrap();
    wait_for_count(&node, "unattributed", 1);
    assert_eq!(count(&node, "complained"), 1);
    // Looked for every ten minutes, and at the start.
    node.kill();
    node.serve();
    let notice = sink.mail_to("boss@senders.test").text();
    assert!(notice.contains("complained at their provider: 1") && notice.contains("anna@recipients.test"), "{notice}");
    // Not killed: who is killed before it has recorded a delivery sends again.
    node.terminate(LONG);
    node.serve();
    node.wait_for_empty_queue();
    assert_eq!(sink.mails().iter().filter(|mail| mail.to == ["boss@senders.test"]).count(), 1, "once a day");
}

#[test]
fn a_node_that_is_killed_after_its_250_counts_the_report_once() {
    let sink = Sink::start();
    let smtp = free_address();
    let mut node = node(&config(smtp, sink.address, ""));
    send(&node, &["anna@recipients.test", "bob@recipients.test"]);
    let tokens = ["anna", "bob"].map(|name| token_of(&sink.mail_to(&format!("{name}@recipients.test"))));
    node.wait_for_empty_queue();
    wait_for_count(&node, "delivered", 2);
    for round in 0..6 {
        let token = &tokens[round % 2];
        report_to(
            &node,
            &format!("{token}@returns.test"),
            &dsn(["anna@recipients.test", "bob@recipients.test"][round % 2]),
        )
        .unwrap();
        node.kill();
        node.serve();
    }
    wait_for_count(&node, "report-read", 4);
    assert_eq!(count(&node, "returned"), 2);
}

#[test]
fn mailboxes_and_a_command_bring_reports_too() {
    let sink = Sink::start();
    let folder = crate::wait::Folder::new("boxes");
    for name in ["maildir/new", "maildir/cur", "maildir/tmp"] {
        fs::create_dir_all(folder.join(name)).unwrap();
    }
    let more = format!("maildir = \"{0}/maildir\"\nmbox = \"{0}/mbox\"\n", folder.path().display());
    let node = node(&config(free_address(), sink.address, &more));
    send(&node, &["anna@recipients.test", "bob@recipients.test", "carl@recipients.test"]);
    let token = |name: &str| token_of(&sink.mail_to(&format!("{name}@recipients.test")));
    let noted = |name: &str| {
        let to = format!("Delivered-To: {}@returns.test\n", token(name));
        to + &dsn(&format!("{name}@recipients.test")).replace("\r\n", "\n")
    };
    let (anna, bob) = (noted("anna"), noted("bob"));
    // One that cannot be moved, because a folder has its name there, comes first and stops no other.
    fs::create_dir_all(folder.join("maildir/cur/0.stuck.host:2,S")).unwrap();
    fs::write(folder.join("maildir/new/0.stuck.host"), "Subject: ha\n\nha\n").unwrap();
    fs::write(folder.join("maildir/new/1.a.host"), &anna).unwrap();
    // The second mail is half written; nobody may take it yet.
    fs::write(folder.join("mbox"), format!("From x\n{bob}\nFrom y\nSubject: ha")).unwrap();
    let command = |name: &str| {
        let to = format!("{}@returns.test", token(name));
        node.run_with(&["report", "--take", "--recipient", &to], &dsn(&format!("{name}@recipients.test")))
    };
    assert_eq!(command("carl").exit, 0);
    wait_for_count(&node, "returned", 3);
    for name in ["anna", "bob", "carl"] {
        assert_eq!(node.decision(&format!("{name}@recipients.test"), "bulk")["rule"], "own-hard", "{name}");
    }
    assert!(folder.join("maildir/cur/1.a.host:2,S").exists());
    let forged = node.run_with(&["report", "--take", "--recipient", "nobody@returns.test"], &dsn("x@recipients.test"));
    assert_eq!(forged.exit, 65, "{}", forged.stderr);
}

#[test]
fn one_click_ends_the_newsletter_and_a_look_does_not() {
    let sink = Sink::start();
    let node = node(&config(free_address(), sink.address, ""));
    node.ask(&["org", "returns", "org-news", "--unsubscribe", "on"]);
    send(&node, &["anna@recipients.test", "bob@recipients.test"]);
    let text = sink.mail_to("anna@recipients.test").text();
    let url = text.lines().find_map(|line| line.strip_prefix("List-Unsubscribe: <")).unwrap().trim_end_matches('>');
    assert!(text.contains("List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"), "{text}");
    let path = url.strip_prefix("https://relay.example.org").unwrap();
    let stopped = || node.ask(&["explain", "anna@recipients.test", "--org", "org-news"])["opted_out"] == true;
    let page = get(node.http(), path);
    assert!(
        page.starts_with("HTTP/1.1 200") && page.contains("<form method=\"post\">") && page.contains("org-news"),
        "{page}"
    );
    assert!(!stopped());
    let curl = |path: &str, more: &[&str]| {
        let url = format!("http://{}{path}", node.http());
        said(Command::new(program("curl")).args(["-s", "-w", "%{http_code}"]).args(more).arg(url), "").stdout
    };
    let forged = format!("{}AAAA", &path[..path.len() - 4]);
    assert!(
        curl(&forged, &[]).ends_with("404") && curl(&forged, &["-d", "List-Unsubscribe=One-Click"]).ends_with("404")
    );
    assert!(curl(path, &["-d", "x=y"]).ends_with("400") && !stopped());
    // As a mail program does it (RFC 8058 §3.1), and a second time.
    for _ in 0..2 {
        let done = curl(path, &["-F", "List-Unsubscribe=One-Click", "-H", "Accept-Language: fr"]);
        assert!(done.ends_with("200") && done.contains("C’est fait"), "{done}");
    }
    assert!(stopped());
    wait_for_count(&node, "unsubscribed", 1);
    let refused = wait_for("a refusal", LONG, || {
        let mut client = Client::greet(node.smtp()).ok()?;
        client.say(&format!("AUTH PLAIN {}", STANDARD.encode("\0news\0correct horse")), "235").ok()?;
        client.say("MAIL FROM:<list@senders.test>", "250").ok()?;
        client.say("RCPT TO:<anna@recipients.test>", "550 5.7.1").ok()
    });
    assert!(refused.contains("opted out"), "{refused}");
    // She asks for it again.
    let explained = node.ask(&["explain", "anna@recipients.test", "--org", "org-news"]);
    assert_eq!(explained["release"], "sm2tp suppress remove anna@recipients.test --org org-news");
    assert!(node.ask(&["suppress", "remove", "anna@recipients.test"])["lifted"].as_array().unwrap().is_empty());
    node.ask(&["suppress", "remove", "anna@recipients.test", "--org", "org-news", "--note", "she wrote"]);
    assert!(!stopped());
    // Bob's own copy had another link.
    assert!(!sink.mail_to("bob@recipients.test").text().contains(url));
}

/// The lines of docs/returns.md.
#[test]
fn a_postfix_in_front_asks_about_each_return_path_before_it_takes_a_report() {
    let (sink, at_node) = (Sink::start(), free_address());
    let node = node(&config(at_node, sink.address, ""));
    let settings = format!(
        "relay_domains = $mydestination, returns.test\n\
         transport_maps = inline:{{ returns.test=smtp:[127.0.0.1]:{} }}\n\
         smtpd_recipient_restrictions = permit_sasl_authenticated, reject_unauth_destination,\n  \
         check_recipient_access inline:{{ returns.test=reject_unverified_recipient }}\n\
         unverified_recipient_reject_code = 550\nmynetworks = 127.0.0.9\naddress_verify_poll_delay = 1s\n",
        at_node.port()
    );
    let front = Postfix::start("mx.returns.test", &settings);
    send(&node, &["anna@recipients.test"]);
    let path = format!("{}@returns.test", token_of(&sink.mail_to("anna@recipients.test")));
    let mut client = Client::greet(front.address).unwrap();
    client.say("MAIL FROM:<>", "250").unwrap();
    let refused = client.say("RCPT TO:<forged@returns.test>", "550 5.1.1").unwrap();
    assert!(refused.contains("There is no such address here"), "{refused}");
    client.say(&format!("RCPT TO:<{path}>"), "250").unwrap();
    client.say("DATA", "354").unwrap();
    client.say(&format!("{}\r\n.", dsn("anna@recipients.test")), "250").unwrap();
    wait_for_count(&node, "returned", 1);
}

/// A client from Python's library: what it is told of each recipient.
const LMTP: &str = r#"
import smtplib, sys
host, port = sys.argv[1].rsplit(":", 1)
for to in sys.argv[2:]:
    with smtplib.LMTP(host, int(port)) as server:
        try:
            print(server.sendmail("", [to], sys.stdin.read() if to == sys.argv[2] else "x"))
        except smtplib.SMTPRecipientsRefused as refused:
            print(refused.recipients[to][0])
"#;

#[test]
fn reports_come_by_lmtp_and_nothing_else_does() {
    let sink = Sink::start();
    let trusted = "trusted_networks = [\"127.0.0.1\"]\n[relay]";
    let config = config(free_address(), sink.address, "lmtp = [\"127.0.0.1:0\"]\n").replace("[relay]", trusted);
    let node = node(&config);
    send(&node, &["anna@recipients.test"]);
    let path = format!("{}@returns.test", token_of(&sink.mail_to("anna@recipients.test")));
    let args = ["-c", LMTP, &node.lmtp().to_string(), &path, "anna@recipients.test", "nobody@returns.test"];
    assert_eq!(run("python3", &args, &dsn("anna@recipients.test")), "{}\n530\n550\n");
    wait_for_count(&node, "returned", 1);
    let mut client = Client::dial(node.lmtp()).unwrap();
    client.expect("220 relay.example.org LMTP").unwrap();
    client.say("EHLO client.test", "500 5.5.1").unwrap();
    client.say("lhlo client.test", "250").unwrap();
    client.say("AUTH PLAIN AG5ld3MAeA==", "502").unwrap();
    // RFC 2033 §4.2: a reply for each RCPT that was accepted, whoever was named again.
    client.say("MAIL FROM:<>", "250").unwrap();
    client.say(&format!("RCPT TO:<{path}>"), "250").unwrap();
    client.say(&format!("RCPT TO:<{path}>"), "250").unwrap();
    client.say("DATA", "354").unwrap();
    client.say(&format!("{}\r\n.", dsn("anna@recipients.test")), "250").unwrap();
    client.expect("250").unwrap();
    client.say("RSET", "250 2.0.0").unwrap();
    wait_for_count(&node, "report-read", 1);
}

#[test]
fn a_report_that_breaks_off_in_the_middle_of_a_chunk_is_none() {
    let sink = Sink::start();
    let node = node(&config(free_address(), sink.address, ""));
    send(&node, &["anna@recipients.test"]);
    let path = format!("{}@returns.test", token_of(&sink.mail_to("anna@recipients.test")));
    wait_for_count(&node, "delivered", 1);
    let report = dsn("anna@recipients.test");
    let begin = || {
        let mut client = Client::greet(node.smtp()).unwrap();
        client.say("MAIL FROM:<>", "250").unwrap();
        client.say(&format!("RCPT TO:<{path}>"), "250").unwrap();
        client
    };
    for command in [format!("BDAT {} LAST", report.len()), "BDAT 100000 LAST".to_owned()] {
        let mut client = begin();
        client.write(format!("{command}\r\n{}", &report[..report.len() - 1]).as_bytes()).unwrap();
        drop(client);
    }
    let mut client = begin();
    client.write(format!("BDAT {} LAST\r\n{report}", report.len()).as_bytes()).unwrap();
    client.expect("250").unwrap();
    wait_for_count(&node, "returned", 1);
    assert_eq!(count(&node, "report-read") + count(&node, "unattributed"), 0);
}

#[test]
fn a_report_about_a_mail_that_nobody_recorded_keeps_no_other_waiting() {
    let sink = Sink::start();
    let node = node(&config(free_address(), sink.address, ""));
    send(&node, &["anna@recipients.test"]);
    let unknown = token_of(&sink.mail_to("anna@recipients.test"));
    wait_for_count(&node, "delivered", 1);
    let forget = "import sqlite3, sys; b = sqlite3.connect(sys.argv[1], timeout=30); b.execute('DELETE FROM returned'); b.commit()";
    run("python3", &["-c", forget, &node.data().join("ledger.sqlite").display().to_string()], "");
    send(&node, &["bob@recipients.test"]);
    let known = token_of(&sink.mail_to("bob@recipients.test"));
    report_to(&node, &format!("{unknown}@returns.test"), &dsn("anna@recipients.test")).unwrap();
    report_to(&node, &format!("{known}@returns.test"), &dsn("bob@recipients.test")).unwrap();
    wait_for_count(&node, "returned", 1);
    wait_for_count(&node, "unattributed", 1);
    let log = node.log();
    let at = |words: &str| log.find(words).unwrap_or_else(|| panic!("no {words:?} in {log}"));
    assert!(at("a report was counted") < at("it changes nothing"), "{log}");
    // Nobody is named where reports waited.
    let spool = node.data().join("spool");
    for name in ["reports.sqlite", "reports.sqlite-wal"] {
        let octets = fs::read(spool.join(name)).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&octets).contains("recipients.test"), "{name}");
    }
}

/// What dkimpy says of each signature, with the records that we tell people to publish.
const VERIFY: &str = r#"
import json, sys, dkim
records = {record["name"]: record["value"] for record in json.loads(sys.argv[1])}
message = bytes.fromhex(sys.stdin.read())
txt = lambda name, timeout=5: records[name.decode().rstrip(".")].encode()
print(" ".join(str(dkim.DKIM(message).verify(idx=i, dnsfunc=txt)) for i in range(2)))
"#;

#[test]
fn token_and_link_are_signed_and_each_recipient_gets_its_own_on_one_connection() {
    let sink = Sink::offering(&["DSN", "8BITMIME"], |_| None);
    let node = node(&config(free_address(), sink.address, ""));
    node.ask(&["org", "returns", "org-news", "--unsubscribe", "on"]);
    node.ask(&["dkim", "new", "senders.test"]);
    let records = node.ask(&["dkim", "record", "senders.test"]).to_string();
    let names = ["anna", "bob", "carl"].map(|name| format!("{name}@recipients.test"));
    send(&node, &names.each_ref().map(String::as_str));
    let mails = names.each_ref().map(|name| sink.mail_to(name));
    for mail in &mails {
        let hex: String = mail.content.iter().map(|octet| format!("{octet:02x}")).collect();
        assert_eq!(run("/usr/bin/python3", &["-c", VERIFY, &records], &hex).trim(), "True True", "{}", mail.text());
        let text = mail.text().to_ascii_lowercase().replace("\r\n\t", "");
        let signed = text.lines().find(|line| line.starts_with("dkim-signature:")).unwrap().replace(' ', "");
        for field in ["x-sm2tp-ref", "list-unsubscribe", "list-unsubscribe-post"] {
            let names = signed.split(";h=").nth(1).unwrap().split(';').next().unwrap().split(':');
            assert_eq!(
                names.filter(|name| *name == field).count(),
                2,
                "none can be added on the way: {field} in {signed}"
            );
        }
        let token = token_of(mail);
        assert!(mail.commands[0].starts_with(&format!("MAIL FROM:<{token}@returns.test>")), "{:?}", mail.commands);
        assert!(mail.commands[0].ends_with(&format!(" RET=HDRS ENVID={token}")), "{:?}", mail.commands);
        assert_eq!((mail.connection, mail.to.len()), (mails[0].connection, 1));
    }
    // What the sender calls its mail is the sender's.
    let mut client = Client::greet(node.smtp()).unwrap();
    client.say(&format!("AUTH PLAIN {}", STANDARD.encode("\0news\0correct horse")), "235").unwrap();
    client.say("MAIL FROM:<list@senders.test> ENVID=mine RET=FULL", "250").unwrap();
    client.say("RCPT TO:<dora@recipients.test>", "250").unwrap();
    client.say("DATA", "354").unwrap();
    client
        .say("From: <list@senders.test>\r\nList-Unsubscribe: <mailto:off@senders.test>\r\n\r\nx\r\n.", "250")
        .unwrap();
    let dora = sink.mail_to("dora@recipients.test");
    assert!(dora.commands[0].contains(" RET=FULL ENVID=mine"), "{:?}", dora.commands);
    assert!(!dora.text().contains("One-Click"), "it has a way out of its own: {}", dora.text());
}

#[test]
fn an_org_that_wants_its_reports_itself_keeps_its_return_path() {
    let sink = Sink::start();
    let node = node(&config(free_address(), sink.address, ""));
    node.ask(&["org", "returns", "org-news", "--return-path", "sender"]);
    send(&node, &["anna@recipients.test", "bob@recipients.test"]);
    let mail = sink.mail_to("anna@recipients.test");
    assert_eq!((mail.from.as_str(), mail.to.len()), ("list@senders.test", 2));
    assert!(!mail.text().contains("X-SM2TP-Ref"));
}
