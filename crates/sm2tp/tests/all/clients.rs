//! Programs with which people really send: swaks, Python's smtplib, Postfix's smtp-source.

use std::collections::HashMap;

use crate::node::Node;
use crate::programs::{Certificate, run, swaks, try_swaks};
use crate::sink::Sink;

/// A node with TLS and the login anna of good.test, and what it delivers to.
fn node_and_sink(certificate: &Certificate) -> (Node, Sink) {
    let sink = Sink::start();
    let node = Node::start(&format!(
        "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\n{}trusted_networks = [\"127.0.0.1\"]\n\
         [relay]\nsmarthost = \"{}\"\n",
        certificate.config(),
        sink.address
    ));
    node.add_login("anna", "correct horse", "good.test", "personal");
    (node, sink)
}

/// Every recipient of `sink`, with how many copies it got.
fn copies(sink: &Sink) -> HashMap<String, usize> {
    let mut copies = HashMap::new();
    for to in sink.mails().into_iter().flat_map(|mail| mail.to) {
        *copies.entry(to).or_default() += 1;
    }
    copies
}

#[test]
fn swaks_sends_with_every_way_to_log_in() {
    let certificate = Certificate::new("relay.example.org");
    let (node, sink) = node_and_sink(&certificate);
    let server = node.smtp().to_string();
    let login = ["--auth-user", "anna", "--auth-password", "correct horse"];
    let ways: [(&str, &[&str], bool); 5] = [
        ("plain-tls", &["--tls", "--auth", "PLAIN"], true),
        ("login-tls", &["--tls", "--auth", "LOGIN"], true),
        // Nobody else hears a password on loopback.
        ("plain-clear", &["--auth", "PLAIN"], true),
        ("tls", &["--tls"], false),
        ("pipelined", &["--pipeline"], false),
    ];
    for (way, args, with_login) in ways {
        let to = format!("{way}@example.test");
        let fixed = ["--server", &server, "--from", "anna@good.test", "--to", &to, "--h-Subject", way];
        let said = swaks(&[&fixed[..], args, if with_login { &login } else { &[] }].concat());
        assert!(said.contains("queued as"), "{said}");
        let mail = sink.mail_to(&to);
        assert_eq!((mail.from.as_str(), mail.to.len()), ("anna@good.test", 1));
        let text = mail.text();
        assert!(text.contains(&format!("Subject: {way}\r\n")), "{text}");
        let protocol = match (way.contains("tls"), with_login) {
            (true, true) => " with ESMTPSA;",
            (true, false) => " with ESMTPS;",
            (false, true) => " with ESMTPA;",
            (false, false) => " with ESMTP;",
        };
        assert!(text.lines().take(3).any(|line| line.contains(protocol)), "{way}: {text}");
        // Where she sits is nobody's business when she has said who she is.
        assert_eq!(text.lines().take(3).any(|line| line.contains("127.0.0.1")), !with_login, "{way}: {text}");
    }
    node.wait_for_empty_queue();
    assert_eq!(copies(&sink).values().sum::<usize>(), ways.len());
}

#[test]
fn a_login_sends_for_its_own_domain_only_and_a_wrong_password_not_at_all() {
    let certificate = Certificate::new("relay.example.org");
    let (node, sink) = node_and_sink(&certificate);
    let server = node.smtp().to_string();
    let refused = |password: &str, from: &str| {
        let way = ["--server", &server, "--tls", "--auth", "PLAIN", "--auth-user", "anna", "--to", "bob@example.test"];
        try_swaks(&[&way[..], &["--auth-password", password, "--from", from]].concat())
    };
    let said = refused("wrong horse", "anna@good.test");
    assert!(said.exit != 0 && said.stdout.contains("535 5.7.8"), "{}", said.stdout);
    let said = refused("correct horse", "boss@bank.test");
    assert!(said.exit != 0 && said.stdout.contains("550 5.7.1 you may not send as bank.test"), "{}", said.stdout);
    assert!(sink.mails().is_empty() && node.queue().is_empty());
}

