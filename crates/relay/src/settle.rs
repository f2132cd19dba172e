//! What follows from an attempt: for each recipient served, deferred or given up, and what its sender is told.

use sm2tp_proto::smtp::Notify;
use sm2tp_proto::smtp::client::{RecipientResult, Spoken, Unsupported};
use sm2tp_proto::{Enhanced, Reply};
use sm2tp_rules::classify::{self, Classifier, Said};
use sm2tp_rules::retry::{Next, Schedule};
use sm2tp_rules::{LocalFailure, Outcome, Stage, Stream};
use sm2tp_store::Told;
use sm2tp_store::spool::{Change, Notice, Recipient};
use sm2tp_store::told::{Answer, Verdict, What};

use crate::behaviour::Seen;
use crate::queue::Job;
use crate::report::{Entry, Holder, Kind, Language, Reporter, Said as Words, Whose, failures};

/// What one recipient's server answered, or why it did not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    Taken(Reply),
    Refused(Stage, Reply),
    Local(LocalFailure),
}

/// Where an attempt was made.
#[derive(Debug, Clone, Copy, Default)]
pub struct At<'a> {
    /// The host, as the DNS names it.
    pub mx: Option<&'a str>,
    /// The way out; none where no connection came about.
    pub exit: Option<&'a str>,
    pub hop: Hop,
}

/// Who tells the sender about a delivery from here on (RFC 3461 §5.2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Hop {
    /// Nobody but us: the server does not know of such wishes.
    #[default]
    Plain,
    /// The server, to which they were passed on.
    Dsn,
    /// We: the server is the last one (LMTP).
    Last,
}

/// The rules that settle an attempt.
pub struct Rules<'a> {
    pub classifier: &'a Classifier,
    /// What was seen of the sites lately.
    pub seen: &'a Seen,
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
    /// What the sender is to be told, until [`Rules::report`] has put it into the changes: `(change, entry)`.
    pub(crate) tell: Vec<(usize, Entry)>,
}

impl Settled {
    /// Whether [`Rules::report`] has something to do, and needs the content of the mail for it.
    #[must_use]
    pub fn has_reports(&self) -> bool {
        !self.tell.is_empty()
    }

    /// Records a change about which the sender hears.
    fn tell(&mut self, change: Change, entry: Option<Entry>) {
        self.tell.extend(entry.map(|entry| (self.changes.len(), entry)));
        self.changes.push(change);
    }
}

