//! `sm2tp simulate federation`: nodes that tell each other which addresses are dead, some of them liars, in virtual time.
//!
//! Nothing here decides: chains, quotas, judgements, votes and what becomes of a mail are the functions of `federation`
//! and `rules` that a node calls. The simulator invents people, lists, mailings, troubles and lies, carries segments
//! between nodes, and counts.

mod charts;
mod fields;
mod judge;
mod liars;
mod log;
mod people;
mod reader;
mod sender;
mod topology;
mod world;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use serde::Serialize;
use sm2tp_federation::keys::NodeKey;

use self::fields::Fields;
use self::judge::Judge;
use self::liars::Lie;
use self::people::{Census, People};
use self::sender::{Fared, HELD_MAX_S, Outage};
use self::topology::Topology;
use self::world::{Trouble, World};
use super::dice::Dice;
use crate::Failure;

/// `sm2tp simulate federation`.
#[derive(Debug, Clone, clap::Args)]
pub struct FederationArgs {
    /// The same seed gives the same federation.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    nodes: u32,
    #[arg(long, value_enum, default_value_t = Topology::SmallWorld)]
    topology: Topology,
    /// Peers of each node in a small world.
    #[arg(long, value_name = "COUNT", default_value_t = 6)]
    peers: usize,
    /// Days that are played; figures count after the first --warm-up of them.
    #[arg(long, default_value_t = 120)]
    days: u64,
    #[arg(long, value_name = "DAYS", default_value_t = 40)]
    warm_up: u64,
    /// Addresses on the lists of each node. 0: nobody mails, and each node invents --events a day.
    #[arg(long, value_name = "COUNT", default_value_t = 3000)]
    addresses: usize,
    /// Lists of all nodes together that a person is on, in the mean: without a second list nobody can be warned.
    #[arg(long, value_name = "COUNT", default_value_t = 4.0)]
    lists_each: f64,
    #[arg(long, value_name = "COUNT", default_value_t = 27.4)]
    events: f64,
    /// Each node seals what it has after so many hours, as with [federation] seal_after; without it as nodes do by default.
    #[arg(long, value_name = "HOURS")]
    seal_after: Option<u64>,
    /// Percent of dead mailboxes that come back within a month.
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0)]
    returning: f64,
    /// The last node, or the last two, lie from the end of the warm-up on.
    #[arg(long, value_enum)]
    lie: Option<Lie>,
    /// A large provider calls four of five living people unknown for so many hours.
    #[arg(long, value_name = "HOURS")]
    outage: Option<u64>,
    /// Percent of all nodes that are down for a day, each day.
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0)]
    churn: f64,
    /// One half cannot reach the other for so many days.
    #[arg(long, value_name = "DAYS")]
    partition: Option<u64>,
    /// Nodes that lose their node key and begin again.
    #[arg(long, value_name = "COUNT")]
    key_loss: Option<usize>,
    /// Draw the curves into this folder, as SVG.
    #[arg(long, value_name = "FOLDER")]
    curves: Option<PathBuf>,
}

/// What came out.
#[derive(Debug, Serialize)]
struct Figures {
    seed: u64,
    nodes: u32,
    topology: &'static str,
    lie: Option<String>,
    days: u64,
    mail: Mail,
    /// Pairs of a judging node and an origin.
    quarantines: Quarantines,
    spread: Spread,
    octets: Octets,
    #[serde(skip)]
    weeks: Vec<Week>,
    #[serde(skip)]
    spread_s: Vec<u64>,
    #[serde(skip)]
    received: Vec<f64>,
}

/// Recipients of all nodes but the liars, after the warm-up.
#[derive(Debug, Default, Serialize)]
struct Mail {
    lone_hits: u64,
    hits: u64,
    avoided_percent: f64,
    valid: u64,
    held: u64,
    held_percent: f64,
    released: u64,
    held_hours_max: f64,
    /// Living people whose mail was given back after a day, or never taken.
    returned: u64,
    refused: u64,
}

