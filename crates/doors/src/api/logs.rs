//! `POST /api/v1/logs`: results of an old log, counted as `sm2tp log import` does for a file beside the node.

use std::path::Path;

use serde_json::{Value, json};
use sm2tp_proto::log::{Clock, Writer};
use sm2tp_rules::Stream;
use sm2tp_store::tokens::Token;

use super::operation::Given;
use super::problem::Problem;
use super::{Shared, asker};
use crate::control::{self, OldLog, OldResult, Request};
use crate::logs::{OldCounts, OldLines, source};
use crate::now;

/// What was said of the log, checked by the table.
struct Asked {
    writer: Writer,
    smarthost: Option<String>,
    stream: Stream,
    clock: Clock,
    /// Under which its position is kept.
    source: String,
}

/// Counts the whole lines of `log`, batch by batch, as the asker may: a part that was counted is known when the rest comes again.
pub(super) async fn import(shared: &Shared, token: &Token, given: &Given, log: &[u8]) -> Result<Value, Problem> {
    let first = log.split(|octet| *octet == b'\n').next().unwrap_or_default();
    let asked = Asked::of(given, first)?;
    let (mut old, mut done, mut lines) = (OldLines::new(asked.writer), OldCounts::default(), 0_u64);
    for line in log.split_inclusive(|octet| *octet == b'\n').filter(|line| line.ends_with(b"\n")) {
        lines += 1;
        if let Some(batch) = old.line(line, &asked.clock) {
            tell(shared, token, &asked, batch, &mut done).await?;
        }
    }
    tell(shared, token, &asked, old.rest(), &mut done).await?;
    Ok(json!({ "lines": lines, "taken": done.taken, "known": done.known, "overtaken": done.overtaken }))
}

async fn tell(
    shared: &Shared,
    token: &Token,
    asked: &Asked,
    results: Vec<OldResult>,
    done: &mut OldCounts,
) -> Result<(), Problem> {
    if results.is_empty() {
        return Ok(());
    }
    let log = OldLog {
        writer: asked.writer,
        source: asked.source.clone(),
        smarthost: asked.smarthost.clone(),
        stream: asked.stream,
        results,
    };
    let (house, onward) = (shared.house.clone(), shared.onward.clone());
    let said = control::answer_to(house, onward, asker(token), Request::LogImport { log }).await?;
    done.add(&said);
    Ok(())
}

impl Asked {
    fn of(given: &Given, first_line: &[u8]) -> Result<Self, Problem> {
        let text = |name: &str| given.get(name).and_then(Value::as_str);
        let writer = serde_json::from_value(given.get("format").cloned().unwrap_or_default());
        let writer = writer.map_err(|error| Problem::bad(error.to_string()))?;
        // The table bounds it to a day.
        let offset_s = given.get("offset_s").and_then(Value::as_f64).unwrap_or(0.0) as i64;
        let latest = given.get("latest").and_then(Value::as_u64).unwrap_or_else(now);
        Ok(Self {
            writer,
            smarthost: text("smarthost").map(str::to_owned),
            stream: text("stream").and_then(|word| word.parse().ok()).unwrap_or(Stream::Personal),
            clock: Clock { latest, offset_s },
            source: source(Path::new(text("log").unwrap_or_default()), first_line),
        })
    }
}
