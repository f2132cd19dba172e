//! The pages of a node that has much to show: mail that waits for several domains and organisations, ways out that are refused
//! and paused, peers and who is behind them. On a telephone and on a desk, by day and by night, in both languages.

use std::time::Duration;

use serde_json::json;

use crate::browser::{Browser, Kind, USUAL};
use crate::calls::call;
use crate::client::send;
use crate::names::Names;
use crate::node::Node;
use crate::pages::{PASSWORD, at, logged_in};
use crate::peers::federation;
use crate::sink::Sink;
use crate::wait::{free_address, wait_until};

const LONG: Duration = Duration::from_secs(40);

/// Names of organisations as people give them.
const ORGS: [&str; 3] = ["amis-du-lac", "bibliothèque-associative-de-la-vallée-du-grand-fleuve", "compta"];

/// Servers of providers that people know, all at the sink.
const ZONE: &str = "gmail.test MX 10 aspmx.l.google.com\naspmx.l.google.com A 127.0.0.1\n\
    orange.test MX 10 smtp-in.orange.fr\nsmtp-in.orange.fr A 127.0.0.1\n\
    x.test MX 10 mx.x.test\nmx.x.test A 127.0.0.1\n\
    mail.departement-des-affaires-culturelles.collectivite-territoriale.test MX 10 mx.x.test\n";

struct World {
    node: Node,
    _others: Vec<Node>,
    _names: Names,
}

fn sink() -> Sink {
    Sink::with(|to| match to {
        to if to.starts_with("busy") => {
            Some("452 4.2.2 The email account that you tried to reach is over quota".into())
        }
        to if to.starts_with("slow") => Some("421 4.7.0 Try again later, closing connection. Too many messages".into()),
        to if to.starts_with("listed") => Some(
            "554 5.7.1 Service unavailable; Client host [127.0.0.11] blocked using zen.spamhaus.org; \
             https://www.spamhaus.org/query/ip/127.0.0.11"
                .into(),
        ),
        to if to.starts_with("gone") => {
            Some("550 5.1.1 The email account that you tried to reach does not exist".into())
        }
        _ => None,
    })
}

fn start(hostname: &str, port: u16, names: &Names, more: &str) -> Node {
    let http = free_address();
    Node::start(&format!(
        "hostname = \"{hostname}\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\ntrusted_networks = [\"127.0.0.1\"]\n\
         [http]\nlisten = [\"{http}\"]\n[relay]\nport = {port}\nretry_first = \"1h\"\n{more}{}{}",
        federation(http),
        names.config()
    ))
}

/// `b` asks `a`, whose administrator says yes.
fn befriend(a: &Node, b: &Node) {
    let invited = b.ask(&["peer", "invite", &format!("http://{}/fed/v1", a.http())]);
    a.ask(&["peer", "accept", "--yes", invited["own_fingerprint"].as_str().unwrap()]);
    wait_until("the peering stands", LONG, || {
        let listed = b.ask(&["peer", "list"]);
        listed["peers"].as_array().unwrap().iter().all(|peer| peer["state"] == "accepted")
    });
}

fn world() -> World {
    let (sink, names) = (sink(), Names::serve(ZONE));
    let port = sink.address.port();
    let exits = "[[relay.exits]]\nname = \"principale\"\naddresses = [\"127.0.0.11\"]\n\
                 [[relay.exits]]\nname = \"secours\"\naddresses = [\"127.0.0.12\"]\n";
    let node = start("relay.example.org", port, &names, exits);
    let hosts =
        ["mail.collectif-bleu.example", "mx.hebergeur-du-fleuve.example", "relais.bibliotheque-nationale.example"];
    let others = hosts.map(|host| start(host, port, &names, ""));
    node.ask_with(&["account", "add", "anna", "--role", "owner"], PASSWORD);
    for org in ORGS {
        node.ask(&["org", "add", org, "--domain", "asso.example"]);
    }
    befriend(&node, &others[0]);
    befriend(&node, &others[1]);
    befriend(&others[0], &others[2]);
    for (count, other) in (2..).zip(&others) {
        for n in 0..count * 2 {
            send(other.smtp(), "anna@s.test", &[&format!("gone{n}.{count}@x.test")], "hello");
        }
    }
    hand_in(&node);
    node.ask(&[
        "exit",
        "pause",
        "secours",
        "--note",
        "L’adresse est listée ; retrait demandé le 26 novembre, dossier 4711",
    ]);
    node.ask(&["queue", "hold", "--domain", "orange.test"]);
    wait_until("it was tried", LONG, || node.queue().iter().all(|row| row["lane"] == "held" || row["attempts"] != 0));
    // Two from the first, three from the second, and four that came through the first.
    wait_until("what others know is here", LONG, || {
        let listed = node.ask(&["peer", "list"]);
        let of = |list: &str| -> u64 {
            listed[list].as_array().unwrap().iter().map(|row| row["events_in"].as_u64().unwrap_or(0)).sum()
        };
        9 <= of("peers") / 2 + of("origins") / 2
    });
    World { node, _others: others.into(), _names: names }
}

