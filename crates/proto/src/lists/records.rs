//! Octets to records: lines, lines whose quoted fields span several (RFC 4180), and objects of JSON. Each is bounded.

use memchr::memchr;

use super::Fault;

/// One record, or why there is none.
pub(super) type Record<'a> = Result<&'a [u8], Fault>;

/// Cuts a file of lines into records.
#[derive(Debug)]
pub(super) struct Lines {
    /// Between fields, which may be quoted; none where a line is a line, whatever it holds.
    separator: Option<u8>,
    /// `\n`, or `\r` in files of old Macs.
    line_end: u8,
    buffer: Vec<u8>,
    scan: Scan,
    /// The number of the line that the buffer begins with, from 1.
    line: u64,
    /// The rest of a line that is too long.
    is_skipping: bool,
}

/// How far the first record of the buffer was read.
#[derive(Debug, Clone, Copy, Default)]
struct Scan {
    at: usize,
    place: Place,
    /// Line ends inside of quotes.
    line_ends: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    #[default]
    FieldStart,
    Bare,
    Quoted,
    /// After a quote inside of quotes: their end, or the first of two.
    Closing,
}

/// What the first record of the buffer is.
enum Found {
    Whole {
        end: usize,
    },
    More,
    /// Too long, or quotes that do not end.
    Beyond,
}

impl Lines {
    pub(super) fn new(separator: Option<u8>, line_end: u8) -> Self {
        Self { separator, line_end, buffer: Vec::new(), scan: Scan::default(), line: 1, is_skipping: false }
    }

