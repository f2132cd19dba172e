//! `sm2tp simulate`: federations (`federation`), and a year of honest people and of thieves, judged by the rules of a node,
//! in virtual time.
//!
//! Nothing here decides: `sm2tp_rules::watch` does. The simulator invents who writes to whom, hands that to the watch as
//! the SMTP door would, lets mail leave by its lane, and counts who was stopped and when.

mod curves;
mod dice;
mod federation;
mod people;
mod thieves;
mod world;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;
use sm2tp_rules::watch::{Floors, Limits};

pub(crate) use self::dice::Dice;
pub use self::federation::{FederationArgs, federation};
use self::people::{Honest, Kind};
use self::thieves::{Abuse, Goal};
use self::world::World;
use crate::{Exit, Failure};

/// `sm2tp simulate`.
#[derive(Debug, clap::Subcommand)]
pub enum Simulate {
    /// A year of honest senders and of takeovers before the sender watch: who is stopped, and when.
    Senders(SendersArgs),
    /// Nodes that tell each other which addresses are dead, some of them liars: what it brings, and what it costs.
    Federation(FederationArgs),
}

/// `sm2tp simulate senders`.
#[derive(Debug, Clone, clap::Args)]
pub struct SendersArgs {
    /// The same seed gives the same year.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Years that honest senders are watched.
    #[arg(long, default_value_t = 1)]
    years: u64,
    /// Organisations of 14 to 16 honest senders each.
    #[arg(long, default_value_t = 28)]
    orgs: u64,
    /// Takeovers of each kind.
    #[arg(long, default_value_t = 40)]
    takeovers: u64,
    /// All limits on numbers of recipients, in hundredths of the defaults.
    #[arg(long, value_name = "PERCENT", default_value_t = 100)]
    limits: u32,
    /// Days that a sender is only learned from, as the mode "learn" does.
    #[arg(long, value_name = "DAYS", default_value_t = 0)]
    learn: u64,
    /// Let takeovers happen on the first day on which anybody is known.
    #[arg(long)]
    first_day: bool,
    /// Draw the curves into this folder, as SVG.
    #[arg(long, value_name = "FOLDER")]
    curves: Option<PathBuf>,
}

/// What came out.
#[derive(Debug, Serialize)]
struct Figures {
    seed: u64,
    years: u64,
    limits_percent: u32,
    senders: usize,
    sender_months: f64,
    /// Recipients that honest senders named.
    recipients: u64,
    wrongly_slowed: usize,
    wrongly_slowed_per_1000_months: f64,
    wrongly_blocked: usize,
    honest: BTreeMap<&'static str, Wrongs>,
    takeovers: BTreeMap<&'static str, Takeovers>,
}

/// What honest senders of one kind suffered.
#[derive(Debug, Default, Serialize)]
struct Wrongs {
    senders: usize,
    slowed: usize,
    blocked: usize,
    why: Vec<String>,
}

/// How takeovers of one kind ended.
#[derive(Debug, Default, Serialize)]
struct Takeovers {
    count: usize,
    goal: String,
    reached: usize,
    blocked: usize,
    /// Recipients that were handed to their servers.
    left: Spread,
    /// Seconds from the first mail until the (last) mailbox was slow, and blocked.
    slow_s: Spread,
    blocked_s: Spread,
    /// Honest senders of the same organisation that became slow meanwhile, and blocked.
    beside: usize,
    beside_blocked: usize,
    why: BTreeMap<String, usize>,
}

/// Numbers from the smallest to the largest.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Spread(Vec<u64>);

/// Runs and prints.
pub fn senders(args: &SendersArgs, as_json: bool) -> Result<ExitCode, Failure> {
    let figures = run(args);
    if let Some(folder) = &args.curves {
        let sweep: Vec<Figures> =
            SWEEP.iter().map(|percent| run(&SendersArgs { limits: *percent, ..args.clone() })).collect();
        save(folder, curves::draw(&figures, &sweep))?;
    }
    crate::tell(&figures, &figures.words(), as_json)
}

