//! `/metrics`: how the node is, in numbers that a program reads every few seconds. No address and no login is in them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sm2tp_rules::watch::Level;
use sm2tp_store::ledger::counted::Sums;
use tokio::sync::Mutex;

use super::exposition::{Exposition, Family, Kind};
use crate::{House, now};

/// The text that was made last, and when.
pub(super) type Said = (Instant, Arc<str>);

/// The metrics of this moment, or of a few seconds ago: whoever asks a hundred times in a second costs no more than one.
pub(super) async fn said(house: &House, said: &Mutex<Option<Said>>) -> Result<Arc<str>, String> {
    let mut said = said.lock().await;
    match &*said {
        Some((at, text)) if at.elapsed() < FRESH => Ok(text.clone()),
        _ => {
            let text: Arc<str> = gather(house).await?.into();
            *said = Some((Instant::now(), text.clone()));
            Ok(text)
        }
    }
}

async fn gather(house: &House) -> Result<String, String> {
    let mut out = Exposition::default();
    out.family(&INFO, [(vec![env!("CARGO_PKG_VERSION").to_owned()], 1)]);
    queue(&mut out, house).await?;
    happenings(&mut out, &house.ledger.counted().so_far());
    out.one(&KNOWN_ADDRESSES, house.ledger.views().len());
    let turned = house.turned_away.so_far();
    let reasons =
        [("door-full", turned.door_full), ("client-full", turned.client_full), ("client-fast", turned.client_fast)];
    out.family(&TURNED_AWAY, reasons.map(|(reason, count)| (vec![reason.to_owned()], count)));
    out.one(&DATABASE_AWAY, house.ledger.away_since().map_or(0, |since| now().saturating_sub(since).max(1)));
    out.one(&LEADS, u8::from(house.ledger.leads()));
    // What the database alone knows is left out while it is away.
    if house.ledger.away_since().is_none() {
        for_people(&mut out, house).await?;
        federation(&mut out, house).await?;
    }
    process(&mut out);
    Ok(out.finish())
}

async fn queue(out: &mut Exposition, house: &House) -> Result<(), String> {
    let depth = house.spool.depth().await.map_err(|error| error.to_string())?;
    let lanes = [("normal", depth.normal), ("slow", depth.slow), ("held", depth.held)];
    out.family(&QUEUE, lanes.map(|(lane, count)| (vec![lane.to_owned()], count)));
    out.one(&OLDEST, if depth.oldest_at == 0 { 0 } else { now().saturating_sub(depth.oldest_at) });
    out.one(&OUTBOX, depth.outbox);
    Ok(())
}

fn happenings(out: &mut Exposition, sums: &Sums) {
    let kinds = sums
        .kinds
        .iter()
        .map(|((kind, cause, stream), count)| (vec![kind.clone(), cause.clone(), stream.clone()], *count));
    out.family(&HAPPENINGS, kinds);
    let two = |(one, other): &(String, String)| vec![one.clone(), other.clone()];
    out.family(&PROVIDERS, sums.providers.iter().map(|(key, count)| (two(key), *count)));
    let orgs: std::collections::BTreeSet<_> = sums.orgs.keys().map(|(org, _)| org).collect();
    // All or none: a sum over some of them would say nothing.
    let shown = orgs.len() <= ORGS_MAX;
    out.family(&ORGS, sums.orgs.iter().filter(|_| shown).map(|(key, count)| (two(key), *count)));
    out.one(&LEFT_OUT, sums.left_out);
}

