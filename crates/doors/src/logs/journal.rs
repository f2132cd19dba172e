//! Follows the journal of systemd: `journalctl` reads it, as a child process, and says each entry as a line of JSON.
//!
//! An entry is known by the number that its journal gave it (`i` in `__CURSOR`; it only grows) and by the journal (`s`). The
//! number is what the ledger keeps beside the events, so that no entry counts twice, and what reading goes on from.

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;

use serde::Deserialize;
use serde_json::Value;
use sm2tp_proto::date;
use tokio::sync::mpsc;

/// An entry of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Which journal.
    pub of: String,
    pub number: u64,
    /// As syslog would have written it, with a time of RFC 3339.
    pub line: String,
}

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

#[derive(Deserialize)]
struct InJson<'a> {
    #[serde(rename = "__CURSOR")]
    cursor: &'a str,
    #[serde(rename = "__REALTIME_TIMESTAMP")]
    micros: &'a str,
    #[serde(rename = "MESSAGE", default)]
    message: Value,
    #[serde(rename = "SYSLOG_IDENTIFIER", default)]
    program: String,
    #[serde(rename = "_HOSTNAME", default)]
    host: String,
}

/// None for what is no entry; such a line is passed over.
fn entry(line: &[u8]) -> Option<Entry> {
    let InJson { cursor, micros, message, program, host } = serde_json::from_slice(line).ok()?;
    let part = |name: &str| cursor.split(';').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
    let number = u64::from_str_radix(part("i")?, 16).ok()?;
    let of = part("s").filter(|of| of.bytes().all(|octet| octet.is_ascii_hexdigit()))?.to_owned();
    let message = match message {
        Value::String(text) => text,
        // What is no UTF-8 comes as numbers.
        Value::Array(octets) => {
            let octets: Vec<u8> = octets.iter().filter_map(|octet| u8::try_from(octet.as_u64()?).ok()).collect();
            String::from_utf8_lossy(&octets).into_owned()
        }
        _ => return None,
    };
    let at = date::rfc3339(micros.parse::<u64>().ok()? / 1_000_000);
    let word = |text: &str, instead: &str| match text.is_empty() || text.contains([' ', ':', '[']) {
        true => instead.to_owned(),
        false => text.to_owned(),
    };
    let line = format!("{at} {} {}: {message}", word(&host, "localhost"), word(&program, "mail"));
    Some(Entry { of, number, line })
}

/// Lines that wait for the ledger; then `journalctl` waits.
const LINES_WAITING_MAX: usize = 1000;
/// Entries that are told at once.
const TOGETHER_MAX: usize = 1000;
/// JSON may write each octet as several.
const LINE_OCTETS_MAX: u64 = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, want: Option<(&str, u64, &str)>) {
        let read = entry(line.as_bytes());
        assert_eq!(read.as_ref().map(|entry| (&*entry.of, entry.number, &*entry.line)), want, "{line}");
    }

    #[test]
    fn an_entry_is_a_line_of_syslog_with_the_place_where_it_stands() {
        let head = r#"{"__CURSOR":"s=62ab;i=1f;b=01;m=1;t=66;x=4","__REALTIME_TIMESTAMP":"1795680199000001","_HOSTNAME":"vm","#;
        let want = Some(("62ab", 31, "2026-11-26T08:03:19Z vm postfix/smtp: 4jX8761: removed"));
        check(&format!(r#"{head}"SYSLOG_IDENTIFIER":"postfix/smtp","MESSAGE":"4jX8761: removed"}}"#), want);
        let octets = Some(("62ab", 31, "2026-11-26T08:03:19Z vm mail: a\u{fffd}"));
        check(&format!(r#"{head}"SYSLOG_IDENTIFIER":"a b","MESSAGE":[97,255]}}"#), octets);
        for line in [
            "",
            "-- No entries --",
            "{}",
            r#"{"__CURSOR":"s=62ab;i=zz","__REALTIME_TIMESTAMP":"1","MESSAGE":"x"}"#,
            r#"{"__CURSOR":"s=../x;i=1","__REALTIME_TIMESTAMP":"1","MESSAGE":"x"}"#,
            r#"{"__CURSOR":"s=62ab;i=1","__REALTIME_TIMESTAMP":"1","MESSAGE":null}"#,
        ] {
            check(line, None);
        }
    }
}
