//! What every door beside a mail server asks: whose mail it is, and what the rules say of it. The same answers as in SMTP
//! (I5), from memory and within [`ANSWER_MAX`]; what takes longer passes unasked (I8).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use sm2tp_federation::tags::Tag;
use sm2tp_proto::{Address, Enhanced};
use sm2tp_rules::admit::{self, Sender, Verdict, Way};
use sm2tp_rules::allowance::Holder;
use sm2tp_rules::stream::Kind;
use sm2tp_rules::suppress::{self, Why};
use sm2tp_rules::watch::Standing;
use sm2tp_rules::{Stream, StreamBy, worth};
use sm2tp_store::accounts::Account;
use sm2tp_store::senders::{Named, SenderId};
use sm2tp_store::{Book, Bounce};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::counted::{Heard, Turns};
use crate::smtp::Networks;
use crate::stops::Stops;
use crate::{House, now, now_us};

/// Whose mail is this node's people's.
#[derive(Clone)]
pub struct Members {
    /// Clients of the mail server that send without a login and are of this node's people all the same.
    pub trusted: Networks,
    /// Stream of mail from them, and of logins that only the mail server knows.
    pub stream: Stream,
}

/// What becomes of mail that a relay of this node would hold for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// Its recipient is refused for now; the program that sends in bulk tries again.
    Later,
    /// All of it waits in the hold queue of the mail server, whatever its other recipients.
    Hold,
}

/// What a door needs to answer.
pub(super) struct Desk {
    pub house: House,
    members: Members,
    stops: Stops,
    /// Answers that are being found.
    deciding: Arc<Semaphore>,
    turns: Turns,
}

/// A recipient whom a client of the mail server names.
pub(super) struct Naming<'a> {
    pub mail_from: Option<&'a Address>,
    pub recipient: &'a Address,
    /// How many recipients the mail had before.
    pub before: usize,
    pub client: Option<IpAddr>,
    /// What is asked again does not count again.
    pub heard: Heard,
    pub slow_lane: SlowLane,
    pub stopped: Reporting,
}

/// Whether a door can take a mail, leave a stopped recipient out of it, and report to the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reporting {
    Can,
    /// Then recipients are refused, whatever their organisation wants.
    Cannot,
}

/// Whether mail of a slow sender goes slowly in the mail server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SlowLane {
    There,
    /// Then its recipients are refused for now, but for one a minute.
    Missing,
}

/// How a recipient is taken.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Taken {
    Yes,
    /// A relay of this node would hold it for a person.
    Held(Why),
    /// The mail is not to go to it, and its sender is to be told.
    Reported(Why),
}

/// What the client is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct No {
    pub code: u16,
    pub enhanced: Enhanced,
    pub text: String,
}

impl No {
    /// A mail that a relay of this node would hold, where nobody can hold it.
    pub(super) fn held(why: &Why) -> Self {
        Self { code: 450, enhanced: Enhanced(4, 7, 1), text: format!("held for now: {why}") }
    }
}

impl Desk {
    pub(super) fn new(house: House, members: Members, stops: Stops) -> Self {
        Self { house, members, stops, deciding: Arc::new(Semaphore::new(DECIDING_MAX)), turns: Turns::default() }
    }

