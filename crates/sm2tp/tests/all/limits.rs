//! What an organisation and a login may do, as an administrator sets it; and what happens to who guesses passwords.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::client::{Client, exchange, get};
use crate::node::Node;
use crate::programs::Certificate;
use crate::sink::Sink;

fn node_and_sink(smtp: &str) -> (Node, Sink) {
    let sink = Sink::start();
    let node = Node::start(&format!(
        "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\n{smtp}\n[relay]\nsmarthost = \"{}\"\n",
        sink.address
    ));
    node.add_login("anna", "correct horse", "good.test", "personal");
    node.ask_with(&["org", "login", "bob", "--org", "org-anna"], "correct horse");
    (node, sink)
}

fn plain(login: &str, password: &str) -> String {
    format!("AUTH PLAIN {}", STANDARD.encode(format!("\0{login}\0{password}")))
}

#[track_caller]
fn logged_in(node: &Node, login: &str) -> Client {
    let mut client = Client::greet(node.smtp()).unwrap();
    client.say(&plain(login, "correct horse"), "235").unwrap();
    client
}

#[test]
fn an_organisation_is_kept_to_its_limits_and_told_whose_they_are() {
    let (mut node, sink) = node_and_sink("");
    let set = ["--rate-mails", "3/h", "--rate-recipients", "5/d", "--recipients", "3", "--message-size", "1KiB"];
    let told = node.ask(&[&["org", "limits", "org-anna"][..], &set].concat());
    assert_eq!(told["limits"]["rate_mails"], "3/h");
    node.ask(&["org", "limits", "org-anna", "--login", "bob", "--connections", "1"]);
    // They are kept.
    node.kill();
    node.serve();
    let shown = node.run(&["org", "list"]).stdout;
    assert!(shown.contains("at most 1 KiB a message, 3 recipients a mail, 3/h mails, 5/d recipients\n"), "{shown}");
    assert!(shown.contains("    at most 1 connections\n"), "{shown}");

    let mut anna = logged_in(&node, "anna");
    let to = |n: usize| format!("RCPT TO:<r{n}@example.test>");
    anna.say("MAIL FROM:<anna@good.test> SIZE=1025", "552 5.3.4 your organisation may send messages of at most 1024")
        .unwrap();
    anna.say("MAIL FROM:<anna@good.test>", "250").unwrap();
    for n in 0..3 {
        anna.say(&to(n), "250").unwrap();
    }
    anna.say(&to(3), "452 4.5.3 your organisation may send a mail to at most 3 recipients").unwrap();
    anna.say("DATA", "354").unwrap();
    anna.say(&format!("Subject: x\r\n\r\n{}\r\n.", "x".repeat(1024)), "552 5.3.4 your organisation").unwrap();
    // Bob is of the same organisation: two mails and two recipients are left to both together.
    let mut bob = logged_in(&node, "bob");
    bob.mail("bob@good.test", &["r4@example.test"], "Subject: one\r\n").unwrap();
    anna.say("MAIL FROM:<anna@good.test>", "250").unwrap();
    anna.say(&to(5), "250").unwrap();
    anna.say(&to(6), "450 4.7.1 your organisation may write to 5 recipients a day, try again in 5 hours").unwrap();
    anna.say("RSET", "250").unwrap();
    for client in [&mut anna, &mut bob] {
        let refusal = "450 4.7.1 your organisation may send 3 mails an hour, try again in 20 minutes";
        client.say("MAIL FROM:<anna@good.test>", refusal).unwrap();
    }
    let mut again = Client::greet(node.smtp()).unwrap();
    again.say(&plain("bob", "correct horse"), "421 4.7.0 this login may have 1 connections at a time").unwrap();
    bob.say("QUIT", "221").unwrap();
    crate::wait::wait_until("bob's place is free", std::time::Duration::from_secs(10), || {
        Client::greet(node.smtp()).unwrap().say(&plain("bob", "correct horse"), "235").is_ok()
    });
    // What is taken away limits no more, at once and for who is connected.
    node.ask(&["org", "limits", "org-anna", "--rate-mails", "none", "--rate-recipients", "none"]);
    anna.mail("anna@good.test", &["r7@example.test"], "Subject: two\r\n").unwrap();
    node.wait_for_empty_queue();
    assert_eq!(sink.mails().len(), 2);
}

