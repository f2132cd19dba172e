//! Who may send what to whom: turns what the session asks into facts, asks the rules, and keeps accepted mail.

mod counting;
mod hand_in;
mod spoken;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sm2tp_proto::smtp::server::{Answer, Ask, Envelope, ScramMaterial, Session};
use sm2tp_proto::smtp::xclient::Xclient;
use sm2tp_proto::smtp::{MailOptions, RECEIVED_MAX, RcptOptions, Refusal, Secret, count_received};
use sm2tp_proto::{Address, Enhanced};
use sm2tp_rules::Stream;
use sm2tp_rules::admit::{self, Sender, Verdict, Way};
use sm2tp_rules::allowance;
use sm2tp_rules::guess;
use sm2tp_rules::stream::{self, Kind, Looks};
use sm2tp_rules::suppress::Why;
use sm2tp_rules::watch;
use sm2tp_store::Bounce;
use sm2tp_store::accounts::Account;
use sm2tp_store::keys;
use sm2tp_store::senders::{Named, SenderId};
use sm2tp_store::spool::{Lane, NewMail, NewRecipient};

pub(crate) use self::hand_in::{HandedIn, NotTaken};
use self::spoken::Spoken;
use super::bcc::{self, without_bcc, without_stream};
use super::client::{Client, Place};
use super::company::Busy;
use super::deadline::Standing;
use super::trace::{self, Service};
use super::{Port, Shared};
use crate::directory::Person;
use crate::meters::Seat;
use crate::returns::{self, REPORT_OCTETS_MAX, To};
use crate::{now, now_us, random};

/// The desk of one connection.
pub(super) struct Desk {
    shared: Arc<Shared>,
    client: Client,
    /// The place of the client of whom a front speaks.
    place: Option<Place>,
    account: Option<Account>,
    /// What the directory says of who logged in, if it was the directory that knows the login.
    person: Option<Person>,
    sender: Option<Address>,
    port: Port,
    recipients: Vec<NewRecipient>,
    /// The mail is a report for us, and for nobody else.
    report: Option<To>,
    /// The door takes nothing else: it was opened for a mail server.
    reports_only: bool,
    /// Among the connections of the account.
    seat: Option<Seat>,
    /// In the middle of a mail.
    busy: Option<Busy>,
}

impl Desk {
    pub(super) fn new(shared: Arc<Shared>, client: Client) -> Self {
        let account = unasked(&shared, client);
        let (place, person, sender, recipients, report) = (None, None, None, Vec::new(), None);
        let (port, reports_only, seat, busy) = (Port::default(), false, None, None);
        Self { client, place, account, person, sender, port, recipients, report, reports_only, seat, busy, shared }
    }

    /// At a port that may be for some mail only.
    pub(super) fn at_port(self, port: Port) -> Self {
        Self { port, ..self }
    }

    /// Takes reports and nothing else, from whatever network.
    pub(super) fn for_reports(shared: Arc<Shared>, client: Client) -> Self {
        Self { account: None, reports_only: true, ..Self::new(shared, client) }
    }

    /// How long the client may be silent.
    pub(super) fn patience(&self) -> Duration {
        self.shared.settings.command_timeout
    }

    pub(super) fn standing(&self) -> Standing {
        if self.account.is_some() { Standing::Member } else { Standing::Stranger }
    }

    pub(super) async fn answer(&mut self, ask: Ask, session: &Session) -> Answer {
        match ask {
            Ask::Login { login, password } => self.login(&login, &password).await,
            Ask::ScramKeys { login } => self.scram_keys(&login),
            Ask::Proved { login } => self.proved(&login),
            Ask::Disproved { login } => self.wrong(&login),
            Ask::Front { told } => self.front(&told),
            Ask::Sender { path, params } => self.sender(path, params.size),
            Ask::Recipient { path, options } => self.recipient(&path, options),
            Ask::Message { envelope, content } => self.message(envelope, content, &Spoken::of(session)).await,
        }
    }

