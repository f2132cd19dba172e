//! One organisation in virtual time: mail comes in, is judged by the rules of the node, leaves by its lane, is answered.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::net::IpAddr;

use sm2tp_rules::Stream;
use sm2tp_rules::watch::{Answer, Attempt, Level, Limits, Org, Release, Told};

use super::dice::Dice;

/// A mail that somebody sends.
#[derive(Debug, Clone)]
pub(super) struct Mail {
    pub at: u64,
    pub sender: usize,
    pub client: IpAddr,
    pub recipients: Vec<Recipient>,
    /// Sent by a thief, or to a list that was bought.
    pub is_abuse: bool,
}

/// Somebody to whom it goes, and what will come of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Recipient {
    pub hash: u64,
    pub fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Fine,
    Complains,
    Unknown,
    /// The list stops it at the door.
    Suppressed,
    Refused,
}

/// What happened to a sender.
#[derive(Debug, Clone, Default)]
pub(super) struct Fared {
    /// Unix seconds of each time that it became slow, and blocked, while nobody abused it.
    pub slowed: Vec<u64>,
    pub blocked: Vec<u64>,
    /// When it became so under abuse, for the first time.
    pub abuse_slowed: Option<u64>,
    pub abuse_blocked: Option<u64>,
    /// What made it so under abuse, and each time without.
    pub why: Option<String>,
    pub wrong: Vec<String>,
}

/// The organisation.
pub(super) struct World<'a> {
    limits: &'a Limits,
    pub org: Org,
    dice: Dice,
    events: BinaryHeap<Reverse<(u64, u64)>>,
    what: BTreeMap<u64, Event>,
    serial: u64,
    senders: Vec<Sender>,
    /// Recipients of abuse whose servers were handed the mail.
    pub left: usize,
    /// Recipients that senders named.
    pub asked: u64,
}

struct Sender {
    name: String,
    stream: Stream,
    level: Level,
    /// When its next mail may leave by the normal lane.
    free_at: u64,
    slow: VecDeque<Waiting>,
    is_ticking: bool,
    is_abused: bool,
    fared: Fared,
}

#[derive(Debug, Clone)]
struct Waiting {
    recipients: Vec<Recipient>,
    is_abuse: bool,
}

#[derive(Debug)]
enum Event {
    Mail(Mail),
    Leaves(usize, Waiting),
    SlowLane(usize),
    Answered(usize, Told),
    Released(usize),
}

impl<'a> World<'a> {
    pub(super) fn new(limits: &'a Limits, dice: Dice, start: u64) -> Self {
        Self {
            limits,
            org: Org::new(start),
            dice,
            events: BinaryHeap::new(),
            what: BTreeMap::new(),
            serial: 0,
            senders: Vec::new(),
            left: 0,
            asked: 0,
        }
    }

    /// A new sender, by its number.
    pub(super) fn join(&mut self, stream: Stream) -> usize {
        let number = self.senders.len();
        self.senders.push(Sender {
            name: format!("sender{number}"),
            stream,
            level: Level::Normal,
            free_at: 0,
            slow: VecDeque::new(),
            is_ticking: false,
            is_abused: false,
            fared: Fared::default(),
        });
        number
    }

    pub(super) fn send(&mut self, mail: Mail) {
        self.at(mail.at, Event::Mail(mail));
    }

    pub(super) fn announce(&mut self, sender: usize, recipients: u32, now: u64, until: u64) {
        let Some(Sender { name, stream, .. }) = self.senders.get(sender) else { return };
        self.org.sender(name, *stream, now).announce(recipients, until, "");
    }

    /// From now on what the watch does to this sender is right.
    pub(super) fn abused(&mut self, sender: usize) {
        self.senders[sender].is_abused = true;
    }

    pub(super) fn fared(&self, sender: usize) -> &Fared {
        &self.senders[sender].fared
    }

    /// Lets everything happen that happens before `end`.
    pub(super) fn run(&mut self, end: u64) {
        while let Some(Reverse((at, serial))) = self.events.peek().copied().filter(|Reverse((at, _))| *at < end) {
            self.events.pop();
            match self.what.remove(&serial) {
                Some(Event::Mail(mail)) => self.mail(mail),
                Some(Event::Leaves(sender, mail)) => self.leaves(sender, mail, at),
                Some(Event::SlowLane(sender)) => self.slow_lane(sender, at),
                Some(Event::Answered(sender, told)) => self.answered(sender, told, at),
                Some(Event::Released(sender)) => self.released(sender, at),
                None => {}
            }
        }
    }

    fn at(&mut self, at: u64, event: Event) {
        self.serial += 1;
        self.events.push(Reverse((at, self.serial)));
        self.what.insert(self.serial, event);
    }

