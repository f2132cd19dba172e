//! What a peer publishes arrives; what it lies about does not; a restored node does not fork its log.

use ed25519_dalek::SigningKey;
use sm2tp_doors::control::{OfKeys, Request};
use sm2tp_doors::{now, peering};
use sm2tp_federation::header::HEADER_OCTETS;
use sm2tp_federation::keys::NodeKey;
use sm2tp_federation::quota::Parked;
use sm2tp_federation::record::{Class, EraseTarget, Record, Source};
use sm2tp_federation::sealed::TagKeyGrant;
use sm2tp_federation::segment::{self, Opened, Segment};
use sm2tp_federation::tags::{Tag, TagKey};
use sm2tp_proto::Domain;
use sm2tp_rules::Stream;
use sm2tp_rules::suppress::{Decision, Why};
use sm2tp_store::federated::PeerState;
use sm2tp_store::sql;

use super::liar::{Answer, Liar};
use super::node::{Node, TempDir, until};

/// The trouble that a node has with a peer.
async fn trouble(node: &Node, peer: NodeKey) -> String {
    until("trouble with a peer", async || node.peer(peer).await?.trouble).await
}

async fn kept(node: &Node, origin: NodeKey) -> Option<u32> {
    let head = node.house.federation.store.head(origin).await.unwrap();
    head.map(|head| head.position.segno)
}

/// The whole way of DESIGN's first promise: what one hoster learned, the other knows.
#[tokio::test]
async fn a_dead_address_of_one_node_is_known_to_the_other_after_a_handshake() {
    let (dir_a, dir_b) = (TempDir::new(), TempDir::new());
    let (a, b) = (Node::start(&dir_a, "a").await, Node::start(&dir_b, "b").await);
    a.follow();
    b.follow();
    let invited = peering::invite(&a.house, &b.origin, Some("Bonjour".into()), 1.0, true).await.unwrap();
    assert_eq!((invited.state, invited.node), (PeerState::Invited, b.key()));
    let asking = b.peer(a.key()).await.unwrap();
    assert_eq!((asking.state, asking.note.as_deref()), (PeerState::Asking, Some("Bonjour")));
    let accepted = peering::accept(&b.house, &a.key().fingerprint(), 1.0, true).await.unwrap();
    assert_eq!(accepted.state, PeerState::Accepted);

    until("both sides accepted", async || {
        a.peer(b.key()).await.filter(|peer| peer.state == PeerState::Accepted && peer.trouble.is_none())
    })
    .await;
    // A joined: it publishes under B's key now.
    until("the tag key", async || {
        let own = b.house.book.current_key().map(|key| key.key_id());
        (a.house.book.current_key().map(|key| key.key_id()) == own).then_some(())
    })
    .await;

    a.learns_dead("jean.dupont@example.org").await;
    let decision = until("B knows", async || match b.decides("jean.dupont@example.org", Stream::Bulk) {
        Decision::Send => None,
        known => Some(known),
    })
    .await;
    let Decision::Hold(Why::Federated { score, sources, .. }) = decision else { panic!("{decision:?}") };
    assert!(0.75 <= score && sources == 1, "{score} {sources}");
    assert_eq!(b.decides("jean.dupont@example.org", Stream::Personal), Decision::Send);
    assert_eq!(b.decides("jeanne@example.org", Stream::Bulk), Decision::Send);

    // B ended it: what A said counts no more, and A is a stranger.
    peering::remove(&b.house, &a.key().to_string()).await.unwrap();
    assert_eq!(b.decides("jean.dupont@example.org", Stream::Bulk), Decision::Send);
    assert!(trouble(&a, b.key()).await.contains("401"));
}

