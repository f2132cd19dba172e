//! Lines of a log from before the node followed it, as results in batches that a control request can carry.

use serde::Serialize;
use serde_json::Value;
use sm2tp_proto::log::{Clock, Mails, Outcome, Writer};

use crate::control::OldResult;

/// Puts the lines of old logs together; mails that begin in one file may end in the next.
pub struct OldLines {
    writer: Writer,
    mails: Mails,
    /// Octets of the file up to here.
    end: u64,
    results: Vec<OldResult>,
}

/// What became of the results of old lines.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct OldCounts {
    pub taken: u64,
    pub known: u64,
    pub overtaken: u64,
}

impl OldCounts {
    /// Adds what was said of a batch.
    pub fn add(&mut self, said: &Value) {
        let count = |key: &str| said[key].as_u64().unwrap_or(0);
        self.taken += count("taken");
        self.known += count("known");
        self.overtaken += count("overtaken");
    }
}

impl OldLines {
    #[must_use]
    pub fn new(writer: Writer) -> Self {
        Self { writer, mails: Mails::new(super::MAILS_MAX), end: 0, results: Vec::new() }
    }

    /// A file begins.
    pub fn begin(&mut self) {
        self.end = 0;
        self.results.clear();
    }

    /// Reads a line with its end. Answers with a batch, where one is full: the results of a line are in one batch, so that what
    /// is taken of a line is taken whole.
    pub fn line(&mut self, line: &[u8], clock: &Clock) -> Option<Vec<OldResult>> {
        self.end += line.len() as u64;
        let (end, results) = (self.end, &mut self.results);
        let each = |outcome: Outcome<'_>| results.push(OldResult::new(end, &outcome));
        self.mails.line(self.writer, String::from_utf8_lossy(line).trim_end(), clock, each);
        (BATCH_RESULTS < self.results.len()).then(|| self.rest())
    }

    /// What is left at the end of a file.
    pub fn rest(&mut self) -> Vec<OldResult> {
        let mut results = std::mem::take(&mut self.results);
        // One expiry may tell of a thousand recipients; a line is told whole, and a request has an end.
        if BATCH_OCTETS_MAX < results.iter().map(|result| result.text.len()).sum() {
            for result in &mut results {
                result.text.truncate(result.text.floor_char_boundary(TEXT_OCTETS));
            }
        }
        results
    }
}

/// Results in one request: some hundred kilobytes at most.
const BATCH_RESULTS: usize = 100;
/// Texts of one request; with addresses and quoting it stays below what the node reads (2 MiB).
const BATCH_OCTETS_MAX: usize = 512 * 1024;
/// What is left of a text then.
const TEXT_OCTETS: usize = 400;
