//! The fields of HTTP and the octets of TLS that the simulator of federations counts are those that two nodes send each other.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::federation::learns;
use crate::front::{Chain, Way, Wire, haproxy};
use crate::haproxy::Haproxy;
use crate::node::{Node, said};
use crate::peers::{federation, peer};
use crate::sink::Sink;
use crate::wait::{free_address, wait_for, wait_until};

/// What went through, one entry for each piece: whether it is a question, and its octets.
type Heard = Arc<Mutex<Vec<(bool, Vec<u8>)>>>;

/// Stands before a node and notes what passes.
fn listener(at: SocketAddr, node: SocketAddr) -> Heard {
    let heard = Heard::default();
    let (door, notes) = (TcpListener::bind(at).unwrap(), heard.clone());
    thread::spawn(move || {
        for asker in door.incoming() {
            // Whose node has ended already asks no more.
            let (Ok(asker), Ok(node)) = (asker, TcpStream::connect(node)) else { return };
            for (from, to, asks) in [(&asker, &node, true), (&node, &asker, false)] {
                let (from, to, notes) = (from.try_clone().unwrap(), to.try_clone().unwrap(), notes.clone());
                thread::spawn(move || pass(from, to, asks, &notes));
            }
        }
    });
    heard
}

fn pass(mut from: TcpStream, mut to: TcpStream, asks: bool, heard: &Heard) {
    let mut octets = [0; 65_536];
    while let Some(count) = from.read(&mut octets).ok().filter(|count| 0 < *count) {
        heard.lock().unwrap().push((asks, octets[..count].to_vec()));
        if to.write_all(&octets[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

/// The path of the newest question for this with its answer: octets of the fields of both, without path, host and the digits of a length.
fn fields(heard: &Heard, asked: &str) -> Option<(u64, u64)> {
    let heard = heard.lock().unwrap();
    let text = |octets: &[u8]| {
        String::from_utf8_lossy(octets).split_inclusive("\r\n\r\n").next().unwrap_or_default().to_owned()
    };
    let begins = format!("GET /fed/v1/{asked}");
    let at = heard.iter().position(|(asks, octets)| *asks && octets.starts_with(begins.as_bytes()))?;
    let question = text(&heard[at].1);
    let answer = text(&heard[at + 1..].iter().find(|(asks, _)| !asks)?.1);
    let value = |text: &str, name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ").map(str::len));
        line.unwrap_or(0)
    };
    let path = question.split(' ').nth(1)?.len();
    let cursor = value(&answer, "sm2tp-cursor");
    Some((
        (question.len() - path - value(&question, "host")) as u64,
        (answer.len() - cursor - value(&answer, "content-length")) as u64,
    ))
}

fn configuration(name: &str, http: SocketAddr, sink: &Sink, federation: &str) -> String {
    format!(
        "hostname = \"relay-{name}.example.org\"\n[http]\nlisten = [\"{http}\"]\n\
         [smtp]\nlisten = [\"127.0.0.1:0\"]\ntrusted_networks = [\"127.0.0.1\"]\nstream = \"bulk\"\n\
         [relay]\nroutes = {{ \"d.test\" = \"{at}\", \"s.test\" = \"{at}\" }}\n{federation}",
        at = sink.address
    )
}

#[test]
fn the_simulator_counts_the_fields_that_nodes_send() {
    let sink = Sink::with(|to| to.starts_with("gone").then(|| "550 5.1.1 No such user here".to_owned()));
    let (behind, before, other) = (free_address(), free_address(), free_address());
    let heard = listener(before, behind);
    let a = Node::start(&configuration("a", behind, &sink, &federation(before)));
    let b = Node::start(&configuration("b", other, &sink, &federation(other)));
    // It is B that asks for a peering with whom it is told of, and A whose address leads to the listener.
    peer(&b, &a);
    learns(&a, "gone1@d.test");
    let counted = counted();
    let counted = |name: &str| counted[name].as_u64().unwrap();
    let wait = |asked: &str| wait_for(asked, Duration::from_secs(60), || fields(&heard, asked));
    let segment = wait("log/");
    assert_eq!(segment, (counted("asked"), counted("segment")));
    assert_eq!(wait("feed?after="), (counted("asked"), counted("feed")));
}

/// What the simulator counts around a question and an answer.
fn counted() -> Value {
    let args = "--json simulate federation --nodes 2 --days 1 --warm-up 0 --addresses 0";
    let told = said(std::process::Command::new(crate::node::SM2TP).args(args.split(' ')), "");
    let told: Value = serde_json::from_str(&told.stdout).unwrap();
    told["octets"]["fields"].clone()
}

/// Two nodes, of which B asks A over TLS, through haproxy.
struct OverTls {
    way: Way,
    heard: Heard,
    a: Node,
    b: Node,
    _haproxy: Haproxy,
    _sink: Sink,
}

impl OverTls {
    /// Which HTTP haproxy speaks, and how long it keeps a connection without questions.
    fn start(speaks: &str, keeps: &str) -> Self {
        let sink = Sink::with(|to| to.starts_with("gone").then(|| "550 5.1.1 No such user here".to_owned()));
        let (before, front, middle) = (free_address(), free_address(), free_address());
        let (behind, other) = (free_address(), free_address());
        let chain = Chain::new("localhost");
        let heard = listener(middle, behind);
        let haproxy = haproxy(front, middle, &chain.whole, (speaks, keeps));
        let way = Way::open(before, front);
        let a = Node::start(
            &configuration("a", behind, &sink, &federation(before))
                .replace(&format!("http://{before}/"), &format!("https://localhost:{}/", before.port())),
        );
        let mut b = Node::prepare(&configuration("b", other, &sink, &federation(other)));
        b.serve_with(&[("SSL_CERT_FILE", &chain.root.display().to_string())]);
        peer(&b, &a);
        Self { way, heard, a, b, _haproxy: haproxy, _sink: sink }
    }

    fn questions(&self) -> usize {
        self.way.wires().iter().map(Wire::questions).sum()
    }

    fn trouble(&self) -> Vec<String> {
        self.b.log().lines().filter(|line| line.contains("trouble with")).map(str::to_owned).collect()
    }
}

/// Questions with their answers, in octets.
fn exchanges(heard: &Heard) -> Vec<(u64, u64)> {
    let mut pairs: Vec<(u64, u64)> = Vec::new();
    for (asks, octets) in heard.lock().unwrap().iter() {
        match pairs.last_mut() {
            Some((question, 0)) if *asks => *question += octets.len() as u64,
            Some((_, answer)) if !asks => *answer += octets.len() as u64,
            _ => pairs.push((octets.len() as u64, 0)),
        }
    }
    pairs
}

/// Of a wire: each question with its answer as octets of records, and how many records the answer had.
fn asked_over(wire: &Wire) -> Vec<(u64, u64, u64)> {
    let mut asked: Vec<(u64, u64, u64)> = Vec::new();
    for record in &wire.records {
        match asked.last_mut() {
            _ if record.is_question() => asked.push((record.octets, 0, 0)),
            Some((_, answer, records)) if !record.asks => (*answer, *records) = (*answer + record.octets, *records + 1),
            _ => {}
        }
    }
    asked
}

#[test]
fn all_questions_go_over_one_connection_and_one_that_a_firewall_forgot_is_no_trouble() {
    let nodes = OverTls::start("http/1.1", "60s");
    learns(&nodes.a, "gone1@d.test");
    wait_for("a segment", LONG, || fields(&nodes.heard, "log/"));
    let polled = |questions: usize| {
        let before = nodes.questions();
        wait_until("polls", LONG, || before + questions <= nodes.questions());
    };
    polled(6);
    let wires = nodes.way.wires();
    assert_eq!(wires.len(), 1, "{wires:?}");
    // Around the first questions are tickets; the newest answer may be under way.
    let asked = asked_over(&wires[0]);
    let heard = exchanges(&nodes.heard);
    assert_eq!(counted()["record"], RECORD);
    for (question, answer, records) in &asked[1..asked.len() - 1] {
        let bare = (question - RECORD, answer - RECORD);
        assert!(*records == 1 && heard.contains(&bare), "{bare:?} of {records} records in {heard:?}");
    }
    nodes.way.forgets();
    polled(6);
    assert_eq!(nodes.way.wires().len(), 2);
    assert_eq!(nodes.trouble(), [""; 0]);
}

#[test]
fn a_connection_that_the_other_side_does_not_keep_is_resumed_at_the_price_that_the_simulator_counts() {
    let nodes = OverTls::start("http/1.1", "100ms");
    // The first is a whole handshake, and the last may be under way.
    wait_until("polls", LONG, || 6 < nodes.way.wires().len());
    let wires = nodes.way.wires();
    let heard = exchanges(&nodes.heard);
    let counted = counted()["handshake"].as_u64().unwrap();
    let mut asked = wires[0].questions();
    for wire in &wires[1..wires.len() - 1] {
        let questions = wire.questions();
        let bare: u64 = heard[asked..asked + questions].iter().map(|(question, answer)| question + answer).sum();
        let handshake = wire.octets() - bare - 2 * RECORD * questions as u64;
        asked += questions;
        // Names are longer than this one's, and the tickets of nginx than those of haproxy.
        assert!((handshake..handshake + 72).contains(&counted), "{counted} counted, {handshake} sent: {wire:?}");
    }
    assert_eq!(nodes.trouble(), [""; 0]);
}

#[test]
fn where_a_front_speaks_http_2_a_poll_takes_a_third_less_and_a_forgotten_connection_is_no_trouble_either() {
    let nodes = OverTls::start("h2,http/1.1", "60s");
    let polls = |polls: usize| {
        let before = exchanges(&nodes.heard).len();
        wait_until("polls", LONG, || before + 2 * polls <= exchanges(&nodes.heard).len());
        // Between two contacts, of which there is one in a second: what is cut off inside of one is trouble, and half of one is no poll.
        let (mut heard, mut since) = (0, Instant::now());
        wait_until("a pause", LONG, || {
            let now = exchanges(&nodes.heard).len();
            if heard != now {
                (heard, since) = (now, Instant::now());
            }
            PAUSE < since.elapsed()
        });
    };
    polls(6);
    let before = (nodes.way.wires()[0].octets(), exchanges(&nodes.heard).len());
    polls(6);
    let (octets, heard) = (nodes.way.wires()[0].octets() - before.0, exchanges(&nodes.heard));
    // Behind haproxy each of them is what HTTP/1.1 makes of it.
    let plain: u64 = heard[before.1..].iter().map(|(question, answer)| question + answer + 2 * RECORD).sum();
    assert!(nodes.way.wires().len() == 1 && octets < plain * 2 / 3, "{octets} octets, {plain} of HTTP/1.1");
    nodes.way.forgets();
    polls(3);
    assert_eq!(nodes.way.wires().len(), 2);
    assert_eq!(nodes.trouble(), [""; 0]);
}

const LONG: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(400);
/// What TLS 1.3 puts around what it carries.
const RECORD: u64 = 22;