    async fn login(&mut self, login: &str, password: &Secret) -> Answer {
        if let Err(answer) = self.may_try(login) {
            return answer;
        }
        match self.shared.verify(login, password.reveal()).await {
            Ok(Some((account, person))) => {
                self.person = person;
                self.right(login, account)
            }
            Ok(None) => self.wrong(login),
            // RFC 4954 §4.7.6: a password may be right later.
            Err(_) => no(454, Enhanced(4, 7, 0), "Your login cannot be checked now, try again later"),
        }
    }

    fn scram_keys(&self, login: &str) -> Answer {
        if let Err(answer) = self.may_try(login) {
            return answer;
        }
        let keys = self.shared.house.accounts.scram_keys(login);
        let Ok(random) = keys::random() else {
            return no(454, Enhanced(4, 7, 0), "No login is possible now, try again later");
        };
        let mut fresh = [0; 18];
        fresh.copy_from_slice(&random[..18]);
        Answer::Scram(Box::new(ScramMaterial { keys, fresh }))
    }

    fn proved(&mut self, login: &str) -> Answer {
        match self.shared.house.accounts.account(login) {
            Some(account) => self.right(login, account),
            // Removed since the challenge.
            None => self.wrong(login),
        }
    }

    /// Counts a try as wrong until it turns out right.
    fn may_try(&self, login: &str) -> Result<(), Answer> {
        self.shared.guard.may_try(self.client.address(), self.kind(), login).map_err(|wait_s| {
            tracing::debug!(client = %self.client.address(), login = %login.escape_debug(), wait_s, "a login was not tried");
            let text = format!("Too many wrong passwords from your address, try again in {}", allowance::wait(wait_s));
            no(454, Enhanced(4, 7, 0), &text)
        })
    }

    fn right(&mut self, login: &str, account: Account) -> Answer {
        self.shared.guard.right(self.client.address(), self.kind(), login);
        match self.take_seat(&account) {
            Ok(()) => {
                self.account = Some(account);
                Answer::Yes
            }
            Err(answer) => answer,
        }
    }

    /// A mail server on this machine, one that speaks LMTP, and one of a trusted network bring the reports of all others.
    fn brings_as(&self) -> guess::Kind {
        if self.reports_only || self.client.is_local() { guess::Kind::Shared } else { self.kind() }
    }

    fn kind(&self) -> guess::Kind {
        if self.client.is_shared(&self.shared.settings) { guess::Kind::Shared } else { guess::Kind::Client }
    }

    /// XCLIENT: for whom this front speaks. What it does not say, nobody knows.
    fn front(&mut self, told: &Xclient) -> Answer {
        let settings = &self.shared.settings;
        let client = self.client.speaking_for(told.addr.value().copied());
        let account = match told.login.value() {
            None => unasked(&self.shared, client),
            Some(_) if !client.may_vouch(settings) => {
                tracing::warn!(front = %self.client.peer(), "XCLIENT LOGIN from a front that is not in xclient_login_from");
                return no(550, Enhanced(5, 7, 0), "This front may not say who has logged in");
            }
            Some(login) => match self.shared.house.accounts.account(login) {
                None => return no(550, Enhanced(5, 7, 0), "This login is not known here"),
                account => account,
            },
        };
        self.place = None;
        let place = match self.shared.knock(client).and_then(|()| Place::take(&self.shared, client)) {
            Ok(place) => place,
            Err(refused) => return no(421, Enhanced(4, 7, 0), &refused.words),
        };
        (self.client, self.place, self.seat) = (client, Some(place), None);
        (self.account, self.sender) = (account, None);
        self.recipients.clear();
        self.report = None;
        Answer::Yes
    }

    /// The account as it is now: people may have changed or removed it while the connection was open.
    fn still_there(&mut self, account: Account) -> Option<Account> {
        let Some(login) = &account.login else { return Some(account) };
        let now = match &self.person {
            Some(person) => self.shared.account_of(login, person)?,
            None => self.shared.house.accounts.account(login)?,
        };
        self.account = Some(now.clone());
        Some(now)
    }

