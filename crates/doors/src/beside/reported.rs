//! Recipients that a mail server was told to leave out of a mail: their sender gets a report about each, as in SMTP where an
//! organisation wants that ("stopped" of `[suppression]`).

use bytes::Bytes;
use sm2tp_proto::smtp::{MailOptions, RcptOptions};
use sm2tp_proto::{Address, Enhanced};
use sm2tp_rules::suppress::Why;
use sm2tp_store::accounts::Account;
use sm2tp_store::spool::{Lane, NewMail, NewRecipient, Spool};

use super::desk::No;
use crate::now;
use crate::smtp::Onward;

/// Makes reports: hands the relay of this node mails whose recipients are all stopped.
#[derive(Clone)]
pub struct Reporter {
    pub spool: Spool,
    pub onward: Onward,
}

/// A recipient who was left out.
#[derive(Debug, Clone)]
pub(super) struct LeftOut {
    pub address: Address,
    /// As the mail server calls it.
    pub path: String,
    pub why: Why,
}

/// Fields by which a sender knows the mail again.
#[derive(Debug, Clone, Default)]
pub(super) struct Shown {
    header: String,
    message_id: Option<String>,
}

impl Shown {
    pub(super) fn note(&mut self, name: &str, value: &str) {
        let is_shown = SHOWN.iter().any(|shown| shown.eq_ignore_ascii_case(name));
        let fits = name.len() + value.len() <= FIELD_OCTETS_MAX && self.header.len() <= HEADER_OCTETS_MAX;
        if !is_shown || !fits {
            return;
        }
        if name.eq_ignore_ascii_case("Message-ID") && self.message_id.is_none() {
            self.message_id = Some(value.trim().trim_matches(['<', '>']).to_owned());
        }
        self.header.extend([name, ": ", value.trim_start(), "\r\n"]);
    }
}

impl Reporter {
    /// Keeps what is to be reported, so that it is on stable storage before the mail server hears that the mail is taken.
    pub(super) async fn report(
        &self,
        account: &Account,
        mail_from: Option<&Address>,
        left_out: Vec<LeftOut>,
        shown: &Shown,
    ) -> Result<(), No> {
        let recipient = |LeftOut { address, why, .. }: LeftOut| NewRecipient {
            address,
            lane: Lane::Held,
            note: Some(format!("{}: {why}", why.as_str())),
            stopped: true,
            canary: false,
            options: RcptOptions::default(),
        };
        let content: Bytes = format!("{}\r\n", shown.header).into_bytes().into();
        let utf8 = !content.is_ascii() || mail_from.iter().any(|from| from.needs_utf8());
        let mail = NewMail {
            org: account.org.clone(),
            login: account.login.clone(),
            stream: account.kind.stream,
            stream_by: Some(account.kind.by),
            mail_from: mail_from.cloned(),
            message_id: shown.message_id.clone(),
            received_at: now(),
            recipients: left_out.into_iter().map(recipient).collect(),
            // Stopped recipients wait for nobody.
            held_until: now(),
            content: content.clone(),
            is_report: false,
            options: MailOptions { utf8, ..MailOptions::default() },
        };
        match self.spool.accept(mail).await {
            Ok(queued) => {
                // The relay may have stopped: the mail is in the spool, and the next start finds it.
                let _ = self.onward.mails.send((queued, content)).await;
                Ok(())
            }
            Err(error) => {
                tracing::error!(%error, "a report could not be kept; the mail server was told to try again");
                let text = "the mail could not be stored, try again later".to_owned();
                Err(No { code: 451, enhanced: Enhanced(4, 3, 0), text })
            }
        }
    }
}

/// Nothing else of a mail is in a report but what it is about.
const SHOWN: &[&str] = &["From", "To", "Subject", "Date", "Message-ID"];
/// Lines of a report have 998 octets (RFC 5322 §2.1.1); longer fields are left out.
const FIELD_OCTETS_MAX: usize = 900;
const HEADER_OCTETS_MAX: usize = 8 * 1024;
