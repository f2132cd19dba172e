//! What a simulated spool has promised, as a plain value that follows each answer; and the questions it is asked.

use std::collections::BTreeMap;

use bytes::Bytes;
use tokio::sync::oneshot::{self, Receiver};

use crate::spool::SpoolError;
use crate::spool::bodies::BodyAt;
use crate::spool::mail::{Change, Lane, NewMail, Notice, Queued, Recipient};
use crate::spool::writer::{Job, Promise};

/// What the spool has promised: all that must be there, and nothing else may.
#[derive(Debug, Clone, Default)]
pub(super) struct Model {
    pub(super) mails: BTreeMap<u64, Kept>,
    /// Entries of the outbox that were not taken, oldest first.
    pub(super) told: Vec<String>,
}

#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) content: Bytes,
    pub(super) recipients: BTreeMap<u32, Waiting>,
    pub(super) is_report: bool,
    pub(super) hurt: Option<Hurt>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hurt {
    Body,
    Row,
    /// The row cannot be read, nor where its body lay.
    Place(BodyAt),
    /// The row can be read, but not where its body lay.
    Offset(BodyAt),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) lane: Lane,
    pub(super) attempts: u32,
    pub(super) next_at: u64,
    pub(super) delay_told: bool,
    pub(super) is_readable: bool,
}

/// A question to the writer, kept so that the model can follow it.
#[derive(Clone)]
pub(super) enum Ask {
    Accept(NewMail),
    Record(Vec<Change>),
    Taken(u64),
}

pub(super) enum Reply {
    Mail(Receiver<Result<Queued, SpoolError>>),
    Reports(Receiver<Result<Vec<Queued>, SpoolError>>),
    Taken(Receiver<Result<(), SpoolError>>),
}

impl Model {
    /// Follows a question that was answered with a yes; `made`: the mails that the answer names.
    pub(super) fn follow(&mut self, ask: &Ask, made: &[Queued], outbox: &[u64]) {
        match ask {
            Ask::Accept(mail) => self.keep(mail, &made[0]),
            Ask::Record(changes) => {
                let mut made = made.iter();
                changes.iter().for_each(|change| self.change(change, &mut made));
                assert!(made.next().is_none(), "a report that nobody asked for");
            }
            Ask::Taken(up_to) => drop(self.told.drain(..outbox.iter().filter(|id| *id <= up_to).count())),
        }
    }

    fn keep(&mut self, mail: &NewMail, queued: &Queued) {
        let recipients = (0..).zip(&mail.recipients).map(|(index, recipient)| {
            let waits = recipient.lane == Lane::Held && !recipient.stopped;
            let next_at = if waits { mail.held_until } else { mail.received_at };
            (index, Waiting { lane: recipient.lane, attempts: 0, next_at, delay_told: false, is_readable: true })
        });
        let (content, is_report) = (mail.content.clone(), mail.is_report);
        let kept = Kept { content, recipients: recipients.collect(), is_report, hurt: None };
        let id = queued.mail.id;
        assert!(self.mails.insert(id, kept).is_none(), "number {id} was given twice");
        self.told.push(format!("{id} {}", if mail.is_report { "report" } else { "accepted" }));
        self.told.extend(mail.recipients.iter().filter(|recipient| recipient.canary).map(|_| format!("{id} canary")));
    }

    fn change<'a>(&mut self, change: &Change, made: &mut impl Iterator<Item = &'a Queued>) {
        match change {
            Change::Done { mail, index, report, .. } => {
                let Some(kept) = self.mails.get_mut(mail) else { return };
                if kept.recipients.remove(index).is_none() {
                    return;
                }
                if kept.recipients.is_empty() {
                    self.mails.remove(mail);
                }
                self.told.push(format!("{mail} delivered"));
                if let Some(report) = report {
                    self.keep(report, made.next().expect("the report is queued with its bounce"));
                }
            }
            Change::Deferred { mail, index, attempts, next_at, told, notice, .. } => {
                self.told.extend(told.as_ref().map(|_| format!("{mail} deferred")));
                let Some(waiting) = self.mails.get_mut(mail).and_then(|kept| kept.recipients.get_mut(index)) else {
                    return;
                };
                (waiting.attempts, waiting.next_at) = (*attempts, *next_at);
                waiting.delay_told |= !matches!(notice, Notice::None);
                if let Notice::Carried(notice) = notice {
                    self.keep(notice, made.next().expect("the notice is queued with its deferral"));
                }
            }
            Change::Move { mail, index, lane, next_at, .. } => {
                if let Some(waiting) = self.mails.get_mut(mail).and_then(|kept| kept.recipients.get_mut(index)) {
                    (waiting.lane, waiting.next_at) = (*lane, *next_at);
                }
            }
        }
    }
}

impl Ask {
    /// The mails that it changes.
    pub(super) fn about(&self) -> Vec<u64> {
        match self {
            Self::Record(changes) => changes.iter().map(|change| change.about().0).collect(),
            Self::Accept(_) | Self::Taken(_) => Vec::new(),
        }
    }

    /// The contents of the mails that it puts into the queue.
    pub(super) fn contents(&self) -> Vec<Bytes> {
        match self {
            Self::Accept(mail) => vec![mail.content.clone()],
            Self::Record(changes) => {
                changes.iter().filter_map(Change::carried).map(|mail| mail.content.clone()).collect()
            }
            Self::Taken(_) => Vec::new(),
        }
    }

    pub(super) fn job(self) -> (Job, Reply) {
        match self {
            Self::Accept(mail) => {
                let (to, answer) = oneshot::channel();
                (Promise::Accept(Box::new(mail), to).into(), Reply::Mail(answer))
            }
            Self::Record(changes) => {
                let (to, answer) = oneshot::channel();
                (Promise::Record(changes.into(), to).into(), Reply::Reports(answer))
            }
            Self::Taken(up_to) => {
                let (to, answer) = oneshot::channel();
                (Promise::OutboxTaken(up_to, to).into(), Reply::Taken(answer))
            }
        }
    }
}

impl Reply {
    /// Each job is answered, and once.
    pub(super) fn result(self) -> Result<Vec<Queued>, SpoolError> {
        match self {
            Self::Mail(mut answer) => answer.try_recv().unwrap().map(|queued| vec![queued]),
            Self::Reports(mut answer) => answer.try_recv().unwrap(),
            Self::Taken(mut answer) => answer.try_recv().unwrap().map(|()| Vec::new()),
        }
    }
}

pub(super) fn waiting(queued: &Queued) -> BTreeMap<u32, Waiting> {
    let waiting = |recipient: &Recipient| {
        let (lane, attempts, next_at) = (recipient.lane, recipient.attempts, recipient.next_at);
        (recipient.index, Waiting { lane, attempts, next_at, delay_told: recipient.delay_told, is_readable: true })
    };
    queued.recipients.iter().map(waiting).collect()
}
