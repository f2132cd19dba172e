//! `sm2tp sender`: the words of the command line, and how answers are shown.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;
use sm2tp_doors::control::{Deciding, ItsMail, Only, Request, Was, Who};

use crate::show::time;

/// `sm2tp sender`.
#[derive(Debug, Subcommand)]
pub enum Sender {
    /// List senders that are slow or blocked, with the reasons.
    List {
        /// All senders, also those that are normal.
        #[arg(long)]
        all: bool,
    },
    /// Show the evidence about one sender: what it does now, what is usual for it, and why it stands as it does.
    Show(Named),
    /// Send its mail one by one, to one recipient a minute, until it is released.
    Slow(Decided),
    /// Take no mail of this sender, and hold what waits, until it is released.
    Block(Decided),
    /// Let a sender go on, when its evidence was looked at.
    Release {
        #[command(flatten)]
        decided: Decided,
        /// Nothing was wrong: learn that this is usual for it.
        #[arg(long)]
        normal: bool,
        /// What becomes of its mail that was held; by default it is sent with --normal, and kept for you without.
        #[arg(long, value_name = "keep|send|drop")]
        waiting: Option<Waiting>,
    },
    /// Say that a sender will write to many, so that it is not slowed for it.
    Announce {
        sender: String,
        /// How many recipients.
        recipients: u32,
        /// Until when: a time from now (12h, 3d) or a day and time of the world (2026-12-24, 2026-12-24T18:00).
        #[arg(long, value_parser = until)]
        until: u64,
        #[arg(long)]
        org: Option<String>,
        #[arg(long, default_value = "")]
        note: String,
    },
}

/// A sender.
#[derive(Debug, Args)]
pub struct Named {
    /// Its login; or in a trusted network its sender address.
    sender: String,
    /// Its organisation, where several have a sender of this name.
    #[arg(long)]
    org: Option<String>,
}

