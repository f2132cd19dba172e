//! What the spool files say and the queue's rows do not say yet. Mail that is delivered soon after it came never gets a row.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use rusqlite::Connection;
use sm2tp_proto::Address;

use super::bodies::BodyAt;
use super::entry::Kept;
use super::mail::{Change, Lane, Mail, NewMail, Notice, Queued, Recipient};
use super::{SpoolError, rows};
use crate::told::{Told, What};

/// The steps since the last fold.
#[derive(Debug, Default)]
pub(super) struct Unfolded {
    /// Mails that have no rows and wait for somebody.
    fresh: BTreeMap<u64, Fresh>,
    /// Mails from this number on have no rows.
    fresh_from: u64,
    /// What became of recipients that have rows, in order.
    steps: Vec<(u64, u32, Step)>,
    /// Whether recipients that have rows are still there.
    there: HashMap<(u64, u32), bool>,
    /// What the ledger is to be told, since the last [`Unfolded::told`].
    told: Vec<(u64, Told)>,
    /// Bodies that nobody waits for any more, since the last [`Unfolded::released`].
    released: Vec<BodyAt>,
    /// Mails whose rows are behind, since the last [`Unfolded::touched`].
    touched: BTreeSet<u64>,
    taken: u64,
    count: usize,
}

#[derive(Debug)]
struct Fresh {
    mail: Arc<Mail>,
    body: BodyAt,
    recipients: BTreeMap<u32, Recipient>,
}

#[derive(Debug)]
enum Step {
    Done,
    Deferred { attempts: u32, next_at: u64, note: String },
    DelayTold,
    Moved { lane: Lane, next_at: u64, note: Option<String> },
}

impl Step {
    /// What it makes of a recipient that stays.
    fn change(&self, recipient: &mut Recipient) {
        match self {
            Self::Done => {}
            Self::DelayTold => recipient.delay_told = true,
            Self::Deferred { attempts, next_at, note } => {
                (recipient.attempts, recipient.next_at) = (*attempts, *next_at);
                recipient.note = Some(note.clone());
            }
            Self::Moved { lane, next_at, note } => {
                (recipient.lane, recipient.next_at) = (*lane, *next_at);
                if let Some(note) = note {
                    recipient.note = Some(note.clone());
                }
            }
        }
    }
}

impl Unfolded {
    /// Nothing; mails from `fresh_from` on will have no rows.
    pub(super) fn new(fresh_from: u64) -> Self {
        Self { fresh_from, ..Self::default() }
    }

    /// A mail as it stands, with what its rows do not say, and where its content lies.
    ///
    /// # Errors
    /// [`SpoolError::NotQueued`] where nobody waits for it; others where the rows cannot be read.
    pub(super) fn find(&self, connection: &Connection, mail: u64) -> Result<(Queued, BodyAt), SpoolError> {
        let gone = || SpoolError::NotQueued { mail };
        if self.fresh_from <= mail {
            let fresh = self.fresh.get(&mail).ok_or_else(gone)?;
            let recipients = fresh.recipients.values().cloned().collect();
            return Ok((Queued { mail: fresh.mail.clone(), recipients }, fresh.body));
        }
        let mut queued = rows::load(connection, Some(mail))?.pop().ok_or_else(gone)?;
        for (_, index, step) in self.steps.iter().filter(|(about, ..)| *about == mail) {
            if matches!(step, Step::Done) {
                queued.recipients.retain(|recipient| recipient.index != *index);
                if queued.recipients.is_empty() {
                    return Err(gone());
                }
            } else if let Some(recipient) = queued.recipients.iter_mut().find(|recipient| recipient.index == *index) {
                step.change(recipient);
            }
        }
        Ok((queued, rows::body_at(connection, mail)?.ok_or_else(gone)?))
    }

    /// How many steps are behind; what a fold takes and a start after a crash repeats.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Finds out what [`Unfolded::change`] must know of the rows.
    ///
    /// # Errors
    /// [`SpoolError`] where they cannot be read; then the change must not be made.
    pub(super) fn look_up(&mut self, connection: &Connection, change: &Change) -> Result<(), SpoolError> {
        let (mail, index) = change.about();
        if mail < self.fresh_from && !self.there.contains_key(&(mail, index)) {
            self.there.insert((mail, index), rows::is_there(connection, mail, index)?);
        }
        Ok(())
    }

