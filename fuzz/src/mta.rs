//! What a mail server beside us sends: policy requests, socketmap queries, sentences about deliveries.

use sm2tp_proto::delivery::{Delivery, What};
use sm2tp_proto::policy::{PolicyError, REQUEST_OCTETS_MAX, RequestReader};
use sm2tp_proto::socketmap::QueryReader;

/// The same requests however the octets are cut, up to the first that is none.
pub fn policy(bytes: &[u8]) {
    assert_eq!(requests(bytes, 1), requests(bytes, usize::MAX));
    assert_eq!(requests(bytes, 7), requests(bytes, usize::MAX));
}

fn requests(bytes: &[u8], chunk: usize) -> Vec<String> {
    let (mut reader, mut seen) = (RequestReader::default(), Vec::new());
    for octets in bytes.chunks(chunk.min(bytes.len().max(1))) {
        reader.feed(octets);
        loop {
            match reader.next_request() {
                Ok(Some(request)) => seen.push(format!("{request:?}")),
                Ok(None) => break,
                Err(PolicyError::TooLong) => {
                    assert!(REQUEST_OCTETS_MAX < bytes.len(), "a short request is too long");
                    return seen;
                }
                Err(_) => return seen,
            }
        }
    }
    seen
}

/// Likewise for queries.
pub fn socketmap(bytes: &[u8]) {
    assert_eq!(queries(bytes, 1), queries(bytes, usize::MAX));
    assert_eq!(queries(bytes, 3), queries(bytes, usize::MAX));
}

fn queries(bytes: &[u8], chunk: usize) -> Vec<String> {
    let (mut reader, mut seen) = (QueryReader::default(), Vec::new());
    for octets in bytes.chunks(chunk.min(bytes.len().max(1))) {
        reader.feed(octets);
        while let Ok(Some(query)) = reader.next_query() {
            seen.push(format!("{query:?}"));
        }
    }
    seen
}

/// A reply that was found begins with its code, and a host with something.
pub fn deliveries(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for told in [Delivery::by_postfix(&text), Delivery::by_exim(&text, None)] {
        assert_ne!(told.host, Some(""));
        if let What::Reply { text, .. } = told.what
            && told.host.is_none()
        {
            assert!(text.starts_with(|c: char| c.is_ascii_digit()), "{text:?}");
        }
    }
}
