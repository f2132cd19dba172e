//! Postfix's policy service, which Exim asks too: may this sender write to this recipient, and which way does the mail go?

use std::future::Future;
use std::sync::Arc;

use sm2tp_proto::Address;
use sm2tp_proto::policy::{Action, PolicyError, Request, RequestReader, Stage};
use sm2tp_proto::token;
use sm2tp_rules::admit::Way;
use sm2tp_rules::detour::{Detour, detour};
use sm2tp_store::accounts::{Account, ReturnPath};

use super::counted::{Counted, Heard};
use super::desk::{Desk, Held, Members, Naming, No, Reporting, SlowLane, Taken};
use super::{Conversation, Listener, Next};
use crate::detoured::Pair;
use crate::returns::Leaving;
use crate::stops::Stops;
use crate::{House, now};

/// How the door is set up.
#[derive(Clone)]
pub struct Settings {
    pub members: Members,
    pub held: Held,
    pub trace: Trace,
    /// Mail that goes another way than the mail server's own.
    pub detours: Vec<Detour>,
}

/// Whether mail to one recipient gets a field by which its reports are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trace {
    Off,
    On,
}

/// The door: all its listeners together. Clones share it.
#[derive(Clone)]
pub struct Door(Arc<Shared>);

struct Shared {
    desk: Desk,
    settings: Settings,
    counted: Counted,
}

impl Door {
    #[must_use]
    pub fn new(house: House, settings: Settings, stops: Stops) -> Self {
        let desk = Desk::new(house, settings.members.clone(), stops);
        Self(Arc::new(Shared { desk, settings, counted: Counted::default() }))
    }

    /// The answer to one request about a recipient, for other doors.
    pub(super) async fn ask(&self, request: Request) -> Action {
        let shared = self.0.clone();
        self.0.desk.within(move || shared.decide(&request)).await.unwrap_or(Action::Dunno)
    }

    /// Serves one listener until `stop` is done.
    pub async fn serve(self, listener: Listener, stop: impl Future<Output = ()> + Send) {
        let begin = || Asking { reader: RequestReader::default(), shared: self.0.clone() };
        super::serve(listener, "policy", begin, stop).await;
    }
}

struct Asking {
    reader: RequestReader,
    shared: Arc<Shared>,
}

impl Conversation for Asking {
    type Error = PolicyError;

    fn feed(&mut self, octets: &[u8]) {
        self.reader.feed(octets);
    }

    async fn answer(&mut self) -> Result<Next, PolicyError> {
        let Some(request) = self.reader.next_request()? else { return Ok(Next::More) };
        let shared = self.shared.clone();
        let decided = self.shared.desk.within(move || shared.decide(&request)).await;
        let action = decided.unwrap_or(Action::Dunno);
        Ok(Next::Say(action.to_string().into_bytes()))
    }
}

impl Shared {
    fn decide(&self, request: &Request) -> Action {
        let account = self.desk.account(request.login.as_deref(), request.client, &request.context);
        let Some(account) = account else { return Action::Dunno };
        let decided = match request.stage {
            Stage::Rcpt => self.recipient(&account, request),
            Stage::Data => Ok(self.trace(&account, request).unwrap_or(Action::Dunno)),
            Stage::EndOfMessage => self.way(&account, request),
            Stage::Other => Ok(Action::Dunno),
        };
        decided.unwrap_or_else(|No { code, enhanced, text }| Action::Refuse { code, enhanced, text })
    }

    fn recipient(&self, account: &Account, request: &Request) -> Result<Action, No> {
        let Some(recipient) = request.recipient.address() else { return Ok(Action::Dunno) };
        let mail_from = request.sender.address();
        let (pair, is_relay) = (Pair::new(mail_from, recipient), request.context == RELAY);
        let detoured = &self.desk.house.detoured;
        // Exim has no instance; its mails are counted by their recipients alone.
        if !self.counted.has_begun(&request.instance) {
            if is_relay && detoured.is_from(mail_from) {
                self.desk.goes_on(account, mail_from)?;
            } else {
                self.desk.begins(account, mail_from, request.octets)?;
            }
            self.counted.begun(&request.instance);
        }
        // Postfix says at RCPT that a mail has no recipients yet.
        let (heard, before) = self.counted.heard(&request.instance, pair);
        // A relay beside the mail server asks about what a detour led there, too; that was counted when it came in.
        let heard = match heard {
            Heard::First if is_relay && detoured.came(pair) => Heard::Detoured,
            heard => heard,
        };
        // Mail that came to that relay without a detour is told none: see `way`.
        let slow_lane = match self.detour(account, Way::Slow) {
            Some(_) if !is_relay => SlowLane::There,
            _ => SlowLane::Missing,
        };
        let (client, stopped) = (request.client, Reporting::Cannot);
        let named = Naming { mail_from, recipient, before, client, heard, slow_lane, stopped };
        let taken = self.desk.recipient(account, &named);
        let taken = taken.inspect_err(|_| self.counted.refused(&request.instance, pair))?;
        match (taken, self.settings.held) {
            // Of a door that cannot report the desk gets no report to make.
            (Taken::Yes | Taken::Reported(_), _) => Ok(Action::Dunno),
            (Taken::Held(why), Held::Hold) => Ok(Action::Hold(format!("sm2tp: {why}"))),
            (Taken::Held(why), Held::Later) => {
                self.counted.refused(&request.instance, pair);
                Err(No::held(&why))
            }
        }
    }

    /// The field goes on top of the mail, so all its recipients would see it: it is for mail to one alone.
    fn trace(&self, account: &Account, request: &Request) -> Option<Action> {
        if self.settings.trace == Trace::Off || request.recipients != 1 {
            return None;
        }
        let (mail_from, recipient): (&Address, &Address) = (request.sender.address()?, request.recipient.address()?);
        let house = &self.desk.house;
        let queue_id = request.queue_id.as_deref();
        let leaving = Leaving { account, mail_from, recipient, queue_id, path: ReturnPath::Sender };
        let value = house.returns.as_ref()?.trace(&house.book, &leaving, now())?;
        Some(Action::Prepend { name: token::FIELD, value })
    }

    fn way(&self, account: &Account, request: &Request) -> Result<Action, No> {
        let way = self.desk.ends(account, request.sender.address(), request.octets.unwrap_or(0))?;
        // Mail that took a detour to a relay that asks, too, must not go there again.
        if request.context == RELAY {
            return Ok(Action::Dunno);
        }
        let Some(to) = self.detour(account, way) else { return Ok(Action::Dunno) };
        self.desk.house.detoured.left(self.counted.recipients(&request.instance), now());
        Ok(Action::Filter(to.to_owned()))
    }

    fn detour(&self, account: &Account, way: Way) -> Option<&str> {
        detour(&self.settings.detours, &account.org, account.kind.stream, way)
    }
}

/// `policy_context` of a relay beside the mail server that took the mail in.
const RELAY: &str = "relay";