    /// Puts a mail into the queue, and tells the ledger from number `told` on.
    pub(super) fn keep(&mut self, mail: &NewMail, (id, body): Kept, told: &mut u64) -> Queued {
        let recipients: Vec<Recipient> = (0..).zip(&mail.recipients).map(|(index, to)| new(mail, index, to)).collect();
        let kept = Arc::new(mail.kept(id, body.len));
        for happening in accepted(id, mail) {
            self.tell(happening, told);
        }
        let by_index = recipients.iter().map(|recipient| (recipient.index, recipient.clone())).collect();
        self.fresh.insert(id, Fresh { mail: kept.clone(), body, recipients: by_index });
        self.touched.insert(id);
        // Each recipient is a row to write.
        self.count += recipients.len();
        Queued { mail: kept, recipients }
    }

    /// Does a change, whose row was looked up; answers with the report that it put into the queue. `carried` is the place of
    /// that report, whether it is needed or not. Numbers from `told` on are the change's own, whether it tells or not: the
    /// same change has the same numbers when it is done again after a crash.
    pub(super) fn change(&mut self, change: &Change, carried: Option<Kept>, told: &mut u64) -> Option<Queued> {
        self.count += 1;
        let end = *told + told_max(change);
        let report = match change {
            // It was done before (a person dropped it while it was being delivered): say so, but count it once.
            Change::Done { mail, index, told: happening, report } => self.done(*mail, *index).then(|| {
                self.tell(happening.clone(), told);
                report.as_deref()
            }),
            Change::Deferred { mail, index, attempts, next_at, note, told: happening, notice } => {
                if let Some(happening) = happening {
                    self.tell(happening.clone(), told);
                }
                let step = Step::Deferred { attempts: *attempts, next_at: *next_at, note: note.clone() };
                let stays = self.step(*mail, *index, step);
                stays.then(|| self.noticed(*mail, *index, notice))
            }
            Change::Move { mail, index, lane, next_at, note } => {
                self.step(*mail, *index, Step::Moved { lane: *lane, next_at: *next_at, note: note.clone() });
                None
            }
        };
        let queued = match (report.flatten(), carried) {
            (Some(report), Some(kept)) => Some(self.keep(report, kept, told)),
            (None, Some((_, body))) => {
                self.released.push(body);
                None
            }
            (_, None) => None,
        };
        *told = end;
        queued
    }

    /// The ledger has all up to this number.
    pub(super) fn take(&mut self, up_to: u64) {
        self.count += 1;
        self.taken = self.taken.max(up_to);
    }

    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    pub(super) fn told(&mut self) -> Vec<(u64, Told)> {
        std::mem::take(&mut self.told)
    }

    pub(super) fn released(&mut self) -> Vec<BodyAt> {
        std::mem::take(&mut self.released)
    }

    pub(super) fn touched(&mut self) -> BTreeSet<u64> {
        std::mem::take(&mut self.touched)
    }

