//! Lines put together to outcomes: a log names sender, login and recipient of a mail on lines of their own, with other mails'
//! between them.

use serde::{Deserialize, Serialize};

use super::under_way::{Mail, Name, UnderWay, Waiting};
use super::{Aside, Attempt, Came, Clock, Line, Origin, Reach, Said, Stamp, aside, exim, postfix};
use crate::delivery::{Delivery, What};
use crate::{Enhanced, Reply};

/// The mails of one log that are under way. Holds so many at most; where there are more, the oldest are forgotten, and their
/// results have no sender.
#[derive(Debug)]
pub struct Mails {
    under_way: UnderWay,
    pub seen: Seen,
}

/// How much was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    pub lines: u64,
    /// Mails that passed a filter on the same machine: counted where they leave it.
    pub inner: u64,
    /// Older answers told again, for which nobody was asked.
    pub again: u64,
}

/// What a line tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard<'a> {
    Outcome(Outcome<'a>),
    /// With its time, in unix seconds.
    Aside(u64, Aside<'a>),
}

/// What became of one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome<'a> {
    /// Unix seconds.
    pub at: u64,
    pub queue_id: &'a str,
    /// None where the log does not say; empty for reports.
    pub sender: Option<&'a str>,
    pub recipient: &'a str,
    pub original: Option<&'a str>,
    pub login: Option<&'a str>,
    pub origin: Origin,
    pub message_id: Option<&'a str>,
    /// Of the mail.
    pub octets: Option<u64>,
    pub host: Option<&'a str>,
    pub reach: Reach,
    pub status: Status,
    /// The first that is told of this recipient of the mail: how many others were told of before. None for what follows.
    pub first: Option<u32>,
    /// The reply code, where a server answered.
    pub code: Option<u16>,
    pub enhanced: Option<Enhanced>,
    /// As the log has it.
    pub text: &'a str,
    pub delivery: Delivery<'a>,
}

/// How a try ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    Sent,
    #[default]
    Deferred,
    Bounced,
    /// Given back because it was too old.
    Expired,
}

impl Status {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Deferred => "deferred",
            Self::Bounced => "bounced",
            Self::Expired => "expired",
        }
    }
}

/// Which program wrote the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Writer {
    Postfix,
    Exim,
}

impl Writer {
    /// What a text of its log says of a delivery that ended so.
    #[must_use]
    pub fn delivery<'a>(self, status: Status, text: &'a str, host: Option<&'a str>) -> Delivery<'a> {
        match self {
            Self::Exim if status != Status::Sent => Delivery::by_exim(text, host),
            Self::Postfix | Self::Exim => Delivery::by_postfix(text),
        }
    }
}

impl Mails {
    /// Some 300 octets for each mail that is under way.
    #[must_use]
    pub fn new(mails_max: usize) -> Self {
        Self { under_way: UnderWay::new(mails_max), seen: Seen::default() }
    }

