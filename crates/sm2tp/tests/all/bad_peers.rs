//! Peers that are broken, mad or hostile, each over real HTTP: the node believes nothing of it, keeps its memory, tells its
//! administrator once, and hears everybody else.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use sm2tp_federation::feed::HeadLine;
use sm2tp_federation::header::{Header, Position, Sealing};
use sm2tp_federation::keys::NodeKey;
use sm2tp_federation::record::{Class, Record, Source};
use sm2tp_federation::request::{self, RequestParts, SignatureTerm};
use sm2tp_federation::segment::{self, Segment};
use sm2tp_federation::tags::Tag;

use crate::bad_peer::{Answer, BadPeer, now, tag};
use crate::client::send;
use crate::node::Node;
use crate::peers::federation;
use crate::programs::library;
use crate::sink::Sink;
use crate::wait::{free_address, wait_for, wait_until};

const LONG: Duration = Duration::from_secs(40);

fn node() -> Node {
    let http = free_address();
    Node::start(&format!("hostname = \"relay.example.org\"\n[http]\nlisten = [\"{http}\"]\n{}", federation(http)))
}

/// Whether the node took events of this peer, and how many.
fn events(node: &Node, peer: &BadPeer) -> u64 {
    peer.seen_by(node)["events_in"].as_u64().unwrap()
}

/// The node hears a peer that does nothing wrong, and never panicked.
#[track_caller]
fn goes_on(node: &Node) {
    let good = BadPeer::start("good", 200);
    let one = good.segment(None, &[tag(1), tag(2)]);
    let two = good.segment(Some(&one), &[tag(3)]);
    good.publishes(&[&one, &two]);
    good.befriends(node);
    wait_until("the good peer is heard", LONG, || events(node, &good) == 3);
    assert!(node.get("/healthz").starts_with("HTTP/1.1 200"));
    let log = node.log();
    assert!(!log.contains("panicked"), "{log}");
}

/// The trouble that the node has with a peer.
#[track_caller]
fn trouble(node: &Node, peer: &BadPeer) -> String {
    wait_for(&format!("trouble with {}", peer.name), LONG, || peer.seen_by(node)["trouble"].as_str().map(str::to_owned))
}

/// Sealed otherwise than it should be.
fn odd(peer: &BadPeer, after: Option<&Segment>, change: impl FnOnce(&mut Sealing)) -> Segment {
    let mut sealing = peer.sealing(after);
    change(&mut sealing);
    let record = Record::about(Class::HARD, Source(1), tag(66), sealing.sealed_at - 7200);
    segment::seal(&sealing, &peer.log, &[record]).unwrap()
}

fn right(peer: &BadPeer, first: &Segment) -> Segment {
    peer.segment(Some(first), &[tag(2)])
}

/// The second segment of a liar after its first one, and the octets that it serves in its place.
type Second = fn(&BadPeer, &Segment) -> (Segment, Vec<u8>);