/// Writes drawings into a folder that is there.
fn save<const N: usize>(folder: &Path, drawings: [(impl AsRef<Path>, String); N]) -> Result<(), Failure> {
    for (name, svg) in drawings {
        let path = folder.join(name);
        std::fs::write(&path, svg)
            .map_err(|error| Failure::new(Exit::Unavailable, format!("{}: {error}", path.display())))?;
    }
    Ok(())
}

fn run(args: &SendersArgs) -> Figures {
    let limits = Limits { learn_s: args.learn * DAY_S, ..scaled(args.limits) };
    let history = if args.first_day { 0..1 } else { 30..100 };
    let mut figures = Figures {
        seed: args.seed,
        years: args.years,
        limits_percent: args.limits,
        senders: 0,
        sender_months: 0.0,
        recipients: 0,
        wrongly_slowed: 0,
        wrongly_slowed_per_1000_months: 0.0,
        wrongly_blocked: 0,
        honest: BTreeMap::new(),
        takeovers: BTreeMap::new(),
    };
    for org in 0..args.orgs {
        honest_years(&mut figures, &limits, &mut Dice::new(args.seed, org), args.years * 365);
    }
    let slowed = figures.wrongly_slowed as f64;
    figures.wrongly_slowed_per_1000_months = 1000.0 * slowed / figures.sender_months.max(1.0);
    for abuse in Abuse::ALL {
        let takeovers = figures.takeovers.entry(abuse.as_str()).or_default();
        takeovers.goal = abuse.goal().words();
        let count = if abuse == Abuse::SnowShoe { args.takeovers.div_ceil(8) } else { args.takeovers };
        for n in 0..count {
            let mut dice = Dice::new(args.seed, TAKEOVERS + n * 16 + abuse as u64);
            takeovers.add(abuse, &takeover(abuse, &limits, &history, &mut dice));
        }
        takeovers.sort();
    }
    figures
}

fn scaled(percent: u32) -> Limits {
    let mut limits = Limits::default();
    let times = f64::from(percent) / 100.0;
    let all = |floors: &Floors| {
        let scale = |three: [u32; 3]| three.map(|limit| (f64::from(limit) * times).round() as u32);
        Floors {
            volume: scale(floors.volume),
            new: scale(floors.new),
            elsewhere: scale(floors.elsewhere),
            odd_hours: scale(floors.odd_hours),
            large: scale(floors.large),
        }
    };
    (limits.personal, limits.transactional) = (all(&limits.personal), all(&limits.transactional));
    (limits.bulk, limits.forwarded, limits.org) = (all(&limits.bulk), all(&limits.forwarded), all(&limits.org));
    (limits.usual_times, limits.odd_times) = (limits.usual_times * times, limits.odd_times * times);
    limits
}

fn honest_years(figures: &mut Figures, limits: &Limits, dice: &mut Dice, days: u64) {
    let mut world = World::new(limits, Dice::new(dice.next(), 0), START);
    let mut people: Vec<Honest> = Vec::new();
    for number in 0..dice.within(14, 17) {
        let kind = match number {
            0 => Kind::Association,
            1 => Kind::Shop,
            2 => Kind::Forwarder,
            3 => Kind::Form,
            _ => Kind::Person,
        };
        let joins = if dice.happens(0.25) { dice.within(1, days) } else { 0 };
        people.push(Honest::new(kind, &mut world, Dice::new(dice.next(), number), joins));
    }
    live(&mut world, &mut people, 0..days);
    for person in &people {
        let fared = world.fared(person.sender);
        let wrongs = figures.honest.entry(person.kind.as_str()).or_default();
        wrongs.senders += 1;
        wrongs.slowed += fared.slowed.len();
        wrongs.blocked += fared.blocked.len();
        wrongs.why.extend(fared.wrong.iter().cloned());
        figures.senders += 1;
        figures.sender_months += (days - person.joins) as f64 * 12.0 / 365.0;
        figures.wrongly_slowed += fared.slowed.len();
        figures.wrongly_blocked += fared.blocked.len();
    }
    figures.recipients += world.asked;
}

