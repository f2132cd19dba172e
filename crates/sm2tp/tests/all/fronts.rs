//! Fronts that speak for clients: XCLIENT as swaks says it, the PROXY protocol as swaks and haproxy do.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::client::{Client, exchange};
use crate::haproxy::Haproxy;
use crate::node::{Node, Said};
use crate::programs::{Certificate, try_swaks};
use crate::sink::Sink;
use crate::wait::free_address;

fn node_and_sink(smtp: &str) -> (Node, Sink) {
    let sink = Sink::start();
    let node = Node::start(&format!(
        "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\n{smtp}\n[relay]\nsmarthost = \"{}\"\n",
        sink.address
    ));
    node.add_login("anna", "correct horse", "good.test", "personal");
    (node, sink)
}

/// 192.0.2.0/24 may send without a login, and so may this machine.
const TRUSTED: &str = "trusted_networks = [\"192.0.2.0/24\", \"127.0.0.1\"]\n";
const FRONT: &str = "xclient_from = [\"127.0.0.1\"]\n";
const VOUCHING: &str = "xclient_login_from = [\"127.0.0.1\"]\n";
const PROXY: &str = "proxy_protocol_from = [\"127.0.0.1\"]\n";

fn swaks(node: &Node, args: &[&str]) -> Said {
    let server = node.smtp().to_string();
    try_swaks(&[&["--server", &server, "--from", "anna@good.test", "--to", "bob@example.test"][..], args].concat())
}

#[track_caller]
fn check(said: &Said, want: &str) {
    assert!(said.stdout.contains(want), "{want}: {}{}", said.stdout, said.stderr);
}

#[test]
fn a_front_speaks_for_a_client_whose_address_counts() {
    let (node, sink) = node_and_sink(&format!("{TRUSTED}{FRONT}"));
    let client = ["--xclient-addr", "192.0.2.7", "--xclient-helo", "laptop.test", "--xclient-proto", "SMTP"];
    check(&swaks(&node, &client), "queued as");
    let text = sink.mail_to("bob@example.test").text();
    assert!(text.starts_with("Received: from laptop.test ([192.0.2.7])\r\n") && text.contains("with SMTP;"), "{text}");
    // It is trusted itself, and passes that on to nobody.
    check(&swaks(&node, &[]), "queued as");
    for stranger in ["198.51.100.1", "IPV6:2001:db8::1", "127.0.0.1", "IPV6:::1", "[UNAVAILABLE]", "[TEMPUNAVAIL]"] {
        check(&swaks(&node, &["--xclient-addr", stranger]), "530 5.7.0");
    }
    check(&swaks(&node, &["--xclient-helo", "laptop.test"]), "530 5.7.0");
    check(&swaks(&node, &["--xclient-addr", "192.0.2.7", "--xclient-login", "anna"]), "550 5.7.0 This front may not");
    // A password would go in clear over whatever lies before the front.
    let login = ["--auth", "PLAIN", "--auth-user", "anna", "--auth-password", "correct horse"];
    let said = swaks(&node, &[&["--xclient-addr", "198.51.100.1"][..], &login].concat());
    assert!(said.exit != 0 && !said.stdout.contains("235 "), "{}", said.stdout);
}

#[test]
fn a_front_that_may_vouch_says_who_has_logged_in() {
    let (node, sink) = node_and_sink(&format!("{FRONT}{VOUCHING}"));
    let front = ["--xclient-addr", "198.51.100.1", "--xclient-delim", "--xclient-login"];
    check(&swaks(&node, &[&front[..], &["anna"]].concat()), "queued as");
    let text = sink.mail_to("bob@example.test").text();
    assert!(text.starts_with("Received: from authenticated client\r\n"), "{text}");
    check(&swaks(&node, &[&front[..], &["nobody"]].concat()), "550 5.7.0 This login is not known here");
    check(
        &swaks(&node, &[&front[..], &["anna", "--from", "boss@bank.test"]].concat()),
        "550 5.7.1 you may not send as",
    );
    check(&swaks(&node, &[&front[..], &["[UNAVAILABLE]"]].concat()), "530 5.7.0");
    check(&swaks(&node, &["--from", "x@good.test"]), "530 5.7.0");
}

#[test]
fn nobody_else_may_say_xclient_and_starttls_forgets_it() {
    let certificate = Certificate::new("relay.example.org");
    let (node, _sink) = node_and_sink(TRUSTED);
    let mut client = Client::greet(node.smtp()).unwrap();
    client.say("XCLIENT ADDR=192.0.2.7", "500 5.5.1 Unknown command").unwrap();
    let (node, _sink) = node_and_sink(&format!("{FRONT}{VOUCHING}{}", certificate.config()));
    let mut client = Client::greet(node.smtp()).unwrap();
    client.say("XCLIENT ADDR=192.0.2.7 LOGIN=anna", "220 relay.example.org").unwrap();
    client.say("MAIL FROM:<anna@good.test>", "503 5.5.1 Send EHLO first").unwrap();
    client.say("EHLO front.test", "250").unwrap();
    client.say("MAIL FROM:<anna@good.test>", "250").unwrap();
    client.say("XCLIENT ADDR=192.0.2.7", "503 5.5.1 Not inside a transaction").unwrap();
    client.say("RSET", "250").unwrap();
    client.say("STARTTLS", "220").unwrap();
    let mut client = client.start_tls(&certificate);
    client.say("EHLO front.test", "250").unwrap();
    client.say("MAIL FROM:<anna@good.test>", "530").unwrap();
}

