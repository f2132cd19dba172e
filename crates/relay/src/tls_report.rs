//! Reports to domains about TLS to their servers (RFC 8460): counted here, written once a day, mailed through our own
//! queue or posted over HTTPS to where the domain wants them.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use mail_builder::MessageBuilder;
use mail_builder::headers::content_type::ContentType;
use mail_builder::headers::date::Date;
use mail_builder::headers::message_id::MessageId;
use mail_builder::headers::raw::Raw;
use mail_builder::mime::MimePart;
use reqwest::Url;
use reqwest::header::CONTENT_TYPE;
use rustls::ClientConfig;
use serde_json::{Value, json};
use sm2tp_proto::Address;
use sm2tp_proto::date::iso;
use sm2tp_proto::smtp::params::MailOptions;
use sm2tp_proto::tls_rpt::{Destination, destinations};
use sm2tp_rules::Stream;
use sm2tp_store::spool::{NewMail, NewRecipient, Spool};
use tokio::sync::mpsc;

use crate::dns::{Dns, Missing};
use crate::now;
use crate::reach::Reach;
use crate::runner::News;
use crate::tally::{Counts, DAY_S, Failure, Policy, Tally, Unsent};

/// Whether domains are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsReports {
    Off,
    On,
}

/// What was counted; clones share it. Nothing is counted where no reports are sent.
#[derive(Clone)]
pub(crate) struct Counting(Option<Arc<Mutex<Tally>>>);

/// What reports are sent with.
pub(crate) struct Courier {
    pub dns: Dns,
    /// Takes certificates of known authorities.
    pub tls: Arc<ClientConfig>,
    pub reach: Reach,
    pub hostname: String,
    pub spool: Spool,
    pub to_runner: mpsc::Sender<News>,
}

/// What looks after the counts as time goes on.
struct Desk {
    tally: Arc<Mutex<Tally>>,
    /// Where they are kept.
    file: Option<PathBuf>,
    /// Seconds by which everything is sent later: RFC 8460 §4.1 asks for reports that do not all arrive at midnight.
    late_s: u64,
    courier: Courier,
}

/// One report.
struct Report {
    domain: String,
    id: String,
    name: String,
    zipped: Vec<u8>,
}

impl Counting {
    /// Goes on with what `file` kept of today.
    pub(crate) fn new(wanted: TlsReports, file: Option<&PathBuf>) -> Self {
        if wanted == TlsReports::Off {
            return Self(None);
        }
        let kept = file.and_then(|file| fs::read(file).ok()).and_then(|text| serde_json::from_slice(&text).ok());
        Self(Some(Arc::new(Mutex::new(kept.unwrap_or_else(|| Tally::new(now() / DAY_S))))))
    }

    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn count(&self, domain: &str, policy: impl FnOnce() -> Policy, failure: Option<Failure>) {
        self.count_at(now(), domain, policy, failure);
    }

    /// Each session belongs to the day in which it was, whenever that day's reports are sent.
    fn count_at(&self, now: u64, domain: &str, policy: impl FnOnce() -> Policy, failure: Option<Failure>) {
        if let Some(tally) = &self.0 {
            let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
            tally.turn(now / DAY_S);
            tally.count(domain, policy(), failure);
        }
    }

    /// Sends the reports of each day that is over, and keeps what was counted, for as long as the relay runs.
    pub(crate) async fn run(self, courier: Courier, file: Option<PathBuf>) {
        let Some(tally) = self.0 else { return };
        let late_s = (crate::random() * LATE_MAX_S) as u64;
        let desk = Desk { tally, file, late_s, courier };
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            desk.look(now()).await;
        }
    }
}

