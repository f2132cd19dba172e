//! The map of who told this node what: it in the middle, its peers around it, and behind each the nodes that came through it.
//! A table with the same stands behind it.

use std::f64::consts::TAU;

use serde_json::Value;

use super::asks::{list, number, text};
use super::frame::Frame;

/// What is drawn.
pub(super) struct Map {
    pub lines: Vec<Line>,
    pub nodes: Vec<Node>,
    /// Nodes that did not find a place.
    pub left_out: u64,
    /// What of the picture has something in it, from above.
    pub top: String,
    pub height: String,
}

/// What one node told another.
pub(super) struct Line {
    pub from: (String, String),
    pub to: (String, String),
    pub width: String,
    pub class: &'static str,
}

/// A node, in the picture and in the table.
pub(super) struct Node {
    pub x: String,
    pub y: String,
    pub radius: String,
    pub text_y: String,
    pub class: &'static str,
    /// As it fits into the picture.
    pub label: String,
    pub name: String,
    /// By whom it came here; empty for a peer.
    pub through: String,
    pub events: String,
}

/// From the answer of `peer list`.
pub(super) fn map(value: &Value, f: &Frame) -> Map {
    let peers: Vec<&Value> = list(value, "peers").iter().filter(|peer| peer["state"] == "accepted").collect();
    let origins = list(value, "origins");
    let most = peers.iter().copied().chain(origins).map(|row| number(row, "events_in")).max().unwrap_or(0);
    let (top, height) = (String::new(), String::new());
    let mut map = Map { lines: Vec::new(), nodes: Vec::new(), left_out: 0, top, height };
    let (mut highest, mut lowest) = (CENTER.1, CENTER.1);
    // A peer has as much of the circle as there is behind it.
    let behind = |peer: &Value| -> Vec<&Value> {
        origins.iter().filter(|origin| origin["introducer"] == peer["node"]).take(BEHIND_MAX).collect()
    };
    let shown: Vec<_> = peers.iter().take(PEERS_MAX).map(|peer| (*peer, behind(peer))).collect();
    let share = |count: usize| 1.0 + count as f64;
    let whole: f64 = shown.iter().map(|(_, behind)| share(behind.len())).sum();
    let mut turn = -TAU / 4.0;
    for (peer, behind) in &shown {
        let part = TAU * share(behind.len()) / whole.max(1.0);
        let at = place(turn + part / 2.0, INNER);
        map.add(peer, (CENTER, at), "", most, f);
        (highest, lowest) = (highest.min(at.1), lowest.max(at.1));
        for (number, origin) in behind.iter().enumerate() {
            let angle = turn + part * (number as f64 + 1.0) / share(behind.len());
            let far = place(angle, OUTER);
            map.add(origin, (at, far), text(peer, "name"), most, f);
            (highest, lowest) = (highest.min(far.1), lowest.max(far.1));
        }
        turn += part;
    }
    let all = peers.len() as u64 + number(value, "origins_known");
    map.left_out = all.saturating_sub(map.nodes.len() as u64);
    // Two peers stand beside this node: the room for others above and below would be empty.
    (map.top, map.height) = (short(highest - ABOVE), short(lowest - highest + ABOVE + BELOW));
    map
}

impl Map {
    fn add(&mut self, row: &Value, (from, at): ((f64, f64), (f64, f64)), through: &str, most: u64, f: &Frame) {
        let events = number(row, "events_in");
        let is_bad = row["quarantined_since"].is_u64() || row["contradicts_itself"] == true;
        let agrees = text(&row["agreement"], "word") == "agrees";
        let class = if is_bad {
            "bad"
        } else if agrees {
            "good"
        } else {
            "unknown"
        };
        // A thousand times as much is twice as wide: the eye compares magnitudes.
        let width = 1.0 + 5.0 * (events as f64 + 1.0).ln() / (most as f64 + 2.0).ln();
        let [x, y] = [at.0, at.1].map(short);
        self.lines.push(Line {
            from: (short(from.0), short(from.1)),
            to: (x.clone(), y.clone()),
            width: short(width),
            class,
        });
        let name =
            Some(text(row, "name")).filter(|name| !name.is_empty()).map_or_else(|| f.w("vote-unknown"), str::to_owned);
        let label: String = match name.chars().count() <= LABEL_CHARS_MAX {
            true => name.clone(),
            false => name.chars().take(LABEL_CHARS_MAX - 1).chain(['…']).collect(),
        };
        self.nodes.push(Node {
            text_y: short(at.1 + if at.1 < CENTER.1 { -12.0 } else { 20.0 }),
            x,
            y,
            radius: short(if through.is_empty() { 8.0 } else { 5.0 }),
            class,
            label,
            name,
            through: through.to_owned(),
            events: f.number(&events),
        });
    }
}

fn place(angle: f64, (across, down): (f64, f64)) -> (f64, f64) {
    (CENTER.0 + across * angle.cos(), CENTER.1 + down * angle.sin())
}

fn short(number: f64) -> String {
    format!("{number:.1}")
}

/// The picture is 720 by 400 units; the page scales it.
const CENTER: (f64, f64) = (360.0, 200.0);
const INNER: (f64, f64) = (170.0, 100.0);
const OUTER: (f64, f64) = (300.0, 175.0);
/// Room for a name and a circle.
const ABOVE: f64 = 30.0;
const BELOW: f64 = 40.0;
/// More names lie on each other; the table has no more either, and says how many are left out.
const PEERS_MAX: usize = 24;
const BEHIND_MAX: usize = 12;
const LABEL_CHARS_MAX: usize = 18;