/// Each liar begins with a segment that is right, so that a lie is not taken for silence.
#[test]
fn a_log_that_is_wrong_in_any_way_is_taken_up_to_there_and_no_farther() {
    let node = node();
    let mut all = Vec::new();
    let mut liar = |name: &str, want: &str, second: Second| {
        let peer = BadPeer::start(name, 10 + all.len() as u8);
        let first = peer.segment(None, &[tag(1)]);
        let (second, served) = second(&peer, &first);
        peer.publishes(&[&first, &second]);
        peer.answers(&peer.log_path(second.header.header()), Answer::Octets(served));
        peer.befriends(&node);
        all.push((peer, want.to_owned()));
    };
    liar("flipped-body", "damaged or forged", |peer, first| {
        let second = right(peer, first);
        let mut octets = second.encode();
        *octets.last_mut().unwrap() ^= 1;
        (second, octets)
    });
    liar("flipped-header", "another one", |peer, first| {
        let second = right(peer, first);
        let mut octets = second.encode();
        octets[100] ^= 1;
        (second, octets)
    });
    liar("other-body", "damaged or forged", |peer, first| {
        let second = right(peer, first);
        let other = peer.segment(Some(first), &[tag(3)]);
        let octets = [&second.header.header().as_bytes()[..], &other.body].concat();
        (second, octets)
    });
    liar("cut-short", "damaged or forged", |peer, first| {
        let second = right(peer, first);
        let octets = second.encode();
        (second, octets[..octets.len() - 1].to_vec())
    });
    liar("wrong-prev", "does not follow the header", |peer, first| {
        let second = odd(peer, Some(first), |sealing| sealing.prev = [7; 32]);
        let octets = second.encode();
        (second, octets)
    });
    liar("wrong-sequence", "begins with event", |peer, first| {
        let second = odd(peer, Some(first), |sealing| sealing.first_sequence = 900);
        let octets = second.encode();
        (second, octets)
    });
    liar("future", "ahead of our clock", |peer, first| {
        let second = odd(peer, Some(first), |sealing| sealing.sealed_at = now() + 3600);
        let octets = second.encode();
        (second, octets)
    });
    liar("stolen", "damaged or forged", |peer, first| {
        let record = Record::about(Class::HARD, Source(1), tag(68), now() - 7200);
        let key = ed25519_dalek::SigningKey::from_bytes(&[0x55; 32]);
        let second = segment::seal(&peer.sealing(Some(first)), &key, &[record]).unwrap();
        let octets = second.encode();
        (second, octets)
    });
    liar("gap", "with status 404", |peer, first| {
        let third = odd(peer, Some(&right(peer, first)), |_| ());
        let octets = third.encode();
        (third, octets)
    });
    for (peer, want) in &all {
        wait_until(&format!("{}: {want}", peer.name), LONG, || node.log().contains(want));
        wait_until(&format!("{}: the first segment", peer.name), LONG, || 1 <= events(&node, peer));
    }
    goes_on(&node);
    for (peer, _) in &all {
        assert_eq!(events(&node, peer), 1, "{}", peer.name);
    }
    is_told_once_until_it_is_over(&node, &all);
}

/// Of a gap alone an honest peer may be the cause, which has not fetched what is more than usual.
#[track_caller]
fn is_told_once_until_it_is_over(node: &Node, all: &[(BadPeer, String)]) {
    for (peer, want) in all.iter().filter(|(peer, _)| peer.name != "gap") {
        wait_until(&format!("{}: a person is told", peer.name), LONG, || told(node, "peer-unusable", &peer.name) == 1);
        wait_until("it is asked again", LONG, || 6 < peer.asked("/fed/v1/feed"));
        // The origin is passed over by now; the person still reads why its log does not go on.
        assert!(trouble(node, peer).contains(want), "{}: {}", peer.name, trouble(node, peer));
        assert_eq!(told(node, "peer-unusable", &peer.name), 1);
    }
    // It mends its log, and nobody has to say so.
    let (mended, _) = all.iter().find(|(peer, _)| peer.name == "wrong-prev").unwrap();
    let first = mended.segment(None, &[tag(1)]);
    assert!(!mended.seen_by(node)["trouble"].is_null());
    let mut sealing = mended.sealing(Some(&first));
    (sealing.position, sealing.prev) = (Position { epoch: 1, segno: 0 }, [0; 32]);
    let record = Record::about(Class::HARD, Source(1), tag(67), sealing.sealed_at - 7200);
    let anew = segment::seal(&sealing, &mended.log, &[record]).unwrap();
    mended.publishes(&[&first, &odd(mended, Some(&first), |sealing| sealing.prev = [7; 32]), &anew]);
    wait_until("the trouble is over", LONG, || mended.seen_by(node)["trouble"].is_null());
    assert_eq!(events(node, mended), 2);
}

/// How many incidents of a kind a person was told of a peer.
fn told(node: &Node, kind: &str, peer: &str) -> usize {
    let list = node.ask(&["alerts", "list"]);
    let incidents = list["incidents"].as_array().unwrap().clone();
    let of_it = |one: &&serde_json::Value| one["finding"]["kind"] == kind && one["finding"]["peer"] == peer;
    incidents.iter().filter(of_it).count()
}

