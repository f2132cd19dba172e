//! Reads `[belief]`: what is believed of what other nodes say, each rule with its switch and its numbers.

use std::time::Duration;

use sm2tp_federation::belief::{BeliefLimits, Decay, Independence, Switch};
use sm2tp_federation::quota::QuotaLimits;

use super::error::ConfigError;
use super::reader::Section;
use super::values::{DAY, duration, size, word};

/// `[belief]`
#[derive(Debug, Clone, PartialEq)]
pub struct Belief {
    pub limits: BeliefLimits,
    pub quotas: QuotaLimits,
}

pub(super) fn belief(section: &Section<'_>) -> Result<Belief, ConfigError> {
    let (limits, quotas) = (BeliefLimits::default(), QuotaLimits::default());
    let switch = |key| Ok::<_, ConfigError>(section.text(key, word(SWITCHES))?.unwrap_or(Switch::On));
    let count = |key, default| Ok::<_, ConfigError>(section.whole(key, 1..=MOST)?.unwrap_or(default));
    let events = |key, default| Ok::<_, ConfigError>(section.whole(key, 1..=MOST)?.map_or(default, u64::from));
    let percent = |key, default| {
        Ok::<_, ConfigError>(section.share(key)?.map_or(default, |share| (share * 100.0).round() as u64))
    };
    let half_life = |key, decay: Decay| {
        let asked = section.text(key, duration(Duration::from_secs(DAY)..=Duration::from_secs(3650 * DAY)))?;
        let half_life_s = asked.map_or(decay.half_life_s, |asked| asked.as_secs() as f64);
        Ok::<_, ConfigError>(Decay { half_life_s, ..decay })
    };
    let [direct, ..] = limits.hop_weights;
    let far_weight = section.share("far_weight")?;
    let settle = section.text("settle_after", duration(Duration::ZERO..=Duration::from_secs(2 * DAY)))?;
    let ramp = section.text("full_weight_after", duration(Duration::ZERO..=Duration::from_secs(400 * DAY)))?;
    Ok(Belief {
        limits: BeliefLimits {
            agreement: switch("agreement")?,
            contradicted_min: count("contradicted_min", limits.contradicted_min)?,
            contradicted_share_max: section.share("contradicted_share")?.unwrap_or(limits.contradicted_share_max),
            months: switch("months")?,
            month_contradicted_min: count("month_contradicted_min", limits.month_contradicted_min)?,
            month_contradicted_share_max: section
                .share("month_contradicted_share")?
                .unwrap_or(limits.month_contradicted_share_max),
            month_usual_times: section.score("month_usual_times")?.unwrap_or(limits.month_usual_times),
            provider_freeze: switch("provider_freeze")?,
            settle_s: settle.map_or(limits.settle_s, |settle| settle.as_secs()),
            freeze_samples_min: count("freeze_samples", limits.freeze_samples_min)?,
            freeze_share_min: section.share("freeze_share")?.unwrap_or(limits.freeze_share_min),
            freeze_factor: section.score("freeze_times")?.unwrap_or(limits.freeze_factor),
            independence: section.text("witness", word(WITNESSES))?.unwrap_or(limits.independence),
            hard: half_life("hard_half_life", limits.hard)?,
            domain_dead: half_life("domain_half_life", limits.domain_dead)?,
            hop_weights: far_weight.map_or(limits.hop_weights, |far| [direct, far, far]),
            soft_weight: section.share("soft_weight")?.unwrap_or(limits.soft_weight),
            ramp_s: ramp.map_or(limits.ramp_s, |ramp| ramp.as_secs()),
            ..limits
        },
        quotas: QuotaLimits {
            quota: switch("quota")?,
            soft_events_day: events("usual_events", quotas.soft_events_day)?,
            soft_median_factor: events("usual_times", quotas.soft_median_factor)?,
            hard_events_day: events("most_events", quotas.hard_events_day)?,
            disk_octets: section.text("disk", size(DISK_MIN..=DISK_MAX))?.unwrap_or(quotas.disk_octets),
            origin_disk_percent: percent("disk_of_origin", quotas.origin_disk_percent)?,
            introducer_disk_percent: percent("disk_of_introduced", quotas.introducer_disk_percent)?,
        },
    })
}

const SWITCHES: &[(&str, Switch)] = &[("on", Switch::On), ("off", Switch::Off)];
const WITNESSES: &[(&str, Independence)] =
    &[("introducer", Independence::Introducer), ("origin", Independence::Origin)];
/// More than all nodes together say in a day: a limit that limits nothing.
const MOST: u32 = 100_000_000;
/// Some thousand events; beyond the other nobody has disks.
const DISK_MIN: u64 = 1_000_000;
const DISK_MAX: u64 = 100_000_000_000_000;
