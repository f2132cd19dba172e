//! What lies behind the cursor of a feed, and nodes that say two things of themselves.

use sm2tp_doors::control::Request;
use sm2tp_doors::now;
use sm2tp_doors::peering::Trusting;
use sm2tp_federation::descriptor::{self, Descriptor};
use sm2tp_federation::header::{HEADER_OCTETS, Header, Position};
use sm2tp_federation::record::{Class, Record};
use sm2tp_federation::segment;
use sm2tp_store::federated::Contact;

use super::node::{Node, TempDir, until};

#[tokio::test]
async fn a_log_that_a_cursor_has_passed_is_found_when_heads_are_compared() {
    let (dir_a, dir_b) = (TempDir::new(), TempDir::new());
    let (a, b) = (Node::start(&dir_a, "a").await, Node::start(&dir_b, "b").await);
    a.befriend(&b.house.federation.own()).await;
    b.befriend(&a.house.federation.own()).await;
    a.follow();
    a.learns_dead("gone@example.org").await;
    let head = until("A seals", async || a.house.federation.store.head(a.key()).await.unwrap()).await;
    let answer = b.asks(&a, "/fed/v1/feed").await;
    let cursor = answer.headers()["sm2tp-cursor"].to_str().unwrap().to_owned();
    let passed = Contact {
        name: "a".into(),
        cursor: Some(cursor.clone()),
        polled_at: now(),
        answered: true,
        caught_up: false,
        trouble: None,
    };
    b.house.federation.store.note_contact(a.key(), passed).await.unwrap();
    b.follow();
    let found = until("B has it", async || b.house.federation.store.head(a.key()).await.unwrap()).await;
    assert_eq!(found, head);
    until("B has all", async || b.peer(a.key()).await.unwrap().caught_up_at).await;
    let shown = b.answers(Request::PeerShow { who: a.key().to_string() }).await;
    assert!(shown["backfill"].is_null() && shown["events_in"] == 1, "{shown}");
}

#[tokio::test]
async fn a_node_that_signs_two_descriptors_with_one_number_is_stopped_until_a_person_thinks_again() {
    let (dir_a, dir_b) = (TempDir::new(), TempDir::new());
    let (a, b) = (Node::start(&dir_a, "a").await, Node::start(&dir_b, "b").await);
    let own = a.house.federation.own();
    b.befriend(&own).await;
    let other = Descriptor { name: "somebody else".into(), ..own.descriptor().clone() };
    let other = descriptor::sign(other, a.house.federation.keys().node.as_ref().unwrap()).unwrap();
    let store = &b.house.federation.store;
    let refused = store.take_descriptor(other, None, now()).await.unwrap_err();
    assert!(refused.to_string().contains("two descriptors with one seq"), "{refused}");
    assert!(store.look(|index| index.contradicts_itself(&a.key())));
    assert_eq!(store.epoch_min(a.key()).await.unwrap(), u32::MAX);
    assert_eq!(store.proofs().await.unwrap(), [], "there is nothing that others could check");
    b.answers(Request::PeerTrust { who: a.key().to_string(), trust: Trusting::Forgive }).await;
    assert_eq!(store.epoch_min(a.key()).await.unwrap(), 0);
    let next = Descriptor { seq: own.descriptor().seq + 1, ..own.descriptor().clone() };
    let next = descriptor::sign(next, a.house.federation.keys().node.as_ref().unwrap()).unwrap();
    assert!(store.take_descriptor(next, None, now()).await.unwrap());
}

#[tokio::test]
async fn a_delivery_to_an_address_that_others_call_dead_is_said_and_no_other() {
    let (dir_a, dir_b) = (TempDir::new(), TempDir::new());
    let (a, b) = (Node::start(&dir_a, "a").await, Node::start(&dir_b, "b").await);
    a.befriend(&b.house.federation.own()).await;
    b.befriend(&a.house.federation.own()).await;
    let tags = a.house.federation.keys().tags.clone();
    b.house.federation.keys().add_tags(tags, true).unwrap();
    b.house.book.set_keys(&b.house.federation.keys().tags);
    a.follow();
    a.learns_dead("gone@example.org").await;
    b.follow();
    until("B has heard it", async || b.house.federation.store.head(a.key()).await.unwrap()).await;
    b.hears("alive@example.org", None, true).await;
    b.hears("gone@example.org", None, true).await;
    b.hears("gone@example.org", None, true).await;
    let store = &b.house.federation.store;
    until("B says it", async || store.head(b.key()).await.unwrap()).await;
    let octets = store.segment(b.key(), Position { epoch: 0, segno: 0 }).await.unwrap();
    let (header, body) = octets.split_at(HEADER_OCTETS);
    let own = b.house.federation.own();
    let opened = segment::verify(&Header::parse(header).unwrap(), own.descriptor(), body).unwrap();
    let segment::Opened::Readable(verified) = opened else { panic!("a segment of this version") };
    let said: Vec<Record> = verified.events().map(|(_, record)| *record).collect();
    assert_eq!(said.len(), 1, "{said:?}");
    assert_eq!((said[0].class, said[0].tag()), (Class::CONTRADICT, Some(b.tag("gone@example.org"))));
}
