//! Sender watch (R18): what each sender usually does, what it does now, and whether it is normal, slow or blocked.
//!
//! A [`Watch`] is the memory of one sender, some kilobytes whatever it sends. It is told of every recipient that a sender
//! names ([`Attempt`]) and of what became of it ([`Answer`]), and judges the last ten minutes, hour and day against
//! absolute limits and against the sender's own habits. [`Org`] holds the senders of one organisation and watches their
//! sum, so that fifty stolen mailboxes that send a little each are seen too.
//!
//! What is strange makes a sender slow, which costs an honest one an hour and a stolen mailbox its use; what goes on
//! blocks it until a person looks. A person sees the reasons with their numbers, and may say that all was normal.

mod judge;
mod known;
mod limits;
mod networks;
mod org;
mod recent;
mod saved;
mod shown;
mod usual;
mod words;

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use self::judge::Question;
use self::known::Known;
pub use self::limits::{BlocksEnd, Floors, Limits, Share};
pub use self::networks::Network;
use self::networks::{Networks, Whence};
pub use self::org::Org;
use self::recent::Recent;
pub use self::saved::SavedError;
pub use self::shown::{From, Shown, Tally};
use self::usual::Usual;
use crate::outcome::{Cause, Fate, Stream, UnknownWord};
use crate::places::Place;

words! {
    /// How a sender stands.
    Level { Normal = "normal", Slow = "slow", Blocked = "blocked" }
}

words! {
    /// What was strange.
    Sign {
        /// Recipients, known or not.
        Volume = "volume",
        /// Recipients to whom this sender never wrote before.
        New = "new",
        /// Recipients that were written to from a network that this sender did not use before.
        Elsewhere = "elsewhere",
        /// Recipients that were written to at a time of day at which this sender never writes.
        OddHours = "odd-hours",
        /// Recipients beyond the usual number in one mail.
        LargeMails = "large-mails",
        /// Networks that were never used before.
        Networks = "networks",
        /// Recipients that do not exist: refused as unknown, or stopped because that was known.
        Dead = "dead",
        /// Recipients that the list stopped.
        Suppressed = "suppressed",
        /// Mails whose content was refused.
        Refused = "refused",
        Complained = "complained",
        /// All senders of the organisation together.
        Org = "org",
    }
}

words! {
    /// In which time something was counted.
    Window { Minutes = "minutes", Hour = "hour", Day = "day", Week = "week" }
}

words! {
    /// Who decided.
    By { Watch = "watch", Person = "person" }
}

words! {
    /// What is counted.
    Count {
        Mails = "mails",
        /// Recipients that were named.
        Asked = "asked",
        /// Those that were not announced.
        Counted = "counted",
        New = "new",
        Elsewhere = "elsewhere",
        OddHours = "odd-hours",
        Large = "large",
        Suppressed = "suppressed",
        /// Recipients whose servers answered for good.
        Answered = "answered",
        Delivered = "delivered",
        Unknown = "unknown",
        Refused = "refused",
        Complained = "complained",
    }
}

/// A recipient whom a sender names: RCPT TO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// Unix seconds; what lies in the future happens now.
    pub at: u64,
    /// The address under a keyed hash; nothing is learned of it but whether it came before.
    pub recipient: u64,
    /// How many recipients this mail had before; 0 begins a mail.
    pub named: u32,
    /// Where the client is, if that is known.
    pub client: Option<IpAddr>,
    /// Whose network that is, where a table knows it.
    pub place: Option<Place>,
    /// The stream of the account: what a mail says of itself would let a thief choose.
    pub stream: Stream,
    /// [`crate::admit::recipient`] refused or held this recipient for what is known of the address.
    pub suppressed: bool,
}

/// What became of one recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// Unix seconds; what lies in the future happens now, and what is older than a day counts for the profile alone.
    pub at: u64,
    pub told: Told,
}

/// The part of an answer that speaks about the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    Delivered,
    /// There is no such address.
    Unknown,
    /// The content was refused: the server took it for spam or worse.
    Refused,
    /// Ended in another way, for which the sender can do nothing.
    Other,
    /// The recipient complained.
    Complaint,
}

