//! Lines put together to outcomes: a log names sender, login and recipient of a mail on lines of their own, with other mails'
//! between them.

use std::collections::{HashMap, VecDeque};

use super::{Attempt, Came, Clock, Line, Origin, Reach, Said, Stamp, exim, postfix};
use crate::delivery::{Delivery, What};
use crate::{Enhanced, Reply};

/// The mails of one log that are under way. Holds so many at most; where there are more, the oldest are forgotten, and their
/// results have no sender.
#[derive(Debug)]
pub struct Mails {
    mails: HashMap<Box<str>, Mail>,
    order: VecDeque<Box<str>>,
    mails_max: usize,
    /// The key of the line that is read; kept for its room.
    key: String,
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
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

#[derive(Debug, Default)]
struct Mail {
    sender: Option<Box<str>>,
    login: Option<Box<str>>,
    origin: Origin,
    message_id: Option<Box<str>>,
    /// Of whom something was told.
    recipients: u32,
    /// Recipients whose last result was "later", for the day on which it expires.
    waiting: Vec<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    recipient: Box<str>,
    host: Option<Box<str>>,
    text: Box<str>,
    enhanced: Option<Enhanced>,
}

/// Which program wrote the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writer {
    Postfix,
    Exim,
}

impl Mails {
    /// Some 300 octets for each mail that is under way.
    #[must_use]
    pub fn new(mails_max: usize) -> Self {
        let (mails, order) = (HashMap::new(), VecDeque::new());
        Self { mails, order, mails_max: mails_max.max(1), key: String::new(), seen: Seen::default() }
    }

