//! The milter door: a mail server tells each mail as it comes in. Recipients are refused one by one, or left out and reported,
//! what a relay would hold goes into quarantine, and mail to one recipient leaves with a return path of this node, where its
//! organisation wants that.

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;

use sm2tp_proto::milter::{Answer, Began, Change, Event, FrameReader, MilterError, Session, Wants};
use sm2tp_proto::policy::Party;
use sm2tp_proto::{Address, token};
use sm2tp_rules::stream::{self, Looks};
use sm2tp_rules::suppress::Why;
use sm2tp_store::accounts::{Account, ReturnPath};

use super::counted::Heard;
use super::desk::{Desk, Held, Members, Naming, No, Reporting, SlowLane, Taken};
use super::reported::{LeftOut, Reporter, Shown};
use super::{Conversation, Listener, Next};
use crate::returns::Leaving;
use crate::stops::Stops;
use crate::{House, now};

/// How the door is set up.
#[derive(Clone)]
pub struct Settings {
    pub members: Members,
    pub decide: Decide,
    pub held: Held,
    /// Who tells senders of recipients that were left out; none where nothing is sent from this node.
    pub reporter: Option<Reporter>,
}

/// Whether this door answers about recipients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decide {
    Yes,
    /// The policy service does: asked by both, limits would count each recipient twice.
    No,
}

/// The door: all its listeners together. Clones share it.
#[derive(Clone)]
pub struct Door(Arc<Shared>);

struct Shared {
    desk: Desk,
    settings: Settings,
}

/// One connection.
struct Telling {
    reader: FrameReader,
    session: Session,
    shared: Arc<Shared>,
    client: Option<IpAddr>,
    /// None: between mails, or the mail is not of this node's people.
    mail: Option<Mail>,
}

/// What was told of a mail so far.
struct Mail {
    about: About,
    /// Those that were taken, the first [`RECIPIENTS_KEPT_MAX`] of them.
    recipients: Vec<Recipient>,
    /// Those to whom it does not go, though it is taken.
    left_out: Vec<LeftOut>,
    held: Option<Why>,
    looks: Looks,
    shown: Shown,
    /// Fields of our name that it brought along.
    references: u32,
    octets: u64,
}

#[derive(Debug, Clone)]
struct Recipient {
    address: Address,
    /// What the mail server calls it, where it can be left out.
    path: Option<String>,
}

/// What the answer about a recipient needs to know of its mail.
#[derive(Clone)]
struct About {
    account: Account,
    sender: Party,
    /// As the client estimates it.
    octets: Option<u64>,
    client: Option<IpAddr>,
    /// It may begin, and counts among the mails of its sender.
    begun: bool,
    /// Recipients that were taken.
    count: usize,
    stopped: Reporting,
}

impl Door {
    #[must_use]
    pub fn new(house: House, settings: Settings, stops: Stops) -> Self {
        let desk = Desk::new(house, settings.members.clone(), stops);
        Self(Arc::new(Shared { desk, settings }))
    }

    /// Serves one listener until `stop` is done.
    pub async fn serve(self, listener: Listener, stop: impl Future<Output = ()> + Send) {
        let begin = || {
            let wants = match self.0.settings.decide {
                Decide::Yes => Wants::ToDecide,
                Decide::No => Wants::ToMark,
            };
            let (reader, session) = (FrameReader::default(), Session::new(wants));
            Telling { reader, session, shared: self.0.clone(), client: None, mail: None }
        };
        super::serve(listener, "milter", begin, stop).await;
    }
}

impl Conversation for Telling {
    type Error = MilterError;

    fn feed(&mut self, octets: &[u8]) {
        self.reader.feed(octets);
    }

