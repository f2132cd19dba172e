//! The memory of an organisation's senders as octets, to be kept over a restart (I9: a version first).

use std::collections::BTreeMap;
use std::sync::Arc;

use thiserror::Error;

use super::known::{FILTERS_MAX, Filter, Known, WORDS_MAX};
use super::networks::{NETWORKS_MAX, Networks, Seen};
use super::recent::{Counts, HOURS, MINUTES, Recent};
use super::usual::Usual;
use super::{CHANGES_MAX, Campaign, Change, Count, Level, NOTE_MAX, Network, Org, Reason, Sign, Watch, Window};
use crate::outcome::Stream;
use crate::places::{Country, Place};

/// Octets that are no memory of senders. Such a sender is met anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SavedError {
    #[error("the memory of a sender is of version {0}, which this version cannot read")]
    Version(u8),
    #[error("the memory of a sender is damaged")]
    Damaged,
}

impl Watch {
    /// For the store. The first octet is the version.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Out(vec![VERSION]);
        out.watch(self);
        out.0
    }

    /// What [`Watch::to_bytes`] made.
    ///
    /// # Errors
    /// Where the octets are of a newer version, or damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SavedError> {
        match bytes.split_first() {
            Some((&version @ (VERSION | WITHOUT_PLACES), rest)) => {
                let mut read = Read { rest, version };
                let watch = read.watch().filter(|_| read.rest.is_empty());
                watch.ok_or(SavedError::Damaged)
            }
            Some((version, _)) => Err(SavedError::Version(*version)),
            None => Err(SavedError::Damaged),
        }
    }
}

impl Org {
    /// Puts together what was kept: all senders together, and each with its name.
    #[must_use]
    pub fn restored(whole: Watch, senders: impl IntoIterator<Item = (Arc<str>, Watch)>) -> Self {
        let senders: BTreeMap<Arc<str>, Watch> = senders.into_iter().collect();
        Self { whole: Watch { is_org: true, ..whole }, senders, forgotten: Vec::new() }
    }
}

struct Out(Vec<u8>);

impl Out {
    fn watch(&mut self, watch: &Watch) {
        self.u64(watch.born);
        self.u64(watch.last);
        self.word(Stream::ALL, watch.stream);
        self.0.push(u8::from(watch.is_org));
        self.0.push(u8::from(watch.is_settled));
        self.word(Level::ALL, watch.level);
        self.word(super::By::ALL, watch.by);
        self.u64(watch.strange_at);
        self.u32(watch.turned_away);
        self.list(&watch.reasons, Self::reason);
        self.list(&watch.changes, Self::change);
        self.list(watch.campaign.as_slice(), |out, campaign| {
            out.u32(campaign.recipients);
            out.u32(campaign.left);
            out.u64(campaign.until);
            out.note(&campaign.note);
        });
        self.u64(watch.recent.now);
        for counts in watch.recent.minutes.iter().chain(&watch.recent.hours) {
            counts.0.iter().for_each(|count| self.u32(*count));
        }
        self.usual(&watch.usual);
        self.u64(watch.known.since);
        self.list(&watch.known.filters, Self::filter);
        self.list(&watch.networks.0, |out, seen| {
            let (kind, prefix) = match seen.network {
                Network::V4(prefix) => (4, u32::from(prefix)),
                Network::V6(prefix) => (6, prefix),
            };
            out.0.push(kind);
            out.u32(prefix);
            out.u32(seen.place.map_or(0, |place| place.asn));
            out.country(seen.place.map(|place| place.country).unwrap_or_default());
            out.u64(seen.first);
            out.u64(seen.last);
        });
    }

    fn country(&mut self, country: Country) {
        let letters = country.as_str().unwrap_or("--");
        self.0.extend(letters.as_bytes());
    }

