//! Blocklists (RFC 5782) and the addresses that mail leaves from. They are asked when a person wants it: their operators see who
//! asks, and some want large askers to pay.

use std::net::IpAddr;

use sm2tp_doors::web::{Listing, Says};
use sm2tp_relay::Lookups;

use super::exits::Way;
use super::{Finding, Level};

const PART: &str = "exit";

pub async fn all(dns: &Lookups, ways: &[Way], zones: &[String]) -> Vec<Finding> {
    let zones: Vec<&str> = if zones.is_empty() { USUAL.to_vec() } else { zones.iter().map(String::as_str).collect() };
    let finding = |Listing { address, zone, says, text }| {
        let (level, key) = match says {
            Says::Listed => (Level::Fault, "listed"),
            Says::Nothing => (Level::Note, "list-refuses"),
            Says::Fine => (Level::Fine, "list-fine"),
        };
        Finding::new(PART, level, key, address.to_string()).with("zone", zone).with("text", text)
    };
    asked(dns, ways, &zones).await.into_iter().map(finding).collect()
}

/// What the usual lists say.
pub async fn usual(dns: &Lookups, ways: &[Way]) -> Vec<Listing> {
    asked(dns, ways, USUAL).await
}

async fn asked(dns: &Lookups, ways: &[Way], zones: &[&str]) -> Vec<Listing> {
    let mut found = Vec::new();
    for address in ways.iter().filter_map(|way| way.address) {
        for zone in zones.iter().take(ZONES_MAX) {
            let name = format!("{}.{}", reversed(address), zone.trim_matches('.'));
            let says = judge(&dns.addresses(&name).await);
            // Why, and where to ask for removal, stands in the text.
            let texts = if says == Says::Listed { dns.texts(&name).await.unwrap_or_default() } else { Vec::new() };
            found.push(Listing { address, zone: (*zone).to_owned(), says, text: texts.join(" ") });
        }
    }
    found
}

/// Answers are in 127.0.0.0/8; those in 127.255.255.0/24 say that the question was not welcome, and anything else is no list.
fn judge(answers: &[IpAddr]) -> Says {
    let octets = answers.iter().filter_map(|answer| if let IpAddr::V4(v4) = answer { Some(v4.octets()) } else { None });
    let octets: Vec<[u8; 4]> = octets.collect();
    if octets.iter().any(|octets| octets[0] == 127 && octets[1..3] != [255, 255]) {
        Says::Listed
    } else if !octets.is_empty() {
        Says::Nothing
    } else {
        Says::Fine
    }
}

/// RFC 5782 §2.1 and §2.4: octets, or nibbles, backwards.
fn reversed(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            format!("{d}.{c}.{b}.{a}")
        }
        IpAddr::V6(v6) => {
            let nibbles = v6.octets().into_iter().rev().flat_map(|octet| [octet & 15, octet >> 4]);
            nibbles.map(|nibble| format!("{nibble:x}")).collect::<Vec<_>>().join(".")
        }
    }
}

/// Those that big receivers are known to ask.
const USUAL: &[&str] = &["zen.spamhaus.org", "bl.spamcop.net", "b.barracudacentral.org", "psbl.surriel.com"];
const ZONES_MAX: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_backwards() {
        assert_eq!(reversed("192.0.2.99".parse().unwrap()), "99.2.0.192");
        let six = reversed("2001:db8::1".parse().unwrap());
        assert!(six.starts_with("1.0.0.0.") && six.ends_with(".8.b.d.0.1.0.0.2") && six.len() == 63, "{six}");
    }

    #[test]
    fn a_list_that_does_not_answer_us_lists_nobody() {
        let check = |texts: &[&str]| judge(&texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>());
        assert_eq!(check(&[]), Says::Fine);
        assert_eq!(check(&["127.0.0.2"]), Says::Listed);
        assert_eq!(check(&["127.255.255.254"]), Says::Nothing);
        assert_eq!(check(&["198.51.100.1"]), Says::Nothing, "a resolver that answers everything");
    }
}