    /// Reads a line of Postfix; `each` gets the outcomes that it completes.
    pub fn postfix(&mut self, line: &str, clock: &Clock, each: impl FnMut(Outcome<'_>)) {
        self.seen.lines += 1;
        let Some(line) = Line::read(line) else { return };
        let Some((queue_id, said)) = postfix::read(line.text) else { return };
        self.take(Writer::Postfix, [line.host, line.instance()], queue_id, said, line.stamp.unix(clock), each);
    }

    /// Reads a line of Exim's main log, or one of syslog.
    pub fn exim(&mut self, line: &str, clock: &Clock, each: impl FnMut(Outcome<'_>)) {
        self.seen.lines += 1;
        let (stamp, id, said): (Stamp, &str, Said<'_>) = match exim::read(line) {
            Some(read) => read,
            None => {
                let Some(line) = Line::read(line) else { return };
                let Some((id, said)) = exim::text(line.text) else { return };
                (line.stamp, id, said)
            }
        };
        self.take(Writer::Exim, ["", ""], id, said, stamp.unix(clock), each);
    }

    fn take(
        &mut self,
        writer: Writer,
        of: [&str; 2],
        queue_id: &str,
        said: Said<'_>,
        at: u64,
        mut each: impl FnMut(Outcome<'_>),
    ) {
        self.name(of, queue_id);
        match said {
            Said::Came(came) => self.came(of, &came),
            Said::MessageId(id) => self.mail().message_id = Some(id.into()),
            Said::Sender(sender) => self.mail().sender = Some(sender.into()),
            Said::Gone => drop(self.mails.remove(self.key.as_str())),
            Said::Expired => {
                let mail = self.mail();
                let waiting = std::mem::take(&mut mail.waiting);
                for last in &waiting {
                    let result = Attempt {
                        recipient: &last.recipient,
                        host: last.host.as_deref(),
                        reach: Reach::Nobody,
                        status: Status::Expired,
                        enhanced: last.enhanced,
                        text: &last.text,
                        ..Attempt::default()
                    };
                    let delivery = Delivery::by_postfix(&last.text);
                    each(mail.outcome(queue_id, &result, delivery, at));
                }
            }
            Said::Attempt(result) => self.result(writer, of, queue_id, &result, at, each),
        }
    }

    fn result(
        &mut self,
        writer: Writer,
        of: [&str; 2],
        queue_id: &str,
        result: &Attempt<'_>,
        at: u64,
        mut each: impl FnMut(Outcome<'_>),
    ) {
        if result.status == Status::Sent && self.passes_on(of, queue_id, result.text) {
            self.seen.inner += 1;
            return;
        }
        let delivery = match writer {
            Writer::Postfix => Delivery::by_postfix(result.text),
            Writer::Exim if result.status == Status::Sent => Delivery::by_postfix(result.text),
            Writer::Exim => Delivery::by_exim(result.text, result.host),
        };
        self.seen.again += u64::from(delivery.what == What::Again);
        let mail = self.mail();
        let place = mail.waiting.iter().position(|waiting| &*waiting.recipient == result.recipient);
        match (result.status, place) {
            (Status::Deferred, Some(place)) if delivery.what != What::Again => {
                mail.waiting[place] = Waiting::of(result)
            }
            (Status::Deferred, None) if mail.waiting.len() < WAITING_MAX => mail.waiting.push(Waiting::of(result)),
            (Status::Deferred, _) => {}
            (_, Some(place)) => drop(mail.waiting.swap_remove(place)),
            (_, None) => {}
        }
        // Of those who are not remembered nobody can say it.
        let first = (place.is_none() && mail.waiting.len() < WAITING_MAX).then_some(mail.recipients);
        mail.recipients = mail.recipients.saturating_add(first.map_or(0, |_| 1));
        each(Outcome { first, ..mail.outcome(queue_id, result, delivery, at) });
    }

    /// Handed to a filter on the same machine, which gave it back as another mail of this log. That one inherits who sent it.
    fn passes_on(&mut self, of: [&str; 2], queue_id: &str, text: &str) -> bool {
        let Some((_, behind)) = text.rsplit_once("queued as ").or_else(|| text.rsplit_once("forwarded as ")) else {
            return false;
        };
        let next = behind.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').next().unwrap_or_default();
        self.name(of, next);
        let is_ours = next != queue_id && self.mails.contains_key(self.key.as_str());
        if is_ours {
            self.name(of, queue_id);
            let before = self.mails.get(self.key.as_str()).map(|mail| (mail.login.clone(), mail.origin));
            let (login, origin) = before.unwrap_or_default();
            self.name(of, next);
            let mail = self.mail();
            mail.login = mail.login.take().or(login);
            mail.origin = origin;
        }
        self.name(of, queue_id);
        is_ours
    }

    /// A queue id is used again after a while: what came before is another mail.
    fn came(&mut self, of: [&str; 2], came: &Came<'_>) {
        let inherited = came.before.and_then(|before| {
            let own = std::mem::take(&mut self.key);
            self.name(of, before);
            let before = self.mails.get(self.key.as_str()).map(|mail| (mail.login.clone(), mail.origin));
            self.key = own;
            before
        });
        let (login, origin) = inherited.unwrap_or((None, came.origin));
        *self.mail() = Mail {
            sender: came.sender.map(Into::into),
            login: came.login.map(Into::into).or(login),
            origin,
            message_id: came.message_id.map(Into::into),
            recipients: 0,
            waiting: Vec::new(),
        };
    }

    fn name(&mut self, of: [&str; 2], queue_id: &str) {
        self.key.clear();
        for part in of {
            self.key.push_str(part);
            self.key.push(' ');
        }
        self.key.push_str(queue_id);
    }

    /// The mail of the key; a new one where a log begins in the middle of its life.
    fn mail(&mut self) -> &mut Mail {
        if !self.mails.contains_key(self.key.as_str()) {
            while self.mails_max <= self.mails.len() {
                // Those that are gone already stand in the order, too.
                let Some(oldest) = self.order.pop_front() else { break };
                self.mails.remove(&oldest);
            }
            // A log without end must not make a list without end of mails that are gone.
            if self.mails_max.saturating_mul(2) <= self.order.len() {
                self.order.retain(|key| self.mails.contains_key(key));
            }
            let key: Box<str> = self.key.as_str().into();
            self.order.push_back(key.clone());
            self.mails.insert(key, Mail::default());
        }
        self.mails.get_mut(self.key.as_str()).expect("it is there, or was put there")
    }
}

impl Mail {
    fn outcome<'a>(
        &'a self,
        queue_id: &'a str,
        result: &'a Attempt<'_>,
        delivery: Delivery<'a>,
        at: u64,
    ) -> Outcome<'a> {
        let reply = match &delivery.what {
            What::Reply { text, .. } => Reply::parse(text).ok(),
            _ => None,
        };
        let code = reply.as_ref().map(|reply| reply.code).or_else(|| match &delivery.what {
            // Several lines that Postfix put into one.
            What::Reply { text, .. } => text.get(..3).and_then(|code| code.parse().ok()),
            _ => None,
        });
        Outcome {
            at,
            queue_id,
            sender: self.sender.as_deref().or(result.sender),
            recipient: result.recipient,
            original: result.original,
            login: self.login.as_deref(),
            origin: self.origin,
            message_id: self.message_id.as_deref(),
            host: result.host,
            reach: result.reach,
            status: result.status,
            first: None,
            code,
            enhanced: result.enhanced.or(reply.and_then(|reply| reply.enhanced)),
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
