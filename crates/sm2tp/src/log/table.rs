//! What is counted while the lines of a log go by: how much, from and to whom, when, who is blocked where, what was refused.

use std::borrow::Cow;
use std::collections::BTreeMap;

use hashbrown::HashMap;
use sm2tp_proto::log::{Aside, Outcome, Reach, Severity, Status};
use sm2tp_rules::Cause;

use super::{Counts, Meaning};

/// The counts. Each map has [`ROWS_MAX`] rows at most; what comes later is counted together.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// Seconds east of Greenwich of the clock by which days and hours are told.
    offset_s: i64,
    pub days: BTreeMap<u64, Traffic>,
    pub hours: [Traffic; 24],
    pub domains: HashMap<String, Row>,
    /// Servers and transports that mail was handed to.
    pub hosts: HashMap<String, Row>,
    pub senders: HashMap<String, Sender>,
    pub recipients: HashMap<String, Row>,
    /// By cause and provider or host, with the last words.
    pub troubles: BTreeMap<Cause, HashMap<String, Trouble>>,
    /// What was refused at the door, by stage and reason; what was held or thrown away, likewise.
    pub refusals: HashMap<String, u64>,
    /// By severity and program, with the text.
    pub complaints: BTreeMap<Severity, HashMap<String, u64>>,
    pub total: Total,
    /// The names of rows, put together.
    name: String,
}

/// The mail of a day or an hour.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Traffic {
    pub came: u64,
    pub refused: u64,
    pub results: Counts,
}

/// Results, and the octets of what was delivered.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Row {
    pub results: Counts,
    pub octets: u64,
}

/// An answer of which there were several.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    pub count: u64,
    pub last: String,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sender {
    pub results: Counts,
    pub mails: u64,
    /// Of its mails, each once.
    pub octets: u64,
    pub no_such_address: u64,
    pub refused_content: u64,
}

/// What there was in all.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Total {
    pub came: u64,
    pub octets_came: u64,
    pub octets_sent: u64,
    pub refused: u64,
    pub set_aside: u64,
    pub complaints: u64,
}

/// What is wrong with a sender, with its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wrong {
    NoSuchAddress { bad: u64, ended: u64, percent: u64 },
    Spam { percent: u64 },
}

impl Table {
    pub(super) fn new(offset_s: i64) -> Self {
        // Room that is not used costs nothing, and a map that grows costs a tenth of the time.
        Self { offset_s, recipients: HashMap::with_capacity(ROWS_MAX), ..Self::default() }
    }

    pub(super) fn add(&mut self, outcome: &Outcome<'_>, meaning: Option<&Meaning>) {
        self.at(outcome.at, |traffic| traffic.results.add(outcome.status));
        let domain = domain(outcome.recipient);
        let octets = outcome.octets.filter(|_| outcome.status == Status::Sent).unwrap_or(0);
        self.total.octets_sent += octets;
        named(&mut self.domains, &domain).add(outcome.status, octets);
        named(&mut self.recipients, outcome.recipient).add(outcome.status, octets);
        let host = outcome.host.or(outcome.delivery.host);
        if let Some(host) = host {
            named(&mut self.hosts, host).add(outcome.status, octets);
        }
        let cause = meaning.map(|meaning| meaning.cause);
        let is_first = outcome.first == Some(0);
        self.total.octets_came += outcome.octets.filter(|_| is_first).unwrap_or(0);
        // Reports have no sender of their own.
        if let Some(sender) = outcome.login.or(outcome.sender).filter(|sender| !sender.is_empty()) {
            let sender = named(&mut self.senders, sender);
            sender.results.add(outcome.status);
            sender.no_such_address += u64::from(cause == Some(Cause::Address) && outcome.status == Status::Bounced);
            sender.refused_content += u64::from(cause == Some(Cause::Content));
            sender.mails += u64::from(is_first);
            sender.octets += outcome.octets.filter(|_| is_first).unwrap_or(0);
        }
        if let (Some(meaning), Reach::Server | Reach::Nobody) = (meaning, outcome.reach) {
            let at = meaning.provider.as_deref().or(host).unwrap_or(&domain);
            let trouble = named(self.troubles.entry(meaning.cause).or_default(), at);
            trouble.count += 1;
            trouble.last.clear();
            trouble.last.push_str(cut(outcome.text));
        }
    }

    pub(super) fn note(&mut self, at: u64, aside: &Aside<'_>) {
        match aside {
            Aside::Came => {
                self.total.came += 1;
                self.at(at, |traffic| traffic.came += 1);
            }
            Aside::Refused { stage, why, .. } => {
                self.total.refused += 1;
                self.at(at, |traffic| traffic.refused += 1);
                self.count_refusal(stage, why);
            }
            Aside::SetAside { how, why } => {
                self.total.set_aside += 1;
                self.count_refusal(how, why);
            }
            Aside::Trouble { severity, program, text } => {
                self.total.complaints += 1;
                put_together(&mut self.name, program, text);
                *named(self.complaints.entry(*severity).or_default(), &self.name) += 1;
            }
        }
    }

