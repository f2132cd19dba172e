//! The answers to an administrator's questions about a log, as tables for a terminal or a page.

use hashbrown::HashMap;
use sm2tp_doors::http::{Lang, cause_in_words};
use sm2tp_proto::date;
use sm2tp_proto::log::Seen;
use sm2tp_rules::Cause;

use super::Counts;
use super::table::{Row, TOP, Table, Traffic, Wrong, top};
use super::titles::TITLES;
use crate::config::Language;
use crate::show;
use crate::words::Words;

/// What a log says, in one language.
pub(super) struct Report {
    /// Sentences.
    pub sums: Vec<String>,
    pub sections: Vec<Section>,
    pub words: Words,
}

/// One table; the first column names the row.
pub(super) struct Section {
    pub title: &'static str,
    pub columns: Vec<&'static str>,
    pub rows: Vec<Vec<Cell>>,
    /// Whether its numbers are shown as bars.
    pub over_time: bool,
}

pub(super) enum Cell {
    /// Words that strangers may have written.
    Text(String),
    Count(u64),
    Octets(u64),
}

impl Report {
    pub(super) fn new(table: &Table, counts: &Counts, seen: &Seen, lang: Language) -> Self {
        let words = Words { lang, table: TITLES };
        let sections = [
            days(&words, table),
            hours(&words, table),
            troubles(&words, table),
            rows(&words, ("domains", "domain"), &table.domains, of_results),
            rows(&words, ("hosts", "host"), &table.hosts, of_results),
            senders(&words, table),
            wrong(&words, table),
            by_size(&words, ("senders-size", "sender"), top(&table.senders, |sender| sender.octets), |sender| {
                (sender.mails, sender.octets)
            }),
            rows(&words, ("recipients", "recipient"), &table.recipients, of_results),
            by_size(&words, ("recipients-size", "recipient"), top(&table.recipients, |row| row.octets), |row| {
                (row.results.sent, row.octets)
            }),
            counted(&words, ("refusals", "reason"), top(&table.refusals, |count| *count)),
            complaints(&words, table),
        ];
        let sections = sections.into_iter().filter(|section| !section.rows.is_empty()).collect();
        Self { sums: sums(&words, table, counts, seen), sections, words }
    }
}

impl Section {
    /// Whether a column is of numbers, which are read from the right. A section has a row at least.
    pub(super) fn is_number(&self, column: usize) -> bool {
        !matches!(self.rows[0].get(column), Some(Cell::Text(_)))
    }
}

impl Cell {
    /// As it is read.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Count(count) => count.to_string(),
            Self::Octets(octets) => octets_shown(*octets),
        }
    }
}

fn sums(words: &Words, table: &Table, counts: &Counts, seen: &Seen) -> Vec<String> {
    let Counts { sent, deferred, bounced, expired } = counts;
    let number = |number: &u64| number.to_string();
    let mut sums = vec![words.fill_with(
        "sums",
        &[
            ("lines", number(&seen.lines)),
            ("sent", number(sent)),
            ("deferred", number(deferred)),
            ("bounced", number(bounced)),
            ("expired", number(expired)),
        ],
    )];
    if 0 < seen.again + seen.inner {
        sums.push(words.fill_with("again", &[("again", number(&seen.again)), ("inner", number(&seen.inner))]));
    }
    let total = &table.total;
    sums.push(words.fill_with(
        "came",
        &[
            ("came", number(&total.came)),
            ("in", octets_shown(total.octets_came)),
            ("out", octets_shown(total.octets_sent)),
            ("refused", number(&total.refused)),
            ("aside", number(&total.set_aside)),
            ("complaints", number(&total.complaints)),
        ],
    ));
    sums.push(words.fill_with(
        "different",
        &[
            ("senders", number(&(table.senders.len() as u64))),
            ("recipients", number(&(table.recipients.len() as u64))),
            ("domains", number(&(table.domains.len() as u64))),
            ("hosts", number(&(table.hosts.len() as u64))),
        ],
    ));
    sums
}

fn days(words: &Words, table: &Table) -> Section {
    let days = table.days.iter();
    let rows = days.map(|(day, traffic)| of_traffic(date::iso(*day), traffic)).collect();
    Section { over_time: true, ..section(words, "days", &["day", "came-in", "refused"], RESULTS, rows) }
}

fn hours(words: &Words, table: &Table) -> Section {
    let has_any = |traffic: &Traffic| 0 < traffic.came + traffic.refused + all(&traffic.results);
    let hours = if table.hours.iter().any(has_any) { &table.hours[..] } else { &[] };
    let hours = hours.iter().enumerate();
    let rows = hours.map(|(hour, traffic)| of_traffic(format!("{hour:02}:00"), traffic)).collect();
    Section { over_time: true, ..section(words, "hours", &["hour", "came-in", "refused"], RESULTS, rows) }
}

