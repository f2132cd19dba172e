//! Whether an SPF record lets an address send (RFC 7208), as a receiver reads it.

use std::net::IpAddr;
use std::pin::Pin;

use sm2tp_relay::Lookups;

/// What a receiver would find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Pass,
    /// `-all`: refuse it.
    Fail,
    /// `~all`: suspect it.
    SoftFail,
    /// `?all`, or nothing said.
    Neutral,
    /// There is no record.
    Absent,
    /// A mistake that counts as no record, or worse.
    Broken(String),
    /// The DNS did not answer.
    Unknown,
}

/// Asks about mail of `domain` that comes from `address`.
pub async fn check(dns: &Lookups, domain: &str, address: IpAddr) -> Verdict {
    let mut question = Question { dns, address, lookups: 0 };
    question.of(domain.to_owned()).await
}

/// Whether a TXT record is one for SPF.
pub fn is_spf(text: &str) -> bool {
    text.split_ascii_whitespace().next().is_some_and(|word| word.eq_ignore_ascii_case("v=spf1"))
}

struct Question<'a> {
    dns: &'a Lookups,
    address: IpAddr,
    lookups: usize,
}

impl Question<'_> {
    /// RFC 7208 §4.
    fn of(&mut self, domain: String) -> Pin<Box<dyn Future<Output = Verdict> + Send + '_>> {
        Box::pin(async move {
            let Ok(texts) = self.dns.texts(&domain).await else { return Verdict::Unknown };
            let mut records = texts.iter().filter(|text| is_spf(text));
            let Some(record) = records.next() else { return Verdict::Absent };
            if records.next().is_some() {
                return Verdict::Broken(format!("{domain} has two SPF records"));
            }
            let mut redirect = None;
            for term in record.split_ascii_whitespace().skip(1) {
                if let Some((name, value)) = modifier(term) {
                    redirect = redirect.or(name.eq_ignore_ascii_case("redirect").then_some(value));
                    continue;
                }
                let (sign, mechanism) = sign(term);
                match self.matches(mechanism, &domain).await {
                    Ok(true) => return sign,
                    Ok(false) => {}
                    Err(broken) => return broken,
                }
            }
            let Some(target) = redirect else { return Verdict::Neutral };
            if let Err(broken) = self.count() {
                return broken;
            }
            match self.of(target.to_owned()).await {
                Verdict::Absent => Verdict::Broken(format!("redirect={target}: no record there")),
                other => other,
            }
        })
    }

    /// RFC 7208 §5.
    async fn matches(&mut self, mechanism: &str, domain: &str) -> Result<bool, Verdict> {
        let (name, rest) = mechanism.split_at(mechanism.find([':', '/']).unwrap_or(mechanism.len()));
        let value = rest.strip_prefix(':').unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "all" => Ok(true),
            "ip4" | "ip6" => network(value, self.address).ok_or_else(|| broken(mechanism)),
            "include" => {
                self.count()?;
                match self.of(value.to_owned()).await {
                    Verdict::Pass => Ok(true),
                    Verdict::Fail | Verdict::SoftFail | Verdict::Neutral => Ok(false),
                    Verdict::Absent => Err(Verdict::Broken(format!("include:{value}: no record there"))),
                    other => Err(other),
                }
            }
            "a" | "mx" => {
                self.count()?;
                self.names_it(name, rest, domain, mechanism).await
            }
            "exists" => {
                self.count()?;
                // With macros the answer depends on the mail.
                Ok(!value.contains('%') && !self.dns.addresses(value).await.is_empty())
            }
            // RFC 7208 §5.5: not to be used, and many receivers look no further.
            "ptr" => self.count().map(|()| false),
            _ => Err(broken(mechanism)),
        }
    }

    /// `a` and `mx`, with a name and lengths or without.
    async fn names_it(&self, name: &str, rest: &str, domain: &str, mechanism: &str) -> Result<bool, Verdict> {
        let (host, lengths) = rest.split_once('/').map_or((rest, None), |(host, lengths)| (host, Some(lengths)));
        let host = Some(host.trim_start_matches(':')).filter(|host| !host.is_empty()).unwrap_or(domain);
        let hosts = match name.eq_ignore_ascii_case("mx") {
            true => self.dns.mail_hosts(host).await.unwrap_or_default(),
            false => vec![host.to_owned()],
        };
        for host in hosts {
            for found in self.dns.addresses(&host).await {
                if covers(found, lengths, self.address).ok_or_else(|| broken(mechanism))? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// RFC 7208 §4.6.4: after ten look-ups a receiver gives up.
    fn count(&mut self) -> Result<(), Verdict> {
        self.lookups += 1;
        if LOOKUPS_MAX < self.lookups {
            return Err(Verdict::Broken(format!("more than {LOOKUPS_MAX} look-ups")));
        }
        Ok(())
    }
}

fn broken(mechanism: &str) -> Verdict {
    Verdict::Broken(format!("{mechanism:?} is not understood"))
}

/// `redirect=…`, `exp=…`: an equals sign before any other.
fn modifier(term: &str) -> Option<(&str, &str)> {
    let (name, value) = term.split_once('=')?;
    name.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet)).then_some((name, value))
}