/// A sender, and why.
#[derive(Debug, Args)]
pub struct Decided {
    #[command(flatten)]
    named: Named,
    /// Why, for those who look later.
    #[arg(long, default_value = "")]
    note: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Waiting {
    Keep,
    Send,
    Drop,
}

/// What to ask the node.
pub fn request(asked: Sender) -> Request {
    match asked {
        Sender::List { all } => Request::SenderList { only: if all { Only::Everybody } else { Only::Unusual } },
        Sender::Show(named) => Request::SenderShow { who: named.into() },
        Sender::Slow(decided) => decided.request(Deciding::Slow),
        Sender::Block(decided) => decided.request(Deciding::Block),
        Sender::Release { decided, normal, waiting } => {
            let was = if normal { Was::Normal } else { Was::Mended };
            let waiting = match waiting {
                Some(Waiting::Keep) => ItsMail::Keep,
                Some(Waiting::Drop) => ItsMail::Drop,
                Some(Waiting::Send) => ItsMail::Send,
                None if normal => ItsMail::Send,
                None => ItsMail::Keep,
            };
            decided.request(Deciding::Release { was, waiting })
        }
        Sender::Announce { sender, recipients, until, org, note } => {
            Request::SenderAnnounce { who: Who { sender, org }, recipients, until, note }
        }
    }
}

/// The list.
pub fn list(out: &mut String, value: &Value) {
    let senders = value["senders"].as_array().map(Vec::as_slice).unwrap_or_default();
    if value["mode"] == "off" {
        out.push_str("the sender watch is off ([watch] mode)\n");
    } else if senders.is_empty() {
        out.push_str("no sender is slow or blocked\n");
    }
    for sender in senders {
        let word = |key: &str| sender[key].as_str().unwrap_or_default();
        let last = time(sender["last"].as_u64().unwrap_or_default());
        let _ = writeln!(out, "{:<8} {} ({}), wrote last {last}", word("level"), word("sender"), word("org"));
        sentences(out, sender);
    }
}

/// One sender with all that is known.
pub fn show(out: &mut String, value: &Value) {
    let shown = &value["evidence"];
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let at = |value: &Value| time(value.as_u64().unwrap_or_default());
    let _ = writeln!(
        out,
        "{} of {}: {} (decided by the {}; the watch is set to {})",
        word(&value["sender"]),
        word(&value["org"]),
        word(&shown["level"]),
        word(&shown["by"]),
        word(&value["mode"])
    );
    sentences(out, shown);
    let new = if shown["newcomer"] == true { ", a newcomer" } else { "" };
    let _ = writeln!(out, "wrote first {}, last {}{new}", at(&shown["since"]), at(&shown["last"]));
    if shown["learned_until"].is_u64() {
        let until = at(&shown["learned_until"]);
        let _ =
            writeln!(out, "learned from until {until} at least: only its bad recipients count so far, not its numbers");
    }
    let _ = writeln!(
        out,
        "held with it: {} recipients; turned away since it is blocked: {}",
        value["held"], shown["turned_away"]
    );
    if let Some(left) = shown["campaign"]["left"].as_u64() {
        let campaign = &shown["campaign"];
        let until = at(&campaign["until"]);
        let _ = writeln!(out, "announced: {} recipients until {until}, {left} of them to come", campaign["recipients"]);
    }
    counts(out, shown);
    let _ = writeln!(out, "knows about {} recipients; networks:", shown["known_recipients"]);
    for network in shown["networks"].as_array().into_iter().flatten() {
        let strange = if network["strange"] == true { "  new" } else { "" };
        let (prefix, last, whose) = (word(&network["network"]), at(&network["last"]), word(&network["whose"]));
        let line = format!("  {prefix:<20} last {last}{strange}  {whose}");
        let _ = writeln!(out, "{}", line.trim_end());
    }
    for change in shown["changes"].as_array().into_iter().flatten() {
        let (level, by, note) = (word(&change["level"]), word(&change["by"]), word(&change["note"]));
        let _ = writeln!(out, "{}  {level} by the {by}  {note}", at(&change["at"]));
    }
    if value["org_evidence"]["level"] != "normal" {
        let _ = writeln!(out, "all senders of {} together are unusual:", word(&value["org"]));
        sentences(out, &value["org_evidence"]);
    }
    if shown["level"] != "normal" {
        let _ = writeln!(out, "to let it go on: sm2tp sender release {} [--normal]", word(&value["sender"]));
    }
}

/// What was decided about one.
pub fn decided(out: &mut String, value: &Value) {
    let word = |key: &str| value[key].as_str().unwrap_or_default();
    // One that never wrote has no level.
    let level = value["level"].as_str().unwrap_or("normal");
    let _ = writeln!(out, "{} of {} is {level} now.", word("sender"), word("org"));
    let counted = |key: &str| value[key].as_u64().unwrap_or_default();
    let _ = writeln!(
        out,
        "Recipients of its mail that were moved: {}; held with it: {}.",
        counted("moved"),
        counted("held")
    );
}

/// A mailing that was announced.
pub fn announced(out: &mut String, value: &Value) {
    let word = |key: &str| value[key].as_str().unwrap_or_default();
    let (sender, org, until) = (word("sender"), word("org"), time(value["until"].as_u64().unwrap_or_default()));
    let _ = writeln!(out, "{sender} of {org} may write to {} recipients until {until}.", value["recipients"]);
}

fn counts(out: &mut String, shown: &Value) {
    let _ = writeln!(out, "{:<12} {:>10} {:>8} {:>8}   usual", "", "10 minutes", "hour", "day");
    let tallies = shown["counts"].as_array().map(Vec::as_slice).unwrap_or_default();
    let learned = tallies.iter().any(|tally| most(tally).is_some_and(|most| most != [0; 3]));
    for tally in tallies {
        // A JSON value knows no width.
        let [minutes, hour, day] = [0, 1, 2].map(|at| tally["recent"][at].as_u64().unwrap_or_default());
        let usual = if learned { usual(tally) } else { String::new() };
        let what = tally["what"].as_str().unwrap_or_default();
        let line = format!("{what:<12} {minutes:>10} {hour:>8} {day:>8}   {usual}");
        let _ = writeln!(out, "{}", line.trim_end());
    }
    if !learned {
        out.push_str("what is usual for it is not known yet: each day that ends with nothing strange teaches it\n");
    }
}

/// The most that was usual in ten minutes, an hour and a day; none where only a share is learned.
fn most(tally: &Value) -> Option<[u64; 3]> {
    tally["usual"].as_array().map(|usual| [0, 1, 2].map(|at| usual.get(at).and_then(Value::as_u64).unwrap_or_default()))
}

/// In words: the most, and the share.
fn usual(tally: &Value) -> String {
    let most = most(tally).map(|most| match most {
        [0, 0, 0] => "none".to_owned(),
        [minutes, hour, day] => format!("at most {minutes}, {hour}, {day}"),
    });
    let share = tally["usual_share"].as_u64().map(|share| format!("{}.{} %", share / 10, share % 10));
    most.into_iter().chain(share).collect::<Vec<_>>().join("; ")
}

fn sentences(out: &mut String, value: &Value) {
    for sentence in value["english"].as_array().into_iter().flatten() {
        let _ = writeln!(out, "  {}", sentence.as_str().unwrap_or_default());
    }
}

impl From<Named> for Who {
    fn from(Named { sender, org }: Named) -> Self {
        Self { sender, org }
    }
}

impl Decided {
    fn request(self, deciding: Deciding) -> Request {
        Request::SenderDecide { who: self.named.into(), deciding, note: self.note }
    }
}

/// A time from now, or a day (its end) or a moment of the world, as unix seconds.
pub fn until(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no time: 12h, 3d, 2026-12-24 or 2026-12-24T18:00 (UTC)");
    if let Some(hours) = text.strip_suffix('h').or(text.strip_suffix('d')) {
        let number: u64 = hours.parse().map_err(|_| wrong())?;
        let seconds = number.saturating_mul(if text.ends_with('h') { 3600 } else { DAY_S });
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        return Ok(now.as_secs().saturating_add(seconds));
    }
    let (date, time) = text.split_once('T').map_or((text, None), |(date, time)| (date, Some(time)));
    let numbers: Option<Vec<u64>> = date.split('-').map(|part| part.parse().ok()).collect();
    let Some([year @ 1970..=9999, month @ 1..=12, day @ 1..=31]) = numbers.as_deref() else { return Err(wrong()) };
    let midnight = days(*year, *month, *day) * DAY_S;
    let Some(time) = time else { return Ok(midnight + DAY_S) };
    let time = time.trim_end_matches('Z').split_once(':').ok_or_else(wrong)?;
    match (time.0.parse::<u64>(), time.1.parse::<u64>()) {
        (Ok(hour @ 0..=23), Ok(minute @ 0..=59)) => Ok(midnight + hour * 3600 + minute * 60),
        _ => Err(wrong()),
    }
}

/// Days from 1970 on; a day that a month does not have is one of the next.
fn days(year: u64, month: u64, day: u64) -> u64 {
    // March begins the year, so that the leap day ends it.
    let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - DAYS_TO_1970
}

const DAY_S: u64 = 86_400;
/// From the first of March of the year 0.
const DAYS_TO_1970: u64 = 719_468;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_campaign_ends_at_a_moment_or_after_a_while() {
        #[track_caller]
        fn check(text: &str, want: u64) {
            assert_eq!(until(text), Ok(want));
        }
        check("1970-01-01T00:00", 0);
        check("2026-11-26T04:00Z", 1_795_665_600);
        check("2024-02-29", 1_709_251_200);
        check("2000-03-01T23:59", 951_955_140);
        for bad in ["", "h", "tomorrow", "2026-13-01", "2026-12-24T25:00", "2026-12-24T18", "1969-12-31"] {
            assert!(until(bad).is_err(), "{bad}");
        }
        let soon = until("2h").unwrap_or_default();
        assert!(until("1h").is_ok_and(|sooner| sooner < soon));
    }
}
