//! What is strange about a sender now: its recent counts against the limits, and against what is usual for it.

use super::usual::Habit;
use super::{Count, Level, Limits, Reason, Sign, Watch, Window};
use crate::outcome::Stream;
use crate::worth::wilson;

/// What is asked of a sender's counts.
#[derive(Clone, Copy)]
pub(super) struct Question<'a> {
    pub limits: &'a Limits,
    /// How its organisation stands.
    pub org: Level,
    /// Limits in hundredths: less than 100 asks whether all is calm again.
    pub percent: f64,
    pub now: u64,
}

/// Everything that is strange. Without anything, nothing is allocated.
pub(super) fn reasons(watch: &Watch, ask: &Question<'_>) -> Vec<Reason> {
    let (mut much, mut bad) = (numbers(watch, ask), shares(watch, ask));
    let mut level = Level::Blocked;
    if much.is_empty() && bad.is_empty() {
        // More than half a reason of each kind is one.
        let near = Question { percent: ask.percent * TOGETHER, ..*ask };
        bad = shares(watch, &near);
        much = if bad.is_empty() { Vec::new() } else { numbers(watch, &near) };
        if much.is_empty() {
            bad.clear();
        }
        level = Level::Slow;
    }
    // Bad recipients are an old list, and many recipients a feast; both at once are neither.
    let both = !much.is_empty() && !bad.is_empty();
    much.append(&mut bad);
    if both {
        much.iter_mut().for_each(|reason| reason.level = level);
    }
    much.extend(complained(watch, ask));
    much
}

/// How many recipients, of which kind and from where. Nothing while it is being learned what is usual.
fn numbers(watch: &Watch, ask: &Question<'_>) -> Vec<Reason> {
    let mut found = Vec::new();
    if watch.learns(ask.limits, ask.now) {
        return found;
    }
    for window in Window::RECENT {
        for (sign, count) in COUNTED {
            found.extend(counted(watch, ask, *sign, *count, *window));
        }
    }
    found.extend(networks(watch, ask));
    found.extend(part_of_org(watch, ask));
    found
}

/// How many of them were bad.
fn shares(watch: &Watch, ask: &Question<'_>) -> Vec<Reason> {
    let mut found = Vec::new();
    for window in [Window::Hour, Window::Day] {
        found.extend(dead(watch, ask, window));
        found.extend(suppressed(watch, ask, window));
        found.extend(refused(watch, ask, window));
    }
    found
}

/// Recipients of one kind in one window.
fn counted(watch: &Watch, ask: &Question<'_>, sign: Sign, what: Count, window: Window) -> Option<Reason> {
    let count = watch.recent.sum(what, window);
    let limits = ask.limits;
    // To an organisation that begins everybody is new, and how much is usual for it nobody knows.
    let is_new_org = watch.is_org && !watch.is_settled;
    if is_new_org && sign != Sign::Volume {
        return None;
    }
    let room = if is_new_org { limits.usual_times } else { 1.0 };
    let full = f64::from(watch.floors(limits).of(sign, window)) * room;
    let floor = full * watch.warm_up(limits);
    // Most senders stay below this for their whole life.
    if f64::from(count) <= floor * ask.percent / 100.0 {
        return None;
    }
    let all = watch.recent.sum(Count::Counted, window).max(count);
    if sign == Sign::New && !is_mostly_new(watch, ask, window) {
        return None;
    }
    let (habit, times) = match sign {
        Sign::Volume => (Habit::All, limits.usual_times),
        Sign::New => (Habit::New, limits.usual_times),
        _ => (Habit::All, limits.odd_times),
    };
    let usual = watch.usual.high(habit, window);
    // What usually takes an hour may come in ten minutes: mailing programs differ in their haste.
    let longer = if window == Window::Minutes { watch.usual.high(habit, Window::Hour) * 1.5 } else { 0.0 };
    let own = (usual * times).max(longer);
    let limit = floor.max(own);
    let blocks = limits.block_times * if window == Window::Minutes { 1.0 } else { GOES_ON };
    // A newcomer is slowed sooner, and blocked no sooner: a shop that opens has nothing usual yet.
    let level = if full.max(own) * blocks < f64::from(count) { Level::Blocked } else { Level::Slow };
    let asked = limit * ask.percent / 100.0;
    let reason = Reason { sign, window, count, of: all, limit: whole(asked), usual: whole(usual), level };
    (asked < f64::from(count)).then_some(reason)
}

