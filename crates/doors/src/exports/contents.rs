//! What stands in the files: whom this node would not write to, whose mail is stopped, where mail goes.

use std::collections::BTreeMap;
use std::sync::Arc;

use sm2tp_proto::{Address, maps};
use sm2tp_rules::Stream;
use sm2tp_rules::admit::{self, Refusal, Sender, Verdict};
use sm2tp_rules::watch::{Level, Standing};
use sm2tp_store::accounts::LOCAL;
use sm2tp_store::senders::SenderId;
use sm2tp_store::sql;
use sm2tp_store::{Bounce, LedgerError};
use tokio::task::spawn_blocking;

use crate::beside::verdict;
use crate::{House, now};

/// A server for a domain, instead of its MX records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    pub domain: String,
    /// Name or address.
    pub host: String,
    pub port: u16,
    pub speaks: Speaks,
}

/// What a server of a route speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    Smtp,
    Lmtp,
    /// TLS from the first octet, or with a login: a mail server needs more for it than a line in a table.
    Other,
}

/// By key, so that a file is the same while its contents are.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub entries: BTreeMap<String, Entry>,
    pub left_out: usize,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub value: String,
    /// One word.
    pub why: &'static str,
    /// Unix seconds, where time alone ends it.
    pub until: Option<u64>,
}

/// The addresses of the send log that mail of the organisation `local` would be refused to. It is the only place with
/// addresses in clear (R11): what it does not know, or not any more, cannot stand in a file.
pub(super) async fn suppressed(house: &House, stream: Stream) -> Result<Contents, LedgerError> {
    let (mut contents, mut after) = (Contents::default(), String::new());
    loop {
        let page = page(house, after).await?;
        let Some(last) = page.last() else { return Ok(contents) };
        after = last.clone();
        // Thousands of tags are made: not on a thread that others wait for.
        let house = house.clone();
        let judged = spawn_blocking(move || page.iter().filter_map(|to| judge(&house, stream, to)).collect::<Vec<_>>());
        for (key, entry) in judged.await.map_err(|error| sql::SqlError::Stored(error.to_string()))? {
            contents.put(key, entry);
        }
        if ENTRIES_MAX <= contents.entries.len() {
            return Ok(contents);
        }
    }
}

/// Logins whose mail is stopped, by the watch or by a person.
pub(super) fn logins(house: &House) -> Contents {
    stopped(house, |house, id| house.accounts.account(&id.name).is_some() || &*id.org == LOCAL)
}

/// Sender addresses whose mail is stopped. A name of the organisation `local` with an @ is the address of a sender without login,
/// or a login that the mail server alone knows: it stands in both files.
pub(super) fn senders(house: &House) -> Contents {
    stopped(house, |house, id| id.name.contains('@') && house.accounts.account(&id.name).is_none())
}

pub(super) fn routes(routes: &[Route], value: fn(&Route) -> Option<String>) -> Contents {
    let mut contents = Contents::default();
    for route in routes {
        let entry = |value| Entry { value, why: "route", until: None };
        match (maps::key(&route.domain), value(route)) {
            (Some(key), Some(value)) => contents.put(Some(key), entry(value)),
            _ => contents.left_out += 1,
        }
    }
    contents
}

impl Route {
    /// As transport(5) has it. The brackets say that the host is the server, and has no MX records.
    pub(crate) fn postfix(&self) -> Option<String> {
        match self.speaks {
            Speaks::Smtp => Some(format!("smtp:[{}]:{}", self.host, self.port)),
            Speaks::Lmtp => Some(format!("lmtp:[{}]:{}", self.host, self.port)),
            Speaks::Other => None,
        }
    }

    /// As `route_data` of Exim's manualroute has it. `<;` is the sign between hosts, so that a colon is part of one; a space would end them.
    pub(super) fn exim(&self) -> Option<String> {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        (self.speaks == Speaks::Smtp).then(|| format!("<;{host}:{}", self.port))
    }
}

