//! Honest senders: what each of them sends on a day.

use std::net::IpAddr;

use sm2tp_rules::Stream;

use super::dice::Dice;
use super::world::{Fate, Mail, Recipient, World};

/// One honest sender.
#[derive(Debug, Clone)]
pub(super) struct Honest {
    pub sender: usize,
    pub kind: Kind,
    /// The day on which it begins.
    pub joins: u64,
    dice: Dice,
    /// People whom it knows.
    contacts: Vec<u64>,
    home: IpAddr,
    /// Mails a day, or subscribers.
    size: f64,
    /// Shares of its recipients.
    unknown: f64,
    suppressed: f64,
    refused: f64,
    complains: f64,
    habits: Habits,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Person,
    Association,
    Shop,
    Forwarder,
    Form,
}

/// Days of the year on which something is different.
#[derive(Debug, Clone)]
struct Habits {
    /// Away, and how long; then there is twice as much to answer.
    holiday: (u64, u64),
    /// Travels, and how long: other networks, other hours.
    travel: (u64, u64),
    /// Writes to many at once, in one year of three.
    party: Option<u64>,
    /// Has another provider from then on.
    moves: Option<u64>,
    /// Day of the month and hour of the newsletter.
    newsletter: (u64, u64),
    /// The shop's sale.
    sale: u64,
    growth: f64,
}

impl Kind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Association => "association",
            Self::Shop => "shop",
            Self::Forwarder => "forwarder",
            Self::Form => "contact form",
        }
    }

    pub(super) fn stream(self) -> Stream {
        match self {
            Self::Person => Stream::Personal,
            Self::Association => Stream::Bulk,
            Self::Shop | Self::Form => Stream::Transactional,
            Self::Forwarder => Stream::Forwarded,
        }
    }
}

impl Honest {
    pub(super) fn new(kind: Kind, world: &mut World<'_>, mut dice: Dice, joins: u64) -> Self {
        let sender = world.join(kind.stream());
        let size = match kind {
            // Most write little, some a lot.
            Kind::Person => dice.between(0.3, 3.6).exp(),
            Kind::Association => dice.between(5.0, 8.3).exp(),
            Kind::Shop => dice.between(1.6, 4.4).exp(),
            Kind::Forwarder => dice.between(2.5, 5.3).exp(),
            Kind::Form => dice.between(0.5, 3.0).exp(),
        };
        let known = match kind {
            Kind::Person => dice.within(12, 80),
            Kind::Association => size as u64,
            Kind::Shop => 0,
            Kind::Forwarder => dice.within(5, 60),
            Kind::Form => dice.within(1, 4),
        };
        let (unknown, suppressed, refused, complains) = match kind {
            Kind::Person => (0.004, 0.003, 0.004, 0.0),
            Kind::Association => (dice.between(0.002, 0.015), dice.between(0.002, 0.012), 0.004, 0.0003),
            Kind::Shop => (dice.between(0.005, 0.02), 0.005, 0.005, 0.0001),
            Kind::Forwarder => (0.002, 0.001, dice.between(0.03, 0.15), 0.0),
            Kind::Form => (0.01, 0.005, dice.between(0.0, 0.03), 0.0),
        };
        let habits = Habits {
            holiday: (dice.within(0, 365), dice.within(7, 29)),
            travel: (dice.within(0, 365), dice.within(3, 15)),
            party: dice.happens(0.33).then(|| dice.within(0, 365)),
            moves: dice.happens(0.15).then(|| dice.within(0, 365)),
            newsletter: (dice.within(1, 28), dice.within(8, 23)),
            sale: dice.within(30, 330),
            growth: dice.between(1.0, 1.1),
        };
        let contacts = (0..known).map(|_| dice.next()).collect();
        let home = address(&mut dice);
        Self { sender, kind, joins, dice, contacts, home, size, unknown, suppressed, refused, complains, habits }
    }

    /// Sends what it sends on this day, which begins at `midnight`.
    pub(super) fn day(&mut self, world: &mut World<'_>, day: u64, midnight: u64) {
        if day < self.joins {
            return;
        }
        if self.habits.moves == Some(day % 365) {
            self.home = address(&mut self.dice);
        }
        match self.kind {
            Kind::Person => self.person(world, day, midnight),
            Kind::Association => self.association(world, day, midnight),
            Kind::Shop => self.shop(world, day, midnight),
            Kind::Forwarder => self.forwarder(world, midnight),
            Kind::Form => self.form(world, midnight),
        }
    }

