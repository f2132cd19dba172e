//! `sm2tp log scan`: what the log of another mail server says about its deliveries, without a node.

mod import;
mod meaning;
mod page;
mod pieces;
mod report;
mod table;
mod terminal;
mod titles;

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use flate2::read::MultiGzDecoder;
use serde::Serialize;
use serde_json::json;
use sm2tp_proto::date;
use sm2tp_proto::delivery::What;
use sm2tp_proto::log::{Clock, Heard, Mails, Outcome, Status};
use sm2tp_rules::{Cause, Classifier};

pub use self::import::import;
use self::meaning::{Meaning, Meanings};
use self::pieces::Pieces;
use self::report::Report;
use self::table::Table;
use crate::config::{Language, LogFormat};
use crate::words::of_terminal;
use crate::{Exit, Failure};

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

/// How the answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum As {
    Text,
    /// A line for each result.
    Json,
    Page,
}

impl As {
    /// From the words of the command line, which takes one of them.
    pub fn of(json: bool, page: bool) -> Self {
        match (json, page) {
            (_, true) => Self::Page,
            (true, false) => Self::Json,
            (false, false) => Self::Text,
        }
    }
}

/// Reads all files, oldest first as they are named, as one log.
pub fn scan(classifier: &Classifier, format: LogFormat, files: &[PathBuf], how: As) -> Result<ExitCode, Failure> {
    let mut output = BufWriter::with_capacity(WRITE_OCTETS, io::stdout().lock());
    let mut scan = Scan::new(classifier, offset_s());
    for file in files {
        let (mut input, clock) = open(file)?;
        let read = match how {
            As::Json => scan.read(format, &mut *input, &clock, |_, heard, meaning| match heard {
                Heard::Outcome(outcome) => match write_json(&mut output, outcome, meaning) {
                    Ok(()) => ControlFlow::Continue(()),
                    // Whoever reads us may have had enough.
                    Err(_) => ControlFlow::Break(()),
                },
                Heard::Aside(..) => ControlFlow::Continue(()),
            }),
            As::Text | As::Page => scan.read(format, &mut *input, &clock, count),
        };
        match read {
            Ok(ControlFlow::Continue(())) => {}
            Ok(ControlFlow::Break(())) => return Ok(ExitCode::SUCCESS),
            Err(error) => return Err(Failure::new(Exit::Input, format!("{}: {error}", file.display()))),
        }
    }
    let text = match how {
        As::Json => in_numbers(&scan.counts, &scan.mails).to_string(),
        As::Text => terminal::text(&scan.report(of_terminal())),
        As::Page => page::html(&scan.report(of_terminal())),
    };
    let _ = writeln!(output, "{}", text.trim_end()).and_then(|()| output.flush());
    // The process ends here, and to give back a hundred thousand rows one by one takes longer than that.
    std::mem::forget(scan);
    Ok(ExitCode::SUCCESS)
}

/// What a log says, in words.
///
/// # Errors
/// Those of the input.
pub fn summary(classifier: &Classifier, format: LogFormat, input: &mut dyn Read, clock: &Clock) -> io::Result<String> {
    let mut scan = Scan::new(classifier, clock.offset_s);
    let _whole = scan.read(format, input, clock, count)?;
    Ok(terminal::text(&scan.report(Language::En)))
}

/// One log that is read.
struct Scan<'c> {
    mails: Mails,
    meanings: Meanings<'c>,
    counts: Counts,
    table: Table,
}

impl<'c> Scan<'c> {
    fn new(classifier: &'c Classifier, offset_s: i64) -> Self {
        let (counts, table) = (Counts::default(), Table::new(offset_s));
        Self { mails: Mails::new(MAILS_MAX), meanings: Meanings::new(classifier), counts, table }
    }