#[test]
fn whoever_signs_two_segments_for_one_place_is_stopped_with_a_proof_until_a_person_accepts_its_next_epoch() {
    let node = node();
    let (peer, witness) = (BadPeer::start("two-faced", 30), BadPeer::start("witness", 31));
    let one = peer.segment(None, &[tag(1)]);
    let other = peer.segment(None, &[tag(2)]);
    let next = peer.segment(Some(&one), &[tag(3)]);
    peer.publishes(&[&one, &other, &next]);
    peer.answers(&peer.log_path(one.header.header()), Answer::Octets(one.encode()));
    witness.answers("/fed/v1/proofs", Answer::Octets(b"{}".to_vec()));
    witness.befriends(&node);
    peer.befriends(&node);
    let contradicts = || {
        let list = node.ask(&["alerts", "list"]);
        let incidents = list["incidents"].as_array().unwrap().clone();
        incidents.into_iter().filter(|incident| incident["finding"]["kind"] == "origin-contradicts").count()
    };
    wait_until("the administrator is told", Duration::from_secs(60), || contradicts() == 1);
    wait_until("the proof is passed on", LONG, || 1 <= witness.asked("/fed/v1/proofs"));
    assert_eq!(events(&node, &peer), 1, "nothing after it");
    assert_eq!(peer.seen_by(&node)["contradicts_itself"], true);

    // Its administrator begins a new epoch; ours accepts it.
    let mut sealing = peer.sealing(None);
    sealing.position = Position { epoch: 1, segno: 0 };
    let record = Record::about(Class::HARD, Source(1), tag(9), now() - 7200);
    let anew = segment::seal(&sealing, &peer.log, &[record]).unwrap();
    peer.publishes(&[&one, &other, &next, &anew]);
    let head = anew.header.header();
    let line = HeadLine {
        origin: peer.key(),
        epoch: 1,
        segno: 0,
        last_sequence: head.next_sequence() - 1,
        hash: head.hash(),
        oldest_epoch: 0,
        oldest_segno: 0,
    };
    let heads = serde_json::json!({ "heads": [line] }).to_string();
    peer.answers("/fed/v1/heads", Answer::Octets(heads.into_bytes()));
    // As it goes between people: the new epoch is there, and passed over, before ours hears of it.
    wait_until("it is offered", LONG, || node.log().contains("segment 1.0 of node"));
    assert_eq!(events(&node, &peer), 1);
    node.ask(&["peer", "trust", "two-faced", "--forgive"]);
    wait_until("its new epoch is taken", LONG, || events(&node, &peer) == 2);
    assert_eq!(peer.seen_by(&node)["contradicts_itself"], false);
    goes_on(&node);
}

#[test]
fn whoever_calls_domains_dead_that_take_mail_of_the_node_stops_none_and_is_quarantined_when_there_are_many() {
    let (sink, http) = (Sink::start(), free_address());
    let domains: Vec<String> = (0..11).map(|n| format!("d{n}.test")).collect();
    let routes = domains.iter().map(|domain| format!("\"{domain}\" = \"{}\"", sink.address));
    let node = Node::start(&format!(
        "hostname = \"relay.example.org\"\n[http]\nlisten = [\"{http}\"]\n[smtp]\nlisten = [\"127.0.0.1:0\"]\n\
         trusted_networks = [\"127.0.0.1\"]\nstream = \"bulk\"\n[relay]\nroutes = {{ {} }}\n{}",
        routes.collect::<Vec<_>>().join(", "),
        federation(http)
    ));
    for domain in &domains {
        send(node.smtp(), "anna@s.test", &[&format!("jean@{domain}")], "hello");
    }
    let delivered = |domain: &String| node.ask(&["explain", &format!("jean@{domain}")])["delivery_counts"] == true;
    wait_until("all took mail", LONG, || domains.iter().all(delivered));
    let peer = BadPeer::start("liar", 40);
    let dead = |domain: &str| {
        let explained = node.ask(&["explain", &format!("new@{domain}")]);
        let tag = u128::from_str_radix(explained["domain_tags"][0].as_str().unwrap(), 16).unwrap();
        Record::about(Class::DOMAIN_DEAD, Source(1), Tag(tag.to_be_bytes()), now() - 7200)
    };
    let seal =
        |after: Option<&Segment>, records: &[Record]| segment::seal(&peer.sealing(after), &peer.log, records).unwrap();
    let first = seal(None, &[dead("d0.test"), dead("strange.test")]);
    peer.publishes(&[&first]);
    peer.befriends(&node);
    let decision = || node.decision("new@strange.test", "bulk");
    wait_until("it is heard", LONG, || decision()["decision"] == "hold");
    assert_eq!(decision()["numbers"]["about"], "domain");
    assert_eq!(node.decision("new@d0.test", "bulk")["decision"], "send");
    let said = node.run(&["explain", "new@d0.test"]);
    assert!(said.stdout.contains("this node's own deliveries contradict it"), "{}", said.stdout);
    assert!(said.stdout.contains("this node delivered there lately"), "{}", said.stdout);
    let lies: Vec<Record> = domains[1..].iter().map(|domain| dead(domain)).collect();
    peer.publishes(&[&first, &seal(Some(&first), &lies)]);
    wait_until("it is not believed", LONG, || decision()["decision"] == "send");
    assert_eq!(peer.seen_by(&node)["agreement"]["word"], "quarantine");
    goes_on(&node);
}