/// New readers of a newsletter are few among all of the day, though they may all come at its end.
fn is_mostly_new(watch: &Watch, ask: &Question<'_>, window: Window) -> bool {
    [window, Window::Day].iter().all(|window| {
        // Readers of a campaign must not hide what comes beside it.
        let [new, all] = [Count::New, Count::Counted].map(|what| u64::from(watch.recent.sum(what, *window)));
        all * u64::from(ask.limits.new_share) <= new * 1000
    })
}

/// Unknown recipients, and those whom the list stopped in proportion to what was answered already: mail that still
/// waits says nothing yet.
fn dead(watch: &Watch, ask: &Question<'_>, window: Window) -> Option<Reason> {
    let [asked, suppressed, answered, unknown] =
        [Count::Asked, Count::Suppressed, Count::Answered, Count::Unknown].map(|what| watch.recent.sum(what, window));
    let stopped = f64::from(suppressed) * f64::from(answered) / f64::from(asked.max(suppressed).max(1));
    let usual =
        watch.usual.permille(Count::Unknown, Count::Answered) + watch.usual.permille(Count::Suppressed, Count::Asked);
    let (count, of) = (f64::from(unknown) + stopped.min(f64::from(suppressed)), f64::from(answered) + stopped);
    share(ask, Sign::Dead, window, count, of, usual)
}

fn suppressed(watch: &Watch, ask: &Question<'_>, window: Window) -> Option<Reason> {
    let [count, of] = [Count::Suppressed, Count::Asked].map(|what| f64::from(watch.recent.sum(what, window)));
    share(ask, Sign::Suppressed, window, count, of, watch.usual.permille(Count::Suppressed, Count::Asked))
}

fn refused(watch: &Watch, ask: &Question<'_>, window: Window) -> Option<Reason> {
    if watch.stream == Stream::Forwarded {
        return None;
    }
    let [count, of] = [Count::Refused, Count::Answered].map(|what| f64::from(watch.recent.sum(what, window)));
    share(ask, Sign::Refused, window, count, of, watch.usual.permille(Count::Refused, Count::Answered))
}

fn complained(watch: &Watch, ask: &Question<'_>) -> Option<Reason> {
    let (count, of) = (watch.usual.complained, watch.usual.delivered);
    // Nothing is taken for granted of complaints: their shares are far smaller than other ones.
    share(ask, Sign::Complained, Window::Week, count, of, 0.0)
}

/// A share that cannot be chance: the lower end of its interval (Wilson, 1927) lies above the limit.
fn share(ask: &Question<'_>, sign: Sign, window: Window, count: f64, of: f64, usual: f64) -> Option<Reason> {
    let limits = match sign {
        Sign::Dead => ask.limits.dead,
        Sign::Suppressed => ask.limits.suppressed,
        Sign::Refused => ask.limits.refused,
        _ => ask.limits.complained,
    };
    let at_least = |least: u32| f64::from(least) * ask.percent / 100.0 <= count;
    if !at_least(limits.slow_min) {
        return None;
    }
    let of = of.max(count);
    let surely = 1000.0 * surely(count, of);
    // A small share may grow by as many times, a large one by no more than a stranger's whole share.
    let own = (usual * ask.limits.share_times).min(usual + f64::from(limits.slow));
    let above = |limit: u32| f64::from(limit).max(own) * ask.percent / 100.0 < surely;
    if !above(limits.slow) {
        return None;
    }
    let level = if at_least(limits.block_min) && above(limits.block) { Level::Blocked } else { Level::Slow };
    let limit = whole(f64::from(limits.slow).max(own) * ask.percent / 100.0);
    Some(Reason { sign, window, count: whole(count), of: whole(of), limit, usual: whole(usual), level })
}

fn networks(watch: &Watch, ask: &Question<'_>) -> Option<Reason> {
    let count = watch.networks.strange_today(ask.now);
    if watch.is_org || !watch.is_settled || f64::from(count) < f64::from(ask.limits.networks) * ask.percent / 100.0 {
        return None;
    }
    let limit = ask.limits.networks;
    Some(Reason { sign: Sign::Networks, window: Window::Day, count, of: count, limit, usual: 0, level: Level::Slow })
}