    /// The door: each recipient is asked for, and the mail gets the lane of its sender.
    fn mail(&mut self, mail: Mail) {
        let (now, number) = (mail.at, mail.sender);
        let Some(sender) = self.senders.get(number) else { return };
        let mut taken = Vec::with_capacity(mail.recipients.len());
        let mut level = Level::Normal;
        for (named, recipient) in mail.recipients.iter().enumerate() {
            let is_suppressed = recipient.fate == Fate::Suppressed;
            let fact = Attempt {
                at: now,
                recipient: recipient.hash,
                named: u32::try_from(named).unwrap_or(u32::MAX),
                client: Some(mail.client),
                place: None,
                stream: sender.stream,
                suppressed: is_suppressed,
            };
            self.asked += 1;
            level = self.org.attempt(&sender.name, &fact, self.limits, now);
            if level != Level::Blocked && !is_suppressed {
                taken.push(*recipient);
            }
        }
        self.noticed(number, level, now);
        if level == Level::Blocked || taken.is_empty() {
            return;
        }
        let waiting = Waiting { recipients: taken, is_abuse: mail.is_abuse };
        if level == Level::Slow {
            return self.wait_slowly(number, waiting, now);
        }
        // Three seconds to be delivered, and ten mails a second at most.
        let sender = &mut self.senders[number];
        sender.free_at = (sender.free_at + 1).max(now * PACE);
        let at = sender.free_at / PACE + 1 + self.dice.within(0, 5);
        self.at(at, Event::Leaves(number, waiting));
    }

    fn leaves(&mut self, number: usize, mail: Waiting, now: u64) {
        let sender = &self.senders[number];
        match self.org.level(&sender.name, self.limits, now) {
            // What waited in the normal lane does not overtake what came later.
            Level::Slow => self.wait_slowly(number, mail, now),
            // Held, and a person looks at it.
            Level::Blocked => {}
            Level::Normal => self.hand_over(number, mail, now),
        }
    }

    fn wait_slowly(&mut self, number: usize, mail: Waiting, now: u64) {
        let sender = &mut self.senders[number];
        sender.slow.push_back(mail);
        if !std::mem::replace(&mut sender.is_ticking, true) {
            self.at(now + SLOW_LANE_S, Event::SlowLane(number));
        }
    }

    fn slow_lane(&mut self, number: usize, now: u64) {
        let level = self.org.level(&self.senders[number].name, self.limits, now);
        self.noticed(number, level, now);
        let sender = &mut self.senders[number];
        // One recipient of the first mail.
        let first = sender.slow.front_mut().filter(|_| level != Level::Blocked);
        let next = first.and_then(|mail| Some((mail.recipients.pop()?, mail.is_abuse)));
        sender.slow.pop_front_if(|mail| mail.recipients.is_empty());
        match next {
            Some((recipient, is_abuse)) => {
                self.hand_over(number, Waiting { recipients: vec![recipient], is_abuse }, now);
                self.at(now + SLOW_LANE_S, Event::SlowLane(number));
            }
            None => sender.is_ticking = false,
        }
    }

    fn hand_over(&mut self, number: usize, mail: Waiting, now: u64) {
        for recipient in mail.recipients {
            if mail.is_abuse {
                self.left += 1;
            }
            let at = now + self.dice.within(0, 3);
            let told = match recipient.fate {
                Fate::Fine | Fate::Complains => Told::Delivered,
                Fate::Unknown => Told::Unknown,
                Fate::Refused | Fate::Suppressed => Told::Refused,
            };
            self.at(at, Event::Answered(number, told));
            if recipient.fate == Fate::Complains {
                let later = at + self.dice.within(3600, 2 * 86_400);
                self.at(later, Event::Answered(number, Told::Complaint));
            }
        }
    }

    fn answered(&mut self, number: usize, told: Told, now: u64) {
        let level = self.org.answered(&self.senders[number].name, &Answer { at: now, told }, self.limits, now);
        self.noticed(number, level, now);
    }

    /// The administrator looks at an honest sender that was blocked.
    fn released(&mut self, number: usize, now: u64) {
        let sender = &mut self.senders[number];
        if !sender.is_abused
            && let Some(watch) = self.org.known_mut(&sender.name)
        {
            watch.release(Release::WasNormal, "", now);
            sender.level = Level::Normal;
        }
    }

    fn noticed(&mut self, number: usize, level: Level, now: u64) {
        let sender = &mut self.senders[number];
        let before = std::mem::replace(&mut sender.level, level);
        if level <= before {
            return;
        }
        let fared = &mut sender.fared;
        match (sender.is_abused, level) {
            (true, Level::Blocked) => {
                fared.abuse_blocked.get_or_insert(now);
                fared.abuse_slowed.get_or_insert(now);
            }
            (true, _) => _ = fared.abuse_slowed.get_or_insert(now),
            (false, Level::Blocked) => fared.blocked.push(now),
            (false, _) => fared.slowed.push(now),
        }
        let watch = self.org.known_mut(&sender.name);
        let why = watch.and_then(|watch| watch.reasons().iter().max_by_key(|reason| reason.level).copied());
        let why = why.map(|reason| reason.english()).unwrap_or_default();
        match sender.is_abused {
            true => _ = fared.why.get_or_insert(why),
            false => fared.wrong.push(why),
        }
        if level == Level::Blocked && !sender.is_abused {
            self.at(now + PERSON_S, Event::Released(number));
        }
    }
}

/// Mails a second that the normal lane hands over for one sender.
const PACE: u64 = 10;
/// As the queue does it.
const SLOW_LANE_S: u64 = 60;
/// How long it takes a volunteer to look.
const PERSON_S: u64 = 6 * 3600;