    fn read(
        &mut self,
        format: LogFormat,
        input: &mut dyn Read,
        clock: &Clock,
        mut each: impl FnMut(&mut Table, &Heard<'_>, Option<&Meaning>) -> ControlFlow<()>,
    ) -> io::Result<ControlFlow<()>> {
        heard(input, format, &mut self.mails, clock, |heard| {
            let Heard::Outcome(outcome) = heard else { return each(&mut self.table, heard, None) };
            self.counts.add(outcome.status);
            each(&mut self.table, heard, self.meanings.of(outcome).as_ref())
        })
    }

    fn report(&self, lang: Language) -> Report {
        Report::new(&self.table, &self.counts, &self.mails.seen, lang)
    }
}

fn count(table: &mut Table, heard: &Heard<'_>, meaning: Option<&Meaning>) -> ControlFlow<()> {
    match heard {
        Heard::Outcome(outcome) => table.add(outcome, meaning),
        Heard::Aside(at, aside) => table.note(*at, aside),
    }
    ControlFlow::Continue(())
}

/// Reads an input to its end, or until `each` has enough.
///
/// # Errors
/// Those of the input.
pub fn outcomes(
    input: &mut dyn Read,
    format: LogFormat,
    mails: &mut Mails,
    clock: &Clock,
    mut each: impl FnMut(&Outcome<'_>) -> ControlFlow<()>,
) -> io::Result<ControlFlow<()>> {
    heard(input, format, mails, clock, |heard| match heard {
        Heard::Outcome(outcome) => each(outcome),
        Heard::Aside(..) => ControlFlow::Continue(()),
    })
}

/// As [`outcomes`], with what is told beside them.
fn heard(
    input: &mut dyn Read,
    format: LogFormat,
    mails: &mut Mails,
    clock: &Clock,
    mut each: impl FnMut(&Heard<'_>) -> ControlFlow<()>,
) -> io::Result<ControlFlow<()>> {
    let (mut pieces, mut enough) = (Pieces::new(), ControlFlow::Continue(()));
    while let Some(piece) = pieces.next(input)? {
        for line in pieces::lines(&piece) {
            let each = |heard: Heard<'_>| {
                if enough.is_continue() {
                    enough = each(&heard);
                }
            };
            mails.hear(format, line, clock, each);
            if enough.is_break() {
                return Ok(enough);
            }
        }
    }
    Ok(enough)
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

/// One result, as `--json` prints it.
#[derive(Serialize)]
struct InJson<'a> {
    time: String,
    queue_id: &'a str,
    sender: Option<&'a str>,
    recipient: &'a str,
    relay: Option<&'a str>,
    status: &'static str,
    code: Option<u16>,
    enhanced: Option<String>,
    text: &'a str,
    message_id: Option<&'a str>,
    login: Option<&'a str>,
    cause: Option<Cause>,
    rule: Option<&'a str>,
    /// An older answer, for which nobody was asked.
    repeated: bool,
}

fn write_json(output: &mut impl Write, outcome: &Outcome<'_>, meaning: Option<&Meaning>) -> io::Result<()> {
    let line = InJson {
        time: date::rfc3339(outcome.at),
        queue_id: outcome.queue_id,
        sender: outcome.sender,
        recipient: outcome.recipient,
        relay: outcome.host,
        status: outcome.status.as_str(),
        code: outcome.code,
        enhanced: outcome.enhanced.map(|enhanced| enhanced.to_string()),
        text: outcome.text,
        message_id: outcome.message_id,
        login: outcome.login,
        cause: meaning.map(|meaning| meaning.cause),
        rule: meaning.map(|meaning| &*meaning.rule),
        repeated: outcome.delivery.what == What::Again,
    };
    serde_json::to_writer(&mut *output, &line)?;
    output.write_all(b"\n")
}

/// Seconds east of Greenwich on this machine; 0 where it cannot be known, as in a process with several threads.
pub fn offset_s() -> i64 {
    time::UtcOffset::current_local_offset().map_or(0, |offset| i64::from(offset.whole_seconds()))
}

/// Standard input, a file, or a compressed one; and what its lines leave out of their times.
fn open(file: &Path) -> Result<(Box<dyn Read>, Clock), Failure> {
    if file.as_os_str() == "-" {
        let unreadable = |error: io::Error| Failure::new(Exit::Input, format!("standard input: {error}"));
        return Ok((unpacked(io::stdin()).map_err(unreadable)?, clock_at(SystemTime::now())));
    }
    let unreadable = |error: io::Error| Failure::new(Exit::Input, format!("{}: {error}", file.display()));
    let opened = File::open(file).map_err(unreadable)?;
    let clock = clock(&opened);
    Ok((unpacked(opened).map_err(unreadable)?, clock))
}

/// What is in a file, unpacked where gzip compressed it, as Debian's logrotate does.
///
/// # Errors
/// Also where another program did: read as it is, it would look like a log in which nothing happened.
pub fn unpacked(file: impl Read + 'static) -> io::Result<Box<dyn Read>> {
    let mut input = BufReader::with_capacity(READ_OCTETS, file);
    let beginning = input.fill_buf()?;
    if let Some((_, program)) = OTHERS.iter().find(|(magic, _)| beginning.starts_with(magic)) {
        let why = format!("{program} compressed it, which is not read here; give what {program} -dc prints");
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    let is_gzip = beginning.starts_with(&GZIP);
    Ok(if is_gzip { Box::new(MultiGzDecoder::new(input)) } else { Box::new(input) })
}

/// What the lines of a file leave out of their times.
fn clock(file: &File) -> Clock {
    clock_at(file.metadata().and_then(|data| data.modified()).unwrap_or_else(|_| SystemTime::now()))
}

fn clock_at(latest: SystemTime) -> Clock {
    let latest = latest.duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs());
    Clock { latest, offset_s: offset_s() }
}

const READ_OCTETS: usize = 64 * 1024;
const WRITE_OCTETS: usize = 64 * 1024;
/// Mails under way at a time, some 300 octets each. A large hoster's queue has tens of thousands.
pub const MAILS_MAX: usize = 200_000;
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// How files begin that others compressed.
const OTHERS: [(&[u8], &str); 3] = [(b"\xfd7zXZ\0", "xz"), (b"BZh", "bzip2"), (b"\x28\xb5\x2f\xfd", "zstd")];
