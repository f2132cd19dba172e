//! Lists of recipients in reports: a sentence that announces them, then lines that begin with one, each with what was said.

use super::lines::{Line, Lines};
use super::mime::cut;
use super::prose::{Facts, Found, is_gap, is_office, push, usual};
use super::spot::spots;
use super::words::{Hit, Sign};
use super::{Action, RECIPIENTS_MAX, push_bounded};
use crate::Address;

/// A line that begins with a recipient, or with several.
pub(super) struct Item {
    pub addresses: Vec<Address>,
    rest: String,
    shape: Shape,
}

/// Recipients of one list look alike; lines of a server's words do not look like them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shape {
    indent: usize,
    in_brackets: bool,
}

/// Lists under a sentence that announces them.
pub(super) fn listed(lines: &Lines, facts: &Facts<'_>) -> Vec<Found> {
    let mut found = Vec::new();
    let mut room = LISTED_OCTETS_MAX;
    let mut last = None;
    for hit in &lines.hits {
        let Some(action) = announced(lines, hit, facts) else { continue };
        inline_list(lines, hit.end, action, &mut found);
        let heading = lines.line_at(hit.end - 1);
        // What stands below a line is read once, however often that line announces it.
        if last.replace(heading) != Some(heading) {
            list_below(lines, heading, action, &mut found, &mut room);
        }
        if RECIPIENTS_MAX <= found.len() {
            break;
        }
    }
    found
}

/// What happened to the recipients that this phrase announces.
pub(super) fn announced(lines: &Lines, hit: &Hit, facts: &Facts<'_>) -> Option<Action> {
    match hit.sign {
        Sign::Failed if is_in_success(lines, hit) => None,
        Sign::Failed => Some(usual(lines, facts)),
        Sign::Permanent => Some(Action::Failed),
        Sign::Delayed => Some(Action::Delayed),
        Sign::Delivered => Some(Action::Delivered),
        Sign::Heading => {
            let line = lines.lines[lines.line_at(hit.start)];
            let alone = lines.text(line).len() == hit.end - hit.start && line.start == hit.start;
            (alone && (facts.is_report || lines.has(Sign::Lost))).then(|| usual(lines, facts))
        }
        _ => None,
    }
}

/// "successfully delivered to the following recipients" holds the words of a failure as well.
fn is_in_success(lines: &Lines, hit: &Hit) -> bool {
    let mut successes = lines.hits.iter().filter(|other| other.sign == Sign::Delivered);
    successes.any(|success| success.start <= hit.start && hit.start <= success.end + 4)
}

/// Recipients in the line of the sentence itself: `… returned permanent errors: jean@example.org. Reason: …`.
fn inline_list(lines: &Lines, from: usize, action: Action, found: &mut Vec<Found>) {
    let line = lines.lines[lines.line_at(from - 1)];
    let rest = &lines.flat[from.min(line.end)..line.end];
    // What is further away is none of this sentence, and a long line may hold many sentences.
    let near = cut(rest, FIRST_WITHIN_OCTETS);
    let Some(first) = spots(near).next().filter(|spot| is_gap(&near[..spot.start])) else { return };
    let mut end = first.end;
    let mut addresses = vec![first.address];
    for spot in spots(&rest[end..]).take(RECIPIENTS_MAX) {
        // Places are those of the part that was searched.
        let (start, stop) = (first.end + spot.start, first.end + spot.end);
        if !is_separator(&rest[end..start]) {
            break;
        }
        addresses.push(spot.address);
        end = stop;
    }
    let words = rest[end..].trim_start_matches(|c: char| !c.is_alphanumeric());
    for address in addresses {
        push(found, address, action, words);
    }
}

/// Recipients in the lines below, each with what is said about it. `room` is what may still be read for all lists.
fn list_below(lines: &Lines, heading: usize, action: Action, found: &mut Vec<Found>, room: &mut usize) {
    let is_in_sentence = !lines.text(lines.lines[heading]).ends_with(':');
    let mut list = List { action, shape: None, others: 0, open: Vec::new(), is_paused: false, is_in_sentence };
    for line in lines.lines.iter().skip(heading + 1) {
        let text = lines.text(*line);
        let Some(left) = room.checked_sub(text.len() + 1) else { return };
        *room = left;
        if text.is_empty() {
            list.pause(found);
            list.is_in_sentence = false;
            continue;
        }
        if is_rule(text) || closes(lines, *line) {
            // A line under the heading is part of it; one after recipients ends their list.
            if list.shape.is_some() {
                break;
            }
            list.is_in_sentence = true;
            continue;
        }
        match item(line.indent, text).filter(|item| list.fits(item)) {
            Some(item) => list.take(item, found),
            None => list.say(text, found),
        }
        list.is_in_sentence = list.shape.is_none();
        if list.is_over() || RECIPIENTS_MAX <= found.len() {
            break;
        }
    }
}

