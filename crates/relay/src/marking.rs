//! What goes out with mail whose reports come back to this node: for each recipient a return path of its own, a field of
//! its own, and for bulk mail a link that ends it with one click (RFC 8058). So each recipient gets the mail in a
//! transaction of its own.

use std::sync::Arc;

use sm2tp_proto::header::{self, Field};
use sm2tp_proto::smtp::Ret;
use sm2tp_proto::token::FIELD;
use sm2tp_proto::{Address, Domain};
use sm2tp_rules::Stream;
use sm2tp_store::accounts::{Accounts, ReturnPath, Unsubscribe, Wishes};
use sm2tp_store::returns::{Link, Returns};
use sm2tp_store::spool::{Change, Mail, Recipient};
use sm2tp_store::told::What;
use sm2tp_store::{Book, Told};

use crate::queue::Job;

/// What the relay is told about mail that comes back.
#[derive(Clone)]
pub struct Returning {
    /// Of the return paths.
    pub domain: Domain,
    pub returns: Returns,
    /// Knows the tags of addresses, for links.
    pub book: Book,
    /// Where links lead, without a slash at the end; none: no mail gets one.
    pub unsubscribe_url: Option<String>,
}

/// Marks mail; one for the whole relay.
pub(crate) struct Marking {
    returning: Option<Returning>,
    accounts: Accounts,
}

/// A mail as it goes to one recipient.
pub(crate) struct Marked {
    /// As it is spoken on the wire.
    pub job: Job,
    /// Whole fields to go before the content, each with its line end.
    pub fields: String,
    token: String,
}

/// What is the same for all recipients of a mail.
pub(crate) struct Marks<'a> {
    returning: &'a Returning,
    wishes: Wishes,
    /// Where a link leads, if this mail gets one.
    link_url: Option<&'a str>,
}

impl Marking {
    pub(crate) fn new(returning: Option<Returning>, accounts: Accounts) -> Self {
        Self { returning, accounts }
    }

    /// What this mail is marked with; none where it leaves as it is.
    ///
    /// Reports have the null return path, and it stays: nobody reports about a report. Forwarded mail has the return path
    /// of a stranger, who waits for its reports.
    pub(crate) fn marks(&self, mail: &Mail, content: &[u8]) -> Option<Marks<'_>> {
        let returning = self.returning.as_ref()?;
        if mail.mail_from.is_none() || mail.is_report || mail.stream == Stream::Forwarded {
            return None;
        }
        let wishes = self.accounts.wishes(&mail.org);
        let wants_link = wishes.unsubscribe == Unsubscribe::On && mail.stream == Stream::Bulk;
        let link_url = returning.unsubscribe_url.as_deref().filter(|_| wants_link && has_room_for_a_link(content));
        (wishes.return_path == ReturnPath::Node || link_url.is_some()).then_some(Marks { returning, wishes, link_url })
    }
}

impl Marks<'_> {
    /// The mail of a job as it goes to `recipient`, with a fresh token; none where the machine has no random bytes.
    pub(crate) fn mark(&self, job: &Job, recipient: &Recipient, now: u64) -> Option<Marked> {
        let token = self.returning.returns.token(now)?;
        let mut mail = Mail::clone(&job.mail);
        if self.wishes.return_path == ReturnPath::Node {
            let domain = &self.returning.domain;
            mail.mail_from = Some(Address::parse(&format!("{token}@{domain}")).ok()?);
            // RFC 3461 §4.4: what the sender calls this mail is the sender's; where it has no name, the token is one.
            mail.options.envid.get_or_insert_with(|| token.as_str().into());
            // The report is for a program: a token is all that it wants back.
            mail.options.ret.get_or_insert(Ret::Headers);
        }
        let mut fields = format!("{FIELD}: {token}\r\n");
        if let Some(link) = self.link(&mail.org, &recipient.address) {
            fields.push_str(&format!(
                "List-Unsubscribe: <{link}>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
            ));
        }
        let job = Job { mail: Arc::new(mail), recipients: vec![recipient.clone()], ..job.clone() };
        Some(Marked { job, fields, token })
    }

    fn link(&self, org: &str, address: &Address) -> Option<String> {
        let url = self.link_url?;
        let recipient = self.returning.book.tag(address)?;
        let link = Link { org: org.to_owned(), recipient, domain: address.domain().to_string() };
        Some(format!("{url}/{}", self.returning.returns.link(&link)?))
    }
}

impl Marked {
    /// Notes the token with what became of the attempt, where the server has the mail or may have it: it may report.
    pub(crate) fn remember(&self, changes: &mut [Change]) {
        let told = |told: &mut Told| {
            let may_report = match &told.what {
                What::Delivered { .. } => true,
                // No answer came: the connection broke, perhaps after the final dot.
                What::Deferred { answer } | What::Bounced { answer, .. } => answer.code.is_none(),
                _ => false,
            };
            told.token = may_report.then(|| self.token.clone());
        };
        for change in changes {
            match change {
                Change::Done { told: done, .. } => told(done),
                Change::Deferred { told: Some(deferred), .. } => told(deferred),
                Change::Deferred { told: None, .. } | Change::Move { .. } => {}
            }
        }
    }
}

/// Not where the sender has a way out of its own, or has signed that there is none: a field more would make that signature
/// worthless.
fn has_room_for_a_link(content: &[u8]) -> bool {
    let Some(fields) = header::fields(content) else { return false };
    let is = |field: &Field<'_>, name: &str| field.name.eq_ignore_ascii_case(name);
    !fields.iter().any(|field| {
        let signed = is(field, "DKIM-Signature") && {
            let value = String::from_utf8_lossy(field.value).to_ascii_lowercase();
            value.contains("list-unsubscribe")
        };
        signed || is(field, "List-Unsubscribe") || is(field, "List-Unsubscribe-Post")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_added_where_there_is_none_and_none_was_signed_away() {
        #[track_caller]
        fn check(header: &str, want: bool) {
            assert_eq!(has_room_for_a_link(format!("{header}\r\nbody\r\n").as_bytes()), want, "{header}");
        }
        check("Subject: news\r\n", true);
        check("Subject: news\r\nlist-unsubscribe: <mailto:off@asso.example>\r\n", false);
        check("DKIM-Signature: v=1; h=From:Subject;\r\n b=x\r\nSubject: news\r\n", true);
        check("DKIM-Signature: v=1; h=From:\r\n\tList-Unsubscribe; b=x\r\nSubject: news\r\n", false);
        check("no header at all", false);
    }
}
