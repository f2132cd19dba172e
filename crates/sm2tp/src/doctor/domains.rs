//! The domains that people write from: what receivers look up about them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use serde_json::Value;
use sm2tp_doors::web::Sts;
use sm2tp_relay::{Lookups, Reach};
use sm2tp_rules::proposed;
use sm2tp_store::dkim::{Published, Record};

use super::around::Node;
use super::exits::Way;
use super::spf::{self, Verdict};
use super::{Finding, Level};
use crate::config::Config;
use crate::sts;

const PART: &str = "domain";

pub async fn all(config: &Config, dns: &Lookups, node: &Node, ways: &[Way]) -> Vec<Finding> {
    let mut domains: BTreeMap<String, Vec<Record>> = BTreeMap::new();
    let orgs = node.orgs.as_array().into_iter().flatten();
    for domain in orgs.flat_map(|org| org["domains"].as_array().into_iter().flatten()).filter_map(Value::as_str) {
        domains.entry(domain.to_owned()).or_default();
    }
    // The node writes reports and alerts itself.
    domains.entry(config.hostname.clone()).or_default();
    for key in node.dkim.as_array().into_iter().flatten().filter(|key| key["state"] != "over") {
        let word = |name: &str| key["record"][name].as_str().unwrap_or_default().to_owned();
        let domain = key["domain"].as_str().unwrap_or_default().to_owned();
        domains.entry(domain).or_default().push(Record { name: word("name"), value: word("value") });
    }
    let left = domains.len().saturating_sub(DOMAINS_MAX);
    let roots = config.relay.as_ref().and_then(|relay| relay.tls_roots.as_deref());
    let mut found = Vec::new();
    for (domain, keys) in domains.into_iter().take(DOMAINS_MAX) {
        let is_host = domain == config.hostname;
        found.extend(mail(dns, &domain, is_host).await);
        found.extend(sender(dns, &config.hostname, &domain, ways).await);
        found.extend(signatures(dns, &domain, &keys).await);
        found.extend(policy(dns, &domain).await);
        if !is_host {
            found.extend(incoming(dns, &domain, roots).await);
        }
    }
    if 0 < left {
        found.push(Finding::new(PART, Level::Note, "domains-many", left.to_string()));
    }
    found
}

/// Bounces, and people who answer, need a server.
async fn mail(dns: &Lookups, domain: &str, is_host: bool) -> Option<Finding> {
    let level = if is_host { Level::Warning } else { Level::Fault };
    let hosts = match dns.mail_hosts(domain).await {
        Ok(hosts) => hosts,
        Err(failure) => {
            return Some(Finding::new(PART, level, "mail-absent", domain).with("why", failure));
        }
    };
    for host in &hosts {
        if !dns.addresses(host).await.is_empty() {
            return None;
        }
    }
    Some(Finding::new(PART, level, "mail-nowhere", domain).with("hosts", hosts.join(", ")))
}

/// SPF, for each address that mail leaves from.
async fn sender(dns: &Lookups, host: &str, domain: &str, ways: &[Way]) -> Vec<Finding> {
    let mut found = Vec::new();
    let name = if domain == host { proposed::Name::Own } else { proposed::Name::Domain };
    let exits: Vec<IpAddr> = ways.iter().filter_map(|way| way.address).collect();
    let record = proposed::spf(name, host, &exits);
    for address in ways.iter().filter_map(|way| way.address) {
        let (level, key, why) = match spf::check(dns, domain, address).await {
            Verdict::Pass => (Level::Fine, "spf-fine", String::new()),
            Verdict::Fail => (Level::Fault, "spf-fail", String::new()),
            Verdict::SoftFail => (Level::Warning, "spf-soft", String::new()),
            Verdict::Neutral => (Level::Warning, "spf-neutral", String::new()),
            Verdict::Absent => (Level::Fault, "spf-absent", String::new()),
            Verdict::Broken(why) => (Level::Fault, "spf-broken", why),
            Verdict::Unknown => (Level::Note, "dns-silent", String::new()),
        };
        let finding = Finding::new(PART, level, key, domain).with("address", address);
        found.push(finding.with("mechanism", proposed::mechanism(address)).with("record", &record).with("why", why));
        // Without a record it is absent for all of them.
        if key == "spf-absent" {
            break;
        }
    }
    found
}