/// One thing that is strange, with its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    pub sign: Sign,
    pub window: Window,
    /// What was counted, among `of`.
    pub count: u32,
    pub of: u32,
    /// What would have been in order: a number, or for shares (`dead`, `suppressed`, `refused`, `complained`) thousandths.
    pub limit: u32,
    /// What is usual for this sender, in the same unit.
    pub usual: u32,
    /// What follows from it.
    pub level: Level,
}

/// A change of level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Unix seconds.
    pub at: u64,
    pub level: Level,
    pub by: By,
    /// What the person said; at most [`NOTE_MAX`] octets.
    pub note: String,
}

/// A mailing that somebody announced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Campaign {
    /// How many recipients it has, and how many may still come.
    pub recipients: u32,
    pub left: u32,
    /// Unix seconds.
    pub until: u64,
    /// What the person said; at most [`NOTE_MAX`] octets.
    pub note: String,
}

/// What follows for the mail of a sender.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Standing {
    #[default]
    Normal,
    /// Its mail goes into the slow lane.
    Slow,
    /// Its mail is not taken.
    Blocked(Patience),
}

/// What a blocked sender is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// A person will look: keep the mail and try again.
    TryAgain,
    /// A person had time to look: give it back.
    GiveUp,
}

/// What a person says when a sender is released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// The cause is removed: begin to count anew.
    Mended,
    /// All of it was in order: learn it.
    WasNormal,
}

/// The memory of one sender.
#[derive(Debug, Clone, PartialEq)]
pub struct Watch {
    /// When it wrote first and last, unix seconds.
    born: u64,
    last: u64,
    stream: Stream,
    /// All senders of an organisation together.
    is_org: bool,
    /// No newcomer any more.
    is_settled: bool,
    level: Level,
    by: By,
    /// When something was strange last.
    strange_at: u64,
    /// Recipients that were turned away since it is blocked.
    turned_away: u32,
    reasons: Vec<Reason>,
    changes: Vec<Change>,
    campaign: Option<Campaign>,
    recent: Recent,
    usual: Usual,
    known: Known,
    networks: Networks,
}

impl Watch {
    /// A sender that nobody knows yet.
    #[must_use]
    pub fn new(stream: Stream, now: u64) -> Self {
        Self {
            born: now,
            last: now,
            stream,
            is_org: false,
            is_settled: false,
            level: Level::Normal,
            by: By::Watch,
            strange_at: 0,
            turned_away: 0,
            reasons: Vec::new(),
            changes: Vec::new(),
            campaign: None,
            recent: Recent::new(now),
            usual: Usual::new(now),
            known: Known::new(now),
            networks: Networks::default(),
        }
    }

    /// Counts a recipient and says how the sender stands now. `org` is how all senders of its organisation stand together.
    pub fn attempt(&mut self, fact: &Attempt, org: Level, limits: &Limits, now: u64) -> Level {
        let is_announced = self.level != Level::Blocked && self.take_announced(now);
        self.named(fact, is_announced, org, limits, now)
    }

    /// The next recipient would be one of a campaign that was announced.
    fn is_announced(&self, now: u64) -> bool {
        self.campaign.as_ref().is_some_and(|campaign| now <= campaign.until && campaign.left != 0)
    }

    fn named(&mut self, fact: &Attempt, is_announced: bool, org: Level, limits: &Limits, now: u64) -> Level {
        self.advance(limits, now);
        if self.level == Level::Blocked && !self.may_calm(limits) {
            self.turned_away = self.turned_away.saturating_add(1);
            return self.level;
        }
        self.stream = fact.stream;
        let at = fact.at.min(now);
        let is_new = fact.suppressed || !self.known.meet(fact.recipient, at);
        let strange = fact.client.is_some_and(|client| {
            let from = Whence { network: Network::of(client), place: fact.place };
            self.networks.meet(from, limits.strange_s, now) && self.is_settled
        });
        let usual = self.usual.recipients_a_mail() * LARGE_TIMES;
        let is_large = f64::from(limits.large_mail).max(usual) <= f64::from(fact.named);
        let counts = [
            (Count::Mails, fact.named == 0),
            (Count::Asked, true),
            (Count::Counted, !is_announced),
            (Count::New, is_new && !is_announced),
            (Count::Elsewhere, strange && !is_announced),
            (Count::OddHours, self.usual.is_odd && self.is_settled && !is_announced),
            (Count::Large, is_large && !is_announced),
            (Count::Suppressed, fact.suppressed),
        ];
        counts.into_iter().filter(|(_, happened)| *happened).for_each(|(what, _)| self.count(at, what));
        if is_announced {
            self.usual.announced(&self.recent);
        }
        self.usual.peak(&self.recent);
        self.weigh(org, limits, now);
        self.level
    }

