//! TLS at the SMTP door: from the first octet, and with certificates that change while the node runs.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::client::Client;
use crate::node::Node;
use crate::programs::{Certificate, swaks};
use crate::sink::Sink;
use crate::wait::wait_until;

fn node_and_sink(certificate: &Certificate, smtp: &str) -> (Node, Sink) {
    let sink = Sink::start();
    let node = Node::start(&format!(
        "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\nlisten_tls = [\"127.0.0.1:0\"]\n{}{smtp}\n\
         [relay]\nsmarthost = \"{}\"\n",
        certificate.config(),
        sink.address
    ));
    node.add_login("anna", "correct horse", "good.test", "personal");
    (node, sink)
}

/// Whether a client that trusts this certificate alone gets a banner, shaking hands first.
fn is_served_with(node: &Node, certificate: &Certificate) -> bool {
    Client::dial(node.smtps()).unwrap().start_tls(certificate).expect("220").is_ok()
}

fn put(certificate: &Certificate, in_place_of: &Certificate) {
    fs::copy(&certificate.key, &in_place_of.key).unwrap();
    fs::copy(&certificate.certificate, &in_place_of.certificate).unwrap();
}

#[test]
fn swaks_sends_with_tls_from_the_first_octet() {
    let certificate = Certificate::new("relay.example.org");
    let (node, sink) = node_and_sink(&certificate, "");
    let server = node.smtps().to_string();
    let said = swaks(&[
        "--server",
        &server,
        "--tls-on-connect",
        "--auth",
        "PLAIN",
        "--auth-user",
        "anna",
        "--auth-password",
        "correct horse",
        "--from",
        "anna@good.test",
        "--to",
        "bob@example.test",
    ]);
    assert!(said.contains("queued as") && !said.contains("STARTTLS"), "{said}");
    assert!(sink.mail_to("bob@example.test").text().contains(" with ESMTPSA;"));
}

#[test]
fn a_client_that_speaks_clear_text_or_rubbish_to_the_tls_port_is_cut_off() {
    let certificate = Certificate::new("relay.example.org");
    let (node, _sink) = node_and_sink(&certificate, "");
    for octets in [&b"EHLO a.example\r\n"[..], b"\x16\x03\x01\xff\xff", b"GET / HTTP/1.1\r\n\r\n", &[0; 4096]] {
        let mut stream = TcpStream::connect(node.smtps()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.write_all(octets).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said);
        assert!(!String::from_utf8_lossy(&said).contains("220"), "{said:?}");
    }
    assert!(is_served_with(&node, &certificate));
}

#[test]
fn a_client_that_never_finishes_its_handshake_loses_its_seat() {
    let certificate = Certificate::new("relay.example.org");
    let (node, _sink) = node_and_sink(&certificate, "connections_per_client_max = 2\ncommand_timeout = \"1s\"");
    let half_open: Vec<_> = (0..2).map(|_| TcpStream::connect(node.smtps()).unwrap()).collect();
    wait_until("their seats are free", Duration::from_secs(20), || is_served_with(&node, &certificate));
    drop(half_open);
}

#[test]
fn a_new_certificate_is_taken_without_a_restart_and_a_bad_one_is_not() {
    let (files, second) = (Certificate::new("relay.example.org"), Certificate::new("relay.example.org"));
    let (node, sink) = node_and_sink(&files, "");
    let mut before = Client::dial(node.smtps()).unwrap().start_tls(&files);
    before.expect("220").unwrap();
    put(&second, &files);
    node.hang_up();
    wait_until("the second certificate is used", Duration::from_secs(10), || is_served_with(&node, &second));
    // STARTTLS has it too, and whoever was connected is not disturbed.
    let mut client = Client::greet(node.smtp()).unwrap();
    client.say("STARTTLS", "220").unwrap();
    client.start_tls(&second).say("EHLO a.example", "250").unwrap();
    before.say("EHLO a.example", "250").unwrap();

    for broken in ["no PEM at all", ""] {
        let told = node.log().matches("cannot be used").count();
        fs::write(&files.key, broken).unwrap();
        node.hang_up();
        wait_until("the log says so", Duration::from_secs(10), || {
            node.log().matches("cannot be used").count() == told + 1
        });
        assert!(node.log().contains(&files.key.display().to_string()), "{}", node.log());
        assert!(is_served_with(&node, &second));
    }
    // A certificate whose key has not followed yet.
    let third = Certificate::new("relay.example.org");
    fs::copy(&second.key, &files.key).unwrap();
    fs::copy(&third.certificate, &files.certificate).unwrap();
    node.hang_up();
    wait_until("the log says so", Duration::from_secs(10), || node.log().contains("do not go together"));
    assert!(is_served_with(&node, &second));
    put(&third, &files);
    node.hang_up();
    wait_until("the third certificate is used", Duration::from_secs(10), || is_served_with(&node, &third));
    assert!(sink.mails().is_empty());
}
