//! Reports: what the collected mails say, whatever their line ends, and what hostile ones cost.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Deserialize;
use sm2tp_proto::report::{
    Action, DEPTH_MAX, DIAGNOSTIC_OCTETS_MAX, Kind, MAIL_OCTETS_MAX, PARTS_MAX, RECIPIENTS_MAX, Report, ReportError,
};

/// A line of `corpus/mails.jsonl`: what sisimai says.
#[derive(Deserialize)]
struct Row {
    file: String,
    outcomes: Vec<RowOutcome>,
}

#[derive(Deserialize)]
struct RowOutcome {
    recipient: Option<String>,
}

/// A file of `corpus/reports`, beside the mail.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Want {
    kind: String,
    #[serde(default)]
    recipients: Vec<WantRecipient>,
    #[serde(default)]
    message_id: Option<String>,
    #[serde(default)]
    envelope_id: Option<String>,
    #[serde(default)]
    feedback_type: Option<String>,
    #[serde(default)]
    source_ip: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WantRecipient {
    address: String,
    #[serde(default)]
    original: Option<String>,
    #[serde(default)]
    action: Option<String>,
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    remote_mta: Option<String>,
    /// Words that the diagnostic must hold.
    #[serde(default)]
    says: Option<String>,
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus")
}

#[allow(clippy::disallowed_methods, reason = "a test reads its files, in pure crates too")]
fn mails(folder: &str) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(corpus().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = entries.filter(|path| path.extension().is_some_and(|end| end == "eml")).collect();
    paths.sort();
    let name = |path: &Path| path.file_stem().unwrap().to_string_lossy().into_owned();
    paths.iter().map(|path| (name(path), std::fs::read(path).unwrap())).collect()
}

#[allow(clippy::disallowed_methods, reason = "a test reads its files, in pure crates too")]
fn text(path: &str) -> String {
    std::fs::read_to_string(corpus().join(path)).unwrap_or_else(|error| panic!("corpus/{path}: {error}"))
}

fn lower(address: &str) -> String {
    address.to_lowercase()
}

#[test]
fn recipients_of_collected_reports_are_those_that_sisimai_finds() {
    let (mut with_status, mut without) = ((0, 0), (0, 0));
    let mut faults = Vec::new();
    for line in text("mails.jsonl").lines() {
        let row: Row = serde_json::from_str(line).unwrap();
        let mail = text_of(&row.file);
        let report = Report::read(&mail).unwrap();
        let want: BTreeSet<_> = row.outcomes.iter().filter_map(|o| o.recipient.as_deref()).map(lower).collect();
        let got: BTreeSet<_> = report.recipients.iter().map(|r| lower(&r.address.clear())).collect();
        let has_status = String::from_utf8_lossy(&mail).to_lowercase().contains("/delivery-status");
        let counts = if has_status { &mut with_status } else { &mut without };
        counts.0 += usize::from(got == want);
        counts.1 += 1;
        if got != want {
            faults.push(format!("{}: {got:?}, sisimai: {want:?}", row.file));
        }
    }
    println!("with a status part {with_status:?}, without {without:?}\n{}", faults.join("\n"));
    assert!(with_status.1 * 97 <= with_status.0 * 100, "{with_status:?}\n{}", faults.join("\n"));
    assert!(without.1 * 97 <= without.0 * 100, "{without:?}\n{}", faults.join("\n"));
}

#[test]
fn texts_alone_name_nearly_all_of_them_too() {
    let (mut right, mut all) = (0, 0);
    let mut faults = Vec::new();
    for line in text("mails.jsonl").lines() {
        let row: Row = serde_json::from_str(line).unwrap();
        let want: BTreeSet<_> = row.outcomes.iter().filter_map(|o| o.recipient.as_deref()).map(lower).collect();
        let report = Report::read(&without_fields(&text_of(&row.file))).unwrap();
        if report.kind != Kind::Dsn || want.is_empty() {
            continue;
        }
        let got: BTreeSet<_> = report.recipients.iter().map(|r| lower(&r.address.clear())).collect();
        (right, all) = (right + usize::from(got == want), all + 1);
        if got != want {
            faults.push(format!("{}: {got:?}, sisimai: {want:?}", row.file));
        }
    }
    assert!(250 < all && all * 96 <= right * 100, "{right} of {all}\n{}", faults.join("\n"));
}

