//! What the queue keeps of a mail: little, so that a million wait in memory; and what a worker gets in its turn.

use std::sync::Arc;

use sm2tp_proto::Domain;
use sm2tp_store::spool::{Mail, Queued, Recipient};

use super::scheduled::{QueueId, QueueKey};
use crate::body::Body;

/// Recipients of one mail at one domain that are served together.
#[derive(Debug, Clone)]
pub struct Job {
    pub mail: Arc<Mail>,
    pub domain: Domain,
    pub recipients: Vec<Recipient>,
    /// The content, until the first attempt; later attempts read it from the spool.
    pub content: Option<Arc<Body>>,
}

/// The right to serve some recipients of a mail. What is not in memory any more is read from the spool.
#[derive(Debug)]
pub struct Ticket {
    pub mail: u64,
    entry: Entry,
    key: QueueKey,
}

/// Positions in the envelope; one in most cases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Indexes {
    One(u32),
    Many(Box<[u32]>),
}

/// A mail that came in a moment ago, whole.
#[derive(Debug)]
pub(super) struct Fresh {
    pub mail: Arc<Mail>,
    pub recipients: Vec<Recipient>,
    pub content: Option<Arc<Body>>,
}

/// One line of a scheduled queue.
#[derive(Debug)]
pub(super) struct Entry {
    pub mail: u64,
    /// Of all entries; one that is older than a change of its mail is void.
    pub serial: u64,
    pub queue: QueueId,
    pub octets: u32,
    pub who: Indexes,
    pub fresh: Option<Box<Fresh>>,
}

impl Indexes {
    pub(super) fn new(indexes: Vec<u32>) -> Self {
        match indexes[..] {
            [one] => Self::One(one),
            _ => Self::Many(indexes.into()),
        }
    }

    fn as_slice(&self) -> &[u32] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

impl Ticket {
    pub(super) fn new(entry: Entry, key: QueueKey) -> Self {
        Self { mail: entry.mail, entry, key }
    }

    pub(super) fn into_parts(self) -> (Entry, QueueKey) {
        (self.entry, self.key)
    }

    /// The job, if all of it is still in memory.
    ///
    /// # Errors
    /// The ticket itself: ask the spool, then [`Ticket::with`].
    pub fn job(mut self) -> Result<Job, Self> {
        match self.entry.fresh.take() {
            Some(fresh) => {
                let Fresh { mail, recipients, content } = *fresh;
                Ok(Job { mail, domain: self.key.domain, recipients, content })
            }
            None => Err(self),
        }
    }

    /// The job, with what the spool has of the mail. Recipients that are done meanwhile are not in it.
    #[must_use]
    pub fn with(self, queued: Queued) -> Job {
        let wanted = self.entry.who.as_slice();
        let recipients = queued.recipients.into_iter().filter(|recipient| wanted.contains(&recipient.index)).collect();
        Job { mail: queued.mail, domain: self.key.domain, recipients, content: None }
    }
}

impl Entry {
    /// Splits recipients beyond `recipients_max` off; they stay in the queue.
    pub(super) fn split(&mut self, recipients_max: usize) -> Option<Self> {
        let recipients_max = recipients_max.max(1);
        let Indexes::Many(many) = &self.who else { return None };
        if many.len() <= recipients_max {
            return None;
        }
        let (now, later) = many.split_at(recipients_max);
        let (now, later) = (Indexes::new(now.to_vec()), Indexes::new(later.to_vec()));
        let fresh = self.fresh.as_mut().map(|fresh| {
            let recipients = fresh.recipients.split_off(recipients_max.min(fresh.recipients.len()));
            Box::new(Fresh { mail: fresh.mail.clone(), recipients, content: fresh.content.clone() })
        });
        self.who = now;
        Some(Self { who: later, fresh, ..*self })
    }
}
