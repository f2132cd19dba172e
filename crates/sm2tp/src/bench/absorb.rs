//! `sm2tp bench absorb`: how many outcomes the ledger takes in a second, and how fast its views are made again.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use serde::Serialize;
use sm2tp_federation::tags::TagKey;
use sm2tp_proto::Address;
use sm2tp_rules::{Cause, Fate, Scope, Stage, Stream, Strength};
use sm2tp_store::ledger::{self, Ledger, SendLog};
use sm2tp_store::told::{Answer, Told, Verdict, What};

use super::node::own_cpu_s;
use super::trouble;
use crate::{Failure, say};

/// What is measured.
#[derive(Debug, Clone, clap::Args)]
pub struct AbsorbArgs {
    /// Outcomes in all.
    #[arg(long, default_value_t = 300_000)]
    outcomes: u64,
    /// Different recipients, who get them in turn.
    #[arg(long, default_value_t = 100_000)]
    addresses: u64,
    /// Different domains of recipients.
    #[arg(long, default_value_t = 500)]
    domains: u64,
    /// Leave the send log out.
    #[arg(long)]
    no_send_log: bool,
    /// Where the ledger is made: the disk that is measured.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Spread them over so many days that end now; without it, a thousand happen in each second.
    #[arg(long, value_name = "N")]
    days: Option<u64>,
    /// Keep the ledger, as --dir/ledger.sqlite, for a node that is measured with it (benches/pages.py).
    #[arg(long, requires = "dir")]
    keep: bool,
}

/// One measurement.
#[derive(Debug, Serialize)]
struct Figures {
    outcomes: u64,
    addresses: u64,
    domains: u64,
    absorb_s: f64,
    absorb_per_s: f64,
    absorb_cpu_s: f64,
    absorb_per_cpu_s: f64,
    events: u64,
    rebuild_s: f64,
    rebuild_events_per_s: f64,
    octets: u64,
}

/// Measures once and prints the figures.
pub async fn absorb(args: AbsorbArgs, as_json: bool) -> Result<ExitCode, Failure> {
    let dir = args.dir.clone().unwrap_or_else(std::env::temp_dir);
    let name = format!("sm2tp-bench-absorb-{}", std::process::id());
    let dir = if args.keep { dir } else { dir.join(name) };
    std::fs::create_dir_all(&dir).map_err(|error| trouble("the directory", &error))?;
    let measured = measure(&args, &ledger::path(&dir)).await;
    if !args.keep {
        // What was measured is of no use to anybody.
        let _ = std::fs::remove_dir_all(&dir);
    }
    let figures = measured?;
    if as_json {
        say(&serde_json::to_string(&figures).map_err(|error| trouble("the figures", &error))?);
    } else {
        say(&format!(
            "{} outcomes of {} addresses at {} domains: {:.2} s, {:.0} a second ({:.0} in a second of CPU)\n\
             views made again from {} events: {:.2} s, {:.0} events a second; {:.0} octets of disk for an outcome",
            figures.outcomes,
            figures.addresses,
            figures.domains,
            figures.absorb_s,
            figures.absorb_per_s,
            figures.absorb_per_cpu_s,
            figures.events,
            figures.rebuild_s,
            figures.rebuild_events_per_s,
            figures.octets as f64 / figures.outcomes as f64
        ));
    }
    Ok(ExitCode::SUCCESS)
}

