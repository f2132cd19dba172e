//! Results of old logs, read by the command line and counted here as the follower would have.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sm2tp_proto::log::{Origin, Outcome, Reach, Status, Writer};
use sm2tp_proto::{Address, Enhanced};
use sm2tp_rules::Stream;
use sm2tp_store::ledger::SendLog;
use sm2tp_store::told::{Told, What};

use super::{Problem, Refusal};
use crate::House;
use crate::logs::Reading;

/// Results of one file, in its order.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OldLog {
    pub writer: Writer,
    /// As the follower names the file ([`crate::logs::source`]): what that has read is not counted again, and the other way
    /// round.
    pub source: String,
    pub smarthost: Option<String>,
    /// Stream of logins that this node does not know.
    pub stream: Stream,
    /// At most [`OLD_RESULTS_MAX`].
    pub results: Vec<OldResult>,
}

/// What became of one recipient.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OldResult {
    /// Octets of the file, unpacked, up to the end of the line.
    pub end: u64,
    /// Unix seconds.
    pub at: u64,
    pub sender: Option<String>,
    pub recipient: String,
    pub login: Option<String>,
    pub message_id: Option<String>,
    pub host: Option<String>,
    pub reach: Reach,
    pub status: Status,
    pub code: Option<u16>,
    pub enhanced: Option<Enhanced>,
    pub text: String,
}

impl OldResult {
    #[must_use]
    pub fn new(end: u64, outcome: &Outcome<'_>) -> Self {
        Self {
            end,
            at: outcome.at,
            sender: outcome.sender.map(str::to_owned),
            recipient: outcome.recipient.to_owned(),
            login: outcome.login.map(str::to_owned),
            message_id: outcome.message_id.map(str::to_owned),
            host: outcome.host.map(str::to_owned),
            reach: outcome.reach,
            status: outcome.status,
            code: outcome.code,
            enhanced: outcome.enhanced,
            text: outcome.text.to_owned(),
        }
    }

    fn outcome(&self, writer: Writer) -> Outcome<'_> {
        let host = self.host.as_deref();
        Outcome {
            at: self.at,
            queue_id: "",
            sender: self.sender.as_deref(),
            recipient: &self.recipient,
            original: None,
            origin: Origin::Unknown,
            login: self.login.as_deref(),
            message_id: self.message_id.as_deref(),
            octets: None,
            host,
            reach: self.reach,
            status: self.status,
            first: None,
            code: self.code,
            enhanced: self.enhanced,
            text: &self.text,
            delivery: writer.delivery(self.status, &self.text, host),
        }
    }
}

/// Counts a batch in one transaction. Nothing of it goes to peers, and no pair is kept: both are for what happens now.
pub(super) async fn import(house: &House, log: OldLog) -> Result<Value, Problem> {
    if OLD_RESULTS_MAX < log.results.len() {
        return Err(Problem::Input(Refusal::ManyResults { max: OLD_RESULTS_MAX }));
    }
    if !log.source.starts_with("log ") {
        return Err(Problem::Input(Refusal::LogName));
    }
    let rules = house.federation.publisher.classifier.rules();
    let reading = Reading {
        smarthost: log.smarthost.as_deref(),
        accounts: &house.accounts,
        rules: &rules,
        stream: log.stream,
        returns: None,
    };
    let read = house.ledger.read_to(&log.source).await?;
    let (mut overtaken, mut batch) = (0_usize, Vec::new());
    for result in log.results.iter().filter(|result| read < result.end) {
        let Some(told) = reading.told(&result.outcome(log.writer)) else { continue };
        if is_overtaken(house, &told) {
            overtaken += 1;
        } else {
            batch.push((result.end, told));
        }
    }
    let known = log.results.iter().filter(|result| result.end <= read).count();
    let taken = batch.len();
    if !batch.is_empty() {
        let book = house.book.clone();
        let tagger = move |address: &Address| book.tag(address);
        house.ledger.absorb(&log.source, batch, SendLog::Past, tagger, |_, _, _| Ok(())).await?;
    }
    Ok(json!({ "taken": taken, "known": known, "overtaken": overtaken }))
}

/// Events count in the order in which they are appended: an old refusal would stop an address that took mail since, and an old
/// yes would release one that refused it since.
fn is_overtaken(house: &House, told: &Told) -> bool {
    if !matches!(told.what, What::Delivered { .. } | What::Bounced { .. }) {
        return false;
    }
    let Some(address) = told.recipient.as_deref().and_then(|text| Address::parse(text).ok()) else { return false };
    house.book.all_tags(&address).iter().any(|(_, tag)| {
        let evidence = house.ledger.views().evidence(tag).unwrap_or_default();
        told.at < evidence.delivered_at.max(evidence.hard_at)
    })
}

/// An expiry tells of a thousand recipients at most, and a batch is little more than that.
pub const OLD_RESULTS_MAX: usize = 1200;
