//! Seeded mutations of everything that comes from outside: whatever arrives, the answer is a value, never a panic.

/// Marsaglia's xorshift64: enough disorder for tests, and the same in every run.
pub(crate) struct Xorshift(pub(crate) u64);

impl Xorshift {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.next() as u8)
    }
}

mod mutations {
    use super::Xorshift;
    use crate::chain::Proof;
    use crate::descriptor::{self, tests::descriptor};
    use crate::feed::{self, Cursor, FeedEntry, FeedId, Mark};
    use crate::header::{HEADER_OCTETS, Header};
    use crate::request::{self, SignatureHeaders};
    use crate::segment::tests::{log_key, node_key, segment};
    use crate::segment::{Opened, next_part, open, redact};
    use crate::tags::{is_publishable, normalise};
    use crate::{keys::LogKey, sealed};

    /// Feeds 20 000 mutations of a valid input to a reader that must answer and not panic.
    fn mutate(seed: u64, valid: &[u8], mut read: impl FnMut(&[u8])) {
        let mut random = Xorshift(seed);
        for _ in 0..20_000 {
            let mut bytes = valid.to_vec();
            for _ in 0..=random.below(4) {
                change(&mut bytes, &mut random);
            }
            read(&bytes);
        }
    }

    fn change(bytes: &mut Vec<u8>, random: &mut Xorshift) {
        let at = random.below(bytes.len().max(1));
        match random.below(6) {
            0 | 1 => bytes.get_mut(at).into_iter().for_each(|byte| *byte ^= 1 << (random.next() & 7)),
            2 => bytes.get_mut(at).into_iter().for_each(|byte| *byte = random.next() as u8),
            3 => bytes.truncate(at),
            4 => bytes.insert(at.min(bytes.len()), b"\";=:(){}@.\0\xff"[random.below(12)]),
            _ => {
                let piece = bytes[at.min(bytes.len())..].iter().copied().take(random.below(40)).collect::<Vec<_>>();
                bytes.splice(at..at, piece);
            }
        }
    }

    #[test]
    fn segments() {
        let valid = segment(6);
        let signed = valid.header;
        // Without the signature check most mutations would stop there: the framing behind it is read too.
        mutate(11, &valid.encode(), |bytes| {
            if let Ok(Some(part)) = next_part(bytes) {
                let _ = redact(&part.header, part.body, &[0, 2, 9]);
                let _ = part.header.readable();
                let _ = next_part(part.rest);
            }
            let body = bytes.get(HEADER_OCTETS..).unwrap_or_default();
            if let Ok(opened) = open(&signed, body) {
                assert!(matches!(opened, Opened::Readable(_)));
            }
        });
        let redacted = redact(signed.header(), &valid.body, &[1, 4]).unwrap();
        mutate(12, &redacted, |bytes| {
            let _ = open(&signed, bytes);
        });
    }

    #[test]
    fn descriptors() {
        let valid = descriptor::sign(descriptor(), &node_key()).unwrap();
        mutate(21, valid.text().as_bytes(), |bytes| {
            let _ = descriptor::parse(&String::from_utf8_lossy(bytes));
        });
        let payload = serde_json::to_vec(&descriptor()).unwrap();
        mutate(22, &payload, |bytes| {
            let _ = serde_json::from_slice::<descriptor::Descriptor>(bytes);
        });
    }

    #[test]
    fn feeds_cursors_and_proofs() {
        let header = *segment(2).header.header();
        let valid = feed::encode(&[FeedEntry { number: 1, header }, FeedEntry { number: 2, header }]);
        let keys = descriptor();
        mutate(31, &valid, |bytes| {
            for line in feed::decode(bytes, 0).unwrap_or_default() {
                let _ = line.header.map(|header| (header.next_sequence(), header.verify(&keys)));
            }
            if let Some(two) = bytes.get(8..8 + 2 * HEADER_OCTETS).filter(|_| bytes.len() % 16 == 0) {
                let _ = Proof::verify(two, &keys);
            }
            let _ = Header::parse(bytes.get(..HEADER_OCTETS).unwrap_or(bytes));
        });
        let cursor = Cursor { feed: FeedId::from_random([9; 16]), after: 12 }.to_string();
        mutate(32, cursor.as_bytes(), |bytes| {
            let _ = String::from_utf8_lossy(bytes).parse::<Cursor>();
        });
        let marks = feed::write_marks(&[1, 2, 3].map(|n| Mark::of(segment(n).header.header())));
        mutate(33, marks.as_bytes(), |bytes| {
            let read = feed::read_marks(&String::from_utf8_lossy(bytes));
            assert!(read.is_none_or(|marks| marks.len() <= feed::MARKS_MAX));
        });
    }

    #[test]
    fn signature_headers() {
        let parts = request::tests::GET;
        let valid = request::tests::signed(&parts);
        mutate(41, valid.signature_input.as_bytes(), |bytes| {
            let text = String::from_utf8_lossy(bytes);
            let headers = SignatureHeaders { signature_input: &text, ..valid.headers() };
            let result = request::verify(&parts, &headers, request::tests::NOW, |_| Some(()));
            assert!(result.is_err() || text == valid.signature_input, "{text}");
        });
        mutate(42, valid.signature.as_bytes(), |bytes| {
            let text = String::from_utf8_lossy(bytes);
            let headers = SignatureHeaders { signature: &text, ..valid.headers() };
            let result = request::verify(&parts, &headers, request::tests::NOW, |_| Some(()));
            assert!(result.is_err() || text == valid.signature, "{text}");
        });
    }

    #[test]
    fn addresses_and_boxes() {
        mutate(51, "\"Jean.Dupont+news\"@Exämple.xn--p1ai.".as_bytes(), |bytes| {
            if let Ok(address) = normalise(&String::from_utf8_lossy(bytes)) {
                let _ = is_publishable(&address);
            }
        });
        let valid = sealed::seal(b"{\"key_id\":1}", &LogKey::of(&log_key()), &[3; 32]).unwrap();
        let mut random = Xorshift(52);
        for _ in 0..500 {
            let mut bytes = valid.clone();
            change(&mut bytes, &mut random);
            let result = sealed::TagKeyGrant::open(&bytes, &log_key());
            assert!(result.is_err());
        }
    }
}
