//! Records of the DNS: what they should be, and what the DNS has instead.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::Value;
use sm2tp_rules::proposed;
use sm2tp_store::dkim::{self, Published};

use super::asks::{rows, text};
use super::frame::Frame;
use crate::http::Shared;

/// Asks the DNS: the doors know no resolver.
pub type Names =
    Arc<dyn Fn(Wanted, String) -> Pin<Box<dyn Future<Output = Result<Vec<String>, String>> + Send>> + Send + Sync>;

/// What the DNS is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// The texts under a name.
    Texts,
    /// The addresses of a host.
    Addresses,
    /// The names of an address.
    Hosts,
    /// The servers that take mail for a domain.
    MailHosts,
}

/// A record that should be there.
pub(super) struct Record {
    /// What it is, in the language of the page.
    pub word: String,
    pub kind: &'static str,
    pub name: String,
    pub value: String,
    /// None: nobody can be asked, because this node does not know its own addresses.
    wanted: Option<Wanted>,
    /// Class and words of what the DNS says; empty where it was not asked.
    pub found: Option<(&'static str, String)>,
}

impl Record {
    fn new(word: String, (kind, wanted): (&'static str, Wanted), name: impl Into<String>, value: String) -> Self {
        Self { word, kind, name: name.into(), value, wanted: Some(wanted), found: None }
    }

    /// As it stands in a zone.
    pub(super) fn is_text(&self) -> bool {
        self.kind == "TXT"
    }
}

/// The keys that sign mail of a domain.
pub(super) fn keys(domain: &str, keys: &Value, f: &Frame) -> Vec<Record> {
    let of_domain = rows(keys).iter().filter(|key| text(key, "domain") == domain);
    let record = |key: &Value| {
        let word = f.s("dns-dkim", "state", &f.w(&format!("dkim-{}", text(key, "state"))));
        let (name, value) = (text(&key["record"], "name"), text(&key["record"], "value"));
        Record::new(word, TXT, name, value.to_owned())
    };
    of_domain.map(record).collect()
}

/// What others look at when mail of a domain comes to them.
pub(super) fn sender(domain: &str, shared: &Shared, f: &Frame) -> [Record; 2] {
    let spf = proposed::spf(proposed::Name::Domain, &shared.house.hostname, &shared.exits);
    [
        Record::new(f.w("dns-spf"), TXT, domain, spf),
        Record::new(f.w("dns-dmarc"), TXT, format!("_dmarc.{domain}"), proposed::dmarc(domain, None)),
    ]
}

/// What others look at before they send to a domain.
pub(super) fn incoming(domain: &str, f: &Frame) -> Vec<Record> {
    vec![
        Record::new(f.w("dns-tlsrpt"), TXT, format!("_smtp._tls.{domain}"), proposed::tls_reports(domain)),
        Record::new(f.w("dns-mta-sts"), TXT, format!("_mta-sts.{domain}"), proposed::mta_sts(crate::now())),
    ]
}

/// The policy that belongs to MTA-STS, for these servers; where none is known, a word stands for each of them.
pub(super) fn policy(hosts: &[String], f: &Frame) -> String {
    let word = [format!("<{}>", f.w("dns-each-mx"))];
    proposed::mta_sts_policy(if hosts.is_empty() { &word } else { hosts })
}

pub(super) async fn mail_hosts(domain: &str, shared: &Shared) -> Vec<String> {
    (shared.names)(Wanted::MailHosts, domain.to_owned()).await.unwrap_or_default()
}

/// What the machine itself needs: its name and addresses, and where mail that comes back leads to.
pub(super) fn own(shared: &Shared, f: &Frame) -> Vec<Record> {
    let host = shared.house.hostname.to_string();
    let mut exits: Vec<(IpAddr, String)> = Vec::new();
    for exit in shared.house.exits.iter() {
        exits.extend(exit.addresses.iter().map(|address| (*address, exit.hello.clone())));
    }
    if exits.is_empty() {
        exits.extend(shared.exits.iter().map(|address| (*address, host.clone())));
    }
    let mut records = Vec::new();
    for (address, hello) in &exits {
        let kind = if address.is_ipv4() { "A" } else { "AAAA" };
        let (leads, named) = (f.w("dns-address"), f.w("dns-reverse"));
        records.push(Record::new(leads, (kind, Wanted::Addresses), hello, address.to_string()));
        records.push(Record::new(named, ("PTR", Wanted::Hosts), address.to_string(), hello.clone()));
    }
    if exits.is_empty() {
        let unknown = |record: Record| Record { wanted: None, ..record };
        let (leads, named, each) = (f.w("dns-address"), f.w("dns-reverse"), f.w("dns-exits"));
        records.push(unknown(Record::new(leads, ("A, AAAA", Wanted::Addresses), host.clone(), each.clone())));
        records.push(unknown(Record::new(named, ("PTR", Wanted::Hosts), each, host.clone())));
    }
    if let Some(back) = &shared.house.returns {
        let domain = back.domain.to_string();
        let spf = proposed::spf(proposed::Name::Own, &host, &shared.exits);
        records.push(Record::new(f.w("dns-returns"), ("MX", Wanted::MailHosts), domain.clone(), host));
        records.push(Record::new(f.w("dns-spf"), TXT, domain, spf));
    }
    records
}

/// Asks the DNS for each.
pub(super) async fn look(records: &mut [Record], shared: &Shared, f: &Frame) {
    for record in records {
        let Some(wanted) = record.wanted else { continue };
        record.found = Some(match (shared.names)(wanted, record.name.clone()).await {
            Ok(found) if wanted == Wanted::Texts => judged_text(record, &found, f),
            Ok(found) => judged_name(record, &found, f),
            Err(error) => ("light-amber", format!("{} {error}", f.label("dns-no-answer"))),
        });
    }
}

/// An address, a name or a server among others is there.
fn judged_name(record: &Record, found: &[String], f: &Frame) -> (&'static str, String) {
    let plain = |name: &str| name.trim_end_matches('.').to_ascii_lowercase();
    if found.iter().any(|name| plain(name) == plain(&record.value)) {
        return ("light-green", f.w("dns-equal"));
    }
    match found.is_empty() {
        true => ("light-slow", f.w("dns-missing")),
        false => ("light-slow", format!("{} {}", f.label("dns-other"), found.join(", "))),
    }
}

/// A DKIM record must be ours; of the others it is enough that there is one, since it may say more than ours.
fn judged_text(record: &Record, texts: &[String], f: &Frame) -> (&'static str, String) {
    let begins = record.value.split([' ', ';']).next().unwrap_or_default();
    if begins == "v=DKIM1" {
        let key = dkim::Record { name: record.name.clone(), value: record.value.clone() };
        return match key.compare(texts) {
            Published::Equal => ("light-green", f.w("dns-equal")),
            Published::Missing => ("light-slow", f.w("dns-missing")),
            _ => ("light-slow", format!("{} {}", f.label("dns-other"), texts.join(" · "))),
        };
    }
    let plain = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
    match texts.iter().find(|text| text.starts_with(begins)) {
        // Its number changes with the policy, whatever that is.
        Some(_) if begins == "v=STSv1" => ("light-green", f.w("dns-equal")),
        Some(text) if plain(text) == plain(&record.value) => ("light-green", f.w("dns-equal")),
        Some(text) => ("light-fair", format!("{} {text}", f.label("dns-other"))),
        None if ["v=STSv1", "v=TLSRPTv1"].contains(&begins) => ("light-amber", f.w("dns-missing")),
        None => ("light-slow", f.w("dns-missing")),
    }
}

const TXT: (&str, Wanted) = ("TXT", Wanted::Texts);

#[cfg(test)]
mod tests {
    use super::super::frame::Screen;
    use super::*;
    use crate::http::Lang;

