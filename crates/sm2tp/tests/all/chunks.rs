//! Mail in one chunk behind its commands (RFC 3030), to servers that take it so, and to one that only says that it does.

use std::time::Duration;

use crate::client::Client;
use crate::mta::Postfix;
use crate::node::Node;
use crate::other_mtas::Mta;
use crate::sink::Sink;
use crate::wait::{free_address, wait_until};

fn node(routes: &str) -> Node {
    Node::start(&format!(
        "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\ntrusted_networks = [\"127.0.0.1\"]\n\
         [relay]\nroutes = {{ {routes} }}\nretry_first = \"1s\"\nretry_max = \"2s\"\n"
    ))
}

/// Lines that begin with dots, which DATA doubles and a chunk does not; here as a client says them.
const CONTENT: &str = "From: anna@good.test\r\nSubject: dots\r\n\r\n..\r\n...two\r\n..one";

fn mail(node: &Node, from: &str, to: &[&str]) {
    Client::greet(node.smtp()).unwrap().mail(from, to, CONTENT).unwrap();
}

#[test]
fn postfix_and_exim_are_sent_chunks_and_take_them() {
    let exim_at = free_address();
    let exim = Mta::exim_with(exim_at, EXIM);
    let postfix = Postfix::start("postfix.test", "mydestination = postfix.test\nlocal_recipient_maps =\n");
    let node = node(&format!("\"exim.test\" = \"{exim_at}\", \"postfix.test\" = \"{}\"", postfix.address));
    for number in 0..3 {
        mail(&node, "anna@good.test", &[&format!("u{number}@postfix.test")]);
        mail(&node, "anna@good.test", &[&format!("u{number}@exim.test")]);
    }
    // Refused for its recipient, with the chunk already on its way; the next mail goes on the same connection.
    mail(&node, "", &["gone@exim.test"]);
    mail(&node, "anna@good.test", &["last@exim.test"]);
    node.wait_for_empty_queue();
    assert!(!node.log().contains("ERROR"), "{}", node.log());
    wait_until("Postfix counts its chunks", Duration::from_secs(20), || {
        let counts = |line: &str| line.contains(" bdat=") && !line.contains(" data=");
        postfix.log().lines().any(counts)
    });
    let log = exim.log();
    let took = log.lines().filter(|line| line.contains(" <= anna@good.test "));
    let chunked = took.clone().filter(|line| line.contains(" K "));
    assert_eq!((took.count(), chunked.count()), (4, 4), "{log}");
}

#[test]
fn a_chunk_has_its_dots_as_they_were_written_and_who_was_refused_is_told() {
    let sink = Sink::offering(&["CHUNKING", "8BITMIME"], |to| {
        to.starts_with("gone@").then(|| "550 5.1.1 no such user".to_owned())
    });
    let node = node(&format!("\"chunks.test\" = \"{0}\", \"good.test\" = \"{0}\"", sink.address));
    mail(&node, "anna@good.test", &["bob@chunks.test", "gone@chunks.test"]);
    let got = sink.mail_to("bob@chunks.test");
    assert_eq!(got.said_at_the_end, "BDAT");
    assert!(got.text().ends_with("\r\n\r\n.\r\n..two\r\n.one\r\n"), "{}", got.text());
    let report = sink.mail_to("anna@good.test").text();
    assert!(report.contains("gone@chunks.test") && report.contains("550 5.1.1 no such user"), "{report}");
    node.wait_for_empty_queue();
    wait_until("the refusal is known, though the message was sent already", Duration::from_secs(20), || {
        node.decision("gone@chunks.test", "personal")["decision"] == "refuse"
    });
}

#[test]
fn a_server_that_only_says_that_it_takes_chunks_gets_its_mail_a_little_later() {
    let sink = Sink::offering(&["CHUNKING in name only", "8BITMIME"], |_| None);
    let node = node(&format!("\"chunks.test\" = \"{}\"", sink.address));
    mail(&node, "anna@good.test", &["bob@chunks.test"]);
    assert_eq!(sink.mail_to("bob@chunks.test").said_at_the_end, "DATA");
    node.wait_for_empty_queue();
    assert_eq!(sink.mails().len(), 1);
    assert_eq!(node.decision("bob@chunks.test", "personal")["decision"], "send");
}

const EXIM: &str = "\
log_selector = +all
acl_smtp_rcpt = acl_rcpt
acl_smtp_data = acl_data
begin acl
acl_rcpt:
  deny recipients = gone@exim.test
       message = Unknown user
  accept
acl_data:
  accept
begin routers
all:
  driver = accept
  transport = nowhere
begin transports
nowhere:
  driver = appendfile
  file = /dev/null
  user = Debian-exim
";
