//! "Is this address yours, and is mail wanted?": one mail to the address alone, which a person can answer with a button.
//!
//! It goes out only where something stops mail to the address that the person can lift, once a week at most, and whoever
//! asks on the public page hears the same whether it did: the page tells nobody what is known about an address.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use mail_builder::MessageBuilder;
use mail_builder::headers::date::Date;
use mail_builder::headers::raw::Raw;
use sm2tp_proto::Address;
use sm2tp_proto::smtp::MailOptions;
use sm2tp_rules::Stream;
use sm2tp_rules::rate::{Gcra, Per, Rate};
use sm2tp_rules::suppress::{self, Decision, Why};
use sm2tp_store::accounts::LOCAL;
use sm2tp_store::confirm::{Confirmations, TooOften};
use sm2tp_store::returns::Confirmation;
use sm2tp_store::spool::{NewMail, NewRecipient};
use sm2tp_store::{Bounce, LedgerError, SpoolError};
use thiserror::Error;

use crate::House;
use crate::returns::Language;
use crate::smtp::Onward;

/// What a node has of confirmations; clones share it.
#[derive(Clone)]
pub struct Confirm {
    /// Where the page is, without a slash at its end.
    pub url: Arc<str>,
    pub confirmations: Confirmations,
    /// Of the mail's subject, and of what comes first in it.
    language: Language,
    /// Mails for strangers who asked on the page.
    strangers: Arc<Mutex<Gcra>>,
}

/// Why no mail went out.
#[derive(Debug, Error)]
pub enum NotAsked {
    #[error("nothing that the recipient could lift stops mail to this address: see sm2tp explain")]
    NothingToLift,
    #[error("this address has no normal form, so nothing is kept about it")]
    NoTag,
    #[error(transparent)]
    TooOften(#[from] TooOften),
    #[error("strangers have asked too much lately, the next one may in {0} s")]
    Strangers(u64),
    #[error("no link can be made: the machine has no random bytes")]
    NoLink,
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

/// Who wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker {
    /// The organisation, or the administrator for it.
    Member,
    /// Somebody on the public page.
    Stranger,
}

impl Confirm {
    #[must_use]
    pub fn new(url: &str, confirmations: Confirmations, language: Language) -> Self {
        Self { url: url.into(), confirmations, language, strangers: Arc::default() }
    }

    /// Sends the mail, if it may be. `org` is none where nobody is named: then a complaint about one stays.
    ///
    /// # Errors
    /// [`NotAsked`]
    pub async fn ask(
        &self,
        house: &House,
        onward: &Onward,
        address: &Address,
        (org, asker): (Option<&str>, Asker),
        now: u64,
    ) -> Result<(), NotAsked> {
        let (key_id, tag) = house.book.tag(address).ok_or(NotAsked::NoTag)?;
        if !can_be_lifted(house, address, org, now) {
            return Err(NotAsked::NothingToLift);
        }
        if asker == Asker::Stranger {
            self.take()?;
        }
        self.confirmations.may_ask(tag, org.unwrap_or(""), now).await??;
        let mut tags = house.book.all_tags(address);
        // The one of today first; the others are those of older keys.
        tags.sort_by_key(|known| *known != (key_id, tag));
        let confirmation = Confirmation {
            org: org.map(str::to_owned),
            tags,
            domain_tags: house.book.all_domain_tags(address.domain()),
            domain: address.domain().to_string(),
            until: now.saturating_add(LINK_S),
        };
        let link = self.confirmations.link(&confirmation).ok_or(NotAsked::NoLink)?;
        let url = format!("{}/{link}", self.url);
        let content: Bytes = self.mail(&house.hostname, address, org, &url, now).into();
        let mail = NewMail {
            org: org.unwrap_or(LOCAL).into(),
            login: None,
            stream: Stream::Transactional,
            // Nobody waits for a report: what comes of it is seen in `sm2tp explain`.
            mail_from: None,
            message_id: None,
            received_at: now,
            recipients: vec![NewRecipient::of_report(address.clone())],
            held_until: 0,
            content: content.clone(),
            is_report: true,
            stream_by: None,
            options: MailOptions { utf8: address.needs_utf8(), ..MailOptions::default() },
        };
        let queued = house.spool.accept(mail).await?;
        // The relay may have stopped: the mail is in the spool, and the next start finds it.
        let _ = onward.mails.send((queued, content)).await;
        Ok(())
    }