    /// The bodies of mails that have no rows.
    pub(super) fn bodies(&self) -> impl Iterator<Item = BodyAt> + '_ {
        self.fresh.values().map(|fresh| fresh.body)
    }

    /// Writes it into the rows; answers with the bodies that nobody waits for any more. It stays what it is: the
    /// transaction may still fail.
    ///
    /// # Errors
    /// [`SpoolError`]: the transaction must be taken back.
    pub(super) fn fold(&self, connection: &Connection) -> Result<Vec<BodyAt>, SpoolError> {
        for fresh in self.fresh.values() {
            rows::insert(connection, &fresh.mail, fresh.body, fresh.recipients.values())?;
        }
        let mut released = Vec::new();
        for (mail, index, step) in &self.steps {
            match step {
                Step::Done => match rows::done(connection, *mail, *index) {
                    Ok(last) => released.extend(last),
                    // Somebody else was at the database. What is gone is as it should be.
                    Err(SpoolError::NotQueued { .. }) => {}
                    Err(error) => return Err(error),
                },
                Step::Deferred { attempts, next_at, note } => {
                    rows::deferred(connection, *mail, *index, *attempts, *next_at, note)?;
                }
                Step::DelayTold => rows::delay_told(connection, *mail, *index)?,
                Step::Moved { lane, next_at, note } => {
                    rows::moved(connection, *mail, *index, *lane, *next_at, note.as_deref())?;
                }
            }
        }
        Ok(released)
    }

    /// Removes a recipient; false where it is not there.
    fn done(&mut self, mail: u64, index: u32) -> bool {
        if mail < self.fresh_from {
            return self.step(mail, index, Step::Done);
        }
        let Some(fresh) = self.fresh.get_mut(&mail) else { return false };
        if fresh.recipients.remove(&index).is_none() {
            return false;
        }
        if fresh.recipients.is_empty() {
            self.released.push(fresh.body);
            self.fresh.remove(&mail);
        }
        true
    }

    /// Remembers that the sender was told of the delay; answers with the notice.
    fn noticed<'a>(&mut self, mail: u64, index: u32, notice: &'a Notice) -> Option<&'a NewMail> {
        if !matches!(notice, Notice::None) {
            self.step(mail, index, Step::DelayTold);
        }
        if let Notice::Carried(notice) = notice { Some(notice) } else { None }
    }

    /// Changes a recipient; false where it is not there.
    fn step(&mut self, mail: u64, index: u32, step: Step) -> bool {
        self.touched.insert(mail);
        if mail < self.fresh_from {
            let there = self.there.get(&(mail, index)).copied().unwrap_or(false);
            if there {
                self.there.insert((mail, index), !matches!(step, Step::Done));
                self.steps.push((mail, index, step));
            }
            return there;
        }
        let Some(recipient) = self.fresh.get_mut(&mail).and_then(|fresh| fresh.recipients.get_mut(&index)) else {
            return false;
        };
        step.change(recipient);
        true
    }

    fn tell(&mut self, happening: Told, number: &mut u64) {
        self.told.push((*number, happening));
        *number += 1;
    }
}

/// How many happenings a change tells at most.
pub(super) fn told_max(change: &Change) -> u64 {
    match change {
        Change::Done { report, .. } => 1 + report.as_deref().map_or(0, told_of),
        Change::Deferred { told, notice, .. } => {
            u64::from(told.is_some()) + if let Notice::Carried(mail) = notice { told_of(mail) } else { 0 }
        }
        Change::Move { .. } => 0,
    }
}

/// How many happenings a new mail tells: itself, and each canary in it.
pub(super) fn told_of(mail: &NewMail) -> u64 {
    1 + mail.recipients.iter().filter(|recipient| recipient.canary).count() as u64
}

fn new(mail: &NewMail, index: u32, to: &super::NewRecipient) -> Recipient {
    Recipient {
        index,
        address: to.address.clone(),
        lane: to.lane,
        attempts: 0,
        next_at: if to.lane == Lane::Held && !to.stopped { mail.held_until } else { mail.received_at },
        note: to.note.clone(),
        options: to.options.clone(),
        delay_told: false,
    }
}

/// One entry for the mail, and one for each canary in it.
fn accepted(id: u64, mail: &NewMail) -> impl Iterator<Item = Told> + '_ {
    let told = move |recipient, what| Told {
        v: Told::VERSION,
        at: mail.received_at,
        org: mail.org.to_string(),
        login: mail.login.as_deref().map(str::to_owned),
        stream: mail.stream,
        mail: id,
        message_id: mail.message_id.clone(),
        mail_from: mail.mail_from.as_ref().map(Address::clear),
        recipient,
        token: None,
        report: mail.is_report,
        what,
    };
    let whole = if mail.is_report {
        What::Report
    } else {
        What::Accepted { recipients: mail.recipients.len() as u64, by: mail.stream_by }
    };
    let canaries = mail.recipients.iter().filter(|recipient| recipient.canary);
    std::iter::once(told(None, whole))
        .chain(canaries.map(move |recipient| told(Some(recipient.address.clear()), What::Canary)))
}