#[derive(Debug, Default, Serialize)]
struct Quarantines {
    right: usize,
    right_of: usize,
    wrong: usize,
    wrong_at_the_end: usize,
    /// Liars, and honest origins, of which a month was doubted at some time.
    doubted_right: usize,
    doubted_wrong: usize,
}

/// Seconds from the seal until every node had a segment.
#[derive(Debug, Default, Serialize)]
struct Spread {
    segments: usize,
    everywhere: usize,
    median_s: u64,
    p99_s: u64,
    most_s: u64,
    /// The same from when the first event of a segment could leave.
    event_most_s: u64,
}

/// A day, in megabytes.
#[derive(Debug, Serialize)]
struct Octets {
    received_mean: f64,
    /// Of it: headers of segments that were known already, and lines of heads.
    known_mean: f64,
    heads_mean: f64,
    received_most: f64,
    sent_most: f64,
    /// Fields of HTTP, beside the others.
    http_mean: f64,
    /// Of TLS, and of the web servers that end it.
    tls_mean: f64,
    fields: Fields,
    events_day: f64,
    segments_day: f64,
    parked_events: u64,
}

/// How things stood at the end of a week.
#[derive(Debug, Clone, Copy)]
struct Week {
    fared: Fared,
    wrong: usize,
    right: usize,
}

/// Runs and prints.
pub fn federation(args: &FederationArgs, as_json: bool) -> Result<ExitCode, Failure> {
    let figures = run(args);
    if let Some(folder) = &args.curves {
        super::save(folder, charts::draw(&figures))?;
    }
    crate::tell(&figures, &figures.words(), as_json)
}

fn run(args: &FederationArgs) -> Figures {
    let nodes = args.nodes as usize;
    let (end, strikes_at) = (START + args.days * DAY_S, START + args.warm_up * DAY_S);
    let mut dice = Dice::new(args.seed, 1);
    let census = Census {
        nodes: if args.mails() { nodes } else { 0 },
        addresses: args.addresses,
        lists_each: args.lists_each,
        returning: args.returning / 100.0,
        start: START,
        end,
    };
    let people = People::new(&census, &mut dice, &mut Dice::new(args.seed, 3));
    let mut peers = args.topology.peers(nodes, args.peers, &mut dice);
    let victim = nodes / 2;
    let liars = args.lie.map_or(0, Lie::liars).min(nodes - 1);
    // The victim knows its liars: two people exchanged keys.
    for liar in nodes - liars..nodes {
        add(&mut peers, liar, victim);
    }
    let outage = args.outage.map(|hours| {
        let from = strikes_at + 9 * 3600;
        Outage { provider: ERRING, from, until: from + hours * 3600, share: 0.8 }
    });
    let trouble = Trouble {
        outage,
        partition: args.partition.map(|days| (strikes_at, strikes_at + days * DAY_S)),
        churn: args.churn / 100.0,
        key_loss: args.key_loss.map(|count| (count, strikes_at)),
        lies_from: strikes_at,
        count_from: strikes_at,
    };
    let mut world = World::new(args, people, peers, trouble);
    if let Some(lie) = args.lie.filter(|_| args.mails()) {
        world.join(lie.strike(&world.people, victim, strikes_at, &mut dice));
    }
    let mut watch =
        Watch { honest: nodes - liars, wrong: BTreeSet::new(), doubted: BTreeSet::new(), weeks: Vec::new() };
    world.run(end, |world, now| watch.look(world, now));
    figures(args, &world, &watch, end)
}

/// Looks at the world once a day.
struct Watch {
    /// Nodes before this one are honest.
    honest: usize,
    wrong: BTreeSet<(usize, usize)>,
    doubted: BTreeSet<(usize, usize)>,
    weeks: Vec<Week>,
}

impl Watch {
    fn look(&mut self, world: &World, now: u64) {
        self.doubted.extend(self.pairs(world, |judge| judge.doubted().collect()));
        let (mut right, mut wrong) = (0, 0);
        for (by, of) in self.quarantined(world) {
            if self.honest <= of {
                right += 1;
            } else {
                wrong += 1;
                self.wrong.insert((by, of));
            }
        }
        if (now - START).is_multiple_of(7 * DAY_S) {
            self.weeks.push(Week { fared: self.fared(world), wrong, right });
        }
    }