    fn usual(&mut self, usual: &Usual) {
        self.u64(usual.day);
        self.0.push(u8::from(usual.is_ordinary));
        self.0.push(u8::from(usual.is_odd));
        usual.today.iter().flatten().for_each(|count| self.u32(*count));
        usual.high.iter().flatten().for_each(|high| self.f64(*high));
        usual.counts.iter().for_each(|count| self.u32(*count));
        usual.sums.iter().for_each(|sum| self.f64(*sum));
        self.f64(usual.complained);
        self.f64(usual.delivered);
        self.u64(usual.hour);
        self.u32(usual.in_hour);
        usual.week.iter().for_each(|mean| self.0.extend(mean.to_le_bytes()));
        self.u32(usual.active);
    }

    fn reason(&mut self, reason: &Reason) {
        self.word(Sign::ALL, reason.sign);
        self.word(Window::ALL, reason.window);
        [reason.count, reason.of, reason.limit, reason.usual].iter().for_each(|number| self.u32(*number));
        self.word(Level::ALL, reason.level);
    }

    fn change(&mut self, change: &Change) {
        self.u64(change.at);
        self.word(Level::ALL, change.level);
        self.word(super::By::ALL, change.by);
        self.note(&change.note);
    }

    fn note(&mut self, note: &str) {
        self.list(note.as_bytes(), |out, octet| out.0.push(*octet));
    }

    fn filter(&mut self, filter: &Filter) {
        self.u32(filter.entries);
        self.list(&filter.words, |out, word| out.u64(*word));
    }

    fn list<T>(&mut self, items: &[T], each: impl Fn(&mut Self, &T)) {
        self.0.extend(u16::try_from(items.len()).unwrap_or(u16::MAX).to_le_bytes());
        items.iter().take(usize::from(u16::MAX)).for_each(|item| each(self, item));
    }

    fn word<T: PartialEq>(&mut self, all: &[T], word: T) {
        let at = all.iter().position(|known| *known == word).unwrap_or(0);
        self.0.push(at as u8);
    }

    fn u32(&mut self, number: u32) {
        self.0.extend(number.to_le_bytes());
    }

    fn u64(&mut self, number: u64) {
        self.0.extend(number.to_le_bytes());
    }

    fn f64(&mut self, number: f64) {
        self.u64(number.to_bits());
    }
}

struct Read<'a> {
    rest: &'a [u8],
    version: u8,
}