/// Its organisation is strange as a whole, and this sender writes to more new people than it ever does: in all, or beside its
/// busiest hour. An invitation to sixty is an hour of its year, and no reason why it should write to four strangers in every hour
/// of a day.
fn part_of_org(watch: &Watch, ask: &Question<'_>) -> Option<Reason> {
    if ask.org == Level::Normal {
        return None;
    }
    let [count, of] = [Count::New, Count::Asked].map(|what| watch.recent.sum(what, Window::Day));
    if !is_mostly_new(watch, ask, Window::Day) || !is_newer_than_usual(watch, count, of) {
        return None;
    }
    let (usual, burst) = (watch.usual.high(Habit::New, Window::Day), watch.usual.high(Habit::New, Window::Minutes));
    let beside = count - watch.recent.busiest_hour(Count::New).min(count);
    let parts = [(count, usual), (beside, usual - burst)];
    let parts = parts.into_iter().filter_map(|(counted, usual)| {
        let limit = limit_of_part(watch, ask, usual);
        let goes_on = limit.max(NEW_TODAY) * PART_BLOCKS < f64::from(counted);
        let level = if goes_on { ask.org } else { Level::Slow };
        let (is_above, limit, usual) = (limit * ask.percent / 100.0 < f64::from(counted), whole(limit), whole(usual));
        let reason = Reason { sign: Sign::Org, window: Window::Day, count, of: of.max(count), limit, usual, level };
        is_above.then_some(reason)
    });
    parts.max_by_key(|reason| reason.level)
}

/// People to whom a sender of a strange organisation may write for the first time within a day.
fn limit_of_part(watch: &Watch, ask: &Question<'_>, usual: f64) -> f64 {
    let is_of_today = ask.now.saturating_sub(watch.born) < DAY_S;
    let own = f64::from(ask.limits.part_of_org).max(usual * PART_TIMES);
    match ask.org {
        // Senders that are invented one after the other are of today, and send one mail each.
        Level::Blocked if is_of_today => 0.0,
        Level::Blocked => own / 2.0,
        _ if is_of_today => NEW_TODAY,
        _ => own,
    }
}

/// The share of new ones is surely twice the usual one, or lies beyond the middle between that and all: what a thief sends is not
/// hidden by how much its owner sends, and neither readers who joined since the last newsletter nor the customers of a shop
/// are more than ever.
fn is_newer_than_usual(watch: &Watch, count: u32, of: u32) -> bool {
    let usual = watch.usual.permille(Count::New, Count::Asked) / 1000.0;
    (usual * PART_TIMES).min(f64::midpoint(usual, 1.0)) < surely(count.into(), of.max(count).into())
}

/// The low end of what the share is likely to be; nothing of nothing.
fn surely(count: f64, of: f64) -> f64 {
    if of <= 0.0 { 0.0 } else { wilson(count, of, Z).0 }
}

fn whole(number: f64) -> u32 {
    number.round().clamp(0.0, f64::from(u32::MAX)) as u32
}

/// Which counts have limits of their own.
const COUNTED: &[(Sign, Count)] = &[
    (Sign::Volume, Count::Counted),
    (Sign::New, Count::New),
    (Sign::Elsewhere, Count::Elsewhere),
    (Sign::OddHours, Count::OddHours),
    (Sign::LargeMails, Count::Large),
];
/// Which part of a number and of a share are too much together.
const TOGETHER: f64 = 0.6;
/// What goes on for an hour or a day is no burst, such as an invitation, and blocks sooner.
const GOES_ON: f64 = 0.75;
/// Three standard deviations: chance alone does it in one case of a thousand, and the least counts make it rarer.
const Z: f64 = 3.0;
const DAY_S: u64 = 86_400;
/// People to whom such a sender may write for the first time.
const NEW_TODAY: f64 = 2.0;
/// How many times the usual number, and share, of new people a sender may write to in a strange organisation.
const PART_TIMES: f64 = 2.0;
/// How many times its part of what is strange about an organisation blocks a sender: fifty that send a little are many.
const PART_BLOCKS: f64 = 1.5;
