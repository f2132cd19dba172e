//! What happens, as it happens: the last lines in memory, for whoever looks. Nothing is kept of it, and nobody is waited for:
//! who reads too slowly is told how many lines went by.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use sm2tp_proto::Address;
use tokio::sync::watch;

use crate::told::{Told, What, mask};

/// The last lines; clones share them.
#[derive(Debug, Clone)]
pub struct Tail(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    ring: Mutex<Ring>,
    /// The number of the last line.
    last: watch::Sender<u64>,
    /// Until when somebody looks (unix seconds): before, no line is made.
    wanted_until: AtomicU64,
}

#[derive(Debug, Default)]
struct Ring {
    /// The number of the next line; numbers begin at 1 with the process.
    next: u64,
    lines: VecDeque<Line>,
}

/// One happening. Recipients are shown as their domain alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    pub number: u64,
    /// Unix seconds.
    pub at: u64,
    pub kind: &'static str,
    pub org: String,
    pub stream: String,
    /// The number of the mail.
    pub mail: u64,
    pub domain: Option<String>,
    pub provider: Option<String>,
    pub mx: Option<String>,
    pub exit: Option<String>,
    pub code: Option<u16>,
    pub enhanced: Option<String>,
    pub cause: Option<String>,
    /// What the server said, without addresses; or why it was stopped.
    pub text: Option<String>,
}

/// Lines behind a number.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Since {
    pub lines: Vec<Line>,
    /// Ask behind this next.
    pub next: u64,
    /// Lines that went by before anybody asked.
    pub skipped: u64,
}

impl Default for Tail {
    fn default() -> Self {
        let ring = Mutex::new(Ring { next: 1, lines: VecDeque::new() });
        Self(Arc::new(Shared { ring, last: watch::Sender::new(0), wanted_until: AtomicU64::new(0) }))
    }
}

impl Tail {
    /// Makes lines of what was just recorded, if somebody looks. `now` in unix seconds.
    pub(crate) fn hear<'a>(&self, told: impl Iterator<Item = &'a Told>, now: u64) {
        if self.0.wanted_until.load(Ordering::Relaxed) < now {
            return;
        }
        let mut ring = self.ring();
        for told in told {
            let line = Line { number: ring.next, ..line(told) };
            ring.next += 1;
            if ring.lines.len() == LINES_MAX {
                ring.lines.pop_front();
            }
            ring.lines.push_back(line);
        }
        let last = ring.next - 1;
        drop(ring);
        self.0.last.send_replace(last);
    }

    /// Lines behind `after` (none: from now on) of an organisation or of all, [`PAGE_MAX`] at most. From now on lines are made
    /// for a minute.
    #[must_use]
    pub fn since(&self, after: Option<u64>, org: Option<&str>, now: u64) -> Since {
        self.0.wanted_until.store(now.saturating_add(WANTED_S), Ordering::Relaxed);
        let ring = self.ring();
        // A number of another life of this process is as good as none.
        let Some(after) = after.filter(|after| *after < ring.next) else {
            return Since { next: ring.next - 1, ..Since::default() };
        };
        let first = ring.lines.front().map_or(ring.next, |line| line.number);
        let mut found = Since { skipped: first.saturating_sub(after + 1), next: after, lines: Vec::new() };
        for line in ring.lines.iter().filter(|line| after < line.number) {
            found.next = line.number;
            if org.is_none_or(|org| org == line.org) {
                found.lines.push(line.clone());
            }
            if found.lines.len() == PAGE_MAX {
                break;
            }
        }
        found
    }

    /// The last lines of an organisation or of all, `limit` at most, and none beyond [`PAGE_MAX`]. From now on lines are made for
    /// a minute.
    #[must_use]
    pub fn last(&self, org: Option<&str>, limit: usize, now: u64) -> Since {
        self.0.wanted_until.store(now.saturating_add(WANTED_S), Ordering::Relaxed);
        let ring = self.ring();
        let its = ring.lines.iter().rev().filter(|line| org.is_none_or(|org| org == line.org));
        let mut lines: Vec<Line> = its.take(limit.min(PAGE_MAX)).cloned().collect();
        lines.reverse();
        Since { lines, next: ring.next - 1, skipped: 0 }
    }

    /// Changes with each new line.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.0.last.subscribe()
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.0.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn line(told: &Told) -> Line {
    let address = told.recipient.as_deref().and_then(|text| Address::parse(text).ok());
    let answer = told.answer();
    let text = match &told.what {
        What::Stopped { why, .. } => Some(why.clone()),
        _ => answer.zip(address.as_ref()).map(|(answer, address)| mask(&answer.text, address)),
    };
    Line {
        number: 0,
        at: told.at,
        kind: told.kind(),
        org: told.org.clone(),
        stream: told.stream.to_string(),
        mail: told.mail,
        domain: address.as_ref().map(|address| address.domain().to_string()),
        provider: answer.and_then(|answer| answer.provider.clone()),
        mx: answer.and_then(|answer| answer.mx.clone()),
        exit: answer.and_then(|answer| answer.exit.clone()),
        code: answer.and_then(|answer| answer.code),
        enhanced: answer.and_then(|answer| answer.enhanced).map(|enhanced| enhanced.to_string()),
        cause: answer.and_then(|answer| answer.verdict.as_ref()).map(|verdict| verdict.cause.to_string()),
        text: text.map(|text| text.chars().take(TEXT_MAX).collect()),
    }
}

