//! Who writes to whom in the invented logs, and what becomes of it.

use sm2tp_proto::log::{Reach, Status};

use super::answers::{Answer, DOMAINS, FINAL, LATER, LOCALS, LOGINS, MXS, SENDERS, TAKEN};
use super::world::{Truth, World};

/// A mail before anybody wrote a line of it.
pub struct Letter {
    pub sender: String,
    pub login: Option<String>,
    pub message_id: String,
    pub recipients: Vec<Recipient>,
}

#[derive(Debug, Clone)]
pub struct Recipient {
    pub address: String,
    /// What it was before an alias.
    pub original: Option<String>,
    pub mx: (&'static str, &'static str),
    pub fate: Fate,
}

#[derive(Debug, Clone, Copy)]
pub enum Fate {
    Taken(&'static str),
    Refused(Answer),
    /// Later; and at the next try it is taken.
    Late(Answer),
    /// Later, until the mail is too old.
    Never(Answer),
    /// A mailbox of the machine itself.
    Here,
}

impl Letter {
    pub fn new(world: &mut World) -> Self {
        let number = world.number();
        let login = world.dice.happens(0.8).then(|| world.one(LOGINS).to_owned());
        let many = match world.dice.within(0, 100) {
            0..=84 => 1,
            85..=97 => world.dice.within(2, 6),
            _ => world.dice.within(6, 41),
        };
        let mut recipients: Vec<Recipient> = Vec::new();
        for _ in 0..many {
            let recipient = Recipient::new(world);
            // A mail server writes each recipient of a mail once.
            if recipients.iter().all(|other| other.address != recipient.address) {
                recipients.push(recipient);
            }
        }
        Self { sender: world.one(SENDERS).to_owned(), login, message_id: format!("{number}.x@org.test"), recipients }
    }

    /// What the log tells of a recipient who has to wait.
    pub fn truth(&self, queue_id: &str, recipient: &Recipient, at: u64, text: &str) -> Truth {
        Truth {
            at,
            queue_id: queue_id.to_owned(),
            sender: Some(self.sender.clone()),
            recipient: recipient.address.clone(),
            original: recipient.original.clone(),
            login: self.login.clone(),
            message_id: Some(self.message_id.clone()).filter(|id| !id.is_empty()),
            host: Some(recipient.mx.0.to_owned()),
            reach: Reach::Server,
            status: Status::Deferred,
            code: None,
            enhanced: None,
            text: text.to_owned(),
            again: false,
        }
    }
}

impl Recipient {
    fn new(world: &mut World) -> Self {
        let (local, domain) = (world.one(LOCALS), world.one(DOMAINS));
        // Quoted local parts stay as they are.
        let number = world.dice.within(0, 9_999);
        let address = match local.ends_with('"') {
            true => format!("{local}@{domain}"),
            false => format!("{local}{number}@{domain}"),
        };
        let original = world.dice.happens(0.05).then(|| "team@org.test".to_owned());
        let fate = match world.dice.within(0, 1000) {
            0..=859 => Fate::Taken(world.one(TAKEN)),
            860..=879 => Fate::Here,
            880..=919 => Fate::Refused(world.one(FINAL)),
            920..=984 => Fate::Late(world.one(LATER)),
            _ => Fate::Never(world.one(LATER)),
        };
        Self { address, original, mx: world.one(MXS), fate }
    }
}

impl Answer {
    /// Its words to this recipient.
    pub fn said_to(&self, recipient: &str) -> String {
        let domain = recipient.rsplit('@').next().unwrap_or_default();
        self.words.replace("{R}", recipient).replace("{D}", domain)
    }
}
