//! How origins agree with what this node saw itself, and when a provider erred (`FEDERATION.md` §8.3, §8.4).
//!
//! Each segment is compared when it is kept, before anything in it is believed; now and then everything this node knows
//! is compared with everything others say, because its own deliveries go on.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use sm2tp_federation::belief::{self, Agreement, BeliefLimits, Switch};
use sm2tp_federation::keys::NodeKey;
use sm2tp_federation::record::Class;
use sm2tp_federation::segment::Verified;
use sm2tp_federation::standing::{Months, OwnWord, Tally, dead_since, month, own_word};
use sm2tp_federation::tags::Tag;
use sm2tp_rules::Evidence;

use super::{Federated, FederatedError, node_key};
use crate::sql::{self, Row, Sql, SqlError};

/// How one origin agrees with this node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Judgement {
    /// As of the last comparison with everything.
    whole: Months,
    /// Segments since then; those from before one that is under way apart, so that nothing is lost meanwhile.
    before: Months,
    fresh: Months,
    /// The sum of the three.
    tally: Tally,
    /// Months in which it said so much that is wrong that what came then is not believed.
    doubted: BTreeSet<u32>,
    /// Unix seconds; none: it is believed.
    pub quarantined_since: Option<u64>,
    /// What is written down: thousands of origins of which nothing is new are not written again at each comparison.
    kept: Option<Kept>,
}

/// What a start reads of a judgement.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Kept {
    contradicted: u32,
    agreed: u32,
    quarantined_since: Option<u64>,
    doubted: BTreeSet<u32>,
}

/// An origin that is not believed any more, or again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turned {
    pub origin: NodeKey,
    pub judgement: Judgement,
}

impl Judgement {
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Whether the words of a month are not believed.
    pub(super) fn doubts(&self, month: impl FnOnce() -> u32) -> bool {
        !self.doubted.is_empty() && self.doubted.contains(&month())
    }

    /// Months of which the words are not believed.
    #[must_use]
    pub fn months_doubted(&self) -> usize {
        self.doubted.len()
    }

    #[must_use]
    pub fn agreement(&self, limits: &BeliefLimits) -> Agreement {
        self.tally().agreement(limits)
    }

    /// As it was written down before the last stop.
    fn of_past(past: Tally, quarantined_since: Option<u64>, doubted: BTreeSet<u32>) -> Self {
        let read = Self { whole: past.into(), tally: past, quarantined_since, doubted, ..Self::default() };
        Self { kept: Some(read.to_keep()), ..read }
    }

    fn to_keep(&self) -> Kept {
        let Tally { contradicted, agreed, .. } = self.tally;
        Kept { contradicted, agreed, quarantined_since: self.quarantined_since, doubted: self.doubted.clone() }
    }

    /// Takes what a new segment brought into account; answers as [`Self::settle`].
    fn hear(&mut self, brought: &Months, limits: &BeliefLimits, now: u64) -> bool {
        self.fresh.extend(brought);
        let known = self.doubted.clone();
        let turned = self.settle(limits, now);
        // What was doubted stays so until everything is compared again.
        self.doubted.extend(known);
        turned
    }

    /// Adds up what is known; answers with whether the origin is not believed any more, or again.
    fn settle(&mut self, limits: &BeliefLimits, now: u64) -> bool {
        let mut all = self.whole.clone();
        [&self.before, &self.fresh].into_iter().for_each(|part| all.extend(part));
        (self.tally, self.doubted) = (all.whole(), all.doubted(limits));
        let quarantined = self.agreement(limits) == Agreement::Quarantine;
        if quarantined == self.quarantined_since.is_some() {
            return false;
        }
        self.quarantined_since = quarantined.then_some(now);
        true
    }
}

