//! How connections to the servers of each domain went with regard to TLS, counted for a day (RFC 8460 §4).

use std::collections::HashMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// The counts of one day, and those of days before whose reports are still to be sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Days since 1970, in UTC.
    pub day: u64,
    domains: HashMap<String, Vec<Counts>>,
    #[serde(default)]
    unsent: Vec<Unsent>,
}

/// The counts of one domain and a day that is over, until the domain was told or it is too late.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsent {
    pub day: u64,
    pub domain: String,
    pub counts: Vec<Counts>,
    attempts: u32,
    /// Unix seconds.
    next_at: u64,
    until: u64,
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
    /// Our own address.
    #[serde(default)]
    pub from: Option<IpAddr>,
}

impl Tally {
    #[must_use]
    pub fn new(day: u64) -> Self {
        Self { day, ..Self::default() }
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

    /// Ends the day, if a later one has come: its reports are due from the midnight before it on.
    pub fn turn(&mut self, today: u64) {
        if today <= self.day {
            // A clock that was days ahead and was set right must not keep the day open until then.
            self.day = if today + 1 < self.day { today } else { self.day };
            return;
        }
        let (day, domains) = (std::mem::replace(&mut self.day, today), std::mem::take(&mut self.domains));
        let next_at = today.saturating_mul(DAY_S);
        let until = next_at.saturating_add(DAY_S);
        let unsent = |(domain, counts)| Unsent { day, domain, counts, attempts: 0, next_at, until };
        self.unsent.extend(domains.into_iter().map(unsent));
        self.unsent.drain(..self.unsent.len().saturating_sub(UNSENT_MAX));
    }

    /// A report that is due, with its next attempt noted: a crash in the middle of this one costs a repetition, which its
    /// receiver knows by the report's name, and no report.
    pub fn due(&mut self, now: u64) -> Option<Unsent> {
        let report = self.unsent.iter_mut().find(|report| report.next_at <= now)?;
        report.next_at = now.saturating_add(RETRY_FIRST_S << report.attempts.min(ATTEMPTS_MAX));
        report.attempts += 1;
        Some(report.clone())
    }

    /// Forgets a report.
    pub fn done(&mut self, report: &Unsent) {
        self.unsent.retain(|other| (other.day, &other.domain) != (report.day, &report.domain));
    }
}

impl Unsent {
    /// Whether this attempt is the last one.
    #[must_use]
    pub fn is_last(&self) -> bool {
        ATTEMPTS_MAX <= self.attempts || self.until < self.next_at
    }
}

pub const DAY_S: u64 = 86_400;
/// Domains of one day; more are not reported about. Each takes some hundred octets.
const DOMAINS_MAX: usize = 10_000;
const POLICIES_MAX: usize = 4;
/// Reports that wait: those of two full days. Beyond it the oldest are given up.
const UNSENT_MAX: usize = 2 * DOMAINS_MAX;
/// RFC 8460 §5.5: a report is tried for a day, at growing intervals.
const RETRY_FIRST_S: u64 = 600;
/// More do not fit into a day.
const ATTEMPTS_MAX: u32 = 8;
/// Kinds of failures of one domain and policy.
pub const FAILURES_MAX: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;

    const MIDNIGHT: u64 = 8 * DAY_S;

    fn none() -> Policy {
        Policy { kind: Kind::None, text: Vec::new(), hosts: Vec::new() }
    }

    fn failure(host: &str) -> Option<Failure> {
        Some(Failure { kind: "certificate-expired".into(), host: Some(host.into()), ip: None, from: None })
    }

    #[test]
    fn sessions_are_counted_by_domain_policy_and_failure_until_the_day_ends() {
        let mut tally = Tally::new(7);
        let sts = Policy { kind: Kind::Sts, text: vec!["version: STSv1".into()], hosts: vec!["mx.a.test".into()] };
        tally.count("a.test", sts.clone(), None);
        (0..3).for_each(|_| tally.count("a.test", sts.clone(), failure("mx.a.test")));
        tally.count("a.test", none(), None);
        tally.count("b.test", none(), None);
        tally.turn(7);
        // A clock that was set back ends no day.
        tally.turn(6);
        assert_eq!(tally.day, 7);
        tally.turn(1);
        assert_eq!(tally.day, 1);
        tally.day = 7;
        assert_eq!(tally.due(MIDNIGHT), None);
        tally.turn(8);
        assert_eq!(tally.due(MIDNIGHT - 1), None);
        let mut reports: Vec<_> = std::iter::from_fn(|| tally.due(MIDNIGHT)).collect();
        reports.sort_by(|a, b| a.domain.cmp(&b.domain));
        assert_eq!((reports.len(), reports[0].day, tally.day), (2, 7, 8));
        let [first, second] = &reports[0].counts[..] else { panic!("{reports:?}") };
        assert_eq!((first.good, first.bad, first.failures[0].1, second.good), (1, 3, 3, 1));
        reports.iter().for_each(|report| tally.done(report));
        tally.turn(9);
        assert_eq!(tally.due(u64::MAX), None, "nothing was counted");
    }

    #[test]
    fn a_report_that_nobody_takes_is_tried_for_a_day_at_growing_intervals() {
        let mut tally = Tally::new(7);
        tally.count("a.test", none(), None);
        tally.turn(8);
        let mut tried = Vec::new();
        for minute in 0.. {
            let Some(report) = tally.due(MIDNIGHT + minute * 60) else { continue };
            tried.push(minute);
            if report.is_last() {
                tally.done(&report);
                break;
            }
        }
        assert_eq!(tried, [0, 10, 30, 70, 150, 310, 630, 1270]);
        assert_eq!(tally.due(u64::MAX), None);
    }

    #[test]
    fn a_day_of_strange_names_stays_small() {
        let mut tally = Tally::new(0);
        (0..DOMAINS_MAX + 10).for_each(|n| tally.count(&format!("d{n}.test"), none(), None));
        (0..FAILURES_MAX + 10).for_each(|n| tally.count("d0.test", none(), failure(&format!("mx{n}.test"))));
        for n in 0..POLICIES_MAX + 10 {
            tally.count("d0.test", Policy { text: vec![n.to_string()], ..none() }, None);
        }
        tally.turn(1);
        assert_eq!(tally.unsent.len(), DOMAINS_MAX);
        let counts = &tally.unsent.iter().find(|report| report.domain == "d0.test").unwrap().counts;
        assert_eq!((counts.len(), counts[0].failures.len()), (POLICIES_MAX, FAILURES_MAX));
        assert_eq!(counts[0].bad, (FAILURES_MAX + 10) as u64, "all are counted");
        for day in 1..4 {
            tally.count("last.test", none(), None);
            (0..DOMAINS_MAX).for_each(|n| tally.count(&format!("e{n}.test"), none(), None));
            tally.turn(day + 1);
        }
        assert_eq!(tally.unsent.len(), UNSENT_MAX);
        assert!(tally.unsent.iter().all(|report| 1 < report.day), "the oldest are given up");
    }
}
