//! The words of strangers on every page that there is: text and never markup, in both languages.

use std::collections::BTreeSet;

use sm2tp_doors::control::Request;
use sm2tp_doors::now;
use sm2tp_proto::Address;
use sm2tp_rules::access::Role;
use sm2tp_rules::alerts::{Finding, Incident};
use sm2tp_rules::{Cause, Fate, Scope, Stream, Strength};
use sm2tp_store::federated::{Peer, PeerState};
use sm2tp_store::ledger::SendLog;
use sm2tp_store::senders::{Decision, SenderId};
use sm2tp_store::tokens;
use sm2tp_store::told::{Answer, Told, Verdict, What};
use sm2tp_store::webhooks::{self, Tried, Webhooks};

use super::node::{Node, TempDir, describe};
use super::web::{Browser, Page, encoded};
use super::web_pages::{HOSTILE, start, unsaid, waiting};

/// What a server says: markup, and the page of a block list that is none.
const REPLY: &str = "550 5.7.1 <img src=x onerror=alert(1)>\"'& see javascript:alert(1) or https://x.example/\"><script>alert(1)</script>";

/// A node of which strangers and persons filled every field with markup.
struct Filled {
    node: Node,
    browser: Browser,
    mail: u64,
    webhook: String,
}

impl Filled {
    async fn new(dir: &TempDir) -> Self {
        let (node, browser) = start(dir).await;
        let keys = |n| ed25519_dalek::SigningKey::from_bytes(&[n; 32]);
        let url = format!("https://x.example/{HOSTILE}");
        for (n, state) in [(5, PeerState::Accepted), (7, PeerState::Asking), (9, PeerState::Invited)] {
            let described = describe(&keys(n), &keys(n + 1), HOSTILE, "https://x.example/fed/v1");
            node.befriend(&described).await;
            let hostile = || Some(HOSTILE.to_owned());
            let peer = Peer::new(described.descriptor().node, &url, HOSTILE, state, now());
            let peer = Peer { note: hostile(), trouble: hostile(), polled_at: Some(now()), ..peer };
            node.house.federation.store.put_peer(peer).await.unwrap();
        }
        node.house.accounts.put_org(HOSTILE, vec![], Stream::Bulk, 1).await.unwrap();
        let (login, password) = (HOSTILE.to_owned(), "long enough".to_owned());
        node.answers(Request::OrgLogin { org: HOSTILE.into(), login, password, stream: None }).await;
        node.house.persons.add(HOSTILE, Role::ReadOnly, super::web::PASSWORD, now()).await.unwrap();
        let wanted = tokens::Wanted {
            name: HOSTILE.into(),
            role: "read-only".into(),
            org: None,
            scopes: "all".into(),
            login: None,
            rate: None,
            expires_at: None,
        };
        node.house.tokens.make(&wanted, HOSTILE, now()).await.unwrap();
        let id = SenderId { org: HOSTILE.into(), name: HOSTILE.into() };
        node.house.senders.decide(&id, Decision::Block, HOSTILE, Stream::Bulk, now());
        node.answers(Request::ExitPause { exit: "default".into(), note: HOSTILE.into() }).await;
        node.learns_dead("gone@example.org").await;
        let mail = waiting(&node, HOSTILE, "jean@example.org").await;
        let webhook = hook(&node).await;
        hears(&node, mail).await;
        refuses(&node, &webhook).await;
        alarms(&node).await;
        Self { node, browser, mail, webhook }
    }

