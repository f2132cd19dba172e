//! Postfix's policy service, which Exim asks too: may this sender write to this recipient? The same answer as in SMTP (I5),
//! from memory and within [`ANSWER_MAX`]; what takes longer passes unasked (I8).

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use sm2tp_proto::policy::{Action, PolicyError, Request, RequestReader, Stage};
use sm2tp_proto::{Address, Enhanced};
use sm2tp_rules::admit::{self, Sender, Verdict};
use sm2tp_rules::allowance::Holder;
use sm2tp_rules::stream::Kind;
use sm2tp_rules::watch::Standing;
use sm2tp_rules::{Stream, StreamBy};
use sm2tp_store::Bounce;
use sm2tp_store::accounts::Account;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::{Conversation, Listener};
use crate::smtp::Networks;
use crate::stops::Stops;
use crate::{House, now, now_us, random};

/// How the door is set up.
#[derive(Clone)]
pub struct Settings {
    /// Clients of the mail server that send without a login and are of this node's people all the same.
    pub trusted: Networks,
    /// Stream of mail from them, and of logins that only the mail server knows.
    pub stream: Stream,
}

/// The door: all its listeners together. Clones share it.
#[derive(Clone)]
pub struct Door(Arc<Shared>);

struct Shared {
    house: House,
    settings: Settings,
    stops: Stops,
    /// Answers that are being found.
    deciding: Semaphore,
}

impl Door {
    #[must_use]
    pub fn new(house: House, settings: Settings, stops: Stops) -> Self {
        Self(Arc::new(Shared { house, settings, stops, deciding: Semaphore::new(DECIDING_MAX) }))
    }

    /// Serves one listener until `stop` is done.
    pub async fn serve(self, listener: Listener, stop: impl Future<Output = ()> + Send) {
        let begin = || Asking { reader: RequestReader::default(), shared: self.0.clone(), instance: String::new() };
        super::serve(listener, "policy", begin, stop).await;
    }
}

struct Asking {
    reader: RequestReader,
    shared: Arc<Shared>,
    /// The mail of the last request: an smtpd process speaks about one after the other.
    instance: String,
}

impl Conversation for Asking {
    type Error = PolicyError;

    fn feed(&mut self, octets: &[u8]) {
        self.reader.feed(octets);
    }

    async fn answer(&mut self) -> Result<Option<String>, PolicyError> {
        let Some(request) = self.reader.next_request()? else { return Ok(None) };
        // Exim has no instance; its mails are counted by their recipients alone.
        let is_first = !request.instance.is_empty() && request.instance != self.instance;
        self.instance.clone_from(&request.instance);
        Ok(Some(self.shared.answer(request, if is_first { Mail::New } else { Mail::Known }).await.to_string()))
    }
}

/// Whether a request is the first about its mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mail {
    New,
    Known,
}

impl Shared {
    async fn answer(self: &Arc<Self>, request: Request, mail: Mail) -> Action {
        // On a thread of its own: a lock that somebody holds for long would hold up the clock, too.
        let Ok(permit) = self.deciding.try_acquire() else { return late() };
        permit.forget();
        let shared = self.clone();
        let deciding = tokio::task::spawn_blocking(move || {
            let action = shared.decide(&request, mail);
            shared.deciding.add_permits(1);
            action
        });
        match timeout(ANSWER_MAX, deciding).await {
            Ok(Ok(action)) => action,
            Ok(Err(_)) | Err(_) => late(),
        }
    }

    fn decide(&self, request: &Request, mail: Mail) -> Action {
        let Some(account) = self.account(request) else { return Action::Dunno };
        let asked = Sender {
            domains: &account.domains,
            addresses: &account.addresses,
            mail_from: request.sender.address(),
            stream: account.kind.stream,
            // Asked twice about a mail, by a server that may not tell who writes, this door would count wrongly: it leaves
            // the watch to the SMTP door.
            standing: Standing::Normal,
        };
        let decided = match request.stage {
            Stage::Rcpt => {
                let Some(recipient) = request.recipient.address() else { return Action::Dunno };
                self.recipient(&account, &asked, recipient, request, mail)
            }
            Stage::EndOfMessage => {
                self.measure(&account, |holders| admit::content(request.octets.unwrap_or(0), holders))
            }
            Stage::Data | Stage::Other => Ok(()),
        };
        decided.err().unwrap_or(Action::Dunno)
    }

    fn recipient(
        &self,
        account: &Account,
        asked: &Sender<'_>,
        recipient: &Address,
        request: &Request,
        mail: Mail,
    ) -> Result<(), Action> {
        if mail == Mail::New {
            self.measure(account, |holders| admit::mail(asked, request.octets, holders, now_us()))?;
        }
        let (now, book) = (now(), &self.house.book);
        let facts = book.recipient(recipient, &account.org, now);
        match admit::recipient(asked, &facts, &book.limits(&account.org), now, random()) {
            Verdict::Accept { .. } => {}
            // HOLD would hold the mail for all its recipients. The program that sends in bulk tries this one again.
            Verdict::Hold(why) => {
                let text = format!("held for now: {why}");
                return Err(Action::Refuse { code: 450, enhanced: Enhanced(4, 7, 1), text });
            }
            // Here nobody takes the mail, so that nobody could report it.
            Verdict::Report(why) => return Err(self.stop(account, &admit::Refusal::Suppressed { why, until: None })),
            Verdict::Refuse(refusal) => {
                self.stops.spared(book, recipient, &refusal, now);
                return Err(self.stop(account, &refusal));
            }
        }
        let named = usize::try_from(request.recipients).unwrap_or(usize::MAX);
        self.measure(account, |holders| admit::counted(named, holders, now_us()))
    }

    /// Whose mail it is: a login of ours, a login that only the mail server knows, or a client in a trusted network. None:
    /// mail that comes in from outside, with which this node has nothing to do.
    fn account(&self, request: &Request) -> Option<Account> {
        let accounts = &self.house.accounts;
        let account = match &request.login {
            Some(login) => accounts.account(login).unwrap_or_else(|| {
                let login = Some(login.as_str().into());
                Account { login, ..accounts.local(self.settings.stream) }
            }),
            None => {
                let client = request.client?;
                (self.settings.trusted)(client).then(|| accounts.local(self.settings.stream))?
            }
        };
        // `policy_context=bulk` on the service that mailing programs use.
        let kind = match request.context.parse() {
            Ok(stream) => Kind { stream, by: StreamBy::Port },
            Err(_) => account.kind,
        };
        Some(Account { kind, ..account })
    }

    fn measure(
        &self,
        account: &Account,
        ask: impl FnOnce(&mut [Holder<'_>]) -> Result<(), admit::Refusal>,
    ) -> Result<(), Action> {
        let asked = self.house.meters.ask(&self.house.accounts, account, ask);
        asked.map_err(|refusal| self.stop(account, &refusal))
    }

    /// Counts a refusal and says it.
    fn stop(&self, account: &Account, refusal: &admit::Refusal) -> Action {
        self.stops.refused(account, account.kind.stream, refusal, now());
        let (code, enhanced, text) = refusal.reply();
        Action::Refuse { code, enhanced, text }
    }
}

fn late() -> Action {
    tracing::warn!("a policy request was not answered in time, and the mail passed");
    Action::Dunno
}

/// Postfix waits up to 100 s, and its clients with it.
const ANSWER_MAX: Duration = Duration::from_millis(100);
/// Each takes a thread; where so many wait already, one more would not be answered in time either.
const DECIDING_MAX: usize = 64;
