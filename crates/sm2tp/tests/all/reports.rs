//! `sm2tp report`, as the program is called.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::node::{SM2TP, Said, said};

fn report(args: &[&str], input: &str) -> Said {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus/reports");
    said(Command::new(SM2TP).arg("report").args(args).current_dir(corpus), input)
}

#[test]
fn each_file_is_answered_by_one_object_in_order() {
    let said = report(&["--json", "qmail.eml", "arf-yahoo.eml", "-", "absence.eml"], "Subject: lunch?\n\nAt noon.\n");
    assert_eq!((said.exit, said.stderr.as_str()), (0, ""));
    let answers: Vec<Value> = said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let recipient = |address: &str, cause: &str, status: &str, diagnostic: &str| {
        json!({
            "address": address, "action": "failed", "status": status, "diagnostic": diagnostic, "cause": cause,
            "message": "final",
        })
    };
    let first = "192.0.2.25 does not like recipient. Remote host said: 550 5.1.1 <jean@example.org>: no such user \
                 Giving up on 192.0.2.25.";
    let second = "Sorry, no mailbox here by that name. (#5.1.1)";
    let none = Value::Null;
    let mailed = json!("<letter.12@asso.example>");
    let complainer = json!({
        "address": "jean@yahoo.example", "action": none, "status": none, "diagnostic": none, "cause": none, "message": none,
    });
    let wanted = [
        json!({
            "kind": "dsn", "token": none, "feedback_type": none, "source_ip": none, "message_id": mailed,
            "recipients": [
                recipient("jean@example.org", "address", "5.1.1", first),
                recipient("anna@example.com", "address", "5.1.1", second),
            ],
        }),
        json!({
            "kind": "arf", "token": none, "feedback_type": "abuse", "source_ip": "192.0.2.10", "message_id": mailed,
            "recipients": [complainer],
        }),
        json!({
            "kind": "other", "token": none, "feedback_type": none, "source_ip": none, "message_id": none, "recipients": [],
        }),
        json!({
            "kind": "autoreply", "token": none, "feedback_type": none, "source_ip": none, "message_id": none,
            "recipients": [],
        }),
    ];
    assert_eq!(answers, wanted);
}

#[test]
fn a_file_that_is_no_mail_does_not_hide_the_others() {
    let said = report(&["--json", "missing.eml", "qmail.eml", "-"], "\u{0}\u{1}no mail\n");
    assert_eq!(said.exit, 65);
    let kinds: Vec<String> =
        said.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["kind"].to_string()).collect();
    assert_eq!(kinds, ["\"other\"", "\"dsn\"", "\"other\""]);
    assert!(
        said.stderr.contains("missing.eml: ") && said.stderr.contains("-: no mail: it has no header"),
        "{}",
        said.stderr
    );
    assert_eq!(report(&[], "").exit, 64);
}

#[test]
fn people_get_lines_without_commands_for_their_terminal() {
    let mail = "From: MAILER-DAEMON@mx.example\nSubject: failure\nTo: news+cbcdefghijklmnopqrstuvwxyz234567abcde@asso.example\n\n\
                Your message could not be delivered to the following recipients:\n\n\
                <jean@example.org>: 550 5.1.1 \x1b]0;owned\x07 no such user\n";
    let said = report(&["-"], mail);
    let wanted = "-: bounce\n  jean@example.org failed 5.1.1  address/no-user message=final rule=no-user\n    \
                  550 5.1.1 ]0;owned no such user\n  token cbcdefghijklmnopqrstuvwxyz234567abcde\n";
    assert_eq!((said.exit, said.stdout.as_str()), (0, wanted));
    let said = report(&["exim-delay.eml"], "");
    assert!(
        said.stdout.starts_with("exim-delay.eml: report on a delivery, no bounce\n  jean@example.org delayed"),
        "{}",
        said.stdout
    );
    let said = report(&["no\x1b[2Jfile"], "");
    assert!(!said.stderr.contains('\x1b'), "{}", said.stderr);
}

#[test]
fn reading_reports_is_measured() {
    let said = said(Command::new(SM2TP).args(["bench", "report", "--mails", "40", "--json"]), "");
    let figures: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!((said.exit, &figures["mails"], &figures["recipients"]), (0, &json!(40), &json!(30)));
    assert!(0.0 < figures["classified_per_s"].as_f64().unwrap());
}