    /// Counts what became of a recipient and says how the sender stands now.
    pub fn answered(&mut self, fact: &Answer, org: Level, limits: &Limits, now: u64) -> Level {
        self.advance(limits, now);
        let at = fact.at.min(now);
        let counts: &[Count] = match fact.told {
            Told::Delivered => &[Count::Answered, Count::Delivered],
            Told::Unknown => &[Count::Answered, Count::Unknown],
            Told::Refused => &[Count::Answered, Count::Refused],
            Told::Other => &[Count::Answered],
            Told::Complaint => &[Count::Complained],
        };
        counts.iter().for_each(|what| self.count(at, *what));
        self.weigh(org, limits, now);
        self.level
    }

    /// How the sender stands: the slow lane may have ended meanwhile.
    pub fn level(&mut self, org: Level, limits: &Limits, now: u64) -> Level {
        if self.may_calm(limits) {
            self.advance(limits, now);
            self.weigh(org, limits, now);
        }
        self.level
    }

    /// A person decides. Slow and blocked then last until a person decides again.
    pub fn set(&mut self, level: Level, note: &str, now: u64) {
        self.reasons.clear();
        self.change(level, By::Person, note, now);
    }

    /// A person lets the sender go on. What was counted does not count again.
    pub fn release(&mut self, how: Release, note: &str, now: u64) {
        if how == Release::WasNormal {
            self.usual.accept();
            self.networks.settle();
        }
        self.recent = Recent::new(now);
        (self.usual.complained, self.usual.delivered) = (0.0, 0.0);
        self.turned_away = 0;
        self.reasons.clear();
        self.change(Level::Normal, By::Person, note, now);
    }

    /// What the watch made of a sender while nobody was to be stopped is over; its profile stays.
    pub fn forgive(&mut self, now: u64) {
        if self.by == By::Watch && self.level != Level::Normal {
            self.recent = Recent::new(now);
            self.turned_away = 0;
            self.reasons.clear();
            self.change(Level::Normal, By::Watch, "", now);
        }
    }

    /// A mailing to so many recipients will come until then; it takes the place of an earlier announcement.
    pub fn announce(&mut self, recipients: u32, until: u64, note: &str) {
        self.campaign = Some(Campaign { recipients, left: recipients, until, note: shortened(note) });
    }

    /// What follows for its mail, as it was judged last.
    #[must_use]
    pub fn standing(&self, limits: &Limits, now: u64) -> Standing {
        match self.level {
            Level::Normal => Standing::Normal,
            Level::Slow => Standing::Slow,
            Level::Blocked => {
                let since = self.changes.last().map_or(now, |change| change.at);
                let is_over = limits.give_up_after_s <= now.saturating_sub(since);
                Standing::Blocked(if is_over { Patience::GiveUp } else { Patience::TryAgain })
            }
        }
    }

    /// When it did something last, unix seconds.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Why it stands as it does: the worst of each kind since it became strange.
    #[must_use]
    pub fn reasons(&self) -> &[Reason] {
        &self.reasons
    }

    fn advance(&mut self, limits: &Limits, now: u64) {
        // Where the clock was set back, nothing that is remembered may lie in the future.
        self.born = self.born.min(now);
        self.strange_at = self.strange_at.min(now);
        self.last = now;
        self.recent.advance(now);
        let day = self.usual.day;
        self.usual.advance(now);
        if self.is_org && !self.is_settled {
            self.usual.forget_new(self.usual.day.saturating_sub(day));
        }
        // Once: a clock that starts in 1970 makes nobody a newcomer again.
        self.is_settled |= limits.warm_up_s <= now - self.born && ACTIVE_MIN <= self.usual.active;
    }

    fn count(&mut self, at: u64, what: Count) {
        self.recent.add(at, what, 1);
        self.usual.add(what);
    }

    fn take_announced(&mut self, now: u64) -> bool {
        let is_announced = self.is_announced(now);
        if let Some(campaign) = self.campaign.as_mut().filter(|_| is_announced) {
            campaign.left -= 1;
        }
        is_announced
    }

