//! Tokens that mail of another mail server leaves with. What each stands for is kept at once: nobody tells this node when
//! that mail is delivered, unless it follows the log; then the log finds the token again by the queue id.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sm2tp_proto::Address;
use sm2tp_proto::token::Token;
use sm2tp_rules::Stream;
use sm2tp_store::Book;
use sm2tp_store::accounts::{Account, ReturnPath};
use sm2tp_store::returns::Sent;
use tokio::sync::{Notify, watch};

use super::Back;

/// A mail on its way through another mail server, to one recipient.
pub(crate) struct Leaving<'a> {
    pub account: &'a Account,
    pub mail_from: &'a Address,
    pub recipient: &'a Address,
    pub queue_id: Option<&'a str>,
    pub path: ReturnPath,
}

/// What was said of a mail when it left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnderWay {
    pub token: String,
    recipient: Address,
    /// The sender's own return path, which the log may not show any more.
    pub mail_from: String,
}

/// What waits to be kept, and what is under way; clones share it.
#[derive(Clone, Default)]
pub(super) struct Traced(Arc<Inner>);

#[derive(Default)]
struct Inner {
    unkept: Mutex<Vec<(Token, Sent)>>,
    under_way: Mutex<Mails>,
    wake: Notify,
}

#[derive(Default)]
struct Mails {
    by_id: HashMap<Box<str>, UnderWay>,
    order: VecDeque<Box<str>>,
}

impl Back {
    /// A token for this mail. None where its reports are not for this node: passed on for a stranger, or so much waits to be
    /// kept that this would not be.
    pub(crate) fn trace(&self, book: &Book, leaving: &Leaving<'_>, now: u64) -> Option<String> {
        let Leaving { account, mail_from, recipient, queue_id, path } = *leaving;
        if account.kind.stream == Stream::Forwarded {
            return None;
        }
        let text = self.returns.token(now)?;
        let token = Token::unchecked(&text).ok()?;
        let tag = book.tag(recipient)?;
        let before = book.views.evidence(&tag.1).unwrap_or_default();
        let mail_from = mail_from.clear();
        let sent = Sent {
            org: account.org.to_string(),
            login: account.login.as_ref().map(ToString::to_string),
            stream: account.kind.stream,
            mail_from: Some(mail_from.clone()),
            recipient: tag,
            domain: recipient.domain().to_string(),
            provider: None,
            mail: 0,
            line: None,
            taken_at: if before.hard_at == 0 { before.delivered_at } else { 0 },
            delivery: None,
            path,
        };
        {
            let mut unkept = lock(&self.traced.0.unkept);
            if UNKEPT_MAX <= unkept.len() {
                return None;
            }
            unkept.push((token, sent));
        }
        self.traced.0.wake.notify_one();
        if let Some(queue_id) = queue_id {
            let mail = UnderWay { token: text.clone(), recipient: recipient.clone(), mail_from };
            lock(&self.traced.0.under_way).add(queue_id, mail);
        }
        Some(text)
    }

    /// The mail with this queue id, if it left with a token for this recipient.
    pub(crate) fn under_way(&self, queue_id: &str, recipient: &Address) -> Option<UnderWay> {
        let mails = lock(&self.traced.0.under_way);
        mails.by_id.get(queue_id).filter(|mail| mail.recipient.is_same(recipient)).cloned()
    }
}

/// Keeps what tokens stand for, until the node stops.
pub async fn keep(back: Back, mut stop: watch::Receiver<bool>) {
    let mut troubled = false;
    loop {
        let stopping = tokio::select! {
            () = back.traced.0.wake.notified() => false,
            () = crate::stopped(&mut stop) => true,
        };
        loop {
            let batch = lock(&back.traced.0.unkept).clone();
            if batch.is_empty() {
                break;
            }
            let count = batch.len();
            match back.returns.keep_ahead(batch).await {
                Ok(()) => {
                    lock(&back.traced.0.unkept).drain(..count);
                    troubled = false;
                }
                Err(error) => {
                    if !std::mem::replace(&mut troubled, true) {
                        tracing::warn!(%error, "what return tokens stand for could not be kept yet");
                    }
                    if stopping {
                        return;
                    }
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
        if stopping {
            return;
        }
    }
}

impl Mails {
    fn add(&mut self, queue_id: &str, mail: UnderWay) {
        if UNDER_WAY_MAX <= self.order.len()
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_id.remove(&oldest);
        }
        // A queue id that is used again is another mail.
        if self.by_id.insert(queue_id.into(), mail).is_none() {
            self.order.push_back(queue_id.into());
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Some seconds of a hard-pressed mail server, a few MB; beyond that, mail leaves without a token.
const UNKEPT_MAX: usize = 10_000;
/// Some 300 octets each. What is older is known by its token all the same, and a bounce of the mail server itself may then
/// count beside its line in the log.
const UNDER_WAY_MAX: usize = 100_000;
const AGAIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_mails_under_way_are_forgotten_first_and_an_id_used_again_is_another_mail() {
        let mail = |token: &str| UnderWay {
            token: token.into(),
            recipient: Address::parse("a@dest.test").unwrap(),
            mail_from: "b@own.test".into(),
        };
        let mut mails = Mails::default();
        for n in 0..=UNDER_WAY_MAX {
            mails.add(&n.to_string(), mail("old"));
        }
        assert_eq!((mails.by_id.len(), mails.order.len()), (UNDER_WAY_MAX, UNDER_WAY_MAX));
        assert!(!mails.by_id.contains_key("0"));
        mails.add("7", mail("new"));
        assert_eq!((mails.by_id["7"].token.as_str(), mails.order.len()), ("new", UNDER_WAY_MAX - 1));
    }
}