/// C follows B alone and hears of A through it.
#[tokio::test]
async fn what_a_peer_of_a_peer_said_comes_with_its_descriptor() {
    let dirs = [TempDir::new(), TempDir::new(), TempDir::new()];
    let a = Node::start(&dirs[0], "a").await;
    let b = Node::start(&dirs[1], "b").await;
    let c = Node::start(&dirs[2], "c").await;
    for (one, other) in [(&a, &b), (&b, &a), (&b, &c), (&c, &b)] {
        one.befriend(&other.house.federation.own()).await;
    }
    for node in [&a, &b, &c] {
        node.follow();
    }
    for n in 0..3 {
        a.learns_dead(&format!("gone{n}@example.org")).await;
        until("A's segment at C", async || kept(&c, a.key()).await.filter(|segno| *segno == n)).await;
    }
    let descriptor = c.house.federation.store.descriptor(a.key()).await.unwrap();
    assert_eq!(descriptor.unwrap().descriptor().name, "a");
}

#[tokio::test]
async fn a_flipped_bit_is_not_stored_and_the_node_goes_on() {
    let dir = TempDir::new();
    let (node, liar) = (Node::start(&dir, "b").await, Liar::start(1).await);
    let (first, second) = (liar.segment(None, 1), liar.segment(Some(&liar.segment(None, 1)), 2));
    liar.publishes(&[&first]);
    let mut bent = first.encode();
    *bent.last_mut().unwrap() ^= 1;
    liar.answers(&liar.log_path(&first), Answer::Octets(bent));
    node.befriend(&liar.descriptor).await;
    node.follow();
    let said = trouble(&node, liar.key()).await;
    assert!(said.contains("0.0") && said.contains("damaged or forged"), "{said}");
    assert_eq!(kept(&node, liar.key()).await, None);
    let peer = node.peer(liar.key()).await.unwrap();
    assert!(peer.polled_at.is_some() && peer.answered_at == peer.polled_at, "it did answer: {peer:?}");

    // Served rightly, it is taken; the trouble is over.
    liar.publishes(&[&first, &second]);
    until("both segments", async || kept(&node, liar.key()).await.filter(|segno| *segno == 1)).await;
    until("no trouble", async || node.peer(liar.key()).await?.trouble.is_none().then_some(())).await;
    let cursor = node.peer(liar.key()).await.unwrap().cursor.unwrap();
    assert!(cursor.ends_with(":2"), "{cursor}");
}

/// `has` and `body` came later than the rest of the wire: whoever does not pass over what it does not know is asked as in the beginning.
#[tokio::test]
async fn a_peer_that_refuses_questions_with_wishes_is_asked_without_them() {
    let dir = TempDir::new();
    let node = Node::start(&dir, "b").await;
    let (strict, other) = (Liar::start(121).await, Liar::start(131).await);
    strict.is_strict();
    let first = strict.segment(None, 1);
    strict.publishes(&[&first]);
    node.befriend(&strict.descriptor).await;
    node.follow();
    until("its segment, asked for with `body` and without", async || kept(&node, strict.key()).await).await;
    assert_eq!(strict.refused("body"), 1);
    // What comes from another one would be said to it.
    other.publishes(&[&other.segment(None, 2)]);
    node.befriend(&other.descriptor).await;
    until("the other's segment", async || kept(&node, other.key()).await).await;
    strict.publishes(&[&first, &strict.segment(Some(&first), 3)]);
    until("its next segment", async || kept(&node, strict.key()).await.filter(|segno| *segno == 1)).await;
    assert_eq!((strict.refused("body"), strict.refused("has")), (1, 0), "once is enough");
    assert_eq!(node.peer(strict.key()).await.unwrap().trouble, None);
}

#[tokio::test]
async fn a_peer_that_refuses_to_hear_what_we_have_is_asked_without_it() {
    let dir = TempDir::new();
    let node = Node::start(&dir, "b").await;
    let (strict, other) = (Liar::start(141).await, Liar::start(151).await);
    strict.is_strict();
    node.befriend(&strict.descriptor).await;
    node.befriend(&other.descriptor).await;
    node.follow();
    until("a first contact", async || node.peer(strict.key()).await?.caught_up_at).await;
    other.publishes(&[&other.segment(None, 2)]);
    until("`has`", async || (strict.refused("has") == 1).then_some(())).await;
    let first = strict.segment(None, 1);
    strict.publishes(&[&first]);
    until("its segment", async || kept(&node, strict.key()).await).await;
    assert_eq!((strict.refused("body"), strict.refused("has")), (0, 1), "once is enough");
    assert_eq!(node.peer(strict.key()).await.unwrap().trouble, None);
}