/// DKIM: the node's keys are published as they are.
async fn signatures(dns: &Lookups, domain: &str, keys: &[Record]) -> Vec<Finding> {
    if keys.is_empty() {
        return vec![Finding::new(PART, Level::Warning, "dkim-absent", domain)];
    }
    let mut found = Vec::new();
    for record in keys {
        let (level, key) = match dns.texts(&record.name).await.map(|texts| record.compare(&texts)) {
            Err(_) => (Level::Note, "dns-silent"),
            Ok(Published::Equal) => (Level::Fine, "dkim-fine"),
            Ok(Published::Missing) => (Level::Fault, "dkim-missing"),
            Ok(_) => (Level::Fault, "dkim-other"),
        };
        found.push(Finding::new(PART, level, key, domain).with("name", &record.name));
    }
    found
}

/// DMARC (RFC 7489 §6.6.3), of the domain or the one above it.
async fn policy(dns: &Lookups, domain: &str) -> Option<Finding> {
    let mut name = domain;
    loop {
        let Ok(texts) = dns.texts(&format!("_dmarc.{name}")).await else {
            return Some(Finding::new(PART, Level::Note, "dns-silent", domain));
        };
        let records: Vec<&String> = texts.iter().filter(|text| text.trim_start().starts_with("v=DMARC1")).collect();
        match records.as_slice() {
            [record] => {
                let is_open = tag(record, "p").is_none_or(|policy| policy.eq_ignore_ascii_case("none"));
                let (level, key) = if is_open { (Level::Note, "dmarc-none") } else { (Level::Fine, "dmarc-fine") };
                return Some(Finding::new(PART, level, key, domain).with("name", name));
            }
            [] => {}
            _ => return Some(Finding::new(PART, Level::Fault, "dmarc-two", domain).with("name", name)),
        }
        match name.split_once('.').map(|(_, parent)| parent).filter(|parent| parent.contains('.')) {
            Some(parent) => name = parent,
            None => {
                let absent = Finding::new(PART, Level::Warning, "dmarc-absent", domain);
                return Some(absent.with("record", proposed::dmarc(domain, None)));
            }
        }
    }
}

/// MTA-STS: whether mail to the domain is protected from who sits between. Whoever runs this may have this machine ask anywhere.
async fn incoming(dns: &Lookups, domain: &str, roots: Option<&Path>) -> Option<Finding> {
    let finding = |level, key| Finding::new(PART, level, key, domain);
    let others = |level, hosts: Vec<String>| finding(level, "sts-mx").with("hosts", hosts.join(", "));
    Some(match sts::look(dns, domain, roots, Reach::public_and(|_| true)).await {
        Sts::Silent => return None,
        Sts::Absent => finding(Level::Note, "sts-absent"),
        Sts::Broken => finding(Level::Fault, "sts-broken"),
        Sts::NoHost => finding(Level::Fault, "sts-host").with("host", sts::host(domain)),
        Sts::Unfetched(why) => finding(Level::Fault, "sts-fetch").with("why", why),
        Sts::Off => finding(Level::Note, "sts-none"),
        Sts::OthersEnforced(hosts) => others(Level::Fault, hosts),
        Sts::OthersInTest(hosts) => others(Level::Warning, hosts),
        Sts::Testing => finding(Level::Note, "sts-testing"),
        Sts::Fine => finding(Level::Fine, "sts-fine"),
    })
}

/// A tag of a DMARC record.
fn tag<'a>(record: &'a str, wanted: &str) -> Option<&'a str> {
    let tags = record.split(';').filter_map(|tag| tag.split_once('='));
    tags.map(|(name, value)| (name.trim(), value.trim()))
        .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
        .map(|(_, value)| value)
}

/// Domains that are asked about; each costs about ten questions.
const DOMAINS_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_found_whatever_their_order_and_spaces() {
        let record = "v=DMARC1; rua=mailto:a@b.example; p = Reject ;sp=none";
        assert_eq!((tag(record, "p"), tag(record, "sp"), tag(record, "pct")), (Some("Reject"), Some("none"), None));
    }
}