impl Federated {
    /// Compares all that this node saw itself with what others say, and notes what it found. Answers with the origins of
    /// which it thinks otherwise now. `now` in unix seconds.
    ///
    /// # Errors
    /// [`FederatedError`] where it cannot be noted; it is believed all the same.
    pub async fn judge(&self, now: u64) -> Result<Vec<Turned>, FederatedError> {
        self.tend_index()?;
        self.sweep_in_time(now);
        // An index that lacks events would make a liar look honest.
        if self.belief.agreement == Switch::Off || self.upkeep.is_reading() {
            return Ok(Vec::new());
        }
        for judgement in self.write_index().judged_mut().values_mut() {
            let fresh = std::mem::take(&mut judgement.fresh);
            judgement.before.extend(&fresh);
        }
        let federated = self.clone();
        let tallies = tokio::task::spawn_blocking(move || federated.tallies(now)).await;
        let tallies = tallies.map_err(|error| FederatedError::Refused(error.to_string()))?;
        let (mut turned, mut changed) = (Vec::new(), Vec::new());
        {
            let mut index = self.write_index();
            let judged = index.judged_mut();
            for origin in tallies.keys() {
                judged.entry(*origin).or_default();
            }
            for (origin, judgement) in judged.iter_mut() {
                // A segment that came meanwhile may be in both counts: its origin keeps the older one until the next time.
                if judgement.fresh.is_empty() {
                    judgement.whole = tallies.get(origin).cloned().unwrap_or_default();
                    judgement.before = Months::default();
                }
                if judgement.settle(&self.belief, now) {
                    turned.push(Turned { origin: *origin, judgement: judgement.clone() });
                }
                let kept = judgement.to_keep();
                if judgement.kept.as_ref() != Some(&kept) {
                    changed.push((*origin, kept));
                }
            }
            index.judge_together(&self.belief);
        }
        if !changed.is_empty() {
            let written = changed.clone();
            self.ledger.write(move |sql| Ok(keep(sql, &written)?)).await?;
            self.keep_doubts().await?;
            let mut index = self.write_index();
            for (origin, kept) in changed {
                index.judged_mut().entry(origin).or_default().kept = Some(kept);
            }
        }
        Ok(turned)
    }

    /// Compares a segment before it is believed: a liar is not believed for even a moment.
    pub(super) fn judge_segment(&self, segment: &Verified, now: u64) {
        // Of its own words a node knows where they come from.
        if self.belief.agreement == Switch::Off || segment.header().origin() == self.read_index().own() {
            return;
        }
        let (mut brought, mut seen, month) = (Months::default(), HashSet::new(), month(now));
        let origin = segment.header().origin();
        {
            let index = self.read_index();
            let events = segment.events().filter(|(_, record)| record.class.is_against() && !index.is_frozen(record));
            for (record, tag) in events.filter_map(|(_, record)| Some((record, record.tag()?))) {
                let word = own_word(record.class, record.hour, &self.own(record.class, &tag), now);
                if word != OwnWord::Unsure && seen.insert(tag) {
                    // What this node knows dead by now is no news.
                    let is_news = word != OwnWord::Dead && index.is_news_of(&origin, &tag, now, &self.belief);
                    brought.add(month, word, is_news);
                }
            }
        }
        if !brought.is_empty() {
            let mut index = self.write_index();
            let judgement = index.judged_mut().entry(origin).or_default();
            if judgement.hear(&brought, &self.belief, now) {
                let Tally { contradicted, agreed, .. } = judgement.tally();
                tracing::warn!(%origin, contradicted, agreed, "an origin contradicts our own deliveries");
            }
            index.judge_together(&self.belief);
        }
    }

    /// Hours in which a provider refused nearly everybody, found in the counts of this node's own mail and in what its
    /// breaker set aside. `codes` are the codes of providers by their ids.
    ///
    /// # Errors
    /// [`FederatedError`] where the ledger cannot be read or written.
    pub async fn freeze_hours(&self, codes: HashMap<String, u8>, now: u64) -> Result<(), FederatedError> {
        let frozen = match self.belief.provider_freeze {
            Switch::Off => HashSet::new(),
            Switch::On => {
                let (belief, breakers) = (self.belief.clone(), self.ledger.breakers().list(now));
                // Eight days of counts are read beside the writer, who has mail to count.
                let hours = self.ledger.read(move |sql| {
                    let mut hours = strange_hours(sql, &codes, &belief, now)?;
                    for tripped in &breakers {
                        let code = codes.get(&tripped.provider).copied().filter(|code| *code != 0);
                        let since = tripped.since.saturating_sub(BREAKER_WINDOW_S) / HOUR_S;
                        let until = tripped.until.min(now) / HOUR_S;
                        hours.extend(code.into_iter().flat_map(|code| (since..=until).map(move |hour| (code, hour))));
                    }
                    Ok(hours)
                });
                let hours = hours.await?;
                let found = self.ledger.write(move |sql| {
                    for (code, hour) in hours {
                        let put = "INSERT INTO frozen_hour (provider, hour) VALUES ($1, $2) ON CONFLICT DO NOTHING";
                        sql.execute(put, &[u32::from(code).into(), hour.into()])?;
                    }
                    let old = (now / HOUR_S).saturating_sub(KEPT_HOURS);
                    sql.execute("DELETE FROM frozen_hour WHERE hour < $1", &[old.into()])?;
                    Ok(frozen(sql)?)
                });
                found.await?
            }
        };
        self.write_index().set_frozen(frozen);
        Ok(())
    }