#[test]
fn answers_without_end_bombs_and_drops_cost_little_memory_and_no_other_peer() {
    let node = node();
    let bomb = || {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(&vec![0; 64 * 1024 * 1024]).unwrap();
        let octets = gzip.finish().unwrap();
        let head = format!(
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Encoding: gzip\r\nSM2TP-Cursor: \
             6f2b1c9e-0d5a-4c3b-8e7f-112233445566:1\r\nContent-Length: {}\r\n\r\n",
            octets.len()
        );
        Answer::Raw(head, octets)
    };
    let head = "HTTP/1.1 200 OK\r\nSM2TP-Cursor: 6f2b1c9e-0d5a-4c3b-8e7f-112233445566:1\r\n\r\n";
    let all = [
        ("endless-feed", "/fed/v1/feed", Answer::Endless(head), "more than 1000000 octets"),
        ("endless-node", "/fed/v1/node", Answer::Endless(head), "more than 65536 octets"),
        ("endless-head", "/fed/v1/feed", Answer::Endless("HTTP/1.1 200 OK\r\nX: "), "cannot be reached"),
        ("bomb", "/fed/v1/feed", bomb(), "more than 1000000 octets"),
        ("no-http", "/fed/v1/feed", Answer::Raw("\0\0\0".into(), vec![0xff; 10_000]), "cannot be reached"),
        ("drops", "/fed/v1/feed", Answer::Drops(vec![0; 100_000]), ""),
        ("hangs-up", "/fed/v1/feed", Answer::Away, "cannot be reached"),
    ];
    let before = node.memory_peak_reset_kib();
    let mut peers = Vec::new();
    for (n, (name, path, answer, want)) in all.into_iter().enumerate() {
        let peer = BadPeer::start(name, 40 + n as u8);
        peer.befriends(&node);
        peer.answers(path, answer);
        peers.push((peer, want));
    }
    for (peer, want) in peers.iter().filter(|(_, want)| !want.is_empty()) {
        wait_until(&format!("{}: {want}", peer.name), LONG, || trouble(&node, peer).contains(want));
    }
    goes_on(&node);
    let grown = node.memory_peak_kib().saturating_sub(before);
    println!("memory grew by {grown} KiB");
    assert!(grown < 48 * 1024, "memory grew by {grown} KiB");
}

#[test]
fn a_feed_without_an_end_is_left_after_some_pages_and_others_have_their_turn() {
    let node = node();
    let peer = BadPeer::start("treadmill", 60);
    let one = peer.segment(None, &[tag(1)]);
    peer.publishes(&[&one]);
    peer.befriends(&node);
    // Read to its end once: on a slow machine the first contact would else go on into the feed without one.
    wait_until("its event is there", LONG, || events(&node, &peer) == 1 && peer.seen_by(&node)["lag_s"].is_u64());
    // So many that the next page is asked for at once.
    let headers = vec![*one.header.header(); 120];
    peer.answers("/fed/v1/feed", Answer::Treadmill(headers));
    wait_until("it is read over and over", LONG, || 40 <= peer.asked("/fed/v1/feed"));
    goes_on(&node);
    assert_eq!(events(&node, &peer), 1, "what is said again is said once");
    assert!(peer.seen_by(&node)["lag_s"].is_u64());
}

