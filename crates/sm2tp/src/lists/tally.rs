//! What became of the entries of a list: counted, told at the end, and each one left out written to a file where asked.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use serde_json::json;
use sm2tp_proto::lists::Format;
use sm2tp_proto::maps::cell;

use crate::{Exit, Failure, open};

/// The counts of one import.
pub struct Tally {
    /// Entries and what was none.
    pub read: u64,
    pub taken: u64,
    /// Was there already.
    pub known: u64,
    pub is_interrupted: bool,
    /// By the sentence that says why: a few dozen of them exist.
    left: BTreeMap<String, LeftOut>,
    rejects: Option<BufWriter<File>>,
}

#[derive(Default)]
struct LeftOut {
    count: u64,
    /// The numbers of the first of them.
    first: Vec<u64>,
}

impl Tally {
    pub fn new(rejects: Option<&Path>) -> Result<Self, Failure> {
        let rejects = rejects.map(|path| File::create(path).map_err(|error| open::unusable(path, &error)));
        let mut rejects = rejects.transpose()?.map(BufWriter::new);
        rejects.as_mut().map_or(Ok(()), |file| writeln!(file, "number,address,why")).map_err(|error| lost(&error))?;
        Ok(Self { read: 0, taken: 0, known: 0, is_interrupted: false, left: BTreeMap::new(), rejects })
    }

    /// One more that is left out.
    pub fn leave(&mut self, number: u64, whom: Option<&str>, why: &str) -> Result<(), Failure> {
        let left = match self.left.get_mut(why) {
            Some(left) => left,
            None => self.left.entry(why.to_owned()).or_default(),
        };
        left.count += 1;
        if left.first.len() < FIRST_MAX {
            left.first.push(number);
        }
        let Some(rejects) = &mut self.rejects else { return Ok(()) };
        writeln!(rejects, "{number},{},{}", cell(whom.unwrap_or("")), cell(why)).map_err(|error| lost(&error))
    }

    /// The report, in words or as JSON.
    pub fn finish(mut self, file: &Path, format: Format, is_try: bool, as_json: bool) -> Result<String, Failure> {
        self.rejects.as_mut().map_or(Ok(()), Write::flush).map_err(|error| lost(&error))?;
        let mut left: Vec<(&String, &LeftOut)> = self.left.iter().collect();
        left.sort_by_key(|(_, left)| std::cmp::Reverse(left.count));
        if as_json {
            let left = left.iter().map(|(why, left)| json!({ "why": why, "count": left.count, "first": left.first }));
            return Ok(json!({
                "format": format,
                "read": self.read,
                "taken": self.taken,
                "known": self.known,
                "left_out": left.collect::<Vec<_>>(),
                "dry_run": is_try,
                "interrupted": self.is_interrupted,
            })
            .to_string());
        }
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{} ({format}): {} entries read", file.display(), grouped(self.read));
        let taken = if is_try { "would be taken" } else { "taken" };
        let _ = writeln!(out, "{:>12}  {taken}", grouped(self.taken));
        let _ = writeln!(out, "{:>12}  there already", grouped(self.known));
        let left_out: u64 = left.iter().map(|(_, left)| left.count).sum();
        let _ = writeln!(out, "{:>12}  left out", grouped(left_out));
        for (why, left) in left {
            let numbers = left.first.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
            let more = if (left.first.len() as u64) < left.count { ", …" } else { "" };
            let _ = writeln!(out, "{:>14}  {why} (number {numbers}{more})", grouped(left.count));
        }
        if is_try {
            let _ = writeln!(out, "Nothing was changed.");
        }
        if self.is_interrupted {
            let _ = writeln!(out, "Interrupted. What was taken stays; import the list again for the rest.");
        }
        Ok(out)
    }
}

/// `1 000 000`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place != 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

fn lost(error: &std::io::Error) -> Failure {
    Failure::new(Exit::Temporary, format!("the file of --rejects: {error}"))
}

/// Enough to find what is wrong with a list.
const FIRST_MAX: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_what_was_left_out_why_and_where() {
        let mut tally = Tally::new(None).unwrap();
        (tally.read, tally.taken, tally.known) = (1_000_007, 1_000_000, 1);
        (1..=6).for_each(|number| tally.leave(number * 7, None, "no address in it").unwrap());
        let text = tally.finish(Path::new("list.csv"), Format::SendGrid, false, false).unwrap();
        let want = "list.csv (sendgrid): 1 000 007 entries read\n   1 000 000  taken\n           1  there already\n\
            \x20          6  left out\n             6  no address in it (number 7, 14, 21, 28, 35, …)\n";
        assert_eq!(text, want);
    }
}
