//! What came of the day: counted from the nodes' ledgers, and compared with what the servers truly received.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;

use super::internet::Received;
use super::status::{QueuedRow, Status};
use super::traffic::Tally;

/// The result, as `sm2tp demo --once --json` prints it. Units are recipients, except `reports` and `resent`: mails.
#[derive(Debug, Default, Serialize)]
pub struct Summary {
    pub accepted: u64,
    pub delivered: u64,
    pub bounced: u64,
    /// Attempts that were put off.
    pub deferred: u64,
    pub stopped: u64,
    pub lost: u64,
    pub events_published: u64,
    pub events_received: u64,
    pub stopped_by_federation: u64,
    pub bounced_by_cause: BTreeMap<String, u64>,
    pub queued: u64,
    pub reports: u64,
    /// Copies that a server got beyond the first.
    pub duplicates: u64,
    pub canaries: u64,
    pub resent: u64,
    /// Recipients that a sender wanted to send to and no node answered for in time.
    pub given_up: u64,
    pub seconds: f64,
    /// accepted − delivered − bounced − queued − stopped with a report, from the ledgers.
    pub lost_by_ledger: i64,
    /// Recipients with a 250 that no server has, no report names and no queue holds.
    pub lost_by_comparison: u64,
    pub compared: u64,
    pub nodes: Nodes,
}

#[derive(Debug, Default, Serialize)]
pub struct Nodes {
    pub a: NodeSummary,
    pub b: NodeSummary,
}

/// One node's share.
#[derive(Debug, Default, Serialize)]
pub struct NodeSummary {
    pub accepted: u64,
    pub delivered: u64,
    pub bounced: u64,
    pub bounced_by_cause: BTreeMap<String, u64>,
    pub deferred: u64,
    /// Refused when the sender asked.
    pub stopped_at_once: u64,
    /// Taken, held, and returned with a report.
    pub stopped_with_report: u64,
    pub stopped_by_federation: u64,
    pub canaries: u64,
    pub dropped: u64,
    pub queued: u64,
    pub events_published: u64,
    pub events_received: u64,
}

/// The end of one node's day.
pub struct NodeEnd {
    pub status: Status,
    /// People's mail that is still there; reports are not in it.
    pub queued: Vec<QueuedRow>,
}

impl Summary {
    /// Counts both nodes, and compares.
    #[must_use]
    pub fn of(a: &NodeEnd, b: &NodeEnd, tally: &Tally, received: &Received) -> Self {
        let nodes = Nodes { a: NodeSummary::of(a), b: NodeSummary::of(b) };
        let both = |of: fn(&NodeSummary) -> u64| of(&nodes.a) + of(&nodes.b);
        let mut bounced_by_cause = nodes.a.bounced_by_cause.clone();
        for (cause, count) in &nodes.b.bounced_by_cause {
            *bounced_by_cause.entry(cause.clone()).or_default() += count;
        }
        let (accepted, delivered, bounced) = (both(|n| n.accepted), both(|n| n.delivered), both(|n| n.bounced));
        let (queued, returned) = (both(|n| n.queued), both(|n| n.stopped_with_report));
        let ended = delivered + bounced + queued + returned + both(|n| n.dropped);
        let lost_by_ledger = signed(accepted) - signed(ended);
        let lost_by_comparison = missing(tally, received, a.queued.iter().chain(&b.queued));
        Self {
            accepted,
            delivered,
            bounced,
            deferred: both(|n| n.deferred),
            stopped: both(|n| n.stopped_at_once) + returned,
            // A ledger with more ends than beginnings is as wrong as one with fewer.
            lost: lost_by_ledger.unsigned_abs().max(lost_by_comparison),
            events_published: both(|n| n.events_published),
            events_received: both(|n| n.events_received),
            stopped_by_federation: both(|n| n.stopped_by_federation),
            bounced_by_cause,
            queued,
            reports: received.reports,
            duplicates: received.copies.values().map(|copies| u64::from(copies.saturating_sub(1))).sum(),
            canaries: both(|n| n.canaries),
            resent: tally.resent,
            given_up: tally.given_up,
            seconds: 0.0,
            lost_by_ledger,
            lost_by_comparison,
            compared: tally.accepted.len() as u64,
            nodes,
        }
    }
}

