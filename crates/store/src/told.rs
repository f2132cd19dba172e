//! What the relay tells the bounce service: one entry per happening, written with the queue row in one step.
//!
//! The entry waits in the spool's outbox until the ledger has taken it, so a slow or stopped database loses nothing
//! (I8). It is a stored format (I9): fields are added, never renamed; `v` says which set.

use serde::{Deserialize, Serialize};
use sm2tp_proto::{Address, Enhanced};
use sm2tp_rules::{Cause, Fate, Outcome, Scope, Stage, Stream, StreamBy, Strength};

/// One entry of the outbox. It holds the pair sender–recipient in clear and is deleted as soon as the ledger and the
/// send log have it (R11).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    pub v: u8,
    /// Unix seconds.
    pub at: u64,
    pub org: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
    pub stream: Stream,
    /// Number of the mail in this machine's spool.
    pub mail: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail_from: Option<String>,
    /// Clear; none where the entry is about the whole mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// The token in the return path under which a server took it, or may have: a report that names it is about this
    /// recipient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The mail is a report of ours, not one that people sent: counted apart.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub report: bool,
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum What {
    /// 250 was said for so many recipients.
    Accepted {
        recipients: u64,
        /// What told the stream; none for what an older version accepted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<StreamBy>,
    },
    /// The recipient's server took it.
    Delivered { answer: Answer },
    /// Given up, and reported to the sender where there is one.
    Bounced { answer: Answer, expired: bool },
    /// Not taken this time.
    Deferred { answer: Answer },
    /// Not sent because of what is known about the address; `reported` when it had been accepted first.
    Stopped { why: String, federated: bool, reported: bool },
    /// Let through to measure what the federation is worth (R27).
    Canary,
    /// A person removed it from the queue.
    Dropped,
    /// A report to a sender was queued.
    Report,
    /// The recipient's server took it and gave up later, as it reported.
    Returned {
        answer: Answer,
        /// It came late, or names another address: weak evidence, whatever the rules make of its words.
        #[serde(default)]
        weakened: bool,
    },
    /// A report says so that nobody can prove: noted in the send log, and counted nowhere.
    Unproved { answer: Answer },
    /// The recipient complained, as the recipient's provider reported.
    Complained { answer: Answer },
}

/// An answer of a server, classified.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<Stage>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mx: Option<String>,
    /// The exit that it left through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enhanced: Option<Enhanced>,
    pub text: String,
    /// Said by a smart host that took the mail on: its yes is no proof that the address exists.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub relayed: bool,
    /// Who runs the server, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
}

/// The classifier's word on an answer that was not a yes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    pub cause: Cause,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    pub fate: Fate,
    pub scope: Scope,
    pub strength: Strength,
    pub rule: String,
    /// Which rules these were: `Classifier::version`; none for failures of our own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<String>,
}

impl Told {
    pub const VERSION: u8 = 1;

    /// One word for counters and tables.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.what {
            What::Accepted { .. } => "accepted",
            What::Delivered { .. } if self.report => "report-delivered",
            What::Bounced { .. } if self.report => "report-bounced",
            What::Deferred { .. } if self.report => "report-deferred",
            What::Delivered { .. } => "delivered",
            What::Bounced { .. } => "bounced",
            What::Deferred { .. } => "deferred",
            What::Stopped { reported: false, .. } => "stopped",
            What::Stopped { reported: true, .. } => "stopped-reported",
            What::Canary => "canary",
            What::Dropped => "dropped",
            What::Report => "report",
            What::Returned { .. } => "returned",
            What::Unproved { .. } => "unproved",
            What::Complained { .. } => "complained",
        }
    }

    #[must_use]
    pub fn answer(&self) -> Option<&Answer> {
        match &self.what {
            What::Delivered { answer }
            | What::Bounced { answer, .. }
            | What::Deferred { answer }
            | What::Returned { answer, .. }
            | What::Unproved { answer }
            | What::Complained { answer } => Some(answer),
            _ => None,
        }
    }
}

impl From<&Outcome> for Verdict {
    fn from(outcome: &Outcome) -> Self {
        Self {
            cause: outcome.cause,
            sub: outcome.sub.as_deref().map(str::to_owned),
            fate: outcome.fate,
            scope: outcome.scope,
            strength: outcome.strength,
            rule: outcome.rule.to_string(),
            rules: None,
        }
    }
}

/// Takes the recipient out of a reply before it goes where only tags may stand (R11): the whole address, any other
/// address, and the local part where the server names it alone.
#[must_use]
pub fn mask(text: &str, recipient: &Address) -> String {
    let clear = recipient.clear();
    let local = clear.rsplit_once('@').map_or("", |(local, _)| local);
    let mut out = String::with_capacity(text.len());
    for word in text.split_inclusive(|c: char| c.is_whitespace() || "<>()[]\"',;:=".contains(c)) {
        let body = word.trim_end_matches(|c: char| c.is_whitespace() || "<>()[]\"',;:=".contains(c));
        match body.rsplit_once('@') {
            Some((_, domain)) => out.push_str(&format!("…@{domain}")),
            None if !local.is_empty() && body.trim_matches('.').eq_ignore_ascii_case(local) => out.push('…'),
            None => out.push_str(body),
        }
        out.push_str(&word[body.len()..]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_reply_names_nobody() {
        let jean = Address::parse("jean.dupont@example.org").unwrap();
        let text = "550 5.1.1 <jean.dupont@example.org>: user Jean.Dupont unknown (via a@b.example), sorry";
        assert_eq!(mask(text, &jean), "550 5.1.1 <…@example.org>: user … unknown (via …@b.example), sorry");
        assert_eq!(mask("no such user: 'jean.dupont'.", &jean), "no such user: '…'.");
    }

    #[test]
    fn the_stored_form_reads_back() {
        let told = Told {
            v: Told::VERSION,
            at: 1,
            org: "asso".into(),
            login: None,
            stream: Stream::Bulk,
            mail: 7,
            message_id: None,
            mail_from: None,
            recipient: Some("a@b.example".into()),
            token: None,
            report: false,
            what: What::Stopped { why: "listed".into(), federated: false, reported: true },
        };
        let json = serde_json::to_string(&told).unwrap();
        assert_eq!(serde_json::from_str::<Told>(&json).unwrap(), told);
    }
}
