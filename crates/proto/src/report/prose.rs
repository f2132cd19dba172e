//! Reports that were written for people: who did not get the mail, and what was said about it.
//!
//! There are hundreds of such texts, and new ones every year, so that no format is known by its name here. What they
//! share is known instead, and tried in this order: a list of recipients under a sentence that announces it; a
//! transcript of the SMTP dialogue; an address beside words that condemn it; and where the mail is a report for sure, the
//! addresses at the beginnings of lines, in a sentence about failure, or the only one in the text.

use super::fields::one_line;
use super::lines::{Line, Lines, begins_with};
use super::list::{announced, is_header_label, is_rule, item, listed};
use super::spot::{Spot, spots};
use super::words::{Hit, Sign};
use super::{Action, RECIPIENTS_MAX, push_bounded};
use crate::{Address, Domain};

/// A recipient that a text names.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub address: Address,
    pub action: Action,
    pub diagnostic: String,
}

/// What is known of the mail around the text.
pub(super) struct Facts<'a> {
    /// Whom the report was sent to: the sender of the mail that failed.
    pub own: &'a [Address],
    /// True where sender or subject say that it is a report.
    pub is_report: bool,
    /// True where the return path of the report itself is empty.
    pub is_from_nobody: bool,
    /// True where more than the subject says that it is a report.
    pub may_guess: bool,
    /// True where the subject speaks of a delay.
    pub is_delay: bool,
    /// Where the report comes from: the domain of users whom it names without one.
    pub domain: Option<&'a Domain>,
}

/// What a text says, and how sure that is.
pub(super) struct Reading {
    pub found: Vec<Found>,
    /// True where no words say that these are the recipients: they are the addresses that there are.
    pub is_guess: bool,
}

/// A way to find them.
type Way = fn(&Lines, &Facts<'_>) -> Vec<Found>;

/// The recipients of a text without fields.
pub(super) fn recipients(lines: &Lines, facts: &Facts<'_>) -> Reading {
    let sure = facts.is_report || (facts.is_from_nobody && (lines.has(Sign::Lost) || lines.has(Sign::Final)));
    let ways: &[Way] = match (facts.is_report, sure) {
        (true, _) => &[listed, in_transcript, beside_words, without_domain],
        (false, true) => &[listed, in_transcript, beside_words],
        (false, false) => &[listed],
    };
    let first = |ways: &[Way]| ways.iter().map(|way| way(lines, facts)).find(|found| !found.is_empty());
    let told = first(ways);
    let is_guess = told.is_none();
    let guessed = || first(&[at_line_starts, in_sentences]).filter(|_| facts.may_guess);
    let mut found = told.or_else(guessed).unwrap_or_default();
    let is_alone = found.len() == 1;
    for found in found.iter_mut().filter(|found| !has_code(&found.diagnostic)) {
        improve(found, lines, is_alone);
    }
    Reading { found, is_guess }
}

/// What a text says about one recipient who is known from elsewhere.
pub(super) fn said_about(lines: &Lines, address: &Address) -> Option<String> {
    let mut about = false;
    for (number, line) in lines.lines.iter().enumerate() {
        let text = lines.text(*line);
        if is_rcpt(text) {
            about = spots(text).any(|spot| spot.address.is_same(address));
        }
        let reply = without_marks(text);
        if starts_with_code(reply) && (about || spots(text).any(|spot| spot.address.is_same(address))) {
            return Some(with_continuation(lines, number, reply));
        }
    }
    None
}

/// The first reply of a server in the text, where only one recipient is there whom it can be about.
pub(super) fn first_reply(lines: &Lines) -> Option<String> {
    let replies = lines.lines.iter().enumerate().map(|(number, line)| (number, without_marks(lines.text(*line))));
    let mut replies = replies.filter(|(_, text)| starts_with_code(text));
    replies.next().map(|(number, text)| with_continuation(lines, number, text))
}

/// A failure, unless the text speaks of further attempts.
pub(super) fn usual(lines: &Lines, facts: &Facts<'_>) -> Action {
    let delay = facts.is_delay || lines.has(Sign::Warning);
    if delay && !lines.has(Sign::Final) && !lines.has(Sign::Permanent) { Action::Delayed } else { Action::Failed }
}

/// Addresses beside words that condemn them.
fn beside_words(lines: &Lines, facts: &Facts<'_>) -> Vec<Found> {
    let action = usual(lines, facts);
    let mut found = Vec::new();
    for hit in &lines.hits {
        let spot = match hit.sign {
            Sign::Before => after(lines, hit),
            Sign::After => before(lines, hit),
            _ => None,
        };
        if let Some(spot) = spot.filter(|spot| !is_office(&spot.address)) {
            let number = lines.line_at(spot.start);
            push(&mut found, spot.address.clone(), action, &paragraph_from(lines, number));
        }
    }
    // "The message from news@asso.example was not delivered" names who wrote it.
    if found.iter().any(|found| !is_own(&found.address, facts)) {
        found.retain(|found| !is_own(&found.address, facts));
    }
    found
}

/// The address right after a phrase.
fn after<'l>(lines: &'l Lines, hit: &Hit) -> Option<&'l Spot> {
    let next = lines.spots.partition_point(|spot| spot.start < hit.end);
    lines.spots.get(next).filter(|spot| is_gap(&lines.flat[hit.end..spot.start]))
}

