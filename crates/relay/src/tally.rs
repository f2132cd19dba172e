//! How connections to the servers of each domain went with regard to TLS, counted for a day (RFC 8460 §4).

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// The counts of one day.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Days since 1970, in UTC.
    pub day: u64,
    domains: HashMap<String, Vec<Counts>>,
}

/// The counts of one domain under one policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub policy: Policy,
    pub good: u64,
    pub bad: u64,
    /// At most [`FAILURES_MAX`] kinds; `bad` counts all.
    pub failures: Vec<(Failure, u64)>,
}

/// What the sessions were measured against.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    pub kind: Kind,
    /// The policy, line by line, as RFC 8460 §4.4 quotes it.
    pub text: Vec<String>,
    /// The hosts that it names.
    pub hosts: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    #[serde(rename = "tlsa")]
    Tlsa,
    #[serde(rename = "sts")]
    Sts,
    #[serde(rename = "no-policy-found")]
    None,
}

/// One way to fail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// As RFC 8460 §4.3 names it.
    pub kind: String,
    pub host: Option<String>,
    pub ip: Option<IpAddr>,
}

impl Tally {
    #[must_use]
    pub fn new(day: u64) -> Self {
        Self { day, domains: HashMap::new() }
    }

    /// Counts a session; without a failure it was a good one.
    pub fn count(&mut self, domain: &str, policy: Policy, failure: Option<Failure>) {
        if !self.domains.contains_key(domain) && DOMAINS_MAX <= self.domains.len() {
            return;
        }
        let all = self.domains.entry(domain.to_owned()).or_default();
        let place = all.iter().position(|counts| counts.policy == policy);
        let counts = match place {
            Some(place) => &mut all[place],
            // A domain that changes its policy all day long gets a report about the first ones.
            None if POLICIES_MAX <= all.len() => return,
            None => {
                all.push(Counts { policy, good: 0, bad: 0, failures: Vec::new() });
                let last = all.len() - 1;
                &mut all[last]
            }
        };
        let Some(failure) = failure else {
            counts.good += 1;
            return;
        };
        counts.bad += 1;
        let place = counts.failures.iter().position(|(known, _)| *known == failure);
        match place {
            Some(place) => counts.failures[place].1 += 1,
            None if counts.failures.len() < FAILURES_MAX => counts.failures.push((failure, 1)),
            None => {}
        }
    }

    /// Ends the day, if another one has come: its counts, by domain.
    pub fn turn(&mut self, today: u64) -> Option<(u64, BTreeMap<String, Vec<Counts>>)> {
        if self.day == today {
            return None;
        }
        let (day, domains) = (std::mem::replace(&mut self.day, today), std::mem::take(&mut self.domains));
        Some((day, domains.into_iter().collect()))
    }
}

/// Domains of one day; more are not reported about. Each takes some hundred octets.
const DOMAINS_MAX: usize = 10_000;
const POLICIES_MAX: usize = 4;
/// Kinds of failures of one domain and policy.
pub const FAILURES_MAX: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;

    fn none() -> Policy {
        Policy { kind: Kind::None, text: Vec::new(), hosts: Vec::new() }
    }

    fn failure(host: &str) -> Option<Failure> {
        Some(Failure { kind: "certificate-expired".into(), host: Some(host.into()), ip: None })
    }

    #[test]
    fn sessions_are_counted_by_domain_policy_and_failure_until_the_day_ends() {
        let mut tally = Tally::new(7);
        let sts = Policy { kind: Kind::Sts, text: vec!["version: STSv1".into()], hosts: vec!["mx.a.test".into()] };
        tally.count("a.test", sts.clone(), None);
        (0..3).for_each(|_| tally.count("a.test", sts.clone(), failure("mx.a.test")));
        tally.count("a.test", none(), None);
        tally.count("b.test", none(), None);
        assert_eq!(tally.turn(7), None);
        let (day, domains) = tally.turn(8).unwrap();
        assert_eq!((day, domains.len(), tally.day), (7, 2, 8));
        let [first, second] = &domains["a.test"][..] else { panic!("{domains:?}") };
        assert_eq!((first.good, first.bad, first.failures[0].1, second.good), (1, 3, 3, 1));
        assert_eq!(tally.turn(9).unwrap().1, BTreeMap::new());
    }

    #[test]
    fn a_day_of_strange_names_stays_small() {
        let mut tally = Tally::new(0);
        (0..DOMAINS_MAX + 10).for_each(|n| tally.count(&format!("d{n}.test"), none(), None));
        (0..FAILURES_MAX + 10).for_each(|n| tally.count("d0.test", none(), failure(&format!("mx{n}.test"))));
        for n in 0..POLICIES_MAX + 10 {
            tally.count("d0.test", Policy { text: vec![n.to_string()], ..none() }, None);
        }
        let (_, domains) = tally.turn(1).unwrap();
        assert_eq!(domains.len(), DOMAINS_MAX);
        let counts = &domains["d0.test"];
        assert_eq!((counts.len(), counts[0].failures.len()), (POLICIES_MAX, FAILURES_MAX));
        assert_eq!(counts[0].bad, (FAILURES_MAX + 10) as u64, "all are counted");
    }
}