    /// Where it is now, as a thief who uses its own machine is.
    pub(super) fn home(&self) -> IpAddr {
        self.home
    }

    pub(super) fn contacts(&self) -> &[u64] {
        &self.contacts
    }

    fn person(&mut self, world: &mut World<'_>, day: u64, midnight: u64) {
        let of_year = day % 365;
        let in_days = |(from, len): (u64, u64)| (of_year + 365 - from) % 365 < len;
        if in_days(self.habits.holiday) {
            return;
        }
        let back = in_days((self.habits.holiday.0 + self.habits.holiday.1, 2));
        let weekend = matches!(midnight / 86_400 % 7, 2 | 3);
        let busy = self.dice.between(0.3, 1.7) * if weekend { 0.25 } else { 1.0 } * if back { 2.5 } else { 1.0 };
        let travels = in_days(self.habits.travel);
        for _ in 0..self.dice.times(self.size * busy) {
            let hour = if self.dice.happens(0.12) { self.dice.within(19, 23) } else { self.dice.within(7, 19) };
            let away = if travels { 6 * 3600 } else { 0 };
            let at = midnight + hour * 3600 + self.dice.within(0, 3600) + away;
            let recipients = match self.dice.within(0, 100) {
                0 => self.dice.within(8, 25),
                1..12 => self.dice.within(2, 7),
                _ => 1,
            };
            let recipients = (0..recipients).map(|_| self.somebody()).collect();
            let client = self.client(travels);
            self.mail(world, at, client, recipients);
        }
        // Everybody tells their friends of a new address, some of them all at once.
        let moved_in = day == self.joins + 2 && self.joins != 0 && self.dice.happens(0.1);
        if moved_in || self.habits.party == Some(of_year) {
            let hour = self.dice.within(8, 22);
            self.party(world, midnight + hour * 3600);
        }
    }

    /// An invitation: one mail to many, some of whom it never wrote to.
    fn party(&mut self, world: &mut World<'_>, at: u64) {
        let guests = self.dice.within(15, 70);
        let known = (guests * 6 / 10).min(self.contacts.len() as u64) as usize;
        let mut recipients: Vec<Recipient> = self.contacts.iter().take(known).map(|hash| fine(*hash)).collect();
        for _ in known..guests as usize {
            let (hash, fate) = (self.dice.next(), self.fate(4.0));
            self.contacts.push(hash);
            recipients.push(Recipient { hash, fate });
        }
        let client = self.home;
        self.mail(world, at, client, recipients);
    }

    fn association(&mut self, world: &mut World<'_>, day: u64, midnight: u64) {
        // Some letters of the office with the same login.
        for _ in 0..self.dice.times(0.5) {
            let at = midnight + self.dice.within(9, 20) * 3600 + self.dice.within(0, 3600);
            let (recipient, client) = (self.somebody(), self.home);
            self.mail(world, at, client, vec![recipient]);
        }
        let (of_month, hour) = self.habits.newsletter;
        if day % 30 != of_month {
            return;
        }
        let joined = self.contacts.len() as f64 * self.dice.between(0.0, 0.04);
        (0..joined as u64).for_each(|_| self.contacts.push(self.dice.next()));
        let late = self.dice.within(0, 3);
        let start = midnight + (hour + late).min(23) * 3600;
        if day < self.joins + 30 {
            // Who begins tells the administrator.
            world.announce(self.sender, self.contacts.len() as u32 * 11 / 10, start - 3600, start + 12 * 3600);
        }
        let a_second = self.dice.within(1, 6);
        let client = self.home;
        for n in 0..self.contacts.len() {
            let recipient = Recipient { hash: self.contacts[n], fate: self.fate(1.0) };
            self.mail(world, start + n as u64 / a_second, client, vec![recipient]);
        }
        // Who is gone is taken off the list in the end.
        self.contacts.retain(|hash| hash % 100 != day / 30 % 100);
    }