    /// What was noted before the last stop.
    pub(super) async fn load_judgements(&self) -> Result<(), FederatedError> {
        let read = |row: &Row| {
            let count = |column| row.uint(column).map(|count| u32::try_from(count).unwrap_or(u32::MAX));
            // What of it was news is counted with the next comparison; until then all of it, as nothing is doubted for less.
            let past = Tally { contradicted: count(1)?, agreed: count(2)?, foretold: count(2)?, open: 0 };
            Ok((node_key(row, 0)?, past, row.uint(3).ok()))
        };
        let mut doubts = self.doubts().await?;
        let query = "SELECT origin, contradicted, agreed, quarantined_since FROM judged";
        let (judged, hours) = self.ledger.read(move |sql| Ok((sql::all(sql, query, &[], read)?, frozen(sql)?))).await?;
        let mut index = self.write_index();
        if self.belief.agreement == Switch::On {
            for (origin, past, quarantined_since) in judged {
                let doubted = doubts.remove(&origin).unwrap_or_default();
                index.judged_mut().insert(origin, Judgement::of_past(past, quarantined_since, doubted));
            }
        }
        index.judge_together(&self.belief);
        if self.belief.provider_freeze == Switch::On {
            index.set_frozen(hours);
        }
        Ok(())
    }

    /// Months that are doubted, by origin.
    async fn doubts(&self) -> Result<HashMap<NodeKey, BTreeSet<u32>>, FederatedError> {
        let kept = self.setting(DOUBTED).await?;
        Ok(kept.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default())
    }

    async fn keep_doubts(&self) -> Result<(), FederatedError> {
        let doubts: BTreeMap<NodeKey, BTreeSet<u32>> = self.look(|index| {
            let doubted = index.judged().filter(|(_, judgement)| !judgement.doubted.is_empty());
            doubted.map(|(origin, judgement)| (*origin, judgement.doubted.clone())).collect()
        });
        if doubts.is_empty() && self.setting(DOUBTED).await?.is_none() {
            return Ok(());
        }
        let json = serde_json::to_string(&doubts).map_err(|error| FederatedError::Refused(error.to_string()))?;
        self.put_setting(DOUBTED, &json).await
    }

    /// Each lock is held for a few tags: doors ask meanwhile, and a tag may lie on a disk.
    fn tallies(&self, now: u64) -> HashMap<NodeKey, Months> {
        let views = self.ledger.views();
        let mut tallies = HashMap::new();
        for part in 0..views.parts() {
            let mut known = Vec::new();
            views.part(part, |tag, evidence| known.push((*tag, evidence)));
            self.tally(&known, is_of_address, now, &mut tallies);
            known.clear();
            views.domain_part(part, |(tag, evidence)| known.push((*tag, evidence)));
            self.tally(&known, is_of_domain, now, &mut tallies);
        }
        tallies
    }

    /// Compares these with what is said of them in classes that are about such.
    fn tally(
        &self,
        known: &[(Tag, Evidence)],
        is_about: fn(Class) -> bool,
        now: u64,
        tallies: &mut HashMap<NodeKey, Months>,
    ) {
        for some in known.chunks(TALLIED_AT_ONCE) {
            let index = self.read_index();
            for (tag, evidence) in some {
                let own = |class, hour| match is_about(class) {
                    true => own_word(class, hour, evidence, now),
                    false => OwnWord::Unsure,
                };
                index.tally(tag, (own, dead_since(evidence)), (now, &self.belief), tallies);
            }
        }
    }

    /// What this node saw itself of what a class is about.
    fn own(&self, class: Class, tag: &Tag) -> Evidence {
        let views = self.ledger.views();
        let found = if is_of_domain(class) { views.domain_tagged(tag) } else { views.evidence(tag) };
        found.unwrap_or_default()
    }
}