    /// Reads a line of this program's log, of Exim's main log or by way of syslog; `each` gets the outcomes that it completes.
    pub fn line(&mut self, writer: Writer, line: &str, clock: &Clock, mut each: impl FnMut(Outcome<'_>)) {
        self.hear(writer, line, clock, |heard| {
            if let Heard::Outcome(outcome) = heard {
                each(outcome);
            }
        });
    }

    /// As [`Self::line`], with what is told beside outcomes.
    pub fn hear(&mut self, writer: Writer, line: &str, clock: &Clock, mut each: impl FnMut(Heard<'_>)) {
        self.seen.lines += 1;
        match writer {
            Writer::Postfix => self.hear_postfix(line, clock, &mut each),
            Writer::Exim => self.hear_exim(line, clock, &mut each),
        }
    }

    fn hear_postfix(&mut self, line: &str, clock: &Clock, each: &mut impl FnMut(Heard<'_>)) {
        let Some(line) = Line::read(line) else { return };
        let at = || line.stamp.unix(clock);
        let read = postfix::read(line.text);
        // What is refused as a whole is gone, and has a reason.
        if matches!(read, None | Some((_, Said::Gone)))
            && let Some(aside) = aside::by_postfix(line.program, line.text)
        {
            each(Heard::Aside(at(), aside));
        }
        let Some((queue_id, said)) = read else { return };
        let name = Name { host: line.host, instance: line.instance(), queue_id };
        self.take(Writer::Postfix, name, said, at, each);
    }

    fn hear_exim(&mut self, line: &str, clock: &Clock, each: &mut impl FnMut(Heard<'_>)) {
        let own = Stamp::read(line).and_then(|(stamp, rest)| Some((stamp, rest.strip_prefix(' ')?)));
        if own.is_some_and(|(stamp, text)| self.told_by_exim(text, || stamp.unix(clock), each)) {
            return;
        }
        // By way of syslog.
        if let Some(line) = Line::read(line) {
            self.told_by_exim(line.text, || line.stamp.unix(clock), each);
        }
    }

    /// Whether it is a text of Exim that says something.
    fn told_by_exim(&mut self, text: &str, at: impl FnOnce() -> u64, each: &mut impl FnMut(Heard<'_>)) -> bool {
        if let Some((queue_id, said)) = exim::text(text) {
            self.take(Writer::Exim, Name { host: "", instance: "", queue_id }, said, at, each);
            return true;
        }
        let aside = aside::by_exim(text);
        aside.map(|aside| each(Heard::Aside(at(), aside))).is_some()
    }

    fn take(
        &mut self,
        writer: Writer,
        name: Name<'_>,
        said: Said<'_>,
        at: impl FnOnce() -> u64,
        each: &mut impl FnMut(Heard<'_>),
    ) {
        match said {
            Said::Came(came) => {
                self.came(name, &came);
                if came.before.is_none() && came.renamed.is_none() {
                    each(Heard::Aside(at(), Aside::Came));
                }
            }
            Said::MessageId(id) => self.under_way.mail(name).set_message_id(id),
            Said::Queued { sender, octets } => {
                let mail = self.under_way.mail(name);
                mail.set_sender(sender);
                mail.octets = octets.or(mail.octets);
            }
            Said::Gone => self.under_way.remove(name),
            Said::Expired => {
                let (mail, at) = (self.under_way.mail(name), at());
                for last in std::mem::take(&mut mail.waiting) {
                    let result = Attempt {
                        recipient: &last.recipient,
                        host: last.host.as_deref(),
                        reach: Reach::Nobody,
                        status: Status::Expired,
                        enhanced: last.enhanced,
                        text: &last.text,
                        ..Attempt::default()
                    };
                    each(Heard::Outcome(mail.outcome(name.queue_id, &result, Delivery::by_postfix(&last.text), at)));
                }
            }
            Said::Attempt(result) => self.result(writer, name, result, at, each),
        }
    }

    fn result(
        &mut self,
        writer: Writer,
        name: Name<'_>,
        mut result: Attempt<'_>,
        at: impl FnOnce() -> u64,
        each: &mut impl FnMut(Heard<'_>),
    ) {
        if result.status == Status::Sent && self.passes_on(name, result.text) {
            self.seen.inner += 1;
            return;
        }
        let delivery = writer.delivery(result.status, result.text, result.host);
        if result.host.is_none() && writer == Writer::Exim && delivery.host.is_some() {
            // Versions until 4.94 name the host in the sentence alone.
            (result.host, result.reach) = (delivery.host, Reach::Server);
        }
        self.seen.again += u64::from(delivery.what == What::Again);
        let mail = self.under_way.mail(name);
        let first = mail.await_or_end(&result, delivery.what == What::Again);
        each(Heard::Outcome(Outcome { first, ..mail.outcome(name.queue_id, &result, delivery, at()) }));
    }

    /// Handed to a filter on the same machine, which gave it back as another mail of this log. That one inherits who sent it.
    fn passes_on(&mut self, name: Name<'_>, text: &str) -> bool {
        let Some(behind) = next_id(text) else { return false };
        let octets = behind.bytes().take_while(|octet| octet.is_ascii_alphanumeric() || *octet == b'-').count();
        let next = Name { queue_id: &behind[..octets], ..name };
        if next.queue_id == name.queue_id || self.under_way.find(next).is_none() {
            return false;
        }
        self.inherit(name, next);
        true
    }

    /// A queue id is used again after a while: what came before is another mail.
    fn came(&mut self, name: Name<'_>, came: &Came<'_>) {
        let mail = self.under_way.mail(name);
        mail.clear();
        if let Some(sender) = came.sender {
            mail.set_sender(sender);
        }
        if let Some(login) = came.login {
            mail.set_login(login);
        }
        if let Some(id) = came.message_id {
            mail.set_message_id(id);
        }
        (mail.origin, mail.octets) = (came.origin, came.octets);
        if let Some(queue_id) = came.before.or(came.renamed) {
            self.inherit(Name { queue_id, ..name }, name);
        }
        if let Some(queue_id) = came.renamed.filter(|renamed| *renamed != name.queue_id) {
            let old = Name { queue_id, ..name };
            if self.under_way.find(old).is_some() {
                let before = self.under_way.mail(old);
                let (recipients, waiting) = (before.recipients, std::mem::take(&mut before.waiting));
                self.under_way.remove(old);
                let mail = self.under_way.mail(name);
                (mail.recipients, mail.waiting) = (recipients, waiting);
            }
        }
    }

    /// A mail that went on as another was brought by the same, with the same login if that one has none of its own.
    fn inherit(&mut self, from: Name<'_>, to: Name<'_>) {
        let Some(before) = self.under_way.find(from) else { return };
        let (login, origin) = (before.login().map(str::to_owned), before.origin);
        let heir = self.under_way.mail(to);
        heir.origin = origin;
        if let Some(login) = login.filter(|_| heir.login().is_none()) {
            heir.set_login(&login);
        }
    }
}

/// What stands behind the last `queued as `, or else `forwarded as `.
fn next_id(text: &str) -> Option<&str> {
    ["queued as ", "forwarded as "].iter().find_map(|words| {
        // Their first letters are rare.
        let mut begins = memchr::memrchr_iter(words.as_bytes()[0], text.as_bytes());
        begins.find_map(|at| text[at..].strip_prefix(words))
    })
}

impl Mail {
    /// Remembers who waits for another try, and forgets who does not any more. Answers as [`Outcome::first`].
    fn await_or_end(&mut self, result: &Attempt<'_>, is_told_again: bool) -> Option<u32> {
        // Of those who are not remembered nobody can say it.
        let is_remembered = self.waiting.len() < WAITING_MAX;
        let place = self.waiting.iter().position(|waiting| &*waiting.recipient == result.recipient);
        match (result.status, place) {
            (Status::Deferred, Some(place)) if !is_told_again => self.waiting[place] = Waiting::of(result),
            (Status::Deferred, None) if is_remembered => self.waiting.push(Waiting::of(result)),
            (Status::Deferred, _) => {}
            (_, Some(place)) => drop(self.waiting.swap_remove(place)),
            (_, None) => {}
        }
        let first = (place.is_none() && is_remembered).then_some(self.recipients);
        self.recipients = self.recipients.saturating_add(first.map_or(0, |_| 1));
        first
    }

    fn outcome<'a>(
        &'a self,
        queue_id: &'a str,
        result: &'a Attempt<'_>,
        delivery: Delivery<'a>,
        at: u64,
    ) -> Outcome<'a> {
        let (code, said) = match &delivery.what {
            What::Reply { text, .. } => match Reply::codes(text) {
                Some((code, enhanced)) => (Some(code), enhanced),
                // Several lines that Postfix put into one.
                None => (text.get(..3).and_then(|code| code.parse().ok()), None),
            },
            _ => (None, None),
        };
        Outcome {
            at,
            queue_id,
            sender: self.sender().or(result.sender),
            recipient: result.recipient,
            original: result.original,
            login: self.login(),
            origin: self.origin,
            message_id: self.message_id(),
            octets: self.octets,
            host: result.host,
            reach: result.reach,
            status: result.status,
            first: None,
            code,
            enhanced: result.enhanced.or(said),
            text: result.text,
            delivery,
        }
    }
}

impl Waiting {
    fn of(result: &Attempt<'_>) -> Self {
        Self {
            recipient: result.recipient.into(),
            host: result.host.map(Into::into),
            text: result.text.into(),
            enhanced: result.enhanced,
        }
    }
}

/// Recipients of one mail that are remembered for its expiry; a mail to more is rare, and the rest are told as deferred.
const WAITING_MAX: usize = 1000;
