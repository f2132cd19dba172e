//! What an administrator of one organisation may ask and sees, and the line that each change leaves.

use serde_json::{Value, json};
use sm2tp_doors::control::{self, Asker, By, Problem, Request};
use sm2tp_doors::smtp::Onward;
use sm2tp_rules::access::{Rights, Role, Why};
use sm2tp_store::audit::Audit;

use crate::node::{Node, TempDir};

/// Somebody with a role at a node that has the organisations `asso` and `other`, each with a login.
struct Desk {
    node: Node,
    _dir: TempDir,
    role: Role,
}

impl Desk {
    async fn of(role: Role) -> Self {
        let dir = TempDir::new();
        let desk = Self { node: Node::start(&dir, "desk").await, _dir: dir, role };
        for org in ["asso", "other"] {
            let domains = Some(vec![format!("{org}.example")]);
            desk.node.answers(Request::OrgAdd { name: org.into(), domains, stream: None }).await;
            let login = format!("login-{org}");
            let password = "long enough".to_owned();
            desk.node.answers(Request::OrgLogin { org: org.into(), login, password, stream: None }).await;
        }
        desk
    }

    async fn asso() -> Self {
        Self::of(Role::OrgAdministrator { org: "asso".into() }).await
    }

    async fn ask(&self, request: Value) -> Result<Value, Problem> {
        let request: Request = serde_json::from_value(request).unwrap();
        let asker = Asker { by: By::Person, name: "anna".into(), rights: Rights::of(self.role.clone()) };
        let (onward, _) = Onward::new(1);
        control::answer_to(self.node.house.clone(), onward, asker, request).await
    }

    #[track_caller]
    fn refused(answer: Result<Value, Problem>) -> Why {
        match answer {
            Err(Problem::Forbidden(why)) => why,
            other => panic!("{other:?}"),
        }
    }
}

fn entry(address: &str, org: Option<&str>) -> Value {
    json!({ "address": address, "note": null, "org": org, "stream": null })
}

#[tokio::test]
async fn an_administrator_of_an_org_lists_addresses_of_his_org_and_sees_no_other_list() {
    let desk = Desk::asso().await;
    for org in [None, Some("other")] {
        let add = json!({ "do": "suppress-add", "entry": entry("of-others@x.example", org) });
        desk.node.answers(serde_json::from_value(add).unwrap()).await;
    }
    let added = desk.ask(json!({ "do": "suppress-add", "entry": entry("own@x.example", None) })).await.unwrap();
    assert_eq!(added["org"], "asso");
    let list = desk.ask(json!({ "do": "suppress-list", "limit": 9 })).await.unwrap();
    assert_eq!(list.as_array().unwrap().len(), 1, "{list}");
    let list = desk.ask(json!({ "do": "suppress-list", "limit": 9, "org": "other" })).await;
    assert!(matches!(Desk::refused(list), Why::OtherOrg { .. }));
    let other =
        desk.ask(json!({ "do": "suppress-remove", "entry": entry("of-others@x.example", Some("other")) })).await;
    assert!(matches!(Desk::refused(other), Why::OtherOrg { .. }));
    let told = desk.ask(json!({ "do": "explain", "address": "of-others@x.example" })).await.unwrap();
    let lists = told["lists"].as_array().unwrap();
    assert!(lists.len() == 1 && lists[0]["org"].is_null(), "{lists:?}");
}

#[tokio::test]
async fn a_login_of_another_org_is_neither_seen_nor_taken_over() {
    let desk = Desk::asso().await;
    let orgs = desk.ask(json!({ "do": "org-list" })).await.unwrap();
    assert!(orgs.as_array().unwrap().iter().all(|org| org["name"] == "asso"), "{orgs}");
    let take = |login: &str, org: &str| json!({ "do": "org-login", "org": org, "login": login, "password": "long enough", "stream": null });
    assert!(desk.ask(take("new", "asso")).await.is_ok());
    assert!(matches!(Desk::refused(desk.ask(take("login-other", "asso")).await), Why::OtherOrg { .. }));
    assert!(matches!(Desk::refused(desk.ask(take("new", "other")).await), Why::OtherOrg { .. }));
    // One that there is not is told like one of another org.
    let gone = Desk::refused(desk.ask(json!({ "do": "org-logout", "login": "nobody" })).await);
    assert_eq!(gone, Desk::refused(desk.ask(json!({ "do": "org-logout", "login": "login-other" })).await));
    let shown = Desk::refused(desk.ask(json!({ "do": "queue-show", "mail": 7 })).await);
    assert_eq!(gone, shown);
}

