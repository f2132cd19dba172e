//! What a node makes of the words of others: whoever contradicts what it saw itself is not believed, and says why.

use sm2tp_doors::control::Request;
use sm2tp_doors::now;
use sm2tp_doors::peering::Trusting;
use sm2tp_federation::quota::Parked;
use sm2tp_federation::record::{Class, Record, Source};
use sm2tp_federation::segment::Segment;
use sm2tp_rules::Stream;
use sm2tp_rules::suppress::{About, Decision, Why};

use super::liar::Liar;
use super::node::{Node, TempDir, until};

fn hard(node: &Node, address: &str) -> Record {
    Record::about(Class::HARD, Source(1), node.tag(address), now())
}

#[tokio::test]
async fn an_origin_that_calls_living_addresses_dead_is_quarantined_at_import_and_believed_again_when_it_agrees() {
    let dir = TempDir::new();
    let (node, liar) = (Node::start(&dir, "b").await, Liar::start(121).await);
    let alive: Vec<String> = (0..12).map(|n| format!("alive{n}@example.org")).collect();
    for address in &alive {
        node.hears(address, None, true).await;
    }
    let mut lies: Vec<Record> = alive.iter().map(|address| hard(&node, address)).collect();
    lies.push(hard(&node, "stranger@example.org"));
    let first = liar.seal(None, &lies);
    liar.publishes(&[&first]);
    node.befriend(&liar.descriptor).await;
    node.follow();
    // Its row comes a moment before its events are in the index.
    let kept = || node.house.federation.store.look(|index| index.kept(&liar.key()));
    until("the segment", async || (kept() == 13).then_some(())).await;
    // In the very moment in which it is kept: nothing of it was ever believed.
    assert_eq!(node.decides("stranger@example.org", Stream::Bulk), Decision::Send);
    let said = node.explains("stranger@example.org").await;
    let vote = &said["federated"]["votes"][0];
    assert_eq!((&vote["left_out"], &vote["weight"]), (&"quarantine".into(), &0.0.into()), "{said}");
    assert_eq!(vote["agreement"]["contradicted"], 12, "{said}");
    let peers = node.answers(Request::PeerList).await;
    assert_eq!(peers["peers"][0]["agreement"]["word"], "quarantine", "{peers}");
    assert_eq!(peers["peers"][0]["events_in"], 13, "{peers}");
    assert!(peers["peers"][0]["quarantined_since"].is_u64(), "{peers}");

    // It is kept over a restart of the store: the file says so.
    let kept = until("the note", async || {
        let query = "SELECT contradicted FROM judged WHERE quarantined_since IS NOT NULL";
        let read = node.house.ledger.read(move |sql| Ok(sm2tp_store::sql::first(sql, query, &[], |row| row.uint(0))?));
        read.await.unwrap()
    });
    assert_eq!(kept.await, 12);

    // It takes back what was wrong: nothing is held against it any more.
    let retract = |address: &String| {
        let source = Source(1);
        Record::retract(node.tag(address), sm2tp_federation::record::RetractReason::Mistake, source, now())
    };
    let second = liar.seal(Some(&first), &alive.iter().map(retract).collect::<Vec<_>>());
    liar.publishes(&[&first, &second]);
    let held = until("it is believed again", async || match node.decides("stranger@example.org", Stream::Bulk) {
        Decision::Send => None,
        other => Some(other),
    });
    assert!(matches!(held.await, Decision::Hold(_)));
}

