//! What a node thinks of origins that it hears, with its ledger.

use sm2tp_federation::chain::Head;
use sm2tp_federation::record::{Record, Source};
use sm2tp_federation::segment::Segment;
use sm2tp_federation::tags::{KeyId, TagKey};
use sm2tp_proto::Domain;
use sm2tp_rules::Strength;

use super::super::testing::{NOW, befriend, befriend_as, open, seal, seal_as, seal_records, tag};
use super::*;
use crate::ledger::{Event, Subject};
use crate::testing::TempDir;

const DAY: u64 = 86_400;
const LATER: u64 = NOW + 40 * DAY;

fn dead(at: u64) -> Evidence {
    Evidence { hard_at: at, hard_first_at: at, hard_strong: true, ..Evidence::default() }
}

fn alive(at: u64) -> Evidence {
    Evidence { delivered_at: at, ..Evidence::default() }
}

/// What is known of the first tags of a segment.
fn knows(federated: &Federated, segno: u32, tags: std::ops::Range<u32>, own: Evidence) {
    let known: Vec<(Tag, Evidence)> = tags.map(|n| (tag(segno, n), own)).collect();
    federated.ledger.views().restore(&known);
}

/// How far a tag of a segment counts.
fn score(federated: &Federated, segno: u32, n: u32) -> f64 {
    federated.look(|index| index.believed(&tag(segno, n), LATER, federated.belief()).score)
}

#[tokio::test]
async fn an_origin_that_turns_is_not_shielded_by_its_past_and_its_past_still_counts() {
    let dir = TempDir::quick();
    let federated = open(dir.path()).await;
    let origin = befriend(&federated).await;
    knows(&federated, 0, 0..60, dead(NOW - 50 * DAY));
    let past = seal(None, NOW, 61);
    federated.keep(&past.header, &past.body, None, NOW).await.unwrap();
    federated.judge(NOW).await.unwrap();
    // 20 contradictions beside 60 agreements are no quarantine.
    knows(&federated, 1, 0..20, alive(LATER - 10 * DAY));
    knows(&federated, 1, 20..28, alive(LATER - 40 * DAY));
    let lies = seal(Some(&Head::of(past.header.header())), LATER, 30);
    federated.keep(&lies.header, &lies.body, None, LATER).await.unwrap();
    let judged = || federated.look(|index| index.judgement(&origin));
    assert_eq!((judged().months_doubted(), judged().quarantined_since), (1, None));
    assert_eq!(score(&federated, 1, 29), 0.0, "in the moment in which it comes");
    assert!(0.5 < score(&federated, 0, 60));
    federated.judge(LATER).await.unwrap();
    assert_eq!(score(&federated, 1, 29), 0.0);
    drop(federated);
    let federated = open(dir.path()).await;
    assert_eq!(score(&federated, 1, 29), 0.0, "and over a restart");
    assert!(0.5 < score(&federated, 0, 60));

    // It was right, as this node's own mail shows.
    knows(&federated, 0, 0..60, dead(NOW - 50 * DAY));
    knows(&federated, 1, 0..20, dead(LATER));
    federated.judge(LATER).await.unwrap();
    assert!(0.75 < score(&federated, 1, 29));
}

/// An event about somebody in a domain, as the relay tells it.
fn event(kind: &str, domain: &str, at: u64) -> Event {
    let name = domain.bytes().next().unwrap_or(0);
    Event {
        recipient: Some((KeyId([1; 8]), Tag([name; 16]))),
        domain: Some(domain.into()),
        strength: Some(Strength::Strong),
        rule: (kind == "hard").then(|| "local-no-such-domain".into()),
        ..Event::new(at, Subject::Recipient, kind)
    }
}

fn dead_domain(key: &TagKey, domain: &str) -> Record {
    let tag = key.tag_domain(&Domain::parse(domain).unwrap()).unwrap();
    Record::about(Class::DOMAIN_DEAD, Source(1), tag, NOW - 7200)
}

#[tokio::test]
async fn domains_that_take_our_mail_are_held_against_whoever_calls_them_dead_also_after_a_restart() {
    let (dir, key) = (TempDir::quick(), TagKey::new([7; 32]));
    let federated = open(dir.path()).await;
    let origin = befriend(&federated).await;
    let domains: Vec<String> = ('a'..='m').map(|name| format!("{name}.example")).collect();
    let delivered = domains.iter().map(|domain| event("delivered", domain, NOW - DAY));
    federated.ledger.append(delivered.collect()).await.unwrap();
    // The DNS said so to this node, too.
    federated.ledger.append(vec![event("hard", "a.example", NOW - 60)]).await.unwrap();
    federated.ledger.views().set_keys(vec![key.clone()]);
    let lies: Vec<Record> = domains.iter().map(|domain| dead_domain(&key, domain)).collect();
    let segment = seal_records(None, NOW, &lies);
    federated.keep(&segment.header, &segment.body, None, NOW).await.unwrap();
    let tally = |federated: &Federated| federated.look(|index| index.judgement(&origin)).tally();
    let want = Tally { contradicted: 12, agreed: 1, ..Tally::default() };
    assert_eq!(tally(&federated), want, "in the moment in which it comes");
    assert!(federated.look(|index| index.judgement(&origin)).quarantined_since.is_some());
    federated.judge(NOW).await.unwrap();
    assert_eq!(tally(&federated), want);
    drop(federated);
    let federated = open(dir.path()).await;
    federated.ledger.views().set_keys(vec![TagKey::new([8; 32]), key]);
    federated.judge(NOW).await.unwrap();
    assert_eq!(tally(&federated), want, "of what the tables say, under a key for look-ups");
    // Longer ago than a delivery says anything.
    federated.judge(NOW + 40 * DAY).await.unwrap();
    assert_eq!(tally(&federated), Tally { agreed: 1, open: 12, ..Tally::default() });
    federated.judge(NOW + 200 * DAY).await.unwrap();
    assert_eq!(tally(&federated), Tally::default(), "it counts no more");
}

