//! What another node sends: segments, headers, feeds, cursors, descriptors, sealed boxes. Its keys are not known here;
//! `crates/federation/src/hostile.rs` mutates what was rightly signed.

use sm2tp_federation::descriptor::{self, Descriptor};
use sm2tp_federation::feed::{self, Cursor};
use sm2tp_federation::header::{HEADER_OCTETS, Header};
use sm2tp_federation::segment;
use sm2tp_federation::tags::{is_publishable, normalise};

/// Whatever comes, the answer is a value; what was read is written again as the same.
pub fn wire(bytes: &[u8]) {
    if let Ok(header) = Header::parse(bytes.get(..HEADER_OCTETS).unwrap_or(bytes)) {
        assert_eq!(Some(&header.as_bytes()[..]), bytes.get(..HEADER_OCTETS));
        let _ = (header.readable(), header.check_signature(), header.next_sequence());
    }
    let mut rest = bytes;
    while let Ok(Some(part)) = segment::next_part(rest) {
        let _ = segment::redact(&part.header, part.body, &[0, 1, 9]);
        assert!(part.rest.len() < rest.len());
        rest = part.rest;
    }
    let lines = feed::decode(bytes, 0).unwrap_or_default();
    assert!(lines.len() <= bytes.len());
    let text = String::from_utf8_lossy(bytes);
    if let Ok(signed) = descriptor::parse(&text) {
        assert_eq!(descriptor::parse(signed.text()).map(|again| again.text().to_owned()), Ok(signed.text().to_owned()));
    }
    let _ = serde_json::from_slice::<Descriptor>(bytes);
    for line in text.lines() {
        if let Ok(cursor) = line.parse::<Cursor>() {
            assert_eq!(cursor.to_string().parse::<Cursor>().map(|again| again.to_string()), Ok(cursor.to_string()));
        }
        if let Ok(address) = normalise(line) {
            let _ = is_publishable(&address);
        }
    }
}
