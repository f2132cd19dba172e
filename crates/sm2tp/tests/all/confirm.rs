//! A person whose address was dead says that mail is wanted again: by the link in one mail, and by its button alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::client::{exchange, send};
use crate::node::Node;
use crate::peers::{federation, peer};
use crate::sink::Sink;
use crate::wait::{free_address, wait_for, wait_until};

const LONG: Duration = Duration::from_secs(30);

fn node(name: &str, sink: &Sink) -> Node {
    let to = sink.address;
    sending(name, &format!("routes = {{ \"d.test\" = \"{to}\", \"s.test\" = \"{to}\" }}"))
}

/// A node that sends the way `relay` says.
fn sending(name: &str, relay: &str) -> Node {
    let http = free_address();
    Node::start(&format!(
        "hostname = \"relay-{name}.example.org\"\n[http]\nlisten = [\"{http}\"]\n\
         [smtp]\nlisten = [\"127.0.0.1:0\"]\ntrusted_networks = [\"127.0.0.1\"]\nstream = \"bulk\"\n\
         [suppression]\nconfirm_url = \"http://{http}/confirm\"\n\
         [relay]\n{relay}\n{}",
        federation(http)
    ))
}

fn post(node: &Node, path: &str, form: &str) -> String {
    crate::client::post(node.http(), path, form)
}

fn status(answer: &str) -> &str {
    answer.lines().next().unwrap_or_default()
}

/// The path of the link in a mail, which may be folded by quoted-printable.
fn link(mail: &str) -> String {
    let text = mail.replace("=\r\n", "").replace("=3D", "=");
    let at = text.find("/confirm/").unwrap_or_else(|| panic!("no link in\n{mail}"));
    text[at..].split_whitespace().next().unwrap().to_owned()
}

fn rule(node: &Node, address: &str) -> String {
    node.decision(address, "bulk")["rule"].as_str().unwrap_or("send").to_owned()
}

#[test]
fn a_dead_address_lives_again_by_the_button_and_peers_hear_it() {
    let alive = Arc::new(AtomicBool::new(false));
    let now = alive.clone();
    let sink = Sink::with(move |to| {
        let dead = to.starts_with("jean") && !now.load(Ordering::Relaxed);
        dead.then(|| "550 5.1.1 No such user here".to_owned())
    });
    // The yes of a smart host proves nothing, so that all depends on the button.
    let (a, b) = (sending("a", &format!("smarthost = \"{}\"", sink.address)), node("b", &sink));
    peer(&a, &b);
    send(a.smtp(), "anna@s.test", &["jean@d.test"], "first");
    wait_until("A knows", LONG, || rule(&a, "jean@d.test") == "own-hard");
    wait_until("B has heard it", LONG, || rule(&b, "jean@d.test") == "federated");
    let refused = exchange(a.smtp(), b"EHLO x\r\nMAIL FROM:<anna@s.test>\r\nRCPT TO:<jean@d.test>\r\nQUIT\r\n");
    assert!(refused.contains(&format!("; see http://{}/confirm", a.http())), "{refused}");

    // Nothing to lift: nobody is asked. Then one mail, and no second one within the week.
    assert_eq!(a.run(&["suppress", "confirm", "paul@d.test"]).exit, 65);
    assert_eq!(a.run(&["suppress", "confirm", "jean@d.test", "--org", "nobody"]).exit, 65);
    alive.store(true, Ordering::Relaxed);
    assert_eq!(a.ask(&["suppress", "confirm", "jean@d.test"])["asked"], true);
    assert_eq!(a.run(&["suppress", "confirm", "jean@d.test"]).exit, 75, "too soon");
    let mail = sink.mail_to("jean@d.test");
    assert_eq!((mail.from.as_str(), mail.to.len()), ("", 1), "it goes out alone");
    let (text, path) = (mail.text(), link(&mail.text()));
    assert!(text.contains("Auto-Submitted: auto-generated") && text.contains("relay-a.example.org"), "{text}");

    a.wait_for_empty_queue();
    for _ in 0..2 {
        let page = a.get(&path);
        assert!(page.contains("Do you want mail of") && page.contains("name=\"confirm\""), "{page}");
    }
    let forged = format!("{}{}", &path[..path.len() - 2], if path.ends_with("AA") { "BB" } else { "AA" });
    assert!(status(&a.get(&forged)).contains("404"));
    assert!(status(&post(&a, &forged, "confirm=yes")).contains("404"));
    assert!(status(&post(&a, &path, "")).contains("400"), "the button is wanted");
    assert!(status(&post(&b, &path, "confirm=yes")).contains("404"), "a link is of one node");
    assert_eq!(rule(&b, "jean@d.test"), "federated");
    let votes = |node: &Node| node.ask(&["explain", "jean@d.test"])["federated"]["votes"].as_array().unwrap().clone();
    assert_eq!(votes(&b).len(), 1, "a look and a forgery changed nothing");

    let done = post(&a, &path, "confirm=yes");
    assert!(status(&done).contains("200") && done.contains("comes to you again"), "{done}");
    wait_until("B hears that it was taken back", LONG, || votes(&b).iter().any(|vote| vote["class"] == 6));
    assert_eq!(rule(&b, "jean@d.test"), "send");
    for node in [&a, &b] {
        send(node.smtp(), "anna@s.test", &["jean@d.test"], "again");
    }
    wait_for("both newsletters arrive", LONG, || {
        (sink.mails().iter().filter(|mail| mail.text().contains("Subject: again")).count() == 2).then_some(())
    });
}