fn live(world: &mut World<'_>, people: &mut [Honest], days: std::ops::Range<u64>) {
    for day in days {
        let midnight = START + day * DAY_S;
        people.iter_mut().for_each(|person| person.day(world, day, midnight));
        world.run(midnight + DAY_S);
    }
}

/// How one takeover went.
struct Ended {
    left: usize,
    slow_s: Option<u64>,
    blocked_s: Option<u64>,
    beside: usize,
    beside_blocked: usize,
    why: Option<String>,
}

fn takeover(abuse: Abuse, limits: &Limits, history: &Range<u64>, dice: &mut Dice) -> Ended {
    let mut world = World::new(limits, Dice::new(dice.next(), 0), START);
    let victim = abuse.victim(dice);
    let mut people: Vec<Honest> = Vec::new();
    let kinds = std::iter::repeat_n(victim, abuse.mailboxes()).chain(BESIDE);
    for (number, kind) in kinds.enumerate() {
        people.push(Honest::new(kind, &mut world, Dice::new(dice.next(), number as u64), 0));
    }
    let day = dice.within(history.start, history.end);
    live(&mut world, &mut people, 0..day);
    let wrongs = |world: &World<'_>, senders: &[usize]| {
        let fared = senders.iter().map(|sender| world.fared(*sender));
        fared.fold((0, 0), |(slowed, blocked), fared| (slowed + fared.slowed.len(), blocked + fared.blocked.len()))
    };
    let start = START + day * DAY_S + dice.within(0, 24) * 3600;
    let (victims, beside) = people.split_at(abuse.mailboxes());
    abuse.strike(&mut world, victims, dice, start);
    let victims: Vec<usize> = victims.iter().map(|victim| victim.sender).collect();
    let beside: Vec<usize> = beside.iter().map(|person| person.sender).collect();
    let before = wrongs(&world, &beside);
    live(&mut world, &mut people, day..day + 4);
    let fared = |sender: &usize| world.fared(*sender);
    let last = |of: fn(&world::Fared) -> Option<u64>| {
        let times: Option<Vec<u64>> = victims.iter().map(|sender| of(fared(sender))).collect();
        times.and_then(|times| times.into_iter().max()).map(|at| at.saturating_sub(start))
    };
    let after = wrongs(&world, &beside);
    Ended {
        left: world.left,
        slow_s: last(|fared| fared.abuse_slowed),
        blocked_s: last(|fared| fared.abuse_blocked),
        beside: after.0 - before.0,
        beside_blocked: after.1 - before.1,
        why: victims.first().and_then(|sender| fared(sender).why.clone()),
    }
}

impl Takeovers {
    fn add(&mut self, abuse: Abuse, ended: &Ended) {
        self.count += 1;
        self.left.0.push(ended.left as u64);
        self.slow_s.0.extend(ended.slow_s);
        self.blocked_s.0.extend(ended.blocked_s);
        self.blocked += usize::from(ended.blocked_s.is_some());
        self.beside += ended.beside;
        self.beside_blocked += ended.beside_blocked;
        let is_reached = match abuse.goal() {
            Goal::Left(most) => ended.left <= most,
            // Blocked in time, and nothing more left afterwards.
            Goal::Hours(hours) => ended.blocked_s.is_some_and(|after_s| after_s <= hours * 3600),
        };
        self.reached += usize::from(is_reached);
        let why =
            ended.why.as_deref().unwrap_or("nothing").trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
        *self.why.entry(why.split(';').next().unwrap_or(why).to_owned()).or_default() += 1;
    }

    fn sort(&mut self) {
        [&mut self.left, &mut self.slow_s, &mut self.blocked_s].into_iter().for_each(|spread| spread.0.sort_unstable());
    }
}

