//! The text of a report in a form that can be searched: lines with single blanks, without quotation marks of forwarders.

use super::mime::cut;
use super::spot::{Spot, spots};
use super::words::{Hit, Sign, hits};

/// A text and what was found in it, up to where the returned mail begins.
pub(super) struct Lines {
    /// All lines, joined by blanks.
    pub flat: String,
    pub lines: Vec<Line>,
    pub hits: Vec<Hit>,
    pub spots: Vec<Spot>,
    /// Where the returned mail begins in the text that was given, if it is quoted there.
    pub returned_at: Option<usize>,
}

/// A line; `start` and `end` are places in [`Lines::flat`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    pub start: usize,
    pub end: usize,
    /// White space before it.
    pub indent: usize,
    /// Where it begins in the text that was given, and where the next one does.
    source: usize,
    next: usize,
}

impl Lines {
    pub(super) fn of(text: &str) -> Self {
        let (flat, lines) = flatten(text);
        let mut hits: Vec<Hit> = hits(&flat).take(HITS_MAX).collect();
        hits.sort_by_key(|hit| (hit.start, std::cmp::Reverse(hit.end)));
        let mut this = Self { flat, lines, hits, spots: Vec::new(), returned_at: None };
        if let Some((line, marked)) = this.returned() {
            let Line { start, source, next, .. } = this.lines[line];
            this.returned_at = Some(if marked { next } else { source });
            this.lines.truncate(line);
            this.flat.truncate(start);
            this.hits.retain(|hit| hit.end <= start);
        }
        this.spots = spots(&this.flat).take(SPOTS_MAX).collect();
        this
    }

    pub(super) fn text(&self, line: Line) -> &str {
        self.flat[line.start..line.end].trim_end()
    }

    /// The number of the line that this place is in.
    pub(super) fn line_at(&self, place: usize) -> usize {
        self.lines.partition_point(|line| line.start <= place).saturating_sub(1)
    }

    pub(super) fn has(&self, sign: Sign) -> bool {
        self.hits.iter().any(|hit| hit.sign == sign)
    }

    /// True where only signs without meaning stand before this place in its line.
    fn begins_line(&self, place: usize) -> bool {
        let line = self.lines[self.line_at(place)];
        let before = &self.flat[line.start..place];
        !before.contains(char::is_alphanumeric)
    }

    /// True where a field of a mail stands right below this line.
    fn is_above_header(&self, number: usize) -> bool {
        let below = self.lines.iter().skip(number + 1).map(|line| self.text(*line));
        below.filter(|text| !text.is_empty()).take(1).any(|text| begins_with(text, HEADER_FIELDS))
    }

    /// The line in which the returned mail begins, and whether that line only says so.
    fn returned(&self) -> Option<(usize, bool)> {
        let first_address = self.flat.find('@')?;
        let mut marks = self.hits.iter().filter(|hit| hit.sign == Sign::Returned && self.begins_line(hit.start));
        // Words like "returned mail" may also open a report: then nobody was named yet, and no header follows.
        let mark = marks.find(|hit| first_address < hit.start || self.is_above_header(self.line_at(hit.start)));
        let marked = mark.map(|hit| self.line_at(hit.start));
        let header = self.lines.iter().position(|line| begins_with(self.text(*line), RETURNED_FIELDS));
        match (marked, header) {
            (Some(marked), Some(header)) if header < marked => Some((header, false)),
            (Some(marked), _) => Some((marked, true)),
            (None, header) => header.map(|line| (line, false)),
        }
    }
}

pub(super) fn begins_with(text: &str, names: &[&str]) -> bool {
    names.iter().any(|name| text.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)))
}

/// Lines without quotation marks and doubled blanks, one after the other.
fn flatten(text: &str) -> (String, Vec<Line>) {
    let mut flat = String::with_capacity(text.len().min(FLAT_OCTETS_MAX));
    let mut lines = Vec::new();
    let mut source = 0;
    for line in text.split_inclusive('\n') {
        if FLAT_OCTETS_MAX <= flat.len() || LINES_MAX <= lines.len() {
            break;
        }
        let next = source + line.len();
        let line = cut(line, FLAT_OCTETS_MAX - flat.len());
        let (indent, content) = without_quotation(line);
        let start = flat.len();
        for word in content.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
            if start < flat.len() {
                flat.push(' ');
            }
            push_plain(&mut flat, word);
        }
        let end = flat.len();
        flat.push(' ');
        lines.push(Line { start, end, indent, source, next });
        source = next;
    }
    (flat, lines)
}

/// How far a line is indented, and what stands there, without the `> ` of those who forwarded it.
fn without_quotation(line: &str) -> (usize, &str) {
    let mut content = line;
    for _ in 0..QUOTATIONS_MAX {
        match content.trim_start().strip_prefix('>') {
            Some(inner) => content = inner,
            None => break,
        }
    }
    let quoted = content.len() < line.len();
    // One blank belongs to the mark.
    let content = if quoted { content.strip_prefix(' ').unwrap_or(content) } else { content };
    let trimmed = content.trim_start_matches([' ', '\t']);
    (content.len() - trimmed.len(), trimmed)
}

fn push_plain(flat: &mut String, word: &str) {
    if word.is_ascii() {
        flat.push_str(word);
    } else {
        flat.extend(word.chars().map(|c| match c {
            '\u{2018}' | '\u{2019}' | '\u{b4}' => '\'',
            '\u{201c}' | '\u{201d}' | '«' | '»' => '"',
            '\u{fe55}' | '\u{ff1a}' => ':',
            c => c,
        }));
    }
}

/// A line that begins so begins the header of the returned mail.
const RETURNED_FIELDS: &[&str] = &["received:", "return-path:", "dkim-signature:", "x-received:"];
/// Fields with which a header may begin that people see.
const HEADER_FIELDS: &[&str] = &[
    "received:",
    "return-path:",
    "from:",
    "to:",
    "date:",
    "subject:",
    "message-id:",
    "sender:",
    "x-",
    "mime-version:",
];
/// Reports explain themselves in some 30 lines. What follows is the returned mail, or a trick.
const FLAT_OCTETS_MAX: usize = 64 * 1024;
const LINES_MAX: usize = 4000;
/// Real reports have some dozens.
const HITS_MAX: usize = 2000;
/// More than the recipients of a report: servers repeat them in their words.
const SPOTS_MAX: usize = 1000;
/// Also the `>>>` of sendmail's transcripts.
const QUOTATIONS_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_searched_up_to_the_returned_mail() {
        let text = "It  failed:\n\n  <jean@example.org>:\n550 d\u{2019}accord\n--- Below this line is a copy of the message.\n\nTo: x@y\n";
        let lines = Lines::of(text);
        assert_eq!(lines.flat, "It failed:  <jean@example.org>: 550 d'accord ");
        assert_eq!(lines.returned_at.map(|at| &text[at..]), Some("\nTo: x@y\n"));
        assert_eq!(lines.lines.iter().map(|line| line.indent).collect::<Vec<_>>(), [0, 0, 2, 0]);
        assert_eq!(lines.text(lines.lines[lines.line_at(lines.spots[0].start)]), "<jean@example.org>:");
        let text = "> > jean@example.org\n> Received: from x\n";
        let lines = Lines::of(text);
        assert_eq!(lines.flat, "jean@example.org ");
        assert_eq!(lines.returned_at.map(|at| &text[at..]), Some("> Received: from x\n"));
        assert_eq!(
            Lines::of("The original message was received. jean@example.org\nThe original message was").returned_at,
            None
        );
    }
}