/// One hundred million events: 24 415 signed headers and not a single body.
#[test]
fn a_hundred_million_claimed_events_cost_headers_and_no_body() {
    let node = node();
    let peer = BadPeer::start("mass", 70);
    let body = vec![Record::about(Class::HARD, Source(1), tag(1), now() - 7200); 4096];
    let first = segment::seal(&peer.sealing(None), &peer.log, &body).unwrap();
    // The same body in each: a header says nothing about what it is worth.
    let mut headers = vec![*first.header.header()];
    for _ in 1..24_415 {
        headers.push(next_header(&peer, headers.last().unwrap()));
    }
    let before = node.memory_peak_reset_kib();
    peer.offers(&headers);
    peer.befriends(&node);
    let parked = || peer.seen_by(&node)["parked"]["segments"].as_u64().unwrap_or(0);
    wait_until("as many as may wait do", Duration::from_secs(90), || parked() == 4096);
    assert_eq!(events(&node, &peer), 0);
    assert_eq!(headers.iter().filter(|header| peer.asked(&peer.log_path(header)) != 0).count(), 0);
    assert_eq!(peer.asked(&peer.bulk_path()), 0);
    goes_on(&node);
    let grown = node.memory_peak_kib().saturating_sub(before);
    println!("memory grew by {grown} KiB");
    assert!(grown < 48 * 1024, "memory grew by {grown} KiB");
    let told = wait_for("the administrator is told", Duration::from_secs(60), || {
        let list = node.ask(&["alerts", "list"]);
        let incidents = list["incidents"].as_array().unwrap().clone();
        Some(incidents.into_iter().filter(|one| one["finding"]["kind"] == "origin-parked").collect::<Vec<_>>())
            .filter(|found| !found.is_empty())
    });
    assert_eq!(told.len(), 1, "{told:?}");
}

/// The header after another one, over the same records.
fn next_header(peer: &BadPeer, before: &Header) -> Header {
    use ed25519_dalek::Signer;
    let mut octets = *before.as_bytes();
    let Position { segno, .. } = before.position();
    octets[76..80].copy_from_slice(&(segno + 1).to_be_bytes());
    octets[80..88].copy_from_slice(&before.next_sequence().to_be_bytes());
    octets[112..144].copy_from_slice(&before.hash());
    let signed = [b"sm2tp-segment-v1\n", &octets[..176]].concat();
    octets[176..].copy_from_slice(&peer.log.sign(&signed).to_bytes());
    Header::parse(&octets).unwrap()
}

#[test]
fn nobody_leads_the_node_to_an_address_behind_it() {
    let node = node();
    // Something of the administrator's that has no password, because nobody else can reach it.
    let inside = TcpListener::bind("127.0.0.1:0").unwrap();
    inside.set_nonblocking(true).unwrap();
    let secret = inside.local_addr().unwrap();
    let peer = BadPeer::start("redirects", 80);
    peer.befriends(&node);
    let head = format!("HTTP/1.1 302 Found\r\nLocation: http://{secret}/\r\nContent-Length: 0\r\n\r\n");
    peer.answers("/fed/v1/feed", Answer::Raw(head, vec![]));
    assert!(trouble(&node, &peer).contains("302"));

    // Or by what its descriptor says.
    let elsewhere = BadPeer::start("elsewhere", 81);
    let api = format!("http://{secret}/fed/v1");
    elsewhere.answers("/fed/v1/node", Answer::Octets(elsewhere.descriptor(&api, 1).text().into()));
    let said = node.run(&["peer", "invite", &format!("http://{}/fed/v1", elsewhere.address)]);
    assert_eq!(said.exit, 65, "{said:?}");
    // Later on, too: the node goes on asking where two people agreed.
    let moved = BadPeer::start("moves", 82);
    moved.befriends(&node);
    moved.answers("/fed/v1/node", Answer::Octets(moved.descriptor(&api, 9).text().into()));
    let polls = moved.asked("/fed/v1/feed");
    wait_until("it is asked again", LONG, || polls + 2 < moved.asked("/fed/v1/feed"));
    assert!(inside.accept().is_err(), "somebody came");

    for url in
        ["https://10.0.0.1/fed/v1", "https://169.254.169.254/fed/v1", "https://[fd00::1]/fed/v1", "http://192.168.1.1"]
    {
        let said = node.run(&["peer", "invite", url]);
        assert_eq!(said.exit, 65, "{url}: {said:?}");
    }
    goes_on(&node);
}