impl Read<'_> {
    fn watch(&mut self) -> Option<Watch> {
        Some(Watch {
            born: self.u64()?,
            last: self.u64()?,
            stream: self.word(Stream::ALL)?,
            is_org: self.flag()?,
            is_settled: self.flag()?,
            level: self.word(Level::ALL)?,
            by: self.word(super::By::ALL)?,
            strange_at: self.u64()?,
            turned_away: self.u32()?,
            reasons: self.list(REASONS_MAX, Self::reason)?,
            changes: self.list(CHANGES_MAX, Self::change)?,
            campaign: self.list(1, Self::campaign)?.pop(),
            recent: self.recent()?,
            usual: self.usual()?,
            known: self.known()?,
            networks: Networks(self.list(NETWORKS_MAX, Self::seen)?),
        })
    }

    fn recent(&mut self) -> Option<Recent> {
        let now = self.u64()?;
        let (mut minutes, mut hours) = ([Counts::default(); MINUTES], [Counts::default(); HOURS]);
        for counts in minutes.iter_mut().chain(&mut hours) {
            *counts = Counts(self.numbers(Self::u32)?);
        }
        Some(Recent::of(now, minutes, hours))
    }

    fn usual(&mut self) -> Option<Usual> {
        let mut usual = Usual::new(0);
        usual.day = self.u64()?;
        usual.is_ordinary = self.flag()?;
        usual.is_odd = self.flag()?;
        usual.today = [self.numbers(Self::u32)?, self.numbers(Self::u32)?];
        usual.high = [self.numbers(Self::f64)?, self.numbers(Self::f64)?];
        usual.counts = self.numbers(Self::u32)?;
        usual.sums = self.numbers(Self::f64)?;
        usual.complained = self.f64()?;
        usual.delivered = self.f64()?;
        usual.hour = self.u64()?;
        usual.in_hour = self.u32()?;
        usual.week = self.numbers(Self::u16)?;
        usual.active = self.u32()?;
        Some(usual)
    }

    fn known(&mut self) -> Option<Known> {
        let since = self.u64()?;
        let filters = self.list(FILTERS_MAX, Self::filter)?;
        (!filters.is_empty()).then_some(Known { filters, since })
    }

    fn filter(&mut self) -> Option<Filter> {
        let entries = self.u32()?;
        let words = self.list(WORDS_MAX, Self::u64)?;
        words.len().is_power_of_two().then_some(Filter { words, entries })
    }

    fn seen(&mut self) -> Option<Seen> {
        let (kind, prefix) = (self.u8()?, self.u32()?);
        let network = match kind {
            4 => Network::V4(u16::try_from(prefix).ok()?),
            6 => Network::V6(prefix),
            _ => return None,
        };
        let place = if self.version == WITHOUT_PLACES { None } else { self.place()? };
        Some(Seen { network, place, first: self.u64()?, last: self.u64()? })
    }

    /// None within where no table knew it.
    fn place(&mut self) -> Option<Option<Place>> {
        let (asn, letters) = (self.u32()?, self.take::<2>()?);
        let country = Country::parse(std::str::from_utf8(&letters).unwrap_or_default());
        Some((asn != 0).then_some(Place { asn, country }))
    }

    fn campaign(&mut self) -> Option<Campaign> {
        Some(Campaign { recipients: self.u32()?, left: self.u32()?, until: self.u64()?, note: self.note()? })
    }

    fn reason(&mut self) -> Option<Reason> {
        let (sign, window) = (self.word(Sign::ALL)?, self.word(Window::ALL)?);
        let [count, of, limit, usual] = self.numbers(Self::u32)?;
        Some(Reason { sign, window, count, of, limit, usual, level: self.word(Level::ALL)? })
    }

    fn change(&mut self) -> Option<Change> {
        let (at, level, by) = (self.u64()?, self.word(Level::ALL)?, self.word(super::By::ALL)?);
        Some(Change { at, level, by, note: self.note()? })
    }

    fn note(&mut self) -> Option<String> {
        String::from_utf8(self.list(NOTE_MAX, Self::u8)?).ok()
    }

    fn list<T>(&mut self, len_max: usize, mut each: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let len = usize::from(self.u16()?);
        if len_max < len {
            return None;
        }
        (0..len).map(|_| each(self)).collect()
    }

    fn numbers<T: Copy + Default, const N: usize>(
        &mut self,
        mut each: impl FnMut(&mut Self) -> Option<T>,
    ) -> Option<[T; N]> {
        let mut numbers = [T::default(); N];
        for number in &mut numbers {
            *number = each(self)?;
        }
        Some(numbers)
    }

    fn word<T: Copy>(&mut self, all: &[T]) -> Option<T> {
        all.get(usize::from(self.u8()?)).copied()
    }

    fn flag(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    /// No number of ours is negative or beyond all bounds.
    fn f64(&mut self) -> Option<f64> {
        Some(f64::from_bits(self.u64()?)).filter(|number| (0.0..=NUMBER_MAX).contains(number))
    }

    fn u8(&mut self) -> Option<u8> {
        self.take().map(|[octet]: [u8; 1]| octet)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*head)
    }
}

/// Raised with every change of the fields, and with every change of the order of words that are written as numbers.
const VERSION: u8 = 2;
/// The first one, which knew networks by their neighbourhoods alone.
const WITHOUT_PLACES: u8 = 1;
/// One for each sign and window.
const REASONS_MAX: usize = Sign::ALL.len() * Window::ALL.len();
/// Sums of recipients; far more than a node sends in its life.
const NUMBER_MAX: f64 = 1e15;
const _: () = assert!(Count::ALL.len() == 13, "what is counted is part of the format: raise VERSION");
