//! Whatever a page refuses is refused in the language of the page, with its reason.

use reqwest::StatusCode;
use sm2tp_rules::Stream;
use sm2tp_rules::access::Role;

use super::node::{TempDir, describe};
use super::web::{Browser, PASSWORD, Page, logged_in};
use super::web_pages::{ENGLISH, french_part, start, waiting};

/// A form with what is sent in it, and a word of the reason that a French page must give.
type Sent = (&'static str, &'static [(&'static str, &'static str)], &'static str);

#[track_caller]
fn says_in_french(what: &str, page: &Page, reason: &str) {
    assert!(page.status.is_client_error() || page.status == StatusCode::BAD_GATEWAY, "{what}: {}", page.status);
    let text = french_part(&page.text);
    assert!(text.contains(reason), "{what} does not say {reason:?}: {text}");
    let words: Vec<&str> = text.split(|c: char| !c.is_alphabetic()).collect();
    for english in ENGLISH {
        assert!(words.iter().all(|word| !word.eq_ignore_ascii_case(english)), "{what} says {english}: {text}");
    }
}

async fn french(browser: &mut Browser) -> Page {
    browser.post("/language", &[("language", "fr")]).await;
    browser.get("/account").await
}

#[tokio::test]
async fn every_refusal_of_a_form_is_said_in_french() {
    let dir = TempDir::new();
    let (node, mut browser) = start(&dir).await;
    let keys = |n| ed25519_dalek::SigningKey::from_bytes(&[n; 32]);
    node.befriend(&describe(&keys(5), &keys(6), "Collectif", "https://x.example/fed/v1")).await;
    node.house.accounts.put_org("asso", vec![], Stream::Bulk, 1).await.unwrap();
    node.house.accounts.put_login("asso", "news", PASSWORD, None, 1).await.unwrap();
    let page = french(&mut browser).await;
    for (path, fields, reason) in FORMS {
        let refused = browser.submit(&page, path, fields).await;
        let said = format!("{path} {fields:?}");
        says_in_french(&said, &refused, reason);
        assert!(!refused.text.contains("<span lang=\"en\">"), "{said} leaves it to the machine: {}", refused.text);
    }
}

#[tokio::test]
async fn every_refusal_of_a_question_is_said_in_french() {
    let dir = TempDir::new();
    let (node, mut browser) = start(&dir).await;
    node.house.accounts.put_org("asso", vec![], Stream::Bulk, 1).await.unwrap();
    french(&mut browser).await;
    for (path, reason) in QUESTIONS {
        let refused = browser.get(path).await;
        says_in_french(path, &refused, reason);
    }
}

#[tokio::test]
async fn who_may_not_is_told_so_in_french() {
    let dir = TempDir::new();
    let (node, _) = start(&dir).await;
    for org in ["asso", "other"] {
        node.house.accounts.put_org(org, vec![], Stream::Bulk, 1).await.unwrap();
    }
    let mail = waiting(&node, "other", "lea@example.net").await;
    let now = sm2tp_doors::now();
    node.house.persons.add("rita", Role::ReadOnly, PASSWORD, now).await.unwrap();
    let role = Role::OrgAdministrator { org: "asso".into() };
    node.house.persons.add("olga", role, PASSWORD, now).await.unwrap();
    let mut rita = logged_in(&node, "rita").await;
    let page = french(&mut rita).await;
    let refused = rita.submit(&page, "/orgs", &[("name", "new"), ("what", "add")]).await;
    says_in_french("a reader", &refused, "Le rôle «\u{a0}Lecture seule\u{a0}» ne le permet pas (orgs:write).");
    let mut olga = logged_in(&node, "olga").await;
    french(&mut olga).await;
    says_in_french("the node", &olga.get("/federation").await, "ne le permet pas (peers:read)");
    says_in_french("another's", &olga.get(&format!("/queue/{mail}")).await, "rien de tel dans l’organisation asso");
}

#[tokio::test]
async fn what_a_library_says_of_another_server_stays_and_is_marked() {
    let dir = TempDir::new();
    let (_node, mut browser) = start(&dir).await;
    let page = french(&mut browser).await;
    // A port that nobody listens at any more.
    let at = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{at}/fed/v1");
    let refused = browser.submit(&page, "/federation", &[("url", &url), ("what", "invite")]).await;
    says_in_french("a port", &refused, "est injoignable\u{a0}: connexion refusée (");
    assert_eq!(refused.status, StatusCode::BAD_GATEWAY);
    let (_, marked) = refused.text.split_once("<span lang=\"en\">").unwrap();
    assert!(marked.split('<').next().unwrap().contains("Connection refused"), "{}", refused.text);
    // The same in English is one sentence.
    browser.post("/language", &[("language", "en")]).await;
    let refused = browser.submit(&page, "/federation", &[("url", &url), ("what", "invite")]).await;
    assert!(refused.text.contains("cannot be reached") && !refused.text.contains("lang=\"en\">e"), "{}", refused.text);
}

const FORMS: &[Sent] = &[
    ("/queue", &[("what", "hold"), ("mail", "999")], "Le message 999 n’est pas dans la file"),
    ("/queue", &[("what", "hold"), ("domain", "a..b")], "n’est pas un domaine"),
    ("/queue", &[("what", "hold"), ("lane", "fast")], "Une file est normal, slow ou held"),
    ("/senders/decide", &[("what", "slow"), ("sender", "quidam")], "personne de ce nom n’a envoyé"),
    ("/senders/decide", &[("what", "slow"), ("sender", "quidam"), ("org", "none")], "pas d’organisation"),
    ("/senders/decide", &[("what", "slow"), ("sender", "news"), ("note", LONG)], "Une note a"),
    ("/orgs", &[("what", "add"), ("name", "local")], "ne peut pas nommer une organisation"),
    ("/orgs", &[("what", "add"), ("name", "a"), ("domains", "a..b")], "une partie du nom de domaine"),
    ("/orgs", &[("what", "add"), ("name", "a"), ("domains", "[192.0.2.1]")], "crochets"),
    (
        "/orgs",
        &[("what", "login"), ("name", "none"), ("login", "a"), ("password", "long enough")],
        "pas d’organisation",
    ),
    (
        "/orgs",
        &[("what", "login"), ("name", "asso"), ("login", "a"), ("password", "short")],
        "Un mot de passe a au moins",
    ),
    (
        "/orgs",
        &[("what", "login"), ("name", "asso"), ("login", ""), ("password", "long enough")],
        "Un identifiant a de",
    ),
    ("/orgs", &[("what", "logout"), ("login", "quidam")], "pas d’identifiant «\u{a0}quidam"),
    ("/orgs", &[("what", "remove"), ("name", "none")], "pas d’organisation"),
    ("/orgs", &[("what", "limits"), ("name", "none"), ("recipients", "5")], "pas d’organisation"),
    ("/orgs", &[("what", "limits"), ("name", "asso"), ("login", "none"), ("recipients", "5")], "n’a pas d’identifiant"),
    ("/orgs", &[("what", "limits"), ("name", "asso"), ("addresses", "quidam")], "n’est pas une adresse"),
    (
        "/orgs",
        &[("what", "limits"), ("name", "asso"), ("login", "news"), ("own_addresses_only", "yes")],
        "indiquez ses adresses",
    ),
    ("/suppression", &[("what", "add"), ("address", "quidam")], "pas d’arobase"),
    ("/suppression", &[("what", "add"), ("address", "@example.org")], "rien avant l’arobase"),
    ("/suppression", &[("what", "add"), ("address", "a b@example.org")], "guillemets"),
    ("/suppression", &[("what", "allow"), ("address", "a@example.org"), ("org", "none")], "pas d’organisation"),
    ("/suppression", &[("what", "confirm"), ("address", "a@example.org")], "il manque confirm_url"),
    ("/exits", &[("what", "pause"), ("exit", "none")], "pas de sortie «\u{a0}none"),
    ("/exits", &[("what", "resume"), ("exit", "none")], "n’est pas en pause"),
    ("/federation", &[("what", "invite"), ("url", "ftp://x.example")], "ni par https"),
    ("/federation", &[("what", "invite"), ("url", "https://x.example/other")], "ne finit pas par /fed/v1"),
    ("/federation", &[("what", "invite"), ("url", "http://x.example")], "entre machines"),
    ("/federation", &[("what", "invite"), ("url", "https://a:b@x.example")], "plus qu’un serveur"),
    ("/federation", &[("what", "invite"), ("url", "https://10.0.0.1")], "derrière cette machine"),
    ("/federation", &[("what", "invite"), ("url", "x.example"), ("weight", "2")], "Un poids va de"),
    ("/federation", &[("what", "accept"), ("who", "none"), ("compared", "yes")], "pas de pair"),
    ("/federation", &[("what", "weigh"), ("who", "Collectif"), ("weight", "7")], "Un poids va de"),
    ("/federation", &[("what", "remove"), ("who", "none")], "pas de pair"),
    ("/alerts", &[("what", "test")], "personne à prévenir"),
    ("/alerts", &[("what", "believe"), ("provider", "google")], "rien n’a été mis de côté"),
    (
        "/programs",
        &[("what", "token"), ("name", "x"), ("own-scopes", "mail:eat"), ("role", "owner")],
        "n’en est pas un",
    ),
    ("/programs", &[("what", "token"), ("name", "x"), ("scopes", "all"), ("role", "king")], "n’est pas un rôle"),
    ("/programs", &[("what", "token"), ("name", ""), ("scopes", "all"), ("role", "owner")], "Le nom d’un jeton"),
    (
        "/programs",
        &[("what", "token"), ("name", "x"), ("scopes", "all"), ("role", "owner"), ("days", "0")],
        "serait déjà périmé",
    ),
    (
        "/programs",
        &[("what", "token"), ("name", "x"), ("scopes", "all"), ("role", "org-administrator"), ("org", "")],
        "choisissez laquelle",
    ),
    (
        "/programs",
        &[
            ("what", "token"),
            ("name", "x"),
            ("scopes", "all"),
            ("role", "org-administrator"),
            ("org", "asso"),
            ("login", "a"),
        ],
        "n’est pas un identifiant de l’organisation",
    ),
    ("/programs", &[("what", "revoke"), ("id", "none")], "pas de jeton"),
    ("/programs", &[("what", "webhook"), ("org", "asso"), ("url", "http://x.example/")], "ne commence pas par https"),
    ("/programs", &[("what", "webhook"), ("org", "asso"), ("url", "https://10.0.0.1/")], "de l’Internet public"),
    ("/programs", &[("what", "webhook"), ("org", "asso"), ("url", "https://localhost/")], "c’est cette machine"),
    (
        "/programs",
        &[("what", "webhook"), ("org", "asso"), ("url", "https://a:b@x.example/")],
        "contient un identifiant",
    ),
    ("/programs", &[("what", "remove"), ("id", "none")], "pas de webhook"),
    ("/programs", &[("what", "redeliver"), ("id", "none")], "pas de webhook"),
    (
        "/accounts",
        &[("name", "anna"), ("role", "owner"), ("password", LONG_WORD), ("again", LONG_WORD)],
        "déjà une personne",
    ),
    (
        "/accounts",
        &[("name", LONG), ("role", "owner"), ("password", LONG_WORD), ("again", LONG_WORD)],
        "nommer une personne",
    ),
    ("/accounts", &[("name", "x"), ("role", "owner"), ("password", "a"), ("again", "a")], "a au moins 12 caractères"),
    (
        "/accounts",
        &[("name", "x"), ("role", "owner"), ("org", "asso"), ("password", LONG_WORD), ("again", LONG_WORD)],
        "vaut pour tout le nœud",
    ),
    (
        "/accounts",
        &[("name", "x"), ("role", "org-administrator"), ("org", "none"), ("password", LONG_WORD), ("again", LONG_WORD)],
        "pas d’organisation",
    ),
    ("/accounts/change", &[("what", "remove"), ("name", "anna")], "seul·e propriétaire"),
    ("/accounts/change", &[("what", "role"), ("name", "anna"), ("role", "read-only")], "seul·e propriétaire"),
    ("/accounts/change", &[("what", "logout"), ("name", "quidam")], "pas de personne"),
    ("/setup/next", &[("what", "key"), ("domain", "localhost")], "un nom avec un point"),
    ("/account/password", &[("current", "x"), ("password", LONG_WORD), ("again", LONG_WORD)], "Le mot de passe actuel"),
];
const QUESTIONS: &[(&str, &str)] = &[
    ("/queue/999", "n’est pas dans la file"),
    ("/queue/find?id=%3C%3E", "Un Message-ID est"),
    ("/queue?lane=fast", "Une file est"),
    ("/queue?domain=a..b", "n’est pas un domaine"),
    ("/senders/show?sender=quidam", "personne de ce nom"),
    ("/senders/show?sender=quidam&org=asso", "n’a rien envoyé"),
    ("/figures?org=none", "pas d’organisation"),
    ("/suppression?address=quidam", "pas d’arobase"),
    ("/federation/peer?who=none", "pas de pair"),
    ("/programs/dead?id=none", "pas de webhook"),
];
const LONG_WORD: &str = "a long password of a person";
/// Longer than a note may be.
const LONG: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\
    aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\
    aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\
    aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