impl NodeSummary {
    fn of(end: &NodeEnd) -> Self {
        let sum = |kind: &str| end.status.sum(kind, None);
        let federated = |kind: &str| end.status.sum(kind, Some("federated"));
        let mut bounced_by_cause = BTreeMap::<String, u64>::new();
        for counter in end.status.counters.iter().filter(|counter| counter.kind == "bounced") {
            let count = end.status.sum("bounced", counter.cause.as_deref());
            if let Some(cause) = counter.cause.as_deref().filter(|_| 0 < count) {
                bounced_by_cause.insert(cause.to_owned(), count);
            }
        }
        Self {
            accepted: sum("accepted"),
            delivered: sum("delivered"),
            bounced: sum("bounced"),
            bounced_by_cause,
            deferred: sum("deferred"),
            stopped_at_once: sum("stopped"),
            stopped_with_report: sum("stopped-reported"),
            stopped_by_federation: federated("stopped") + federated("stopped-reported"),
            canaries: sum("canary"),
            dropped: sum("dropped"),
            queued: end.queued.len() as u64,
            events_published: end.status.federation.published,
            events_received: end.status.federation.received,
        }
    }

    /// Stopped because of what the node saw itself.
    #[must_use]
    pub fn stopped_by_own(&self) -> u64 {
        (self.stopped_at_once + self.stopped_with_report).saturating_sub(self.stopped_by_federation)
    }
}

/// How many of those that were answered with a 250 cannot be found anywhere. A queue names recipients and not marks,
/// so each of its rows accounts for one mail to that recipient.
fn missing<'a>(tally: &Tally, received: &Received, queued: impl Iterator<Item = &'a QueuedRow>) -> u64 {
    let mut waiting = HashMap::<&str, u64>::new();
    for row in queued {
        *waiting.entry(&row.recipient).or_default() += 1;
    }
    let mut lost = 0;
    for sent in tally.accepted.iter().collect::<HashSet<_>>() {
        if received.copies.contains_key(sent) || received.reported.contains(sent) {
            continue;
        }
        match waiting.get_mut(sent.1.as_str()) {
            Some(rows) if 0 < *rows => *rows -= 1,
            _ => lost += 1,
        }
    }
    lost
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::status::Counter;

    fn pair(id: &str, recipient: &str) -> (String, String) {
        (id.to_owned(), recipient.to_owned())
    }

    #[test]
    fn a_mail_is_lost_when_nobody_has_it_and_nobody_told() {
        let mut received = Received::default();
        received.copies.insert(pair("1", "a@x"), 2);
        received.reported.insert(pair("2", "b@x"));
        let sent = ["1 a@x", "2 b@x", "3 c@x", "4 c@x"].map(|text| text.split_once(' ').unwrap());
        let tally = Tally { accepted: sent.map(|(id, to)| pair(id, to)).into(), ..Tally::default() };
        let row = QueuedRow { recipient: "c@x".into() };
        assert_eq!(missing(&tally, &received, [row.clone()].iter()), 1);
        assert_eq!(missing(&tally, &received, [row.clone(), row].iter()), 0);
    }

    #[test]
    fn reports_are_no_mail_of_people_and_the_ledger_must_add_up() {
        let counter = |kind: &str, stream: &str, count| Counter {
            kind: kind.into(),
            stream: Some(stream.into()),
            cause: None,
            count,
        };
        let status = Status {
            counters: vec![
                counter("accepted", "bulk", 10),
                counter("delivered", "bulk", 8),
                counter("delivered", "transactional", 2),
                counter("stopped-reported", "bulk", 1),
            ],
            ..Status::default()
        };
        let end = NodeEnd { status, queued: Vec::new() };
        let empty = NodeEnd { status: Status::default(), queued: Vec::new() };
        let summary = Summary::of(&end, &empty, &Tally::default(), &Received::default());
        assert_eq!((summary.delivered, summary.lost_by_ledger, summary.lost), (8, 1, 1));
    }
}