    /// Gives every record that is whole now to `each`, with the number of its first line.
    pub(super) fn push(&mut self, octets: &[u8], each: &mut dyn FnMut(u64, Record<'_>)) {
        self.buffer.extend_from_slice(octets);
        self.cut(each);
    }

    /// Gives what is left: a file need not end with a line end.
    pub(super) fn finish(&mut self, each: &mut dyn FnMut(u64, Record<'_>)) {
        if self.is_skipping || self.buffer.is_empty() {
            return;
        }
        self.buffer.push(self.line_end);
        self.cut(each);
        // Only quotes that do not end leave something.
        while !self.buffer.is_empty() {
            self.beyond(0, each);
            self.cut(each);
        }
    }

    fn cut(&mut self, each: &mut dyn FnMut(u64, Record<'_>)) {
        let mut start = 0;
        loop {
            if self.is_skipping {
                let Some(end) = memchr(self.line_end, &self.buffer[start..]) else {
                    start = self.buffer.len();
                    break;
                };
                (self.is_skipping, self.scan) = (false, Scan::default());
                self.line += 1;
                start += end + 1;
            }
            match self.next(start) {
                Found::Whole { end } => {
                    each(self.line, checked(&self.buffer[start..end]));
                    self.line += 1 + self.scan.line_ends;
                    self.scan = Scan::default();
                    start = end + 1;
                }
                Found::More => break,
                Found::Beyond => start = self.beyond(start, each),
            }
        }
        self.buffer.drain(..start);
    }

    /// Looks for the end of the record that begins at `start`.
    fn next(&mut self, start: usize) -> Found {
        let record = &self.buffer[start..];
        let Some(separator) = self.separator else {
            return match memchr(self.line_end, &record[self.scan.at..]) {
                Some(found) if self.scan.at + found <= RECORD_OCTETS_MAX => {
                    Found::Whole { end: start + self.scan.at + found }
                }
                None if record.len() <= RECORD_OCTETS_MAX => {
                    self.scan.at = record.len();
                    Found::More
                }
                _ => Found::Beyond,
            };
        };
        while let Some(octet) = record.get(self.scan.at) {
            let (octet, place) = (*octet, self.scan.place);
            if RECORD_OCTETS_MAX < self.scan.at || RECORD_LINES_MAX < self.scan.line_ends {
                return Found::Beyond;
            }
            if octet == self.line_end && place != Place::Quoted {
                return Found::Whole { end: start + self.scan.at };
            }
            self.scan.line_ends += u64::from(octet == self.line_end);
            self.scan.place = match (place, octet) {
                (Place::Quoted, b'"') => Place::Closing,
                (Place::FieldStart | Place::Closing, b'"') | (Place::Quoted, _) => Place::Quoted,
                (_, octet) if octet == separator => Place::FieldStart,
                (Place::FieldStart, b' ') => Place::FieldStart,
                _ => Place::Bare,
            };
            self.scan.at += 1;
        }
        Found::More
    }

    /// Gives up the first line of what is no record, and begins again behind it; answers where that is.
    fn beyond(&mut self, start: usize, each: &mut dyn FnMut(u64, Record<'_>)) -> usize {
        let is_quoted = self.scan.place == Place::Quoted;
        self.scan = Scan::default();
        let end = memchr(self.line_end, &self.buffer[start..]).filter(|end| *end <= RECORD_OCTETS_MAX);
        let Some(end) = end else {
            each(self.line, Err(Fault::TooLong));
            self.is_skipping = true;
            return start;
        };
        each(self.line, Err(if is_quoted { Fault::OpenQuote } else { Fault::TooLong }));
        self.line += 1;
        let next = start + end + 1;
        if start == 0 {
            self.buffer.drain(..next);
            return 0;
        }
        next
    }
}

/// The octets of a line without the end that Windows gives it.
fn checked(record: &[u8]) -> Record<'_> {
    let record = record.strip_suffix(b"\r").unwrap_or(record);
    if memchr(0, record).is_some() { Err(Fault::Nul) } else { Ok(record) }
}

/// The fields of a record, without their quotes.
pub(super) fn fields(record: &str, separator: Option<u8>) -> Vec<String> {
    let Some(separator) = separator.map(char::from) else { return vec![record.trim().to_owned()] };
    let (mut fields, mut field, mut place) = (Vec::new(), String::new(), Place::FieldStart);
    for c in record.chars() {
        if c == separator && place != Place::Quoted {
            push(&mut fields, &mut field);
            place = Place::FieldStart;
            continue;
        }
        place = match (place, c) {
            (Place::FieldStart, '"') => {
                field.clear();
                Place::Quoted
            }
            (Place::Closing, '"') => {
                field.push('"');
                Place::Quoted
            }
            (Place::Quoted, '"') => Place::Closing,
            (Place::FieldStart, ' ') => Place::FieldStart,
            (place, c) => {
                field.push(c);
                if place == Place::Quoted { place } else { Place::Bare }
            }
        };
    }
    push(&mut fields, &mut field);
    fields
}

fn push(fields: &mut Vec<String>, field: &mut String) {
    // More columns than any list has: the rest says nothing that we look for.
    if fields.len() < FIELDS_MAX {
        fields.push(field.trim().to_owned());
    }
    field.clear();
}

/// Cuts JSON into the objects that are entries: those in an array, or those that stand alone (a line each).
#[derive(Debug, Default)]
pub(super) struct Objects {
    /// `{` and `[` that are open.
    open: Vec<u8>,
    buffer: Vec<u8>,
    /// How many were open where the object in the buffer began.
    begun: Option<usize>,
    is_in_text: bool,
    is_escaped: bool,
    is_too_long: bool,
    count: u64,
    /// Nothing more can be made of it.
    is_over: bool,
}

impl Objects {
    /// Gives every object that is whole now to `each`, with its number from 1.
    pub(super) fn push(&mut self, octets: &[u8], each: &mut dyn FnMut(u64, Record<'_>)) {
        for octet in octets {
            if self.is_over {
                return;
            }
            self.octet(*octet, each);
        }
    }

    pub(super) fn finish(&mut self, each: &mut dyn FnMut(u64, Record<'_>)) {
        if !self.is_over && !self.open.is_empty() {
            each(self.count + 1, Err(Fault::Cut));
        }
    }

    fn octet(&mut self, octet: u8, each: &mut dyn FnMut(u64, Record<'_>)) {
        if !self.is_in_text && octet == b'{' && self.begins() {
            self.buffer.clear();
            (self.begun, self.is_too_long) = (Some(self.open.len()), false);
        }
        if self.begun.is_some() && !self.is_too_long {
            self.buffer.push(octet);
            self.is_too_long = RECORD_OCTETS_MAX < self.buffer.len();
        }
        if self.is_in_text {
            (self.is_in_text, self.is_escaped) = match (octet, self.is_escaped) {
                (b'"', false) => (false, false),
                (b'\\', false) => (true, true),
                _ => (true, false),
            };
            return;
        }
        match octet {
            b'"' => self.is_in_text = true,
            b'{' | b'[' if self.open.len() < DEPTH_MAX => self.open.push(octet),
            b'{' | b'[' => self.give_up(each),
            b'}' | b']' => self.close(octet, each),
            _ => {}
        }
    }

    /// Whether an object that begins here is an entry. What holds an array of objects is their wrapping (`{"items": [{…`);
    /// objects inside of an entry are part of it.
    fn begins(&self) -> bool {
        match self.begun {
            None => matches!(self.open.last(), None | Some(b'[')),
            Some(begun) => self.open.last() == Some(&b'[') && !self.open[..begun].contains(&b'['),
        }
    }

    fn close(&mut self, octet: u8, each: &mut dyn FnMut(u64, Record<'_>)) {
        let opened = if octet == b'}' { b'{' } else { b'[' };
        if self.open.pop() != Some(opened) {
            return self.give_up(each);
        }
        if self.begun == Some(self.open.len()) {
            self.begun = None;
            self.count += 1;
            each(self.count, if self.is_too_long { Err(Fault::TooLong) } else { Ok(&self.buffer) });
        }
    }

    fn give_up(&mut self, each: &mut dyn FnMut(u64, Record<'_>)) {
        self.is_over = true;
        each(self.count + 1, Err(Fault::Json));
    }
}

/// A line with the reply of a server in it has a few hundred octets; quotes that do not end swallow no more than this.
const RECORD_OCTETS_MAX: usize = 16 * 1024;
/// Lines inside of one quoted field: long replies have some.
const RECORD_LINES_MAX: u64 = 64;
const FIELDS_MAX: usize = 256;
/// Arrays and objects inside of each other: lists have three.
const DEPTH_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(separator: Option<u8>, text: &[u8], chunk: usize) -> Vec<String> {
        let (mut lines, mut found) = (Lines::new(separator, b'\n'), Vec::new());
        let mut each = |line: u64, record: Record<'_>| {
            let said = record.map_or_else(|fault| format!("{fault:?}"), |record| record.escape_ascii().to_string());
            found.push(format!("{line} {said}"));
        };
        text.chunks(chunk).for_each(|octets| lines.push(octets, &mut each));
        lines.finish(&mut each);
        found
    }

    #[track_caller]
    fn check(text: &[u8], want: &[&str]) {
        for chunk in [1, 7, text.len().max(1)] {
            assert_eq!(lines(Some(b','), text, chunk), want, "in pieces of {chunk}");
        }
    }

    #[test]
    fn a_quoted_field_may_span_lines_and_one_that_does_not_end_costs_its_line_only() {
        check(b"a,b\r\nc,d", &["1 a,b", "2 c,d"]);
        check(b"a,\"b\nc\"\nd", &["1 a,\\\"b\\nc\\\"", "3 d"]);
        check(b"a,\"b \"\" c\"\nd\n", &["1 a,\\\"b \\\"\\\" c\\\"", "2 d"]);
        check(b"a \"b\"\nd\n", &["1 a \\\"b\\\"", "2 d"]);
        check(b"\n\na\n", &["1 ", "2 ", "3 a"]);
        check(b"a,\"b\nc\nd", &["1 OpenQuote", "2 c", "3 d"]);
        check(b"a\0b\nc", &["1 Nul", "2 c"]);
        check(b"", &[]);
    }

    #[test]
    fn a_long_line_is_one_fault_and_takes_no_memory() {
        let long = [&[b'x'; RECORD_OCTETS_MAX * 3][..], b"\na@x\n", &[b'"'; 40_000][..], b"\nb@x"].concat();
        for separator in [None, Some(b',')] {
            for chunk in [1000, long.len()] {
                assert_eq!(
                    lines(separator, &long, chunk),
                    ["1 TooLong", "2 a@x", "3 TooLong", "4 b@x"],
                    "{separator:?} {chunk}"
                );
            }
        }
        let open: Vec<u8> = b"\"a@x\n".repeat(1000);
        let found = lines(Some(b','), &open, 4096);
        // Every second quote closes the one before it, in the next line.
        assert_eq!(found.len(), 500);
    }

    #[test]
    fn fields_lose_their_quotes() {
        assert_eq!(fields("a, \"b \"\"c\"\", d\" ,\"\",e\"f", Some(b',')), ["a", "b \"c\", d", "", "e\"f"]);
        assert_eq!(fields(" a,b ", None), ["a,b"]);
        assert_eq!(fields("a;b", Some(b';')), ["a", "b"]);
        assert_eq!(fields(&",".repeat(1000), Some(b',')).len(), FIELDS_MAX);
    }

    fn objects(text: &str, chunk: usize) -> Vec<String> {
        let (mut objects, mut found) = (Objects::default(), Vec::new());
        let mut each = |number: u64, record: Record<'_>| {
            let said =
                record.map_or_else(|fault| format!("{fault:?}"), |record| String::from_utf8_lossy(record).into_owned());
            found.push(format!("{number} {said}"));
        };
        text.as_bytes().chunks(chunk).for_each(|octets| objects.push(octets, &mut each));
        objects.finish(&mut each);
        found
    }

    #[test]
    fn entries_of_json_are_found_in_whatever_holds_them() {
        #[track_caller]
        fn check(text: &str, want: &[&str]) {
            for chunk in [1, text.len().max(1)] {
                assert_eq!(objects(text, chunk), want, "{text}");
            }
        }
        check(r#"[{"a":1},{"a":2}]"#, &[r#"1 {"a":1}"#, r#"2 {"a":2}"#]);
        check("{\"a\":1}\n{\"a\":2}\n", &[r#"1 {"a":1}"#, r#"2 {"a":2}"#]);
        check(
            r#"{"n":2,"items":[{"a":{"b":1}},{"c":[{"d":1}]}],"next":"x"}"#,
            &[r#"1 {"a":{"b":1}}"#, r#"2 {"c":[{"d":1}]}"#],
        );
        check(r#"{"data":{"items":[{"a":"}]\""}]}}"#, &[r#"1 {"a":"}]\""}"#]);
        check(r#"[{"a":1},{"a":"#, &[r#"1 {"a":1}"#, "2 Cut"]);
        check(r#"[{"a":1}}]"#, &[r#"1 {"a":1}"#, "2 Json"]);
        check(&"[".repeat(100), &["1 Json"]);
        check("", &[]);
        let long = format!(r#"[{{"a":"{}"}},{{"a":1}}]"#, "x".repeat(RECORD_OCTETS_MAX));
        check(&long, &["1 TooLong", r#"2 {"a":1}"#]);
    }
}