    fn count_refusal(&mut self, stage: &str, why: &str) {
        put_together(&mut self.name, stage, why);
        *named(&mut self.refusals, &self.name) += 1;
    }

    /// The day and the hour of this time.
    fn at(&mut self, at: u64, count: impl Fn(&mut Traffic)) {
        let local = at.saturating_add_signed(self.offset_s);
        count(self.days.entry(local / 86_400).or_default());
        count(&mut self.hours[(local % 86_400 / 3600) as usize]);
    }

    /// Senders with shares that honest ones do not have.
    pub(super) fn wrong_senders(&self) -> Vec<(&str, Wrong)> {
        let wrong = self.senders.iter().filter_map(|(name, sender)| Some((name.as_str(), sender.looks_wrong()?)));
        let mut wrong: Vec<_> = wrong.collect();
        wrong.sort();
        wrong
    }
}

impl Row {
    fn add(&mut self, status: Status, octets: u64) {
        self.results.add(status);
        self.octets += octets;
    }
}

impl Sender {
    /// `DESIGN.md` §6: 5 % real bounces is the slow lane.
    fn looks_wrong(&self) -> Option<Wrong> {
        let ended = self.results.sent + self.results.bounced;
        let percent = |part: u64| part * 100 / ended.max(1);
        if ended < JUDGED_MIN {
            return None;
        }
        if 5 <= percent(self.no_such_address) {
            let (bad, percent) = (self.no_such_address, percent(self.no_such_address));
            return Some(Wrong::NoSuchAddress { bad, ended, percent });
        }
        let percent = percent(self.refused_content);
        (5 <= percent).then_some(Wrong::Spam { percent })
    }
}

/// The largest rows; those of equal size by name.
pub(super) fn top<V>(map: &HashMap<String, V>, size: impl Fn(&V) -> u64) -> Vec<(&String, &V)> {
    let order = |(a, of_a): &(&String, &V), (b, of_b): &(&String, &V)| size(of_b).cmp(&size(of_a)).then(a.cmp(b));
    // Sorting all of a hundred thousand took a tenth of the time that the log took; nearly none is among the first.
    let mut first: Vec<(&String, &V)> = Vec::with_capacity(TOP + 1);
    for row in map.iter().filter(|(_, value)| 0 < size(value)) {
        if first.len() < TOP || first.last().is_some_and(|last| order(&row, last).is_lt()) {
            let at = first.partition_point(|before| order(before, &row).is_lt());
            first.insert(at, row);
            first.truncate(TOP);
        }
    }
    first
}

/// In lower case: `Gmail.com` is no other domain.
fn domain(recipient: &str) -> Cow<'_, str> {
    let domain = memchr::memrchr(b'@', recipient.as_bytes()).map_or("", |at| &recipient[at + 1..]);
    match domain.bytes().any(|octet| octet.is_ascii_uppercase()) {
        true => Cow::Owned(domain.to_ascii_lowercase()),
        false => Cow::Borrowed(domain),
    }
}

/// The row of this name, or the one for all others.
fn named<'a, V: Default>(map: &'a mut HashMap<String, V>, name: &str) -> &'a mut V {
    let has_room = map.len() < ROWS_MAX || map.contains_key(name);
    map.entry_ref(if has_room { name } else { OTHERS }).or_default()
}

fn put_together(name: &mut String, first: &str, text: &str) {
    name.clear();
    name.extend([first, ": ", cut(text)]);
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_OCTETS_MAX)]
}

const ROWS_MAX: usize = 100_000;
const OTHERS: &str = "(others)";
pub(super) const TOP: usize = 20;
/// Octets of a text in the table.
const TEXT_OCTETS_MAX: usize = 160;
/// Fewer recipients say nothing about a sender.
const JUDGED_MIN: u64 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_rows_come_first_and_those_of_equal_size_by_name() {
        let sizes = |number: u64| if number.is_multiple_of(7) { number } else { number % 3 };
        let map: HashMap<String, u64> = (0..500).map(|number| (format!("{number:03}"), sizes(number))).collect();
        let mut want: Vec<_> = map.iter().filter(|(_, size)| 0 < **size).collect();
        want.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
        want.truncate(TOP);
        assert_eq!(top(&map, |size| *size), want);
        let few = HashMap::from_iter([("b".to_owned(), 1), ("a".to_owned(), 1), ("c".to_owned(), 0)]);
        assert_eq!(top(&few, |size| *size), [(&"a".to_owned(), &1), (&"b".to_owned(), &1)]);
    }
}