/// The address right before a phrase.
fn before<'l>(lines: &'l Lines, hit: &Hit) -> Option<&'l Spot> {
    let next = lines.spots.partition_point(|spot| spot.end <= hit.start);
    let spot = lines.spots.get(next.checked_sub(1)?)?;
    let gap = &lines.flat[spot.end..hit.start];
    (gap.len() < GAP_OCTETS_MAX && !gap.contains(char::is_alphanumeric)).then_some(spot)
}

/// Recipients whom a server refused: `RCPT TO:<…>` with a bad answer, `550 <…>... User unknown`.
fn in_transcript(lines: &Lines, facts: &Facts<'_>) -> Vec<Found> {
    let action = usual(lines, facts);
    let mut found = Vec::new();
    let mut asked: Vec<Address> = Vec::new();
    let mut waiting: Option<Address> = None;
    for (number, line) in lines.lines.iter().enumerate() {
        let text = lines.text(*line);
        let reply = without_marks(text);
        if is_rcpt(text) {
            waiting = spots(text).next().map(|spot| spot.address);
            asked.extend(waiting.clone().filter(|_| asked.len() < RECIPIENTS_MAX));
        } else if starts_with_code(reply) {
            let words = with_continuation(lines, number, reply);
            let named = spots(reply).next().map(|spot| spot.address).filter(|_| names_first(reply));
            if let Some(address) = named.or_else(|| waiting.take()) {
                push(&mut found, address, action, &words);
            }
        } else if text.trim_start_matches(['<', ' ']).starts_with("250") {
            waiting = None;
        }
    }
    if found.is_empty() {
        let words = first_reply(lines).unwrap_or_default();
        for address in asked {
            push(&mut found, address, action, &words);
        }
    }
    found
}

/// `550 <jean@example.org>... User unknown`, `550 5.1.1 jean@example.org`: the address is what the code is about.
fn names_first(reply: &str) -> bool {
    let words = reply.trim_start_matches(|c: char| c.is_ascii_digit() || " .-#".contains(c));
    spots(words).next().is_some_and(|spot| words[..spot.start].chars().all(|c| "<\"' (".contains(c)))
}

/// Users without a domain under a sentence that announces recipients: they are users of who sent the report.
fn without_domain(lines: &Lines, facts: &Facts<'_>) -> Vec<Found> {
    let mut found = Vec::new();
    let Some(domain) = facts.domain else { return found };
    for hit in &lines.hits {
        let Some(action) = announced(lines, hit, facts) else { continue };
        let below = lines.lines.iter().skip(lines.line_at(hit.end - 1) + 1).map(|line| lines.text(*line));
        for text in below.skip_while(|text| text.is_empty()).take_while(|text| !text.is_empty()).take(LINES_BETWEEN_MAX)
        {
            let (user, rest) = text.split_once(" (").unwrap_or((text.trim_end_matches(':'), ""));
            let is_user = !user.is_empty() && user.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
            if let Some(address) = is_user.then(|| Address::parse(&format!("{user}@{domain}")).ok()).flatten() {
                push(&mut found, address, action, rest);
            }
        }
    }
    for hit in lines.hits.iter().filter(|hit| hit.sign == Sign::After) {
        let line = lines.lines[lines.line_at(hit.start)];
        let user = lines.flat[line.start..hit.start].trim();
        let words = &lines.flat[hit.start..hit.end];
        if !ABOUT_USERS.iter().any(|about| about.eq_ignore_ascii_case(words)) {
            continue;
        }
        let is_user = !user.is_empty() && user.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        if let Some(address) = is_user.then(|| Address::parse(&format!("{user}@{domain}")).ok()).flatten() {
            push(&mut found, address, usual(lines, facts), lines.text(line));
        }
    }
    found
}