fn troubles(words: &Words, table: &Table) -> Section {
    let mut troubles: Vec<(Cause, &String, u64, &str)> = Vec::new();
    for (cause, places) in &table.troubles {
        troubles.extend(places.iter().map(|(at, trouble)| (*cause, at, trouble.count, trouble.last.as_str())));
    }
    troubles.sort_by(|a, b| b.2.cmp(&a.2).then((a.0, a.1).cmp(&(b.0, b.1))));
    let row = |(cause, at, count, last): (Cause, &String, u64, &str)| {
        let why = cause_in_words(cause, pages_language(words.lang));
        vec![text(at), Cell::Count(count), text(&why), text(last)]
    };
    let rows = troubles.into_iter().take(TOP).map(row).collect();
    section(words, "troubles", &["where", "count", "cause", "last"], &[], rows)
}

fn senders(words: &Words, table: &Table) -> Section {
    let rows = top(&table.senders, |sender| sender.results.sent + sender.results.bounced);
    let rows = rows.into_iter().map(|(name, sender)| {
        let mut row = vec![text(name)];
        row.extend(of_results(&Row { results: sender.results, octets: sender.octets }));
        row
    });
    section(words, "senders", &["sender"], RESULTS_OCTETS, rows.collect())
}

fn wrong(words: &Words, table: &Table) -> Section {
    let row = |(name, wrong): (&str, Wrong)| {
        let why = match wrong {
            Wrong::NoSuchAddress { bad, ended, percent } => words.fill_with(
                "bad",
                &[("bad", bad.to_string()), ("ended", ended.to_string()), ("percent", percent.to_string())],
            ),
            Wrong::Spam { percent } => words.fill_with("spam", &[("percent", percent.to_string())]),
        };
        vec![text(name), Cell::Text(why)]
    };
    let rows = table.wrong_senders().into_iter().take(TOP).map(row).collect();
    section(words, "wrong", &["sender", "why"], &[], rows)
}

/// The largest rows of a map.
fn rows(
    words: &Words,
    (title, name): (&str, &'static str),
    map: &HashMap<String, Row>,
    cells: fn(&Row) -> Vec<Cell>,
) -> Section {
    let rows = top(map, |row| all(&row.results)).into_iter().map(|(name, row)| {
        let mut cells_of = vec![text(name)];
        cells_of.extend(cells(row));
        cells_of
    });
    section(words, title, &[name], RESULTS_OCTETS, rows.collect())
}

fn by_size<V>(
    words: &Words,
    (title, name): (&str, &'static str),
    rows: Vec<(&String, &V)>,
    of: impl Fn(&V) -> (u64, u64),
) -> Section {
    let rows = rows.into_iter().map(|(name, value)| {
        let (mails, octets) = of(value);
        vec![text(name), Cell::Octets(octets), Cell::Count(mails)]
    });
    section(words, title, &[name, "octets", "mails"], &[], rows.collect())
}

fn counted(words: &Words, (title, name): (&str, &'static str), rows: Vec<(&String, &u64)>) -> Section {
    let rows = rows.into_iter().map(|(why, count)| vec![text(why), Cell::Count(*count)]).collect();
    section(words, title, &[name, "count"], &[], rows)
}

/// The worst first.
fn complaints(words: &Words, table: &Table) -> Section {
    let rows = table.complaints.iter().rev().flat_map(|(severity, texts)| {
        let texts = top(texts, |count| *count).into_iter();
        texts.map(move |(said, count)| vec![text(&format!("{}: {said}", severity.as_str())), Cell::Count(*count)])
    });
    section(words, "complaints", &["text", "count"], &[], rows.take(TOP).collect())
}

/// The words of causes are those of the pages.
fn pages_language(lang: Language) -> Lang {
    if lang == Language::Fr { Lang::Fr } else { Lang::En }
}

fn section(words: &Words, title: &str, columns: &[&str], more: &[&str], rows: Vec<Vec<Cell>>) -> Section {
    let columns = columns.iter().chain(more).map(|column| words.say(column)).collect();
    Section { title: words.say(title), columns, rows, over_time: false }
}

fn of_traffic(name: String, traffic: &Traffic) -> Vec<Cell> {
    let Counts { sent, deferred, bounced, expired } = traffic.results;
    let counts = [traffic.came, traffic.refused, sent, deferred, bounced, expired];
    std::iter::once(Cell::Text(name)).chain(counts.map(Cell::Count)).collect()
}

fn of_results(row: &Row) -> Vec<Cell> {
    let Counts { sent, deferred, bounced, expired } = row.results;
    [sent, deferred, bounced, expired].map(Cell::Count).into_iter().chain([Cell::Octets(row.octets)]).collect()
}

fn all(Counts { sent, deferred, bounced, expired }: &Counts) -> u64 {
    sent + deferred + bounced + expired
}

fn text(text: &str) -> Cell {
    Cell::Text(show::plain(text).replace('\n', " "))
}

fn octets_shown(octets: u64) -> String {
    match octets {
        0..10_000 => format!("{octets} B"),
        10_000..10_000_000 => format!("{} kB", octets / 1000),
        10_000_000..10_000_000_000 => format!("{} MB", octets / 1_000_000),
        _ => format!("{} GB", octets / 1_000_000_000),
    }
}

const RESULTS: &[&str] = &["sent", "deferred", "bounced", "expired"];
const RESULTS_OCTETS: &[&str] = &["sent", "deferred", "bounced", "expired", "octets"];

/// The tag of a language for a page.
pub(super) fn tag(lang: Language) -> &'static str {
    match lang {
        Language::En => "en",
        Language::Fr => "fr",
    }
}