/// What a person should know or do.
async fn for_people(out: &mut Exposition, house: &House) -> Result<(), String> {
    let listed = house.senders.list(now());
    let levels = [("slow", Level::Slow), ("blocked", Level::Blocked)];
    let levels = levels
        .map(|(word, level)| (vec![word.to_owned()], listed.iter().filter(|sender| sender.level == level).count()));
    out.family(&SENDERS, levels);
    out.one(&BREAKERS, house.ledger.breakers().list(now()).len());
    let incidents = house.alerts.store.incidents().await.map_err(|error| error.to_string())?;
    let mut open = BTreeMap::<&str, u64>::new();
    for incident in incidents.values().filter(|incident| incident.is_open()) {
        *open.entry(incident.finding.kind()).or_default() += 1;
    }
    out.family(&ALERTS, open.into_iter().map(|(kind, count)| (vec![kind.to_owned()], count)));
    out.one(&RULES_BROKEN, u8::from(house.federation.publisher.classifier.trouble().is_some()));
    Ok(())
}

async fn federation(out: &mut Exposition, house: &House) -> Result<(), String> {
    let (store, publisher) = (&house.federation.store, &house.federation.publisher);
    let peers = store.peers().await.map_err(|error| error.to_string())?;
    let mut states = BTreeMap::<String, u64>::new();
    for peer in &peers {
        let word = serde_json::to_value(peer.state).ok().and_then(|word| word.as_str().map(str::to_owned));
        *states.entry(word.unwrap_or_default()).or_default() += 1;
    }
    out.family(&PEERS, states.into_iter().map(|(state, count)| (vec![state], count)));
    let lags = peers.iter().filter_map(|peer| Some((peer.node, peer.caught_up_at?))).take(PEERS_MAX);
    let lags = lags.map(|(node, at)| (vec![node.to_string().chars().take(16).collect()], now().saturating_sub(at)));
    out.family(&PEER_LAG, lags);
    let (published, received) = store.counts(publisher.own);
    let directions = [("published", published), ("received", received)];
    out.family(&FEDERATED, directions.map(|(direction, count)| (vec![direction.to_owned()], count)));
    out.one(&UNPUBLISHED, publisher.waiting().await.map_err(|error| error.to_string())?);
    Ok(())
}

/// Under the names that every exporter uses. What the machine does not tell is left out.
fn process(out: &mut Exposition) {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let status = read("/proc/self/status");
    let kib = status.as_deref().and_then(|text| text.lines().find_map(|line| line.strip_prefix("VmRSS:")));
    if let Some(kib) = kib.and_then(|kib| kib.trim().trim_end_matches(" kB").parse::<u64>().ok()) {
        out.one(&MEMORY, kib * 1024);
    }
    // After the name, which may hold anything: state is field 3, user and system time are 14 and 15, the start is 22.
    let stat = read("/proc/self/stat");
    let fields: Vec<&str> = stat
        .as_deref()
        .and_then(|text| text.rsplit_once(')'))
        .map_or_else(Vec::new, |(_, rest)| rest.split_whitespace().collect());
    let number = |field: usize| fields.get(field - 3).and_then(|text| text.parse::<f64>().ok());
    if let (Some(user), Some(system)) = (number(14), number(15)) {
        out.one(&CPU, (user + system) / TICKS);
    }
    let booted = read("/proc/stat")
        .and_then(|text| text.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse::<f64>().ok()));
    if let (Some(booted), Some(started)) = (booted, number(22)) {
        out.one(&STARTED, booted + started / TICKS);
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        out.one(&FILES, open.count());
    }
}

/// Every name there is, for its documentation.
pub const FAMILIES: &[Family] = &[
    INFO,
    QUEUE,
    OLDEST,
    OUTBOX,
    HAPPENINGS,
    PROVIDERS,
    ORGS,
    LEFT_OUT,
    KNOWN_ADDRESSES,
    TURNED_AWAY,
    SENDERS,
    BREAKERS,
    ALERTS,
    RULES_BROKEN,
    PEERS,
    PEER_LAG,
    FEDERATED,
    UNPUBLISHED,
    DATABASE_AWAY,
    LEADS,
    CPU,
    MEMORY,
    FILES,
    STARTED,
];

const fn gauge(name: &'static str, help: &'static str, labels: &'static [&'static str]) -> Family {
    Family { name, kind: Kind::Gauge, help, labels }
}

