//! `sm2tp bench log`: logs of invented mail servers, of which every result is known beforehand: whether each is read as it is,
//! and how fast.

mod answers;
mod exim;
mod heads;
mod people;
mod postfix;
mod world;

use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;
use sm2tp_proto::log::{Clock, Mails};
use sm2tp_rules::Classifier;

use self::heads::Head;
use self::world::{Shape, Truth, World, Writer};
use super::node::{Usage, own_cpu_s};
use crate::config::LogFormat;
use crate::{Exit, Failure, log};

/// What is measured.
#[derive(Debug, Clone, clap::Args)]
pub struct LogArgs {
    /// Lines in all, divided among the shapes.
    #[arg(long, default_value_t = 1_000_000)]
    lines: u64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only this shape: postfix-3.4, postfix-3.7, postfix-3.7-short, postfix-3.11, postfix-rfc5424, exim-4.94, exim-4.96, exim-4.98.
    #[arg(long, value_name = "NAME")]
    shape: Option<String>,
    /// Mails are never finished: how much memory millions of queue ids take. Nothing is compared or timed.
    #[arg(long)]
    never_ends: bool,
    /// Keep the log in this file, for other programs (with --shape).
    #[arg(long, value_name = "FILE", requires = "shape")]
    write: Option<PathBuf>,
}

/// What came of one shape.
#[derive(Debug, Default, Serialize)]
struct Figures {
    shape: &'static str,
    lines: u64,
    octets: usize,
    /// Results that the log truly holds.
    results: usize,
    /// Results that were missing, invented, or read as something else.
    wrong: usize,
    /// What this process ran to read the log and to make the table.
    cpu_s: f64,
    lines_per_cpu_s: f64,
    megabytes_per_cpu_s: f64,
    memory_peak_kib: u64,
}

/// Invents the logs, reads them, compares and prints the figures; 65 where a result was read wrong.
pub fn log(classifier: &Classifier, args: &LogArgs, as_json: bool) -> Result<ExitCode, Failure> {
    let shapes: Vec<Shape> =
        SHAPES.iter().filter(|shape| args.shape.as_ref().is_none_or(|name| name == shape.name)).copied().collect();
    if shapes.is_empty() {
        let names: Vec<&str> = SHAPES.iter().map(|shape| shape.name).collect();
        return Err(Failure::new(Exit::Usage, format!("no such shape; there are {}", names.join(", "))));
    }
    let lines = (args.lines / shapes.len() as u64).max(1);
    let mut wrong = 0;
    for shape in shapes {
        let figures =
            if args.never_ends { unending(shape, args.seed, lines) } else { one(classifier, args, shape, lines)? };
        wrong += figures.wrong;
        crate::tell(&figures, &words(&figures), as_json)?;
    }
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::from(Exit::Input as u8) })
}

fn one(classifier: &Classifier, args: &LogArgs, shape: Shape, lines: u64) -> Result<Figures, Failure> {
    let mut world = World::new(shape, args.seed, false);
    let (mut text, mut truths) = (String::new(), Vec::new());
    for _ in 0..lines {
        world.line(&mut text, &mut truths);
    }
    if let Some(path) = &args.write {
        let written = std::fs::File::create(path).and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|error| Failure::new(Exit::Unavailable, format!("{}: {error}", path.display())))?;
    }
    let (wrong, shown) = differences(shape, &text, truths.clone());
    shown.iter().for_each(|difference| eprintln!("{difference}"));
    // The system counts CPU time in hundredths of a second.
    let (before, mut turns) = (own_cpu_s(), 0);
    while own_cpu_s() - before < MEASURED_S {
        let _ = std::hint::black_box(log::summary(classifier, format(shape), &mut text.as_bytes(), &CLOCK));
        turns += 1;
    }
    let cpu_s = (own_cpu_s() - before) / f64::from(turns);
    Ok(Figures {
        shape: shape.name,
        lines,
        octets: text.len(),
        results: truths.len(),
        wrong,
        cpu_s,
        lines_per_cpu_s: lines as f64 / cpu_s,
        megabytes_per_cpu_s: text.len() as f64 / 1e6 / cpu_s,
        memory_peak_kib: Usage::of(std::process::id()).memory_peak_kib,
    })
}