    fn take_seat(&mut self, account: &Account) -> Result<(), Answer> {
        // First the old one: who logs in on a trusted connection leaves the organisation of that.
        self.seat = None;
        let seat = self.shared.house.meters.seat(&self.shared.house.accounts, account);
        self.seat = Some(seat.map_err(|refusal| self.stop(account, &refusal))?);
        Ok(())
    }

    /// Counts a refusal and says it.
    fn stop(&self, account: &Account, refusal: &admit::Refusal) -> Answer {
        self.shared.stops.refused(account, self.told(account).stream, refusal, now());
        self.refused(refusal)
    }

    /// The reason, and the page where the recipient can do something about it.
    fn refused(&self, refusal: &admit::Refusal) -> Answer {
        let (code, enhanced, text) = refusal.reply();
        match &self.shared.house.confirm {
            Some(confirm) if matches!(refusal, admit::Refusal::Suppressed { .. }) => {
                no(code, enhanced, &format!("{text}; see {}", confirm.url))
            }
            _ => no(code, enhanced, &text),
        }
    }

    /// The kind of the mail, as far as it is known before its content.
    fn told(&self, account: &Account) -> Kind {
        stream::told(account.kind, self.port.stream)
    }

    fn wrong(&self, login: &str) -> Answer {
        tracing::info!(client = %self.client.address(), login = %login.escape_debug(), "a login failed");
        no(535, Enhanced(5, 7, 8), "Login or password wrong")
    }

    fn sender(&mut self, path: Option<Address>, octets: Option<u64>) -> Answer {
        self.recipients.clear();
        self.report = None;
        let Some(account) = self.account.clone() else {
            // Reports come from strangers; what else they want is refused when they say for whom it is.
            if self.shared.house.returns.is_some() {
                self.sender = path;
                return Answer::Yes;
            }
            return no(530, Enhanced(5, 7, 0), "Authentication required: this server relays for its members only");
        };
        let Some(account) = self.still_there(account) else {
            (self.account, self.seat) = (None, None);
            return no(530, Enhanced(5, 7, 0), "This login is not known any more, log in again");
        };
        if self.seat.is_none()
            && let Err(answer) = self.take_seat(&account)
        {
            return answer;
        }
        let standing = self.stands(&account, path.as_ref());
        let asked = asked(&account, path.as_ref(), self.told(&account).stream, standing);
        if let Err(answer) = self.begins(&account, &asked, octets) {
            return answer;
        }
        self.sender = path;
        self.busy.get_or_insert_with(|| self.shared.company.join());
        Answer::Yes
    }

    /// RCPT TO: the one answer of `rules::admit` (I5).
    fn recipient(&mut self, path: &Address, options: RcptOptions) -> Answer {
        if self.shared.house.returns.as_ref().is_some_and(|back| back.is_ours(path)) {
            return self.report_for(path);
        }
        let Some(account) = self.account.clone() else {
            return no(530, Enhanced(5, 7, 0), "Authentication required: this server relays for its members only");
        };
        if self.report.is_some() {
            return no(452, Enhanced(4, 5, 3), "A report goes to one address, send the rest separately");
        }
        let decided = self.decide(&account, self.told(&account).stream, path, options);
        let is_counted = self.is_counted(&account, path);
        let watched = if is_counted { Ok(()) } else { self.watched(&account, path, &decided) };
        let recipient = match watched.and(decided) {
            Ok(recipient) => recipient,
            Err(refusal) => return self.stop(&account, &refusal),
        };
        let named = self.recipients.len();
        if !is_counted && let Err(answer) = self.measure(&account, |holders| admit::counted(named, holders, now_us())) {
            return answer;
        }
        // The session asks about no recipient twice.
        self.recipients.push(recipient);
        Answer::Yes
    }

