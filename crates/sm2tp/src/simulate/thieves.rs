//! Those who must be stopped: stolen logins, abused forms, bought lists.

use std::net::IpAddr;

use super::dice::Dice;
use super::people::{Honest, Kind};
use super::world::{Fate, Mail, Recipient, World};

/// A kind of abuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Abuse {
    Blast,
    Drip,
    SnowShoe,
    Night,
    Form,
    BoughtList,
    AddressBook,
}

impl Abuse {
    pub(super) const ALL: [Self; 7] =
        [Self::Blast, Self::Drip, Self::SnowShoe, Self::Night, Self::Form, Self::BoughtList, Self::AddressBook];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Blast => "fast blast",
            Self::Drip => "slow drip",
            Self::SnowShoe => "snow-shoe",
            Self::Night => "night",
            Self::Form => "contact form",
            Self::BoughtList => "bought list",
            Self::AddressBook => "address book",
        }
    }

    /// Whose login it is, now and then.
    pub(super) fn victim(self, dice: &mut Dice) -> Kind {
        match self {
            Self::Blast | Self::Night => match dice.within(0, 10) {
                0 => Kind::Shop,
                1 => Kind::Association,
                _ => Kind::Person,
            },
            Self::Drip | Self::SnowShoe | Self::AddressBook => Kind::Person,
            Self::Form => Kind::Form,
            Self::BoughtList => Kind::Association,
        }
    }

    /// Mailboxes that are used.
    pub(super) fn mailboxes(self) -> usize {
        if self == Self::SnowShoe { 50 } else { 1 }
    }

    /// Recipients that the goal lets leave, or hours within which it must have ended.
    pub(super) fn goal(self) -> Goal {
        match self {
            Self::Blast | Self::Night | Self::Form | Self::AddressBook => Goal::Left(100),
            Self::BoughtList => Goal::Left(200),
            Self::Drip => Goal::Hours(24),
            Self::SnowShoe => Goal::Hours(24),
        }
    }

    /// Sends everything that this abuse sends, from `start` on, for two days at most.
    pub(super) fn strike(self, world: &mut World<'_>, victims: &[Honest], dice: &mut Dice, start: u64) {
        victims.iter().for_each(|victim| world.abused(victim.sender));
        let strange = dice.happens(0.7);
        let list = List::new(self, dice);
        let each = list.a_mail;
        let mut sent = 0;
        for victim in victims {
            let own = dice.next();
            let mut at = (start + dice.within(0, 600)) as f64;
            while (sent as f64) < list.recipients && at < (start + 2 * 86_400) as f64 {
                let client: IpAddr = match strange {
                    true => [200, (own >> (8 * (sent % list.networks))) as u8, 1, 1].into(),
                    false => victim.home(),
                };
                let recipients = (0..each).map(|n| list.recipient(victim, sent + n, dice)).collect();
                if !list.pauses(at as u64) {
                    world.send(Mail { at: at as u64, sender: victim.sender, client, recipients, is_abuse: true });
                    sent += each;
                }
                at += list.every_s * each as f64 * dice.between(0.5, 1.5);
            }
        }
        if list.is_announced {
            let recipients = list.recipients as u32;
            victims.iter().for_each(|victim| world.announce(victim.sender, recipients, start, start + 86_400));
        }
    }
}

/// What is to be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    Left(usize),
    Hours(u64),
}

/// To whom a thief writes, and how.
struct List {
    recipients: f64,
    every_s: f64,
    /// Recipients of one mail.
    a_mail: u64,
    networks: u64,
    unknown: f64,
    suppressed: f64,
    refused: f64,
    is_announced: bool,
    at_night: bool,
    address_book: bool,
}

impl List {
    fn new(abuse: Abuse, dice: &mut Dice) -> Self {
        let a_mail = if dice.happens(0.3) { dice.within(2, 30) } else { 1 };
        let spam = Self {
            recipients: 20_000.0,
            every_s: 1.0,
            a_mail,
            networks: dice.within(1, 6),
            unknown: dice.between(0.05, 0.25),
            suppressed: dice.between(0.02, 0.08),
            refused: dice.between(0.05, 0.4),
            is_announced: false,
            at_night: false,
            address_book: false,
        };
        match abuse {
            // From one a second to twenty.
            Abuse::Blast => Self { every_s: dice.between(0.05, 1.0), ..spam },
            Abuse::Drip => Self { every_s: 180.0, a_mail: 1, ..spam },
            Abuse::SnowShoe => Self { every_s: dice.between(720.0, 1200.0), a_mail: 1, recipients: 1e9, ..spam },
            Abuse::Night => Self { every_s: dice.between(10.0, 60.0), at_night: true, ..spam },
            Abuse::Form => Self { every_s: dice.between(1.0, 40.0), a_mail: 1, ..spam },
            Abuse::BoughtList => Self {
                recipients: dice.between(2000.0, 8000.0),
                every_s: dice.between(0.2, 1.0),
                a_mail: 1,
                unknown: dice.between(0.08, 0.2),
                suppressed: dice.between(0.05, 0.12),
                refused: dice.between(0.01, 0.1),
                is_announced: dice.happens(0.5),
                ..spam
            },
            Abuse::AddressBook => Self {
                recipients: 1000.0,
                every_s: dice.between(0.05, 5.0),
                unknown: 0.01,
                suppressed: 0.005,
                address_book: true,
                ..spam
            },
        }
    }

    fn recipient(&self, victim: &Honest, number: u64, dice: &mut Dice) -> Recipient {
        let known = victim.contacts().get(number as usize).filter(|_| self.address_book);
        let hash = known.copied().unwrap_or_else(|| dice.next());
        let chance = dice.share();
        let fate = match chance {
            _ if chance < self.unknown => Fate::Unknown,
            _ if chance < self.unknown + self.suppressed => Fate::Suppressed,
            _ if chance < self.unknown + self.suppressed + self.refused => Fate::Refused,
            _ if chance < self.unknown + self.suppressed + self.refused + COMPLAINS => Fate::Complains,
            _ => Fate::Fine,
        };
        Recipient { hash, fate }
    }

    fn pauses(&self, at: u64) -> bool {
        self.at_night && (5..23).contains(&(at / 3600 % 24))
    }
}

/// Of what a thief sends.
const COMPLAINS: f64 = 0.005;
