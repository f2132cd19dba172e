//! Answers that are understood by their circumstances, by a whole node and a server that plays the provider.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::client::send;
use crate::node::Node;
use crate::programs::library;
use crate::sink::Sink;
use crate::wait::wait_until;

const LONG: Duration = Duration::from_secs(60);

/// The server at the end of the route is one of a provider that has a name.
const NEIGHBOUR: &str = "version = 1\n[[provider]]\nid = \"neighbour\"\nmx = [\"127.0.0.1\"]\n";

fn node(sink: &Sink) -> Node {
    let mut node = prepared(sink);
    node.serve();
    node
}

fn prepared(sink: &Sink) -> Node {
    let node = Node::prepare(&format!(
        "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\ntrusted_networks = [\"127.0.0.1\"]\n\
         [http]\nlisten = [\"127.0.0.1:0\"]\n[relay]\nroutes = {{ \"example.test\" = \"{}\" }}\n",
        sink.address
    ));
    fs::write(node.config.with_file_name("replies.toml"), NEIGHBOUR).unwrap();
    node
}

fn people(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("person{n}@example.test")).collect()
}

#[track_caller]
fn sends(node: &Node, address: &str) -> bool {
    node.decision(address, "personal")["decision"] == "send"
}

#[test]
fn a_provider_that_errs_in_bulk_condemns_nobody_and_a_person_decides() {
    let mood = Arc::new(AtomicU8::new(0));
    let asked = mood.clone();
    let sink = Sink::with(move |_| (asked.load(Ordering::Relaxed) == 1).then(|| "550 5.1.1 User unknown".to_owned()));
    let node = node(&sink);
    let people = people(30);
    let to: Vec<&str> = people.iter().map(String::as_str).collect();
    for half in to.chunks(15) {
        send(node.smtp(), "", half, "while all is well");
    }
    wait_until("the deliveries are known", LONG, || {
        people.iter().all(|address| node.run(&["explain", address]).stdout.contains("  delivered "))
    });

    mood.store(1, Ordering::Relaxed);
    send(node.smtp(), "", &to, "in the bad hour");
    wait_until("the provider is not believed", LONG, || {
        node.ask(&["breaker", "list"])[0]["parked"].as_u64() >= Some(20)
    });
    assert_eq!(node.ask(&["breaker", "list"])[0]["provider"], "neighbour");
    assert!(people.iter().all(|address| sends(&node, address)), "nobody is condemned");
    let page = node.get("/api/v1/status");
    let status: Value = serde_json::from_str(page.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!(status["waiting"][0]["kind"], "breaker", "{status}");
    assert!(node.get("/").contains("sm2tp breaker list"), "the page says what to do");
    wait_until("it is an incident", LONG, || {
        node.ask(&["alerts", "list"])["incidents"][0]["finding"]["kind"] == "breaker-tripped"
    });

    // What comes now waits, although the words are those of a final refusal.
    send(node.smtp(), "", &[to[0]], "meanwhile");
    wait_until("the mail waits", LONG, || node.queue().iter().any(|mail| mail.to_string().contains("User unknown")));
    let told = node.run(&["breaker", "list"]).stdout;
    assert!(told.contains("neighbour: not believed since ") && told.contains("refusals set aside"), "{told}");

    sink.take();
    mood.store(2, Ordering::Relaxed);
    assert_eq!(node.ask(&["breaker", "forget", "neighbour"])["verdict"], "forget");
    assert_eq!(node.ask(&["breaker", "list"]), Value::Array(vec![]));
    node.ask(&["queue", "retry", "--all"]);
    node.wait_for_empty_queue();
    assert_eq!(sink.mail_to(to[0]).to, [to[0]], "it arrived after all");
    assert!(people.iter().all(|address| sends(&node, address)));
}

#[test]
fn one_sentence_for_everybody_is_about_us() {
    let sink = Sink::with(|_| Some("550 Requested action not taken: mailbox unavailable".to_owned()));
    let node = node(&sink);
    let people = people(30);
    let to: Vec<&str> = people.iter().map(String::as_str).collect();
    send(node.smtp(), "", &to, "to all");
    let waits =
        |node: &Node| node.queue().iter().filter(|mail| mail.to_string().contains("mailbox unavailable")).count();
    wait_until("the mail waits for another exit", LONG, || 15 <= waits(&node));
    // Until the tenth time the sentence could be about a person; a vague one condemns nobody by itself.
    assert!(people.iter().all(|address| sends(&node, address)), "nobody is condemned");
    wait_until("the exit is in doubt", LONG, || {
        node.ask(&["alerts", "list"])["incidents"][0]["finding"]["kind"] == "exit-refused"
    });
}

#[test]
fn what_is_put_off_after_its_content_again_an_hour_later_was_refused() {
    let sink = Sink::judging(|mail| {
        // The report quotes the subject, too, and is taken.
        let bad = !mail.from.is_empty() && mail.text().contains("Subject: cheap");
        bad.then(|| "451 4.7.1 Please try again later".to_owned())
    });
    let mut node = prepared(&sink);
    let clock = node.folder.write("clock", "+0");
    node.serve_with(&[
        ("LD_PRELOAD", &library("faketime/libfaketimeMT.so.1").display().to_string()),
        ("FAKETIME_TIMESTAMP_FILE", &clock.display().to_string()),
        ("FAKETIME_NO_CACHE", "1"),
        // The clock that only runs on is left alone.
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ]);
    let waiting = |node: &Node| node.queue().iter().filter(|mail| mail.to_string().contains("try again later")).count();
    send(node.smtp(), "sender@example.test", &["a@example.test"], "cheap watches");
    wait_until("it is put off", LONG, || waiting(&node) == 1);
    send(node.smtp(), "", &["b@example.test"], "hello");
    wait_until("another mail is taken", LONG, || sink.mails().iter().any(|mail| mail.to == ["b@example.test"]));

    node.ask(&["queue", "retry", "--all"]);
    wait_until("it is put off again, within the hour", LONG, || {
        node.queue().iter().any(|mail| mail["attempts"].as_u64() >= Some(2))
    });
    fs::write(&clock, "+7200").unwrap();
    send(node.smtp(), "", &["b@example.test"], "hello again");
    wait_until("another mail is taken later", LONG, || {
        sink.mails().iter().any(|mail| mail.text().contains("hello again"))
    });
    wait_until("it is given back for its content", LONG, || {
        node.ask(&["queue", "retry", "--all"]);
        waiting(&node) == 0
    });
    wait_until("the sender is told", LONG, || sink.mails().iter().any(|mail| mail.to == ["sender@example.test"]));
    let report = sink.mail_to("sender@example.test");
    assert!(report.from.is_empty() && report.text().contains("Please try again later"));
    assert!(sends(&node, "a@example.test"), "the address is valid");
}