#[tokio::test]
async fn an_origin_that_calls_domains_dead_that_take_our_mail_stops_nothing_there_and_is_quarantined() {
    let dir = TempDir::new();
    let (node, liar) = (Node::start(&dir, "b").await, Liar::start(151).await);
    for n in 0..12 {
        node.hears(&format!("jean@alive{n}.example"), None, true).await;
    }
    let dead = |domain: &str| Record::about(Class::DOMAIN_DEAD, Source(1), node.domain_tag(domain), now());
    let first = liar.seal(None, &[dead("alive0.example"), dead("strange.example")]);
    liar.publishes(&[&first]);
    node.befriend(&liar.descriptor).await;
    node.follow();
    let held = until("it is heard", async || match node.decides("anna@strange.example", Stream::Bulk) {
        Decision::Hold(why) => Some(why),
        _ => None,
    });
    assert!(matches!(held.await, Why::Federated { about: About::Domain, sources: 1, .. }));
    // To others in that domain this node never wrote.
    assert_eq!(node.decides("anna@alive0.example", Stream::Bulk), Decision::Send);
    let said = node.explains("anna@alive0.example").await;
    let vote = &said["federated"]["votes"][0];
    assert_eq!((&vote["left_out"], &vote["own_word"]), (&"own-delivery".into(), &"contradicts".into()), "{said}");
    assert_eq!((&said["domain_delivery_counts"], &said["delivery_counts"]), (&true.into(), &false.into()), "{said}");
    assert!(said["federated"]["domain"]["delivered_at"].is_u64(), "{said}");

    // A domain that is said to be a dead address is none, and the other way round.
    let crossed = [
        Record::about(Class::HARD, Source(1), node.domain_tag("crossed.example"), now()),
        Record::about(Class::DOMAIN_DEAD, Source(1), node.tag("anna@crossed.example"), now()),
    ];
    let second = liar.seal(Some(&first), &crossed);
    let lies: Vec<Record> = (1..12).map(|n| dead(&format!("alive{n}.example"))).collect();
    let third = liar.seal(Some(&second), &lies);
    liar.publishes(&[&first, &second]);
    let kept = async |count| {
        let kept = || node.house.federation.store.look(|index| index.kept(&liar.key()));
        until("what it says", async || (kept() == count).then_some(())).await;
    };
    kept(4).await;
    assert_eq!(node.decides("anna@crossed.example", Stream::Bulk), Decision::Send);
    liar.publishes(&[&first, &second, &third]);
    kept(15).await;
    assert_eq!(node.decides("anna@strange.example", Stream::Bulk), Decision::Send);
    let said = node.explains("anna@strange.example").await;
    let vote = &said["federated"]["votes"][0];
    assert_eq!((&vote["left_out"], &vote["agreement"]["contradicted"]), (&"quarantine".into(), &12.into()), "{said}");
}

#[tokio::test]
async fn what_a_provider_said_to_everybody_in_an_outage_counts_nothing_and_is_not_told_to_others() {
    let dir = TempDir::new();
    let (node, liar) = (Node::start(&dir, "b").await, Liar::start(131).await);
    let code = node.house.federation.publisher.classifier.rules().provider("aspmx.l.google.com").unwrap().code;
    let said = |address: &str, code| Record { provider: code, ..hard(&node, address) };
    let segment = liar.seal(None, &[said("one@gmail.example", code), said("two@other.example", 0)]);
    liar.publishes(&[&segment]);
    for n in 0..25 {
        node.hears(&format!("gone{n}@gmail.example"), Some("google"), false).await;
    }
    node.befriend(&liar.descriptor).await;
    node.follow();
    let explained = until("the outage is noticed", async || {
        let said = node.explains("one@gmail.example").await;
        (said["federated"]["votes"][0]["left_out"] == "provider-freeze").then_some(said)
    });
    assert_eq!(explained.await["belief"]["provider_freeze"], "on");
    assert_eq!(node.decides("one@gmail.example", Stream::Bulk), Decision::Send);
    assert!(matches!(node.decides("two@other.example", Stream::Bulk), Decision::Hold(_)));

    // What it heard in that hour itself, it keeps to itself.
    node.hears("late@gmail.example", Some("google"), false).await;
    node.hears("gone@other.example", None, false).await;
    let store = &node.house.federation.store;
    let own = until("a segment of our own", async || store.head(node.key()).await.unwrap());
    own.await;
    let waiting = async || node.house.federation.publisher.waiting().await.unwrap();
    until("nothing waits to be told later", async || (waiting().await == 0).then_some(())).await;
    let sent = until("the other one was told", async || {
        let told = node.house.federation.store.look(|index| index.kept(&node.key()));
        (0 < told).then_some(told)
    });
    assert!(sent.await < 27, "not all of them");
}