/// The mail as a gateway leaves it that throws away what it does not know.
fn without_fields(mail: &[u8]) -> Vec<u8> {
    let mail = String::from_utf8_lossy(mail);
    let lines = mail.split('\n').map(|line| {
        let lower = line.to_ascii_lowercase();
        let (part, header) = (lower.contains("/delivery-status"), lower.starts_with("x-failed-recipients:"));
        let field = ["final-recipient:", "original-recipient:"].iter().any(|name| lower.starts_with(name));
        match () {
            () if part => "Content-Type: application/octet-stream",
            () if header || field => "X-Gone: x",
            () => line,
        }
    });
    lines.collect::<Vec<_>>().join("\n").into_bytes()
}

#[allow(clippy::disallowed_methods, reason = "a test reads its files, in pure crates too")]
fn text_of(file: &str) -> Vec<u8> {
    std::fs::read(corpus().join("mails").join(file)).unwrap()
}

#[test]
fn reports_of_each_kind_say_what_is_written_beside_them() {
    let mails = mails("reports");
    assert!(60 < mails.len(), "corpus/reports has lost its mails: {}", mails.len());
    let faults: Vec<String> = mails.iter().filter_map(|(name, mail)| fault(name, mail)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// What is wrong with the reading of this mail, if anything is.
fn fault(name: &str, mail: &[u8]) -> Option<String> {
    let want: Want = serde_json::from_str(&text(&format!("reports/{name}.json"))).expect(name);
    let report = Report::read(mail).expect(name);
    let got: Vec<String> = report
        .recipients
        .iter()
        .map(|r| {
            let said = want.recipients.iter().find(|w| lower(&w.address) == lower(&r.address.clear()));
            let says = said.and_then(|w| w.says.clone());
            let words = r.diagnostic.as_deref().unwrap_or("");
            format!(
                "{} original={:?} {:?} {:?} {:?} says={:?}",
                r.address.clear(),
                r.original.as_ref().filter(|_| said.is_some_and(|w| w.original.is_some())).map(|a| a.clear()),
                r.action.map(Action::as_str),
                r.status.filter(|_| said.is_some_and(|w| w.status.is_some())).map(|status| status.to_string()),
                r.remote_mta.as_ref().filter(|_| said.is_some_and(|w| w.remote_mta.is_some())),
                says.as_ref().map(|says| if words.contains(says.as_str()) { says } else { words }),
            )
        })
        .collect();
    let wanted: Vec<String> = want
        .recipients
        .iter()
        .map(|w| {
            let (original, action, status) = (&w.original, w.action.as_deref(), &w.status);
            format!(
                "{} original={original:?} {action:?} {status:?} {:?} says={:?}",
                w.address,
                w.remote_mta.as_ref(),
                w.says
            )
        })
        .collect();
    let feedback = report.feedback.as_ref();
    let differs = [
        (report.kind.as_str() != want.kind).then(|| format!("kind {} for {}", report.kind.as_str(), want.kind)),
        (got != wanted).then(|| format!("recipients\n   {}\n for\n   {}", got.join("\n   "), wanted.join("\n   "))),
        differ("message id", report.returned.message_id().as_ref(), want.message_id.as_ref()),
        differ("envelope id", report.envelope_id.as_ref(), want.envelope_id.as_ref()),
        differ("feedback type", feedback.map(|f| &f.kind), want.feedback_type.as_ref()),
        differ("source", feedback.and_then(|f| f.source_ip).map(|ip| ip.to_string()).as_ref(), want.source_ip.as_ref()),
    ];
    let differs: Vec<_> = differs.into_iter().flatten().collect();
    (!differs.is_empty()).then(|| format!("{name}: {}", differs.join("; ")))
}

/// Only what is written down is compared.
fn differ(what: &str, got: Option<&String>, want: Option<&String>) -> Option<String> {
    (want.is_some() && got != want).then(|| format!("{what} {got:?} for {want:?}"))
}

#[test]
fn a_mail_says_the_same_with_each_kind_of_line_end() {
    let all = [mails("mails"), mails("reports")].concat();
    assert!(300 < all.len());
    for (name, mail) in all {
        let lf = with_line_ends(&mail, b"\n");
        let want = Report::read(&lf).unwrap();
        for end in [&b"\r\n"[..], b"\r", b"\r\r\n"] {
            assert_eq!(Report::read(&with_line_ends(&mail, end)).unwrap(), want, "{name} with {}", end.escape_ascii());
        }
        assert_eq!(Report::read(&mail).unwrap(), want, "{name} as it is");
    }
}

/// The mail with this end at each line; those of its own are LF, CRLF or, in one mail, CR CR LF.
fn with_line_ends(mail: &[u8], end: &[u8]) -> Vec<u8> {
    let without = |line: &'_ [u8]| line.iter().rposition(|octet| *octet != b'\r').map_or(0, |at| at + 1);
    let lines = mail.split(|octet| *octet == b'\n').map(|line| &line[..without(line)]);
    lines.collect::<Vec<_>>().join(end)
}

/// A bounce with this status part.
fn dsn(status: &str) -> Vec<u8> {
    format!(
        "From: MAILER-DAEMON@mx.example\nSubject: Undelivered\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n\
         --b\nContent-Type: text/plain\n\nNo.\n--b\nContent-Type: message/delivery-status\n\n{status}\n--b--\n"
    )
    .into_bytes()
}

#[test]
fn what_is_no_mail_is_told_apart() {
    assert_eq!(Report::read(b""), Err(ReportError::Empty));
    assert_eq!(Report::read(b" \r\n\r\n"), Err(ReportError::Empty));
    assert_eq!(Report::read(b"\x89PNG\r\n\x1a\n\0\0\0"), Err(ReportError::NoHeader));
    assert_eq!(Report::read(b"no colon here\nnor here\n"), Err(ReportError::NoHeader));
    assert_eq!(Report::read(b"Subject: lunch?\n\nAt noon.\n").unwrap().kind, Kind::Other);
}

#[test]
fn a_mail_is_read_up_to_its_limit() {
    let status = "Reporting-MTA: dns; mx.example\n\nFinal-Recipient: rfc822; a@example.org\nAction: failed\n";
    let filler = "x".repeat(78) + "\n";
    let mut mail = dsn(status);
    mail.extend(filler.repeat(2 * MAIL_OCTETS_MAX / filler.len()).into_bytes());
    let report = Report::read(&mail).unwrap();
    assert!(report.is_cut);
    assert_eq!(report.recipients.len(), 1);
    let late = [filler.repeat(MAIL_OCTETS_MAX / filler.len() + 1).into_bytes(), dsn(status)].concat();
    let late = [b"Subject: Undelivered\n\n".to_vec(), late].concat();
    assert!(Report::read(&late).unwrap().recipients.is_empty());
}

#[test]
fn parts_depth_and_recipients_are_limited() {
    let part = "--b\nContent-Type: message/delivery-status\n\nFinal-Recipient: rfc822; a@example.org\n\n";
    let head = "From: MAILER-DAEMON@mx.example\nContent-Type: multipart/report; boundary=b\n\n";
    let noise = "--b\nContent-Type: text/plain\n\nNo.\n";
    let within = format!("{head}{}{part}", noise.repeat(PARTS_MAX - 1));
    let beyond = format!("{head}{}{part}", noise.repeat(PARTS_MAX));
    let read = |mail: &str| Report::read(mail.as_bytes()).unwrap();
    assert_eq!((read(&within).recipients.len(), read(&within).is_cut), (1, false));
    assert_eq!((read(&beyond).recipients.len(), read(&beyond).is_cut), (0, true));

    let nested = |levels: usize| {
        let opening: String =
            (1..levels).map(|n| format!("--b{n}\nContent-Type: multipart/mixed; boundary=b{}\n\n", n + 1)).collect();
        let status = "Content-Type: message/delivery-status\n\nFinal-Recipient: rfc822; a@example.org\n\n";
        format!(
            "From: MAILER-DAEMON@mx.example\nContent-Type: multipart/mixed; boundary=b1\n\n{opening}--b{levels}\n{status}"
        )
    };
    assert_eq!((read(&nested(DEPTH_MAX)).recipients.len(), read(&nested(DEPTH_MAX)).is_cut), (1, false));
    assert_eq!((read(&nested(DEPTH_MAX + 1)).recipients.len(), read(&nested(DEPTH_MAX + 1)).is_cut), (0, true));

    let blocks = |count: usize| -> Vec<u8> {
        dsn(&(0..count)
            .map(|n| format!("Final-Recipient: rfc822; r{n}@example.org\nAction: failed\n\n"))
            .collect::<String>())
    };
    let full = Report::read(&blocks(RECIPIENTS_MAX)).unwrap();
    assert_eq!((full.recipients.len(), full.is_cut), (RECIPIENTS_MAX, false));
    let over = Report::read(&blocks(RECIPIENTS_MAX + 1)).unwrap();
    assert_eq!((over.recipients.len(), over.is_cut), (RECIPIENTS_MAX, true));
}

#[test]
fn words_of_servers_come_out_bounded_and_without_commands_for_a_terminal() {
    let words = format!("smtp; 550 5.1.1 \x1b[2J\x07no \x00 {}", "é".repeat(MAIL_OCTETS_MAX / 4));
    let report = Report::read(&dsn(&format!(
        "Reporting-MTA: dns; \x1b]0;x\x07mx.example\n\nFinal-Recipient: rfc822; a@example.org\nDiagnostic-Code: {words}\n"
    )))
    .unwrap();
    let diagnostic = report.recipients[0].diagnostic.as_deref().unwrap();
    assert!(diagnostic.len() <= DIAGNOSTIC_OCTETS_MAX);
    assert!(diagnostic.starts_with("550 5.1.1 [2J no é"), "{diagnostic}");
    let shown = format!("{report:?}");
    assert!(!shown.contains('\x1b') && !shown.contains("\\u{1b}"), "{}", &shown[..400]);
}

/// Reads it, and says how long that took.
#[allow(clippy::disallowed_methods, reason = "a test measures what a reader costs")]
fn cost(mail: &[u8]) -> (Result<Report, ReportError>, Duration) {
    let start = Instant::now();
    let report = Report::read(mail);
    (report, start.elapsed())
}

/// Bodies that announce recipients more often than there are any.
fn sentences() -> [(&'static str, String); 3] {
    let line = "following users ".repeat(2000);
    [
        ("sentences in one line above thousands of lines", format!("{line}\n{}", "a@b\n".repeat(4000))),
        ("sentences behind thousands of recipients", "a@b following users\n".repeat(4000)),
        ("sentences before ats", format!("{line}{}", "@".repeat(1024 * 1024))),
    ]
}

#[test]
fn hostile_mails_cost_no_more_than_their_size() {
    let mega = 1024 * 1024;
    let head = "From: MAILER-DAEMON@mx.example\nSubject: Undelivered\n";
    let in_body =
        |body: &str| format!("{head}\nI wasn't able to deliver your message to the following addresses.\n{body}");
    let multipart = |body: &str| format!("{head}Content-Type: multipart/mixed; boundary=b\n\n{body}");
    let mut cases: Vec<(&str, Vec<u8>)> = vec![
        ("one long line", [b"Subject: x\n\n".to_vec(), vec![b'a'; 10 * mega]].concat()),
        ("one long header line", [b"Subject: x".to_vec(), vec![b' '; 10 * mega]].concat()),
        ("invalid UTF-8", [head.as_bytes().to_vec(), b"\n".to_vec(), vec![0xff; mega]].concat()),
        ("mails in mails", "Content-Type: message/rfc822\n\n".repeat(30_000).into_bytes()),
        (
            "a thousand mails in mails",
            [head.as_bytes(), &b"Content-Type: message/rfc822\n\n".repeat(1000)[..]].concat(),
        ),
        ("delimiters", multipart(&"--b\n".repeat(200_000)).into_bytes()),
        ("delimiters that are none", multipart(&"--bb\n".repeat(200_000)).into_bytes()),
        ("delimiters in a line", multipart(&"--b".repeat(300_000)).into_bytes()),
        ("ats", in_body(&"@".repeat(mega)).into_bytes()),
        ("addresses", in_body(&"<a@b.example>\n".repeat(mega / 14)).into_bytes()),
        ("addresses in a line", in_body(&"a@b.example,".repeat(mega / 12)).into_bytes()),
        (
            "many addresses",
            in_body(&(0..60_000).map(|n| format!("<a{n}@b.example>:\n")).collect::<String>()).into_bytes(),
        ),
        ("local parts", in_body(&format!("{}@", "a".repeat(70)).repeat(mega / 71)).into_bytes()),
        ("address list", format!("To: {}\n{head}\n", "a@b.example, ".repeat(mega / 13)).into_bytes()),
        ("encoded words", format!("Subject: {}\n\n", "=?utf-8?q?=41?= ".repeat(mega / 16)).into_bytes()),
        ("broken encoded words", format!("Subject: {}\n\n", "=?utf-8?q?".repeat(mega / 10)).into_bytes()),
        ("parameters", format!("Content-Type: text/plain{}\n\n", "; a*0*=x''%41".repeat(mega / 13)).into_bytes()),
        ("fields", format!("{head}{}\n", "A: b\n".repeat(mega / 5)).into_bytes()),
        ("folded lines", format!("{head}A:{}\n", "\n x".repeat(mega / 3)).into_bytes()),
        ("recipients", dsn(&"Final-Recipient: rfc822; a@b.example\n\n".repeat(mega / 39))),
        ("status codes", dsn(&"Status: 5.1.1\n\n".repeat(mega / 15))),
        ("quotations", in_body(&">".repeat(mega)).into_bytes()),
        (
            "sentences",
            in_body(&"delivery to the following recipient failed permanently: ".repeat(mega / 56)).into_bytes(),
        ),
        ("sentences in lines", in_body(&"delivery to the following recipient failed\n".repeat(mega / 44)).into_bytes()),
        ("replies", in_body(&"550 5.1.1 <a@b.example>... no\n".repeat(mega / 31)).into_bytes()),
        ("commands", in_body(&"RCPT TO:<a@b.example>\n".repeat(mega / 22)).into_bytes()),
        ("tags", format!("{head}Content-Type: text/html\n\n{}", "<p @".repeat(mega / 4)).into_bytes()),
        ("hidden tags", format!("{head}Content-Type: text/html\n\n{}", "<style></".repeat(mega / 9)).into_bytes()),
        ("comments", format!("{head}Content-Type: text/html\n\n{}", "<!--".repeat(mega / 4)).into_bytes()),
        ("entities", format!("{head}Content-Type: text/html\n\n{}", "&#64".repeat(mega / 4)).into_bytes()),
        ("base64", format!("{head}Content-Transfer-Encoding: base64\n\n{}", "AAAA\n".repeat(mega / 5)).into_bytes()),
        (
            "quoted-printable",
            format!("{head}Content-Transfer-Encoding: quoted-printable\n\n{}", "=\n".repeat(mega / 2)).into_bytes(),
        ),
        ("empty lines", vec![b'\n'; 10 * mega]),
        ("carriage returns", vec![b'\r'; 10 * mega]),
        ("escapes", in_body(&"\x1b[2J".repeat(mega / 4)).into_bytes()),
    ];
    cases.extend(sentences().map(|(name, body)| (name, in_body(&body).into_bytes())));
    for (name, mail) in cases {
        let (report, took) = cost(&mail);
        // 1 MiB takes some milliseconds in a release build; tests are not optimised and share their machine.
        println!("{name}: {took:?}");
        assert!(took < Duration::from_secs(5), "{name} took {took:?}");
        if let Ok(report) = report {
            assert!(report.recipients.len() <= RECIPIENTS_MAX, "{name}");
            let words = report.recipients.iter().filter_map(|recipient| recipient.diagnostic.as_ref());
            assert!(words.map(String::len).all(|len| len <= DIAGNOSTIC_OCTETS_MAX), "{name}");
            assert!(format!("{report:?}").len() < 2 * mega, "{name}");
        }
    }
}
