//! What follows from an attempt: for each recipient served, deferred or given up, with one report for the sender.

use sm2tp_proto::Reply;
use sm2tp_proto::smtp::client::{RecipientResult, Spoken, Unsupported};
use sm2tp_rules::classify::{self, Classifier, Said};
use sm2tp_rules::retry::{Next, Schedule};
use sm2tp_rules::{Fate, LocalFailure, Outcome, Stage};
use sm2tp_store::Told;
use sm2tp_store::spool::{Change, NewMail, Recipient};
use sm2tp_store::told::{Answer, Verdict, What};

use crate::queue::Job;
use crate::report::{Failure, Kind, Reporter};

/// What one recipient's server answered, or why it did not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    Taken(Reply),
    Refused(Stage, Reply),
    Local(LocalFailure),
}

/// The rules that settle an attempt.
pub struct Rules<'a> {
    pub classifier: &'a Classifier,
    pub schedule: &'a Schedule,
    pub reporter: &'a Reporter,
    /// Unix seconds.
    pub now: u64,
    /// In `[0, 1)`; spreads the next attempts.
    pub jitter: f64,
    /// The site is a smart host.
    pub relayed: bool,
}

/// The attempt, settled.
#[derive(Debug, Default)]
pub struct Settled {
    /// To be recorded together.
    pub changes: Vec<Change>,
    /// Recipients that stay, with their next time.
    pub deferred: Vec<Recipient>,
    /// The site took something.
    pub taken: bool,
    /// The site said that it gets too much.
    pub slowed: bool,
}

impl Rules<'_> {
    /// Settles an attempt of `job` at the host `mx`; `heard` has one entry for each recipient, in order.
    #[must_use]
    pub fn settle(&self, job: &Job, mx: Option<&str>, heard: &[Heard], header: &str) -> Settled {
        let mut settled = Settled::default();
        let mut failures = Vec::new();
        for (recipient, heard) in job.recipients.iter().zip(heard) {
            match heard {
                Heard::Taken(reply) => {
                    settled.taken = true;
                    let answer = Answer { stage: Some(Stage::Eod), ..self.answer(mx, Some(reply), reply.text.clone()) };
                    settled.changes.push(done(
                        job,
                        recipient,
                        told(job, recipient, self.now, What::Delivered { answer }),
                    ));
                }
                Heard::Refused(stage, reply) => {
                    let said = Said {
                        stage: Some(*stage),
                        mx,
                        code: Some(reply.code),
                        enhanced: reply.enhanced,
                        text: &reply.text,
                    };
                    let outcome = self.classifier.classify(&said);
                    let answer = Answer { stage: Some(*stage), ..self.answer(mx, Some(reply), reply.text.clone()) };
                    self.failed(job, recipient, &outcome, answer, &mut settled, &mut failures);
                }
                Heard::Local(failure) => {
                    let outcome = classify::local(*failure);
                    let answer = self.answer(mx, None, words(*failure).to_owned());
                    self.failed(job, recipient, &outcome, answer, &mut settled, &mut failures);
                }
            }
        }
        self.attach_report(job, header, &failures, &mut settled.changes);
        settled
    }

    /// Gives mail back that waited for a person long enough (lane `held`).
    #[must_use]
    pub fn give_back(&self, job: &Job, header: &str) -> Settled {
        let mut settled = Settled::default();
        let mut failures = Vec::new();
        for recipient in &job.recipients {
            let note = recipient.note.clone().unwrap_or_default();
            let why = note.split_once(": ").map_or("held", |(why, _)| why).to_owned();
            let what = What::Stopped { federated: why == "federated", why, reported: true };
            settled.changes.push(done(job, recipient, told(job, recipient, self.now, what)));
            failures.push(Failure {
                address: recipient.address.clone(),
                status: "5.7.1".to_owned(),
                diagnostic: note.split_once(": ").map_or(note.clone(), |(_, words)| words.to_owned()),
                mx: None,
                kind: Kind::Stopped,
            });
        }
        self.attach_report(job, header, &failures, &mut settled.changes);
        settled
    }

    fn failed(
        &self,
        job: &Job,
        recipient: &Recipient,
        outcome: &Outcome,
        answer: Answer,
        settled: &mut Settled,
        failures: &mut Vec<Failure>,
    ) {
        let attempts = recipient.attempts + 1;
        let next = self.schedule.next(outcome, job.mail.stream, job.mail.received_at, attempts, self.now, self.jitter);
        settled.slowed |= outcome.fate == Fate::Slow;
        let answer = Answer { verdict: Some(Verdict::from(outcome)), ..answer };
        let note = said(&answer);
        match next {
            Next::At(next_at) => {
                let told = told(job, recipient, self.now, What::Deferred { answer });
                let (mail, index) = (job.mail.id, recipient.index);
                settled.deferred.push(Recipient { attempts, next_at, note: Some(note.clone()), ..recipient.clone() });
                settled.changes.push(Change::Deferred { mail, index, attempts, next_at, note, told: Some(told) });
            }
            Next::Final | Next::Expired => {
                let expired = next == Next::Expired;
                failures.push(Failure {
                    address: recipient.address.clone(),
                    status: status(&answer, expired),
                    diagnostic: note,
                    mx: answer.mx.clone(),
                    kind: if expired { Kind::Expired } else { Kind::Refused },
                });
                let what = What::Bounced { answer, expired };
                settled.changes.push(done(job, recipient, told(job, recipient, self.now, what)));
            }
        }
    }

    fn answer(&self, mx: Option<&str>, reply: Option<&Reply>, text: String) -> Answer {
        Answer {
            mx: mx.map(str::to_owned),
            code: reply.map(|reply| reply.code),
            enhanced: reply.and_then(|reply| reply.enhanced),
            text,
            relayed: self.relayed,
            provider: mx.and_then(|mx| self.classifier.provider(mx)).map(|provider| provider.id.to_string()),
            ..Answer::default()
        }
    }

    /// One report for all that failed, queued in the same step as the first of them is given up.
    fn attach_report(&self, job: &Job, header: &str, failures: &[Failure], changes: &mut [Change]) {
        if failures.is_empty() {
            return;
        }
        let report: Option<Box<NewMail>> = self.reporter.report(&job.mail, header, failures, self.now).map(Box::new);
        let first = changes.iter_mut().find_map(|change| match change {
            Change::Done { told, report, .. } if !matches!(told.what, What::Delivered { .. }) => Some(report),
            _ => None,
        });
        if let Some(slot) = first {
            *slot = report;
        }
    }
}

