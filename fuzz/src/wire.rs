//! What another node sends: segments, headers, feeds, cursors, heads, descriptors, signatures of requests. Its keys are not known here;
//! `crates/federation/src/hostile.rs` mutates what was rightly signed.

use sm2tp_federation::descriptor::{self, Descriptor};
use sm2tp_federation::feed::{self, Cursor, Heads};
use sm2tp_federation::header::{HEADER_OCTETS, Header};
use sm2tp_federation::request::{self, RequestParts, SignatureHeaders};
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
    if let Ok(heads) = Heads::parse(&text) {
        let again = serde_json::to_string(&heads).unwrap_or_default();
        assert_eq!(Heads::parse(&again), Ok(heads));
    }
    signature(&text);
    for line in text.lines() {
        if let Ok(cursor) = line.parse::<Cursor>() {
            assert_eq!(cursor.to_string().parse::<Cursor>().map(|again| again.to_string()), Ok(cursor.to_string()));
        }
        if let Some(marks) = feed::read_marks(line) {
            assert_eq!(feed::read_marks(&feed::write_marks(&marks)), Some(marks));
        }
        if let Ok(address) = normalise(line) {
            let _ = is_publishable(&address);
        }
    }
}

/// The fields of a request, one a line: what is to be signed, the signature, the digest of a body. Whoever asks, their key is
/// not one that this node knows.
fn signature(text: &str) {
    let mut lines = text.lines();
    let headers = SignatureHeaders {
        signature_input: lines.next().unwrap_or_default(),
        signature: lines.next().unwrap_or_default(),
        content_digest: lines.next(),
    };
    let path = lines.next().unwrap_or("/fed/v1/feed");
    let parts = RequestParts { method: "GET", authority: "node.example.org", path, query: "limit=5", body: &[] };
    assert!(request::verify(&parts, &headers, CREATED, |_| None::<()>).is_err());
    // Whose key it is, is asked before the signature is checked; nothing here was signed for this request.
    assert!(request::verify(&parts, &headers, CREATED, |_| Some(())).is_err());
}

/// When the requests of the corpus were made, in unix seconds.
const CREATED: u64 = 1_790_000_010;
