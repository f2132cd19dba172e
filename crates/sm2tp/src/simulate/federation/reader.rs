//! What a node has of all logs, and how it pulls: feeds with cursors, the chain, and quotas before bodies.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use sm2tp_federation::chain::{self, Known, Step};
use sm2tp_federation::feed::{MARKS_MAX, heads_days};
use sm2tp_federation::header::HEADER_OCTETS;
use sm2tp_federation::quota::{self, Quota, QuotaLimits, Usage};
use sm2tp_store::federated::History;

use super::fields::Fields;
use super::log::Logs;

/// One node's copy.
pub(super) struct Reader {
    pub links: Vec<Link>,
    /// How many segments of each origin it has, from the first on.
    taken: Vec<u16>,
    /// Segments in the order in which they came, after the ones that every peer has read, each with the node that brought it.
    feed: VecDeque<(u32, Option<usize>)>,
    feed_from: u64,
    /// Segments that a peer was seen to hold since it asked last: it need not be told of them.
    held_by: HashMap<usize, HashSet<u32>>,
    /// Segments that a peer said it has, the newest question first.
    said_by: HashMap<usize, VecDeque<HashSet<u32>>>,
    /// What is kept of each origin, for its quota; not kept by nodes that only relay.
    histories: Option<BTreeMap<usize, History>>,
    /// Origins over their quota, until when (unix seconds).
    parked: BTreeMap<usize, u64>,
    pub traffic: Traffic,
    fields: Fields,
}

/// The way to one peer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    pub peer: usize,
    cursor: u64,
    /// What the peer had read of this node's feed when it asked last but one: it has confirmed that by asking on.
    confirmed: u64,
    /// Up to where in this node's feed the peer was told what it has.
    told: Option<u64>,
    /// When the connection to it was made (unix seconds).
    opened_at: u64,
}

/// Octets of headers and segments, and of the HTTP around them; and what was not taken.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Traffic {
    pub received: u64,
    /// Of these: entries of feeds about segments that were known already, and lines of heads.
    pub known: u64,
    pub heads: u64,
    pub sent: u64,
    pub http: u64,
    /// Of TLS, and of the web servers that end it.
    pub tls: u64,
    pub parked_events: u64,
}

impl Reader {
    /// `judges`: whether it keeps what quotas need.
    pub(super) fn new(peers: &[usize], judges: Judges) -> Self {
        let links =
            peers.iter().map(|peer| Link { peer: *peer, cursor: 0, confirmed: 0, told: None, opened_at: 0 }).collect();
        let histories = (judges == Judges::Yes).then(BTreeMap::new);
        Self {
            links,
            taken: Vec::new(),
            feed: VecDeque::new(),
            feed_from: 0,
            held_by: HashMap::new(),
            said_by: HashMap::new(),
            histories,
            parked: BTreeMap::new(),
            traffic: Traffic::default(),
            fields: Fields::new(),
        }
    }

    fn taken(&self, origin: usize) -> u32 {
        self.taken.get(origin).map_or(0, |taken| u32::from(*taken))
    }

    /// Keeps a segment of its own.
    pub(super) fn keep_own(&mut self, logs: &Logs, segment: u32) {
        self.add(logs, segment, None);
    }

    fn add(&mut self, logs: &Logs, segment: u32, by: Option<usize>) {
        let sealed = &logs.sealed[segment as usize];
        if self.taken.len() <= sealed.origin {
            self.taken.resize(logs.origins.len(), 0);
        }
        self.taken[sealed.origin] += 1;
        self.feed.push_back((segment, by));
    }

    /// Keeps a segment that another one brought, which counts for its quota.
    fn keep(&mut self, logs: &Logs, segment: u32, by: usize) {
        self.add(logs, segment, Some(by));
        let sealed = &logs.sealed[segment as usize];
        if let Some(histories) = &mut self.histories {
            histories.entry(sealed.origin).or_default().add(sealed.header.header());
        }
    }

    /// Compares the heads of all logs with those of each peer: daily, where there are many on one day of the week each.
    pub(super) fn compare_heads(&mut self, origins: usize, day: u64) {
        let days = heads_days(origins);
        let due = (0..self.links.len() as u64).filter(|link| (link + day).is_multiple_of(days)).count();
        let octets = (due * origins) as u64 * HEAD_OCTETS;
        (self.traffic.received, self.traffic.sent) = (self.traffic.received + octets, self.traffic.sent + octets);
        self.traffic.heads += octets;
    }

    /// Forgets the part of the feed before the position that all its readers have passed.
    pub(super) fn prune(&mut self, passed: u64) {
        while self.feed_from < passed && self.feed.pop_front().is_some() {
            self.feed_from += 1;
        }
    }

    pub(super) fn cursor_of(&self, peer: usize) -> u64 {
        self.links.iter().find(|link| link.peer == peer).map_or(u64::MAX, |link| link.cursor)
    }

    fn newest(&self) -> u64 {
        self.feed_from + self.feed.len() as u64
    }

    /// What a peer, which has confirmed a part of our feed, need not tell: as `Federated::marks_for`.
    fn marks_for(&mut self, link: usize) -> HashSet<u32> {
        let newest = self.newest();
        let Link { peer, confirmed, told, .. } = self.links[link];
        self.links[link].told = Some(newest);
        let Some(told) = told else { return HashSet::new() };
        let from = usize::try_from(told.max(confirmed).saturating_sub(self.feed_from)).unwrap_or(usize::MAX);
        let named = self.held_by.get(&peer);
        let fresh = self.feed.iter().skip(from).filter(|(segment, by)| {
            by.is_some_and(|by| by != peer) && !named.is_some_and(|named| named.contains(segment))
        });
        fresh.map(|(segment, _)| *segment).take(MARKS_MAX).collect()
    }