/// A list while it is read.
struct List {
    action: Action,
    shape: Option<Shape>,
    /// Lines without recipient since the last one.
    others: usize,
    /// Recipients about whom nothing was said yet, or who are being talked about.
    open: Vec<usize>,
    /// True after an empty line behind words.
    is_paused: bool,
    /// True below a line of the introduction.
    is_in_sentence: bool,
}

impl List {
    fn fits(&self, item: &Item) -> bool {
        match self.shape {
            // "For further assistance, please contact" may end just before the address.
            None => !(self.is_in_sentence && item.addresses.iter().any(is_office)),
            Some(shape) => shape == item.shape || (shape.indent == item.shape.indent && item.rest.is_empty()),
        }
    }

    fn take(&mut self, item: Item, found: &mut Vec<Found>) {
        let talked = self.open.iter().any(|at| !found[*at].diagnostic.is_empty());
        if talked {
            self.open.clear();
        }
        self.shape = Some(item.shape);
        self.others = 0;
        self.is_paused = false;
        let action = noted(&item.rest).unwrap_or(self.action);
        for address in item.addresses {
            if let Some(at) = push(found, address, action, &item.rest).filter(|at| !self.open.contains(at)) {
                self.open.push(at);
            }
        }
    }

    /// Words about the recipients above.
    fn say(&mut self, text: &str, found: &mut [Found]) {
        self.others += 1;
        if self.is_paused || self.shape.is_none() {
            return;
        }
        for at in &self.open {
            push_bounded(&mut found[*at].diagnostic, text);
        }
    }

    /// An empty line: what follows is about nobody, unless nothing was said yet, or a colon promises more.
    fn pause(&mut self, found: &[Found]) {
        let said = |at: &usize| !found[*at].diagnostic.is_empty() && !found[*at].diagnostic.ends_with(':');
        self.is_paused = self.open.iter().any(said);
    }

    fn is_over(&self) -> bool {
        let most = if self.shape.is_some() { LINES_BETWEEN_MAX } else { LINES_BEFORE_MAX };
        most < self.others
    }
}

/// `(transient failure)`, `(successfully delivered)`: sendmail notes what happened to each.
fn noted(rest: &str) -> Option<Action> {
    let rest = rest.trim_start_matches(['(', ' ']);
    let begins = |word: &str| rest.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    if begins("transient failure") || begins("delayed") || begins("will keep trying") {
        Some(Action::Delayed)
    } else if begins("successfully delivered") || begins("delivered") {
        Some(Action::Delivered)
    } else if begins("relayed") || begins("successfully relayed") {
        Some(Action::Relayed)
    } else if begins("expanded") && !begins("expanded from") {
        Some(Action::Expanded)
    } else {
        None
    }
}

/// The recipients with which a line begins, if it does.
pub(super) fn item(indent: usize, text: &str) -> Option<Item> {
    let start = bullet_end(text);
    let body = &text[start..];
    let first = spots(body).next()?;
    let before = &body[..first.start];
    let in_brackets = before.ends_with(['<', '(', '[']);
    let is_first =
        before.chars().all(|c| "<\"'[(".contains(c)) || is_label(before) || is_named(before, &body[first.end..]);
    if !is_first {
        return None;
    }
    let mut end = first.end;
    let mut addresses = vec![first.address];
    for spot in spots(&body[first.end..]) {
        if !is_separator(&body[end..first.end + spot.start]) || RECIPIENTS_MAX <= addresses.len() {
            break;
        }
        end = first.end + spot.end;
        addresses.push(spot.address);
    }
    let rest = body[end..].trim_start_matches(['>', '"', '\'', ']', ')', ':', ';', ',', '.', ' ', '-']);
    Some(Item { addresses, rest: rest.to_owned(), shape: Shape { indent, in_brackets } })
}