    fn pages(&self) -> Vec<String> {
        let (hostile, mail, id) = (encoded(HOSTILE), self.mail, &self.webhook);
        let own =
            ["/", "/queue", "/senders?all=1", "/orgs", "/suppression", "/figures", "/federation", "/alerts", "/audit"];
        let more = [
            "/settings",
            "/exits?lists=1",
            "/programs",
            "/suppression/lists",
            "/suppression/export.csv",
            "/setup/next",
        ];
        let rest = ["/tail", "/tail/lines?after=0", "/dns", "/account", "/account/factor", "/accounts"];
        let with = [
            format!("/?done={hostile}"),
            format!("/queue?org={hostile}&domain={hostile}&lane={hostile}"),
            format!("/queue/{mail}?since=0"),
            format!("/queue/sure?what=hold&org={hostile}&domain={hostile}"),
            format!("/queue/find?id={hostile}"),
            format!("/senders/show?sender={hostile}&org={hostile}"),
            format!("/senders/show?sender={hostile}"),
            format!("/orgs/show?name={hostile}"),
            format!("/suppression?address={hostile}"),
            format!("/suppression?address=gone%40example.org&org={hostile}"),
            format!("/suppression/export.csv?org={hostile}"),
            format!("/figures?days=365&org={hostile}"),
            format!("/federation/peer?who={hostile}"),
            format!("/dns?check={hostile}"),
            format!("/programs/dead?id={hostile}"),
            format!("/programs/dead?id={id}"),
            format!("/tail?org={hostile}"),
            format!("/tail/lines?org={hostile}&after=0"),
            format!("/accounts/change?name={hostile}"),
        ];
        own.iter().chain(&more).chain(&rest).map(|path| (*path).to_owned()).chain(with).collect()
    }
}

/// A program that is told of the mail of the organisation.
async fn hook(node: &Node) -> String {
    let url = format!("https://hooks.example.org/{HOSTILE}");
    let wanted = webhooks::Wanted { org: HOSTILE.into(), url, events: vec![] };
    Webhooks::new(node.house.ledger.clone()).make(wanted, now()).await.unwrap().0.id
}

/// What became of mail: with a hostile login, Message-ID, server, answer.
async fn hears(node: &Node, mail: u64) {
    // Somebody looks: lines of the live tail are made from now on.
    node.answers(Request::TailLast { org: None, limit: 1 }).await;
    let verdict = |cause| Verdict {
        cause,
        sub: Some(HOSTILE.into()),
        fate: Fate::Later,
        scope: Scope::Recipient,
        strength: Strength::Weak,
        rule: HOSTILE.into(),
        rules: None,
    };
    let answer = |cause| Answer {
        mx: Some(HOSTILE.into()),
        exit: Some("default".into()),
        code: Some(550),
        text: REPLY.into(),
        verdict: Some(verdict(cause)),
        ..Answer::default()
    };
    let told = |mail, what| Told {
        v: Told::VERSION,
        at: now(),
        org: HOSTILE.into(),
        login: Some(HOSTILE.into()),
        stream: Stream::Bulk,
        mail,
        message_id: Some(HOSTILE.into()),
        mail_from: Some("news@asso.example".into()),
        recipient: Some("jean@example.org".into()),
        token: None,
        report: false,
        what,
    };
    let batch = [
        told(mail, What::Accepted { recipients: 1, by: None }),
        told(mail + 1, What::Accepted { recipients: 1, by: None }),
        told(mail, What::Deferred { answer: answer(Cause::Ip) }),
        told(mail, What::Bounced { answer: answer(Cause::Content), expired: false }),
        told(mail, What::Complained { answer: answer(Cause::Content) }),
        told(mail, What::Stopped { why: HOSTILE.into(), federated: false, reported: false }),
    ];
    let batch = (1_000..).zip(batch).collect();
    let book = node.house.book.clone();
    let tagger = move |address: &Address| book.tag(address);
    node.house.ledger.absorb("hostile", batch, SendLog::Keep, tagger, |_, _, _| Ok(())).await.unwrap();
}

/// The program answers with markup, and wants no more.
async fn refuses(node: &Node, webhook: &str) {
    let hooks = Webhooks::new(node.house.ledger.clone());
    let due = hooks.due(webhook, now()).await.unwrap();
    assert!(!due.is_empty());
    let tried = due.into_iter().map(|due| (due, Tried::Gone(format!("410 {HOSTILE}").into()))).collect();
    hooks.tried(tried, now()).await.unwrap();
}