fn sign(term: &str) -> (Verdict, &str) {
    match term.split_at_checked(1) {
        Some(("+", rest)) => (Verdict::Pass, rest),
        Some(("-", rest)) => (Verdict::Fail, rest),
        Some(("~", rest)) => (Verdict::SoftFail, rest),
        Some(("?", rest)) => (Verdict::Neutral, rest),
        _ => (Verdict::Pass, term),
    }
}

/// `192.0.2.0/24`; none where it is no network.
fn network(text: &str, address: IpAddr) -> Option<bool> {
    let (base, length) = text.split_once('/').map_or((text, None), |(base, length)| (base, Some(length)));
    let base: IpAddr = base.parse().ok()?;
    let whole = if base.is_ipv4() { 32 } else { 128 };
    let length = length.map_or(Some(whole), |length| length.parse().ok()).filter(|length| *length <= whole)?;
    Some(within(base, length, address))
}

/// The lengths of `a/24//64`: for IPv4, then for IPv6.
fn covers(base: IpAddr, lengths: Option<&str>, address: IpAddr) -> Option<bool> {
    let (v4, v6) = lengths.map_or(("", ""), |lengths| lengths.split_once('/').unwrap_or((lengths, "")));
    let (text, whole) = if base.is_ipv4() { (v4, 32) } else { (v6.trim_start_matches('/'), 128) };
    let length = if text.is_empty() { whole } else { text.parse().ok().filter(|length| *length <= whole)? };
    Some(within(base, length, address))
}

fn within(base: IpAddr, length: u32, address: IpAddr) -> bool {
    match (base, address) {
        (IpAddr::V4(base), IpAddr::V4(address)) => {
            (u32::from(base) ^ u32::from(address)).checked_shr(32 - length).unwrap_or(0) == 0
        }
        (IpAddr::V6(base), IpAddr::V6(address)) => {
            (u128::from(base) ^ u128::from(address)).checked_shr(128 - length).unwrap_or(0) == 0
        }
        _ => false,
    }
}

/// RFC 7208 §4.6.4.
const LOOKUPS_MAX: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_compared_bit_by_bit() {
        let check = |text: &str, address: &str| network(text, address.parse().unwrap());
        assert_eq!(check("192.0.2.1", "192.0.2.1"), Some(true));
        assert_eq!(check("192.0.2.1", "192.0.2.2"), Some(false));
        assert_eq!(check("192.0.2.0/24", "192.0.2.77"), Some(true));
        assert_eq!(check("192.0.2.0/24", "192.0.3.77"), Some(false));
        assert_eq!(check("0.0.0.0/0", "203.0.113.9"), Some(true));
        assert_eq!(check("2001:db8::/32", "2001:db8:1::5"), Some(true));
        assert_eq!(check("2001:db8::/32", "192.0.2.1"), Some(false));
        assert_eq!(check("192.0.2.0/33", "192.0.2.1"), None);
        assert_eq!(check("here", "192.0.2.1"), None);
    }

    #[test]
    fn lengths_after_names_are_for_each_family() {
        let check = |lengths: Option<&str>, base: &str, address: &str| {
            covers(base.parse().unwrap(), lengths, address.parse().unwrap())
        };
        assert_eq!(check(None, "192.0.2.1", "192.0.2.1"), Some(true));
        assert_eq!(check(Some("24"), "192.0.2.1", "192.0.2.200"), Some(true));
        assert_eq!(check(Some("24//64"), "2001:db8::1", "2001:db8::ff"), Some(true));
        assert_eq!(check(Some("/64"), "2001:db8::1", "2001:db8::ff"), Some(true));
        assert_eq!(check(Some("24"), "2001:db8::1", "2001:db8::ff"), Some(false));
        assert_eq!(check(Some("99"), "192.0.2.1", "192.0.2.200"), None);
    }

    #[test]
    fn only_a_whole_first_word_makes_a_record() {
        assert!(is_spf("v=spf1 -all") && is_spf("V=SPF1") && !is_spf("v=spf10 -all") && !is_spf(""));
    }
}