    fn quarantined(&self, world: &World) -> Vec<(usize, usize)> {
        self.pairs(world, |judge| judge.quarantined(&world.belief).collect())
    }

    /// Honest nodes with the nodes of whose origins this is so.
    fn pairs(&self, world: &World, which: impl Fn(&Judge) -> Vec<NodeKey>) -> Vec<(usize, usize)> {
        let judges = world.judges.iter().enumerate().take(self.honest);
        let of = |origin: NodeKey| world.node_of(origin).unwrap_or(usize::MAX);
        let all = judges.flat_map(|(by, judge)| which(judge).into_iter().map(move |origin| (by, of(origin))));
        // A node and the origins that it invented are one.
        all.collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn fared(&self, world: &World) -> Fared {
        let mut sum = Fared::default();
        for sender in world.senders.iter().take(self.honest) {
            let Fared { lone_hits, hits, valid, held, released, returned, refused, held_s_max } = sender.fared;
            (sum.lone_hits, sum.hits, sum.valid) = (sum.lone_hits + lone_hits, sum.hits + hits, sum.valid + valid);
            (sum.held, sum.released) = (sum.held + held, sum.released + released);
            (sum.returned, sum.refused) = (sum.returned + returned, sum.refused + refused);
            sum.held_s_max = sum.held_s_max.max(held_s_max);
        }
        sum
    }
}

fn figures(args: &FederationArgs, world: &World, watch: &Watch, end: u64) -> Figures {
    let fared = watch.fared(world);
    let share = |part: u64, whole: u64| 100.0 * part as f64 / whole.max(1) as f64;
    let at_the_end = watch.quarantined(world);
    let right = at_the_end.iter().filter(|(_, of)| watch.honest <= *of).count();
    let (spread, spread_s) = spread(world, end);
    let days = args.days.saturating_sub(args.warm_up).max(1) as f64;
    let counted_from = START + args.warm_up * DAY_S;
    let counted = || world.logs.sealed.iter().filter(|sealed| counted_from <= sealed.header.header().sealed_at());
    let mb = |octets: u64| octets as f64 / days / 1e6;
    let received: Vec<f64> = world.readers.iter().map(|reader| mb(reader.traffic.received)).collect();
    let mean = |all: &mut dyn Iterator<Item = f64>| all.sum::<f64>() / world.readers.len() as f64;
    let events: usize = counted().map(|sealed| sealed.events.len()).sum();
    Figures {
        seed: args.seed,
        nodes: args.nodes,
        topology: args.topology.as_str(),
        lie: args.lie.and_then(|lie| lie.to_possible_value()).map(|value| value.get_name().to_owned()),
        days: args.days,
        mail: Mail {
            lone_hits: fared.lone_hits,
            hits: fared.hits,
            avoided_percent: share(fared.lone_hits.saturating_sub(fared.hits), fared.lone_hits),
            valid: fared.valid,
            held: fared.held,
            held_percent: share(fared.held, fared.valid),
            released: fared.released,
            held_hours_max: if fared.returned == 0 { fared.held_s_max } else { HELD_MAX_S } as f64 / 3600.0,
            returned: fared.returned,
            refused: fared.refused,
        },
        quarantines: Quarantines {
            right,
            right_of: (args.nodes as usize - watch.honest) * watch.honest.min(world.judges.len()),
            wrong: watch.wrong.len(),
            wrong_at_the_end: at_the_end.len() - right,
            doubted_right: watch.doubted.iter().filter(|(_, of)| watch.honest <= *of).count(),
            doubted_wrong: watch.doubted.iter().filter(|(_, of)| *of < watch.honest).count(),
        },
        spread,
        octets: Octets {
            received_mean: mean(&mut received.iter().copied()),
            known_mean: mean(&mut world.readers.iter().map(|reader| mb(reader.traffic.known))),
            heads_mean: mean(&mut world.readers.iter().map(|reader| mb(reader.traffic.heads))),
            received_most: received.iter().copied().fold(0.0, f64::max),
            sent_most: world.readers.iter().map(|reader| mb(reader.traffic.sent)).fold(0.0, f64::max),
            http_mean: mean(&mut world.readers.iter().map(|reader| mb(reader.traffic.http))),
            tls_mean: mean(&mut world.readers.iter().map(|reader| mb(reader.traffic.tls))),
            fields: Fields::new(),
            events_day: events as f64 / days,
            segments_day: counted().count() as f64 / days,
            parked_events: world.readers.iter().map(|reader| reader.traffic.parked_events).sum(),
        },
        weeks: watch.weeks.clone(),
        spread_s,
        received,
    }
}

/// Of segments that had a day's time.
fn spread(world: &World, end: u64) -> (Spread, Vec<u64>) {
    let old = |sealed: &&log::Sealed| sealed.header.header().sealed_at() + DAY_S <= end;
    let everywhere = |sealed: &log::Sealed| {
        let all = sealed.holders as usize == world.readers.len();
        all.then(|| sealed.last_at - sealed.header.header().sealed_at())
    };
    let mut times: Vec<u64> = world.logs.sealed.iter().filter(old).filter_map(everywhere).collect();
    times.sort_unstable();
    let at = |percent: usize| times.get(times.len().saturating_sub(1) * percent / 100).copied().unwrap_or(0);
    let segments = world.logs.sealed.iter().filter(old).count();
    let all = |sealed: &&log::Sealed| sealed.holders as usize == world.readers.len();
    let waited = world.logs.sealed.iter().filter(old).filter(all).map(|sealed| sealed.last_at - sealed.since);
    let spread = Spread {
        segments,
        everywhere: times.len(),
        median_s: at(50),
        p99_s: at(99),
        most_s: at(100),
        event_most_s: waited.max().unwrap_or(0),
    };
    (spread, times)
}

fn add(peers: &mut [Vec<usize>], a: usize, b: usize) {
    for (one, other) in [(a, b), (b, a)] {
        if a != b && !peers[one].contains(&other) {
            peers[one].push(other);
            peers[one].sort_unstable();
        }
    }
}

impl FederationArgs {
    fn mails(&self) -> bool {
        0 < self.addresses
    }

