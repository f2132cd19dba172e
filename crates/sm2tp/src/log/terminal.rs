//! The report of `log scan` for a terminal: columns as wide as what is in them.

use std::fmt::Write;

use super::report::{Cell, Report, Section};

pub(super) fn text(report: &Report) -> String {
    let mut out = report.sums.join("\n") + "\n";
    for section in &report.sections {
        put(&mut out, section);
    }
    out
}

fn put(out: &mut String, section: &Section) {
    let width = |column: usize| {
        let cells = section.rows.iter().filter_map(|row| row.get(column)).map(|cell| length(&cell.shown()));
        cells.chain([length(section.columns[column])]).max().unwrap_or(0).min(WIDTH_MAX)
    };
    let widths: Vec<usize> = (0..section.columns.len()).map(width).collect();
    let mut line = |cells: Vec<String>| {
        let mut text = String::new();
        for (column, (cell, width)) in cells.iter().zip(&widths).enumerate() {
            let space = " ".repeat(width.saturating_sub(length(cell)));
            let (before, behind) = if section.is_number(column) { (space.as_str(), "") } else { ("", space.as_str()) };
            // Writing to a String cannot fail.
            let _ = write!(text, "{before}{cell}{behind}  ");
        }
        let _ = writeln!(out, "{}", text.trim_end());
    };
    line(Vec::new());
    line(vec![section.title.to_owned()]);
    line(section.columns.iter().map(|column| (*column).to_owned()).collect());
    section.rows.iter().for_each(|row| line(row.iter().map(Cell::shown).collect()));
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// What is longer stands out of its column, so that the others stay on the screen.
const WIDTH_MAX: usize = 40;
