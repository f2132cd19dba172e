//! `sm2tp bench queue`: what a long queue costs. Fills a spool, starts a node on it, and measures how soon it takes mail,
//! how much memory it needs, how long a person waits for `queue list`, and whether mail is slower than with no queue.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Serialize;
use sm2tp_proto::Address;
use sm2tp_rules::Stream;
use sm2tp_store::spool::{Lane, NewMail, NewRecipient, Spool};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::interval;

use super::load::{Client, Load};
use super::node::{BenchNode, Place, Sign, Usage};
use super::sink::{Offer, Sink};
use super::{delivered, load, trouble};
use crate::{Failure, say};

/// What is measured.
#[derive(Debug, Clone, clap::Args)]
pub struct QueueArgs {
    /// Mails that wait.
    #[arg(long, default_value_t = 1_000_000)]
    waiting: usize,
    /// Mails that go through meanwhile, over 64 connections.
    #[arg(long, default_value_t = 20_000)]
    mails: usize,
    /// Octets of each mail that waits.
    #[arg(long, default_value_t = 1024)]
    octets: usize,
    /// Where the node keeps its spool: the disk that is measured.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// One measurement.
#[derive(Debug, Serialize)]
struct Figures {
    waiting: usize,
    /// Seconds from the start of the process to its first 250 after DATA.
    first_250_s: f64,
    /// Seconds until all of the queue is loaded, in the background.
    loaded_s: f64,
    memory_mib: u64,
    memory_peak_mib: u64,
    list_s: f64,
    list_of_a_domain_s: f64,
    accept_per_s: f64,
    end_to_end_per_s: f64,
    cpu_s_per_1000: f64,
}

/// Measures with a full queue and, for comparison, with an empty one; prints both.
pub async fn queue(args: QueueArgs, as_json: bool) -> Result<ExitCode, Failure> {
    for waiting in [0, args.waiting] {
        let figures = measure(&args, waiting).await?;
        if as_json {
            say(&serde_json::to_string(&figures).map_err(|error| trouble("the figures", &error))?);
        } else {
            say(&words(&figures));
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn measure(args: &QueueArgs, waiting: usize) -> Result<Figures, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|error| trouble("the sink", &error))?;
    let sink_at = listener.local_addr().map_err(|error| trouble("the sink", &error))?;
    let sink = Arc::new(Sink::new(args.mails + 1, Offer::Chunking));
    tokio::spawn(sink.clone().serve(listener));
    let place = Place::new(args.dir.as_deref(), sink_at)?;
    place.sign(Sign::Ed25519)?;
    fill(&place, waiting, args.octets).await?;

    let began = Instant::now();
    let node = BenchNode::start(place).await?;
    send(node.smtp, 1, 1).await?;
    let first_250_s = began.elapsed().as_secs_f64();
    let loaded_s = settled(&node, began).await.as_secs_f64();
    let list_s = asked(&node.place, &["queue", "list"])?;
    let list_of_a_domain_s = asked(&node.place, &["queue", "list", "--domain", "nobody.example"])?;

    let (before, began) = (Usage::of(node.pid()), Instant::now());
    send(node.smtp, 64, args.mails).await?;
    let accepted = began.elapsed().as_secs_f64();
    let end_to_end = delivered(&sink, args.mails, began).await?.as_secs_f64();
    let after = Usage::of(node.pid());
    Ok(Figures {
        waiting,
        first_250_s,
        loaded_s,
        memory_mib: before.memory_kib / 1024,
        memory_peak_mib: after.memory_peak_kib / 1024,
        list_s,
        list_of_a_domain_s,
        accept_per_s: args.mails as f64 / accepted,
        end_to_end_per_s: args.mails as f64 / end_to_end,
        cpu_s_per_1000: (after.cpu_s - before.cpu_s) / args.mails as f64 * 1000.0,
    })
}

fn words(figures: &Figures) -> String {
    let Figures { waiting, first_250_s, loaded_s, memory_mib, memory_peak_mib, .. } = figures;
    let Figures { list_s, list_of_a_domain_s, accept_per_s, end_to_end_per_s, cpu_s_per_1000, .. } = figures;
    format!(
        "{waiting} mails wait\n  first mail taken  {first_250_s:>8.2} s after the start\n  queue loaded      {loaded_s:>8.2} \
         s after the start\n  memory            {memory_mib:>8} MiB, {memory_peak_mib} MiB at most\n  queue list        \
         {list_s:>8.2} s, {list_of_a_domain_s:.2} s for a domain without mail\n  accepted          {accept_per_s:>8.0} a \
         second\n  delivered         {end_to_end_per_s:>8.0} a second\n  CPU               {cpu_s_per_1000:>8.3} s for 1000 mails"
    )
}

async fn send(to: SocketAddr, sessions: usize, mails: usize) -> Result<(), Failure> {
    let load = Load { sessions, mails, octets: 10_240, client: Client::Lockstep };
    load::send(to, load).await.map_err(|error| trouble("sending", &error))
}

/// Puts mails of many domains into the spool, to be held for a day.
async fn fill(place: &Place, mails: usize, octets: usize) -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| trouble("filling the spool", error);
    let dir = place.data().join("spool");
    std::fs::create_dir_all(&dir).map_err(|error| failed(&error))?;
    let spool = Spool::open(&dir, "bench").map_err(|error| failed(&error))?;
    let content: Bytes = format!("Subject: waiting\r\n\r\n{}\r\n", "x".repeat(octets)).into_bytes().into();
    let now = sm2tp_store::now();
    let mut writing = JoinSet::new();
    for number in 0..mails {
        if WRITING_AT_ONCE <= writing.len() {
            joined(writing.join_next().await)?;
        }
        let (spool, mail) = (spool.clone(), waiting(number, now, content.clone())?);
        writing.spawn(async move { spool.accept(mail).await.map(drop).map_err(|error| error.to_string()) });
    }
    while let Some(ended) = writing.join_next().await {
        joined(Some(ended))?;
    }
    Ok(())
}

fn joined(ended: Option<Result<Result<(), String>, tokio::task::JoinError>>) -> Result<(), Failure> {
    match ended {
        Some(Ok(Err(error))) => Err(trouble("filling the spool", &error)),
        Some(Err(error)) => Err(trouble("filling the spool", &error)),
        _ => Ok(()),
    }
}

fn waiting(number: usize, now: u64, content: Bytes) -> Result<NewMail, Failure> {
    let address = |text: String| Address::parse(&text).map_err(|error| trouble("an address", &error));
    let recipient = NewRecipient {
        address: address(format!("r{number}@d{}.example", number % DOMAINS))?,
        lane: Lane::Held,
        note: None,
        stopped: false,
        canary: false,
        options: sm2tp_proto::smtp::RcptOptions::default(),
    };
    Ok(NewMail {
        org: format!("org{}", number % 10).into(),
        login: None,
        stream: Stream::Bulk,
        mail_from: Some(address("news@bench.example".into())?),
        message_id: Some(format!("{number}@bench.example")),
        received_at: now,
        recipients: vec![recipient],
        held_until: now + 86_400,
        content,
        is_report: false,
        stream_by: None,
        options: sm2tp_proto::smtp::MailOptions::default(),
    })
}

/// Waits until the node has nothing to do; answers with when that began.
async fn settled(node: &BenchNode, began: Instant) -> Duration {
    let mut look = interval(Duration::from_millis(250));
    let (mut busy, mut idle_since) = (Usage::of(node.pid()).cpu_s, began.elapsed());
    loop {
        look.tick().await;
        let (now, at) = (Usage::of(node.pid()).cpu_s, began.elapsed());
        if busy + 0.02 < now {
            (busy, idle_since) = (now, at);
        } else if idle_since + Duration::from_secs(2) <= at {
            return idle_since;
        }
    }
}

/// Seconds that a command takes.
fn asked(place: &Place, words: &[&str]) -> Result<f64, Failure> {
    let began = Instant::now();
    let status = place.command(words)?.stdout(Stdio::null()).status().map_err(|error| trouble("a command", &error))?;
    if status.success() { Ok(began.elapsed().as_secs_f64()) } else { Err(trouble("a command", &status)) }
}

const WRITING_AT_ONCE: usize = 256;
/// The waiting mail goes to so many domains: a queue for each of them.
const DOMAINS: usize = 20_000;