impl Goal {
    fn words(self) -> String {
        match self {
            Self::Left(most) => format!("{most} mails"),
            Self::Hours(hours) => format!("{hours} h"),
        }
    }
}

impl Spread {
    /// The number below which so many hundredths lie.
    fn at(&self, percent: usize) -> Option<u64> {
        let last = self.0.len().checked_sub(1)?;
        self.0.get(last * percent / 100).copied()
    }
}

impl Serialize for Spread {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let at = [("median", 50), ("p95", 95), ("most", 100)].map(|(name, percent)| (name, self.at(percent)));
        at.into_iter().collect::<BTreeMap<_, _>>().serialize(serializer)
    }
}

impl Figures {
    fn words(&self) -> String {
        let mut text = format!(
            "seed {}: {} honest senders, {:.0} sender-months, {} recipients\n\
             wrongly slowed {} ({:.2} in 1000 sender-months; goal: 1), wrongly blocked {} (goal: 0)\n",
            self.seed,
            self.senders,
            self.sender_months,
            self.recipients,
            self.wrongly_slowed,
            self.wrongly_slowed_per_1000_months,
            self.wrongly_blocked,
        );
        for (kind, wrongs) in &self.honest {
            let _ = writeln!(
                text,
                "  {kind:<13} {:>4} senders, slowed {:>2} times, blocked {}",
                wrongs.senders, wrongs.slowed, wrongs.blocked
            );
            wrongs.why.iter().for_each(|why| _ = writeln!(text, "    {why}"));
        }
        let _ = writeln!(
            text,
            "\n{:<13} {:>5} {:>10} {:>8} {:>8}  left: median, 95 %, most   blocked after: median, most   beside: slow, blocked",
            "takeover", "count", "goal", "reached", "blocked"
        );
        for (name, takeovers) in &self.takeovers {
            let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
            let time = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), time);
            let _ = writeln!(
                text,
                "{name:<13} {:>5} {:>10} {:>8} {:>8}  {:>12} {:>5} {:>6}   {:>22} {:>6} {:>8} {:>8}",
                takeovers.count,
                takeovers.goal,
                takeovers.reached,
                takeovers.blocked,
                number(takeovers.left.at(50)),
                number(takeovers.left.at(95)),
                number(takeovers.left.at(100)),
                time(takeovers.blocked_s.at(50)),
                time(takeovers.blocked_s.at(100)),
                takeovers.beside,
                takeovers.beside_blocked,
            );
        }
        text
    }
}

fn time(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        _ => format!("{:.1} h", seconds as f64 / 3600.0),
    }
}

const DAY_S: u64 = 86_400;
/// A Thursday, so that the days of the week are those of the world.
const START: u64 = 20_454 * DAY_S;
/// Who else sends in the organisation of a takeover.
const BESIDE: [Kind; 10] = [
    Kind::Person,
    Kind::Person,
    Kind::Person,
    Kind::Person,
    Kind::Person,
    Kind::Person,
    Kind::Association,
    Kind::Shop,
    Kind::Forwarder,
    Kind::Form,
];
/// Seeds of takeovers begin after those of organisations.
const TAKEOVERS: u64 = 1 << 32;
/// Limits that the second curve tries, in hundredths.
const SWEEP: [u32; 6] = [25, 50, 75, 100, 150, 200];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_year_lets_honest_senders_be_and_stops_thieves() {
        let args = SendersArgs {
            seed: 900,
            years: 1,
            orgs: 1,
            takeovers: 1,
            limits: 100,
            learn: 0,
            first_day: false,
            curves: None,
        };
        let figures = run(&args);
        assert_eq!((figures.wrongly_slowed, figures.wrongly_blocked), (0, 0), "{}", figures.words());
        for (name, takeovers) in &figures.takeovers {
            assert_eq!(takeovers.blocked, takeovers.count, "{name}: {}", figures.words());
        }
        assert!(figures.takeovers["fast blast"].left.at(100) <= Some(100), "{}", figures.words());
    }
}
