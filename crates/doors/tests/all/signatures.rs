//! What is for accepted peers is for nobody else, and for them only once.

use sm2tp_doors::now;

use super::node::{Node, TempDir, client, json};

struct Two {
    a: Node,
    b: Node,
    _dirs: [TempDir; 2],
}

/// A is a peer of B.
async fn two() -> Two {
    let dirs = [TempDir::new(), TempDir::new()];
    let (a, b) = (Node::start(&dirs[0], "a").await, Node::start(&dirs[1], "b").await);
    b.befriend(&a.house.federation.own()).await;
    Two { a, b, _dirs: dirs }
}

async fn status(request: reqwest::RequestBuilder) -> u16 {
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    if status == 401 {
        assert_eq!(answer.text().await.unwrap(), "", "a refusal tells nothing");
    }
    status
}

#[tokio::test]
async fn forged_late_and_replayed_requests_are_refused() {
    let Two { a, b, _dirs } = two().await;
    let path = "/fed/v1/feed?limit=10";
    let signed = |created, nonce| b.signed(&a, path, created, nonce);
    assert_eq!(status(signed(now(), "nonce-one")).await, 200);
    assert_eq!(status(signed(now(), "nonce-one")).await, 401);
    assert_eq!(status(signed(now() - 100, "nonce-two")).await, 401);
    assert_eq!(status(signed(now() + 100, "nonce-three")).await, 401);
    assert_eq!(status(client().get(format!("{}{path}", b.origin))).await, 401);
    // B knows no peer with its own key.
    assert_eq!(status(b.signed(&b, path, now(), "nonce-four")).await, 401);

    // A good signature over another request.
    let (client, request) = b.signed(&a, path, now(), "nonce-five").build_split();
    let mut request = request.unwrap();
    request.url_mut().set_query(Some("limit=11"));
    assert_eq!(client.execute(request).await.unwrap().status(), 401);
    // One bit of the signature.
    let request = b.signed(&a, path, now(), "nonce-six").build().unwrap();
    let signature = request.headers()["signature"].to_str().unwrap();
    let forged = signature.replacen(&signature[10..11], if &signature[10..11] == "A" { "B" } else { "A" }, 1);
    let input = request.headers()["signature-input"].clone();
    let send = client.get(request.url().clone()).header("signature-input", input).header("signature", forged);
    assert_eq!(status(send).await, 401);
    // Two signatures where one is allowed.
    assert_eq!(status(b.signed(&a, path, now(), "nonce-seven").header("signature", "sig1=:AA==:")).await, 401);
}

#[tokio::test]
async fn every_door_for_peers_is_shut_to_strangers() {
    let Two { a, b, _dirs } = two().await;
    let log = format!("/fed/v1/log/{}", a.key());
    for path in ["/fed/v1/nodes", "/fed/v1/feed", "/fed/v1/heads", "/fed/v1/tagkeys", &log, &format!("{log}/0/0")] {
        assert_eq!(client().get(format!("{}{path}", b.origin)).send().await.unwrap().status(), 401, "{path}");
        assert_ne!(a.asks(&b, path).await.status(), 401, "{path}");
    }
    let posts = [("/fed/v1/proofs", 401), ("/fed/v1/peerings", 400)];
    for (path, want) in posts {
        assert_eq!(status(client().post(format!("{}{path}", b.origin)).body("x")).await, want, "{path}");
    }
    let large = client().post(format!("{}/fed/v1/peerings", b.origin)).body(vec![b' '; 90_000]);
    assert_eq!(status(large).await, 413);
    for (path, want) in [("/fed/v1/node", 200), ("/.well-known/sm2tp", 200), ("/healthz", 200), ("/readyz", 200)] {
        assert_eq!(client().get(format!("{}{path}", b.origin)).send().await.unwrap().status(), want, "{path}");
    }
}

#[tokio::test]
async fn a_dead_cursor_is_gone_and_names_the_living_feed() {
    let Two { a, b, _dirs } = two().await;
    let answer = a.asks(&b, "/fed/v1/feed").await;
    let cursor = answer.headers()["sm2tp-cursor"].to_str().unwrap().to_owned();
    let feed = cursor.split(':').next().unwrap().to_owned();
    assert_eq!(a.asks(&b, &format!("/fed/v1/feed?after={cursor}")).await.status(), 200);
    let beyond = format!("{feed}:99");
    for dead in ["6f2b1c9e-0d5a-4c3b-8e7f-112233445566:0", "rubbish", &beyond] {
        let answer = a.asks(&b, &format!("/fed/v1/feed?after={dead}")).await;
        assert_eq!(answer.status(), 410, "{dead}");
        assert_eq!(json(answer).await["feed"], feed);
    }
}

#[tokio::test]
async fn a_segment_has_a_strong_tag_and_a_peer_never_gets_its_own() {
    let Two { a, b, _dirs } = two().await;
    b.learns_dead("gone@example.org").await;
    let publisher = &b.house.federation.publisher;
    publisher.collect(None, now()).await.unwrap();
    assert_eq!(publisher.seal(now(), 0).await.unwrap(), 1);
    let path = format!("/fed/v1/log/{}/0/0", b.key());
    let answer = a.asks(&b, &path).await;
    let tag = answer.headers()["etag"].clone();
    assert_eq!(answer.headers()["cache-control"], "no-store", "what is erased here would stay in a cache");
    let octets = answer.bytes().await.unwrap();
    let alone = a.asks(&b, &format!("{path}?body=1")).await;
    assert_ne!(alone.headers()["etag"], tag);
    assert_eq!(alone.bytes().await.unwrap(), octets[240..]);
    let again = b.signed(&a, &path, now(), "a-nonce-of-its-own").header("if-none-match", tag);
    assert_eq!(again.send().await.unwrap().status(), 304);
    assert_eq!(a.asks(&b, &format!("/fed/v1/log/{}/0/1", b.key())).await.status(), 404);
    let bulk = a.asks(&b, &format!("/fed/v1/log/{}?from=0.0&max_bytes=1", b.key())).await;
    assert_eq!(bulk.bytes().await.unwrap(), octets);
    assert_eq!(a.asks(&b, &format!("/fed/v1/log/{}?from=0.1", b.key())).await.status(), 404);
    assert_eq!(a.asks(&b, "/fed/v1/feed").await.bytes().await.unwrap().len(), 248);

    // B asks itself, as if it were its own peer: nothing of its own comes back, and a long poll ends when it is told.
    b.befriend(&b.house.federation.own()).await;
    let answer = b.asks(&b, "/fed/v1/feed?wait=1").await;
    assert!(answer.headers()["sm2tp-cursor"].to_str().unwrap().ends_with(":1"));
    assert_eq!(answer.bytes().await.unwrap().len(), 0);
    let nodes = json(a.asks(&b, "/fed/v1/nodes").await).await;
    assert_eq!(nodes["nodes"].as_array().unwrap().len(), 2);
    let cursor = nodes["cursor"].as_str().unwrap();
    let nodes = json(a.asks(&b, &format!("/fed/v1/nodes?after={cursor}")).await).await;
    assert_eq!(nodes["nodes"], serde_json::json!([]));
}