    /// What the asker has, as it says: kept of its last questions, because a segment may come here later.
    fn note_said(&mut self, asker: usize, marks: HashSet<u32>) {
        if !marks.is_empty() {
            let said = self.said_by.entry(asker).or_default();
            said.truncate(QUESTIONS_KEPT - 1);
            said.push_front(marks);
        }
    }

    /// Whether this origin may tell so much more today.
    fn quota(&self, logs: &Logs, segment: u32, limits: &QuotaLimits) -> Quota {
        let Some(histories) = &self.histories else { return Quota::Take };
        let sealed = &logs.sealed[segment as usize];
        let day = now_day(sealed.header.header().sealed_at());
        let none = History::default();
        let history = histories.get(&sealed.origin).unwrap_or(&none);
        let usage = Usage {
            events_day: history.days.get(&day).copied().unwrap_or(0),
            events_day_median: history.median(day),
            origin_octets: history.octets,
            introducer_octets: 0,
        };
        quota::quota(&usage, count(logs, segment), sealed.octets, limits)
    }
}

/// Whether a node keeps what rules need, or only hands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judges {
    Yes,
    No,
}

/// `reader` asks one of its peers; answers with the segments that it took, in order.
pub(super) fn pull(
    readers: &mut [Reader],
    logs: &mut Logs,
    (reader, link): (usize, usize),
    limits: &QuotaLimits,
    now: u64,
) -> Vec<u32> {
    let Link { peer, cursor, .. } = readers[reader].links[link];
    let marks = readers[reader].marks_for(link);
    let marks_said = marks.len();
    readers[peer].note_said(reader, marks);
    let from = usize::try_from(cursor.saturating_sub(readers[peer].feed_from)).unwrap_or(usize::MAX);
    // Nobody is told what he brought, or was seen to hold.
    let held = readers[peer].held_by.remove(&reader).unwrap_or_default();
    let said = readers[peer].said_by.get(&reader);
    let is_said = |segment: &u32| said.is_some_and(|said| said.iter().any(|marks| marks.contains(segment)));
    let is_new =
        |(segment, by): &&(u32, Option<usize>)| *by != Some(reader) && !held.contains(segment) && !is_said(segment);
    let entries: Vec<u32> = readers[peer].feed.iter().skip(from).filter(is_new).map(|(segment, _)| *segment).collect();
    let mut octets = entries.len() as u64 * ENTRY_OCTETS;
    let Reader { links, fields, traffic, .. } = &mut readers[reader];
    traffic.http += fields.poll(marks_said, octets);
    traffic.tls += fields.opening(&mut links[link].opened_at, now) + fields.around(QUESTIONS_A_POLL);
    let mut took = Vec::new();
    for segment in entries {
        let (origin, place) = (logs.sealed[segment as usize].origin, logs.sealed[segment as usize].place);
        if place < readers[reader].taken(origin) {
            readers[reader].held_by.entry(peer).or_default().insert(segment);
            readers[reader].traffic.known += ENTRY_OCTETS;
        }
        // The number of segments that it has says whether it has this one: their bytes are the same here.
        for next in readers[reader].taken(origin)..=place {
            let segment = logs.origins[origin].log[next as usize];
            if !takes(&mut readers[reader], logs, segment, limits, now) {
                break;
            }
            let packed = logs.sealed[segment as usize].octets;
            octets += packed;
            let Reader { fields, traffic, .. } = &mut readers[reader];
            traffic.http += fields.fetch(next, packed);
            traffic.tls += fields.around(1);
            readers[reader].keep(logs, segment, peer);
            let sealed = &mut logs.sealed[segment as usize];
            (sealed.holders, sealed.last_at) = (sealed.holders + 1, now);
            took.push(segment);
        }
    }
    let newest = readers[peer].newest();
    readers[reader].links[link].cursor = newest;
    if let Some(back) = readers[peer].links.iter_mut().find(|back| back.peer == reader) {
        back.confirmed = cursor;
    }
    readers[reader].traffic.received += octets;
    readers[peer].traffic.sent += octets;
    took
}

fn takes(reader: &mut Reader, logs: &Logs, segment: u32, limits: &QuotaLimits, now: u64) -> bool {
    let sealed = &logs.sealed[segment as usize];
    if reader.parked.get(&sealed.origin).is_some_and(|until| now < *until) {
        return false;
    }
    let before = reader.taken(sealed.origin).checked_sub(1);
    let before = before.and_then(|place| logs.origins[sealed.origin].log.get(place as usize));
    let head = before.map(|segment| logs.sealed[*segment as usize].head);
    let step = chain::step(&sealed.header, &Known { head, ..Known::default() }, now);
    if step != Step::Next {
        return false;
    }
    match reader.quota(logs, segment, limits) {
        Quota::Take => true,
        Quota::Park(_) => {
            reader.traffic.parked_events += u64::from(count(logs, segment));
            // The follower looks again after a day; here it is an hour.
            reader.parked.insert(sealed.origin, now + PARKED_S);
            false
        }
    }
}

fn count(logs: &Logs, segment: u32) -> u32 {
    logs.sealed[segment as usize].header.header().count()
}

fn now_day(at: u64) -> u64 {
    at / 86_400
}

/// A header in a feed, with its number.
const ENTRY_OCTETS: u64 = HEADER_OCTETS as u64 + 8;
/// A line of `/heads`, packed: mostly the key and the hash.
const HEAD_OCTETS: u64 = 90;
const PARKED_S: u64 = 3600;
/// For the descriptor, and for the feed.
const QUESTIONS_A_POLL: u64 = 2;
/// As a node keeps them.
const QUESTIONS_KEPT: usize = 3;