#[tokio::test]
async fn a_segment_that_never_comes_does_not_stop_the_feed() {
    let dir = TempDir::new();
    let (node, liar) = (Node::start(&dir, "b").await, Liar::start(11).await);
    let first = liar.segment(None, 1);
    liar.publishes(&[&first]);
    liar.answers(&liar.log_path(&first), Answer::Status(404, ""));
    node.befriend(&liar.descriptor).await;
    node.follow();
    until("the cursor passes", async || node.peer(liar.key()).await?.cursor.filter(|cursor| cursor.ends_with(":1")))
        .await;
    assert!(5 <= liar.asked(&liar.log_path(&first)));
    assert_eq!(kept(&node, liar.key()).await, None);
}

#[tokio::test]
async fn a_gap_is_filled_in_bulk() {
    let dir = TempDir::new();
    let (node, liar) = (Node::start(&dir, "b").await, Liar::start(21).await);
    let one = liar.segment(None, 1);
    let two = liar.segment(Some(&one), 2);
    let three = liar.segment(Some(&two), 3);
    liar.publishes(&[&three]);
    liar.answers(&format!("/fed/v1/log/{}", liar.key()), Answer::Octets([one.encode(), two.encode()].concat()));
    node.befriend(&liar.descriptor).await;
    node.follow();
    until("three segments", async || kept(&node, liar.key()).await.filter(|segno| *segno == 2)).await;
}

#[tokio::test]
async fn a_long_log_is_fetched_in_bulk_and_a_busy_peer_is_left_alone() {
    let dir = TempDir::new();
    let (node, liar) = (Node::start(&dir, "b").await, Liar::start(111).await);
    let mut segments = vec![liar.segment(None, 0)];
    for n in 1..10 {
        segments.push(liar.segment(segments.last(), n));
    }
    liar.publishes(&segments.iter().collect::<Vec<_>>());
    let all: Vec<u8> = segments.iter().flat_map(sm2tp_federation::segment::Segment::encode).collect();
    liar.answers("/fed/v1/feed", Answer::Status(429, ""));
    liar.answers(&format!("/fed/v1/log/{}", liar.key()), Answer::Octets(all));
    node.befriend(&liar.descriptor).await;
    node.follow();
    assert!(trouble(&node, liar.key()).await.contains("429"));
    liar.publishes(&segments.iter().collect::<Vec<_>>());
    until("ten segments", async || kept(&node, liar.key()).await.filter(|segno| *segno == 9)).await;
    until("the whole feed", async || node.peer(liar.key()).await?.cursor.filter(|cursor| cursor.ends_with(":10")))
        .await;
    assert!(segments.iter().all(|segment| liar.asked(&liar.log_path(segment)) == 0));
}