async fn measure(args: &AbsorbArgs, file: &std::path::Path) -> Result<Figures, Failure> {
    let ledger = Ledger::open(file).map_err(|error| trouble("the ledger", &error))?;
    let outcomes = args.outcomes.max(1);
    let span = args.days.map(|days| (sm2tp_doors::now(), days * DAY_S));
    let at = |number: u64| match span {
        Some((end, span_s)) => {
            end - span_s + u64::try_from(u128::from(span_s) * u128::from(number) / u128::from(outcomes)).unwrap_or(0)
        }
        None => 1_800_000_000 + number / 1000,
    };
    let (began, cpu) = (Instant::now(), own_cpu_s());
    let mut first = 1;
    while first <= outcomes {
        let last = (first + BATCH - 1).min(outcomes);
        let batch: Vec<(u64, Told)> = (first..=last).map(|number| (number, told(args, number, at(number)))).collect();
        let send_log = if args.no_send_log { SendLog::Off } else { SendLog::Keep };
        let key = TagKey::new([7; 32]);
        let tagger = move |address: &Address| Some((key.key_id(), key.tag_address(address).ok()?));
        let absorbed = ledger.absorb("bench", batch, send_log, tagger, |_, _, _| Ok(()));
        absorbed.await.map_err(|error| trouble("the ledger", &error))?;
        first = last + 1;
    }
    let (absorb_s, absorb_cpu_s) = (began.elapsed().as_secs_f64(), own_cpu_s() - cpu);
    let began = Instant::now();
    // What is kept is as a node would have it; making its views again is another measurement.
    let events =
        if args.keep { outcomes } else { ledger.rebuild().await.map_err(|error| trouble("the views", &error))? };
    let rebuild_s = began.elapsed().as_secs_f64();
    Ok(Figures {
        outcomes,
        addresses: args.addresses.max(1),
        domains: args.domains.max(1),
        absorb_s,
        absorb_per_s: outcomes as f64 / absorb_s,
        absorb_cpu_s,
        absorb_per_cpu_s: outcomes as f64 / absorb_cpu_s.max(f64::EPSILON),
        events,
        rebuild_s,
        rebuild_events_per_s: events as f64 / rebuild_s,
        octets: std::fs::metadata(file).map_or(0, |meta| meta.len()),
    })
}

/// An outcome as a relay tells it: of a hundred, four are put off, three say "no such user", one is refused as spam.
fn told(args: &AbsorbArgs, number: u64, at: u64) -> Told {
    // Neighbours are not of one domain.
    let address = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % args.addresses.max(1);
    let domain = address % args.domains.max(1);
    let provider = Some(PROVIDERS[(domain % 4) as usize].to_owned());
    let (code, cause, fate, text) = match number % 100 {
        0..=3 => (450, Some(Cause::Rate), Fate::Later, "4.2.0 Greylisted for 300 seconds"),
        4..=6 => (550, Some(Cause::Address), Fate::Final, "5.1.1 User unknown"),
        7 => (554, Some(Cause::Content), Fate::Final, "5.7.1 Message refused as spam"),
        _ => (250, None, Fate::Final, "2.0.0 Ok, queued as 4XYZ"),
    };
    let verdict = cause.map(|cause| Verdict {
        cause,
        sub: None,
        fate,
        scope: Scope::Recipient,
        strength: Strength::Strong,
        rule: "bench".into(),
        rules: Some("0".into()),
    });
    let mx = Some(format!("mx.{domain}.example"));
    let exit = Some("main".to_owned());
    let answer = Answer {
        stage: Some(Stage::Rcpt),
        mx,
        exit,
        code: Some(code),
        text: text.into(),
        provider,
        verdict,
        ..Answer::default()
    };
    let what = match code {
        250 => What::Delivered { answer },
        450 => What::Deferred { answer },
        _ => What::Bounced { answer, expired: false },
    };
    Told {
        v: Told::VERSION,
        at,
        org: format!("org-{}", number % 10),
        login: Some(format!("login-{}", number % 30)),
        stream: Stream::Bulk,
        mail: number,
        message_id: Some(format!("{number}@asso.example")),
        mail_from: Some(format!("bounce-{number}@asso-{}.example", number % 10)),
        recipient: Some(format!("user{address}@domain{domain}.example")),
        token: None,
        report: false,
        what,
    }
}

const DAY_S: u64 = 86_400;
/// As many as the node takes from its outbox at once.
const BATCH: u64 = 1000;
const PROVIDERS: [&str; 4] = ["google", "microsoft", "orange", "free"];
