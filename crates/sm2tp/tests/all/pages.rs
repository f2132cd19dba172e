//! The pages in a real Chromium: with and without scripts, in both languages, with the keyboard alone.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::browser::{Browser, ENTER, Kind, Scripts, TAB, USUAL};
use crate::client::send;
use crate::node::{Node, said};
use crate::peers::federation;
use crate::sink::Sink;
use crate::wait::{free_address, wait_for};

pub const PASSWORD: &str = "correct horse battery";

/// A node with an owner, an organisation and somebody on its list.
pub fn node() -> Node {
    let http = free_address();
    let config = "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\n[relay]\n";
    let node = Node::start(&format!("{config}[http]\nlisten = [\"{http}\"]\n{}", federation(http)));
    node.ask_with(&["account", "add", "anna", "--role", "owner"], PASSWORD);
    node.add_login("news", "long enough", "asso.example", "bulk");
    node.ask(&["suppress", "add", "gone@example.org", "--note", "asked on the telephone"]);
    node
}

pub fn logged_in(node: &Node, kind: Kind) -> Browser {
    let browser = Browser::start(kind);
    browser.open(&at(node, "/login"));
    browser.write("#name", "anna");
    browser.write("#password", PASSWORD);
    browser.click("main button");
    // Whether a click waits for the page behind it is for the browser to say, and it says either.
    wait_for("the overview", Duration::from_secs(20), || (browser.url() == at(node, "/")).then_some(()));
    browser
}

pub fn at(node: &Node, path: &str) -> String {
    format!("http://{}{path}", node.http())
}

#[test]
fn an_address_is_searched_and_released_with_and_without_scripts_in_both_languages() {
    let node = node();
    for (lang, scripts, refused, released) in [
        ("en", Scripts::On, "An administrator put this address", "The address is written to again."),
        ("fr", Scripts::Off, "L’administrateur a mis cette adresse", "On écrit de nouveau à cette adresse."),
    ] {
        let browser = logged_in(&node, Kind { lang, scripts, ..USUAL });
        browser.open(&at(&node, "/suppression"));
        browser.write("#address", "gone@example.org");
        browser.click("form[role=search] button");
        assert!(browser.text("main").contains(refused), "{}", browser.text("main"));
        assert!(browser.text("main").contains("asked on the telephone"));
        browser.picture(&format!("suppression-{lang}"));
        browser.write("#note", "the telephone again");
        browser.click("button[value=remove]");
        assert_eq!(browser.text("[role=status]"), released);
        assert_eq!(node.decision("gone@example.org", "personal")["decision"], "send");
        node.ask(&["suppress", "add", "gone@example.org", "--note", "asked on the telephone"]);
    }
}

#[test]
fn a_blocked_sender_is_released_on_its_page_with_and_without_scripts_in_both_languages() {
    let node = node();
    for (lang, scripts, released) in [
        ("en", Scripts::On, "The sender may write as usual again."),
        ("fr", Scripts::Off, "L’émetteur peut de nouveau écrire normalement."),
    ] {
        node.ask(&["sender", "block", "news", "--note", "it writes to strangers"]);
        let browser = logged_in(&node, Kind { lang, scripts, ..USUAL });
        browser.click(".waiting a[href='/senders']");
        browser.click("main th a");
        assert!(browser.text("main").contains("it writes to strangers"), "{}", browser.text("main"));
        browser.write("#note", "its password was changed");
        browser.click("button[value=release]");
        assert_eq!(browser.text("[role=status]"), released);
        assert_eq!(node.ask(&["sender", "show", "news"])["evidence"]["level"], "normal");
        let audit = node.ask(&["audit", "list"]);
        assert_eq!((&audit[0]["by"], &audit[0]["what"]), (&"anna".into(), &"sender-decide".into()));
    }
}

/// A node that nobody has an account on, whose mail goes to this sink.
fn fresh(sink: &Sink) -> Node {
    let http = free_address();
    Node::start(&format!(
        "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\ntrusted_networks = [\"127.0.0.1/32\"]\n\
         [relay]\nsmarthost = \"{}\"\n\
         [http]\nlisten = [\"{http}\"]\n",
        sink.address
    ))
}