/// Some hundreds of kilobytes; a busy node fills it in a second, and who reads over the network is as fast as that.
const LINES_MAX: usize = 2000;
/// Lines of one answer.
pub const PAGE_MAX: usize = 500;
/// Whoever looks asks again before that.
const WANTED_S: u64 = 60;
const TEXT_MAX: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::deferred;

    fn told(org: &str) -> Told {
        Told { org: org.into(), ..deferred("jean@x.example", "jean@x.example is busy", "busy") }
    }

    #[test]
    fn lines_are_made_while_somebody_looks_and_name_nobody() {
        let tail = Tail::default();
        tail.hear([told("a")].iter(), 100);
        let begun = tail.since(None, None, 100);
        assert_eq!((begun.next, begun.lines.len()), (0, 0));
        tail.hear([told("a"), told("b")].iter(), 100);
        let found = tail.since(Some(begun.next), None, 100);
        assert_eq!((found.next, found.lines.len(), found.skipped), (2, 2, 0));
        assert_eq!(found.lines[0].text.as_deref(), Some("…@x.example is busy"));
        let of_b = tail.since(Some(0), Some("b"), 100);
        assert_eq!(of_b.lines.iter().map(|line| line.number).collect::<Vec<_>>(), [2]);
        tail.hear([told("a")].iter(), 161);
        assert!(tail.since(Some(2), None, 161).lines.is_empty());
    }

    #[test]
    fn the_last_lines_of_an_organisation_are_its_own_however_many_others_came_between() {
        let tail = Tail::default();
        assert_eq!(tail.last(None, 9, 100), Since::default());
        let lines = ["a", "b", "b", "a", "b"].map(told);
        tail.hear(lines.iter(), 100);
        let found = tail.last(Some("a"), 9, 100);
        assert_eq!(found.lines.iter().map(|line| line.number).collect::<Vec<_>>(), [1, 4]);
        assert_eq!((found.next, found.skipped), (5, 0));
        let found = tail.last(None, 2, 100);
        assert_eq!(found.lines.iter().map(|line| line.number).collect::<Vec<_>>(), [4, 5]);
    }

    #[test]
    fn who_reads_too_slowly_is_told_how_many_went_by() {
        let tail = Tail::default();
        let begun = tail.since(None, None, 100);
        let many: Vec<Told> = (0..LINES_MAX + 10).map(|_| told("a")).collect();
        tail.hear(many.iter(), 100);
        let mut found = tail.since(Some(begun.next), None, 100);
        assert_eq!((found.skipped, found.lines.len()), (10, PAGE_MAX));
        let mut count = found.lines.len();
        while !found.lines.is_empty() {
            found = tail.since(Some(found.next), None, 100);
            assert_eq!(found.skipped, 0);
            count += found.lines.len();
        }
        assert_eq!(count, LINES_MAX);
        // A number of a node that was started again.
        assert_eq!(tail.since(Some(1_000_000), None, 100).next, LINES_MAX as u64 + 10);
    }
}