const fn counter(name: &'static str, help: &'static str, labels: &'static [&'static str]) -> Family {
    Family { name, kind: Kind::Counter, help, labels }
}

const INFO: Family = gauge("sm2tp_info", "Always 1, with the version of the program.", &["version"]);
const QUEUE: Family = gauge("sm2tp_queue_recipients", "Recipients that wait, by lane.", &["lane"]);
const OLDEST: Family = gauge("sm2tp_queue_oldest_seconds", "Age of the oldest mail in the queue; 0 without one.", &[]);
const OUTBOX: Family = gauge("sm2tp_outbox_entries", "Happenings that the ledger has not taken yet.", &[]);
const HAPPENINGS: Family = counter(
    "sm2tp_happenings_total",
    "What happened to mail since the start: accepted, delivered, deferred, bounced, stopped, returned, complained and others.",
    &["kind", "cause", "stream"],
);
const PROVIDERS: Family = counter(
    "sm2tp_provider_happenings_total",
    "The same by provider of the recipient, where that is known.",
    &["provider", "kind"],
);
const ORGS: Family = counter(
    "sm2tp_org_happenings_total",
    "The same by organisation; none of them where there are more than 200.",
    &["org", "kind"],
);
const LEFT_OUT: Family =
    counter("sm2tp_series_left_out_total", "Happenings that were not counted because there were too many names.", &[]);
const KNOWN_ADDRESSES: Family = gauge("sm2tp_known_addresses", "Addresses of which something is known.", &[]);
const TURNED_AWAY: Family = counter(
    "sm2tp_connections_turned_away_total",
    "Connections that the SMTP door did not take since the start.",
    &["reason"],
);
const SENDERS: Family = gauge("sm2tp_senders", "Senders that the watch, or a person, slowed or blocked.", &["level"]);
const BREAKERS: Family = gauge("sm2tp_breakers_tripped", "Providers whose refusals are not believed.", &[]);
const ALERTS: Family = gauge("sm2tp_alerts_open", "Incidents that are not over, by kind (docs/alerts.md).", &["kind"]);
const DATABASE_AWAY: Family = gauge(
    "sm2tp_database_away_seconds",
    "For how long the database that several machines share does not answer; 0: it does, or there is none.",
    &[],
);
const LEADS: Family = gauge(
    "sm2tp_machine_leads",
    "1 on the machine that publishes, reads peers and sends alerts for all machines of the node, or is the only one.",
    &[],
);
const RULES_BROKEN: Family =
    gauge("sm2tp_rules_broken", "1 where a file of rules for replies cannot be used as it stands now.", &[]);
const PEERS: Family = gauge("sm2tp_peers", "Other nodes, by how far the peering is.", &["state"]);
const PEER_LAG: Family = gauge(
    "sm2tp_peer_lag_seconds",
    "Since when all that a peer has was taken; under the beginning of its key.",
    &["peer"],
);
const FEDERATED: Family =
    gauge("sm2tp_federation_events", "Events of this node and of others that are kept.", &["direction"]);
const UNPUBLISHED: Family =
    gauge("sm2tp_federation_pending", "Events of this node that wait to be told to others.", &[]);
const CPU: Family = counter("process_cpu_seconds_total", "CPU time of the process.", &[]);
const MEMORY: Family = gauge("process_resident_memory_bytes", "Memory of the process.", &[]);
const FILES: Family = gauge("process_open_fds", "Open files and sockets of the process.", &[]);
const STARTED: Family = gauge("process_start_time_seconds", "When the process was started, in unix seconds.", &[]);

/// Who asks more often gets the same again.
const FRESH: Duration = Duration::from_secs(2);
/// More organisations than this would be series without end.
const ORGS_MAX: usize = 200;
/// Peers whose lag is shown.
const PEERS_MAX: usize = 200;
/// Of the clock in /proc: 100 in a second on every machine that Linux runs on today (`USER_HZ`).
const TICKS: f64 = 100.0;
