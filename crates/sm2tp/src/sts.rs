//! How the MTA-STS of a domain is now (RFC 8461): `sm2tp doctor` and the page of the DNS ask it.

use std::path::Path;

use sm2tp_doors::web::Sts;
use sm2tp_proto::mta_sts::{Mode, record_id};
use sm2tp_relay::{Lookups, Reach};

/// The record is there, the policy can be had and means something, and it names the servers that take the mail. Its web server
/// is asked within `reach`.
pub async fn look(dns: &Lookups, domain: &str, roots: Option<&Path>, reach: Reach) -> Sts {
    let Ok(texts) = dns.texts(&format!("_mta-sts.{domain}")).await else { return Sts::Silent };
    let records: Vec<&str> = texts.iter().map(String::as_str).filter(|text| text.starts_with("v=STSv1")).collect();
    if records.is_empty() {
        return Sts::Absent;
    }
    if record_id(records.iter().copied()).is_none() {
        return Sts::Broken;
    }
    if dns.addresses(&host(domain)).await.is_empty() {
        return Sts::NoHost;
    }
    let policy = match dns.policy(domain, roots, reach).await {
        Ok(policy) => policy,
        Err(failure) => return Sts::Unfetched(failure),
    };
    if policy.mode == Mode::None {
        return Sts::Off;
    }
    let hosts = dns.mail_hosts(domain).await.unwrap_or_default();
    let other: Vec<String> = hosts.into_iter().filter(|host| !policy.covers(host)).collect();
    match (other.is_empty(), policy.mode) {
        (false, Mode::Enforce) => Sts::OthersEnforced(other),
        (false, _) => Sts::OthersInTest(other),
        (true, Mode::Testing) => Sts::Testing,
        (true, _) => Sts::Fine,
    }
}

/// The web server of the policy.
pub fn host(domain: &str) -> String {
    format!("mta-sts.{domain}")
}
