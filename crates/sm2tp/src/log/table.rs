//! The answers to an administrator's questions about a log: how much, to whom, who is blocked where, which senders look wrong.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

use sm2tp_proto::log::{Outcome, Reach, Seen, Status};
use sm2tp_rules::Cause;

use super::Counts;
use crate::show;

/// What is counted while lines go by. Each map has [`ROWS_MAX`] rows at most; what comes later is counted together.
#[derive(Debug, Default)]
pub(super) struct Table {
    days: BTreeMap<u64, Counts>,
    domains: HashMap<String, Counts>,
    senders: HashMap<String, Sender>,
    /// By cause and provider or host, with the last words.
    troubles: HashMap<(Cause, String), (u64, String)>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sender {
    results: Counts,
    no_such_address: u64,
    refused_content: u64,
}

impl Table {
    pub(super) fn add(
        &mut self,
        outcome: &Outcome<'_>,
        meaning: Option<&sm2tp_rules::Outcome>,
        provider: Option<&str>,
    ) {
        row(&mut self.days, outcome.at / 86_400).add(outcome.status);
        let domain = outcome.recipient.rsplit_once('@').map_or("", |(_, domain)| domain);
        named(&mut self.domains, domain).add(outcome.status);
        let cause = meaning.map(|meaning| meaning.cause);
        // Reports have no sender of their own.
        if let Some(sender) = outcome.login.or(outcome.sender).filter(|sender| !sender.is_empty()) {
            let sender = named(&mut self.senders, sender);
            sender.results.add(outcome.status);
            sender.no_such_address += u64::from(cause == Some(Cause::Address) && outcome.status == Status::Bounced);
            sender.refused_content += u64::from(cause == Some(Cause::Content));
        }
        if let (Some(cause), Reach::Server | Reach::Nobody) = (cause, outcome.reach) {
            let at = provider.or(outcome.host).or(outcome.delivery.host).unwrap_or(domain).to_owned();
            let key = (cause, at);
            if self.troubles.len() < ROWS_MAX || self.troubles.contains_key(&key) {
                let trouble = self.troubles.entry(key).or_default();
                trouble.0 += 1;
                trouble.1 = outcome.text.chars().take(TEXT_MAX).collect();
            }
        }
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
            let date = show::rfc3339(day * 86_400);
            put(&mut out, &format!("{}  {}", &date[..10], columns(counts)));
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
        let mut troubles: Vec<_> = self.troubles.iter().collect();
        troubles.sort_by(|(a, (of_a, _)), (b, (of_b, _))| of_b.cmp(of_a).then(a.cmp(b)));
        for ((cause, at), (count, text)) in troubles.into_iter().take(TOP) {
            let place = format!("{cause} {}", show::plain(at));
            put(out, &format!("{place:<26} {count:>5}  {}", show::plain(text)));
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

fn row<K: Ord>(map: &mut BTreeMap<K, Counts>, key: K) -> &mut Counts {
    map.entry(key).or_default()
}

/// The row of this name, or the one for all others.
fn named<'a, V: Default>(map: &'a mut HashMap<String, V>, name: &str) -> &'a mut V {
    let name = if map.len() < ROWS_MAX || map.contains_key(name) { name } else { OTHERS };
    if !map.contains_key(name) {
        map.insert(name.to_owned(), V::default());
    }
    map.get_mut(name).expect("it is there, or was put there")
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
/// Characters of a text in the table.
const TEXT_MAX: usize = 160;
/// Fewer recipients say nothing about a sender.
const JUDGED_MIN: u64 = 20;
