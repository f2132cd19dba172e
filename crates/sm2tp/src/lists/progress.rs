//! A bar for a person who waits: on standard error, and only where that is a terminal.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use super::tally::grouped;

/// How far a file was read.
pub struct Progress {
    /// The whole file; none where nobody knows.
    octets: Option<u64>,
    read: u64,
    begun: Instant,
    shown: Instant,
    is_seen: bool,
}

impl Progress {
    pub fn new(octets: Option<u64>) -> Self {
        let now = Instant::now();
        Self { octets, read: 0, begun: now, shown: now, is_seen: io::stderr().is_terminal() }
    }

    /// So many octets more were read, and so many entries in all.
    pub fn show(&mut self, octets: u64, entries: u64) {
        self.read += octets;
        if !self.is_seen || self.shown.elapsed() < EVERY {
            return;
        }
        self.shown = Instant::now();
        let line = line(self.octets, self.read, entries, self.begun.elapsed());
        // To the begin of the line, and nothing behind it. Who has no terminal any more has no need of it.
        let _ = write!(io::stderr(), "\r{line}\x1b[K");
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_seen {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

fn line(octets: Option<u64>, read: u64, entries: u64, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs().max(1);
    let entries = format!("{} entries, {} a second", grouped(entries), grouped(entries / seconds));
    let Some(octets) = octets.filter(|octets| *octets != 0) else { return entries };
    let read = read.min(octets);
    let percent = read * 100 / octets;
    let done = usize::try_from(read * BAR / octets).unwrap_or(0);
    let left_s = (seconds * (octets - read)).checked_div(read).unwrap_or(0);
    let bar = format!("{}{}", "=".repeat(done), " ".repeat(usize::try_from(BAR).unwrap_or(0) - done));
    format!("{percent:>3} % [{bar}] {entries}, {}:{:02} left", left_s / 60, left_s % 60)
}

const EVERY: Duration = Duration::from_millis(200);
/// Characters of the bar.
const BAR: u64 = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_shows_how_much_is_done_and_how_long_it_takes() {
        let at = |octets, read| line(octets, read, 420_000, Duration::from_secs(50));
        assert_eq!(at(None, 7), "420 000 entries, 8 400 a second");
        assert_eq!(at(Some(1000), 500), " 50 % [============            ] 420 000 entries, 8 400 a second, 0:50 left");
        assert_eq!(at(Some(1000), 2000), "100 % [========================] 420 000 entries, 8 400 a second, 0:00 left");
        assert_eq!(at(Some(0), 0), "420 000 entries, 8 400 a second");
    }
}
