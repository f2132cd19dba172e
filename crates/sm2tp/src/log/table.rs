//! The answers to an administrator's questions about a log: how much, to whom, who is blocked where, which senders look wrong.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::ControlFlow;

use hashbrown::HashMap;
use sm2tp_proto::date;
use sm2tp_proto::log::{Outcome, Reach, Seen, Status};
use sm2tp_rules::Cause;

use super::{Counts, Meaning};
use crate::show;

/// What is counted while lines go by. Each map has [`ROWS_MAX`] rows at most; what comes later is counted together.
#[derive(Debug, Default)]
pub(super) struct Table {
    days: BTreeMap<u64, Counts>,
    domains: HashMap<String, Counts>,
    senders: HashMap<String, Sender>,
    /// By cause and provider or host, with the last words.
    troubles: BTreeMap<Cause, HashMap<String, Trouble>>,
}

/// An answer of which there were several.
#[derive(Debug, Default)]
struct Trouble {
    count: u64,
    last: String,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sender {
    results: Counts,
    no_such_address: u64,
    refused_content: u64,
}

impl Table {
    pub(super) fn add(&mut self, outcome: &Outcome<'_>, meaning: Option<&Meaning>) -> ControlFlow<()> {
        self.days.entry(outcome.at / 86_400).or_default().add(outcome.status);
        let domain = domain(outcome.recipient);
        named(&mut self.domains, &domain).add(outcome.status);
        let cause = meaning.map(|meaning| meaning.cause);
        // Reports have no sender of their own.
        if let Some(sender) = outcome.login.or(outcome.sender).filter(|sender| !sender.is_empty()) {
            let sender = named(&mut self.senders, sender);
            sender.results.add(outcome.status);
            sender.no_such_address += u64::from(cause == Some(Cause::Address) && outcome.status == Status::Bounced);
            sender.refused_content += u64::from(cause == Some(Cause::Content));
        }
        if let (Some(meaning), Reach::Server | Reach::Nobody) = (meaning, outcome.reach) {
            let host = outcome.host.or(outcome.delivery.host);
            let at = meaning.provider.as_deref().or(host).unwrap_or(&domain);
            let trouble = named(self.troubles.entry(meaning.cause).or_default(), at);
            trouble.count += 1;
            trouble.last.clear();
            trouble.last.push_str(&outcome.text[..outcome.text.floor_char_boundary(TEXT_OCTETS_MAX)]);
        }
        ControlFlow::Continue(())
    }

    pub(super) fn in_words(&self, counts: &Counts, seen: &Seen) -> String {
        let mut out = String::new();
        let Counts { sent, deferred, bounced, expired } = counts;
        put(
            &mut out,
            &format!("{} lines: {sent} sent, {deferred} deferred, {bounced} bounced, {expired} expired.", seen.lines),
        );
        if 0 < seen.again + seen.inner {
            let (again, inner) = (seen.again, seen.inner);
            put(
                &mut out,
                &format!(
                    "Of the deferred, {again} repeat an older answer; {inner} more passed a filter on the same machine."
                ),
            );
        }
        put(&mut out, "\nDay         sent     deferred bounced  expired");
        for (day, counts) in &self.days {
            put(&mut out, &format!("{}  {}", date::iso(*day), columns(counts)));
        }
        self.put_troubles(&mut out);
        put(&mut out, "\nRecipient domain                sent     deferred bounced  expired");
        for (domain, counts) in
            top(&self.domains, |counts| counts.sent + counts.deferred + counts.bounced + counts.expired)
        {
            put(&mut out, &format!("{:<31} {}", show::plain(domain), columns(counts)));
        }
        self.put_senders(&mut out);
        out
    }

    fn put_troubles(&self, out: &mut String) {
        if self.troubles.is_empty() {
            return;
        }
        put(out, "\nWhy and where              count  last words");
        let mut troubles: Vec<(Cause, &String, &Trouble)> = Vec::new();
        for (cause, places) in &self.troubles {
            troubles.extend(places.iter().map(|(at, trouble)| (*cause, at, trouble)));
        }
        troubles.sort_by(|a, b| b.2.count.cmp(&a.2.count).then((a.0, a.1).cmp(&(b.0, b.1))));
        for (cause, at, Trouble { count, last }) in troubles.into_iter().take(TOP) {
            let place = format!("{cause} {}", show::plain(at));
            put(out, &format!("{place:<26} {count:>5}  {}", show::plain(last)));
        }
    }

    fn put_senders(&self, out: &mut String) {
        put(out, "\nSender                          sent     deferred bounced  expired");
        for (name, sender) in top(&self.senders, |sender| sender.results.sent + sender.results.bounced) {
            put(out, &format!("{:<31} {}", show::plain(name), columns(&sender.results)));
        }
        let mut wrong: Vec<_> =
            self.senders.iter().filter_map(|(name, sender)| Some((name, sender.looks_wrong()?))).collect();
        wrong.sort();
        for (name, why) in wrong.into_iter().take(TOP) {
            put(out, &format!("! {}: {why}", show::plain(name)));
        }
    }
}

impl Sender {
    /// Shares that honest senders do not have (`DESIGN.md` §6: 5 % real bounces is the slow lane).
    fn looks_wrong(&self) -> Option<String> {
        let ended = self.results.sent + self.results.bounced;
        let percent = |part: u64| part * 100 / ended.max(1);
        if ended < JUDGED_MIN {
            return None;
        }
        if 5 <= percent(self.no_such_address) {
            let (bad, share) = (self.no_such_address, percent(self.no_such_address));
            return Some(format!(
                "{bad} of {ended} recipients do not exist ({share} %): an old or a bought list, or a stolen mailbox"
            ));
        }
        let share = percent(self.refused_content);
        (5 <= share).then(|| format!("{share} % of its mail was refused as spam: look at what it sends"))
    }
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

fn top<V>(map: &HashMap<String, V>, size: impl Fn(&V) -> u64) -> Vec<(&String, &V)> {
    let mut rows: Vec<_> = map.iter().collect();
    rows.sort_by(|(a, of_a), (b, of_b)| size(of_b).cmp(&size(of_a)).then(a.cmp(b)));
    rows.truncate(TOP);
    rows
}

fn columns(counts: &Counts) -> String {
    format!("{:<8} {:<8} {:<8} {}", counts.sent, counts.deferred, counts.bounced, counts.expired)
}

fn put(out: &mut String, line: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{}", line.trim_end());
}

const ROWS_MAX: usize = 100_000;
const OTHERS: &str = "(others)";
const TOP: usize = 20;
/// Octets of a text in the table.
const TEXT_OCTETS_MAX: usize = 160;
/// Fewer recipients say nothing about a sender.
const JUDGED_MIN: u64 = 20;