#[test]
fn the_connections_of_clients_behind_a_front_are_counted_by_client() {
    let (node, _sink) = node_and_sink(&format!("{FRONT}connections_per_client_max = 2"));
    let connections: Vec<Client> = (0..6)
        .map(|n| {
            let mut client = Client::greet(node.smtp()).unwrap();
            client.say(&format!("XCLIENT ADDR=198.51.100.{}", n / 2), "220").unwrap();
            client
        })
        .collect();
    let mut client = Client::greet(node.smtp()).unwrap();
    client.say("XCLIENT ADDR=198.51.100.0", "421 4.7.0 Too many connections of this client").unwrap();
    drop(connections);
}

#[test]
fn the_proxy_protocol_names_the_client() {
    let (node, sink) = node_and_sink(&format!("{TRUSTED}{PROXY}command_timeout = \"2s\""));
    let with = |source: &str, family: &str, command: &str| {
        let dest = if family == "AF_INET" { "198.51.100.25" } else { "2001:db8::25" };
        let said = [
            "--proxy-version",
            "2",
            "--proxy-family",
            family,
            "--proxy-protocol",
            "STREAM",
            "--proxy-command",
            command,
            "--proxy-source",
            source,
            "--proxy-source-port",
            "4711",
            "--proxy-dest",
            dest,
            "--proxy-dest-port",
            "25",
        ];
        swaks(&node, &said)
    };
    check(&with("192.0.2.7", "AF_INET", "PROXY"), "queued as");
    let text = sink.mail_to("bob@example.test").text();
    assert!(text.lines().next().unwrap().ends_with("([192.0.2.7])"), "{text}");
    for (source, family, command) in [
        ("198.51.100.1", "AF_INET", "PROXY"),
        ("2001:db8::1", "AF_INET6", "PROXY"),
        // Addresses by which the front would be trusted itself.
        ("127.0.0.1", "AF_INET", "PROXY"),
        ("::1", "AF_INET6", "PROXY"),
    ] {
        check(&with(source, family, command), "530 5.7.0");
    }
    // LOCAL: a front that only looks whether we live. swaks writes another command for it.
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0EHLO a.example\r\nMAIL FROM:<a@good.test>\r\nQUIT\r\n";
    let said = exchange(node.smtp(), local);
    assert!(said.starts_with("220 ") && said.contains("\r\n530 5.7.0"), "{said}");
    // Nothing is said to who does not begin with a header; version 1 is named in the log.
    for begin in ["PROXY TCP4 192.0.2.7 198.51.100.25 4711 25\r\nEHLO a.example\r\n", "EHLO a.example\r\n", ""] {
        assert_eq!(exchange(node.smtp(), begin.as_bytes()), "");
    }
    assert!(node.log().contains("set the front to version 2"), "{}", node.log());
    let mut silent = TcpStream::connect(node.smtp()).unwrap();
    silent.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    silent.write_all(b"\r\n\r\n\0").unwrap();
    assert_eq!(silent.read(&mut [0; 100]).unwrap_or(0), 0);
    assert_eq!(sink.mails().len(), 1);
}

/// haproxy, which passes on what comes to `front` to `node` with a header of version 2.
fn haproxy_before(front: SocketAddr, node: SocketAddr) -> Haproxy {
    Haproxy::start(front, "tcp", &format!("listen smtps\n bind {front}\n server node {node} send-proxy-v2\n"))
}

#[test]
fn behind_haproxy_logins_go_through_its_tls_tunnel_and_its_clients_are_not_trusted() {
    let certificate = Certificate::new("relay.example.org");
    let tls = format!("listen_tls = [\"127.0.0.1:0\"]\n{}", certificate.config());
    let (node, sink) = node_and_sink(&format!("{TRUSTED}{PROXY}{tls}"));
    let front = free_address();
    let haproxy = haproxy_before(front, node.smtps());
    let server = front.to_string();
    let way = ["--server", &server, "--tls-on-connect", "--from", "anna@good.test", "--to", "bob@example.test"];
    // haproxy runs on this machine and says so of its client, who connected from here.
    check(&try_swaks(&way), "530 5.7.0");
    let login = ["--auth", "PLAIN", "--auth-user", "anna", "--auth-password", "correct horse"];
    check(&try_swaks(&[&way[..], &login].concat()), "queued as");
    assert_eq!(sink.mail_to("bob@example.test").from, "anna@good.test");
    drop(haproxy);
}
