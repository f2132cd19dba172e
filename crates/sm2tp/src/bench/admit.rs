//! `sm2tp bench admit`: how long the one question of every door takes when a node knows millions of addresses, and how much
//! memory an address needs.

use std::hint::black_box;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use serde::Serialize;
use sm2tp_proto::{Address, Domain};
use sm2tp_rules::admit::{self, Sender};
use sm2tp_rules::evidence::{Happening, Hard};
use sm2tp_rules::watch::Standing;
use sm2tp_rules::{Evidence, Stream, Strength};
use sm2tp_store::Bounce;
use sm2tp_store::ledger::Views;

use super::node::Place;
use super::{Times, trouble};
use crate::{Exit, Failure, config, open};

/// What is measured.
#[derive(Debug, Clone, clap::Args)]
pub struct AdmitArgs {
    /// Addresses that the node knows.
    #[arg(long, default_value_t = 10_000_000)]
    addresses: u64,
    /// Questions in all; every second one is about an address that nobody knows.
    #[arg(long, default_value_t = 1_000_000)]
    questions: u64,
}

/// One measurement. Times in microseconds.
#[derive(Debug, Serialize)]
struct Figures {
    addresses: u64,
    questions: u64,
    /// Octets of the process for each address, measured as the growth of its resident memory.
    octets_per_address: f64,
    /// Evidence put into the picture in a second, in no order.
    put_per_s: f64,
    /// `rules::admit` with the facts in hand.
    rules_mean_us: f64,
    /// The facts (tags of address and domain under each key, evidence, lists, other nodes, numbers of the org) and the rules.
    admit_mean_us: f64,
    admit_median_us: f64,
    admit_p99_us: f64,
    /// Of that, the facts when the tags are known already: what is looked up in memory.
    look_mean_us: f64,
    /// So that nothing is left out: questions that were answered with a yes.
    accepted: u64,
}

/// Measures once and prints the figures.
pub async fn admit(args: AdmitArgs, as_json: bool) -> Result<ExitCode, Failure> {
    // Nothing is sent, so that nothing listens there.
    let place = Place::new(None, SocketAddr::from(([127, 0, 0, 1], 9)))?;
    let file = place.config();
    let config = config::load(&file).map_err(|error| Failure::new(Exit::Configuration, error.to_string()))?;
    let opened = open::open(&config, &file).await?;
    let figures = measure(&args, opened.house.book)?;
    crate::tell(&figures, &words(&figures), as_json)
}

fn measure(args: &AdmitArgs, mut book: sm2tp_store::Book) -> Result<Figures, Failure> {
    let tag = |n| book.tag(&address(n)).map(|(_, tag)| tag).ok_or_else(|| trouble("a tag", &"none"));
    let (before, mut put_s) = (resident_octets(), 0.0);
    let views = Views::default();
    for first in (0..args.addresses).step_by(BATCH) {
        let tags = (first..args.addresses.min(first + BATCH as u64)).map(|n| Ok((tag(n)?, evidence(n))));
        let tags = tags.collect::<Result<Vec<_>, Failure>>()?;
        let began = Instant::now();
        views.restore(&tags);
        put_s += began.elapsed().as_secs_f64();
    }
    let grown = resident_octets().saturating_sub(before);
    book.views = views;
    let (domains, sender) = ([own_domain()?], address(0));
    let from = Sender {
        domains: &domains,
        addresses: &[],
        mail_from: Some(&sender),
        stream: Stream::Bulk,
        standing: Standing::Normal,
    };
    let asked: Vec<Address> = (0..args.questions).map(|n| address(asked(n, args.addresses))).collect();
    let (mut took, mut accepted) = (Vec::with_capacity(asked.len()), 0);
    for to in &asked {
        let began = Instant::now();
        let facts = book.recipient(to, "asso", NOW);
        let verdict = admit::recipient(&from, &facts, &book.limits("asso"), NOW, 0.5);
        took.push(began.elapsed());
        accepted += u64::from(matches!(verdict, admit::Verdict::Accept { .. }));
    }
    let looked = asked.iter().take(TAGGED_MAX).map(|to| book.tags(to).0).collect::<Vec<_>>();
    let began = Instant::now();
    for tags in &looked {
        black_box(book.views.recipient(tags, "asso"));
    }
    let look_s = began.elapsed().as_secs_f64();
    let facts: Vec<_> = asked.iter().take(FACTS_MAX).map(|to| book.recipient(to, "asso", NOW)).collect();
    let (limits, began) = (book.limits("asso"), Instant::now());
    for facts in &facts {
        black_box(admit::recipient(&from, black_box(facts), &limits, NOW, 0.5));
    }
    let rules_s = began.elapsed().as_secs_f64();
    let times = Times::of(took.into_iter());
    Ok(Figures {
        addresses: args.addresses,
        questions: args.questions,
        octets_per_address: grown as f64 / args.addresses.max(1) as f64,
        put_per_s: args.addresses as f64 / put_s.max(f64::EPSILON),
        rules_mean_us: rules_s * 1e6 / facts.len().max(1) as f64,
        admit_mean_us: times.mean,
        admit_median_us: times.median,
        admit_p99_us: times.p99,
        look_mean_us: look_s * 1e6 / looked.len().max(1) as f64,
        accepted,
    })
}

/// Every second one beyond those that are known, the others spread over them.
fn asked(n: u64, known: u64) -> u64 {
    let spread = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % known.max(1);
    if n.is_multiple_of(2) { spread } else { known + spread }
}

fn address(n: u64) -> Address {
    Address::parse(&format!("user{n}@d{}.example", n % 50_000)).expect("letters and digits are an address")
}

fn own_domain() -> Result<Domain, Failure> {
    Domain::parse("d0.example").map_err(|error| trouble("a domain", &error))
}

/// One in twenty is dead, one in twenty full now and then, the others got mail.
fn evidence(n: u64) -> Evidence {
    let hard = Hard { strength: Strength::Strong, inactive: false, code: 550, enhanced: None, imported: None };
    let at = NOW - n % 10_000_000;
    match n % 20 {
        0 => Evidence::default().after(Happening::Hard(hard), at),
        1 => Evidence::default().after(Happening::Soft, at),
        _ => Evidence::default().after(Happening::Delivered, at),
    }
}

/// What the kernel counts for this process (proc(5)).
fn resident_octets() -> u64 {
    let status = std::fs::read_to_string(Path::new("/proc/self/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) * 1024
}

fn words(figures: &Figures) -> String {
    format!(
        "{} addresses known, {:.1} octets each, {:.0} put in a second\n\
         admit: {:.2} us on average, {:.2} us median, {:.2} us in 99 of 100 ({} questions)\n\
         of that the look into memory {:.2} us, the rules {:.3} us",
        figures.addresses,
        figures.octets_per_address,
        figures.put_per_s,
        figures.admit_mean_us,
        figures.admit_median_us,
        figures.admit_p99_us,
        figures.questions,
        figures.look_mean_us,
        figures.rules_mean_us
    )
}

const NOW: u64 = 1_800_000_000;
/// Tags that are computed before they are put in, so that the hash is not measured with it.
const BATCH: usize = 100_000;
const TAGGED_MAX: usize = 1_000_000;
const FACTS_MAX: usize = 100_000;
