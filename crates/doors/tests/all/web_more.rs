//! What the pages of programs, lists, limits and ways out do, the live tail, and the first run.

use std::time::Duration;

use reqwest::StatusCode;
use sm2tp_rules::Stream;
use sm2tp_rules::access::Role;

use super::node::{FIRST_CODE, Node, TempDir};
use super::web::{Browser, PASSWORD, logged_in};
use super::web_pages::start;

#[tokio::test]
async fn a_token_is_made_with_its_scopes_shown_once_and_revoked() {
    let dir = TempDir::new();
    let (node, mut browser) = start(&dir).await;
    node.house.accounts.put_org("asso", vec![], Stream::Bulk, 1).await.unwrap();
    let page = browser.get("/programs").await;
    let fields = [
        ("name", "shop"),
        ("scopes", "mail:write"),
        ("own-scopes", ""),
        ("role", "org-administrator"),
        ("org", "asso"),
        ("login", ""),
        ("days", "30"),
        ("what", "token"),
    ];
    let made = browser.submit(&page, "/programs", &fields).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let (_, secret) = made.text.split_once("<code class=\"large any\">").unwrap();
    let secret = secret.split('<').next().unwrap().to_owned();
    let token = node.house.tokens.find(&secret, sm2tp_doors::now()).unwrap();
    assert_eq!((&token.name[..], token.rights.role.org()), ("shop", Some("asso")));
    assert_eq!(token.rights.scopes.to_string(), "mail:write");
    assert!(token.expires_at.is_some());
    let page = browser.get("/programs").await;
    assert!(page.text.contains("shop") && page.text.contains("mail:write"), "{}", page.text);
    assert!(!page.text.contains(&secret), "a secret is shown once");
    let done = browser.submit(&page, "/programs", &[("id", &token.id), ("what", "revoke")]).await;
    assert_eq!(done.location, "/programs?done=token-revoked");
    assert!(node.house.tokens.find(&secret, sm2tp_doors::now()).is_none());
    // A scope that there is not is told, and no token made.
    let fields = [("name", "x"), ("scopes", "all"), ("own-scopes", "mail:eat"), ("role", "owner"), ("what", "token")];
    let refused = browser.submit(&page, "/programs", &fields).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
    assert!(node.house.tokens.list().is_empty());
}

