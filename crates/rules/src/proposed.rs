//! The records that a domain should publish in the DNS, for all who propose some: setup, doctor and the pages.

use std::net::IpAddr;

use sm2tp_proto::date::iso;

/// Who writes under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    /// A domain of people: their mail server may send by itself, and others that this node does not know.
    Domain,
    /// A name of the node itself: nobody else sends under it.
    Own,
}

/// The SPF record (RFC 7208). `addresses` are those that mail leaves from; where none is known, those of `host` are named.
///
/// A domain's record ends in `~all`: what we forgot is suspected and not lost. A name of the node ends in `-all`.
#[must_use]
pub fn spf(name: Name, host: &str, addresses: &[IpAddr]) -> String {
    let (own, end) = match name {
        Name::Domain => (" mx", "~all"),
        Name::Own => ("", "-all"),
    };
    let exits = match addresses {
        [] => format!(" a:{host}"),
        addresses => addresses.iter().map(|address| format!(" {}", mechanism(*address))).collect(),
    };
    format!("v=spf1{own}{exits} {end}")
}

/// What lets this address send, in an SPF record.
#[must_use]
pub fn mechanism(address: IpAddr) -> String {
    if address.is_ipv4() { format!("ip4:{address}") } else { format!("ip6:{address}") }
}

/// The DMARC record (RFC 7489) to begin with: it asks for reports and refuses nothing. `contact` gets them if it is an address
/// of the domain: to others receivers send them only if those agree in the DNS (§7.1).
#[must_use]
pub fn dmarc(domain: &str, contact: Option<&str>) -> String {
    let is_of_domain =
        |contact: &&str| contact.rsplit_once('@').is_some_and(|(_, own)| own.eq_ignore_ascii_case(domain));
    let postmaster = format!("postmaster@{domain}");
    format!("v=DMARC1; p=none; rua=mailto:{}", contact.filter(is_of_domain).unwrap_or(&postmaster))
}

/// The record that asks others for reports on how TLS to a domain's servers goes (RFC 8460 §3).
#[must_use]
pub fn tls_reports(domain: &str) -> String {
    format!("v=TLSRPTv1; rua=mailto:postmaster@{domain}")
}

/// The record that says that a domain has an MTA-STS policy (RFC 8461 §3.1); its number is the day of `now` (unix seconds).
#[must_use]
pub fn mta_sts(now: u64) -> String {
    format!("v=STSv1; id={}", iso(now / 86_400).replace('-', ""))
}

/// That policy for these servers, to begin with: whoever sends reports what would fail, and sends (RFC 8461 §3.2).
#[must_use]
pub fn mta_sts_policy(hosts: &[String]) -> String {
    let hosts: String = hosts.iter().map(|host| format!("mx: {}\n", host.trim_end_matches('.'))).collect();
    format!("version: STSv1\nmode: testing\n{hosts}max_age: 604800\n")
}

#[cfg(test)]
mod tests {
    use sm2tp_proto::mta_sts::Policy;

    use super::*;

    #[test]
    fn a_policy_is_one_that_senders_can_read() {
        let hosts = ["mx1.asso.example.".to_owned(), "mx2.asso.example".to_owned()];
        let policy = Policy::parse(mta_sts_policy(&hosts).as_bytes()).unwrap();
        assert!(policy.covers("mx1.asso.example") && policy.covers("mx2.asso.example"));
        assert_eq!(mta_sts(1_795_651_200), "v=STSv1; id=20261126");
        assert_eq!(tls_reports("asso.example"), "v=TLSRPTv1; rua=mailto:postmaster@asso.example");
    }

    #[test]
    fn a_domain_lets_its_servers_and_the_exits_send() {
        let exits = [IpAddr::from([192, 0, 2, 5]), "2001:db8::5".parse().unwrap()];
        for (name, addresses, want) in [
            (Name::Domain, &exits[..], "v=spf1 mx ip4:192.0.2.5 ip6:2001:db8::5 ~all"),
            (Name::Domain, &[], "v=spf1 mx a:relay.example.org ~all"),
            (Name::Own, &exits[..1], "v=spf1 ip4:192.0.2.5 -all"),
            (Name::Own, &[], "v=spf1 a:relay.example.org -all"),
        ] {
            assert_eq!(spf(name, "relay.example.org", addresses), want);
        }
    }

    #[test]
    fn reports_go_to_an_address_of_the_domain() {
        for (contact, want) in [
            (None, "postmaster@asso.example"),
            (Some("admin@Asso.example"), "admin@Asso.example"),
            (Some("admin@elsewhere.example"), "postmaster@asso.example"),
            (Some("nobody"), "postmaster@asso.example"),
        ] {
            assert_eq!(dmarc("asso.example", contact), format!("v=DMARC1; p=none; rua=mailto:{want}"));
        }
    }
}
