//! The senders of one organisation, each and together.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Answer, Attempt, Level, Limits, Standing, Told, Watch};
use crate::outcome::Stream;

/// The memory of one organisation.
#[derive(Debug, Clone, PartialEq)]
pub struct Org {
    pub(super) whole: Watch,
    pub(super) senders: BTreeMap<Arc<str>, Watch>,
    /// Who was forgotten since it was asked last.
    pub(super) forgotten: Vec<Arc<str>>,
}

impl Org {
    #[must_use]
    pub fn new(now: u64) -> Self {
        let whole = Watch { is_org: true, ..Watch::new(Stream::Personal, now) };
        Self { whole, senders: BTreeMap::new(), forgotten: Vec::new() }
    }

    /// Counts a recipient whom `sender` names, and says how it stands.
    pub fn attempt(&mut self, sender: &str, fact: &Attempt, limits: &Limits, now: u64) -> Level {
        let known = self.sender(sender, fact.stream, now);
        let (is_announced, is_stopped) = (known.is_announced(now), known.level == Level::Blocked);
        // What a thief still tries says nothing about the others. A network is strange for a person; an organisation is everywhere.
        let everywhere = Attempt { client: None, place: None, ..*fact };
        let whole = match is_stopped {
            true => self.whole.level(Level::Normal, limits, now),
            false => self.whole.named(&everywhere, is_announced, Level::Normal, limits, now),
        };
        self.sender(sender, fact.stream, now).attempt(fact, whole, limits, now)
    }

    /// Counts what became of a recipient of `sender`, and says how it stands. Who was forgotten meanwhile stays so.
    pub fn answered(&mut self, sender: &str, fact: &Answer, limits: &Limits, now: u64) -> Level {
        let is_forwarder = self.known_mut(sender).is_some_and(|watch| watch.stream == Stream::Forwarded);
        // Content that others wrote says nothing about the organisation.
        let told = if is_forwarder && fact.told == Told::Refused { Told::Other } else { fact.told };
        let whole = self.whole.answered(&Answer { told, ..*fact }, Level::Normal, limits, now);
        self.known_mut(sender).map_or(Level::Normal, |watch| watch.answered(fact, whole, limits, now))
    }

    /// Counts what is told of `sender` long after it happened: it teaches, and slows and blocks nobody.
    pub fn late<T>(&mut self, sender: &str, now: u64, count: impl FnOnce(&mut Self) -> T) -> T {
        let (before, whole_before) = (self.stood(sender), self.whole.level);
        let counted = count(self);
        if whole_before == Level::Normal {
            self.whole.forgive(now);
        }
        if before == Level::Normal
            && let Some(watch) = self.known_mut(sender)
        {
            watch.forgive(now);
        }
        counted
    }

    /// How `sender` stands.
    pub fn level(&mut self, sender: &str, limits: &Limits, now: u64) -> Level {
        let whole = self.whole.level(Level::Normal, limits, now);
        self.known_mut(sender).map_or(Level::Normal, |watch| watch.level(whole, limits, now))
    }

    /// What follows for the mail of `sender`.
    pub fn standing(&mut self, sender: &str, limits: &Limits, now: u64) -> Standing {
        self.level(sender, limits, now);
        self.known_mut(sender).map_or(Standing::Normal, |watch| watch.standing(limits, now))
    }

    /// How `sender` stood when it was judged last.
    #[must_use]
    pub fn stood(&self, sender: &str) -> Level {
        self.senders.get(sender).or_else(|| self.senders.get(OTHERS)).map_or(Level::Normal, |watch| watch.level)
    }

    /// Who was forgotten since this was asked last, because there were too many.
    pub fn take_forgotten(&mut self) -> Vec<Arc<str>> {
        std::mem::take(&mut self.forgotten)
    }

    /// What the watch made of everybody while nobody was to be stopped is over.
    pub fn forgive(&mut self, now: u64) {
        self.senders.values_mut().chain([&mut self.whole]).for_each(|watch| watch.forgive(now));
    }

    /// All senders together.
    #[must_use]
    pub fn whole(&self) -> &Watch {
        &self.whole
    }