    fn weigh(&mut self, org: Level, limits: &Limits, now: u64) {
        let found = judge::reasons(self, &Question { limits, org, percent: 100.0, now });
        let worst = found.iter().map(|reason| reason.level).max().unwrap_or(Level::Normal);
        if worst != Level::Normal {
            self.usual.is_ordinary = false;
            self.strange_at = now;
        }
        found.into_iter().for_each(|reason| self.remember(reason));
        if self.level < worst {
            self.change(worst, By::Watch, "", now);
        } else if self.may_calm(limits) {
            self.calm(org, limits, now);
        }
    }

    /// Blocked senders wait for a person, and so do those whom a person slowed.
    fn may_calm(&self, limits: &Limits) -> bool {
        let by_itself = self.is_org || self.by == By::Watch;
        match self.level {
            Level::Normal => false,
            Level::Slow => by_itself,
            Level::Blocked => self.is_org || (by_itself && limits.blocks_end == BlocksEnd::Calm),
        }
    }

    /// Back to normal only after a while well below the limits, so that nobody goes to and fro.
    fn calm(&mut self, org: Level, limits: &Limits, now: u64) {
        if !judge::reasons(self, &Question { limits, org, percent: CALM_PERCENT, now }).is_empty() {
            self.strange_at = now;
        } else if limits.calm_s <= now - self.strange_at {
            self.reasons.clear();
            self.change(Level::Normal, By::Watch, "", now);
        }
    }

    fn remember(&mut self, reason: Reason) {
        let same = self.reasons.iter_mut().find(|known| (known.sign, known.window) == (reason.sign, reason.window));
        match same {
            Some(known) if (known.level, known.count) < (reason.level, reason.count) => *known = reason,
            Some(_) => {}
            None => self.reasons.push(reason),
        }
    }

    fn change(&mut self, level: Level, by: By, note: &str, now: u64) {
        (self.level, self.by, self.strange_at) = (level, by, now);
        if CHANGES_MAX <= self.changes.len() {
            self.changes.remove(0);
        }
        self.changes.push(Change { at: now, level, by, note: shortened(note) });
    }

    fn floors<'a>(&self, limits: &'a Limits) -> &'a Floors {
        if self.is_org { &limits.org } else { limits.floors(self.stream) }
    }

    /// Its numbers do not count yet, because nobody knows what is usual for it.
    fn learns(&self, limits: &Limits, now: u64) -> bool {
        limits.learn_s != 0 && (now.saturating_sub(self.born) < limits.learn_s || self.usual.active < ACTIVE_MIN)
    }

    /// Which part of the floors a newcomer has.
    fn warm_up(&self, limits: &Limits) -> f64 {
        if self.is_settled || self.is_org { 1.0 } else { f64::from(limits.warm_up_percent) / 100.0 }
    }
}

impl Told {
    /// What an answer that ends an attempt for good says about the sender; none where the mail is tried again.
    #[must_use]
    pub fn of(cause: Cause, fate: Fate) -> Option<Self> {
        match (cause, fate) {
            // A server that finds spam speaks of the sender, though it may be asked again.
            (Cause::Content, _) => Some(Self::Refused),
            (_, Fate::Later | Fate::Slow | Fate::Elsewhere | Fate::Hold) => None,
            (Cause::Address, Fate::Final) => Some(Self::Unknown),
            (_, Fate::Final) => Some(Self::Other),
        }
    }
}

impl Window {
    /// Those of which all counts are kept.
    pub(crate) const RECENT: &'static [Self] = &[Self::Minutes, Self::Hour, Self::Day];
}

fn shortened(note: &str) -> String {
    let end = (0..=NOTE_MAX.min(note.len())).rev().find(|at| note.is_char_boundary(*at)).unwrap_or(0);
    note[..end].to_owned()
}

/// A note of a person: a sentence or two.
pub const NOTE_MAX: usize = 300;
/// Changes of level that are shown; a sender that changes more often has a person's attention.
const CHANGES_MAX: usize = 16;
/// Days on which a sender must have written to be no newcomer.
const ACTIVE_MIN: u32 = 2;
/// A mail is large from so many times the usual number of recipients on.
const LARGE_TIMES: f64 = 5.0;
/// Calm is well below the limits, in hundredths of them.
const CALM_PERCENT: f64 = 70.0;

#[cfg(test)]
mod tests;
