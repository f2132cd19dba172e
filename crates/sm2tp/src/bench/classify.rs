//! `sm2tp bench classify`: how many replies one core understands in a second.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use serde::Serialize;
use sm2tp_rules::Classifier;

use super::node::own_cpu_s;
use crate::classify::Line;
use crate::{Exit, Failure, say};

/// What is measured.
#[derive(Debug, Clone, clap::Args)]
pub struct ClassifyArgs {
    /// Replies to read, again and again, one in each line as `sm2tp classify` takes it; without it, the examples of the rules.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Replies in all.
    #[arg(long, default_value_t = 500_000)]
    texts: usize,
}

/// One measurement.
#[derive(Debug, Serialize)]
struct Figures {
    texts: usize,
    /// Different ones, and their octets on average.
    different: usize,
    octets_average: usize,
    /// What the clock says, and what this process really ran: on a busy machine the second is the measure.
    elapsed_s: f64,
    cpu_s: f64,
    per_cpu_s: f64,
    /// Replies that no rule knew.
    unknown: usize,
}

/// Measures once and prints the figures.
pub fn classify(classifier: &Classifier, args: &ClassifyArgs, as_json: bool) -> Result<ExitCode, Failure> {
    let lines: Vec<String> = match &args.file {
        None => classifier.examples().map(str::to_owned).collect(),
        Some(path) => {
            let text = std::fs::read_to_string(path);
            let text = text.map_err(|error| Failure::new(Exit::Input, format!("{}: {error}", path.display())))?;
            text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
        }
    };
    let broken = |error| Failure::new(Exit::Input, format!("broken JSON: {error}"));
    let texts = lines.iter().map(|line| Line::read(line)).collect::<Result<Vec<_>, _>>().map_err(broken)?;
    if texts.is_empty() {
        return Err(Failure::new(Exit::Input, "there is no reply to read"));
    }
    let (began, cpu) = (Instant::now(), own_cpu_s());
    let turns = texts.iter().cycle().take(args.texts.max(1));
    // What is counted keeps the work from being left out.
    let unknown = turns.filter(|line| line.classify(classifier).cause == sm2tp_rules::Cause::Unknown).count();
    let (elapsed_s, cpu_s) = (began.elapsed().as_secs_f64(), own_cpu_s() - cpu);
    let figures = Figures {
        texts: args.texts.max(1),
        different: texts.len(),
        octets_average: texts.iter().map(|line| line.text.len()).sum::<usize>() / texts.len(),
        elapsed_s,
        cpu_s,
        per_cpu_s: args.texts.max(1) as f64 / cpu_s.max(f64::EPSILON),
        unknown,
    };
    if as_json {
        let text = serde_json::to_string(&figures);
        say(&text.map_err(|error| Failure::new(Exit::Unavailable, format!("the figures: {error}")))?);
    } else {
        say(&format!(
            "{} replies of {} octets on average ({} different ones), one core:\n\
             {:.2} s, of which {:.2} s CPU: {:.0} replies in a second of CPU",
            figures.texts,
            figures.octets_average,
            figures.different,
            figures.elapsed_s,
            figures.cpu_s,
            figures.per_cpu_s
        ));
    }
    Ok(ExitCode::SUCCESS)
}