    fn frame() -> Frame {
        Frame {
            lang: Lang::En,
            hostname: "relay.example.org".into(),
            here: Screen::Dns,
            person: None,
            form_token: String::new(),
            done: String::new(),
            now: 0,
        }
    }

    #[track_caller]
    fn check(value: &str, texts: &[&str], want: &str) {
        let record = Record::new(String::new(), TXT, "", value.to_owned());
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        assert_eq!(judged_text(&record, &texts, &frame()).0, want, "{texts:?}");
    }

    #[test]
    fn a_key_must_be_ours_and_may_be_written_otherwise() {
        let ours = "v=DKIM1; k=rsa; p=abc/def";
        for same in [ours, "v=DKIM1;k=rsa;p=abc/ def", "k=rsa; p=abc/def", "v=DKIM1; p=abc/def; k=rsa; s=email"] {
            check(ours, &[same], "light-green");
        }
        for other in [&["v=DKIM1; k=rsa; p=xyz"][..], &["v=DKIM1; p="], &[ours, ours], &[]] {
            check(ours, other, "light-slow");
        }
    }

    #[test]
    fn of_other_records_it_is_enough_that_there_is_one() {
        let ours = "v=spf1 a:relay.example.org ~all";
        check(ours, &["site=1", "v=spf1  a:relay.example.org ~all"], "light-green");
        check(ours, &["site=1", "v=spf1 mx -all"], "light-fair");
        check(ours, &["site=1"], "light-slow");
        check("v=STSv1; id=20261126", &["v=STSv1; id=7"], "light-green");
        check("v=STSv1; id=20261126", &[], "light-amber");
        check("v=TLSRPTv1; rua=mailto:a@b.example", &["v=TLSRPTv1; rua=mailto:c@d.example"], "light-fair");
    }

    #[test]
    fn a_name_is_the_same_in_any_case_and_with_its_dot() {
        let judged = |value: &str, found: &[&str]| {
            let record = Record::new(String::new(), ("PTR", Wanted::Hosts), "192.0.2.1", value.to_owned());
            let found: Vec<String> = found.iter().map(|name| (*name).to_owned()).collect();
            judged_name(&record, &found, &frame())
        };
        assert_eq!(judged("a.example.org", &["b.example.org", "A.example.org."]).0, "light-green");
        assert_eq!(
            judged("a.example.org", &["b.example.org."]),
            ("light-slow", "There is another one: b.example.org.".into())
        );
        assert_eq!(judged("a.example.org", &[]).0, "light-slow");
    }
}