    fn take(&self) -> Result<(), NotAsked> {
        let mut state = self.strangers.lock().unwrap_or_else(PoisonError::into_inner);
        *state = STRANGERS_MAX.take(*state, crate::now_us()).map_err(NotAsked::Strangers)?;
        Ok(())
    }

    fn mail(&self, hostname: &str, to: &Address, org: Option<&str>, url: &str, now: u64) -> Vec<u8> {
        let who = org.filter(|org| *org != LOCAL).unwrap_or(hostname);
        let (english, french) = (english(hostname, who, url), french(hostname, who, url));
        let ((subject, first), (_, second)) = match self.language {
            Language::English => (english, french),
            Language::French => (french, english),
        };
        let from = format!("postmaster@{hostname}");
        MessageBuilder::new()
            .date(Date::new(i64::try_from(now).unwrap_or(i64::MAX)))
            .from((who, from.as_str()))
            .to(to.clear())
            .subject(subject)
            // RFC 3834 §5: no robot answers to a robot.
            .header("Auto-Submitted", Raw::new("auto-generated"))
            .text_body(format!("{first}\n--\n\n{second}"))
            .write_to_vec()
            .unwrap_or_default()
    }
}

/// Whether the strictest mail is stopped by something that its recipient has a say in.
fn can_be_lifted(house: &House, address: &Address, org: Option<&str>, now: u64) -> bool {
    let org = org.unwrap_or(LOCAL);
    let (facts, limits) = (house.book.recipient(address, org, now), house.book.limits(org));
    let lifts = |stream: &Stream| {
        let decision = suppress::decide(&facts, *stream, &limits, now, 1.0);
        let (Decision::Hold(why) | Decision::Refuse(why, _) | Decision::Canary(why)) = decision else { return false };
        !matches!(why, Why::Listed(_))
    };
    Stream::ALL.iter().any(lifts)
}

fn english(hostname: &str, who: &str, url: &str) -> (String, String) {
    let subject = format!("{who}: do you want our mail again?");
    let text = format!(
        "Mail of {who} to this address is stopped, because earlier mail came back, or because\n\
         somebody asked for it. If this is your address and you want that mail again, open this page\n\
         and press the button:\n\n\
         {url}\n\n\
         The page is there for seven days. If you do not want it, do nothing: then nothing changes,\n\
         and nobody is told. {hostname} sends you such a question once a week at most.\n"
    );
    (subject, text)
}

fn french(hostname: &str, who: &str, url: &str) -> (String, String) {
    let subject = format!("{who}\u{a0}: voulez-vous de nouveau recevoir nos messages\u{a0}?");
    let text = format!(
        "Les messages de {who} à cette adresse sont bloqués, parce que des messages précédents sont\n\
         revenus ou parce que quelqu’un l’a demandé. Si cette adresse est la vôtre et que vous voulez\n\
         de nouveau les recevoir, ouvrez cette page et appuyez sur le bouton\u{a0}:\n\n\
         {url}\n\n\
         La page reste disponible sept jours. Si vous n’en voulez pas, ne faites rien\u{a0}: rien ne change\n\
         et personne n’en est averti. {hostname} vous pose cette question une fois par semaine au plus.\n"
    );
    (subject, text)
}

/// How long a link works, in seconds: people who are away for a few days find it still.
const LINK_S: u64 = 7 * 86_400;
/// For all strangers together: behind a proxy they look like one.
const STRANGERS_MAX: Rate = Rate::new(60, Per::Hour);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_names_who_asks_in_both_languages_and_the_link_stands_whole() {
        let url = format!("https://relay.example.org/confirm/{}", "A".repeat(400));
        for (subject, text) in [english("relay.example.org", "asso", &url), french("relay.example.org", "asso", &url)] {
            assert!(subject.contains("asso") && text.contains("asso") && text.contains("relay.example.org"));
            assert!(text.lines().any(|line| line == url), "{text}");
        }
    }
}
