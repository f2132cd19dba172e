//! A 250 is a promise (I4): what was answered so arrives, whatever happens to the process in between.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::client::{self, Client};
use crate::node::Node;
use crate::sink::Sink;
use crate::wait::{Random, free_address, wait_for, wait_until};

/// Clients that send mail after mail, and come back whenever the node is there.
struct Load {
    stop: Arc<AtomicBool>,
    accepted: Arc<Mutex<Vec<String>>>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(door: SocketAddr, count: usize) -> Self {
        let (stop, accepted) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let serial = Arc::new(AtomicU64::new(0));
        let client = |_| {
            let (stop, accepted, serial) = (stop.clone(), accepted.clone(), serial.clone());
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    // Broken off by the node's end, or nobody there: both are what this test is about.
                    let _ = send(door, &stop, &accepted, &serial);
                    thread::park_timeout(Duration::from_millis(5));
                }
            })
        };
        let clients = (0..count).map(client).collect();
        Self { stop, accepted, clients }
    }

    fn accepted(&self) -> usize {
        self.accepted.lock().unwrap().len()
    }

    /// Ends the clients; answers with the marks of all mails that were answered with a 250.
    fn stop(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.clients.into_iter().for_each(|client| client.join().unwrap());
        std::mem::take(&mut *self.accepted.lock().unwrap())
    }
}

fn send(door: SocketAddr, stop: &AtomicBool, accepted: &Mutex<Vec<String>>, serial: &AtomicU64) -> std::io::Result<()> {
    let mut client = Client::greet(door)?;
    while !stop.load(Ordering::Relaxed) {
        let number = serial.fetch_add(1, Ordering::Relaxed);
        let mark = format!("mail-{number}");
        let (to, filler) = (format!("u{number}@d{}.test", number % 7), "x".repeat((number % 50 * 60) as usize));
        client.mail("anna@good.test", &[&to], &format!("Subject: {mark}\r\n\r\n{filler}"))?;
        accepted.lock().unwrap().push(mark);
    }
    client.say("QUIT", "221").map(drop)
}

/// A node, and a sink that puts every ninth recipient off the first time it is named.
fn node_and_sink() -> (Node, Sink) {
    let seen = Mutex::new(HashMap::<String, u32>::new());
    let sink = Sink::with(move |to| {
        let number: u32 = to[1..].split('@').next()?.parse().ok()?;
        let mut seen = seen.lock().unwrap();
        let times = seen.entry(to.to_owned()).or_default();
        *times += 1;
        (*times == 1 && number.is_multiple_of(9)).then(|| "451 4.7.1 Greylisted, come back".to_owned())
    });
    let node = Node::start(&format!(
        "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"{}\"]\ntrusted_networks = [\"127.0.0.1\"]\n\
         [relay]\nsmarthost = \"{}\"\nretry_first = \"1s\"\nretry_max = \"2s\"\n",
        free_address(),
        sink.address
    ));
    (node, sink)
}

/// Waits until the sink has all of them, and counts how often each. `kills`: how many the sink had at each kill.
#[track_caller]
fn check_nothing_lost(node: &Node, sink: &Sink, accepted: &[String], kills: &[usize]) {
    // For each mail the lives of the node in which it arrived.
    let copies = || {
        let mut copies = HashMap::<String, Vec<usize>>::new();
        for (number, mail) in sink.mails().into_iter().enumerate() {
            let text = mail.text();
            let mark = text.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap();
            let life = kills.iter().filter(|kill| **kill <= number).count();
            copies.entry(mark.to_owned()).or_default().push(life);
        }
        copies
    };
    let began = Instant::now();
    let patience = Duration::from_secs(25 + kills.len() as u64);
    let copies = wait_for("every mail arrives", patience, || {
        let copies = copies();
        let missing: Vec<_> = accepted.iter().filter(|mark| !copies.contains_key(*mark)).collect();
        let in_vain = patience < began.elapsed() + Duration::from_secs(1);
        assert!(
            !in_vain || missing.is_empty(),
            "{} lost, such as {:?}; queue: {:?}",
            missing.len(),
            missing[0],
            node.queue()
        );
        missing.is_empty().then_some(copies)
    });
    let duplicates: usize = copies.values().map(|copies| copies.len() - 1).sum();
    // Taken by the server, and the node killed before it could record that: RFC 5321 §6.1 leaves no choice.
    let explained: usize = copies.values().map(|lives| lives.windows(2).filter(|two| two[0] < two[1]).count()).sum();
    // A client that did not read its 250 may find its mail delivered all the same.
    let unanswered = copies.len() - accepted.len();
    println!(
        "{} kills: {} accepted, 0 lost, {duplicates} duplicates, {explained} of them explained by a kill, \
         {unanswered} delivered without a 250",
        kills.len(),
        accepted.len()
    );
    assert_eq!(duplicates, explained, "twice in one life of the node");
    assert!(duplicates * 4 < accepted.len(), "{duplicates} duplicates of {} mails", accepted.len());
    assert!(unanswered <= CLIENTS * kills.len().max(1), "{unanswered} mails that no client knows of");
}