const SMTPLIB: &str = r#"
import smtplib, ssl, sys
port, certificate = int(sys.argv[1]), sys.argv[2]
context = ssl.create_default_context(cafile=certificate)
context.check_hostname = False  # the name is relay.example.org, the address loopback
body = "Subject: =?utf-8?q?caf=C3=A9?=\r\nFrom: anna@good.test\r\n\r\nun café\r\n.\r\n..deux\r\n".encode()
for mechanism in ("PLAIN", "LOGIN"):
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as server:
        server.starttls(context=context)
        server.ehlo()
        assert server.has_extn("8bitmime") and server.has_extn("size"), server.esmtp_features
        server.user, server.password = "anna", "correct horse"
        name = mechanism.lower()
        code, text = server.auth(mechanism, getattr(server, "auth_" + name))
        assert code == 235, (code, text)
        to = ["%s-%d@d%d.test" % (name, n, n % 3) for n in range(9)]
        assert server.sendmail("anna@good.test", to, body, mail_options=["BODY=8BITMIME"]) == {}
        # A second mail on the same connection, and a refused one that does not end it.
        try:
            server.sendmail("boss@bank.test", ["nobody@example.test"], body)
            raise SystemExit("bank.test was taken")
        except smtplib.SMTPSenderRefused as refusal:
            assert refusal.smtp_code == 550, refusal
        assert server.sendmail("anna@good.test", [name + "-again@example.test"], body) == {}
print("done")
"#;

#[test]
fn pythons_smtplib_logs_in_both_ways_and_its_octets_arrive() {
    let certificate = Certificate::new("relay.example.org");
    let (node, sink) = node_and_sink(&certificate);
    let (port, file) = (node.smtp().port().to_string(), certificate.certificate.display().to_string());
    assert_eq!(run("python3", &["-c", SMTPLIB, &port, &file], "").trim(), "done");
    node.wait_for_empty_queue();
    let mut wanted: Vec<String> = Vec::new();
    for name in ["plain", "login"] {
        wanted.extend((0..9).map(|n| format!("{name}-{n}@d{}.test", n % 3)));
        wanted.push(format!("{name}-again@example.test"));
    }
    let copies = copies(&sink);
    assert_eq!(copies.len(), wanted.len());
    wanted.iter().for_each(|to| assert_eq!(copies.get(to), Some(&1), "{to}"));
    for mail in sink.mails() {
        assert!(mail.text().ends_with("\r\n\r\nun café\r\n.\r\n..deux\r\n"), "{}", mail.text());
    }
}

#[test]
fn two_hundred_mails_of_smtp_source_arrive_once_each() {
    let certificate = Certificate::new("relay.example.org");
    let (node, sink) = node_and_sink(&certificate);
    let server = format!("inet:{}", node.smtp());
    // -N puts a number before each recipient.
    let args = ["-s", "8", "-m", "200", "-l", "4000", "-N", "-f", "anna@good.test", "-t", "bob@example.test", &server];
    run("smtp-source", &args, "");
    node.wait_for_empty_queue();
    let copies = copies(&sink);
    assert_eq!(copies.len(), 200, "{copies:?}");
    assert!(copies.values().all(|count| *count == 1), "{copies:?}");
}

const SMTPLIB_EXTENSIONS: &str = r#"
import smtplib, sys
port = int(sys.argv[1])
with smtplib.SMTP("127.0.0.1", port, timeout=20) as server:
    server.ehlo()
    for word in ("smtputf8", "dsn", "chunking", "limits"):
        assert server.has_extn(word), server.esmtp_features
    subject = "Subject: été\r\nBcc: hidden@example.test\r\n\r\nbonjour\r\n".encode()
    options = ["SMTPUTF8", "BODY=8BITMIME", "RET=HDRS", "ENVID=abc"]
    server.sendmail("anna@good.test", ["rené@example.test"], subject, options, ["NOTIFY=NEVER"])
    server.mail("anna@good.test")
    server.rcpt("chunks@example.test")
    for chunk in (b"Subject: chunks\r\n\r", b"\n.\r\nend"):
        server.send(b"BDAT %d\r\n" % len(chunk) + chunk)
        code, text = server.getreply()
        assert code == 250, (code, text)
    code, text = server.docmd("BDAT 0 LAST")
    assert code == 250, (code, text)
print("done")
"#;

#[test]
fn pythons_smtplib_uses_smtputf8_dsn_and_chunks() {
    let certificate = Certificate::new("relay.example.org");
    let (node, sink) = node_and_sink(&certificate);
    let said = run("python3", &["-c", SMTPLIB_EXTENSIONS, &node.smtp().port().to_string()], "");
    assert_eq!(said.trim(), "done");
    let text = sink.mail_to("rené@example.test").text();
    assert!(text.contains("Subject: été\r\n\r\nbonjour\r\n"), "{text}");
    let text = sink.mail_to("chunks@example.test").text();
    assert!(text.ends_with("Subject: chunks\r\n\r\n.\r\nend\r\n"), "{text}");
    node.wait_for_empty_queue();
}