    /// How many nodes keep what the rules need; where nobody mails, only their quotas are asked.
    fn judging(&self) -> usize {
        if self.mails() { self.nodes as usize } else { (self.nodes as usize).min(QUOTAS_LOOKED_AT) }
    }
}

impl Figures {
    fn words(&self) -> String {
        let Self { mail, quarantines, spread, octets, .. } = self;
        let mut text = format!(
            "seed {}: {} nodes, {}, {} days; {:.0} events and {:.0} segments a day\n",
            self.seed, self.nodes, self.topology, self.days, octets.events_day, octets.segments_day
        );
        if 0 < mail.valid {
            let _ = writeln!(
                text,
                "dead addresses: a lone node writes to {}, these to {}: {:.1} % avoided (goal: 45)\n\
                 living people: {} mails; held {} ({:.4} %), let go {} (after {:.1} h at most), given back {}, refused {}",
                mail.lone_hits,
                mail.hits,
                mail.avoided_percent,
                mail.valid,
                mail.held,
                mail.held_percent,
                mail.released,
                mail.held_hours_max,
                mail.returned,
                mail.refused,
            );
        }
        let _ = writeln!(
            text,
            "quarantines: liars {} of {}; honest origins {} at some time, {} at the end; a month doubted: liars {}, honest {}\n\
             spread: {} of {} segments everywhere; median {}, 99 % {}, most {}; with the wait for the seal, most {}\n\
             octets a day: {:.2} MB received (headers of what was known {:.2}, heads {:.2}), {:.2} by the busiest, {:.2} sent by the busiest; \
             fields of HTTP {:.2} more, TLS {:.2}, {:.2} in all; parked {} events",
            quarantines.right,
            quarantines.right_of,
            quarantines.wrong,
            quarantines.wrong_at_the_end,
            quarantines.doubted_right,
            quarantines.doubted_wrong,
            spread.everywhere,
            spread.segments,
            super::time(spread.median_s),
            super::time(spread.p99_s),
            super::time(spread.most_s),
            super::time(spread.event_most_s),
            octets.received_mean,
            octets.known_mean,
            octets.heads_mean,
            octets.received_most,
            octets.sent_most,
            octets.http_mean,
            octets.tls_mean,
            octets.received_mean + octets.http_mean + octets.tls_mean,
            octets.parked_events,
        );
        text
    }
}

const DAY_S: u64 = 86_400;
/// A Thursday, as in the other simulator.
const START: u64 = super::START;
/// Google's code: the largest.
const ERRING: u8 = 1;
/// Where nobody mails: enough to see whether quotas hinder anybody.
const QUOTAS_LOOKED_AT: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> FederationArgs {
        FederationArgs {
            seed: 7,
            nodes: 12,
            topology: Topology::SmallWorld,
            peers: 4,
            days: 50,
            warm_up: 36,
            addresses: 300,
            lists_each: 4.0,
            events: 0.0,
            seal_after: None,
            returning: 0.0,
            lie: None,
            outage: None,
            churn: 0.0,
            partition: None,
            key_loss: None,
            curves: None,
        }
    }