impl Rules<'_> {
    /// Settles an attempt of `job`; `heard` has one entry for each recipient that was tried, in order.
    #[must_use]
    pub fn settle(&self, job: &Job, at: At<'_>, heard: &[Heard]) -> Settled {
        let mut settled = Settled::default();
        for (recipient, heard) in job.recipients.iter().zip(heard) {
            match heard {
                Heard::Taken(reply) => {
                    settled.taken = true;
                    if let Some(site) = self.site(at) {
                        self.seen.taken(&site, self.now);
                    }
                    let answer = Answer { stage: Some(Stage::Eod), ..self.answer(at, Some(reply), reply.text.clone()) };
                    let entry = self.passed_on(recipient, at.hop, &answer);
                    let told = told(job, recipient, self.now, What::Delivered { answer });
                    settled.tell(done(job, recipient, told), entry);
                }
                Heard::Refused(stage, reply) => {
                    let said = Said {
                        stage: Some(*stage),
                        mx: at.mx,
                        code: Some(reply.code),
                        enhanced: reply.enhanced,
                        text: &reply.text,
                    };
                    let outcome = self.classifier.classify(&said);
                    let outcome = match self.site(at) {
                        Some(site) => self.seen.judge((&site, job.mail.id, self.now), (*stage, reply), outcome),
                        None => outcome,
                    };
                    let answer = Answer { stage: Some(*stage), ..self.answer(at, Some(reply), reply.text.clone()) };
                    let words = self.server(&answer);
                    self.failed(job, recipient, &outcome, (answer, words), &mut settled);
                }
                Heard::Local(failure) => {
                    let outcome = classify::local(*failure);
                    let answer = self.answer(at, None, failures::words(*failure, Language::English).to_owned());
                    let mx = answer.mx.clone().filter(|_| failures::concerns_host(*failure));
                    let words = Words::Failed { failure: *failure, mx };
                    self.failed(job, recipient, &outcome, (answer, words), &mut settled);
                }
            }
        }
        settled
    }

    /// Gives mail back that waited for a person long enough (lane `held`), or that a person stopped.
    #[must_use]
    pub fn give_back(&self, job: &Job) -> Settled {
        let mut settled = Settled::default();
        for recipient in &job.recipients {
            let note = recipient.note.clone().unwrap_or_default();
            let (why, note) = note.split_once(": ").unwrap_or(("held", &note));
            // What was stopped when it came never waited.
            let waited = job.mail.received_at < recipient.next_at;
            let by = match why {
                "held" => Holder::Person,
                "federated" if waited => Holder::Federation,
                "federated" => Holder::Others,
                "listed" => Holder::Listed,
                "listed-by-org" => Holder::Org,
                "opted-out" => Holder::Recipient,
                "own-hard" | "own-soft" | "imported" => Holder::Evidence,
                _ => Holder::Unknown,
            };
            let what = What::Stopped { federated: why == "federated", why: why.to_owned(), reported: true };
            let words = Words::Held { by, note: note.to_owned() };
            let entry = Entry::new(recipient, Kind::Stopped, "5.7.1".to_owned(), words);
            let told = told(job, recipient, self.now, what);
            settled.tell(done(job, recipient, told), Some(entry).filter(|_| recipient.options.wants(Notify::FAILURE)));
        }
        settled
    }

    /// `heard` is what is kept of the answer, and what the sender reads of it.
    fn failed(
        &self,
        job: &Job,
        recipient: &Recipient,
        outcome: &Outcome,
        heard: (Answer, Words),
        settled: &mut Settled,
    ) {
        let (answer, words) = heard;
        let attempts = recipient.attempts + 1;
        let next = self.schedule.next(outcome, job.mail.stream, job.mail.received_at, attempts, self.now, self.jitter);
        settled.slowed |= outcome.asks_for_less();
        // A failure of our own is typed; no rules are asked about it.
        let rules = answer.code.map(|_| self.classifier.version().to_string());
        let answer = Answer { verdict: Some(Verdict { rules, ..Verdict::from(outcome) }), ..answer };
        let note = said(&answer);
        match next {
            Next::At(next_at) => {
                let due = self.notice_due(job, recipient);
                // A try falls on the time of the notice, so that the sender hears in time, and of the latest trouble.
                let next_at = match due {
                    Some(due) if self.now < due && outcome.retry_after_s.is_none() => next_at.min(due),
                    _ => next_at,
                };
                let late = due.is_some_and(|due| due <= self.now);
                let until = job.mail.received_at.saturating_add(self.schedule.life_s(job.mail.stream));
                let entry = late.then(|| Entry::new(recipient, Kind::Late { until }, waiting(&answer, &words), words));
                let told = told(job, recipient, self.now, What::Deferred { answer });
                let delay_told = recipient.delay_told || late;
                settled.deferred.push(Recipient {
                    attempts,
                    next_at,
                    note: Some(note.clone()),
                    delay_told,
                    ..recipient.clone()
                });
                let (mail, index, told, notice) = (job.mail.id, recipient.index, Some(told), Notice::None);
                settled.tell(Change::Deferred { mail, index, attempts, next_at, note, told, notice }, entry);
            }
            Next::Final | Next::Expired => {
                let expired = next == Next::Expired;
                let kind = if expired { Kind::Expired } else { Kind::Refused };
                let entry = Entry::new(recipient, kind, status(&answer, &words, expired), words);
                let told = told(job, recipient, self.now, What::Bounced { answer, expired });
                let entry = Some(entry).filter(|_| recipient.options.wants(Notify::FAILURE));
                settled.tell(done(job, recipient, told), entry);
            }
        }
    }

    /// When the sender is told that this recipient is late; none where it is not, or was already. A newsletter may be
    /// late without a word, unless its sender asked for one.
    fn notice_due(&self, job: &Job, recipient: &Recipient) -> Option<u64> {
        let asked = recipient.options.notify.is_some() || job.mail.stream != Stream::Bulk;
        let wanted = asked && recipient.options.wants(Notify::DELAY) && !recipient.delay_told;
        let told = job.mail.mail_from.is_some() && !job.mail.is_report;
        let after_s = self.reporter.delay_notice_s.filter(|_| wanted && told)?;
        Some(job.mail.received_at.saturating_add(after_s))
    }

    /// Whose servers spoke: the provider, or the host where it is nobody's that we know. A smart host speaks for
    /// everybody, and is no site.
    fn site(&self, at: At<'_>) -> Option<String> {
        let mx = at.mx.filter(|_| !self.relayed)?;
        Some(self.classifier.provider(mx).map_or_else(|| mx.to_owned(), |provider| provider.id.to_string()))
    }

    fn answer(&self, at: At<'_>, reply: Option<&Reply>, text: String) -> Answer {
        Answer {
            mx: at.mx.map(str::to_owned),
            exit: at.exit.map(str::to_owned),
            code: reply.map(|reply| reply.code),
            enhanced: reply.and_then(|reply| reply.enhanced),
            text,
            relayed: self.relayed,
            provider: at.mx.and_then(|mx| self.classifier.provider(mx)).map(|provider| provider.id.to_string()),
            ..Answer::default()
        }
    }

    /// What a server said, for the sender to read.
    fn server(&self, answer: &Answer) -> Words {
        let whose = if self.relayed { Whose::SmartHost } else { Whose::Recipient };
        Words::Server { whose, mx: answer.mx.clone(), text: said(answer) }
    }

    /// Who asked to hear of a success hears it from us where the next server will not say it.
    fn passed_on(&self, recipient: &Recipient, hop: Hop, answer: &Answer) -> Option<Entry> {
        let kind = match hop {
            Hop::Dsn => return None,
            Hop::Plain => Kind::Relayed,
            Hop::Last => Kind::Delivered,
        };
        recipient.options.wants(Notify::SUCCESS).then(|| {
            let status = answer.enhanced.filter(|enhanced| enhanced.0 == 2).unwrap_or(Enhanced(2, 0, 0));
            Entry::new(recipient, kind, status.to_string(), self.server(answer))
        })
    }

    /// Writes what the sender is to be told: one report for all that failed, one for all that is late, one for all that
    /// was passed on. Each is queued in the same step as the first change that it is about.
    pub fn report(&self, job: &Job, settled: &mut Settled, content: &[u8]) {
        let mut tell = std::mem::take(&mut settled.tell);
        while let Some((first, entry)) = tell.first() {
            let (first, about) = (*first, entry.kind.about());
            let (these, others) = tell.into_iter().partition::<Vec<_>, _>(|(_, entry)| entry.kind.about() == about);
            tell = others;
            let (places, entries): (Vec<usize>, Vec<Entry>) = these.into_iter().unzip();
            let Some(report) = self.reporter.report(&job.mail, content, &entries, self.now).map(Box::new) else {
                continue;
            };
            for place in places {
                if let Some(Change::Deferred { notice, .. }) = settled.changes.get_mut(place) {
                    *notice = Notice::Shared;
                }
            }
            match settled.changes.get_mut(first) {
                Some(Change::Done { report: slot, .. }) => *slot = Some(report),
                Some(Change::Deferred { notice, .. }) => *notice = Notice::Carried(report),
                _ => {}
            }
        }
    }
}