/// What the client session says of one recipient, in the words of the rules.
#[must_use]
pub fn heard(result: RecipientResult) -> Heard {
    match result {
        RecipientResult::Delivered(reply) => Heard::Taken(reply),
        RecipientResult::Refused { spoken, reply } => Heard::Refused(stage(spoken), reply),
        RecipientResult::Garbled { .. } => Heard::Local(LocalFailure::BadReply),
        // After the final dot the server may have it. RFC 5321 §6.1 leaves no choice but to send again.
        RecipientResult::Lost { .. } => Heard::Local(LocalFailure::ConnectionLost),
        RecipientResult::Unsupported(Unsupported::Size { .. } | Unsupported::SmtpUtf8) => {
            Heard::Local(LocalFailure::Unsupported)
        }
    }
}

#[must_use]
pub fn stage(spoken: Spoken) -> Stage {
    match spoken {
        Spoken::Connect => Stage::Connect,
        Spoken::Ehlo => Stage::Ehlo,
        Spoken::StartTls => Stage::StartTls,
        Spoken::Mail => Stage::Mail,
        Spoken::Rcpt => Stage::Rcpt,
        Spoken::Data => Stage::Data,
        Spoken::Eod => Stage::Eod,
    }
}

fn told(job: &Job, recipient: &Recipient, now: u64, what: What) -> Told {
    Told {
        v: Told::VERSION,
        at: now,
        org: job.mail.org.to_string(),
        login: job.mail.login.as_deref().map(str::to_owned),
        stream: job.mail.stream,
        mail: job.mail.id,
        message_id: job.mail.message_id.clone(),
        mail_from: job.mail.mail_from.as_ref().map(sm2tp_proto::Address::clear),
        recipient: Some(recipient.address.clear()),
        report: job.mail.is_report,
        what,
    }
}

fn done(job: &Job, recipient: &Recipient, told: Told) -> Change {
    Change::Done { mail: job.mail.id, index: recipient.index, told, report: None }
}

/// The reply as one line.
fn said(answer: &Answer) -> String {
    match answer.code {
        Some(code) => format!("{code} {}", answer.text.replace('\n', " ")),
        None => answer.text.clone(),
    }
}

/// The status code of the report: what the server gave, else the class that fits (RFC 3463).
fn status(answer: &Answer, expired: bool) -> String {
    if expired {
        return "4.4.7".to_owned();
    }
    match (answer.enhanced, answer.code, answer.text.as_str()) {
        (Some(enhanced), ..) => enhanced.to_string(),
        (None, Some(_), _) => "5.0.0".to_owned(),
        (None, None, text) if text == words(LocalFailure::NoSuchDomain) => "5.1.2".to_owned(),
        (None, None, text) if text == words(LocalFailure::NullMx) => "5.1.10".to_owned(),
        (None, None, text) if text == words(LocalFailure::Unsupported) => "5.6.7".to_owned(),
        (None, None, _) => "5.4.4".to_owned(),
    }
}

/// What a person reads where no server said anything.
fn words(failure: LocalFailure) -> &'static str {
    match failure {
        LocalFailure::NoSuchDomain => "the domain does not exist (NXDOMAIN)",
        LocalFailure::NullMx => "the domain takes no mail (null MX, RFC 7505)",
        LocalFailure::NoMailHost => "the domain's mail host has no address in the DNS",
        LocalFailure::DnsFailure => "the DNS of the domain did not answer",
        LocalFailure::ConnectRefused => "the connection was refused or the host cannot be reached",
        LocalFailure::ConnectTimeout => "the host did not answer to a connection in time",
        LocalFailure::Timeout => "the server stopped answering",
        LocalFailure::ConnectionLost => "the connection was lost before the server had answered",
        LocalFailure::TlsFailure => "no encrypted connection could be made",
        LocalFailure::BadReply => "what the server said is no SMTP",
        LocalFailure::Unsupported => "the server does not offer what this message needs (size or SMTPUTF8)",
        LocalFailure::Expired => "it could not be delivered in time",
    }
}
