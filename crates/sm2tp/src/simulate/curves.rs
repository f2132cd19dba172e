//! The figures as curves: SVG written by hand, with axes and words, readable on light and dark pages.

use std::fmt::Write as _;

use super::{Figures, Spread};

/// File names with their content.
pub(super) fn draw(figures: &Figures, sweep: &[Figures]) -> [(&'static str, String); 2] {
    [("sender-watch-left.svg", left(figures)), ("sender-watch-limits.svg", limits(sweep))]
}

/// Which share of the takeovers was stopped before so many mails had left.
fn left(figures: &Figures) -> String {
    let mut chart = Chart::new(
        &format!("Mails that left before a takeover was stopped (seed {})", figures.seed),
        "recipients handed to their servers (logarithmic)",
        "takeovers stopped, in hundredths",
    );
    let across = |left: f64| (left.max(1.0).log10() / LEFT_MAX.log10()).min(1.0);
    for mark in [1.0, 10.0, 100.0, 1000.0, 10_000.0] {
        chart.mark_across(across(mark), &format!("{mark}"));
    }
    (0..=4).for_each(|n| chart.mark_up(f64::from(n) / 4.0, &format!("{}", n * 25)));
    for (name, takeovers) in &figures.takeovers {
        let Spread(all) = &takeovers.left;
        let steps = all.iter().enumerate().flat_map(|(n, left)| {
            let (before, after) = (n as f64 / all.len() as f64, (n + 1) as f64 / all.len() as f64);
            [(across(*left as f64), before), (across(*left as f64), after)]
        });
        let points: Vec<(f64, f64)> = [(0.0, 0.0)].into_iter().chain(steps).collect();
        chart.line(&points, name);
    }
    chart.end()
}

/// What stricter and laxer limits would cost and bring.
fn limits(sweep: &[Figures]) -> String {
    let mut chart = Chart::new(
        "Stricter and laxer limits",
        "limits in hundredths of the defaults",
        "see the words beside the curves",
    );
    let most = sweep.iter().map(|figures| figures.limits_percent).max().unwrap_or(1);
    let across = |percent: u32| f64::from(percent) / f64::from(most.max(1));
    for figures in sweep {
        chart.mark_across(across(figures.limits_percent), &figures.limits_percent.to_string());
    }
    (0..=4).for_each(|n| chart.mark_up(f64::from(n) / 4.0, &format!("{}", f64::from(n) * 2.5)));
    let wrong = |figures: &Figures| (figures.wrongly_slowed_per_1000_months / 10.0).min(1.0);
    let points: Vec<_> = sweep.iter().map(|figures| (across(figures.limits_percent), wrong(figures))).collect();
    chart.line(&points, "wrongly slowed in 1000 sender-months");
    for name in ["fast blast", "bought list"] {
        let left = |figures: &Figures| figures.takeovers.get(name).and_then(|takeovers| takeovers.left.at(95));
        let up = |figures: &Figures| (left(figures).unwrap_or_default() as f64 / 400.0).min(1.0);
        let points: Vec<_> = sweep.iter().map(|figures| (across(figures.limits_percent), up(figures))).collect();
        chart.line(&points, &format!("{name}: left in 95 of 100 cases, ÷ 40"));
    }
    chart.end()
}

/// A chart under way; places are shares of its field, from the lower left.
pub(super) struct Chart {
    svg: String,
    lines: usize,
}

impl Chart {
    pub(super) fn new(title: &str, across: &str, up: &str) -> Self {
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
             font-size=\"12\" role=\"img\" aria-label=\"{title}\">\n\
             <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n"
        );
        let (middle, low) = (LEFT + FIELD_WIDTH / 2.0, TOP + FIELD_HEIGHT);
        let _ = writeln!(svg, "<text x=\"{LEFT}\" y=\"20\" font-size=\"15\">{title}</text>");
        let _ = writeln!(svg, "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{across}</text>", low + 36.0);
        let centre = TOP + FIELD_HEIGHT / 2.0;
        let _ = writeln!(
            svg,
            "<text x=\"16\" y=\"{centre}\" text-anchor=\"middle\" transform=\"rotate(-90 16 {centre})\">{up}</text>"
        );
        Self { svg, lines: 0 }
    }

    pub(super) fn mark_across(&mut self, at: f64, word: &str) {
        let (x, low) = (LEFT + at * FIELD_WIDTH, TOP + FIELD_HEIGHT);
        let _ = writeln!(self.svg, "<path d=\"M{x:.1} {TOP}V{low}\" stroke=\"#ddd\"/>");
        let _ = writeln!(self.svg, "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{word}</text>", low + 16.0);
    }

    pub(super) fn mark_up(&mut self, at: f64, word: &str) {
        let (y, right) = (TOP + (1.0 - at) * FIELD_HEIGHT, LEFT + FIELD_WIDTH);
        let _ = writeln!(self.svg, "<path d=\"M{LEFT} {y:.1}H{right}\" stroke=\"#ddd\"/>");
        let _ = writeln!(self.svg, "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{word}</text>", LEFT - 6.0, y + 4.0);
    }

    pub(super) fn line(&mut self, points: &[(f64, f64)], name: &str) {
        let colour = COLOURS[self.lines % COLOURS.len()];
        let mut path = String::new();
        for (n, (across, up)) in points.iter().enumerate() {
            let (x, y) = (LEFT + across * FIELD_WIDTH, TOP + (1.0 - up) * FIELD_HEIGHT);
            let _ = write!(path, "{}{x:.1} {y:.1}", if n == 0 { 'M' } else { 'L' });
        }
        let _ = writeln!(self.svg, "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>");
        let (x, y) = (LEFT + FIELD_WIDTH + 14.0, TOP + 14.0 + self.lines as f64 * 20.0);
        let _ = writeln!(self.svg, "<path d=\"M{x} {}h16\" stroke=\"{colour}\" stroke-width=\"3\"/>", y - 4.0);
        let _ = writeln!(self.svg, "<text x=\"{}\" y=\"{y}\">{name}</text>", x + 22.0);
        self.lines += 1;
    }

    pub(super) fn end(mut self) -> String {
        self.svg.push_str("</svg>\n");
        self.svg
    }
}

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 380.0;
const LEFT: f64 = 60.0;
const TOP: f64 = 34.0;
const FIELD_WIDTH: f64 = 500.0;
const FIELD_HEIGHT: f64 = 290.0;
/// The right end of the first chart.
const LEFT_MAX: f64 = 10_000.0;
/// Told apart by people who do not see red from green (Okabe and Ito, 2008).
const COLOURS: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"];