    /// Decides within the time that there is for it; none: it was not decided, and the mail passes.
    pub(super) async fn within<T: Send + 'static>(&self, decide: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        // On a thread of its own: a lock that somebody holds for long would hold up the clock, too.
        let permit = self.deciding.clone().try_acquire_owned().ok();
        let decided = match permit {
            Some(permit) => {
                let deciding = tokio::task::spawn_blocking(move || {
                    let _permit = permit;
                    decide()
                });
                timeout(ANSWER_MAX, deciding).await.ok().and_then(Result::ok)
            }
            None => None,
        };
        if decided.is_none() {
            tracing::warn!("a mail server was not answered in time, and the mail passed");
        }
        decided
    }

    /// Whose mail it is: a login of ours, a login that only the mail server knows, or a client in a trusted network. None:
    /// mail that comes in from outside, with which this node has nothing to do. `port` is what the mail server says of the
    /// port that it came in on: `bulk` on the one for mailing programs.
    pub(super) fn account(&self, login: Option<&str>, client: Option<IpAddr>, port: &str) -> Option<Account> {
        let (accounts, stream) = (&self.house.accounts, self.members.stream);
        let account = match login {
            Some(login) => accounts.let_in(login, stream),
            None => (self.members.trusted)(client?).then(|| accounts.local(stream))?,
        };
        let kind = match port.parse() {
            Ok(stream) => Kind { stream, by: StreamBy::Port },
            Err(_) => account.kind,
        };
        Some(Account { kind, ..account })
    }

    /// May a mail of this sender begin? `octets` as the client estimates them.
    pub(super) fn begins(&self, account: &Account, mail_from: Option<&Address>, octets: Option<u64>) -> Result<(), No> {
        let asked = self.sender(account, mail_from);
        self.measure(account, |holders| admit::mail(&asked, octets, holders, now_us()))
    }

    /// The same of a mail that was counted when it came in.
    pub(super) fn goes_on(&self, account: &Account, mail_from: Option<&Address>) -> Result<(), No> {
        admit::sender(&self.sender(account, mail_from)).map_err(|refusal| self.stop(account, &refusal))
    }

    /// May this recipient be written to?
    pub(super) fn recipient(&self, account: &Account, named: &Naming<'_>) -> Result<Taken, No> {
        let Naming { mail_from, recipient, before, .. } = *named;
        let (now, book, asked) = (now(), &self.house.book, self.sender(account, mail_from));
        let (verdict, tag) = verdict(book, &asked, &account.org, &book.limits(&account.org), recipient, now);
        let decided = match verdict {
            Verdict::Accept { canary } => {
                if let (Some(_), Some(tag)) = (canary, tag) {
                    self.stops.let_through(account, asked.stream, tag, now);
                }
                Ok(Taken::Yes)
            }
            Verdict::Hold(why) => Ok(Taken::Held(why)),
            Verdict::Report(why) if named.stopped == Reporting::Can => Ok(Taken::Reported(why)),
            // An answer of a policy service that takes a mail takes it for all its recipients, and what this one would be
            // told is not in our hands (docs/suppression.md).
            Verdict::Report(why) => Err(admit::Refusal::Suppressed { why, until: None }),
            Verdict::Refuse(refusal) => Err(refusal),
        };
        if let Err(refusal) = &decided {
            self.stops.spared(book, recipient, refusal, now);
        }
        let taken = self.watched(account, named, &decided).and(decided);
        let taken = taken.map_err(|refusal| self.stop(account, &refusal))?;
        if !matches!(named.heard, Heard::Again | Heard::Detoured) {
            self.measure(account, |holders| admit::counted(before, holders, now_us()))?;
        }
        Ok(taken)
    }

    /// Counts a recipient with its sender, who may have become one to stop by it. `decided` is what became of it.
    fn watched(
        &self,
        account: &Account,
        named: &Naming<'_>,
        decided: &Result<Taken, admit::Refusal>,
    ) -> Result<(), admit::Refusal> {
        if named.heard != Heard::First {
            return admit::way(&self.sender(account, named.mail_from)).map(drop);
        }
        let suppressed = match decided {
            Ok(taken) => *taken != Taken::Yes,
            Err(admit::Refusal::Suppressed { .. }) => true,
            // Neither the address nor the sender had anything to do with it.
            Err(_) => return Ok(()),
        };
        let Naming { mail_from, recipient, before, client, slow_lane, .. } = *named;
        let id = SenderId::new(&account.org, account.login.as_deref(), mail_from);
        let Some(id) = id else { return Ok(()) };
        let counted = Named { recipient, before, client, stream: account.kind.stream, suppressed };
        let standing = self.house.senders.named(&id, &counted, now());
        match admit::way(&Sender { standing, ..self.sender(account, mail_from) })? {
            // Who is refused anyway does not take a turn.
            Way::Slow if slow_lane == SlowLane::Missing && decided.is_ok() => self.turns.take(&id, now_us()),
            Way::Slow | Way::Normal => Ok(()),
        }
    }

    /// Recipients that were taken for mail of one kind, when the content shows another: those whom a report is about now, by
    /// their place. Who would be refused goes along, because nobody would tell the sender; where all of them would be, all of the
    /// mail is.
    pub(super) fn decided_again<'a>(
        &self,
        account: &Account,
        mail_from: Option<&Address>,
        recipients: impl Iterator<Item = &'a Address>,
        stopped: Reporting,
    ) -> Result<Vec<(usize, Why)>, No> {
        let (now, book, asked) = (now(), &self.house.book, self.sender(account, mail_from));
        let limits = book.limits(&account.org);
        let (mut reported, mut first, mut goes_on) = (Vec::new(), None, false);
        for (at, recipient) in recipients.enumerate() {
            match verdict(book, &asked, &account.org, &limits, recipient, now).0 {
                Verdict::Accept { .. } | Verdict::Hold(_) => goes_on = true,
                Verdict::Report(why) if stopped == Reporting::Can => reported.push((at, why)),
                Verdict::Report(why) => _ = first.get_or_insert(admit::Refusal::Suppressed { why, until: None }),
                Verdict::Refuse(refusal) => _ = first.get_or_insert(refusal),
            }
        }
        match first {
            Some(refusal) if !goes_on && reported.is_empty() => Err(self.stop(account, &refusal)),
            _ => Ok(reported),
        }
    }

    /// May the whole mail go, and which way?
    pub(super) fn ends(&self, account: &Account, mail_from: Option<&Address>, octets: u64) -> Result<Way, No> {
        self.measure(account, |holders| admit::content(octets, holders))?;
        admit::way(&self.sender(account, mail_from)).map_err(|refusal| self.stop(account, &refusal))
    }

    fn sender<'a>(&self, account: &'a Account, mail_from: Option<&'a Address>) -> Sender<'a> {
        let id = SenderId::new(&account.org, account.login.as_deref(), mail_from);
        let standing = id.map_or(Standing::Normal, |id| self.house.senders.standing(&id, now()));
        let (domains, addresses) = (&account.domains[..], &account.addresses[..]);
        Sender { domains, addresses, mail_from, stream: account.kind.stream, standing }
    }

    fn measure(
        &self,
        account: &Account,
        ask: impl FnOnce(&mut [Holder<'_>]) -> Result<(), admit::Refusal>,
    ) -> Result<(), No> {
        let asked = self.house.meters.ask(&self.house.accounts, account, ask);
        asked.map_err(|refusal| self.stop(account, &refusal))
    }

    /// Counts a refusal and says it, with the page where the recipient can do something about it.
    fn stop(&self, account: &Account, refusal: &admit::Refusal) -> No {
        self.stops.refused(account, account.kind.stream, refusal, now());
        let (code, enhanced, text) = refusal.reply();
        let text = match &self.house.confirm {
            Some(confirm) if matches!(refusal, admit::Refusal::Suppressed { .. }) => {
                format!("{text}; see {}", confirm.url)
            }
            _ => text,
        };
        No { code, enhanced, text }
    }
}

/// What the rules say, and the tag of a recipient whom other nodes doubt. The dice for a canary are thrown once a day for an
/// address, because a mail server asks again and again about one mail.
pub(crate) fn verdict(
    book: &Book,
    asked: &Sender<'_>,
    org: &str,
    limits: &suppress::Limits,
    recipient: &Address,
    now: u64,
) -> (Verdict, Option<Tag>) {
    let facts = book.recipient(recipient, org, now);
    let is_doubted = 0.0 < facts.said().1.score;
    let tag = is_doubted.then(|| book.tag(recipient)).flatten().map(|(_, tag)| tag);
    let chance = tag.map_or(1.0, |tag| worth::chance(&tag.0, now / DAY_S));
    (admit::recipient(asked, &facts, limits, now, chance), tag)
}

const DAY_S: u64 = 86_400;
/// Postfix waits up to 100 s, and its clients with it.
const ANSWER_MAX: Duration = Duration::from_millis(100);
/// Each takes a thread; where so many wait already, one more would not be answered in time either.
const DECIDING_MAX: usize = 64;
