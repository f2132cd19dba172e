//! `sm2tp suppress import` and `export`: lists of other programs go to the node in batches, its own list comes in pages.

mod args;
mod export;
mod progress;
mod tally;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::process::ExitCode;
use std::thread;

use serde_json::Value;
use sm2tp_doors::control::{IMPORT_ENTRIES_MAX, Import, ImportMode, Listed, Request};
use sm2tp_doors::lists::{judge, shown, whom};
use sm2tp_proto::lists::{Format, Line, Reader, Reason};
use sm2tp_rules::Classifier;
use sm2tp_rules::imported::Left;
use tokio::sync::{mpsc, watch};

pub use self::args::{ExportFormat, ImportArgs};
pub use self::export::export;
pub use self::progress::Progress;
use self::tally::Tally;
pub use self::tally::grouped;
use crate::ask::Node;
use crate::config::Config;
use crate::{Exit, Failure, open, say};

/// Reads a list to its end, or to a Ctrl-C, and says what became of it. What was taken before stays taken; the same list may
/// be imported again.
pub async fn import(
    config: &Config,
    config_file: &Path,
    asked: ImportArgs,
    as_json: bool,
) -> Result<ExitCode, Failure> {
    let classifier = open::classifier(config_file)?;
    let input = Input::open(&asked.file)?;
    let octets = input.octets;
    let mut importing = Importing {
        node: Node::new(config, config_file),
        reader: Reader::new(asked.format.0),
        org: asked.org,
        default: asked.reason.map(Reason::from),
        mode: if asked.dry_run { ImportMode::Try } else { ImportMode::Keep },
        classifier,
        batch: Batch::default(),
        tally: Tally::new(asked.rejects.as_deref())?,
        lines: Vec::new(),
    };
    // Asked before anything is read, so that a missing node or a wrong name is said at once.
    importing.flush().await?;
    let (mut pieces, mut stop) = (input.pieces()?, stop_at_interrupt());
    let mut progress = Progress::new(octets);
    while !importing.tally.is_interrupted {
        let piece = tokio::select! {
            piece = pieces.recv() => piece,
            _ = stop.changed() => break,
        };
        let read = piece.transpose().map_err(|error| Failure::new(Exit::Input, error))?;
        match &read {
            Some(octets) => importing.reader.push(octets, &mut importing.lines),
            None => importing.reader.finish(&mut importing.lines),
        }
        importing.take(&stop).await?;
        let Some(octets) = read else { break };
        progress.show(octets.len() as u64, importing.tally.read);
    }
    importing.tally.is_interrupted |= *stop.borrow();
    importing.flush().await?;
    drop(progress);
    importing.finish(&asked.file, as_json)
}

/// A list on its way to the node.
struct Importing<'a> {
    node: Node<'a>,
    reader: Reader,
    org: Option<String>,
    /// The reason of entries that have none.
    default: Option<Reason>,
    mode: ImportMode,
    classifier: Classifier,
    batch: Batch,
    tally: Tally,
    /// What was read and not looked at yet: those of one piece of the file.
    lines: Vec<Line>,
}

/// Entries that the node has not seen yet, with their numbers and addresses for those that it leaves out.
#[derive(Default)]
struct Batch {
    entries: Vec<Listed>,
    numbers: Vec<u64>,
    octets: usize,
}

