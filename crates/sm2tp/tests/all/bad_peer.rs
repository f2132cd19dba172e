//! A peer over real HTTP that answers whatever a test wants: right, wrong, slowly, or without end.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime};

use ed25519_dalek::SigningKey;
use sm2tp_federation::descriptor::{self, Descriptor, LogKeyTerm, SignedDescriptor};
use sm2tp_federation::feed::{self, FeedEntry};
use sm2tp_federation::header::{Header, Position, Sealing};
use sm2tp_federation::keys::{LogKey, NodeKey};
use sm2tp_federation::record::{Class, Record, Source};
use sm2tp_federation::segment::{self, Segment};
use sm2tp_federation::tags::{KeyId, Tag};

use crate::node::Node;
use crate::wait::wait_until;

/// Serves until the test ends.
pub struct BadPeer {
    pub name: String,
    pub address: SocketAddr,
    pub node: SigningKey,
    pub log: SigningKey,
    answers: Answers,
    asked: Arc<Mutex<Vec<String>>>,
}

type Answers = Arc<Mutex<HashMap<String, Answer>>>;

/// What a path is answered with.
#[derive(Clone)]
pub enum Answer {
    Octets(Vec<u8>),
    /// Status line, header fields and body as they are.
    Raw(String, Vec<u8>),
    /// The same octets for ever, behind this head.
    Endless(&'static str),
    /// An octet now and then.
    Drops(Vec<u8>),
    /// The same headers under new numbers at each question.
    Treadmill(Vec<Header>),
    /// Nobody is there.
    Away,
}

impl BadPeer {
    pub fn start(name: &str, seed: u8) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (answers, asked) = (Answers::default(), Arc::default());
        let peer = Self {
            name: name.to_owned(),
            address,
            node: SigningKey::from_bytes(&[seed; 32]),
            log: SigningKey::from_bytes(&[seed ^ 0x80; 32]),
            answers,
            asked,
        };
        peer.gives_well();
        let (answers, asked) = (peer.answers.clone(), peer.asked.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answers, asked) = (answers.clone(), Arc::clone(&asked));
                thread::spawn(move || drop(serve(stream, &answers, &asked)));
            }
        });
        peer
    }

    /// All that a node without events says.
    fn gives_well(&self) {
        let api = format!("http://{}/fed/v1", self.address);
        let node = format!("{{\"api\":\"{api}\",\"node\":\"{}\"}}", self.key());
        self.answers("/.well-known/sm2tp", Answer::Octets(node.into_bytes()));
        self.answers("/fed/v1/node", Answer::Octets(self.descriptor(&api, 1).text().into()));
        self.answers("/fed/v1/peerings", Answer::Octets(br#"{"id":"request"}"#.to_vec()));
        let accepted = br#"{"state":"accepted","tagkeys":[]}"#.to_vec();
        self.answers("/fed/v1/peerings/request", Answer::Octets(accepted));
        self.answers("/fed/v1/tagkeys", Answer::Octets(br#"{"tagkeys":[]}"#.to_vec()));
        self.answers("/fed/v1/heads", Answer::Octets(br#"{"heads":[]}"#.to_vec()));
        self.answers("/fed/v1/nodes", Answer::Octets(br#"{"nodes":[],"cursor":null}"#.to_vec()));
        self.answers("/fed/v1/feed", Answer::Octets(vec![]));
    }

    pub fn descriptor(&self, api: &str, seq: u64) -> SignedDescriptor {
        let term =
            LogKeyTerm { key: LogKey::of(&self.log), not_before: now() - 400 * 86_400, not_after: now() + 86_400 };
        let described = Descriptor {
            node: self.key(),
            seq,
            name: self.name.clone(),
            api: api.to_owned(),
            contact: "postmaster@example.org".into(),
            log_keys: vec![term],
            revoked: vec![],
            peers: vec![],
            smtp: None,
            versions: vec![1],
            tag_schemes: vec![1],
            retention_days: 400,
            retired: false,
        };
        descriptor::sign(described, &self.node).unwrap()
    }

    pub fn key(&self) -> NodeKey {
        NodeKey::of(&self.node)
    }

    /// What a path is answered with from now on.
    pub fn answers(&self, path: &str, answer: Answer) {
        self.answers.lock().unwrap().insert(path.to_owned(), answer);
    }

    /// How often a path was asked for.
    pub fn asked(&self, path: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| *asked == path).count()
    }

    /// Both administrators agree.
    pub fn befriends(&self, node: &Node) {
        node.ask(&["peer", "invite", &format!("http://{}/fed/v1", self.address)]);
        wait_until("the peering stands", Duration::from_secs(20), || self.seen_by(node)["state"] == "accepted");
    }

    /// What `peer list` of a node says of it.
    pub fn seen_by(&self, node: &Node) -> serde_json::Value {
        let list = node.ask(&["peer", "list"]);
        let found = list["peers"].as_array().unwrap().iter().find(|peer| peer["name"] == self.name.as_str());
        found.unwrap_or_else(|| panic!("{list}")).clone()
    }

    /// A segment of dead addresses after another one.
    pub fn segment(&self, after: Option<&Segment>, tags: &[Tag]) -> Segment {
        let records: Vec<Record> =
            tags.iter().map(|tag| Record::about(Class::HARD, Source(1), *tag, now() - 7200)).collect();
        segment::seal(&self.sealing(after), &self.log, &records).unwrap()
    }

    /// Where the next segment belongs.
    pub fn sealing(&self, after: Option<&Segment>) -> Sealing {
        let before = after.map(|segment| segment.header.header());
        Sealing {
            origin: self.key(),
            position: before.map_or(Position { epoch: 0, segno: 0 }, |header| {
                let Position { epoch, segno } = header.position();
                Position { epoch, segno: segno + 1 }
            }),
            first_sequence: before.map_or(1, Header::next_sequence),
            prev: before.map_or([0; 32], Header::hash),
            key_id: KeyId([9; 8]),
            sealed_at: now() - 60,
        }
    }

    /// Serves these headers in the feed and these octets in the log.
    pub fn publishes(&self, segments: &[&Segment]) {
        let headers: Vec<Header> = segments.iter().map(|segment| *segment.header.header()).collect();
        self.offers(&headers);
        for segment in segments {
            self.answers(&self.log_path(segment.header.header()), Answer::Octets(segment.encode()));
        }
    }

    /// Headers in the feed; what is behind them is another matter.
    pub fn offers(&self, headers: &[Header]) {
        let entries = (1..).zip(headers).map(|(number, header)| FeedEntry { number, header: *header });
        let all: Vec<FeedEntry> = entries.collect();
        let octets = all.chunks(feed::FEED_ENTRIES_MAX).flat_map(feed::encode).collect();
        self.answers("/fed/v1/feed", Answer::Octets(octets));
    }

    pub fn log_path(&self, header: &Header) -> String {
        let Position { epoch, segno } = header.position();
        format!("/fed/v1/log/{}/{epoch}/{segno}", self.key())
    }

    pub fn bulk_path(&self) -> String {
        format!("/fed/v1/log/{}", self.key())
    }
}

/// Unix seconds.
pub fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

/// A tag of nobody.
pub fn tag(n: u64) -> Tag {
    let mut octets = [0x5a; 16];
    octets[..8].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    Tag(octets)
}

fn serve(mut stream: TcpStream, answers: &Answers, asked: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut line, mut length) = (String::new(), 0);
    reader.read_line(&mut line)?;
    let target = line.split(' ').nth(1).unwrap_or_default().to_owned();
    loop {
        line.clear();
        if reader.read_line(&mut line)? <= 2 {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    reader.take(length).read_to_end(&mut Vec::new())?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    asked.lock().unwrap().push(path.to_owned());
    let answer = answers.lock().unwrap().get(path).cloned();
    let param = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    let told: usize = param("after").and_then(|cursor| cursor.rsplit_once(':')?.1.parse().ok()).unwrap_or(0);
    let limit: usize = param("limit").and_then(|limit| limit.parse().ok()).unwrap_or(1000);
    let plain = |cursor: usize, body: &[u8]| {
        let head = format!(
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\nSM2TP-Cursor: {FEED}:{cursor}\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), body].concat()
    };
    match answer {
        Some(Answer::Octets(octets)) if path.ends_with("/feed") => {
            // The rest of a feed is empty, as of a node that has told all.
            let (from, all) = (told.min(octets.len() / ENTRY), octets.len() / ENTRY);
            let until = all.min(from + limit);
            stream.write_all(&plain(until.max(told), &octets[from * ENTRY..until * ENTRY]))
        }
        Some(Answer::Octets(octets)) => stream.write_all(&plain(told, &octets)),
        Some(Answer::Raw(head, body)) => stream.write_all(&[head.as_bytes(), &body].concat()),
        Some(Answer::Treadmill(headers)) => {
            let entries = (told as u64 + 1..).zip(headers).map(|(number, header)| FeedEntry { number, header });
            let entries: Vec<FeedEntry> = entries.collect();
            stream.write_all(&plain(told + entries.len(), &feed::encode(&entries)))
        }
        Some(Answer::Endless(head)) => {
            stream.write_all(head.as_bytes())?;
            // Until the node hangs up.
            loop {
                stream.write_all(&[b' '; 16_384])?;
            }
        }
        Some(Answer::Drops(octets)) => {
            let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", octets.len());
            for octet in [head.as_bytes(), &octets].concat() {
                stream.write_all(&[octet])?;
                thread::park_timeout(Duration::from_millis(100));
            }
            Ok(())
        }
        Some(Answer::Away) => Ok(()),
        None => stream.write_all(b"HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
    }
}

const FEED: &str = "6f2b1c9e-0d5a-4c3b-8e7f-112233445566";
const ENTRY: usize = 248;