/// Everything of which a person is told.
async fn alarms(node: &Node) {
    let hostile = || HOSTILE.to_owned();
    let (peer, exit, provider) = (hostile(), hostile(), hostile());
    let (origin, fingerprint, bound) = (hostile(), hostile(), hostile());
    let link = Some(format!("javascript:{HOSTILE}"));
    let found = [
        Finding::ExitRefused { exit, provider, count: 3, reply: REPLY.into(), link },
        Finding::PeerUnusable { peer: peer.clone(), trouble: hostile(), reason: None },
        Finding::PeerSilent { peer, since: 1, trouble: Some(hostile()), reason: None },
        Finding::OriginParked { origin, fingerprint, segments: 1, events: 1, bound },
        Finding::RulesBroken { detail: hostile() },
        Finding::SenderBlocked {
            org: hostile(),
            sender: hostile(),
            observed: false,
            english: vec![hostile()],
            french: vec![hostile()],
        },
    ];
    let incident = |finding: Finding| {
        let key = finding.key();
        (key, Incident { finding, opened_at: now(), seen_at: now(), closed_at: None, told: None })
    };
    let step = sm2tp_rules::alerts::Step { changed: found.map(incident).into(), ..Default::default() };
    node.house.alerts.store.keep(step, vec![], now()).await.unwrap();
}

#[track_caller]
fn check(what: &str, page: &Page) {
    for raw in ["<img", "<script>", "<script src=x", " onerror=alert(1)>", " style=", "\"javascript:", "'javascript:"] {
        assert!(!page.text.contains(raw), "{what} has {raw}: {}", page.text);
    }
    assert!(!page.location.contains(['<', '"', '\'']), "{what} leads to {}", page.location);
    if page.text.contains("<html") {
        assert!(
            page.policy.contains("default-src 'none'") && !page.policy.contains("unsafe"),
            "{what}: {}",
            page.policy
        );
        assert_eq!(unsaid(&page.text), Vec::<&str>::new(), "{what} shows keys that have no words");
    }
}

/// Paths that the pages have, as `src/web.rs` names them; those with `get` or with `post`.
fn routes(method: &str) -> BTreeSet<String> {
    let source = include_str!("../../src/web.rs");
    let routes = source.split(".route(\"").skip(1).filter_map(|route| route.split_once("\", "));
    let named = routes.filter(|(_, rest)| rest.split_once('\n').unwrap().0.contains(&format!("{method}(")));
    named.map(|(path, _)| path.to_owned()).collect()
}

#[tokio::test]
async fn what_strangers_fill_is_text_on_every_page_in_both_languages() {
    let dir = TempDir::new();
    let mut filled = Filled::new(&dir).await;
    let pages = filled.pages();
    let bare: BTreeSet<_> = pages.iter().map(|path| path.split('?').next().unwrap()).collect();
    let mail = format!("/queue/{}", filled.mail);
    // A style and a script of ours; what who is logged in does not see; and the first run, which this node has behind it.
    let others = ["/web.css", "/tail.js", "/login", "/setup"];
    for route in routes("get").iter().filter(|route| !others.contains(&&route[..])) {
        let path = if route == "/queue/{mail}" { &mail } else { route };
        assert!(bare.contains(&path[..]), "{route} is not looked at here");
    }
    for lang in ["en", "fr"] {
        filled.browser.post("/language", &[("language", lang)]).await;
        let mut seen = String::new();
        for path in &pages {
            let page = filled.browser.get(path).await;
            check(path, &page);
            let is_page = !path.starts_with("/tail/lines") && !path.starts_with("/suppression/export");
            assert!(!is_page || page.text.contains(&format!("<html lang=\"{lang}\">")), "{path}: {}", page.text);
            seen.push_str(&page.text);
        }
        // What could not be there is no proof: each of these was really shown.
        for shown in ["550 5.7.1 &#60;img", "410 &#60;img", "hooks.example.org/&#60;img", "Subject: &#60;img"] {
            assert!(seen.contains(shown), "{shown} is on no page");
        }
    }
    let login = Browser::new(&filled.node).get(&format!("/login?next={}", encoded(HOSTILE))).await;
    check("/login", &login);
}