/// The other way round: the peer asks, and never comes to an end.
#[test]
fn who_asks_octet_by_octet_loses_its_place_and_keeps_nobody_out() {
    let node = node();
    goes_on(&node);
    let before = node.memory_peak_reset_kib();
    let begun = |beginning: &str| {
        let mut stream = TcpStream::connect(node.http()).unwrap();
        stream.set_nonblocking(true).unwrap();
        stream.write_all(beginning.as_bytes()).unwrap();
        stream
    };
    let mut slow: Vec<TcpStream> = (0..100).map(|_| begun("GET /fed/v1/feed HTTP/1.1\r\nX-Header: ")).collect();
    let body = "POST /fed/v1/peerings HTTP/1.1\r\nHost: x\r\nContent-Length: 70000\r\n\r\n";
    slow.extend((0..20).map(|_| begun(body)));
    let peer = BadPeer::start("quick", 85);
    peer.publishes(&[&peer.segment(None, &[tag(1)])]);
    peer.befriends(&node);
    wait_until("somebody else is heard", LONG, || events(&node, &peer) == 1);
    assert!(node.get("/healthz").starts_with("HTTP/1.1 200"));
    wait_until("they are sent away", Duration::from_secs(90), || {
        // An octet each time; an answer, if there is one, says that it took too long.
        slow.retain_mut(|stream| {
            let mut answer = [0; 1000];
            let over = |read: std::io::Result<usize>| !matches!(read, Err(e) if e.kind() == ErrorKind::WouldBlock);
            stream.write_all(b"x").is_ok() && !over(stream.read(&mut answer))
        });
        slow.is_empty()
    });
    let grown = node.memory_peak_kib().saturating_sub(before);
    println!("memory grew by {grown} KiB");
    assert!(grown < 48 * 1024, "memory grew by {grown} KiB");
}

#[test]
fn requests_that_are_late_early_or_said_twice_are_turned_away() {
    let node = node();
    let peer = BadPeer::start("asker", 90);
    peer.befriends(&node);
    let at = node.http().to_string();
    let ask = |created: u64, nonce: &str, authority: &str| {
        let parts = RequestParts { method: "GET", authority, path: "/fed/v1/feed", query: "limit=5", body: &[] };
        let term = SignatureTerm { created, expires: created + 60, nonce };
        let signed = request::sign(&peer.log, &parts, &term).unwrap();
        let text = format!(
            "GET /fed/v1/feed?limit=5 HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\nSignature-Input: {}\r\n\
             Signature: {}\r\n\r\n",
            signed.signature_input, signed.signature
        );
        let mut stream = TcpStream::connect(node.http()).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap_or_default().to_owned()
    };
    assert_eq!(ask(now(), "nonce-one", &at), "200");
    assert_eq!(ask(now(), "nonce-one", &at), "401", "replayed");
    assert_eq!(ask(now() - 61, "nonce-two", &at), "401", "expired");
    assert_eq!(ask(now() - 50, "nonce-three", &at), "200", "a clock that is a little behind");
    assert_eq!(ask(now() + 50, "nonce-four", &at), "200", "a clock that is a little ahead");
    assert_eq!(ask(now() + 300, "nonce-five", &at), "401", "a clock that is far ahead");
    assert_eq!(ask(now(), "nonce-six", "other.example.org"), "401", "meant for somebody else");
    assert_eq!(ask(now(), "nonce-seven", &at), "200", "the others did it no harm");
}

