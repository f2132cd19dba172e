//! Follows the journal of systemd: `journalctl` reads it, as a child process, and says each entry as a line of JSON.
//!
//! An entry is known by the number that its journal gave it (`i` in `__CURSOR`; it only grows) and by the journal (`s`). The
//! number is what the ledger keeps beside the events, so that no entry counts twice, and what reading goes on from.

pub(crate) mod entry;

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;

use tokio::sync::mpsc;

pub(super) use self::entry::Entry;
use self::entry::entry;

/// A `journalctl` that runs; it ends with this.
pub(super) struct Journal {
    child: Child,
    lines: mpsc::Receiver<Vec<u8>>,
}

impl Journal {
    /// Which journal is written to now; none where there is no entry of mail in it yet.
    pub(super) fn current(folder: Option<&Path>) -> io::Result<Option<String>> {
        let output = journalctl(folder).args(["--lines=1"]).stderr(Stdio::null()).output()?;
        let line = output.stdout.split(|octet| *octet == b'\n').next().unwrap_or_default();
        Ok(entry(line).map(|entry| entry.of))
    }

    /// Reads on behind an entry, or from the first one.
    pub(super) fn behind(folder: Option<&Path>, after: Option<(&str, u64)>) -> io::Result<Self> {
        let mut command = journalctl(folder);
        command.args(["--follow", "--no-tail"]);
        if let Some((of, number)) = after {
            command.arg(format!("--after-cursor=s={of};i={number:x}"));
        }
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let (to, lines) = mpsc::channel(LINES_WAITING_MAX);
        if let Some(output) = child.stdout.take() {
            thread::Builder::new().name("journal".into()).spawn(move || read(output, &to))?;
        }
        Ok(Self { child, lines })
    }

    /// The next entries, as soon as there is one; none when `journalctl` has ended.
    pub(super) async fn next(&mut self) -> Option<Vec<Entry>> {
        let first = self.lines.recv().await?;
        let mut entries: Vec<Entry> = entry(&first).into_iter().collect();
        while entries.len() < TOGETHER_MAX
            && let Ok(line) = self.lines.try_recv()
        {
            entries.extend(entry(&line));
        }
        Some(entries)
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What mail servers write: syslog's facility 2 (RFC 5424 §6.2.1).
fn journalctl(folder: Option<&Path>) -> Command {
    let mut command = Command::new("journalctl");
    command.args(["--output=json", "--all", "--quiet", "--output-fields=MESSAGE,SYSLOG_IDENTIFIER,_HOSTNAME"]);
    match folder {
        Some(folder) => command.arg(format!("--directory={}", folder.display())),
        None => command.arg("--system"),
    };
    command.arg("SYSLOG_FACILITY=2").stdin(Stdio::null());
    command
}

/// Until the end of the child, or of who listens. A thread of its own: reading a pipe waits.
fn read(output: ChildStdout, to: &mpsc::Sender<Vec<u8>>) {
    let mut output = BufReader::new(output);
    loop {
        let mut line = Vec::new();
        match Read::by_ref(&mut output).take(LINE_OCTETS_MAX).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) if !line.ends_with(b"\n") && output.skip_until(b'\n').is_err() => return,
            Ok(_) => {}
        }
        if to.blocking_send(line).is_err() {
            return;
        }
    }
}

/// Lines that wait for the ledger; then `journalctl` waits.
const LINES_WAITING_MAX: usize = 1000;
/// Entries that are told at once.
const TOGETHER_MAX: usize = 1000;
/// JSON may write each octet as several.
const LINE_OCTETS_MAX: u64 = 256 * 1024;
