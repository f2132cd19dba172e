//! Tests of reports: fields, words, what is attached.

use sm2tp_proto::smtp::{Notify, RcptOptions};

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
        said: server(Whose::Recipient, "mx.x.example", "550 5.1.1 unknown\r\nX-Evil: 1 été"),
        kind,
    }
}

fn server(whose: Whose, mx: &str, text: &str) -> Said {
    Said::Server { whose, mx: Some(mx.to_owned()), text: text.to_owned() }
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

/// The part for people, as they read it.
fn read(language: Language, header: &str, entries: &[Entry]) -> String {
    let words = Words::of(language, entries[0].kind.about());
    let returned = Returned::Header { header, global: false };
    words.explain(header, 1_800_000_000, entries, &returned).replace("\r\n", "\n")
}

fn nobody_spoke() -> Vec<Entry> {
    let (no_domain, timeout) = (LocalFailure::NoSuchDomain, LocalFailure::ConnectTimeout);
    let held = |by| Said::Held { by, note: "1 other mail hoster(s) report it".into() };
    let about = |address, kind, said| Entry { said, ..entry(address, "", kind) };
    vec![
        about("nobody@nosuch.invalid", Kind::Refused, Said::Failed { failure: no_domain, mx: None }),
        about("jean@x.example", Kind::Expired, Said::Failed { failure: timeout, mx: Some("mx.x.example".into()) }),
        about("held@x.example", Kind::Stopped, held(Holder::Federation)),
        about("kept@x.example", Kind::Stopped, held(Holder::Person)),
        about("listed@x.example", Kind::Stopped, held(Holder::Listed)),
    ]
}

#[test]
fn where_no_server_spoke_none_is_said_to_have() {
    let text = read(Language::English, "Subject: hello\r\n", &nobody_spoke());
    let want = "\
Your message could not be delivered to the following recipients.

Subject: hello
Sent: Friday, 15 January 2027 at 08:00 UTC

  nobody@nosuch.invalid
    It could not be sent: the domain does not exist (NXDOMAIN).

  jean@x.example
    Server: mx.x.example
    It could not be delivered in time; the last trouble was: the host did not answer to a connection in time.

  held@x.example
    It was not sent: other mail hosters report this address as dead, so it was held, and nobody released it in time.

  kept@x.example
    It was not sent: an administrator of this server held it, and it was not released in time.

  listed@x.example
    It was not sent: an administrator of this server has stopped all mail to this address.

The header of your message is attached. Nobody reads answers to this report; please ask your postmaster.
";
    assert_eq!(text, want);
}

#[test]
fn a_french_report_is_french_throughout() {
    let text = read(Language::French, "Subject: =?utf-8?Q?l=27=C3=A9t=C3=A9?=\r\n", &nobody_spoke());
    let want = "\
Votre message n’a pas pu être distribué aux destinataires suivants.

Objet\u{a0}: l'été
Envoyé le vendredi 15 janvier 2027 à 8\u{a0}h\u{a0}00 (UTC)

  nobody@nosuch.invalid
    Il n’a pas pu être envoyé\u{a0}: le domaine n’existe pas (NXDOMAIN).

  jean@x.example
    Serveur\u{a0}: mx.x.example
    Il n’a pas pu être distribué à temps\u{a0}; dernier incident\u{a0}: \
le serveur n’a pas répondu à temps à la demande de connexion.

  held@x.example
    Il n’a pas été envoyé\u{a0}: d’autres hébergeurs de messagerie signalent que cette adresse n’existe plus\u{a0}; \
il a donc été mis en attente et personne ne l’a libéré à temps.

  kept@x.example
    Il n’a pas été envoyé\u{a0}: un administrateur de ce serveur l’a mis en attente et il n’a pas été libéré à temps.

  listed@x.example
    Il n’a pas été envoyé\u{a0}: un administrateur de ce serveur a bloqué tout envoi vers cette adresse.

L’en-tête de votre message est joint. \
Personne ne lit les réponses à ce rapport\u{a0}: adressez-vous à votre postmaster.
";
    assert_eq!(text, want);
}

#[test]
fn every_failure_has_words_of_its_own_in_both_languages() {
    let mut seen = std::collections::HashSet::new();
    for failure in LocalFailure::ALL {
        for language in [Language::English, Language::French] {
            let words = failures::words(*failure, language);
            assert!(seen.insert(words), "{failure}: {words}");
            assert!(!words.ends_with('.') && !words.contains("  "), "{words}");
        }
    }
}

#[test]
fn machines_read_x_sm2tp_where_no_server_spoke() {
    let parts = nobody_spoke();
    let text = report(Language::French, "", CONTENT, parts[0].clone());
    check(&text, &["Diagnostic-Code: X-SM2TP; the domain does not exist (NXDOMAIN)\r\n"]);
    assert!(!text.contains("Remote-MTA"), "{text}");
    let text = report(Language::French, "", CONTENT, parts[2].clone());
    check(&text, &["Diagnostic-Code: X-SM2TP; 1 other mail hoster(s) report it\r\n"]);
}

#[test]
fn the_server_is_named_before_its_words_and_a_smart_host_is_not_the_recipients() {
    let said = |whose, mx| Entry {
        said: server(whose, mx, "550 5.1.1 unknown"),
        ..entry("jean@x.example", "", Kind::Refused)
    };
    let text = read(Language::English, "", &[said(Whose::Recipient, "mx.x.example")]);
    let want =
        "  jean@x.example\n    Server: mx.x.example\n    The recipient's mail server refused it and said:\n    550";
    check(&text, &[want]);
    assert!(!text.contains("Subject"), "{text}");
    let onward = said(Whose::SmartHost, "127.0.0.1");
    check(
        &read(Language::English, "", std::slice::from_ref(&onward)),
        &["The server that passes on our outgoing mail refused"],
    );
    check(
        &read(Language::French, "", std::slice::from_ref(&onward)),
        &["Le serveur qui relaie notre courrier sortant l’a"],
    );
    check(
        &report(Language::French, "", CONTENT, onward),
        &["Remote-MTA: dns; [127.0.0.1]\r\nDiagnostic-Code: smtp; 550"],
    );
    let six = said(Whose::SmartHost, "2001:db8::1");
    check(&report(Language::French, "", CONTENT, six), &["Remote-MTA: dns; [IPv6:2001:db8::1]\r\n"]);
}

#[test]
fn a_subject_is_one_line_that_steers_nothing() {
    let subject = |header: &str| {
        let text = read(Language::English, header, &nobody_spoke());
        let line = text.lines().find_map(|line| line.strip_prefix("Subject: ")).map(str::to_owned);
        (line, text.lines().count())
    };
    let plain = subject("Subject: hello\r\n");
    let forged = subject("From: a@b\r\nSubject: =?utf-8?Q?a=0D=0A=0D=0A=1B[2Jb?=\r\n");
    assert_eq!((forged.0.as_deref(), forged.1), (Some("a     [2Jb"), plain.1));
    assert_eq!(subject(&format!("Subject: {}\r\n", "x".repeat(900))).0.unwrap().len(), 200);
    assert_eq!(subject("Subject:\r\n").0, None);
    assert_eq!(subject("").0, None);
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
    let until = "    Nouveaux essais jusqu’au samedi 16 janvier 2027 à 11\u{a0}h\u{a0}46 (UTC)\n";
    check(&read(Language::French, "", &[late()]), &[until]);
    let until = "    Delivery will be tried until: Saturday, 16 January 2027 at 11:46 UTC\n";
    check(&read(Language::English, "", &[late()]), &[until]);
    let first = Entry { kind: Kind::Late { until: 1_801_440_000 }, ..late() };
    check(&read(Language::French, "", &[first]), &["lundi 1er février 2027 à 0\u{a0}h\u{a0}00"]);
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