    /// How a recipient is kept, if it is.
    fn decide(
        &self,
        account: &Account,
        stream: Stream,
        path: &Address,
        options: RcptOptions,
    ) -> Result<NewRecipient, admit::Refusal> {
        let (now, book) = (now(), &self.shared.house.book);
        let standing = self.stands(account, self.sender.as_ref());
        let asked = asked(account, self.sender.as_ref(), stream, standing);
        let facts = book.recipient(path, &account.org, now);
        let plain = NewRecipient {
            address: path.clone(),
            lane: Lane::Normal,
            note: None,
            stopped: false,
            canary: false,
            options,
        };
        let held = |why: &Why| Some(format!("{}: {why}", why.as_str()));
        let verdict = admit::recipient(&asked, &facts, &book.limits(&account.org), now, random());
        Ok(match verdict {
            Verdict::Accept { canary } => NewRecipient { canary: canary.is_some(), ..plain },
            Verdict::Hold(why) => NewRecipient { lane: Lane::Held, note: held(&why), ..plain },
            Verdict::Report(why) => NewRecipient { lane: Lane::Held, note: held(&why), stopped: true, ..plain },
            Verdict::Refuse(refusal) => {
                self.shared.stops.spared(book, path, &refusal, now);
                return Err(refusal);
            }
        })
    }

    /// Recipients that were taken for mail of one kind, when the content shows another. Those to whom this kind does not
    /// go are reported to the sender one by one, because RCPT was answered; where it goes to none, all of it is refused
    /// (decision 0039).
    fn decide_again(
        &self,
        account: &Account,
        stream: Stream,
        recipients: Vec<NewRecipient>,
    ) -> Result<Vec<NewRecipient>, Answer> {
        let (mut kept, mut refusals) = (Vec::with_capacity(recipients.len()), Vec::new());
        for recipient in recipients {
            match self.decide(account, stream, &recipient.address, recipient.options.clone()) {
                Ok(again) => kept.push(again),
                Err(refusal) => {
                    let note = Some(format!("{}: {}", refusal.as_str(), refusal.words()));
                    kept.push(NewRecipient { lane: Lane::Held, note, stopped: true, canary: false, ..recipient });
                    refusals.push(refusal);
                }
            }
        }
        match refusals.first() {
            Some(first) if refusals.len() == kept.len() => {
                for refusal in &refusals {
                    self.shared.stops.refused(account, stream, refusal, now());
                }
                Err(self.refused(first))
            }
            _ => Ok(kept),
        }
    }

    /// What the sender watch says, where there is a sender.
    fn stands(&self, account: &Account, mail_from: Option<&Address>) -> watch::Standing {
        let id = SenderId::new(&account.org, account.login.as_deref(), mail_from);
        id.map_or(watch::Standing::Normal, |id| self.shared.house.senders.standing(&id, now()))
    }

    /// Counts a recipient with its sender, who may have become one to stop by it. `decided` is what became of it.
    fn watched(
        &self,
        account: &Account,
        recipient: &Address,
        decided: &Result<NewRecipient, admit::Refusal>,
    ) -> Result<(), admit::Refusal> {
        let suppressed = match decided {
            Ok(kept) => kept.lane == Lane::Held,
            Err(admit::Refusal::Suppressed { .. }) => true,
            // Neither the address nor the sender had anything to do with it.
            Err(_) => return Ok(()),
        };
        let mail_from = self.sender.as_ref();
        let Some(id) = SenderId::new(&account.org, account.login.as_deref(), mail_from) else { return Ok(()) };
        let (before, client, stream) = (self.recipients.len(), self.client.known(), account.kind.stream);
        let named = Named { recipient, before, client, stream, suppressed };
        let standing = self.shared.house.senders.named(&id, &named, now());
        admit::way(&asked(account, mail_from, stream, standing)).map(drop)
    }

    /// RCPT TO one of our return paths.
    fn report_for(&mut self, path: &Address) -> Answer {
        if self.report.is_some() || !self.recipients.is_empty() {
            return no(452, Enhanced(4, 5, 3), "A report goes to one address, send the rest separately");
        }
        if let Err(wait_s) = self.shared.reports.may_bring(self.client.address(), self.brings_as()) {
            let text = format!("Too many reports from your address, try again in {}", allowance::wait(wait_s));
            return no(450, Enhanced(4, 7, 1), &text);
        }
        match self.shared.house.returns.as_ref().map(|back| back.recipient(path, now())) {
            Some(Ok(to)) => {
                self.report = Some(to);
                Answer::Yes
            }
            Some(Err(refusal)) => Answer::No(refusal),
            None => no(550, Enhanced(5, 1, 1), "There is no such address here"),
        }
    }