impl Contents {
    fn put(&mut self, key: Option<String>, entry: Entry) {
        match key {
            Some(key) if self.entries.len() < ENTRIES_MAX => drop(self.entries.insert(key, entry)),
            _ => self.left_out += 1,
        }
    }
}

/// The next addresses in clear, in their order.
async fn page(house: &House, after: String) -> Result<Vec<String>, LedgerError> {
    let asked = [sql::Value::Text(after), PAGE.into()];
    house.ledger.read(move |sql| Ok(sql::all(sql, KNOWN, &asked, |row| Ok(row.text(0)?.to_owned()))?)).await
}

/// The line about an address, where it would be refused: its key, where it has one, and what it says.
pub(super) fn judge(house: &House, stream: Stream, recipient: &str) -> Option<(Option<String>, Entry)> {
    let recipient_is = Address::parse(recipient).ok()?;
    // Their own server decides about them, and a file cannot tell mail that comes in from mail that leaves.
    if house.accounts.hosts(recipient_is.domain()) {
        return None;
    }
    let from = Address::parse(&format!("postmaster@{}", house.hostname)).ok();
    let standing = Standing::Normal;
    let asked = Sender { domains: &[], addresses: &[], mail_from: from.as_ref(), stream, standing };
    let (book, now) = (&house.book, now());
    let refusal = match verdict(book, &asked, LOCAL, &book.limits(LOCAL), &recipient_is, now).0 {
        Verdict::Accept { .. } | Verdict::Hold(_) => return None,
        Verdict::Report(why) => Refusal::Suppressed { why, until: None },
        Verdict::Refuse(refusal) => refusal,
    };
    let until = if let Refusal::Suppressed { until, .. } = &refusal { *until } else { None };
    Some((maps::key(recipient), Entry { until, ..entry(&refusal) }))
}

fn stopped(house: &House, is_meant: impl Fn(&House, &SenderId) -> bool) -> Contents {
    let (mut contents, now) = (Contents::default(), now());
    for sender in house.senders.list(now).into_iter().take_while(|sender| sender.level == Level::Blocked) {
        let id = SenderId { org: Arc::from(sender.org), name: Arc::from(sender.sender) };
        if !is_meant(house, &id) {
            continue;
        }
        let standing = house.senders.standing(&id, now);
        let asked = Sender { domains: &[], addresses: &[], mail_from: None, stream: Stream::Personal, standing };
        // A watch that only observes stops nobody.
        if let Err(refusal) = admit::way(&asked) {
            contents.put(maps::key(&id.name), entry(&refusal));
        }
    }
    contents
}

fn entry(refusal: &Refusal) -> Entry {
    let (code, enhanced, text) = refusal.reply();
    Entry { value: maps::refusal(code, enhanced, &text), why: refusal.as_str(), until: None }
}

const KNOWN: &str = "SELECT DISTINCT recipient FROM send_log WHERE $1 < recipient ORDER BY recipient LIMIT $2";
/// Some tens of milliseconds each.
const PAGE: u64 = 2000;
/// Entries of a file: some 100 MB of memory while it is written. So many dead addresses a month are a mass mailer's.
pub(super) const ENTRIES_MAX: usize = 500_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_written_as_each_mail_server_reads_it() {
        #[track_caller]
        fn check(host: &str, speaks: Speaks, postfix: Option<&str>, exim: Option<&str>) {
            let route = Route { domain: "x.example".into(), host: host.into(), port: 2601, speaks };
            assert_eq!((route.postfix().as_deref(), route.exim().as_deref()), (postfix, exim));
        }
        check("mx.x.example", Speaks::Smtp, Some("smtp:[mx.x.example]:2601"), Some("<;mx.x.example:2601"));
        check("2001:db8::1", Speaks::Smtp, Some("smtp:[2001:db8::1]:2601"), Some("<;[2001:db8::1]:2601"));
        check("127.0.0.1", Speaks::Lmtp, Some("lmtp:[127.0.0.1]:2601"), None);
        check("mx.x.example", Speaks::Other, None, None);
    }
}