#[test]
fn a_login_may_have_addresses_of_its_own_or_none_but_those() {
    let (node, _sink) = node_and_sink("");
    let may = |login: &str, from: &str| {
        logged_in(&node, login).say(&format!("MAIL FROM:<{from}>"), "250").map_err(|error| error.to_string())
    };
    node.ask(&["org", "limits", "org-anna", "--login", "anna", "--address", "anna@home.test"]);
    assert!(may("anna", "anna@home.test").is_ok() && may("anna", "x@good.test").is_ok());
    assert!(may("bob", "anna@home.test").unwrap_err().contains("550 5.7.1 you may not send as home.test"));
    node.ask(&["org", "limits", "org-anna", "--login", "anna", "--own-addresses-only", "yes"]);
    assert!(may("anna", "anna@home.test").is_ok());
    assert!(may("anna", "x@good.test").unwrap_err().contains("550 5.7.1 you may not send as this address"));
    node.ask(&["org", "limits", "org-anna", "--address", "club@other.test"]);
    assert!(may("bob", "club@other.test").is_ok() && may("anna", "club@other.test").is_err());
    for (args, why) in [
        (&["org", "limits", "nobody"][..], "there is no org"),
        (&["org", "limits", "org-anna", "--login", "zoe"], "has no login"),
        (
            &["org", "limits", "org-anna", "--login", "bob", "--own-addresses-only", "yes"],
            "has no addresses of its own",
        ),
        (&["org", "limits", "org-anna", "--address", "no address"], "is no address"),
    ] {
        let said = node.run(args);
        assert!(said.exit == 65 && said.stderr.contains(why), "{args:?}: {said:?}");
    }
    for args in
        [["--rate-mails", "many"], ["--message-size", "5"], ["--recipients", "-1"], ["--rate-recipients", "0/h"]]
    {
        assert_eq!(node.run(&[&["org", "limits", "org-anna"][..], &args].concat()).exit, 64, "{args:?}");
    }
    // An organisation that goes takes its limits with it.
    node.ask(&["org", "remove", "org-anna"]);
    node.add_login("anna", "correct horse", "good.test", "personal");
    assert!(may("anna", "x@good.test").is_ok() && may("anna", "club@other.test").is_err());
}

#[test]
fn the_trusted_networks_are_the_organisation_local_with_limits_of_its_own() {
    let (node, _sink) = node_and_sink("trusted_networks = [\"127.0.0.1\"]");
    node.ask(&["org", "limits", "local", "--rate-mails", "2/h", "--address", "web@site.test"]);
    let mut client = Client::greet(node.smtp()).unwrap();
    for want in ["250", "250", "450 4.7.1"] {
        client.say("MAIL FROM:<web@site.test>", want).unwrap();
        client.say("RSET", "250").unwrap();
    }
}

#[test]
fn what_a_mail_server_asks_twice_counts_once_against_limits() {
    let node = Node::start("hostname = \"relay.example.org\"\n[policy]\nlisten = [\"127.0.0.1:0\"]\n");
    node.ask(&["org", "limits", "local", "--rate-recipients", "4/d", "--recipients", "3"]);
    // Two restriction lists ask about the same recipient, on one connection or on two.
    let ask = |mail: &str, to: &str| {
        let text = format!(
            "request=smtpd_access_policy\nprotocol_state=RCPT\ninstance={mail}\nclient_address=127.0.0.1\n\
             sender=web@site.test\nrecipient={to}\n\n"
        );
        exchange(node.policy(), text.as_bytes())
    };
    for to in ["a@x.test", "a@x.test", "b@x.test", "b@x.test", "c@x.test", "c@x.test"] {
        assert_eq!(ask("1.1", to), "action=DUNNO\n\n", "{to}");
    }
    let fourth = ask("1.1", "d@x.test");
    assert!(fourth.contains("452 4.5.3 your organisation may send a mail to at most 3 recipients"), "{fourth}");
    assert_eq!(ask("1.2", "d@x.test"), "action=DUNNO\n\n");
    let fifth = ask("1.2", "e@x.test");
    assert!(fifth.contains("450 4.7.1 your organisation may write to 4 recipients a day"), "{fifth}");
}

#[test]
fn a_mail_that_may_not_begin_goes_to_none_of_its_recipients() {
    let node = Node::start("hostname = \"relay.example.org\"\n[policy]\nlisten = [\"127.0.0.1:0\"]\n");
    node.ask(&["org", "limits", "local", "--rate-mails", "1/d"]);
    let ask = |mail: &str, state: &str, to: &str| {
        format!(
            "request=smtpd_access_policy\nprotocol_state={state}\ninstance={mail}\nclient_address=127.0.0.1\n\
             sender=web@site.test\nrecipient={to}\n\n"
        )
    };
    let go = "action=DUNNO\n\n";
    // Some are asked at MAIL, too, and some about each recipient on another connection.
    let first = ask("1.1", "MAIL", "") + &ask("1.1", "RCPT", "a@x.test") + &ask("1.1", "RCPT", "b@x.test");
    assert_eq!(exchange(node.policy(), first.as_bytes()), go.repeat(3));
    assert_eq!(exchange(node.policy(), ask("1.1", "RCPT", "c@x.test").as_bytes()), go);
    let second = ask("1.2", "RCPT", "a@x.test") + &ask("1.2", "RCPT", "b@x.test");
    let answers = exchange(node.policy(), second.as_bytes());
    assert_eq!(answers.matches("action=450 4.7.1 your organisation may send 1 mails").count(), 2, "{answers}");
}