/// Mail of each organisation, to people who take it, cannot, or are not there.
fn hand_in(node: &Node) {
    let made = node.ask(&["token", "new", "shop", "--role", "operator", "--scope", "mail:write"]);
    let secret = made["secret"].as_str().unwrap();
    let long = "listed@mail.departement-des-affaires-culturelles.collectivite-territoriale.test";
    for (org, to) in ORGS.iter().zip([
        &["busy@gmail.test", "jean@gmail.test", "busy2@x.test"][..],
        &["slow@x.test", long, "listed@gmail.test", "gone@gmail.test"],
        &["marie@orange.test", "busy@orange.test"],
    ]) {
        let mail = json!({ "org": org, "from": "La trésorière <compta@asso.example>", "to": to, "subject": "Assemblée générale",
            "text": "Bonjour.", "stream": "bulk" });
        call(node.http(), "POST", "/api/v1/mails").token(secret).json(&mail).send().json(202);
    }
}

#[test]
fn pages_with_much_on_them_fit_every_screen() {
    let world = world();
    let node = &world.node;
    let mail = node.queue()[0]["mail"].as_u64().unwrap();
    let life = format!("/queue/{mail}");
    let pages = [
        ("queue", "/queue"),
        ("mail", &life),
        ("exits", "/exits"),
        ("federation", "/federation"),
        ("peer", "/federation/peer?who=mail.collectif-bleu.example"),
        ("settings", "/settings"),
        ("overview", "/"),
        ("figures", "/figures?days=7"),
        ("org", "/orgs/show?name=compta"),
        ("orgs", "/orgs"),
        ("alerts", "/alerts"),
        ("audit", "/audit"),
        ("tail", "/tail"),
    ];
    for (name, kind) in [
        ("full-wide-en", USUAL),
        ("full-narrow-fr", Kind { lang: "fr", width: 360, ..USUAL }),
        ("full-dark-fr", Kind { lang: "fr", dark: true, ..USUAL }),
    ] {
        let browser = logged_in(node, kind);
        for (file, path) in pages {
            browser.open(&at(node, path));
            browser.picture(&format!("{name}-{file}"));
            fits(&browser, &format!("{path} ({name})"));
        }
    }
}

/// Nothing is wider than the screen, and nothing lies outside of what it stands in.
#[track_caller]
fn fits(browser: &Browser, what: &str) {
    let wide = browser.run("return document.documentElement.scrollWidth - window.innerWidth;");
    assert!(wide.as_i64().unwrap() <= 0, "{what} is wider than the screen: {wide}");
    let out = browser.run(
        "return [...document.querySelectorAll('main *')].filter(e => !e.closest('.scroll, svg, .hidden') && \
         e.getBoundingClientRect().right > document.querySelector('main').getBoundingClientRect().right + 1)\
         .map(e => e.outerHTML.slice(0, 120));",
    );
    assert_eq!(out, json!([]), "{what}: this lies outside of the page");
    let pushed = browser.run(
        "return [...document.querySelectorAll('.scroll:has(table)')].filter(e => window.innerWidth < 500 && \
         e.clientWidth < e.scrollWidth).map(e => e.outerHTML.slice(0, 120));",
    );
    assert_eq!(pushed, json!([]), "{what}: this is pushed sideways on a telephone");
}