/// Lines that begin with an address of somebody else.
fn at_line_starts(lines: &Lines, facts: &Facts<'_>) -> Vec<Found> {
    let action = usual(lines, facts);
    let mut found = Vec::new();
    for (number, line) in lines.lines.iter().enumerate() {
        let Some(item) = item(line.indent, lines.text(*line)) else { continue };
        if is_header_label(lines.text(*line)) {
            continue;
        }
        for address in item.addresses.into_iter().filter(|address| !is_office(address) && !is_own(address, facts)) {
            push(&mut found, address, action, &paragraph_from(lines, number));
        }
    }
    found
}

/// Addresses of others in a paragraph about failure; the only one in the text, whatever stands around it.
fn in_sentences(lines: &Lines, facts: &Facts<'_>) -> Vec<Found> {
    let action = usual(lines, facts);
    let others = |spot: &&Spot| !is_office(&spot.address) && !is_own(&spot.address, facts);
    let mut found = Vec::new();
    for hit in lines.hits.iter().filter(|hit| matches!(hit.sign, Sign::Lost | Sign::After | Sign::Failed)) {
        let (from, to) = paragraph_around(lines, lines.line_at(hit.start));
        let inside = lines.spots.iter().filter(|spot| from <= spot.start && spot.start < to);
        for spot in inside.filter(others).take(RECIPIENTS_MAX) {
            push(&mut found, spot.address.clone(), action, &lines.flat[from..to]);
        }
        if !found.is_empty() {
            return found;
        }
    }
    let mut rest = lines.spots.iter().filter(others);
    if let Some(spot) = rest.next()
        && rest.all(|other| other.address.is_same(&spot.address))
    {
        push(&mut found, spot.address.clone(), action, &paragraph_from(lines, lines.line_at(spot.start)));
    }
    found
}

/// Adds a recipient unless it is there; where it stands in the list. One that is there gets the words that it lacks.
pub(super) fn push(found: &mut Vec<Found>, address: Address, action: Action, words: &str) -> Option<usize> {
    if let Some(at) = found.iter().position(|found| found.address.is_same(&address)) {
        if found[at].diagnostic.is_empty() {
            push_bounded(&mut found[at].diagnostic, words);
            return Some(at);
        }
        return None;
    }
    if RECIPIENTS_MAX <= found.len() {
        return None;
    }
    let mut diagnostic = String::new();
    push_bounded(&mut diagnostic, words);
    found.push(Found { address, action, diagnostic });
    Some(found.len() - 1)
}

/// Words without a code may be the reporter's own; the server's stand elsewhere, or in the lines that follow.
///
/// `is_alone`: there is nobody else whom a reply could be about.
fn improve(found: &mut Found, lines: &Lines, is_alone: bool) {
    let is_bare = !found.diagnostic.contains(char::is_alphabetic);
    let said = said_about(lines, &found.address).or_else(|| first_reply(lines).filter(|_| is_bare || is_alone));
    if let Some(said) = said {
        let own = std::mem::take(&mut found.diagnostic);
        push_bounded(&mut found.diagnostic, &said);
        push_bounded(&mut found.diagnostic, &own);
    } else if is_bare {
        push_bounded(&mut found.diagnostic, &words_below(lines, &found.address));
    }
}

/// The first lines below the one that names the recipient.
pub(super) fn words_below(lines: &Lines, address: &Address) -> String {
    let mut words = String::new();
    if let Some(spot) = lines.spots.iter().find(|spot| spot.address.is_same(address)) {
        let below = lines.lines.iter().skip(lines.line_at(spot.start) + 1).map(|line| lines.text(*line));
        let below = below.filter(|text| !text.is_empty() && !is_rule(text)).take_while(|text| !is_status_field(text));
        for text in below.take(LINES_AFTER_MAX) {
            push_bounded(&mut words, text);
        }
    }
    words
}

/// From this line to the next empty one; a single sentence without a code is an introduction, and what it introduces is
/// in the next paragraph.
fn paragraph_from(lines: &Lines, number: usize) -> String {
    let mut words = String::new();
    let mut paragraphs = 0;
    for line in lines.lines.iter().skip(number) {
        if line.start < line.end {
            push_bounded(&mut words, lines.text(*line));
            continue;
        }
        let says_all = has_code(&words) || INTRODUCTION_OCTETS_MAX < words.len();
        paragraphs += 1;
        if says_all || 2 < paragraphs {
            break;
        }
    }
    words
}

