//! Charts as SVG, reckoned here: bars over time and lines of shares. A table with the same numbers stands behind each, and
//! colours are classes of the style sheet, so that dark screens and paper have their own.

/// Bars over time, each of several parts.
pub(super) struct Bars {
    pub bars: Vec<Bar>,
    pub grid: Vec<Grid>,
    pub labels: Vec<Label>,
}

pub(super) struct Bar {
    pub x: String,
    pub y: String,
    pub width: String,
    pub height: String,
    /// Which part it is, as a class of the style sheet.
    pub class: &'static str,
}

/// A line across, with its number.
pub(super) struct Grid {
    pub y: String,
    pub text_y: String,
    pub count: u64,
}

/// A word below.
pub(super) struct Label {
    pub x: String,
    pub anchor: &'static str,
    pub text: String,
}

/// Stacked bars: for each point its name and the counts of its parts, the lowest first.
pub(super) fn bars<const PARTS: usize>(points: &[(String, [u64; PARTS])], classes: [&'static str; PARTS]) -> Bars {
    let sum = |counts: &[u64; PARTS]| counts.iter().fold(0_u64, |sum, count| sum.saturating_add(*count));
    let most = points.iter().map(|(_, counts)| sum(counts)).max().unwrap_or(0);
    let top = rounded_up(most);
    let step = (WIDTH - LEFT) / points.len().max(1) as f64;
    let height = |count: u64| (count as f64 / top as f64) * (HEIGHT - BOTTOM - ABOVE);
    let mut found = Vec::new();
    for (at, (_, counts)) in points.iter().enumerate() {
        let mut from = HEIGHT - BOTTOM;
        for (count, class) in counts.iter().zip(classes).filter(|(count, _)| **count != 0) {
            let tall = height(*count).max(SEEN_MIN);
            from -= tall;
            let x = LEFT + at as f64 * step + step * GAP / 2.0;
            let (x, y, width, tall) = (short(x), short(from), short(step * (1.0 - GAP)), short(tall));
            found.push(Bar { x, y, width, height: tall, class });
        }
    }
    let grid = (0..=GRID).map(|line| {
        let count = top / GRID * line;
        let y = HEIGHT - BOTTOM - height(count);
        Grid { y: short(y), text_y: short(y + 4.0), count }
    });
    Bars { bars: found, grid: grid.collect(), labels: labels(points, step) }
}

/// The first, the middle and the last name.
fn labels<T>(points: &[(String, T)], step: f64) -> Vec<Label> {
    let last = points.len().saturating_sub(1);
    let places = [(0, "start"), (last / 2, "middle"), (last, "end")];
    let shown = if last < 2 { &places[..points.len().min(1)] } else { &places[..] };
    shown
        .iter()
        .map(|(at, anchor)| {
            let x = LEFT + (*at as f64 + 0.5) * step;
            let x = match *anchor {
                "start" => LEFT,
                "end" => WIDTH,
                _ => x,
            };
            Label { x: short(x), anchor, text: points[*at].0.clone() }
        })
        .collect()
}

/// A line of shares from 0 to 1 over time, as the `d` of a path; days without any leave a gap, a single day is a dot.
pub(super) fn line(shares: &[Option<f64>]) -> String {
    let step = LINE_WIDTH / (shares.len().saturating_sub(1)).max(1) as f64;
    let place = |at: usize, share: f64| {
        let y = LINE_ABOVE + (1.0 - share.clamp(0.0, 1.0)) * (LINE_HEIGHT - 2.0 * LINE_ABOVE);
        (short(at as f64 * step), short(y))
    };
    let mut path = String::new();
    let mut is_on = false;
    for (at, share) in shares.iter().enumerate() {
        let Some(share) = share else {
            is_on = false;
            continue;
        };
        let (x, y) = place(at, *share);
        path.push_str(&format!("{}{x} {y}", if is_on { 'L' } else { 'M' }));
        // A stroke of no length is drawn where its ends are round.
        let is_alone = !is_on && shares.get(at + 1).is_none_or(Option::is_none);
        if is_alone {
            path.push_str(&format!("L{x} {y}"));
        }
        is_on = true;
    }
    path
}

/// The next of 4, 8, 20, 40, 80, 200, …: lines across have whole numbers.
fn rounded_up(most: u64) -> u64 {
    let mut power = GRID;
    loop {
        for factor in [1, 2, 5] {
            let top = power.saturating_mul(factor);
            if most <= top || top == u64::MAX {
                return top;
            }
        }
        power = power.saturating_mul(10);
    }
}

/// A tenth of a unit is finer than any screen.
fn short(number: f64) -> String {
    format!("{number:.1}")
}

/// The picture, in units of its own; the page scales it.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 200.0;
const LEFT: f64 = 56.0;
const BOTTOM: f64 = 24.0;
const ABOVE: f64 = 8.0;
/// Of the room of a bar, how much stays free.
const GAP: f64 = 0.2;
/// One mail among thousands is seen.
const SEEN_MIN: f64 = 1.0;
const GRID: u64 = 4;
const LINE_WIDTH: f64 = 240.0;
const LINE_HEIGHT: f64 = 48.0;
const LINE_ABOVE: f64 = 4.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_stand_on_each_other_and_end_below_the_top() {
        let points = [("a".to_owned(), [3, 1]), ("b".to_owned(), [0, 0]), ("c".to_owned(), [0, 8])];
        let chart = bars(&points, ["good", "bad"]);
        let places: Vec<_> =
            chart.bars.iter().map(|bar| (&bar.x[..], &bar.y[..], &bar.height[..], bar.class)).collect();
        assert_eq!(
            places,
            [("78.1", "113.0", "63.0", "good"), ("78.1", "92.0", "21.0", "bad"), ("520.8", "8.0", "168.0", "bad")]
        );
        assert_eq!(chart.grid.iter().map(|line| line.count).collect::<Vec<_>>(), [0, 2, 4, 6, 8]);
        assert_eq!(chart.labels.iter().map(|label| &label.text[..]).collect::<Vec<_>>(), ["a", "b", "c"]);
    }

    #[test]
    fn nothing_and_very_much_can_be_drawn() {
        let nothing = bars::<1>(&[], ["good"]);
        assert!(nothing.bars.is_empty() && nothing.labels.is_empty());
        let much = bars(&[("a".to_owned(), [u64::MAX, u64::MAX])], ["good", "bad"]);
        assert_eq!(much.bars.len(), 2);
        let one = bars(&[("a".to_owned(), [1, 100_000])], ["good", "bad"]);
        assert_eq!(one.bars[0].height, "1.0", "it is seen");
    }

    #[test]
    fn the_top_is_a_round_number() {
        for (most, top) in [(0, 4), (4, 4), (5, 8), (9, 20), (21, 40), (41, 80), (81, 200), (1234, 2000)] {
            assert_eq!(rounded_up(most), top, "{most}");
        }
    }

    #[test]
    fn a_line_has_gaps_where_nothing_was_sent() {
        assert_eq!(line(&[]), "");
        assert_eq!(line(&[Some(1.0), Some(0.0)]), "M0.0 4.0L240.0 44.0");
        assert_eq!(line(&[Some(0.5), None, Some(2.0)]), "M0.0 24.0L0.0 24.0M240.0 4.0L240.0 4.0");
    }
}
