//! From an outcome in a log to what the ledger is told.

use sm2tp_proto::Address;
use sm2tp_proto::delivery::What as Spoken;
use sm2tp_proto::log::{Outcome, Reach, Status};
use sm2tp_rules::outcome::Fate;
use sm2tp_rules::{Classifier, Stream};
use sm2tp_store::accounts::{Account, Accounts};
use sm2tp_store::told::{Answer, Told, Verdict, What};

use crate::returns::{Back, UnderWay};

/// What is needed to understand an outcome.
pub(crate) struct Reading<'a> {
    /// As in [`super::Log`].
    pub smarthost: Option<&'a str>,
    pub accounts: &'a Accounts,
    pub rules: &'a Classifier,
    pub stream: Stream,
    /// Mail that left with a return token is known by its queue id.
    pub returns: Option<&'a Back>,
}

impl Reading<'_> {
    /// None for what says nothing about a recipient's server: local mailboxes, and older answers told again.
    pub(crate) fn told(&self, outcome: &Outcome<'_>) -> Option<Told> {
        let recipient = Address::parse(outcome.recipient).ok()?;
        if outcome.reach == Reach::Here {
            return None;
        }
        let meaning = match outcome.status {
            Status::Sent => None,
            // What the log says of the last try was told when it was made; now the mail is given up.
            Status::Deferred | Status::Bounced | Status::Expired => Some(self.rules.delivery(&outcome.delivery)?),
        };
        let mx = outcome.delivery.host.or(outcome.host);
        let answer = Answer {
            mx: mx.map(str::to_owned),
            code: outcome.code,
            enhanced: outcome.enhanced,
            text: match &outcome.delivery.what {
                Spoken::Reply { text, .. } => text.to_string(),
                _ => outcome.text.to_owned(),
            },
            relayed: mx.is_some() && mx == self.smarthost,
            provider: mx.and_then(|mx| self.rules.provider(mx)).map(|provider| provider.id.to_string()),
            verdict: meaning
                .as_ref()
                .map(|meaning| Verdict { rules: Some(self.rules.version().to_string()), ..Verdict::from(meaning) }),
            ..Answer::default()
        };
        let what = match (outcome.status, meaning) {
            (Status::Sent, _) => What::Delivered { answer },
            (Status::Deferred, _) => What::Deferred { answer },
            // A refusal that is for now only, and that the mail server does not repeat, says nothing of the address either.
            (Status::Bounced, Some(meaning)) => What::Bounced { answer, expired: meaning.fate != Fate::Final },
            (Status::Bounced | Status::Expired, _) => What::Bounced { answer, expired: true },
        };
        let account = self.account(outcome.login);
        let under_way = self.returns.and_then(|back| back.under_way(outcome.queue_id, &recipient));
        let is_report = outcome.sender.is_some_and(str::is_empty);
        Some(Told {
            v: Told::VERSION,
            at: outcome.at,
            org: account.org.to_string(),
            login: account.login.map(|login| login.to_string()),
            stream: account.kind.stream,
            // It has no number in the spool.
            mail: 0,
            message_id: outcome.message_id.map(str::to_owned),
            mail_from: self.sender(outcome.sender, under_way.as_ref()),
            recipient: Some(outcome.recipient.to_owned()),
            token: under_way.map(|mail| mail.token),
            report: is_report,
            what,
        })
    }

    /// Who wrote it, also where the mail server sends with a return path of this node.
    fn sender(&self, logged: Option<&str>, under_way: Option<&UnderWay>) -> Option<String> {
        if let Some(mail) = under_way {
            return Some(mail.mail_from.clone());
        }
        let logged = logged.filter(|sender| !sender.is_empty())?;
        let is_ours = |back: &Back| Address::parse(logged).is_ok_and(|address| back.is_ours(&address));
        (!self.returns.is_some_and(is_ours)).then(|| logged.to_owned())
    }

    fn account(&self, login: Option<&str>) -> Account {
        match login {
            Some(login) => self.accounts.let_in(login, self.stream),
            None => self.accounts.local(self.stream),
        }
    }
}