    /// All senders, by name.
    pub fn senders(&self) -> impl Iterator<Item = (&str, &Watch)> {
        self.senders.iter().map(|(name, watch)| (&**name, watch))
    }

    /// One sender that has written, for a person to decide about.
    pub fn known_mut(&mut self, sender: &str) -> Option<&mut Watch> {
        let name = if self.senders.contains_key(sender) { sender } else { OTHERS };
        self.senders.get_mut(name)
    }

    /// One sender, which may be new.
    pub fn sender(&mut self, sender: &str, stream: Stream, now: u64) -> &mut Watch {
        if !self.senders.contains_key(sender) && SENDERS_MAX <= self.senders.len() {
            self.make_room();
        }
        let has_room = self.senders.contains_key(sender) || self.senders.len() < SENDERS_MAX;
        let name = if has_room { sender } else { OTHERS };
        self.senders.entry(Arc::from(name)).or_insert_with(|| Watch::new(stream, now))
    }

    /// Forgets an eighth: newcomers first, then those who have been silent for longest. Whoever is slow or blocked stays.
    fn make_room(&mut self) {
        let calm = self.senders.iter().filter(|(_, watch)| watch.level == Level::Normal);
        let mut gone: Vec<_> = calm.map(|(name, watch)| (watch.is_settled, watch.last, name.clone())).collect();
        gone.sort();
        for (_, _, name) in gone.into_iter().take(SENDERS_MAX / 8) {
            self.senders.remove(&name);
            if self.forgotten.len() < SENDERS_MAX {
                self.forgotten.push(name);
            }
        }
    }
}

