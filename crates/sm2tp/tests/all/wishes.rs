//! What a sender asked for, from its client through the node to the next server or to a report: DSN, delays, SMTPUTF8,
//! LIMITS.

use std::collections::HashSet;
use std::time::Duration;

use crate::client::Client;
use crate::node::Node;
use crate::sink::Sink;
use crate::wait::wait_until;

/// A node that gives everything to the sink; `relay` has further keys of that section.
fn node(sink: &Sink, relay: &str) -> Node {
    Node::start(&format!(
        "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\ntrusted_networks = [\"127.0.0.1\"]\n\
         [relay]\nsmarthost = \"{}\"\n{relay}",
        sink.address
    ))
}

/// One mail, said as it is written here.
fn send(node: &Node, mail: &str, rcpts: &[&str], content: &str) {
    let mut client = Client::greet(node.smtp()).unwrap();
    client.say(&format!("MAIL FROM:{mail}"), "250").unwrap();
    for rcpt in rcpts {
        client.say(&format!("RCPT TO:{rcpt}"), "250").unwrap();
    }
    client.say("DATA", "354").unwrap();
    client.say(&format!("{content}\r\n."), "250").unwrap();
}

/// Says no to people of refused.test.
fn refusing(to: &str) -> Option<String> {
    to.ends_with("@refused.test").then(|| "550 5.1.1 No such user".to_owned())
}

#[track_caller]
fn check(text: &str, wanted: &[&str]) {
    for want in wanted {
        assert!(text.contains(want), "{want} is not in\n{text}");
    }
}

#[test]
fn wishes_go_on_to_a_server_that_offers_dsn_which_then_reports() {
    let sink = Sink::offering(&["DSN", "SMTPUTF8"], refusing);
    let node = node(&sink, "");
    let rcpt = "<bob@example.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;bob+2Bx@example.test";
    send(&node, "<anna@good.test> RET=HDRS ENVID=my+20mail", &[rcpt, "<carl@example.test>"], "Subject: x\r\n");
    let mail = sink.mail_to("bob@example.test");
    let want = [
        "MAIL FROM:<anna@good.test> RET=HDRS ENVID=my+20mail",
        &format!("RCPT TO:{rcpt}"),
        "RCPT TO:<carl@example.test>",
    ];
    assert_eq!(mail.commands, want);
    node.wait_for_empty_queue();
    assert_eq!(sink.mails().len(), 1, "the next server reports, not we");
    // A report is not reported about.
    send(&node, "<anna@good.test>", &["<bob@refused.test>"], "Subject: x\r\n");
    let report = sink.mail_to("anna@good.test");
    assert_eq!(report.commands, ["MAIL FROM:<>", "RCPT TO:<anna@good.test> NOTIFY=NEVER"]);
}

#[test]
fn the_sender_hears_what_it_asked_to_hear() {
    let sink = Sink::with(refusing);
    let node = node(&sink, "");
    let rcpts = [
        "<taken@example.test> NOTIFY=SUCCESS",
        "<silent@example.test>",
        "<dead@refused.test> ORCPT=rfc822;first@refused.test",
        "<never@refused.test> NOTIFY=NEVER",
    ];
    send(&node, "<anna@good.test> RET=FULL ENVID=QQ314", &rcpts, "Subject: x\r\n\r\nthe whole body\r\n");
    wait_until("two reports", Duration::from_secs(20), || {
        sink.mails().iter().filter(|mail| mail.from.is_empty()).count() == 2
    });
    node.wait_for_empty_queue();
    let reports: Vec<String> =
        sink.mails().iter().filter(|mail| mail.from.is_empty()).map(|mail| mail.text()).collect();
    assert_eq!(reports.len(), 2);
    let (failed, passed): (Vec<_>, Vec<_>) = reports.iter().partition(|text| text.contains("Action: failed"));
    let wanted = [
        "Original-Envelope-Id: QQ314\r\n",
        "Original-Recipient: rfc822; first@refused.test\r\nFinal-Recipient: rfc822; dead@refused.test\r\n",
        "Content-Type: message/rfc822\r\n",
        "the whole body",
    ];
    check(failed[0], &wanted);
    assert!(!failed[0].contains("never@"), "{}", failed[0]);
    check(
        passed[0],
        &["Action: relayed", "Final-Recipient: rfc822; taken@example.test", "Original-Envelope-Id: QQ314"],
    );
    assert!(!passed[0].contains("the whole body") && !passed[0].contains("silent@"), "{}", passed[0]);
}