/// Between empty lines.
fn paragraph_around(lines: &Lines, number: usize) -> (usize, usize) {
    let is_empty = |line: &Line| line.start == line.end;
    let first = lines.lines[..number].iter().rposition(is_empty).map_or(0, |at| at + 1);
    let last = lines.lines[number..].iter().position(is_empty).map_or(lines.lines.len(), |at| number + at);
    let to = lines.lines[..last.max(first + 1)].last().map_or(0, |line| line.end);
    (lines.lines[first].start, to)
}

/// A reply with the lines that belong to it.
fn with_continuation(lines: &Lines, number: usize, reply: &str) -> String {
    let mut words = String::new();
    push_bounded(&mut words, reply);
    let indent = lines.lines[number].indent;
    for line in lines.lines.iter().skip(number + 1).take(LINES_BETWEEN_MAX) {
        let text = lines.text(*line);
        let goes_on =
            starts_with_code(without_marks(text)) && starts_with_code(reply) && without_marks(text)[..3] == reply[..3];
        if text.is_empty() || !(goes_on || indent < line.indent) || is_rcpt(text) {
            break;
        }
        push_bounded(&mut words, without_marks(text));
    }
    one_line(&words)
}

/// `<<< 550 …` of sendmail, `S: 550 …` and `-> 550 …` of others.
fn without_marks(text: &str) -> &str {
    let text = text.trim_start_matches(['<', '>', ' ', '-', '*', '(']);
    let text = text.strip_prefix("S: ").or_else(|| text.strip_prefix("reason: ")).unwrap_or(text);
    text.trim_start()
}

fn starts_with_code(text: &str) -> bool {
    let bytes = text.as_bytes();
    matches!(bytes, [b'4' | b'5', second, third, ..] if second.is_ascii_digit() && third.is_ascii_digit())
        && !bytes.get(3).is_some_and(u8::is_ascii_alphanumeric)
}

fn has_code(text: &str) -> bool {
    text.split([' ', ':', '(', '[', '#']).any(starts_with_code)
}

fn is_rcpt(text: &str) -> bool {
    let at = text.trim_start_matches(|c: char| !c.is_ascii_alphabetic());
    at.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("rcpt to"))
        || at.get(..10).is_some_and(|start| start.eq_ignore_ascii_case("c: rcpt to"))
}

/// Fields of a status part that was made text: about the next recipient, for all we know.
fn is_status_field(text: &str) -> bool {
    begins_with(
        text,
        &["final-recipient:", "original-recipient:", "reporting-mta:", "action:", "status:", "arrival-date:"],
    )
}

/// What may stand between a label and its address.
pub(super) fn is_gap(gap: &str) -> bool {
    let gap = gap.trim_start_matches([' ', ':']);
    let gap = gap.strip_prefix("rfc822;").or_else(|| gap.strip_prefix("mailto:")).unwrap_or(gap);
    let gap = gap.get(..3).filter(|to| to.eq_ignore_ascii_case("to:")).map_or(gap, |_| &gap[3..]);
    gap.len() < GAP_OCTETS_MAX && !gap.contains(char::is_alphanumeric) && !gap.contains(". ")
}

/// Whoever is asked for help in reports.
pub(super) fn is_office(address: &Address) -> bool {
    OFFICES.iter().any(|office| address.is_mailbox_of(office))
}

fn is_own(address: &Address, facts: &Facts<'_>) -> bool {
    facts.own.iter().any(|own| own.is_same(address))
}

const OFFICES: &[&str] =
    &["postmaster", "mailer-daemon", "abuse", "support", "helpdesk", "hostmaster", "webmaster", "admin"];
/// Words about users of the reporter's own, whom it names without a domain.
const ABOUT_USERS: &[&str] = &[
    "is not a known user",
    "is not known",
    "is unknown",
    "has a full mailbox",
    "mailbox is full",
    "no such user",
    "user unknown",
    "unknown user",
];
/// "There was an error delivering your mail to <jean@example.org>."
const INTRODUCTION_OCTETS_MAX: usize = 160;
/// What follows an address that stands alone.
const LINES_AFTER_MAX: usize = 8;
/// The words of one server have a dozen lines; after more, the list is over.
const LINES_BETWEEN_MAX: usize = 24;
/// Brackets, quotes, colons and blanks.
const GAP_OCTETS_MAX: usize = 12;