#[tokio::test]
async fn an_origin_that_contradicts_itself_is_frozen_with_the_proof() {
    let dir = TempDir::new();
    let (node, liar) = (Node::start(&dir, "b").await, Liar::start(31).await);
    let (one, other) = (liar.segment(None, 1), liar.segment(None, 2));
    let two = liar.segment(Some(&one), 3);
    liar.publishes(&[&one, &other, &two]);
    liar.answers(&liar.log_path(&one), Answer::Octets(one.encode()));
    node.befriend(&liar.descriptor).await;
    node.follow();
    let store = &node.house.federation.store;
    let proofs = until("the proof", async || {
        let proofs = store.proofs().await.unwrap();
        (!proofs.is_empty()).then_some(proofs)
    })
    .await;
    assert_eq!((proofs.len(), proofs[0].0, proofs[0].1.len()), (1, liar.key(), 480));
    until("the feed is read", async || node.peer(liar.key()).await?.cursor.filter(|cursor| cursor.ends_with(":3")))
        .await;
    assert_eq!(
        store.header_at(liar.key(), one.header.header().position()).await.unwrap().as_ref(),
        Some(one.header.header())
    );
    assert_eq!(kept(&node, liar.key()).await, Some(0));
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_an_endless_answer_is_cut() {
    let dir = TempDir::new();
    let (node, liar, elsewhere) = (Node::start(&dir, "b").await, Liar::start(41).await, Liar::start(51).await);
    liar.answers("/fed/v1/feed", Answer::Status(302, Box::leak(elsewhere.origin.clone().into_boxed_str())));
    node.befriend(&liar.descriptor).await;
    node.follow();
    let said = trouble(&node, liar.key()).await;
    assert!(said.contains("302"), "{said}");
    assert_eq!(elsewhere.asked("/"), 0);

    liar.answers("/fed/v1/feed", Answer::Endless);
    until("the cut", async || node.peer(liar.key()).await?.trouble.filter(|said| said.contains("1000000 octets")))
        .await;
    liar.answers("/fed/v1/node", Answer::Endless);
    until("the cut", async || node.peer(liar.key()).await?.trouble.filter(|said| said.contains("65536 octets"))).await;
}

#[tokio::test]
async fn another_node_at_the_address_of_a_peer_is_not_taken_for_it() {
    let dir = TempDir::new();
    let (node, liar, other) = (Node::start(&dir, "b").await, Liar::start(61).await, Liar::start(71).await);
    liar.answers("/fed/v1/node", Answer::Octets(other.descriptor.text().into()));
    node.befriend(&liar.descriptor).await;
    node.follow();
    assert!(trouble(&node, liar.key()).await.contains("another node"));
    let peer = node.peer(liar.key()).await.unwrap();
    assert!(peer.polled_at.is_some() && peer.answered_at.is_none(), "the other one's answer is not its answer");

    // It is back; then it is away, and what it answered before stays its last answer.
    liar.answers("/fed/v1/node", Answer::Octets(liar.descriptor.text().into()));
    let answered = until("an answer", async || node.peer(liar.key()).await?.answered_at).await;
    liar.answers("/fed/v1/node", Answer::Octets(other.descriptor.text().into()));
    until("the trouble is back", async || node.peer(liar.key()).await?.trouble).await;
    let peer = node.peer(liar.key()).await.unwrap();
    assert!(Some(answered) <= peer.answered_at && peer.answered_at <= peer.polled_at, "{peer:?}");
}

/// `FEDERATION.md` §5: the keys are there, the data is not; the peer gives it back before anything is sealed.
#[tokio::test]
async fn a_node_that_lost_its_log_fetches_it_back_and_goes_on() {
    let (dir_a, dir_b) = (TempDir::new(), TempDir::new());
    let b = Node::start(&dir_b, "b").await;
    let key = {
        let a = Node::start(&dir_a, "a").await;
        a.befriend(&b.house.federation.own()).await;
        b.befriend(&a.house.federation.own()).await;
        a.follow();
        b.follow();
        a.learns_dead("one@example.org").await;
        until("A's segment at B", async || kept(&b, a.key()).await).await;
        a.key()
    };
    let restored = Node::start_with(&dir_a, &dir_a.path().join("empty"), "a").await;
    restored.befriend(&b.house.federation.own()).await;
    restored.learns_dead("two@example.org").await;
    restored.follow();
    until("the old segment and a new one", async || kept(&restored, key).await.filter(|segno| *segno == 1)).await;
    let head = restored.house.federation.store.head(key).await.unwrap().unwrap();
    assert_eq!(head.position.epoch, 0);
}

/// `FEDERATION.md` §4: RETRACT with reason 3, of the address and of its domain, and only of what was told.
#[tokio::test]
async fn a_delivery_takes_back_what_was_told_of_the_address_and_of_its_domain() {
    let dir = TempDir::new();
    let node = Node::start(&dir, "a").await;
    let publisher = &node.house.federation.publisher;
    let domain = node.house.book.all_domain_tags(&Domain::parse("x.example").unwrap())[0].1;
    node.hears("jean@x.example", None, false).await;
    publisher.collect(None, now()).await.unwrap();
    told_before(&node, domain, Class::DOMAIN_DEAD, 90_000).await;
    // Of a second address nothing was said, but that its domain is dead.
    node.hears("anna@x.example", None, true).await;
    assert_eq!(waiting(&node).await, [(domain, Class::RETRACT, 3)]);
    node.hears("jean@x.example", None, true).await;
    let jean = node.tag("jean@x.example");
    assert_eq!(waiting(&node).await, [(domain, Class::RETRACT, 3), (jean, Class::RETRACT, 3)], "once each");

    // Both leave; what is taken back twice in a day waits for the next, and is not lost.
    assert_eq!(publisher.collect(None, now()).await.unwrap().due, 2);
    assert!(waiting(&node).await.is_empty());
    told_before(&node, jean, Class::RETRACT, 100).await;
    told_before(&node, jean, Class::HARD, 50).await;
    node.hears("jean@x.example", None, false).await;
    node.hears("jean@x.example", None, true).await;
    publisher.collect(None, now()).await.unwrap();
    assert_eq!(waiting(&node).await, [(jean, Class::RETRACT, 3)]);
    publisher.collect(None, now() + 90_000).await.unwrap();
    assert!(waiting(&node).await.is_empty());
}

/// The node is a member of a federation whose founder made a key until `end` (unix seconds), and nothing more.
fn publishes_until(node: &Node, end: u64) {
    let grant = TagKeyGrant::sign(TagKey::new([5; 32]), 1000, end, &SigningKey::from_bytes(&[9; 32])).unwrap();
    let mut keys = node.house.federation.keys();
    keys.tags = vec![grant];
    node.house.book.set_keys(&keys.tags);
}

/// `FEDERATION.md` §3, §6: after its end a tag key is for look-ups.
#[tokio::test]
async fn people_are_told_before_the_tag_key_ends_and_others_nothing_new_after_it() {
    let dir = TempDir::new();
    let node = Node::start(&dir, "a").await;
    let lapses = async || node.answers(Request::PeerList).await["tag_key_lapses_at"].clone();
    let state = async || {
        let shown = node.answers(Request::Key { wanted: OfKeys::Show }).await;
        shown["tag_keys"][0]["state"].as_str().unwrap().to_owned()
    };
    assert!(lapses().await.is_null(), "it founded its federation, and makes the next key");
    publishes_until(&node, now() + 22 * 86_400);
    assert!(lapses().await.is_null());
    let end = now() + 20 * 86_400;
    publishes_until(&node, end);
    assert_eq!((lapses().await, state().await.as_str()), (end.into(), "published under"));

    node.hears("before@y.example", None, false).await;
    let end = now();
    publishes_until(&node, end);
    until("the end", async || (end < now()).then_some(())).await;
    assert_eq!((lapses().await, state().await.as_str()), (end.into(), "ended"));
    told_before(&node, node.domain_tag("x.example"), Class::DOMAIN_DEAD, 90_000).await;
    node.hears("anna@x.example", None, true).await;
    node.hears("after@y.example", None, false).await;
    assert_eq!(waiting(&node).await.len(), 3);
    node.follow();
    until("all of it is told or dropped", async || waiting(&node).await.is_empty().then_some(())).await;
    let query = "SELECT tag, class FROM published";
    let read = |row: &sql::Row| Ok((row.octets(0)?, row.uint(1)?));
    let told = node.house.ledger.read(move |sql| Ok(sql::all(sql, query, &[], read)?)).await.unwrap();
    let is_told = |tag: Tag, class: Class| told.contains(&(tag.0, u64::from(class.0)));
    assert!(is_told(node.tag("before@y.example"), Class::HARD), "{told:?}");
    assert!(is_told(node.domain_tag("x.example"), Class::RETRACT), "what is wrong is taken back all the same");
    assert!(!is_told(node.tag("after@y.example"), Class::HARD), "{told:?}");
}

/// As if it had been told `ago` seconds ago.
async fn told_before(node: &Node, tag: Tag, class: Class, ago: u64) {
    let put = "INSERT INTO published (tag, class, at) VALUES ($1, $2, $3) \
        ON CONFLICT (tag, class) DO UPDATE SET at = excluded.at";
    let values = [tag.0[..].into(), u32::from(class.0).into(), (now() - ago).into()];
    node.house.ledger.write(move |sql| Ok(sql.execute(put, &values)?)).await.unwrap();
}

/// What waits to be told: of what, as what, and the detail that gives the reason.
async fn waiting(node: &Node) -> Vec<(Tag, Class, u16)> {
    let query = "SELECT record FROM publish ORDER BY id";
    let read = |row: &sql::Row| {
        let record = Record::decode(&row.octets(0)?);
        Ok((record.tag().unwrap(), record.class, record.enhanced.2))
    };
    node.house.ledger.read(move |sql| Ok(sql::all(sql, query, &[], read)?)).await.unwrap()
}

/// `FEDERATION.md` §5: a holder takes out what its origin erases, and nothing that somebody else said.
#[tokio::test]
async fn what_an_origin_erases_goes_from_files_and_index_and_what_others_said_stays() {
    let dir = TempDir::new();
    let (node, liar, other) = (Node::start(&dir, "b").await, Liar::start(151).await, Liar::start(161).await);
    let store = &node.house.federation.store;
    let said = |address: &str| Record::about(Class::HARD, Source(1), node.tag(address), now() - 7200);
    let first = liar.seal(None, &[said("jean@example.org"), said("paul@example.org")]);
    let of_first = EraseTarget { epoch: 0, sequence: first.header.header().first_sequence() };
    // It names a number that the other origin has used, too.
    let second = liar.seal(
        Some(&first),
        &[Record::erase(of_first, now()), Record::erase(EraseTarget { epoch: 7, ..of_first }, now())],
    );
    let theirs = other.seal(None, &[said("jean@example.org")]);
    for one in [&liar, &other] {
        node.befriend(&one.descriptor).await;
    }
    let votes = |address: &str| store.look(|index| index.votes(&node.tag(address), now(), store.belief()).len());
    let holds = async |liar: &Liar, segment: &Segment, address: &str| {
        let octets = store.segment(liar.key(), segment.header.header().position()).await.unwrap();
        octets.windows(16).any(|part| part == node.tag(address).0)
    };
    for (segment, body) in [(&first, &first.body), (&theirs, &theirs.body)] {
        store.keep(&segment.header, body, None, now()).await.unwrap();
    }
    assert_eq!((votes("jean@example.org"), votes("paul@example.org")), (2, 1));
    store.keep(&second.header, &second.body, None, now()).await.unwrap();
    assert_eq!((votes("jean@example.org"), votes("paul@example.org")), (1, 1));
    assert!(!holds(&liar, &first, "jean@example.org").await && holds(&liar, &first, "paul@example.org").await);
    assert!(holds(&other, &theirs, "jean@example.org").await);
    // The same segment once more, from a peer that has not followed yet.
    store.keep(&first.header, &first.body, None, now()).await.unwrap();
    assert!(!holds(&liar, &first, "jean@example.org").await);
    let kept = store.segment(liar.key(), first.header.header().position()).await.unwrap();
    let checked = segment::verify(first.header.header(), liar.descriptor.descriptor(), &kept[HEADER_OCTETS..]);
    assert!(matches!(checked, Ok(Opened::Readable(_))), "root and signature are good: {checked:?}");
}

#[tokio::test]
async fn what_was_erased_before_it_was_fetched_is_taken_out_on_arrival() {
    let dir = TempDir::new();
    let (node, liar) = (Node::start(&dir, "b").await, Liar::start(171).await);
    let store = &node.house.federation.store;
    let first = liar.seal(None, &[Record::about(Class::HARD, Source(1), node.tag("jean@example.org"), now() - 7200)]);
    let erase = Record::erase(EraseTarget { epoch: 0, sequence: 1 }, now());
    let second = liar.seal(Some(&first), &[erase]);
    node.befriend(&liar.descriptor).await;
    store.park(&first.header, None, Parked::Unusual { events: 9, limit: 5 }, now()).await.unwrap();
    store.keep(&second.header, &second.body, None, now()).await.unwrap();
    store.release(liar.key()).await.unwrap();
    store.unpark(&first.header, &first.body, now()).await.unwrap();
    let octets = store.segment(liar.key(), first.header.header().position()).await.unwrap();
    assert!(!octets.windows(16).any(|part| part == node.tag("jean@example.org").0));
    assert_eq!(store.look(|index| index.votes(&node.tag("jean@example.org"), now(), store.belief()).len()), 0);
}