impl Desk {
    /// Ends the day when it is over, and sends what is due.
    async fn look(&self, now: u64) {
        self.with(|tally| tally.turn(now / DAY_S));
        self.keep();
        while let Some(unsent) = self.with(|tally| tally.due(now.saturating_sub(self.late_s))) {
            let domain = &unsent.domain;
            match self.courier.send(&unsent, now).await {
                Ok(()) => self.with(|tally| tally.done(&unsent)),
                Err(error) if unsent.is_last() => {
                    tracing::warn!(domain, error, "a TLS report could not be sent all day; it is given up");
                    self.with(|tally| tally.done(&unsent));
                }
                Err(error) => tracing::info!(domain, error, "a TLS report could not be sent; it is tried again"),
            }
        }
        self.keep();
    }

    fn keep(&self) {
        let Some(file) = &self.file else { return };
        let Ok(text) = self.with(|tally| serde_json::to_vec(tally)) else { return };
        if let Err(error) = keep(file, &text) {
            tracing::warn!(%error, "the counts for TLS reports cannot be kept; a restart forgets them");
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Tally) -> T) -> T {
        work(&mut self.tally.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn keep(file: &PathBuf, text: &[u8]) -> io::Result<()> {
    let new = file.with_extension("new");
    fs::write(&new, text)?;
    fs::rename(new, file)
}

impl Courier {
    /// Sends a report to the first of the places that the domain names, if it does, which takes it (RFC 8460 §3).
    async fn send(&self, unsent: &Unsent, now: u64) -> Result<(), String> {
        let record = format!("_smtp._tls.{}", unsent.domain);
        let texts = match self.dns.texts(&record).await {
            Ok(texts) => texts,
            Err(Missing::Failure) => return Err("the DNS does not answer".to_owned()),
            Err(Missing::Name | Missing::Records) => Vec::new(),
        };
        let report = report(&self.hostname, &unsent.domain, unsent.day, &unsent.counts);
        let mut last = Ok(());
        for place in destinations(texts.iter().map(String::as_str)) {
            last = match &place {
                Destination::Mail(to) => self.mail(to, &report, now).await,
                Destination::Https(url) => self.post(url, &report).await,
            };
            if last.is_ok() {
                break;
            }
        }
        last
    }

    async fn post(&self, url: &str, report: &Report) -> Result<(), String> {
        let url = Url::parse(url).map_err(|error| error.to_string())?;
        let host = url.host_str().ok_or("it names no server")?.to_owned();
        let port = url.port_or_known_default().unwrap_or(443);
        let found = self.dns.addresses(&host).await.map_err(|failure| failure.to_string())?;
        let client = self.reach.client((&host, port), &found.found, &self.tls, POST_TIMEOUT);
        let client = client
            .map_err(|error| error.to_string())?
            .ok_or_else(|| format!("{host} has no public address; [relay] private_web_servers would allow others"))?;
        let posted =
            client.post(url).header(CONTENT_TYPE, "application/tlsrpt+gzip").body(report.zipped.clone()).send();
        let answer = posted.await.map_err(|error| error.to_string())?;
        if answer.status().is_success() {
            Ok(())
        } else {
            Err(format!("it answered with {}", answer.status().as_u16()))
        }
    }

    async fn mail(&self, to: &Address, report: &Report, now: u64) -> Result<(), String> {
        let kept = self.spool.accept(mail(&self.hostname, to, report, now)).await;
        let queued = kept.map_err(|error| error.to_string())?;
        // The runner may have stopped: the mail is in the spool, and the next start finds it.
        let _ = self.to_runner.send(News::Mail(queued, None)).await;
        Ok(())
    }
}

/// The report of a day as RFC 8460 §4.4 writes it, compressed.
fn report(hostname: &str, domain: &str, day: u64, counts: &[Counts]) -> Report {
    let (begin, end) = (day * DAY_S, day * DAY_S + DAY_S - 1);
    let id = format!("{day}.{domain}@{hostname}");
    let json = json!({
        "organization-name": hostname,
        "date-range": {
            "start-datetime": format!("{}T00:00:00Z", iso(day)),
            "end-datetime": format!("{}T23:59:59Z", iso(day)),
        },
        "contact-info": format!("postmaster@{hostname}"),
        "report-id": id,
        "policies": counts.iter().map(|counts| policy(domain, counts)).collect::<Vec<_>>(),
    });
    let mut zip = GzEncoder::new(Vec::new(), Compression::default());
    // Writing to memory does not fail.
    let zipped = zip.write_all(json.to_string().as_bytes()).and_then(|()| zip.finish()).unwrap_or_default();
    let name = format!("{hostname}!{domain}!{begin}!{end}.json.gz");
    Report { domain: domain.to_owned(), id, name, zipped }
}

fn policy(domain: &str, counts: &Counts) -> Value {
    let mut policy = json!({ "policy-type": counts.policy.kind, "policy-domain": domain });
    if !counts.policy.text.is_empty() {
        policy["policy-string"] = json!(counts.policy.text);
    }
    if !counts.policy.hosts.is_empty() {
        policy["mx-host"] = json!(counts.policy.hosts);
    }
    let failure = |(failure, count): &(Failure, u64)| {
        let mut details = json!({ "result-type": failure.kind, "failed-session-count": count });
        if let Some(host) = &failure.host {
            details["receiving-mx-hostname"] = json!(host);
        }
        if let Some(from) = &failure.from {
            details["sending-mta-ip"] = json!(from);
        }
        if let Some(ip) = &failure.ip {
            details["receiving-ip"] = json!(ip);
        }
        details
    };
    let mut told = json!({
        "policy": policy,
        "summary": { "total-successful-session-count": counts.good, "total-failure-session-count": counts.bad },
    });
    if !counts.failures.is_empty() {
        told["failure-details"] = counts.failures.iter().map(failure).collect();
    }
    told
}

/// The mail that carries a report (RFC 8460 §5.3).
fn mail(hostname: &str, to: &Address, report: &Report, now: u64) -> NewMail {
    let from = format!("tls-reports@{hostname}");
    let message_id = format!("tls-report.{}", report.id);
    let subject = format!("Report Domain: {} Submitter: {hostname} Report-ID: <{}>", report.domain, report.id);
    let words = format!("TLS report of {hostname} about the mail servers of {}.\r\n", report.domain);
    let attached = ContentType::new("application/tlsrpt+gzip").attribute("name", report.name.clone());
    let parts = vec![
        MimePart::new("text/plain; charset=utf-8", words),
        MimePart::new(attached, report.zipped.clone()).attachment(report.name.clone()),
    ];
    let kind = ContentType::new("multipart/report").attribute("report-type", "tlsrpt");
    let content = MessageBuilder::new()
        .message_id(MessageId::new(message_id.clone()))
        .date(Date::new(i64::try_from(now).unwrap_or(i64::MAX)))
        .from(("SM2TP", from.as_str()))
        .to(to.clear())
        // RFC 8460 §5.3 fixes the words; as an encoded word they would not be found.
        .header("Subject", Raw::new(subject))
        .header("TLS-Report-Domain", Raw::new(report.domain.clone()))
        .header("TLS-Report-Submitter", Raw::new(hostname.to_owned()))
        .header("Auto-Submitted", Raw::new("auto-generated"))
        // RFC 8460 §3: a report about broken TLS must not be stopped by it.
        .header("TLS-Required", Raw::new("No"))
        .body(MimePart::new(kind, parts))
        .write_to_vec()
        .unwrap_or_default();
    NewMail {
        org: "local".into(),
        login: None,
        stream: Stream::Transactional,
        mail_from: None,
        message_id: Some(message_id),
        received_at: now,
        recipients: vec![NewRecipient::of_report(to.clone())],
        held_until: 0,
        content: content.into(),
        is_report: true,
        stream_by: None,
        options: MailOptions::default(),
    }
}

/// How often the clock is looked at, and the counts kept on disk: what a crash may cost.
const LOOK_EVERY: Duration = Duration::from_secs(300);
/// RFC 8460 §4.1 proposes four hours.
const LATE_MAX_S: f64 = 4.0 * 3600.0;
const POST_TIMEOUT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
