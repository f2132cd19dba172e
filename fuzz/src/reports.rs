//! Mails that claim to report on mails: bounces and complaints that anybody can write.

use sm2tp_proto::report::{Action, DIAGNOSTIC_OCTETS_MAX, Kind, RECIPIENTS_MAX, Report};

/// A bounce says the same with each kind of line end, and no more than was agreed.
pub fn bounce(bytes: &[u8]) {
    let Ok(report) = Report::read(bytes) else { return };
    assert!(report.recipients.len() <= RECIPIENTS_MAX);
    for recipient in &report.recipients {
        let words = recipient.diagnostic.as_deref().unwrap_or("");
        assert!(words.len() <= DIAGNOSTIC_OCTETS_MAX && !words.contains(char::is_control), "{words:?}");
        assert_eq!(recipient.action.is_none(), report.kind == Kind::Arf);
    }
    let failed = report.recipients.iter().any(|recipient| recipient.action == Some(Action::Failed));
    assert!(!failed || report.kind == Kind::Dsn);
    assert_eq!(report.feedback.is_some(), report.kind == Kind::Arf);
    assert!(report.unnamed.is_none() || report.kind == Kind::Dsn);
    // One of the other forms each time: reading is what costs here.
    let end: &[u8] = [&b"\n"[..], b"\r\n", b"\r"][bytes.len() % 3];
    let other = with_plain_ends(bytes).split(|octet| *octet == b'\n').collect::<Vec<_>>().join(end);
    assert_eq!(Report::read(&other).as_ref(), Ok(&report), "with {}", end.escape_ascii());
}

/// A complaint names what its fields name, and nothing that a terminal obeys.
pub fn complaint(bytes: &[u8]) {
    let head = b"Content-Type: multipart/report; report-type=feedback-report; boundary=b\n\n--b\n\
        Content-Type: message/feedback-report\n\n";
    let mail = [head, bytes, b"\n--b\nContent-Type: message/rfc822\n\n", bytes].concat();
    let report = Report::read(&mail).expect("it has a header");
    let shown = format!("{:?}", report.feedback);
    assert!(shown.len() < 4096 && !shown.contains("\\u{1b}"), "{shown}");
    bounce(&mail);
}

/// Line ends as they are meant: CRLF, CR CR LF, LF and CR alone are one.
fn with_plain_ends(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, after @ ..] = rest {
        rest = match (*first, after) {
            (b'\r', [b'\r', b'\n', after @ ..] | [b'\n', after @ ..]) => after,
            _ => after,
        };
        plain.push(if *first == b'\r' { b'\n' } else { *first });
    }
    plain
}