/// How many results were read that are not there, or are there and were not read. The first ones are shown.
fn differences(shape: Shape, text: &str, mut truths: Vec<Truth>) -> (usize, Vec<String>) {
    let (mut mails, mut read) = (Mails::new(log::MAILS_MAX), Vec::with_capacity(truths.len()));
    let each = |outcome: &sm2tp_proto::log::Outcome<'_>| {
        read.push(Truth::read(outcome));
        ControlFlow::Continue(())
    };
    // Octets in memory cannot fail to be read.
    let _ = log::outcomes(&mut text.as_bytes(), format(shape), &mut mails, &CLOCK, each);
    // An expiry tells of several recipients in any order.
    let key = |truth: &Truth| (truth.at, truth.queue_id.clone(), truth.recipient.clone(), truth.text.clone());
    truths.sort_by_cached_key(key);
    read.sort_by_cached_key(key);
    let differ: Vec<_> = truths.iter().zip(&read).filter(|(truth, read)| truth != read).collect();
    let shown = differ.iter().take(SHOWN_MAX).map(|(truth, read)| format!("it is   {truth:?}\nis read {read:?}"));
    (differ.len() + truths.len().abs_diff(read.len()), shown.collect())
}

fn unending(shape: Shape, seed: u64, lines: u64) -> Figures {
    let (mut world, mut mails) = (World::new(shape, seed, true), Mails::new(log::MAILS_MAX));
    let (mut text, mut truths, mut octets, mut results) = (String::new(), Vec::new(), 0, 0);
    for _ in 0..lines {
        text.clear();
        truths.clear();
        world.line(&mut text, &mut truths);
        octets += text.len();
        let each = |_: sm2tp_proto::log::Outcome<'_>| results += 1;
        mails.line(format(shape), text.trim_end(), &CLOCK, each);
    }
    let memory_peak_kib = Usage::of(std::process::id()).memory_peak_kib;
    Figures { shape: shape.name, lines, octets, results, memory_peak_kib, ..Figures::default() }
}

fn words(figures: &Figures) -> String {
    let Figures { shape, lines, octets, results, wrong, memory_peak_kib, .. } = figures;
    let memory = memory_peak_kib / 1024;
    if figures.cpu_s == 0.0 {
        return format!("{shape}: {lines} lines of mails that never end, {results} results, at most {memory} MiB");
    }
    format!(
        "{shape}: {lines} lines ({:.0} MB), {results} results, {wrong} read wrong; with the table of log scan {:.2} s of CPU: {:.1} \
         million lines, {:.0} MB a second",
        *octets as f64 / 1e6,
        figures.cpu_s,
        figures.lines_per_cpu_s / 1e6,
        figures.megabytes_per_cpu_s
    )
}

fn format(shape: Shape) -> LogFormat {
    match shape.writer {
        Writer::Postfix { .. } => LogFormat::Postfix,
        Writer::Exim { .. } => LogFormat::Exim,
    }
}

const SHAPES: &[Shape] = &[
    Shape { name: "postfix-3.4", writer: Writer::Postfix { minor: 4, long_ids: false }, head: Head::Rfc3164 },
    Shape { name: "postfix-3.7", writer: Writer::Postfix { minor: 7, long_ids: true }, head: Head::Rfc3339 },
    Shape { name: "postfix-3.7-short", writer: Writer::Postfix { minor: 7, long_ids: false }, head: Head::Rfc3164 },
    Shape { name: "postfix-3.11", writer: Writer::Postfix { minor: 11, long_ids: true }, head: Head::Rfc3164 },
    Shape { name: "postfix-rfc5424", writer: Writer::Postfix { minor: 11, long_ids: true }, head: Head::Rfc5424 },
    Shape { name: "exim-4.94", writer: Writer::Exim { minor: 94, selectors: false }, head: Head::Exim },
    Shape { name: "exim-4.96", writer: Writer::Exim { minor: 96, selectors: true }, head: Head::EximWithZone },
    Shape { name: "exim-4.98", writer: Writer::Exim { minor: 98, selectors: true }, head: Head::Rfc3339 },
];
/// The invented days are in November 2026; a longer log goes on into the next year.
const CLOCK: Clock = Clock { latest: 1_798_700_000, offset_s: 0 };
const SHOWN_MAX: usize = 5;
const MEASURED_S: f64 = 0.5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_result_of_each_shape_is_read_as_it_is() {
        for (seed, shape) in SHAPES.iter().enumerate() {
            let (mut world, mut text, mut truths) = (World::new(*shape, seed as u64, false), String::new(), Vec::new());
            for _ in 0..LINES {
                world.line(&mut text, &mut truths);
            }
            assert!(LINES / 10 < truths.len(), "{}: {}", shape.name, truths.len());
            let (wrong, shown) = differences(*shape, &text, truths);
            assert!(shown.is_empty() && wrong == 0, "{}: {wrong} wrong\n{}", shape.name, shown.join("\n"));
        }
    }

    const LINES: usize = 10_000;
}