#[tokio::test]
async fn what_counts_for_all_orgs_is_not_taken_from_one() {
    let desk = Desk::asso().await;
    let import = |claim: Value, org: Option<&str>| {
        let entries =
            json!([{ "who": { "address": "a@x.example" }, "claim": claim, "at": null, "org": org, "words": null }]);
        json!({ "do": "suppress-import", "import": { "from": "ses", "org": null, "mode": "keep", "entries": entries } })
    };
    let bounce = json!({ "bounce": { "strength": "strong", "inactive": false, "code": 550, "enhanced": null } });
    assert!(matches!(Desk::refused(desk.ask(import(bounce, None)).await), Why::WholeNode { .. }));
    assert!(matches!(Desk::refused(desk.ask(import(json!("complaint"), Some("other"))).await), Why::OtherOrg { .. }));
    assert_eq!(desk.ask(import(json!("complaint"), None)).await.unwrap()["taken"], 1);
    for request in [
        json!({ "do": "peer-list" }),
        json!({ "do": "stats-of", "address": "a@x.example" }),
        json!({ "do": "breaker-list" }),
        json!({ "do": "queue-release", "which": { "those": { "org": "asso" } } }),
        json!({ "do": "org-limits", "name": "asso", "login": null, "change": { "addresses": ["x@asso.example"] } }),
    ] {
        Desk::refused(desk.ask(request).await);
    }
    let limits = desk.ask(json!({ "do": "org-limits", "name": "asso", "login": null, "change": {} })).await;
    assert!(limits.is_ok());
}

#[tokio::test]
async fn each_change_leaves_a_line_without_a_recipient_and_what_was_refused_leaves_none() {
    let desk = Desk::asso().await;
    desk.ask(json!({ "do": "suppress-add", "entry": entry("jean.dupont@x.example", None) })).await.unwrap();
    desk.ask(json!({ "do": "explain", "address": "jean.dupont@x.example" })).await.unwrap();
    Desk::refused(desk.ask(json!({ "do": "org-remove", "name": "asso" })).await);
    assert!(desk.ask(json!({ "do": "suppress-add", "entry": entry("no address", None) })).await.is_err());
    let lines = Audit::new(desk.node.house.ledger.clone()).list(None, None, 99).await.unwrap();
    let what: Vec<&str> = lines.iter().map(|line| &line.entry.what[..]).collect();
    assert_eq!(what, ["suppress-add", "org-login", "org-add", "org-login", "org-add"]);
    let last = &lines[0].entry;
    assert_eq!((&last.by_kind[..], &last.by[..], last.org.as_deref()), ("person", "anna", Some("asso")));
    assert!(last.about.ends_with(" at x.example") && !last.about.contains("jean"), "{}", last.about);
    assert_eq!((&lines[1].entry.by_kind[..], &lines[1].entry.about[..]), ("command-line", "login-other"));
    let own = desk.ask(json!({ "do": "audit-list", "org": null, "before": null, "limit": 9 })).await.unwrap();
    assert_eq!(own.as_array().unwrap().len(), 3, "{own}");
}

#[tokio::test]
async fn who_only_reads_and_who_operates_end_where_their_table_says() {
    let reads = Desk::of(Role::ReadOnly).await;
    assert!(reads.ask(json!({ "do": "peer-list" })).await.is_ok());
    Desk::refused(reads.ask(json!({ "do": "suppress-add", "entry": entry("a@x.example", None) })).await);
    let operates = Desk::of(Role::Operator).await;
    assert!(operates.ask(json!({ "do": "suppress-add", "entry": entry("a@x.example", None) })).await.is_ok());
    let invite = json!({ "do": "peer-invite", "url": "https://x.example", "note": null, "weight": 1.0, "read": true });
    Desk::refused(operates.ask(invite).await);
}

#[test]
fn the_name_of_each_request_is_the_word_that_asks_for_it() {
    for request in [
        json!({ "do": "org-list" }),
        json!({ "do": "ledger-rebuild" }),
        json!({ "do": "queue-drop", "which": { "mail": 1 } }),
        json!({ "do": "stats-of", "address": "a@x.example" }),
        json!({ "do": "audit-list", "limit": 1 }),
        json!({ "do": "peer-remove", "who": "x" }),
    ] {
        let parsed: Request = serde_json::from_value(request.clone()).unwrap();
        assert_eq!(request["do"], parsed.word());
    }
}
