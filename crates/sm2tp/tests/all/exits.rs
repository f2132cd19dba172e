//! Ways out that a person pauses: mail takes another or waits, over a restart too, and leaves again when it may.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::calls::call;
use crate::client::send;
use crate::node::Node;
use crate::sink::Sink;
use crate::wait::{free_address, wait_until};

/// A server that notes from where it is spoken to.
fn noting() -> (SocketAddr, Sink, Arc<Mutex<Vec<String>>>) {
    let (listener, sink, heard) = (TcpListener::bind("127.0.0.1:0").unwrap(), Sink::start(), Arc::default());
    let (address, taking, noted): (_, _, Arc<Mutex<Vec<String>>>) =
        (listener.local_addr().unwrap(), sink.clone(), Arc::clone(&heard));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (taking, noted) = (taking.clone(), noted.clone());
            thread::spawn(move || {
                noted.lock().unwrap().push(stream.peer_addr().unwrap().ip().to_string());
                let _ = (&stream).write_all(b"220 site.test\r\n");
                taking.go_on(&stream);
            });
        }
    });
    (address, sink, heard)
}

fn exit(node: &Node, name: &str) -> Value {
    let listed = node.ask(&["exit", "list"]);
    listed["exits"].as_array().unwrap().iter().find(|exit| exit["exit"] == name).unwrap().clone()
}

#[test]
fn mail_of_a_paused_exit_takes_another_or_waits_until_a_person_resumes_it() {
    let (address, sink, heard) = noting();
    let http = free_address();
    let mut node = Node::start(&format!(
        "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\ntrusted_networks = [\"127.0.0.1\"]\n\
         [http]\nlisten = [\"{http}\"]\n[relay]\nroutes = {{ \"site.test\" = \"{address}\" }}\n\
         [[relay.exits]]\nname = \"a\"\naddresses = [\"127.0.0.11\"]\n[[relay.exits]]\nname = \"b\"\naddresses = [\"127.0.0.12\"]\n"
    ));
    let names = BTreeMap::from([("127.0.0.11", "a"), ("127.0.0.12", "b")]);
    let last = || names[&heard.lock().unwrap().last().unwrap()[..]];
    send(node.smtp(), "anna@good.test", &["one@site.test"], "one");
    sink.mail_to("one@site.test");
    let (first, other) = (last(), if last() == "a" { "b" } else { "a" });

    let said = node.run(&["exit", "pause", first, "--note", "listed, asked for removal"]).stdout;
    assert!(said.contains(&format!("Mail that may use another takes it ({other})")), "{said}");
    send(node.smtp(), "anna@good.test", &["two@site.test"], "two");
    sink.mail_to("two@site.test");
    assert_eq!(last(), other);
    assert_eq!(exit(&node, first)["paused"]["note"], "listed, asked for removal");
    let shown = node.run(&["exit", "list"]).stdout;
    assert!(shown.contains("  paused since 20") && shown.contains(": listed, asked for removal"), "{shown}");

    let said = node.run(&["exit", "pause", other]).stdout;
    assert!(said.contains("There is no other way out: all mail waits."), "{said}");
    let mails = sink.mails().len();
    send(node.smtp(), "anna@good.test", &["three@site.test"], "three");
    // It stays so over a restart, and no attempt is counted.
    node.terminate(Duration::from_secs(20));
    node.serve();
    let token = node.ask(&["token", "new", "watch", "--role", "operator", "--scope", "queue:read queue:write"]);
    let token = token["secret"].as_str().unwrap();
    let ask = |method, path: &str| call(node.http(), method, path).token(token);
    wait_until("it waits at its site", Duration::from_secs(20), || {
        let sites = ask("GET", "/api/v1/sites").send().json(200);
        sites.as_array().unwrap().iter().any(|site| site["is_shut"] == true && site["waiting"] == 1)
    });
    assert_eq!((node.queue().len(), &node.queue()[0]["attempts"], sink.mails().len()), (1, &json!(0), mails));
    let status = call(node.http(), "GET", "/api/v1/status").send().json(200);
    assert_eq!(
        status["waiting"].as_array().unwrap().iter().filter(|line| line["kind"] == "exit").count(),
        2,
        "{status}"
    );

    let resumed = ask("POST", &format!("/api/v1/exits/{other}/resume")).send().json(200);
    assert_eq!((&resumed["exit"], &resumed["paused"]), (&json!(other), &Value::Null));
    sink.mail_to("three@site.test");
    assert_eq!(last(), other);
    node.ask(&["exit", "resume", first]);
    send(node.smtp(), "anna@good.test", &["four@site.test"], "four");
    sink.mail_to("four@site.test");
    assert_eq!(last(), first, "an organisation keeps its exit");
    let audit = node.ask(&["audit", "list"]);
    let lines: Vec<_> = audit.as_array().unwrap().iter().filter(|line| line["what"] == "exit-resume").collect();
    assert_eq!((lines.len(), &lines[1]["by_kind"], &lines[1]["about"]), (2, &json!("token"), &json!(other)), "{audit}");
}

#[test]
fn the_only_exit_is_paused_as_well_and_one_that_there_is_not_is_none() {
    let sink = Sink::start();
    let node = Node::start(&format!(
        "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\ntrusted_networks = [\"127.0.0.1\"]\n\
         [http]\nlisten = [\"127.0.0.1:0\"]\n[relay]\nsmarthost = \"{}\"\n",
        sink.address
    ));
    let wrong = node.run(&["exit", "pause", "elsewhere"]);
    assert_eq!((wrong.exit, wrong.stderr.contains("this node has default")), (65, true), "{}", wrong.stderr);
    let wrong = node.run(&["exit", "resume", "default"]);
    assert_eq!((wrong.exit, wrong.stderr.contains("is not paused")), (65, true), "{}", wrong.stderr);
    node.ask(&["exit", "pause", "default"]);
    send(node.smtp(), "anna@good.test", &["one@site.test"], "one");
    wait_until("it waits", Duration::from_secs(20), || node.queue().len() == 1);
    node.ask(&["exit", "resume", "default"]);
    sink.mail_to("one@site.test");
    // Who may look at the queue alone may not.
    let token = node.ask(&["token", "new", "look", "--role", "operator", "--scope", "queue:read"]);
    let asked = call(node.http(), "POST", "/api/v1/exits/default/pause").token(token["secret"].as_str().unwrap());
    assert_eq!(asked.json(&json!({ "note": "no" })).send().status, 403);
}
