//! Whole lines of an input in large pieces, none of which is copied for each line.

use std::borrow::Cow;
use std::io::{self, Read};

/// What was read and not yet given out.
#[derive(Debug)]
pub struct Pieces {
    octets: Vec<u8>,
    /// Where what is new begins, and where it ends.
    from: usize,
    to: usize,
    /// The rest of a line that was too long is passed over.
    passes_over: bool,
}

impl Pieces {
    #[must_use]
    pub fn new() -> Self {
        Self { octets: vec![0; PIECE_OCTETS], from: 0, to: 0, passes_over: false }
    }

    /// The next whole lines; none at the end of the input. A line that is longer than a piece is cut to one.
    ///
    /// # Errors
    /// Those of the input.
    pub fn next(&mut self, input: &mut dyn Read) -> io::Result<Option<Cow<'_, str>>> {
        self.octets.copy_within(self.from..self.to, 0);
        (self.from, self.to) = (0, self.to - self.from);
        // What is left of the last piece has no end of a line in it.
        let mut searched = self.to;
        loop {
            let is_full = self.to == self.octets.len();
            let is_end = !is_full && !self.read(input)?;
            if self.passes_over {
                self.pass_over();
                searched = 0;
            }
            if let Some(last) = memchr::memrchr(b'\n', &self.octets[searched..self.to]) {
                self.from = searched + last + 1;
                break;
            }
            if is_full || is_end {
                self.passes_over = is_full;
                self.from = self.to;
                break;
            }
            searched = self.to;
        }
        let piece = &self.octets[..self.from];
        // Nearly always it is text, which is found out several times as fast as what to replace.
        let text = || std::str::from_utf8(piece).map_or_else(|_| String::from_utf8_lossy(piece), Cow::Borrowed);
        Ok((!piece.is_empty()).then(text))
    }

    /// Drops what belongs to a line that was too long.
    fn pass_over(&mut self) {
        let end = memchr::memchr(b'\n', &self.octets[..self.to]);
        let behind = end.map_or(self.to, |at| at + 1);
        self.passes_over = end.is_none();
        self.octets.copy_within(behind..self.to, 0);
        self.to -= behind;
    }

    /// Reads once, whatever there is; false at the end of the input.
    fn read(&mut self, input: &mut dyn Read) -> io::Result<bool> {
        loop {
            match input.read(&mut self.octets[self.to..]) {
                Ok(octets) => {
                    self.to += octets;
                    return Ok(0 < octets);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// The lines of a piece, without their ends.
pub fn lines(piece: &str) -> impl Iterator<Item = &str> {
    let mut from = 0;
    let ends = memchr::memchr_iter(b'\n', piece.as_bytes()).chain((!piece.ends_with('\n')).then_some(piece.len()));
    ends.map(move |end| {
        let line = &piece[from..end];
        from = end + 1;
        line.strip_suffix('\r').unwrap_or(line)
    })
}

/// Small enough for the second cache of a core, large enough that asking for it costs nothing. Postfix cuts a text at 2 000
/// octets, Exim does not cut.
const PIECE_OCTETS: usize = 128 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives some octets at a time, as a pipe does.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let octets = self.1.min(into.len()).min(self.0.len());
            into[..octets].copy_from_slice(&self.0[..octets]);
            self.0 = &self.0[octets..];
            Ok(octets)
        }
    }

    #[track_caller]
    fn check(text: &str, want: &[&str]) {
        for at_a_time in [7, 128 * 1024, usize::MAX] {
            let (mut input, mut pieces, mut read) = (Slow(text.as_bytes(), at_a_time), Pieces::new(), Vec::new());
            while let Some(piece) = pieces.next(&mut input).unwrap() {
                read.extend(lines(&piece).map(str::to_owned));
            }
            assert_eq!(read, want, "{at_a_time}");
        }
    }

    #[test]
    fn each_line_comes_once_however_it_was_read() {
        check("", &[]);
        check("\n", &[""]);
        check("a\r\nb\n\nc", &["a", "b", "", "c"]);
        let many: Vec<String> = (0..20_000).map(|number| format!("line {number} of many")).collect();
        check(&many.join("\n"), &many.iter().map(String::as_str).collect::<Vec<_>>());
    }

    #[test]
    fn a_line_without_end_is_cut_and_the_next_is_whole() {
        let long = "x".repeat(PIECE_OCTETS * 2 + 5);
        check(&format!("{long}\nnext\n"), &[&long[..PIECE_OCTETS], "next"]);
        check(&long, &[&long[..PIECE_OCTETS]]);
    }

    #[test]
    fn octets_that_are_no_text_do_not_hurt_their_neighbours() {
        let (mut input, mut pieces) = (&b"a\xff\nb\n"[..], Pieces::new());
        let piece = pieces.next(&mut input).unwrap().unwrap();
        assert_eq!(lines(&piece).collect::<Vec<_>>(), ["a\u{fffd}", "b"]);
    }
}
