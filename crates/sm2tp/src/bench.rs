//! `sm2tp bench relay`: how fast a relay takes mail and delivers it, measured from outside, the same for any relay.
//! `sm2tp bench queue`: what a long queue costs ([`queue`]). `sm2tp bench report`: how fast reports are read ([`report`]);
//! `sm2tp bench classify`: how fast replies ([`classify`]). `sm2tp bench admit`: what the question of every door costs
//! ([`admit`]); `sm2tp bench absorb`: how fast outcomes are counted ([`absorb`]); `sm2tp bench log`: whether logs are read
//! right, and how fast ([`log`]); `sm2tp bench policy`: how fast a policy service answers ([`policy`]); `sm2tp bench
//! federation`: what segments of other nodes and the index of their tags cost ([`federation`]).
//!
//! The load generator and the sink are this process; the relay is another: a node of its own on a fresh directory, or
//! any relay that was told to send its mail to the sink. Both ends run on the same cores, so figures compare relays on
//! one machine and nothing else.

mod absorb;
mod admit;
mod classify;
mod federation;
mod load;
mod log;
mod node;
mod policy;
mod queue;
mod reports;
mod sink;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::net::TcpListener;
use tokio::time::{interval, timeout};

pub use self::absorb::{AbsorbArgs, absorb};
pub use self::admit::{AdmitArgs, admit};
pub use self::classify::{ClassifyArgs, classify};
pub use self::federation::{FederationArgs, federation};
pub use self::load::Client;
use self::load::Load;
pub use self::log::{LogArgs, log};
use self::node::{BenchNode, Place, Sign, Usage, own_cpu_s};
pub use self::policy::{PolicyArgs, policy};
pub use self::queue::{QueueArgs, queue};
pub use self::reports::{ReportArgs, report};
pub use self::sink::Offer;
use self::sink::Sink;
use crate::{Exit, Failure};

/// What is measured.
#[derive(Debug, Clone, clap::Args)]
pub struct RelayArgs {
    /// Connections that send at the same time.
    #[arg(long, default_value_t = 16)]
    sessions: usize,
    /// Octets of each mail.
    #[arg(long, default_value_t = 10_240)]
    octets: usize,
    /// Mails in all.
    #[arg(long, default_value_t = 20_000)]
    mails: usize,
    /// How each of them speaks.
    #[arg(long, value_enum, default_value = "lockstep")]
    client: Client,
    /// What the sink offers to the relay.
    #[arg(long, value_enum, default_value = "chunking")]
    offer: Offer,
    /// Measure the relay at this address instead of a node of our own. It must send its mail to --sink.
    #[arg(long, value_name = "ADDRESS", requires = "sink")]
    to: Option<SocketAddr>,
    /// Where the sink listens; a free port by default.
    #[arg(long, value_name = "ADDRESS")]
    sink: Option<SocketAddr>,
    /// Count CPU time and memory of this process and its children (with --to).
    #[arg(long, value_name = "PID", requires = "to")]
    pid: Option<u32>,
    /// What the node signs with (not with --to).
    #[arg(long, value_enum, default_value = "ed25519")]
    sign: Sign,
    /// Where the node keeps its spool: the disk that is measured.
    #[arg(long, value_name = "DIR")]
    dir: Option<std::path::PathBuf>,
}

/// One measurement.
#[derive(Debug, Serialize)]
struct Figures {
    sessions: usize,
    octets: usize,
    mails: usize,
    /// Seconds until the last 250.
    accept_s: f64,
    /// Seconds until the sink had the last mail.
    end_to_end_s: f64,
    accept_per_s: f64,
    end_to_end_per_s: f64,
    /// CPU seconds of the relay for 1 000 mails.
    cpu_s_per_1000: Option<f64>,
    /// Those of the load generator and the sink, which share the machine with it.
    load_cpu_s_per_1000: f64,
    memory_peak_kib: Option<u64>,
    /// Mails that the sink had more than once.
    duplicates: usize,
}