    #[test]
    fn honest_nodes_warn_each_other_and_hold_nobody_who_lives() {
        let figures = run(&args());
        assert!(40.0 < figures.mail.avoided_percent, "{}", figures.words());
        assert_eq!((figures.mail.held, figures.mail.refused), (0, 0), "{}", figures.words());
        assert_eq!(figures.quarantines.wrong, 0, "{}", figures.words());
        assert_eq!(figures.spread.everywhere, figures.spread.segments, "{}", figures.words());
        assert_eq!(figures.words(), run(&args()).words(), "the same seed gives the same federation");
    }

    #[test]
    fn whoever_calls_everybody_dead_is_not_believed() {
        let figures = run(&FederationArgs { lie: Some(Lie::Dilution), ..args() });
        let Quarantines { right, right_of, wrong, .. } = figures.quarantines;
        assert_eq!((right, wrong), (right_of, 0), "{}", figures.words());
        assert_eq!((figures.mail.held, figures.mail.refused), (0, 0), "{}", figures.words());
    }

    #[test]
    fn whoever_calls_living_domains_dead_holds_nobodys_mail_and_is_not_believed() {
        for lie in [Lie::Domains, Lie::DomainColluders, Lie::DomainMass] {
            let figures = run(&FederationArgs { lie: Some(lie), ..args() });
            let Quarantines { right, right_of, wrong, .. } = figures.quarantines;
            assert_eq!((figures.mail.refused, wrong), (0, 0), "{lie:?}: {}", figures.words());
            assert!(figures.mail.held_percent <= 0.01 && right_of <= right * 2, "{lie:?}: {}", figures.words());
        }
    }

    #[test]
    fn whoever_repeats_others_for_weeks_or_invents_origins_has_nobodys_mail_refused() {
        for lie in [Lie::Parrots, Lie::Sybils] {
            let figures = run(&FederationArgs { lie: Some(lie), ..args() });
            assert_eq!((figures.mail.refused, figures.quarantines.wrong), (0, 0), "{lie:?}: {}", figures.words());
        }
    }

    #[test]
    fn an_outage_of_a_provider_suppresses_nobody() {
        let figures = run(&FederationArgs { outage: Some(7), ..args() });
        assert_eq!((figures.mail.refused, figures.quarantines.wrong_at_the_end), (0, 0), "{}", figures.words());
    }

    #[test]
    fn segments_are_everywhere_after_troubles() {
        let troubled = FederationArgs { churn: 3.0, partition: Some(2), key_loss: Some(2), ..args() };
        let figures = run(&troubled);
        // Who is down on the last day lacks that day.
        assert!(figures.spread.segments * 9 / 10 < figures.spread.everywhere, "{}", figures.words());
        assert_eq!(figures.quarantines.wrong, 0, "{}", figures.words());
        for (name, svg) in charts::draw(&figures) {
            assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{name}");
        }
    }
}
