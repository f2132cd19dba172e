//! What the pages of mail, senders and addresses show and do.

use reqwest::StatusCode;
use serde_json::json;
use sm2tp_proto::Address;
use sm2tp_proto::smtp::params::{MailOptions, RcptOptions};
use sm2tp_rules::access::Role;
use sm2tp_rules::{LocalFailure, Stream};
use sm2tp_store::Phrase;
use sm2tp_store::federated::Contact;
use sm2tp_store::senders::{Decision, SenderId};
use sm2tp_store::spool::{Lane, NewMail, NewRecipient};

use super::node::{Node, TempDir, describe};
use super::web::{Browser, logged_in};

/// What a stranger writes wherever he can.
pub const HOSTILE: &str = "<img src=x onerror=alert(1)>\"'&";

pub async fn start(dir: &TempDir) -> (Node, Browser) {
    let node = Node::start(dir, "a").await;
    node.house.persons.add("anna", Role::Owner, super::web::PASSWORD, sm2tp_doors::now()).await.unwrap();
    let browser = logged_in(&node, "anna").await;
    (node, browser)
}

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

/// A mail that waits, with hostile words wherever a sender or a server may put some.
pub async fn waiting(node: &Node, org: &str, to: &str) -> u64 {
    waiting_because(node, org, to, &format!("450 4.2.0 {HOSTILE}")).await
}

/// The same, with what is noted of why it waits.
async fn waiting_because(node: &Node, org: &str, to: &str, note: &str) -> u64 {
    let recipient = NewRecipient {
        address: address(to),
        lane: Lane::Normal,
        note: Some(note.to_owned()),
        stopped: false,
        canary: false,
        options: RcptOptions::default(),
    };
    let mail = NewMail {
        org: org.into(),
        login: Some("news".into()),
        stream: Stream::Bulk,
        mail_from: Some(address("news@asso.example")),
        message_id: Some(HOSTILE.to_owned()),
        received_at: sm2tp_doors::now(),
        recipients: vec![recipient],
        held_until: u64::MAX >> 2,
        content: format!("Subject: {HOSTILE}\r\n\r\nhello\r\n").into(),
        is_report: false,
        stream_by: None,
        options: MailOptions::default(),
    };
    node.house.spool.accept(mail).await.unwrap().mail.id
}