    async fn answer(&mut self) -> Result<Next, MilterError> {
        let Some(frame) = self.reader.next_frame()? else { return Ok(Next::More) };
        let mut out = Vec::new();
        let answer = match self.session.take(frame, &mut out)? {
            Event::Quit => return Ok(Next::Close),
            Event::Connected(client) => {
                (self.client, self.mail) = (client, None);
                Answer::Continue
            }
            Event::Mail(began) => {
                self.mail = self.shared.mail(began, self.client, self.session.may_leave_out());
                Answer::Continue
            }
            Event::Recipient { to, path } => self.recipient(to, path).await,
            Event::Field { name, value } => {
                self.mail.as_mut().into_iter().for_each(|mail| mail.note(&name, &value));
                Answer::Continue
            }
            Event::Body(octets) => {
                self.mail.as_mut().into_iter().for_each(|mail| mail.octets += octets as u64);
                Answer::Continue
            }
            Event::End { queue_id } => self.end(queue_id).await,
            Event::Aborted => {
                self.mail = None;
                Answer::Continue
            }
            Event::Nothing => Answer::Continue,
        };
        self.session.answer(&answer, &mut out);
        Ok(Next::Say(out))
    }
}

impl Telling {
    async fn recipient(&mut self, party: Party, path: Option<String>) -> Answer {
        let Some(mail) = self.mail.as_mut() else { return Answer::Accept };
        let decided = match party.address() {
            Some(recipient) if self.shared.settings.decide == Decide::Yes => {
                let (shared, recipient, mut about) = (self.shared.clone(), recipient.clone(), mail.about.clone());
                if path.is_none() || RECIPIENTS_KEPT_MAX <= mail.left_out.len() {
                    about.stopped = Reporting::Cannot;
                }
                let decide = move || (shared.recipient(&mut about, &recipient), about.begun);
                // Where it took too long, it may have counted.
                let (decided, begun) = self.shared.desk.within(decide).await.unwrap_or((Ok(Taken::Yes), true));
                mail.about.begun = begun;
                decided
            }
            _ => Ok(Taken::Yes),
        };
        match (decided, self.shared.settings.held) {
            (Err(no), _) => return refuse(no),
            (Ok(Taken::Held(why)), Held::Later) => return refuse(No::held(&why)),
            (Ok(Taken::Held(why)), Held::Hold) => mail.held = Some(why),
            (Ok(Taken::Reported(why)), _) => {
                let named = party.address().cloned().zip(path);
                mail.left_out.extend(named.map(|(address, path)| LeftOut { address, path, why }));
                return Answer::Continue;
            }
            (Ok(Taken::Yes), _) => {}
        }
        mail.about.count += 1;
        if let (Party::Is(address), true) = (party, mail.recipients.len() < RECIPIENTS_KEPT_MAX) {
            mail.recipients.push(Recipient { address, path });
        }
        Answer::Continue
    }

    async fn end(&mut self, queue_id: Option<String>) -> Answer {
        let Some(mail) = self.mail.take() else { return Answer::Continue };
        let shared = self.shared.clone();
        let may_mark = self.session.may_mark();
        // What was answered at RCPT is promised, whatever the time allows now.
        let (left_out, about, shown) = (mail.left_out.clone(), mail.about.clone(), mail.shown.clone());
        let decided = self.shared.desk.within(move || {
            let mail = shared.end(mail)?;
            let mut changes = Vec::new();
            if may_mark {
                changes.extend(shared.mark(&mail, queue_id.as_deref()).into_iter().flatten());
            }
            changes.extend(mail.held.map(|why| Change::Quarantine(format!("sm2tp: {why}"))));
            Ok((changes, mail.left_out, mail.about))
        });
        let (mut changes, left_out, about) = match decided.await {
            Some(Ok(ended)) => ended,
            Some(Err(no)) => return refuse(no),
            None => (Vec::new(), left_out, about),
        };
        if let (Some(reporter), false) = (&self.shared.settings.reporter, left_out.is_empty()) {
            changes.extend(left_out.iter().map(|left_out| Change::Leave(left_out.path.clone())));
            if let Err(no) = reporter.report(&about.account, about.sender.address(), left_out, &shown).await {
                return refuse(no);
            }
        }
        if about.count == 0 && !changes.is_empty() { Answer::Discard } else { Answer::Change(changes) }
    }
}

