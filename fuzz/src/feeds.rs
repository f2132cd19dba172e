//! What the programs beside a node say to it in JSON: `journalctl`, and callers of the local API.

#[cfg(test)]
use crate::{beside::local::call, logs::journal::entry};
#[cfg(not(test))]
use crate::{call, entry};

/// An entry is one line of syslog with a name of a journal that can be said again on a command line, or there is none.
pub fn journal(bytes: &[u8]) {
    let Some(entry) = entry::entry(bytes) else { return };
    assert!(entry.of.bytes().all(|octet| octet.is_ascii_hexdigit()), "{entry:?}");
    assert!(entry.line.contains(": "), "{entry:?}");
}

/// The same calls however the octets are cut, and the same errors.
pub fn local(bytes: &[u8]) {
    assert_eq!(calls(bytes, 1), calls(bytes, usize::MAX));
    assert_eq!(calls(bytes, 7), calls(bytes, usize::MAX));
}

fn calls(bytes: &[u8], chunk: usize) -> Vec<String> {
    let (mut reader, mut seen) = (call::Calls::default(), Vec::new());
    for octets in bytes.chunks(chunk.min(bytes.len().max(1))) {
        reader.feed(octets);
        loop {
            match reader.next_call() {
                Ok(Some(call)) => seen.push(format!("{:?}", call.map_err(|error| error.to_string()))),
                Ok(None) => break,
                Err(_) => return seen,
            }
        }
    }
    seen
}
