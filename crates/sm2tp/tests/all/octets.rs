//! The fields of HTTP that the simulator of federations counts are those that two nodes send each other.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::federation::learns;
use crate::node::{Node, said};
use crate::peers::{federation, peer};
use crate::sink::Sink;
use crate::wait::{free_address, wait_for};

/// What went through, one entry for each piece: whether it is a question, and its octets.
type Heard = Arc<Mutex<Vec<(bool, Vec<u8>)>>>;

/// Stands before a node and notes what passes.
fn listener(at: SocketAddr, node: SocketAddr) -> Heard {
    let heard = Heard::default();
    let (door, notes) = (TcpListener::bind(at).unwrap(), heard.clone());
    thread::spawn(move || {
        for asker in door.incoming() {
            let (asker, node) = (asker.unwrap(), TcpStream::connect(node).unwrap());
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

#[test]
fn the_simulator_counts_the_fields_that_nodes_send() {
    let sink = Sink::with(|to| to.starts_with("gone").then(|| "550 5.1.1 No such user here".to_owned()));
    let node = |name: &str, http: SocketAddr, seen: SocketAddr| {
        Node::start(&format!(
            "hostname = \"relay-{name}.example.org\"\n[http]\nlisten = [\"{http}\"]\n\
             [smtp]\nlisten = [\"127.0.0.1:0\"]\ntrusted_networks = [\"127.0.0.1\"]\nstream = \"bulk\"\n\
             [relay]\nroutes = {{ \"d.test\" = \"{}\", \"s.test\" = \"{}\" }}\n{}",
            sink.address,
            sink.address,
            federation(seen)
        ))
    };
    let (behind, before, other) = (free_address(), free_address(), free_address());
    let heard = listener(before, behind);
    let (a, b) = (node("a", behind, before), node("b", other, other));
    // It is B that asks for a peering with whom it is told of, and A whose address leads to the listener.
    peer(&b, &a);
    learns(&a, "gone1@d.test");
    let told = said(
        std::process::Command::new(crate::node::SM2TP).args([
            "--json",
            "simulate",
            "federation",
            "--nodes",
            "2",
            "--days",
            "1",
            "--warm-up",
            "0",
            "--addresses",
            "0",
        ]),
        "",
    );
    let counted: Value = serde_json::from_str(&told.stdout).unwrap();
    let counted = |name: &str| counted["octets"]["fields"][name].as_u64().unwrap();
    let wait = |asked: &str| wait_for(asked, Duration::from_secs(60), || fields(&heard, asked));
    let segment = wait("log/");
    assert_eq!(segment, (counted("asked"), counted("segment")));
    assert_eq!(wait("feed?after="), (counted("asked"), counted("feed")));
}
