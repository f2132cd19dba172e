//! `sm2tp bench federation`: how fast segments of others are verified and taken, what the tag index costs, and how long a
//! look-up in it takes.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use ed25519_dalek::SigningKey;
use serde::Serialize;
use sm2tp_federation::belief::BeliefLimits;
use sm2tp_federation::descriptor::{self, Descriptor, LogKeyTerm};
use sm2tp_federation::header::{COUNT_MAX, Position, Sealing};
use sm2tp_federation::keys::{LogKey, NodeKey};
use sm2tp_federation::record::{Class, Record, Source};
use sm2tp_federation::segment;
use sm2tp_federation::tags::{Tag, TagKey};
use sm2tp_proto::Address;
use sm2tp_rules::Evidence;
use sm2tp_store::federated::{Federated, Peer, PeerState, Size};
use sm2tp_store::ledger::{self, Ledger};

use super::node::{Usage, own_cpu_s};
use super::{Times, trouble};
use crate::Failure;
use crate::simulate::Dice;

/// What is measured.
#[derive(Debug, Clone, clap::Args)]
pub struct FederationArgs {
    /// Events in all, each about a tag of its own, in full segments.
    #[arg(long, default_value_t = 10_000_000)]
    events: u64,
    /// Nodes that tell them in turn.
    #[arg(long, default_value_t = 20)]
    origins: u64,
    /// Look-ups of each kind.
    #[arg(long, default_value_t = 200_000)]
    looks: u64,
    /// Addresses that this node delivered to, all of which are compared with what is said of them; half are called dead.
    #[arg(long, value_name = "COUNT", default_value_t = 1_000_000)]
    own: u64,
    /// Where segments and index are made: the disk that is measured.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Remove segments as soon as the index has them: only the index is on the disk then, and it cannot be made again.
    #[arg(long)]
    drop_segments: bool,
}

/// One measurement. Look-ups in microseconds.
#[derive(Debug, Serialize)]
struct Figures {
    events: u64,
    origins: u64,
    /// Signature, root and hours of full segments, in a second of CPU.
    verified_per_cpu_s: f64,
    /// Verified, compared with what the node knows, on the disk, in the ledger and in the index.
    taken_s: f64,
    taken_per_s: f64,
    /// With the threads that write and merge the index.
    taken_cpu_s: f64,
    taken_per_cpu_s: f64,
    /// After the last segment, until no run is written or merged.
    settled_s: f64,
    segment_octets: u64,
    index_octets: u64,
    index_octets_per_event: f64,
    filter_octets: usize,
    runs: usize,
    /// Of the whole process, with the segments that are made for the measurement (35 MB).
    memory_peak_kib: u64,
    reopened_s: f64,
    /// Comparing all own addresses with the index, as a node does again and again beside its work.
    own: u64,
    judged_s: f64,
    known: Times,
    unknown: Times,
    /// An address and its domain under three keys each: six tags are made and looked up.
    three_keys: Times,
    /// Of that, making the tags.
    three_keys_tags_mean_us: f64,
}

/// A node that tells events.
struct Origin {
    log: SigningKey,
    node: NodeKey,
    next: u32,
    sequence: u64,
    prev: [u8; 32],
}

/// Measures once and prints the figures.
pub async fn federation(args: FederationArgs, as_json: bool) -> Result<ExitCode, Failure> {
    let name = format!("sm2tp-bench-federation-{}", std::process::id());
    let dir = args.dir.clone().unwrap_or_else(std::env::temp_dir).join(name);
    std::fs::create_dir_all(&dir).map_err(|error| trouble("the directory", &error))?;
    let measured = measure(&args, &dir).await;
    // What was measured is of no use to anybody.
    let _ = std::fs::remove_dir_all(&dir);
    let figures = measured?;
    crate::tell(&figures, &words(&figures), as_json)
}