#[tokio::test]
async fn mailboxes_that_took_our_mail_on_that_day_are_held_against_whoever_calls_them_full() {
    let dir = TempDir::quick();
    let federated = open(dir.path()).await;
    let origin = befriend(&federated).await;
    knows(&federated, 0, 0..11, alive(NOW - DAY / 2));
    knows(&federated, 0, 11..15, alive(NOW - 9 * DAY));
    knows(&federated, 0, 15..16, Evidence { soft_days: 1, soft_at: NOW - 3 * DAY, ..Evidence::default() });
    let full = |n: u32| Record::about(Class::SOFT, Source(1), tag(0, n), NOW - 3600);
    let segment = seal_records(None, NOW, &(0..20).map(full).collect::<Vec<_>>());
    federated.keep(&segment.header, &segment.body, None, NOW).await.unwrap();
    let judged = || federated.look(|index| index.judgement(&origin));
    let want = Tally { contradicted: 11, agreed: 1, open: 4, ..Tally::default() };
    assert_eq!((judged().tally(), judged().quarantined_since), (want, Some(NOW)));
    federated.judge(NOW).await.unwrap();
    assert_eq!(judged().tally(), want);
    federated.judge(NOW + 61 * DAY).await.unwrap();
    assert_eq!((judged().tally(), judged().quarantined_since), (Tally::default(), None));
}

/// The first 60 addresses of the test die; `first` says so, and a day later `second` the same.
async fn said_twice(federated: &Federated, first: u8, second: u8) -> [Segment; 2] {
    let told = |n: u8, at: u64| {
        let about = |n: u32| Record::about(Class::HARD, Source(1), tag(0, n), NOW - DAY);
        seal_as(n, None, at, &(0..60).map(about).collect::<Vec<_>>())
    };
    let segments = [told(first, NOW), told(second, NOW + DAY)];
    for (segment, at) in segments.iter().zip([NOW, NOW + DAY]) {
        federated.keep(&segment.header, &segment.body, None, at).await.unwrap();
    }
    // What this node found by its own mail.
    knows(federated, 0, 0..60, dead(NOW + 5 * DAY));
    federated.judge(NOW + 6 * DAY).await.unwrap();
    segments
}

#[tokio::test]
async fn who_repeats_what_others_say_is_not_shielded_by_that() {
    let dir = TempDir::quick();
    let federated = open(dir.path()).await;
    let (first, parrot) = (befriend_as(&federated, 1).await, befriend_as(&federated, 3).await);
    let heads = said_twice(&federated, 1, 3).await.map(|segment| Head::of(segment.header.header()));
    let tally = |origin| federated.look(|index| index.judgement(origin)).tally();
    let all = Tally { agreed: 60, ..Tally::default() };
    assert_eq!(tally(&first), Tally { foretold: 60, ..all }, "this node found them dead five days later");
    assert_eq!(tally(&parrot), all);

    // The same five living ones, beside what is true as in any month.
    knows(&federated, 1, 0..5, alive(LATER - 10 * DAY));
    knows(&federated, 1, 5..25, dead(LATER - DAY));
    let about = |n: u32| Record::about(Class::HARD, Source(1), tag(1, n), LATER - DAY);
    for (n, head) in [(1, &heads[0]), (3, &heads[1])] {
        let segment = seal_as(n, Some(head), LATER, &(0..30).map(about).collect::<Vec<_>>());
        federated.keep(&segment.header, &segment.body, None, LATER).await.unwrap();
    }
    let doubted = |origin| federated.look(|index| index.judgement(origin)).months_doubted();
    assert_eq!((doubted(&first), doubted(&parrot)), (0, 1), "in the moment in which it comes");
    federated.judge(LATER).await.unwrap();
    assert_eq!((doubted(&first), doubted(&parrot)), (0, 1));
    let voices = federated.look(|index| index.votes(&tag(1, 29), LATER, federated.belief()));
    let silenced: Vec<NodeKey> = voices.iter().filter(|vote| vote.doubted).map(|vote| vote.origin).collect();
    assert_eq!(silenced, [parrot]);
}

#[tokio::test]
async fn who_repeats_what_this_node_said_tells_it_no_news_and_that_outlives_a_restart() {
    let dir = TempDir::quick();
    let federated = open(dir.path()).await;
    let parrot = befriend_as(&federated, 3).await;
    knows(&federated, 0, 0..10, dead(NOW - DAY));
    knows(&federated, 0, 10..20, dead(NOW + 2 * DAY));
    let about = |n: u32| Record::about(Class::HARD, Source(1), tag(0, n), NOW - 3 * DAY);
    let segment = seal_as(3, None, NOW, &(0..20).map(about).collect::<Vec<_>>());
    federated.keep(&segment.header, &segment.body, None, NOW).await.unwrap();
    let want = Tally { agreed: 20, foretold: 10, ..Tally::default() };
    federated.judge(NOW + 3 * DAY).await.unwrap();
    let tally = |federated: &Federated| federated.look(|index| index.judgement(&parrot)).tally();
    assert_eq!(tally(&federated), want, "whatever hour it writes");
    drop(federated);
    let federated = open(dir.path()).await;
    knows(&federated, 0, 0..10, dead(NOW - DAY));
    knows(&federated, 0, 10..20, dead(NOW + 2 * DAY));
    federated.judge(NOW + 3 * DAY).await.unwrap();
    assert_eq!(tally(&federated), want);
}