#[test]
fn what_an_administrator_releases_by_hand_is_taken_back_from_peers_too() {
    let sink = Sink::with(|_| Some("550 5.1.1 No such user here".to_owned()));
    let (a, b) = (node("a", &sink), node("b", &sink));
    peer(&a, &b);
    send(a.smtp(), "anna@s.test", &["jean@d.test", "paul@d.test"], "first");
    for address in ["jean@d.test", "paul@d.test"] {
        wait_until("A knows", LONG, || rule(&a, address) == "own-hard");
        wait_until("B has heard it", LONG, || rule(&b, address) == "federated");
    }
    let released = a.ask(&["suppress", "remove", "jean@d.test", "--note", "he wrote to us"]);
    assert_eq!((&released["lifted"][0], &released["taken_back"]), (&"released".into(), &true.into()), "{released}");
    assert_eq!(a.ask(&["suppress", "remove", "jean@d.test"])["taken_back"], false, "once is enough");
    assert_eq!(a.ask(&["suppress", "remove", "nobody@d.test"])["taken_back"], false);
    // What B decides by hand is about its own mail.
    assert_eq!(b.ask(&["suppress", "remove", "paul@d.test"])["taken_back"], false);
    wait_until("B hears that it was taken back", LONG, || rule(&b, "jean@d.test") == "send");
    assert_eq!((rule(&a, "jean@d.test").as_str(), rule(&a, "paul@d.test").as_str()), ("send", "own-hard"));
    // The address dies again, and nobody has to forget anything for that.
    send(a.smtp(), "anna@s.test", &["jean@d.test"], "second");
    wait_until("A knows it again", LONG, || rule(&a, "jean@d.test") == "own-hard");
}

#[test]
fn what_arrives_later_is_taken_back_from_peers_too() {
    let alive = Arc::new(AtomicBool::new(false));
    let now = alive.clone();
    let sink = Sink::with(move |_| (!now.load(Ordering::Relaxed)).then(|| "550 5.1.1 No such user here".to_owned()));
    let (a, b) = (node("a", &sink), node("b", &sink));
    peer(&a, &b);
    send(a.smtp(), "anna@s.test", &["jean@d.test", "paul@d.test"], "first");
    for address in ["jean@d.test", "paul@d.test"] {
        wait_until("B has heard it", LONG, || rule(&b, address) == "federated");
    }
    // Somebody knows better, and is right.
    a.ask(&["suppress", "allow", "jean@d.test"]);
    alive.store(true, Ordering::Relaxed);
    send(a.smtp(), "anna@s.test", &["jean@d.test"], "second");
    sink.mail_to("jean@d.test");
    wait_until("B hears that it was taken back", LONG, || rule(&b, "jean@d.test") == "send");
    assert_eq!(rule(&b, "paul@d.test"), "federated");
    // Nobody told B of the next one, and nothing is taken back of it.
    let votes = || b.ask(&["explain", "anna@d.test"])["federated"]["votes"].as_array().unwrap().len();
    send(a.smtp(), "anna@s.test", &["anna@d.test"], "third");
    sink.mail_to("anna@d.test");
    a.wait_for_empty_queue();
    assert_eq!(votes(), 0);
}

#[test]
fn the_public_form_says_the_same_of_every_address() {
    let sink = Sink::with(|to| to.starts_with("gone").then(|| "550 5.1.1 No such user here".to_owned()));
    let node = node("c", &sink);
    send(node.smtp(), "anna@s.test", &["gone@d.test"], "first");
    wait_until("the node knows", LONG, || rule(&node, "gone@d.test") == "own-hard");
    node.wait_for_empty_queue();
    sink.take();
    assert!(node.get("/confirm").contains("<form method=\"post\" action=\"/confirm\">"));
    let asked: Vec<String> = ["gone%40d.test", "never-seen%40d.test", "gone%40d.test", "x%40else.test&org=nobody"]
        .iter()
        .map(|address| post(&node, "/confirm", &format!("address={address}")))
        .collect();
    let body = |answer: &str| answer.split("\r\n\r\n").nth(1).unwrap_or_default().to_owned();
    assert!(asked[0].contains("a mail is on its way to it"), "{}", asked[0]);
    for answer in &asked {
        assert_eq!((status(answer), body(answer)), (status(&asked[0]), body(&asked[0])));
    }
    assert!(status(&post(&node, "/confirm", "address=nobody")).contains("400"));
    assert!(status(&post(&node, "/confirm", &"x".repeat(10_000))).contains("413"));
    // The question goes to the one address that is stopped, once; its server still knows nobody, and it stays stopped.
    let hard_at = |node: &Node| node.ask(&["explain", "gone@d.test"])["log"].as_array().unwrap().len();
    wait_until("the question was refused", LONG, || 2 <= hard_at(&node));
    node.wait_for_empty_queue();
    assert_eq!(rule(&node, "gone@d.test"), "own-hard");
    assert!(sink.mails().is_empty(), "{:?}", sink.mails());
}
