//! `sm2tp log scan`: what the log of another mail server says about its deliveries, without a node.

mod table;

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use flate2::read::MultiGzDecoder;
use serde_json::json;
use sm2tp_proto::Enhanced;
use sm2tp_proto::delivery::What;
use sm2tp_proto::log::{Clock, Mails, Outcome, Status};
use sm2tp_rules::Classifier;

use self::table::Table;
use crate::config::LogFormat;
use crate::{Exit, Failure, lines, show};

/// How many results of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    sent: u64,
    deferred: u64,
    bounced: u64,
    expired: u64,
}

impl Counts {
    fn add(&mut self, status: Status) {
        match status {
            Status::Sent => self.sent += 1,
            Status::Deferred => self.deferred += 1,
            Status::Bounced => self.bounced += 1,
            Status::Expired => self.expired += 1,
        }
    }
}

/// Reads all files, oldest first as they are named, as one log.
pub fn scan(classifier: &Classifier, format: LogFormat, files: &[PathBuf], as_json: bool) -> Result<ExitCode, Failure> {
    let mut output = BufWriter::new(io::stdout().lock());
    let (mut mails, mut counts, mut table) = (Mails::new(MAILS_MAX), Counts::default(), Table::default());
    for file in files {
        let (mut input, clock) = open(file)?;
        let unreadable = |error: io::Error| Failure::new(Exit::Input, format!("{}: {error}", file.display()));
        let mut octets = Vec::new();
        while lines::next(&mut *input, &mut octets, LINE_OCTETS_MAX).map_err(unreadable)? {
            let line = String::from_utf8_lossy(&octets);
            let mut gone = false;
            let each = |outcome: Outcome<'_>| {
                counts.add(outcome.status);
                let meaning =
                    if outcome.status == Status::Sent { None } else { classifier.delivery(&outcome.delivery) };
                if as_json {
                    gone |= writeln!(output, "{}", in_json(&outcome, meaning.as_ref())).is_err();
                } else {
                    let provider =
                        outcome.host.and_then(|host| classifier.provider(host)).map(|provider| &*provider.name);
                    table.add(&outcome, meaning.as_ref(), provider);
                }
            };
            match format {
                LogFormat::Postfix => mails.postfix(&line, &clock, each),
                LogFormat::Exim => mails.exim(&line, &clock, each),
            }
            // Whoever reads us has had enough.
            if gone {
                return Ok(ExitCode::SUCCESS);
            }
        }
    }
    let text = if as_json { in_numbers(&counts, &mails).to_string() } else { table.in_words(&counts, &mails.seen) };
    let _ = writeln!(output, "{}", text.trim_end()).and_then(|()| output.flush());
    Ok(ExitCode::SUCCESS)
}

fn in_numbers(counts: &Counts, mails: &Mails) -> serde_json::Value {
    json!({ "counts": {
        "lines": mails.seen.lines,
        "sent": counts.sent,
        "deferred": counts.deferred,
        "bounced": counts.bounced,
        "expired": counts.expired,
        "repeated": mails.seen.again,
        "inner": mails.seen.inner,
    } })
}

fn in_json(outcome: &Outcome<'_>, meaning: Option<&sm2tp_rules::Outcome>) -> serde_json::Value {
    json!({
        "time": show::rfc3339(outcome.at),
        "queue_id": outcome.queue_id,
        "sender": outcome.sender,
        "recipient": outcome.recipient,
        "relay": outcome.host,
        "status": outcome.status.as_str(),
        "code": outcome.code,
        "enhanced": outcome.enhanced.map(|Enhanced(class, subject, detail)| format!("{class}.{subject}.{detail}")),
        "text": outcome.text,
        "message_id": outcome.message_id,
        "login": outcome.login,
        "cause": meaning.map(|meaning| meaning.cause),
        "rule": meaning.map(|meaning| &*meaning.rule),
        // An older answer, for which nobody was asked.
        "repeated": outcome.delivery.what == What::Again,
    })
}

/// Seconds east of Greenwich on this machine; 0 where it cannot be known, as in a process with several threads.
pub fn offset_s() -> i64 {
    time::UtcOffset::current_local_offset().map_or(0, |offset| i64::from(offset.whole_seconds()))
}

/// Standard input, a file, or a compressed one; and what its lines leave out of their times.
fn open(file: &Path) -> Result<(Box<dyn BufRead>, Clock), Failure> {
    let offset_s = offset_s();
    let clock = |at: SystemTime| {
        let latest = at.duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs());
        Clock { latest, offset_s }
    };
    if file.as_os_str() == "-" {
        return Ok((Box::new(BufReader::with_capacity(READ_OCTETS, io::stdin())), clock(SystemTime::now())));
    }
    let unreadable = |error: io::Error| Failure::new(Exit::Input, format!("{}: {error}", file.display()));
    let opened = File::open(file).map_err(unreadable)?;
    let written = opened.metadata().and_then(|data| data.modified()).unwrap_or_else(|_| SystemTime::now());
    let mut input = BufReader::with_capacity(READ_OCTETS, opened);
    let is_gzip = input.fill_buf().map_err(unreadable)?.starts_with(&GZIP);
    let input: Box<dyn BufRead> = match is_gzip {
        true => Box::new(BufReader::with_capacity(READ_OCTETS, MultiGzDecoder::new(input))),
        false => Box::new(input),
    };
    Ok((input, clock(written)))
}

/// Postfix cuts a text at 2 000 octets, Exim does not cut.
const LINE_OCTETS_MAX: u64 = 64 * 1024;
const READ_OCTETS: usize = 256 * 1024;
/// Mails under way at a time, some 300 octets each. A large hoster's queue has tens of thousands.
const MAILS_MAX: usize = 200_000;
const GZIP: [u8; 2] = [0x1f, 0x8b];
