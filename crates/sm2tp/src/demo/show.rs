//! What a person sees: lines while the day runs, and a table at its end. Plain text, no escape codes.

use std::io::{IsTerminal, Write};

use super::count::{NodeSummary, Summary};
use super::status::Status;

/// Where the progress goes.
#[derive(Debug, Clone, Copy)]
pub enum Progress {
    /// `--json`: a program reads, nobody looks.
    Silent,
    /// Each phase is a line.
    Lines,
    /// The last line changes while the phase runs.
    Live,
}

impl Progress {
    #[must_use]
    pub fn choose(json: bool) -> Self {
        match (json, std::io::stderr().is_terminal()) {
            (true, _) => Self::Silent,
            (false, true) => Self::Live,
            (false, false) => Self::Lines,
        }
    }

    /// A phase begins.
    pub fn phase(self, text: &str) {
        match self {
            Self::Silent => {}
            Self::Lines => eprintln!("{text}"),
            Self::Live => eprintln!("{}", padded(text)),
        }
    }

    /// How far it is.
    pub fn now(self, a: &Status, b: &Status) {
        if !matches!(self, Self::Live) {
            return;
        }
        let both = |kind: &str| a.sum(kind, None) + b.sum(kind, None);
        let queued = a.queue.total() + b.queue.total();
        let text = format!(
            "  accepted {}  delivered {}  bounced {}  stopped {}  in the queues {queued}",
            both("accepted"),
            both("delivered"),
            both("bounced"),
            both("stopped") + both("stopped-reported"),
        );
        eprint!("{}\r", padded(&text));
        // Progress that cannot be shown is no reason to stop.
        let _ = std::io::stderr().flush();
    }
}

/// The table.
#[must_use]
pub fn table(summary: &Summary) -> String {
    let mut text = String::new();
    line(&mut text, "", ["node A", "node B", "both"].map(str::to_owned));
    let mut row = |label: &str, of: &dyn Fn(&NodeSummary) -> u64| {
        let (a, b) = (of(&summary.nodes.a), of(&summary.nodes.b));
        line(&mut text, label, [a, b, a + b].map(|count| count.to_string()));
    };
    row("accepted (each recipient counts)", &|node| node.accepted);
    row("delivered", &|node| node.delivered);
    row("bounced", &|node| node.bounced);
    for cause in summary.bounced_by_cause.keys() {
        row(&format!("  {}", meaning(cause)), &|node| node.bounced_by_cause.get(cause).copied().unwrap_or(0));
    }
    row("still in the queue", &|node| node.queued);
    row("deferred (attempts to be made again)", &|node| node.deferred);
    row("stopped before sending", &|node| node.stopped_at_once + node.stopped_with_report);
    row("  the node knew the address as dead", &NodeSummary::stopped_by_own);
    row("  another node did: held, returned", &|node| node.stopped_by_federation);
    row("let through anyway, as a measurement", &|node| node.canaries);
    row("events published", &|node| node.events_published);
    row("events received", &|node| node.events_received);
    text.push('\n');
    let avoided = summary.nodes.b.stopped_by_federation;
    single(&mut text, "sends that B avoided because A had learned", avoided);
    single(&mut text, "reports that reached the senders (mails)", summary.reports);
    single(&mut text, "mails sent again after a broken connection", summary.resent);
    single(&mut text, "duplicates at the recipients' servers", summary.duplicates);
    if 0 < summary.given_up {
        single(&mut text, "never taken by a node (the sender still has them)", summary.given_up);
    }
    single(&mut text, "LOST", summary.lost);
    text.push_str(&format!(
        "\nLost, from the ledgers: accepted - delivered - bounced - still in the queue - returned = {}.\n\
         Lost, by comparison: of {} recipients that a node said 250 for, {} have no copy at their server,\n\
         no report at their sender and no place in a queue.\n\
         It took {:.0} seconds.\n",
        summary.lost_by_ledger, summary.compared, summary.lost_by_comparison, summary.seconds
    ));
    text
}

/// A cause in the words of an administrator.
fn meaning(cause: &str) -> String {
    match cause {
        "address" => "no such user or domain".to_owned(),
        "mailbox" => "mailbox full until it was too late".to_owned(),
        "content" => "refused as spam".to_owned(),
        "ip" => "our address is refused".to_owned(),
        "auth" => "SPF, DKIM or DMARC".to_owned(),
        "rate" => "too fast until it was too late".to_owned(),
        "policy" => "against the server's rules".to_owned(),
        "network" => "server not reached in time".to_owned(),
        "unknown" => "for a reason not understood".to_owned(),
        other => other.to_owned(),
    }
}

fn line(text: &mut String, label: &str, values: [String; 3]) {
    text.push_str(&format!("{label:<LABEL$}"));
    for value in values {
        text.push_str(&format!("{value:>10}"));
    }
    text.push('\n');
}

fn single(text: &mut String, label: &str, value: u64) {
    text.push_str(&format!("{label:<SINGLE$}{value:>10}\n"));
}

/// Long enough to cover what stood on the line before.
fn padded(text: &str) -> String {
    format!("{text:<LINE$}")
}

const LABEL: usize = 38;
const SINGLE: usize = LABEL + 20;
const LINE: usize = 90;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_aligned_and_says_what_was_lost() {
        let mut summary = Summary { lost: 7, ..Summary::default() };
        summary.bounced_by_cause.insert("address".into(), 3);
        summary.nodes.a.bounced_by_cause.insert("address".into(), 3);
        let text = table(&summary);
        assert!(text.contains("\n  no such user or domain                       3         0         3\n"), "{text}");
        assert!(text.lines().any(|line| line.starts_with("LOST") && line.ends_with(" 7")), "{text}");
        let rows = text.lines().take_while(|line| !line.starts_with("Lost, from")).filter(|line| !line.is_empty());
        assert!(rows.clone().all(|row| row.len() == LABEL + 30), "{text}");
    }
}