/// Measures once and prints the figures.
pub async fn relay(args: RelayArgs, as_json: bool) -> Result<ExitCode, Failure> {
    let listen = args.sink.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
    let listener = TcpListener::bind(listen).await.map_err(|error| trouble("the sink", &error))?;
    let sink_at = listener.local_addr().map_err(|error| trouble("the sink", &error))?;
    let sink = Arc::new(Sink::new(args.mails, args.offer));
    tokio::spawn(sink.clone().serve(listener));
    let node = match args.to {
        Some(_) => None,
        None => {
            let place = Place::new(args.dir.as_deref(), sink_at)?;
            place.sign(args.sign)?;
            Some(BenchNode::start(place).await?)
        }
    };
    let to = args.to.or(node.as_ref().map(|node| node.smtp)).ok_or_else(|| trouble("the relay", &"no address"))?;
    let pid = node.as_ref().map(BenchNode::pid).or(args.pid);
    let (before, own_before) = (pid.map(Usage::of), own_cpu_s());
    let began = Instant::now();
    let RelayArgs { sessions, mails, octets, client, .. } = args;
    load::send(to, Load { sessions, mails, octets, client }).await.map_err(|error| trouble("sending", &error))?;
    let accepted = began.elapsed();
    let delivered = delivered(&sink, args.mails, began).await?;
    let after = pid.map(Usage::of);
    let load_cpu_s = own_cpu_s() - own_before;
    let figures = figures(&args, (accepted, delivered), before.zip(after), load_cpu_s, sink.duplicates());
    drop(node);
    crate::tell(&figures, &words(&figures), as_json)
}

/// Times of one kind of work, in microseconds.
#[derive(Debug, Clone, Copy, Serialize)]
struct Times {
    mean: f64,
    median: f64,
    p99: f64,
}

impl Times {
    /// Zeroes where nothing was done.
    fn of(all: impl Iterator<Item = Duration>) -> Self {
        let mut us: Vec<f64> = all.map(|took| took.as_secs_f64() * 1e6).collect();
        us.sort_by(f64::total_cmp);
        let at = |percent: usize| us.get(us.len() * percent / 100).copied().unwrap_or_default();
        Self { mean: us.iter().sum::<f64>() / us.len().max(1) as f64, median: at(50), p99: at(99) }
    }
}

/// Waits until the sink has every mail; gives up when nothing arrives for a while.
async fn delivered(sink: &Sink, mails: usize, began: Instant) -> Result<Duration, Failure> {
    let mut look = interval(LOOK_EVERY);
    let mut last = (sink.received(), Instant::now());
    while sink.received() < mails {
        look.tick().await;
        let received = sink.received();
        if received != last.0 {
            last = (received, Instant::now());
        } else if STALLED < last.1.elapsed() {
            let message = format!("{received} of {mails} mails arrived, then none for {} s", STALLED.as_secs());
            return Err(Failure::new(Exit::Unavailable, message));
        }
    }
    Ok(began.elapsed())
}

fn figures(
    args: &RelayArgs,
    (accepted, delivered): (Duration, Duration),
    usage: Option<(Usage, Usage)>,
    load_cpu_s: f64,
    duplicates: usize,
) -> Figures {
    let mails = args.mails as f64;
    Figures {
        sessions: args.sessions,
        octets: args.octets,
        mails: args.mails,
        accept_s: accepted.as_secs_f64(),
        end_to_end_s: delivered.as_secs_f64(),
        accept_per_s: mails / accepted.as_secs_f64(),
        end_to_end_per_s: mails / delivered.as_secs_f64(),
        cpu_s_per_1000: usage.map(|(before, after)| (after.cpu_s - before.cpu_s) / mails * 1000.0),
        load_cpu_s_per_1000: load_cpu_s / mails * 1000.0,
        memory_peak_kib: usage.map(|(_, after)| after.memory_peak_kib),
        duplicates,
    }
}

fn words(figures: &Figures) -> String {
    let cpu = figures.cpu_s_per_1000.map_or_else(|| "-".to_owned(), |cpu| format!("{cpu:.3}"));
    let memory = figures.memory_peak_kib.map_or_else(|| "-".to_owned(), |kib| format!("{}", kib / 1024));
    format!(
        "{} mails of {} octets over {} sessions\n  accepted   {:>8.0} a second ({:.2} s)\n  delivered  {:>8.0} a second \
         ({:.2} s)\n  CPU        {cpu:>8} s for 1000 mails (load and sink {:.3} s)\n  memory     {memory:>8} MiB at most\n  \
         duplicates {:>8}",
        figures.mails,
        figures.octets,
        figures.sessions,
        figures.accept_per_s,
        figures.accept_s,
        figures.end_to_end_per_s,
        figures.end_to_end_s,
        figures.load_cpu_s_per_1000,
        figures.duplicates
    )
}

fn trouble(what: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Exit::Unavailable, format!("{what}: {error}"))
}

/// Tries something for a while that needs another process to be ready.
async fn soon<T>(what: &str, work: impl Future<Output = Option<T>>) -> Result<T, Failure> {
    match timeout(READY, work).await {
        Ok(Some(value)) => Ok(value),
        _ => Err(Failure::new(Exit::Unavailable, format!("{what} was not ready in {} s", READY.as_secs()))),
    }
}

const LOOK_EVERY: Duration = Duration::from_millis(2);
const STALLED: Duration = Duration::from_secs(60);
const READY: Duration = Duration::from_secs(20);
