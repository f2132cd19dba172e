//! Logs that real mail servers wrote (`corpus/logs`), read to the end.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use sm2tp_proto::log::{Clock, Mails, Writer};

/// What was found, in one line for each outcome, and how many of each status.
#[expect(clippy::disallowed_methods, reason = "a test reads its files")]
fn read(name: &str, mails_max: usize) -> (Vec<String>, BTreeMap<&'static str, usize>, Mails) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus/logs").join(name);
    let octets = std::fs::read(path).unwrap();
    let (mut mails, clock) = (Mails::new(mails_max), Clock { latest: 1_795_665_600, offset_s: 0 });
    let (mut lines, mut counts) = (Vec::new(), BTreeMap::new());
    for line in octets.split(|octet| *octet == b'\n') {
        let line = String::from_utf8_lossy(line);
        let each = |outcome: sm2tp_proto::log::Outcome<'_>| {
            *counts.entry(outcome.status.as_str()).or_default() += 1;
            lines.push(format!(
                "{} {} {}>{} {} {:?} {:?} {:?} {:?} {:?}",
                outcome.at,
                outcome.queue_id,
                outcome.sender.unwrap_or("?"),
                outcome.recipient,
                outcome.status.as_str(),
                outcome.code,
                outcome.login,
                outcome.message_id,
                outcome.origin,
                outcome.first,
            ));
        };
        let writer = if name.starts_with("exim") { Writer::Exim } else { Writer::Postfix };
        mails.line(writer, &line, &clock, each);
    }
    (lines, counts, mails)
}

#[track_caller]
fn check(name: &str, want: &[(&'static str, usize)], inner: u64, again: u64) {
    let (lines, counts, mails) = read(name, 10_000);
    assert_eq!(counts, want.iter().copied().collect(), "{name}\n{}", lines.join("\n"));
    assert_eq!((mails.seen.inner, mails.seen.again), (inner, again), "{name}");
}

#[test]
fn every_result_that_postfix_and_exim_wrote_is_found_once() {
    check("postfix-3.7.11.log", &[("sent", 51), ("deferred", 34), ("bounced", 20), ("expired", 2)], 3, 11);
    check("postfix-3.11.6.log", &[("sent", 5), ("deferred", 6), ("bounced", 2), ("expired", 1)], 0, 0);
    check("exim-4.96-mainlog.log", &[("sent", 24), ("deferred", 31), ("bounced", 6)], 0, 13);
}

#[test]
fn each_recipient_comes_for_the_first_time_once_and_who_brought_its_mail_is_known() {
    for name in ["postfix-3.7.11.log", "postfix-3.11.6.log", "exim-4.96-mainlog.log"] {
        let (lines, _, _) = read(name, 10_000);
        let pair = |line: &String| line.split(' ').skip(1).take(2).collect::<Vec<_>>().join(" ");
        let all: BTreeSet<String> = lines.iter().map(pair).collect();
        let first: Vec<String> = lines.iter().filter(|line| !line.ends_with(" None")).map(pair).collect();
        assert_eq!(first.len(), all.len(), "{name}: {}", lines.join("\n"));
        // What the mail server writes itself.
        let by_itself = |line: &&String| line.contains(" >") || line.contains(" double-bounce@");
        let mut unknown = lines.iter().filter(|line| line.contains(" Unknown "));
        assert!(unknown.all(|line| by_itself(&line)), "{name}: {}", lines.join("\n"));
    }
}

#[test]
fn a_log_is_the_same_in_each_form_of_syslog() {
    let (rfc3339, counts, _) = read("postfix-rsyslog-rfc3339.log", 100);
    assert_eq!(counts, BTreeMap::from([("bounced", 1), ("sent", 3)]), "{rfc3339:?}");
    assert_eq!(read("postfix-rsyslog-rfc5424.log", 100).0, rfc3339);
}

#[test]
fn each_outcome_of_exim_and_postfix_names_its_sender_while_memory_is_bounded() {
    for name in ["postfix-3.7.11.log", "postfix-3.11.6.log", "exim-4.96-mainlog.log"] {
        let (lines, counts, _) = read(name, 10_000);
        let unknown: Vec<_> = lines.iter().filter(|line| line.contains(" ?>")).collect();
        assert!(unknown.is_empty(), "{name}: {unknown:?}");
        let (_, with_one, _) = read(name, 1);
        assert_eq!(counts.get("bounced"), with_one.get("bounced"), "{name}: results are found all the same");
    }
}
