//! Headers of messages, as whoever sends through us writes them.

use sm2tp_proto::header::{domains, fields};

/// What was read as fields is the header, octet by octet, and one more field before it changes nothing else.
pub fn header(bytes: &[u8]) {
    let _ = domains(bytes);
    let Some(found) = fields(bytes) else { return };
    let mut whole = Vec::new();
    for field in &found {
        whole.extend_from_slice(field.name.as_bytes());
        whole.push(b':');
        whole.extend_from_slice(field.value);
        assert!(field.value.ends_with(b"\r\n"));
        let _ = domains(field.value);
    }
    let rest = bytes.strip_prefix(&whole[..]).expect("the fields are the beginning of the message");
    assert!(rest.is_empty() || rest.starts_with(b"\r\n"), "the header ends with an empty line");
    if !bytes.starts_with(b" ") && !bytes.starts_with(b"\t") {
        let longer = [b"X: y\r\n", bytes].concat();
        assert_eq!(fields(&longer).map(|fields| fields[1..].to_vec()), Some(found));
    }
}
