//! Tests of reports: fields, words, what is attached.

use super::*;

fn mail(options: MailOptions) -> Mail {
    Mail {
        id: 7,
        org: "asso".into(),
        login: None,
        stream: Stream::Personal,
        mail_from: Some(Address::parse("anna@asso.example").unwrap()),
        message_id: Some("1@asso.example".into()),
        received_at: 1_800_000_000,
        octets: 10,
        is_report: false,
        options,
    }
}

fn entry(address: &str, options: &str, kind: Kind) -> Entry {
    Entry {
        index: 3,
        address: Address::parse(address).unwrap(),
        orcpt: RcptOptions::from_stored(Some(options)).unwrap().orcpt,
        status: "5.1.1".into(),
        diagnostic: "550 5.1.1 unknown\r\nX-Evil: 1 été".into(),
        mx: Some("mx.x.example".into()),
        kind,
    }
}

fn report(language: Language, options: &str, content: &str, entry: Entry) -> String {
    let reporter = Reporter { hostname: "relay.example.org".into(), language, delay_notice_s: None };
    let mail = mail(MailOptions::from_stored(Some(options)).unwrap());
    let report = reporter.report(&mail, content.as_bytes(), &[entry], 1_800_000_100).unwrap();
    assert_eq!(report.mail_from, None);
    assert_eq!(report.recipients[0].options.notify, Some(Notify::NEVER));
    String::from_utf8(report.content.to_vec()).unwrap()
}

const CONTENT: &str = "Subject: hello\r\nFrom: a@b\r\n\r\nsecret body\r\n";

#[track_caller]
fn check(text: &str, wanted: &[&str]) {
    for want in wanted {
        assert!(text.contains(want), "{want} is not in\n{text}");
    }
}

#[test]
fn a_report_says_who_why_and_what_without_the_body() {
    let text = report(Language::English, "", CONTENT, entry("jean@x.example", "", Kind::Refused));
    let wanted = [
        "Content-Type: multipart/report; report-type=delivery-status",
        "Content-Type: text/plain; charset=\"utf-8\"\r\n",
        "Content-Type: message/delivery-status\r\n",
        "\r\nReporting-MTA: dns; relay.example.org\r\n",
        "Final-Recipient: rfc822; jean@x.example\r\nAction: failed\r\nStatus: 5.1.1\r\n",
        "Remote-MTA: dns; mx.x.example",
        "Diagnostic-Code: smtp; 550 5.1.1 unknown  X-Evil: 1 ?t?\r\n",
        "Auto-Submitted: auto-replied",
        "Subject: hello",
        "Message-ID: <report.7.3.1800000100@relay.example.org>",
        "In-Reply-To: <1@asso.example>",
        "References: <1@asso.example>",
    ];
    check(&text, &wanted);
    for absent in ["secret body", "\r\nX-Evil", "Original-", "Will-Retry"] {
        assert!(!text.contains(absent), "{absent} is in\n{text}");
    }
}

#[test]
fn what_the_sender_called_mail_and_recipient_is_said_back() {
    let options = "RET=HDRS ENVID=a+20b+2Bc";
    let text = report(
        Language::English,
        options,
        CONTENT,
        entry("jean@x.example", "ORCPT=rfc822;j+2Bn@x.example", Kind::Refused),
    );
    check(&text, &["\r\nOriginal-Envelope-Id: a b+c\r\n", "\r\nOriginal-Recipient: rfc822; j+n@x.example\r\nFinal-"]);
    assert!(!text.contains("secret body"));
}

#[test]
fn the_whole_mail_is_attached_where_it_was_asked_for_and_something_failed() {
    let failed = || entry("jean@x.example", "", Kind::Expired);
    let text = report(Language::English, "RET=FULL", CONTENT, failed());
    check(&text, &["Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 7bit\r\n\r\nSubject: hello", CONTENT]);
    let late = entry("jean@x.example", "", Kind::Late { until: 1_800_100_000 });
    assert!(!report(Language::English, "RET=FULL", CONTENT, late).contains("secret body"));
    let large = format!("{CONTENT}{}", "x".repeat(RETURNED_OCTETS_MAX));
    assert!(!report(Language::English, "RET=FULL", &large, failed()).contains("secret body"));
}

#[test]
fn a_delay_says_how_long_it_goes_on() {
    let late = || entry("jean@x.example", "", Kind::Late { until: 1_800_100_000 });
    let text = report(Language::English, "", CONTENT, late());
    check(&text, &["Action: delayed\r\n", "Will-Retry-Until: Sat, 16 Jan 2027 11:46:40 +0000\r\n", "is delayed"]);
    check(&report(Language::French, "", CONTENT, late()), &["retard", "Inutile de le renvoyer"]);
}

#[test]
fn who_asked_for_success_hears_that_it_was_passed_on() {
    let text = report(Language::English, "", CONTENT, entry("jean@x.example", "", Kind::Relayed));
    check(&text, &["Action: relayed\r\n", "passed on"]);
    let text = report(Language::French, "", CONTENT, entry("jean@x.example", "", Kind::Delivered));
    check(&text, &["Action: delivered\r\n", "Votre_message_a_=C3=A9t=C3=A9_transmis"]);
}

#[test]
fn addresses_beyond_ascii_are_readable() {
    let content = "Subject: été\r\n\r\nbody\r\n";
    let josé = entry("josé@x.example", "ORCPT=utf-8;jos\\x{E9}@alt.example", Kind::Refused);
    let text = report(Language::English, "SMTPUTF8", content, josé);
    let wanted = [
        "Content-Type: message/global-delivery-status\r\nContent-Transfer-Encoding: 8bit\r\n",
        "Original-Recipient: utf-8; josé@alt.example\r\nFinal-Recipient: utf-8; josé@x.example\r\n",
        "Diagnostic-Code: smtp; 550 5.1.1 unknown  X-Evil: 1 été\r\n",
        "Content-Type: message/global-headers\r\nContent-Transfer-Encoding: 8bit\r\n\r\nSubject: été\r\n",
    ];
    check(&text, &wanted);
    let whole = report(Language::English, "SMTPUTF8 RET=FULL", content, entry("jean@x.example", "", Kind::Refused));
    check(&whole, &["Content-Type: message/delivery-status", "message/global\r\nContent-Transfer-Encoding: 8bit"]);
}

#[test]
fn a_sender_beyond_ascii_gets_its_report_where_smtputf8_is_spoken() {
    let reporter = Reporter { hostname: "relay.example.org".into(), language: Language::English, delay_notice_s: None };
    let entries = [entry("jean@x.example", "", Kind::Refused)];
    let utf8 = Mail { mail_from: Some(Address::parse("josé@asso.example").unwrap()), ..mail(MailOptions::default()) };
    assert!(reporter.report(&utf8, b"", &entries, 0).unwrap().options.utf8);
    assert!(!reporter.report(&mail(MailOptions::default()), b"", &entries, 0).unwrap().options.utf8);
    let null = Mail { mail_from: None, ..mail(MailOptions::default()) };
    assert!(reporter.report(&null, b"", &entries, 0).is_none());
}
