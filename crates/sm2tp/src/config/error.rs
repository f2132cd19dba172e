//! What is wrong with a configuration file, shown the way an administrator finds it fastest: place, line, caret, remedy.

use std::fmt;
use std::ops::Range;

/// Longest piece of a line that is shown, in characters. A file that is not a configuration at all (a mail, a
/// database) may have lines of a megabyte, which nobody wants in the journal.
const SHOWN_MAX: usize = 160;

/// The first mistake found in a configuration file.
///
/// `Display` gives the whole report over several lines, without a newline at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file as it was named by the person.
    pub file: String,
    /// Line of the mistake, from 1; 0 where no line is to blame, as for a file that cannot be read.
    pub line: u32,
    /// Column of the mistake in characters, from 1; 0 as for `line`.
    pub column: u32,
    /// The line itself, without control characters, shortened where it is very long.
    pub source_line: String,
    /// What is wrong.
    pub message: String,
    /// What is allowed, with an example; may be empty.
    pub help: String,
    /// White space up to the mistake, then carets below it.
    mark: Box<str>,
}

impl ConfigError {
    /// A mistake of the file as a whole.
    pub(super) fn of_file(file: &str, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line: 0,
            column: 0,
            source_line: String::new(),
            message: harmless(&message.into()),
            help: harmless(&help.into()),
            mark: Box::default(),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            write!(f, "{}: {}", self.file, self.message)?;
            return if self.help.is_empty() { Ok(()) } else { write!(f, "\n  = {}", self.help) };
        }
        let number = self.line.to_string();
        let gutter = " ".repeat(number.len());
        writeln!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)?;
        writeln!(f, "{gutter} |")?;
        writeln!(f, "{}", format!("{number} | {}", self.source_line).trim_end())?;
        write!(f, "{gutter} | {}", self.mark)?;
        if self.help.is_empty() { Ok(()) } else { write!(f, "\n{gutter} = {}", self.help) }
    }
}

impl std::error::Error for ConfigError {}

/// The text of a file and its name: all that is needed to point at a place in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'t> {
    pub(super) file: &'t str,
    pub(super) text: &'t str,
}

impl Source<'_> {
    /// A mistake at `span`, in octets of the text. Any span is taken, also one past the end.
    pub(super) fn error(&self, span: Range<usize>, message: impl Into<String>, help: impl Into<String>) -> ConfigError {
        let start = self.boundary(span.start);
        let end = self.boundary(span.end.max(start));
        let line_start = self.text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = self.text[start..].find('\n').map_or(self.text.len(), |newline| start + newline);
        let line = self.text[line_start..line_end].trim_end_matches('\r').trim_start_matches('\u{feff}');
        let before = self.text[line_start..start].trim_start_matches('\u{feff}').chars().count();
        let marked = self.text[start..end.min(line_end)].trim_end().chars().count();
        let (source_line, mark) = excerpt(line, before, marked.max(1));
        ConfigError {
            line: one_more(self.text[..line_start].matches('\n').count()),
            column: one_more(before),
            source_line,
            mark: mark.into(),
            ..ConfigError::of_file(self.file, message, help)
        }
    }

    /// The nearest place at or before `at` where the text can be cut.
    fn boundary(&self, at: usize) -> usize {
        (0..=at.min(self.text.len())).rev().find(|&at| self.text.is_char_boundary(at)).unwrap_or(0)
    }
}

/// A count from 0 as people count; a file has far fewer lines than fit.
fn one_more(count: usize) -> u32 {
    u32::try_from(count + 1).unwrap_or(u32::MAX)
}

/// The part of `line` that is shown, and the carets below `marked` characters after the first `before`.
fn excerpt(line: &str, before: usize, marked: usize) -> (String, String) {
    let skipped = if line.chars().count() <= SHOWN_MAX { 0 } else { before.saturating_sub(SHOWN_MAX / 2) };
    let shown: String = line.chars().skip(skipped).take(SHOWN_MAX).collect();
    let before = before - skipped;
    // Tabs stay tabs, so that the caret stands below its character whatever the width of a tab is.
    let lead = shown.chars().chain(std::iter::repeat(' ')).take(before).map(|c| if c == '\t' { '\t' } else { ' ' });
    let mark = lead.chain(std::iter::repeat_n('^', marked.min(SHOWN_MAX - before.min(SHOWN_MAX - 1)))).collect();
    (harmless(&shown), mark)
}

/// `text` without control characters: a configuration file must not be able to steer the terminal that shows it.
fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, span: Range<usize>, expected: &str) {
        assert_eq!(Source { file: "f", text }.error(span, "wrong", "help").to_string(), expected);
    }

    #[test]
    fn any_place_can_be_shown() {
        check("", 0..0, "f:1:1: wrong\n  |\n1 |\n  | ^\n  = help");
        check("a = 1\n", 9..12, "f:2:1: wrong\n  |\n2 |\n  | ^\n  = help");
        check("a\tb = 1\r\n", 2..3, "f:1:3: wrong\n  |\n1 | a\tb = 1\n  |  \t^\n  = help");
        check("é = é\n", 5..7, "f:1:5: wrong\n  |\n1 | é = é\n  |     ^\n  = help");
        check("é = é\n", 6..7, "f:1:5: wrong\n  |\n1 | é = é\n  |     ^\n  = help");
        check("a = [1,\n2]\n", 4..10, "f:1:5: wrong\n  |\n1 | a = [1,\n  |     ^^^\n  = help");
        check("\u{feff}a = 1", 3..4, "f:1:1: wrong\n  |\n1 | a = 1\n  | ^\n  = help");
        check("a = \u{1b}[2J", 0..1, "f:1:1: wrong\n  |\n1 | a = \u{fffd}[2J\n  | ^\n  = help");
    }

    #[test]
    fn long_lines_are_cut_around_the_mistake() {
        let text = format!("{}X{}", "a".repeat(5000), "b".repeat(5000));
        let error = Source { file: "f", text: &text }.error(5000..9000, "wrong", "");
        assert_eq!(error.column, 5001);
        assert_eq!(error.source_line.chars().count(), SHOWN_MAX);
        assert_eq!(error.mark.chars().count(), SHOWN_MAX);
        assert_eq!(error.source_line.find('X'), error.mark.find('^'));
    }
}
