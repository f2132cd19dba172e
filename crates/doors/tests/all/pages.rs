//! The pages for people and programs on this machine.

use super::liar::Liar;
use super::node::{Node, TempDir, client, describe, json};

#[tokio::test]
async fn the_page_is_html_in_two_languages_and_for_this_machine() {
    let dir = TempDir::new();
    let node = Node::start(&dir, "a").await;
    let (secret, log) =
        (ed25519_dalek::SigningKey::from_bytes(&[5; 32]), ed25519_dalek::SigningKey::from_bytes(&[6; 32]));
    let hostile = "<img src=x onerror=alert(1)>\"'&";
    node.befriend(&describe(&secret, &log, hostile, "https://x.example/fed/v1")).await;

    let get = |path: &str| client().get(format!("{}{path}", node.origin));
    let page = get("/").header("accept-language", "fr-FR,fr;q=0.9,en;q=0.5").send().await.unwrap();
    let headers = page.headers();
    assert_eq!(
        headers["content-security-policy"],
        "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert_eq!(headers["referrer-policy"], "no-referrer");
    assert_eq!(headers["cache-control"], "no-store");
    let text = page.text().await.unwrap();
    assert!(text.contains("État du relais") && text.contains("a.example"), "{text}");
    assert!(!text.contains("<img") && text.contains("&#60;img src=x"), "{text}");
    assert!(get("/").send().await.unwrap().text().await.unwrap().contains("Status of the relay"));
    assert!(text.contains("jamais"), "no answer yet: {text}");
    assert_eq!(get("/style.css").send().await.unwrap().headers()["content-type"], "text/css; charset=utf-8");

    for (name, value) in [("x-forwarded-for", "192.0.2.1"), ("forwarded", "for=x"), ("host", "relay.example.org")] {
        for path in ["/", "/api/v1/status"] {
            let refused = get(path).header(name, value).send().await.unwrap();
            assert_eq!(refused.status(), 403, "{name} {path}");
            assert!(refused.text().await.unwrap().contains("for the machine itself"));
        }
    }
}

#[tokio::test]
async fn the_status_has_the_agreed_fields() {
    let dir = TempDir::new();
    let (node, liar) = (Node::start(&dir, "a").await, Liar::start(101).await);
    node.befriend(&liar.descriptor).await;
    node.learns_dead("gone@example.org").await;
    let status = client().get(format!("{}/api/v1/status", node.origin)).send().await.unwrap();
    let status = json(status).await;
    assert_eq!(status["hostname"], "a.example");
    assert_eq!(status["queue"], serde_json::json!({ "normal": 0, "slow": 0, "held": 0, "oldest_at": null }));
    assert_eq!(status["outbox"], 0);
    let bounced = serde_json::json!(
        { "kind": "bounced", "cause": "address", "stream": "bulk", "org": "asso", "count": 1 }
    );
    assert_eq!(status["counters"], serde_json::json!([bounced]));
    assert_eq!(status["known_addresses"], 1);
    let federation = &status["federation"];
    assert_eq!(federation["fingerprint"], node.key().fingerprint());
    assert_eq!((&federation["published"], &federation["pending"]), (&0.into(), &1.into()));
    let peer = &federation["peers"][0];
    assert_eq!((&peer["name"], &peer["state"], &peer["read"]), (&"liar".into(), &"accepted".into(), &true.into()));
    assert_eq!(peer["weight"], 1.0);
    for time in ["polled_at", "answered_at"] {
        assert_eq!(peer.get(time), Some(&serde_json::Value::Null), "{time}");
    }
}