    fn shop(&mut self, world: &mut World<'_>, day: u64, midnight: u64) {
        let months = (day - self.joins) as f64 / 30.0;
        let season = match day % 365 {
            330..358 => 2.5,
            of_year if of_year == self.habits.sale => 5.0,
            _ => 1.0,
        };
        let orders = self.dice.times(self.size * self.habits.growth.powf(months) * season);
        for _ in 0..orders {
            let hour = (self.dice.within(7, 24) + self.dice.within(7, 24)) / 2;
            let at = midnight + hour * 3600 + self.dice.within(0, 3600);
            let again = self.dice.happens(0.3) && !self.contacts.is_empty();
            let customer = match self.dice.one_of(&self.contacts) {
                Some(hash) if again => fine(*hash),
                _ => Recipient { hash: self.dice.next(), fate: self.fate(1.0) },
            };
            self.contacts.push(customer.hash);
            let client = self.home;
            self.mail(world, at, client, vec![customer]);
            if customer.fate == Fate::Fine {
                let sent = at + self.dice.within(3600, 2 * 86_400);
                self.mail(world, sent, client, vec![customer]);
            }
        }
    }

    fn forwarder(&mut self, world: &mut World<'_>, midnight: u64) {
        let wave = if self.dice.happens(0.03) { 4.0 } else { 1.0 };
        let busy = self.dice.between(0.5, 1.5) * wave;
        for _ in 0..self.dice.times(self.size * busy) {
            let at = midnight + self.dice.within(0, 86_400);
            let (recipient, client) = (self.known(wave), self.home);
            self.mail(world, at, client, vec![recipient]);
        }
    }

    /// Each use tells the owner, and thanks the visitor.
    fn form(&mut self, world: &mut World<'_>, midnight: u64) {
        let busy = self.dice.between(0.3, 1.7) * if self.dice.happens(0.01) { 4.0 } else { 1.0 };
        for _ in 0..self.dice.times(self.size * busy) {
            let at = midnight + self.dice.within(7, 24) * 3600 + self.dice.within(0, 3600);
            let (owner, client) = (self.known(1.0), self.home);
            let visitor = Recipient { hash: self.dice.next(), fate: self.fate(1.0) };
            self.mail(world, at, client, vec![owner]);
            self.mail(world, at + 1, client, vec![visitor]);
        }
    }

    fn mail(&self, world: &mut World<'_>, at: u64, client: IpAddr, recipients: Vec<Recipient>) {
        world.send(Mail { at, sender: self.sender, client, recipients, is_abuse: false });
    }

    /// Mostly somebody it knows; whom it writes to once it may write to again.
    fn somebody(&mut self) -> Recipient {
        if self.dice.happens(0.92) {
            return self.known(0.25);
        }
        let (hash, fate) = (self.dice.next(), self.fate(4.0));
        self.contacts.push(hash);
        Recipient { hash, fate }
    }

    fn known(&mut self, worse: f64) -> Recipient {
        // A few of them get most of the mail.
        let rank = (self.dice.share() * self.dice.share() * self.contacts.len() as f64) as usize;
        let hash = self.contacts.get(rank).copied().unwrap_or_else(|| self.dice.next());
        Recipient { hash, fate: self.fate(worse) }
    }

    fn fate(&mut self, worse: f64) -> Fate {
        let chance = self.dice.share() / worse.max(0.01);
        let mut end = 0.0;
        for (share, fate) in [
            (self.unknown, Fate::Unknown),
            (self.suppressed, Fate::Suppressed),
            (self.refused, Fate::Refused),
            (self.complains, Fate::Complains),
        ] {
            end += share;
            if chance < end {
                return fate;
            }
        }
        Fate::Fine
    }

    /// At home, on the telephone, or wherever travellers are.
    fn client(&mut self, travels: bool) -> IpAddr {
        let IpAddr::V4(home) = self.home else { return self.home };
        let provider = home.octets()[0];
        match self.dice.within(0, 10) {
            _ if travels => [150 + self.dice.within(0, 2) as u8, self.habits.travel.0 as u8, 1, 1].into(),
            0..3 => [provider, 200 + self.dice.within(0, 3) as u8, 1, 1].into(),
            _ => self.home,
        }
    }
}

/// Somewhere in the networks of honest people.
pub(super) fn address(dice: &mut Dice) -> IpAddr {
    [dice.within(20, 100) as u8, dice.within(0, 200) as u8, 1, 1].into()
}

fn fine(hash: u64) -> Recipient {
    Recipient { hash, fate: Fate::Fine }
}