async fn measure(args: &FederationArgs, dir: &Path) -> Result<Figures, Failure> {
    let (_, store) = open(dir).await?;
    let mut origins = Vec::new();
    for number in 0..args.origins.max(1) {
        origins.push(origin(&store, number).await?);
    }
    let verified_per_cpu_s = verify(&store, &mut origins[0]).await?;
    let (mut told, mut taken_s, mut segment_octets, cpu, mut made_cpu_s) = (0, 0.0, 0, own_cpu_s(), 0.0);
    while told < args.events {
        // The index is written and merged meanwhile: of this thread alone the time is not counted.
        let of_thread = thread_cpu_s();
        let batch = batch(args.events, &mut told, &mut origins)?;
        made_cpu_s += thread_cpu_s() - of_thread;
        segment_octets += batch.len() as u64;
        let began = Instant::now();
        take(&store, &batch).await?;
        taken_s += began.elapsed().as_secs_f64();
        if args.drop_segments {
            drop_segments(&dir.join("segments"))?;
        }
    }
    let began = Instant::now();
    while store.is_index_busy() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (settled_s, cpu_s) = (began.elapsed().as_secs_f64(), own_cpu_s() - cpu - made_cpu_s);
    drop(store);
    let began = Instant::now();
    let (ledger, store) = open(dir).await?;
    let reopened_s = began.elapsed().as_secs_f64();
    let Size { events, runs, filter_octets, disk_octets, .. } = store.look(|index| index.size());
    let (three_keys, three_keys_tags_mean_us) = three_keys(&store, args);
    let judged_s = judge(&ledger, &store, args).await?;
    Ok(Figures {
        events: args.events,
        origins: args.origins,
        verified_per_cpu_s,
        taken_s,
        taken_per_s: args.events as f64 / taken_s.max(f64::EPSILON),
        taken_cpu_s: cpu_s,
        taken_per_cpu_s: args.events as f64 / cpu_s.max(f64::EPSILON),
        settled_s,
        segment_octets,
        index_octets: disk_octets,
        index_octets_per_event: disk_octets as f64 / events.max(1) as f64,
        filter_octets,
        runs,
        memory_peak_kib: Usage::of(std::process::id()).memory_peak_kib,
        reopened_s,
        own: args.own,
        judged_s,
        known: looks(&store, args, |n| tag_of(spread(n, args.events))),
        unknown: looks(&store, args, |n| tag_of(args.events + n)),
        three_keys,
        three_keys_tags_mean_us,
    })
}

async fn open(dir: &Path) -> Result<(Ledger, Federated), Failure> {
    let ledger = Ledger::open(&ledger::path(dir)).map_err(|error| trouble("the ledger", &error))?;
    let opened =
        Federated::open(ledger.clone(), &dir.join("segments"), NodeKey([0; 32]), BeliefLimits::default()).await;
    Ok((ledger, opened.map_err(|error| trouble("the segments", &error))?))
}

/// Compares all own addresses; answers with the seconds that took.
async fn judge(ledger: &Ledger, store: &Federated, args: &FederationArgs) -> Result<f64, Failure> {
    let evidence = Evidence { delivered_at: NOW - 86_400, ..Evidence::default() };
    let tag = |n: u64| if n.is_multiple_of(2) { tag_of(spread(n, args.events)) } else { tag_of(args.events + n) };
    for first in (0..args.own).step_by(OWN_AT_ONCE) {
        let some: Vec<_> = (first..args.own.min(first + OWN_AT_ONCE as u64)).map(|n| (tag(n), evidence)).collect();
        ledger.views().restore(&some);
    }
    let began = Instant::now();
    store.judge(NOW).await.map_err(|error| trouble("comparing", &error))?;
    Ok(began.elapsed().as_secs_f64())
}

/// A peer of full weight.
async fn origin(store: &Federated, number: u64) -> Result<Origin, Failure> {
    let key = |of: u8| {
        let mut seed = [of; 32];
        seed[..8].copy_from_slice(&number.to_be_bytes());
        SigningKey::from_bytes(&seed)
    };
    let (node_key, log) = (key(1), key(2));
    let node = NodeKey::of(&node_key);
    let (name, url) = (format!("node {number}"), format!("https://node{number}.example/fed/v1"));
    let described = Descriptor {
        node,
        seq: 1,
        name: name.clone(),
        api: url.clone(),
        contact: String::new(),
        log_keys: vec![LogKeyTerm { key: LogKey::of(&log), not_before: 0, not_after: NOW * 2 }],
        revoked: Vec::new(),
        peers: Vec::new(),
        smtp: None,
        versions: vec![1],
        tag_schemes: vec![1],
        retention_days: 400,
        retired: false,
    };
    let signed = descriptor::sign(described, &node_key).map_err(|error| trouble("a descriptor", &error))?;
    let peer = Peer { read: true, weight: 1.0, ..Peer::new(node, url, name, PeerState::Accepted, NOW) };
    let kept = async {
        store.take_descriptor(signed, None, NOW).await?;
        store.put_peer(peer).await
    };
    kept.await.map_err(|error| trouble("a peer", &error))?;
    Ok(Origin { log, node, next: 0, sequence: 1, prev: [0; 32] })
}