impl Importing<'_> {
    async fn take(&mut self, stop: &watch::Receiver<bool>) -> Result<(), Failure> {
        let format = self.reader.format().unwrap_or(Format::Plain);
        for line in std::mem::take(&mut self.lines) {
            if *stop.borrow() {
                self.tally.is_interrupted = true;
                break;
            }
            self.tally.read += 1;
            match line {
                Line::Refused { number, fault } => self.tally.leave(number, None, &fault.to_string())?,
                Line::Entry(entry) => {
                    let number = entry.number;
                    let address = shown(&entry.who).to_owned();
                    match judge(entry, format, self.default, &self.classifier) {
                        Ok(listed) => self.batch.push(number, listed),
                        Err(skip) => self.tally.leave(number, Some(&address), &skip.to_string())?,
                    }
                }
            }
            if self.batch.is_full() {
                self.flush().await?;
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Failure> {
        let batch = std::mem::take(&mut self.batch);
        let names: Vec<String> = batch.entries.iter().map(|entry| whom(&entry.who).to_owned()).collect();
        let from = self.reader.format().unwrap_or(Format::Plain);
        let import = Import { from, org: self.org.clone(), mode: self.mode, entries: batch.entries };
        let done = self.node.ask(&Request::SuppressImport { import }).await?;
        let number = |key: &str| done[key].as_u64().unwrap_or(0);
        self.tally.taken += number("taken");
        self.tally.known += number("known");
        for left in done["left"].as_array().map_or(&[][..], Vec::as_slice) {
            let (place, why) = left_out(left)?;
            let (Some(number), Some(whom)) = (batch.numbers.get(place), names.get(place)) else { continue };
            self.tally.leave(*number, Some(whom), &why.to_string())?;
        }
        Ok(())
    }

    fn finish(self, file: &Path, as_json: bool) -> Result<ExitCode, Failure> {
        let Self { tally, reader, mode, .. } = self;
        let format = reader.format().unwrap_or(Format::Plain);
        let (interrupted, useless) = (tally.is_interrupted, tally.taken + tally.known == 0);
        let (read, is_try) = (tally.read, mode == ImportMode::Try);
        say(tally.finish(file, format, is_try, as_json)?.trim_end());
        Ok(match (interrupted, useless) {
            (true, _) => ExitCode::from(Exit::Temporary as u8),
            // A file without a single entry that can be used is the wrong file, or the wrong format.
            (false, true) if read != 0 => ExitCode::from(Exit::Input as u8),
            _ => ExitCode::SUCCESS,
        })
    }
}

impl Batch {
    fn push(&mut self, number: u64, listed: Listed) {
        self.octets += listed.words.as_ref().map_or(0, String::len);
        self.entries.push(listed);
        self.numbers.push(number);
    }

    fn is_full(&self) -> bool {
        IMPORT_ENTRIES_MAX <= self.entries.len() || BATCH_OCTETS_MAX <= self.octets
    }
}

/// A file or standard input, with its size where that is known.
struct Input {
    from: Box<dyn Read + Send>,
    name: String,
    octets: Option<u64>,
}

impl Input {
    fn open(path: &Path) -> Result<Self, Failure> {
        if path == Path::new("-") {
            return Ok(Self { from: Box::new(io::stdin()), name: "standard input".to_owned(), octets: None });
        }
        let file = File::open(path).map_err(|error| open::unusable(path, &error))?;
        let octets = file.metadata().ok().filter(std::fs::Metadata::is_file).map(|metadata| metadata.len());
        Ok(Self { from: Box::new(file), name: path.display().to_string(), octets })
    }

    /// Its pieces, read by a thread of its own: a pipe may be silent for as long as it likes, and Ctrl-C holds all the same. The
    /// thread ends with the program.
    fn pieces(mut self) -> Result<mpsc::Receiver<Result<Vec<u8>, String>>, Failure> {
        let (to, pieces) = mpsc::channel(PIECES_MAX);
        let read = move || {
            let mut piece = vec![0; PIECE_OCTETS];
            loop {
                let read = match self.from.read(&mut piece) {
                    Ok(0) => return,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Ok(octets) => Ok(piece[..octets].to_vec()),
                    Err(error) => Err(format!("{}: {error}", self.name)),
                };
                let is_last = read.is_err();
                if to.blocking_send(read).is_err() || is_last {
                    return;
                }
            }
        };
        let started = thread::Builder::new().name("list".into()).spawn(read);
        started.map_err(|error| Failure::new(Exit::Temporary, format!("no threads can be started: {error}")))?;
        Ok(pieces)
    }
}

fn left_out(left: &Value) -> Result<(usize, Left), Failure> {
    serde_json::from_value(left.clone())
        .map_err(|error| Failure::new(Exit::Unavailable, format!("the node's answer is not understood: {error}")))
}

/// The first Ctrl-C ends the import after its batch, so that there is a report; the second ends the program.
fn stop_at_interrupt() -> watch::Receiver<bool> {
    let (to, stop) = watch::channel(false);
    tokio::spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            if to.send_replace(true) {
                std::process::exit(INTERRUPTED);
            }
        }
    });
    stop
}

/// Pieces of a file that wait.
const PIECES_MAX: usize = 2;
/// What is read of a file at once.
const PIECE_OCTETS: usize = 64 * 1024;
/// Words of servers in one request; with addresses and quoting it stays far below what the node reads (2 MiB).
const BATCH_OCTETS_MAX: usize = 256 * 1024;
/// As a shell counts it: 128 and the number of SIGINT.
const INTERRUPTED: i32 = 130;