fn first_code(node: &Node) -> String {
    std::fs::read_to_string(node.data().join("first-run-code")).unwrap().trim().to_owned()
}

#[test]
fn the_first_run_ends_with_a_test_mail_and_what_became_of_it() {
    for (lang, scripts, answer, became) in [
        ("en", Scripts::On, None, "The recipient’s server took it. Now look into your mailbox."),
        ("fr", Scripts::Off, Some("550 5.1.1 no such user"), "Il n’a pas été pris."),
    ] {
        let sink = Sink::with(move |_| answer.map(str::to_owned));
        let node = fresh(&sink);
        let browser = Browser::start(Kind { lang, scripts, ..USUAL });
        browser.open(&at(&node, "/"));
        browser.click("a[href='/setup']");
        browser.write("#code", &first_code(&node));
        for (field, text) in [("#name", "anna"), ("#p1", PASSWORD), ("#p2", PASSWORD)] {
            browser.write(field, text);
        }
        browser.picture(&format!("first-run-{lang}"));
        browser.click("main form button");
        browser.write("#name", "asso");
        browser.write("#domain", "asso.example");
        browser.click("button[value=org]");
        browser.click("button[value=key]");
        browser.write("#to", "jean@x.example");
        browser.click("button[value=test]");
        assert_eq!(browser.text("section[role=status] strong"), became);
        assert_eq!(answer.is_some(), browser.text("main").contains("no such user"), "{}", browser.text("main"));
        browser.picture(&format!("first-test-{lang}"));
        assert!(!node.data().join("first-run-code").exists());
        assert_eq!(node.ask(&["dkim", "list"]).as_array().unwrap().len(), 2);
        if answer.is_none() {
            let mail = String::from_utf8(sink.mail_to("jean@x.example").content).unwrap();
            assert!(mail.contains("relay.example.org") && mail.contains("DKIM-Signature"), "{mail}");
        }
    }
}

/// Goes on with the tabulator until a field of this name, or something with this text, has the focus.
#[track_caller]
fn tab_to(browser: &Browser, wanted: &str) {
    let mut seen = Vec::new();
    while seen.last().is_none_or(|last: &String| last != wanted) {
        assert!(seen.len() < 80, "no way to {wanted}: {seen:?}");
        browser.keys(TAB);
        seen.push(browser.focused());
    }
}

#[test]
fn the_keyboard_is_enough_for_the_first_run_and_to_release_a_sender() {
    let node = fresh(&Sink::start());
    let browser = Browser::start(USUAL);
    browser.open(&at(&node, "/setup"));
    tab_to(&browser, "code");
    browser.keys(&format!("{}{TAB}anna{TAB}{PASSWORD}{TAB}{PASSWORD}{ENTER}", first_code(&node)));
    wait_for("the steps", PATIENCE, || browser.url().contains("/setup/next").then_some(()));
    tab_to(&browser, "name");
    browser.keys(&format!("asso{TAB}asso.example{ENTER}"));
    wait_for("the organisation", PATIENCE, || browser.url().contains("done=org").then_some(()));
    tab_to(&browser, "to");
    browser.keys(&format!("jean@x.example{ENTER}"));
    wait_for("the test mail", PATIENCE, || browser.url().contains("mail=").then_some(()));
    assert!(browser.text("main").contains("The recipient’s server took it."), "{}", browser.text("main"));
    node.ask_with(&["org", "login", "news", "--org", "asso"], "long enough");
    node.ask(&["sender", "block", "news", "--note", "it writes to strangers"]);
    browser.open(&at(&node, "/senders/show?sender=news&org=asso"));
    tab_to(&browser, "note");
    browser.keys("its password was changed");
    while browser.run("return document.activeElement.value") != "release" {
        tab_to(&browser, "what");
    }
    browser.keys(ENTER);
    wait_for("the release", PATIENCE, || browser.url().contains("done=sender-released").then_some(()));
    assert_eq!(node.ask(&["sender", "show", "news"])["evidence"]["level"], "normal");
}

