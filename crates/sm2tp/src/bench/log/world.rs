//! An invented mail server's day as lines of its log in the order of their times, each with what it truly tells.

use std::collections::BTreeMap;

use sm2tp_proto::Enhanced;
use sm2tp_proto::delivery::What;
use sm2tp_proto::log::{Outcome, Reach, Status};

use super::heads::Head;
use super::{exim, postfix};
use crate::simulate::Dice;

/// What a line tells of one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Truth {
    pub at: u64,
    pub queue_id: String,
    pub sender: Option<String>,
    pub recipient: String,
    pub original: Option<String>,
    pub login: Option<String>,
    pub message_id: Option<String>,
    pub host: Option<String>,
    pub reach: Reach,
    pub status: Status,
    pub code: Option<u16>,
    pub enhanced: Option<Enhanced>,
    pub text: String,
    /// An older answer, told again.
    pub again: bool,
}

impl Truth {
    /// What was read, in the same form.
    pub fn read(outcome: &Outcome<'_>) -> Self {
        Self {
            at: outcome.at,
            queue_id: outcome.queue_id.to_owned(),
            sender: outcome.sender.map(str::to_owned),
            recipient: outcome.recipient.to_owned(),
            original: outcome.original.map(str::to_owned),
            login: outcome.login.map(str::to_owned),
            message_id: outcome.message_id.map(str::to_owned),
            host: outcome.host.map(str::to_owned),
            reach: outcome.reach,
            status: outcome.status,
            code: outcome.code,
            enhanced: outcome.enhanced,
            text: outcome.text.to_owned(),
            again: outcome.delivery.what == What::Again,
        }
    }
}

/// Which program in which version writes, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    pub name: &'static str,
    pub writer: Writer,
    pub head: Head,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    /// From 3.11 on, `tls=` stands before `dsn=`. Long queue ids, or short ones, which are used again.
    Postfix { minor: u32, long_ids: bool },
    /// From 4.97 on, ids are longer; before 4.95 the host stands inside the sentence. With or without extra selectors.
    Exim { minor: u32, selectors: bool },
}

/// A line that will be written.
pub struct Event {
    pub daemon: &'static str,
    pub instance: &'static str,
    pub body: String,
    pub truths: Vec<Truth>,
}

/// Where events come from.
pub struct World {
    pub dice: Dice,
    pub shape: Shape,
    /// Mails are never finished, so that all of them are under way at the end.
    pub never_ends: bool,
    now: u64,
    ahead: BTreeMap<(u64, u64), Event>,
    number: u64,
    /// Queue ids that are free again, and since when.
    freed: BTreeMap<u64, Vec<String>>,
}

impl World {
    pub fn new(shape: Shape, seed: u64, never_ends: bool) -> Self {
        let (ahead, freed) = (BTreeMap::new(), BTreeMap::new());
        Self { dice: Dice::new(seed, 1), shape, never_ends, now: BEGINS, ahead, number: 0, freed }
    }

    /// The next line with its end; what it tells is put into `truths`.
    pub fn line(&mut self, into: &mut String, truths: &mut Vec<Truth>) {
        loop {
            if let Some(entry) = self.ahead.first_entry()
                && entry.key().0 <= self.now
            {
                let ((at, number), event) = entry.remove_entry();
                self.shape.head.write(into, at, number, &event);
                into.push('\n');
                truths.extend(event.truths);
                return;
            }
            self.now += self.dice.within(0, 3);
            match self.shape.writer {
                Writer::Postfix { minor, long_ids } => postfix::happens(self, minor, long_ids, self.now),
                Writer::Exim { minor, selectors } => exim::happens(self, minor, selectors, self.now),
            }
        }
    }

    pub fn add(&mut self, at: u64, event: Event) {
        self.number += 1;
        self.ahead.insert((at, self.number), event);
    }

    /// A number that comes once.
    pub fn number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    pub fn free(&mut self, at: u64, queue_id: String) {
        self.freed.entry(at).or_default().push(queue_id);
    }

    /// A queue id that another mail had before.
    pub fn used_again(&mut self) -> Option<String> {
        let mut first = self.freed.first_entry().filter(|first| *first.key() < self.now)?;
        let id = first.get_mut().pop();
        if first.get().is_empty() {
            first.remove();
        }
        id
    }

    pub fn one<T: Copy>(&mut self, all: &[T]) -> T {
        *self.dice.one_of(all).expect("there is one at least")
    }
}

/// 2026-11-20 00:00:00 UTC.
const BEGINS: u64 = 1_795_132_800;