#[test]
fn a_peer_that_was_away_for_a_month_is_told_of_once_and_heard_again_when_it_is_back() {
    let mut node = node();
    let peer = BadPeer::start("traveller", 100);
    let one = peer.segment(None, &[tag(1)]);
    peer.publishes(&[&one]);
    peer.befriends(&node);
    wait_until("its event is there", LONG, || events(&node, &peer) == 1);
    node.kill();
    peer.answers("/fed/v1/node", Answer::Away);
    let library = library("faketime/libfaketimeMT.so.1").display().to_string();
    let late = [("LD_PRELOAD", &library[..]), ("FAKETIME", "+30d"), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")];
    node.serve_with(&late);
    let silent = || {
        let list = node.ask(&["alerts", "list"]);
        let incidents = list["incidents"].as_array().unwrap().clone();
        incidents.into_iter().filter(|one| one["finding"]["kind"] == "peer-silent").count()
    };
    wait_until("the administrator is told", Duration::from_secs(60), || silent() == 1);
    let two = peer.segment(Some(&one), &[tag(2)]);
    peer.publishes(&[&one, &two]);
    let api = format!("http://{}/fed/v1", peer.address);
    peer.answers("/fed/v1/node", Answer::Octets(peer.descriptor(&api, 2).text().into()));
    // Asked less and less often while it was away, but never given up.
    wait_until("it is heard again", Duration::from_secs(90), || events(&node, &peer) == 2);
    assert_eq!(silent(), 1);
}

#[test]
fn a_peer_that_lost_its_disk_begins_a_new_feed_and_a_new_epoch_and_nothing_is_taken_twice() {
    let node = node();
    let peer = BadPeer::start("phoenix", 110);
    let one = peer.segment(None, &[tag(1), tag(2)]);
    let two = peer.segment(Some(&one), &[tag(3)]);
    peer.publishes(&[&one, &two]);
    peer.befriends(&node);
    wait_until("its events are there", LONG, || events(&node, &peer) == 3);
    // The old cursor is of a feed that is no more; the node asks without one then.
    let gone = r#"{"feed":"aaaaaaaa-0d5a-4c3b-8e7f-112233445566"}"#;
    let head = format!("HTTP/1.1 410 Gone\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", gone.len());
    peer.answers("/fed/v1/feed", Answer::Raw(head, gone.as_bytes().to_vec()));
    wait_until("it forgets the cursor", LONG, || peer.seen_by(&node)["cursor"].is_null());
    let mut sealing = peer.sealing(None);
    (sealing.position, sealing.first_sequence) = (Position { epoch: 1, segno: 0 }, 4);
    let record = Record::about(Class::HARD, Source(1), tag(4), now() - 7200);
    let anew = segment::seal(&sealing, &peer.log, &[record]).unwrap();
    peer.publishes(&[&one, &anew]);
    wait_until("the new epoch is taken", LONG, || events(&node, &peer) == 4);
    assert!(!node.log().contains("signed two different segments"), "it did not fork");
    goes_on(&node);
}

/// As a machine that came back from last week's image and does not know it.
#[test]
fn a_backup_that_was_rolled_back_and_goes_on_sealing_is_a_fork_and_said_to_be_one() {
    let node = node();
    let peer = BadPeer::start("rolled-back", 120);
    let one = peer.segment(None, &[tag(1)]);
    let two = peer.segment(Some(&one), &[tag(2)]);
    peer.publishes(&[&one, &two]);
    peer.befriends(&node);
    wait_until("its events are there", LONG, || events(&node, &peer) == 2);
    let again = peer.segment(Some(&one), &[tag(3)]);
    let more = peer.segment(Some(&again), &[tag(4)]);
    peer.publishes(&[&one, &two, &again, &more]);
    wait_until("it is stopped", LONG, || peer.seen_by(&node)["contradicts_itself"] == true);
    assert_eq!(events(&node, &peer), 2);
    let own: NodeKey = peer.key();
    assert!(node.log().contains(&own.to_string()));
    goes_on(&node);
}
