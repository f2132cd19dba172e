//! The whole road with real programs: Postfix sends through node A to another Postfix; what A learns, node B knows.

use std::time::Duration;

use serde_json::Value;

use crate::mta::Postfix;
use crate::node::Node;
use crate::peers::{federation, peer};
use crate::programs::{Certificate, swaks};
use crate::wait::{free_address, wait_for, wait_until};

const LONG: Duration = Duration::from_secs(30);

/// The servers of the recipients and of the senders, which is one here.
fn recipients(certificate: &Certificate) -> Postfix {
    let settings = "virtual_mailbox_domains = recipients.test, senders.test\n\
        virtual_mailbox_base = {dir}/mail\n\
        virtual_mailbox_maps = texthash:{dir}/users\n\
        virtual_uid_maps = static:65534\n\
        virtual_gid_maps = static:65534\n\
        smtpd_recipient_restrictions = permit_mynetworks, reject_unauth_destination\n";
    let users = "anna@recipients.test anna/\nbob@recipients.test bob/\nlist@senders.test list/\n";
    let tls = format!(
        "smtpd_tls_security_level = may\nsmtpd_tls_cert_file = {}\nsmtpd_tls_key_file = {}\n",
        certificate.certificate.display(),
        certificate.key.display()
    );
    Postfix::with_files("mx.recipients.test", &format!("{settings}{tls}"), &[("users", users)])
}

fn node(name: &str, smtp: &str, recipients: &Postfix) -> Node {
    let (http, to) = (free_address(), recipients.address);
    Node::start(&format!(
        "hostname = \"relay-{name}.example.org\"\n[http]\nlisten = [\"{http}\"]\n\
         [smtp]\nlisten = [\"127.0.0.1:0\"]\n{smtp}\n\
         [relay]\nroutes = {{ \"recipients.test\" = \"{to}\", \"senders.test\" = \"{to}\" }}\n{}",
        federation(http)
    ))
}

#[test]
fn what_postfix_learned_through_one_node_the_other_node_knows() {
    let mx = Certificate::new("mx.recipients.test");
    let recipients = recipients(&mx);
    let certificate = Certificate::new("relay-b.example.org");
    let a = node("a", "trusted_networks = [\"127.0.0.1\"]", &recipients);
    let b = node("b", &certificate.config(), &recipients);
    let client = Postfix::start("client.senders.test", &format!("relayhost = [127.0.0.1]:{}\n", a.smtp().port()));
    peer(&a, &b);

    let message = "From: List <list@senders.test>\nTo: all\nSubject: Assembly\n\nSee you there. Déjà vu.\n";
    client.sendmail("list@senders.test", &["anna@recipients.test", "gone@recipients.test"], message);
    wait_until("anna has her mail", LONG, || !recipients.mailbox("anna").is_empty());
    let mail = &recipients.mailbox("anna")[0];
    assert!(mail.contains("Subject: Assembly") && mail.contains("Déjà vu."), "{mail}");
    assert!(mail.contains("by relay-a.example.org (SM2TP)"), "{mail}");
    assert!(mail.contains("with ESMTPS id"), "nobody on the way reads it: {mail}");
    a.wait_for_empty_queue();
    assert_eq!(recipients.mailbox("anna").len(), 1);
    check_report(&wait_for("the report", LONG, || recipients.mailbox("list").into_iter().next()));

    let at_a = wait_for("A knows", LONG, || {
        Some(a.decision("gone@recipients.test", "bulk")).filter(|decision| decision["decision"] == "refuse")
    });
    assert_eq!(at_a["rule"], "own-hard", "{at_a}");
    // The next one is told at once, by Postfix itself: A answers 550 to its RCPT.
    client.sendmail("list@senders.test", &["gone@recipients.test"], message);
    wait_until("the second report", LONG, || recipients.mailbox("list").len() == 2);
    let log = client.log();
    assert!(
        log.contains("status=bounced") && log.contains("not sent: earlier mail to this address was refused"),
        "{log}"
    );

    b_holds_bulk_and_sends_letters(&b);
    swaks_is_held_at(&b, &certificate, &recipients);
}

fn b_holds_bulk_and_sends_letters(b: &Node) {
    wait_until("B has learned it from A", LONG, || b.decision("gone@recipients.test", "bulk")["decision"] != "send");
    let explained = b.ask(&["explain", "gone@recipients.test"]);
    let decision = |stream: &str| {
        let decisions = explained["decisions"].as_array().unwrap();
        decisions.iter().find(|decision| decision["stream"] == stream).unwrap()["decision"].clone()
    };
    assert_eq!(decision("bulk"), "hold", "{explained}");
    assert_eq!(decision("personal"), "send", "{explained}");
    let votes = explained["federated"]["votes"].as_array().unwrap();
    assert_eq!((votes.len(), &votes[0]["class"]), (1, &Value::from(1)), "{explained}");
    assert_eq!(votes[0]["name"], "relay-a.example.org", "{explained}");
    assert!(explained["own"].is_null(), "B itself has seen nothing: {explained}");
    assert_eq!(b.decision("anna@recipients.test", "bulk")["decision"], "send", "only the dead address is held");
}

fn swaks_is_held_at(b: &Node, certificate: &Certificate, recipients: &Postfix) {
    b.add_login("news", "correct horse", "asso.test", "bulk");
    let (server, ca) = (b.smtp().to_string(), certificate.certificate.display().to_string());
    for to in ["gone@recipients.test", "bob@recipients.test"] {
        let args = ["--server", &server, "--from", "news@asso.test", "--to", to, "--tls", "--tls-ca-path", &ca];
        let login = ["--auth", "PLAIN", "--auth-user", "news", "--auth-password", "correct horse"];
        let said = swaks(&[&args[..], &login, &["--h-Subject", "The newsletter"]].concat());
        assert!(said.contains("~> DATA") && said.contains("queued as"), "{said}");
    }
    wait_until("bob has his newsletter", LONG, || !recipients.mailbox("bob").is_empty());
    let queue = wait_for("one waits", LONG, || Some(b.queue()).filter(|queue| queue.len() == 1));
    assert_eq!(queue[0]["recipient"], "gone@recipients.test", "{queue:?}");
    assert_eq!(queue[0]["lane"], "held", "{queue:?}");
    let note = queue[0]["note"].as_str().unwrap();
    assert!(note.starts_with("federated: 1 other mail hoster"), "{note}");
    let in_words = b.run(&["queue", "list"]).stdout;
    assert!(in_words.contains("held") && in_words.contains("gone@recipients.test"), "{in_words}");
}

/// RFC 3464: a person reads why, a program reads which address.
#[track_caller]
fn check_report(report: &str) {
    let flat = report.replace("\r\n", "\n");
    assert!(flat.contains("Return-Path: <>"), "{flat}");
    for field in [
        "multipart/report",
        "report-type=\"delivery-status\"",
        "Auto-Submitted: auto-replied",
        "Content-Type: message/delivery-status",
        "\nReporting-MTA: dns; relay-a.example.org\n",
        "\nFinal-Recipient: rfc822; gone@recipients.test\nAction: failed\nStatus: 5.1.1\n",
        "\nDiagnostic-Code: smtp; 550 5.1.1 <gone@recipients.test>",
        "User unknown",
        "Subject: Assembly",
    ] {
        assert!(flat.contains(field) || flat.contains(&field.replace('"', "")), "{field} is missing in:\n{flat}");
    }
    assert!(!flat.contains("anna@recipients.test"), "anna got it:\n{flat}");
}