impl Mail {
    fn note(&mut self, name: &str, value: &str) {
        self.looks.note(name, value);
        self.shown.note(name, value);
        if name.eq_ignore_ascii_case(token::FIELD) {
            self.references = self.references.saturating_add(1).min(REFERENCES_MAX);
        }
        // Name, colon, space and line end are there, too.
        self.octets += (name.len() + value.len() + 4) as u64;
    }
}

impl Shared {
    fn mail(&self, began: Began, connected: Option<IpAddr>, may_leave_out: bool) -> Option<Mail> {
        let Began { sender, octets, login, client, port } = began;
        let client = client.or(connected);
        let account = self.desk.account(login.as_deref(), client, port.as_deref().unwrap_or(""))?;
        let stopped = match self.settings.reporter {
            Some(_) if may_leave_out => Reporting::Can,
            _ => Reporting::Cannot,
        };
        Some(Mail {
            about: About { account, sender, octets, client, begun: false, count: 0, stopped },
            recipients: Vec::new(),
            left_out: Vec::new(),
            held: None,
            looks: Looks::default(),
            shown: Shown::default(),
            references: 0,
            octets: 0,
        })
    }

    fn recipient(&self, about: &mut About, recipient: &Address) -> Result<Taken, No> {
        let mail_from = about.sender.address();
        if !about.begun {
            self.desk.begins(&about.account, mail_from, about.octets)?;
            about.begun = true;
        }
        let About { count: before, client, stopped, .. } = *about;
        let (heard, slow_lane) = (Heard::First, SlowLane::Missing);
        let named = Naming { mail_from, recipient, before, client, heard, slow_lane, stopped };
        self.desk.recipient(&about.account, &named)
    }

    /// The mail with the kind that its header tells; or it does not go at all.
    fn end(&self, mut mail: Mail) -> Result<Mail, No> {
        if self.settings.decide == Decide::No {
            return Ok(mail);
        }
        let About { account, sender, count, stopped, .. } = &mut mail.about;
        let told = account.kind;
        account.kind = stream::decided(told, &mail.looks, false);
        if account.kind.stream != told.stream && mail.recipients.len() == *count {
            let named = mail.recipients.iter().map(|recipient| &recipient.address);
            let reported = self.desk.decided_again(account, sender.address(), named, *stopped)?;
            // From the last one on, so that the places of those before it stay.
            for (at, why) in reported.into_iter().rev() {
                if let Some(path) = mail.recipients[at].path.take() {
                    let Recipient { address, .. } = mail.recipients.remove(at);
                    mail.left_out.push(LeftOut { address, path, why });
                    *count -= 1;
                }
            }
        }
        self.desk.ends(account, sender.address(), mail.octets)?;
        Ok(mail)
    }

    /// A return path and a field of this node. A mail server has one of each for all recipients, who could all report about
    /// each other: so they are for mail to one alone.
    fn mark(&self, mail: &Mail, queue_id: Option<&str>) -> Option<Vec<Change>> {
        let About { account, sender, count, .. } = &mail.about;
        let ([Recipient { address: recipient, .. }], 1) = (&mail.recipients[..], *count) else { return None };
        let house = &self.desk.house;
        let (back, mail_from) = (house.returns.as_ref()?, sender.address()?);
        if house.accounts.wishes(&account.org).return_path != ReturnPath::Node {
            return None;
        }
        let leaving = Leaving { account, mail_from, recipient, queue_id, path: ReturnPath::Node };
        let value = back.trace(&house.book, &leaving, now())?;
        let path = Address::parse(&format!("{value}@{}", back.domain)).ok()?;
        // From the last one on: removing one changes the numbers of those behind it.
        let removed = (1..=mail.references).rev().map(|index| Change::Remove { name: token::FIELD, index });
        Some(removed.chain([Change::Insert { name: token::FIELD, value }, Change::From(path)]).collect())
    }
}

fn refuse(No { code, enhanced, text }: No) -> Answer {
    Answer::Refuse { code, enhanced, text }
}

/// Of more recipients is counted how many there are: the kind of a mail that its header tells is then not asked about again.
const RECIPIENTS_KEPT_MAX: usize = 1000;
/// Fields of ours that a mail brings along: one from an earlier way through this node. More are somebody's game.
const REFERENCES_MAX: u32 = 16;
