//! Lines of files and of standard input, of which none fills the memory.

use std::io::{self, BufRead, Read};

/// Puts the next line, without its end, into `line`; false at the end of the input. A line is cut at `octets_max`, and what is
/// beyond it is read and forgotten.
///
/// # Errors
/// Those of the input.
pub fn next(input: &mut dyn BufRead, line: &mut Vec<u8>, octets_max: u64) -> io::Result<bool> {
    line.clear();
    if input.take(octets_max).read_until(b'\n', line)? == 0 {
        return Ok(false);
    }
    if !line.ends_with(b"\n") && line.len() as u64 == octets_max {
        input.skip_until(b'\n')?;
    }
    while line.last().is_some_and(|octet| matches!(octet, b'\n' | b'\r')) {
        line.pop();
    }
    Ok(true)
}
