//! Reads `[watch]`: the numbers of the sender watch, each with the default of the rules.

use std::path::PathBuf;
use std::time::Duration;

use sm2tp_rules::watch::{Floors, Limits, Share};
use sm2tp_store::senders::Mode;

use super::error::ConfigError;
use super::reader::Section;
use super::values::{DAY, MINUTE, duration, path, word};

/// `[watch]`
#[derive(Debug, Clone, PartialEq)]
pub struct Watch {
    pub mode: Mode,
    pub limits: Limits,
    /// A table of networks (`rules::places`).
    pub companies: Option<PathBuf>,
}

pub(super) fn watch(section: &Section<'_>) -> Result<Watch, ConfigError> {
    let standard = Limits::default();
    let whole = |key, range, default| Ok::<_, ConfigError>(section.whole(key, range)?.unwrap_or(default));
    let times = |key, default| Ok::<_, ConfigError>(section.score(key)?.unwrap_or(default));
    let limits = Limits {
        personal: floors(section, PERSONAL, &standard.personal)?,
        transactional: floors(section, TRANSACTIONAL, &standard.transactional)?,
        bulk: floors(section, BULK, &standard.bulk)?,
        forwarded: floors(section, FORWARDED, &standard.forwarded)?,
        org: floors(section, ORG, &standard.org)?,
        usual_times: times("usual_times", standard.usual_times)?,
        odd_times: times("odd_times", standard.odd_times)?,
        block_times: times("block_times", standard.block_times)?,
        new_share: permille(section, "new_share", standard.new_share)?,
        large_mail: whole("large_mail", 1..=MOST, standard.large_mail)?,
        networks: whole("networks", 1..=NETWORKS_MOST, standard.networks)?,
        dead: share(section, DEAD, standard.dead)?,
        suppressed: share(section, SUPPRESSED, standard.suppressed)?,
        refused: share(section, REFUSED, standard.refused)?,
        complained: share(section, COMPLAINED, standard.complained)?,
        share_times: times("share_times", standard.share_times)?,
        part_of_org: whole("part_of_org", 1..=MOST, standard.part_of_org)?,
        warm_up_s: seconds(section, "warm_up", standard.warm_up_s)?,
        learn_s: seconds(section, "learn_for", LEARN_S)?,
        warm_up_percent: whole("warm_up_percent", 1..=100, standard.warm_up_percent)?,
        strange_s: seconds(section, "strange_for", standard.strange_s)?,
        calm_s: seconds(section, "calm_after", standard.calm_s)?,
        blocks_end: standard.blocks_end,
        give_up_after_s: seconds(section, "refuse_after", standard.give_up_after_s)?,
    };
    let mode = section.text("mode", word(MODES))?.unwrap_or(Mode::Learn);
    Ok(Watch { mode, limits, companies: section.text("companies", path)? })
}

/// Recipients in ten minutes, an hour and a day; the keys in the order of [`Floors`].
fn floors(section: &Section<'_>, keys: [&'static str; 5], standard: &Floors) -> Result<Floors, ConfigError> {
    let three = |key, default| Ok::<_, ConfigError>(section.three(key, 1..=MOST)?.unwrap_or(default));
    let [volume, new, elsewhere, odd_hours, large] = keys;
    Ok(Floors {
        volume: three(volume, standard.volume)?,
        new: three(new, standard.new)?,
        elsewhere: three(elsewhere, standard.elsewhere)?,
        odd_hours: three(odd_hours, standard.odd_hours)?,
        large: three(large, standard.large)?,
    })
}

/// From which share on a sender is slow and blocked, and from how many on it says something.
fn share(section: &Section<'_>, keys: [&'static str; 4], standard: Share) -> Result<Share, ConfigError> {
    let [slow, block, slow_min, block_min] = keys;
    let count = |key, default| Ok::<_, ConfigError>(section.whole(key, 1..=MOST)?.unwrap_or(default));
    Ok(Share {
        slow: permille(section, slow, standard.slow)?,
        block: permille(section, block, standard.block)?,
        slow_min: count(slow_min, standard.slow_min)?,
        block_min: count(block_min, standard.block_min)?,
    })
}

/// A share as the file has it, in thousandths.
fn permille(section: &Section<'_>, key: &'static str, default: u32) -> Result<u32, ConfigError> {
    Ok(section.share(key)?.map_or(default, |share| (share * 1000.0).round() as u32))
}

fn seconds(section: &Section<'_>, key: &'static str, default_s: u64) -> Result<u64, ConfigError> {
    let range = Duration::from_secs(MINUTE)..=Duration::from_secs(400 * DAY);
    Ok(section.text(key, duration(range))?.map_or(default_s, |duration| duration.as_secs()))
}

const MODES: &[(&str, Mode)] =
    &[("learn", Mode::Learn), ("enforce", Mode::Enforce), ("observe", Mode::Observe), ("off", Mode::Off)];
/// A monthly newsletter that is some days late is usual before it could be stopped (decision 0044).
const LEARN_S: u64 = 35 * DAY;
const PERSONAL: [&str; 5] =
    ["personal_volume", "personal_new", "personal_elsewhere", "personal_odd_hours", "personal_large"];
const TRANSACTIONAL: [&str; 5] = [
    "transactional_volume",
    "transactional_new",
    "transactional_elsewhere",
    "transactional_odd_hours",
    "transactional_large",
];
const BULK: [&str; 5] = ["bulk_volume", "bulk_new", "bulk_elsewhere", "bulk_odd_hours", "bulk_large"];
const FORWARDED: [&str; 5] =
    ["forwarded_volume", "forwarded_new", "forwarded_elsewhere", "forwarded_odd_hours", "forwarded_large"];
const ORG: [&str; 5] = ["org_volume", "org_new", "org_elsewhere", "org_odd_hours", "org_large"];
const DEAD: [&str; 4] = ["dead_slow", "dead_block", "dead_slow_min", "dead_block_min"];
const SUPPRESSED: [&str; 4] = ["suppressed_slow", "suppressed_block", "suppressed_slow_min", "suppressed_block_min"];
const REFUSED: [&str; 4] = ["refused_slow", "refused_block", "refused_slow_min", "refused_block_min"];
const COMPLAINED: [&str; 4] = ["complained_slow", "complained_block", "complained_slow_min", "complained_block_min"];
/// More recipients than a node sends in a day: a limit that limits nothing.
const MOST: u32 = 100_000_000;
/// So many are remembered of a sender.
const NETWORKS_MOST: u32 = 16;
