//! `sm2tp log import`: logs from before the node followed them, counted as if it had. What was counted once is not again,
//! whoever read it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use sm2tp_doors::control::{OldLog, OldResult, Request};
use sm2tp_doors::logs::{self, OldCounts, OldLines};
use sm2tp_proto::log::{Clock, Writer};

use super::{READ_OCTETS, clock, unpacked};
use crate::ask::Node;
use crate::config::{Config, LogFile, LogFormat, LogPlace};
use crate::lists::Progress;
use crate::{Exit, Failure, open, outward, say};

/// Files, oldest first, of the log that is followed, or will be, at `log`.
pub async fn import(
    config: &Config,
    config_file: &Path,
    format: LogFormat,
    log: Option<&Path>,
    files: &[PathBuf],
    as_json: bool,
) -> Result<ExitCode, Failure> {
    let followed = followed(config, format, log)?;
    let octets = files.iter().map(|file| File::open(file).and_then(|file| file.metadata()).map(|data| data.len()));
    let octets = octets.sum::<io::Result<u64>>().map_err(|error| Failure::new(Exit::Input, error.to_string()))?;
    let mut importing = Importing {
        node: Node::new(config, config_file),
        followed,
        stream: config
            .policy
            .as_ref()
            .map_or(sm2tp_rules::Stream::Personal, |policy| outward::stream_of(policy.stream)),
        old: OldLines::new(format),
        progress: Progress::new(Some(octets)),
        lines: 0,
        counts: OldCounts::default(),
    };
    for file in files {
        importing.file(file).await?;
    }
    let Importing { progress, lines, counts, .. } = importing;
    drop(progress);
    let OldCounts { taken, known, overtaken } = counts;
    say(&match as_json {
        true => json!({ "lines": lines, "taken": taken, "known": known, "overtaken": overtaken }).to_string(),
        false => format!(
            "{lines} lines read: {taken} results counted, {known} were counted before, {overtaken} are older than what is known \
             of their address."
        ),
    });
    Ok(ExitCode::SUCCESS)
}

/// Which log the files belong to: positions are kept under its name.
fn followed(config: &Config, format: LogFormat, log: Option<&Path>) -> Result<LogFile, Failure> {
    let all = config.logs.as_ref().map_or(&[][..], |logs| &logs.follow);
    let path = |file: &LogFile| match &file.place {
        LogPlace::File(path) => Some(path.clone()),
        LogPlace::Journal(_) => None,
    };
    let fits = |file: &&LogFile| file.format == format && log.is_none_or(|log| path(file).as_deref() == Some(log));
    let mut those = all.iter().filter(|file| path(file).is_some()).filter(fits);
    match (those.next(), those.next(), log) {
        (Some(one), None, _) => Ok(one.clone()),
        (None, _, Some(log)) => Ok(LogFile { format, place: LogPlace::File(log.to_owned()), smarthost: None }),
        _ => Err(Failure::new(
            Exit::Usage,
            "which log do these files belong to? [logs] follows none or several of this format; name it with --log \
             /var/log/mail.log",
        )),
    }
}

struct Importing<'a> {
    node: Node<'a>,
    followed: LogFile,
    stream: sm2tp_rules::Stream,
    old: OldLines,
    progress: Progress,
    lines: u64,
    counts: OldCounts,
}