/// What the client session says of one recipient, in the words of the rules; `lost`: what happened to the connection where
/// it was lost.
#[must_use]
pub fn heard(result: RecipientResult, lost: LocalFailure) -> Heard {
    match result {
        RecipientResult::Delivered(reply) => Heard::Taken(reply),
        RecipientResult::Refused { spoken, reply } => Heard::Refused(stage(spoken), reply),
        RecipientResult::Garbled { .. } => Heard::Local(LocalFailure::BadReply),
        // After the final dot the server may have it. RFC 5321 §6.1 leaves no choice but to send again.
        RecipientResult::Lost { .. } => Heard::Local(lost),
        RecipientResult::Unsupported(Unsupported::RequireTls) => Heard::Local(LocalFailure::RequireTls),
        RecipientResult::Unsupported(Unsupported::Size { .. }) => Heard::Local(LocalFailure::TooLarge),
        RecipientResult::Unsupported(Unsupported::SmtpUtf8) => Heard::Local(LocalFailure::Unsupported),
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
        token: None,
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

/// The status code of what is over: what the server gave, else the class that fits (RFC 3463).
fn status(answer: &Answer, words: &Words, expired: bool) -> String {
    if expired {
        return "4.4.7".to_owned();
    }
    match words {
        Words::Failed { failure, .. } => failures::final_code(*failure).to_string(),
        _ => answer.enhanced.unwrap_or(Enhanced(5, 0, 0)).to_string(),
    }
}

/// The status code of what is late: it is not final, whatever the server called it.
fn waiting(answer: &Answer, words: &Words) -> String {
    match words {
        Words::Failed { failure, .. } => failures::passing_code(*failure).to_string(),
        _ => {
            let Enhanced(_, subject, detail) = answer.enhanced.unwrap_or(Enhanced(4, 0, 0));
            Enhanced(4, subject, detail).to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sm2tp_proto::Address;
    use sm2tp_proto::smtp::RcptOptions;
    use sm2tp_rules::Cause;
    use sm2tp_store::spool::{Lane, Mail};

    use super::*;
    use crate::report::Language;

    const NOW: u64 = 1_800_000_000;

    fn job(mail_from: Option<&str>, recipients: &[&str]) -> Job {
        let mail = Mail {
            id: 1,
            org: "asso".into(),
            login: None,
            stream: Stream::Bulk,
            mail_from: mail_from.map(|text| Address::parse(text).unwrap()),
            message_id: None,
            received_at: NOW,
            octets: 1,
            is_report: false,
            options: Default::default(),
        };
        let recipient = |(index, text): (u32, &&str)| Recipient {
            index,
            address: Address::parse(text).unwrap(),
            lane: Lane::Normal,
            attempts: 0,
            next_at: NOW,
            note: None,
            options: Default::default(),
            delay_told: false,
        };
        let recipients: Vec<_> = (0..).zip(recipients).map(recipient).collect();
        Job { mail: Arc::new(mail), domain: recipients[0].address.domain().clone(), recipients, content: None }
    }

    fn with_rules<T>(now: u64, work: impl FnOnce(Rules<'_>) -> T) -> T {
        let classifier = Classifier::shipped();
        let reporter = Reporter {
            hostname: "relay.example.org".into(),
            language: Language::English,
            delay_notice_s: Some(4 * 3600),
        };
        let schedule = Schedule::default();
        work(Rules {
            classifier: &classifier,
            seen: &Seen::default(),
            schedule: &schedule,
            reporter: &reporter,
            now,
            jitter: 0.0,
            relayed: false,
        })
    }

    fn settle(job: &Job, mx: &str, now: u64, heard: &[Heard]) -> Settled {
        settle_at(job, At { mx: Some(mx), ..At::default() }, now, heard)
    }

    fn settle_at(job: &Job, at: At<'_>, now: u64, heard: &[Heard]) -> Settled {
        with_rules(now, |rules| {
            let mut settled = rules.settle(job, at, heard);
            rules.report(job, &mut settled, b"Subject: hello\r\n\r\nbody\r\n");
            settled
        })
    }

    fn refused(stage: Stage, text: &str) -> Heard {
        Heard::Refused(stage, Reply::parse(text).unwrap())
    }

    /// What became of each recipient: `delivered`, `deferred N s`, or `bounced CAUSE` with `+report` where it is.
    fn told(settled: &Settled) -> Vec<String> {
        let word = |change: &Change| match change {
            Change::Done { told, report, .. } => {
                let cause = told.answer().and_then(|answer| answer.verdict.as_ref()).map(|verdict| verdict.cause);
                let cause = cause.map(|cause| format!(" {cause}")).unwrap_or_default();
                format!("{}{cause}{}", told.kind(), if report.is_some() { " +report" } else { "" })
            }
            Change::Deferred { next_at, notice, .. } => {
                let notice = match notice {
                    Notice::None => "",
                    Notice::Shared => " +told",
                    Notice::Carried(_) => " +notice",
                };
                format!("deferred {} s{notice}", next_at - NOW)
            }
            Change::Move { .. } => "moved".to_owned(),
        };
        settled.changes.iter().map(word).collect()
    }

    #[test]
    fn each_recipient_gets_its_own_end_and_the_sender_one_report() {
        let job = job(Some("news@asso.example"), &["a@x.example", "b@x.example", "c@x.example", "d@x.example"]);
        let settled = settle(
            &job,
            "mx.x.example",
            NOW,
            &[
                Heard::Taken(Reply::parse("250 ok").unwrap()),
                refused(Stage::Rcpt, "550 5.1.1 User unknown"),
                refused(Stage::Rcpt, "451 4.7.1 Greylisted, try again later"),
                refused(Stage::Rcpt, "550 5.1.1 User unknown"),
            ],
        );
        assert_eq!(told(&settled), ["delivered", "bounced address +report", "deferred 300 s", "bounced address"]);
        assert!(settled.taken);
        assert_eq!(settled.deferred.len(), 1);
        let report = settled.changes.iter().find_map(|change| match change {
            Change::Done { report: Some(report), .. } => Some(String::from_utf8_lossy(&report.content).into_owned()),
            _ => None,
        });
        let report = report.unwrap();
        assert!(report.contains("rfc822; b@x.example") && report.contains("rfc822; d@x.example"));
        assert!(!report.contains("rfc822; a@x.example") && !report.contains("rfc822; c@x.example"));
    }

    fn ask(job: &mut Job, wishes: &[&str]) {
        for (recipient, wish) in job.recipients.iter_mut().zip(wishes) {
            recipient.options = RcptOptions::from_stored(Some(wish)).unwrap();
        }
    }

    fn as_personal(job: &mut Job) {
        job.mail = Arc::new(Mail { stream: Stream::Personal, ..(*job.mail).clone() });
    }

    #[test]
    fn who_does_not_want_to_hear_of_failures_does_not() {
        let mut job = job(Some("news@asso.example"), &["a@x.example", "b@x.example", "c@x.example"]);
        ask(&mut job, &["NOTIFY=NEVER", "NOTIFY=FAILURE", "NOTIFY=SUCCESS,DELAY"]);
        let no = refused(Stage::Rcpt, "550 5.1.1 User unknown");
        let settled = settle(&job, "mx.x.example", NOW, &[no.clone(), no.clone(), no]);
        assert_eq!(told(&settled), ["bounced address", "bounced address +report", "bounced address"]);
    }

    #[test]
    fn who_asked_hears_of_success_unless_the_next_server_says_it() {
        let mut job = job(Some("news@asso.example"), &["a@x.example", "b@x.example", "c@x.example", "d@x.example"]);
        ask(&mut job, &["", "NOTIFY=SUCCESS", "NOTIFY=SUCCESS", "NOTIFY=SUCCESS,FAILURE"]);
        let yes = Heard::Taken(Reply::parse("250 2.6.0 ok").unwrap());
        let heard = [yes.clone(), yes.clone(), yes, refused(Stage::Rcpt, "550 5.1.1 User unknown")];
        let at = |hop| At { mx: Some("mx.x.example"), hop, ..At::default() };
        let with = ["delivered", "delivered +report", "delivered", "bounced address +report"];
        assert_eq!(told(&settle_at(&job, at(Hop::Plain), NOW, &heard)), with);
        assert_eq!(told(&settle_at(&job, at(Hop::Last), NOW, &heard)), with);
        let without = ["delivered", "delivered", "delivered", "bounced address +report"];
        assert_eq!(told(&settle_at(&job, at(Hop::Dsn), NOW, &heard)), without);
    }

    #[test]
    fn the_sender_of_a_letter_is_told_once_that_it_is_late() {
        let mut job = job(Some("anna@asso.example"), &["a@x.example", "b@x.example"]);
        as_personal(&mut job);
        let lost = vec![Heard::Local(LocalFailure::ConnectionLost); 2];
        let hour = 3600;
        job.recipients.iter_mut().for_each(|recipient| recipient.attempts = 6);
        // The next try falls on the time of the notice.
        assert_eq!(told(&settle(&job, "mx", NOW + 2 * hour, &lost)), ["deferred 14400 s", "deferred 14400 s"]);
        let settled = settle(&job, "mx", NOW + 4 * hour, &lost);
        assert_eq!(told(&settled), ["deferred 28800 s +notice", "deferred 28800 s +told"]);
        let Change::Deferred { notice: Notice::Carried(notice), .. } = &settled.changes[0] else { panic!("no notice") };
        let text = String::from_utf8_lossy(&notice.content);
        assert!(text.contains("Action: delayed\r\nStatus: 4.4.2\r\n") && text.contains("Will-Retry-Until: "), "{text}");
        job.recipients = settled.deferred;
        assert_eq!(told(&settle(&job, "mx", NOW + 8 * hour, &lost)), ["deferred 43200 s", "deferred 43200 s"]);
    }

    #[test]
    fn nobody_is_told_of_a_delay_who_did_not_want_it() {
        let lost = [Heard::Local(LocalFailure::ConnectionLost)];
        let late = NOW + 5 * 3600;
        let notices = |job: &Job| told(&settle(job, "mx", late, &lost))[0].contains('+');
        let mut bulk = job(Some("news@asso.example"), &["a@x.example"]);
        assert!(!notices(&bulk), "a newsletter");
        ask(&mut bulk, &["NOTIFY=DELAY"]);
        assert!(notices(&bulk), "a newsletter that asked");
        ask(&mut bulk, &["NOTIFY=FAILURE"]);
        assert!(!notices(&bulk));
        let mut null = job(None, &["a@x.example"]);
        as_personal(&mut null);
        assert!(!notices(&null));
    }

    #[test]
    fn nobody_reports_about_a_report() {
        let settled =
            settle(&job(None, &["a@x.example"]), "mx", NOW, &[refused(Stage::Rcpt, "550 5.1.1 unknown user")]);
        assert_eq!(told(&settled), ["bounced address"]);
    }

    #[test]
    fn a_refused_message_is_final_whatever_its_first_digit_and_says_nothing_about_the_address() {
        let job = job(Some("news@asso.example"), &["a@laposte.net"]);
        let texts =
            ["550 5.5.0 Service refuse. Veuillez essayer plus tard. service refused, please try later. LPN007_510"];
        for text in texts {
            let settled = settle(&job, "smtp4.laposte.net", NOW, &[refused(Stage::Eod, text)]);
            assert_eq!(told(&settled), ["bounced content +report"]);
        }
    }

    #[test]
    fn what_fails_on_the_way_is_tried_until_its_life_is_over() {
        let job = job(Some("news@asso.example"), &["a@x.example"]);
        let lost = [Heard::Local(LocalFailure::ConnectionLost)];
        assert_eq!(told(&settle(&job, "mx", NOW, &lost)), ["deferred 300 s"]);
        let settled = settle(&job, "mx", NOW + 86_400, &lost);
        assert_eq!(told(&settled), ["bounced network +report"]);
        let Change::Done { told: last, .. } = &settled.changes[0] else { panic!("not done") };
        assert!(matches!(&last.what, What::Bounced { expired: true, .. }));
        let dead = settle(&job, "mx", NOW, &[Heard::Local(LocalFailure::NoSuchDomain)]);
        assert_eq!(told(&dead), ["bounced address +report"]);
    }

    /// The report that goes to the sender, however it is queued.
    fn report_of(settled: &Settled) -> String {
        let report = settled.changes.iter().find_map(|change| match change {
            Change::Done { report: Some(report), .. } => Some(report),
            Change::Deferred { notice: Notice::Carried(report), .. } => Some(report),
            _ => None,
        });
        String::from_utf8_lossy(&report.unwrap().content).into_owned()
    }

    #[test]
    fn the_status_says_what_failed_where_no_server_spoke() {
        let mut job = job(Some("anna@asso.example"), &["a@x.example"]);
        as_personal(&mut job);
        #[track_caller]
        fn check(job: &Job, failure: LocalFailure, want: &[&str]) {
            let report = report_of(&settle(job, "mx.x.example", NOW + 5 * 3600, &[Heard::Local(failure)]));
            for want in want {
                assert!(report.contains(want), "{failure}: {want} is not in\n{report}");
            }
            assert_eq!(report.contains("Remote-MTA: "), want[0].contains("Remote-MTA: "), "{failure}:\n{report}");
            assert!(!report.contains("Diagnostic-Code: smtp"), "{failure}:\n{report}");
        }
        check(&job, LocalFailure::NoSuchDomain, &["Action: failed\r\nStatus: 5.1.2\r\n", "be sent: the domain does"]);
        check(&job, LocalFailure::NullMx, &["Action: failed\r\nStatus: 5.1.10\r\n"]);
        check(&job, LocalFailure::DnsFailure, &["Action: delayed\r\nStatus: 4.4.3\r\n"]);
        check(&job, LocalFailure::ConnectTimeout, &["Status: 4.4.1\r\nRemote-MTA: dns; mx.x.example\r\n"]);
    }

    #[test]
    fn what_a_smart_host_says_is_not_put_into_the_mouth_of_the_recipients_server() {
        let job = job(Some("anna@asso.example"), &["a@x.example"]);
        let no = [refused(Stage::Rcpt, "550 5.1.1 User unknown")];
        let at = At { mx: Some("127.0.0.1"), ..At::default() };
        let report = with_rules(NOW, |rules| {
            let rules = Rules { relayed: true, ..rules };
            let mut settled = rules.settle(&job, at, &no);
            rules.report(&job, &mut settled, b"Subject: hello\r\n\r\nbody\r\n");
            report_of(&settled)
        });
        assert!(report.contains("The server that passes on our outgoing mail refused it and said:"), "{report}");
        assert!(report.contains("Remote-MTA: dns; [127.0.0.1]\r\n") && !report.contains("recipient's"), "{report}");
    }

    #[test]
    fn a_message_that_is_put_off_again_while_others_pass_is_given_back() {
        let own = job(Some("news@asso.example"), &["a@laposte.net"]);
        let other = Job { mail: Arc::new(Mail { id: 99, ..(*own.mail).clone() }), ..own.clone() };
        let at = At { mx: Some("smtp4.laposte.net"), ..At::default() };
        let later = [refused(Stage::Eod, "451 Sorry")];
        with_rules(NOW, |rules| {
            let seen = rules.seen;
            let at_time = |now| Rules { now, seen, ..rules };
            assert_eq!(told(&at_time(NOW).settle(&own, at, &later)), ["deferred 300 s"]);
            let _ = at_time(NOW + 3500).settle(&other, at, &[Heard::Taken(Reply::parse("250 ok").unwrap())]);
            assert_eq!(told(&at_time(NOW + 3900).settle(&own, at, &later)), ["bounced content"]);
        });
    }

    #[test]
    fn a_connect_refusal_is_never_about_the_address() {
        let job = job(Some("news@asso.example"), &["a@x.example"]);
        let settled =
            settle(&job, "mx", NOW, &[refused(Stage::Connect, "554 5.1.1 user unknown, your host is listed")]);
        let Some(answer) = settled.changes.iter().find_map(|change| match change {
            Change::Done { told, .. } => told.answer(),
            Change::Deferred { told, .. } => told.as_ref().and_then(Told::answer),
            Change::Move { .. } => None,
        }) else {
            panic!("nothing was told")
        };
        assert_ne!(answer.verdict.as_ref().map(|verdict| verdict.cause), Some(Cause::Address));
    }

    #[test]
    fn held_mail_is_returned_with_the_word_that_held_it() {
        let mut job = job(Some("news@asso.example"), &["a@x.example"]);
        job.recipients[0].note = Some("federated: 1 other mail hoster(s) report this address as dead".into());
        job.recipients[0].next_at = job.mail.received_at + 86_400;
        let settled = with_rules(NOW, |rules| {
            let mut settled = rules.give_back(&job);
            rules.report(&job, &mut settled, b"");
            settled
        });
        assert_eq!(told(&settled), ["stopped-reported +report"]);
        let Change::Done { told: last, .. } = &settled.changes[0] else { panic!("not done") };
        assert!(matches!(&last.what, What::Stopped { federated: true, reported: true, .. }));
    }
}