#[test]
fn the_live_page_goes_on_by_itself_and_without_a_script_when_it_is_asked() {
    let sink = Sink::start();
    let node = fresh(&sink);
    node.ask_with(&["account", "add", "anna", "--role", "owner"], PASSWORD);
    node.ask(&["org", "add", "asso", "--domain", "asso.example"]);
    let (live, plain) = (logged_in(&node, USUAL), logged_in(&node, Kind { scripts: Scripts::Off, ..USUAL }));
    for browser in [&live, &plain] {
        browser.open(&at(&node, "/tail"));
    }
    send(node.smtp(), "anna@asso.example", &["jean@x.example"], "hello");
    wait_for("the line that comes", PATIENCE, || live.text("#tail").contains("delivered").then_some(()));
    assert!(live.text("#tail").contains("x.example") && !live.text("#tail").contains("jean"), "{}", live.text("#tail"));
    live.picture("tail-live");
    live.click("#pause");
    assert_eq!(live.text("#pause"), "Go on");
    assert!(!plain.text("main").contains("x.example"));
    plain.click("form.row button[type=submit]");
    assert!(plain.text("#tail").contains("x.example"), "{}", plain.text("main"));
}

#[test]
fn two_nodes_become_peers_through_their_pages() {
    let (a, b) = (node(), node());
    let (on_a, on_b) = (logged_in(&a, USUAL), logged_in(&b, Kind { lang: "fr", scripts: Scripts::Off, ..USUAL }));
    on_a.open(&at(&a, "/federation"));
    let fingerprint = on_a.text("main code.large");
    on_a.write("#url", &format!("http://{}/fed/v1", b.http()));
    on_a.click("button[value=invite]");
    assert_eq!(on_a.text("[role=status]"), "The invitation is sent.");
    on_b.open(&at(&b, "/"));
    on_b.click(".waiting a[href^='/federation/peer']");
    assert!(on_b.text("main").contains(&fingerprint), "{}", on_b.text("main"));
    on_b.click("input[name=compared]");
    on_b.click("button[value=accept]");
    assert_eq!(on_b.text("[role=status]"), "La relation est établie.");
    wait_for("the invitation is answered", Duration::from_secs(20), || {
        (a.ask(&["peer", "list"])["peers"][0]["state"] == "accepted").then_some(())
    });
    on_a.open(&at(&a, "/federation"));
    assert!(on_a.text("main").contains("accepted"));
    assert!(on_a.text("main").contains("Who told us what"), "the map");
    on_a.picture("federation-en");
}

/// Goes on until the button that sends this value has the focus, and presses it.
#[track_caller]
fn press(browser: &Browser, value: &str) {
    for _ in 0..80 {
        browser.keys(TAB);
        if browser.run("return document.activeElement.value || ''") == value {
            return browser.keys(ENTER);
        }
    }
    panic!("no way to the button {value}");
}

#[test]
fn the_keyboard_is_enough_for_a_peering_in_both_languages() {
    // Anna asks in English and is answered in French; who answered her asks in French and is answered in English.
    let nodes = [node(), node(), node()];
    let browsers = ["en", "fr", "en"].map(|lang| Kind { lang, ..USUAL });
    let browsers: Vec<_> = nodes.iter().zip(browsers).map(|(node, kind)| logged_in(node, kind)).collect();
    for (asks, answers, request, invited, accepted) in [
        (0, 1, "Un autre nœud demande à devenir pair", "The invitation is sent.", "La relation est établie."),
        (1, 2, "Another node asks for a peering", "L’invitation est partie.", "The peering is made."),
    ] {
        let (from, to) = (&browsers[asks], &browsers[answers]);
        from.open(&at(&nodes[asks], "/federation"));
        let fingerprint = from.text("main code.large");
        tab_to(from, "url");
        from.keys(&format!("http://{}/fed/v1{TAB}à bientôt", nodes[answers].http()));
        press(from, "invite");
        assert_eq!(from.text("[role=status]"), invited);
        to.open(&at(&nodes[answers], "/"));
        tab_to(to, request);
        to.keys(ENTER);
        wait_for("who asks", PATIENCE, || to.url().contains("/federation/peer").then_some(()));
        assert!(to.text("main").contains(&fingerprint) && to.text("main").contains("à bientôt"), "{}", to.text("main"));
        tab_to(to, "compared");
        to.keys(" ");
        press(to, "accept");
        assert_eq!(to.text("[role=status]"), accepted);
        wait_for("the invitation is answered", PATIENCE, || {
            let listed = nodes[asks].ask(&["peer", "list"]);
            let peers = listed["peers"].as_array().unwrap();
            peers.iter().all(|peer| peer["state"] == "accepted").then_some(())
        });
    }
}

