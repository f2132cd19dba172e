//! `sm2tp tail`: what happens, as it happens.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;
use sm2tp_doors::control::Request;
use tokio::time::sleep;

use crate::config::Config;
use crate::show::{plain, time};
use crate::{Failure, ask, say};

/// Asks again and again until it is ended.
pub async fn run(config: &Config, config_file: &Path, org: Option<String>, as_json: bool) -> Result<ExitCode, Failure> {
    let mut after = None;
    loop {
        let request = Request::Tail { after, org: org.clone() };
        let found = ask::ask(config, config_file, &request).await?;
        after = found["next"].as_u64();
        let lines = found["lines"].as_array().map_or(&[][..], Vec::as_slice);
        if let Some(skipped) = found["skipped"].as_u64().filter(|skipped| *skipped != 0) {
            say(&if as_json { format!("{{\"skipped\":{skipped}}}") } else { format!("… {skipped} went by") });
        }
        for line in lines {
            say(&if as_json { line.to_string() } else { shown(line) });
        }
        if lines.is_empty() {
            sleep(AGAIN).await;
        }
    }
}

fn shown(line: &Value) -> String {
    let word = |key: &str| match &line[key] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let at = time(line["at"].as_u64().unwrap_or_default());
    let who = format!("{} ({})", word("org"), word("stream"));
    let answer = [word("code"), word("enhanced"), word("text")].join(" ");
    let text = format!("{at}  {:<10} {who} mail {} -> {}  {answer}", word("kind"), word("mail"), word("domain"));
    plain(&text.replace('\n', " ")).trim_end().to_owned()
}

/// Fast enough for eyes.
const AGAIN: Duration = Duration::from_millis(500);
