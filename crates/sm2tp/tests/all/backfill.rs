//! A node that joins: it catches up with what others said long before, says how far it is, and relays meanwhile.

use std::time::Duration;

use sm2tp_federation::feed::{HeadLine, Heads};
use sm2tp_federation::header::Position;
use sm2tp_federation::segment::Segment;

use crate::bad_peer::{Answer, BadPeer, tag};
use crate::client::send;
use crate::node::Node;
use crate::peers::federation;
use crate::sink::Sink;
use crate::wait::{free_address, wait_until};

const LONG: Duration = Duration::from_secs(40);
const SEGMENTS: u64 = 20;
const EVENTS_EACH: u64 = 50;
/// The segment that does not come at first.
const STUCK: usize = 7;

#[test]
fn a_node_that_catches_up_says_how_far_it_is_and_relays_meanwhile() {
    let (sink, http) = (Sink::with(|_| None), free_address());
    let node = Node::start(&format!(
        "hostname = \"relay.example.org\"\n[http]\nlisten = [\"{http}\"]\n[smtp]\nlisten = [\"127.0.0.1:0\"]\n\
         trusted_networks = [\"127.0.0.1\"]\n[relay]\nroutes = {{ \"d.test\" = \"{}\" }}\n{}",
        sink.address,
        federation(http)
    ));
    let peer = BadPeer::start("long", 77);
    let segments = publishes_much(&peer);
    let stuck = peer.log_path(segments[STUCK].header.header());
    peer.answers(&stuck, Answer::Away);
    peer.befriends(&node);
    let taken = STUCK as u64 * EVENTS_EACH;
    wait_until("a part of it is here", LONG, || peer.seen_by(&node)["events_in"] == taken);

    let seen = peer.seen_by(&node);
    assert_eq!((&seen["backfill"]["here"], &seen["backfill"]["there"]), (&350.into(), &1000.into()), "{seen}");
    let bar = "[##########....................]  35 %  350 of 1000 events";
    let shown = node.run(&["peer", "list"]).stdout;
    assert!(shown.contains(bar), "{shown}");
    send(node.smtp(), "anna@s.test", &["ben@d.test"], "hello");
    wait_until("mail is delivered meanwhile", LONG, || sink.mails().len() == 1);
    assert!(!peer.seen_by(&node)["backfill"].is_null(), "it is still on its way");

    peer.answers(&stuck, Answer::Octets(segments[STUCK].encode()));
    wait_until("all of it is here", LONG, || peer.seen_by(&node)["events_in"] == SEGMENTS * EVENTS_EACH);
    wait_until("there is nothing left to show", LONG, || peer.seen_by(&node)["backfill"].is_null());
    let shown = node.run(&["peer", "list"]).stdout;
    assert!(!shown.contains(" of 1000 events"), "{shown}");
}

/// A log, and how long it is.
fn publishes_much(peer: &BadPeer) -> Vec<Segment> {
    let mut segments: Vec<Segment> = Vec::new();
    for number in 0..SEGMENTS {
        let tags: Vec<_> = (0..EVENTS_EACH).map(|n| tag(number * EVENTS_EACH + n)).collect();
        segments.push(peer.segment(segments.last(), &tags));
    }
    peer.publishes(&segments.iter().collect::<Vec<_>>());
    let newest = segments.last().unwrap().header.header();
    let heads = Heads { heads: vec![HeadLine::new(newest, Position { epoch: 0, segno: 0 })] };
    peer.answers("/fed/v1/heads", Answer::Octets(serde_json::to_vec(&heads).unwrap()));
    segments
}
