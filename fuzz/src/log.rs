//! Lines of mail logs, as a mail server writes them from what strangers said.

use sm2tp_proto::log::{Clock, Line, Mails, Status, Writer, exim, postfix};

/// Whatever the lines are, each outcome has a recipient of its line, memory is bounded, and reading them twice gives the
/// same.
pub fn log(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    assert_eq!(outcomes(&text), outcomes(&text));
    for line in text.lines() {
        let _ = Line::read(line).and_then(|line| postfix::read(line.text));
        let _ = exim::text(line);
    }
}

fn outcomes(text: &str) -> Vec<String> {
    let (mut postfix, mut exim, clock) = (Mails::new(3), Mails::new(3), Clock { latest: 1_795_665_600, offset_s: 0 });
    let mut seen = Vec::new();
    for line in text.lines() {
        postfix.line(Writer::Postfix, line, &clock, |outcome| {
            // Only an expiry tells of recipients of earlier lines.
            assert!(outcome.status == Status::Expired || line.contains(outcome.recipient));
            seen.push(format!("{outcome:?}"));
        });
        exim.line(Writer::Exim, line, &clock, |outcome| seen.push(format!("{outcome:?}")));
    }
    seen
}