impl Importing<'_> {
    async fn file(&mut self, path: &Path) -> Result<(), Failure> {
        let unreadable = |error: io::Error| Failure::new(Exit::Input, format!("{}: {error}", path.display()));
        let mut input = Input::open(path)?;
        let LogPlace::File(log) = &self.followed.place else { return Ok(()) };
        let source = logs::source(log, &input.first_line().map_err(unreadable)?);
        let writer = self.followed.format;
        let (mut line, mut shown) = (Vec::new(), 0);
        self.old.begin();
        while input.line(&mut line).map_err(unreadable)? {
            self.lines += 1;
            if let Some(batch) = self.old.line(&line, &input.clock) {
                self.tell(&source, writer, batch).await?;
                let read = input.read.load(Ordering::Relaxed);
                self.progress.show(read - shown, self.counts.taken + self.counts.known);
                shown = read;
            }
        }
        let rest = self.old.rest();
        self.tell(&source, writer, rest).await?;
        self.progress.show(input.read.load(Ordering::Relaxed) - shown, self.counts.taken + self.counts.known);
        Ok(())
    }

    async fn tell(&mut self, source: &str, writer: Writer, results: Vec<OldResult>) -> Result<(), Failure> {
        if results.is_empty() {
            return Ok(());
        }
        let log = OldLog {
            writer,
            source: source.to_owned(),
            smarthost: self.followed.smarthost.clone(),
            stream: self.stream,
            results,
        };
        let said: Value = self.node.ask(&Request::LogImport { log }).await?;
        self.counts.add(&said);
        Ok(())
    }
}

/// A log, unpacked, and how much of the file was read.
struct Input {
    from: Box<dyn BufRead>,
    clock: Clock,
    read: Arc<AtomicU64>,
}

impl Input {
    fn open(path: &Path) -> Result<Self, Failure> {
        let file = File::open(path).map_err(|error| open::unusable(path, &error))?;
        let clock = clock(&file);
        let read = Arc::new(AtomicU64::new(0));
        let unreadable = |error: io::Error| Failure::new(Exit::Input, format!("{}: {error}", path.display()));
        let input = unpacked(Counted { file, read: Arc::clone(&read) }).map_err(unreadable)?;
        Ok(Self { from: Box::new(BufReader::with_capacity(READ_OCTETS, input)), clock, read })
    }

    /// The first line, without its end; it is read again with the others.
    fn first_line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        self.line(&mut line)?;
        let whole = std::mem::replace(&mut self.from, Box::new(io::empty()));
        self.from = Box::new(Cursor::new(line.clone()).chain(whole));
        line.pop_if(|octet| *octet == b'\n');
        Ok(line)
    }

    /// The next line with its end. One that is too long is left out, all of it: what a stranger wrote behind so many octets must not
    /// be taken for a line. False at the end of the file; a last line without its end is not written yet, and the follower's.
    fn line(&mut self, line: &mut Vec<u8>) -> io::Result<bool> {
        let mut passes_over = false;
        loop {
            line.clear();
            let octets = Read::by_ref(&mut self.from).take(LINE_OCTETS_MAX).read_until(b'\n', line)?;
            let is_whole = line.ends_with(b"\n");
            if is_whole && !passes_over {
                return Ok(true);
            }
            if !is_whole && (octets as u64) < LINE_OCTETS_MAX {
                return Ok(false);
            }
            passes_over = !is_whole;
        }
    }
}

struct Counted {
    file: File,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let octets = self.file.read(into)?;
        self.read.fetch_add(octets as u64, Ordering::Relaxed);
        Ok(octets)
    }
}

/// A line; longer ones are left out.
const LINE_OCTETS_MAX: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::clock_at;

    #[test]
    fn a_line_that_is_too_long_is_left_out_with_its_tail_and_the_next_ones_are_read() {
        let long = "x".repeat(LINE_OCTETS_MAX as usize);
        for (text, want) in [
            ("a\nb\nc", vec!["a\n", "b\n"]),
            (&format!("a\n{long}tail\nb\n"), vec!["a\n", "b\n"]),
            (&format!("{long}{long}\nb\n"), vec!["b\n"]),
            (&format!("a\n{long}"), vec!["a\n"]),
            ("", vec![]),
        ] {
            let (from, clock) = (Box::new(Cursor::new(text.as_bytes().to_vec())), clock_at(std::time::UNIX_EPOCH));
            let mut input = Input { from, clock, read: Arc::default() };
            let (mut line, mut read) = (Vec::new(), Vec::new());
            while input.line(&mut line).unwrap() {
                read.push(String::from_utf8(line.clone()).unwrap());
            }
            assert_eq!(read, want);
        }
    }
}