fn is_of_domain(class: Class) -> bool {
    class == Class::DOMAIN_DEAD
}

fn is_of_address(class: Class) -> bool {
    !is_of_domain(class)
}

fn keep(sql: &mut dyn Sql, judged: &[(NodeKey, Kept)]) -> Result<(), SqlError> {
    let put = "INSERT INTO judged (origin, contradicted, agreed, quarantined_since) VALUES ($1, $2, $3, $4) \
        ON CONFLICT (origin) DO UPDATE SET contradicted = excluded.contradicted, agreed = excluded.agreed, \
        quarantined_since = excluded.quarantined_since";
    for (origin, kept) in judged {
        let Kept { contradicted, agreed, quarantined_since, .. } = *kept;
        sql.execute(put, &[origin.0[..].into(), contradicted.into(), agreed.into(), quarantined_since.into()])?;
    }
    Ok(())
}

/// Answers of one provider in one hour.
struct Hour {
    hour: u64,
    hard: u64,
    samples: u64,
}

/// Of the last day, by the week before each hour.
fn strange_hours(
    sql: &mut dyn Sql,
    codes: &HashMap<String, u8>,
    belief: &BeliefLimits,
    now: u64,
) -> Result<Vec<(u8, u64)>, SqlError> {
    let today = now / HOUR_S;
    let mut by_provider: HashMap<u8, Vec<Hour>> = HashMap::new();
    let since = today.saturating_sub(MEAN_HOURS + LOOK_HOURS);
    sql.rows(COUNTS, &[since.into()], &mut |row| {
        let Some(code) = codes.get(row.text(0)?).copied().filter(|code| *code != 0) else { return Ok(()) };
        // A correction may leave less than nothing behind.
        let count = |column| row.int(column).map(|count| u64::try_from(count).unwrap_or(0));
        let hour = Hour { hour: row.uint(1)?, hard: count(2)?, samples: count(3)? };
        by_provider.entry(code).or_default().push(hour);
        Ok(())
    })?;
    let mut strange = Vec::new();
    for (code, hours) in &by_provider {
        for one in hours.iter().filter(|one| today.saturating_sub(LOOK_HOURS) <= one.hour) {
            let week = one.hour.saturating_sub(MEAN_HOURS)..one.hour;
            let before = hours.iter().filter(|before| week.contains(&before.hour));
            let (hard, samples) = before.fold((0, 0), |sum, one| (sum.0 + one.hard, sum.1 + one.samples));
            let mean = if samples == 0 { 0.0 } else { hard as f64 / samples as f64 };
            let small = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
            if belief::provider_freezes(small(one.hard), small(one.samples), mean, belief) {
                strange.push((*code, one.hour));
            }
        }
    }
    Ok(strange)
}

/// All hours that are known, by the codes of providers.
fn frozen(sql: &mut dyn Sql) -> Result<HashSet<(u8, u32)>, SqlError> {
    let read = |row: &Row| {
        let code = u8::try_from(row.uint(0)?).unwrap_or(0);
        Ok((code, u32::try_from(row.uint(1)?).unwrap_or(u32::MAX)))
    };
    Ok(sql::all(sql, "SELECT provider, hour FROM frozen_hour", &[], read)?.into_iter().collect())
}

/// The setting that names months of which the words are not believed: `{"<origin>":[<month>,…]}`.
const DOUBTED: &str = "doubted";
const COUNTS: &str = "SELECT provider, hour, SUM(CASE WHEN kind = 'bounced' AND cause = 'address' THEN count ELSE 0 END), \
    SUM(count) FROM counter WHERE $1 <= hour AND kind IN ('delivered', 'bounced') AND provider <> '' \
    GROUP BY provider, hour";
const HOUR_S: u64 = 3600;
/// Look-ups under one lock: tenths of a millisecond.
const TALLIED_AT_ONCE: usize = 64;
/// §8.3: the mean of seven days.
const MEAN_HOURS: u64 = 7 * 24;
/// Hours that are looked at again: answers come late, and a node may have been down.
const LOOK_HOURS: u64 = 24;
/// No event counts for longer.
const KEPT_HOURS: u64 = 400 * 24;
/// `rules::breaker`: what it set aside began so long before it tripped.
const BREAKER_WINDOW_S: u64 = 1800;

#[cfg(test)]
mod tests;
