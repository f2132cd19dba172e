//! The logs of all origins: sealed and verified once, with the code of a node, and handed around by number.

use std::io::Write as _;

use ed25519_dalek::SigningKey;
use flate2::Compression;
use flate2::write::GzEncoder;
use sm2tp_federation::chain::Head;
use sm2tp_federation::descriptor::{self, Descriptor, LogKeyTerm, SignedDescriptor};
use sm2tp_federation::header::{Position, Sealing, SignedHeader};
use sm2tp_federation::keys::{LogKey, NodeKey};
use sm2tp_federation::record::Record;
use sm2tp_federation::segment::{self, Opened};
use sm2tp_federation::tags::KeyId;

/// A segment that was verified.
pub(super) struct Sealed {
    pub header: SignedHeader,
    pub origin: usize,
    /// Its place in the log of its origin, from 0.
    pub place: u32,
    /// What a reader knows of the log when this is the last that it has.
    pub head: Head,
    /// Octets of the body as it travels, packed, behind a header that the feed told.
    pub octets: u64,
    /// Sequence numbers and records, as a reader found them.
    pub events: Vec<(u64, Record)>,
    /// When its first event could leave.
    pub since: u64,
    /// Nodes that have it, and when the last of them got it.
    pub holders: u32,
    pub last_at: u64,
}

/// An origin.
pub(super) struct Origin {
    pub key: NodeKey,
    log_key: SigningKey,
    descriptor: Descriptor,
    /// Its segments by their numbers in [`Logs::sealed`].
    pub log: Vec<u32>,
    head: Option<Head>,
}

/// All of them.
#[derive(Default)]
pub(super) struct Logs {
    pub origins: Vec<Origin>,
    pub sealed: Vec<Sealed>,
}

impl Logs {
    /// A new origin with keys of its own; answers with its number.
    pub(super) fn join(&mut self, name: &str, now: u64) -> usize {
        let number = self.origins.len();
        let secret = |purpose: u8| {
            let mut bytes = [purpose; 32];
            bytes[..8].copy_from_slice(&(number as u64).to_be_bytes());
            SigningKey::from_bytes(&bytes)
        };
        let (node_key, log_key) = (secret(1), secret(2));
        let described = Descriptor {
            node: NodeKey::of(&node_key),
            seq: 1,
            name: name.to_owned(),
            api: format!("https://{name}.example/fed/v1"),
            contact: String::new(),
            log_keys: vec![LogKeyTerm { key: LogKey::of(&log_key), not_before: 0, not_after: now + TERM_S }],
            revoked: Vec::new(),
            peers: Vec::new(),
            smtp: None,
            versions: vec![1],
            tag_schemes: vec![1],
            retention_days: 400,
            retired: false,
        };
        let signed: SignedDescriptor =
            descriptor::sign(described, &node_key).expect("a short descriptor with its own key");
        let read = descriptor::parse(signed.text()).expect("a descriptor that was signed above");
        let descriptor = read.descriptor().clone();
        let origin = Origin { key: descriptor.node, log_key, descriptor, log: Vec::new(), head: None };
        self.origins.push(origin);
        number
    }

    /// Seals records, verifies them as a reader does, and answers with the number of the segment.
    pub(super) fn seal(&mut self, origin: usize, records: &[Record], now: u64) -> u32 {
        let by = &mut self.origins[origin];
        let sealing = Sealing {
            origin: by.key,
            position: Position { epoch: 0, segno: by.log.len() as u32 },
            first_sequence: by.head.map_or(0, |head| head.next_sequence),
            prev: by.head.map_or([0; 32], |head| head.hash),
            key_id: KEY_ID,
            sealed_at: now,
        };
        let sealed = segment::seal(&sealing, &by.log_key, records).expect("1 to 4096 records of the past");
        let header = sealed.header.header().verify(&by.descriptor).expect("a header that its own key signed");
        let opened = segment::open(&header, &sealed.body).expect("the body that was sealed");
        let Opened::Readable(verified) = opened else { unreachable!("it is of version 1") };
        let events = verified.events().map(|(sequence, record)| (sequence, *record)).collect();
        let number = u32::try_from(self.sealed.len()).unwrap_or(u32::MAX);
        let head = Head::of(header.header());
        by.head = Some(head);
        by.log.push(number);
        let octets = packed(&sealed.body);
        let place = sealing.position.segno;
        self.sealed.push(Sealed { header, origin, place, head, octets, events, since: now, holders: 1, last_at: now });
        number
    }
}

/// As a node packs what it serves.
fn packed(octets: &[u8]) -> u64 {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    let packed = gzip.write_all(octets).and_then(|()| gzip.finish());
    packed.map_or(octets.len(), |packed| packed.len()) as u64
}

/// Longer than any run.
const TERM_S: u64 = 10 * 366 * 86_400;
const KEY_ID: KeyId = KeyId([7; 8]);