/// Forms of each path, by what they do.
const FORMS: &[(&str, &[&str])] = &[
    ("/account/password", &[""]),
    ("/account/factor", &[""]),
    ("/account/factor/drop", &[""]),
    ("/accounts", &[""]),
    ("/accounts/change", &["role", "password", "logout", "factor"]),
    ("/suppression", &["remove", "confirm", "allow", "add"]),
    ("/suppression/lists", &["try"]),
    ("/senders/decide", &["release", "slow", "block"]),
    ("/orgs", &["add", "login", "logout", "limits"]),
    ("/queue", &["retry", "hold", "release", "drop"]),
    ("/federation", &["invite", "accept", "weigh", "take", "forgive", "remove"]),
    ("/exits", &["pause", "resume"]),
    ("/programs", &["token", "webhook", "redeliver", "remove", "revoke"]),
    ("/setup/next", &["org", "key", "test"]),
    ("/alerts", &["forget", "believe"]),
];

#[tokio::test]
async fn what_is_typed_into_a_form_comes_back_as_text() {
    let dir = TempDir::new();
    let mut filled = Filled::new(&dir).await;
    let here: BTreeSet<_> = FORMS.iter().map(|(path, _)| (*path).to_owned()).collect();
    // These know no words of strangers, or end the session; and the first run is behind this node.
    let others = ["/login", "/logout", "/language", "/account/sessions", "/setup"];
    let missing: Vec<_> =
        routes("post").into_iter().filter(|path| !here.contains(path) && !others.contains(&&path[..])).collect();
    assert_eq!(missing, Vec::<String>::new(), "forms that are not tried here");
    let fields = [
        "name",
        "org",
        "exit",
        "sender",
        "url",
        "who",
        "id",
        "address",
        "note",
        "mail",
        "provider",
        "login",
        "domains",
        "domain",
        "lane",
        "stream",
        "role",
        "scopes",
        "rate",
        "to",
        "code",
        "secret",
        "was",
        "waiting",
        "recipients",
        "rate_mails",
        "addresses",
        "weight",
        "reason",
        "pasted",
        "expires",
        "days",
    ];
    for lang in ["en", "fr"] {
        filled.browser.post("/language", &[("language", lang)]).await;
        let form = filled.browser.get("/exits").await;
        for (path, whats) in FORMS {
            for what in *whats {
                let fields: Vec<_> = fields.iter().map(|name| (*name, HOSTILE)).chain([("what", *what)]).collect();
                let page = match *path {
                    "/suppression/lists" => filled.browser.upload(&form, path, &fields, Some(ROWS)).await,
                    _ => filled.browser.submit(&form, path, &fields).await,
                };
                check(&format!("{path} {what}"), &page);
                if !page.location.is_empty() {
                    check(&page.location, &filled.browser.get(&page.location).await);
                }
            }
        }
    }
    let page = Browser::new(&filled.node).login(HOSTILE, HOSTILE).await;
    check("/login", &page);
}

#[tokio::test]
async fn what_is_typed_before_anybody_is_known_comes_back_as_text() {
    let dir = TempDir::new();
    let node = Node::start(&dir, "a").await;
    let mut browser = Browser::new(&node);
    let fields: Vec<_> = ["code", "name", "p1", "p2", "password", "next"].map(|name| (name, HOSTILE)).into();
    check("/setup", &browser.post("/setup", &fields).await);
    check("/", &browser.get(&format!("/?done={}", encoded(HOSTILE))).await);
}

/// Rows of a list, in the form of SendGrid.
const ROWS: &str = "email,reason,status,created\r\n\"<img src=x onerror=alert(1)>@x.example\",<script>alert(1)</script>,5.1.1,1\r\n\
    gone@x.example,550 <img src=x onerror=alert(1)>,5.1.1,1\r\n<img src=x onerror=alert(1)>\r\n";