#[test]
fn the_keyboard_is_enough() {
    let node = node();
    let browser = Browser::start(USUAL);
    browser.open(&at(&node, "/login"));
    // The first field has the focus.
    browser.keys(&format!("anna{TAB}{PASSWORD}{ENTER}"));
    wait_for("the overview", Duration::from_secs(20), || (browser.url() == at(&node, "/")).then_some(()));
    browser.keys(TAB);
    assert_eq!(browser.focused(), "To the content");
    browser.keys(ENTER);
    assert!(browser.url().ends_with("/#main"), "{}", browser.url());
    browser.open(&at(&node, "/suppression"));
    let mut seen = Vec::new();
    while seen.last().is_none_or(|last| last != "address") {
        browser.keys(TAB);
        seen.push(browser.focused());
        assert!(seen.len() < 40, "no way to the search: {seen:?}");
    }
    browser.keys(&format!("gone@example.org{ENTER}"));
    wait_for("what was searched", Duration::from_secs(20), || browser.url().contains("address=gone").then_some(()));
    assert!(browser.text("main").contains("is not written to"));
}

#[test]
fn every_page_fits_a_telephone_and_is_kept_as_a_picture() {
    let node = node();
    let pages =
        PAGES.iter().map(|path| (*path, path.trim_start_matches('/').split('?').next().unwrap().replace('/', "-")));
    let pages: Vec<_> = pages.collect();
    for (name, kind) in [
        ("wide-en", USUAL),
        ("narrow-fr", Kind { lang: "fr", width: 360, ..USUAL }),
        ("dark-fr", Kind { lang: "fr", dark: true, ..USUAL }),
    ] {
        let browser = logged_in(&node, kind);
        for (path, file) in &pages {
            browser.open(&at(&node, path));
            let file = if file.is_empty() { "overview" } else { file };
            browser.picture(&format!("{name}-{file}"));
            let wide = browser.run("return document.documentElement.scrollWidth - window.innerWidth;");
            assert!(wide.as_i64().unwrap() <= 0, "{path} is wider than the screen ({name}): {wide}");
        }
    }
}

#[test]
fn nothing_serious_keeps_people_out_who_see_or_move_otherwise() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let fetched = said(&mut Command::new(root.join("scripts/axe")), "");
    assert_eq!(fetched.exit, 0, "scripts/axe: {}", fetched.stderr);
    let axe = std::fs::read_to_string(root.join(fetched.stdout.trim())).unwrap();
    let node = node();
    let mut found = Vec::new();
    for dark in [false, true] {
        // By night on a telephone, where tables are cards.
        let browser = logged_in(&node, Kind { dark, width: if dark { 360 } else { USUAL.width }, ..USUAL });
        for path in PAGES {
            browser.open(&at(&node, path));
            browser.run(&axe);
            let answer = browser.run_later(
                "const done = arguments[0]; axe.run().then(r => done(r.violations.map(v => \
                 [v.impact, v.id, v.nodes.slice(0, 3).map(n => n.html + ' ' + n.failureSummary)])));",
            );
            let serious = answer.as_array().unwrap().iter().filter(|v| v[0] == "serious" || v[0] == "critical");
            found.extend(serious.map(|violation| format!("{path} dark {dark}: {violation}")));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Those that need nothing but a node.
const PAGES: &[&str] = &[
    "/",
    "/figures?days=30",
    "/queue",
    "/senders?all=1",
    "/orgs",
    "/orgs/show?name=org-news",
    "/suppression",
    "/suppression?address=gone%40example.org",
    "/federation",
    "/dns",
    "/alerts",
    "/audit",
    "/settings",
    "/tail",
    "/exits",
    "/programs",
    "/suppression/lists",
    "/queue/find?id=none%40asso.example",
    "/setup/next",
    "/accounts",
    "/account",
    "/account/factor",
];
const PATIENCE: Duration = Duration::from_secs(20);
