//! The evidence about a sender, for people and programs to read.

use serde::Serialize;

use super::networks::{Seen, is_strange};
use super::usual::Habit;
use super::{By, Campaign, Change, Count, Level, Limits, Reason, Watch, Window};
use crate::places::{Place, Places};

/// What is known of a sender.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shown {
    pub level: Level,
    pub by: By,
    pub reasons: Vec<Reason>,
    /// The same as sentences.
    pub english: Vec<String>,
    pub french: Vec<String>,
    pub changes: Vec<Change>,
    /// Recipients that were turned away since it is blocked.
    pub turned_away: u32,
    pub campaign: Option<Campaign>,
    /// Unix seconds of its first and last mail.
    pub since: u64,
    pub last: u64,
    pub newcomer: bool,
    /// Unix seconds until which it is only learned from at least: so long its numbers do not count, its shares do.
    pub learned_until: Option<u64>,
    pub counts: Vec<Tally>,
    /// About how many people it has written to lately.
    pub known_recipients: u32,
    pub recipients_a_mail: f64,
    pub networks: Vec<From>,
    /// Recipients in each hour of the day (UTC), as hundredths of all.
    pub hours: [u32; 24],
}

/// A network from which it wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct From {
    /// 192.0.0.0/16, 2001:db8::/32; where it was last, if the network is known as a company's.
    pub network: String,
    /// The number of the autonomous system, where a table knew it.
    pub asn: Option<u32>,
    /// The same for people, with its name and country: `AS64500 EXAMPLE, FR`.
    pub whose: Option<String>,
    /// Unix seconds; the first is 0 where a person said that the network is in order.
    pub first: u64,
    pub last: u64,
    pub strange: bool,
}

/// One thing that is counted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tally {
    pub what: Count,
    /// In ten minutes, an hour and a day.
    pub recent: [u32; 3],
    /// The most that was usual in those times, where that is learned.
    pub usual: Option<[u32; 3]>,
    /// The share that is usual, in thousandths, where that is learned.
    pub usual_share: Option<u32>,
}

impl Watch {
    /// Everything that is known, as it stood when something was counted last, with networks as `places` names them.
    #[must_use]
    pub fn shown(&self, limits: &Limits, places: &Places) -> Shown {
        let from = |seen: &Seen| From {
            network: seen.network.to_string(),
            asn: seen.place.map(|place| place.asn),
            whose: seen.place.map(|place| whose(place, places)),
            first: seen.first,
            last: seen.last,
            strange: is_strange(seen, limits.strange_s, self.last),
        };
        Shown {
            level: self.level,
            by: self.by,
            reasons: self.reasons.clone(),
            english: self.reasons.iter().map(Reason::english).collect(),
            french: self.reasons.iter().map(Reason::french).collect(),
            changes: self.changes.clone(),
            turned_away: self.turned_away,
            campaign: self.campaign.clone(),
            since: self.born,
            last: self.last,
            newcomer: !self.is_settled,
            learned_until: self.learns(limits, self.last).then(|| self.born.saturating_add(limits.learn_s)),
            counts: Count::ALL.iter().map(|what| self.tally(*what)).collect(),
            known_recipients: self.known.len(),
            recipients_a_mail: self.usual.recipients_a_mail(),
            networks: self.networks.0.iter().map(from).collect(),
            hours: self.hours(),
        }
    }

    /// How it stands, as it was judged last.
    #[must_use]
    pub fn stood(&self) -> (Level, By) {
        (self.level, self.by)
    }

    /// When its level changed last, and when a person decided about it last; unix seconds, none: never.
    #[must_use]
    pub fn changed_at(&self) -> (Option<u64>, Option<u64>) {
        let of_person = self.changes.iter().filter(|change| change.by == By::Person);
        (self.changes.last().map(|change| change.at), of_person.map(|change| change.at).max())
    }

    /// Brings the counts up to `now`, so that what is shown is of now.
    pub fn refresh(&mut self, limits: &Limits, now: u64) {
        self.advance(limits, now);
    }

    fn tally(&self, what: Count) -> Tally {
        let habit = match what {
            Count::Asked => Some(Habit::All),
            Count::New => Some(Habit::New),
            _ => None,
        };
        let of = match what {
            Count::New | Count::Suppressed => Some(Count::Asked),
            Count::Unknown | Count::Refused => Some(Count::Answered),
            Count::Complained => Some(Count::Delivered),
            _ => None,
        };
        let windows = [Window::Minutes, Window::Hour, Window::Day];
        Tally {
            what,
            recent: windows.map(|window| self.recent.sum(what, window)),
            usual: habit.map(|habit| windows.map(|window| self.usual.high(habit, window).round() as u32)),
            usual_share: of.map(|of| self.usual.permille(what, of).round() as u32),
        }
    }

    fn hours(&self) -> [u32; 24] {
        let mut hours = [0_u64; 24];
        for (at, mean) in self.usual.week.iter().enumerate() {
            hours[at % 24] += u64::from(*mean);
        }
        let all = hours.iter().sum::<u64>().max(1);
        hours.map(|hour| (hour * 100 / all) as u32)
    }
}

fn whose(place: Place, places: &Places) -> String {
    let mut text = format!("AS{}", place.asn);
    for (before, known) in [(" ", places.name(place.asn)), (", ", place.country.as_str())] {
        known.into_iter().for_each(|known| text.extend([before, known]));
    }
    text
}