    /// Keeps a report for those who count it.
    async fn report(&self, to: To, content: Vec<u8>, spoken: &Spoken) -> Answer {
        let Some(back) = &self.shared.house.returns else {
            return no(451, Enhanced(4, 3, 0), "Reports are not taken now, try again later");
        };
        if to == To::Everybody && REPORT_OCTETS_MAX < content.len() {
            return no(552, Enhanced(5, 3, 4), "A report has one megabyte at most");
        }
        let content = match self.sender {
            Some(_) => match self.unless_from_a_person(content).await {
                Ok(content) => content,
                Err(answer) => return answer,
            },
            None => content,
        };
        let now = now();
        // It may go on to the sender, who is to see who brought it. The reader knows what else a mail may begin with.
        let begins_with_field = content.first().is_some_and(u8::is_ascii_alphabetic) && !content.starts_with(b"From ");
        let content = match begins_with_field {
            true => {
                trace::trace(&content, &self.via(spoken, Service::Forwarding, &MailOptions::default()), now).content
            }
            false => content,
        };
        match back.take(to, content, now).await {
            Ok(()) => Answer::Yes,
            Err(error) => {
                tracing::error!(%error, "a report could not be kept; its client was told to try again");
                no(452, Enhanced(4, 3, 1), "Insufficient system storage, try again later")
            }
        }
    }

    /// Gives the content back where a machine wrote it. Read on a thread of its own: the others' connections go on.
    async fn unless_from_a_person(&self, content: Vec<u8>) -> Result<Vec<u8>, Answer> {
        let later = || no(451, Enhanced(4, 3, 0), "The report could not be read, try again later");
        let _permit = self.shared.readers.acquire().await.map_err(|_| later())?;
        let reading = tokio::task::spawn_blocking(move || returns::is_from_a_machine(&content).then_some(content));
        let person = || no(550, Enhanced(5, 7, 1), "This address takes reports of mail servers only, nobody reads it");
        reading.await.map_err(|_| later())?.ok_or_else(person)
    }

    async fn message(&mut self, envelope: Envelope, content: Vec<u8>, spoken: &Spoken) -> Answer {
        if let Some(to) = self.report.take() {
            self.busy = None;
            return self.report(to, content, spoken).await;
        }
        match self.accept(envelope, content, spoken).await {
            Ok(mail) => Answer::YesSaying(format!("queued as {mail}")),
            Err(answer) => answer,
        }
    }

    /// Takes a mail of a member; answers with its number in the queue.
    async fn accept(&mut self, envelope: Envelope, content: Vec<u8>, spoken: &Spoken) -> Result<u64, Answer> {
        let busy = self.busy.take();
        let Some(account) = self.account.clone() else {
            return Err(no(530, Enhanced(5, 7, 0), "Authentication required"));
        };
        if RECEIVED_MAX < count_received(&content) {
            return Err(no(554, Enhanced(5, 4, 6), "This message has been through too many servers: it is in a loop"));
        }
        let octets = content.len() as u64;
        self.measure(&account, |holders| admit::content(octets, holders))?;
        let received_at = now();
        let told = self.told(&account);
        let service = if told.stream == Stream::Forwarded { Service::Forwarding } else { Service::Submission };
        let via = self.via(spoken, service, &envelope.params.options);
        let (content, looks) = match service {
            Service::Submission => {
                let looks = bcc::looks(&content);
                (without_bcc(without_stream(content)), looks)
            }
            Service::Forwarding => (content, Looks::default()),
        };
        let traced = trace::trace(&content, &via, received_at);
        let content = Bytes::from(traced.content);
        let (kind, recipients) = self.kind_of(&account, &looks, traced.message_id.as_deref())?;
        let recipients = match self.sent_by_way(&account, envelope.sender.as_ref(), kind.stream, recipients) {
            Ok(recipients) => recipients,
            Err(refusal) => return Err(self.stop(&account, &refusal)),
        };
        let hold_s = self.shared.settings.hold_s;
        let mut options = envelope.params.options;
        // RFC 8689 §3: REQUIRETLS goes before the field.
        options.tls_waived = traced.tls_waived && !options.require_tls;
        let mail = NewMail {
            org: account.org,
            login: account.login,
            stream: kind.stream,
            stream_by: Some(kind.by),
            mail_from: envelope.sender,
            message_id: traced.message_id,
            received_at,
            recipients,
            held_until: received_at.saturating_add(hold_s),
            content: content.clone(),
            is_report: false,
            options,
        };
        self.keep(mail, content, busy).await
    }

