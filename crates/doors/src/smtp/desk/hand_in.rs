//! Mail that comes in over HTTP: the same desk, asked the same questions, without a conversation.

use std::net::IpAddr;

use sm2tp_proto::smtp::bdat::whole;
use sm2tp_proto::smtp::server::{Answer, Envelope};
use sm2tp_proto::smtp::{MailOptions, MailParams, RcptOptions, Refusal};
use sm2tp_proto::{Address, Enhanced};
use sm2tp_rules::Stream;
use sm2tp_store::accounts::Account;

use super::{Desk, Spoken, no};
use crate::smtp::client::Client;
use crate::smtp::deadline::Standing;
use crate::smtp::reading::Share;
use crate::smtp::{Door, Port};

/// A message with its envelope, from somebody who is known.
pub(crate) struct HandedIn {
    pub account: Account,
    pub client: IpAddr,
    pub sender: Option<Address>,
    /// Each once.
    pub recipients: Vec<Address>,
    pub content: Vec<u8>,
    /// What kind of mail it is said to be.
    pub stream: Option<Stream>,
}

/// What became of it: the number in the queue, and the answer to each recipient in their order.
pub(crate) struct TakenIn {
    pub mail: u64,
    pub recipients: Vec<Result<(), Refusal>>,
}

/// Why nothing was taken.
pub(crate) enum NotTaken {
    /// The mail, whoever it is for.
    Mail(Refusal),
    /// Every recipient for itself.
    Recipients(Vec<Refusal>),
}

impl Door {
    /// The size of the largest message that is taken.
    pub(crate) fn octets_max(&self) -> u64 {
        self.0.settings.octets_max
    }

    /// Takes a mail as if it had come in by SMTP: yes is said when it is on stable storage.
    ///
    /// # Errors
    /// [`NotTaken`] in the words of SMTP.
    pub(crate) async fn hand_in(&self, mail: HandedIn) -> Result<TakenIn, NotTaken> {
        let HandedIn { account, client, sender, recipients, content, stream } = mail;
        let whole_mail = |answer: Answer| NotTaken::Mail(refusal(answer));
        let settings = &self.0.settings;
        if settings.recipients_max < recipients.len() {
            return Err(whole_mail(no(452, Enhanced(4, 5, 3), "Too many recipients, send the rest separately")));
        }
        let octets = content.len() as u64;
        let content = whole(&content, settings.octets_max).map_err(|error| NotTaken::Mail(error.refusal()))?;
        let mut share = Share::default();
        if !share.grow(content.len(), Standing::Member, &self.0.memory) {
            return Err(whole_mail(no(452, Enhanced(4, 3, 1), "Too many messages at once, try again later")));
        }
        // Whatever stands before this door, it is not known where the program is.
        let client = Client::itself(client).speaking_for(None);
        let mut desk = Desk { account: Some(account), ..Desk::new(self.0.clone(), client) };
        desk = desk.at_port(Port { stream, ..Port::default() });
        let utf8 = sender.iter().chain(&recipients).any(Address::needs_utf8) || header_is_utf8(&content);
        if let answer @ Answer::No(_) = desk.sender(sender.clone(), Some(octets)) {
            return Err(whole_mail(answer));
        }
        let mut answers = Vec::with_capacity(recipients.len());
        for recipient in &recipients {
            answers.push(desk.named(recipient));
        }
        if answers.iter().all(Result::is_err) {
            return Err(NotTaken::Recipients(answers.into_iter().filter_map(Result::err).collect()));
        }
        let options = MailOptions { utf8, ..MailOptions::default() };
        let params = MailParams { options, ..MailParams::default() };
        let envelope = Envelope { sender, recipients: taken(recipients, &answers), params };
        let mail = desk.accept(envelope, content, &Spoken::over_http()).await.map_err(whole_mail)?;
        Ok(TakenIn { mail, recipients: answers })
    }
}

impl Desk {
    /// As RCPT, but for reports: those come from mail servers.
    fn named(&mut self, recipient: &Address) -> Result<(), Refusal> {
        if self.shared.house.returns.as_ref().is_some_and(|back| back.is_ours(recipient)) {
            return Err(Refusal::new(550, Enhanced(5, 7, 1), "Reports come by mail, from mail servers"));
        }
        match self.recipient(recipient, RcptOptions::default()) {
            answer @ Answer::No(_) => Err(refusal(answer)),
            _ => Ok(()),
        }
    }
}

fn taken(recipients: Vec<Address>, answers: &[Result<(), Refusal>]) -> Vec<Address> {
    let both = recipients.into_iter().zip(answers);
    both.filter(|(_, answer)| answer.is_ok()).map(|(recipient, _)| recipient).collect()
}

/// Whatever is not a no here is a fault of ours, and no yes (I4).
fn refusal(answer: Answer) -> Refusal {
    match answer {
        Answer::No(refusal) => refusal,
        _ => Refusal::new(451, Enhanced(4, 3, 0), "The mail could not be taken, try again later"),
    }
}

/// RFC 6532: the header itself may hold more than ASCII.
fn header_is_utf8(content: &[u8]) -> bool {
    let end = content.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(content.len());
    !content[..end].is_ascii()
}