/// Clients that send at once. Each may have one mail under way when the node is killed.
const CLIENTS: usize = 6;
/// Kills in the ordinary run; `make crash` makes 100.
const ROUNDS: u64 = 12;

#[test]
fn a_killed_node_loses_no_mail_that_it_answered_with_250() {
    let seed = 0x5eed_0001;
    println!("seed {seed:#x}");
    let mut random = Random(seed);
    let rounds = std::env::var("SM2TP_CRASH_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let (mut node, sink) = node_and_sink();
    let load = Load::start(node.smtp(), CLIENTS);
    let mut kills = Vec::new();
    for round in 0..rounds {
        let before = load.accepted();
        // Every second time at once after the first mails, so that recovery is interrupted, too.
        let moment = Duration::from_millis(if round % 2 == 0 { random.below(40) } else { 50 + random.below(450) });
        wait_until("some mail is taken", Duration::from_secs(10), || before + 5 < load.accepted());
        let began = Instant::now();
        wait_until("the moment", Duration::from_secs(10), || moment <= began.elapsed());
        node.kill();
        wait_until("the sink has read all that the dead node wrote", Duration::from_secs(10), || sink.open() == 0);
        kills.push(sink.mails().len());
        node.serve();
    }
    let accepted = load.stop();
    assert!(200 < accepted.len(), "{} mails are no load", accepted.len());
    check_nothing_lost(&node, &sink, &accepted, &kills);
    node.wait_for_empty_queue();
}

#[test]
fn a_node_that_is_stopped_under_load_ends_soon_and_loses_nothing() {
    let (mut node, sink) = node_and_sink();
    let load = Load::start(node.smtp(), CLIENTS);
    for _ in 0..2 {
        let before = load.accepted();
        wait_until("some mail is taken", Duration::from_secs(10), || before + 100 < load.accepted());
        let (status, took) = node.terminate(Duration::from_secs(25));
        assert!(status.success(), "{status}: {}", node.log());
        println!("stopped in {took:?}");
        node.serve();
    }
    let accepted = load.stop();
    check_nothing_lost(&node, &sink, &accepted, &[]);
    // Nothing of it was an error.
    let log = node.log();
    assert!(!log.contains("ERROR"), "{log}");
}

#[test]
fn a_node_stops_although_a_server_does_not_answer() {
    // As a server that is overloaded, or a firewall that has forgotten the connection.
    let sink = Sink::with(|_| {
        thread::park_timeout(Duration::from_secs(120));
        None
    });
    let mut node = Node::start(&format!(
        "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\ntrusted_networks = [\"127.0.0.1\"]\n\
         [relay]\nsmarthost = \"{}\"\n",
        sink.address
    ));
    client::send(node.smtp(), "anna@good.test", &["u1@d.test"], "x");
    wait_until("the server is asked", Duration::from_secs(10), || 0 < sink.asked());
    let (status, took) = node.terminate(Duration::from_secs(25));
    println!("stopped in {took:?}");
    assert!(status.success(), "{status}: {}", node.log());
    assert_eq!(node.queue().len(), 1, "the mail waits for the next start");
}