    /// The lane of a mail whose sender the watch slowed, or that came in on the port for such mail; or nothing goes at all.
    fn sent_by_way(
        &self,
        account: &Account,
        mail_from: Option<&Address>,
        stream: Stream,
        mut recipients: Vec<NewRecipient>,
    ) -> Result<Vec<NewRecipient>, admit::Refusal> {
        let standing = self.stands(account, mail_from);
        let way = admit::way(&asked(account, mail_from, stream, standing))?;
        if way == Way::Slow || self.port.way == Way::Slow {
            let normal = recipients.iter_mut().filter(|recipient| recipient.lane == Lane::Normal);
            normal.for_each(|recipient| recipient.lane = Lane::Slow);
        }
        Ok(recipients)
    }

    /// Puts a mail into the spool, and hands it on.
    async fn keep(&self, mail: NewMail, content: Bytes, busy: Option<Busy>) -> Result<u64, Answer> {
        let spool = &self.shared.house.spool;
        let kept = match busy.as_ref().is_some_and(Busy::is_alone) {
            true => spool.accept_alone(mail).await,
            false => spool.accept(mail).await,
        };
        match kept {
            Ok(queued) => {
                let id = queued.mail.id;
                // The relay may have stopped: the mail is in the spool, and the next start finds it.
                let _ = self.shared.onward.mails.send((queued, content)).await;
                Ok(id)
            }
            Err(error) => {
                tracing::error!(%error, "a message could not be kept; its client was told to try again");
                Err(match error.is_full() {
                    true => no(452, Enhanced(4, 3, 1), "Insufficient system storage, try again later"),
                    false => no(452, Enhanced(4, 3, 0), "The message could not be stored, try again later"),
                })
            }
        }
    }

    /// The kind of the mail whose content is here, and how its recipients are kept now.
    fn kind_of(
        &mut self,
        account: &Account,
        looks: &Looks,
        message_id: Option<&str>,
    ) -> Result<(Kind, Vec<NewRecipient>), Answer> {
        let told = self.told(account);
        let is_much = self.shared.volumes.is_much(account, self.recipients.len(), message_id, now_us());
        let kind = stream::decided(told, looks, is_much);
        let recipients = std::mem::take(&mut self.recipients);
        if kind.stream == told.stream {
            return Ok((kind, recipients));
        }
        self.decide_again(account, kind.stream, recipients).map(|recipients| (kind, recipients))
    }
}

/// The account of who may send without a login.
fn unasked(shared: &Shared, client: Client) -> Option<Account> {
    let settings = &shared.settings;
    client.is_trusted(settings).then(|| shared.house.accounts.local(settings.trusted_stream))
}

fn asked<'a>(
    account: &'a Account,
    mail_from: Option<&'a Address>,
    stream: Stream,
    standing: watch::Standing,
) -> Sender<'a> {
    Sender { domains: &account.domains, addresses: &account.addresses, mail_from, stream, standing }
}

fn no(code: u16, enhanced: Enhanced, text: &str) -> Answer {
    Answer::No(Refusal::new(code, enhanced, text))
}
