//! What the demonstration reads in a mail: the mark of its generator, and the recipients that a report gives up.

/// The header by which the generator knows its mails again.
pub const DEMO_ID: &str = "X-Demo-Id";

/// The subject of a mail.
#[must_use]
pub fn subject(content: &str) -> Option<&str> {
    field(content.split("\r\n\r\n").next()?, "Subject")
}

/// The mark in a mail's own header.
#[must_use]
pub fn demo_id(content: &str) -> Option<&str> {
    field(content.split("\r\n\r\n").next()?, DEMO_ID)
}

/// Each (mark of the mail, recipient) that a report says was not delivered. The mark stands in the returned header,
/// the recipients in the part for machines (RFC 3464 §2.3.2).
#[must_use]
pub fn failed(report: &str) -> Vec<(String, String)> {
    let Some(id) = field(report, DEMO_ID) else { return Vec::new() };
    let recipients = report.lines().filter_map(|line| line.strip_prefix("Final-Recipient: rfc822;"));
    recipients.map(|recipient| (id.to_owned(), recipient.trim().to_owned())).collect()
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_gives_up_recipients_of_a_marked_mail() {
        let report = "From: x\r\n\r\n--a\r\n\r\nFinal-Recipient: rfc822; a@b.example\r\nAction: failed\r\n\r\n\
            Final-Recipient: rfc822; c@b.example\r\n\r\n--a\r\n\r\nSubject: hello\r\nX-Demo-Id: 17\r\n";
        let want = [("17".to_owned(), "a@b.example".to_owned()), ("17".to_owned(), "c@b.example".to_owned())];
        assert_eq!(failed(report), want);
        assert_eq!(demo_id(report), None, "the mark is not in the report's own header");
        assert_eq!(demo_id("X-Demo-Id: 17\r\n\r\nhello"), Some("17"));
        assert_eq!(subject("A: b\r\nSubject: hello\r\n\r\n"), Some("hello"));
    }
}