impl Origin {
    /// Its next segment, about the tags from `first` to before `end`.
    fn seal(&mut self, first: u64, end: u64) -> Result<Vec<u8>, Failure> {
        let records: Vec<Record> =
            (first..end).map(|n| Record::about(Class::HARD, Source(1), tag_of(n), NOW - 90_000)).collect();
        let sealing = Sealing {
            origin: self.node,
            position: Position { epoch: 0, segno: self.next },
            first_sequence: self.sequence,
            prev: self.prev,
            key_id: TagKey::new([1; 32]).key_id(),
            sealed_at: NOW,
        };
        let sealed = segment::seal(&sealing, &self.log, &records).map_err(|error| trouble("a segment", &error))?;
        let header = sealed.header.header();
        (self.next, self.sequence, self.prev) = (self.next + 1, header.next_sequence(), header.hash());
        Ok(sealed.encode())
    }
}

/// Segments as a bulk answer brings them, one after the other.
fn batch(events: u64, told: &mut u64, origins: &mut [Origin]) -> Result<Vec<u8>, Failure> {
    let mut octets = Vec::new();
    for _ in 0..BATCH {
        let end = events.min(*told + u64::from(COUNT_MAX));
        if end <= *told {
            break;
        }
        let turn = (*told / u64::from(COUNT_MAX)) as usize % origins.len();
        octets.extend(origins[turn].seal(*told, end)?);
        *told = end;
    }
    Ok(octets)
}

/// As `follow` does with a bulk answer.
async fn take(store: &Federated, mut octets: &[u8]) -> Result<(), Failure> {
    let wrong = |error: &dyn std::fmt::Display| trouble("a segment", error);
    while let Some(part) = segment::next_part(octets).map_err(|error| wrong(&error))? {
        octets = part.rest;
        let origin = store.descriptor(part.header.origin()).await.map_err(|error| wrong(&error))?;
        let origin = origin.ok_or_else(|| wrong(&"its origin is not known"))?;
        let signed = part.header.verify(origin.descriptor()).map_err(|error| wrong(&error))?;
        store.keep(&signed, part.body, None, NOW).await.map_err(|error| wrong(&error))?;
    }
    Ok(())
}

/// Events of full segments that are verified in a second of CPU, and kept nowhere.
async fn verify(store: &Federated, origin: &mut Origin) -> Result<f64, Failure> {
    let known = store.descriptor(origin.node).await.map_err(|error| trouble("a descriptor", &error))?;
    let known = known.ok_or_else(|| trouble("a descriptor", &"none"))?;
    let count = u64::from(COUNT_MAX);
    let mut other = Origin { log: origin.log.clone(), node: origin.node, next: 0, sequence: 1, prev: [0; 32] };
    let segments = (0..BATCH).map(|n| other.seal(n * count, (n + 1) * count)).collect::<Result<Vec<_>, _>>()?;
    let cpu = own_cpu_s();
    for octets in &segments {
        let part = segment::next_part(octets).ok().flatten().ok_or_else(|| trouble("a segment", &"it is cut"))?;
        let opened = segment::verify(&part.header, known.descriptor(), part.body);
        black_box(opened.map_err(|error| trouble("a segment", &error))?);
    }
    Ok((BATCH * count) as f64 / (own_cpu_s() - cpu).max(f64::EPSILON))
}

/// All but the index.
fn drop_segments(dir: &Path) -> Result<(), Failure> {
    let wrong = |error: std::io::Error| trouble("segments", &error);
    for folder in std::fs::read_dir(dir).map_err(wrong)? {
        let folder = folder.map_err(wrong)?.path();
        if !folder.ends_with("index") {
            std::fs::remove_dir_all(&folder).map_err(wrong)?;
        }
    }
    Ok(())
}