#[tokio::test]
async fn an_address_is_explained_and_a_person_decides_about_it() {
    let dir = TempDir::new();
    let (node, mut browser) = start(&dir).await;
    node.learns_dead("gone@example.org").await;
    let path = "/suppression?address=gone%40example.org";
    let page = browser.get(path).await;
    for words in ["is not written to", "was refused with 550", "By hand, with a note.", "5.1.1 unknown"] {
        assert!(page.text.contains(words), "{words}: {}", page.text);
    }
    let fields = [("address", "gone@example.org"), ("org", ""), ("note", HOSTILE), ("what", "remove")];
    let done = browser.submit(&page, "/suppression", &fields).await;
    assert!(done.location.ends_with("&done=released"), "{}", done.location);
    let page = browser.get(&done.location).await;
    assert!(page.text.contains("The address is written to again."), "{}", page.text);
    assert!(!page.text.contains("is not written to"), "{}", page.text);
    // And the other way, with the note shown as text.
    let fields = [("address", "gone@example.org"), ("org", ""), ("note", HOSTILE), ("what", "add")];
    let done = browser.submit(&page, "/suppression", &fields).await;
    let page = browser.get(&done.location).await;
    assert!(page.text.contains("suppression list") && page.text.contains("&#60;img"), "{}", page.text);
    assert!(browser.get("/suppression").await.text.contains("example.org"));
    // What is no address is said to be none.
    let page = browser.get("/suppression?address=nobody").await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn a_blocked_sender_is_released_with_a_note() {
    let dir = TempDir::new();
    let (node, mut browser) = start(&dir).await;
    let id = SenderId { org: "local".into(), name: "news".into() };
    node.house.senders.decide(&id, Decision::Block, HOSTILE, Stream::Bulk, sm2tp_doors::now());
    let page = browser.get("/senders").await;
    assert!(page.text.contains("blocked") && page.text.contains("news"), "{}", page.text);
    let page = browser.get("/senders/show?sender=news&org=local").await;
    assert!(page.text.contains("by a person") && page.text.contains("&#60;img"), "{}", page.text);
    let fields = [
        ("sender", "news"),
        ("org", "local"),
        ("note", "asked on the telephone"),
        ("was", "mended"),
        ("waiting", "keep"),
        ("what", "release"),
    ];
    let done = browser.submit(&page, "/senders/decide", &fields).await;
    assert!(done.location.ends_with("&done=sender-released"), "{}", done.location);
    let page = browser.get(&done.location).await;
    assert!(page.text.contains("asked on the telephone") && page.text.contains("as usual"), "{}", page.text);
    assert!(browser.get("/senders").await.text.contains("Nobody is slowed down or blocked."));
}

#[tokio::test]
async fn mail_that_waits_is_shown_held_and_dropped_after_a_question() {
    let dir = TempDir::new();
    let (node, mut browser) = start(&dir).await;
    let mail = waiting(&node, "local", "jean@example.org").await;
    let page = browser.get("/queue").await;
    assert!(page.text.contains("jean@example.org") && page.text.contains("450 4.2.0"), "{}", page.text);
    let page = browser.get(&format!("/queue/{mail}")).await;
    assert!(page.text.contains("Subject: &#60;img"), "{}", page.text);
    let page = browser.get(&format!("/queue/sure?what=hold&mail={mail}")).await;
    assert!(page.text.contains("Hold until a person decides?") && page.text.contains("1 recipient."), "{}", page.text);
    let number = mail.to_string();
    let done = browser.submit(&page, "/queue", &[("what", "hold"), ("mail", &number)]).await;
    assert_eq!(done.location, format!("/queue/{mail}?done=queue-hold"));
    assert!(browser.get("/queue?lane=held").await.text.contains("held by a person"));
    assert!(browser.get("/").await.text.contains("1 recipient is held until a person decides"));
    let page = browser.get("/queue/sure?what=drop&lane=held").await;
    assert!(page.text.contains("Remove for good"), "{}", page.text);
    let done = browser.submit(&page, "/queue", &[("what", "drop"), ("lane", "held")]).await;
    assert_eq!(done.location, "/queue?domain=&org=&lane=held&done=queue-drop");
    assert!(browser.get("/queue").await.text.contains("Nothing waits."));
    assert_eq!(browser.get(&format!("/queue/{mail}")).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn organisations_and_logins_are_made_and_removed() {
    let dir = TempDir::new();
    let (node, mut browser) = start(&dir).await;
    let page = browser.get("/orgs").await;
    let fields = [("name", "asso"), ("domains", "asso.example, b.example"), ("stream", "bulk"), ("what", "add")];
    assert_eq!(browser.submit(&page, "/orgs", &fields).await.location, "/orgs/show?name=asso&done=org");
    let page = browser.get("/orgs/show?name=asso").await;
    assert!(page.text.contains("asso.example, b.example"), "{}", page.text);
    let fields = [("name", "asso"), ("login", "news"), ("password", "long enough"), ("stream", ""), ("what", "login")];
    assert_eq!(browser.submit(&page, "/orgs", &fields).await.location, "/orgs/show?name=asso&done=login");
    assert!(node.house.accounts.verify("news", "long enough", sm2tp_doors::now()).await.is_some());
    let fields = [("name", "asso"), ("login", "news"), ("what", "logout")];
    browser.submit(&page, "/orgs", &fields).await;
    assert!(node.house.accounts.orgs()[0].logins.is_empty());
    browser.submit(&page, "/orgs", &[("name", "asso"), ("what", "remove")]).await;
    assert!(browser.get("/orgs").await.text.contains("No organisation yet."));
}

/// Texts that are a key of words and no words: a key that has none stands for itself.
pub fn unsaid(html: &str) -> Vec<&str> {
    let texts = html.split('>').filter_map(|part| part.split_once('<')).filter(|(_, tag)| !tag.starts_with("/code"));
    let is_key = |text: &&str| {
        text.contains('-')
            && text.split('-').all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase()))
    };
    texts.map(|(text, _)| text.trim()).filter(is_key).collect()
}

#[test]
fn keys_without_words_are_found() {
    assert_eq!(
        unsaid("<p>no-such-key</p><code>a-b</code><td>first-try </td><b>a, b-c</b>"),
        ["no-such-key", "first-try"]
    );
}

#[tokio::test]
async fn what_failed_on_our_side_is_said_in_the_language_of_the_page_and_what_a_server_said_stays() {
    let dir = TempDir::new();
    let (node, mut browser) = start(&dir).await;
    let failure = LocalFailure::DnsFailure;
    for note in [
        failure.english(),
        "federated: 1 other mail hoster(s) report this address as dead",
        "held: by a person",
        "released: by a person",
    ] {
        waiting_because(&node, "local", "jean@example.org", note).await;
    }
    waiting(&node, "local", "lea@example.org").await;
    assert!(browser.get("/queue").await.text.contains(failure.english()));
    browser.post("/language", &[("language", "fr")]).await;
    let page = french_part(&browser.get("/queue").await.text);
    for words in [
        failure.french(),
        "1 autre nœud dit cette adresse inexistante",
        "retenu par une personne",
        "libéré par une personne",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(!page.contains("450 4.2.0"), "it is marked as another language");
}

#[tokio::test]
async fn no_english_word_stands_in_a_french_page() {
    let dir = TempDir::new();
    let (node, mut browser) = start(&dir).await;
    let keys = |n| ed25519_dalek::SigningKey::from_bytes(&[n; 32]);
    let peer = describe(&keys(5), &keys(6), "Collectif", "https://x.example/fed/v1");
    node.befriend(&peer).await;
    let reason = json!({ "key": "not-busy", "with": [["host", { "text": "x.example" }]] });
    let contact = Contact {
        name: "Collectif".into(),
        cursor: None,
        polled_at: sm2tp_doors::now(),
        answered: true,
        caught_up: false,
        trouble: Some(Phrase { text: "x.example asks us to come later (429)".into(), reason: Some(reason) }),
    };
    node.house.federation.store.note_contact(peer.descriptor().node, contact).await.unwrap();
    let page = browser.get("/orgs").await;
    let fields = [("name", "amis"), ("domains", "amis.example"), ("stream", "bulk"), ("what", "add")];
    browser.submit(&page, "/orgs", &fields).await;
    node.house.accounts.put_org("asso", vec![], Stream::Bulk, 1).await.unwrap();
    let mail = waiting(&node, "asso", "jean@example.org").await;
    let id = SenderId { org: "asso".into(), name: "news".into() };
    node.house.senders.decide(&id, Decision::Block, "", Stream::Bulk, sm2tp_doors::now());
    for address in ["gone@example.org", "gone@google.example"] {
        node.learns_dead(address).await;
    }
    browser.post("/language", &[("language", "fr")]).await;
    let pages = PAGES.iter().map(|path| (*path).to_owned());
    for path in pages.chain([format!("/queue/{mail}"), "/federation/peer?who=Collectif".to_owned()]) {
        let page = browser.get(&path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        let words = french_part(&page.text);
        let words: Vec<&str> = words.split(|c: char| !c.is_alphabetic()).collect();
        for english in ENGLISH {
            let place = words.iter().position(|word| word.eq_ignore_ascii_case(english));
            assert!(
                place.is_none(),
                "{path} says {:?}",
                place.map(|at| &words[at.saturating_sub(5)..][..10.min(words.len() - at)])
            );
        }
    }
    let federation = french_part(&browser.get("/federation").await.text);
    assert!(federation.contains("x.example demande de revenir plus tard (429)."), "{federation}");
    let audit = french_part(&browser.get("/audit").await.text);
    assert!(audit.contains("domaines amis.example, courrier en nombre"), "{audit}");
}

/// What a page says in its own language: the text outside of elements that are marked as another, and outside of code.
pub fn french_part(html: &str) -> String {
    let (mut out, mut rest, mut inside) = (String::new(), html, None::<(String, usize)>);
    while let Some((text, after)) = rest.split_once('<') {
        let (tag, next) = after.split_once('>').unwrap();
        if inside.is_none() {
            out.push_str(text);
            out.push(' ');
        }
        let name = tag.trim_start_matches('/').split([' ', '\n']).next().unwrap().to_owned();
        match &mut inside {
            Some((skipped, depth)) if *skipped == name => {
                *depth = if tag.starts_with('/') { *depth - 1 } else { *depth + 1 };
                if *depth == 0 {
                    inside = None;
                }
            }
            Some(_) => {}
            None => {
                let other = ["lang=\"en\"", "lang=\"mul\""].iter().any(|lang| tag.contains(lang));
                let is_code = ["code", "pre", "option", "title"].contains(&&name[..]);
                if (other || is_code) && !tag.starts_with('/') {
                    inside = Some((name, 1));
                }
            }
        }
        rest = next;
    }
    out
}

const PAGES: &[&str] = &[
    "/",
    "/figures?days=7",
    "/queue",
    "/queue/sure?what=drop",
    "/senders?all=1",
    "/senders/show?sender=news&org=asso",
    "/orgs",
    "/orgs/show?name=asso",
    "/suppression",
    "/suppression?address=gone%40example.org",
    "/federation",
    "/dns",
    "/alerts",
    "/audit",
    "/settings",
    "/exits?lists=1",
    "/programs",
    "/tail",
    "/suppression/lists",
    "/queue/find?id=none@asso.example",
    "/setup/next",
    "/accounts",
    "/accounts/change?name=anna",
    "/account",
    "/account/factor",
];
/// Words that are in nearly every English sentence, and in no French one.
pub const ENGLISH: &[&str] = &[
    "the", "of", "and", "not", "with", "is", "are", "to", "from", "this", "that", "for", "your", "nothing", "was",
    "address", "sender", "mails", "nobody", "since", "yes", "no", "show", "has",
];

#[tokio::test]
async fn the_page_of_the_dns_says_how_a_policy_is_when_it_is_asked_and_waits_for_nobody() {
    let dir = TempDir::new();
    let (node, mut browser) = start(&dir).await;
    let domains = ["asso.example", "fine.example", "hangs.example", "listed.example"];
    let domains = domains.iter().map(|name| sm2tp_proto::Domain::parse(name).unwrap()).collect();
    node.house.accounts.put_org("asso", domains, Stream::Bulk, 1).await.unwrap();
    assert!(!browser.get("/dns").await.text.contains("The policy now"), "nobody asked");
    browser.post("/language", &[("language", "fr")]).await;
    for (domain, lamp, words) in [
        ("asso.example", "light-slow", "Le serveur web répond par le statut 404."),
        ("listed.example", "light-slow", "sans être dans la politique, donc n’en reçoivent pas"),
        ("fine.example", "light-green", "Elle est là, en vigueur"),
        ("hangs.example", "light-amber", "n’a pas répondu en quelques secondes"),
    ] {
        let page = browser.get(&format!("/dns?check={domain}")).await;
        let (_, now) = page.text.split_once("La politique en ce moment").unwrap_or_else(|| panic!("{}", page.text));
        assert!(now.split("</p>").next().unwrap().contains(words), "{domain}: {now}");
        let (before, _) = page.text.split_once("La politique en ce moment").unwrap();
        assert!(before.rsplit("<span").next().unwrap().contains(lamp), "{domain}");
    }
    // A name that is nobody's here is not asked about, whoever wishes it.
    let page = browser.get("/dns?check=metadata.internal").await;
    assert!(!page.text.contains("La politique en ce moment"), "{}", page.text);
}

#[tokio::test]
async fn an_administrator_of_an_organisation_sees_its_mail_alone() {
    let dir = TempDir::new();
    let (node, mut owner) = start(&dir).await;
    for org in ["asso", "other"] {
        node.house.accounts.put_org(org, vec![], Stream::Bulk, 1).await.unwrap();
    }
    let (own, others) =
        (waiting(&node, "asso", "jean@example.org").await, waiting(&node, "other", "lea@example.net").await);
    let role = Role::OrgAdministrator { org: "asso".into() };
    node.house.persons.add("olga", role, super::web::PASSWORD, sm2tp_doors::now()).await.unwrap();
    let mut olga = logged_in(&node, "olga").await;
    let page = olga.get("/queue").await;
    assert!(page.text.contains("jean@example.org") && !page.text.contains("lea@example.net"), "{}", page.text);
    assert_eq!(olga.get(&format!("/queue/{own}")).await.status, StatusCode::OK);
    for path in [format!("/queue/{others}"), format!("/queue/{others}?since=1"), "/queue?org=other".to_owned()] {
        let refused = olga.get(&path).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path}: {}", refused.text);
    }
    for path in [
        "/federation",
        "/alerts",
        "/settings",
        "/accounts",
        "/exits",
        "/tail?org=other",
        "/figures?org=other",
        "/suppression?address=a%40b.example&org=other",
    ] {
        let refused = olga.get(path).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path}");
        assert!(refused.text.contains("Your role does not allow this."), "{path}: {}", refused.text);
    }
    let others = others.to_string();
    let refused = olga.submit(&page, "/queue", &[("what", "drop"), ("mail", &others)]).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.text);
    assert!(owner.get("/queue").await.text.contains("lea@example.net"));
    for path in [
        "/",
        "/figures",
        "/tail",
        "/orgs",
        "/senders",
        "/dns",
        "/audit",
        "/suppression",
        "/suppression/lists",
        "/programs",
        "/setup/next",
    ] {
        let page = olga.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        assert!(!page.text.contains(">other<"), "{path} tells of the other organisation: {}", page.text);
    }
}