/// Who finds no room because so many are slow or blocked shares one memory, and its limits.
const OTHERS: &str = "*";
/// Senders of one organisation; some kilobytes each. Sender addresses of a trusted network can be invented without end.
const SENDERS_MAX: usize = 4000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::tests::attempt;

    const T0: u64 = 1_800_000_000;

    #[test]
    fn a_million_sender_addresses_take_bounded_memory_and_the_organisation_is_seen() {
        let (mut org, limits) = (Org::new(T0), Limits::default());
        for n in 0..30_u64 {
            let at = T0 + n * 86_400;
            org.attempt("anna@x.example", &attempt(at, 1), &limits, at);
        }
        let (mut slow, start) = (0, T0 + 30 * 86_400);
        for n in 0..8_000_u64 {
            let at = start + n / 100;
            let level = org.attempt(&format!("{n}@x.example"), &attempt(at, 1000 + n), &limits, at);
            slow += u64::from(level != Level::Normal);
        }
        assert!(org.senders.len() <= SENDERS_MAX + 1);
        assert!(org.whole.level == Level::Blocked && 7_500 < slow, "{slow}");
    }

    #[test]
    fn a_hundred_mailboxes_that_begin_on_one_day_are_no_attack_and_hide_none_afterwards() {
        let (mut org, limits) = (Org::new(T0), Limits::default());
        let day = 86_400;
        // Twelve people each, of whom the second half is met on the second day.
        for n in 0..20 * 100 * 6_u64 {
            let (at, who, whom) = (T0 + n * 12, n % 100, n / 100 % 12);
            let level = org.attempt(&format!("m{who}"), &attempt(at, who * 12 + whom), &limits, at);
            assert_eq!((level, org.whole.level), (Level::Normal, Level::Normal), "{n}");
        }
        let start = T0 + 30 * day;
        for n in 0..50 * 15_u64 {
            let at = start + n * 20;
            org.attempt(&format!("m{}", n % 50), &attempt(at, 10_000 + n), &limits, at);
        }
        let blocked = org.senders().filter(|(_, watch)| watch.level == Level::Blocked).count();
        assert_eq!(blocked, 50);
    }

    #[test]
    fn what_a_blocked_sender_still_tries_makes_nobody_else_strange() {
        let (mut org, limits) = (Org::new(T0), Limits::default());
        let day = 86_400;
        for n in 0..30 * 12_u64 {
            let (at, who) = (T0 + n * day / 12, n % 3);
            org.attempt(&format!("m{who}"), &attempt(at, who), &limits, at);
        }
        let start = T0 + 30 * day;
        for n in 0..5_000_u64 {
            org.attempt("m0", &attempt(start + n, 1000 + n), &limits, start + n);
        }
        for n in 0..25_u64 {
            let at = start + 5_000 + n;
            assert_eq!(org.attempt("m1", &attempt(at, 90_000 + n), &limits, at), Level::Normal, "{n}");
        }
        assert_eq!((org.stood("m0"), org.whole.level), (Level::Blocked, Level::Normal));
    }

    #[test]
    fn an_invitation_of_last_month_does_not_hide_what_goes_on_for_a_day_nor_does_a_busy_owner() {
        #[track_caller]
        fn check(guests: u64, own_a_day: u64) {
            let (mut org, limits) = (Org::new(T0), Limits::default());
            let day = 86_400;
            let ordinary = |org: &mut Org, from: u64, days: u64| {
                for n in 0..days * own_a_day {
                    let at = from + n * day / own_a_day;
                    org.attempt("anna", &attempt(at, n % 12), &limits, at);
                }
            };
            ordinary(&mut org, T0, 30);
            for n in 0..guests {
                org.attempt("anna", &attempt(T0 + 30 * day, 500 + n), &limits, T0 + 30 * day);
            }
            ordinary(&mut org, T0 + 31 * day, 2);
            let start = T0 + 33 * day;
            let blocked = (0..72_u64).find(|n| {
                let at = start + n * 1200;
                // As many others keep it.
                org.whole.set(Level::Blocked, "", at);
                for m in 0..own_a_day / 72 {
                    org.attempt("anna", &attempt(at, m % 12), &limits, at);
                }
                org.attempt("anna", &attempt(at, 1000 + n), &limits, at) == Level::Blocked
            });
            assert!(blocked.is_some_and(|n| n < 40), "{guests} guests, {own_a_day} a day: {blocked:?}");
        }
        check(0, 12);
        check(55, 12);
        check(0, 144);
        check(55, 144);
    }

    #[test]
    fn what_is_told_late_teaches_and_stops_nobody() {
        let (mut org, limits) = (Org::new(T0), Limits::default());
        for n in 0..400 {
            org.late("anna", T0 + n, |org| org.attempt("anna", &attempt(T0 + n, n), &limits, T0 + n));
        }
        assert_eq!((org.stood("anna"), org.whole.level), (Level::Normal, Level::Normal));
        let day = T0 + 86_400;
        // To those of before nothing is new, and new ones are counted as ever.
        for n in 0..60 {
            assert_eq!(org.attempt("anna", &attempt(day + n, n), &limits, day + n), Level::Normal);
        }
        let levels = (0..60).map(|n| org.attempt("anna", &attempt(day + n, 1000 + n), &limits, day + n));
        assert!(levels.max() == Some(Level::Slow));
        org.late("anna", day + 60, |_| ());
        assert_eq!(org.stood("anna"), Level::Slow, "what is slow for another reason stays so");
    }

    #[test]
    fn fifty_mailboxes_that_send_a_little_each_are_stopped_and_the_others_are_not() {
        let (mut org, limits) = (Org::new(T0), Limits::default());
        let day = 86_400;
        for n in 0..30 * 50 * 4_u64 {
            let (at, who) = (T0 + n * 30 * day / (30 * 50 * 4), n % 50);
            org.attempt(&format!("m{who}"), &attempt(at, who), &limits, at);
        }
        let start = T0 + 30 * day;
        for n in 0..50 * 25_u64 {
            let at = start + n * 20;
            let _ = org.attempt(&format!("m{}", n % 49), &attempt(at, 1000 + n), &limits, at);
            if n.is_multiple_of(25) {
                assert_eq!(org.attempt("m49", &attempt(at, 49), &limits, at), Level::Normal);
            }
        }
        let blocked = org.senders().filter(|(_, watch)| watch.level == Level::Blocked).count();
        assert_eq!(blocked, 49);
    }
}