#[test]
fn a_client_that_connects_too_often_is_told_to_wait_and_counted() {
    let certificate = Certificate::new("relay.example.org");
    let http = "[http]\nlisten = [\"127.0.0.1:0\"]";
    let tls = format!("listen_tls = [\"127.0.0.1:0\"]\n{}", certificate.config());
    let (node, _sink) = node_and_sink(&format!("connection_rate_per_client_max = \"3/h\"\n{tls}\n{http}"));
    for _ in 0..3 {
        Client::greet(node.smtp()).unwrap().say("QUIT", "221").unwrap();
    }
    let refusal = "421 4.7.0 relay.example.org This client may open 3 connections an hour, try again in 20 minutes";
    for _ in 0..2 {
        let mut client = Client::dial(node.smtp()).unwrap();
        client.expect(refusal).unwrap();
        assert_eq!(client.line().unwrap(), None);
    }
    // Who waits for a handshake gets none.
    assert_eq!(exchange(node.smtps(), b""), "");
    let turned = get(node.http(), "/api/v1/status");
    assert!(turned.contains(r#""turned_away":{"door_full":0,"client_full":0,"client_fast":3}"#), "{turned}");
    let log = node.log();
    assert_eq!(log.matches("was turned away").count(), 1, "{log}");
}

#[test]
fn trusted_networks_and_fronts_may_connect_as_often_as_they_like_and_their_clients_may_not() {
    let (node, _sink) = node_and_sink("connection_rate_per_client_max = \"2/h\"\ntrusted_networks = [\"127.0.0.1\"]\n");
    for _ in 0..5 {
        Client::greet(node.smtp()).unwrap();
    }
    let front = "connection_rate_per_client_max = \"2/h\"\nxclient_from = [\"127.0.0.1\"]\n";
    let (node, _sink) = node_and_sink(front);
    let speak_for = |client: &str, begin: &str| {
        Client::greet(node.smtp()).unwrap().say(&format!("XCLIENT ADDR={client}"), begin).unwrap();
    };
    for client in ["198.51.100.1", "198.51.100.2", "IPV6:2001:db8::1"] {
        speak_for(client, "220");
        speak_for(client, "220");
        speak_for(client, "421 4.7.0 This client may open 2 connections an hour, try again in 30 minutes");
    }
    speak_for("IPV6:2001:db8::2:1", "421");
    let proxy = "connection_rate_per_client_max = \"2/h\"\nproxy_protocol_from = [\"127.0.0.1\"]\n";
    let (node, _sink) = node_and_sink(proxy);
    for last in [1, 2] {
        let header =
            [b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", &[198, 51, 100, last, 127, 0, 0, 1, 9, 9, 0, 25][..]].concat();
        for begin in ["220", "220", "421 4.7.0 relay.example.org This client may open"] {
            let mut client = Client::dial(node.smtp()).unwrap();
            client.write(&header).unwrap();
            client.expect(begin).unwrap();
        }
    }
}

#[test]
fn who_guesses_passwords_over_many_connections_must_wait_and_who_was_right_need_not() {
    let (node, _sink) = node_and_sink("");
    drop(logged_in(&node, "anna"));
    let mut answers = std::collections::BTreeMap::<String, usize>::new();
    let mut tried = 0;
    while tried < 120 {
        let mut client = Client::greet(node.smtp()).unwrap();
        for _ in 0..3 {
            let guess = plain(&format!("login{}", tried % 30), "wrong horse");
            tried += 1;
            client.write(format!("{guess}\r\n").as_bytes()).unwrap();
            *answers.entry(client.reply().unwrap()[..9].to_owned()).or_default() += 1;
        }
    }
    let refused = answers.get("454 4.7.0").copied().unwrap_or(0);
    assert_eq!(refused, 80, "{answers:?}");
    let mut client = Client::greet(node.smtp()).unwrap();
    let wait = "454 4.7.0 Too many wrong passwords from your address, try again in";
    client.say(&plain("bob", "correct horse"), wait).unwrap();
    client.say("AUTH SCRAM-SHA-256 biwsbj1ib2Iscj14eHg=", "454 4.7.0").unwrap();
    client.say(&plain("anna", "correct horse"), "235").unwrap();
}