#[test]
fn a_delay_is_told_once_whatever_is_restarted() {
    let sink = Sink::with(|to| to.ends_with("@later.test").then(|| "451 4.3.0 Later".to_owned()));
    let mut node = node(&sink, "delay_notice = \"1s\"\nretry_first = \"1s\"\nretry_max = \"1s\"\n");
    send(&node, "<anna@good.test>", &["<bob@later.test>", "<carl@later.test> NOTIFY=FAILURE"], "Subject: x\r\n");
    send(&node, "<>", &["<null@later.test>"], "Subject: nobody waits for me\r\n");
    let notice = sink.mail_to("anna@good.test").text();
    check(
        &notice,
        &["Action: delayed\r\nStatus: 4.3.0\r\n", "Final-Recipient: rfc822; bob@later.test", "Will-Retry-Until: "],
    );
    assert!(!notice.contains("carl@later.test"), "{notice}");
    for _ in 0..2 {
        node.kill();
        node.serve();
        let tries = sink.asked();
        wait_until("it is tried again", Duration::from_secs(20), || tries + 9 <= sink.asked());
    }
    // Killed between a delivery and its record, a node delivers the same again.
    let id = |text: String| text.lines().find(|line| line.starts_with("Message-ID:")).map(str::to_owned);
    let notices: HashSet<_> =
        sink.mails().iter().filter(|mail| mail.from.is_empty()).map(|mail| id(mail.text())).collect();
    assert_eq!(notices.len(), 1);
}

#[test]
fn limits_of_the_next_server_are_kept() {
    let sink = Sink::offering(&["LIMITS RCPTMAX=2 MAILMAX=2"], |_| None);
    let node = node(&sink, "connections_per_site_max = 1\n");
    let names: Vec<String> = (0..9).map(|n| format!("<r{n}@example.test>")).collect();
    send(&node, "<anna@good.test>", &names.iter().map(String::as_str).collect::<Vec<_>>(), "Subject: x\r\n");
    node.wait_for_empty_queue();
    let mails = sink.mails();
    assert!(mails.iter().all(|mail| mail.to.len() <= 2), "{mails:?}");
    let mut all: Vec<String> = mails.iter().flat_map(|mail| mail.to.clone()).collect();
    all.sort();
    assert_eq!(all, (0..9).map(|n| format!("r{n}@example.test")).collect::<Vec<_>>());
    for mail in &mails {
        let together = mails.iter().filter(|other| other.connection == mail.connection).count();
        assert!(together <= 2, "{together} mails on one connection");
    }
}

#[test]
fn mail_beyond_ascii_goes_where_smtputf8_is_spoken_and_back_where_it_is_not() {
    let spoken = Sink::offering(&["SMTPUTF8", "8BITMIME"], |_| None);
    let with = node(&spoken, "");
    send(&with, "<anna@good.test> SMTPUTF8", &["<b\u{f6}b@ex\u{e4}mple.test>"], "Subject: \u{e9}t\u{e9}\r\n");
    let mail = spoken.mail_to("b\u{f6}b@ex\u{e4}mple.test");
    assert_eq!(mail.commands[0], "MAIL FROM:<anna@good.test> BODY=8BITMIME SMTPUTF8");
    check(&mail.text(), &[" with UTF8SMTP;", "Subject: \u{e9}t\u{e9}\r\n"]);

    let plain = Sink::offering(&["8BITMIME"], |_| None);
    let without = node(&plain, "");
    // What needs nothing goes anywhere: ASCII, and a domain that has a form for the DNS.
    send(&without, "<anna@good.test> SMTPUTF8", &["<bob@ex\u{e4}mple.test>"], "Subject: x\r\n\r\n\u{e9}t\u{e9}\r\n");
    let mail = plain.mail_to("bob@xn--exmple-cua.test");
    assert_eq!(mail.commands[0], "MAIL FROM:<anna@good.test> BODY=8BITMIME");
    // The local part and the header have no other form.
    send(&without, "<anna@good.test> SMTPUTF8", &["<b\u{f6}b@example.test>"], "Subject: x\r\n");
    let report = plain.mail_to("anna@good.test").text();
    check(
        &report,
        &["message/global-delivery-status", "Final-Recipient: utf-8; b\u{f6}b@example.test", "Status: 5.6.7"],
    );
    plain.take();
    send(&without, "<anna@good.test> SMTPUTF8", &["<bob@example.test>"], "Subject: \u{e9}t\u{e9}\r\n");
    check(
        &plain.mail_to("anna@good.test").text(),
        &["Status: 5.6.7", "message/global-headers", "Subject: \u{e9}t\u{e9}"],
    );
    // Header octets without SMTPUTF8 are an old habit, and go on as they are.
    send(&without, "<anna@good.test>", &["<carl@example.test>"], "Subject: \u{e9}t\u{e9}\r\n");
    plain.mail_to("carl@example.test");
}
