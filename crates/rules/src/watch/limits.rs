//! The numbers of the watch: what is tolerated of anybody, and how far above its own habit a sender may go.

use super::{Sign, Window};
use crate::outcome::Stream;

/// All numbers. Each may be set by the administrator.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    pub personal: Floors,
    pub transactional: Floors,
    pub bulk: Floors,
    pub forwarded: Floors,
    /// For all senders of an organisation together.
    pub org: Floors,
    /// How many times the most that was usual is still in order, all recipients and new ones.
    pub usual_times: f64,
    /// The same for recipients that are written to from strange networks, at odd hours or in large mails.
    pub odd_times: f64,
    /// How many times a limit blocks a sender within ten minutes; in an hour and a day three quarters of it.
    pub block_times: f64,
    /// New recipients count where they are this share of all, in thousandths.
    pub new_share: u32,
    /// A mail with more recipients than this is large, and where it has five times what is usual for the sender.
    pub large_mail: u32,
    /// Networks that a sender uses for the first time within a day.
    pub networks: u32,
    /// Dead recipients (unknown, or stopped as such), in thousandths, and how many there must be at least.
    pub dead: Share,
    /// Recipients that the list stopped.
    pub suppressed: Share,
    /// Recipients whose servers refused the content. Not for forwarded mail, which brings what others wrote.
    pub refused: Share,
    /// Complaints of a week.
    pub complained: Share,
    /// How many times the usual share is in order.
    pub share_times: f64,
    /// New recipients of a day from which a sender is part of what is strange about its organisation.
    pub part_of_org: u32,
    /// How long a sender is new, in seconds, and which part of the floors it has meanwhile, in hundredths.
    pub warm_up_s: u64,
    pub warm_up_percent: u32,
    /// How long a sender is only learned from, in seconds: its shares count meanwhile, and its numbers do not. 0: not at all.
    pub learn_s: u64,
    /// How long a network is strange, in seconds.
    pub strange_s: u64,
    /// The slow lane ends after so many seconds without a reason.
    pub calm_s: u64,
    /// How a block ends that the watch made.
    pub blocks_end: BlocksEnd,
    /// How long a blocked sender is told to try again, in seconds; then its mail is refused for good.
    pub give_up_after_s: u64,
}

/// How a block ends that the watch made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlocksEnd {
    ByPerson,
    /// Like slow, after a calm while: where nobody is really stopped, nobody should have to be released.
    Calm,
}

/// Recipients in ten minutes, an hour and a day that are in order whoever sends them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Floors {
    pub volume: [u32; 3],
    pub new: [u32; 3],
    pub elsewhere: [u32; 3],
    pub odd_hours: [u32; 3],
    pub large: [u32; 3],
}

/// A share in thousandths, and the count below which it says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    pub slow: u32,
    pub block: u32,
    pub slow_min: u32,
    pub block_min: u32,
}

impl Limits {
    #[must_use]
    pub fn floors(&self, stream: Stream) -> &Floors {
        match stream {
            Stream::Personal => &self.personal,
            Stream::Transactional => &self.transactional,
            Stream::Bulk => &self.bulk,
            Stream::Forwarded => &self.forwarded,
        }
    }
}

impl Floors {
    pub(super) fn of(&self, sign: Sign, window: Window) -> u32 {
        let floors = match sign {
            Sign::New => self.new,
            Sign::Elsewhere => self.elsewhere,
            Sign::OddHours => self.odd_hours,
            Sign::LargeMails => self.large,
            _ => self.volume,
        };
        floors.get(window as usize).copied().unwrap_or(u32::MAX)
    }
}

impl Default for Limits {
    /// Found with `sm2tp simulate senders`; docs/sender-watch.md says how well they do.
    fn default() -> Self {
        let personal = Floors {
            volume: [120, 200, 400],
            new: [70, 80, 120],
            elsewhere: [30, 40, 60],
            odd_hours: [30, 40, 60],
            large: [100, 120, 200],
        };
        let machine = Floors {
            volume: [200, 400, 1500],
            new: [40, 60, 150],
            elsewhere: [50, 80, 150],
            odd_hours: [50, 80, 150],
            large: [200, 400, 1500],
        };
        let everybody = Floors {
            volume: [1000, 2000, 6000],
            new: [150, 200, 350],
            elsewhere: [1000, 2000, 6000],
            odd_hours: [1000, 2000, 6000],
            large: [1000, 2000, 6000],
        };
        Self {
            personal,
            transactional: machine,
            bulk: Floors { volume: [500, 1000, 3000], new: [50, 70, 150], ..machine },
            forwarded: machine,
            org: everybody,
            usual_times: 6.0,
            odd_times: 3.0,
            block_times: 2.0,
            new_share: 200,
            large_mail: 20,
            networks: 6,
            dead: Share { slow: 40, block: 70, slow_min: 10, block_min: 15 },
            suppressed: Share { slow: 50, block: 100, slow_min: 8, block_min: 15 },
            refused: Share { slow: 100, block: 250, slow_min: 8, block_min: 15 },
            complained: Share { slow: 3, block: 10, slow_min: 5, block_min: 10 },
            share_times: 3.0,
            part_of_org: 10,
            warm_up_s: 14 * 86_400,
            warm_up_percent: 75,
            learn_s: 0,
            strange_s: 3 * 86_400,
            calm_s: 6 * 3600,
            blocks_end: BlocksEnd::ByPerson,
            give_up_after_s: 86_400,
        }
    }
}
