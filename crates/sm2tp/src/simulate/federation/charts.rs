//! The figures as curves.

use super::super::curves::Chart;
use super::Figures;

/// File names with their content; of liars they are others.
pub(super) fn draw(figures: &Figures) -> [(String, String); 3] {
    let lie = figures.lie.as_ref().map_or_else(String::new, |lie| format!("-{lie}"));
    [
        (format!("federation-spread{lie}.svg"), spread(figures)),
        (format!("federation-octets{lie}.svg"), octets(figures)),
        (format!("federation-weeks{lie}.svg"), weeks(figures)),
    ]
}

/// Which share of the segments was everywhere after such a time.
fn spread(figures: &Figures) -> String {
    let mut chart = Chart::new(
        &format!(
            "Until every node has a segment ({}, {} nodes, seed {})",
            figures.topology, figures.nodes, figures.seed
        ),
        "minutes after it was sealed",
        "segments, in hundredths",
    );
    let most = figures.spread_s.last().copied().unwrap_or(0).max(60) as f64;
    for n in 0..=4 {
        let at = f64::from(n) / 4.0;
        chart.mark_across(at, &format!("{:.0}", at * most / 60.0));
        chart.mark_up(at, &format!("{}", n * 25));
    }
    let all = figures.spread.segments.max(1) as f64;
    let points = figures.spread_s.iter().enumerate().map(|(n, time_s)| (*time_s as f64 / most, (n + 1) as f64 / all));
    chart.line(&thinned(points.collect()), "everywhere");
    chart.end()
}

/// Which share of the nodes received so much a day.
fn octets(figures: &Figures) -> String {
    let mut received = figures.received.clone();
    received.sort_by(f64::total_cmp);
    let most = received.last().copied().unwrap_or(0.0).max(0.001);
    let mut chart = Chart::new(
        &format!("Octets that a node receives in a day ({}, {} nodes)", figures.topology, figures.nodes),
        "megabytes of headers and segments",
        "nodes, in hundredths",
    );
    for n in 0..=4 {
        let at = f64::from(n) / 4.0;
        chart.mark_across(at, &format!("{:.2}", at * most));
        chart.mark_up(at, &format!("{}", n * 25));
    }
    let all = received.len().max(1) as f64;
    let points = received.iter().enumerate().map(|(n, mb)| (mb / most, (n + 1) as f64 / all));
    chart.line(&thinned(points.collect()), "nodes");
    chart.end()
}

/// Week by week: what was avoided, what was held, and who was in quarantine.
fn weeks(figures: &Figures) -> String {
    let mut chart = Chart::new(
        &format!(
            "Week by week ({}, {} nodes, {}, seed {})",
            figures.topology,
            figures.nodes,
            figures.lie.as_ref().map_or_else(|| "all honest".to_owned(), |lie| format!("liars: {lie}")),
            figures.seed
        ),
        "weeks",
        "see the words beside the curves",
    );
    let last = figures.weeks.len().saturating_sub(1).max(1) as f64;
    (0..figures.weeks.len()).step_by(2).for_each(|n| chart.mark_across(n as f64 / last, &n.to_string()));
    (0..=4).for_each(|n| chart.mark_up(f64::from(n) / 4.0, &format!("{}", n * 25)));
    let pairs =
        figures.weeks.windows(2).enumerate().map(|(n, pair)| ((n + 1) as f64 / last, pair[0].fared, pair[1].fared));
    let part = |part: u64, whole: u64| part as f64 / whole.max(1) as f64;
    let avoided = pairs.clone().map(|(x, before, after)| {
        let (lone, hits) = (after.lone_hits - before.lone_hits, after.hits - before.hits);
        (x, part(lone.saturating_sub(hits), lone))
    });
    chart.line(&avoided.collect::<Vec<_>>(), "dead addresses avoided, %");
    let held = pairs.map(|(x, before, after)| {
        let share = part(after.held - before.held, after.valid - before.valid);
        (x, (share * 1000.0).min(1.0))
    });
    chart.line(&held.collect::<Vec<_>>(), "living people held, in 100 000");
    let by = |count: fn(&super::Week) -> usize| -> Vec<(f64, f64)> {
        let all = figures.weeks.iter().enumerate();
        all.map(|(n, week)| (n as f64 / last, (count(week) as f64 / 100.0).min(1.0))).collect()
    };
    chart.line(&by(|week| week.right), "liars in quarantine, at nodes");
    chart.line(&by(|week| week.wrong), "honest ones in quarantine");
    chart.end()
}

/// At most a few hundred points: more is not seen.
fn thinned(points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    let step = points.len().div_ceil(POINTS_MAX).max(1);
    let last = points.last().copied();
    points.into_iter().step_by(step).chain(last).collect()
}

const POINTS_MAX: usize = 400;
