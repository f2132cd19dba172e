//! Lists of other programs: whatever the file, its entries are the same however it comes, and within their limits.

use sm2tp_proto::Address;
use sm2tp_proto::lists::{Entry, Format, Line, Reader, Who};

/// What is read is an address, in a bounded line; nothing depends on how the file is cut into pieces.
pub fn lists(bytes: &[u8]) {
    for wish in [None, Some(Format::Plain), Some(Format::Sympa)] {
        let whole = read(wish, bytes, bytes.len().max(1));
        assert_eq!(read(wish, bytes, 1), whole);
        assert_eq!(read(wish, bytes, 13), whole);
        // Every line is an entry or a fault, and a record has an octet at least.
        assert!(whole.len() <= bytes.len() + 1);
        for line in whole {
            let Line::Entry(Entry { who, text, .. }) = line else { continue };
            assert!(text.is_none_or(|text| text.chars().count() <= 1000));
            match who {
                Who::Address(address) => assert!(Address::parse(&address).is_ok()),
                Who::Tag { tag, key_id, .. } => assert_eq!((tag.len(), key_id.len()), (32, 16)),
            }
        }
    }
}

fn read(wish: Option<Format>, bytes: &[u8], chunk: usize) -> Vec<Line> {
    let (mut reader, mut found) = (Reader::new(wish), Vec::new());
    bytes.chunks(chunk).for_each(|octets| reader.push(octets, &mut found));
    reader.finish(&mut found);
    found
}
