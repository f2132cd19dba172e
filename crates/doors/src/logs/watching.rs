//! What the sender watch learns from a log: that this node's people wrote to somebody, and what became of it.

use std::net::IpAddr;

use sm2tp_proto::Address;
use sm2tp_proto::log::{Origin, Outcome};
use sm2tp_rules::Stream;
use sm2tp_store::senders::{self, Heard, Named, SenderId, Senders};
use sm2tp_store::told::Told;

use crate::smtp::Networks;

/// Whose mail of a log is counted with its sender.
#[derive(Clone)]
pub struct Members {
    /// Clients of the mail server that send without a login and are of this node's people all the same.
    pub trusted: Networks,
    pub asked: Asked,
}

/// Whether the mail server asks this node about a recipient before it takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    Never,
    /// What came in by SMTP was counted when it asked.
    AtSmtp,
}

/// What one outcome says of its sender.
pub(super) struct Noted {
    named: Option<Naming>,
    heard: Option<Heard>,
}

struct Naming {
    id: SenderId,
    recipient: Address,
    before: usize,
    client: Option<IpAddr>,
    stream: Stream,
    at: u64,
}

impl Members {
    /// None for mail that strangers brought, and for reports.
    pub(super) fn noted(&self, outcome: &Outcome<'_>, told: &Told) -> Option<Noted> {
        let client = match outcome.origin {
            Origin::Client(client) => Some(client),
            Origin::Here | Origin::Unknown => None,
        };
        let is_ours = outcome.login.is_some()
            || outcome.origin == Origin::Here
            || client.is_some_and(|client| (self.trusted)(client));
        if !is_ours || told.report {
            return None;
        }
        let counts = self.asked == Asked::Never || outcome.origin == Origin::Here;
        let first = outcome.first.filter(|_| counts);
        let named = first.and_then(|before| naming(outcome, told, before, client));
        Some(Noted { named, heard: senders::hear(told) })
    }
}

impl Noted {
    pub(super) fn count(self, senders: &Senders, now: u64) {
        if let Some(Naming { id, recipient, before, client, stream, at }) = self.named {
            let named = Named { recipient: &recipient, before, client, stream, suppressed: false };
            senders.logged(&id, &named, at, now);
        }
        if let Some(heard) = self.heard {
            senders.learn_logged(&heard, now);
        }
    }
}

fn naming(outcome: &Outcome<'_>, told: &Told, before: u32, client: Option<IpAddr>) -> Option<Naming> {
    let mail_from = told.mail_from.as_deref().and_then(|from| Address::parse(from).ok());
    Some(Naming {
        id: SenderId::new(&told.org, told.login.as_deref(), mail_from.as_ref())?,
        recipient: Address::parse(outcome.recipient).ok()?,
        before: usize::try_from(before).unwrap_or(usize::MAX),
        client,
        stream: told.stream,
        at: outcome.at,
    })
}
