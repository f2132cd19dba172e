//! Requests for peering, as strangers make them.

use sm2tp_doors::peering::{self, PeeringError};
use sm2tp_federation::keys::NodeKey;
use sm2tp_store::federated::{Peer, PeerState};

use super::liar::{Answer, Liar};
use super::node::{Node, TempDir, json, until};

#[tokio::test]
async fn who_asks_again_changes_the_note_and_loses_nothing() {
    let (dir_a, dir_b) = (TempDir::new(), TempDir::new());
    let (a, b) = (Node::start(&dir_a, "a").await, Node::start(&dir_b, "b").await);
    let one = peering::invite(&a.house, &b.origin, Some("one\u{7}".into()), 0.5, true).await.unwrap();
    let two = peering::invite(&a.house, &b.origin, Some("two".into()), 0.5, true).await.unwrap();
    assert_eq!(one.request_id, two.request_id);
    assert_eq!(b.peer(a.key()).await.unwrap().note.as_deref(), Some("two"));
    let id = one.request_id.unwrap();
    let path = format!("/fed/v1/peerings/{id}");
    let state = async || json(a.asks(&b, &path).await).await;
    assert_eq!(state().await, serde_json::json!({ "state": "pending" }));
    // Nobody else learns how it stands, not even whether there is such a request.
    assert_eq!(b.asks(&b, &path).await.status(), 401);
    assert_eq!(a.asks(&b, "/fed/v1/peerings/none").await.status(), 401);

    peering::accept(&b.house, "a", 0.25, false).await.unwrap();
    peering::invite(&a.house, &b.origin, Some("three".into()), 0.5, true).await.unwrap();
    let peer = b.peer(a.key()).await.unwrap();
    assert_eq!(
        (peer.state, peer.weight, peer.read, peer.note.as_deref()),
        (PeerState::Accepted, 0.25, false, Some("two"))
    );
    assert_eq!(state().await["tagkeys"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn two_who_invite_each_other_are_peers() {
    let (dir_a, dir_b) = (TempDir::new(), TempDir::new());
    let (a, b) = (Node::start(&dir_a, "a").await, Node::start(&dir_b, "b").await);
    peering::invite(&a.house, &b.origin, None, 1.0, true).await.unwrap();
    let accepted = peering::invite(&b.house, &a.origin, None, 1.0, true).await.unwrap();
    assert_eq!(accepted.state, PeerState::Accepted);
    a.follow();
    until("A hears of it", async || a.peer(b.key()).await.filter(|peer| peer.state == PeerState::Accepted)).await;
    let again = peering::invite(&a.house, &b.origin, None, 1.0, true).await;
    assert!(matches!(again, Err(PeeringError::Already { .. })), "{again:?}");
}

#[tokio::test]
async fn a_hundred_requests_are_enough_and_one_that_waits_for_a_week_gives_way() {
    let (dir_a, dir_b) = (TempDir::new(), TempDir::new());
    let (a, b) = (Node::start(&dir_a, "a").await, Node::start(&dir_b, "b").await);
    let wish = async |n: u8, at: u64| {
        let peer = Peer {
            request_id: Some(n.to_string()),
            ..Peer::new(NodeKey([n; 32]), "https://x.example/fed/v1", "x", PeerState::Asking, at)
        };
        b.house.federation.store.put_peer(peer).await.unwrap();
    };
    let lately = sm2tp_doors::now() - 6 * 86_400;
    for n in 0..100 {
        wish(n, lately).await;
    }
    let refused = peering::invite(&a.house, &b.origin, None, 1.0, true).await.unwrap_err();
    assert!(refused.to_string().contains("429"), "{refused}");
    let ambiguous = peering::accept(&b.house, "x", 1.0, true).await;
    assert!(matches!(ambiguous, Err(PeeringError::Ambiguous { candidates, .. }) if candidates.len() == 100));
    assert!(matches!(peering::remove(&b.house, "nobody").await, Err(PeeringError::Unknown(_))));

    b.house.federation.store.remove_peer(NodeKey([7; 32])).await.unwrap();
    wish(7, sm2tp_doors::now() - 8 * 86_400).await;
    peering::invite(&a.house, &b.origin, None, 1.0, true).await.unwrap();
    assert!(b.peer(a.key()).await.is_some() && b.peer(NodeKey([7; 32])).await.is_none());
    assert_eq!(b.peers().await.len(), 100);
}

#[tokio::test]
async fn an_invitation_stays_with_the_server_that_was_typed() {
    let dir = TempDir::new();
    let (node, liar, elsewhere) = (Node::start(&dir, "a").await, Liar::start(81).await, Liar::start(91).await);
    let invite = async |url: &str| peering::invite(&node.house, url, None, 1.0, true).await.unwrap_err();
    // What it says of itself lies elsewhere.
    liar.answers("/fed/v1/node", Answer::Octets(elsewhere.descriptor.text().into()));
    assert!(matches!(invite(&liar.origin).await, PeeringError::Elsewhere { .. }));
    let api = format!(r#"{{"api":"{}/fed/v1","node":"x"}}"#, elsewhere.origin);
    liar.answers("/.well-known/sm2tp", Answer::Octets(api.into()));
    assert!(matches!(invite(&liar.origin).await, PeeringError::Elsewhere { .. }));
    assert_eq!(elsewhere.asked("/fed/v1/node"), 0);
    assert!(matches!(invite(&node.origin).await, PeeringError::Own));
    for url in ["http://relay.example.org", "http://10.0.0.1:8025/fed/v1", "gopher://x"] {
        assert!(matches!(invite(url).await, PeeringError::Fetch(_)), "{url}");
    }
    let weight = peering::invite(&node.house, &liar.origin, None, 1.5, true).await;
    assert!(matches!(weight, Err(PeeringError::Weight(_))));
    assert_eq!(node.peers().await, []);
}
