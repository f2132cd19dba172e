//! Lines of a log that tell no result of a mail: that one came in, that one was refused at the door, what the mail server
//! complains of.

use super::{at_octet, path, postfix, word};
use crate::Enhanced;

/// What a line says beside the results of mails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aside<'a> {
    /// A mail came in. One that comes back from a filter, or is put back at the start of the queue, came in before.
    Came,
    /// Refused, and never in the queue. `stage` as the log names it (`RCPT`, `END-OF-MESSAGE`, `DATA`); `why` without codes
    /// and addresses in front.
    Refused { stage: &'a str, client: Option<&'a str>, why: &'a str },
    /// In the hold queue, or thrown away.
    SetAside { how: &'a str, why: &'a str },
    /// What an administrator should read. `program` without its instance.
    Trouble { severity: Severity, program: &'a str, text: &'a str },
}

/// How bad it is, as the mail server says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Warning,
    Error,
    Fatal,
    Panic,
}

impl Severity {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Fatal => "fatal",
            Self::Panic => "panic",
        }
    }
}

/// Reads the text behind the head of a line of Postfix.
#[must_use]
pub fn by_postfix<'a>(program: &'a str, text: &'a str) -> Option<Aside<'a>> {
    if let Some((severity, text)) = severity(text) {
        let program = program.rsplit_once('/').map_or(program, |(_, daemon)| daemon);
        return Some(Aside::Trouble { severity, program, text });
    }
    let body = text.strip_prefix("NOQUEUE: ").or_else(|| postfix::queue_id(text).map(|(_, body)| body))?;
    let body = body.strip_prefix("milter-").unwrap_or(body);
    let (verb, body) = at_octet(body, b':')?;
    let body = body.strip_prefix(' ')?;
    match verb {
        "reject" => {
            let (stage, rest) = body.split_once(" from ")?;
            let (client, rest) = rest.split_once(": ")?;
            Some(Aside::Refused { stage, client: Some(client), why: why(rest) })
        }
        "hold" | "discard" => {
            let rest = body.split_once(": ").map_or(body, |(_, rest)| rest);
            Some(Aside::SetAside { how: verb, why: why(rest) })
        }
        _ => None,
    }
}

/// Reads the text behind the time of a line of Exim.
#[must_use]
pub fn by_exim(text: &str) -> Option<Aside<'_>> {
    if let Some(text) = text.strip_prefix("Warning: ") {
        return Some(Aside::Trouble { severity: Severity::Warning, program: "exim", text });
    }
    // With a message id in front where the content was refused.
    let text = if text.starts_with("H=") { text } else { word(text).map(|(_, rest)| rest)? };
    let host = text.strip_prefix("H=")?;
    let client = host.find(']').map(|at| &host[..=at]);
    let at = memchr::memmem::find(text.as_bytes(), b" rejected ")?;
    let (stage, rest) = word(&text[at + " rejected ".len()..])?;
    let (stage, rest) = if stage == "after" { rest.split_once(':').unwrap_or((rest, "")) } else { (stage, rest) };
    let why = match path(rest) {
        Some((_, behind)) => behind.strip_prefix(": ").unwrap_or(behind),
        None => rest.split_once(": ").map_or(rest, |(_, why)| why),
    };
    Some(Aside::Refused { stage, client, why: without_codes(why.trim()) })
}

fn severity(text: &str) -> Option<(Severity, &str)> {
    let words = [
        ("warning: ", Severity::Warning),
        ("error: ", Severity::Error),
        ("fatal: ", Severity::Fatal),
        ("panic: ", Severity::Panic),
    ];
    words.iter().find_map(|(word, severity)| Some((*severity, text.strip_prefix(word)?)))
}

/// `550 5.1.1 <b@dest.test>: Recipient address rejected: no; from=<a@org.test> to=<b@dest.test> proto=ESMTP`: the reason alone,
/// which many lines share.
fn why(rest: &str) -> &str {
    let end = memchr::memmem::find(rest.as_bytes(), b"; from=<").unwrap_or(rest.len());
    without_codes(&rest[..end])
}

fn without_codes(text: &str) -> &str {
    let text = match word(text) {
        Some((code, rest)) if code.len() == 3 && code.bytes().all(|octet| octet.is_ascii_digit()) => rest,
        _ => text,
    };
    let text = match word(text) {
        Some((code, rest)) if Enhanced::at_start(code).is_some() => rest,
        _ => text,
    };
    path(text).and_then(|(_, rest)| rest.strip_prefix(": ")).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn postfix(text: &str, want: Option<Aside<'_>>) {
        assert_eq!(by_postfix("postfix/submission/smtpd", text), want, "{text}");
    }

    #[test]
    fn what_postfix_refuses_and_complains_of_is_read() {
        let client = Some("unknown[127.0.0.1]");
        let refused = |stage, why| Some(Aside::Refused { stage, client, why });
        postfix(
            "NOQUEUE: reject: RCPT from unknown[127.0.0.1]: 550 5.1.1 <b@dest.test>: Recipient address rejected: User unknown; \
             from=<a@org.test> to=<b@dest.test> proto=ESMTP helo=<x>",
            refused("RCPT", "Recipient address rejected: User unknown"),
        );
        postfix(
            "4jX876: milter-reject: END-OF-MESSAGE from unknown[127.0.0.1]: 5.7.1 spam; from=<a@b> to=<c@d>",
            refused("END-OF-MESSAGE", "spam"),
        );
        postfix(
            "NOQUEUE: reject: RCPT from unknown[127.0.0.1]: 450 4.7.1 <\"a: b\"@dest.test>: no; from=<a@b> to=<c@d>",
            refused("RCPT", "no"),
        );
        let held = Aside::SetAside { how: "hold", why: "sm2tp: why" };
        postfix("NOQUEUE: hold: RCPT from unknown[127.0.0.1]: <b@dest.test>: sm2tp: why; from=<a@b>", Some(held));
        let warning = Aside::Trouble { severity: Severity::Warning, program: "smtpd", text: "no SASL" };
        postfix("warning: no SASL", Some(warning));
        for other in [
            "connect from unknown[127.0.0.1]",
            "4jX876: removed",
            "4jX876: to=<b@dest.test>, relay=x",
            "NOQUEUE: reject: RCPT",
            "NOQUEUE: client=x[127.0.0.1]",
            "",
        ] {
            postfix(other, None);
        }
    }

    #[test]
    fn what_exim_refuses_is_read() {
        #[track_caller]
        fn check(text: &str, want: Option<(&str, &str)>) {
            let found = by_exim(text).map(|aside| match aside {
                Aside::Refused { stage, why, client } => {
                    assert_eq!(client, Some("(vm) [127.0.0.1]"));
                    (stage, why)
                }
                other => panic!("{other:?}"),
            });
            assert_eq!(found, want, "{text}");
        }
        let head = "H=(vm) [127.0.0.1] F=<a@org.test>";
        check(
            &format!("{head} A=plain:alice rejected RCPT <b@d.test>: 5.1.1 suppressed"),
            Some(("RCPT", "suppressed")),
        );
        check(&format!("{head} temporarily rejected RCPT <b@d.test>: over quota"), Some(("RCPT", "over quota")));
        check(
            "1xUvCg-0004it-1z H=(vm) [127.0.0.1] F=<a@b> rejected after DATA: it is spam",
            Some(("DATA", "it is spam")),
        );
        check("1xUvCg-0004it-1z H=(vm) [127.0.0.1]: SMTP error", None);
        check("Start queue run: pid=1", None);
    }
}