#[tokio::test]
async fn nobody_gives_a_program_more_than_he_has() {
    let dir = TempDir::new();
    let (node, _) = start(&dir).await;
    for org in ["asso", "other"] {
        node.house.accounts.put_org(org, vec![], Stream::Bulk, 1).await.unwrap();
    }
    let role = Role::OrgAdministrator { org: "asso".into() };
    node.house.persons.add("olga", role, PASSWORD, sm2tp_doors::now()).await.unwrap();
    let mut olga = logged_in(&node, "olga").await;
    let page = olga.get("/programs").await;
    for (role, org) in [("owner", ""), ("read-only", ""), ("org-administrator", "other")] {
        let fields = [("name", "x"), ("scopes", "all"), ("role", role), ("org", org), ("what", "token")];
        let refused = olga.submit(&page, "/programs", &fields).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{role} {org}: {}", refused.text);
    }
    let fields =
        [("name", "x"), ("scopes", "mail:write"), ("role", "org-administrator"), ("org", "asso"), ("what", "token")];
    assert_eq!(olga.submit(&page, "/programs", &fields).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn a_webhook_is_made_listed_and_removed_and_none_of_this_machine() {
    let dir = TempDir::new();
    let (node, mut browser) = start(&dir).await;
    node.house.accounts.put_org("asso", vec![], Stream::Bulk, 1).await.unwrap();
    let page = browser.get("/programs").await;
    let fields = |url| [("url", url), ("org", "asso"), ("event-bounced", "yes"), ("what", "webhook")];
    let refused = browser.submit(&page, "/programs", &fields("https://127.0.0.1/x")).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
    let made = browser.submit(&page, "/programs", &fields("https://hooks.example.org/x")).await;
    assert!(made.status == StatusCode::CREATED && made.text.contains("whsec_"), "{}", made.text);
    let page = browser.get("/programs").await;
    assert!(page.text.contains("https://hooks.example.org/x") && !page.text.contains("whsec_"), "{}", page.text);
    assert!(page.text.contains(">bounced</td>"), "{}", page.text);
    let (_, id) = page.text.rsplit_once("name=\"id\" value=\"").unwrap();
    let id = id.split('"').next().unwrap().to_owned();
    let dead = browser.get(&format!("/programs/dead?id={id}")).await;
    assert!(dead.text.contains("It took everything."), "{}", dead.text);
    let done = browser.submit(&page, "/programs", &[("id", &id), ("what", "remove")]).await;
    assert_eq!(done.location, "/programs?done=webhook-removed");
    assert!(!browser.get("/programs").await.text.contains("hooks.example.org"));
}

#[tokio::test]
async fn limits_are_set_and_taken_away_on_the_page_and_shown_with_their_source() {
    let dir = TempDir::new();
    let (node, mut browser) = start(&dir).await;
    node.house.accounts.put_org("asso", vec![], Stream::Bulk, 1).await.unwrap();
    let page = browser.get("/orgs/show?name=asso").await;
    let fields = |recipients, rate| {
        [
            ("name", "asso"),
            ("recipients", recipients),
            ("rate_mails", rate),
            ("addresses", "a@b.example"),
            ("what", "limits"),
        ]
    };
    for wrong in [fields("many", "500/h"), fields("5", "500 a week")] {
        let refused = browser.submit(&page, "/orgs", &wrong).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
        assert!(refused.text.contains("such as 500/h"), "{}", refused.text);
    }
    let done = browser.submit(&page, "/orgs", &fields("5", "500/h")).await;
    assert_eq!(done.location, "/orgs/show?name=asso&done=limits");
    let limits = node.house.accounts.limits("asso", None).unwrap();
    assert_eq!((limits.allowance.recipients, limits.addresses.len()), (Some(5), 1));
    let page = browser.get(&done.location).await;
    assert!(page.text.contains("at most 500/h mails") && page.text.contains("value=\"500/h\""), "{}", page.text);
    let settings = browser.get("/settings").await;
    assert!(
        settings.text.contains("<code>rate_mails</code>") && settings.text.contains("the database"),
        "{}",
        settings.text
    );
    browser.submit(&page, "/orgs", &fields("", "")).await;
    assert_eq!(node.house.accounts.limits("asso", None).unwrap().allowance.recipients, None);
}

#[tokio::test]
async fn a_list_of_another_program_comes_in_as_a_file_or_a_text_and_our_own_goes_out() {
    let dir = TempDir::new();
    let (node, mut browser) = start(&dir).await;
    let page = browser.get("/suppression/lists").await;
    let file = "gone@example.org\r\nno address\r\n";
    let tried = browser.upload(&page, "/suppression/lists", &[("what", "try")], Some(file)).await;
    assert!(tried.text.contains("What would become of it") && tried.text.contains("no address"), "{}", tried.text);
    assert!(node.house.ledger.views().is_empty());
    let done = browser.upload(&page, "/suppression/lists", &[("what", "import")], Some(file)).await;
    assert!(done.text.contains("What became of it"), "{}", done.text);
    let explained = browser.get("/suppression?address=gone%40example.org").await;
    assert!(explained.text.contains("is not written to"), "{}", explained.text);
    let fields = [("what", "import"), ("pasted", "late@example.net"), ("reason", "bounce")];
    browser.upload(&page, "/suppression/lists", &fields, None).await;
    let csv = browser.get("/suppression/export.csv").await;
    assert!(csv.text.starts_with("tag,key_id,domain,"), "{}", csv.text);
    assert!(csv.text.contains("example.org") && csv.text.contains("example.net"), "{}", csv.text);
    assert!(!csv.text.contains("gone@") && !csv.text.contains("late@"), "an address is kept nowhere: {}", csv.text);
    // Without the token of the session nothing is taken.
    let mut forged = browser.get("/suppression/lists").await;
    forged.text = forged.text.replace(&forged.token(), "0000");
    let refused = browser.upload(&forged, "/suppression/lists", &[("what", "import")], Some("x@example.org")).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn block_lists_are_asked_on_request_only_and_lead_to_their_page() {
    let dir = TempDir::new();
    let (_node, mut browser) = start(&dir).await;
    let page = browser.get("/exits").await;
    assert!(page.text.contains("Ask the usual block lists now") && !page.text.contains("zen.example"), "{}", page.text);
    let page = browser.get("/exits?lists=1").await;
    assert!(page.text.contains("listed") && page.text.contains("&#60;b&#62;bad"), "{}", page.text);
    assert!(page.text.contains("href=\"https://zen.example/192.0.2.1\""), "{}", page.text);
}

#[tokio::test]
async fn the_second_factor_is_a_picture_too() {
    let dir = TempDir::new();
    let (_node, mut browser) = start(&dir).await;
    let page = browser.get("/account/factor").await;
    let (_, svg) = page.text.split_once("class=\"qr\"").unwrap();
    // A code of this length has hundreds of dark modules.
    assert!(500 < svg.split("</svg>").next().unwrap().matches("h1v1h-1z").count(), "{}", page.text);
}

#[tokio::test]
async fn what_happens_is_shown_live_with_a_script_of_this_page_alone() {
    let dir = TempDir::new();
    let (node, mut browser) = start(&dir).await;
    let page = browser.get("/tail").await;
    assert!(page.policy.contains("script-src 'self'") && page.text.contains("src=\"/tail.js\""), "{}", page.policy);
    assert!(!browser.get("/queue").await.policy.contains("script-src"));
    assert!(browser.get("/tail.js").await.text.contains("\"use strict\""));
    node.learns_dead("gone@example.org").await;
    let rows = browser.get("/tail/lines?after=0").await;
    assert!(rows.text.contains("<tr role=\"row\">") && rows.text.contains("example.org"), "{}", rows.text);
    assert!(!rows.text.contains("gone@"), "recipients are their domain: {}", rows.text);
    assert!(browser.get("/tail").await.text.contains("example.org"), "and without a script");
}

#[tokio::test]
async fn the_first_person_comes_with_the_code_of_the_node_and_nobody_after() {
    let dir = TempDir::new();
    let node = Node::start(&dir, "a").await;
    let code_file = dir.path().join("data/first-run-code");
    std::fs::write(&code_file, FIRST_CODE).unwrap();
    let mut browser = Browser::new(&node);
    assert!(browser.get("/").await.text.contains("href=\"/setup\""));
    let page = browser.get("/setup").await;
    assert!(page.text.contains("first-run-code"), "{}", page.text);
    let fields = |code, again| [("code", code), ("name", "anna"), ("password", PASSWORD), ("again", again)];
    for (code, again) in [("", PASSWORD), ("wrong", PASSWORD), (FIRST_CODE, "another one of it")] {
        let refused = browser.post("/setup", &fields(code, again)).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{code}");
        assert!(refused.text.contains("role=\"alert\"") && refused.text.contains("value=\"anna\""), "{}", refused.text);
    }
    assert!(node.house.persons.is_empty());
    let foreign = browser.post_with("/setup", &fields(FIRST_CODE, PASSWORD), &[("sec-fetch-site", "cross-site")]).await;
    assert_eq!(foreign.status, StatusCode::FORBIDDEN);
    let done = browser.post("/setup", &fields(FIRST_CODE, PASSWORD)).await;
    assert_eq!(done.location, "/setup/next?done=first-account", "{}", done.text);
    assert!(!code_file.exists(), "it opens nothing any more");
    let page = browser.get(&done.location).await;
    assert!(page.text.contains("Welcome. Three steps are left."), "{}", page.text);
    let fields_of_org = [("name", "asso"), ("domain", "asso.example"), ("what", "org")];
    let done = browser.submit(&page, "/setup/next", &fields_of_org).await;
    assert_eq!(done.location, "/setup/next?done=org");
    let page = browser.get(&done.location).await;
    let done = browser.submit(&page, "/setup/next", &[("domain", "asso.example"), ("what", "key")]).await;
    assert_eq!(done.location, "/setup/next?done=key");
    assert_eq!(node.house.dkim.signing("asso.example", sm2tp_doors::now()).len(), 2);
    // Whoever comes after that is not let in, with the code or without it.
    let mut second = Browser::new(&node);
    assert_eq!(second.get("/setup").await.location, "/setup/next");
    assert!(second.get("/setup/next").await.location.starts_with("/login"));
    assert_eq!(second.post("/setup", &fields(FIRST_CODE, PASSWORD)).await.location, "/login");
    assert_eq!(node.house.persons.list().len(), 1);
}

#[tokio::test]
async fn the_first_page_is_small_and_its_light_has_today_in_it() {
    let dir = TempDir::new();
    let (node, mut browser) = start(&dir).await;
    assert!(browser.get("/").await.text.contains("Too few"), "nothing was sent yet");
    for number in 0..30 {
        node.learns_dead(&format!("gone-{number}@example.org")).await;
    }
    let page = browser.get("/").await;
    assert!(page.text.contains("<strong class=\"share\">100.00%</strong>"), "{}", page.text);
    assert!(page.text.len() < 60_000, "{} octets", page.text.len());
    tokio::time::timeout(Duration::from_secs(5), browser.get("/orgs")).await.unwrap();
}

#[tokio::test]
async fn records_of_a_domain_and_of_the_machine_are_proposed_and_compared_with_the_dns() {
    let dir = TempDir::new();
    let (node, mut browser) = start(&dir).await;
    let domain = sm2tp_proto::Domain::parse("asso.example").unwrap();
    node.house.accounts.put_org("asso", vec![domain], Stream::Bulk, 1).await.unwrap();
    let page = browser.get("/dns").await;
    for record in [
        "192.0.2.1 PTR a.example",
        "a.example A 192.0.2.1",
        "_smtp._tls.asso.example TXT",
        "v=TLSRPTv1; rua=mailto:postmaster@asso.example",
        "_mta-sts.asso.example TXT",
        "mx: &#60;each server of its MX record&#62;",
    ] {
        assert!(page.text.contains(record), "{record}: {}", page.text);
    }
    assert!(!page.text.contains("It is there."), "nobody asked: {}", page.text);
    let page = browser.get("/dns?check=asso.example").await;
    assert!(page.text.contains("mx: mx.asso.example\n"), "{}", page.text);
    // The MTA-STS record, whatever its number; of DMARC another one; SPF and TLSRPT are not there.
    let count = |words: &str| page.text.matches(words).count();
    assert_eq!((count("It is there."), count("There is another one: v=DMARC1; p=reject")), (1, 1), "{}", page.text);
    assert_eq!(count("It is not there."), 2, "{}", page.text);
    let page = browser.get("/dns?check=a.example").await;
    assert_eq!((page.text.matches("It is there.").count(), page.text.matches("It is not there.").count()), (1, 1));
}