/// What this thread ran (proc(5), `schedstat`).
fn thread_cpu_s() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or_default() / 1e9
}

/// What is believed of tags, one by one, as a door asks.
fn looks(store: &Federated, args: &FederationArgs, tag: impl Fn(u64) -> Tag) -> Times {
    let limits = store.belief();
    Times::of((0..args.looks).map(|n| {
        let tag = tag(n);
        let began = Instant::now();
        black_box(store.look(|index| index.believed(&tag, NOW, limits)));
        began.elapsed()
    }))
}

/// As for a recipient while three keys live. Of half the addresses the tag under the oldest key is known.
fn three_keys(store: &Federated, args: &FederationArgs) -> (Times, f64) {
    let keys = [TagKey::new([3; 32]), TagKey::new([2; 32]), TagKey::new([1; 32])];
    let (limits, addressed) = (store.belief(), args.events.clamp(1, ADDRESSED));
    let mut tagged = Duration::ZERO;
    let looks = Times::of((0..args.looks).map(|n| {
        let address = address(spread(n, addressed) + n % 2 * ADDRESSED);
        let began = Instant::now();
        let of_address = keys.iter().filter_map(|key| key.tag_address(&address).ok());
        let tags: Vec<Tag> =
            of_address.chain(keys.iter().filter_map(|key| key.tag_domain(address.domain()).ok())).collect();
        tagged += began.elapsed();
        black_box(
            store.look(|index| tags.iter().map(|tag| index.believed(tag, NOW, limits).score).fold(0.0, f64::max)),
        );
        began.elapsed()
    }));
    (looks, tagged.as_secs_f64() * 1e6 / args.looks.max(1) as f64)
}

/// The tag of event `n`: of the first million that of an address, of the others octets that look like one.
fn tag_of(n: u64) -> Tag {
    let made = (n < ADDRESSED).then(|| TagKey::new([1; 32]).tag_address(&address(n)).ok()).flatten();
    made.unwrap_or_else(|| {
        let halves = (u128::from(Dice::at(n)) << 64) | u128::from(Dice::at(n ^ (1 << 63)));
        Tag(halves.to_be_bytes())
    })
}

fn address(n: u64) -> Address {
    Address::parse(&format!("user{n}@d{}.example", n % 50_000)).expect("letters and digits are an address")
}

/// In no order.
fn spread(n: u64, below: u64) -> u64 {
    Dice::at(n) % below.max(1)
}

fn words(figures: &Figures) -> String {
    let look = |what: &str, looks: &Times| {
        format!(
            "{what}: {:.2} us on average, {:.2} us median, {:.2} us in 99 of 100\n",
            looks.mean, looks.median, looks.p99
        )
    };
    format!(
        "verified: {:.0} events in a second of CPU\n\
         taken: {} events of {} nodes in {:.1} s, {:.0} a second, {:.0} in a second of CPU with the index; then {:.1} s until \
         the index was at rest\n\
         segments {} MB, index {} MB ({:.1} octets for an event) in {} runs, its filter {} MB of memory; the process had {} MB \
         at most; opened again in {:.2} s\n{}{}{}of that, making six tags {:.2} us\n{} own addresses compared \
         in {:.2} s",
        figures.verified_per_cpu_s,
        figures.events,
        figures.origins,
        figures.taken_s,
        figures.taken_per_s,
        figures.taken_per_cpu_s,
        figures.settled_s,
        figures.segment_octets / 1_000_000,
        figures.index_octets / 1_000_000,
        figures.index_octets_per_event,
        figures.runs,
        figures.filter_octets / 1_000_000,
        figures.memory_peak_kib / 1000,
        figures.reopened_s,
        look("a tag that is known", &figures.known),
        look("a tag that nobody told", &figures.unknown),
        look("an address and its domain under three keys", &figures.three_keys),
        figures.three_keys_tags_mean_us,
        figures.own,
        figures.judged_s
    )
}

const NOW: u64 = 1_800_000_000;
/// Segments that are made before they are taken, so that sealing is not measured: a million events.
const BATCH: u64 = 256;
const OWN_AT_ONCE: usize = 100_000;
/// Events about tags of addresses.
const ADDRESSED: u64 = 1_000_000;