/// Bullets and numbers before a recipient.
fn bullet_end(text: &str) -> usize {
    let trimmed = text.trim_start_matches(['*', '•', '·', '-', '+', '#', '=', ' ']);
    let digits = trimmed.len() - trimmed.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let after = &trimmed[digits..];
    match after.strip_prefix(['.', ')']).map(str::trim_start) {
        Some(rest) if 0 < digits && digits < 4 => text.len() - rest.len(),
        _ => text.len() - trimmed.len(),
    }
}

/// `To:`, `Recipient:`, `Destinataire :`: one word and a colon; more words where the last one is about an address.
fn is_label(before: &str) -> bool {
    let label = before.trim_end_matches(['<', '"', '\'', '[', '(', ' ']);
    let label = label.strip_suffix("SMTP:").or_else(|| label.strip_suffix("mailto:")).unwrap_or(label);
    let label = label.trim_end_matches(['<', '"', '\'', '[', '(', ' ']);
    let Some(words) = label.strip_suffix(':').map(str::trim_end).filter(|words| words.len() < LABEL_OCTETS_MAX) else {
        return false;
    };
    let is_plain = !words.chars().any(|c| c.is_ascii_digit() || c == '@');
    let last = words.rsplit(' ').next().unwrap_or(words);
    let is_about = last.len() == words.len() || LABELS.iter().any(|label| label.eq_ignore_ascii_case(last));
    is_plain && is_about && !is_header_label(label)
}

/// `Jean Dupont <`, and the line ends with the bracket.
fn is_named(before: &str, after: &str) -> bool {
    let named = before.strip_suffix(['<', '(', '[']);
    let ends = matches!(after.trim_end_matches([' ', ':', ',', ';', '\'', '"']), ">" | ")" | "]");
    ends && named.is_some_and(|name| name.len() < 64 && !name.contains([':', ';', '<']))
}

/// `-----`, `=====`, or such a line with words in it.
pub(super) fn is_rule(text: &str) -> bool {
    ["----", "====", "****", "____", "####"].iter().any(|rule| text.starts_with(rule))
}

fn closes(lines: &Lines, line: Line) -> bool {
    let from = lines.hits.partition_point(|hit| hit.start < line.start);
    lines.hits[from..].iter().take_while(|hit| hit.start < line.end).any(|hit| hit.sign == Sign::Close)
}

/// `From: …`, `Sender: …` in a summary of the mail that failed.
pub(super) fn is_header_label(text: &str) -> bool {
    ["from", "sender", "reply-to", "cc", "subject", "message-id", "de", "von", "expéditeur", "absender"].iter().any(
        |label| {
            let label_end = text.get(..label.len()).filter(|start| start.to_lowercase() == **label).map(str::len);
            label_end.is_some_and(|end| text[end..].trim_start().starts_with(':'))
        },
    )
}

fn is_separator(between: &str) -> bool {
    let between = between.trim_matches([' ', '<', '>', '"', '\'', '(', ')', '[', ']']);
    matches!(between, "" | "," | ";" | "and" | "et" | "/")
}

/// What labels of more than one word end with.
const LABELS: &[&str] = &[
    "address",
    "addresses",
    "recipient",
    "recipients",
    "recipient(s)",
    "user",
    "mailbox",
    "email",
    "to",
    "adresse",
    "destinataire",
    "destinataires",
    "empfänger",
    "destinatario",
    "destinatário",
    "indirizzo",
];
const LABEL_OCTETS_MAX: usize = 32;
/// Between the sentence and its list there are some lines of introduction, in several languages at worst.
const LINES_BEFORE_MAX: usize = 8;
/// The words of one server have a dozen lines; after more, the list is over.
const LINES_BETWEEN_MAX: usize = 24;
/// Octets that are read for all lists of one text: each line some times, because a text may announce several lists, but
/// not once for each of the hundreds of sentences that somebody may write above them.
const LISTED_OCTETS_MAX: usize = 256 * 1024;
/// A gap and an address: the longest local part and domain (RFC 5321 §4.5.3.1) with what may stand before them.
const FIRST_WITHIN_OCTETS: usize = 64 + 1 + 255 + 32;
