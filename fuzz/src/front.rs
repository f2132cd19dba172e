//! The PROXY protocol header, as whoever reaches the port of a front may send it.

use sm2tp_proto::proxy::HeaderReader;

/// The same header, or none, however the octets are cut; never more octets than it wants.
pub fn front(bytes: &[u8]) {
    let whole = read(bytes, usize::MAX);
    assert_eq!(read(bytes, 1), whole);
    assert_eq!(read(bytes, 5), whole);
}

fn read(bytes: &[u8], chunk: usize) -> String {
    let (mut reader, mut rest) = (HeaderReader::new(), bytes);
    loop {
        let wanted = reader.wanted();
        assert!(wanted <= 70_000, "{wanted} octets wanted");
        let (now, later) = rest.split_at(wanted.min(chunk).min(rest.len()));
        if now.is_empty() {
            return "more is wanted".into();
        }
        rest = later;
        match reader.push(now) {
            Ok(None) => {}
            Ok(Some(header)) => return format!("{header:?}, then {} octets", rest.len()),
            // Which error it is may depend on how much was seen; that it is one may not.
            Err(_) => return "no header".into(),
        }
    }
}