#[tokio::test]
async fn more_than_is_usual_is_not_fetched_until_a_person_lets_it_in() {
    let dir = TempDir::new();
    let (node, liar) = (Node::start(&dir, "b").await, Liar::start(141).await);
    let mass: Vec<Record> = (0..2001).map(|n| hard(&node, &format!("x{n}@example.org"))).collect();
    let first = liar.segment(None, 1);
    let second = liar.seal(Some(&first), &mass);
    let third = liar.segment(Some(&second), 3);
    liar.publishes(&[&first, &second, &third]);
    node.befriend(&liar.descriptor).await;
    node.follow();
    let store = &node.house.federation.store;
    let head = async || store.head(liar.key()).await.unwrap().filter(|head| head.position.segno == 2);
    until("the log goes on behind what waits", head).await;
    assert_eq!(liar.asked(&liar.log_path(&second)), 0, "a header tells how many there are");
    assert_eq!(store.look(|index| index.kept(&liar.key())), 2);
    let peers = node.answers(Request::PeerList).await;
    assert_eq!(peers["peers"][0]["parked"]["events"], 2001, "{peers}");
    let served = store.feed(0, 100, node.key()).await.unwrap();
    assert_eq!(served.len(), 2, "what is not here is not offered to others");
    let newest = served.iter().map(|entry| entry.number).max().unwrap();

    let who = liar.key().fingerprint();
    node.answers(Request::PeerTrust { who, trust: Trusting::TakeParked }).await;
    until("all of it", async || (store.look(|index| index.kept(&liar.key())) == 2003).then_some(())).await;
    assert_eq!(store.look(|index| index.parked().len()), 0);
    let served = store.feed(newest, 100, node.key()).await.unwrap();
    assert_eq!(served.len(), 1, "others hear of it as of something new");
}

#[tokio::test]
async fn what_comes_after_a_person_said_yes_waits_for_a_yes_of_its_own() {
    let dir = TempDir::new();
    let (node, liar) = (Node::start(&dir, "b").await, Liar::start(142).await);
    let store = &node.house.federation.store;
    let first = liar.segment(None, 1);
    let second = liar.segment(Some(&first), 2);
    let park = async |segment: &Segment| {
        store.park(&segment.header, None, Parked::Unusual { events: 9, limit: 5 }, now()).await.unwrap();
    };
    let waits = || store.look(|index| index.parked().get(&liar.key()).cloned()).unwrap();
    park(&first).await;
    assert_eq!(store.release(liar.key()).await.unwrap(), 1);
    assert!(waits().is_let_in());
    park(&second).await;
    assert!(!waits().is_let_in() && (waits().segments, waits().released) == (2, 1), "{:?}", waits());
    let let_in =
        async || store.released().await.unwrap().iter().map(|header| header.position().segno).collect::<Vec<_>>();
    assert_eq!(let_in().await, [0], "the yes still stands");
    store.unpark(&first.header, &first.body, now()).await.unwrap();
    assert!(let_in().await.is_empty() && (waits().segments, waits().released) == (1, 0));
}

#[tokio::test]
async fn explain_says_by_which_rule_a_word_does_not_count() {
    let dir = TempDir::new();
    let (node, liar) = (Node::start(&dir, "b").await, Liar::start(143).await);
    let old = Record { ttl_weeks: 1, hour: ((now() - 8 * 86_400) / 3600) as u32, ..hard(&node, "old@example.org") };
    let first = liar.seal(None, &[hard(&node, "gone@example.org"), old]);
    liar.publishes(&[&first]);
    node.befriend(&liar.descriptor).await;
    node.follow();
    let left_out = async |address: &str| node.explains(address).await["federated"]["votes"][0]["left_out"].clone();
    until("it is heard", async || (left_out("old@example.org").await == "expired").then_some(())).await;
    assert!(left_out("gone@example.org").await.is_null(), "this one counts");

    let trust = Trusting::Weigh { weight: Some(0.0), read: None };
    node.answers(Request::PeerTrust { who: liar.key().fingerprint(), trust }).await;
    until("it weighs nothing", async || (left_out("gone@example.org").await == "no-weight").then_some(())).await;
    assert_eq!(node.decides("gone@example.org", Stream::Bulk), Decision::Send);

    let other = liar.seal(None, &[hard(&node, "other@example.org")]);
    liar.publishes(&[&first, &other]);
    let stopped = async || (left_out("gone@example.org").await == "contradicts-itself").then_some(());
    until("it is stopped", stopped).await;
}
